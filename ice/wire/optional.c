/* SPDX-License-Identifier: Apache-2.0 */
/* Optional members and parameters (ice-protocol 4), which only encoding 1.1 has. */
#include "wire_priv.h"

static bool all_fixed(const struct iw_type *t)
{
    return t->elem->fixed && (!t->key || t->key->fixed);
}

enum iw_opt_format iw_opt_format(const struct iw_type *t)
{
    switch (t->kind) {
    case IW_BOOL:
    case IW_BYTE:
        return IW_OPT_F1;
    case IW_SHORT:
        return IW_OPT_F2;
    case IW_INT:
    case IW_FLOAT:
        return IW_OPT_F4;
    case IW_LONG:
    case IW_DOUBLE:
        return IW_OPT_F8;
    case IW_ENUM:
        return IW_OPT_SIZE;
    case IW_STRING:
        return IW_OPT_VSIZE;
    case IW_STRUCT:
        return t->fixed ? IW_OPT_VSIZE : IW_OPT_FSIZE;
    case IW_SEQ:
    case IW_DICT:
        return all_fixed(t) ? IW_OPT_VSIZE : IW_OPT_FSIZE;
    case IW_PROXY:
        return IW_OPT_FSIZE;
    case IW_CLASS:
        break;
    }
    return IW_OPT_CLASS;
}

bool iw_opt_self_sized(const struct iw_type *t)
{
    return t->kind == IW_STRING || (t->kind == IW_SEQ && t->elem->fixed && t->elem->min_wire == 1);
}

/* --- reading --------------------------------------------------------------------------------------------------- */

/* The length in front of VSize and FSize data. */
static size_t read_length(struct iw_in *in, enum iw_opt_format format)
{
    if (format == IW_OPT_VSIZE)
        return iw_in_size(in);
    int32_t n = iw_in_i32(in);
    if (n < 0 && !in->err)
        in->err = IB_EBOUNDS;
    return n < 0 ? 0 : (size_t)n;
}

static void skip_plain(struct iw_in *in, enum iw_opt_format format)
{
    switch (format) {
    case IW_OPT_F1:
    case IW_OPT_F2:
    case IW_OPT_F4:
    case IW_OPT_F8:
        iw_in_bytes(in, (size_t)1 << format);
        break;
    case IW_OPT_SIZE:
        iw_in_size(in);
        break;
    case IW_OPT_VSIZE:
    case IW_OPT_FSIZE: {
        size_t n = read_length(in, format);
        iw_in_bytes(in, n);
        break;
    }
    case IW_OPT_CLASS:
        if (!in->err)
            in->err = IB_EMARSHAL;
        break;
    }
}

static void read_field(struct iw_dec *d, const struct iw_field *f, enum iw_opt_format format, void *base)
{
    if (format != iw_opt_format(f->type)) {
        iw_dec_fail(d, IB_EMARSHAL);
        return;
    }
    const uint8_t *end = NULL;
    if ((format == IW_OPT_VSIZE || format == IW_OPT_FSIZE) && !iw_opt_self_sized(f->type)) {
        size_t n = read_length(&d->in, format);
        if (n > iw_dec_left(d))
            iw_dec_fail(d, IB_EBOUNDS);
        if (d->in.err)
            return;
        end = d->in.p + n;
    }
    iw_dec_value(d, f->type, iw_at(base, f->offset));
    if (end && d->in.p != end)
        iw_dec_fail(d, IB_EMARSHAL);
    *(bool *)iw_at(base, f->has_offset) = true;
}

static int64_t read_tag(struct iw_in *in, uint8_t head)
{
    int64_t tag = head >> 3;
    return tag == IW_OPT_LONG_TAG ? (int64_t)iw_in_size(in) : tag;
}

void iw_dec_optionals(struct iw_dec *d, const struct iw_field *fields, uint32_t n, void *base, bool in_slice)
{
    uint32_t i = 0;
    while (!d->in.err && (in_slice || iw_dec_left(d) > 0)) {
        uint8_t head = iw_in_u8(&d->in);
        if (d->in.err)
            return;
        if (head == IW_OPT_END) {
            if (!in_slice)
                iw_dec_fail(d, IB_EENCAPS);
            return;
        }
        enum iw_opt_format format = head & 7;
        int64_t tag = read_tag(&d->in, head);
        while (i < n && fields[i].tag < tag)
            i++;
        if (i < n && fields[i].tag == tag)
            read_field(d, &fields[i++], format, base);
        else if (format == IW_OPT_CLASS)
            iw_dec_class_1_1(d, NULL, NULL); /* has no length: must be read, and may define instances */
        else
            skip_plain(&d->in, format);
    }
}

void iw_encaps_finish(struct iw_in *in, struct iw_encoding enc)
{
    if (enc.minor == 0) {
        if (!in->err && in->end - in->p > 1) /* one surplus byte is tolerated */
            in->err = IB_EENCAPS;
        return;
    }
    while (!in->err && in->p < in->end) {
        uint8_t head = iw_in_u8(in);
        if (head == IW_OPT_END) {
            in->err = IB_EENCAPS;
            return;
        }
        read_tag(in, head);
        skip_plain(in, head & 7);
    }
}

/* --- writing --------------------------------------------------------------------------------------------------- */

static void write_head(struct ib_buf *out, int32_t tag, enum iw_opt_format format)
{
    if (tag < IW_OPT_LONG_TAG) {
        ib_buf_put_u8(out, (uint8_t)(tag << 3 | (int)format));
    } else {
        ib_buf_put_u8(out, (uint8_t)(IW_OPT_LONG_TAG << 3 | (int)format));
        iw_out_size(out, (size_t)tag);
    }
}

static size_t size_length(size_t n)
{
    return n < 255 ? 1 : 5;
}

/* Bytes that a VSize value which is not self-sized takes. */
static size_t fixed_length(const struct iw_type *t, const void *v)
{
    if (t->kind == IW_STRUCT)
        return t->min_wire;
    const struct iw_seq *s = v;
    size_t each = (size_t)t->elem->min_wire + (t->key ? t->key->min_wire : 0);
    return size_length(s->n) + s->n * each;
}

bool iw_enc_optionals(struct iw_enc *e, const struct iw_field *fields, uint32_t n, const void *base)
{
    bool any = false;
    for (uint32_t i = 0; i < n && !e->err; i++) {
        const struct iw_field *f = &fields[i];
        if (f->tag < 0 || !iw_field_set(f, base))
            continue;
        any = true;
        enum iw_opt_format format = iw_opt_format(f->type);
        const void *v = iw_cat(base, f->offset);
        write_head(e->out, f->tag, format);
        size_t at = e->out->n;
        if (format == IW_OPT_FSIZE)
            ib_buf_put_i32(e->out, 0);
        else if (format == IW_OPT_VSIZE && !iw_opt_self_sized(f->type))
            iw_out_size(e->out, fixed_length(f->type, v));
        iw_enc_value(e, f->type, v);
        if (format == IW_OPT_FSIZE && ib_buf_ok(e->out))
            ib_buf_set_i32(e->out, at, (int32_t)(e->out->n - at - 4));
    }
    return any;
}
