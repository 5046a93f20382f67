/* SPDX-License-Identifier: Apache-2.0 */
/* The servers on the nodes, one record each while there is something to know or to do. One call at a time per server;
   what is wanted is read from the catalog when the call is made, so that nothing is ever done late. */
#include "deployment_priv.h"

#include <stdio.h>
#include <stdlib.h>

#include <moulin/base/sm.h>

#include "descriptor.h"

#define CONNECT_MS 10000
#define CALL_MS_MAX 300000 /* loading may have to stop a process whose patience we do not know yet */
#define WAITS_MAX 100000
#define TIMEOUT_S_MAX 86400

static const struct ib_sm_state states[REG_DEPLOYMENT_STATE_MAX] = {
    [REG_ABSENT] = {"absent", IB_SM_BIT(REG_ABSENT) | IB_SM_BIT(REG_LOADING) | IB_SM_BIT(REG_DESTROYING)},
    [REG_LOADING] = {"loading", IB_SM_BIT(REG_LOADED) | IB_SM_BIT(REG_ABSENT)},
    [REG_LOADED] = {"loaded", IB_SM_BIT(REG_LOADING) | IB_SM_BIT(REG_DESTROYING) | IB_SM_BIT(REG_ABSENT)},
    [REG_DESTROYING] = {"destroying", IB_SM_BIT(REG_ABSENT)},
};

static void move(struct reg_deployment *d, enum reg_deployment_state next)
{
    ib_sm_move(states, REG_DEPLOYMENT_STATE_MAX, &d->state, next);
}

struct reg_placement_wait {
    struct ib_list node;
    struct reg_deployments *all;
    reg_placement_fn fn;
    void *arg;
    struct ic_timer timer;
};

struct reg_load_hold {
    struct ib_list node;
    struct reg_change *change;
};

/* --- records -------------------------------------------------------------------------------------------------------
 */

static void on_later(void *arg);

static struct ib_str id_of(const struct reg_deployment *d)
{
    return ib_str(d->id);
}

static void init_place(struct reg_place *p)
{
    *p = (struct reg_place){.node = {NULL, 0}};
    ib_arena_init(&p->arena, 0);
    p->arena.first = 512;
}

static void fini_place(struct reg_place *p)
{
    ib_arena_fini(&p->arena);
    init_place(p);
}

struct reg_deployment *reg_deployment_find(struct reg_deployments *x, struct ib_str id)
{
    struct reg_deployment *d = NULL;
    HASH_FIND(hh, x->servers, ib_cstr(id), id.n, d);
    return d;
}

struct reg_deployment *reg_deployment_get(struct reg_deployments *x, struct ib_str id)
{
    struct reg_deployment *d = reg_deployment_find(x, id);
    if (d)
        return d;
    d = calloc(1, sizeof *d + id.n + 1);
    if (!d)
        return NULL;
    memcpy(d->id, ib_cstr(id), id.n);
    d->all = x;
    ib_list_init(&d->waits);
    ib_list_init(&d->holds);
    init_place(&d->place);
    init_place(&d->gone);
    HASH_ADD_KEYPTR(hh, x->servers, d->id, id.n, d);
    if (d->hh.tbl)
        return d;
    free(d);
    return NULL;
}

static void free_record(struct reg_deployment *d)
{
    HASH_DEL(d->all->servers, d);
    ic_loop_undefer(d->all->reg->loop, &d->later);
    fini_place(&d->place);
    fini_place(&d->gone);
    free(d->session);
    free(d);
}

/* --- those who wait ------------------------------------------------------------------------------------------------
 */

static void free_wait(struct reg_placement_wait *w)
{
    ib_list_remove(&w->node);
    ic_timer_fini(&w->timer);
    w->all->n_waits--;
    free(w);
}

static void on_late(void *arg)
{
    struct reg_placement_wait *w = arg;
    reg_placement_fn fn = w->fn;
    void *fn_arg = w->arg;
    const struct reg_placement late = {.outcome = REG_PLACE_LATE, .reason = IB_STR("server is being updated")};
    free_wait(w);
    fn(fn_arg, &late);
}

