/* SPDX-License-Identifier: Apache-2.0 */
/* A few connections in brisk exchange: one asks, another answers, and each message alone makes a round. Then the loop
   waits in io_uring instead of libevent: what is to be sent, the wait and the receive of what comes next are one system
   call, not three. libevent's own descriptor is waited for with them, so nothing else is late: other connections,
   listeners, signals and what other threads post.

   Who brings oneways, which nobody awaits, is received from once in the loop's pause for them (linger.h): then together
   with what is awaited, instead of waking the loop in between.

   It begins when round after round was brought by no more than IC_EXCHANGE_MEMBERS connections and in quick succession,
   and ends with the first silence or when others join in: many together are better served by rounds (sweep.h). */
#ifndef ICE_NET_EXCHANGE_H
#define ICE_NET_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#define IC_EXCHANGE_MEMBERS 12

struct ic_conn;
struct ic_loop;
struct ic_exchange;

/* Whether it is time for one. */
struct ic_briskness {
    struct ic_conn *who[IC_EXCHANGE_MEMBERS]; /* those heard last; a connection knows its place */
    uint32_t at[IC_EXCHANGE_MEMBERS],
        awaited[IC_EXCHANGE_MEMBERS]; /* the last round with any message, with an awaited one */
    uint32_t round; /* the number of this one */
    bool others; /* somebody else was heard */
    unsigned heard, rounds, needed; /* heard: each one once in a round */
    int64_t since_us;
};

void ic_exchange_heard(struct ic_loop *loop, struct ic_conn *c, bool awaited); /* a message */
void ic_exchange_forget(struct ic_conn *c);
/* True: something has been received for it already, and it has read that. Comes before any other read. */
bool ic_exchange_feed(struct ic_conn *c);

/* At the end of a round that did not linger; true: the loop shall leave libevent for ic_exchange_run. */
bool ic_exchange_due(struct ic_loop *loop);
void ic_exchange_run(struct ic_loop *loop); /* until it ends */
void ic_exchange_free(struct ic_loop *loop);

#endif
