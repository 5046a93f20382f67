/* SPDX-License-Identifier: Apache-2.0 */
/* Captured and malformed messages against a real adapter on loopback: the answers of ice-protocol 8, 10 and 11. */
#include "fixture.h"

static const char *const quiet[] = {"Ice.Warn.Dispatch=0", "Ice.AcceptClassCycles=1", NULL};

/* Name of a vector up to its first dot. */
static bool same_exchange(const char *a, const char *b)
{
    size_t n = strcspn(a, ".");
    return n == strcspn(b, ".") && strncmp(a, b, n) == 0;
}

static bool is(const json_t *v, const char *key, const char *value)
{
    const char *s = vec_text(v, key);
    return s && strcmp(s, value) == 0;
}

/* Explanations of status 5 are the server's own; status and id are not. */
static void assert_same_reply(const char *name, struct ib_span got, struct ib_span want)
{
    if (got.n >= 19 && want.n >= 19 && want.p[18] == 5) {
        assert_int_equal(got.p[18], 5);
        assert_memory_equal(got.p, want.p, 10);
        assert_memory_equal(got.p + 14, want.p + 14, 4);
        return;
    }
    vec_assert_same(name, got, want);
}

static void expect_replies(struct raw *r, const char *name, struct ib_span want)
{
    while (want.n) {
        size_t n = (size_t)want.p[10] | (size_t)want.p[11] << 8;
        struct ib_span got = raw_frame(r);
        assert_same_reply(name, got, (struct ib_span){want.p, n});
        vec_free(got);
        want.p += n;
        want.n -= n;
    }
}

static void test_captured(void **state)
{
    (void)state;
    struct fixture f;
    struct raw r;
    fixture_init(&f, quiet, quiet);
    raw_open(&r, &f);
    json_t *all = vec_load("messages.json"), *v;
    size_t i;
    unsigned n = 0;
    json_array_foreach(all, i, v)
    {
        const char *name = vec_text(v, "name");
        const json_t *next = json_array_get(all, i + 1);
        if (!is(v, "dir", "C>S") || !is(v, "type", "message") || !same_exchange(name, name) ||
            same_exchange(name, "bidir") || same_exchange(name, "close_client") ||
            same_exchange(name, "close_server") || same_exchange(name, "closing_with_dispatch"))
            continue;
        struct ib_span out = vec_bytes(v);
        raw_send(&r, out);
        vec_free(out);
        if (next && is(next, "dir", "S>C") && same_exchange(name, vec_text(next, "name"))) {
            struct ib_span want = vec_bytes(next);
            expect_replies(&r, name, want);
            vec_free(want);
        }
        n++;
    }
    print_message("%u captured requests answered\n", n);
    assert_true(n > 40);
    assert_int_equal(f.echo.pings, 5); /* noargs: twoway, oneway, two in a batch, compressed; 1.2 was refused */
    json_decref(all);
    raw_close(&r);
    fixture_fini(&f);
}

static void test_bidirectional(void **state)
{
    (void)state;
    struct fixture f;
    struct raw r;
    fixture_init(&f, quiet, quiet);
    raw_open(&r, &f);
    json_t *all = vec_load("messages.json"), *v;
    size_t i;
    unsigned n = 0;
    json_array_foreach(all, i, v)
    {
        if (!same_exchange(vec_text(v, "name"), "bidir"))
            continue;
        struct ib_span s = vec_bytes(v);
        if (is(v, "dir", "C>S"))
            raw_send(&r, s);
        else
            expect_replies(&r, vec_text(v, "name"), s);
        vec_free(s);
        n++;
    }
    assert_int_equal(n, 4);
    json_decref(all);
    raw_close(&r);
    fixture_fini(&f);
}

static void deactivate(void *arg)
{
    ir_adapter_deactivate(arg);
}

static void test_close_server(void **state)
{
    (void)state;
    struct fixture f;
    struct raw r;
    fixture_init(&f, quiet, quiet);
    f.echo.on_shutdown = deactivate;
    f.echo.arg = f.adapter;
    raw_open(&r, &f);
    raw_send_hex(&r,
                 "4963655001000100 00002c000000 02000000 036f626a 03636174 00 0873687574646f776e 00 00 060000000101");
    raw_expect(&r, "reply", "4963655001000100 020019000000 02000000 00 060000000101");
    raw_expect(&r, "close", HEX_CLOSE);
    raw_close(&r);
    fixture_fini(&f);
}

