/* SPDX-License-Identifier: Apache-2.0 */
/* A session from its making to its end: use, expiry, keep-alive pings, and the one way it ends (glacier2-router 4.6,
 * 5). */
#include "router.h"

#include <stdio.h>
#include <stdlib.h>

#include <slice/Glacier2/Router.h>
#include <slice/Glacier2/Router_rpc.h>

#define ARENA_FIRST 112 /* most sessions keep a name, two addresses and no more */

/* One ice_ping to the Session object under way. */
struct gw_ping {
    struct ib_list node; /* session->pings */
    struct gw_session *session;
    struct ir_request *rq; /* the refreshSession to answer; NULL: a heartbeat asked */
    struct ir_call *call;
};

static void on_expiry_check(void *arg);

/* For traces: the connection may be gone by then. */
static bool keep_addresses(struct gw_session *s, const struct ir_conn *conn)
{
    struct ic_conn_info info;
    ic_conn_get_info(ir_conn_net((struct ir_conn *)(uintptr_t)conn), &info);
    s->local = ib_arena_printf(&s->arena, "%s:%d", info.local_host, info.local_port);
    s->remote = ib_arena_printf(&s->arena, "%s:%d", info.remote_host, info.remote_port);
    return s->local.p && s->remote.p;
}

static int fill_filter(struct gw_session *s, const struct gw_config *c)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->filters.categories.n; i++) {
        const struct iw_identity id = gw_set_string(c->filters.categories.v[i]);
        rc = gw_set_add(&s->filter.categories, &id);
    }
    for (size_t i = 0; rc == 0 && i < c->filters.adapter_ids.n; i++) {
        const struct iw_identity id = gw_set_string(c->filters.adapter_ids.v[i]);
        rc = gw_set_add(&s->filter.adapter_ids, &id);
    }
    for (size_t i = 0; rc == 0 && i < c->filters.identities.n; i++) {
        rc = gw_set_add(&s->filter.identities, &c->filters.identities.v[i]);
    }
    bool has_user = !s->ssl || s->router->edge.users; /* 10.3: a subject is no user, what a map makes of it is */
    if (rc == 0 && c->filters.accept_user && has_user && s->user.n) {
        const struct ib_str text =
            ib_arena_printf(&s->arena, "%s%s", c->filters.accept_user == 2 ? "_" : "", ib_cstr(s->user));
        const struct iw_identity id = gw_set_string(text);
        rc = text.p ? gw_set_add(&s->filter.categories, &id) : IB_ENOMEM;
    }
    return rc;
}

struct gw_session *gw_session_new(struct gw_client *c, struct ir_request *rq, struct ib_str user, bool ssl)
{
    struct gw_session *s = calloc(1, sizeof(*s));
    if (!s) {
        return NULL;
    }
    s->router = c->router;
    s->client = c;
    s->rq = rq;
    s->ssl = ssl;
    ib_list_init(&s->wait_node);
    ib_list_init(&s->door_node);
    ib_list_init(&s->pings);
    ib_arena_init(&s->arena, 0);
    s->arena.first = ARENA_FIRST;
    gw_routes_init(&s->routes, (size_t)c->router->config.routing_table_max);
    ic_timer_init(&s->expiry, c->router->loop, on_expiry_check, s);
    ib_list_append(&c->router->sessions, &s->node);
    s->user = ib_arena_str(&s->arena, user);
    if (!s->user.p || !keep_addresses(s, c->conn) || fill_filter(s, &c->router->config) != 0 ||
        gw_context_connection(s, c->conn) != 0) {
        gw_session_move(s, GW_DESTROYING);
        gw_session_free(s);
        return NULL;
    }
    return s;
}

void gw_session_free(struct gw_session *s)
{
    gw_session_move(s, GW_GONE);
    gw_door_leave(s);
    gw_limits_forget_session(s);
    ir_observe_end(&s->observed);
    if (s->check) {
        auth_check_cancel(s->check);
    }
    gw_run_end(s);
    gw_control_remove(s);
    gw_index_remove(s->router->index, s);
    ic_timer_fini(&s->expiry);
    gw_routes_fini(&s->routes);
    gw_filter_fini(&s->filter);
    ib_list_remove(&s->wait_node);
    ib_list_remove(&s->node);
    ib_arena_fini(&s->arena);
    free(s);
}

/* The token is a bearer secret: four characters are enough to tell sessions apart. */
static void trace(const struct gw_session *s, const char *what)
{
    const struct gw_router *r = s->router;
    char user[256], category[64] = "";
    if (r->config.trace_session < 1) {
        return;
    }
    if (s->token[0]) {
        (void)snprintf(category, sizeof(category), "\ncategory = %.4s...", s->token);
    }
    ib_log_trace(ir_runtime_log(r->rt), "Glacier2", "%s\nid = %s%s\nlocal address = %s\nremote address = %s", what,
                 ib_log_escape(s->user, user, sizeof(user)), category, ib_cstr(s->local), ib_cstr(s->remote));
}

