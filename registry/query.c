/* SPDX-License-Identifier: Apache-2.0 */
/* IN/Query: objects by identity and type, members of replica groups (icegrid-registry 6). */
#include "site_filter.h"
#include "load.h"
#include "locate.h"
#include "nodes.h"
#include "query_filtered.h"
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

static void find_object_by_id(void *self, struct ir_request *rq, const struct IceGrid_Query_findObjectById_in *in)
{
    struct query *q = self;
    struct reg_object object;
    if (reg_catalog_find(q->reg->catalog, &in->id, &object))
        ir_request_reply_encoded(rq, &IceGrid_Query_findObjectById_op, object.proxy, NULL);
    else
        IceGrid_Query_findObjectById_reply(rq, &(struct IceGrid_Query_findObjectById_out){.ret = NULL});
}

/* Objects of servers that are known to be disabled are not told of by type; those of a replica group have no server. */
static bool is_enabled(const struct query *q, const struct reg_object *o)
{
    const struct reg_adapter *a = o->deployed ? o->deployed->adapter : NULL;
    return !a || reg_node_server_enabled(q->reg, a->server->node, a->server->id);
}

/* Deployed objects sorted by identity, then those of the table. SIZE_MAX: memory. */
static size_t find_by_type(const struct query *q, struct ib_str type, struct ib_arena *arena, struct reg_object **out)
{
    size_t n = reg_catalog_list(q->reg->catalog, &type, arena, out), k = 0;
    for (size_t i = 0; n != SIZE_MAX && i < n; i++)
        if (is_enabled(q, &(*out)[i]))
            (*out)[k++] = (*out)[i];
    return n == SIZE_MAX ? SIZE_MAX : k;
}

/* Whether the site filters the type: then this answers. */
static bool is_filtered(struct query *q, struct ir_request *rq, enum reg_by_type what, struct ib_str type, int minutes)
{
    struct reg_filter *filter = reg_filter_find(q->reg, REG_FILTER_OF_TYPES, type);
    struct reg_object *list;
    size_t n = filter ? find_by_type(q, type, ir_request_arena(rq), &list) : 0;
    if (filter && n == SIZE_MAX)
        fail_nomem(rq);
    else if (filter)
        reg_query_filtered(q->reg, rq, filter, what, type, minutes, list, n);
    return filter != NULL;
}

/* Deployed objects sorted by identity, then those of the table. */
static void find_all_objects_by_type(void *self, struct ir_request *rq,
                                     const struct IceGrid_Query_findAllObjectsByType_in *in)
{
    struct query *q = self;
    struct ib_arena *arena = ir_request_arena(rq);
    struct reg_object *list;
    if (is_filtered(q, rq, REG_ALL_OF_TYPE, in->type, 0))
        return;
    size_t n = find_by_type(q, in->type, arena, &list);
    struct ib_span *proxies = n == SIZE_MAX ? NULL : IB_ARENA_ARRAY(arena, n, struct ib_span);
    for (size_t i = 0; proxies && i < n; i++)
        proxies[i] = list[i].proxy;
    struct ib_block *all = proxies ? iw_join(proxies, n) : NULL;
    if (all)
        ir_request_reply_encoded(rq, &IceGrid_Query_findAllObjectsByType_op, (struct ib_span){all->p, all->n}, all);
    else
        fail_nomem(rq);
    ib_block_unref(all);
}

/* Mostly nothing is disabled: the first look at random finds one that is not. */
enum { GUESSES = 8 };

static void find_object_by_type(void *self, struct ir_request *rq, const struct IceGrid_Query_findObjectByType_in *in)
{
    struct query *q = self;
    struct reg_object object, *list;
    if (is_filtered(q, rq, REG_ANY_OF_TYPE, in->type, 0))
        return;
    size_t n = reg_catalog_count(q->reg->catalog, in->type);
    for (int i = 0; i < GUESSES && n; i++) {
        reg_catalog_nth(q->reg->catalog, in->type, reg_random_below(n), &object);
        if (is_enabled(q, &object)) {
            ir_request_reply_encoded(rq, &IceGrid_Query_findObjectByType_op, object.proxy, NULL);
            return;
        }
    }
    n = n ? find_by_type(q, in->type, ir_request_arena(rq), &list) : 0;
    if (n == SIZE_MAX)
        fail_nomem(rq);
    else if (n)
        ir_request_reply_encoded(rq, &IceGrid_Query_findObjectByType_op, list[reg_random_below(n)].proxy, NULL);
    else
        IceGrid_Query_findObjectByType_reply(rq, &(struct IceGrid_Query_findObjectByType_out){.ret = NULL});
}

