/* SPDX-License-Identifier: Apache-2.0 */
/* The writing half of a connection: a queue of messages, written together at the end of the loop's round (ice-protocol
   9.5: one after another, in the order they were queued). Large bodies are borrowed, small ones copied. */
#include "conn_priv.h"

#include <limits.h>
#include <moulin/base/clock.h>
#include <stdlib.h>
#include <string.h>

#define WRITES_PER_ROUND 16
#define HIGH_WATER_DEFAULT ((size_t)1 << 20)
#define BORROW_MIN 4096 /* smaller bodies are copied: they must not keep a large block alive */

static size_t high_water(const struct ic_conn *c)
{
    return c->cfg.out_high_water ? c->cfg.out_high_water : HIGH_WATER_DEFAULT;
}

static void item_free(struct ic_item *it)
{
    ib_block_unref(it->block);
    free(it);
}

void ic_conn_out_fini(struct ic_conn *c)
{
    while (c->out) {
        struct ic_item *it = c->out;
        c->out = it->next;
        item_free(it);
    }
    c->out_tail = &c->out;
    c->queued = 0;
    c->out_at = 0;
}

void ic_conn_drop_unsent(struct ic_conn *c)
{
    struct ic_item *partial = c->out_at ? c->out : NULL;
    if (partial) {
        c->out = partial->next;
    }
    size_t at = c->out_at;
    ic_conn_out_fini(c);
    if (partial) {
        partial->next = NULL;
        c->out = partial;
        c->out_tail = &partial->next;
        c->queued = partial->total - at;
        c->out_at = at;
    }
}

static void append(struct ic_conn *c, struct ic_item *it)
{
    if (!c->out) {
        c->write_at = ib_clock_coarse_ms();
    }
    it->next = NULL;
    *c->out_tail = it;
    c->out_tail = &it->next;
    c->queued += it->total;
    if (c->queued > high_water(c)) {
        c->congested = true;
    }
    if (!c->blocked) {
        ic_conn_do(c, IC_DO_FLUSH);
    }
}

/* The inline bytes of a message: WebSocket header, Ice header, head, and body unless it is borrowed. */
static struct ic_item *item_new(struct ic_conn *c, const uint8_t hdr[IC_HEADER_SIZE], struct ib_span head,
                                struct ib_span body, struct ib_block *block)
{
    size_t size = IC_HEADER_SIZE + head.n + body.n;
    uint8_t prefix[IC_WS_PREFIX_MAX], mask[4] = {0};
    size_t pn = 0;
    bool masked = c->ws && !c->incoming;
    if (masked) {
        ib_random(mask, sizeof mask);
    }
    if (c->ws) {
        pn = ic_ws_prefix(prefix, IC_WS_BINARY, size, masked ? mask : NULL);
    }
    bool borrow = block && !masked && (c->pipe || (body.n >= BORROW_MIN && body.n >= block->n / 4));
    size_t n = pn + size - (borrow ? body.n : 0);
    struct ic_item *it = n <= UINT32_MAX ? malloc(sizeof *it + n) : NULL;
    if (!it) {
        return NULL;
    }
    *it = (struct ic_item){.n = (uint32_t)n, .total = pn + size, .kind = IC_ITEM_MESSAGE};
    uint8_t *p = it->data;
    memcpy(p, prefix, pn);
    memcpy(p + pn, hdr, IC_HEADER_SIZE);
    if (head.n) {
        memcpy(p + pn + IC_HEADER_SIZE, head.p, head.n);
    }
    if (borrow) {
        it->block = ib_block_ref(block);
        it->tail = body;
    } else if (body.n) {
        memcpy(p + pn + IC_HEADER_SIZE + head.n, body.p, body.n);
    }
    if (masked) {
        ic_ws_mask(p + pn, size, mask, 0);
    }
    return it;
}

/* An in-process message is delivered as one piece, so head and body must meet in one block. */
static struct ic_item *item_new_pipe(struct ic_conn *c, const uint8_t hdr[IC_HEADER_SIZE], const struct ic_out *m)
{
    struct ib_span none = {0};
    if (m->block && m->head.n == 0) {
        return item_new(c, hdr, none, m->body, m->block);
    }
    struct ib_block *b = ib_block_new(m->head.n + m->body.n);
    if (!b) {
        return NULL;
    }
    if (m->head.n) {
        memcpy(b->p, m->head.p, m->head.n);
    }
    if (m->body.n) {
        memcpy(b->p + m->head.n, m->body.p, m->body.n);
    }
    struct ic_item *it = item_new(c, hdr, none, (struct ib_span){b->p, b->n}, b);
    ib_block_unref(b);
    return it;
}

