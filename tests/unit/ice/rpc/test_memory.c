/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that runs out: every allocation of a scenario fails once. Whatever was asked ends, nothing leaks or crashes,
   and the same runtimes work afterwards. Linked with malloc, calloc, realloc, strdup and strndup wrapped
   (tests/CMakeLists.txt). */
#include "fixture.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);

static long countdown = -1; /* allocations until one fails; -1 = none does */
static bool failed;

static bool fail_now(void)
{
    if (countdown < 0 || countdown-- > 0)
        return false;
    failed = true;
    return true;
}

void *__wrap_malloc(size_t n)
{
    return fail_now() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fail_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return fail_now() ? NULL : __real_realloc(p, n);
}

char *__wrap_strdup(const char *s)
{
    return fail_now() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n)
{
    return fail_now() ? NULL : __real_strndup(s, n);
}

static const char *const none[] = {"Ice.Warn.Dispatch=0", NULL};

/* --- calls ---------------------------------------------------------------------------------------------------- */

enum { CALLS = 6 };

static void make_calls(struct fixture *f, const struct iw_proxy *p, const struct iw_proxy *slow, struct outcome *o)
{
    struct Vec_I_add_in add = {.a = 1, .b = 2};
    o[0].call = Vec_I_add_call(f->client, p, NULL, &add, on_outcome, &o[0]);
    o[1].call = Vec_I_ex2_call(f->client, p, NULL, NULL, on_outcome, &o[1]);
    o[2].call = Vec_I_echo_call(f->client, slow, &(struct ir_call_options){.timeout_ms = 5000},
                                &(struct Vec_I_echo_in){.s = IB_STR("sleep0.001")}, on_outcome, &o[2]);
    o[3].call = ir_call(f->client, p, &ir_op_ice_ids, NULL, NULL, on_outcome, &o[3]);
    o[4].call = ir_connect(f->client, slow, NULL, on_outcome, &o[4]);
    struct ir_raw_request rq = {
        .id = p->id, .operation = IB_STR("noargs"), .params = {(const uint8_t *)"\6\0\0\0\1\1", 6}};
    o[5].call = ir_call_raw(f->client, p, &rq, NULL, on_outcome, &o[5]);
}

static bool calls_once(long k)
{
    struct fixture f;
    struct outcome o[CALLS] = {0};
    char text[80];
    fixture_init(&f, none, none);
    struct iw_proxy *p = echo_proxy(&f);
    snprintf(text, sizeof(text), "o:tcp -h 127.0.0.1 -p %d -t 7000", adapter_port(f.adapter));
    struct iw_proxy *slow = proxy_of(&f, f.client, text);
    failed = false;
    countdown = k;
    make_calls(&f, p, slow, o);
    for (int i = 0; i < CALLS; i++) {
        if (o[i].call)
            wait_for(f.loop, &o[i].done);
    }
    countdown = -1;
    struct outcome after = {0};
    Vec_I_add_call(f.client, p, NULL, &(struct Vec_I_add_in){.a = 1, .b = 2}, on_outcome, &after);
    wait_for(f.loop, &after.done);
    assert_int_equal(after.number, 3);
    fixture_fini(&f);
    return failed;
}

static void test_calls(void **state)
{
    (void)state;
    long k = 0;
    while (calls_once(k))
        k++;
    print_message("%ld allocations failed in turn\n", k);
    assert_true(k > 50);
}

/* --- requests from a socket ----------------------------------------------------------------------------------- */

static bool requests_once(long k)
{
    static struct raw r;
    struct fixture f;
    fixture_init(&f, none, none);
    struct ib_span ping =
        vec_hex("4963655001000100 000027000000 63000000 016f 00 00 086963655f70696e67 00 00 060000000101");
    struct ib_span batch =
        vec_hex("496365500100010001003800000002000000016f0000066e6f617267730000060000000101016f0000066e6f6172"
                "67730000060000000101");
    failed = false;
    countdown = k;
    raw_connect(&r, f.loop, adapter_port(f.adapter));
    raw_send(&r, ping);
    raw_send(&r, batch);
    raw_send(&r, ping);
    for (int64_t end = ib_clock_ms() + WAIT_MS; !r.eof && r.n < 14 + 2 * 25;) {
        if (ib_clock_ms() > end)
            fail_msg("neither an answer nor the end came");
        raw_pump(&r);
    }
    countdown = -1;
    close(r.fd);
    raw_open(&r, &f);
    raw_send(&r, ping);
    raw_expect(&r, "afterwards", "4963655001000100 020019000000 63000000 00 060000000101");
    close(r.fd);
    vec_free(ping);
    vec_free(batch);
    fixture_fini(&f);
    return failed;
}

static void test_requests(void **state)
{
    (void)state;
    long k = 0;
    while (requests_once(k))
        k++;
    print_message("%ld allocations failed in turn\n", k);
    assert_true(k > 10);
}

/* --- making runtimes and adapters ----------------------------------------------------------------------------- */

static bool make_once(long k, const struct types *types, struct ic_loop *loop)
{
    static const char *const lines[] = {"A.Endpoints=tcp -h 127.0.0.1:tcp -h \"*\"", "Ice.RetryIntervals=0 10",
                                        "A.AdapterId=x", "Ice.Default.Locator=IceGrid/Locator:tcp -h 127.0.0.1 -p 1",
                                        "Ice.Default.Router=Glacier2/router:tcp -h 127.0.0.1 -p 1"};
    struct ib_err err = {0};
    struct ir_properties *p = ir_properties_new();
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_int_equal(ir_properties_parse_line(p, lines[i], "test"), 0);
    failed = false;
    countdown = k;
    struct ir_runtime *rt = ir_runtime_new(loop, p, &types->reg, &err);
    struct ir_adapter *a = rt ? ir_adapter_new(rt, "A", &err) : NULL;
    countdown = -1;
    if (!a)
        assert_true(failed && err.code != 0);
    ir_adapter_free(a);
    ir_runtime_free(rt);
    if (!rt)
        ir_properties_free(p);
    return failed;
}

static void test_making(void **state)
{
    (void)state;
    struct types types;
    struct ib_err err;
    types_init(&types);
    struct ic_loop *loop = ic_loop_new(&err);
    long k = 0;
    while (make_once(k, &types, loop))
        k++;
    print_message("%ld allocations failed in turn\n", k);
    assert_true(k > 20);
    ic_loop_run_once(loop, 0);
    ic_loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_making),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
