/* SPDX-License-Identifier: Apache-2.0 */
/* From a subscriber's queue to its connection. How many calls may be under way depends on the kind of delivery
   (icestorm 4.2); a oneway counts until its connection has room for it. */
#include <stdlib.h>

#include "storm.h"

/* A message of a link: at most half of what a peer takes by default (Ice.MessageSizeMax, 1 MB), a single larger event
   apart. */
#define LINK_BYTES (512u << 10)
#define LINK_EVENTS 1000

#define TWOWAYS_LOW 5

static const unsigned windows[] = {
    [STORM_ORDERED] = 1, [STORM_TWOWAY] = 10, [STORM_ONEWAY] = 5, [STORM_BATCH] = 5, [STORM_LINK] = 1};

struct flight {
    struct ib_list node; /* of the subscriber's */
    struct storm_subscriber *sub;
    struct ir_call *call;
    size_t events; /* in it */
};

static struct flight *flight_new(struct storm_subscriber *sub, size_t events)
{
    struct flight *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->sub = sub;
    f->events = events;
    sub->on_their_way += events;
    ib_list_append(&sub->flights, &f->node);
    sub->outstanding++;
    return f;
}

static void flight_free(struct flight *f)
{
    f->sub->outstanding--;
    f->sub->on_their_way -= f->events;
    ib_list_remove(&f->node);
    free(f);
}

void storm_delivery_cancel(struct storm_subscriber *sub)
{
    while (!ib_list_empty(&sub->flights)) {
        struct flight *f = IB_CONTAINER(sub->flights.next, struct flight, node);
        ir_call_cancel(f->call);
        flight_free(f);
    }
}

/* What the subscriber thinks of the event does not matter, only whether it got it. */
static void on_end(void *arg, const struct ir_result *r)
{
    struct flight *f = arg;
    struct storm_subscriber *sub = f->sub;
    size_t events = f->events;
    char text[300];
    flight_free(f);
    if (r->outcome == IR_SUCCESS || r->outcome == IR_THROWN) {
        storm_subscriber_delivered(sub, events);
        return;
    }
    sub->lost += (int64_t)events;
    bool hard = r->outcome == IR_FAILED_STATUS ? r->status == IR_OBJECT_NOT_EXIST : r->err.code == IB_ENOTREGISTERED;
    storm_subscriber_failed(sub, hard, ir_result_text(r, text, sizeof text));
}

/* Small oneways that leave together share a message: a receiver sees no difference, but for fewer wake-ups. */
static uint8_t batch_mode(const struct storm_subscriber *sub)
{
    if (sub->delivery == STORM_BATCH)
        return IR_BATCH_YES;
    return sub->delivery == STORM_ONEWAY && !sub->datagram ? IR_BATCH_IF_MANY : IR_BATCH_NO;
}

static void on_conn_close(struct ir_conn_hook *hook, struct ir_conn *conn, const struct ib_err *why)
{
    (void)conn, (void)why;
    IB_CONTAINER(hook, struct storm_subscriber, on_close)->conn = NULL;
}

/* What follows may take the connection of this oneway without a call for each event. */
static void remember(struct storm_subscriber *sub, struct ir_conn *conn)
{
    if (sub->datagram || sub->compressed || !sub->proxy->n_endpoints || sub->conn == conn)
        return;
    ir_conn_off_close(&sub->on_close);
    sub->conn = conn;
    sub->on_close.fn = on_conn_close;
    if (conn)
        ir_conn_on_close(conn, &sub->on_close);
}

static void oneway_left(struct storm_subscriber *sub)
{
    sub->retries = 0;
    sub->delivered++;
}

