/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a loop shall linger before it looks at its sockets again: what comes meanwhile is read, dispatched and sent
   together, as a network card holds its interrupts back.

   Nobody waits for an answer to a oneway. When a round brought nothing but oneways, and the one before it was only a
   moment ago, the loop waits as long as that moment. A oneway that comes after a silence is never held up.

   Where answers are awaited the loop lingers only when that ends the waiting of all sooner: its thread takes a good
   part of a processor (waking it for each message alone is most of what that does), and those who came in this round
   are few of those who are at work, so that more are on their way. One client, or a few, or many on a loop with little
   to do, never wait. */
#ifndef ICE_NET_LINGER_H
#define ICE_NET_LINGER_H

#include <stdbool.h>
#include <stdint.h>

struct ic_linger {
    int64_t oneway_us, busy_us; /* the longest; 0: never */
    int64_t at; /* us: the end of the last round that brought only oneways, and of what it lingered */
    bool oneways, awaited; /* what this round has brought */
    unsigned heard; /* awaited messages of this round */

    uint8_t window; /* its number: what a connection compares to be counted once */
    unsigned sources,
        sources_before; /* at work in this window, in the one before: connections, or answers they owe us */
    int64_t since_us, cpu_us; /* when the window began, and the thread's processor time then */
    int share; /* of a processor that the last window took, in percent */

    bool lingered; /* before this round */
    uint8_t vain; /* so often in a row nothing came of it */
    unsigned skip; /* rounds until it is tried again */
};

/* A message of the round; awaited: it is not a oneway, somebody waits for what follows from it. */
static inline void ic_linger_heard(struct ic_linger *l, bool awaited)
{
    l->oneways = l->oneways || !awaited;
    l->awaited = l->awaited || awaited;
    l->heard += awaited;
}

/* Now and then, for the thread's processor time costs a system call: true when ic_linger_window is due. */
#define IC_LINGER_WINDOW_US 4000
static inline bool ic_linger_window_over(const struct ic_linger *l, int64_t now_us)
{
    return l->busy_us && now_us - l->since_us >= IC_LINGER_WINDOW_US;
}
void ic_linger_window(struct ic_linger *l, int64_t now_us, int64_t cpu_us);

/* At the end of a round: the microseconds to linger, or 0. */
int64_t ic_linger_due(struct ic_linger *l, int64_t now_us);

#endif
