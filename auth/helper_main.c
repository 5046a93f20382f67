/* SPDX-License-Identifier: Apache-2.0 */
/* The auth helper's own side: reads questions, hashes, answers; gives up every privilege it does not need first. */
#include <moulin/auth/helper.h>

#include <errno.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <moulin/base/secret.h>

#include "helper_wire.h"

/* No core dumps with passwords in them, no new files or descriptors, no new privileges, no life after the parent. */
static void drop_privileges(void)
{
    const struct rlimit none = {0, 0};
    const struct rlimit files = {HELPER_FD + 1, HELPER_FD + 1};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)setrlimit(RLIMIT_FSIZE, &none);
    (void)setrlimit(RLIMIT_NOFILE, &files);
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    (void)prctl(PR_SET_NAME, "moulin-auth");
}

/* The terminal's Ctrl-C is for the parent, which ends us by closing the socket. */
static void ignore_signals(void)
{
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
}

/* Leaves by _exit: nothing here needs what exit handlers of the parent's image would do. */
_Noreturn static void leave(int status)
{
    _exit(status);
}

_Noreturn void auth_helper_main(void)
{
    (void)OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL); /* reads its file while files can be opened */
    drop_privileges();
    ignore_signals();
    for (;;) {
        struct helper_question q;
        ssize_t n = recv(HELPER_FD, &q, sizeof(q), 0);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n == 0) {
            leave(0);
        }
        if (n != (ssize_t)sizeof(q) || q.password_n > AUTH_PASSWORD_MAX) {
            leave(1);
        }
        q.hash[AUTH_HASH_MAX] = '\0';
        q.password[q.password_n] = '\0';
        struct helper_answer a = {.id = q.id};
        a.match = auth_hash_check((struct ib_str){q.password, q.password_n}, q.hash);
        ib_wipe(&q, sizeof(q));
        if (send(HELPER_FD, &a, sizeof(a), MSG_NOSIGNAL) != (ssize_t)sizeof(a)) {
            leave(1);
        }
    }
}
