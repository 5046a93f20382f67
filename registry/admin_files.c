/* SPDX-License-Identifier: Apache-2.0 */
/* The seven operations that open a file for an administrator (icegrid-registry 8.3): a server's is read through its
   Server object, once it is loaded, a node's through its Node, a registry's through its InternalRegistry. */
#include "deployment.h"
#include "sessions.h"

#define NEED_MS 5000

/* In the request's arena, while the server or the node is not there yet. */
struct opening {
    struct reg_session *session; /* ref */
    struct ir_request *rq;
    struct reg_node_want want;
    struct ib_str id; /* of the server, or the node */
    const char *file;
    int32_t count;
};

static void no_memory(struct ir_request *rq)
{
    ir_request_fail_local(rq, IB_ENOMEM, "out of memory");
}

static struct opening *new_opening(struct reg_session *s, struct ir_request *rq, struct ib_str id, const char *file,
                                   int32_t count)
{
    struct opening *o = IB_ARENA_NEW(ir_request_arena(rq), struct opening);

    if (o == NULL || file == NULL) {
        no_memory(rq);
        return NULL;
    }
    *o = (struct opening){.session = reg_session_ref(s), .rq = rq, .id = id, .file = file, .count = count};
    return o;
}

/* The opening goes with its request, which reg_file_open or a failure answers. */
static void open_there(const struct opening *o, const struct iw_proxy *reader, struct ib_str node)
{
    struct reg_session *s = o->session;
    const struct reg_file_wish wish = {
        .reader = reader, .file = o->file, .count = o->count, .owner = node, .unreachable = REG_FILE_OF_NODE};

    if (s->gone)
        ir_request_fail(o->rq, IR_OBJECT_NOT_EXIST, NULL);
    else
        reg_file_open(s, o->rq, &wish);
}

/* --- servers ----------------------------------------------------------------------------------------------------- */

static void on_placed(void *arg, const struct reg_placement *p)
{
    const struct opening *o = arg;
    struct reg_session *s = o->session;

    if (p->outcome == REG_PLACED)
        open_there(o, p->server, p->node);
    else
        reg_placement_throw(p, o->rq, o->id);
    reg_session_unref(s);
}

static void server_file(struct reg_session *s, struct ir_request *rq, struct ib_str id, const char *file, int32_t count)
{
    struct reg *reg = s->sessions->reg;
    struct opening *o;

    if (reg_catalog_server(reg->catalog, id) == NULL) {
        IceGrid_ServerNotExistException_throw(rq, &(struct IceGrid_ServerNotExistException){.id = id});
        return;
    }
    o = new_opening(s, rq, id, file, count);
    if (o != NULL && reg_server_need(reg, id, NEED_MS, on_placed, o) == NULL) {
        no_memory(rq);
        reg_session_unref(s);
    }
}

REG_OPEN_OP(openServerLog)
{
    /* So do nodes tell the files of the descriptor from their own (icegrid-internal 15.1). */
    struct ib_str file = ib_arena_printf(ir_request_arena(rq), "#%s", ib_cstr(in->path));

    server_file(self, rq, in->id, file.p, in->count);
}

REG_OPEN_OP(openServerStdErr)
{
    server_file(self, rq, in->id, "stderr", in->count);
}

REG_OPEN_OP(openServerStdOut)
{
    server_file(self, rq, in->id, "stdout", in->count);
}

/* --- nodes ------------------------------------------------------------------------------------------------------- */

static void on_node(void *arg, const struct reg_node *node)
{
    const struct opening *o = arg;
    struct reg_session *s = o->session;

    if (node == NULL)
        IceGrid_NodeUnreachableException_throw(o->rq, &(struct IceGrid_NodeUnreachableException){
                                                          .name = o->id, .reason = IB_STR("the node is not active")});
    else
        open_there(o, node->proxy, o->id);
    reg_session_unref(s);
}

static void node_file(struct reg_session *s, struct ir_request *rq, struct ib_str name, const char *file, int32_t count)
{
    struct reg *reg = s->sessions->reg;
    struct opening *o;

    if (reg_node_find(reg, name) == NULL && !reg_node_is_known(reg, name)) {
        IceGrid_NodeNotExistException_throw(rq, &(struct IceGrid_NodeNotExistException){.name = name});
        return;
    }
    o = new_opening(s, rq, name, file, count);
    if (o == NULL)
        return;
    o->want = (struct reg_node_want){.reg = reg, .name = name, .fn = on_node, .arg = o};
    reg_node_want(&o->want);
}

REG_OPEN_OP(openNodeStdErr)
{
    node_file(self, rq, in->name, "stderr", in->count);
}

REG_OPEN_OP(openNodeStdOut)
{
    node_file(self, rq, in->name, "stdout", in->count);
}

/* --- registries -------------------------------------------------------------------------------------------------- */

/* A master knows the slaves that are connected; a slave only itself (icegrid-registry 9.3). */
static void registry_file(struct reg_session *s, struct ir_request *rq, struct ib_str name, const char *file,
                          int32_t count)
{
    struct reg *reg = s->sessions->reg;
    struct ib_arena *arena = ir_request_arena(rq);
    struct reg_file_wish wish = {.file = file, .count = count, .owner = name, .unreachable = REG_FILE_OF_REGISTRY};
    struct iw_identity id = {ib_arena_printf(arena, "InternalRegistry-%s", ib_cstr(reg->cfg.replica)),
                             reg->cfg.instance};
    struct reg_slave_info *slaves;
    size_t n = reg_slaves(reg, arena, &slaves);

    if (ib_str_eq(name, reg->cfg.replica) && id.name.p != NULL)
        wish.reader = ir_adapter_direct_proxy(reg->internal, &id, arena);
    for (size_t i = 0; n != SIZE_MAX && i < n && wish.reader == NULL; i++)
        if (ib_str_eq(slaves[i].name, name))
            wish.reader = slaves[i].proxy;
    if (wish.reader == NULL)
        IceGrid_RegistryNotExistException_throw(rq, &(struct IceGrid_RegistryNotExistException){.name = name});
    else
        reg_file_open(s, rq, &wish);
}

REG_OPEN_OP(openRegistryStdErr)
{
    registry_file(self, rq, in->name, "stderr", in->count);
}

REG_OPEN_OP(openRegistryStdOut)
{
    registry_file(self, rq, in->name, "stdout", in->count);
}
