/* SPDX-License-Identifier: Apache-2.0 */
/* The router from outside: what a client, a verifier, a session manager and a server see (glacier2-router 3 to 13). */
#include "stage.h"

static const char *const nothing[] = {NULL};

static void expect_thrown(const struct outcome *o, const char *exception, const char *reason)
{
    assert_int_equal(o->outcome, IR_THROWN);
    assert_string_equal(o->exception, exception);
    assert_string_equal(o->reason, reason);
}

#define DENIED "::Glacier2::PermissionDeniedException"
#define CANNOT "::Glacier2::CannotCreateSessionException"
#define NO_SESSION "::Glacier2::SessionNotExistException"

/* 4.4: no reply, the connection goes. */
static void expect_dropped(const struct outcome *o)
{
    assert_int_equal(o->outcome, IR_FAILED_LOCAL);
    assert_true(o->code == IB_ELOST || o->code == IB_ECLOSEDLOCAL || o->code == IB_ECLOSED);
}

static void without_a_session(void **state)
{
    struct stage s;
    struct client c;
    struct outcome o;
    (void)state;
    stage_open(&s, nothing, false);
    client_open(&s, &c);
    o = simple(&s, &c, &Glacier2_Router_refreshSession_op);
    expect_thrown(&o, NO_SESSION, "");
    o = simple(&s, &c, &Glacier2_Router_destroySession_op);
    expect_thrown(&o, NO_SESSION, "");
    assert_int_equal(simple(&s, &c, &Glacier2_Router_getSessionTimeout_op).outcome, IR_SUCCESS);
    assert_int_equal(simple(&s, &c, &Glacier2_Router_getACMTimeout_op).outcome, IR_SUCCESS);
    assert_int_equal(simple(&s, &c, &ir_op_ice_ping).outcome, IR_SUCCESS);
    const struct iw_op *const dropped[] = {&Glacier2_Router_getCategoryForClient_op, &Ice_Router_getClientProxy_op,
                                           &Ice_Router_getServerProxy_op};
    for (size_t i = 0; i < 3; i++) {
        o = simple(&s, &c, dropped[i]);
        expect_dropped(&o);
    }
    o = add_proxy(&s, &c, echo_proxy(&s, "x"));
    expect_dropped(&o);
    o = forward(&s, &c, &(struct request){.name = "x", .category = "e", .operation = "op"});
    expect_dropped(&o);
    o = forward(&s, &c,
                &(struct request){.name = "router", .category = "Glacier2", .facet = "f", .operation = "ice_ping"});
    expect_dropped(&o);
    assert_int_equal(s.back.echoed, 0);
    client_close(&s, &c);
    stage_close(&s);
}

static void login_and_out(void **state)
{
    struct stage s;
    struct client c;
    struct outcome o;
    (void)state;
    stage_open(&s, nothing, false);
    client_open(&s, &c);
    for (int round = 1; round <= 2; round++) { /* the second on the same connection */
        o = login(&s, &c, "alice");
        assert_int_equal(o.outcome, IR_SUCCESS);
        assert_false(o.null);
        assert_true(s.back.has_control);
        assert_string_equal(s.back.context, "k=v;"); /* the fake key is gone */
        o = login(&s, &c, "alice");
        expect_thrown(&o, CANNOT, "session exists");
        assert_int_equal(s.back.verified, round);
        o = simple(&s, &c, &Glacier2_Router_getCategoryForClient_op);
        assert_int_equal(strlen(o.text), GW_TOKEN_LEN);
        assert_int_equal(simple(&s, &c, &Glacier2_Router_refreshSession_op).outcome, IR_SUCCESS);
        assert_int_equal(s.back.pinged, round);
        assert_int_equal(simple(&s, &c, &Glacier2_Router_destroySession_op).outcome, IR_SUCCESS);
        stage_wait_count(&s, &s.back.destroyed, round);
    }
    o = simple(&s, &c, &Glacier2_Router_destroySession_op);
    expect_thrown(&o, NO_SESSION, "");
    client_close(&s, &c);
    stage_close(&s);
    assert_int_equal(s.back.destroyed, 2);
}

