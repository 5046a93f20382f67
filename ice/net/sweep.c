/* SPDX-License-Identifier: Apache-2.0 */
#include "sweep.h"

#include "conn_priv.h"
#include "ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PIECE 4096 /* what is received at once; a larger message goes on directly */

struct slot {
    struct ic_conn *conn; /* NULL: it went, or is read or written directly */
    struct ic_op op;
    struct iovec v[IC_STAGE_IOV];
    struct ic_fed fed;
    struct ic_stage stage;
};

struct ic_sweep {
    struct ic_ring *ring;
    struct slot slots[IC_RING_MAX];
    uint8_t bytes[IC_RING_MAX * PIECE]; /* received, or encrypted to be sent: never both at once */
};

void ic_sweep_read_later(struct ic_conn *c)
{
    if (ib_list_empty(&c->to_read)) {
        ib_list_append(&c->loop->to_read, &c->to_read);
        event_active(c->loop->round, EV_TIMEOUT, 0);
    }
}

void ic_sweep_write_later(struct ic_conn *c)
{
    if (ib_list_empty(&c->to_write)) {
        ib_list_append(&c->loop->to_write, &c->to_write);
    }
}

void ic_sweep_forget(struct ic_conn *c)
{
    ib_list_remove(&c->to_read);
    ib_list_remove(&c->to_write);
}

/* Made when two sockets are first ready together; tried once. */
static struct ic_sweep *sweep_of(struct ic_loop *loop)
{
    if (loop->sweep && !ic_ring_works(loop->sweep->ring)) {
        ic_sweep_free(loop);
    }
    if (!loop->sweep && loop->uring && !loop->sweep_tried) {
        loop->sweep_tried = true;
        struct ic_ring *ring = ic_ring_new();
        loop->sweep = ring ? malloc(sizeof *loop->sweep) : NULL;
        if (loop->sweep) {
            loop->sweep->ring = ring;
        } else {
            ic_ring_free(ring);
        }
    }
    return loop->sweep;
}

void ic_sweep_free(struct ic_loop *loop)
{
    if (loop->sweep) {
        ic_ring_free(loop->sweep->ring);
    }
    free(loop->sweep);
    loop->sweep = NULL;
}

static bool several(const struct ib_list *l)
{
    return l->next != l && l->next->next != l;
}

/* --- reading --- */

static struct ic_conn *next_reader(struct ic_loop *loop)
{
    struct ic_conn *c = IB_CONTAINER(loop->to_read.next, struct ic_conn, to_read);
    ib_list_remove(&c->to_read);
    return c;
}

/* Anything but the plain case, and a large body that has a place of its own, is read directly. */
static bool may_feed(const struct ic_conn *c)
{
    return ic_conn_may_feed(c) && !c->rx;
}

static unsigned receive(struct ic_loop *loop, struct ic_sweep *s)
{
    struct ic_op *ops[IC_RING_MAX];
    unsigned n = 0, n_ops = 0;
    while (n < IC_RING_MAX && !ib_list_empty(&loop->to_read)) {
        struct slot *slot = &s->slots[n];
        slot->conn = next_reader(loop);
        slot->op.fd = -1;
        if (may_feed(slot->conn)) {
            slot->v[0] = (struct iovec){s->bytes + (size_t)n * PIECE, PIECE};
            slot->op = (struct ic_op){.fd = slot->conn->tp->fd, .msg = {.msg_iov = slot->v, .msg_iovlen = 1}};
            ops[n_ops++] = &slot->op;
        }
        n++;
    }
    ic_ring_run(s->ring, ops, n_ops);
    return n;
}

static void feed(struct slot *slot)
{
    if (slot->op.fd < 0) {
        ic_conn_read(slot->conn);
    } else if (slot->conn->tp) { /* not closed by what another has brought */
        ic_conn_feed(slot->conn, &slot->fed, slot->v[0].iov_base, slot->op.res, PIECE);
    }
}

void ic_sweep_reads(struct ic_loop *loop)
{
    while (!ib_list_empty(&loop->to_read)) {
        struct ic_sweep *s = several(&loop->to_read) ? sweep_of(loop) : NULL;
        if (!s) {
            ic_conn_read(next_reader(loop));
            continue;
        }
        unsigned n = receive(loop, s);
        for (unsigned i = 0; i < n; i++) {
            feed(&s->slots[i]);
        }
    }
}

/* --- writing --- */

static unsigned stage(struct ic_loop *loop, struct ic_sweep *s)
{
    struct ic_op *ops[IC_RING_MAX];
    unsigned n = 0, n_ops = 0;
    size_t used = 0;
    while (n < IC_RING_MAX && !ib_list_empty(&loop->to_write)) {
        struct slot *slot = &s->slots[n++];
        slot->conn = IB_CONTAINER(loop->to_write.next, struct ic_conn, to_write);
        ib_list_remove(&slot->conn->to_write);
        slot->stage = (struct ic_stage){.v = slot->v, .room = s->bytes + used, .space = sizeof s->bytes - used};
        slot->op.fd = -1;
        if (ic_conn_stage(slot->conn, &slot->stage)) {
            slot->op = (struct ic_op){.fd = slot->conn->tp->fd,
                                      .kind = IC_OP_SEND,
                                      .msg = {.msg_iov = slot->v, .msg_iovlen = (size_t)slot->stage.n}};
            ops[n_ops++] = &slot->op;
            used += slot->stage.used;
        }
    }
    ic_ring_run(s->ring, ops, n_ops);
    return n;
}

void ic_sweep_writes(struct ic_loop *loop)
{
    while (!ib_list_empty(&loop->to_write)) {
        struct ic_sweep *s = several(&loop->to_write) ? sweep_of(loop) : NULL;
        if (!s) {
            struct ic_conn *c = IB_CONTAINER(loop->to_write.next, struct ic_conn, to_write);
            ib_list_remove(&c->to_write);
            ic_conn_flush(c);
            continue;
        }
        unsigned n = stage(loop, s);
        for (unsigned i = 0; i < n; i++) {
            struct slot *slot = &s->slots[i];
            if (slot->op.fd < 0) {
                ic_conn_flush(slot->conn);
            } else if (slot->conn->tp) { /* not closed by what another's end of writing led to */
                ic_conn_staged(slot->conn, &slot->stage, slot->op.res);
            }
        }
    }
}
