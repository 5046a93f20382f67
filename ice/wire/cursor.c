/* SPDX-License-Identifier: Apache-2.0 */
/* Sticky cursors over bytes and the size encoding (ice-protocol 1, 2). */
#include <moulin/wire/codec.h>

static inline const uint8_t *take(struct iw_in *in, size_t n)
{
    if (in->err)
        return NULL;
    if ((size_t)(in->end - in->p) < n) {
        in->err = IB_EBOUNDS;
        return NULL;
    }
    const uint8_t *p = in->p;
    in->p += n;
    return p;
}

uint8_t iw_in_u8(struct iw_in *in)
{
    const uint8_t *p = take(in, 1);
    return p ? *p : 0;
}

/* Spelled out: compilers make one load of it. */
static inline uint32_t load_32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

int16_t iw_in_i16(struct iw_in *in)
{
    const uint8_t *p = take(in, 2);
    return (int16_t)(p ? p[0] | p[1] << 8 : 0);
}

int32_t iw_in_i32(struct iw_in *in)
{
    const uint8_t *p = take(in, 4);
    return p ? (int32_t)load_32(p) : 0;
}

int64_t iw_in_i64(struct iw_in *in)
{
    const uint8_t *p = take(in, 8);
    return p ? (int64_t)((uint64_t)load_32(p) | (uint64_t)load_32(p + 4) << 32) : 0;
}

size_t iw_in_size(struct iw_in *in)
{
    uint8_t b = iw_in_u8(in);
    if (b < 255)
        return b;
    int32_t n = iw_in_i32(in);
    if (n < 0) {
        in->err = IB_EBOUNDS;
        return 0;
    }
    return (size_t)n;
}

struct ib_span iw_in_bytes(struct iw_in *in, size_t n)
{
    const uint8_t *p = take(in, n);
    return p ? (struct ib_span){p, n} : (struct ib_span){NULL, 0};
}

struct ib_str iw_in_str(struct iw_in *in)
{
    size_t n = iw_in_size(in);
    struct ib_span s = iw_in_bytes(in, n);
    return (struct ib_str){(const char *)s.p, s.n};
}

void iw_out_size(struct ib_buf *out, size_t n)
{
    if (n < 255) {
        ib_buf_put_u8(out, (uint8_t)n);
    } else if (n <= INT32_MAX) {
        ib_buf_put_u8(out, 255);
        ib_buf_put_i32(out, (int32_t)n);
    } else {
        out->failed = true; /* the wire has no larger size */
    }
}

void iw_out_str(struct ib_buf *out, struct ib_str s)
{
    iw_out_size(out, s.n);
    ib_buf_put(out, s.p, s.n);
}

int iw_encaps_peek(struct ib_span s, size_t *size, struct iw_encoding *enc)
{
    struct iw_in in = iw_in(s);
    int32_t n = iw_in_i32(&in);
    if (in.err)
        return in.err;
    if (n < 6)
        return IB_EENCAPS;
    if ((size_t)n > s.n)
        return IB_EBOUNDS;
    *size = (size_t)n;
    *enc = (struct iw_encoding){s.p[4], s.p[5]};
    return IB_OK;
}
