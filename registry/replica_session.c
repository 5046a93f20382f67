/* SPDX-License-Identifier: Apache-2.0 */
/* This replica's place among the others. A master registers its objects and is ready. A slave finds its master, opens a
   session, lets it replace its tables, follows, keeps alive; without a master it serves what it has and tries again
   (icegrid-internal 4.3, 5.1, 5.2, 7.3).

       IDLE -> FINDING -> REGISTERING -> SYNCING -> ANNOUNCING -> CONNECTED -> (lost) FINDING
         ^________|____________|____________|___________|             each failure goes back to IDLE until the timer */
#include "finder.h"
#include "replica_observer.h"
#include "replication_priv.h"
#include "rival.h"
#include "slices.h"
#include "well_known.h"

#include <stdio.h>
#include <stdlib.h>

#include <moulin/base/sm.h>
#include <moulin/net/loop.h>

enum state { IDLE, FINDING, REGISTERING, SYNCING, ANNOUNCING, CONNECTED, STATE_MAX };

static const struct ib_sm_state states[STATE_MAX] = {
    [IDLE] = {"idle", IB_SM_BIT(FINDING) | IB_SM_BIT(REGISTERING)},
    [FINDING] = {"finding", IB_SM_BIT(REGISTERING) | IB_SM_BIT(IDLE)},
    [REGISTERING] = {"registering", IB_SM_BIT(REGISTERING) | IB_SM_BIT(FINDING) | IB_SM_BIT(SYNCING) | IB_SM_BIT(IDLE)},
    [SYNCING] = {"syncing", IB_SM_BIT(ANNOUNCING) | IB_SM_BIT(IDLE)},
    [ANNOUNCING] = {"announcing", IB_SM_BIT(CONNECTED) | IB_SM_BIT(IDLE)},
    [CONNECTED] = {"connected", IB_SM_BIT(IDLE)},
};

#define FIRST_RETRY_MS 10000
#define SYNC_MS 300000
#define CANDIDATES_MAX 64

struct waiter {
    struct ib_list node;
    void (*done)(void *arg);
    void *arg;
};

struct replica {
    struct reg *reg;
    uint8_t state;
    int32_t interval_ms; /* between keep-alives, and between attempts */
    struct ib_arena master_arena; /* of master */
    struct iw_proxy *master; /* its InternalRegistry where it was last; NULL: unknown */
    struct iw_proxy *locator; /* Ice.Default.Locator; in the registry's arena */
    struct iw_identity master_id;
    struct reg_finder *finder;
    struct iw_proxy *candidates[CANDIDATES_MAX]; /* the finder's */
    size_t n_candidates, candidate;
    struct ib_arena session_arena;
    struct iw_proxy *session; /* NULL: none */
    struct reg_replica_observer *observer;
    struct ir_call *call; /* the step under way */
    struct ir_call *alive; /* the keepAlive under way */
    struct ic_timer timer;
    struct ic_deferred again, retry;
    char why[512]; /* again's reason */
    struct ib_arena offer_arena;
    struct iw_proxy *offer; /* where a master said it is while this replica was busy with another */
    struct ib_list waiters; /* told at the end of the attempt under way */
    bool registered_alone; /* our own objects are in the table, and nobody has overwritten them since */
    bool warned; /* the failure now lasting has been logged */
    void (*ended)(void *arg);
    void *ended_arg;
};

static void move(struct replica *x, enum state next)
{
    ib_sm_move(states, STATE_MAX, &x->state, next);
}

static struct ir_call_options options(const struct replica *x, int32_t timeout_ms)
{
    return (struct ir_call_options){.timeout_ms = timeout_ms, .connect_timeout_ms = x->interval_ms};
}

static void connect_now(struct replica *x);
static void remember_master(struct replica *x, const struct iw_proxy *master);
static void try_candidate(struct replica *x);

/* --- ends of an attempt
 * ------------------------------------------------------------------------------------------------ */

static void tell_waiters(struct replica *x)
{
    while (!ib_list_empty(&x->waiters)) {
        struct waiter *w = IB_CONTAINER(x->waiters.next, struct waiter, node);
        ib_list_remove(&w->node);
        w->done(w->arg);
        free(w);
    }
}

static void forget_session(struct replica *x)
{
    if (x->call)
        ir_call_cancel(x->call);
    if (x->alive)
        ir_call_cancel(x->alive);
    x->call = x->alive = NULL;
    reg_finder_free(x->finder);
    x->finder = NULL;
    reg_replica_observer_free(x->observer);
    x->observer = NULL;
    x->session = NULL;
    ib_arena_fini(&x->session_arena);
}

