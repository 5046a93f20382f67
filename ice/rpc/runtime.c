/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime: makes and owns what a role's connections, adapters and calls share, and takes it down again, gracefully
   within a bound or at once. */
#include "daemon_priv.h"
#include "rpc_priv.h"

#include <moulin/base/clock.h>

#include <stdio.h>
#include <stdlib.h>

/* When Ice.Override.CloseTimeout does not say: how long a shutdown waits for dispatches and for peers to close. */
#define SHUTDOWN_MS 5000

static const struct ib_sm_state runtime_states[IR_RT_STATES] = {
    [IR_RT_ACTIVE] = {"active", IB_SM_BIT(IR_RT_SHUTDOWN_ADAPTERS) | IB_SM_BIT(IR_RT_STOPPED)},
    [IR_RT_SHUTDOWN_ADAPTERS] = {"closing adapters", IB_SM_BIT(IR_RT_SHUTDOWN_CONNS) | IB_SM_BIT(IR_RT_STOPPED)},
    [IR_RT_SHUTDOWN_CONNS] = {"closing connections", IB_SM_BIT(IR_RT_STOPPED)},
    [IR_RT_STOPPED] = {"stopped", IB_SM_BIT(IR_RT_STOPPED)},
};

static void runtime_move(struct ir_runtime *rt, enum ir_runtime_state next)
{
    ib_sm_move(runtime_states, IR_RT_STATES, &rt->state, next);
}

/* --- shutdown ------------------------------------------------------------------------------------------------- */

static void close_all_conns(struct ir_runtime *rt)
{
    IB_LIST_FOREACH_SAFE(n, &rt->conns)
    {
        ir_conn_shut(IB_CONTAINER(n, struct ir_conn, node));
    }
}

static bool adapters_busy(const struct ir_runtime *rt)
{
    IB_LIST_FOREACH(n, &rt->adapters)
    {
        if (ir_adapter_busy(IB_CONTAINER(n, struct ir_adapter, node)))
            return true;
    }
    return false;
}

static void shutdown_done(struct ir_runtime *rt)
{
    runtime_move(rt, IR_RT_STOPPED);
    ic_timer_stop(&rt->shutdown_timer);
    void (*done)(void *) = rt->on_shutdown;
    rt->on_shutdown = NULL;
    if (done)
        done(rt->on_shutdown_arg);
}

/* Adapters go first, for leaving the locator's books needs outgoing connections. */
static void shutdown_step(void *arg)
{
    struct ir_runtime *rt = arg;
    if (rt->state == IR_RT_SHUTDOWN_ADAPTERS && !adapters_busy(rt)) {
        runtime_move(rt, IR_RT_SHUTDOWN_CONNS);
        close_all_conns(rt);
    }
    if (rt->state == IR_RT_SHUTDOWN_CONNS && ib_list_empty(&rt->conns))
        shutdown_done(rt);
}

void ir_runtime_check_shutdown(struct ir_runtime *rt)
{
    if (rt->state == IR_RT_SHUTDOWN_ADAPTERS || rt->state == IR_RT_SHUTDOWN_CONNS)
        ic_loop_defer(rt->loop, &rt->shutdown_check, shutdown_step, rt);
}

static void destroy_conns(struct ir_runtime *rt)
{
    struct ib_err why;
    ib_err_set(&why, IB_EDESTROYED, "%s", ib_err_text(IB_EDESTROYED));
    while (!ib_list_empty(&rt->conns))
        ir_conn_destroy(IB_CONTAINER(rt->conns.next, struct ir_conn, node), &why);
}

static void on_shutdown_timeout(void *arg)
{
    struct ir_runtime *rt = arg;
    if (rt->state == IR_RT_SHUTDOWN_ADAPTERS)
        runtime_move(rt, IR_RT_SHUTDOWN_CONNS);
    destroy_conns(rt);
    ir_runtime_check_shutdown(rt);
}

void ir_runtime_shutdown(struct ir_runtime *rt, void (*done)(void *arg), void *arg)
{
    rt->on_shutdown = done;
    rt->on_shutdown_arg = arg;
    if (rt->state == IR_RT_ACTIVE) {
        runtime_move(rt, IR_RT_SHUTDOWN_ADAPTERS);
        int32_t ms = rt->cfg.close_timeout > 0 ? rt->cfg.close_timeout : SHUTDOWN_MS;
        ic_timer_start(&rt->shutdown_timer, ms);
        IB_LIST_FOREACH_SAFE(n, &rt->adapters)
        {
            ir_adapter_deactivate(IB_CONTAINER(n, struct ir_adapter, node));
        }
    }
    ir_runtime_check_shutdown(rt);
}

