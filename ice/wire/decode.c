/* SPDX-License-Identifier: Apache-2.0 */
/* Decoding of everything but class instances. Counts are checked against the bytes left before memory is taken
   (ice-protocol 1); memory comes from the caller's arena, whose limit bounds the whole value. */
#include "wire_priv.h"

#include <stdlib.h>

int iw_arena_error(const struct ib_arena *a, size_t n)
{
    return a->limit && (n > a->limit || a->used > a->limit - n - 16 || n + 16 > a->limit) ? IB_EMEMLIMIT : IB_ENOMEM;
}

void iw_dec_init(struct iw_dec *d, struct ib_span body, struct iw_encoding enc, struct ib_arena *arena)
{
    *d = (struct iw_dec){.in = iw_in(body), .enc = enc, .limits = IW_LIMITS_DEFAULT, .arena = arena, .total = body.n};
}

void iw_dec_fini(struct iw_dec *d)
{
    free(d->instances);
    free(d->refs);
    free(d->type_ids);
}

void *iw_dec_alloc(struct iw_dec *d, size_t count, size_t size)
{
    if (d->in.err)
        return NULL;
    void *p = ib_arena_array(d->arena, count, size);
    if (!p)
        iw_dec_fail(d, iw_arena_error(d->arena, count > SIZE_MAX / 2 / size ? SIZE_MAX / 2 : count * size));
    return p;
}

void *iw_dec_push(struct iw_dec *d, void **table, size_t *n, size_t *cap, size_t size)
{
    if (d->in.err)
        return NULL;
    if (*n == *cap) {
        size_t more = *cap ? *cap * 2 : 16;
        if (d->arena->limit && more * size > d->arena->limit + 1024) {
            iw_dec_fail(d, IB_EMEMLIMIT);
            return NULL;
        }
        void *p = realloc(*table, more * size);
        if (!p) {
            iw_dec_fail(d, IB_ENOMEM);
            return NULL;
        }
        *table = p;
        *cap = more;
    }
    return iw_at(*table, (*n)++ * size);
}

size_t iw_dec_count(struct iw_dec *d, size_t min_wire)
{
    size_t n = iw_in_size(&d->in);
    /* Elements without bytes would let a five-byte message fill memory: no real type has them, one byte is asked. */
    if (n > iw_dec_left(d) / (min_wire ? min_wire : 1))
        iw_dec_fail(d, IB_EBOUNDS);
    return d->in.err ? 0 : n;
}

static void read_enum(struct iw_dec *d, const struct iw_type *t, void *out)
{
    int64_t v;
    if (d->enc.minor > 0)
        v = (int64_t)iw_in_size(&d->in);
    else if (t->enum_max < 127)
        v = (int8_t)iw_in_u8(&d->in);
    else if (t->enum_max < 32767)
        v = iw_in_i16(&d->in);
    else
        v = iw_in_i32(&d->in);
    if (v < 0 || v > t->enum_max) {
        iw_dec_fail(d, IB_EMARSHAL);
        v = 0;
    }
    int32_t e = (int32_t)v;
    memcpy(out, &e, sizeof(e));
}

static void read_seq(struct iw_dec *d, const struct iw_type *t, struct iw_seq *out)
{
    size_t n = iw_dec_count(d, t->elem->min_wire);
    if (n == 0)
        return;
    void *v = iw_dec_alloc(d, n, t->elem->size);
    if (!v)
        return;
    if (t->elem->kind == IW_BYTE) {
        struct ib_span s = iw_in_bytes(&d->in, n);
        if (s.n)
            memcpy(v, s.p, n);
    } else {
        for (size_t i = 0; i < n && !d->in.err; i++)
            iw_dec_value(d, t->elem, iw_at(v, i * t->elem->size));
    }
    *out = (struct iw_seq){n, v};
}

static void read_dict(struct iw_dec *d, const struct iw_type *t, struct iw_seq *out)
{
    size_t n = iw_dec_count(d, (size_t)t->key->min_wire + t->elem->min_wire);
    if (n == 0)
        return;
    void *v = iw_dec_alloc(d, n, t->entry_size);
    if (!v)
        return;
    for (size_t i = 0; i < n && !d->in.err; i++) {
        void *entry = iw_at(v, i * t->entry_size);
        iw_dec_value(d, t->key, entry);
        iw_dec_value(d, t->elem, iw_at(entry, t->value_offset));
    }
    *out = (struct iw_seq){n, v};
}

