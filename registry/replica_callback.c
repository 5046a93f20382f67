/* SPDX-License-Identifier: Apache-2.0 */
/* A master that starts tells the slaves of its last run that it is back, so that they come at once. Behind the start,
   never before it; slaves that do not answer leave the table (icegrid-internal 8.3). */
#include "replication_priv.h"

#include <stdlib.h>

#define CALL_MS 10000

struct callback {
    struct reg *reg;
    struct ib_arena arena;
    struct ib_str slave;
    struct iw_proxy *target;
};

static void finish(struct callback *b)
{
    ib_arena_fini(&b->arena);
    free(b);
}

static void forget(struct reg *reg, struct ib_arena *arena, const char *what, struct ib_str slave)
{
    const struct iw_identity id = {ib_arena_printf(arena, "%s-%s", what, ib_cstr(slave)), reg->cfg.instance};
    struct reg_change *c = id.name.p ? reg_change_new(REG_OBJECT_DROP, NULL, NULL) : NULL;
    if (!c || reg_change_set_id(c, &id))
        reg_change_unref(c);
    else
        reg_change_submit(reg, c);
}

static bool is_connected(struct callback *b)
{
    struct reg_slave_info *slaves;
    size_t n = reg_slaves(b->reg, &b->arena, &slaves);
    for (size_t i = 0; n != SIZE_MAX && i < n; i++)
        if (ib_str_eq(slaves[i].name, b->slave))
            return true;
    return false;
}

static void give_up(struct callback *b)
{
    static const char *const kinds[] = {"Registry", "InternalRegistry", "RegistryUserAccountMapper",
                                        "AdminSessionManager", "AdminSSLSessionManager"};
    if (!b->reg->stopping && !is_connected(b))
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
            forget(b->reg, &b->arena, kinds[i], b->slave);
    finish(b);
}

static void on_called(void *arg, const struct ir_result *r)
{
    struct callback *b = arg;
    char text[256];
    if (r->outcome == IR_SUCCESS) {
        finish(b);
        return;
    }
    reg_trace(b->reg, REG_TRACE_REPLICA, 1, "replica `%s' does not answer: %s", ib_cstr(b->slave),
              ir_result_text(r, text, sizeof text));
    give_up(b);
}

static void call(struct callback *b)
{
    const struct ir_call_options opt = {.timeout_ms = 60000, .connect_timeout_ms = CALL_MS};
    const struct iw_identity id = reg_identity(b->reg, "InternalRegistry-" REG_MASTER);
    const struct IceGrid_InternalRegistry_registerWithReplica_in in = {
        .prx = ir_adapter_direct_proxy(b->reg->internal, &id, &b->arena)};
    if (!in.prx || !IceGrid_InternalRegistry_registerWithReplica_call(b->reg->rt, b->target, &opt, &in, on_called, b))
        finish(b);
}

/* Its Internal port may be new; its Client port told us where to ask. */
static void on_located(void *arg, const struct ir_result *r)
{
    struct callback *b = arg;
    const struct Ice_Locator_findObjectById_out *out = Ice_Locator_findObjectById_result(r);
    if (out && out->ret)
        b->target = iw_proxy_copy(out->ret, &b->arena);
    if (out && b->target)
        call(b);
    else
        give_up(b);
}

static void start(struct reg *reg, const struct IceGrid_ObjectInfo *internal, struct ib_str slave)
{
    struct callback *b = calloc(1, sizeof *b);
    if (!b)
        return;
    b->reg = reg;
    ib_arena_init(&b->arena, 0);
    b->slave = ib_arena_str(&b->arena, slave);
    b->target = iw_proxy_copy(internal->proxy, &b->arena);
    const struct iw_identity id = {ib_arena_printf(&b->arena, "Registry-%s", ib_cstr(slave)), reg->cfg.instance};
    struct IceGrid_ObjectInfo info;
    if (!b->slave.p || !b->target || !id.name.p) {
        finish(b);
        return;
    }
    if (reg_catalog_object(reg->catalog, &id, &b->arena, &info)) {
        call(b);
        return;
    }
    const struct ir_call_options opt = {.timeout_ms = CALL_MS, .connect_timeout_ms = CALL_MS};
    const struct iw_identity locator = reg_identity(reg, "Locator");
    struct iw_proxy *prx = ir_proxy_with_identity(info.proxy, &locator, &b->arena);
    const struct Ice_Locator_findObjectById_in in = {.id = internal->proxy->id};
    if (!prx || !Ice_Locator_findObjectById_call(reg->rt, prx, &opt, &in, on_located, b))
        finish(b);
}

void reg_replication_call_back(struct reg *reg)
{
    static const char prefix[] = "InternalRegistry-";
    const struct ib_str type = IB_STR("::IceGrid::InternalRegistry");
    struct IceGrid_ObjectInfo *known;
    struct ib_arena arena;
    ib_arena_init(&arena, 0);
    size_t n = reg_catalog_objects(reg->catalog, &type, &arena, &known);
    for (size_t i = 0; n != SIZE_MAX && i < n; i++) {
        struct ib_str name = known[i].proxy ? known[i].proxy->id.name : ib_str("");
        if (name.n <= sizeof prefix - 1 || memcmp(name.p, prefix, sizeof prefix - 1) != 0)
            continue;
        struct ib_str slave = {name.p + sizeof prefix - 1, name.n - (sizeof prefix - 1)};
        if (!ib_str_eq(slave, reg->cfg.replica))
            start(reg, &known[i], slave);
    }
    ib_arena_fini(&arena);
}
