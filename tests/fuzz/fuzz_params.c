/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters and results of every operation we know. Input: the operation's name up to a NUL (names outlive numbers),
   one byte of direction and encoding, then the body; tried with every interface that has such an operation. */
#include "fuzz.h"

#include <slice/registry.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size > 0 ? memchr(data, 0, size) : NULL;
    if (!end || end + 1 == data + size)
        return 0;
    struct ib_str name = {(const char *)data, (size_t)(end - data)};
    uint8_t flags = end[1];
    struct ib_buf in;
    ib_buf_init(&in);
    fuzz_encaps(&in, flags >> 1 & 1, end + 2, size - name.n - 2);
    for (const struct iw_iface *const *i = slice_ifaces; *i; i++) {
        const struct iw_op *op = iw_iface_find(*i, name);
        if (op)
            fuzz_params(flags & 1 ? op->out : op->in, ib_buf_span(&in), &slice_registry, IW_LIMITS_DEFAULT);
    }
    ib_buf_fini(&in);
    return 0;
}
