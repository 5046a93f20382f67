/* SPDX-License-Identifier: Apache-2.0 */
/* Many receives and sends in one call: every outcome of a socket call, and what happens where the kernel forbids the
 * ring. */
#include "net_forbid.h"
#include "test.h"

#include "ring.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAIRS 12

struct bench {
    int fds[PAIRS][2];
    struct ic_op ops[IC_RING_MAX];
    struct ic_op *list[IC_RING_MAX];
    struct iovec v[IC_RING_MAX][2];
    char to[PAIRS][16];
};

static void bench_init(struct bench *b)
{
    memset(b, 0, sizeof *b);
    for (int i = 0; i < PAIRS; i++)
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, b->fds[i]), 0);
    for (int i = 0; i < IC_RING_MAX; i++)
        b->list[i] = &b->ops[i];
}

static void bench_fini(struct bench *b)
{
    for (int i = 0; i < PAIRS; i++) {
        close(b->fds[i][0]);
        close(b->fds[i][1]);
    }
}

static void to_receive(struct bench *b, int at, int pair)
{
    b->v[at][0] = (struct iovec){b->to[pair], sizeof b->to[pair]};
    b->ops[at] = (struct ic_op){.fd = b->fds[pair][1], .msg = {.msg_iov = b->v[at], .msg_iovlen = 1}};
}

static void to_send(struct bench *b, int at, int pair, const char *head, const char *tail)
{
    b->v[at][0] = (struct iovec){(void *)(uintptr_t)head, strlen(head)};
    b->v[at][1] = (struct iovec){(void *)(uintptr_t)tail, strlen(tail)};
    b->ops[at] = (struct ic_op){
        .kind = IC_OP_SEND, .fd = b->fds[pair][0], .msg = {.msg_iov = b->v[at], .msg_iovlen = *tail ? 2 : 1}};
}

/* Sends in one piece and in two to the first six, then all of them receive: some get bytes, some nothing, the end, an
 * error. */
static void outcomes(struct ic_ring *r)
{
    struct bench b;
    bench_init(&b);
    for (int i = 0; i < 6; i++)
        to_send(&b, i, i, "abc", i % 2 ? "defg" : "");
    close(b.fds[6][1]);
    to_send(&b, 6, 6, "x", ""); /* nobody is there: an error, no signal */
    ic_ring_run(r, b.list, 7);
    for (int i = 0; i < 6; i++)
        assert_int_equal(b.ops[i].res, i % 2 ? 7 : 3);
    assert_int_equal(b.ops[6].res, -EPIPE);

    close(b.fds[7][0]);
    for (int i = 0; i < PAIRS; i++)
        to_receive(&b, i, i);
    b.ops[6].fd = -1;
    ic_ring_run(r, b.list, PAIRS);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(b.ops[i].res, i % 2 ? 7 : 3);
        assert_memory_equal(b.to[i], "abcdefg", i % 2 ? 7 : 3);
    }
    assert_int_equal(b.ops[6].res, -EBADF);
    assert_int_equal(b.ops[7].res, 0);
    for (int i = 8; i < PAIRS; i++)
        assert_int_equal(b.ops[i].res, -EAGAIN);
    b.fds[6][1] = b.fds[7][0] = -1;
    bench_fini(&b);
}

/* The most that one call takes, again and again. */
static void full(struct ic_ring *r)
{
    struct bench b;
    bench_init(&b);
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < IC_RING_MAX; i++)
            to_send(&b, i, i % PAIRS, "1", "");
        ic_ring_run(r, b.list, IC_RING_MAX);
        for (int i = 0; i < PAIRS; i++)
            to_receive(&b, i, i);
        ic_ring_run(r, b.list, PAIRS);
        for (int i = 0; i < PAIRS; i++)
            assert_int_equal(b.ops[i].res, IC_RING_MAX / PAIRS + (i < IC_RING_MAX % PAIRS));
    }
    bench_fini(&b);
}

