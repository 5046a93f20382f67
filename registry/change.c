/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of changes: one batch is on its way to the disk while the next gathers, so that many writers share a sync
   and each is validated against exactly what was committed before it. Owns the changes until they are answered. */
#include "change_priv.h"

#include <stdio.h>
#include <stdlib.h>

#include <moulin/net/loop.h>

#define BATCH_MAX 256

struct reg_changes {
    struct reg *reg;
    struct ib_list queue; /* submitted, in order */
    struct ib_list flight; /* in the batch the store has */
    struct ib_list held; /* published, waiting for acknowledgements */
    size_t n_flight;
    bool flight_alone, busy, stopped;
    struct ic_deferred kick;
    int64_t next_serial[REG_SERIALS];
};

/* --- the value --------------------------------------------------------------------------------------------------- */

struct reg_change *reg_change_new(enum reg_change_op op, reg_change_fn done, void *arg)
{
    struct reg_change *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->refs = 1;
    c->op = (uint8_t)op;
    c->done = done;
    c->done_arg = arg;
    c->events_tail = &c->events;
    ib_list_init(&c->node);
    ib_arena_init(&c->arena, 0);
    return c;
}

struct reg_change *reg_change_ref(struct reg_change *c)
{
    c->refs++;
    return c;
}

void reg_change_unref(struct reg_change *c)
{
    if (!c || --c->refs)
        return;
    reg_app_free(c->new_app);
    reg_app_free(c->old_app);
    ib_arena_fini(&c->arena);
    free(c);
}

static int copy_value(struct reg_change *c, const struct iw_type *type, const void *v, void *out_ptr)
{
    void *copy = ib_arena_alloc(&c->arena, type->size);
    if (!copy || iw_copy(type, v, &c->arena, copy))
        return IB_ENOMEM;
    memcpy(out_ptr, &copy, sizeof copy);
    return 0;
}

int reg_change_set_object(struct reg_change *c, const struct IceGrid_ObjectInfo *v)
{
    return copy_value(c, &IceGrid_ObjectInfo_type, v, &c->object);
}

int reg_change_set_adapter(struct reg_change *c, const struct IceGrid_AdapterInfo *v)
{
    return copy_value(c, &IceGrid_AdapterInfo_type, v, &c->adapter);
}

int reg_change_set_descriptor(struct reg_change *c, const struct IceGrid_ApplicationDescriptor *v)
{
    return copy_value(c, &IceGrid_ApplicationDescriptor_type, v, &c->descriptor);
}

int reg_change_set_update(struct reg_change *c, const struct IceGrid_ApplicationUpdateDescriptor *v)
{
    return copy_value(c, &IceGrid_ApplicationUpdateDescriptor_type, v, &c->update);
}

int reg_change_set_id(struct reg_change *c, const struct iw_identity *id)
{
    c->id.name = ib_arena_str(&c->arena, id->name);
    c->id.category = ib_arena_str(&c->arena, id->category);
    return c->id.name.p && c->id.category.p ? 0 : IB_ENOMEM;
}

int reg_change_set_name(struct reg_change *c, struct ib_str name)
{
    c->name = ib_arena_str(&c->arena, name);
    return c->name.p ? 0 : IB_ENOMEM;
}

int reg_change_set_user(struct reg_change *c, struct ib_str user)
{
    c->user = ib_arena_str(&c->arena, user);
    return c->user.p ? 0 : IB_ENOMEM;
}

struct reg_event *reg_event_add(struct reg_change *c, enum reg_event_kind kind)
{
    static const uint8_t topics[] = {
        [REG_EV_APP_ADDED] = REG_TOPIC_APPLICATION,   [REG_EV_APP_UPDATED] = REG_TOPIC_APPLICATION,
        [REG_EV_APP_REMOVED] = REG_TOPIC_APPLICATION, [REG_EV_APPS_INIT] = REG_TOPIC_APPLICATION,
        [REG_EV_ADAPTER_ADDED] = REG_TOPIC_ADAPTER,   [REG_EV_ADAPTER_UPDATED] = REG_TOPIC_ADAPTER,
        [REG_EV_ADAPTER_REMOVED] = REG_TOPIC_ADAPTER, [REG_EV_ADAPTERS_INIT] = REG_TOPIC_ADAPTER,
        [REG_EV_OBJECT_ADDED] = REG_TOPIC_OBJECT,     [REG_EV_OBJECT_UPDATED] = REG_TOPIC_OBJECT,
        [REG_EV_OBJECT_REMOVED] = REG_TOPIC_OBJECT,   [REG_EV_OBJECTS_INIT] = REG_TOPIC_OBJECT,
        [REG_EV_REGISTRY_UP] = REG_TOPIC_REGISTRY,    [REG_EV_REGISTRY_DOWN] = REG_TOPIC_REGISTRY,
    };
    struct reg_event *ev = IB_ARENA_NEW(&c->arena, struct reg_event);
    if (!ev)
        return NULL;
    ev->change = c;
    ev->kind = (uint8_t)kind;
    ev->topic = topics[kind];
    *c->events_tail = ev;
    c->events_tail = &ev->next;
    return ev;
}

