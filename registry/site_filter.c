/* SPDX-License-Identifier: Apache-2.0 */
#include "site_filter.h"

#include <stdlib.h>

#include <moulin/net/conn.h>
#include <slice/Ice/BuiltinSequences.h>
#include <slice/Moulin/Registry_rpc.h>

#define GROUP "Moulin.Registry.GroupFilter."
#define TYPE "Moulin.Registry.TypeFilter."
#define DYNAMIC "Moulin.Registry.DynamicGroupFilter"
#define CALL_MS 2000 /* a client waits for it */
#define CALLS_MAX 10000 /* of one filter */

struct reg_filter {
    struct reg_filter *next;
    struct reg *reg;
    enum reg_filter_kind kind;
    struct ib_str id; /* empty: dynamic groups' */
    struct iw_proxy *proxy;
    struct ib_list calls; /* struct reg_filtering */
    size_t n_calls;
    bool failing; /* said once */
};

struct filters {
    struct reg *reg;
    struct ib_arena arena; /* of all */
    struct reg_filter *list;
};

struct reg_filtering {
    struct ib_list node;
    struct reg_filter *filter;
    struct ir_call *call;
    reg_filtered_fn fn; /* one of the two */
    reg_filtered_type_fn type_fn;
    void *arg;
};

struct reg_filter *reg_filter_find(struct reg *reg, enum reg_filter_kind kind, struct ib_str id)
{
    struct filters *x = reg_part_state(reg, &reg_site_filter_part);
    struct reg_filter *f = x->list;
    while (f && (f->kind != kind || !ib_str_eq(f->id, id)))
        f = f->next;
    return f;
}

/* --- asking --------------------------------------------------------------------------------------------------------
 */

static void free_call(struct reg_filtering *c)
{
    ib_list_remove(&c->node);
    c->filter->n_calls--;
    free(c);
}

/* Nobody: NULL. */
static void tell_nobody(struct reg_filtering *c)
{
    const struct reg_filtering told = *c;
    free_call(c);
    if (told.fn)
        told.fn(told.arg, NULL);
    else
        told.type_fn(told.arg, NULL);
}

static void warn_once(struct reg_filter *f, const struct ir_result *r)
{
    char text[256];
    if (!f->failing)
        ib_log_warning(f->reg->log, "%s filter `%s' cannot be asked, so %s:\n%s",
                       f->kind == REG_FILTER_OF_TYPES ? "type" : "replica group", ib_cstr(f->id),
                       f->kind == REG_FILTER_OF_TYPES ? "nothing is found by it" : "its groups have no members",
                       ir_result_text(r, text, sizeof text));
    f->failing = true;
}

static void on_filtered(void *arg, const struct ir_result *r)
{
    struct reg_filtering *c = arg;
    const struct reg_filtering told = *c;
    const struct Moulin_ReplicaGroupFilter_filter_out *members = Moulin_ReplicaGroupFilter_filter_result(r);
    const struct Moulin_TypeFilter_filter_out *objects = Moulin_TypeFilter_filter_result(r);
    if (!members && !objects) {
        warn_once(c->filter, r);
        tell_nobody(c);
        return;
    }
    c->filter->failing = false;
    free_call(c);
    if (members)
        told.fn(told.arg, &members->ret);
    else
        told.type_fn(told.arg, &objects->ret);
}

static int fill_context(const struct ir_request_info *info, struct ib_arena *arena, struct Ice_Context *out)
{
    *out = (struct Ice_Context){info->n_context, IB_ARENA_ARRAY(arena, info->n_context, struct Ice_Context_entry)};
    for (size_t i = 0; out->v && i < out->n; i++)
        out->v[i] = (struct Ice_Context_entry){info->context[i].key, info->context[i].value};
    return out->v ? 0 : IB_ENOMEM;
}

