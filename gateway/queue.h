/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that wait in the router: one queue per session and direction (glacier2-router 9, 19). Most never do: they go
   straight out. One waits while its direction sleeps (SleepTime), when a later one may replace it (_ovrd), behind
   others that wait, and, to a client, while its connection is congested. */
#ifndef GATEWAY_QUEUE_H
#define GATEWAY_QUEUE_H

#include <moulin/base/list.h>
#include <moulin/rpc/call.h>

#include "stats.h"

struct gw_router;
struct gw_session;
struct gw_direction;

struct gw_forward_mode {
    bool oneway, secure, datagram, compress;
    bool batch; /* O, D, AlwaysBatch; never when unbuffered */
};

/* One request on its way. */
struct gw_sending {
    struct ir_request *rq; /* to be answered or ended; NULL: has been */
    enum gw_way way;
    const struct gw_direction *d;
    struct gw_forward_mode mode;
    const struct iw_proxy *target; /* to a server; to a client NULL */
    struct ir_raw_request raw; /* borrows from rq, or from what the queue keeps */
    struct ib_str override; /* _ovrd, or empty */
    bool many; /* came in a batch: may share a message with its neighbours */
    bool held; /* stays open until it is sent: that holds back the worker it came by */
};

struct gw_queue {
    struct ib_list ready; /* flusher->ready; alone when nothing waits or a drain is awaited */
    struct ib_list entries; /* struct gw_entry */
    struct gw_session *session;
    enum gw_way way;
    size_t bytes; /* of the entries */
    unsigned n;
    struct ir_drain_hook drained; /* to a client */
    struct ib_list answers; /* struct gw_relay: twoway callbacks the client has not answered */
    size_t answer_bytes;
    unsigned n_answers;
};

/* One per direction: the time between flushes. */
struct gw_flusher {
    struct gw_router *router;
    enum gw_way way;
    struct ib_list ready; /* queues to be flushed */
    struct ic_deferred round;
    struct ic_timer sleep;
    bool sleeping;
};

void gw_flushers_init(struct gw_router *r);
void gw_flushers_fini(struct gw_router *r);
/* The session's, made when it is first wanted. NULL: memory is short. */
struct gw_queue *gw_queue_of(struct gw_session *s, enum gw_way way);
/* The session ends: what waits is delivered. */
void gw_queues_close(struct gw_session *s);

/* Sends it now or later. */
void gw_queue_put(struct gw_session *s, struct gw_sending *w);
static inline bool gw_queue_empty(const struct gw_queue *q)
{
    return !q || q->n == 0;
}

#endif
