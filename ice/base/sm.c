/* SPDX-License-Identifier: Apache-2.0 */
/* The one writer of every state variable. */
#include <moulin/base/sm.h>

#include <stdio.h>
#include <stdlib.h>

void ib_sm_move(const struct ib_sm_state *table, unsigned count, uint8_t *state, unsigned next)
{
    unsigned from = *state;
    if (from < count && next < count && next < 32 && (table[from].next & IB_SM_BIT(next))) {
        *state = (uint8_t)next;
        return;
    }
    fprintf(stderr, "state machine: no move from %s to %s\n", from < count ? table[from].name : "(no state)",
            next < count ? table[next].name : "(no state)");
    abort();
}
