/* SPDX-License-Identifier: Apache-2.0 */
/* The master's side of replication: the sessions of its slaves, from registerReplica to the end, never tied to a
   connection (icegrid-internal 3.2, 5). Owns the sessions. */
#include "replication_priv.h"
#include "well_known.h"

#include <stdio.h>
#include <stdlib.h>

#include <moulin/base/clock.h>

#define SLAVES_MAX 128
#define PING_MS 3000
#define OBJECTS_MAX 64

struct session {
    struct ib_list node; /* in order of name */
    struct reg_replication *x;
    struct ib_arena arena; /* name … observer */
    struct ib_str name, hostname;
    struct iw_identity id;
    struct iw_proxy *proxy; /* its InternalRegistry */
    struct ir_servant servant;
    struct ib_arena endpoints_arena; /* replaced as a whole */
    struct IceGrid_StringObjectProxyDict endpoints;
    struct reg_stream stream;
    int64_t alive; /* last sign of life */
    struct ib_arena objects_arena; /* likewise */
    struct iw_identity *objects; /* the well-known objects it registered */
    size_t n_objects;
    bool ended;
    struct ic_deferred bury;
};

struct registering {
    struct ib_list node; /* in x->registrations: a session may end before its objects are stored */
    struct session *session; /* NULL then */
    struct ir_request *rq;
};

struct reg_replication {
    struct reg *reg;
    struct ib_list sessions, registrations;
    size_t count;
    struct ic_timer reaper;
    bool stopping;
};

/* --- sessions ------------------------------------------------------------------------------------------------------
 */

static int timeout_s(const struct reg *reg)
{
    int t = reg->cfg.replica_session_timeout;
    return t > 0 && t < 10 ? 10 : t;
}

static void bury(void *arg)
{
    struct session *s = arg;
    ib_arena_fini(&s->objects_arena);
    ib_arena_fini(&s->endpoints_arena);
    ib_arena_fini(&s->arena);
    free(s);
}

static struct session *find_session(struct reg_replication *x, struct ib_str name)
{
    IB_LIST_FOREACH(node, &x->sessions)
    {
        struct session *s = IB_CONTAINER(node, struct session, node);
        if (ib_str_eq(s->name, name))
            return s;
    }
    return NULL;
}

static void drop_objects(struct session *s)
{
    for (size_t i = 0; i < s->n_objects; i++) {
        struct reg_change *c = reg_change_new(REG_OBJECT_DROP, NULL, NULL);
        if (!c || reg_change_set_id(c, &s->objects[i])) {
            reg_change_unref(c);
            continue;
        }
        reg_change_submit(s->x->reg, c);
    }
}

/* In the order of icegrid-internal 5.5: waiters are released first, then others learn that it is gone. */
static void end_session(struct session *s, const char *why)
{
    struct reg_replication *x = s->x;
    if (s->ended)
        return;
    s->ended = true;
    IB_LIST_FOREACH(node, &x->registrations)
    {
        struct registering *r = IB_CONTAINER(node, struct registering, node);
        if (r->session == s)
            r->session = NULL;
    }
    reg_stream_fini(&s->stream);
    ib_list_remove(&s->node);
    x->count--;
    ir_adapter_remove(x->reg->internal, &s->id, "");
    reg_trace(x->reg, REG_TRACE_REPLICA, 1, "replica `%s' down%s%s", ib_cstr(s->name), why ? ": " : "", why ? why : "");
    if (!x->stopping) {
        drop_objects(s);
        reg_publish_registry(x->reg, false, s->name, s->hostname);
        reg_update_shared_objects(x->reg);
    }
    ic_loop_defer(x->reg->loop, &s->bury, bury, s);
}

static void stream_broken(struct reg_stream *stream, const char *why)
{
    struct session *s = IB_CONTAINER(stream, struct session, stream);
    if (!s->ended)
        ib_log_warning(s->x->reg->log, "replica `%s': %s: its session ends, it will synchronize again",
                       ib_cstr(s->name), why);
    end_session(s, why);
}

