/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions of nodes with this replica, from registerNode to their end, never tied to a connection
   (icegrid-internal 3.3, 9). Each session has a NodeObserver of its own, so that a node speaks for nobody else.

       ACTIVE -> ENDED      (destroyed, silent for too long, or replaced by a new registration) */
#include "nodes_priv.h"

#include <stdlib.h>

#include <moulin/base/clock.h>

#include "deployment.h"
#include "replication.h"

#define PING_MS 3000
#define TELL_MS 30000 /* a ReplicaObserver's call */
#define ACK_WAITS_MAX 1000 /* waitForApplicationUpdate, of one node */
#define CHECKS_MAX 256

struct session {
    struct reg_node node;
    struct reg_nodes *all;
    struct ib_arena arena; /* of everything below and in node, but for what it reports */
    struct iw_identity id, observer_id;
    struct ir_servant servant, observer;
    int64_t alive; /* last sign of life */
    struct iw_proxy *replica_observer; /* NULL: it has not asked to hear of replicas */
    struct ir_call *telling; /* of replicas: one call at a time */
    bool stale; /* what it knows of replicas: the whole list is due */
    struct ib_list waits; /* struct ack_wait */
    size_t n_waits;
    bool ended;
    struct ic_deferred bury;
};

static struct session *session_of(struct reg_node *node)
{
    return IB_CONTAINER(node, struct session, node);
}

static int timeout_s(const struct reg *reg)
{
    int t = reg->cfg.node_session_timeout;
    return t > 0 && t < 10 ? 10 : t;
}

/* --- replicas ------------------------------------------------------------------------------------------------------
 */

static void tell_all_replicas(struct session *s);

/* What failed is made good at the next sign of life, not at once. */
static void on_told(void *arg, const struct ir_result *r)
{
    struct session *s = arg;
    s->telling = NULL;
    if (r->outcome != IR_SUCCESS)
        s->stale = true;
    else if (s->stale)
        tell_all_replicas(s);
}

static void tell_all_replicas(struct session *s)
{
    struct reg *reg = s->all->reg;
    const struct ir_call_options opt = {.timeout_ms = TELL_MS, .connect_timeout_ms = PING_MS};
    struct reg_slave_info *slaves;
    struct ib_arena arena;
    if (!s->replica_observer || s->telling)
        return;
    ib_arena_init(&arena, 0);
    size_t n = reg_slaves(reg, &arena, &slaves);
    struct iw_proxy **list = n == SIZE_MAX ? NULL : IB_ARENA_ARRAY(&arena, n, struct iw_proxy *);
    for (size_t i = 0; list && i < n; i++)
        list[i] = iw_proxy_copy(slaves[i].proxy, &arena);
    const struct IceGrid_ReplicaObserver_replicaInit_in in = {.replicas = {list ? n : 0, list}};
    if (list)
        s->telling = IceGrid_ReplicaObserver_replicaInit_call(reg->rt, s->replica_observer, &opt, &in, on_told, s);
    s->stale = !s->telling;
    ib_arena_fini(&arena);
}

static void tell_replica(struct session *s, bool added, const struct iw_proxy *replica)
{
    struct reg *reg = s->all->reg;
    const struct ir_call_options opt = {.timeout_ms = TELL_MS, .connect_timeout_ms = PING_MS};
    struct ib_arena arena;
    ib_arena_init(&arena, 0);
    const struct IceGrid_ReplicaObserver_replicaAdded_in in = {.replica = iw_proxy_copy(replica, &arena)};
    if (in.replica)
        s->telling =
            ir_call(reg->rt, s->replica_observer,
                    added ? &IceGrid_ReplicaObserver_replicaAdded_op : &IceGrid_ReplicaObserver_replicaRemoved_op, &opt,
                    &in, on_told, s);
    s->stale = !s->telling;
    ib_arena_fini(&arena);
}

