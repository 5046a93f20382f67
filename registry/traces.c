/* SPDX-License-Identifier: Apache-2.0 */
/* What IceGrid.Registry.Trace.{Application, Server, Adapter, Object} tell of changes (icegrid-registry 14), in the
   words of the original. An observer like any other: a change is traced after it is on disk and in the catalog. */
#include "sessions.h"

#include <moulin/rpc/proxy.h>

#include <stdlib.h>

struct traces {
    struct reg *reg;
    struct reg_observer observer;
};

static const char *identity_text(const struct iw_identity *id, struct ib_arena *arena)
{
    struct ib_str text = ir_identity_format(id, IR_UNICODE, arena);
    return text.p ? text.p : "";
}

/* --- what a deployed application brings and takes along ----------------------------------------------------------- */

/* Objects of one adapter (NULL: of the replica groups). */
static void trace_objects(struct reg *reg, const struct reg_app *app, const struct reg_adapter *of, bool allocatable,
                          const char *what, struct ib_arena *arena)
{
    const struct reg_app_object *list = allocatable ? app->allocatables : app->objects;
    size_t n = allocatable ? app->n_allocatables : app->n_objects;
    for (size_t i = 0; i < n; i++)
        if (list[i].adapter == of)
            reg_trace(reg, REG_TRACE_OBJECT, 1, "%s %sobject `%s'", what, allocatable ? "allocatable " : "",
                      identity_text(&list[i].id, arena));
}

static void trace_adapters(struct reg *reg, const struct reg_server *server, const char *what, struct ib_arena *arena)
{
    const struct reg_app *app = server->app;
    for (size_t i = 0; i < app->n_adapters; i++) {
        const struct reg_adapter *a = &app->adapters[i];
        if (a->server != server)
            continue;
        reg_trace(reg, REG_TRACE_ADAPTER, 1, "%s adapter `%s'", what, ib_cstr(a->id));
        trace_objects(reg, app, a, false, what, arena);
        trace_objects(reg, app, a, true, what, arena);
    }
}

static void trace_groups(struct reg *reg, const struct reg_app *app, const struct reg_app *other, const char *what,
                         struct ib_arena *arena)
{
    for (size_t i = 0; i < app->n_groups; i++) {
        bool both = false;
        for (size_t k = 0; other && k < other->n_groups && !both; k++)
            both = ib_str_eq(app->groups[i].id, other->groups[k].id);
        if (!both)
            reg_trace(reg, REG_TRACE_ADAPTER, 1, "%s adapter `%s'", what, ib_cstr(app->groups[i].id));
    }
    trace_objects(reg, app, NULL, false, what, arena);
}

static const struct reg_server *counterpart(const struct reg_app *app, struct ib_str id)
{
    for (size_t i = 0; app && i < app->n_servers; i++)
        if (ib_str_eq(app->servers[i].id, id))
            return &app->servers[i];
    return NULL;
}

static bool same_server(const struct reg_server *a, const struct reg_server *b)
{
    return ib_str_eq(a->node, b->node) && iw_equal(&IceGrid_ServerDescriptor_type, &a->desc, &b->desc);
}

static void trace_gone(struct reg *reg, const struct reg_app *old, const struct reg_app *now, struct ib_arena *arena)
{
    for (size_t i = 0; i < old->n_servers; i++) {
        const struct reg_server *s = &old->servers[i], *left = counterpart(now, s->id);
        if (left && same_server(s, left))
            continue;
        trace_adapters(reg, s, "removed", arena);
        reg_trace(reg, REG_TRACE_SERVER, 1, "%s server `%s'", left ? "updating" : "removed", ib_cstr(s->id));
    }
    trace_groups(reg, old, now, "removed", arena);
}

static void trace_come(struct reg *reg, const struct reg_app *old, const struct reg_app *now, struct ib_arena *arena)
{
    trace_groups(reg, now, old, "added", arena);
    for (size_t i = 0; i < now->n_servers; i++) {
        const struct reg_server *s = &now->servers[i], *was = counterpart(old, s->id);
        if (was && same_server(was, s))
            continue;
        trace_adapters(reg, s, "added", arena);
        reg_trace(reg, REG_TRACE_SERVER, 1, "%s server `%s' (`%s', `%d')", was ? "updated" : "added", ib_cstr(s->id),
                  ib_cstr(now->info->uuid), now->info->revision);
    }
}

/* Comparing two applications is worth it only when somebody reads. */
static bool wants_parts(const struct reg *reg)
{
    return reg_traces(reg, REG_TRACE_SERVER, 1) || reg_traces(reg, REG_TRACE_ADAPTER, 1) ||
           reg_traces(reg, REG_TRACE_OBJECT, 1);
}

static void trace_parts(struct reg *reg, const struct reg_event *ev)
{
    const struct reg_app *old = ev->change->old_app, *now = reg_catalog_app(reg->catalog, ev->change->name);
    struct ib_arena arena;
    if (!wants_parts(reg))
        return;
    ib_arena_init(&arena, 0);
    if (old)
        trace_gone(reg, old, now, &arena);
    if (now)
        trace_come(reg, old, now, &arena);
    ib_arena_fini(&arena);
}

/* --- allocations ----------------------------------------------------------------------------------------------------
 */

/* One that has left its application meanwhile is told by its identity alone. The count in parentheses is the
   original's, always 0 for one owner. */
