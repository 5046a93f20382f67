/* SPDX-License-Identifier: Apache-2.0 */
/* Values that stay encoded: where the members of one stand, and many put together, are what the engine would write. */
#include "test.h"

#include <moulin/wire/codec.h>
#include <slice/IceGrid/Admin.h>

static struct ib_span encoded(const struct iw_type *t, const void *v, struct ib_arena *a)
{
    struct ib_buf b;
    ib_buf_init(&b);
    assert_int_equal(iw_encode_value(t, v, IW_ENCODING_1_1, &b), 0);
    uint8_t *p = ib_arena_alloc(a, b.n);
    memcpy(p, b.p, b.n);
    struct ib_span s = {p, b.n};
    ib_buf_fini(&b);
    return s;
}

static void assert_same(struct ib_span a, struct ib_span b)
{
    assert_int_equal(a.n, b.n);
    if (a.n)
        assert_memory_equal(a.p, b.p, a.n);
}

static void test_members(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (int i = 0; i < 300; i++) {
        struct ib_arena a;
        struct IceGrid_AdapterInfo v, got;
        size_t ends[3];
        ib_arena_init(&a, 0);
        assert_int_equal(iw_random(&IceGrid_AdapterInfo_type, &seed, &a, &v), 0);
        struct ib_span all = encoded(&IceGrid_AdapterInfo_type, &v, &a);
        assert_int_equal(iw_decode_members(&IceGrid_AdapterInfo_type, all, IW_ENCODING_1_1, &a, &got, ends), 0);
        assert_true(iw_equal(&IceGrid_AdapterInfo_type, &v, &got));
        assert_same((struct ib_span){all.p, ends[0]}, encoded(&iw_string, &v.id, &a));
        assert_same((struct ib_span){all.p + ends[0], ends[1] - ends[0]}, encoded(&iw_proxy_type, &v.proxy, &a));
        assert_same((struct ib_span){all.p + ends[1], ends[2] - ends[1]}, encoded(&iw_string, &v.replicaGroupId, &a));
        assert_int_equal(ends[2], all.n);
        for (size_t n = 0; n < all.n; n += 1 + n / 8)
            assert_int_not_equal(iw_decode_members(&IceGrid_AdapterInfo_type, (struct ib_span){all.p, n},
                                                   IW_ENCODING_1_1, &a, &got, ends),
                                 0);
        ib_arena_fini(&a);
    }
}

static void check_join(size_t n, uint64_t seed)
{
    struct ib_arena a;
    ib_arena_init(&a, 0);
    struct IceGrid_ObjectInfoSeq seq = {n, IB_ARENA_ARRAY(&a, n, struct IceGrid_ObjectInfo)};
    struct ib_span *parts = IB_ARENA_ARRAY(&a, n, struct ib_span);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(iw_random(&IceGrid_ObjectInfo_type, &seed, &a, &seq.v[i]), 0);
        parts[i] = encoded(&IceGrid_ObjectInfo_type, &seq.v[i], &a);
    }
    struct ib_block *b = iw_join(parts, n);
    assert_non_null(b);
    assert_same((struct ib_span){b->p, b->n}, encoded(&IceGrid_ObjectInfoSeq_type, &seq, &a));
    ib_block_unref(b);
    ib_arena_fini(&a);
}

static void test_join(void **state)
{
    (void)state;
    static const size_t counts[] = {0, 1, 2, 253, 254, 255, 256, 1000};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        check_join(counts[i], i + 1);
    const struct ib_span huge = {(const uint8_t *)"", (size_t)INT32_MAX};
    assert_null(iw_join(&huge, 1)); /* no message is that large */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_members), cmocka_unit_test(test_join)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
