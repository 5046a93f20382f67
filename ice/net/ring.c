/* SPDX-License-Identifier: Apache-2.0 */
#include "ring.h"

#include <errno.h>
#include <liburing.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define UNDONE SSIZE_MAX

struct ic_ring {
    struct io_uring u;
    bool works;
};

static bool knows_all(struct io_uring *u)
{
    static const int needed[] = {IORING_OP_RECV, IORING_OP_SEND, IORING_OP_SENDMSG};
    struct io_uring_probe *probe = io_uring_get_probe_ring(u);
    bool all = probe != NULL;
    for (size_t i = 0; all && i < sizeof needed / sizeof *needed; i++) {
        all = io_uring_opcode_supported(probe, needed[i]);
    }
    io_uring_free_probe(probe);
    return all;
}

/* Two calls that Debian 12's library declares and lacks. */
static bool register_with(const struct io_uring *u, unsigned what, const void *p, unsigned n)
{
    return syscall(SYS_io_uring_register, u->ring_fd, what, p, n) == 0;
}

/* From then on it receives and sends, and nothing can be registered with it. */
static bool enable(struct io_uring *u)
{
    struct io_uring_restriction only[] = {
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_RECV},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_SEND},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_SENDMSG},
    };
    (void)io_uring_register_ring_fd(u); /* a little quicker, where it is known */
    return register_with(u, IORING_REGISTER_RESTRICTIONS, only, sizeof only / sizeof *only) &&
           register_with(u, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

struct ic_ring *ic_ring_new(void)
{
    struct ic_ring *r = calloc(1, sizeof *r);
    if (!r) {
        return NULL;
    }
    struct io_uring_params p = {.flags =
                                    IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    int rc = io_uring_queue_init_params(IC_RING_MAX, &r->u, &p);
    if (rc == -EINVAL) { /* a kernel before 6.1 */
        p = (struct io_uring_params){.flags = IORING_SETUP_R_DISABLED};
        rc = io_uring_queue_init_params(IC_RING_MAX, &r->u, &p);
    }
    if (rc < 0) {
        free(r);
        return NULL;
    }
    r->works = knows_all(&r->u) && enable(&r->u);
    if (!r->works) {
        ic_ring_free(r);
        return NULL;
    }
    return r;
}

void ic_ring_free(struct ic_ring *r)
{
    if (r) {
        io_uring_queue_exit(&r->u);
    }
    free(r);
}

bool ic_ring_works(const struct ic_ring *r)
{
    return r && r->works;
}

static void prepare(struct ic_ring *r, struct ic_op *op)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&r->u); /* there is room: all of the last call are done */
    struct iovec *v = op->msg.msg_iov;
    if (!op->sends) {
        io_uring_prep_recv(sqe, op->fd, v->iov_base, v->iov_len, MSG_DONTWAIT);
    } else if (op->msg.msg_iovlen == 1) {
        io_uring_prep_send(sqe, op->fd, v->iov_base, v->iov_len, MSG_DONTWAIT | MSG_NOSIGNAL);
    } else {
        io_uring_prep_sendmsg(sqe, op->fd, &op->msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    io_uring_sqe_set_data(sqe, op);
    op->res = UNDONE;
}

static unsigned reap(struct ic_ring *r)
{
    struct io_uring_cqe *cqe;
    unsigned head, n = 0;
    io_uring_for_each_cqe(&r->u, head, cqe)
    {
        struct ic_op *op = io_uring_cqe_get_data(cqe);
        op->res = cqe->res;
        n++;
    }
    io_uring_cq_advance(&r->u, n);
    return n;
}

static void one(struct ic_op *op)
{
    do {
        op->res = op->sends ? sendmsg(op->fd, &op->msg, MSG_DONTWAIT | MSG_NOSIGNAL)
                            : recv(op->fd, op->msg.msg_iov->iov_base, op->msg.msg_iov->iov_len, MSG_DONTWAIT);
    } while (op->res < 0 && errno == EINTR);
    op->res = op->res < 0 ? -errno : op->res;
}

void ic_ring_run(struct ic_ring *r, struct ic_op *const *ops, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        prepare(r, ops[i]);
    }
    unsigned taken = 0, done = 0;
    while (done < n) {
        int rc = io_uring_submit_and_wait(&r->u, r->works ? n - done : taken - done);
        taken += rc > 0 ? (unsigned)rc : 0;
        done += reap(r);
        /* What the kernel has taken must end before its memory is used again, whatever else failed. */
        r->works = r->works && (rc >= 0 || rc == -EINTR);
        if (!r->works && done >= taken) {
            break;
        }
    }
    for (unsigned i = 0; i < n; i++) {
        if (ops[i]->res == UNDONE || ops[i]->res == -EINTR) {
            one(ops[i]);
        }
    }
}
