/* SPDX-License-Identifier: Apache-2.0 */
/* What a change of an application means: the new definition is expanded and checked against everything before it is
   written; the catalog swaps the old expansion for the new one afterwards. */
#include "change_ops.h"
#include "descriptor.h"
#include "walk.h"

#include <stdlib.h>

#include <moulin/base/clock.h>

#include "nodes.h"

/* --- helpers ----------------------------------------------------------------------------------------------------- */

int reg_aim_app(struct reg_change *c)
{
    c->name = c->descriptor    ? c->descriptor->name
              : c->update      ? c->update->name
              : c->update_info ? c->update_info->descriptor.name
                               : c->info->descriptor.name;
    return reg_aim_name(c);
}

/* A failed expansion or check as the caller sees it. */
static int refuse(struct reg_change *c, int rc, const struct ib_err *err)
{
    return rc == IB_ENOMEM ? reg_change_fail_nomem(c) : reg_change_fail_deployment(c, "%s", err->text);
}

static int find_app(struct reg *reg, struct reg_change *c)
{
    c->old_app = NULL;
    struct reg_app *app = reg_catalog_app(reg->catalog, c->name);
    if (app)
        return 0;
    struct IceGrid_ApplicationNotExistException ex = {.name = c->name};
    ib_err_set(&c->err, IB_ENOTFOUND, "application `%s' doesn't exist", ib_cstr(c->name));
    return reg_change_fail_with(c, &IceGrid_ApplicationNotExistException_class, &ex, sizeof ex);
}

static int guard(struct reg *reg, struct reg_change *c)
{
    return reg_writable(reg) ? 0 : reg_change_fail_deployment(c, "%s", REG_READ_ONLY_TEXT);
}

static bool is_up(void *arg, struct ib_str node)
{
    return reg_node_find(arg, node);
}

/* Expands c->info into c->new_app, checks it, and makes its record. */
static int make_app(struct reg *reg, struct reg_change *c, const struct reg_app *old)
{
    struct ib_err err = {0};
    int rc = reg_app_expand(c->info, ir_runtime_proxy_defaults(reg->rt), &c->new_app, &err);
    if (!rc)
        rc = reg_catalog_check_app(reg->catalog, c->new_app, old, &err);
    if (!rc && c->without_restart && old)
        rc = reg_app_check_without_restart(old, c->new_app, is_up, reg, &err);
    if (rc)
        return refuse(c, rc, &err);
    if (c->key.n > REG_KEY_MAX)
        return reg_change_fail_deployment(c, "application name `%.60s...' is too long: at most %d bytes",
                                          ib_cstr(c->name), REG_KEY_MAX - 5);
    if (reg_record(&IceGrid_ApplicationInfo_type, c->info, true, &c->arena, &c->record))
        return reg_change_fail_nomem(c);
    return 0;
}

static int write_added(struct reg *reg, struct reg_change *c, struct store_batch *b)
{
    if (reg_catalog_app(reg->catalog, c->name))
        return reg_change_fail_deployment(c, "application `%s' already exists", ib_cstr(c->name));
    int rc = make_app(reg, c, NULL);
    if (rc)
        return rc;
    struct reg_event *ev = reg_event_add(c, REG_EV_APP_ADDED);
    if (!ev)
        return reg_change_fail_nomem(c);
    ev->info = c->info;
    ev->name = c->name;
    store_batch_put(b, REG_APPLICATIONS, c->key, c->record);
    return 0;
}

static int write_removed(struct reg_change *c, struct store_batch *b)
{
    struct reg_event *ev = reg_event_add(c, REG_EV_APP_REMOVED);
    if (!ev)
        return reg_change_fail_nomem(c);
    ev->name = c->name;
    store_batch_del(b, REG_APPLICATIONS, c->key);
    return 0;
}

/* c->info gets a copy of the old one; its descriptor is filled by the caller. */
static int start_update(struct reg *reg, struct reg_change *c)
{
    const struct IceGrid_ApplicationInfo *old = reg_catalog_app(reg->catalog, c->name)->info;
    c->info = IB_ARENA_NEW(&c->arena, struct IceGrid_ApplicationInfo);
    if (!c->info || iw_copy(&IceGrid_ApplicationInfo_type, old, &c->arena, c->info))
        return reg_change_fail_nomem(c);
    return 0;
}

