/* SPDX-License-Identifier: Apache-2.0 */
/* Encoding of everything but class instances. Failures stick in the encoder or in the buffer; iw_out_result turns
   either into a code and takes back what was written. */
#include "wire_priv.h"

#include <stdlib.h>

void iw_enc_fini(struct iw_enc *e)
{
    iw_ptrs_fini(&e->numbers);
    iw_ptrs_fini(&e->type_ids);
    free(e->pending);
}

bool iw_enc_push(struct iw_enc *e, struct iw_object ***list, size_t *n, size_t *cap, struct iw_object *o)
{
    if (*n == *cap) {
        size_t more = *cap ? *cap * 2 : 16;
        void *p = realloc(*list, more * sizeof(**list));
        if (!p) {
            iw_enc_fail(e, IB_ENOMEM);
            return false;
        }
        *list = p;
        *cap = more;
    }
    (*list)[(*n)++] = o;
    return true;
}

void iw_patch_size(struct ib_buf *out, size_t at)
{
    if (!ib_buf_ok(out))
        return;
    if (out->n - at > INT32_MAX)
        out->failed = true;
    else
        ib_buf_set_i32(out, at, (int32_t)(out->n - at));
}

int iw_out_result(struct ib_buf *out, size_t start, int err)
{
    if (!err && !ib_buf_ok(out))
        err = out->limit || out->n > INT32_MAX / 2 ? IB_EMEMLIMIT : IB_ENOMEM;
    if (err)
        out->n = start;
    return err;
}

static void write_enum(struct iw_enc *e, const struct iw_type *t, const void *v)
{
    int32_t x;
    memcpy(&x, v, sizeof(x));
    if (x < 0 || x > t->enum_max)
        iw_enc_fail(e, IB_EMARSHAL);
    else if (e->enc.minor > 0)
        iw_out_size(e->out, (size_t)x);
    else if (t->enum_max < 127)
        ib_buf_put_u8(e->out, (uint8_t)x);
    else if (t->enum_max < 32767)
        ib_buf_put_i16(e->out, (int16_t)x);
    else
        ib_buf_put_i32(e->out, x);
}

static void write_seq(struct iw_enc *e, const struct iw_type *t, const struct iw_seq *s)
{
    iw_out_size(e->out, s->n);
    if (t->elem->kind == IW_BYTE) {
        ib_buf_put(e->out, s->v, s->n);
        return;
    }
    for (size_t i = 0; i < s->n && !e->err && ib_buf_ok(e->out); i++)
        iw_enc_value(e, t->elem, iw_cat(s->v, i * t->elem->size));
}

static void write_dict(struct iw_enc *e, const struct iw_type *t, const struct iw_seq *s)
{
    iw_out_size(e->out, s->n);
    for (size_t i = 0; i < s->n && !e->err && ib_buf_ok(e->out); i++) {
        const void *entry = iw_cat(s->v, i * t->entry_size);
        iw_enc_value(e, t->key, entry);
        iw_enc_value(e, t->elem, iw_cat(entry, t->value_offset));
    }
}

static void write_composite(struct iw_enc *e, const struct iw_type *t, const void *v)
{
    if (++e->nesting > IW_GRAPH_DEPTH)
        iw_enc_fail(e, IB_EMARSHAL);
    else if (t->kind == IW_STRUCT)
        iw_enc_required(e, t->fields, t->n_fields, v);
    else if (t->kind == IW_SEQ)
        write_seq(e, t, v);
    else
        write_dict(e, t, v);
    e->nesting--;
}

static void write_class(struct iw_enc *e, const struct iw_type *t, const void *v)
{
    struct iw_object *o = iw_get_object(v);
    if (o && (!o->cls || (t->cls && !iw_class_is_a(o->cls, t->cls))))
        iw_enc_fail(e, IB_EINVAL);
    else if (e->enc.minor == 0)
        iw_enc_class_1_0(e, o);
    else
        iw_enc_class_1_1(e, o);
}

static void write_bits(struct iw_enc *e, const struct iw_type *t, const void *v)
{
    uint32_t w = 0;
    uint64_t d = 0;
    if (t->size == sizeof(w)) {
        memcpy(&w, v, sizeof(w));
        ib_buf_put_i32(e->out, (int32_t)w);
    } else {
        memcpy(&d, v, sizeof(d));
        ib_buf_put_i64(e->out, (int64_t)d);
    }
}

void iw_enc_value(struct iw_enc *e, const struct iw_type *t, const void *v)
{
    switch (t->kind) {
    case IW_BOOL:
        ib_buf_put_u8(e->out, *(const bool *)v);
        break;
    case IW_BYTE:
        ib_buf_put_u8(e->out, *(const uint8_t *)v);
        break;
    case IW_SHORT:
        ib_buf_put_i16(e->out, *(const int16_t *)v);
        break;
    case IW_INT:
    case IW_LONG:
    case IW_FLOAT:
    case IW_DOUBLE:
        write_bits(e, t, v);
        break;
    case IW_STRING:
        iw_out_str(e->out, *(const struct ib_str *)v);
        break;
    case IW_ENUM:
        write_enum(e, t, v);
        break;
    case IW_STRUCT:
    case IW_SEQ:
    case IW_DICT:
        write_composite(e, t, v);
        break;
    case IW_PROXY:
        iw_write_proxy(e->out, iw_get_proxy(v), e->enc);
        break;
    case IW_CLASS:
        write_class(e, t, v);
        break;
    }
}

void iw_enc_required(struct iw_enc *e, const struct iw_field *fields, uint32_t n, const void *base)
{
    for (uint32_t i = 0; i < n && fields[i].tag < 0 && !e->err; i++)
        iw_enc_value(e, fields[i].type, iw_cat(base, fields[i].offset));
}

int iw_encode_value(const struct iw_type *t, const void *v, struct iw_encoding enc, struct ib_buf *out)
{
    if (t->has_class)
        return IB_EINVAL;
    if (!iw_encoding_supported(enc))
        return IB_EENCODING;
    size_t start = out->n;
    struct iw_enc e = {.out = out, .enc = enc};
    iw_enc_value(&e, t, v);
    iw_enc_fini(&e);
    return iw_out_result(out, start, e.err);
}

struct ib_block *iw_join(const struct ib_span *values, size_t n)
{
    size_t total = 5; /* the longest count */
    for (size_t i = 0; i < n && total <= INT32_MAX; i++)
        total += values[i].n;
    if (n > INT32_MAX || total > INT32_MAX)
        return NULL;
    struct ib_block *b = ib_block_new(total);
    if (!b)
        return NULL;
    struct ib_buf count = {.p = b->p, .cap = b->n, .limit = b->n}; /* the block has room for it */
    iw_out_size(&count, n);
    uint8_t *p = b->p + count.n;
    for (size_t i = 0; i < n; i++) {
        memcpy(p, values[i].p, values[i].n);
        p += values[i].n;
    }
    b->n = (size_t)(p - b->p);
    return b;
}
