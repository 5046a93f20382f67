/* SPDX-License-Identifier: Apache-2.0 */
/* State machines as tables: which state may follow which, checked at the one place that writes the state. */
#ifndef MOULIN_BASE_SM_H
#define MOULIN_BASE_SM_H

#include <stdint.h>

struct ib_sm_state {
    const char *name;
    uint32_t next; /* bit i set: state i may follow */
};

/* Moves *state to next. A move the table does not have is a bug of ours, never of a peer: it aborts with both names. */
void ib_sm_move(const struct ib_sm_state *table, unsigned count, uint8_t *state, unsigned next);

#define IB_SM_BIT(s) (1u << (s))

#endif
