/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include <moulin/base/clock.h>
#include <moulin/base/log.h>
#include <moulin/rpc/proxy.h>

#include "change.h"
#include "storm.h"
#include "trace.h"

#define QUEUE_FIRST 8

/* --- the queue --------------------------------------------------------------------------------------------------- */

static int grow(struct storm_queue *q)
{
    size_t cap = q->cap ? q->cap * 2 : QUEUE_FIRST;
    struct storm_event **v = malloc(cap * sizeof(struct storm_event *));
    if (!v)
        return IB_ENOMEM;
    for (size_t i = 0; i < q->n; i++)
        v[i] = storm_queue_peek(q, i);
    free(q->v);
    q->v = v;
    q->cap = cap;
    q->first = 0;
    return 0;
}

int storm_queue_push(struct storm_queue *q, struct storm_event *e)
{
    if (q->n == q->cap && grow(q))
        return IB_ENOMEM;
    q->v[(q->first + q->n++) % q->cap] = e;
    q->bytes += storm_event_bytes(e);
    return 0;
}

struct storm_event *storm_queue_peek(const struct storm_queue *q, size_t i)
{
    return q->v[(q->first + i) % q->cap];
}

struct storm_event *storm_queue_pop(struct storm_queue *q)
{
    if (!q->n)
        return NULL;
    struct storm_event *e = q->v[q->first];
    q->first = (q->first + 1) % q->cap;
    q->n--;
    q->bytes -= storm_event_bytes(e);
    return e;
}

void storm_queue_clear(struct storm_queue *q)
{
    while (q->n)
        storm_event_unref(storm_queue_pop(q));
    free(q->v); /* a queue that was long is mostly short from now on */
    *q = (struct storm_queue){0};
}

/* --- states ------------------------------------------------------------------------------------------------------- */

/* For logs: peers chose these names. */
static const char *describe(const struct storm_subscriber *sub, char *out, size_t cap)
{
    char topic[120], id[120];
    snprintf(out, cap, "topic %s: subscriber %s", ib_log_escape(sub->topic->name, topic, sizeof topic),
             ib_log_escape(sub->record.id.name, id, sizeof id));
    return out;
}

const char *storm_subscriber_state_name(enum storm_subscriber_state state)
{
    static const char *const names[] = {"online", "offline", "error"};
    return names[state];
}

/* The one writer of the state. */
static void move(struct storm_subscriber *sub, enum storm_subscriber_state state)
{
    if (sub->state == state)
        return;
    storm_trace_state(sub, storm_subscriber_state_name(sub->state), storm_subscriber_state_name(state));
    sub->state = state;
    ir_observe_again(&sub->observed);
    ir_observe_again(&sub->queue_observed);
}

static void warn(const struct storm_subscriber *sub, const char *why)
{
    char text[300];
    ib_log_warning(sub->topic->storm->log, "%s is left alone for %d s: %s", describe(sub, text, sizeof text),
                   sub->topic->storm->cfg.discard_s, why);
}

void storm_subscriber_failed(struct storm_subscriber *sub, bool hard, const char *why)
{
    if (sub->state == STORM_ERROR || (sub->state == STORM_OFFLINE && !hard && ib_clock_ms() < sub->next_try))
        return;
    sub->failed++;
    sub->lost += (int64_t)sub->queue.n;
    storm_queue_clear(&sub->queue);
    sub->due = 0;
    ic_timer_stop(&sub->flush);
    if (!hard && (sub->qos.retry_count == -1 || sub->retries < sub->qos.retry_count)) {
        sub->retries += sub->qos.retry_count == -1 ? 0 : 1;
        sub->next_try = ib_clock_ms() + (int64_t)sub->topic->storm->cfg.discard_s * 1000;
        move(sub, STORM_OFFLINE);
        warn(sub, why);
        return;
    }
    move(sub, STORM_ERROR);
    storm_trace_gone(sub, why);
    storm_reap(sub);
}

void storm_subscriber_delivered(struct storm_subscriber *sub, size_t events)
{
    sub->retries = 0;
    sub->delivered += (int64_t)events;
    if (sub->state == STORM_ONLINE && sub->queue.n)
        storm_deliver(sub);
}

static bool is_full(const struct storm_subscriber *sub, size_t more)
{
    const struct storm_config *cfg = &sub->topic->storm->cfg;
    return (cfg->queue_max && sub->queue.n >= (size_t)cfg->queue_max) ||
           (cfg->queue_bytes_max && sub->queue.bytes + more > cfg->queue_bytes_max);
}

/* Room for an event; false: there is none, and the subscriber is gone or the event is too large. */
static bool make_room(struct storm_subscriber *sub, size_t bytes)
{
    while (is_full(sub, bytes)) {
        if (!sub->topic->storm->cfg.drop_oldest) {
            storm_subscriber_failed(sub, true, "its queue is full");
            return false;
        }
        if (!sub->queue.n)
            return false;
        storm_event_unref(storm_queue_pop(&sub->queue));
        sub->lost++;
    }
    return true;
}

