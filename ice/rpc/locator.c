/* SPDX-License-Identifier: Apache-2.0 */
/* The client side of a locator (ice-protocol 18.2): indirect proxies become endpoints, answers are cached, and calls
   that ask for the same thing share one request. Owns its proxy, its cache and the lookups in progress. */
#include "rpc_priv.h"

#include <moulin/base/clock.h>
#include <slice/Ice/Locator.h>
#include <slice/Ice/Locator_rpc.h>

#include <stdlib.h>

#define CACHE_MAX 10000u /* entries; the oldest goes first */

enum lookup_kind { LOOKUP_ADAPTER, LOOKUP_OBJECT };

/* One adapter id or identity, in one encoding: cached, being looked up, or both (an expired answer). */
struct locator_entry {
    UT_hash_handle hh;
    struct ir_locator *locator;
    enum lookup_kind kind;
    struct ib_arena arena; /* of proxy */
    struct iw_proxy *proxy; /* the last answer; NULL: none, or it was dropped */
    int64_t since; /* when it was answered */
    struct ir_call *lookup; /* in progress */
    struct ib_list waiters; /* ir_call.wait_node */
    size_t n_key;
    uint8_t key[];
};

struct ir_locator {
    struct ir_runtime *rt;
    struct ib_arena arena;
    struct iw_proxy *proxy;
    struct locator_entry *entries; /* uthash; in order of insertion */
};

/* --- entries -------------------------------------------------------------------------------------------------- */

static void key_put(struct ib_buf *b, enum lookup_kind kind, const struct iw_proxy *p)
{
    ib_buf_put_u8(b, (uint8_t)kind);
    ib_buf_put_u8(b, p->encoding.major);
    ib_buf_put_u8(b, p->encoding.minor);
    if (kind == LOOKUP_ADAPTER) {
        iw_out_str(b, p->adapter_id);
    } else {
        iw_out_str(b, p->id.name);
        iw_out_str(b, p->id.category);
    }
}

static void entry_free(struct locator_entry *e)
{
    HASH_DEL(e->locator->entries, e);
    ib_arena_fini(&e->arena);
    free(e);
}

static void make_room(struct ir_locator *l)
{
    struct locator_entry *e, *next;
    if (HASH_COUNT(l->entries) < CACHE_MAX)
        return;
    HASH_ITER(hh, l->entries, e, next)
    {
        if (!e->lookup && ib_list_empty(&e->waiters)) {
            entry_free(e);
            return;
        }
    }
}

static struct locator_entry *entry_new(struct ir_locator *l, enum lookup_kind kind, const struct ib_buf *key)
{
    make_room(l);
    struct locator_entry *e = calloc(1, sizeof(*e) + key->n);
    if (!e)
        return NULL;
    memcpy(e->key, key->p, key->n);
    e->n_key = key->n;
    e->locator = l;
    e->kind = kind;
    ib_arena_init(&e->arena, l->rt->cfg.arena_limit);
    ib_list_init(&e->waiters);
    HASH_ADD_KEYPTR(hh, l->entries, e->key, e->n_key, e);
    if (!e->hh.tbl) {
        free(e);
        return NULL;
    }
    return e;
}

static struct locator_entry *entry_get(struct ir_locator *l, enum lookup_kind kind, const struct iw_proxy *p, bool make)
{
    struct ib_buf key;
    ib_buf_init(&key);
    key_put(&key, kind, p);
    struct locator_entry *e = NULL;
    if (ib_buf_ok(&key)) {
        HASH_FIND(hh, l->entries, key.p, key.n, e);
        if (!e && make)
            e = entry_new(l, kind, &key);
    }
    ib_buf_fini(&key);
    return e;
}

static bool entry_fresh(const struct locator_entry *e)
{
    int ttl = e->locator->rt->cfg.locator_cache_timeout;
    if (!e->proxy)
        return false;
    return ttl < 0 || ib_clock_ms() - e->since < (int64_t)ttl * 1000;
}

/* A call that finds a connection needs no lookup, however old what we know is (18.2). */
static bool entry_connected(const struct locator_entry *e, struct ir_call *c)
{
    return e->proxy && e->proxy->n_endpoints && !ir_endpoint_select(c, e->proxy) &&
           ir_pool_find(e->locator->rt->pool, c);
}

static void trace(struct ir_locator *l, const struct ir_call *c, const char *what)
{
    if (l->rt->cfg.trace_locator < 1)
        return;
    char text[200];
    bool adapter = c->proxy->adapter_id.n;
    ib_log_escape(adapter ? c->proxy->adapter_id : c->proxy->id.name, text, sizeof(text));
    ib_log_trace(l->rt->log, "Locator", "%s\n%s = %s", what, adapter ? "adapter" : "object", text);
}

