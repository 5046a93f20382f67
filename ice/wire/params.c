/* SPDX-License-Identifier: Apache-2.0 */
/* Whole encapsulations: parameters, results and exceptions (ice-protocol 2). */
#include "wire_priv.h"

/* Whether a 1.0 encapsulation of these members ends with pending instances: optional members are not in it. */
static bool sends_classes_1_0(const struct iw_type *t)
{
    for (uint32_t i = 0; i < t->n_fields && t->fields[i].tag < 0; i++) {
        if (t->fields[i].type->has_class)
            return true;
    }
    return false;
}

/* Opens the encapsulation at the start of in. */
static int open_encaps(struct iw_dec *d, struct ib_span in, const struct iw_registry *reg, struct iw_limits limits,
                       struct ib_arena *arena)
{
    size_t size;
    struct iw_encoding enc;
    int rc = iw_encaps_peek(in, &size, &enc);
    if (rc)
        return rc;
    if (!iw_encoding_supported(enc))
        return IB_EENCODING;
    iw_dec_init(d, (struct ib_span){in.p + 6, size - 6}, enc, arena);
    d->reg = reg;
    d->limits = limits;
    if (d->limits.class_depth > IW_GRAPH_DEPTH)
        d->limits.class_depth = IW_GRAPH_DEPTH; /* deeper ones could not be copied or sent on */
    if (d->limits.nesting > IW_GRAPH_DEPTH)
        d->limits.nesting = IW_GRAPH_DEPTH;
    return IB_OK;
}

static void read_params(struct iw_dec *d, const struct iw_type *t, void *out)
{
    if (t->n_fields == 0) {
        /* 1.1 ignores whatever there is, 1.0 does not (ice-protocol 2). */
        if (d->enc.minor == 0 && iw_dec_left(d) > 0)
            iw_dec_fail(d, IB_EENCAPS);
        return;
    }
    iw_dec_required(d, t->fields, t->n_fields, out);
    if (d->enc.minor > 0)
        iw_dec_optionals(d, t->fields, t->n_fields, out, false);
    else if (sends_classes_1_0(t))
        iw_dec_pending_1_0(d);
    if (d->enc.minor == 0)
        iw_encaps_finish(&d->in, d->enc);
    iw_dec_resolve(d);
}

int iw_decode_params(const struct iw_type *t, struct ib_span in, const struct iw_registry *reg, struct iw_limits limits,
                     struct ib_arena *arena, void **out)
{
    struct iw_dec d;
    int rc = open_encaps(&d, in, reg, limits, arena);
    if (rc)
        return rc;
    void *v = iw_dec_alloc(&d, 1, t->size ? t->size : 1);
    if (v)
        read_params(&d, t, v);
    iw_dec_fini(&d);
    if (!d.in.err)
        *out = v;
    return d.in.err;
}

int iw_decode_exception(struct ib_span in, const struct iw_registry *reg, struct iw_limits limits,
                        struct ib_arena *arena, const struct iw_class **cls, void **value, struct ib_str *unknown_id)
{
    struct iw_dec d;
    int rc = open_encaps(&d, in, reg, limits, arena);
    if (rc)
        return rc;
    const struct iw_class *c = NULL;
    void *v = NULL;
    struct ib_str unknown = {NULL, 0};
    if (d.enc.minor == 0)
        iw_dec_exception_1_0(&d, &c, &v, &unknown);
    else
        iw_dec_exception_1_1(&d, &c, &v, &unknown);
    if (!d.in.err && d.enc.minor > 0)
        iw_dec_optionals(&d, NULL, 0, NULL, false); /* nothing known may follow, unknown optionals may */
    else
        iw_encaps_finish(&d.in, d.enc);
    iw_dec_resolve(&d);
    iw_dec_fini(&d);
    if (d.in.err == IB_ENOFACTORY && unknown_id && unknown.p) {
        *unknown_id = ib_arena_str(arena, unknown);
        if (!unknown_id->p)
            return iw_arena_error(arena, unknown.n);
    }
    if (!d.in.err) {
        *cls = c;
        *value = v;
    }
    return d.in.err;
}

static void put_header(struct ib_buf *out, struct iw_encoding enc)
{
    ib_buf_put_i32(out, 0);
    ib_buf_put_u8(out, enc.major);
    ib_buf_put_u8(out, enc.minor);
}

int iw_encode_params(const struct iw_type *t, const void *v, struct iw_encoding enc, bool sliced, struct ib_buf *out)
{
    if (!iw_encoding_supported(enc))
        return IB_EENCODING;
    size_t start = out->n;
    struct iw_enc e = {.out = out, .enc = enc, .sliced = sliced};
    put_header(out, enc);
    iw_enc_required(&e, t->fields, t->n_fields, v);
    if (enc.minor > 0)
        iw_enc_optionals(&e, t->fields, t->n_fields, v);
    else if (sends_classes_1_0(t))
        iw_enc_pending_1_0(&e);
    iw_patch_size(out, start);
    iw_enc_fini(&e);
    return iw_out_result(out, start, e.err);
}

int iw_encode_exception(const struct iw_class *cls, const void *value, struct iw_encoding enc, bool sliced,
                        struct ib_buf *out)
{
    if (!iw_encoding_supported(enc))
        return IB_EENCODING;
    size_t start = out->n;
    struct iw_enc e = {.out = out, .enc = enc, .sliced = sliced};
    put_header(out, enc);
    if (enc.minor == 0)
        iw_enc_exception_1_0(&e, cls, value);
    else
        iw_enc_exception_1_1(&e, cls, value);
    iw_patch_size(out, start);
    iw_enc_fini(&e);
    return iw_out_result(out, start, e.err);
}
