/* SPDX-License-Identifier: Apache-2.0 */
/* The observers of one admin session: each gets what there is, then every change, in order, one call at a time. One
   that fails is forgotten (icegrid-registry 8.2); one that falls too far behind is told anew what there is. */
#include "channel.h"
#include "nodes.h"
#include "sessions.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_PENDING 1000

/* A call waiting for its turn. */
struct pending {
    struct ib_list node;
    struct ib_arena arena; /* of in */
    const struct iw_op *op;
    void *in;
    int32_t serial; /* < 0: not sent */
    int64_t db_serial; /* 0: not sent */
};

struct slot {
    struct reg_observers *all;
    struct ib_arena arena; /* of proxy */
    struct reg_subscriber sub;
    struct ib_list queue; /* pending.node; the first is on its way when call is set */
    struct ir_call *call;
};

struct reg_observers {
    struct reg *reg;
    struct reg_observer observer;
    struct reg_node_observer nodes;
    struct ir_conn *conn; /* calls go over it; NULL: to the proxies' endpoints */
    struct ir_conn_hook hook; /* on conn: a session of a router may outlive it */
    int32_t timeout_ms;
    struct ic_deferred kick; /* the first calls, after the answer: who subscribes may have one thread for both */
    bool starting; /* until then */
    struct slot slots[REG_TOPIC_MAX];
};

/* --- one slot ---------------------------------------------------------------------------------------------------- */

static void pending_free(struct pending *p)
{
    ib_list_remove(&p->node);
    ib_arena_fini(&p->arena);
    free(p);
}

/* why: it has failed; NULL: it is no longer wanted. */
static void slot_end(struct slot *s, const char *why)
{
    if (s->sub.proxy != NULL)
        reg_unsubscribed(&s->sub, why);
    if (s->call != NULL)
        ir_call_cancel(s->call);
    s->call = NULL;
    while (!ib_list_empty(&s->queue))
        pending_free(IB_CONTAINER(s->queue.next, struct pending, node));
    s->sub.waiting = 0;
    s->sub.calling = false;
    s->sub.proxy = NULL;
    ib_arena_fini(&s->arena);
}

static void send_first(struct slot *s);

static void on_reply(void *arg, const struct ir_result *r)
{
    struct slot *s = arg;
    char text[300];

    s->call = NULL;
    s->sub.calling = false;
    if (r->outcome != IR_SUCCESS) {
        slot_end(s, ir_result_text(r, text, sizeof(text)));
        return;
    }
    s->sub.waiting--;
    s->sub.delivered++;
    pending_free(IB_CONTAINER(s->queue.next, struct pending, node));
    send_first(s);
}

static void send_first(struct slot *s)
{
    const struct pending *p = IB_CONTAINER(s->queue.next, struct pending, node);
    struct ir_context_entry context[2];
    struct ir_call_options options = {
        .timeout_ms = s->all->timeout_ms, .conn = s->all->conn, .context = context, .n_context = 0};
    char serial[24], db_serial[24];

    if (ib_list_empty(&s->queue))
        return;
    if (p->db_serial > 0) {
        snprintf(db_serial, sizeof(db_serial), "%lld", (long long)p->db_serial);
        context[options.n_context++] = (struct ir_context_entry){IB_STR("dbSerial"), ib_str(db_serial)};
    }
    if (p->serial >= 0) {
        snprintf(serial, sizeof(serial), "%d", p->serial);
        context[options.n_context++] = (struct ir_context_entry){IB_STR("serial"), ib_str(serial)};
    }
    s->call = ir_call(s->all->reg->rt, s->sub.proxy, p->op, &options, p->in, on_reply, s);
    s->sub.calling = s->call != NULL;
    if (s->call == NULL)
        slot_end(s, "out of memory");
}

