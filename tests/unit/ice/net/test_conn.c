/* SPDX-License-Identifier: Apache-2.0 */
/* A connection from validation to close, over tcp and in-process: the two must not differ. */
#include "net_fixture.h"

#include <stdio.h>

/* Listener and client host: same = in-process, any = a real socket. */
static const struct way {
    const char *listen, *connect, *transport;
} ways[] = {{"", "127.0.0.1", "tcp"}, {"127.0.0.1", "127.0.0.1", "inproc"}};

static void open_way(struct fx *fx, const struct way *w)
{
    fx_listen(fx, IW_EP_TCP, w->listen);
    fx_connect(fx, w->connect);
    assert_false(fx->client.active); /* never from inside the call */
    FX_UNTIL(fx, fx->client.active && fx->server.active);
    struct ic_conn_info info;
    ic_conn_get_info(fx->client.conn, &info);
    assert_string_equal(info.transport, w->transport);
}

static void echo(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fx fx;
        fx_init(&fx);
        open_way(&fx, &ways[i]);
        char text[5000];
        memset(text, 'x', sizeof text);
        size_t sizes[] = {0, 1, 100, 4999, 5000};
        for (size_t k = 0; k < 5; k++) {
            fx.client.frames = 0;
            fx_send(&fx, &fx.client, IC_REQUEST, text, sizes[k], k & 1);
            FX_UNTIL(&fx, fx.client.frames == 1);
            assert_int_equal(fx.client.last.type, IC_REPLY);
            assert_int_equal(fx.client.last.body.n, sizes[k]);
            assert_memory_equal(fx.client.last.body.p, text, sizes[k]);
        }
        assert_true(ic_conn_was_written(fx.client.conn, 5));
        assert_false(ic_conn_was_written(fx.client.conn, 6));
        fx_fini(&fx);
    }
}

static void large_bodies(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fx fx;
        fx_init(&fx);
        open_way(&fx, &ways[i]);
        size_t n = (1 << 20) - IC_HEADER_SIZE;
        struct ib_block *b = ib_block_new(n);
        assert_non_null(b);
        for (size_t k = 0; k < n; k++) {
            b->p[k] = (uint8_t)(k * 7 + k / 251);
        }
        struct ic_out m = {.type = IC_REQUEST, .body = {b->p, n}, .block = b};
        assert_int_equal(ic_conn_send(fx.client.conn, &m, NULL), 0);
        FX_UNTIL(&fx, fx.client.frames == 1);
        assert_int_equal(fx.client.last.body.n, n);
        assert_memory_equal(fx.client.last.body.p, b->p, n);
        ib_block_unref(b);
        fx_fini(&fx);
    }
}

static void graceful_close_waits_for_dispatch(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fx fx;
        fx_init(&fx);
        open_way(&fx, &ways[i]);
        fx.server.echo = false;
        fx.server.hold_dispatch = true;
        fx_send(&fx, &fx.client, IC_REQUEST, "1", 1, false);
        FX_UNTIL(&fx, fx.server.frames == 1);
        ic_conn_close(fx.server.conn);
        assert_false(fx.server.closed);
        fx_send(&fx, &fx.client, IC_REQUEST, "2", 1, false); /* discarded silently */
        FX_UNTIL(&fx, fx.server.closing);
        for (int k = 0; k < 5; k++) {
            ic_loop_run_once(fx.loop, 5);
        }
        assert_int_equal(fx.server.frames, 1);
        assert_false(fx.client.closed);
        struct ic_out request = {.type = IC_REQUEST};
        assert_int_equal(ic_conn_send(fx.server.conn, &request, NULL), IB_ECLOSED);
        fx_send(&fx, &fx.server, IC_REPLY, "r", 1, false);
        ic_conn_dispatching(fx.server.conn, -1);
        FX_UNTIL(&fx, fx.client.closed && fx.server.closed);
        assert_int_equal(fx.client.frames, 1); /* the reply came before the close */
        assert_int_equal(fx.client.why.code, IB_ECLOSED);
        assert_int_equal(fx.server.why.code, IB_ECLOSEDLOCAL);
        assert_true(fx.client.closing);
        fx_fini(&fx);
    }
}

static void abort_is_connection_loss(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fx fx;
        fx_init(&fx);
        open_way(&fx, &ways[i]);
        ic_conn_abort(fx.client.conn, IB_ECANCELED, "told so");
        assert_false(fx.client.closed); /* deferred */
        FX_UNTIL(&fx, fx.client.closed && fx.server.closed);
        assert_int_equal(fx.client.why.code, IB_ECANCELED);
        assert_string_equal(fx.client.why.text, "told so");
        assert_int_equal(fx.server.why.code, IB_ELOST);
        fx_fini(&fx);
    }
}