static int merge(struct reg *reg, struct reg_change *c, const struct IceGrid_ApplicationUpdateDescriptor *update)
{
    struct ib_err err = {0};
    const struct IceGrid_ApplicationInfo *old = reg_catalog_app(reg->catalog, c->name)->info;
    int rc = c->instance ? reg_descriptor_instantiate(&old->descriptor, update->nodes.v[0].name,
                                                      &update->nodes.v[0].serverInstances.v[0], &c->arena,
                                                      &c->info->descriptor, &err)
                         : reg_descriptor_merge(&old->descriptor, update, &c->arena, &c->info->descriptor, &err);
    return rc ? refuse(c, rc, &err) : 0;
}

/* What is told about an update that came as a whole definition. */
static int find_difference(struct reg *reg, struct reg_change *c)
{
    struct ib_err err = {0};
    const struct IceGrid_ApplicationInfo *old = reg_catalog_app(reg->catalog, c->name)->info;
    int rc = reg_descriptor_diff(&old->descriptor, &c->info->descriptor, &c->arena, &c->update_info->descriptor, &err);
    return rc ? refuse(c, rc, &err) : 0;
}

/* The last steps of an update: the event, and the record of make_app. Nothing fails once the batch has it. */
static int write_updated(struct reg_change *c, struct store_batch *b)
{
    struct reg_event *ev = reg_event_add(c, REG_EV_APP_UPDATED);
    if (!ev)
        return reg_change_fail_nomem(c);
    ev->update_info = c->update_info;
    ev->info = c->info;
    ev->name = c->name;
    store_batch_put(b, REG_APPLICATIONS, c->key, c->record);
    return 0;
}

/* --- administrators ------------------------------------------------------------------------------------------------
 */

int reg_prepare_app_add(struct reg *reg, struct reg_change *c, struct store_batch *b)
{
    int rc = guard(reg, c);
    if (rc)
        return rc;
    char uuid[IB_UUID_LEN + 1];
    ib_uuid(uuid);
    c->info = IB_ARENA_NEW(&c->arena, struct IceGrid_ApplicationInfo);
    if (!c->info)
        return reg_change_fail_nomem(c);
    *c->info = (struct IceGrid_ApplicationInfo){
        .uuid = ib_arena_strz(&c->arena, uuid),
        .createTime = ib_clock_wall_ms(),
        .createUser = c->user,
        .updateUser = c->user,
        .revision = 1,
        .descriptor = *c->descriptor,
    };
    c->info->updateTime = c->info->createTime;
    return c->info->uuid.p ? write_added(reg, c, b) : reg_change_fail_nomem(c);
}

static int stamp_update(struct reg_change *c)
{
    c->info->updateTime = ib_clock_wall_ms();
    c->info->updateUser = c->user;
    c->info->revision++;
    c->update_info = IB_ARENA_NEW(&c->arena, struct IceGrid_ApplicationUpdateInfo);
    if (!c->update_info)
        return reg_change_fail_nomem(c);
    c->update_info->updateTime = c->info->updateTime;
    c->update_info->updateUser = c->user;
    c->update_info->revision = c->info->revision;
    return 0;
}

int reg_prepare_app_update(struct reg *reg, struct reg_change *c, struct store_batch *b)
{
    int rc = guard(reg, c);
    if (!rc)
        rc = find_app(reg, c);
    if (!rc)
        rc = start_update(reg, c);
    if (!rc)
        rc = stamp_update(c);
    if (!rc)
        rc = merge(reg, c, c->update);
    if (rc)
        return rc;
    c->update_info->descriptor = *c->update;
    rc = make_app(reg, c, reg_catalog_app(reg->catalog, c->name));
    if (!rc && c->instance)
        rc = find_difference(reg, c);
    return rc ? rc : write_updated(c, b);
}

int reg_prepare_app_sync(struct reg *reg, struct reg_change *c, struct store_batch *b)
{
    int rc = guard(reg, c);
    if (!rc)
        rc = find_app(reg, c);
    if (!rc)
        rc = start_update(reg, c);
    if (!rc)
        rc = stamp_update(c);
    if (rc)
        return rc;
    c->info->descriptor = *c->descriptor;
    rc = make_app(reg, c, reg_catalog_app(reg->catalog, c->name));
    if (!rc)
        rc = find_difference(reg, c);
    return rc ? rc : write_updated(c, b);
}

int reg_prepare_app_remove(struct reg *reg, struct reg_change *c, struct store_batch *b)
{
    struct ib_err err = {0};
    int rc = guard(reg, c);
    if (!rc)
        rc = find_app(reg, c);
    if (rc)
        return rc;
    rc = reg_catalog_check_remove(reg->catalog, reg_catalog_app(reg->catalog, c->name), &err);
    return rc ? refuse(c, rc, &err) : write_removed(c, b);
}

