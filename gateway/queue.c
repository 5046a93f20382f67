/* SPDX-License-Identifier: Apache-2.0 */
/* Queues of requests and the rounds in which they are flushed; what happens when a client does not take its callbacks.
 */
#include "router.h"

#include <stdlib.h>

#define BORROW_MIN 4096 /* smaller requests are copied: they must not keep a large block alive */
#define ENTRY_BYTES 512 /* an entry without its contents */

struct gw_entry {
    struct ib_list node; /* queue->entries */
    struct gw_sending w;
    struct ib_block *names, *block; /* of a request that was ended before it left; own */
    size_t bytes;
};

/* --- entries --------------------------------------------------------------------------------------------------- */

static void entry_free(struct gw_entry *e)
{
    ib_block_unref(e->names);
    ib_block_unref(e->block);
    free(e);
}

static size_t sending_bytes(const struct gw_sending *w)
{
    return ENTRY_BYTES + w->raw.params.n + w->raw.context_raw.n + w->raw.id.name.n + w->raw.facet.n;
}

static void keep_span(uint8_t **p, struct ib_span *s)
{
    if (s->n) {
        memcpy(*p, s->p, s->n);
    }
    s->p = *p;
    *p += s->n;
}

static void keep_str(uint8_t **p, struct ib_str *s)
{
    struct ib_span v = {(const uint8_t *)s->p, s->n};
    keep_span(p, &v);
    s->p = (const char *)v.p;
}

/* A oneway to a client is over for its sender while it waits: a slow client must not hold the server back. */
static int detach(struct gw_entry *e)
{
    struct ir_raw_request *q = &e->w.raw;
    bool borrow = q->params.n >= BORROW_MIN && q->block;
    size_t n = q->id.name.n + q->id.category.n + q->facet.n + q->operation.n + q->context_raw.n + e->w.override.n +
               (borrow ? 0 : q->params.n);
    e->names = ib_block_new(n);
    if (!e->names) {
        return IB_ENOMEM;
    }
    uint8_t *p = e->names->p;
    keep_str(&p, &q->id.name);
    keep_str(&p, &q->id.category);
    keep_str(&p, &q->facet);
    keep_str(&p, &q->operation);
    keep_str(&p, &e->w.override);
    keep_span(&p, &q->context_raw);
    if (borrow) {
        e->block = ib_block_ref(q->block);
    } else {
        keep_span(&p, &q->params);
        q->block = e->names;
    }
    gw_end_oneway(e->w.rq);
    e->w.rq = NULL;
    return 0;
}

static struct gw_entry *entry_new(const struct gw_sending *w)
{
    struct gw_entry *e = calloc(1, sizeof(*e));
    int rc = e ? 0 : IB_ENOMEM;
    if (!rc) {
        e->w = *w;
        e->bytes = sending_bytes(w);
        if (w->target) {
            e->w.target = iw_proxy_copy(w->target, ir_request_arena(w->rq));
            rc = e->w.target ? 0 : IB_ENOMEM;
        } else if (w->mode.oneway && !w->held) {
            rc = detach(e);
        }
    }
    if (rc && e) {
        entry_free(e);
    }
    return rc ? NULL : e;
}

static void entry_remove(struct gw_queue *q, struct gw_entry *e)
{
    ib_list_remove(&e->node);
    q->bytes -= e->bytes;
    q->session->router->stats.queue_bytes[q->way] -= e->bytes;
    q->n--;
    q->session->counters.queued[q->way]--;
}

/* Ends one that will not be sent. */
static void entry_drop(struct gw_queue *q, struct gw_entry *e)
{
    entry_remove(q, e);
    if (e->w.rq) {
        gw_end_oneway(e->w.rq);
    }
    entry_free(e);
}

/* --- flushing -------------------------------------------------------------------------------------------------- */

static struct ir_conn *client_conn(const struct gw_session *s)
{
    return s->client ? s->client->conn : NULL;
}

static bool is_open(struct ir_conn *conn)
{
    return conn && ic_conn_is_active(ir_conn_net(conn));
}

static bool is_congested(const struct gw_session *s)
{
    return is_open(client_conn(s)) && ic_conn_congested(ir_conn_net(client_conn(s)));
}

static void send_first(struct gw_queue *q)
{
    struct gw_entry *e = IB_CONTAINER(q->entries.next, struct gw_entry, node);
    entry_remove(q, e);
    if (q->way == GW_TO_CLIENT && !is_open(client_conn(q->session))) {
        if (e->w.rq && ir_request_info(e->w.rq)->request_id) {
            ir_request_fail_local(e->w.rq, IB_ELOST, "connection lost: recv() returned zero");
        } else if (e->w.rq) {
            gw_end_oneway(e->w.rq);
        }
    } else {
        gw_forward_deliver(q->session, &e->w);
    }
    entry_free(e);
}

