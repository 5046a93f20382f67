/* SPDX-License-Identifier: Apache-2.0 */
/* IceGrid::Registry: who logs in here gets a session on this connection (icegrid-registry 7.1). */
#include "sessions.h"

#include <moulin/base/log.h>

/* A login on its way through a verifier; lives in its request's arena. */
struct login {
    struct reg_sessions *ss;
    struct ir_request *rq;
    enum reg_session_kind kind;
    struct ib_str user;
};

static void deny(struct ir_request *rq, const char *reason)
{
    IceGrid_PermissionDeniedException_throw(rq, &(struct IceGrid_PermissionDeniedException){.reason = ib_str(reason)});
}

static void deny_unconfigured(struct ir_request *rq, bool ssl, bool admin)
{
    struct ib_str text = ib_arena_printf(
        ir_request_arena(rq),
        "no %s%spermissions verifier configured, use the property\n`IceGrid.Registry.%s%sPermissionsVerifier' to "
        "configure\na permissions verifier.",
        ssl ? "ssl " : "", admin ? "admin " : "", admin ? "Admin" : "", ssl ? "SSL" : "");

    deny(rq, ib_cstr(text));
}

/* 0 means no limit; less than ten seconds is too little for anybody's heartbeats. */
static int session_timeout(const struct reg *reg)
{
    int t = reg->cfg.session_timeout;

    return t <= 0 ? 0 : t < 10 ? 10 : t;
}

/* The four operations answer with different types of one shape. */
static void reply_session(struct ir_request *rq, enum reg_session_kind kind, const struct reg_session *s)
{
    struct iw_proxy *prx = iw_proxy_copy(s->proxy, ir_request_arena(rq));
    bool ssl = ib_str_is(ir_request_info(rq)->operation, "createSessionFromSecureConnection") ||
               ib_str_is(ir_request_info(rq)->operation, "createAdminSessionFromSecureConnection");

    if (prx == NULL)
        ir_request_fail_local(rq, IB_ENOMEM, "out of memory");
    else if (kind == REG_CLIENT_SESSION && ssl)
        IceGrid_Registry_createSessionFromSecureConnection_reply(
            rq, &(struct IceGrid_Registry_createSessionFromSecureConnection_out){.ret = prx});
    else if (kind == REG_CLIENT_SESSION)
        IceGrid_Registry_createSession_reply(rq, &(struct IceGrid_Registry_createSession_out){.ret = prx});
    else if (ssl)
        IceGrid_Registry_createAdminSessionFromSecureConnection_reply(
            rq, &(struct IceGrid_Registry_createAdminSessionFromSecureConnection_out){.ret = prx});
    else
        IceGrid_Registry_createAdminSession_reply(rq, &(struct IceGrid_Registry_createAdminSession_out){.ret = prx});
}

static void accepted(struct login *l)
{
    struct reg_session_wish wish = {
        .kind = l->kind,
        .user = l->user,
        .adapter = l->ss->reg->client,
        .conn = ir_request_conn(l->rq),
        .timeout_s = session_timeout(l->ss->reg),
    };
    struct reg_session *s;
    struct ib_err err;

    if (wish.conn == NULL) {
        ir_request_fail(l->rq, IR_UNKNOWN, "connection closed");
        return;
    }
    s = reg_session_new(l->ss, &wish, &err);
    if (s == NULL)
        deny(l->rq, err.text);
    else
        reply_session(l->rq, l->kind, s);
}

static void on_verdict(void *arg, const struct auth_answer *a)
{
    struct login *l = arg;
    switch (a->verdict) {
    case AUTH_ACCEPTED:
        accepted(l);
        break;
    case AUTH_DENIED:
    case AUTH_THROWN:
        IceGrid_PermissionDeniedException_throw(l->rq,
                                                &(struct IceGrid_PermissionDeniedException){.reason = a->reason});
        break;
    case AUTH_FAILED:
        reg_trace(l->ss->reg, REG_TRACE_SESSION, 1,
                  "exception while verifying password with %s permission verifier:\n%s",
                  l->kind == REG_ADMIN_SESSION ? "admin" : "client", a->err.text);
        deny(l->rq, "internal server error");
        break;
    }
}

static void verify(struct reg_sessions *ss, struct ir_request *rq, enum reg_verifier which, struct auth_request *ask,
                   struct ib_str user)
{
    struct login *l = IB_ARENA_NEW(ir_request_arena(rq), struct login);
    const struct ir_request_info *info = ir_request_info(rq);

    if (l == NULL) {
        ir_request_fail_local(rq, IB_ENOMEM, "out of memory");
        return;
    }
    l->ss = ss;
    l->rq = rq;
    l->kind = which == REG_VERIFY_ADMIN || which == REG_VERIFY_ADMIN_SSL ? REG_ADMIN_SESSION : REG_CLIENT_SESSION;
    l->user = user;
    ask->context = info->context;
    ask->n_context = info->n_context;
    if (auth_verify(ss->verifiers[which], ask, on_verdict, l) == NULL)
        ir_request_fail_local(rq, IB_ENOMEM, "out of memory");
}

static void log_in(struct reg_sessions *ss, struct ir_request *rq, bool admin, struct ib_str user,
                   struct ib_str password)
{
    enum reg_verifier which = admin ? REG_VERIFY_ADMIN : REG_VERIFY_CLIENT;
    struct ic_conn_info peer = {0};
    struct auth_request ask = {.user = user, .password = password, .remote_host = peer.remote_host};

