/* SPDX-License-Identifier: Apache-2.0 */
/* IN/Query: objects by identity and type, members of replica groups (icegrid-registry 6). */
#include "locate.h"
#include "slices.h"

#include <stdlib.h>

struct query {
    struct reg *reg;
    struct ir_servant servant;
};

static void fail_nomem(struct ir_request *rq)
{
    ir_request_fail(rq, IR_UNKNOWN, "out of memory");
}

static struct iw_proxy *copy(const struct iw_proxy *prx, struct ir_request *rq)
{
    return iw_proxy_copy(prx, ir_request_arena(rq));
}

static void find_object_by_id(void *self, struct ir_request *rq, const struct IceGrid_Query_findObjectById_in *in)
{
    struct query *q = self;
    const struct iw_proxy *prx;
    if (reg_find_object(q->reg, &in->id, ir_request_arena(rq), &prx)) {
        fail_nomem(rq);
        return;
    }
    const struct IceGrid_Query_findObjectById_out out = {.ret = copy(prx, rq)};
    IceGrid_Query_findObjectById_reply(rq, &out);
}

/* Deployed objects sorted by identity, then those of the table. SIZE_MAX: memory. */
static size_t find_by_type(struct query *q, struct ib_str type, struct ib_arena *arena, struct iw_proxy ***out)
{
    struct reg_app_object **deployed;
    struct IceGrid_ObjectInfo *table;
    size_t n = reg_catalog_app_objects(q->reg->catalog, &type, arena, &deployed);
    size_t m = n == SIZE_MAX ? SIZE_MAX : reg_catalog_objects(q->reg->catalog, &type, arena, &table);
    struct iw_proxy **list = m == SIZE_MAX ? NULL : IB_ARENA_ARRAY(arena, n + m, struct iw_proxy *);
    if (!list)
        return SIZE_MAX;
    for (size_t i = 0; i < n; i++)
        if (!(list[i] = iw_proxy_copy(deployed[i]->proxy, arena)))
            return SIZE_MAX;
    for (size_t i = 0; i < m; i++)
        list[n + i] = table[i].proxy;
    *out = list;
    return n + m;
}

static void find_all_objects_by_type(void *self, struct ir_request *rq,
                                     const struct IceGrid_Query_findAllObjectsByType_in *in)
{
    struct iw_proxy **list;
    size_t n = find_by_type(self, in->type, ir_request_arena(rq), &list);
    if (n == SIZE_MAX) {
        fail_nomem(rq);
        return;
    }
    const struct IceGrid_Query_findAllObjectsByType_out out = {.ret = {n, list}};
    IceGrid_Query_findAllObjectsByType_reply(rq, &out);
}

static struct iw_proxy *any(struct iw_proxy **list, size_t n)
{
    reg_shuffle(list, n);
    return n ? list[0] : NULL;
}

static void find_object_by_type(void *self, struct ir_request *rq, const struct IceGrid_Query_findObjectByType_in *in)
{
    struct iw_proxy **list;
    size_t n = find_by_type(self, in->type, ir_request_arena(rq), &list);
    if (n == SIZE_MAX) {
        fail_nomem(rq);
        return;
    }
    const struct IceGrid_Query_findObjectByType_out out = {.ret = any(list, n)};
    IceGrid_Query_findObjectByType_reply(rq, &out);
}

/* 999.9: its server's node is unknown; 1.0: no adapter to tell the node by (icegrid-registry 4.8). */
static bool is_unreachable(struct query *q, const struct iw_proxy *prx)
{
    return prx->n_endpoints == 0 && reg_catalog_adapter(q->reg->catalog, prx->adapter_id);
}