void reg_nodes_replica(struct reg *reg, bool added, const struct iw_proxy *replica)
{
    struct reg_nodes *x = reg_nodes_of(reg);
    for (struct reg_node *node = x ? x->connected : NULL; node; node = node->hh.next) {
        struct session *s = session_of(node);
        if (!s->replica_observer)
            continue;
        if (s->telling || s->stale)
            s->stale = true; /* the list as it will be then */
        else
            tell_replica(s, added, replica);
    }
}

/* --- the end -------------------------------------------------------------------------------------------------------
 */

struct ack_wait {
    struct reg_ack_wait wait;
    struct ib_list node; /* in session->waits */
    struct session *session;
    struct ir_request *rq;
};

static void end_wait(struct ack_wait *w)
{
    ir_request_on_cancel(w->rq, NULL, NULL);
    reg_changes_forget_wait(&w->wait);
    ib_list_remove(&w->node);
    w->session->n_waits--;
    IceGrid_NodeSession_waitForApplicationUpdate_reply(w->rq, NULL);
    free(w);
}

static void bury(void *arg)
{
    struct session *s = arg;
    reg_node_clear_dynamic(&s->node);
    ib_arena_fini(&s->arena);
    free(s);
}

static void forget_proxy(struct session *s)
{
    struct reg_change *c = reg_change_new(REG_NODE_DROP, NULL, NULL);
    if (!c || reg_change_set_id(c, &s->node.proxy->id))
        reg_change_unref(c);
    else
        reg_change_submit(s->all->reg, c);
}

static void remember_proxy(struct session *s)
{
    struct ib_arena arena;
    ib_arena_init(&arena, 0);
    const struct IceGrid_ObjectInfo info = {iw_proxy_copy(s->node.proxy, &arena), IB_STR("::IceGrid::Node")};
    struct reg_change *c = info.proxy ? reg_change_new(REG_NODE_PUT, NULL, NULL) : NULL;
    if (!c || reg_change_set_object(c, &info))
        reg_change_unref(c);
    else
        reg_change_submit(s->all->reg, c);
    ib_arena_fini(&arena);
}

/* The proxy stays in the table over a stop of the registry, for the next run (icegrid-internal 9.5). */
static void end_session(struct session *s, const char *why)
{
    struct reg_nodes *x = s->all;
    struct reg *reg = x->reg;
    if (s->ended)
        return;
    s->ended = true;
    HASH_DEL(x->connected, &s->node);
    ir_adapter_remove(reg->internal, &s->id, "");
    ir_adapter_remove(reg->internal, &s->observer_id, "");
    if (s->telling)
        ir_call_cancel(s->telling);
    s->telling = NULL;
    while (!ib_list_empty(&s->waits))
        end_wait(IB_CONTAINER(s->waits.next, struct ack_wait, node));
    reg_trace(reg, REG_TRACE_NODE, 1, "node `%s' down%s%s", ib_cstr(s->node.name), why ? ": " : "", why ? why : "");
    if (!reg->stopping)
        forget_proxy(s);
    if (!x->stopping) {
        reg_node_tell(x, &(struct reg_node_event){.kind = REG_NODE_DOWN, .name = s->node.name, .node = &s->node});
        reg_node_fail_calls(x, s->node.serial);
    }
    ic_loop_defer(reg->loop, &s->bury, bury, s);
}

static void reap(void *arg)
{
    struct reg_nodes *x = arg;
    struct reg_node *node, *next;
    int64_t now = ib_clock_ms(), limit = (int64_t)timeout_s(x->reg) * 1000;
    HASH_ITER(hh, x->connected, node, next)
    {
        if (limit > 0 && now - session_of(node)->alive > limit)
            end_session(session_of(node), "no sign of life");
    }
    if (x->connected)
        ic_timer_start(&x->reaper, 1000);
}

/* --- operations of a session ---------------------------------------------------------------------------------------
 */

static void keep_alive(void *self, struct ir_request *rq, const struct IceGrid_NodeSession_keepAlive_in *in)
{
    struct session *s = self;
    s->alive = ib_clock_ms();
    s->node.load = in->load;
    IceGrid_NodeSession_keepAlive_reply(rq, NULL);
    if (s->stale)
        tell_all_replicas(s);
}

