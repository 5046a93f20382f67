/* SPDX-License-Identifier: Apache-2.0 */
/* The Locator objects: IN/Locator and IN/Locator-<replica> on the Client adapter, a copy for ourselves on the Internal
   one, and Ice/LocatorFinder (icegrid-registry 2.2, 4). Owns their servants. */
#include "locate.h"
#include "slices.h"
#include "well_known.h"

#include <stdlib.h>

#include <moulin/base/clock.h>

struct locator {
    struct reg *reg;
    struct ir_servant servant, finder;
};

static void fail_nomem(struct ir_request *rq)
{
    ir_request_fail(rq, IR_UNKNOWN, "out of memory");
}

bool reg_supports(const struct iw_proxy *prx, struct iw_encoding enc)
{
    return prx->encoding.major == enc.major && prx->encoding.minor >= enc.minor;
}

void reg_shuffle(void *pointers, size_t n)
{
    void **v = pointers;
    for (size_t i = n; i > 1; i--) {
        uint64_t r;
        ib_random(&r, sizeof r);
        size_t k = (size_t)(r % i);
        void *swap = v[i - 1];
        v[i - 1] = v[k];
        v[k] = swap;
    }
}

/* --- objects -------------------------------------------------------------------------------------------------------
 */

int reg_find_object(struct reg *reg, const struct iw_identity *id, struct ib_arena *arena, const struct iw_proxy **out)
{
    struct reg_app_object *deployed = reg_catalog_app_object(reg->catalog, id);
    struct IceGrid_ObjectInfo info;
    *out = NULL;
    if (deployed) {
        *out = deployed->proxy;
        return 0;
    }
    int rc = reg_catalog_object(reg->catalog, id, arena, &info);
    if (rc == 0)
        *out = info.proxy;
    return rc == IB_ENOTFOUND ? 0 : rc;
}

/* Replies only read what they are given. */
static struct iw_proxy *unconst(const struct iw_proxy *prx)
{
    union {
        const struct iw_proxy *c;
        struct iw_proxy *p;
    } u = {.c = prx};
    return u.p;
}

static void find_object_by_id(void *self, struct ir_request *rq, const struct Ice_Locator_findObjectById_in *in)
{
    struct locator *l = self;
    const struct iw_proxy *prx;
    if (reg_find_object(l->reg, &in->id, ir_request_arena(rq), &prx)) {
        fail_nomem(rq);
    } else if (!prx) {
        Ice_ObjectNotFoundException_throw(rq, NULL);
    } else {
        const struct Ice_Locator_findObjectById_out out = {.ret = unconst(prx)};
        Ice_Locator_findObjectById_reply(rq, &out);
    }
}

/* --- adapters ------------------------------------------------------------------------------------------------------
 */

static void answer_adapter(struct ir_request *rq, struct iw_proxy *prx)
{
    const struct Ice_Locator_findAdapterById_out out = {.ret = prx};
    Ice_Locator_findAdapterById_reply(rq, &out);
}

/* All members' endpoints behind one proxy; *out NULL when none fits (icegrid-registry 4.3, step 3). */
static int join_members(const struct IceGrid_AdapterInfo *members, size_t n, struct iw_encoding enc,
                        struct ib_arena *arena, struct iw_proxy **out)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += members[i].proxy ? members[i].proxy->n_endpoints : 0;
    struct iw_proxy *prx = IB_ARENA_NEW(arena, struct iw_proxy);
    struct iw_endpoint *endpoints = IB_ARENA_ARRAY(arena, total, struct iw_endpoint);
    if (!prx || !endpoints)
        return IB_ENOMEM;
    *prx = (struct iw_proxy){
        .id = {IB_STR("dummy"), IB_STR("")}, .protocol = {1, 0}, .encoding = IW_ENCODING_1_1, .endpoints = endpoints};
    for (size_t i = 0; i < n; i++) {
        const struct iw_proxy *m = members[i].proxy;
        if (!m || !reg_supports(m, enc))
            continue;
        memcpy(endpoints + prx->n_endpoints, m->endpoints, m->n_endpoints * sizeof *endpoints);
        prx->n_endpoints += m->n_endpoints;
    }
    *out = prx->n_endpoints ? prx : NULL;
    return 0;
}

static void find_dynamic(struct locator *l, struct ir_request *rq, struct ib_str id)
{
    struct ib_arena *arena = ir_request_arena(rq);
    struct IceGrid_AdapterInfo info, *members;
    struct iw_proxy *prx;
    int rc = reg_catalog_dynamic(l->reg->catalog, id, arena, &info);
    if (rc == 0) {
        answer_adapter(rq, info.proxy);
        return;
    }
    if (rc != IB_ENOTFOUND) {
        fail_nomem(rq);
        return;
    }
    if (!reg_catalog_has_dynamic_group(l->reg->catalog, id)) {
        reg_trace(l->reg, REG_TRACE_LOCATOR, 1, "couldn't resolve adapter: unknown adapter or replica group");
        Ice_AdapterNotFoundException_throw(rq, NULL);
        return;
    }
    size_t n = reg_catalog_dynamics(l->reg->catalog, &id, arena, &members);
    if (n == SIZE_MAX || join_members(members, n, ir_request_info(rq)->encoding, arena, &prx))
        fail_nomem(rq);
    else
        answer_adapter(rq, prx);
}

