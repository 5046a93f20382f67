/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of ice/net share: a loop, an echo server behind a listener, a client that counts what happens. */
#ifndef MOULIN_TESTS_NET_FIXTURE_H
#define MOULIN_TESTS_NET_FIXTURE_H

#include "test.h"

#include <moulin/base/clock.h>
#include <moulin/net/conn.h>
#include <stdlib.h>

struct side {
    struct ic_conn *conn;
    bool active, closed, closing, echo;
    bool hold_dispatch; /* keep requests as dispatches in progress */
    int frames, heartbeats, drained;
    struct ib_err why;
    struct ic_frame last; /* with block ref'd */
    size_t bytes;
    struct ic_conn_info at_close;
};

struct fx {
    struct ic_loop *loop;
    struct ic_listener *listener;
    struct ic_tls *server_tls, *client_tls;
    struct side server, client;
    struct ic_conn_config server_cfg, client_cfg;
};

static inline void side_active(void *arg, struct ic_conn *c)
{
    struct side *s = arg;
    assert_ptr_equal(s->conn, c);
    assert_true(ic_conn_is_active(c));
    s->active = true;
}

static inline void side_frame(void *arg, struct ic_conn *c, const struct ic_frame *f)
{
    struct side *s = arg;
    s->frames++;
    s->bytes += f->body.n;
    ib_block_unref(s->last.block);
    s->last = *f;
    ib_block_ref(f->block);
    if (s->hold_dispatch) {
        ic_conn_dispatching(c, 1);
    }
    if (s->echo) {
        struct ic_out m = {.type = IC_REPLY, .compress = f->compression > 0, .body = f->body, .block = f->block};
        int rc = ic_conn_send(c, &m, NULL);
        (void)rc; /* the connection may be closing */
    }
}

static inline void side_close(void *arg, struct ic_conn *c, const struct ib_err *why)
{
    struct side *s = arg;
    assert_false(s->closed);
    s->closed = true;
    s->why = *why;
    ic_conn_get_info(c, &s->at_close);
    s->conn = NULL;
}

static inline void side_drained(void *arg, struct ic_conn *c)
{
    (void)c;
    ((struct side *)arg)->drained++;
}

static inline void side_closing(void *arg, struct ic_conn *c)
{
    (void)c;
    ((struct side *)arg)->closing = true;
}

static inline void side_heartbeat(void *arg, struct ic_conn *c)
{
    (void)c;
    ((struct side *)arg)->heartbeats++;
}

static const struct ic_conn_events side_events = {.on_active = side_active,
                                                  .on_frame = side_frame,
                                                  .on_close = side_close,
                                                  .on_drained = side_drained,
                                                  .on_closing = side_closing,
                                                  .on_heartbeat = side_heartbeat};

static inline void fx_accept(void *arg, struct ic_conn *c)
{
    struct fx *fx = arg;
    if (fx->server.conn) {
        ic_conn_detach(fx->server.conn); /* of an attempt the client gave up: its next address */
    }
    fx->server.conn = c;
    fx->server.active = fx->server.closed = false;
    ic_conn_set_events(c, &side_events, &fx->server);
}

static inline struct ic_conn_config fx_config(void)
{
    return (struct ic_conn_config){.message_size_max = 1 << 20,
                                   .connect_timeout_ms = 10000,
                                   .timeout_ms = 10000,
                                   .close_timeout_ms = 10000,
                                   .compression_level = 1};
}

static inline void fx_init(struct fx *fx)
{
    struct ib_err err;
    memset(fx, 0, sizeof *fx);
    fx->loop = ic_loop_new(&err);
    assert_non_null(fx->loop);
    ic_loop_set_uring(fx->loop, true); /* both ends are on it, so that two sockets are ready together often */
    fx->server_cfg = fx->client_cfg = fx_config();
    fx->server.echo = true;
}

static inline void fx_listen(struct fx *fx, int type, const char *host)
{
    struct ib_err err = {0};
    struct iw_endpoint ep = {.type = (int16_t)type, .host = ib_str(host), .resource = IB_STR("/x")};
    fx->listener = ic_listen(fx->loop, &ep, fx->server_tls, &fx->server_cfg, fx_accept, fx, &err);
    if (!fx->listener) {
        fail_msg("%s", err.text);
    }
    ic_listener_start(fx->listener);
}

static inline int fx_port(struct fx *fx)
{
    return (int)ic_listener_endpoint(fx->listener)->port;
}

/* "127.0.0.1" while the listener is "127.0.0.2" or the other way round would not connect; with the listener on all
   addresses, connecting to a numeric one is not in-process. */
static inline void fx_connect(struct fx *fx, const char *host)
{
    struct iw_endpoint ep = *ic_listener_endpoint(fx->listener);
    ep.host = ib_str(host);
    fx->client.active = fx->client.closed = false;
    fx->client.conn = ic_connect(fx->loop, &ep, fx->client_tls, &fx->client_cfg, &side_events, &fx->client);
    assert_non_null(fx->client.conn);
}

/* Runs the loop until cond; ten seconds are for ever. */
#define FX_UNTIL(fx, cond)                                                                                             \
    do {                                                                                                               \
        int64_t end_ = ib_clock_ms() + 10000;                                                                          \
        while (!(cond)) {                                                                                              \
            if (ib_clock_ms() > end_) {                                                                                \
                fail_msg("waited in vain for: %s (server: %s; client: %s)", #cond, (fx)->server.why.text,              \
                         (fx)->client.why.text);                                                                       \
            }                                                                                                          \
            ic_loop_run_once((fx)->loop, 50);                                                                          \
        }                                                                                                              \
    } while (0)

static inline void fx_send(struct fx *fx, struct side *s, int type, const void *p, size_t n, bool compress)
{
    (void)fx;
    struct ic_out m = {.type = (uint8_t)type, .compress = compress, .body = {p, n}};
    assert_int_equal(ic_conn_send(s->conn, &m, NULL), 0);
}

static inline void fx_fini(struct fx *fx)
{
    struct side *sides[] = {&fx->client, &fx->server};
    for (int i = 0; i < 2; i++) {
        if (sides[i]->conn) {
            ic_conn_detach(sides[i]->conn);
        }
        ib_block_unref(sides[i]->last.block);
    }
    ic_listener_free(fx->listener);
    ic_tls_unref(fx->server_tls);
    ic_tls_unref(fx->client_tls);
    ic_loop_free(fx->loop);
}

#endif
