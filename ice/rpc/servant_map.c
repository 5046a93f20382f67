/* SPDX-License-Identifier: Apache-2.0 */
/* Who answers for an identity and facet: an adapter's servants and default servants (ice-protocol 11.1). The map owns
   its entries and copies identities; the servants themselves are borrowed. */
#include "rpc_priv.h"

#include <stdlib.h>

struct ir_servant_entry {
    UT_hash_handle hh;
    struct ir_facet_entry *facets;
    size_t n_key;
    uint8_t key[]; /* length of the name, name, category */
};

struct ir_default_entry {
    UT_hash_handle hh;
    struct ir_servant *servant;
    size_t n_category;
    char category[];
};

/* The identity as one run of bytes; small ones need no memory. */
struct id_key {
    uint8_t small[256];
    uint8_t *p;
    size_t n;
};

static int key_init(struct id_key *k, const struct iw_identity *id)
{
    uint64_t n_name = id->name.n;
    k->n = sizeof(n_name) + id->name.n + id->category.n;
    k->p = k->n <= sizeof(k->small) ? k->small : malloc(k->n);
    if (!k->p)
        return IB_ENOMEM;
    memcpy(k->p, &n_name, sizeof(n_name));
    if (id->name.n)
        memcpy(k->p + sizeof(n_name), id->name.p, id->name.n);
    if (id->category.n)
        memcpy(k->p + sizeof(n_name) + id->name.n, id->category.p, id->category.n);
    return 0;
}

static void key_fini(struct id_key *k)
{
    if (k->p != k->small)
        free(k->p);
}

static struct ir_servant_entry *entry_find(const struct ir_servant_map *m, const struct id_key *k)
{
    struct ir_servant_entry *e;
    HASH_FIND(hh, m->objects, k->p, k->n, e);
    return e;
}

static struct ir_servant_entry *entry_new(struct ir_servant_map *m, const struct id_key *k)
{
    struct ir_servant_entry *e = calloc(1, sizeof(*e) + k->n);
    if (!e)
        return NULL;
    memcpy(e->key, k->p, k->n);
    e->n_key = k->n;
    HASH_ADD_KEYPTR(hh, m->objects, e->key, e->n_key, e);
    if (!e->hh.tbl) {
        free(e);
        return NULL;
    }
    return e;
}

static void entry_drop_if_empty(struct ir_servant_map *m, struct ir_servant_entry *e)
{
    if (e->facets)
        return;
    HASH_DEL(m->objects, e);
    free(e);
}

static struct ir_facet_entry **facet_find(struct ir_servant_entry *e, struct ib_str facet)
{
    struct ir_facet_entry **f = &e->facets;
    while (*f && !ib_str_is(facet, (*f)->facet))
        f = &(*f)->next;
    return f;
}

int ir_servant_map_add(struct ir_servant_map *m, const struct iw_identity *id, const char *facet, struct ir_servant *s)
{
    struct id_key k;
    if (key_init(&k, id))
        return IB_ENOMEM;
    int r = 0;
    struct ir_servant_entry *e = entry_find(m, &k);
    if (e && *facet_find(e, ib_str(facet))) {
        r = IB_EEXISTS;
        goto out;
    }
    size_t n = strlen(facet ? facet : "");
    struct ir_facet_entry *f = malloc(sizeof(*f) + n + 1);
    if (!f || (!e && !(e = entry_new(m, &k)))) {
        free(f);
        r = IB_ENOMEM;
        goto out;
    }
    memcpy(f->facet, facet ? facet : "", n + 1);
    f->servant = s;
    f->next = e->facets;
    e->facets = f;
out:
    key_fini(&k);
    return r;
}

void ir_servant_map_remove(struct ir_servant_map *m, const struct iw_identity *id, const char *facet)
{
    struct id_key k;
    if (key_init(&k, id))
        return;
    struct ir_servant_entry *e = entry_find(m, &k);
    struct ir_facet_entry **at = e ? facet_find(e, ib_str(facet)) : NULL;
    if (at && *at) {
        struct ir_facet_entry *f = *at;
        *at = f->next;
        free(f);
        entry_drop_if_empty(m, e);
    }
    key_fini(&k);
}

int ir_servant_map_set_default(struct ir_servant_map *m, struct ib_str category, struct ir_servant *s)
{
    struct ir_default_entry *d;
    HASH_FIND(hh, m->defaults, ib_cstr(category), category.n, d);
    if (d && s) {
        d->servant = s;
    } else if (d) {
        HASH_DEL(m->defaults, d);
        free(d);
    } else if (s) {
        d = calloc(1, sizeof(*d) + category.n);
        if (!d)
            return IB_ENOMEM;
        if (category.n)
            memcpy(d->category, category.p, category.n);
        d->n_category = category.n;
        d->servant = s;
        HASH_ADD_KEYPTR(hh, m->defaults, d->category, d->n_category, d);
        if (!d->hh.tbl) {
            free(d);
            return IB_ENOMEM;
        }
    }
    return 0;
}

struct ir_servant *ir_servant_map_find(const struct ir_servant_map *m, const struct iw_identity *id,
                                       struct ib_str facet, bool *other)
{
    struct id_key k;
    if (key_init(&k, id))
        return NULL;
    struct ir_servant_entry *e = entry_find(m, &k);
    key_fini(&k);
    struct ir_facet_entry *f = e ? *facet_find(e, facet) : NULL;
    if (other)
        *other = e && !f;
    return f ? f->servant : NULL;
}

struct ir_servant *ir_servant_map_lookup(const struct ir_servant_map *m, const struct iw_identity *id,
                                         struct ib_str facet, bool *other)
{
    struct ir_servant *s = ir_servant_map_find(m, id, facet, other);
    if (s)
        return s;
    struct ir_default_entry *d;
    HASH_FIND(hh, m->defaults, ib_cstr(id->category), id->category.n, d);
    if (!d && id->category.n)
        HASH_FIND(hh, m->defaults, "", (size_t)0, d);
    return d ? d->servant : NULL;
}

void ir_servant_map_fini(struct ir_servant_map *m)
{
    struct ir_servant_entry *e, *e_next;
    HASH_ITER(hh, m->objects, e, e_next)
    {
        while (e->facets) {
            struct ir_facet_entry *f = e->facets;
            e->facets = f->next;
            free(f);
        }
        HASH_DEL(m->objects, e);
        free(e);
    }
    struct ir_default_entry *d, *d_next;
    HASH_ITER(hh, m->defaults, d, d_next)
    {
        HASH_DEL(m->defaults, d);
        free(d);
    }
}
