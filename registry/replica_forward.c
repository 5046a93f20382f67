/* SPDX-License-Identifier: Apache-2.0 */
/* A server registers its adapter with a slave: the master stores it, and every replica learns it from there
   (icegrid-internal 3.2). */
#include "replication.h"
#include "slices.h"

#include <stdlib.h>

#define FORWARD_MIN_MS 10000 /* the master may wait for another slave meanwhile */

struct forward {
    struct reg *reg;
    struct ir_request *rq;
};

static void forwarded(void *arg, const struct ir_result *r)
{
    struct forward f = *(struct forward *)arg;
    char text[256];
    free(arg);
    if (r->outcome == IR_SUCCESS) {
        Ice_LocatorRegistry_setAdapterDirectProxy_reply(f.rq, NULL);
        return;
    }
    reg_trace(f.reg, REG_TRACE_LOCATOR, 2, "the master did not take an adapter's endpoints: %s",
              ir_result_text(r, text, sizeof text));
    Ice_AdapterNotFoundException_throw(f.rq, NULL);
}

bool reg_replica_forward_adapter(struct reg *reg, struct ir_request *rq, struct ib_str id, struct ib_str group,
                                 const struct iw_proxy *prx)
{
    int32_t ms = 0;
    const struct iw_proxy *session = reg_replica_session(reg, &ms);
    struct forward *f = session ? malloc(sizeof *f) : NULL;
    if (!f)
        return false;
    *f = (struct forward){reg, rq};
    const struct IceGrid_ReplicaSession_setAdapterDirectProxy_in in = {
        .adapterId = id, .replicaGroupId = group, .proxy = iw_proxy_copy(prx, ir_request_arena(rq))};
    const struct ir_call_options opt = {.timeout_ms = ms > FORWARD_MIN_MS ? ms : FORWARD_MIN_MS,
                                        .connect_timeout_ms = ms};
    if (IceGrid_ReplicaSession_setAdapterDirectProxy_call(reg->rt, session, &opt, &in, forwarded, f))
        return true;
    free(f);
    return false;
}
