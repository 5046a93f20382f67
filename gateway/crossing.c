/* SPDX-License-Identifier: Apache-2.0 */
/* A callback, or a call of a session's control, that came to one worker and is for a session of another. The request is
   copied, dispatched there as if it had come to that worker's server adapter, and its answer comes back. The request
   stays in dispatch here until then, so the limits of its own connection bound what is on its way. */
#include "router.h"

#include <stdlib.h>

struct gw_crossing {
    struct ib_list node; /* router->crossings of the worker it came to, while somebody waits */
    struct ic_post post;
    struct gw_crew *crew;
    unsigned from, to;
    struct ir_request *rq; /* from's; NULL: nobody waits any more */
    uint8_t type;
    bool bare; /* its context is for the router only */
    struct ib_block *request; /* owns; whoever has the crossing is the only one to touch it, as the answer's */
    struct ir_answer answer;
    bool failed; /* it was not dispatched: there is no such session */
    bool replied;
    uint8_t status;
    struct ib_block *body;
};

static void crossing_free(struct gw_crossing *x)
{
    ib_block_unref(x->request);
    ib_block_unref(x->body);
    free(x);
}

/* --- back --------------------------------------------------------------------------------------------------------- */

static void answer(struct gw_router *r, struct gw_crossing *x)
{
    struct ir_request *rq = x->rq;
    const struct ir_request_info *info = ir_request_info(rq);
    bool from_client = gw_client_of(rq) != NULL;
    const struct ib_span body = {x->body ? x->body->p : NULL, x->body ? x->body->n : 0};
    if (x->failed) {
        ir_request_fail(rq, IR_OBJECT_NOT_EXIST, NULL);
    } else if (info->request_id == 0 || info->type != IC_REQUEST) {
        gw_end_oneway(rq);
    } else if (!x->replied) {
        ir_request_fail_local(rq, IB_ENOMEM, NULL);
    } else if (from_client && gw_reply_overflows(rq, &r->config.server, body.n, NULL)) {
        return;
    } else if (!from_client || !r->config.filters.hide_errors || !gw_hide_status(rq, x->status, body)) {
        ir_request_reply_raw(rq, x->status, body, x->body);
    }
}

static void on_back(void *arg)
{
    struct gw_crossing *x = arg;
    struct gw_router *r = x->crew->workers[x->from].router;
    if (x->rq) {
        ib_list_remove(&x->node);
        answer(r, x);
    }
    crossing_free(x);
}

void gw_crossings_orphan(struct gw_router *r)
{
    while (!ib_list_empty(&r->crossings)) {
        struct gw_crossing *x = IB_CONTAINER(r->crossings.next, struct gw_crossing, node);
        struct ir_request *rq = x->rq;
        ib_list_remove(&x->node);
        x->rq = NULL;
        ir_request_fail(rq, IR_OBJECT_NOT_EXIST, NULL);
    }
}

/* --- there -------------------------------------------------------------------------------------------------------- */

static void on_reply(void *arg, uint8_t status, struct ib_span head, struct ib_span body)
{
    struct gw_crossing *x = arg;
    x->body = ib_block_new(head.n + body.n);
    if (!x->body) {
        return;
    }
    x->replied = true;
    x->status = status;
    if (head.n) {
        memcpy(x->body->p, head.p, head.n);
    }
    if (body.n) {
        memcpy(x->body->p + head.n, body.p, body.n);
    }
}

static void on_end(void *arg)
{
    struct gw_crossing *x = arg;
    gw_crew_post(x->crew, x->from, &x->post, on_back, x);
}

static void on_arrival(void *arg)
{
    struct gw_crossing *x = arg;
    struct gw_router *r = x->crew->workers[x->to].router;
    struct ib_block *request = x->request;
    x->request = NULL; /* from the dispatch on x is somebody else's */
    x->answer = (struct ir_answer){.reply = on_reply, .end = on_end, .arg = x};
    bool dispatched = false;
    if (r && !r->stopping) {
        r->arrives_bare = x->bare;
        dispatched = ir_adapter_dispatch(r->server, request, x->type, &x->answer) == 0;
        r->arrives_bare = false;
    }
    if (!dispatched) {
        x->failed = true;
        on_end(x);
    }
    ib_block_unref(request);
}

void gw_crossing_start(struct gw_router *r, struct ir_request *rq, unsigned to, bool bare)
{
    struct gw_crossing *x = calloc(1, sizeof(*x));
    if (!x || !(x->request = ir_request_copy(rq))) {
        free(x);
        ir_request_fail_local(rq, IB_ENOMEM, NULL);
        return;
    }
    x->crew = r->crew;
    x->from = r->worker;
    x->to = to;
    x->rq = rq;
    x->type = ir_request_info(rq)->type;
    x->bare = bare;
    ib_list_append(&r->crossings, &x->node);
    gw_crew_post(r->crew, to, &x->post, on_arrival, x);
}
