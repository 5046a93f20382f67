/* SPDX-License-Identifier: Apache-2.0 */
/* The views: made from IceMX.Metrics.<view>.* and made again when those change (ice-protocol 19.2). */
#include "metrics.h"
#include "rpc_priv.h"

#include <slice/Ice/Metrics.h>

#include <stdio.h>
#include <stdlib.h>

#define PREFIX "IceMX.Metrics."
#define NAME_MAX_BYTES 100

/* --- sources ------------------------------------------------------------------------------------------------------ */

static unsigned count_values(const struct iw_class *cls)
{
    unsigned n = 0;
    for (; cls && cls != &IceMX_Metrics_class; cls = cls->base) {
        for (uint32_t i = 0; i < cls->n_fields; i++)
            n += cls->fields[i].type->kind == IW_INT || cls->fields[i].type->kind == IW_LONG;
    }
    return n;
}

void ir_metrics_source_init(struct ir_metrics *m, struct ir_metrics_source *s, const struct ir_metrics_kind *kind)
{
    *s = (struct ir_metrics_source){.kind = kind, .n_values = count_values(kind->cls)};
    ib_list_init(&s->node);
    ib_list_init(&s->maps);
    ib_list_init(&s->objects);
    s->part = kind->one && m && m->rt->number > 0;
    if (s->n_values > IR_METRICS_VALUES)
        abort(); /* a class of our own Slice that does not fit */
    if (m)
        ib_list_append(&m->sources, &s->node);
}

struct ir_metrics_source *ir_metrics_add(struct ir_runtime *rt, const struct ir_metrics_kind *kind)
{
    struct ir_metrics_source *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    ir_metrics_source_init(rt->metrics, s, kind);
    s->own = true;
    return s;
}

struct ir_metrics *ir_metrics_new(struct ir_runtime *rt)
{
    struct ir_metrics *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    m->rt = rt;
    ib_list_init(&m->sources);
    ib_list_init(&m->views);
    ir_metrics_source_init(m, &m->connection, &ir_kind_connection);
    ir_metrics_source_init(m, &m->establishment, &ir_kind_establishment);
    ir_metrics_source_init(m, &m->lookup, &ir_kind_lookup);
    ir_metrics_source_init(m, &m->dispatch, &ir_kind_dispatch);
    ir_metrics_source_init(m, &m->invocation, &ir_kind_invocation);
    ir_metrics_source_init(m, &m->thread, &ir_kind_thread);
    ir_metrics_source_init(NULL, &m->remote, &ir_kind_remote);
    ir_metrics_source_init(NULL, &m->collocated, &ir_kind_collocated);
    m->invocation.sub[0] = &m->remote;
    m->invocation.sub[1] = &m->collocated;
    ir_observe(&m->thread, &m->loop, rt);
    return m;
}

/* --- making and unmaking a view ----------------------------------------------------------------------------------- */

static void view_stop(struct ir_metrics_view *v)
{
    for (size_t i = 0; i < v->n_slots; i++) {
        ir_metrics_map_free(v->slots[i].map);
        ir_metrics_rules_free(v->slots[i].rules);
    }
    free(v->slots);
    v->slots = NULL;
    v->n_slots = 0;
}

static void view_free(struct ir_metrics_view *v)
{
    view_stop(v);
    ib_list_remove(&v->node);
    free(v->settings);
    free(v);
}

struct naming {
    struct ib_buf *unknown;
    size_t n_prefix;
    size_t n;
};

static void check_name(void *arg, const char *key, const char *value)
{
    static const char *const exact[] = {"GroupBy", "RetainDetached", "Disabled"};
    static const char *const starts[] = {"Accept.", "Reject.", "Map."};
    struct naming *x = arg;
    const char *name = key + x->n_prefix;
    (void)value;
    x->n++;
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(name, exact[i]) == 0 || strncmp(name, starts[i], strlen(starts[i])) == 0)
            return;
    }
    ib_buf_printf(x->unknown, "\n    %s", key);
}

