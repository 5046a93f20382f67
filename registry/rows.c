/* SPDX-License-Identifier: Apache-2.0 */
/* A table of the catalog: each entry one allocation with the record as on disk. Found by key in an open hash (one place
   in memory, then the entry), by type or replica group in buckets, and listed in the table's order. Owns all entries.
 */
#include "catalog_priv.h"

#include <stdlib.h>

enum { FIRST_SLOTS = 16 };

/* --- by key ------------------------------------------------------------------------------------------------------- */

static bool has_key(const struct reg_entry *e, struct ib_span key)
{
    return e->key_n == key.n && memcmp(e->bytes, key.p, key.n) == 0;
}

/* Where the key is, or where it would be. */
static struct reg_slot *slot_of(const struct reg_rows *rows, uint32_t hash, struct ib_span key)
{
    struct reg_slot *s;
    for (uint32_t i = hash & rows->mask;; i = (i + 1) & rows->mask) {
        s = &rows->slots[i];
        if (!s->entry || (s->hash == hash && has_key(s->entry, key)))
            return s;
    }
}

struct reg_entry *reg_rows_find(const struct reg_catalog *c, const struct reg_rows *rows, struct ib_span key)
{
    return rows->slots ? slot_of(rows, reg_hash(c, key.p, key.n), key)->entry : NULL;
}

struct reg_entry *reg_rows_find_id(const struct reg_catalog *c, const struct reg_rows *rows, const struct iw_type *type,
                                   const void *id)
{
    struct reg_key k;
    struct ib_span key = reg_key_begin(&k, type, id);
    struct reg_entry *e = key.n ? reg_rows_find(c, rows, key) : NULL;
    reg_key_end(&k);
    return e;
}

/* Room for one more: in the slots, of which a quarter stays empty, and in the list. */
static bool make_room(struct reg_rows *rows)
{
    if (rows->n == rows->cap) {
        uint32_t cap = rows->cap ? rows->cap * 2 : FIRST_SLOTS;
        struct reg_entry **list = cap > rows->cap ? realloc(rows->list, cap * sizeof *list) : NULL;
        if (!list)
            return false;
        rows->list = list;
        rows->cap = cap;
    }
    if (rows->slots && rows->n < rows->mask - rows->mask / 4)
        return true;
    const uint32_t mask = rows->slots ? rows->mask * 2 + 1 : FIRST_SLOTS - 1;
    struct reg_slot *slots = mask < UINT32_MAX / 2 ? calloc((size_t)mask + 1, sizeof *slots) : NULL;
    if (!slots)
        return false;
    for (size_t k = 0; rows->slots && k <= rows->mask; k++) {
        const struct reg_slot *s = &rows->slots[k];
        uint32_t i = s->hash & mask;
        while (s->entry && slots[i].entry)
            i = (i + 1) & mask;
        if (s->entry)
            slots[i] = *s;
    }
    free(rows->slots);
    rows->slots = slots;
    rows->mask = mask;
    return true;
}

/* Those behind it move up, unless they are where they belong. */
static void empty_slot(struct reg_rows *rows, uint32_t hole)
{
    for (uint32_t i = (hole + 1) & rows->mask; rows->slots[i].entry; i = (i + 1) & rows->mask) {
        const uint32_t home = rows->slots[i].hash & rows->mask;
        if (((i - home) & rows->mask) >= ((i - hole) & rows->mask)) {
            rows->slots[hole] = rows->slots[i];
            hole = i;
        }
    }
    rows->slots[hole] = (struct reg_slot){0};
}

/* --- changes ------------------------------------------------------------------------------------------------------ */