void storm_subscriber_queue(struct storm_subscriber *sub, struct storm_event *e)
{
    if (sub->state == STORM_ERROR)
        storm_reap(sub); /* again, should that have failed */
    if (sub->state == STORM_ERROR || (sub->state == STORM_OFFLINE && ib_clock_ms() < sub->next_try)) {
        sub->lost++;
        return;
    }
    move(sub, STORM_ONLINE);
    if (!make_room(sub, storm_event_bytes(e))) {
        sub->lost++;
        return;
    }
    if (storm_queue_push(&sub->queue, storm_event_ref(e))) {
        storm_event_unref(e);
        sub->lost++;
        storm_subscriber_failed(sub, false, "out of memory");
        return;
    }
    storm_deliver(sub);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static enum storm_delivery delivery_of(const struct storm_subscriber *sub)
{
    if (sub->record.link)
        return STORM_LINK;
    switch (sub->proxy->mode) {
    case IW_TWOWAY:
        return sub->qos.ordered ? STORM_ORDERED : STORM_TWOWAY;
    case IW_BATCH_ONEWAY:
    case IW_BATCH_DATAGRAM:
        return STORM_BATCH;
    default:
        return STORM_ONEWAY;
    }
}

static int out_of_memory(struct ib_err *err)
{
    return ib_err_set(err, IB_ENOMEM, "out of memory");
}

/* The proxy events go to: with the timeout of this service, and a mode the runtime sends one by one. */
static int make_proxy(struct storm_subscriber *sub, struct ib_err *err)
{
    const struct storm_config *cfg = &sub->topic->storm->cfg;
    sub->proxy = iw_proxy_copy(sub->record.obj, &sub->arena);
    if (!sub->proxy)
        return out_of_memory(err);
    sub->delivery = delivery_of(sub);
    sub->datagram = sub->proxy->mode == IW_DATAGRAM || sub->proxy->mode == IW_BATCH_DATAGRAM;
    if (sub->proxy->mode == IW_BATCH_ONEWAY)
        sub->proxy->mode = IW_ONEWAY;
    if (sub->proxy->mode == IW_BATCH_DATAGRAM)
        sub->proxy->mode = IW_DATAGRAM;
    for (size_t i = 0; i < sub->proxy->n_endpoints; i++)
        if (!sub->proxy->endpoints[i].opaque && sub->proxy->endpoints[i].type != IW_EP_UDP) {
            sub->proxy->endpoints[i].timeout = cfg->send_timeout_ms;
            sub->compressed = sub->compressed || sub->proxy->endpoints[i].compress;
        }
    return 0;
}

/* The object that publishes to this subscriber alone; its name has the subscriber's identity as text in it. */
static int make_publisher(struct storm_subscriber *sub, struct ib_err *err)
{
    struct storm_topic *t = sub->topic;
    struct ib_str text = ir_identity_format(&sub->record.id, IR_UNICODE, &sub->arena);
    if (!text.p)
        return out_of_memory(err);
    sub->publisher_id =
        (struct iw_identity){ib_arena_printf(&sub->arena, "%s.publish.%s", t->id.name.p, text.p), t->id.category};
    if (!sub->publisher_id.name.p)
        return out_of_memory(err);
    if (sub->record.link)
        return 0;
    storm_subscriber_publisher_init(sub);
    int rc = ir_adapter_add(t->storm->publish, &sub->publisher_id, "", &sub->publisher);
    sub->added = rc == 0;
    return rc ? ib_err_set(err, rc, "the identity `%s' is taken", sub->publisher_id.name.p) : 0;
}

static int prepare(struct storm_subscriber *sub, const struct IceStorm_SubscriberRecord *record, struct ib_err *err)
{
    char reason[STORM_QOS_REASON];
    if (iw_copy(&IceStorm_SubscriberRecord_type, record, &sub->arena, &sub->record))
        return out_of_memory(err);
    if (!sub->record.obj)
        return ib_err_set(err, IB_EPROXY, "the subscriber is a null proxy");
    if (storm_qos_parse(&sub->record.theQoS, sub->record.obj->mode, &sub->qos, reason))
        return ib_err_set(err, IB_EINVAL, "%s", reason);
    if (sub->record.link)
        sub->qos.retry_count = -1;
    int rc = make_proxy(sub, err);
    return rc ? rc : make_publisher(sub, err);
}

static void on_flush(void *arg)
{
    storm_subscriber_flush(arg);
}

struct storm_subscriber *storm_subscriber_new(struct storm_topic *t, const struct IceStorm_SubscriberRecord *record,
                                              struct ib_err *err)
{
    struct storm_subscriber *sub = calloc(1, sizeof *sub);
    if (!sub) {
        out_of_memory(err);
        return NULL;
    }
    sub->topic = t;
    ib_list_init(&sub->node);
    ib_list_init(&sub->flights);
    ib_list_init(&sub->on_close.node);
    ib_arena_init(&sub->arena, 0);
    ic_timer_init(&sub->flush, t->storm->loop, on_flush, sub);
    if (prepare(sub, record, err) == 0)
        return sub;
    storm_subscriber_free(sub);
    return NULL;
}

void storm_subscriber_free(struct storm_subscriber *sub)
{
    if (!sub)
        return;
    ir_observe_end(&sub->observed);
    ir_observe_end(&sub->queue_observed);
    storm_delivery_cancel(sub);
    ir_conn_off_close(&sub->on_close);
    if (sub->added)
        ir_adapter_remove(sub->topic->storm->publish, &sub->publisher_id, "");
    ib_list_remove(&sub->node);
    storm_queue_clear(&sub->queue);
    ic_timer_fini(&sub->flush);
    ib_arena_fini(&sub->arena);
    free(sub);
}