/* Is there a property below prefix? Misspelt ones are told. */
static bool check_names(struct ir_metrics *m, const char *prefix)
{
    struct ib_buf unknown;
    ib_buf_init(&unknown);
    struct naming x = {.unknown = &unknown, .n_prefix = strlen(prefix)};
    ir_properties_each(m->rt->props, prefix, check_name, &x);
    if (unknown.n && ir_properties_int_or(m->rt->props, NULL, "Ice.Warn.UnknownProperties", 1) > 0)
        ib_log_warning(m->rt->log, "found unknown IceMX properties for '%.*s':%s", (int)x.n_prefix - 1, prefix,
                       ib_buf_cstr(&unknown));
    ib_buf_fini(&unknown);
    return x.n > 0;
}

static void slot_fill(struct ir_metrics *m, struct ir_metrics_view *v, struct ir_metrics_source *s, const char *prefix)
{
    struct ir_metrics_slot *slot = &v->slots[v->n_slots];
    struct ib_err err = {0};
    char key[300];
    snprintf(key, sizeof(key), "%sDisabled", prefix);
    if (ir_properties_int_or(m->rt->props, m->rt->log, key, 0) > 0)
        return;
    slot->rules = ir_metrics_rules_new(m->rt->props, m->rt->log, prefix, s->sub, &err);
    slot->map = slot->rules ? ir_metrics_map_new(s, slot->rules, IR_METRICS_RETAIN_MAX) : NULL;
    if (!slot->map) {
        ir_metrics_rules_free(slot->rules);
        ib_log_warning(m->rt->log, "unexpected exception while creating metrics map:\n%s",
                       err.code ? err.text : ib_err_text(IB_ENOMEM));
        return;
    }
    v->n_slots++;
    ib_list_append(&s->maps, &slot->map->node);
    IB_LIST_FOREACH(node, &s->objects)
    {
        struct ir_observed *o = IB_CONTAINER(node, struct ir_observed, node);
        ir_metrics_map_attach(slot->map, &o->links, o->object);
    }
}

static size_t count_sources(const struct ir_metrics *m)
{
    size_t n = 0;
    IB_LIST_FOREACH(node, &m->sources)
    n++;
    return n;
}

static void view_start(struct ir_metrics *m, struct ir_metrics_view *v)
{
    char all[200], one[300];
    v->slots = calloc(count_sources(m), sizeof(*v->slots));
    if (!v->slots)
        return;
    snprintf(all, sizeof(all), PREFIX "%s.", v->name);
    check_names(m, all);
    snprintf(one, sizeof(one), "%sMap.", all);
    struct ib_buf none;
    ib_buf_init(&none);
    struct naming x = {.unknown = &none, .n_prefix = strlen(one)};
    ir_properties_each(m->rt->props, one, check_name, &x);
    ib_buf_fini(&none);
    IB_LIST_FOREACH(node, &m->sources)
    {
        struct ir_metrics_source *s = IB_CONTAINER(node, struct ir_metrics_source, node);
        snprintf(one, sizeof(one), "%sMap.%s.", all, s->kind->map);
        if (x.n == 0)
            slot_fill(m, v, s, all);
        else if (check_names(m, one))
            slot_fill(m, v, s, one);
    }
}

/* --- from the properties ------------------------------------------------------------------------------------------ */

static struct ir_metrics_view *find(struct ir_metrics *m, const char *name, size_t n)
{
    IB_LIST_FOREACH(node, &m->views)
    {
        struct ir_metrics_view *v = IB_CONTAINER(node, struct ir_metrics_view, node);
        if (strlen(v->name) == n && memcmp(v->name, name, n) == 0)
            return v;
    }
    return NULL;
}

struct ir_metrics_view *ir_metrics_find(struct ir_metrics *m, struct ib_str view)
{
    return find(m, ib_cstr(view), view.n);
}

