/* SPDX-License-Identifier: Apache-2.0 */
/* Outgoing calls against servers in this process and sockets that misbehave: results, sharing, failover, the retry
   counts of ice-protocol 17.3, deadlines, cancellation, shutdown. */
#include "fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static const char *const none[] = {"Ice.Warn.Dispatch=0", NULL};

static void call_add(struct fixture *f, const struct iw_proxy *p, const struct ir_call_options *opt, struct outcome *o)
{
    *o = (struct outcome){0};
    o->call = Vec_I_add_call(f->client, p, opt, &(struct Vec_I_add_in){.a = 20, .b = 22}, on_outcome, o);
    assert_non_null(o->call);
    assert_false(o->done); /* never before the call returns */
}

static void call_echo(struct fixture *f, const struct iw_proxy *p, const struct ir_call_options *opt, const char *text,
                      struct outcome *o)
{
    *o = (struct outcome){0};
    o->call = Vec_I_echo_call(f->client, p, opt, &(struct Vec_I_echo_in){.s = ib_str(text)}, on_outcome, o);
    assert_non_null(o->call);
}

static void expect_42(struct fixture *f, const struct iw_proxy *p)
{
    struct outcome o;
    call_add(f, p, NULL, &o);
    wait_for(f->loop, &o.done);
    if (o.outcome != IR_SUCCESS)
        fail_msg("%s", o.text);
    assert_int_equal(o.number, 42);
}

static void test_results(void **state)
{
    (void)state;
    struct fixture f;
    struct outcome o = {0};
    fixture_init(&f, none, none);
    struct iw_proxy *p = echo_proxy(&f);
    expect_42(&f, p);
    Vec_I_ex2_call(f.client, p, NULL, NULL, on_outcome, &o);
    wait_for(f.loop, &o.done);
    assert_int_equal(o.outcome, IR_THROWN);
    assert_string_equal(o.type, "::Vec::E2");
    assert_string_equal(o.text, "::Vec::E2: why");
    o = (struct outcome){0};
    Vec_I_exUndeclared_call(f.client, p, NULL, NULL, on_outcome, &o);
    wait_for(f.loop, &o.done);
    assert_int_equal(o.outcome, IR_THROWN);
    assert_string_equal(o.type, "");
    o = (struct outcome){0};
    Vec_I_exUnknown_call(f.client, p, NULL, NULL, on_outcome, &o);
    wait_for(f.loop, &o.done);
    assert_int_equal(o.outcome, IR_FAILED_STATUS);
    assert_int_equal(o.status, IR_UNKNOWN);
    p = ir_proxy_with_facet(p, "no", &f.arena);
    o = (struct outcome){0};
    Vec_I_noargs_call(f.client, p, NULL, NULL, on_outcome, &o);
    wait_for(f.loop, &o.done);
    assert_int_equal(o.status, IR_FACET_NOT_EXIST);
    fixture_fini(&f);
}

/* --- a server that misbehaves --------------------------------------------------------------------------------- */

enum manners { DROP, CLOSE, SILENT, MUTE };

struct bad {
    int fd, port;
    enum manners manners;
    int conn;
    bool validated;
    unsigned requests, connections;
};

static void bad_init(struct bad *b, enum manners m)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t n = sizeof(a);
    *b = (struct bad){.manners = m, .conn = -1};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    b->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(b->fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(b->fd, 5), 0);
    assert_int_equal(getsockname(b->fd, (struct sockaddr *)&a, &n), 0);
    b->port = ntohs(a.sin_port);
}

static void bad_fini(struct bad *b)
{
    close(b->fd);
    if (b->conn >= 0)
        close(b->conn);
}

static void bad_send(struct bad *b, const char *hex)
{
    struct ib_span s = vec_hex(hex);
    assert_int_equal(send(b->conn, s.p, s.n, MSG_NOSIGNAL), s.n);
    vec_free(s);
}

