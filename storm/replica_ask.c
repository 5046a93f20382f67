/* SPDX-License-Identifier: Apache-2.0 */
/* What a replica asks others, and its own disk, for the election: each question has one answer, in time or none. */
#include "replica.h"

#include <stdlib.h>

#include "change.h"
#include "trace.h"

/* One call to another replica, or one write, whose outcome the election waits for. */
struct question {
    struct ib_list node;
    struct storm_replica *r;
    struct ir_call *call; /* NULL: a change that ends by itself */
    struct election_action a;
};

/* --- answers ------------------------------------------------------------------------------------------------------ */

static void answer(struct storm_replica *r, const struct election_action *a, bool ok, bool yes)
{
    struct election *e = &r->e;
    switch (a->what) {
    case ELECTION_ASK_COORDINATOR:
        election_coordinator(e, a->to, a->serial, ok, yes);
        break;
    case ELECTION_ASK_INVITED:
        election_invited(e, a->to, a->serial, ok, yes);
        break;
    case ELECTION_ASK_THERE:
        election_there(e, a->to, a->serial, ok, yes);
        break;
    case ELECTION_ASK_PING:
        election_pinged(e, a->to, a->serial, ok);
        break;
    case ELECTION_FETCH:
        election_fetched(e, a->serial, ok, storm_stamp_of(storm_changes_stamp(r->storm->changes)));
        break;
    case ELECTION_STORE:
        election_stored(e, a->serial, ok);
        break;
    case ELECTION_PROMISE:
        election_promised(e, a->serial, a->number, ok);
        break;
    case ELECTION_INIT:
        election_inited(e, a->to, a->serial, ok);
        break;
    case ELECTION_READY:
        election_readied(e, a->to, a->serial, ok);
        break;
    case ELECTION_REPLICATE:
        election_replicated(e, a->to, a->serial, ok);
        break;
    default:
        break;
    }
    storm_replica_perform(r);
}

static void forget(struct question *q)
{
    ib_list_remove(&q->node);
    free(q);
}

static void end_question(struct question *q, bool ok, bool yes)
{
    struct question copy = *q;
    forget(q);
    answer(copy.r, &copy.a, ok, yes);
}

static void failed(const struct question *q, const struct ir_result *r)
{
    char text[200];
    if (r->outcome != IR_SUCCESS)
        storm_trace_election(q->r->storm, 2, "node %d: no answer of node %d: %s", q->r->storm->cfg.node_id,
                             q->r->members[q->a.to].id, ir_result_text(r, text, sizeof text));
}

static struct question *question_new(struct storm_replica *r, const struct election_action *a)
{
    struct question *q = calloc(1, sizeof *q);
    if (!q)
        return NULL;
    *q = (struct question){.r = r, .a = *a};
    ib_list_init(&q->node);
    ib_list_append(&r->questions, &q->node);
    return q;
}

static void on_yes_or_no(void *arg, const struct ir_result *r)
{
    struct question *q = arg;
    bool yes = false;
    failed(q, r);
    if (q->a.what == ELECTION_ASK_COORDINATOR) {
        const struct IceStormElection_Node_areYouCoordinator_out *out =
            IceStormElection_Node_areYouCoordinator_result(r);
        yes = out && out->ret;
    } else if (q->a.what == ELECTION_ASK_THERE) {
        const struct IceStormElection_Node_areYouThere_out *out = IceStormElection_Node_areYouThere_result(r);
        yes = out && out->ret;
    }
    end_question(q, r->outcome == IR_SUCCESS, yes);
}

/* As election_gathers, of a node far away. */
static void on_inviter(void *arg, const struct ir_result *r)
{
    struct question *q = arg;
    const struct IceStormElection_Node_query_out *out = IceStormElection_Node_query_result(r);
    bool yes = out && out->ret.state == IceStormElection_NodeState_NodeStateElection &&
               out->ret.id == q->r->members[q->a.to].id && out->ret.coord == out->ret.id &&
               ib_str_eq(out->ret.group, ib_str(q->r->e.invite_group));
    failed(q, r);
    end_question(q, out != NULL, yes);
}

