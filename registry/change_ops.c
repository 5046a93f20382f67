/* SPDX-License-Identifier: Apache-2.0 */
/* What a change of objects, dynamic adapters and remembered nodes means: its key, its rules, its record, its events,
   its effect on the catalog. Applications are in change_apps.c. */
#include "change_ops.h"

#include <stdlib.h>

#include <moulin/rpc/proxy.h>

#include "rival.h"

int reg_record(const struct iw_type *type, const void *value, bool encaps, struct ib_arena *arena, struct ib_span *out)
{
    struct ib_buf b;
    ib_buf_init(&b);
    int rc = encaps ? iw_encode_params(type, value, IW_ENCODING_1_1, false, &b)
                    : iw_encode_value(type, value, IW_ENCODING_1_1, &b);
    if (!rc && !ib_buf_ok(&b))
        rc = IB_ENOMEM;
    uint8_t *p = rc ? NULL : ib_arena_alloc(arena, b.n);
    if (p) {
        memcpy(p, b.p, b.n);
        *out = (struct ib_span){p, b.n};
    }
    ib_buf_fini(&b);
    return rc ? rc : p ? 0 : IB_ENOMEM;
}

/* --- keys -------------------------------------------------------------------------------------------------------- */

static const char *identity_text(struct reg_change *c, const struct iw_identity *id)
{
    return ib_cstr(ir_identity_format(id, IR_UNICODE, &c->arena));
}

static int aim_identity(struct reg_change *c)
{
    c->key = reg_key_identity(&c->id, &c->arena);
    return c->key.n ? 0 : IB_ENOMEM;
}

static int aim_object(struct reg_change *c)
{
    if (c->object->proxy)
        c->id = c->object->proxy->id;
    return aim_identity(c);
}

int reg_aim_name(struct reg_change *c)
{
    c->key = reg_key_string(c->name, &c->arena);
    return c->key.n ? 0 : IB_ENOMEM;
}

static int aim_adapter(struct reg_change *c)
{
    c->name = c->adapter->id;
    return reg_aim_name(c);
}

/* --- objects -------------------------------------------------------------------------------------------------------
 */

/* An administrator may not touch what the registry manages itself (icegrid-registry 9.3). */
static int guard_object(struct reg *reg, struct reg_change *c, const char *verb)
{
    if (!reg_writable(reg))
        return reg_change_fail_deployment(c, "%s", REG_READ_ONLY_TEXT);
    if (ib_str_eq(c->id.category, reg->cfg.instance))
        return reg_change_fail_deployment(c,
                                          "%s object `%s' is not allowed:\nobjects with identity category `%s' are "
                                          "managed by IceGrid",
                                          verb, identity_text(c, &c->id), ib_cstr(reg->cfg.instance));
    return 0;
}

/* Update and remove: only what an administrator added. *old gets the record. */
static int find_added(struct reg *reg, struct reg_change *c, const char *verb, struct IceGrid_ObjectInfo *old)
{
    int rc = guard_object(reg, c, verb);
    if (rc)
        return rc;
    struct reg_app_object *deployed = reg_catalog_app_object(reg->catalog, &c->id);
    if (deployed)
        return reg_change_fail_deployment(c,
                                          "%s object `%s' is not allowed:\nthe object was added with the application "
                                          "descriptor `%s%s",
                                          verb, identity_text(c, &c->id), ib_cstr(deployed->app->name),
                                          c->op == REG_OBJECT_REMOVE ? "" : "'" /* as the original */);
    rc = reg_catalog_object(reg->catalog, &c->id, &c->arena, old);
    if (rc == IB_ENOTFOUND) {
        struct IceGrid_ObjectNotRegisteredException ex = {.id = c->id};
        return reg_change_fail_with(c, &IceGrid_ObjectNotRegisteredException_class, &ex, sizeof ex);
    }
    return rc ? reg_change_fail_nomem(c) : 0;
}

static int write_object(struct reg_change *c, struct store_batch *b, enum reg_table table, int event)
{
    struct reg_event *ev = event < 0 ? NULL : reg_event_add(c, (enum reg_event_kind)event);
    if ((event >= 0 && !ev) || reg_record(&IceGrid_ObjectInfo_type, c->object, false, &c->arena, &c->record))
        return reg_change_fail_nomem(c);
    if (ev) {
        ev->object = c->object;
        ev->id = c->id;
    }
    store_batch_put(b, table, c->key, c->record);
    return 0;
}

