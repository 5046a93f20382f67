/* SPDX-License-Identifier: Apache-2.0 */
/* The operators' facet: lists, inspects and ends sessions, drains, reloads. */
#include "router.h"

#include <stdlib.h>
#include <string.h>

#include <slice/Moulin/Gateway.h>
#include <slice/Moulin/Gateway_rpc.h>

#define PAGE_MAX 500 /* sessions in one answer */
#define PAGE_BYTES ((size_t)256 << 10) /* of users, whose names may be long: below what every client accepts */

static const char facet[] = "Gateway";

/* --- draining ----------------------------------------------------------------------------------------------------- */

static void end_all(struct gw_router *r)
{
    IB_LIST_FOREACH_SAFE(node, &r->sessions)
    {
        struct gw_session *s = IB_CONTAINER(node, struct gw_session, node);
        if (s->state == GW_ACTIVE) {
            gw_session_close(s, GW_END_OPERATOR);
        }
    }
}

static void on_drain_end(void *arg)
{
    struct gw_router *r = arg;
    r->operator.drain_end = 0;
    end_all(r);
}

void gw_drain(struct gw_router *r, int seconds)
{
    struct gw_operator *o = &r->operator;
    if (!o->draining && r->worker == 0) {
        ib_log_print(ir_runtime_log(r->rt), "draining: no new sessions, %u are left",
                     atomic_load(&r->crew->books.sessions));
    }
    o->draining = true;
    ir_adapter_pause(r->client);
    o->drain_end = 0;
    ic_timer_stop(&o->drain_timer);
    if (seconds >= 0) {
        o->drain_end = ib_clock_ms() + (int64_t)seconds * 1000;
        ic_timer_start(&o->drain_timer, (int64_t)seconds * 1000);
    }
    IB_LIST_FOREACH(node, &r->guests)
    {
        struct gw_client *c = IB_CONTAINER(node, struct gw_client, guest_node);
        if (!c->joining && ib_list_empty(&c->waiting)) {
            ir_conn_close(c->conn, true);
        }
    }
}

int gw_undrain(struct gw_router *r, struct ib_err *err)
{
    int rc = r->operator.draining && !r->stopping ? ir_adapter_resume(r->client, err) : 0;
    if (rc != 0 || !r->operator.draining) {
        return rc;
    }
    if (r->worker == 0) {
        ib_log_print(ir_runtime_log(r->rt), "no longer draining: sessions are created again");
    }
    r->operator.draining = false;
    r->operator.drain_end = 0;
    ic_timer_stop(&r->operator.drain_timer);
    return 0;
}

/* --- what is asked ------------------------------------------------------------------------------------------------ */

static void get_status(void *self, struct ir_request *rq, const struct Moulin_GatewayAdmin_getStatus_in *in)
{
    struct gw_router *r = self;
    struct gw_books *b = &r->crew->books;
    const struct gw_operator *o = &r->operator;
    int64_t now = ib_clock_ms(), left = o->drain_end > now ? (o->drain_end - now + 999) / 1000 : 0;
    const struct Moulin_GatewayAdmin_getStatus_out out = {.ret = {.version = ib_str(MOULIN_VERSION),
                                                                  .uptime = now - o->started,
                                                                  .connections = (int32_t)atomic_load(&b->clients),
                                                                  .guests = (int32_t)atomic_load(&b->guests),
                                                                  .sessions = (int32_t)atomic_load(&b->sessions),
                                                                  .draining = o->draining,
                                                                  .drainSeconds = o->drain_end ? left : -1}};
    (void)in;
    Moulin_GatewayAdmin_getStatus_reply(rq, &out);
}

/* One question to all workers. */
enum kind { LIST, SHOW, END, END_USER, DRAIN, UNDRAIN };

struct part {
    struct ib_arena arena; /* holds what is told of the sessions */
    bool failed; /* out of memory */
    struct Moulin_SessionInfoSeq sessions; /* LIST, SHOW */
    int32_t ended;
};

