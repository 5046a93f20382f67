/* SPDX-License-Identifier: Apache-2.0 */
/* Admin facet "Metrics": the views, read and switched (ice-protocol 19.2). */
#include "admin_priv.h"
#include "metrics.h"
#include "rpc_priv.h"

#include <moulin/base/clock.h>
#include <slice/Ice/Metrics_rpc.h>

#include <stdlib.h>

static struct ir_metrics *metrics_of(const void *self)
{
    return ((const struct ir_admin *)self)->rt->metrics;
}

/* NULL: answered already. */
static struct ir_metrics_view *find_view(const void *self, struct ir_request *rq, struct ib_str name)
{
    struct ir_metrics_view *v = ir_metrics_find(metrics_of(self), name);
    if (!v)
        IceMX_UnknownMetricsView_throw(rq, NULL);
    return v;
}

static void fail(struct ir_request *rq, int code)
{
    ir_request_fail_local(rq, code, ib_err_text(code));
}

static int add_name(struct Ice_StringSeq *to, struct ib_arena *a, const char *name)
{
    struct ib_str copy = ib_arena_strz(a, name); /* what is answered outlives the view */
    if (!copy.p)
        return IB_ENOMEM;
    size_t at = to->n++;
    for (; at > 0 && strcmp(ib_cstr(to->v[at - 1]), name) > 0; at--)
        to->v[at] = to->v[at - 1];
    to->v[at] = copy;
    return 0;
}

static void view_names(void *self, struct ir_request *rq, const struct IceMX_MetricsAdmin_getMetricsViewNames_in *in)
{
    struct ir_metrics *m = metrics_of(self);
    struct ib_arena *a = ir_request_arena(rq);
    struct IceMX_MetricsAdmin_getMetricsViewNames_out out = {0};
    size_t n = 0;
    int rc = 0;
    (void)in;
    IB_LIST_FOREACH(node, &m->views)
    n++;
    out.ret.v = IB_ARENA_ARRAY(a, n, struct ib_str);
    out.disabledViews.v = IB_ARENA_ARRAY(a, n, struct ib_str);
    rc = out.ret.v && out.disabledViews.v ? 0 : IB_ENOMEM;
    for (struct ib_list *node = m->views.next; rc == 0 && node != &m->views; node = node->next) {
        const struct ir_metrics_view *v = IB_CONTAINER(node, struct ir_metrics_view, node);
        rc = add_name(v->disabled ? &out.disabledViews : &out.ret, a, v->name);
    }
    if (rc)
        fail(rq, rc);
    else
        IceMX_MetricsAdmin_getMetricsViewNames_reply(rq, &out);
}

/* --- asked of every runtime --------------------------------------------------------------------------------------- */

/* What one runtime has to say. */
struct part {
    struct ib_arena arena;
    int rc;
    struct IceMX_MetricsView maps; /* getMetricsView */
    struct IceMX_MetricsFailuresSeq failures; /* the other two */
};

enum kind { ENABLE, DISABLE, VIEW, MAP_FAILURES, FAILURES };

struct job {
    struct ir_request *rq; /* NULL: answered */
    enum kind kind;
    struct ib_str view, map, id; /* in the arena */
    struct ib_arena arena;
    unsigned n;
    struct part parts[];
};

static const struct ir_metrics_map *find_map(const struct ir_metrics_view *v, struct ib_str name)
{
    for (size_t i = 0; i < v->n_slots; i++) {
        if (ib_str_is(name, v->slots[i].map->source->kind->map))
            return v->slots[i].map;
    }
    return NULL;
}

static int write_view(const struct ir_metrics_view *v, struct part *p)
{
    p->maps.v = IB_ARENA_ARRAY(&p->arena, v->n_slots, struct IceMX_MetricsView_entry);
    int rc = p->maps.v ? 0 : IB_ENOMEM;
    for (size_t i = 0; rc == 0 && i < v->n_slots; i++) {
        struct IceMX_MetricsView_entry *e = &p->maps.v[p->maps.n++];
        e->key = ib_arena_strz(&p->arena, v->slots[i].map->source->kind->map);
        rc = e->key.p ? ir_metrics_map_write(v->slots[i].map, &p->arena, &e->value) : IB_ENOMEM;
    }
    return rc;
}

static void each(void *arg, unsigned i, struct ir_runtime *rt)
{
    struct job *j = arg;
    struct part *p = &j->parts[i];
    const struct ir_metrics_view *v = ir_metrics_find(rt->metrics, j->view);
    const struct ir_metrics_map *m = v && j->kind >= MAP_FAILURES ? find_map(v, j->map) : NULL;
    if (!v)
        return;
    switch (j->kind) {
    case ENABLE:
    case DISABLE:
        p->rc = ir_metrics_enable(rt->metrics, j->view, j->kind == ENABLE);
        break;
    case VIEW:
        p->rc = write_view(v, p);
        break;
    case MAP_FAILURES:
    case FAILURES:
        p->rc = m ? ir_metrics_map_failures(m, j->kind == FAILURES ? &j->id : NULL, &p->arena, &p->failures.v,
                                            &p->failures.n)
                  : 0;
    }
}

static int merge_view(struct IceMX_MetricsView *to, const struct IceMX_MetricsView *from, struct ib_arena *a)
{
    int rc = 0;
    for (size_t k = 0; rc == 0 && k < from->n; k++) {
        for (size_t i = 0; rc == 0 && i < to->n; i++) {
            if (ib_str_eq(to->v[i].key, from->v[k].key))
                rc = ir_metrics_merge(&to->v[i].value, &from->v[k].value, a);
        }
    }
    return rc;
}

