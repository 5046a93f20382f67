/* SPDX-License-Identifier: Apache-2.0 */
/* IceGrid::Admin, servers and nodes (icegrid-registry 9.2, 9.3). Nodes do not yet open sessions with this registry, so
   whatever needs one answers what the original answers when the node is down: NodeUnreachableException. */
#include "admin.h"

#include <stdlib.h>

static void throw_inactive(struct ir_request *rq, struct ib_str node)
{
    IceGrid_NodeUnreachableException_throw(
        rq, &(struct IceGrid_NodeUnreachableException){.name = node, .reason = IB_STR("the node is not active")});
}

static const struct reg_server *find_server(void *self, struct ir_request *rq, struct ib_str id)
{
    const struct reg_server *server = reg_catalog_server(reg_admin_reg(self)->catalog, id);

    if (server == NULL)
        IceGrid_ServerNotExistException_throw(rq, &(struct IceGrid_ServerNotExistException){.id = id});
    return server;
}

/* --- servers ----------------------------------------------------------------------------------------------------- */

REG_ADMIN_OP(getServerInfo)
{
    const struct reg_server *server = find_server(self, rq, in->id);
    struct IceGrid_Admin_getServerInfo_out out;
    struct IceGrid_ServerDescriptor *desc;

    if (server == NULL)
        return;
    /* The answer's type has no const; it is encoded at once and never written. */
    memcpy(&desc, &server->desc, sizeof(desc));
    out.ret = (struct IceGrid_ServerInfo){
        .application = server->app->name,
        .uuid = server->app->info->uuid,
        .revision = server->app->info->revision,
        .node = server->node,
        .descriptor = desc,
        .sessionId = IB_STR(""),
    };
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

REG_ADMIN_OP(getServerAdminCategory)
{
    struct ib_str category = ib_arena_printf(ir_request_arena(rq), "%s-RegistryServerAdminRouter",
                                             ib_cstr(reg_admin_reg(self)->cfg.instance));

    (void)in;
    IceGrid_Admin_getServerAdminCategory_reply(rq, &(struct IceGrid_Admin_getServerAdminCategory_out){.ret = category});
}

/* Operations on a server of a node that is not there. */
#define SERVER_OP(op)                                                                                                  \
    REG_ADMIN_OP(op)                                                                                                   \
    {                                                                                                                  \
        const struct reg_server *server = find_server(self, rq, in->id);                                               \
                                                                                                                       \
        if (server != NULL)                                                                                            \
            throw_inactive(rq, server->node);                                                                          \
    }

SERVER_OP(getServerState)
SERVER_OP(getServerPid)
SERVER_OP(getServerAdmin)
SERVER_OP(enableServer)
SERVER_OP(isServerEnabled)
SERVER_OP(startServer)
SERVER_OP(stopServer)
SERVER_OP(sendSignal)

/* Without a distribution there is nothing to patch, and no node to ask. */
REG_ADMIN_OP(patchServer)
{
    const struct reg_server *server = find_server(self, rq, in->id);

    if (server == NULL)
        return;
    if (server->desc->distrib.icepatch.n == 0 && server->app->info->descriptor.distrib.icepatch.n == 0)
        IceGrid_Admin_patchServer_reply(rq, NULL);
    else
        throw_inactive(rq, server->node);
}

/* --- nodes ------------------------------------------------------------------------------------------------------- */

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

static bool find_node(void *self, struct ir_request *rq, struct ib_str name)
{
    if (reg_node_is_known(reg_admin_reg(self), name))
        return true;
    IceGrid_NodeNotExistException_throw(rq, &(struct IceGrid_NodeNotExistException){.name = name});
    return false;
}

#define NODE_OP(op)                                                                                                    \
    REG_ADMIN_OP(op)                                                                                                   \
    {                                                                                                                  \
        if (find_node(self, rq, in->name))                                                                             \
            throw_inactive(rq, in->name);                                                                              \
    }

NODE_OP(getNodeLoad)
NODE_OP(getNodeInfo)
NODE_OP(getNodeProcessorSocketCount)
NODE_OP(shutdownNode)
NODE_OP(getNodeHostname)

REG_ADMIN_OP(pingNode)
{
    if (find_node(self, rq, in->name))
        IceGrid_Admin_pingNode_reply(rq, &(struct IceGrid_Admin_pingNode_out){.ret = false});
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

REG_ADMIN_OP(getAllNodeNames)
{
    struct IceGrid_Admin_getAllNodeNames_out out = {.ret = {0}};
    struct ib_arena *arena = ir_request_arena(rq);
    struct reg_app **apps;
    size_t n = reg_catalog_apps(reg_admin_reg(self)->catalog, arena, &apps), total = 0, kept = 0;

    (void)in;
    for (size_t i = 0; n != SIZE_MAX && i < n; i++)
        total += apps[i]->info->descriptor.nodes.n;
    if (n == SIZE_MAX || (out.ret.v = IB_ARENA_ARRAY(arena, total, struct ib_str)) == NULL) {
        reg_admin_no_memory(rq);
        return;
    }
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
