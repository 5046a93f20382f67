/* SPDX-License-Identifier: Apache-2.0 */
/* WebSocket: the captured handshake and frames, every rule of ice-protocol 14.4, and bytes that come in pieces. */
#include "test.h"
#include "vectors.h"

#include "transport.h"
#include "ws_http.h"

#include <stdio.h>
#include <stdlib.h>

/* A transport that reads from a script, step bytes at a time, and keeps what is written. */
struct script {
    struct ic_tp tp;
    struct ib_span in;
    size_t at, step;
    struct ib_buf out;
    bool freed;
};

static int sc_handshake(struct ic_tp *tp, struct ib_err *err)
{
    (void)tp;
    (void)err;
    return 0;
}

static ssize_t sc_read(struct ic_tp *tp, uint8_t *p, size_t n, struct ib_err *err)
{
    (void)err;
    struct script *s = (struct script *)(void *)tp;
    size_t k = s->in.n - s->at;
    k = k < n ? k : n;
    k = k < s->step ? k : s->step;
    if (k == 0) {
        return IC_TP_READABLE;
    }
    memcpy(p, s->in.p + s->at, k);
    s->at += k;
    return (ssize_t)k;
}

static ssize_t sc_write(struct ic_tp *tp, const struct iovec *v, int n, struct ib_err *err)
{
    (void)err;
    struct script *s = (struct script *)(void *)tp;
    assert_int_equal(n, 1);
    size_t k = v[0].iov_len < s->step ? v[0].iov_len : s->step;
    ib_buf_put(&s->out, v[0].iov_base, k);
    return (ssize_t)k;
}

static bool sc_pending(const struct ic_tp *tp)
{
    (void)tp;
    return false;
}

static void sc_free(struct ic_tp *tp)
{
    ((struct script *)(void *)tp)->freed = true;
}

static const struct ic_tp_ops sc_ops = {sc_handshake, sc_read, sc_write, sc_pending, sc_free, NULL, NULL};

static struct ic_tp *script_new(struct script *s, bool outgoing, struct ib_span in, size_t step)
{
    *s = (struct script){.tp = {.ops = &sc_ops, .fd = -1, .outgoing = outgoing}, .in = in, .step = step};
    ib_buf_init(&s->out);
    struct ic_tp *ws = ic_ws_new(&s->tp, "127.0.0.1", 10000, "/chat", 4096);
    assert_non_null(ws);
    return ws;
}

static void script_end(struct script *s, struct ic_tp *ws)
{
    ws->ops->free(ws);
    assert_true(s->freed);
    ib_buf_fini(&s->out);
}

static struct ib_span vector(json_t *all, const char *name, const char *key)
{
    json_t *v;
    size_t i;
    json_array_foreach(all, i, v)
    {
        if (strcmp(vec_text(v, "name"), name) == 0) {
            return vec_hex(vec_text(v, key));
        }
    }
    fail_msg("no vector %s", name);
    return (struct ib_span){0};
}

/* The whole client side of the captured session is fed to our server. */
static void captured_session(void **state)
{
    (void)state;
    json_t *all = vec_load("websocket.json");
    struct ib_span request = vector(all, "ws_handshake_request", "hex");
    struct ib_span response = vector(all, "ws_handshake_response", "hex");
    struct ib_buf in, want;
    ib_buf_init(&in);
    ib_buf_init(&want);
    ib_buf_put(&in, request.p, request.n);
    for (int i = 0; i < 4; i++) {
        char name[32];
        snprintf(name, sizeof name, "ws_frame_client_%d", i);
        struct ib_span frame = vector(all, name, "hex"), payload = vector(all, name, "payload");
        ib_buf_put(&in, frame.p, frame.n);
        if (i < 3) { /* the last is the close frame */
            ib_buf_put(&want, payload.p, payload.n);
        }
        vec_free(frame);
        vec_free(payload);
    }
    for (size_t step = 1; step <= in.n; step++) {
        struct script s;
        struct ib_err err;
        struct ic_tp *ws = script_new(&s, false, ib_buf_span(&in), step);
        assert_int_equal(ws->ops->handshake(ws, &err), 0);
        vec_assert_same("response", ib_buf_span(&s.out), response);
        struct ib_buf got;
        ib_buf_init(&got);
        uint8_t room[100], payload[IC_WS_CONTROL_MAX];
        ssize_t n;
        while ((n = ws->ops->read(ws, room, sizeof room, &err)) != IC_TP_READABLE) {
            assert_true(n > 0 || n == IC_TP_AGAIN);
            ib_buf_put(&got, room, n > 0 ? (size_t)n : 0);
        }
        vec_assert_same("payload", ib_buf_span(&got), ib_buf_span(&want));
        size_t pn;
        assert_int_equal(ic_ws_control(ws, payload, &pn), IC_WS_CLOSE);
        ib_buf_fini(&got);
        script_end(&s, ws);
    }
    print_message("vectors: %zu WebSocket vectors, in pieces of 1 to %zu bytes\n", json_array_size(all), in.n);
    ib_buf_fini(&in);
    ib_buf_fini(&want);
    vec_free(request);
    vec_free(response);
    json_decref(all);
}