void gw_trace_failure(struct gw_session *s, const char *what, const char *text)
{
    if (s->router->config.trace_session >= 1) {
        ib_log_trace(ir_runtime_log(s->router->rt), "Glacier2", "%s\n%s", what, text);
    }
}

static void check_later(struct gw_session *s, int64_t ms, int64_t now)
{
    ic_timer_start(&s->expiry, ic_timer_align(now + ms, ms) - now);
}

void gw_session_activate(struct gw_session *s)
{
    struct gw_client *c = s->client;
    gw_session_move(s, GW_ACTIVE);
    c->joining = NULL;
    c->session = s;
    c->had_session = true;
    s->born = s->last_use = ib_clock_ms();
    gw_guest_remove(c);
    gw_session_check_expiry(s);
    gw_audit_session_created(s); /* numbers it */
    ib_list_remove(&s->node);
    ib_list_append(&s->router->sessions, &s->node); /* the active ones in the order of their numbers: operator.c */
    s->router->stats.logins_accepted++;
    ir_observe(s->router->session_metrics, &s->observed, s);
    trace(s, "created session");
}

void gw_session_touch(struct gw_session *s)
{
    s->last_use = ib_clock_coarse_ms();
}

/* One timer for both ends: of silence, and of the whole session. */
void gw_session_check_expiry(struct gw_session *s)
{
    int64_t now = ib_clock_ms(), idle = (int64_t)s->router->config.session_timeout_s * 1000,
            life = (int64_t)s->router->limits.session_lifetime_s * 1000;
    int64_t idle_left = idle > 0 ? s->last_use + idle - now : INT64_MAX;
    int64_t life_left = life > 0 ? s->born + life - now : INT64_MAX;
    int64_t left = idle_left < life_left ? idle_left : life_left;
    if (left <= 0) {
        gw_session_end(s, life_left <= 0 ? GW_END_LIFETIME : GW_END_EXPIRED);
    } else if (left < INT64_MAX) {
        check_later(s, left, now);
    } else {
        ic_timer_stop(&s->expiry);
    }
}

static void on_expiry_check(void *arg)
{
    gw_session_check_expiry(arg);
}

/* Takes the ping out; answers its refreshSession. */
static void ping_finish(struct gw_ping *p, bool alive)
{
    struct ir_request *rq = p->rq;
    ib_list_remove(&p->node);
    if (!rq) {
        p->session->heartbeat_ping = false;
    }
    free(p);
    if (rq && alive) {
        Glacier2_Router_refreshSession_reply(rq, NULL);
    } else if (rq) {
        Glacier2_SessionNotExistException_throw(rq, NULL);
    }
}

void gw_session_end(struct gw_session *s, enum gw_end why)
{
    gw_session_move(s, GW_DESTROYING);
    gw_audit_session_ended(s, why);
    gw_queues_close(s);
    s->client->session = NULL;
    gw_guest_add(s->client);
    s->client = NULL;
    trace(s, gw_end_words[why].trace);
    while (!ib_list_empty(&s->pings)) {
        struct gw_ping *p = IB_CONTAINER(s->pings.next, struct gw_ping, node);
        ir_call_cancel(p->call);
        ping_finish(p, false);
    }
    gw_broker_destroy(s);
    gw_session_free(s);
}

void gw_session_close(struct gw_session *s, enum gw_end why)
{
    struct ir_conn *conn = s->client->conn;
    gw_session_end(s, why);
    ir_conn_close(conn, true);
}

static void on_pinged(void *arg, const struct ir_result *r)
{
    struct gw_ping *p = arg;
    struct gw_session *s = p->session;
    bool alive = r->outcome == IR_SUCCESS, heartbeat = !p->rq;
    ping_finish(p, alive);
    if (alive) {
        return;
    }
    if (heartbeat) { /* nobody else would tell the client (4.6) */
        gw_session_close(s, GW_END_PING);
    } else {
        gw_session_end(s, GW_END_PING);
    }
}

void gw_session_ping(struct gw_session *s, struct ir_request *rq)
{
    gw_session_touch(s);
    if (!rq && (!s->proxy || s->heartbeat_ping)) {
        return;
    }
    if (!s->proxy) {
        Glacier2_Router_refreshSession_reply(rq, NULL);
        return;
    }
    struct gw_ping *p = calloc(1, sizeof(*p));
    if (p) {
        p->session = s;
        p->rq = rq;
        p->call = ir_call(s->router->rt, s->proxy, &ir_op_ice_ping, NULL, NULL, on_pinged, p);
    }
    if (!p || !p->call) {
        free(p);
        if (rq) {
            ir_request_fail_local(rq, IB_ENOMEM, NULL);
        }
        return;
    }
    s->heartbeat_ping = s->heartbeat_ping || !rq;
    ib_list_append(&s->pings, &p->node);
}
