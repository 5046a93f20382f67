/* SPDX-License-Identifier: Apache-2.0 */
/* The stage: what the server side does and how clients ask. */
#include "stage.h"

#include <stdio.h>
#include <stdlib.h>

#define WAIT_MS 20000

static const uint8_t body[] = {10, 0, 0, 0, 1, 1, 3, 'a', 'b', 'c'};

static void flatten(const struct ir_request_info *info, char *out, size_t cap)
{
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < info->n_context && n < cap; i++) {
        n += (size_t)snprintf(out + n, cap - n, "%.*s=%.*s;", (int)info->context[i].key.n, info->context[i].key.p,
                              (int)info->context[i].value.n, info->context[i].value.p);
    }
}

/* --- services ----------------------------------------------------------------------------------------------------- */

static void hold(struct backend *b, struct ir_request *rq)
{
    assert_true(b->n_held < MAX_HELD);
    b->held[b->n_held++] = rq;
}

static void answer_check(struct backend *b, struct ir_request *rq)
{
    if (b->deny_throw) {
        const struct Glacier2_PermissionDeniedException ex = {.reason = ib_str(b->reason)};
        Glacier2_PermissionDeniedException_throw(rq, &ex);
        return;
    }
    const struct Glacier2_PermissionsVerifier_checkPermissions_out out = {.ret = !b->deny, .reason = ib_str(b->reason)};
    Glacier2_PermissionsVerifier_checkPermissions_reply(rq, &out);
}

static void check_permissions(void *self, struct ir_request *rq,
                              const struct Glacier2_PermissionsVerifier_checkPermissions_in *in)
{
    struct backend *b = self;
    b->verified++;
    assert_string_equal(ib_cstr(in->password), "secret");
    if (b->hold_verifier) {
        hold(b, rq);
    } else {
        answer_check(b, rq);
    }
}

static void answer_create(struct backend *b, struct ir_request *rq)
{
    struct Glacier2_SessionManager_create_out out = {0};
    const struct iw_identity id = {.name = IB_STR("session"), .category = IB_STR("m")};
    if (b->manager_throws) {
        const struct Glacier2_CannotCreateSessionException ex = {.reason = IB_STR("full")};
        Glacier2_CannotCreateSessionException_throw(rq, &ex);
        return;
    }
    if (b->manager_fails) {
        ir_request_fail(rq, IR_UNKNOWN, "broken");
        return;
    }
    if (!b->null_session) {
        out.ret = ir_adapter_direct_proxy(b->adapter, &id, ir_request_arena(rq));
    }
    Glacier2_SessionManager_create_reply(rq, &out);
}

static void create(void *self, struct ir_request *rq, const struct Glacier2_SessionManager_create_in *in)
{
    struct backend *b = self;
    b->created++;
    b->has_control = in->control != NULL;
    b->control = iw_proxy_copy(in->control, &b->arena);
    flatten(ir_request_info(rq), b->context, sizeof(b->context));
    if (b->hold_manager) {
        hold(b, rq);
    } else {
        answer_create(b, rq);
    }
}

void backend_release(struct stage *s)
{
    struct backend *b = &s->back;
    for (size_t i = 0; i < b->n_held; i++) {
        if (b->hold_verifier) {
            answer_check(b, b->held[i]);
        } else {
            answer_create(b, b->held[i]);
        }
    }
    b->n_held = 0;
}

/* The Session object: raw, so that ice_ping can fail. */
static void session_request(void *self, struct ir_request *rq)
{
    struct backend *b = self;
    const struct ir_request_info *info = ir_request_info(rq);
    static const uint8_t empty[] = {6, 0, 0, 0, 1, 1};
    bool ping = ib_str_is(info->operation, "ice_ping");
    b->pinged += ping;
    b->destroyed += ib_str_is(info->operation, "destroy");
    if (ping && b->ping_fails) {
        ir_request_fail(rq, IR_OBJECT_NOT_EXIST, NULL);
    } else {
        ir_request_reply_raw(rq, IR_OK, (struct ib_span){empty, sizeof(empty)}, NULL);
    }
}

