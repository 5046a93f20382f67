/* SPDX-License-Identifier: Apache-2.0 */
/* The limits: reading them, and who has to go when one is reached. Guests stand in a list in the order of their
   deadlines, so one timer serves them all. */
#include "router.h"

#include <limits.h>

#define LOGIN_TIMEOUT_S 60
#define UNAUTHENTICATED 16384
#define YEAR_S 31536000

int gw_limits_read(struct gw_limits *l, const struct ir_properties *p, int acm_timeout_s, struct ib_err *err)
{
    int patience = acm_timeout_s > LOGIN_TIMEOUT_S ? acm_timeout_s : LOGIN_TIMEOUT_S;
    const struct {
        const char *key;
        int otherwise, lowest, highest, *to;
    } numbers[] = {
        {"Moulin.Gateway.MaxConnections", 0, 0, INT_MAX, &l->connections},
        {"Moulin.Gateway.MaxUnauthenticated", UNAUTHENTICATED, 0, INT_MAX, &l->unauthenticated},
        {"Moulin.Gateway.LoginTimeout", patience, 0, YEAR_S, &l->login_timeout_s},
        {"Moulin.Gateway.MaxSessions", 0, 0, INT_MAX, &l->sessions},
        {"Moulin.Gateway.MaxSessionsPerUser", 0, 0, INT_MAX, &l->sessions_per_user},
        {"Moulin.Gateway.SessionLifetime", 0, 0, YEAR_S, &l->session_lifetime_s},
        {"Moulin.Gateway.Throttle.Failures", 10, 0, 1000000, &l->throttle_failures},
        {"Moulin.Gateway.Throttle.MaxPenalty", 60, 1, 86400, &l->throttle_penalty_max_s},
        {"Moulin.Gateway.Throttle.Forget", 60, 1, 86400, &l->throttle_forget_s},
        {"Moulin.Gateway.Throttle.Entries", 4096, 16, 1 << 20, &l->throttle_entries},
        {"Moulin.Gateway.Throttle.Concurrent", 2, 1, 10000, &l->throttle_concurrent},
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        rc = gw_config_int(p, numbers[i].key, numbers[i].otherwise, numbers[i].lowest, numbers[i].highest,
                           numbers[i].to, err);
    }
    return rc;
}

/* --- guests ------------------------------------------------------------------------------------------------------- */

static bool is_logging_in(const struct gw_client *c)
{
    return c->joining || c->n_waiting > 0;
}

/* Abruptly, as a client without a session that wants something is treated (4.4). */
static void drop(struct gw_client *c, enum gw_limit limit)
{
    gw_audit_limit(c->router, limit, c->conn);
    gw_guest_remove(c);
    ir_conn_close(c->conn, true);
}

static void start_timer(struct gw_router *r)
{
    if (ib_list_empty(&r->guests) || r->limits.login_timeout_s == 0) {
        ic_timer_stop(&r->guest_timer);
        return;
    }
    int64_t left = IB_CONTAINER(r->guests.next, struct gw_client, guest_node)->guest_until - ib_clock_ms();
    ic_timer_start(&r->guest_timer, left > 0 ? left : 0);
}

void gw_guest_add(struct gw_client *c)
{
    struct gw_router *r = c->router;
    bool first = ib_list_empty(&r->guests);
    ib_list_append(&r->guests, &c->guest_node);
    atomic_fetch_add(&r->crew->books.guests, 1);
    atomic_fetch_add(&r->crew->workers[r->worker].guests, 1);
    c->guest_extended = false;
    c->guest_until = ib_clock_ms() + (int64_t)r->limits.login_timeout_s * 1000;
    if (first) {
        start_timer(r);
    }
}

void gw_guest_remove(struct gw_client *c)
{
    struct gw_router *r = c->router;
    if (!ib_list_empty(&c->guest_node)) {
        ib_list_remove(&c->guest_node);
        atomic_fetch_sub(&r->crew->books.guests, 1);
        atomic_fetch_sub(&r->crew->workers[r->worker].guests, 1);
    }
}

/* Who is logging in when his time is over gets the same time once more: for a slow verifier, not for one failed login
   after the other. */
