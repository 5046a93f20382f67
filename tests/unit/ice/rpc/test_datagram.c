/* SPDX-License-Identifier: Apache-2.0 */
/* Oneways as datagrams, seen by the socket that gets them: sizes, batches, and one socket for an endpoint; and by an
   adapter with a udp endpoint: what it dispatches, what it drops. */
#include "fixture.h"

#define OVERHEAD 28 /* headers of IP and UDP, which Ice.UDP.SndSize counts */

struct sink {
    struct fixture f;
    struct iw_proxy *prx;
    int fd;
    int port; /* of the sender of the last datagram */
    struct outcome o;
};

static void sink_open(struct sink *k, const char *const *lines)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    char text[64];
    memset(k, 0, sizeof(*k));
    fixture_init(&k->f, LINES(NULL), lines);
    k->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(k->fd >= 0);
    assert_int_equal(bind(k->fd, (struct sockaddr *)&a, n), 0);
    assert_int_equal(getsockname(k->fd, (struct sockaddr *)&a, &n), 0);
    snprintf(text, sizeof(text), "x -d:udp -h 127.0.0.1 -p %d", ntohs(a.sin_port));
    k->prx = proxy_of(&k->f, k->f.client, text);
}

static void sink_close(struct sink *k)
{
    close(k->fd);
    fixture_fini(&k->f);
}

/* Parameters of `size' bytes in all; how the call ended. */
static int put(struct sink *k, size_t size, enum ir_batch_mode mode)
{
    static uint8_t params[70000];
    assert_in_range(size, 6, sizeof(params));
    for (int i = 0; i < 4; i++)
        params[i] = (uint8_t)(size >> (8 * i));
    params[4] = params[5] = 1;
    const struct ir_raw_request rq = {
        .id = {IB_STR("x"), IB_STR("")}, .operation = IB_STR("put"), .params = {params, size}, .oneway = true};
    const struct ir_call_options opt = {.oneway = true, .datagram = true, .batch = (uint8_t)mode};
    k->o = (struct outcome){0};
    assert_non_null(ir_call_raw(k->f.client, k->prx, &rq, &opt, on_outcome, &k->o));
    wait_for(k->f.loop, &k->o.done);
    return k->o.outcome == IR_SUCCESS ? 0 : k->o.code;
}

/* The size of the next datagram, which is a whole message of that type. */
static size_t take(struct sink *k, int type, int count)
{
    static uint8_t p[70000];
    struct sockaddr_in from;
    socklen_t from_size = sizeof(from);
    ssize_t n = -1;
    for (int64_t end = ib_clock_ms() + WAIT_MS; n < 0 && ib_clock_ms() < end;) {
        ic_loop_run_once(k->f.loop, 5);
        n = recvfrom(k->fd, p, sizeof(p), 0, (struct sockaddr *)&from, &from_size);
    }
    assert_true(n >= 18);
    assert_memory_equal(p, "IceP", 4);
    assert_int_equal(p[8], type);
    assert_int_equal(p[10] | p[11] << 8 | p[12] << 16 | p[13] << 24, n);
    assert_int_equal(p[14], type == 1 ? count : 0);
    k->port = ntohs(from.sin_port);
    return (size_t)n;
}

static void nothing_came(struct sink *k)
{
    char p[16];
    ic_loop_run_once(k->f.loop, 0);
    assert_int_equal(recv(k->fd, p, sizeof(p), 0), -1);
}

#define HEAD (14 + 4 + 2 + 1 + 1 + 4 + 2) /* header, id, and a request up to its parameters */

static void sizes(void **state)
{
    struct sink k;
    size_t most = 1000 - OVERHEAD;
    (void)state;
    sink_open(&k, LINES("Ice.UDP.SndSize=1000"));
    assert_int_equal(put(&k, most - HEAD, IR_BATCH_NO), 0);
    assert_int_equal(take(&k, 0, 0), most);
    assert_int_equal(put(&k, most - HEAD + 1, IR_BATCH_NO), IB_EDATAGRAMLIMIT);
    assert_int_equal(put(&k, most - HEAD + 1, IR_BATCH_YES), IB_EDATAGRAMLIMIT);
    nothing_came(&k);
    sink_close(&k);
    sink_open(&k, LINES(NULL)); /* what UDP carries at most */
    assert_int_equal(put(&k, 65507 - HEAD, IR_BATCH_NO), 0);
    assert_int_equal(take(&k, 0, 0), 65507);
    assert_int_equal(put(&k, 65507 - HEAD + 1, IR_BATCH_NO), IB_EDATAGRAMLIMIT);
    nothing_came(&k);
    sink_close(&k);
}