static int prepare_object_add(struct reg *reg, struct reg_change *c, struct store_batch *b)
{
    int rc = guard_object(reg, c, "adding");
    if (rc)
        return rc;
    if (reg_catalog_app_object(reg->catalog, &c->id) || reg_catalog_has_object(reg->catalog, &c->id)) {
        struct IceGrid_ObjectExistsException ex = {.id = c->id};
        return reg_change_fail_with(c, &IceGrid_ObjectExistsException_class, &ex, sizeof ex);
    }
    if (c->key.n > REG_KEY_MAX || c->object->type.n > REG_KEY_MAX - 5)
        return reg_change_fail_deployment(c, "object %s is too long: %s", c->key.n > REG_KEY_MAX ? "identity" : "type",
                                          c->key.n > REG_KEY_MAX ? identity_text(c, &c->id) : ib_cstr(c->object->type));
    return write_object(c, b, REG_OBJECTS, REG_EV_OBJECT_ADDED);
}

static int prepare_object_update(struct reg *reg, struct reg_change *c, struct store_batch *b)
{
    struct IceGrid_ObjectInfo old;
    int rc = find_added(reg, c, "updating", &old);
    if (rc)
        return rc;
    c->object->type = old.type;
    return write_object(c, b, REG_OBJECTS, REG_EV_OBJECT_UPDATED);
}

static int drop_object(struct reg_change *c, struct store_batch *b)
{
    struct reg_event *ev = reg_event_add(c, REG_EV_OBJECT_REMOVED);
    if (!ev)
        return reg_change_fail_nomem(c);
    ev->id = c->id;
    store_batch_del(b, REG_OBJECTS, c->key);
    return 0;
}

static int prepare_object_remove(struct reg *reg, struct reg_change *c, struct store_batch *b)
{
    struct IceGrid_ObjectInfo old;
    int rc = find_added(reg, c, "removing", &old);
    return rc ? rc : drop_object(c, b);
}

static int prepare_object_put(struct reg *reg, struct reg_change *c, struct store_batch *b)
{
    if (!c->object->proxy || c->key.n > REG_KEY_MAX)
        return reg_change_fail(c, IB_EINVAL, "the object's %s",
                               c->object->proxy ? "identity is too long" : "proxy is null");
    bool known = reg_catalog_has_object(reg->catalog, &c->id);
    return write_object(c, b, REG_OBJECTS, known ? REG_EV_OBJECT_UPDATED : REG_EV_OBJECT_ADDED);
}

static int prepare_object_drop(struct reg *reg, struct reg_change *c, struct store_batch *b)
{
    if (reg_catalog_has_object(reg->catalog, &c->id))
        return drop_object(c, b);
    c->idle = !c->serial; /* a serial of the master's is kept even when there is nothing to remove */
    return 0;
}

static int prepare_node_put(struct reg *reg, struct reg_change *c, struct store_batch *b)
{
    (void)reg;
    if (!c->object->proxy || c->key.n > REG_KEY_MAX)
        return reg_change_fail(c, IB_EINVAL, "the node's name is too long");
    return write_object(c, b, REG_NODES, -1);
}

static int prepare_node_drop(struct reg *reg, struct reg_change *c, struct store_batch *b)
{
    (void)reg;
    store_batch_del(b, REG_NODES, c->key);
    return 0;
}

/* --- dynamic adapters -----------------------------------------------------------------------------------------------
 */

static int write_adapter(struct reg *reg, struct reg_change *c, struct store_batch *b)
{
    bool known = reg_catalog_has_dynamic(reg->catalog, c->name);
    if (!c->adapter->proxy) {
        if (!known) {
            c->idle = !c->serial;
            return 0;
        }
        struct reg_event *ev = reg_event_add(c, REG_EV_ADAPTER_REMOVED);
        if (!ev)
            return reg_change_fail_nomem(c);
        ev->name = c->name;
        store_batch_del(b, REG_ADAPTERS, c->key);
        return 0;
    }
    struct reg_event *ev = reg_event_add(c, known ? REG_EV_ADAPTER_UPDATED : REG_EV_ADAPTER_ADDED);
    if (!ev || reg_record(&IceGrid_AdapterInfo_type, c->adapter, false, &c->arena, &c->record))
        return reg_change_fail_nomem(c);
    ev->adapter = c->adapter;
    ev->name = c->name;
    store_batch_put(b, REG_ADAPTERS, c->key, c->record);
    return 0;
}

static int adapter_exists(struct reg_change *c)
{
    struct IceGrid_AdapterExistsException ex = {.id = c->name};
    ib_err_set(&c->err, IB_EEXISTS, "adapter `%s' already exists and belongs to an application", ib_cstr(c->name));
    return reg_change_fail_with(c, &IceGrid_AdapterExistsException_class, &ex, sizeof ex);
}

