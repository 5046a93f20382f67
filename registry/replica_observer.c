/* SPDX-License-Identifier: Apache-2.0 */
/* The master's stream arrives: every message becomes one change, is acknowledged by receivedUpdate once it is on disk,
   and then answered. Messages are taken in the order they come; the one door keeps it. An update that cannot be
   applied, or whose acknowledgement the master does not take, ends the session. */
#include "replica_observer.h"
#include "replication_priv.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <moulin/net/loop.h>

#include <slice/Moulin/Replication_rpc.h>

#define OPEN_MAX 4096 /* updates under way; a real master has at most a window of them */
#define ACKNOWLEDGE_MS 10000
#define TRIM_MS 500 /* after a table came as a whole: the message and all that was decoded are gone by then */

struct reg_replica_observer {
    struct reg *reg;
    struct ib_arena arena;
    struct iw_identity id;
    struct iw_proxy *session, *proxy;
    struct ir_servant servant, settled;
    void (*failed)(void *arg, const char *why);
    void *arg;
    struct ib_list updates; /* struct update */
    size_t n_updates;
    struct ib_list acks; /* struct ack */
    int64_t serial[REG_SERIALS]; /* of the last message of each table */
    bool given_up; /* failed has been called */
    struct ic_timer trim;
};

struct update {
    struct ib_list node;
    struct reg_replica_observer *o; /* NULL: the session is gone */
    struct ir_request *rq;
    const struct iw_op *op;
    enum IceGrid_TopicName topic;
    int32_t serial;
    bool by_reply; /* the reply is the acknowledgement */
};

struct ack { /* a receivedUpdate under way */
    struct ib_list node;
    struct reg_replica_observer *o;
    struct ir_call *call;
};

static void give_up(struct reg_replica_observer *o, const char *fmt, ...) IB_PRINTF(2, 3);

static void give_up(struct reg_replica_observer *o, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    if (o->given_up)
        return;
    o->given_up = true;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    o->failed(o->arg, text);
}

/* --- context ---------------------------------------------------------------------------------------------------------
 */

/* A decimal number of the request's context; absent or malformed: 0. */
static int64_t number(const struct ir_request *rq, const char *key)
{
    struct ib_str s = ir_request_context(rq, key);
    int64_t v = 0;
    if (s.n == 0 || s.n > 18)
        return 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return 0;
        v = v * 10 + (s.p[i] - '0');
    }
    return v;
}

/* --- one update
 * -------------------------------------------------------------------------------------------------------- */

/* A master that has dropped this slave, or cannot be reached, waits for it no more: what it has told others since is
   missing here. */
static void on_acknowledged(void *arg, const struct ir_result *r)
{
    struct ack *a = arg;
    struct reg_replica_observer *o = a->o;
    char text[256];
    ib_list_remove(&a->node);
    free(a);
    if (r->outcome != IR_SUCCESS)
        give_up(o, "the master does not take the acknowledgement of an update: %s",
                ir_result_text(r, text, sizeof text));
}

static void acknowledge(struct reg_replica_observer *o, const struct update *u, struct ib_str failure)
{
    const struct ir_call_options opt = {.timeout_ms = ACKNOWLEDGE_MS, .connect_timeout_ms = ACKNOWLEDGE_MS};
    const struct IceGrid_ReplicaSession_receivedUpdate_in in = {
        .name = u->topic, .serial = u->serial, .failure = failure};
    struct ack *a = calloc(1, sizeof *a);
    if (a) {
        a->o = o;
        a->call = IceGrid_ReplicaSession_receivedUpdate_call(o->reg->rt, o->session, &opt, &in, on_acknowledged, a);
    }
    if (a && a->call) {
        ib_list_append(&o->acks, &a->node);
        return;
    }
    free(a);
    give_up(o, "an update of the master cannot be acknowledged: out of memory");
}

/* A whole table takes several times its size while it is read, and malloc would keep that. */
static void on_trim(void *arg)
{
    (void)arg;
    malloc_trim(0);
}

static bool is_init(const struct iw_op *op)
{
    return op == &IceGrid_ApplicationObserver_applicationInit_op || op == &IceGrid_AdapterObserver_adapterInit_op ||
           op == &IceGrid_ObjectObserver_objectInit_op;
}

