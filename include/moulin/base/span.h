/* SPDX-License-Identifier: Apache-2.0 */
/* Spans of bytes and strings. A struct ib_str made by the decoder, an arena or IB_STR always has a NUL at p[n]
   (not counted in n), so that p can be handed to libc; it may hold further NULs inside. */
#ifndef MOULIN_BASE_SPAN_H
#define MOULIN_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct ib_span {
    const uint8_t *p;
    size_t n;
};

struct ib_str {
    const char *p; /* NULL only when n is 0: treat as empty */
    size_t n;
};

#define IB_STR(literal) ((struct ib_str){("" literal), sizeof(literal) - 1})

static inline struct ib_str ib_str(const char *s)
{
    return (struct ib_str){s ? s : "", s ? strlen(s) : 0};
}

static inline const char *ib_cstr(struct ib_str s)
{
    return s.p ? s.p : "";
}

static inline bool ib_str_eq(struct ib_str a, struct ib_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool ib_str_is(struct ib_str a, const char *s)
{
    return ib_str_eq(a, ib_str(s));
}

/* Byte order, shorter first when one is a prefix of the other: the order Ice's sorted maps have. */
int ib_str_cmp(struct ib_str a, struct ib_str b);

#endif
