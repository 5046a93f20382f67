/* SPDX-License-Identifier: Apache-2.0 */
/* The master's stream to one slave: first the three tables, then every event, in order, a window of them on the way;
   and the acknowledgements that release the answers to those who made the changes (icegrid-internal 6). */
#include "replication_priv.h"

#include <stdio.h>
#include <stdlib.h>

#include <moulin/base/clock.h>
#include <moulin/base/sm.h>

#include <slice/Moulin/Replication_rpc.h>

static const struct ib_sm_state stream_states[REG_STREAM_STATE_MAX] = {
    [REG_STREAM_SILENT] = {"silent", IB_SM_BIT(REG_STREAM_SYNCING)},
    [REG_STREAM_SYNCING] = {"syncing", IB_SM_BIT(REG_STREAM_FOLLOWING)},
    [REG_STREAM_FOLLOWING] = {"following", 0},
};

struct message {
    struct ib_list node;
    struct reg_stream *stream;
    const struct reg_event *ev; /* holds a reference to its change; NULL: a whole table */
    uint8_t topic;
    int32_t serial;
    struct ir_call *call;
};

static void drop_message(struct message *m)
{
    ib_list_remove(&m->node);
    if (m->call)
        ir_call_cancel(m->call);
    if (m->ev)
        reg_change_unref(m->ev->change);
    free(m);
}

/* --- sending -------------------------------------------------------------------------------------------------------
 */

struct context {
    char serial[16], db_serial[24], early[24];
    struct ir_context_entry entries[4]; /* sorted, as a map is */
    struct ir_call_options options;
};

/* The tables of which the slave may be told before the disk has them. */
static const uint8_t early_tables[REG_TOPIC_MAX] = {
    [REG_TOPIC_ADAPTER] = REG_ADAPTERS, [REG_TOPIC_OBJECT] = REG_OBJECTS};

/* db_serial: 0 for what does not count. on_disk: the table's serial. */
static void fill_context(struct context *c, const struct reg_stream *s, int32_t serial, int64_t db_serial,
                         int64_t on_disk)
{
    const struct reg *reg = s->reg;
    size_t n = 0;
    if (db_serial) {
        snprintf(c->db_serial, sizeof c->db_serial, "%lld", (long long)db_serial);
        c->entries[n++] = (struct ir_context_entry){IB_STR("dbSerial"), ib_str(c->db_serial)};
    }
    if (s->by_reply)
        c->entries[n++] = (struct ir_context_entry){IB_STR(REG_ACK_KEY), IB_STR(REG_ACK_REPLY)};
    if (db_serial > on_disk) {
        snprintf(c->early, sizeof c->early, "%lld", (long long)on_disk);
        c->entries[n++] = (struct ir_context_entry){IB_STR(REG_EARLY_KEY), ib_str(c->early)};
    }
    snprintf(c->serial, sizeof c->serial, "%d", (int)serial);
    c->entries[n++] = (struct ir_context_entry){IB_STR("serial"), ib_str(c->serial)};
    int timeout = reg->cfg.replica_session_timeout > 0 ? reg->cfg.replica_session_timeout : 60;
    c->options = (struct ir_call_options){.timeout_ms = timeout * 1000, .context = c->entries, .n_context = n};
}

static void pump(struct reg_stream *s);

static void delivered(void *arg, const struct ir_result *r)
{
    struct message *m = arg;
    struct reg_stream *s = m->stream;
    int topic = m->topic;
    int32_t serial = m->serial;
    m->call = NULL;
    s->n_sent--;
    drop_message(m);
    if (r->outcome == IR_SUCCESS) {
        if (s->by_reply)
            reg_stream_received(s, topic, serial, ib_str(""));
        pump(s);
        return;
    }
    char text[256];
    s->broken(s, ir_result_text(r, text, sizeof text));
}

