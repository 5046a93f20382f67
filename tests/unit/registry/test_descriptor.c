/* SPDX-License-Identifier: Apache-2.0 */
/* What definitions and updates mean, against what ZeroC's registry made of the same bytes: tests/data/descriptors,
   written by record.py there. Same texts of refusals, same instances, same merged definitions. */
#include "test.h"
#include "vectors.h"

#include <stdio.h>
#include <stdlib.h>

#include "catalog.h"
#include "descriptor.h"
#include "resolver.h"
#include "walk.h"

#include <moulin/wire/codec.h>
#include <slice/IceGrid/Admin.h>
#include <slice/IceGrid/Internal.h>
#include <slice/registry.h>

struct fx {
    struct ib_arena arena;
    struct ir_properties *props;
    struct ir_proxy_defaults defaults;
    struct reg_node_vars up;
    json_t *file;
};

static json_t *load_json(const char *path)
{
    size_t n;
    json_error_t err;
    char *text = vec_file(path, &n);
    json_t *j = json_loadb(text, n, 0, &err);
    if (!j)
        fail_msg("%s:%d: %s", path, err.line, err.text);
    free(text);
    return j;
}

static void start(struct fx *fx, const char *path)
{
    struct ib_err err;
    ib_arena_init(&fx->arena, 0);
    fx->props = ir_properties_new();
    assert_non_null(fx->props);
    assert_int_equal(ir_proxy_defaults(fx->props, &fx->arena, &fx->defaults, &err), 0);
    fx->file = load_json(path);
    json_t *up = json_object_get(fx->file, "up");
    if (up)
        fx->up = (struct reg_node_vars){.os = vec_str(up, "os"),
                                        .hostname = vec_str(up, "hostname"),
                                        .release = vec_str(up, "release"),
                                        .version = vec_str(up, "version"),
                                        .machine = vec_str(up, "machine"),
                                        .data = vec_str(up, "dataDir")};
}

static void end(struct fx *fx)
{
    json_decref(fx->file);
    ir_properties_free(fx->props);
    ib_arena_fini(&fx->arena);
}

static void *decode(struct fx *fx, const struct iw_type *t, const char *hex)
{
    void *v = NULL;
    struct ib_span bytes = vec_hex(hex);
    assert_int_equal(iw_decode_params(t, bytes, &slice_registry, IW_LIMITS_DEFAULT, &fx->arena, &v), 0);
    vec_free(bytes);
    return v;
}

static void assert_same(const char *name, const struct iw_type *t, const void *got, const void *want)
{
    struct ib_buf a, b;
    if (iw_equal(t, got, want))
        return;
    ib_buf_init(&a);
    ib_buf_init(&b);
    iw_print(t, got, &a);
    iw_print(t, want, &b);
    fail_msg("%s: got\n%s\nwant\n%s", name, ib_buf_cstr(&a), ib_buf_cstr(&b));
}

/* The whole way of an addApplication: expand, then check against an empty registry. */
static int expand(struct fx *fx, const struct IceGrid_ApplicationDescriptor *d, struct reg_app **app,
                  struct ib_err *err)
{
    struct IceGrid_ApplicationInfo info = {.uuid = IB_STR("U"), .revision = 1, .descriptor = *d};
    struct reg_catalog *c = reg_catalog_new();
    assert_non_null(c);
    int rc = reg_app_expand(&info, &fx->defaults, app, err);
    if (!rc && (rc = reg_catalog_check_app(c, *app, NULL, err)) != 0)
        reg_app_free(*app);
    reg_catalog_free(c);
    return rc;
}

static const struct reg_server *find_server(const struct reg_app *app, const char *id)
{
    for (size_t i = 0; i < app->n_servers; i++)
        if (ib_str_is(app->servers[i].id, id))
            return &app->servers[i];
    fail_msg("no server %s", id);
    return NULL;
}

static void compare_server(struct fx *fx, const char *name, const struct reg_app *app, const char *id, const char *hex)
{
    const struct IceGrid_Admin_getServerInfo_out *want = decode(fx, &IceGrid_Admin_getServerInfo_out_type, hex);
    const struct reg_server *s = find_server(app, id);
    struct IceGrid_ServerDescriptor *got;
    bool up = ib_str_is(s->node, "up");
    assert_true(ib_str_eq(s->node, want->ret.node));
    assert_int_equal(reg_server_resolve(s->desc, up ? &fx->up : NULL, &fx->arena, &got), 0);
    assert_same(name, &IceGrid_ServerDescriptor_type, &got, &want->ret.descriptor);
}

