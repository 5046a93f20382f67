/* SPDX-License-Identifier: Apache-2.0 */
/* Address rules. Input: a rule, a newline, a host. What compiles is matched, with every port and way of matching, and
   what a rule matches in all spellings it matches in some. */
#include "fuzz.h"

#include "address_rule.h"

#include <string.h>

static struct ib_str copy(const uint8_t *p, size_t n)
{
    char *text = malloc(n + 1); /* reading past it is seen */
    FUZZ_CHECK(text);
    if (n) {
        memcpy(text, p, n);
    }
    text[n] = '\0';
    return (struct ib_str){text, n};
}

static void match(const struct gw_address_rule *r, struct ib_str host)
{
    static const int ports[] = {-1, 0, 10, 65535};
    struct gw_host h;
    if (!gw_host_read(host, &h)) {
        return;
    }
    for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
        bool all = gw_address_rule_matches(r, &h, ports[i], GW_MATCH_ALL_SPELLINGS);
        bool any = gw_address_rule_matches(r, &h, ports[i], GW_MATCH_ANY_SPELLING);
        FUZZ_CHECK(!all || any);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
    size_t n = end ? (size_t)(end - data) : size;
    if (n == 0) { /* there are no empty rules in a property */
        return 0;
    }
    struct ib_str rule = copy(data, n), host = end ? copy(end + 1, size - n - 1) : copy(NULL, 0);
    struct gw_address_rule r;
    struct ib_arena arena;
    struct ib_err err;
    ib_arena_init(&arena, 0);
    int rc = gw_address_rule_parse(rule, &arena, &r, &err);
    FUZZ_CHECK(rc == 0 || rc == IB_ECONFIG);
    if (rc == 0) {
        match(&r, host);
    }
    ib_arena_fini(&arena);
    free((void *)(uintptr_t)rule.p);
    free((void *)(uintptr_t)host.p);
    return 0;
}