static struct ir_call *send(struct reg_stream *s, struct message *m)
{
    const struct reg_event *ev = m->ev;
    struct ir_runtime *rt = s->reg->rt;
    struct context ctx;
    fill_context(&ctx, s, ev->serial, ev->db_serial,
                 ev->serial > s->early[ev->topic] ? ev->db_serial : reg_db_serial(s->reg, early_tables[ev->topic]));
#define CALL(op, ...) op##_call(rt, s->observer, &ctx.options, &(const struct op##_in){__VA_ARGS__}, delivered, m)
    switch ((enum reg_event_kind)ev->kind) {
    case REG_EV_APP_ADDED:
        return CALL(IceGrid_ApplicationObserver_applicationAdded, .serial = ev->serial, .desc = *ev->info);
    case REG_EV_APP_UPDATED:
        return CALL(IceGrid_ApplicationObserver_applicationUpdated, .serial = ev->serial, .desc = *ev->update_info);
    case REG_EV_APP_REMOVED:
        return CALL(IceGrid_ApplicationObserver_applicationRemoved, .serial = ev->serial, .name = ev->name);
    case REG_EV_ADAPTER_ADDED:
        return CALL(IceGrid_AdapterObserver_adapterAdded, .info = *ev->adapter);
    case REG_EV_ADAPTER_UPDATED:
        return CALL(IceGrid_AdapterObserver_adapterUpdated, .info = *ev->adapter);
    case REG_EV_ADAPTER_REMOVED:
        return CALL(IceGrid_AdapterObserver_adapterRemoved, .id = ev->name);
    case REG_EV_OBJECT_ADDED:
        return CALL(IceGrid_ObjectObserver_objectAdded, .info = *ev->object);
    case REG_EV_OBJECT_UPDATED:
        return CALL(IceGrid_ObjectObserver_objectUpdated, .info = *ev->object);
    case REG_EV_OBJECT_REMOVED:
        return CALL(IceGrid_ObjectObserver_objectRemoved, .id = ev->id);
    default:
        return NULL; /* never queued */
    }
#undef CALL
}

static void pump(struct reg_stream *s)
{
    while (s->n_sent < REG_STREAM_WINDOW && !ib_list_empty(&s->queue)) {
        struct message *m = IB_CONTAINER(s->queue.next, struct message, node);
        m->call = send(s, m);
        if (!m->call) {
            s->broken(s, "out of memory");
            return;
        }
        ib_list_remove(&m->node);
        ib_list_append(&s->sent, &m->node);
        s->n_queue--;
        s->n_sent++;
    }
}

static void enqueue(struct reg_stream *s, const struct reg_event *ev)
{
    struct message *m = s->n_queue < REG_STREAM_QUEUE ? calloc(1, sizeof *m) : NULL;
    if (!m) {
        s->broken(s, "too many updates wait for it");
        return;
    }
    bool waited = ev->last && !s->ledger.released && (ev->db_serial || s->registering);
    if (waited && !reg_ledger_wait(&s->ledger, ev->topic, ev->serial, ib_clock_ms(), ev->change)) {
        free(m);
        s->broken(s, "out of memory");
        return;
    }
    if (s->ledger.released && ev->db_serial)
        reg_ledger_owe(&s->ledger, ev->topic, ev->serial);
    m->stream = s;
    m->ev = ev;
    m->topic = ev->topic;
    m->serial = ev->serial;
    reg_change_ref(ev->change);
    ib_list_append(&s->queue, &m->node);
    s->n_queue++;
    pump(s);
}

static void on_event(struct reg_observer *o, const struct reg_event *ev)
{
    struct reg_stream *s = IB_CONTAINER(o, struct reg_stream, tap);
    if (ev->topic == REG_TOPIC_REGISTRY || ev->topic == REG_TOPIC_NODE)
        return;
    if (ev->serial > s->early[ev->topic])
        enqueue(s, ev);
    else if (ev->db_serial)
        ic_timer_start(&s->settle, REG_SETTLE_MS);
}

static void on_early(struct reg_observer *o, const struct reg_event *ev)
{
    struct reg_stream *s = IB_CONTAINER(o, struct reg_stream, tap);
    if (s->state != REG_STREAM_FOLLOWING || !s->wants_early)
        return;
    s->early[ev->topic] = ev->serial;
    enqueue(s, ev);
}

