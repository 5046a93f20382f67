/* SPDX-License-Identifier: Apache-2.0 */
/* The plain transport: a nonblocking TCP socket. */
#include "transport.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int ic_tcp_error(int errnum, bool connecting)
{
    switch (errnum) {
    case ECONNREFUSED:
        return IB_EREFUSED;
    case ENOMEM:
    case ENOBUFS:
        return IB_ENOMEM;
    case ETIMEDOUT:
        return connecting ? IB_ECONNECTTIMEOUT : IB_ELOST;
    case ECONNRESET:
    case EPIPE:
        return IB_ELOST;
    default:
        return connecting ? IB_ECONNECT : IB_ESOCKET;
    }
}

void ic_tcp_options(int fd)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
}

static int bind_source(int fd, const char *source, struct ib_err *err)
{
    struct sockaddr_in a4 = {.sin_family = AF_INET};
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6};
    int rc;
    if (inet_pton(AF_INET, source, &a4.sin_addr) == 1) {
        rc = bind(fd, (struct sockaddr *)&a4, sizeof a4);
    } else if (inet_pton(AF_INET6, source, &a6.sin6_addr) == 1) {
        rc = bind(fd, (struct sockaddr *)&a6, sizeof a6);
    } else {
        return ib_err_set(err, IB_EINVAL, "source address `%s' is not a numeric address", source);
    }
    return rc == 0 ? 0 : ib_err_set(err, IB_ESOCKET, "cannot use source address `%s': %s", source, strerror(errno));
}

int ic_tcp_connect(const struct sockaddr *to, socklen_t n, const char *source, int *fd, struct ib_err *err)
{
    int s = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (s < 0) {
        return ib_err_set(err, ic_tcp_error(errno, true), "cannot make a socket: %s", strerror(errno));
    }
    ic_tcp_options(s);
    int rc = source && *source ? bind_source(s, source, err) : 0;
    if (rc == 0 && connect(s, to, n) < 0 && errno != EINPROGRESS) {
        rc = ib_err_set(err, ic_tcp_error(errno, true), "%s", strerror(errno));
    }
    if (rc < 0) {
        close(s);
        return rc;
    }
    *fd = s;
    return 0;
}

int ic_tcp_connected(int fd, struct ib_err *err)
{
    int failed = 0;
    socklen_t n = sizeof failed;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &n) < 0) {
        failed = errno;
    }
    if (failed) {
        return ib_err_set(err, ic_tcp_error(failed, true), "%s", strerror(failed));
    }
    struct sockaddr_storage peer;
    n = sizeof peer;
    if (getpeername(fd, (struct sockaddr *)&peer, &n) == 0) {
        return 0;
    }
    return errno == ENOTCONN ? IC_TP_WRITABLE : ib_err_set(err, ic_tcp_error(errno, true), "%s", strerror(errno));
}

static int tcp_handshake(struct ic_tp *tp, struct ib_err *err)
{
    return tp->outgoing ? ic_tcp_connected(tp->fd, err) : 0;
}

ssize_t ic_tp_recv(struct ic_tp *tp, void *p, size_t n)
{
    struct ic_fed *f = tp->fed;
    if (!f || (f->n == 0 && f->more)) {
        return recv(tp->fd, p, n, 0);
    }
    if (f->n == 0) {
        errno = f->error;
        return f->error ? -1 : 0;
    }
    size_t k = n < f->n ? n : f->n;
    memcpy(p, f->p, k);
    f->p += k;
    f->n -= k;
    if (f->n == 0 && f->kept) {
        ic_tp_fed_drop(tp);
    }
    return (ssize_t)k;
}

void ic_tp_fed_drop(struct ic_tp *tp)
{
    if (tp->fed && tp->fed->kept) {
        free(tp->fed);
    }
    tp->fed = NULL;
}

int ic_tp_fed_keep(struct ic_tp *tp)
{
    struct ic_fed *f = tp->fed;
    if (!f || f->kept) {
        return 0;
    }
    tp->fed = NULL;
    if (f->n == 0) {
        return 0;
    }
    struct ic_fed *kept = malloc(sizeof *kept + f->n);
    if (!kept) {
        return IB_ENOMEM;
    }
    uint8_t *copy = (uint8_t *)(kept + 1);
    memcpy(copy, f->p, f->n);
    *kept = (struct ic_fed){.p = copy, .n = f->n, .more = true, .kept = true};
    tp->fed = kept;
    return 0;
}

static ssize_t tcp_read(struct ic_tp *tp, uint8_t *p, size_t n, struct ib_err *err)
{
    for (;;) {
        ssize_t got = ic_tp_recv(tp, p, n);
        if (got >= 0) {
            return got;
        }
        if (errno == EAGAIN) {
            return IC_TP_READABLE;
        }
        if (errno != EINTR) {
            return ib_err_set(err, ic_tcp_error(errno, false), "%s", strerror(errno));
        }
    }
}

static ssize_t tcp_write(struct ic_tp *tp, const struct iovec *v, int n, struct ib_err *err)
{
    /* sendmsg's iovec is not const, but it leaves it alone */
    struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)v, .msg_iovlen = (size_t)(n < IOV_MAX ? n : IOV_MAX)};
    for (;;) {
        /* One piece is the usual case, and costs the kernel less this way. */
        ssize_t put = n == 1 ? send(tp->fd, v->iov_base, v->iov_len, MSG_NOSIGNAL) : sendmsg(tp->fd, &m, MSG_NOSIGNAL);
        if (put >= 0) {
            return put;
        }
        if (errno == EAGAIN) {
            return IC_TP_WRITABLE;
        }
        if (errno != EINTR) {
            return ib_err_set(err, ic_tcp_error(errno, false), "%s", strerror(errno));
        }
    }
}

static bool tcp_stage(struct ic_tp *tp, struct ic_stage *s)
{
    (void)tp;
    for (int i = 0; i < s->n; i++) {
        s->plain += s->v[i].iov_len;
    }
    return true;
}

static ssize_t tcp_sent(struct ic_tp *tp, const struct ic_stage *s, ssize_t res, struct ib_err *err)
{
    (void)tp;
    (void)s;
    if (res >= 0) {
        return res;
    }
    return res == -EAGAIN ? IC_TP_WRITABLE : ib_err_set(err, ic_tcp_error((int)-res, false), "%s", strerror((int)-res));
}

static bool tcp_pending(const struct ic_tp *tp)
{
    return ic_tp_fed(tp);
}

static void tcp_free(struct ic_tp *tp)
{
    ic_tp_fed_drop(tp);
    close(tp->fd);
    free(tp);
}

static const struct ic_tp_ops tcp_ops = {tcp_handshake, tcp_read,  tcp_write, tcp_pending,
                                         tcp_free,      tcp_stage, tcp_sent};

struct ic_tp *ic_tcp_new(int fd, bool outgoing)
{
    struct ic_tp *tp = malloc(sizeof *tp);
    if (tp) {
        *tp = (struct ic_tp){.ops = &tcp_ops, .fd = fd, .outgoing = outgoing};
    }
    return tp;
}
