/* SPDX-License-Identifier: Apache-2.0 */
/* An adapter's sockets, and what of them it tells others (ice-protocol 16.2): wildcard hosts become the addresses of
   this machine's interfaces. */
#include "rpc_priv.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define ADDRESSES_MAX 16u /* of one host name */

static int no_memory(struct ib_err *err)
{
    return ib_err_set(err, IB_ENOMEM, "%s", ib_err_text(IB_ENOMEM));
}

static void on_accept(void *arg, struct ic_conn *net)
{
    struct ir_adapter_listener *l = arg;
    struct ir_adapter *a = l->adapter;
    if (a->state != IR_AD_ACTIVE || !ir_conn_accept(a, net, l->timeout))
        ic_conn_detach(net);
}

static struct ic_conn_config conn_config(const struct ir_adapter *a, const struct iw_endpoint *ep)
{
    const struct ir_config *cfg = &a->rt->cfg;
    struct ic_conn_config cc = a->conn_config;
    cc.timeout_ms = ep->timeout;
    cc.connect_timeout_ms = cfg->connect_timeout != INT32_MIN ? cfg->connect_timeout : ep->timeout;
    cc.close_timeout_ms = cfg->close_timeout != INT32_MIN ? cfg->close_timeout : ep->timeout;
    return cc;
}

static int listen_one(struct ir_adapter *a, struct iw_endpoint *ep, struct ib_str publish_as, struct ib_err *err)
{
    if (a->rt->defaults.override_timeout != INT32_MIN)
        ep->timeout = a->rt->defaults.override_timeout;
    const struct ic_conn_config cc = conn_config(a, ep);
    struct ir_adapter_listener *l = &a->listeners[a->n_listeners];
    *l = (struct ir_adapter_listener){
        .adapter = a, .index = a->n_listeners, .timeout = ep->timeout, .publish_as = publish_as};
    l->listener = ic_listen(a->rt->loop, ep, a->tls, &cc, on_accept, l, err);
    if (!l->listener)
        return err && err->code ? ib_err_wrap(err, "object adapter `%s'", a->name) : IB_ESOCKET;
    a->n_listeners++;
    if (!a->mirrors)
        ir_trace_listen(a->rt, ic_listener_endpoint(l->listener));
    return 0;
}

static bool is_wildcard(struct ib_str host)
{
    return !host.n || ib_str_is(host, "*") || ib_str_is(host, "0.0.0.0") || ib_str_is(host, "::") ||
           ib_str_is(host, "0:0:0:0:0:0:0:0");
}

/* A resolver knows ::1 even where IPv6 is switched off. */
static bool can_bind(const struct addrinfo *ai)
{
    int fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC, ai->ai_protocol);
    bool ok = fd >= 0 && bind(fd, ai->ai_addr, ai->ai_addrlen) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

/* The addresses of a host name, IPv4 first; none for a wildcard. Resolving blocks: adapters are made before the loop
 * runs. */
static size_t host_addresses(struct ir_adapter *a, struct ib_str host, struct ib_str out[ADDRESSES_MAX])
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP}, *list = NULL;
    char text[NI_MAXHOST];
    size_t n = 0;
    if (is_wildcard(host) || getaddrinfo(ib_cstr(host), NULL, &hints, &list))
        return 0; /* listening says what is wrong */
    static const int families[] = {AF_INET, AF_INET6};
    for (int f = 0; f < 2; f++) {
        for (const struct addrinfo *ai = list; ai && n < ADDRESSES_MAX; ai = ai->ai_next) {
            if (ai->ai_family != families[f] || !can_bind(ai) ||
                getnameinfo(ai->ai_addr, ai->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST))
                continue;
            out[n] = ib_arena_strz(&a->arena, text);
            n += out[n].p != NULL;
        }
    }
    freeaddrinfo(list);
    return n;
}

/* 16.2: a name with several addresses listens on every one, and is published as the name when all have one port. */
static int listen_all(struct ir_adapter *a, struct iw_endpoint *ep, struct ib_err *err)
{
    struct ib_str addresses[ADDRESSES_MAX];
    size_t n = host_addresses(a, ep->host, addresses);
    if (n < 2)
        return listen_one(a, ep, IB_STR(""), err);
    int r = 0;
    for (size_t i = 0; i < n && !r; i++) {
        struct iw_endpoint one = *ep;
        one.host = addresses[i];
        r = listen_one(a, &one, ep->port ? ep->host : IB_STR(""), err);
    }
    return r;
}