static void alone(void *arg)
{
    struct replica *x = arg;
    reg_ready(x->reg);
}

/* The master need not wait for the session's end. */
static void say_goodbye(struct replica *x)
{
    const struct ir_call_options opt = options(x, x->interval_ms);
    IceGrid_ReplicaSession_destroy_call(x->reg->rt, x->session, &opt, NULL, NULL, NULL);
}

static void retry(void *arg)
{
    struct replica *x = arg;
    if (x->state == IDLE)
        connect_now(x);
}

/* The master that called while this replica was busy with another, which is of no use any more. */
static bool take_offer(struct replica *x)
{
    if (!x->offer)
        return false;
    remember_master(x, x->offer);
    x->offer = NULL;
    ib_arena_reset(&x->offer_arena);
    return true;
}

/* The attempt is over without a session: serve alone and try again later. */
static void fail_attempt(struct replica *x, const char *why)
{
    if (!x->warned)
        ib_log_warning(x->reg->log, "%s: serving without the master, trying again every %d s", why,
                       (int)(x->interval_ms / 1000));
    x->warned = true;
    if (x->session)
        say_goodbye(x);
    forget_session(x);
    move(x, IDLE);
    ic_timer_start(&x->timer, x->interval_ms);
    if (take_offer(x))
        ic_loop_defer(x->reg->loop, &x->retry, retry, x);
    if (!x->registered_alone) {
        x->registered_alone = true;
        reg_register_objects(x->reg, alone, x);
    }
    tell_waiters(x);
}

static void fail_result(struct replica *x, const char *what, const struct ir_result *r)
{
    char text[256], line[512];
    const struct IceGrid_DeploymentException *deployment = IceGrid_DeploymentException_caught(r);
    const struct IceGrid_PermissionDeniedException *denied = IceGrid_PermissionDeniedException_caught(r);
    const char *detail = deployment ? ib_cstr(deployment->reason)
                         : denied   ? ib_cstr(denied->reason)
                                    : ir_result_text(r, text, sizeof text);
    snprintf(line, sizeof line, "%s:\n%s", what, detail);
    fail_attempt(x, line);
}

/* --- the steps
 * ----------------------------------------------------------------------------------------------------------- */

static void connected(struct replica *x)
{
    move(x, CONNECTED);
    if (x->warned || reg_traces(x->reg, REG_TRACE_REPLICA, 1))
        ib_log_trace(x->reg->log, "Replica", "established session with master replica");
    x->warned = x->registered_alone = false;
    x->offer = NULL;
    ic_timer_start(&x->timer, x->interval_ms);
    tell_waiters(x);
    reg_ready(x->reg);
}

static void on_registered_objects(void *arg, const struct ir_result *r)
{
    struct replica *x = arg;
    x->call = NULL;
    if (r->outcome == IR_SUCCESS)
        connected(x);
    else
        fail_result(x, "cannot register this replica's objects with the master", r);
}

static void on_endpoints_set(void *arg, const struct ir_result *r)
{
    struct replica *x = arg;
    x->call = NULL;
    if (r->outcome != IR_SUCCESS) {
        fail_result(x, "cannot tell the master this replica's endpoints", r);
        return;
    }
    struct ib_arena arena;
    struct IceGrid_ReplicaSession_registerWellKnownObjects_in in;
    struct ir_call_options opt = options(x, SYNC_MS);
    ib_arena_init(&arena, 0);
    if (reg_own_objects(x->reg, &arena, &in.objects) == 0)
        x->call = IceGrid_ReplicaSession_registerWellKnownObjects_call(x->reg->rt, x->session, &opt, &in,
                                                                       on_registered_objects, x);
    ib_arena_fini(&arena);
    if (!x->call)
        fail_attempt(x, "out of memory");
}

static void announce(struct replica *x)
{
    struct reg *reg = x->reg;
    struct IceGrid_StringObjectProxyDict_entry entries[5];
    struct IceGrid_ReplicaSession_setEndpoints_in in = {.endpoints = {0, entries}};
    const struct {
        const char *name;
        struct ir_adapter *adapter;
    } list[] = {{"AdminSessionManager", reg->admin_session_manager}, /* sorted, as a map is */
                {"Client", reg->client},
                {"Internal", reg->internal},
                {"Server", reg->server},
                {"SessionManager", reg->session_manager}};
    const struct iw_identity dummy = {IB_STR("dummy"), IB_STR("")};
    struct ib_arena arena;
    struct ir_call_options opt = options(x, x->interval_ms);
    bool ok = true;
    move(x, ANNOUNCING);
    ib_arena_init(&arena, 0);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        if (!list[i].adapter)
            continue;
        struct iw_proxy *prx = ir_adapter_direct_proxy(list[i].adapter, &dummy, &arena);
        ok = ok && prx;
        entries[in.endpoints.n++] = (struct IceGrid_StringObjectProxyDict_entry){ib_str(list[i].name), prx};
    }
    if (ok)
        x->call = IceGrid_ReplicaSession_setEndpoints_call(reg->rt, x->session, &opt, &in, on_endpoints_set, x);
    ib_arena_fini(&arena);
    if (!x->call)
        fail_attempt(x, "out of memory");
}

