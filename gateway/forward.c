/* SPDX-License-Identifier: Apache-2.0 */
/* Client to server: every request on the client adapter that is not for the router or the finder. Bodies are moved by
   reference and never decoded (glacier2-router 6). */
#include "router.h"

#include <stdio.h>

static bool is_for(const struct ir_request_info *info, const struct iw_identity *id)
{
    return info->facet.n == 0 && iw_identity_equal(&info->id, id);
}

void gw_end_oneway(struct ir_request *rq)
{
    const struct ir_request_info *info = ir_request_info(rq);
    const uint8_t empty[6] = {6, 0, 0, 0, info->encoding.major, info->encoding.minor};
    ir_request_reply_raw(rq, IR_OK, (struct ib_span){empty, sizeof(empty)}, NULL);
}

/* What a caller is told when the way to the server failed: Ice's own words (13), and nothing of the network behind. */
static void fail(struct ir_request *rq, const struct ib_err *err)
{
    static const struct {
        int code;
        const char *text;
    } texts[] = {
        {IB_EREFUSED, "connection refused: Connection refused"},
        {IB_ECONNECTTIMEOUT, "timeout while establishing a connection"},
        {IB_ETIMEOUT, "timeout while sending or receiving data"},
        {IB_ELOST, "connection lost: recv() returned zero"},
        {IB_ECLOSED, "protocol error: connection closed"},
        {IB_EINVTIMEOUT, "invocation has timed out"},
        {IB_EDNS, "DNS error: Name or service not known"},
        {IB_EREPLYSTATUS, "protocol error: unknown reply status"},
        {IB_EMEMLIMIT, "protocol error: memory limit exceeded"},
        {IB_ECONNECT, "connect failed"},
        {IB_ESECURITY, "security exception"},
        {IB_ESOCKET, "socket exception"},
    };
    const char *text = err->text;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (texts[i].code == err->code) {
            text = texts[i].text;
        }
    }
    ir_request_fail_local(rq, err->code, text);
}

/* A twoway call on its way: what its answer goes to. */
struct relay {
    struct ir_request *rq;
    const struct iw_proxy *target; /* in the request's arena: for the text of a failure */
};

/* A oneway counts as dispatched until it is on its way: a client that sends faster than the server reads is held
   back by the limit of its own connection. */
static void on_oneway_sent(void *arg, const struct ir_result *r)
{
    const struct relay *w = arg;
    (void)r;
    gw_end_oneway(w->rq);
}

static void fail_no_endpoint(struct ir_request *rq, const struct iw_proxy *prx)
{
    struct ib_arena *a = ir_request_arena(rq);
    const struct ib_str text = ir_proxy_format(prx, IR_UNICODE, a);
    const struct ib_str reason = ib_arena_printf(a, "no suitable endpoint available for proxy `%s'", ib_cstr(text));
    ir_request_fail_local(rq, IB_ENOENDPOINT, ib_cstr(reason));
}

static void fail_not_registered(struct ir_request *rq, const struct iw_proxy *prx)
{
    struct ib_arena *a = ir_request_arena(rq);
    bool adapter = prx->adapter_id.n > 0;
    const struct ib_str id = adapter ? prx->adapter_id : ir_identity_format(&prx->id, IR_UNICODE, a);
    const struct ib_str reason = ib_arena_printf(a, "no %s with id `%.*s' is registered",
                                                 adapter ? "object adapter" : "object", (int)id.n, ib_cstr(id));
    ir_request_fail_local(rq, IB_ENOTREGISTERED, ib_cstr(reason));
}

static void relay_failure(const struct relay *w, const struct ib_err *err)
{
    if (err->code == IB_ENOENDPOINT && w->target) {
        fail_no_endpoint(w->rq, w->target);
    } else if (err->code == IB_ENOTREGISTERED && w->target) {
        fail_not_registered(w->rq, w->target);
    } else {
        fail(w->rq, err);
    }
}

static void on_reply(void *arg, const struct ir_result *r)
{
    const struct relay *w = arg;
    struct ir_request *rq = w->rq;
    if (r->outcome == IR_FAILED_LOCAL) {
        relay_failure(w, &r->err);
    } else {
        ir_request_reply_raw(rq, r->raw_status, r->raw, r->block);
    }
}

/* Unbuffered: the caller hears whether a oneway could be handed over (9). */
static void on_sent(void *arg, const struct ir_result *r)
{
    const struct relay *w = arg;
    if (r->outcome == IR_FAILED_LOCAL) {
        relay_failure(w, &r->err);
    } else {
        gw_end_oneway(w->rq);
    }
}

/* Dies with the request. The target is copied only when a failure may name it: when it has to be located, or has
   perhaps no secure endpoint. */
static struct relay *relay_new(struct ir_request *rq, const struct iw_proxy *target)
{
    struct relay *w = IB_ARENA_NEW(ir_request_arena(rq), struct relay);
    if (w) {
        bool may_lack = target && (target->n_endpoints == 0 || target->secure);
        w->rq = rq;
        w->target = may_lack ? iw_proxy_copy(target, ir_request_arena(rq)) : NULL;
    }
    return w;
}

/* Datagrams have no transport here yet, and a plain connection cannot be made secure. */
static bool has_no_endpoint(const struct gw_forward_mode *m, struct ir_conn *conn)
{
    struct ic_conn_info info;
    if (!conn || !m->secure) {
        return m->datagram;
    }
    ic_conn_get_info(ir_conn_net(conn), &info);
    return !info.secure;
}