static int prepare_adapter_set(struct reg *reg, struct reg_change *c, struct store_batch *b)
{
    if (!reg->cfg.master || reg_rival_doubt(reg))
        return reg_change_fail_deployment(c, "%s", REG_READ_ONLY_TEXT);
    if (reg_catalog_adapter(reg->catalog, c->name) || reg_catalog_group(reg->catalog, c->name))
        return adapter_exists(c);
    struct ib_str group = c->adapter->replicaGroupId;
    const struct reg_group *deployed = group.n ? reg_catalog_group(reg->catalog, group) : NULL;
    const struct reg_adapter *adapter = group.n ? reg_catalog_adapter(reg->catalog, group) : NULL;
    if (deployed || adapter)
        return reg_change_fail_deployment(
            c,
            "registering adapter `%s' with the replica group `%s' is not allowed:\nthe replica group was added with "
            "the "
            "application descriptor `%s': only adapters of descriptors can be its members",
            ib_cstr(c->name), ib_cstr(group), ib_cstr(deployed ? deployed->app->name : adapter->server->app->name));
    if (c->key.n > REG_KEY_MAX || group.n > REG_KEY_MAX - 5)
        return reg_change_fail_deployment(c, "the adapter id or replica group id is too long: at most %d bytes",
                                          REG_KEY_MAX - 5);
    return write_adapter(reg, c, b);
}

static int prepare_adapter_put(struct reg *reg, struct reg_change *c, struct store_batch *b)
{
    if (reg_catalog_adapter(reg->catalog, c->name))
        return adapter_exists(c);
    if (c->key.n > REG_KEY_MAX)
        return reg_change_fail(c, IB_ELIMIT, "the adapter id is too long");
    return write_adapter(reg, c, b);
}

static int drop_adapter(struct reg *reg, struct reg_change *c, struct store_batch *b)
{
    c->adapter = IB_ARENA_NEW(&c->arena, struct IceGrid_AdapterInfo);
    if (!c->adapter)
        return reg_change_fail_nomem(c);
    c->adapter->id = c->name;
    return write_adapter(reg, c, b);
}

/* The members of a dynamic group live on without it (icegrid-registry 8.2, 9.3). */
static int dissolve_group(struct reg *reg, struct reg_change *c, struct store_batch *b)
{
    c->n_many = reg_catalog_dynamics(reg->catalog, &c->name, &c->arena, &c->adapters);
    if (c->n_many == SIZE_MAX) {
        c->n_many = 0;
        return reg_change_fail_nomem(c);
    }
    for (size_t i = 0; i < c->n_many; i++) {
        struct ib_span record;
        c->adapters[i].replicaGroupId = ib_str("");
        struct reg_event *ev = reg_event_add(c, REG_EV_ADAPTER_UPDATED);
        struct ib_span key = reg_key_string(c->adapters[i].id, &c->arena);
        if (!ev || !key.n || reg_record(&IceGrid_AdapterInfo_type, &c->adapters[i], false, &c->arena, &record))
            return reg_change_fail_nomem(c);
        ev->adapter = &c->adapters[i];
        ev->name = c->adapters[i].id;
        store_batch_put(b, REG_ADAPTERS, key, record);
    }
    return 0;
}

static int prepare_adapter_remove(struct reg *reg, struct reg_change *c, struct store_batch *b)
{
    if (!reg_writable(reg))
        return reg_change_fail_deployment(c, "%s", REG_READ_ONLY_TEXT);
    struct reg_adapter *a = reg_catalog_adapter(reg->catalog, c->name);
    struct reg_group *g = reg_catalog_group(reg->catalog, c->name);
    if (a || g)
        return reg_change_fail_deployment(c,
                                          "removing adapter `%s' is not allowed:\nthe adapter was added with the "
                                          "application descriptor `%s'",
                                          ib_cstr(c->name), ib_cstr(a ? a->server->app->name : g->app->name));
    if (reg_catalog_has_dynamic(reg->catalog, c->name))
        return drop_adapter(reg, c, b);
    if (reg_catalog_has_dynamic_group(reg->catalog, c->name))
        return dissolve_group(reg, c, b);
    struct IceGrid_AdapterNotExistException ex = {.id = c->name};
    return reg_change_fail_with(c, &IceGrid_AdapterNotExistException_class, &ex, sizeof ex);
}

static int prepare_adapter_drop(struct reg *reg, struct reg_change *c, struct store_batch *b)
{
    return drop_adapter(reg, c, b);
}

