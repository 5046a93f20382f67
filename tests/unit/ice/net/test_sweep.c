/* SPDX-License-Identifier: Apache-2.0 */
/* Many connections that are ready together, over every transport, with one system call for all and one by one: order
   and bytes hold, also where a socket takes a part only, a reader is held, or a connection ends in the middle. */
#include "net_fixture.h"
#include "net_certs.h"

#include "conn_priv.h"
#include "ring.h"
#include "sweep.h"

#define PEERS 40 /* more than one call takes */
#define MESSAGES 30
#define LARGEST 20000

static const int types[] = {IW_EP_TCP, IW_EP_SSL, IW_EP_WS, IW_EP_WSS};
static struct certs certs;

struct peer {
    struct ic_conn *client, *server;
    int sent, came_back;
    size_t at_server; /* messages */
    struct crowd *crowd;
};

struct crowd {
    struct ic_loop *loop;
    struct ic_tls *server_tls, *client_tls;
    struct ic_listener *listener;
    struct peer peers[PEERS];
    int accepted, active, back;
    struct ic_conn *victim; /* who sees the first message closes it */
    struct ic_conn *held; /* or holds it */
    int closed;
};

static size_t size_of(int peer, int i)
{
    static const size_t sizes[] = {5, 60, 300, 4082, 4083, 4096, 900, LARGEST};
    return sizes[(size_t)(peer * 7 + i) % (sizeof sizes / sizeof *sizes)];
}

static uint8_t byte_of(int peer, int i, size_t k)
{
    return (uint8_t)(peer * 31 + i * 7 + (int)(k % 251));
}

static void check(const struct ic_frame *f, int peer, int i)
{
    assert_int_equal(f->body.n, size_of(peer, i));
    for (size_t k = 0; k < f->body.n; k++)
        if (f->body.p[k] != byte_of(peer, i, k))
            fail_msg("peer %d, message %d: byte %zu differs", peer, i, k);
}

static void send_next(struct peer *p)
{
    uint8_t body[LARGEST];
    int peer = (int)(p - p->crowd->peers);
    size_t n = size_of(peer, p->sent);
    for (size_t k = 0; k < n; k++)
        body[k] = byte_of(peer, p->sent, k);
    p->sent++;
    struct ic_out m = {.type = IC_REQUEST, .body = {body, n}};
    assert_int_equal(ic_conn_send(p->client, &m, NULL), 0);
}

/* --- the server's side: sends back what it gets --- */

static void server_frame(void *arg, struct ic_conn *c, const struct ic_frame *f)
{
    struct crowd *crowd = arg;
    if (crowd->victim && crowd->victim != c) {
        struct ic_conn *victim = crowd->victim;
        crowd->victim = NULL;
        ic_conn_abort(victim, IB_ELOST, "the test ends it");
    }
    if (crowd->held && crowd->held != c && crowd->accepted == PEERS) {
        ic_conn_hold(crowd->held, true);
        crowd->accepted++; /* once */
    }
    struct ic_out m = {.type = IC_REPLY, .body = f->body, .block = f->block};
    int rc = ic_conn_send(c, &m, NULL);
    (void)rc; /* it may be closing */
}

static void server_close(void *arg, struct ic_conn *c, const struct ib_err *why)
{
    (void)why;
    struct crowd *crowd = arg;
    crowd->closed++;
    for (int i = 0; i < PEERS; i++)
        if (crowd->peers[i].server == c)
            crowd->peers[i].server = NULL;
}

static const struct ic_conn_events server_events = {.on_frame = server_frame, .on_close = server_close};

static void on_accept(void *arg, struct ic_conn *c)
{
    struct crowd *crowd = arg;
    crowd->peers[crowd->accepted++].server = c;
    ic_conn_set_events(c, &server_events, crowd);
}

/* --- the clients' side --- */

static void client_active(void *arg, struct ic_conn *c)
{
    (void)c;
    ((struct peer *)arg)->crowd->active++;
}

