/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's inside: the router, its clients (one per connection) and their sessions.

     connection accepted          session (session_sm.c)
       gw_client ─────────────── NEW ─► AUTHENTICATING ─► CREATING ─► ACTIVE ─► DESTROYING ─► GONE
       session: the active one    │           │               │                   ▲
       joining: the one being     └───────────┴───────────────┴───────────────────┘ refused, or its client left
       made; waiting: the next */
#ifndef GATEWAY_ROUTER_H
#define GATEWAY_ROUTER_H

#include <moulin/auth/verifier.h>
#include <moulin/base/clock.h>
#include <moulin/base/log.h>
#include <moulin/base/list.h>
#include <moulin/rpc/adapter.h>
#include <moulin/rpc/admin.h>
#include <moulin/rpc/call.h>
#include <moulin/rpc/runtime.h>
#include <moulin/wire/codec.h>

#include "config.h"
#include "filter.h"
#include "routing_table.h"

#define GW_TOKEN_LEN 20
#define GW_CONTEXT_MAX 7 /* the _con.* keys of 8.4 */

struct Glacier2_SSLInfo;
struct gw_index; /* category token -> session: index.c */

struct gw_router {
    struct ic_loop *loop; /* borrows */
    struct ir_runtime *rt; /* owns, as all below */
    struct gw_config config;
    struct ib_arena arena; /* the identities and manager proxies */
    struct ir_adapter *client, *server; /* server NULL without endpoints */
    struct ir_admin *admin;
    struct auth_helper *helper;
    struct auth_verifier *verifier, *ssl_verifier;
    struct iw_proxy *manager, *ssl_manager;
    struct iw_identity id, finder_id;
    struct ir_servant router_servant, finder_servant, callback_servant;
    struct gw_index *index;
    struct ib_list clients, sessions;
    unsigned pending; /* calls whose end the stop waits for */
    bool stopping, shutting_down;
    void (*on_stopped)(void *arg);
    void *stopped_arg;
    struct ic_timer stop_timer;
};

struct gw_client {
    struct ib_list node; /* router->clients */
    struct gw_router *router;
    struct ir_conn *conn;
    struct ir_conn_hook hook;
    struct gw_session *session; /* active, or NULL */
    struct gw_session *joining; /* being made, or NULL */
    struct ib_list waiting; /* sessions in state NEW, in order of arrival */
    unsigned n_waiting;
    bool had_session;
};

enum gw_session_state {
    GW_NEW,
    GW_AUTHENTICATING,
    GW_CREATING,
    GW_ACTIVE,
    GW_DESTROYING,
    GW_GONE,
    GW_SESSION_STATE_MAX
};

/* An Ice object of a session on the server adapter. */
struct gw_object {
    struct ir_servant servant;
    struct iw_identity id; /* name "" = not there */
    char uuid[IB_UUID_LEN + 1];
};

struct gw_session {
    struct ib_list node; /* router->sessions */
    struct ib_list wait_node; /* client->waiting */
    struct gw_router *router;
    struct gw_client *client; /* NULL when it left */
    uint8_t state; /* enum gw_session_state; written by gw_session_move only */
    bool ssl;
    struct ir_request *rq; /* the createSession* to answer; NULL once answered */
    struct ib_arena arena; /* holds the strings and the proxy */
    struct ib_str user; /* user id or subject */
    struct ib_str password; /* borrows from rq */
    struct Glacier2_SSLInfo *info; /* certificate sessions; in the arena */
    char local[96], remote[96]; /* "host:port" for traces */
    struct ir_context_entry con_context[GW_CONTEXT_MAX]; /* 8.4, made when it is added at all */
    size_t n_con_context;
    struct auth_check *check;
    struct iw_proxy *proxy; /* what the session manager returned, or NULL */
    bool ended_early; /* its control was told to destroy it while it was being made */
    char token[GW_TOKEN_LEN + 1]; /* category of callbacks; "" without server adapter */
    struct gw_filter filter;
    struct gw_object control, categories, adapter_ids, identities;
    struct gw_routes routes;
    int64_t last_use;
    struct ic_timer expiry;
    struct ib_list pings; /* struct gw_ping */
    bool heartbeat_ping; /* one of them is a heartbeat's */
};

/* session_sm.c */
void gw_session_move(struct gw_session *s, enum gw_session_state next);
const char *gw_session_state_name(const struct gw_session *s);

