/* SPDX-License-Identifier: Apache-2.0 */
/* Starting, killing and burying auth helper processes. Owns their descriptors and events. */
#include "helper_child.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helper_wire.h"

#define REAP_MS 20

const char *helper_kind_name(enum auth_helper_kind kind)
{
    return kind == AUTH_HELPER_PAM ? "pam" : "hash";
}

/* --- the dead ----------------------------------------------------------------------------------------------------- */

static void reap(void *arg)
{
    struct helper_reaper *r = arg;
    unsigned left = 0;
    for (unsigned i = 0; i < r->n; i++) {
        if (waitpid(r->pids[i], NULL, WNOHANG) == 0) {
            r->pids[left++] = r->pids[i];
        }
    }
    r->n = left;
    if (left) {
        ic_timer_start(&r->timer, REAP_MS);
    }
}

void helper_reaper_init(struct helper_reaper *r, struct ic_loop *loop)
{
    r->n = 0;
    ic_timer_init(&r->timer, loop, reap, r);
}

void helper_reaper_fini(struct helper_reaper *r)
{
    reap(r);
    ic_timer_fini(&r->timer);
}

void helper_child_stop(struct helper_child *c, struct helper_reaper *r)
{
    if (c->pid == 0) {
        return;
    }
    if (c->readable) {
        event_free(c->readable);
        c->readable = NULL;
    }
    (void)close(c->fd);
    (void)kill(-c->pid, SIGKILL);
    r->pids[r->n++] = c->pid; /* helper_child_start left room */
    c->pid = 0;
    reap(r);
}

/* --- the living --------------------------------------------------------------------------------------------------- */

/* Everything but the socket and stderr is closed in the child, whatever flags the descriptors have. */
static int set_files(posix_spawn_file_actions_t *actions, int theirs)
{
    int rc = posix_spawn_file_actions_adddup2(actions, theirs, HELPER_FD);
    rc = rc ? rc : posix_spawn_file_actions_addclosefrom_np(actions, HELPER_FD + 1);
    rc = rc ? rc : posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDWR, 0);
    return rc ? rc : posix_spawn_file_actions_adddup2(actions, 0, 1);
}

/* PAM modules and the programs they start expect signals as they are by default; a group of its own, so that a child is
   killed with what it started. */
static int set_attributes(posix_spawnattr_t *attr)
{
    sigset_t all, none;
    (void)sigfillset(&all);
    (void)sigdelset(&all, SIGKILL);
    (void)sigdelset(&all, SIGSTOP);
    (void)sigemptyset(&none);
    int rc = posix_spawnattr_setsigdefault(attr, &all);
    rc = rc ? rc : posix_spawnattr_setsigmask(attr, &none);
    rc = rc ? rc : posix_spawnattr_setpgroup(attr, 0);
    return rc ? rc
              : posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
}

static int spawn(const struct helper_launch *l, int theirs, pid_t *pid)
{
    static char role[] = AUTH_HELPER_ROLE, name[] = "moulin", hash[] = "hash", pam[] = "pam";
    char uid[16], gid[16];
    char *argv[] = {name, role, l->kind == AUTH_HELPER_PAM ? pam : hash, NULL, NULL, NULL};
    char *envp[] = {NULL};
    if (l->drop && l->kind == AUTH_HELPER_HASH) {
        (void)snprintf(uid, sizeof(uid), "%u", l->uid);
        (void)snprintf(gid, sizeof(gid), "%u", l->gid);
        argv[3] = uid;
        argv[4] = gid;
    }
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    if (posix_spawn_file_actions_init(&actions) != 0) {
        return IB_ENOMEM;
    }
    if (posix_spawnattr_init(&attr) != 0) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return IB_ENOMEM;
    }
    int rc = set_files(&actions, theirs);
    rc = rc ? rc : set_attributes(&attr);
    rc = rc ? rc : posix_spawn(pid, l->exe, &actions, &attr, argv, envp);
    (void)posix_spawnattr_destroy(&attr);
    (void)posix_spawn_file_actions_destroy(&actions);
    return rc ? IB_EIO : 0;
}

int helper_child_start(struct helper_child *c, const struct helper_launch *l, event_callback_fn on_readable, void *arg)
{
    int sv[2];
    pid_t pid = 0;
    if (l->reaper->n > REAPER_MAX - AUTH_HELPER_WORKERS_MAX * AUTH_HELPER_KINDS) { /* too many will not die */
        return IB_EIO;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) != 0) {
        return IB_EIO;
    }
    /* dup2 onto itself would leave the close-on-exec flag */
    int theirs = sv[1] == HELPER_FD ? fcntl(sv[1], F_DUPFD_CLOEXEC, HELPER_FD + 1) : sv[1];
    int rc = theirs < 0 ? IB_EIO : spawn(l, theirs, &pid);
    if (theirs != sv[1] && theirs >= 0) {
        (void)close(theirs);
    }
    (void)close(sv[1]);
    if (rc != 0) {
        (void)close(sv[0]);
        return rc;
    }
    *c = (struct helper_child){.pid = pid, .fd = sv[0]};
    c->readable = event_new(ic_loop_base(l->loop), c->fd, EV_READ | EV_PERSIST, on_readable, arg);
    if (!c->readable || event_add(c->readable, NULL) != 0) {
        helper_child_stop(c, l->reaper);
        return IB_ENOMEM;
    }
    return 0;
}