/* --- content ------------------------------------------------------------------------------------------------------ */

static void on_replaced(void *arg, const struct storm_change *c)
{
    end_question(arg, c->outcome == STORM_DONE, true);
}

static void on_content(void *arg, const struct ir_result *r)
{
    struct question *q = arg;
    struct storm *s = q->r->storm;
    const struct IceStormElection_TopicManagerSync_getContent_out *out =
        IceStormElection_TopicManagerSync_getContent_result(r);
    failed(q, r);
    q->call = NULL;
    struct storm_change *c = out ? storm_change_new(s, STORM_REPLACE, ib_str(""), on_replaced, q) : NULL;
    if (!c || iw_copy(&IceStormElection_TopicContentSeq_type, &out->content, &c->arena, &c->content)) {
        storm_change_free(c);
        end_question(q, false, false);
        return;
    }
    c->told = true;
    c->stamp = out->llu;
    storm_change_submit(c);
}

static void on_sync(void *arg, const struct ir_result *r)
{
    struct question *q = arg;
    const struct IceStormElection_Node_sync_out *out = IceStormElection_Node_sync_result(r);
    const struct ir_call_options opt = storm_in_time(q->a.ms);
    failed(q, r);
    q->call = out && out->ret ? IceStormElection_TopicManagerSync_getContent_call(q->r->storm->rt, out->ret, &opt, NULL,
                                                                                  on_content, q)
                              : NULL;
    if (!q->call)
        end_question(q, false, false);
}

static struct ir_call *ask_init(struct storm_replica *r, const struct iw_proxy *observer,
                                const struct ir_call_options *opt, struct question *q)
{
    struct ib_arena arena;
    struct ir_call *call = NULL;
    ib_arena_init(&arena, 0);
    struct IceStormElection_ReplicaObserver_init_in in = {.llu = storm_llu_of(r->e.next)};
    if (storm_content_of(r->storm, &arena, &in.content) == 0)
        call = IceStormElection_ReplicaObserver_init_call(r->storm->rt, observer, opt, &in, on_yes_or_no, q);
    ib_arena_fini(&arena);
    return call;
}

static struct ir_call *ask_ready(struct storm_replica *r, const struct iw_proxy *node,
                                 const struct ir_call_options *opt, struct question *q)
{
    const struct iw_identity id = {IB_STR("TopicManager"), r->storm->cfg.instance};
    struct ib_arena arena;
    struct ir_call *call = NULL;
    ib_arena_init(&arena, 0);
    const struct IceStormElection_Node_ready_in in = {.j = r->storm->cfg.node_id,
                                                      .gn = ib_str(r->e.group),
                                                      .coordinator =
                                                          ir_adapter_direct_proxy(r->storm->manager, &id, &arena),
                                                      .max = r->e.max,
                                                      .generation = r->e.generation};
    if (in.coordinator)
        call = IceStormElection_Node_ready_call(r->storm->rt, node, opt, &in, on_yes_or_no, q);
    ib_arena_fini(&arena);
    return call;
}

/* --- updates ------------------------------------------------------------------------------------------------------ */

static void on_told(void *arg, const struct ir_result *r);

static struct ir_call *tell(struct question *q, const struct iw_proxy *observer, const struct storm_change *c)
{
    struct ir_runtime *rt = q->r->storm->rt;
    const struct ir_call_options opt = storm_in_time(q->a.ms);
#define CALL(op, ...) op##_call(rt, observer, &opt, &(const struct op##_in){c->stamp, __VA_ARGS__}, on_told, q)
    switch (c->op) {
    case STORM_CREATE_TOPIC:
        return CALL(IceStormElection_ReplicaObserver_createTopic, c->topic);
    case STORM_DESTROY_TOPIC:
        return CALL(IceStormElection_ReplicaObserver_destroyTopic, c->topic);
    case STORM_ADD_SUBSCRIBER:
        return CALL(IceStormElection_ReplicaObserver_addSubscriber, c->topic, c->record);
    case STORM_REMOVE_SUBSCRIBERS:
        return CALL(IceStormElection_ReplicaObserver_removeSubscriber, c->topic, c->ids);
    default:
        return NULL;
    }
#undef CALL
}

