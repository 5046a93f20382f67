/* SPDX-License-Identifier: Apache-2.0 */
/* createSession and createSessionFromSecureConnection: verify, then have the session made, one at a time per connection
   (glacier2-router 4.1 to 4.5). Every way out answers the request and starts the next one waiting. */
#include "router.h"

#include <slice/Glacier2/Router.h>
#include <slice/Glacier2/Router_rpc.h>
#include <slice/Glacier2/SSLInfo.h>

#define WAITING_MAX 16 /* createSession calls queued on one connection */

static const char internal_error[] = "internal server error";
static const char draining[] = "the gateway takes no new sessions: log in at another one";

static void throw_denied(struct ir_request *rq, struct ib_str reason)
{
    const struct Glacier2_PermissionDeniedException ex = {.reason = reason};
    Glacier2_PermissionDeniedException_throw(rq, &ex);
}

static void throw_cannot_create(struct ir_request *rq, const char *reason)
{
    const struct Glacier2_CannotCreateSessionException ex = {.reason = ib_str(reason)};
    Glacier2_CannotCreateSessionException_throw(rq, &ex);
}

/* A service's exception as it came, unless the caller speaks another encoding: then false (22). */
static bool relay_exception(struct ir_request *rq, struct ib_span exception, struct iw_encoding encoding)
{
    const struct iw_encoding caller = ir_request_info(rq)->encoding;
    if (exception.n == 0 || encoding.major != caller.major || encoding.minor != caller.minor) {
        return false;
    }
    ir_request_reply_raw(rq, IR_USER_EXCEPTION, exception, NULL);
    return true;
}

/* Forgets a session whose request has been answered, and lets the next one try. */
static void give_up(struct gw_session *s)
{
    struct gw_client *c = s->client;
    bool was_joining = c && c->joining == s;
    s->router->stats.logins_refused++;
    gw_session_move(s, GW_DESTROYING);
    gw_broker_destroy(s);
    gw_session_free(s);
    if (was_joining) {
        c->joining = NULL;
        gw_login_start_next(c);
    }
}

void gw_login_refuse(struct gw_session *s, const char *reason)
{
    if (s->state == GW_CREATING) {
        gw_audit_session_refused(s, reason);
    }
    if (s->rq) {
        throw_cannot_create(s->rq, reason);
        s->rq = NULL;
    }
    give_up(s);
}

void gw_login_deny(struct gw_session *s, struct ib_str reason)
{
    throw_denied(s->rq, reason.n ? reason : IB_STR("permission denied"));
    s->rq = NULL;
    give_up(s);
}

/* --- second step: the Session object ------------------------------------------------------------------------------ */

static void answer_waiting(struct gw_client *c)
{
    while (!ib_list_empty(&c->waiting)) {
        gw_login_refuse(IB_CONTAINER(c->waiting.next, struct gw_session, wait_node), "session exists");
    }
    c->n_waiting = 0;
}

static void welcome(struct gw_session *s)
{
    const struct Glacier2_Router_createSession_out out = {.ret = s->proxy};
    struct gw_router *r = s->router;
    if (r->stopping) {
        gw_login_refuse(s, "router is shutting down");
        return;
    }
    if (r->operator.draining) {
        gw_login_refuse(s, draining);
        return;
    }
    if (!s->client || s->ended_early) {
        gw_login_refuse(s, "the session was destroyed while it was being created");
        return;
    }
    if (r->server) {
        gw_index_add(r->index, s);
    }
    struct ir_request *rq = s->rq;
    s->rq = NULL;
    gw_session_activate(s);
    if (s->ssl) {
        const struct Glacier2_Router_createSessionFromSecureConnection_out ssl = {.ret = s->proxy};
        Glacier2_Router_createSessionFromSecureConnection_reply(rq, &ssl);
    } else {
        Glacier2_Router_createSession_reply(rq, &out);
    }
    answer_waiting(s->client);
}

static void on_manager_failed(struct gw_session *s, const struct ir_result *r)
{
    const struct Glacier2_CannotCreateSessionException *ex = Glacier2_CannotCreateSessionException_caught(r);
    struct iw_encoding encoding;
    size_t size;
    char text[512];
    if (!ex) {
        gw_trace_failure(
            s, "exception while creating session with session manager:", ir_result_text(r, text, sizeof(text)));
        gw_login_refuse(s, internal_error);
        return;
    }
    if (s->rq && iw_encaps_peek(r->raw, &size, &encoding) == 0 &&
        relay_exception(s->rq, (struct ib_span){r->raw.p, size}, encoding)) {
        s->rq = NULL;
    }
    gw_login_refuse(s, ib_cstr(ex->reason));
}

