/* SPDX-License-Identifier: Apache-2.0 */
/* Peers that are slow, broken or hostile, on raw sockets: the connection reacts as ice-protocol 10 says, memory stays
   bounded, others are served. */
#include "net_fixture.h"
#include "vectors.h"

#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static const uint8_t ping[] = "IceP\1\0\1\0\0\0\x27\0\0\0\1\0\0\0\1o\0\0\x08ice_ping\0\0\6\0\0\0\1\1";
#define PING_N (sizeof ping - 1)

static int raw_connect(struct fx *fx)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)fx_port(fx))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
        assert_int_equal(errno, EINPROGRESS);
    }
    return fd;
}

/* Reads into p what is there while the loop runs, until n bytes or the end have come; -1: reset. */
static ssize_t raw_read(struct fx *fx, int fd, uint8_t *p, size_t n, bool *eof)
{
    size_t have = 0;
    int64_t end = ib_clock_ms() + 5000;
    *eof = false;
    while (have < n && ib_clock_ms() < end) {
        ssize_t got = recv(fd, p + have, n - have, 0);
        if (got == 0 || (got < 0 && errno == ECONNRESET)) {
            *eof = true;
            break;
        }
        have += got > 0 ? (size_t)got : 0;
        ic_loop_run_once(fx->loop, got > 0 ? 0 : 5);
    }
    return (ssize_t)have;
}

static void raw_validated(struct fx *fx, int fd)
{
    uint8_t hello[IC_HEADER_SIZE];
    bool eof;
    assert_int_equal(raw_read(fx, fd, hello, sizeof hello, &eof), IC_HEADER_SIZE);
    assert_memory_equal(hello, "IceP\1\0\1\0\3\0\x0e\0\0\0", IC_HEADER_SIZE);
}

static void open_hostile(struct fx *fx, int type)
{
    fx_init(fx);
    fx_listen(fx, type, "127.0.0.1");
}

/* The framing cases of malformed.json: what the file says is closed is closed by us or is a case for the layer above,
   which sees the frame. */
static void malformed_vectors(void **state)
{
    (void)state;
    static const char *const by_frame[] = {"bad magic",
                                           "protocol 1.1",
                                           "protocol 2.0",
                                           "protocol encoding 1.1",
                                           "size 13",
                                           "size > max (10KB)",
                                           "unknown message type 5",
                                           "compress status 2 garbage",
                                           "close from client",
                                           "close from client then request",
                                           "request then close"};
    json_t *all = vec_load("malformed.json"), *v;
    size_t i;
    int count = 0;
    json_array_foreach(all, i, v)
    {
        const char *name = vec_text(v, "name");
        bool closes = false;
        for (size_t k = 0; k < sizeof by_frame / sizeof *by_frame; k++) {
            closes = closes || strcmp(name, by_frame[k]) == 0;
        }
        if (strcmp(name, "size == max") == 0) {
            continue; /* its bytes are elided */
        }
        struct fx fx;
        fx_init(&fx);
        fx.server_cfg.message_size_max = 10240;
        fx.server.echo = false;
        fx_listen(&fx, IW_EP_TCP, "127.0.0.1");
        int fd = raw_connect(&fx);
        raw_validated(&fx, fd);
        json_t *sent = json_object_get(v, "sent"), *one;
        size_t k;
        json_array_foreach(sent, k, one)
        {
            struct ib_span s = vec_hex(json_string_value(one));
            assert_int_equal(send(fd, s.p, s.n, MSG_NOSIGNAL), s.n);
            vec_free(s);
        }
        if (closes) {
            uint8_t byte;
            bool eof;
            assert_int_equal(raw_read(&fx, fd, &byte, 1, &eof), 0);
            assert_true(eof);
            FX_UNTIL(&fx, fx.server.closed);
        } else {
            FX_UNTIL(&fx, fx.server.frames > 0 || fx.server.heartbeats > 0 || fx.server.closed);
            if (fx.server.closed) {
                fail_msg("%s: %s", name, fx.server.why.text);
            }
        }
        close(fd);
        fx_fini(&fx);
        count++;
    }
    json_decref(all);
    print_message("vectors: %d malformed sequences\n", count);
    assert_int_equal(count, 39);
}

