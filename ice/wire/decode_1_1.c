/* SPDX-License-Identifier: Apache-2.0 */
/* Class instances and exceptions in encoding 1.1, compact and sliced (ice-protocol 6). */
#include "wire_priv.h"

static void read_instance(struct iw_dec *d);

/* A reference outside an indirection table; the number of the instance, 0 for null. */
static uint32_t read_ref(struct iw_dec *d)
{
    size_t id = iw_in_size(&d->in);
    if (d->in.err || id != 1)
        return (uint32_t)id;
    uint32_t number = d->n_instances < 2 ? 2 : (uint32_t)d->n_instances;
    read_instance(d);
    return number;
}

void iw_dec_class_1_1(struct iw_dec *d, const struct iw_class *declared, void *slot)
{
    uint32_t to;
    if (d->slice && (d->slice->flags & IW_SLICE_TABLE)) {
        to = (uint32_t)iw_in_size(&d->in);
        if (to != 0)
            d->slice->uses_table = true;
    } else {
        to = read_ref(d);
    }
    if (slot && to != 0)
        iw_dec_add_ref(d, slot, declared, to);
}

/* Reads the head of a slice of a class. */
static void read_head(struct iw_dec *d, struct iw_slice_in *s)
{
    *s = (struct iw_slice_in){.flags = iw_in_u8(&d->in), .id = IB_STR(""), .compact_id = -1};
    switch (s->flags & IW_SLICE_ID_MASK) {
    case IW_SLICE_ID_STRING:
        s->id = iw_in_str(&d->in);
        iw_dec_add_type_id(d, s->id);
        break;
    case IW_SLICE_ID_INDEX:
        s->id = iw_dec_type_id(d, iw_in_size(&d->in));
        break;
    case IW_SLICE_ID_COMPACT:
        s->compact_id = (int32_t)iw_in_size(&d->in);
        break;
    default:
        break;
    }
}

static void read_exception_head(struct iw_dec *d, struct iw_slice_in *s)
{
    *s = (struct iw_slice_in){.flags = iw_in_u8(&d->in), .compact_id = -1};
    s->id = iw_in_str(&d->in);
}

static void read_size(struct iw_dec *d, struct iw_slice_in *s)
{
    if (!(s->flags & IW_SLICE_SIZE))
        return;
    int32_t n = iw_in_i32(&d->in);
    if (!d->in.err && (n < 4 || (size_t)n - 4 > iw_dec_left(d)))
        iw_dec_fail(d, IB_EBOUNDS);
    if (!d->in.err)
        s->end = d->in.p + n - 4;
}

/* The table behind the body of slice s; its references are the decoder's refs from s->first_ref on. */
static void read_table(struct iw_dec *d, struct iw_slice_in *s)
{
    size_t last_ref = d->n_refs; /* refs after it are those of instances inside the table */
    size_t n = iw_dec_count(d, 1);
    if (!d->in.err && (n == 0 || (!s->uses_table && !(s->flags & IW_SLICE_OPTIONALS))))
        iw_dec_fail(d, IB_EMARSHAL);
    uint32_t *numbers = iw_dec_alloc(d, n, sizeof(*numbers));
    for (size_t i = 0; i < n && !d->in.err; i++) {
        numbers[i] = read_ref(d);
        if (numbers[i] == 0)
            iw_dec_fail(d, IB_EMARSHAL);
    }
    for (size_t i = s->first_ref; i < last_ref && !d->in.err; i++) {
        if (d->refs[i].to > n)
            iw_dec_fail(d, IB_EMARSHAL);
        else
            d->refs[i].to = numbers[d->refs[i].to - 1];
    }
}

/* The body and table of one slice, whose head was read. */
static void read_slice(struct iw_dec *d, struct iw_slice_in *s, const struct iw_class *c, void *value)
{
    struct iw_slice_in *outer = d->slice;
    d->slice = s;
    s->first_ref = d->n_refs;
    iw_dec_required(d, c->fields, c->n_fields, value);
    if (s->flags & IW_SLICE_OPTIONALS)
        iw_dec_optionals(d, c->fields, c->n_fields, value, true);
    d->slice = NULL;
    if (!d->in.err && s->end && d->in.p != s->end)
        iw_dec_fail(d, IB_EMARSHAL);
    if (!d->in.err && (s->flags & IW_SLICE_TABLE))
        read_table(d, s);
    d->slice = outer;
}

