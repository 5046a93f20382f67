/* SPDX-License-Identifier: Apache-2.0 */
/* The workers of a gateway (Moulin.Workers): whole routers, each with a loop and a thread of its own.

     client ──► worker 0: accepts ──hands the socket over──► worker k: connection, session, servers' connections
                worker 0: admin object, signals ──rounds──► every worker                              (round.h)
                worker j: a callback's connection ──crossing──► worker k, whose session it is for     (crossing.c)

   A connection lives and dies on one worker. They share the books (books.h), and nothing else that changes. Worker 0 is
   the service's own thread; without others all of this costs nothing. */
#ifndef GATEWAY_CREW_H
#define GATEWAY_CREW_H

#include <moulin/base/list.h>
#include <moulin/net/loop.h>

#include "books.h"

#define GW_WORKERS_MAX 64

struct gw_crew;
struct gw_router;

struct gw_worker {
    struct gw_crew *crew;
    unsigned index;
    struct ic_loop *loop; /* owns, except worker 0's */
    struct gw_router *router; /* NULL: not made yet, or freed */
    pthread_t thread;
    bool runs; /* it has a thread */
    atomic_uint clients, guests;
    atomic_uint line; /* logins that wait at its door */
    struct ic_post kick; /* to its door */
    atomic_bool kicked;
    struct ic_post stop; /* to it, and back when it has stopped */
    struct ic_post leave; /* its thread is to end */
};

struct gw_crew {
    unsigned n;
    bool alone; /* the threads have ended: what is posted is done at once */
    uint64_t key; /* of gw_crew_owner */
    struct gw_books books;
    atomic_uint told; /* lines of their logs on their way to worker 0 */
    unsigned turn; /* who gets the next connection */
    unsigned stopping; /* workers that have not stopped yet */
    struct gw_worker workers[];
};

/* How many the properties ask for: Moulin.Workers, or one for each processor this process may use. */
struct ir_properties;
int gw_crew_size(const struct ir_properties *p, unsigned *n, struct ib_err *err) IB_MUST_CHECK;
/* Their loops; worker 0's is the one given. */
struct gw_crew *gw_crew_new(struct ic_loop *loop, unsigned n, struct ib_err *err);
/* Threads for all but worker 0, whose routers are complete. */
int gw_crew_start(struct gw_crew *crew, struct ib_err *err) IB_MUST_CHECK;
void gw_crew_join(struct gw_crew *crew); /* ends them; what they had posted is done */
void gw_crew_free(struct gw_crew *crew); /* when all routers are freed */

/* Runs fn(arg) on that worker's thread; the router may be gone by then. */
void gw_crew_post(struct gw_crew *crew, unsigned to, struct ic_post *p, void (*fn)(void *arg), void *arg);

/* Who owns the session of that token, or the control object of that name: whoever makes one draws until it is his. Says
   nothing to those who do not know the key. */
unsigned gw_crew_owner(const struct gw_crew *crew, struct ib_str token);

/* Has the sockets that worker 0's adapters accept shared out; its server adapter's only if they have none of their own.
 */
void gw_crew_share_sockets(struct gw_crew *crew, bool servers);

#endif