static struct reg_entry *entry_new(const struct reg_row *row)
{
    /* All our records begin with their key. */
    bool apart = row->value.n < row->key.n || memcmp(row->value.p, row->key.p, row->key.n) != 0;
    struct reg_entry *e = calloc(1, sizeof *e + (apart ? row->key.n : 0) + row->value.n);
    if (!e)
        return NULL;
    e->key_n = (uint32_t)row->key.n;
    e->value_at = apart ? e->key_n : 0;
    e->value_n = (uint32_t)row->value.n;
    e->proxy_at = (uint32_t)row->proxy_at;
    e->proxy_end = (uint32_t)row->proxy_end;
    memcpy(e->bytes, row->key.p, row->key.n);
    memcpy(e->bytes + e->value_at, row->value.p, row->value.n);
    return e;
}

static void entry_free(struct reg_rows *rows, struct reg_entry *e)
{
    if (e->in_bucket.bucket) {
        reg_sites_remove(e->in_bucket.bucket, &e->in_site);
        reg_bucket_remove(&rows->buckets, &e->in_bucket);
    }
    free(e);
}

int reg_rows_put(const struct reg_catalog *c, struct reg_rows *rows, const struct reg_row *row)
{
    struct reg_entry *e = make_room(rows) ? entry_new(row) : NULL;
    if (!e)
        return IB_ENOMEM;
    if (row->bucket.n && !reg_bucket_add(c, &rows->buckets, row->bucket, &e->in_bucket)) {
        free(e);
        return IB_ENOMEM;
    }
    const uint32_t hash = reg_hash(c, row->key.p, row->key.n);
    struct reg_slot *s = slot_of(rows, hash, row->key);
    struct reg_entry *old = s->entry;
    *s = (struct reg_slot){e, hash};
    if (old) {
        e->at = old->at;
        entry_free(rows, old);
    } else {
        e->at = rows->n++;
        rows->sorted = rows->n == 1;
    }
    rows->list[e->at] = e;
    reg_sites_add_entry(c, e);
    return 0;
}

void reg_rows_del(const struct reg_catalog *c, struct reg_rows *rows, struct ib_span key)
{
    struct reg_slot *s = rows->slots ? slot_of(rows, reg_hash(c, key.p, key.n), key) : NULL;
    struct reg_entry *e = s ? s->entry : NULL;
    if (!e)
        return;
    empty_slot(rows, (uint32_t)(s - rows->slots));
    struct reg_entry *last = rows->list[--rows->n];
    rows->list[e->at] = last;
    last->at = e->at;
    rows->sorted = rows->n < 2 || (rows->sorted && last == e);
    entry_free(rows, e);
}

void reg_rows_clear(struct reg_rows *rows)
{
    for (uint32_t i = 0; i < rows->n; i++)
        entry_free(rows, rows->list[i]);
    free(rows->slots);
    free(rows->list);
    *rows = (struct reg_rows){0};
}

/* --- in order ----------------------------------------------------------------------------------------------------- */

static int compare_keys(const struct reg_entry *a, const struct reg_entry *b)
{
    uint32_t n = a->key_n < b->key_n ? a->key_n : b->key_n;
    int order = memcmp(a->bytes, b->bytes, n);
    return order ? order : (a->key_n > b->key_n) - (a->key_n < b->key_n);
}

int reg_entry_compare(const void *a, const void *b)
{
    return compare_keys(IB_CONTAINER(*(struct reg_member *const *)a, struct reg_entry, in_bucket),
                        IB_CONTAINER(*(struct reg_member *const *)b, struct reg_entry, in_bucket));
}

static int compare_entries(const void *a, const void *b)
{
    return compare_keys(*(struct reg_entry *const *)a, *(struct reg_entry *const *)b);
}

struct reg_entry **reg_rows_sorted(struct reg_rows *rows)
{
    if (rows->sorted || rows->n == 0)
        return rows->list;
    qsort(rows->list, rows->n, sizeof(struct reg_entry *), compare_entries);
    for (uint32_t i = 0; i < rows->n; i++)
        rows->list[i]->at = i;
    rows->sorted = true;
    return rows->list;
}
