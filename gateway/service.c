/* SPDX-License-Identifier: Apache-2.0 */
/* The role "gateway": a crew of routers from one configuration. Its state is worker 0's router. */
#include <moulin/gateway/gateway.h>

#include <string.h>

#include "router.h"

static void gateway_free(void *state);

/* --- start -------------------------------------------------------------------------------------------------------- */

static int parse_options(int argc, char **argv, bool *nowarn, struct ib_err *err)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--nowarn") == 0) {
            *nowarn = true;
        } else if (argv[i][0] == '-') {
            return ib_err_set(err, IB_EINVAL, "invalid option: `%.100s'", argv[i]);
        } else {
            return ib_err_set(err, IB_EINVAL, "too many arguments: `%.100s'", argv[i]);
        }
    }
    return 0;
}

/* Of all workers, before any thread runs. */
static int open_crew(struct gw_crew *crew, const struct ir_properties *props, struct ib_err *err)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < crew->n; i++) {
        struct gw_router *r = crew->workers[i].router ? crew->workers[i].router : gw_router_new(crew, i);
        rc = r ? gw_router_open(r, props, err) : ib_err_set(err, IB_ENOMEM, "out of memory");
    }
    for (unsigned i = 0; rc == 0 && i < crew->n; i++) {
        rc = gw_router_know_others(crew->workers[i].router) == 0 ? 0 : ib_err_set(err, IB_ENOMEM, "out of memory");
    }
    return rc;
}

static void *gateway_start(struct ic_loop *loop, struct ir_properties *props, int argc, char **argv, struct ib_err *err)
{
    bool nowarn = false;
    unsigned n = 1;
    if (parse_options(argc, argv, &nowarn, err) != 0 || gw_crew_size(props, &n, err) != 0) {
        return NULL;
    }
    struct gw_crew *crew = gw_crew_new(loop, n, err);
    struct gw_router *r = crew ? gw_router_new(crew, 0) : NULL;
    if (!r) {
        if (crew) {
            gw_crew_free(crew);
            (void)ib_err_set(err, IB_ENOMEM, "out of memory");
        }
        return NULL;
    }
    int rc = open_crew(crew, props, err);
    if (rc == 0) {
        gw_crew_share_sockets(crew, !r->own_ports);
        rc = gw_crew_start(crew, err);
    }
    rc = rc ? rc : gw_startup_run(r, nowarn, err);
    if (rc != 0) {
        gateway_free(r);
        return NULL;
    }
    return r;
}

/* --- stop --------------------------------------------------------------------------------------------------------- */

static void one_stopped(void *arg)
{
    struct gw_crew *crew = ((struct gw_worker *)arg)->crew;
    struct gw_router *first = crew->workers[0].router;
    if (--crew->stopping == 0 && first && first->on_all_stopped) {
        first->on_all_stopped(first->all_stopped_arg);
    }
}

static void report_stopped(void *arg)
{
    struct gw_worker *w = arg;
    gw_crew_post(w->crew, 0, &w->stop, one_stopped, w);
}

static void stop_one(void *arg)
{
    struct gw_worker *w = arg;
    if (w->router) {
        gw_router_stop(w->router, report_stopped, w);
    }
}

static void gateway_stop(void *state, void (*done)(void *arg), void *arg)
{
    struct gw_router *r = state;
    if (!r) { /* told to stop before the start was over */
        done(arg);
        return;
    }
    struct gw_crew *crew = r->crew;
    r->on_all_stopped = done;
    r->all_stopped_arg = arg;
    crew->stopping = crew->n;
    for (unsigned i = 1; i < crew->n; i++) {
        gw_crew_post(crew, i, &crew->workers[i].stop, stop_one, &crew->workers[i]);
    }
    gw_router_stop(r, one_stopped, &crew->workers[0]);
}

/* The others first: what they still have for worker 0 finds it whole. */
static void gateway_free(void *state)
{
    struct gw_router *r = state;
    struct gw_crew *crew = r->crew;
    r->on_all_stopped = NULL;
    gw_crew_join(crew);
    for (unsigned i = crew->n; i-- > 0;) {
        if (crew->workers[i].router) {
            gw_router_free(crew->workers[i].router);
        }
    }
    gw_crew_free(crew);
}

/* --- SIGHUP ------------------------------------------------------------------------------------------------------- */

static void gateway_reload(void *state)
{
    gw_reload(state, NULL, NULL);
}

const struct ir_service gw_service = {
    .name = "moulin gateway",
    .usage = "--nowarn             Do not warn about services that cannot be contacted at the start.\n"
             "moulin gateway sessions --help tells how to look after one that runs.\n",
    .start = gateway_start,
    .stop = gateway_stop,
    .free = gateway_free,
    .reload = gateway_reload,
};
