/* SPDX-License-Identifier: Apache-2.0 */
#include "ring.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EACH_ONE_AGAIN 100 /* a disarming that does not end is a failure */

struct ic_ring {
    struct io_uring u;
    bool works, can_wait;
};

static bool knows_all(struct io_uring *u)
{
    static const int needed[] = {IORING_OP_RECV,     IORING_OP_SEND, IORING_OP_SENDMSG,
                                 IORING_OP_POLL_ADD, IORING_OP_READ, IORING_OP_ASYNC_CANCEL};
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

/* From then on it receives, sends, waits for either, and nothing can be registered with it. */
static bool enable(struct io_uring *u)
{
    struct io_uring_restriction only[] = {
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_RECV},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_SEND},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_SENDMSG},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_POLL_ADD},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READ},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_ASYNC_CANCEL},
    };
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
    r->can_wait = rc == 0 && (p.features & IORING_FEAT_EXT_ARG);
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

bool ic_ring_can_wait(const struct ic_ring *r)
{
    return ic_ring_works(r) && r->can_wait;
}

static void prepare(struct ic_ring *r, struct ic_op *op)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&r->u); /* there is room: the kernel has taken all of the last call */
    struct iovec *v = op->msg.msg_iov;
    if (op->kind == IC_OP_READABLE) {
        io_uring_prep_poll_add(sqe, op->fd, POLLIN);
    } else if (op->kind == IC_OP_READ) {
        io_uring_prep_read(sqe, op->fd, v->iov_base, (unsigned)v->iov_len, 0);
    } else if (op->kind == IC_OP_RECEIVE) {
        io_uring_prep_recv(sqe, op->fd, v->iov_base, v->iov_len, op->armed ? 0 : MSG_DONTWAIT);
        sqe->ioprio = op->armed ? IORING_RECVSEND_POLL_FIRST : 0;
    } else if (op->msg.msg_iovlen == 1) {
        io_uring_prep_send(sqe, op->fd, v->iov_base, v->iov_len, MSG_DONTWAIT | MSG_NOSIGNAL);
    } else {
        io_uring_prep_sendmsg(sqe, op->fd, &op->msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    io_uring_sqe_set_data(sqe, op);
    op->res = IC_OP_WAITS;
}

/* Returns how many are done that were not armed. */
static unsigned reap(struct ic_ring *r)
{
    struct io_uring_cqe *cqe;
    unsigned head, n = 0, at_once = 0;
    io_uring_for_each_cqe(&r->u, head, cqe)
    {
        struct ic_op *op = io_uring_cqe_get_data(cqe); /* NULL: a disarming */
        if (op) {
            op->res = cqe->res;
            at_once += !op->armed;
        }
        n++;
    }
    io_uring_cq_advance(&r->u, n);
    return at_once;
}

static void one(struct ic_op *op)
{
    do {
        op->res = op->kind == IC_OP_SEND
                      ? sendmsg(op->fd, &op->msg, MSG_DONTWAIT | MSG_NOSIGNAL)
                      : recv(op->fd, op->msg.msg_iov->iov_base, op->msg.msg_iov->iov_len, MSG_DONTWAIT);
    } while (op->res < 0 && errno == EINTR);
    op->res = op->res < 0 ? -errno : op->res;
}

/* n were prepared, the kernel has taken so many of them, done is how many it has done. */
static void settle(struct ic_ring *r, struct ic_op *const *ops, unsigned n, unsigned taken, unsigned done)
{
    while (done < n) {
        unsigned before = taken + done;
        int rc = io_uring_submit_and_wait(&r->u, r->works ? n - done : taken - done);
        taken += rc > 0 ? (unsigned)rc : 0;
        done += reap(r);
        /* What the kernel has taken must end before its memory is used again, whatever else failed. */
        r->works = r->works && (rc == -EINTR || (rc >= 0 && taken + done > before));
        if (!r->works && done >= taken) {
            break;
        }
    }
    for (unsigned i = 0; i < n; i++) {
        if (ops[i]->res == IC_OP_WAITS || ops[i]->res == -EINTR) {
            one(ops[i]);
        }
    }
}

void ic_ring_run(struct ic_ring *r, struct ic_op *const *ops, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        prepare(r, ops[i]);
    }
    settle(r, ops, n, 0, 0);
}

void ic_ring_wait(struct ic_ring *r, struct ic_op *const *ops, unsigned n, struct ic_op *const *armed, unsigned n_armed,
                  int64_t us)
{
    for (unsigned i = 0; i < n; i++) {
        prepare(r, ops[i]);
    }
    for (unsigned i = 0; i < n_armed; i++) {
        armed[i]->armed = true;
        prepare(r, armed[i]);
    }
    struct __kernel_timespec most = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    struct io_uring_cqe *first;
    int rc = us ? io_uring_submit_and_wait_timeout(&r->u, &first, n + 1, &most, NULL)
                : io_uring_submit_and_get_events(&r->u); /* a timer that is over already costs an interrupt */
    r->works = r->works && (rc >= 0 || rc == -EINTR || rc == -ETIME);
    unsigned taken = n + n_armed - io_uring_sq_ready(&r->u);
    settle(r, ops, n, taken < n ? taken : n, reap(r));
}

static bool all_done(struct ic_op *const *ops, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (ops[i]->res == IC_OP_WAITS) {
            return false;
        }
    }
    return true;
}

bool ic_ring_disarm(struct ic_ring *r, struct ic_op *const *ops, unsigned n)
{
    for (int tries = 0; r->works && !all_done(ops, n) && tries < EACH_ONE_AGAIN; tries++) {
        for (unsigned i = 0; i < n; i++) {
            struct io_uring_sqe *sqe = ops[i]->res == IC_OP_WAITS ? io_uring_get_sqe(&r->u) : NULL;
            if (sqe) {
                io_uring_prep_cancel(sqe, ops[i], 0);
                io_uring_sqe_set_data(sqe, NULL);
            }
        }
        int rc = io_uring_submit_and_wait(&r->u, 1);
        r->works = rc >= 0 || rc == -EINTR;
        reap(r);
    }
    r->works = r->works && all_done(ops, n);
    return all_done(ops, n);
}
