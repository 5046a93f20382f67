/* SPDX-License-Identifier: Apache-2.0 */
/* The throttle: penalties that grow and end, whom they do not touch, and a table that cannot be washed out. */
#include <test.h>

#include <stdio.h>

#include <moulin/auth/throttle.h>

enum { FRESH = 0, SPOILT = 3 }; /* connections */

static const struct auth_throttle_config lenient = {.failures = 10, .penalty_max_s = 60, .forget_s = 60, .entries = 64};

static struct auth_attempt attempt(const char *host, const char *user, unsigned failed)
{
    return (struct auth_attempt){.from = auth_source_of(host), .user = ib_str(user), .failed = failed};
}

static void fail_times(struct auth_throttle *t, const struct auth_attempt *a, int n, int64_t now)
{
    for (int i = 0; i < n; i++) {
        auth_throttle_failed(t, a, now);
    }
}

static void sources(void **state)
{
    (void)state;
    const struct auth_source v4 = auth_source_of("192.0.2.1"), mapped = auth_source_of("::ffff:192.0.2.1");
    assert_memory_equal(&v4, &mapped, sizeof(v4));
    const struct auth_source one = auth_source_of("2001:db8::1"), two = auth_source_of("2001:db8::ffff:1%eth0");
    assert_memory_equal(&one, &two, sizeof(one));
    const struct auth_source other = auth_source_of("2001:db8:0:1::1"), next = auth_source_of("192.0.2.2");
    assert_memory_not_equal(&one, &other, sizeof(one));
    assert_memory_not_equal(&v4, &next, sizeof(v4));
    const struct auth_source none = auth_source_of(""), rubbish = auth_source_of("not an address");
    assert_memory_equal(&none, &rubbish, sizeof(none));
}

/* Ten are free, then 1 s, 2 s, 4 s... up to a minute; nothing while it runs, one try when it is over. */
static void penalties_grow_and_end(void **state)
{
    struct auth_throttle *t = auth_throttle_new(&lenient);
    const struct auth_attempt a = attempt("192.0.2.1", "alice", SPOILT);
    int64_t now = 1000000;
    (void)state;
    for (int i = 0; i < 10; i++) {
        assert_true(auth_throttle_ask(t, &a, true, now).admitted);
        auth_throttle_failed(t, &a, now);
    }
    const int expected[] = {1, 2, 4, 8, 16, 32, 60, 60, 60};
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_true(auth_throttle_ask(t, &a, true, now).admitted);
        auth_throttle_failed(t, &a, now);
        assert_false(auth_throttle_ask(t, &a, true, now).admitted);
        assert_int_equal(auth_throttle_ask(t, &a, true, now).wait_s, expected[i]);
        assert_int_equal(auth_throttle_ask(t, &a, true, now + expected[i] * 1000 - 1).wait_s, 1);
        now += expected[i] * 1000;
    }
    now += 20 * 60 * 1000; /* one a minute is forgotten */
    fail_times(t, &a, 10, now);
    assert_true(auth_throttle_ask(t, &a, true, now).admitted);
    auth_throttle_failed(t, &a, now);
    assert_int_equal(auth_throttle_ask(t, &a, true, now).wait_s, 1);
    auth_throttle_free(t);
}

/* One address makes noise about a user: he gets in from everywhere else, and others get in from that address. */
static void one_address_locks_nobody_out(void **state)
{
    struct auth_throttle *t = auth_throttle_new(&lenient);
    const struct auth_attempt noise = attempt("192.0.2.1", "alice", SPOILT);
    int64_t now = 5000;
    (void)state;
    for (int i = 0; i < 100; i++) {
        auth_throttle_failed(t, &noise, now);
        now += 100;
    }
    const struct auth_attempt elsewhere = attempt("192.0.2.9", "alice", SPOILT);
    assert_true(auth_throttle_ask(t, &elsewhere, true, now).admitted);
    const struct auth_attempt bob = attempt("192.0.2.1", "bob", FRESH);
    assert_true(auth_throttle_ask(t, &bob, true, now).admitted);
    const struct auth_attempt alice = attempt("192.0.2.1", "alice", FRESH); /* even she, on a connection of her own */
    assert_true(auth_throttle_ask(t, &alice, true, now).admitted);
    assert_false(auth_throttle_ask(t, &noise, true, now).admitted);
    auth_throttle_free(t);
}

/* Fresh connections pass a penalty a few times, then at the pace allowed; looking uses nothing up. */
static void fresh_connections_trickle(void **state)
{
    struct auth_throttle *t = auth_throttle_new(&lenient);
    const struct auth_attempt noise = attempt("192.0.2.1", "mallory", SPOILT);
    int64_t now = 9000;
    (void)state;
    fail_times(t, &noise, 20, now);
    int passed = 0;
    for (int i = 0; i < 50; i++) {
        char user[16];
        (void)snprintf(user, sizeof(user), "user%d", i);
        const struct auth_attempt a = attempt("192.0.2.1", user, FRESH);
        (void)auth_throttle_ask(t, &a, false, now);
        passed += auth_throttle_ask(t, &a, true, now).admitted;
    }
    assert_int_equal(passed, 4);
    const struct auth_attempt late = attempt("192.0.2.1", "late", FRESH);
    assert_false(auth_throttle_ask(t, &late, false, now + 249).admitted);
    assert_true(auth_throttle_ask(t, &late, false, now + 250).admitted);
    const struct auth_attempt again = attempt("192.0.2.1", "mallory", FRESH); /* its pair pays a minute for each */
    passed = 0;
    for (int i = 0; i < 300; i++) { /* keeps the penalties of address and pair running */
        now += 1000;
        auth_throttle_failed(t, &noise, now);
        passed += auth_throttle_ask(t, &again, true, now).admitted;
    }
    assert_in_range(passed, 3, 3 + 5);
    auth_throttle_free(t);
}