/* --- refusing ---------------------------------------------------------------------------------------------------- */

int reg_change_fail(struct reg_change *c, int code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    c->err.code = c->code = code;
    vsnprintf(c->err.text, sizeof c->err.text, fmt, args);
    va_end(args);
    return code;
}

int reg_change_fail_nomem(struct reg_change *c)
{
    return reg_change_fail(c, IB_ENOMEM, "out of memory");
}

int reg_change_fail_with(struct reg_change *c, const struct iw_class *exception, const void *value, size_t size)
{
    void *copy = ib_arena_alloc(&c->arena, size);
    if (!copy)
        return reg_change_fail_nomem(c);
    memcpy(copy, value, size);
    c->exception = exception;
    c->exception_value = copy;
    c->code = IB_EINVAL;
    if (!*c->err.text)
        ib_err_set(&c->err, IB_EINVAL, "%s", exception->id);
    return c->code;
}

int reg_change_fail_deployment(struct reg_change *c, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(c->err.text, sizeof c->err.text, fmt, args);
    va_end(args);
    c->err.code = IB_EINVAL;
    struct IceGrid_DeploymentException ex = {.reason = ib_arena_strz(&c->arena, c->err.text)};
    return reg_change_fail_with(c, &IceGrid_DeploymentException_class, &ex, sizeof ex);
}

bool reg_change_throw(struct reg_change *c, struct ir_request *rq)
{
    if (!c->code)
        return false;
    if (c->exception)
        ir_request_throw(rq, c->exception, c->exception_value);
    else
        ir_request_fail(rq, IR_UNKNOWN, c->err.text);
    return true;
}

/* --- publication and answer ----------------------------------------------------------------------------------------
 */

static void finish(struct reg_change *c)
{
    if (c->answered)
        return;
    c->answered = true;
    ib_list_remove(&c->node);
    if (c->done)
        c->done(c->done_arg, c);
    reg_change_unref(c);
}

void reg_observe(struct reg *reg, struct reg_observer *o)
{
    ib_list_append(&reg->observers, &o->node);
}

void reg_unobserve(struct reg_observer *o)
{
    ib_list_remove(&o->node);
}

/* A mark walks along the list, so that whoever is told may leave it, or make others leave. */
static void tell(struct reg *reg, struct reg_event *ev)
{
    struct reg_observer mark = {.event = NULL};
    ev->serial = ++reg->topic_serial[ev->topic];
    ev->db_serial = ev->change->serial;
    ev->last = !ev->next;
    ib_list_init(&mark.node);
    ib_list_append(reg->observers.next, &mark.node);
    while (mark.node.next != &reg->observers) {
        struct ib_list *node = mark.node.next;
        ib_list_remove(&mark.node);
        ib_list_append(node->next, &mark.node);
        struct reg_observer *o = IB_CONTAINER(node, struct reg_observer, node);
        if (o->event) /* else another mark: telling nests */
            o->event(o, ev);
    }
    ib_list_remove(&mark.node);
}

static void publish(struct reg_change *c)
{
    c->holds = 1;
    ib_list_append(&c->reg->changes->held, &c->node);
    for (struct reg_event *ev = c->events; ev; ev = ev->next)
        tell(c->reg, ev);
    reg_change_ref(c);
    reg_change_release(c);
}

void reg_change_hold(struct reg_change *c)
{
    c->holds++;
    reg_change_ref(c);
}