/* A batch leaves before it would be too large, and before what comes after it. */
static void batches(void **state)
{
    struct sink k;
    struct outcome o[5];
    (void)state;
    sink_open(&k, LINES("Ice.UDP.SndSize=1000"));
    assert_int_equal(put(&k, 6, IR_BATCH_NO), 0); /* the address is resolved now */
    assert_int_equal(take(&k, 0, 0), HEAD + 6);
    uint8_t params[300] = {44, 1, 0, 0, 1, 1};
    const struct ir_raw_request rq = {.id = {IB_STR("x"), IB_STR("")},
                                      .operation = IB_STR("put"),
                                      .params = {params, sizeof(params)},
                                      .oneway = true};
    memset(o, 0, sizeof(o));
    for (int i = 0; i < 5; i++) {
        const struct ir_call_options opt = {
            .oneway = true, .datagram = true, .batch = i < 4 ? IR_BATCH_YES : IR_BATCH_NO};
        assert_non_null(ir_call_raw(k.f.client, k.prx, &rq, &opt, on_outcome, &o[i]));
    }
    size_t one = HEAD - 18 + sizeof(params);
    assert_int_equal(take(&k, 1, 3), 18 + 3 * one);
    assert_int_equal(take(&k, 1, 1), 18 + one);
    assert_int_equal(take(&k, 0, 0), 18 + one);
    wait_for(k.f.loop, &o[4].done);
    sink_close(&k);
}

static void one_socket(void **state)
{
    struct sink k;
    (void)state;
    sink_open(&k, LINES(NULL));
    assert_int_equal(put(&k, 6, IR_BATCH_NO), 0);
    (void)take(&k, 0, 0);
    int port = k.port;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(put(&k, 6, IR_BATCH_NO), 0);
        (void)take(&k, 0, 0);
        assert_int_equal(k.port, port);
    }
    sink_close(&k);
}

/* Nobody there: a loss, not an error, and the socket goes on. */
static void nobody_listens(void **state)
{
    struct sink k;
    (void)state;
    sink_open(&k, LINES(NULL));
    int fd = k.fd;
    struct sockaddr_in a;
    socklen_t n = sizeof(a);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    close(fd);
    for (int i = 0; i < 3; i++)
        assert_int_equal(put(&k, 6, IR_BATCH_NO), 0);
    k.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(k.fd, (struct sockaddr *)&a, n), 0);
    assert_int_equal(put(&k, 6, IR_BATCH_NO), 0); /* this one learns of the refusal before */
    assert_int_equal(put(&k, 6, IR_BATCH_NO), 0);
    assert_int_equal(take(&k, 0, 0), HEAD + 6);
    sink_close(&k);
}

/* --- an adapter that receives ---------------------------------------------------------------------------------------
 */

struct receiver {
    struct sink k;
    struct ir_adapter *adapter;
    struct ir_servant servant;
    int n; /* requests seen */
    bool keep; /* the next one is answered later */
    struct ir_request *kept;
    bool seen; /* one that the test waits for */
};

static void on_request(void *self, struct ir_request *rq)
{
    struct receiver *v = self;
    v->n++;
    v->seen = true;
    assert_null(ir_request_conn(rq));
    if (v->keep) {
        v->keep = false;
        v->kept = rq;
        return;
    }
    ir_request_reply_raw(rq, IR_OK, (struct ib_span){(const uint8_t *)"\6\0\0\0\1\1", 6}, NULL);
}

static void receiver_open(struct receiver *v)
{
    const struct ir_adapter_options o = {.endpoints = "udp -h 127.0.0.1"};
    const struct iw_identity id = {IB_STR("x"), IB_STR("")};
    struct ib_err err = {0};
    size_t n;
    char text[64];
    memset(v, 0, sizeof(*v));
    sink_open(&v->k, LINES(NULL));
    v->adapter = ir_adapter_new_with(v->k.f.server, "Receiver", &o, &err);
    assert_non_null(v->adapter);
    v->servant = (struct ir_servant){.raw = on_request, .self = v};
    assert_int_equal(ir_adapter_add(v->adapter, &id, "", &v->servant), 0);
    ir_adapter_activate(v->adapter, NULL, NULL);
    const struct iw_endpoint *ep = ir_adapter_endpoints(v->adapter, &n);
    assert_int_equal(n, 1);
    assert_int_equal(ep->type, IW_EP_UDP);
    assert_in_range(ep->port, 1, 65535);
    snprintf(text, sizeof(text), "x -d:udp -h 127.0.0.1 -p %d", ep->port);
    v->k.prx = proxy_of(&v->k.f, v->k.f.client, text);
}