/* What we send equals what real peers sent. */
static void captured_frames_built(void **state)
{
    (void)state;
    json_t *all = vec_load("websocket.json"), *v;
    size_t i;
    int count = 0;
    json_array_foreach(all, i, v)
    {
        if (!vec_text(v, "payload")) {
            continue;
        }
        struct ib_span frame = vec_bytes(v), payload = vec_hex(vec_text(v, "payload"));
        bool masked = frame.p[1] & 0x80;
        size_t head = frame.n - payload.n;
        uint8_t *built = malloc(payload.n + IC_WS_PREFIX_MAX);
        assert_non_null(built);
        const uint8_t *mask = masked ? frame.p + head - 4 : NULL;
        assert_int_equal(ic_ws_prefix(built, frame.p[0] & 15, payload.n, mask), head);
        memcpy(built + head, payload.p, payload.n);
        if (mask) {
            ic_ws_mask(built + head, payload.n, mask, 0);
        }
        vec_assert_same(vec_text(v, "name"), (struct ib_span){built, frame.n}, frame);
        free(built);
        vec_free(frame);
        vec_free(payload);
        count++;
    }
    assert_int_equal(count, 8);
    json_decref(all);
}

/* Our client's request pleases our server; the server's answer with frames behind it pleases our client. */
static void client_side(void **state)
{
    (void)state;
    struct script s;
    struct ib_err err;
    struct ic_tp *ws = script_new(&s, true, (struct ib_span){0}, 7);
    assert_int_equal(ws->ops->handshake(ws, &err), IC_TP_READABLE);
    struct ib_buf answer;
    ib_buf_init(&answer);
    assert_int_equal(ic_ws_check_request(ib_buf_span(&s.out), &answer, &err), 0);
    assert_non_null(strstr(ib_buf_cstr(&s.out), "GET /chat HTTP/1.1\r\nHost: 127.0.0.1:10000\r\n"));
    ib_buf_put(&answer,
               "\x82\x03"
               "abc",
               5);
    s.in = ib_buf_span(&answer);
    int rc;
    while ((rc = ws->ops->handshake(ws, &err)) == IC_TP_READABLE) {
        assert_true(s.at < s.in.n);
    }
    assert_int_equal(rc, 0);
    uint8_t room[10];
    size_t n = 0;
    ssize_t got;
    while ((got = ws->ops->read(ws, room + n, sizeof room - n, &err)) != IC_TP_READABLE) {
        n += got > 0 ? (size_t)got : 0;
    }
    assert_int_equal(n, 3);
    assert_memory_equal(room, "abc", 3);
    ib_buf_fini(&answer);
    script_end(&s, ws);
}

#define UPGRADE "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define KEY "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"

