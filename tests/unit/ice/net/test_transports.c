/* SPDX-License-Identifier: Apache-2.0 */
/* Every transport end to end: the same things happen over tcp, ssl, ws and wss. */
#include "net_fixture.h"
#include "net_certs.h"

#include <arpa/inet.h>
#include <sys/socket.h>

static const int types[] = {IW_EP_TCP, IW_EP_SSL, IW_EP_WS, IW_EP_WSS};
static const char *const names[] = {"tcp", "ssl", "ws", "wss"};
static struct certs certs; /* made once by the group's setup */

static struct ic_tls_config tls_config(const char *cert)
{
    return (struct ic_tls_config){.default_dir = certs.dir,
                                  .cert_file = cert,
                                  .cas = "ca.pem",
                                  .verify_peer = 2,
                                  .verify_depth_max = 3,
                                  .security_level = -1};
}

static struct ic_tls *tls_new(const struct ic_tls_config *cfg)
{
    struct ib_err err = {0};
    struct ic_tls *t = ic_tls_new(cfg, &err);
    if (!t) {
        fail_msg("%s", err.text);
    }
    return t;
}

static void fx_tls(struct fx *fx)
{
    struct ic_tls_config s = tls_config("server.pem"), c = tls_config("client.pem");
    fx->server_tls = tls_new(&s);
    fx->client_tls = tls_new(&c);
}

static void open_fx(struct fx *fx, int type)
{
    fx_listen(fx, type, "");
    fx_connect(fx, "127.0.0.1");
    FX_UNTIL(fx, fx->client.active && fx->server.active);
}

static void info(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct fx fx;
        fx_init(&fx);
        fx_tls(&fx);
        open_fx(&fx, types[i]);
        bool secure = types[i] == IW_EP_SSL || types[i] == IW_EP_WSS;
        struct ic_conn_info c, s;
        ic_conn_get_info(fx.client.conn, &c);
        ic_conn_get_info(fx.server.conn, &s);
        assert_string_equal(c.transport, names[i]);
        assert_int_equal(c.secure, secure);
        assert_false(c.incoming);
        assert_true(s.incoming);
        assert_string_equal(s.remote_host, "127.0.0.1"); /* not ::ffff:127.0.0.1 */
        assert_int_equal(s.remote_port, c.local_port);
        assert_int_equal(c.remote_port, fx_port(&fx));
        assert_int_equal(s.has_peer_cert, secure);
        assert_string_equal(s.cipher, secure ? "TLS_AES_128_GCM_SHA256" : "");
        struct ib_arena a;
        ib_arena_init(&a, 0);
        struct ib_str *pem;
        assert_int_equal(ic_conn_peer_certs(fx.server.conn, &a, &pem), secure ? 2 : 0);
        struct ib_str subject = ic_conn_peer_subject(fx.server.conn, &a);
        assert_string_equal(subject.p, secure ? "CN=client,O=Moulin\\, Tests" : "");
        if (secure) {
            assert_memory_equal(pem[0].p, "-----BEGIN CERTIFICATE", 22);
        }
        ib_arena_fini(&a);
        fx_fini(&fx);
    }
}

static void echo(void **state)
{
    (void)state;
    static uint8_t text[300000];
    for (size_t k = 0; k < sizeof text; k++) {
        text[k] = (uint8_t)(k * 31 + k / 777);
    }
    const size_t sizes[] = {0, 1, 111, 112, 125, 65521, 65522, 65536, 300000};
    for (size_t i = 0; i < 4; i++) {
        struct fx fx;
        fx_init(&fx);
        fx_tls(&fx);
        open_fx(&fx, types[i]);
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            fx.client.frames = 0;
            fx_send(&fx, &fx.client, IC_REQUEST, text, sizes[k], false);
            FX_UNTIL(&fx, fx.client.frames == 1);
            assert_int_equal(fx.client.last.body.n, sizes[k]);
            assert_memory_equal(fx.client.last.body.p, text, sizes[k]);
        }
        fx_fini(&fx);
    }
}

