/* SPDX-License-Identifier: Apache-2.0 */
/* Stream sockets between simulated processes, and eventfds: the linker gives ice/net these in place of the system's
   calls. As with TCP, bytes of one connection arrive in order or not at all; what a cut holds up arrives when it is
   mended. */
#include "sim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FIRST_FD (1 << 20)
#define SOCKS_MAX 4096
#define WINDOW 262144 /* bytes on their way or unread */
#define BACKLOG 64
#define USUAL_US 400
#define RETRANSMIT_US 200000
#define EPHEMERAL 40000

struct piece {
    struct piece *next;
    int64_t at;
    size_t n, off;
    int error; /* not data: the end (0 with n 0), or a reset */
    uint8_t data[];
};

enum kind { FREE, NEW, LISTENING, CONNECTING, CONNECTED, FAILED, EVENT };

struct sock {
    enum kind kind;
    int error; /* FAILED: to be told */
    struct sim_proc *proc, *other; /* its owner; at the other end */
    struct sockaddr_in local, remote;
    struct sock *peer; /* NULL: gone, or not there yet */
    bool swallowed; /* the peer's machine went dark: what is sent is lost, and nobody says so */
    int64_t at; /* CONNECTING: when the answer is back */
    int64_t last; /* arrival of the latest piece */
    struct piece *in, **in_tail;
    size_t n_in;
    struct sock *backlog[BACKLOG];
    size_t n_backlog;
    uint64_t count;
    bool queued; /* in a backlog: nobody's descriptor yet */
};

bool sim_cut[SIM_PROCS_MAX][SIM_PROCS_MAX];
int64_t sim_delay_max[SIM_PROCS_MAX][SIM_PROCS_MAX];
unsigned sim_loss;

static struct sock socks[SOCKS_MAX];
static int top; /* none is used from here on */

int __real_close(int fd);
ssize_t __real_read(int fd, void *p, size_t n);
ssize_t __real_write(int fd, const void *p, size_t n);
int __wrap_socket(int family, int type, int protocol);
int __wrap_bind(int fd, const struct sockaddr *to, socklen_t n);
int __wrap_listen(int fd, int backlog);
int __wrap_accept4(int fd, struct sockaddr *from, socklen_t *n, int flags);
int __wrap_connect(int fd, const struct sockaddr *to, socklen_t n);
ssize_t __wrap_recv(int fd, void *p, size_t n, int flags);
ssize_t __wrap_send(int fd, const void *p, size_t n, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags);
int __wrap_getsockname(int fd, struct sockaddr *out, socklen_t *n);
int __wrap_getpeername(int fd, struct sockaddr *out, socklen_t *n);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *n);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t n);
int __wrap_close(int fd);
int __wrap_eventfd(unsigned count, int flags);
ssize_t __wrap_read(int fd, void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);
int __wrap_nanosleep(const struct timespec *t, struct timespec *left);

static int fail(int error)
{
    errno = error;
    return -1;
}

static struct sock *find(int fd)
{
    int i = fd - FIRST_FD;
    return i >= 0 && i < top && socks[i].kind != FREE ? &socks[i] : NULL;
}

static int fd_of(const struct sock *s)
{
    return FIRST_FD + (int)(s - socks);
}

static struct sock *new_sock(struct sim_proc *p, enum kind kind)
{
    for (int i = 0; i < SOCKS_MAX; i++) {
        struct sock *s = &socks[i];
        if (s->kind != FREE)
            continue;
        *s = (struct sock){.kind = kind, .proc = p};
        s->in_tail = &s->in;
        s->local.sin_family = s->remote.sin_family = AF_INET;
        top = i >= top ? i + 1 : top;
        return s;
    }
    sim_fail("too many sockets");
}

static bool cut(const struct sim_proc *from, const struct sim_proc *to)
{
    return sim_cut[from->id][to->id];
}

static int64_t delay(const struct sim_proc *from, const struct sim_proc *to)
{
    int64_t us = from == to ? 10 : sim_between(USUAL_US / 4, USUAL_US);
    if (sim_delay_max[from->id][to->id])
        us += sim_between(0, sim_delay_max[from->id][to->id]);
    while (from != to && sim_loss && sim_chance(sim_loss))
        us += RETRANSMIT_US;
    return us;
}

