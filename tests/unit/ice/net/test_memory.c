/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that runs out: a whole session over each transport, in which every allocation of ours fails once. Connections
   may end early; nothing leaks, hangs or crashes, and the next session works. Linked with malloc, calloc and realloc
   wrapped (tests/CMakeLists.txt). */
#include "net_fixture.h"
#include "net_certs.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static long countdown = -1; /* allocations until one fails; -1 = none does */
static bool failed;

static bool fail_now(void)
{
    if (countdown < 0 || countdown-- > 0) {
        return false;
    }
    failed = true;
    return true;
}

void *__wrap_malloc(size_t n)
{
    return fail_now() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fail_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return fail_now() ? NULL : __real_realloc(p, n);
}

static struct certs certs;

static struct ic_tls *tls_new(const char *cert)
{
    struct ic_tls_config cfg = {.default_dir = certs.dir,
                                .cert_file = cert,
                                .cas = "ca.pem",
                                .verify_peer = 2,
                                .trust_only = "O=\"Moulin, Tests\"",
                                .verify_depth_max = 3,
                                .check_cert_name = cert[0] == 'c',
                                .security_level = -1};
    struct ib_err err;
    return ic_tls_new(&cfg, &err);
}

static bool over(const struct fx *fx)
{
    return !fx->client.conn || fx->client.closed;
}

/* Sends until the answers are there or the connection is gone. */
static void talk(struct fx *fx)
{
    static uint8_t body[200000];
    const size_t sizes[] = {10, 3000, 9000, sizeof body};
    for (int i = 0; i < 4 && !over(fx); i++) {
        struct ic_out m = {.type = IC_REQUEST, .compress = i == 1, .body = {body, sizes[i]}};
        int want = fx->client.frames + 1;
        int rc = ic_conn_send(fx->client.conn, &m, NULL);
        if (rc == IB_ENOMEM) {
            continue; /* this message only; the connection goes on */
        }
        if (rc == IB_ECLOSED && failed) {
            return; /* ended; on_close is on its way */
        }
        assert_int_equal(rc, 0);
        int64_t end = ib_clock_ms() + 5000;
        while (!over(fx) && fx->client.frames < want && ib_clock_ms() < end) {
            if (failed && fx->server.frames >= want) {
                break; /* the answer was what failed */
            }
            ic_loop_run_once(fx->loop, 5);
        }
    }
}

/* True when everything went as without a failure. */
static bool session(int type, const char *listen, const char *connect)
{
    struct fx fx = {0};
    struct ib_err err = {0};
    bool ok = false;
    fx.server_cfg = fx.client_cfg = fx_config();
    fx.server_cfg.acm = (struct ic_acm){60, IC_CLOSE_INVOCATION, IC_HEARTBEAT_DISPATCH};
    fx.server.echo = true;
    fx.loop = ic_loop_new(&err);
    if (!fx.loop) {
        return false;
    }
    bool secure = type == IW_EP_SSL || type == IW_EP_WSS;
    fx.server_tls = secure ? tls_new("server.pem") : NULL;
    fx.client_tls = secure ? tls_new("client.pem") : NULL;
    struct iw_endpoint ep = {.type = (int16_t)type, .host = ib_str(listen), .resource = IB_STR("/r")};
    if (!secure || (fx.server_tls && fx.client_tls)) {
        fx.listener = ic_listen(fx.loop, &ep, fx.server_tls, &fx.server_cfg, fx_accept, &fx, &err);
    }
    if (fx.listener) {
        ic_listener_start(fx.listener);
        ep.port = ic_listener_endpoint(fx.listener)->port;
        ep.host = ib_str(connect);
        fx.client.conn = ic_connect(fx.loop, &ep, fx.client_tls, &fx.client_cfg, &side_events, &fx.client);
        int64_t end = ib_clock_ms() + 5000;
        while (!over(&fx) && !fx.client.active && ib_clock_ms() < end) {
            ic_loop_run_once(fx.loop, 5);
        }
        assert_true(over(&fx) || fx.client.active);
        if (fx.client.active) {
            talk(&fx);
        }
        if (!over(&fx)) {
            ic_conn_close(fx.client.conn);
            end = ib_clock_ms() + 5000;
            while (!over(&fx) && ib_clock_ms() < end) {
                ic_loop_run_once(fx.loop, 5);
            }
            assert_true(over(&fx));
        }
        ok = fx.client.frames == 4 && fx.client.why.code == IB_ECLOSEDLOCAL;
    }
    fx_fini(&fx);
    return ok;
}

static const struct {
    int type;
    const char *listen, *connect;
} ways[] = {{IW_EP_TCP, "", "127.0.0.1"},
            {IW_EP_TCP, "127.0.0.1", "127.0.0.1"},
            {IW_EP_TCP, "", "localhost"},
            {IW_EP_WS, "", "127.0.0.1"},
            {IW_EP_WSS, "", "127.0.0.1"}};

static void every_allocation_fails_once(void **state)
{
    (void)state;
    long most = 0, total = 0;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        countdown = -1;
        assert_true(session(ways[i].type, ways[i].listen, ways[i].connect));
        long k = 0;
        do {
            countdown = k++;
            failed = false;
            session(ways[i].type, ways[i].listen, ways[i].connect);
            assert_true(k < 5000);
        } while (failed);
        countdown = -1;
        assert_true(session(ways[i].type, ways[i].listen, ways[i].connect));
        most = k > most ? k : most;
        total += k;
    }
    print_message("%ld failures, at most %ld in one session\n", total, most);
    assert_true(most > 20);
}

static int setup(void **state)
{
    (void)state;
    certs_make(&certs);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    certs_remove(&certs);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_fails_once)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
