/* SPDX-License-Identifier: Apache-2.0 */
/* The objects a router asks for sessions: (Admin)SessionManager and (Admin)SSLSessionManager (icegrid-registry 7.4).
   Their sessions belong to no connection; the router's session control says how long they live, and is told what their
   users may reach when filters are on. */
#include "sessions.h"

#include <moulin/base/log.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#define CONTROL_MS 30000

static const struct manager {
    const char *name;
    bool ssl, admin;
} managers[4] = {
    {"SessionManager", false, false},
    {"SSLSessionManager", true, false},
    {"AdminSessionManager", false, true},
    {"AdminSSLSessionManager", true, true},
};

/* One creation on its way; lives in its request's arena. */
struct creation {
    struct reg_sessions *ss;
    struct ir_request *rq;
    const struct manager *manager;
    struct ib_str user;
    struct iw_proxy *control; /* borrows from the request */
    struct reg_session *session; /* ref, once there is one */
};

static void cannot(struct ir_request *rq, const char *reason)
{
    Glacier2_CannotCreateSessionException_throw(
        rq, &(struct Glacier2_CannotCreateSessionException){.reason = ib_str(reason)});
}

static void finish(void *arg, bool ok)
{
    struct creation *c = arg;
    struct reg_session *s = c->session;
    struct iw_proxy *prx = iw_proxy_copy(s->proxy, ir_request_arena(c->rq));

    if (!ok || prx == NULL || s->gone) {
        reg_session_destroy(s);
        cannot(c->rq, "internal server error");
    } else if (c->manager->ssl) {
        Glacier2_SSLSessionManager_create_reply(c->rq, &(struct Glacier2_SSLSessionManager_create_out){.ret = prx});
    } else {
        Glacier2_SessionManager_create_reply(c->rq, &(struct Glacier2_SessionManager_create_out){.ret = prx});
    }
    reg_session_unref(s);
}

/* What a session may reach from the start: itself and the query object; administrators also their Admin object and the
   routed admin objects. */
static void open_filters(struct creation *c)
{
    struct reg_session *s = c->session;
    const char *instance = ib_cstr(c->ss->reg->cfg.instance);
    struct ib_arena *arena = ir_request_arena(c->rq);
    struct iw_identity ids[3] = {s->id, reg_identity(c->ss->reg, "Query"), s->admin_id};
    struct ib_str categories[3] = {
        ib_arena_printf(arena, "%s-RegistryServerAdminRouter", instance),
        ib_arena_printf(arena, "%s-RegistryNodeAdminRouter", instance),
        ib_arena_printf(arena, "%s-RegistryReplicaAdminRouter", instance),
    };
    bool admin = c->manager->admin;
    struct reg_filter_change change = {
        .ids = ids, .n_ids = admin ? 3 : 2, .categories = categories, .n_categories = admin ? 3 : 0};

    if (categories[0].p == NULL || categories[1].p == NULL || categories[2].p == NULL)
        finish(c, false);
    else
        reg_filter_tell(s, true, &change, finish, c);
}

static void make_session(struct creation *c, int timeout_s)
{
    const struct reg_config *cfg = &c->ss->reg->cfg;
    bool admin = c->manager->admin;
    struct reg_session_wish wish = {
        .kind = admin ? REG_ADMIN_SESSION : REG_CLIENT_SESSION,
        .user = c->user,
        .adapter = admin ? c->ss->reg->admin_session_manager : c->ss->reg->session_manager,
        .control = c->control,
        .filters = c->control != NULL && (admin ? cfg->admin_session_filters : cfg->session_filters) > 0,
        .timeout_s = timeout_s > 0 ? timeout_s : 0,
    };
    struct reg_session *s;
    struct ib_err err;

    s = reg_session_new(c->ss, &wish, &err);
    if (s == NULL) {
        ib_log_error(c->ss->reg->log, "cannot create a session for a router: %s", err.text);
        cannot(c->rq, "internal server error");
        return;
    }
    c->session = reg_session_ref(s);
    open_filters(c);
}

static void got_timeout(void *arg, const struct ir_result *r)
{
    struct creation *c = arg;
    const struct Glacier2_SessionControl_getSessionTimeout_out *out =
        Glacier2_SessionControl_getSessionTimeout_result(r);
    char text[300];

    if (out != NULL) {
        make_session(c, out->ret);
        return;
    }
    reg_trace(c->ss->reg, REG_TRACE_SESSION, 1, "cannot ask the router's session control: %s",
              ir_result_text(r, text, sizeof(text)));
    cannot(c->rq, "internal server error");
}

static void create(void *self, struct ir_request *rq, const struct manager *m, struct ib_str user,
                   struct iw_proxy *control)
{
    static const struct ir_call_options options = {.timeout_ms = CONTROL_MS};
    struct creation *c = IB_ARENA_NEW(ir_request_arena(rq), struct creation);
    struct reg_sessions *ss = self;

