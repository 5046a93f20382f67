/* SPDX-License-Identifier: Apache-2.0 */
/* A growable byte buffer. Errors stick: after a failed growth every append does nothing and ib_buf_ok() is false,
   so writers check once at the end. */
#ifndef MOULIN_BASE_BUF_H
#define MOULIN_BASE_BUF_H

#include <moulin/base/err.h>
#include <moulin/base/span.h>

struct ib_buf {
    uint8_t *p; /* owns */
    size_t n, cap;
    size_t limit; /* 0 = none */
    bool failed;
};

void ib_buf_init(struct ib_buf *b);
void ib_buf_fini(struct ib_buf *b);
void ib_buf_clear(struct ib_buf *b); /* n = 0, failed = false; memory is kept */
bool ib_buf_ok(const struct ib_buf *b);

uint8_t *ib_buf_grow_slow(struct ib_buf *b, size_t n);

/* Room for n bytes at the end, already counted; NULL on failure. */
static inline uint8_t *ib_buf_grow(struct ib_buf *b, size_t n)
{
    if (n > b->cap - b->n || b->failed || (b->limit && b->limit < b->cap))
        return ib_buf_grow_slow(b, n);
    uint8_t *p = b->p + b->n;
    b->n += n;
    return p;
}

static inline void ib_buf_put(struct ib_buf *b, const void *p, size_t n)
{
    uint8_t *to = n ? ib_buf_grow(b, n) : NULL;
    if (to)
        memcpy(to, p, n);
}

static inline void ib_buf_put_u8(struct ib_buf *b, uint8_t v)
{
    uint8_t *to = ib_buf_grow(b, 1);
    if (to)
        *to = v;
}

void ib_buf_put_i16(struct ib_buf *b, int16_t v); /* little-endian, as all of Ice */
void ib_buf_put_i32(struct ib_buf *b, int32_t v);
void ib_buf_put_i64(struct ib_buf *b, int64_t v);
void ib_buf_set_i32(struct ib_buf *b, size_t at, int32_t v); /* patch four bytes written before */
void ib_buf_puts(struct ib_buf *b, const char *s); /* text without its NUL */
void ib_buf_printf(struct ib_buf *b, const char *fmt, ...) IB_PRINTF(2, 3);
const char *ib_buf_cstr(struct ib_buf *b); /* NUL-terminates (not counted); "" on failure */

static inline struct ib_span ib_buf_span(const struct ib_buf *b)
{
    return (struct ib_span){b->p, b->n};
}

#endif
