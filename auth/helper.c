/* SPDX-License-Identifier: Apache-2.0 */
/* The parent's side of the auth helper: the bounded queue, the one question in flight, the child's life. Owns the
   questions and the child. */
#include <moulin/auth/helper.h>

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <moulin/base/clock.h>
#include <moulin/base/list.h>
#include <moulin/base/secret.h>
#include <moulin/net/loop.h>

#include "helper_wire.h"

#define QUEUE_MAX 256
#define DEADLINE_MS 15000

struct question {
    struct ib_list node;
    int64_t deadline;
    auth_helper_fn fn;
    void *arg;
    struct helper_question wire;
};

struct auth_helper {
    struct ic_loop *loop; /* borrows */
    char *exe;
    unsigned queue_max, count;
    int deadline_ms;
    struct ib_list queue; /* owns; the first is in flight when sent is true */
    bool sent;
    uint64_t last_id;
    pid_t pid; /* 0 = no child */
    int fd;
    struct event *readable; /* owns */
    struct ic_timer timer; /* for the first of the queue */
    struct ic_deferred kick;
};

static void send_next(void *arg);

static void question_free(struct auth_helper *h, struct question *q)
{
    ib_list_remove(&q->node);
    h->count--;
    ib_wipe(q, sizeof(*q));
    free(q);
}

static struct question *first(struct auth_helper *h)
{
    return ib_list_empty(&h->queue) ? NULL : IB_CONTAINER(h->queue.next, struct question, node);
}

/* Answers the first question of the queue and forgets it; the callback may ask again or free the helper's user. */
static void finish_first(struct auth_helper *h, int code, bool match)
{
    struct question *q = first(h);
    auth_helper_fn fn = q->fn;
    void *arg = q->arg;
    ic_timer_stop(&h->timer);
    h->sent = false;
    question_free(h, q);
    if (!ib_list_empty(&h->queue)) {
        ic_loop_defer(h->loop, &h->kick, send_next, h);
    }
    fn(arg, code, match);
}

static void child_stop(struct auth_helper *h)
{
    if (h->readable) {
        event_free(h->readable);
        h->readable = NULL;
    }
    if (h->fd >= 0) {
        (void)close(h->fd);
        h->fd = -1;
    }
    if (h->pid > 0) {
        (void)kill(h->pid, SIGKILL);
        while (waitpid(h->pid, NULL, 0) < 0 && errno == EINTR) {
        }
        h->pid = 0;
    }
    h->sent = false;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct auth_helper *h = arg;
    struct helper_answer a;
    ssize_t n = recv(fd, &a, sizeof(a), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    struct question *q = first(h);
    if (n == (ssize_t)sizeof(a) && h->sent && q && a.id == q->wire.id) {
        finish_first(h, 0, a.match == 1);
    } else if (n != (ssize_t)sizeof(a)) { /* it died: whoever it was working for must not wait */
        bool was_sent = h->sent;
        child_stop(h);
        if (was_sent && q) {
            finish_first(h, IB_EIO, false);
        }
    }
}

static void on_deadline(void *arg)
{
    struct auth_helper *h = arg;
    if (!first(h)) {
        return;
    }
    if (h->sent) {
        child_stop(h);
    }
    finish_first(h, IB_ETIMEOUT, false);
}

/* Everything but the socket and stderr is closed in the child, whatever flags the descriptors have. */
static int child_spawn(struct auth_helper *h, int theirs)
{
    static char role[] = AUTH_HELPER_ROLE, name[] = "moulin";
    char *argv[] = {name, role, NULL};
    char *envp[] = {NULL};
    posix_spawn_file_actions_t actions;
    if (posix_spawn_file_actions_init(&actions) != 0) {
        return IB_ENOMEM;
    }
    int rc = posix_spawn_file_actions_adddup2(&actions, theirs, HELPER_FD);
    if (rc == 0) {
        rc = posix_spawn_file_actions_addclosefrom_np(&actions, HELPER_FD + 1);
    }
    if (rc == 0) {
        rc = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
    }
    if (rc == 0) {
        rc = posix_spawn_file_actions_adddup2(&actions, 0, 1);
    }
    if (rc == 0) {
        rc = posix_spawn(&h->pid, h->exe, &actions, NULL, argv, envp);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    if (rc != 0) {
        h->pid = 0;
        return IB_EIO;
    }
    return 0;
}

static int child_start(struct auth_helper *h)
{
    int sv[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) != 0) {
        return IB_EIO;
    }
    /* dup2 onto itself would leave the close-on-exec flag */
    int theirs = sv[1] == HELPER_FD ? fcntl(sv[1], F_DUPFD_CLOEXEC, HELPER_FD + 1) : sv[1];
    int rc = theirs < 0 ? IB_EIO : child_spawn(h, theirs);
    if (theirs != sv[1] && theirs >= 0) {
        (void)close(theirs);
    }
    (void)close(sv[1]);
    h->fd = sv[0];
    if (rc == 0) {
        h->readable = event_new(ic_loop_base(h->loop), h->fd, EV_READ | EV_PERSIST, on_readable, h);
        rc = h->readable && event_add(h->readable, NULL) == 0 ? 0 : IB_ENOMEM;
    }
    if (rc != 0) {
        child_stop(h);
    }
    return rc;
}

/* A child that died while idle is noticed here: the question goes to a new one. */
static int send_question(struct auth_helper *h, const struct helper_question *q)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        int rc = h->pid ? 0 : child_start(h);
        if (rc != 0) {
            return rc;
        }
        if (send(h->fd, q, sizeof(*q), MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)sizeof(*q)) {
            return 0;
        }
        child_stop(h);
    }
    return IB_EIO;
}

