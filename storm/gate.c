/* SPDX-License-Identifier: Apache-2.0 */
/* The gate of a replica: reads and events wait until the group is active, updates are the coordinator's (icestorm 8.8).
   It stands in front of the adapters, so a request that waited finds its object, or none, when it goes on. */
#include <stdlib.h>

#include "change.h"
#include "replica.h"

#define PARKED_MAX 10000

enum request_class { FREE, READ, UPDATE };

struct parked {
    struct ib_list node;
    struct storm_replica *r;
    struct ir_request *rq;
    struct ic_timer deadline;
};

struct forward {
    struct ib_list node;
    struct storm_replica *r;
    struct ir_request *rq;
    struct ir_call *call;
    int64_t generation;
};

/* A request that goes on after it has waited: as a copy, whose answer is passed back. */
struct relay {
    struct ir_answer answer;
    struct ir_request *rq;
    bool answered;
};

static enum request_class class_of(const struct storm *s, struct ir_request *rq)
{
    static const struct {
        const char *name;
        enum request_class is;
    } of_manager[] = {
        {"create", UPDATE},       {"subscribeAndGetPublisher", UPDATE},
        {"unsubscribe", UPDATE},  {"link", UPDATE},
        {"unlink", UPDATE},       {"destroy", UPDATE},
        {"retrieve", READ},       {"retrieveAll", READ},
        {"getName", READ},        {"getPublisher", READ},
        {"getLinkInfoSeq", READ}, {"getNonReplicatedPublisher", READ},
        {"getLinkProxy", READ},
    };
    if (ir_request_adapter(rq) != s->manager)
        return READ; /* an event */
    for (size_t i = 0; i < sizeof of_manager / sizeof *of_manager; i++)
        if (ib_str_is(ir_request_info(rq)->operation, of_manager[i].name))
            return of_manager[i].is;
    return FREE;
}

/* --- waiting ------------------------------------------------------------------------------------------------------ */

static void unpark(struct parked *p)
{
    ib_list_remove(&p->node);
    ic_timer_fini(&p->deadline);
    p->r->n_parked--;
    free(p);
}

static void on_deadline(void *arg)
{
    struct parked *p = arg;
    struct ir_request *rq = p->rq;
    unpark(p);
    ir_request_fail(rq, IR_UNKNOWN,
                    "the group of replicas is not active: this request was not begun, it may be sent again");
}

static void park(struct storm_replica *r, struct ir_request *rq)
{
    struct parked *p = r->n_parked < PARKED_MAX && !r->stopped ? calloc(1, sizeof *p) : NULL;
    if (!p) {
        ir_request_fail(rq, IR_UNKNOWN, "the group of replicas is not active, and too many requests wait for it");
        return;
    }
    p->r = r;
    p->rq = rq;
    ib_list_init(&p->node);
    ib_list_append(&r->parked, &p->node);
    ic_timer_init(&p->deadline, r->storm->loop, on_deadline, p);
    if (r->storm->cfg.wait_s > 0)
        ic_timer_start(&p->deadline, 1000 * (int64_t)r->storm->cfg.wait_s);
    r->n_parked++;
}

/* --- going on ----------------------------------------------------------------------------------------------------- */

static void pass_back(void *arg, uint8_t status, struct ib_span head, struct ib_span body)
{
    struct relay *relay = arg;
    struct ib_arena *arena = ir_request_arena(relay->rq);
    uint8_t *all = head.n ? ib_arena_alloc(arena, head.n + body.n + 1) : NULL;
    relay->answered = true;
    if (head.n && !all) {
        ir_request_fail(relay->rq, IR_UNKNOWN, "out of memory");
        return;
    }
    if (head.n) {
        memcpy(all, head.p, head.n);
        if (body.n)
            memcpy(all + head.n, body.p, body.n);
        body = (struct ib_span){all, head.n + body.n};
    }
    ir_request_reply_raw(relay->rq, status, body, NULL);
}

static void relay_end(void *arg)
{
    struct relay *relay = arg;
    if (!relay->answered)
        ir_request_fail(relay->rq, IR_UNKNOWN, "no answer");
    free(relay);
}

static void go_on(struct ir_request *rq)
{
    struct relay *relay = calloc(1, sizeof *relay);
    struct ib_block *copy = relay ? ir_request_copy(rq) : NULL;
    int rc = IB_ENOMEM;
    if (copy) {
        relay->rq = rq;
        relay->answer = (struct ir_answer){.reply = pass_back, .end = relay_end, .arg = relay};
        rc = ir_adapter_dispatch(ir_request_adapter(rq), copy, ir_request_info(rq)->type, &relay->answer);
    }
    ib_block_unref(copy);
    if (rc) {
        free(relay);
        ir_request_fail(rq, IR_UNKNOWN, "out of memory");
    }
}

/* --- the coordinator's -------------------------------------------------------------------------------------------- */

static void forward_free(struct forward *f)
{
    ib_list_remove(&f->node);
    free(f);
}

/* … or sent to one that closed instead of taking it, as it says. */
static bool not_sent(int code)
{
    return code == IB_ECLOSED || code == IB_EREFUSED || code == IB_ECONNECT || code == IB_ECONNECTTIMEOUT ||
           code == IB_EDNS || code == IB_ENOENDPOINT || code == IB_ENOTREGISTERED;
}

