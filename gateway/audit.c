/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's audit events: one function for each, and how often those are told that a peer can provoke. */
#include "router.h"

#include <inttypes.h>
#include <stdio.h>

#define TELL_EVERY_MS 10000
#define TELL_REFUSALS 100
#define TELL_THROTTLED 20
#define TELL_PROXIES 10
#define TELL_LIMITS 5
#define COUNT(...) (sizeof((const struct auth_audit_field[]){__VA_ARGS__}) / sizeof(struct auth_audit_field))
#define FIELDS(...) (const struct auth_audit_field[]){__VA_ARGS__}, COUNT(__VA_ARGS__)

const struct gw_end_words gw_end_words[GW_END_MAX] = {
    [GW_END_CLIENT] = {"destroying session", "destroyed by client"},
    [GW_END_CONTROL] = {"destroying session", "destroyed by control"},
    [GW_END_EXPIRED] = {"expiring session", "expired"},
    [GW_END_LOST] = {"destroying session", "connection lost"},
    [GW_END_PING] = {"destroying session", "ping failed"},
    [GW_END_LIFETIME] = {"expiring session", "lifetime"},
    [GW_END_SHUTDOWN] = {"destroying session", "shutdown"},
    [GW_END_OPERATOR] = {"destroying session", "by operator"},
};

/* --- the log itself ----------------------------------------------------------------------------------------------- */

int gw_audit_open(struct gw_router *r, struct ib_err *err)
{
    const struct ir_properties *p = ir_runtime_properties(r->rt);
    const char *target = ir_properties_get(p, "Moulin.Gateway.AuditLog");
    const struct auth_audit_config cfg = {.target = target, .program = "moulin-gateway"};
    if (r->worker > 0) {
        r->audit.log = r->crew->workers[0].router->audit.log;
    }
    if (!target[0] || r->worker > 0) {
        return 0;
    }
    r->audit.log = auth_audit_new(&cfg, err);
    return r->audit.log ? 0
                        : ib_err_wrap(err, "property Moulin.Gateway.AuditLog (%s)",
                                      ir_properties_origin(p, "Moulin.Gateway.AuditLog"));
}

void gw_audit_close(struct gw_router *r)
{
    if (r->worker == 0) {
        auth_audit_free(r->audit.log);
    }
    r->audit.log = NULL;
}

void gw_audit_reopen(struct gw_router *r)
{
    struct ib_err err = {0};
    if (auth_audit_reopen(r->audit.log, &err) != 0) {
        ib_log_error(ir_runtime_log(r->rt), "the audit log was not reopened, the old file is written on: %s", err.text);
    }
}

/* May it be told now? *hidden: so many were not told before. */
static bool tally(struct gw_tally *t, unsigned most, unsigned *hidden)
{
    int64_t now = ib_clock_ms();
    if (now - t->since >= TELL_EVERY_MS) {
        t->since = now;
        t->told = 0;
    }
    if (t->told >= most) {
        t->hidden++;
        return false;
    }
    t->told++;
    *hidden = t->hidden;
    t->hidden = 0;
    return true;
}

static void event(struct gw_router *r, const char *name, const struct auth_audit_field *fields, size_t n)
{
    unsigned hidden;
    int why = 0;
    if (!r->audit.log) {
        return;
    }
    auth_audit_event(r->audit.log, name, fields, n);
    atomic_uint_fast64_t *told = &r->crew->books.lost;
    uint64_t lost = auth_audit_lost(r->audit.log, &why), before = atomic_load(told);
    if (lost > before && tally(&r->audit.losses, 1, &hidden) && atomic_compare_exchange_strong(told, &before, lost)) {
        ib_log_error(ir_runtime_log(r->rt), "the audit log lacks %" PRIu64 " events: %s", lost - before,
                     why ? strerror(why) : "it is written too slowly");
    }
}

/* --- fields ------------------------------------------------------------------------------------------------------- */

static struct auth_audit_field method(bool ssl)
{
    return AUTH_AUDIT_TEXT("method", ssl ? IB_STR("certificate") : IB_STR("password"));
}

static struct auth_audit_field optional(const char *name, unsigned n)
{
    struct auth_audit_field f = AUTH_AUDIT_NUMBER(name, n);
    f.name = n ? name : NULL;
    return f;
}

static const char *address_of(struct ir_conn *conn, char *buf, size_t cap)
{
    struct ic_conn_info info;
    ic_conn_get_info(ir_conn_net(conn), &info);
    (void)snprintf(buf, cap, "%s:%d", info.remote_host, info.remote_port);
    return buf;
}

const char *gw_session_id(const struct gw_session *s, char *buf)
{
    (void)snprintf(buf, GW_SESSION_ID_MAX, "%08" PRIx32 "-%" PRIu64, s->router->crew->books.run, s->number);
    return buf;
}

static struct auth_audit_field session_id(const struct gw_session *s, char *buf)
{
    return AUTH_AUDIT_TEXT("session", ib_str(gw_session_id(s, buf)));
}

/* --- logins ------------------------------------------------------------------------------------------------------- */

void gw_audit_login(struct gw_session *s, bool accepted, struct ib_str reason)
{
    struct auth_audit_field why = AUTH_AUDIT_TEXT("reason", reason);
    why.name = accepted ? NULL : why.name;
    event(s->router, accepted ? "login accepted" : "login refused",
          FIELDS(AUTH_AUDIT_TEXT("user", s->user), method(s->ssl), AUTH_AUDIT_TEXT("address", s->remote), why));
}

