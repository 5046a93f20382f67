/* SPDX-License-Identifier: Apache-2.0 */
/* Arenas, buffers, blocks, secrets. */
#include "test.h"

#include <moulin/base/arena.h>
#include <moulin/base/block.h>
#include <moulin/base/buf.h>
#include <moulin/base/secret.h>

#include <stdlib.h>

static void arena_zeroes_and_aligns(void **state)
{
    (void)state;
    struct ib_arena a;
    ib_arena_init(&a, 0);
    for (int round = 0; round < 2; round++) {
        for (size_t n = 0; n < 3000; n += 7) {
            uint8_t *p = ib_arena_alloc(&a, n);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % 16, 0);
            for (size_t i = 0; i < n; i++)
                assert_int_equal(p[i], 0);
            memset(p, 0xa5, n);
        }
        ib_arena_reset(&a);
        assert_int_equal(a.used, 0);
    }
    ib_arena_fini(&a);
    assert_non_null(ib_arena_alloc(&a, 5)); /* usable again */
    ib_arena_fini(&a);
}

static void arena_limit(void **state)
{
    (void)state;
    struct ib_arena a;
    ib_arena_init(&a, 64);
    assert_non_null(ib_arena_alloc(&a, 48));
    assert_null(ib_arena_alloc(&a, 17));
    assert_non_null(ib_arena_alloc(&a, 16));
    assert_null(ib_arena_alloc(&a, 0));
    assert_null(ib_arena_alloc(&a, SIZE_MAX));
    assert_null(ib_arena_array(&a, SIZE_MAX / 2, 4));
    assert_null(ib_arena_str(&a, IB_STR("x")).p);
    ib_arena_reset(&a);
    assert_non_null(ib_arena_alloc(&a, 64));
    ib_arena_fini(&a);
}

static void arena_strings(void **state)
{
    (void)state;
    struct ib_arena a;
    ib_arena_init(&a, 0);
    struct ib_str s = ib_arena_str(&a, (struct ib_str){"a\0b", 3});
    assert_int_equal(s.n, 3);
    assert_memory_equal(s.p, "a\0b", 4);
    assert_string_equal(ib_arena_strz(&a, NULL).p, "");
    const size_t used = a.used;
    assert_string_equal(ib_arena_str(&a, IB_STR("")).p, "");
    assert_int_equal(a.used, used);
    for (size_t n = 1; n < 40; n++) { /* close together, and what follows is aligned again */
        struct ib_str t = ib_arena_str(&a, (struct ib_str){"0123456789012345678901234567890123456789", n});
        assert_int_equal(strlen(t.p), n);
        void *p = ib_arena_alloc(&a, 1);
        assert_int_equal((uintptr_t)p % 16, 0);
        assert_true((const char *)p > t.p + n || (const char *)p < t.p);
    }
    const char *first = ib_arena_str(&a, IB_STR("x")).p, *second = ib_arena_str(&a, IB_STR("y")).p;
    assert_ptr_equal(second, first + 2);
    s = ib_arena_printf(&a, "%d-%s", 42, "x");
    assert_int_equal(s.n, 4);
    assert_string_equal(s.p, "42-x");
    ib_arena_fini(&a);
}

static void buf_appends(void **state)
{
    (void)state;
    struct ib_buf b;
    ib_buf_init(&b);
    assert_string_equal(ib_buf_cstr(&b), "");
    ib_buf_put_u8(&b, 0xfe);
    ib_buf_put_i16(&b, -2);
    ib_buf_put_i32(&b, 0x01020304);
    ib_buf_put_i64(&b, INT64_MIN);
    static const uint8_t want[] = {0xfe, 0xfe, 0xff, 4, 3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0x80};
    assert_int_equal(b.n, sizeof(want));
    assert_memory_equal(b.p, want, sizeof(want));
    ib_buf_set_i32(&b, 3, -1);
    assert_int_equal(b.p[3], 0xff);
    ib_buf_set_i32(&b, 12, 7); /* would end behind the last byte: ignored */
    assert_int_equal(b.p[14], 0x80);
    ib_buf_clear(&b);
    for (int i = 0; i < 1000; i++)
        ib_buf_printf(&b, "%03d", i);
    assert_int_equal(b.n, 3000);
    assert_memory_equal(ib_buf_cstr(&b) + 2997, "999", 4);
    ib_buf_fini(&b);
}

static void buf_failure_sticks(void **state)
{
    (void)state;
    struct ib_buf b;
    ib_buf_init(&b);
    b.limit = 4;
    ib_buf_puts(&b, "abc");
    assert_true(ib_buf_ok(&b));
    ib_buf_puts(&b, "de");
    assert_false(ib_buf_ok(&b));
    ib_buf_puts(&b, "d");
    assert_int_equal(b.n, 3);
    assert_string_equal(ib_buf_cstr(&b), "");
    ib_buf_clear(&b);
    assert_true(ib_buf_ok(&b));
    ib_buf_puts(&b, "abcd");
    assert_int_equal(b.n, 4);
    assert_null(ib_buf_grow(&b, SIZE_MAX));
    ib_buf_fini(&b);
}

static void blocks_count(void **state)
{
    (void)state;
    struct ib_block *b = ib_block_new(10);
    assert_non_null(b);
    memset(b->p, 1, b->n);
    assert_ptr_equal(ib_block_ref(b), b);
    ib_block_unref(b);
    assert_int_equal(b->p[9], 1);
    ib_block_unref(b);
    ib_block_unref(NULL);
    assert_null(ib_block_new(SIZE_MAX));
}

static void secrets(void **state)
{
    (void)state;
    struct ib_secret *s = ib_secret_new(IB_STR("hunter2"));
    assert_true(ib_str_is(ib_secret_str(s), "hunter2"));
    assert_int_equal(ib_secret_str(s).p[7], 0);
    ib_secret_free(s);
    ib_secret_free(NULL);
    char p[4] = "abc";
    ib_wipe(p, sizeof(p));
    assert_memory_equal(p, "\0\0\0\0", 4);
    assert_true(ib_equal_ct("abc", "abd", 2));
    assert_false(ib_equal_ct("abc", "abd", 3));
    assert_true(ib_equal_ct(NULL, NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_zeroes_and_aligns),
        cmocka_unit_test(arena_limit),
        cmocka_unit_test(arena_strings),
        cmocka_unit_test(buf_appends),
        cmocka_unit_test(buf_failure_sticks),
        cmocka_unit_test(blocks_count),
        cmocka_unit_test(secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