static void on_synchronized(void *arg, const struct ir_result *r)
{
    struct replica *x = arg;
    x->call = NULL;
    if (r->outcome == IR_SUCCESS)
        announce(x);
    else
        fail_result(x, "database synchronization with master failed", r);
}

static void observer_failed(void *arg, const char *why)
{
    struct replica *x = arg;
    reg_replica_reconnect(x->reg, why);
}

static void synchronize(struct replica *x)
{
    struct reg *reg = x->reg;
    move(x, SYNCING);
    ic_timer_start(&x->timer, x->interval_ms); /* keeps the session, and notices a master that freezes meanwhile */
    x->registered_alone = false; /* the master's table is about to replace ours */
    x->observer = reg_replica_observer_new(reg, x->session, observer_failed, x);
    struct IceGrid_StringLongDict_entry serials[] = {{IB_STR("adapters"), reg_settled(reg, REG_ADAPTERS)},
                                                     {IB_STR("applications"), reg_settled(reg, REG_APPLICATIONS)},
                                                     {IB_STR("objects"), reg_settled(reg, REG_OBJECTS)}};
    const struct IceGrid_ReplicaSession_setDatabaseObserver_in in = {
        .dbObs = x->observer ? reg_replica_observer_proxy(x->observer) : NULL,
        .has_serials = true,
        .serials = {3, serials},
    };
    const struct ir_context_entry offers[] = {{IB_STR(REG_ACK_KEY), IB_STR(REG_ACK_REPLY)},
                                              {IB_STR(REG_EARLY_KEY), IB_STR(REG_EARLY_WANTED)}};
    struct ir_call_options opt = options(x, SYNC_MS);
    opt.context = offers;
    opt.n_context = sizeof offers / sizeof *offers;
    if (in.dbObs)
        x->call = IceGrid_ReplicaSession_setDatabaseObserver_call(reg->rt, x->session, &opt, &in, on_synchronized, x);
    if (!x->call)
        fail_attempt(x, "out of memory");
}

static void on_timeout_known(void *arg, const struct ir_result *r)
{
    struct replica *x = arg;
    const struct IceGrid_ReplicaSession_getTimeout_out *out = IceGrid_ReplicaSession_getTimeout_result(r);
    x->call = NULL;
    if (!out) {
        fail_result(x, "lost the session with the master", r);
        return;
    }
    if (out->ret > 0)
        x->interval_ms = out->ret > 1 ? (out->ret > 86400 ? 86400 : out->ret) * 500 : 1000;
    synchronize(x);
}

/* User exceptions end the attempt, anything else goes on to the next place (icegrid-internal 4.3). */
static void on_registered(void *arg, const struct ir_result *r)
{
    struct replica *x = arg;
    const struct IceGrid_InternalRegistry_registerReplica_out *out = IceGrid_InternalRegistry_registerReplica_result(r);
    x->call = NULL;
    if (out && out->ret) {
        ib_arena_init(&x->session_arena, 0);
        x->session = iw_proxy_copy(out->ret, &x->session_arena);
        struct ir_call_options opt = options(x, x->interval_ms);
        if (x->session)
            x->call = IceGrid_ReplicaSession_getTimeout_call(x->reg->rt, x->session, &opt, NULL, on_timeout_known, x);
        if (!x->call)
            fail_attempt(x, "out of memory");
    } else if (IceGrid_ReplicaActiveException_caught(r)) {
        fail_attempt(x, "a replica with the same name is already registered and active");
    } else if (r->outcome == IR_THROWN) {
        fail_result(x, "connection to master was denied", r);
    } else {
        try_candidate(x);
    }
}

