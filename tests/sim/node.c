/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes: what a node does towards registries, without servers (icegrid-internal 9). Each finds the master through any
   replica, learns the slaves from it, keeps a session with every one of them, and takes whatever it is to load; its
   servers always run. */
#include "cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <moulin/net/loop.h>
#include <moulin/rpc/runtime.h>
#include <slice/registry.h>

#include "nodes.h"
#include "slices.h"

#define LINKS_MAX 12
#define CALL_MS 5000
#define ALIVE_MS 2000
#define RETRY_MS 1500

struct node;

/* A registry that this node is to have a session with. */
struct link {
    struct node *node;
    char name[64]; /* of its InternalRegistry; "": free */
    struct ib_arena arena, session_arena;
    struct iw_proxy *registry; /* NULL: to be found; the master's only */
    struct iw_proxy *session; /* NULL: none */
    struct ir_call *call; /* the step under way */
    struct ic_timer timer;
    bool leaves; /* the master knows it no more: when its session ends, it goes */
};

struct node {
    struct sim_proc *proc;
    struct ic_loop *loop;
    struct ir_runtime *rt;
    struct ir_adapter *adapter;
    struct ir_servant servant, servers, adapters;
    struct iw_identity id;
    char name[16], id_name[24], endpoint[48];
    struct link links[LINKS_MAX]; /* the first is the master's */
    int next; /* replica to ask for the master */
    int64_t restart_at;
};

static const char master[] = "InternalRegistry-" REG_MASTER;
static struct node nodes[SIM_NODES_MAX];
int sim_n_nodes;

/* --- sessions --------------------------------------------------------------------------------------------------- */

static void step(void *arg);

static void again(struct link *l, int64_t ms)
{
    ic_timer_start(&l->timer, ms);
}

static void forget(struct link *l)
{
    if (l->call)
        ir_call_cancel(l->call);
    ic_timer_fini(&l->timer);
    ib_arena_fini(&l->arena);
    ib_arena_fini(&l->session_arena);
    *l = (struct link){.node = l->node};
}

static void lose(struct link *l)
{
    l->session = NULL;
    if (l->leaves) {
        forget(l);
        return;
    }
    if (l == l->node->links)
        l->registry = NULL; /* another one may be the master now */
    again(l, 1);
}

static struct ir_call_options options(void)
{
    return (struct ir_call_options){.timeout_ms = CALL_MS, .connect_timeout_ms = CALL_MS};
}

static struct iw_proxy *self(struct node *n, struct ib_arena *arena)
{
    return ir_adapter_direct_proxy(n->adapter, &n->id, arena);
}

/* keepAlive, and loadServers before the first. */
static void on_alive(void *arg, const struct ir_result *r)
{
    struct link *l = arg;
    l->call = NULL;
    if (r->outcome == IR_SUCCESS)
        again(l, ALIVE_MS);
    else
        lose(l);
}

static void on_up(void *arg, const struct ir_result *r)
{
    struct link *l = arg;
    const struct ir_call_options opt = options();
    l->call = NULL;
    if (r->outcome == IR_SUCCESS)
        l->call = IceGrid_NodeSession_loadServers_call(l->node->rt, l->session, &opt, NULL, on_alive, l);
    if (!l->call)
        lose(l);
}

static void on_observer(void *arg, const struct ir_result *r)
{
    struct link *l = arg;
    struct node *n = l->node;
    const struct ir_call_options opt = options();
    const struct IceGrid_NodeSession_getObserver_out *out = IceGrid_NodeSession_getObserver_result(r);
    const struct IceGrid_NodeObserver_nodeUp_in in = {.node.info = {.name = ib_str(n->name), .nProcessors = 1}};
    l->call = NULL;
    if (out && out->ret)
        l->call = IceGrid_NodeObserver_nodeUp_call(n->rt, out->ret, &opt, &in, on_up, l);
    if (!l->call)
        lose(l);
}

