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

/* A request on its way: what its answer goes to. Lives in the request's arena. */
struct gw_relay {
    struct ir_request *rq;
    const struct iw_proxy *target; /* for the text of a failure; may be NULL */
    bool hides; /* Moulin.Gateway.HideErrors, and the caller is a client */
    struct ib_list node; /* queue->answers: twoway callbacks, until the session ends */
    struct gw_queue *queue;
    size_t bytes;
    const struct gw_direction *back; /* replies to a client: what bounds them; else NULL */
};

static void relay_done(struct gw_relay *w)
{
    if (!ib_list_empty(&w->node)) {
        ib_list_remove(&w->node);
        w->queue->answer_bytes -= w->bytes;
        w->queue->n_answers--;
    }
}

void gw_relays_orphan(struct gw_queue *q)
{
    while (!ib_list_empty(&q->answers)) {
        relay_done(IB_CONTAINER(q->answers.next, struct gw_relay, node));
    }
}

/* A oneway counts as dispatched until it is on its way: a client that sends faster than the server reads is held
   back by the limit of its own connection. */
static void on_oneway_sent(void *arg, const struct ir_result *r)
{
    struct gw_relay *w = arg;
    (void)r;
    relay_done(w);
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

static void relay_failure(const struct gw_relay *w, const struct ib_err *err)
{
    if (w->hides) {
        gw_hide_failure(w->rq, err);
    } else if (err->code == IB_ENOENDPOINT && w->target) {
        fail_no_endpoint(w->rq, w->target);
    } else if (err->code == IB_ENOTREGISTERED && w->target) {
        fail_not_registered(w->rq, w->target);
    } else {
        fail(w->rq, err);
    }
}

bool gw_reply_overflows(struct ir_request *rq, const struct gw_direction *back, size_t n, struct ir_conn *from)
{
    struct ir_conn *conn = ir_request_conn(rq);
    struct gw_client *c = gw_client_of(rq);
    size_t queued = conn ? ic_conn_queued(ir_conn_net(conn)) : 0;
    if (queued == 0 || queued + n <= back->max_bytes) {
        return false;
    }
    if (back->overflow == GW_OVERFLOW_HOLD && from && ir_conn_hold_back(from, conn)) {
        return false;
    }
    bool closes = back->overflow == GW_OVERFLOW_DISCONNECT;
    if (c && c->session) {
        c->session->counters.dropped[GW_TO_CLIENT]++;
        gw_overflow_warn(c->session, closes ? "its connection is closed" : "answers to it are replaced by a failure");
    }
    if (closes) {
        ir_conn_close(conn, true);
    }
    gw_overflow_fail(rq);
    return true;
}

static void on_reply(void *arg, const struct ir_result *r)
{
    struct gw_relay *w = arg;
    relay_done(w);
    if (r->outcome == IR_FAILED_LOCAL) {
        relay_failure(w, &r->err);
    } else if ((!w->back || !gw_reply_overflows(w->rq, w->back, r->raw.n, r->conn)) &&
               (!w->hides || !gw_hide_status(w->rq, r->raw_status, r->raw))) {
        ir_request_reply_raw(w->rq, r->raw_status, r->raw, r->block);
    }
}

/* Unbuffered: the caller hears whether a oneway could be handed over (9). */
static void on_sent(void *arg, const struct ir_result *r)
{
    struct gw_relay *w = arg;
    relay_done(w);
    if (r->outcome == IR_FAILED_LOCAL) {
        relay_failure(w, &r->err);
    } else {
        gw_end_oneway(w->rq);
    }
}

/* Dies with the request. The target is copied only when a failure may name it: when it has to be located, or has
   perhaps no endpoint of the kind that is asked for. */
static struct gw_relay *relay_new(struct gw_session *s, const struct gw_sending *w, const struct iw_proxy *target)
{
    struct gw_relay *relay = IB_ARENA_NEW(ir_request_arena(w->rq), struct gw_relay);
    if (!relay) {
        return NULL;
    }
    bool may_lack = target && (target->n_endpoints == 0 || target->secure || w->mode.datagram);
    bool from_client = gw_client_of(w->rq) != NULL; /* clients call each other's objects, too */
    relay->rq = w->rq;
    relay->hides = from_client && s->router->config.filters.hide_errors;
    relay->back = from_client ? &s->router->config.server : NULL;
    relay->target = may_lack ? iw_proxy_copy(target, ir_request_arena(w->rq)) : NULL;
    ib_list_init(&relay->node);
    if (w->way == GW_TO_SERVER) {
        return relay;
    }
    relay->queue = gw_queue_of(s, GW_TO_CLIENT);
    if (!relay->queue) {
        return NULL;
    }
    relay->bytes = w->raw.params.n + w->raw.context_raw.n;
    relay->queue->answer_bytes += relay->bytes;
    relay->queue->n_answers++;
    ib_list_append(&relay->queue->answers, &relay->node);
    return relay;
}

/* A client's connection takes no datagrams, and a plain one cannot be made secure. */
static bool has_no_endpoint(const struct gw_forward_mode *m, struct ir_conn *conn)
{
    struct ic_conn_info info;
    if (!conn) {
        return false;
    }
    if (!m->secure || m->datagram) {
        return m->datagram && !m->batch; /* a batch of datagrams leaves as one of oneways (3.7.8 too) */
    }
    ic_conn_get_info(ir_conn_net(conn), &info);
    return !info.secure;
}

/* What the proxy says in the text of a failure. */
static uint8_t proxy_mode(const struct gw_forward_mode *m)
{
    if (m->datagram) {
        return m->batch ? IW_BATCH_DATAGRAM : IW_DATAGRAM;
    }
    return !m->oneway ? IW_TWOWAY : m->batch ? IW_BATCH_ONEWAY : IW_ONEWAY;
}

/* Sent behind what the server has not read: the one who fills that queue is read again when it is short. */
static void hold_back(const struct gw_sending *w, struct ir_conn *to)
{
    struct ir_conn *from = w->rq ? ir_request_conn(w->rq) : NULL;
    if (to && from && w->way == GW_TO_SERVER) {
        (void)ir_conn_hold_back(from, to); /* else the limits of its own connection hold it */
    }
}

void gw_forward_deliver(struct gw_session *s, const struct gw_sending *w)
{
    struct ir_request *rq = w->rq;
    const struct gw_forward_mode *m = &w->mode;
    struct ir_conn *conn = w->way == GW_TO_CLIENT ? s->client->conn : NULL;
    bool waits = rq && ir_request_info(rq)->request_id != 0; /* for an answer, or to hear that it was sent */
    struct iw_proxy prx = {.id = w->raw.id, .protocol = {1, 0}, .encoding = IW_ENCODING_1_1};
    if (w->target) {
        prx = *w->target;
    }
    prx.has_facet = w->raw.has_facet;
    prx.facet = w->raw.facet;
    prx.secure = m->secure;
    prx.mode = proxy_mode(m);
    s->counters.forwarded[w->way] += w->way == GW_TO_CLIENT || w->d->buffered; /* else when it came: 17 */
    if (has_no_endpoint(m, conn)) {
        if (waits && !conn && s->router->config.filters.hide_errors) {
            gw_hide_failure(rq, &(struct ib_err){IB_ENOENDPOINT, "no suitable endpoint available"});
        } else if (waits) {
            fail_no_endpoint(rq, &prx);
        } else if (rq) {
            gw_end_oneway(rq);
        }
        return;
    }
    const struct ir_call_options opt = {.conn = conn,
                                        .compress = m->compress ? 1 : 0,
                                        .datagram = m->datagram && !conn,
                                        .guard = conn ? 0 : gw_target_guard(s->router, &prx),
                                        .batch = m->batch  ? IR_BATCH_YES
                                                 : w->many ? IR_BATCH_IF_MANY
                                                           : IR_BATCH_NO};
    /* A oneway to a client is over for its sender: a slow client must not hold the server back. */
    bool over = !rq || (!waits && m->oneway && w->way == GW_TO_CLIENT);
    ir_reply_fn fn = over ? NULL : !waits ? on_oneway_sent : m->oneway ? on_sent : on_reply;
    struct gw_relay *relay = fn ? relay_new(s, w, conn || !waits ? NULL : &prx) : NULL;
    struct ir_call *call = relay || !fn ? ir_call_raw(s->router->rt, &prx, &w->raw, &opt, fn, relay) : NULL;
    struct ir_conn *to = call ? ir_call_conn(call) : NULL;
    hold_back(w, to);
    if (w->many && to) {
        gw_run_start(s, w, to);
    }
    if (rq && (over || (!waits && (!call || ir_call_is_over(call))))) {
        if (relay) {
            relay_done(relay);
        }
        gw_end_oneway(rq);
    } else if (rq && !call) {
        if (relay) {
            relay_done(relay);
        }
        ir_request_fail_local(rq, IB_ENOMEM, NULL);
    }
}

void gw_forward_send(struct gw_session *s, struct ir_request *rq, const struct iw_proxy *target, enum gw_way way,
                     struct ib_span context)
{
    const struct gw_config *c = &s->router->config;
    const struct ir_request_info *info = ir_request_info(rq);
    struct gw_sending w = {.rq = rq, .way = way, .target = target};
    w.d = way == GW_TO_SERVER ? &c->client : &c->server;
    w.mode = gw_forward_mode(s->router, w.d, rq);
    w.override = w.d->buffered ? gw_context_override(rq) : IB_STR("");
    w.many = info->type == IC_BATCH && w.mode.oneway && !w.mode.batch && !w.mode.datagram;
    w.raw = ir_raw_from(info);
    w.raw.context_raw = context;
    w.raw.oneway = w.mode.oneway;
    gw_queue_put(s, &w);
}

static void tell_filtered(struct gw_router *r, struct gw_session *s, struct ir_request *rq, unsigned failed)
{
    char text[512], names[80] = "";
    static const char *const filters[] = {"category filter", "identity filter", "adapter id filter"};
    for (size_t i = 0; i < 3; i++) {
        if (failed & 1u << i) {
            size_t n = strlen(names);
            (void)snprintf(names + n, sizeof(names) - n, "%s%s", n ? ", " : "", filters[i]);
        }
    }
    const struct ib_str id = ir_identity_format(&ir_request_info(rq)->id, IR_UNICODE, ir_request_arena(rq));
    gw_audit_proxy_refused(s, names, id);
    if (r->config.client.trace_reject >= 1) {
        ib_log_trace(ir_runtime_log(r->rt), "Glacier2", "rejecting request: %s\nidentity: %s", names,
                     ib_log_escape(id, text, sizeof(text)));
    }
}

/* 6.1, from the session on. */
static void route(struct gw_router *r, struct gw_session *s, struct ir_request *rq)
{
    const struct ir_request_info *info = ir_request_info(rq);
    const struct iw_proxy *target = info->id.name.n ? gw_routes_find(&s->routes, &info->id) : NULL;
    struct ib_span context;
    s->counters.forwarded[GW_TO_SERVER] += !r->config.client.buffered; /* buffered: what is taken from the queue */
    if (info->params_err != 0) {
        ir_request_fail_local(rq, info->params_err, NULL);
        return;
    }
    if (!target) {
        r->stats.requests_rejected++;
        ir_request_fail_as(rq, IR_OBJECT_NOT_EXIST, &info->id, info->facet, IB_STR("ice_add_proxy"));
        return;
    }
    unsigned failed = gw_filter_check(&s->filter, &info->id, target->adapter_id);
    if (failed) {
        tell_filtered(r, s, rq, failed);
        r->stats.requests_rejected++;
        ir_request_fail(rq, IR_OBJECT_NOT_EXIST, NULL);
        return;
    }
    const struct ir_context_entry *own = r->config.add_connection_context == 1 ? s->con_context : NULL;
    if (gw_context_forward(&r->config.client, own, own ? s->n_con_context : 0, rq, &context) != 0) {
        ir_request_fail_local(rq, IB_ENOMEM, NULL);
        return;
    }
    if (r->config.client.trace_request >= 1) {
        gw_trace_routing(r, rq, target, false);
    }
    if (gw_target_is_own(r, rq, target)) {
        return;
    }
    s->traffic.requests++;
    gw_forward_send(s, rq, target, GW_TO_SERVER, context);
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
