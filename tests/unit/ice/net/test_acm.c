/* SPDX-License-Identifier: Apache-2.0 */
/* Heartbeats and active connection management (ice-protocol 9.4), with the shortest timeout there is: one second. */
#include "net_fixture.h"

static void open_acm(struct fx *fx, struct ic_acm server, struct ic_acm client)
{
    fx_init(fx);
    fx->server_cfg.acm = server;
    fx->client_cfg.acm = client;
    fx->server.echo = false;
    fx_listen(fx, IW_EP_TCP, "");
    fx_connect(fx, "127.0.0.1");
    FX_UNTIL(fx, fx->client.active && fx->server.active);
}

static const struct ic_acm off = {0};

static void idle_close(void **state)
{
    (void)state;
    struct fx fx;
    open_acm(&fx, off, (struct ic_acm){1, IC_CLOSE_INVOCATION_IDLE, IC_HEARTBEAT_DISPATCH});
    int64_t start = ib_clock_ms();
    FX_UNTIL(&fx, fx.client.closed && fx.server.closed);
    assert_in_range(ib_clock_ms() - start, 950, 5000);
    assert_int_equal(fx.server.why.code, IB_ECLOSED); /* gracefully */
    assert_int_equal(fx.client.why.code, IB_EACMTIMEOUT);
    fx_fini(&fx);
}

static void presumed_dead(void **state)
{
    (void)state;
    struct fx fx;
    open_acm(&fx, off, (struct ic_acm){1, IC_CLOSE_INVOCATION, IC_HEARTBEAT_OFF});
    ic_conn_outstanding(fx.client.conn, 1);
    FX_UNTIL(&fx, fx.client.closed && fx.server.closed);
    assert_int_equal(fx.client.why.code, IB_EACMTIMEOUT);
    assert_int_equal(fx.server.why.code, IB_ELOST); /* by force */
    fx_fini(&fx);
}

/* A server that dispatches sends heartbeats, and they keep the waiting client from closing. */
static void dispatch_heartbeats(void **state)
{
    (void)state;
    struct fx fx;
    open_acm(&fx, (struct ic_acm){1, IC_CLOSE_INVOCATION, IC_HEARTBEAT_DISPATCH},
             (struct ic_acm){1, IC_CLOSE_INVOCATION_IDLE, IC_HEARTBEAT_OFF});
    ic_conn_outstanding(fx.client.conn, 1);
    ic_conn_dispatching(fx.server.conn, 1);
    FX_UNTIL(&fx, fx.client.heartbeats >= 4);
    assert_false(fx.client.closed);
    assert_int_equal(fx.server.heartbeats, 0);
    ic_conn_dispatching(fx.server.conn, -1);
    FX_UNTIL(&fx, fx.client.closed);
    fx_fini(&fx);
}

static void always_and_set_acm(void **state)
{
    (void)state;
    struct fx fx;
    open_acm(&fx, off, off);
    struct ic_acm acm = {1, IC_CLOSE_OFF, IC_HEARTBEAT_ALWAYS};
    ic_conn_set_acm(fx.client.conn, &acm);
    FX_UNTIL(&fx, fx.server.heartbeats >= 2);
    ic_conn_send_heartbeat(fx.server.conn);
    FX_UNTIL(&fx, fx.client.heartbeats == 1);
    assert_false(fx.client.closed || fx.server.closed);
    fx_fini(&fx);
}

static void open_pulsing(struct fx *fx, struct ic_acm server, int pulse_s)
{
    fx_init(fx);
    fx->server_cfg.acm = server;
    fx->server_cfg.pulse_s = pulse_s;
    fx->server.echo = false;
    fx_listen(fx, IW_EP_TCP, "");
    fx_connect(fx, "127.0.0.1");
    FX_UNTIL(fx, fx->client.active && fx->server.active);
}

/* A pulse is a sign of life of ours, none of the peer's: the idle connection is closed all the same. */
static void pulses(void **state)
{
    (void)state;
    struct fx fx;
    open_pulsing(&fx, (struct ic_acm){4, IC_CLOSE_IDLE_FORCEFUL, IC_HEARTBEAT_OFF}, 1);
    FX_UNTIL(&fx, fx.server.closed);
    assert_int_equal(fx.server.why.code, IB_EACMTIMEOUT);
    assert_in_range(fx.client.heartbeats, 2, 5);
    assert_int_equal(fx.server.heartbeats, 0);
    fx_fini(&fx);
    open_pulsing(&fx, off, 1);
    FX_UNTIL(&fx, fx.client.heartbeats >= 2); /* without a timeout as well */
    assert_false(fx.client.closed || fx.server.closed);
    fx_fini(&fx);
}

/* Who hears answers needs no pulses. */
static void pulses_of_silence(void **state)
{
    (void)state;
    struct fx fx;
    open_pulsing(&fx, off, 1);
    fx.server.echo = true;
    int64_t start = ib_clock_ms();
    while (ib_clock_ms() - start < 2500) {
        int before = fx.client.frames;
        fx_send(&fx, &fx.client, IC_REQUEST, "ping", 4, false);
        FX_UNTIL(&fx, fx.client.frames > before);
    }
    assert_int_equal(fx.client.heartbeats, 0);
    FX_UNTIL(&fx, fx.client.heartbeats >= 1);
    fx_fini(&fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idle_close),         cmocka_unit_test(presumed_dead), cmocka_unit_test(dispatch_heartbeats),
        cmocka_unit_test(always_and_set_acm), cmocka_unit_test(pulses),        cmocka_unit_test(pulses_of_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