void reg_trace_allocation(const struct reg_session *s, const struct iw_identity *id, const char *what)
{
    struct reg *reg = s->sessions->reg;
    struct ib_arena arena;
    if (!reg_traces(reg, REG_TRACE_OBJECT, 2))
        return;
    ib_arena_init(&arena, 0);
    const struct reg_app_object *object = reg_catalog_allocatable(reg->catalog, id);
    struct ib_str text =
        object ? ir_proxy_format(object->proxy, IR_UNICODE, &arena) : ir_identity_format(id, IR_UNICODE, &arena);
    reg_trace(reg, REG_TRACE_OBJECT, 2, "object `%s' %s by `%s' (0)", text.p ? text.p : "", what, ib_cstr(s->user));
    ib_arena_fini(&arena);
}

/* --- events ---------------------------------------------------------------------------------------------------------
 */

static long long serial_of(const struct reg_event *ev)
{
    return ev->db_serial ? (long long)ev->db_serial : -1;
}

static void on_application(struct reg *reg, const struct reg_event *ev)
{
    const char *what = ev->kind == REG_EV_APP_ADDED     ? "added"
                       : ev->kind == REG_EV_APP_UPDATED ? "updated"
                       : ev->kind == REG_EV_APP_REMOVED ? "removed"
                                                        : NULL;
    if (ev->kind == REG_EV_APPS_INIT)
        reg_trace(reg, REG_TRACE_APPLICATION, 1, "synchronized applications (serial = `%lld')", serial_of(ev));
    if (!what)
        return;
    trace_parts(reg, ev);
    reg_trace(reg, REG_TRACE_APPLICATION, 1, "%s application `%s' (serial = `%lld')", what, ib_cstr(ev->change->name),
              serial_of(ev));
}

static void on_adapter(struct reg *reg, const struct reg_event *ev)
{
    struct ib_str group = ev->adapter ? ev->adapter->replicaGroupId : IB_STR("");
    const char *what = ev->kind == REG_EV_ADAPTER_ADDED ? "added" : "updated";
    if (ev->kind == REG_EV_ADAPTERS_INIT)
        reg_trace(reg, REG_TRACE_ADAPTER, 1, "synchronized adapters (serial = `%lld')", serial_of(ev));
    else if (ev->kind == REG_EV_ADAPTER_REMOVED)
        reg_trace(reg, REG_TRACE_ADAPTER, 1, "removed adapter `%s' (serial = `%lld')", ib_cstr(ev->name),
                  serial_of(ev));
    else if (ev->change->op == REG_ADAPTER_REMOVE && ev->last) /* its members stay, each with an event of its own */
        reg_trace(reg, REG_TRACE_ADAPTER, 1, "removed replica group `%s' (serial = `%lld')", ib_cstr(ev->change->name),
                  serial_of(ev));
    else if (ev->change->op != REG_ADAPTER_REMOVE && ev->adapter)
        reg_trace(reg, REG_TRACE_ADAPTER, 1, "%s adapter `%s'%s%s%s (serial = `%lld')", what, ib_cstr(ev->adapter->id),
                  group.n ? " with replica group `" : "", ib_cstr(group), group.n ? "'" : "", serial_of(ev));
}

static void on_object(struct reg *reg, const struct reg_event *ev)
{
    bool own = ev->change->op == REG_OBJECT_PUT || ev->change->op == REG_OBJECT_DROP;
    const struct iw_identity *id = ev->object && ev->object->proxy ? &ev->object->proxy->id : &ev->id;
    const char *what = ev->kind == REG_EV_OBJECT_ADDED     ? "added"
                       : ev->kind == REG_EV_OBJECT_UPDATED ? "updated"
                                                           : "removed";
    struct ib_arena arena;
    if (!reg_traces(reg, REG_TRACE_OBJECT, 1) || (own && reg->cfg.master))
        return;
    ib_arena_init(&arena, 0);
    if (ev->kind == REG_EV_OBJECTS_INIT)
        reg_trace(reg, REG_TRACE_OBJECT, 1, "synchronized objects (serial = `%lld')", serial_of(ev));
    else
        reg_trace(reg, REG_TRACE_OBJECT, 1, "%s object `%s' (serial = `%lld')", what, identity_text(id, &arena),
                  serial_of(ev));
    ib_arena_fini(&arena);
}

static void on_event(struct reg_observer *o, const struct reg_event *ev)
{
    struct reg *reg = IB_CONTAINER(o, struct traces, observer)->reg;
    if (ev->topic == REG_TOPIC_APPLICATION)
        on_application(reg, ev);
    else if (ev->topic == REG_TOPIC_ADAPTER)
        on_adapter(reg, ev);
    else if (ev->topic == REG_TOPIC_OBJECT)
        on_object(reg, ev);
}

/* --- life -----------------------------------------------------------------------------------------------------------
 */

static void *traces_start(struct reg *reg, struct ib_err *err)
{
    struct traces *t = calloc(1, sizeof *t);
    if (!t) {
        ib_err_set(err, IB_ENOMEM, "out of memory");
        return NULL;
    }
    t->reg = reg;
    t->observer.event = on_event;
    ib_list_init(&t->observer.node);
    if (wants_parts(reg) || reg_traces(reg, REG_TRACE_APPLICATION, 1))
        reg_observe(reg, &t->observer);
    return t;
}

static void traces_stop(void *state)
{
    struct traces *t = state;
    reg_unobserve(&t->observer);
    free(t);
}

const struct reg_part reg_traces_part = {"traces", traces_start, traces_stop};