static void bad_step(struct bad *b)
{
    uint8_t in[4096];
    if (b->conn < 0) {
        b->conn = accept(b->fd, NULL, NULL);
        if (b->conn < 0)
            return;
        b->connections++;
        if (b->manners != SILENT)
            bad_send(b, HEX_VALIDATE);
    }
    ssize_t n = recv(b->conn, in, sizeof(in), MSG_DONTWAIT);
    if (n > 0 && in[8] == 0)
        b->requests++;
    if (n > 0 && b->manners == CLOSE && in[8] == 0)
        bad_send(b, HEX_CLOSE);
    if (n == 0 || (n > 0 && b->manners == DROP)) {
        close(b->conn);
        b->conn = -1;
    }
}

static struct iw_proxy *bad_proxy(struct fixture *f, const struct bad *b)
{
    char text[80];
    snprintf(text, sizeof(text), "cat/obj:tcp -h 127.0.0.1 -p %d", b->port);
    return proxy_of(f, f->client, text);
}

static void wait_bad(struct fixture *f, struct bad *b, const bool *flag)
{
    for (int64_t end = ib_clock_ms() + WAIT_MS; !*flag;) {
        if (ib_clock_ms() > end)
            fail_msg("waited too long");
        bad_step(b);
        ic_loop_run_once(f->loop, 2);
    }
}

/* --- retry (17.3) --------------------------------------------------------------------------------------------- */

static void attempts(const char *intervals, enum manners m, bool idempotent, unsigned want, int64_t want_ms)
{
    struct fixture f;
    struct bad b;
    struct outcome o = {0};
    fixture_init(&f, none, LINES(intervals));
    bad_init(&b, m);
    int64_t start = ib_clock_ms();
    struct iw_proxy *p = bad_proxy(&f, &b);
    if (idempotent)
        ir_call(f.client, p, &ir_op_ice_ping, NULL, NULL, on_outcome, &o);
    else
        call_add(&f, p, NULL, &o);
    wait_bad(&f, &b, &o.done);
    assert_int_equal(o.outcome, IR_FAILED_LOCAL);
    assert_int_equal(o.code, m == CLOSE ? IB_ECLOSED : IB_ELOST);
    assert_int_equal(b.requests, want);
    assert_true(ib_clock_ms() - start >= want_ms);
    bad_fini(&b);
    fixture_fini(&f);
}

static void test_retry_counts(void **state)
{
    (void)state;
    attempts("Ice.RetryIntervals=0", DROP, true, 2, 0);
    attempts("Ice.RetryIntervals=0", DROP, false, 1, 0);
    attempts("Ice.RetryIntervals=0", CLOSE, true, 3, 0);
    attempts("Ice.RetryIntervals=0", CLOSE, false, 3, 0);
    attempts("Ice.RetryIntervals=0 100 200", DROP, true, 4, 300);
    attempts("Ice.RetryIntervals=-1", DROP, true, 1, 0);
}

static void nothing(void *arg, struct ir_conn *c)
{
    (void)arg;
    (void)c;
}

static unsigned asked;

static void always_unknown(void *self, struct ir_request *rq)
{
    (void)self;
    asked++;
    ir_request_fail(rq, IR_UNKNOWN, "always");
}

static void test_retry_status(void **state)
{
    (void)state;
    struct fixture f;
    struct outcome o = {0};
    struct ir_servant s = {.raw = always_unknown};
    fixture_init(&f, none, none);
    struct iw_identity id = {IB_STR("x"), IB_STR("")};
    assert_int_equal(ir_adapter_add(f.adapter, &id, "", &s), 0);
    struct iw_proxy *p = ir_proxy_with_identity(echo_proxy(&f), &id, &f.arena);
    asked = 0;
    ir_call(f.client, p, &ir_op_ice_ping, NULL, NULL, on_outcome, &o);
    wait_for(f.loop, &o.done);
    assert_int_equal(asked, 2); /* a failing idempotent operation is dispatched twice */
    assert_int_equal(ir_adapter_each_conn(f.adapter, nothing, NULL), 1);
    call_add(&f, p, NULL, &o);
    wait_for(f.loop, &o.done);
    assert_int_equal(asked, 3);
    assert_int_equal(o.status, IR_UNKNOWN);
    fixture_fini(&f);
}

/* --- connections (17.1, 17.2) --------------------------------------------------------------------------------- */

