/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to nodes for the direct proxies of adapters, one per adapter, shared by all who ask meanwhile
   (icegrid-internal 13.1).

       PLACING -> ASKING -> (answered) | ACTIVATING -> (answered) */
#include "activation.h"

#include <stdio.h>
#include <stdlib.h>

#include <moulin/base/sm.h>
#include <moulin/net/loop.h>

#define ASK_MS 30000 /* of a node that answers from memory */
#define SILENCE_MS 1000 /* a node that is well has answered long before */
#define REQUESTS_MAX 200000
#define REQUESTS_PER_ADAPTER_MAX 50000

enum state { PLACING, ASKING, ACTIVATING, OVER, STATE_MAX };

static const struct ib_sm_state states[STATE_MAX] = {
    [PLACING] = {"placing", IB_SM_BIT(ASKING) | IB_SM_BIT(OVER)},
    [ASKING] = {"asking", IB_SM_BIT(ACTIVATING) | IB_SM_BIT(OVER)},
    [ACTIVATING] = {"activating", IB_SM_BIT(OVER)},
    [OVER] = {"over", 0},
};

struct reg_direct_request {
    struct ib_list node; /* in the question's */
    struct question *question;
    uint8_t mode; /* enum reg_direct_mode */
    bool told, told_silent; /* that its server is being started; that its node says nothing */
    reg_direct_fn fn;
    void *arg;
};

struct question {
    struct reg_activations *all;
    uint8_t state;
    bool silent; /* no word from the node in SILENCE_MS */
    struct ib_list requests;
    size_t n_requests;
    struct ib_arena arena; /* of what follows: the server's object on its node may change meanwhile */
    struct ib_str server, node;
    int32_t wait_ms; /* what an activation may take */
    struct iw_proxy *adapter; /* on the node */
    struct reg_placement_wait *wait;
    struct reg_node_call *call;
    struct ic_deferred later;
    struct ic_timer silence;
    uint64_t silent_node; /* counted in reg_node.silent of the session with that serial; 0: not */
    UT_hash_handle hh;
    char id[];
};

struct reg_activations {
    struct reg *reg;
    struct question *questions; /* hash by adapter id; those that are not over */
    size_t n_requests;
    bool ended;
};

static void move(struct question *q, enum state next)
{
    ib_sm_move(states, STATE_MAX, &q->state, next);
}

/* --- answers -------------------------------------------------------------------------------------------------------
 */

static void free_request(struct reg_direct_request *r)
{
    ib_list_remove(&r->node);
    r->question->n_requests--;
    r->question->all->n_requests--;
    free(r);
}

void reg_direct_cancel(struct reg_direct_request *r)
{
    if (r)
        free_request(r);
}

/* What one question finds out counts for all others to the same node, as long as it is not answered. */
static void mark_silent(struct question *q)
{
    struct reg_node *node = q->state == ASKING && !q->silent_node ? reg_node_find(q->all->reg, q->node) : NULL;
    q->silent = true;
    if (!node)
        return;
    node->silent++;
    q->silent_node = node->serial;
}

static void unmark_silent(struct question *q)
{
    struct reg_node *node = q->silent_node ? reg_node_find(q->all->reg, q->node) : NULL;
    if (node && node->serial == q->silent_node)
        node->silent--;
    q->silent_node = 0;
    q->silent = false;
}

static void free_question(struct question *q)
{
    unmark_silent(q);
    ic_loop_undefer(q->all->reg->loop, &q->later);
    ic_timer_fini(&q->silence);
    reg_placement_cancel(q->wait);
    reg_node_call_cancel(q->call);
    ib_arena_fini(&q->arena);
    free(q);
}

