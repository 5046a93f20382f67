/* SPDX-License-Identifier: Apache-2.0 */
/* IN/LocatorRegistry: servers tell their endpoints (icegrid-registry 5). What is deployed is passed on to its node;
   other adapters are dynamic, stored by the master whichever replica was asked. */
#include "deployment.h"
#include "replication.h"
#include "slices.h"

#include <moulin/rpc/proxy.h>
#include <stdlib.h>

#include <moulin/rpc/proxy.h>

struct locator_registry {
    struct reg *reg;
    struct ir_servant servant;
};

/* Both operations that set adapters answer alike: nothing, or the same exceptions. */
static void succeed(struct ir_request *rq)
{
    Ice_LocatorRegistry_setAdapterDirectProxy_reply(rq, NULL);
}

static void not_found(struct reg *reg, struct ir_request *rq, struct ib_str id, const char *why)
{
    reg_trace(reg, REG_TRACE_LOCATOR, 1, "couldn't register adapter `%s' endpoints:\n%s", ib_cstr(id), why);
    Ice_AdapterNotFoundException_throw(rq, NULL);
}

static void stored(void *arg, struct reg_change *c)
{
    struct ir_request *rq = arg;
    if (!c->code) {
        struct ib_str text = c->adapter->proxy ? ir_proxy_format(c->adapter->proxy, IR_UNICODE, &c->arena) : IB_STR("");
        reg_trace(c->reg, REG_TRACE_LOCATOR, 2, "registered adapter `%s' endpoints: `%s'", ib_cstr(c->name),
                  text.p ? text.p : "");
        succeed(rq);
    } else if (c->exception) {
        not_found(c->reg, rq, c->name, c->err.text);
    } else {
        ir_request_fail(rq, IR_UNKNOWN, c->err.text);
    }
}

static void store(struct reg *reg, struct ir_request *rq, const struct IceGrid_AdapterInfo *info)
{
    struct reg_change *c = reg_change_new(REG_ADAPTER_SET, stored, rq);
    if (!c || reg_change_set_adapter(c, info)) {
        reg_change_unref(c);
        ir_request_fail(rq, IR_UNKNOWN, "out of memory");
        return;
    }
    reg_change_submit(reg, c);
}

/* --- what is deployed ----------------------------------------------------------------------------------------------
 */

#define CALL_MS 30000

struct telling { /* in the request's arena; what it borrows is the request's */
    struct reg *reg;
    struct ir_request *rq;
    struct ib_str id; /* adapter or server */
    struct iw_proxy *prx;
};

static const char *proxy_text(const struct telling *t)
{
    return t->prx && reg_traces(t->reg, REG_TRACE_LOCATOR, 2)
               ? ib_cstr(ir_proxy_format(t->prx, IR_UNICODE, ir_request_arena(t->rq)))
               : "";
}

static void on_adapter_told(void *arg, const struct ir_result *r)
{
    struct telling *t = arg;
    char text[256];
    if (r->outcome == IR_SUCCESS) {
        reg_trace(t->reg, REG_TRACE_LOCATOR, 2, "registered adapter `%s' endpoints: `%s'", ib_cstr(t->id),
                  proxy_text(t));
        succeed(t->rq);
    } else if (IceGrid_AdapterActiveException_caught(r)) {
        Ice_AdapterAlreadyActiveException_throw(t->rq, NULL);
    } else {
        not_found(t->reg, t->rq, t->id, ir_result_text(r, text, sizeof text));
    }
}

static const struct iw_proxy *find_adapter(const struct IceGrid_AdapterPrxDict *adapters, struct ib_str id)
{
    for (size_t i = 0; i < adapters->n; i++)
        if (ib_str_eq(adapters->v[i].key, id))
            return adapters->v[i].value;
    return NULL;
}

static void tell_adapter(void *arg, const struct reg_placement *p)
{
    struct telling *t = arg;
    const struct iw_proxy *adapter = p->outcome == REG_PLACED ? find_adapter(p->adapters, t->id) : NULL;
    const struct IceGrid_Adapter_setDirectProxy_in in = {.proxy = t->prx};
    if (!adapter)
        not_found(t->reg, t->rq, t->id, p->reason.n ? ib_cstr(p->reason) : "the node does not know the adapter");
    else if (!reg_node_call(t->reg, p->node, adapter, &IceGrid_Adapter_setDirectProxy_op, CALL_MS, &in, on_adapter_told,
                            t))
        ir_request_fail(t->rq, IR_UNKNOWN, "out of memory");
}

/* A server that withdraws never waits: it may be stopping because of the very load it would wait for. Others take the
   proxies of before while there are any (icegrid-internal 13.2). */
static void set_deployed(struct reg *reg, struct ir_request *rq, const struct reg_adapter *adapter, struct ib_str id,
                         struct iw_proxy *prx)
{
    struct telling *t = IB_ARENA_NEW(ir_request_arena(rq), struct telling);
    struct ib_str server = adapter->server->id;
    struct reg_placement p;
    if (!t) {
        ir_request_fail(rq, IR_UNKNOWN, "out of memory");
        return;
    }
    *t = (struct telling){reg, rq, id, prx};
    if (reg_server_last_placed(reg, server, &p) && find_adapter(p.adapters, id))
        tell_adapter(t, &p);
    else if (!reg_node_find(reg, adapter->server->node))
        not_found(reg, rq, id, "the node is not active");
    else if (!prx)
        succeed(rq);
    else if (!reg_server_need(reg, server, 0, tell_adapter, t))
        not_found(reg, rq, id, "out of memory");
}