static void applied(void *arg, struct reg_change *c)
{
    struct update *u = arg;
    struct reg_replica_observer *o = u->o;
    ib_list_remove(&u->node);
    if (o) {
        o->n_updates--;
        if (is_init(u->op))
            ic_timer_start(&o->trim, TRIM_MS);
        if (!u->by_reply && c->code != IB_EDESTROYED)
            acknowledge(o, u, c->code ? ib_str(c->err.text) : IB_STR(""));
    }
    if (u->by_reply && c->code)
        ir_request_fail(u->rq, IR_UNKNOWN, c->err.text);
    else
        ir_request_reply(u->rq, u->op, NULL);
    free(u);
    if (c->code && o && c->code != IB_EDESTROYED)
        give_up(o, "an update from the master could not be applied:\n%s", c->err.text);
}

/* The change that carries this message; NULL: it has been refused. */
static struct reg_change *begin(struct reg_replica_observer *o, struct ir_request *rq, enum reg_change_op op,
                                const struct iw_op *iop, enum IceGrid_TopicName topic)
{
    struct update *u = o->n_updates < OPEN_MAX ? calloc(1, sizeof *u) : NULL;
    struct reg_change *c = u ? reg_change_new(op, applied, u) : NULL;
    if (!c) {
        free(u);
        ir_request_fail(rq, IR_UNKNOWN, u ? "out of memory" : "too many updates at once");
        return NULL;
    }
    *u = (struct update){.o = o, .rq = rq, .op = iop, .topic = topic, .serial = (int32_t)number(rq, "serial")};
    u->by_reply = ib_str_is(ir_request_context(rq, REG_ACK_KEY), REG_ACK_REPLY);
    ib_list_append(&o->updates, &u->node);
    o->n_updates++;
    c->serial = number(rq, "dbSerial");
    c->settled = number(rq, REG_EARLY_KEY);
    return c;
}

static void refuse(struct reg_replica_observer *o, struct reg_change *c)
{
    c->reg = o->reg;
    applied(c->done_arg, c);
    reg_change_unref(c);
}

static void end(struct reg_replica_observer *o, struct reg_change *c, int rc)
{
    const struct update *u = c->done_arg;
    int table = u->topic == IceGrid_TopicName_ApplicationObserverTopicName ? REG_APPLICATIONS
                : u->topic == IceGrid_TopicName_AdapterObserverTopicName   ? REG_ADAPTERS
                                                                           : REG_OBJECTS;
    if (rc) {
        c->code = ib_err_set(&c->err, rc, "out of memory");
        refuse(o, c);
    } else if (reg_serial_backwards(o->serial[table], c->serial)) {
        c->code = ib_err_set(&c->err, IB_EINVAL, "its serial is %lld, and this replica is at %lld already",
                             (long long)c->serial, (long long)o->serial[table]);
        refuse(o, c);
    } else {
        if (c->serial)
            o->serial[table] = c->serial;
        reg_change_submit(o->reg, c);
    }
}

static int copy(struct reg_change *c, const struct iw_type *type, const void *v, void *out)
{
    return iw_copy(type, v, &c->arena, out);
}