/* What was not sent waits for the next coordinator. What may have been done is in doubt, as with the original. */
static void on_forwarded(void *arg, const struct ir_result *r)
{
    struct forward *f = arg;
    struct storm_replica *replica = f->r;
    struct ir_request *rq = f->rq;
    int64_t generation = f->generation;
    forward_free(f);
    if (r->outcome != IR_FAILED_LOCAL) {
        ir_request_reply_raw(rq, r->raw_status, r->raw, r->block);
        return;
    }
    if (not_sent(r->err.code))
        park(replica, rq);
    else
        ir_request_fail_local(rq, r->err.code, r->err.text);
    election_disagrees(&replica->e, generation);
    storm_replica_perform(replica);
    if (replica->e.state == ELECTION_NORMAL)
        storm_gate_open(replica->storm); /* another group is there already */
}

static void forward(struct storm_replica *r, struct ir_request *rq)
{
    const struct ir_request_info *info = ir_request_info(rq);
    const struct election_config *cfg = &r->e.cfg;
    const struct ir_call_options opt = {.timeout_ms = (int32_t)(2 * cfg->response_ms + cfg->master_ms),
                                        .connect_timeout_ms = (int32_t)cfg->response_ms};
    if (info->params_err) {
        ir_request_fail_local(rq, info->params_err, ib_err_text(info->params_err));
        return;
    }
    struct forward *f = r->coordinator ? calloc(1, sizeof *f) : NULL;
    if (!f) {
        park(r, rq);
        return;
    }
    *f = (struct forward){.r = r, .rq = rq, .generation = r->e.generation};
    ib_list_init(&f->node);
    const struct ir_raw_request raw = ir_raw_from(info);
    f->call = ir_call_raw(r->storm->rt, r->coordinator, &raw, &opt, on_forwarded, f);
    if (f->call) {
        ib_list_append(&r->forwards, &f->node);
        return;
    }
    free(f);
    ir_request_fail(rq, IR_UNKNOWN, "out of memory");
}

/* --- the gate ----------------------------------------------------------------------------------------------------- */

static bool on_request(void *arg, struct ir_request *rq)
{
    const struct storm *s = arg;
    struct storm_replica *r = s->replica;
    enum request_class is = class_of(s, rq);
    if (is == FREE)
        return true;
    if (r->e.state != ELECTION_NORMAL) {
        park(r, rq);
        return false;
    }
    if (is == READ || election_leads(&r->e))
        return true;
    forward(r, rq);
    return false;
}

void storm_gate_take(struct storm *s, struct ir_request *rq)
{
    if (s->replica->e.state == ELECTION_NORMAL && !storm_replica_leads(s->replica))
        forward(s->replica, rq);
    else
        park(s->replica, rq);
}

void storm_gate_open(struct storm *s)
{
    struct storm_replica *r = s->replica;
    struct ib_list waiting;
    ib_list_init(&waiting);
    while (!ib_list_empty(&r->parked)) {
        struct ib_list *node = r->parked.next;
        ib_list_remove(node);
        ib_list_append(&waiting, node);
    }
    while (!ib_list_empty(&waiting)) {
        struct parked *p = IB_CONTAINER(waiting.next, struct parked, node);
        struct ir_request *rq = p->rq;
        unpark(p);
        if (ir_request_info(rq)->request_id && !ir_request_conn(rq))
            ir_request_fail(rq, IR_UNKNOWN, "the client has gone"); /* nobody would hear of it */
        else if (class_of(s, rq) == UPDATE && !storm_replica_leads(r) && r->e.state == ELECTION_NORMAL)
            forward(r, rq);
        else
            go_on(rq); /* through the gate again */
    }
}

/* A coordinator that is silent may wake up and read them: from a connection that is closed it takes none. */
void storm_gate_close(struct storm_replica *r)
{
    while (!ib_list_empty(&r->forwards)) {
        struct forward *f = IB_CONTAINER(r->forwards.next, struct forward, node);
        struct ir_request *rq = f->rq;
        struct ir_conn *conn = ir_call_conn(f->call);
        ir_call_cancel(f->call);
        forward_free(f);
        park(r, rq);
        if (conn)
            ir_conn_close(conn, true);
    }
}

void storm_gate_watch(struct storm *s)
{
    ir_adapter_set_filter(s->manager, on_request, s);
    ir_adapter_set_filter(s->publish, on_request, s);
}

void storm_gate_stop(struct storm_replica *r)
{
    while (!ib_list_empty(&r->parked)) {
        struct parked *p = IB_CONTAINER(r->parked.next, struct parked, node);
        struct ir_request *rq = p->rq;
        unpark(p);
        ir_request_fail(rq, IR_UNKNOWN, "the service is shutting down");
    }
    while (!ib_list_empty(&r->forwards)) {
        struct forward *f = IB_CONTAINER(r->forwards.next, struct forward, node);
        struct ir_request *rq = f->rq;
        ir_call_cancel(f->call);
        forward_free(f);
        ir_request_fail(rq, IR_UNKNOWN, "the service is shutting down");
    }
}