static void set_replica_observer(void *self, struct ir_request *rq,
                                 const struct IceGrid_NodeSession_setReplicaObserver_in *in)
{
    struct session *s = self;
    if (in->observer && !s->replica_observer) {
        s->replica_observer = iw_proxy_copy(in->observer, &s->arena);
        tell_all_replicas(s);
    }
    IceGrid_NodeSession_setReplicaObserver_reply(rq, NULL);
}

static void get_timeout(void *self, struct ir_request *rq, const struct IceGrid_NodeSession_getTimeout_in *in)
{
    struct session *s = self;
    (void)in;
    const struct IceGrid_NodeSession_getTimeout_out out = {.ret = s->all->reg->cfg.node_session_timeout};
    IceGrid_NodeSession_getTimeout_reply(rq, &out);
}

static void get_observer(void *self, struct ir_request *rq, const struct IceGrid_NodeSession_getObserver_in *in)
{
    struct session *s = self;
    (void)in;
    const struct IceGrid_NodeSession_getObserver_out out = {
        .ret = ir_adapter_direct_proxy(s->all->reg->internal, &s->observer_id, ir_request_arena(rq))};
    IceGrid_NodeSession_getObserver_reply(rq, &out);
}

static void load_servers(void *self, struct ir_request *rq, const struct IceGrid_NodeSession_loadServers_in *in)
{
    struct session *s = self;
    (void)in;
    IceGrid_NodeSession_loadServers_reply(rq, NULL);
    reg_node_load_servers(s->all->reg, s->node.name);
}

static void get_servers(void *self, struct ir_request *rq, const struct IceGrid_NodeSession_getServers_in *in)
{
    struct session *s = self;
    struct IceGrid_NodeSession_getServers_out out = {.ret = {0}};
    struct ib_arena *arena = ir_request_arena(rq);
    struct reg_server **servers;
    (void)in;
    size_t n = reg_catalog_servers(s->all->reg->catalog, arena, &servers);
    out.ret.v = n == SIZE_MAX ? NULL : IB_ARENA_ARRAY(arena, n, struct ib_str);
    if (!out.ret.v) {
        ir_request_fail(rq, IR_UNKNOWN, "out of memory");
        return;
    }
    for (size_t i = 0; i < n; i++)
        if (ib_str_eq(servers[i]->node, s->node.name))
            out.ret.v[out.ret.n++] = servers[i]->id;
    IceGrid_NodeSession_getServers_reply(rq, &out);
}

static void on_acknowledged(void *arg)
{
    end_wait(arg);
}

static void on_caller_gone(void *arg, struct ir_request *rq)
{
    (void)rq;
    end_wait(arg);
}

/* Whatever cannot be waited for is answered at once: the node does not look at the outcome (icegrid-internal 11.4). */
static void wait_for_update(void *self, struct ir_request *rq,
                            const struct IceGrid_NodeSession_waitForApplicationUpdate_in *in)
{
    struct session *s = self;
    struct ack_wait *w = s->n_waits < ACK_WAITS_MAX ? calloc(1, sizeof *w) : NULL;
    if (w)
        w->wait = (struct reg_ack_wait){.fn = on_acknowledged, .arg = w};
    if (!w || !reg_changes_wait_acknowledged(s->all->reg, in->application, in->revision, &w->wait)) {
        free(w);
        IceGrid_NodeSession_waitForApplicationUpdate_reply(rq, NULL);
        return;
    }
    w->session = s;
    w->rq = rq;
    s->n_waits++;
    ib_list_append(&s->waits, &w->node);
    ir_request_on_cancel(rq, on_caller_gone, w);
}

static void destroy(void *self, struct ir_request *rq, const struct IceGrid_NodeSession_destroy_in *in)
{
    struct session *s = self;
    (void)in;
    IceGrid_NodeSession_destroy_reply(rq, NULL);
    end_session(s, NULL);
}

static const struct IceGrid_NodeSession_servant session_vtable = {
    .keepAlive = keep_alive,
    .setReplicaObserver = set_replica_observer,
    .getTimeout = get_timeout,
    .getObserver = get_observer,
    .loadServers = load_servers,
    .getServers = get_servers,
    .waitForApplicationUpdate = wait_for_update,
    .destroy = destroy,
};

