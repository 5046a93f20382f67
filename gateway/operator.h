/* SPDX-License-Identifier: Apache-2.0 */
/* What operators do to a running gateway: facet "Gateway" of the admin object (slice/Moulin/Gateway.ice), and draining,
   which lets no new client in while those inside finish. */
#ifndef GATEWAY_OPERATOR_H
#define GATEWAY_OPERATOR_H

#include <moulin/base/err.h>
#include <moulin/net/loop.h>
#include <moulin/rpc/adapter.h>

struct gw_router;

struct gw_operator {
    struct ir_servant servant;
    int64_t started;
    bool draining;
    int64_t drain_end; /* when the sessions left are ended; 0 = never */
    struct ic_timer drain_timer;
};

void gw_operator_init(struct gw_router *r);
int gw_operator_open(struct gw_router *r, struct ib_err *err) IB_MUST_CHECK; /* after the admin object is made */
void gw_operator_fini(struct gw_router *r); /* before it is freed */

/* From now on nobody is listened to, so that clients go to another endpoint of their router proxy, and no session is
   created; with seconds >= 0 the sessions left are ended after so many. Again: the new time counts. */
void gw_drain(struct gw_router *r, int seconds);
int gw_undrain(struct gw_router *r, struct ib_err *err) IB_MUST_CHECK; /* on failure it stays as it is */

#endif
