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
    struct ir_pool_entry *last; /* found: most calls go where the one before went */
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
struct key {
    int32_t numbers[7]; /* guard, type, port, timeout, lengths of the texts: no two endpoints share a key */
    struct ib_str texts[3];
};

static struct key key_of(const struct iw_endpoint *e, uint8_t guard)
{
    struct key k = {.texts = {e->host, e->source_address, IB_STR("")}};
    if (e->type == IW_EP_WS || e->type == IW_EP_WSS)
        k.texts[2] = e->resource;
    k.numbers[0] = guard;
    k.numbers[1] = e->type;
    k.numbers[2] = e->port;
    k.numbers[3] = e->timeout;
    for (int i = 0; i < 3; i++)
        k.numbers[4 + i] = (int32_t)k.texts[i].n;
    return k;
}

static size_t key_size(const struct key *k)
{
    return sizeof(k->numbers) + k->texts[0].n + k->texts[1].n + k->texts[2].n;
}

static void key_write(const struct key *k, uint8_t *out)
{
    memcpy(out, k->numbers, sizeof(k->numbers));
    out += sizeof(k->numbers);
    for (int i = 0; i < 3; i++) {
        memcpy(out, ib_cstr(k->texts[i]), k->texts[i].n);
        out += k->texts[i].n;
    }
}

static struct ir_pool_entry *entry_find(struct ir_pool *p, const struct iw_endpoint *ep, uint8_t guard)
{
    struct key k = key_of(ep, guard);
    size_t n = key_size(&k);
    IB_UNINIT uint8_t small[256];
    uint8_t *key = n <= sizeof(small) ? small : malloc(n);
    struct ir_pool_entry *e = NULL;
    if (key) {
        key_write(&k, key);
        if (p->last && p->last->n_key == n && memcmp(p->last->key, key, n) == 0)
            e = p->last;
        else
            HASH_FIND(hh, p->entries, key, n, e);
        p->last = e;
    }
    if (key != small)
        free(key);
    return e;
}

static struct ir_pool_entry *entry_new(struct ir_pool *p, const struct iw_endpoint *ep, uint8_t guard)
{
    struct key k = key_of(ep, guard);
    struct ir_pool_entry *e = calloc(1, sizeof(*e) + key_size(&k));
    if (e) {
        key_write(&k, e->key);
        e->n_key = key_size(&k);
        e->pool = p;
        ib_list_init(&e->waiters);
        HASH_ADD_KEYPTR(hh, p->entries, e->key, e->n_key, e);
        if (!e->hh.tbl) {
            free(e);
            e = NULL;
        }
    }
    return e;
}

struct ir_conn *ir_pool_find(struct ir_pool *p, struct ir_call *c)
{
    for (size_t i = 0; i < c->n_candidates; i++) {
        struct ir_pool_entry *e = entry_find(p, &c->candidates[i], c->guard);
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
    struct ir_pool_entry *e = entry_new(p, ep, c->guard);
    if (!e)
        return IB_ENOMEM;
    struct ic_conn_config cc = {
        .message_size_max = cfg->message_size_max,
        .connect_timeout_ms = c->connect_timeout ? c->connect_timeout : or_override(cfg->connect_timeout, ep->timeout),
        .timeout_ms = ep->timeout,
        .close_timeout_ms = or_override(cfg->close_timeout, ep->timeout),
        .acm = cfg->acm_client,
        .pulse_s = cfg->pulse_s,
        .compression_level = cfg->compression_level,
    };
    e->conn = ir_conn_open(p->rt, ep, &cc, e, c->guard);
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
        e = entry_find(p, &c->candidates[i], c->guard); /* an attempt in progress is joined before one is started */
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
    e->pool->last = NULL;
    while (!ib_list_empty(&e->waiters)) {
        struct ir_call *c = IB_CONTAINER(e->waiters.next, struct ir_call, wait_node);
        ib_list_remove(&c->wait_node);
        ir_call_unsent(c, why);
    }
    free(e);
}