void backend_echo(void *self, struct ir_request *rq)
{
    struct backend *b = self;
    const struct ir_request_info *info = ir_request_info(rq);
    b->echoed++;
    b->echo_mode = info->mode;
    b->echo_id = info->request_id;
    flatten(info, b->echo_context, sizeof(b->echo_context));
    (void)snprintf(b->echo_facet, sizeof(b->echo_facet), "%.*s", (int)info->facet.n, ib_cstr(info->facet));
    if (ib_str_is(info->operation, "fail")) {
        ir_request_fail(rq, IR_UNKNOWN, "as you wish");
    } else if (ib_str_is(info->operation, "nothing")) {
        ir_request_fail(rq, IR_OPERATION_NOT_EXIST, NULL);
    } else {
        ir_request_reply_raw(rq, ib_str_is(info->operation, "throw") ? IR_USER_EXCEPTION : IR_OK, info->params,
                             info->block);
    }
}

static const struct Glacier2_PermissionsVerifier_servant verifier_vtable = {.checkPermissions = check_permissions};
static const struct Glacier2_SessionManager_servant manager_vtable = {.create = create};

static struct ir_runtime *runtime_new(struct ic_loop *loop, const char *const *properties)
{
    struct ir_properties *p = ir_properties_new();
    struct ib_err err = {0};
    assert_int_equal(ir_properties_set(p, "Ice.Warn.Dispatch", "0"), 0);
    assert_int_equal(ir_properties_set(p, "Moulin.Workers", "1"), 0); /* its loop is ours: tests look inside */
    for (; properties && *properties; properties++) {
        assert_int_equal(ir_properties_parse_line(p, *properties, "test"), 0);
    }
    struct ir_runtime *rt = ir_runtime_new(loop, p, &slice_registry, &err);
    if (!rt) {
        fail_msg("%s", err.text);
    }
    return rt;
}

static void add(struct backend *b, const char *name, const char *category, struct ir_servant *servant)
{
    const struct iw_identity id = {.name = ib_str(name), .category = ib_str(category)};
    servant->self = b;
    assert_int_equal(ir_adapter_add(b->adapter, &id, "", servant), 0);
}

static void backend_open(struct stage *s)
{
    static const char *const properties[] = {"Back.Endpoints=tcp -h 127.0.0.1 -p 0", NULL};
    struct backend *b = &s->back;
    struct ib_err err = {0};
    ib_arena_init(&b->arena, 0);
    b->reason = "";
    b->rt = runtime_new(s->loop, properties);
    b->adapter = ir_adapter_new(b->rt, "Back", &err);
    assert_non_null(b->adapter);
    b->verifier = (struct ir_servant){.iface = &Glacier2_PermissionsVerifier_iface, .vtable = &verifier_vtable};
    b->manager = (struct ir_servant){.iface = &Glacier2_SessionManager_iface, .vtable = &manager_vtable};
    b->session.raw = session_request;
    b->echo.raw = backend_echo;
    add(b, "verifier", "", &b->verifier);
    add(b, "manager", "", &b->manager);
    add(b, "session", "m", &b->session);
    b->echo.self = b;
    assert_int_equal(ir_adapter_set_default(b->adapter, IB_STR("e"), &b->echo), 0);
    ir_adapter_activate(b->adapter, NULL, NULL);
}

/* --- the router --------------------------------------------------------------------------------------------------- */

static void set_proxy(struct stage *s, struct ir_properties *p, const char *key, const char *name)
{
    const struct iw_identity id = {.name = ib_str(name)};
    const struct iw_proxy *prx = ir_adapter_direct_proxy(s->back.adapter, &id, &s->arena);
    const struct ib_str text = ir_proxy_format(prx, IR_UNICODE, &s->arena);
    assert_int_equal(ir_properties_set(p, key, ib_cstr(text)), 0);
}

/* "Name=@object" stands for the proxy of a backend's object. */
static void set_line(struct stage *s, struct ir_properties *p, const char *line)
{
    const char *at = strstr(line, "=@");
    if (at) {
        const struct ib_str key = ib_arena_printf(&s->arena, "%.*s", (int)(at - line), line);
        set_proxy(s, p, ib_cstr(key), at + 2);
    } else {
        assert_int_equal(ir_properties_parse_line(p, line, "test"), 0);
    }
}

