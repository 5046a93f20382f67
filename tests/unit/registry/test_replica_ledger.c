/* SPDX-License-Identifier: Apache-2.0 */
/* What a slave has to acknowledge before it counts, and whose answers wait for it. */
#include <test.h>

#include <stdlib.h>

#include "replica_ledger.h"

enum { APPLICATION = REG_TOPIC_APPLICATION, OBJECT = REG_TOPIC_OBJECT };

struct fx {
    struct reg_ledger l;
    struct reg_change *c[3]; /* published: each is held by the door, too */
};

static int setup(void **state)
{
    struct fx *f = calloc(1, sizeof *f);
    reg_ledger_init(&f->l);
    for (int i = 0; i < 3; i++) {
        f->c[i] = reg_change_new(REG_NOTE, NULL, NULL);
        f->c[i]->holds = 1;
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fx *f = *state;
    reg_ledger_fini(&f->l);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(f->c[i]->holds, 1);
        reg_change_unref(f->c[i]);
    }
    free(f);
    return 0;
}

static void told(struct fx *f, int topic, int32_t serial, int64_t now, struct reg_change *c)
{
    assert_true(reg_ledger_wait(&f->l, topic, serial, now, c));
}

static void test_answers_wait(void **state)
{
    struct fx *f = *state;
    told(f, OBJECT, 1, 0, f->c[0]);
    told(f, APPLICATION, 1, 0, f->c[1]);
    reg_ledger_acknowledge(&f->l, OBJECT, 2); /* of what it was not told */
    reg_ledger_acknowledge(&f->l, 77, 1);
    assert_true(f->c[0]->holds == 2 && f->c[1]->holds == 2);
    reg_ledger_acknowledge(&f->l, OBJECT, 1);
    assert_true(f->c[0]->holds == 1 && f->c[0]->acked == 1 && f->c[1]->holds == 2 && f->c[1]->acked == 0);
    reg_ledger_acknowledge(&f->l, OBJECT, 1); /* twice */
    assert_true(f->c[0]->holds == 1 && f->c[0]->acked == 1);
}

/* Its session ends: nobody waits, and it has not acknowledged anything by that. */
static void test_end(void **state)
{
    struct fx *f = *state;
    told(f, OBJECT, 1, 0, f->c[0]);
    reg_ledger_fini(&f->l);
    assert_true(f->c[0]->holds == 1 && f->c[0]->acked == 0);
}

static void test_ages(void **state)
{
    struct fx *f = *state;
    struct reg_slave_facts facts;
    reg_ledger_ages(&f->l, 50, &facts);
    assert_true(facts.table == -1 && facts.change == -1);
    told(f, OBJECT, 1, 10, NULL);
    told(f, APPLICATION, 1, 20, NULL);
    told(f, OBJECT, 2, 30, f->c[0]);
    told(f, OBJECT, 3, 40, f->c[1]);
    reg_ledger_ages(&f->l, 50, &facts);
    assert_true(facts.table == 40 && facts.change == 20);
    reg_ledger_acknowledge(&f->l, OBJECT, 1);
    reg_ledger_acknowledge(&f->l, OBJECT, 2);
    reg_ledger_ages(&f->l, 50, &facts);
    assert_true(facts.table == 30 && facts.change == 10);
}

/* A slave that synchronizes slowly has not got what was answered without waiting for it when it has the tables: the
   changes that waited for it, and those that were not to. Promoted at that moment it would lose them. */
static void test_slow_slave_does_not_follow_too_early(void **state)
{
    struct fx *f = *state;
    told(f, APPLICATION, 1, 0, NULL);
    told(f, OBJECT, 5, 0, NULL);
    told(f, OBJECT, 6, 0, f->c[0]);
    told(f, APPLICATION, 2, 0, f->c[1]);
    reg_ledger_release(&f->l);
    assert_true(f->l.released && f->c[0]->holds == 1 && f->c[1]->holds == 1);
    reg_ledger_owe(&f->l, OBJECT, 7); /* answered without it */
    reg_ledger_acknowledge(&f->l, APPLICATION, 1);
    assert_true(f->l.released && !reg_ledger_complete(&f->l));
    reg_ledger_acknowledge(&f->l, OBJECT, 5);
    assert_false(f->l.released); /* from now on answers wait for it */
    assert_false(reg_ledger_tables_open(&f->l));
    assert_false(reg_ledger_complete(&f->l)); /* but what is owed is missing */
    reg_ledger_acknowledge(&f->l, OBJECT, 6);
    reg_ledger_acknowledge(&f->l, APPLICATION, 2);
    assert_false(reg_ledger_complete(&f->l));
    told(f, OBJECT, 8, 0, f->c[2]);
    reg_ledger_acknowledge(&f->l, OBJECT, 7);
    assert_true(reg_ledger_complete(&f->l)); /* what waits for it is not owed */
    assert_int_equal(f->c[2]->holds, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answers_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(test_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow_slave_does_not_follow_too_early, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
