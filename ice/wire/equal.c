/* SPDX-License-Identifier: Apache-2.0 */
/* Structural comparison, and the order of dictionary keys. Numbers compare by their bits, so NaN equals itself. */
#include "wire_priv.h"

#include <stdlib.h>

struct comparer {
    struct iw_ptrs pairs; /* instance of a -> instance of b it is compared with: ends cycles and repeated work */
    uint32_t depth;
};

static bool equal_value(struct comparer *c, const struct iw_type *t, const void *a, const void *b);

static bool equal_fields(struct comparer *c, const struct iw_field *fields, uint32_t n, const void *a, const void *b)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct iw_field *f = &fields[i];
        bool set = iw_field_set(f, a);
        if (set != iw_field_set(f, b))
            return false;
        if (set && !equal_value(c, f->type, iw_cat(a, f->offset), iw_cat(b, f->offset)))
            return false;
    }
    return true;
}

static bool equal_instance(struct comparer *c, const struct iw_object *a, struct iw_object *b)
{
    if (!a || !b)
        return a == b;
    if (a->cls != b->cls)
        return false;
    struct iw_object *partner = iw_ptrs_find(&c->pairs, a);
    if (partner)
        return partner == b;
    if (c->depth >= IW_GRAPH_DEPTH || !iw_ptrs_add(&c->pairs, a, b))
        return false;
    bool same = true;
    c->depth++;
    for (const struct iw_class *cls = a->cls; cls && same; cls = cls->base)
        same = equal_fields(c, cls->fields, cls->n_fields, a, b);
    c->depth--;
    return same;
}

static bool equal_seq(struct comparer *c, const struct iw_type *t, const struct iw_seq *a, const struct iw_seq *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        if (!equal_value(c, t->elem, iw_cat(a->v, i * t->elem->size), iw_cat(b->v, i * t->elem->size)))
            return false;
    }
    return true;
}

/* Dictionaries are the same whatever the order of their entries; usually it is the same order. */
static const void *find_entry(struct comparer *c, const struct iw_type *t, const struct iw_seq *d, size_t hint,
                              const void *key)
{
    for (size_t i = 0; i < d->n; i++) {
        const void *entry = iw_cat(d->v, (hint + i) % d->n * t->entry_size);
        if (equal_value(c, t->key, entry, key))
            return entry;
    }
    return NULL;
}

static bool equal_dict(struct comparer *c, const struct iw_type *t, const struct iw_seq *a, const struct iw_seq *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        const void *x = iw_cat(a->v, i * t->entry_size);
        const void *y = find_entry(c, t, b, i, x);
        if (!y || !equal_value(c, t->elem, iw_cat(x, t->value_offset), iw_cat(y, t->value_offset)))
            return false;
    }
    return true;
}

static bool equal_value(struct comparer *c, const struct iw_type *t, const void *a, const void *b)
{
    switch (t->kind) {
    case IW_STRING:
        return ib_str_eq(*(const struct ib_str *)a, *(const struct ib_str *)b);
    case IW_STRUCT:
        return equal_fields(c, t->fields, t->n_fields, a, b);
    case IW_SEQ:
        return equal_seq(c, t, a, b);
    case IW_DICT:
        return equal_dict(c, t, a, b);
    case IW_PROXY:
        return iw_proxy_equal(iw_get_proxy(a), iw_get_proxy(b));
    case IW_CLASS:
        return equal_instance(c, iw_get_object(a), iw_get_object(b));
    default:
        return memcmp(a, b, t->size) == 0;
    }
}

bool iw_equal(const struct iw_type *t, const void *a, const void *b)
{
    struct comparer c = {0};
    bool same = equal_value(&c, t, a, b);
    iw_ptrs_fini(&c.pairs);
    return same;
}

/* --- dictionary order ------------------------------------------------------------------------------------------ */

static int64_t integer(const struct iw_type *t, const void *v)
{
    switch (t->kind) {
    case IW_BOOL:
        return *(const bool *)v;
    case IW_BYTE:
        return *(const uint8_t *)v;
    case IW_SHORT:
        return *(const int16_t *)v;
    case IW_LONG:
        return *(const int64_t *)v;
    default: {
        int32_t x;
        memcpy(&x, v, sizeof(x));
        return x;
    }
    }
}

static int compare_keys(const void *a, const void *b, void *arg)
{
    const struct iw_type *t = arg;
    if (t->kind == IW_STRING)
        return ib_str_cmp(*(const struct ib_str *)a, *(const struct ib_str *)b);
    if (t->kind == IW_STRUCT) {
        for (uint32_t i = 0; i < t->n_fields; i++) {
            const struct iw_field *f = &t->fields[i];
            union {
                const struct iw_type *in;
                void *out;
            } type = {f->type}; /* qsort_r's argument is not const */
            int c = compare_keys(iw_cat(a, f->offset), iw_cat(b, f->offset), type.out);
            if (c)
                return c;
        }
        return 0;
    }
    int64_t x = integer(t, a), y = integer(t, b);
    return (x > y) - (x < y);
}

void iw_dict_sort(const struct iw_type *t, void *dict)
{
    struct iw_seq *d = dict;
    union {
        const struct iw_type *in;
        void *out;
    } key = {t->key};
    if (d->n > 1)
        qsort_r(d->v, d->n, t->entry_size, compare_keys, key.out);
}