/* session.c: the life of a session from NEW to GONE */
struct gw_session *gw_session_new(struct gw_client *c, struct ir_request *rq, struct ib_str user, bool ssl);
void gw_session_activate(struct gw_session *s);
void gw_session_end(struct gw_session *s, const char *trace_word); /* frees it */
void gw_session_free(struct gw_session *s); /* one that never became active */
void gw_session_touch(struct gw_session *s);
/* Asks the Session object whether it lives. rq (refreshSession) may be NULL for heartbeats. */
void gw_session_ping(struct gw_session *s, struct ir_request *rq);
void gw_trace_failure(struct gw_session *s, const char *what, const char *text);

/* login.c: createSession and createSessionFromSecureConnection */
void gw_login(struct gw_router *r, struct ir_request *rq, struct ib_str user, struct ib_str password, bool ssl);
void gw_login_start_next(struct gw_client *c);
void gw_login_refuse(struct gw_session *s, const char *reason); /* CannotCreateSession; frees the session */
void gw_login_stop(struct gw_router *r); /* answers everybody who is not in yet */

/* broker.c: asking a session manager for the Session object */
int gw_broker_create(struct gw_session *s, const struct iw_proxy *manager, const struct ir_context_entry *context,
                     size_t n_context, ir_reply_fn on_reply) IB_MUST_CHECK;
void gw_broker_destroy(struct gw_session *s);

/* control.c: SessionControl, StringSet, IdentitySet */
int gw_control_add(struct gw_session *s) IB_MUST_CHECK;
void gw_control_remove(struct gw_session *s);
struct iw_proxy *gw_control_proxy(struct gw_session *s, struct ib_arena *arena);

/* client.c: one connection of the client adapter */
void gw_client_accept(void *router, struct ir_conn *conn);
struct gw_client *gw_client_of(const struct ir_request *rq);
/* The session of the request's connection. NULL: there was none; the connection is closed and the request ended (4.4).
 */
struct gw_session *gw_client_need_session(struct gw_router *r, struct ir_request *rq);
void gw_client_free(struct gw_client *c);

/* context.c */
struct gw_forward_mode {
    bool oneway, secure, datagram, compress;
};
struct gw_forward_mode gw_forward_mode(struct gw_router *r, const struct ir_request *rq);
/* Reserved keys dropped, the session's own added. */
int gw_context_login(struct gw_session *s, const struct ir_request *rq, const struct ir_context_entry **out,
                     size_t *n) IB_MUST_CHECK;
/* The context of a forwarded request, encoded; in the request's arena or as it came. IB_ENOMEM. */
int gw_context_forward(const struct gw_direction *d, const struct ir_context_entry *own, size_t n_own,
                       struct ir_request *rq, struct ib_span *out) IB_MUST_CHECK;
int gw_context_connection(struct gw_session *s, const struct ir_conn *conn) IB_MUST_CHECK;

/* forward.c and callback.c: the two directions */
bool gw_forward_request(void *router, struct ir_request *rq); /* the client adapter's filter */
void gw_callback_request(void *router, struct ir_request *rq); /* the server adapter's default servant */
void gw_forward_send(struct gw_router *r, struct ir_request *rq, const struct iw_proxy *target, struct ir_conn *conn,
                     const struct gw_direction *d, struct ib_span context);
void gw_end_oneway(struct ir_request *rq); /* ends a request whose answer nobody reads, or an empty success */

/* index.c */
struct gw_index *gw_index_new(void);
void gw_index_free(struct gw_index *x);
int gw_index_add(struct gw_index *x, struct gw_session *s) IB_MUST_CHECK; /* draws its token */
void gw_index_remove(struct gw_index *x, struct gw_session *s);
struct gw_session *gw_index_find(const struct gw_index *x, struct ib_str token);

/* servant.c: the typed objects of the client adapter */
int gw_servants_add(struct gw_router *r) IB_MUST_CHECK;

/* startup.c: asks the configured services whether they are what they should be, then opens the doors. Runs the loop
   until both is done. */
int gw_startup_run(struct gw_router *r, bool nowarn, struct ib_err *err) IB_MUST_CHECK;

/* service.c */
void gw_router_call_done(struct gw_router *r); /* one of the pending calls has ended */

#endif
