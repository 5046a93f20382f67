/* SPDX-License-Identifier: Apache-2.0 */
/* Bare proxies. Input: one byte of encoding, then the proxy. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct iw_encoding enc = {1, data[0] & 1};
    struct ib_span in = {data + 1, size - 1};
    struct ib_arena a;
    ib_arena_init(&a, FUZZ_MEMORY);
    struct ib_buf out;
    ib_buf_init(&out);
    struct iw_proxy *p = NULL, *again = NULL;
    if (iw_proxy_decode(&in, enc, &a, &p) == IB_OK) {
        FUZZ_CHECK(iw_proxy_encode(p, enc, &out) == IB_OK);
        struct ib_span written = ib_buf_span(&out);
        FUZZ_CHECK(iw_proxy_decode(&written, enc, &a, &again) == IB_OK);
        FUZZ_CHECK(written.n == 0 && iw_proxy_equal(p, again) && iw_proxy_equal(p, iw_proxy_copy(p, &a)));
        iw_print(&iw_proxy_type, &p, &out);
    }
    ib_arena_fini(&a);
    ib_buf_fini(&out);
    return 0;
}
