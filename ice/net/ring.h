/* SPDX-License-Identifier: Apache-2.0 */
/* Receives and sends of many sockets with one system call, through io_uring. Every operation is complete when the call
   returns, for none of them waits: this is a vector of nonblocking calls, no second kind of event loop. The ring may do
   nothing else (its restrictions are set before it is enabled). */
#ifndef ICE_NET_RING_H
#define ICE_NET_RING_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

#define IC_RING_MAX 32 /* operations of one call */

struct ic_op {
    struct msghdr msg; /* sends: msg_iov is what to send; receives: msg_iov[0] is where to */
    int fd;
    bool sends;
    ssize_t res; /* bytes, or -errno */
};

struct ic_ring;

/* NULL where the kernel has none, or forbids it. Belongs to the thread that makes it. */
struct ic_ring *ic_ring_new(void);
void ic_ring_free(struct ic_ring *r);
bool ic_ring_works(const struct ic_ring *r);

/* Runs n operations (at most IC_RING_MAX), in no particular order. Should the ring fail they are done one by one, and
   it works no longer. */
void ic_ring_run(struct ic_ring *r, struct ic_op *const *ops, unsigned n);

#endif
