/* SPDX-License-Identifier: Apache-2.0 */
/* The catalog's inside, shared by catalog.c (tables) and catalog_apps.c (applications). */
#ifndef REG_CATALOG_PRIV_H
#define REG_CATALOG_PRIV_H

#include "catalog.h"

/* Entries of one table that share a name: objects of a type, adapters of a replica group. */
struct reg_bucket {
    struct ib_list list;
    size_t count;
    UT_hash_handle hh;
    size_t n;
    char name[];
};

/* One record as on disk: key, then value. */
struct reg_entry {
    struct ib_list in_bucket;
    struct reg_bucket *bucket; /* NULL: none */
    UT_hash_handle hh;
    uint32_t key_n, value_n;
    uint8_t bytes[];
};

struct reg_rows {
    struct reg_entry *entries; /* owns; hash by key */
    struct reg_bucket *buckets; /* owns; hash by name */
    size_t count;
};

struct reg_catalog {
    uint64_t hash_key[2];
    struct reg_rows objects, dynamics, nodes;
    struct reg_app *apps; /* owns */
    struct reg_server *servers; /* the rest belongs to the applications */
    struct reg_adapter *adapters;
    struct reg_group *groups;
    struct reg_app_object *app_objects, *allocatables;
    struct reg_bucket *object_types, *allocatable_types; /* own; lists of reg_app_object.by_type */
    uint64_t last_place; /* of reg_adapter */
    struct reg_bucket
        *members; /* owns; by group id, lists of reg_adapter.member: groups may come later than adapters */
};

/* SipHash-1-3: keys come from peers, who must not choose the chains. */
unsigned reg_hash(const struct reg_catalog *c, const void *p, size_t n);
unsigned reg_hash_identity(const struct reg_catalog *c, const struct iw_identity *id);

struct reg_bucket *reg_bucket_find(const struct reg_catalog *c, struct reg_bucket *head, struct ib_str name);
struct reg_bucket *reg_bucket_get(const struct reg_catalog *c, struct reg_bucket **head,
                                  struct ib_str name); /* makes it; NULL: memory */
void reg_bucket_drop(struct reg_bucket **head, struct reg_bucket *b); /* if empty */

#endif
