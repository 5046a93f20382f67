/* SPDX-License-Identifier: Apache-2.0 */
/* What is going to happen, by time; and the questions that wait for an answer. */
#ifndef SIM_STORM_QUEUE_H
#define SIM_STORM_QUEUE_H

#include "world.h"

enum kind { EV_TIMER, EV_MESSAGE, EV_REPLY, EV_DEADLINE, EV_DISK };

enum work { WORK_PROMISE, WORK_STORE, WORK_FETCHED, WORK_INIT, WORK_UPDATE, WORK_COMMIT };

/* One question or message, and what comes back. */
struct call {
    enum election_do what;
    int from, to;
    uint64_t serial;
    uint32_t life; /* of the asker */
    uint32_t observer; /* that is called */
    char group[ELECTION_NAME_MAX];
    uint32_t set;
    struct election_stamp stamp;
    int max;
    int64_t generation;
    bool ok, yes;
    int at; /* ELECTION_REPLICATE: which of the updates. ELECTION_INVITE: whose invitation it is */
    struct db *content; /* owns */
};

struct event {
    struct event *left, *right; /* a skew heap by time */
    int64_t at;
    uint64_t order;
    enum kind kind;
    int node; /* that it happens to */
    uint32_t life;
    enum election_timer timer;
    uint64_t serial;
    struct call *call; /* owns, but EV_DEADLINE */
    uint64_t call_id; /* of open calls */
    enum work work;
    int64_t promise;
    int n;
};

/* Calls that wait for their answer. */
struct open_call {
    struct open_call *next;
    uint64_t id;
    int from;
    uint32_t life;
    enum election_do what;
    int to;
    uint64_t serial;
    int at;
};

struct event *queue_push(struct world *w, enum kind kind, int node, int64_t in); /* the caller fills in the rest */
struct event *queue_pop(void); /* owned by the caller; NULL: nothing is going to happen */
void queue_put_back(struct event *ev, int64_t at); /* what was not its time yet */
void queue_free(struct event *ev);
void queue_free_call(struct call *c); /* NULL is fine */
uint64_t queue_open(struct open_call o); /* its id */
bool queue_take(uint64_t id, struct open_call *out); /* false: it has ended */
void queue_clear(void);

#endif