/* Everybody has the last word; new requests make a new question. */
static void answer(struct question *q, const struct reg_direct *d)
{
    HASH_DEL(q->all->questions, q);
    move(q, OVER);
    if (d->outcome != REG_DIRECT_ACTIVE)
        reg_trace(q->all->reg, REG_TRACE_LOCATOR, 1, "couldn't resolve adapter `%s' endpoints:\n%s", q->id,
                  ib_cstr(d->reason));
    while (!ib_list_empty(&q->requests)) {
        struct reg_direct_request *r = IB_CONTAINER(q->requests.next, struct reg_direct_request, node);
        reg_direct_fn fn = r->fn;
        void *arg = r->arg;
        free_request(r);
        fn(arg, d);
    }
    free_question(q);
}

static void answer_failed(struct question *q, enum reg_direct_outcome outcome, const char *reason)
{
    const struct reg_direct d = {.outcome = outcome, .reason = ib_str(reason)};
    answer(q, &d);
}

static void answer_proxy(struct question *q, struct iw_proxy *proxy)
{
    const struct reg_direct d = {.outcome = REG_DIRECT_ACTIVE, .proxy = proxy};
    answer(q, &d);
}

static void take_requests(struct question *q, struct ib_list *mine)
{
    ib_list_init(mine);
    while (!ib_list_empty(&q->requests)) {
        struct ib_list *node = q->requests.next;
        ib_list_remove(node);
        ib_list_append(mine, node);
    }
}

static void tell_silent(struct question *q)
{
    const struct reg_direct silent = {.outcome = REG_DIRECT_SILENT};
    struct ib_list mine;
    take_requests(q, &mine);
    while (!ib_list_empty(&mine)) {
        struct reg_direct_request *r = IB_CONTAINER(mine.next, struct reg_direct_request, node);
        ib_list_remove(&r->node);
        ib_list_append(&q->requests, &r->node);
        if (r->mode != REG_DIRECT_ACTIVATE_TELL || r->told_silent)
            continue;
        r->told_silent = true;
        r->fn(r->arg, &silent);
    }
}

static void on_silence(void *arg)
{
    struct question *q = arg;
    if (q->state >= ACTIVATING)
        return;
    mark_silent(q);
    tell_silent(q);
}

/* Those who only ask need not wait for a start; those who want to know of it are told. */
static void tell_activating(struct question *q)
{
    const struct reg_direct inactive = {
        .outcome = REG_DIRECT_INACTIVE, .activatable = true, .reason = IB_STR("the adapter is not active")};
    const struct reg_direct activating = {.outcome = REG_DIRECT_ACTIVATING};
    struct ib_list mine;
    take_requests(q, &mine);
    while (!ib_list_empty(&mine)) {
        struct reg_direct_request *r = IB_CONTAINER(mine.next, struct reg_direct_request, node);
        reg_direct_fn fn = r->fn;
        void *arg = r->arg;
        if (r->mode == REG_DIRECT_ASK) {
            free_request(r);
            fn(arg, &inactive);
            continue;
        }
        ib_list_remove(&r->node);
        ib_list_append(&q->requests, &r->node);
        if (r->mode != REG_DIRECT_ACTIVATE_TELL || r->told)
            continue;
        r->told = true;
        fn(arg, &activating);
    }
}

/* --- asking the node -----------------------------------------------------------------------------------------------
 */

static void on_activated(void *arg, const struct ir_result *r)
{
    struct question *q = arg;
    const struct IceGrid_Adapter_activate_out *out = IceGrid_Adapter_activate_result(r);
    char text[256];
    q->call = NULL;
    if (out && out->ret)
        answer_proxy(q, out->ret);
    else
        answer_failed(q, out ? REG_DIRECT_INACTIVE : REG_DIRECT_FAILED,
                      out ? "the server did not activate it" : ir_result_text(r, text, sizeof text));
}

static bool wants_activation(const struct question *q)
{
    IB_LIST_FOREACH(node, &q->requests)
    {
        if (IB_CONTAINER(node, struct reg_direct_request, node)->mode != REG_DIRECT_ASK)
            return true;
    }
    return false;
}

