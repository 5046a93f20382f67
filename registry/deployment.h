/* SPDX-License-Identifier: Apache-2.0 */
/* What this replica did on nodes for each deployed server (icegrid-internal 10.2, 10.3): the node is told to load, and
   to destroy what is deployed no more; the proxies it answers with are kept while its session lasts. Who needs a server
   waits here, bounded, and is called back.

       ABSENT -> LOADING -> LOADED      LOADED, ABSENT -> DESTROYING -> ABSENT      (any) -> ABSENT when the session
   ends
*/
#ifndef REG_DEPLOYMENT_H
#define REG_DEPLOYMENT_H

#include "nodes.h"

struct reg_deployments;
extern const struct reg_part reg_deployment_part;

enum reg_placement_outcome {
    REG_PLACED,
    REG_PLACE_UNKNOWN, /* no such server */
    REG_PLACE_UNREACHABLE, /* its node is away, or the call failed */
    REG_PLACE_REFUSED, /* the node cannot load it: DeploymentException */
    REG_PLACE_LATE, /* still being loaded when the time was over */
};

struct reg_placement {
    enum reg_placement_outcome outcome;
    struct ib_str node;
    struct ib_str reason; /* unless REG_PLACED: a text for the exception */
    const struct iw_proxy *server; /* REG_PLACED: the Server object … */
    const struct IceGrid_AdapterPrxDict *adapters; /* … and its Adapters by id */
    int32_t activation_s, deactivation_s; /* what calls that wait for the process may take: at', dt' */
};

typedef void (*reg_placement_fn)(void *arg, const struct reg_placement *p);
struct reg_placement_wait;

/* True when the server is loaded now; p borrows until the next return to the loop. */
bool reg_server_placed(struct reg *reg, struct ib_str id, struct reg_placement *p);
/* A call about the server is under way, and what it leads to is not known yet. */
bool reg_server_syncing(struct reg *reg, struct ib_str id);
/* Proxies as last known, even while the server is being loaded anew: for servers that register or withdraw meanwhile.
 */
bool reg_server_last_placed(struct reg *reg, struct ib_str id, struct reg_placement *p);
/* Has the server loaded if need be. fn is called once, never before this returns. timeout_ms bounds the wait, 0 leaves
   it to the call's own deadline. NULL when memory is short or too many wait. */
struct reg_placement_wait *reg_server_need(struct reg *reg, struct ib_str id, int32_t timeout_ms, reg_placement_fn fn,
                                           void *arg) IB_MUST_CHECK;
void reg_placement_cancel(struct reg_placement_wait *w); /* fn is not called any more */
/* The exception of a placement that failed, as the Admin operations throw it. */
void reg_placement_throw(const struct reg_placement *p, struct ir_request *rq, struct ib_str id);

void reg_deployments_end(struct reg *reg); /* the registry stops: whoever waits is told */

/* Every server of the node (NodeSession.loadServers). */
void reg_node_load_servers(struct reg *reg, struct ib_str node);

/* The session that holds the server, for activation "session" (15.5): user "" = none. fn as above, when the node has
 * it. */
struct reg_placement_wait *reg_server_set_session(struct reg *reg, struct ib_str id, struct ib_str user,
                                                  reg_placement_fn fn, void *arg);
struct ib_str reg_server_session(struct reg *reg, struct ib_str id); /* "" = none */

#endif
