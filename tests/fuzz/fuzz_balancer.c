/* SPDX-License-Identifier: Apache-2.0 */
/* PROXY headers. Input: how many bytes come at a time, then those of the connection. However they are cut, the verdict,
   the addresses and the place where the header ends are the same. */
#include "fuzz.h"

#include "proxy_protocol.h"
#include "transport.h"

#include <string.h>

struct outcome {
    int rc;
    size_t used;
    struct ic_proxy_ends ends;
};

static struct outcome run(const uint8_t *p, size_t n, size_t step)
{
    struct ic_proxy_header h = {0};
    struct outcome o = {.rc = IC_TP_READABLE};
    struct ib_err err;
    while (o.rc == IC_TP_READABLE && o.used < n) {
        size_t k = n - o.used < step ? n - o.used : step, used = 0;
        uint8_t *exact = malloc(k); /* reading past it is seen */
        FUZZ_CHECK(exact);
        memcpy(exact, p + o.used, k);
        o.rc = ic_proxy_header_feed(&h, exact, k, &used, &o.ends, &err);
        free(exact);
        FUZZ_CHECK(used <= k && (o.rc != IC_TP_READABLE || used == k));
        o.used += used;
    }
    FUZZ_CHECK(o.rc == 0 || o.rc == IC_TP_READABLE || o.rc == IB_EBALANCER);
    FUZZ_CHECK(o.used <= IC_PROXY_V2_MAX);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    struct outcome all = run(data + 1, size - 1, size), cut = run(data + 1, size - 1, data[0] ? data[0] : 1);
    FUZZ_CHECK(all.rc == cut.rc && all.used == cut.used);
    FUZZ_CHECK(memcmp(&all.ends, &cut.ends, sizeof all.ends) == 0);
    FUZZ_CHECK(!all.ends.told || (all.rc == 0 && all.ends.source.family && all.ends.destination.family));
    return 0;
}