/* --- making --------------------------------------------------------------------------------------------------- */

static int open_log(struct ir_runtime *rt, struct ib_err *err)
{
    int r = ir_log_open(rt->props, ir_properties_get(rt->props, "Ice.ProgramName"), &rt->log, err);
    if (rt->log)
        (void)ib_log_hush(rt->log, rt->first != NULL);
    return r;
}

static int open_locator_and_router(struct ir_runtime *rt, struct ib_err *err)
{
    struct iw_proxy *locator = NULL, *router = NULL;
    int r = ir_runtime_property_proxy(rt, "Ice.Default.Locator", &rt->arena, &locator, err);
    if (!r)
        r = ir_runtime_property_proxy(rt, "Ice.Default.Router", &rt->arena, &router, err);
    if (!r && locator)
        r = ir_runtime_set_locator(rt, locator);
    if (!r && router && !(rt->router = ir_router_new(rt, router)))
        r = IB_ENOMEM;
    return r == IB_ENOMEM ? ib_err_set(err, r, "%s", ib_err_text(r)) : r;
}

static int runtime_open(struct ir_runtime *rt, struct ib_err *err)
{
    int r = open_log(rt, err);
    if (!r)
        r = ir_config_read(rt, err);
    if (!r)
        r = ir_proxy_defaults(rt->props, &rt->arena, &rt->defaults, err);
    if (r)
        return r;
    rt->pool = ir_pool_new(rt);
    rt->metrics = ir_metrics_new(rt);
    if (!rt->pool || !rt->metrics)
        return ib_err_set(err, IB_ENOMEM, "%s", ib_err_text(IB_ENOMEM));
    if (rt->first && rt->first->tls)
        rt->tls = ic_tls_ref(rt->first->tls);
    else
        r = ir_config_tls(rt, rt->props, NULL, NULL, &rt->tls, err);
    return r ? r : open_locator_and_router(rt, err);
}

/* Everything but the properties: those are the caller's again when the runtime could not be made. */
static void runtime_close(struct ir_runtime *rt)
{
    ir_locator_free(rt->locator);
    ir_router_free(rt->router);
    ir_datagrams_free(rt->datagrams);
    ir_pool_free(rt->pool);
    ir_metrics_free(rt->metrics);
    ic_tls_unref(rt->tls);
    ic_timer_fini(&rt->shutdown_timer);
    ic_loop_undefer(rt->loop, &rt->shutdown_check);
    ib_log_free(rt->log);
    ib_arena_fini(&rt->arena);
    ir_spares_fini(rt);
    free(rt);
}

static struct ir_runtime *runtime_new(const struct ir_runtime *first, unsigned number, struct ic_loop *loop,
                                      struct ir_properties *props, const struct iw_registry *types, struct ib_err *err)
{
    struct ir_runtime *rt = calloc(1, sizeof(*rt));
    if (!rt) {
        ib_err_set(err, IB_ENOMEM, "%s", ib_err_text(IB_ENOMEM));
        return NULL;
    }
    rt->first = first;
    rt->number = number;
    rt->loop = loop;
    rt->props = props;
    rt->types = types;
    rt->state = IR_RT_ACTIVE;
    ib_random(&rt->next_conn_id, sizeof(rt->next_conn_id));
    rt->next_conn_id &= INT64_MAX;
    ib_arena_init(&rt->arena, 0);
    ib_list_init(&rt->adapters);
    ib_list_init(&rt->conns);
    ib_list_init(&rt->requests);
    ib_list_init(&rt->calls);
    ir_spares_init(rt);
    ic_timer_init(&rt->shutdown_timer, loop, on_shutdown_timeout, rt);
    if (runtime_open(rt, err)) {
        runtime_close(rt);
        return NULL;
    }
    return rt;
}

struct ir_runtime *ir_runtime_new(struct ic_loop *loop, struct ir_properties *props, const struct iw_registry *types,
                                  struct ib_err *err)
{
    return runtime_new(NULL, 0, loop, props, types, err);
}

