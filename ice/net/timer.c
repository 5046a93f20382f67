/* SPDX-License-Identifier: Apache-2.0 */
/* Timers: an intrusive pairing heap per loop behind one libevent timeout, so that starting a timer takes no memory and
   cannot fail. */
#include "loop_priv.h"

#include <moulin/base/clock.h>

static struct ic_timer *meld(struct ic_timer *a, struct ic_timer *b)
{
    if (!a || !b) {
        return a ? a : b;
    }
    if (b->at < a->at) {
        struct ic_timer *t = a;
        a = b;
        b = t;
    }
    b->prev = a; /* the first child's prev is its parent */
    b->next = a->child;
    if (a->child) {
        a->child->prev = b;
    }
    a->child = b;
    a->next = a->prev = NULL;
    return a;
}

/* Melds a list of siblings in pairs, then the pairs from the last to the first. */
static struct ic_timer *meld_pairs(struct ic_timer *list)
{
    struct ic_timer *pairs = NULL;
    while (list) {
        struct ic_timer *a = list, *b = a->next;
        list = b ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b) {
            b->next = b->prev = NULL;
        }
        struct ic_timer *m = meld(a, b);
        m->next = pairs;
        pairs = m;
    }
    struct ic_timer *root = NULL;
    while (pairs) {
        struct ic_timer *next = pairs->next;
        pairs->next = NULL;
        root = meld(root, pairs);
        pairs = next;
    }
    return root;
}

static void heap_remove(struct ic_loop *loop, struct ic_timer *t)
{
    struct ic_timer *children = meld_pairs(t->child);
    if (t == loop->timers) {
        loop->timers = children;
    } else {
        if (t->prev->child == t) {
            t->prev->child = t->next;
        } else {
            t->prev->next = t->next;
        }
        if (t->next) {
            t->next->prev = t->prev;
        }
        loop->timers = meld(loop->timers, children);
    }
    t->child = t->prev = t->next = NULL;
    t->armed = false;
}

/* Makes libevent wake us at the earliest timer. A wake-up that comes too early does no harm, so it is never put off. */
static void set_tick(struct ic_loop *loop)
{
    if (!loop->timers || (loop->tick_at && loop->tick_at <= loop->timers->at)) {
        return;
    }
    int64_t wait = loop->timers->at - ib_clock_ms();
    if (wait < 0) {
        wait = 0;
    }
    struct timeval tv = {wait / 1000, wait % 1000 * 1000};
    loop->tick_at = loop->timers->at;
    event_add(loop->tick, &tv);
}

void ic_timers_run(struct ic_loop *loop)
{
    int64_t now = ib_clock_ms();
    loop->tick_at = now; /* whoever starts a timer below leaves the tick to us */
    while (loop->timers && loop->timers->at <= now) {
        struct ic_timer *t = loop->timers;
        heap_remove(loop, t);
        t->fn(t->arg);
    }
    loop->tick_at = 0;
    set_tick(loop);
}

void ic_timer_init(struct ic_timer *t, struct ic_loop *loop, void (*fn)(void *arg), void *arg)
{
    *t = (struct ic_timer){.loop = loop, .fn = fn, .arg = arg};
}

void ic_timer_start(struct ic_timer *t, int64_t ms)
{
    if (t->armed) {
        heap_remove(t->loop, t);
    }
    t->at = ib_clock_ms() + (ms < 1 ? 1 : ms); /* never in the round that started it */
    t->armed = true;
    t->loop->timers = meld(t->loop->timers, t);
    set_tick(t->loop);
}

void ic_timer_stop(struct ic_timer *t)
{
    if (t->armed) {
        heap_remove(t->loop, t);
    }
}

void ic_timer_fini(struct ic_timer *t)
{
    ic_timer_stop(t);
}

int64_t ic_timer_align(int64_t at, int64_t ms)
{
    int64_t grain = 256;
    while (grain > 1 && grain > ms / 16) {
        grain /= 2;
    }
    return (at + grain - 1) & ~(grain - 1);
}