static struct ib_str remote_address(const struct ir_request *rq, struct ib_arena *arena)
{
    struct ir_conn *conn = ir_request_conn(rq);
    struct ic_conn_info info;
    if (!conn)
        return ib_str("");
    ic_conn_get_info(ir_conn_net(conn), &info);
    return ib_arena_strz(arena, info.remote_host);
}

static struct reg_filtering *prepare(struct reg_filter *f, void *arg)
{
    struct reg_filtering *c = f->n_calls < CALLS_MAX ? malloc(sizeof *c) : NULL;
    if (c)
        *c = (struct reg_filtering){.filter = f, .arg = arg};
    return c;
}

/* c is given up when there is no call. */
static struct reg_filtering *under_way(struct reg_filtering *c, struct ir_call *call)
{
    if (!call) {
        free(c);
        return NULL;
    }
    c->call = call;
    ib_list_append(&c->filter->calls, &c->node);
    c->filter->n_calls++;
    return c;
}

static const struct ir_call_options options = {.timeout_ms = CALL_MS, .connect_timeout_ms = CALL_MS};

struct reg_filtering *reg_filter_group(struct reg_filter *f, struct ir_request *rq, struct ib_str group,
                                       const struct Ice_StringSeq *ids, reg_filtered_fn fn, void *arg)
{
    struct ib_arena *arena = ir_request_arena(rq);
    struct Moulin_ReplicaGroupFilter_filter_in in = {.replicaGroupId = group, .adapterIds = *ids};
    struct reg_filtering *c = prepare(f, arg);
    in.remoteAddress = remote_address(rq, arena);
    if (!c || !in.remoteAddress.p || fill_context(ir_request_info(rq), arena, &in.context)) {
        free(c);
        return NULL;
    }
    c->fn = fn;
    return under_way(c, Moulin_ReplicaGroupFilter_filter_call(f->reg->rt, f->proxy, &options, &in, on_filtered, c));
}

struct reg_filtering *reg_filter_type(struct reg_filter *f, struct ir_request *rq, struct ib_str type,
                                      const struct Ice_ObjectProxySeq *proxies, reg_filtered_type_fn fn, void *arg)
{
    struct ib_arena *arena = ir_request_arena(rq);
    struct Moulin_TypeFilter_filter_in in = {.type = type, .proxies = *proxies};
    struct reg_filtering *c = prepare(f, arg);
    in.remoteAddress = remote_address(rq, arena);
    if (!c || !in.remoteAddress.p || fill_context(ir_request_info(rq), arena, &in.context)) {
        free(c);
        return NULL;
    }
    c->type_fn = fn;
    return under_way(c, Moulin_TypeFilter_filter_call(f->reg->rt, f->proxy, &options, &in, on_filtered, c));
}

static bool is_taken(const size_t *order, size_t n, size_t index)
{
    size_t i = 0;
    while (i < n && order[i] != index)
        i++;
    return i < n;
}

size_t reg_filtered(const struct Ice_StringSeq *ids, const struct Ice_StringSeq *left, size_t *order)
{
    size_t n = 0;
    for (size_t i = 0; left && i < left->n && n < ids->n; i++) {
        size_t k = 0;
        while (k < ids->n && !ib_str_eq(ids->v[k], left->v[i]))
            k++;
        if (k < ids->n && !is_taken(order, n, k))
            order[n++] = k;
    }
    return n;
}

struct numbered {
    const struct iw_identity *id;
    size_t index;
    bool taken;
};

static int by_identity(const void *a, const void *b)
{
    return iw_identity_cmp(((const struct numbered *)a)->id, ((const struct numbered *)b)->id);
}

size_t reg_filtered_proxies(const struct Ice_ObjectProxySeq *given, const struct Ice_ObjectProxySeq *left,
                            struct ib_arena *arena, size_t *order)
{
    struct numbered *known = IB_ARENA_ARRAY(arena, given->n, struct numbered);
    size_t n = 0;
    for (size_t i = 0; known && i < given->n; i++)
        known[i] = (struct numbered){&given->v[i]->id, i, false};
    if (!known)
        return SIZE_MAX;
    qsort(known, given->n, sizeof *known, by_identity);
    for (size_t i = 0; left && i < left->n; i++) {
        const struct numbered wanted = {left->v[i] ? &left->v[i]->id : NULL, 0, false};
        struct numbered *found = wanted.id ? bsearch(&wanted, known, given->n, sizeof *known, by_identity) : NULL;
        if (found && !found->taken) {
            found->taken = true;
            order[n++] = found->index;
        }
    }
    return n;
}