/* To a client: as long as its connection takes them; the rest stays where it can still be replaced or dropped. */
static void flush(struct gw_queue *q)
{
    ib_list_remove(&q->ready);
    while (q->n && !(q->way == GW_TO_CLIENT && is_congested(q->session))) {
        send_first(q);
    }
    if (q->n) {
        ib_list_remove(&q->drained.node);
        ir_conn_on_drained(client_conn(q->session), &q->drained);
    }
}

static void on_drained(struct ir_drain_hook *hook, struct ir_conn *conn)
{
    (void)conn;
    flush(IB_CONTAINER(hook, struct gw_queue, drained));
}

static void on_round(void *arg)
{
    struct gw_flusher *f = arg;
    const struct gw_config *c = &f->router->config;
    int sleep_ms = (f->way == GW_TO_SERVER ? &c->client : &c->server)->sleep_ms;
    if (ib_list_empty(&f->ready)) {
        return;
    }
    while (!ib_list_empty(&f->ready)) {
        flush(IB_CONTAINER(f->ready.next, struct gw_queue, ready));
    }
    if (sleep_ms > 0) {
        f->sleeping = true;
        ic_timer_start(&f->sleep, sleep_ms);
    }
}

static void on_slept(void *arg)
{
    struct gw_flusher *f = arg;
    f->sleeping = false;
    on_round(f);
}

void gw_flushers_init(struct gw_router *r)
{
    for (int way = 0; way < GW_WAYS; way++) {
        struct gw_flusher *f = &r->flushers[way];
        f->router = r;
        f->way = (enum gw_way)way;
        ib_list_init(&f->ready);
        ic_timer_init(&f->sleep, r->loop, on_slept, f);
    }
}

void gw_flushers_fini(struct gw_router *r)
{
    for (int way = 0; way < GW_WAYS; way++) {
        ic_loop_undefer(r->loop, &r->flushers[way].round);
        ic_timer_fini(&r->flushers[way].sleep);
    }
}

struct gw_queue *gw_queue_of(struct gw_session *s, enum gw_way way)
{
    if (s->queues[way]) {
        return s->queues[way];
    }
    struct gw_queue *q = calloc(1, sizeof(*q));
    if (!q) {
        return NULL;
    }
    q->session = s;
    q->way = way;
    q->drained.fn = on_drained;
    ib_list_init(&q->ready);
    ib_list_init(&q->entries);
    ib_list_init(&q->drained.node);
    ib_list_init(&q->answers);
    s->queues[way] = q;
    return q;
}

static void queue_close(struct gw_queue *q)
{
    ib_list_remove(&q->ready);
    ib_list_remove(&q->drained.node);
    while (q->n) {
        send_first(q);
    }
    gw_relays_orphan(q);
    free(q);
}

void gw_queues_close(struct gw_session *s)
{
    for (int way = 0; way < GW_WAYS; way++) {
        if (s->queues[way]) {
            queue_close(s->queues[way]);
            s->queues[way] = NULL;
        }
    }
}

/* --- putting --------------------------------------------------------------------------------------------------- */

static void trace_override(struct gw_session *s, const struct gw_sending *w)
{
    if (w->d->trace_override < 1) {
        return;
    }
    if (w->way == GW_TO_CLIENT) {
        gw_trace_reverse(s->router, w->rq, true);
    } else {
        gw_trace_routing(s->router, w->rq, w->target, true);
    }
}

static bool str_equal(struct ib_str a, struct ib_str b)
{
    return a.n == b.n && memcmp(ib_cstr(a), ib_cstr(b), a.n) == 0;
}

/* 8.2: the same value, neither twoway, the same proxy. */
static bool replaces(const struct gw_sending *w, const struct gw_sending *old)
{
    const struct gw_forward_mode *a = &w->mode, *b = &old->mode;
    if (!str_equal(w->override, old->override) || !b->oneway || a->secure != b->secure || a->datagram != b->datagram ||
        a->batch != b->batch || a->compress != b->compress || !iw_identity_equal(&w->raw.id, &old->raw.id) ||
        !str_equal(w->raw.facet, old->raw.facet)) {
        return false;
    }
    return !w->target || iw_proxy_equal(w->target, old->target);
}

/* The older one that the new one makes superfluous, or NULL. */
static struct gw_entry *find_replaced(const struct gw_queue *q, const struct gw_sending *w)
{
    IB_LIST_FOREACH(node, &q->entries)
    {
        struct gw_entry *old = IB_CONTAINER(node, struct gw_entry, node);
        if (w->override.n && w->mode.oneway && replaces(w, &old->w)) {
            return old;
        }
    }
    return NULL;
}

/* Where it belongs: in the place of the one it replaces, or last. */
static void place(struct gw_queue *q, struct gw_entry *e, struct gw_entry *replaced)
{
    if (!replaced) {
        ib_list_append(&q->entries, &e->node);
        return;
    }
    ib_list_append(&replaced->node, &e->node); /* before it */
    entry_drop(q, replaced);
    q->session->counters.overridden[q->way]++;
}

