/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets, and the table through which connections inside the process find each other. */
#include "conn_priv.h"

#include <errno.h>
#include <event2/util.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ACCEPTS_PER_ROUND 32
#define PAUSE_MS 1000 /* after running out of descriptors */

struct ic_listener {
    struct ib_list node; /* in loop->listeners */
    struct ic_loop *loop;
    struct iw_endpoint ep; /* strings are owned */
    struct ic_tls *tls; /* shares */
    struct ic_networks *balancers; /* shares; whose connections begin with a PROXY header; NULL: nobody's */
    struct ic_conn_config cfg;
    ic_accept_fn on_accept;
    void *arg;
    bool (*on_socket)(void *arg, int fd); /* NULL: everything accepted is its own */
    void *on_socket_arg;
    bool mirror; /* never has a socket */
    int fd; /* -1: stopped */
    struct sockaddr_storage bound; /* where it listens, or did */
    socklen_t bound_n;
    struct event *event; /* owns; NULL: not accepting */
    struct ic_timer pause;
    struct ib_list waiting; /* in-process connections made before the start */
};

static char *copy(struct ib_str s)
{
    return strndup(ib_cstr(s), s.n);
}

void ic_listener_free(struct ic_listener *l)
{
    if (!l) {
        return;
    }
    ic_listener_stop(l);
    ic_timer_fini(&l->pause);
    ic_tls_unref(l->tls);
    ic_networks_unref(l->balancers);
    free((void *)(uintptr_t)l->ep.host.p);
    free((void *)(uintptr_t)l->ep.resource.p);
    free(l);
}

/* The host of an adapter is resolved once, before the loop runs: blocking is allowed here. */
static int addresses(const char *host, int port, struct addrinfo **list, struct ib_err *err)
{
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    bool any = !*host || strcmp(host, "*") == 0;
    if (any) {
        hints.ai_family = AF_INET6;
    }
    int rc = getaddrinfo(any ? NULL : host, service, &hints, list);
    if (rc != 0 && any) {
        hints.ai_family = AF_INET;
        rc = getaddrinfo(NULL, service, &hints, list);
    }
    return rc == 0 ? 0 : ib_err_set(err, IB_EDNS, "cannot resolve `%s': %s", host, gai_strerror(rc));
}

static int bind_socket(const struct addrinfo *a)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (fd < 0) {
        return -1;
    }
    int on = 1, off = 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (a->ai_family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    }
    if (bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    ic_tcp_options(fd); /* accepted sockets inherit them */
    return fd;
}

static int listen_on(struct ic_listener *l, struct ib_err *err)
{
    const char *host = l->ep.host.p;
    struct addrinfo *list;
    int rc = addresses(host, l->ep.port, &list, err);
    if (rc < 0) {
        return rc;
    }
    l->fd = bind_socket(list);
    int failed = errno;
    if (l->fd < 0 && list->ai_family == AF_INET6 && failed == EAFNOSUPPORT && (!*host || strcmp(host, "*") == 0)) {
        freeaddrinfo(list); /* a kernel without IPv6 */
        rc = addresses("0.0.0.0", l->ep.port, &list, err);
        if (rc < 0) {
            return rc;
        }
        l->fd = bind_socket(list);
        failed = errno;
    }
    freeaddrinfo(list);
    if (l->fd < 0) {
        return ib_err_set(
            err, IB_ESOCKET, "cannot listen on `%s' port %d: %s%s", host, (int)l->ep.port, strerror(failed),
            failed == EADDRINUSE ? " (another process uses it: choose another port or stop that one)" : "");
    }
    l->bound_n = sizeof l->bound;
    if (getsockname(l->fd, (struct sockaddr *)&l->bound, &l->bound_n) == 0) {
        l->ep.port = ntohs(l->bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&l->bound)->sin6_port
                                                          : ((struct sockaddr_in *)&l->bound)->sin_port);
    }
    return 0;
}

static void on_pause_over(void *arg)
{
    struct ic_listener *l = arg;
    if (l->event) {
        event_add(l->event, NULL);
    }
}