static void on_created(void *arg, const struct ir_result *r)
{
    struct gw_session *s = arg;
    struct gw_router *router = s->router;
    const struct Glacier2_SessionManager_create_out *out = Glacier2_SessionManager_create_result(r);
    const struct Glacier2_SSLSessionManager_create_out *ssl = Glacier2_SSLSessionManager_create_result(r);
    if (!out && !ssl) {
        on_manager_failed(s, r);
    } else {
        const struct iw_proxy *made = out ? out->ret : ssl->ret;
        s->proxy = iw_proxy_copy(made, &s->arena);
        if (made && !s->proxy) {
            gw_login_refuse(s, internal_error);
        } else {
            welcome(s);
        }
    }
    gw_router_call_done(router);
}

static void create(struct gw_session *s)
{
    struct gw_router *r = s->router;
    const struct iw_proxy *manager = s->ssl ? r->ssl_manager : r->manager;
    const struct ir_context_entry *context;
    size_t n;
    gw_session_move(s, GW_CREATING);
    const char *full = r->operator.draining ? draining : gw_limits_refuse_session(s);
    if (full) {
        gw_login_refuse(s, full);
        return;
    }
    if (!manager) {
        welcome(s);
        return;
    }
    if (gw_context_login(s, s->rq, &context, &n) != 0 || (r->server && gw_control_add(s) != 0) ||
        gw_broker_create(s, manager, context, n, on_created) != 0) {
        gw_login_refuse(s, internal_error);
        return;
    }
    r->pending++;
}

/* --- first step: who is it? --------------------------------------------------------------------------------------- */

/* To the throttle and to the audit log. */
static void report(struct gw_session *s, const struct auth_answer *a)
{
    bool accepted = a->verdict == AUTH_ACCEPTED;
    const struct ib_str reason = a->verdict == AUTH_FAILED ? ib_str(a->err.text)
                                 : a->reason.n             ? a->reason
                                                           : IB_STR("permission denied");
    if (a->verdict != AUTH_FAILED) {
        gw_door_report(s, accepted);
    }
    gw_door_leave(s);
    gw_audit_login(s, accepted, reason);
}

static void on_verified(void *arg, const struct auth_answer *a)
{
    struct gw_session *s = arg;
    const struct gw_router *r = s->router;
    s->check = NULL;
    report(s, a);
    if (a->err.code && r->config.trace_session >= 1) {
        ib_log_warning(ir_runtime_log(r->rt), "exception while verifying permissions:\n%s", a->err.text);
    }
    switch (a->verdict) {
    case AUTH_ACCEPTED:
        create(s);
        return;
    case AUTH_THROWN:
        if (relay_exception(s->rq, a->exception, a->exception_encoding)) {
            s->rq = NULL;
            give_up(s);
        } else {
            gw_login_deny(s, a->reason);
        }
        return;
    case AUTH_DENIED:
        gw_login_deny(s, a->reason);
        return;
    case AUTH_FAILED:
        break;
    }
    gw_login_deny(s, ib_str(internal_error));
}

void gw_login_verify(struct gw_session *s)
{
    struct gw_router *r = s->router;
    struct ic_conn_info peer;
    struct auth_request rq = {
        .user = s->user, .password = s->password, .ssl = s->info, .remote_host = peer.remote_host};
    ic_conn_get_info(ir_conn_net(s->client->conn), &peer);
    struct auth_verifier *verifier = s->ssl ? gw_edge_verifier(r) : r->verifier;
    if (verifier && gw_context_login(s, s->rq, &rq.context, &rq.n_context) == 0) {
        s->check = auth_verify(verifier, &rq, on_verified, s);
    }
    if (!s->check) {
        gw_login_deny(s, ib_str(internal_error));
    }
}

void gw_login_start_next(struct gw_client *c)
{
    if (c->joining || ib_list_empty(&c->waiting)) {
        return;
    }
    struct gw_session *s = IB_CONTAINER(c->waiting.next, struct gw_session, wait_node);
    ib_list_remove(&s->wait_node);
    c->n_waiting--;
    c->joining = s;
    gw_session_move(s, GW_AUTHENTICATING);
    gw_door_enter(s);
}