static bool register_with(struct replica *x, const struct iw_proxy *master)
{
    struct reg *reg = x->reg;
    struct ib_arena arena;
    ib_arena_init(&arena, 0);
    struct IceGrid_InternalReplicaInfo info = {.name = reg->cfg.replica, .hostname = reg_hostname(&arena)};
    info.object.cls = &IceGrid_InternalReplicaInfo_class;
    struct iw_identity id = {ib_arena_printf(&arena, "InternalRegistry-%s", reg->cfg.replica.p), reg->cfg.instance};
    const struct IceGrid_InternalRegistry_registerReplica_in in = {
        .info = &info, .prx = id.name.p ? ir_adapter_direct_proxy(reg->internal, &id, &arena) : NULL};
    struct ir_call_options opt = options(x, x->interval_ms);
    move(x, REGISTERING);
    if (in.prx)
        x->call = IceGrid_InternalRegistry_registerReplica_call(reg->rt, master, &opt, &in, on_registered, x);
    ib_arena_fini(&arena);
    return x->call;
}

static void remember_master(struct replica *x, const struct iw_proxy *master)
{
    struct ib_arena arena;
    ib_arena_init(&arena, 0);
    struct iw_proxy *copy = master ? iw_proxy_copy(master, &arena) : NULL;
    ib_arena_fini(&x->master_arena);
    x->master_arena = arena;
    x->master = copy;
}

static void on_found(void *arg, struct iw_proxy *const *candidates, size_t n)
{
    struct replica *x = arg;
    x->n_candidates = n < CANDIDATES_MAX ? n : CANDIDATES_MAX;
    memcpy(x->candidates, candidates, x->n_candidates * sizeof *candidates);
    x->candidate = 0;
    try_candidate(x);
}

/* The next place to try: what the finder found; and the finder itself after the place we knew. */
static void try_candidate(struct replica *x)
{
    if (!x->finder) {
        move(x, FINDING);
        int32_t limit = x->interval_ms < 5000 ? x->interval_ms : 5000;
        x->finder = reg_finder_start(x->reg, x->locator, &x->master_id, limit, on_found, x);
        if (!x->finder)
            fail_attempt(x, "out of memory");
        return;
    }
    while (x->candidate < x->n_candidates) {
        const struct iw_proxy *next = x->candidates[x->candidate++];
        if (x->master && iw_proxy_equal(x->master, next)) /* just tried */
            continue;
        remember_master(x, next);
        if (x->master && register_with(x, x->master))
            return;
    }
    remember_master(x, NULL);
    fail_attempt(x, "the master cannot be reached");
}

static void connect_now(struct replica *x)
{
    ic_timer_stop(&x->timer);
    reg_trace(x->reg, REG_TRACE_REPLICA, 2, "trying to establish session with master replica");
    x->n_candidates = x->candidate = 0;
    if (!x->master || !x->master->n_endpoints || !register_with(x, x->master))
        try_candidate(x);
}

/* --- keeping alive
 * ------------------------------------------------------------------------------------------------------ */

static void lose(struct replica *x, const char *why)
{
    ib_log_warning(x->reg->log, "lost session with master replica: %s", why);
    forget_session(x);
    move(x, IDLE);
    take_offer(x);
    connect_now(x);
}

static void on_kept_alive(void *arg, const struct ir_result *r)
{
    struct replica *x = arg;
    char text[256];
    x->alive = NULL;
    if (r->outcome == IR_SUCCESS) {
        ic_timer_start(&x->timer, x->interval_ms);
        if (x->state == CONNECTED) {
            x->offer = NULL;
            tell_waiters(x);
        }
    } else if (x->state == CONNECTED) {
        lose(x, ir_result_text(r, text, sizeof text));
    } else {
        fail_result(x, "lost the session with the master while synchronizing", r);
    }
}

static void keep_alive(struct replica *x)
{
    struct ir_call_options opt = options(x, x->interval_ms);
    ic_timer_stop(&x->timer);
    if (!x->alive)
        x->alive = IceGrid_ReplicaSession_keepAlive_call(x->reg->rt, x->session, &opt, NULL, on_kept_alive, x);
    if (!x->alive)
        ic_timer_start(&x->timer, x->interval_ms); /* out of memory: the master is patient for another interval */
}

static void on_timer(void *arg)
{
    struct replica *x = arg;
    if (x->state >= SYNCING)
        keep_alive(x);
    else if (x->state == IDLE)
        connect_now(x);
}

static void reconnect(void *arg)
{
    struct replica *x = arg;
    if (x->state == CONNECTED) {
        say_goodbye(x);
        lose(x, x->why);
    } else if (x->state >= SYNCING) {
        fail_attempt(x, x->why); /* not again at once: it would fail again */
    }
}