static void refusals(void **state)
{
    struct stage s;
    struct client c;
    struct outcome o;
    (void)state;
    stage_open(&s, nothing, false);
    client_open(&s, &c);
    s.back.deny = true;
    o = login(&s, &c, "alice");
    expect_thrown(&o, DENIED, "permission denied");
    s.back.reason = "why";
    o = login(&s, &c, "alice");
    expect_thrown(&o, DENIED, "why");
    s.back.deny_throw = true;
    o = login(&s, &c, "alice");
    expect_thrown(&o, DENIED, "why");
    s.back.deny = s.back.deny_throw = false;
    s.back.manager_throws = true;
    o = login(&s, &c, "alice");
    expect_thrown(&o, CANNOT, "full");
    s.back.manager_throws = false;
    s.back.manager_fails = true;
    o = login(&s, &c, "alice");
    expect_thrown(&o, CANNOT, "internal server error");
    s.back.manager_fails = false;
    s.back.null_session = true;
    o = login(&s, &c, "alice");
    assert_true(o.outcome == IR_SUCCESS && o.null);
    o = simple(&s, &c, &Glacier2_Router_createSessionFromSecureConnection_op);
    expect_thrown(&o, DENIED, "no configured ssl permissions verifier");
    client_close(&s, &c);
    stage_close(&s);
    assert_int_equal(s.back.destroyed, 0);
}

/* 4.1: three at once; the first wins, the others are told without asking the verifier. */
static void concurrent_logins(void **state)
{
    struct stage s;
    struct client c;
    struct outcome o[3], refresh;
    (void)state;
    stage_open(&s, nothing, false);
    client_open(&s, &c);
    s.back.hold_verifier = true;
    for (int i = 0; i < 3; i++) {
        start_login(&s, &c, "alice", &o[i]);
    }
    stage_wait_count(&s, &s.back.verified, 1);
    refresh = simple(&s, &c, &Glacier2_Router_refreshSession_op); /* no session yet, and no harm done */
    expect_thrown(&refresh, NO_SESSION, "");
    backend_release(&s);
    stage_wait(&s, &o[2].done);
    assert_int_equal(o[0].outcome, IR_SUCCESS);
    expect_thrown(&o[1], CANNOT, "session exists");
    expect_thrown(&o[2], CANNOT, "session exists");
    assert_int_equal(s.back.verified, 1);
    client_close(&s, &c);
    stage_close(&s);
}

static void a_denied_login_lets_the_next_try(void **state)
{
    struct stage s;
    struct client c;
    struct outcome o[3];
    (void)state;
    stage_open(&s, nothing, false);
    client_open(&s, &c);
    s.back.hold_verifier = s.back.deny = true;
    for (int i = 0; i < 3; i++) {
        start_login(&s, &c, "alice", &o[i]);
    }
    stage_wait_count(&s, &s.back.verified, 1);
    backend_release(&s);
    stage_wait_count(&s, &s.back.verified, 2);
    s.back.deny = false;
    backend_release(&s);
    stage_wait(&s, &o[2].done);
    expect_thrown(&o[0], DENIED, "permission denied");
    assert_int_equal(o[1].outcome, IR_SUCCESS);
    expect_thrown(&o[2], CANNOT, "session exists");
    client_close(&s, &c);
    stage_close(&s);
}

/* The queue of one connection is bounded. */
static void too_many_logins(void **state)
{
    enum { N = 40 };
    struct stage s;
    struct client c;
    struct outcome o[N];
    int refused = 0;
    (void)state;
    stage_open(&s, nothing, false);
    client_open(&s, &c);
    s.back.hold_verifier = true;
    for (int i = 0; i < N; i++) {
        start_login(&s, &c, "alice", &o[i]);
    }
    stage_wait(&s, &o[N - 1].done);
    for (int i = 0; i < N; i++) {
        refused += o[i].done;
    }
    assert_true(refused > N / 2 && refused < N);
    stage_wait_count(&s, &s.back.verified, 1);
    backend_release(&s);
    stage_wait(&s, &o[1].done);
    assert_int_equal(o[0].outcome, IR_SUCCESS);
    client_close(&s, &c);
    stage_close(&s);
}

