/* SPDX-License-Identifier: Apache-2.0 */
/* IceGrid::Admin, nodes (icegrid-registry 9.3). A node that is expected back after a restart of the registry is waited
   for, a little. */
#include "admin.h"
#include "nodes.h"

#include <stdlib.h>

#define CALL_MS 30000
#define PING_MS 5000

bool reg_node_is_known(struct reg *reg, struct ib_str name)
{
    struct ib_arena arena;
    struct reg_app **apps;
    bool known = false;
    size_t n;

    ib_arena_init(&arena, 0);
    n = reg_catalog_apps(reg->catalog, &arena, &apps);
    for (size_t i = 0; n != SIZE_MAX && i < n && !known; i++) {
        const struct IceGrid_NodeDescriptorDict *nodes = &apps[i]->info->descriptor.nodes;

        for (size_t k = 0; k < nodes->n && !known; k++)
            known = ib_str_eq(nodes->v[k].key, name);
    }
    ib_arena_fini(&arena);
    return known;
}

/* --- asking a node ------------------------------------------------------------------------------------------------ */

struct node_op {
    const struct iw_op *op; /* of IceGrid::Node; NULL: answered from the session */
    int32_t timeout_ms;
    void (*answer)(struct ir_request *rq, const struct reg_node *node, const struct ir_result *r);
    bool any_outcome; /* answer deals with failures, too, and with a node that is away (r NULL) */
};

/* In the arena of the Admin's request. */
struct request {
    struct reg_node_want want;
    struct reg *reg;
    struct ir_request *rq;
    const struct node_op *how;
    struct ib_str name;
};

static void throw_unreachable(struct ir_request *rq, struct ib_str node, const char *reason)
{
    IceGrid_NodeUnreachableException_throw(
        rq, &(struct IceGrid_NodeUnreachableException){.name = node, .reason = ib_str(reason)});
}

static void on_called(void *arg, const struct ir_result *r)
{
    struct request *x = arg;
    char text[256];

    if (r->outcome == IR_SUCCESS || x->how->any_outcome)
        x->how->answer(x->rq, NULL, r);
    else
        throw_unreachable(x->rq, x->name, ir_result_text(r, text, sizeof(text)));
}

static void call_node(void *arg, const struct reg_node *node)
{
    struct request *x = arg;

    if (node == NULL && x->how->any_outcome)
        x->how->answer(x->rq, NULL, NULL);
    else if (node == NULL)
        throw_unreachable(x->rq, x->name, "the node is not active");
    else if (x->how->op == NULL)
        x->how->answer(x->rq, node, NULL);
    else if (reg_node_call(x->reg, x->name, node->proxy, x->how->op, x->how->timeout_ms, NULL, on_called, x) == NULL)
        reg_admin_no_memory(x->rq);
}

static bool find_node(void *self, struct ir_request *rq, struct ib_str name)
{
    struct reg *reg = reg_admin_reg(self);

    if (reg_node_find(reg, name) != NULL || reg_node_is_known(reg, name))
        return true;
    IceGrid_NodeNotExistException_throw(rq, &(struct IceGrid_NodeNotExistException){.name = name});
    return false;
}

static void ask_node(void *self, struct ir_request *rq, struct ib_str name, const struct node_op *how)
{
    struct request *x;

    if (!find_node(self, rq, name))
        return;
    x = IB_ARENA_NEW(ir_request_arena(rq), struct request);
    if (x == NULL) {
        reg_admin_no_memory(rq);
        return;
    }
    *x = (struct request){.reg = reg_admin_reg(self), .rq = rq, .how = how, .name = name};
    x->want = (struct reg_node_want){.reg = x->reg, .name = name, .fn = call_node, .arg = x};
    reg_node_want(&x->want);
}

/* --- operations --------------------------------------------------------------------------------------------------- */

#define ANSWER(name)                                                                                                   \
    static void answer_##name(struct ir_request *rq, const struct reg_node *node, const struct ir_result *r)

ANSWER(load)
{
    const struct IceGrid_Node_getLoad_out *out = r->out;

    (void)node;
    IceGrid_Admin_getNodeLoad_reply(rq, &(struct IceGrid_Admin_getNodeLoad_out){.ret = out->ret});
}

ANSWER(info)
{
    (void)r;
    IceGrid_Admin_getNodeInfo_reply(rq, &(struct IceGrid_Admin_getNodeInfo_out){.ret = node->info});
}

ANSWER(sockets)
{
    const struct IceGrid_Node_getProcessorSocketCount_out *out = r->out;

    (void)node;
    IceGrid_Admin_getNodeProcessorSocketCount_reply(
        rq, &(struct IceGrid_Admin_getNodeProcessorSocketCount_out){.ret = out->ret});
}

