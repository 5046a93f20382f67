/* SPDX-License-Identifier: Apache-2.0 */
/* IceStorm::TopicInternal (icestorm 3). */
#include "change.h"
#include "replica.h"
#include "storm.h"
#include "trace.h"

static void fail_nomem(struct ir_request *rq)
{
    ir_request_fail(rq, IR_UNKNOWN, "out of memory");
}

/* What every update may end with. True: it has been answered. */
static bool answer_failure(struct ir_request *rq, const struct storm_change *c)
{
    switch (c->outcome) {
    case STORM_GONE:
        ir_request_fail(rq, IR_OBJECT_NOT_EXIST, NULL);
        return true;
    case STORM_FAILED:
    case STORM_DOUBT:
        ir_request_fail(rq, IR_UNKNOWN, c->text);
        return true;
    case STORM_ELSEWHERE:
        storm_gate_take(c->storm, rq);
        return true;
    default:
        return false;
    }
}

static int copy_ids(struct storm_change *c, const struct Ice_IdentitySeq *ids)
{
    return iw_copy(&Ice_IdentitySeq_type, ids, &c->arena, &c->ids);
}

/* --- reading ---------------------------------------------------------------------------------------------------------
 */

static void get_name(void *self, struct ir_request *rq, const struct IceStorm_Topic_getName_in *in)
{
    const struct storm_topic *t = self;
    (void)in;
    IceStorm_Topic_getName_reply(rq, &(struct IceStorm_Topic_getName_out){.ret = t->name});
}

static void get_publisher(void *self, struct ir_request *rq, const struct IceStorm_Topic_getPublisher_in *in)
{
    const struct storm_topic *t = self;
    (void)in;
    const struct IceStorm_Topic_getPublisher_out out = {
        .ret = storm_publish_proxy(t->storm, &t->publisher_id, ir_request_arena(rq))};
    if (out.ret)
        IceStorm_Topic_getPublisher_reply(rq, &out);
    else
        fail_nomem(rq);
}

/* Through a locator: by the id of this service's own adapter, not its group's. */
static void get_non_replicated_publisher(void *self, struct ir_request *rq,
                                         const struct IceStorm_Topic_getNonReplicatedPublisher_in *in)
{
    const struct storm_topic *t = self;
    (void)in;
    const struct IceStorm_Topic_getNonReplicatedPublisher_out out = {
        .ret = storm_own_proxy(t->storm->publish, t->storm->cfg.publish_id, &t->publisher_id, ir_request_arena(rq))};
    if (out.ret)
        IceStorm_Topic_getNonReplicatedPublisher_reply(rq, &out);
    else
        fail_nomem(rq);
}

static void get_link_proxy(void *self, struct ir_request *rq, const struct IceStorm_TopicInternal_getLinkProxy_in *in)
{
    const struct storm_topic *t = self;
    (void)in;
    const struct IceStorm_TopicInternal_getLinkProxy_out out = {
        .ret = storm_publish_proxy(t->storm, &t->link_id, ir_request_arena(rq))};
    if (out.ret)
        IceStorm_TopicInternal_getLinkProxy_reply(rq, &out);
    else
        fail_nomem(rq);
}

static void get_subscribers(void *self, struct ir_request *rq, const struct IceStorm_Topic_getSubscribers_in *in)
{
    const struct storm_topic *t = self;
    struct IceStorm_Topic_getSubscribers_out out = {0};
    (void)in;
    out.ret.v = IB_ARENA_ARRAY(ir_request_arena(rq), t->n_subscribers, struct iw_identity);
    if (!out.ret.v) {
        fail_nomem(rq);
        return;
    }
    IB_LIST_FOREACH(node, &t->subscribers)
    {
        out.ret.v[out.ret.n++] = IB_CONTAINER(node, struct storm_subscriber, node)->record.id;
    }
    IceStorm_Topic_getSubscribers_reply(rq, &out);
}

