/* SPDX-License-Identifier: Apache-2.0 */
/* Load balancers: sets of networks, PROXY headers of both versions, and listeners that expect them. */
#include "net_fixture.h"

#include "proxy_protocol.h"
#include "transport.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>

/* --- networks ----------------------------------------------------------------------------------------------------- */

static void networks(void **state)
{
    (void)state;
    static const struct {
        const char *set, *address;
        bool in;
    } cases[] = {
        {"10.0.0.0/8", "10.255.0.1", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"192.0.2.7", "192.0.2.7", true},
        {"192.0.2.7", "192.0.2.8", false},
        {"192.0.2.128/25,fd00::/8", "192.0.2.127", false},
        {"192.0.2.128/25, fd00::/8", "192.0.2.200", true},
        {"192.0.2.128/25\tfd00::/9", "fd80::1", false},
        {"192.0.2.128/25 fd00::/9", "fd7f::1", true},
        {"0.0.0.0/0", "1.2.3.4", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "::1", true},
        {"::/0", "1.2.3.4", false},
        {"127.0.0.1", "::ffff:127.0.0.1", true},
        {"::1", "", false},
        {"::1", "localhost", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ib_err err = {0};
        struct ic_networks *n = ic_networks_parse(cases[i].set, &err);
        assert_non_null(n);
        if (ic_networks_contain(n, cases[i].address) != cases[i].in) {
            fail_msg("%s in %s", cases[i].address, cases[i].set);
        }
        ic_networks_unref(n);
    }
}

static void no_networks(void **state)
{
    (void)state;
    static const char *const bad[] = {"",           " , ",         "10.0.0.1/8", "10.0.0.0/33",        "10.0.0.0/",
                                      "10.0.0.0/x", "10.0.0.0/08", "10.0.0",     "fd00::1/64",         "::/129",
                                      "localhost",  "::1,nobody",  "1.2.3.4.5",  "::ffff:10.0.0.0/104"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ib_err err = {0};
        if (ic_networks_parse(bad[i], &err)) {
            fail_msg("`%s' was taken", bad[i]);
        }
        assert_int_equal(err.code, IB_ECONFIG);
    }
}

/* --- headers ------------------------------------------------------------------------------------------------------ */

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V2(s) SIGNATURE s, sizeof(SIGNATURE s) - 1
#define V1(s) s, sizeof(s) - 1
#define IP4 "\xc0\0\2\1\xc0\0\2\2\x15\xb3\x10\x62" /* 192.0.2.1:5555 to 192.0.2.2:4194 */

static const char unix_header[] = SIGNATURE "\x21\x31\0\xd8/client";

static const struct {
    const char *bytes;
    size_t n;
    int rc; /* 0, or IB_EBALANCER, or IC_TP_READABLE: more is needed */
    const char *source, *destination; /* NULL: not told */
    size_t used; /* 0: all */
} headers[] = {
    {V1("PROXY TCP4 192.0.2.1 192.0.2.2 5555 4063\r\n"), 0, "192.0.2.1:5555", "192.0.2.2:4063", 0},
    {V1("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\nIceP"), 0, "255.255.255.255:65535",
     "255.255.255.255:65535", 56},
    {V1("PROXY TCP6 2001:db8::1 ::1 0 1\r\n"), 0, "2001:db8::1:0", "::1:1", 0},
    {V1("PROXY TCP6 ::ffff:192.0.2.1 ::1 3 4\r\n"), 0, "192.0.2.1:3", "::1:4", 0},
    {V1("PROXY UNKNOWN\r\n"), 0, NULL, NULL, 0},
    {V1("PROXY UNKNOWN ffff:f...f:ffff 65535 whatever\r\nx"), 0, NULL, NULL, 46},
    {V1("PROXY TCP4 192.0.2.1 192.0.2.2 5555 4063\r"), IC_TP_READABLE, NULL, NULL, 0},
    {V1("P"), IC_TP_READABLE, NULL, NULL, 0},
    {V1("PROXX"), IB_EBALANCER, NULL, NULL, 0},
    {V1("IceP\1\0"), IB_EBALANCER, NULL, NULL, 1},
    {V1("PROXY TCP4 192.0.2.1 192.0.2.2 5555 4063\n"), IB_EBALANCER, NULL, NULL, 0},
    {V1("PROXY \r\n"), IB_EBALANCER, NULL, NULL, 0},
    {V1("PROXY \n"), IB_EBALANCER, NULL, NULL, 0},
    {V1("PROXY TCP5 192.0.2.1 192.0.2.2 5555 4063\r\n"), IB_EBALANCER, NULL, NULL, 0},
    {V1("PROXY TCP4 192.0.2.1  192.0.2.2 5555 4063\r\n"), IB_EBALANCER, NULL, NULL, 0},
    {V1("PROXY TCP4 192.0.2.1 192.0.2.2 5555 4063 \r\n"), IB_EBALANCER, NULL, NULL, 0},
    {V1("PROXY TCP4 192.0.2.1 192.0.2.2 5555\r\n"), IB_EBALANCER, NULL, NULL, 0},
    {V1("PROXY TCP4 192.0.2.1 192.0.2.2 65536 1\r\n"), IB_EBALANCER, NULL, NULL, 0},
    {V1("PROXY TCP4 192.0.2.1 192.0.2.2 01 1\r\n"), IB_EBALANCER, NULL, NULL, 0},
    {V1("PROXY TCP4 192.0.2.1 192.0.2.2 -1 1\r\n"), IB_EBALANCER, NULL, NULL, 0},
    {V1("PROXY TCP4 ::1 ::1 1 1\r\n"), IB_EBALANCER, NULL, NULL, 0},
    {V1("PROXY TCP6 192.0.2.1 192.0.2.2 1 1\r\n"), IB_EBALANCER, NULL, NULL, 0},
    {V1("PROXY TCP4 192.0.2.1 192.0.2.2 1 1\0\r\n"), IB_EBALANCER, NULL, NULL, 0},
    {V1("PROXY TCP4 192.0.2.1 192.0.2.2 1 1\r\r\n"), IB_EBALANCER, NULL, NULL, 0},
    {V2("\x21\x11\0\x0c" IP4 "IceP"), 0, "192.0.2.1:5555", "192.0.2.2:4194", 28},
    {V2("\x21\x11\0\x10" IP4 "\4\0\1x"), 0, "192.0.2.1:5555", "192.0.2.2:4194", 0},
    {V2("\x21\x21\0\x24"
        "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
        "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\1\0\2"),
     0, "2001:db8::1:1", "::1:2", 0},
    {V2("\x20\0\0\0"), 0, NULL, NULL, 0},
    {V2("\x20\x11\0\x0c" IP4), 0, NULL, NULL, 0}, /* LOCAL: the addresses say nothing */
    {V2("\x20\x77\0\1x"), 0, NULL, NULL, 0},
    {V2("\x21\0\0\0"), 0, NULL, NULL, 0},
    {V2("\x21\0\0\3abc"), 0, NULL, NULL, 0},
    {V2("\x21\x11\0\x0d" IP4), IC_TP_READABLE, NULL, NULL, 0},
    {V2("\x21\x11\0\x0b" IP4), IB_EBALANCER, NULL, NULL, 16},
    {V2("\x21\x21\0\x0c" IP4), IB_EBALANCER, NULL, NULL, 16},
    {V2("\x21\x31\0\x0c" IP4), IB_EBALANCER, NULL, NULL, 16},
    {V2("\x21\x12\0\x0c" IP4), IB_EBALANCER, NULL, NULL, 16},
    {V2("\x21\x41\0\x0c" IP4), IB_EBALANCER, NULL, NULL, 16},
    {V2("\x22\x11\0\x0c" IP4), IB_EBALANCER, NULL, NULL, 16},
    {V2("\x11\x11\0\x0c" IP4), IB_EBALANCER, NULL, NULL, 16},
    {V2("\x21\x11\2\x09" IP4), IB_EBALANCER, NULL, NULL, 16}, /* 537 in all */
};

static void check_end(const struct ic_addr *a, const char *want)
{
    char ip[64] = "", text[80];
    inet_ntop(a->family, a->ip, ip, sizeof ip);
    snprintf(text, sizeof text, "%s:%d", ip, a->port);
    assert_string_equal(text, want);
}

/* All at once and byte by byte. */
static void header_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        for (size_t step = 1; step <= headers[i].n; step += headers[i].n - 1 ? headers[i].n - 1 : 1) {
            struct ic_proxy_header h = {0};
            struct ic_proxy_ends ends = {0};
            struct ib_err err = {0};
            size_t at = 0, used = 0;
            int rc = IC_TP_READABLE;
            while (rc == IC_TP_READABLE && at < headers[i].n) {
                size_t left = headers[i].n - at, n = left < step ? left : step;
                rc = ic_proxy_header_feed(&h, (const uint8_t *)headers[i].bytes + at, n, &used, &ends, &err);
                at += used;
            }
            if (rc != headers[i].rc || at != (headers[i].used ? headers[i].used : headers[i].n) ||
                ends.told != (headers[i].source != NULL)) {
                fail_msg("header %zu, step %zu: %d after %zu bytes (%s)", i, step, rc, at, err.text);
            }
            if (ends.told) {
                check_end(&ends.source, headers[i].source);
                check_end(&ends.destination, headers[i].destination);
            }
        }
    }
}