static void observe(struct link *l)
{
    const struct ir_call_options opt = options();
    l->call = IceGrid_NodeSession_getObserver_call(l->node->rt, l->session, &opt, NULL, on_observer, l);
    if (!l->call)
        lose(l);
}

static void on_subscribed(void *arg, const struct ir_result *r)
{
    struct link *l = arg;
    l->call = NULL;
    if (r->outcome == IR_SUCCESS)
        observe(l);
    else
        lose(l);
}

static void on_registered(void *arg, const struct ir_result *r)
{
    struct link *l = arg;
    struct node *n = l->node;
    const struct ir_call_options opt = options();
    const struct IceGrid_InternalRegistry_registerNode_out *out = IceGrid_InternalRegistry_registerNode_result(r);
    l->call = NULL;
    if (!out || !out->ret) {
        if (l->leaves)
            forget(l);
        else
            again(l, RETRY_MS);
        if (l == n->links)
            l->registry = NULL;
        return;
    }
    ib_arena_reset(&l->session_arena);
    l->session = iw_proxy_copy(out->ret, &l->session_arena);
    if (l != n->links) {
        observe(l);
        return;
    }
    struct ib_arena arena;
    ib_arena_init(&arena, 0);
    const struct IceGrid_NodeSession_setReplicaObserver_in in = {.observer = self(n, &arena)};
    l->call = IceGrid_NodeSession_setReplicaObserver_call(n->rt, l->session, &opt, &in, on_subscribed, l);
    ib_arena_fini(&arena);
    if (!l->call)
        lose(l);
}

static void on_found(void *arg, const struct ir_result *r)
{
    struct link *l = arg;
    const struct IceGrid_Query_findObjectById_out *out = IceGrid_Query_findObjectById_result(r);
    l->call = NULL;
    if (out && out->ret) {
        ib_arena_reset(&l->arena);
        l->registry = iw_proxy_copy(out->ret, &l->arena);
    }
    again(l, l->registry ? 1 : RETRY_MS);
}

static void find_master(struct link *l)
{
    struct node *n = l->node;
    const struct ir_call_options opt = options();
    const struct IceGrid_Query_findObjectById_in in = {.id = {ib_str(master), IB_STR("Test")}};
    struct ib_arena arena;
    struct iw_proxy *to;
    struct ib_err err;
    char text[64];
    ib_arena_init(&arena, 0);
    n->next = (n->next + 1) % sim_n_replicas;
    snprintf(text, sizeof text, "Test/Query:tcp -h 10.0.0.%d -p %d", sim_replicas[n->next].proc->id + 1,
             SIM_CLIENT_PORT);
    if (ir_runtime_parse_proxy(n->rt, text, &arena, &to, &err) == 0)
        l->call = IceGrid_Query_findObjectById_call(n->rt, to, &opt, &in, on_found, l);
    ib_arena_fini(&arena);
    if (!l->call)
        sim_fail("%s cannot ask for the master", n->name);
}

static void step(void *arg)
{
    struct link *l = arg;
    struct node *n = l->node;
    const struct ir_call_options opt = options();
    if (l->call)
        return;
    if (l->session) {
        const struct IceGrid_NodeSession_keepAlive_in in = {.load = {0.5F, 0.5F, 0.5F}};
        l->call = IceGrid_NodeSession_keepAlive_call(n->rt, l->session, &opt, &in, on_alive, l);
        return;
    }
    if (!l->registry) {
        find_master(l);
        return;
    }
    struct ib_arena arena;
    ib_arena_init(&arena, 0);
    struct IceGrid_InternalNodeInfo info = {.name = ib_str(n->name), .nProcessors = 1};
    info.object.cls = &IceGrid_InternalNodeInfo_class;
    const struct IceGrid_InternalRegistry_registerNode_in in = {.info = &info, .prx = self(n, &arena)};
    l->call = IceGrid_InternalRegistry_registerNode_call(n->rt, l->registry, &opt, &in, on_registered, l);
    ib_arena_fini(&arena);
}