void reg_placement_cancel(struct reg_placement_wait *w)
{
    if (w)
        free_wait(w);
}

static struct reg_placement_wait *add_wait(struct reg_deployment *d, int32_t timeout_ms, reg_placement_fn fn, void *arg)
{
    struct reg_deployments *x = d->all;
    struct reg_placement_wait *w = x->n_waits < WAITS_MAX && !x->stopping ? calloc(1, sizeof *w) : NULL;
    if (!w)
        return NULL;
    w->all = x;
    w->fn = fn;
    w->arg = arg;
    ic_timer_init(&w->timer, x->reg->loop, on_late, w);
    if (timeout_ms > 0)
        ic_timer_start(&w->timer, timeout_ms);
    ib_list_append(&d->waits, &w->node);
    x->n_waits++;
    return w;
}

void reg_deployment_hold(struct reg_deployment *d, struct reg_change *c)
{
    struct reg_load_hold *h = malloc(sizeof *h);
    if (!h)
        return; /* the answer then comes early, which is all */
    h->change = c;
    ib_list_append(&d->holds, &h->node);
    reg_change_hold_load(c);
}

static void release_holds(struct reg_deployment *d, const char *refusal)
{
    struct ib_list mine;
    ib_list_init(&mine);
    while (!ib_list_empty(&d->holds)) {
        struct ib_list *node = d->holds.next;
        ib_list_remove(node);
        ib_list_append(&mine, node);
    }
    while (!ib_list_empty(&mine)) {
        struct reg_load_hold *h = IB_CONTAINER(mine.next, struct reg_load_hold, node);
        ib_list_remove(&h->node);
        reg_change_release_load(h->change, refusal);
        free(h);
    }
}

/* The record has come to rest: everybody is told. They may ask again at once; d stays until the loop turns. */
static void settle(struct reg_deployment *d, const struct reg_placement *p)
{
    struct ib_list mine;
    d->expecting = false;
    ib_list_init(&mine);
    while (!ib_list_empty(&d->waits)) {
        struct ib_list *node = d->waits.next;
        ib_list_remove(node);
        ib_list_append(&mine, node);
    }
    release_holds(d, p->outcome == REG_PLACE_REFUSED ? ib_cstr(p->reason) : NULL);
    while (!ib_list_empty(&mine)) {
        struct reg_placement_wait *w = IB_CONTAINER(mine.next, struct reg_placement_wait, node);
        reg_placement_fn fn = w->fn;
        void *arg = w->arg;
        free_wait(w);
        fn(arg, p);
    }
    if (!d->all->stopping)
        ic_loop_defer(d->all->reg->loop, &d->later, on_later, d);
}

static struct reg_placement placed(const struct reg_deployment *d)
{
    return (struct reg_placement){
        .outcome = REG_PLACED,
        .node = d->place.node,
        .server = d->place.server,
        .adapters = &d->place.adapters,
        .activation_s = d->place.activation_s,
        .deactivation_s = d->place.deactivation_s,
    };
}

static void settle_failed(struct reg_deployment *d, enum reg_placement_outcome outcome, struct ib_str node,
                          const char *reason)
{
    const struct reg_placement p = {.outcome = outcome, .node = node, .reason = ib_str(reason)};
    settle(d, &p);
}

/* --- loading -------------------------------------------------------------------------------------------------------
 */

static struct ib_str replica_name(const struct reg *reg)
{
    return reg->cfg.master && reg->cfg.read_only ? IB_STR("Master (read-only)") : reg->cfg.replica;
}

/* Both loading and destroying may have to stop a process first. */
static int32_t call_ms(const struct reg_deployment *d)
{
    return d->place.server ? d->place.deactivation_s * 1000 : CALL_MS_MAX;
}

static int32_t with_margin(const struct reg *reg, int32_t seconds)
{
    int32_t margin = reg->cfg.node_session_timeout > 0 ? reg->cfg.node_session_timeout : 0;
    int32_t s = seconds < 0 ? 0 : seconds > TIMEOUT_S_MAX ? TIMEOUT_S_MAX : seconds;
    return s + (margin > TIMEOUT_S_MAX ? TIMEOUT_S_MAX : margin);
}