/* --- what the node reports -----------------------------------------------------------------------------------------
 */

static bool speaks_for_itself(const struct session *s, struct ib_str name)
{
    if (ib_str_eq(name, s->node.name))
        return true;
    reg_trace(s->all->reg, REG_TRACE_NODE, 1, "node `%s' reports for another node: ignored", ib_cstr(s->node.name));
    return false;
}

static void node_init(void *self, struct ir_request *rq, const struct IceGrid_NodeObserver_nodeInit_in *in)
{
    (void)self;
    (void)in;
    IceGrid_NodeObserver_nodeInit_reply(rq, NULL);
}

static void node_down(void *self, struct ir_request *rq, const struct IceGrid_NodeObserver_nodeDown_in *in)
{
    (void)self;
    (void)in;
    IceGrid_NodeObserver_nodeDown_reply(rq, NULL);
}

static void node_up(void *self, struct ir_request *rq, const struct IceGrid_NodeObserver_nodeUp_in *in)
{
    struct session *s = self;
    IceGrid_NodeObserver_nodeUp_reply(rq, NULL);
    if (s->ended || !speaks_for_itself(s, in->node.info.name))
        return;
    reg_node_set_dynamic(&s->node, &in->node);
    s->node.up = true;
    reg_node_tell(s->all, &(struct reg_node_event){.kind = REG_NODE_UP, .name = s->node.name, .node = &s->node});
}

static void update_server(void *self, struct ir_request *rq, const struct IceGrid_NodeObserver_updateServer_in *in)
{
    struct session *s = self;
    if (!s->ended && s->node.up && speaks_for_itself(s, in->node)) {
        reg_node_set_server(&s->node, &in->updatedInfo);
        reg_node_tell(s->all,
                      &(struct reg_node_event){
                          .kind = REG_NODE_SERVER, .name = s->node.name, .node = &s->node, .server = &in->updatedInfo});
    }
    IceGrid_NodeObserver_updateServer_reply(rq, NULL);
}

static void update_adapter(void *self, struct ir_request *rq, const struct IceGrid_NodeObserver_updateAdapter_in *in)
{
    struct session *s = self;
    if (!s->ended && s->node.up && speaks_for_itself(s, in->node)) {
        reg_node_set_adapter(&s->node, &in->updatedInfo);
        reg_node_tell(
            s->all, &(struct reg_node_event){
                        .kind = REG_NODE_ADAPTER, .name = s->node.name, .node = &s->node, .adapter = &in->updatedInfo});
    }
    IceGrid_NodeObserver_updateAdapter_reply(rq, NULL);
}

static const struct IceGrid_NodeObserver_servant observer_vtable = {
    .nodeInit = node_init,
    .nodeUp = node_up,
    .nodeDown = node_down,
    .updateServer = update_server,
    .updateAdapter = update_adapter,
};

/* --- registration --------------------------------------------------------------------------------------------------
 */

static struct session *new_session(struct reg_nodes *x, const struct IceGrid_InternalRegistry_registerNode_in *in)
{
    struct session *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    const struct IceGrid_NodeInfo told = {in->info->name,        in->info->os,      in->info->hostname,
                                          in->info->release,     in->info->version, in->info->machine,
                                          in->info->nProcessors, in->info->dataDir};
    s->all = x;
    ib_list_init(&s->waits);
    ib_arena_init(&s->arena, 0);
    s->id = reg_uuid_identity(IB_STR(""), &s->arena);
    s->observer_id = reg_uuid_identity(IB_STR(""), &s->arena);
    s->servant = (struct ir_servant){.iface = &IceGrid_NodeSession_iface, .vtable = &session_vtable, .self = s};
    s->observer = (struct ir_servant){.iface = &IceGrid_NodeObserver_iface, .vtable = &observer_vtable, .self = s};
    s->alive = ib_clock_ms();
    s->node.serial = ++x->last_serial;
    s->node.load = in->loadInf;
    s->node.proxy = iw_proxy_copy(in->prx, &s->arena);
    if (s->node.proxy && s->id.name.p && s->observer_id.name.p &&
        iw_copy(&IceGrid_NodeInfo_type, &told, &s->arena, &s->node.info) == 0 &&
        ir_adapter_add(x->reg->internal, &s->id, "", &s->servant) == 0) {
        s->node.name = s->node.info.name;
        if (ir_adapter_add(x->reg->internal, &s->observer_id, "", &s->observer) == 0)
            return s;
        ir_adapter_remove(x->reg->internal, &s->id, "");
    }
    bury(s);
    return NULL;
}