static struct ic_item *item_new_compressed(struct ic_conn *c, const struct ic_out *m)
{
    struct ib_block *b;
    size_t n;
    if (ic_compress(m->head, m->body, c->cfg.compression_level, &b, &n) < 0) {
        return NULL;
    }
    uint8_t hdr[IC_HEADER_SIZE];
    ic_header_build(hdr, m->type, IC_COMPRESS_DONE, (int32_t)(n + IC_HEADER_SIZE));
    struct ic_item *it = item_new(c, hdr, (struct ib_span){0}, (struct ib_span){b->p, n}, b);
    ib_block_unref(b);
    return it;
}

int ic_conn_send(struct ic_conn *c, const struct ic_out *m, uint64_t *seq)
{
    bool sends = c->state <= IC_ST_ACTIVE || (c->state == IC_ST_CLOSING && m->type == IC_REPLY);
    if (!sends) {
        return IB_ECLOSED;
    }
    if (m->head.n > INT32_MAX || m->body.n > INT32_MAX - m->head.n - IC_HEADER_SIZE) {
        return IB_EMEMLIMIT;
    }
    size_t size = IC_HEADER_SIZE + m->head.n + m->body.n;
    struct ic_item *it;
    if (m->compress && size >= IC_COMPRESS_MIN && !c->pipe) {
        it = item_new_compressed(c, m);
    } else {
        uint8_t hdr[IC_HEADER_SIZE];
        ic_header_build(hdr, m->type, m->compress ? IC_COMPRESS_ASK : IC_COMPRESS_NO, (int32_t)size);
        it = c->pipe ? item_new_pipe(c, hdr, m) : item_new(c, hdr, m->head, m->body, m->block);
    }
    if (!it) {
        return IB_ENOMEM;
    }
    it->seq = ++c->seq;
    if (seq) {
        *seq = it->seq;
    }
    append(c, it);
    return 0;
}

int ic_conn_queue(struct ic_conn *c, enum ic_item_kind kind)
{
    uint8_t hdr[IC_HEADER_SIZE];
    bool closing = kind == IC_ITEM_CLOSE; /* its compression byte is 1 (7) */
    ic_header_build(hdr, closing ? IC_CLOSE : IC_VALIDATE, closing ? IC_COMPRESS_ASK : IC_COMPRESS_NO, IC_HEADER_SIZE);
    struct ic_item *it = item_new(c, hdr, (struct ib_span){0}, (struct ib_span){0}, NULL);
    if (!it) {
        return IB_ENOMEM;
    }
    it->kind = (uint8_t)kind;
    if (kind != IC_ITEM_VALIDATE || !c->out) {
        append(c, it);
        return 0;
    }
    it->next = c->out; /* the user was faster than the handshake: still the first message is ours */
    c->out = it;
    c->queued += it->total;
    return 0;
}

int ic_conn_queue_ws(struct ic_conn *c, enum ic_item_kind kind, int opcode, struct ib_span payload)
{
    uint8_t mask[4] = {0};
    ib_random(mask, sizeof mask);
    struct ic_item *it = malloc(sizeof *it + IC_WS_PREFIX_MAX + payload.n);
    if (!it) {
        return IB_ENOMEM;
    }
    size_t pn = ic_ws_prefix(it->data, opcode, payload.n, c->incoming ? NULL : mask);
    if (payload.n) {
        memcpy(it->data + pn, payload.p, payload.n);
    }
    if (!c->incoming) {
        ic_ws_mask(it->data + pn, payload.n, mask, 0);
    }
    size_t n = pn + payload.n;
    it->block = NULL;
    it->tail = (struct ib_span){0};
    it->seq = 0;
    it->n = (uint32_t)n;
    it->total = n;
    it->kind = (uint8_t)kind;
    append(c, it);
    return 0;
}

bool ic_conn_was_written(const struct ic_conn *c, uint64_t seq)
{
    return seq <= c->seq_written;
}

bool ic_conn_congested(const struct ic_conn *c)
{
    return c->queued > high_water(c);
}

size_t ic_conn_queued(const struct ic_conn *c)
{
    return c->queued;
}

void ic_conn_pop(struct ic_conn *c)
{
    struct ic_item *it = c->out;
    c->out = it->next;
    if (!c->out) {
        c->out_tail = &c->out;
    }
    c->out_at = 0;
    if (it->seq) {
        c->seq_written = it->seq;
    }
    c->pong_queued = c->pong_queued && it->kind != IC_ITEM_PONG;
    enum ic_item_kind kind = it->kind;
    item_free(it);
    if (kind != IC_ITEM_PONG && kind != IC_ITEM_PULSE && kind != IC_ITEM_WS_CLOSE) {
        c->active_at = ib_clock_coarse_ms();
    }
    if (kind == IC_ITEM_VALIDATE) {
        ic_conn_validated(c);
    } else if (kind == IC_ITEM_WS_CLOSE) {
        ic_conn_ws_close_written(c);
    }
}

