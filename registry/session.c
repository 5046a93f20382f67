/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: birth, signs of life, end; the part of the registry that holds them all; and the operations of
   IceGrid::Session (icegrid-registry 7.2). */
#include "sessions.h"

#include <moulin/base/clock.h>
#include <moulin/base/log.h>
#include <moulin/rpc/properties.h>

#include <stdio.h>
#include <stdlib.h>

#define MAX_SESSIONS 50000
#define MAX_SESSIONS_PER_CONNECTION 1000

static const char *const kind_names[REG_SESSION_KINDS] = {"client", "admin"};

/* --- connections ------------------------------------------------------------------------------------------------- */

static void conn_drop(struct reg_session_conn *c)
{
    HASH_DEL(c->sessions->conns, c);
    ir_conn_off_close(&c->hook);
    free(c);
}

static void on_conn_close(struct ir_conn_hook *hook, struct ir_conn *conn, const struct ib_err *why)
{
    struct reg_session_conn *c = IB_CONTAINER(hook, struct reg_session_conn, hook);

    (void)conn;
    (void)why;
    c->n++; /* the last session's end must not free it under the loop */
    while (!ib_list_empty(&c->mine))
        reg_session_destroy(IB_CONTAINER(c->mine.next, struct reg_session, conn_node));
    conn_drop(c);
}

static void on_heartbeat(void *arg, struct ir_conn *conn)
{
    struct reg_session_conn *c = arg;

    (void)conn;
    IB_LIST_FOREACH(it, &c->mine)
    {
        reg_session_seen(IB_CONTAINER(it, struct reg_session, conn_node));
    }
}

static int conn_attach(struct reg_session *s, struct ir_conn *conn)
{
    struct reg_sessions *ss = s->sessions;
    struct reg_session_conn *c = NULL;

    HASH_FIND_PTR(ss->conns, &conn, c);
    if (c == NULL) {
        c = calloc(1, sizeof(*c));
        if (c == NULL)
            return IB_ENOMEM;
        c->conn = conn;
        c->sessions = ss;
        ib_list_init(&c->mine);
        HASH_ADD_PTR(ss->conns, conn, c);
        if (c->hh.tbl == NULL) {
            free(c);
            return IB_ENOMEM;
        }
        c->hook.fn = on_conn_close;
        ir_conn_on_close(conn, &c->hook);
        ir_conn_on_heartbeat(conn, on_heartbeat, c);
    } else if (c->n >= MAX_SESSIONS_PER_CONNECTION) {
        return IB_ELIMIT;
    }
    c->n++;
    s->conn = c;
    ib_list_append(&c->mine, &s->conn_node);
    return 0;
}

static void conn_detach(struct reg_session *s)
{
    struct reg_session_conn *c = s->conn;

    if (c == NULL)
        return;
    s->conn = NULL;
    ib_list_remove(&s->conn_node);
    if (--c->n > 0)
        return;
    ir_conn_on_heartbeat(c->conn, NULL, NULL);
    conn_drop(c);
}

/* --- life -------------------------------------------------------------------------------------------------------- */

struct reg_session *reg_session_ref(struct reg_session *s)
{
    s->refs++;
    return s;
}

void reg_session_unref(struct reg_session *s)
{
    if (--s->refs > 0)
        return;
    ib_arena_fini(&s->arena);
    free(s);
}

void reg_session_seen(struct reg_session *s)
{
    s->seen_ms = ib_clock_ms();
}

/* Wakes every (smallest timeout), so that a silent session lives once to twice its timeout, as in the original (7.2).
 */
static void on_reaper(void *arg)
{
    struct reg_sessions *ss = arg;
    int64_t now = ib_clock_ms(), period = 0;

    IB_LIST_FOREACH_SAFE(it, &ss->all)
    {
        struct reg_session *s = IB_CONTAINER(it, struct reg_session, node);
        int64_t timeout = (int64_t)s->timeout_s * 1000;

        if (timeout == 0)
            continue;
        if (s->seen_ms + timeout <= now) {
            reg_trace(ss->reg, REG_TRACE_SESSION, 1, "%s session `%s' has timed out", kind_names[s->kind],
                      ib_cstr(s->user));
            reg_session_destroy(s);
        } else if (period == 0 || timeout < period) {
            period = timeout;
        }
    }
    if (period > 0)
        ic_timer_start(&ss->reaper, period);
    ss->reaper_ms = period;
}

