/* SPDX-License-Identifier: Apache-2.0 */
/* Definitions that nobody would write, and memory that fails: every allocation of expanding, merging, comparing and
   sending fails once, and invented values go through all of it. Linked with malloc, calloc and realloc wrapped. */
#include "test.h"
#include "vectors.h"

#include <stdlib.h>

#include "catalog.h"
#include "descriptor.h"
#include "resolver.h"

#include <moulin/wire/codec.h>
#include <slice/IceGrid/Admin.h>
#include <slice/IceGrid/Internal.h>
#include <slice/registry.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static long countdown = -1; /* allocations until one fails; -1 = none does */

static bool fail_now(void)
{
    return countdown >= 0 && countdown-- == 0;
}

void *__wrap_malloc(size_t n)
{
    return fail_now() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fail_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return fail_now() ? NULL : __real_realloc(p, n);
}

struct fx {
    struct ib_arena arena;
    struct ir_properties *props;
    struct ir_proxy_defaults defaults;
};

static void start(struct fx *fx)
{
    struct ib_err err;
    ib_arena_init(&fx->arena, 0);
    fx->props = ir_properties_new();
    assert_non_null(fx->props);
    assert_int_equal(ir_proxy_defaults(fx->props, &fx->arena, &fx->defaults, &err), 0);
}

static void end(struct fx *fx)
{
    ir_properties_free(fx->props);
    ib_arena_fini(&fx->arena);
}

static bool every_node_is_up(void *arg, struct ib_str node)
{
    (void)arg;
    (void)node;
    return true;
}

/* Everything a definition, and then a second one, goes through. 0 or the first failure. */
static int all_of_it(struct fx *fx, const struct IceGrid_ApplicationDescriptor *a,
                     const struct IceGrid_ApplicationDescriptor *b, struct ib_err *err)
{
    static const struct reg_node_vars vars = {{"os", 2},   {"host", 4},  {"1", 1}, {"2", 1},
                                              {"arch", 4}, {"/data", 5}, {"me", 2}};
    struct IceGrid_ApplicationInfo info = {.uuid = IB_STR("U"), .revision = 1, .descriptor = *a};
    struct IceGrid_ApplicationUpdateDescriptor update;
    struct IceGrid_ApplicationDescriptor merged;
    struct IceGrid_InternalServerDescriptor *sent;
    struct ib_arena arena;
    struct reg_app *first = NULL, *second = NULL;
    ib_arena_init(&arena, 0);
    int rc = reg_app_expand(&info, &fx->defaults, &first, err);
    info.descriptor = *b;
    if (!rc)
        rc = reg_app_expand(&info, &fx->defaults, &second, err);
    if (!rc)
        rc = reg_descriptor_diff(a, b, &arena, &update, err);
    if (!rc)
        rc = reg_descriptor_merge(a, &update, &arena, &merged, err);
    for (size_t i = 0; !rc && i < second->n_servers; i++)
        rc = reg_internal_server(&second->servers[i], &vars, &arena, &sent);
    if (!rc) {
        rc = reg_app_check_without_restart(first, second, every_node_is_up, NULL, err);
        if (rc == IB_EINVAL) /* an answer, no failure */
            rc = 0;
    }
    ib_arena_fini(&arena);
    if (first)
        reg_app_free(first);
    if (second)
        reg_app_free(second);
    return rc;
}

/* The richest definition that ZeroC's registry accepted. */
static const struct IceGrid_ApplicationDescriptor *definition(struct fx *fx, const char *name)
{
    size_t n, i;
    json_error_t err;
    void *v = NULL;
    char *text = vec_file("tests/data/descriptors/definitions.json", &n);
    json_t *file = json_loadb(text, n, 0, &err), *c;
    free(text);
    assert_non_null(file);
    json_array_foreach(json_object_get(file, "cases"), i, c)
    {
        if (strcmp(vec_text(c, "name"), name) != 0)
            continue;
        struct ib_span bytes = vec_hex(vec_text(c, "in"));
        assert_int_equal(iw_decode_params(&IceGrid_Admin_addApplication_in_type, bytes, &slice_registry,
                                          IW_LIMITS_DEFAULT, &fx->arena, &v),
                         0);
        vec_free(bytes);
    }
    json_decref(file);
    assert_non_null(v);
    return &((const struct IceGrid_Admin_addApplication_in *)v)->descriptor;
}

static void each_allocation_fails_once(void **state)
{
    (void)state;
    static const char *const names[] = {"everything of a box", "all of a server", "two adapters"};
    struct fx fx;
    start(&fx);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct IceGrid_ApplicationDescriptor *a = definition(&fx, names[i]);
        struct IceGrid_ApplicationDescriptor b = *a;
        struct IceGrid_StringStringDict_entry more = {IB_STR("more"), IB_STR("x")};
        int rc = IB_ENOMEM;
        long k = 0;
        if (!b.variables.n)
            b.variables = (struct IceGrid_StringStringDict){1, &more};
        for (; rc; k++) {
            struct ib_err err = {0};
            countdown = k;
            rc = all_of_it(&fx, a, &b, &err);
            bool failed = countdown < 0;
            countdown = -1;
            if (!failed)
                assert_int_equal(rc, 0);
            else if (rc)
                assert_int_equal(rc, IB_ENOMEM);
            /* a failure that was survived is none */
            if (failed && !rc)
                rc = IB_ENOMEM;
            assert_true(k < 100000);
        }
        assert_true(k > 20);
    }
    end(&fx);
}

static void assert_refusal(int rc)
{
    assert_true(rc == 0 || rc == IB_EINVAL || rc == IB_ELIMIT);
}

static void invented_definitions_do_no_harm(void **state)
{
    (void)state;
    struct fx fx;
    uint64_t seed = 7;
    start(&fx);
    for (int i = 0; i < 400; i++) {
        struct ib_arena arena;
        struct IceGrid_ApplicationDescriptor a, b, merged;
        struct IceGrid_ApplicationUpdateDescriptor u;
        struct ib_err err;
        ib_arena_init(&arena, 0);
        assert_int_equal(iw_random(&IceGrid_ApplicationDescriptor_type, &seed, &arena, &a), 0);
        assert_int_equal(iw_random(&IceGrid_ApplicationDescriptor_type, &seed, &arena, &b), 0);
        assert_int_equal(iw_random(&IceGrid_ApplicationUpdateDescriptor_type, &seed, &arena, &u), 0);
        assert_refusal(all_of_it(&fx, &a, &b, &err));
        assert_refusal(reg_descriptor_diff(&a, &b, &arena, &u, &err));
        assert_int_equal(iw_random(&IceGrid_ApplicationUpdateDescriptor_type, &seed, &arena, &u), 0);
        assert_refusal(reg_descriptor_merge(&a, &u, &arena, &merged, &err));
        ib_arena_fini(&arena);
    }
    end(&fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_fails_once),
        cmocka_unit_test(invented_definitions_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
