/* SPDX-License-Identifier: Apache-2.0 */
/* The replicas of a group that IceGrid deploys: without Nodes.* in the configuration the locator is asked for them at
   the start, so the group is what is deployed then (icestorm 9.3). Each adapter id `<instance><id>.TopicManager' is one
   replica, whose node is found at `<instance><id>.Node'. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include <moulin/base/clock.h>
#include <moulin/rpc/call.h>
#include <slice/IceGrid/Registry_rpc.h>

#include "storm.h"

/* A locator that is away may be about to come; one that does not answer must not hold the start up for ever. */
#define SEARCH_MS 10000
#define RETRY_MS 250
#define ROUND_MS 100

#define INCORRECT "IceGrid deployment is incorrect: "

static const char manager_suffix[] = ".TopicManager", node_suffix[] = ".Node";

struct search {
    struct storm *s;
    struct ib_err *err;
    struct ib_arena arena; /* of the answers */
    int64_t until; /* ib_clock_ms */
    struct iw_identity manager;
    const char *name; /* of the manager's identity, for people */
};

/* --- asking ------------------------------------------------------------------------------------------------------- */

struct answer {
    struct search *x;
    bool done;
    enum ir_outcome outcome;
    void *out;
    char text[300];
};

static void on_answer(void *arg, const struct ir_result *r)
{
    struct answer *a = arg;
    a->done = true;
    a->outcome = r->outcome;
    if (r->outcome == IR_SUCCESS) {
        a->out = ib_arena_alloc(&a->x->arena, r->op->out->size);
        if (!a->out || iw_copy(r->op->out, r->out, &a->x->arena, a->out))
            a->out = NULL;
    }
    snprintf(a->text, sizeof a->text, "%s", "out of memory");
    if (r->outcome != IR_SUCCESS)
        (void)ir_result_text(r, a->text, sizeof a->text);
}

static void wait_until(struct search *x, const bool *done, int64_t until)
{
    while (!*done && ib_clock_ms() < until)
        (void)ic_loop_run_once(x->s->loop, ROUND_MS);
}

static struct answer ask_once(struct search *x, const struct iw_proxy *prx, const struct iw_op *op, const void *in)
{
    struct answer a = {.x = x, .outcome = IR_FAILED_LOCAL, .text = "no answer"};
    int64_t left = x->until - ib_clock_ms();
    int32_t limit = left > 0 ? (int32_t)left : 1;
    const struct ir_call_options opt = {.timeout_ms = limit, .connect_timeout_ms = limit};
    struct ir_call *call = ir_call(x->s->rt, prx, op, &opt, in, on_answer, &a);
    if (call)
        wait_until(x, &a.done, x->until);
    if (call && !a.done)
        ir_call_cancel(call);
    return a;
}

/* The answer, in the arena; NULL with err: there was none in time. */
static const void *ask(struct search *x, const struct iw_proxy *prx, const struct iw_op *op, const void *in)
{
    static const bool never;
    struct answer a = ask_once(x, prx, op, in);
    while (a.outcome == IR_FAILED_LOCAL && ib_clock_ms() + RETRY_MS < x->until) {
        wait_until(x, &never, ib_clock_ms() + RETRY_MS);
        a = ask_once(x, prx, op, in);
    }
    if (!a.out)
        ib_err_set(x->err, IB_EINIT,
                   "%s: the locator does not tell the replicas of `%s' (%s): start the registry, correct "
                   "`Ice.Default.Locator', or list the replicas as `%s.Nodes.<id>'",
                   x->s->cfg.service.p, x->name, a.text, x->s->cfg.service.p);
    return a.out;
}

/* The replicas' topic managers; NULL with err. */
static const struct Ice_ObjectProxySeq *find_replicas(struct search *x)
{
    const struct iw_proxy *locator = ir_runtime_locator(x->s->rt);
    const struct ir_isA_in is_a = {IB_STR("::IceGrid::Locator")};
    if (!locator) {
        ib_err_set(x->err, IB_ECONFIG,
                   INCORRECT "%s has no `Ice.Default.Locator' to ask for the replicas of `%s': set it, or list the "
                             "replicas as `%s.Nodes.<id>'",
                   x->s->cfg.service.p, x->name, x->s->cfg.service.p);
        return NULL;
    }
    const struct ir_isA_out *yes = ask(x, locator, &ir_op_ice_isA, &is_a);
    if (yes && !yes->ret)
        ib_err_set(x->err, IB_ECONFIG,
                   INCORRECT "the locator of %s is not IceGrid's: correct `Ice.Default.Locator', or list the replicas "
                             "as `%s.Nodes.<id>'",
                   x->s->cfg.service.p, x->s->cfg.service.p);
    if (!yes || !yes->ret)
        return NULL;
    const struct IceGrid_Locator_getLocalQuery_out *query = ask(x, locator, &IceGrid_Locator_getLocalQuery_op, NULL);
    if (!query)
        return NULL;
    const struct IceGrid_Query_findAllReplicas_in in = {
        .proxy = ir_proxy_well_known(x->manager.name, x->manager.category, &x->arena)};
    if (!query->ret || !in.proxy) {
        ib_err_set(x->err, query->ret ? IB_ENOMEM : IB_EINIT,
                   query->ret ? "out of memory" : INCORRECT "the locator has no query object");
        return NULL;
    }
    const struct IceGrid_Query_findAllReplicas_out *out = ask(x, query->ret, &IceGrid_Query_findAllReplicas_op, &in);
    return out ? &out->ret : NULL;
}

