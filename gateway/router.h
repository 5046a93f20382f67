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
#include <moulin/rpc/metrics.h>
#include <moulin/rpc/runtime.h>
#include <moulin/wire/codec.h>

#include "audit.h"
#include "config.h"
#include "crew.h"
#include "door.h"
#include "edge.h"
#include "filter.h"
#include "queue.h"
#include "limit.h"
#include "operator.h"
#include "round.h"
#include "routing_table.h"
#include "stats.h"
#include "target.h"

#define GW_TOKEN_LEN 20
#define GW_CONTEXT_MAX 7 /* the _con.* keys of 8.4 */

struct Glacier2_SSLInfo;
struct gw_index; /* category token -> session: index.c */

/* Consecutive oneways of a batch to one object: the first finds the way, the others follow it (batched.c). */
struct gw_run {
    struct gw_session *session; /* NULL: none */
    enum gw_way way;
    struct iw_identity id; /* borrows from the batch */
    struct ir_conn *to;
};

struct gw_router {
    struct gw_crew *crew; /* it is one of; worker 0 owns it */
    unsigned worker; /* its number there */
    struct ic_loop *loop; /* borrows */
    struct ir_runtime *rt; /* owns, as all below */
    struct gw_config config;
    struct ib_arena arena; /* the identities and manager proxies */
    struct ir_adapter *client, *server; /* server NULL without endpoints */
    bool own_ports; /* each worker's server adapter has its own */
    struct ir_admin *admin;
    struct auth_helper *helper;
    struct auth_verifier *verifier, *ssl_verifier;
    struct auth_verifier *map_verifier; /* says yes: for certificates that the map knows, without another verifier */
    struct gw_edge edge;
    struct iw_proxy *manager, *ssl_manager;
    struct iw_identity id, finder_id;
    struct ir_servant router_servant, finder_servant, callback_servant;
    struct gw_index *index;
    struct ib_list clients, sessions, guests; /* guests: of the clients those without a session */
    bool arrives_bare; /* the request that is being dispatched crossed to here with a context that ends here */
    struct ib_list crossings; /* struct gw_crossing: callbacks that other workers are asked to deliver */
    struct gw_flusher flushers[GW_WAYS];
    struct gw_run run;
    struct gw_limits limits;
    struct gw_door door;
    struct gw_audit audit;
    struct gw_operator operator;
    struct ic_timer guest_timer;
    struct gw_stats stats;
    struct ir_metrics_source *session_metrics; /* borrows from rt */
    struct ir_observed observed;
    struct gw_own own; /* the endpoints of its adapters */
    unsigned pending; /* calls whose end the stop waits for */
    bool stopping, shutting_down;
    void (*on_stopped)(void *arg);
    void *stopped_arg;
    void (*on_all_stopped)(void *arg); /* worker 0's: the whole crew */
    void *all_stopped_arg;
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
    struct ib_list guest_node; /* router->guests */
    int64_t guest_until; /* then it is dropped */
    bool guest_extended;
    unsigned failed_logins;
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

struct gw_objects {
    struct gw_object control, categories, adapter_ids, identities;
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
    struct ib_str local, remote; /* "host:port" */
    struct ir_context_entry *con_context; /* 8.4; GW_CONTEXT_MAX, in the arena, when it is added at all */
    size_t n_con_context;
    struct auth_check *check;
    struct iw_proxy *proxy; /* what the session manager returned, or NULL */
    bool ended_early; /* its control was told to destroy it while it was being made */
    char token[GW_TOKEN_LEN + 1]; /* category of callbacks; "" without server adapter */
    struct gw_session *index_next; /* of those that share its chain */
    struct gw_filter filter;
    struct gw_objects *objects; /* in the arena, with a session manager and a server adapter */
    struct gw_routes routes;
    struct ib_list door_node; /* in one of the door's lists */
    uint8_t at_door; /* enum gw_at_door */
    bool known; /* its user has logged in from its address before */
    bool counted; /* in the books' sessions */
    bool seated; /* it has one of the books' seats */
    char user_kind; /* under which the books count its user; 0: they do not */
    struct auth_source source;
    uint64_t number; /* of the active ones */
    struct gw_traffic traffic;
    int64_t born, last_use;
    struct gw_counters counters;
    struct ir_observed observed; /* while it is active */
    struct ic_timer expiry;
    struct gw_queue *queues[GW_WAYS]; /* own; NULL until something had to wait: queue.h */
    bool overflowed; /* it was said that its client does not read */
    struct ib_list pings; /* struct gw_ping */
    bool heartbeat_ping; /* one of them is a heartbeat's */
};

/* session_sm.c */
void gw_session_move(struct gw_session *s, enum gw_session_state next);
const char *gw_session_state_name(const struct gw_session *s);

/* session.c: the life of a session from NEW to GONE */
struct gw_session *gw_session_new(struct gw_client *c, struct ir_request *rq, struct ib_str user, bool ssl);
void gw_session_activate(struct gw_session *s);
void gw_session_end(struct gw_session *s, enum gw_end why); /* frees it */
void gw_session_free(struct gw_session *s); /* one that never became active */
/* Ends an active one and its connection, so that the client notices. */
void gw_session_close(struct gw_session *s, enum gw_end why);
/* Is it over? Else it is looked at again in time. May end it. */
void gw_session_check_expiry(struct gw_session *s);
void gw_session_touch(struct gw_session *s);
/* Asks the Session object whether it lives. rq (refreshSession) may be NULL for heartbeats. */
void gw_session_ping(struct gw_session *s, struct ir_request *rq);
void gw_trace_failure(struct gw_session *s, const char *what, const char *text);

/* login.c: createSession and createSessionFromSecureConnection */
void gw_login(struct gw_router *r, struct ir_request *rq, struct ib_str user, struct ib_str password, bool ssl);
void gw_login_start_next(struct gw_client *c);
void gw_login_refuse(struct gw_session *s, const char *reason); /* CannotCreateSession; frees the session */
void gw_login_deny(struct gw_session *s, struct ib_str reason); /* PermissionDenied; likewise */
void gw_login_verify(struct gw_session *s); /* it has passed the door */
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
/* r NULL: warns of nothing */
struct gw_forward_mode gw_forward_mode(struct gw_router *r, const struct gw_direction *d, const struct ir_request *rq);
struct ib_str gw_context_override(const struct ir_request *rq); /* _ovrd */
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
/* A callback by its category, wherever the request came from. */
void gw_callback_route(struct gw_router *r, struct ir_request *rq, const struct gw_direction *d);
/* To a client: target NULL. Ends rq, now or later. */
void gw_forward_send(struct gw_session *s, struct ir_request *rq, const struct iw_proxy *target, enum gw_way way,
                     struct ib_span context);
void gw_forward_deliver(struct gw_session *s, const struct gw_sending *w); /* out of the queue, onto the wire */
void gw_relays_orphan(struct gw_queue *q); /* the session ends before the answers to its callbacks have come */
void gw_end_oneway(struct ir_request *rq); /* ends a request whose answer nobody reads, or an empty success */

/* A client that does not read its answers: the memory they would take has an end. True: this one, of n bytes, does not
   go out, and rq has been ended. from (may be NULL) is where it came from. */
bool gw_reply_overflows(struct ir_request *rq, const struct gw_direction *back, size_t n, struct ir_conn *from);

/* crossing.c: has the worker answer a request for one of its sessions; bare: whose context does not travel on */
void gw_crossing_start(struct gw_router *r, struct ir_request *rq, unsigned to, bool bare);
void gw_crossings_orphan(struct gw_router *r); /* it is being freed */

/* batched.c */
bool gw_forward_batched(void *router, struct ir_conn *from, const struct ir_request_info *info, struct ib_span header,
                        bool first); /* both adapters' */
void gw_run_start(struct gw_session *s, const struct gw_sending *w, struct ir_conn *to);
void gw_run_end(struct gw_session *s);

/* queue.c, besides queue.h */
void gw_overflow_warn(struct gw_session *s, const char *what);
void gw_overflow_fail(struct ir_request *rq); /* MemoryLimitException, if anybody waits for an answer */

/* hide.c: what a client is told when explanations are hidden. gw_hide_status: false, and nothing done, for other
   statuses than 5 to 7. */
void gw_hide_failure(struct ir_request *rq, const struct ib_err *err);
bool gw_hide_status(struct ir_request *rq, uint8_t status, struct ib_span body);

/* trace.c: a request that is being routed, or takes the place of one that waits (overrides) */
void gw_trace_routing(struct gw_router *r, struct ir_request *rq, const struct iw_proxy *target, bool overrides);
void gw_trace_reverse(struct gw_router *r, struct ir_request *rq, bool overrides);

/* index.c */
struct gw_index *gw_index_new(void);
void gw_index_free(struct gw_index *x);
void gw_index_add(struct gw_index *x, struct gw_session *s); /* draws its token */
void gw_index_remove(struct gw_index *x, struct gw_session *s);
struct gw_session *gw_index_find(const struct gw_index *x, struct ib_str token);

/* servant.c: the typed objects of the client adapter */
int gw_servants_add(struct gw_router *r) IB_MUST_CHECK;

/* startup.c: asks the configured services whether they are what they should be, then opens the doors. Runs the loop
   until both is done. */
int gw_startup_run(struct gw_router *r, bool nowarn, struct ib_err *err) IB_MUST_CHECK;

/* reload.c: what SIGHUP does, for all workers; r is worker 0's. Each failure is logged; done (may be NULL) is called
   when it is in force everywhere, or at once; err has the first failure. */
typedef void (*gw_reload_fn)(void *arg, const struct ib_err *err);
void gw_reload(struct gw_router *r, gw_reload_fn done, void *arg);

/* metrics.c */
int gw_metrics_open(struct gw_router *r) IB_MUST_CHECK; /* before the admin object is made */

/* router.c: one worker's router */
struct gw_router *gw_router_new(struct gw_crew *crew, unsigned worker);
/* Beside worker 0's when it is not that one. On failure the router is freed as any other. */
int gw_router_open(struct gw_router *r, const struct ir_properties *props, struct ib_err *err) IB_MUST_CHECK;
int gw_router_know_others(struct gw_router *r) IB_MUST_CHECK; /* when all are open */
void gw_router_stop(struct gw_router *r, void (*done)(void *arg), void *arg);
void gw_router_free(struct gw_router *r);
void gw_router_call_done(struct gw_router *r); /* one of the pending calls has ended */

#endif