static void accept(struct reg_nodes *x, struct ir_request *rq,
                   const struct IceGrid_InternalRegistry_registerNode_in *in)
{
    struct session *s = HASH_COUNT(x->connected) < REG_NODES_MAX ? new_session(x, in) : NULL;
    struct iw_proxy *ret = s ? ir_adapter_direct_proxy(x->reg->internal, &s->id, ir_request_arena(rq)) : NULL;
    if (ret)
        HASH_ADD_KEYPTR(hh, x->connected, s->node.name.p, s->node.name.n, &s->node);
    if (!ret || !s->node.hh.tbl) {
        if (s) {
            ir_adapter_remove(x->reg->internal, &s->id, "");
            ir_adapter_remove(x->reg->internal, &s->observer_id, "");
            bury(s);
        }
        ir_request_fail(rq, IR_UNKNOWN, "no room for another node");
        return;
    }
    reg_node_contact_over(x, s->node.name);
    remember_proxy(s);
    if (!x->reaper.armed)
        ic_timer_start(&x->reaper, 1000);
    reg_trace(x->reg, REG_TRACE_NODE, 1, "node `%s' up", ib_cstr(s->node.name));
    const struct IceGrid_InternalRegistry_registerNode_out out = {.ret = ret};
    IceGrid_InternalRegistry_registerNode_reply(rq, &out);
    reg_node_tell(x, &(struct reg_node_event){.kind = REG_NODE_CONNECTED, .name = s->node.name, .node = &s->node});
}

/* The check of a name already in use: does whoever had it answer still? */
struct check {
    struct ib_list node; /* in reg_nodes.checks */
    struct reg_nodes *all;
    struct ir_request *rq;
    const struct IceGrid_InternalRegistry_registerNode_in *in; /* the request's */
    uint64_t serial; /* of the session that was asked */
    struct ir_call *call;
};

static void pinged(void *arg, const struct ir_result *r)
{
    struct check c = *(struct check *)arg;
    ib_list_remove(&((struct check *)arg)->node);
    free(arg);
    struct reg_node *old = reg_node_find(c.all->reg, c.in->info->name);
    if (old && (r->outcome == IR_SUCCESS || old->serial != c.serial)) {
        IceGrid_NodeActiveException_throw(c.rq, NULL);
        return;
    }
    if (old)
        end_session(session_of(old), "replaced");
    accept(c.all, c.rq, c.in);
}

static bool is_checked(struct reg_nodes *x, uint64_t serial, size_t *n)
{
    *n = 0;
    IB_LIST_FOREACH(node, &x->checks)
    {
        ++*n;
        if (IB_CONTAINER(node, struct check, node)->serial == serial)
            return true;
    }
    return false;
}

static void check_old(struct reg_nodes *x, struct ir_request *rq,
                      const struct IceGrid_InternalRegistry_registerNode_in *in, const struct reg_node *old)
{
    const struct ir_call_options opt = {.timeout_ms = PING_MS, .connect_timeout_ms = PING_MS};
    size_t n;
    if (is_checked(x, old->serial, &n) || n >= CHECKS_MAX) {
        IceGrid_NodeActiveException_throw(rq, NULL);
        return;
    }
    struct check *c = malloc(sizeof *c);
    if (c) {
        *c = (struct check){.all = x, .rq = rq, .in = in, .serial = old->serial};
        c->call = ir_call(x->reg->rt, old->proxy, &ir_op_ice_ping, &opt, NULL, pinged, c);
    }
    if (!c || !c->call) {
        free(c);
        ir_request_fail(rq, IR_UNKNOWN, "out of memory");
        return;
    }
    ib_list_append(&x->checks, &c->node);
}

