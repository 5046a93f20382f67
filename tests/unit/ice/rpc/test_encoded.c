/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that were encoded beforehand are, byte for byte, those that the engine writes: any proxy, in both encodings,
   with and without context and facet, copied and borrowed from a block. */
#include "fixture.h"

#include <slice/Ice/Locator_rpc.h>

enum how { TYPED, ENCODED, BORROWED };

struct fake {
    struct ir_servant servant;
    enum how how;
    struct iw_proxy *proxy;
    struct ib_buf bytes;
};

static void find_object(void *self, struct ir_request *rq, const struct Ice_Locator_findObjectById_in *in)
{
    struct fake *k = self;
    (void)in;
    if (k->how == TYPED) {
        Ice_Locator_findObjectById_reply(rq, &(struct Ice_Locator_findObjectById_out){.ret = k->proxy});
        return;
    }
    struct ib_span results = ib_buf_span(&k->bytes);
    struct ib_block *block = k->how == BORROWED ? ib_block_new(results.n) : NULL;
    if (block) {
        memcpy(block->p, results.p, results.n);
        results.p = block->p;
    }
    ir_request_reply_encoded(rq, &Ice_Locator_findObjectById_op, results, block);
    ib_block_unref(block);
}

static const struct Ice_Locator_servant vtable = {.findObjectById = find_object};

static void put_request(struct ib_buf *b, struct iw_encoding enc, const char *facet, bool context)
{
    static const uint8_t head[] = {'I', 'c', 'e', 'P', 1, 0, 1, 0, IC_REQUEST, 0};
    ib_buf_put(b, head, sizeof(head));
    ib_buf_put_i32(b, 0);
    ib_buf_put_i32(b, 7);
    iw_out_str(b, IB_STR("locator"));
    iw_out_str(b, IB_STR(""));
    iw_out_size(b, *facet != 0);
    if (*facet)
        iw_out_str(b, ib_str(facet));
    iw_out_str(b, IB_STR("findObjectById"));
    ib_buf_put_u8(b, IW_IDEMPOTENT);
    iw_out_size(b, context);
    if (context) {
        iw_out_str(b, IB_STR("key"));
        iw_out_str(b, IB_STR("value"));
    }
    const struct Ice_Locator_findObjectById_in in = {.id = {IB_STR("x"), IB_STR("")}};
    assert_int_equal(iw_encode_params(&Ice_Locator_findObjectById_in_type, &in, enc, false, b), 0);
    ib_buf_set_i32(b, 10, (int32_t)b->n);
}

static struct ib_span ask(struct raw *r, struct fake *k, enum how how, const struct ib_buf *request)
{
    k->how = how;
    raw_send(r, ib_buf_span(request));
    return raw_frame(r);
}

static void compare(struct raw *r, struct fake *k, struct iw_encoding enc, const char *facet, bool context)
{
    struct ib_buf request;
    ib_buf_init(&request);
    put_request(&request, enc, facet, context);
    struct ib_span want = ask(r, k, TYPED, &request), got = ask(r, k, ENCODED, &request);
    struct ib_span borrowed = ask(r, k, BORROWED, &request);
    assert_true(want.n > 25 && want.p[18] == IR_OK);
    vec_assert_same("encoded", got, want);
    vec_assert_same("borrowed", borrowed, want);
    vec_free(want);
    vec_free(got);
    vec_free(borrowed);
    ib_buf_fini(&request);
}

static void run(struct fixture *f, struct fake *k, uint64_t seed)
{
    struct raw r;
    struct ib_arena arena;
    raw_open(&r, f);
    ib_buf_init(&k->bytes);
    for (int i = 0; i < 150; i++) {
        ib_arena_init(&arena, 0);
        assert_int_equal(iw_random(&iw_proxy_type, &seed, &arena, &k->proxy), 0);
        ib_buf_clear(&k->bytes);
        assert_int_equal(iw_proxy_encode(k->proxy, IW_ENCODING_1_1, &k->bytes), 0);
        compare(&r, k, IW_ENCODING_1_1, i % 2 ? "" : "part", i % 3 == 0);
        compare(&r, k, IW_ENCODING_1_0, i % 2 ? "part" : "", i % 3 == 1);
        ib_arena_fini(&arena);
    }
    ib_buf_fini(&k->bytes);
    raw_close(&r);
}

/* With Ice.Trace.Protocol, too: it reads what is sent. */
static void test_same_bytes(void **state)
{
    (void)state;
    for (int traced = 0; traced < 2; traced++) {
        struct fixture f;
        struct fake k = {.servant = {.iface = &Ice_Locator_iface, .vtable = &vtable}};
        const struct iw_identity id = {IB_STR("locator"), IB_STR("")};
        k.servant.self = &k;
        fixture_init(&f, traced ? LINES("Ice.Trace.Protocol=1", "Ice.LogFile=/dev/null") : LINES("Ice.Warn.Dispatch=0"),
                     LINES("Ice.Warn.Dispatch=0"));
        assert_int_equal(ir_adapter_add(f.adapter, &id, "", &k.servant), 0);
        assert_int_equal(ir_adapter_add(f.adapter, &id, "part", &k.servant), 0);
        run(&f, &k, 1 + (uint64_t)traced);
        fixture_fini(&f);
    }
}

/* A oneway is ended without an answer. */
static void test_oneway(void **state)
{
    (void)state;
    struct fixture f;
    struct raw r;
    struct fake k = {.servant = {.iface = &Ice_Locator_iface, .vtable = &vtable}, .how = ENCODED};
    const struct iw_identity id = {IB_STR("locator"), IB_STR("")};
    struct ib_buf request;
    k.servant.self = &k;
    ib_buf_init(&k.bytes);
    ib_buf_init(&request);
    assert_int_equal(iw_proxy_encode(NULL, IW_ENCODING_1_1, &k.bytes), 0);
    fixture_init(&f, LINES("Ice.Warn.Dispatch=0"), LINES("Ice.Warn.Dispatch=0"));
    assert_int_equal(ir_adapter_add(f.adapter, &id, "", &k.servant), 0);
    raw_open(&r, &f);
    put_request(&request, IW_ENCODING_1_1, "", false);
    ib_buf_set_i32(&request, 14, 0);
    raw_send(&r, ib_buf_span(&request));
    ib_buf_set_i32(&request, 14, 9);
    struct ib_span got = ask(&r, &k, ENCODED, &request);
    assert_int_equal(got.p[14], 9); /* the first answer is the second request's */
    assert_int_equal(got.n, 14 + 5 + 6 + 2);
    vec_free(got);
    raw_close(&r);
    fixture_fini(&f);
    ib_buf_fini(&request);
    ib_buf_fini(&k.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_bytes), cmocka_unit_test(test_oneway)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