void stage_open(struct stage *s, const char *const *properties, bool bare)
{
    static char name[] = "gateway";
    char *argv[] = {name, NULL};
    memset(s, 0, sizeof(*s));
    s->loop = ic_loop_new(NULL);
    assert_non_null(s->loop);
    ib_arena_init(&s->arena, 0);
    backend_open(s);
    struct ir_properties *p = ir_properties_new();
    if (!bare) {
        assert_int_equal(ir_properties_set(p, "Glacier2.Client.Endpoints", "tcp -h 127.0.0.1 -p 0"), 0);
        assert_int_equal(ir_properties_set(p, "Glacier2.Server.Endpoints", "tcp -h 127.0.0.1 -p 0"), 0);
        set_proxy(s, p, "Glacier2.PermissionsVerifier", "verifier");
        set_proxy(s, p, "Glacier2.SessionManager", "manager");
    }
    assert_int_equal(ir_properties_set(p, "Ice.Warn.Dispatch", "0"), 0);
    assert_int_equal(ir_properties_set(p, "Moulin.Workers", "1"), 0); /* its loop is ours: tests look inside */
    for (; properties && *properties; properties++) {
        set_line(s, p, *properties);
    }
    s->router = gw_service.start(s->loop, p, 1, argv, &s->err);
    ir_properties_free(p);
    if (s->router) {
        s->router_proxy = ir_adapter_direct_proxy(s->router->client, &s->router->id, &s->arena);
        assert_non_null(s->router_proxy);
    }
}

void stage_set_flag(void *arg)
{
    *(bool *)arg = true;
}

void stage_close(struct stage *s)
{
    bool stopped = false;
    if (s->router) {
        gw_service.stop(s->router, stage_set_flag, &stopped);
        stage_wait(s, &stopped);
        gw_service.free(s->router);
    }
    ir_runtime_free(s->back.rt);
    ir_adapter_free(s->back.adapter);
    ib_arena_fini(&s->back.arena);
    ib_arena_fini(&s->arena);
    ic_loop_free(s->loop);
}

void stage_wait(struct stage *s, const bool *flag)
{
    int64_t end = ib_clock_ms() + WAIT_MS;
    while (!*flag && ib_clock_ms() < end) {
        (void)ic_loop_run_once(s->loop, 100);
    }
    assert_true(*flag);
}

void stage_wait_count(struct stage *s, const int *counter, int value)
{
    int64_t end = ib_clock_ms() + WAIT_MS;
    while (*counter < value && ib_clock_ms() < end) {
        (void)ic_loop_run_once(s->loop, 100);
    }
    assert_int_equal(*counter, value);
}

void stage_round(struct stage *s)
{
    while (ic_loop_run_once(s->loop, 20)) {
    }
}

/* --- clients ------------------------------------------------------------------------------------------------------ */

void client_open(struct stage *s, struct client *c)
{
    static const char *const properties[] = {"Ice.RetryIntervals=-1", NULL};
    *c = (struct client){.rt = runtime_new(s->loop, properties)};
}

void client_close(struct stage *s, struct client *c)
{
    (void)s;
    ir_runtime_free(c->rt);
    if (c->adapter) {
        ir_adapter_free(c->adapter);
    }
    *c = (struct client){0};
}

static void keep(char *out, size_t cap, struct ib_str s)
{
    (void)snprintf(out, cap, "%.*s", (int)s.n, ib_cstr(s));
}

static void keep_exception(struct outcome *o, const struct ir_result *r)
{
    const struct Glacier2_PermissionDeniedException *denied = Glacier2_PermissionDeniedException_caught(r);
    const struct Glacier2_CannotCreateSessionException *cannot = Glacier2_CannotCreateSessionException_caught(r);
    if (r->exception) {
        (void)snprintf(o->exception, sizeof(o->exception), "%s", r->exception->id);
    }
    if (denied || cannot) {
        keep(o->reason, sizeof(o->reason), denied ? denied->reason : cannot->reason);
    }
}

static void keep_result(struct outcome *o, const struct ir_result *r)
{
    const struct Glacier2_Router_createSession_out *created = Glacier2_Router_createSession_result(r);
    const struct Glacier2_Router_getCategoryForClient_out *category = Glacier2_Router_getCategoryForClient_result(r);
    if (created) {
        o->null = created->ret == NULL;
    }
    if (category) {
        keep(o->text, sizeof(o->text), category->ret);
    }
}