/* Many messages of mixed sizes at once, to and fro, some compressed: order and bytes hold. */
static void check_order(void *arg, struct ic_conn *c, const struct ic_frame *f)
{
    (void)c;
    struct side *s = arg;
    int n = s->frames++;
    assert_true(f->body.n >= 4);
    assert_memory_equal(f->body.p, &n, 4);
    for (size_t i = 4; i < f->body.n; i++) {
        assert_int_equal(f->body.p[i], (uint8_t)n);
    }
    s->bytes += f->body.n;
}

static void many(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct fx fx;
        fx_init(&fx);
        fx_tls(&fx);
        fx.client_cfg.out_high_water = fx.server_cfg.out_high_water = 200000;
        open_fx(&fx, types[i]);
        struct ic_conn_events ev = side_events;
        ev.on_frame = check_order;
        ic_conn_set_events(fx.client.conn, &ev, &fx.client);
        static uint8_t body[70000];
        int total = 600;
        for (int n = 0; n < total; n++) {
            size_t size = n % 50 == 49 ? sizeof body : (size_t)(4 + n * 37 % 3000);
            memset(body, (uint8_t)n, size);
            memcpy(body, &n, 4);
            fx_send(&fx, &fx.client, IC_REQUEST, body, size, n % 20 == 3);
        }
        FX_UNTIL(&fx, fx.client.frames == total);
        assert_true(ic_conn_was_written(fx.client.conn, (uint64_t)total));
        fx_fini(&fx);
    }
}

static void graceful(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        for (int by_server = 0; by_server < 2; by_server++) {
            struct fx fx;
            fx_init(&fx);
            fx_tls(&fx);
            open_fx(&fx, types[i]);
            struct side *first = by_server ? &fx.server : &fx.client, *second = by_server ? &fx.client : &fx.server;
            fx_send(&fx, first, IC_REQUEST, "last words", 10, false);
            ic_conn_close(first->conn);
            FX_UNTIL(&fx, fx.client.closed && fx.server.closed);
            assert_int_equal(second->frames, 1);
            assert_int_equal(first->frames, second->echo); /* dispatched and answered before the close was read */
            assert_int_equal(first->why.code, IB_ECLOSEDLOCAL);
            assert_int_equal(second->why.code, IB_ECLOSED);
            assert_true(first->closing && second->closing);
            fx_fini(&fx);
        }
    }
}

static void both_close(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct fx fx;
        fx_init(&fx);
        fx_tls(&fx);
        fx.client_cfg.close_timeout_ms = fx.server_cfg.close_timeout_ms = 3000;
        open_fx(&fx, types[i]);
        ic_conn_close(fx.client.conn);
        ic_conn_close(fx.server.conn);
        FX_UNTIL(&fx, fx.client.closed && fx.server.closed);
        assert_int_not_equal(fx.client.why.code, IB_ECLOSETIMEOUT);
        assert_int_not_equal(fx.server.why.code, IB_ECLOSETIMEOUT);
        fx_fini(&fx);
    }
}

static void lost(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct fx fx;
        fx_init(&fx);
        fx_tls(&fx);
        open_fx(&fx, types[i]);
        ic_conn_abort(fx.server.conn, IB_ECANCELED, "enough");
        FX_UNTIL(&fx, fx.client.closed && fx.server.closed);
        assert_int_equal(fx.client.why.code, IB_ELOST);
        fx_fini(&fx);
    }
}

