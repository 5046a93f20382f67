/* SPDX-License-Identifier: Apache-2.0 */
/* What a slave has to acknowledge, in the order it was told. */
#include "replica_ledger.h"

#include <stdlib.h>
#include <string.h>

struct wait {
    struct ib_list node;
    uint8_t topic;
    int32_t serial;
    int64_t since;
    struct reg_change *change; /* held; NULL: a whole table */
};

void reg_ledger_init(struct reg_ledger *l)
{
    *l = (struct reg_ledger){.released = false};
    ib_list_init(&l->waits);
}

bool reg_ledger_wait(struct reg_ledger *l, int topic, int32_t serial, int64_t now, struct reg_change *c)
{
    struct wait *w = malloc(sizeof *w);
    if (!w)
        return false;
    *w = (struct wait){.topic = (uint8_t)topic, .serial = serial, .since = now, .change = c};
    ib_list_append(&l->waits, &w->node);
    if (c)
        reg_change_hold(c);
    return true;
}

static void drop(struct wait *w)
{
    ib_list_remove(&w->node);
    if (w->change)
        reg_change_release(w->change);
    free(w);
}

void reg_ledger_owe(struct reg_ledger *l, int topic, int32_t serial)
{
    l->owed[topic] = serial;
}

void reg_ledger_acknowledge(struct reg_ledger *l, int topic, int32_t serial)
{
    IB_LIST_FOREACH(node, &l->waits)
    {
        struct wait *w = IB_CONTAINER(node, struct wait, node);
        if (w->topic != topic || w->serial != serial)
            continue;
        if (w->change)
            w->change->acked++;
        drop(w); /* may answer others, but never ends this slave's session */
        break;
    }
    if (topic >= 0 && topic < REG_TOPIC_MAX && serial >= l->owed[topic])
        l->owed[topic] = 0; /* a topic's are acknowledged in order */
    if (l->released && !reg_ledger_tables_open(l))
        l->released = false; /* what is owed still comes before what waits from now on */
}

void reg_ledger_release(struct reg_ledger *l)
{
    l->released = true;
    IB_LIST_FOREACH_SAFE(node, &l->waits)
    {
        struct wait *w = IB_CONTAINER(node, struct wait, node);
        if (!w->change)
            continue;
        reg_ledger_owe(l, w->topic, w->serial); /* oldest first: the last one stays */
        drop(w);
    }
}

bool reg_ledger_tables_open(const struct reg_ledger *l)
{
    IB_LIST_FOREACH(node, &l->waits)
    if (!IB_CONTAINER(node, struct wait, node)->change)
        return true;
    return false;
}

bool reg_ledger_complete(const struct reg_ledger *l)
{
    for (int topic = 0; topic < REG_TOPIC_MAX; topic++)
        if (l->owed[topic])
            return false;
    return !reg_ledger_tables_open(l);
}

void reg_ledger_ages(const struct reg_ledger *l, int64_t now, struct reg_slave_facts *out)
{
    out->change = out->table = -1;
    IB_LIST_FOREACH(node, &l->waits)
    {
        const struct wait *w = IB_CONTAINER(node, struct wait, node);
        int64_t *age = w->change ? &out->change : &out->table;
        if (*age < 0)
            *age = now - w->since;
        if (out->change >= 0) /* tables come before changes */
            break;
    }
}

void reg_ledger_fini(struct reg_ledger *l)
{
    while (!ib_list_empty(&l->waits))
        drop(IB_CONTAINER(l->waits.next, struct wait, node));
}
