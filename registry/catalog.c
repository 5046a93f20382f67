/* SPDX-License-Identifier: Apache-2.0 */
/* The catalog's tables: objects, dynamic adapters and nodes, each entry one allocation with the record as on disk,
   found by key and by type or replica group. Owns all entries. */
#include "catalog_priv.h"
#include "slices.h"

#include <stdlib.h>

#include <moulin/base/clock.h>
#include <moulin/wire/codec.h>

/* --- decoded rows ------------------------------------------------------------------------------------------------- */

static int decode(const struct reg_entry *e, const struct iw_type *type, struct ib_arena *arena, void *out)
{
    struct ib_span in = reg_entry_value(e);
    return iw_decode_value(type, &in, IW_ENCODING_1_1, arena, out);
}

/* All entries, or those of a bucket, decoded and in the table's order. */
static size_t rows_list(const struct reg_catalog *c, struct reg_rows *rows, const struct ib_str *bucket,
                        const struct iw_type *type, struct ib_arena *arena, void *out_ptr)
{
    struct reg_bucket *b = bucket ? reg_bucket_find(c, rows->buckets, *bucket) : NULL;
    size_t n = !bucket ? rows->n : b ? b->n : 0;
    uint8_t *values = ib_arena_array(arena, n, type->size);
    if (!values)
        return SIZE_MAX;
    struct reg_entry **all = bucket ? NULL : reg_rows_sorted(rows);
    struct reg_member **some = b ? reg_bucket_sorted(b, reg_entry_compare) : NULL;
    for (size_t i = 0; i < n; i++) {
        const struct reg_entry *e = some ? IB_CONTAINER(some[i], struct reg_entry, in_bucket) : all[i];
        if (decode(e, type, arena, values + i * type->size))
            return SIZE_MAX;
    }
    memcpy(out_ptr, &values, sizeof values);
    return n;
}

/* --- objects and nodes -------------------------------------------------------------------------------------------- */

static int put_object(struct reg_catalog *c, struct reg_rows *rows, struct ib_span key, struct ib_span record)
{
    struct ib_arena arena;
    struct IceGrid_ObjectInfo info;
    size_t ends[2]; /* of its members: the proxy is the first */
    ib_arena_init(&arena, 0);
    int rc = iw_decode_members(&IceGrid_ObjectInfo_type, record, IW_ENCODING_1_1, &arena, &info, ends);
    if (!rc)
        rc = reg_rows_put(c, rows, &(struct reg_row){key, record, 0, ends[0], info.type});
    ib_arena_fini(&arena);
    return rc;
}

int reg_catalog_put_object(struct reg_catalog *c, struct ib_span key, struct ib_span record)
{
    return put_object(c, &c->objects, key, record);
}

void reg_catalog_del_object(struct reg_catalog *c, struct ib_span key)
{
    reg_rows_del(c, &c->objects, key);
}

int reg_catalog_put_node(struct reg_catalog *c, struct ib_span key, struct ib_span record)
{
    return put_object(c, &c->nodes, key, record);
}

void reg_catalog_del_node(struct reg_catalog *c, struct ib_span key)
{
    reg_rows_del(c, &c->nodes, key);
}

void reg_catalog_clear_objects(struct reg_catalog *c)
{
    reg_rows_clear(&c->objects);
}

int reg_catalog_object(struct reg_catalog *c, const struct iw_identity *id, struct ib_arena *arena,
                       struct IceGrid_ObjectInfo *out)
{
    const struct reg_entry *e = reg_rows_find_id(c, &c->objects, &iw_identity_type, id);
    return e ? decode(e, &IceGrid_ObjectInfo_type, arena, out) : IB_ENOTFOUND;
}

bool reg_catalog_has_object(struct reg_catalog *c, const struct iw_identity *id)
{
    return reg_rows_find_id(c, &c->objects, &iw_identity_type, id) != NULL;
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
    size_t ends[3]; /* of its members: the proxy is the second */
    ib_arena_init(&arena, 0);
    int rc = iw_decode_members(&IceGrid_AdapterInfo_type, record, IW_ENCODING_1_1, &arena, &info, ends);
    if (!rc)
        rc = reg_rows_put(c, &c->dynamics, &(struct reg_row){key, record, ends[0], ends[1], info.replicaGroupId});
    ib_arena_fini(&arena);
    return rc;
}

void reg_catalog_del_dynamic(struct reg_catalog *c, struct ib_span key)
{
    reg_rows_del(c, &c->dynamics, key);
}

void reg_catalog_clear_dynamics(struct reg_catalog *c)
{
    reg_rows_clear(&c->dynamics);
}

int reg_catalog_dynamic(struct reg_catalog *c, struct ib_str id, struct ib_arena *arena,
                        struct IceGrid_AdapterInfo *out)
{
    const struct reg_entry *e = reg_rows_find_id(c, &c->dynamics, &iw_string, &id);
    return e ? decode(e, &IceGrid_AdapterInfo_type, arena, out) : IB_ENOTFOUND;
}

bool reg_catalog_has_dynamic(struct reg_catalog *c, struct ib_str id)
{
    return reg_rows_find_id(c, &c->dynamics, &iw_string, &id) != NULL;
}

bool reg_catalog_has_dynamic_group(struct reg_catalog *c, struct ib_str group)
{
    return group.n && reg_bucket_find(c, c->dynamics.buckets, group);
}

struct ib_span reg_catalog_dynamic_proxy(struct reg_catalog *c, struct ib_str id)
{
    const struct reg_entry *e = reg_rows_find_id(c, &c->dynamics, &iw_string, &id);
    return e ? reg_entry_proxy(e) : (struct ib_span){NULL, 0};
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
        names[i++] = (struct ib_str){b->name, b->name_n};
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
    reg_rows_clear(&c->objects);
    reg_rows_clear(&c->dynamics);
    reg_rows_clear(&c->nodes);
    free(c);
}
