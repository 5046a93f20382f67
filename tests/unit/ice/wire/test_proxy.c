/* SPDX-License-Identifier: Apache-2.0 */
/* Proxies and endpoints on the wire, field by field (ice-protocol 3). */
#include "test.h"
#include "vectors.h"

#include <moulin/wire/codec.h>

#include <stdlib.h>

struct fx {
    struct ib_arena arena;
    struct iw_proxy *p;
    size_t rest;
};

static int decode(struct fx *fx, int minor, const char *hex)
{
    struct ib_span bytes = vec_hex(hex), in = bytes;
    ib_arena_init(&fx->arena, 0);
    fx->p = NULL;
    int rc = iw_proxy_decode(&in, (struct iw_encoding){1, (uint8_t)minor}, &fx->arena, &fx->p);
    fx->rest = in.n;
    vec_free(bytes);
    return rc;
}

static void done(struct fx *fx)
{
    ib_arena_fini(&fx->arena);
}

static void assert_encodes(const struct iw_proxy *p, int minor, const char *hex)
{
    struct ib_buf out;
    ib_buf_init(&out);
    assert_int_equal(iw_proxy_encode(p, (struct iw_encoding){1, (uint8_t)minor}, &out), IB_OK);
    struct ib_span want = vec_hex(hex);
    vec_assert_same("proxy", ib_buf_span(&out), want);
    vec_free(want);
    ib_buf_fini(&out);
}

#define HEAD "036F626A00 00 00 00 01000101 " /* obj, twoway, 1.1 */
#define HOST "09 3132372e302e302e31 " /* "127.0.0.1" */

static void direct(void **state)
{
    (void)state;
    struct fx fx;
    assert_int_equal(decode(&fx, 1, HEAD "01 0100 19000000 0101 " HOST "10270000 60EA0000 00 AB"), IB_OK);
    assert_int_equal(fx.rest, 1); /* what follows is not ours */
    assert_true(ib_str_is(fx.p->id.name, "obj"));
    assert_true(ib_str_is(fx.p->id.category, ""));
    assert_false(fx.p->has_facet);
    assert_int_equal(fx.p->mode, IW_TWOWAY);
    assert_int_equal(fx.p->encoding.minor, 1);
    assert_int_equal(fx.p->n_endpoints, 1);
    const struct iw_endpoint *ep = &fx.p->endpoints[0];
    assert_int_equal(ep->type, IW_EP_TCP);
    assert_true(ib_str_is(ep->host, "127.0.0.1"));
    assert_int_equal(ep->port, 10000);
    assert_int_equal(ep->timeout, 60000);
    assert_false(ep->compress);
    assert_encodes(fx.p, 0, "036F626A00 00 00 00 01 0100 19000000 0100 " HOST "10270000 60EA0000 00");
    done(&fx);
}

static void from_1_0(void **state)
{
    (void)state;
    struct fx fx;
    assert_int_equal(decode(&fx, 0, "036F626A00 01 016606 01 00 0141"), IB_EPROXY); /* mode 6 */
    done(&fx);
    assert_int_equal(decode(&fx, 0, "036F626A00 01 0166 01 01 00 0141"), IB_OK);
    assert_true(fx.p->has_facet && ib_str_is(fx.p->facet, "f"));
    assert_int_equal(fx.p->mode, IW_ONEWAY);
    assert_true(fx.p->secure);
    assert_int_equal(fx.p->encoding.major, 1);
    assert_int_equal(fx.p->encoding.minor, 0);
    assert_true(ib_str_is(fx.p->adapter_id, "A"));
    done(&fx);
}

static void endpoint_of_the_other_encoding(void **state)
{
    (void)state;
    struct fx fx;
    /* udp has four more bytes in 1.0: what counts is the endpoint's own encapsulation */
    assert_int_equal(decode(&fx, 1, HEAD "01 0300 19000000 0100 " HOST "14270000 01000100 01"), IB_OK);
    assert_true(fx.p->endpoints[0].compress);
    assert_int_equal(fx.p->endpoints[0].port, 10004);
    assert_encodes(fx.p, 1, HEAD "01 0300 15000000 0101 " HOST "14270000 01");
    done(&fx);
    /* an encoding we do not know: kept as it is */
    assert_int_equal(decode(&fx, 1, HEAD "01 0100 08000000 0207 ABCD"), IB_OK);
    assert_true(fx.p->endpoints[0].opaque);
    assert_encodes(fx.p, 0, "036F626A00 00 00 00 01 0100 08000000 0207 ABCD");
    done(&fx);
}