static struct ic_listener *listener_new(struct ic_loop *loop, const struct iw_endpoint *ep, struct ic_tls *tls,
                                        const struct ic_conn_config *cfg, ic_accept_fn on_accept, void *arg)
{
    struct ic_listener *l = calloc(1, sizeof *l);
    if (!l) {
        return NULL;
    }
    ib_list_init(&l->node);
    ib_list_init(&l->waiting);
    l->loop = loop;
    l->fd = -1;
    l->ep = *ep;
    l->ep.source_address = l->ep.mcast_interface = (struct ib_str){"", 0};
    l->ep.host.p = copy(ep->host);
    l->ep.resource.p = copy(ep->resource);
    l->tls = tls ? ic_tls_ref(tls) : NULL;
    l->cfg = *cfg;
    l->on_accept = on_accept;
    l->arg = arg;
    ic_timer_init(&l->pause, loop, on_pause_over, l);
    if (!l->ep.host.p || !l->ep.resource.p) {
        ic_listener_free(l);
        return NULL;
    }
    return l;
}

struct ic_listener *ic_listener_mirror(struct ic_loop *loop, const struct ic_listener *of, struct ic_tls *tls,
                                       const struct ic_conn_config *cfg, ic_accept_fn on_accept, void *arg)
{
    struct ic_listener *l = listener_new(loop, &of->ep, tls, cfg, on_accept, arg);
    if (l) {
        l->mirror = true;
    }
    return l;
}

struct ic_listener *ic_listen(struct ic_loop *loop, const struct iw_endpoint *ep, struct ic_tls *tls,
                              const struct ic_conn_config *cfg, ic_accept_fn on_accept, void *arg, struct ib_err *err)
{
    bool secure = ep->type == IW_EP_SSL || ep->type == IW_EP_WSS;
    if (!secure && ep->type != IW_EP_TCP && ep->type != IW_EP_WS) {
        ib_err_set(err, IB_EUNSUPPORTED, "cannot listen on an endpoint of type %d", ep->type);
        return NULL;
    }
    if (secure && !ic_tls_has_cert(tls)) {
        ib_err_set(err, IB_ECONFIG, "cannot listen on a secure endpoint without a certificate: set IceSSL.CertFile");
        return NULL;
    }
    struct ic_listener *l = listener_new(loop, ep, tls, cfg, on_accept, arg);
    int rc = l ? listen_on(l, err) : ib_err_set(err, IB_ENOMEM, "out of memory");
    if (rc < 0) {
        ic_listener_free(l);
        return NULL;
    }
    ib_list_append(&loop->listeners, &l->node);
    return l;
}

static struct ic_tp *stack(struct ic_listener *l, int fd)
{
    struct ib_err err;
    bool secure = l->ep.type == IW_EP_SSL || l->ep.type == IW_EP_WSS;
    struct ic_tp *tp = secure ? ic_tls_tp_new(fd, false, l->tls, "", l->loop, &err) : ic_tcp_new(fd, false);
    if (!tp) {
        close(fd);
    } else if (l->ep.type == IW_EP_WS || l->ep.type == IW_EP_WSS) {
        struct ic_tp *ws = ic_ws_new(tp, "", 0, "", (size_t)l->cfg.message_size_max);
        if (!ws) {
            tp->ops->free(tp);
        }
        tp = ws;
    }
    return tp;
}

static bool comes_from_balancer(const struct ic_listener *l, const struct ic_conn *c)
{
    struct ic_conn_info info;
    if (!l->balancers) {
        return false;
    }
    ic_conn_get_info(c, &info);
    return ic_networks_contain(l->balancers, info.remote_host);
}

