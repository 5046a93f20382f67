/* SPDX-License-Identifier: Apache-2.0 */
/* The router's own endpoints under all their names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include <moulin/rpc/adapter.h>

#include "own_endpoints.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct fixture {
    struct ic_loop *loop;
    struct ir_runtime *rt;
    struct ir_adapter *client, *server, *admin;
    struct ib_arena arena;
    struct gw_own own;
};

static struct ir_adapter *adapter(struct fixture *f, const char *name, const char *endpoints, const char *published)
{
    struct ib_err err = {0};
    const struct ir_adapter_options o = {.endpoints = endpoints, .published_endpoints = published};
    struct ir_adapter *a = ir_adapter_new_with(f->rt, name, &o, &err);
    if (!a) {
        fail_msg("%s", err.text);
    }
    return a;
}

static void fixture_init(struct fixture *f)
{
    static const struct iw_registry none;
    struct ib_err err = {0};
    *f = (struct fixture){0};
    ib_arena_init(&f->arena, 0);
    f->loop = ic_loop_new(&err);
    assert_non_null(f->loop);
    f->rt = ir_runtime_new(f->loop, ir_properties_new(), &none, &err);
    assert_non_null(f->rt);
    f->client = adapter(f, "C", "tcp -h 127.0.0.1 -p 0", NULL);
    f->server = adapter(f, "S", "tcp -h 127.0.0.1 -p 0", "tcp -h Gate.Example.Org -p 4064:udp -h 127.0.0.1 -p 4065");
    f->admin = adapter(f, "A", "tcp -h 0.0.0.0 -p 0", NULL);
    assert_int_equal(gw_own_add(&f->own, NULL, GW_OWN_SERVER, &f->arena), 0);
    assert_int_equal(gw_own_add(&f->own, f->client, GW_OWN_CLIENT, &f->arena), 0);
    assert_int_equal(gw_own_add(&f->own, f->server, GW_OWN_SERVER, &f->arena), 0);
    assert_int_equal(gw_own_add(&f->own, f->admin, GW_OWN_ADMIN, &f->arena), 0);
}

static void fixture_fini(struct fixture *f)
{
    ir_adapter_free(f->client);
    ir_adapter_free(f->server);
    ir_adapter_free(f->admin);
    ir_runtime_free(f->rt);
    ic_loop_run_once(f->loop, 0);
    ic_loop_free(f->loop);
    ib_arena_fini(&f->arena);
}

static enum gw_place place(struct fixture *f, const char *host, int port)
{
    struct iw_endpoint ep = {.type = IW_EP_SSL, .host = ib_str(host), .port = port};
    const struct iw_proxy prx = {.n_endpoints = 1, .endpoints = &ep};
    return gw_own_place_of(&f->own, &prx);
}

static void names_of_own_endpoints(void **state)
{
    struct fixture f;
    (void)state;
    fixture_init(&f);
    int client = ir_adapter_bound(f.client, 0)->port, server = ir_adapter_bound(f.server, 0)->port;
    int admin = ir_adapter_bound(f.admin, 0)->port;
    assert_null(ir_adapter_bound(f.client, 1));
    static const char *const loopback[] = {"127.0.0.1", "localhost",  "LOCALHOST.", "127.1",
                                           "0.0.0.0",   "0x7f000001", "",           "::ffff:127.0.0.1"};
    for (size_t i = 0; i < COUNT(loopback); i++) {
        assert_int_equal(place(&f, loopback[i], client), GW_OWN_CLIENT);
        assert_int_equal(place(&f, loopback[i], server), GW_OWN_SERVER);
        assert_int_equal(place(&f, loopback[i], admin), GW_OWN_ADMIN);
        assert_int_equal(place(&f, loopback[i], 1), GW_ELSEWHERE);
    }
    assert_int_equal(place(&f, "127.0.0.2", client), GW_ELSEWHERE); /* bound to one address only */
    assert_int_equal(place(&f, "127.0.0.2", admin), GW_OWN_ADMIN);
    assert_int_equal(place(&f, "::1", admin), GW_OWN_ADMIN);
    assert_int_equal(place(&f, "192.0.2.1", admin), GW_ELSEWHERE); /* nobody's */
    assert_int_equal(place(&f, "gate.example.org.", 4064), GW_OWN_SERVER);
    assert_int_equal(place(&f, "gate.example.org", 4063), GW_ELSEWHERE);
    assert_int_equal(place(&f, "127.0.0.1", 4065), GW_ELSEWHERE); /* a datagram reaches no adapter of ours */
    fixture_fini(&f);
}

/* Every address the admin adapter publishes is one of the machine's, and known as such with a wildcard too. */
static void interfaces(void **state)
{
    struct fixture f;
    size_t n = 0;
    (void)state;
    fixture_init(&f);
    const struct iw_endpoint *published = ir_adapter_endpoints(f.admin, &n);
    assert_true(n > 0);
    f.own.n = 0;
    struct gw_own_endpoint any = {.place = GW_OWN_ADMIN, .wildcard = true, .port = 5};
    f.own.v[f.own.n++] = any;
    f.own.ports = UINT64_MAX;
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(place(&f, published[i].host.p, 5), GW_OWN_ADMIN);
    }
    f.own.machine_until = INT64_MAX;
    f.own.n_machine = GW_MACHINE_MAX; /* more than can be known */
    assert_int_equal(place(&f, "192.0.2.1", 5), GW_OWN_ADMIN);
    fixture_fini(&f);
}

static void several_endpoints(void **state)
{
    struct fixture f;
    (void)state;
    fixture_init(&f);
    struct iw_endpoint eps[] = {
        {.type = IW_EP_TCP, .host = IB_STR("192.0.2.1"), .port = 10},
        {.type = IW_EP_TCP, .host = IB_STR("127.0.0.1"), .port = ir_adapter_bound(f.server, 0)->port},
        {.type = IW_EP_TCP, .host = IB_STR("127.0.0.1"), .port = ir_adapter_bound(f.client, 0)->port},
        {.type = IW_EP_WS, .host = IB_STR("127.0.0.9"), .port = ir_adapter_bound(f.admin, 0)->port},
    };
    static const enum gw_place expected[] = {GW_ELSEWHERE, GW_OWN_SERVER, GW_OWN_CLIENT, GW_OWN_ADMIN};
    for (size_t i = 0; i < COUNT(eps); i++) {
        const struct iw_proxy prx = {.n_endpoints = i + 1, .endpoints = eps};
        assert_int_equal(gw_own_place_of(&f.own, &prx), expected[i]);
    }
    eps[3].opaque = true;
    const struct iw_proxy prx = {.n_endpoints = 1, .endpoints = &eps[3]};
    assert_int_equal(gw_own_place_of(&f.own, &prx), GW_ELSEWHERE);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_own_endpoints),
        cmocka_unit_test(interfaces),
        cmocka_unit_test(several_endpoints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