static int blame(const struct ir_adapter *a, const char *name, const char *hint, struct ib_err *err)
{
    char key[300];
    snprintf(key, sizeof(key), "%s.%s", a->name, name);
    const char *origin = ir_properties_origin(a->rt->props, key);
    return origin[0] ? ib_err_wrap(err, "property %s (%s)%s", key, origin, hint)
                     : ib_err_wrap(err, "property %s%s", key, hint);
}

int ir_adapter_listen(struct ir_adapter *a, const char *endpoints, struct ib_err *err)
{
    struct iw_endpoint *eps = NULL;
    size_t n = 0;
    if (!*endpoints)
        return 0;
    struct ir_proxy_defaults d = a->rt->defaults;
    d.has_ssl = a->rt->cfg.ssl;
    int r = ir_endpoints_parse(ib_str(endpoints), true, &d, &a->arena, &eps, &n, err);
    if (r && !a->rt->cfg.ssl && (strstr(endpoints, "ssl") || strstr(endpoints, "wss")))
        blame(a, "Endpoints", " (ssl and wss need Ice.Plugin.IceSSL=IceSSL:createIceSSL)", err);
    else if (r)
        blame(a, "Endpoints", "", err);
    if (r)
        return r;
    a->listeners = IB_ARENA_ARRAY(&a->arena, (n ? n : 1) * ADDRESSES_MAX, struct ir_adapter_listener);
    if (!a->listeners)
        return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        if (eps[i].opaque)
            return ib_err_set(err, IB_EUNSUPPORTED,
                              "object adapter `%s': only tcp, ssl, ws, wss and udp endpoints can be served", a->name);
        r = eps[i].type == IW_EP_UDP ? ir_datagram_listen(a, &eps[i], err) : listen_all(a, &eps[i], err);
        if (r)
            return r;
    }
    return 0;
}

/* --- one socket, several loops ------------------------------------------------------------------------------------ */

int ir_adapter_mirror(struct ir_adapter *a, const struct ir_adapter *of, struct ib_err *err)
{
    const struct iw_proxy published = {.n_endpoints = of->n_published, .endpoints = of->published};
    const struct iw_proxy *copy = iw_proxy_copy(&published, &a->arena);
    a->listeners = IB_ARENA_ARRAY(&a->arena, of->n_listeners ? of->n_listeners : 1, struct ir_adapter_listener);
    if (!copy || !a->listeners)
        return no_memory(err);
    a->mirrors = true;
    a->published = copy->endpoints;
    a->n_published = copy->n_endpoints;
    for (size_t i = 0; i < of->n_listeners; i++) {
        const struct ic_listener *theirs = of->listeners[i].listener;
        const struct ic_conn_config cc = conn_config(a, ic_listener_endpoint(theirs));
        struct ir_adapter_listener *l = &a->listeners[i];
        *l = (struct ir_adapter_listener){.adapter = a, .index = i, .timeout = of->listeners[i].timeout};
        l->listener = ic_listener_mirror(a->rt->loop, theirs, a->tls, &cc, on_accept, l);
        if (!l->listener)
            return no_memory(err);
        a->n_listeners++;
    }
    return 0;
}

static bool on_socket(void *arg, int fd)
{
    const struct ir_adapter_listener *l = arg;
    return l->adapter->on_socket(l->adapter->on_socket_arg, l->index, fd);
}

void ir_adapter_on_socket(struct ir_adapter *a, bool (*fn)(void *arg, size_t listener, int fd), void *arg)
{
    a->on_socket = fn;
    a->on_socket_arg = arg;
    for (size_t i = 0; i < a->n_listeners; i++)
        ic_listener_on_socket(a->listeners[i].listener, on_socket, &a->listeners[i]);
}

void ir_adapter_take(struct ir_adapter *a, size_t listener, int fd)
{
    if (listener < a->n_listeners)
        ic_listener_take(a->listeners[listener].listener, fd);
    else
        close(fd);
}

bool ir_adapter_has_free_ports(struct ir_runtime *rt, const char *name)
{
    static const char *const others[] = {"PublishedEndpoints", "AdapterId"};
    struct ir_proxy_defaults d = rt->defaults;
    struct iw_endpoint *eps = NULL;
    struct ib_arena arena;
    char key[300];
    size_t n = 0;
    d.has_ssl = rt->cfg.ssl;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        snprintf(key, sizeof(key), "%s.%s", name, others[i]);
        if (*ir_properties_get(rt->props, key))
            return false;
    }
    snprintf(key, sizeof(key), "%s.Endpoints", name);
    ib_arena_init(&arena, 0);
    bool free_ports =
        ir_endpoints_parse(ib_str(ir_properties_get(rt->props, key)), true, &d, &arena, &eps, &n, NULL) == 0;
    for (size_t i = 0; i < n; i++)
        free_ports = free_ports && eps[i].port == 0;
    ib_arena_fini(&arena);
    return free_ports;
}

