/* SPDX-License-Identifier: Apache-2.0 */
#include "names.h"

#include <stdlib.h>

#include <slice/IceGrid/Descriptor.h>

struct reg_names reg_names_new(struct ib_arena *arena, size_t n)
{
    return (struct reg_names){0, IB_ARENA_ARRAY(arena, n, struct reg_name)};
}

void reg_names_add(struct reg_names *x, struct ib_str name)
{
    x->v[x->n] = (struct reg_name){name, x->n};
    x->n++;
}

static int compare(const void *a, const void *b)
{
    const struct reg_name *x = a, *y = b;
    int c = ib_str_cmp(x->name, y->name);
    return c ? c : (x->at > y->at) - (x->at < y->at);
}

void reg_names_sort(struct reg_names *x)
{
    if (x->n)
        qsort(x->v, x->n, sizeof(*x->v), compare);
}

struct reg_names reg_names_of(struct ib_arena *arena, const struct Ice_StringSeq *seq)
{
    struct reg_names x = reg_names_new(arena, seq->n);
    for (size_t i = 0; x.v && i < seq->n; i++)
        reg_names_add(&x, seq->v[i]);
    reg_names_sort(&x);
    return x;
}

size_t reg_names_find(const struct reg_names *x, struct ib_str name)
{
    size_t low = 0, high = x->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ib_str_cmp(x->v[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < x->n && ib_str_eq(x->v[low].name, name) ? x->v[low].at : SIZE_MAX;
}
