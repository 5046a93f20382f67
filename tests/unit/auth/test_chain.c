/* SPDX-License-Identifier: Apache-2.0 */
/* Several verifiers in order: scripted ones, of every verdict, in every place. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "verifier_priv.h"

/* --- a verifier that answers as it is told ------------------------------------------------------------------------ */

struct script {
    enum auth_verdict verdict;
    const char *text; /* reason, exception, error */
    bool silent; /* never answers */
    bool refuses; /* cannot even be asked */
    unsigned asked, cancelled, reloaded, freed;
    int reload_code;
    char heard[200];
};

struct scripted {
    struct auth_verifier base;
    struct script *s;
};

static struct script *script(struct auth_verifier *v)
{
    return ((struct scripted *)(void *)v)->s;
}

static void answer(void *arg)
{
    struct auth_check *c = arg;
    const struct script *s = script(c->v);
    char text[64];
    (void)snprintf(text, sizeof(text), "%s", s->text ? s->text : ""); /* gone when the callback returns */
    struct auth_answer a = {.verdict = s->verdict, .reason = ib_str(text)};
    if (s->verdict == AUTH_THROWN) {
        a.exception = (struct ib_span){(const uint8_t *)text, strlen(text)};
        a.exception_encoding = (struct iw_encoding){1, 1};
    }
    if (s->verdict == AUTH_FAILED) {
        (void)ib_err_set(&a.err, IB_EIO, "%s", text);
    }
    auth_check_finish(c, &a);
}

static int scripted_start(struct auth_verifier *v, struct auth_check *c, const struct auth_request *rq)
{
    struct script *s = script(v);
    s->asked++;
    (void)snprintf(s->heard, sizeof(s->heard), "%.*s/%.*s/%s/%s=%s", (int)rq->user.n, ib_cstr(rq->user),
                   (int)rq->password.n, ib_cstr(rq->password), rq->remote_host ? rq->remote_host : "",
                   rq->n_context ? ib_cstr(rq->context[0].key) : "",
                   rq->n_context ? ib_cstr(rq->context[0].value) : "");
    if (!s->silent && !s->refuses) {
        ic_loop_defer(v->loop, &c->later, answer, c);
    }
    return s->refuses ? IB_ENOMEM : 0;
}

static void scripted_cancel(struct auth_verifier *v, struct auth_check *c)
{
    (void)c;
    script(v)->cancelled++;
}

static int scripted_reload(struct auth_verifier *v, struct ib_log *log, struct ib_err *err)
{
    (void)log;
    script(v)->reloaded++;
    return script(v)->reload_code ? ib_err_set(err, script(v)->reload_code, "%s", script(v)->text) : 0;
}

static void scripted_free(struct auth_verifier *v)
{
    script(v)->freed++;
    free(v);
}

static const struct auth_verifier_ops ops = {
    .start = scripted_start, .cancel = scripted_cancel, .reload = scripted_reload, .free = scripted_free};

static struct auth_verifier *chain(struct fx *fx, struct script *scripts, size_t n)
{
    struct auth_verifier *list[AUTH_CHAIN_MAX];
    for (size_t i = 0; i < n; i++) {
        struct scripted *v = calloc(1, sizeof(*v));
        assert_non_null(v);
        auth_verifier_init(&v->base, &ops, fx->loop);
        v->s = &scripts[i];
        list[i] = &v->base;
    }
    struct auth_verifier *v = auth_verifier_new_chain(fx->loop, list, n);
    assert_non_null(v);
    return v;
}

/* --- tests -------------------------------------------------------------------------------------------------------- */

static int setup(void **state)
{
    return fx_setup(state, NULL);
}

#define YES                                                                                                            \
    {                                                                                                                  \
        .verdict = AUTH_ACCEPTED                                                                                       \
    }
#define NO(why)                                                                                                        \
    {                                                                                                                  \
        .verdict = AUTH_DENIED, .text = (why)                                                                          \
    }
#define THROW(what)                                                                                                    \
    {                                                                                                                  \
        .verdict = AUTH_THROWN, .text = (what)                                                                         \
    }
#define FAIL(why)                                                                                                      \
    {                                                                                                                  \
        .verdict = AUTH_FAILED, .text = (why)                                                                          \
    }