/* One after another: a member that has missed one must not get the next. */
static void tell_next(struct question *q)
{
    struct storm_member *m = &q->r->members[q->a.to];
    if (m->next == storm_changes_held(q->r->storm->changes)) {
        end_question(q, true, true);
        return;
    }
    q->call = m->observer ? tell(q, m->observer, IB_CONTAINER(m->next, struct storm_change, node)) : NULL;
    if (!q->call)
        end_question(q, false, false);
}

static void on_told(void *arg, const struct ir_result *r)
{
    struct question *q = arg;
    failed(q, r);
    q->call = NULL;
    if (r->outcome != IR_SUCCESS) {
        end_question(q, false, false);
        return;
    }
    q->r->members[q->a.to].next = q->r->members[q->a.to].next->next;
    tell_next(q);
}

/* --- all of them
 * ------------------------------------------------------------------------------------------------------ */

void storm_replica_ask(struct storm_replica *r, const struct election_action *a)
{
    struct storm_member *m = &r->members[a->to];
    struct ir_runtime *rt = r->storm->rt;
    const struct ir_call_options opt = storm_in_time(a->ms);
    struct question *q = question_new(r, a);
    if (!q) {
        answer(r, a, false, false);
        return;
    }
    if (a->what == ELECTION_REPLICATE) {
        m->next = storm_changes_held(r->storm->changes)->next;
        tell_next(q);
        return;
    }
    if (a->what == ELECTION_ASK_COORDINATOR) {
        q->call = IceStormElection_Node_areYouCoordinator_call(rt, m->node, &opt, NULL, on_yes_or_no, q);
    } else if (a->what == ELECTION_ASK_INVITED) {
        q->call = IceStormElection_Node_query_call(rt, m->node, &opt, NULL, on_inviter, q);
    } else if (a->what == ELECTION_ASK_THERE) {
        const struct IceStormElection_Node_areYouThere_in in = {ib_str(r->e.group), r->storm->cfg.node_id};
        q->call = IceStormElection_Node_areYouThere_call(rt, m->node, &opt, &in, on_yes_or_no, q);
    } else if (a->what == ELECTION_ASK_PING && m->observer) {
        q->call = ir_call(rt, m->observer, &ir_op_ice_ping, &opt, NULL, on_yes_or_no, q);
    } else if (a->what == ELECTION_FETCH) {
        q->call = IceStormElection_Node_sync_call(rt, m->node, &opt, NULL, on_sync, q);
    } else if (a->what == ELECTION_INIT && m->observer) {
        q->call = ask_init(r, m->observer, &opt, q);
    } else if (a->what == ELECTION_READY) {
        q->call = ask_ready(r, m->node, &opt, q);
    }
    if (!q->call)
        end_question(q, false, false);
}

static void on_written(void *arg, const struct storm_change *c)
{
    end_question(arg, c->outcome == STORM_DONE, true);
}

void storm_replica_write_down(struct storm_replica *r, const struct election_action *a)
{
    bool promise = a->what == ELECTION_PROMISE;
    struct question *q = question_new(r, a);
    struct storm_change *c =
        q ? storm_change_new(r->storm, promise ? STORM_PROMISE : STORM_STAMP, ib_str(""), on_written, q) : NULL;
    if (!c) {
        if (q)
            forget(q);
        answer(r, a, false, false);
        return;
    }
    c->told = true;
    c->stamp = promise ? (struct IceStormElection_LogUpdate){.generation = a->number} : storm_llu_of(r->e.next);
    storm_change_submit(c);
}

void storm_replica_cancel(struct storm_replica *r)
{
    IB_LIST_FOREACH_SAFE(node, &r->questions)
    {
        struct question *q = IB_CONTAINER(node, struct question, node);
        if (!q->call)
            continue; /* a change that ends by itself */
        ir_call_cancel(q->call);
        forget(q);
    }
}