static void one_byte_at_a_time(void **state)
{
    (void)state;
    struct fx fx;
    open_hostile(&fx, IW_EP_TCP);
    int fd = raw_connect(&fx);
    raw_validated(&fx, fd);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < PING_N; i++) {
            assert_int_equal(send(fd, ping + i, 1, 0), 1);
            ic_loop_run_once(fx.loop, 20);
        }
    }
    FX_UNTIL(&fx, fx.server.frames == 3);
    assert_int_equal(fx.server.last.body.n, PING_N - IC_HEADER_SIZE);
    assert_memory_equal(fx.server.last.body.p, ping + IC_HEADER_SIZE, PING_N - IC_HEADER_SIZE);
    close(fd);
    fx_fini(&fx);
}

/* A header may announce 2 GB where that is allowed: memory follows what arrives, and a stop ends it. */
static void announces_much(void **state)
{
    (void)state;
    struct fx fx;
    fx_init(&fx);
    fx.server_cfg.message_size_max = INT32_MAX;
    fx.server_cfg.timeout_ms = 200;
    fx_listen(&fx, IW_EP_TCP, "127.0.0.1");
    int fd = raw_connect(&fx);
    raw_validated(&fx, fd);
    struct mallinfo2 before = mallinfo2();
    uint8_t header[IC_HEADER_SIZE + 1] = "IceP\1\0\1\0\0\0\xff\xff\xff\x7f";
    assert_int_equal(send(fd, header, sizeof header, 0), sizeof header);
    FX_UNTIL(&fx, fx.server.closed);
    struct mallinfo2 after = mallinfo2();
    assert_true(after.uordblks + after.hblkhd < before.uordblks + before.hblkhd + (1u << 20));
    assert_int_equal(fx.server.why.code, IB_ETIMEOUT);
    close(fd);
    fx_fini(&fx);
}

/* Requests without end, answers never read: our queue stops growing because we stop reading. */
static void flood_without_reading(void **state)
{
    (void)state;
    struct fx fx;
    fx_init(&fx);
    fx.server_cfg.out_high_water = 50000;
    fx.server_cfg.timeout_ms = 300;
    fx_listen(&fx, IW_EP_TCP, "127.0.0.1");
    int fd = raw_connect(&fx);
    raw_validated(&fx, fd);
    static uint8_t message[20000] = "IceP\1\0\1\0\0\0\x20\x4e";
    size_t most = 0, at = 0;
    int64_t end = ib_clock_ms() + 20000;
    while (!fx.server.closed && ib_clock_ms() < end) {
        ssize_t n = send(fd, message + at, sizeof message - at, MSG_NOSIGNAL);
        at = n > 0 ? (at + (size_t)n) % sizeof message : at;
        ic_loop_run_once(fx.loop, 5);
        if (fx.server.conn && ic_conn_queued(fx.server.conn) > most) {
            most = ic_conn_queued(fx.server.conn);
        }
    }
    assert_true(fx.server.closed); /* by the write timeout */
    assert_int_equal(fx.server.why.code, IB_ETIMEOUT);
    assert_true(most > 50000);
    assert_true(most < 50000 + 40000);
    close(fd);
    fx_fini(&fx);
}