struct job {
    struct ir_request *rq;
    enum kind kind;
    struct ib_arena arena; /* holds the text */
    struct ib_str text; /* the session's id, or the user's */
    uint64_t after;
    int seconds;
    unsigned n;
    struct part parts[];
};

static bool describe(const struct gw_session *s, struct ib_arena *a, struct Moulin_SessionInfo *out)
{
    struct ic_conn_info info;
    int64_t now = ib_clock_ms();
    char id[GW_SESSION_ID_MAX];
    ic_conn_get_info(ir_conn_net(s->client->conn), &info);
    *out = (struct Moulin_SessionInfo){.id = ib_arena_strz(a, gw_session_id(s, id)),
                                       .user = ib_arena_str(a, s->user),
                                       .certificate = s->ssl,
                                       .transport = ib_arena_strz(a, info.transport),
                                       .remoteAddress = ib_arena_str(a, s->remote),
                                       .localAddress = ib_arena_str(a, s->local),
                                       .age = now - s->born,
                                       .idle = now - s->last_use,
                                       .requests = (int64_t)s->traffic.requests,
                                       .callbacks = (int64_t)s->traffic.callbacks,
                                       .bytesIn = (int64_t)(info.bytes_in - s->traffic.bytes_in),
                                       .bytesOut = (int64_t)(info.bytes_out - s->traffic.bytes_out),
                                       .routes = (int32_t)gw_routes_count(&s->routes)};
    return out->id.p && out->transport.p && out->user.p && out->remoteAddress.p && out->localAddress.p;
}

static struct gw_session *find(const struct gw_router *r, struct ib_str id)
{
    char text[GW_SESSION_ID_MAX];
    IB_LIST_FOREACH(node, &r->sessions)
    {
        struct gw_session *s = IB_CONTAINER(node, struct gw_session, node);
        if (s->state == GW_ACTIVE && ib_str_is(id, gw_session_id(s, text))) {
            return s;
        }
    }
    return NULL;
}

/* The number in an id: the session itself may be gone when the next page is asked for. */
static uint64_t number_of(struct ib_str id)
{
    const char *dash = id.n ? memchr(id.p, '-', id.n) : NULL;
    return dash ? strtoull(dash + 1, NULL, 10) : 0;
}

/* A page of this worker's: more than that never fits. Active sessions are listed in the order of their numbers
   (gw_session_activate). */
static void list(const struct gw_router *r, const struct job *j, struct part *p)
{
    size_t bytes = 0;
    p->sessions.v = IB_ARENA_ARRAY(&p->arena, PAGE_MAX, struct Moulin_SessionInfo);
    p->failed = !p->sessions.v;
    IB_LIST_FOREACH(node, &r->sessions)
    {
        const struct gw_session *s = IB_CONTAINER(node, struct gw_session, node);
        if (!p->failed && s->state == GW_ACTIVE && s->number > j->after && p->sessions.n < PAGE_MAX &&
            bytes < PAGE_BYTES) {
            p->failed = !describe(s, &p->arena, &p->sessions.v[p->sessions.n++]);
            bytes += s->user.n;
        }
    }
}

static void show(const struct gw_router *r, const struct job *j, struct part *p)
{
    const struct gw_session *s = find(r, j->text);
    p->sessions.v = s ? IB_ARENA_NEW(&p->arena, struct Moulin_SessionInfo) : NULL;
    if (s) {
        p->failed = !p->sessions.v || !describe(s, &p->arena, p->sessions.v);
        p->sessions.n = 1;
    }
}

static void end_user(struct gw_router *r, const struct job *j, struct part *p)
{
    IB_LIST_FOREACH_SAFE(node, &r->sessions)
    {
        struct gw_session *s = IB_CONTAINER(node, struct gw_session, node);
        if (s->state == GW_ACTIVE && ib_str_eq(s->user, j->text)) {
            gw_session_close(s, GW_END_OPERATOR);
            p->ended++;
        }
    }
}