static void get_link_infos(void *self, struct ir_request *rq, const struct IceStorm_Topic_getLinkInfoSeq_in *in)
{
    const struct storm_topic *t = self;
    struct IceStorm_Topic_getLinkInfoSeq_out out = {0};
    (void)in;
    out.ret.v = IB_ARENA_ARRAY(ir_request_arena(rq), t->n_subscribers, struct IceStorm_LinkInfo);
    if (!out.ret.v) {
        fail_nomem(rq);
        return;
    }
    IB_LIST_FOREACH(node, &t->subscribers)
    {
        const struct storm_subscriber *sub = IB_CONTAINER(node, struct storm_subscriber, node);
        if (sub->record.link && sub->state != STORM_ERROR)
            out.ret.v[out.ret.n++] = (struct IceStorm_LinkInfo){
                .theTopic = sub->record.theTopic, .name = storm_topic_name(&sub->record.id), .cost = sub->record.cost};
    }
    IceStorm_Topic_getLinkInfoSeq_reply(rq, &out);
}

/* --- subscribing -----------------------------------------------------------------------------------------------------
 */

static void subscribed(void *arg, const struct storm_change *c)
{
    struct ir_request *rq = arg;
    struct IceStorm_Topic_subscribeAndGetPublisher_out out = {0};
    if (answer_failure(rq, c))
        return;
    if (c->outcome == STORM_PRESENT) {
        IceStorm_AlreadySubscribed_throw(rq, NULL);
    } else if (c->outcome == STORM_REFUSED) {
        IceStorm_BadQoS_throw(rq, &(struct IceStorm_BadQoS){.reason = ib_str(c->text)});
    } else {
        const struct storm_topic *t = storm_topic_find(c->storm, c->topic);
        const struct storm_subscriber *sub = storm_topic_subscriber(t, &c->record.id);
        out.ret = storm_publish_proxy(c->storm, &sub->publisher_id, ir_request_arena(rq));
        if (out.ret)
            IceStorm_Topic_subscribeAndGetPublisher_reply(rq, &out);
        else
            fail_nomem(rq);
    }
}

static void refuse_null(struct ir_request *rq)
{
    const struct IceStorm_InvalidSubscriber ex = {.reason = IB_STR("subscriber is a null proxy")};
    IceStorm_InvalidSubscriber_throw(rq, &ex);
}

static void subscribe(void *self, struct ir_request *rq, const struct IceStorm_Topic_subscribeAndGetPublisher_in *in)
{
    const struct storm_topic *t = self;
    storm_trace_subscribe(t, in->subscriber, &in->theQoS);
    if (!in->subscriber) {
        refuse_null(rq);
        return;
    }
    struct storm_change *c = storm_change_new(t->storm, STORM_ADD_SUBSCRIBER, t->name, subscribed, rq);
    const struct IceStorm_SubscriberRecord record = {
        .id = in->subscriber->id, .obj = in->subscriber, .theQoS = in->theQoS};
    if (!c || iw_copy(&IceStorm_SubscriberRecord_type, &record, &c->arena, &c->record)) {
        storm_change_free(c);
        fail_nomem(rq);
        return;
    }
    storm_change_submit(c);
}

static void removed(void *arg, const struct storm_change *c)
{
    if (!answer_failure(arg, c))
        IceStorm_Topic_unsubscribe_reply(arg, NULL);
}

static void unsubscribe(void *self, struct ir_request *rq, const struct IceStorm_Topic_unsubscribe_in *in)
{
    const struct storm_topic *t = self;
    storm_trace_unsubscribe(t, in->subscriber);
    if (!in->subscriber) {
        refuse_null(rq);
        return;
    }
    struct storm_change *c = storm_change_new(t->storm, STORM_REMOVE_SUBSCRIBERS, t->name, removed, rq);
    if (!c || copy_ids(c, &(struct Ice_IdentitySeq){1, &in->subscriber->id})) {
        storm_change_free(c);
        fail_nomem(rq);
        return;
    }
    storm_change_submit(c);
}

