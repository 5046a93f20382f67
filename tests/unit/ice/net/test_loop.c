/* SPDX-License-Identifier: Apache-2.0 */
/* The loop: timers in order, deferred calls, messages from threads. */
#include "test.h"

#include "loop_priv.h"

#include <event2/event.h>
#include <moulin/base/clock.h>
#include <moulin/net/loop.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define N 500

struct ticker {
    struct ic_timer timer;
    int64_t due;
    bool fired;
};

static struct {
    int fired;
    int64_t last_due;
} book;

static void on_tick(void *arg)
{
    struct ticker *t = arg;
    assert_false(t->fired);
    assert_true(ib_clock_ms() >= t->due);
    assert_true(t->due >= book.last_due);
    book.last_due = t->due;
    t->fired = true;
    book.fired++;
}

static void start(struct ticker *t, int ms)
{
    ic_timer_start(&t->timer, ms);
    t->due = t->timer.at;
}

static void timers_fire_in_order(void **state)
{
    (void)state;
    struct ib_err err;
    struct ic_loop *loop = ic_loop_new(&err);
    assert_non_null(loop);
    struct ticker *t = calloc(N, sizeof *t);
    assert_non_null(t);
    book.fired = 0;
    book.last_due = 0;
    srand(7);
    for (int i = 0; i < N; i++) {
        ic_timer_init(&t[i].timer, loop, on_tick, &t[i]);
        start(&t[i], rand() % 200);
    }
    int stopped = 0;
    for (int i = 0; i < N; i++) {
        if (i % 3 == 0) {
            ic_timer_stop(&t[i].timer);
            ic_timer_stop(&t[i].timer);
            stopped++;
        } else if (i % 3 == 1) {
            start(&t[i], rand() % 200); /* moves it */
        }
    }
    int64_t end = ib_clock_ms() + 5000;
    while (book.fired < N - stopped && ib_clock_ms() < end) {
        ic_loop_run_once(loop, 100);
    }
    assert_int_equal(book.fired, N - stopped);
    for (int i = 0; i < N; i++) {
        assert_int_equal(t[i].fired, i % 3 != 0);
        ic_timer_fini(&t[i].timer);
    }
    free(t);
    ic_loop_free(loop);
}

struct again {
    struct ic_loop *loop;
    struct ic_deferred d;
    int count;
};

static void on_again(void *arg)
{
    struct again *a = arg;
    if (++a->count < 3) {
        ic_loop_defer(a->loop, &a->d, on_again, a);
    }
}

static void on_never(void *arg)
{
    (void)arg;
    fail_msg("was undeferred");
}

static void on_undefers(void *arg)
{
    struct again *other = arg;
    ic_loop_undefer(other->loop, &other->d);
}

static void deferred(void **state)
{
    (void)state;
    struct ib_err err;
    struct ic_loop *loop = ic_loop_new(&err);
    struct again a = {.loop = loop}, b = {.loop = loop}, c = {.loop = loop}, last = {.loop = loop};
    ic_loop_defer(loop, &a.d, on_again, &a);
    ic_loop_defer(loop, &a.d, on_again, &a); /* once */
    ic_loop_defer(loop, &b.d, on_undefers, &c); /* removes c while the round runs */
    ic_loop_defer(loop, &c.d, on_never, &c);
    ic_loop_defer(loop, &last.d, on_never, &last);
    ic_loop_undefer(loop, &last.d);
    assert_int_equal(a.count, 0);
    assert_true(ic_loop_run_once(loop, 1000));
    assert_int_equal(a.count, 1); /* deferring again means the next round */
    ic_loop_run_once(loop, 1000);
    ic_loop_run_once(loop, 1000);
    assert_int_equal(a.count, 3);
    assert_false(ic_loop_run_once(loop, 1)); /* nothing left: waits its time */
    ic_loop_free(loop);
}

struct reader {
    struct ic_loop *loop;
    struct ic_deferred deferred;
    struct event *event;
    int fd[2], *order, *n; /* of reads (0) and deferred calls (1) */
};

static void on_flush(void *arg)
{
    struct reader *r = arg;
    r->order[(*r->n)++] = 1;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct reader *r = arg;
    char byte;
    assert_int_equal(read(fd, &byte, 1), 1);
    r->order[(*r->n)++] = 0;
    ic_loop_defer(r->loop, &r->deferred, on_flush, r);
}