#define BEGIN(op_, iface, name, topic_)                                                                                \
    struct reg_replica_observer *o = self;                                                                             \
    struct reg_change *c = begin(o, rq, op_, &IceGrid_##iface##_##name##_op, IceGrid_TopicName_##topic_);              \
    if (!c)                                                                                                            \
    return

/* --- applications
 * ------------------------------------------------------------------------------------------------------- */

static void application_init(void *self, struct ir_request *rq,
                             const struct IceGrid_ApplicationObserver_applicationInit_in *in)
{
    BEGIN(REG_APPS_INIT, ApplicationObserver, applicationInit, ApplicationObserverTopicName);
    struct IceGrid_ApplicationInfoSeq seq;
    int rc = copy(c, &IceGrid_ApplicationInfoSeq_type, &in->applications, &seq);
    if (!rc) {
        c->n_many = seq.n;
        c->infos = seq.v;
    }
    end(o, c, rc);
}

static void application_added(void *self, struct ir_request *rq,
                              const struct IceGrid_ApplicationObserver_applicationAdded_in *in)
{
    BEGIN(REG_APP_PUT, ApplicationObserver, applicationAdded, ApplicationObserverTopicName);
    c->info = IB_ARENA_NEW(&c->arena, struct IceGrid_ApplicationInfo);
    end(o, c, c->info ? copy(c, &IceGrid_ApplicationInfo_type, &in->desc, c->info) : IB_ENOMEM);
}

static void application_updated(void *self, struct ir_request *rq,
                                const struct IceGrid_ApplicationObserver_applicationUpdated_in *in)
{
    BEGIN(REG_APP_PATCH, ApplicationObserver, applicationUpdated, ApplicationObserverTopicName);
    c->update_info = IB_ARENA_NEW(&c->arena, struct IceGrid_ApplicationUpdateInfo);
    end(o, c, c->update_info ? copy(c, &IceGrid_ApplicationUpdateInfo_type, &in->desc, c->update_info) : IB_ENOMEM);
}

static void application_removed(void *self, struct ir_request *rq,
                                const struct IceGrid_ApplicationObserver_applicationRemoved_in *in)
{
    BEGIN(REG_APP_DROP, ApplicationObserver, applicationRemoved, ApplicationObserverTopicName);
    end(o, c, reg_change_set_name(c, in->name));
}

/* --- adapters
 * ----------------------------------------------------------------------------------------------------------- */

static void adapter_init(void *self, struct ir_request *rq, const struct IceGrid_AdapterObserver_adapterInit_in *in)
{
    BEGIN(REG_ADAPTERS_INIT, AdapterObserver, adapterInit, AdapterObserverTopicName);
    struct IceGrid_AdapterInfoSeq seq;
    int rc = copy(c, &IceGrid_AdapterInfoSeq_type, &in->adpts, &seq);
    if (!rc) {
        c->n_many = seq.n;
        c->adapters = seq.v;
    }
    end(o, c, rc);
}

static void adapter_added(void *self, struct ir_request *rq, const struct IceGrid_AdapterObserver_adapterAdded_in *in)
{
    BEGIN(REG_ADAPTER_PUT, AdapterObserver, adapterAdded, AdapterObserverTopicName);
    end(o, c, reg_change_set_adapter(c, &in->info));
}

static void adapter_updated(void *self, struct ir_request *rq,
                            const struct IceGrid_AdapterObserver_adapterUpdated_in *in)
{
    BEGIN(REG_ADAPTER_PUT, AdapterObserver, adapterUpdated, AdapterObserverTopicName);
    end(o, c, reg_change_set_adapter(c, &in->info));
}

static void adapter_removed(void *self, struct ir_request *rq,
                            const struct IceGrid_AdapterObserver_adapterRemoved_in *in)
{
    BEGIN(REG_ADAPTER_DROP, AdapterObserver, adapterRemoved, AdapterObserverTopicName);
    end(o, c, reg_change_set_name(c, in->id));
}

/* --- objects
 * ------------------------------------------------------------------------------------------------------------ */

static void object_init(void *self, struct ir_request *rq, const struct IceGrid_ObjectObserver_objectInit_in *in)
{
    BEGIN(REG_OBJECTS_INIT, ObjectObserver, objectInit, ObjectObserverTopicName);
    struct IceGrid_ObjectInfoSeq seq;
    int rc = copy(c, &IceGrid_ObjectInfoSeq_type, &in->objects, &seq);
    if (!rc) {
        c->n_many = seq.n;
        c->objects = seq.v;
    }
    end(o, c, rc);
}

static void object_added(void *self, struct ir_request *rq, const struct IceGrid_ObjectObserver_objectAdded_in *in)
{
    BEGIN(REG_OBJECT_PUT, ObjectObserver, objectAdded, ObjectObserverTopicName);
    end(o, c, reg_change_set_object(c, &in->info));
}

static void object_updated(void *self, struct ir_request *rq, const struct IceGrid_ObjectObserver_objectUpdated_in *in)
{
    BEGIN(REG_OBJECT_PUT, ObjectObserver, objectUpdated, ObjectObserverTopicName);
    end(o, c, reg_change_set_object(c, &in->info));
}

static void object_removed(void *self, struct ir_request *rq, const struct IceGrid_ObjectObserver_objectRemoved_in *in)
{
    BEGIN(REG_OBJECT_DROP, ObjectObserver, objectRemoved, ObjectObserverTopicName);
    end(o, c, reg_change_set_id(c, &in->id));
}

/* --- life
 * --------------------------------------------------------------------------------------------------------------- */

static const struct IceGrid_DatabaseObserver_servant vtable = {
    .applicationInit = application_init,
    .applicationAdded = application_added,
    .applicationUpdated = application_updated,
    .applicationRemoved = application_removed,
    .adapterInit = adapter_init,
    .adapterAdded = adapter_added,
    .adapterUpdated = adapter_updated,
    .adapterRemoved = adapter_removed,
    .objectInit = object_init,
    .objectAdded = object_added,
    .objectUpdated = object_updated,
    .objectRemoved = object_removed,
};

static void settle(struct reg *reg, enum reg_change_op op, int64_t serial)
{
    struct reg_change *c = reg_change_new(op, NULL, NULL);
    if (!c)
        return; /* what is not settled stays so */
    c->serial = serial;
    reg_change_submit(reg, c);
}

static void settled(void *self, struct ir_request *rq, const struct Moulin_SettledObserver_settled_in *in)
{
    struct reg_replica_observer *o = self;
    for (size_t i = 0; i < in->serials.n; i++) {
        if (ib_str_is(in->serials.v[i].key, "adapters"))
            settle(o->reg, REG_ADAPTERS_SETTLED, in->serials.v[i].value);
        else if (ib_str_is(in->serials.v[i].key, "objects"))
            settle(o->reg, REG_OBJECTS_SETTLED, in->serials.v[i].value);
    }
    Moulin_SettledObserver_settled_reply(rq, NULL);
}

static const struct Moulin_SettledObserver_servant settled_vtable = {.settled = settled};

struct reg_replica_observer *reg_replica_observer_new(struct reg *reg, const struct iw_proxy *session,
                                                      void (*failed)(void *arg, const char *why), void *arg)
{
    struct reg_replica_observer *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->reg = reg;
    o->failed = failed;
    o->arg = arg;
    ib_list_init(&o->updates);
    ib_list_init(&o->acks);
    ic_timer_init(&o->trim, reg->loop, on_trim, NULL);
    for (int t = 0; t < REG_SERIALS; t++)
        o->serial[t] = reg_settled(reg, t); /* the master may not have the rest */
    ib_arena_init(&o->arena, 0);
    o->id = reg_uuid_identity(IB_STR(""), &o->arena);
    o->session = iw_proxy_copy(session, &o->arena);
    o->servant = (struct ir_servant){.iface = &IceGrid_DatabaseObserver_iface, .vtable = &vtable, .self = o};
    o->settled = (struct ir_servant){.iface = &Moulin_SettledObserver_iface, .vtable = &settled_vtable, .self = o};
    if (o->id.name.p && o->session && ir_adapter_add(reg->internal, &o->id, "", &o->servant) == 0 &&
        ir_adapter_add(reg->internal, &o->id, REG_SETTLED_FACET, &o->settled) == 0)
        o->proxy = ir_adapter_direct_proxy(reg->internal, &o->id, &o->arena);
    if (o->proxy)
        return o;
    reg_replica_observer_free(o);
    return NULL;
}

struct iw_proxy *reg_replica_observer_proxy(struct reg_replica_observer *o)
{
    return o->proxy;
}

void reg_replica_observer_free(struct reg_replica_observer *o)
{
    if (!o)
        return;
    ic_timer_fini(&o->trim);
    if (o->id.name.p) {
        ir_adapter_remove(o->reg->internal, &o->id, REG_SETTLED_FACET);
        ir_adapter_remove(o->reg->internal, &o->id, "");
    }
    IB_LIST_FOREACH_SAFE(node, &o->updates)
    {
        IB_CONTAINER(node, struct update, node)->o = NULL;
        ib_list_remove(node);
    }
    IB_LIST_FOREACH_SAFE(node, &o->acks)
    {
        struct ack *a = IB_CONTAINER(node, struct ack, node);
        ir_call_cancel(a->call);
        ib_list_remove(&a->node);
        free(a);
    }
    ib_arena_fini(&o->arena);
    free(o);
}