static void on_settle(void *arg)
{
    struct reg_stream *s = arg;
    struct reg *reg = s->reg;
    struct IceGrid_StringLongDict_entry serials[] = {{IB_STR("adapters"), reg_db_serial(reg, REG_ADAPTERS)},
                                                     {IB_STR("objects"), reg_db_serial(reg, REG_OBJECTS)}};
    const struct Moulin_SettledObserver_settled_in in = {.serials = {2, serials}};
    const struct ir_call_options opt = {.oneway = true};
    struct ib_arena arena;
    ib_arena_init(&arena, 0);
    struct iw_proxy *to = ir_proxy_with_facet(s->observer, REG_SETTLED_FACET, &arena);
    if (to)
        Moulin_SettledObserver_settled_call(reg->rt, to, &opt, &in, NULL, NULL);
    ib_arena_fini(&arena);
}

static void on_lost(struct reg_observer *o)
{
    struct reg_stream *s = IB_CONTAINER(o, struct reg_stream, tap);
    s->broken(s, "it was told of a change that this registry's disk does not take");
}

/* --- the first three messages
 * ------------------------------------------------------------------------------------------ */

/* The tables go in encoding 1.1, whatever the observer's proxy says, as from ZeroC's master: 1.0 would take the
   encodings of the proxies in them away (icegrid-internal 2). Updates follow the proxy. */
static struct iw_proxy whole_tables_to(const struct reg_stream *s)
{
    struct iw_proxy prx = *s->observer;
    prx.encoding = IW_ENCODING_1_1;
    return prx;
}

static size_t list_applications(struct reg *reg, struct ib_arena *arena, struct IceGrid_ApplicationInfo **out)
{
    struct reg_app **apps;
    size_t n = reg_catalog_apps(reg->catalog, arena, &apps);
    struct IceGrid_ApplicationInfo *list =
        n == SIZE_MAX ? NULL : IB_ARENA_ARRAY(arena, n, struct IceGrid_ApplicationInfo);
    if (!list)
        return SIZE_MAX;
    for (size_t i = 0; i < n; i++)
        list[i] = *apps[i]->info;
    *out = list;
    return n;
}

static bool begin_table(struct reg_stream *s, enum reg_topic topic, enum reg_table table, struct context *ctx,
                        struct message **m)
{
    *m = calloc(1, sizeof **m);
    if (!*m || !reg_ledger_wait(&s->ledger, topic, s->reg->topic_serial[topic], ib_clock_ms(), NULL))
        return false;
    (*m)->stream = s;
    (*m)->topic = (uint8_t)topic;
    (*m)->serial = s->reg->topic_serial[topic];
    fill_context(ctx, s, s->reg->topic_serial[topic], s->reg->db_serial[table], s->reg->db_serial[table]);
    ib_list_append(&s->sent, &(*m)->node);
    s->n_sent++;
    return true;
}

static bool send_applications(struct reg_stream *s, struct ib_arena *arena)
{
    struct message *m;
    struct context ctx;
    struct IceGrid_ApplicationObserver_applicationInit_in in = {.serial = s->reg->topic_serial[REG_TOPIC_APPLICATION]};
    in.applications.n = list_applications(s->reg, arena, &in.applications.v);
    if (in.applications.n == SIZE_MAX || !begin_table(s, REG_TOPIC_APPLICATION, REG_APPLICATIONS, &ctx, &m))
        return false;
    const struct iw_proxy to = whole_tables_to(s);
    m->call = IceGrid_ApplicationObserver_applicationInit_call(s->reg->rt, &to, &ctx.options, &in, delivered, m);
    return m->call;
}

static bool send_adapters(struct reg_stream *s, struct ib_arena *arena)
{
    struct message *m;
    struct context ctx;
    struct IceGrid_AdapterObserver_adapterInit_in in;
    in.adpts.n = reg_catalog_dynamics(s->reg->catalog, NULL, arena, &in.adpts.v);
    if (in.adpts.n == SIZE_MAX || !begin_table(s, REG_TOPIC_ADAPTER, REG_ADAPTERS, &ctx, &m))
        return false;
    const struct iw_proxy to = whole_tables_to(s);
    m->call = IceGrid_AdapterObserver_adapterInit_call(s->reg->rt, &to, &ctx.options, &in, delivered, m);
    return m->call;
}

