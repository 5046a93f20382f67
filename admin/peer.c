/* SPDX-License-Identifier: Apache-2.0 */
/* Blocking calls for command-line tools on top of the runtime. Owns the loop, the runtime and the login. */
#include "peer.h"

#include <moulin/base/clock.h>

#include <slice/Glacier2/Router.h>
#include <slice/Glacier2/Session.h>
#include <slice/Ice/Locator.h>
#include <slice/Ice/Router.h>
#include <slice/IceGrid/Registry.h>
#include <slice/registry.h>

#include <stdio.h>
#include <stdlib.h>

/* Where the answer of the one outstanding call is put. */
struct pending {
    struct adm_peer *peer;
    bool done;
    int code;
    void *out;
    struct ib_err err;
    struct ir_conn *conn;
    bool add_proxy; /* the gateway has forgotten the identity: announce it again */
};

int adm_peer_open(struct adm_peer *p, int *argc, char **argv, struct ib_err *err)
{
    *p = (struct adm_peer){0};
    ib_arena_init(&p->arena, 0);
    ib_list_init(&p->on_close.node);
    struct ir_properties *props = ir_properties_new();
    if (!props)
        return ib_err_set(err, IB_ENOMEM, "out of memory");
    int code = ir_properties_from_args(props, argc, argv, err);
    if (code == 0 && !(p->loop = ic_loop_new(err)))
        code = IB_EINIT;
    if (code == 0) {
        p->rt = ir_runtime_new(p->loop, props, &slice_registry, err);
        code = p->rt ? 0 : IB_EINIT;
    }
    if (code != 0) {
        ir_properties_free(props);
        adm_peer_close(p);
        return code;
    }
    code = ir_runtime_property_proxy(p->rt, "Ice.Default.Router", &p->arena, &p->router, err);
    if (code != 0)
        adm_peer_close(p);
    return code;
}

static void say_done(void *arg)
{
    *(bool *)arg = true;
}

/* Politely; when even that fails the peer notices the closed connection. */
static void end_session(struct adm_peer *p)
{
    const struct Glacier2_Router_destroySession_in by_router = {0};
    const struct Glacier2_Session_destroy_in by_session = {0};
    struct ib_err ignored;
    int code = 0;
    if (p->conn && p->router)
        code = adm_invoke(p, p->router, &Glacier2_Router_destroySession_op, &by_router, NULL, &ignored);
    else if (p->conn && p->session)
        code = adm_invoke(p, p->session, &Glacier2_Session_destroy_op, &by_session, NULL, &ignored);
    if (code != 0 && p->conn)
        ir_conn_close(p->conn, true);
}

void adm_peer_close(struct adm_peer *p)
{
    if (p->rt)
        end_session(p);
    ir_conn_off_close(&p->on_close);
    if (p->rt) {
        bool done = false;
        ir_runtime_shutdown(p->rt, say_done, &done);
        while (!done)
            ic_loop_run_once(p->loop, 1000);
        ir_runtime_free(p->rt);
    }
    if (p->loop)
        ic_loop_free(p->loop);
    free(p->routed);
    ib_arena_fini(&p->arena);
    *p = (struct adm_peer){0};
    ib_list_init(&p->on_close.node);
}

static void on_lost(struct ir_conn_hook *hook, struct ir_conn *c, const struct ib_err *why)
{
    struct adm_peer *p = IB_CONTAINER(hook, struct adm_peer, on_close);
    (void)c;
    (void)why;
    p->conn = NULL;
    p->session = NULL;
    p->n_routed = 0;
}

/* A person reads it: the exception's name and, on lines of their own as the registry wrote them, its strings. */
static void explain_exception(const struct ir_result *r, struct ib_err *err)
{
    char text[sizeof err->text];
    int at = snprintf(text, sizeof text, "%s", r->exception->id + 2);
    for (const struct iw_class *c = r->exception; c; c = c->base) {
        for (size_t i = 0; i < c->n_fields && at > 0 && at < (int)sizeof text; i++) {
            const struct iw_field *f = &c->fields[i];
            const void *value = (const char *)r->value + f->offset;
            const struct iw_seq *many = value;
            bool list = f->type->kind == IW_SEQ && f->type->elem->kind == IW_STRING;
            const struct ib_str *s = list ? many->v : f->type->kind == IW_STRING ? value : NULL;
            for (size_t n = !s ? 0 : list ? many->n : 1; n > 0 && at < (int)sizeof text; n--, s++)
                if (s->n)
                    at += snprintf(text + at, sizeof text - (size_t)at, ": %s", ib_cstr(*s));
        }
    }
    ib_err_set(err, IB_EUNKNOWN, "%s", text);
}

