/* SPDX-License-Identifier: Apache-2.0 */
/* IceGrid::AdminSession: the way to the Admin object, the lock of updates, observers, callbacks over the session's
   connection (icegrid-registry 8). Its files are admin_files.c's. */
#include "sessions.h"

#include <moulin/base/log.h>

#include <stdio.h>

static void keep_alive(void *self, struct ir_request *rq, const struct IceGrid_AdminSession_keepAlive_in *in)
{
    const struct reg_session *s = self;

    (void)in;
    reg_session_seen(self);
    reg_trace(s->sessions->reg, REG_TRACE_SESSION, 2, "admin session `%s' keep alive", ib_cstr(s->user));
    IceGrid_AdminSession_keepAlive_reply(rq, NULL);
}

static void destroy(void *self, struct ir_request *rq, const struct Glacier2_Session_destroy_in *in)
{
    (void)in;
    reg_session_destroy(self);
    Glacier2_Session_destroy_reply(rq, NULL);
}

static void get_admin(void *self, struct ir_request *rq, const struct IceGrid_AdminSession_getAdmin_in *in)
{
    const struct reg_session *s = self;
    struct iw_proxy *prx = ir_adapter_direct_proxy(s->adapter, &s->admin_id, ir_request_arena(rq));

    (void)in;
    if (prx == NULL)
        ir_request_fail_local(rq, IB_ENOMEM, "out of memory");
    else
        IceGrid_AdminSession_getAdmin_reply(rq, &(struct IceGrid_AdminSession_getAdmin_out){.ret = prx});
}

static void get_replica_name(void *self, struct ir_request *rq, const struct IceGrid_AdminSession_getReplicaName_in *in)
{
    const struct reg_session *s = self;

    (void)in;
    IceGrid_AdminSession_getReplicaName_reply(
        rq, &(struct IceGrid_AdminSession_getReplicaName_out){.ret = s->sessions->reg->cfg.replica});
}

/* --- the lock ---------------------------------------------------------------------------------------------------- */

static void start_update(void *self, struct ir_request *rq, const struct IceGrid_AdminSession_startUpdate_in *in)
{
    struct reg_session *s = self;
    struct reg_sessions *ss = s->sessions;

    (void)in;
    if (ss->lock != NULL && ss->lock != s) {
        IceGrid_AccessDeniedException_throw(rq, &(struct IceGrid_AccessDeniedException){.lockUserId = ss->lock->user});
        return;
    }
    ss->lock = s;
    IceGrid_AdminSession_startUpdate_reply(
        rq, &(struct IceGrid_AdminSession_startUpdate_out){.ret = reg_topic_serial(ss->reg, REG_TOPIC_APPLICATION)});
}

static void finish_update(void *self, struct ir_request *rq, const struct IceGrid_AdminSession_finishUpdate_in *in)
{
    struct reg_session *s = self;

    (void)in;
    if (s->sessions->lock != s) {
        IceGrid_AccessDeniedException_throw(rq, &(struct IceGrid_AccessDeniedException){.lockUserId = IB_STR("")});
        return;
    }
    s->sessions->lock = NULL;
    IceGrid_AdminSession_finishUpdate_reply(rq, NULL);
}

/* --- observers --------------------------------------------------------------------------------------------------- */

static void set_observers(void *self, struct ir_request *rq, const struct IceGrid_AdminSession_setObservers_in *in)
{
    struct iw_proxy *const prx[REG_TOPIC_MAX] = {
        [REG_TOPIC_REGISTRY] = in->registryObs, [REG_TOPIC_NODE] = in->nodeObs,  [REG_TOPIC_APPLICATION] = in->appObs,
        [REG_TOPIC_ADAPTER] = in->adptObs,      [REG_TOPIC_OBJECT] = in->objObs,
    };

    if (reg_observers_set(self, prx, NULL) != 0)
        ir_request_fail_local(rq, IB_ENOMEM, "out of memory");
    else
        IceGrid_AdminSession_setObservers_reply(rq, NULL);
}

