/* SPDX-License-Identifier: Apache-2.0 */
/* A metrics map: elements by id, the links of the objects that count in them, and the elements without a living
   object, of which the oldest go first. */
#include "metrics.h"

#include <moulin/base/clock.h>
#include <slice/Ice/Metrics.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct failure {
    struct failure *next;
    int32_t count;
    char what[]; /* NUL-terminated; as many as there are exceptions of Ice */
};

struct ir_metrics_element {
    UT_hash_handle hh;
    struct ib_list node; /* map->detached, while current is 0 */
    struct failure *failed;
    struct ir_metrics_map *sub[IR_METRICS_SUBMAPS]; /* owns */
    int64_t total, lifetime; /* µs */
    int32_t current, failures;
    int64_t values[IR_METRICS_VALUES];
    size_t n_id;
    char id[]; /* NUL-terminated */
};

struct ir_metrics_link {
    struct ir_metrics_link *next, **head; /* the object's */
    struct ib_list node; /* map->links */
    struct ir_metrics_map *map;
    struct ir_metrics_element *element;
    const void *object; /* NULL: its values are pushed */
    int64_t since; /* µs */
    int64_t seen[IR_METRICS_VALUES]; /* what the element has of it already */
};

/* --- elements ----------------------------------------------------------------------------------------------------- */

static void element_free(struct ir_metrics_map *m, struct ir_metrics_element *e)
{
    if (!ib_list_empty(&e->node))
        m->n_detached--;
    ib_list_remove(&e->node);
    HASH_DEL(m->elements, e);
    for (size_t i = 0; i < IR_METRICS_SUBMAPS; i++)
        ir_metrics_map_free(e->sub[i]);
    while (e->failed) {
        struct failure *f = e->failed;
        e->failed = f->next;
        free(f);
    }
    free(e);
}

static struct ir_metrics_element *element_new(struct ir_metrics_map *m, const struct ib_buf *id)
{
    struct ir_metrics_element *e = calloc(1, sizeof(*e) + id->n + 1);
    if (!e)
        return NULL;
    if (id->n)
        memcpy(e->id, id->p, id->n);
    e->n_id = id->n;
    ib_list_init(&e->node);
    HASH_ADD_KEYPTR(hh, m->elements, e->id, e->n_id, e);
    if (!e->hh.tbl) {
        free(e);
        return NULL;
    }
    for (size_t i = 0; i < IR_METRICS_SUBMAPS; i++) {
        if (!m->rules->sub[i])
            continue;
        e->sub[i] = ir_metrics_map_new(m->source->sub[i], m->rules->sub[i], IR_METRICS_RETAIN_SUB_MAX);
        if (!e->sub[i]) {
            element_free(m, e);
            return NULL;
        }
    }
    return e;
}

static struct ir_metrics_element *element_find(const struct ir_metrics_map *m, const void *id, size_t n)
{
    struct ir_metrics_element *e = NULL;
    HASH_FIND(hh, m->elements, id, n, e);
    return e;
}

static void detached(struct ir_metrics_map *m, struct ir_metrics_element *e)
{
    size_t keep = m->rules->retain < m->retain_max ? m->rules->retain : m->retain_max;
    ib_list_append(&m->detached, &e->node);
    m->n_detached++;
    while (m->n_detached > keep)
        element_free(m, IB_CONTAINER(m->detached.next, struct ir_metrics_element, node));
}

/* --- links -------------------------------------------------------------------------------------------------------- */

/* Brings the element up to date with an object whose values are read. */
static void link_read(struct ir_metrics_link *l, bool last)
{
    const struct ir_metrics_kind *kind = l->map->source->kind;
    int64_t now[IR_METRICS_VALUES] = {0};
    if (!l->object)
        return;
    kind->read(l->object, now);
    for (unsigned i = 0; i < l->map->source->n_values; i++) {
        if (last && (kind->levels & 1u << i))
            now[i] = 0;
        l->element->values[i] += now[i] - l->seen[i];
        l->seen[i] = now[i];
    }
}

static void link_unlink(struct ir_metrics_link *l)
{
    struct ir_metrics_link **p = l->head;
    while (*p != l)
        p = &(*p)->next;
    *p = l->next;
    ib_list_remove(&l->node);
    free(l);
}

static void link_stop(struct ir_metrics_link *l)
{
    struct ir_metrics_map *m = l->map;
    struct ir_metrics_element *e = l->element;
    link_read(l, true);
    e->lifetime += ib_clock_us() - l->since;
    e->current--;
    link_unlink(l);
    if (e->current == 0)
        detached(m, e);
}