static void each(void *arg, struct gw_router *r)
{
    struct job *j = arg;
    struct part *p = &j->parts[r->worker];
    struct gw_session *s;
    struct ib_err err;
    switch (j->kind) {
    case LIST:
        list(r, j, p);
        break;
    case SHOW:
        show(r, j, p);
        break;
    case END:
        s = find(r, j->text);
        if (s) {
            gw_session_close(s, GW_END_OPERATOR);
            p->ended = 1;
        }
        break;
    case END_USER:
        end_user(r, j, p);
        break;
    case DRAIN:
        gw_drain(r, j->seconds);
        break;
    case UNDRAIN:
        p->failed = r->worker > 0 && gw_undrain(r, &err) != 0;
    }
}

/* --- what is answered --------------------------------------------------------------------------------------------- */

static void throw_not_found(struct ir_request *rq, struct ib_str id)
{
    const struct Moulin_SessionNotFoundException ex = {.id = id};
    Moulin_SessionNotFoundException_throw(rq, &ex);
}

static void throw_failed(struct ir_request *rq, const struct ib_err *err)
{
    const struct Moulin_OperationFailedException ex = {.reason = ib_str(err->text)};
    Moulin_OperationFailedException_throw(rq, &ex);
}

/* The first of all, by their numbers. */
static void reply_list(struct job *j)
{
    struct Moulin_GatewayAdmin_getSessions_out out = {0};
    size_t at[GW_WORKERS_MAX] = {0}, bytes = 0;
    out.ret.v = IB_ARENA_ARRAY(&j->arena, PAGE_MAX, struct Moulin_SessionInfo);
    if (!out.ret.v) {
        ir_request_fail_local(j->rq, IB_ENOMEM, NULL);
        return;
    }
    while (out.ret.n < PAGE_MAX && bytes < PAGE_BYTES) {
        const struct Moulin_SessionInfo *next = NULL;
        unsigned from = 0;
        for (unsigned i = 0; i < j->n; i++) {
            const struct part *p = &j->parts[i];
            const struct Moulin_SessionInfo *head = at[i] < p->sessions.n ? &p->sessions.v[at[i]] : NULL;
            if (head && (!next || number_of(head->id) < number_of(next->id))) {
                next = head;
                from = i;
            }
        }
        if (!next) {
            break;
        }
        at[from]++;
        bytes += next->user.n;
        out.ret.v[out.ret.n++] = *next;
    }
    Moulin_GatewayAdmin_getSessions_reply(j->rq, &out);
}

static void reply(struct job *j)
{
    struct Moulin_GatewayAdmin_endSessionsOf_out count = {0};
    const struct Moulin_SessionInfo *shown = NULL;
    for (unsigned i = 0; i < j->n; i++) {
        count.ret += j->parts[i].ended;
        shown = j->parts[i].sessions.n ? j->parts[i].sessions.v : shown;
    }
    switch (j->kind) {
    case LIST:
        reply_list(j);
        return;
    case SHOW:
        if (shown) {
            Moulin_GatewayAdmin_getSession_reply(j->rq, &(struct Moulin_GatewayAdmin_getSession_out){.ret = *shown});
            return;
        }
        break;
    case END:
        if (count.ret) {
            Moulin_GatewayAdmin_endSession_reply(j->rq, NULL);
            return;
        }
        break;
    case END_USER:
        Moulin_GatewayAdmin_endSessionsOf_reply(j->rq, &count);
        return;
    case DRAIN:
        Moulin_GatewayAdmin_drain_reply(j->rq, NULL);
        return;
    case UNDRAIN:
        Moulin_GatewayAdmin_undrain_reply(j->rq, NULL);
        return;
    }
    throw_not_found(j->rq, j->text);
}

static void done(void *arg, bool complete)
{
    struct job *j = arg;
    bool failed = false;
    for (unsigned i = 0; complete && i < j->n; i++) {
        failed = failed || j->parts[i].failed;
    }
    if (failed || !complete) {
        ir_request_fail_local(j->rq, complete ? IB_ENOMEM : IB_ETIMEOUT, NULL);
    } else {
        reply(j);
    }
}

static void forget(void *arg)
{
    struct job *j = arg;
    for (unsigned i = 0; i < j->n; i++) {
        ib_arena_fini(&j->parts[i].arena);
    }
    ib_arena_fini(&j->arena);
    free(j);
}