/* --- the master's stream -------------------------------------------------------------------------------------------
 */

int reg_prepare_app_put(struct reg *reg, struct reg_change *c, struct store_batch *b)
{
    return write_added(reg, c, b);
}

int reg_prepare_app_patch(struct reg *reg, struct reg_change *c, struct store_batch *b)
{
    int rc = find_app(reg, c);
    if (!rc)
        rc = start_update(reg, c);
    if (!rc)
        rc = merge(reg, c, &c->update_info->descriptor);
    if (rc)
        return rc;
    c->info->updateTime = c->update_info->updateTime;
    c->info->updateUser = c->update_info->updateUser;
    c->info->revision = c->update_info->revision;
    rc = make_app(reg, c, reg_catalog_app(reg->catalog, c->name));
    return rc ? rc : write_updated(c, b);
}

int reg_prepare_app_drop(struct reg *reg, struct reg_change *c, struct store_batch *b)
{
    int rc = find_app(reg, c);
    return rc ? rc : write_removed(c, b);
}

/* An application that no longer validates is kept, named, and can be removed (icegrid-registry 12). */
static struct reg_app *shell(const struct IceGrid_ApplicationInfo *info)
{
    struct reg_app *app = calloc(1, sizeof *app);
    if (!app)
        return NULL;
    ib_arena_init(&app->arena, 0);
    struct IceGrid_ApplicationInfo *copy = IB_ARENA_NEW(&app->arena, struct IceGrid_ApplicationInfo);
    if (!copy || iw_copy(&IceGrid_ApplicationInfo_type, info, &app->arena, copy) ||
        reg_sort_dicts(&IceGrid_ApplicationInfo_type, copy)) {
        reg_app_free(app);
        return NULL;
    }
    app->info = copy;
    app->name = copy->descriptor.name;
    return app;
}

struct reg_app *reg_app_load(struct reg *reg, const struct IceGrid_ApplicationInfo *info)
{
    struct ib_err err = {0};
    struct reg_app *app = NULL;
    int rc = reg_app_expand(info, ir_runtime_proxy_defaults(reg->rt), &app, &err);
    if (!rc)
        rc = reg_catalog_check_app(reg->catalog, app, NULL, &err);
    if (!rc)
        return app;
    reg_app_free(app);
    if (rc != IB_ENOMEM)
        ib_log_warning(reg->log, "invalid application `%s':\n%s", ib_cstr(info->descriptor.name), err.text);
    return rc == IB_ENOMEM ? NULL : shell(info);
}

int reg_prepare_apps_init(struct reg *reg, struct reg_change *c, struct store_batch *b)
{
    (void)reg;
    if (!reg_event_add(c, REG_EV_APPS_INIT))
        return reg_change_fail_nomem(c);
    store_batch_clear(b, REG_APPLICATIONS);
    for (size_t i = 0; i < c->n_many; i++) {
        struct ib_span record;
        struct ib_span key = reg_key_string(c->infos[i].descriptor.name, &c->arena);
        if (!key.n || reg_record(&IceGrid_ApplicationInfo_type, &c->infos[i], true, &c->arena, &record))
            return reg_change_fail_nomem(c);
        if (key.n > REG_KEY_MAX)
            return reg_change_fail(c, IB_EINVAL, "an application's name is too long");
        store_batch_put(b, REG_APPLICATIONS, key, record);
    }
    return 0;
}

/* --- effects -------------------------------------------------------------------------------------------------------
 */

void reg_apply_app(struct reg *reg, struct reg_change *c)
{
    c->old_app = reg_catalog_app(reg->catalog, c->name);
    if (c->old_app && c->new_app)
        reg_catalog_keep_places(reg->catalog, c->new_app);
    if (c->old_app)
        reg_catalog_unlink_app(reg->catalog, c->old_app);
    if (!c->new_app)
        return;
    reg_apply_check(reg, reg_catalog_link_app(reg->catalog, c->new_app));
    c->new_app = NULL; /* the catalog's now; the old one lives as long as the change, for those it is published to */
}

void reg_apply_apps_init(struct reg *reg, struct reg_change *c)
{
    reg_catalog_free_apps(reg->catalog);
    for (size_t i = 0; i < c->n_many; i++) {
        if (reg_catalog_app(reg->catalog, c->infos[i].descriptor.name))
            continue; /* named twice: the table keeps one, too */
        struct reg_app *app = reg_app_load(reg, &c->infos[i]);
        reg_apply_check(reg, app ? reg_catalog_link_app(reg->catalog, app) : IB_ENOMEM);
    }
}