void gw_audit_turned_away(struct gw_client *c, struct ib_str user, bool ssl, const char *reason)
{
    unsigned hidden;
    char address[96];
    if (tally(&c->router->audit.refusals, TELL_REFUSALS, &hidden)) {
        event(c->router, "login refused",
              FIELDS(AUTH_AUDIT_TEXT("user", user), method(ssl),
                     AUTH_AUDIT_TEXT("address", ib_str(address_of(c->conn, address, sizeof(address)))),
                     AUTH_AUDIT_TEXT("reason", ib_str(reason)), optional("untold", hidden)));
    }
}

void gw_audit_throttled(struct gw_router *r, struct auth_source from, const char *host, struct ib_str user, int wait_s)
{
    unsigned hidden, n = gw_books_refused(&r->crew->books, from, TELL_EVERY_MS);
    char text[256];
    r->stats.logins_throttled++;
    if (n == 0 || !tally(&r->audit.throttled, TELL_THROTTLED, &hidden)) {
        return;
    }
    ib_log_warning(ir_runtime_log(r->rt),
                   "too many failed logins: %u refused unseen\nremote address = %s\nlast id = %s\nfor = %d s", n, host,
                   ib_log_escape(user, text, sizeof(text)), wait_s);
    event(r, "throttled",
          FIELDS(AUTH_AUDIT_TEXT("user", user), AUTH_AUDIT_TEXT("address", ib_str(host)), AUTH_AUDIT_NUMBER("count", n),
                 AUTH_AUDIT_NUMBER("seconds", wait_s), optional("untold", hidden)));
}

/* --- sessions ----------------------------------------------------------------------------------------------------- */

void gw_audit_session_refused(struct gw_session *s, const char *reason)
{
    event(s->router, "session refused",
          FIELDS(AUTH_AUDIT_TEXT("user", s->user), method(s->ssl), AUTH_AUDIT_TEXT("address", s->remote),
                 AUTH_AUDIT_TEXT("reason", ib_str(reason))));
}

void gw_audit_session_created(struct gw_session *s)
{
    struct ic_conn_info info;
    char id[GW_SESSION_ID_MAX];
    ic_conn_get_info(ir_conn_net(s->client->conn), &info);
    s->traffic.bytes_in = info.bytes_in;
    s->traffic.bytes_out = info.bytes_out;
    s->number = atomic_fetch_add(&s->router->crew->books.numbers, 1) + 1;
    event(s->router, "session created",
          FIELDS(session_id(s, id), AUTH_AUDIT_TEXT("user", s->user), method(s->ssl),
                 AUTH_AUDIT_TEXT("address", s->remote)));
}

void gw_audit_session_ended(struct gw_session *s, enum gw_end why)
{
    struct ic_conn_info info;
    char id[GW_SESSION_ID_MAX];
    const struct gw_traffic *t = &s->traffic;
    ic_conn_get_info(ir_conn_net(s->client->conn), &info);
    event(s->router, "session ended",
          FIELDS(session_id(s, id), AUTH_AUDIT_TEXT("user", s->user), AUTH_AUDIT_TEXT("address", s->remote),
                 AUTH_AUDIT_TEXT("reason", ib_str(gw_end_words[why].audit)),
                 AUTH_AUDIT_NUMBER("duration_ms", ib_clock_ms() - s->born),
                 AUTH_AUDIT_NUMBER("bytes_in", info.bytes_in - t->bytes_in),
                 AUTH_AUDIT_NUMBER("bytes_out", info.bytes_out - t->bytes_out),
                 AUTH_AUDIT_NUMBER("requests", t->requests), AUTH_AUDIT_NUMBER("callbacks", t->callbacks),
                 AUTH_AUDIT_NUMBER("refused", t->refused)));
}

void gw_audit_proxy_refused(struct gw_session *s, const char *filter, struct ib_str what)
{
    unsigned hidden;
    char id[GW_SESSION_ID_MAX];
    s->traffic.refused++;
    if (s->router->audit.log && tally(&s->traffic.tally, TELL_PROXIES, &hidden)) {
        event(s->router, "proxy refused",
              FIELDS(session_id(s, id), AUTH_AUDIT_TEXT("user", s->user), AUTH_AUDIT_TEXT("address", s->remote),
                     AUTH_AUDIT_TEXT("filter", ib_str(filter)), AUTH_AUDIT_TEXT("proxy", what),
                     optional("untold", hidden)));
    }
}

/* --- limits ------------------------------------------------------------------------------------------------------- */

void gw_audit_limit(struct gw_router *r, enum gw_limit limit, struct ir_conn *conn)
{
    static const char *const names[GW_LIMIT_MAX] = {
        [GW_LIMIT_CONNECTIONS] = "Moulin.Gateway.MaxConnections",
        [GW_LIMIT_UNAUTHENTICATED] = "Moulin.Gateway.MaxUnauthenticated",
        [GW_LIMIT_LOGIN_TIMEOUT] = "Moulin.Gateway.LoginTimeout",
        [GW_LIMIT_LINE] = "logins waiting",
        [GW_LIMIT_SESSIONS] = "Moulin.Gateway.MaxSessions",
        [GW_LIMIT_SESSIONS_PER_USER] = "Moulin.Gateway.MaxSessionsPerUser",
    };
    unsigned hidden;
    char address[96] = "unknown";
    if (!tally(&r->audit.limits[limit], TELL_LIMITS, &hidden)) {
        return;
    }
    if (conn) {
        (void)address_of(conn, address, sizeof(address));
    }
    ib_log_warning(ir_runtime_log(r->rt), "limit reached: %s\nremote address = %s\nnot told before = %u", names[limit],
                   address, hidden);
    event(r, "limit",
          FIELDS(AUTH_AUDIT_TEXT("limit", ib_str(names[limit])), AUTH_AUDIT_TEXT("address", ib_str(address)),
                 optional("untold", hidden)));
}
