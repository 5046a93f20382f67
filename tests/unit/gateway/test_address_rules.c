/* SPDX-License-Identifier: Apache-2.0 */
/* Rules about addresses, against the whole of the specification's Annex A ("ours"), hosts in every spelling, and what
   is refused at the start. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include <moulin/rpc/proxy.h>

#include "proxy_filter.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct ir_properties *properties(const char *accept, const char *reject, const char *size, const char *loopback)
{
    const char *const set[][2] = {{"Glacier2.Filter.Address.Accept", accept},
                                  {"Glacier2.Filter.Address.Reject", reject},
                                  {"Glacier2.Filter.ProxySizeMax", size},
                                  {"Moulin.Gateway.Filter.Loopback", loopback}};
    struct ir_properties *p = ir_properties_new();
    assert_non_null(p);
    for (size_t i = 0; i < COUNT(set); i++) {
        if (set[i][1]) {
            char line[1100];
            (void)snprintf(line, sizeof(line), "%s=%s", set[i][0], set[i][1]);
            assert_int_equal(ir_properties_parse_line(p, line, "gate.cfg:7"), 0);
        }
    }
    return p;
}

/* "h:p" is tcp to h, "h" means port 10; anything with a blank or an "@", and "a", is a proxy as it stands. Several
   hosts are joined by "+". */
static struct iw_proxy *proxy(const char *text, struct ib_arena *arena)
{
    static const struct ir_proxy_defaults d = {.protocol = {"tcp", 3},
                                               .timeout = 60000,
                                               .override_timeout = INT32_MIN,
                                               .override_compress = -1,
                                               .encoding = {1, 1}};
    char full[400] = "a";
    struct iw_proxy *out = NULL;
    struct ib_err err;
    if (strchr(text, ' ') || strchr(text, '@') || strcmp(text, "a") == 0) {
        (void)snprintf(full, sizeof(full), "%s", text);
    } else {
        char copy[300], *save = NULL;
        (void)snprintf(copy, sizeof(copy), "%s", text);
        for (char *h = strtok_r(copy, "+", &save); h; h = strtok_r(NULL, "+", &save)) {
            char *port = strchr(h, '!'); /* "!" instead of ":" where the host itself has colons */
            port = port ? port : strchr(h, ':') == strrchr(h, ':') ? strchr(h, ':') : NULL;
            size_t n = strlen(full);
            (void)snprintf(full + n, sizeof(full) - n, ":tcp -h \"%.*s\" -p %s",
                           (int)(port ? port - h : (long)strlen(h)), h, port ? port + 1 : "10");
        }
    }
    if (ir_proxy_parse(ib_str(full), &d, arena, &out, NULL, &err) != 0) {
        fail_msg("%s: %s", full, err.text);
    }
    assert_non_null(out);
    return out;
}

static bool allows(const char *accept, const char *reject, const char *target)
{
    struct gw_proxy_filter f;
    struct ib_arena arena;
    struct ib_err err;
    struct ir_properties *p = properties(accept, reject, NULL, NULL);
    ib_arena_init(&arena, 0);
    if (gw_proxy_filter_read(&f, p, &arena, &err) != 0) {
        fail_msg("accept `%s' reject `%s': %s", accept ? accept : "", reject ? reject : "", err.text);
    }
    const struct iw_proxy *prx = proxy(target, &arena);
    bool ok = !gw_proxy_filter_check(&f, prx, ir_proxy_format(prx, IR_UNICODE, &arena), NULL);
    ib_arena_fini(&arena);
    ir_properties_free(p);
    return ok;
}

struct row {
    const char *accept, *reject;
    const char *allowed[8], *refused[8];
};

static void check_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < 8; k++) {
            if (rows[i].allowed[k] && !allows(rows[i].accept, rows[i].reject, rows[i].allowed[k])) {
                fail_msg("row %zu: `%s' should be allowed", i, rows[i].allowed[k]);
            }
            if (rows[i].refused[k] && allows(rows[i].accept, rows[i].reject, rows[i].refused[k])) {
                fail_msg("row %zu: `%s' should be refused", i, rows[i].refused[k]);
            }
        }
    }
}