/* Captured: closing_with_dispatch, with a shorter sleep. */
static void test_closing_with_dispatch(void **state)
{
    (void)state;
    struct fixture f;
    struct raw r;
    fixture_init(&f, quiet, quiet);
    raw_open(&r, &f);
    raw_send_hex(&r,
                 "4963655001000100 00002c000000 01000000 016f 00 00 046563686f 00 00 0f0000000101 08736c656570302e33");
    for (int i = 0; i < 50 && ib_list_empty(&f.echo.sleepers); i++)
        raw_pump(&r);
    assert_false(ib_list_empty(&f.echo.sleepers));
    ir_adapter_deactivate(f.adapter);
    raw_send_hex(&r, "4963655001000100 000027000000 02000000 016f 00 00 086963655f70696e67 00 00 060000000101");
    raw_expect(&r, "reply", "4963655001000100 020022000000 01000000 00 0f0000000101 08736c656570302e33");
    raw_expect(&r, "close", HEX_CLOSE);
    raw_close(&r);
    fixture_fini(&f);
}

static void send_elided(struct raw *r)
{
    static const uint8_t head[] = {0x49, 0x63, 0x65, 0x50, 1, 0,   1, 0,   0,    0,    0,   0x28, 0,   0,
                                   1,    0,    0,    0,    1, 'o', 0, 0,   4,    'e',  'c', 'h',  'o', 0,
                                   0,    0xe3, 0x27, 0,    0, 1,   1, 255, 0xd8, 0x27, 0,   0};
    static uint8_t all[10240];
    memset(all, 'A', sizeof(all));
    memcpy(all, head, sizeof(head));
    raw_send(r, (struct ib_span){all, sizeof(all)});
}

static void malformed_row(struct fixture *f, const json_t *v)
{
    const char *name = vec_text(v, "name");
    const json_t *sent = json_object_get(v, "sent"), *one;
    struct raw r;
    size_t i;
    raw_open(&r, f);
    json_array_foreach(sent, i, one)
    {
        if (json_string_value(one)[0] == '(')
            send_elided(&r);
        else
            raw_send_hex(&r, json_string_value(one));
    }
    const char *reply = vec_text(v, "reply");
    if (reply && strstr(reply, "...")) {
        struct ib_span got = raw_frame(&r);
        assert_int_equal(got.n, 10230);
        assert_int_equal(got.p[18], 0);
        vec_free(got);
    } else if (reply && *reply) {
        struct ib_span want = vec_hex(reply);
        expect_replies(&r, name, want);
        vec_free(want);
    }
    if (is(v, "result", "connection closed by server")) {
        raw_expect_eof(&r, name);
    } else { /* it still works */
        raw_send_hex(&r, "4963655001000100 000027000000 63000000 016f 00 00 086963655f70696e67 00 00 060000000101");
        raw_expect(&r, name, "4963655001000100 020019000000 63000000 00 060000000101");
    }
    raw_close(&r);
}

static void test_malformed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, LINES("Ice.Warn.Dispatch=0", "Ice.MessageSizeMax=10"), quiet);
    json_t *all = vec_load("malformed.json"), *v;
    size_t i;
    unsigned n = 0;
    json_array_foreach(all, i, v)
    {
        malformed_row(&f, v);
        n++;
    }
    print_message("%u malformed inputs\n", n);
    assert_true(n > 30);
    json_decref(all);
    fixture_fini(&f);
}

/* More requests than may be in dispatch: the rest waits unread, nothing is lost, order stays. */
static void test_dispatch_limit(void **state)
{
    (void)state;
    enum { N = 2500 };
    struct fixture f;
    static struct raw r;
    fixture_init(&f, LINES("Moulin.MaxDispatches=1000"), quiet);
    raw_open(&r, &f);
    struct ib_span one = vec_hex("016f 00 00 046563686f 00 00 0f0000000101 08736c656570302e31");
    struct ib_buf b;
    ib_buf_init(&b);
    ib_buf_put(&b, "IceP\1\0\1\0\1\0\0\0\0\0", 14);
    ib_buf_put_i32(&b, N);
    for (int i = 0; i < N; i++)
        ib_buf_put(&b, one.p, one.n);
    ib_buf_set_i32(&b, 10, (int32_t)b.n);
    raw_send(&r, ib_buf_span(&b));
    raw_send_hex(&r, "4963655001000100 000027000000 63000000 016f 00 00 086963655f70696e67 00 00 060000000101");
    size_t most = 0;
    while (!raw_frame_size(&r) && !r.eof) {
        size_t n = 0;
        IB_LIST_FOREACH(s, &f.echo.sleepers) n++;
        most = n > most ? n : most;
        raw_pump(&r);
    }
    assert_int_equal(most, 1000);
    raw_expect(&r, "ping", "4963655001000100 020019000000 63000000 00 060000000101");
    vec_free(one);
    ib_buf_fini(&b);
    raw_close(&r);
    fixture_fini(&f);
}

