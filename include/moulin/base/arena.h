/* SPDX-License-Identifier: Apache-2.0 */
/* A bump allocator: many small values that die together (one request, one descriptor). */
#ifndef MOULIN_BASE_ARENA_H
#define MOULIN_BASE_ARENA_H

#include <moulin/base/err.h>
#include <moulin/base/span.h>

struct ib_arena_block;

struct ib_arena {
    struct ib_arena_block *head; /* owns */
    size_t used; /* bytes handed out since the last reset */
    size_t limit; /* 0 = none; allocations beyond it fail */
    size_t first; /* bytes of the first block; 0 = what suits a request. May be set after ib_arena_init. */
};

void ib_arena_init(struct ib_arena *a, size_t limit);
void ib_arena_fini(struct ib_arena *a); /* frees everything; the arena can be used again */
void ib_arena_reset(struct ib_arena *a); /* forgets everything, keeps the first block */
bool ib_arena_recycle(struct ib_arena *a); /* the same; false, and nothing is done, when that block is a large one */

/* Memory is zeroed and aligned for any type; NULL when memory or the limit is exhausted. n may be 0. */
void *ib_arena_alloc(struct ib_arena *a, size_t n);
void *ib_arena_array(struct ib_arena *a, size_t count, size_t size); /* checks the product */
/* Copies with NUL, but for "", which takes no memory; p == NULL on failure. */
struct ib_str ib_arena_str(struct ib_arena *a, struct ib_str s);
struct ib_str ib_arena_strz(struct ib_arena *a, const char *s);
struct ib_str ib_arena_printf(struct ib_arena *a, const char *fmt, ...) IB_PRINTF(2, 3);

#define IB_ARENA_NEW(a, type) ((type *)ib_arena_alloc((a), sizeof(type)))
#define IB_ARENA_ARRAY(a, count, type) ((type *)ib_arena_array((a), (count), sizeof(type)))

#endif
