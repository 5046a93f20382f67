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
bool ic_loop_run_once(struct ic_loop *loop, int timeout_ms); /* one round, waits at most timeout_ms: for what a start has to wait for */
void ic_loop_stop(struct ic_loop *loop);
struct event_base *ic_loop_base(struct ic_loop *loop);

/* Runs fn(arg) on the loop's thread: soon, or at the latest in ic_loop_free, so what arg holds is never lost. From any
   thread, but none may post once the loop is being freed. */
int ic_loop_post(struct ic_loop *loop, void (*fn)(void *arg), void *arg) IB_MUST_CHECK;
/* The same with storage of the caller's, which is his again when fn is called: it never fails. */
struct ic_post {
    struct ic_post *next;
    void (*fn)(void *arg);
    void *arg;
    bool owned; /* by the loop */
};
void ic_loop_post_embedded(struct ic_loop *loop, struct ic_post *p, void (*fn)(void *arg), void *arg);
/* Runs what has been posted: for a loop whose thread has ended. */
void ic_loop_run_posts(struct ic_loop *loop);
/* Runs fn(arg) after the current event, on this thread (never fails; storage is the caller's, embedded). */
struct ic_deferred {
    struct ic_deferred *next, **prev;
    void (*fn)(void *arg);
    void *arg;
    bool queued;
};
void ic_loop_defer(struct ic_loop *loop, struct ic_deferred *d, void (*fn)(void *arg), void *arg);
void ic_loop_undefer(struct ic_loop *loop, struct ic_deferred *d);

/* Whether sockets that are ready together may be read, and written, with one system call. Where the kernel has no io_uring,
   or forbids it, that is as if it were false, as in the beginning. */
void ic_loop_set_uring(struct ic_loop *loop, bool may);

/* Where messages come fast the loop looks at its sockets every so often only: at most this many us where nobody waits for an
   answer, and where many do and it has much to do. 0, the beginning: at once. */
void ic_loop_set_linger(struct ic_loop *loop, int oneway_us, int busy_us);

/* For this many us, or until it is called with 0, the loop looks at its sockets again and again, and does not sleep: where
   an answer is about to come, being woken takes as long. Called where something that came
   is dispatched, or from a deferred call. */
void ic_loop_poll(struct ic_loop *loop, int us);

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
/* at, or up to a 16th of the ms before it later, 256 ms at most: those who use it for what need not be exact (checks of
   idle connections and sessions) wake the process together. */
int64_t ic_timer_align(int64_t at, int64_t ms);

#endif
