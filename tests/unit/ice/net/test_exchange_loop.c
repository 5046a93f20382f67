/* SPDX-License-Identifier: Apache-2.0 */
/* What a loop in brisk exchange is there for besides: timers, posts, what is deferred, looking again and again; and how
   an exchange ends, by silence or because the kernel forbids it. */
#include "net_exchange.h"
#include "net_forbid.h"

#include <limits.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINKS 20 /* more than run between two looks at the sockets */

/* A timer of ours, a post of another thread. */
static void on_post(void *arg)
{
    struct table *t = arg;
    t->posted++;
}

static void *post(void *arg)
{
    struct table *t = arg;
    assert_int_equal(ic_loop_post(t->loop, on_post, t), 0);
    return NULL;
}

static void set_off(struct table *t, int back)
{
    if (back == BRISK) {
        ic_timer_start(&t->timer, 3);
        assert_int_equal(pthread_create(&t->thread, NULL, post, t), 0);
    }
    if (t->fired && t->posted)
        t->stop_at = back;
}

static void timers_and_posts(struct table *t)
{
    t->fixed = 40;
    t->at_ball = set_off;
    play(t);
    play_until(t, 1000000);
    assert_int_equal(pthread_join(t->thread, NULL), 0);
    assert_int_equal(t->fired, 1);
    assert_int_equal(t->posted, 1);
}

/* What is deferred again and again, with nothing to be received meanwhile, is not put off until a silence ends it. */
static void next_link(void *arg)
{
    struct table *t = arg;
    if (--t->links > 0) {
        ic_loop_defer(t->loop, &t->chain, next_link, t);
        return;
    }
    t->unbroken += t->loop->exchanging;
    t->paused = false;
    play(t);
}

static void start_chain(struct table *t, int back)
{
    if (back % 32 || back >= t->stop_at || !t->loop->exchanging)
        return;
    t->chained++;
    t->links = LINKS;
    t->paused = true;
    ic_loop_defer(t->loop, &t->chain, next_link, t);
}

/* Nor is it forgotten when the exchange ends for another reason. */
static void leave_in_chain(struct table *t, int back)
{
    int before = t->chained;
    start_chain(t, back);
    if (t->chained > before)
        t->loop->brisk.others = true;
}

static void deferred_and_left(struct table *t)
{
    t->fixed = 40;
    t->at_ball = leave_in_chain;
    play(t);
    play_until(t, 8 * BRISK);
    assert_int_equal(t->unbroken, 0);
}

static void deferred(struct table *t)
{
    t->fixed = 40;
    t->at_ball = start_chain;
    play(t);
    play_until(t, 8 * BRISK);
    assert_true(t->unbroken >= t->chained / 2);
}

/* While nothing comes it looks again and again, for as long as it was told to, and sleeps otherwise. */
static int yields;
int __real_sched_yield(void);
int __wrap_sched_yield(void);

int __wrap_sched_yield(void)
{
    yields++;
    return __real_sched_yield();
}

static void pause_over(void *arg)
{
    struct table *t = arg;
    static const int at_least[] = {2, 0, 1, 2}, at_most[] = {INT_MAX, 0, INT_MAX, INT_MAX};
    assert_in_range(yields, at_least[t->fired], at_most[t->fired]);
    assert_int_equal(t->loop->poll_until != 0,
                     t->fired == 0 || t->fired == 3); /* the third time it was over meanwhile */
    if (t->fired == 0)
        assert_int_equal(t->loop->exchanging, t->exchanged);
    ic_loop_poll(t->loop, 0);
    t->fired++;
    t->paused = false;
    play(t);
}

static void pause_now_and_then(struct table *t, int back)
{
    static const int us[] = {10000000, 0, 2000, 10000000};
    if (back % BRISK || t->fired == 4)
        return;
    t->paused = true;
    t->exchanged = t->loop->exchanging;
    if (t->fired == 3) /* the exchange ends meanwhile */
        t->loop->brisk.others = t->exchanged;
    yields = 0;
    ic_loop_poll(t->loop, us[t->fired]);
    ic_timer_start(&t->timer, 20);
}

static void polls(struct table *t)
{
    ic_timer_init(&t->timer, t->loop, pause_over, t);
    t->fixed = 40;
    t->at_ball = pause_now_and_then;
    play(t);
    play_until(t, 5 * BRISK);
    assert_int_equal(t->fired, 4);
}

/* Silence ends it, and what comes after the silence is met by libevent. */
static void go_on(void *arg)
{
    struct table *t = arg;
    assert_false(t->loop->exchanging);
    t->fired++;
    t->paused = false;
    play(t);
}

static void pause_once(struct table *t, int back)
{
    if (back == BRISK) {
        ic_timer_fini(&t->timer);
        ic_timer_init(&t->timer, t->loop, go_on, t);
        ic_timer_start(&t->timer, 40);
        t->paused = true;
    }
}

static void silence(struct table *t)
{
    t->fixed = 40;
    t->at_ball = pause_once;
    play(t);
    play_until(t, 3 * BRISK);
    assert_int_equal(t->fired, 1);
}

/* --- where it becomes forbidden --- */

/* In the first exchange, which is over then; there is no other. */
static void forbid_later(struct table *t, int back)
{
    if (t->loop->exchanging && !t->posted) {
        t->posted = back;
        t->stop_at = back + 2 * BRISK;
        forbid(SYS_io_uring_enter);
    }
    if (t->posted && back > t->posted + 1 && t->loop->exchanging)
        _exit(2);
}

static void in_child(int type, bool can_wait)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct table t;
        table_init(&t, type, true, 2);
        t.fixed = 40;
        t.at_ball = forbid_later;
        t.joined = 2;
        play(&t);
        play_until(&t, can_wait ? 100 * BRISK : 2 * BRISK);
        bool as_it_should = (t.posted > 0) == can_wait && !t.loop->exchange && t.pairs[1].back >= 2 * BRISK / 16;
        table_fini(&t);
        _exit(as_it_should ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_timers_and_posts(void **state)
{
    (void)state;
    each(1, timers_and_posts);
}

static void test_deferred(void **state)
{
    (void)state;
    each(1, deferred);
    each(1, deferred_and_left);
}

static void test_polls(void **state)
{
    (void)state;
    each(1, polls);
}

static void test_silence(void **state)
{
    (void)state;
    each(1, silence);
}

static void test_forbidden(void **state)
{
    (void)state;
    bool can_wait = kernel_can_wait();
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        in_child(types[i], can_wait);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timers_and_posts), cmocka_unit_test(test_deferred),  cmocka_unit_test(test_polls),
        cmocka_unit_test(test_silence),          cmocka_unit_test(test_forbidden),
    };
    return cmocka_run_group_tests(tests, make_certs, drop_certs);
}