static void reap(void *arg)
{
    struct reg_replication *x = arg;
    int64_t now = ib_clock_ms(), limit = (int64_t)timeout_s(x->reg) * 1000;
    IB_LIST_FOREACH_SAFE(node, &x->sessions)
    {
        struct session *s = IB_CONTAINER(node, struct session, node);
        /* An answer must not wait for ever for a slave that lives but does not acknowledge (icegrid-internal 21.1). */
        int64_t lag_limit = limit > 0 ? limit : 60000;
        if (reg_stream_lag(&s->stream) > lag_limit)
            stream_broken(&s->stream, "it does not acknowledge updates");
        else if (limit > 0 && now - s->alive > limit)
            end_session(s, "no sign of life");
    }
    if (!ib_list_empty(&x->sessions))
        ic_timer_start(&x->reaper, 1000);
}

/* --- operations of a session -----------------------------------------------------------------------------------------
 */

static void keep_alive(void *self, struct ir_request *rq, const struct IceGrid_ReplicaSession_keepAlive_in *in)
{
    struct session *s = self;
    (void)in;
    s->alive = ib_clock_ms();
    IceGrid_ReplicaSession_keepAlive_reply(rq, NULL);
}

static void get_timeout(void *self, struct ir_request *rq, const struct IceGrid_ReplicaSession_getTimeout_in *in)
{
    struct session *s = self;
    (void)in;
    const struct IceGrid_ReplicaSession_getTimeout_out out = {.ret = s->x->reg->cfg.replica_session_timeout};
    IceGrid_ReplicaSession_getTimeout_reply(rq, &out);
}

/* A slave that is ahead has a history this master does not know: it is refused (icegrid-internal 5.4). True: answered.
 */
static bool refuse_newer(struct reg *reg, struct ir_request *rq, const struct IceGrid_StringLongDict *serials)
{
    static const char *const names[REG_SERIALS] = {
        [REG_APPLICATIONS] = "applications", [REG_ADAPTERS] = "adapters", [REG_OBJECTS] = "objects"};
    char text[400] = "";
    size_t at = 0;
    for (size_t i = 0; i < serials->n; i++) {
        for (int t = 0; t < REG_SERIALS; t++) {
            if (!ib_str_is(serials->v[i].key, names[t]) || reg->db_serial[t] >= serials->v[i].value)
                continue;
            int n =
                snprintf(text + at, sizeof text - at, "\n`%s' database: master serial = %lld, replica serial = %lld",
                         names[t], (long long)reg->db_serial[t], (long long)serials->v[i].value);
            at += n > 0 && (size_t)n < sizeof text - at ? (size_t)n : 0;
        }
    }
    if (!at)
        return false;
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
    struct session *s = self;
    struct reg *reg = s->x->reg;
    if (!in->dbObs) {
        ir_request_fail(rq, IR_UNKNOWN, "the observer is null");
        return;
    }
    if (reg->cfg.read_only) {
        IceGrid_ReplicaSession_setDatabaseObserver_reply(rq, NULL);
        return;
    }
    if (s->stream.state != REG_STREAM_SILENT) {
        const struct IceGrid_ObserverAlreadyRegisteredException ex = {.id = in->dbObs->id};
        IceGrid_ObserverAlreadyRegisteredException_throw(rq, &ex);
        return;
    }
    if (in->has_serials && refuse_newer(reg, rq, &in->serials))
        return;
    struct iw_proxy *observer = iw_proxy_copy(in->dbObs, &s->arena);
    if (observer)
        reg_stream_start(&s->stream, rq, observer);
    else
        ir_request_fail(rq, IR_UNKNOWN, "out of memory");
}

static void set_endpoints(void *self, struct ir_request *rq, const struct IceGrid_ReplicaSession_setEndpoints_in *in)
{
    struct session *s = self;
    struct ib_arena arena;
    struct IceGrid_StringObjectProxyDict copy;
    ib_arena_init(&arena, 1 << 20);
    if (iw_copy(&IceGrid_StringObjectProxyDict_type, &in->endpoints, &arena, &copy)) {
        ib_arena_fini(&arena);
        ir_request_fail(rq, IR_UNKNOWN, "out of memory");
        return;
    }
    ib_arena_fini(&s->endpoints_arena);
    s->endpoints_arena = arena;
    s->endpoints = copy;
    reg_update_shared_objects(s->x->reg);
    IceGrid_ReplicaSession_setEndpoints_reply(rq, NULL);
}

