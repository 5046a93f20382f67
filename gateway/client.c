/* SPDX-License-Identifier: Apache-2.0 */
/* One connection of the client adapter: what session it has, what happens when it goes, its heartbeats. */
#include "router.h"

#include <stdlib.h>

static void on_closed(struct ir_conn_hook *hook, struct ir_conn *conn, const struct ib_err *why)
{
    struct gw_client *c = IB_CONTAINER(hook, struct gw_client, hook);
    (void)why;
    ir_conn_set_data(conn, NULL);
    ir_conn_on_heartbeat(conn, NULL, NULL);
    gw_client_free(c);
}

/* A heartbeat keeps the session; without one that was there before it tells the client that it is gone (4.6). */
static void on_heartbeat(void *arg, struct ir_conn *conn)
{
    struct gw_client *c = arg;
    if (c->session) {
        gw_session_ping(c->session, NULL);
    } else if (c->had_session && !c->joining) {
        ir_conn_close(conn, true);
    }
}

void gw_client_accept(void *router, struct ir_conn *conn)
{
    struct gw_router *r = router;
    struct gw_client *c = NULL;
    if (!r->operator.draining && gw_limits_let_in(r, conn) && !(c = calloc(1, sizeof(*c)))) {
        gw_limits_let_out(r);
    }
    if (!c) {
        ir_conn_close(conn, true);
        return;
    }
    c->router = r;
    c->conn = conn;
    c->hook.fn = on_closed;
    ib_list_init(&c->hook.node);
    ib_list_init(&c->waiting);
    ib_list_init(&c->guest_node);
    ib_list_append(&r->clients, &c->node);
    atomic_fetch_add(&r->crew->workers[r->worker].clients, 1);
    gw_guest_add(c);
    ir_conn_on_close(conn, &c->hook);
    ir_conn_on_heartbeat(conn, on_heartbeat, c);
    ir_conn_set_data(conn, c);
    const struct gw_direction *d = &r->config.client;
    ir_conn_set_limits(conn, &(struct ir_limits){d->max_messages, d->max_messages, d->max_bytes});
}

/* The session being made goes on without its client: its manager must hear of the end (4.1). */
void gw_client_free(struct gw_client *c)
{
    ir_conn_off_close(&c->hook);
    ib_list_remove(&c->node);
    while (!ib_list_empty(&c->waiting)) {
        struct gw_session *s = IB_CONTAINER(c->waiting.next, struct gw_session, wait_node);
        s->client = NULL;
        gw_login_refuse(s, "connection lost");
    }
    if (c->joining) {
        struct gw_session *s = c->joining;
        s->client = NULL;
        if (s->at_door == GW_DOOR_LINE) { /* nobody has begun anything for it */
            gw_login_refuse(s, "connection lost");
        }
    }
    if (c->session) {
        gw_session_end(c->session, c->router->stopping ? GW_END_SHUTDOWN : GW_END_LOST);
    }
    gw_guest_remove(c);
    gw_limits_let_out(c->router);
    atomic_fetch_sub(&c->router->crew->workers[c->router->worker].clients, 1);
    free(c);
}

struct gw_client *gw_client_of(const struct ir_request *rq)
{
    struct ir_conn *conn = ir_request_conn(rq);
    return conn ? ir_conn_data(conn) : NULL;
}

static void trace_rejected(const struct gw_router *r, struct ir_request *rq)
{
    char text[512];
    const struct ib_str id = ir_identity_format(&ir_request_info(rq)->id, IR_UNICODE, ir_request_arena(rq));
    ib_log_trace(ir_runtime_log(r->rt), "Glacier2",
                 "rejecting request, no session is associated with the connection.\nidentity: %s",
                 ib_log_escape(id, text, sizeof(text)));
}

struct gw_session *gw_client_need_session(struct gw_router *r, struct ir_request *rq)
{
    struct gw_client *c = gw_client_of(rq);
    struct ir_conn *conn = ir_request_conn(rq);
    if (c && c->session) {
        gw_session_touch(c->session);
        return c->session;
    }
    if (r->config.client.trace_reject >= 1) {
        trace_rejected(r, rq);
    }
    if (conn) {
        ir_conn_close(conn, true);
    }
    ir_request_fail(rq, IR_OBJECT_NOT_EXIST, NULL); /* into the void: the connection is gone */
    return NULL;
}
