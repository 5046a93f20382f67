/* SPDX-License-Identifier: Apache-2.0 */
/* The catalog's tables: objects, dynamic adapters and nodes, each entry one allocation with the record as on disk,
   found by key and by type or replica group. Owns all entries. */
#include "catalog_priv.h"
#include "slices.h"

#include <stdlib.h>

#include <moulin/base/clock.h>
#include <moulin/wire/codec.h>

/* --- keyed hash --------------------------------------------------------------------------------------------------- */

static uint64_t rotl(uint64_t x, int b)
{
    return x << b | x >> (64 - b);
}

static void sip_round(uint64_t v[4])
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

unsigned reg_hash_identity(const struct reg_catalog *c, const struct iw_identity *id)
{
    return reg_hash(c, id->name.p, id->name.n) * 31 + reg_hash(c, id->category.p, id->category.n);
}

/* --- buckets ----------------------------------------------------------------------------------------------------- */

struct reg_bucket *reg_bucket_find(const struct reg_catalog *c, struct reg_bucket *head, struct ib_str name)
{
    struct reg_bucket *b;
    HASH_FIND_BYHASHVALUE(hh, head, ib_cstr(name), name.n, reg_hash(c, name.p, name.n), b);
    return b;
}

struct reg_bucket *reg_bucket_get(const struct reg_catalog *c, struct reg_bucket **head, struct ib_str name)
{
    struct reg_bucket *b = reg_bucket_find(c, *head, name);
    if (b)
        return b;
    b = calloc(1, sizeof *b + name.n + 1);
    if (!b)
        return NULL;
    ib_list_init(&b->list);
    b->n = name.n;
    if (name.n)
        memcpy(b->name, name.p, name.n);
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, *head, b->name, b->n, reg_hash(c, b->name, b->n), b);
    if (!b->hh.tbl) {
        free(b);
        return NULL;
    }
    return b;
}

void reg_bucket_drop(struct reg_bucket **head, struct reg_bucket *b)
{
    if (!ib_list_empty(&b->list))
        return;
    HASH_DELETE(hh, *head, b);
    free(b);
}

/* --- rows ----------------------------------------------------------------------------------------------------------
 */

static struct reg_entry *row_find(const struct reg_catalog *c, const struct reg_rows *rows, struct ib_span key)
{
    struct reg_entry *e;
    HASH_FIND_BYHASHVALUE(hh, rows->entries, key.p, key.n, reg_hash(c, key.p, key.n), e);
    return e;
}

static void row_unlink(struct reg_rows *rows, struct reg_entry *e)
{
    HASH_DELETE(hh, rows->entries, e);
    rows->count--;
    if (e->bucket) {
        ib_list_remove(&e->in_bucket);
        e->bucket->count--;
        reg_bucket_drop(&rows->buckets, e->bucket);
    }
    free(e);
}

/* Build first, then link: a failure leaves the old entry in its place. */
static int row_put(const struct reg_catalog *c, struct reg_rows *rows, struct ib_span key, struct ib_span value,
                   struct ib_str bucket)
{
    struct reg_entry *e = calloc(1, sizeof *e + key.n + value.n);
    if (!e)
        return IB_ENOMEM;
    e->key_n = (uint32_t)key.n;
    e->value_n = (uint32_t)value.n;
    memcpy(e->bytes, key.p, key.n);
    memcpy(e->bytes + key.n, value.p, value.n);
    ib_list_init(&e->in_bucket);
    if (bucket.n && !(e->bucket = reg_bucket_get(c, &rows->buckets, bucket))) {
        free(e);
        return IB_ENOMEM;
    }
    struct reg_entry *old = row_find(c, rows, key);
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, rows->entries, e->bytes, key.n, reg_hash(c, e->bytes, key.n), e);
    if (!e->hh.tbl) {
        if (e->bucket)
            reg_bucket_drop(&rows->buckets, e->bucket);
        free(e);
        return IB_ENOMEM;
    }
    if (e->bucket) {
        ib_list_append(&e->bucket->list, &e->in_bucket);
        e->bucket->count++;
    }
    rows->count++;
    if (old)
        row_unlink(rows, old);
    return 0;
}

static void row_del(const struct reg_catalog *c, struct reg_rows *rows, struct ib_span key)
{
    struct reg_entry *e = row_find(c, rows, key);
    if (e)
        row_unlink(rows, e);
}

static void rows_clear(struct reg_rows *rows)
{
    struct reg_entry *e, *next;
    HASH_ITER(hh, rows->entries, e, next)
    {
        row_unlink(rows, e);
    }
}

