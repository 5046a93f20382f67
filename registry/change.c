/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of changes: one batch is on its way to the disk while the next gathers, so that many writers share a sync
   and each is validated against exactly what was committed before it. Owns the changes until they are answered. */
#include "change_priv.h"

#include <stdlib.h>

#include <moulin/base/clock.h>
#include <moulin/net/loop.h>

#include "ack_poll.h"
#include "deployment_check.h"
#include "nodes.h"
#include "replication.h"

#define BATCH_MAX 256

struct reg_changes {
    struct reg *reg;
    struct ib_list queue; /* submitted, in order */
    struct ib_list parked; /* submitted, but for an application that has a change under way */
    struct ib_list checking; /* nodes are being asked about them */
    struct ib_list flight; /* in the batch that is committed */
    struct ib_list held; /* published, waiting for acknowledgements */
    size_t n_flight;
    bool flight_alone, busy, stopped;
    bool wary; /* the last commit failed: nobody is told before the next one has not */
    struct ic_deferred kick;
    struct store_batch *batch; /* owns; slaves are being told of it, then the store gets it */
    struct ic_deferred telling;
    struct reg_ack_poll poll;
    int64_t next_serial[REG_SERIALS], next_settled[REG_SERIALS];
};

/* --- publication and answer ----------------------------------------------------------------------------------------
 */

static void kick(void *arg);

/* What an administrator does to an application: one at a time for each of them (icegrid-registry 9.5). */
static bool is_deployment(const struct reg_change *c)
{
    return c->op >= REG_APP_ADD && c->op <= REG_APP_REMOVE;
}

/* Those that stood aside go back to the front, in order. */
static void unpark(struct reg_changes *x)
{
    while (!ib_list_empty(&x->parked)) {
        struct ib_list *node = x->parked.prev;
        ib_list_remove(node);
        ib_list_append(x->queue.next, node);
    }
    if (!x->stopped)
        ic_loop_defer(x->reg->loop, &x->kick, kick, x);
}

static void finish(struct reg_change *c)
{
    if (c->answered)
        return;
    c->answered = true;
    ib_list_remove(&c->node);
    if (is_deployment(c) && !c->rollback)
        unpark(c->reg->changes);
    if (c->done)
        c->done(c->done_arg, c);
    reg_change_unref(c);
}

/* --- undoing what a node refused -----------------------------------------------------------------------------------
 */

static void rolled_back(void *arg, struct reg_change *undo)
{
    struct reg_change *c = arg;
    if (undo->code)
        ib_log_error(c->reg->log, "cannot undo the change of application `%s': %s", ib_cstr(c->name), undo->err.text);
    reg_change_fail_deployment(c, "%s", c->refusal);
    finish(c);
    reg_change_unref(c);
}

static bool undo(struct reg_change *c)
{
    bool added = c->op == REG_APP_ADD;
    struct reg_change *u = reg_change_new(added ? REG_APP_REMOVE : REG_APP_SYNC, rolled_back, c);
    int rc = u ? reg_change_set_user(u, c->user) : IB_ENOMEM;
    if (!rc)
        rc = added ? reg_change_set_name(u, c->name) : reg_change_set_descriptor(u, &c->old_app->info->descriptor);
    if (rc) {
        reg_change_unref(u);
        return false;
    }
    u->rollback = true;
    reg_change_ref(c);
    u->reg = c->reg;
    ib_list_append(c->reg->changes->queue.next, &u->node);
    ic_loop_defer(c->reg->loop, &c->reg->changes->kick, kick, c->reg->changes);
    return true;
}

static void acknowledged(struct reg_change *c)
{
    while (!ib_list_empty(&c->ack_waits)) {
        struct reg_ack_wait *w = IB_CONTAINER(c->ack_waits.next, struct reg_ack_wait, node);
        ib_list_remove(&w->node);
        w->fn(w->arg);
    }
}

void reg_observe(struct reg *reg, struct reg_observer *o)
{
    ib_list_append(&reg->observers, &o->node);
}

void reg_unobserve(struct reg_observer *o)
{
    ib_list_remove(&o->node);
}

