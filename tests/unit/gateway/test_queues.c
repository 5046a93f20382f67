/* SPDX-License-Identifier: Apache-2.0 */
/* What waits in the gateway for a client, and what happens when it waits for itself. */
#include "stage.h"

static const uint8_t empty[] = {6, 0, 0, 0, 1, 1};

static struct iw_identity callback_id(struct stage *s, struct client *c)
{
    const struct outcome o = simple(s, c, &Glacier2_Router_getCategoryForClient_op);
    return (struct iw_identity){.name = IB_STR("cb"), .category = ib_arena_str(&s->arena, ib_str(o.text))};
}

static void on_connected(void *arg, const struct ir_result *r)
{
    ((struct client *)arg)->conn = r->conn;
}

/* The client serves the identity over its connection to the router. */
static void serve(struct stage *s, struct client *c, const struct iw_identity *id, struct ir_servant *servant)
{
    c->adapter = ir_adapter_new_with(c->rt, "", &(struct ir_adapter_options){.endpoints = ""}, NULL);
    assert_non_null(c->adapter);
    assert_int_equal(ir_adapter_add(c->adapter, id, "", servant), 0);
    assert_non_null(ir_connect(c->rt, s->router_proxy, NULL, on_connected, c));
    while (!c->conn) {
        (void)ic_loop_run_once(s->loop, 100);
    }
    ir_conn_set_adapter(c->conn, c->adapter);
}

static void call_back(struct stage *s, const struct iw_identity *id, const char *value)
{
    struct ib_buf context;
    ib_buf_init(&context);
    iw_out_size(&context, 1);
    iw_out_str(&context, IB_STR("_ovrd"));
    iw_out_str(&context, ib_str(value));
    const struct iw_proxy *prx = ir_adapter_direct_proxy(s->router->server, id, &s->arena);
    const struct ir_raw_request raw = {.id = *id,
                                       .operation = IB_STR("op"),
                                       .mode = IW_NORMAL,
                                       .context_raw = ib_buf_span(&context),
                                       .params = {empty, sizeof(empty)},
                                       .oneway = true};
    assert_non_null(ir_call_raw(s->back.rt, prx, &raw, NULL, NULL, NULL));
    ib_buf_fini(&context);
}

/* Callbacks that take the place of others, told as Server.Trace.Override wants it. */
static void overridden_callbacks(void **state)
{
    static const char *const properties[] = {"Glacier2.Server.SleepTime=100", "Glacier2.Server.Trace.Override=1",
                                             "Ice.LogFile=/dev/null", NULL};
    struct stage s;
    struct client c;
    struct backend at_client = {0};
    (void)state;
    stage_open(&s, properties, false);
    client_open(&s, &c);
    (void)login(&s, &c, "alice");
    at_client.echo = (struct ir_servant){.raw = backend_echo, .self = &at_client};
    const struct iw_identity id = callback_id(&s, &c);
    serve(&s, &c, &id, &at_client.echo);
    call_back(&s, &id, "first"); /* the sleep begins */
    stage_wait_count(&s, &at_client.echoed, 1);
    for (int i = 0; i < 5; i++) {
        call_back(&s, &id, "a");
    }
    call_back(&s, &id, "b");
    stage_wait_count(&s, &at_client.echoed, 3);
    const struct gw_session *session = IB_CONTAINER(s.router->sessions.next, struct gw_session, node);
    assert_int_equal(session->counters.overridden[GW_TO_CLIENT], 4);
    client_close(&s, &c);
    stage_close(&s);
}

static size_t waiting(const struct gw_session *s)
{
    const struct gw_queue *q = s->queues[GW_TO_CLIENT];
    return q ? q->bytes : 0;
}

