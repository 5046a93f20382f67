/* SPDX-License-Identifier: Apache-2.0 */
/* Walks values by their descriptors. An instance that is reached twice is walked twice: values that share much cost
   much, so the work is bounded. */
#include "walk.h"

#include <moulin/wire/codec.h>

#define WALK_DEPTH 100
#define WALK_WORK 20000000

static int walk(struct reg_walk *w, const struct iw_type *t, void *v, int depth);

static int walk_fields(struct reg_walk *w, const struct iw_field *f, uint32_t n, char *v, int depth)
{
    int rc = 0;
    for (uint32_t i = 0; i < n && !rc; i++) {
        const bool *has = f[i].tag < 0 ? NULL : (const bool *)(v + f[i].has_offset);
        if (!has || *has)
            rc = walk(w, f[i].type, v + f[i].offset, depth + 1);
    }
    return rc;
}

static int walk_seq(struct reg_walk *w, const struct iw_type *t, const struct iw_seq *seq, int depth)
{
    bool dict = t->kind == IW_DICT;
    size_t step = dict ? t->entry_size : t->elem->size;
    int rc = 0;
    for (size_t i = 0; i < seq->n && !rc; i++) {
        char *item = (char *)seq->v + i * step;
        if (dict)
            rc = walk(w, t->key, item, depth + 1);
        if (!rc)
            rc = walk(w, t->elem, item + (dict ? t->value_offset : 0), depth + 1);
    }
    return rc;
}

static int walk(struct reg_walk *w, const struct iw_type *t, void *v, int depth)
{
    int rc = 0;
    if (++w->work > WALK_WORK || depth > WALK_DEPTH)
        return IB_ELIMIT;
    switch (t->kind) {
    case IW_STRING:
        return !w->on_string || w->on_string(w->arg, v) ? 0 : IB_ENOMEM;
    case IW_STRUCT:
        return walk_fields(w, t->fields, t->n_fields, v, depth);
    case IW_SEQ:
        return walk_seq(w, t, v, depth);
    case IW_DICT:
        rc = walk_seq(w, t, v, depth);
        return rc || !w->on_dict || w->on_dict(w->arg, t, v) ? rc : IB_ENOMEM;
    case IW_CLASS: {
        struct iw_object *const *o = v;
        for (const struct iw_class *c = *o ? (*o)->cls : NULL; c && !rc; c = c->base)
            rc = walk_fields(w, c->fields, c->n_fields, (char *)*o, depth);
        return rc;
    }
    default:
        return 0;
    }
}

int reg_walk(struct reg_walk *w, const struct iw_type *t, void *v)
{
    return walk(w, t, v, 0);
}

static bool sort_dict(void *arg, const struct iw_type *t, void *dict)
{
    (void)arg;
    if (t->key->kind == IW_STRING)
        iw_dict_sort(t, dict);
    return true;
}

int reg_sort_dicts(const struct iw_type *t, void *v)
{
    struct reg_walk w = {.on_dict = sort_dict};
    return reg_walk(&w, t, v);
}
