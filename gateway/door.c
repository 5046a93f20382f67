/* SPDX-License-Identifier: Apache-2.0 */
/* The door: asks the throttle, keeps the line of those who wait for a verifier, and takes from it fairly. */
#include "router.h"

#include <stdio.h>

/* Remote verifiers answer many at a time; the helper process hashes one after the other, and what stands in its queue
   everybody else has to wait for. */
#define REMOTE_FACTOR 32
#define LINE_MAX 1024
#define LINE_ADDRESS_MAX 256

static struct gw_door *door_of(const struct gw_session *s)
{
    return &s->router->door;
}

static struct gw_books *books_of(const struct gw_session *s)
{
    return &s->router->crew->books;
}

static bool same_source(const struct gw_session *a, const struct gw_session *b)
{
    return memcmp(&a->source, &b->source, sizeof(a->source)) == 0;
}

static unsigned count_of_source(const struct ib_list *list, const struct gw_session *s)
{
    unsigned n = 0;
    IB_LIST_FOREACH(node, list)
    {
        n += same_source(IB_CONTAINER(node, struct gw_session, door_node), s);
    }
    return n;
}

static struct auth_attempt attempt_of(const struct gw_session *s)
{
    unsigned failed = s->client ? s->client->failed_logins : 0;
    return (struct auth_attempt){.from = s->source, .user = s->user, .certificate = s->ssl, .failed = failed};
}

static const char *wait_text(char *buf, size_t cap, int wait_s)
{
    (void)snprintf(buf, cap, "too many failed logins: try again in %d s", wait_s);
    return buf;
}

const char *gw_door_turn_away(struct gw_client *c, struct ib_str user, bool ssl, char *buf, size_t cap)
{
    struct gw_books *b = &c->router->crew->books;
    struct ic_conn_info info;
    if (!b->throttle) {
        return NULL;
    }
    ic_conn_get_info(ir_conn_net(c->conn), &info);
    const struct auth_attempt a = {
        .from = auth_source_of(info.remote_host), .user = user, .certificate = ssl, .failed = c->failed_logins};
    struct auth_admission in = gw_books_ask(b, &a, false);
    if (in.admitted) {
        return NULL;
    }
    gw_audit_throttled(c->router, a.from, info.remote_host, user, in.wait_s);
    return wait_text(buf, cap, in.wait_s);
}

/* Asked again, because of those before it in the line some have failed meanwhile. */
static void let_in(struct gw_session *s)
{
    struct gw_door *d = door_of(s);
    const struct auth_attempt a = attempt_of(s);
    struct auth_admission in = gw_books_ask(books_of(s), &a, true);
    char text[64];
    if (!in.admitted) {
        struct ic_conn_info info;
        ic_conn_get_info(ir_conn_net(s->client->conn), &info);
        gw_audit_throttled(s->router, s->source, info.remote_host, s->user, in.wait_s);
        gw_login_deny(s, ib_str(wait_text(text, sizeof(text), in.wait_s)));
        return;
    }
    s->at_door = GW_DOOR_CHECKING;
    ib_list_append(&d->checking, &s->door_node);
    gw_login_verify(s);
}

static const struct auth_verifier *verifier_of(const struct gw_session *s)
{
    return s->ssl ? gw_edge_verifier(s->router) : s->router->verifier;
}

/* Known pairs of address and user do not wait: whatever happens around them, they are the honest ones. */
static unsigned seats_each(const struct gw_session *s)
{
    unsigned factor = auth_verifier_proxy(verifier_of(s)) ? REMOTE_FACTOR : 1;
    return (unsigned)s->router->limits.throttle_concurrent * factor;
}

static bool has_room(const struct gw_session *s)
{
    return s->known || gw_books_has_seat(books_of(s), &s->source, seats_each(s));
}

/* Another worker may have been faster. */
static bool sit(struct gw_session *s)
{
    s->seated = gw_books_sit(books_of(s), &s->source, seats_each(s), s->known);
    return s->seated;
}

/* Who comes first has a smaller one: of the address with the fewest being verified, then of the user with the fewest,
   and of the connection where fewer have failed. */
static unsigned claim(const struct gw_door *d, const struct gw_session *s)
{
    unsigned address = 0, user = s->client->failed_logins;
    IB_LIST_FOREACH(node, &d->checking)
    {
        const struct gw_session *other = IB_CONTAINER(node, struct gw_session, door_node);
        bool same = same_source(other, s);
        address += same;
        user += same && ib_str_eq(other->user, s->user);
    }
    return address << 16 | (user < 0xffff ? user : 0xffff);
}