/* Sends one event. False: memory, and the subscriber has failed. */
static bool send_event(struct storm_subscriber *sub, const struct storm_event *e)
{
    struct ir_raw_request rq = storm_event_request(e, sub->proxy);
    rq.oneway = sub->delivery == STORM_ONEWAY || sub->delivery == STORM_BATCH;
    const struct ir_call_options options = {.timeout_ms = rq.oneway ? -1 : sub->topic->storm->cfg.reply_timeout_ms,
                                            .unhurried = sub->delivery == STORM_TWOWAY,
                                            .datagram = sub->datagram,
                                            .batch = batch_mode(sub)};
    if (sub->conn && ir_send_oneway(sub->conn, &rq, (enum ir_batch_mode)options.batch) == 0) {
        oneway_left(sub);
        return true;
    }
    struct flight *f = flight_new(sub, 1);
    if (f)
        f->call = ir_call_raw(sub->topic->storm->rt, sub->proxy, &rq, &options, on_end, f);
    if (!f || !f->call) {
        if (f)
            flight_free(f);
        storm_subscriber_failed(sub, false, "out of memory");
        return false;
    }
    if (rq.oneway) {
        remember(sub, ir_call_conn(f->call));
        if (ir_call_is_over(f->call)) {
            flight_free(f);
            oneway_left(sub);
        }
    }
    return true;
}

static bool may_send(const struct storm_subscriber *sub)
{
    return sub->queue.n && sub->outstanding < windows[sub->delivery] && (sub->delivery != STORM_BATCH || sub->due);
}

/* The original has five twoways under way and sends one more with each reply. Under load we send several at once, which
   share a packet, when half of them have been answered: an event costs a third less. */
static bool waits_for_more(const struct storm_subscriber *sub)
{
    return sub->delivery == STORM_TWOWAY && sub->outstanding > TWOWAYS_LOW &&
           sub->outstanding + sub->queue.n > windows[STORM_TWOWAY];
}

static void send_events(struct storm_subscriber *sub)
{
    if (waits_for_more(sub))
        return;
    while (may_send(sub)) {
        if (sub->due)
            sub->due--;
        struct storm_event *e = storm_queue_pop(&sub->queue);
        bool sent = send_event(sub, e);
        storm_event_unref(e);
        if (!sent)
            return;
    }
    if (!sub->queue.n)
        sub->due = 0; /* what was due and is not there was dropped */
}

static size_t link_batch(const struct storm_subscriber *sub)
{
    size_t n = 1, bytes = storm_event_bytes(storm_queue_peek(&sub->queue, 0));
    while (n < sub->queue.n && n < LINK_EVENTS) {
        bytes += storm_event_bytes(storm_queue_peek(&sub->queue, n));
        if (bytes > LINK_BYTES)
            break;
        n++;
    }
    return n;
}

/* All that waits in one call, as far as it fits. */
static void send_over_link(struct storm_subscriber *sub)
{
    const struct ir_call_options options = {.timeout_ms = sub->topic->storm->cfg.reply_timeout_ms};
    struct ib_arena arena;
    struct IceStorm_TopicLink_forward_in in = {.events.n = link_batch(sub)};
    ib_arena_init(&arena, 0);
    in.events.v = IB_ARENA_ARRAY(&arena, in.events.n, struct IceStorm_EventData);
    bool good = in.events.v != NULL;
    for (size_t i = 0; good && i < in.events.n; i++)
        good = storm_event_data(storm_queue_peek(&sub->queue, i), &arena, &in.events.v[i]);
    struct flight *f = good ? flight_new(sub, in.events.n) : NULL;
    if (f)
        f->call = IceStorm_TopicLink_forward_call(sub->topic->storm->rt, sub->proxy, &options, &in, on_end, f);
    if (f && f->call) {
        for (size_t i = 0; i < in.events.n; i++)
            storm_event_unref(storm_queue_pop(&sub->queue));
    } else {
        if (f)
            flight_free(f);
        storm_subscriber_failed(sub, false, "out of memory");
    }
    ib_arena_fini(&arena);
}

void storm_subscriber_flush(struct storm_subscriber *sub)
{
    ic_timer_stop(&sub->flush);
    sub->due = sub->queue.n;
    send_events(sub);
    if (sub->conn)
        ir_conn_push(sub->conn); /* the memory of a large batch, still warm, is that of the next subscriber's */
}

void storm_deliver(struct storm_subscriber *sub)
{
    switch (sub->delivery) {
    case STORM_BATCH: /* one batch at a time; the first event starts the clock of the next */
        send_events(sub); /* what has not left yet of the one before */
        if (sub->queue.n && !sub->due && !sub->flush.armed && !sub->outstanding)
            ic_timer_start(&sub->flush, sub->topic->storm->cfg.flush_ms);
        break;
    case STORM_LINK:
        if (!sub->outstanding)
            send_over_link(sub);
        break;
    default:
        send_events(sub);
        break;
    }
}