void reg_filtering_cancel(struct reg_filtering *c)
{
    if (!c)
        return;
    ir_call_cancel(c->call);
    free_call(c);
}

void reg_site_filters_end(struct reg *reg)
{
    struct filters *x = reg_part_state(reg, &reg_site_filter_part);
    for (struct reg_filter *f = x ? x->list : NULL; f; f = f->next) {
        while (!ib_list_empty(&f->calls)) {
            struct reg_filtering *c = IB_CONTAINER(f->calls.next, struct reg_filtering, node);
            ir_call_cancel(c->call);
            tell_nobody(c);
        }
    }
}

/* --- life ----------------------------------------------------------------------------------------------------------
 */

struct reading {
    struct filters *all;
    enum reg_filter_kind kind;
    const char *prefix;
    struct ib_err *err;
};

static void add(struct reading *r, const char *key, const char *id)
{
    struct filters *x = r->all;
    struct iw_proxy *prx = NULL;
    if (r->err->code || ir_runtime_property_proxy(x->reg->rt, key, &x->arena, &prx, r->err) || !prx)
        return;
    struct reg_filter *f = IB_ARENA_NEW(&x->arena, struct reg_filter);
    struct ib_str copy = ib_arena_strz(&x->arena, id);
    if (!f || !copy.p) {
        ib_err_set(r->err, IB_ENOMEM, "out of memory");
        return;
    }
    *f = (struct reg_filter){.next = x->list, .reg = x->reg, .kind = r->kind, .id = copy, .proxy = prx};
    ib_list_init(&f->calls);
    x->list = f;
}

/* Options of a proxy are properties of their own, behind its name and a dot: they name no filter. */
static bool is_option(const struct reading *r, const char *id)
{
    for (const struct reg_filter *f = r->all->list; f; f = f->next)
        if (f->kind == r->kind && f->id.n && strncmp(id, f->id.p, f->id.n) == 0 && id[f->id.n] == '.')
            return true;
    return false;
}

/* In the order of keys, so that a filter comes before its options. */
static void read_filter(void *arg, const char *key, const char *value)
{
    struct reading *r = arg;
    const char *id = key + strlen(r->prefix);
    if (*id && *value && !is_option(r, id))
        add(r, key, id);
}

static void *filters_start(struct reg *reg, struct ib_err *err)
{
    struct filters *x = calloc(1, sizeof *x);
    struct reading groups = {x, REG_FILTER_OF_GROUPS, GROUP, err}, types = {x, REG_FILTER_OF_TYPES, TYPE, err};
    if (!x) {
        ib_err_set(err, IB_ENOMEM, "out of memory");
        return NULL;
    }
    x->reg = reg;
    ib_arena_init(&x->arena, 0);
    ir_properties_each(ir_runtime_properties(reg->rt), GROUP, read_filter, &groups);
    add(&groups, DYNAMIC, "");
    ir_properties_each(ir_runtime_properties(reg->rt), TYPE, read_filter, &types);
    if (!err->code)
        return x;
    ib_arena_fini(&x->arena);
    free(x);
    return NULL;
}

static void filters_stop(void *state)
{
    struct filters *x = state;
    for (struct reg_filter *f = x->list; f; f = f->next)
        while (!ib_list_empty(&f->calls))
            reg_filtering_cancel(IB_CONTAINER(f->calls.next, struct reg_filtering, node));
    ib_arena_fini(&x->arena);
    free(x);
}

const struct reg_part reg_site_filter_part = {"filters", filters_start, filters_stop};