void reg_replica_reconnect(struct reg *reg, const char *why)
{
    struct replica *x = reg_part_state(reg, &reg_replica_part);
    snprintf(x->why, sizeof x->why, "%s", why);
    if (!reg->stopping)
        ic_loop_defer(reg->loop, &x->again, reconnect, x);
}

void reg_replica_contact(struct reg *reg, const struct iw_proxy *master, void (*done)(void *arg), void *arg)
{
    struct replica *x = reg_part_state(reg, &reg_replica_part);
    struct waiter *w = iw_identity_equal(&master->id, &x->master_id) && !reg->stopping ? malloc(sizeof *w) : NULL;
    if (!w) {
        done(arg);
        return;
    }
    *w = (struct waiter){.done = done, .arg = arg};
    ib_list_append(&x->waiters, &w->node);
    if (x->state == IDLE) {
        remember_master(x, master);
        connect_now(x);
        return;
    }
    ib_arena_reset(&x->offer_arena);
    x->offer = iw_proxy_copy(master, &x->offer_arena);
    if (x->state == CONNECTED)
        keep_alive(x); /* the newcomer is the master only when the one followed so far is gone */
}

const struct iw_proxy *reg_replica_session(struct reg *reg, int32_t *timeout_ms)
{
    const struct replica *x = reg_part_state(reg, &reg_replica_part);
    if (!x || !x->session || x->state < SYNCING)
        return NULL;
    *timeout_ms = x->interval_ms;
    return x->session;
}

/* --- life
 * --------------------------------------------------------------------------------------------------------------------
 */

static void *replica_start(struct reg *reg, struct ib_err *err)
{
    struct replica *x = calloc(1, sizeof *x);
    if (!x) {
        ib_err_set(err, IB_ENOMEM, "out of memory");
        return NULL;
    }
    x->reg = reg;
    x->interval_ms = FIRST_RETRY_MS;
    x->master_id = reg_identity(reg, "InternalRegistry-" REG_MASTER);
    ib_list_init(&x->waiters);
    ib_arena_init(&x->master_arena, 0);
    ib_arena_init(&x->session_arena, 0);
    ib_arena_init(&x->offer_arena, 0);
    ic_timer_init(&x->timer, reg->loop, on_timer, x);
    if (reg->cfg.locator.n && ir_runtime_parse_proxy(reg->rt, reg->cfg.locator.p, &reg->arena, &x->locator, err)) {
        ib_err_wrap(err, "property `Ice.Default.Locator'");
        ic_timer_fini(&x->timer);
        free(x);
        return NULL;
    }
    return x;
}

static void replica_stop(void *state)
{
    struct replica *x = state;
    forget_session(x);
    tell_waiters(x);
    ic_loop_undefer(x->reg->loop, &x->again);
    ic_loop_undefer(x->reg->loop, &x->retry);
    ic_timer_fini(&x->timer);
    ib_arena_fini(&x->offer_arena);
    ib_arena_fini(&x->master_arena);
    free(x);
}

const struct reg_part reg_replica_part = {"replica session", replica_start, replica_stop};

static void master_ready(void *arg)
{
    struct reg *reg = arg;
    reg_ready(reg);
    if (reg_rival_found(reg))
        return; /* read-only beside another master, whose slaves they are */
    reg_replication_call_back(reg);
    reg_rival_watch(reg);
}

void reg_replica_begin(struct reg *reg)
{
    if (reg->cfg.master)
        reg_register_objects(reg, master_ready, reg);
    else
        connect_now(reg_part_state(reg, &reg_replica_part));
}

static void on_destroyed(void *arg, const struct ir_result *r)
{
    struct replica *x = arg;
    x->call = NULL;
    if (r->outcome == IR_SUCCESS)
        reg_trace(x->reg, REG_TRACE_REPLICA, 1, "destroyed master replica session");
    x->ended(x->ended_arg);
}

void reg_replica_end(struct reg *reg, void (*done)(void *arg), void *arg)
{
    struct replica *x = reg_part_state(reg, &reg_replica_part);
    ic_timer_stop(&x->timer);
    if (x->call)
        ir_call_cancel(x->call);
    if (x->alive)
        ir_call_cancel(x->alive);
    x->call = x->alive = NULL;
    reg_finder_free(x->finder);
    x->finder = NULL;
    tell_waiters(x);
    if (x->session) {
        struct ir_call_options opt = options(x, 2000);
        x->ended = done;
        x->ended_arg = arg;
        x->call = IceGrid_ReplicaSession_destroy_call(reg->rt, x->session, &opt, NULL, on_destroyed, x);
    }
    if (!x->call)
        done(arg);
}