static void opaque(void **state)
{
    (void)state;
    struct fx fx;
    assert_int_equal(decode(&fx, 1, HEAD "02 6300 0A000000 0100 01020304 F9FF 06000000 0101"), IB_OK);
    assert_int_equal(fx.p->n_endpoints, 2);
    assert_true(fx.p->endpoints[0].opaque && fx.p->endpoints[1].opaque);
    assert_int_equal(fx.p->endpoints[1].type, -7);
    assert_int_equal(fx.p->endpoints[1].raw.n, 0);
    assert_encodes(fx.p, 1, HEAD "02 6300 0A000000 0100 01020304 F9FF 06000000 0101");
    done(&fx);
}

static void null_and_odd_identities(void **state)
{
    (void)state;
    struct fx fx;
    assert_int_equal(decode(&fx, 1, "0000"), IB_OK);
    assert_null(fx.p);
    assert_encodes(NULL, 1, "0000");
    done(&fx);
    /* without a name, with a category: not allowed as text, but it arrives (3.1) */
    assert_int_equal(decode(&fx, 1, "00 0163 00 00 00 01000101 00 00"), IB_OK);
    assert_non_null(fx.p);
    assert_true(ib_str_is(fx.p->id.category, "c"));
    done(&fx);
}

static void faults(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        int want;
    } cases[] = {
        {"036F626A00 02 0166 0167 00 00 01000101 00 0141", IB_EPROXY}, /* two facets */
        {"036F626A00 00 05 00 01000101 00 0141", IB_EPROXY},
        {HEAD "01 0100 05000000 0101 ", IB_EENCAPS},
        {HEAD "01 0100 FFFFFFFF 0101 ", IB_EENCAPS},
        {HEAD "01 0100 09000000 0101 09 3132", IB_EBOUNDS}, /* host ends behind the endpoint */
        {HEAD "01 0100 1A000000 0101 " HOST "10270000 60EA0000 00 FF", IB_EENCAPS}, /* surplus in 1.1 */
        {HEAD "01 0100 1B000000 0101 " HOST "10270000 60EA0000 00 0801", IB_OK}, /* an optional in 1.1 */
        {HEAD "01 0100 1A000000 0100 " HOST "10270000 60EA0000 00 FF", IB_OK}, /* one surplus byte in 1.0 */
        {HEAD "01 0100 1B000000 0100 " HOST "10270000 60EA0000 00 FFFF", IB_EENCAPS},
        {HEAD "FF FFFFFF7F 0100 06000000 0101", IB_EBOUNDS}, /* more endpoints than bytes */
        {HEAD "00", IB_EBOUNDS},
        {"", IB_EBOUNDS},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fx fx;
        int rc = decode(&fx, 1, cases[i].hex);
        if (rc != cases[i].want)
            fail_msg("case %zu: got '%s', want '%s'", i, ib_err_text(rc), ib_err_text(cases[i].want));
        done(&fx);
    }
    struct ib_span in = {(const uint8_t *)"\0\0", 2};
    struct iw_proxy *p;
    struct ib_arena a;
    ib_arena_init(&a, 0);
    assert_int_equal(iw_proxy_decode(&in, (struct iw_encoding){1, 2}, &a, &p), IB_EENCODING);
}

static void comparison(void **state)
{
    (void)state;
    struct iw_endpoint e = {.type = IW_EP_TCP, .host = IB_STR("h"), .port = 1, .timeout = -1};
    struct iw_proxy p = {.id = {IB_STR("n"), IB_STR("c")}, .n_endpoints = 1, .endpoints = &e};
    struct ib_arena a;
    ib_arena_init(&a, 0);
    struct iw_proxy *q = iw_proxy_copy(&p, &a);
    assert_true(iw_proxy_equal(&p, q));
    q->endpoints[0].timeout = 5;
    assert_false(iw_proxy_equal(&p, q));
    q->endpoints[0].timeout = -1;
    q->has_facet = true;
    assert_false(iw_proxy_equal(&p, q));
    assert_false(iw_proxy_equal(&p, NULL));
    assert_true(iw_proxy_equal(NULL, NULL));
    assert_null(iw_proxy_copy(NULL, &a));
    ib_arena_fini(&a);
    struct iw_identity x = {IB_STR("a"), IB_STR("z")}, y = {IB_STR("b"), IB_STR("a")};
    assert_true(iw_identity_cmp(&x, &y) < 0); /* the name counts first */
    y.name = IB_STR("a");
    assert_true(iw_identity_cmp(&x, &y) > 0);
    assert_false(iw_identity_equal(&x, &y));
    for (size_t limit = 16; limit < 400; limit += 16) { /* a copy that finds no room is none */
        ib_arena_init(&a, limit);
        q = iw_proxy_copy(&p, &a);
        assert_true(!q || iw_proxy_equal(&p, q));
        ib_arena_fini(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(direct),
        cmocka_unit_test(from_1_0),
        cmocka_unit_test(endpoint_of_the_other_encoding),
        cmocka_unit_test(opaque),
        cmocka_unit_test(null_and_odd_identities),
        cmocka_unit_test(faults),
        cmocka_unit_test(comparison),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
