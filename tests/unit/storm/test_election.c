/* SPDX-License-Identifier: Apache-2.0 */
/* The election step by step, with the other nodes played by hand: what it asks for, what it takes, what it refuses.
   Whole groups are the simulator's (tests/sim/storm). */
#include "election.h"
#include "test.h"

#include <stdio.h>

struct fx {
    struct election e;
    struct election_action a[32];
    size_t n;
    unsigned uuids;
};

static void uuid(void *arg, char out[37])
{
    struct fx *fx = arg;
    snprintf(out, 37, "12345678-1234-4123-8123-%012X", ++fx->uuids);
}

/* Takes what is to be done. */
static void take(struct fx *fx)
{
    fx->n = 0;
    while (fx->n < 32 && election_next(&fx->e, &fx->a[fx->n]))
        fx->n++;
}

static const struct election_action *find(const struct fx *fx, enum election_do what, int to)
{
    for (size_t i = 0; i < fx->n; i++)
        if (fx->a[i].what == what && (to < 0 || fx->a[i].to == to))
            return &fx->a[i];
    return NULL;
}

/* Node 3 of 1, 2, 3. */
static void begin(struct fx *fx, struct election_stamp stamp, int64_t promised, bool force)
{
    memset(fx, 0, sizeof *fx);
    const struct election_config cfg = {.n = 3,
                                        .self = 2,
                                        .ids = {1, 2, 3},
                                        .master_ms = 1000,
                                        .election_ms = 1000,
                                        .response_ms = 2000,
                                        .force = force,
                                        .uuid = uuid,
                                        .arg = fx};
    election_init(&fx->e, &cfg, stamp, promised);
    election_start(&fx->e);
    take(fx);
    const struct election_action *timer = find(fx, ELECTION_TIMER, -1);
    assert_non_null(timer);
    assert_int_equal(timer->timer, ELECTION_CHECK);
    assert_int_equal(timer->ms, 0); /* the highest looks at once */
}

/* Up to the invitations, to those of the set. */
static void invite(struct fx *fx, uint32_t coordinators)
{
    election_timer(&fx->e, ELECTION_CHECK);
    take(fx);
    for (int i = 0; i < 2; i++) {
        const struct election_action *ask = find(fx, ELECTION_ASK_COORDINATOR, i);
        assert_non_null(ask);
        election_coordinator(&fx->e, i, ask->serial, coordinators >> i & 1, true);
    }
    take(fx);
    election_timer(&fx->e, ELECTION_MERGE);
    assert_int_equal(fx->e.state, ELECTION_ELECTION);
    take(fx);
    const struct election_action *promise = find(fx, ELECTION_PROMISE, 2);
    assert_non_null(promise);
    assert_null(find(fx, ELECTION_INVITE, -1)); /* the disk comes first */
    election_promised(&fx->e, promise->serial, promise->number, true);
    take(fx);
    for (int i = 0; i < 2; i++)
        assert_int_equal(find(fx, ELECTION_INVITE, i) != NULL, coordinators >> i & 1);
}

