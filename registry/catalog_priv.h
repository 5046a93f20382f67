/* SPDX-License-Identifier: Apache-2.0 */
/* The catalog's inside, shared by catalog.c and rows.c (tables), catalog_apps.c (applications), buckets.c (what shares
   a name) and catalog_objects.c (objects of both kinds by type). */
#ifndef REG_CATALOG_PRIV_H
#define REG_CATALOG_PRIV_H

#include "catalog.h"

/* Entries that share a name: objects of a type, adapters of a group. Each can be had by its number; they are sorted
   when somebody wants to see them all, and stay so until the next change. */
struct reg_bucket {
    UT_hash_handle hh;
    struct reg_member **items; /* owns the array */
    struct reg_bucket *sites; /* owns; hash by name: the same once more, by where they run (catalog_objects.c); NULL:
                                 nobody asked yet */
    uint32_t n, cap;
    bool sorted;
    size_t name_n;
    char name[];
};

/* One record as on disk. What a look-up reads comes last. */
struct reg_entry {
    struct reg_member in_bucket, in_site;
    uint32_t at; /* in the table's list */
    uint32_t key_n, value_at, value_n;
    uint32_t proxy_at, proxy_end; /* in the value */
    uint8_t bytes[]; /* the key at 0; the value at value_at, which is 0 when it begins with the key */
};

struct reg_slot {
    struct reg_entry *entry; /* NULL: empty */
    uint32_t hash;
};

struct reg_rows {
    struct reg_slot *slots; /* owns; mask + 1 of them, NULL until there is an entry */
    struct reg_entry **list; /* owns, and the entries */
    struct reg_bucket *buckets; /* owns; hash by name */
    uint32_t mask, n, cap; /* n: entries; cap: of list */
    bool sorted; /* list: by key */
};

struct reg_catalog {
    uint64_t hash_key[2];
    struct reg_rows objects, dynamics, nodes;
    struct reg_app *apps; /* owns */
    struct reg_server *servers; /* the rest belongs to the applications */
    struct reg_adapter *adapters;
    struct reg_group *groups;
    struct reg_app_object *app_objects, *allocatables;
    struct reg_bucket *object_types, *allocatable_types; /* own; of reg_app_object.in_type */
    uint64_t last_place; /* of reg_adapter */
    struct reg_bucket *members; /* owns; by group id, of reg_adapter.in_group: groups may come later than adapters */
};

/* --- the hash --------------------------------------------------------------------------------------------------------
 */

/* SipHash-1-3: keys come from peers, who must not choose the chains. */
unsigned reg_hash(const struct reg_catalog *c, const void *p, size_t n);

/* --- buckets ------------------------------------------------------------------------------------------------------ */

struct reg_bucket *reg_bucket_find(const struct reg_catalog *c, struct reg_bucket *head, struct ib_str name);
/* Makes the bucket if there is none. False: memory; then nothing changed. */
bool reg_bucket_add(const struct reg_catalog *c, struct reg_bucket **head, struct ib_str name, struct reg_member *m);
void reg_bucket_remove(struct reg_bucket **head, struct reg_member *m); /* in none: nothing */
/* compare gets pointers to pointers to members. */
struct reg_member **reg_bucket_sorted(struct reg_bucket *b, int (*compare)(const void *a, const void *b));

/* In a hash of deployed objects; NULL also when key is empty. */
struct reg_app_object *reg_app_object_find(const struct reg_catalog *c, struct reg_app_object *head,
                                           struct ib_span key);

/* --- where the objects of a type run (catalog_objects.c) ------------------------------------------------------------
 */

/* An entry came: it is added where the type's sites are known. */
void reg_sites_add_entry(const struct reg_catalog *c, struct reg_entry *e);
void reg_sites_add_object(const struct reg_catalog *c, struct reg_app_object *o);
void reg_sites_remove(struct reg_bucket *type, struct reg_member *in_site);

/* --- tables (rows.c)
 * --------------------------------------------------------------------------------------------------------- */

/* What is put, and where in the value its proxy is. */
struct reg_row {
    struct ib_span key, value;
    size_t proxy_at, proxy_end;
    struct ib_str bucket; /* empty: none */
};

static inline struct ib_span reg_entry_value(const struct reg_entry *e)
{
    return (struct ib_span){e->bytes + e->value_at, e->value_n};
}

static inline struct ib_span reg_entry_proxy(const struct reg_entry *e)
{
    return (struct ib_span){e->bytes + e->value_at + e->proxy_at, e->proxy_end - e->proxy_at};
}

struct reg_entry *reg_rows_find(const struct reg_catalog *c, const struct reg_rows *rows, struct ib_span key);
struct reg_entry *reg_rows_find_id(const struct reg_catalog *c, const struct reg_rows *rows, const struct iw_type *type,
                                   const void *id);
int reg_rows_put(const struct reg_catalog *c, struct reg_rows *rows, const struct reg_row *row); /* copies */
void reg_rows_del(const struct reg_catalog *c, struct reg_rows *rows, struct ib_span key);
void reg_rows_clear(struct reg_rows *rows);
struct reg_entry **reg_rows_sorted(struct reg_rows *rows);
/* For reg_bucket_sorted: the table's order; by identity. */
int reg_entry_compare(const void *a, const void *b);
int reg_app_object_compare(const void *a, const void *b);

#endif
