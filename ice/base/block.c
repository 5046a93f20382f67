/* SPDX-License-Identifier: Apache-2.0 */
/* Reference-counted byte blocks. */
#include <moulin/base/block.h>

#include <stdlib.h>

struct ib_block *ib_block_new(size_t n)
{
    if (n > SIZE_MAX - sizeof(struct ib_block))
        return NULL;
    struct ib_block *b = malloc(sizeof(*b) + n);
    if (!b)
        return NULL;
    b->refs = 1;
    b->n = n;
    return b;
}

struct ib_block *ib_block_ref(struct ib_block *b)
{
    b->refs++;
    return b;
}

void ib_block_unref(struct ib_block *b)
{
    if (b && --b->refs == 0)
        free(b);
}
