/* SPDX-License-Identifier: Apache-2.0 */
/* One event loop: a libevent base, timers, messages from other threads, name resolution, and the table of in-process
   listeners. Everything in ice/net and ice/rpc belongs to exactly one loop and is used from its thread only;
   ic_loop_post is the one exception. */
#ifndef MOULIN_NET_LOOP_H
#define MOULIN_NET_LOOP_H

#include <moulin/base/err.h>
#include <stdbool.h>
#include <stdint.h>

struct ic_loop;
struct event_base;

struct ic_loop *ic_loop_new(struct ib_err *err);
void ic_loop_free(struct ic_loop *loop); /* after everything on it is gone */
void ic_loop_run(struct ic_loop *loop); /* until ic_loop_stop */
bool ic_loop_run_once(struct ic_loop *loop, int timeout_ms); /* for tests: one round, waits at most timeout_ms */
void ic_loop_stop(struct ic_loop *loop);
struct event_base *ic_loop_base(struct ic_loop *loop);

/* Runs fn(arg) on the loop's thread soon. From any thread. */
int ic_loop_post(struct ic_loop *loop, void (*fn)(void *arg), void *arg) IB_MUST_CHECK;
/* Runs fn(arg) after the current event, on this thread (never fails; storage is the caller's, embedded). */
struct ic_deferred {
    struct ic_deferred *next, **prev;
    void (*fn)(void *arg);
    void *arg;
    bool queued;
};
void ic_loop_defer(struct ic_loop *loop, struct ic_deferred *d, void (*fn)(void *arg), void *arg);
void ic_loop_undefer(struct ic_loop *loop, struct ic_deferred *d);

/* A one-shot timer, embedded in its owner; starting a running one moves it. Never fires after ic_timer_stop. */
struct ic_timer {
    struct ic_loop *loop;
    void (*fn)(void *arg);
    void *arg;
    struct ic_timer *child, *prev, *next; /* of the loop's heap */
    int64_t at;
    bool armed;
};
void ic_timer_init(struct ic_timer *t, struct ic_loop *loop, void (*fn)(void *arg), void *arg);
void ic_timer_start(struct ic_timer *t, int64_t ms);
void ic_timer_stop(struct ic_timer *t);
void ic_timer_fini(struct ic_timer *t);

#endif
