/* SPDX-License-Identifier: Apache-2.0 */
/* The auth helper's own side: gives up every privilege its kind does not need, then reads questions, works, answers. */
#include <moulin/auth/helper.h>

#include <errno.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <moulin/base/secret.h>

#include "helper_wire.h"
#include "pam.h"
#include "sandbox.h"

/* Those who mean the service send them to everybody; the parent ends us by closing the socket. */
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

static void say(const struct helper_answer *a)
{
    if (send(HELPER_FD, a, sizeof(*a), MSG_NOSIGNAL) != (ssize_t)sizeof(*a)) {
        leave(1);
    }
}

/* False when n is not the size of a question or the question is damaged. */
static bool answer(enum auth_helper_kind kind, struct helper_question *q, ssize_t n)
{
    if (n != (ssize_t)sizeof(*q) || q->password_n > AUTH_PASSWORD_MAX) {
        return false;
    }
    struct helper_answer a = {.id = q->id};
    q->password[q->password_n] = '\0';
    if (kind == AUTH_HELPER_PAM) {
        auth_pam_check(&q->pam, q->password, &a);
    } else {
        q->hash[AUTH_HASH_MAX] = '\0';
        a.verdict = auth_hash_check((struct ib_str){q->password, q->password_n}, q->hash) ? HELPER_YES : HELPER_NO;
    }
    ib_wipe(q, sizeof(*q));
    say(&a);
    return true;
}

_Noreturn void auth_helper_main(int argc, char **argv)
{
    struct auth_sandbox sandbox = {.kind = AUTH_HELPER_HASH, .fd = HELPER_FD, .drop = argc > 3};
    struct helper_answer hello = {.verdict = HELPER_YES};
    struct ib_err err = {0};
    if (argc > 1 && strcmp(argv[1], "pam") == 0) {
        sandbox.kind = AUTH_HELPER_PAM;
    }
    if (argc > 3) {
        sandbox.uid = (uid_t)strtoul(argv[2], NULL, 10);
        sandbox.gid = (gid_t)strtoul(argv[3], NULL, 10);
    }
    (void)OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL); /* reads its file while files can be opened */
    ignore_signals();
    if (auth_sandbox_enter(&sandbox, hello.text, sizeof(hello.text), &err) != 0) {
        hello.verdict = HELPER_BROKEN;
        (void)snprintf(hello.text, sizeof(hello.text), "%.255s", err.text);
    }
    say(&hello);
    if (hello.verdict != HELPER_YES) {
        leave(1);
    }
    for (;;) {
        struct helper_question q;
        ssize_t n = recv(HELPER_FD, &q, sizeof(q), 0);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n == 0) {
            leave(0);
        }
        if (!answer(sandbox.kind, &q, n)) {
            leave(1);
        }
    }
}
