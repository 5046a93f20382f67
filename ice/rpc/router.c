/* SPDX-License-Identifier: Apache-2.0 */
/* The client side of a router (ice-protocol 18.4): every call but those to the router itself goes to its client
   endpoints, and each identity is announced to it before its first request. */
#include "rpc_priv.h"

#include <slice/Ice/Router.h>
#include <slice/Ice/Router_rpc.h>

#include <stdlib.h>

#define KNOWN_MAX 10000u /* identities remembered; the oldest goes first, which costs one announcement more */

/* An identity the router knows, or is being told. */
struct known {
    UT_hash_handle hh;
    struct ir_router *router;
    struct ir_call *announce; /* in progress */
    struct ib_list waiters; /* ir_call.wait_node */
    size_t n_key;
    uint8_t key[];
};

struct ir_router {
    struct ir_runtime *rt;
    struct ib_arena arena;
    struct iw_proxy *proxy;
    struct iw_proxy *client; /* whose endpoints requests go to; NULL until known */
    bool has_table;
    struct ir_call *lookup; /* getClientProxy in progress */
    struct ib_list waiters; /* calls waiting for it */
    struct known *known;
};

/* Calls of the router's own objects never go through it: they share its identity or its endpoints directly. */
bool ir_router_applies(const struct ir_router *r, const struct ir_call *c)
{
    return !c->fixed && !c->no_router && !iw_identity_equal(&c->proxy->id, &r->proxy->id);
}

static void take_waiters(struct ib_list *from, struct ib_list *to)
{
    ib_list_init(to);
    while (!ib_list_empty(from)) {
        struct ib_list *n = from->next;
        ib_list_remove(n);
        ib_list_append(to, n);
    }
}

static struct ir_call *next_waiter(struct ib_list *list)
{
    if (ib_list_empty(list))
        return NULL;
    struct ir_call *c = IB_CONTAINER(list->next, struct ir_call, wait_node);
    ib_list_remove(&c->wait_node);
    return c;
}

static void go(struct ir_router *r, struct ir_call *c)
{
    ir_call_resolved(c, r->client, false);
}

/* --- the router's table --------------------------------------------------------------------------------------- */

static void key_put(struct ib_buf *b, const struct iw_identity *id)
{
    iw_out_str(b, id->name);
    iw_out_str(b, id->category);
}

static void known_free(struct known *k)
{
    HASH_DEL(k->router->known, k);
    free(k);
}

static struct known *known_new(struct ir_router *r, const struct ib_buf *key)
{
    struct known *k, *next;
    if (HASH_COUNT(r->known) >= KNOWN_MAX) {
        HASH_ITER(hh, r->known, k, next)
        {
            if (!k->announce) {
                known_free(k);
                break;
            }
        }
    }
    k = calloc(1, sizeof(*k) + key->n);
    if (!k)
        return NULL;
    memcpy(k->key, key->p, key->n);
    k->n_key = key->n;
    k->router = r;
    ib_list_init(&k->waiters);
    HASH_ADD_KEYPTR(hh, r->known, k->key, k->n_key, k);
    if (!k->hh.tbl) {
        free(k);
        return NULL;
    }
    return k;
}

static struct known *known_get(struct ir_router *r, const struct iw_identity *id, bool *made)
{
    struct ib_buf key;
    ib_buf_init(&key);
    key_put(&key, id);
    struct known *k = NULL;
    if (ib_buf_ok(&key)) {
        HASH_FIND(hh, r->known, key.p, key.n, k);
        if (!k && made) {
            k = known_new(r, &key);
            *made = k != NULL;
        }
    }
    ib_buf_fini(&key);
    return k;
}

void ir_router_forget(struct ir_router *r, const struct iw_identity *id)
{
    struct known *k = known_get(r, id, NULL);
    if (k && !k->announce)
        known_free(k);
}