/* --- the least loaded (icegrid-registry 4.8) ---------------------------------------------------------------------- */

/* One of the sites with the least load, each as likely as it has objects. */
struct least {
    const struct query *q;
    int minutes;
    bool exact; /* disabled objects do not count: every object is looked at */
    double load;
    size_t n; /* objects of the sites with that load so far */
    size_t site_n; /* of site */
    struct reg_site site;
};

/* The i-th object of the site that is enabled; returns how many there are. */
static size_t enabled_nth(const struct query *q, const struct reg_site *site, size_t i, struct reg_object *out)
{
    size_t seen = 0;
    for (size_t k = 0; k < site->n; k++) {
        struct reg_object o;
        reg_site_nth(site, k, &o);
        if (is_enabled(q, &o) && seen++ == i)
            *out = o;
    }
    return seen;
}

static void weigh(void *arg, const struct reg_site *site)
{
    struct least *l = arg;
    struct reg_object unused;
    struct ib_str adapter = site->deployed ? site->deployed->proxy->adapter_id : site->adapter_id;
    double load = reg_adapter_load(l->q->reg, adapter, l->minutes);
    size_t n = l->exact ? enabled_nth(l->q, site, SIZE_MAX, &unused) : site->n;
    if (n == 0 || (l->n && load > l->load))
        return;
    if (load < l->load)
        l->n = 0;
    l->load = load;
    l->n += n;
    if (l->n == n || reg_random_below(l->n) < n) {
        l->site = *site;
        l->site_n = n;
    }
}

/* False: none. IB_ENOMEM in *rc. */
static bool choose_least(struct query *q, struct ib_str type, int minutes, bool exact, struct reg_object *out, int *rc)
{
    struct least l = {.q = q, .minutes = minutes, .exact = exact};
    *rc = reg_catalog_each_site(q->reg->catalog, type, weigh, &l);
    if (*rc || l.n == 0)
        return false;
    if (exact)
        return enabled_nth(q, &l.site, reg_random_below(l.site_n), out) > 0;
    for (int i = 0; i < GUESSES; i++) {
        reg_site_nth(&l.site, reg_random_below(l.site_n), out);
        if (is_enabled(q, out))
            return true;
    }
    return false;
}

static int minutes_of(enum IceGrid_LoadSample sample)
{
    return sample == IceGrid_LoadSample_LoadSample1 ? 1 : sample == IceGrid_LoadSample_LoadSample5 ? 5 : 15;
}