static void test_failover(void **state)
{
    (void)state;
    struct fixture f;
    struct outcome o;
    struct bad b;
    char text[160];
    fixture_init(&f, none, LINES("Ice.Default.EndpointSelection=Ordered"));
    bad_init(&b, DROP);
    bad_fini(&b); /* its port refuses now */
    snprintf(text, sizeof(text), "cat/obj:tcp -h 127.0.0.1 -p %d:tcp -h 127.0.0.1 -p %d", b.port,
             adapter_port(f.adapter));
    expect_42(&f, proxy_of(&f, f.client, text));
    call_add(&f, bad_proxy(&f, &b), NULL, &o);
    wait_for(f.loop, &o.done);
    assert_int_equal(o.code, IB_EREFUSED);
    fixture_fini(&f);
}

static void test_sharing(void **state)
{
    (void)state;
    enum { N = 10 };
    struct fixture f;
    struct outcome o[N];
    char text[100];
    fixture_init(&f, none, none);
    struct iw_proxy *p = echo_proxy(&f);
    for (int i = 0; i < N; i++)
        call_add(&f, p, NULL, &o[i]);
    for (int i = 0; i < N; i++) {
        wait_for(f.loop, &o[i].done);
        assert_int_equal(o[i].number, 42);
    }
    assert_int_equal(ir_adapter_each_conn(f.adapter, nothing, NULL), 1);
    snprintf(text, sizeof(text), "o:tcp -h 127.0.0.1 -p %d -z", adapter_port(f.adapter));
    expect_42(&f, proxy_of(&f, f.client, text)); /* compression does not make it another endpoint */
    assert_int_equal(ir_adapter_each_conn(f.adapter, nothing, NULL), 1);
    snprintf(text, sizeof(text), "o:tcp -h 127.0.0.1 -p %d -t 5000", adapter_port(f.adapter));
    expect_42(&f, proxy_of(&f, f.client, text)); /* another timeout does */
    assert_int_equal(ir_adapter_each_conn(f.adapter, nothing, NULL), 2);
    fixture_fini(&f);
}

struct guard {
    unsigned asked, refused_class;
    bool in_process;
    char address[INET6_ADDRSTRLEN];
};

static bool guard(void *arg, unsigned class, const struct iw_endpoint *ep, const struct sockaddr *sa)
{
    struct guard *g = arg;
    struct sockaddr_in v4 = {0};
    g->asked++;
    g->in_process = !sa;
    assert_true(ep->port > 0 && ep->type == IW_EP_TCP);
    if (sa && sa->sa_family == AF_INET) {
        memcpy(&v4, sa, sizeof(v4));
        assert_non_null(inet_ntop(AF_INET, &v4.sin_addr, g->address, sizeof(g->address)));
    }
    return class != g->refused_class;
}

/* Calls of a guarded class ask before they connect, and share no connection with others. */
static void test_guard(void **state)
{
    (void)state;
    struct fixture f;
    struct outcome o;
    struct guard g = {.refused_class = 2};
    struct ir_call_options allowed = {.guard = 1}, refused = {.guard = 2};
    char text[100];
    fixture_init(&f, none, none);
    ir_runtime_set_guard(f.client, guard, &g);
    snprintf(text, sizeof(text), "cat/obj:tcp -h localhost -p %d", adapter_port(f.adapter));
    struct iw_proxy *name = proxy_of(&f, f.client, text), *here = echo_proxy(&f);
    expect_42(&f, name);
    expect_42(&f, here);
    assert_int_equal(g.asked, 0);
    call_add(&f, name, &refused, &o);
    wait_for(f.loop, &o.done);
    assert_int_equal(o.code, IB_EREFUSED);
    assert_true(g.asked > 0 && !g.in_process);
    assert_string_equal(g.address, "127.0.0.1");
    call_add(&f, here, &refused, &o);
    wait_for(f.loop, &o.done);
    assert_int_equal(o.code, IB_EREFUSED);
    assert_true(g.in_process);
    size_t before = ir_adapter_each_conn(f.adapter, nothing, NULL);
    for (int i = 0; i < 2; i++) {
        call_add(&f, name, &allowed, &o);
        wait_for(f.loop, &o.done);
        assert_int_equal(o.number, 42);
    }
    assert_int_equal(ir_adapter_each_conn(f.adapter, nothing, NULL), before + 1);
    fixture_fini(&f);
}

