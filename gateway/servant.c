/* SPDX-License-Identifier: Apache-2.0 */
/* The router and the router finder as objects of the client adapter (glacier2-router 3). */
#include "router.h"

#include <slice/Glacier2/Router.h>
#include <slice/Glacier2/Router_rpc.h>

static struct iw_identity dummy(struct ib_str category)
{
    return (struct iw_identity){.name = IB_STR("dummy"), .category = category};
}

/* --- Ice::Router -------------------------------------------------------------------------------------------------- */

static void get_client_proxy(void *self, struct ir_request *rq, const struct Ice_Router_getClientProxy_in *in)
{
    struct gw_router *r = self;
    struct Ice_Router_getClientProxy_out out = {.has_hasRoutingTable = true, .hasRoutingTable = true};
    (void)in;
    if (!gw_client_need_session(r, rq)) {
        return;
    }
    if (r->config.return_client_proxy) {
        const struct iw_identity id = dummy(IB_STR(""));
        out.ret = ir_adapter_direct_proxy(r->client, &id, ir_request_arena(rq));
    }
    Ice_Router_getClientProxy_reply(rq, &out);
}

static void get_server_proxy(void *self, struct ir_request *rq, const struct Ice_Router_getServerProxy_in *in)
{
    struct gw_router *r = self;
    struct Ice_Router_getServerProxy_out out = {0};
    (void)in;
    struct gw_session *s = gw_client_need_session(r, rq);
    if (!s) {
        return;
    }
    if (r->server) {
        const struct iw_identity id = dummy(ib_str(s->token));
        out.ret = ir_adapter_direct_proxy(r->server, &id, ir_request_arena(rq));
    }
    Ice_Router_getServerProxy_reply(rq, &out);
}

static void trace_route(const struct gw_router *r, struct ir_request *rq, const char *what, const struct iw_proxy *prx)
{
    char text[512];
    const struct ib_str proxy = ir_proxy_format(prx, IR_UNICODE, ir_request_arena(rq));
    ib_log_trace(ir_runtime_log(r->rt), "Glacier2", "%s\n%s", what, ib_log_escape(proxy, text, sizeof(text)));
}

/* What had to leave the table, copied into the answer. */
static int evict(struct gw_session *s, struct ir_request *rq, size_t most, struct Ice_ObjectProxySeq *out)
{
    struct gw_route *gone;
    while (out->n < most && (gone = gw_routes_evict(&s->routes))) {
        struct iw_proxy *copy = iw_proxy_copy(gw_route_proxy(gone), ir_request_arena(rq));
        gw_route_free(gone);
        if (!copy) {
            return IB_ENOMEM;
        }
        if (s->router->config.trace_routing_table >= 2) {
            trace_route(s->router, rq, "evicting proxy from routing table:", copy);
        }
        out->v[out->n++] = copy;
    }
    return 0;
}

static void add_proxies(void *self, struct ir_request *rq, const struct Ice_Router_addProxies_in *in)
{
    struct gw_router *r = self;
    struct gw_session *s = gw_client_need_session(r, rq);
    if (!s) {
        return;
    }
    /* All or nothing; a client that asks for what it must not have is cut off. */
    if (!gw_target_may_add(s, rq, in->proxies.n, in->proxies.v)) {
        struct ir_conn *conn = ir_request_conn(rq);
        if (conn) {
            ir_conn_close(conn, true);
        }
        ir_request_fail(rq, IR_OBJECT_NOT_EXIST, NULL); /* into the void */
        return;
    }
    int level = r->config.trace_routing_table, rc = 0;
    size_t most = in->proxies.n + gw_routes_count(&s->routes);
    struct Ice_Router_addProxies_out out = {0};
    out.ret.v = IB_ARENA_ARRAY(ir_request_arena(rq), most, struct iw_proxy *);
    for (size_t i = 0; out.ret.v && rc == 0 && i < in->proxies.n; i++) {
        const struct iw_proxy *prx = in->proxies.v[i];
        bool known = false;
        if (!prx) {
            continue;
        }
        rc = gw_routes_add(&s->routes, prx, &known);
        if (level == 1 || level >= 3) {
            trace_route(r, rq, known ? "proxy already in routing table:" : "adding proxy to routing table:", prx);
        }
        rc = rc ? rc : evict(s, rq, most, &out.ret);
    }
    if (rc != 0 || !out.ret.v) {
        ir_request_fail_local(rq, IB_ENOMEM, NULL);
    } else {
        Ice_Router_addProxies_reply(rq, &out);
    }
}

/* --- Glacier2::Router --------------------------------------------------------------------------------------------- */

static void get_category(void *self, struct ir_request *rq, const struct Glacier2_Router_getCategoryForClient_in *in)
{
    struct gw_router *r = self;
    struct Glacier2_Router_getCategoryForClient_out out = {.ret = IB_STR("")};
    (void)in;
    if (r->server) {
        struct gw_session *s = gw_client_need_session(r, rq);
        if (!s) {
            return;
        }
        out.ret = ib_str(s->token);
    }
    Glacier2_Router_getCategoryForClient_reply(rq, &out);
}