/* --- whole tables, from the master
 * ------------------------------------------------------------------------------------ */

static int prepare_objects_init(struct reg *reg, struct reg_change *c, struct store_batch *b)
{
    (void)reg;
    if (!reg_event_add(c, REG_EV_OBJECTS_INIT))
        return reg_change_fail_nomem(c);
    c->written = IB_ARENA_ARRAY(&c->arena, c->n_many, struct reg_written);
    if (!c->written)
        return reg_change_fail_nomem(c);
    store_batch_clear(b, REG_OBJECTS);
    for (size_t i = 0; i < c->n_many; i++) {
        struct reg_written *w = &c->written[i];
        if (!c->objects[i].proxy)
            return reg_change_fail(c, IB_EINVAL, "an object's proxy is null");
        w->key = reg_key_identity(&c->objects[i].proxy->id, &c->arena);
        if (!w->key.n || reg_record(&IceGrid_ObjectInfo_type, &c->objects[i], false, &c->arena, &w->record))
            return reg_change_fail_nomem(c);
        if (w->key.n > REG_KEY_MAX)
            return reg_change_fail(c, IB_EINVAL, "an object's identity is too long");
        store_batch_put(b, REG_OBJECTS, w->key, w->record);
    }
    return 0;
}

static int prepare_adapters_init(struct reg *reg, struct reg_change *c, struct store_batch *b)
{
    (void)reg;
    if (!reg_event_add(c, REG_EV_ADAPTERS_INIT))
        return reg_change_fail_nomem(c);
    c->written = IB_ARENA_ARRAY(&c->arena, c->n_many, struct reg_written);
    if (!c->written)
        return reg_change_fail_nomem(c);
    store_batch_clear(b, REG_ADAPTERS);
    for (size_t i = 0; i < c->n_many; i++) {
        struct reg_written *w = &c->written[i];
        w->key = reg_key_string(c->adapters[i].id, &c->arena);
        if (!w->key.n || reg_record(&IceGrid_AdapterInfo_type, &c->adapters[i], false, &c->arena, &w->record))
            return reg_change_fail_nomem(c);
        if (w->key.n > REG_KEY_MAX)
            return reg_change_fail(c, IB_EINVAL, "an adapter's id is too long");
        store_batch_put(b, REG_ADAPTERS, w->key, w->record);
    }
    return 0;
}

/* --- effects on the catalog
 * --------------------------------------------------------------------------------------------- */

/* The disk has it already: a catalog that cannot follow for want of memory would tell lies. The restart loads the
 * truth. */
void reg_apply_check(struct reg *reg, int rc)
{
    if (!rc)
        return;
    ib_log_error(reg->log, "out of memory while applying a committed change: the registry stops, nothing is lost");
    abort();
}

static void apply_object(struct reg *reg, struct reg_change *c)
{
    if (c->record.n)
        reg_apply_check(reg, reg_catalog_put_object(reg->catalog, c->key, c->record));
    else
        reg_catalog_del_object(reg->catalog, c->key);
}

static void apply_node(struct reg *reg, struct reg_change *c)
{
    if (c->record.n)
        reg_apply_check(reg, reg_catalog_put_node(reg->catalog, c->key, c->record));
    else
        reg_catalog_del_node(reg->catalog, c->key);
}

static void put_adapters(struct reg *reg, struct reg_change *c)
{
    for (size_t i = 0; i < c->n_many; i++) {
        struct ib_span key = reg_key_string(c->adapters[i].id, &c->arena), record = {NULL, 0};
        int rc = key.n ? reg_record(&IceGrid_AdapterInfo_type, &c->adapters[i], false, &c->arena, &record) : IB_ENOMEM;
        reg_apply_check(reg, rc ? rc : reg_catalog_put_dynamic(reg->catalog, key, record));
    }
}

static void apply_adapter(struct reg *reg, struct reg_change *c)
{
    if (c->n_many)
        put_adapters(reg, c);
    else if (c->record.n)
        reg_apply_check(reg, reg_catalog_put_dynamic(reg->catalog, c->key, c->record));
    else
        reg_catalog_del_dynamic(reg->catalog, c->key);
}

static void apply_adapters_init(struct reg *reg, struct reg_change *c)
{
    reg_catalog_clear_dynamics(reg->catalog);
    for (size_t i = 0; i < c->n_many; i++)
        reg_apply_check(reg, reg_catalog_put_dynamic(reg->catalog, c->written[i].key, c->written[i].record));
}

