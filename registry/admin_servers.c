/* SPDX-License-Identifier: Apache-2.0 */
/* IceGrid::Admin, servers (icegrid-registry 9.2): most operations are the node's Server object's, asked once the server
   is loaded there. */
#include "admin.h"
#include "deployment.h"
#include "descriptor.h"

#define NEED_MS 5000
#define CALL_MS 30000

enum patience { QUICK, AS_ACTIVATION, AS_DEACTIVATION };

struct server_op {
    const struct iw_op *op; /* of IceGrid::Server */
    enum patience patience;
    void (*answer)(struct ir_request *rq, const void *out);
};

/* In the arena of the Admin's request. */
struct request {
    struct reg *reg;
    struct ir_request *rq;
    const struct server_op *how;
    const void *in; /* of how->op; NULL: none */
    struct ib_str id, node;
};

static void throw_unknown(struct ir_request *rq, struct ib_str id)
{
    IceGrid_ServerNotExistException_throw(rq, &(struct IceGrid_ServerNotExistException){.id = id});
}

static const struct reg_server *find_server(void *self, struct ir_request *rq, struct ib_str id)
{
    const struct reg_server *server = reg_catalog_server(reg_admin_reg(self)->catalog, id);

    if (server == NULL)
        throw_unknown(rq, id);
    return server;
}

static void on_called(void *arg, const struct ir_result *r)
{
    struct request *x = arg;
    char text[256];

    if (r->outcome == IR_SUCCESS)
        x->how->answer(x->rq, r->out);
    else if (r->outcome == IR_THROWN && r->exception != NULL)
        ir_request_throw(x->rq, r->exception, r->value);
    else if (r->outcome == IR_FAILED_STATUS && r->status == IR_OBJECT_NOT_EXIST)
        throw_unknown(x->rq, x->id);
    else if (x->how->patience == AS_DEACTIVATION && r->err.code == IB_EINVTIMEOUT)
        x->how->answer(x->rq, NULL); /* it goes on stopping */
    else
        IceGrid_NodeUnreachableException_throw(
            x->rq, &(struct IceGrid_NodeUnreachableException){.name = x->node,
                                                              .reason = ib_str(ir_result_text(r, text, sizeof(text)))});
}

static void on_placed(void *arg, const struct reg_placement *p)
{
    struct request *x = arg;
    const int32_t seconds[] = {
        [QUICK] = CALL_MS / 1000, [AS_ACTIVATION] = p->activation_s, [AS_DEACTIVATION] = p->deactivation_s};

    if (p->outcome != REG_PLACED) {
        reg_placement_throw(p, x->rq, x->id);
        return;
    }
    x->node = ib_arena_str(ir_request_arena(x->rq), p->node);
    if (x->node.p == NULL || reg_node_call(x->reg, p->node, p->server, x->how->op, seconds[x->how->patience] * 1000,
                                           x->in, on_called, x) == NULL)
        reg_admin_no_memory(x->rq);
}

static void ask_server(void *self, struct ir_request *rq, struct ib_str id, const struct server_op *how, const void *in)
{
    struct request *x;

    if (find_server(self, rq, id) == NULL)
        return;
    x = IB_ARENA_NEW(ir_request_arena(rq), struct request);
    if (x != NULL)
        *x = (struct request){.reg = reg_admin_reg(self), .rq = rq, .how = how, .in = in, .id = id};
    if (x == NULL || reg_server_need(x->reg, id, NEED_MS, on_placed, x) == NULL)
        reg_admin_no_memory(rq);
}

/* --- operations of the Server object ------------------------------------------------------------------------------ */

#define ANSWER(name) static void answer_##name(struct ir_request *rq, const void *out)

ANSWER(state)
{
    const struct IceGrid_Server_getState_out *o = out;

    IceGrid_Admin_getServerState_reply(rq, &(struct IceGrid_Admin_getServerState_out){.ret = o->ret});
}

ANSWER(pid)
{
    const struct IceGrid_Server_getPid_out *o = out;

    IceGrid_Admin_getServerPid_reply(rq, &(struct IceGrid_Admin_getServerPid_out){.ret = o->ret});
}

ANSWER(enabled)
{
    const struct IceGrid_Server_isEnabled_out *o = out;

    IceGrid_Admin_isServerEnabled_reply(rq, &(struct IceGrid_Admin_isServerEnabled_out){.ret = o->ret});
}

ANSWER(enable)
{
    (void)out;
    IceGrid_Admin_enableServer_reply(rq, NULL);
}

ANSWER(signal)
{
    (void)out;
    IceGrid_Admin_sendSignal_reply(rq, NULL);
}

ANSWER(start)
{
    (void)out;
    IceGrid_Admin_startServer_reply(rq, NULL);
}

ANSWER(stop)
{
    (void)out;
    IceGrid_Admin_stopServer_reply(rq, NULL);
}

REG_ADMIN_OP(getServerState)
{
    static const struct server_op how = {&IceGrid_Server_getState_op, QUICK, answer_state};

    ask_server(self, rq, in->id, &how, NULL);
}

REG_ADMIN_OP(getServerPid)
{
    static const struct server_op how = {&IceGrid_Server_getPid_op, QUICK, answer_pid};

    ask_server(self, rq, in->id, &how, NULL);
}

REG_ADMIN_OP(isServerEnabled)
{
    static const struct server_op how = {&IceGrid_Server_isEnabled_op, QUICK, answer_enabled};

    ask_server(self, rq, in->id, &how, NULL);
}