/* --- publishing ----------------------------------------------------------------------------------------------- */

static int publish_add(struct ir_adapter *a, const struct iw_endpoint *ep, size_t cap)
{
    for (size_t i = 0; i < a->n_published; i++) {
        if (iw_endpoint_equal(&a->published[i], ep))
            return 0;
    }
    if (a->n_published == cap)
        return IB_ELIMIT;
    a->published[a->n_published++] = *ep;
    return 0;
}

static bool address_text(const struct sockaddr *sa, bool ipv4_only, bool loopback, char *out)
{
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof(in));
        bool is_loop = (ntohl(in.sin_addr.s_addr) >> 24) == 127;
        return is_loop == loopback && inet_ntop(AF_INET, &in.sin_addr, out, INET6_ADDRSTRLEN);
    }
    if (sa->sa_family == AF_INET6 && !ipv4_only) {
        struct sockaddr_in6 in;
        memcpy(&in, sa, sizeof(in));
        if (IN6_IS_ADDR_LINKLOCAL(&in.sin6_addr) || IN6_IS_ADDR_LOOPBACK(&in.sin6_addr) != loopback)
            return false;
        return inet_ntop(AF_INET6, &in.sin6_addr, out, INET6_ADDRSTRLEN) != NULL;
    }
    return false;
}

/* One endpoint per address of the interfaces; loopback only when there is nothing else. */
static int publish_interfaces(struct ir_adapter *a, const struct iw_endpoint *ep, struct ifaddrs *list, bool ipv4_only,
                              bool loopback, size_t cap)
{
    char text[INET6_ADDRSTRLEN];
    for (struct ifaddrs *i = list; i; i = i->ifa_next) {
        if (!i->ifa_addr || !(i->ifa_flags & IFF_UP) || !address_text(i->ifa_addr, ipv4_only, loopback, text))
            continue;
        struct iw_endpoint e = *ep;
        e.host = ib_arena_strz(&a->arena, text);
        if (!e.host.p)
            return IB_ENOMEM;
        int r = publish_add(a, &e, cap);
        if (r)
            return r;
    }
    return 0;
}

static int publish_wildcard(struct ir_adapter *a, const struct iw_endpoint *ep, struct ifaddrs *list, size_t cap)
{
    bool ipv4_only = ib_str_is(ep->host, "0.0.0.0") || ir_properties_int_or(a->rt->props, NULL, "Ice.IPv6", 1) == 0;
    size_t before = a->n_published;
    int r = publish_interfaces(a, ep, list, ipv4_only, false, cap);
    if (!r && a->n_published == before)
        r = publish_interfaces(a, ep, list, ipv4_only, true, cap);
    return r;
}

static size_t count_addresses(const struct ifaddrs *list)
{
    size_t n = 1;
    for (; list; list = list->ifa_next)
        n++;
    return n;
}

int ir_adapter_publish(struct ir_adapter *a, const char *published, struct ib_err *err)
{
    if (*published) {
        int rc = ir_endpoints_parse(ib_str(published), false, &a->rt->defaults, &a->arena, &a->published,
                                    &a->n_published, err);
        return rc ? blame(a, "PublishedEndpoints", "", err) : 0;
    }
    struct ifaddrs *list = NULL;
    if (getifaddrs(&list))
        return ib_err_set(err, IB_ESOCKET, "object adapter `%s': cannot list the network interfaces", a->name);
    const struct iw_endpoint *udp;
    size_t n_udp = 0;
    while (ir_datagram_endpoint(a, n_udp))
        n_udp++;
    size_t cap = (a->n_listeners + n_udp) * count_addresses(list);
    int r = 0;
    a->published = IB_ARENA_ARRAY(&a->arena, cap ? cap : 1, struct iw_endpoint);
    if (!a->published)
        r = IB_ENOMEM;
    for (size_t i = 0; i < a->n_listeners && !r; i++) {
        struct iw_endpoint ep = *ic_listener_endpoint(a->listeners[i].listener);
        if (a->listeners[i].publish_as.n)
            ep.host = a->listeners[i].publish_as;
        r = is_wildcard(ep.host) ? publish_wildcard(a, &ep, list, cap) : publish_add(a, &ep, cap);
    }
    for (size_t i = 0; (udp = ir_datagram_endpoint(a, i)) != NULL && !r; i++)
        r = is_wildcard(udp->host) ? publish_wildcard(a, udp, list, cap) : publish_add(a, udp, cap);
    freeifaddrs(list);
    return r ? no_memory(err) : 0;
}