static void see_view(void *arg, const char *key, const char *value)
{
    struct ir_metrics *m = arg;
    const char *name = key + strlen(PREFIX);
    size_t n = strcspn(name, ".");
    (void)value;
    if (n == 0 || n > NAME_MAX_BYTES)
        return;
    struct ir_metrics_view *v = find(m, name, n);
    if (!v) {
        v = calloc(1, sizeof(*v) + n + 1);
        if (!v)
            return;
        memcpy(v->name, name, n);
        v->disabled = true;
        ib_list_append(&m->views, &v->node);
    }
    v->seen = true;
}

static void collect(void *arg, const char *key, const char *value)
{
    ib_buf_printf(arg, "%s=%s\n", key, value);
}

/* All it says but whether it is enabled. Owns; NULL: memory is short. */
static char *settings(struct ir_metrics *m, const struct ir_metrics_view *v)
{
    char prefix[200];
    struct ib_buf b;
    ib_buf_init(&b);
    const char *const parts[] = {"Accept.", "GroupBy", "Map.", "Reject.", "RetainDetached"};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        snprintf(prefix, sizeof(prefix), PREFIX "%s.%s", v->name, parts[i]);
        ir_properties_each(m->rt->props, prefix, collect, &b);
    }
    char *text = ib_buf_ok(&b) ? strdup(ib_buf_cstr(&b)) : NULL;
    ib_buf_fini(&b);
    return text;
}

static void view_update(struct ir_metrics *m, struct ir_metrics_view *v)
{
    char key[200];
    snprintf(key, sizeof(key), PREFIX "%s.Disabled", v->name);
    bool disabled = ir_properties_int_or(m->rt->props, m->rt->log, key, 0) > 0;
    char *now = settings(m, v);
    bool same = now && v->settings && strcmp(now, v->settings) == 0;
    if (same && disabled == v->disabled) {
        free(now);
        return;
    }
    free(v->settings);
    v->settings = now;
    v->disabled = disabled;
    view_stop(v);
    if (!disabled)
        view_start(m, v);
}

void ir_metrics_configure(struct ir_metrics *m)
{
    if (!m->started)
        return;
    bool hushed = ib_log_hush(m->rt->log, m->rt->number > 0); /* the first runtime says what is wrong with them */
    IB_LIST_FOREACH(node, &m->views)
    IB_CONTAINER(node, struct ir_metrics_view, node)->seen = false;
    ir_properties_each(m->rt->props, PREFIX, see_view, m);
    IB_LIST_FOREACH_SAFE(node, &m->views)
    {
        struct ir_metrics_view *v = IB_CONTAINER(node, struct ir_metrics_view, node);
        if (v->seen)
            view_update(m, v);
        else
            view_free(v);
    }
    IB_LIST_FOREACH(node, &m->sources)
    {
        struct ir_metrics_source *s = IB_CONTAINER(node, struct ir_metrics_source, node);
        s->on = !ib_list_empty(&s->maps);
    }
    (void)ib_log_hush(m->rt->log, hushed);
}

int ir_metrics_enable(struct ir_metrics *m, struct ib_str view, bool on)
{
    char key[200];
    struct ir_metrics_view *v = ir_metrics_find(m, view);
    if (!v)
        return IB_ENOTFOUND;
    snprintf(key, sizeof(key), PREFIX "%s.Disabled", v->name);
    int rc = ir_properties_set(m->rt->props, key, on ? "0" : "1");
    if (rc == 0)
        ir_metrics_configure(m);
    return rc;
}

void ir_metrics_free(struct ir_metrics *m)
{
    if (!m)
        return;
    ir_observe_end(&m->loop);
    while (!ib_list_empty(&m->views))
        view_free(IB_CONTAINER(m->views.next, struct ir_metrics_view, node));
    IB_LIST_FOREACH_SAFE(node, &m->sources)
    {
        struct ir_metrics_source *s = IB_CONTAINER(node, struct ir_metrics_source, node);
        ib_list_remove(&s->node);
        if (s->own)
            free(s);
    }
    free(m);
}
