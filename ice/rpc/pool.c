/* SPDX-License-Identifier: Apache-2.0 */
/* Outgoing connections shared by all calls of a runtime (ice-protocol 17.2): one per distinct endpoint, and one
   attempt at a time. An entry lives while its connection may be shared; it owns its key, not the connection. */
#include "rpc_priv.h"

#include <stdlib.h>

struct ir_pool_entry {
    UT_hash_handle hh;
    struct ir_pool *pool;
    struct ir_conn *conn;
    bool active;
    struct ib_list waiters; /* ir_call.wait_node, in the order they came */
    size_t n_key;
    uint8_t key[];
};

struct ir_pool {
    struct ir_runtime *rt;
    struct ir_pool_entry *entries; /* uthash by key */
};

struct ir_pool *ir_pool_new(struct ir_runtime *rt)
{
    struct ir_pool *p = calloc(1, sizeof(*p));
    if (p)
        p->rt = rt;
    return p;
}

void ir_pool_free(struct ir_pool *p)
{
    free(p); /* its entries went with their connections */
}

/* Everything that makes an endpoint distinct. The compress flag does not. */
static void key_put(struct ib_buf *b, const struct iw_endpoint *e)
{
    ib_buf_put_i16(b, e->type);
    ib_buf_put_i32(b, e->port);
    ib_buf_put_i32(b, e->timeout);
    iw_out_str(b, e->host);
    iw_out_str(b, e->source_address);
    iw_out_str(b, e->type == IW_EP_WS || e->type == IW_EP_WSS ? e->resource : IB_STR(""));
}

static struct ir_pool_entry *entry_find(struct ir_pool *p, const struct iw_endpoint *ep)
{
    struct ib_buf key;
    ib_buf_init(&key);
    key_put(&key, ep);
    struct ir_pool_entry *e = NULL;
    if (ib_buf_ok(&key))
        HASH_FIND(hh, p->entries, key.p, key.n, e);
    ib_buf_fini(&key);
    return e;
}

static struct ir_pool_entry *entry_new(struct ir_pool *p, const struct iw_endpoint *ep)
{
    struct ib_buf key;
    ib_buf_init(&key);
    key_put(&key, ep);
    struct ir_pool_entry *e = ib_buf_ok(&key) ? calloc(1, sizeof(*e) + key.n) : NULL;
    if (e) {
        memcpy(e->key, key.p, key.n);
        e->n_key = key.n;
        e->pool = p;
        ib_list_init(&e->waiters);
        HASH_ADD_KEYPTR(hh, p->entries, e->key, e->n_key, e);
        if (!e->hh.tbl) {
            free(e);
            e = NULL;
        }
    }
    ib_buf_fini(&key);
    return e;
}

struct ir_conn *ir_pool_find(struct ir_pool *p, struct ir_call *c)
{
    for (size_t i = 0; i < c->n_candidates; i++) {
        struct ir_pool_entry *e = entry_find(p, &c->candidates[i]);
        if (e && e->active) {
            c->chosen = i;
            return e->conn;
        }
    }
    return NULL;
}

static int32_t or_override(int32_t override, int32_t otherwise)
{
    return override != INT32_MIN ? override : otherwise;
}

/* What on_close of a connection that was never made would have said comes from here when memory is short. */
static int entry_open(struct ir_pool *p, struct ir_call *c, const struct iw_endpoint *ep, struct ir_pool_entry **out)
{
    const struct ir_config *cfg = &p->rt->cfg;
    struct ir_pool_entry *e = entry_new(p, ep);
    if (!e)
        return IB_ENOMEM;
    struct ic_conn_config cc = {
        .message_size_max = cfg->message_size_max,
        .connect_timeout_ms = c->connect_timeout ? c->connect_timeout : or_override(cfg->connect_timeout, ep->timeout),
        .timeout_ms = ep->timeout,
        .close_timeout_ms = or_override(cfg->close_timeout, ep->timeout),
        .acm = cfg->acm_client,
        .compression_level = cfg->compression_level,
    };
    e->conn = ir_conn_open(p->rt, ep, &cc, e);
    if (!e->conn) {
        HASH_DEL(p->entries, e);
        free(e);
        return IB_ENOMEM;
    }
    *out = e;
    return 0;
}

int ir_pool_join(struct ir_pool *p, struct ir_call *c)
{
    size_t first = c->n_candidates;
    struct ir_pool_entry *e = NULL;
    for (size_t i = 0; i < c->n_candidates && !e; i++) {
        if (c->tried[i])
            continue;
        if (first == c->n_candidates)
            first = i;
        e = entry_find(p, &c->candidates[i]); /* an attempt in progress is joined before one is started */
        if (e)
            first = i;
    }
    if (first == c->n_candidates)
        return IB_ENOENDPOINT;
    c->tried[first] = true;
    c->chosen = first;
    if (!e) {
        int r = entry_open(p, c, &c->candidates[first], &e);
        if (r)
            return r;
    }
    ib_list_append(&e->waiters, &c->wait_node);
    return 0;
}

void ir_pool_active(struct ir_pool_entry *e)
{
    e->active = true;
    struct ir_conn *conn = e->conn;
    struct ib_list waiters;
    ib_list_init(&waiters);
    while (!ib_list_empty(&e->waiters)) {
        struct ib_list *n = e->waiters.next;
        ib_list_remove(n);
        ib_list_append(&waiters, n);
    }
    while (!ib_list_empty(&waiters)) {
        struct ir_call *c = IB_CONTAINER(waiters.next, struct ir_call, wait_node);
        ib_list_remove(&c->wait_node);
        ir_call_connected(c, conn);
    }
}

void ir_pool_gone(struct ir_pool_entry *e, const struct ib_err *why)
{
    HASH_DEL(e->pool->entries, e);
    while (!ib_list_empty(&e->waiters)) {
        struct ir_call *c = IB_CONTAINER(e->waiters.next, struct ir_call, wait_node);
        ib_list_remove(&c->wait_node);
        ir_call_unsent(c, why);
    }
    free(e);
}