/* Operations that wait: until something comes, until time is over, until they are disarmed. */
static void waiting(struct ic_ring *r)
{
    struct bench b;
    bench_init(&b);
    uint64_t count = 0;
    int counter = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_true(counter >= 0);
    to_receive(&b, 0, 0);
    to_receive(&b, 1, 1);
    b.ops[2] = (struct ic_op){.kind = IC_OP_READABLE, .fd = b.fds[2][1]};
    b.v[3][0] = (struct iovec){&count, sizeof count};
    b.ops[3] = (struct ic_op){.kind = IC_OP_READ, .fd = counter, .msg = {.msg_iov = b.v[3], .msg_iovlen = 1}};
    ic_ring_wait(r, NULL, 0, b.list, 4, 1000);
    for (int i = 0; i < 4; i++)
        assert_int_equal(b.ops[i].res, IC_OP_WAITS);

    to_send(&b, 4, 0, "abc", "de"); /* what is sent is awaited by the same call */
    ic_ring_wait(r, b.list + 4, 1, NULL, 0, 10000000);
    assert_int_equal(b.ops[4].res, 5);
    assert_int_equal(b.ops[0].res, 5);
    assert_memory_equal(b.to[0], "abcde", 5);
    for (int i = 1; i < 4; i++)
        assert_int_equal(b.ops[i].res, IC_OP_WAITS);

    to_send(&b, 4, 2, "x", ""); /* so it is by other calls, and by other programs */
    ic_ring_run(r, b.list + 4, 1);
    assert_int_equal(write(counter, &(uint64_t){7}, sizeof count), sizeof count);
    while (b.ops[2].res == IC_OP_WAITS || b.ops[3].res == IC_OP_WAITS)
        ic_ring_wait(r, NULL, 0, NULL, 0, 10000000);
    assert_true(b.ops[2].res > 0);
    assert_int_equal(b.ops[3].res, sizeof count);
    assert_int_equal(count, 7);

    to_receive(&b, 5, 5);
    ic_ring_wait(r, NULL, 0, b.list + 5, 1, 0);
    struct ic_op *both[] = {&b.ops[1], &b.ops[5]};
    assert_true(ic_ring_disarm(r, both, 2));
    assert_int_equal(b.ops[1].res, -ECANCELED);
    assert_int_equal(b.ops[5].res, -ECANCELED);
    assert_int_equal(write(b.fds[5][0], "left", 4), 4); /* nobody takes it any more */
    to_receive(&b, 5, 5);
    ic_ring_run(r, b.list + 5, 1);
    assert_int_equal(b.ops[5].res, 4);
    close(counter);
    bench_fini(&b);
}

static void works(void **state)
{
    (void)state;
    struct ic_ring *r = ic_ring_new();
    if (!r) { /* only where the kernel has none that can be restricted */
        struct io_uring_params p = {.flags = IORING_SETUP_R_DISABLED};
        assert_true(syscall(SYS_io_uring_setup, 1, &p) < 0);
        return;
    }
    outcomes(r);
    full(r);
    if (ic_ring_can_wait(r))
        waiting(r);
    assert_true(ic_ring_works(r));
    ic_ring_free(r);
}

static void in_child(void (*fn)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        fn();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void no_setup(void)
{
    forbid(SYS_io_uring_setup);
    if (ic_ring_new())
        _exit(1);
}

/* It is forbidden while we use it: what was asked for is done all the same. */
static void no_more(void)
{
    struct ic_ring *r = ic_ring_new();
    if (!r)
        return;
    forbid(SYS_io_uring_enter);
    outcomes(r);
    if (ic_ring_works(r))
        _exit(2);
    ic_ring_free(r);
}

/* While something waits: what is to be sent is sent, and that nothing can be disarmed is told. */
static void no_more_waiting(void)
{
    struct ic_ring *r = ic_ring_new();
    if (!ic_ring_can_wait(r)) {
        ic_ring_free(r);
        return;
    }
    struct bench b;
    bench_init(&b);
    to_receive(&b, 0, 0);
    ic_ring_wait(r, NULL, 0, b.list, 1, 0);
    forbid(SYS_io_uring_enter);
    to_send(&b, 1, 0, "abc", "");
    ic_ring_wait(r, b.list + 1, 1, NULL, 0, 10000000);
    if (b.ops[1].res != 3 || ic_ring_works(r) || ic_ring_disarm(r, b.list, 1))
        _exit(3);
    ic_ring_free(r);
    if (recv(b.fds[0][1], b.to[0], sizeof b.to[0], MSG_DONTWAIT) != 3)
        _exit(4);
    close(b.fds[0][1]); /* nothing keeps it open any more: its peer sees the end */
    struct pollfd peer = {.fd = b.fds[0][0], .events = POLLIN};
    if (poll(&peer, 1, 10000) != 1 || recv(b.fds[0][0], b.to[0], 1, MSG_DONTWAIT) != 0)
        _exit(5);
    b.fds[0][1] = -1;
    bench_fini(&b);
}

static void forbidden(void **state)
{
    (void)state;
    assert_false(ic_ring_works(NULL));
    in_child(no_setup);
    in_child(no_more);
    in_child(no_more_waiting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(works), cmocka_unit_test(forbidden)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
