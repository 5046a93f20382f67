/* SPDX-License-Identifier: Apache-2.0 */
/* Oneways that leave together, with and without calls of their own, seen from the other end of the connection: sizes,
   order, and what is open at a close. */
#include "fixture.h"

#define REQUESTS_MAX 128

/* The server's end. */
struct peer {
    struct fixture f;
    struct raw raw;
    struct iw_proxy *prx;
    struct ir_conn *conn;
    bool directly; /* oneways are sent over conn, without calls */
};

static void on_connected(void *arg, const struct ir_result *r)
{
    struct peer *p = arg;
    assert_int_equal(r->outcome, IR_SUCCESS);
    p->conn = r->conn;
}

static int listen_somewhere(int *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static void peer_open(struct peer *p, const char *const *lines)
{
    int port;
    char text[64];
    bool directly = p->directly;
    memset(p, 0, sizeof(*p));
    p->directly = directly;
    fixture_init(&p->f, LINES("Ice.Warn.Connections=0"), lines);
    int listener = listen_somewhere(&port);
    snprintf(text, sizeof(text), "x:tcp -h 127.0.0.1 -p %d", port);
    p->prx = proxy_of(&p->f, p->f.client, text);
    assert_non_null(ir_connect(p->f.client, p->prx, NULL, on_connected, p));
    ic_loop_run_once(p->f.loop, 20);
    p->raw = (struct raw){.loop = p->f.loop, .fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)};
    assert_true(p->raw.fd >= 0);
    close(listener);
    raw_send_hex(&p->raw, HEX_VALIDATE);
    for (int64_t end = ib_clock_ms() + WAIT_MS; !p->conn && ib_clock_ms() < end;)
        ic_loop_run_once(p->f.loop, 20);
    assert_non_null(p->conn);
}

static void peer_close(struct peer *p)
{
    raw_close(&p->raw);
    fixture_fini(&p->f);
}

/* A oneway whose parameters are `size' bytes, of which the first four are the number. */
static void put(struct peer *p, int number, size_t size, enum ir_batch_mode mode)
{
    uint8_t params[40000] = {0};
    assert_in_range(size, 4, sizeof(params) - 6);
    for (int i = 0; i < 4; i++) {
        params[i] = (uint8_t)((size + 6) >> (8 * i));
        params[6 + i] = (uint8_t)((unsigned)number >> (8 * i));
    }
    params[4] = params[5] = 1;
    const struct ir_raw_request rq = {
        .id = {IB_STR("x"), IB_STR("")}, .operation = IB_STR("put"), .params = {params, size + 6}, .oneway = true};
    if (p->directly && mode != IR_BATCH_NO)
        assert_int_equal(ir_send_oneway(p->conn, &rq, mode), 0);
    else
        assert_non_null(ir_call_raw(p->f.client, p->prx, &rq,
                                    &(struct ir_call_options){.oneway = true, .batch = (uint8_t)mode}, NULL, NULL));
}

struct message {
    int type, count;
    size_t size;
    int numbers[REQUESTS_MAX];
};

static int int_at(const uint8_t *p)
{
    return (int)((unsigned)p[0] | (unsigned)p[1] << 8 | (unsigned)p[2] << 16 | (unsigned)p[3] << 24);
}

static struct message take(struct peer *p)
{
    struct ib_span s = raw_frame(&p->raw);
    assert_true(s.n >= 14);
    struct message m = {.type = s.p[8], .size = s.n, .count = s.n > 14};
    if (m.type == 1)
        m.count = int_at(s.p + 14);
    else if (m.count)
        assert_int_equal(int_at(s.p + 14), 0); /* a oneway's id */
    assert_in_range(m.count, 0, REQUESTS_MAX);
    size_t at = 18;
    for (int i = 0; i < m.count; i++) {
        at += 2 + 1 + 1 + 4 + 2; /* x, no category, no facet, put, mode, no context */
        assert_true(at + 10 <= s.n);
        m.numbers[i] = int_at(s.p + at + 6);
        at += (size_t)int_at(s.p + at);
    }
    assert_int_equal(at, m.count ? s.n : 18);
    vec_free(s);
    return m;
}

static void expect(struct peer *p, int type, int first, int count)
{
    struct message m = take(p);
    assert_int_equal(m.type, type);
    assert_int_equal(m.count, count);
    for (int i = 0; i < count; i++)
        assert_int_equal(m.numbers[i], first + i);
}

static void together(void **state)
{
    struct peer p = {.directly = *state != NULL};
    peer_open(&p, LINES(NULL));
    put(&p, 0, 8, IR_BATCH_IF_MANY);
    expect(&p, 0, 0, 1);
    put(&p, 0, 8, IR_BATCH_YES);
    expect(&p, 1, 0, 1);
    for (int mode = IR_BATCH_IF_MANY; mode <= IR_BATCH_YES; mode++) {
        for (int i = 0; i < 10; i++)
            put(&p, i, 8, (enum ir_batch_mode)mode);
        expect(&p, 1, 0, 10);
    }
    peer_close(&p);
}