    if (c == NULL) {
        ir_request_fail_local(rq, IB_ENOMEM, "out of memory");
        return;
    }
    *c = (struct creation){ss, rq, m, user, control, NULL};
    if (control == NULL)
        make_session(c, 0);
    else if (Glacier2_SessionControl_getSessionTimeout_call(ss->reg->rt, control, &options, NULL, got_timeout, c) ==
             NULL)
        ir_request_fail_local(rq, IB_ENOMEM, "out of memory");
}

/* Subject of a certificate in PEM as IceSSL prints it; p NULL when it is none. */
static struct ib_str subject_of(struct ib_str pem, struct ib_arena *arena)
{
    struct ib_str subject = {NULL, 0};
    BIO *in = pem.n < (1u << 20) ? BIO_new_mem_buf(ib_cstr(pem), (int)pem.n) : NULL;
    BIO *out = BIO_new(BIO_s_mem());
    X509 *cert = in != NULL ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
    char *text;
    long n;

    if (cert != NULL && out != NULL &&
        X509_NAME_print_ex(out, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0) {
        n = BIO_get_mem_data(out, &text);
        subject = ib_arena_str(arena, (struct ib_str){text, (size_t)n});
    }
    X509_free(cert);
    BIO_free(in);
    BIO_free(out);
    return subject;
}

static void create_plain(void *self, struct ir_request *rq, const struct manager *m,
                         const struct Glacier2_SessionManager_create_in *in)
{
    create(self, rq, m, in->userId, in->control);
}

static void create_ssl(void *self, struct ir_request *rq, const struct manager *m,
                       const struct Glacier2_SSLSessionManager_create_in *in)
{
    struct ib_str subject = {NULL, 0};

    if (in->info.certs.n > 0)
        subject = subject_of(in->info.certs.v[0], ir_request_arena(rq));
    /* 3.7.8 takes an empty list of certificates as user ""; nobody should. */
    if (subject.n == 0)
        cannot(rq, in->info.certs.n > 0 ? "internal server error" : "empty user DN");
    else
        create(self, rq, m, subject, in->control);
}

static void client_plain(void *self, struct ir_request *rq, const struct Glacier2_SessionManager_create_in *in)
{
    create_plain(self, rq, &managers[0], in);
}

static void client_ssl(void *self, struct ir_request *rq, const struct Glacier2_SSLSessionManager_create_in *in)
{
    create_ssl(self, rq, &managers[1], in);
}

static void admin_plain(void *self, struct ir_request *rq, const struct Glacier2_SessionManager_create_in *in)
{
    create_plain(self, rq, &managers[2], in);
}

static void admin_ssl(void *self, struct ir_request *rq, const struct Glacier2_SSLSessionManager_create_in *in)
{
    create_ssl(self, rq, &managers[3], in);
}

static const struct Glacier2_SessionManager_servant client_plain_vtable = {.create = client_plain};
static const struct Glacier2_SSLSessionManager_servant client_ssl_vtable = {.create = client_ssl};
static const struct Glacier2_SessionManager_servant admin_plain_vtable = {.create = admin_plain};
static const struct Glacier2_SSLSessionManager_servant admin_ssl_vtable = {.create = admin_ssl};
static const void *const vtables[4] = {&client_plain_vtable, &client_ssl_vtable, &admin_plain_vtable,
                                       &admin_ssl_vtable};

/* Where a manager lives: only the master makes sessions of clients. */
static struct ir_adapter *adapter_of(const struct reg *reg, const struct manager *m)
{
    if (m->admin)
        return reg->admin_session_manager;
    return reg->cfg.master ? reg->session_manager : NULL;
}

static struct iw_identity identity_of(struct reg *reg, const struct manager *m)
{
    return m->admin ? reg_replica_identity(reg, m->name, &reg->arena) : reg_identity(reg, m->name);
}

int reg_session_managers_start(struct reg_sessions *ss, struct ib_err *err)
{
    for (size_t i = 0; i < 4; i++) {
        struct ir_adapter *adapter = adapter_of(ss->reg, &managers[i]);
        struct iw_identity id = identity_of(ss->reg, &managers[i]);
        int rc;

        if (adapter == NULL)
            continue;
        ss->managers[i] = (struct ir_servant){
            .iface = managers[i].ssl ? &Glacier2_SSLSessionManager_iface : &Glacier2_SessionManager_iface,
            .vtable = vtables[i],
            .self = ss,
        };
        rc = ir_adapter_add(adapter, &id, "", &ss->managers[i]);
        if (rc != 0)
            return ib_err_set(err, rc, "cannot add the object %s: %s", managers[i].name, ib_err_text(rc));
        ss->manager_added[i] = true;
    }
    return 0;
}

void reg_session_managers_stop(struct reg_sessions *ss)
{
    for (size_t i = 0; i < 4; i++) {
        struct iw_identity id = identity_of(ss->reg, &managers[i]);

        if (ss->manager_added[i])
            ir_adapter_remove(adapter_of(ss->reg, &managers[i]), &id, "");
        ss->manager_added[i] = false;
    }
}