void ic_conn_written(struct ic_conn *c)
{
    if (!c->congested || c->state == IC_ST_CLOSED || c->queued > high_water(c) / 2) {
        return;
    }
    c->congested = false;
    ic_conn_reading_again(c);
    ic_conn_do(c, IC_DO_READ);
    if (c->ev && c->ev->on_drained) {
        c->ev->on_drained(c->arg, c);
    }
}

static int gather(const struct ic_conn *c, struct iovec v[IC_STAGE_IOV])
{
    int n = 0;
    size_t skip = c->out_at;
    for (struct ic_item *it = c->out; it && n < IC_STAGE_IOV - 1; it = it->next) {
        const uint8_t *parts[2] = {it->data, it->tail.p};
        size_t sizes[2] = {it->n, it->tail.n};
        for (int i = 0; i < 2; i++) {
            size_t cut = skip < sizes[i] ? skip : sizes[i];
            skip -= cut;
            if (sizes[i] > cut) { /* writev's base is not const */
                v[n++] = (struct iovec){(void *)(uintptr_t)(parts[i] + cut), sizes[i] - cut};
            }
        }
    }
    return n;
}

static void consume(struct ic_conn *c, size_t n)
{
    c->bytes_out += n;
    c->queued -= n;
    c->write_at = ib_clock_coarse_ms();
    while (n > 0 && c->state != IC_ST_CLOSED) {
        size_t left = c->out->total - c->out_at;
        if (n < left) {
            c->out_at += n;
            return;
        }
        n -= left;
        ic_conn_pop(c);
    }
}

/* The transport has taken put bytes, or said why not; false: nothing more to do now. */
static bool took(struct ic_conn *c, ssize_t put, const struct ib_err *err)
{
    c->blocked = put == IC_TP_WRITABLE || put == IC_TP_READABLE;
    c->write_reads = put == IC_TP_READABLE;
    if (c->blocked) {
        return false;
    }
    if (put < 0 && put != IC_TP_AGAIN) {
        ic_conn_fail(c, err);
        return false;
    }
    if (put > 0) {
        consume(c, (size_t)put);
    }
    return c->out != NULL;
}

static bool write_once(struct ic_conn *c)
{
    IB_UNINIT struct iovec v[IC_STAGE_IOV];
    IB_UNINIT struct ib_err err;
    int n = gather(c, v);
    ssize_t put = c->tp->ops->write(c->tp, v, n, &err);
    return took(c, put, &err);
}

static bool may_write(const struct ic_conn *c)
{
    unsigned first = c->incoming ? IC_ST_NOT_VALIDATED : IC_ST_ACTIVE;
    return c->state >= first && c->state != IC_ST_CLOSED && c->out;
}

static void write_on(struct ic_conn *c, bool more)
{
    for (int i = 0; more && i < WRITES_PER_ROUND && c->tp; i++) {
        more = write_once(c);
    }
    if (c->state == IC_ST_CLOSED || !c->tp) {
        return;
    }
    ic_conn_written(c);
    if (c->state == IC_ST_CLOSED) {
        return;
    }
    if (c->blocked) {
        ic_conn_timer(c);
    } else if (c->out) {
        ic_conn_do(c, IC_DO_FLUSH);
    }
    ic_conn_set_io(c);
}

void ic_conn_flush(struct ic_conn *c)
{
    if (c->pipe) {
        ic_pipe_flush(c);
    } else if (may_write(c)) {
        write_on(c, true);
    }
}

void ic_conn_push(struct ic_conn *c)
{
    ic_conn_flush(c);
}

bool ic_conn_stage(struct ic_conn *c, struct ic_stage *s)
{
    if (c->pipe || !may_write(c) || c->blocked) {
        return false;
    }
    struct ic_tp *base = ic_tp_base(c->tp);
    s->n = gather(c, s->v);
    return base->ops->stage(base, s);
}

void ic_conn_staged(struct ic_conn *c, const struct ic_stage *s, ssize_t res)
{
    IB_UNINIT struct ib_err err;
    struct ic_tp *base = ic_tp_base(c->tp);
    ssize_t put = base->ops->sent(base, s, res, &err);
    write_on(c, took(c, put, &err));
}