ANSWER(shutdown)
{
    (void)node;
    (void)r;
    IceGrid_Admin_shutdownNode_reply(rq, NULL);
}

ANSWER(hostname)
{
    const struct IceGrid_Node_getHostname_out *out = r->out;

    (void)node;
    IceGrid_Admin_getNodeHostname_reply(rq, &(struct IceGrid_Admin_getNodeHostname_out){.ret = out->ret});
}

ANSWER(ping)
{
    (void)node;
    IceGrid_Admin_pingNode_reply(rq,
                                 &(struct IceGrid_Admin_pingNode_out){.ret = r != NULL && r->outcome == IR_SUCCESS});
}

REG_ADMIN_OP(getNodeLoad)
{
    static const struct node_op how = {&IceGrid_Node_getLoad_op, CALL_MS, answer_load, false};

    ask_node(self, rq, in->name, &how);
}

REG_ADMIN_OP(getNodeInfo)
{
    static const struct node_op how = {NULL, 0, answer_info, false};

    ask_node(self, rq, in->name, &how);
}

REG_ADMIN_OP(getNodeProcessorSocketCount)
{
    static const struct node_op how = {&IceGrid_Node_getProcessorSocketCount_op, CALL_MS, answer_sockets, false};

    ask_node(self, rq, in->name, &how);
}

REG_ADMIN_OP(shutdownNode)
{
    static const struct node_op how = {&IceGrid_Node_shutdown_op, CALL_MS, answer_shutdown, false};

    ask_node(self, rq, in->name, &how);
}

REG_ADMIN_OP(getNodeHostname)
{
    static const struct node_op how = {&IceGrid_Node_getHostname_op, CALL_MS, answer_hostname, false};

    ask_node(self, rq, in->name, &how);
}

REG_ADMIN_OP(pingNode)
{
    static const struct node_op how = {&ir_op_ice_ping, PING_MS, answer_ping, true};

    ask_node(self, rq, in->name, &how);
}

REG_ADMIN_OP(getNodeAdmin)
{
    const struct reg_session *s = self;
    struct ib_arena *arena = ir_request_arena(rq);
    struct IceGrid_Admin_getNodeAdmin_out out;
    struct iw_identity id = {
        in->name, ib_arena_printf(arena, "%s-RegistryNodeAdminRouter", ib_cstr(s->sessions->reg->cfg.instance))};

    if (!find_node(self, rq, in->name))
        return;
    out.ret = ir_adapter_direct_proxy(s->adapter, &id, arena);
    if (out.ret == NULL)
        reg_admin_no_memory(rq);
    else
        IceGrid_Admin_getNodeAdmin_reply(rq, &out);
}

static int by_text(const void *a, const void *b)
{
    return ib_str_cmp(*(const struct ib_str *)a, *(const struct ib_str *)b);
}

/* Connected ones and those that applications name. */
REG_ADMIN_OP(getAllNodeNames)
{
    struct reg *reg = reg_admin_reg(self);
    struct IceGrid_Admin_getAllNodeNames_out out = {.ret = {0}};
    struct ib_arena *arena = ir_request_arena(rq);
    struct reg_app **apps;
    struct reg_node **nodes;
    size_t n = reg_catalog_apps(reg->catalog, arena, &apps), m = reg_nodes_list(reg, arena, &nodes);
    size_t total = m, kept = 0;

    (void)in;
    for (size_t i = 0; n != SIZE_MAX && i < n; i++)
        total += apps[i]->info->descriptor.nodes.n;
    if (n == SIZE_MAX || m == SIZE_MAX || (out.ret.v = IB_ARENA_ARRAY(arena, total, struct ib_str)) == NULL) {
        reg_admin_no_memory(rq);
        return;
    }
    for (size_t i = 0; i < m; i++)
        out.ret.v[out.ret.n++] = nodes[i]->name;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < apps[i]->info->descriptor.nodes.n; k++)
            out.ret.v[out.ret.n++] = apps[i]->info->descriptor.nodes.v[k].key;
    }
    if (total > 1)
        qsort(out.ret.v, total, sizeof(*out.ret.v), by_text);
    for (size_t i = 0; i < total; i++) {
        if (kept == 0 || !ib_str_eq(out.ret.v[i], out.ret.v[kept - 1]))
            out.ret.v[kept++] = out.ret.v[i];
    }
    out.ret.n = kept;
    IceGrid_Admin_getAllNodeNames_reply(rq, &out);
}