/* `count' requests of `size' bytes, the last of which fills no message: none is larger than max, and none smaller than
 * need be. */
static void fill(struct peer *p, int count, size_t size, enum ir_batch_mode mode, size_t max)
{
    int seen = 0, messages = 0;
    for (int i = 0; i < count; i++)
        put(p, i, size, mode);
    for (; seen < count; messages++) {
        struct message m = take(p);
        assert_int_equal(m.type, 1);
        assert_in_range(m.size - 14, size, max);
        for (int i = 0; i < m.count; i++)
            assert_int_equal(m.numbers[i], seen++);
        assert_true(seen == count || m.size - 14 + size + 16 > max);
    }
    assert_in_range(messages, 2, count / 2);
}

static void sizes(void **state)
{
    struct peer p = {.directly = *state != NULL};
    peer_open(&p, LINES("Ice.BatchAutoFlushSize=8"));
    fill(&p, 100, 1000, IR_BATCH_IF_MANY, 32768);
    fill(&p, 100, 1000, IR_BATCH_YES, 8192 - 14);
    put(&p, 0, 8, IR_BATCH_YES); /* one that no batch holds goes by itself, in its place */
    put(&p, 1, 9000, IR_BATCH_YES);
    put(&p, 2, 8, IR_BATCH_YES);
    for (int i = 0; i < 3; i++)
        expect(&p, 1, i, 1);
    put(&p, 0, 8, IR_BATCH_IF_MANY);
    put(&p, 1, 33000, IR_BATCH_IF_MANY);
    for (int i = 0; i < 2; i++)
        expect(&p, 0, i, 1);
    peer_close(&p);
}

static void order(void **state)
{
    struct peer p = {.directly = *state != NULL};
    peer_open(&p, LINES(NULL));
    put(&p, 0, 8, IR_BATCH_YES);
    put(&p, 1, 8, IR_BATCH_YES);
    put(&p, 2, 8, IR_BATCH_NO);
    put(&p, 3, 8, IR_BATCH_IF_MANY);
    put(&p, 4, 8, IR_BATCH_IF_MANY);
    put(&p, 5, 8, IR_BATCH_YES); /* another kind of batch */
    expect(&p, 1, 0, 2);
    expect(&p, 0, 2, 1);
    expect(&p, 1, 3, 2);
    expect(&p, 1, 5, 1);
    peer_close(&p);
}

static bool has_come(struct peer *p)
{
    uint8_t byte;
    return recv(p->raw.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

/* A large batch leaves when it is pushed, before the loop's round ends; a small one waits for others. */
static void pushed(void **state)
{
    struct peer p = {.directly = *state != NULL};
    peer_open(&p, LINES(NULL));
    put(&p, 0, 8, IR_BATCH_YES);
    ir_conn_push(p.conn);
    assert_false(has_come(&p));
    expect(&p, 1, 0, 1);
    for (int i = 0; i < 3; i++)
        put(&p, i, 30000, IR_BATCH_YES);
    assert_false(has_come(&p));
    ir_conn_push(p.conn);
    assert_true(has_come(&p));
    expect(&p, 1, 0, 3);
    ir_conn_push(p.conn); /* nothing is open */
    put(&p, 0, 8, IR_BATCH_YES);
    expect(&p, 1, 0, 1);
    peer_close(&p);
}

/* What is open when the connection is closed leaves before the close. */
static void open_at_close(void **state)
{
    struct peer p = {.directly = false};
    (void)state;
    peer_open(&p, LINES(NULL));
    put(&p, 0, 8, IR_BATCH_YES);
    put(&p, 1, 8, IR_BATCH_YES);
    ir_conn_close(p.conn, false);
    const struct ir_raw_request late = {.id = {IB_STR("x"), IB_STR("")}, .operation = IB_STR("put"), .oneway = true};
    assert_int_equal(ir_send_oneway(p.conn, &late, IR_BATCH_YES), IB_ECLOSED);
    expect(&p, 1, 0, 2);
    assert_int_equal(take(&p).type, 4);
    peer_close(&p);
}

int main(void)
{
    static bool directly = true;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(together),
        cmocka_unit_test(sizes),
        cmocka_unit_test(order),
        cmocka_unit_test_prestate(together, &directly),
        cmocka_unit_test_prestate(sizes, &directly),
        cmocka_unit_test_prestate(order, &directly),
        cmocka_unit_test(pushed),
        cmocka_unit_test_prestate(pushed, &directly),
        cmocka_unit_test(open_at_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