struct ir_runtime *ir_runtime_new_beside(const struct ir_runtime *first, unsigned number, struct ic_loop *loop,
                                         struct ir_properties *props, struct ib_err *err)
{
    return runtime_new(first, number, loop, props, first->types, err);
}

void ir_runtime_free(struct ir_runtime *rt)
{
    if (!rt)
        return;
    runtime_move(rt, IR_RT_STOPPED);
    rt->on_shutdown = NULL;
    ir_call_fail_all(rt, IB_EDESTROYED);
    while (!ib_list_empty(&rt->adapters))
        ir_adapter_orphan(IB_CONTAINER(rt->adapters.next, struct ir_adapter, node));
    destroy_conns(rt);
    while (!ib_list_empty(&rt->requests)) { /* their handlers still hold them, and answer into nothing */
        struct ir_request *rq = IB_CONTAINER(rt->requests.next, struct ir_request, node);
        ib_list_remove(&rq->node);
        rq->rt = NULL;
        rq->adapter = NULL;
    }
    struct ir_properties *props = rt->props;
    runtime_close(rt);
    ir_properties_free(props);
}

/* --- asking and setting --------------------------------------------------------------------------------------- */

struct ic_loop *ir_runtime_loop(struct ir_runtime *rt)
{
    return rt->loop;
}

struct ir_properties *ir_runtime_properties(struct ir_runtime *rt)
{
    return rt->props;
}

struct ib_log *ir_runtime_log(struct ir_runtime *rt)
{
    return rt->log;
}

const struct iw_registry *ir_runtime_types(struct ir_runtime *rt)
{
    return rt->types;
}

const struct ir_proxy_defaults *ir_runtime_proxy_defaults(struct ir_runtime *rt)
{
    return &rt->defaults;
}

int ir_runtime_trace(struct ir_runtime *rt, const char *category)
{
    char key[200];
    snprintf(key, sizeof(key), "Ice.Trace.%s", category);
    if (ir_properties_has(rt->props, key))
        return ir_properties_int_or(rt->props, NULL, key, 0);
    return ir_properties_int_or(rt->props, NULL, category, 0);
}

int ir_runtime_parse_proxy(struct ir_runtime *rt, const char *text, struct ib_arena *arena, struct iw_proxy **out,
                           struct ib_err *err)
{
    struct ib_str skipped = IB_STR("");
    int r = ir_proxy_parse(ib_str(text), &rt->defaults, arena, out, &skipped, err);
    if (!r && skipped.n && ir_properties_int_or(rt->props, NULL, "Ice.Warn.Endpoints", 1) > 0)
        ib_log_warning(rt->log, "proxy contains unknown endpoints: %s", ib_cstr(skipped));
    return r;
}

int ir_runtime_property_proxy(struct ir_runtime *rt, const char *prop, struct ib_arena *arena, struct iw_proxy **out,
                              struct ib_err *err)
{
    const char *text = ir_properties_get(rt->props, prop);
    *out = NULL;
    if (!*text)
        return 0;
    int r = ir_runtime_parse_proxy(rt, text, arena, out, err);
    const char *hint = r && !rt->cfg.ssl && (strstr(text, ":ssl ") || strstr(text, ":wss "))
                           ? " (ssl and wss need Ice.Plugin.IceSSL=IceSSL:createIceSSL)"
                           : "";
    return r ? ib_err_wrap(err, "property %s (%s)%s", prop, ir_properties_origin(rt->props, prop), hint) : 0;
}

int ir_runtime_set_locator(struct ir_runtime *rt, const struct iw_proxy *locator)
{
    struct ir_locator *l = NULL;
    if (locator && !(l = ir_locator_new(rt, locator)))
        return IB_ENOMEM;
    ir_locator_free(rt->locator);
    rt->locator = l;
    return 0;
}

void ir_runtime_set_guard(struct ir_runtime *rt,
                          bool (*fn)(void *arg, unsigned guard, const struct iw_endpoint *ep,
                                     const struct sockaddr *sa),
                          void *arg)
{
    rt->guard = fn;
    rt->guard_arg = arg;
}

const struct iw_proxy *ir_runtime_locator(struct ir_runtime *rt)
{
    return rt->locator ? ir_locator_proxy(rt->locator) : NULL;
}
