/* SPDX-License-Identifier: Apache-2.0 */
/* The Locator objects: IN/Locator and IN/Locator-<replica> on the Client adapter, a copy for ourselves on the Internal
   one, and Ice/LocatorFinder (icegrid-registry 2.2, 4). Owns their servants. */
#include "activation.h"
#include "site_filter.h"
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

size_t reg_random_below(size_t n)
{
    uint64_t r;
    ib_random(&r, sizeof r);
    return (size_t)(r % n);
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

static void find_object_by_id(void *self, struct ir_request *rq, const struct Ice_Locator_findObjectById_in *in)
{
    struct locator *l = self;
    struct reg_object object;
    if (reg_catalog_find(l->reg->catalog, &in->id, &object))
        ir_request_reply_encoded(rq, &Ice_Locator_findObjectById_op, object.proxy, NULL);
    else
        Ice_ObjectNotFoundException_throw(rq, NULL);
}

/* --- adapters ------------------------------------------------------------------------------------------------------
 */

static void answer_adapter(struct ir_request *rq, struct iw_proxy *prx)
{
    const struct Ice_Locator_findAdapterById_out out = {.ret = prx};
    Ice_Locator_findAdapterById_reply(rq, &out);
}

int reg_join_proxies(struct iw_proxy *const *members, size_t n, struct iw_encoding enc, struct ib_arena *arena,
                     struct iw_proxy **out)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += members[i] ? members[i]->n_endpoints : 0;
    struct iw_proxy *prx = IB_ARENA_NEW(arena, struct iw_proxy);
    struct iw_endpoint *endpoints = IB_ARENA_ARRAY(arena, total, struct iw_endpoint);
    if (!prx || !endpoints)
        return IB_ENOMEM;
    *prx = (struct iw_proxy){
        .id = {IB_STR("dummy"), IB_STR("")}, .protocol = {1, 0}, .encoding = IW_ENCODING_1_1, .endpoints = endpoints};
    for (size_t i = 0; i < n; i++) {
        const struct iw_proxy *m = members[i];
        if (!m || !reg_supports(m, enc))
            continue;
        memcpy(endpoints + prx->n_endpoints, m->endpoints, m->n_endpoints * sizeof *endpoints);
        prx->n_endpoints += m->n_endpoints;
    }
    *out = prx->n_endpoints ? prx : NULL;
    return 0;
}

/* The members of a dynamic group; in the request's arena. */
struct dynamic_group {
    struct ir_request *rq;
    struct Ice_StringSeq ids;
    struct iw_proxy **proxies;
    size_t *kept;
    struct reg_filtering *filtering;
};

static void answer_dynamic_group(struct ir_request *rq, struct iw_proxy *const *proxies, size_t n)
{
    struct iw_proxy *prx;
    if (reg_join_proxies(proxies, n, ir_request_info(rq)->encoding, ir_request_arena(rq), &prx))
        fail_nomem(rq);
    else
        answer_adapter(rq, prx);
}

static void on_filtered(void *arg, const struct Ice_StringSeq *left)
{
    struct dynamic_group *g = arg;
    struct iw_proxy **proxies = IB_ARENA_ARRAY(ir_request_arena(g->rq), g->ids.n, struct iw_proxy *);
    size_t n = proxies ? reg_filtered(&g->ids, left, g->kept) : 0;
    for (size_t i = 0; i < n; i++)
        proxies[i] = g->proxies[g->kept[i]];
    ir_request_on_cancel(g->rq, NULL, NULL);
    answer_dynamic_group(g->rq, proxies, n);
}

static void on_filterer_gone(void *arg, struct ir_request *rq)
{
    struct dynamic_group *g = arg;
    reg_filtering_cancel(g->filtering);
    answer_adapter(rq, NULL);
}