#define OPAQUE "a:opaque -t 99 -e 1.1 -v abch"

static void annex_a(void **state)
{
    static const struct row rows[] = {
        {"127.0.0.1",
         NULL,
         {"127.0.0.1", "a:ws -h 127.0.0.1 -p 10", "a:udp -h 127.0.0.1 -p 10"},
         {"127.0.0.10", "localhost", "a@ad", "a", OPAQUE, "127.0.0.1+1.2.3.4"}},
        {"example.com",
         NULL,
         {"example.com", "EXAMPLE.com"},
         {"badexample.com", "a.example.com", "example.com.evil.org"}},
        {"10.0.0.1", NULL, {"10.0.0.1"}, {"110.0.0.1"}},
        {NULL, "1.1.1.1", {"11.1.1.1", "127.0.0.1"}, {"1.1.1.1", "1.1.1.1+2.2.2.2", "2.2.2.2+1.1.1.1"}},
        {"*example.com", NULL, {"example.com", "a.example.com", "badexample.com"}, {"example.com.evil.org"}},
        {"10.*", NULL, {"10.0.0.1", "10.evil.com"}, {"110.0.0.1"}},
        {"10.[0-1].0.1", NULL, {"10.0.0.1", "10.1.0.1"}, {"10.2.0.1", "10.0.9.0.1"}},
        {"127.0.0.1", NULL, {NULL}, {"a:tcp -h \"127.0.0.1 -p 1\" -p 10"}},
        {"*", NULL, {"127.0.0.1", "::1!10"}, {"a@ad", "a", "a:tcp -p 10"}},
        {NULL, "*", {"a@ad", "a"}, {"127.0.0.1", "::1!10"}},
        {"127.0.0.*", NULL, {"127.0.0.1"}, {"127.0.1.1"}},
        {"*.1", NULL, {"127.0.0.1"}, {"127.0.0.11", "127.0.0.2"}},
        {"127.*.1", NULL, {"127.0.0.1"}, {"127.1", "127.5.1.2"}},
        {"10.0.0.[1-3,5]",
         NULL,
         {"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.5"},
         {"10.0.0.0", "10.0.0.4", "10.0.0.6", "10.0.0.1x"}},
        {"10.0.[0-1].[1-3]", NULL, {"10.0.0.1", "10.0.1.3"}, {"10.0.2.1"}},
        {"12[7].0.0.*", NULL, {"127.0.0.1"}, {"128.0.0.1"}},
        {"[127].0.0.1", NULL, {"127.0.0.1"}, {"128.0.0.1"}},
        {"*[1-5]", NULL, {"127.0.0.1"}, {"h9", "h15", "h1x"}},
        {"*foo*bar",
         NULL,
         {"xfooybar", "fooxxbar", "xfoobar", "foobar", "fofoobar", "foobarbar"},
         {"fooxxbarz", "fobar"}},
        {"127.0.0.1:10", NULL, {"127.0.0.1:10"}, {"127.0.0.1:11"}},
        {"127.0.0.1:[10,20-22]",
         NULL,
         {"127.0.0.1:10", "127.0.0.1:20", "127.0.0.1:22"},
         {"127.0.0.1:9", "127.0.0.1:23"}},
        {"127.0.0.1:10,20-22", NULL, {"127.0.0.1:10", "127.0.0.1:20", "127.0.0.1:22"}, {"127.0.0.1:9", "127.0.0.1:23"}},
        {"*:80 127.0.0.1", NULL, {"127.0.0.1:10", "h:80"}, {"h:81"}},
        {"127.0.0.1", "127.0.0.1:[20-30]", {"127.0.0.1:10"}, {"127.0.0.1:25", "1.1.1.1"}},
        {"  127.0.0.1\t ", NULL, {"127.0.0.1"}, {"127.0.0.2"}}, /* blanks around a rule */
    };
    (void)state;
    check_rows(rows, COUNT(rows));
}