/* --- nodes -------------------------------------------------------------------------------------------------------- */

/* Length of the adapter id before its suffix, and the number in it; 0: it is not of this kind. */
static size_t parse_id(const struct storm_config *cfg, struct ib_str adapter, int *number)
{
    size_t n = sizeof manager_suffix - 1, at = cfg->instance.n;
    int64_t value = 0;
    if (adapter.n <= at + n || memcmp(adapter.p, cfg->instance.p, at) != 0 ||
        memcmp(adapter.p + adapter.n - n, manager_suffix, n) != 0)
        return 0;
    n = adapter.n - n;
    for (; at < n && adapter.p[at] >= '0' && adapter.p[at] <= '9' && value <= INT_MAX; at++)
        value = 10 * value + (adapter.p[at] - '0');
    *number = (int)value;
    return at > cfg->instance.n && value <= INT_MAX ? n : 0;
}

/* In the order of ids. */
static int insert(struct search *x, struct storm_node node)
{
    struct storm_config *cfg = &x->s->cfg;
    size_t at = cfg->n_nodes;
    if (at == STORM_NODES_MAX)
        return ib_err_set(x->err, IB_ECONFIG, INCORRECT "`%s' has more than %d replicas", x->name, STORM_NODES_MAX);
    while (at && cfg->nodes[at - 1].id > node.id)
        at--;
    if (at && cfg->nodes[at - 1].id == node.id)
        return ib_err_set(x->err, IB_ECONFIG, INCORRECT "two replicas of `%s' have the id %d: give each its own",
                          x->name, node.id);
    memmove(&cfg->nodes[at + 1], &cfg->nodes[at], (cfg->n_nodes++ - at) * sizeof node);
    cfg->nodes[at] = node;
    return 0;
}

static int add_replica(struct search *x, const struct iw_proxy *manager)
{
    struct storm_config *cfg = &x->s->cfg;
    struct ib_str adapter = manager ? manager->adapter_id : IB_STR("");
    struct storm_node node = {0};
    size_t n = parse_id(cfg, adapter, &node.id);
    if (!n)
        return ib_err_set(x->err, IB_ECONFIG,
                          INCORRECT "a replica of `%s' has an adapter with the id `%.*s', which is not `%s<id>%s': "
                                    "correct the id of the adapter or `%s.InstanceName'",
                          x->name, (int)adapter.n, adapter.n ? adapter.p : "", cfg->instance.p, manager_suffix,
                          cfg->service.p);
    if (node.id == cfg->node_id && !ib_str_eq(adapter, cfg->manager_id))
        return ib_err_set(
            x->err, IB_ECONFIG,
            INCORRECT "the replica %d of `%s' has the adapter `%.*s', while `%s.TopicManager.AdapterId' is "
                      "`%s': correct it or `%s.NodeId'",
            node.id, x->name, (int)adapter.n, adapter.p, cfg->service.p, cfg->manager_id.p, cfg->service.p);
    struct iw_proxy prx = *manager;
    prx.id = (struct iw_identity){ib_arena_printf(&x->arena, "node%d", node.id), cfg->instance};
    prx.adapter_id = ib_arena_printf(&x->arena, "%.*s%s", (int)n, adapter.p, node_suffix);
    node.proxy = prx.id.name.p && prx.adapter_id.p ? ir_proxy_format(&prx, IR_UNICODE, &x->s->arena) : IB_STR("");
    return node.proxy.n ? insert(x, node) : ib_err_set(x->err, IB_ENOMEM, "out of memory");
}

static int check(const struct search *x)
{
    const struct storm_config *cfg = &x->s->cfg;
    bool there = false;
    for (size_t i = 0; i < cfg->n_nodes; i++)
        there = there || cfg->nodes[i].id == cfg->node_id;
    if (!there)
        return ib_err_set(x->err, IB_ECONFIG,
                          INCORRECT
                          "`%s' has no adapter `%s' among its replicas (%zu): put the adapter into the replica "
                          "group whose object that is",
                          x->name, cfg->manager_id.p, cfg->n_nodes);
    if (cfg->n_nodes < 3)
        return ib_err_set(x->err, IB_ECONFIG,
                          INCORRECT "replication requires at least 3 Nodes, `%s' has %zu replicas: deploy more",
                          x->name, cfg->n_nodes);
    return 0;
}

int storm_discover(struct storm *s, struct ib_err *err)
{
    struct search x = {
        .s = s, .err = err, .until = ib_clock_ms() + SEARCH_MS, .manager = {IB_STR("TopicManager"), s->cfg.instance}};
    int rc = 0;
    if (s->cfg.node_id < 0 || s->cfg.n_nodes)
        return 0;
    ib_arena_init(&x.arena, 0);
    x.name = ib_cstr(ir_identity_format(&x.manager, IR_UNICODE, &x.arena));
    const struct Ice_ObjectProxySeq *replicas = find_replicas(&x);
    if (!replicas)
        rc = err->code;
    for (size_t i = 0; !rc && i < replicas->n; i++)
        rc = add_replica(&x, replicas->v[i]);
    if (!rc)
        rc = check(&x);
    ib_arena_fini(&x.arena);
    return rc;
}
