/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the loop sleeps while slaves write a change: where they took no longer than Moulin.Registry.AckPoll the last
   time, being woken would take as long again, so it looks for their acknowledgements for that long. Only for one change
   alone: where there are many, something comes all the time. Pure: the clock and the loop are the caller's. */
#ifndef REG_ACK_POLL_H
#define REG_ACK_POLL_H

#include <stdbool.h>
#include <stdint.h>

struct reg_ack_poll {
    int us; /* 0: it always sleeps */
    int64_t since; /* us; 0: nothing is waited for */
    bool slow; /* the last time took longer */
};

/* Slaves are about to be told: how long to look, in us. */
int reg_ack_poll_begin(struct reg_ack_poll *p, int64_t now);
/* All have answered, or are not waited for any more. False: there was no beginning. */
bool reg_ack_poll_end(struct reg_ack_poll *p, int64_t now);

#endif