/* The lines of one configuration file as the node wrote them. */
static void compare_file(const char *name, const struct IceGrid_PropertyDescriptorSeq *lines, const char *want)
{
    struct ib_buf b;
    ib_buf_init(&b);
    for (size_t i = 0; i < lines->n; i++) {
        bool comment = lines->v[i].name.n && lines->v[i].name.p[0] == '#' && !lines->v[i].value.n;
        ib_buf_printf(&b, comment ? "%s%s\n" : "%s=%s\n", ib_cstr(lines->v[i].name), ib_cstr(lines->v[i].value));
    }
    if (strcmp(ib_buf_cstr(&b), want) != 0)
        fail_msg("%s: got\n%s\nwant\n%s", name, ib_buf_cstr(&b), want);
    ib_buf_fini(&b);
}

static void compare_files(struct fx *fx, const char *name, const struct reg_app *app, json_t *files)
{
    struct IceGrid_InternalServerDescriptor *d;
    const char *file;
    json_t *text;
    size_t n = 0;
    assert_int_equal(reg_internal_server(&app->servers[0], &fx->up, &fx->arena, &d), 0);
    json_object_foreach(files, file, text)
    {
        size_t i = 0;
        while (i < d->properties.n && !ib_str_is(d->properties.v[i].key, file))
            i++;
        if (i == d->properties.n)
            fail_msg("%s: no file %s", name, file);
        compare_file(name, &d->properties.v[i].value, json_string_value(text));
        n++;
    }
    assert_int_equal(d->properties.n, n);
}

static void compare_definition(struct fx *fx, json_t *c)
{
    const char *name = vec_text(c, "name"), *want = vec_text(c, "error"), *id;
    const struct IceGrid_Admin_addApplication_in *in =
        decode(fx, &IceGrid_Admin_addApplication_in_type, vec_text(c, "in"));
    struct ib_err err = {0};
    struct reg_app *app = NULL;
    json_t *hex;
    int rc = expand(fx, &in->descriptor, &app, &err);
    if (strcmp(rc ? err.text : "", want ? want : "") != 0)
        fail_msg("%s: got\n%s\nwant\n%s", name, rc ? err.text : "no error", want ? want : "no error");
    if (rc)
        return;
    json_object_foreach(json_object_get(c, "servers"), id, hex)
        compare_server(fx, name, app, id, json_string_value(hex));
    assert_int_equal(app->n_servers, json_object_size(json_object_get(c, "servers")));
    if (json_object_get(c, "files"))
        compare_files(fx, name, app, json_object_get(c, "files"));
    reg_app_free(app);
}

static void definitions_mean_the_same(void **state)
{
    (void)state;
    struct fx fx = {0};
    size_t i;
    json_t *c;
    start(&fx, "tests/data/descriptors/definitions.json");
    json_array_foreach(json_object_get(fx.file, "cases"), i, c) compare_definition(&fx, c);
    assert_true(i > 250);
    end(&fx);
}

/* --- updates ---------------------------------------------------------------------------------------------------------
 */

/* The recording registry had one node. */
static bool node_is_up(void *arg, struct ib_str node)
{
    (void)arg;
    return ib_str_cmp(node, IB_STR("up")) == 0;
}

static int change(struct fx *fx, json_t *c, const struct IceGrid_ApplicationDescriptor *old,
                  struct IceGrid_ApplicationDescriptor *now, struct ib_err *err)
{
    struct reg_app *app;
    if (vec_true(c, "sync")) {
        const struct IceGrid_Admin_syncApplication_in *in =
            decode(fx, &IceGrid_Admin_syncApplication_in_type, vec_text(c, "in"));
        *now = in->descriptor;
    } else {
        const struct IceGrid_Admin_updateApplication_in *in =
            decode(fx, &IceGrid_Admin_updateApplication_in_type, vec_text(c, "in"));
        int rc = reg_descriptor_merge(old, &in->descriptor, &fx->arena, now, err);
        if (rc)
            return rc;
    }
    int rc = expand(fx, now, &app, err);
    if (!rc && vec_true(c, "quiet")) {
        struct reg_app *before;
        assert_int_equal(expand(fx, old, &before, err), 0);
        rc = reg_app_check_without_restart(before, app, node_is_up, NULL, err);
        reg_app_free(before);
        if (rc)
            reg_app_free(app);
    }
    if (!rc)
        reg_app_free(app);
    return rc;
}