static int merge_failures(struct IceMX_MetricsFailuresSeq *to, const struct IceMX_MetricsFailuresSeq *from,
                          struct ib_arena *a)
{
    struct IceMX_MetricsFailures *v = IB_ARENA_ARRAY(a, to->n + from->n, struct IceMX_MetricsFailures);
    size_t n = to->n;
    int rc = v ? 0 : IB_ENOMEM;
    for (size_t i = 0; rc == 0 && i < n; i++)
        v[i] = to->v[i];
    for (size_t k = 0; rc == 0 && k < from->n; k++) {
        size_t i = 0;
        while (i < n && !ib_str_eq(v[i].id, from->v[k].id))
            i++;
        if (i == n)
            v[n++] = from->v[k];
        else
            rc = ir_metrics_merge_failures(&v[i], &from->v[k], a);
    }
    to->v = v;
    to->n = n;
    return rc;
}

/* Into the first part. */
static int merge(struct job *j)
{
    struct part *all = &j->parts[0];
    int rc = all->rc;
    for (unsigned i = 1; rc == 0 && i < j->n; i++) {
        struct part *p = &j->parts[i];
        rc = p->rc;
        rc = rc ? rc : merge_view(&all->maps, &p->maps, &all->arena);
        rc = rc ? rc : merge_failures(&all->failures, &p->failures, &all->arena);
    }
    return rc;
}

static void reply(struct job *j, struct ir_request *rq)
{
    const struct part *all = &j->parts[0];
    const struct IceMX_MetricsAdmin_getMetricsView_out view = {.timestamp = ib_clock_wall_ms(), .ret = all->maps};
    const struct IceMX_MetricsAdmin_getMapMetricsFailures_out of_map = {.ret = all->failures};
    struct IceMX_MetricsAdmin_getMetricsFailures_out one = {0};
    switch (j->kind) {
    case ENABLE:
        IceMX_MetricsAdmin_enableMetricsView_reply(rq, NULL);
        break;
    case DISABLE:
        IceMX_MetricsAdmin_disableMetricsView_reply(rq, NULL);
        break;
    case VIEW:
        IceMX_MetricsAdmin_getMetricsView_reply(rq, &view);
        break;
    case MAP_FAILURES:
        IceMX_MetricsAdmin_getMapMetricsFailures_reply(rq, &of_map);
        break;
    case FAILURES:
        if (all->failures.n)
            one.ret = all->failures.v[0];
        IceMX_MetricsAdmin_getMetricsFailures_reply(rq, &one);
    }
}

static void done(void *arg, bool complete)
{
    struct job *j = arg;
    struct ir_request *rq = j->rq;
    int rc = complete ? merge(j) : IB_ETIMEOUT;
    j->rq = NULL;
    if (rc)
        fail(rq, rc);
    else
        reply(j, rq);
}

static void forget(void *arg)
{
    struct job *j = arg;
    for (unsigned i = 0; i < j->n; i++)
        ib_arena_fini(&j->parts[i].arena);
    ib_arena_fini(&j->arena);
    free(j);
}

static void ask(void *self, struct ir_request *rq, enum kind kind, struct ib_str view, struct ib_str map,
                struct ib_str id)
{
    static const struct ir_admin_round round = {.each = each, .done = done, .forget = forget};
    struct ir_admin *admin = self;
    unsigned n = ir_admin_runtimes(admin);
    if (!find_view(self, rq, view))
        return;
    struct job *j = calloc(1, sizeof(*j) + n * sizeof(j->parts[0]));
    if (!j) {
        fail(rq, IB_ENOMEM);
        return;
    }
    j->rq = rq;
    j->kind = kind;
    j->n = n;
    ib_arena_init(&j->arena, 0);
    for (unsigned i = 0; i < n; i++)
        ib_arena_init(&j->parts[i].arena, 0);
    j->view = ib_arena_str(&j->arena, view);
    j->map = ib_arena_str(&j->arena, map);
    j->id = ib_arena_str(&j->arena, id);
    if (!j->view.p || !j->map.p || !j->id.p || ir_admin_ask(admin, &round, j) != 0) {
        forget(j);
        fail(rq, IB_ENOMEM);
    }
}

static void enable_view(void *self, struct ir_request *rq, const struct IceMX_MetricsAdmin_enableMetricsView_in *in)
{
    ask(self, rq, ENABLE, in->name, IB_STR(""), IB_STR(""));
}

static void disable_view(void *self, struct ir_request *rq, const struct IceMX_MetricsAdmin_disableMetricsView_in *in)
{
    ask(self, rq, DISABLE, in->name, IB_STR(""), IB_STR(""));
}

static void get_view(void *self, struct ir_request *rq, const struct IceMX_MetricsAdmin_getMetricsView_in *in)
{
    ask(self, rq, VIEW, in->view, IB_STR(""), IB_STR(""));
}

static void map_failures(void *self, struct ir_request *rq,
                         const struct IceMX_MetricsAdmin_getMapMetricsFailures_in *in)
{
    ask(self, rq, MAP_FAILURES, in->view, in->map, IB_STR(""));
}

static void failures(void *self, struct ir_request *rq, const struct IceMX_MetricsAdmin_getMetricsFailures_in *in)
{
    ask(self, rq, FAILURES, in->view, in->map, in->id);
}

const struct IceMX_MetricsAdmin_servant ir_facet_metrics = {
    .getMetricsViewNames = view_names,
    .enableMetricsView = enable_view,
    .disableMetricsView = disable_view,
    .getMetricsView = get_view,
    .getMapMetricsFailures = map_failures,
    .getMetricsFailures = failures,
};
