/* SPDX-License-Identifier: Apache-2.0 */
/* A connection as the rpc floor sees it, incoming or outgoing: hands requests to dispatch and replies to their calls,
   bounds the requests in dispatch, and tells everybody concerned when it closes. It owns itself: it is freed at the end
   of the network connection's on_close, or by ir_conn_destroy when the runtime goes away. */
#include "rpc_priv.h"

#include <stdlib.h>

/* --- incoming frames ------------------------------------------------------------------------------------------ */

/* Ids count up and are ours: they are their own hash values. */
static struct ir_call *find_call(const struct ir_conn *c, int32_t id)
{
    struct ir_call *call;
    HASH_FIND_BYHASHVALUE(hh, c->outstanding, &id, sizeof(id), (unsigned)id, call);
    return call;
}

static void on_reply(struct ir_conn *c, const struct ic_frame *f)
{
    struct iw_in in = iw_in(f->body);
    int32_t id = iw_in_i32(&in);
    if (in.err || in.p == in.end) {
        ic_conn_abort(c->net, IB_EBOUNDS, "truncated reply");
        return;
    }
    struct ir_call *call = find_call(c, id);
    ic_conn_heard(c->net, !call || !call->unhurried);
    if (call) /* else it was cancelled or timed out, or the peer made it up: ignored (8.3) */
        ir_call_reply(call, f, (struct ib_span){in.p, (size_t)(in.end - in.p)});
}

static void hold(struct ir_conn *c, bool on)
{
    if (c->held == on)
        return;
    c->held = on;
    ic_conn_hold(c->net, on);
}

static void backlog_drop(struct ir_backlog *b)
{
    ib_list_remove(&b->node);
    ib_block_unref(b->block);
    free(b);
}

static bool full(const struct ir_conn *c)
{
    return c->n_requests >= c->limits.requests || c->n_oneways >= c->limits.oneways ||
           c->request_bytes >= c->limits.bytes || c->behind;
}

/* Dispatches what waits, in order, up to the limit. */
static void backlog_run(struct ir_conn *c)
{
    while (!ib_list_empty(&c->backlog) && !c->closing) {
        struct ir_backlog *b = IB_CONTAINER(c->backlog.next, struct ir_backlog, node);
        bool first = true;
        for (; b->left > 0; b->left--) {
            if (full(c)) {
                hold(c, true);
                return;
            }
            bool offered = b->type == IC_BATCH && c->adapter && c->adapter->batched;
            bool taken = offered && ir_dispatch_batched(c, &b->in, first);
            first = false;
            int r = taken ? 0 : ir_dispatch(c, &b->in, b->type, b->compression, b->block);
            if (r) {
                ic_conn_abort(c->net, r, "malformed request");
                b->left = 0;
                c->closing = true;
                return;
            }
            if (c->closing)
                return;
        }
        backlog_drop(b);
    }
    hold(c, false);
}

static void on_resume(void *arg)
{
    backlog_run(arg);
}

static int on_requests(struct ir_conn *c, const struct ic_frame *f)
{
    struct iw_in in = iw_in(f->body);
    int32_t count = f->type == IC_BATCH ? iw_in_i32(&in) : 1;
    if (in.err || count < 0)
        return IB_EMARSHAL;
    /* The usual case does not touch the backlog. */
    if (f->type == IC_REQUEST && ib_list_empty(&c->backlog) && !full(c))
        return ir_dispatch(c, &in, f->type, f->compression, f->block);
    struct ir_backlog *b = calloc(1, sizeof(*b));
    if (!b)
        return IB_ENOMEM;
    *b = (struct ir_backlog){
        .block = ib_block_ref(f->block), .in = in, .left = count, .type = f->type, .compression = f->compression};
    ib_list_append(&c->backlog, &b->node);
    if (c->backlog.next == &b->node)
        backlog_run(c);
    return 0;
}

/* Oneways, one by one or in a batch, have no answer. */
static bool is_awaited(const struct ic_frame *f)
{
    struct iw_in in = iw_in(f->body);
    return f->type == IC_REQUEST && iw_in_i32(&in) != 0;
}

static void on_frame(void *arg, struct ic_conn *net, const struct ic_frame *f)
{
    struct ir_conn *c = arg;
    c->received = true;
    if (c->rt->cfg.trace_protocol)
        ir_trace_message(c->rt, false, f->type, f->compression, f->body, (struct ib_span){NULL, 0});
    if (f->type == IC_REPLY) {
        on_reply(c, f);
        return;
    }
    ic_conn_heard(net, is_awaited(f));
    if (c->closing) /* the peer repeats them elsewhere (9.2) */
        return;
    int r = on_requests(c, f);
    if (r)
        ic_conn_abort(net, r, "malformed request");
}

/* --- life ----------------------------------------------------------------------------------------------------- */