static void activate(struct question *q)
{
    q->call = reg_node_call(q->all->reg, q->node, q->adapter, &IceGrid_Adapter_activate_op, q->wait_ms, NULL,
                            on_activated, q);
    if (!q->call) {
        answer_failed(q, REG_DIRECT_FAILED, "out of memory");
        return;
    }
    move(q, ACTIVATING);
    unmark_silent(q);
    tell_activating(q);
}

static void on_asked(void *arg, const struct ir_result *r)
{
    struct question *q = arg;
    const struct IceGrid_Adapter_getDirectProxy_out *out = IceGrid_Adapter_getDirectProxy_result(r);
    const struct IceGrid_AdapterNotActiveException *inactive = IceGrid_AdapterNotActiveException_caught(r);
    char text[256];
    q->call = NULL;
    if (out && out->ret) {
        answer_proxy(q, out->ret);
    } else if (inactive && inactive->activatable && wants_activation(q)) {
        activate(q);
    } else if (inactive || out) {
        const struct reg_direct d = {.outcome = REG_DIRECT_INACTIVE,
                                     .activatable = inactive && inactive->activatable,
                                     .reason = IB_STR("the adapter is not active")};
        answer(q, &d);
    } else {
        answer_failed(q, REG_DIRECT_FAILED, ir_result_text(r, text, sizeof text));
    }
}

static void on_later(void *arg);

static const struct iw_proxy *find_adapter(const struct IceGrid_AdapterPrxDict *adapters, const char *id)
{
    for (size_t i = 0; i < adapters->n; i++)
        if (ib_str_is(adapters->v[i].key, id))
            return adapters->v[i].value;
    return NULL;
}

/* Why it cannot be asked; NULL: it is. */
static const char *ask(struct question *q, const struct reg_placement *p)
{
    struct reg *reg = q->all->reg;
    const struct iw_proxy *adapter = find_adapter(p->adapters, q->id);
    if (!adapter)
        return "the node does not know the adapter";
    int64_t wait_ms = ((int64_t)p->activation_s + p->deactivation_s) * 1000;
    q->wait_ms = wait_ms < INT32_MAX ? (int32_t)wait_ms : INT32_MAX;
    q->adapter = iw_proxy_copy(adapter, &q->arena);
    q->node = ib_arena_str(&q->arena, p->node);
    if (q->adapter && q->node.p)
        q->call =
            reg_node_call(reg, q->node, q->adapter, &IceGrid_Adapter_getDirectProxy_op, ASK_MS, NULL, on_asked, q);
    if (!q->call)
        return "out of memory";
    move(q, ASKING);
    const struct reg_node *node = reg_node_find(reg, q->node);
    if (node && node->silent) {
        mark_silent(q);
        ic_loop_defer(reg->loop, &q->later, on_later, q);
    } else {
        ic_timer_start(&q->silence, SILENCE_MS);
    }
    return NULL;
}

static void on_placed(void *arg, const struct reg_placement *p)
{
    struct question *q = arg;
    q->wait = NULL;
    const char *why = p->outcome == REG_PLACED ? ask(q, p) : ib_cstr(p->reason);
    if (why)
        answer_failed(q, REG_DIRECT_FAILED, why);
}

static void on_later(void *arg)
{
    struct question *q = arg;
    if (q->state == ACTIVATING)
        tell_activating(q);
    else if (q->silent)
        tell_silent(q);
    else if (!q->call && !q->wait)
        answer_failed(q, REG_DIRECT_FAILED, q->all->ended ? "the registry is shutting down" : "out of memory");
}

