/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of an event loop: what timers, connections and listeners of ice/net share through it. */
#ifndef ICE_NET_LOOP_PRIV_H
#define ICE_NET_LOOP_PRIV_H

#include "exchange.h"
#include "linger.h"

#include <moulin/base/block.h>
#include <moulin/base/list.h>
#include <moulin/net/loop.h>
#include <event2/event.h>
#include <pthread.h>

struct evdns_base;
struct ic_sweep;
struct ic_tls_bio;

struct ic_loop {
    struct event_base *base; /* owns */
    struct event *round; /* owns; pending while something is deferred, or the loop polls; an exchange sees to both itself */
    struct event *tick; /* owns; at the earliest timer */
    struct event *wake; /* owns; wake_fd is readable */
    struct event *once; /* owns; the limit of ic_loop_run_once */
    int wake_fd;
    bool stopped, timed_out;
    bool reading; /* the round reads; what is deferred runs when it has */
    bool in_round; /* what was deferred is running */

    struct ic_linger linger;
    struct ic_deferred to_linger; /* a round with oneways ends here, also when nothing else was deferred */
    bool precise; /* the thread's sleeps are */

    struct ic_deferred *deferred, **deferred_tail; /* for the next round */
    struct ic_deferred *running; /* of this round */
    int64_t poll_until; /* us; 0: it sleeps */
    struct ic_timer *timers; /* root of a pairing heap */
    int64_t tick_at; /* when tick fires; 0 = not added */

    pthread_mutex_t lock; /* protects posts */
    struct ic_post *posts, **posts_tail;

    struct evdns_base *dns; /* owns; made when a name is first resolved */
    size_t n_conns, n_left; /* connections; those that went since memory was given back */
    struct ic_timer trim; /* gives it back */
    struct ib_list to_read, to_write; /* connections: what this round does to their sockets */
    struct ic_sweep *sweep; /* owns; NULL: one socket at a time */
    bool uring, sweep_tried; /* io_uring may be used */
    struct ic_briskness brisk;
    struct ic_exchange *exchange; /* owns; made for the first */
    bool may_exchange, to_exchange, exchanging;
    struct ib_list listeners; /* of struct ic_listener: the table of in-process listeners */
    struct ib_block *scratch; /* where sockets are read into; frames borrow from it */
    size_t scratch_used;
    struct ic_tls_bio *tls_bio; /* owns; made for the first TLS connection */
    uint8_t *staging; /* owns; small writes are gathered here for TLS */
};

/* A connection was made, or freed. When as many have gone as are left, what they held goes back to the system. */
void ic_loop_conn_made(struct ic_loop *loop);
void ic_loop_conn_left(struct ic_loop *loop);

void ic_tls_bio_free(struct ic_tls_bio *b); /* tls_bio.c */
void ic_loop_memory(void); /* loop_mem.c; before libevent is used */

/* Runs what was deferred; what it leaves to be written is still to be sent. */
void ic_loop_round(struct ic_loop *loop);
/* Lingers if the round has brought what makes it due; then all is written before. */
bool ic_loop_lingered(struct ic_loop *loop);

/* Whether it shall not sleep now (ic_loop_poll). */
bool ic_loop_polls(struct ic_loop *loop);

/* A message has come; awaited: somebody waits for what follows from it. */
void ic_loop_heard(struct ic_loop *loop, bool awaited);

/* Fires what is due (timer.c). */
void ic_timers_run(struct ic_loop *loop);

/* Room of at least IC_SCRATCH_MIN bytes to read into; NULL without memory. ic_scratch_done tells how much of it must
   stay as it is because frames in it were kept. */
#define IC_SCRATCH_SIZE 32768
#define IC_SCRATCH_MIN 8192
uint8_t *ic_scratch(struct ic_loop *loop, size_t *room);
void ic_scratch_done(struct ic_loop *loop, size_t used);

#define IC_STAGING_SIZE 16384
uint8_t *ic_staging(struct ic_loop *loop); /* IC_STAGING_SIZE bytes, contents last for one call; NULL without memory */

#endif
