/* SPDX-License-Identifier: Apache-2.0 */
/* Players over every transport whose one loop is in brisk exchange: what the tests of it share. */
#ifndef MOULIN_TESTS_NET_EXCHANGE_H
#define MOULIN_TESTS_NET_EXCHANGE_H

#include "net_fixture.h"
#include "net_certs.h"

#include "conn_priv.h"
#include "ring.h"

#include <pthread.h>

#define PAIRS 12 /* more than take part in an exchange */
#define LARGEST 20000
#define BRISK 400 /* messages after which an exchange has begun */

static const int types[] = {IW_EP_TCP, IW_EP_SSL, IW_EP_WS, IW_EP_WSS};
static struct certs certs;

struct table;

struct pair {
    struct table *table;
    struct ic_conn *client, *server;
    int sent, back;
    bool active, closed;
};

/* Client and server share the loop. The first pair plays one message after the other, those who have joined now and
   then, or all the time. */
struct table {
    struct ic_loop *loop;
    struct ic_tls *server_tls, *client_tls;
    struct ic_listener *listener;
    struct pair pairs[PAIRS];
    int accepted;
    bool paused; /* nobody sends */
    int joined; /* pairs that play, with the first */
    bool all_the_time;
    bool oneways; /* the second sends them */
    int came;
    struct ic_deferred chain;
    int links, chained, unbroken;
    bool exchanged;
    size_t fixed; /* the size of a message; 0: several */
    int stop_at; /* messages that came back to the first */
    void (*at_ball)(struct table *t, int back); /* before the first sends again */
    struct ic_timer watchdog, timer;
    int fired, posted, seen_exchanging;
    pthread_t thread;
};

static size_t size_of(const struct table *t, int i)
{
    static const size_t sizes[] = {5, 60, 300, 4082, 4083, 4096, 900, LARGEST, 12};
    return t->fixed ? t->fixed : sizes[(size_t)i % (sizeof sizes / sizeof *sizes)];
}

static uint8_t byte_of(int i, size_t k)
{
    return (uint8_t)(i * 7 + (int)(k % 251));
}

static void send_next(struct pair *p)
{
    uint8_t body[LARGEST];
    size_t n = size_of(p->table, p->sent);
    for (size_t k = 0; k < n; k++)
        body[k] = byte_of(p->sent, k);
    p->sent++;
    struct ic_out m = {.type = IC_REQUEST, .body = {body, n}};
    assert_int_equal(ic_conn_send(p->client, &m, NULL), 0);
}

static void play(struct table *t)
{
    send_next(&t->pairs[0]);
    for (int i = 1; i < t->joined; i++) {
        struct pair *p = &t->pairs[i];
        if (p->client && p->sent == p->back && (t->all_the_time || t->pairs[0].back % 16 == 0))
            send_next(p);
    }
}

static void server_frame(void *arg, struct ic_conn *c, const struct ic_frame *f)
{
    struct table *t = arg;
    if (t->oneways && c == t->pairs[1].server) {
        ic_conn_heard(c, false);
        t->came++;
        return;
    }
    ic_conn_heard(c, true);
    struct ic_out m = {.type = IC_REPLY, .body = f->body, .block = f->block};
    int rc = ic_conn_send(c, &m, NULL);
    (void)rc; /* it may be closing */
}

static void server_close(void *arg, struct ic_conn *c, const struct ib_err *why)
{
    (void)why;
    struct table *t = arg;
    for (int i = 0; i < PAIRS; i++)
        if (t->pairs[i].server == c)
            t->pairs[i].server = NULL;
}

static void on_accept(void *arg, struct ic_conn *c)
{
    static const struct ic_conn_events events = {.on_frame = server_frame, .on_close = server_close};
    struct table *t = arg;
    t->pairs[t->accepted++].server = c;
    ic_conn_set_events(c, &events, t);
}

static void client_active(void *arg, struct ic_conn *c)
{
    (void)c;
    struct pair *p = arg;
    p->active = true;
    ic_loop_stop(p->table->loop);
}