/* What the node answered, in place of what was known. */
static int keep_answer(struct reg_deployment *d, const struct IceGrid_Node_loadServer_out *out)
{
    struct reg_place p;
    init_place(&p);
    p.node = ib_arena_str(&p.arena, d->place.node);
    p.uuid = ib_arena_str(&p.arena, d->place.uuid);
    p.revision = d->place.revision;
    p.server = iw_proxy_copy(out->ret, &p.arena);
    p.activation_s = with_margin(d->all->reg, out->actTimeout);
    p.deactivation_s = with_margin(d->all->reg, out->deactTimeout);
    if (!p.node.p || !p.uuid.p || !p.server ||
        iw_copy(&IceGrid_AdapterPrxDict_type, &out->adapters, &p.arena, &p.adapters)) {
        ib_arena_fini(&p.arena);
        return IB_ENOMEM;
    }
    ib_arena_fini(&d->place.arena);
    d->place = p;
    return 0;
}

static const struct IceGrid_Node_loadServer_out *load_result(const struct ir_result *r)
{
    /* both operations have the same results */
    return r->outcome == IR_SUCCESS ? r->out : NULL;
}

static void load_failed(struct reg_deployment *d, const struct ir_result *r)
{
    const struct IceGrid_DeploymentException *refused = r ? IceGrid_DeploymentException_caught(r) : NULL;
    struct ib_str node = d->place.node;
    char text[256];
    struct ib_arena arena;
    ib_arena_init(&arena, 0);
    struct ib_str reason = refused
                               ? ib_arena_printf(&arena, "couldn't load `%s' on node `%s':\n%s", d->id, ib_cstr(node),
                                                 ib_cstr(refused->reason))
                               : ib_str(r ? ir_result_text(r, text, sizeof text) : "the node's answer cannot be used");
    reg_trace(d->all->reg, REG_TRACE_SERVER, 1, "couldn't load `%s' on node `%s':\n%s", d->id, ib_cstr(node),
              refused ? ib_cstr(refused->reason) : ib_cstr(reason));
    move(d, REG_ABSENT);
    if (d->again)
        reg_deployment_advance(d);
    else
        settle_failed(d, refused ? REG_PLACE_REFUSED : REG_PLACE_UNREACHABLE, node, ib_cstr(reason));
    ib_arena_fini(&arena);
}

static void on_loaded(void *arg, const struct ir_result *r)
{
    struct reg_deployment *d = arg;
    const struct IceGrid_Node_loadServer_out *out = load_result(r);
    d->call = NULL;
    if (!out || !out->ret || keep_answer(d, out)) {
        load_failed(d, out ? NULL : r);
        return;
    }
    move(d, REG_LOADED);
    reg_trace(d->all->reg, REG_TRACE_SERVER, 3, "loaded `%s' on node `%s'", d->id, ib_cstr(d->place.node));
    reg_deployment_advance(d);
}

/* Where it goes; the proxies of before stay, for servers that register or withdraw while they are loaded anew. */
static int aim(struct reg_deployment *d, const struct reg_server *server)
{
    struct reg_place *p = &d->place;
    if (p->node.p && !ib_str_eq(p->node, server->node))
        fini_place(p);
    if (!p->node.p)
        p->node = ib_arena_str(&p->arena, server->node);
    if (!p->uuid.p || !ib_str_eq(p->uuid, server->app->info->uuid))
        p->uuid = ib_arena_str(&p->arena, server->app->info->uuid);
    p->revision = server->app->info->revision;
    return p->node.p && p->uuid.p ? 0 : IB_ENOMEM;
}