static void ask(struct gw_router *r, struct ir_request *rq, enum kind kind, struct ib_str text, int seconds)
{
    static const struct gw_round round = {.each = each, .done = done, .forget = forget};
    struct job *j = calloc(1, sizeof(*j) + r->crew->n * sizeof(j->parts[0]));
    if (!j) {
        ir_request_fail_local(rq, IB_ENOMEM, NULL);
        return;
    }
    j->rq = rq;
    j->kind = kind;
    j->seconds = seconds;
    j->n = r->crew->n;
    ib_arena_init(&j->arena, 0);
    for (unsigned i = 0; i < j->n; i++) {
        ib_arena_init(&j->parts[i].arena, 0);
    }
    j->text = ib_arena_str(&j->arena, text);
    j->after = number_of(j->text);
    if (!j->text.p || gw_round_start(r->crew, &round, j) != 0) {
        forget(j);
        ir_request_fail_local(rq, IB_ENOMEM, NULL);
    }
}

static void get_sessions(void *self, struct ir_request *rq, const struct Moulin_GatewayAdmin_getSessions_in *in)
{
    ask(self, rq, LIST, in->after, 0);
}

static void get_session(void *self, struct ir_request *rq, const struct Moulin_GatewayAdmin_getSession_in *in)
{
    ask(self, rq, SHOW, in->id, 0);
}

static void end_session(void *self, struct ir_request *rq, const struct Moulin_GatewayAdmin_endSession_in *in)
{
    ask(self, rq, END, in->id, 0);
}

static void end_sessions_of(void *self, struct ir_request *rq, const struct Moulin_GatewayAdmin_endSessionsOf_in *in)
{
    ask(self, rq, END_USER, in->user, 0);
}

static void drain(void *self, struct ir_request *rq, const struct Moulin_GatewayAdmin_drain_in *in)
{
    ask(self, rq, DRAIN, IB_STR(""), in->seconds);
}

/* Only worker 0 has sockets to listen on again: the one step that can fail. */
static void undrain(void *self, struct ir_request *rq, const struct Moulin_GatewayAdmin_undrain_in *in)
{
    struct ib_err err = {0};
    (void)in;
    if (gw_undrain(self, &err) == 0) {
        ask(self, rq, UNDRAIN, IB_STR(""), 0);
    } else {
        throw_failed(rq, &err);
    }
}

static void on_reloaded(void *arg, const struct ib_err *err)
{
    if (err->code == 0) {
        Moulin_GatewayAdmin_reload_reply(arg, NULL);
    } else {
        throw_failed(arg, err);
    }
}

static void reload(void *self, struct ir_request *rq, const struct Moulin_GatewayAdmin_reload_in *in)
{
    (void)in;
    gw_reload(self, on_reloaded, rq);
}

static const struct Moulin_GatewayAdmin_servant vtable = {.getStatus = get_status,
                                                          .getSessions = get_sessions,
                                                          .getSession = get_session,
                                                          .endSession = end_session,
                                                          .endSessionsOf = end_sessions_of,
                                                          .drain = drain,
                                                          .undrain = undrain,
                                                          .reload = reload};

/* --- life --------------------------------------------------------------------------------------------------------- */

void gw_operator_init(struct gw_router *r)
{
    r->operator.started = ib_clock_ms();
    ic_timer_init(&r->operator.drain_timer, r->loop, on_drain_end, r);
}

int gw_operator_open(struct gw_router *r, struct ib_err *err)
{
    struct ir_servant *s = &r->operator.servant;
    *s = (struct ir_servant){.iface = &Moulin_GatewayAdmin_iface, .vtable = &vtable, .self = r};
    return r->admin ? ir_admin_add_facet(r->admin, facet, s, err) : 0;
}

void gw_operator_fini(struct gw_router *r)
{
    if (r->admin) {
        ir_admin_remove_facet(r->admin, facet);
    }
    ic_timer_fini(&r->operator.drain_timer);
}