static void test_no_endpoint(void **state)
{
    (void)state;
    struct fixture f;
    struct outcome o;
    fixture_init(&f, none, none);
    call_add(&f, proxy_of(&f, f.client, "nobody"), NULL, &o);
    wait_for(f.loop, &o.done);
    assert_int_equal(o.code, IB_ENOENDPOINT);
    struct iw_proxy *p = echo_proxy(&f);
    p->secure = true;
    call_add(&f, p, NULL, &o);
    wait_for(f.loop, &o.done);
    assert_int_equal(o.code, IB_ENOENDPOINT);
    p->secure = false;
    p->encoding.major = 2;
    call_add(&f, p, NULL, &o);
    wait_for(f.loop, &o.done);
    assert_int_equal(o.code, IB_EENCODING);
    fixture_fini(&f);
}

static void test_variants(void **state)
{
    (void)state;
    struct fixture f;
    struct outcome o;
    char big[2000];
    fixture_init(&f, none, none);
    struct iw_proxy *p = echo_proxy(&f);
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = 0;
    call_echo(&f, p, &(struct ir_call_options){.compress = 1}, big, &o);
    wait_for(f.loop, &o.done);
    assert_int_equal(strlen(o.text), sizeof(o.text) - 1);
    p->encoding = IW_ENCODING_1_0;
    expect_42(&f, p);
    call_add(&f, p, &(struct ir_call_options){.oneway = true}, &o);
    wait_for(f.loop, &o.done);
    assert_int_equal(o.outcome, IR_SUCCESS);
    struct iw_proxy *out = p;
    struct ir_raw_request rq = {
        .id = out->id, .operation = IB_STR("add"), .params = {(const uint8_t *)"\x0e\0\0\0\1\1\1\0\0\0\2\0\0\0", 14}};
    o = (struct outcome){0};
    ir_call_raw(f.client, out, &rq, NULL, on_outcome, &o);
    wait_for(f.loop, &o.done);
    assert_int_equal(o.outcome, IR_SUCCESS);
    fixture_fini(&f);
}

/* The us of the quickest of five calls. */
static int64_t call_us(struct fixture *f, struct iw_proxy *p, bool unhurried)
{
    int64_t least = INT64_MAX;
    for (int i = 0; i < 5; i++) {
        struct outcome o;
        int64_t start = ib_clock_us();
        call_add(f, p, &(struct ir_call_options){.unhurried = unhurried}, &o);
        wait_for(f->loop, &o.done);
        assert_int_equal(o.outcome, IR_SUCCESS);
        ic_loop_run_once(f->loop, 0); /* the pause, if there is one, is the end of the reply's round */
        int64_t us = ib_clock_us() - start;
        least = us < least ? us : least;
    }
    return least;
}

/* Replies nobody waits for are gathered as oneways are; others are not. */
static void test_unhurried(void **state)
{
    (void)state;
    struct fixture f;
    const char *const lines[] = {"Moulin.OnewayPause=10000", NULL};
    fixture_init(&f, lines, lines);
    struct iw_proxy *p = echo_proxy(&f);
    expect_42(&f, p);
    assert_in_range(call_us(&f, p, false), 0, 9999);
    (void)call_us(&f, p, true);
    assert_true(call_us(&f, p, true) >= 10000);
    fixture_fini(&f);
}

/* --- deadlines, cancelling ------------------------------------------------------------------------------------- */

