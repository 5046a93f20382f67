/* SPDX-License-Identifier: Apache-2.0 */
/* The client of a locator against one in this process that counts: the table of ice-protocol 18.2, merged lookups,
   registration of adapters (16.3), and the client of a router (18.4). */
#include "fixture.h"

#include <slice/Ice/Locator.h>
#include <slice/Ice/Locator_rpc.h>
#include <slice/Ice/Router.h>
#include <slice/Ice/Router_rpc.h>

struct fake {
    struct ib_arena arena;
    struct iw_proxy *adapter, *object; /* what is answered; NULL: NotFound */
    struct iw_proxy *registry, *registered;
    unsigned adapter_lookups, object_lookups, registrations;
    bool answer_null, refuse;
    struct iw_encoding asked_in;
    unsigned client_proxies, added;
};

static void find_object(void *self, struct ir_request *rq, const struct Ice_Locator_findObjectById_in *in)
{
    struct fake *l = self;
    (void)in;
    l->object_lookups++;
    if (l->object)
        Ice_Locator_findObjectById_reply(rq, &(struct Ice_Locator_findObjectById_out){.ret = l->object});
    else
        Ice_ObjectNotFoundException_throw(rq, NULL);
}

static void find_adapter(void *self, struct ir_request *rq, const struct Ice_Locator_findAdapterById_in *in)
{
    struct fake *l = self;
    l->adapter_lookups++;
    l->asked_in = ir_request_info(rq)->encoding;
    if (l->adapter || l->answer_null)
        Ice_Locator_findAdapterById_reply(rq, &(struct Ice_Locator_findAdapterById_out){.ret = l->adapter});
    else if (l->registered && ib_str_is(in->id, "DynA"))
        Ice_Locator_findAdapterById_reply(rq, &(struct Ice_Locator_findAdapterById_out){.ret = l->registered});
    else
        Ice_AdapterNotFoundException_throw(rq, NULL);
}

static void get_registry(void *self, struct ir_request *rq, const struct Ice_Locator_getRegistry_in *in)
{
    (void)in;
    Ice_Locator_getRegistry_reply(rq, &(struct Ice_Locator_getRegistry_out){.ret = ((struct fake *)self)->registry});
}

static void set_adapter(void *self, struct ir_request *rq,
                        const struct Ice_LocatorRegistry_setAdapterDirectProxy_in *in)
{
    struct fake *l = self;
    l->registrations++;
    if (l->refuse) {
        Ice_AdapterAlreadyActiveException_throw(rq, NULL);
        return;
    }
    l->registered = iw_proxy_copy(in->proxy, &l->arena);
    Ice_LocatorRegistry_setAdapterDirectProxy_reply(rq, NULL);
}

static const struct Ice_Locator_servant locator_vtable = {
    .findObjectById = find_object, .findAdapterById = find_adapter, .getRegistry = get_registry};
static const struct Ice_LocatorRegistry_servant registry_vtable = {.setAdapterDirectProxy = set_adapter};

struct world {
    struct fixture f; /* its server is the locator's */
    struct fake fake;
    struct ir_servant locator, registry;
    struct iw_proxy *target; /* where the echo servants are, direct */
};

static struct iw_proxy *at(struct world *w, const char *identity, int port)
{
    char text[100];
    snprintf(text, sizeof(text), "%s:tcp -h 127.0.0.1 -p %d", identity, port);
    return proxy_of(&w->f, w->f.client, text);
}

static void world_init(struct world *w, const char *const *client_lines)
{
    memset(&w->fake, 0, sizeof(w->fake));
    ib_arena_init(&w->fake.arena, 0);
    fixture_init(&w->f, LINES("Ice.Warn.Dispatch=0"), client_lines);
    w->locator = (struct ir_servant){.iface = &Ice_Locator_iface, .vtable = &locator_vtable, .self = &w->fake};
    w->registry =
        (struct ir_servant){.iface = &Ice_LocatorRegistry_iface, .vtable = &registry_vtable, .self = &w->fake};
    struct iw_identity l = {IB_STR("Locator"), IB_STR("IceGrid")}, r = {IB_STR("LocatorRegistry"), IB_STR("IceGrid")};
    assert_int_equal(ir_adapter_add(w->f.adapter, &l, "", &w->locator), 0);
    assert_int_equal(ir_adapter_add(w->f.adapter, &r, "", &w->registry), 0);
    int port = adapter_port(w->f.adapter);
    w->fake.registry = at(w, "IceGrid/LocatorRegistry", port);
    assert_int_equal(ir_runtime_set_locator(w->f.client, at(w, "IceGrid/Locator", port)), 0);
    w->target = at(w, "dummy", port);
}

