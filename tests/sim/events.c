/* SPDX-License-Identifier: Apache-2.0 */
/* Replaces the parts of libevent that ice/net uses: events on simulated sockets and on the simulated clock, in an order
   that depends on nothing else. */
#include "sim.h"

#include <event2/dns.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

struct added {
    struct event *ev;
    int64_t at; /* INT64_MAX: no timeout */
};

struct active {
    struct event *ev;
    short what;
};

#define EVENTS_MAX 4096

struct event_base {
    struct added added[EVENTS_MAX];
    size_t n_added;
    struct active queue[EVENTS_MAX]; /* oldest first */
    size_t n_queue;
    unsigned ran;
    bool broken;
};

struct event_config {
    int flags;
};

/* --- life ------------------------------------------------------------------------------------------------------- */

struct event_config *event_config_new(void)
{
    return calloc(1, sizeof(struct event_config));
}

void event_config_free(struct event_config *c)
{
    free(c);
}

int event_config_set_flag(struct event_config *c, int flag)
{
    c->flags |= flag;
    return 0;
}

void event_set_mem_functions(void *(*m)(size_t), void *(*r)(void *, size_t), void (*f)(void *))
{
    (void)m, (void)r, (void)f;
}

struct event_base *event_base_new_with_config(const struct event_config *c)
{
    (void)c;
    struct event_base *b = calloc(1, sizeof *b);
    if (b && sim_current)
        sim_current->base = b;
    return b;
}

void event_base_free(struct event_base *b)
{
    for (int i = 0; i < sim_n_procs; i++)
        if (sim_procs[i].base == b)
            sim_procs[i].base = NULL;
    free(b);
}

/* --- events ----------------------------------------------------------------------------------------------------- */

int event_assign(struct event *ev, struct event_base *b, evutil_socket_t fd, short what, event_callback_fn fn,
                 void *arg)
{
    memset(ev, 0, sizeof *ev);
    ev->ev_fd = fd;
    ev->ev_base = b;
    ev->ev_events = what;
    ev->ev_evcallback.evcb_cb_union.evcb_callback = fn;
    ev->ev_evcallback.evcb_arg = arg;
    return 0;
}

struct event *event_new(struct event_base *b, evutil_socket_t fd, short what, event_callback_fn fn, void *arg)
{
    struct event *ev = malloc(sizeof *ev);
    if (ev)
        event_assign(ev, b, fd, what, fn, arg);
    return ev;
}

static void forget_added(struct event_base *b, const struct event *ev)
{
    for (size_t i = 0; i < b->n_added; i++) {
        if (b->added[i].ev != ev)
            continue;
        memmove(&b->added[i], &b->added[i + 1], (--b->n_added - i) * sizeof *b->added);
        return;
    }
}

static void forget_active(struct event_base *b, const struct event *ev)
{
    for (size_t i = 0; i < b->n_queue; i++) {
        if (b->queue[i].ev != ev)
            continue;
        memmove(&b->queue[i], &b->queue[i + 1], (--b->n_queue - i) * sizeof *b->queue);
        return;
    }
}

int event_add(struct event *ev, const struct timeval *tv)
{
    struct event_base *b = ev->ev_base;
    int64_t at = tv ? sim_now + tv->tv_sec * SIM_S + tv->tv_usec : INT64_MAX;
    for (size_t i = 0; i < b->n_added; i++) {
        if (b->added[i].ev == ev) {
            b->added[i].at = tv ? at : b->added[i].at;
            return 0;
        }
    }
    if (b->n_added == EVENTS_MAX)
        return -1;
    b->added[b->n_added++] = (struct added){ev, at};
    return 0;
}

int event_del(struct event *ev)
{
    forget_added(ev->ev_base, ev);
    forget_active(ev->ev_base, ev);
    return 0;
}

void event_free(struct event *ev)
{
    event_del(ev);
    free(ev);
}

void event_active(struct event *ev, int what, short calls)
{
    struct event_base *b = ev->ev_base;
    (void)calls;
    for (size_t i = 0; i < b->n_queue; i++) {
        if (b->queue[i].ev == ev) {
            b->queue[i].what |= (short)what;
            return;
        }
    }
    if (b->n_queue == EVENTS_MAX)
        sim_fail("too many active events");
    b->queue[b->n_queue++] = (struct active){ev, (short)what};
}

/* --- running ---------------------------------------------------------------------------------------------------- */

static short ready(const struct added *a)
{
    const struct event *ev = a->ev;
    short what = 0;
    if (ev->ev_fd >= 0 && (ev->ev_events & EV_READ) && sim_readable(ev->ev_fd))
        what |= EV_READ;
    if (ev->ev_fd >= 0 && (ev->ev_events & EV_WRITE) && sim_writable(ev->ev_fd))
        what |= EV_WRITE;
    if (!what && a->at <= sim_now)
        what = EV_TIMEOUT;
    return what;
}

static void poll_all(struct event_base *b)
{
    for (int timeouts = 0; timeouts < 2; timeouts++) {
        for (size_t i = 0; i < b->n_added; i++) {
            short what = ready(&b->added[i]);
            if (what && (what == EV_TIMEOUT) == timeouts)
                event_active(b->added[i].ev, what, 0);
        }
    }
}

bool sim_base_ready(struct event_base *b)
{
    if (b->n_queue == 0)
        poll_all(b);
    return b->n_queue > 0;
}

void sim_base_run(struct event_base *b)
{
    struct active a = b->queue[0];
    memmove(b->queue, b->queue + 1, --b->n_queue * sizeof *b->queue);
    if (!(a.ev->ev_events & EV_PERSIST))
        forget_added(b, a.ev);
    b->ran++;
    a.ev->ev_evcallback.evcb_cb_union.evcb_callback(a.ev->ev_fd, a.what, a.ev->ev_evcallback.evcb_arg);
}

int64_t sim_base_next(const struct event_base *b)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < b->n_added; i++)
        next = b->added[i].at < next ? b->added[i].at : next;
    return next;
}

/* Only those who run the loop themselves, at their start, come here: the world goes on meanwhile. */
int event_base_loop(struct event_base *b, int flags)
{
    unsigned ran = b->ran;
    (void)flags;
    b->broken = false;
    while (b->ran == ran && !b->broken)
        sim_step();
    return 0;
}

int event_base_loopbreak(struct event_base *b)
{
    b->broken = true;
    return 0;
}

/* --- names: only numbers are used ------------------------------------------------------------------------------- */

struct evdns_base *evdns_base_new(struct event_base *b, int flags)
{
    (void)b, (void)flags;
    return NULL;
}

void evdns_base_free(struct evdns_base *b, int fail)
{
    (void)b, (void)fail;
}