static void requests(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        bool ok;
    } cases[] = {
        {"GET / HTTP/1.1\r\n" UPGRADE VERSION KEY "\r\n", true},
        {"POST nonsense HTTP/1.1\r\nOrigin: x\r\n" UPGRADE VERSION KEY "\r\n", true},
        {"GET / HTTP/1.1\nUPGRADE: WebSocket\nconnection: keep-alive, UPGRADE\n" VERSION KEY "\n", true},
        {"GET / HTTP/1.1\r\nUpgrade:\r\n websocket\r\nConnection: Upgrade\r\n" VERSION KEY "\r\n", true},
        {"GET / HTTP/1.1\r\nSec-WebSocket-Protocol: Ice.ZeroC.com\r\n" UPGRADE VERSION KEY "\r\n", true},
        {"GET / HTTP/1.1\r\nSec-WebSocket-Protocol: ice.zeroc.com, chat\r\n" UPGRADE VERSION KEY "\r\n", false},
        {"GET / HTTP/1.0\r\n" UPGRADE VERSION KEY "\r\n", false},
        {"GET / HTTP/1.10\r\n" UPGRADE VERSION KEY "\r\n", false},
        {"GET /\r\n" UPGRADE VERSION KEY "\r\n", false},
        {"GET / HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n" VERSION KEY "\r\n", false},
        {"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: close\r\n" VERSION KEY "\r\n", false},
        {"GET / HTTP/1.1\r\nConnection: Upgrade\r\n" VERSION KEY "\r\n", false},
        {"GET / HTTP/1.1\r\n" UPGRADE "Sec-WebSocket-Version: 8\r\n" KEY "\r\n", false},
        {"GET / HTTP/1.1\r\n" UPGRADE KEY "\r\n", false},
        {"GET / HTTP/1.1\r\n" UPGRADE VERSION "\r\n", false},
        {"GET / HTTP/1.1\r\n" UPGRADE VERSION "Sec-WebSocket-Key: AAAA\r\n\r\n", false},
        {"GET / HTTP/1.1\r\n" UPGRADE VERSION "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nno colon\r\n" UPGRADE VERSION KEY "\r\n", false},
        {"\r\n\r\n", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ib_span head = {(const uint8_t *)cases[i].head, strlen(cases[i].head)};
        assert_int_equal(ic_ws_head_length(head, 0), i == sizeof cases / sizeof *cases - 1 ? 4 : head.n);
        struct ib_buf out;
        struct ib_err err;
        ib_buf_init(&out);
        if ((ic_ws_check_request(head, &out, &err) == 0) != cases[i].ok) {
            fail_msg("case %zu: %s", i, cases[i].head);
        }
        assert_int_equal(out.n > 0, cases[i].ok);
        ib_buf_fini(&out);
    }
}

static int respond(const char *status, const char *upgrade, const char *connection, const char *accept)
{
    struct ib_buf b;
    struct ib_err err;
    ib_buf_init(&b);
    ib_buf_printf(&b, "HTTP/1.1 %s\r\nUpgrade: %s\r\nConnection: %s\r\nSec-WebSocket-Accept: %s\r\n\r\n", status,
                  upgrade, connection, accept);
    int rc = ic_ws_check_response(ib_buf_span(&b), "AAAAAAAAAAAAAAAAAAAAAA==", &err);
    ib_buf_fini(&b);
    return rc;
}

static void responses(void **state)
{
    (void)state;
    char accept[IC_WS_ACCEPT_LEN + 1];
    ic_ws_accept("AAAAAAAAAAAAAAAAAAAAAA==", accept);
    assert_int_equal(respond("101 Fine", "WebSocket", "upgrade", accept), 0);
    assert_int_equal(respond("200 OK", "websocket", "Upgrade", accept), IB_EWEBSOCKET);
    assert_int_equal(respond("1010 X", "websocket", "Upgrade", accept), IB_EWEBSOCKET);
    assert_int_equal(respond("101 X", "x", "Upgrade", accept), IB_EWEBSOCKET);
    assert_int_equal(respond("101 X", "websocket", "x", accept), IB_EWEBSOCKET);
    assert_int_equal(respond("101 X", "websocket", "Upgrade", "AAAAAAAAAAAAAAAAAAAAAAAAAAAA"), IB_EWEBSOCKET);
}

static void head_too_long(void **state)
{
    (void)state;
    static char flood[10000];
    memset(flood, 'x', sizeof flood);
    struct script s;
    struct ib_err err;
    struct ic_tp *ws = script_new(&s, false, (struct ib_span){(uint8_t *)flood, sizeof flood}, 1000);
    assert_int_equal(ws->ops->handshake(ws, &err), IB_EMEMLIMIT);
    assert_true(s.at <= 4096 + 2048);
    script_end(&s, ws);
}