/* What is passed on must live until the server is loaded. */
static void *keep(struct ir_request *rq, const void *in, size_t size)
{
    void *copy = ib_arena_alloc(ir_request_arena(rq), size);

    if (copy == NULL)
        reg_admin_no_memory(rq);
    else
        memcpy(copy, in, size);
    return copy;
}

REG_ADMIN_OP(enableServer)
{
    static const struct server_op how = {&IceGrid_Server_setEnabled_op, QUICK, answer_enable};
    const struct IceGrid_Server_setEnabled_in pass = {.enable = in->enabled};
    const void *copy = keep(rq, &pass, sizeof(pass));

    if (copy != NULL)
        ask_server(self, rq, in->id, &how, copy);
}

REG_ADMIN_OP(sendSignal)
{
    static const struct server_op how = {&IceGrid_Server_sendSignal_op, QUICK, answer_signal};
    const struct IceGrid_Server_sendSignal_in pass = {.signal = in->signal};
    const void *copy = keep(rq, &pass, sizeof(pass));

    if (copy != NULL)
        ask_server(self, rq, in->id, &how, copy);
}

REG_ADMIN_OP(startServer)
{
    static const struct server_op how = {&IceGrid_Server_start_op, AS_ACTIVATION, answer_start};

    ask_server(self, rq, in->id, &how, NULL);
}

REG_ADMIN_OP(stopServer)
{
    static const struct server_op how = {&IceGrid_Server_stop_op, AS_DEACTIVATION, answer_stop};

    ask_server(self, rq, in->id, &how, NULL);
}

/* --- the rest ------------------------------------------------------------------------------------------------------
 */

REG_ADMIN_OP(getServerInfo)
{
    struct reg *reg = reg_admin_reg(self);
    const struct reg_server *server = find_server(self, rq, in->id);
    const struct reg_node *node = server != NULL ? reg_node_find(reg, server->node) : NULL;
    struct IceGrid_Admin_getServerInfo_out out;
    struct reg_node_vars vars;

    if (server == NULL)
        return;
    out.ret = (struct IceGrid_ServerInfo){
        .application = server->app->name,
        .uuid = server->app->info->uuid,
        .revision = server->app->info->revision,
        .node = server->node,
        .sessionId = reg_server_session(reg, in->id),
    };
    if (node != NULL) {
        vars = reg_node_vars(node);
        if (out.ret.sessionId.n != 0)
            vars.session_id = out.ret.sessionId;
    }
    if (reg_server_resolve(server->desc, node != NULL ? &vars : NULL, ir_request_arena(rq), &out.ret.descriptor) != 0)
        reg_admin_no_memory(rq);
    else
        IceGrid_Admin_getServerInfo_reply(rq, &out);
}

REG_ADMIN_OP(getAllServerIds)
{
    struct IceGrid_Admin_getAllServerIds_out out = {.ret = {0}};
    struct ib_arena *arena = ir_request_arena(rq);
    struct reg_server **servers;
    size_t n = reg_catalog_servers(reg_admin_reg(self)->catalog, arena, &servers);

    (void)in;
    if (n == SIZE_MAX || (out.ret.v = IB_ARENA_ARRAY(arena, n, struct ib_str)) == NULL) {
        reg_admin_no_memory(rq);
        return;
    }
    for (size_t i = 0; i < n; i++)
        out.ret.v[out.ret.n++] = servers[i]->id;
    IceGrid_Admin_getAllServerIds_reply(rq, &out);
}

static struct ib_str router_category(const struct reg *reg, struct ib_arena *arena)
{
    return ib_arena_printf(arena, "%s-RegistryServerAdminRouter", ib_cstr(reg->cfg.instance));
}

REG_ADMIN_OP(getServerAdminCategory)
{
    struct ib_str category = router_category(reg_admin_reg(self), ir_request_arena(rq));

    (void)in;
    IceGrid_Admin_getServerAdminCategory_reply(rq, &(struct IceGrid_Admin_getServerAdminCategory_out){.ret = category});
}

struct admin_request {
    struct reg *reg;
    struct ir_adapter *adapter; /* the session's; that may end meanwhile */
    struct ir_request *rq;
    struct ib_str id;
};

static void on_admin_placed(void *arg, const struct reg_placement *p)
{
    struct admin_request *x = arg;
    struct ib_arena *arena = ir_request_arena(x->rq);
    struct iw_identity id = {x->id, router_category(x->reg, arena)};
    struct IceGrid_Admin_getServerAdmin_out out;

    if (p->outcome != REG_PLACED) {
        reg_placement_throw(p, x->rq, x->id);
        return;
    }
    out.ret = id.category.p != NULL ? ir_adapter_direct_proxy(x->adapter, &id, arena) : NULL;
    if (out.ret == NULL)
        reg_admin_no_memory(x->rq);
    else
        IceGrid_Admin_getServerAdmin_reply(x->rq, &out);
}

REG_ADMIN_OP(getServerAdmin)
{
    const struct reg_session *s = self;
    struct admin_request *x;

    if (find_server(self, rq, in->id) == NULL)
        return;
    x = IB_ARENA_NEW(ir_request_arena(rq), struct admin_request);
    if (x != NULL)
        *x = (struct admin_request){.reg = s->sessions->reg, .adapter = s->adapter, .rq = rq, .id = in->id};
    if (x == NULL || reg_server_need(x->reg, in->id, NEED_MS, on_admin_placed, x) == NULL)
        reg_admin_no_memory(rq);
}