static void test_deadlines(void **state)
{
    (void)state;
    struct fixture f;
    struct outcome o;
    struct bad b;
    fixture_init(&f, none, none);
    struct iw_proxy *p = echo_proxy(&f);
    expect_42(&f, p);
    call_echo(&f, p, &(struct ir_call_options){.timeout_ms = 50}, "sleep0.2", &o);
    wait_for(f.loop, &o.done);
    assert_int_equal(o.code, IB_EINVTIMEOUT);
    expect_42(&f, p);
    while (!ib_list_empty(&f.echo.sleepers))
        ic_loop_run_once(f.loop, 20);
    expect_42(&f, p); /* the late reply was ignored, on the same connection */
    assert_int_equal(ir_adapter_each_conn(f.adapter, nothing, NULL), 1);
    bad_init(&b, SILENT);
    call_add(&f, bad_proxy(&f, &b), &(struct ir_call_options){.connect_timeout_ms = 80}, &o);
    wait_bad(&f, &b, &o.done);
    assert_int_equal(o.code, IB_ECONNECTTIMEOUT);
    call_add(&f, bad_proxy(&f, &b), &(struct ir_call_options){.timeout_ms = 80}, &o);
    wait_bad(&f, &b, &o.done);
    assert_int_equal(o.code, IB_EINVTIMEOUT);
    bad_fini(&b);
    fixture_fini(&f);
}

static void test_connection_timeout(void **state)
{
    (void)state;
    struct fixture f;
    struct outcome o;
    struct bad b;
    char text[80];
    fixture_init(&f, none, LINES("Ice.Default.InvocationTimeout=-2"));
    bad_init(&b, MUTE);
    snprintf(text, sizeof(text), "o:tcp -h 127.0.0.1 -p %d -t 100", b.port);
    call_add(&f, proxy_of(&f, f.client, text), NULL, &o);
    wait_bad(&f, &b, &o.done);
    assert_int_equal(o.code, IB_EACMTIMEOUT);
    bad_fini(&b);
    fixture_fini(&f);
}

static void test_cancel(void **state)
{
    (void)state;
    struct fixture f;
    struct outcome o;
    fixture_init(&f, none, none);
    struct iw_proxy *p = echo_proxy(&f);
    call_add(&f, p, NULL, &o); /* connecting */
    ir_call_cancel(o.call);
    expect_42(&f, p);
    call_echo(&f, p, NULL, "sleep0.1", &o); /* sent */
    while (ib_list_empty(&f.echo.sleepers))
        ic_loop_run_once(f.loop, 20);
    ir_call_cancel(o.call);
    while (!ib_list_empty(&f.echo.sleepers))
        ic_loop_run_once(f.loop, 20);
    expect_42(&f, p);
    assert_false(o.done);
    call_add(&f, proxy_of(&f, f.client, "nobody"), NULL, &o); /* done, callback queued */
    ir_call_cancel(o.call);
    run_for(f.loop, 20);
    assert_false(o.done);
    fixture_fini(&f);
}

/* --- fixed and bidirectional ---------------------------------------------------------------------------------- */

static void hello(void *self, struct ir_request *rq, const struct Vec_CB_hello_in *in)
{
    assert_string_equal(in->text.p, "callback");
    *(bool *)self = true;
    Vec_CB_hello_reply(rq, NULL);
}

static void closed(struct ir_conn_hook *h, struct ir_conn *c, const struct ib_err *why)
{
    (void)c;
    (void)why;
    h->fn = NULL;
}

static void test_bidirectional(void **state)
{
    (void)state;
    struct fixture f;
    struct outcome o = {0};
    struct ib_err err;
    bool called = false;
    static const struct Vec_CB_servant cb = {.hello = hello};
    struct ir_servant s = {.iface = &Vec_CB_iface, .vtable = &cb, .self = &called};
    struct ir_conn_hook hook = {.fn = closed};
    fixture_init(&f, none, none);
    struct iw_proxy *p = echo_proxy(&f);
    struct ir_adapter *a = ir_adapter_new(f.client, "", &err);
    struct iw_identity id = {IB_STR("cb"), IB_STR("")};
    assert_int_equal(ir_adapter_add(a, &id, "", &s), 0);
    assert_non_null(ir_connect(f.client, p, NULL, on_outcome, &o));
    wait_for(f.loop, &o.done);
    assert_non_null(o.conn);
    ir_conn_on_close(o.conn, &hook);
    struct ir_conn *conn = o.conn;
    struct ir_call_options fixed = {.conn = conn};
    struct Vec_I_addCb_in in = {.cb = ir_adapter_proxy(a, &id, &f.arena)};
    assert_int_equal(in.cb->n_endpoints, 0);
    o = (struct outcome){0};
    Vec_I_addCb_call(f.client, p, &fixed, &in, on_outcome, &o);
    wait_for(f.loop, &o.done);
    assert_int_equal(o.outcome, IR_FAILED_STATUS); /* no adapter: ObjectNotExist, which the servant reports */
    assert_false(called);
    ir_conn_set_adapter(conn, a);
    o = (struct outcome){0};
    Vec_I_addCb_call(f.client, p, &fixed, &in, on_outcome, &o);
    wait_for(f.loop, &o.done);
    assert_int_equal(o.outcome, IR_SUCCESS);
    assert_true(called);
    call_echo(&f, p, &fixed, "sleep0.3", &o);
    while (ib_list_empty(&f.echo.sleepers))
        ic_loop_run_once(f.loop, 20);
    ir_conn_close(conn, true);
    wait_for(f.loop, &o.done);
    assert_int_equal(o.code, IB_ECLOSEDLOCAL);
    assert_null(hook.fn);
    ir_adapter_free(a);
    fixture_fini(&f);
}

