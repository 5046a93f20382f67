/* SPDX-License-Identifier: Apache-2.0 */
#include "change.h"

#include <stdio.h>
#include <stdlib.h>

#include <moulin/base/log.h>
#include <moulin/store/store.h>

#include "replica.h"
#include "storm.h"
#include "trace.h"

#define BATCH_MAX 1000

struct storm_changes {
    struct storm *storm;
    struct ib_list queue, flight; /* struct storm_change: waiting; in the commit under way */
    struct ib_list wanting, held; /* of a group: waiting for the election; committed, not settled */
    size_t n_flight;
    struct IceStormElection_LogUpdate stamp, next_stamp; /* of the database; with the commit under way */
    int64_t promise; /* as it was loaded */
    uint64_t lead; /* 0, or the election lets what is wanting be committed, under this serial */
    bool leading; /* the commit under way is of that */
    bool busy, stopped;
    struct ic_deferred kick;
};

/* --- each kind: what must be so, and what it does ------------------------------------------------------------------
 */

static void answer(struct storm_change *c, enum storm_outcome outcome, const char *text)
{
    c->outcome = outcome;
    snprintf(c->text, sizeof c->text, "%s", text);
}

static void answer_error(struct storm_change *c, const struct ib_err *err)
{
    answer(c, err->code == IB_EINVAL ? STORM_REFUSED : STORM_FAILED, err->text);
}

/* prepare: true when the change is to be committed; else it has its outcome, and nothing of it is in the batch. apply
   cannot fail. */
static bool prepare_create(struct storm_change *c, struct store_batch *b)
{
    struct storm *s = c->storm;
    struct ib_err err = {0};
    if (storm_topic_find(s, c->topic)) {
        answer(c, STORM_PRESENT, "");
        return false;
    }
    const struct iw_identity id = storm_topic_identity(s, c->topic, &c->arena);
    const struct IceStorm_SubscriberRecord nothing = {0};
    int rc = id.name.p ? storm_topics_reserve(s, s->changes->n_flight + 1) : IB_ENOMEM;
    if (rc)
        ib_err_set(&err, rc, "out of memory");
    else
        c->new_topic = storm_topic_new(s, &id, &err);
    if (c->new_topic && b)
        rc = storm_batch_record(b, &id, &nothing, &err);
    if (rc || !c->new_topic)
        answer_error(c, &err);
    return c->new_topic && !rc;
}

static void apply_create(struct storm_change *c)
{
    storm_topic_link(c->new_topic);
    storm_trace_created(c->new_topic);
    c->new_topic = NULL;
}

static bool prepare_destroy(struct storm_change *c, struct store_batch *b)
{
    struct storm_topic *t = storm_topic_find(c->storm, c->topic);
    const struct iw_identity nobody = {0};
    struct ib_err err = {0};
    if (!t) {
        answer(c, STORM_GONE, "");
        return false;
    }
    int rc = b ? storm_batch_remove(b, &t->id, &nobody, &err) : 0;
    IB_LIST_FOREACH(node, &t->subscribers)
    {
        const struct storm_subscriber *sub = IB_CONTAINER(node, struct storm_subscriber, node);
        if (b && !rc)
            rc = storm_batch_remove(b, &t->id, &sub->record.id, &err);
    }
    if (rc)
        answer_error(c, &err);
    return rc == 0;
}

static void apply_destroy(struct storm_change *c)
{
    struct storm_topic *t = storm_topic_find(c->storm, c->topic);
    storm_topic_unlink(t);
    storm_topic_free(t);
}

static bool prepare_add(struct storm_change *c, struct store_batch *b)
{
    struct storm_topic *t = storm_topic_find(c->storm, c->topic);
    struct ib_err err = {0};
    bool present = t && storm_topic_subscriber(t, &c->record.id);
    if (!t || (present && !c->told)) {
        answer(c, t ? STORM_PRESENT : STORM_GONE, "");
        return false;
    }
    c->record.topicName = c->topic;
    if (!present && !(c->new_subscriber = storm_subscriber_new(t, &c->record, &err))) {
        answer_error(c, &err);
        return false;
    }
    int rc = b ? storm_batch_record(b, &t->id, &c->record, &err) : 0;
    if (rc)
        answer_error(c, &err);
    return rc == 0;
}

