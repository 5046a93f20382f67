/* SPDX-License-Identifier: Apache-2.0 */
/* Class graphs while they are decoded: instances by number, type ids by index, and references, which are filled in
   when everything is read. Only then is it known whether the graph is complete, well typed, shallow and acyclic. */
#include "wire_priv.h"

#include <stdlib.h>

enum { MIN_INSTANCE_1_0 = 8 }; /* fewer bytes than any instance takes in 1.0: bounds its number */

void iw_dec_add_ref(struct iw_dec *d, void *slot, const struct iw_class *declared, uint32_t to)
{
    void *table = d->refs;
    struct iw_ref *r = iw_dec_push(d, &table, &d->n_refs, &d->cap_refs, sizeof(*r));
    d->refs = table;
    if (r)
        *r = (struct iw_ref){slot, declared, d->current, to};
}

struct iw_instance *iw_dec_instance(struct iw_dec *d, uint32_t number)
{
    if (number > d->total / MIN_INSTANCE_1_0 + 2 && d->enc.minor == 0)
        iw_dec_fail(d, IB_EMARSHAL);
    void *table = d->instances;
    while (!d->in.err && d->n_instances <= number) {
        struct iw_instance *i = iw_dec_push(d, &table, &d->n_instances, &d->cap_instances, sizeof(*i));
        d->instances = table;
        if (i)
            *i = (struct iw_instance){0};
    }
    if (d->in.err)
        return NULL;
    struct iw_instance *i = &d->instances[number];
    if (i->seen) {
        iw_dec_fail(d, IB_EMARSHAL); /* the same number twice */
        return NULL;
    }
    i->seen = true;
    return i;
}

void iw_dec_add_type_id(struct iw_dec *d, struct ib_str id)
{
    void *table = d->type_ids;
    struct ib_str *s = iw_dec_push(d, &table, &d->n_type_ids, &d->cap_type_ids, sizeof(*s));
    d->type_ids = table;
    if (s)
        *s = id;
}

struct ib_str iw_dec_type_id(struct iw_dec *d, size_t index)
{
    if (index == 0 || index > d->n_type_ids) {
        iw_dec_fail(d, IB_EMARSHAL);
        return IB_STR("");
    }
    return d->type_ids[index - 1];
}

static int fill(struct iw_dec *d, const struct iw_ref *r)
{
    if (r->to >= d->n_instances || !d->instances[r->to].seen)
        return IB_EMARSHAL;
    struct iw_object *o = d->instances[r->to].object;
    if (!o)
        return IB_ENOFACTORY;
    if (r->declared && !iw_class_is_a(o->cls, r->declared))
        return IB_EMARSHAL;
    memcpy(r->slot, &o, sizeof(o));
    return IB_OK;
}

/* Scratch of the depth check: edges grouped by where they start, then a topological walk. */
struct walk {
    uint32_t *first; /* of a number's edges in "to" */
    uint32_t *to;
    uint32_t *waiting; /* edges from instances not yet walked */
    uint32_t *depth;
    uint32_t *queue;
};

static void group_edges(const struct iw_dec *d, struct walk *w)
{
    for (size_t i = 0; i < d->n_refs; i++)
        w->first[d->refs[i].from + 1]++;
    for (size_t i = 0; i < d->n_instances; i++)
        w->first[i + 1] += w->first[i];
    for (size_t i = d->n_refs; i-- > 0;) { /* uses waiting as the count already placed */
        uint32_t from = d->refs[i].from;
        w->to[w->first[from] + w->waiting[from]++] = d->refs[i].to;
    }
    memset(w->waiting, 0, d->n_instances * sizeof(uint32_t));
    for (size_t i = 0; i < d->n_refs; i++)
        w->waiting[d->refs[i].to]++;
}

/* Depth of every instance from the values that hold it; number 0 stands for those. */
static int walk_depths(const struct iw_dec *d, struct walk *w)
{
    size_t head = 0, tail = 0;
    for (uint32_t i = 0; i < d->n_instances; i++) {
        if (w->waiting[i] == 0)
            w->queue[tail++] = i;
    }
    while (head < tail) {
        uint32_t from = w->queue[head++];
        for (uint32_t k = w->first[from]; k < w->first[from + 1]; k++) {
            uint32_t to = w->to[k];
            if (w->depth[from] + 1 > w->depth[to])
                w->depth[to] = w->depth[from] + 1;
            if (w->depth[to] > d->limits.class_depth)
                return IB_EMARSHAL;
            if (--w->waiting[to] == 0)
                w->queue[tail++] = to;
        }
    }
    /* Real 1.1 peers refuse cycles, 1.0 ones do not (ice-protocol 6.3). */
    bool cyclic = tail < d->n_instances;
    return cyclic && d->enc.minor > 0 && !d->limits.accept_cycles ? IB_EMARSHAL : IB_OK;
}

static int check_depths(const struct iw_dec *d)
{
    size_t n = d->n_instances + 2;
    uint32_t *memory = calloc(n * 4 + d->n_refs, sizeof(uint32_t));
    if (!memory)
        return IB_ENOMEM;
    struct walk w = {memory, memory + n * 4, memory + n, memory + n * 2, memory + n * 3};
    group_edges(d, &w);
    int rc = walk_depths(d, &w);
    free(memory);
    return rc;
}

void iw_dec_resolve(struct iw_dec *d)
{
    for (size_t i = 0; i < d->n_refs && !d->in.err; i++)
        iw_dec_fail(d, fill(d, &d->refs[i]));
    if (!d->in.err && d->n_refs > 0)
        iw_dec_fail(d, check_depths(d));
}