static void enqueue(struct slot *s, const struct iw_op *op, const void *in, int32_t serial, int64_t db_serial)
{
    struct pending *p;

    if (s->sub.proxy == NULL)
        return;
    p = calloc(1, sizeof(*p));
    if (p == NULL) {
        slot_end(s, "out of memory");
        return;
    }
    ib_list_init(&p->node);
    ib_arena_init(&p->arena, 0);
    p->op = op;
    p->serial = serial;
    p->db_serial = db_serial;
    p->in = ib_arena_alloc(&p->arena, op->in->size);
    if (p->in == NULL || iw_copy(op->in, in, &p->arena, p->in) != 0) {
        pending_free(p);
        slot_end(s, "out of memory");
        return;
    }
    ib_list_append(&s->queue, &p->node);
    if (s->sub.waiting++ == 0 && !s->all->starting)
        send_first(s);
}

/* --- what there is ------------------------------------------------------------------------------------------------ */

static int init_applications(struct reg *reg, struct slot *s, struct ib_arena *arena)
{
    struct IceGrid_ApplicationObserver_applicationInit_in in = {.serial = reg_topic_serial(reg, REG_TOPIC_APPLICATION)};
    struct reg_app **apps;
    size_t n = reg_catalog_apps(reg->catalog, arena, &apps);

    if (n == SIZE_MAX || (in.applications.v = IB_ARENA_ARRAY(arena, n, struct IceGrid_ApplicationInfo)) == NULL)
        return IB_ENOMEM;
    in.applications.n = n;
    for (size_t i = 0; i < n; i++)
        in.applications.v[i] = *apps[i]->info;
    enqueue(s, &IceGrid_ApplicationObserver_applicationInit_op, &in, in.serial, reg_db_serial(reg, REG_APPLICATIONS));
    return 0;
}

static int init_adapters(struct reg *reg, struct slot *s, struct ib_arena *arena)
{
    struct IceGrid_AdapterObserver_adapterInit_in in = {0};

    in.adpts.n = reg_catalog_dynamics(reg->catalog, NULL, arena, &in.adpts.v);
    if (in.adpts.n == SIZE_MAX)
        return IB_ENOMEM;
    enqueue(s, &IceGrid_AdapterObserver_adapterInit_op, &in, reg_topic_serial(reg, REG_TOPIC_ADAPTER),
            reg_db_serial(reg, REG_ADAPTERS));
    return 0;
}

static int by_identity(const void *a, const void *b)
{
    const struct IceGrid_ObjectInfo *x = a, *y = b;

    return iw_identity_cmp(&x->proxy->id, &y->proxy->id);
}

static int init_objects(struct reg *reg, struct slot *s, struct ib_arena *arena)
{
    struct IceGrid_ObjectObserver_objectInit_in in = {0};

    in.objects.n = reg_catalog_objects(reg->catalog, NULL, arena, &in.objects.v);
    if (in.objects.n == SIZE_MAX)
        return IB_ENOMEM;
    if (in.objects.n > 1)
        qsort(in.objects.v, in.objects.n, sizeof(*in.objects.v), by_identity);
    enqueue(s, &IceGrid_ObjectObserver_objectInit_op, &in, reg_topic_serial(reg, REG_TOPIC_OBJECT),
            reg_db_serial(reg, REG_OBJECTS));
    return 0;
}

static int init_registries(struct reg *reg, struct slot *s, struct ib_arena *arena)
{
    struct IceGrid_RegistryObserver_registryInit_in in = {0};
    struct reg_slave_info *slaves;
    size_t n = reg_slaves(reg, arena, &slaves);

    if (n == SIZE_MAX || (in.registries.v = IB_ARENA_ARRAY(arena, n + 1, struct IceGrid_RegistryInfo)) == NULL)
        return IB_ENOMEM;
    in.registries.v[in.registries.n++] =
        (struct IceGrid_RegistryInfo){.name = reg->cfg.replica, .hostname = reg_hostname(arena)};
    for (size_t i = 0; i < n; i++)
        in.registries.v[in.registries.n++] =
            (struct IceGrid_RegistryInfo){.name = slaves[i].name, .hostname = slaves[i].hostname};
    enqueue(s, &IceGrid_RegistryObserver_registryInit_op, &in, reg_topic_serial(reg, REG_TOPIC_REGISTRY), 0);
    return 0;
}