static void send_next(void *arg)
{
    struct auth_helper *h = arg;
    struct question *q = first(h);
    if (!q || h->sent) {
        return;
    }
    int64_t left = q->deadline - ib_clock_ms();
    if (left <= 0) {
        finish_first(h, IB_ETIMEOUT, false);
        return;
    }
    int rc = send_question(h, &q->wire);
    if (rc != 0) {
        finish_first(h, rc, false);
        return;
    }
    h->sent = true;
    ic_timer_start(&h->timer, left);
}

struct auth_helper *auth_helper_new(struct ic_loop *loop, const struct auth_helper_config *cfg)
{
    struct auth_helper *h = calloc(1, sizeof(*h));
    if (!h) {
        return NULL;
    }
    h->exe = strdup(cfg && cfg->exe ? cfg->exe : "/proc/self/exe");
    if (!h->exe) {
        free(h);
        return NULL;
    }
    h->loop = loop;
    h->queue_max = cfg && cfg->queue_max ? cfg->queue_max : QUEUE_MAX;
    h->deadline_ms = cfg && cfg->deadline_ms ? cfg->deadline_ms : DEADLINE_MS;
    h->fd = -1;
    ib_list_init(&h->queue);
    ic_timer_init(&h->timer, loop, on_deadline, h);
    return h;
}

void auth_helper_free(struct auth_helper *h)
{
    if (!h) {
        return;
    }
    child_stop(h);
    ic_loop_undefer(h->loop, &h->kick);
    ic_timer_fini(&h->timer);
    while (first(h)) {
        question_free(h, first(h));
    }
    free(h->exe);
    free(h);
}

int auth_helper_check(struct auth_helper *h, struct ib_str password, const char *hash, auth_helper_fn fn, void *arg,
                      uint64_t *id)
{
    size_t hash_n = strlen(hash);
    if (password.n > AUTH_PASSWORD_MAX || hash_n > AUTH_HASH_MAX) {
        return IB_EINVAL;
    }
    if (h->count >= h->queue_max) {
        return IB_ELIMIT;
    }
    struct question *q = calloc(1, sizeof(*q));
    if (!q) {
        return IB_ENOMEM;
    }
    q->fn = fn;
    q->arg = arg;
    q->deadline = ib_clock_ms() + h->deadline_ms;
    q->wire.id = *id = ++h->last_id;
    q->wire.password_n = (uint16_t)password.n;
    memcpy(q->wire.hash, hash, hash_n);
    memcpy(q->wire.password, ib_cstr(password), password.n);
    ib_list_append(&h->queue, &q->node);
    h->count++;
    ic_loop_defer(h->loop, &h->kick, send_next, h);
    return 0;
}

static void forget(void *arg, int code, bool match)
{
    (void)arg;
    (void)code;
    (void)match;
}

void auth_helper_cancel(struct auth_helper *h, uint64_t id)
{
    IB_LIST_FOREACH_SAFE(node, &h->queue)
    {
        struct question *q = IB_CONTAINER(node, struct question, node);
        if (q->wire.id != id) {
            continue;
        }
        if (h->sent && q == first(h)) { /* its answer is on the way and must be matched */
            q->fn = forget;
            q->arg = NULL;
        } else {
            question_free(h, q);
        }
        return;
    }
}

int auth_helper_pid(const struct auth_helper *h)
{
    return (int)h->pid;
}