void on_outcome(void *arg, const struct ir_result *r)
{
    struct outcome *o = arg;
    assert_false(o->done);
    o->done = true;
    o->outcome = r->outcome;
    o->status = r->op ? r->status : (enum ir_status)r->raw_status;
    o->code = r->outcome == IR_FAILED_LOCAL ? r->err.code : 0;
    keep(o->operation, sizeof(o->operation), r->operation);
    o->n_raw = r->raw.n < sizeof(o->raw) ? r->raw.n : sizeof(o->raw);
    if (o->n_raw) {
        memcpy(o->raw, r->raw.p, o->n_raw);
    }
    if (r->op) {
        keep_exception(o, r);
        keep_result(o, r);
    }
}

void start_login(struct stage *s, struct client *c, const char *user, struct outcome *o)
{
    const struct Glacier2_Router_createSession_in in = {.userId = ib_str(user), .password = IB_STR("secret")};
    const struct ir_context_entry context[] = {{IB_STR("k"), IB_STR("v")}, {IB_STR("_con.type"), IB_STR("fake")}};
    const struct ir_call_options opt = {.context = context, .n_context = 2};
    *o = (struct outcome){0};
    assert_non_null(Glacier2_Router_createSession_call(c->rt, s->router_proxy, &opt, &in, on_outcome, o));
}

void start_simple(struct stage *s, struct client *c, const struct iw_op *op, struct outcome *o)
{
    static const char none[64];
    *o = (struct outcome){0};
    assert_non_null(ir_call(c->rt, s->router_proxy, op, NULL, none, on_outcome, o));
}

struct outcome login(struct stage *s, struct client *c, const char *user)
{
    struct outcome o;
    start_login(s, c, user, &o);
    stage_wait(s, &o.done);
    return o;
}

struct outcome simple(struct stage *s, struct client *c, const struct iw_op *op)
{
    struct outcome o;
    start_simple(s, c, op, &o);
    stage_wait(s, &o.done);
    return o;
}

struct outcome add_proxy(struct stage *s, struct client *c, const struct iw_proxy *prx)
{
    struct outcome o = {0};
    struct iw_proxy *v[1] = {iw_proxy_copy(prx, &s->arena)};
    const struct Ice_Router_addProxies_in in = {.proxies = {.n = 1, .v = v}};
    assert_non_null(Ice_Router_addProxies_call(c->rt, s->router_proxy, NULL, &in, on_outcome, &o));
    stage_wait(s, &o.done);
    return o;
}

struct outcome forward(struct stage *s, struct client *c, const struct request *rq)
{
    struct outcome o = {0};
    struct ib_buf context;
    ib_buf_init(&context);
    iw_out_size(&context, rq->n_context);
    for (size_t i = 0; i < rq->n_context; i++) {
        iw_out_str(&context, rq->context[i].key);
        iw_out_str(&context, rq->context[i].value);
    }
    const struct ir_raw_request raw = {.id = {.name = ib_str(rq->name), .category = ib_str(rq->category)},
                                       .has_facet = rq->facet != NULL,
                                       .facet = ib_str(rq->facet),
                                       .operation = ib_str(rq->operation),
                                       .mode = IW_IDEMPOTENT,
                                       .context_raw = ib_buf_span(&context),
                                       .params = {body, sizeof(body)},
                                       .oneway = rq->oneway};
    assert_non_null(ir_call_raw(c->rt, s->router_proxy, &raw, NULL, on_outcome, &o));
    ib_buf_fini(&context);
    stage_wait(s, &o.done);
    return o;
}

struct iw_proxy *echo_proxy(struct stage *s, const char *name)
{
    const struct iw_identity id = {.name = ib_str(name), .category = IB_STR("e")};
    return ir_adapter_direct_proxy(s->back.adapter, &id, &s->arena);
}

struct outcome call_control(struct stage *s, const struct iw_op *op)
{
    static const char none[64];
    struct outcome o = {0};
    assert_non_null(ir_call(s->back.rt, s->back.control, op, NULL, none, on_outcome, &o));
    stage_wait(s, &o.done);
    return o;
}
