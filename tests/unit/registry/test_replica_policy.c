/* SPDX-License-Identifier: Apache-2.0 */
/* The decisions of replication, at their borders. */
#include <test.h>

#include "replica_policy.h"

static const struct reg_slave_limits limits = {.silent = 10000, .change = 4000, .table = 60000};

static struct reg_slave_facts following(int64_t silent, int64_t change)
{
    return (struct reg_slave_facts){.silent = silent, .change = change, .table = -1};
}

static void test_slave_that_follows(void **state)
{
    (void)state;
    struct reg_slave_facts f = following(9999, -1);
    assert_int_equal(reg_judge_slave(&f, &limits), REG_SLAVE_KEEP);
    f = following(10000, -1);
    assert_int_equal(reg_judge_slave(&f, &limits), REG_SLAVE_SILENT);
    f = following(0, 3999);
    assert_int_equal(reg_judge_slave(&f, &limits), REG_SLAVE_KEEP);
    f = following(0, 4000);
    assert_int_equal(reg_judge_slave(&f, &limits), REG_SLAVE_LAGGING);
    const struct reg_slave_limits patient = {.silent = 0, .change = 4000, .table = 60000};
    f = following(INT64_MAX, -1);
    assert_int_equal(reg_judge_slave(&f, &patient), REG_SLAVE_KEEP);
}

static void test_slave_that_synchronizes(void **state)
{
    (void)state;
    struct reg_slave_facts f = {.syncing = true, .silent = 0, .change = 4000, .table = 5000};
    assert_int_equal(reg_judge_slave(&f, &limits), REG_SLAVE_RELEASE);
    f.change = -1;
    assert_int_equal(reg_judge_slave(&f, &limits), REG_SLAVE_KEEP);
    f.table = 60000;
    assert_int_equal(reg_judge_slave(&f, &limits), REG_SLAVE_LAGGING);
    f = (struct reg_slave_facts){.syncing = true, .silent = 10000, .change = 4000, .table = 60000};
    assert_int_equal(reg_judge_slave(&f, &limits), REG_SLAVE_SILENT);
}

/* Whoever looks again when told to sees every verdict within a millisecond of its time. */
static void test_next_look(void **state)
{
    (void)state;
    for (int64_t silent = 0; silent < 12000; silent += 7) {
        for (int64_t change = -1; change < 4100; change += 13) {
            struct reg_slave_facts f = following(silent, change);
            int64_t ms = reg_slave_next_look(&f, &limits);
            assert_true(ms >= 1 && ms <= limits.change);
            if (reg_judge_slave(&f, &limits) != REG_SLAVE_KEEP)
                continue;
            struct reg_slave_facts later = following(silent + ms - 1, change < 0 ? -1 : change + ms - 1);
            assert_int_equal(reg_judge_slave(&later, &limits), REG_SLAVE_KEEP);
        }
    }
}

static void test_names(void **state)
{
    (void)state;
    char longest[REG_REPLICA_NAME_MAX + 2];
    memset(longest, 'x', sizeof longest);
    assert_false(reg_replica_name_ok(IB_STR("")));
    assert_true(reg_replica_name_ok(IB_STR("Replica 1/\xc3\xa9")));
    assert_false(reg_replica_name_ok(IB_STR("Replica\n1")));
    assert_false(reg_replica_name_ok(((struct ib_str){"a\0b", 3})));
    assert_true(reg_replica_name_ok(((struct ib_str){longest, REG_REPLICA_NAME_MAX})));
    assert_false(reg_replica_name_ok(((struct ib_str){longest, REG_REPLICA_NAME_MAX + 1})));
}

static bool owns(const char *category, const char *name)
{
    const struct iw_identity id = {ib_str(name), ib_str(category)};
    return reg_replica_owns(IB_STR("Demo"), IB_STR("R1"), &id);
}

static void test_objects(void **state)
{
    (void)state;
    static const char *const own[] = {"InternalRegistry-R1", "Registry-R1", "RegistryUserAccountMapper-R1",
                                      "AdminSessionManager-R1", "AdminSSLSessionManager-R1"};
    static const char *const others[] = {
        "Registry", "InternalRegistry-Master", "Registry-R2",  "Registry-R11", "Registry-R", "Query",
        "Locator",  "SessionManager-R1",       "XRegistry-R1", "Registry-",    "R1",         ""};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        assert_true(owns("Demo", own[i]));
        assert_false(owns("Other", own[i]));
        assert_false(owns("", own[i]));
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(owns("Demo", others[i]));
}