void ir_metrics_map_attach(struct ir_metrics_map *m, struct ir_metrics_link **links, const void *object)
{
    const struct ir_metrics_kind *kind = m->source->kind;
    struct ib_buf id;
    ib_buf_init(&id);
    struct ir_metrics_link *l = NULL;
    struct ir_metrics_element *e = NULL;
    if (ir_metrics_rules_apply(m->rules, kind, object, &id)) {
        l = calloc(1, sizeof(*l));
        e = l ? element_find(m, ib_buf_cstr(&id), id.n) : NULL;
        if (l && !e)
            e = element_new(m, &id);
    }
    ib_buf_fini(&id);
    if (!e) {
        free(l);
        return;
    }
    if (!ib_list_empty(&e->node)) {
        ib_list_remove(&e->node);
        m->n_detached--;
    }
    e->total++;
    e->current++;
    *l = (struct ir_metrics_link){.next = *links, .head = links, .map = m, .element = e, .since = ib_clock_us()};
    l->object = kind->read ? object : NULL;
    if (l->object)
        kind->read(object, l->seen);
    for (unsigned i = 0; i < IR_METRICS_VALUES; i++) { /* a level counts in full */
        if (kind->levels & 1u << i)
            l->seen[i] = 0;
    }
    *links = l;
    ib_list_append(&m->links, &l->node);
}

void ir_metrics_start(struct ir_metrics_source *s, struct ir_metrics_link **links, const void *object)
{
    IB_LIST_FOREACH(node, &s->maps)
    {
        ir_metrics_map_attach(IB_CONTAINER(node, struct ir_metrics_map, node), links, object);
    }
}

void ir_metrics_start_sub(struct ir_metrics_link *parent, unsigned which, struct ir_metrics_link **links,
                          const void *object)
{
    for (; parent; parent = parent->next) {
        if (parent->element->sub[which])
            ir_metrics_map_attach(parent->element->sub[which], links, object);
    }
}

void ir_metrics_count(struct ir_metrics_link *links, unsigned value, int64_t n)
{
    for (; links; links = links->next)
        links->element->values[value] += n;
}

static void element_fail(struct ir_metrics_element *e, const char *what)
{
    struct failure *f = e->failed;
    e->failures++;
    while (f && strcmp(f->what, what) != 0)
        f = f->next;
    if (!f) {
        size_t n = strlen(what) + 1;
        f = calloc(1, sizeof(*f) + n);
        if (!f)
            return;
        memcpy(f->what, what, n);
        f->next = e->failed;
        e->failed = f;
    }
    f->count++;
}

void ir_metrics_fail(struct ir_metrics_link *links, const char *what)
{
    for (; links; links = links->next)
        element_fail(links->element, what);
}

void ir_metrics_stop_all(struct ir_metrics_link **links)
{
    while (*links)
        link_stop(*links);
}

/* --- objects that are remembered ---------------------------------------------------------------------------------- */

void ir_observe(struct ir_metrics_source *source, struct ir_observed *o, const void *object)
{
    *o = (struct ir_observed){.source = source, .object = object};
    ib_list_append(&source->objects, &o->node);
    ir_metrics_start(source, &o->links, object);
}

static struct ir_metrics_link *link_of(struct ir_metrics_link *links, const struct ir_metrics_map *m)
{
    while (links && links->map != m)
        links = links->next;
    return links;
}

static bool belongs_to(const struct ir_metrics_link *l, const void *object)
{
    struct ib_buf id;
    ib_buf_init(&id);
    bool same = ir_metrics_rules_apply(l->map->rules, l->map->source->kind, object, &id) && id.n == l->element->n_id &&
                memcmp(ib_buf_cstr(&id), l->element->id, id.n) == 0;
    ib_buf_fini(&id);
    return same;
}

void ir_observe_again(struct ir_observed *o)
{
    if (!o->source)
        return;
    IB_LIST_FOREACH(node, &o->source->maps)
    {
        struct ir_metrics_map *m = IB_CONTAINER(node, struct ir_metrics_map, node);
        struct ir_metrics_link *l = link_of(o->links, m);
        if (l && belongs_to(l, o->object))
            continue;
        if (l)
            link_stop(l);
        ir_metrics_map_attach(m, &o->links, o->object);
    }
}

void ir_observe_failure(struct ir_observed *o, const char *what)
{
    ir_metrics_fail(o->links, what);
}

void ir_observe_end(struct ir_observed *o)
{
    if (!o->source)
        return;
    ir_metrics_stop(&o->links);
    ib_list_remove(&o->node);
    o->source = NULL;
}

/* --- the map ------------------------------------------------------------------------------------------------------ */

struct ir_metrics_map *ir_metrics_map_new(const struct ir_metrics_source *s, const struct ir_metrics_rules *rules,
                                          size_t retain_max)
{
    struct ir_metrics_map *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    m->source = s;
    m->rules = rules;
    m->retain_max = retain_max;
    ib_list_init(&m->node);
    ib_list_init(&m->detached);
    ib_list_init(&m->links);
    return m;
}