/* What TLS settings do: expected codes of both ends; 0 = it connects. */
static void tls_case(const char *what, struct ic_tls_config s, struct ic_tls_config c, int client_code)
{
    struct fx fx;
    fx_init(&fx);
    fx.server_tls = tls_new(&s);
    fx.client_tls = tls_new(&c);
    fx_listen(&fx, IW_EP_SSL, "");
    fx_connect(&fx, "127.0.0.1");
    if (client_code == 0) {
        FX_UNTIL(&fx, (fx.client.active && fx.server.active) || fx.client.closed);
        if (fx.client.closed) {
            fail_msg("%s: %s / %s", what, fx.client.why.text, fx.server.why.text);
        }
    } else {
        FX_UNTIL(&fx, fx.client.closed && fx.server.closed);
        if (fx.client.why.code != client_code) {
            fail_msg("%s: %s / %s", what, fx.client.why.text, fx.server.why.text);
        }
        /* A client that looks when the handshake is done may find the server content. */
        assert_false(fx.server.active && fx.server.why.code == IB_ESECURITY);
    }
    fx_fini(&fx);
}

static void verify_peer(void **state)
{
    (void)state;
    struct ic_tls_config s = tls_config("server.pem"), c = tls_config("client.pem");
    tls_case("both have certificates", s, c, 0);
    c.cas = "other-ca.pem";
    tls_case("client trusts another CA", s, c, IB_ESECURITY);
    c.verify_peer = 1;
    tls_case("1 is as strict for clients", s, c, IB_ESECURITY);
    c.verify_peer = 0;
    tls_case("0 trusts anybody", s, c, 0);
    c = tls_config(NULL);
    c.protocols = "tls1_2";
    tls_case("server demands a certificate", s, c, IB_ESECURITY);
    s.verify_peer = 1;
    tls_case("server asks politely", s, c, 0);
    s = tls_config("server.pem");
    s.cas = "other-ca.pem";
    c = tls_config("client.pem");
    c.protocols = "TLSv1_2";
    tls_case("server does not trust the client", s, c, IB_ESECURITY);
    s.verify_peer = 1;
    tls_case("a bad certificate is worse than none", s, c, IB_ESECURITY);
    s.verify_peer = 0;
    tls_case("server does not look", s, c, 0);
}

static void files_and_names(void **state)
{
    (void)state;
    struct ic_tls_config s = tls_config("server.pem"), c = tls_config("client.p12");
    c.password = "pass";
    tls_case("PKCS#12", s, c, 0);
    c.cert_file = "secret.pem";
    tls_case("encrypted key", s, c, 0);
    c = tls_config("client.pem");
    c.check_cert_name = 2;
    tls_case("certificate names 127.0.0.1", s, c, 0);
    s.cert_file = "client.pem";
    tls_case("certificate names nothing", s, c, IB_ESECURITY);
    s = tls_config("server.pem");
    c = tls_config("client.pem");
    c.verify_depth_max = 1;
    tls_case("chain too long", s, c, IB_ESECURITY);
    c.verify_depth_max = 0;
    tls_case("chain of any length", s, c, 0);
    s.protocols = "TLS1_3";
    c.protocols = "TLS1_2";
    tls_case("no common protocol", s, c, IB_ESECURITY);
}

static void trust_only(void **state)
{
    (void)state;
    struct ic_tls_config s = tls_config("server.pem"), c = tls_config("client.pem");
    s.trust_only_server = "CN=client,O=\"Moulin, Tests\"";
    c.trust_only_client = "!CN=nobody;CN=server";
    tls_case("both accepted", s, c, 0);
    c.trust_only_client = "CN=other";
    tls_case("client refuses", s, c, IB_ESECURITY);
    c.trust_only_client = NULL;
    s.trust_only_server = "!CN=client";
    tls_case("server refuses after the handshake", s, c, IB_ELOST);
}

