/* SPDX-License-Identifier: Apache-2.0 */
/* Looks for other masters: whom do the replicas take for the master, and does that one live? */
#include "rival.h"

#include <stdlib.h>

#include <moulin/base/clock.h>
#include <moulin/net/loop.h>
#include <moulin/rpc/proxy.h>

#include "finder.h"
#include "replication_priv.h"

#define ASK_MS 2000
#define ALL_MS 5000
#define RIVALS_MAX 8
#define WATCH_MIN_MS 5000
#define ENDLESS_MS 60000 /* for sessions that never end */

struct ping {
    struct rivals *x;
    const struct iw_proxy *prx;
    struct ir_call *call;
};

struct rivals {
    struct reg *reg;
    struct iw_identity id; /* the master's InternalRegistry */
    struct iw_proxy *locator; /* Ice.Default.Locator as configured; in the registry's arena; NULL: none */
    struct reg_finder *finder; /* NULL: no search under way */
    struct ping pings[RIVALS_MAX];
    size_t n_pings, open;
    const struct iw_proxy *rival; /* the one that answered; the finder's */
    void (*done)(struct rivals *x); /* the search is over */
    struct ic_deferred over;
    struct ic_timer timer;
    int64_t began; /* the search */
    int64_t looked; /* when this master last found itself alone, or began to look because it was away */
    bool followed; /* a slave had all it has when the search began */
    bool checked, found;
    bool away; /* frozen, or without slaves that it had: until a slave follows it again */
    bool reported; /* the rival that lives now is in the log */
};

/* --- a search --------------------------------------------------------------------------------------------------- */

static bool is_ours(const struct reg *reg, const struct iw_proxy *prx)
{
    size_t n;
    const struct iw_endpoint *own = ir_adapter_endpoints(reg->internal, &n);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < prx->n_endpoints; k++)
            if (iw_endpoint_equal(&own[i], &prx->endpoints[k]))
                return true;
    return false;
}

static void forget_search(struct rivals *x)
{
    for (size_t i = 0; i < x->n_pings; i++)
        if (x->pings[i].call)
            ir_call_cancel(x->pings[i].call);
    ic_loop_undefer(x->reg->loop, &x->over);
    x->n_pings = x->open = 0;
    reg_finder_free(x->finder);
    x->finder = NULL;
    x->rival = NULL;
}

static void search_over(void *arg)
{
    struct rivals *x = arg;
    x->done(x);
    forget_search(x);
}

static void end_search(struct rivals *x)
{
    ic_loop_defer(x->reg->loop, &x->over, search_over, x); /* not inside the finder's or a call's own frame */
}

static void on_pinged(void *arg, const struct ir_result *r)
{
    struct ping *p = arg;
    struct rivals *x = p->x;
    p->call = NULL;
    x->open--;
    if (r->outcome == IR_SUCCESS && !x->rival)
        x->rival = p->prx;
    if (x->rival || x->open == 0)
        end_search(x);
}

static void on_found(void *arg, struct iw_proxy *const *candidates, size_t n)
{
    struct rivals *x = arg;
    const struct ir_call_options opt = {.timeout_ms = ASK_MS, .connect_timeout_ms = ASK_MS};
    for (size_t i = 0; i < n && x->n_pings < RIVALS_MAX; i++) {
        if (is_ours(x->reg, candidates[i]))
            continue;
        struct ping *p = &x->pings[x->n_pings];
        *p = (struct ping){.x = x, .prx = candidates[i]};
        p->call = ir_call(x->reg->rt, p->prx, &ir_op_ice_ping, &opt, NULL, on_pinged, p);
        if (!p->call)
            continue;
        x->n_pings++;
        x->open++;
    }
    if (x->open == 0)
        end_search(x);
}

static bool search(struct rivals *x, void (*done)(struct rivals *x))
{
    x->done = done;
    x->began = ib_clock_ms();
    x->followed = reg_slaves_following(x->reg) > 0;
    x->finder = reg_finder_start(x->reg, x->locator, &x->id, ASK_MS, on_found, x);
    return x->finder;
}

static const char *rival_text(const struct rivals *x, struct ib_arena *arena)
{
    return ib_cstr(ir_proxy_format(x->rival, IR_UNICODE, arena));
}

/* --- at the start ----------------------------------------------------------------------------------------------- */

static void check_done(struct rivals *x)
{
    struct ib_arena arena;
    ib_arena_init(&arena, 0);
    x->checked = true;
    x->found = x->rival;
    if (x->found)
        ib_log_warning(x->reg->log, "another master of `%s' lives: %s", ib_cstr(x->reg->cfg.instance),
                       rival_text(x, &arena));
    ib_arena_fini(&arena);
}