static void registered(void *arg)
{
    struct registering *r = arg;
    ib_list_remove(&r->node);
    if (r->session)
        r->session->stream.registering--;
    IceGrid_ReplicaSession_registerWellKnownObjects_reply(r->rq, NULL);
    free(r);
}

static int remember_objects(struct session *s, const struct IceGrid_ObjectInfoSeq *objects)
{
    s->n_objects = 0;
    ib_arena_reset(&s->objects_arena);
    struct iw_identity *ids = IB_ARENA_ARRAY(&s->objects_arena, objects->n, struct iw_identity);
    if (!ids)
        return IB_ENOMEM;
    for (size_t i = 0; i < objects->n; i++) {
        if (!objects->v[i].proxy)
            return IB_EINVAL;
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
    struct session *s = self;
    struct registering *r = in->objects.n <= OBJECTS_MAX ? malloc(sizeof *r) : NULL;
    int rc = r ? remember_objects(s, &in->objects) : IB_ELIMIT;
    if (rc) {
        free(r);
        ir_request_fail(rq, IR_UNKNOWN, rc == IB_EINVAL ? "an object's proxy is null" : "too many objects");
        return;
    }
    *r = (struct registering){.session = s, .rq = rq};
    ib_list_append(&s->x->registrations, &r->node);
    s->stream.registering++;
    reg_put_objects(s->x->reg, &in->objects, registered, r);
}

static void adapter_stored(void *arg, struct reg_change *c)
{
    struct ir_request *rq = arg;
    if (!reg_change_throw(c, rq))
        IceGrid_ReplicaSession_setAdapterDirectProxy_reply(rq, NULL);
}

static void set_adapter(void *self, struct ir_request *rq,
                        const struct IceGrid_ReplicaSession_setAdapterDirectProxy_in *in)
{
    struct session *s = self;
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

static void received_update(void *self, struct ir_request *rq,
                            const struct IceGrid_ReplicaSession_receivedUpdate_in *in)
{
    struct session *s = self;
    s->alive = ib_clock_ms(); /* a slave that synchronizes sends no keepAlive */
    IceGrid_ReplicaSession_receivedUpdate_reply(rq, NULL);
    reg_stream_received(&s->stream, (int)in->name, in->serial, in->failure);
}

static void destroy(void *self, struct ir_request *rq, const struct IceGrid_ReplicaSession_destroy_in *in)
{
    struct session *s = self;
    (void)in;
    IceGrid_ReplicaSession_destroy_reply(rq, NULL);
    end_session(s, NULL);
}

static const struct IceGrid_ReplicaSession_servant session_vtable = {
    .keepAlive = keep_alive,
    .getTimeout = get_timeout,
    .setDatabaseObserver = set_database_observer,
    .setEndpoints = set_endpoints,
    .registerWellKnownObjects = register_objects,
    .setAdapterDirectProxy = set_adapter,
    .receivedUpdate = received_update,
    .destroy = destroy,
};

/* --- registration
 * ------------------------------------------------------------------------------------------------------ */

static void insert_sorted(struct reg_replication *x, struct session *s)
{
    struct ib_list *at = x->sessions.next;
    while (at != &x->sessions && ib_str_cmp(IB_CONTAINER(at, struct session, node)->name, s->name) < 0)
        at = at->next;
    ib_list_append(at, &s->node); /* before it */
    x->count++;
}

static struct session *new_session(struct reg_replication *x, const struct IceGrid_InternalReplicaInfo *info,
                                   const struct iw_proxy *prx)
{
    struct session *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->x = x;
    ib_list_init(&s->node);
    ib_arena_init(&s->arena, 0);
    ib_arena_init(&s->endpoints_arena, 0);
    ib_arena_init(&s->objects_arena, 0);
    s->name = ib_arena_str(&s->arena, info->name);
    s->hostname = ib_arena_str(&s->arena, info->hostname);
    s->proxy = iw_proxy_copy(prx, &s->arena);
    s->id = reg_uuid_identity(IB_STR(""), &s->arena);
    s->servant = (struct ir_servant){.iface = &IceGrid_ReplicaSession_iface, .vtable = &session_vtable, .self = s};
    s->alive = ib_clock_ms();
    reg_stream_init(&s->stream, x->reg, ib_cstr(s->name), stream_broken);
    if (s->name.p && s->hostname.p && s->proxy && s->id.name.p &&
        ir_adapter_add(x->reg->internal, &s->id, "", &s->servant) == 0)
        return s;
    bury(s);
    return NULL;
}

static void accept(struct reg_replication *x, struct ir_request *rq, const struct IceGrid_InternalReplicaInfo *info,
                   const struct iw_proxy *prx)
{
    struct session *s = x->count < SLAVES_MAX ? new_session(x, info, prx) : NULL;
    struct iw_proxy *ret = s ? ir_adapter_direct_proxy(x->reg->internal, &s->id, ir_request_arena(rq)) : NULL;
    if (!ret) {
        if (s) {
            ir_adapter_remove(x->reg->internal, &s->id, "");
            bury(s);
        }
        ir_request_fail(rq, IR_UNKNOWN, "no room for another replica");
        return;
    }
    insert_sorted(x, s);
    if (timeout_s(x->reg) >= 0 && !x->reaper.armed)
        ic_timer_start(&x->reaper, 1000);
    reg_trace(x->reg, REG_TRACE_REPLICA, 1, "replica `%s' up", ib_cstr(s->name));
    reg_publish_registry(x->reg, true, s->name, s->hostname);
    const struct IceGrid_InternalRegistry_registerReplica_out out = {.ret = ret};
    IceGrid_InternalRegistry_registerReplica_reply(rq, &out);
}

/* The check of a name already in use: does whoever had it answer still? */
struct check {
    struct reg *reg;
    struct ir_request *rq;
    const struct IceGrid_InternalReplicaInfo *info; /* the request's */
    const struct iw_proxy *prx;
};

static void pinged(void *arg, const struct ir_result *r)
{
    struct check c = *(struct check *)arg;
    free(arg);
    struct reg_replication *x = c.reg->replication;
    if (!x || c.reg->stopping) { /* the runtime's end ends the ping, too */
        ir_request_fail_local(c.rq, IB_EDEACTIVATED, "");
        return;
    }
    struct session *old = find_session(x, c.info->name);
    if (r->outcome == IR_SUCCESS && old) {
        IceGrid_ReplicaActiveException_throw(c.rq, NULL);
        return;
    }
    if (old)
        end_session(old, "replaced");
    accept(x, c.rq, c.info, c.prx);
}

static void check_old(struct reg_replication *x, struct ir_request *rq, const struct IceGrid_InternalReplicaInfo *info,
                      const struct iw_proxy *prx, const struct session *old)
{
    const struct ir_call_options opt = {.timeout_ms = PING_MS, .connect_timeout_ms = PING_MS};
    struct check *c = malloc(sizeof *c);
    if (c)
        *c = (struct check){x->reg, rq, info, prx};
    if (c && ir_call(x->reg->rt, old->proxy, &ir_op_ice_ping, &opt, NULL, pinged, c))
        return;
    free(c);
    ir_request_fail(rq, IR_UNKNOWN, "out of memory");
}

/* IceGrid.Registry.RequireReplicaCertCN: the certificate names the replica. True: refused, and answered. */
static bool refuse_certificate(struct reg *reg, struct ir_request *rq, struct ib_str name)
{
    if (ir_properties_int_or(ir_runtime_properties(reg->rt), NULL, "IceGrid.Registry.RequireReplicaCertCN", 0) <= 0)
        return false;
    struct ir_conn *conn = ir_request_conn(rq);
    struct ib_str subject = conn ? ic_conn_peer_subject(ir_conn_net(conn), ir_request_arena(rq)) : ib_str("");
    struct ib_str rule = ib_arena_printf(ir_request_arena(rq), "CN=\"%s\"", ib_cstr(name));
    bool accept_it = false, reject = false;
    if (subject.n && rule.p && ic_tls_trust_match(rule.p, subject.p, &accept_it, &reject) == 0 && accept_it)
        return false;
    const struct IceGrid_PermissionDeniedException ex = {
        .reason =
            ib_arena_printf(ir_request_arena(rq), "the common name of the certificate must be `%s'", ib_cstr(name))};
    IceGrid_PermissionDeniedException_throw(rq, &ex);
    return true;
}

void reg_replication_register(struct reg_replication *x, struct ir_request *rq,
                              const struct IceGrid_InternalRegistry_registerReplica_in *in)
{
    if (!in->info || !in->prx) {
        IceGrid_InternalRegistry_registerReplica_reply(
            rq, &(struct IceGrid_InternalRegistry_registerReplica_out){.ret = NULL});
        return;
    }
    if (!x->reg->cfg.master || in->info->name.n == 0 || ib_str_is(in->info->name, REG_MASTER)) {
        const struct IceGrid_PermissionDeniedException ex = {
            .reason = x->reg->cfg.master ? IB_STR("a replica needs a name of its own, which is not `Master'")
                                         : IB_STR("replicas register with the master")};
        IceGrid_PermissionDeniedException_throw(rq, &ex);
        return;
    }
    if (refuse_certificate(x->reg, rq, in->info->name))
        return;
    struct session *old = find_session(x, in->info->name);
    /* The same process again, or its successor on the same port, would only vouch for itself (icegrid-internal 9.7). */
    if (old && iw_proxy_equal(old->proxy, in->prx)) {
        end_session(old, "registered again");
        old = NULL;
    }
    if (old)
        check_old(x, rq, in->info, in->prx, old);
    else
        accept(x, rq, in->info, in->prx);
}

/* --- what others ask
 * ----------------------------------------------------------------------------------------------------- */

const struct iw_proxy *reg_slave_endpoints(struct reg *reg, size_t i, const char *name)
{
    if (!reg->replication)
        return NULL;
    IB_LIST_FOREACH(node, &reg->replication->sessions)
    {
        const struct session *s = IB_CONTAINER(node, struct session, node);
        for (size_t k = 0; k < s->endpoints.n; k++)
            if (s->endpoints.v[k].value && ib_str_is(s->endpoints.v[k].key, name) && i-- == 0)
                return s->endpoints.v[k].value;
    }
    return NULL;
}

size_t reg_slaves(struct reg *reg, struct ib_arena *arena, struct reg_slave_info **out)
{
    struct reg_replication *x = reg->replication;
    size_t n = 0;
    struct reg_slave_info *list = IB_ARENA_ARRAY(arena, x ? x->count : 0, struct reg_slave_info);
    if (!list)
        return SIZE_MAX;
    *out = list;
    if (!x)
        return 0;
    IB_LIST_FOREACH(node, &x->sessions)
    {
        const struct session *s = IB_CONTAINER(node, struct session, node);
        list[n++] = (struct reg_slave_info){s->name, s->hostname, s->proxy};
    }
    return n;
}

/* --- life
 * -------------------------------------------------------------------------------------------------------------- */

struct reg_replication *reg_replication_new(struct reg *reg)
{
    struct reg_replication *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->reg = reg;
    ib_list_init(&x->sessions);
    ib_list_init(&x->registrations);
    ic_timer_init(&x->reaper, reg->loop, reap, x);
    return x;
}

void reg_replication_free(struct reg_replication *x)
{
    if (!x)
        return;
    x->stopping = true;
    IB_LIST_FOREACH(node, &x->registrations)
    IB_CONTAINER(node, struct registering, node)->session = NULL;
    while (!ib_list_empty(&x->sessions)) {
        struct session *s = IB_CONTAINER(x->sessions.next, struct session, node);
        end_session(s, NULL);
        ic_loop_undefer(x->reg->loop, &s->bury);
        bury(s);
    }
    ic_timer_fini(&x->reaper);
    free(x);
}