/* A mark walks along the list, so that whoever is told may leave it, or make others leave. */
static void each_observer(struct reg *reg, void (*fn)(struct reg_observer *o, const struct reg_event *ev),
                          const struct reg_event *ev)
{
    struct reg_observer mark = {.event = NULL};
    ib_list_init(&mark.node);
    ib_list_append(reg->observers.next, &mark.node);
    while (mark.node.next != &reg->observers) {
        struct ib_list *node = mark.node.next;
        ib_list_remove(&mark.node);
        ib_list_append(node->next, &mark.node);
        struct reg_observer *o = IB_CONTAINER(node, struct reg_observer, node);
        if (o->event) /* else another mark: telling nests */
            fn(o, ev);
    }
    ib_list_remove(&mark.node);
}

static void tell_event(struct reg_observer *o, const struct reg_event *ev)
{
    o->event(o, ev);
}

static void number(struct reg_event *ev, int32_t serial)
{
    ev->serial = serial;
    ev->db_serial = ev->change->serial;
    ev->last = !ev->next;
}

static void tell(struct reg *reg, struct reg_event *ev)
{
    number(ev, ++reg->topic_serial[ev->topic]);
    each_observer(reg, tell_event, ev);
}

static void tell_early(struct reg_observer *o, const struct reg_event *ev)
{
    if (o->early)
        o->early(o, ev);
}

static void tell_lost(struct reg_observer *o, const struct reg_event *ev)
{
    (void)ev;
    if (o->lost)
        o->lost(o);
}

/* Those who want to know before the disk has it, and so write while we do. Not of applications: nodes must hear of
   those from the master first (icegrid-internal 6.4). The numbers are those that publication gives: nothing else is
   published on these topics meanwhile. */
static void announce(struct reg_changes *x)
{
    int32_t serial[REG_TOPIC_MAX];
    memcpy(serial, x->reg->topic_serial, sizeof serial);
    IB_LIST_FOREACH(node, &x->flight)
    {
        const struct reg_change *c = IB_CONTAINER(node, struct reg_change, node);
        for (struct reg_event *ev = c->events; ev; ev = ev->next) {
            if (ev->topic != REG_TOPIC_ADAPTER && ev->topic != REG_TOPIC_OBJECT)
                continue;
            number(ev, ++serial[ev->topic]);
            each_observer(x->reg, tell_early, ev);
        }
    }
}

static void publish(struct reg_change *c)
{
    ib_list_append(&c->reg->changes->held, &c->node);
    for (struct reg_event *ev = c->events; ev; ev = ev->next)
        tell(c->reg, ev);
    reg_change_ref(c);
    reg_change_release(c);
}

void reg_change_hold(struct reg_change *c)
{
    c->holds++;
    reg_change_ref(c);
}

/* Does whoever asked for it want to know that so many slaves have it (Moulin.Registry.MinReplicas)? */
static bool needs_replicas(const struct reg *reg, const struct reg_change *c, size_t n)
{
    return reg_change_kinds[c->op].counts && !c->rollback && n < (size_t)reg->cfg.min_replicas;
}

/* A single change has nothing to be gathered with. */
static void look_for_acks(struct reg_changes *x)
{
    size_t n = x->n_flight;
    IB_LIST_FOREACH(node, &x->held)
    {
        if (++n > 1)
            break;
    }
    if (n == 1 && ib_list_empty(&x->queue) && !x->poll.since)
        ic_loop_poll(x->reg->loop, reg_ack_poll_begin(&x->poll, ib_clock_us()));
}

static void stop_looking(struct reg_changes *x)
{
    if (reg_ack_poll_end(&x->poll, ib_clock_us()))
        ic_loop_poll(x->reg->loop, 0);
}

static void conclude(struct reg_change *c)
{
    stop_looking(c->reg->changes);
    if (!c->answered && c->refusal && undo(c))
        return;
    if (!c->answered && needs_replicas(c->reg, c, c->acked))
        reg_change_fail_deployment(c,
                                   "%u replicas have the change, and Moulin.Registry.MinReplicas is %d: this registry "
                                   "keeps it, and nobody may when another takes its place",
                                   (unsigned)c->acked, (int)c->reg->cfg.min_replicas);
    finish(c);
}

