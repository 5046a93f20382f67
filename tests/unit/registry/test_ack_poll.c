/* SPDX-License-Identifier: Apache-2.0 */
/* When the master's loop looks for acknowledgements rather than sleep: while they come within the time it is given. */
#include <test.h>

#include "ack_poll.h"

/* Returns how long it looks. */
static int change(struct reg_ack_poll *p, int takes_us)
{
    static int64_t now = 1000;
    int us = reg_ack_poll_begin(p, now);
    now += takes_us;
    assert_true(reg_ack_poll_end(p, now));
    return us;
}

static void test_quick_or_slow(void **state)
{
    struct reg_ack_poll p = {.us = 200};
    (void)state;
    assert_int_equal(change(&p, 100), 200);
    assert_int_equal(change(&p, 200), 200);
    assert_int_equal(change(&p, 201), 200);
    assert_int_equal(change(&p, 5000), 0); /* it would not be worth it */
    assert_int_equal(change(&p, 150), 0); /* it would have been */
    assert_int_equal(change(&p, 150), 200);
}

static void test_turned_off(void **state)
{
    struct reg_ack_poll p = {.us = 0};
    (void)state;
    assert_int_equal(change(&p, 0), 0);
    assert_int_equal(change(&p, 10), 0);
    assert_int_equal(change(&p, 0), 0);
}

/* Changes that end without having begun, among others, say nothing. */
static void test_end_alone(void **state)
{
    struct reg_ack_poll p = {.us = 200};
    (void)state;
    assert_false(reg_ack_poll_end(&p, 5000));
    assert_int_equal(change(&p, 100), 200);
    assert_false(reg_ack_poll_end(&p, 900000));
    assert_int_equal(change(&p, 100), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quick_or_slow),
        cmocka_unit_test(test_turned_off),
        cmocka_unit_test(test_end_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
