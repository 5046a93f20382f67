/* SPDX-License-Identifier: Apache-2.0 */
/* What other replicas call: the node, the observer that a coordinator tells of changes, and the object that gives away
   the whole database (icestorm 8.3, 8.6). */
#include <moulin/base/clock.h>
#include <stdio.h>

#include "change.h"
#include "replica.h"

static void fail_nomem(struct ir_request *rq)
{
    ir_request_fail(rq, IR_UNKNOWN, "out of memory");
}

/* A peer's text, cut to what a name of ours may have: longer ones are nobody's. */
static void copy_group(char out[ELECTION_NAME_MAX], struct ib_str gn)
{
    int n = gn.n < ELECTION_NAME_MAX ? (int)gn.n : 0;
    snprintf(out, ELECTION_NAME_MAX, "%.*s", n, n ? gn.p : "");
}

/* --- the node ----------------------------------------------------------------------------------------------------- */

static void invitation(void *self, struct ir_request *rq, const struct IceStormElection_Node_invitation_in *in)
{
    struct storm_replica *r = self;
    char group[ELECTION_NAME_MAX];
    copy_group(group, in->gn);
    election_invitation(&r->e, election_index(&r->e, in->j), group);
    IceStormElection_Node_invitation_reply(rq, NULL);
    storm_replica_perform(r);
}

/* The observer is kept when the election counts its owner in. */
static void accept_group(void *self, struct ir_request *rq, const struct IceStormElection_Node_accept_in *in)
{
    struct storm_replica *r = self;
    int from = election_index(&r->e, in->j);
    uint32_t forwarded = 0, before = r->e.up;
    char group[ELECTION_NAME_MAX];
    copy_group(group, in->gn);
    for (size_t i = 0; i < in->forwardedInvites.n; i++) {
        int index = election_index(&r->e, in->forwardedInvites.v[i]);
        forwarded |= index >= 0 ? 1u << index : 0;
    }
    if (from >= 0 && in->observer) {
        election_accept(&r->e, from, group, forwarded, storm_stamp_of(in->llu), in->max);
        struct storm_member *m = &r->members[from];
        if ((r->e.up & ~before) >> from & 1) {
            ib_arena_reset(&m->arena);
            m->observer = iw_proxy_copy(in->observer, &m->arena);
        }
    }
    IceStormElection_Node_accept_reply(rq, NULL);
    storm_replica_perform(r);
}

static void ready(void *self, struct ir_request *rq, const struct IceStormElection_Node_ready_in *in)
{
    struct storm_replica *r = self;
    char group[ELECTION_NAME_MAX];
    bool before = r->e.state == ELECTION_NORMAL;
    copy_group(group, in->gn);
    bool ok = election_ready(&r->e, election_index(&r->e, in->j), group, in->max, in->generation);
    if (!before && r->e.state == ELECTION_NORMAL) {
        ib_arena_reset(&r->coordinator_arena);
        r->coordinator = in->coordinator ? iw_proxy_copy(in->coordinator, &r->coordinator_arena) : NULL;
        storm_replica_watch(r, ir_request_conn(rq));
    }
    if (ok)
        IceStormElection_Node_ready_reply(rq, NULL);
    else
        ir_request_fail(rq, IR_UNKNOWN, "this node is not a member of that group (any more)");
    storm_replica_perform(r);
}

static void are_you_coordinator(void *self, struct ir_request *rq,
                                const struct IceStormElection_Node_areYouCoordinator_in *in)
{
    struct storm_replica *r = self;
    (void)in;
    const struct IceStormElection_Node_areYouCoordinator_out out = {.ret = election_asked(&r->e)};
    IceStormElection_Node_areYouCoordinator_reply(rq, &out);
    storm_replica_perform(r);
}

static void are_you_there(void *self, struct ir_request *rq, const struct IceStormElection_Node_areYouThere_in *in)
{
    const struct storm_replica *r = self;
    char group[ELECTION_NAME_MAX];
    copy_group(group, in->gn);
    const struct IceStormElection_Node_areYouThere_out out = {
        .ret = election_has_member(&r->e, group, election_index(&r->e, in->j))};
    IceStormElection_Node_areYouThere_reply(rq, &out);
}

static void sync_object(void *self, struct ir_request *rq, const struct IceStormElection_Node_sync_in *in)
{
    struct storm_replica *r = self;
    (void)in;
    const struct IceStormElection_Node_sync_out out = {
        .ret = ir_adapter_direct_proxy(r->node, &r->sync_id, ir_request_arena(rq))};
    if (out.ret)
        IceStormElection_Node_sync_reply(rq, &out);
    else
        fail_nomem(rq);
}

static void nodes(void *self, struct ir_request *rq, const struct IceStormElection_Node_nodes_in *in)
{
    const struct storm_replica *r = self;
    size_t n = r->storm->cfg.n_nodes;
    (void)in;
    struct IceStormElection_Node_nodes_out out = {
        .ret.v = IB_ARENA_ARRAY(ir_request_arena(rq), n, struct IceStormElection_NodeInfo)};
    if (!out.ret.v) {
        fail_nomem(rq);
        return;
    }
    for (size_t i = 0; i < n; i++)
        out.ret.v[out.ret.n++] = (struct IceStormElection_NodeInfo){r->members[i].id, r->members[i].node};
    IceStormElection_Node_nodes_reply(rq, &out);
}