static void read_float(struct iw_dec *d, void *out)
{
    uint32_t bits = (uint32_t)iw_in_i32(&d->in);
    memcpy(out, &bits, sizeof(bits));
}

static void read_composite(struct iw_dec *d, const struct iw_type *t, void *out)
{
    if (++d->nesting > d->limits.nesting)
        iw_dec_fail(d, IB_EMARSHAL);
    else if (t->kind == IW_STRUCT)
        iw_dec_required(d, t->fields, t->n_fields, out);
    else if (t->kind == IW_SEQ)
        read_seq(d, t, out);
    else
        read_dict(d, t, out);
    d->nesting--;
}

static void read_class(struct iw_dec *d, const struct iw_type *t, void *out)
{
    if (d->enc.minor == 0)
        iw_dec_class_1_0(d, t->cls, out);
    else
        iw_dec_class_1_1(d, t->cls, out);
}

void iw_dec_value(struct iw_dec *d, const struct iw_type *t, void *out)
{
    switch (t->kind) {
    case IW_BOOL:
        *(bool *)out = iw_in_u8(&d->in) != 0;
        break;
    case IW_BYTE:
        *(uint8_t *)out = iw_in_u8(&d->in);
        break;
    case IW_SHORT:
        *(int16_t *)out = iw_in_i16(&d->in);
        break;
    case IW_INT:
        *(int32_t *)out = iw_in_i32(&d->in);
        break;
    case IW_LONG:
    case IW_DOUBLE: {
        int64_t bits = iw_in_i64(&d->in);
        memcpy(out, &bits, sizeof(bits));
        break;
    }
    case IW_FLOAT:
        read_float(d, out);
        break;
    case IW_STRING:
        *(struct ib_str *)out = iw_in_str_copy(&d->in, d->arena);
        break;
    case IW_ENUM:
        read_enum(d, t, out);
        break;
    case IW_STRUCT:
    case IW_SEQ:
    case IW_DICT:
        read_composite(d, t, out);
        break;
    case IW_PROXY: {
        struct iw_proxy *p = iw_read_proxy(&d->in, d->enc, d->arena);
        memcpy(out, &p, sizeof(p));
        break;
    }
    case IW_CLASS:
        read_class(d, t, out);
        break;
    }
}

void iw_dec_required(struct iw_dec *d, const struct iw_field *fields, uint32_t n, void *base)
{
    for (uint32_t i = 0; i < n && fields[i].tag < 0 && !d->in.err; i++)
        iw_dec_value(d, fields[i].type, iw_at(base, fields[i].offset));
}

int iw_decode_value(const struct iw_type *t, struct ib_span *in, struct iw_encoding enc, struct ib_arena *arena,
                    void *out)
{
    if (t->has_class)
        return IB_EINVAL;
    if (!iw_encoding_supported(enc))
        return IB_EENCODING;
    struct iw_dec d;
    iw_dec_init(&d, *in, enc, arena);
    memset(out, 0, t->size);
    iw_dec_value(&d, t, out);
    if (!d.in.err)
        *in = (struct ib_span){d.in.p, iw_dec_left(&d)};
    iw_dec_fini(&d);
    return d.in.err;
}

int iw_decode_members(const struct iw_type *t, struct ib_span in, struct iw_encoding enc, struct ib_arena *arena,
                      void *out, size_t *ends)
{
    if (t->has_class || t->kind != IW_STRUCT)
        return IB_EINVAL;
    if (!iw_encoding_supported(enc))
        return IB_EENCODING;
    struct iw_dec d;
    iw_dec_init(&d, in, enc, arena);
    memset(out, 0, t->size);
    for (uint32_t i = 0; i < t->n_fields && !d.in.err; i++) {
        iw_dec_value(&d, t->fields[i].type, iw_at(out, t->fields[i].offset));
        ends[i] = (size_t)(d.in.p - in.p);
    }
    iw_dec_fini(&d);
    return d.in.err;
}
