/* SPDX-License-Identifier: Apache-2.0 */
/* The workers' threads, what is posted between them, and who gets a new connection. */
#include "router.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define UNEVEN 16 /* clients more than another's, from which on it is not a worker's turn */

/* --- life --------------------------------------------------------------------------------------------------------- */

static int processors(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    return n < 1 ? 1 : n > GW_WORKERS_MAX ? GW_WORKERS_MAX : n;
}

int gw_crew_size(const struct ir_properties *p, unsigned *n, struct ib_err *err)
{
    int v = 1;
    int rc = gw_config_int(p, "Moulin.Workers", processors(), 1, GW_WORKERS_MAX, &v, err);
    *n = (unsigned)v;
    return rc;
}

struct gw_crew *gw_crew_new(struct ic_loop *loop, unsigned n, struct ib_err *err)
{
    struct gw_crew *crew = calloc(1, sizeof(*crew) + n * sizeof(crew->workers[0]));
    if (!crew) {
        (void)ib_err_set(err, IB_ENOMEM, "out of memory");
        return NULL;
    }
    (void)pthread_mutex_init(&crew->books.lock, NULL);
    ib_random(&crew->key, sizeof(crew->key));
    for (; crew->n < n; crew->n++) {
        struct gw_worker *w = &crew->workers[crew->n];
        w->crew = crew;
        w->index = crew->n;
        w->loop = crew->n == 0 ? loop : ic_loop_new(err);
        if (!w->loop) {
            gw_crew_free(crew);
            return NULL;
        }
    }
    return crew;
}

static void *work(void *arg)
{
    struct gw_worker *w = arg;
    char name[16]; /* what the kernel takes */
    (void)snprintf(name, sizeof(name), "moulin-gw-%u", w->index % GW_WORKERS_MAX);
    (void)pthread_setname_np(pthread_self(), name);
    ir_adapter_activate(w->router->client, NULL, NULL);
    if (w->router->server) {
        ir_adapter_activate(w->router->server, NULL, NULL);
    }
    ic_loop_run(w->loop);
    return NULL;
}

/* Signals are worker 0's. */
int gw_crew_start(struct gw_crew *crew, struct ib_err *err)
{
    sigset_t all, old;
    int rc = 0;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    for (unsigned i = 1; rc == 0 && i < crew->n; i++) {
        struct gw_worker *w = &crew->workers[i];
        (void)ib_log_hush(ir_runtime_log(w->router->rt), false);
        rc = pthread_create(&w->thread, NULL, work, w);
        w->runs = rc == 0;
    }
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc == 0
               ? 0
               : ib_err_set(err, IB_ENOMEM, "cannot start a thread for each of %u workers: %s", crew->n, strerror(rc));
}

static void leave(void *arg)
{
    ic_loop_stop(((struct gw_worker *)arg)->loop);
}

void gw_crew_join(struct gw_crew *crew)
{
    for (unsigned i = 1; i < crew->n; i++) {
        struct gw_worker *w = &crew->workers[i];
        if (w->runs) {
            ic_loop_post_embedded(w->loop, &w->leave, leave, w);
            (void)pthread_join(w->thread, NULL);
            w->runs = false;
        }
    }
    crew->alone = true;
    for (unsigned i = 0; i < crew->n; i++) {
        ic_loop_run_posts(crew->workers[i].loop);
    }
}

void gw_crew_free(struct gw_crew *crew)
{
    for (unsigned i = 1; i < crew->n; i++) {
        ic_loop_free(crew->workers[i].loop);
    }
    gw_books_close(&crew->books);
    free(crew);
}

void gw_crew_post(struct gw_crew *crew, unsigned to, struct ic_post *p, void (*fn)(void *arg), void *arg)
{
    if (crew->alone) {
        fn(arg);
    } else {
        ic_loop_post_embedded(crew->workers[to].loop, p, fn, arg);
    }
}

unsigned gw_crew_owner(const struct gw_crew *crew, struct ib_str token)
{
    uint64_t h = crew->key;
    if (crew->n == 1) {
        return 0;
    }
    for (size_t i = 0; i < token.n; i++) {
        h = (h ^ (unsigned char)token.p[i]) * 0x100000001b3;
    }
    h = (h ^ h >> 32) * 0x9e3779b97f4a7c15;
    return (unsigned)((h >> 32) % crew->n);
}

/* --- connections -------------------------------------------------------------------------------------------------- */

/* In turn, unless somebody has far more than another. While there are as many guests as there may be, the worker with
   the most of them: he makes room among his own (limit.c). */
static unsigned choose(struct gw_crew *crew)
{
    const struct gw_worker *w = crew->workers;
    int limit = w[0].router->limits.unauthenticated;
    unsigned least = 0, guests = 0, turn = crew->turn++ % crew->n;
    for (unsigned i = 1; i < crew->n; i++) {
        least = atomic_load(&w[i].clients) < atomic_load(&w[least].clients) ? i : least;
        guests = atomic_load(&w[i].guests) > atomic_load(&w[guests].guests) ? i : guests;
    }
    if (limit > 0 && atomic_load(&crew->books.guests) >= (unsigned)limit) {
        return guests;
    }
    return atomic_load(&w[turn].clients) > atomic_load(&w[least].clients) + UNEVEN ? least : turn;
}

struct parcel {
    struct ic_post post;
    struct gw_worker *to;
    bool server;
    size_t listener;
    int fd; /* owns */
};

static void on_parcel(void *arg)
{
    struct parcel *p = arg;
    struct gw_router *r = p->to->router;
    if (r) {
        ir_adapter_take(p->server ? r->server : r->client, p->listener, p->fd);
    } else {
        (void)close(p->fd);
    }
    free(p);
}

static bool hand_over(struct gw_crew *crew, bool server, size_t listener, int fd)
{
    unsigned to = server ? crew->turn++ % crew->n : choose(crew);
    struct parcel *p = to ? malloc(sizeof(*p)) : NULL;
    if (!p) { /* worker 0's own, or nobody else's for want of memory */
        return false;
    }
    *p = (struct parcel){.to = &crew->workers[to], .server = server, .listener = listener, .fd = fd};
    gw_crew_post(crew, to, &p->post, on_parcel, p);
    return true;
}

static bool on_client(void *crew, size_t listener, int fd)
{
    return hand_over(crew, false, listener, fd);
}

static bool on_server(void *crew, size_t listener, int fd)
{
    return hand_over(crew, true, listener, fd);
}

void gw_crew_share_sockets(struct gw_crew *crew, bool servers)
{
    const struct gw_router *first = crew->workers[0].router;
    if (crew->n == 1) {
        return;
    }
    ir_adapter_on_socket(first->client, on_client, crew);
    if (first->server && servers) {
        ir_adapter_on_socket(first->server, on_server, crew);
    }
}
