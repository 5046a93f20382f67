/* SPDX-License-Identifier: Apache-2.0 */
/* The life of an outgoing call:

       RESOLVING -> CONNECTING -> SENT -> (reply)
           ^            |           |
           +---- WAITING / at once -+        any state -> DONE -> callback

   A call owns its encoded bytes until it ends, so that it can be sent again. Local failures always reach the caller by
   a deferred callback, never from inside a call of his. */
#include "rpc_priv.h"

#include <stdlib.h>

#define ANY_BUT_DONE                                                                                                   \
    (IB_SM_BIT(IR_CALL_RESOLVING) | IB_SM_BIT(IR_CALL_CONNECTING) | IB_SM_BIT(IR_CALL_SENT) |                          \
     IB_SM_BIT(IR_CALL_WAITING) | IB_SM_BIT(IR_CALL_DONE))

static const struct ib_sm_state call_states[IR_CALL_STATES] = {
    [IR_CALL_RESOLVING] = {"resolving", ANY_BUT_DONE},
    [IR_CALL_CONNECTING] = {"connecting", ANY_BUT_DONE},
    [IR_CALL_SENT] = {"sent", IB_SM_BIT(IR_CALL_RESOLVING) | IB_SM_BIT(IR_CALL_WAITING) | IB_SM_BIT(IR_CALL_DONE)},
    [IR_CALL_WAITING] = {"waiting", IB_SM_BIT(IR_CALL_RESOLVING) | IB_SM_BIT(IR_CALL_DONE)},
    [IR_CALL_DONE] = {"done", 0},
};

static void call_move(struct ir_call *c, enum ir_call_state next)
{
    ib_sm_move(call_states, IR_CALL_STATES, &c->state, next);
}

/* --- ending --------------------------------------------------------------------------------------------------- */

void ir_call_unlink(struct ir_call *c)
{
    ib_list_remove(&c->wait_node);
    ib_list_remove(&c->conn_node);
    ir_metrics_stop(&c->observed_sent);
    if (c->conn && c->request_id) {
        HASH_DEL(c->conn->outstanding, c);
        ic_conn_outstanding(c->conn->net, -1);
    }
    c->request_id = 0;
    c->conn = NULL;
}

static void call_free(struct ir_call *c)
{
    ir_call_unlink(c);
    ir_metrics_stop(&c->observed);
    ib_list_remove(&c->node);
    ic_loop_undefer(c->rt->loop, &c->deferred);
    ic_timer_fini(&c->deadline);
    ic_timer_fini(&c->delay);
    ib_block_unref(c->block);
    ir_call_give(c->rt, c);
}

void ir_call_finish(struct ir_call *c, const struct ir_result *r)
{
    ir_call_unlink(c);
    ib_list_remove(&c->node);
    ic_timer_stop(&c->deadline);
    if (c->observed) {
        ir_observe_result(c, r);
        ir_metrics_stop(&c->observed);
    }
    if (c->on_reply)
        c->on_reply(c->arg, r);
    call_free(c);
}

static void finish_deferred(void *arg)
{
    struct ir_call *c = arg;
    IB_UNINIT struct ir_result r;
    ir_result_init(&r, c);
    r.outcome = c->failure.code ? IR_FAILED_LOCAL : IR_SUCCESS;
    if (c->failure.code)
        r.err = c->failure;
    ir_call_finish(c, &r);
}

static void call_done(struct ir_call *c)
{
    call_move(c, IR_CALL_DONE);
    ic_timer_stop(&c->deadline);
    ic_timer_stop(&c->delay);
    ic_loop_defer(c->rt->loop, &c->deferred, finish_deferred, c);
}

void ir_call_fail(struct ir_call *c, int code, const char *text)
{
    ir_call_unlink(c);
    ib_err_set(&c->failure, code, "%s", text && *text ? text : ib_err_text(code));
    if (c->state != IR_CALL_DONE)
        call_done(c);
}

