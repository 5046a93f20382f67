/* SPDX-License-Identifier: Apache-2.0 */
/* What workers count together, from several threads at once; and to whom a token belongs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "router.h"

#define THREADS 4
#define ROUNDS 2000
#define LIMIT 3

static struct gw_books books;
static atomic_uint most; /* ever in at the same time */
static atomic_uint in;

static void watch(unsigned now)
{
    unsigned seen = atomic_load(&most);
    while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now)) {
    }
}

static void setup(void)
{
    const struct gw_limits limits = {
        .throttle_failures = 2, .throttle_penalty_max_s = 60, .throttle_forget_s = 60, .throttle_entries = 64};
    struct ib_err err = {0};
    memset(&books, 0, sizeof(books));
    atomic_store(&most, 0);
    atomic_store(&in, 0);
    assert_int_equal(pthread_mutex_init(&books.lock, NULL), 0);
    assert_int_equal(gw_books_open(&books, &limits, &err), 0);
}

static void run(void *(*fn)(void *arg))
{
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, fn, NULL), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

static void *count(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        if (gw_books_take(&books.clients, LIMIT)) {
            watch(atomic_fetch_add(&in, 1) + 1);
            atomic_fetch_sub(&in, 1);
            atomic_fetch_sub(&books.clients, 1);
        }
    }
    return arg;
}

static void counts_keep_their_limit(void **state)
{
    (void)state;
    setup();
    run(count);
    assert_int_equal((int)atomic_load(&books.clients), 0);
    assert_in_range(atomic_load(&most), 1, LIMIT);
    assert_true(gw_books_take(&books.clients, 1));
    assert_false(gw_books_take(&books.clients, 1));
    assert_true(gw_books_take(&books.clients, 0));
    gw_books_close(&books);
}

static void *sit_and_rise(void *arg)
{
    const struct auth_source from = auth_source_of("10.0.0.1");
    for (int i = 0; i < ROUNDS; i++) {
        if (gw_books_sit(&books, &from, LIMIT, false)) {
            watch(atomic_fetch_add(&in, 1) + 1);
            atomic_fetch_sub(&in, 1);
            gw_books_rise(&books, &from);
        }
    }
    return arg;
}

static void seats_keep_their_limits(void **state)
{
    const struct auth_source a = auth_source_of("10.0.0.1"), b = auth_source_of("10.0.0.2"),
                             c = auth_source_of("10.0.0.3");
    (void)state;
    setup();
    run(sit_and_rise);
    assert_in_range(atomic_load(&most), 1, LIMIT);
    assert_int_equal(books.n_seats, 0);
    for (int i = 0; i < 2; i++) {
        assert_true(gw_books_sit(&books, &a, 2, false));
        assert_true(gw_books_sit(&books, &b, 2, false));
    }
    assert_false(gw_books_has_seat(&books, &a, 2)); /* each has two, and all have four */
    assert_false(gw_books_sit(&books, &c, 2, false));
    assert_true(gw_books_sit(&books, &c, 2, true));
    gw_books_rise(&books, &c);
    gw_books_rise(&books, &a);
    assert_true(gw_books_has_seat(&books, &c, 2));
    assert_false(gw_books_has_seat(&books, &b, 2));
    gw_books_close(&books);
}

static void *join_and_part(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        if (gw_books_join(&books, 'u', IB_STR("alice"), LIMIT)) {
            watch(atomic_fetch_add(&in, 1) + 1);
            atomic_fetch_sub(&in, 1);
            gw_books_part(&books, 'u', IB_STR("alice"));
        }
    }
    return arg;
}

static void users_keep_their_limit(void **state)
{
    (void)state;
    setup();
    run(join_and_part);
    assert_in_range(atomic_load(&most), 1, LIMIT);
    assert_null(books.users);
    assert_true(gw_books_join(&books, 'u', IB_STR("alice"), 1));
    assert_false(gw_books_join(&books, 'u', IB_STR("alice"), 1));
    assert_true(gw_books_join(&books, 's', IB_STR("alice"), 1)); /* a certificate's subject is somebody else */
    assert_true(gw_books_join(&books, 'u', IB_STR("alice"), 0));
    gw_books_part(&books, 'u', IB_STR("alice"));
    gw_books_part(&books, 'u', IB_STR("alice"));
    gw_books_part(&books, 's', IB_STR("alice"));
    gw_books_part(&books, 'u', IB_STR("bob")); /* nobody */
    assert_null(books.users);
    gw_books_close(&books);
}

static void *report_failure(void *arg)
{
    const struct auth_attempt a = {.from = auth_source_of("10.0.0.1"), .user = IB_STR("alice")};
    gw_books_report(&books, &a, false);
    return arg;
}

static void failures_add_up(void **state)
{
    const struct auth_attempt a = {.from = auth_source_of("10.0.0.1"), .user = IB_STR("alice"), .failed = 9};
    (void)state;
    setup();
    assert_true(gw_books_ask(&books, &a, false).admitted);
    run(report_failure);
    assert_false(gw_books_ask(&books, &a, false).admitted);
    assert_int_equal(gw_books_refused(&books, a.from, 1000), 1);
    assert_int_equal(gw_books_refused(&books, a.from, 60000), 0);
    gw_books_close(&books);
}

/* Every worker owns some, and who owns one depends on the key. */
static void tokens_have_owners(void **state)
{
    struct gw_crew *crew = calloc(1, sizeof(*crew));
    unsigned owned[5] = {0}, moved = 0;
    char token[GW_TOKEN_LEN + 1];
    (void)state;
    assert_non_null(crew);
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(token, sizeof(token), "AAAAAAAAAAAAAAA%05u", i);
        crew->n = 1;
        assert_int_equal(gw_crew_owner(crew, ib_str(token)), 0);
        crew->n = 5;
        crew->key = 1;
        unsigned first = gw_crew_owner(crew, ib_str(token));
        crew->key = 2;
        moved += gw_crew_owner(crew, ib_str(token)) != first;
        owned[first]++;
    }
    for (size_t i = 0; i < 5; i++) {
        assert_in_range(owned[i], 140, 260);
    }
    assert_in_range(moved, 700, 900);
    free(crew);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_keep_their_limit), cmocka_unit_test(seats_keep_their_limits),
        cmocka_unit_test(users_keep_their_limit),  cmocka_unit_test(failures_add_up),
        cmocka_unit_test(tokens_have_owners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