static void world_fini(struct world *w)
{
    fixture_fini(&w->f);
    ib_arena_fini(&w->fake.arena);
}

static struct outcome add_on(struct world *w, const struct iw_proxy *p)
{
    struct outcome o = {0};
    assert_non_null(Vec_I_add_call(w->f.client, p, NULL, &(struct Vec_I_add_in){.a = 40, .b = 2}, on_outcome, &o));
    wait_for(w->f.loop, &o.done);
    return o;
}

static void test_adapter_cached(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, LINES("Ice.Warn.Dispatch=0"));
    w.fake.adapter = w.target;
    assert_int_equal(add_on(&w, proxy_of(&w.f, w.f.client, "o @ DynA")).number, 42);
    assert_int_equal(w.fake.adapter_lookups, 1);
    assert_int_equal(add_on(&w, proxy_of(&w.f, w.f.client, "o @ DynA")).number, 42);
    assert_int_equal(add_on(&w, proxy_of(&w.f, w.f.client, "cat/obj @ DynA")).number, 42);
    assert_int_equal(w.fake.adapter_lookups, 1);
    assert_int_equal(add_on(&w, proxy_of(&w.f, w.f.client, "nobody @ DynA")).status, IR_OBJECT_NOT_EXIST);
    assert_int_equal(w.fake.adapter_lookups, 1); /* ObjectNotExist of an @ adapter proxy asks nobody */
    world_fini(&w);
}

static void test_encoding(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, LINES("Ice.Warn.Dispatch=0"));
    w.fake.adapter = w.target;
    assert_int_equal(add_on(&w, proxy_of(&w.f, w.f.client, "o -e 1.0 @ DynA")).number, 42);
    assert_int_equal(w.fake.asked_in.minor, 0);
    assert_int_equal(add_on(&w, proxy_of(&w.f, w.f.client, "o @ DynA")).number, 42);
    assert_int_equal(w.fake.asked_in.minor, 1);
    assert_int_equal(w.fake.adapter_lookups, 2);
    w.fake.adapter->encoding = IW_ENCODING_1_0; /* cannot be asked in 1.1 */
    assert_int_equal(add_on(&w, proxy_of(&w.f, w.f.client, "o @ DynB")).code, IB_ENOENDPOINT);
    world_fini(&w);
}

static void test_not_registered(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, LINES("Ice.Warn.Dispatch=0"));
    assert_int_equal(add_on(&w, proxy_of(&w.f, w.f.client, "o @ DynA")).code, IB_ENOTREGISTERED);
    assert_int_equal(w.fake.adapter_lookups, 2);
    assert_int_equal(add_on(&w, proxy_of(&w.f, w.f.client, "unknown")).code, IB_ENOTREGISTERED);
    assert_int_equal(w.fake.object_lookups, 2);
    w.fake.answer_null = true;
    assert_int_equal(add_on(&w, proxy_of(&w.f, w.f.client, "o @ DynB")).code, IB_ENOENDPOINT);
    world_fini(&w);
}

static void test_well_known(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, LINES("Ice.Warn.Dispatch=0"));
    w.fake.object = proxy_of(&w.f, w.f.client, "o @ DynA");
    w.fake.adapter = w.target;
    assert_int_equal(add_on(&w, proxy_of(&w.f, w.f.client, "o")).number, 42);
    assert_int_equal(add_on(&w, proxy_of(&w.f, w.f.client, "o")).number, 42);
    assert_int_equal(w.fake.object_lookups, 1);
    assert_int_equal(w.fake.adapter_lookups, 1);
    /* ObjectNotExist of a well-known object: what is cached is dropped, and it is asked for once more */
    assert_int_equal(add_on(&w, proxy_of(&w.f, w.f.client, "nobody")).status, IR_OBJECT_NOT_EXIST);
    assert_int_equal(w.fake.object_lookups, 3);
    w.fake.object = proxy_of(&w.f, w.f.client, "other");
    assert_int_equal(add_on(&w, proxy_of(&w.f, w.f.client, "circular")).code, IB_ENOENDPOINT);
    world_fini(&w);
}

static void ignore(void *arg, struct ir_conn *c)
{
    (void)arg;
    (void)c;
}