static void find_least_loaded(void *self, struct ir_request *rq,
                              const struct IceGrid_Query_findObjectByTypeOnLeastLoadedNode_in *in)
{
    struct query *q = self;
    struct reg_object object;
    int rc = 0, minutes = minutes_of(in->sample);
    if (is_filtered(q, rq, REG_LEAST_LOADED_OF_TYPE, in->type, minutes))
        return;
    if (choose_least(q, in->type, minutes, false, &object, &rc) ||
        (!rc && choose_least(q, in->type, minutes, true, &object, &rc)))
        ir_request_reply_encoded(rq, &IceGrid_Query_findObjectByTypeOnLeastLoadedNode_op, object.proxy, NULL);
    else if (rc)
        fail_nomem(rq);
    else
        IceGrid_Query_findObjectByTypeOnLeastLoadedNode_reply(
            rq, &(struct IceGrid_Query_findObjectByTypeOnLeastLoadedNode_out){.ret = NULL});
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

/* The replicas of prx; in the request's arena. */
struct replicas {
    struct ir_request *rq;
    const struct iw_proxy *prx;
    struct Ice_StringSeq ids;
    size_t *kept;
    struct reg_filtering *filtering;
};

static void answer_replicas(struct replicas *a)
{
    struct ib_arena *arena = ir_request_arena(a->rq);
    struct iw_proxy **list = IB_ARENA_ARRAY(arena, a->ids.n, struct iw_proxy *);
    for (size_t i = 0; list && i < a->ids.n; i++) {
        list[i] = iw_proxy_copy(a->prx, arena);
        if (!list[i])
            list = NULL;
        else
            list[i]->adapter_id = a->ids.v[i];
    }
    if (!list) {
        fail_nomem(a->rq);
        return;
    }
    const struct IceGrid_Query_findAllReplicas_out out = {.ret = {a->ids.n, list}};
    IceGrid_Query_findAllReplicas_reply(a->rq, &out);
}

static void on_filtered(void *arg, const struct Ice_StringSeq *left)
{
    struct replicas *a = arg;
    size_t n = reg_filtered(&a->ids, left, a->kept);
    struct ib_str *ids = IB_ARENA_ARRAY(ir_request_arena(a->rq), n, struct ib_str);
    ir_request_on_cancel(a->rq, NULL, NULL);
    for (size_t i = 0; ids && i < n; i++)
        ids[i] = a->ids.v[a->kept[i]];
    a->ids = (struct Ice_StringSeq){ids ? n : 0, ids};
    answer_replicas(a);
}

static void on_caller_gone(void *arg, struct ir_request *rq)
{
    struct replicas *a = arg;
    const struct IceGrid_Query_findAllReplicas_out none = {.ret = {0, NULL}};
    reg_filtering_cancel(a->filtering);
    IceGrid_Query_findAllReplicas_reply(rq, &none);
}

static void filter_replicas(struct replicas *a, struct reg_filter *filter)
{
    /* what is filtered is asked for by the proxy it was found with, which may be the catalog's */
    struct ib_arena *arena = ir_request_arena(a->rq);
    const struct ib_str group = a->prx->adapter_id;
    a->prx = iw_proxy_copy(a->prx, arena);
    a->kept = IB_ARENA_ARRAY(arena, a->ids.n, size_t);
    for (size_t i = 0; i < a->ids.n && a->prx; i++) {
        a->ids.v[i] = ib_arena_str(arena, a->ids.v[i]);
        if (!a->ids.v[i].p)
            a->prx = NULL;
    }
    if (a->prx && a->kept)
        a->filtering = reg_filter_group(filter, a->rq, group, &a->ids, on_filtered, a);
    if (a->filtering)
        ir_request_on_cancel(a->rq, on_caller_gone, a);
    else
        fail_nomem(a->rq);
}

static struct reg_filter *filter_of(struct query *q, struct ib_str id)
{
    const struct reg_group *group = reg_catalog_group(q->reg->catalog, id);
    if (group && !group->filter.n)
        return NULL;
    return reg_filter_find(q->reg, REG_FILTER_OF_GROUPS, group ? group->filter : ib_str(""));
}

static void find_all_replicas(void *self, struct ir_request *rq, const struct IceGrid_Query_findAllReplicas_in *in)
{
    struct query *q = self;
    struct ib_arena *arena = ir_request_arena(rq);
    struct replicas *a = IB_ARENA_NEW(arena, struct replicas);
    const struct iw_proxy *prx = in->proxy;
    size_t n = 0;
    int rc = a ? 0 : IB_ENOMEM;
    if (!rc && prx && prx->n_endpoints == 0 && prx->adapter_id.n == 0)
        rc = reg_find_object(q->reg, &prx->id, arena, &prx);
    if (!rc && prx && prx->n_endpoints == 0 && prx->adapter_id.n)
        n = member_ids(q, prx->adapter_id, arena, &a->ids.v);
    if (rc || n == SIZE_MAX) {
        fail_nomem(rq);
        return;
    }
    a->rq = rq;
    a->prx = prx;
    a->ids.n = n;
    struct reg_filter *filter = n ? filter_of(q, prx->adapter_id) : NULL;
    if (filter)
        filter_replicas(a, filter);
    else
        answer_replicas(a);
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