void reg_change_release(struct reg_change *c)
{
    if (--c->holds == c->loads)
        acknowledged(c);
    if (c->holds == 0)
        conclude(c);
    reg_change_unref(c);
}

void reg_change_hold_load(struct reg_change *c)
{
    c->loads++;
    reg_change_hold(c);
}

void reg_change_release_load(struct reg_change *c, const char *refusal)
{
    c->loads--;
    if (refusal && !c->refusal && !c->rollback && is_deployment(c) && c->op != REG_APP_REMOVE)
        c->refusal = strdup(refusal);
    reg_change_release(c);
}

bool reg_changes_wait_acknowledged(struct reg *reg, struct ib_str uuid, int32_t revision, struct reg_ack_wait *w)
{
    IB_LIST_FOREACH(node, &reg->changes->held)
    {
        struct reg_change *c = IB_CONTAINER(node, struct reg_change, node);
        if (!c->info || !is_deployment(c) || c->holds <= c->loads || c->info->revision != revision ||
            !ib_str_eq(c->info->uuid, uuid))
            continue;
        ib_list_append(&c->ack_waits, &w->node);
        return true;
    }
    return false;
}

void reg_changes_forget_wait(struct reg_ack_wait *w)
{
    ib_list_remove(&w->node);
}

void reg_publish_registry(struct reg *reg, bool up, struct ib_str name, struct ib_str hostname)
{
    struct reg_change *c = reg_change_new(REG_NOTE, NULL, NULL);
    struct reg_event *ev = c ? reg_event_add(c, up ? REG_EV_REGISTRY_UP : REG_EV_REGISTRY_DOWN) : NULL;
    struct IceGrid_RegistryInfo *info = c ? IB_ARENA_NEW(&c->arena, struct IceGrid_RegistryInfo) : NULL;
    if (!ev || !info) {
        reg_change_unref(c);
        return;
    }
    c->reg = reg;
    c->holds = 1;
    info->name = ev->name = ib_arena_str(&c->arena, name);
    info->hostname = ib_arena_str(&c->arena, hostname);
    ev->registry = info;
    publish(c);
}

/* --- batches ----------------------------------------------------------------------------------------------------- */

static bool collides(const struct reg_changes *x, const struct reg_change *c)
{
    const struct reg_change_kind *kind = &reg_change_kinds[c->op];
    if (ib_list_empty(&x->flight))
        return false;
    if (kind->alone || x->flight_alone || x->n_flight >= BATCH_MAX)
        return true;
    IB_LIST_FOREACH(node, &x->flight)
    {
        const struct reg_change *o = IB_CONTAINER(node, struct reg_change, node);
        if (reg_change_kinds[o->op].table == kind->table && o->key.n == c->key.n &&
            memcmp(o->key.p, c->key.p, c->key.n) == 0)
            return true;
    }
    return false;
}

static void count_serial(struct reg_changes *x, struct reg_change *c, struct store_batch *b)
{
    const struct reg_change_kind *kind = &reg_change_kinds[c->op];
    if (kind->table < 0 || kind->table >= REG_SERIALS)
        return;
    if (kind->counts && !c->serial)
        c->serial = x->next_serial[kind->table] + 1;
    if (!c->serial)
        return;
    x->next_serial[kind->table] = c->serial;
    x->next_settled[kind->table] = c->settled && c->settled < c->serial ? c->settled : c->serial;
    reg_batch_serial(b, (enum reg_table)kind->table, c->serial, x->next_settled[kind->table]);
}

static void committed(void *arg, int code, const struct ib_err *err);

static bool is_same_app(const struct reg_change *a, const struct reg_change *b)
{
    return is_deployment(a) && !a->rollback && ib_str_eq(a->name, b->name);
}

/* Has the application another change under way, which is committed but not answered, or which nodes are asked about? */
static bool is_busy(const struct reg_changes *x, const struct reg_change *c)
{
    const struct ib_list *lists[] = {&x->held, &x->checking};
    for (size_t i = 0; i < 2; i++) {
        IB_LIST_FOREACH(node, lists[i])
        {
            if (is_same_app(IB_CONTAINER(node, struct reg_change, node), c))
                return true;
        }
    }
    return false;
}