static void reap_later(struct reg_session *s)
{
    struct reg_sessions *ss = s->sessions;
    int64_t timeout = (int64_t)s->timeout_s * 1000;

    if (timeout == 0 || (ss->reaper_ms != 0 && ss->reaper_ms <= timeout))
        return;
    ss->reaper_ms = timeout;
    ic_timer_start(&ss->reaper, timeout);
}

static int copy_wish(struct reg_session *s, const struct reg_session_wish *wish)
{
    s->user = ib_arena_str(&s->arena, wish->user);
    s->id = reg_uuid_identity(s->sessions->reg->cfg.instance, &s->arena);
    s->admin_id = reg_uuid_identity(s->sessions->reg->cfg.instance, &s->arena);
    s->proxy = ir_adapter_direct_proxy(wish->adapter, &s->id, &s->arena);
    if (wish->control != NULL) {
        s->control = iw_proxy_copy(wish->control, &s->arena);
        if (s->control == NULL)
            return IB_ENOMEM;
    }
    return s->user.p && s->id.name.p && s->admin_id.name.p && s->proxy ? 0 : IB_ENOMEM;
}

static int add_servants(struct reg_session *s)
{
    bool admin = s->kind == REG_ADMIN_SESSION;
    int rc;

    s->servant = (struct ir_servant){
        .iface = admin ? &IceGrid_AdminSession_iface : &IceGrid_Session_iface,
        .vtable = admin ? (const void *)&reg_admin_session_vtable : (const void *)&reg_session_vtable,
        .self = s,
        .before = reg_session_may_call,
    };
    s->admin = (struct ir_servant){
        .iface = &IceGrid_Admin_iface, .vtable = &reg_admin_vtable, .self = s, .before = reg_session_may_call};
    rc = ir_adapter_add(s->adapter, &s->id, "", &s->servant);
    if (rc == 0 && admin) {
        rc = ir_adapter_add(s->adapter, &s->admin_id, "", &s->admin);
        if (rc != 0)
            ir_adapter_remove(s->adapter, &s->id, "");
    }
    return rc;
}

static struct reg_session *refuse(struct reg_session *s, int code, const char *text, struct ib_err *err)
{
    ib_err_set(err, code, "%s", text);
    if (s != NULL) {
        conn_detach(s);
        reg_session_unref(s);
    }
    return NULL;
}

struct reg_session *reg_session_new(struct reg_sessions *ss, const struct reg_session_wish *wish, struct ib_err *err)
{
    struct reg_session *s;
    int rc;

    if (ss->n >= MAX_SESSIONS || ss->reg->stopping)
        return refuse(NULL, IB_ELIMIT, "too many sessions", err);
    s = calloc(1, sizeof(*s));
    if (s == NULL)
        return refuse(NULL, IB_ENOMEM, "out of memory", err);
    s->refs = 1;
    s->sessions = ss;
    s->kind = (uint8_t)wish->kind;
    s->adapter = wish->adapter;
    s->filters = wish->filters;
    s->timeout_s = wish->timeout_s;
    s->allocation_timeout_ms = -1;
    ib_arena_init(&s->arena, 0);
    ib_list_init(&s->node);
    ib_list_init(&s->conn_node);
    ib_list_init(&s->owned);
    ib_list_init(&s->waiting);
    ib_list_init(&s->files);
    rc = copy_wish(s, wish);
    if (rc == 0 && wish->conn != NULL)
        rc = conn_attach(s, wish->conn);
    if (rc == 0)
        rc = add_servants(s);
    if (rc != 0)
        return refuse(s, rc, rc == IB_ELIMIT ? "too many sessions on this connection" : "out of memory", err);
    ib_list_append(&ss->all, &s->node);
    ss->n++;
    reg_session_seen(s);
    reap_later(s);
    reg_trace(ss->reg, REG_TRACE_SESSION, 1, "%s session `%s' created", kind_names[s->kind], ib_cstr(s->user));
    return s;
}

