/* SPDX-License-Identifier: Apache-2.0 */
/* The helper process and the verifiers on top of it. This executable is its own helper: see main. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <unistd.h>
#include <cmocka.h>

#include <moulin/auth/helper.h>
#include <moulin/auth/passwd.h>
#include <moulin/auth/verifier.h>
#include <moulin/base/clock.h>
#include <moulin/net/loop.h>

#include "hash.h"

#define HASH "$pbkdf2$1000$c2FsdHNhbHQ$Vl.gS4wwEJ9RAyHsOgr4PehaAtc" /* of "pw" */
#define WAIT_MS 20000

struct answer {
    int calls, code;
    bool match;
};

static void on_answer(void *arg, int code, bool match)
{
    struct answer *a = arg;
    a->calls++;
    a->code = code;
    a->match = match;
}

static void wait_for(struct ic_loop *loop, const int *counter, int value)
{
    int64_t end = ib_clock_ms() + WAIT_MS;
    while (*counter < value && ib_clock_ms() < end) {
        (void)ic_loop_run_once(loop, 100);
    }
    assert_int_equal(*counter, value);
}

struct fx {
    struct ic_loop *loop;
    struct auth_helper *helper;
};

static int setup_with(void **state, const struct auth_helper_config *cfg)
{
    struct fx *fx = calloc(1, sizeof(*fx));
    fx->loop = ic_loop_new(NULL);
    fx->helper = auth_helper_new(fx->loop, cfg);
    *state = fx;
    return fx->loop && fx->helper ? 0 : -1;
}

static int setup(void **state)
{
    return setup_with(state, NULL);
}

static int setup_small(void **state)
{
    return setup_with(state, &(struct auth_helper_config){.queue_max = 2, .deadline_ms = 3000});
}

static int teardown(void **state)
{
    struct fx *fx = *state;
    auth_helper_free(fx->helper);
    ic_loop_free(fx->loop);
    free(fx);
    return 0;
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
    wait_for(fx->loop, &wrong.calls, 1);
    assert_int_equal(right.calls, 1);
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
    wait_for(fx->loop, &a[1].calls, 1);
    assert_int_equal(a[2].calls, 0);
    ask(fx, "pw", &a[2]);
    wait_for(fx->loop, &a[2].calls, 1);
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
    wait_for(fx->loop, &second.calls, 1);
    assert_int_equal(first.calls, 0);
}

static void the_dead_are_replaced(void **state)
{
    struct fx *fx = *state;
    struct answer first = {0}, lost = {0}, last = {0};
    assert_int_equal(auth_helper_pid(fx->helper), 0);
    ask(fx, "pw", &first);
    wait_for(fx->loop, &first.calls, 1);
    int pid = auth_helper_pid(fx->helper);
    assert_true(pid > 0);
    assert_int_equal(kill(pid, SIGSTOP), 0);
    ask(fx, "pw", &lost);
    (void)ic_loop_run_once(fx->loop, 0); /* it is sent */
    assert_int_equal(kill(pid, SIGKILL), 0);
    wait_for(fx->loop, &lost.calls, 1);
    assert_true(lost.code == IB_EIO || (lost.code == 0 && lost.match)); /* died before or after it was sent */
    ask(fx, "pw", &last);
    wait_for(fx->loop, &last.calls, 1);
    assert_true(last.code == 0 && last.match);
    assert_int_not_equal(auth_helper_pid(fx->helper), pid);
}

static void the_hung_are_replaced(void **state)
{
    struct fx *fx = *state;
    struct answer first = {0}, stuck = {0}, last = {0};
    ask(fx, "pw", &first);
    wait_for(fx->loop, &first.calls, 1);
    assert_int_equal(kill(auth_helper_pid(fx->helper), SIGSTOP), 0);
    ask(fx, "pw", &stuck);
    wait_for(fx->loop, &stuck.calls, 1);
    assert_int_equal(stuck.code, IB_ETIMEOUT);
    ask(fx, "pw", &last);
    wait_for(fx->loop, &last.calls, 1);
    assert_true(last.code == 0 && last.match);
}