static void apply_add(struct storm_change *c)
{
    if (!c->new_subscriber)
        return; /* told, and there already */
    struct storm_topic *t = c->new_subscriber->topic;
    storm_topic_add(t, &t->subscribers, c->new_subscriber);
    c->new_subscriber = NULL;
}

static bool prepare_remove(struct storm_change *c, struct store_batch *b)
{
    const struct storm_topic *t = storm_topic_find(c->storm, c->topic);
    struct ib_err err = {0};
    size_t n = 0;
    int rc = 0;
    for (size_t i = 0; t && !rc && i < c->ids.n; i++) {
        const struct storm_subscriber *sub = storm_topic_subscriber(t, &c->ids.v[i]);
        if (!sub || (c->failed_only && sub->state != STORM_ERROR))
            continue;
        rc = b ? storm_batch_remove(b, &t->id, &sub->record.id, &err) : 0;
        c->ids.v[n++] = c->ids.v[i];
    }
    c->ids.n = n;
    if (rc)
        answer_error(c, &err);
    else if (!t || (!n && !c->told))
        answer(c, t ? STORM_ABSENT : STORM_GONE, "");
    return !rc && t && (n > 0 || c->told);
}

static void apply_remove(struct storm_change *c)
{
    struct storm_topic *t = storm_topic_find(c->storm, c->topic);
    for (size_t i = 0; i < c->ids.n; i++) {
        struct storm_subscriber *sub = storm_topic_subscriber(t, &c->ids.v[i]);
        if (sub) {
            t->n_subscribers--;
            storm_subscriber_free(sub);
        }
    }
}

static bool prepare_nothing(struct storm_change *c, struct store_batch *b)
{
    (void)c, (void)b;
    return true;
}

static bool prepare_promise(struct storm_change *c, struct store_batch *b)
{
    int rc = b ? storm_batch_promise(b, c->stamp.generation) : 0;
    if (rc)
        answer(c, STORM_FAILED, "out of memory");
    return rc == 0;
}

static void apply_nothing(struct storm_change *c)
{
    (void)c;
}

static const struct {
    bool (*prepare)(struct storm_change *c, struct store_batch *b); /* b NULL: nothing is kept */
    void (*apply)(struct storm_change *c);
} kinds[] = {
    [STORM_CREATE_TOPIC] = {prepare_create, apply_create},
    [STORM_DESTROY_TOPIC] = {prepare_destroy, apply_destroy},
    [STORM_ADD_SUBSCRIBER] = {prepare_add, apply_add},
    [STORM_REMOVE_SUBSCRIBERS] = {prepare_remove, apply_remove},
    [STORM_REPLACE] = {storm_prepare_replace, storm_apply_replace},
    [STORM_STAMP] = {prepare_nothing, apply_nothing},
    [STORM_PROMISE] = {prepare_promise, apply_nothing},
};

/* --- changes as values ---------------------------------------------------------------------------------------------
 */

struct storm_change *storm_change_new(struct storm *s, enum storm_change_op op, struct ib_str topic,
                                      void (*done)(void *arg, const struct storm_change *c), void *arg)
{
    struct storm_change *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->storm = s;
    c->op = op;
    c->done = done;
    c->arg = arg;
    ib_arena_init(&c->arena, 0);
    c->topic = ib_arena_str(&c->arena, topic);
    if (c->topic.p)
        return c;
    storm_change_free(c);
    return NULL;
}

void storm_change_free(struct storm_change *c)
{
    if (!c)
        return;
    storm_subscriber_free(c->new_subscriber);
    storm_topic_free(c->new_topic);
    ib_arena_fini(&c->arena);
    free(c);
}

static void finish(struct storm_change *c)
{
    if (c->done)
        c->done(c->arg, c);
    storm_change_free(c);
}

void storm_change_end(struct storm_change *c, enum storm_outcome outcome)
{
    answer(c, outcome, "");
    finish(c);
}

/* One that could not be removed may be tried again. */
static void reap_done(void *arg, const struct storm_change *c)
{
    const struct storm_topic *t = storm_topic_find(arg, c->topic);
    struct storm_subscriber *sub = t && c->ids.n ? storm_topic_subscriber(t, &c->ids.v[0]) : NULL;
    if (sub)
        sub->leaving = false;
}