void ir_call_fail_all(struct ir_runtime *rt, int code)
{
    while (!ib_list_empty(&rt->calls)) {
        struct ir_call *c = IB_CONTAINER(rt->calls.next, struct ir_call, node);
        struct ir_result r = {.op = c->op, .arena = &c->arena, .outcome = IR_FAILED_LOCAL};
        ib_err_set(&r.err, code, "%s", ib_err_text(code));
        ir_call_finish(c, &r);
    }
}

void ir_call_cancel(struct ir_call *c)
{
    call_free(c);
}

static void on_deadline(void *arg)
{
    struct ir_call *c = arg;
    if (c->timeout == -2 && c->conn) /* 9.6: the connection goes too, and fails the call */
        ic_conn_abort(c->conn->net, IB_EACMTIMEOUT, "timeout while waiting for a reply");
    else
        ir_call_fail(c, IB_EINVTIMEOUT, NULL);
}

/* --- trying again --------------------------------------------------------------------------------------------- */

static void on_delay(void *arg)
{
    ir_call_begin(arg);
}

static void call_again(struct ir_call *c, int32_t delay)
{
    if (c->observed)
        ir_observe_retry(c);
    ir_call_unlink(c);
    if (delay == 0) {
        ir_call_begin(c);
        return;
    }
    call_move(c, IR_CALL_WAITING);
    ic_timer_start(&c->delay, delay);
}

static void retry_or_fail(struct ir_call *c, const struct ib_err *why, bool sent)
{
    struct ib_err e = *why; /* may be c->failure */
    int32_t delay = ir_retry_local(c, &e, sent);
    if (delay >= 0)
        call_again(c, delay);
    else
        ir_call_fail(c, e.code, e.text);
}

void ir_call_unsent(struct ir_call *c, const struct ib_err *why)
{
    c->failure = *why;
    if (c->state == IR_CALL_CONNECTING) {
        int r = ir_pool_join(c->rt->pool, c); /* next endpoint */
        if (!r)
            return;
        if (r != IB_ENOENDPOINT)
            ib_err_set(&c->failure, r, "%s", ib_err_text(r));
        if (c->from_cache && !c->second_lookup && c->rt->locator) {
            c->second_lookup = true; /* 18.2: what the cache said was stale: ask once, uncounted */
            ir_locator_forget(c->rt->locator, c->proxy);
            ir_call_begin(c);
            return;
        }
    }
    retry_or_fail(c, &c->failure, false);
}

void ir_call_lost(struct ir_call *c, const struct ib_err *why, bool written)
{
    bool done = c->state == IR_CALL_DONE;
    bool connect = c->kind == IR_CALL_CONNECT;
    if (c->observed_sent)
        ir_observe_lost(c, why->code);
    ir_call_unlink(c);
    if (!done)
        retry_or_fail(c, why, written);
    else if (connect) /* its callback is queued and must not show a connection that is gone */
        ib_err_set(&c->failure, why->code, "%s", why->text);
}

/* --- sending -------------------------------------------------------------------------------------------------- */

static bool wants_compression(const struct ir_call *c)
{
    if (c->rt->defaults.override_compress >= 0)
        return c->rt->defaults.override_compress == 1;
    if (c->compress)
        return c->compress > 0;
    return c->n_candidates && c->candidates[c->chosen].compress;
}

static void link_conn(struct ir_call *c, struct ir_conn *conn)
{
    c->conn = conn;
    ib_list_append(&conn->calls, &c->conn_node);
}

static int call_register(struct ir_call *c)
{
    c->request_id = ir_conn_next_id(c->conn);
    HASH_ADD_BYHASHVALUE(hh, c->conn->outstanding, request_id, sizeof(c->request_id), (unsigned)c->request_id, c);
    if (!c->hh.tbl) {
        c->request_id = 0;
        return IB_ENOMEM;
    }
    ic_conn_outstanding(c->conn->net, +1);
    return 0;
}