static void on_added(void *arg, const struct ir_result *res)
{
    struct known *k = arg;
    struct ir_router *r = k->router;
    struct ib_list waiters;
    struct ir_call *c;
    k->announce = NULL;
    take_waiters(&k->waiters, &waiters);
    const struct Ice_Router_addProxies_out *out = Ice_Router_addProxies_result(res);
    if (!out) {
        struct ib_err why = res->err;
        if (!why.code)
            ib_err_set(&why, IB_EUNKNOWN, "the router refused a proxy");
        known_free(k);
        while ((c = next_waiter(&waiters)))
            ir_call_fail(c, why.code, why.text);
        return;
    }
    for (size_t i = 0; i < out->ret.n; i++) {
        if (out->ret.v[i])
            ir_router_forget(r, &out->ret.v[i]->id);
    }
    while ((c = next_waiter(&waiters)))
        go(r, c);
}

static void announce(struct ir_router *r, struct ir_call *c)
{
    bool made = false;
    struct known *k = known_get(r, &c->proxy->id, &made);
    if (!k) {
        ir_call_fail(c, IB_ENOMEM, NULL);
        return;
    }
    if (!made && !k->announce) {
        go(r, c);
        return;
    }
    ib_list_append(&k->waiters, &c->wait_node);
    if (k->announce)
        return;
    struct iw_proxy *prx = c->proxy;
    struct Ice_Router_addProxies_in in = {.proxies = {.n = 1, .v = &prx}};
    k->announce = Ice_Router_addProxies_call(r->rt, r->proxy, NULL, &in, on_added, k);
    if (!k->announce) {
        ir_call_fail(c, IB_ENOMEM, NULL);
        known_free(k);
    }
}

/* --- the router's endpoints ----------------------------------------------------------------------------------- */

static void proceed(struct ir_router *r, struct ir_call *c)
{
    if (r->has_table)
        announce(r, c);
    else
        go(r, c);
}

static void on_client_proxy(void *arg, const struct ir_result *res)
{
    struct ir_router *r = arg;
    struct ib_list waiters;
    struct ir_call *c;
    r->lookup = NULL;
    take_waiters(&r->waiters, &waiters);
    const struct Ice_Router_getClientProxy_out *out = Ice_Router_getClientProxy_result(res);
    if (out) {
        r->client = iw_proxy_copy(out->ret ? out->ret : r->proxy, &r->arena);
        r->has_table = !out->has_hasRoutingTable || out->hasRoutingTable;
    }
    if (!r->client) {
        struct ib_err why = res->err;
        if (!why.code)
            ib_err_set(&why, IB_EUNKNOWN, "the router has no client endpoints");
        while ((c = next_waiter(&waiters)))
            ir_call_fail(c, why.code, why.text);
        return;
    }
    /* 18.4: the timeout of the connection that exists, so that it is shared. */
    for (size_t i = 0; out->ret && r->proxy->n_endpoints && i < r->client->n_endpoints; i++)
        r->client->endpoints[i].timeout = r->proxy->endpoints[0].timeout;
    while ((c = next_waiter(&waiters)))
        proceed(r, c);
}

void ir_router_resolve(struct ir_router *r, struct ir_call *c)
{
    if (r->client) {
        proceed(r, c);
        return;
    }
    ib_list_append(&r->waiters, &c->wait_node);
    if (r->lookup)
        return;
    r->lookup = Ice_Router_getClientProxy_call(r->rt, r->proxy, NULL, NULL, on_client_proxy, r);
    if (!r->lookup)
        ir_call_fail(c, IB_ENOMEM, NULL);
}

/* --- life ----------------------------------------------------------------------------------------------------- */

struct ir_router *ir_router_new(struct ir_runtime *rt, const struct iw_proxy *prx)
{
    struct ir_router *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->rt = rt;
    ib_arena_init(&r->arena, 0);
    ib_list_init(&r->waiters);
    r->proxy = iw_proxy_copy(prx, &r->arena);
    if (!r->proxy) {
        ir_router_free(r);
        return NULL;
    }
    return r;
}

void ir_router_free(struct ir_router *r)
{
    if (!r)
        return;
    struct known *k, *next;
    HASH_ITER(hh, r->known, k, next)
    {
        known_free(k);
    }
    ib_arena_fini(&r->arena);
    free(r);
}
