/* SPDX-License-Identifier: Apache-2.0 */
/* Class graphs of the simplest classes, where mutations reach the format's corners soonest. Input: one byte of
   operation number, one of encoding and limits, then the body. */
#include "fuzz.h"

#include <vec/Shapes.h>
#include <vec/registry.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const struct iw_iface *iface = data[0] & 0x80 ? &Shapes_Optionals_iface : &Shapes_Classes_iface;
    const struct iw_op *op = iface->ops[(data[0] & 0x7f) % iface->n_ops];
    struct iw_limits limits = IW_LIMITS_DEFAULT;
    limits.accept_cycles = data[1] & 2;
    struct ib_buf in;
    ib_buf_init(&in);
    fuzz_encaps(&in, data[1] & 1, data + 2, size - 2);
    fuzz_params(op->in, ib_buf_span(&in), &vec_registry, limits);
    ib_buf_fini(&in);
    return 0;
}