static void on_reply(void *arg, const struct ir_result *r)
{
    struct pending *w = arg;
    w->done = true;
    w->conn = r->conn;
    if (r->outcome == IR_SUCCESS) {
        if (r->op && r->op->out->size > 0) {
            w->out = ib_arena_alloc(&w->peer->arena, r->op->out->size);
            w->code = w->out ? iw_copy(r->op->out, r->out, &w->peer->arena, w->out) : IB_ENOMEM;
        }
        return;
    }
    char text[400];
    if (r->outcome == IR_THROWN && r->exception) {
        w->code = IB_EUNKNOWN;
        explain_exception(r, &w->err);
        return;
    }
    w->code = r->outcome == IR_FAILED_LOCAL ? r->err.code : IB_EUNKNOWN;
    w->add_proxy =
        r->outcome == IR_FAILED_STATUS && r->status == IR_OBJECT_NOT_EXIST && ib_str_is(r->operation, "ice_add_proxy");
    ib_err_set(&w->err, w->code, "%s", ir_result_text(r, text, sizeof text));
}

static int finish(struct adm_peer *p, struct pending *w, struct ir_call *call, const void **out, struct ib_err *err)
{
    if (!call)
        return ib_err_set(err, IB_ENOMEM, "out of memory");
    while (!w->done)
        ic_loop_run_once(p->loop, 1000);
    if (w->code != 0)
        return ib_err_set(err, w->code, "%s", w->err.text);
    if (out)
        *out = w->out;
    return 0;
}

static int invoke_once(struct adm_peer *p, const struct iw_proxy *prx, const struct iw_op *op, const void *in,
                       const void **out, bool *add_proxy, struct ib_err *err)
{
    struct pending w = {.peer = p};
    const struct ir_call_options opt = {.conn = p->conn};
    int code = finish(p, &w, ir_call(p->rt, prx, op, &opt, in, on_reply, &w), out, err);
    *add_proxy = w.add_proxy;
    return code;
}

static bool knows(const struct adm_peer *p, const struct iw_identity *id)
{
    for (size_t i = 0; i < p->n_routed; i++)
        if (iw_identity_equal(&p->routed[i], id))
            return true;
    return false;
}

static int remember(struct adm_peer *p, const struct iw_identity *id)
{
    if (p->n_routed == p->cap_routed) {
        size_t cap = p->cap_routed ? p->cap_routed * 2 : 16;
        struct iw_identity *more = realloc(p->routed, cap * sizeof *more);
        if (!more)
            return IB_ENOMEM;
        p->routed = more;
        p->cap_routed = cap;
    }
    struct iw_identity copy = {ib_arena_str(&p->arena, id->name), ib_arena_str(&p->arena, id->category)};
    if (!copy.name.p || !copy.category.p)
        return IB_ENOMEM;
    p->routed[p->n_routed++] = copy;
    return 0;
}

static int announce(struct adm_peer *p, const struct iw_proxy *prx, struct ib_err *err)
{
    struct iw_proxy *one = iw_proxy_copy(prx, &p->arena);
    const struct Ice_Router_addProxies_in in = {.proxies = {.n = 1, .v = &one}};
    bool ignored;
    if (!one)
        return ib_err_set(err, IB_ENOMEM, "out of memory");
    int code = invoke_once(p, p->router, &Ice_Router_addProxies_op, &in, NULL, &ignored, err);
    return code != 0 ? code : remember(p, &prx->id);
}

int adm_invoke(struct adm_peer *p, const struct iw_proxy *prx, const struct iw_op *op, const void *in, const void **out,
               struct ib_err *err)
{
    bool again = false;
    if (!p->router || iw_identity_equal(&prx->id, &p->router->id))
        return invoke_once(p, prx, op, in, out, &again, err);
    /* A gateway with a small routing table may evict what we announced: glacier2-router 6.3. */
    for (int i = 0; i < 3; i++) {
        if (!p->conn)
            return ib_err_set(err, IB_ELOST, "not logged in: the connection to the gateway is lost");
        int code = knows(p, &prx->id) && !again ? 0 : announce(p, prx, err);
        if (code == 0)
            code = invoke_once(p, prx, op, in, out, &again, err);
        if (code == 0 || !again)
            return code;
    }
    return ib_err_set(err, IB_EUNKNOWN, "the gateway keeps forgetting the object");
}

/* Gateways and registries end the sessions of clients that are silent for the ACM timeout: send heartbeats as Ice's own
   helpers do. */
static void heartbeats(struct adm_peer *p, int timeout_s)
{
    if (p->conn && timeout_s > 0)
        ic_conn_set_acm(ir_conn_net(p->conn), &(struct ic_acm){.timeout_s = timeout_s,
                                                               .close = IC_CLOSE_INVOCATION_IDLE,
                                                               .heartbeat = IC_HEARTBEAT_ALWAYS});
}

static int keep_alive(struct adm_peer *p, struct ib_err *err)
{
    const struct Glacier2_Router_getACMTimeout_in in = {0};
    const void *out = NULL;
    int code = adm_invoke(p, p->router, &Glacier2_Router_getACMTimeout_op, &in, &out, err);
    if (code == 0)
        heartbeats(p, ((const struct Glacier2_Router_getACMTimeout_out *)out)->ret);
    return code;
}

