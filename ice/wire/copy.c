/* SPDX-License-Identifier: Apache-2.0 */
/* Deep copies between arenas. Class graphs keep their sharing and their cycles. */
#include "wire_priv.h"

struct copier {
    struct ib_arena *arena;
    struct iw_ptrs seen; /* instance -> its copy */
    uint32_t depth;
};

static int copy_value(struct copier *c, const struct iw_type *t, const void *v, void *out);

static int copy_fields(struct copier *c, const struct iw_field *fields, uint32_t n, const void *v, void *out)
{
    int rc = IB_OK;
    for (uint32_t i = 0; i < n && !rc; i++) {
        const struct iw_field *f = &fields[i];
        bool set = iw_field_set(f, v);
        if (f->tag >= 0)
            *(bool *)iw_at(out, f->has_offset) = set;
        if (set)
            rc = copy_value(c, f->type, iw_cat(v, f->offset), iw_at(out, f->offset));
    }
    return rc;
}

static int copy_instance(struct copier *c, const struct iw_object *o, struct iw_object **out)
{
    *out = iw_ptrs_find(&c->seen, o);
    if (*out)
        return IB_OK;
    if (!o->cls)
        return IB_EINVAL;
    if (c->depth >= IW_GRAPH_DEPTH)
        return IB_EMARSHAL;
    struct iw_object *copy = ib_arena_alloc(c->arena, o->cls->size);
    if (!copy)
        return iw_arena_error(c->arena, o->cls->size);
    if (!iw_ptrs_add(&c->seen, o, copy))
        return IB_ENOMEM;
    copy->cls = o->cls;
    *out = copy;
    int rc = IB_OK;
    c->depth++;
    for (const struct iw_class *cls = o->cls; cls && !rc; cls = cls->base)
        rc = copy_fields(c, cls->fields, cls->n_fields, o, copy);
    c->depth--;
    return rc;
}

static int copy_items(struct copier *c, const struct iw_type *t, const struct iw_seq *s, struct iw_seq *out)
{
    size_t each = t->kind == IW_SEQ ? t->elem->size : t->entry_size;
    *out = (struct iw_seq){0, NULL};
    if (s->n == 0)
        return IB_OK;
    void *v = ib_arena_array(c->arena, s->n, each);
    if (!v)
        return iw_arena_error(c->arena, s->n * each);
    int rc = IB_OK;
    for (size_t i = 0; i < s->n && !rc; i++) {
        const void *from = iw_cat(s->v, i * each);
        void *to = iw_at(v, i * each);
        if (t->kind == IW_DICT) {
            rc = copy_value(c, t->key, from, to);
            if (!rc)
                rc = copy_value(c, t->elem, iw_cat(from, t->value_offset), iw_at(to, t->value_offset));
        } else {
            rc = copy_value(c, t->elem, from, to);
        }
    }
    *out = (struct iw_seq){s->n, v};
    return rc;
}

static int copy_value(struct copier *c, const struct iw_type *t, const void *v, void *out)
{
    switch (t->kind) {
    case IW_STRING: {
        struct ib_str s = ib_arena_str(c->arena, *(const struct ib_str *)v);
        if (!s.p)
            return iw_arena_error(c->arena, ((const struct ib_str *)v)->n);
        *(struct ib_str *)out = s;
        return IB_OK;
    }
    case IW_STRUCT:
        return copy_fields(c, t->fields, t->n_fields, v, out);
    case IW_SEQ:
    case IW_DICT:
        return copy_items(c, t, v, out);
    case IW_PROXY: {
        const struct iw_proxy *p = iw_get_proxy(v);
        struct iw_proxy *copy = iw_proxy_copy(p, c->arena);
        if (p && !copy)
            return iw_arena_error(c->arena, sizeof(*p));
        memcpy(out, &copy, sizeof(copy));
        return IB_OK;
    }
    case IW_CLASS: {
        const struct iw_object *o = iw_get_object(v);
        struct iw_object *copy = NULL;
        int rc = o ? copy_instance(c, o, &copy) : IB_OK;
        memcpy(out, &copy, sizeof(copy));
        return rc;
    }
    default:
        memcpy(out, v, t->size);
        return IB_OK;
    }
}

int iw_copy(const struct iw_type *t, const void *v, struct ib_arena *arena, void *out)
{
    struct copier c = {.arena = arena};
    memset(out, 0, t->size);
    int rc = copy_value(&c, t, v, out);
    iw_ptrs_fini(&c.seen);
    return rc;
}