static void reaped(void *arg, const struct storm_change *c)
{
    if (c->outcome == STORM_ELSEWHERE)
        IceStorm_ReapWouldBlock_throw(arg, NULL);
    else if (!answer_failure(arg, c))
        IceStorm_TopicInternal_reap_reply(arg, NULL);
}

static void reap(void *self, struct ir_request *rq, const struct IceStorm_TopicInternal_reap_in *in)
{
    const struct storm_topic *t = self;
    if (t->storm->replica && !storm_replica_leads(t->storm->replica)) {
        IceStorm_ReapWouldBlock_throw(rq, NULL);
        return;
    }
    struct storm_change *c = storm_change_new(t->storm, STORM_REMOVE_SUBSCRIBERS, t->name, reaped, rq);
    if (!c || copy_ids(c, &in->id)) {
        storm_change_free(c);
        fail_nomem(rq);
        return;
    }
    storm_change_submit(c);
}

/* --- links
 * ------------------------------------------------------------------------------------------------------------- */

static void link_to(void *self, struct ir_request *rq, const struct IceStorm_Topic_link_in *in)
{
    if (in->linkTo)
        storm_link_start(self, rq, in->linkTo, in->cost);
    else
        ir_request_fail(rq, IR_UNKNOWN, "the topic to link to is a null proxy");
}

static void unlinked(void *arg, const struct storm_change *c)
{
    if (answer_failure(arg, c))
        return;
    if (c->outcome == STORM_ABSENT)
        IceStorm_NoSuchLink_throw(arg, &(struct IceStorm_NoSuchLink){.name = storm_topic_name(&c->record.id)});
    else
        IceStorm_Topic_unlink_reply(arg, NULL);
}

static void unlink_from(void *self, struct ir_request *rq, const struct IceStorm_Topic_unlink_in *in)
{
    const struct storm_topic *t = self;
    if (!in->linkTo) {
        ir_request_fail(rq, IR_UNKNOWN, "the topic to unlink is a null proxy");
        return;
    }
    storm_trace_unlink(t, &in->linkTo->id);
    struct storm_change *c = storm_change_new(t->storm, STORM_REMOVE_SUBSCRIBERS, t->name, unlinked, rq);
    if (!c || copy_ids(c, &(struct Ice_IdentitySeq){1, &in->linkTo->id})) {
        storm_change_free(c);
        fail_nomem(rq);
        return;
    }
    c->record.id = c->ids.v[0];
    storm_change_submit(c);
}

/* --- the end
 * ------------------------------------------------------------------------------------------------------------- */

static void destroyed(void *arg, const struct storm_change *c)
{
    if (!answer_failure(arg, c))
        IceStorm_Topic_destroy_reply(arg, NULL);
}

static void destroy(void *self, struct ir_request *rq, const struct IceStorm_Topic_destroy_in *in)
{
    const struct storm_topic *t = self;
    (void)in;
    storm_trace_destroy(t);
    struct storm_change *c = storm_change_new(t->storm, STORM_DESTROY_TOPIC, t->name, destroyed, rq);
    if (c)
        storm_change_submit(c);
    else
        fail_nomem(rq);
}

const struct IceStorm_TopicInternal_servant storm_topic_vtable = {
    .getName = get_name,
    .getPublisher = get_publisher,
    .getNonReplicatedPublisher = get_non_replicated_publisher,
    .getLinkProxy = get_link_proxy,
    .getSubscribers = get_subscribers,
    .getLinkInfoSeq = get_link_infos,
    .subscribeAndGetPublisher = subscribe,
    .unsubscribe = unsubscribe,
    .reap = reap,
    .link = link_to,
    .unlink = unlink_from,
    .destroy = destroy,
};