/* Whoever leaves, or asks for too much, while the session is being made: the session made is destroyed, once. */
static void gone_during_creation(void **state)
{
    struct stage s;
    struct client c;
    struct outcome o, early;
    (void)state;
    stage_open(&s, nothing, false);
    s.back.hold_manager = true;
    for (int way = 0; way < 2; way++) {
        client_open(&s, &c);
        start_login(&s, &c, "alice", &o);
        stage_wait_count(&s, &s.back.created, way + 1);
        if (way == 1) {
            early = simple(&s, &c, &Ice_Router_getClientProxy_op);
            expect_dropped(&early);
        }
        client_close(&s, &c);
        backend_release(&s);
        stage_wait_count(&s, &s.back.destroyed, way + 1);
    }
    stage_close(&s);
    assert_int_equal(s.back.destroyed, 2);
}

static void forwarding(void **state)
{
    struct stage s;
    struct client c;
    struct outcome o;
    (void)state;
    stage_open(&s, nothing, false);
    client_open(&s, &c);
    (void)login(&s, &c, "alice");
    o = forward(&s, &c, &(struct request){.name = "x", .category = "e", .operation = "op"});
    assert_int_equal(o.status, IR_OBJECT_NOT_EXIST);
    assert_string_equal(o.operation, "ice_add_proxy");
    assert_int_equal(add_proxy(&s, &c, echo_proxy(&s, "x")).outcome, IR_SUCCESS);
    o = forward(&s, &c, &(struct request){.name = "x", .category = "e", .facet = "f", .operation = "op"});
    assert_int_equal(o.status, IR_OK);
    assert_int_equal(o.n_raw, 10);
    assert_memory_equal(o.raw, "\x0a\0\0\0\1\1\3abc", 10);
    assert_string_equal(s.back.echo_facet, "f");
    assert_int_equal(s.back.echo_mode, IW_IDEMPOTENT);
    assert_int_equal(forward(&s, &c, &(struct request){.name = "x", .category = "e", .operation = "throw"}).status,
                     IR_USER_EXCEPTION);
    assert_int_equal(forward(&s, &c, &(struct request){.name = "x", .category = "e", .operation = "nothing"}).status,
                     IR_OPERATION_NOT_EXIST);
    assert_int_equal(forward(&s, &c, &(struct request){.name = "x", .category = "e", .operation = "fail"}).status,
                     IR_UNKNOWN);
    int before = s.back.echoed;
    o = forward(&s, &c, &(struct request){.name = "x", .category = "e", .operation = "op", .oneway = true});
    assert_int_equal(o.outcome, IR_SUCCESS);
    stage_wait_count(&s, &s.back.echoed, before + 1);
    assert_int_equal(s.back.echo_id, 0);
    struct iw_proxy *dead = echo_proxy(&s, "dead");
    dead->endpoints[0].port = 1;
    (void)add_proxy(&s, &c, dead);
    o = forward(&s, &c, &(struct request){.name = "dead", .category = "e", .operation = "op"});
    assert_int_equal(o.status, IR_UNKNOWN_LOCAL);
    client_close(&s, &c);
    stage_close(&s);
}

/* 8.3: what travels on, and that nobody can pretend to be the router. */
static void contexts(void **state)
{
    static const struct {
        const char *properties[3];
        const char *seen, *prefix;
    } cases[] = {
        {{NULL}, "", NULL},
        {{"Glacier2.Client.ForwardContext=1", NULL}, "k=v;", NULL},
        {{"Glacier2.AddConnectionContext=1", NULL}, NULL, "_con.type="},
        {{"Glacier2.AddConnectionContext=2", NULL}, "", NULL},
        {{"Glacier2.Client.ForwardContext=1", "Glacier2.AddConnectionContext=1", NULL}, NULL, "k=v;_con.type="},
    };
    const struct request rq = {.name = "x",
                               .category = "e",
                               .operation = "op",
                               .context = {{IB_STR("k"), IB_STR("v")}, {IB_STR("_con.type"), IB_STR("fake")}},
                               .n_context = 2};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stage s;
        struct client c;
        stage_open(&s, cases[i].properties, false);
        client_open(&s, &c);
        (void)login(&s, &c, "alice");
        (void)add_proxy(&s, &c, echo_proxy(&s, "x"));
        assert_int_equal(forward(&s, &c, &rq).status, IR_OK);
        if (cases[i].seen) {
            assert_string_equal(s.back.echo_context, cases[i].seen);
        } else {
            assert_memory_equal(s.back.echo_context, cases[i].prefix, strlen(cases[i].prefix));
        }
        assert_null(strstr(s.back.echo_context, "fake"));
        client_close(&s, &c);
        stage_close(&s);
    }
}