/* A slice of a type we do not know; the instances of its table count nevertheless. */
static void skip_slice(struct iw_dec *d, const struct iw_slice_in *s)
{
    if (d->in.err)
        return;
    if (!s->end) {
        iw_dec_fail(d, IB_ENOFACTORY); /* the compact format cannot be skipped */
        return;
    }
    d->in.p = s->end;
    if (!(s->flags & IW_SLICE_TABLE))
        return;
    struct iw_slice_in *outer = d->slice;
    d->slice = NULL;
    for (size_t n = iw_dec_count(d, 1); n > 0 && !d->in.err; n--) {
        uint32_t to = read_ref(d);
        (void)to; /* nobody can reach it from here */
    }
    d->slice = outer;
}

static const struct iw_class *find_class(const struct iw_dec *d, const struct iw_slice_in *s)
{
    const struct iw_class *c =
        s->compact_id >= 0 ? iw_registry_find_compact(d->reg, s->compact_id) : iw_registry_find(d->reg, s->id);
    return c && !c->is_exception ? c : NULL;
}

/* The slices of an instance from the one of its most derived known class on, whose head is in s. */
static void read_known(struct iw_dec *d, struct iw_slice_in *s, struct iw_object *o)
{
    for (const struct iw_class *c = o->cls; c && !d->in.err; c = c->base) {
        if (c != o->cls) {
            if (s->flags & IW_SLICE_LAST) {
                iw_dec_fail(d, IB_EMARSHAL);
                return;
            }
            read_head(d, s);
            read_size(d, s);
        }
        read_slice(d, s, c, o);
    }
    while (!d->in.err && !(s->flags & IW_SLICE_LAST)) { /* bases that only the peer has */
        read_head(d, s);
        read_size(d, s);
        skip_slice(d, s);
    }
}

static void read_slices(struct iw_dec *d, uint32_t number)
{
    struct iw_slice_in s;
    for (;;) {
        read_head(d, &s);
        read_size(d, &s);
        if (d->in.err)
            return;
        const struct iw_class *cls = find_class(d, &s);
        if (cls) {
            struct iw_object *o = iw_dec_alloc(d, 1, cls->size);
            if (!o)
                return;
            o->cls = cls;
            d->instances[number].object = o;
            read_known(d, &s, o);
            return;
        }
        skip_slice(d, &s);
        if (d->in.err || (s.flags & IW_SLICE_LAST))
            return; /* unknown from top to bottom: an error only for who refers to it */
    }
}

static void read_instance(struct iw_dec *d)
{
    uint32_t number = d->n_instances < 2 ? 2 : (uint32_t)d->n_instances;
    if (!iw_dec_instance(d, number))
        return;
    if (d->class_depth >= d->limits.class_depth) {
        iw_dec_fail(d, IB_EMARSHAL);
        return;
    }
    uint32_t outer = d->current, nesting = d->nesting;
    struct iw_slice_in *slice = d->slice;
    d->class_depth++;
    d->current = number;
    d->nesting = 0;
    d->slice = NULL;
    read_slices(d, number);
    d->slice = slice;
    d->nesting = nesting;
    d->current = outer;
    d->class_depth--;
}

void iw_dec_exception_1_1(struct iw_dec *d, const struct iw_class **cls, void **value, struct ib_str *unknown_id)
{
    struct iw_slice_in s;
    const struct iw_class *found;
    struct ib_str first = {NULL, 0};
    for (;;) {
        read_exception_head(d, &s);
        read_size(d, &s);
        if (d->in.err)
            return;
        if (!first.p)
            first = s.id;
        found = iw_registry_find(d->reg, s.id);
        if (found && found->is_exception)
            break;
        *unknown_id = first;
        skip_slice(d, &s);
        /* Peers that never set the last-slice bit just stop (ice-protocol 6.4). */
        if ((s.flags & IW_SLICE_LAST) || iw_dec_left(d) == 0)
            iw_dec_fail(d, IB_ENOFACTORY);
        if (d->in.err)
            return;
    }
    *value = iw_dec_alloc(d, 1, found->size);
    if (!*value)
        return;
    *cls = found;
    for (const struct iw_class *c = found; c && !d->in.err; c = c->base) {
        if (c != found) {
            read_exception_head(d, &s);
            read_size(d, &s);
        }
        if (!d->in.err)
            read_slice(d, &s, c, *value);
    }
}