static void on_active(void *arg, struct ic_conn *net)
{
    (void)net;
    struct ir_conn *c = arg;
    c->active = true;
    ir_observe_active(c);
    ir_trace_conn(c, c->incoming ? "accepted" : "established");
    if (c->entry)
        ir_pool_active(c->entry);
    if (c->incoming && c->adapter && c->adapter->on_conn)
        c->adapter->on_conn(c->adapter->on_conn_arg, c);
}

static void stop_sharing(struct ir_conn *c, const struct ib_err *why)
{
    struct ir_pool_entry *e = c->entry;
    c->entry = NULL;
    if (e)
        ir_pool_gone(e, why);
}

static void on_closing(void *arg, struct ic_conn *net)
{
    (void)net;
    struct ir_conn *c = arg;
    c->closing = true;
    if (c->active)
        stop_sharing(c, &(struct ib_err){.code = IB_ECLOSED});
}

static void on_heartbeat(void *arg, struct ic_conn *net)
{
    (void)net;
    struct ir_conn *c = arg;
    if (c->heartbeat)
        c->heartbeat(c->heartbeat_arg, c);
}

static void unfollow(struct ir_conn *c)
{
    if (!c->behind)
        return;
    ib_list_remove(&c->behind_node);
    c->behind = NULL;
    ic_conn_hold(c->net, false);
    if (!ib_list_empty(&c->backlog))
        ic_loop_defer(c->rt->loop, &c->resume, on_resume, c);
}

/* Those who waited for this connection are read again. */
static void let_go(struct ir_conn *c)
{
    while (!ib_list_empty(&c->followers))
        unfollow(IB_CONTAINER(c->followers.next, struct ir_conn, behind_node));
}

static void on_drained(void *arg, struct ic_conn *net)
{
    struct ir_conn *c = arg;
    let_go(c);
    IB_LIST_FOREACH_SAFE(node, &c->calls)
    ir_call_drained(IB_CONTAINER(node, struct ir_call, conn_node));
    /* A hook that makes the queue long again waits for the next time. */
    while (!ib_list_empty(&c->drain_hooks) && !ic_conn_congested(net)) {
        struct ir_drain_hook *h = IB_CONTAINER(c->drain_hooks.next, struct ir_drain_hook, node);
        ib_list_remove(&h->node);
        h->fn(h, c);
    }
}

static void on_resolved(void *arg, struct ic_conn *net, const struct ib_err *err)
{
    (void)net;
    ir_observe_resolved(arg, err);
}

static void tell_hooks(struct ir_conn *c, const struct ib_err *why)
{
    while (!ib_list_empty(&c->hooks)) {
        struct ir_conn_hook *h = IB_CONTAINER(c->hooks.next, struct ir_conn_hook, node);
        ib_list_remove(&h->node);
        h->fn(h, c, why);
    }
}

/* Everybody who holds the connection lets go of it; then it is freed. net is still valid. */
static void conn_end(struct ir_conn *c, const struct ib_err *why)
{
    struct ir_runtime *rt = c->rt;
    c->closing = true;
    ir_trace_closed(c, why);
    ir_observe_closed(c, why);
    stop_sharing(c, why);
    while (!ib_list_empty(&c->calls)) {
        struct ir_call *call = IB_CONTAINER(c->calls.next, struct ir_call, conn_node);
        ir_call_lost(call, why, ic_conn_was_written(c->net, call->seq));
    }
    while (!ib_list_empty(&c->requests))
        ir_request_orphan(IB_CONTAINER(c->requests.next, struct ir_request, conn_node));
    tell_hooks(c, why);
    let_go(c);
    unfollow(c);
    while (!ib_list_empty(&c->drain_hooks))
        ib_list_remove(c->drain_hooks.next);
    ir_batch_drop(c);
    while (!ib_list_empty(&c->backlog))
        backlog_drop(IB_CONTAINER(c->backlog.next, struct ir_backlog, node));
    ic_loop_undefer(rt->loop, &c->resume);
    ib_list_remove(&c->node);
    ib_list_remove(&c->adapter_node);
    free(c);
    ir_runtime_check_shutdown(rt);
}

static void on_close(void *arg, struct ic_conn *net, const struct ib_err *why)
{
    (void)net;
    conn_end(arg, why);
}

static const struct ic_conn_events conn_events = {
    .on_active = on_active,
    .on_frame = on_frame,
    .on_close = on_close,
    .on_drained = on_drained,
    .on_closing = on_closing,
    .on_heartbeat = on_heartbeat,
    .on_resolved = on_resolved,
};

static struct ir_conn *conn_new(struct ir_runtime *rt, int32_t timeout)
{
    struct ir_conn *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->rt = rt;
    c->id = rt->next_conn_id++;
    c->timeout = timeout;
    c->next_id = 1;
    ib_list_init(&c->adapter_node);
    ib_list_init(&c->hooks);
    ib_list_init(&c->calls);
    ib_list_init(&c->requests);
    ib_list_init(&c->backlog);
    ib_list_init(&c->behind_node);
    ib_list_init(&c->followers);
    ib_list_init(&c->drain_hooks);
    c->limits = (struct ir_limits){rt->cfg.max_dispatches, IR_MAX_ONEWAYS, IR_MAX_DISPATCH_BYTES};
    ib_list_append(&rt->conns, &c->node);
    return c;
}