/* Few requests that hold much memory stop the reading too. */
static void test_dispatch_bytes(void **state)
{
    (void)state;
    enum { N = 60, TEXT = 1000000 };
    struct fixture f;
    static struct raw r;
    fixture_init(&f, quiet, quiet);
    raw_open(&r, &f);
    struct ib_buf b;
    ib_buf_init(&b);
    ib_buf_put(&b, "IceP\1\0\1\0\0\0\0\0\0\0\0\0\0\0\1o\0\0\4echo\0\0", 29);
    ib_buf_put_i32(&b, 6 + 5 + TEXT);
    ib_buf_put(&b, "\1\1\377", 3);
    ib_buf_put_i32(&b, TEXT);
    size_t at = b.n;
    memset(ib_buf_grow(&b, TEXT), ' ', TEXT);
    memcpy(b.p + at, "sleep0.2", 8);
    ib_buf_set_i32(&b, 10, (int32_t)b.n);
    for (int i = 0; i < N; i++)
        raw_send(&r, ib_buf_span(&b));
    raw_send_hex(&r, "4963655001000100 000027000000 63000000 016f 00 00 086963655f70696e67 00 00 060000000101");
    size_t most = 0;
    while (!raw_frame_size(&r) && !r.eof) {
        size_t n = 0;
        IB_LIST_FOREACH(s, &f.echo.sleepers)
        {
            n++;
        }
        most = n > most ? n : most;
        raw_pump(&r);
    }
    assert_in_range(most, 1, 34); /* 32 MiB */
    raw_expect(&r, "ping", "4963655001000100 020019000000 63000000 00 060000000101");
    ib_buf_fini(&b);
    raw_close(&r);
    fixture_fini(&f);
}

/* The connection goes while a request is being dispatched: its handler learns and answers into nothing. */
static void cancelled(void *arg, struct ir_request *rq)
{
    assert_null(ir_request_conn(rq));
    *(bool *)arg = true;
}

struct keeper {
    struct ir_request *rq;
    bool cancelled;
};

static void keep(void *self, struct ir_request *rq)
{
    struct keeper *k = self;
    k->rq = rq;
    ir_request_on_cancel(rq, cancelled, &k->cancelled);
}

static void test_cancel(void **state)
{
    (void)state;
    struct fixture f;
    struct raw r;
    struct keeper k = {0};
    struct ir_servant s = {.raw = keep, .self = &k};
    struct iw_identity id = {IB_STR("o"), IB_STR("")};
    fixture_init(&f, quiet, quiet);
    ir_adapter_remove(f.adapter, &id, "");
    assert_int_equal(ir_adapter_set_default(f.adapter, IB_STR(""), &s), 0);
    raw_open(&r, &f);
    raw_send_hex(&r, "4963655001000100 000027000000 63000000 016f 00 00 086963655f70696e67 00 00 060000000101");
    while (!k.rq)
        raw_pump(&r);
    assert_true(ib_str_eq(ir_request_info(k.rq)->operation, IB_STR("ice_ping")));
    raw_close(&r);
    wait_for(f.loop, &k.cancelled);
    ir_request_reply_raw(k.rq, IR_OK, (struct ib_span){(const uint8_t *)"\6\0\0\0\1\1", 6}, NULL);
    fixture_fini(&f);
}

/* Answers after adapter and runtime are gone. */
static void test_late_answer(void **state)
{
    (void)state;
    struct fixture f;
    struct raw r;
    struct keeper k = {0};
    struct ir_servant s = {.raw = keep, .self = &k};
    fixture_init(&f, quiet, quiet);
    assert_int_equal(ir_adapter_set_default(f.adapter, IB_STR("x"), &s), 0);
    raw_open(&r, &f);
    raw_send_hex(&r, "4963655001000100 000028000000 63000000 016f 0178 00 086963655f70696e67 00 00 060000000101");
    while (!k.rq)
        raw_pump(&r);
    fixture_fini(&f);
    assert_true(k.cancelled);
    assert_null(ir_request_adapter(k.rq));
    ir_request_fail_local(k.rq, IB_EDESTROYED, "late");
    raw_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_captured),       cmocka_unit_test(test_bidirectional),
        cmocka_unit_test(test_close_server),   cmocka_unit_test(test_closing_with_dispatch),
        cmocka_unit_test(test_malformed),      cmocka_unit_test(test_dispatch_limit),
        cmocka_unit_test(test_dispatch_bytes), cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_late_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