static bool list_dynamic_group(struct locator *l, struct ir_request *rq, struct ib_str id, struct dynamic_group *g)
{
    struct ib_arena *arena = ir_request_arena(rq);
    struct IceGrid_AdapterInfo *members;
    size_t n = reg_catalog_dynamics(l->reg->catalog, &id, arena, &members);
    if (n == SIZE_MAX)
        return false;
    *g = (struct dynamic_group){.rq = rq, .ids = {n, IB_ARENA_ARRAY(arena, n, struct ib_str)}};
    g->proxies = IB_ARENA_ARRAY(arena, n, struct iw_proxy *);
    g->kept = IB_ARENA_ARRAY(arena, n, size_t);
    if (!g->ids.v || !g->proxies || !g->kept)
        return false;
    for (size_t i = 0; i < n; i++) {
        g->ids.v[i] = members[i].id;
        g->proxies[i] = members[i].proxy;
    }
    return true;
}

/* Those that are stored, as long as there are any (icegrid-registry 4.3, step 3). */
static void find_dynamic_group(struct locator *l, struct ir_request *rq, struct ib_str id)
{
    struct reg_filter *filter = reg_filter_find(l->reg, REG_FILTER_OF_GROUPS, ib_str(""));
    struct dynamic_group *g = IB_ARENA_NEW(ir_request_arena(rq), struct dynamic_group);
    if (!g || !list_dynamic_group(l, rq, id, g)) {
        fail_nomem(rq);
    } else if (!filter) {
        answer_dynamic_group(rq, g->proxies, g->ids.n);
    } else {
        g->filtering = reg_filter_group(filter, rq, id, &g->ids, on_filtered, g);
        if (g->filtering)
            ir_request_on_cancel(rq, on_filterer_gone, g);
        else
            answer_adapter(rq, NULL);
    }
}

static void find_dynamic(struct locator *l, struct ir_request *rq, struct ib_str id)
{
    struct ib_span direct = reg_catalog_dynamic_proxy(l->reg->catalog, id);
    if (direct.n) {
        ir_request_reply_encoded(rq, &Ice_Locator_findAdapterById_op, direct, NULL);
        return;
    }
    if (!reg_catalog_has_dynamic_group(l->reg->catalog, id)) {
        Ice_AdapterNotFoundException_throw(rq, NULL);
        return;
    }
    find_dynamic_group(l, rq, id);
}

/* --- deployed adapters ---------------------------------------------------------------------------------------------
 */

struct lookup { /* in the request's arena */
    struct ir_request *rq;
    struct reg_direct_request *direct;
};

/* Known, but no endpoints now, is a null proxy (icegrid-registry 4.3). */
static void on_direct(void *arg, const struct reg_direct *d)
{
    struct lookup *k = arg;
    ir_request_on_cancel(k->rq, NULL, NULL);
    bool fits = d->outcome == REG_DIRECT_ACTIVE && reg_supports(d->proxy, ir_request_info(k->rq)->encoding);
    answer_adapter(k->rq, fits ? d->proxy : NULL);
}

static void on_caller_gone(void *arg, struct ir_request *rq)
{
    struct lookup *k = arg;
    reg_direct_cancel(k->direct);
    answer_adapter(rq, NULL);
}

static void find_deployed(struct locator *l, struct ir_request *rq, struct ib_str id)
{
    struct lookup *k = IB_ARENA_NEW(ir_request_arena(rq), struct lookup);
    if (k) {
        k->rq = rq;
        k->direct = reg_adapter_direct_proxy(l->reg, id, REG_DIRECT_ACTIVATE, on_direct, k);
    }
    if (k && k->direct)
        ir_request_on_cancel(rq, on_caller_gone, k);
    else
        answer_adapter(rq, NULL);
}

static void find_adapter_by_id(void *self, struct ir_request *rq, const struct Ice_Locator_findAdapterById_in *in)
{
    struct locator *l = self;
    if (reg_catalog_adapter(l->reg->catalog, in->id)) {
        find_deployed(l, rq, in->id);
    } else if (reg_catalog_group(l->reg->catalog, in->id)) {
        reg_locate_group(l->reg, rq, in->id);
    } else {
        find_dynamic(l, rq, in->id);
    }
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
