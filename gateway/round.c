/* SPDX-License-Identifier: Apache-2.0 */
/* Rounds: posted to all, and back with the last answer. Everything a round needs is allocated when it begins. */
#include "round.h"

#include "router.h"

#include <stdlib.h>

#define ROUND_MS 5000 /* no worker ever waits: who has not answered by then is lost */

struct leg {
    struct ic_post post;
    struct run *run;
    unsigned index;
};

struct run {
    const struct gw_round *round;
    void *job;
    struct gw_crew *crew;
    bool told;
    struct ic_timer deadline; /* on worker 0's loop */
    struct ic_post back;
    atomic_uint left;
    struct leg legs[];
};

static void tell(struct run *run, bool complete)
{
    if (!run->told) {
        run->told = true;
        run->round->done(run->job, complete);
    }
}

static void on_deadline(void *arg)
{
    tell(arg, false);
}

static void on_back(void *arg)
{
    struct run *run = arg;
    ic_timer_fini(&run->deadline);
    tell(run, true);
    run->round->forget(run->job);
    free(run);
}

static void on_leg(void *arg)
{
    struct leg *leg = arg;
    struct run *run = leg->run;
    struct gw_router *r = run->crew->workers[leg->index].router;
    if (r) {
        run->round->each(run->job, r);
    }
    if (atomic_fetch_sub(&run->left, 1) == 1) {
        gw_crew_post(run->crew, 0, &run->back, on_back, run);
    }
}

int gw_round_start(struct gw_crew *crew, const struct gw_round *round, void *job)
{
    struct gw_router *first = crew->workers[0].router;
    if (crew->n == 1) {
        round->each(job, first);
        round->done(job, true);
        round->forget(job);
        return 0;
    }
    struct run *run = calloc(1, sizeof(*run) + (crew->n - 1) * sizeof(run->legs[0]));
    if (!run) {
        return IB_ENOMEM;
    }
    run->round = round;
    run->job = job;
    run->crew = crew;
    atomic_init(&run->left, crew->n - 1);
    ic_timer_init(&run->deadline, crew->workers[0].loop, on_deadline, run);
    ic_timer_start(&run->deadline, ROUND_MS);
    round->each(job, first);
    for (unsigned i = 1; i < crew->n; i++) {
        struct leg *leg = &run->legs[i - 1];
        leg->run = run;
        leg->index = i;
        gw_crew_post(crew, i, &leg->post, on_leg, leg);
    }
    return 0;
}

/* --- for the admin object ----------------------------------------------------------------------------------------- */

struct errand {
    const struct ir_admin_round *round;
    void *job;
};

static void each(void *arg, struct gw_router *r)
{
    const struct errand *e = arg;
    e->round->each(e->job, r->worker, r->rt);
}

static void done(void *arg, bool complete)
{
    const struct errand *e = arg;
    e->round->done(e->job, complete);
}

static void forget(void *arg)
{
    struct errand *e = arg;
    e->round->forget(e->job);
    free(e);
}

static int ask(void *crew, const struct ir_admin_round *round, void *job)
{
    static const struct gw_round mine = {.each = each, .done = done, .forget = forget};
    struct errand *e = calloc(1, sizeof(*e));
    if (!e) {
        return IB_ENOMEM;
    }
    *e = (struct errand){.round = round, .job = job};
    int rc = gw_round_start(crew, &mine, e);
    if (rc != 0) {
        free(e);
    }
    return rc;
}

struct ir_admin_peers gw_round_peers(struct gw_crew *crew)
{
    return (struct ir_admin_peers){.n = crew->n, .ask = ask, .arg = crew};
}
