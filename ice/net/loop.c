/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop: libevent's base with deferred calls, messages from other threads and the buffers its connections
   share. Owns nothing of its connections. */
#include "loop_priv.h"
#include "sweep.h"

#include <errno.h>
#include <event2/dns.h>
#include <malloc.h>
#include <moulin/base/clock.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define TRIM_MIN 256 /* connections: about 4 MB with TLS */
#define TRIM_MS 500 /* others may be about to go, too */

static int64_t thread_cpu_us(void)
{
    struct timespec t;
    return clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0 ? (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000 : 0;
}

bool ic_loop_lingered(struct ic_loop *loop)
{
    if (!loop->linger.oneways && !loop->linger.awaited) {
        return false;
    }
    int64_t now = ib_clock_us();
    if (ic_linger_window_over(&loop->linger, now)) {
        ic_linger_window(&loop->linger, now, thread_cpu_us());
    }
    int64_t us = ic_linger_due(&loop->linger, now);
    if (us == 0) {
        return false;
    }
    if (!loop->precise) {
        loop->precise = true;
        (void)prctl(PR_SET_TIMERSLACK, 1000UL); /* ns; the usual 50 us would be as much again */
    }
    ic_sweep_writes(loop);
    nanosleep(&(struct timespec){0, us * 1000}, NULL);
    return true;
}

static void on_to_linger(void *arg)
{
    (void)arg;
}

void ic_loop_heard(struct ic_loop *loop, bool awaited)
{
    ic_linger_heard(&loop->linger, awaited);
    if (!awaited && loop->linger.oneway_us) {
        ic_loop_defer(loop, &loop->to_linger, on_to_linger, loop);
    }
}

void ic_loop_poll(struct ic_loop *loop, int us)
{
    loop->poll_until = us ? ib_clock_us() + us : 0;
}

bool ic_loop_polls(struct ic_loop *loop)
{
    if (!loop->poll_until) {
        return false;
    }
    if (ib_clock_us() >= loop->poll_until) {
        loop->poll_until = 0;
        return false;
    }
    return true;
}

void ic_loop_set_uring(struct ic_loop *loop, bool may)
{
    loop->uring = may;
    if (!may) {
        ic_sweep_free(loop);
    }
}

void ic_loop_set_linger(struct ic_loop *loop, int oneway_us, int busy_us)
{
    loop->linger.oneway_us = oneway_us;
    loop->linger.busy_us = busy_us;
}

/* What is deferred meanwhile waits for the next, so sockets are never starved. */
void ic_loop_round(struct ic_loop *loop)
{
    loop->running = loop->deferred;
    if (loop->running) {
        loop->running->prev = &loop->running;
    }
    loop->deferred = NULL;
    loop->deferred_tail = &loop->deferred;
    loop->in_round = true;
    while (loop->running) {
        struct ic_deferred *d = loop->running;
        ic_loop_undefer(loop, d);
        d->fn(d->arg);
    }
    loop->in_round = false;
}

/* A timeout, not event_active: sockets are looked at before it. */
static void round_again(struct ic_loop *loop)
{
    static const struct timeval now = {0, 0};
    event_add(loop->round, &now);
}

/* Reads what has come, runs what was queued before, writes what that gave to send. */
static void on_round(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct ic_loop *loop = arg;
    loop->reading = true;
    ic_sweep_reads(loop);
    loop->reading = false;
    ic_loop_round(loop);
    loop->in_round = true;
    ic_sweep_writes(loop);
    loop->in_round = false;
    bool awaited = loop->linger.awaited;
    if (!ic_loop_lingered(loop) && awaited && loop->may_exchange && !loop->exchanging && ic_exchange_due(loop)) {
        loop->to_exchange = true;
        event_base_loopbreak(loop->base);
    } else if (!loop->deferred && ic_loop_polls(loop)) {
        (void)sched_yield(); /* who will answer may wait for this processor */
        round_again(loop);
    }
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    ic_timers_run(arg);
}

static void on_once(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct ic_loop *loop = arg;
    loop->timed_out = true;
}

void ic_loop_run_posts(struct ic_loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    struct ic_post *p = loop->posts;
    loop->posts = NULL;
    loop->posts_tail = &loop->posts;
    pthread_mutex_unlock(&loop->lock);
    while (p) {
        struct ic_post *next = p->next;
        void (*fn)(void *) = p->fn;
        void *arg = p->arg;
        if (p->owned) {
            free(p);
        }
        fn(arg);
        p = next;
    }
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    uint64_t count;
    while (read(fd, &count, sizeof count) < 0 && errno == EINTR) {
    }
    ic_loop_run_posts(arg);
}

void ic_loop_conn_made(struct ic_loop *loop)
{
    loop->n_conns++;
}

void ic_loop_conn_left(struct ic_loop *loop)
{
    loop->n_conns--;
    loop->n_left++;
    if (loop->n_left >= TRIM_MIN && loop->n_left >= loop->n_conns && !loop->trim.armed) {
        ic_timer_start(&loop->trim, TRIM_MS);
    }
}

/* Takes time as the memory they held does: the share of each is a part of what closing it took. */
static void on_trim(void *arg)
{
    struct ic_loop *loop = arg;
    loop->n_left = 0;
    malloc_trim(0);
}

static int make_events(struct ic_loop *loop)
{
    struct event_config *cfg = event_config_new();
    if (!cfg) {
        return IB_ENOMEM;
    }
    event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK); /* other threads come in through wake_fd only */
    loop->base = event_base_new_with_config(cfg);
    event_config_free(cfg);
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (!loop->base || loop->wake_fd < 0) {
        return IB_EIO;
    }
    loop->round = event_new(loop->base, -1, 0, on_round, loop);
    loop->tick = event_new(loop->base, -1, 0, on_tick, loop);
    loop->once = event_new(loop->base, -1, 0, on_once, loop);
    loop->wake = event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop);
    if (!loop->round || !loop->tick || !loop->once || !loop->wake || event_add(loop->wake, NULL) < 0) {
        return IB_ENOMEM;
    }
    return 0;
}

