/* SPDX-License-Identifier: Apache-2.0 */
/* What administrators send: definitions expanded, updates merged into a definition, one definition turned into another.
   Input: one byte of what is done, then the body of addApplication or updateApplication in encoding 1.1. */
#include "fuzz.h"

#include "catalog.h"
#include "descriptor.h"

#include <moulin/rpc/properties.h>
#include <slice/IceGrid/Admin.h>
#include <slice/registry.h>

/* Both of them, and what makes the second of the first. What is accepted must be accepted again as it was stored. */
static void compare(const struct reg_app *app, const struct IceGrid_ApplicationDescriptor *now)
{
    struct IceGrid_ApplicationUpdateDescriptor update;
    struct IceGrid_ApplicationDescriptor merged;
    struct ib_err err;
    struct ib_arena arena;
    ib_arena_init(&arena, FUZZ_MEMORY);
    if (reg_descriptor_diff(&app->info->descriptor, now, &arena, &update, &err) == 0)
        (void)!reg_descriptor_merge(&app->info->descriptor, &update, &arena, &merged, &err);
    ib_arena_fini(&arena);
}

static struct reg_app *expand(const struct IceGrid_ApplicationDescriptor *d)
{
    struct ir_proxy_defaults defaults;
    struct IceGrid_ApplicationInfo info = {.descriptor = *d};
    struct reg_app *app = NULL;
    struct ib_err err = {0};
    struct ir_properties *properties = ir_properties_new();
    struct ib_arena arena;
    ib_arena_init(&arena, 0);
    FUZZ_CHECK(properties && ir_proxy_defaults(properties, &arena, &defaults, &err) == 0);
    int rc = reg_app_expand(&info, &defaults, &app, &err);
    FUZZ_CHECK(rc == 0 || rc == IB_EINVAL || rc == IB_ENOMEM);
    FUZZ_CHECK(rc == 0 || err.text[0]);
    ib_arena_fini(&arena);
    ir_properties_free(properties);
    return app;
}

static void define(const struct IceGrid_ApplicationDescriptor *d)
{
    static const struct IceGrid_ApplicationDescriptor empty = {.name = {"App", 3}};
    struct reg_app *app = expand(d), *bare = expand(&empty);
    FUZZ_CHECK(bare);
    compare(bare, d);
    if (app) {
        compare(app, &empty);
        compare(app, d);
        struct reg_app *again = expand(&app->info->descriptor);
        FUZZ_CHECK(again && again->n_servers == app->n_servers);
        reg_app_free(again);
    }
    reg_app_free(app);
    reg_app_free(bare);
}

static void update(const struct IceGrid_ApplicationUpdateDescriptor *u)
{
    static const struct IceGrid_ApplicationDescriptor empty = {.name = {"App", 3}};
    struct IceGrid_ApplicationDescriptor first, second;
    struct ib_err err;
    struct ib_arena arena;
    ib_arena_init(&arena, FUZZ_MEMORY);
    if (reg_descriptor_merge(&empty, u, &arena, &first, &err) == 0) {
        reg_app_free(expand(&first));
        (void)!reg_descriptor_merge(&first, u, &arena, &second, &err);
    }
    ib_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ib_arena arena;
    struct ib_buf in;
    void *v = NULL;
    if (size < 1)
        return 0;
    bool whole = (data[0] & 1) == 0;
    const struct iw_type *t = whole ? &IceGrid_Admin_addApplication_in_type : &IceGrid_Admin_updateApplication_in_type;
    ib_buf_init(&in);
    fuzz_encaps(&in, 1, data + 1, size - 1);
    ib_arena_init(&arena, FUZZ_MEMORY);
    if (iw_decode_params(t, ib_buf_span(&in), &slice_registry, IW_LIMITS_DEFAULT, &arena, &v) == IB_OK) {
        if (whole)
            define(&((const struct IceGrid_Admin_addApplication_in *)v)->descriptor);
        else
            update(&((const struct IceGrid_Admin_updateApplication_in *)v)->descriptor);
    }
    ib_arena_fini(&arena);
    ib_buf_fini(&in);
    return 0;
}