static bool send_objects(struct reg_stream *s, struct ib_arena *arena)
{
    struct message *m;
    struct context ctx;
    struct IceGrid_ObjectObserver_objectInit_in in;
    in.objects.n = reg_catalog_objects(s->reg->catalog, NULL, arena, &in.objects.v);
    if (in.objects.n == SIZE_MAX || !begin_table(s, REG_TOPIC_OBJECT, REG_OBJECTS, &ctx, &m))
        return false;
    const struct iw_proxy to = whole_tables_to(s);
    m->call = IceGrid_ObjectObserver_objectInit_call(s->reg->rt, &to, &ctx.options, &in, delivered, m);
    return m->call;
}

void reg_stream_start(struct reg_stream *s, struct ir_request *rq, struct iw_proxy *observer)
{
    struct ib_arena arena;
    ib_sm_move(stream_states, REG_STREAM_STATE_MAX, &s->state, REG_STREAM_SYNCING);
    s->observer = observer;
    s->subscribe = rq;
    s->tap.event = on_event;
    s->tap.early = on_early;
    s->tap.lost = on_lost;
    reg_observe(s->reg, &s->tap); /* nothing can happen between the tables and the first event: one loop */
    ib_arena_init(&arena, 0);
    bool ok = send_applications(s, &arena) && send_adapters(s, &arena) && send_objects(s, &arena);
    ib_arena_fini(&arena);
    if (!ok)
        s->broken(s, "out of memory");
}

/* --- acknowledgements
 * ---------------------------------------------------------------------------------------------------- */

void reg_stream_received(struct reg_stream *s, int topic, int32_t serial, struct ib_str failure)
{
    if (failure.n) {
        char text[1024];
        ib_log_warning(s->reg->log, "replication failed on replica `%s':\n%s", s->name,
                       ib_log_escape(failure, text, sizeof text));
        s->broken(s, "it could not apply an update");
        return;
    }
    reg_ledger_acknowledge(&s->ledger, topic, serial);
    if (s->state != REG_STREAM_SYNCING || !reg_ledger_complete(&s->ledger))
        return;
    ib_sm_move(stream_states, REG_STREAM_STATE_MAX, &s->state, REG_STREAM_FOLLOWING);
    s->reg->replication->followed = true;
    struct ir_request *rq = s->subscribe;
    s->subscribe = NULL;
    IceGrid_ReplicaSession_setDatabaseObserver_reply(rq, NULL);
}

void reg_stream_facts(const struct reg_stream *s, int64_t now, struct reg_slave_facts *out)
{
    out->syncing = s->state == REG_STREAM_SYNCING && reg_ledger_tables_open(&s->ledger);
    reg_ledger_ages(&s->ledger, now, out);
}

/* --- life ------------------------------------------------------------------------------------------------------- */

void reg_stream_init(struct reg_stream *s, struct reg *reg, const char *name,
                     void (*broken)(struct reg_stream *s, const char *why))
{
    *s = (struct reg_stream){.reg = reg, .name = name, .broken = broken};
    ib_list_init(&s->tap.node);
    ib_list_init(&s->queue);
    ib_list_init(&s->sent);
    reg_ledger_init(&s->ledger);
    ic_timer_init(&s->settle, reg->loop, on_settle, s);
}

void reg_stream_fini(struct reg_stream *s)
{
    reg_unobserve(&s->tap);
    ic_timer_fini(&s->settle);
    while (!ib_list_empty(&s->queue))
        drop_message(IB_CONTAINER(s->queue.next, struct message, node));
    while (!ib_list_empty(&s->sent))
        drop_message(IB_CONTAINER(s->sent.next, struct message, node));
    reg_ledger_fini(&s->ledger);
    s->n_queue = s->n_sent = 0;
    if (s->subscribe)
        reg_throw_deployment(s->subscribe, "the session ended before the database was synchronized");
    s->subscribe = NULL;
}