void gw_login_stop(struct gw_router *r)
{
    IB_LIST_FOREACH(node, &r->clients)
    {
        struct gw_client *c = IB_CONTAINER(node, struct gw_client, node);
        while (!ib_list_empty(&c->waiting)) {
            gw_login_refuse(IB_CONTAINER(c->waiting.next, struct gw_session, wait_node), "router is shutting down");
        }
        c->n_waiting = 0;
    }
    IB_LIST_FOREACH_SAFE(node, &r->sessions)
    {
        struct gw_session *s = IB_CONTAINER(node, struct gw_session, node);
        if (s->state == GW_AUTHENTICATING) {
            gw_login_refuse(s, "router is shutting down");
        } else if (s->state == GW_CREATING && s->rq) { /* what its manager makes is destroyed when it comes */
            throw_cannot_create(s->rq, "router is shutting down");
            s->rq = NULL;
        }
    }
}

/* --- the door ----------------------------------------------------------------------------------------------------- */

static bool fill_ssl_info(struct gw_session *s, const struct ic_conn *net)
{
    struct ic_conn_info info;
    struct Glacier2_SSLInfo *out = IB_ARENA_NEW(&s->arena, struct Glacier2_SSLInfo);
    if (!out) {
        return false;
    }
    ic_conn_get_info(net, &info);
    out->remoteHost = ib_arena_strz(&s->arena, info.remote_host);
    out->remotePort = info.remote_port;
    out->localHost = ib_arena_strz(&s->arena, info.local_host);
    out->localPort = info.local_port;
    out->cipher = ib_arena_strz(&s->arena, info.cipher);
    out->certs.n = ic_conn_peer_certs(net, &s->arena, &out->certs.v);
    s->info = out;
    return out->remoteHost.p && out->localHost.p && out->cipher.p;
}

/* Before any verifier is asked. A reason: refused. */
static const char *refusal(const struct gw_router *r, const struct ir_conn *conn, bool ssl, struct ib_arena *arena,
                           struct ib_str *user)
{
    const struct ic_conn *net = ir_conn_net((struct ir_conn *)(uintptr_t)conn);
    struct ic_conn_info info;
    if (!ssl) {
        return r->verifier ? NULL : "no configured permissions verifier";
    }
    if (!gw_edge_verifier(r)) {
        return "no configured ssl permissions verifier";
    }
    ic_conn_get_info(net, &info);
    if (!info.secure) {
        return "not ssl connection";
    }
    return gw_edge_user(r, net, arena, user);
}

static void enqueue(struct gw_client *c, struct ir_request *rq, struct ib_str user, struct ib_str password, bool ssl)
{
    if (c->n_waiting >= WAITING_MAX) {
        c->router->stats.logins_refused++;
        throw_cannot_create(rq, "too many sessions are being created on this connection");
        return;
    }
    struct gw_session *s = gw_session_new(c, rq, user, ssl);
    if (!s) {
        throw_cannot_create(rq, internal_error);
        return;
    }
    s->password = password;
    if (ssl && !fill_ssl_info(s, ir_conn_net(c->conn))) {
        gw_login_deny(s, IB_STR("connection exception"));
        return;
    }
    ib_list_append(&c->waiting, &s->wait_node);
    c->n_waiting++;
    gw_login_start_next(c);
}

void gw_login(struct gw_router *r, struct ir_request *rq, struct ib_str user, struct ib_str password, bool ssl)
{
    struct gw_client *c = gw_client_of(rq);
    if (!c) {
        throw_cannot_create(rq, "connection lost");
        return;
    }
    char text[64];
    const char *reason = refusal(r, c->conn, ssl, ir_request_arena(rq), &user);
    r->stats.logins_refused += reason || r->stopping || r->operator.draining || c->session;
    if (reason) {
        gw_audit_turned_away(c, user, ssl, reason);
        throw_denied(rq, ib_str(reason));
    } else if (r->stopping) {
        throw_cannot_create(rq, "router is shutting down");
    } else if (r->operator.draining) {
        throw_cannot_create(rq, draining);
    } else if (c->session) {
        throw_cannot_create(rq, "session exists");
    } else if ((reason = gw_door_turn_away(c, user, ssl, text, sizeof(text)))) {
        throw_denied(rq, ib_str(reason));
    } else {
        enqueue(c, rq, user, password, ssl);
    }
}