struct ic_loop *ic_loop_new(struct ib_err *err)
{
    ic_loop_memory();
    struct ic_loop *loop = calloc(1, sizeof *loop);
    if (!loop) {
        ib_err_set(err, IB_ENOMEM, "cannot make an event loop: out of memory");
        return NULL;
    }
    pthread_mutex_init(&loop->lock, NULL);
    loop->wake_fd = -1;
    loop->deferred_tail = &loop->deferred;
    loop->posts_tail = &loop->posts;
    ib_list_init(&loop->listeners);
    ib_list_init(&loop->to_read);
    ib_list_init(&loop->to_write);
    ic_timer_init(&loop->trim, loop, on_trim, loop);
    int rc = make_events(loop);
    if (rc < 0) {
        ib_err_set(err, rc, "cannot make an event loop: %s", rc == IB_ENOMEM ? "out of memory" : strerror(errno));
        ic_loop_free(loop);
        return NULL;
    }
    return loop;
}

void ic_loop_free(struct ic_loop *loop)
{
    if (!loop) {
        return;
    }
    while (loop->base &&
           (loop->posts || loop->deferred)) { /* connections that were detached last free themselves here */
        ic_loop_run_posts(loop);
        on_round(-1, 0, loop);
    }
    if (loop->dns) {
        evdns_base_free(loop->dns, 0);
    }
    struct event *all[] = {loop->round, loop->tick, loop->once, loop->wake};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i]) {
            event_free(all[i]);
        }
    }
    if (loop->base) {
        event_base_free(loop->base);
    }
    if (loop->wake_fd >= 0) {
        close(loop->wake_fd);
    }
    pthread_mutex_destroy(&loop->lock);
    ib_block_unref(loop->scratch);
    ic_sweep_free(loop);
    ic_exchange_free(loop);
    ic_tls_bio_free(loop->tls_bio);
    free(loop->staging);
    free(loop);
}