static void oneway_on_request(void **state)
{
    struct stage s;
    struct client c;
    struct request rq = {.name = "x", .category = "e", .operation = "op", .n_context = 1};
    (void)state;
    stage_open(&s, nothing, false);
    client_open(&s, &c);
    (void)login(&s, &c, "alice");
    (void)add_proxy(&s, &c, echo_proxy(&s, "x"));
    rq.context[0] = (struct ir_context_entry){IB_STR("_fwd"), IB_STR("o")};
    struct outcome o = forward(&s, &c, &rq);
    assert_int_equal(o.status, IR_OK);
    assert_memory_equal(o.raw, "\6\0\0\0\1\1", 6); /* an empty success, at once */
    stage_wait_count(&s, &s.back.echoed, 1);
    assert_int_equal(s.back.echo_id, 0);
    rq.context[0].value = IB_STR("s"); /* no secure endpoint there */
    assert_int_equal(forward(&s, &c, &rq).status, IR_UNKNOWN_LOCAL);
    rq.context[0].value = IB_STR("ot");
    assert_int_equal(forward(&s, &c, &rq).n_raw, 10);
    client_close(&s, &c);
    stage_close(&s);
}

static struct outcome call_back(struct stage *s, struct iw_identity id, const char *operation)
{
    struct outcome o = {0};
    static const uint8_t empty[] = {6, 0, 0, 0, 1, 1};
    const struct iw_proxy *prx = ir_adapter_direct_proxy(s->router->server, &id, &s->arena);
    const struct ir_raw_request raw = {
        .id = id, .operation = ib_str(operation), .mode = IW_NORMAL, .params = {empty, sizeof(empty)}};
    assert_non_null(ir_call_raw(s->back.rt, prx, &raw, NULL, on_outcome, &o));
    stage_wait(s, &o.done);
    return o;
}

static void on_connected(void *arg, const struct ir_result *r)
{
    struct client *c = arg;
    c->conn = r->conn;
}

static void callbacks(void **state)
{
    struct stage s;
    struct client c;
    struct backend at_client = {0};
    struct outcome o;
    (void)state;
    stage_open(&s, nothing, false);
    client_open(&s, &c);
    (void)login(&s, &c, "alice");
    o = simple(&s, &c, &Glacier2_Router_getCategoryForClient_op);
    c.adapter = ir_adapter_new_with(c.rt, "", &(struct ir_adapter_options){.endpoints = ""}, NULL);
    assert_non_null(c.adapter);
    at_client.echo = (struct ir_servant){.raw = backend_echo, .self = &at_client};
    const struct iw_identity id = {.name = IB_STR("cb"), .category = ib_str(o.text)};
    assert_int_equal(ir_adapter_add(c.adapter, &id, "", &at_client.echo), 0);
    assert_non_null(ir_connect(c.rt, s.router_proxy, NULL, on_connected, &c));
    while (!c.conn) {
        (void)ic_loop_run_once(s.loop, 100);
    }
    ir_conn_set_adapter(c.conn, c.adapter);
    struct outcome called = call_back(&s, id, "op");
    assert_int_equal(called.status, IR_OK);
    assert_int_equal(at_client.echoed, 1);
    const struct iw_identity unknown = {.name = IB_STR("zz"), .category = id.category};
    assert_int_equal(call_back(&s, unknown, "op").status, IR_OBJECT_NOT_EXIST);
    const struct iw_identity guess = {.name = IB_STR("cb"), .category = IB_STR("AAAAAAAAAAAAAAAAAAAA")};
    called = call_back(&s, guess, "op");
    assert_int_equal(called.status, IR_OBJECT_NOT_EXIST);
    assert_string_equal(called.operation, "op");
    (void)simple(&s, &c, &Glacier2_Router_destroySession_op);
    assert_int_equal(call_back(&s, id, "op").status, IR_OBJECT_NOT_EXIST);
    assert_int_equal(at_client.echoed, 1);
    client_close(&s, &c);
    stage_close(&s);
}

