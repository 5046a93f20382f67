/* SPDX-License-Identifier: Apache-2.0 */
/* Calls to the objects of a node, which end with its session at the latest: a node that hangs keeps nobody waiting for
   longer than it takes to notice (icegrid-internal 20, row 14). */
#include "nodes_priv.h"

#include <stdlib.h>

struct reg_node_call {
    struct ib_list node; /* in reg_nodes.calls */
    uint64_t serial; /* of the session; 0: none, the call has its deadline only */
    struct ir_call *call;
    ir_reply_fn fn;
    void *arg;
};

static void free_call(struct reg_node_call *c)
{
    ib_list_remove(&c->node);
    free(c);
}

static void on_reply(void *arg, const struct ir_result *r)
{
    struct reg_node_call *c = arg;
    ir_reply_fn fn = c->fn;
    void *fn_arg = c->arg;
    free_call(c);
    fn(fn_arg, r);
}

struct reg_node_call *reg_node_call(struct reg *reg, struct ib_str node, const struct iw_proxy *prx,
                                    const struct iw_op *op, int32_t timeout_ms, const void *in, ir_reply_fn fn,
                                    void *arg)
{
    const struct ir_call_options opt = {.timeout_ms = timeout_ms, .connect_timeout_ms = REG_NODE_CONNECT_MS};
    struct reg_nodes *x = reg_nodes_of(reg);
    const struct reg_node *n = reg_node_find(reg, node);
    struct reg_node_call *c = malloc(sizeof *c);
    if (!c)
        return NULL;
    *c = (struct reg_node_call){.serial = n ? n->serial : 0, .fn = fn, .arg = arg};
    c->call = ir_call(reg->rt, prx, op, &opt, in, on_reply, c);
    if (!c->call) {
        free(c);
        return NULL;
    }
    ib_list_append(&x->calls, &c->node);
    return c;
}

void reg_node_call_cancel(struct reg_node_call *c)
{
    if (!c)
        return;
    ir_call_cancel(c->call);
    free_call(c);
}

/* Those who are told may call again, or cancel others. */
static void fail_calls(struct reg_nodes *x, const uint64_t *serial)
{
    struct ib_list mine;
    ib_list_init(&mine);
    IB_LIST_FOREACH_SAFE(node, &x->calls)
    {
        if (serial && IB_CONTAINER(node, struct reg_node_call, node)->serial != *serial)
            continue;
        ib_list_remove(node);
        ib_list_append(&mine, node);
    }
    struct ir_result lost = {.outcome = IR_FAILED_LOCAL};
    ib_err_set(&lost.err, IB_ELOST, "the node is not active");
    while (!ib_list_empty(&mine)) {
        struct reg_node_call *c = IB_CONTAINER(mine.next, struct reg_node_call, node);
        ir_call_cancel(c->call);
        on_reply(c, &lost);
    }
}

void reg_node_fail_calls(struct reg_nodes *x, uint64_t serial)
{
    fail_calls(x, &serial);
}

void reg_nodes_end(struct reg *reg)
{
    struct reg_nodes *x = reg_nodes_of(reg);
    if (x)
        fail_calls(x, NULL);
}

void reg_node_calls_stop(struct reg_nodes *x)
{
    while (!ib_list_empty(&x->calls))
        reg_node_call_cancel(IB_CONTAINER(x->calls.next, struct reg_node_call, node));
}