static void query(void *self, struct ir_request *rq, const struct IceStormElection_Node_query_in *in)
{
    static const enum IceStormElection_NodeState states[] = {
        [ELECTION_INACTIVE] = IceStormElection_NodeState_NodeStateInactive,
        [ELECTION_ELECTION] = IceStormElection_NodeState_NodeStateElection,
        [ELECTION_REORGANIZATION] = IceStormElection_NodeState_NodeStateReorganization,
        [ELECTION_NORMAL] = IceStormElection_NodeState_NodeStateNormal,
    };
    const struct storm_replica *r = self;
    const struct iw_identity manager = {IB_STR("TopicManager"), r->storm->cfg.instance};
    struct ib_arena *arena = ir_request_arena(rq);
    (void)in;
    struct IceStormElection_Node_query_out out = {
        .ret = {.id = r->storm->cfg.node_id,
                .coord = r->members[r->e.coord].id,
                .group = ib_str(r->e.group),
                .replica = storm_own_proxy(r->storm->manager, r->storm->cfg.manager_id, &manager, arena),
                .state = states[r->e.state],
                .up = {.v = IB_ARENA_ARRAY(arena, ELECTION_NODES_MAX, struct IceStormElection_GroupInfo)},
                .max = r->e.max}};
    if (!out.ret.replica || !out.ret.up.v) {
        fail_nomem(rq);
        return;
    }
    for (int i = 0; i < r->e.cfg.n; i++)
        if (r->e.up >> i & 1)
            out.ret.up.v[out.ret.up.n++] =
                (struct IceStormElection_GroupInfo){r->members[i].id, storm_llu_of(r->e.up_stamp[i])};
    IceStormElection_Node_query_reply(rq, &out);
}

static const struct IceStormElection_Node_servant node_vtable = {
    .invitation = invitation,
    .accept = accept_group,
    .ready = ready,
    .areYouCoordinator = are_you_coordinator,
    .areYouThere = are_you_there,
    .sync = sync_object,
    .nodes = nodes,
    .query = query,
};

/* --- the observer ------------------------------------------------------------------------------------------------- */

static void inconsistent(struct ir_request *rq, const char *why)
{
    const struct IceStormElection_ObserverInconsistencyException ex = {.reason = ib_str(why)};
    IceStormElection_ObserverInconsistencyException_throw(rq, &ex);
}

/* A change the coordinator told: it is on the disk, or this replica is not as the coordinator thinks. */
static void told(void *arg, const struct storm_change *c)
{
    struct ir_request *rq = arg;
    struct storm_replica *r = c->storm->replica;
    char name[200], why[300];
    ib_log_escape(c->topic, name, sizeof name);
    if (c->outcome == STORM_DONE) {
        static const struct iw_op *const ops[] = {
            [STORM_CREATE_TOPIC] = &IceStormElection_ReplicaObserver_createTopic_op,
            [STORM_DESTROY_TOPIC] = &IceStormElection_ReplicaObserver_destroyTopic_op,
            [STORM_ADD_SUBSCRIBER] = &IceStormElection_ReplicaObserver_addSubscriber_op,
            [STORM_REMOVE_SUBSCRIBERS] = &IceStormElection_ReplicaObserver_removeSubscriber_op,
            [STORM_REPLACE] = &IceStormElection_ReplicaObserver_init_op,
        };
        ir_request_reply(rq, ops[c->op], NULL);
    } else if (c->outcome == STORM_PRESENT || c->outcome == STORM_GONE) {
        snprintf(why, sizeof why, "%s: %s", c->outcome == STORM_PRESENT ? "topic exists" : "no topic", name);
        inconsistent(rq, why);
    } else {
        ir_request_fail(rq, IR_UNKNOWN, c->text);
    }
    if (r->stopped)
        return;
    election_applied(&r->e, storm_stamp_of(storm_changes_stamp(c->storm->changes)), c->outcome != STORM_FAILED);
    if (c->outcome != STORM_DONE && c->op != STORM_REPLACE)
        election_disagrees(&r->e, c->stamp.generation);
    storm_replica_perform(r);
}

/* NULL: it has been answered. */
static struct storm_change *begin(struct storm_replica *r, struct ir_request *rq, enum storm_change_op op,
                                  struct IceStormElection_LogUpdate llu, struct ib_str topic)
{
    const char *why = r->stopped            ? "the service is shutting down"
                      : op == STORM_REPLACE ? election_observe_init(&r->e, llu.generation)
                                            : election_observe_update(&r->e, llu.generation);
    if (why) {
        inconsistent(rq, why);
        storm_replica_perform(r);
        return NULL;
    }
    struct storm_change *c = storm_change_new(r->storm, op, topic, told, rq);
    if (c) {
        c->told = true;
        c->stamp = llu;
        return c;
    }
    fail_nomem(rq);
    election_applied(&r->e, r->e.stamp, false);
    storm_replica_perform(r);
    return NULL;
}

