/* SPDX-License-Identifier: Apache-2.0 */
/* Two questions to a growing set of Query objects: which registries do you know, and, once nobody knows more, where is
   the object. All asked at once, each with a deadline. */
#include "finder.h"
#include "slices.h"

#include <stdlib.h>

#define QUERIES_MAX 64

struct question {
    struct reg_finder *finder;
    struct iw_proxy *query;
    struct ir_call *call;
    bool asked; /* the first question */
    struct iw_proxy *answer; /* to the second */
};

struct reg_finder {
    struct reg *reg;
    struct ib_arena arena;
    struct iw_identity id;
    int32_t timeout_ms;
    reg_found_fn found;
    void *arg;
    struct question questions[QUERIES_MAX];
    size_t n, open;
    struct iw_proxy *found_list[QUERIES_MAX];
    bool second;
    struct ic_deferred kick;
};

static bool is_own(const struct reg *reg, const struct iw_endpoint *ep)
{
    size_t n;
    const struct iw_endpoint *own = ir_adapter_endpoints(reg->client, &n);
    for (size_t i = 0; i < n; i++)
        if (iw_endpoint_equal(&own[i], ep))
            return true;
    return false;
}

static bool same_endpoints(const struct iw_proxy *a, const struct iw_proxy *b)
{
    if (a->n_endpoints != b->n_endpoints)
        return false;
    for (size_t i = 0; i < a->n_endpoints; i++)
        if (!iw_endpoint_equal(&a->endpoints[i], &b->endpoints[i]))
            return false;
    return true;
}

/* A Query at the n endpoints, unless they are ours or known. */
static void add_query(struct reg_finder *f, const struct iw_proxy *like, const struct iw_endpoint *endpoints, size_t n)
{
    if (f->n == QUERIES_MAX || n == 0 || is_own(f->reg, &endpoints[0]))
        return;
    struct iw_proxy *prx = iw_proxy_copy(like, &f->arena);
    struct iw_endpoint *copy = IB_ARENA_ARRAY(&f->arena, n, struct iw_endpoint);
    if (!prx || !copy)
        return;
    memcpy(copy, endpoints, n * sizeof *copy); /* the strings are the caller's: copied with the proxy below */
    prx->id = reg_identity(f->reg, "Query");
    prx->has_facet = false;
    prx->endpoints = copy;
    prx->n_endpoints = n;
    prx = iw_proxy_copy(prx, &f->arena);
    if (!prx)
        return;
    for (size_t i = 0; i < f->n; i++)
        if (same_endpoints(f->questions[i].query, prx))
            return;
    f->questions[f->n++] = (struct question){.finder = f, .query = prx};
}

static void ask(struct reg_finder *f);

static void next(struct reg_finder *f)
{
    if (f->open)
        return;
    if (!f->second) {
        f->second = true;
        ask(f);
        if (f->open)
            return;
    }
    struct iw_proxy **list = f->found_list;
    size_t n = 0;
    for (size_t i = 0; i < f->n; i++) {
        bool known = !f->questions[i].answer;
        for (size_t k = 0; k < n && !known; k++)
            known = iw_proxy_equal(list[k], f->questions[i].answer);
        if (!known)
            list[n++] = f->questions[i].answer;
    }
    f->found(f->arg, list, n);
}

static void on_registries(void *arg, const struct ir_result *r)
{
    struct question *q = arg;
    struct reg_finder *f = q->finder;
    const struct IceGrid_Query_findAllObjectsByType_out *out = IceGrid_Query_findAllObjectsByType_result(r);
    q->call = NULL;
    f->open--;
    for (size_t i = 0; out && i < out->ret.n; i++)
        if (out->ret.v[i])
            add_query(f, out->ret.v[i], out->ret.v[i]->endpoints, out->ret.v[i]->n_endpoints);
    if (out)
        ask(f);
    next(f);
}

static void on_object(void *arg, const struct ir_result *r)
{
    struct question *q = arg;
    const struct IceGrid_Query_findObjectById_out *out = IceGrid_Query_findObjectById_result(r);
    q->call = NULL;
    q->finder->open--;
    if (out && out->ret)
        q->answer = iw_proxy_copy(out->ret, &q->finder->arena);
    next(q->finder);
}

/* Puts the current question to whoever has not heard it. */
static void ask(struct reg_finder *f)
{
    const struct ir_call_options opt = {.timeout_ms = f->timeout_ms, .connect_timeout_ms = f->timeout_ms};
    for (size_t i = 0; i < f->n; i++) {
        struct question *q = &f->questions[i];
        if (q->call || (!f->second && q->asked))
            continue;
        if (f->second) {
            const struct IceGrid_Query_findObjectById_in in = {.id = f->id};
            q->call = IceGrid_Query_findObjectById_call(f->reg->rt, q->query, &opt, &in, on_object, q);
        } else {
            q->asked = true;
            const struct IceGrid_Query_findAllObjectsByType_in in = {.type = IB_STR("::IceGrid::Registry")};
            q->call = IceGrid_Query_findAllObjectsByType_call(f->reg->rt, q->query, &opt, &in, on_registries, q);
        }
        if (q->call)
            f->open++;
    }
}

static void begin(void *arg)
{
    struct reg_finder *f = arg;
    ask(f);
    next(f);
}

struct reg_finder *reg_finder_start(struct reg *reg, const struct iw_proxy *locator, const struct iw_identity *id,
                                    int32_t timeout_ms, reg_found_fn found, void *arg)
{
    struct reg_finder *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->reg = reg;
    f->timeout_ms = timeout_ms;
    f->found = found;
    f->arg = arg;
    ib_arena_init(&f->arena, 4 << 20);
    f->id = (struct iw_identity){ib_arena_str(&f->arena, id->name), ib_arena_str(&f->arena, id->category)};
    /* Each endpoint on its own: the locator's are those of several replicas. */
    for (size_t i = 0; locator && i < locator->n_endpoints; i++)
        add_query(f, locator, &locator->endpoints[i], 1);
    const struct ib_str type = IB_STR("::IceGrid::Registry");
    struct IceGrid_ObjectInfo *known;
    size_t n = reg_catalog_objects(reg->catalog, &type, &f->arena, &known);
    for (size_t i = 0; n != SIZE_MAX && i < n; i++)
        if (known[i].proxy)
            add_query(f, known[i].proxy, known[i].proxy->endpoints, known[i].proxy->n_endpoints);
    ic_loop_defer(reg->loop, &f->kick, begin, f);
    return f;
}

void reg_finder_free(struct reg_finder *f)
{
    if (!f)
        return;
    ic_loop_undefer(f->reg->loop, &f->kick);
    for (size_t i = 0; i < f->n; i++)
        if (f->questions[i].call)
            ir_call_cancel(f->questions[i].call);
    ib_arena_fini(&f->arena);
    free(f);
}