void reg_session_destroy(struct reg_session *s)
{
    struct reg_sessions *ss = s->sessions;

    if (s->gone)
        return;
    s->gone = true;
    ib_list_remove(&s->node);
    ss->n--;
    ir_adapter_remove(s->adapter, &s->id, "");
    if (s->kind == REG_ADMIN_SESSION)
        ir_adapter_remove(s->adapter, &s->admin_id, "");
    if (s->callback_category.n != 0 && ir_adapter_set_default(ss->reg->server, s->callback_category, NULL) != 0)
        ib_log_warning(ss->reg->log, "cannot withdraw the callbacks of an admin session");
    conn_detach(s);
    if (ss->lock == s)
        ss->lock = NULL;
    reg_observers_free(s->observers);
    s->observers = NULL;
    reg_files_close(s);
    reg_trace(ss->reg, REG_TRACE_SESSION, 1, "%s session `%s' destroyed", kind_names[s->kind], ib_cstr(s->user));
    reg_alloc_session_gone(s);
    reg_session_unref(s);
}

bool reg_session_may_call(void *self, struct ir_request *rq, const struct iw_op *op)
{
    struct reg_session *s = self;

    if (s->conn != NULL && ir_request_conn(rq) != s->conn->conn) {
        ir_request_fail(rq, IR_OBJECT_NOT_EXIST, NULL);
        return false;
    }
    /* Routers keep a session alive with ice_ping (glacier2-router 14.1). */
    if (op == &ir_op_ice_ping)
        reg_session_seen(s);
    return true;
}

/* --- IceGrid::Session -------------------------------------------------------------------------------------------- */

static void session_destroy(void *self, struct ir_request *rq, const struct Glacier2_Session_destroy_in *in)
{
    (void)in;
    reg_session_destroy(self);
    Glacier2_Session_destroy_reply(rq, NULL);
}

static void session_keep_alive(void *self, struct ir_request *rq, const struct IceGrid_Session_keepAlive_in *in)
{
    const struct reg_session *s = self;

    (void)in;
    reg_session_seen(self);
    reg_trace(s->sessions->reg, REG_TRACE_SESSION, 2, "client session `%s' keep alive", ib_cstr(s->user));
    IceGrid_Session_keepAlive_reply(rq, NULL);
}

static void session_allocate_by_id(void *self, struct ir_request *rq,
                                   const struct IceGrid_Session_allocateObjectById_in *in)
{
    reg_allocate_by_id(self, rq, &in->id);
}

static void session_allocate_by_type(void *self, struct ir_request *rq,
                                     const struct IceGrid_Session_allocateObjectByType_in *in)
{
    reg_allocate_by_type(self, rq, in->type);
}

static void session_release(void *self, struct ir_request *rq, const struct IceGrid_Session_releaseObject_in *in)
{
    reg_release(self, rq, &in->id);
}

static void session_set_timeout(void *self, struct ir_request *rq,
                                const struct IceGrid_Session_setAllocationTimeout_in *in)
{
    ((struct reg_session *)self)->allocation_timeout_ms = in->timeout;
    IceGrid_Session_setAllocationTimeout_reply(rq, NULL);
}

const struct IceGrid_Session_servant reg_session_vtable = {
    .destroy = session_destroy,
    .keepAlive = session_keep_alive,
    .allocateObjectById = session_allocate_by_id,
    .allocateObjectByType = session_allocate_by_type,
    .releaseObject = session_release,
    .setAllocationTimeout = session_set_timeout,
};

/* --- the part ---------------------------------------------------------------------------------------------------- */

void reg_sessions_end(struct reg *reg)
{
    struct reg_sessions *ss = reg_part_state(reg, &reg_sessions_part);

    while (ss != NULL && !ib_list_empty(&ss->all))
        reg_session_destroy(IB_CONTAINER(ss->all.next, struct reg_session, node));
}