/* Those that have told what they run (internal 14). */
static int init_nodes(struct reg *reg, struct slot *s, struct ib_arena *arena)
{
    struct IceGrid_NodeObserver_nodeInit_in in = {0};
    struct reg_node **nodes;
    size_t n = reg_nodes_list(reg, arena, &nodes);

    if (n == SIZE_MAX || (in.nodes.v = IB_ARENA_ARRAY(arena, n, struct IceGrid_NodeDynamicInfo)) == NULL)
        return IB_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        if (nodes[i]->up && reg_node_dynamic(nodes[i], arena, &in.nodes.v[in.nodes.n++]) != 0)
            return IB_ENOMEM;
    }
    enqueue(s, &IceGrid_NodeObserver_nodeInit_op, &in, reg_topic_serial(reg, REG_TOPIC_NODE), 0);
    return 0;
}

typedef int (*init_fn)(struct reg *reg, struct slot *s, struct ib_arena *arena);

static const init_fn inits[REG_TOPIC_MAX] = {
    [REG_TOPIC_REGISTRY] = init_registries,      [REG_TOPIC_NODE] = init_nodes,
    [REG_TOPIC_APPLICATION] = init_applications, [REG_TOPIC_ADAPTER] = init_adapters,
    [REG_TOPIC_OBJECT] = init_objects,
};

static void slot_init(struct reg_observers *o, enum reg_topic topic)
{
    struct ib_arena arena;

    ib_arena_init(&arena, 0);
    if (inits[topic](o->reg, &o->slots[topic], &arena) != 0)
        slot_end(&o->slots[topic], "out of memory");
    ib_arena_fini(&arena);
}

/* What waits is dropped: the new list says it all. True when it was too much. */
static bool start_over(struct reg_observers *o, enum reg_topic topic)
{
    struct slot *s = &o->slots[topic];
    struct ib_list *on_its_way = s->call != NULL ? s->queue.next : NULL;

    if (s->sub.waiting < MAX_PENDING)
        return false;
    IB_LIST_FOREACH_SAFE(node, &s->queue)
    {
        if (node == on_its_way)
            continue;
        pending_free(IB_CONTAINER(node, struct pending, node));
        s->sub.waiting--;
    }
    slot_init(o, topic);
    return true;
}

/* --- what changes ------------------------------------------------------------------------------------------------- */

static void on_app_event(struct slot *s, const struct reg_event *ev)
{
    if (ev->kind == REG_EV_APP_ADDED) {
        struct IceGrid_ApplicationObserver_applicationAdded_in in = {.serial = ev->serial, .desc = *ev->info};

        enqueue(s, &IceGrid_ApplicationObserver_applicationAdded_op, &in, ev->serial, ev->db_serial);
    } else if (ev->kind == REG_EV_APP_UPDATED) {
        struct IceGrid_ApplicationObserver_applicationUpdated_in in = {.serial = ev->serial, .desc = *ev->update_info};

        enqueue(s, &IceGrid_ApplicationObserver_applicationUpdated_op, &in, ev->serial, ev->db_serial);
    } else if (ev->kind == REG_EV_APP_REMOVED) {
        struct IceGrid_ApplicationObserver_applicationRemoved_in in = {.serial = ev->serial, .name = ev->name};

        enqueue(s, &IceGrid_ApplicationObserver_applicationRemoved_op, &in, ev->serial, ev->db_serial);
    }
}

static void on_adapter_event(struct slot *s, const struct reg_event *ev)
{
    if (ev->kind == REG_EV_ADAPTER_ADDED) {
        enqueue(s, &IceGrid_AdapterObserver_adapterAdded_op,
                &(struct IceGrid_AdapterObserver_adapterAdded_in){.info = *ev->adapter}, ev->serial, ev->db_serial);
    } else if (ev->kind == REG_EV_ADAPTER_UPDATED) {
        enqueue(s, &IceGrid_AdapterObserver_adapterUpdated_op,
                &(struct IceGrid_AdapterObserver_adapterUpdated_in){.info = *ev->adapter}, ev->serial, ev->db_serial);
    } else if (ev->kind == REG_EV_ADAPTER_REMOVED) {
        enqueue(s, &IceGrid_AdapterObserver_adapterRemoved_op,
                &(struct IceGrid_AdapterObserver_adapterRemoved_in){.id = ev->name}, ev->serial, ev->db_serial);
    }
}

