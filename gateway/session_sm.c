/* SPDX-License-Identifier: Apache-2.0 */
/* The states of a session as a table, and the one function that writes them. */
#include "router.h"

#include <moulin/base/sm.h>

static const struct ib_sm_state states[GW_SESSION_STATE_MAX] = {
    [GW_NEW] = {"new", IB_SM_BIT(GW_AUTHENTICATING) | IB_SM_BIT(GW_DESTROYING)},
    [GW_AUTHENTICATING] = {"authenticating", IB_SM_BIT(GW_CREATING) | IB_SM_BIT(GW_DESTROYING)},
    [GW_CREATING] = {"creating", IB_SM_BIT(GW_ACTIVE) | IB_SM_BIT(GW_DESTROYING)},
    [GW_ACTIVE] = {"active", IB_SM_BIT(GW_DESTROYING)},
    [GW_DESTROYING] = {"destroying", IB_SM_BIT(GW_GONE)},
    [GW_GONE] = {"gone", 0},
};

void gw_session_move(struct gw_session *s, enum gw_session_state next)
{
    ib_sm_move(states, GW_SESSION_STATE_MAX, &s->state, next);
}

const char *gw_session_state_name(const struct gw_session *s)
{
    return states[s->state].name;
}
