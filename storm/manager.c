/* SPDX-License-Identifier: Apache-2.0 */
/* The topic manager, and the finder that tells where it is (icestorm 3). */
#include "change.h"
#include "replica.h"
#include "storm.h"

static const char manager_name[] = "TopicManager";

static struct iw_proxy *manager_proxy(const struct storm *s, struct ib_arena *arena)
{
    const struct iw_identity id = {ib_str(manager_name), s->cfg.instance};
    return ir_adapter_proxy(s->manager, &id, arena);
}

struct iw_proxy *storm_own_proxy(struct ir_adapter *a, struct ib_str adapter_id, const struct iw_identity *id,
                                 struct ib_arena *arena)
{
    struct iw_proxy *prx = ir_adapter_proxy(a, id, arena);
    if (prx && prx->adapter_id.n)
        prx->adapter_id = adapter_id;
    return prx;
}

static void fail_nomem(struct ir_request *rq)
{
    ir_request_fail(rq, IR_UNKNOWN, "out of memory");
}

static void created(void *arg, const struct storm_change *c)
{
    struct ir_request *rq = arg;
    struct IceStorm_TopicManager_create_out out = {0};
    if (c->outcome == STORM_PRESENT) {
        IceStorm_TopicExists_throw(rq, &(struct IceStorm_TopicExists){.name = c->topic});
    } else if (c->outcome == STORM_ELSEWHERE) {
        storm_gate_take(c->storm, rq);
    } else if (c->outcome != STORM_DONE) {
        ir_request_fail(rq, IR_UNKNOWN, c->text);
    } else {
        out.ret = storm_topic_proxy(storm_topic_find(c->storm, c->topic), ir_request_arena(rq));
        if (out.ret)
            IceStorm_TopicManager_create_reply(rq, &out);
        else
            fail_nomem(rq);
    }
}

static void create(void *self, struct ir_request *rq, const struct IceStorm_TopicManager_create_in *in)
{
    struct storm_change *c = storm_change_new(self, STORM_CREATE_TOPIC, in->name, created, rq);
    if (c)
        storm_change_submit(c);
    else
        fail_nomem(rq);
}

static void retrieve(void *self, struct ir_request *rq, const struct IceStorm_TopicManager_retrieve_in *in)
{
    const struct storm_topic *t = storm_topic_find(self, in->name);
    struct IceStorm_TopicManager_retrieve_out out = {0};
    if (!t) {
        IceStorm_NoSuchTopic_throw(rq, &(struct IceStorm_NoSuchTopic){.name = in->name});
        return;
    }
    out.ret = storm_topic_proxy(t, ir_request_arena(rq));
    if (out.ret)
        IceStorm_TopicManager_retrieve_reply(rq, &out);
    else
        fail_nomem(rq);
}

static void retrieve_all(void *self, struct ir_request *rq, const struct IceStorm_TopicManager_retrieveAll_in *in)
{
    const struct storm *s = self;
    struct ib_arena *arena = ir_request_arena(rq);
    struct IceStorm_TopicManager_retrieveAll_out out = {0};
    (void)in;
    out.ret.v = IB_ARENA_ARRAY(arena, s->n_topics, struct IceStorm_TopicDict_entry);
    bool good = out.ret.v != NULL;
    for (size_t i = 0; good && i < s->n_topics; i++) {
        struct iw_proxy *prx = storm_topic_proxy(s->topics[i], arena);
        out.ret.v[out.ret.n++] = (struct IceStorm_TopicDict_entry){s->topics[i]->name, prx};
        good = prx != NULL;
    }
    if (good)
        IceStorm_TopicManager_retrieveAll_reply(rq, &out);
    else
        fail_nomem(rq);
}

static void get_slice_checksums(void *self, struct ir_request *rq,
                                const struct IceStorm_TopicManager_getSliceChecksums_in *in)
{
    (void)self, (void)in;
    IceStorm_TopicManager_getSliceChecksums_reply(rq, &(struct IceStorm_TopicManager_getSliceChecksums_out){0});
}

static void get_replica_node(void *self, struct ir_request *rq,
                             const struct IceStorm_TopicManagerInternal_getReplicaNode_in *in)
{
    const struct storm *s = self;
    (void)in;
    const struct IceStorm_TopicManagerInternal_getReplicaNode_out out = {
        .ret = s->replica ? storm_replica_node_proxy(s->replica) : NULL};
    IceStorm_TopicManagerInternal_getReplicaNode_reply(rq, &out);
}

static const struct IceStorm_TopicManagerInternal_servant manager_vtable = {
    .create = create,
    .retrieve = retrieve,
    .retrieveAll = retrieve_all,
    .getSliceChecksums = get_slice_checksums,
    .getReplicaNode = get_replica_node,
};

static void get_topic_manager(void *self, struct ir_request *rq, const struct IceStorm_Finder_getTopicManager_in *in)
{
    (void)in;
    const struct IceStorm_Finder_getTopicManager_out out = {.ret = manager_proxy(self, ir_request_arena(rq))};
    if (out.ret)
        IceStorm_Finder_getTopicManager_reply(rq, &out);
    else
        fail_nomem(rq);
}

static const struct IceStorm_Finder_servant finder_vtable = {.getTopicManager = get_topic_manager};

int storm_manager_add(struct storm *s, struct ib_err *err)
{
    const struct iw_identity id = {ib_str(manager_name), s->cfg.instance};
    const struct iw_identity finder = {IB_STR("Finder"), IB_STR("IceStorm")};
    s->manager_servant =
        (struct ir_servant){.iface = &IceStorm_TopicManagerInternal_iface, .vtable = &manager_vtable, .self = s};
    s->finder_servant = (struct ir_servant){.iface = &IceStorm_Finder_iface, .vtable = &finder_vtable, .self = s};
    int rc = ir_adapter_add(s->manager, &id, "", &s->manager_servant);
    if (!rc && !s->cfg.transient) /* as the original */
        rc = ir_adapter_add(s->manager, &finder, "", &s->finder_servant);
    return rc ? ib_err_set(err, rc, "cannot make the topic manager: %s", ib_err_text(rc)) : 0;
}
