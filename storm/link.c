/* SPDX-License-Identifier: Apache-2.0 */
/* Links between topics (icestorm 5). A link is made in two steps: the other topic, which may be of another service or
   of this very one, is asked where its events go; then the link is a change like any other. */
#include <stdlib.h>

#include "change.h"
#include "replica.h"
#include "storm.h"
#include "trace.h"

#define ASK_TIMEOUT_MS 60000

struct storm_linking {
    struct ib_list node; /* of the service's */
    struct storm *storm;
    struct ir_request *rq;
    struct ir_call *call;
    struct storm_change *change; /* owns; all but the link's proxy */
};

static void linked(void *arg, const struct storm_change *c)
{
    struct ir_request *rq = arg;
    if (c->outcome == STORM_DONE)
        IceStorm_Topic_link_reply(rq, NULL);
    else if (c->outcome == STORM_ELSEWHERE)
        storm_gate_take(c->storm, rq);
    else if (c->outcome == STORM_PRESENT)
        IceStorm_LinkExists_throw(rq, &(struct IceStorm_LinkExists){.name = storm_topic_name(&c->record.id)});
    else if (c->outcome == STORM_GONE)
        ir_request_fail(rq, IR_OBJECT_NOT_EXIST, NULL);
    else
        ir_request_fail(rq, IR_UNKNOWN, c->text);
}

static void linking_free(struct storm_linking *l)
{
    ib_list_remove(&l->node);
    storm_change_free(l->change);
    free(l);
}

/* The other topic's failure is the caller's. */
static void relay_failure(struct ir_request *rq, const struct ir_result *r)
{
    char text[300];
    if (r->outcome == IR_FAILED_STATUS && r->status <= IR_OPERATION_NOT_EXIST)
        ir_request_fail_as(rq, r->status, &r->id, r->facet, r->operation);
    else if (r->outcome == IR_FAILED_LOCAL)
        ir_request_fail_local(rq, r->err.code, r->err.text);
    else
        ir_request_fail(rq, IR_UNKNOWN, ir_result_text(r, text, sizeof text));
}

static void on_link_proxy(void *arg, const struct ir_result *r)
{
    struct storm_linking *l = arg;
    const struct IceStorm_TopicInternal_getLinkProxy_out *out = IceStorm_TopicInternal_getLinkProxy_result(r);
    struct storm_change *c = l->change;
    if (!out) {
        relay_failure(l->rq, r);
    } else if (!out->ret) {
        ir_request_fail(l->rq, IR_UNKNOWN, "the topic to link to gave no proxy for its link");
    } else if (!(c->record.obj = iw_proxy_copy(out->ret, &c->arena))) {
        ir_request_fail(l->rq, IR_UNKNOWN, "out of memory");
    } else {
        const struct storm_topic *t = storm_topic_find(l->storm, c->topic);
        if (t)
            storm_trace_link(t, &c->record.id, c->record.cost);
        l->change = NULL;
        storm_change_submit(c);
    }
    linking_free(l);
}

static struct storm_linking *linking_new(const struct storm_topic *t, struct ir_request *rq, const struct iw_proxy *to,
                                         int cost)
{
    struct storm_linking *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    *l = (struct storm_linking){.storm = t->storm, .rq = rq};
    ib_list_init(&l->node);
    l->change = storm_change_new(t->storm, STORM_ADD_SUBSCRIBER, t->name, linked, rq);
    if (l->change) {
        struct IceStorm_SubscriberRecord *record = &l->change->record;
        record->theTopic = iw_proxy_copy(to, &l->change->arena);
        record->link = true;
        record->cost = cost;
        if (record->theTopic) {
            record->id = record->theTopic->id;
            return l;
        }
    }
    linking_free(l);
    return NULL;
}

void storm_link_start(struct storm_topic *t, struct ir_request *rq, const struct iw_proxy *to, int cost)
{
    static const struct ir_call_options options = {.timeout_ms = ASK_TIMEOUT_MS};
    struct storm_linking *l = linking_new(t, rq, to, cost);
    if (l)
        l->call = IceStorm_TopicInternal_getLinkProxy_call(t->storm->rt, to, &options, NULL, on_link_proxy, l);
    if (!l || !l->call) {
        if (l)
            linking_free(l);
        ir_request_fail(rq, IR_UNKNOWN, "out of memory");
        return;
    }
    ib_list_append(&t->storm->links, &l->node);
}

void storm_links_stop(struct storm *s)
{
    while (!ib_list_empty(&s->links)) {
        struct storm_linking *l = IB_CONTAINER(s->links.next, struct storm_linking, node);
        ir_call_cancel(l->call);
        ir_request_fail(l->rq, IR_UNKNOWN, "the service is shutting down");
        linking_free(l);
    }
}

/* --- the other end ---------------------------------------------------------------------------------------------------
 */

static void forward(void *self, struct ir_request *rq, const struct IceStorm_TopicLink_forward_in *in)
{
    struct storm_topic *t = self;
    t->forwarded++;
    for (size_t i = 0; i < in->events.n; i++) {
        struct storm_event *e = storm_event_from(&in->events.v[i]);
        if (e)
            storm_topic_publish(t, e);
        storm_event_unref(e);
    }
    IceStorm_TopicLink_forward_reply(rq, NULL);
}

const struct IceStorm_TopicLink_servant storm_link_vtable = {.forward = forward};
