/* SPDX-License-Identifier: Apache-2.0 */
/* The reading half of a connection: bytes to frames to callbacks (ice-protocol 7, 9, 10). Small frames are delivered
   from the loop's scratch block, larger bodies are read into a block of their own that grows as they arrive. */
#include "conn_priv.h"

#include <errno.h>
#include <moulin/base/clock.h>
#include <string.h>

#define READS_PER_ROUND 8 /* then others have their turn */
#define FIRST_BLOCK 65536 /* what a header alone can make us allocate */

/* A peer that does not read our answers is not read either. Only the accepting side does this: if both did, two full
   queues could wait for each other for ever. */
static bool pushes_back(const struct ic_conn *c)
{
    return c->incoming && c->congested;
}

static bool held(const struct ic_conn *c)
{
    return c->state != IC_ST_CLOSING_PENDING && (c->holds > 0 || pushes_back(c));
}

bool ic_conn_reads(const struct ic_conn *c)
{
    unsigned first = c->incoming ? IC_ST_ACTIVE : IC_ST_NOT_VALIDATED; /* 9.1: before that, bytes stay in the socket */
    if (c->ws_close_came) { /* nothing that follows counts */
        return false;
    }
    return c->state >= first && c->state != IC_ST_CLOSED && !held(c);
}

void ic_conn_in_fini(struct ic_conn *c)
{
    ib_block_unref(c->rx);
    ib_block_unref(c->stash);
    c->rx = c->stash = NULL;
    c->hdr_have = 0;
}

static void fail(struct ic_conn *c, int code, const char *text)
{
    struct ib_err err;
    ib_err_set(&err, code, "%s", text);
    ic_conn_fail(c, &err);
}

static void first_message(struct ic_conn *c, const struct ic_header *h)
{
    if (h->type != IC_VALIDATE) {
        fail(c, IB_ENOTVALIDATED, "the peer's first message is not ValidateConnection");
    } else if (h->size != IC_HEADER_SIZE) {
        fail(c, IB_EMSGSIZE, "ValidateConnection with a body");
    } else {
        ic_conn_validated(c);
    }
}

static void deliver(struct ic_conn *c, const struct ic_header *h, struct ib_span body, struct ib_block *block)
{
    struct ib_block *plain = NULL;
    struct ic_frame f = {.type = h->type, .compression = h->compression, .body = body, .block = block};
    if (h->compression == IC_COMPRESS_DONE) {
        IB_UNINIT struct ib_err err;
        if (ic_decompress(body, c->cfg.message_size_max, &plain, &err) < 0) {
            ic_conn_fail(c, &err);
            return;
        }
        f.block = plain;
        f.body = (struct ib_span){plain->p, plain->n};
    }
    if (c->ev && c->ev->on_frame) {
        c->ev->on_frame(c->arg, c, &f);
    }
    ib_block_unref(plain);
}

void ic_conn_message(struct ic_conn *c, const struct ic_header *h, struct ib_span body, struct ib_block *block)
{
    if (c->state == IC_ST_NOT_VALIDATED) {
        first_message(c, h);
    } else if (h->type == IC_VALIDATE) {
        if (c->ev && c->ev->on_heartbeat) {
            c->ev->on_heartbeat(c->arg, c);
        }
    } else if (h->type == IC_CLOSE) {
        ic_conn_peer_close(c);
    } else if (c->state == IC_ST_ACTIVE || h->type == IC_REPLY) {
        deliver(c, h, body, block);
    } /* else: requests that come while we close are dropped, the peer sends them again elsewhere (9.2) */
}

static void stash(struct ic_conn *c, const uint8_t *p, size_t n)
{
    c->stash = ib_block_new(n);
    if (!c->stash) {
        ic_conn_finish(c, IB_ENOMEM, NULL);
        return;
    }
    memcpy(c->stash->p, p, n);
    c->stash_at = 0;
}

/* The header is complete; n bytes of the body are at p. Returns how many were used. */
static size_t take_body(struct ic_conn *c, struct ib_block *b, const uint8_t *p, size_t n)
{
    IB_UNINIT struct ib_err err;
    if (ic_header_parse(c->hdr, c->cfg.message_size_max, &c->in, &err) < 0) {
        ic_conn_fail(c, &err);
        return 0;
    }
    size_t total = (size_t)c->in.size - IC_HEADER_SIZE;
    if (n >= total) {
        struct ic_header h = c->in;
        c->hdr_have = 0;
        ic_conn_message(c, &h, (struct ib_span){p, total}, b);
        return total;
    }
    size_t room = total < FIRST_BLOCK ? total : FIRST_BLOCK;
    c->rx = ib_block_new(room < n ? n : room);
    if (!c->rx) {
        ic_conn_finish(c, IB_ENOMEM, NULL);
        return 0;
    }
    memcpy(c->rx->p, p, n);
    c->rx_have = n;
    c->rx_total = total;
    c->read_at = ib_clock_ms();
    ic_conn_timer(c);
    return n;
}

/* Cuts n bytes at p, which lie in block b, into messages. */
static void parse(struct ic_conn *c, struct ib_block *b, const uint8_t *p, size_t n)
{
    while (n > 0 && c->state >= IC_ST_NOT_VALIDATED && c->state != IC_ST_CLOSED) {
        if (held(c)) {
            stash(c, p, n);
            return;
        }
        size_t k = (size_t)IC_HEADER_SIZE - c->hdr_have;
        k = k < n ? k : n;
        memcpy(c->hdr + c->hdr_have, p, k);
        c->hdr_have = (uint8_t)(c->hdr_have + k);
        p += k;
        n -= k;
        if (c->hdr_have < IC_HEADER_SIZE) {
            return;
        }
        k = take_body(c, b, p, n);
        p += k;
        n -= k;
        if (c->rx) {
            return;
        }
    }
}