static void beyond_glacier2(void **state)
{
    static const struct row rows[] = {
        {"127.0.0.1:*", NULL, {"127.0.0.1:1", "127.0.0.1:65535"}, {"127.0.0.2:1"}},
        {"10.0.0.0/8", NULL, {"10.255.0.1", "::ffff:10.1.2.3!10"}, {"11.0.0.1", "10.evil.com", "::1!10"}},
        {"192.168.1.128/25:80", NULL, {"192.168.1.200:80"}, {"192.168.1.200:81", "192.168.1.127:80"}},
        {"fd00::/8", NULL, {"fd12:3456::1!10"}, {"fe80::1!10", "10.0.0.1"}},
        {"[fd00::]/8:80", NULL, {"fd12::1!80"}, {"fd12::1!81"}},
        {"[::1]", NULL, {"::1!10", "0:0:0:0:0:0:0:1!10", "::!10"}, {"127.0.0.1", "::2!10"}},
        {"[FE80::1]:[1-20]", NULL, {"fe80::1!10", "fe80::1%eth0!10"}, {"fe80::1!21"}},
        {"::/0", NULL, {"2001:db8::1!10"}, {"10.0.0.1"}},
        {"0.0.0.0/0", NULL, {"10.0.0.1", "::ffff:1.2.3.4!10"}, {"2001:db8::1!10", "name"}},
        /* One machine, many names: none of them passes a reject rule. */
        {NULL,
         "127.0.0.1",
         {"127.0.0.2", "::1!10"},
         {"127.1", "0x7f000001", "2130706433", "0177.0.0.1", "127.0.0.1.", "::ffff:127.0.0.1!10", "0.0.0.0", "0"}},
        {NULL, "127.0.0.*", {"128.0.0.1"}, {"127.1", "0x7f.1", "::ffff:7f00:1!10", "017700000001"}},
        {NULL, "evil.org", {"evil.org.uk", "notevil.org"}, {"EVIL.org", "evil.org.", "a.b+evil.org"}},
        {NULL, "Evil.Org. *.Evil.org", {"evil.com"}, {"evil.org", "x.evil.org."}},
        {"127.0.0.1", NULL, {"127.1", "2130706433"}, {"127.2"}}, /* a plain address is itself in any spelling */
        {"10.0.0.1 10.0.0.2", NULL, {"10.0.0.1", "10.0.0.2"}, {"10.0.0.1+10.0.0.2"}}, /* one rule for all */
        {"10.0.0.*", NULL, {"10.0.0.1+10.0.0.2"}, {NULL}},
        /* What cannot be judged. */
        {NULL, "1.1.1.1", {NULL}, {OPAQUE, "a:tcp -p 10", "a:tcp -h 2.2.2.2 -p 10:opaque -t 99 -e 1.1 -v abch"}},
        {NULL, NULL, {OPAQUE, "a:tcp -p 10", "a@ad", "a", "h"}, {NULL}},
    };
    (void)state;
    check_rows(rows, COUNT(rows));
}

/* Patterns that make backtracking matchers run for years. */
static void patterns_take_no_time(void **state)
{
    char rule[1000] = "", host[256];
    (void)state;
    for (size_t i = 0; i < 100; i++) {
        strcat(rule, "*a*[1-5]");
    }
    memset(host, 'a', sizeof(host) - 1);
    host[255] = '\0';
    assert_false(allows(rule, NULL, host));
    (void)strcpy(rule, "*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b");
    assert_false(allows(rule, NULL, host));
    for (size_t i = 0; i + 2 < sizeof(host); i += 2) {
        host[i + 1] = '1';
    }
    assert_false(allows("*[2-5]", NULL, host));
    assert_true(allows("*[1]*[1]*[1]*", NULL, host));
}

