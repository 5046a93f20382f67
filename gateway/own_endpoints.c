/* SPDX-License-Identifier: Apache-2.0 */
/* The router's own endpoints, and whether a proxy names one of them. Ports are compared first, so that requests to
   anywhere else cost next to nothing. */
#include "own_endpoints.h"

#include <ifaddrs.h>
#include <netdb.h>
#include <sys/socket.h>

#include <moulin/base/clock.h>
#include <moulin/rpc/adapter.h>

#define NAMES_MAX 16 /* addresses of one host name */
#define MACHINE_MS 1000

static bool is_stream(const struct iw_endpoint *ep)
{
    return !ep->opaque && ep->type != IW_EP_UDP;
}

static uint64_t port_bit(int port)
{
    return UINT64_C(1) << ((unsigned)port & 63);
}

static void append(struct gw_own *own, enum gw_place place, const struct gw_host *host, bool wildcard, int port)
{
    own->v[own->n++] = (struct gw_own_endpoint){.place = place, .wildcard = wildcard, .port = port, .host = *host};
    own->ports |= port_bit(port);
}

static bool is_wildcard(struct ib_str host)
{
    return host.n == 0 || ib_str_is(host, "*") || ib_str_is(host, "0.0.0.0") || ib_str_is(host, "::") ||
           ib_str_is(host, "0:0:0:0:0:0:0:0");
}

static void append_resolved(struct gw_own *own, enum gw_place place, const struct iw_endpoint *ep)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    struct gw_host h;
    if (getaddrinfo(ib_cstr(ep->host), NULL, &hints, &list) != 0) {
        return; /* it is bound: the name was known a moment ago, and still is what proxies say */
    }
    size_t n = 0;
    for (const struct addrinfo *a = list; a && n < NAMES_MAX; a = a->ai_next) {
        if (gw_host_from_sockaddr(a->ai_addr, &h)) {
            append(own, place, &h, false, ep->port);
            n++;
        }
    }
    freeaddrinfo(list);
}

static void append_bound(struct gw_own *own, enum gw_place place, const struct iw_endpoint *ep)
{
    struct gw_host h = {0};
    bool wildcard = is_wildcard(ep->host);
    if (wildcard || gw_host_read(ep->host, &h)) {
        append(own, place, &h, wildcard, ep->port);
    }
    if (!wildcard && !h.is_address) {
        append_resolved(own, place, ep);
    }
}

int gw_own_add(struct gw_own *own, const struct ir_adapter *a, enum gw_place place, struct ib_arena *arena)
{
    size_t n_published = 0, n_bound = 0;
    if (!a) {
        return 0;
    }
    const struct iw_endpoint *published = ir_adapter_endpoints(a, &n_published);
    while (ir_adapter_bound(a, n_bound)) {
        n_bound++;
    }
    struct gw_own_endpoint *v =
        IB_ARENA_ARRAY(arena, own->n + n_published + n_bound * (NAMES_MAX + 1), struct gw_own_endpoint);
    if (!v) {
        return IB_ENOMEM;
    }
    if (own->n) {
        memcpy(v, own->v, own->n * sizeof(*v));
    }
    own->v = v;
    for (size_t i = 0; i < n_bound; i++) {
        append_bound(own, place, ir_adapter_bound(a, i));
    }
    for (size_t i = 0; i < n_published; i++) {
        struct gw_host h;
        if (is_stream(&published[i]) && gw_host_read(published[i].host, &h)) {
            append(own, place, &h, false, published[i].port);
        }
    }
    return 0;
}

/* Addresses come and go: they are asked for again when the last answer is old. Those beyond the limit, and all when
   there is no answer, count as this machine's: better refused than reached. */
static bool is_address_of_machine(struct gw_own *own, const struct gw_address *address)
{
    int64_t now = ib_clock_ms();
    if (now >= own->machine_until) {
        struct ifaddrs *list = NULL;
        struct gw_host h;
        own->n_machine = getifaddrs(&list) == 0 ? 0 : GW_MACHINE_MAX;
        for (const struct ifaddrs *i = list; i && own->n_machine < GW_MACHINE_MAX; i = i->ifa_next) {
            if (i->ifa_addr && gw_host_from_sockaddr(i->ifa_addr, &h)) {
                own->machine[own->n_machine++] = h.address;
            }
        }
        freeifaddrs(list);
        own->machine_until = now + MACHINE_MS;
    }
    for (size_t i = 0; own->n_machine < GW_MACHINE_MAX && i < own->n_machine; i++) {
        if (gw_address_within(address, &own->machine[i], 128)) {
            return true;
        }
    }
    return own->n_machine == GW_MACHINE_MAX;
}

static bool names(struct gw_own *own, const struct gw_own_endpoint *e, const struct gw_host *host)
{
    if (e->wildcard) {
        return gw_host_is_loopback(host) || (host->is_address && is_address_of_machine(own, &host->address));
    }
    if (e->host.is_address && !host->is_address) {
        return gw_host_is_loopback(&e->host) && gw_host_is_loopback(host); /* localhost */
    }
    return strcmp(e->host.canonical, host->canonical) == 0;
}

enum gw_place gw_own_place(struct gw_own *own, const struct gw_host *host, int port)
{
    enum gw_place place = GW_ELSEWHERE;
    for (size_t i = 0; i < own->n; i++) {
        const struct gw_own_endpoint *e = &own->v[i];
        if (e->port == port && e->place > place && names(own, e, host)) {
            place = e->place;
        }
    }
    return place;
}

/* An endpoint without a host is this machine. */
enum gw_place gw_own_place_of(struct gw_own *own, const struct iw_proxy *prx)
{
    enum gw_place place = GW_ELSEWHERE;
    for (size_t i = 0; i < prx->n_endpoints; i++) {
        const struct iw_endpoint *ep = &prx->endpoints[i];
        bool possible = false;
        for (size_t k = 0; (own->ports & port_bit(ep->port)) && is_stream(ep) && k < own->n; k++) {
            possible = possible || own->v[k].port == ep->port;
        }
        struct gw_host h;
        if (possible && gw_host_read(ep->host.n ? ep->host : IB_STR("127.0.0.1"), &h)) {
            enum gw_place p = gw_own_place(own, &h, ep->port);
            place = p > place ? p : place;
        }
    }
    return place;
}