static void who_has_the_last_word(void **state)
{
    struct fx *fx = *state;
    const struct {
        struct script list[3];
        unsigned asked; /* how many of them */
        enum auth_verdict verdict;
        const char *reason, *exception, *err;
    } cases[] = {
        {{YES, NO("x"), NO("y")}, 1, AUTH_ACCEPTED, "", "", ""},
        {{NO("x"), YES, NO("y")}, 2, AUTH_ACCEPTED, "", "", ""},
        {{FAIL("e"), THROW("t"), YES}, 3, AUTH_ACCEPTED, "", "", "e"},
        {{NO("a"), NO("b"), NO("c")}, 3, AUTH_DENIED, "c", "", ""},
        {{NO("a"), NO("b"), NO("")}, 3, AUTH_DENIED, "", "", ""},
        {{NO("a"), FAIL("e"), FAIL("f")}, 3, AUTH_DENIED, "a", "", "e"},
        {{FAIL("e"), FAIL("f"), NO("a")}, 3, AUTH_DENIED, "a", "", "e"},
        {{FAIL("e"), FAIL("f"), FAIL("g")}, 3, AUTH_FAILED, "", "", "e"},
        {{NO("a"), NO("b"), THROW("t")}, 3, AUTH_THROWN, "t", "t", ""},
        {{NO("a"), THROW("t"), FAIL("e")}, 3, AUTH_THROWN, "t", "t", "e"},
        {{THROW("t"), NO("a"), FAIL("e")}, 3, AUTH_DENIED, "a", "", "e"},
        {{THROW("t"), THROW("longer"), THROW("u")}, 3, AUTH_THROWN, "u", "u", ""},
        {{{.refuses = true}, {.refuses = true}, YES}, 3, AUTH_ACCEPTED, "", "", "out of memory"},
        {{NO("a"), {.refuses = true}, {.refuses = true}}, 3, AUTH_DENIED, "a", "", "out of memory"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct script list[3];
        memcpy(list, cases[i].list, sizeof(list));
        struct auth_verifier *v = chain(fx, list, 3);
        const struct auth_request rq = {.user = IB_STR("alice"), .password = IB_STR("pw")};
        struct fx_verdict got = fx_ask(fx, v, &rq);
        if (got.verdict != cases[i].verdict || list[0].asked + list[1].asked + list[2].asked != cases[i].asked) {
            fail_msg("case %zu: verdict %d", i, (int)got.verdict);
        }
        assert_string_equal(got.reason, cases[i].reason);
        assert_string_equal(got.exception, cases[i].exception);
        assert_string_equal(got.err, cases[i].err);
        auth_verifier_free(v);
        assert_int_equal(list[0].freed + list[1].freed + list[2].freed, 3);
    }
}

/* The request's own strings are gone when the second is asked. */
static void everybody_hears_the_same(void **state)
{
    struct fx *fx = *state;
    struct script list[] = {NO("a"), YES};
    struct auth_verifier *v = chain(fx, list, 2);
    struct fx_verdict got = {0};
    char user[] = "alice", password[] = "secret", host[] = "192.0.2.7", key[] = "k", value[] = "v";
    const struct ir_context_entry context[] = {{ib_str(key), ib_str(value)}};
    const struct auth_request rq = {
        .user = ib_str(user), .password = ib_str(password), .remote_host = host, .context = context, .n_context = 1};
    assert_non_null(auth_verify(v, &rq, fx_on_verdict, &got));
    user[0] = password[0] = host[0] = key[0] = value[0] = '!';
    fx_wait(fx, &got.calls, 1);
    assert_int_equal(got.verdict, AUTH_ACCEPTED);
    assert_string_equal(list[0].heard, "alice/secret/192.0.2.7/k=v");
    assert_string_equal(list[1].heard, list[0].heard);
    auth_verifier_free(v);
}

static void cancelled_and_freed(void **state)
{
    struct fx *fx = *state;
    struct script list[] = {NO("a"), {.silent = true}};
    struct auth_verifier *v = chain(fx, list, 2);
    struct fx_verdict got = {0}, forgotten = {0};
    const struct auth_request rq = {.user = IB_STR("alice"), .password = IB_STR("pw")};
    struct auth_check *early = auth_verify(v, &rq, fx_on_verdict, &got);
    assert_non_null(early);
    auth_check_cancel(early); /* while the first is asked */
    struct auth_check *late = auth_verify(v, &rq, fx_on_verdict, &got);
    assert_non_null(late);
    while (list[1].asked == 0) {
        (void)ic_loop_run_once(fx->loop, 0);
    }
    auth_check_cancel(late); /* while the second is */
    assert_int_equal(list[1].cancelled, 1);
    assert_non_null(auth_verify(v, &rq, fx_on_verdict, &forgotten));
    while (list[1].asked == 1) {
        (void)ic_loop_run_once(fx->loop, 0);
    }
    auth_verifier_free(v);
    assert_int_equal(list[1].cancelled, 2);
    (void)ic_loop_run_once(fx->loop, 0);
    assert_int_equal(got.calls + forgotten.calls, 0);
}

static void nobody_can_be_asked(void **state)
{
    struct fx *fx = *state;
    struct script list[] = {{.refuses = true}, {.refuses = true}};
    struct auth_verifier *v = chain(fx, list, 2);
    struct fx_verdict got = {0};
    const struct auth_request rq = {.user = IB_STR("alice")};
    assert_null(auth_verify(v, &rq, fx_on_verdict, &got));
    assert_int_equal(got.calls, 0);
    auth_verifier_free(v);
}

static void reload_reaches_all(void **state)
{
    struct fx *fx = *state;
    struct script list[] = {{0}, {.reload_code = IB_EFILE, .text = "first"}, {.reload_code = IB_EIO, .text = "second"}};
    struct auth_verifier *v = chain(fx, list, 3);
    struct ib_err err = {0};
    assert_int_equal(auth_verifier_reload(v, NULL, &err), IB_EFILE);
    assert_string_equal(err.text, "first");
    assert_int_equal(list[0].reloaded + list[1].reloaded + list[2].reloaded, 3);
    auth_verifier_free(v);
}

int main(int argc, char **argv)
{
    FX_HELPER(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_has_the_last_word, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(everybody_hears_the_same, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(cancelled_and_freed, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(nobody_can_be_asked, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(reload_reaches_all, setup, fx_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