static void session_control(void **state)
{
    struct stage s;
    struct client c;
    struct outcome o;
    (void)state;
    stage_open(&s, nothing, false);
    client_open(&s, &c);
    (void)login(&s, &c, "alice");
    assert_int_equal(call_control(&s, &Glacier2_SessionControl_getSessionTimeout_op).outcome, IR_SUCCESS);
    assert_int_equal(call_control(&s, &Glacier2_SessionControl_destroy_op).outcome, IR_SUCCESS);
    stage_wait_count(&s, &s.back.destroyed, 1);
    assert_int_equal(call_control(&s, &Glacier2_SessionControl_destroy_op).status, IR_OBJECT_NOT_EXIST);
    o = simple(&s, &c, &Glacier2_Router_refreshSession_op);
    expect_thrown(&o, NO_SESSION, "");
    s.back.hold_manager = true; /* destroyed before it exists: its creation fails */
    start_login(&s, &c, "alice", &o);
    stage_wait_count(&s, &s.back.created, 2);
    assert_int_equal(call_control(&s, &Glacier2_SessionControl_destroy_op).outcome, IR_SUCCESS);
    backend_release(&s);
    stage_wait(&s, &o.done);
    assert_string_equal(o.exception, CANNOT);
    stage_wait_count(&s, &s.back.destroyed, 2);
    client_close(&s, &c);
    stage_close(&s);
}

static void configured_filters(void **state)
{
    static const char *const properties[] = {"Glacier2.Filter.Category.Accept=other",
                                             "Glacier2.Filter.Identity.Accept=e/x 'e/with blank'", NULL};
    struct stage s;
    struct client c;
    (void)state;
    stage_open(&s, properties, false);
    client_open(&s, &c);
    (void)login(&s, &c, "alice");
    static const struct {
        const char *name;
        enum ir_status status;
    } cases[] = {{"x", IR_OK}, {"y", IR_OBJECT_NOT_EXIST}, {"with blank", IR_OK}};
    for (size_t i = 0; i < 3; i++) {
        (void)add_proxy(&s, &c, echo_proxy(&s, cases[i].name));
        struct outcome o =
            forward(&s, &c, &(struct request){.name = cases[i].name, .category = "e", .operation = "op"});
        assert_int_equal(o.status, cases[i].status);
        assert_string_equal(o.operation, cases[i].status == IR_OK ? "" : "op"); /* not ice_add_proxy */
    }
    client_close(&s, &c);
    stage_close(&s);
}

/* 5: silence ends a session, use keeps it. */
static void expiry(void **state)
{
    static const char *const properties[] = {"Glacier2.SessionTimeout=1", NULL};
    struct stage s;
    struct client idle, busy;
    struct outcome o;
    (void)state;
    stage_open(&s, properties, false);
    client_open(&s, &idle);
    client_open(&s, &busy);
    (void)login(&s, &idle, "idle");
    (void)login(&s, &busy, "busy");
    (void)add_proxy(&s, &busy, echo_proxy(&s, "x"));
    int64_t end = ib_clock_ms() + 20000;
    while (s.back.destroyed == 0 && ib_clock_ms() < end) {
        o = forward(&s, &busy, &(struct request){.name = "x", .category = "e", .operation = "op"});
        assert_int_equal(o.status, IR_OK);
        (void)ic_loop_run_once(s.loop, 50);
    }
    assert_int_equal(s.back.destroyed, 1);
    assert_int_equal(simple(&s, &busy, &Glacier2_Router_refreshSession_op).outcome, IR_SUCCESS);
    stage_wait_count(&s, &s.back.destroyed, 2);
    client_close(&s, &idle);
    client_close(&s, &busy);
    stage_close(&s);
}

static void a_dead_session_object(void **state)
{
    struct stage s;
    struct client c;
    struct outcome o;
    (void)state;
    stage_open(&s, nothing, false);
    client_open(&s, &c);
    (void)login(&s, &c, "alice");
    s.back.ping_fails = true;
    o = simple(&s, &c, &Glacier2_Router_refreshSession_op);
    expect_thrown(&o, NO_SESSION, "");
    stage_wait_count(&s, &s.back.destroyed, 1);
    client_close(&s, &c);
    stage_close(&s);
}

