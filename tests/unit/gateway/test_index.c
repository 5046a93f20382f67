/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions by their tokens, many of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "crew.h"
#include "router.h"

enum { N = 1000 };

static void sessions_by_token(void **state)
{
    struct gw_crew crew = {.n = 3, .key = 42};
    struct gw_router r = {.crew = &crew, .worker = 2};
    struct gw_index *x = gw_index_new();
    struct gw_session *s = calloc(N, sizeof(*s));
    (void)state;
    assert_non_null(x);
    assert_non_null(s);
    assert_null(gw_index_find(x, IB_STR("ABCDEFGHIJKLMNOPQRST")));
    assert_null(gw_index_find(x, IB_STR("")));
    for (int i = 0; i < N; i++) {
        s[i].router = &r;
        gw_index_add(x, &s[i]);
        assert_int_equal(strlen(s[i].token), GW_TOKEN_LEN);
        assert_int_equal(gw_crew_owner(&crew, ib_str(s[i].token)), r.worker);
    }
    for (int i = 0; i < N; i++) {
        assert_ptr_equal(gw_index_find(x, ib_str(s[i].token)), &s[i]);
        assert_null(gw_index_find(x, (struct ib_str){s[i].token, GW_TOKEN_LEN - 1}));
    }
    for (int i = 0; i < N; i += 2) {
        char token[GW_TOKEN_LEN + 1];
        memcpy(token, s[i].token, sizeof(token));
        gw_index_remove(x, &s[i]);
        gw_index_remove(x, &s[i]); /* harmless */
        assert_null(gw_index_find(x, ib_str(token)));
        assert_ptr_equal(gw_index_find(x, ib_str(s[i + 1].token)), &s[i + 1]);
    }
    gw_index_free(x);
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sessions_by_token)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