static void submit(struct storm_change *c, int rc)
{
    if (rc == 0)
        storm_change_submit(c);
    else
        storm_change_end(c, STORM_FAILED);
}

static void init(void *self, struct ir_request *rq, const struct IceStormElection_ReplicaObserver_init_in *in)
{
    struct storm_change *c = begin(self, rq, STORM_REPLACE, in->llu, ib_str(""));
    if (c)
        submit(c, iw_copy(&IceStormElection_TopicContentSeq_type, &in->content, &c->arena, &c->content));
}

static void create_topic(void *self, struct ir_request *rq,
                         const struct IceStormElection_ReplicaObserver_createTopic_in *in)
{
    struct storm_change *c = begin(self, rq, STORM_CREATE_TOPIC, in->llu, in->name);
    if (c)
        submit(c, 0);
}

static void destroy_topic(void *self, struct ir_request *rq,
                          const struct IceStormElection_ReplicaObserver_destroyTopic_in *in)
{
    struct storm_change *c = begin(self, rq, STORM_DESTROY_TOPIC, in->llu, in->name);
    if (c)
        submit(c, 0);
}

static void add_subscriber(void *self, struct ir_request *rq,
                           const struct IceStormElection_ReplicaObserver_addSubscriber_in *in)
{
    struct storm_change *c = begin(self, rq, STORM_ADD_SUBSCRIBER, in->llu, in->topic);
    if (c)
        submit(c, iw_copy(&IceStorm_SubscriberRecord_type, &in->record, &c->arena, &c->record));
}

static void remove_subscriber(void *self, struct ir_request *rq,
                              const struct IceStormElection_ReplicaObserver_removeSubscriber_in *in)
{
    struct storm_change *c = begin(self, rq, STORM_REMOVE_SUBSCRIBERS, in->llu, in->topic);
    if (c)
        submit(c, iw_copy(&Ice_IdentitySeq_type, &in->subscribers, &c->arena, &c->ids));
}

static const struct IceStormElection_ReplicaObserver_servant observer_vtable = {
    .init = init,
    .createTopic = create_topic,
    .destroyTopic = destroy_topic,
    .addSubscriber = add_subscriber,
    .removeSubscriber = remove_subscriber,
};

/* --- the database ------------------------------------------------------------------------------------------------- */

static void get_content(void *self, struct ir_request *rq,
                        const struct IceStormElection_TopicManagerSync_getContent_in *in)
{
    const struct storm_replica *r = self;
    (void)in;
    struct IceStormElection_TopicManagerSync_getContent_out out = {.llu = storm_changes_stamp(r->storm->changes)};
    if (storm_content_of(r->storm, ir_request_arena(rq), &out.content) == 0)
        IceStormElection_TopicManagerSync_getContent_reply(rq, &out);
    else
        fail_nomem(rq);
}

static const struct IceStormElection_TopicManagerSync_servant sync_vtable = {.getContent = get_content};

/* --- adding ------------------------------------------------------------------------------------------------------- */

int storm_replica_new_observer(struct storm_replica *r)
{
    if (r->observer_added)
        ir_adapter_remove(r->node, &r->observer_id, "");
    ib_uuid(r->observer_name);
    r->observer_id = (struct iw_identity){ib_str(r->observer_name), IB_STR("")};
    int rc = ir_adapter_add(r->node, &r->observer_id, "", &r->observer_servant);
    r->observer_added = rc == 0;
    return rc;
}

int storm_replica_add_objects(struct storm_replica *r, struct ib_err *err)
{
    const struct storm_config *cfg = &r->storm->cfg;
    r->node_servant = (struct ir_servant){.iface = &IceStormElection_Node_iface, .vtable = &node_vtable, .self = r};
    r->observer_servant =
        (struct ir_servant){.iface = &IceStormElection_ReplicaObserver_iface, .vtable = &observer_vtable, .self = r};
    r->sync_servant =
        (struct ir_servant){.iface = &IceStormElection_TopicManagerSync_iface, .vtable = &sync_vtable, .self = r};
    ib_uuid(r->sync_name);
    r->sync_id = (struct iw_identity){ib_str(r->sync_name), IB_STR("")};
    r->node_id = (struct iw_identity){ib_arena_printf(&r->arena, "node%d", cfg->node_id), cfg->instance};
    int rc = r->node_id.name.p ? ir_adapter_add(r->node, &r->node_id, "", &r->node_servant) : IB_ENOMEM;
    if (!rc)
        rc = ir_adapter_add(r->node, &r->sync_id, "", &r->sync_servant);
    if (!rc)
        rc = storm_replica_new_observer(r);
    return rc ? ib_err_set(err, rc, "cannot make the objects of the replica: %s", ib_err_text(rc)) : 0;
}