void storm_reap(struct storm_subscriber *sub)
{
    struct storm *s = sub->topic->storm;
    if (sub->leaving)
        return;
    struct storm_change *c = storm_change_new(s, STORM_REMOVE_SUBSCRIBERS, sub->topic->name, reap_done, s);
    struct iw_identity *id = c ? IB_ARENA_NEW(&c->arena, struct iw_identity) : NULL;
    if (id)
        *id = (struct iw_identity){ib_arena_str(&c->arena, sub->record.id.name),
                                   ib_arena_str(&c->arena, sub->record.id.category)};
    if (!id || !id->name.p || !id->category.p) {
        storm_change_free(c); /* the next event tries again */
        return;
    }
    c->ids = (struct Ice_IdentitySeq){1, id};
    c->failed_only = true;
    sub->leaving = true;
    storm_trace_state(sub, "error", "reaped");
    if (s->replica && !storm_replica_leads(s->replica))
        storm_replica_reap(s->replica, c);
    else
        storm_change_submit(c);
}

/* --- commits ---------------------------------------------------------------------------------------------------------
 */

static bool has_id(const struct storm_change *c, const struct iw_identity *id)
{
    if (c->op == STORM_ADD_SUBSCRIBER)
        return iw_identity_equal(&c->record.id, id);
    for (size_t i = 0; i < c->ids.n; i++)
        if (iw_identity_equal(&c->ids.v[i], id))
            return true;
    return false;
}

static bool touches_topic(const struct storm_change *c)
{
    return c->op == STORM_CREATE_TOPIC || c->op == STORM_DESTROY_TOPIC;
}

static bool touch(const struct storm_change *a, const struct storm_change *b)
{
    if (a->op >= STORM_REPLACE || b->op >= STORM_REPLACE)
        return true;
    if (!ib_str_eq(a->topic, b->topic))
        return false;
    if (touches_topic(a) || touches_topic(b))
        return true;
    if (a->op == STORM_ADD_SUBSCRIBER)
        return has_id(b, &a->record.id);
    for (size_t i = 0; i < a->ids.n; i++)
        if (has_id(b, &a->ids.v[i]))
            return true;
    return false;
}

static bool collides(const struct storm_changes *x, const struct storm_change *c)
{
    if (x->n_flight >= BATCH_MAX)
        return true;
    IB_LIST_FOREACH(node, &x->flight)
    {
        if (touch(IB_CONTAINER(node, struct storm_change, node), c))
            return true;
    }
    return false;
}

static void kick(void *arg);

/* Of a group: a majority has to have it before it is answered. */
static void hand_over(struct storm_changes *x, size_t n)
{
    uint64_t serial = x->lead;
    x->lead = 0;
    x->leading = false;
    storm_replica_committed(x->storm->replica, serial, n);
}

static void committed(void *arg, int code, const struct ib_err *err)
{
    struct storm_changes *x = arg;
    bool leading = x->leading;
    size_t n = code ? 0 : x->n_flight;
    if (code)
        ib_log_error(x->storm->log, "%s", err->text);
    else
        x->stamp = x->next_stamp;
    while (!ib_list_empty(&x->flight)) {
        struct storm_change *c = IB_CONTAINER(x->flight.next, struct storm_change, node);
        ib_list_remove(&c->node);
        if (code)
            answer(c, STORM_FAILED, err->text);
        else
            kinds[c->op].apply(c);
        if (leading && !code)
            ib_list_append(&x->held, &c->node);
        else
            finish(c);
    }
    x->n_flight = 0;
    x->busy = false;
    if (leading)
        hand_over(x, n);
    ic_loop_defer(x->storm->loop, &x->kick, kick, x);
}

static void count_stamp(struct storm_changes *x, struct storm_change *c)
{
    struct IceStormElection_LogUpdate *next = &x->next_stamp;
    if (c->op == STORM_PROMISE)
        return;
    if (!c->told) {
        next->iteration++;
        c->stamp = *next;
        return;
    }
    bool newer = c->stamp.generation != next->generation ? c->stamp.generation > next->generation
                                                         : c->stamp.iteration > next->iteration;
    if (newer || c->op == STORM_REPLACE)
        *next = c->stamp;
}

/* Takes changes from the list while they do not touch each other; refused ones are answered on the way. */
static void collect(struct storm_changes *x, struct ib_list *list, struct store_batch *b)
{
    while (!ib_list_empty(list)) {
        struct storm_change *c = IB_CONTAINER(list->next, struct storm_change, node);
        if (collides(x, c))
            break;
        ib_list_remove(&c->node);
        if (!kinds[c->op].prepare(c, b)) {
            finish(c);
            continue;
        }
        count_stamp(x, c);
        ib_list_append(&x->flight, &c->node);
        x->n_flight++;
    }
}