static struct ir_call *send_load(struct reg_deployment *d, const struct reg_server *server, const struct reg_node *node,
                                 struct ib_arena *arena)
{
    struct reg *reg = d->all->reg;
    const struct ir_call_options opt = {.timeout_ms = call_ms(d), .connect_timeout_ms = CONNECT_MS};
    struct reg_node_vars vars = reg_node_vars(node);
    struct IceGrid_InternalServerDescriptor *desc;
    if (d->session)
        vars.session_id = ib_str(d->session);
    if (aim(d, server) || reg_internal_server(server, &vars, arena, &desc))
        return NULL;
    reg_trace(reg, REG_TRACE_SERVER, 3, "loading `%s' on node `%s'", d->id, ib_cstr(node->name));
    if (d->no_restart) {
        const struct IceGrid_Node_loadServerWithoutRestart_in in = {.svr = desc, .replicaName = replica_name(reg)};
        return IceGrid_Node_loadServerWithoutRestart_call(reg->rt, node->proxy, &opt, &in, on_loaded, d);
    }
    const struct IceGrid_Node_loadServer_in in = {.svr = desc, .replicaName = replica_name(reg)};
    return IceGrid_Node_loadServer_call(reg->rt, node->proxy, &opt, &in, on_loaded, d);
}

static void load(struct reg_deployment *d, const struct reg_server *server, const struct reg_node *node)
{
    struct ib_arena arena;
    ib_arena_init(&arena, 0);
    d->reload = false;
    d->call = send_load(d, server, node, &arena);
    d->no_restart = false;
    if (d->call)
        move(d, REG_LOADING);
    else
        settle_failed(d, REG_PLACE_UNREACHABLE, server->node, "out of memory");
    ib_arena_fini(&arena);
}

/* --- destroying ----------------------------------------------------------------------------------------------------
 */

/* What is still to be destroyed elsewhere comes first: since then it has not been loaded anywhere. */
void reg_deployment_destroy(struct reg_deployment *d, struct ib_str node, struct ib_str uuid, int32_t revision)
{
    if (d->gone.node.p)
        return;
    d->gone.node = ib_arena_str(&d->gone.arena, node);
    d->gone.uuid = ib_arena_str(&d->gone.arena, uuid);
    d->gone.revision = revision;
}

static void on_destroyed(void *arg, const struct ir_result *r)
{
    struct reg_deployment *d = arg;
    const struct IceGrid_DeploymentException *refused = IceGrid_DeploymentException_caught(r);
    char text[256];
    d->call = NULL;
    if (r->outcome != IR_SUCCESS)
        reg_trace(d->all->reg, REG_TRACE_SERVER, 2, "couldn't unload `%s':\n%s", d->id,
                  refused ? ib_cstr(refused->reason) : ir_result_text(r, text, sizeof text));
    else
        reg_trace(d->all->reg, REG_TRACE_SERVER, 3, "unloaded `%s' on node `%s'", d->id, ib_cstr(d->place.node));
    move(d, REG_ABSENT);
    reg_deployment_advance(d);
}

/* False: there is nobody to tell. A node that is away compares its servers with the list when it comes. */
static bool destroy(struct reg_deployment *d)
{
    struct reg *reg = d->all->reg;
    const struct reg_node *node = reg_node_find(reg, d->gone.node);
    const struct ir_call_options opt = {.timeout_ms = call_ms(d), .connect_timeout_ms = CONNECT_MS};
    const struct IceGrid_Node_destroyServer_in in = {id_of(d), d->gone.uuid, d->gone.revision, replica_name(reg)};
    const struct IceGrid_Node_destroyServerWithoutRestart_in gently = {id_of(d), d->gone.uuid, d->gone.revision,
                                                                       replica_name(reg)};
    if (node && d->gone.uuid.p) {
        reg_trace(reg, REG_TRACE_SERVER, 3, "unloading `%s' on node `%s'", d->id, ib_cstr(node->name));
        d->call = d->no_restart ? IceGrid_Node_destroyServerWithoutRestart_call(reg->rt, node->proxy, &opt, &gently,
                                                                                on_destroyed, d)
                                : IceGrid_Node_destroyServer_call(reg->rt, node->proxy, &opt, &in, on_destroyed, d);
    }
    if (d->call && !d->place.node.p) /* so that the end of the node's session ends this */
        d->place.node = ib_arena_str(&d->place.arena, d->gone.node);
    fini_place(&d->gone);
    d->no_restart = false;
    if (d->call)
        move(d, REG_DESTROYING);
    else if (d->state == REG_LOADED)
        move(d, REG_ABSENT);
    return d->call;
}