static void on_object_event(struct slot *s, const struct reg_event *ev)
{
    if (ev->kind == REG_EV_OBJECT_ADDED) {
        enqueue(s, &IceGrid_ObjectObserver_objectAdded_op,
                &(struct IceGrid_ObjectObserver_objectAdded_in){.info = *ev->object}, ev->serial, ev->db_serial);
    } else if (ev->kind == REG_EV_OBJECT_UPDATED) {
        enqueue(s, &IceGrid_ObjectObserver_objectUpdated_op,
                &(struct IceGrid_ObjectObserver_objectUpdated_in){.info = *ev->object}, ev->serial, ev->db_serial);
    } else if (ev->kind == REG_EV_OBJECT_REMOVED) {
        enqueue(s, &IceGrid_ObjectObserver_objectRemoved_op,
                &(struct IceGrid_ObjectObserver_objectRemoved_in){.id = ev->id}, ev->serial, ev->db_serial);
    }
}

static void on_registry_event(struct slot *s, const struct reg_event *ev)
{
    if (ev->kind == REG_EV_REGISTRY_UP)
        enqueue(s, &IceGrid_RegistryObserver_registryUp_op,
                &(struct IceGrid_RegistryObserver_registryUp_in){.node = *ev->registry}, -1, 0);
    else if (ev->kind == REG_EV_REGISTRY_DOWN)
        enqueue(s, &IceGrid_RegistryObserver_registryDown_op,
                &(struct IceGrid_RegistryObserver_registryDown_in){.name = ev->name}, -1, 0);
}

static void on_node_up(struct slot *s, const struct reg_node *node)
{
    struct IceGrid_NodeObserver_nodeUp_in in;
    struct ib_arena arena;

    ib_arena_init(&arena, 0);
    if (reg_node_dynamic(node, &arena, &in.node) == 0)
        enqueue(s, &IceGrid_NodeObserver_nodeUp_op, &in, -1, 0);
    else
        slot_end(s, "out of memory");
    ib_arena_fini(&arena);
}

static void on_node_event(struct reg_node_observer *observer, const struct reg_node_event *ev)
{
    struct reg_observers *o = IB_CONTAINER(observer, struct reg_observers, nodes);
    struct slot *s = &o->slots[REG_TOPIC_NODE];

    if (s->sub.proxy == NULL || ev->node == NULL || !ev->node->up || start_over(o, REG_TOPIC_NODE))
        return;
    if (ev->kind == REG_NODE_UP)
        on_node_up(s, ev->node);
    else if (ev->kind == REG_NODE_DOWN)
        enqueue(s, &IceGrid_NodeObserver_nodeDown_op, &(struct IceGrid_NodeObserver_nodeDown_in){.name = ev->name}, -1,
                0);
    else if (ev->kind == REG_NODE_SERVER)
        enqueue(s, &IceGrid_NodeObserver_updateServer_op,
                &(struct IceGrid_NodeObserver_updateServer_in){.node = ev->name, .updatedInfo = *ev->server}, -1, 0);
    else if (ev->kind == REG_NODE_ADAPTER)
        enqueue(s, &IceGrid_NodeObserver_updateAdapter_op,
                &(struct IceGrid_NodeObserver_updateAdapter_in){.node = ev->name, .updatedInfo = *ev->adapter}, -1, 0);
}