static void assert_same_app(const char *name, struct IceGrid_ApplicationDescriptor *got,
                            struct IceGrid_ApplicationDescriptor *want)
{
    assert_int_equal(reg_sort_dicts(&IceGrid_ApplicationDescriptor_type, got), 0);
    assert_int_equal(reg_sort_dicts(&IceGrid_ApplicationDescriptor_type, want), 0);
    assert_same(name, &IceGrid_ApplicationDescriptor_type, got, want);
}

/* Servers have no order: a merge puts the new ones first. */
static int by_id(const void *a, const void *b)
{
    const struct IceGrid_ServerDescriptor *const *x = a, *const *y = b;
    return ib_str_cmp((*x)->id, (*y)->id);
}

static int by_value(const void *a, const void *b)
{
    const struct IceGrid_ServerInstanceDescriptor *x = a, *y = b;
    return ib_str_cmp(x->parameterValues.v[0].value, y->parameterValues.v[0].value);
}

static void sort_servers(struct IceGrid_ApplicationDescriptor *d)
{
    for (size_t i = 0; i < d->nodes.n; i++) {
        struct IceGrid_NodeDescriptor *n = &d->nodes.v[i].value;
        if (n->servers.n)
            qsort(n->servers.v, n->servers.n, sizeof(*n->servers.v), by_id);
        if (n->serverInstances.n)
            qsort(n->serverInstances.v, n->serverInstances.n, sizeof(*n->serverInstances.v), by_value);
    }
}

/* A sync is published as an update: ours, merged into the old definition, must give the new one; and so must theirs. */
static void compare_difference(struct fx *fx, json_t *c, const struct IceGrid_ApplicationDescriptor *old,
                               const struct IceGrid_ApplicationDescriptor *now)
{
    struct IceGrid_ApplicationUpdateDescriptor ours;
    struct IceGrid_ApplicationDescriptor merged, want;
    struct ib_err err = {0};
    const struct IceGrid_ApplicationObserver_applicationUpdated_in *event =
        decode(fx, &IceGrid_ApplicationObserver_applicationUpdated_in_type, vec_text(c, "event"));
    assert_int_equal(reg_descriptor_diff(old, now, &fx->arena, &ours, &err), 0);
    assert_int_equal(iw_copy(&IceGrid_ApplicationDescriptor_type, now, &fx->arena, &want), 0);
    sort_servers(&want);
    assert_int_equal(reg_descriptor_merge(old, &ours, &fx->arena, &merged, &err), 0);
    sort_servers(&merged);
    assert_same_app(vec_text(c, "name"), &merged, &want);
    assert_same(vec_text(c, "name"), &IceGrid_ApplicationUpdateDescriptor_type, &ours, &event->desc.descriptor);
}

static void updates_mean_the_same(void **state)
{
    (void)state;
    struct fx fx = {0};
    size_t i;
    json_t *c;
    start(&fx, "tests/data/descriptors/updates.json");
    json_array_foreach(json_object_get(fx.file, "cases"), i, c)
    {
        const char *name = vec_text(c, "name"), *want = vec_text(c, "error");
        struct ib_err err = {0};
        struct IceGrid_ApplicationDescriptor now;
        const struct IceGrid_Admin_addApplication_in *add =
            decode(&fx, &IceGrid_Admin_addApplication_in_type, vec_text(c, "add"));
        int rc = change(&fx, c, &add->descriptor, &now, &err);
        if (strcmp(rc ? err.text : "", want ? want : "") != 0)
            fail_msg("%s: got\n%s\nwant\n%s", name, rc ? err.text : "no error", want ? want : "no error");
        if (rc)
            continue;
        struct IceGrid_Admin_getApplicationInfo_out *info =
            decode(&fx, &IceGrid_Admin_getApplicationInfo_out_type, vec_text(c, "info"));
        assert_same_app(name, &now, &info->ret.descriptor);
        if (vec_true(c, "sync"))
            compare_difference(&fx, c, &add->descriptor, &now);
    }
    assert_true(i > 20);
    end(&fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(definitions_mean_the_same),
        cmocka_unit_test(updates_mean_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
