/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and calls that have ended, kept for the next ones with the memory they had grown: forwarding a message takes
   one of each, and what malloc would do for them is a good part of what we do for it. */
#include "rpc_priv.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#ifdef MOULIN_SANITIZED
enum { SPARES_MAX = 0 }; /* sanitizers watch each piece only when malloc gives it */
#else
enum { SPARES_MAX = 64 }; /* of each kind: what many clients have under way at once */
#endif
enum { HEAD_MAX = 256 }; /* bytes of a header: a longer one is not kept */

static struct ib_list *pop(struct ir_spares *s)
{
    struct ib_list *node = s->list.prev; /* the one that is still in the cache */
    if (ib_list_empty(&s->list))
        return NULL;
    ib_list_remove(node);
    s->n--;
    return node;
}

static bool push(struct ir_spares *s, struct ib_list *node, struct ib_arena *arena)
{
    if (s->n + 1 > SPARES_MAX || !ib_arena_recycle(arena))
        return false;
    ib_list_append(&s->list, node);
    s->n++;
    return true;
}

void ir_spares_init(struct ir_runtime *rt)
{
    ib_list_init(&rt->spare_calls.list);
    ib_list_init(&rt->spare_requests.list);
}

static void call_destroy(struct ir_call *c)
{
    ib_arena_fini(&c->arena);
    ib_buf_fini(&c->head);
    free(c);
}

static void request_destroy(struct ir_request *rq)
{
    ib_arena_fini(&rq->arena);
    free(rq);
}

void ir_spares_fini(struct ir_runtime *rt)
{
    struct ib_list *node;
    while ((node = pop(&rt->spare_calls)))
        call_destroy(IB_CONTAINER(node, struct ir_call, node));
    while ((node = pop(&rt->spare_requests)))
        request_destroy(IB_CONTAINER(node, struct ir_request, node));
}

struct ir_call *ir_call_take(struct ir_runtime *rt)
{
    struct ib_list *node = pop(&rt->spare_calls);
    struct ir_call *c = node ? IB_CONTAINER(node, struct ir_call, node) : malloc(sizeof(*c));
    if (!c)
        return NULL;
    if (!node) {
        ib_arena_init(&c->arena, rt->cfg.arena_limit);
        ib_buf_init(&c->head);
    }
    memset(c, 0, offsetof(struct ir_call, arena));
    c->failure.code = 0;
    c->failure.text[0] = '\0';
    return c;
}

void ir_call_give(struct ir_runtime *rt, struct ir_call *c)
{
    if (c->head.cap > HEAD_MAX)
        ib_buf_fini(&c->head);
    ib_buf_clear(&c->head);
    if (!push(&rt->spare_calls, &c->node, &c->arena))
        call_destroy(c);
}

struct ir_request *ir_request_take(struct ir_runtime *rt)
{
    struct ib_list *node = pop(&rt->spare_requests);
    struct ir_request *rq = node ? IB_CONTAINER(node, struct ir_request, node) : malloc(sizeof(*rq));
    if (!rq)
        return NULL;
    if (!node)
        ib_arena_init(&rq->arena, rt->cfg.arena_limit);
    memset(rq, 0, offsetof(struct ir_request, arena));
    return rq;
}

void ir_request_give(struct ir_runtime *rt, struct ir_request *rq)
{
    ib_block_unref(rq->info.block);
    if (!rt || !push(&rt->spare_requests, &rq->node, &rq->arena)) /* NULL: answered when the runtime had gone */
        request_destroy(rq);
}
