/* SPDX-License-Identifier: Apache-2.0 */
#include "replica.h"

#include <stdio.h>
#include <stdlib.h>

#include <moulin/base/clock.h>
#include <moulin/base/log.h>

#include "change.h"
#include "trace.h"

/* --- actions ------------------------------------------------------------------------------------------------------ */

static void send_invitation(struct storm_replica *r, int to)
{
    const struct ir_call_options opt = {.oneway = true, .connect_timeout_ms = (int32_t)r->e.cfg.response_ms};
    const struct IceStormElection_Node_invitation_in in = {r->members[r->e.coord].id, ib_str(r->e.group)};
    (void)IceStormElection_Node_invitation_call(r->storm->rt, r->members[to].node, &opt, &in, NULL, NULL);
}

static void send_accept(struct storm_replica *r, const struct election_action *a, bool declined)
{
    const struct ir_call_options opt = {.oneway = true, .connect_timeout_ms = (int32_t)r->e.cfg.response_ms};
    int32_t forwarded[ELECTION_NODES_MAX];
    size_t n = 0;
    struct ib_arena arena;
    for (size_t i = 0; i < r->storm->cfg.n_nodes; i++)
        if (a->set >> i & 1)
            forwarded[n++] = r->members[i].id;
    if (!declined && storm_replica_new_observer(r))
        return; /* the coordinator does not wait for ever */
    ib_arena_init(&arena, 0);
    const struct IceStormElection_Node_accept_in in = {
        .j = r->storm->cfg.node_id,
        .gn = ib_str(declined ? r->e.invite_group : r->e.group),
        .forwardedInvites = {n, forwarded},
        .observer = ir_adapter_direct_proxy(r->node, &r->observer_id, &arena),
        .llu = declined ? (struct IceStormElection_LogUpdate){r->e.promised, -1} : storm_llu_of(r->e.stamp),
        .max = r->e.max};
    if (in.observer)
        (void)IceStormElection_Node_accept_call(r->storm->rt, r->members[a->to].node, &opt, &in, NULL, NULL);
    ib_arena_fini(&arena);
}

static void start_timer(struct storm_replica *r, const struct election_action *a)
{
    if (a->ms < 0)
        ic_timer_stop(&r->timers[a->timer]);
    else
        ic_timer_start(&r->timers[a->timer], a->ms);
}

static void opened(struct storm_replica *r)
{
    struct storm_changes *x = r->storm->changes;
    if (election_leads(&r->e)) {
        r->coordinator = NULL;
        if (storm_changes_wait(x))
            election_want(&r->e);
    } else {
        storm_changes_leave(x);
    }
    storm_gate_open(r->storm);
}

static void perform(struct storm_replica *r, const struct election_action *a)
{
    switch (a->what) {
    case ELECTION_TIMER:
        start_timer(r, a);
        break;
    case ELECTION_INVITE:
        send_invitation(r, a->to);
        break;
    case ELECTION_ACCEPT:
    case ELECTION_DECLINE:
        send_accept(r, a, a->what == ELECTION_DECLINE);
        break;
    case ELECTION_PROMISE:
    case ELECTION_STORE:
        storm_replica_write_down(r, a);
        break;
    case ELECTION_COMMIT:
        storm_changes_lead(r->storm->changes, a->serial);
        break;
    case ELECTION_SETTLED:
        storm_changes_settle(r->storm->changes, a->good);
        if (storm_changes_wait(r->storm->changes))
            election_want(&r->e);
        break;
    case ELECTION_OPENED:
        opened(r);
        break;
    case ELECTION_CLOSED:
        storm_gate_close(r);
        break;
    default:
        storm_replica_ask(r, a);
    }
}

void storm_replica_perform(struct storm_replica *r)
{
    struct election_action a;
    if (r->performing)
        return; /* the loop below goes on */
    r->performing = true;
    while (!r->stopped && election_next(&r->e, &a))
        perform(r, &a);
    r->performing = false;
}

/* --- updates of clients ------------------------------------------------------------------------------------------- */

bool storm_replica_leads(const struct storm_replica *r)
{
    return election_leads(&r->e);
}