/* Many addresses against one user: he is locked, except where he was before. */
static void known_pairs_pass(void **state)
{
    struct auth_throttle *t = auth_throttle_new(&lenient);
    const struct auth_attempt home = attempt("198.51.100.7", "alice", SPOILT);
    const struct auth_attempt abroad = attempt("198.51.100.8", "alice", FRESH);
    int64_t now = 700;
    (void)state;
    auth_throttle_succeeded(t, &home, now);
    for (int i = 0; i < 30; i++) {
        char host[16];
        (void)snprintf(host, sizeof(host), "192.0.2.%d", i);
        const struct auth_attempt a = attempt(host, "alice", SPOILT);
        auth_throttle_failed(t, &a, now);
    }
    assert_false(auth_throttle_ask(t, &abroad, true, now).admitted);
    struct auth_admission at_home = auth_throttle_ask(t, &home, true, now);
    assert_true(at_home.admitted && at_home.known);
    const struct auth_attempt neighbour = attempt("198.51.100.7", "mallory", SPOILT);
    fail_times(t, &neighbour, 30, now); /* the address is penalised, too */
    assert_false(auth_throttle_ask(t, &neighbour, true, now).admitted);
    assert_true(auth_throttle_ask(t, &home, true, now).admitted);
    fail_times(t, &home, 30, now); /* but guessing from there is guessing */
    assert_false(auth_throttle_ask(t, &home, true, now).admitted);
    auth_throttle_succeeded(t, &home, now);
    assert_true(auth_throttle_ask(t, &home, true, now).admitted);
    auth_throttle_free(t);
}

static void success_does_not_clear_the_address(void **state)
{
    struct auth_throttle *t = auth_throttle_new(&lenient);
    const struct auth_attempt own = attempt("192.0.2.1", "mallory", SPOILT);
    int64_t now = 1;
    (void)state;
    for (int i = 0; i < 11; i++) {
        char user[16];
        (void)snprintf(user, sizeof(user), "user%d", i);
        const struct auth_attempt a = attempt("192.0.2.1", user, SPOILT);
        auth_throttle_failed(t, &a, now);
        auth_throttle_succeeded(t, &own, now);
    }
    const struct auth_attempt next = attempt("192.0.2.1", "victim", SPOILT);
    assert_false(auth_throttle_ask(t, &next, true, now).admitted);
    auth_throttle_free(t);
}

static void certificates_are_other_users(void **state)
{
    struct auth_throttle *t = auth_throttle_new(&lenient);
    struct auth_attempt a = attempt("192.0.2.1", "alice", SPOILT);
    (void)state;
    auth_throttle_succeeded(t, &a, 5);
    assert_true(auth_throttle_ask(t, &a, true, 5).known);
    a.certificate = true;
    assert_false(auth_throttle_ask(t, &a, true, 5).known);
    auth_throttle_free(t);
}

/* A thousand other names and addresses, each with fewer failures than cost something, do not wash a penalty away. */
static void penalties_stay_in_a_full_table(void **state)
{
    struct auth_throttle *t = auth_throttle_new(&lenient);
    const struct auth_attempt a = attempt("192.0.2.1", "alice", SPOILT);
    int64_t now = 42;
    (void)state;
    fail_times(t, &a, 20, now);
    for (int i = 0; i < 1000; i++) {
        char host[24], user[16];
        (void)snprintf(host, sizeof(host), "10.0.%d.%d", i / 250, i % 250);
        (void)snprintf(user, sizeof(user), "user%d", i);
        const struct auth_attempt other = attempt(host, user, SPOILT);
        fail_times(t, &other, 2, now);
    }
    assert_false(auth_throttle_ask(t, &a, true, now).admitted);
    for (int i = 0; i < 65; i++) { /* it takes as many penalties as there are entries */
        char host[24], user[16];
        (void)snprintf(host, sizeof(host), "10.1.0.%d", i);
        (void)snprintf(user, sizeof(user), "other%d", i);
        const struct auth_attempt other = attempt(host, user, SPOILT);
        assert_false(auth_throttle_ask(t, &a, true, now).admitted && i < 63);
        fail_times(t, &other, 11, now);
    }
    assert_true(auth_throttle_ask(t, &a, true, now).admitted);
    auth_throttle_free(t);
}

static void refusals_are_told_now_and_then(void **state)
{
    struct auth_throttle *t = auth_throttle_new(&lenient);
    const struct auth_source from = auth_source_of("192.0.2.1"), other = auth_source_of("192.0.2.2");
    (void)state;
    assert_int_equal(auth_throttle_refused(t, from, 1000, 50), 1);
    for (int i = 0; i < 500; i++) {
        assert_int_equal(auth_throttle_refused(t, from, 1000, 60 + i), 0);
    }
    assert_int_equal(auth_throttle_refused(t, other, 1000, 700), 1);
    assert_int_equal(auth_throttle_refused(t, from, 1000, 1050), 501);
    auth_throttle_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sources),
        cmocka_unit_test(penalties_grow_and_end),
        cmocka_unit_test(one_address_locks_nobody_out),
        cmocka_unit_test(fresh_connections_trickle),
        cmocka_unit_test(known_pairs_pass),
        cmocka_unit_test(success_does_not_clear_the_address),
        cmocka_unit_test(certificates_are_other_users),
        cmocka_unit_test(penalties_stay_in_a_full_table),
        cmocka_unit_test(refusals_are_told_now_and_then),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