static void kick(void *arg)
{
    struct storm_changes *x = arg;
    struct store *store = x->storm->store;
    bool lead = ib_list_empty(&x->queue) && x->lead;
    if (x->busy || x->stopped || (ib_list_empty(&x->queue) && !lead))
        return;
    struct store_batch *b = store ? store_batch_new() : NULL;
    struct ib_err err = {0};
    x->busy = true; /* answers may submit more, which waits for the next commit */
    x->leading = lead;
    x->next_stamp = x->stamp;
    collect(x, lead ? &x->wanting : &x->queue, b);
    int rc = ib_list_empty(&x->flight) || !store ? 0 : b ? storm_batch_stamp(b, &x->next_stamp) : IB_ENOMEM;
    if (rc)
        ib_err_set(&err, rc, "out of memory");
    if (!rc && store && !ib_list_empty(&x->flight)) {
        store_commit(store, b, committed, x);
        return;
    }
    store_batch_free(b);
    committed(x, rc, &err);
}

void storm_change_submit(struct storm_change *c)
{
    struct storm_changes *x = c->storm->changes;
    if (x->stopped) {
        answer(c, STORM_FAILED, "the service is shutting down");
        finish(c);
        return;
    }
    if (c->storm->replica && !c->told) {
        ib_list_append(&x->wanting, &c->node);
        storm_replica_want(c->storm->replica);
        return;
    }
    ib_list_append(&x->queue, &c->node);
    ic_loop_defer(x->storm->loop, &x->kick, kick, x);
}

/* --- of a group -----------------------------------------------------------------------------------------------------
 */

void storm_changes_lead(struct storm_changes *x, uint64_t serial)
{
    x->lead = serial;
    ic_loop_defer(x->storm->loop, &x->kick, kick, x);
}

struct ib_list *storm_changes_held(struct storm_changes *x)
{
    return &x->held;
}

static void end_all(struct ib_list *list, enum storm_outcome outcome, const char *text)
{
    struct ib_list ending;
    ib_list_init(&ending);
    while (!ib_list_empty(list)) { /* an end may begin something new */
        struct ib_list *node = list->next;
        ib_list_remove(node);
        ib_list_append(&ending, node);
    }
    while (!ib_list_empty(&ending)) {
        struct storm_change *c = IB_CONTAINER(ending.next, struct storm_change, node);
        ib_list_remove(&c->node);
        answer(c, outcome, text);
        finish(c);
    }
}

void storm_changes_settle(struct storm_changes *x, bool good)
{
    end_all(&x->held, good ? STORM_DONE : STORM_DOUBT,
            good ? "" : "a majority of the replicas is not there: the change may or may not stay");
}

void storm_changes_leave(struct storm_changes *x)
{
    end_all(&x->wanting, STORM_ELSEWHERE, "this replica does not lead the group");
}

bool storm_changes_wait(const struct storm_changes *x)
{
    return !ib_list_empty(&x->wanting);
}

struct IceStormElection_LogUpdate storm_changes_stamp(const struct storm_changes *x)
{
    return x->stamp;
}

int64_t storm_changes_promise(const struct storm_changes *x)
{
    return x->promise;
}

/* --- life ------------------------------------------------------------------------------------------------------------
 */

struct storm_changes *storm_changes_new(struct storm *s)
{
    struct storm_changes *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->storm = s;
    ib_list_init(&x->queue);
    ib_list_init(&x->flight);
    ib_list_init(&x->wanting);
    ib_list_init(&x->held);
    return x;
}

int storm_changes_load(struct storm_changes *x, struct ib_err *err)
{
    int rc = x->storm->store ? storm_records_load(x->storm, &x->stamp, &x->promise, err) : 0;
    for (size_t i = 0; !rc && i < x->storm->n_topics; i++)
        storm_trace_loaded(x->storm->topics[i]);
    return rc;
}

void storm_changes_stop(struct storm_changes *x)
{
    struct ib_list *const all[] = {&x->queue, &x->flight, &x->wanting, &x->held};
    x->stopped = true;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        end_all(all[i], STORM_FAILED, "the service is shutting down");
}

void storm_changes_free(struct storm_changes *x)
{
    if (!x)
        return;
    storm_changes_stop(x);
    ic_loop_undefer(x->storm->loop, &x->kick);
    free(x);
}