static void on_event(struct reg_observer *observer, const struct reg_event *ev)
{
    struct reg_observers *o = IB_CONTAINER(observer, struct reg_observers, observer);
    struct slot *s = &o->slots[ev->topic];

    if (s->sub.proxy == NULL || start_over(o, (enum reg_topic)ev->topic))
        return;
    switch (ev->kind) {
    case REG_EV_APPS_INIT:
    case REG_EV_ADAPTERS_INIT:
    case REG_EV_OBJECTS_INIT:
        slot_init(o, (enum reg_topic)ev->topic);
        return;
    default:
        break;
    }
    if (ev->topic == REG_TOPIC_APPLICATION)
        on_app_event(s, ev);
    else if (ev->topic == REG_TOPIC_ADAPTER)
        on_adapter_event(s, ev);
    else if (ev->topic == REG_TOPIC_OBJECT)
        on_object_event(s, ev);
    else if (ev->topic == REG_TOPIC_REGISTRY)
        on_registry_event(s, ev);
}

static void on_conn_close(struct ir_conn_hook *hook, struct ir_conn *conn, const struct ib_err *why)
{
    struct reg_observers *o = IB_CONTAINER(hook, struct reg_observers, hook);

    (void)conn;
    (void)why;
    for (size_t i = 0; i < REG_TOPIC_MAX; i++)
        slot_end(&o->slots[i], NULL);
    o->conn = NULL;
}

/* --- life -------------------------------------------------------------------------------------------------------- */

static struct reg_observers *make(struct reg_session *s)
{
    struct reg_observers *o = calloc(1, sizeof(*o));

    if (o == NULL)
        return NULL;
    o->reg = s->sessions->reg;
    o->observer.event = on_event;
    ib_list_init(&o->hook.node);
    o->hook.fn = on_conn_close;
    for (size_t i = 0; i < REG_TOPIC_MAX; i++) {
        o->slots[i].all = o;
        ib_arena_init(&o->slots[i].arena, 0);
        ib_list_init(&o->slots[i].queue);
    }
    reg_observe(o->reg, &o->observer);
    o->nodes.event = on_node_event;
    reg_nodes_observe(o->reg, &o->nodes);
    s->observers = o;
    return o;
}

static void begin(void *arg)
{
    struct reg_observers *o = arg;

    o->starting = false;
    for (size_t i = 0; i < REG_TOPIC_MAX; i++)
        if (!ib_list_empty(&o->slots[i].queue))
            send_first(&o->slots[i]);
}

int reg_observers_set(struct reg_session *s, struct iw_proxy *const prx[REG_TOPIC_MAX], struct ir_conn *conn)
{
    struct reg_observers *o = s->observers != NULL ? s->observers : make(s);

    if (o == NULL)
        return IB_ENOMEM;
    for (size_t i = 0; i < REG_TOPIC_MAX; i++)
        slot_end(&o->slots[i], NULL);
    ir_conn_off_close(&o->hook);
    o->conn = conn;
    if (conn != NULL)
        ir_conn_on_close(conn, &o->hook);
    o->timeout_ms = s->timeout_s > 0 ? s->timeout_s * 1000 : 30000;
    o->starting = true;
    ic_loop_defer(o->reg->loop, &o->kick, begin, o);
    for (size_t i = 0; i < REG_TOPIC_MAX; i++) {
        struct slot *slot = &o->slots[i];

        if (prx[i] == NULL)
            continue;
        struct iw_proxy *copy = iw_proxy_copy(prx[i], &slot->arena);
        if (copy == NULL)
            return IB_ENOMEM;
        /* Always twoway and in encoding 1.1, whatever the proxy says (8.2). */
        copy->mode = IW_TWOWAY;
        copy->encoding = IW_ENCODING_1_1;
        slot->sub = (struct reg_subscriber){.reg = o->reg, .topic = (enum reg_topic)i, .proxy = copy};
        reg_subscribed(&slot->sub);
        slot_init(o, (enum reg_topic)i);
    }
    return 0;
}

void reg_observers_free(struct reg_observers *o)
{
    if (o == NULL)
        return;
    reg_unobserve(&o->observer);
    reg_nodes_unobserve(&o->nodes);
    ic_loop_undefer(o->reg->loop, &o->kick);
    ir_conn_off_close(&o->hook);
    for (size_t i = 0; i < REG_TOPIC_MAX; i++)
        slot_end(&o->slots[i], NULL);
    free(o);
}
