/* SPDX-License-Identifier: Apache-2.0 */
/* Oneways that travel as datagrams: a socket for each distinct udp endpoint, kept while it is used, and its open batch
   of requests, which leaves at the end of the loop's round. */
#include "rpc_priv.h"

#include <moulin/net/udp.h>
#include <stdlib.h>

#define IDLE_MS 60000 /* an endpoint not used for so long is forgotten */
#define TARGETS_MAX 256 /* each holds a descriptor, and clients of a router choose the endpoints */

struct ir_datagram_target {
    UT_hash_handle hh;
    struct ir_datagrams *all;
    struct ic_udp *udp; /* owns */
    struct ib_buf batch; /* the count, then the requests */
    int32_t count;
    bool compress;
    uint8_t guard; /* of the calls it was made for */
    struct ic_deferred flush;
    struct ic_timer idle;
    size_t n_key;
    uint8_t key[];
};

struct ir_datagrams {
    struct ir_runtime *rt;
    struct ir_datagram_target *targets; /* uthash by key */
};

static void target_free(struct ir_datagram_target *t)
{
    HASH_DEL(t->all->targets, t);
    ic_loop_undefer(t->all->rt->loop, &t->flush);
    ic_timer_fini(&t->idle);
    ic_udp_free(t->udp);
    ib_buf_fini(&t->batch);
    free(t);
}

static struct ir_datagrams *datagrams_new(struct ir_runtime *rt)
{
    struct ir_datagrams *d = calloc(1, sizeof(*d));
    if (d)
        d->rt = rt;
    return d;
}

void ir_datagrams_free(struct ir_datagrams *d)
{
    while (d && d->targets)
        target_free(d->targets);
    free(d);
}

static void on_idle(void *arg)
{
    target_free(arg);
}

static void key_put(struct ib_buf *b, const struct iw_endpoint *e, uint8_t guard)
{
    ib_buf_put_u8(b, guard);
    ib_buf_put_i32(b, e->port);
    ib_buf_put_i32(b, e->mcast_ttl);
    iw_out_str(b, e->host);
    iw_out_str(b, e->mcast_interface);
}

static void flush(void *arg);

/* The one made first makes room. */
static void make_room(struct ir_datagrams *d)
{
    if (HASH_COUNT(d->targets) >= TARGETS_MAX) {
        flush(d->targets);
        target_free(d->targets);
    }
}

static bool may_send(void *arg, const struct iw_endpoint *ep, const struct sockaddr *sa)
{
    const struct ir_datagram_target *t = arg;
    const struct ir_runtime *rt = t->all->rt;
    return rt->guard(rt->guard_arg, t->guard, ep, sa);
}

static struct ir_datagram_target *target_new(struct ir_datagrams *d, const struct iw_endpoint *ep, uint8_t guard,
                                             struct ib_span key)
{
    struct ir_datagram_target *t = calloc(1, sizeof(*t) + key.n);
    if (!t)
        return NULL;
    make_room(d);
    t->all = d;
    t->guard = guard;
    t->n_key = key.n;
    memcpy(t->key, key.p, key.n);
    const struct ic_udp_config cfg = {.compression_level = d->rt->cfg.compression_level,
                                      .may_send = guard && d->rt->guard ? may_send : NULL,
                                      .may_send_arg = t};
    t->udp = ic_udp_new(d->rt->loop, ep, &cfg);
    if (t->udp)
        HASH_ADD_KEYPTR(hh, d->targets, t->key, t->n_key, t);
    if (!t->udp || !t->hh.tbl) {
        ic_udp_free(t->udp);
        free(t);
        return NULL;
    }
    ib_buf_init(&t->batch);
    ic_timer_init(&t->idle, d->rt->loop, on_idle, t);
    return t;
}

static struct ir_datagram_target *target_of(struct ir_datagrams *d, const struct iw_endpoint *ep, uint8_t guard)
{
    struct ib_buf key;
    struct ir_datagram_target *t = NULL;
    ib_buf_init(&key);
    key_put(&key, ep, guard);
    if (ib_buf_ok(&key)) {
        HASH_FIND(hh, d->targets, key.p, key.n, t);
        if (!t)
            t = target_new(d, ep, guard, ib_buf_span(&key));
    }
    ib_buf_fini(&key);
    return t;
}

static int send_message(struct ir_datagram_target *t, const struct ic_out *m)
{
    int r = ic_udp_send(t->udp, m, t->all->rt->cfg.datagram_max);
    if (!r && t->all->rt->cfg.trace_protocol)
        ir_trace_out(t->all->rt, m);
    return r;
}

static void flush(void *arg)
{
    struct ir_datagram_target *t = arg;
    if (!t->count)
        return;
    ib_buf_set_i32(&t->batch, 0, t->count);
    int r =
        send_message(t, &(struct ic_out){.type = IC_BATCH, .compress = t->compress, .head = ib_buf_span(&t->batch)});
    (void)r; /* each of them fitted by itself and all of them together: only memory can be short, and datagrams get lost
              */
    t->count = 0;
    ib_buf_fini(&t->batch);
    ib_buf_init(&t->batch);
}

static int add(struct ir_datagram_target *t, const struct ir_call *c, struct ib_span head, bool compress)
{
    size_t n = head.n + c->body.n;
    size_t max = t->all->rt->cfg.datagram_max - IC_HEADER_SIZE;
    if (n + 4 > max)
        return IB_EDATAGRAMLIMIT;
    if (t->count && (t->batch.n + n > max || t->compress != compress))
        flush(t);
    if (!t->count)
        ib_buf_put_i32(&t->batch, 0);
    ib_buf_put(&t->batch, head.p, head.n);
    ib_buf_put(&t->batch, c->body.p, c->body.n);
    if (!ib_buf_ok(&t->batch)) {
        t->count = 0;
        ib_buf_clear(&t->batch);
        return IB_ENOMEM;
    }
    t->compress = compress;
    if (t->count++ == 0)
        ic_loop_defer(t->all->rt->loop, &t->flush, flush, t);
    return 0;
}

int ir_datagram_send(struct ir_call *c)
{
    struct ir_runtime *rt = c->rt;
    if (!rt->datagrams && !(rt->datagrams = datagrams_new(rt)))
        return IB_ENOMEM;
    struct ir_datagram_target *t = target_of(rt->datagrams, &c->candidates[0], c->guard);
    if (!t)
        return IB_ENOMEM;
    ic_timer_start(&t->idle, IDLE_MS);
    bool compress = c->compress ? c->compress > 0 : c->candidates[0].compress;
    struct ib_span head = ib_buf_span(&c->head);
    if (c->batch == IR_BATCH_YES)
        return add(t, c, (struct ib_span){head.p + 4, head.n - 4}, compress);
    flush(t);
    return send_message(t, &(struct ic_out){.type = IC_REQUEST, .compress = compress, .head = head, .body = c->body});
}
