/* SPDX-License-Identifier: Apache-2.0 */
/* The master's stream arrives: every message becomes one change, is acknowledged by receivedUpdate once it is on disk,
   and then answered. Messages are taken in the order they come; the one door keeps it. */
#include "replica_observer.h"
#include "slices.h"

#include <stdlib.h>

#include <moulin/net/loop.h>

#define OPEN_MAX 4096 /* updates under way; a real master has at most a window of them */

struct reg_replica_observer {
    struct reg *reg;
    struct ib_arena arena;
    struct iw_identity id;
    struct iw_proxy *session, *proxy;
    struct ir_servant servant;
    void (*failed)(void *arg);
    void *arg;
    struct ib_list updates; /* struct update */
    size_t n_updates;
};

struct update {
    struct ib_list node;
    struct reg_replica_observer *o; /* NULL: the session is gone */
    struct ir_request *rq;
    const struct iw_op *op;
    enum IceGrid_TopicName topic;
    int32_t serial;
};

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

static void acknowledge(struct reg_replica_observer *o, const struct update *u, struct ib_str failure)
{
    const struct ir_call_options opt = {.timeout_ms = 60000};
    const struct IceGrid_ReplicaSession_receivedUpdate_in in = {
        .name = u->topic, .serial = u->serial, .failure = failure};
    IceGrid_ReplicaSession_receivedUpdate_call(o->reg->rt, o->session, &opt, &in, NULL, NULL);
}

static void applied(void *arg, struct reg_change *c)
{
    struct update *u = arg;
    struct reg_replica_observer *o = u->o;
    ib_list_remove(&u->node);
    if (o) {
        o->n_updates--;
        if (c->code != IB_EDESTROYED)
            acknowledge(o, u, c->code ? ib_str(c->err.text) : IB_STR(""));
    }
    ir_request_reply(u->rq, u->op, NULL);
    free(u);
    if (!c->code || !o || c->code == IB_EDESTROYED)
        return;
    ib_log_error(o->reg->log, "an update from the master could not be applied:\n%s", c->err.text);
    o->failed(o->arg);
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
    ib_list_append(&o->updates, &u->node);
    o->n_updates++;
    c->serial = number(rq, "dbSerial");
    return c;
}

static void end(struct reg_replica_observer *o, struct reg_change *c, int rc)
{
    if (rc) {
        c->reg = o->reg;
        c->code = ib_err_set(&c->err, rc, "out of memory");
        applied(c->done_arg, c);
        reg_change_unref(c);
        return;
    }
    reg_change_submit(o->reg, c);
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

struct reg_replica_observer *reg_replica_observer_new(struct reg *reg, const struct iw_proxy *session,
                                                      void (*failed)(void *arg), void *arg)
{
    struct reg_replica_observer *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->reg = reg;
    o->failed = failed;
    o->arg = arg;
    ib_list_init(&o->updates);
    ib_arena_init(&o->arena, 0);
    o->id = reg_uuid_identity(IB_STR(""), &o->arena);
    o->session = iw_proxy_copy(session, &o->arena);
    o->servant = (struct ir_servant){.iface = &IceGrid_DatabaseObserver_iface, .vtable = &vtable, .self = o};
    if (o->id.name.p && o->session && ir_adapter_add(reg->internal, &o->id, "", &o->servant) == 0)
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
    if (o->id.name.p)
        ir_adapter_remove(o->reg->internal, &o->id, "");
    IB_LIST_FOREACH_SAFE(node, &o->updates)
    {
        IB_CONTAINER(node, struct update, node)->o = NULL;
        ib_list_remove(node);
    }
    ib_arena_fini(&o->arena);
    free(o);
}