static void set_proxy(struct reg *reg, struct ir_request *rq, struct ib_str id, struct ib_str group,
                      struct iw_proxy *prx)
{
    const struct reg_adapter *deployed = reg_catalog_adapter(reg->catalog, id);
    if (id.n == 0) {
        succeed(rq);
    } else if (deployed && group.n && !ib_str_eq(deployed->group_id, group)) {
        not_found(reg, rq, id, "the adapter is in another replica group");
    } else if (deployed) {
        set_deployed(reg, rq, deployed, id, prx);
    } else if (reg_catalog_group(reg->catalog, id)) {
        not_found(reg, rq, id, "it is a replica group");
    } else if (!reg->cfg.master) {
        if (!reg_replica_forward_adapter(reg, rq, id, group, prx))
            not_found(reg, rq, id, "no session with the master");
    } else if (!reg->cfg.dynamic_registration) {
        not_found(reg, rq, id, "unknown adapter, and dynamic registration is not allowed");
    } else {
        store(reg, rq, &(struct IceGrid_AdapterInfo){.id = id, .proxy = prx, .replicaGroupId = group});
    }
}

static void set_adapter(void *self, struct ir_request *rq,
                        const struct Ice_LocatorRegistry_setAdapterDirectProxy_in *in)
{
    struct locator_registry *l = self;
    set_proxy(l->reg, rq, in->id, ib_str(""), in->proxy);
}

static void set_replicated(void *self, struct ir_request *rq,
                           const struct Ice_LocatorRegistry_setReplicatedAdapterDirectProxy_in *in)
{
    struct locator_registry *l = self;
    set_proxy(l->reg, rq, in->adapterId, in->replicaGroupId, in->p);
}

static void server_not_found(const struct telling *t, const char *why)
{
    reg_trace(t->reg, REG_TRACE_LOCATOR, 1, "couldn't register server `%s' process proxy:\n%s", ib_cstr(t->id), why);
    Ice_ServerNotFoundException_throw(t->rq, NULL);
}

static void on_process_told(void *arg, const struct ir_result *r)
{
    struct telling *t = arg;
    char text[256];
    if (r->outcome == IR_SUCCESS) {
        reg_trace(t->reg, REG_TRACE_LOCATOR, 2, "registered server `%s' process proxy: `%s'", ib_cstr(t->id),
                  proxy_text(t));
        Ice_LocatorRegistry_setServerProcessProxy_reply(t->rq, NULL);
    } else {
        server_not_found(t, ir_result_text(r, text, sizeof text));
    }
}

static void tell_process(void *arg, const struct reg_placement *p)
{
    struct telling *t = arg;
    const struct IceGrid_Server_setProcess_in in = {.proc = t->prx};
    if (p->outcome != REG_PLACED)
        server_not_found(t, ib_cstr(p->reason));
    else if (!reg_node_call(t->reg, p->node, p->server, &IceGrid_Server_setProcess_op, CALL_MS, &in, on_process_told,
                            t))
        server_not_found(t, "out of memory");
}

static void set_process(void *self, struct ir_request *rq,
                        const struct Ice_LocatorRegistry_setServerProcessProxy_in *in)
{
    struct locator_registry *l = self;
    struct telling *t = IB_ARENA_NEW(ir_request_arena(rq), struct telling);
    struct reg_placement p;
    if (!t) {
        ir_request_fail(rq, IR_UNKNOWN, "out of memory");
        return;
    }
    *t = (struct telling){l->reg, rq, in->id, in->proxy};
    if (reg_server_last_placed(l->reg, in->id, &p))
        tell_process(t, &p);
    else if (!reg_catalog_server(l->reg->catalog, in->id))
        Ice_ServerNotFoundException_throw(rq, NULL);
    else if (!reg_server_need(l->reg, in->id, 0, tell_process, t))
        server_not_found(t, "out of memory");
}

static const struct Ice_LocatorRegistry_servant vtable = {
    .setAdapterDirectProxy = set_adapter,
    .setReplicatedAdapterDirectProxy = set_replicated,
    .setServerProcessProxy = set_process,
};

static void *locator_registry_start(struct reg *reg, struct ib_err *err)
{
    struct locator_registry *l = calloc(1, sizeof *l);
    struct iw_identity id = reg_identity(reg, "LocatorRegistry");
    int rc = IB_ENOMEM;
    if (l) {
        l->reg = reg;
        l->servant = (struct ir_servant){.iface = &Ice_LocatorRegistry_iface, .vtable = &vtable, .self = l};
        rc = ir_adapter_add(reg->server, &id, "", &l->servant);
    }
    if (!rc)
        return l;
    ib_err_set(err, rc, "%s", ib_err_text(rc));
    free(l);
    return NULL;
}

static void locator_registry_stop(void *state)
{
    free(state);
}

const struct reg_part reg_locator_registry_part = {"locator registry", locator_registry_start, locator_registry_stop};
