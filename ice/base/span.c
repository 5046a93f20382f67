/* SPDX-License-Identifier: Apache-2.0 */
/* Comparison of strings. */
#include <moulin/base/span.h>

int ib_str_cmp(struct ib_str a, struct ib_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    if (c != 0)
        return c;
    return (a.n > b.n) - (a.n < b.n);
}