static void client_frame(void *arg, struct ic_conn *c, const struct ic_frame *f)
{
    struct pair *p = arg;
    struct table *t = p->table;
    ic_conn_heard(c, true);
    assert_int_equal(f->body.n, size_of(t, p->back));
    for (size_t k = 0; k < f->body.n; k++)
        if (f->body.p[k] != byte_of(p->back, k))
            fail_msg("message %d: byte %zu differs", p->back, k);
    p->back++;
    if (p != t->pairs) {
        if (t->all_the_time)
            send_next(p);
        return;
    }
    t->seen_exchanging += t->loop->exchanging;
    if (t->at_ball)
        t->at_ball(t, p->back);
    if (p->back >= t->stop_at)
        ic_loop_stop(t->loop);
    else if (!t->paused)
        play(t);
}

static void client_close(void *arg, struct ic_conn *c, const struct ib_err *why)
{
    (void)c;
    (void)why;
    struct pair *p = arg;
    p->client = NULL;
    p->closed = true;
}

static const struct ic_conn_events client_events = {
    .on_active = client_active, .on_frame = client_frame, .on_close = client_close};

static void too_long(void *arg)
{
    struct table *t = arg;
    fail_msg("stuck after %d messages", t->pairs[0].back);
}

static void run(struct table *t)
{
    ic_timer_start(&t->watchdog, 20000);
    ic_loop_run(t->loop);
    ic_timer_stop(&t->watchdog);
}

static void connect_pairs(struct table *t, int n)
{
    struct ic_conn_config cfg = fx_config();
    struct iw_endpoint ep = *ic_listener_endpoint(t->listener);
    ep.host = IB_STR("127.0.0.1");
    for (int i = 0; i < n; i++) { /* one after the other, so that both sides count alike */
        struct pair *p = &t->pairs[i];
        p->table = t;
        p->client = ic_connect(t->loop, &ep, t->client_tls, &cfg, &client_events, p);
        assert_non_null(p->client);
        run(t);
        assert_true(p->active);
    }
}

static void on_timer(void *arg)
{
    struct table *t = arg;
    t->fired++;
}

static void table_init(struct table *t, int type, bool uring, int pairs)
{
    struct ib_err err = {0};
    memset(t, 0, sizeof *t);
    t->loop = ic_loop_new(&err);
    assert_non_null(t->loop);
    ic_loop_set_uring(t->loop, uring);
    ic_timer_init(&t->watchdog, t->loop, too_long, t);
    ic_timer_init(&t->timer, t->loop, on_timer, t);
    t->server_tls = certs_tls(&certs, "server.pem");
    t->client_tls = certs_tls(&certs, "client.pem");
    struct ic_conn_config cfg = fx_config();
    struct iw_endpoint ep = {.type = (int16_t)type, .host = IB_STR(""), .resource = IB_STR("/x")};
    t->listener = ic_listen(t->loop, &ep, t->server_tls, &cfg, on_accept, t, &err);
    assert_non_null(t->listener);
    ic_listener_start(t->listener);
    connect_pairs(t, pairs);
}

static void table_fini(struct table *t)
{
    for (int i = 0; i < PAIRS; i++) {
        if (t->pairs[i].client)
            ic_conn_detach(t->pairs[i].client);
        if (t->pairs[i].server)
            ic_conn_detach(t->pairs[i].server);
    }
    ic_timer_fini(&t->watchdog);
    ic_timer_fini(&t->timer);
    ic_listener_free(t->listener);
    ic_tls_unref(t->server_tls);
    ic_tls_unref(t->client_tls);
    ic_loop_free(t->loop);
}

static bool kernel_can_wait(void)
{
    struct ic_ring *r = ic_ring_new();
    bool can = ic_ring_can_wait(r);
    ic_ring_free(r);
    return can;
}

/* Over every transport, with io_uring and without. */
static void each(int pairs, void (*playing)(struct table *t))
{
    bool can_wait = kernel_can_wait();
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        for (int uring = 0; uring < 2; uring++) {
            struct table t;
            table_init(&t, types[i], uring, pairs);
            playing(&t);
            if (!uring || !can_wait)
                assert_int_equal(t.seen_exchanging, 0);
            else
                assert_true(t.seen_exchanging > 0);
            assert_false(t.loop->exchanging);
            table_fini(&t);
        }
    }
}

static void play_until(struct table *t, int stop_at)
{
    t->stop_at = stop_at;
    run(t);
}

static int make_certs(void **state)
{
    (void)state;
    certs_make(&certs);
    return 0;
}

static int drop_certs(void **state)
{
    (void)state;
    certs_remove(&certs);
    return 0;
}

#endif
