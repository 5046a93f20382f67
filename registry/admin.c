/* SPDX-License-Identifier: Apache-2.0 */
/* IceGrid::Admin: the table of its operations and what those that change something have in common
   (icegrid-registry 9). */
#include "admin.h"

void reg_admin_no_memory(struct ir_request *rq)
{
    ir_request_fail_local(rq, IB_ENOMEM, "out of memory");
}

bool reg_admin_refuse_locked(const struct reg_session *s, struct ir_request *rq)
{
    const struct reg_session *holder = s->sessions->lock;

    if (holder == NULL || holder == s)
        return false;
    IceGrid_AccessDeniedException_throw(rq, &(struct IceGrid_AccessDeniedException){.lockUserId = holder->user});
    return true;
}

/* Who waits for a change; lives in its request's arena. */
struct waiter {
    struct ir_request *rq;
    const struct iw_op *op;
};

static void changed(void *arg, struct reg_change *c)
{
    static const char none[8];
    struct waiter *w = arg;

    if (!reg_change_throw(c, w->rq))
        ir_request_reply(w->rq, w->op, none);
}

struct reg_change *reg_admin_change(enum reg_change_op what)
{
    return reg_change_new(what, changed, NULL);
}

void reg_admin_submit(const struct reg_session *s, struct ir_request *rq, const struct iw_op *op, struct reg_change *c,
                      int set)
{
    struct waiter *w = IB_ARENA_NEW(ir_request_arena(rq), struct waiter);

    if (c != NULL && set == 0 && c->user.p == NULL)
        set = reg_change_set_user(c, s->user);
    if (c == NULL || w == NULL || set != 0) {
        if (c != NULL)
            reg_change_unref(c);
        reg_admin_no_memory(rq);
        return;
    }
    *w = (struct waiter){rq, op};
    c->done_arg = w;
    reg_change_submit(s->sessions->reg, c);
}

#define OP(op) .op = reg_admin_##op

const struct IceGrid_Admin_servant reg_admin_vtable = {
    OP(addApplication),
    OP(syncApplication),
    OP(updateApplication),
    OP(syncApplicationWithoutRestart),
    OP(updateApplicationWithoutRestart),
    OP(removeApplication),
    OP(instantiateServer),
    OP(patchApplication),
    OP(getApplicationInfo),
    OP(getDefaultApplicationDescriptor),
    OP(getAllApplicationNames),
    OP(getServerInfo),
    OP(getServerState),
    OP(getServerPid),
    OP(getServerAdminCategory),
    OP(getServerAdmin),
    OP(enableServer),
    OP(isServerEnabled),
    OP(startServer),
    OP(stopServer),
    OP(patchServer),
    OP(sendSignal),
    OP(getAllServerIds),
    OP(getAdapterInfo),
    OP(removeAdapter),
    OP(getAllAdapterIds),
    OP(addObject),
    OP(updateObject),
    OP(addObjectWithType),
    OP(removeObject),
    OP(getObjectInfo),
    OP(getObjectInfosByType),
    OP(getAllObjectInfos),
    OP(pingNode),
    OP(getNodeLoad),
    OP(getNodeInfo),
    OP(getNodeAdmin),
    OP(getNodeProcessorSocketCount),
    OP(shutdownNode),
    OP(getNodeHostname),
    OP(getAllNodeNames),
    OP(pingRegistry),
    OP(getRegistryInfo),
    OP(getRegistryAdmin),
    OP(shutdownRegistry),
    OP(getAllRegistryNames),
    OP(shutdown),
    OP(getSliceChecksums),
};
