/* SPDX-License-Identifier: Apache-2.0 */
/* Class instances and exceptions in encoding 1.0 (ice-protocol 5). */
#include "wire_priv.h"

void iw_dec_class_1_0(struct iw_dec *d, const struct iw_class *declared, void *slot)
{
    int32_t ref = iw_in_i32(&d->in);
    if (ref > 0 || ref == INT32_MIN)
        iw_dec_fail(d, IB_EMARSHAL);
    else if (ref < 0)
        iw_dec_add_ref(d, slot, declared, (uint32_t)-ref);
}

/* The size of a slice, and where it ends. */
static const uint8_t *read_slice_size(struct iw_dec *d)
{
    int32_t n = iw_in_i32(&d->in);
    if (!d->in.err && (n < 4 || (size_t)n - 4 > iw_dec_left(d)))
        iw_dec_fail(d, IB_EBOUNDS);
    return d->in.err ? d->in.end : d->in.p + n - 4;
}

static struct ib_str read_type_id(struct iw_dec *d)
{
    if (iw_in_u8(&d->in))
        return iw_dec_type_id(d, iw_in_size(&d->in));
    struct ib_str id = iw_in_str(&d->in);
    iw_dec_add_type_id(d, id);
    return id;
}

static void read_members(struct iw_dec *d, const struct iw_class *c, void *value, const uint8_t *end)
{
    iw_dec_required(d, c->fields, c->n_fields, value);
    if (d->in.p != end)
        iw_dec_fail(d, IB_EMARSHAL);
}

/* The slices of an instance from the one of its most derived known class on. */
static void read_known(struct iw_dec *d, const struct iw_class *cls, void *value, const uint8_t *end)
{
    for (const struct iw_class *c = cls; c && !d->in.err; c = c->base) {
        if (c != cls) {
            read_type_id(d);
            end = read_slice_size(d);
        }
        read_members(d, c, value, end);
    }
}

static void read_instance(struct iw_dec *d)
{
    int32_t number = iw_in_i32(&d->in);
    if (!d->in.err && number <= 0)
        iw_dec_fail(d, IB_EMARSHAL);
    if (d->in.err || !iw_dec_instance(d, (uint32_t)number))
        return;
    d->current = (uint32_t)number;
    bool known = false;
    while (!d->in.err) {
        struct ib_str id = read_type_id(d);
        const uint8_t *end = read_slice_size(d);
        if (d->in.err)
            break;
        if (ib_str_is(id, IW_OBJECT_ID)) {
            /* Its body is an empty dictionary that 1.0 peers once kept facets in. */
            if (iw_in_size(&d->in) != 0 || d->in.p != end)
                iw_dec_fail(d, IB_EMARSHAL);
            break;
        }
        const struct iw_class *cls = known ? NULL : iw_registry_find(d->reg, id);
        if (!cls || cls->is_exception) {
            d->in.p = end; /* a more derived class we do not know, or a base that only the peer has */
            continue;
        }
        struct iw_object *o = iw_dec_alloc(d, 1, cls->size);
        if (!o)
            break;
        o->cls = cls;
        d->instances[number].object = o;
        known = true;
        read_known(d, cls, o, end);
    }
    d->current = 0;
}

void iw_dec_pending_1_0(struct iw_dec *d)
{
    for (;;) {
        size_t n = iw_dec_count(d, 1);
        if (d->in.err || n == 0)
            break;
        while (n-- > 0 && !d->in.err)
            read_instance(d);
    }
}

void iw_dec_exception_1_0(struct iw_dec *d, const struct iw_class **cls, void **value, struct ib_str *unknown_id)
{
    bool uses_classes = iw_in_u8(&d->in) != 0;
    const struct iw_class *found = NULL;
    const uint8_t *end = d->in.p;
    struct ib_str first = {NULL, 0};
    while (!d->in.err) {
        struct ib_str id = iw_in_str(&d->in);
        end = read_slice_size(d);
        if (d->in.err)
            break;
        if (!first.p)
            first = id;
        found = iw_registry_find(d->reg, id);
        if (found && found->is_exception)
            break;
        found = NULL;
        d->in.p = end;
        if (iw_dec_left(d) == 0 || (uses_classes && iw_dec_left(d) == 1))
            break; /* no end mark: the data just stops */
    }
    if (!found) {
        *unknown_id = first;
        iw_dec_fail(d, IB_ENOFACTORY);
        return;
    }
    *value = iw_dec_alloc(d, 1, found->size);
    if (!*value)
        return;
    *cls = found;
    for (const struct iw_class *c = found; c && !d->in.err; c = c->base) {
        if (c != found) {
            iw_in_str(&d->in);
            end = read_slice_size(d);
        }
        read_members(d, c, *value, end);
    }
    if (uses_classes)
        iw_dec_pending_1_0(d);
}