/* --- the replicas it is told of ----------------------------------------------------------------------------------- */

static struct link *link_to(struct node *n, struct ib_str name)
{
    for (int i = 1; i < LINKS_MAX; i++)
        if (n->links[i].name[0] && ib_str_is(name, n->links[i].name))
            return &n->links[i];
    return NULL;
}

static void add(struct node *n, const struct iw_proxy *prx)
{
    struct link *l = prx ? link_to(n, prx->id.name) : NULL;
    for (int i = 1; i < LINKS_MAX && prx && !l; i++) {
        if (n->links[i].name[0])
            continue;
        l = &n->links[i];
        snprintf(l->name, sizeof l->name, "%s", ib_cstr(prx->id.name));
        ic_timer_init(&l->timer, n->loop, step, l);
    }
    if (!l)
        sim_fail("%s is told of a replica that is none, or of too many", n->name);
    l->leaves = false;
    ib_arena_reset(&l->arena);
    l->registry = iw_proxy_copy(prx, &l->arena);
    if (!l->session && !l->call)
        again(l, 1);
}

static void drop(struct link *l)
{
    l->leaves = true;
    if (!l->session && !l->call)
        forget(l);
}

static void replica_init(void *arg, struct ir_request *rq, const struct IceGrid_ReplicaObserver_replicaInit_in *in)
{
    struct node *n = arg;
    for (int i = 1; i < LINKS_MAX; i++) {
        bool known = false;
        for (size_t k = 0; k < in->replicas.n; k++)
            known = known || ib_str_is(in->replicas.v[k]->id.name, n->links[i].name);
        if (n->links[i].name[0] && !known)
            drop(&n->links[i]);
    }
    for (size_t k = 0; k < in->replicas.n; k++)
        add(n, in->replicas.v[k]);
    IceGrid_ReplicaObserver_replicaInit_reply(rq, NULL);
}

static void replica_added(void *arg, struct ir_request *rq, const struct IceGrid_ReplicaObserver_replicaAdded_in *in)
{
    add(arg, in->replica);
    IceGrid_ReplicaObserver_replicaAdded_reply(rq, NULL);
}

static void replica_removed(void *arg, struct ir_request *rq,
                            const struct IceGrid_ReplicaObserver_replicaRemoved_in *in)
{
    struct link *l = in->replica ? link_to(arg, in->replica->id.name) : NULL;
    if (l)
        drop(l);
    IceGrid_ReplicaObserver_replicaRemoved_reply(rq, NULL);
}

/* "I am here, come at once." */
static void register_with_replica(void *arg, struct ir_request *rq,
                                  const struct IceGrid_Node_registerWithReplica_in *in)
{
    struct node *n = arg;
    struct link *l = n->links;
    if (in->replica && !ib_str_is(in->replica->id.name, master)) {
        add(n, in->replica);
    } else if (in->replica && !l->session && !l->call) {
        ib_arena_reset(&l->arena);
        l->registry = iw_proxy_copy(in->replica, &l->arena);
        again(l, 1);
    }
    IceGrid_Node_registerWithReplica_reply(rq, NULL);
}

/* --- its servers ------------------------------------------------------------------------------------------------ */

static void load_server(void *arg, struct ir_request *rq, const struct IceGrid_Node_loadServer_in *in)
{
    struct node *n = arg;
    struct ib_arena *arena = ir_request_arena(rq);
    const struct iw_identity server = {in->svr->id, IB_STR("server")};
    struct IceGrid_AdapterPrxDict_entry adapters[4];
    struct IceGrid_Node_loadServer_out out = {.adapters = {0, adapters}, .actTimeout = 5, .deactTimeout = 5};
    for (size_t i = 0; i < in->svr->adapters.n && i < 4; i++) {
        const struct iw_identity id = {in->svr->adapters.v[i]->id, IB_STR("adapter")};
        adapters[out.adapters.n++] =
            (struct IceGrid_AdapterPrxDict_entry){id.name, ir_adapter_direct_proxy(n->adapter, &id, arena)};
    }
    out.ret = ir_adapter_direct_proxy(n->adapter, &server, arena);
    IceGrid_Node_loadServer_reply(rq, &out);
}

