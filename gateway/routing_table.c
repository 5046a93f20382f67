/* SPDX-License-Identifier: Apache-2.0 */
/* The routing table: a hash over identities threaded by a list in order of use. */
#include "routing_table.h"

#include <stdlib.h>

#include <moulin/base/arena.h>
#include <moulin/wire/codec.h>

#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(e) ((e)->linked = false)
#include <uthash.h>

#define ARENA_FIRST 256 /* a proxy with an endpoint or two */
#define BYTES_MAX ((size_t)16 << 20) /* per session; real tables are a few hundred KiB */

struct gw_route {
    UT_hash_handle hh;
    struct ib_list node;
    struct ib_arena arena; /* holds proxy and key */
    struct iw_proxy *proxy;
    size_t bytes;
    bool linked; /* uthash took it */
};

void gw_routes_init(struct gw_routes *t, size_t max)
{
    *t = (struct gw_routes){.max = max};
    ib_list_init(&t->lru);
}

void gw_route_free(struct gw_route *r)
{
    if (r) {
        ib_arena_fini(&r->arena);
        free(r);
    }
}

static void unlink_route(struct gw_routes *t, struct gw_route *r)
{
    HASH_DEL(t->by_identity, r);
    ib_list_remove(&r->node);
    t->bytes -= r->bytes;
}

void gw_routes_fini(struct gw_routes *t)
{
    while (!ib_list_empty(&t->lru)) {
        struct gw_route *r = IB_CONTAINER(t->lru.next, struct gw_route, node);
        unlink_route(t, r);
        gw_route_free(r);
    }
}

size_t gw_routes_count(const struct gw_routes *t)
{
    return HASH_COUNT(t->by_identity);
}

/* Name, its length, category: no two identities share one. */
static size_t key_size(const struct iw_identity *id)
{
    return id->name.n + sizeof(size_t) + id->category.n;
}

static void key_write(const struct iw_identity *id, uint8_t *out)
{
    memcpy(out, ib_cstr(id->name), id->name.n);
    memcpy(out + id->name.n, &id->name.n, sizeof(size_t));
    memcpy(out + id->name.n + sizeof(size_t), ib_cstr(id->category), id->category.n);
}

static struct gw_route *find(struct gw_routes *t, const struct iw_identity *id)
{
    IB_UNINIT uint8_t small[256];
    uint8_t *key = small;
    size_t n = key_size(id);
    struct gw_route *r = NULL;
    if (!ib_list_empty(&t->lru)) { /* who calls an object has mostly called it before */
        r = IB_CONTAINER(t->lru.prev, struct gw_route, node);
        if (iw_identity_equal(&r->proxy->id, id)) {
            return r;
        }
        r = NULL;
    }
    if (n > sizeof(small) && !(key = malloc(n))) {
        return NULL;
    }
    key_write(id, key);
    HASH_FIND(hh, t->by_identity, key, n, r);
    if (key != small) {
        free(key);
    }
    if (r) {
        ib_list_remove(&r->node);
        ib_list_append(&t->lru, &r->node);
    }
    return r;
}

const struct iw_proxy *gw_routes_find(struct gw_routes *t, const struct iw_identity *id)
{
    struct gw_route *r = find(t, id);
    return r ? r->proxy : NULL;
}

static struct gw_route *route_new(const struct iw_proxy *prx)
{
    struct gw_route *r = calloc(1, sizeof(*r));
    if (!r) {
        return NULL;
    }
    ib_arena_init(&r->arena, 0);
    r->arena.first = ARENA_FIRST;
    r->proxy = iw_proxy_copy(prx, &r->arena);
    if (!r->proxy) {
        gw_route_free(r);
        return NULL;
    }
    r->proxy->mode = IW_TWOWAY;
    r->proxy->secure = false;
    r->proxy->has_facet = false;
    r->proxy->facet = IB_STR("");
    r->linked = true;
    return r;
}

int gw_routes_add(struct gw_routes *t, const struct iw_proxy *prx, bool *known)
{
    *known = find(t, &prx->id) != NULL;
    if (*known) {
        return 0;
    }
    struct gw_route *r = route_new(prx);
    size_t n = key_size(&prx->id);
    uint8_t *key = r ? ib_arena_alloc(&r->arena, n) : NULL;
    if (!key) {
        gw_route_free(r);
        return IB_ENOMEM;
    }
    key_write(&prx->id, key);
    HASH_ADD_KEYPTR(hh, t->by_identity, key, n, r);
    if (!r->linked) {
        gw_route_free(r);
        return IB_ENOMEM;
    }
    r->bytes = r->arena.used + sizeof(*r);
    t->bytes += r->bytes;
    ib_list_append(&t->lru, &r->node);
    return 0;
}

struct gw_route *gw_routes_evict(struct gw_routes *t)
{
    if (gw_routes_count(t) <= t->max && t->bytes <= BYTES_MAX) {
        return NULL;
    }
    struct gw_route *r = IB_CONTAINER(t->lru.next, struct gw_route, node);
    unlink_route(t, r);
    return r;
}

const struct iw_proxy *gw_route_proxy(const struct gw_route *r)
{
    return r->proxy;
}