static void expect_refused(const char *key, const char *value, const char *const *words)
{
    struct gw_proxy_filter f;
    struct ib_arena arena;
    struct ib_err err;
    char line[2000];
    struct ir_properties *p = ir_properties_new();
    (void)snprintf(line, sizeof(line), "%s=%s", key, value);
    assert_int_equal(ir_properties_parse_line(p, line, "gate.cfg:7"), 0);
    ib_arena_init(&arena, 0);
    if (gw_proxy_filter_read(&f, p, &arena, &err) != IB_ECONFIG) {
        fail_msg("%s is not refused", line);
    }
    for (; *words; words++) {
        if (!strstr(err.text, *words)) {
            fail_msg("`%s' is not in: %s", *words, err.text);
        }
    }
    if (!strstr(err.text, "gate.cfg:7")) {
        fail_msg("no place in: %s", err.text);
    }
    ib_arena_fini(&arena);
    ir_properties_free(p);
}

static void bad_rules(void **state)
{
    static const char *const cases[][2] = {
        {"::1", "expected number"},
        {"127.0.0.1:", "expected number"},
        {"127.0.0.1:x", "expected number"},
        {"127.0.0.1:-5", "expected number"},
        {"127.0.0.1:[10,]", "expected number"},
        {"127.0.0.[1", "unclosed group"},
        {"127.0.0.[", "unclosed group"},
        {"127.0.0.1:[10", "unclosed group"},
        {"127.0.0.1:[", "unclosed group"},
        {"127.0.0.1:[1 2]", "unclosed group"},
        {"127.0.0.1]", "group close without group start"},
        {"127.0.0.1:10]", "group close without group start"},
        {"127.0.0.[]", "empty group"},
        {"127.0.0.1:[]", "empty group"},
        {"127.0.0.1:[1-]", "Unterminated range"},
        {"127.0.0.[1x]", "expected comma separator"},
        {"127[*]", "wildcards not permitted in groups"},
        {":80", "expected address information before ':'"},
        {":*/1", "expected address information before ':'"},
        {"10.0.0.[1-3][4]", "can never match"},
        {"10.0.0.[1]4", "can never match"},
        {"127.0.0.1:[5-1]", "matches nothing"},
        {"10.0.0.[9-8]", "matches nothing"},
        {"127.0.0.1:70000", "too large"},
        {"\"127.0.0.1\"", "without quotes"},
        {"10.0.*'", "without quotes"},
        {"10.0.0.0/33", "too large"},
        {"10.0.0.0/", "expected number"},
        {"example.com/8", "expected an IPv4 or IPv6 address"},
        {"10.*/8", "may be followed by `/'"},
        {"[::g]", "expected an IPv4 or IPv6 address"},
        {"[::1]x", "nothing may follow"},
        {"127.0.0.1:[80]x", "nothing may follow"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        static const char *const keys[] = {"Glacier2.Filter.Address.Accept", "Glacier2.Filter.Address.Reject"};
        char value[100], invalid[100];
        (void)snprintf(value, sizeof(value), "10.0.0.1 %s", cases[i][0]);
        for (size_t k = 0; k < 2; k++) {
            (void)snprintf(invalid, sizeof(invalid), "invalid `%s' property: ", keys[k]);
            const char *const words[] = {invalid, cases[i][1], NULL};
            expect_refused(keys[k], value, words);
        }
    }
    char longest[1200];
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    expect_refused("Glacier2.Filter.Address.Accept", longest, (const char *const[]){"too long", NULL});
}

static void bad_sizes(void **state)
{
    static const char key[] = "Glacier2.Filter.ProxySizeMax";
    (void)state;
    expect_refused(key, "0", (const char *const[]){"ProxySizeMax must be greater than 1", key, NULL});
    expect_refused(key, "-1", (const char *const[]){"ProxySizeMax must be greater than 1", NULL});
    expect_refused(key, "x", (const char *const[]){"Error parsing ProxySizeMax property", key, NULL});
    expect_refused("Moulin.Gateway.Filter.Loopback", "yes", (const char *const[]){"`accept' or `reject'", NULL});
}

static const char *check_with(const char *size, const char *loopback, const char *target)
{
    struct gw_proxy_filter f;
    struct ib_arena arena;
    struct ib_err err;
    struct ir_properties *p = properties(NULL, NULL, size, loopback);
    ib_arena_init(&arena, 0);
    assert_int_equal(gw_proxy_filter_read(&f, p, &arena, &err), 0);
    assert_true(gw_proxy_filter_is_on(&f));
    const struct iw_proxy *prx = proxy(target, &arena);
    const char *why = gw_proxy_filter_check(&f, prx, ir_proxy_format(prx, IR_UNICODE, &arena), NULL);
    ib_arena_fini(&arena);
    ir_properties_free(p);
    return why;
}

static void sizes(void **state)
{
    (void)state;
    assert_non_null(check_with("40", NULL, "127.0.0.1"));
    assert_non_null(check_with("42", NULL, "127.0.0.1"));
    assert_null(check_with("43", NULL, "127.0.0.1"));
    assert_null(check_with("11", NULL, "a"));
    assert_non_null(check_with("10", NULL, "a")); /* a -t -e 1.1 */
}

static void loopback(void **state)
{
    static const char *const refused[] = {"127.0.0.1",           "127.9.9.9",      "localhost", "LOCALHOST.",
                                          "x.localhost",         "::1!10",         "0.0.0.0",   "0x7f000001",
                                          "::ffff:127.0.0.1!10", "10.0.0.1+127.1", OPAQUE,      "a:tcp -p 10"};
    static const char *const allowed[] = {"10.0.0.1", "128.0.0.1", "notlocalhost", "localhost.org", "a@ad", "a"};
    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        assert_non_null(check_with(NULL, "reject", refused[i]));
    }
    for (size_t i = 0; i < COUNT(allowed); i++) {
        assert_null(check_with(NULL, "reject", allowed[i]));
    }
}