static void client_frame(void *arg, struct ic_conn *c, const struct ic_frame *f)
{
    (void)c;
    struct peer *p = arg;
    check(f, (int)(p - p->crowd->peers), p->came_back);
    p->came_back++;
    p->crowd->back++;
}

static void client_close(void *arg, struct ic_conn *c, const struct ib_err *why)
{
    (void)c;
    (void)why;
    ((struct peer *)arg)->client = NULL;
}

static const struct ic_conn_events client_events = {
    .on_active = client_active, .on_frame = client_frame, .on_close = client_close};

#define UNTIL(crowd, cond)                                                                                             \
    do {                                                                                                               \
        int64_t end_ = ib_clock_ms() + 20000;                                                                          \
        while (!(cond)) {                                                                                              \
            if (ib_clock_ms() > end_)                                                                                  \
                fail_msg("waited in vain for: %s", #cond);                                                             \
            ic_loop_run_once((crowd)->loop, 50);                                                                       \
        }                                                                                                              \
    } while (0)

static void crowd_init(struct crowd *crowd, int type, bool uring)
{
    struct ib_err err = {0};
    memset(crowd, 0, sizeof *crowd);
    crowd->loop = ic_loop_new(&err);
    assert_non_null(crowd->loop);
    ic_loop_set_uring(crowd->loop, uring);
    crowd->server_tls = certs_tls(&certs, "server.pem");
    crowd->client_tls = certs_tls(&certs, "client.pem");
    struct ic_conn_config cfg = fx_config();
    struct iw_endpoint ep = {.type = (int16_t)type, .host = IB_STR(""), .resource = IB_STR("/x")};
    crowd->listener = ic_listen(crowd->loop, &ep, crowd->server_tls, &cfg, on_accept, crowd, &err);
    assert_non_null(crowd->listener);
    ic_listener_start(crowd->listener);
    ep = *ic_listener_endpoint(crowd->listener);
    ep.host = IB_STR("127.0.0.1");
    for (int i = 0; i < PEERS; i++) { /* one after the other, so that both sides count alike */
        struct peer *p = &crowd->peers[i];
        p->crowd = crowd;
        p->client = ic_connect(crowd->loop, &ep, crowd->client_tls, &cfg, &client_events, p);
        assert_non_null(p->client);
        UNTIL(crowd, crowd->active == i + 1 && crowd->accepted == i + 1);
    }
}

static void crowd_fini(struct crowd *crowd)
{
    for (int i = 0; i < PEERS; i++) {
        if (crowd->peers[i].client)
            ic_conn_detach(crowd->peers[i].client);
        if (crowd->peers[i].server)
            ic_conn_detach(crowd->peers[i].server);
    }
    ic_listener_free(crowd->listener);
    ic_tls_unref(crowd->server_tls);
    ic_tls_unref(crowd->client_tls);
    ic_loop_free(crowd->loop);
}

/* Every case over every transport, both ways. */
static void each(void (*run)(struct crowd *crowd))
{
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        for (int uring = 0; uring < 2; uring++) {
            struct crowd crowd;
            crowd_init(&crowd, types[t], uring);
            run(&crowd);
            if (!uring)
                assert_null(crowd.loop->sweep);
            crowd_fini(&crowd);
        }
    }
}

static void all_send(struct crowd *crowd)
{
    for (int i = 0; i < PEERS; i++)
        if (crowd->peers[i].client)
            send_next(&crowd->peers[i]);
}

static void in_step(struct crowd *crowd)
{
    for (int m = 0; m < MESSAGES; m++) {
        all_send(crowd);
        UNTIL(crowd, crowd->back == PEERS * (m + 1));
    }
}

static void all_at_once(struct crowd *crowd)
{
    for (int m = 0; m < MESSAGES; m++)
        all_send(crowd);
    UNTIL(crowd, crowd->back == PEERS * MESSAGES);
}