/* --- answers -------------------------------------------------------------------------------------------------- */

static void resolve_adapter(struct ir_locator *l, struct ir_call *c, const struct iw_proxy *key, bool cached);

/* What an answer means for one call: endpoints, one more step, or nothing. */
static void answer_call(struct ir_locator *l, struct ir_call *c, enum lookup_kind kind, const struct iw_proxy *found,
                        bool cached)
{
    const struct iw_encoding want = c->proxy->encoding;
    /* An answer that cannot be asked in our encoding is of no use (18.2). */
    bool compatible = found && found->encoding.major == want.major && found->encoding.minor >= want.minor;
    if (compatible && found->n_endpoints) {
        trace(l, c, cached ? "found endpoints in locator cache" : "retrieved endpoints from locator");
        ir_call_resolved(c, found, cached);
        return;
    }
    if (compatible && kind == LOOKUP_OBJECT && found->adapter_id.n) {
        struct iw_proxy key = *found;
        key.encoding = want;
        resolve_adapter(l, c, &key, cached);
        return;
    }
    struct ib_err e;
    ib_err_set(&e, IB_ENOENDPOINT, "the locator knows no usable endpoints");
    ir_call_unsent(c, &e);
}

/* A call may ask again at once, and must not be answered by the same round. */
static void take_waiters(struct locator_entry *e, struct ib_list *to)
{
    ib_list_init(to);
    while (!ib_list_empty(&e->waiters)) {
        struct ib_list *n = e->waiters.next;
        ib_list_remove(n);
        ib_list_append(to, n);
    }
}

static void answer_all(struct locator_entry *e, const struct iw_proxy *found)
{
    struct ir_locator *l = e->locator;
    enum lookup_kind kind = e->kind;
    struct ib_list waiters;
    take_waiters(e, &waiters); /* e may be gone after the first of them */
    while (!ib_list_empty(&waiters)) {
        struct ir_call *c = IB_CONTAINER(waiters.next, struct ir_call, wait_node);
        ib_list_remove(&c->wait_node);
        answer_call(l, c, kind, found, false);
    }
}

static void fail_all(struct locator_entry *e, const struct ib_err *why)
{
    struct ib_list waiters;
    take_waiters(e, &waiters);
    entry_free(e);
    while (!ib_list_empty(&waiters)) {
        struct ir_call *c = IB_CONTAINER(waiters.next, struct ir_call, wait_node);
        ib_list_remove(&c->wait_node);
        ir_call_unsent(c, why);
    }
}

/* Names what the waiters asked for, in Ice's words: a caller behind a gateway reads them. */
static void not_registered(const struct locator_entry *e, struct ib_err *why)
{
    if (ib_list_empty(&e->waiters)) {
        ib_err_set(why, IB_ENOTREGISTERED, "not registered");
        return;
    }
    const struct iw_proxy *p = IB_CONTAINER(e->waiters.next, struct ir_call, wait_node)->proxy;
    struct ib_arena arena;
    ib_arena_init(&arena, 0);
    struct ib_str id = e->kind == LOOKUP_ADAPTER ? p->adapter_id : ir_identity_format(&p->id, IR_UNICODE, &arena);
    ib_err_set(why, IB_ENOTREGISTERED, "no object%s with id `%.*s' is registered",
               e->kind == LOOKUP_ADAPTER ? " adapter" : "", (int)id.n, id.p ? id.p : "");
    ib_arena_fini(&arena);
}

static void lookup_failed(struct locator_entry *e, const struct ir_result *r)
{
    struct ib_err why = r->err;
    if (Ice_AdapterNotFoundException_caught(r) || Ice_ObjectNotFoundException_caught(r))
        not_registered(e, &why);
    else if (!why.code)
        ib_err_set(&why, IB_EUNKNOWN, "the locator failed");
    fail_all(e, &why);
}

static void on_found(void *arg, const struct ir_result *r)
{
    struct locator_entry *e = arg;
    e->lookup = NULL;
    const struct iw_proxy *found = NULL;
    if (r->outcome != IR_SUCCESS) {
        lookup_failed(e, r);
        return;
    }
    if (e->kind == LOOKUP_ADAPTER)
        found = Ice_Locator_findAdapterById_result(r)->ret;
    else
        found = Ice_Locator_findObjectById_result(r)->ret;
    bool keep = found && (found->n_endpoints || (e->kind == LOOKUP_OBJECT && found->adapter_id.n));
    ib_arena_fini(&e->arena);
    e->proxy = keep ? iw_proxy_copy(found, &e->arena) : NULL;
    e->since = ib_clock_ms();
    answer_all(e, found);
}