static void find_least_loaded(void *self, struct ir_request *rq,
                              const struct IceGrid_Query_findObjectByTypeOnLeastLoadedNode_in *in)
{
    struct query *q = self;
    struct iw_proxy **list;
    size_t n = find_by_type(q, in->type, ir_request_arena(rq), &list);
    if (n == SIZE_MAX) {
        fail_nomem(rq);
        return;
    }
    struct iw_proxy *best = any(list, n);
    for (size_t i = 1; i < n && is_unreachable(q, best); i++)
        best = list[i];
    const struct IceGrid_Query_findObjectByTypeOnLeastLoadedNode_out out = {.ret = best};
    IceGrid_Query_findObjectByTypeOnLeastLoadedNode_reply(rq, &out);
}

/* --- replicas -------------------------------------------------------------------------------------------------------
 */

/* The ids of the group's members, deployed or dynamic; 0 when id is no group. */
static size_t member_ids(struct query *q, struct ib_str id, struct ib_arena *arena, struct ib_str **out)
{
    struct reg_adapter **deployed = NULL;
    struct IceGrid_AdapterInfo *dynamic = NULL;
    size_t n;
    bool is_deployed = reg_catalog_group(q->reg->catalog, id) != NULL;
    if (is_deployed)
        n = reg_catalog_members(q->reg->catalog, id, arena, &deployed);
    else if (reg_catalog_has_dynamic_group(q->reg->catalog, id) && !reg_catalog_adapter(q->reg->catalog, id) &&
             !reg_catalog_has_dynamic(q->reg->catalog, id))
        n = reg_catalog_dynamics(q->reg->catalog, &id, arena, &dynamic);
    else
        return 0;
    struct ib_str *ids = n == SIZE_MAX ? NULL : IB_ARENA_ARRAY(arena, n, struct ib_str);
    if (!ids)
        return SIZE_MAX;
    for (size_t i = 0; i < n; i++)
        ids[i] = is_deployed ? deployed[i]->id : dynamic[i].id;
    *out = ids;
    return n;
}

static void find_all_replicas(void *self, struct ir_request *rq, const struct IceGrid_Query_findAllReplicas_in *in)
{
    struct query *q = self;
    struct ib_arena *arena = ir_request_arena(rq);
    const struct iw_proxy *prx = in->proxy;
    struct ib_str *ids = NULL;
    size_t n = 0;
    int rc = 0;
    if (prx && prx->n_endpoints == 0 && prx->adapter_id.n == 0)
        rc = reg_find_object(q->reg, &prx->id, arena, &prx);
    if (!rc && prx && prx->n_endpoints == 0 && prx->adapter_id.n)
        n = member_ids(q, prx->adapter_id, arena, &ids);
    struct iw_proxy **list = rc || n == SIZE_MAX ? NULL : IB_ARENA_ARRAY(arena, n, struct iw_proxy *);
    if (!list) {
        fail_nomem(rq);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        list[i] = iw_proxy_copy(prx, arena);
        if (!list[i]) {
            fail_nomem(rq);
            return;
        }
        list[i]->adapter_id = ids[i];
    }
    const struct IceGrid_Query_findAllReplicas_out out = {.ret = {n, list}};
    IceGrid_Query_findAllReplicas_reply(rq, &out);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static const struct IceGrid_Query_servant vtable = {
    .findObjectById = find_object_by_id,
    .findObjectByType = find_object_by_type,
    .findObjectByTypeOnLeastLoadedNode = find_least_loaded,
    .findAllObjectsByType = find_all_objects_by_type,
    .findAllReplicas = find_all_replicas,
};

static void *query_start(struct reg *reg, struct ib_err *err)
{
    struct query *q = calloc(1, sizeof *q);
    struct iw_identity id = reg_identity(reg, "Query");
    int rc = IB_ENOMEM;
    if (q) {
        q->reg = reg;
        q->servant = (struct ir_servant){.iface = &IceGrid_Query_iface, .vtable = &vtable, .self = q};
        rc = ir_adapter_add(reg->client, &id, "", &q->servant);
    }
    if (!rc)
        return q;
    ib_err_set(err, rc, "%s", ib_err_text(rc));
    free(q);
    return NULL;
}

static void query_stop(void *state)
{
    free(state);
}

const struct reg_part reg_query_part = {"query", query_start, query_stop};
