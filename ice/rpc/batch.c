/* SPDX-License-Identifier: Apache-2.0 */
/* Oneways that leave together: the open BatchRequest of a connection, sent at the end of the loop's round, when it is
   full, or before anything else the connection sends, so that order is kept. A batch of one may go as a plain request:
   the two differ only in the message type and in the number before it (ice-protocol 8.1, 8.2). */
#include "rpc_priv.h"

#include <stdlib.h>

#define BATCH_FIRST 4096 /* what an open batch takes first; one that outgrows it is mostly a full one */
#define BATCH_GROWTH 8
#define PUSH_MIN 65536

struct ir_batch {
    struct ir_conn *conn;
    struct ib_block *block; /* the count, then the requests; owns */
    size_t used;
    int32_t count;
    bool compress, plain; /* plain: one alone goes as a request */
    struct ic_deferred flush;
    struct ib_buf head; /* of ir_send_oneway's, as long as it is called */
};

static void on_round_end(void *arg)
{
    struct ir_batch *b = arg;
    ir_batch_flush(b->conn);
}

static struct ir_batch *batch_of(struct ir_conn *c)
{
    if (!c->batch) {
        c->batch = calloc(1, sizeof(*c->batch));
        if (!c->batch)
            return NULL;
        c->batch->conn = c;
        ib_buf_init(&c->batch->head);
    }
    return c->batch;
}

static void put_count(uint8_t *p, int32_t n)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)((uint32_t)n >> (8 * i));
}

static int send_requests(struct ir_conn *c, int32_t count, bool plain, bool compress, struct ib_span head,
                         struct ib_span body, struct ib_block *block)
{
    struct ic_out m = {.type = plain && count == 1 ? IC_REQUEST : IC_BATCH,
                       .compress = compress,
                       .head = head,
                       .body = body,
                       .block = block};
    int r = ic_conn_send(c->net, &m, NULL);
    if (!r && c->rt->cfg.trace_protocol)
        ir_trace_out(c->rt, &m);
    return r;
}

void ir_batch_flush(struct ir_conn *c)
{
    struct ir_batch *b = c->batch;
    if (!b || !b->count)
        return;
    ic_loop_undefer(c->rt->loop, &b->flush);
    put_count(b->block->p, b->plain && b->count == 1 ? 0 : b->count);
    /* The head is what a trace reads: it holds everything unless the block is worth borrowing, which the count is not.
     */
    struct ib_span all = {b->block->p, b->used};
    bool traced = c->rt->cfg.trace_protocol > 0;
    struct ib_span head = traced ? all : (struct ib_span){0};
    struct ib_span body = traced ? (struct ib_span){0} : all;
    /* The oneways of a connection that no longer sends are lost with it. */
    (void)send_requests(c, b->count, b->plain, b->compress, head, body, traced ? NULL : b->block);
    ib_block_unref(b->block);
    b->block = NULL;
    b->count = 0;
}

void ir_conn_push(struct ir_conn *c)
{
    if (!c->batch || c->batch->used < PUSH_MIN || !c->batch->count)
        return;
    ir_batch_flush(c);
    ic_conn_push(c->net);
}

void ir_batch_drop(struct ir_conn *c)
{
    if (!c->batch)
        return;
    ic_loop_undefer(c->rt->loop, &c->batch->flush);
    ib_block_unref(c->batch->block);
    ib_buf_fini(&c->batch->head);
    free(c->batch);
    c->batch = NULL;
}

static bool make_room(struct ir_batch *b, size_t n, size_t max)
{
    size_t need = b->used + n;
    if (b->block && need <= b->block->n)
        return true;
    size_t size = b->block ? b->block->n * BATCH_GROWTH : BATCH_FIRST;
    while (size < need)
        size *= BATCH_GROWTH;
    struct ib_block *larger = ib_block_new(size < max ? size : max);
    if (!larger)
        return false;
    if (b->block)
        memcpy(larger->p, b->block->p, b->used);
    ib_block_unref(b->block);
    b->block = larger;
    return true;
}

/* One that fills a batch by itself goes by itself, its body borrowed. */
static int add_alone(struct ir_conn *c, const struct ir_batched *q)
{
    struct ib_buf head;
    ib_buf_init(&head);
    ib_buf_put_i32(&head, q->plain ? 0 : 1);
    ib_buf_put(&head, q->head.p, q->head.n);
    ib_buf_put(&head, q->context.p, q->context.n);
    int r = ib_buf_ok(&head) ? send_requests(c, 1, q->plain, q->compress, ib_buf_span(&head), q->body, q->block)
                             : IB_ENOMEM;
    ib_buf_fini(&head);
    return r;
}

int ir_batch_add(struct ir_conn *c, const struct ir_batched *q)
{
    struct ir_batch *b = batch_of(c);
    size_t n = q->head.n + q->context.n + q->body.n;
    if (c->closing)
        return IB_ECLOSED;
    if (!b)
        return IB_ENOMEM;
    if (b->count && (b->compress != q->compress || b->plain != q->plain || b->used + n > q->max))
        ir_batch_flush(c);
    if (n + sizeof(int32_t) > q->max)
        return add_alone(c, q);
    if (!b->count)
        b->used = sizeof(int32_t);
    if (!make_room(b, n, q->max))
        return IB_ENOMEM;
    const struct ib_span parts[] = {q->head, q->context, q->body};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (parts[i].n)
            memcpy(b->block->p + b->used, parts[i].p, parts[i].n);
        b->used += parts[i].n;
    }
    b->compress = q->compress;
    b->plain = q->plain;
    if (b->count++ == 0)
        ic_loop_defer(c->rt->loop, &b->flush, on_round_end, b);
    return 0;
}

static const uint8_t no_context = 0;

static bool takes_no_more(const struct ir_conn *c)
{
    return c->closing || !ic_conn_is_active(c->net) || ic_conn_congested(c->net);
}

int ir_send_oneway(struct ir_conn *c, const struct ir_raw_request *rq, enum ir_batch_mode batch)
{
    struct ir_batch *b = batch_of(c);
    if (takes_no_more(c) || c->rt->defaults.override_compress > 0 || c->rt->metrics->invocation.on)
        return IB_ECLOSED;
    if (!b)
        return IB_ENOMEM;
    ib_buf_clear(&b->head);
    ir_header_encode(&b->head, &rq->id, rq->has_facet, rq->facet, rq->operation, rq->mode);
    if (!ib_buf_ok(&b->head))
        return IB_ENOMEM;
    bool plain = batch == IR_BATCH_IF_MANY;
    return ir_batch_add(
        c, &(struct ir_batched){.head = ib_buf_span(&b->head),
                                .context = rq->context_raw.n ? rq->context_raw : (struct ib_span){&no_context, 1},
                                .body = rq->params,
                                .block = rq->block,
                                .max = plain ? IR_COALESCE_BYTES : c->rt->cfg.batch_max,
                                .plain = plain});
}

int ir_conn_send_batched(struct ir_conn *c, struct ib_span header, struct ib_span context, struct ib_span params)
{
    if (takes_no_more(c))
        return IB_ECLOSED;
    return ir_batch_add(c, &(struct ir_batched){.head = header,
                                                .context = context.n ? context : (struct ib_span){&no_context, 1},
                                                .body = params,
                                                .max = IR_COALESCE_BYTES,
                                                .plain = true});
}