/* Frames to an open server (masked with zeros, so readable) and what must come of them. */
static const struct {
    const char *name, *hex, *payload; /* payload NULL: an error */
    int control;
} frames[] = {
    {"whole", "828300000000616263", "abc", 0},
    {"mask", "828301020304605260", "\x61\x50\x63", 0},
    {"two messages in one frame", "828600000000616263646566", "abcdef", 0},
    {"continuation",
     "02810000000061"
     "80820000000062"
     "63",
     "abc", 0},
    {"two data frames",
     "82810000000061"
     "82820000000062"
     "63",
     "abc", 0},
    {"ping in between",
     "02810000000061"
     "898300000000313233"
     "80820000000062"
     "63",
     "abc", IC_WS_PING},
    {"pong",
     "8a80000000008a83000000003132338281000000"
     "0061",
     "a", 0},
    {"reserved bits", "f2810000000061", "a", 0},
    {"16-bit length of little",
     "82fe00030000000061"
     "6263",
     "abc", 0},
    {"close ends it",
     "8281000000006188820000000003e88281000000"
     "0062",
     "a", IC_WS_CLOSE},
    {"close without a code", "888000000000", "", IC_WS_CLOSE},
    {"text", "81810000000061", NULL, 0},
    {"opcode 3", "83810000000061", NULL, 0},
    {"opcode 11", "8b810000000061", NULL, 0},
    {"empty data", "828000000000", NULL, 0},
    {"not masked", "8203616263", NULL, 0},
    {"continuation of nothing", "80810000000061", NULL, 0},
    {"new frame before the end",
     "02810000000061"
     "82810000000061",
     NULL, 0},
    {"long ping", "89fe007e00000000", NULL, 0},
    {"ping in pieces", "09810000000061", NULL, 0},
    {"2 GB", "82ff000000008000000000000000", NULL, 0},
    {"length with the top bit", "82ffffffffffffffffff00000000", NULL, 0},
};

static void frame_rules(void **state)
{
    (void)state;
    const char *head = "GET / HTTP/1.1\r\n" UPGRADE VERSION KEY "\r\n";
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        for (size_t step = 1; step < 40; step++) {
            struct ib_span raw = vec_hex(frames[i].hex);
            struct ib_buf in;
            ib_buf_init(&in);
            ib_buf_puts(&in, head);
            ib_buf_put(&in, raw.p, raw.n);
            struct script s;
            struct ib_err err;
            struct ic_tp *ws = script_new(&s, false, ib_buf_span(&in), step);
            assert_int_equal(ws->ops->handshake(ws, &err), 0);
            uint8_t room[64], payload[IC_WS_CONTROL_MAX];
            size_t n = 0, pn = 0;
            ssize_t got;
            int control = 0;
            while ((got = ws->ops->read(ws, room + n, sizeof room - n, &err)) > 0 || got == IC_TP_AGAIN) {
                n += got > 0 ? (size_t)got : 0;
                int c = ic_ws_control(ws, payload, &pn);
                control = c ? c : control;
            }
            const char *want = frames[i].payload;
            if (want ? got != IC_TP_READABLE : got != IB_EWEBSOCKET) {
                fail_msg("%s, pieces of %zu: %d", frames[i].name, step, (int)got);
            }
            if (want && (n != strlen(want) || memcmp(room, want, n) != 0 || control != frames[i].control)) {
                fail_msg("%s, pieces of %zu: %zu bytes, control %d", frames[i].name, step, n, control);
            }
            if (control == IC_WS_PING) {
                assert_int_equal(pn, 3);
                assert_memory_equal(payload, "123", 3);
            }
            ib_buf_fini(&in);
            script_end(&s, ws);
            vec_free(raw);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(captured_session), cmocka_unit_test(captured_frames_built),
        cmocka_unit_test(client_side),      cmocka_unit_test(requests),
        cmocka_unit_test(responses),        cmocka_unit_test(head_too_long),
        cmocka_unit_test(frame_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