/* The first in the line with the smallest claim, of those for whom there is room. */
static struct gw_session *pick(struct gw_door *d)
{
    struct gw_session *best = NULL;
    unsigned smallest = 0;
    IB_LIST_FOREACH(node, &d->line)
    {
        struct gw_session *s = IB_CONTAINER(node, struct gw_session, door_node);
        unsigned n = claim(d, s);
        if ((!best || n < smallest) && has_room(s)) {
            best = s;
            smallest = n;
        }
        if (best && smallest == 0) {
            break;
        }
    }
    return best;
}

static void leave_line(struct gw_session *s)
{
    struct gw_router *r = s->router;
    ib_list_remove(&s->door_node);
    s->at_door = GW_DOOR_AWAY;
    r->door.n_line--;
    atomic_store(&r->crew->workers[r->worker].line, r->door.n_line);
}

static void serve_line(void *arg)
{
    struct gw_router *r = arg;
    struct gw_session *s;
    while ((s = pick(&r->door)) && sit(s)) {
        leave_line(s);
        let_in(s);
    }
}

static void kick(struct gw_router *r)
{
    ic_loop_defer(r->loop, &r->door.kick, serve_line, r);
}

static void on_kick(void *arg)
{
    struct gw_worker *w = arg;
    atomic_store(&w->kicked, false);
    if (w->router) {
        kick(w->router);
    }
}

/* A seat is free: for whoever waits here, or at another worker's door. */
static void rise(struct gw_session *s)
{
    struct gw_router *r = s->router;
    struct gw_crew *crew = r->crew;
    s->seated = false;
    gw_books_rise(books_of(s), &s->source);
    kick(r);
    for (unsigned i = 0; i < crew->n; i++) {
        struct gw_worker *w = &crew->workers[i];
        if (i != r->worker && atomic_load(&w->line) > 0 && !atomic_exchange(&w->kicked, true)) {
            gw_crew_post(crew, i, &w->kick, on_kick, w);
        }
    }
}

void gw_door_enter(struct gw_session *s)
{
    struct gw_door *d = door_of(s);
    if (!books_of(s)->throttle) {
        gw_login_verify(s);
        return;
    }
    struct ic_conn_info info;
    ic_conn_get_info(ir_conn_net(s->client->conn), &info);
    s->source = auth_source_of(info.remote_host);
    if (auth_verifier_accepts_all(verifier_of(s))) { /* a crowd that comes back after a restart need not queue */
        gw_login_verify(s);
        return;
    }
    const struct auth_attempt a = attempt_of(s);
    s->known = gw_books_ask(books_of(s), &a, false).known;
    if ((s->known || !pick(d)) && sit(s)) { /* else those in the line would wait for ever */
        let_in(s);
    } else if (d->n_line >= LINE_MAX || count_of_source(&d->line, s) >= LINE_ADDRESS_MAX) {
        gw_audit_limit(s->router, GW_LIMIT_LINE, s->client->conn);
        gw_login_deny(s, IB_STR("too many logins at once: try again later"));
    } else {
        s->at_door = GW_DOOR_LINE;
        ib_list_append(&d->line, &s->door_node);
        d->n_line++;
        atomic_store(&s->router->crew->workers[s->router->worker].line, d->n_line);
        kick(s->router); /* which sees what was given back before others saw the line */
    }
}

void gw_door_report(struct gw_session *s, bool accepted)
{
    const struct auth_attempt a = attempt_of(s);
    if (!accepted && s->client) {
        s->client->failed_logins++;
    }
    if (books_of(s)->throttle) {
        gw_books_report(books_of(s), &a, accepted);
    }
}

void gw_door_leave(struct gw_session *s)
{
    if (s->at_door == GW_DOOR_LINE) {
        leave_line(s);
    }
    s->at_door = GW_DOOR_AWAY;
    ib_list_remove(&s->door_node);
    if (s->seated) {
        rise(s);
    }
}

void gw_door_init(struct gw_router *r)
{
    ib_list_init(&r->door.checking);
    ib_list_init(&r->door.line);
}

void gw_door_fini(struct gw_router *r)
{
    ic_loop_undefer(r->loop, &r->door.kick);
}