/* What several sockets of one round defer runs behind all of them, in the same round. */
static void deferred_behind_sockets(void **state)
{
    (void)state;
    enum { READERS = 3 };
    struct ib_err err;
    struct ic_loop *loop = ic_loop_new(&err);
    assert_non_null(loop);
    struct reader r[READERS] = {0};
    int order[2 * READERS], n = 0;
    for (int i = 0; i < READERS; i++) {
        r[i].loop = loop;
        r[i].order = order;
        r[i].n = &n;
        assert_int_equal(pipe(r[i].fd), 0);
        assert_int_equal(write(r[i].fd[1], "x", 1), 1);
        r[i].event = event_new(ic_loop_base(loop), r[i].fd[0], EV_READ | EV_PERSIST, on_readable, &r[i]);
        assert_int_equal(event_add(r[i].event, NULL), 0);
    }
    assert_true(ic_loop_run_once(loop, 5000));
    assert_int_equal(n, 2 * READERS);
    for (int i = 0; i < n; i++) {
        assert_int_equal(order[i], i >= READERS);
    }
    for (int i = 0; i < READERS; i++) {
        event_free(r[i].event);
        close(r[i].fd[0]);
        close(r[i].fd[1]);
    }
    ic_loop_free(loop);
}

static void aligned(void **state)
{
    (void)state;
    for (int64_t ms = 0; ms < 20000; ms += 97) {
        for (int64_t at = 1000000; at < 1000600; at += 13) {
            int64_t to = ic_timer_align(at, ms);
            assert_true(to >= at && to - at <= ms / 16 && to - at < 256);
        }
    }
    assert_int_equal(ic_timer_align(1, 60000), 256); /* and they meet */
    assert_int_equal(ic_timer_align(256, 60000), 256);
}

static void on_post(void *arg)
{
    ++*(int *)arg;
}

struct poster {
    struct ic_loop *loop;
    int *count;
};

static void *post_many(void *arg)
{
    struct poster *p = arg;
    for (int i = 0; i < 1000; i++) {
        if (ic_loop_post(p->loop, on_post, p->count) < 0) {
            abort();
        }
    }
    return NULL;
}

static void posts_from_threads(void **state)
{
    (void)state;
    struct ib_err err;
    struct ic_loop *loop = ic_loop_new(&err);
    int count = 0;
    struct poster p = {loop, &count};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, &p), 0);
    }
    int64_t end = ib_clock_ms() + 5000;
    while (count < 4000 && ib_clock_ms() < end) {
        ic_loop_run_once(loop, 100);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(count, 4000);
    ic_loop_free(loop);
}

static void on_stop(void *arg)
{
    ic_loop_stop(arg);
}

/* A ball between two loops, in storage of its own. */
struct ball {
    struct ic_post post;
    struct ic_loop *loops[2];
    int passes;
};

static void on_ball(void *arg)
{
    struct ball *b = arg;
    if (++b->passes < 2000) {
        struct ic_loop *to = b->loops[b->passes % 2];
        ic_loop_post_embedded(to, &b->post, on_ball, b);
        return;
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ic_loop_post(b->loops[i], on_stop, b->loops[i]), 0);
    }
}

static void *run_loop(void *arg)
{
    ic_loop_run(arg);
    return NULL;
}

static void embedded_posts(void **state)
{
    (void)state;
    struct ball ball = {.loops = {ic_loop_new(NULL), ic_loop_new(NULL)}};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run_loop, ball.loops[1]), 0);
    ic_loop_post_embedded(ball.loops[0], &ball.post, on_ball, &ball);
    ic_loop_run(ball.loops[0]);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(ball.passes, 2000);
    ball.passes = 1999;
    ic_loop_post_embedded(ball.loops[1], &ball.post, on_ball, &ball);
    ic_loop_run_posts(ball.loops[1]); /* its thread has ended: somebody else does what is left */
    assert_int_equal(ball.passes, 2000);
    ic_loop_free(ball.loops[0]);
    ic_loop_free(ball.loops[1]);
}

static void run_until_stop(void **state)
{
    (void)state;
    struct ib_err err;
    struct ic_loop *loop = ic_loop_new(&err);
    assert_int_equal(ic_loop_post(loop, on_stop, loop), 0);
    ic_loop_run(loop);
    int late = 0;
    assert_int_equal(ic_loop_post(loop, on_post, &late), 0); /* the loop has stopped: it runs when that is freed */
    assert_int_equal(late, 0);
    ic_loop_free(loop);
    assert_int_equal(late, 1);
}

/* Nobody is held up who comes after a silence, or while answers are awaited; rounds of oneways that come fast are. */
static void lingering(void **state)
{
    (void)state;
    static const struct {
        int64_t at;
        bool oneway, awaited;
        int64_t lingers;
    } rounds[] = {
        {1000, true, false, 0}, {1079, true, false, 80}, {1160, true, false, 80},
        {1200, true, true, 0},  {1290, true, false, 80}, {1451, true, false, 0},
        {1500, false, true, 0}, {1520, true, false, 80}, {1590, true, false, 80}, /* a signal has cut it short */
    };
    struct ic_linger l = {.oneway_us = 80};
    for (size_t i = 0; i < sizeof rounds / sizeof *rounds; i++) {
        if (rounds[i].oneway)
            ic_linger_heard(&l, false);
        if (rounds[i].awaited)
            ic_linger_heard(&l, true);
        assert_int_equal(ic_linger_due(&l, rounds[i].at), rounds[i].lingers);
        assert_false(l.oneways || l.awaited);
    }
    l.oneway_us = 0;
    for (int i = 0; i < 3; i++) {
        ic_linger_heard(&l, false);
        assert_int_equal(ic_linger_due(&l, 2000), 0);
    }
}