static void put_piece(struct sock *to, const struct sim_proc *from, const void *p, size_t n, int error)
{
    struct piece *k = malloc(sizeof *k + n);
    if (!k)
        sim_fail("out of memory");
    *k = (struct piece){.n = n, .error = error};
    if (n)
        memcpy(k->data, p, n);
    k->at = sim_now + delay(from, to->proc);
    if (k->at < to->last)
        k->at = to->last;
    to->last = k->at;
    *to->in_tail = k;
    to->in_tail = &k->next;
    to->n_in += n;
}

static void drop_first(struct sock *s)
{
    struct piece *k = s->in;
    s->in = k->next;
    if (!s->in)
        s->in_tail = &s->in;
    free(k);
}

/* The first piece, when it has arrived. */
static struct piece *arrived(const struct sock *s)
{
    struct piece *k = s->in;
    return k && k->at <= sim_now && !cut(s->other, s->proc) ? k : NULL;
}

/* Ends it; the peer is told with error (0: an orderly end), unless it is -2: nobody says a word. */
static void end(struct sock *s, int error)
{
    for (size_t i = 0; i < s->n_backlog; i++)
        end(s->backlog[i], ECONNRESET);
    if (s->peer) {
        s->peer->peer = NULL;
        if (error == -2)
            s->peer->swallowed = true;
        else
            put_piece(s->peer, s->proc, NULL, 0, error);
    }
    while (s->in)
        drop_first(s);
    s->kind = FREE;
}

/* --- what the world does ---------------------------------------------------------------------------------------- */

void sim_sockets_crash(struct sim_proc *p)
{
    for (int i = 0; i < top; i++) {
        struct sock *s = &socks[i];
        if (s->kind == FREE || s->kind == EVENT || s->proc != p || s->queued)
            continue;
        if (s->kind == CONNECTED && s->peer) {
            s->peer->swallowed = p->dark;
            if (!p->dark)
                put_piece(s->peer, p, NULL, 0, ECONNRESET);
            s->peer->peer = NULL;
            s->peer = NULL;
        }
        for (size_t k = 0; k < s->n_backlog; k++)
            end(s->backlog[k], p->dark ? -2 : ECONNRESET);
        s->n_backlog = 0;
        s->kind = FAILED; /* the descriptor stays until it is closed */
        s->error = ECONNRESET;
    }
}

void sim_sockets_lit(struct sim_proc *p)
{
    for (int i = 0; i < top; i++) {
        struct sock *s = &socks[i];
        if (s->kind == CONNECTED && s->swallowed && s->other == p) {
            s->swallowed = false;
            s->last = sim_now + sim_between(0, 5 * SIM_S); /* at the next retransmission */
            put_piece(s, p, NULL, 0, ECONNRESET);
        }
    }
}

int64_t sim_sockets_next(void)
{
    int64_t next = INT64_MAX;
    for (int i = 0; i < top; i++) {
        const struct sock *s = &socks[i];
        int64_t at = s->kind == CONNECTING && s->at > sim_now ? s->at : INT64_MAX;
        if (s->kind == CONNECTED && s->in && s->in->at > sim_now)
            at = s->in->at;
        next = at < next ? at : next;
    }
    return next;
}

/* --- connecting ------------------------------------------------------------------------------------------------- */

static struct sock *listener(const struct sockaddr_in *to)
{
    for (int i = 0; i < top; i++) {
        struct sock *s = &socks[i];
        if (s->kind == LISTENING && s->local.sin_port == to->sin_port &&
            s->local.sin_addr.s_addr == to->sin_addr.s_addr)
            return s;
    }
    return NULL;
}

static struct sim_proc *at_address(const struct sockaddr_in *to)
{
    int id = (int)(ntohl(to->sin_addr.s_addr) & 0xff) - 1;
    return id >= 0 && id < sim_n_procs ? &sim_procs[id] : NULL;
}