static void load_server_without_restart(void *arg, struct ir_request *rq,
                                        const struct IceGrid_Node_loadServerWithoutRestart_in *in)
{
    const struct IceGrid_Node_loadServer_in same = {.svr = in->svr, .replicaName = in->replicaName};
    load_server(arg, rq, &same); /* the results are alike */
}

static void destroy_server(void *arg, struct ir_request *rq, const struct IceGrid_Node_destroyServer_in *in)
{
    (void)arg, (void)in;
    IceGrid_Node_destroyServer_reply(rq, NULL);
}

static void destroy_server_without_restart(void *arg, struct ir_request *rq,
                                           const struct IceGrid_Node_destroyServerWithoutRestart_in *in)
{
    (void)arg, (void)in;
    IceGrid_Node_destroyServerWithoutRestart_reply(rq, NULL);
}

static void check_update(void *arg, struct ir_request *rq, const struct IceGrid_Server_checkUpdate_in *in)
{
    const struct IceGrid_Server_checkUpdate_out out = {.ret = true};
    (void)arg, (void)in;
    IceGrid_Server_checkUpdate_reply(rq, &out);
}

static void get_direct_proxy(void *arg, struct ir_request *rq, const struct IceGrid_Adapter_getDirectProxy_in *in)
{
    struct node *n = arg;
    const struct iw_identity dummy = {IB_STR("dummy"), IB_STR("")};
    const struct IceGrid_Adapter_getDirectProxy_out out = {
        .ret = ir_adapter_direct_proxy(n->adapter, &dummy, ir_request_arena(rq))};
    (void)in;
    IceGrid_Adapter_getDirectProxy_reply(rq, &out);
}

static const struct IceGrid_Node_servant node_vtable = {
    .replicaInit = replica_init,
    .replicaAdded = replica_added,
    .replicaRemoved = replica_removed,
    .registerWithReplica = register_with_replica,
    .loadServer = load_server,
    .loadServerWithoutRestart = load_server_without_restart,
    .destroyServer = destroy_server,
    .destroyServerWithoutRestart = destroy_server_without_restart,
};
static const struct IceGrid_Server_servant server_vtable = {.checkUpdate = check_update};
static const struct IceGrid_Adapter_servant adapter_vtable = {.getDirectProxy = get_direct_proxy};

/* --- life ------------------------------------------------------------------------------------------------------- */

static void start(struct node *n)
{
    struct ib_err err = {0};
    struct sim_proc *before = sim_current;
    struct ir_properties *props = sim_properties();
    const struct ir_adapter_options opt = {.endpoints = n->endpoint};
    sim_note("%s starts", n->name);
    sim_counts.node_starts++;
    n->restart_at = INT64_MAX;
    n->proc->dead = false;
    if (n->proc->dark) {
        n->proc->dark = false;
        sim_sockets_lit(n->proc);
    }
    sim_current = n->proc;
    n->loop = ic_loop_new(&err);
    n->rt = ir_runtime_new(n->loop, props, &slice_registry, &err);
    n->adapter = n->rt ? ir_adapter_new_with(n->rt, "Node", &opt, &err) : NULL;
    if (!n->adapter || ir_adapter_add(n->adapter, &n->id, "", &n->servant) ||
        ir_adapter_set_default(n->adapter, ib_str("server"), &n->servers) ||
        ir_adapter_set_default(n->adapter, ib_str("adapter"), &n->adapters))
        sim_fail("cannot start %s: %s", n->name, err.text);
    ir_adapter_activate(n->adapter, NULL, NULL);
    for (int i = 0; i < LINKS_MAX; i++)
        n->links[i] = (struct link){.node = n};
    snprintf(n->links[0].name, sizeof n->links[0].name, "%s", master);
    ic_timer_init(&n->links[0].timer, n->loop, step, &n->links[0]);
    again(&n->links[0], 1);
    sim_current = before;
}