void reg_change_release(struct reg_change *c)
{
    if (--c->holds == 0)
        finish(c);
    reg_change_unref(c);
}

int32_t reg_topic_serial(const struct reg *reg, enum reg_topic topic)
{
    return reg->topic_serial[topic];
}

int64_t reg_db_serial(const struct reg *reg, int table)
{
    return reg->db_serial[table];
}

void reg_publish_registry(struct reg *reg, bool up, struct ib_str name, struct ib_str hostname)
{
    struct reg_change *c = reg_change_new(REG_NOTE, NULL, NULL);
    struct reg_event *ev = c ? reg_event_add(c, up ? REG_EV_REGISTRY_UP : REG_EV_REGISTRY_DOWN) : NULL;
    struct IceGrid_RegistryInfo *info = c ? IB_ARENA_NEW(&c->arena, struct IceGrid_RegistryInfo) : NULL;
    if (!ev || !info) {
        reg_change_unref(c);
        return;
    }
    c->reg = reg;
    info->name = ev->name = ib_arena_str(&c->arena, name);
    info->hostname = ib_arena_str(&c->arena, hostname);
    ev->registry = info;
    publish(c);
}

/* --- batches ----------------------------------------------------------------------------------------------------- */

static bool collides(const struct reg_changes *x, const struct reg_change *c)
{
    const struct reg_change_kind *kind = &reg_change_kinds[c->op];
    if (ib_list_empty(&x->flight))
        return false;
    if (kind->alone || x->flight_alone || x->n_flight >= BATCH_MAX)
        return true;
    IB_LIST_FOREACH(node, &x->flight)
    {
        const struct reg_change *o = IB_CONTAINER(node, struct reg_change, node);
        if (reg_change_kinds[o->op].table == kind->table && o->key.n == c->key.n &&
            memcmp(o->key.p, c->key.p, c->key.n) == 0)
            return true;
    }
    return false;
}

static void count_serial(struct reg_changes *x, struct reg_change *c, struct reg_batch *b)
{
    const struct reg_change_kind *kind = &reg_change_kinds[c->op];
    if (kind->table < 0 || kind->table >= REG_SERIALS)
        return;
    if (kind->counts && !c->serial)
        c->serial = x->next_serial[kind->table] + 1;
    if (!c->serial)
        return;
    x->next_serial[kind->table] = c->serial;
    reg_batch_serial(b, (enum reg_table)kind->table, c->serial);
}

static void committed(void *arg, int code, const struct ib_err *err);

/* Takes changes from the queue while they do not touch each other; refused ones are answered on the way. */
static void kick(void *arg)
{
    struct reg_changes *x = arg;
    if (x->busy || x->stopped || ib_list_empty(&x->queue))
        return;
    struct reg_batch *b = reg_batch_new();
    x->busy = true; /* answers may submit more, which waits for the next batch */
    memcpy(x->next_serial, x->reg->db_serial, sizeof x->next_serial);
    while (!ib_list_empty(&x->queue)) {
        struct reg_change *c = IB_CONTAINER(x->queue.next, struct reg_change, node);
        const struct reg_change_kind *kind = &reg_change_kinds[c->op];
        if (!c->key.n && kind->aim && kind->aim(c))
            c->code = c->code ? c->code : reg_change_fail_nomem(c);
        if (!c->code && collides(x, c))
            break;
        ib_list_remove(&c->node);
        if (!b && !c->code)
            reg_change_fail_nomem(c);
        if (c->code || kind->prepare(x->reg, c, b) || c->idle) {
            finish(c);
            continue;
        }
        count_serial(x, c, b);
        ib_list_append(&x->flight, &c->node);
        x->n_flight++;
        x->flight_alone = kind->alone;
    }
    if (x->stopped || ib_list_empty(&x->flight)) {
        reg_batch_free(b);
        x->busy = false;
        return;
    }
    reg_store_commit(x->reg->store, b, committed, x);
}