static int send_batched(struct ir_call *c, struct ir_conn *conn)
{
    const struct ib_span head = ib_buf_span(&c->head);
    bool plain = c->batch == IR_BATCH_IF_MANY;
    return ir_batch_add(conn, &(struct ir_batched){.head = {head.p + 4, head.n - 4}, /* without the request id */
                                                   .body = c->body,
                                                   .block = c->block,
                                                   .max = plain ? IR_COALESCE_BYTES : c->rt->cfg.batch_max,
                                                   .compress = wants_compression(c),
                                                   .plain = plain});
}

static int send_request(struct ir_call *c, struct ir_conn *conn)
{
    ir_batch_flush(conn); /* it came first */
    int r = c->oneway ? 0 : call_register(c);
    ib_buf_set_i32(&c->head, 0, c->request_id);
    struct ic_out m = {.type = IC_REQUEST,
                       .compress = wants_compression(c),
                       .head = ib_buf_span(&c->head),
                       .body = c->body,
                       .block = c->block};
    if (!r)
        r = ic_conn_send(conn->net, &m, &c->seq);
    if (!r && c->rt->cfg.trace_protocol)
        ir_trace_out(c->rt, &m);
    return r;
}

static void call_send(struct ir_call *c, struct ir_conn *conn)
{
    link_conn(c, conn);
    int r = c->oneway && c->batch ? send_batched(c, conn) : send_request(c, conn);
    if (r) {
        struct ib_err e;
        ib_err_set(&e, r, "%s", ib_err_text(r));
        ir_call_unlink(c);
        retry_or_fail(c, &e, false);
        return;
    }
    if (c->observed)
        ir_observe_sent(c, c->head.n + c->body.n - 4); /* without the request id */
    /* A oneway ends when it is queued, or, behind a peer that does not read, when the queue has drained: whoever waits
       for the end cannot fill our memory. */
    if (c->oneway && !ic_conn_congested(conn->net)) {
        call_done(c);
        return;
    }
    call_move(c, IR_CALL_SENT);
    if (c->timeout == -2 && conn->timeout > 0)
        ic_timer_start(&c->deadline, conn->timeout);
}

bool ir_call_is_over(struct ir_call *c)
{
    bool over = c->state == IR_CALL_DONE;
    if (over)
        c->on_reply = NULL;
    return over;
}

struct ir_conn *ir_call_conn(const struct ir_call *c)
{
    return c->conn;
}

void ir_call_drained(struct ir_call *c)
{
    if (c->oneway && c->state == IR_CALL_SENT)
        call_done(c);
}

void ir_call_connected(struct ir_call *c, struct ir_conn *conn)
{
    c->failure.code = 0; /* of candidates before this one */
    if (c->kind != IR_CALL_CONNECT) {
        call_send(c, conn);
        return;
    }
    link_conn(c, conn);
    call_done(c);
}

void ir_call_connect(struct ir_call *c)
{
    if (c->datagram) {
        int r = ir_datagram_send(c);
        if (r)
            ir_call_fail(c, r, NULL);
        else
            call_done(c);
        return;
    }
    struct ir_conn *conn = ir_pool_find(c->rt->pool, c);
    if (conn) {
        ir_call_connected(c, conn);
        return;
    }
    call_move(c, IR_CALL_CONNECTING);
    int r = ir_pool_join(c->rt->pool, c);
    if (r)
        ir_call_fail(c, r, NULL);
}

static void no_endpoint(struct ir_call *c, int code)
{
    struct ib_err e;
    struct ib_str text = ir_proxy_format(c->proxy, c->rt->cfg.string_mode, &c->arena);
    if (code == IB_ENOENDPOINT)
        ib_err_set(&e, code, "no suitable endpoint available for proxy `%s'", ib_cstr(text));
    else
        ib_err_set(&e, code, "%s", ib_err_text(code));
    retry_or_fail(c, &e, false);
}