/* --- the machine ---------------------------------------------------------------------------------------------------
 */

static bool is_current(const struct reg_deployment *d, const struct reg_server *server)
{
    return d->state == REG_LOADED && !d->reload && ib_str_eq(d->place.node, server->node) &&
           d->place.revision == server->app->info->revision && ib_str_eq(d->place.uuid, server->app->info->uuid);
}

void reg_deployment_advance(struct reg_deployment *d)
{
    struct reg *reg = d->all->reg;
    if (d->call) {
        d->again = true;
        return;
    }
    d->again = false;
    if (d->gone.node.p && destroy(d))
        return;
    const struct reg_server *server = reg_catalog_server(reg->catalog, id_of(d));
    const struct reg_node *node = server ? reg_node_find(reg, server->node) : NULL;
    if (!server) {
        if (d->state == REG_LOADED)
            move(d, REG_ABSENT);
        fini_place(&d->place);
        settle_failed(d, REG_PLACE_UNKNOWN, ib_str(""), "unknown server");
    } else if (is_current(d, server)) {
        const struct reg_placement p = placed(d);
        settle(d, &p);
    } else if (node) {
        load(d, server, node);
    } else if (!ib_list_empty(&d->waits) && reg_node_expected(reg, server->node)) {
        d->expecting = true;
    } else {
        d->reload = false;
        settle_failed(d, REG_PLACE_UNREACHABLE, server->node, "the node is not active");
    }
}

/* After whoever was told has returned, or the node has changed: go on, or go away. */
static void on_later(void *arg)
{
    struct reg_deployment *d = arg;
    if (!ib_list_empty(&d->waits) || !ib_list_empty(&d->holds) || d->gone.node.p)
        reg_deployment_advance(d);
    else if (d->state == REG_ABSENT && !d->call && !d->session)
        free_record(d);
}

static void on_node(struct reg_node_observer *o, const struct reg_node_event *ev)
{
    struct reg_deployments *x = IB_CONTAINER(o, struct reg_deployments, nodes);
    struct reg_deployment *d, *next;
    if (ev->kind != REG_NODE_DOWN && ev->kind != REG_NODE_CONNECTED && ev->kind != REG_NODE_ABSENT)
        return;
    HASH_ITER(hh, x->servers, d, next)
    {
        bool here = d->place.node.p && ib_str_eq(d->place.node, ev->name);
        if (ev->kind == REG_NODE_DOWN && here) {
            if (d->call)
                ir_call_cancel(d->call);
            d->call = NULL;
            move(d, REG_ABSENT);
            fini_place(&d->place);
        } else if (!d->expecting) {
            continue;
        }
        ic_loop_defer(x->reg->loop, &d->later, on_later, d);
    }
}

/* --- what others ask -----------------------------------------------------------------------------------------------
 */

bool reg_server_placed(struct reg *reg, struct ib_str id, struct reg_placement *p)
{
    const struct reg_deployment *d = reg_deployment_find(reg_deployments_of(reg), id);
    if (!d || d->state != REG_LOADED || d->reload)
        return false;
    *p = placed(d);
    return true;
}

bool reg_server_syncing(struct reg *reg, struct ib_str id)
{
    const struct reg_deployment *d = reg_deployment_find(reg_deployments_of(reg), id);
    return d && d->call;
}

bool reg_server_last_placed(struct reg *reg, struct ib_str id, struct reg_placement *p)
{
    const struct reg_deployment *d = reg_deployment_find(reg_deployments_of(reg), id);
    if (!d || !d->place.server)
        return false;
    *p = placed(d);
    return true;
}

struct reg_placement_wait *reg_server_need(struct reg *reg, struct ib_str id, int32_t timeout_ms, reg_placement_fn fn,
                                           void *arg)
{
    struct reg_deployment *d = reg_deployment_get(reg_deployments_of(reg), id);
    struct reg_placement_wait *w = d ? add_wait(d, timeout_ms, fn, arg) : NULL;
    if (d && !d->call)
        ic_loop_defer(reg->loop, &d->later, on_later, d);
    return w;
}