static void set_observers_by_identity(void *self, struct ir_request *rq,
                                      const struct IceGrid_AdminSession_setObserversByIdentity_in *in)
{
    const struct iw_identity *const ids[REG_TOPIC_MAX] = {
        [REG_TOPIC_REGISTRY] = &in->registryObs, [REG_TOPIC_NODE] = &in->nodeObs,
        [REG_TOPIC_APPLICATION] = &in->appObs,   [REG_TOPIC_ADAPTER] = &in->adptObs,
        [REG_TOPIC_OBJECT] = &in->objObs,
    };
    struct iw_proxy *prx[REG_TOPIC_MAX] = {NULL};
    struct ib_arena *arena = ir_request_arena(rq);
    struct ir_conn *conn = ir_request_conn(rq);

    for (size_t i = 0; i < REG_TOPIC_MAX && conn != NULL; i++) {
        if (ids[i]->name.n != 0 && (prx[i] = ir_proxy_well_known(ids[i]->name, ids[i]->category, arena)) == NULL) {
            ir_request_fail_local(rq, IB_ENOMEM, "out of memory");
            return;
        }
    }
    if (reg_observers_set(self, prx, conn) != 0)
        ir_request_fail_local(rq, IB_ENOMEM, "out of memory");
    else
        IceGrid_AdminSession_setObserversByIdentity_reply(rq, NULL);
}

/* --- callbacks over the session's connection (8.5) -----------------------------------------------------------------
 */

static void callback_reply(void *arg, const struct ir_result *r)
{
    struct ir_request *rq = arg;

    /* As the original: whatever is wrong there, the object does not exist. */
    if (r->outcome == IR_FAILED_LOCAL || r->raw_status > IR_USER_EXCEPTION)
        ir_request_fail(rq, IR_OBJECT_NOT_EXIST, NULL);
    else
        ir_request_reply_raw(rq, r->raw_status, r->raw, r->block);
}

static void forward_callback(void *self, struct ir_request *rq)
{
    const struct reg_session *s = self;
    const struct ir_request_info *info = ir_request_info(rq);
    struct ir_call_options options = {.conn = s->conn != NULL ? s->conn->conn : NULL, .timeout_ms = 60000};
    struct iw_proxy prx = {.id = info->id, .encoding = info->encoding, .protocol = {1, 0}};
    const struct ir_raw_request raw = ir_raw_from(info);

    if (options.conn == NULL || info->params_err != 0 ||
        ir_call_raw(s->sessions->reg->rt, &prx, &raw, &options, callback_reply, rq) == NULL)
        ir_request_fail(rq, IR_OBJECT_NOT_EXIST, NULL);
}

static int open_callbacks(struct reg_session *s)
{
    struct reg *reg = s->sessions->reg;
    struct iw_identity uuid = reg_uuid_identity(IB_STR(""), &s->arena);
    struct ib_str category =
        ib_arena_printf(&s->arena, "%s-%s", ib_cstr(reg->cfg.instance), uuid.name.p ? uuid.name.p : "");

    if (uuid.name.p == NULL || category.p == NULL)
        return IB_ENOMEM;
    s->callbacks = (struct ir_servant){.raw = forward_callback, .self = s};
    if (ir_adapter_set_default(reg->server, category, &s->callbacks) != 0)
        return IB_ENOMEM;
    s->callback_category = category;
    return 0;
}

static void get_callback_template(void *self, struct ir_request *rq,
                                  const struct IceGrid_AdminSession_getAdminCallbackTemplate_in *in)
{
    struct reg_session *s = self;
    struct IceGrid_AdminSession_getAdminCallbackTemplate_out out = {.ret = NULL};

    (void)in;
    if (s->conn != NULL) {
        struct iw_identity id = {IB_STR("pick-a-name"), IB_STR("")};

        if (s->callback_category.n == 0 && open_callbacks(s) != 0) {
            ir_request_fail_local(rq, IB_ENOMEM, "out of memory");
            return;
        }
        id.category = s->callback_category;
        out.ret = ir_adapter_direct_proxy(s->sessions->reg->server, &id, ir_request_arena(rq));
    }
    IceGrid_AdminSession_getAdminCallbackTemplate_reply(rq, &out);
}

const struct IceGrid_AdminSession_servant reg_admin_session_vtable = {
    .destroy = destroy,
    .keepAlive = keep_alive,
    .getAdmin = get_admin,
    .getAdminCallbackTemplate = get_callback_template,
    .setObservers = set_observers,
    .setObserversByIdentity = set_observers_by_identity,
    .startUpdate = start_update,
    .finishUpdate = finish_update,
    .getReplicaName = get_replica_name,
    .openServerLog = reg_openServerLog,
    .openServerStdErr = reg_openServerStdErr,
    .openServerStdOut = reg_openServerStdOut,
    .openNodeStdErr = reg_openNodeStdErr,
    .openNodeStdOut = reg_openNodeStdOut,
    .openRegistryStdErr = reg_openRegistryStdErr,
    .openRegistryStdOut = reg_openRegistryStdOut,
};