static void test_serials(void **state)
{
    (void)state;
    const struct reg_serials ours = {{5, 1, 9}};
    char text[400], little[20];
    assert_false(reg_serials_ahead(&ours, &ours, text, sizeof text));
    assert_false(reg_serials_ahead(&ours, &(struct reg_serials){{0, 0, 0}}, text, sizeof text));
    assert_true(reg_serials_ahead(&ours, &(struct reg_serials){{5, 1, 10}}, text, sizeof text));
    assert_string_equal(text, "\n`objects' database: master serial = 9, replica serial = 10");
    assert_true(reg_serials_ahead(&ours, &(struct reg_serials){{INT64_MAX, INT64_MAX, INT64_MAX}}, text, sizeof text));
    assert_non_null(strstr(text, "applications"));
    assert_non_null(strstr(text, "objects"));
    assert_true(reg_serials_ahead(&ours, &(struct reg_serials){{6, 2, 10}}, little, sizeof little));
    assert_false(reg_serial_backwards(7, 0));
    assert_false(reg_serial_backwards(7, 7));
    assert_false(reg_serial_backwards(7, 8));
    assert_true(reg_serial_backwards(7, 6));
}

static void test_session_timeouts(void **state)
{
    (void)state;
    assert_true(reg_session_ms(0) == 0 && reg_session_ms(-5) == 0);
    assert_true(reg_session_ms(1) == 10000 && reg_session_ms(10) == 10000 && reg_session_ms(30) == 30000);
    assert_true(reg_session_ms(INT32_MAX) == INT32_MAX * INT64_C(1000));
}

static void judged(struct reg_search s, bool away, enum reg_rival_verdict verdict, bool away_still)
{
    s.limit = 10000;
    assert_int_equal(reg_judge_rival(&s, &away), verdict);
    assert_int_equal(away, away_still);
}

static void test_masters(void **state)
{
    (void)state;
    judged((struct reg_search){.took = 100}, false, REG_RIVAL_NONE, false);
    judged((struct reg_search){.found = true}, false, REG_RIVAL_REPORT, false);
    judged((struct reg_search){.found = true}, true, REG_RIVAL_STEP_DOWN, true);
    /* That nobody is found clears whoever has a slave that follows, and nobody else: he may be cut off. */
    judged((struct reg_search){.took = 100}, true, REG_RIVAL_NONE, true);
    judged((struct reg_search){.took = 100, .followed = true}, true, REG_RIVAL_NONE, false);
}

/* A master that was frozen in the middle of a search, and replaced meanwhile, neither takes its answer for a fresh one
   nor its innocence for proved. */
static void test_master_frozen_in_a_search(void **state)
{
    (void)state;
    judged((struct reg_search){.took = 10000, .followed = true}, false, REG_RIVAL_NONE, false);
    judged((struct reg_search){.took = 10001, .followed = true}, false, REG_RIVAL_AGAIN, true);
    judged((struct reg_search){.took = 10001, .followed = true}, true, REG_RIVAL_AGAIN, true);
    judged((struct reg_search){.took = 10001, .found = true}, false, REG_RIVAL_STEP_DOWN, true);
}

/* One whose slaves have left while it searched is away, whatever came and went between two looks. */
static void test_master_without_slaves(void **state)
{
    (void)state;
    judged((struct reg_search){.lost = true}, false, REG_RIVAL_NONE, true);
    judged((struct reg_search){.lost = true, .found = true}, false, REG_RIVAL_STEP_DOWN, true);
}

static void test_promotion(void **state)
{
    (void)state;
    assert_true(reg_promoted_serial(1) > 1 + 500);
    assert_true(reg_promoted_serial(INT64_MAX) == INT64_MAX);
    assert_true(reg_promoted_serial(INT64_MAX - 1) >= INT64_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slave_that_follows),
        cmocka_unit_test(test_slave_that_synchronizes),
        cmocka_unit_test(test_next_look),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_objects),
        cmocka_unit_test(test_serials),
        cmocka_unit_test(test_masters),
        cmocka_unit_test(test_master_frozen_in_a_search),
        cmocka_unit_test(test_master_without_slaves),
        cmocka_unit_test(test_promotion),
        cmocka_unit_test(test_session_timeouts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