static void find_adapter_by_id(void *self, struct ir_request *rq, const struct Ice_Locator_findAdapterById_in *in)
{
    struct locator *l = self;
    if (!reg_catalog_adapter(l->reg->catalog, in->id) && !reg_catalog_group(l->reg->catalog, in->id)) {
        find_dynamic(l, rq, in->id);
        return;
    }
    /* Its node has no session with this replica: known, but no endpoints now (icegrid-registry 4.3, 4.4). */
    reg_trace(l->reg, REG_TRACE_LOCATOR, 1, "couldn't resolve adapter `%s': the node is not active", ib_cstr(in->id));
    answer_adapter(rq, NULL);
}

/* --- the registry's own proxies
 * ----------------------------------------------------------------------------------------- */

static void get_registry(void *self, struct ir_request *rq, const struct Ice_Locator_getRegistry_in *in)
{
    struct locator *l = self;
    (void)in;
    const struct Ice_Locator_getRegistry_out out = {
        .ret = reg_shared_proxy(l->reg, "LocatorRegistry", l->reg->server, ir_request_arena(rq))};
    Ice_Locator_getRegistry_reply(rq, &out);
}

static void get_local_registry(void *self, struct ir_request *rq, const struct IceGrid_Locator_getLocalRegistry_in *in)
{
    struct locator *l = self;
    (void)in;
    struct iw_identity id = reg_replica_identity(l->reg, "Registry", ir_request_arena(rq));
    const struct IceGrid_Locator_getLocalRegistry_out out = {
        .ret = ir_adapter_direct_proxy(l->reg->client, &id, ir_request_arena(rq))};
    IceGrid_Locator_getLocalRegistry_reply(rq, &out);
}

static void get_local_query(void *self, struct ir_request *rq, const struct IceGrid_Locator_getLocalQuery_in *in)
{
    struct locator *l = self;
    (void)in;
    struct iw_identity id = reg_identity(l->reg, "Query");
    const struct IceGrid_Locator_getLocalQuery_out out = {
        .ret = ir_adapter_direct_proxy(l->reg->client, &id, ir_request_arena(rq))};
    IceGrid_Locator_getLocalQuery_reply(rq, &out);
}

static void get_locator(void *self, struct ir_request *rq, const struct Ice_LocatorFinder_getLocator_in *in)
{
    struct locator *l = self;
    (void)in;
    const struct Ice_LocatorFinder_getLocator_out out = {
        .ret = reg_shared_proxy(l->reg, "Locator", l->reg->client, ir_request_arena(rq))};
    Ice_LocatorFinder_getLocator_reply(rq, &out);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static const struct IceGrid_Locator_servant locator_vtable = {
    .findObjectById = find_object_by_id,
    .findAdapterById = find_adapter_by_id,
    .getRegistry = get_registry,
    .getLocalRegistry = get_local_registry,
    .getLocalQuery = get_local_query,
};

static const struct Ice_LocatorFinder_servant finder_vtable = {.getLocator = get_locator};

static int add_servants(struct reg *reg, struct locator *l)
{
    struct iw_identity ids[] = {
        reg_identity(reg, "Locator"),
        {ib_arena_printf(&reg->arena, "Locator-%s", reg->cfg.replica.p), reg->cfg.instance},
    };
    struct iw_identity finder = {IB_STR("LocatorFinder"), IB_STR("Ice")};
    int rc = ids[1].name.p ? 0 : IB_ENOMEM;
    for (size_t i = 0; i < 2 && !rc; i++)
        rc = ir_adapter_add(reg->client, &ids[i], "", &l->servant);
    if (!rc)
        rc = ir_adapter_add(reg->client, &finder, "", &l->finder);
    if (rc)
        return rc;
    /* The registry's own indirect proxies (verifiers, say) are resolved here, whether it is a master or a slave. */
    struct ib_arena arena;
    ib_arena_init(&arena, 0);
    struct iw_identity id = reg_uuid_identity(IB_STR(""), &arena);
    struct iw_proxy *prx = NULL;
    rc = id.name.p ? ir_adapter_add(reg->internal, &id, "", &l->servant) : IB_ENOMEM;
    if (!rc)
        prx = ir_adapter_direct_proxy(reg->internal, &id, &arena);
    if (!rc)
        rc = prx ? ir_runtime_set_locator(reg->rt, prx) : IB_ENOMEM;
    ib_arena_fini(&arena);
    return rc;
}

static void *locator_start(struct reg *reg, struct ib_err *err)
{
    struct locator *l = calloc(1, sizeof *l);
    if (!l) {
        ib_err_set(err, IB_ENOMEM, "out of memory");
        return NULL;
    }
    l->reg = reg;
    l->servant = (struct ir_servant){.iface = &IceGrid_Locator_iface, .vtable = &locator_vtable, .self = l};
    l->finder = (struct ir_servant){.iface = &Ice_LocatorFinder_iface, .vtable = &finder_vtable, .self = l};
    int rc = add_servants(reg, l);
    if (!rc)
        return l;
    ib_err_set(err, rc, "%s", ib_err_text(rc));
    free(l);
    return NULL;
}

static void locator_stop(void *state)
{
    free(state); /* the adapters that hold the servants are freed before any request can come */
}

const struct reg_part reg_locator_part = {"locator", locator_start, locator_stop};