static void accepted(struct ic_listener *l, int fd)
{
    struct ic_tp *tp = stack(l, fd);
    struct ic_conn *c = tp ? ic_conn_new(l->loop, &l->cfg, l->ep.type, true) : NULL;
    if (!c) {
        if (tp) {
            tp->ops->free(tp);
        }
        return;
    }
    ic_conn_adopt(c, tp);
    ic_conn_addresses(c);
    if (comes_from_balancer(l, c) && ic_conn_expect_proxy(c) != 0) {
        ic_conn_finish(c, IB_ENOMEM, NULL);
    } else {
        ic_conn_do(c, IC_DO_START);
    }
    l->on_accept(l->arg, c);
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct ic_listener *l = arg;
    for (int i = 0; i < ACCEPTS_PER_ROUND && l->fd == fd && l->event; i++) {
        int s = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (s >= 0 && !(l->on_socket && l->on_socket(l->on_socket_arg, s))) {
            accepted(l, s);
        } else if (s >= 0) {
            continue;
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            /* The connection stays in the backlog; trying again at once would only burn the processor. */
            event_del(l->event);
            ic_timer_start(&l->pause, PAUSE_MS);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

static void join_now(struct ic_listener *l, struct ic_conn *c)
{
    struct ic_conn *in = ic_conn_new(l->loop, &l->cfg, l->ep.type, true);
    if (!in) {
        ic_conn_finish(c, IB_ENOMEM, NULL);
        return;
    }
    ic_pipe_start(c, in);
    l->on_accept(l->arg, in);
}

void ic_listener_start(struct ic_listener *l)
{
    if (l->fd < 0 || l->event) {
        return;
    }
    l->event = event_new(l->loop->base, l->fd, EV_READ | EV_PERSIST, on_acceptable, l);
    if (!l->event || event_add(l->event, NULL) < 0) {
        ic_listener_stop(l);
        return;
    }
    while (!ib_list_empty(&l->waiting)) {
        struct ic_conn *c = IB_CONTAINER(l->waiting.next, struct ic_conn, pending);
        ib_list_remove(&c->pending);
        join_now(l, c);
    }
}

void ic_listener_stop(struct ic_listener *l)
{
    ib_list_remove(&l->node);
    ic_timer_stop(&l->pause);
    if (l->event) {
        event_free(l->event);
        l->event = NULL;
    }
    if (l->fd >= 0) {
        close(l->fd);
        l->fd = -1;
    }
    while (!ib_list_empty(&l->waiting)) {
        struct ic_conn *c = IB_CONTAINER(l->waiting.next, struct ic_conn, pending);
        ic_conn_finish(c, IB_EREFUSED, NULL);
    }
}

int ic_listener_resume(struct ic_listener *l, struct ib_err *err)
{
    const struct addrinfo a = {.ai_family = l->bound.ss_family, /* as it was: no name is resolved here */
                               .ai_addr = (struct sockaddr *)&l->bound,
                               .ai_addrlen = l->bound_n};
    if (l->fd >= 0 || l->mirror) {
        return 0;
    }
    l->fd = bind_socket(&a);
    if (l->fd < 0) {
        return ib_err_set(err, IB_ESOCKET, "cannot listen on `%s' port %d again: %s", ib_cstr(l->ep.host),
                          (int)l->ep.port, strerror(errno));
    }
    ib_list_append(&l->loop->listeners, &l->node);
    ic_listener_start(l);
    return 0;
}

const struct iw_endpoint *ic_listener_endpoint(const struct ic_listener *l)
{
    return &l->ep;
}

void ic_listener_on_socket(struct ic_listener *l, bool (*fn)(void *arg, int fd), void *arg)
{
    l->on_socket = fn;
    l->on_socket_arg = arg;
}

void ic_listener_take(struct ic_listener *l, int fd)
{
    accepted(l, fd);
}

void ic_listener_set_tls(struct ic_listener *l, struct ic_tls *tls)
{
    struct ic_tls *old = l->tls;
    l->tls = tls ? ic_tls_ref(tls) : NULL;
    ic_tls_unref(old);
}

void ic_listener_set_balancers(struct ic_listener *l, struct ic_networks *balancers)
{
    struct ic_networks *old = l->balancers;
    l->balancers = balancers ? ic_networks_ref(balancers) : NULL;
    ic_networks_unref(old);
}

struct ic_listener *ic_listener_local(struct ic_loop *loop, const struct iw_endpoint *ep)
{
    IB_LIST_FOREACH(node, &loop->listeners)
    {
        struct ic_listener *l = IB_CONTAINER(node, struct ic_listener, node);
        if (l->ep.type == ep->type && l->ep.port == ep->port && ep->host.n && ib_str_eq(l->ep.host, ep->host)) {
            return l;
        }
    }
    return NULL;
}

void ic_listener_join(struct ic_listener *l, struct ic_conn *c)
{
    if (l->event) {
        join_now(l, c);
    } else {
        ib_list_append(&l->waiting, &c->pending);
    }
}
