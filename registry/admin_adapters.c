/* SPDX-License-Identifier: Apache-2.0 */
/* IceGrid::Admin.getAdapterInfo (icegrid-registry 9.3): the node of each deployed adapter is asked, all at once;
   dynamic adapters are answered from the table. */
#include "activation.h"
#include "admin.h"

struct request;

struct item {
    struct request *request;
    struct IceGrid_AdapterInfo *info;
};

/* In the arena of the Admin's request. */
struct request {
    struct ir_request *rq;
    struct IceGrid_Admin_getAdapterInfo_out out;
    struct item *items;
    size_t n_open;
};

static void close_item(struct request *x)
{
    if (--x->n_open == 0)
        IceGrid_Admin_getAdapterInfo_reply(x->rq, &x->out);
}

static void on_direct(void *arg, const struct reg_direct *d)
{
    struct item *i = arg;

    if (d->outcome == REG_DIRECT_ACTIVE)
        i->info->proxy = iw_proxy_copy(d->proxy, ir_request_arena(i->request->rq));
    close_item(i->request);
}

static void ask(struct reg *reg, struct ir_request *rq, struct reg_adapter **adapters, size_t n)
{
    struct ib_arena *arena = ir_request_arena(rq);
    struct request *x = IB_ARENA_NEW(arena, struct request);

    if (x != NULL) {
        x->items = IB_ARENA_ARRAY(arena, n, struct item);
        x->out.ret.v = IB_ARENA_ARRAY(arena, n, struct IceGrid_AdapterInfo);
    }
    if (x == NULL || x->items == NULL || x->out.ret.v == NULL) {
        reg_admin_no_memory(rq);
        return;
    }
    x->rq = rq;
    x->out.ret.n = n;
    x->n_open = n + 1;
    for (size_t i = 0; i < n; i++) {
        x->items[i] = (struct item){x, &x->out.ret.v[i]};
        x->out.ret.v[i].id = ib_arena_str(arena, adapters[i]->id);
        x->out.ret.v[i].replicaGroupId = ib_arena_str(arena, adapters[i]->group_id);
        if (reg_adapter_direct_proxy(reg, adapters[i]->id, REG_DIRECT_ASK, on_direct, &x->items[i]) == NULL)
            x->n_open--;
    }
    close_item(x);
}

static int dynamic_infos(struct reg_catalog *catalog, struct ib_str id, struct ib_arena *arena,
                         struct IceGrid_AdapterInfoSeq *out)
{
    if (reg_catalog_has_dynamic(catalog, id)) {
        out->v = IB_ARENA_NEW(arena, struct IceGrid_AdapterInfo);
        out->n = 1;
        return out->v != NULL ? reg_catalog_dynamic(catalog, id, arena, out->v) : IB_ENOMEM;
    }
    if (!reg_catalog_has_dynamic_group(catalog, id))
        return IB_ENOTFOUND;
    out->n = reg_catalog_dynamics(catalog, &id, arena, &out->v);
    return out->n == SIZE_MAX ? IB_ENOMEM : 0;
}

REG_ADMIN_OP(getAdapterInfo)
{
    struct reg *reg = reg_admin_reg(self);
    struct ib_arena *arena = ir_request_arena(rq);
    struct reg_adapter *adapter = reg_catalog_adapter(reg->catalog, in->id), **members = NULL;
    struct IceGrid_Admin_getAdapterInfo_out out = {.ret = {0}};
    size_t n = 0;
    int rc = 0;

    if (adapter != NULL) {
        ask(reg, rq, &adapter, 1);
        return;
    }
    if (reg_catalog_group(reg->catalog, in->id) != NULL)
        n = reg_catalog_members(reg->catalog, in->id, arena, &members);
    else
        rc = dynamic_infos(reg->catalog, in->id, arena, &out.ret);
    if (rc == IB_ENOTFOUND)
        IceGrid_AdapterNotExistException_throw(rq, &(struct IceGrid_AdapterNotExistException){.id = in->id});
    else if (rc != 0 || n == SIZE_MAX)
        reg_admin_no_memory(rq);
    else if (members != NULL)
        ask(reg, rq, members, n);
    else
        IceGrid_Admin_getAdapterInfo_reply(rq, &out);
}