bool reg_certificate_names(struct reg *reg, struct ir_request *rq, const char *property, struct ib_str name,
                           struct ib_str *why)
{
    if (ir_properties_int_or(ir_runtime_properties(reg->rt), NULL, property, 0) <= 0)
        return true;
    struct ib_arena *arena = ir_request_arena(rq);
    struct ir_conn *conn = ir_request_conn(rq);
    struct ib_str subject = conn ? ic_conn_peer_subject(ir_conn_net(conn), arena) : ib_str("");
    struct ib_str rule = ib_arena_printf(arena, "CN=\"%s\"", ib_cstr(name));
    bool accept_it = false, reject = false;
    if (subject.n && rule.p && ic_tls_trust_match(rule.p, subject.p, &accept_it, &reject) == 0 && accept_it)
        return true;
    *why = ib_arena_printf(arena, "the common name of the certificate must be `%s'", ib_cstr(name));
    return false;
}

static void deny(struct ir_request *rq, struct ib_str reason)
{
    const struct IceGrid_PermissionDeniedException ex = {.reason = reason};
    IceGrid_PermissionDeniedException_throw(rq, &ex);
}

/* A node may register under its own name only: what its proxy, and its certificate when one is required, call it. */
static bool refuse_name(struct reg *reg, struct ir_request *rq,
                        const struct IceGrid_InternalRegistry_registerNode_in *in)
{
    struct ib_arena *arena = ir_request_arena(rq);
    const struct iw_identity id = reg_node_identity(reg, in->info->name, arena);
    struct ib_str why = ib_str("");
    if (in->info->name.n == 0 || !iw_identity_equal(&in->prx->id, &id))
        deny(rq, ib_arena_printf(arena, "the proxy of a node called `%s' must have the identity `%s/Node-%s'",
                                 ib_cstr(in->info->name), ib_cstr(reg->cfg.instance), ib_cstr(in->info->name)));
    else if (!reg_certificate_names(reg, rq, "IceGrid.Registry.RequireNodeCertCN", in->info->name, &why))
        deny(rq, why);
    else
        return false;
    return true;
}

void reg_node_register(struct reg *reg, struct ir_request *rq,
                       const struct IceGrid_InternalRegistry_registerNode_in *in)
{
    struct reg_nodes *x = reg_nodes_of(reg);
    if (!in->info || !in->prx) {
        const struct IceGrid_InternalRegistry_registerNode_out out = {.ret = NULL};
        IceGrid_InternalRegistry_registerNode_reply(rq, &out);
        return;
    }
    if (refuse_name(reg, rq, in))
        return;
    struct reg_node *old = reg_node_find(reg, in->info->name);
    /* The same process again, or its successor on the same port, would only vouch for itself (icegrid-internal 9.7). */
    if (old && iw_proxy_equal(old->proxy, in->prx)) {
        end_session(session_of(old), "registered again");
        old = NULL;
    }
    if (old)
        check_old(x, rq, in, old);
    else
        accept(x, rq, in);
}

/* --- life ----------------------------------------------------------------------------------------------------------
 */

void reg_node_sessions_start(struct reg_nodes *x)
{
    ib_list_init(&x->checks);
    ic_timer_init(&x->reaper, x->reg->loop, reap, x);
}

void reg_node_sessions_stop(struct reg_nodes *x)
{
    while (!ib_list_empty(&x->checks)) {
        struct check *c = IB_CONTAINER(x->checks.next, struct check, node);
        ib_list_remove(&c->node);
        ir_call_cancel(c->call);
        free(c);
    }
    while (x->connected) {
        struct session *s = session_of(x->connected);
        end_session(s, NULL);
        ic_loop_undefer(x->reg->loop, &s->bury);
        bury(s);
    }
    ic_timer_fini(&x->reaper);
}
