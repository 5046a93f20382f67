/* SPDX-License-Identifier: Apache-2.0 */
/* IceGrid::Admin, applications (icegrid-registry 9.1): every change goes through the one door; here are the checks that
   come before it: read-only, then the lock. */
#include "admin.h"

static bool refused(const struct reg_session *s, struct ir_request *rq)
{
    return reg_refuse_write(s->sessions->reg, rq) || reg_admin_refuse_locked(s, rq);
}

/* Whom the stored record names: for a sync and an instance the holder of the lock, not the session (8.2). */
static int set_lock_user(const struct reg_session *s, struct reg_change *c)
{
    const struct reg_session *holder = s->sessions->lock;

    return reg_change_set_user(c, holder != NULL ? holder->user : IB_STR(""));
}

static void submit_descriptor(const struct reg_session *s, struct ir_request *rq, const struct iw_op *op,
                              enum reg_change_op what, const struct IceGrid_ApplicationDescriptor *d,
                              bool without_restart)
{
    struct reg_change *c = reg_admin_change(what);
    int set = c != NULL ? reg_change_set_descriptor(c, d) : 0;

    if (c != NULL && set == 0 && what == REG_APP_SYNC)
        set = set_lock_user(s, c);
    if (c != NULL)
        c->without_restart = without_restart;
    reg_admin_submit(s, rq, op, c, set);
}

static void submit_update(const struct reg_session *s, struct ir_request *rq, const struct iw_op *op,
                          const struct IceGrid_ApplicationUpdateDescriptor *d, bool without_restart)
{
    struct reg_change *c = reg_admin_change(REG_APP_UPDATE);
    int set = c != NULL ? reg_change_set_update(c, d) : 0;

    if (c != NULL && set == 0 && op == &IceGrid_Admin_instantiateServer_op)
        set = set_lock_user(s, c);
    if (c != NULL) {
        c->without_restart = without_restart;
        c->instance = op == &IceGrid_Admin_instantiateServer_op;
    }
    reg_admin_submit(s, rq, op, c, set);
}

REG_ADMIN_OP(addApplication)
{
    if (!refused(self, rq))
        submit_descriptor(self, rq, &IceGrid_Admin_addApplication_op, REG_APP_ADD, &in->descriptor, false);
}

REG_ADMIN_OP(syncApplication)
{
    if (!refused(self, rq))
        submit_descriptor(self, rq, &IceGrid_Admin_syncApplication_op, REG_APP_SYNC, &in->descriptor, false);
}

REG_ADMIN_OP(syncApplicationWithoutRestart)
{
    if (!refused(self, rq))
        submit_descriptor(self, rq, &IceGrid_Admin_syncApplicationWithoutRestart_op, REG_APP_SYNC, &in->descriptor,
                          true);
}

REG_ADMIN_OP(updateApplication)
{
    if (!refused(self, rq))
        submit_update(self, rq, &IceGrid_Admin_updateApplication_op, &in->descriptor, false);
}

REG_ADMIN_OP(updateApplicationWithoutRestart)
{
    if (!refused(self, rq))
        submit_update(self, rq, &IceGrid_Admin_updateApplicationWithoutRestart_op, &in->descriptor, true);
}

REG_ADMIN_OP(removeApplication)
{
    struct reg_change *c;

    if (refused(self, rq))
        return;
    c = reg_admin_change(REG_APP_REMOVE);
    reg_admin_submit(self, rq, &IceGrid_Admin_removeApplication_op, c,
                     c != NULL ? reg_change_set_name(c, in->name) : 0);
}

/* The new instance as an update of the application that only adds it to its node. */
REG_ADMIN_OP(instantiateServer)
{
    struct IceGrid_ServerInstanceDescriptor instance = in->desc;
    struct IceGrid_NodeUpdateDescriptor node = {.name = in->node, .serverInstances = {.n = 1, .v = &instance}};
    struct IceGrid_ApplicationUpdateDescriptor update = {.name = in->application, .nodes = {.n = 1, .v = &node}};

    if (!refused(self, rq))
        submit_update(self, rq, &IceGrid_Admin_instantiateServer_op, &update, true);
}

/* --- asking ------------------------------------------------------------------------------------------------------ */

REG_ADMIN_OP(getApplicationInfo)
{
    const struct reg_app *app = reg_catalog_app(reg_admin_reg(self)->catalog, in->name);

    if (app == NULL)
        IceGrid_ApplicationNotExistException_throw(rq,
                                                   &(struct IceGrid_ApplicationNotExistException){.name = in->name});
    else
        IceGrid_Admin_getApplicationInfo_reply(rq, &(struct IceGrid_Admin_getApplicationInfo_out){.ret = *app->info});
}

REG_ADMIN_OP(getAllApplicationNames)
{
    struct IceGrid_Admin_getAllApplicationNames_out out = {.ret = {0}};
    struct ib_arena *arena = ir_request_arena(rq);
    struct reg_app **apps;
    size_t n = reg_catalog_apps(reg_admin_reg(self)->catalog, arena, &apps);

    (void)in;
    if (n == SIZE_MAX || (out.ret.v = IB_ARENA_ARRAY(arena, n, struct ib_str)) == NULL) {
        reg_admin_no_memory(rq);
        return;
    }
    for (size_t i = 0; i < n; i++)
        out.ret.v[out.ret.n++] = apps[i]->name;
    IceGrid_Admin_getAllApplicationNames_reply(rq, &out);
}
