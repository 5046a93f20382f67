/* SPDX-License-Identifier: Apache-2.0 */
/* A client that reads, over the network, from one replica at a time: what it asks a replica that is healthy is answered
   soon, whatever happens to the others. */
#include "cluster.h"

#include <stdio.h>
#include <stdlib.h>

#include <moulin/net/loop.h>
#include <moulin/rpc/runtime.h>
#include <slice/registry.h>

#include "slices.h"

#define ANSWER_MS 10000

struct question {
    struct sim_replica *to;
    int item;
    int64_t asked;
    unsigned node_starts; /* so far: the question is put anew to a node that comes back */
};

static struct sim_proc *proc;
static struct ic_loop *loop;
static struct ir_runtime *rt;
static bool ending;

void sim_reader_start(struct sim_proc *p)
{
    struct ib_err err = {0};
    struct ir_properties *props = sim_properties();
    proc = sim_current = p;
    loop = ic_loop_new(&err);
    rt = loop && props ? ir_runtime_new(loop, props, &slice_registry, &err) : NULL;
    sim_current = NULL;
    if (!rt)
        sim_fail("cannot start the reader: %s", err.text);
}

void sim_reader_end(void)
{
    ending = true;
    sim_current = proc;
    ir_runtime_free(rt);
    ic_loop_free(loop);
    sim_current = NULL;
}

/* The proxy of an answer; false: there was none. */
static bool proxy_of(const struct ir_result *r, const struct iw_proxy **prx)
{
    const struct IceGrid_Query_findObjectById_out *object = IceGrid_Query_findObjectById_result(r);
    const struct Ice_Locator_findAdapterById_out *adapter = Ice_Locator_findAdapterById_result(r);
    *prx = object ? object->ret : adapter ? adapter->ret : NULL;
    return object || adapter || (r->outcome == IR_THROWN && r->exception == &Ice_AdapterNotFoundException_class);
}

static void on_answer(void *arg, const struct ir_result *r)
{
    struct question q = *(struct question *)arg;
    const struct iw_proxy *prx;
    free(arg);
    if (ending)
        return;
    if (proxy_of(r, &prx)) {
        sim_counts.answered++;
        sim_model_read(q.item, q.asked, prx ? (uint16_t)prx->endpoints[0].port : 0, q.to->name);
    } else if (q.to->healthy_since <= q.asked && q.node_starts == sim_counts.node_starts) {
        char text[256];
        sim_fail("%s is healthy and has not answered what was asked at %.6f s: %s", q.to->name, (double)q.asked / 1e6,
                 ir_result_text(r, text, sizeof text));
    }
}

/* --- when all are equal ----------------------------------------------------------------------------------------- */

struct proof {
    struct sim_replica *of;
    int item;
    bool there;
};

static unsigned unproved;

static void on_proof(void *arg, const struct ir_result *r)
{
    struct proof p = *(struct proof *)arg;
    const struct iw_proxy *prx;
    char text[256];
    free(arg);
    if (ending)
        return;
    unproved--;
    if (!proxy_of(r, &prx))
        sim_fail("%s does not answer for a deployed adapter: %s", p.of->name, ir_result_text(r, text, sizeof text));
    if (p.there ? !prx || prx->endpoints[0].port != SIM_NODE_PORT + sim_model_node(p.item) : r->outcome == IR_SUCCESS)
        sim_fail("%s answers for the adapter of application %d, which is %sdeployed, with %d", p.of->name, p.item,
                 p.there ? "" : "not ", prx ? (int)prx->endpoints[0].port : 0);
    sim_counts.found += p.there;
}

static void prove(struct sim_replica *of, int item, const char *name, bool there)
{
    const struct ir_call_options opt = {.timeout_ms = ANSWER_MS, .connect_timeout_ms = ANSWER_MS};
    struct proof *p = malloc(sizeof *p);
    struct ib_arena arena;
    struct iw_proxy *to;
    struct ib_err err;
    char text[64], id[32];
    if (!p)
        sim_fail("out of memory");
    *p = (struct proof){of, item, there};
    snprintf(text, sizeof text, "Test/Locator:tcp -h 10.0.0.%d -p %d", of->proc->id + 1, SIM_CLIENT_PORT);
    snprintf(id, sizeof id, "%s.A", name);
    const struct Ice_Locator_findAdapterById_in in = {.id = ib_str(id)};
    ib_arena_init(&arena, 0);
    if (ir_runtime_parse_proxy(rt, text, &arena, &to, &err) ||
        !Ice_Locator_findAdapterById_call(rt, to, &opt, &in, on_proof, p))
        sim_fail("cannot ask");
    ib_arena_fini(&arena);
    unproved++;
}

void sim_reader_prove(void)
{
    struct sim_proc *before = sim_current;
    sim_current = proc;
    for (int item = 0; sim_n_nodes && item < SIM_ITEMS_MAX; item++) {
        bool there;
        const char *name = sim_model_deployed(item, &there);
        for (int i = 0; name && i < sim_n_replicas; i++)
            prove(&sim_replicas[i], item, name, there);
    }
    sim_current = before;
}

unsigned sim_reader_unproved(void)
{
    return unproved;
}

/* --- at any time -------------------------------------------------------------------------------------------------- */

void sim_reader_read(void)
{
    bool adapter;
    int item;
    const char *name = sim_model_pick(&adapter, &item);
    if (!name)
        return;
    struct question *q = malloc(sizeof *q);
    struct ib_arena arena;
    struct iw_proxy *to;
    struct ib_err err;
    char text[96];
    struct sim_proc *before = sim_current;
    ib_arena_init(&arena, 0);
    sim_current = proc;
    *q = (struct question){&sim_replicas[sim_between(0, sim_n_replicas - 1)], item, sim_now, sim_counts.node_starts};
    snprintf(text, sizeof text, "Test/%s:tcp -h 10.0.0.%d -p %d", adapter ? "Locator" : "Query", q->to->proc->id + 1,
             SIM_CLIENT_PORT);
    const struct ir_call_options opt = {.timeout_ms = sim_model_patience(item), .connect_timeout_ms = ANSWER_MS};
    const struct IceGrid_Query_findObjectById_in in = {.id = {ib_str(name), IB_STR("")}};
    const struct Ice_Locator_findAdapterById_in id = {.id = ib_str(name)};
    if (ir_runtime_parse_proxy(rt, text, &arena, &to, &err) ||
        !(adapter ? Ice_Locator_findAdapterById_call(rt, to, &opt, &id, on_answer, q)
                  : IceGrid_Query_findObjectById_call(rt, to, &opt, &in, on_answer, q)))
        sim_fail("cannot ask");
    sim_current = before;
    sim_counts.reads++;
    ib_arena_fini(&arena);
}