static void committed(void *arg, int code, const struct ib_err *err)
{
    struct reg_changes *x = arg;
    struct ib_list done;
    ib_list_init(&done);
    while (!ib_list_empty(&x->flight)) {
        struct ib_list *node = x->flight.next;
        ib_list_remove(node);
        ib_list_append(&done, node);
    }
    x->n_flight = 0;
    x->flight_alone = false;
    if (code)
        ib_log_error(x->reg->log, "%s", err->text);
    else
        memcpy(x->reg->db_serial, x->next_serial, sizeof x->next_serial);
    while (!ib_list_empty(&done)) {
        struct reg_change *c = IB_CONTAINER(done.next, struct reg_change, node);
        ib_list_remove(&c->node);
        if (code) {
            reg_change_fail(c, code, "%s", err->text);
            finish(c);
            continue;
        }
        reg_change_kinds[c->op].apply(x->reg, c);
        publish(c);
    }
    x->busy = false;
    ic_loop_defer(x->reg->loop, &x->kick, kick, x);
}

void reg_change_submit(struct reg *reg, struct reg_change *c)
{
    struct reg_changes *x = reg->changes;
    c->reg = reg;
    ib_list_append(&x->queue, &c->node);
    ic_loop_defer(reg->loop, &x->kick, kick, x);
}

/* --- life -------------------------------------------------------------------------------------------------------- */

struct reg_changes *reg_changes_new(struct reg *reg)
{
    struct reg_changes *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->reg = reg;
    ib_list_init(&x->queue);
    ib_list_init(&x->flight);
    ib_list_init(&x->held);
    return x;
}

static int load_object(void *arg, struct ib_span key, struct ib_span value, struct ib_err *err)
{
    int rc = reg_catalog_put_object(arg, key, value);
    return rc ? ib_err_set(err, rc, "cannot read an object record of the database: %s", ib_err_text(rc)) : 0;
}

static int load_adapter(void *arg, struct ib_span key, struct ib_span value, struct ib_err *err)
{
    int rc = reg_catalog_put_dynamic(arg, key, value);
    return rc ? ib_err_set(err, rc, "cannot read an adapter record of the database: %s", ib_err_text(rc)) : 0;
}

static int load_node(void *arg, struct ib_span key, struct ib_span value, struct ib_err *err)
{
    int rc = reg_catalog_put_node(arg, key, value);
    return rc ? ib_err_set(err, rc, "cannot read a node record of the database: %s", ib_err_text(rc)) : 0;
}

static int load_application(void *arg, struct ib_span key, struct ib_span value, struct ib_err *err)
{
    struct reg *reg = arg;
    struct ib_arena arena;
    void *info;
    (void)key;
    ib_arena_init(&arena, 0);
    int rc = iw_decode_params(&IceGrid_ApplicationInfo_type, value, ir_runtime_types(reg->rt), IW_LIMITS_DEFAULT,
                              &arena, &info);
    struct reg_app *app = rc ? NULL : reg_app_load(reg, info);
    if (!rc)
        rc = app ? reg_catalog_link_app(reg->catalog, app) : IB_ENOMEM;
    if (rc) {
        reg_app_free(app);
        ib_err_set(err, rc, "cannot read an application record of the database: %s", ib_err_text(rc));
    }
    ib_arena_fini(&arena);
    return rc;
}

int reg_changes_load(struct reg_changes *x, struct ib_err *err)
{
    struct reg *reg = x->reg;
    for (int t = 0; t < REG_SERIALS; t++)
        reg->db_serial[t] = reg_store_serial(reg->store, (enum reg_table)t);
    int rc = reg_store_each(reg->store, REG_OBJECTS, load_object, reg->catalog, err);
    if (!rc)
        rc = reg_store_each(reg->store, REG_ADAPTERS, load_adapter, reg->catalog, err);
    if (!rc)
        rc = reg_store_each(reg->store, REG_NODES, load_node, reg->catalog, err);
    if (!rc)
        rc = reg_store_each(reg->store, REG_APPLICATIONS, load_application, reg, err);
    return rc;
}

static void answer_all(struct ib_list *list)
{
    while (!ib_list_empty(list)) {
        struct reg_change *c = IB_CONTAINER(list->next, struct reg_change, node);
        reg_change_fail(c, IB_EDESTROYED, "the registry is shutting down");
        finish(c);
    }
}

void reg_changes_stop(struct reg_changes *x)
{
    x->stopped = true;
    answer_all(&x->queue);
    answer_all(&x->flight);
    answer_all(&x->held);
}

void reg_changes_free(struct reg_changes *x)
{
    if (!x)
        return;
    reg_changes_stop(x);
    ic_loop_undefer(x->reg->loop, &x->kick);
    free(x);
}