/* --- the end -------------------------------------------------------------------------------------------------- */

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

static void test_shutdown(void **state)
{
    (void)state;
    struct fixture f;
    struct outcome slow;
    bool done = false;
    fixture_init(&f, LINES("Ice.Override.CloseTimeout=5000"), none);
    call_echo(&f, echo_proxy(&f), NULL, "sleep0.2", &slow);
    while (ib_list_empty(&f.echo.sleepers))
        ic_loop_run_once(f.loop, 20);
    ir_runtime_shutdown(f.server, set_flag, &done);
    wait_for(f.loop, &done);
    assert_true(slow.done); /* what was in dispatch was answered first */
    assert_int_equal(slow.outcome, IR_SUCCESS);
    fixture_fini(&f);
}

static void test_shutdown_bounded(void **state)
{
    (void)state;
    struct fixture f;
    struct outcome slow;
    bool done = false;
    fixture_init(&f, LINES("Ice.Override.CloseTimeout=200"), LINES("Ice.RetryIntervals=-1"));
    call_echo(&f, echo_proxy(&f), NULL, "sleep60", &slow);
    while (ib_list_empty(&f.echo.sleepers))
        ic_loop_run_once(f.loop, 20);
    int64_t start = ib_clock_ms();
    ir_runtime_shutdown(f.server, set_flag, &done);
    wait_for(f.loop, &done);
    assert_true(ib_clock_ms() - start < 3000);
    wait_for(f.loop, &slow.done);
    assert_int_equal(slow.outcome, IR_FAILED_LOCAL);
    fixture_fini(&f);
}

static void test_free_with_calls(void **state)
{
    (void)state;
    struct fixture f;
    struct outcome a, b;
    fixture_init(&f, none, none);
    expect_42(&f, echo_proxy(&f));
    call_echo(&f, echo_proxy(&f), NULL, "sleep60", &a);
    while (ib_list_empty(&f.echo.sleepers))
        ic_loop_run_once(f.loop, 20);
    call_add(&f, proxy_of(&f, f.client, "o:tcp -h 127.0.0.1 -p 1"), NULL, &b);
    fixture_fini(&f);
    assert_true(a.done && b.done);
    assert_int_equal(a.code, IB_EDESTROYED);
    assert_int_equal(b.code, IB_EDESTROYED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results),         cmocka_unit_test(test_retry_counts),
        cmocka_unit_test(test_retry_status),    cmocka_unit_test(test_failover),
        cmocka_unit_test(test_sharing),         cmocka_unit_test(test_guard),
        cmocka_unit_test(test_no_endpoint),     cmocka_unit_test(test_variants),
        cmocka_unit_test(test_deadlines),       cmocka_unit_test(test_connection_timeout),
        cmocka_unit_test(test_cancel),          cmocka_unit_test(test_bidirectional),
        cmocka_unit_test(test_shutdown),        cmocka_unit_test(test_shutdown_bounded),
        cmocka_unit_test(test_free_with_calls), cmocka_unit_test(test_unhurried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
