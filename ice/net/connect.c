/* SPDX-License-Identifier: Apache-2.0 */
/* Outgoing connections: the name is resolved, its addresses are tried in turn until one is validated. What is needed
   for that is freed as soon as the connection is active. */
#include "conn_priv.h"
#include "resolve.h"

#include <moulin/base/clock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ic_connecting {
    struct ic_tls *tls; /* shares */
    struct ic_resolve *resolving; /* NULL when answered */
    struct addrinfo *list, *next; /* owns */
    char *source, *resource; /* own */
    int port;
    int16_t type;
    struct ib_err last; /* why the address before failed */
    char host[]; /* as in the endpoint */
};

void ic_connecting_free(struct ic_connecting *k)
{
    if (!k) {
        return;
    }
    if (k->resolving) {
        ic_resolve_cancel(k->resolving);
    }
    ic_resolve_free(k->list);
    ic_tls_unref(k->tls);
    free(k->source);
    free(k->resource);
    free(k);
}

/* Transport over the connected or connecting socket fd, which it takes; on failure fd is closed. */
static struct ic_tp *stack(struct ic_conn *c, const struct ic_connecting *k, int fd, struct ib_err *err)
{
    struct ic_tp *tp;
    if (c->ep_type == IW_EP_SSL || c->ep_type == IW_EP_WSS) {
        tp = ic_tls_tp_new(fd, true, k->tls, k->host, c->loop, err);
    } else {
        tp = ic_tcp_new(fd, true);
    }
    if (!tp) {
        evutil_closesocket(fd);
    } else if (c->ws) {
        struct ic_tp *ws = ic_ws_new(tp, k->host, k->port, k->resource, (size_t)c->cfg.message_size_max);
        if (!ws) {
            tp->ops->free(tp);
        }
        tp = ws;
    }
    return tp;
}

static bool may_connect(const struct ic_conn *c, const struct addrinfo *a)
{
    const struct ic_connecting *k = c->connecting;
    const struct iw_endpoint ep = {.type = k->type, .port = k->port, .host = ib_str(k->host)};
    return !c->cfg.may_connect || c->cfg.may_connect(c->cfg.may_connect_arg, &ep, a->ai_addr);
}

static int try_address(struct ic_conn *c, const struct addrinfo *a)
{
    struct ic_connecting *k = c->connecting;
    int fd;
    if (!may_connect(c, a)) {
        return ib_err_set(&k->last, IB_EREFUSED, "connections to this address are not allowed");
    }
    if (ic_tcp_connect(a->ai_addr, a->ai_addrlen, k->source, &fd, &k->last) < 0) {
        return k->last.code;
    }
    ib_err_set(&k->last, IB_ENOMEM, "out of memory");
    struct ic_tp *tp = stack(c, k, fd, &k->last);
    if (!tp) {
        return k->last.code;
    }
    int left = 1;
    for (const struct addrinfo *n = a->ai_next; n; n = n->ai_next) {
        left++;
    }
    if (c->connect_by && left > 1) { /* an address that swallows everything must not take the others' time */
        int64_t now = ib_clock_ms();
        c->attempt_by = now + (c->connect_by - now) / left;
    } else {
        c->attempt_by = 0;
    }
    ic_conn_timer(c);
    ic_conn_adopt(c, tp);
    return 0;
}

static void give_up(struct ic_conn *c)
{
    struct ic_connecting *k = c->connecting;
    struct ib_err err = k->last;
    ib_err_wrap(&err, "cannot connect to %s port %d", *k->host ? k->host : "127.0.0.1", k->port);
    ic_conn_finish(c, err.code, err.text);
}

void ic_connecting_retry(struct ic_conn *c)
{
    struct ic_connecting *k = c->connecting;
    while (k && k->next && c->state == IC_ST_CONNECTING && !c->tp) {
        struct addrinfo *a = k->next;
        k->next = a->ai_next;
        if (try_address(c, a) == 0) {
            return;
        }
    }
    if (k && c->state == IC_ST_CONNECTING && !c->tp) {
        give_up(c);
    }
}

