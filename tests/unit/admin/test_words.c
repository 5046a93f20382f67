/* SPDX-License-Identifier: Apache-2.0 */
/* Splitting command lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "words.h"

struct row {
    const char *line;
    int n; /* words, or the error */
    const char *words[4];
};

static const struct row rows[] = {
    {"", 0, {0}},
    {" \t\r\n ", 0, {0}},
    {"object list", 2, {"object", "list"}},
    {"  object   list  ", 2, {"object", "list"}},
    {"add \"a b\" c", 3, {"add", "a b", "c"}},
    {"add 'a \"b' c", 3, {"add", "a \"b", "c"}},
    {"\"quo\\\"te\" \"back\\\\slash\" \"other\\n\"", 3, {"quo\"te", "back\\slash", "other\\n"}},
    {"one\"two three\"four", 1, {"onetwo threefour"}},
    {"\"\"", 1, {""}},
    {"\"open", IB_EINVAL, {0}},
    {"it's", IB_EINVAL, {0}},
    {"a b c d e", IB_ELIMIT, {0}},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ib_arena arena;
        struct ib_str words[4];
        struct ib_err err = {0};
        ib_arena_init(&arena, 0);
        assert_int_equal(adm_words(rows[i].line, &arena, words, 4, &err), rows[i].n);
        for (int k = 0; k < rows[i].n; k++) {
            assert_string_equal(words[k].p, rows[i].words[k]);
            assert_int_equal(words[k].n, strlen(rows[i].words[k]));
        }
        if (rows[i].n < 0)
            assert_true(err.text[0] != 0);
        ib_arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