static int compare_entries(const void *pa, const void *pb)
{
    const struct reg_entry *a = *(struct reg_entry *const *)pa, *b = *(struct reg_entry *const *)pb;
    uint32_t n = a->key_n < b->key_n ? a->key_n : b->key_n;
    int order = memcmp(a->bytes, b->bytes, n);
    return order ? order : (a->key_n > b->key_n) - (a->key_n < b->key_n);
}

static int decode(const struct reg_entry *e, const struct iw_type *type, struct ib_arena *arena, void *out)
{
    struct ib_span in = {e->bytes + e->key_n, e->value_n};
    return iw_decode_value(type, &in, IW_ENCODING_1_1, arena, out);
}

/* All entries, or those of a bucket, decoded and in the table's order. */
static size_t rows_list(const struct reg_catalog *c, const struct reg_rows *rows, const struct ib_str *bucket,
                        const struct iw_type *type, struct ib_arena *arena, void *out_ptr)
{
    struct reg_bucket *b = bucket ? reg_bucket_find(c, rows->buckets, *bucket) : NULL;
    size_t n = bucket ? (b ? b->count : 0) : rows->count, i = 0;
    struct reg_entry **sorted = IB_ARENA_ARRAY(arena, n, struct reg_entry *);
    uint8_t *values = ib_arena_array(arena, n, type->size);
    if (!sorted || !values)
        return SIZE_MAX;
    if (b) {
        IB_LIST_FOREACH(node, &b->list)
        sorted[i++] = IB_CONTAINER(node, struct reg_entry, in_bucket);
    } else if (!bucket) {
        for (struct reg_entry *e = rows->entries; e; e = e->hh.next)
            sorted[i++] = e;
    }
    if (n)
        qsort(sorted, n, sizeof *sorted, compare_entries);
    for (i = 0; i < n; i++)
        if (decode(sorted[i], type, arena, values + i * type->size))
            return SIZE_MAX;
    memcpy(out_ptr, &values, sizeof values);
    return n;
}

/* The key of an identity or id, in the arena; n 0 when memory is short. */
static struct ib_span key_of(const struct iw_type *type, const void *value, struct ib_arena *arena)
{
    struct ib_buf b;
    struct ib_span key = {NULL, 0};
    ib_buf_init(&b);
    if (iw_encode_value(type, value, IW_ENCODING_1_1, &b) == 0 && ib_buf_ok(&b)) {
        uint8_t *p = ib_arena_alloc(arena, b.n);
        if (p) {
            memcpy(p, b.p, b.n);
            key = (struct ib_span){p, b.n};
        }
    }
    ib_buf_fini(&b);
    return key;
}

static const struct reg_entry *find_by(const struct reg_catalog *c, const struct reg_rows *rows,
                                       const struct iw_type *type, const void *value)
{
    struct ib_buf b;
    ib_buf_init(&b);
    const struct reg_entry *e = NULL;
    if (iw_encode_value(type, value, IW_ENCODING_1_1, &b) == 0 && ib_buf_ok(&b))
        e = row_find(c, rows, ib_buf_span(&b));
    ib_buf_fini(&b);
    return e;
}

/* --- objects and nodes -------------------------------------------------------------------------------------------- */

struct ib_span reg_key_identity(const struct iw_identity *id, struct ib_arena *arena)
{
    return key_of(&iw_identity_type, id, arena);
}

struct ib_span reg_key_string(struct ib_str id, struct ib_arena *arena)
{
    return key_of(&iw_string, &id, arena);
}

static int put_object(struct reg_catalog *c, struct reg_rows *rows, struct ib_span key, struct ib_span record)
{
    struct ib_arena arena;
    struct IceGrid_ObjectInfo info;
    ib_arena_init(&arena, 0);
    struct ib_span in = record;
    int rc = iw_decode_value(&IceGrid_ObjectInfo_type, &in, IW_ENCODING_1_1, &arena, &info);
    if (!rc)
        rc = row_put(c, rows, key, record, info.type);
    ib_arena_fini(&arena);
    return rc;
}

int reg_catalog_put_object(struct reg_catalog *c, struct ib_span key, struct ib_span record)
{
    return put_object(c, &c->objects, key, record);
}

void reg_catalog_del_object(struct reg_catalog *c, struct ib_span key)
{
    row_del(c, &c->objects, key);
}

int reg_catalog_put_node(struct reg_catalog *c, struct ib_span key, struct ib_span record)
{
    return put_object(c, &c->nodes, key, record);
}

