/* SPDX-License-Identifier: Apache-2.0 */
/* What is left of a group or a type after its filter: what it was given only, each once, in the filter's order. */
#include <test.h>

#include "site_filter.h"

#include <slice/Ice/BuiltinSequences.h>

#define S IB_STR
#define SEQ(array) ((struct Ice_StringSeq){sizeof(array) / sizeof((array)[0]), array})

static void expect(const struct Ice_StringSeq *left, size_t n, const size_t *wanted)
{
    struct ib_str ids[] = {S("a"), S("b"), S("c")};
    const struct Ice_StringSeq given = SEQ(ids);
    size_t order[3];
    assert_int_equal(reg_filtered(&given, left, order), n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(order[i], wanted[i]);
}

static void test_order(void **state)
{
    (void)state;
    struct ib_str all[] = {S("c"), S("a"), S("b")}, some[] = {S("b")};
    const struct Ice_StringSeq left = SEQ(all), one = SEQ(some);
    expect(&left, 3, (const size_t[]){2, 0, 1});
    expect(&one, 1, (const size_t[]){1});
}

static void test_invented(void **state)
{
    (void)state;
    struct ib_str ids[] = {S("x"), S("b"), S(""), S("b"), S("ab"), S("a"), S("b")};
    const struct Ice_StringSeq left = SEQ(ids);
    expect(&left, 2, (const size_t[]){1, 0});
}

/* More than there are members; nothing; no answer at all. */
static void test_bounds(void **state)
{
    (void)state;
    struct ib_str many[] = {S("a"), S("b"), S("c"), S("a"), S("b"), S("c"), S("a")};
    const struct Ice_StringSeq left = SEQ(many), none = {0, NULL};
    expect(&left, 3, (const size_t[]){0, 1, 2});
    expect(&none, 0, NULL);
    expect(NULL, 0, NULL);
}

/* Objects are known by their identities; what else the filter says of them does not count. */
static void test_proxies(void **state)
{
    (void)state;
    struct iw_proxy c = {.id = {.name = S("c")}}, a = {.id = {.name = S("a")}}, b = {.id = {.name = S("b")}};
    struct iw_proxy other = {.id = {.name = S("a"), .category = S("x")}}, moved = {.id = {.name = S("b")}, .adapter_id = S("X")};
    struct iw_proxy *given[] = {&c, &a, &b}, *left[] = {NULL, &moved, &other, &c, &moved};
    const struct Ice_ObjectProxySeq all = {3, given}, some = {5, left}, none = {0, NULL};
    struct ib_arena arena;
    size_t order[3];
    ib_arena_init(&arena, 0);
    assert_int_equal(reg_filtered_proxies(&all, &some, &arena, order), 2);
    assert_int_equal(order[0], 2);
    assert_int_equal(order[1], 0);
    assert_int_equal(reg_filtered_proxies(&all, &none, &arena, order), 0);
    assert_int_equal(reg_filtered_proxies(&all, NULL, &arena, order), 0);
    assert_int_equal(reg_filtered_proxies(&none, &some, &arena, order), 0);
    ib_arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_invented),
        cmocka_unit_test(test_bounds), cmocka_unit_test(test_proxies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