/* True: the change is not for this batch. Updates are validated, then shown to the nodes, then validated again. */
static bool stands_aside(struct reg_changes *x, struct reg_change *c)
{
    if (c->code || !is_deployment(c) || c->rollback)
        return false;
    if (is_busy(x, c)) {
        ib_list_append(&x->parked, &c->node);
        return true;
    }
    if (c->checked || (c->op != REG_APP_UPDATE && c->op != REG_APP_SYNC) || !reg_nodes_any(x->reg))
        return false;
    struct store_batch *trial = store_batch_new();
    int rc = trial ? reg_change_kinds[c->op].prepare(x->reg, c, trial) : reg_change_fail_nomem(c);
    store_batch_free(trial);
    c->checked = true;
    if (rc)
        return false; /* it is answered with the reason */
    ib_list_append(&x->checking, &c->node);
    if (reg_deployment_check(x->reg, c))
        return true;
    ib_list_remove(&c->node);
    return false;
}

/* What the trial left behind. */
static void prepare_anew(struct reg_change *c)
{
    reg_app_free(c->new_app);
    c->new_app = NULL;
    c->events = NULL;
    c->events_tail = &c->events;
}

void reg_change_checked(struct reg_change *c, const char *reason)
{
    struct reg_changes *x = c->reg->changes;
    if (c->answered) /* the registry stops */
        return;
    ib_list_remove(&c->node);
    if (reason)
        reg_change_fail_deployment(c, "%s", reason);
    ib_list_append(x->queue.next, &c->node);
    ic_loop_defer(x->reg->loop, &x->kick, kick, x);
}

static void refuse_alone(struct reg_changes *x, struct reg_change *c)
{
    size_t n = reg_slaves_following(x->reg);
    if (!c->code && needs_replicas(x->reg, c, n))
        reg_change_fail_deployment(c, "%zu replicas follow this master, and Moulin.Registry.MinReplicas is %d", n,
                                   (int)x->reg->cfg.min_replicas);
}

static struct store_batch *take_batch(struct reg_changes *x)
{
    struct store_batch *b = x->batch;
    x->batch = NULL;
    return b;
}

static void commit_in_place(void *arg)
{
    struct reg_changes *x = arg;
    reg_store_commit_in_place(x->reg->store, take_batch(x), committed, x);
}

/* The messages are with their connections, which send them behind this round. */
static void on_telling(void *arg)
{
    struct reg_changes *x = arg;
    ic_loop_defer(x->reg->loop, &x->telling, commit_in_place, x);
}

/* own: holds of ours. */
static bool waits_for_slaves(const struct ib_list *list, uint32_t own)
{
    IB_LIST_FOREACH(node, list)
    {
        const struct reg_change *c = IB_CONTAINER(node, struct reg_change, node);
        if (c->holds > c->loads + own)
            return true;
    }
    return false;
}

/* Those who are told before the commit are told first: what they do takes longer than what is done here. A slave has
   nothing better to do than to commit: its master waits. Nor has a master whose slaves it will wait for. Others take
   what comes while the thread commits. */
static void tell_and_commit(struct reg_changes *x)
{
    if (x->reg->cfg.master && !x->wary)
        announce(x);
    if (waits_for_slaves(&x->flight, 1)) {
        look_for_acks(x);
        ic_loop_defer(x->reg->loop, &x->telling, on_telling, x);
    } else if (!x->reg->cfg.master || reg_slaves_following(x->reg)) {
        commit_in_place(x);
    } else {
        reg_store_commit(x->reg->store, take_batch(x), committed, x);
    }
}

