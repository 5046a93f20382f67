/* SPDX-License-Identifier: Apache-2.0 */
/* One question to every worker, as operators and signals have them; always begun by worker 0. */
#ifndef GATEWAY_ROUND_H
#define GATEWAY_ROUND_H

#include <moulin/base/err.h>

#include <stdbool.h>

struct gw_crew;
struct gw_router;
struct ir_admin_peers;

struct gw_round {
    void (*each)(void *job, struct gw_router *r); /* on that worker's thread; not called for one that is gone */
    void (*done)(void *job, bool complete); /* on worker 0's, once; not complete: somebody has not answered in time */
    void (*forget)(void *job); /* likewise, at last: nobody uses the job any more */
};
/* With one worker everything is done when it returns. IB_ENOMEM: nothing was called. */
int gw_round_start(struct gw_crew *crew, const struct gw_round *round, void *job) IB_MUST_CHECK;

/* The same for the admin object, of runtimes. */
struct ir_admin_peers gw_round_peers(struct gw_crew *crew);

#endif