static void create_session(void *self, struct ir_request *rq, const struct Glacier2_Router_createSession_in *in)
{
    gw_login(self, rq, in->userId, in->password, false);
}

static void create_session_ssl(void *self, struct ir_request *rq,
                               const struct Glacier2_Router_createSessionFromSecureConnection_in *in)
{
    (void)in;
    gw_login(self, rq, IB_STR(""), IB_STR(""), true);
}

static void refresh_session(void *self, struct ir_request *rq, const struct Glacier2_Router_refreshSession_in *in)
{
    struct gw_client *c = gw_client_of(rq);
    (void)self;
    (void)in;
    if (c && c->session) {
        gw_session_ping(c->session, rq);
    } else {
        Glacier2_SessionNotExistException_throw(rq, NULL);
    }
}

static void destroy_session(void *self, struct ir_request *rq, const struct Glacier2_Router_destroySession_in *in)
{
    struct gw_client *c = gw_client_of(rq);
    (void)self;
    (void)in;
    if (c && c->session) {
        gw_session_end(c->session, GW_END_CLIENT);
        Glacier2_Router_destroySession_reply(rq, NULL);
    } else {
        Glacier2_SessionNotExistException_throw(rq, NULL);
    }
}

static void get_session_timeout(void *self, struct ir_request *rq,
                                const struct Glacier2_Router_getSessionTimeout_in *in)
{
    const struct gw_router *r = self;
    const struct Glacier2_Router_getSessionTimeout_out out = {.ret = r->config.session_timeout_s};
    (void)in;
    Glacier2_Router_getSessionTimeout_reply(rq, &out);
}

static void get_acm_timeout(void *self, struct ir_request *rq, const struct Glacier2_Router_getACMTimeout_in *in)
{
    const struct gw_router *r = self;
    const struct Glacier2_Router_getACMTimeout_out out = {.ret = r->config.acm_timeout_s};
    (void)in;
    Glacier2_Router_getACMTimeout_reply(rq, &out);
}

static const struct Glacier2_Router_servant router_vtable = {
    .getClientProxy = get_client_proxy,
    .getServerProxy = get_server_proxy,
    .addProxies = add_proxies,
    .getCategoryForClient = get_category,
    .createSession = create_session,
    .createSessionFromSecureConnection = create_session_ssl,
    .refreshSession = refresh_session,
    .destroySession = destroy_session,
    .getSessionTimeout = get_session_timeout,
    .getACMTimeout = get_acm_timeout,
};

/* --- Ice::RouterFinder -------------------------------------------------------------------------------------------- */

static void get_router(void *self, struct ir_request *rq, const struct Ice_RouterFinder_getRouter_in *in)
{
    struct gw_router *r = self;
    (void)in;
    const struct Ice_RouterFinder_getRouter_out out = {
        .ret = ir_adapter_direct_proxy(r->client, &r->id, ir_request_arena(rq))};
    Ice_RouterFinder_getRouter_reply(rq, &out);
}

static const struct Ice_RouterFinder_servant finder_vtable = {.getRouter = get_router};

/* Callbacks that have crossed to another worker cannot be held back there (Overflow=hold), only here. */
static void accept_server(void *router, struct ir_conn *conn)
{
    const struct gw_router *r = router;
    const struct gw_direction *d = &r->config.server;
    if (r->crew->n > 1 && d->overflow == GW_OVERFLOW_HOLD) {
        ir_conn_set_limits(conn, &(struct ir_limits){d->max_messages, d->max_messages, d->max_bytes / 2});
    }
}

int gw_servants_add(struct gw_router *r)
{
    r->router_servant = (struct ir_servant){.iface = &Glacier2_Router_iface, .vtable = &router_vtable, .self = r};
    r->finder_servant = (struct ir_servant){.iface = &Ice_RouterFinder_iface, .vtable = &finder_vtable, .self = r};
    r->callback_servant = (struct ir_servant){.self = r, .raw = gw_callback_request};
    r->id = (struct iw_identity){.name = IB_STR("router"), .category = ib_str(r->config.instance)};
    r->finder_id = (struct iw_identity){.name = IB_STR("RouterFinder"), .category = IB_STR("Ice")};
    ir_adapter_set_filter(r->client, gw_forward_request, r);
    ir_adapter_on_connection(r->client, gw_client_accept, r);
    ir_adapter_set_batched(r->client, gw_forward_batched, r);
    if (r->server) {
        ir_adapter_set_batched(r->server, gw_forward_batched, r);
        ir_adapter_on_connection(r->server, accept_server, r);
    }
    int rc = ir_adapter_add(r->client, &r->id, "", &r->router_servant);
    rc = rc ? rc : ir_adapter_add(r->client, &r->finder_id, "", &r->finder_servant);
    return rc || !r->server ? rc : ir_adapter_set_default(r->server, IB_STR(""), &r->callback_servant);
}