static void test_moved(void **state)
{
    (void)state;
    struct world w;
    struct ib_err err;
    struct echo echo;
    struct ir_adapter_options at_any = {.endpoints = "tcp -h 127.0.0.1"};
    world_init(&w, LINES("Ice.Warn.Dispatch=0"));
    struct ir_adapter *first = ir_adapter_new_with(w.f.server, "B", &at_any, &err);
    assert_non_null(first);
    assert_int_equal(echo_init(&echo, w.f.server, first), 0);
    ir_adapter_activate(first, NULL, NULL);
    w.fake.adapter = at(&w, "dummy", adapter_port(first));
    assert_int_equal(add_on(&w, proxy_of(&w.f, w.f.client, "o @ DynA")).number, 42);
    ir_adapter_deactivate(first);
    while (ir_adapter_each_conn(first, ignore, NULL))
        ic_loop_run_once(w.f.loop, 20);
    ir_adapter_free(first);
    w.fake.adapter = w.target;
    assert_int_equal(w.fake.adapter_lookups, 1);
    assert_int_equal(add_on(&w, proxy_of(&w.f, w.f.client, "o @ DynA")).number, 42);
    assert_int_equal(w.fake.adapter_lookups, 2); /* the stale entry cost one lookup, and no failure */
    echo_fini(&echo);
    world_fini(&w);
}

static void test_timeout_zero(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, LINES("Ice.Default.LocatorCacheTimeout=0"));
    w.fake.adapter = w.target;
    assert_int_equal(add_on(&w, proxy_of(&w.f, w.f.client, "o @ DynA")).number, 42);
    assert_int_equal(add_on(&w, proxy_of(&w.f, w.f.client, "o @ DynA")).number, 42);
    assert_int_equal(w.fake.adapter_lookups, 1); /* the connection is there */
    world_fini(&w);
}

/* An expired answer serves at once, and is refreshed behind it. */
static void test_background(void **state)
{
    (void)state;
    struct world w;
    struct outcome o = {0};
    world_init(&w, LINES("Ice.Default.LocatorCacheTimeout=1", "Ice.BackgroundLocatorCacheUpdates=1",
                         "Ice.ACM.Client.Timeout=0"));
    w.fake.adapter = w.target;
    assert_int_equal(add_on(&w, proxy_of(&w.f, w.f.client, "o @ DynA")).number, 42);
    for (int64_t end = ib_clock_ms() + 1100; ib_clock_ms() < end;)
        ic_loop_run_once(w.f.loop, 20);
    ir_connect(w.f.client, at(&w, "o", adapter_port(w.f.adapter)), NULL, on_outcome, &o);
    wait_for(w.f.loop, &o.done);
    ir_conn_close(o.conn, true); /* a call that finds a connection would need nothing at all */
    run_for(w.f.loop, 20);
    assert_int_equal(add_on(&w, proxy_of(&w.f, w.f.client, "o @ DynA")).number, 42);
    run_for(w.f.loop, 20);
    assert_int_equal(w.fake.adapter_lookups, 2);
    assert_int_equal(add_on(&w, proxy_of(&w.f, w.f.client, "o @ DynA")).number, 42);
    assert_int_equal(w.fake.adapter_lookups, 2);
    world_fini(&w);
}

static void test_merged(void **state)
{
    (void)state;
    enum { N = 8 };
    struct world w;
    struct outcome o[N] = {0};
    world_init(&w, LINES("Ice.Warn.Dispatch=0"));
    w.fake.adapter = w.target;
    for (int i = 0; i < N; i++)
        Vec_I_add_call(w.f.client, proxy_of(&w.f, w.f.client, "o @ DynA"), NULL, &(struct Vec_I_add_in){.a = i},
                       on_outcome, &o[i]);
    for (int i = 0; i < N; i++) {
        wait_for(w.f.loop, &o[i].done);
        assert_int_equal(o[i].number, i);
    }
    assert_int_equal(w.fake.adapter_lookups, 1);
    world_fini(&w);
}

/* --- adapters with an id (16.3) ------------------------------------------------------------------------------- */

struct activation {
    bool done;
    int code;
    char text[200];
};

static void on_activated(void *arg, int code, const char *text)
{
    struct activation *a = arg;
    a->done = true;
    a->code = code;
    snprintf(a->text, sizeof(a->text), "%s", text);
}

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