static void limits(void **state)
{
    (void)state;
    struct ic_proxy_ends ends;
    struct ib_err err;
    uint8_t bytes[IC_PROXY_V2_MAX + 1] = {0};
    size_t used = 0;
    memset(bytes, 'x', sizeof bytes);
    memcpy(bytes, "PROXY UNKNOWN ", 14);
    memcpy(bytes + IC_PROXY_V1_MAX - 2, "\r\n", 2);
    struct ic_proxy_header h = {0};
    assert_int_equal(ic_proxy_header_feed(&h, bytes, sizeof bytes, &used, &ends, &err), 0);
    assert_int_equal(used, IC_PROXY_V1_MAX);
    bytes[IC_PROXY_V1_MAX - 2] = 'x';
    bytes[IC_PROXY_V1_MAX - 1] = '\r';
    bytes[IC_PROXY_V1_MAX] = '\n';
    h = (struct ic_proxy_header){0};
    assert_int_equal(ic_proxy_header_feed(&h, bytes, sizeof bytes, &used, &ends, &err), IB_EBALANCER);
    assert_int_equal(used, IC_PROXY_V1_MAX);
    memcpy(bytes, SIGNATURE "\x21\x11\2\x08" IP4, 28);
    h = (struct ic_proxy_header){0};
    assert_int_equal(ic_proxy_header_feed(&h, bytes, sizeof bytes, &used, &ends, &err), 0);
    assert_int_equal(used, IC_PROXY_V2_MAX);
    assert_true(ends.told);
    memset(bytes, 0, sizeof bytes);
    memcpy(bytes, unix_header, sizeof unix_header - 1);
    h = (struct ic_proxy_header){0};
    assert_int_equal(ic_proxy_header_feed(&h, bytes, sizeof bytes, &used, &ends, &err), 0);
    assert_int_equal(used, 16 + 216);
    assert_false(ends.told);
}