/* 2.3: every session's manager hears of the end; whoever is waiting at the door is told. */
static void stopping(void **state)
{
    struct stage s;
    struct client in, waiting;
    struct outcome o;
    (void)state;
    stage_open(&s, nothing, false);
    client_open(&s, &in);
    client_open(&s, &waiting);
    (void)login(&s, &in, "alice");
    s.back.hold_verifier = true;
    start_login(&s, &waiting, "bob", &o);
    stage_wait_count(&s, &s.back.verified, 2);
    bool stopped = false;
    gw_service.stop(s.router, stage_set_flag, &stopped);
    stage_wait(&s, &o.done);
    expect_thrown(&o, CANNOT, "router is shutting down");
    stage_wait_count(&s, &s.back.destroyed, 1);
    backend_release(&s);
    stage_wait(&s, &stopped);
    gw_service.free(s.router);
    s.router = NULL;
    client_close(&s, &in);
    client_close(&s, &waiting);
    stage_close(&s);
}

static void bad_configuration(void **state)
{
#define CLIENT "Glacier2.Client.Endpoints=tcp -h 127.0.0.1 -p 0"
#define NULL_VERIFIER "Glacier2.PermissionsVerifier=Glacier2/NullPermissionsVerifier"
    static const struct {
        const char *properties[4], *text;
    } cases[] = {
        {{NULL_VERIFIER, NULL}, "`Glacier2.Client.Endpoints' is not set"},
        {{CLIENT, NULL}, "Glacier2 requires a permissions verifier or password file"},
        {{CLIENT, "Glacier2.CryptPasswords=/nonexistent", NULL}, "/nonexistent"},
        {{CLIENT, "Glacier2.PermissionsVerifier=a b c", NULL}, "Glacier2.PermissionsVerifier"},
        {{CLIENT, NULL_VERIFIER, "Glacier2.RoutingTable.MaxSize=0", NULL}, "Glacier2.RoutingTable.MaxSize=0"},
        {{CLIENT, NULL_VERIFIER, "Glacier2.SessionTimeout=soon", NULL}, "Glacier2.SessionTimeout"},
        {{CLIENT, NULL_VERIFIER, "Glacier2.Filter.Identity.Accept=a/b/c", NULL}, "Glacier2.Filter.Identity.Accept"},
        {{CLIENT, NULL_VERIFIER, "Glacier2.Filter.Category.Accept=\"a", NULL}, "quote"},
        {{CLIENT, NULL_VERIFIER, "Glacier2.Filter.Address.Accept=[", NULL}, "Glacier2.Filter.Address.Accept"},
        {{CLIENT, NULL_VERIFIER, "Glacier2.Filter.ProxySizeMax=0", NULL}, "ProxySizeMax must be greater than 1"},
        {{CLIENT, NULL_VERIFIER, "Glacier2.Fliter.Address.Acept=*", NULL},
         "did you mean `Glacier2.Filter.Address.Accept'"},
        {{CLIENT, NULL_VERIFIER, "Glacier2.sessiontimeout=3", NULL}, "did you mean `Glacier2.SessionTimeout'"},
        {{CLIENT, NULL_VERIFIER, "Glacier2.Client.ThreadPool.Sise=3", NULL}, "`Glacier2.Client.ThreadPool.Size'"},
        {{CLIENT, NULL_VERIFIER, "Moulin.Gateway.HideError=1", NULL}, "did you mean `Moulin.Gateway.HideErrors'"},
        {{CLIENT, NULL_VERIFIER, "Glacier2.Nonsense=1", NULL}, "unknown property Glacier2.Nonsense"},
        {{CLIENT, NULL_VERIFIER, "Glacier2.AddSSLContext=1", NULL}, "use Glacier2.AddConnectionContext instead"},
        {{CLIENT, NULL_VERIFIER, "Glacier2.AllowCategories=a", NULL}, "use Glacier2.Filter.Category.Accept instead"},
        {{CLIENT, NULL_VERIFIER, "Glacier2.AddUserToAllowCategories=1", NULL}, "Glacier2.Filter.Category.AcceptUser"},
        {{CLIENT, NULL_VERIFIER, "Glacier2.Admin.Endpoints=tcp", NULL}, "use Ice.Admin.Endpoints instead"},
        {{CLIENT, NULL_VERIFIER, "Glacier2.Client.Buffered=2", NULL}, "from 0 to 1"},
        {{CLIENT, NULL_VERIFIER, "Glacier2.Client.Buffered=yes", NULL}, "Glacier2.Client.Buffered"},
        {{CLIENT, NULL_VERIFIER, "Glacier2.Server.AlwaysBatch=-1", NULL}, "Glacier2.Server.AlwaysBatch=-1"},
        {{CLIENT, NULL_VERIFIER, "Glacier2.Client.ACM.Close=5", NULL}, "Glacier2.Client.ACM.Close=5"},
        {{CLIENT, NULL_VERIFIER, "Glacier2.Client.Trace.Reject=-1", NULL}, "Glacier2.Client.Trace.Reject=-1"},
        {{CLIENT, NULL_VERIFIER, "Glacier2.Client.MessageSizeMax=x", NULL}, "Glacier2.Client.MessageSizeMax"},
        {{CLIENT, NULL_VERIFIER, "Glacier2.Filter.Category.AcceptUser=3", NULL},
         "Glacier2.Filter.Category.AcceptUser=3"},
        {{CLIENT, NULL_VERIFIER, "Glacier2.Filter.AdapterId.Accept='a", NULL}, "quote"},
        {{CLIENT, NULL_VERIFIER, "Glacier2.SessionManager=x:tcp -p", NULL}, "Glacier2.SessionManager"},
        {{CLIENT, NULL_VERIFIER, "Glacier2.SessionManager.EndpointSelection=foo", NULL}, "`Random' or `Ordered'"},
        {{CLIENT, NULL_VERIFIER, "Glacier2.SSLSessionManager.LocatorCacheTimeout=-2", NULL}, "LocatorCacheTimeout=-2"},
        {{CLIENT, NULL_VERIFIER, "Glacier2.PermissionsVerifier.Locator=a b", NULL},
         "Glacier2.PermissionsVerifier.Locator"},
        {{CLIENT, NULL_VERIFIER, "Glacier2.Client.PublishedEndpoints=tcp -p", NULL},
         "Glacier2.Client.PublishedEndpoints"},
        {{CLIENT, NULL_VERIFIER, "Moulin.Gateway.Filter.Loopback=1", NULL}, "`accept' or `reject'"},
        {{"Glacier2.Client.Endpoints=ssl -p 0", NULL_VERIFIER, NULL}, "ssl"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stage s;
        stage_open(&s, cases[i].properties, true);
        assert_null(s.router);
        if (!strstr(s.err.text, cases[i].text)) {
            fail_msg("expected `%s' in `%s'", cases[i].text, s.err.text);
        }
        stage_close(&s);
    }
}

/* 2.2: a verifier that is something else or absent stops the start, unless it may be absent; an absent manager does
 * not. */
static void services_at_the_start(void **state)
{
    static const char *const wrong[] = {CLIENT, "Glacier2.PermissionsVerifier=@manager", NULL};
    static const char *const absent[] = {CLIENT, "Glacier2.PermissionsVerifier=v:tcp -h 127.0.0.1 -p 1", NULL};
    static const char *const optional[] = {CLIENT, "Glacier2.PermissionsVerifier=v:tcp -h 127.0.0.1 -p 1",
                                           "Moulin.VerifierOptional=1",
                                           "Glacier2.SessionManager=m:tcp -h 127.0.0.1 -p 1", NULL};
    struct stage s;
    (void)state;
    stage_open(&s, absent, true);
    assert_null(s.router);
    assert_non_null(strstr(s.err.text, "cannot reach the permissions verifier"));
    stage_close(&s);
    stage_open(&s, wrong, true);
    assert_null(s.router);
    assert_non_null(strstr(s.err.text, "is invalid"));
    stage_close(&s);
    stage_open(&s, optional, true);
    assert_non_null(s.router);
    struct client c;
    client_open(&s, &c);
    struct outcome o = login(&s, &c, "alice");
    expect_thrown(&o, DENIED, "internal server error");
    client_close(&s, &c);
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_session),
        cmocka_unit_test(login_and_out),
        cmocka_unit_test(refusals),
        cmocka_unit_test(concurrent_logins),
        cmocka_unit_test(a_denied_login_lets_the_next_try),
        cmocka_unit_test(too_many_logins),
        cmocka_unit_test(gone_during_creation),
        cmocka_unit_test(forwarding),
        cmocka_unit_test(contexts),
        cmocka_unit_test(oneway_on_request),
        cmocka_unit_test(callbacks),
        cmocka_unit_test(session_control),
        cmocka_unit_test(configured_filters),
        cmocka_unit_test(expiry),
        cmocka_unit_test(a_dead_session_object),
        cmocka_unit_test(stopping),
        cmocka_unit_test(bad_configuration),
        cmocka_unit_test(services_at_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