static void test_registration(void **state)
{
    (void)state;
    struct world w;
    struct ib_err err;
    struct activation a = {0};
    bool stopped = false;
    world_init(&w, LINES("B.Endpoints=tcp -h 127.0.0.1", "B.AdapterId=DynA"));
    struct ir_adapter *b = ir_adapter_new(w.f.client, "B", &err);
    assert_non_null(b);
    struct iw_identity id = {IB_STR("o"), IB_STR("")};
    struct iw_proxy *p = ir_adapter_proxy(b, &id, &w.f.arena);
    assert_int_equal(p->n_endpoints, 0);
    assert_string_equal(p->adapter_id.p, "DynA");
    w.fake.refuse = true;
    ir_adapter_activate(b, on_activated, &a);
    wait_for(w.f.loop, &a.done);
    assert_int_equal(a.code, IB_EIDINUSE);
    w.fake.refuse = false;
    a.done = false;
    ir_adapter_activate(b, on_activated, &a);
    wait_for(w.f.loop, &a.done);
    assert_int_equal(a.code, 0);
    assert_non_null(w.fake.registered);
    assert_string_equal(w.fake.registered->id.name.p, "dummy");
    assert_int_equal(w.fake.registered->endpoints[0].port, adapter_port(b));
    assert_int_equal(add_on(&w, p).status, IR_OBJECT_NOT_EXIST); /* found, and through the locator */
    ir_runtime_shutdown(w.f.client, set_flag, &stopped);
    wait_for(w.f.loop, &stopped);
    assert_null(w.fake.registered); /* taken out before the connections went */
    assert_int_equal(w.fake.registrations, 3);
    ir_adapter_free(b);
    world_fini(&w);
}

/* --- router (18.4) -------------------------------------------------------------------------------------------- */

static void client_proxy(void *self, struct ir_request *rq, const struct Ice_Router_getClientProxy_in *in)
{
    (void)in;
    ((struct fake *)self)->client_proxies++;
    Ice_Router_getClientProxy_reply(
        rq, &(struct Ice_Router_getClientProxy_out){.has_hasRoutingTable = true, .hasRoutingTable = true});
}

static void add_proxies(void *self, struct ir_request *rq, const struct Ice_Router_addProxies_in *in)
{
    struct fake *l = self;
    assert_int_equal(in->proxies.n, 1);
    l->added++;
    Ice_Router_addProxies_reply(rq, &(struct Ice_Router_addProxies_out){0});
}

static void forget_once(void *self, struct ir_request *rq)
{
    struct fake *l = self;
    const struct ir_request_info *i = ir_request_info(rq);
    if (l->added < 2)
        ir_request_fail_as(rq, IR_OBJECT_NOT_EXIST, &i->id, IB_STR(""), IB_STR("ice_add_proxy"));
    else
        ir_request_reply_raw(rq, IR_OK, (struct ib_span){(const uint8_t *)"\6\0\0\0\1\1", 6}, NULL);
}

static void test_router(void **state)
{
    (void)state;
    static const struct Ice_Router_servant vtable = {.getClientProxy = client_proxy, .addProxies = add_proxies};
    struct world w;
    struct fixture *f = &w.f;
    struct outcome o = {0};
    char line[120];
    world_init(&w, LINES("Ice.Warn.Dispatch=0"));
    struct ir_servant router = {.iface = &Ice_Router_iface, .vtable = &vtable, .self = &w.fake};
    struct ir_servant flaky = {.raw = forget_once, .self = &w.fake};
    struct iw_identity id = {IB_STR("router"), IB_STR("Glacier2")}, flaky_id = {IB_STR("flaky"), IB_STR("")};
    assert_int_equal(ir_adapter_add(f->adapter, &id, "", &router), 0);
    assert_int_equal(ir_adapter_add(f->adapter, &flaky_id, "", &flaky), 0);
    snprintf(line, sizeof(line), "Ice.Default.Router=Glacier2/router:tcp -h 127.0.0.1 -p %d", adapter_port(f->adapter));
    ir_runtime_free(f->client);
    f->client = runtime_new(f->loop, &f->types, LINES(line));
    /* whatever endpoints the proxy has, the router's are used */
    assert_int_equal(add_on(&w, proxy_of(f, f->client, "o:tcp -h 127.0.0.1 -p 1")).number, 42);
    assert_int_equal(add_on(&w, proxy_of(f, f->client, "o @ Somewhere")).number, 42);
    assert_int_equal(w.fake.client_proxies, 1);
    assert_int_equal(w.fake.added, 1);
    w.fake.added = 0;
    Vec_I_noargs_call(f->client, proxy_of(f, f->client, "flaky"), NULL, NULL, on_outcome, &o);
    wait_for(f->loop, &o.done);
    assert_int_equal(o.outcome, IR_SUCCESS);
    assert_int_equal(w.fake.added, 2);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adapter_cached), cmocka_unit_test(test_encoding),   cmocka_unit_test(test_not_registered),
        cmocka_unit_test(test_well_known),     cmocka_unit_test(test_moved),      cmocka_unit_test(test_timeout_zero),
        cmocka_unit_test(test_merged),         cmocka_unit_test(test_background), cmocka_unit_test(test_registration),
        cmocka_unit_test(test_router),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
