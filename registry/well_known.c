/* SPDX-License-Identifier: Apache-2.0 */
/* Makes and registers the registries' own objects. They live in the object table, unversioned, and reach slaves and
   observers through the one door. */
#include "well_known.h"

#include <stdlib.h>

#include "replication.h"
#include "slices.h"

struct row {
    const char *name, *type;
    struct ir_adapter *adapter;
    bool plain; /* never gets the replica's name */
};

static int append(struct reg *reg, struct ib_arena *arena, struct IceGrid_ObjectInfoSeq *out, const struct row *row)
{
    struct iw_identity id = row->plain ? reg_identity(reg, row->name) : reg_replica_identity(reg, row->name, arena);
    struct iw_proxy *prx = id.name.p ? ir_adapter_direct_proxy(row->adapter, &id, arena) : NULL;
    if (!prx)
        return IB_ENOMEM;
    out->v[out->n++] = (struct IceGrid_ObjectInfo){.proxy = prx, .type = ib_str(row->type)};
    return 0;
}

int reg_own_objects(struct reg *reg, struct ib_arena *arena, struct IceGrid_ObjectInfoSeq *out)
{
    struct ir_adapter *sm = reg->cfg.master ? reg->session_manager : NULL, *asm_ = reg->admin_session_manager;
    struct ib_str internal = ib_arena_printf(arena, "InternalRegistry-%s", reg->cfg.replica.p);
    bool mapper = *ir_properties_get(ir_runtime_properties(reg->rt), "IceGrid.Registry.UserAccounts");
    const struct row rows[] = {
        {internal.p, "::IceGrid::InternalRegistry", reg->internal, true},
        {"Registry", "::IceGrid::Registry", reg->client, false},
        {"RegistryUserAccountMapper", "::IceGrid::UserAccountMapper", mapper ? reg->internal : NULL, false},
        {"SessionManager", "::Glacier2::SessionManager", sm, false},
        {"SSLSessionManager", "::Glacier2::SSLSessionManager", sm, false},
        {"AdminSessionManager", "::Glacier2::SessionManager", asm_, false},
        {"AdminSSLSessionManager", "::Glacier2::SSLSessionManager", asm_, false},
    };
    const size_t n = sizeof rows / sizeof *rows;
    *out = (struct IceGrid_ObjectInfoSeq){0, IB_ARENA_ARRAY(arena, n, struct IceGrid_ObjectInfo)};
    if (!out->v || !internal.p)
        return IB_ENOMEM;
    int rc = 0;
    for (size_t i = 0; i < n && !rc; i++)
        if (rows[i].adapter)
            rc = append(reg, arena, out, &rows[i]);
    return rc;
}

static int append_endpoints(struct iw_proxy *prx, const struct iw_endpoint *more, size_t n, struct ib_arena *arena)
{
    struct iw_endpoint *all = IB_ARENA_ARRAY(arena, prx->n_endpoints + n, struct iw_endpoint);
    if (!all)
        return IB_ENOMEM;
    if (prx->n_endpoints)
        memcpy(all, prx->endpoints, prx->n_endpoints * sizeof *all);
    if (n)
        memcpy(all + prx->n_endpoints, more, n * sizeof *all);
    prx->endpoints = all;
    prx->n_endpoints += n;
    return 0;
}

/* A proxy to objects of several replicas has the options of none of their adapters. */
static void forget_options(struct reg *reg, struct iw_proxy *prx)
{
    prx->mode = IW_TWOWAY;
    prx->secure = false;
    prx->encoding = ir_runtime_proxy_defaults(reg->rt)->encoding;
}

int reg_shared_objects(struct reg *reg, struct ib_arena *arena, struct IceGrid_ObjectInfoSeq *out)
{
    const struct row rows[] = {
        {"Query", "::IceGrid::Query", reg->client, true},
        {"Locator", "::Ice::Locator", reg->client, true},
        {"LocatorRegistry", "::Ice::LocatorRegistry", reg->server, true},
    };
    *out = (struct IceGrid_ObjectInfoSeq){0, IB_ARENA_ARRAY(arena, 3, struct IceGrid_ObjectInfo)};
    if (!out->v)
        return IB_ENOMEM;
    int rc = 0;
    for (size_t i = 0; i < 3 && !rc; i++) {
        rc = append(reg, arena, out, &rows[i]);
        if (!rc)
            forget_options(reg, out->v[i].proxy);
        const struct iw_proxy *slave;
        const char *endpoints = rows[i].adapter == reg->client ? "Client" : "Server";
        for (size_t k = 0; !rc && (slave = reg_slave_endpoints(reg, k, endpoints)) != NULL; k++)
            rc = append_endpoints(out->v[i].proxy, slave->endpoints, slave->n_endpoints, arena);
    }
    return rc;
}

