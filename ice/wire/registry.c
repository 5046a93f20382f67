/* SPDX-License-Identifier: Apache-2.0 */
/* Look-ups in the generated tables: classes by id, operations by name, inheritance. */
#include <moulin/wire/types.h>

const struct iw_class *iw_registry_find(const struct iw_registry *r, struct ib_str id)
{
    size_t lo = 0, hi = r ? r->n : 0;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = ib_str_cmp(id, ib_str(r->classes[mid]->id));
        if (c == 0)
            return r->classes[mid];
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

const struct iw_class *iw_registry_find_compact(const struct iw_registry *r, int32_t compact_id)
{
    for (size_t i = 0; r && compact_id >= 0 && i < r->n; i++) {
        if (r->classes[i]->compact_id == compact_id)
            return r->classes[i];
    }
    return NULL;
}

bool iw_class_is_a(const struct iw_class *c, const struct iw_class *base)
{
    while (c && c != base)
        c = c->base;
    return c != NULL;
}

const struct iw_op *iw_iface_find(const struct iw_iface *i, struct ib_str name)
{
    size_t lo = 0, hi = i->n_ops;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = ib_str_cmp(name, ib_str(i->ops[mid]->name));
        if (c == 0)
            return i->ops[mid];
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

bool iw_iface_is_a(const struct iw_iface *i, struct ib_str id)
{
    for (size_t k = 0; k < i->n_ids; k++) {
        if (ib_str_is(id, i->ids[k]))
            return true;
    }
    return false;
}