static void both_close(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fx fx;
        fx_init(&fx);
        open_way(&fx, &ways[i]);
        ic_conn_close(fx.client.conn);
        ic_conn_close(fx.server.conn);
        FX_UNTIL(&fx, fx.client.closed && fx.server.closed);
        fx_fini(&fx);
    }
}

static void hold_stops_delivery(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fx fx;
        fx_init(&fx);
        open_way(&fx, &ways[i]);
        ic_conn_hold(fx.server.conn, true);
        ic_conn_hold(fx.server.conn, true);
        for (int k = 0; k < 10; k++) {
            fx_send(&fx, &fx.client, IC_REQUEST, "abc", 3, false);
        }
        for (int k = 0; k < 5; k++) {
            ic_loop_run_once(fx.loop, 5);
        }
        ic_conn_hold(fx.server.conn, false);
        for (int k = 0; k < 5; k++) {
            ic_loop_run_once(fx.loop, 5);
        }
        assert_int_equal(fx.server.frames, 0);
        ic_conn_hold(fx.server.conn, false);
        FX_UNTIL(&fx, fx.client.frames == 10);
        fx_fini(&fx);
    }
}

/* Holds from inside a callback: what was read with the same read waits, too. */
static void hold_first(void *arg, struct ic_conn *c, const struct ic_frame *f)
{
    side_frame(arg, c, f);
    if (((struct side *)arg)->frames == 1) {
        ic_conn_hold(c, true);
    }
}

static void hold_in_callback(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fx fx;
        fx_init(&fx);
        open_way(&fx, &ways[i]);
        struct ic_conn_events ev = side_events;
        ev.on_frame = hold_first;
        ic_conn_set_events(fx.server.conn, &ev, &fx.server);
        for (int k = 0; k < 3; k++) {
            fx_send(&fx, &fx.client, IC_REQUEST, "abc", 3, false);
        }
        FX_UNTIL(&fx, fx.server.frames == 1);
        for (int k = 0; k < 5; k++) {
            ic_loop_run_once(fx.loop, 5);
        }
        assert_int_equal(fx.server.frames, 1);
        ic_conn_hold(fx.server.conn, false);
        FX_UNTIL(&fx, fx.client.frames == 3);
        fx_fini(&fx);
    }
}

static void congestion(void **state)
{
    (void)state;
    struct fx fx;
    fx_init(&fx);
    fx.client_cfg.out_high_water = 100000;
    open_way(&fx, &ways[0]);
    ic_conn_hold(fx.server.conn, true);
    static char big[50000];
    int sent = 0;
    while (!ic_conn_congested(fx.client.conn) || ic_conn_queued(fx.client.conn) < 300000) {
        fx_send(&fx, &fx.client, IC_REQUEST, big, sizeof big, false);
        sent++;
        ic_loop_run_once(fx.loop, 0);
    }
    assert_int_equal(fx.client.drained, 0);
    fx.server.echo = false;
    ic_conn_hold(fx.server.conn, false);
    FX_UNTIL(&fx, fx.server.frames == sent);
    assert_int_equal(fx.client.drained, 1);
    assert_false(ic_conn_congested(fx.client.conn));
    fx_fini(&fx);
}

static void refused(void **state)
{
    (void)state;
    struct fx fx;
    fx_init(&fx);
    fx_listen(&fx, IW_EP_TCP, "127.0.0.1");
    struct iw_endpoint ep = *ic_listener_endpoint(fx.listener);
    ic_listener_stop(fx.listener);
    fx.client.conn = ic_connect(fx.loop, &ep, NULL, &fx.client_cfg, &side_events, &fx.client);
    FX_UNTIL(&fx, fx.client.closed);
    assert_int_equal(fx.client.why.code, IB_EREFUSED);
    assert_non_null(strstr(fx.client.why.text, "127.0.0.1"));
    fx_fini(&fx);
}

static void name_resolved(void **state)
{
    (void)state;
    struct fx fx;
    fx_init(&fx);
    fx_listen(&fx, IW_EP_TCP, "");
    fx_connect(&fx, "localhost");
    FX_UNTIL(&fx, fx.client.active);
    fx_fini(&fx);
}

/* localhost may be ::1 first: a listener on 127.0.0.1 alone is found all the same. */
static void next_address(void **state)
{
    (void)state;
    struct fx fx;
    fx_init(&fx);
    fx_listen(&fx, IW_EP_TCP, "127.0.0.1");
    fx_connect(&fx, "localhost");
    FX_UNTIL(&fx, fx.client.active || fx.client.closed);
    assert_true(fx.client.active);
    struct ic_conn_info info;
    ic_conn_get_info(fx.client.conn, &info);
    assert_string_equal(info.transport, "tcp");
    assert_string_equal(info.remote_host, "127.0.0.1");
    fx_fini(&fx);
}

