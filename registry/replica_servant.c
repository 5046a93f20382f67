/* SPDX-License-Identifier: Apache-2.0 */
/* What a slave asks of its session on the master: IceGrid::ReplicaSession (icegrid-internal 3.2). */
#include "replication_priv.h"
#include "well_known.h"

#include <stdlib.h>

#include <moulin/base/clock.h>

#define OBJECTS_MAX 64
#define ENDPOINT_SETS_MAX 16 /* names of setEndpoints */
#define ENDPOINTS_MAX 64 /* of one of them */

static void keep_alive(void *self, struct ir_request *rq, const struct IceGrid_ReplicaSession_keepAlive_in *in)
{
    struct reg_slave *s = self;
    (void)in;
    s->alive = ib_clock_ms();
    IceGrid_ReplicaSession_keepAlive_reply(rq, NULL);
}

static void get_timeout(void *self, struct ir_request *rq, const struct IceGrid_ReplicaSession_getTimeout_in *in)
{
    const struct reg_slave *s = self;
    (void)in;
    const struct IceGrid_ReplicaSession_getTimeout_out out = {.ret = s->x->reg->cfg.replica_session_timeout};
    IceGrid_ReplicaSession_getTimeout_reply(rq, &out);
}

/* --- the stream ------------------------------------------------------------------------------------------------- */

/* A slave that is ahead has a history this master does not know: it is refused (icegrid-internal 5.4). True: answered.
 */
static bool refuse_newer(const struct reg_slave *s, struct ir_request *rq, const struct IceGrid_StringLongDict *dict)
{
    static const char *const names[REG_SERIALS] = {
        [REG_APPLICATIONS] = "applications", [REG_ADAPTERS] = "adapters", [REG_OBJECTS] = "objects"};
    const struct reg *reg = s->x->reg;
    struct reg_serials ours, theirs = {{0}};
    char text[400];
    memcpy(ours.v, reg->db_serial, sizeof ours.v);
    for (size_t i = 0; i < dict->n; i++)
        for (int t = 0; t < REG_SERIALS; t++)
            if (ib_str_is(dict->v[i].key, names[t]))
                theirs.v[t] = dict->v[i].value;
    if (!reg_serials_ahead(&ours, &theirs, text, sizeof text))
        return false;
    ib_log_warning(reg->log,
                   "replica `%s' is refused: its database is newer than this master's:%s\nrestart it, or this master, "
                   "with --initdb-from-replica to take over the other's",
                   ib_cstr(s->name), text);
    reg_throw_deployment(
        rq,
        "the replica's database is newer than the master's:%s\nrestart the replica, or the master, with "
        "--initdb-from-replica to take over the other's",
        text);
    return true;
}

static void set_database_observer(void *self, struct ir_request *rq,
                                  const struct IceGrid_ReplicaSession_setDatabaseObserver_in *in)
{
    struct reg_slave *s = self;
    if (!in->dbObs) {
        ir_request_fail(rq, IR_UNKNOWN, "the observer is null");
        return;
    }
    if (s->x->reg->cfg.read_only) {
        IceGrid_ReplicaSession_setDatabaseObserver_reply(rq, NULL);
        return;
    }
    if (s->stream.state != REG_STREAM_SILENT) {
        const struct IceGrid_ObserverAlreadyRegisteredException ex = {.id = in->dbObs->id};
        IceGrid_ObserverAlreadyRegisteredException_throw(rq, &ex);
        return;
    }
    if (in->has_serials && refuse_newer(s, rq, &in->serials))
        return;
    struct iw_proxy *observer = iw_proxy_copy(in->dbObs, &s->arena);
    s->stream.by_reply = ib_str_is(ir_request_context(rq, REG_ACK_KEY), REG_ACK_REPLY);
    s->stream.wants_early = ib_str_is(ir_request_context(rq, REG_EARLY_KEY), REG_EARLY_WANTED);
    if (observer)
        reg_stream_start(&s->stream, rq, observer);
    else
        ir_request_fail(rq, IR_UNKNOWN, "out of memory");
}

static void received_update(void *self, struct ir_request *rq,
                            const struct IceGrid_ReplicaSession_receivedUpdate_in *in)
{
    struct reg_slave *s = self;
    s->alive = ib_clock_ms(); /* a slave that synchronizes sends no keepAlive */
    IceGrid_ReplicaSession_receivedUpdate_reply(rq, NULL);
    reg_stream_received(&s->stream, (int)in->name, in->serial, in->failure);
}

/* --- endpoints and objects -------------------------------------------------------------------------------------- */

static bool endpoints_ok(const struct IceGrid_StringObjectProxyDict *d)
{
    for (size_t i = 0; i < d->n; i++)
        if (d->v[i].value && d->v[i].value->n_endpoints > ENDPOINTS_MAX)
            return false;
    return d->n <= ENDPOINT_SETS_MAX;
}

static void set_endpoints(void *self, struct ir_request *rq, const struct IceGrid_ReplicaSession_setEndpoints_in *in)
{
    struct reg_slave *s = self;
    struct ib_arena arena;
    struct IceGrid_StringObjectProxyDict copy;
    ib_arena_init(&arena, 1 << 20);
    if (!endpoints_ok(&in->endpoints) || iw_copy(&IceGrid_StringObjectProxyDict_type, &in->endpoints, &arena, &copy)) {
        ib_arena_fini(&arena);
        ir_request_fail(rq, IR_UNKNOWN, "too many endpoints");
        return;
    }
    ib_arena_fini(&s->endpoints_arena);
    s->endpoints_arena = arena;
    s->endpoints = copy;
    reg_slaves_share(s->x);
    IceGrid_ReplicaSession_setEndpoints_reply(rq, NULL);
}

