/* SPDX-License-Identifier: Apache-2.0 */
/* The catalog's hash, its keys, and its buckets: entries that share a name, in an array where each knows its place. */
#include "catalog_priv.h"

#include <stdlib.h>

#include <moulin/wire/codec.h>

/* --- keyed hash --------------------------------------------------------------------------------------------------- */

static inline uint64_t rotl(uint64_t x, int b)
{
    return x << b | x >> (64 - b);
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

unsigned reg_hash(const struct reg_catalog *c, const void *data, size_t n)
{
    const uint8_t *p = data;
    uint64_t v[4] = {c->hash_key[0] ^ 0x736f6d6570736575, c->hash_key[1] ^ 0x646f72616e646f6d,
                     c->hash_key[0] ^ 0x6c7967656e657261, c->hash_key[1] ^ 0x7465646279746573};
    uint64_t tail = (uint64_t)n << 56;
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t m;
        memcpy(&m, p, 8);
        v[3] ^= m;
        sip_round(v);
        v[0] ^= m;
    }
    for (size_t i = 0; i < n; i++)
        tail |= (uint64_t)p[i] << (8 * i);
    v[3] ^= tail;
    sip_round(v);
    v[0] ^= tail;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    uint64_t h = v[0] ^ v[1] ^ v[2] ^ v[3];
    return (unsigned)(h ^ h >> 32);
}

/* --- keys -------------------------------------------------------------------------------------------------------- */

struct ib_span reg_key_begin(struct reg_key *k, const struct iw_type *type, const void *value)
{
    k->buf = (struct ib_buf){.p = k->room, .cap = sizeof k->room, .limit = sizeof k->room};
    if (iw_encode_value(type, value, IW_ENCODING_1_1, &k->buf) == 0)
        return ib_buf_span(&k->buf);
    ib_buf_init(&k->buf);
    if (iw_encode_value(type, value, IW_ENCODING_1_1, &k->buf) == 0)
        return ib_buf_span(&k->buf);
    return (struct ib_span){NULL, 0};
}

void reg_key_end(struct reg_key *k)
{
    if (k->buf.p != k->room)
        ib_buf_fini(&k->buf);
}

static struct ib_span key_of(const struct iw_type *type, const void *value, struct ib_arena *arena)
{
    struct reg_key k;
    struct ib_span key = reg_key_begin(&k, type, value);
    uint8_t *p = key.n ? ib_arena_alloc(arena, key.n) : NULL;
    if (p)
        memcpy(p, key.p, key.n);
    key = (struct ib_span){p, p ? key.n : 0};
    reg_key_end(&k);
    return key;
}

struct ib_span reg_key_identity(const struct iw_identity *id, struct ib_arena *arena)
{
    return key_of(&iw_identity_type, id, arena);
}

struct ib_span reg_key_string(struct ib_str id, struct ib_arena *arena)
{
    return key_of(&iw_string, &id, arena);
}

/* --- buckets ------------------------------------------------------------------------------------------------------ */

struct reg_bucket *reg_bucket_find(const struct reg_catalog *c, struct reg_bucket *head, struct ib_str name)
{
    struct reg_bucket *b;
    const unsigned hash = head ? reg_hash(c, name.p, name.n) : 0; /* the macro names it more than once */
    HASH_FIND_BYHASHVALUE(hh, head, ib_cstr(name), name.n, hash, b);
    return b;
}

static struct reg_bucket *make(const struct reg_catalog *c, struct reg_bucket **head, struct ib_str name)
{
    struct reg_bucket *b = calloc(1, sizeof *b + name.n + 1);
    if (!b)
        return NULL;
    b->name_n = name.n;
    if (name.n)
        memcpy(b->name, name.p, name.n);
    const unsigned hash = reg_hash(c, b->name, b->name_n);
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, *head, b->name, b->name_n, hash, b);
    if (b->hh.tbl)
        return b;
    free(b);
    return NULL;
}

static void drop_if_empty(struct reg_bucket **head, struct reg_bucket *b)
{
    if (b->n)
        return;
    HASH_DELETE(hh, *head, b);
    free(b->items);
    free(b);
}

bool reg_bucket_add(const struct reg_catalog *c, struct reg_bucket **head, struct ib_str name, struct reg_member *m)
{
    struct reg_bucket *b = reg_bucket_find(c, *head, name);
    if (!b && !(b = make(c, head, name)))
        return false;
    if (b->n == b->cap) {
        uint32_t cap = b->cap ? b->cap * 2 : 1;
        struct reg_member **items = cap > b->cap ? realloc(b->items, cap * sizeof *items) : NULL;
        if (!items) {
            drop_if_empty(head, b);
            return false;
        }
        b->items = items;
        b->cap = cap;
    }
    b->sorted = b->n == 0;
    *m = (struct reg_member){b, b->n};
    b->items[b->n++] = m;
    return true;
}

void reg_bucket_remove(struct reg_bucket **head, struct reg_member *m)
{
    struct reg_bucket *b = m->bucket;
    if (!b)
        return;
    struct reg_member *last = b->items[--b->n];
    b->items[m->at] = last;
    last->at = m->at;
    b->sorted = b->n < 2 || (b->sorted && last == m);
    m->bucket = NULL;
    drop_if_empty(head, b);
}

struct reg_member **reg_bucket_sorted(struct reg_bucket *b, int (*compare)(const void *a, const void *b))
{
    if (b->sorted)
        return b->items;
    qsort(b->items, b->n, sizeof *b->items, compare);
    for (uint32_t i = 0; i < b->n; i++)
        b->items[i]->at = i;
    b->sorted = true;
    return b->items;
}