static void progress(struct sock *s)
{
    struct sim_proc *to = s->other;
    if (s->kind != CONNECTING || s->at > sim_now || cut(s->proc, to) || cut(to, s->proc) || to->dark)
        return;
    struct sock *l = listener(&s->remote);
    if (!l || l->n_backlog == BACKLOG) {
        s->kind = FAILED;
        s->error = ECONNREFUSED;
        return;
    }
    struct sock *in = new_sock(to, CONNECTED);
    in->local = s->remote;
    in->remote = s->local;
    in->other = s->proc;
    in->queued = true;
    in->peer = s;
    s->peer = in;
    s->kind = CONNECTED;
    l->backlog[l->n_backlog++] = in;
}

bool sim_readable(int fd)
{
    struct sock *s = find(fd);
    if (!s)
        return true; /* closed: let it find out */
    progress(s);
    switch (s->kind) {
    case EVENT:
        return s->count > 0;
    case LISTENING:
        return s->n_backlog > 0;
    case CONNECTED:
        return arrived(s);
    default:
        return s->kind == FAILED;
    }
}

bool sim_writable(int fd)
{
    struct sock *s = find(fd);
    if (!s)
        return true;
    progress(s);
    if (s->kind != CONNECTED)
        return s->kind == FAILED;
    return !s->peer || s->peer->n_in < WINDOW;
}

/* --- the system's calls ----------------------------------------------------------------------------------------- */

int __wrap_socket(int family, int type, int protocol)
{
    (void)protocol;
    if (family != AF_INET || (type & 0xf) != SOCK_STREAM)
        return fail(EAFNOSUPPORT);
    return fd_of(new_sock(sim_current, NEW));
}

static void give_port(struct sock *s)
{
    if (!s->local.sin_addr.s_addr)
        s->local.sin_addr.s_addr = htonl(0x0a000001u + (unsigned)s->proc->id);
    if (!s->local.sin_port)
        s->local.sin_port = htons((uint16_t)(EPHEMERAL + s->proc->port++ % 20000));
}

int __wrap_bind(int fd, const struct sockaddr *to, socklen_t n)
{
    struct sock *s = find(fd);
    if (!s || n < sizeof s->local)
        return fail(EBADF);
    memcpy(&s->local, to, sizeof s->local);
    if (s->local.sin_port && listener(&s->local))
        return fail(EADDRINUSE);
    give_port(s);
    return 0;
}

int __wrap_listen(int fd, int backlog)
{
    struct sock *s = find(fd);
    (void)backlog;
    if (!s)
        return fail(EBADF);
    s->kind = s->proc->dead ? FAILED : LISTENING;
    return 0;
}

int __wrap_accept4(int fd, struct sockaddr *from, socklen_t *n, int flags)
{
    struct sock *s = find(fd);
    (void)from, (void)n, (void)flags;
    if (!s || s->kind != LISTENING || s->n_backlog == 0)
        return fail(EAGAIN);
    struct sock *in = s->backlog[0];
    memmove(s->backlog, s->backlog + 1, --s->n_backlog * sizeof *s->backlog);
    in->queued = false;
    return fd_of(in);
}

int __wrap_connect(int fd, const struct sockaddr *to, socklen_t n)
{
    struct sock *s = find(fd);
    if (!s || n < sizeof s->remote)
        return fail(EBADF);
    memcpy(&s->remote, to, sizeof s->remote);
    s->other = at_address(&s->remote);
    if (!s->other || s->proc->dead)
        return fail(ENETUNREACH);
    give_port(s);
    s->kind = CONNECTING;
    s->at = sim_now + delay(s->proc, s->other) + delay(s->other, s->proc);
    return fail(EINPROGRESS);
}

