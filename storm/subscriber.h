/* SPDX-License-Identifier: Apache-2.0 */
/* One subscriber, or one link: the events that wait for it, what is on its way, and how it fares (icestorm 4.3).

        event          failure, retries left           the interval is over, an event
     online ---------------------------------> offline ---------------------------------> online
       \___ failure, none left, or a hard one ___/
                          |
                          v
                        error: removed by a change of its own

   A failure forgets what waits. */
#ifndef STORM_SUBSCRIBER_H
#define STORM_SUBSCRIBER_H

#include <moulin/base/list.h>
#include <moulin/net/loop.h>
#include <moulin/rpc/adapter.h>
#include <moulin/rpc/call.h>
#include <moulin/rpc/metrics.h>

#include "event.h"
#include "qos.h"

struct storm;
struct storm_topic;

enum storm_subscriber_state { STORM_ONLINE, STORM_OFFLINE, STORM_ERROR };
enum storm_delivery { STORM_ORDERED, STORM_TWOWAY, STORM_ONEWAY, STORM_BATCH, STORM_LINK };

/* Events in order; a ring. */
struct storm_queue {
    struct storm_event **v; /* owns; each with a reference */
    size_t cap, first, n, bytes;
};

struct storm_subscriber {
    struct ib_list node; /* of the topic's */
    struct storm_topic *topic; /* borrows */
    struct ib_arena arena; /* of the record and the proxy */
    struct IceStorm_SubscriberRecord record;
    struct iw_proxy *proxy; /* to deliver to */
    struct storm_qos qos;
    enum storm_delivery delivery;
    bool datagram;
    struct ir_servant publisher; /* of the object that publishes to it alone */
    struct iw_identity publisher_id;
    bool added; /* that object, to the adapter */
    bool live; /* in the topic's list */
    bool leaving; /* its removal is on its way */
    enum storm_subscriber_state state;
    int retries; /* failures in a row */
    int64_t next_try; /* offline: ib_clock_ms when events are taken again */
    struct storm_queue queue;
    struct ib_list flights; /* calls without an end */
    unsigned outstanding; /* of them */
    size_t on_their_way; /* events in them */
    int64_t delivered; /* events that it took, or that left if they are oneway */
    int64_t lost, failed; /* events it did not get; failures */
    struct ir_observed observed, queue_observed;
    struct ic_timer flush; /* batches */
    size_t due; /* events of the batch that leaves now, of those that wait; 0: the timer says when */
    bool compressed; /* an endpoint wants compression */
    struct ir_conn *conn; /* oneways, batches: the one that took the last event; NULL without */
    struct ir_conn_hook on_close; /* on conn */
};

/* The record is copied. Its publisher object is made, too. NULL with err: IB_EINVAL with a BadQoS reason, IB_EEXISTS,
   IB_ENOMEM. */
struct storm_subscriber *storm_subscriber_new(struct storm_topic *t, const struct IceStorm_SubscriberRecord *record,
                                              struct ib_err *err);
void storm_subscriber_free(struct storm_subscriber *sub); /* calls under way are given up */
void storm_subscriber_queue(struct storm_subscriber *sub, struct storm_event *e); /* takes a reference of its own */
void storm_subscriber_flush(struct storm_subscriber *sub); /* a batch that waits leaves now */

const char *storm_subscriber_state_name(enum storm_subscriber_state state);

/* delivery.c: sends what may be sent now. */
void storm_deliver(struct storm_subscriber *sub);
void storm_delivery_cancel(struct storm_subscriber *sub);
/* subscriber.c: how calls end. hard: there is no use in trying again. */
void storm_subscriber_failed(struct storm_subscriber *sub, bool hard, const char *why);
void storm_subscriber_delivered(struct storm_subscriber *sub, size_t events);

int storm_queue_push(struct storm_queue *q, struct storm_event *e) IB_MUST_CHECK; /* takes e's reference on success */
struct storm_event *storm_queue_pop(struct storm_queue *q); /* the caller's reference now; NULL: empty */
struct storm_event *storm_queue_peek(const struct storm_queue *q, size_t i); /* the i-th, 0 the oldest */
void storm_queue_clear(struct storm_queue *q);

#endif
