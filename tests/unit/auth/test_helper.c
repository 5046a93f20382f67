/* SPDX-License-Identifier: Apache-2.0 */
/* The helper process and the verifiers on top of it. This executable is its own helper: see main. */
#include "fixture.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <moulin/base/log.h>

#include "hash.h"

#define HASH "$pbkdf2$1000$c2FsdHNhbHQ$Vl.gS4wwEJ9RAyHsOgr4PehaAtc" /* of "pw" */

struct answer {
    int calls, code;
    bool match;
};

static void on_answer(void *arg, const struct auth_helper_answer *h)
{
    struct answer *a = arg;
    a->calls++;
    a->code = h->code;
    a->match = h->match;
}

static int setup(void **state)
{
    return fx_setup(state, NULL);
}

static int setup_small(void **state)
{
    return fx_setup(state, &(struct auth_helper_config){.queue_max = 2, .deadline_ms = 2000, .workers = 1});
}

static int setup_two(void **state)
{
    return fx_setup(state, &(struct auth_helper_config){.deadline_ms = 2000});
}

static void ask(struct fx *fx, const char *password, struct answer *a)
{
    uint64_t id;
    assert_int_equal(auth_helper_check(fx->helper, ib_str(password), HASH, on_answer, a, &id), 0);
    assert_int_equal(a->calls, 0);
}

static void right_and_wrong(void **state)
{
    struct fx *fx = *state;
    struct answer right = {0}, wrong = {0};
    ask(fx, "pw", &right);
    ask(fx, "pv", &wrong);
    fx_wait(fx, &wrong.calls, 1);
    fx_wait(fx, &right.calls, 1);
    assert_true(right.code == 0 && right.match);
    assert_true(wrong.code == 0 && !wrong.match);
}

static void limits(void **state)
{
    struct fx *fx = *state;
    struct answer a[3] = {{0}};
    uint64_t id;
    char huge[2000];
    memset(huge, 'x', sizeof(huge));
    assert_int_equal(
        auth_helper_check(fx->helper, (struct ib_str){huge, AUTH_PASSWORD_MAX + 1}, HASH, on_answer, &a[0], &id),
        IB_EINVAL);
    ask(fx, "pw", &a[0]);
    ask(fx, "pw", &a[1]);
    assert_int_equal(auth_helper_check(fx->helper, IB_STR("pw"), HASH, on_answer, &a[2], &id), IB_ELIMIT);
    fx_wait(fx, &a[1].calls, 1);
    assert_int_equal(a[2].calls, 0);
    ask(fx, "pw", &a[2]);
    fx_wait(fx, &a[2].calls, 1);
    assert_true(a[2].match);
}

static void a_cancelled_question_is_not_answered(void **state)
{
    struct fx *fx = *state;
    struct answer first = {0}, second = {0};
    uint64_t id;
    assert_int_equal(auth_helper_check(fx->helper, IB_STR("pw"), HASH, on_answer, &first, &id), 0);
    auth_helper_cancel(fx->helper, id);
    auth_helper_cancel(fx->helper, id + 1000);
    ask(fx, "pw", &second);
    fx_wait(fx, &second.calls, 1);
    assert_int_equal(first.calls, 0);
}

static void the_dead_are_replaced(void **state)
{
    struct fx *fx = *state;
    struct answer first = {0}, lost = {0}, last = {0};
    assert_int_equal(auth_helper_pid(fx->helper, AUTH_HELPER_HASH, 0), 0);
    ask(fx, "pw", &first);
    fx_wait(fx, &first.calls, 1);
    int pid = auth_helper_pid(fx->helper, AUTH_HELPER_HASH, 0);
    assert_true(pid > 0);
    assert_int_equal(kill(pid, SIGSTOP), 0);
    ask(fx, "pw", &lost);
    (void)ic_loop_run_once(fx->loop, 0); /* it is sent */
    assert_int_equal(kill(pid, SIGKILL), 0);
    fx_wait(fx, &lost.calls, 1);
    assert_true(lost.code == IB_EIO || (lost.code == 0 && lost.match)); /* died before or after it was sent */
    ask(fx, "pw", &last);
    fx_wait(fx, &last.calls, 1);
    assert_true(last.code == 0 && last.match);
    assert_int_not_equal(auth_helper_pid(fx->helper, AUTH_HELPER_HASH, 0), pid);
}