/* Pings of WebSocket without reading the pongs: one pong waits, not a million. */
static void ping_flood(void **state)
{
    (void)state;
    struct fx fx;
    open_hostile(&fx, IW_EP_WS);
    int fd = raw_connect(&fx);
    const char *head = "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    FX_UNTIL(&fx, send(fd, head, strlen(head), MSG_NOSIGNAL) == (ssize_t)strlen(head));
    FX_UNTIL(&fx, fx.server.active);
    static uint8_t pings[131 * 500];
    for (size_t i = 0; i < sizeof pings; i += 131) {
        pings[i] = 0x89;
        pings[i + 1] = 0x80 | 125;
    }
    size_t at = 0, sent = 0, most = 0;
    int64_t end = ib_clock_ms() + 10000;
    while (sent < 20000000 && ib_clock_ms() < end) {
        ssize_t n = send(fd, pings + at, sizeof pings - at, MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        at = n > 0 ? (at + (size_t)n) % sizeof pings : at;
        ic_loop_run_once(fx.loop, 5);
        most = ic_conn_queued(fx.server.conn) > most ? ic_conn_queued(fx.server.conn) : most;
    }
    assert_true(sent >= 20000000);
    assert_true(most <= 127);
    assert_false(fx.server.closed);
    close(fd);
    FX_UNTIL(&fx, fx.server.closed);
    fx_fini(&fx);
}

static void half_closed_is_gone(void **state)
{
    (void)state;
    struct fx fx;
    open_hostile(&fx, IW_EP_TCP);
    int fd = raw_connect(&fx);
    raw_validated(&fx, fd);
    assert_int_equal(send(fd, ping, PING_N - 3, 0), PING_N - 3); /* in the middle of a message */
    shutdown(fd, SHUT_WR);
    FX_UNTIL(&fx, fx.server.closed);
    assert_int_equal(fx.server.why.code, IB_ELOST);
    assert_int_equal(fx.server.frames, 0);
    close(fd);
    fx_fini(&fx);
}

/* A server that says something else first, byte by byte. */
static void client_wants_validation(void **state)
{
    (void)state;
    const struct {
        const char *bytes;
        size_t n;
        int code;
    } cases[] = {
        {"IceP\1\0\1\0\4\0\x0e\0\0\0", 14, IB_ENOTVALIDATED},
        {"IceP\1\0\1\0\3\0\x0f\0\0\0x", 15, IB_EMSGSIZE},
        {"HTTP/1.1 400 Bad", 16, IB_EMAGIC},
        {"IceP\1\0\1\0\3\0", 10, IB_ELOST},
        {"", 0, IB_ELOST},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fx fx;
        fx_init(&fx);
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        struct sockaddr_in a = {.sin_family = AF_INET};
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t n = sizeof a;
        assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
        assert_int_equal(listen(fd, 1), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
        struct iw_endpoint ep = {.type = IW_EP_TCP, .host = IB_STR("127.0.0.1"), .port = ntohs(a.sin_port)};
        fx.client.conn = ic_connect(fx.loop, &ep, NULL, &fx.client_cfg, &side_events, &fx.client);
        ic_loop_run_once(fx.loop, 1000);
        int peer = accept(fd, NULL, NULL);
        for (size_t k = 0; k < cases[i].n && !fx.client.closed; k++) {
            assert_int_equal(send(peer, cases[i].bytes + k, 1, MSG_NOSIGNAL), 1);
            ic_loop_run_once(fx.loop, 2);
        }
        shutdown(peer, SHUT_WR);
        FX_UNTIL(&fx, fx.client.closed);
        assert_int_equal(fx.client.why.code, cases[i].code);
        close(peer);
        close(fd);
        fx_fini(&fx);
    }
}

/* Out of descriptors: accepting pauses, goes on when there are some again, and nothing is lost meanwhile. */
static void no_descriptors(void **state)
{
    (void)state;
    struct fx fx;
    open_hostile(&fx, IW_EP_TCP);
    int fd = raw_connect(&fx);
    int spare = dup(0);
    close(spare);
    struct rlimit old, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    few = (struct rlimit){(rlim_t)spare, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    for (int i = 0; i < 10; i++) {
        ic_loop_run_once(fx.loop, 5);
    }
    assert_null(fx.server.conn);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    FX_UNTIL(&fx, fx.server.active);
    raw_validated(&fx, fd);
    close(fd);
    fx_fini(&fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_vectors),
        cmocka_unit_test(one_byte_at_a_time),
        cmocka_unit_test(announces_much),
        cmocka_unit_test(flood_without_reading),
        cmocka_unit_test(ping_flood),
        cmocka_unit_test(half_closed_is_gone),
        cmocka_unit_test(client_wants_validation),
        cmocka_unit_test(no_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