static void stop(struct node *n)
{
    struct sim_proc *before = sim_current;
    if (!n->loop)
        return;
    sim_current = n->proc;
    for (int i = 0; i < LINKS_MAX; i++)
        if (n->links[i].name[0])
            forget(&n->links[i]);
    ir_adapter_free(n->adapter);
    ir_runtime_free(n->rt);
    ic_loop_free(n->loop);
    n->loop = NULL;
    sim_current = before;
}

void sim_nodes_start(int first, int count)
{
    sim_n_nodes = count;
    for (int i = 0; i < count; i++) {
        struct node *n = &nodes[i];
        *n = (struct node){.proc = &sim_procs[first + i], .restart_at = INT64_MAX};
        snprintf(n->name, sizeof n->name, "N%d", i);
        snprintf(n->id_name, sizeof n->id_name, "Node-N%d", i);
        snprintf(n->endpoint, sizeof n->endpoint, "tcp -h 10.0.0.%d -p %d", first + i + 1, SIM_NODE_PORT + i);
        n->id = (struct iw_identity){ib_str(n->id_name), IB_STR("Test")};
        n->servant = (struct ir_servant){.iface = &IceGrid_Node_iface, .vtable = &node_vtable, .self = n};
        n->servers = (struct ir_servant){.iface = &IceGrid_Server_iface, .vtable = &server_vtable, .self = n};
        n->adapters = (struct ir_servant){.iface = &IceGrid_Adapter_iface, .vtable = &adapter_vtable, .self = n};
        *n->proc = (struct sim_proc){.id = first + i, .name = n->name};
        start(n);
    }
}

void sim_node_crash(int i, bool dark, int64_t back_at)
{
    struct node *n = &nodes[i];
    if (!n->loop)
        return;
    sim_note("%s crashes%s", n->name, dark ? " with its machine" : "");
    n->proc->dead = true;
    n->proc->dark = dark;
    n->proc->frozen_until = 0;
    sim_sockets_crash(n->proc);
    stop(n);
    n->restart_at = back_at;
}

int64_t sim_nodes_next(void)
{
    int64_t next = INT64_MAX;
    for (int i = 0; i < sim_n_nodes; i++)
        next = nodes[i].restart_at < next ? nodes[i].restart_at : next;
    return next;
}

void sim_nodes_due(void)
{
    for (int i = 0; i < sim_n_nodes; i++)
        if (nodes[i].restart_at <= sim_now)
            start(&nodes[i]);
}

void sim_nodes_calm(void)
{
    for (int i = 0; i < sim_n_nodes; i++) {
        nodes[i].proc->frozen_until = 0;
        if (nodes[i].restart_at != INT64_MAX)
            nodes[i].restart_at = sim_now;
    }
}

bool sim_nodes_everywhere(char *why, size_t cap)
{
    for (int i = 0; i < sim_n_replicas; i++) {
        for (int k = 0; k < sim_n_nodes; k++) {
            const struct reg_node *n =
                sim_running(&sim_replicas[i]) ? reg_node_find(sim_replicas[i].reg, ib_str(nodes[k].name)) : NULL;
            if (n && n->up)
                continue;
            snprintf(why, cap, "%s is not at %s", nodes[k].name, sim_replicas[i].name);
            return false;
        }
    }
    return true;
}

void sim_nodes_end(void)
{
    for (int i = 0; i < sim_n_nodes; i++)
        stop(&nodes[i]);
}