/* --- listeners ---------------------------------------------------------------------------------------------------- */

static int dial(struct fx *fx)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)fx_port(fx))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void expect(struct fx *fx, const char *balancers)
{
    struct ib_err err = {0};
    fx_init(fx);
    fx_listen(fx, IW_EP_TCP, "127.0.0.1");
    struct ic_networks *n = ic_networks_parse(balancers, &err);
    assert_non_null(n);
    ic_listener_set_balancers(fx->listener, n);
    ic_networks_unref(n);
}

static void put(int fd, const char *p, size_t n)
{
    assert_int_equal(write(fd, p, n), n);
}

static void told_addresses(void **state)
{
    (void)state;
    struct fx fx;
    struct ic_conn_info info;
    char hello[IC_HEADER_SIZE];
    expect(&fx, "127.0.0.0/8");
    int fd = dial(&fx);
    FX_UNTIL(&fx, fx.server.conn);
    put(fd, V1("PROXY TCP4 192.0.2.1 192."));
    for (int i = 0; i < 3; i++) {
        ic_loop_run_once(fx.loop, 5);
    }
    assert_false(fx.server.active);
    put(fd, V1("0.2.2 5555 4063\r\nIceP\1\0\1\0\0\0\x18\0\0\0\1\0\0\0\1x\0\0\1y")); /* and the start of a request */
    FX_UNTIL(&fx, fx.server.active);
    ic_conn_get_info(fx.server.conn, &info);
    assert_string_equal(info.remote_host, "192.0.2.1");
    assert_int_equal(info.remote_port, 5555);
    assert_string_equal(info.local_host, "192.0.2.2");
    assert_int_equal(info.local_port, 4063);
    FX_UNTIL(&fx, fx.server.frames == 1); /* not a byte of it was lost */
    assert_int_equal(read(fd, hello, sizeof hello), sizeof hello);
    close(fd);
    fx_fini(&fx);
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        int code;
    } cases[] = {
        {V1("IceP\1\0\1\0\0\0\x0e\0\0\0"), IB_EBALANCER},
        {V1("PROXY TCP4 nonsense\r\n"), IB_EBALANCER},
        {V1("PROXY TCP4 192.0"), IB_EBALANCER}, /* and the end */
        {V1(""), IB_ELOST}, /* a look whether the port is open */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fx fx;
        expect(&fx, "::1, 127.0.0.1");
        int fd = dial(&fx);
        put(fd, cases[i].bytes, cases[i].n);
        shutdown(fd, SHUT_WR);
        FX_UNTIL(&fx, fx.server.closed);
        assert_int_equal(fx.server.why.code, cases[i].code);
        assert_false(fx.server.active);
        close(fd);
        fx_fini(&fx);
    }
}