void gw_forward_send(struct gw_router *r, struct ir_request *rq, const struct iw_proxy *target, struct ir_conn *conn,
                     const struct gw_direction *d, struct ib_span context)
{
    const struct ir_request_info *info = ir_request_info(rq);
    const struct gw_forward_mode m = gw_forward_mode(r, rq);
    bool relays = !m.oneway && info->request_id != 0;
    bool reports = m.oneway && info->request_id != 0 && !d->buffered;
    struct iw_proxy prx = *target;
    prx.has_facet = info->has_facet;
    prx.facet = info->facet;
    prx.secure = m.secure;
    prx.mode = m.oneway ? IW_ONEWAY : IW_TWOWAY;
    if (has_no_endpoint(&m, conn)) {
        if (relays || reports) {
            fail_no_endpoint(rq, &prx);
        } else {
            gw_end_oneway(rq);
        }
        return;
    }
    const struct ir_raw_request raw = {.id = info->id,
                                       .has_facet = info->has_facet,
                                       .facet = info->facet,
                                       .operation = info->operation,
                                       .mode = info->mode,
                                       .context_raw = context,
                                       .params = info->params,
                                       .block = info->block,
                                       .oneway = m.oneway};
    const struct ir_call_options opt = {.conn = conn, .compress = m.compress ? 1 : 0};
    bool answered = !relays && !reports && info->request_id != 0; /* at once: the caller waits for nothing (9) */
    ir_reply_fn fn = relays ? on_reply : reports ? on_sent : answered ? NULL : on_oneway_sent;
    bool tells = relays || reports;
    struct relay *w = fn ? relay_new(rq, conn || !tells ? NULL : &prx) : NULL;
    struct ir_call *call = w || !fn ? ir_call_raw(r->rt, &prx, &raw, &opt, fn, w) : NULL;
    if (!fn || (!tells && (!call || ir_call_is_over(call)))) {
        gw_end_oneway(rq);
    } else if (!call) {
        ir_request_fail_local(rq, IB_ENOMEM, NULL);
    }
}

static void trace_filtered(const struct gw_router *r, struct ir_request *rq, unsigned failed)
{
    char text[512], names[80] = "";
    static const char *const filters[] = {"category filter", "identity filter", "adapter id filter"};
    if (r->config.client.trace_reject < 1) {
        return;
    }
    for (size_t i = 0; i < 3; i++) {
        if (failed & 1u << i) {
            size_t n = strlen(names);
            (void)snprintf(names + n, sizeof(names) - n, "%s%s", n ? ", " : "", filters[i]);
        }
    }
    const struct ib_str id = ir_identity_format(&ir_request_info(rq)->id, IR_UNICODE, ir_request_arena(rq));
    ib_log_trace(ir_runtime_log(r->rt), "Glacier2", "rejecting request: %s\nidentity: %s", names,
                 ib_log_escape(id, text, sizeof(text)));
}

static void trace_routing(const struct gw_router *r, struct ir_request *rq, const struct iw_proxy *target)
{
    char proxy[512], operation[128];
    if (r->config.client.trace_request < 1) {
        return;
    }
    const struct ir_request_info *info = ir_request_info(rq);
    const struct ib_str text = ir_proxy_format(target, IR_UNICODE, ir_request_arena(rq));
    ib_log_trace(ir_runtime_log(r->rt), "Glacier2", "routing (%s)\nproxy = %s\noperation = %s",
                 r->config.client.buffered ? "buffered" : "not buffered", ib_log_escape(text, proxy, sizeof(proxy)),
                 ib_log_escape(info->operation, operation, sizeof(operation)));
}

/* 6.1, from the session on. */
static void route(struct gw_router *r, struct gw_session *s, struct ir_request *rq)
{
    const struct ir_request_info *info = ir_request_info(rq);
    const struct iw_proxy *target = info->id.name.n ? gw_routes_find(&s->routes, &info->id) : NULL;
    struct ib_span context;
    if (info->params_err != 0) {
        ir_request_fail_local(rq, info->params_err, NULL);
        return;
    }
    if (!target) {
        ir_request_fail_as(rq, IR_OBJECT_NOT_EXIST, &info->id, info->facet, IB_STR("ice_add_proxy"));
        return;
    }
    unsigned failed = gw_filter_check(&s->filter, &info->id, target->adapter_id);
    if (failed) {
        trace_filtered(r, rq, failed);
        ir_request_fail(rq, IR_OBJECT_NOT_EXIST, NULL);
        return;
    }
    const struct ir_context_entry *own = r->config.add_connection_context == 1 ? s->con_context : NULL;
    if (gw_context_forward(&r->config.client, own, own ? s->n_con_context : 0, rq, &context) != 0) {
        ir_request_fail_local(rq, IB_ENOMEM, NULL);
        return;
    }
    trace_routing(r, rq, target);
    gw_forward_send(r, rq, target, NULL, &r->config.client, context);
}

bool gw_forward_request(void *router, struct ir_request *rq)
{
    struct gw_router *r = router;
    const struct ir_request_info *info = ir_request_info(rq);
    if (is_for(info, &r->id) || is_for(info, &r->finder_id)) {
        return true;
    }
    struct gw_session *s = gw_client_need_session(r, rq);
    if (s) {
        route(r, s, rq);
    }
    return false;
}