static void enqueue(struct gw_session *s, const struct gw_sending *w)
{
    struct gw_flusher *f = &s->router->flushers[w->way];
    struct gw_queue *q = gw_queue_of(s, w->way);
    struct gw_entry *replaced = q ? find_replaced(q, w) : NULL;
    if (replaced) {
        trace_override(s, w); /* while there is a request to tell of */
    }
    struct gw_entry *e = q ? entry_new(w) : NULL;
    if (!e) {
        ir_request_fail_local(w->rq, IB_ENOMEM, NULL);
        return;
    }
    q->n++;
    q->bytes += e->bytes;
    s->router->stats.queue_bytes[w->way] += e->bytes;
    s->counters.queued[w->way]++;
    place(q, e, replaced);
    if (!ib_list_empty(&q->ready) || !ib_list_empty(&q->drained.node)) {
        return;
    }
    ib_list_append(&f->ready, &q->ready);
    if (!f->sleeping) {
        ic_loop_defer(s->router->loop, &f->round, on_round, f);
    }
}

/* --- a client that does not take its callbacks ------------------------------------------------------------------- */

static bool has_room(const struct gw_session *s, const struct gw_sending *w)
{
    static const struct gw_queue none;
    const struct gw_queue *q = s->queues[w->way] ? s->queues[w->way] : &none;
    size_t waiting = q->bytes + ic_conn_queued(ir_conn_net(client_conn(s)));
    size_t n = sending_bytes(w);
    if (q->n + q->n_answers >= w->d->max_messages) {
        return false;
    }
    return (waiting == 0 || waiting + n <= w->d->max_bytes) &&
           (q->answer_bytes == 0 || q->answer_bytes + n <= w->d->max_bytes);
}

static void count_dropped(struct gw_session *s, enum gw_way way)
{
    s->counters.dropped[way]++;
    s->router->stats.callbacks_dropped += way == GW_TO_CLIENT;
}

static void drop_oldest(struct gw_session *s, const struct gw_sending *w)
{
    struct gw_queue *q = s->queues[w->way];
    if (!q) {
        return;
    }
    IB_LIST_FOREACH_SAFE(node, &q->entries)
    {
        struct gw_entry *e = IB_CONTAINER(node, struct gw_entry, node);
        if (has_room(s, w)) {
            return;
        }
        if (e->w.mode.oneway) {
            entry_drop(q, e);
            count_dropped(s, w->way);
        }
    }
}

void gw_overflow_warn(struct gw_session *s, const char *what)
{
    char user[256];
    if (!s->overflowed) {
        s->overflowed = true;
        ib_log_warning(ir_runtime_log(s->router->rt),
                       "the client at %s (user %s) does not read fast enough: %s (told once a session)",
                       ib_cstr(s->remote), ib_log_escape(s->user, user, sizeof(user)), what);
    }
}

/* One warning a session is enough: this one is not told as other failed dispatches are. */
void gw_overflow_fail(struct ir_request *rq)
{
    ir_request_fail_quietly(rq, IR_UNKNOWN_LOCAL, (struct ib_str){0}, false,
                            "::Ice::MemoryLimitException:\nthe queue of the client is full");
}

/* True: it was dealt with. Clients that call each other's objects, or their own, cannot be held back for each other:
   then the request fails. */
static bool overflow(struct gw_session *s, struct gw_sending *w)
{
    struct ir_conn *from = ir_request_conn(w->rq);
    if (w->d->overflow == GW_OVERFLOW_HOLD) {
        gw_overflow_warn(s, "the servers that call it back are held back");
        w->held = !from; /* it crossed from another worker, where its connection's own limits hold it */
        if (!from || ir_conn_hold_back(from, s->client->conn)) {
            return false;
        }
    }
    if (w->d->overflow == GW_OVERFLOW_DROP) {
        gw_overflow_warn(s, "its oldest oneway callbacks are dropped");
        drop_oldest(s, w);
        if (has_room(s, w)) {
            return false;
        }
    }
    count_dropped(s, w->way);
    gw_overflow_warn(s,
                     w->d->overflow == GW_OVERFLOW_DISCONNECT ? "its connection is closed" : "callbacks are dropped");
    if (w->d->overflow == GW_OVERFLOW_DISCONNECT) {
        ir_conn_close(s->client->conn, true);
    }
    gw_overflow_fail(w->rq);
    return true;
}

void gw_queue_put(struct gw_session *s, struct gw_sending *w)
{
    if (w->d->buffered && w->mode.oneway) {
        ir_request_acknowledge(w->rq); /* the caller waits for nothing (9) */
    }
    if (w->way == GW_TO_CLIENT && !has_room(s, w) && overflow(s, w)) {
        return;
    }
    if (w->held || (w->d->buffered && (!gw_queue_empty(s->queues[w->way]) || w->d->sleep_ms > 0 || w->override.n ||
                                       (w->way == GW_TO_CLIENT && is_congested(s))))) {
        enqueue(s, w);
    } else {
        gw_forward_deliver(s, w);
    }
}