/* A busy loop's round: heard messages of sources that are at work, the thread having taken share percent lately. */
static int64_t busy_round(struct ic_linger *l, unsigned heard, unsigned sources, int share)
{
    l->sources = sources;
    l->share = share;
    for (unsigned i = 0; i < heard; i++)
        ic_linger_heard(l, true);
    return ic_linger_due(l, 1000);
}

/* Who waits for an answer is held up only where the thread is busy and few of many have come. */
static void lingering_busy(void **state)
{
    (void)state;
    static const struct {
        unsigned heard, sources;
        int share;
        int64_t lingers;
    } rounds[] = {
        {2, 64, 90, 100}, {2, 64, 50, 100},  {2, 64, 40, 60}, {2, 64, 26, 4}, {2, 64, 25, 0},
        {2, 64, 3, 0},    {16, 64, 90, 100}, {17, 64, 90, 0}, /* most of them have come: who else should? */
        {4, 16, 90, 100}, {4, 15, 90, 0},    {1, 3, 90, 0}, /* one client, alone */
    };
    for (size_t i = 0; i < sizeof rounds / sizeof *rounds; i++) {
        struct ic_linger l = {.busy_us = 100};
        assert_int_equal(busy_round(&l, rounds[i].heard, rounds[i].sources, rounds[i].share), rounds[i].lingers);
        l = (struct ic_linger){.oneway_us = 100};
        assert_int_equal(busy_round(&l, rounds[i].heard, rounds[i].sources, rounds[i].share), 0);
    }
}

/* A wait that brings nothing is tried less and less, but never given up. */
static void lingering_in_vain(void **state)
{
    (void)state;
    struct ic_linger l = {.busy_us = 100};
    int waits = 0;
    for (int i = 0; i < 2560; i++)
        waits += busy_round(&l, 1, 64, 90) > 0;
    assert_in_range(waits, 15, 20);
    while (busy_round(&l, 1, 64, 90) == 0) {
    }
    for (int i = 0; i < 100; i++)
        assert_int_equal(busy_round(&l, 2, 64, 90), 100);
}

/* What a window leaves behind: the share of a processor, and who was at work in it. */
static void lingering_windows(void **state)
{
    (void)state;
    struct ic_linger l = {.busy_us = 100, .since_us = 1000, .cpu_us = 500, .sources = 40};
    uint8_t before = l.window;
    assert_false(ic_linger_window_over(&l, 1000 + IC_LINGER_WINDOW_US - 1));
    assert_true(ic_linger_window_over(&l, 1000 + IC_LINGER_WINDOW_US));
    ic_linger_window(&l, 1000 + IC_LINGER_WINDOW_US, 500 + IC_LINGER_WINDOW_US / 2);
    assert_int_equal(l.share, 50);
    assert_int_equal(l.sources, 0);
    assert_int_equal(l.sources_before, 40);
    assert_int_not_equal(l.window, before);
    assert_false(ic_linger_window_over(&l, 2000 + IC_LINGER_WINDOW_US));
    l.busy_us = 0;
    assert_false(ic_linger_window_over(&l, 1000000)); /* nobody asks: no system call */
}

/* The loop does it, too: the second round of oneways takes as long as was set, one with an answer does not. */
static void loop_lingers(void **state)
{
    (void)state;
    enum { US = 10000 };
    struct ib_err err;
    struct ic_loop *loop = ic_loop_new(&err);
    assert_non_null(loop);
    ic_loop_set_linger(loop, US, 0);
    ic_loop_heard(loop, false);
    assert_true(ic_loop_run_once(loop, 1000));
    int64_t start = ib_clock_us();
    ic_loop_heard(loop, false);
    assert_true(ic_loop_run_once(loop, 1000));
    assert_true(ib_clock_us() - start >= US);
    int64_t at = loop->linger.at;
    ic_loop_heard(loop, false);
    ic_loop_heard(loop, true);
    assert_true(ic_loop_run_once(loop, 1000));
    assert_int_equal(loop->linger.at, at);
    ic_loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_order),    cmocka_unit_test(deferred),
        cmocka_unit_test(deferred_behind_sockets), cmocka_unit_test(aligned),
        cmocka_unit_test(posts_from_threads),      cmocka_unit_test(run_until_stop),
        cmocka_unit_test(embedded_posts),          cmocka_unit_test(lingering),
        cmocka_unit_test(lingering_busy),          cmocka_unit_test(lingering_in_vain),
        cmocka_unit_test(lingering_windows),       cmocka_unit_test(loop_lingers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