void reg_placement_throw(const struct reg_placement *p, struct ir_request *rq, struct ib_str id)
{
    switch (p->outcome) {
    case REG_PLACE_UNKNOWN:
        IceGrid_ServerNotExistException_throw(rq, &(struct IceGrid_ServerNotExistException){.id = id});
        break;
    case REG_PLACE_UNREACHABLE:
        IceGrid_NodeUnreachableException_throw(
            rq, &(struct IceGrid_NodeUnreachableException){.name = p->node, .reason = p->reason});
        break;
    default:
        IceGrid_DeploymentException_throw(rq, &(struct IceGrid_DeploymentException){.reason = p->reason});
    }
}

void reg_node_load_servers(struct reg *reg, struct ib_str node)
{
    struct reg_deployments *x = reg_deployments_of(reg);
    struct reg_server **servers;
    struct ib_arena arena;
    ib_arena_init(&arena, 0);
    size_t n = reg_catalog_servers(reg->catalog, &arena, &servers);
    for (size_t i = 0; n != SIZE_MAX && i < n; i++) {
        struct reg_deployment *d = ib_str_eq(servers[i]->node, node) ? reg_deployment_get(x, servers[i]->id) : NULL;
        if (!d)
            continue;
        d->reload = true;
        reg_deployment_advance(d);
    }
    ib_arena_fini(&arena);
}

struct ib_str reg_server_session(struct reg *reg, struct ib_str id)
{
    const struct reg_deployment *d = reg_deployment_find(reg_deployments_of(reg), id);
    return d && d->session ? ib_str(d->session) : ib_str("");
}

struct reg_placement_wait *reg_server_set_session(struct reg *reg, struct ib_str id, struct ib_str user,
                                                  reg_placement_fn fn, void *arg)
{
    struct reg_deployment *d = reg_deployment_get(reg_deployments_of(reg), id);
    struct reg_placement_wait *w = d && fn ? add_wait(d, 0, fn, arg) : NULL;
    char *copy = user.n ? strndup(ib_cstr(user), user.n) : NULL;
    if (!d)
        return NULL;
    free(d->session);
    d->session = copy;
    d->reload = true;
    reg_deployment_advance(d);
    return w;
}

void reg_deployments_end(struct reg *reg)
{
    struct reg_deployments *x = reg_deployments_of(reg);
    struct reg_deployment *d, *next;
    if (!x)
        return;
    x->stopping = true; /* no waits any more */
    HASH_ITER(hh, x->servers, d, next)
    {
        if (!ib_list_empty(&d->waits) || !ib_list_empty(&d->holds))
            settle_failed(d, REG_PLACE_UNREACHABLE, ib_str(""), "the registry is shutting down");
    }
}

/* --- life ----------------------------------------------------------------------------------------------------------
 */

static void *deployment_start(struct reg *reg, struct ib_err *err)
{
    struct reg_deployments *x = calloc(1, sizeof *x);
    if (!x) {
        ib_err_set(err, IB_ENOMEM, "out of memory");
        return NULL;
    }
    x->reg = reg;
    ib_list_init(&x->checks);
    x->nodes.event = on_node;
    x->changes.event = reg_deployment_on_change;
    reg_nodes_observe(reg, &x->nodes);
    reg_observe(reg, &x->changes);
    return x;
}

static void deployment_stop(void *state)
{
    struct reg_deployments *x = state;
    x->stopping = true;
    reg_nodes_unobserve(&x->nodes);
    reg_unobserve(&x->changes);
    reg_deployment_checks_stop(x);
    while (x->servers) {
        struct reg_deployment *d = x->servers;
        if (d->call)
            ir_call_cancel(d->call);
        while (!ib_list_empty(&d->waits))
            free_wait(IB_CONTAINER(d->waits.next, struct reg_placement_wait, node));
        release_holds(d, NULL);
        free_record(d);
    }
    free(x);
}

const struct reg_part reg_deployment_part = {"deployment", deployment_start, deployment_stop};