    if (!admin && !ss->reg->cfg.master)
        deny(rq, "client session creation is only allowed with the master registry.");
    else if (ss->verifiers[which] == NULL)
        deny_unconfigured(rq, false, admin);
    else if (user.n == 0)
        deny(rq, "empty user id");
    else {
        if (ir_request_conn(rq) != NULL)
            ic_conn_get_info(ir_conn_net(ir_request_conn(rq)), &peer);
        verify(ss, rq, which, &ask, user);
    }
}

static void log_in_secure(struct reg_sessions *ss, struct ir_request *rq, bool admin)
{
    enum reg_verifier which = admin ? REG_VERIFY_ADMIN_SSL : REG_VERIFY_CLIENT_SSL;
    struct ib_arena *arena = ir_request_arena(rq);
    const struct ir_conn *conn = ir_request_conn(rq);
    struct Glacier2_SSLInfo ssl = {0};
    struct auth_request ask = {.ssl = &ssl};
    struct ic_conn_info info;
    struct ic_conn *net;
    struct ib_str subject;

    if (!admin && !ss->reg->cfg.master) {
        deny(rq, "client session creation is only allowed with the master registry.");
        return;
    }
    if (ss->verifiers[which] == NULL) {
        deny_unconfigured(rq, true, admin);
        return;
    }
    net = conn != NULL ? ir_conn_net(ir_request_conn(rq)) : NULL;
    if (net != NULL)
        ic_conn_get_info(net, &info);
    if (net == NULL || !info.secure) {
        deny(rq, "not ssl connection");
        return;
    }
    /* 3.7.8 accepts administrators without a certificate; nobody should. */
    subject = ic_conn_peer_subject(net, arena);
    if (!info.has_peer_cert || subject.n == 0) {
        deny(rq, "empty user DN");
        return;
    }
    ssl.remoteHost = ib_arena_strz(arena, info.remote_host);
    ssl.remotePort = info.remote_port;
    ssl.localHost = ib_arena_strz(arena, info.local_host);
    ssl.localPort = info.local_port;
    ssl.cipher = ib_arena_strz(arena, info.cipher);
    ssl.certs.n = ic_conn_peer_certs(net, arena, &ssl.certs.v);
    verify(ss, rq, which, &ask, subject);
}

/* --- operations -------------------------------------------------------------------------------------------------- */

static void create_session(void *self, struct ir_request *rq, const struct IceGrid_Registry_createSession_in *in)
{
    log_in(self, rq, false, in->userId, in->password);
}

static void create_admin_session(void *self, struct ir_request *rq,
                                 const struct IceGrid_Registry_createAdminSession_in *in)
{
    log_in(self, rq, true, in->userId, in->password);
}

static void create_session_secure(void *self, struct ir_request *rq,
                                  const struct IceGrid_Registry_createSessionFromSecureConnection_in *in)
{
    (void)in;
    log_in_secure(self, rq, false);
}

static void create_admin_session_secure(void *self, struct ir_request *rq,
                                        const struct IceGrid_Registry_createAdminSessionFromSecureConnection_in *in)
{
    (void)in;
    log_in_secure(self, rq, true);
}

static void get_session_timeout(void *self, struct ir_request *rq,
                                const struct IceGrid_Registry_getSessionTimeout_in *in)
{
    const struct reg_sessions *ss = self;

    (void)in;
    IceGrid_Registry_getSessionTimeout_reply(
        rq, &(struct IceGrid_Registry_getSessionTimeout_out){.ret = ss->reg->cfg.session_timeout});
}

static void get_acm_timeout(void *self, struct ir_request *rq, const struct IceGrid_Registry_getACMTimeout_in *in)
{
    const struct reg_sessions *ss = self;
    int t = ir_properties_int_or(ir_runtime_properties(ss->reg->rt), NULL, "IceGrid.Registry.Client.ACM.Timeout",
                                 ss->reg->cfg.session_timeout);

    (void)in;
    IceGrid_Registry_getACMTimeout_reply(rq, &(struct IceGrid_Registry_getACMTimeout_out){.ret = t});
}

static const struct IceGrid_Registry_servant vtable = {
    .createSession = create_session,
    .createAdminSession = create_admin_session,
    .createSessionFromSecureConnection = create_session_secure,
    .createAdminSessionFromSecureConnection = create_admin_session_secure,
    .getSessionTimeout = get_session_timeout,
    .getACMTimeout = get_acm_timeout,
};

int reg_registry_servant_start(struct reg_sessions *ss, struct ib_err *err)
{
    struct iw_identity id = reg_replica_identity(ss->reg, "Registry", &ss->reg->arena);
    int rc;

    ss->registry = (struct ir_servant){.iface = &IceGrid_Registry_iface, .vtable = &vtable, .self = ss};
    rc = ir_adapter_add(ss->reg->client, &id, "", &ss->registry);
    return rc == 0 ? 0 : ib_err_set(err, rc, "cannot add the registry object: %s", ib_err_text(rc));
}

void reg_registry_servant_stop(struct reg_sessions *ss)
{
    struct iw_identity id = reg_replica_identity(ss->reg, "Registry", &ss->reg->arena);

    if (ir_adapter_find(ss->reg->client, &id, "") == &ss->registry)
        ir_adapter_remove(ss->reg->client, &id, "");
}
