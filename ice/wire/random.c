/* SPDX-License-Identifier: Apache-2.0 */
/* Random values of any type, for property tests: the same seed gives the same value. Graphs share instances but have
   no cycles. */
#include "wire_priv.h"

enum { MAX_DEPTH = 4, MAX_SHARED = 16 };

struct inventor {
    uint64_t *seed;
    struct ib_arena *arena;
    uint32_t depth;
    struct iw_object *made[MAX_SHARED]; /* complete ones, to be referred to again */
    size_t n_made;
};

static int invent(struct inventor *v, const struct iw_type *t, void *out);

static uint64_t next(struct inventor *v)
{
    /* splitmix64 */
    uint64_t z = (*v->seed += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static size_t below(struct inventor *v, size_t n)
{
    return (size_t)(next(v) % n);
}

static int invent_str(struct inventor *v, struct ib_str *out)
{
    static const size_t lengths[] = {0, 1, 2, 5, 9, 20, 254, 300};
    size_t n = lengths[below(v, below(v, 20) ? 6 : 8)];
    char *p = ib_arena_alloc(v->arena, n + 1);
    if (!p)
        return iw_arena_error(v->arena, n);
    for (size_t i = 0; i < n; i++) { /* UTF-8, now and then with a letter of two bytes */
        if (i + 1 < n && below(v, 8) == 0) {
            p[i++] = (char)0xc3;
            p[i] = (char)(0x80 + below(v, 0x40));
        } else {
            p[i] = (char)below(v, 0x80);
        }
    }
    *out = (struct ib_str){p, n};
    return IB_OK;
}

static int invent_endpoint(struct inventor *v, struct iw_endpoint *ep)
{
    *ep = (struct iw_endpoint){.timeout = -1, .mcast_ttl = -1};
    ep->type = (int16_t)(1 + below(v, 6));
    if (ep->type > IW_EP_WSS) {
        struct ib_str raw = {NULL, 0};
        ep->type = (int16_t)(100 + below(v, 1000));
        ep->opaque = true;
        ep->encoding = (struct iw_encoding){1, (uint8_t)below(v, 2)};
        int rc = invent_str(v, &raw);
        ep->raw = (struct ib_span){(const uint8_t *)raw.p, raw.n};
        return rc;
    }
    ep->port = (int32_t)below(v, 65536);
    ep->compress = below(v, 2);
    if (ep->type != IW_EP_UDP)
        ep->timeout = (int32_t)next(v);
    int rc = invent_str(v, &ep->host);
    if (!rc && (ep->type == IW_EP_WS || ep->type == IW_EP_WSS))
        rc = invent_str(v, &ep->resource);
    return rc;
}

static int invent_proxy(struct inventor *v, struct iw_proxy **out)
{
    if (below(v, 4) == 0)
        return IB_OK;
    struct iw_proxy *p = IB_ARENA_NEW(v->arena, struct iw_proxy);
    if (!p)
        return iw_arena_error(v->arena, sizeof(*p));
    int rc = invent_str(v, &p->id.name);
    if (!rc)
        rc = invent_str(v, &p->id.category);
    if (p->id.name.n == 0)
        p->id.name = IB_STR("x"); /* both empty would be null */
    p->has_facet = below(v, 4) == 0;
    if (!rc && p->has_facet) {
        rc = invent_str(v, &p->facet);
        p->has_facet = p->facet.n > 0; /* the empty one is the default facet: peers leave it out */
    }
    p->mode = (uint8_t)below(v, IW_BATCH_DATAGRAM + 1);
    p->secure = below(v, 2);
    p->protocol = p->encoding = IW_ENCODING_1_0; /* what survives a 1.0 stream too */
    if (rc || below(v, 3) == 0)
        return rc ? rc : (*out = p, invent_str(v, &p->adapter_id));
    p->n_endpoints = 1 + below(v, 3);
    p->endpoints = IB_ARENA_ARRAY(v->arena, p->n_endpoints, struct iw_endpoint);
    if (!p->endpoints)
        return iw_arena_error(v->arena, sizeof(struct iw_endpoint));
    for (size_t i = 0; i < p->n_endpoints && !rc; i++)
        rc = invent_endpoint(v, &p->endpoints[i]);
    *out = p;
    return rc;
}

static int invent_fields(struct inventor *v, const struct iw_field *fields, uint32_t n, void *out)
{
    int rc = IB_OK;
    for (uint32_t i = 0; i < n && !rc; i++) {
        const struct iw_field *f = &fields[i];
        if (f->tag >= 0) {
            bool set = below(v, 2);
            *(bool *)iw_at(out, f->has_offset) = set;
            if (!set)
                continue;
        }
        rc = invent(v, f->type, iw_at(out, f->offset));
    }
    return rc;
}

static int invent_instance(struct inventor *v, const struct iw_class *declared, struct iw_object **out)
{
    if (!declared || v->depth >= MAX_DEPTH || below(v, 5) == 0)
        return IB_OK;
    if (v->n_made > 0 && below(v, 3) == 0) {
        struct iw_object *old = v->made[below(v, v->n_made)];
        if (iw_class_is_a(old->cls, declared)) {
            *out = old;
            return IB_OK;
        }
    }
    struct iw_object *o = ib_arena_alloc(v->arena, declared->size);
    if (!o)
        return iw_arena_error(v->arena, declared->size);
    o->cls = declared;
    int rc = IB_OK;
    v->depth++;
    for (const struct iw_class *c = declared; c && !rc; c = c->base)
        rc = invent_fields(v, c->fields, c->n_fields, o);
    v->depth--;
    if (v->n_made < MAX_SHARED)
        v->made[v->n_made++] = o;
    *out = o;
    return rc;
}

/* Keys must differ; one that is there already is dropped again. */
static bool key_known(const struct iw_type *t, const struct iw_seq *d)
{
    const void *key = iw_cat(d->v, d->n * t->entry_size);
    for (size_t i = 0; i < d->n; i++) {
        if (iw_equal(t->key, iw_cat(d->v, i * t->entry_size), key))
            return true;
    }
    return false;
}

static int invent_items(struct inventor *v, const struct iw_type *t, struct iw_seq *out)
{
    size_t each = t->kind == IW_SEQ ? t->elem->size : t->entry_size;
    size_t n = v->depth > 2 ? below(v, 2) : below(v, 4);
    if (n == 0)
        return IB_OK;
    struct iw_seq s = {0, ib_arena_array(v->arena, n, each)};
    if (!s.v)
        return iw_arena_error(v->arena, n * each);
    int rc = IB_OK;
    for (size_t i = 0; i < n && !rc; i++) {
        void *item = iw_at(s.v, s.n * each);
        memset(item, 0, each);
        if (t->kind == IW_SEQ) {
            rc = invent(v, t->elem, item);
            s.n++;
            continue;
        }
        rc = invent(v, t->key, item);
        if (rc || key_known(t, &s))
            continue;
        rc = invent(v, t->elem, iw_at(item, t->value_offset));
        s.n++;
    }
    if (s.n > 0)
        *out = s;
    return rc;
}

static void invent_enum(struct inventor *v, const struct iw_type *t, void *out)
{
    int32_t x = (int32_t)below(v, (size_t)t->enum_max + 1);
    if (!t->enum_names)
        x = t->enum_max; /* there are gaps, and this one exists */
    memcpy(out, &x, sizeof(x));
}

static int invent(struct inventor *v, const struct iw_type *t, void *out)
{
    switch (t->kind) {
    case IW_BOOL:
        *(bool *)out = below(v, 2);
        return IB_OK;
    case IW_STRING:
        return invent_str(v, out);
    case IW_ENUM:
        invent_enum(v, t, out);
        return IB_OK;
    case IW_STRUCT:
        return invent_fields(v, t->fields, t->n_fields, out);
    case IW_SEQ:
    case IW_DICT:
        return invent_items(v, t, out);
    case IW_PROXY: {
        struct iw_proxy *p = NULL;
        int rc = invent_proxy(v, &p);
        memcpy(out, &p, sizeof(p));
        return rc;
    }
    case IW_CLASS: {
        struct iw_object *o = NULL;
        int rc = invent_instance(v, t->cls, &o);
        memcpy(out, &o, sizeof(o));
        return rc;
    }
    case IW_FLOAT:
        *(float *)out = (float)(int16_t)next(v) / 4;
        return IB_OK;
    case IW_DOUBLE:
        *(double *)out = (double)(int32_t)next(v) / 4;
        return IB_OK;
    default: {
        uint64_t bits = next(v);
        memcpy(out, &bits, t->size);
        return IB_OK;
    }
    }
}

int iw_random(const struct iw_type *t, uint64_t *seed, struct ib_arena *arena, void *out)
{
    struct inventor v = {.seed = seed, .arena = arena};
    memset(out, 0, t->size);
    return invent(&v, t, out);
}
