/* SPDX-License-Identifier: Apache-2.0 */
/* Receives and sends of many sockets with one system call, through io_uring. The ring may do nothing else than what is
   declared here (its restrictions are set before it is enabled). */
#ifndef ICE_NET_RING_H
#define ICE_NET_RING_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#define IC_RING_MAX 32 /* operations of one call */

enum ic_op_kind {
    IC_OP_RECEIVE, /* msg_iov[0] is where to */
    IC_OP_SEND, /* msg_iov is what */
    IC_OP_READABLE, /* whether it is: only to be armed */
    IC_OP_READ, /* of what is no socket, likewise */
};

struct ic_op {
    struct msghdr msg;
    int fd;
    uint8_t kind;
    bool armed;
    ssize_t res; /* bytes, or -errno; IC_OP_WAITS: not done yet */
};
#define IC_OP_WAITS SSIZE_MAX

struct ic_ring;

/* NULL where the kernel has none, or forbids it. Belongs to the thread that makes it. */
struct ic_ring *ic_ring_new(void);
void ic_ring_free(struct ic_ring *r);
bool ic_ring_works(const struct ic_ring *r);

/* Runs n operations (at most IC_RING_MAX), in no particular order, and none of them waits. Should the ring fail they are
   done one by one, and it works no longer. */
void ic_ring_run(struct ic_ring *r, struct ic_op *const *ops, unsigned n);

/* --- operations that wait --- */

bool ic_ring_can_wait(const struct ic_ring *r); /* from Linux 6.1 on */

/* Runs n operations as above, arms n_armed more (IC_RING_MAX in all), then waits until any that is armed, now or by an
   earlier call, is done, at most us microseconds. They go on only during calls of the ring, and their memory and sockets
   are in use until they are done or disarmed. */
void ic_ring_wait(struct ic_ring *r, struct ic_op *const *ops, unsigned n, struct ic_op *const *armed, unsigned n_armed,
                  int64_t us);

/* All are done, most with -ECANCELED, but some may have received something. False: the ring has failed, they are in
   use until it is freed, and what they have is unknown. */
bool ic_ring_disarm(struct ic_ring *r, struct ic_op *const *ops, unsigned n);

#endif
