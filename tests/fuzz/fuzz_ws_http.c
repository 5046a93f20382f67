/* SPDX-License-Identifier: Apache-2.0 */
/* The heads of WebSocket's upgrade. Input: one byte (request or response), then the head. */
#include "fuzz.h"

#include "ws_http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    struct ib_span s = {data + 1, size - 1};
    size_t n = ic_ws_head_length(s, 0);
    FUZZ_CHECK(n <= s.n);
    for (size_t cut = 0, seen = 0; cut <= s.n && (!n || cut <= n); seen = cut++) { /* in pieces: the same place */
        size_t m = ic_ws_head_length((struct ib_span){s.p, cut}, seen);
        FUZZ_CHECK(m == (n && n <= cut ? n : 0));
    }
    s.n = n ? n : s.n;
    struct ib_buf out;
    struct ib_err err;
    ib_buf_init(&out);
    if (data[0] & 1) {
        int rc = ic_ws_check_response(s, "AAAAAAAAAAAAAAAAAAAAAA==", &err);
        FUZZ_CHECK(rc == IB_OK || rc == IB_EWEBSOCKET);
    } else if (ic_ws_check_request(s, &out, &err) == IB_OK) {
        FUZZ_CHECK(ic_ws_head_length(ib_buf_span(&out), 0) == out.n);
    }
    ib_buf_fini(&out);
    return 0;
}