void ir_metrics_map_free(struct ir_metrics_map *m)
{
    struct ir_metrics_element *e, *tmp;
    if (!m)
        return;
    while (!ib_list_empty(&m->links))
        link_unlink(IB_CONTAINER(m->links.next, struct ir_metrics_link, node));
    HASH_ITER(hh, m->elements, e, tmp)
    element_free(m, e);
    ib_list_remove(&m->node);
    free(m);
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static int32_t clip(int64_t v)
{
    return v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : (int32_t)v;
}

/* The members below IceMX::Metrics, root first: numbers from the values, sequences from the maps within. */
struct writing {
    char *object;
    const struct ir_metrics_element *e;
    struct ib_arena *arena;
    unsigned value, sub;
};

static int write_members(struct writing *w, const struct iw_class *cls)
{
    if (cls == &IceMX_Metrics_class)
        return 0;
    int rc = write_members(w, cls->base); /* as deep as the class of our own Slice is */
    for (uint32_t i = 0; rc == 0 && i < cls->n_fields; i++) {
        void *to = w->object + cls->fields[i].offset;
        switch (cls->fields[i].type->kind) {
        case IW_INT:
            *(int32_t *)to = clip(w->e->values[w->value++]);
            break;
        case IW_LONG:
            *(int64_t *)to = w->e->values[w->value++];
            break;
        default:
            if (w->e->sub[w->sub])
                rc = ir_metrics_map_write(w->e->sub[w->sub], w->arena, to);
            w->sub++;
        }
    }
    return rc;
}

static int element_write(const struct ir_metrics_map *m, const struct ir_metrics_element *e, struct ib_arena *a,
                         struct IceMX_Metrics **out)
{
    const struct iw_class *cls = m->source->kind->cls;
    struct IceMX_Metrics *v = ib_arena_alloc(a, cls->size);
    struct writing w = {.object = (char *)v, .e = e, .arena = a};
    if (!v)
        return IB_ENOMEM;
    v->object.cls = cls;
    v->id = ib_arena_str(a, (struct ib_str){e->id, e->n_id});
    if (!v->id.p)
        return IB_ENOMEM;
    v->total = m->source->part ? 0 : e->total;
    v->current = m->source->part ? 0 : e->current;
    v->totalLifetime = m->source->part ? 0 : e->lifetime;
    v->failures = e->failures;
    *out = v;
    return write_members(&w, cls);
}

static int by_id(const struct ir_metrics_element *a, const struct ir_metrics_element *b)
{
    size_t n = a->n_id < b->n_id ? a->n_id : b->n_id;
    int c = memcmp(a->id, b->id, n);
    return c ? c : (a->n_id > b->n_id) - (a->n_id < b->n_id);
}

int ir_metrics_map_write(struct ir_metrics_map *m, struct ib_arena *a, struct IceMX_MetricsMap *out)
{
    struct ir_metrics_element *e, *tmp;
    size_t i = 0;
    IB_LIST_FOREACH(node, &m->links)
    {
        link_read(IB_CONTAINER(node, struct ir_metrics_link, node), false);
    }
    HASH_SORT(m->elements, by_id);
    out->n = HASH_COUNT(m->elements);
    out->v = IB_ARENA_ARRAY(a, out->n, struct IceMX_Metrics *);
    if (!out->v)
        return IB_ENOMEM;
    HASH_ITER(hh, m->elements, e, tmp)
    {
        int rc = element_write(m, e, a, &out->v[i++]);
        if (rc)
            return rc;
    }
    return 0;
}

static int failures_write(const struct ir_metrics_element *e, struct ib_arena *a, struct IceMX_MetricsFailures *out)
{
    size_t n = 0;
    for (const struct failure *f = e->failed; f; f = f->next)
        n++;
    out->id = ib_arena_str(a, (struct ib_str){e->id, e->n_id});
    out->failures.v = IB_ARENA_ARRAY(a, n, struct IceMX_StringIntDict_entry);
    if (!out->id.p || !out->failures.v)
        return IB_ENOMEM;
    for (const struct failure *f = e->failed; f; f = f->next) {
        struct IceMX_StringIntDict_entry *x = &out->failures.v[out->failures.n++];
        x->key = ib_arena_strz(a, f->what);
        x->value = f->count;
        if (!x->key.p)
            return IB_ENOMEM;
    }
    return 0;
}

int ir_metrics_map_failures(const struct ir_metrics_map *m, const struct ib_str *id, struct ib_arena *a,
                            struct IceMX_MetricsFailures **out, size_t *n)
{
    struct ir_metrics_element *e, *tmp;
    *n = 0;
    *out = IB_ARENA_ARRAY(a, HASH_COUNT(m->elements), struct IceMX_MetricsFailures);
    if (!*out)
        return IB_ENOMEM;
    HASH_ITER(hh, m->elements, e, tmp)
    {
        if (id ? !ib_str_eq(*id, (struct ib_str){e->id, e->n_id}) : !e->failed)
            continue;
        int rc = failures_write(e, a, &(*out)[(*n)++]);
        if (rc)
            return rc;
    }
    return 0;
}