/* Nobody is told before whoever asked has returned. */
static void begin(struct question *q)
{
    struct reg *reg = q->all->reg;
    struct reg_placement p;
    const struct iw_proxy *adapter = NULL;
    if (q->all->ended) {
        ic_loop_defer(reg->loop, &q->later, on_later, q);
        return;
    }
    if (reg_server_placed(reg, q->server, &p))
        adapter = find_adapter(p.adapters, q->id);
    if (adapter)
        (void)ask(q, &p); /* for want of memory, if it cannot: said later */
    else
        q->wait = reg_server_need(reg, q->server, 0, on_placed, q);
    if (!q->call && !q->wait)
        ic_loop_defer(reg->loop, &q->later, on_later, q);
    else if (q->wait)
        ic_timer_start(&q->silence, SILENCE_MS);
}

/* --- asking us -----------------------------------------------------------------------------------------------------
 */

static struct question *new_question(struct reg_activations *x, const struct reg_adapter *adapter)
{
    struct question *q = calloc(1, sizeof *q + adapter->id.n + 1);
    if (!q)
        return NULL;
    memcpy(q->id, ib_cstr(adapter->id), adapter->id.n);
    q->all = x;
    ib_list_init(&q->requests);
    ic_timer_init(&q->silence, x->reg->loop, on_silence, q);
    ib_arena_init(&q->arena, 0);
    q->arena.first = 512;
    q->server = ib_arena_str(&q->arena, adapter->server->id);
    if (q->server.p)
        HASH_ADD_KEYPTR(hh, x->questions, q->id, adapter->id.n, q);
    if (q->hh.tbl)
        return q;
    ic_timer_fini(&q->silence);
    ib_arena_fini(&q->arena);
    free(q);
    return NULL;
}

static bool is_full(const struct reg_activations *x, const struct question *q)
{
    return x->n_requests >= REQUESTS_MAX || (q && q->n_requests >= REQUESTS_PER_ADAPTER_MAX);
}

struct reg_direct_request *reg_adapter_direct_proxy(struct reg *reg, struct ib_str adapter, enum reg_direct_mode mode,
                                                    reg_direct_fn fn, void *arg)
{
    struct reg_activations *x = reg_part_state(reg, &reg_activation_part);
    const struct reg_adapter *a = reg_catalog_adapter(reg->catalog, adapter);
    struct question *q = NULL;
    HASH_FIND(hh, x->questions, ib_cstr(adapter), adapter.n, q);
    bool fresh = !q;
    struct reg_direct_request *r = !is_full(x, q) && (a || q) ? calloc(1, sizeof *r) : NULL;
    if (r && fresh)
        q = new_question(x, a);
    if (!r || !q) {
        free(r);
        return NULL;
    }
    *r = (struct reg_direct_request){.question = q, .mode = (uint8_t)mode, .fn = fn, .arg = arg};
    ib_list_append(&q->requests, &r->node);
    q->n_requests++;
    x->n_requests++;
    if (fresh)
        begin(q);
    else if (q->state == ACTIVATING || q->silent)
        ic_loop_defer(reg->loop, &q->later, on_later, q);
    return r;
}

void reg_activations_end(struct reg *reg)
{
    struct reg_activations *x = reg_part_state(reg, &reg_activation_part);
    if (!x)
        return;
    x->ended = true;
    while (x->questions)
        answer_failed(x->questions, REG_DIRECT_FAILED, "the registry is shutting down");
}

/* --- life ----------------------------------------------------------------------------------------------------------
 */

static void *activation_start(struct reg *reg, struct ib_err *err)
{
    struct reg_activations *x = calloc(1, sizeof *x);
    if (!x)
        ib_err_set(err, IB_ENOMEM, "out of memory");
    else
        x->reg = reg;
    return x;
}

static void activation_stop(void *state)
{
    struct reg_activations *x = state;
    struct question *q, *next;
    HASH_ITER(hh, x->questions, q, next)
    {
        while (!ib_list_empty(&q->requests))
            free_request(IB_CONTAINER(q->requests.next, struct reg_direct_request, node));
        HASH_DEL(x->questions, q);
        free_question(q);
    }
    free(x);
}

const struct reg_part reg_activation_part = {"activation", activation_start, activation_stop};
