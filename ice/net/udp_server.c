/* SPDX-License-Identifier: Apache-2.0 */
/* A socket that receives datagrams, alone or as a member of a multicast group. */
#include <moulin/net/udp.h>

#include "frame.h"
#include "loop_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DATAGRAM_MAX 65535
#define DATAGRAMS_PER_ROUND 32

struct ic_udp_server {
    struct ic_loop *loop; /* borrows */
    struct iw_endpoint ep; /* strings are owned */
    ic_datagram_fn on_datagram;
    void *arg;
    int fd; /* -1: stopped */
    struct event *event; /* owns; NULL: not started */
    uint8_t *buffer; /* owns; DATAGRAM_MAX bytes */
    bool delivering, freed; /* freed by its own on_datagram */
};

/* --- binding ------------------------------------------------------------------------------------------------------ */

static bool is_multicast(const struct sockaddr_storage *a)
{
    if (a->ss_family == AF_INET)
        return IN_MULTICAST(ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr));
    return a->ss_family == AF_INET6 && IN6_IS_ADDR_MULTICAST(&((const struct sockaddr_in6 *)a)->sin6_addr);
}

static int resolve(const struct ic_udp_server *s, struct sockaddr_storage *out, socklen_t *n, struct ib_err *err)
{
    const char *host = s->ep.host.p;
    const char *any = !*host || strcmp(host, "*") == 0 ? "0.0.0.0" : host;
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *list;
    char service[16];
    snprintf(service, sizeof service, "%d", s->ep.port);
    int rc = getaddrinfo(any, service, &hints, &list);
    if (rc != 0)
        return ib_err_set(err, IB_EDNS, "cannot resolve `%s': %s", host, gai_strerror(rc));
    memcpy(out, list->ai_addr, list->ai_addrlen);
    *n = list->ai_addrlen;
    freeaddrinfo(list);
    return 0;
}

static int join_v4(int fd, struct in_addr group, unsigned index, const struct in_addr *address)
{
    struct ip_mreqn m = {.imr_multiaddr = group, .imr_ifindex = (int)index};
    if (address)
        m.imr_address = *address;
    return setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof m);
}

static int join_v6(int fd, const struct in6_addr *group, unsigned index)
{
    const struct ipv6_mreq m = {.ipv6mr_multiaddr = *group, .ipv6mr_interface = index};
    return setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m, sizeof m);
}

/* The index of the interface that has this address; 0: none. */
static unsigned index_of_address(const char *text)
{
    struct in6_addr v6;
    struct in_addr v4;
    struct ifaddrs *list;
    unsigned index = 0;
    bool is6 = inet_pton(AF_INET6, text, &v6) == 1, is4 = inet_pton(AF_INET, text, &v4) == 1;
    if ((!is4 && !is6) || getifaddrs(&list) != 0)
        return 0;
    for (const struct ifaddrs *i = list; i && !index; i = i->ifa_next) {
        const struct sockaddr *a = i->ifa_addr;
        if (a && is4 && a->sa_family == AF_INET &&
            ((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr == v4.s_addr)
            index = if_nametoindex(i->ifa_name);
        else if (a && is6 && a->sa_family == AF_INET6 &&
                 memcmp(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr, &v6, sizeof v6) == 0)
            index = if_nametoindex(i->ifa_name);
    }
    freeifaddrs(list);
    return index;
}

static int join_one(int fd, const struct sockaddr_storage *group, unsigned index)
{
    if (group->ss_family == AF_INET)
        return join_v4(fd, ((const struct sockaddr_in *)group)->sin_addr, index, NULL);
    return join_v6(fd, &((const struct sockaddr_in6 *)group)->sin6_addr, index);
}

/* The kernel refuses interfaces that are down or cannot multicast: whichever take it are enough. */
static int join_all(int fd, const struct sockaddr_storage *group)
{
    struct if_nameindex *list = if_nameindex();
    int joined = 0;
    for (const struct if_nameindex *i = list; i && i->if_index; i++)
        joined += join_one(fd, group, i->if_index) == 0;
    if (list)
        if_freenameindex(list);
    return joined ? 0 : -1;
}

static int join(const struct ic_udp_server *s, const struct sockaddr_storage *group, struct ib_err *err)
{
    const char *name = s->ep.mcast_interface.p;
    int rc;
    if (!*name || strcmp(name, "*") == 0) {
        rc = join_all(s->fd, group);
    } else {
        unsigned index = if_nametoindex(name);
        if (!index)
            index = index_of_address(name);
        if (!index)
            return ib_err_set(err, IB_ESOCKET, "there is no network interface `%s': give its name or address", name);
        rc = join_one(s->fd, group, index);
    }
    return rc == 0 ? 0
                   : ib_err_set(err, IB_ESOCKET, "cannot join the multicast group `%s'%s%s: %s", s->ep.host.p,
                                *name ? " on " : "", name, strerror(errno));
}

static int bind_socket(struct ic_udp_server *s, struct ib_err *err)
{
    struct sockaddr_storage a = {0};
    socklen_t n;
    int on = 1, off = 0;
    int rc = resolve(s, &a, &n, err);
    if (rc)
        return rc;
    s->fd = socket(a.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
    bool multicast = is_multicast(&a);
    if (s->fd >= 0 && multicast) {
        setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on); /* several registries of a host share a group */
        if (a.ss_family == AF_INET)
            setsockopt(s->fd, IPPROTO_IP, IP_MULTICAST_ALL, &off, sizeof off); /* only what this socket joined */
    }
    if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&a, n) < 0)
        return ib_err_set(err, IB_ESOCKET, "cannot receive datagrams on `%s' port %d: %s", s->ep.host.p,
                          (int)s->ep.port, strerror(errno));
    if (multicast && (rc = join(s, &a, err)) != 0)
        return rc;
    if (getsockname(s->fd, (struct sockaddr *)&a, &n) == 0)
        s->ep.port = ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port
                                                   : ((struct sockaddr_in *)&a)->sin_port);
    return 0;
}

