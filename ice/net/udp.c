/* SPDX-License-Identifier: Apache-2.0 */
/* A socket that only sends datagrams. */
#include <moulin/net/udp.h>

#include "frame.h"
#include "resolve.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAITING_MAX 65536 /* bytes kept while a name is resolved */
#define HOST_MAX 255

struct ic_datagram {
    struct ic_datagram *next;
    size_t n;
    uint8_t p[];
};

struct ic_udp {
    struct ic_loop *loop; /* borrows */
    struct ic_resolve *resolving; /* NULL: done */
    int fd; /* -1: not open (yet) */
    struct ic_udp_config cfg;
    int32_t port;
    char host[HOST_MAX + 1]; /* as in the endpoint */
    int ttl; /* of multicasts; -1: as the system has it */
    char interface[IF_NAMESIZE > INET6_ADDRSTRLEN ? IF_NAMESIZE : INET6_ADDRSTRLEN]; /* of multicasts, or "" */
    struct ic_datagram *waiting, **waiting_tail; /* owns */
    size_t waiting_bytes;
};

static void put(const struct ic_udp *u, const uint8_t *p, size_t n)
{
    if (u->fd >= 0) {
        ssize_t sent = send(u->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)sent; /* full, refused or too large for the path: lost */
    }
}

static void set_multicast(const struct ic_udp *u, int family)
{
    int ttl = u->ttl;
    struct in_addr address;
    unsigned index = if_nametoindex(u->interface);
    if (family == AF_INET6) {
        if (ttl >= 0) {
            (void)setsockopt(u->fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &ttl, sizeof ttl);
        }
        if (index) {
            (void)setsockopt(u->fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof index);
        }
        return;
    }
    if (ttl >= 0) {
        (void)setsockopt(u->fd, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof ttl);
    }
    if (index) {
        const struct ip_mreqn m = {.imr_ifindex = (int)index};
        (void)setsockopt(u->fd, IPPROTO_IP, IP_MULTICAST_IF, &m, sizeof m);
    } else if (inet_pton(AF_INET, u->interface, &address) == 1) {
        (void)setsockopt(u->fd, IPPROTO_IP, IP_MULTICAST_IF, &address, sizeof address);
    }
}

static bool may_send(const struct ic_udp *u, const struct addrinfo *to)
{
    const struct iw_endpoint ep = {.type = IW_EP_UDP, .port = u->port, .host = ib_str(u->host)};
    return !u->cfg.may_send || u->cfg.may_send(u->cfg.may_send_arg, &ep, to->ai_addr);
}

static void open_socket(struct ic_udp *u, const struct addrinfo *to)
{
    if (!may_send(u, to)) {
        return;
    }
    u->fd = socket(to->ai_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (u->fd < 0) {
        return;
    }
    set_multicast(u, to->ai_family);
    if (connect(u->fd, to->ai_addr, to->ai_addrlen) < 0) {
        close(u->fd);
        u->fd = -1;
    }
}

static void drop_waiting(struct ic_udp *u)
{
    while (u->waiting) {
        struct ic_datagram *d = u->waiting;
        u->waiting = d->next;
        free(d);
    }
    u->waiting_tail = &u->waiting;
    u->waiting_bytes = 0;
}

static void on_resolved(void *arg, struct addrinfo *list, const struct ib_err *err)
{
    struct ic_udp *u = arg;
    (void)err;
    u->resolving = NULL;
    if (list) {
        open_socket(u, list);
    }
    ic_resolve_free(list);
    for (const struct ic_datagram *d = u->waiting; d; d = d->next) {
        put(u, d->p, d->n);
    }
    drop_waiting(u);
}

struct ic_udp *ic_udp_new(struct ic_loop *loop, const struct iw_endpoint *ep, const struct ic_udp_config *cfg)
{
    struct ic_udp *u = calloc(1, sizeof *u);
    if (!u) {
        return NULL;
    }
    u->loop = loop;
    u->fd = -1;
    u->cfg = *cfg;
    u->port = ep->port;
    u->ttl = ep->mcast_ttl;
    u->waiting_tail = &u->waiting;
    if (ep->mcast_interface.n < sizeof u->interface) {
        memcpy(u->interface, ib_cstr(ep->mcast_interface), ep->mcast_interface.n);
    }
    if (ep->host.n > HOST_MAX) { /* no name is that long: everything sent is lost */
        return u;
    }
    memcpy(u->host, ib_cstr(ep->host), ep->host.n);
    u->resolving = ic_resolve(loop, u->host, ep->port, on_resolved, u);
    if (!u->resolving) {
        free(u);
        return NULL;
    }
    return u;
}

void ic_udp_free(struct ic_udp *u)
{
    if (!u) {
        return;
    }
    if (u->resolving) {
        ic_resolve_cancel(u->resolving);
    }
    if (u->fd >= 0) {
        close(u->fd);
    }
    drop_waiting(u);
    free(u);
}

/* The whole message in one piece. */
static struct ic_datagram *datagram_new(const struct ic_udp *u, const struct ic_out *m)
{
    size_t size = IC_HEADER_SIZE + m->head.n + m->body.n, n = size;
    struct ib_block *packed = NULL;
    bool compress = m->compress && size >= IC_COMPRESS_MIN;
    if (compress) {
        if (ic_compress(m->head, m->body, u->cfg.compression_level, &packed, &n) < 0) {
            return NULL;
        }
        n += IC_HEADER_SIZE;
    }
    struct ic_datagram *d = malloc(sizeof *d + n);
    if (d) {
        d->next = NULL;
        d->n = n;
        ic_header_build(d->p, m->type,
                        compress      ? IC_COMPRESS_DONE
                        : m->compress ? IC_COMPRESS_ASK
                                      : IC_COMPRESS_NO,
                        (int32_t)n);
        uint8_t *p = d->p + IC_HEADER_SIZE;
        if (packed) {
            memcpy(p, packed->p, n - IC_HEADER_SIZE);
        } else {
            memcpy(p, m->head.p, m->head.n);
            if (m->body.n) {
                memcpy(p + m->head.n, m->body.p, m->body.n);
            }
        }
    }
    ib_block_unref(packed);
    return d;
}

int ic_udp_send(struct ic_udp *u, const struct ic_out *m, size_t max)
{
    if (IC_HEADER_SIZE + m->head.n + m->body.n > max && !m->compress) {
        return IB_EDATAGRAMLIMIT;
    }
    struct ic_datagram *d = datagram_new(u, m);
    if (!d) {
        return IB_ENOMEM;
    }
    if (d->n > max) {
        free(d);
        return IB_EDATAGRAMLIMIT;
    }
    if (u->resolving && u->waiting_bytes + d->n <= WAITING_MAX) {
        *u->waiting_tail = d;
        u->waiting_tail = &d->next;
        u->waiting_bytes += d->n;
        return 0;
    }
    put(u, d->p, d->n);
    free(d);
    return 0;
}