/* Takes changes from the queue while they do not touch each other; refused ones are answered on the way. */
static void kick(void *arg)
{
    struct reg_changes *x = arg;
    if (x->busy || x->stopped || ib_list_empty(&x->queue))
        return;
    struct store_batch *b = store_batch_new();
    x->busy = true; /* answers may submit more, which waits for the next batch */
    memcpy(x->next_serial, x->reg->db_serial, sizeof x->next_serial);
    memcpy(x->next_settled, x->reg->settled, sizeof x->next_settled);
    while (!ib_list_empty(&x->queue)) {
        struct reg_change *c = IB_CONTAINER(x->queue.next, struct reg_change, node);
        const struct reg_change_kind *kind = &reg_change_kinds[c->op];
        if (!c->key.n && kind->aim && kind->aim(c))
            c->code = c->code ? c->code : reg_change_fail_nomem(c);
        if (!c->code && collides(x, c))
            break;
        ib_list_remove(&c->node);
        refuse_alone(x, c);
        if (stands_aside(x, c))
            continue;
        prepare_anew(c);
        if (!b && !c->code)
            reg_change_fail_nomem(c);
        if (c->code || kind->prepare(x->reg, c, b) || c->idle) {
            finish(c);
            continue;
        }
        count_serial(x, c, b);
        c->holds = 1; /* until it is published */
        ib_list_append(&x->flight, &c->node);
        x->n_flight++;
        x->flight_alone = kind->alone;
    }
    if (x->stopped || ib_list_empty(&x->flight)) {
        store_batch_free(b);
        x->busy = false;
        return;
    }
    x->batch = b;
    tell_and_commit(x);
}

static void committed(void *arg, int code, const struct ib_err *err)
{
    struct reg_changes *x = arg;
    struct ib_list done;
    ib_list_init(&done);
    while (!ib_list_empty(&x->flight)) {
        struct ib_list *node = x->flight.next;
        ib_list_remove(node);
        ib_list_append(&done, node);
    }
    x->n_flight = 0;
    x->flight_alone = false;
    bool announced = !x->wary;
    x->wary = code;
    if (code) {
        ib_log_error(x->reg->log, "%s", err->text);
    } else {
        memcpy(x->reg->db_serial, x->next_serial, sizeof x->next_serial);
        memcpy(x->reg->settled, x->next_settled, sizeof x->next_settled);
    }
    while (!ib_list_empty(&done)) {
        struct reg_change *c = IB_CONTAINER(done.next, struct reg_change, node);
        ib_list_remove(&c->node);
        if (code) {
            reg_change_fail(c, code, "%s", err->text);
            finish(c);
            continue;
        }
        reg_change_kinds[c->op].apply(x->reg, c);
        publish(c);
    }
    if (code && announced)
        each_observer(x->reg, tell_lost, NULL);
    if (code)
        stop_looking(x);
    else if (waits_for_slaves(&x->held, 0))
        look_for_acks(x);
    x->busy = false;
    ic_loop_defer(x->reg->loop, &x->kick, kick, x);
}

void reg_change_submit(struct reg *reg, struct reg_change *c)
{
    struct reg_changes *x = reg->changes;
    c->reg = reg;
    ib_list_append(&x->queue, &c->node);
    ic_loop_defer(reg->loop, &x->kick, kick, x);
}

/* --- life -------------------------------------------------------------------------------------------------------- */

struct reg_changes *reg_changes_new(struct reg *reg)
{
    struct reg_changes *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->reg = reg;
    x->poll.us = reg->cfg.ack_poll_us;
    ib_list_init(&x->queue);
    ib_list_init(&x->parked);
    ib_list_init(&x->checking);
    ib_list_init(&x->flight);
    ib_list_init(&x->held);
    return x;
}

static void answer_all(struct ib_list *list)
{
    while (!ib_list_empty(list)) {
        struct reg_change *c = IB_CONTAINER(list->next, struct reg_change, node);
        reg_change_fail(c, IB_EDESTROYED, "the registry is shutting down");
        finish(c);
    }
}

void reg_changes_stop(struct reg_changes *x)
{
    x->stopped = true;
    ic_loop_undefer(x->reg->loop, &x->telling);
    if (x->batch)
        commit_in_place(x); /* slaves have been told of it */
    answer_all(&x->checking);
    answer_all(&x->queue);
    answer_all(&x->parked);
    answer_all(&x->flight);
    answer_all(&x->held);
}

void reg_changes_free(struct reg_changes *x)
{
    if (!x)
        return;
    reg_changes_stop(x);
    ic_loop_undefer(x->reg->loop, &x->kick);
    free(x);
}
