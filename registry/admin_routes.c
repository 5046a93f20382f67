/* SPDX-License-Identifier: Apache-2.0 */
/* The registry's own admin object on the Internal adapter, and the routed admin objects: an administrator's request for
   <instance>-Registry{Server,Node,Replica}AdminRouter/<name> is passed on undecoded; whatever goes wrong, the object
   does not exist (icegrid-registry 9.6). */
#include "deployment.h"
#include "sessions.h"

#include <moulin/base/log.h>
#include <moulin/rpc/admin.h>
#include <moulin/rpc/proxy.h>

#include <stdlib.h>

#define ROUTE_MS 60000
#define NEED_MS 5000

struct reg_routes {
    struct reg_sessions *sessions;
    struct ir_admin *admin; /* owns; NULL when Ice.Admin.Enabled is 0 */
    struct ir_servant replica, node, server;
    struct ib_str replica_category, node_category, server_category;
};

/* A request on its way; in the request's arena. */
struct routed {
    struct reg *reg;
    struct ir_request *rq;
    const char *target; /* for traces; NULL: nobody reads them */
    char operation[100];
};

static void not_exist(struct ir_request *rq)
{
    ir_request_fail(rq, IR_OBJECT_NOT_EXIST, NULL);
}

static void on_reply(void *arg, const struct ir_result *r)
{
    const struct routed *x = arg;
    bool failed = r->outcome == IR_FAILED_LOCAL || r->raw_status > IR_USER_EXCEPTION;
    char text[300];

    if (x->target != NULL && failed)
        reg_trace(x->reg, REG_TRACE_ADMIN, 1, "operation `%s' routed to `%s' failed with %s", x->operation, x->target,
                  ir_result_text(r, text, sizeof(text)));
    else if (x->target != NULL)
        reg_trace(x->reg, REG_TRACE_ADMIN, 1, "operation `%s' routed to `%s' is returning successfully", x->operation,
                  x->target);
    if (failed)
        not_exist(x->rq);
    else
        ir_request_reply_raw(x->rq, r->raw_status, r->raw, r->block);
}

/* The names are a peer's, the log is for people. */
static void trace_route(struct routed *x, const struct iw_proxy *to)
{
    const struct ir_request_info *info = ir_request_info(x->rq);
    struct ib_arena *arena = ir_request_arena(x->rq);
    struct iw_proxy whole = *to;
    struct ib_str target, full;
    char facet[100];

    (void)ib_log_escape(info->operation, x->operation, sizeof(x->operation));
    (void)ib_log_escape(info->facet, facet, sizeof(facet));
    whole.has_facet = info->has_facet;
    whole.facet = ib_str(facet);
    full = ir_proxy_format(&whole, IR_UNICODE, arena);
    target = ir_identity_format(&to->id, IR_UNICODE, arena);
    if (target.p != NULL && info->facet.n != 0)
        target = ib_arena_printf(arena, "%s -f %s", target.p, facet);
    if (full.p == NULL || target.p == NULL)
        return;
    reg_trace(x->reg, REG_TRACE_ADMIN, 1, "routing operation `%s' to `%s'", x->operation, full.p);
    x->target = target.p;
}

static void forward(struct reg *reg, struct ir_request *rq, const struct iw_proxy *to)
{
    static const struct ir_call_options options = {.timeout_ms = ROUTE_MS};
    const struct ir_request_info *info = ir_request_info(rq);
    struct ir_raw_request raw = ir_raw_from(info);
    struct routed *x = IB_ARENA_NEW(ir_request_arena(rq), struct routed);

    raw.id = to->id;
    if (x != NULL) {
        *x = (struct routed){.reg = reg, .rq = rq};
        if (reg_traces(reg, REG_TRACE_ADMIN, 1))
            trace_route(x, to);
    }
    if (x == NULL || info->params_err != 0 || ir_call_raw(reg->rt, to, &raw, &options, on_reply, x) == NULL)
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

/* Admin object of a node: at the endpoints of its Node object. */
static void to_node(void *self, struct ir_request *rq)
{
    struct reg_routes *r = self;
    struct reg *reg = r->sessions->reg;
    struct ib_arena *arena = ir_request_arena(rq);
    struct ib_str name = ib_arena_str(arena, ir_request_info(rq)->id.name);
    const struct reg_node *node = name.p != NULL && may_pass(r->sessions, rq) ? reg_node_find(reg, name) : NULL;
    struct iw_identity id = {ib_arena_printf(arena, "NodeAdmin-%s", ib_cstr(name)), reg->cfg.instance};
    const struct iw_proxy *to = node != NULL && id.name.p ? ir_proxy_with_identity(node->proxy, &id, arena) : NULL;

    if (to == NULL)
        not_exist(rq);
    else
        forward(reg, rq, to);
}

/* A server's admin object is reached through its node, which knows the process (icegrid-internal 15.3). */
struct server_route { /* in the request's arena */
    struct reg *reg;
    struct ir_request *rq;
    struct iw_identity id;
};

static void on_placed(void *arg, const struct reg_placement *p)
{
    struct server_route *s = arg;
    struct ib_arena *arena = ir_request_arena(s->rq);
    const struct iw_proxy *to = p->outcome == REG_PLACED ? ir_proxy_with_identity(p->server, &s->id, arena) : NULL;

    if (to == NULL)
        not_exist(s->rq);
    else
        forward(s->reg, s->rq, to);
}

static void to_server(void *self, struct ir_request *rq)
{
    struct reg_routes *r = self;
    struct reg *reg = r->sessions->reg;
    struct ib_arena *arena = ir_request_arena(rq);
    struct server_route *s = may_pass(r->sessions, rq) ? IB_ARENA_NEW(arena, struct server_route) : NULL;

    if (s == NULL) {
        not_exist(rq);
        return;
    }
    *s = (struct server_route){reg,
                               rq,
                               {ib_arena_str(arena, ir_request_info(rq)->id.name),
                                ib_arena_printf(arena, "%s-NodeServerAdminRouter", ib_cstr(reg->cfg.instance))}};
    if (s->id.name.p == NULL || s->id.category.p == NULL || reg_catalog_server(reg->catalog, s->id.name) == NULL ||
        reg_server_need(reg, s->id.name, NEED_MS, on_placed, s) == NULL)
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
            rc = ir_adapter_set_default(adapters[i], r->node_category, on ? &r->node : NULL);
        if (rc == 0)
            rc = ir_adapter_set_default(adapters[i], r->server_category, on ? &r->server : NULL);
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
    r->node = (struct ir_servant){.raw = to_node, .self = r};
    r->server = (struct ir_servant){.raw = to_server, .self = r};
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
