/* SPDX-License-Identifier: Apache-2.0 */
/* The throttle's table: buckets, two lists by age, and who has to go. */
#include "throttle_table.h"

#include <stdlib.h>
#include <string.h>

static struct throttle_entry **bucket(struct throttle_table *t, const struct throttle_key *k)
{
    uint32_t h;
    memcpy(&h, k->bytes, sizeof(h));
    return &t->buckets[h % t->size];
}

bool throttle_table_init(struct throttle_table *t, uint32_t size)
{
    *t = (struct throttle_table){.size = size};
    ib_list_init(&t->light);
    ib_list_init(&t->heavy);
    t->entries = calloc(size, sizeof(*t->entries)); /* the kernel gives the pages when they are used */
    t->buckets = calloc(size, sizeof(struct throttle_entry *));
    return t->entries && t->buckets;
}

void throttle_table_fini(struct throttle_table *t)
{
    free(t->entries);
    free((void *)t->buckets);
}

struct throttle_entry *throttle_table_find(struct throttle_table *t, const struct throttle_key *k)
{
    struct throttle_entry *e = *bucket(t, k);
    while (e && memcmp(&e->key, k, sizeof(*k)) != 0) {
        e = e->next;
    }
    return e;
}

static struct throttle_entry *evict(struct throttle_table *t)
{
    struct ib_list *oldest = ib_list_empty(&t->light) ? t->heavy.next : t->light.next;
    struct throttle_entry *e = IB_CONTAINER(oldest, struct throttle_entry, lru);
    struct throttle_entry **at = bucket(t, &e->key);
    while (*at != e) {
        at = &(*at)->next;
    }
    *at = e->next;
    ib_list_remove(&e->lru);
    return e;
}

struct throttle_entry *throttle_table_get(struct throttle_table *t, const struct throttle_key *k)
{
    struct throttle_entry *e = throttle_table_find(t, k);
    if (e) {
        return e;
    }
    e = t->used < t->size ? &t->entries[t->used++] : evict(t);
    *e = (struct throttle_entry){.key = *k};
    e->next = *bucket(t, k);
    *bucket(t, k) = e;
    ib_list_append(&t->light, &e->lru);
    return e;
}

void throttle_table_weigh(struct throttle_table *t, struct throttle_entry *e, bool heavy)
{
    ib_list_remove(&e->lru);
    ib_list_append(heavy ? &t->heavy : &t->light, &e->lru);
}