static void config_errors(void **state)
{
    (void)state;
    const struct {
        struct ic_tls_config cfg;
        const char *names[2];
    } cases[] = {
        {{.cert_file = "/nowhere/x.pem"}, {"IceSSL.CertFile", "/nowhere/x.pem"}},
        {{.cert_file = "nothing.pem", .default_dir = certs.dir}, {"nothing.pem", certs.dir}},
        {{.cert_file = "ca.pem", .default_dir = certs.dir}, {"IceSSL.KeyFile", "ca.pem"}},
        {{.cert_file = "secret.pem", .default_dir = certs.dir, .password = "wrong"}, {"Password", "secret.pem"}},
        {{.cert_file = "secret.pem", .default_dir = certs.dir}, {"Password", "secret.pem"}},
        {{.cert_file = "client.p12", .default_dir = certs.dir, .password = "no"}, {"Password", "client.p12"}},
        {{.cas = "/etc/hostname"}, {"IceSSL.CAs", "/etc/hostname"}},
        {{.protocols = "TLS1_2, TLS9"}, {"IceSSL.Protocols", "TLS9"}},
        {{.ciphers = "NONE-SUCH"}, {"IceSSL.Ciphers", "NONE-SUCH"}},
        {{.trust_only = "CN"}, {"IceSSL.TrustOnly", "CN"}},
        {{.revocation_check = 1}, {"IceSSL.CertificateRevocationListFiles", "RevocationCheck"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ic_tls_config cfg = cases[i].cfg;
        cfg.security_level = -1;
        struct ib_err err = {0};
        assert_null(ic_tls_new(&cfg, &err));
        for (int k = 0; k < 2; k++) {
            if (!strstr(err.text, cases[i].names[k])) {
                fail_msg("case %zu: `%s' does not name `%s'", i, err.text, cases[i].names[k]);
            }
        }
        assert_null(strstr(err.text, "wrong"));
    }
}

/* A certificate revoked by a list is refused; others pass. */
static void revocation(void **state)
{
    (void)state;
    X509_CRL *crl = X509_CRL_new();
    X509_CRL_set_version(crl, 1);
    X509_CRL_set_issuer_name(crl, X509_get_subject_name(certs.ca));
    ASN1_TIME *now = X509_gmtime_adj(NULL, -60), *later = X509_gmtime_adj(NULL, 3600);
    X509_CRL_set1_lastUpdate(crl, now);
    X509_CRL_set1_nextUpdate(crl, later);
    X509_REVOKED *revoked = X509_REVOKED_new();
    ASN1_INTEGER *serial = ASN1_INTEGER_new();
    ASN1_INTEGER_set(serial, 3); /* client.pem is the third that was made */
    X509_REVOKED_set_serialNumber(revoked, serial);
    X509_REVOKED_set_revocationDate(revoked, now);
    X509_CRL_add0_revoked(crl, revoked);
    assert_true(X509_CRL_sign(crl, certs.ca_key, EVP_sha256()) > 0);
    char path[128];
    certs_path(&certs, "crl.pem", path, sizeof path);
    FILE *f = fopen(path, "w");
    PEM_write_X509_CRL(f, crl);
    fclose(f);
    X509_CRL_free(crl);
    ASN1_INTEGER_free(serial);
    ASN1_TIME_free(now);
    ASN1_TIME_free(later);

    struct ic_tls_config s = tls_config("server.pem"), c = tls_config("client.pem");
    c.protocols = "TLS1_2";
    s.revocation_check = 1;
    s.crl_files = "crl.pem";
    tls_case("revoked", s, c, IB_ESECURITY);
    c.cert_file = "server.pem";
    tls_case("not revoked", s, c, 0);
}

/* No peer keeps a connection that is not validated. */
static void accept_deadline(void **state)
{
    (void)state;
    for (size_t i = 1; i < 4; i++) { /* tcp validates at once */
        struct fx fx;
        fx_init(&fx);
        fx_tls(&fx);
        fx.server_cfg.connect_timeout_ms = 100;
        fx_listen(&fx, types[i], "");
        struct iw_endpoint ep = *ic_listener_endpoint(fx.listener);
        ep.type = IW_EP_TCP; /* connects and waits for a validation that does not come */
        ep.host = IB_STR("127.0.0.1");
        fx.client.conn = ic_connect(fx.loop, &ep, NULL, &fx.client_cfg, &side_events, &fx.client);
        FX_UNTIL(&fx, fx.server.closed && fx.client.closed);
        assert_int_equal(fx.server.why.code, IB_ECONNECTTIMEOUT);
        assert_int_equal(fx.client.why.code, IB_ELOST);
        fx_fini(&fx);
    }
}

/* Somebody who speaks no TLS: closed at once, never active. */
static void not_tls(void **state)
{
    (void)state;
    static const char *const garbage[] = {"GET / HTTP/1.0\r\n\r\n", "IceP\1\0\1", "\x16\x03\x01\x40\x00garbage",
                                          "\x17\x03\x03\x00\x05hello"};
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        struct fx fx;
        fx_init(&fx);
        fx_tls(&fx);
        fx_listen(&fx, i & 1 ? IW_EP_WSS : IW_EP_SSL, "");
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)fx_port(&fx))};
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
        assert_true(send(fd, garbage[i], strlen(garbage[i]), MSG_NOSIGNAL) > 0);
        if (i > 0) { /* might still become something */
            shutdown(fd, SHUT_WR);
        }
        FX_UNTIL(&fx, fx.server.closed);
        assert_false(fx.server.active);
        assert_true(fx.server.why.code == IB_ESECURITY || fx.server.why.code == IB_ELOST);
        close(fd);
        fx_fini(&fx);
    }
}

