/* SPDX-License-Identifier: Apache-2.0 */
/* Class instances and exceptions in encoding 1.1, compact and sliced (ice-protocol 6). */
#include "wire_priv.h"

#include <stdlib.h>

static void write_instance(struct iw_enc *e, const struct iw_object *o);

/* A reference outside an indirection table. */
static void write_ref(struct iw_enc *e, const struct iw_object *o)
{
    uint32_t number = o ? iw_ptrs_number(&e->numbers, o) : 0;
    if (!o || number != 0) {
        iw_out_size(e->out, number);
        return;
    }
    /* Numbered before its members, so that they can refer to it; 1 means "inline", so the first is 2. */
    if (!iw_ptrs_add_number(&e->numbers, o, e->numbers.n + 2)) {
        iw_enc_fail(e, IB_ENOMEM);
        return;
    }
    iw_out_size(e->out, 1);
    write_instance(e, o);
}

static void write_index(struct iw_enc *e, struct iw_object *o)
{
    struct iw_table_out *t = e->table;
    uint32_t index = iw_ptrs_number(&t->index, o);
    if (index == 0) {
        index = (uint32_t)t->n + 1;
        if (!iw_enc_push(e, &t->objects, &t->n, &t->cap, o))
            return;
        if (!iw_ptrs_add_number(&t->index, o, index))
            iw_enc_fail(e, IB_ENOMEM);
    }
    iw_out_size(e->out, index);
}

void iw_enc_class_1_1(struct iw_enc *e, struct iw_object *o)
{
    if (o && e->table)
        write_index(e, o);
    else
        write_ref(e, o);
}

static void write_table(struct iw_enc *e, const struct iw_table_out *t)
{
    iw_out_size(e->out, t->n);
    for (size_t i = 0; i < t->n && !e->err && ib_buf_ok(e->out); i++)
        write_ref(e, t->objects[i]);
}

/* Size, members, optionals and table; the flags are completed where they stand. */
static void write_body(struct iw_enc *e, const struct iw_class *c, const void *value, size_t flags_at)
{
    struct iw_table_out table = {0}, *outer = e->table;
    size_t at = e->out->n;
    uint8_t flags = 0;
    e->table = e->sliced ? &table : NULL;
    if (e->sliced)
        ib_buf_put_i32(e->out, 0);
    iw_enc_required(e, c->fields, c->n_fields, value);
    if (iw_enc_optionals(e, c->fields, c->n_fields, value)) {
        flags |= IW_SLICE_OPTIONALS;
        ib_buf_put_u8(e->out, IW_OPT_END);
    }
    e->table = NULL;
    if (e->sliced)
        iw_patch_size(e->out, at);
    if (table.n > 0) {
        flags |= IW_SLICE_TABLE;
        write_table(e, &table);
    }
    if (ib_buf_ok(e->out))
        e->out->p[flags_at] |= flags;
    e->table = outer;
    iw_ptrs_fini(&table.index);
    free(table.objects);
}

static uint8_t base_flags(const struct iw_enc *e, const struct iw_class *c)
{
    return (uint8_t)((e->sliced ? IW_SLICE_SIZE : 0) | (c->base ? 0 : IW_SLICE_LAST));
}

static void write_type_id(struct iw_enc *e, const struct iw_class *c, uint8_t flags)
{
    uint32_t index = iw_ptrs_number(&e->type_ids, c);
    if (c->compact_id >= 0) {
        ib_buf_put_u8(e->out, flags | IW_SLICE_ID_COMPACT);
        iw_out_size(e->out, (size_t)c->compact_id);
    } else if (index != 0) {
        ib_buf_put_u8(e->out, flags | IW_SLICE_ID_INDEX);
        iw_out_size(e->out, index);
    } else {
        ib_buf_put_u8(e->out, flags | IW_SLICE_ID_STRING);
        iw_out_str(e->out, ib_str(c->id));
        if (!iw_ptrs_add_number(&e->type_ids, c, e->type_ids.n + 1))
            iw_enc_fail(e, IB_ENOMEM);
    }
}

static void write_instance(struct iw_enc *e, const struct iw_object *o)
{
    if (++e->class_depth > IW_GRAPH_DEPTH)
        iw_enc_fail(e, IB_EMARSHAL);
    struct iw_table_out *outer = e->table;
    e->table = NULL;
    for (const struct iw_class *c = o->cls; c && !e->err && ib_buf_ok(e->out); c = c->base) {
        size_t flags_at = e->out->n;
        if (e->sliced || c == o->cls)
            write_type_id(e, c, base_flags(e, c));
        else
            ib_buf_put_u8(e->out, base_flags(e, c));
        write_body(e, c, o, flags_at);
    }
    e->table = outer;
    e->class_depth--;
}

void iw_enc_exception_1_1(struct iw_enc *e, const struct iw_class *cls, const void *value)
{
    for (const struct iw_class *c = cls; c && !e->err && ib_buf_ok(e->out); c = c->base) {
        size_t flags_at = e->out->n;
        ib_buf_put_u8(e->out, base_flags(e, c));
        iw_out_str(e->out, ib_str(c->id));
        write_body(e, c, value, flags_at);
    }
}
