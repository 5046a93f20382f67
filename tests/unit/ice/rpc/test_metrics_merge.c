/* SPDX-License-Identifier: Apache-2.0 */
/* What several loops counted, added up: elements by id, maps within them, failures by their names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include <slice/Ice/Metrics.h>

#include "metrics.h"

static struct ib_arena arena;

static struct IceMX_RemoteMetrics *remote(const char *id, int64_t total, int64_t size)
{
    struct IceMX_RemoteMetrics *m = ib_arena_alloc(&arena, sizeof(*m));
    assert_non_null(m);
    m->base.base.object.cls = &IceMX_RemoteMetrics_class;
    m->base.base.id = ib_str(id);
    m->base.base.total = total;
    m->base.base.current = (int32_t)total;
    m->base.size = size;
    return m;
}

static struct IceMX_InvocationMetrics *invocation(const char *id, int64_t total, int32_t retry)
{
    struct IceMX_InvocationMetrics *m = ib_arena_alloc(&arena, sizeof(*m));
    assert_non_null(m);
    m->base.object.cls = &IceMX_InvocationMetrics_class;
    m->base.id = ib_str(id);
    m->base.total = total;
    m->base.current = INT32_MAX;
    m->retry = retry;
    return m;
}

static void elements(void **state)
{
    struct IceMX_InvocationMetrics *a1 = invocation("a", 1, 10), *b1 = invocation("b", 2, 20),
                                   *b2 = invocation("b", 3, 30), *c2 = invocation("c", 4, 40);
    struct IceMX_Metrics *r1[] = {&remote("x", 5, 50)->base.base};
    struct IceMX_Metrics *r2[] = {&remote("w", 6, 60)->base.base, &remote("x", 7, 70)->base.base};
    struct IceMX_Metrics *one[] = {&a1->base, &b1->base}, *two[] = {&b2->base, &c2->base};
    struct IceMX_MetricsMap a = {2, one}, b = {2, two}, none = {0, NULL};
    (void)state;
    b1->remotes = (struct IceMX_MetricsMap){1, r1};
    b2->remotes = (struct IceMX_MetricsMap){2, r2};
    assert_int_equal(ir_metrics_merge(&a, &none, &arena), 0);
    assert_int_equal(a.n, 2);
    assert_int_equal(ir_metrics_merge(&a, &b, &arena), 0);
    assert_int_equal(a.n, 3);
    assert_true(ib_str_is(a.v[0]->id, "a") && ib_str_is(a.v[1]->id, "b") && ib_str_is(a.v[2]->id, "c"));
    assert_int_equal(a.v[0]->total, 1);
    assert_int_equal(a.v[1]->total, 5);
    assert_int_equal(a.v[1]->current, INT32_MAX); /* it stops there */
    assert_int_equal(b1->retry, 50);
    assert_int_equal(c2->retry, 40);
    assert_int_equal(b1->remotes.n, 2);
    assert_true(ib_str_is(b1->remotes.v[0]->id, "w") && ib_str_is(b1->remotes.v[1]->id, "x"));
    assert_int_equal(b1->remotes.v[0]->total, 6);
    assert_int_equal(b1->remotes.v[1]->total, 12);
    assert_int_equal(((const struct IceMX_RemoteMetrics *)(const void *)b1->remotes.v[1])->base.size, 120);
}

static void failures(void **state)
{
    struct IceMX_StringIntDict_entry one[] = {{IB_STR("::Ice::A"), 1}, {IB_STR("::Ice::B"), 2}};
    struct IceMX_StringIntDict_entry two[] = {{IB_STR("::Ice::B"), 3}, {IB_STR("::Ice::C"), 4}};
    struct IceMX_MetricsFailures a = {.failures = {2, one}}, b = {.id = IB_STR("id"), .failures = {2, two}};
    (void)state;
    assert_int_equal(ir_metrics_merge_failures(&a, &b, &arena), 0);
    assert_true(ib_str_is(a.id, "id"));
    assert_int_equal(a.failures.n, 3);
    assert_int_equal(a.failures.v[0].value, 1);
    assert_int_equal(a.failures.v[1].value, 5);
    assert_int_equal(a.failures.v[2].value, 4);
}

static int open_arena(void **state)
{
    (void)state;
    ib_arena_init(&arena, 0);
    return 0;
}

static int close_arena(void **state)
{
    (void)state;
    ib_arena_fini(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(elements, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(failures, open_arena, close_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