/* A partial message, a long hold, the rest: the time of the hold does not count. */
static void hold_stops_the_clock(void **state)
{
    (void)state;
    struct fx fx;
    fx_init(&fx);
    fx.server_cfg.timeout_ms = 300;
    open_fx(&fx, IW_EP_TCP);
    static uint8_t body[1000000];
    fx_send(&fx, &fx.client, IC_REQUEST, body, sizeof body, false);
    while (fx.server.conn) { /* stops in the middle of the body */
        struct ic_conn_info i;
        ic_conn_get_info(fx.server.conn, &i);
        if (i.bytes_in > 0) {
            break;
        }
        ic_loop_run_once(fx.loop, 10);
    }
    assert_int_equal(fx.server.frames, 0);
    ic_conn_hold(fx.server.conn, true);
    int64_t end = ib_clock_ms() + 500;
    while (ib_clock_ms() < end) {
        ic_loop_run_once(fx.loop, 10);
    }
    assert_false(fx.server.closed);
    ic_conn_hold(fx.server.conn, false);
    FX_UNTIL(&fx, fx.client.frames == 1);
    fx_fini(&fx);
}

static void close_timeout(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct fx fx;
        fx_init(&fx);
        fx_tls(&fx);
        fx.client_cfg.close_timeout_ms = 100;
        open_fx(&fx, types[i]);
        ic_conn_hold(fx.server.conn, true); /* never sees our CloseConnection */
        ic_conn_close(fx.client.conn);
        FX_UNTIL(&fx, fx.client.closed);
        assert_int_equal(fx.client.why.code, IB_ECLOSETIMEOUT);
        fx_fini(&fx);
    }
}

static void write_timeout(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct fx fx;
        fx_init(&fx);
        fx_tls(&fx);
        fx.client_cfg.timeout_ms = 150;
        open_fx(&fx, types[i]);
        ic_conn_hold(fx.server.conn, true);
        static uint8_t body[1000000];
        for (int k = 0; k < 30; k++) {
            fx_send(&fx, &fx.client, IC_REQUEST, body, sizeof body, false);
        }
        FX_UNTIL(&fx, fx.client.closed);
        assert_int_equal(fx.client.why.code, IB_ETIMEOUT);
        fx_fini(&fx);
    }
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(info),          cmocka_unit_test(echo),
        cmocka_unit_test(many),          cmocka_unit_test(graceful),
        cmocka_unit_test(both_close),    cmocka_unit_test(lost),
        cmocka_unit_test(verify_peer),   cmocka_unit_test(files_and_names),
        cmocka_unit_test(trust_only),    cmocka_unit_test(config_errors),
        cmocka_unit_test(revocation),    cmocka_unit_test(accept_deadline),
        cmocka_unit_test(close_timeout), cmocka_unit_test(write_timeout),
        cmocka_unit_test(not_tls),       cmocka_unit_test(hold_stops_the_clock),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