static int connect_to(struct adm_peer *p, const struct iw_proxy *prx, const char *what, struct ib_err *err)
{
    struct pending w = {.peer = p};
    const struct ir_call_options opt = {.endpoint_selection = 2};
    int code = finish(p, &w, ir_connect(p->rt, prx, &opt, on_reply, &w), NULL, err);
    if (code != 0)
        return ib_err_wrap(err, "cannot reach the %s", what);
    p->conn = w.conn;
    p->on_close.fn = on_lost;
    ir_conn_on_close(p->conn, &p->on_close);
    return 0;
}

int adm_peer_login(struct adm_peer *p, struct ib_str user, const struct ib_secret *password, bool certificate,
                   struct ib_err *err)
{
    if (!p->router)
        return ib_err_set(err, IB_ECONFIG, "no gateway configured: set Ice.Default.Router");
    int code = p->conn ? 0 : connect_to(p, p->router, "gateway", err);
    const void *out = NULL;
    if (code != 0)
        return code;
    if (certificate) {
        const struct Glacier2_Router_createSessionFromSecureConnection_in in = {0};
        code = adm_invoke(p, p->router, &Glacier2_Router_createSessionFromSecureConnection_op, &in, &out, err);
    } else {
        const struct Glacier2_Router_createSession_in in = {.userId = user, .password = ib_secret_str(password)};
        code = adm_invoke(p, p->router, &Glacier2_Router_createSession_op, &in, &out, err);
    }
    if (code != 0)
        return code;
    /* Both operations answer a struct whose one member is the session's proxy. */
    p->session = certificate ? ((const struct Glacier2_Router_createSessionFromSecureConnection_out *)out)->ret
                             : ((const struct Glacier2_Router_createSession_out *)out)->ret;
    return keep_alive(p, err);
}

/* <instance>/Registry of the master, <instance>/Registry-<name> of a slave: icegrid-registry 2. */
static int find_registry(struct adm_peer *p, const char *replica, struct iw_proxy **registry, struct ib_err *err)
{
    const struct iw_proxy *locator = ir_runtime_locator(p->rt);
    if (!locator)
        return ib_err_set(err, IB_ECONFIG,
                          "no registry configured: set Ice.Default.Locator, or Ice.Default.Router to go through "
                          "a gateway");
    bool master = !*replica || strcmp(replica, "Master") == 0;
    const struct Ice_Locator_findObjectById_in in = {
        .id = {master ? IB_STR("Registry") : ib_arena_printf(&p->arena, "Registry-%s", replica), locator->id.category}};
    const void *out = NULL;
    int code = adm_invoke(p, locator, &Ice_Locator_findObjectById_op, &in, &out, err);
    if (code != 0)
        return ib_err_wrap(err, "cannot find the registry replica `%s'", master ? "Master" : replica);
    *registry = ((const struct Ice_Locator_findObjectById_out *)out)->ret;
    return *registry
               ? 0
               : ib_err_set(err, IB_ENOTFOUND, "no active registry replica named `%s'", master ? "Master" : replica);
}

int adm_peer_login_registry(struct adm_peer *p, const char *replica, struct ib_str user,
                            const struct ib_secret *password, bool certificate, struct ib_err *err)
{
    struct iw_proxy *registry = NULL;
    const void *out = NULL;
    int code = find_registry(p, replica, &registry, err);
    /* The session belongs to the connection that creates it, so everything goes over this one: icegrid-registry 7.2. */
    if (code == 0)
        code = connect_to(p, registry, "registry", err);
    if (code != 0)
        return code;
    if (certificate) {
        const struct IceGrid_Registry_createAdminSessionFromSecureConnection_in in = {0};
        code = adm_invoke(p, registry, &IceGrid_Registry_createAdminSessionFromSecureConnection_op, &in, &out, err);
    } else {
        const struct IceGrid_Registry_createAdminSession_in in = {.userId = user, .password = ib_secret_str(password)};
        code = adm_invoke(p, registry, &IceGrid_Registry_createAdminSession_op, &in, &out, err);
    }
    if (code != 0)
        return code;
    p->session = certificate ? ((const struct IceGrid_Registry_createAdminSessionFromSecureConnection_out *)out)->ret
                             : ((const struct IceGrid_Registry_createAdminSession_out *)out)->ret;
    const struct IceGrid_Registry_getACMTimeout_in acm = {0};
    code = adm_invoke(p, registry, &IceGrid_Registry_getACMTimeout_op, &acm, &out, err);
    if (code == 0)
        heartbeats(p, ((const struct IceGrid_Registry_getACMTimeout_out *)out)->ret);
    return code;
}

void adm_peer_wait(struct adm_peer *p, int64_t ms, bool (*stop)(void *arg), void *arg)
{
    int64_t end = ms < 0 ? INT64_MAX : ib_clock_ms() + ms;
    while (p->conn && !(stop && stop(arg))) {
        int64_t left = end - ib_clock_ms();
        if (left <= 0)
            return;
        ic_loop_run_once(p->loop, left > 200 ? 200 : (int)left);
    }
}