struct ir_conn *ir_conn_accept(struct ir_adapter *a, struct ic_conn *net, int32_t timeout)
{
    struct ir_conn *c = conn_new(a->rt, timeout);
    if (!c)
        return NULL;
    c->net = net;
    c->incoming = true;
    ir_conn_set_adapter(c, a);
    ic_conn_set_events(net, &conn_events, c);
    return c;
}

static bool may_connect(void *arg, const struct iw_endpoint *ep, const struct sockaddr *sa)
{
    const struct ir_conn *c = arg;
    return c->rt->guard(c->rt->guard_arg, c->guard, ep, sa);
}

struct ir_conn *ir_conn_open(struct ir_runtime *rt, const struct iw_endpoint *ep, const struct ic_conn_config *cfg,
                             struct ir_pool_entry *entry, uint8_t guard)
{
    struct ir_conn *c = conn_new(rt, ep->timeout);
    struct ic_conn_config guarded = *cfg;
    if (!c)
        return NULL;
    ir_trace_connect(rt, ep);
    c->guard = guard;
    guarded.may_connect = guard && rt->guard ? may_connect : NULL;
    guarded.may_connect_arg = c;
    c->net = ic_connect(rt->loop, ep, rt->tls, &guarded, &conn_events, c);
    if (!c->net) {
        ib_list_remove(&c->node);
        free(c);
        return NULL;
    }
    c->entry = entry;
    if (rt->metrics->establishment.on || rt->metrics->lookup.on)
        ir_observe_attempt(c, ep);
    return c;
}

void ir_conn_destroy(struct ir_conn *c, const struct ib_err *why)
{
    struct ic_conn *net = c->net;
    conn_end(c, why);
    ic_conn_detach(net);
}

void ir_conn_request_done(struct ir_conn *c, const struct ir_request *rq)
{
    c->n_requests--;
    if (rq->info.request_id == 0)
        c->n_oneways--;
    c->request_bytes -= rq->bytes;
    ic_conn_dispatching(c->net, -1);
    if (!ib_list_empty(&c->backlog) && !full(c))
        ic_loop_defer(c->rt->loop, &c->resume, on_resume, c);
}

int32_t ir_conn_next_id(struct ir_conn *c)
{
    for (;;) {
        int32_t id = c->next_id;
        c->next_id = id == INT32_MAX ? 1 : id + 1;
        if (!find_call(c, id))
            return id;
    }
}

/* --- for users ------------------------------------------------------------------------------------------------ */

void ir_conn_on_close(struct ir_conn *c, struct ir_conn_hook *hook)
{
    ib_list_append(&c->hooks, &hook->node);
}

void ir_conn_off_close(struct ir_conn_hook *hook)
{
    ib_list_remove(&hook->node);
}

void ir_conn_on_drained(struct ir_conn *c, struct ir_drain_hook *hook)
{
    ib_list_append(&c->drain_hooks, &hook->node);
}

bool ir_conn_hold_back(struct ir_conn *c, struct ir_conn *by)
{
    if (c->behind || !ic_conn_congested(by->net))
        return true;
    for (const struct ir_conn *b = by; b; b = b->behind) {
        if (b == c)
            return false;
    }
    c->behind = by;
    ib_list_append(&by->followers, &c->behind_node);
    ic_conn_hold(c->net, true);
    return true;
}

void ir_conn_set_limits(struct ir_conn *c, const struct ir_limits *l)
{
    c->limits = *l;
}

void ir_conn_on_heartbeat(struct ir_conn *c, void (*fn)(void *arg, struct ir_conn *c), void *arg)
{
    c->heartbeat = fn;
    c->heartbeat_arg = arg;
}

struct ic_conn *ir_conn_net(struct ir_conn *c)
{
    return c->net;
}

uint64_t ir_conn_id(const struct ir_conn *c)
{
    return c->id;
}

/* Gracefully: what was to leave with others leaves before. */
void ir_conn_shut(struct ir_conn *c)
{
    ir_batch_flush(c);
    ic_conn_close(c->net);
}

void ir_conn_close(struct ir_conn *c, bool forcibly)
{
    if (forcibly)
        ic_conn_abort(c->net, IB_ECLOSEDLOCAL, ib_err_text(IB_ECLOSEDLOCAL));
    else
        ir_conn_shut(c);
}

void ir_conn_set_adapter(struct ir_conn *c, struct ir_adapter *adapter)
{
    c->adapter = adapter;
    ib_list_remove(&c->adapter_node);
    if (adapter)
        ib_list_append(&adapter->conns, &c->adapter_node);
}

void ir_conn_set_data(struct ir_conn *c, void *data)
{
    c->data = data;
}

void *ir_conn_data(const struct ir_conn *c)
{
    return c->data;
}
