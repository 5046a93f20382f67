/* SPDX-License-Identifier: Apache-2.0 */
/* What the workers of a gateway count together: limits, failed logins, logins being verified, numbers of sessions. From
   any of their threads; nothing here is touched for a request that is forwarded. */
#ifndef GATEWAY_BOOKS_H
#define GATEWAY_BOOKS_H

#include <moulin/auth/throttle.h>
#include <moulin/base/err.h>

#include <pthread.h>
#include <stdatomic.h>

struct gw_limits;
struct gw_user;

struct gw_books {
    uint32_t run; /* tells the sessions of this process from those of others */
    atomic_uint clients, guests, sessions; /* in all; sessions: those being created or active */
    atomic_uint_fast64_t numbers; /* sessions made so far */
    atomic_uint_fast64_t lost; /* audit events whose loss the ordinary log has told */
    pthread_mutex_t lock; /* of all below */
    struct auth_throttle *throttle; /* owns; NULL = off, for good */
    struct auth_source *seats; /* owns; where those come from that are being verified */
    size_t n_seats, cap_seats;
    struct gw_user *users; /* owns; uthash; only while MaxSessionsPerUser is set */
};

int gw_books_open(struct gw_books *b, const struct gw_limits *l, struct ib_err *err) IB_MUST_CHECK;
void gw_books_close(struct gw_books *b);

/* One more, unless there are as many as the limit (0: none) says. */
bool gw_books_take(atomic_uint *count, int limit);

/* The throttle, which must be on (auth/throttle.h). */
struct auth_admission gw_books_ask(struct gw_books *b, const struct auth_attempt *a, bool take);
void gw_books_report(struct gw_books *b, const struct auth_attempt *a, bool accepted);
unsigned gw_books_refused(struct gw_books *b, struct auth_source from, int64_t interval_ms);

/* Logins being verified: each of one address, twice that in all; who is known takes a seat in any case. */
bool gw_books_has_seat(struct gw_books *b, const struct auth_source *from, unsigned each);
bool gw_books_sit(struct gw_books *b, const struct auth_source *from, unsigned each, bool known);
void gw_books_rise(struct gw_books *b, const struct auth_source *from);

/* Sessions of one user; kind tells users of the same name apart. limit 0: none, but counted. False: one too many, or
   out of memory. */
bool gw_books_join(struct gw_books *b, char kind, struct ib_str user, int limit);
void gw_books_part(struct gw_books *b, char kind, struct ib_str user);

#endif