ssize_t __wrap_recv(int fd, void *p, size_t n, int flags)
{
    struct sock *s = find(fd);
    size_t got = 0;
    (void)flags;
    if (!s)
        return fail(EBADF);
    if (s->kind != CONNECTED)
        return fail(s->kind == FAILED ? s->error : EAGAIN);
    struct piece *k;
    while (got < n && (k = arrived(s)) && k->n) {
        size_t part = k->n - k->off < n - got ? k->n - k->off : n - got;
        memcpy((uint8_t *)p + got, k->data + k->off, part);
        got += part;
        k->off += part;
        s->n_in -= part;
        if (k->off == k->n)
            drop_first(s);
    }
    if (got)
        return (ssize_t)got;
    if (!k)
        return fail(EAGAIN);
    return k->error ? fail(k->error) : 0; /* it stays: the end is the end */
}

static ssize_t put(struct sock *s, const void *p, size_t n)
{
    if (s->kind != CONNECTED)
        return fail(s->kind == FAILED ? s->error : EAGAIN);
    if (s->swallowed)
        return (ssize_t)n;
    if (!s->peer) {
        struct piece *k = arrived(s);
        return k && !k->n ? fail(EPIPE) : (ssize_t)n; /* the reset is on its way */
    }
    if (s->peer->n_in >= WINDOW)
        return fail(EAGAIN);
    if (n > WINDOW - s->peer->n_in)
        n = WINDOW - s->peer->n_in;
    put_piece(s->peer, s->proc, p, n, 0);
    return (ssize_t)n;
}

ssize_t __wrap_send(int fd, const void *p, size_t n, int flags)
{
    struct sock *s = find(fd);
    (void)flags;
    return s ? put(s, p, n) : fail(EBADF);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags)
{
    struct sock *s = find(fd);
    ssize_t sum = 0;
    (void)flags;
    if (!s)
        return fail(EBADF);
    for (size_t i = 0; i < m->msg_iovlen; i++) {
        ssize_t n = put(s, m->msg_iov[i].iov_base, m->msg_iov[i].iov_len);
        if (n < 0)
            return sum ? sum : n;
        sum += n;
        if ((size_t)n < m->msg_iov[i].iov_len)
            break;
    }
    return sum;
}

static int give_address(const struct sockaddr_in *a, struct sockaddr *out, socklen_t *n)
{
    memcpy(out, a, *n < sizeof *a ? *n : sizeof *a);
    *n = sizeof *a;
    return 0;
}

int __wrap_getsockname(int fd, struct sockaddr *out, socklen_t *n)
{
    struct sock *s = find(fd);
    return s ? give_address(&s->local, out, n) : fail(EBADF);
}

int __wrap_getpeername(int fd, struct sockaddr *out, socklen_t *n)
{
    struct sock *s = find(fd);
    return s && s->kind == CONNECTED ? give_address(&s->remote, out, n) : fail(ENOTCONN);
}

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *n)
{
    struct sock *s = find(fd);
    (void)level, (void)name, (void)n;
    if (!s)
        return fail(EBADF);
    progress(s);
    *(int *)value = s->kind == FAILED ? s->error : 0;
    return 0;
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t n)
{
    (void)fd, (void)level, (void)name, (void)value, (void)n;
    return 0;
}

int __wrap_close(int fd)
{
    struct sock *s = find(fd);
    if (!s)
        return fd >= FIRST_FD ? fail(EBADF) : __real_close(fd);
    end(s, 0);
    return 0;
}

int evutil_closesocket(evutil_socket_t fd)
{
    return __wrap_close(fd);
}

int __wrap_eventfd(unsigned count, int flags)
{
    (void)flags;
    struct sock *s = new_sock(sim_current, EVENT);
    s->count = count;
    return fd_of(s);
}

ssize_t __wrap_read(int fd, void *p, size_t n)
{
    struct sock *s = find(fd);
    if (!s)
        return __real_read(fd, p, n);
    memcpy(p, &s->count, sizeof s->count);
    s->count = 0;
    return sizeof s->count;
}

ssize_t __wrap_write(int fd, const void *p, size_t n)
{
    struct sock *s = find(fd);
    uint64_t more;
    if (!s)
        return __real_write(fd, p, n);
    memcpy(&more, p, sizeof more);
    s->count += more;
    return sizeof more;
}

int __wrap_nanosleep(const struct timespec *t, struct timespec *left)
{
    (void)t, (void)left;
    return 0;
}
