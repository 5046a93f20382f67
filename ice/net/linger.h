/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a loop shall linger. Nobody waits for an answer to a oneway. When a round brought nothing but oneways, and the one
   before it was only a moment ago, the loop waits as long as that moment before it looks at its sockets again: what comes
   meanwhile is read, dispatched and sent together, one system call for many, as a network card holds its interrupts back. A
   oneway that comes after a silence is never held up, nor is anybody while answers are awaited in the same round. */
#ifndef ICE_NET_LINGER_H
#define ICE_NET_LINGER_H

#include <stdbool.h>
#include <stdint.h>

struct ic_linger {
    int64_t max_us; /* 0: never */
    int64_t at; /* us: the end of the last round that brought only oneways, and of what it lingered */
    bool oneways, awaited; /* what this round has brought */
};

/* A message of the round; awaited: it is not a oneway, somebody waits for what follows from it. */
static inline void ic_linger_heard(struct ic_linger *l, bool awaited)
{
    l->oneways = l->oneways || !awaited;
    l->awaited = l->awaited || awaited;
}

/* At the end of a round: the microseconds to linger, or 0. */
int64_t ic_linger_due(struct ic_linger *l, int64_t now_us);

#endif