/* --- verifiers ---------------------------------------------------------------------------------------------------- */

struct verdict {
    int calls;
    enum auth_verdict verdict;
};

static void on_verdict(void *arg, const struct auth_answer *a)
{
    struct verdict *v = arg;
    v->calls++;
    v->verdict = a->verdict;
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static enum auth_verdict verify(struct fx *fx, struct auth_verifier *v, const char *user, struct ib_str password)
{
    struct verdict got = {0};
    const struct auth_request rq = {.user = ib_str(user), .password = password};
    assert_non_null(auth_verify(v, &rq, on_verdict, &got));
    assert_int_equal(got.calls, 0);
    wait_for(fx->loop, &got.calls, 1);
    return got.verdict;
}

static void password_file_verifier(void **state)
{
    struct fx *fx = *state;
    struct ib_err err = {0};
    char path[] = "/tmp/moulin-passwords-XXXXXX", huge[2000];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)close(fd);
    write_file(path, "alice " HASH "\n");
    struct auth_verifier *v = auth_verifier_new_file(fx->loop, fx->helper, path, NULL, &err);
    assert_non_null(v);
    memset(huge, 'x', sizeof(huge));
    assert_int_equal(verify(fx, v, "alice", IB_STR("pw")), AUTH_ACCEPTED);
    assert_int_equal(verify(fx, v, "alice", IB_STR("")), AUTH_DENIED);
    assert_int_equal(verify(fx, v, "bob", IB_STR("pw")), AUTH_DENIED); /* alice's password is not everybody's */
    assert_int_equal(verify(fx, v, "alice", (struct ib_str){huge, sizeof(huge)}), AUTH_DENIED);
    write_file(path, "bob " HASH "\n");
    assert_int_equal(auth_verifier_reload(v, NULL, &err), 0);
    assert_int_equal(verify(fx, v, "bob", IB_STR("pw")), AUTH_ACCEPTED);
    assert_int_equal(verify(fx, v, "alice", IB_STR("pw")), AUTH_DENIED);
    write_file(path, "bob\n");
    assert_int_not_equal(auth_verifier_reload(v, NULL, &err), 0);
    assert_int_equal(verify(fx, v, "bob", IB_STR("pw")), AUTH_ACCEPTED);
    struct verdict forgotten = {0};
    const struct auth_request rq = {.user = IB_STR("bob"), .password = IB_STR("pw")};
    assert_non_null(auth_verify(v, &rq, on_verdict, &forgotten));
    auth_verifier_free(v);
    (void)ic_loop_run_once(fx->loop, 0);
    assert_int_equal(forgotten.calls, 0);
    (void)unlink(path);
}

static void null_verifier(void **state)
{
    struct fx *fx = *state;
    struct auth_verifier *v = auth_verifier_new_null(fx->loop);
    assert_int_equal(verify(fx, v, "", IB_STR("")), AUTH_ACCEPTED);
    struct verdict forgotten = {0};
    const struct auth_request rq = {0};
    struct auth_check *c = auth_verify(v, &rq, on_verdict, &forgotten);
    assert_non_null(c);
    auth_check_cancel(c);
    (void)ic_loop_run_once(fx->loop, 0);
    assert_int_equal(forgotten.calls, 0);
    auth_verifier_free(v);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], AUTH_HELPER_ROLE) == 0) {
        auth_helper_main();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(right_and_wrong, setup, teardown),
        cmocka_unit_test_setup_teardown(limits, setup_small, teardown),
        cmocka_unit_test_setup_teardown(a_cancelled_question_is_not_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(the_dead_are_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(the_hung_are_replaced, setup_small, teardown),
        cmocka_unit_test_setup_teardown(password_file_verifier, setup, teardown),
        cmocka_unit_test_setup_teardown(null_verifier, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