/* Sockets with next to no room: most sends are cut, and go on where they were. */
static void little_room(struct crowd *crowd)
{
    for (int i = 0; i < PEERS; i++) {
        struct ic_conn *ends[] = {crowd->peers[i].client, crowd->peers[i].server};
        for (int k = 0; k < 2; k++) {
            int small = 1;
            assert_int_equal(setsockopt(ends[k]->tp->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
            assert_int_equal(setsockopt(ends[k]->tp->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
        }
    }
    for (int m = 0; m < 4; m++)
        all_send(crowd);
    UNTIL(crowd, crowd->back == PEERS * 4);
}

/* Nobody reads the answers until the server's sockets are full. They come round by round, so that the send which finds
   its socket full is one of many. */
static void full_sockets(struct crowd *crowd)
{
    int sent = 0, stuck = 0;
    for (int i = 0; i < PEERS; i++) {
        int small = 1, usual = 32768;
        assert_int_equal(setsockopt(crowd->peers[i].client->tp->fd, SOL_SOCKET, SO_RCVBUF, &usual, sizeof usual), 0);
        assert_int_equal(setsockopt(crowd->peers[i].server->tp->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
        ic_conn_hold(crowd->peers[i].client, true);
    }
    for (; stuck < PEERS / 4; sent++) {
        assert_true(sent < 1000);
        all_send(crowd);
        for (int k = 0; k < 3; k++)
            ic_loop_run_once(crowd->loop, 10);
        stuck = 0;
        for (int i = 0; i < PEERS; i++)
            stuck += crowd->peers[i].server->blocked;
    }
    for (int i = 0; i < PEERS; i++)
        ic_conn_hold(crowd->peers[i].client, false);
    UNTIL(crowd, crowd->back == PEERS * sent);
}

/* What was received for a connection that another has stopped from being read waits until it is read again. */
static void one_held(struct crowd *crowd)
{
    struct peer *p = &crowd->peers[IC_RING_MAX / 2]; /* behind the first, in the same call */
    crowd->held = p->server;
    all_send(crowd);
    UNTIL(crowd, crowd->back >= PEERS - 1);
    assert_int_equal(crowd->accepted, PEERS + 1);
    int before = p->came_back;
    for (int m = 0; m < 5; m++)
        all_send(crowd);
    UNTIL(crowd, crowd->back - p->came_back == (PEERS - 1) * 6);
    assert_int_equal(p->came_back, before);
    ic_conn_hold(crowd->held, false);
    UNTIL(crowd, crowd->back == PEERS * 6);
}

/* One that ends while its bytes are in hand: nobody else notices. */
static void one_ends(struct crowd *crowd)
{
    struct peer *p = &crowd->peers[IC_RING_MAX / 2];
    crowd->victim = p->server;
    all_send(crowd);
    UNTIL(crowd, crowd->back - p->came_back == PEERS - 1 && crowd->closed == 1 && !p->client);
    all_send(crowd);
    UNTIL(crowd, crowd->back - p->came_back == (PEERS - 1) * 2);
}

static void test_in_step(void **state)
{
    (void)state;
    each(in_step);
}

static void test_all_at_once(void **state)
{
    (void)state;
    each(all_at_once);
}

static void test_little_room(void **state)
{
    (void)state;
    each(little_room);
}

static void test_full_sockets(void **state)
{
    (void)state;
    each(full_sockets);
}

static void test_one_held(void **state)
{
    (void)state;
    each(one_held);
}

static void test_one_ends(void **state)
{
    (void)state;
    each(one_ends);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_step),      cmocka_unit_test(test_all_at_once), cmocka_unit_test(test_little_room),
        cmocka_unit_test(test_full_sockets), cmocka_unit_test(test_one_held),    cmocka_unit_test(test_one_ends),
    };
    return cmocka_run_group_tests(tests, make_certs, drop_certs);
}