/* --- receiving ---------------------------------------------------------------------------------------------------- */

/* Everything that is not exactly one request or batch is dropped without a word: anybody can send it. */
static void deliver(struct ic_udp_server *s, size_t n)
{
    struct ic_header h;
    struct ib_err err;
    struct ib_block *block = NULL;
    if (n < IC_HEADER_SIZE || ic_header_parse(s->buffer, DATAGRAM_MAX, &h, &err) != 0 || (size_t)h.size != n ||
        (h.type != IC_REQUEST && h.type != IC_BATCH))
        return;
    struct ib_span body = {s->buffer + IC_HEADER_SIZE, n - IC_HEADER_SIZE};
    if (h.compression == IC_COMPRESS_DONE) {
        if (ic_decompress(body, 1 << 20, &block, &err) != 0)
            return;
    } else {
        block = ib_block_new(body.n);
        if (!block)
            return;
        memcpy(block->p, body.p, body.n);
    }
    const struct ic_frame f = {h.type, h.compression, {block->p, block->n}, block};
    s->on_datagram(s->arg, &f);
    ib_block_unref(block);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct ic_udp_server *s = arg;
    (void)what;
    s->delivering = true;
    for (int i = 0; i < DATAGRAMS_PER_ROUND && s->event; i++) {
        ssize_t n = recv(fd, s->buffer, DATAGRAM_MAX, MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0)
            break;
        if (n <= DATAGRAM_MAX)
            deliver(s, (size_t)n);
    }
    s->delivering = false;
    if (s->freed)
        ic_udp_server_free(s);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static int copy(struct ib_str *s)
{
    s->p = strndup(ib_cstr(*s), s->n);
    return s->p ? 0 : IB_ENOMEM;
}

struct ic_udp_server *ic_udp_listen(struct ic_loop *loop, const struct iw_endpoint *ep, ic_datagram_fn on_datagram,
                                    void *arg, struct ib_err *err)
{
    struct ic_udp_server *s = calloc(1, sizeof *s);
    if (!s) {
        ib_err_set(err, IB_ENOMEM, "out of memory");
        return NULL;
    }
    *s = (struct ic_udp_server){.loop = loop, .ep = *ep, .on_datagram = on_datagram, .arg = arg, .fd = -1};
    s->ep.source_address = s->ep.resource = IB_STR("");
    int rc = copy(&s->ep.host);
    int rc2 = copy(&s->ep.mcast_interface);
    s->buffer = malloc(DATAGRAM_MAX);
    if (rc || rc2 || !s->buffer)
        rc = ib_err_set(err, IB_ENOMEM, "out of memory");
    else
        rc = bind_socket(s, err);
    if (!rc)
        return s;
    ic_udp_server_free(s);
    return NULL;
}

void ic_udp_server_start(struct ic_udp_server *s)
{
    if (s->fd < 0 || s->event)
        return;
    s->event = event_new(s->loop->base, s->fd, EV_READ | EV_PERSIST, on_readable, s);
    if (!s->event || event_add(s->event, NULL) < 0)
        ic_udp_server_stop(s);
}

void ic_udp_server_stop(struct ic_udp_server *s)
{
    if (s->event)
        event_free(s->event);
    s->event = NULL;
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

void ic_udp_server_free(struct ic_udp_server *s)
{
    if (!s)
        return;
    ic_udp_server_stop(s);
    s->freed = true;
    if (s->delivering)
        return;
    free((void *)(uintptr_t)s->ep.host.p);
    free((void *)(uintptr_t)s->ep.mcast_interface.p);
    free(s->buffer);
    free(s);
}

const struct iw_endpoint *ic_udp_server_endpoint(const struct ic_udp_server *s)
{
    return &s->ep;
}
