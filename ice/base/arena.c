/* SPDX-License-Identifier: Apache-2.0 */
/* The arena: blocks of growing size, handed out from the newest one. What is handed out is zeroed then: most arenas use
   little of their first block, which is just small enough for malloc's fast path. Strings lie close together: many
   values are little else. */
#include <moulin/base/arena.h>

#include <stdio.h>
#include <stdlib.h>

enum { ALIGN = 16, FIRST_BLOCK = 992, MAX_BLOCK = 256 * 1024 };

struct ib_arena_block {
    struct ib_arena_block *next; /* older */
    size_t used, size;
    _Alignas(ALIGN) uint8_t p[];
};

void ib_arena_init(struct ib_arena *a, size_t limit)
{
    *a = (struct ib_arena){.limit = limit};
}

void ib_arena_fini(struct ib_arena *a)
{
    for (struct ib_arena_block *b = a->head, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    a->head = NULL;
    a->used = 0;
}

void ib_arena_reset(struct ib_arena *a)
{
    struct ib_arena_block *b = a->head;
    while (b && b->next) {
        struct ib_arena_block *next = b->next;
        free(b);
        b = next;
    }
    a->head = b;
    a->used = 0;
    if (b)
        b->used = 0;
}

bool ib_arena_recycle(struct ib_arena *a)
{
    const struct ib_arena_block *b = a->head;
    while (b && b->next)
        b = b->next;
    if (b && b->size > FIRST_BLOCK)
        return false;
    ib_arena_reset(a);
    return true;
}

static struct ib_arena_block *new_block(struct ib_arena *a, size_t n)
{
    size_t size = a->head ? a->head->size + a->head->size / 2 : a->first ? a->first : FIRST_BLOCK;
    if (size > MAX_BLOCK)
        size = MAX_BLOCK;
    if (size < n)
        size = n;
    struct ib_arena_block *b = malloc(sizeof(*b) + size);
    if (!b)
        return NULL;
    b->used = 0;
    b->size = size;
    b->next = a->head;
    a->head = b;
    return b;
}

/* align: a power of two, at most ALIGN. */
static void *take(struct ib_arena *a, size_t n, size_t align)
{
    struct ib_arena_block *b = a->head;
    size_t gap = b ? -b->used & (align - 1) : 0;
    if (n > SIZE_MAX / 2)
        return NULL;
    n = n ? n : 1;
    if (a->limit && (n + gap > a->limit || a->used > a->limit - n - gap))
        return NULL;
    if (!b || b->size - b->used < n + gap) {
        gap = 0;
        b = new_block(a, n);
        if (!b)
            return NULL;
    }
    void *p = b->p + b->used + gap;
    b->used += n + gap;
    a->used += n + gap;
    return p;
}

void *ib_arena_alloc(struct ib_arena *a, size_t n)
{
    void *p = take(a, n, ALIGN);
    if (p)
        memset(p, 0, n);
    return p;
}

void *ib_arena_array(struct ib_arena *a, size_t count, size_t size)
{
    size_t n;
    return __builtin_mul_overflow(count, size, &n) ? NULL : ib_arena_alloc(a, n);
}

struct ib_str ib_arena_str(struct ib_arena *a, struct ib_str s)
{
    if (s.n == 0)
        return IB_STR(""); /* most strings of a definition are */
    if (s.n == SIZE_MAX)
        return (struct ib_str){NULL, 0};
    char *p = take(a, s.n + 1, 1);
    if (!p)
        return (struct ib_str){NULL, 0};
    memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return (struct ib_str){p, s.n};
}

struct ib_str ib_arena_strz(struct ib_arena *a, const char *s)
{
    return ib_arena_str(a, ib_str(s));
}

struct ib_str ib_arena_printf(struct ib_arena *a, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    struct ib_str s = {NULL, 0};
    char *p = n < 0 ? NULL : take(a, (size_t)n + 1, 1);
    if (p && vsnprintf(p, (size_t)n + 1, fmt, again) == n)
        s = (struct ib_str){p, (size_t)n};
    va_end(again);
    return s;
}