static void the_hung_are_replaced(void **state)
{
    struct fx *fx = *state;
    struct answer first = {0}, stuck = {0}, last = {0};
    ask(fx, "pw", &first);
    fx_wait(fx, &first.calls, 1);
    assert_int_equal(kill(auth_helper_pid(fx->helper, AUTH_HELPER_HASH, 0), SIGSTOP), 0);
    ask(fx, "pw", &stuck);
    fx_wait(fx, &stuck.calls, 1);
    assert_int_equal(stuck.code, IB_ETIMEOUT);
    ask(fx, "pw", &last);
    fx_wait(fx, &last.calls, 1);
    assert_true(last.code == 0 && last.match);
}

/* While one hangs, the others are answered by the next. */
static void the_hung_do_not_delay_others(void **state)
{
    struct fx *fx = *state;
    struct answer first = {0}, stuck = {0}, others[3] = {{0}};
    ask(fx, "pw", &first);
    fx_wait(fx, &first.calls, 1);
    int pid = auth_helper_pid(fx->helper, AUTH_HELPER_HASH, 0);
    assert_int_equal(auth_helper_pid(fx->helper, AUTH_HELPER_HASH, 1), 0); /* none was needed yet */
    assert_int_equal(kill(pid, SIGSTOP), 0);
    ask(fx, "pw", &stuck);
    for (size_t i = 0; i < 3; i++) {
        ask(fx, "pw", &others[i]);
    }
    for (size_t i = 0; i < 3; i++) {
        fx_wait(fx, &others[i].calls, 1);
        assert_true(others[i].code == 0 && others[i].match);
    }
    assert_int_equal(stuck.calls, 0);
    assert_int_equal(auth_helper_pid(fx->helper, AUTH_HELPER_HASH, 0), pid);
    fx_wait(fx, &stuck.calls, 1);
    assert_int_equal(stuck.code, IB_ETIMEOUT);
    assert_int_equal(auth_helper_pid(fx->helper, AUTH_HELPER_HASH, 0), 0); /* killed */
}

static void the_retired_are_replaced(void **state)
{
    struct fx *fx = *state;
    struct answer first = {0}, busy = {0}, last = {0};
    ask(fx, "pw", &first);
    fx_wait(fx, &first.calls, 1);
    int pid = auth_helper_pid(fx->helper, AUTH_HELPER_HASH, 0);
    ask(fx, "pw", &busy);
    while (busy.calls == 0 && auth_helper_pid(fx->helper, AUTH_HELPER_HASH, 0) == pid) {
        (void)ic_loop_run_once(fx->loop, 0); /* it is given to the child */
        auth_helper_retire(fx->helper, AUTH_HELPER_HASH);
    }
    fx_wait(fx, &busy.calls, 1);
    assert_true(busy.code == 0 && busy.match);
    assert_int_equal(auth_helper_pid(fx->helper, AUTH_HELPER_HASH, 0), 0);
    ask(fx, "pw", &last);
    fx_wait(fx, &last.calls, 1);
    assert_true(last.match);
}

/* A child that cannot do what it was told says why, to the log and to who asks, and serves nobody. */
static void who_cannot_change_users_does_not_serve(void **state)
{
    struct fx *fx = *state;
    struct ib_log *log = ib_log_new("");
    char path[400], text[2000] = "";
    (void)snprintf(path, sizeof(path), "%s", fx_path(fx, "log"));
    assert_int_equal(ib_log_open(log, path, 0, NULL), 0);
    const struct auth_helper_config cfg = {.drop = true, .uid = (unsigned)-1, .gid = 65534, .log = log};
    struct auth_helper *h = auth_helper_new(fx->loop, &cfg);
    for (int i = 0; i < 2; i++) {
        struct answer a = {0};
        uint64_t id;
        assert_int_equal(auth_helper_check(h, IB_STR("pw"), HASH, on_answer, &a, &id), 0);
        fx_wait(fx, &a.calls, 1);
        assert_true(a.code == IB_EINIT || a.code == IB_EIO); /* its word or its death came first */
        assert_false(a.match);
    }
    auth_helper_free(h);
    ib_log_free(log);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    (void)fclose(f);
    assert_true(n > 0);
    const char *said = strstr(text, "cannot become");
    assert_non_null(said);
    assert_null(strstr(said + 1, "cannot become")); /* once */
}