void ic_loop_run(struct ic_loop *loop)
{
    loop->may_exchange = loop->uring;
    while (!loop->stopped) {
        event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY);
        if (loop->to_exchange && !loop->stopped) {
            ic_exchange_run(loop);
            if (loop->poll_until) {
                event_active(loop->round, EV_TIMEOUT, 0);
            }
        }
        loop->to_exchange = false;
    }
    loop->may_exchange = false;
    loop->stopped = false;
}

bool ic_loop_run_once(struct ic_loop *loop, int timeout_ms)
{
    struct timeval tv = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
    loop->timed_out = false;
    event_add(loop->once, &tv);
    event_base_loop(loop->base, EVLOOP_ONCE);
    event_del(loop->once);
    return !loop->timed_out;
}

void ic_loop_stop(struct ic_loop *loop)
{
    loop->stopped = true;
    event_base_loopbreak(loop->base);
}

struct event_base *ic_loop_base(struct ic_loop *loop)
{
    return loop->base;
}

/* Only the first that waits wakes the loop: it takes all of them. */
static void enqueue(struct ic_loop *loop, struct ic_post *p)
{
    uint64_t one = 1;
    pthread_mutex_lock(&loop->lock);
    bool first = !loop->posts;
    *loop->posts_tail = p;
    loop->posts_tail = &p->next;
    pthread_mutex_unlock(&loop->lock);
    while (first && write(loop->wake_fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

int ic_loop_post(struct ic_loop *loop, void (*fn)(void *arg), void *arg)
{
    struct ic_post *p = malloc(sizeof *p);
    if (!p) {
        return IB_ENOMEM;
    }
    *p = (struct ic_post){.fn = fn, .arg = arg, .owned = true};
    enqueue(loop, p);
    return 0;
}

void ic_loop_post_embedded(struct ic_loop *loop, struct ic_post *p, void (*fn)(void *arg), void *arg)
{
    *p = (struct ic_post){.fn = fn, .arg = arg};
    enqueue(loop, p);
}

void ic_loop_defer(struct ic_loop *loop, struct ic_deferred *d, void (*fn)(void *arg), void *arg)
{
    d->fn = fn;
    d->arg = arg;
    if (d->queued) {
        return;
    }
    bool first = !loop->deferred && !loop->exchanging; /* an exchange sees that something is deferred */
    if (first && loop->in_round) {
        round_again(loop);
    } else if (first && !loop->reading) {
        event_active(loop->round, EV_TIMEOUT, 0); /* behind every socket that is ready now: their writes go together */
    }
    d->queued = true;
    d->next = NULL;
    d->prev = loop->deferred_tail;
    *loop->deferred_tail = d;
    loop->deferred_tail = &d->next;
}

void ic_loop_undefer(struct ic_loop *loop, struct ic_deferred *d)
{
    if (!d->queued) {
        return;
    }
    *d->prev = d->next;
    if (d->next) {
        d->next->prev = d->prev;
    } else if (loop->deferred_tail == &d->next) {
        loop->deferred_tail = d->prev;
    }
    d->queued = false;
    d->next = NULL;
    d->prev = NULL;
}

uint8_t *ic_scratch(struct ic_loop *loop, size_t *room)
{
    if (loop->scratch && loop->scratch->refs == 1) {
        loop->scratch_used = 0; /* nobody kept a frame of it */
    }
    if (!loop->scratch || loop->scratch->n - loop->scratch_used < IC_SCRATCH_MIN) {
        struct ib_block *b = ib_block_new(IC_SCRATCH_SIZE);
        if (!b) {
            return NULL;
        }
        ib_block_unref(loop->scratch);
        loop->scratch = b;
        loop->scratch_used = 0;
    }
    *room = loop->scratch->n - loop->scratch_used;
    return loop->scratch->p + loop->scratch_used;
}

void ic_scratch_done(struct ic_loop *loop, size_t used)
{
    loop->scratch_used += used;
}

uint8_t *ic_staging(struct ic_loop *loop)
{
    if (!loop->staging) {
        loop->staging = malloc(IC_STAGING_SIZE);
    }
    return loop->staging;
}
