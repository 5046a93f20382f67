/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of names, sorted for look-ups. */
#include "test.h"

#include "names.h"

#include <slice/IceGrid/Descriptor.h>

#define S(text) IB_STR(text)

static void the_first_place_counts(void **state)
{
    (void)state;
    struct ib_str list[] = {S("b"), S("a"), S("c"), S("a"), S(""), S("b")};
    struct Ice_StringSeq seq = {6, list};
    struct ib_arena arena;
    ib_arena_init(&arena, 0);
    struct reg_names names = reg_names_of(&arena, &seq);
    assert_non_null(names.v);
    assert_int_equal(names.n, 6);
    assert_int_equal(reg_names_find(&names, S("a")), 1);
    assert_int_equal(reg_names_find(&names, S("b")), 0);
    assert_int_equal(reg_names_find(&names, S("c")), 2);
    assert_int_equal(reg_names_find(&names, S("")), 4);
    assert_true(reg_names_find(&names, S("d")) == SIZE_MAX);
    assert_true(reg_names_find(&names, S("aa")) == SIZE_MAX);
    ib_arena_fini(&arena);
}

static void no_names_and_no_memory(void **state)
{
    (void)state;
    struct ib_str list[] = {S("a"), S("b")};
    struct Ice_StringSeq seq = {2, list}, none = {0, NULL};
    struct ib_arena arena;
    ib_arena_init(&arena, 8);
    assert_null(reg_names_of(&arena, &seq).v);
    struct reg_names empty = reg_names_of(&arena, &none);
    assert_true(reg_names_find(&empty, S("a")) == SIZE_MAX);
    ib_arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_place_counts),
        cmocka_unit_test(no_names_and_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