void reg_catalog_del_node(struct reg_catalog *c, struct ib_span key)
{
    row_del(c, &c->nodes, key);
}

void reg_catalog_clear_objects(struct reg_catalog *c)
{
    rows_clear(&c->objects);
}

int reg_catalog_object(struct reg_catalog *c, const struct iw_identity *id, struct ib_arena *arena,
                       struct IceGrid_ObjectInfo *out)
{
    const struct reg_entry *e = find_by(c, &c->objects, &iw_identity_type, id);
    return e ? decode(e, &IceGrid_ObjectInfo_type, arena, out) : IB_ENOTFOUND;
}

bool reg_catalog_has_object(struct reg_catalog *c, const struct iw_identity *id)
{
    return find_by(c, &c->objects, &iw_identity_type, id) != NULL;
}

size_t reg_catalog_objects(struct reg_catalog *c, const struct ib_str *type, struct ib_arena *arena,
                           struct IceGrid_ObjectInfo **out)
{
    return rows_list(c, &c->objects, type, &IceGrid_ObjectInfo_type, arena, out);
}

size_t reg_catalog_nodes(struct reg_catalog *c, struct ib_arena *arena, struct IceGrid_ObjectInfo **out)
{
    return rows_list(c, &c->nodes, NULL, &IceGrid_ObjectInfo_type, arena, out);
}

/* --- dynamic adapters --------------------------------------------------------------------------------------------- */

int reg_catalog_put_dynamic(struct reg_catalog *c, struct ib_span key, struct ib_span record)
{
    struct ib_arena arena;
    struct IceGrid_AdapterInfo info;
    ib_arena_init(&arena, 0);
    struct ib_span in = record;
    int rc = iw_decode_value(&IceGrid_AdapterInfo_type, &in, IW_ENCODING_1_1, &arena, &info);
    if (!rc)
        rc = row_put(c, &c->dynamics, key, record, info.replicaGroupId);
    ib_arena_fini(&arena);
    return rc;
}

void reg_catalog_del_dynamic(struct reg_catalog *c, struct ib_span key)
{
    row_del(c, &c->dynamics, key);
}

void reg_catalog_clear_dynamics(struct reg_catalog *c)
{
    rows_clear(&c->dynamics);
}

int reg_catalog_dynamic(struct reg_catalog *c, struct ib_str id, struct ib_arena *arena,
                        struct IceGrid_AdapterInfo *out)
{
    const struct reg_entry *e = find_by(c, &c->dynamics, &iw_string, &id);
    return e ? decode(e, &IceGrid_AdapterInfo_type, arena, out) : IB_ENOTFOUND;
}

bool reg_catalog_has_dynamic(struct reg_catalog *c, struct ib_str id)
{
    return find_by(c, &c->dynamics, &iw_string, &id) != NULL;
}

bool reg_catalog_has_dynamic_group(struct reg_catalog *c, struct ib_str group)
{
    return group.n && reg_bucket_find(c, c->dynamics.buckets, group);
}

size_t reg_catalog_dynamics(struct reg_catalog *c, const struct ib_str *group, struct ib_arena *arena,
                            struct IceGrid_AdapterInfo **out)
{
    return rows_list(c, &c->dynamics, group, &IceGrid_AdapterInfo_type, arena, out);
}

static int compare_names(const void *a, const void *b)
{
    return ib_str_cmp(*(const struct ib_str *)a, *(const struct ib_str *)b);
}

size_t reg_catalog_dynamic_groups(struct reg_catalog *c, struct ib_arena *arena, struct ib_str **out)
{
    size_t n = HASH_COUNT(c->dynamics.buckets), i = 0;
    struct ib_str *names = IB_ARENA_ARRAY(arena, n, struct ib_str);
    if (!names)
        return SIZE_MAX;
    for (struct reg_bucket *b = c->dynamics.buckets; b; b = b->hh.next)
        names[i++] = (struct ib_str){b->name, b->n};
    if (n)
        qsort(names, n, sizeof *names, compare_names);
    *out = names;
    return n;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

struct reg_catalog *reg_catalog_new(void)
{
    struct reg_catalog *c = calloc(1, sizeof *c);
    if (c)
        ib_random(c->hash_key, sizeof c->hash_key);
    return c;
}

void reg_catalog_free(struct reg_catalog *c)
{
    if (!c)
        return;
    reg_catalog_free_apps(c);
    rows_clear(&c->objects);
    rows_clear(&c->dynamics);
    rows_clear(&c->nodes);
    free(c);
}
