/* SPDX-License-Identifier: Apache-2.0 */
/* What the database holds, into the catalog, at start. */
#include "change_priv.h"

static int load_object(void *arg, struct ib_span key, struct ib_span value, struct ib_err *err)
{
    int rc = reg_catalog_put_object(arg, key, value);
    return rc ? ib_err_set(err, rc, "cannot read an object record of the database: %s", ib_err_text(rc)) : 0;
}

static int load_adapter(void *arg, struct ib_span key, struct ib_span value, struct ib_err *err)
{
    int rc = reg_catalog_put_dynamic(arg, key, value);
    return rc ? ib_err_set(err, rc, "cannot read an adapter record of the database: %s", ib_err_text(rc)) : 0;
}

static int load_node(void *arg, struct ib_span key, struct ib_span value, struct ib_err *err)
{
    int rc = reg_catalog_put_node(arg, key, value);
    return rc ? ib_err_set(err, rc, "cannot read a node record of the database: %s", ib_err_text(rc)) : 0;
}

static int load_application(void *arg, struct ib_span key, struct ib_span value, struct ib_err *err)
{
    struct reg *reg = arg;
    struct ib_arena arena;
    void *info;
    (void)key;
    ib_arena_init(&arena, 0);
    int rc = iw_decode_params(&IceGrid_ApplicationInfo_type, value, ir_runtime_types(reg->rt), IW_LIMITS_DEFAULT,
                              &arena, &info);
    struct reg_app *app = rc ? NULL : reg_app_load(reg, info);
    if (!rc)
        rc = app ? reg_catalog_link_app(reg->catalog, app) : IB_ENOMEM;
    if (rc) {
        reg_app_free(app);
        ib_err_set(err, rc, "cannot read an application record of the database: %s", ib_err_text(rc));
    }
    ib_arena_fini(&arena);
    return rc;
}

int reg_changes_load(struct reg *reg, struct ib_err *err)
{
    for (int t = 0; t < REG_SERIALS; t++) {
        reg->db_serial[t] = reg_store_serial(reg->store, (enum reg_table)t);
        reg->settled[t] = reg_store_settled(reg->store, (enum reg_table)t);
    }
    int rc = reg_store_each(reg->store, REG_OBJECTS, load_object, reg->catalog, err);
    if (!rc)
        rc = reg_store_each(reg->store, REG_ADAPTERS, load_adapter, reg->catalog, err);
    if (!rc)
        rc = reg_store_each(reg->store, REG_NODES, load_node, reg->catalog, err);
    if (!rc)
        rc = reg_store_each(reg->store, REG_APPLICATIONS, load_application, reg, err);
    return rc;
}