void ir_call_resolved(struct ir_call *c, const struct iw_proxy *where, bool from_cache)
{
    c->from_cache = from_cache;
    int r = ir_endpoint_select(c, where);
    if (!r) {
        ir_call_connect(c);
        return;
    }
    no_endpoint(c, r);
}

void ir_call_begin(struct ir_call *c)
{
    struct ir_runtime *rt = c->rt;
    call_move(c, IR_CALL_RESOLVING);
    c->failure.code = 0;
    if (rt->router && ir_router_applies(rt->router, c)) {
        ir_router_resolve(rt->router, c);
    } else if (c->proxy->n_endpoints) {
        ir_call_resolved(c, c->proxy, false);
    } else if (rt->locator && !c->no_locator) {
        ir_locator_resolve(rt->locator, c);
    } else {
        no_endpoint(c, IB_ENOENDPOINT);
    }
}

void ir_call_reply(struct ir_call *c, const struct ic_frame *f, struct ib_span reply)
{
    IB_UNINIT struct ir_result r;
    if (c->observed_sent)
        ir_observe_reply(c, reply.n);
    ir_reply_decode(c, f, reply, &r);
    int32_t delay = -1;
    if (r.outcome == IR_FAILED_STATUS)
        delay = ir_retry_status(c, &r);
    else if (r.outcome == IR_FAILED_LOCAL)
        delay = ir_retry_local(c, &r.err, true);
    if (delay >= 0)
        call_again(c, delay);
    else
        ir_call_finish(c, &r);
}

/* --- making calls --------------------------------------------------------------------------------------------- */

static void set_options(struct ir_call *c, const struct ir_call_options *o)
{
    static const struct ir_call_options none;
    if (!o)
        o = &none;
    c->timeout = o->timeout_ms ? o->timeout_ms : c->rt->cfg.invocation_timeout;
    c->connect_timeout = o->connect_timeout_ms;
    c->endpoint_selection = o->endpoint_selection;
    c->compress = (int8_t)o->compress;
    c->no_locator = o->no_locator;
    c->guard = o->guard;
    c->oneway = o->oneway || c->proxy->mode == IW_ONEWAY || c->proxy->mode == IW_BATCH_ONEWAY;
    c->fixed = o->conn != NULL;
    c->batch = o->batch;
    c->unhurried = o->unhurried;
    c->datagram = o->datagram;
    c->oneway = c->oneway || c->datagram;
}

static struct ir_call *call_new(struct ir_runtime *rt, const struct iw_proxy *prx, enum ir_call_kind kind,
                                const struct ir_call_options *opt, ir_reply_fn on_reply, void *arg)
{
    if (rt->state == IR_RT_STOPPED)
        return NULL;
    struct ir_call *c = ir_call_take(rt);
    if (!c)
        return NULL;
    c->proxy = iw_proxy_copy(prx, &c->arena);
    if (!c->proxy) {
        ir_call_give(rt, c);
        return NULL;
    }
    c->rt = rt;
    c->kind = (uint8_t)kind;
    c->on_reply = on_reply;
    c->arg = arg;
    c->state = IR_CALL_RESOLVING;
    ib_list_init(&c->conn_node);
    ib_list_init(&c->wait_node);
    ib_list_append(&rt->calls, &c->node);
    ic_timer_init(&c->deadline, rt->loop, on_deadline, c);
    ic_timer_init(&c->delay, rt->loop, on_delay, c);
    set_options(c, opt);
    return c;
}