/* --- verifiers ---------------------------------------------------------------------------------------------------- */

static void password_file_verifier(void **state)
{
    struct fx *fx = *state;
    struct ib_err err = {0};
    char path[400], huge[2000];
    (void)snprintf(path, sizeof(path), "%s", fx_path(fx, "passwords"));
    fx_write(path, "alice " HASH "\n");
    struct auth_verifier *v = auth_verifier_new_file(fx->loop, fx->helper, path, NULL, &err);
    assert_non_null(v);
    memset(huge, 'x', sizeof(huge));
    assert_int_equal(fx_verify(fx, v, "alice", IB_STR("pw")), AUTH_ACCEPTED);
    assert_int_equal(fx_verify(fx, v, "alice", IB_STR("")), AUTH_DENIED);
    assert_int_equal(fx_verify(fx, v, "bob", IB_STR("pw")), AUTH_DENIED); /* alice's password is not everybody's */
    assert_int_equal(fx_verify(fx, v, "alice", (struct ib_str){huge, sizeof(huge)}), AUTH_DENIED);
    fx_write(path, "bob " HASH "\n");
    assert_int_equal(auth_verifier_reload(v, NULL, &err), 0);
    assert_int_equal(fx_verify(fx, v, "bob", IB_STR("pw")), AUTH_ACCEPTED);
    assert_int_equal(fx_verify(fx, v, "alice", IB_STR("pw")), AUTH_DENIED);
    fx_write(path, "bob\n");
    assert_int_not_equal(auth_verifier_reload(v, NULL, &err), 0);
    assert_int_equal(fx_verify(fx, v, "bob", IB_STR("pw")), AUTH_ACCEPTED);
    struct fx_verdict forgotten = {0};
    const struct auth_request rq = {.user = IB_STR("bob"), .password = IB_STR("pw")};
    assert_non_null(auth_verify(v, &rq, fx_on_verdict, &forgotten));
    auth_verifier_free(v);
    (void)ic_loop_run_once(fx->loop, 0);
    assert_int_equal(forgotten.calls, 0);
}

static void null_verifier(void **state)
{
    struct fx *fx = *state;
    struct auth_verifier *v = auth_verifier_new_null(fx->loop);
    assert_int_equal(fx_verify(fx, v, "", IB_STR("")), AUTH_ACCEPTED);
    struct fx_verdict forgotten = {0};
    const struct auth_request rq = {0};
    struct auth_check *c = auth_verify(v, &rq, fx_on_verdict, &forgotten);
    assert_non_null(c);
    auth_check_cancel(c);
    (void)ic_loop_run_once(fx->loop, 0);
    assert_int_equal(forgotten.calls, 0);
    auth_verifier_free(v);
}

int main(int argc, char **argv)
{
    FX_HELPER(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(right_and_wrong, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(limits, setup_small, fx_teardown),
        cmocka_unit_test_setup_teardown(a_cancelled_question_is_not_answered, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(the_dead_are_replaced, setup_small, fx_teardown),
        cmocka_unit_test_setup_teardown(the_hung_are_replaced, setup_small, fx_teardown),
        cmocka_unit_test_setup_teardown(the_hung_do_not_delay_others, setup_two, fx_teardown),
        cmocka_unit_test_setup_teardown(the_retired_are_replaced, setup_small, fx_teardown),
        cmocka_unit_test_setup_teardown(who_cannot_change_users_does_not_serve, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(password_file_verifier, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(null_verifier, setup, fx_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