/* --- registering ----------------------------------------------------------------------------------------------------
 */

struct pending {
    size_t open;
    void (*done)(void *arg);
    void *arg;
};

static void one_done(struct pending *p)
{
    if (--p->open)
        return;
    if (p->done)
        p->done(p->arg);
    free(p);
}

static void put_done(void *arg, struct reg_change *c)
{
    if (c->code && c->code != IB_EDESTROYED)
        ib_log_error(c->reg->log, "cannot register a well-known object: %s", c->err.text);
    one_done(arg);
}

void reg_put_objects(struct reg *reg, const struct IceGrid_ObjectInfoSeq *objects, void (*done)(void *arg), void *arg)
{
    struct pending *p = malloc(sizeof *p);
    if (!p) {
        ib_log_error(reg->log, "cannot register the well-known objects: out of memory");
        if (done)
            done(arg);
        return;
    }
    *p = (struct pending){objects->n + 1, done, arg};
    for (size_t i = 0; i < objects->n; i++) {
        struct reg_change *c = reg_change_new(REG_OBJECT_PUT, put_done, p);
        if (!c || reg_change_set_object(c, &objects->v[i])) {
            reg_change_unref(c);
            ib_log_error(reg->log, "cannot register a well-known object: out of memory");
            one_done(p);
            continue;
        }
        reg_change_submit(reg, c);
    }
    one_done(p);
}

static void put_shared_and(struct reg *reg, bool own, void (*done)(void *arg), void *arg)
{
    struct ib_arena arena;
    struct IceGrid_ObjectInfoSeq shared, mine = {0, NULL}, all;
    ib_arena_init(&arena, 0);
    int rc = reg_shared_objects(reg, &arena, &shared);
    if (!rc && own)
        rc = reg_own_objects(reg, &arena, &mine);
    all = (struct IceGrid_ObjectInfoSeq){0, rc ? NULL : IB_ARENA_ARRAY(&arena, 16, struct IceGrid_ObjectInfo)};
    if (all.v) {
        memcpy(all.v, shared.v, shared.n * sizeof *all.v);
        if (mine.n)
            memcpy(all.v + shared.n, mine.v, mine.n * sizeof *all.v);
        all.n = shared.n + mine.n;
    } else {
        ib_log_error(reg->log, "cannot register the well-known objects: out of memory");
    }
    reg_put_objects(reg, &all, done, arg);
    ib_arena_fini(&arena);
}

void reg_register_objects(struct reg *reg, void (*done)(void *arg), void *arg)
{
    put_shared_and(reg, true, done, arg);
}

void reg_update_shared_objects(struct reg *reg, void (*done)(void *arg), void *arg)
{
    put_shared_and(reg, false, done, arg);
}

/* --- handing out
 * ------------------------------------------------------------------------------------------------------ */

struct iw_proxy *reg_shared_proxy(struct reg *reg, const char *name, struct ir_adapter *adapter, struct ib_arena *arena)
{
    struct iw_identity id = reg_identity(reg, name);
    struct iw_proxy *prx = ir_adapter_direct_proxy(adapter, &id, arena);
    struct IceGrid_ObjectInfo info;
    if (prx)
        forget_options(reg, prx);
    if (!prx || reg_catalog_object(reg->catalog, &id, arena, &info) || !info.proxy)
        return prx;
    size_t own = prx->n_endpoints;
    for (size_t i = 0; i < info.proxy->n_endpoints; i++) {
        const struct iw_endpoint *ep = &info.proxy->endpoints[i];
        bool mine = false;
        for (size_t k = 0; k < own && !mine; k++)
            mine = iw_endpoint_equal(&prx->endpoints[k], ep);
        if (!mine && append_endpoints(prx, ep, 1, arena))
            return NULL;
    }
    return prx;
}
