/* SPDX-License-Identifier: Apache-2.0 */
/* The routing table and the filter sets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include <moulin/wire/codec.h>

#include "filter.h"
#include "routing_table.h"

static struct iw_proxy proxy(const char *name, const char *adapter)
{
    return (struct iw_proxy){.id = {.name = ib_str(name), .category = IB_STR("c")},
                             .has_facet = true,
                             .facet = IB_STR("f"),
                             .mode = IW_ONEWAY,
                             .secure = true,
                             .adapter_id = ib_str(adapter),
                             .protocol = {1, 0},
                             .encoding = IW_ENCODING_1_1};
}

static bool add(struct gw_routes *t, const char *name, const char *adapter)
{
    const struct iw_proxy p = proxy(name, adapter);
    bool known;
    assert_int_equal(gw_routes_add(t, &p, &known), 0);
    return known;
}

static const struct iw_proxy *find(struct gw_routes *t, const char *name)
{
    const struct iw_identity id = {.name = ib_str(name), .category = IB_STR("c")};
    return gw_routes_find(t, &id);
}

static void expect_evicted(struct gw_routes *t, const char *name)
{
    struct gw_route *gone = gw_routes_evict(t);
    if (!name) {
        assert_null(gone);
        return;
    }
    assert_non_null(gone);
    assert_string_equal(gw_route_proxy(gone)->id.name.p, name);
    gw_route_free(gone);
}

static void routes_are_normalised(void **state)
{
    struct gw_routes t;
    (void)state;
    gw_routes_init(&t, 10);
    assert_false(add(&t, "a", "one"));
    const struct iw_proxy *p = find(&t, "a");
    assert_non_null(p);
    assert_true(p->mode == IW_TWOWAY && !p->secure && !p->has_facet && p->facet.n == 0);
    assert_string_equal(p->adapter_id.p, "one");
    assert_true(add(&t, "a", "two")); /* the old one stays */
    assert_string_equal(find(&t, "a")->adapter_id.p, "one");
    assert_null(find(&t, "b"));
    gw_routes_fini(&t);
}

/* 6.2: touching by use and by adding again; the oldest goes first. */
static void least_recently_used(void **state)
{
    struct gw_routes t;
    (void)state;
    gw_routes_init(&t, 3);
    (void)add(&t, "a", "");
    (void)add(&t, "b", "");
    (void)add(&t, "c", "");
    expect_evicted(&t, NULL);
    assert_non_null(find(&t, "a"));
    assert_true(add(&t, "b", ""));
    (void)add(&t, "d", "");
    expect_evicted(&t, "c");
    expect_evicted(&t, NULL);
    (void)add(&t, "e", "");
    expect_evicted(&t, "a");
    assert_int_equal(gw_routes_count(&t), 3);
    gw_routes_fini(&t);
}

static void identities_do_not_collide(void **state)
{
    struct gw_routes t;
    bool known;
    (void)state;
    gw_routes_init(&t, 100);
    const struct iw_proxy one = {.id = {.name = IB_STR("ab"), .category = IB_STR("c")}};
    const struct iw_proxy two = {.id = {.name = IB_STR("a"), .category = IB_STR("bc")}};
    assert_int_equal(gw_routes_add(&t, &one, &known), 0);
    assert_int_equal(gw_routes_add(&t, &two, &known), 0);
    assert_false(known);
    gw_routes_fini(&t);
}

/* Whatever a client announces, a session's table stays below a bound in bytes. */
static void bytes_are_bounded(void **state)
{
    static char adapter[100001];
    struct gw_routes t;
    (void)state;
    memset(adapter, 'x', sizeof(adapter) - 1);
    gw_routes_init(&t, 1000);
    for (int i = 0; i < 300; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "o%d", i);
        (void)add(&t, name, adapter);
        for (struct gw_route *gone; (gone = gw_routes_evict(&t)); gw_route_free(gone)) {
        }
        assert_non_null(find(&t, name));
    }
    assert_true(t.bytes <= (size_t)16 << 20);
    assert_true(gw_routes_count(&t) > 100);
    gw_routes_fini(&t);
}

static struct iw_identity identity(const char *category, const char *name)
{
    return (struct iw_identity){.name = ib_str(name), .category = ib_str(category)};
}

static void sets_are_sorted_and_unique(void **state)
{
    struct gw_set s = {0};
    const struct iw_identity ids[] = {identity("", "b"), identity("z", "a"), identity("", "a"), identity("", "b")};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(gw_set_add(&s, &ids[i]), 0);
    }
    assert_int_equal(s.n, 3);
    assert_true(iw_identity_equal(&s.v[0], &ids[2]) && iw_identity_equal(&s.v[1], &ids[1]) &&
                iw_identity_equal(&s.v[2], &ids[0]));
    const struct iw_identity unknown = identity("q", "q");
    gw_set_remove(&s, &unknown);
    gw_set_remove(&s, &ids[1]);
    assert_int_equal(s.n, 2);
    assert_true(gw_set_has(&s, &ids[0]));
    assert_false(gw_set_has(&s, &ids[1]));
    gw_set_fini(&s);
}

/* 10.2: an empty set does not take part; one match of those that do is enough. */
static void filters_are_alternatives(void **state)
{
    struct gw_filter f = {0};
    const struct iw_identity cx = identity("c", "x"), dy = identity("d", "y"), category = gw_set_string(IB_STR("c")),
                             adapter = gw_set_string(IB_STR("ad"));
    (void)state;
    assert_int_equal(gw_filter_check(&f, &cx, IB_STR("")), 0);
    assert_int_equal(gw_set_add(&f.adapter_ids, &adapter), 0);
    assert_int_equal(gw_filter_check(&f, &cx, IB_STR("")), 0); /* direct proxies pass an adapter filter alone */
    assert_int_equal(gw_filter_check(&f, &cx, IB_STR("ad")), 0);
    assert_int_equal(gw_filter_check(&f, &cx, IB_STR("other")), GW_REJECT_ADAPTER_ID);
    assert_int_equal(gw_set_add(&f.categories, &category), 0);
    assert_int_equal(gw_filter_check(&f, &cx, IB_STR("other")), 0);
    assert_int_equal(gw_filter_check(&f, &dy, IB_STR("other")), GW_REJECT_CATEGORY | GW_REJECT_ADAPTER_ID);
    assert_int_equal(gw_filter_check(&f, &dy, IB_STR("c")), GW_REJECT_CATEGORY | GW_REJECT_ADAPTER_ID);
    assert_int_equal(gw_set_add(&f.identities, &dy), 0);
    assert_int_equal(gw_filter_check(&f, &dy, IB_STR("")), 0);
    gw_filter_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_are_normalised),      cmocka_unit_test(least_recently_used),
        cmocka_unit_test(identities_do_not_collide),  cmocka_unit_test(bytes_are_bounded),
        cmocka_unit_test(sets_are_sorted_and_unique), cmocka_unit_test(filters_are_alternatives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