/* A client that calls its own object through the router and does not read: nobody can be held back for it. */
static void a_client_that_waits_for_itself(void **state)
{
    enum { KIB = 1024, SENT = 8000 };
    static const char *const properties[] = {"Moulin.Gateway.Server.Queue.Overflow=hold",
                                             "Moulin.Gateway.Server.Queue.MaxBytes=65536", "Ice.LogFile=/dev/null",
                                             NULL};
    static uint8_t params[4 * KIB] = {0, 4 * KIB / 256, 0, 0, 1, 1};
    struct stage s;
    struct client c;
    struct backend at_client = {0};
    (void)state;
    stage_open(&s, properties, false);
    client_open(&s, &c);
    (void)login(&s, &c, "alice");
    at_client.echo = (struct ir_servant){.raw = backend_echo, .self = &at_client};
    const struct iw_identity id = callback_id(&s, &c);
    serve(&s, &c, &id, &at_client.echo);
    (void)add_proxy(&s, &c, ir_adapter_direct_proxy(s.router->server, &id, &s.arena));
    const struct gw_session *session = IB_CONTAINER(s.router->sessions.next, struct gw_session, node);
    const struct ir_raw_request raw = {
        .id = id, .operation = IB_STR("op"), .mode = IW_NORMAL, .params = {params, sizeof(params)}, .oneway = true};
    ic_conn_hold(ir_conn_net(c.conn), true);
    size_t most = 0;
    for (int i = 0; i < SENT; i++) {
        assert_non_null(ir_call_raw(c.rt, s.router_proxy, &raw, NULL, NULL, NULL));
        if (i % 32 == 0) {
            (void)ic_loop_run_once(s.loop, 0);
            most = waiting(session) > most ? waiting(session) : most;
        }
    }
    stage_round(&s);
    most = waiting(session) > most ? waiting(session) : most;
    assert_in_range(most, 0, 128 * KIB);
    assert_true(session->counters.dropped[GW_TO_CLIENT] > 0);
    client_close(&s, &c);
    stage_close(&s);
}

#define COLLECTED 512

struct collector {
    struct ir_request *all[COLLECTED];
    int n;
};

static void collect(void *self, struct ir_request *rq)
{
    struct collector *k = self;
    assert_in_range(k->n, 0, COLLECTED - 1);
    k->all[k->n++] = rq;
}

static void answer_all(struct collector *k)
{
    for (int i = 0; i < k->n; i++) {
        const struct ir_request_info *info = ir_request_info(k->all[i]);
        ir_request_reply_raw(k->all[i], IR_OK, info->params, info->block);
    }
}

static void ignore(void *arg, const struct ir_result *r)
{
    (void)arg;
    (void)r;
}

/* One client answers another that does not read: what waits for that one is bounded as with servers' answers. */
static void answers_of_clients(void **state)
{
    enum { KIB = 1024, EACH = 32 * KIB };
    static const char *const properties[] = {"Moulin.Gateway.Client.Queue.MaxBytes=67108864",
                                             "Moulin.Gateway.Server.Queue.MaxBytes=67108864", "Ice.LogFile=/dev/null",
                                             NULL};
    static uint8_t params[EACH] = {0, EACH / 256, 0, 0, 1, 1};
    struct stage s;
    struct client asks, answers;
    struct collector k = {.n = 0};
    struct ir_servant servant = {.raw = collect, .self = &k};
    (void)state;
    stage_open(&s, properties, false);
    client_open(&s, &asks);
    client_open(&s, &answers);
    (void)login(&s, &answers, "alice");
    (void)login(&s, &asks, "bob");
    const struct iw_identity id = callback_id(&s, &answers);
    serve(&s, &answers, &id, &servant);
    (void)add_proxy(&s, &asks, ir_adapter_direct_proxy(s.router->server, &id, &s.arena));
    assert_non_null(ir_connect(asks.rt, s.router_proxy, NULL, on_connected, &asks));
    while (!asks.conn) {
        (void)ic_loop_run_once(s.loop, 100);
    }
    const struct ir_raw_request raw = {
        .id = id, .operation = IB_STR("op"), .mode = IW_NORMAL, .params = {params, sizeof(params)}};
    for (int i = 0; i < COLLECTED; i++) {
        assert_non_null(ir_call_raw(asks.rt, s.router_proxy, &raw, NULL, ignore, NULL));
    }
    stage_wait_count(&s, &k.n, COLLECTED);
    ic_conn_hold(ir_conn_net(asks.conn), true);
    s.router->config.server.max_bytes = 64 * KIB;
    const struct gw_session *bob = IB_CONTAINER(s.router->sessions.prev, struct gw_session, node);
    assert_true(ib_str_is(bob->user, "bob"));
    answer_all(&k);
    stage_round(&s);
    assert_true(bob->counters.dropped[GW_TO_CLIENT] > 0);
    assert_in_range(ic_conn_queued(ir_conn_net(bob->client->conn)), 0, 256 * KIB);
    client_close(&s, &asks);
    client_close(&s, &answers);
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(overridden_callbacks),
        cmocka_unit_test(a_client_that_waits_for_itself),
        cmocka_unit_test(answers_of_clients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