struct registering {
    struct ib_list node; /* in x->registrations: a session may end before its objects are stored */
    struct reg_slave *slave; /* NULL then */
    struct ir_request *rq;
};

void reg_slave_forget_registrations(struct reg_replication *x, const struct reg_slave *s)
{
    IB_LIST_FOREACH(node, &x->registrations)
    {
        struct registering *r = IB_CONTAINER(node, struct registering, node);
        if (!s || r->slave == s)
            r->slave = NULL;
    }
}

static void registered(void *arg)
{
    struct registering *r = arg;
    ib_list_remove(&r->node);
    if (r->slave)
        r->slave->stream.registering--;
    IceGrid_ReplicaSession_registerWellKnownObjects_reply(r->rq, NULL);
    free(r);
}

/* NULL: it may register them; else what is wrong. */
static const char *refuse_objects(const struct reg_slave *s, const struct IceGrid_ObjectInfoSeq *objects)
{
    if (objects->n > OBJECTS_MAX)
        return "too many objects";
    if (s->stream.registering)
        return "it registers already";
    for (size_t i = 0; i < objects->n; i++) {
        if (!objects->v[i].proxy)
            return "an object's proxy is null";
        if (!reg_replica_owns(s->x->reg->cfg.instance, s->name, &objects->v[i].proxy->id))
            return "an object is not one of its own";
    }
    return NULL;
}

static int remember_objects(struct reg_slave *s, const struct IceGrid_ObjectInfoSeq *objects)
{
    s->n_objects = 0;
    ib_arena_reset(&s->objects_arena);
    struct iw_identity *ids = IB_ARENA_ARRAY(&s->objects_arena, objects->n, struct iw_identity);
    if (!ids)
        return IB_ENOMEM;
    for (size_t i = 0; i < objects->n; i++) {
        ids[i].name = ib_arena_str(&s->objects_arena, objects->v[i].proxy->id.name);
        ids[i].category = ib_arena_str(&s->objects_arena, objects->v[i].proxy->id.category);
        if (!ids[i].name.p || !ids[i].category.p)
            return IB_ENOMEM;
    }
    s->objects = ids;
    s->n_objects = objects->n;
    return 0;
}

static void register_objects(void *self, struct ir_request *rq,
                             const struct IceGrid_ReplicaSession_registerWellKnownObjects_in *in)
{
    struct reg_slave *s = self;
    const char *wrong = refuse_objects(s, &in->objects);
    if (wrong) {
        ib_log_warning(s->x->reg->log, "replica `%s': its well-known objects are refused: %s", ib_cstr(s->name), wrong);
        ir_request_fail(rq, IR_UNKNOWN, wrong);
        return;
    }
    struct registering *r = malloc(sizeof *r);
    if (!r || remember_objects(s, &in->objects)) {
        free(r);
        ir_request_fail(rq, IR_UNKNOWN, "out of memory");
        return;
    }
    *r = (struct registering){.slave = s, .rq = rq};
    ib_list_append(&s->x->registrations, &r->node);
    s->stream.registering++;
    reg_put_objects(s->x->reg, &in->objects, registered, r);
}

/* --- dynamic adapters ------------------------------------------------------------------------------------------- */

static void adapter_stored(void *arg, struct reg_change *c)
{
    struct ir_request *rq = arg;
    if (!reg_change_throw(c, rq))
        IceGrid_ReplicaSession_setAdapterDirectProxy_reply(rq, NULL);
}

static void set_adapter(void *self, struct ir_request *rq,
                        const struct IceGrid_ReplicaSession_setAdapterDirectProxy_in *in)
{
    const struct reg_slave *s = self;
    struct reg *reg = s->x->reg;
    if (!reg->cfg.dynamic_registration) {
        const struct IceGrid_AdapterNotExistException ex = {.id = in->adapterId};
        IceGrid_AdapterNotExistException_throw(rq, &ex);
        return;
    }
    const struct IceGrid_AdapterInfo info = {
        .id = in->adapterId, .proxy = in->proxy, .replicaGroupId = in->replicaGroupId};
    struct reg_change *c = reg_change_new(REG_ADAPTER_SET, adapter_stored, rq);
    if (!c || reg_change_set_adapter(c, &info)) {
        reg_change_unref(c);
        ir_request_fail(rq, IR_UNKNOWN, "out of memory");
        return;
    }
    reg_change_submit(reg, c);
}

static void destroy(void *self, struct ir_request *rq, const struct IceGrid_ReplicaSession_destroy_in *in)
{
    struct reg_slave *s = self;
    (void)in;
    IceGrid_ReplicaSession_destroy_reply(rq, NULL);
    reg_slave_end(s, NULL);
}

const struct IceGrid_ReplicaSession_servant reg_slave_vtable = {
    .keepAlive = keep_alive,
    .getTimeout = get_timeout,
    .setDatabaseObserver = set_database_observer,
    .setEndpoints = set_endpoints,
    .registerWellKnownObjects = register_objects,
    .setAdapterDirectProxy = set_adapter,
    .receivedUpdate = received_update,
    .destroy = destroy,
};
