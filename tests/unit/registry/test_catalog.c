/* SPDX-License-Identifier: Apache-2.0 */
/* The catalog's tables: found by key, by type and by group, in the order clients see, whatever was put and taken away.
 */
#include <test.h>

#include <stdio.h>
#include <stdlib.h>

#include "catalog.h"
#include "slices.h"

#include <moulin/wire/codec.h>

struct fx {
    struct reg_catalog *c;
    struct ib_arena arena;
};

static int setup(void **state)
{
    struct fx *f = calloc(1, sizeof *f);
    f->c = reg_catalog_new();
    ib_arena_init(&f->arena, 0);
    *state = f;
    return f->c ? 0 : -1;
}

static int teardown(void **state)
{
    struct fx *f = *state;
    reg_catalog_free(f->c);
    ib_arena_fini(&f->arena);
    free(f);
    return 0;
}

static struct ib_span record(struct fx *f, const struct iw_type *type, const void *value)
{
    struct ib_buf b;
    ib_buf_init(&b);
    assert_int_equal(iw_encode_value(type, value, IW_ENCODING_1_1, &b), 0);
    uint8_t *p = ib_arena_alloc(&f->arena, b.n);
    memcpy(p, b.p, b.n);
    struct ib_span s = {p, b.n};
    ib_buf_fini(&b);
    return s;
}

static struct iw_proxy proxy(const char *name, const char *adapter)
{
    return (struct iw_proxy){.id = {ib_str(name), ib_str("")},
                             .protocol = {1, 0},
                             .encoding = IW_ENCODING_1_1,
                             .adapter_id = ib_str(adapter)};
}

static void put_object(struct fx *f, const char *name, const char *type)
{
    struct iw_proxy prx = proxy(name, "A");
    const struct IceGrid_ObjectInfo info = {.proxy = &prx, .type = ib_str(type)};
    struct ib_span key = reg_key_identity(&prx.id, &f->arena);
    assert_int_equal(reg_catalog_put_object(f->c, key, record(f, &IceGrid_ObjectInfo_type, &info)), 0);
}

static void del_object(struct fx *f, const char *name)
{
    const struct iw_identity id = {ib_str(name), ib_str("")};
    reg_catalog_del_object(f->c, reg_key_identity(&id, &f->arena));
}

static void expect_objects(struct fx *f, const char *type, const char *names)
{
    struct IceGrid_ObjectInfo *list;
    struct ib_str t = ib_str(type);
    char out[256] = "";
    size_t n = reg_catalog_objects(f->c, type ? &t : NULL, &f->arena, &list);
    assert_true(n != SIZE_MAX);
    for (size_t i = 0; i < n; i++)
        sprintf(out + strlen(out), "%s ", list[i].proxy->id.name.p);
    assert_string_equal(out, names);
}

static void test_objects(void **state)
{
    struct fx *f = *state;
    const struct iw_identity a = {IB_STR("a"), IB_STR("")}, x = {IB_STR("a"), IB_STR("x")};
    struct IceGrid_ObjectInfo info;
    expect_objects(f, NULL, "");
    put_object(f, "ccc", "T");
    put_object(f, "bb", "T");
    put_object(f, "a", "U");
    put_object(f, "b", "");
    expect_objects(f, NULL, "a b bb ccc "); /* by encoded identity: shorter first */
    expect_objects(f, "T", "bb ccc ");
    expect_objects(f, "V", "");
    assert_int_equal(reg_catalog_object(f->c, &a, &f->arena, &info), 0);
    assert_string_equal(info.type.p, "U");
    assert_string_equal(info.proxy->adapter_id.p, "A");
    assert_int_equal(reg_catalog_object(f->c, &x, &f->arena, &info), IB_ENOTFOUND);
    put_object(f, "a", "T"); /* replaced: it leaves its old type */
    expect_objects(f, "U", "");
    expect_objects(f, "T", "a bb ccc ");
    del_object(f, "bb");
    del_object(f, "bb");
    expect_objects(f, "T", "a ccc ");
    reg_catalog_clear_objects(f->c);
    expect_objects(f, NULL, "");
    assert_false(reg_catalog_has_object(f->c, &a));
}

static void put_adapter(struct fx *f, const char *id, const char *group)
{
    struct iw_proxy prx = proxy("dummy", "");
    const struct IceGrid_AdapterInfo info = {.id = ib_str(id), .proxy = &prx, .replicaGroupId = ib_str(group)};
    struct ib_span key = reg_key_string(info.id, &f->arena);
    assert_int_equal(reg_catalog_put_dynamic(f->c, key, record(f, &IceGrid_AdapterInfo_type, &info)), 0);
}

static void test_groups(void **state)
{
    struct fx *f = *state;
    struct IceGrid_AdapterInfo *list;
    struct ib_str *groups, g = IB_STR("G");
    put_adapter(f, "two", "G");
    put_adapter(f, "1", "G");
    put_adapter(f, "other", "H");
    put_adapter(f, "alone", "");
    assert_int_equal(reg_catalog_dynamics(f->c, &g, &f->arena, &list), 2);
    assert_string_equal(list[0].id.p, "1");
    assert_string_equal(list[1].id.p, "two");
    assert_int_equal(reg_catalog_dynamics(f->c, NULL, &f->arena, &list), 4);
    assert_int_equal(reg_catalog_dynamic_groups(f->c, &f->arena, &groups), 2);
    assert_string_equal(groups[1].p, "H");
    put_adapter(f, "other", "G");
    assert_false(reg_catalog_has_dynamic_group(f->c, IB_STR("H")));
    assert_false(reg_catalog_has_dynamic_group(f->c, IB_STR("")));
    assert_int_equal(reg_catalog_dynamics(f->c, &g, &f->arena, &list), 3);
}

static void test_many(void **state)
{
    struct fx *f = *state;
    struct IceGrid_AdapterInfo *list, one;
    char id[32];
    for (int i = 0; i < 10000; i++) {
        snprintf(id, sizeof id, "adapter-%d", i);
        put_adapter(f, id, i % 3 ? "odd" : "even");
    }
    for (int i = 0; i < 10000; i += 2) {
        snprintf(id, sizeof id, "adapter-%d", i);
        reg_catalog_del_dynamic(f->c, reg_key_string(ib_str(id), &f->arena));
    }
    assert_int_equal(reg_catalog_dynamics(f->c, NULL, &f->arena, &list), 5000);
    assert_int_equal(reg_catalog_dynamic(f->c, IB_STR("adapter-9998"), &f->arena, &one), IB_ENOTFOUND);
    assert_int_equal(reg_catalog_dynamic(f->c, IB_STR("adapter-9999"), &f->arena, &one), 0);
    assert_string_equal(one.replicaGroupId.p, "even");
}

/* A record that is no record is refused and changes nothing. */
static void test_bad_record(void **state)
{
    struct fx *f = *state;
    const struct iw_identity id = {IB_STR("n"), IB_STR("")};
    struct ib_span key = reg_key_identity(&id, &f->arena);
    put_object(f, "n", "T");
    const uint8_t junk[] = {3, 'a'};
    assert_true(reg_catalog_put_object(f->c, key, (struct ib_span){junk, sizeof junk}) < 0);
    expect_objects(f, "T", "n ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_objects, setup, teardown),
        cmocka_unit_test_setup_teardown(test_groups, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_record, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