static void names(void **state)
{
    (void)state;
    struct fx fx;
    begin(&fx, (struct election_stamp){41, 7}, 0, false);
    assert_int_equal(election_ballot(fx.e.group), 0);
    invite(&fx, 3);
    assert_string_equal(fx.e.group, "3:00000000-002A-8123-8123-000000000002");
    assert_int_equal(election_ballot(fx.e.group), 42);
    static const char *const none[] = {"",
                                       "3",
                                       "3:",
                                       "3:00000000-002A-4123-8123-000000000002", /* of version 4 */
                                       "3:00000000-002A-8123-8123-00000000000",
                                       "3:0000000x-002A-8123-8123-000000000002"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_int_equal(election_ballot(none[i]), 0);
}

static void accepted(struct fx *fx, int from, struct election_stamp stamp)
{
    char group[ELECTION_NAME_MAX];
    snprintf(group, sizeof group, "%s", fx->e.group);
    election_accept(&fx->e, from, group, 0, stamp, 0);
}

static void all_begin(void **state)
{
    (void)state;
    struct fx fx;
    begin(&fx, (struct election_stamp){0, 0}, 0, false);
    invite(&fx, 3);
    accepted(&fx, 0, (struct election_stamp){1ll << 47, 0}); /* made up */
    assert_int_equal(fx.e.up, 0);
    assert_int_equal(fx.e.floor, 0);
    accepted(&fx, 0, (struct election_stamp){0, 0});
    accepted(&fx, 1, (struct election_stamp){0, 0});
    election_timer(&fx.e, ELECTION_CONTINUE);
    take(&fx);
    const struct election_action *store = find(&fx, ELECTION_STORE, 2);
    assert_non_null(store);
    assert_int_equal(fx.e.next.generation, 1);
    election_stored(&fx.e, store->serial, true);
    take(&fx);
    uint64_t serial = find(&fx, ELECTION_INIT, 0)->serial;
    election_inited(&fx.e, 0, serial, true);
    election_inited(&fx.e, 1, serial, false); /* left out: two of three are enough */
    take(&fx);
    assert_non_null(find(&fx, ELECTION_READY, 0));
    assert_null(find(&fx, ELECTION_READY, 1));
    election_readied(&fx.e, 0, find(&fx, ELECTION_READY, 0)->serial, true);
    assert_true(election_leads(&fx.e));
    assert_true(election_has_member(&fx.e, fx.e.group, 0));
    assert_false(election_has_member(&fx.e, fx.e.group, 1));
}

/* Two of three, one of them without a stamp: it may have lost what the third has. */
static void too_few_that_know(void **state)
{
    (void)state;
    static const struct {
        struct election_stamp mine, other;
        bool force, begins;
    } table[] = {
        {{0, 0}, {0, 0}, false, false}, {{3, 1}, {0, 0}, false, false}, {{0, 0}, {3, 1}, false, false},
        {{3, 1}, {2, 9}, false, true},  {{0, 0}, {3, 1}, true, true},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct fx fx;
        begin(&fx, table[i].mine, 8, table[i].force);
        invite(&fx, 2);
        accepted(&fx, 1, table[i].other);
        election_timer(&fx.e, ELECTION_CONTINUE);
        assert_int_equal(fx.e.state, table[i].begins ? ELECTION_REORGANIZATION : ELECTION_INACTIVE);
        take(&fx);
        bool older = election_compare(table[i].mine, table[i].other) < 0;
        assert_int_equal(find(&fx, ELECTION_FETCH, 1) != NULL, table[i].begins && older);
    }
}

/* An invitation is followed when its sender says that it is its own, and its number is above all promises. */
static void promises(void **state)
{
    (void)state;
    struct fx fx;
    begin(&fx, (struct election_stamp){3, 0}, 5, false);
    election_invitation(&fx.e, 0, "1:00000000-0005-8123-8123-000000000001");
    take(&fx);
    assert_non_null(find(&fx, ELECTION_DECLINE, 0));
    election_invitation(&fx.e, 0, "1:00000000-0006-8123-8123-000000000001");
    take(&fx);
    const struct election_action *ask = find(&fx, ELECTION_ASK_INVITED, 0);
    assert_non_null(ask);
    election_invited(&fx.e, 0, ask->serial, false, false); /* it cannot be reached */
    assert_int_equal(fx.e.state, ELECTION_INACTIVE);
    election_invitation(&fx.e, 0, "1:FFFFFFFF-FFFF-8123-8123-000000000001");
    take(&fx);
    election_invited(&fx.e, 0, find(&fx, ELECTION_ASK_INVITED, 0)->serial, true, false); /* it has not sent that */
    take(&fx);
    assert_int_equal(fx.n, 0);
    election_invitation(&fx.e, 0, "1:00000000-0006-8123-8123-000000000001");
    take(&fx);
    election_invited(&fx.e, 0, find(&fx, ELECTION_ASK_INVITED, 0)->serial, true, true);
    take(&fx);
    const struct election_action *promise = find(&fx, ELECTION_PROMISE, 2);
    assert_non_null(promise);
    assert_null(find(&fx, ELECTION_ACCEPT, 0));
    election_promised(&fx.e, promise->serial, promise->number, true);
    take(&fx);
    assert_non_null(find(&fx, ELECTION_ACCEPT, 0));
    assert_string_equal(election_observe_init(&fx.e, 5), "invalid generation"); /* of a group that was left */
    assert_null(election_observe_init(&fx.e, 6));
    election_applied(&fx.e, (struct election_stamp){6, 0}, true);
    assert_false(election_ready(&fx.e, 0, "1:00000000-0005-8123-8123-000000000001", 3, 6));
    assert_false(election_ready(&fx.e, 1, fx.e.group, 3, 6));
    assert_true(election_ready(&fx.e, 0, "1:00000000-0006-8123-8123-000000000001", 3, 6));
    assert_int_equal(fx.e.state, ELECTION_NORMAL);
    assert_string_equal(election_observe_update(&fx.e, 5), "invalid generation");
    assert_int_equal(fx.e.state, ELECTION_NORMAL);
    assert_null(election_observe_update(&fx.e, 6));
    election_applied(&fx.e, (struct election_stamp){6, 1}, true);
}

/* One who invites and cannot be reached does not keep out another; who is being asked is not asked again. */
static void latest_invitation(void **state)
{
    (void)state;
    struct fx fx;
    begin(&fx, (struct election_stamp){3, 0}, 5, false);
    election_invitation(&fx.e, 0, "1:00000000-0006-8123-8123-000000000001");
    take(&fx);
    uint64_t first = find(&fx, ELECTION_ASK_INVITED, 0)->serial;
    election_invitation(&fx.e, 1, "2:00000000-0006-8123-8123-000000000002");
    take(&fx);
    uint64_t second = find(&fx, ELECTION_ASK_INVITED, 1)->serial;
    election_invitation(&fx.e, 0, "1:00000000-0007-8123-8123-000000000001");
    election_invitation(&fx.e, 1, "2:00000000-0007-8123-8123-000000000002");
    take(&fx);
    assert_int_equal(fx.n, 0);
    election_invited(&fx.e, 0, first, true, true); /* too late */
    assert_int_equal(fx.e.state, ELECTION_INACTIVE);
    election_invitation(&fx.e, 0, "1:00000000-0007-8123-8123-000000000001");
    take(&fx);
    first = find(&fx, ELECTION_ASK_INVITED, 0)->serial;
    election_invited(&fx.e, 1, second, true, true);
    assert_int_equal(fx.e.state, ELECTION_INACTIVE);
    election_invited(&fx.e, 0, first, true, true);
    assert_int_equal(fx.e.state, ELECTION_REORGANIZATION);
    assert_string_equal(fx.e.group, "1:00000000-0007-8123-8123-000000000001");
}

/* The check that is due: it finds nobody. */
static void look_in_vain(struct fx *fx)
{
    election_timer(&fx->e, ELECTION_CHECK);
    take(fx);
    for (int i = 0; i < 2; i++) {
        const struct election_action *ask = find(fx, ELECTION_ASK_COORDINATOR, i);
        if (ask)
            election_coordinator(&fx->e, i, ask->serial, true, false);
    }
    take(fx);
    assert_int_equal(find(fx, ELECTION_TIMER, -1)->timer, ELECTION_CHECK);
    assert_int_equal(find(fx, ELECTION_TIMER, -1)->ms, 1000);
}

static bool brings_check_forward(struct fx *fx)
{
    assert_true(election_asked(&fx->e));
    take(fx);
    const struct election_action *timer = find(fx, ELECTION_TIMER, -1);
    assert_true(!timer || (timer->timer == ELECTION_CHECK && timer->ms == 0));
    return timer;
}

/* Who has just started asks, and whoever leads a group looks for it; once, then at leisure. */
static void found_at_once(void **state)
{
    (void)state;
    struct fx fx;
    begin(&fx, (struct election_stamp){3, 0}, 0, false);
    assert_false(brings_check_forward(&fx)); /* it leads nobody */
    invite(&fx, 2);
    accepted(&fx, 1, (struct election_stamp){3, 0});
    election_timer(&fx.e, ELECTION_CONTINUE);
    take(&fx);
    election_stored(&fx.e, find(&fx, ELECTION_STORE, 2)->serial, true);
    take(&fx);
    election_inited(&fx.e, 1, find(&fx, ELECTION_INIT, 1)->serial, true);
    take(&fx);
    election_readied(&fx.e, 1, find(&fx, ELECTION_READY, 1)->serial, true);
    take(&fx);
    assert_true(election_leads(&fx.e));
    assert_true(brings_check_forward(&fx));
    assert_false(brings_check_forward(&fx));
    look_in_vain(&fx);
    assert_false(brings_check_forward(&fx));
    look_in_vain(&fx);
    assert_true(brings_check_forward(&fx));

    struct election_config cfg = fx.e.cfg;
    cfg.self = 0;
    election_init(&fx.e, &cfg, (struct election_stamp){3, 0}, 0);
    election_start(&fx.e);
    take(&fx);
    assert_int_equal(find(&fx, ELECTION_TIMER, -1)->ms, 4000);
    for (int i = 1; i < 3; i++) {
        const struct election_action *ask = find(&fx, ELECTION_ASK_COORDINATOR, i);
        assert_non_null(ask);
        election_coordinator(&fx.e, i, ask->serial, true, true);
    }
    take(&fx);
    assert_int_equal(fx.n, 0); /* it waits to be invited, or for its turn */
}

static void answer(struct fx *fx, int from, bool yes)
{
    const struct election_action *ask = find(fx, ELECTION_ASK_COORDINATOR, from);
    assert_non_null(ask);
    election_coordinator(&fx->e, from, ask->serial, true, yes);
}

static void expect_timer(struct fx *fx, enum election_timer timer, int64_t ms)
{
    take(fx);
    assert_int_equal(fx->n, 1);
    assert_non_null(find(fx, ELECTION_TIMER, -1));
    assert_int_equal(fx->a[0].timer, timer);
    assert_int_equal(fx->a[0].ms, ms);
}

/* Node 1 lets the higher ones go first. Who has joined them meanwhile is not called away; who has not is invited. */
static void one_after_another(void **state)
{
    (void)state;
    struct fx fx;
    begin(&fx, (struct election_stamp){3, 0}, 0, false);
    struct election_config cfg = fx.e.cfg;
    cfg.self = 0;
    election_init(&fx.e, &cfg, (struct election_stamp){3, 0}, 0);
    election_start(&fx.e);
    for (bool yes = false;; yes = true) {
        take(&fx);
        election_timer(&fx.e, ELECTION_CHECK);
        take(&fx);
        answer(&fx, 1, true);
        answer(&fx, 2, false);
        expect_timer(&fx, ELECTION_MERGE, 4000);
        election_timer(&fx.e, ELECTION_MERGE);
        assert_int_equal(fx.e.state, ELECTION_INACTIVE);
        take(&fx);
        assert_null(find(&fx, ELECTION_ASK_COORDINATOR, 2)); /* it was none before */
        answer(&fx, 1, yes);
        if (yes)
            break;
        expect_timer(&fx, ELECTION_CHECK, 1000);
    }
    expect_timer(&fx, ELECTION_MERGE, 0);
    election_timer(&fx.e, ELECTION_MERGE);
    assert_int_equal(fx.e.state, ELECTION_ELECTION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(all_begin),
        cmocka_unit_test(too_few_that_know),
        cmocka_unit_test(promises),
        cmocka_unit_test(latest_invitation),
        cmocka_unit_test(found_at_once),
        cmocka_unit_test(one_after_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