void storm_replica_want(struct storm_replica *r)
{
    election_want(&r->e);
    storm_replica_perform(r);
}

void storm_replica_committed(struct storm_replica *r, uint64_t serial, size_t n)
{
    election_committed(&r->e, serial, (int64_t)n);
    if (storm_changes_wait(r->storm->changes))
        election_want(&r->e);
    storm_replica_perform(r);
}

static void on_reaped(void *arg, const struct ir_result *r)
{
    storm_change_end(arg, r->outcome == IR_SUCCESS ? STORM_DONE : STORM_FAILED);
}

void storm_replica_reap(struct storm_replica *r, struct storm_change *c)
{
    struct ib_arena arena;
    struct ir_call *call = NULL;
    ib_arena_init(&arena, 0);
    const struct iw_identity id = storm_topic_identity(r->storm, c->topic, &arena);
    const struct iw_proxy *topic = r->coordinator && r->e.state == ELECTION_NORMAL && id.name.p
                                       ? ir_proxy_with_identity(r->coordinator, &id, &arena)
                                       : NULL;
    const struct ir_call_options opt = storm_in_time(2 * r->e.cfg.response_ms);
    if (topic)
        call = IceStorm_TopicInternal_reap_call(r->storm->rt, topic, &opt,
                                                &(struct IceStorm_TopicInternal_reap_in){.id = c->ids}, on_reaped, c);
    if (!call)
        storm_change_end(c, STORM_ELSEWHERE);
    ib_arena_fini(&arena);
}

static void on_coordinator_gone(struct ir_conn_hook *hook, struct ir_conn *c, const struct ib_err *why)
{
    struct storm_replica *r = IB_CONTAINER(hook, struct storm_replica, coordinator_hook);
    (void)c, (void)why;
    election_suspect(&r->e);
    storm_replica_perform(r);
}

void storm_replica_watch(struct storm_replica *r, struct ir_conn *coordinator)
{
    ir_conn_off_close(&r->coordinator_hook);
    r->coordinator_hook.fn = on_coordinator_gone;
    if (coordinator)
        ir_conn_on_close(coordinator, &r->coordinator_hook);
}

