/* SPDX-License-Identifier: Apache-2.0 */
/* A reference-counted run of bytes: how a message's body moves between connections without a copy.
   Counts are plain integers: a block stays on the loop that made it. */
#ifndef MOULIN_BASE_BLOCK_H
#define MOULIN_BASE_BLOCK_H

#include <moulin/base/span.h>

struct ib_block {
    uint32_t refs;
    size_t n;
    uint8_t p[];
};

struct ib_block *ib_block_new(size_t n); /* refs 1, bytes not initialised; NULL on failure */
struct ib_block *ib_block_ref(struct ib_block *b);
void ib_block_unref(struct ib_block *b); /* NULL is fine */

#endif