/* What names turn out to mean when connections are made. */
static void resolved_addresses(void **state)
{
    struct gw_proxy_filter f;
    struct ib_arena arena;
    struct ib_err err;
    struct gw_host h;
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct ir_properties *p = properties(NULL, "10.0.0.0/8 192.168.*:80", NULL, "reject");
    (void)state;
    ib_arena_init(&arena, 0);
    assert_int_equal(gw_proxy_filter_read(&f, p, &arena, &err), 0);
    static const struct {
        const char *address;
        int port;
        bool allowed;
    } cases[] = {{"10.1.1.1", 1, false}, {"11.1.1.1", 1, true},      {"127.0.0.1", 1, false},
                 {"0.0.0.0", 1, false},  {"192.168.3.4", 80, false}, {"192.168.3.4", 81, true}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(inet_pton(AF_INET, cases[i].address, &v4.sin_addr), 1);
        assert_true(gw_host_from_sockaddr((const struct sockaddr *)&v4, &h));
        assert_int_equal(gw_proxy_filter_allows_address(&f, &h, cases[i].port), cases[i].allowed);
    }
    assert_int_equal(inet_pton(AF_INET6, "::ffff:10.2.2.2", &v6.sin6_addr), 1);
    assert_true(gw_host_from_sockaddr((const struct sockaddr *)&v6, &h));
    assert_false(gw_proxy_filter_allows_address(&f, &h, 1));
    assert_string_equal(h.canonical, "10.2.2.2");
    ib_arena_fini(&arena);
    ir_properties_free(p);
}

static void hosts(void **state)
{
    struct gw_host h;
    const struct ib_str bad[] = {IB_STR(""), IB_STR("a b"), IB_STR("a\0b"), IB_STR("a\n"), IB_STR("\x7f")};
    char long_name[300];
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_false(gw_host_read(bad[i], &h));
    }
    memset(long_name, 'x', sizeof(long_name));
    assert_false(gw_host_read((struct ib_str){long_name, 256}, &h));
    assert_true(gw_host_read((struct ib_str){long_name, 255}, &h));
    assert_true(gw_host_read(IB_STR("."), &h));
    assert_true(gw_host_read(IB_STR("FE80:0::0001%lo"), &h) && h.is_address);
    assert_string_equal(h.canonical, "fe80::1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(annex_a),   cmocka_unit_test(beyond_glacier2),    cmocka_unit_test(patterns_take_no_time),
        cmocka_unit_test(bad_rules), cmocka_unit_test(bad_sizes),          cmocka_unit_test(sizes),
        cmocka_unit_test(loopback),  cmocka_unit_test(resolved_addresses), cmocka_unit_test(hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
