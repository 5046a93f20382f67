/* SPDX-License-Identifier: Apache-2.0 */
/* Class instances and exceptions in encoding 1.0 (ice-protocol 5): references are negative numbers, the instances
   follow the values in groups. */
#include "wire_priv.h"

#include <stdlib.h>

void iw_enc_class_1_0(struct iw_enc *e, struct iw_object *o)
{
    if (!o) {
        ib_buf_put_i32(e->out, 0);
        return;
    }
    uint32_t number = iw_ptrs_number(&e->numbers, o);
    if (number == 0) {
        number = e->numbers.n + 1;
        if (!iw_ptrs_add_number(&e->numbers, o, number)) {
            iw_enc_fail(e, IB_ENOMEM);
            return;
        }
        if (!iw_enc_push(e, &e->pending, &e->n_pending, &e->cap_pending, o))
            return;
    }
    ib_buf_put_i32(e->out, -(int32_t)number);
}

static void write_type_id(struct iw_enc *e, const void *key, const char *id)
{
    uint32_t index = iw_ptrs_number(&e->type_ids, key);
    ib_buf_put_u8(e->out, index != 0);
    if (index != 0) {
        iw_out_size(e->out, index);
        return;
    }
    if (!iw_ptrs_add_number(&e->type_ids, key, e->type_ids.n + 1))
        iw_enc_fail(e, IB_ENOMEM);
    iw_out_str(e->out, ib_str(id));
}

static void write_members(struct iw_enc *e, const struct iw_class *c, const void *value)
{
    size_t at = e->out->n;
    ib_buf_put_i32(e->out, 0);
    iw_enc_required(e, c->fields, c->n_fields, value);
    iw_patch_size(e->out, at);
}

static void write_instance(struct iw_enc *e, const struct iw_object *o)
{
    ib_buf_put_i32(e->out, (int32_t)iw_ptrs_number(&e->numbers, o));
    for (const struct iw_class *c = o->cls; c && !e->err; c = c->base) {
        write_type_id(e, c, c->id);
        write_members(e, c, o);
    }
    write_type_id(e, &iw_object_type, IW_OBJECT_ID);
    ib_buf_put_i32(e->out, 5);
    ib_buf_put_u8(e->out, 0);
}

void iw_enc_pending_1_0(struct iw_enc *e)
{
    while (e->n_pending > 0 && !e->err && ib_buf_ok(e->out)) {
        struct iw_object **group = e->pending;
        size_t n = e->n_pending;
        e->pending = NULL;
        e->n_pending = e->cap_pending = 0;
        iw_out_size(e->out, n);
        for (size_t i = 0; i < n && !e->err && ib_buf_ok(e->out); i++)
            write_instance(e, group[i]);
        free(group);
    }
    ib_buf_put_u8(e->out, 0);
}

void iw_enc_exception_1_0(struct iw_enc *e, const struct iw_class *cls, const void *value)
{
    ib_buf_put_u8(e->out, cls->has_class);
    for (const struct iw_class *c = cls; c && !e->err; c = c->base) {
        iw_out_str(e->out, ib_str(c->id));
        write_members(e, c, value);
    }
    if (cls->has_class)
        iw_enc_pending_1_0(e);
}
