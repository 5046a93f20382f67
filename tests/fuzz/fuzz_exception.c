/* SPDX-License-Identifier: Apache-2.0 */
/* User exceptions. Input: one byte of encoding and registry, then the body. */
#include "fuzz.h"

#include <slice/registry.h>
#include <vec/registry.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    const struct iw_registry *reg = data[0] & 2 ? &slice_registry : &vec_registry;
    struct ib_buf in, out;
    ib_buf_init(&in);
    ib_buf_init(&out);
    fuzz_encaps(&in, data[0] & 1, data + 1, size - 1);
    struct ib_arena a;
    ib_arena_init(&a, FUZZ_MEMORY);
    const struct iw_class *cls = NULL, *again = NULL;
    void *v = NULL;
    struct ib_str unknown = {NULL, 0};
    int rc = iw_decode_exception(ib_buf_span(&in), reg, IW_LIMITS_DEFAULT, &a, &cls, &v, &unknown);
    if (rc == IB_OK) {
        FUZZ_CHECK(cls->is_exception);
        /* Cycles, which only 1.0 may carry, do not come back in 1.1. */
        if (iw_encode_exception(cls, v, IW_ENCODING_1_1, true, &out) == IB_OK &&
            iw_decode_exception(ib_buf_span(&out), reg, IW_LIMITS_DEFAULT, &a, &again, &v, NULL) == IB_OK)
            FUZZ_CHECK(again == cls);
    }
    ib_arena_fini(&a);
    ib_buf_fini(&in);
    ib_buf_fini(&out);
    return 0;
}