static void start_lookup(struct ir_locator *l, struct locator_entry *e, const struct iw_proxy *key)
{
    struct ir_call_options opt = {.no_locator = true};
    struct iw_proxy prx = *l->proxy;
    prx.encoding = key->encoding; /* 18.2: asked in the encoding of the proxy to be resolved */
    if (prx.encoding.major == 1 && prx.encoding.minor > 1)
        prx.encoding.minor = 1;
    if (e->kind == LOOKUP_ADAPTER) {
        struct Ice_Locator_findAdapterById_in in = {.id = key->adapter_id};
        e->lookup = Ice_Locator_findAdapterById_call(l->rt, &prx, &opt, &in, on_found, e);
    } else {
        struct Ice_Locator_findObjectById_in in = {.id = key->id};
        e->lookup = Ice_Locator_findObjectById_call(l->rt, &prx, &opt, &in, on_found, e);
    }
    if (!e->lookup) {
        struct ib_err why;
        ib_err_set(&why, IB_ENOMEM, "%s", ib_err_text(IB_ENOMEM));
        fail_all(e, &why);
    }
}

static void resolve_key(struct ir_locator *l, struct ir_call *c, enum lookup_kind kind, const struct iw_proxy *key,
                        bool cached)
{
    struct locator_entry *e = entry_get(l, kind, key, true);
    if (!e) {
        ir_call_fail(c, IB_ENOMEM, NULL);
        return;
    }
    if (entry_fresh(e) || entry_connected(e, c)) {
        answer_call(l, c, kind, e->proxy, cached);
        return;
    }
    bool stale = e->proxy && l->rt->cfg.locator_background && l->rt->cfg.locator_cache_timeout != 0;
    struct iw_proxy *known = stale ? iw_proxy_copy(e->proxy, &c->arena) : NULL;
    if (!known)
        ib_list_append(&e->waiters, &c->wait_node);
    if (!e->lookup)
        start_lookup(l, e, key);
    if (known)
        answer_call(l, c, kind, known, cached);
}

static void resolve_adapter(struct ir_locator *l, struct ir_call *c, const struct iw_proxy *key, bool cached)
{
    (void)cached; /* the second step has a freshness of its own */
    resolve_key(l, c, LOOKUP_ADAPTER, key, true);
}

void ir_locator_resolve(struct ir_locator *l, struct ir_call *c)
{
    resolve_key(l, c, c->proxy->adapter_id.n ? LOOKUP_ADAPTER : LOOKUP_OBJECT, c->proxy, true);
}

static void drop(struct ir_locator *l, enum lookup_kind kind, const struct iw_proxy *key)
{
    struct locator_entry *e = entry_get(l, kind, key, false);
    if (!e)
        return;
    if (kind == LOOKUP_OBJECT && e->proxy && e->proxy->adapter_id.n) {
        struct iw_proxy step = *e->proxy;
        step.encoding = key->encoding;
        drop(l, LOOKUP_ADAPTER, &step);
    }
    e->proxy = NULL;
    if (!e->lookup && ib_list_empty(&e->waiters))
        entry_free(e);
}

void ir_locator_forget(struct ir_locator *l, const struct iw_proxy *prx)
{
    drop(l, prx->adapter_id.n ? LOOKUP_ADAPTER : LOOKUP_OBJECT, prx);
}

/* --- life ----------------------------------------------------------------------------------------------------- */

const struct iw_proxy *ir_locator_proxy(const struct ir_locator *l)
{
    return l->proxy;
}

struct ir_locator *ir_locator_new(struct ir_runtime *rt, const struct iw_proxy *prx)
{
    struct ir_locator *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    l->rt = rt;
    ib_arena_init(&l->arena, 0);
    l->proxy = iw_proxy_copy(prx, &l->arena);
    if (!l->proxy) {
        ir_locator_free(l);
        return NULL;
    }
    return l;
}

void ir_locator_free(struct ir_locator *l)
{
    if (!l)
        return;
    struct locator_entry *e, *next;
    struct ib_err why;
    ib_err_set(&why, IB_ECANCELED, "the locator was replaced");
    HASH_ITER(hh, l->entries, e, next)
    {
        if (e->lookup)
            ir_call_cancel(e->lookup);
        e->lookup = NULL;
        while (!ib_list_empty(&e->waiters))
            ir_call_fail(IB_CONTAINER(e->waiters.next, struct ir_call, wait_node), why.code, why.text);
        entry_free(e);
    }
    ib_arena_fini(&l->arena);
    free(l);
}
