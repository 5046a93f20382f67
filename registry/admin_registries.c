/* SPDX-License-Identifier: Apache-2.0 */
/* IceGrid::Admin, registries (icegrid-registry 9.3): this one, and on the master its connected slaves. */
#include "admin.h"

#define SLAVE_MS 10000

/* 1: this registry, 2: a connected slave (in *slave), 0: not known, rq answered. */
static int find(void *self, struct ir_request *rq, struct ib_str name, struct reg_slave_info *slave)
{
    struct reg *reg = reg_admin_reg(self);
    struct reg_slave_info *slaves;
    size_t n;

    if (ib_str_eq(name, reg->cfg.replica))
        return 1;
    n = reg_slaves(reg, ir_request_arena(rq), &slaves);
    for (size_t i = 0; n != SIZE_MAX && i < n; i++) {
        if (ib_str_eq(slaves[i].name, name)) {
            *slave = slaves[i];
            return 2;
        }
    }
    IceGrid_RegistryNotExistException_throw(rq, &(struct IceGrid_RegistryNotExistException){.name = name});
    return 0;
}

static void pinged(void *arg, const struct ir_result *r)
{
    IceGrid_Admin_pingRegistry_reply(arg, &(struct IceGrid_Admin_pingRegistry_out){.ret = r->outcome == IR_SUCCESS});
}

REG_ADMIN_OP(pingRegistry)
{
    static const struct ir_call_options options = {.timeout_ms = SLAVE_MS};
    static const char none[8];
    struct reg_slave_info slave;
    int who = find(self, rq, in->name, &slave);

    if (who == 1)
        IceGrid_Admin_pingRegistry_reply(rq, &(struct IceGrid_Admin_pingRegistry_out){.ret = true});
    else if (who == 2 &&
             ir_call(reg_admin_reg(self)->rt, slave.proxy, &ir_op_ice_ping, &options, none, pinged, rq) == NULL)
        reg_admin_no_memory(rq);
}

REG_ADMIN_OP(getRegistryInfo)
{
    struct reg_slave_info slave;
    struct IceGrid_Admin_getRegistryInfo_out out = {.ret = {.name = in->name}};
    int who = find(self, rq, in->name, &slave);

    if (who == 0)
        return;
    out.ret.hostname = who == 1 ? reg_hostname(ir_request_arena(rq)) : slave.hostname;
    IceGrid_Admin_getRegistryInfo_reply(rq, &out);
}

REG_ADMIN_OP(getRegistryAdmin)
{
    const struct reg_session *s = self;
    struct ib_arena *arena = ir_request_arena(rq);
    struct reg_slave_info slave;
    struct IceGrid_Admin_getRegistryAdmin_out out;
    struct iw_identity id = {
        in->name, ib_arena_printf(arena, "%s-RegistryReplicaAdminRouter", ib_cstr(s->sessions->reg->cfg.instance))};

    if (find(self, rq, in->name, &slave) == 0)
        return;
    out.ret = ir_adapter_direct_proxy(s->adapter, &id, arena);
    if (out.ret == NULL)
        reg_admin_no_memory(rq);
    else
        IceGrid_Admin_getRegistryAdmin_reply(rq, &out);
}

static void slave_shut_down(void *arg, const struct ir_result *r)
{
    struct ir_request *rq = arg;
    char text[300];

    if (r->outcome == IR_SUCCESS) {
        IceGrid_Admin_shutdownRegistry_reply(rq, NULL);
        return;
    }
    ir_result_text(r, text, sizeof(text));
    ir_request_fail(rq, IR_UNKNOWN, text);
}

REG_ADMIN_OP(shutdownRegistry)
{
    static const struct ir_call_options options = {.timeout_ms = SLAVE_MS};
    struct reg *reg = reg_admin_reg(self);
    struct reg_slave_info slave;
    int who = find(self, rq, in->name, &slave);

    if (who == 1) {
        IceGrid_Admin_shutdownRegistry_reply(rq, NULL);
        reg_quit(reg);
    } else if (who == 2 && IceGrid_InternalRegistry_shutdown_call(reg->rt, slave.proxy, &options, NULL, slave_shut_down,
                                                                  rq) == NULL) {
        reg_admin_no_memory(rq);
    }
}

REG_ADMIN_OP(getAllRegistryNames)
{
    struct reg *reg = reg_admin_reg(self);
    struct ib_arena *arena = ir_request_arena(rq);
    struct IceGrid_Admin_getAllRegistryNames_out out = {.ret = {0}};
    struct reg_slave_info *slaves;
    size_t n = reg_slaves(reg, arena, &slaves);

    (void)in;
    if (n == SIZE_MAX || (out.ret.v = IB_ARENA_ARRAY(arena, n + 1, struct ib_str)) == NULL) {
        reg_admin_no_memory(rq);
        return;
    }
    for (size_t i = 0; i < n; i++)
        out.ret.v[out.ret.n++] = slaves[i].name;
    out.ret.v[out.ret.n++] = reg->cfg.replica;
    IceGrid_Admin_getAllRegistryNames_reply(rq, &out);
}

REG_ADMIN_OP(shutdown)
{
    (void)in;
    IceGrid_Admin_shutdown_reply(rq, NULL);
    reg_quit(reg_admin_reg(self));
}

/* The distributed registry has none either (3). */
REG_ADMIN_OP(getSliceChecksums)
{
    (void)self;
    (void)in;
    IceGrid_Admin_getSliceChecksums_reply(rq, &(struct IceGrid_Admin_getSliceChecksums_out){.ret = {0}});
}
