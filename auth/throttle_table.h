/* SPDX-License-Identifier: Apache-2.0 */
/* A table of a fixed number of entries under keyed hashes. When it is full, the entry that matters least goes: the one
   unused for longest among those without a penalty, and only when there are none of them one with. */
#ifndef AUTH_THROTTLE_TABLE_H
#define AUTH_THROTTLE_TABLE_H

#include <moulin/base/list.h>
#include <stdint.h>

struct throttle_key {
    uint8_t bytes[16]; /* of a keyed hash: whoever chooses what is hashed cannot choose the bucket */
};

struct throttle_entry {
    struct ib_list lru; /* in light or heavy */
    struct throttle_entry *next; /* of the bucket */
    struct throttle_key key;
    uint32_t failures, refused;
    int64_t counted; /* since when failures are to be forgotten */
    int64_t until; /* of the penalty */
    int64_t trickle; /* when the next exception would be due if all came evenly (GCRA) */
    int64_t said; /* when refused was last told; 0 = never */
};

struct throttle_table {
    struct throttle_entry *entries; /* owns; the first used ones were given out */
    struct throttle_entry **buckets; /* owns */
    uint32_t size, used;
    struct ib_list light, heavy; /* oldest first */
};

bool throttle_table_init(struct throttle_table *t, uint32_t size);
void throttle_table_fini(struct throttle_table *t);
struct throttle_entry *throttle_table_find(struct throttle_table *t, const struct throttle_key *k); /* NULL: none */
/* Finds it or makes it, the youngest of the light ones; never fails. */
struct throttle_entry *throttle_table_get(struct throttle_table *t, const struct throttle_key *k);
void throttle_table_weigh(struct throttle_table *t, struct throttle_entry *e, bool heavy);

#endif