static void apply_objects_init(struct reg *reg, struct reg_change *c)
{
    reg_catalog_clear_objects(reg->catalog);
    for (size_t i = 0; i < c->n_many; i++)
        reg_apply_check(reg, reg_catalog_put_object(reg->catalog, c->written[i].key, c->written[i].record));
}

static int prepare_settled(struct reg *reg, struct reg_change *c, struct store_batch *b)
{
    int table = reg_change_kinds[c->op].table;
    (void)b;
    c->settled = c->serial;
    c->serial = reg->db_serial[table];
    c->idle = c->settled <= reg->settled[table] || reg->settled[table] == c->serial;
    return 0;
}

static void apply_nothing(struct reg *reg, struct reg_change *c)
{
    (void)reg, (void)c;
}

const struct reg_change_kind reg_change_kinds[REG_CHANGE_OP_MAX] = {
    /*                     name                table   counts alone  aim           prepare                 apply */
    [REG_OBJECT_ADD] = {"object added", REG_OBJECTS, true, false, aim_object, prepare_object_add, apply_object},
    [REG_OBJECT_UPDATE] = {"object updated", REG_OBJECTS, true, false, aim_object, prepare_object_update, apply_object},
    [REG_OBJECT_REMOVE] = {"object removed", REG_OBJECTS, true, false, aim_identity, prepare_object_remove,
                           apply_object},
    [REG_ADAPTER_SET] = {"adapter set", REG_ADAPTERS, true, false, aim_adapter, prepare_adapter_set, apply_adapter},
    [REG_ADAPTER_REMOVE] = {"adapter removed", REG_ADAPTERS, true, true, reg_aim_name, prepare_adapter_remove,
                            apply_adapter},
    [REG_APP_ADD] = {"application added", REG_APPLICATIONS, true, true, reg_aim_app, reg_prepare_app_add,
                     reg_apply_app},
    [REG_APP_UPDATE] = {"application updated", REG_APPLICATIONS, true, true, reg_aim_app, reg_prepare_app_update,
                        reg_apply_app},
    [REG_APP_SYNC] = {"application synchronized", REG_APPLICATIONS, true, true, reg_aim_app, reg_prepare_app_sync,
                      reg_apply_app},
    [REG_APP_REMOVE] = {"application removed", REG_APPLICATIONS, true, true, reg_aim_name, reg_prepare_app_remove,
                        reg_apply_app},
    [REG_OBJECT_PUT] = {"object", REG_OBJECTS, false, false, aim_object, prepare_object_put, apply_object},
    [REG_OBJECT_DROP] = {"object removed", REG_OBJECTS, false, false, aim_identity, prepare_object_drop, apply_object},
    [REG_ADAPTERS_SETTLED] = {"adapters settled", REG_ADAPTERS, false, true, NULL, prepare_settled, apply_nothing},
    [REG_OBJECTS_SETTLED] = {"objects settled", REG_OBJECTS, false, true, NULL, prepare_settled, apply_nothing},
    [REG_ADAPTER_PUT] = {"adapter", REG_ADAPTERS, false, false, aim_adapter, prepare_adapter_put, apply_adapter},
    [REG_ADAPTER_DROP] = {"adapter removed", REG_ADAPTERS, false, false, reg_aim_name, prepare_adapter_drop,
                          apply_adapter},
    [REG_APP_PUT] = {"application added", REG_APPLICATIONS, false, true, reg_aim_app, reg_prepare_app_put,
                     reg_apply_app},
    [REG_APP_PATCH] = {"application updated", REG_APPLICATIONS, false, true, reg_aim_app, reg_prepare_app_patch,
                       reg_apply_app},
    [REG_APP_DROP] = {"application removed", REG_APPLICATIONS, false, true, reg_aim_name, reg_prepare_app_drop,
                      reg_apply_app},
    [REG_APPS_INIT] = {"applications", REG_APPLICATIONS, false, true, NULL, reg_prepare_apps_init, reg_apply_apps_init},
    [REG_ADAPTERS_INIT] = {"adapters", REG_ADAPTERS, false, true, NULL, prepare_adapters_init, apply_adapters_init},
    [REG_OBJECTS_INIT] = {"objects", REG_OBJECTS, false, true, NULL, prepare_objects_init, apply_objects_init},
    [REG_NODE_PUT] = {"node", REG_NODES, false, false, aim_object, prepare_node_put, apply_node},
    [REG_NODE_DROP] = {"node removed", REG_NODES, false, false, aim_identity, prepare_node_drop, apply_node},
    [REG_NOTE] = {"note", -1, false, true, NULL, NULL, NULL},
};