void gw_guest_on_timer(void *router)
{
    struct gw_router *r = router;
    int64_t now = ib_clock_ms();
    while (!ib_list_empty(&r->guests)) {
        struct gw_client *c = IB_CONTAINER(r->guests.next, struct gw_client, guest_node);
        if (c->guest_until > now) {
            break;
        }
        if (is_logging_in(c) && !c->guest_extended) {
            c->guest_extended = true;
            c->guest_until = now + (int64_t)r->limits.login_timeout_s * 1000;
            ib_list_remove(&c->guest_node);
            ib_list_append(&r->guests, &c->guest_node);
        } else {
            drop(c, GW_LIMIT_LOGIN_TIMEOUT);
        }
    }
    start_timer(r);
}

/* --- reached ------------------------------------------------------------------------------------------------------ */

static bool make_room(struct gw_router *r)
{
    IB_LIST_FOREACH(node, &r->guests)
    {
        struct gw_client *c = IB_CONTAINER(node, struct gw_client, guest_node);
        if (!is_logging_in(c)) {
            drop(c, GW_LIMIT_UNAUTHENTICATED);
            return true;
        }
    }
    return false;
}

bool gw_limits_let_in(struct gw_router *r, struct ir_conn *conn)
{
    const struct gw_limits *l = &r->limits;
    struct gw_books *b = &r->crew->books;
    if (l->unauthenticated > 0 && atomic_load(&b->guests) >= (unsigned)l->unauthenticated && !make_room(r)) {
        gw_audit_limit(r, GW_LIMIT_UNAUTHENTICATED, conn);
        return false;
    }
    if (!gw_books_take(&b->clients, l->connections)) {
        gw_audit_limit(r, GW_LIMIT_CONNECTIONS, conn);
        return false;
    }
    return true;
}

void gw_limits_let_out(struct gw_router *r)
{
    atomic_fetch_sub(&r->crew->books.clients, 1);
}

/* A subject is nobody else's name; what a map makes of it is a user like those with passwords. */
static char user_kind(const struct gw_session *s)
{
    return s->ssl && !s->router->edge.users ? 's' : 'u';
}

static bool count_user(struct gw_session *s, int limit)
{
    char kind = user_kind(s);
    if (!gw_books_join(&s->router->crew->books, kind, s->user, limit)) {
        return false;
    }
    s->user_kind = kind;
    return true;
}

static void forget_user(struct gw_session *s)
{
    if (s->user_kind) {
        gw_books_part(&s->router->crew->books, s->user_kind, s->user);
        s->user_kind = 0;
    }
}

const char *gw_limits_refuse_session(struct gw_session *s)
{
    const struct gw_limits *l = &s->router->limits;
    struct ir_conn *conn = s->client ? s->client->conn : NULL;
    s->counted = gw_books_take(&s->router->crew->books.sessions, l->sessions);
    if (!s->counted) {
        gw_audit_limit(s->router, GW_LIMIT_SESSIONS, conn);
        return "the router has as many sessions as it may have: try again later";
    }
    if (l->sessions_per_user > 0 && !count_user(s, l->sessions_per_user)) {
        gw_audit_limit(s->router, GW_LIMIT_SESSIONS_PER_USER, conn);
        return "the user has as many sessions as one may have: end one of them first";
    }
    return NULL;
}

void gw_limits_forget_session(struct gw_session *s)
{
    forget_user(s);
    if (s->counted) {
        s->counted = false;
        atomic_fetch_sub(&s->router->crew->books.sessions, 1);
    }
}

/* --- read again --------------------------------------------------------------------------------------------------- */

void gw_limits_use(struct gw_router *r, const struct gw_limits *fresh)
{
    int64_t until = ib_clock_ms() + (int64_t)fresh->login_timeout_s * 1000;
    r->limits = *fresh;
    IB_LIST_FOREACH(node, &r->guests)
    {
        IB_CONTAINER(node, struct gw_client, guest_node)->guest_until = until;
    }
    start_timer(r);
    IB_LIST_FOREACH_SAFE(node, &r->sessions)
    {
        struct gw_session *s = IB_CONTAINER(node, struct gw_session, node);
        forget_user(s); /* the limit, and what makes a user of a certificate, may have changed */
        if (s->counted && fresh->sessions_per_user > 0) {
            (void)count_user(s, 0);
        }
        if (s->state == GW_ACTIVE) {
            gw_session_check_expiry(s);
        }
    }
}