static void late(void **state)
{
    (void)state;
    struct fx fx;
    expect(&fx, "127.0.0.1");
    int fd = dial(&fx);
    put(fd, V1("PROXY "));
    int64_t begun = ib_clock_ms();
    FX_UNTIL(&fx, fx.server.closed);
    assert_int_equal(fx.server.why.code, IB_EBALANCER);
    assert_in_range(ib_clock_ms() - begun, IC_PROXY_DEADLINE_MS - 500, IC_PROXY_DEADLINE_MS + 3000);
    close(fd);
    fx_fini(&fx);
}

/* From elsewhere a header is as wrong as any other bytes, and none is wanted. */
static void others(void **state)
{
    (void)state;
    struct fx fx;
    struct ic_conn_info info;
    expect(&fx, "192.0.2.0/24");
    int fd = dial(&fx);
    FX_UNTIL(&fx, fx.server.active);
    ic_conn_get_info(fx.server.conn, &info);
    assert_string_equal(info.remote_host, "127.0.0.1");
    put(fd, V1("PROXY TCP4 192.0.2.1 192.0.2.2 5555 4063\r\n"));
    FX_UNTIL(&fx, fx.server.closed);
    assert_int_equal(fx.server.why.code, IB_EMAGIC);
    close(fd);
    fx_fini(&fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks), cmocka_unit_test(no_networks),    cmocka_unit_test(header_vectors),
        cmocka_unit_test(limits),   cmocka_unit_test(told_addresses), cmocka_unit_test(refused),
        cmocka_unit_test(late),     cmocka_unit_test(others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