/* r: what went wrong while the request was encoded. */
static struct ir_call *call_start(struct ir_call *c, const struct ir_call_options *opt, int r)
{
    if (!r && !ib_buf_ok(&c->head))
        r = IB_ENOMEM;
    if (!r && c->rt->state > IR_RT_SHUTDOWN_ADAPTERS)
        r = IB_EDESTROYED;
    if (r) {
        ir_call_fail(c, r, NULL);
        return c;
    }
    if (c->timeout > 0)
        ic_timer_start(&c->deadline, c->timeout);
    if (c->fixed)
        ir_call_connected(c, opt->conn);
    else
        ir_call_begin(c);
    return c;
}

static int encode_typed(struct ir_call *c, const struct ir_call_options *opt, const void *in)
{
    struct iw_encoding enc = c->proxy->encoding;
    if (enc.major != 1)
        return IB_EENCODING;
    if (enc.minor > 1)
        enc.minor = 1;
    ib_buf_put_i32(&c->head, 0); /* request id, set when sent */
    ir_header_encode(&c->head, &c->proxy->id, c->proxy->has_facet, c->proxy->facet, ib_str(c->op->name), c->mode);
    size_t n = opt ? opt->n_context : 0;
    iw_out_size(&c->head, n);
    for (size_t i = 0; i < n; i++) {
        iw_out_str(&c->head, opt->context[i].key);
        iw_out_str(&c->head, opt->context[i].value);
    }
    return iw_encode_params(c->op->in, in, enc, c->op->sliced || c->rt->cfg.sliced, &c->head);
}

struct ir_call *ir_call(struct ir_runtime *rt, const struct iw_proxy *prx, const struct iw_op *op,
                        const struct ir_call_options *opt, const void *in, ir_reply_fn on_reply, void *arg)
{
    struct ir_call *c = call_new(rt, prx, IR_CALL_TYPED, opt, on_reply, arg);
    if (!c)
        return NULL;
    c->op = op;
    c->mode = op->mode;
    if (rt->metrics->invocation.on)
        ir_observe_call(c, ib_str(op->name), opt);
    return call_start(c, opt, encode_typed(c, opt, in));
}

static int encode_raw(struct ir_call *c, const struct ir_raw_request *rq)
{
    ib_buf_put_i32(&c->head, 0);
    ir_header_encode(&c->head, &rq->id, rq->has_facet, rq->facet, rq->operation, rq->mode);
    if (rq->context_raw.n)
        ib_buf_put(&c->head, rq->context_raw.p, rq->context_raw.n);
    else
        iw_out_size(&c->head, 0);
    if (rq->block) {
        c->block = ib_block_ref(rq->block);
        c->body = rq->params;
        return 0;
    }
    c->block = ib_block_new(rq->params.n);
    if (!c->block)
        return IB_ENOMEM;
    if (rq->params.n)
        memcpy(c->block->p, rq->params.p, rq->params.n);
    c->body = (struct ib_span){c->block->p, rq->params.n};
    return 0;
}

struct ir_call *ir_call_raw(struct ir_runtime *rt, const struct iw_proxy *prx, const struct ir_raw_request *rq,
                            const struct ir_call_options *opt, ir_reply_fn on_reply, void *arg)
{
    struct ir_call *c = call_new(rt, prx, IR_CALL_RAW, opt, on_reply, arg);
    if (!c)
        return NULL;
    c->mode = rq->mode;
    c->oneway =
        rq->oneway || (opt && (opt->oneway || opt->datagram)); /* the request says, not the proxy it travels by */
    if (rt->metrics->invocation.on)
        ir_observe_call(c, rq->operation, opt);
    return call_start(c, opt, encode_raw(c, rq));
}

struct ir_call *ir_connect(struct ir_runtime *rt, const struct iw_proxy *prx, const struct ir_call_options *opt,
                           ir_reply_fn on_reply, void *arg)
{
    struct ir_call *c = call_new(rt, prx, IR_CALL_CONNECT, opt, on_reply, arg);
    if (!c)
        return NULL;
    c->oneway = false;
    c->mode = IW_IDEMPOTENT; /* nothing is sent: repeating is always safe */
    return call_start(c, opt, 0);
}