struct iw_proxy *storm_replica_node_proxy(const struct storm_replica *r)
{
    return r->members[r->e.cfg.self].node;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static void on_timer(void *arg)
{
    const struct storm_replica_timer *t = arg;
    election_timer(&t->r->e, t->timer);
    storm_replica_perform(t->r);
}

static void new_uuid(void *arg, char out[37])
{
    (void)arg;
    ib_uuid(out);
}

static void on_trace(void *arg, const char *text)
{
    storm_trace_election(arg, 1, "%s", text);
}

static int parse_proxies(struct storm_replica *r, struct ib_err *err)
{
    const struct storm_config *cfg = &r->storm->cfg;
    int rc = 0;
    for (size_t i = 0; !rc && i < cfg->n_nodes; i++) {
        r->members[i].id = cfg->nodes[i].id;
        ib_arena_init(&r->members[i].arena, 0);
        rc = ir_runtime_parse_proxy(r->storm->rt, cfg->nodes[i].proxy.p, &r->arena, &r->members[i].node, err);
        if (!rc && !r->members[i].node)
            rc = ib_err_set(err, IB_ECONFIG, "it is a null proxy");
        if (rc)
            ib_err_wrap(err, "property `%s.Nodes.%d'", cfg->service.p, cfg->nodes[i].id);
    }
    const struct {
        struct ib_str endpoints;
        struct iw_proxy **proxy;
    } all[] = {{cfg->manager_endpoints, &r->manager}, {cfg->publish_endpoints, &r->publish}};
    for (size_t i = 0; !rc && i < 2; i++) {
        if (!all[i].endpoints.n)
            continue;
        struct ib_str text = ib_arena_printf(&r->arena, "any:%s", all[i].endpoints.p);
        rc = text.p ? ir_runtime_parse_proxy(r->storm->rt, text.p, &r->arena, all[i].proxy, err)
                    : ib_err_set(err, IB_ENOMEM, "out of memory");
        if (rc)
            ib_err_wrap(err, "property `%s.Replicated%sEndpoints'", cfg->service.p, i ? "Publish" : "TopicManager");
    }
    return rc;
}

static void set_up_election(struct storm_replica *r)
{
    const struct storm_config *cfg = &r->storm->cfg;
    struct election_config c = {.n = (int)cfg->n_nodes,
                                .master_ms = 1000 * (int64_t)(cfg->master_s ? cfg->master_s : 1),
                                .election_ms = 1000 * (int64_t)(cfg->election_s ? cfg->election_s : 1),
                                .response_ms = 1000 * (int64_t)(cfg->response_s ? cfg->response_s : 1),
                                .force = cfg->force,
                                .uuid = new_uuid,
                                .trace = on_trace,
                                .arg = r->storm};
    for (int i = 0; i < c.n; i++) {
        c.ids[i] = cfg->nodes[i].id;
        if (c.ids[i] == cfg->node_id)
            c.self = i;
    }
    election_init(&r->e, &c, storm_stamp_of(storm_changes_stamp(r->storm->changes)),
                  storm_changes_promise(r->storm->changes));
}

static int make_adapter(struct storm_replica *r, struct ib_err *err)
{
    const struct storm_config *cfg = &r->storm->cfg;
    struct ib_str name = ib_arena_printf(&r->arena, "%s.Node", cfg->service.p);
    struct ib_str key = ib_arena_printf(&r->arena, "%s.Node.MessageSizeMax", cfg->service.p);
    if (!name.p || !key.p)
        return ib_err_set(err, IB_ENOMEM, "out of memory");
    bool set = ir_properties_has(ir_runtime_properties(r->storm->rt), key.p);
    r->node = ir_adapter_new_with(r->storm->rt, name.p,
                                  &(struct ir_adapter_options){.message_size_max_kb = set ? 0 : -1}, err);
    return r->node ? 0 : err->code;
}

struct storm_replica *storm_replica_new(struct storm *s, struct ib_err *err)
{
    struct storm_replica *r = calloc(1, sizeof *r);
    if (!r) {
        ib_err_set(err, IB_ENOMEM, "out of memory");
        return NULL;
    }
    r->storm = s;
    ib_arena_init(&r->arena, 0);
    ib_arena_init(&r->coordinator_arena, 0);
    ib_list_init(&r->coordinator_hook.node);
    ib_list_init(&r->questions);
    ib_list_init(&r->parked);
    ib_list_init(&r->forwards);
    for (int i = 0; i < ELECTION_TIMERS; i++) {
        r->timer_args[i] = (struct storm_replica_timer){r, (enum election_timer)i};
        ic_timer_init(&r->timers[i], s->loop, on_timer, &r->timer_args[i]);
    }
    int rc = parse_proxies(r, err);
    if (!rc)
        rc = make_adapter(r, err);
    if (!rc)
        rc = storm_replica_add_objects(r, err);
    if (!rc) {
        set_up_election(r);
        return r;
    }
    storm_replica_free(r);
    return NULL;
}

void storm_replica_start(struct storm_replica *r)
{
    election_start(&r->e);
    storm_replica_perform(r);
}

void storm_replica_stop(struct storm_replica *r)
{
    if (r->stopped)
        return;
    r->stopped = true;
    ir_conn_off_close(&r->coordinator_hook);
    for (int i = 0; i < ELECTION_TIMERS; i++)
        ic_timer_stop(&r->timers[i]);
    storm_replica_cancel(r);
    storm_gate_stop(r);
}

void storm_replica_free(struct storm_replica *r)
{
    if (!r)
        return;
    storm_replica_stop(r);
    for (int i = 0; i < ELECTION_TIMERS; i++)
        ic_timer_fini(&r->timers[i]);
    ir_adapter_free(r->node);
    for (size_t i = 0; i < r->storm->cfg.n_nodes; i++)
        ib_arena_fini(&r->members[i].arena);
    ib_arena_fini(&r->coordinator_arena);
    ib_arena_fini(&r->arena);
    free(r);
}