static void await_one(struct receiver *v)
{
    wait_for(v->k.f.loop, &v->seen);
    v->seen = false;
}

static void receiver_close(struct receiver *v)
{
    ir_adapter_free(v->adapter);
    sink_close(&v->k);
}

static void requests_and_batches(void **state)
{
    struct receiver v;
    (void)state;
    receiver_open(&v);
    assert_int_equal(put(&v.k, 6, IR_BATCH_NO), 0);
    await_one(&v);
    assert_int_equal(v.n, 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(put(&v.k, 6, IR_BATCH_YES), 0);
    while (v.n < 4)
        await_one(&v);
    assert_int_equal(put(&v.k, 60000, IR_BATCH_NO), 0);
    await_one(&v);
    assert_int_equal(v.n, 5);
    receiver_close(&v);
}

/* What is no request, or not whole, is lost; the one that follows is not. */
static void rubbish(void **state)
{
    static const uint8_t wrong[][18] = {
        {'I'},
        {'N', 'o', 'p', 'e', 1, 0, 1, 0, 0, 0, 18},
        {'I', 'c', 'e', 'P', 1, 0, 1, 0, 0, 0, 19}, /* longer than it is */
        {'I', 'c', 'e', 'P', 1, 0, 1, 0, 0, 0, 17}, /* shorter */
        {'I', 'c', 'e', 'P', 1, 0, 1, 0, 2, 0, 18}, /* a reply */
        {'I', 'c', 'e', 'P', 1, 0, 1, 0, 3, 0, 18}, /* validation */
        {'I', 'c', 'e', 'P', 1, 0, 1, 0, 0, 2, 18}, /* compressed, it says */
        {'I', 'c', 'e', 'P', 1, 0, 1, 0, 1, 0, 18, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f}, /* a batch of many */
        {'I', 'c', 'e', 'P', 1, 0, 1, 0, 1, 0, 18, 0, 0, 0, 0xff, 0xff, 0xff, 0xff},
        {'I', 'c', 'e', 'P', 1, 0, 1, 0, 0, 0, 18}, /* a request that ends after its id */
    };
    struct receiver v;
    (void)state;
    receiver_open(&v);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    to.sin_port = htons((uint16_t)v.k.prx->endpoints[0].port);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(sendto(v.k.fd, wrong[i], 18, 0, (struct sockaddr *)&to, sizeof(to)), 18);
    assert_int_equal(sendto(v.k.fd, "", 0, 0, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(put(&v.k, 6, IR_BATCH_NO), 0);
    await_one(&v);
    assert_int_equal(v.n, 1);
    receiver_close(&v);
}

/* One is answered when its adapter is gone; a deactivated adapter hears nothing. */
static void answered_late(void **state)
{
    struct receiver v;
    (void)state;
    receiver_open(&v);
    v.keep = true;
    assert_int_equal(put(&v.k, 6, IR_BATCH_NO), 0);
    await_one(&v);
    assert_non_null(v.kept);
    ir_adapter_deactivate(v.adapter);
    assert_int_equal(put(&v.k, 6, IR_BATCH_NO), 0);
    run_for(v.k.f.loop, 50);
    assert_int_equal(v.n, 1);
    ir_adapter_free(v.adapter);
    v.adapter = NULL;
    ir_request_fail(v.kept, IR_UNKNOWN, "late");
    receiver_close(&v);
}

static void no_such_address(void **state)
{
    struct fixture f;
    struct ib_err err = {0};
    const char *const wrong[] = {"udp -h 192.0.2.77 -p 4061", "udp -h 239.255.0.1 -p 4061 --interface 192.0.2.77",
                                 "udp -h 239.255.0.1 -p 4061 --interface nowhere"};
    (void)state;
    fixture_init(&f, LINES(NULL), LINES(NULL));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        const struct ir_adapter_options o = {.endpoints = wrong[i]};
        err = (struct ib_err){0};
        assert_null(ir_adapter_new_with(f.server, "Receiver", &o, &err));
        assert_non_null(strstr(err.text, "Receiver"));
    }
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(batches),
        cmocka_unit_test(one_socket),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(requests_and_batches),
        cmocka_unit_test(rubbish),
        cmocka_unit_test(answered_late),
        cmocka_unit_test(no_such_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
