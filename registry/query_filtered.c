/* SPDX-License-Identifier: Apache-2.0 */
#include "query_filtered.h"

#include "load.h"
#include "locate.h"
#include "slices.h"

#include <moulin/wire/codec.h>

/* In the request's arena. */
struct query {
    struct reg *reg;
    struct ir_request *rq;
    enum reg_by_type what;
    int minutes;
    struct Ice_ObjectProxySeq given;
    struct reg_filtering *filtering;
};

static void answer(struct query *q, struct Ice_ObjectProxySeq left, size_t chosen)
{
    struct iw_proxy *one = chosen < left.n ? left.v[chosen] : NULL;
    switch (q->what) {
    case REG_ALL_OF_TYPE:
        IceGrid_Query_findAllObjectsByType_reply(q->rq, &(struct IceGrid_Query_findAllObjectsByType_out){.ret = left});
        break;
    case REG_ANY_OF_TYPE:
        IceGrid_Query_findObjectByType_reply(q->rq, &(struct IceGrid_Query_findObjectByType_out){.ret = one});
        break;
    case REG_LEAST_LOADED_OF_TYPE:
        IceGrid_Query_findObjectByTypeOnLeastLoadedNode_reply(
            q->rq, &(struct IceGrid_Query_findObjectByTypeOnLeastLoadedNode_out){.ret = one});
        break;
    }
}

static const struct Ice_ObjectProxySeq nobody = {0, NULL};

/* Any of those with the least load, each as likely. */
static size_t least_loaded(const struct query *q, const struct Ice_ObjectProxySeq *left)
{
    size_t best = 0, alike = 0;
    double least = 0;
    for (size_t i = 0; i < left->n; i++) {
        double load = reg_adapter_load(q->reg, left->v[i]->adapter_id, q->minutes);
        if (alike && load > least)
            continue;
        alike = alike && load == least ? alike + 1 : 1;
        least = load;
        if (reg_random_below(alike) == 0)
            best = i;
    }
    return best;
}

static void on_filtered(void *arg, const struct Ice_ObjectProxySeq *said)
{
    struct query *q = arg;
    struct ib_arena *arena = ir_request_arena(q->rq);
    size_t *order = IB_ARENA_ARRAY(arena, q->given.n, size_t);
    struct Ice_ObjectProxySeq left = {0, IB_ARENA_ARRAY(arena, q->given.n, struct iw_proxy *)};
    size_t n = order && left.v ? reg_filtered_proxies(&q->given, said, arena, order) : SIZE_MAX, chosen = 0;
    ir_request_on_cancel(q->rq, NULL, NULL);
    if (n == SIZE_MAX) {
        ir_request_fail(q->rq, IR_UNKNOWN, "out of memory");
        return;
    }
    for (; left.n < n; left.n++)
        left.v[left.n] = q->given.v[order[left.n]];
    if (n && q->what != REG_ALL_OF_TYPE)
        chosen = q->what == REG_ANY_OF_TYPE ? reg_random_below(n) : least_loaded(q, &left);
    answer(q, left, chosen);
}

static void on_caller_gone(void *arg, struct ir_request *rq)
{
    struct query *q = arg;
    (void)rq;
    reg_filtering_cancel(q->filtering);
    answer(q, nobody, 0);
}

/* The objects do not outlast this turn of the loop: what is asked about later is a copy. */
static int copy_given(struct query *q, const struct reg_object *list, size_t n)
{
    struct ib_arena *arena = ir_request_arena(q->rq);
    q->given.v = IB_ARENA_ARRAY(arena, n, struct iw_proxy *);
    for (; q->given.v && q->given.n < n; q->given.n++) {
        const struct ib_span stored = list[q->given.n].proxy;
        struct ib_str bytes = ib_arena_str(arena, (struct ib_str){(const char *)stored.p, stored.n});
        struct ib_span in = {(const uint8_t *)bytes.p, bytes.n};
        int rc = bytes.p ? iw_proxy_decode(&in, IW_ENCODING_1_1, arena, &q->given.v[q->given.n]) : IB_ENOMEM;
        if (rc)
            return rc;
    }
    return q->given.v ? 0 : IB_ENOMEM;
}

void reg_query_filtered(struct reg *reg, struct ir_request *rq, struct reg_filter *filter, enum reg_by_type what,
                        struct ib_str type, int minutes, const struct reg_object *list, size_t n)
{
    struct query *q = IB_ARENA_NEW(ir_request_arena(rq), struct query);
    if (!q) {
        ir_request_fail(rq, IR_UNKNOWN, "out of memory");
        return;
    }
    *q = (struct query){.reg = reg, .rq = rq, .what = what, .minutes = minutes};
    if (n == 0) {
        answer(q, nobody, 0);
        return;
    }
    if (copy_given(q, list, n) == 0)
        q->filtering = reg_filter_type(filter, rq, type, &q->given, on_filtered, q);
    if (q->filtering)
        ir_request_on_cancel(rq, on_caller_gone, q);
    else
        ir_request_fail(rq, IR_UNKNOWN, "out of memory");
}
