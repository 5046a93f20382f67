/* SPDX-License-Identifier: Apache-2.0 */
/* IN/LocatorRegistry: servers tell their endpoints (icegrid-registry 5). Deployed adapters belong to their node; others
   are dynamic, stored by the master whichever replica was asked. */
#include "replication.h"
#include "slices.h"

#include <stdlib.h>

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
    reg_trace(reg, REG_TRACE_LOCATOR, 2, "couldn't register adapter `%s' endpoints:\n%s", ib_cstr(id), why);
    Ice_AdapterNotFoundException_throw(rq, NULL);
}

static void stored(void *arg, struct reg_change *c)
{
    struct ir_request *rq = arg;
    if (!c->code) {
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

static void set_proxy(struct reg *reg, struct ir_request *rq, struct ib_str id, struct ib_str group,
                      struct iw_proxy *prx)
{
    if (id.n == 0) {
        succeed(rq);
    } else if (reg_catalog_adapter(reg->catalog, id)) {
        not_found(reg, rq, id, "the node is not active");
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

/* Every deployed server's node is away, so there is nobody to take the proxy: the node would have to know the server.
 */
static void set_process(void *self, struct ir_request *rq,
                        const struct Ice_LocatorRegistry_setServerProcessProxy_in *in)
{
    struct locator_registry *l = self;
    reg_trace(l->reg, REG_TRACE_LOCATOR, 2, "couldn't register server `%s' process proxy:\n%s", ib_cstr(in->id),
              reg_catalog_server(l->reg->catalog, in->id) ? "the node is not active" : "unknown server");
    Ice_ServerNotFoundException_throw(rq, NULL);
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
