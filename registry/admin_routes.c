/* SPDX-License-Identifier: Apache-2.0 */
/* The registry's own admin object on the Internal adapter, and the routed admin objects: an administrator's request for
   <instance>-Registry{Server,Node,Replica}AdminRouter/<name> is passed on undecoded; whatever goes wrong, the object
   does not exist (icegrid-registry 9.6). */
#include "sessions.h"

#include <moulin/base/log.h>
#include <moulin/rpc/admin.h>

#include <stdlib.h>

#define ROUTE_MS 60000

struct reg_routes {
    struct reg_sessions *sessions;
    struct ir_admin *admin; /* owns; NULL when Ice.Admin.Enabled is 0 */
    struct ir_servant replica, nowhere;
    struct ib_str replica_category, node_category, server_category;
};

static void not_exist(struct ir_request *rq)
{
    ir_request_fail(rq, IR_OBJECT_NOT_EXIST, NULL);
}

static void on_reply(void *arg, const struct ir_result *r)
{
    struct ir_request *rq = arg;

    if (r->outcome == IR_FAILED_LOCAL || r->raw_status > IR_USER_EXCEPTION)
        not_exist(rq);
    else
        ir_request_reply_raw(rq, r->raw_status, r->raw, r->block);
}

static void forward(struct reg *reg, struct ir_request *rq, const struct iw_proxy *to)
{
    static const struct ir_call_options options = {.timeout_ms = ROUTE_MS};
    const struct ir_request_info *info = ir_request_info(rq);
    struct ir_raw_request raw = {
        .id = to->id,
        .has_facet = info->has_facet,
        .facet = info->facet,
        .operation = info->operation,
        .mode = info->mode,
        .context_raw = info->context_raw,
        .params = info->params,
        .block = info->block,
    };

    if (info->params_err != 0 || ir_call_raw(reg->rt, to, &raw, &options, on_reply, rq) == NULL)
        not_exist(rq);
}

/* On the Client adapter only connections with an admin session come through. */
static bool may_pass(const struct reg_sessions *ss, const struct ir_request *rq)
{
    struct ir_conn *conn = ir_request_conn(rq);
    struct reg_session_conn *c = NULL;

    if (ir_request_adapter(rq) != ss->reg->client)
        return true;
    HASH_FIND_PTR(ss->conns, &conn, c);
    if (c == NULL)
        return false;
    IB_LIST_FOREACH(it, &c->mine)
    {
        if (IB_CONTAINER(it, struct reg_session, conn_node)->kind == REG_ADMIN_SESSION)
            return true;
    }
    return false;
}

/* Admin object of a connected slave: its identity on the endpoints of its InternalRegistry. */
static const struct iw_proxy *slave_admin(struct reg *reg, struct ib_str name, struct ib_arena *arena)
{
    struct reg_slave_info *slaves;
    size_t n = reg_slaves(reg, arena, &slaves);
    struct iw_identity id = {{NULL, 0}, reg->cfg.instance};

    for (size_t i = 0; n != SIZE_MAX && i < n; i++) {
        if (!ib_str_eq(slaves[i].name, name))
            continue;
        id.name = ib_arena_printf(arena, "RegistryAdmin-%s", ib_cstr(name));
        return id.name.p != NULL ? ir_proxy_with_identity(slaves[i].proxy, &id, arena) : NULL;
    }
    return NULL;
}

static void to_replica(void *self, struct ir_request *rq)
{
    struct reg_routes *r = self;
    struct reg *reg = r->sessions->reg;
    struct ib_arena *arena = ir_request_arena(rq);
    struct ib_str name = ib_arena_str(arena, ir_request_info(rq)->id.name);
    const struct iw_proxy *to = NULL;

    if (name.p != NULL && may_pass(r->sessions, rq)) {
        if (!ib_str_eq(name, reg->cfg.replica))
            to = slave_admin(reg, name, arena);
        else if (r->admin != NULL)
            to = ir_admin_proxy(r->admin);
    }
    if (to == NULL)
        not_exist(rq);
    else
        forward(reg, rq, to);
}

/* Servers and nodes are reached through nodes, of which none is connected. */
static void to_nowhere(void *self, struct ir_request *rq)
{
    (void)self;
    not_exist(rq);
}

static void on_shutdown(void *arg)
{
    reg_quit(arg);
}

static int start_admin(struct reg_routes *r, struct ib_err *err)
{
    struct reg *reg = r->sessions->reg;
    struct iw_identity id = {{NULL, 0}, reg->cfg.instance};
    int enabled, rc = ir_properties_int(ir_runtime_properties(reg->rt), "Ice.Admin.Enabled", 1, &enabled, err);

    if (rc != 0 || enabled < 1)
        return rc;
    id.name = ib_arena_printf(&reg->arena, "RegistryAdmin-%s", ib_cstr(reg->cfg.replica));
    if (id.name.p == NULL)
        return ib_err_set(err, IB_ENOMEM, "out of memory");
    return ir_admin_create_on(reg->rt, reg->internal, &id, on_shutdown, reg, &r->admin, err);
}

static int set_defaults(struct reg_routes *r, bool on)
{
    struct reg *reg = r->sessions->reg;
    struct ir_adapter *const adapters[2] = {reg->client, reg->admin_session_manager};
    int rc = 0;

    for (size_t i = 0; i < 2 && rc == 0; i++) {
        if (adapters[i] == NULL)
            continue;
        rc = ir_adapter_set_default(adapters[i], r->replica_category, on ? &r->replica : NULL);
        if (rc == 0)
            rc = ir_adapter_set_default(adapters[i], r->node_category, on ? &r->nowhere : NULL);
        if (rc == 0)
            rc = ir_adapter_set_default(adapters[i], r->server_category, on ? &r->nowhere : NULL);
    }
    return rc;
}

int reg_routes_start(struct reg_sessions *ss, struct ib_err *err)
{
    struct reg_routes *r = calloc(1, sizeof(*r));
    const char *instance = ib_cstr(ss->reg->cfg.instance);
    int rc;

    if (r == NULL)
        return ib_err_set(err, IB_ENOMEM, "out of memory");
    ss->routes = r;
    r->sessions = ss;
    r->replica = (struct ir_servant){.raw = to_replica, .self = r};
    r->nowhere = (struct ir_servant){.raw = to_nowhere, .self = r};
    r->replica_category = ib_arena_printf(&ss->reg->arena, "%s-RegistryReplicaAdminRouter", instance);
    r->node_category = ib_arena_printf(&ss->reg->arena, "%s-RegistryNodeAdminRouter", instance);
    r->server_category = ib_arena_printf(&ss->reg->arena, "%s-RegistryServerAdminRouter", instance);
    if (!r->replica_category.p || !r->node_category.p || !r->server_category.p)
        return ib_err_set(err, IB_ENOMEM, "out of memory");
    rc = set_defaults(r, true);
    return rc == 0 ? start_admin(r, err) : ib_err_set(err, rc, "cannot route admin objects: %s", ib_err_text(rc));
}

void reg_routes_stop(struct reg_sessions *ss)
{
    struct reg_routes *r = ss->routes;

    if (r == NULL)
        return;
    ss->routes = NULL;
    if (set_defaults(r, false) != 0)
        ib_log_warning(ss->reg->log, "cannot withdraw the routes to admin objects");
    ir_admin_free(r->admin);
    free(r);
}