static void part_stop(void *state)
{
    struct reg_sessions *ss = state;

    reg_session_managers_stop(ss);
    reg_registry_servant_stop(ss);
    reg_routes_stop(ss);
    for (size_t i = 0; i < REG_VERIFIERS; i++)
        auth_verifier_free(ss->verifiers[i]);
    auth_helper_free(ss->helper);
    while (!ib_list_empty(&ss->all))
        reg_session_destroy(IB_CONTAINER(ss->all.next, struct reg_session, node));
    reg_alloc_free(ss->alloc);
    ic_timer_fini(&ss->reaper);
    free(ss);
}

static const char *const verifier_properties[REG_VERIFIERS] = {
    [REG_VERIFY_CLIENT] = "IceGrid.Registry.PermissionsVerifier",
    [REG_VERIFY_ADMIN] = "IceGrid.Registry.AdminPermissionsVerifier",
    [REG_VERIFY_CLIENT_SSL] = "IceGrid.Registry.SSLPermissionsVerifier",
    [REG_VERIFY_ADMIN_SSL] = "IceGrid.Registry.AdminSSLPermissionsVerifier",
};

static int configure_verifiers(struct reg_sessions *ss, struct ib_err *err)
{
    const char *instance = ib_cstr(ss->reg->cfg.instance);
    static const char *const files[REG_VERIFIERS] = {[REG_VERIFY_CLIENT] = "IceGrid.Registry.CryptPasswords",
                                                     [REG_VERIFY_ADMIN] = "IceGrid.Registry.AdminCryptPasswords"};
    static const char *const prefixes[REG_VERIFIERS] = {
        [REG_VERIFY_CLIENT] = "Moulin.Registry.", [REG_VERIFY_ADMIN] = "Moulin.Registry.Admin"};
    int rc = auth_helper_configure(ss->reg->rt, "Moulin.Registry.", &ss->helper, err);

    if (rc != 0)
        return rc;
    for (size_t i = 0; i < REG_VERIFIERS; i++) {
        const struct auth_setting setting = {verifier_properties[i], files[i], instance,
                                             i == REG_VERIFY_CLIENT_SSL || i == REG_VERIFY_ADMIN_SSL, prefixes[i]};

        rc = auth_verifier_configure(ss->reg->rt, ss->helper, &setting, &ss->verifiers[i], err);
        if (rc == IB_EPARSEPROXY || rc == IB_EPARSEENDPOINT || rc == IB_EPARSEIDENTITY || rc == IB_EILLEGALIDENTITY)
            ib_log_error(ss->reg->log, "%s: these sessions are refused", err->text); /* as the original: 13 */
        else if (rc != 0)
            return rc;
    }
    return 0;
}

/* Asking a verifier for its type. One with endpoints of its own must answer before the start is over; one that has to
   be located may be registered here later, so its absence is only warned about, and each login asks it again. */
struct probe {
    struct reg *reg;
    const struct iw_proxy *prx;
    const char *property;
    struct ir_call *call;
    char failure[300]; /* why the start must end; "" otherwise */
    bool required;
};

static bool verifiers_optional(const struct reg *reg)
{
    return ir_properties_int_or(ir_runtime_properties(reg->rt), NULL, AUTH_VERIFIER_OPTIONAL, 0) > 0;
}

static void probed(void *arg, const struct ir_result *r)
{
    struct probe *p = arg;
    const struct ir_isA_out *out = r->outcome == IR_SUCCESS ? r->out : NULL;
    const char *why = "the object is not a permissions verifier";
    struct ib_arena arena;
    char text[256];

    p->call = NULL;
    if ((out != NULL && out->ret) || p->reg->stopping)
        return;
    if (out == NULL)
        why = ir_result_text(r, text, sizeof(text));
    if (p->required) {
        (void)snprintf(p->failure, sizeof(p->failure), "%s", why);
        return;
    }
    if (p->reg->cfg.no_warn)
        return;
    ib_arena_init(&arena, 0);
    ib_log_warning(p->reg->log, "unable to contact permissions verifier `%s': logins are refused until it answers\n%s",
                   ib_cstr(ir_proxy_format(p->prx, IR_UNICODE, &arena)), why);
    ib_arena_fini(&arena);
}