static void unknown_host(void **state)
{
    (void)state;
    struct fx fx;
    fx_init(&fx);
    fx.client_cfg.connect_timeout_ms = 2000;
    struct iw_endpoint ep = {.type = IW_EP_TCP, .host = IB_STR("nowhere.invalid"), .port = 4061};
    fx.client.conn = ic_connect(fx.loop, &ep, NULL, &fx.client_cfg, &side_events, &fx.client);
    FX_UNTIL(&fx, fx.client.closed);
    assert_true(fx.client.why.code == IB_EDNS || fx.client.why.code == IB_ECONNECTTIMEOUT);
    fx_fini(&fx);
}

/* What cannot be connected to is told by on_close, later. */
static void useless_endpoints(void **state)
{
    (void)state;
    const struct iw_endpoint eps[] = {{.type = IW_EP_UDP, .host = IB_STR("127.0.0.1"), .port = 1},
                                      {.type = IW_EP_SSL, .host = IB_STR("127.0.0.1"), .port = 1},
                                      {.type = IW_EP_TCP, .host = IB_STR("127.0.0.1"), .port = 0},
                                      {.type = IW_EP_TCP, .host = IB_STR("127.0.0.1"), .port = 70000}};
    for (size_t i = 0; i < sizeof eps / sizeof *eps; i++) {
        struct fx fx;
        fx_init(&fx);
        fx.client.conn = ic_connect(fx.loop, &eps[i], NULL, &fx.client_cfg, &side_events, &fx.client);
        assert_false(fx.client.closed);
        FX_UNTIL(&fx, fx.client.closed);
        assert_int_equal(fx.client.why.code, IB_EINVAL);
        fx_fini(&fx);
    }
}

static void port_in_use(void **state)
{
    (void)state;
    struct fx fx;
    fx_init(&fx);
    fx_listen(&fx, IW_EP_TCP, "127.0.0.1");
    struct ib_err err;
    assert_null(ic_listen(fx.loop, ic_listener_endpoint(fx.listener), NULL, &fx.server_cfg, fx_accept, &fx, &err));
    char port[16];
    snprintf(port, sizeof port, "%d", fx_port(&fx));
    assert_non_null(strstr(err.text, port));
    assert_non_null(strstr(err.text, "in use"));
    fx_fini(&fx);
}

static void connect_timeout(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fx fx;
        fx_init(&fx);
        fx.client_cfg.connect_timeout_ms = 100;
        struct ib_err err;
        struct iw_endpoint ep = {.type = IW_EP_TCP, .host = ib_str(ways[i].listen)};
        fx.listener = ic_listen(fx.loop, &ep, NULL, &fx.server_cfg, fx_accept, &fx, &err); /* not started */
        assert_non_null(fx.listener);
        fx_connect(&fx, ways[i].connect);
        FX_UNTIL(&fx, fx.client.closed);
        assert_int_equal(fx.client.why.code, IB_ECONNECTTIMEOUT);
        fx_fini(&fx);
    }
}

static void detach_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        for (int rounds = 0; rounds < 12; rounds++) {
            struct fx fx;
            fx_init(&fx);
            fx_listen(&fx, IW_EP_TCP, ways[i].listen);
            fx_connect(&fx, ways[i].connect);
            for (int k = 0; k < rounds; k++) {
                ic_loop_run_once(fx.loop, 1);
            }
            bool was = fx.client.active;
            ic_conn_detach(fx.client.conn);
            fx.client.conn = NULL;
            for (int k = 0; k < 5; k++) {
                ic_loop_run_once(fx.loop, 1);
            }
            assert_int_equal(fx.client.active, was);
            assert_false(fx.client.closed);
            fx_fini(&fx);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(echo),
        cmocka_unit_test(large_bodies),
        cmocka_unit_test(graceful_close_waits_for_dispatch),
        cmocka_unit_test(abort_is_connection_loss),
        cmocka_unit_test(both_close),
        cmocka_unit_test(hold_stops_delivery),
        cmocka_unit_test(hold_in_callback),
        cmocka_unit_test(congestion),
        cmocka_unit_test(refused),
        cmocka_unit_test(name_resolved),
        cmocka_unit_test(next_address),
        cmocka_unit_test(unknown_host),
        cmocka_unit_test(useless_endpoints),
        cmocka_unit_test(port_in_use),
        cmocka_unit_test(connect_timeout),
        cmocka_unit_test(detach_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
