/* SPDX-License-Identifier: Apache-2.0 */
/* A few connections in brisk exchange, over every transport: the loop waits for them in io_uring, and nobody can tell.
   Order and bytes hold. */
#include "net_exchange.h"

/* It goes on and on. */
static void seen_enough(struct table *t, int back)
{
    if (t->seen_exchanging >= 5 * BRISK)
        t->stop_at = back;
}

static void two(struct table *t)
{
    t->fixed = 40;
    t->at_ball = seen_enough;
    play(t);
    play_until(t, t->loop->uring && kernel_can_wait() ? 1000 * BRISK : 5 * BRISK);
}

static void several_sizes(struct table *t)
{
    t->joined = 2;
    play(t);
    play_until(t, 1500);
    assert_true(t->pairs[1].back >= 1500 / 16 - 1);
}

/* Others join in: now and then, then all the time, which ends it. */
static void others_come(struct table *t, int back)
{
    t->joined = back < BRISK ? 1 : back < 2 * BRISK ? 4 : PAIRS;
    t->all_the_time = back >= 2 * BRISK;
    if (back == 2 * BRISK)
        t->posted = t->seen_exchanging;
    if (back == 4 * BRISK)
        assert_false(t->loop->exchanging);
}

static void others(struct table *t)
{
    t->fixed = 40;
    t->at_ball = others_come;
    play(t);
    play_until(t, 4 * BRISK);
    for (int i = 1; i < PAIRS; i++)
        assert_true(t->pairs[i].back > BRISK);
    assert_true(t->seen_exchanging - t->posted < BRISK);
}

/* The kernel has received the head of a large message while another's end was seen to, and then the connection is read
   for a reason of its own: the head comes first. */
static void read_behind(struct table *t, int back)
{
    if (back < BRISK || !t->loop->exchanging || t->posted)
        return;
    t->posted = back;
    t->stop_at = back + BRISK;
    t->joined = 1;
    for (int i = 2; i < 5; i++) {
        struct pair *p = &t->pairs[i];
        p->sent = p->back = 7; /* the largest */
        send_next(p);
        ic_conn_push(p->client);
        ic_conn_hold(p->server, true);
    }
    ic_conn_abort(t->pairs[1].server, IB_ELOST, "the test ends it");
    for (int i = 2; i < 5; i++)
        ic_conn_hold(t->pairs[i].server, false);
}

static void in_order(struct table *t)
{
    t->at_ball = read_behind;
    t->joined = 5;
    play(t);
    play_until(t, t->loop->uring && kernel_can_wait() ? 1000 * BRISK : 2 * BRISK);
    for (int i = 2; t->posted && i < 5; i++)
        assert_int_equal(t->pairs[i].back, 8);
}

/* One sends oneways: all arrive, in the pauses that were set, without disturbing the others. */
static void oneways_too(struct table *t, int back)
{
    if (back > BRISK && t->pairs[1].sent < 500)
        send_next(&t->pairs[1]);
    if (t->came == 500)
        t->stop_at = back;
}

static void oneways(struct table *t)
{
    ic_loop_set_linger(t->loop, 1000, 0);
    t->fixed = 40;
    t->oneways = true;
    t->at_ball = oneways_too;
    play(t);
    play_until(t, 1000000);
}

/* One is held, in the midst of it: what comes for it waits until it is released, by a timer. */
static void release(void *arg)
{
    struct table *t = arg;
    t->fired++;
    ic_conn_hold(t->pairs[1].server, false);
}

static void hold_one(struct table *t, int back)
{
    if (back == BRISK) {
        ic_conn_hold(t->pairs[1].server, true);
        t->posted = t->pairs[1].back;
        ic_timer_fini(&t->timer);
        ic_timer_init(&t->timer, t->loop, release, t);
        ic_timer_start(&t->timer, 20);
    }
    if (back > BRISK && !t->fired)
        assert_true(t->pairs[1].back <= t->posted + 1); /* one was on its way */
    if (t->fired && t->pairs[1].back > t->posted + 5)
        t->stop_at = back;
}

static void held(struct table *t)
{
    t->fixed = 40;
    t->at_ball = hold_one;
    t->joined = 2;
    play(t);
    play_until(t, 1000000);
}

/* One is closed by what another has brought, while the kernel waits for it; its peer sees the end at once. */
static void end_one(struct table *t, int back)
{
    if (back == BRISK)
        ic_conn_abort(t->pairs[1].server, IB_ELOST, "the test ends it");
    if (t->pairs[1].closed && back > 2 * BRISK)
        t->stop_at = back;
}

static void one_ends(struct table *t)
{
    t->fixed = 40;
    t->at_ball = end_one;
    t->joined = 2;
    play(t);
    play_until(t, 1000000);
    assert_null(t->pairs[1].server);
}

static void test_two(void **state)
{
    (void)state;
    each(1, two);
}

static void test_several_sizes(void **state)
{
    (void)state;
    each(2, several_sizes);
}

static void test_others(void **state)
{
    (void)state;
    each(PAIRS, others);
}

static void test_oneways(void **state)
{
    (void)state;
    each(2, oneways);
}

static void test_in_order(void **state)
{
    (void)state;
    each(5, in_order);
}

static void test_held(void **state)
{
    (void)state;
    each(2, held);
}

static void test_one_ends(void **state)
{
    (void)state;
    each(2, one_ends);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two),      cmocka_unit_test(test_several_sizes), cmocka_unit_test(test_others),
        cmocka_unit_test(test_oneways),  cmocka_unit_test(test_in_order),      cmocka_unit_test(test_held),
        cmocka_unit_test(test_one_ends),
    };
    return cmocka_run_group_tests(tests, make_certs, drop_certs);
}