bool ic_connecting_next(struct ic_conn *c, const struct ib_err *why)
{
    struct ic_connecting *k = c->connecting;
    k->last = *why;
    if (c->state != IC_ST_CONNECTING) {
        ic_conn_move(c, IC_ST_CONNECTING);
    }
    if (c->tp) {
        if (c->io_mask) {
            event_del(&c->io);
            c->io_mask = 0;
        }
        c->tp->ops->free(c->tp);
        c->tp = NULL;
    }
    ic_conn_in_fini(c);
    c->attempt_by = 0;
    c->blocked = c->read_writes = c->write_reads = false;
    if (!k->next) {
        give_up(c);
    } else {
        ic_conn_do(c, IC_DO_RETRY);
    }
    return true;
}

static void on_resolved(void *arg, struct addrinfo *list, const struct ib_err *err)
{
    struct ic_conn *c = arg;
    struct ic_connecting *k = c->connecting;
    k->resolving = NULL;
    if (err) {
        k->last = *err;
    }
    if (c->ev->on_resolved) {
        c->ev->on_resolved(c->arg, c, err);
    }
    k->list = k->next = list;
    ic_connecting_retry(c);
}

static char *copy(struct ib_str s)
{
    return strndup(ib_cstr(s), s.n);
}

static struct ic_connecting *connecting_new(const struct iw_endpoint *ep, struct ic_tls *tls)
{
    struct ic_connecting *k = calloc(1, sizeof *k + ep->host.n + 1);
    if (!k) {
        return NULL;
    }
    memcpy(k->host, ib_cstr(ep->host), ep->host.n);
    k->port = ep->port;
    k->type = ep->type;
    k->tls = tls ? ic_tls_ref(tls) : NULL;
    k->source = copy(ep->source_address);
    k->resource = copy(ep->resource.n ? ep->resource : IB_STR("/"));
    if (!k->source || !k->resource) {
        ic_connecting_free(k);
        return NULL;
    }
    return k;
}

/* Whatever is wrong with the endpoint is told by on_close, as any other failure. */
static const char *refusal(const struct iw_endpoint *ep, const struct ic_tls *tls)
{
    bool secure = ep->type == IW_EP_SSL || ep->type == IW_EP_WSS;
    if (!secure && ep->type != IW_EP_TCP && ep->type != IW_EP_WS) {
        return "not an endpoint one can connect to";
    }
    if (secure && !tls) {
        return "TLS is not configured: set the IceSSL properties and load the IceSSL plug-in";
    }
    if (ep->port < 1 || ep->port > 65535) {
        return "the endpoint has no valid port";
    }
    return NULL;
}

struct ic_conn *ic_connect(struct ic_loop *loop, const struct iw_endpoint *ep, struct ic_tls *tls,
                           const struct ic_conn_config *cfg, const struct ic_conn_events *ev, void *arg)
{
    const char *no = refusal(ep, tls);
    struct ic_conn *c = ic_conn_new(loop, cfg, no ? IW_EP_TCP : ep->type, false);
    if (!c) {
        return NULL;
    }
    c->ev = ev;
    c->arg = arg;
    if (no) {
        ic_conn_finish(c, IB_EINVAL, no);
        return c;
    }
    struct ic_listener *local = ic_listener_local(loop, ep);
    if (local && cfg->may_connect && !cfg->may_connect(cfg->may_connect_arg, ep, NULL)) {
        ic_conn_finish(c, IB_EREFUSED, "connections to this endpoint are not allowed");
        return c;
    }
    if (local) {
        c->pipe = true;
        c->ws = false;
        ic_listener_join(local, c);
        return c;
    }
    c->connecting = connecting_new(ep, tls);
    if (c->connecting) {
        c->connecting->resolving = ic_resolve(loop, c->connecting->host, ep->port, on_resolved, c);
    }
    if (!c->connecting || !c->connecting->resolving) {
        ic_conn_finish(c, IB_ENOMEM, NULL);
    }
    return c;
}