int reg_rival_check(struct reg *reg, struct ib_err *err)
{
    struct rivals *x = reg_part_state(reg, &reg_rival_part);
    if (!reg->cfg.master || reg->cfg.second_master)
        return 0;
    if (!search(x, check_done))
        return ib_err_set(err, IB_ENOMEM, "out of memory");
    int64_t deadline = ib_clock_ms() + ALL_MS;
    while (!x->checked && ib_clock_ms() < deadline)
        ic_loop_run_once(reg->loop, 100);
    if (!x->checked)
        forget_search(x);
    if (!x->found || reg->cfg.read_only)
        return 0;
    return ib_err_set(
        err, IB_ECONFIG,
        "another master of `%s' runs, so this registry does not start as one: give it a name of its own "
        "(IceGrid.Registry.ReplicaName) and the other's endpoints in Ice.Default.Locator, and it becomes its slave, if "
        "need be with --initdb-from-replica=Master; stop the other first if this one shall be the master; or start it "
        "with --readonly to look at its data, or with Moulin.Registry.SecondMaster=1 if you know better",
        ib_cstr(reg->cfg.instance));
}

bool reg_rival_found(const struct reg *reg)
{
    const struct rivals *x = reg_part_state(reg, &reg_rival_part);
    return x && x->found;
}

/* --- while it runs ---------------------------------------------------------------------------------------------- */

static int64_t session_ms(const struct reg *reg)
{
    int64_t ms = reg_session_ms(reg->cfg.replica_session_timeout);
    return ms ? ms : ENDLESS_MS;
}

static void start_timer(struct rivals *x)
{
    int64_t ms = session_ms(x->reg) / 2;
    ic_timer_start(&x->timer, ms < WATCH_MIN_MS ? WATCH_MIN_MS : ms);
}

static bool lost_slaves(const struct rivals *x)
{
    return x->reg->replication && x->reg->replication->followed && reg_slaves_following(x->reg) == 0;
}

static void watch_done(struct rivals *x)
{
    struct reg *reg = x->reg;
    struct ib_arena arena;
    const struct reg_search s = {.found = x->rival,
                                 .took = ib_clock_ms() - x->began,
                                 .limit = session_ms(reg),
                                 .followed = x->followed,
                                 .lost = lost_slaves(x)};
    const enum reg_rival_verdict verdict = reg_judge_rival(&s, &x->away);
    if (verdict == REG_RIVAL_AGAIN) {
        ic_timer_start(&x->timer, 1);
        return;
    }
    ib_arena_init(&arena, 0);
    switch (verdict) {
    case REG_RIVAL_AGAIN:
    case REG_RIVAL_NONE:
        x->reported = false;
        x->looked = ib_clock_ms();
        break;
    case REG_RIVAL_REPORT:
        x->looked = ib_clock_ms();
        if (x->reported)
            break;
        x->reported = true;
        ib_log_error(reg->log, "two masters of `%s' live: this one, and %s: stop one of them",
                     ib_cstr(reg->cfg.instance), rival_text(x, &arena));
        break;
    case REG_RIVAL_STEP_DOWN:
        ib_log_error(
            reg->log,
            "another master of `%s' has taken this one's place while it was frozen or cut off: %s: this one ends, "
            "start it as a slave",
            ib_cstr(reg->cfg.instance), rival_text(x, &arena));
        reg_quit(reg);
        break;
    }
    ib_arena_fini(&arena);
    start_timer(x);
}

static void look(void *arg)
{
    struct rivals *x = arg;
    if (x->finder)
        return;
    if (reg_rival_doubt(x->reg) || lost_slaves(x))
        x->away = true;
    if (!search(x, watch_done))
        start_timer(x);
}

void reg_rival_watch(struct reg *reg)
{
    struct rivals *x = reg_part_state(reg, &reg_rival_part);
    if (reg->cfg.second_master || reg->cfg.read_only)
        return;
    x->looked = ib_clock_ms();
    start_timer(x);
}

bool reg_rival_doubt(const struct reg *reg)
{
    const struct rivals *x = reg_part_state(reg, &reg_rival_part);
    return x && x->looked && ib_clock_ms() - x->looked > session_ms(reg) + ALL_MS;
}

/* --- life ------------------------------------------------------------------------------------------------------- */

static void *rival_start(struct reg *reg, struct ib_err *err)
{
    struct rivals *x = calloc(1, sizeof *x);
    if (!x) {
        ib_err_set(err, IB_ENOMEM, "out of memory");
        return NULL;
    }
    x->reg = reg;
    x->id = reg_identity(reg, "InternalRegistry-" REG_MASTER);
    ic_timer_init(&x->timer, reg->loop, look, x);
    if (reg->cfg.master && reg->cfg.locator.n &&
        ir_runtime_parse_proxy(reg->rt, reg->cfg.locator.p, &reg->arena, &x->locator, err)) {
        ib_err_wrap(err, "property `Ice.Default.Locator'");
        ic_timer_fini(&x->timer);
        free(x);
        return NULL;
    }
    return x;
}

static void rival_stop(void *state)
{
    struct rivals *x = state;
    forget_search(x);
    ic_timer_fini(&x->timer);
    free(x);
}

const struct reg_part reg_rival_part = {"watch for other masters", rival_start, rival_stop};