static int probe_start(struct reg_sessions *ss, size_t which, struct probe *p, struct ib_err *err)
{
    static const struct ir_call_options options = {.timeout_ms = 5000};
    const struct iw_proxy *prx = ss->verifiers[which] != NULL ? auth_verifier_proxy(ss->verifiers[which]) : NULL;
    bool ssl = which == REG_VERIFY_CLIENT_SSL || which == REG_VERIFY_ADMIN_SSL;
    const struct ir_isA_in in = {
        ib_str(ssl ? "::Glacier2::SSLPermissionsVerifier" : "::Glacier2::PermissionsVerifier")};

    if (prx == NULL)
        return 0;
    p->reg = ss->reg;
    p->prx = iw_proxy_copy(prx, &ss->reg->arena);
    p->property = verifier_properties[which];
    p->required = prx->n_endpoints > 0 && !verifiers_optional(ss->reg);
    if (p->prx != NULL)
        p->call = ir_call(ss->reg->rt, p->prx, &ir_op_ice_isA, &options, &in, probed, p);
    return p->call != NULL ? 0 : ib_err_set(err, IB_ENOMEM, "%s: out of memory", p->property);
}

static int probe_result(const struct probe *p, struct ib_err *err)
{
    const struct ir_properties *props = p->reg != NULL ? ir_runtime_properties(p->reg->rt) : NULL;

    if (props == NULL || p->failure[0] == '\0')
        return 0;
    return ib_err_set(err, IB_ECONFIG, AUTH_VERIFIER_ABSENT, ir_properties_get(props, p->property), p->property,
                      ir_properties_origin(props, p->property), p->failure);
}

static int probe_verifiers(struct reg_sessions *ss, struct ib_err *err)
{
    struct probe *probes = IB_ARENA_ARRAY(&ss->reg->arena, REG_VERIFIERS, struct probe);
    bool open = true;
    int rc = probes != NULL ? 0 : ib_err_set(err, IB_ENOMEM, "out of memory");

    for (size_t i = 0; rc == 0 && i < REG_VERIFIERS; i++)
        rc = probe_start(ss, i, &probes[i], err);
    while (rc == 0 && open) {
        open = false;
        for (size_t i = 0; i < REG_VERIFIERS; i++)
            open = open || (probes[i].required && probes[i].call != NULL);
        if (open)
            (void)ic_loop_run_once(ss->reg->loop, 1000);
    }
    for (size_t i = 0; rc == 0 && i < REG_VERIFIERS; i++)
        rc = probe_result(&probes[i], err);
    for (size_t i = 0; rc != 0 && probes != NULL && i < REG_VERIFIERS; i++)
        if (probes[i].call != NULL)
            ir_call_cancel(probes[i].call);
    return rc;
}

static void *part_start(struct reg *reg, struct ib_err *err)
{
    struct reg_sessions *ss = calloc(1, sizeof(*ss));
    int rc;

    if (ss == NULL) {
        ib_err_set(err, IB_ENOMEM, "out of memory");
        return NULL;
    }
    ss->reg = reg;
    ib_list_init(&ss->all);
    ic_timer_init(&ss->reaper, reg->loop, on_reaper, ss);
    ss->alloc = reg_alloc_new(ss);
    rc = ss->alloc == NULL ? ib_err_set(err, IB_ENOMEM, "out of memory") : configure_verifiers(ss, err);
    if (rc == 0)
        rc = reg_registry_servant_start(ss, err);
    if (rc == 0)
        rc = reg_session_managers_start(ss, err);
    if (rc == 0)
        rc = reg_routes_start(ss, err);
    if (rc == 0)
        rc = probe_verifiers(ss, err);
    if (rc != 0) {
        part_stop(ss);
        return NULL;
    }
    return ss;
}

const struct reg_part reg_sessions_part = {"sessions", part_start, part_stop};