/* n more bytes of a body are in c->rx. */
static void body_grew(struct ic_conn *c, size_t n)
{
    c->rx_have += n;
    if (c->rx_have == c->rx_total) {
        struct ib_block *b = c->rx;
        struct ic_header h = c->in;
        size_t total = c->rx_total;
        c->rx = NULL;
        c->hdr_have = 0;
        ic_conn_message(c, &h, (struct ib_span){b->p, total}, b);
        ib_block_unref(b);
        return;
    }
    if (c->rx_have < c->rx->n) {
        return;
    }
    /* More than the first block holds has really come: only now take twice as much. */
    size_t want = c->rx->n > c->rx_total / 2 ? c->rx_total : c->rx->n * 2;
    struct ib_block *larger = ib_block_new(want);
    if (!larger) {
        ic_conn_finish(c, IB_ENOMEM, NULL);
        return;
    }
    memcpy(larger->p, c->rx->p, c->rx_have);
    ib_block_unref(c->rx);
    c->rx = larger;
}

static void use_stash(struct ic_conn *c)
{
    struct ib_block *b = c->stash;
    c->stash = NULL;
    parse(c, b, b->p + c->stash_at, b->n - c->stash_at);
    ib_block_unref(b);
}

/* n bytes were read to p: into the body that came in part, or into the scratch block. */
static void received(struct ic_conn *c, const uint8_t *p, size_t n)
{
    c->bytes_in += n;
    c->active_at = c->read_at = ib_clock_coarse_ms();
    if (c->rx) {
        body_grew(c, n);
        return;
    }
    struct ib_block *b = ib_block_ref(c->loop->scratch);
    parse(c, b, p, n);
    ic_scratch_done(c->loop, n);
    ib_block_unref(b);
}

/* One read. False: nothing more to do now. */
static bool read_once(struct ic_conn *c)
{
    IB_UNINIT struct ib_err err;
    size_t room;
    uint8_t *p;
    if (c->rx) {
        p = c->rx->p + c->rx_have;
        room = c->rx->n - c->rx_have;
    } else {
        p = ic_scratch(c->loop, &room);
        if (!p) {
            ic_conn_finish(c, IB_ENOMEM, NULL);
            return false;
        }
    }
    ssize_t got = c->tp->ops->read(c->tp, p, room, &err);
    c->read_writes = got == IC_TP_WRITABLE;
    if (got == IC_TP_READABLE || got == IC_TP_WRITABLE) {
        return false;
    }
    if (got == 0) {
        ic_conn_eof(c);
    } else if (got > 0) {
        received(c, p, (size_t)got);
    } else if (got != IC_TP_AGAIN) {
        ic_conn_fail(c, &err);
    }
    if (c->ws && c->tp && c->state >= IC_ST_NOT_VALIDATED) {
        ic_conn_ws_control(c);
    }
    return c->tp && (got == IC_TP_AGAIN || got == (ssize_t)room || c->tp->ops->pending(c->tp));
}

void ic_conn_read(struct ic_conn *c)
{
    if (!c->tp) {
        return;
    }
    if (c->stash && ic_conn_reads(c)) {
        use_stash(c);
    }
    bool more = true;
    for (int i = 0; more && i < READS_PER_ROUND && ic_conn_reads(c); i++) {
        more = read_once(c);
    }
    if (c->state == IC_ST_CLOSED || !c->tp) {
        return;
    }
    if (more && ic_conn_reads(c)) {
        ic_conn_do(c, IC_DO_READ); /* the socket may be silent while the transport still holds bytes */
    }
    ic_conn_set_io(c);
}

bool ic_conn_may_feed(const struct ic_conn *c)
{
    return c->tp && ic_conn_reads(c) && !c->stash && !ic_tp_base(c->tp)->fed;
}

void ic_conn_feed(struct ic_conn *c, struct ic_fed *fed, const uint8_t *p, ssize_t res, size_t most)
{
    *fed = (struct ic_fed){.p = p, .n = res > 0 ? (size_t)res : 0, .more = res == (ssize_t)most};
    fed->error = res > 0 ? EAGAIN : (int)-res;
    ic_tp_base(c->tp)->fed = fed;
    ic_conn_read(c);
    if (c->tp && ic_tp_fed_keep(ic_tp_base(c->tp)) < 0) {
        ic_conn_finish(c, IB_ENOMEM, NULL);
    }
}

void ic_conn_reading_again(struct ic_conn *c)
{
    c->read_at = ib_clock_ms(); /* the peer is not to blame for the time that passed */
    ic_conn_timer(c);
}

void ic_conn_hold(struct ic_conn *c, bool hold)
{
    c->holds += hold ? 1 : -1;
    if (c->state == IC_ST_CLOSED) {
        return;
    }
    if (!held(c)) {
        ic_conn_reading_again(c);
        if (c->peer) {
            ic_conn_do(c->peer, IC_DO_FLUSH);
        } else {
            ic_conn_do(c, IC_DO_READ);
        }
    }
    if (c->tp) {
        ic_conn_set_io(c);
    }
}
