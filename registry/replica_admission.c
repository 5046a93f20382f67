/* SPDX-License-Identifier: Apache-2.0 */
/* Who becomes a slave: the checks of registerReplica (icegrid-internal 3.1). A name in use is given away only when
   whoever has it answers no more. */
#include "nodes.h"
#include "replication_priv.h"

#include <stdlib.h>

#define PING_MS 3000
#define CHECKS_MAX 256 /* at once */

static void deny(struct reg *reg, struct ir_request *rq, struct ib_str name, const char *reason)
{
    char text[REG_REPLICA_NAME_MAX * 2];
    ib_log_warning(reg->log, "replica `%s' is refused: %s", ib_log_escape(name, text, sizeof text), reason);
    IceGrid_PermissionDeniedException_throw(rq, &(struct IceGrid_PermissionDeniedException){.reason = ib_str(reason)});
}

static void accept(struct reg_replication *x, struct ir_request *rq, const struct IceGrid_InternalReplicaInfo *info,
                   const struct iw_proxy *prx)
{
    const struct IceGrid_InternalRegistry_registerReplica_out out = {
        .ret = reg_slave_accept(x, info, prx, ir_request_arena(rq))};
    if (out.ret)
        IceGrid_InternalRegistry_registerReplica_reply(rq, &out);
    else
        ir_request_fail(rq, IR_UNKNOWN, "no room for another replica");
}

/* --- a name in use ---------------------------------------------------------------------------------------------- */

struct check {
    struct reg *reg;
    struct ir_request *rq;
    const struct IceGrid_InternalReplicaInfo *info; /* the request's */
    const struct iw_proxy *prx;
    uint64_t number; /* of the session that has the name */
};

static void pinged(void *arg, const struct ir_result *r)
{
    struct check c = *(struct check *)arg;
    free(arg);
    struct reg_replication *x = c.reg->replication;
    if (!x || c.reg->stopping) { /* the runtime's end ends the ping, too */
        ir_request_fail_local(c.rq, IB_EDEACTIVATED, "");
        return;
    }
    x->checks--;
    struct reg_slave *old = reg_slave_find(x, c.info->name);
    /* Another one was faster: it has not been asked, and lives. */
    if (old && (r->outcome == IR_SUCCESS || old->number != c.number)) {
        IceGrid_ReplicaActiveException_throw(c.rq, NULL);
        return;
    }
    if (old)
        reg_slave_end(old, "replaced");
    accept(x, c.rq, c.info, c.prx);
}

static void check_old(struct reg_replication *x, struct ir_request *rq, const struct IceGrid_InternalReplicaInfo *info,
                      const struct iw_proxy *prx, const struct reg_slave *old)
{
    const struct ir_call_options opt = {.timeout_ms = PING_MS, .connect_timeout_ms = PING_MS};
    struct check *c = x->checks < CHECKS_MAX ? malloc(sizeof *c) : NULL;
    if (c)
        *c = (struct check){x->reg, rq, info, prx, old->number};
    if (c && ir_call(x->reg->rt, old->proxy, &ir_op_ice_ping, &opt, NULL, pinged, c)) {
        x->checks++;
        return;
    }
    free(c);
    ir_request_fail(rq, IR_UNKNOWN, "too many replicas register at once");
}

/* --- checks ----------------------------------------------------------------------------------------------------- */

/* True: refused, and answered. */
static bool refuse_certificate(struct reg *reg, struct ir_request *rq, struct ib_str name)
{
    struct ib_str why;
    if (reg_certificate_names(reg, rq, "IceGrid.Registry.RequireReplicaCertCN", name, &why))
        return false;
    deny(reg, rq, name, ib_cstr(why));
    return true;
}

/* True: refused, and answered. */
static bool refuse(struct reg *reg, struct ir_request *rq, struct ib_str name, const struct iw_proxy *prx)
{
    const char *reason = NULL;
    if (!reg->cfg.master)
        reason = "replicas register with the master";
    else if (!reg_replica_name_ok(name) || ib_str_is(name, REG_MASTER))
        reason = "a replica needs a name of its own, which is not `Master', is not too long and can be printed";
    else if (!reg_replica_owns(reg->cfg.instance, name, &prx->id))
        reason = "its proxy is not that of an internal registry of this name and instance";
    if (!reason)
        return refuse_certificate(reg, rq, name);
    deny(reg, rq, name, reason);
    return true;
}

void reg_replication_register(struct reg_replication *x, struct ir_request *rq,
                              const struct IceGrid_InternalRegistry_registerReplica_in *in)
{
    if (!in->info || !in->prx) {
        IceGrid_InternalRegistry_registerReplica_reply(
            rq, &(struct IceGrid_InternalRegistry_registerReplica_out){.ret = NULL});
        return;
    }
    if (refuse(x->reg, rq, in->info->name, in->prx))
        return;
    struct reg_slave *old = reg_slave_find(x, in->info->name);
    /* The same process again, or its successor on the same port, would only vouch for itself (icegrid-internal 9.7). */
    if (old && iw_proxy_equal(old->proxy, in->prx)) {
        reg_slave_end(old, "registered again");
        old = NULL;
    }
    if (old)
        check_old(x, rq, in->info, in->prx, old);
    else
        accept(x, rq, in->info, in->prx);
}
