/* SPDX-License-Identifier: Apache-2.0 */
/* The growable buffer: doubles its memory, remembers its first failure. */
#include <moulin/base/buf.h>

#include <stdio.h>
#include <stdlib.h>

enum { FIRST_CAP = 64 };

void ib_buf_init(struct ib_buf *b)
{
    *b = (struct ib_buf){0};
}

void ib_buf_fini(struct ib_buf *b)
{
    free(b->p);
    *b = (struct ib_buf){.limit = b->limit};
}

void ib_buf_clear(struct ib_buf *b)
{
    b->n = 0;
    b->failed = false;
}

bool ib_buf_ok(const struct ib_buf *b)
{
    return !b->failed;
}

/* Memory for n more bytes behind the counted ones. */
static bool reserve(struct ib_buf *b, size_t n)
{
    if (b->failed)
        return false;
    size_t need;
    if (__builtin_add_overflow(b->n, n, &need) || (b->limit && need > b->limit)) {
        b->failed = true;
        return false;
    }
    if (need <= b->cap && b->p)
        return true;
    size_t cap = b->cap ? b->cap : FIRST_CAP;
    while (cap < need && cap <= SIZE_MAX / 2)
        cap *= 2;
    if (cap < need)
        cap = need;
    if (b->limit && cap > b->limit)
        cap = b->limit;
    uint8_t *p = realloc(b->p, cap);
    if (!p) {
        b->failed = true;
        return false;
    }
    b->p = p;
    b->cap = cap;
    return true;
}

uint8_t *ib_buf_grow_slow(struct ib_buf *b, size_t n)
{
    if (!reserve(b, n))
        return NULL;
    uint8_t *p = b->p + b->n;
    b->n += n;
    return p;
}

void ib_buf_put_i16(struct ib_buf *b, int16_t v)
{
    uint8_t *to = ib_buf_grow(b, 2);
    if (!to)
        return;
    to[0] = (uint8_t)v;
    to[1] = (uint8_t)((uint16_t)v >> 8);
}

/* Spelled out: compilers make one store of it. */
static inline void store_32(uint8_t *to, uint32_t v)
{
    to[0] = (uint8_t)v;
    to[1] = (uint8_t)(v >> 8);
    to[2] = (uint8_t)(v >> 16);
    to[3] = (uint8_t)(v >> 24);
}

void ib_buf_put_i32(struct ib_buf *b, int32_t v)
{
    uint8_t *to = ib_buf_grow(b, 4);
    if (to)
        store_32(to, (uint32_t)v);
}

void ib_buf_put_i64(struct ib_buf *b, int64_t v)
{
    uint8_t *to = ib_buf_grow(b, 8);
    if (!to)
        return;
    store_32(to, (uint32_t)v);
    store_32(to + 4, (uint32_t)((uint64_t)v >> 32));
}

void ib_buf_set_i32(struct ib_buf *b, size_t at, int32_t v)
{
    if (b->failed || b->n < 4 || at > b->n - 4)
        return;
    store_32(b->p + at, (uint32_t)v);
}

void ib_buf_puts(struct ib_buf *b, const char *s)
{
    ib_buf_put(b, s, strlen(s));
}

void ib_buf_printf(struct ib_buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        b->failed = true;
    else if (n > 0 && reserve(b, (size_t)n + 1) && vsnprintf((char *)b->p + b->n, (size_t)n + 1, fmt, again) == n)
        b->n += (size_t)n;
    va_end(again);
}

const char *ib_buf_cstr(struct ib_buf *b)
{
    if (!reserve(b, 1))
        return "";
    b->p[b->n] = 0;
    return (const char *)b->p;
}
