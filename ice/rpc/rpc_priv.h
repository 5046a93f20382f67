/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of ice/rpc share: the insides of runtime, connection, request and call, and the functions between
   them. Nothing here is for other modules. */
#ifndef MOULIN_ICE_RPC_PRIV_H
#define MOULIN_ICE_RPC_PRIV_H

#include "hash.h"
#include "metrics.h"

#include <moulin/base/sm.h>
#include <moulin/rpc/adapter.h>
#include <moulin/rpc/call.h>

#define IR_MAX_RETRIES 64 /* entries of Ice.RetryIntervals we accept */
/* Requests of one connection in dispatch, and the memory they hold, before its reading stops. The first can be set
   (Moulin.MaxDispatches): all waiting requests of a router's clients may come by one connection. */
#define IR_MAX_DISPATCHES 10000
#define IR_MAX_ONEWAYS 1000 /* of those: their sender waits for no answer, so more of them only cost memory */
#define IR_MAX_DISPATCH_BYTES ((size_t)32 << 20)
#define IR_COALESCE_BYTES                                                                                              \
    32768 /* of oneways put together on our own account: any peer takes a message of that size                         \
           */
#define IR_REQUEST_BYTES                                                                                               \
    4096 /* of a small one: itself, the call it becomes in a router, the first blocks of their arenas */

/* --- runtime -------------------------------------------------------------------------------------------------- */

/* The properties, read once. */
struct ir_config {
    int32_t message_size_max; /* bytes */
    size_t arena_limit; /* per request and per reply */
    int32_t connect_timeout, close_timeout; /* overrides, ms; INT32_MIN = none, -1 = infinite */
    struct ic_acm acm_client, acm_server;
    int pulse_s; /* of every connection */
    int compression_level;
    int32_t invocation_timeout; /* -1 none, -2 the connection's */
    int locator_cache_timeout; /* seconds; -1 for ever, 0 never */
    bool locator_background; /* expired answers serve while they are refreshed */
    bool ordered, prefer_secure, override_secure, sliced, print_adapter_ready;
    bool ssl; /* Ice.Plugin.IceSSL is set */
    unsigned max_dispatches; /* per connection */
    size_t batch_max; /* Ice.BatchAutoFlushSize, bytes */
    size_t datagram_max; /* Ice.UDP.SndSize less the headers below */
    int warn_connections, warn_dispatch;
    int trace_network, trace_protocol, trace_retry, trace_locator;
    int32_t retry[IR_MAX_RETRIES];
    unsigned n_retry;
    struct iw_limits limits;
    enum ir_string_mode string_mode;
};

enum ir_runtime_state { IR_RT_ACTIVE, IR_RT_SHUTDOWN_ADAPTERS, IR_RT_SHUTDOWN_CONNS, IR_RT_STOPPED, IR_RT_STATES };

struct ir_pool;
struct ir_datagrams;
struct ir_locator;
struct ir_router;

struct ir_spares {
    struct ib_list list; /* node of ir_call or ir_request */
    unsigned n;
};

struct ir_runtime {
    const struct ir_runtime *first; /* borrows; the one it is made beside, or NULL */
    unsigned number; /* among those beside it; 0: the first */
    struct ic_loop *loop; /* borrows */
    struct ir_properties *props; /* owns */
    struct ib_log *log; /* owns */
    const struct iw_registry *types;
    struct ib_arena arena; /* lives as long as the runtime: defaults, router proxy */
    struct ir_proxy_defaults defaults;
    struct ir_config cfg;
    struct ic_tls *tls; /* shares; NULL without IceSSL */
    uint8_t state; /* enum ir_runtime_state */
    struct ib_list adapters; /* ir_adapter.node */
    struct ib_list conns; /* ir_conn.node */
    struct ib_list requests; /* ir_request.node: every one not answered yet */
    struct ib_list calls; /* ir_call.node */
    struct ir_spares spare_calls, spare_requests; /* spare.c */
    struct ir_pool *pool; /* owns */
    struct ir_datagrams *datagrams; /* owns; NULL until one was sent */
    struct ir_locator *locator; /* owns; NULL without */
    struct ir_router *router; /* owns; NULL without */
    struct ir_metrics *metrics; /* owns */
    bool (*guard)(void *arg, unsigned guard, const struct iw_endpoint *ep, const struct sockaddr *sa);
    void *guard_arg;
    uint64_t next_conn_id; /* starts at random, so that ids of several runtimes do not meet */
    struct ic_timer shutdown_timer;
    struct ic_deferred shutdown_check;
    void (*on_shutdown)(void *arg);
    void *on_shutdown_arg;
    int64_t refused_at; /* when the log last told of a refused connection */
    unsigned refused_unsaid; /* those it has not told of since */
};

int ir_config_read(struct ir_runtime *rt, struct ib_err *err) IB_MUST_CHECK;
/* ACM settings below prefix ("Ice.ACM.Server", "MyAdapter.ACM"); what is unset comes from *base. */
struct ic_acm ir_config_acm(struct ir_runtime *rt, const char *prefix, const struct ic_acm *base);
int32_t ir_config_message_size(int kb);
/* The TLS context that p asks for, for one adapter (TrustOnly.Server.<adapter>); a reference to the shared one, when
   there is one and the adapter has no rules of its own. *out NULL without IceSSL. */
int ir_config_tls(struct ir_runtime *rt, const struct ir_properties *p, const char *adapter, struct ic_tls *shared,
                  struct ic_tls **out, struct ib_err *err) IB_MUST_CHECK;
/* Is the shutdown complete? Looks soon, not now. */
void ir_runtime_check_shutdown(struct ir_runtime *rt);

/* Zeroed but for the arena and the header's buffer, which are empty; NULL: no memory. What was taken is given back. */
void ir_spares_init(struct ir_runtime *rt);
void ir_spares_fini(struct ir_runtime *rt);
struct ir_call *ir_call_take(struct ir_runtime *rt);
void ir_call_give(struct ir_runtime *rt, struct ir_call *c);
struct ir_request *ir_request_take(struct ir_runtime *rt);
void ir_request_give(struct ir_runtime *rt, struct ir_request *rq);

/* --- connections ---------------------------------------------------------------------------------------------- */

struct ir_pool_entry;
struct ir_batch;

/* A frame whose requests wait for others to be answered. */
struct ir_backlog {
    struct ib_list node;
    struct ib_block *block;
    struct iw_in in;
    int32_t left; /* of a batch; 1 for a request */
    uint8_t type, compression;
};

struct ir_conn {
    struct ib_list node; /* in rt->conns */
    struct ib_list adapter_node; /* in adapter->conns */
    struct ir_runtime *rt;
    struct ic_conn *net;
    struct ir_adapter *adapter; /* dispatches here; NULL: ObjectNotExist */
    struct ir_pool_entry *entry; /* outgoing, while it may be shared */
    uint64_t id;
    bool incoming, active, received, closing, held;
    uint8_t guard; /* of the calls it was made for */
    int32_t timeout; /* of the endpoint, ms */
    struct ib_list hooks; /* ir_conn_hook.node */
    struct ib_list calls; /* ir_call.conn_node: every call that points here */
    struct ir_call *outstanding; /* uthash by request id */
    int32_t next_id;
    struct ib_list requests; /* ir_request.conn_node */
    unsigned n_requests, n_oneways; /* in dispatch; oneways are among the requests */
    size_t request_bytes; /* what those hold */
    struct ir_limits limits; /* of the requests in dispatch */
    struct ib_list backlog; /* ir_backlog.node */
    struct ic_deferred resume;
    struct ir_conn *behind; /* not read while that one is congested */
    struct ib_list behind_node; /* in behind->followers */
    struct ib_list followers; /* ir_conn.behind_node */
    struct ib_list drain_hooks; /* ir_drain_hook.node */
    struct ir_batch *batch; /* owns; NULL until oneways were put together */
    void (*heartbeat)(void *arg, struct ir_conn *c);
    void *heartbeat_arg;
    void *data;
    struct ir_observed observed;
    struct ir_attempt *attempt; /* owns; while it is being made and somebody measures that */
};

struct ir_conn *ir_conn_accept(struct ir_adapter *a, struct ic_conn *net, int32_t timeout);
struct ir_conn *ir_conn_open(struct ir_runtime *rt, const struct iw_endpoint *ep, const struct ic_conn_config *cfg,
                             struct ir_pool_entry *entry, uint8_t guard);
void ir_conn_destroy(struct ir_conn *c, const struct ib_err *why); /* forcibly, now, without on_close to come */
void ir_conn_request_done(struct ir_conn *c, const struct ir_request *rq); /* one less in dispatch */
void ir_conn_shut(struct ir_conn *c); /* gracefully */
/* Request id for a new call, never one that is outstanding. */
int32_t ir_conn_next_id(struct ir_conn *c);

/* batch.c: oneways that leave together. */
struct ir_batched {
    struct ib_span head, context, body; /* header, with the context unless that is apart; parameters */
    struct ib_block *block; /* holds body, or NULL */
    size_t max; /* bytes of the message's body */
    bool compress;
    bool plain; /* one alone may go as a request */
};
int ir_batch_add(struct ir_conn *c, const struct ir_batched *q) IB_MUST_CHECK; /* IB_ECLOSED, IB_ENOMEM */
void ir_batch_flush(struct ir_conn *c); /* whatever is sent next comes after it */
void ir_batch_drop(struct ir_conn *c);

/* --- incoming requests ---------------------------------------------------------------------------------------- */

struct ir_request {
    struct ib_list node; /* in rt->requests */
    struct ib_list conn_node; /* in conn->requests */
    struct ir_runtime *rt;
    struct ir_adapter *adapter;
    struct ir_conn *conn; /* NULL once closed */
    struct ir_request_info info;
    const struct iw_op *op; /* typed dispatch */
    size_t bytes; /* counted in conn->request_bytes */
    struct ir_metrics_link *observed;
    void (*on_cancel)(void *arg, struct ir_request *rq);
    void *cancel_arg;
    const struct ir_answer *answer; /* where the answer goes instead of a connection; NULL: to that */
    bool datagram; /* counted in adapter->n_datagrams */
    bool in_dispatch; /* a handler is on the stack: freed after it */
    bool answered;
    struct ib_arena arena; /* last: its memory serves one request after another (spare.c) */
};

/* Reads one request (id only for IC_REQUEST) at the cursor. IB_E…: the header is malformed, the connection must close.
 */
int ir_request_parse(struct iw_in *in, uint8_t type, struct ib_arena *arena,
                     struct ir_request_info *info) IB_MUST_CHECK;
/* Offers it to the adapter's taker of batched requests; false: it is still there. */
bool ir_dispatch_batched(struct ir_conn *c, struct iw_in *in, bool first);
/* Takes one request from the cursor and dispatches it; an error closes the connection. */
int ir_dispatch(struct ir_conn *c, struct iw_in *in, uint8_t type, uint8_t compression,
                struct ib_block *block) IB_MUST_CHECK;
/* The same for one that came without a connection. */
int ir_dispatch_datagram(struct ir_adapter *a, struct iw_in *in, uint8_t type, uint8_t compression,
                         struct ib_block *block) IB_MUST_CHECK;
void ir_request_orphan(struct ir_request *rq); /* the connection is gone */

/* --- adapters ------------------------------------------------------------------------------------------------- */

struct ir_servant_map {
    struct ir_servant_entry *objects; /* uthash by identity */
    struct ir_default_entry *defaults; /* uthash by category */
};

struct ir_facet_entry {
    struct ir_facet_entry *next;
    struct ir_servant *servant;
    char facet[]; /* NUL-terminated */
};

int ir_servant_map_add(struct ir_servant_map *m, const struct iw_identity *id, const char *facet,
                       struct ir_servant *s) IB_MUST_CHECK;
void ir_servant_map_remove(struct ir_servant_map *m, const struct iw_identity *id, const char *facet);
int ir_servant_map_set_default(struct ir_servant_map *m, struct ib_str category, struct ir_servant *s) IB_MUST_CHECK;
/* *other: there is a servant, but not for that facet. */
struct ir_servant *ir_servant_map_find(const struct ir_servant_map *m, const struct iw_identity *id,
                                       struct ib_str facet, bool *other);
struct ir_servant *ir_servant_map_lookup(const struct ir_servant_map *m, const struct iw_identity *id,
                                         struct ib_str facet, bool *other); /* with defaults */
void ir_servant_map_fini(struct ir_servant_map *m);

enum ir_adapter_state { IR_AD_CREATED, IR_AD_ACTIVATING, IR_AD_ACTIVE, IR_AD_DEACTIVATED, IR_AD_STATES };

struct ir_adapter_listener {
    struct ir_adapter *adapter;
    size_t index;
    struct ic_listener *listener; /* owns */
    int32_t timeout;
    struct ib_str publish_as; /* the name whose address this is; empty: as it listens */
};

struct ir_adapter {
    struct ib_list node; /* in rt->adapters */
    struct ir_runtime *rt; /* NULL once the runtime is freed */
    char *name; /* owns */
    uint8_t state; /* enum ir_adapter_state */
    struct ib_arena arena; /* endpoints, ids, template proxy */
    struct ib_str adapter_id, replica_group_id;
    struct iw_proxy *model; /* of ProxyOptions: mode, secure, encoding */
    struct ic_conn_config conn_config;
    struct ic_tls *tls; /* shares */
    bool mirrors; /* its listeners are another adapter's */
    size_t n_listeners;
    struct ir_adapter_listener *listeners;
    struct ir_datagram_server *datagram_servers; /* own: its udp endpoints */
    unsigned n_datagrams; /* requests in dispatch that came by them */
    size_t n_published;
    struct iw_endpoint *published;
    struct ir_servant_map servants;
    struct ib_list conns; /* ir_conn.adapter_node */
    bool (*filter)(void *arg, struct ir_request *rq);
    void *filter_arg;
    void (*on_conn)(void *arg, struct ir_conn *c);
    void *on_conn_arg;
    bool (*on_socket)(void *arg, size_t listener, int fd);
    void *on_socket_arg;
    ir_batched_fn batched;
    void *batched_arg;
    struct ir_call *registration; /* a locator registry call in progress */
    struct iw_proxy *registry; /* the locator registry's proxy, once known */
    bool registered;
    struct ic_deferred activated;
    int activation_code;
    char activation_text[256];
    void (*on_activated)(void *arg, int code, const char *text);
    void *on_activated_arg;
};

void ir_adapter_orphan(struct ir_adapter *a); /* the runtime goes away */
bool ir_adapter_busy(const struct ir_adapter *a); /* deactivation is not complete */
int ir_adapter_listen(struct ir_adapter *a, const char *endpoints, struct ib_err *err) IB_MUST_CHECK;
/* datagram_server.c: udp endpoints. Stopping them is for good. */
int ir_datagram_listen(struct ir_adapter *a, const struct iw_endpoint *ep, struct ib_err *err) IB_MUST_CHECK;
void ir_datagram_start(struct ir_adapter *a);
void ir_datagram_stop(struct ir_adapter *a);
const struct iw_endpoint *ir_datagram_endpoint(const struct ir_adapter *a, size_t i); /* NULL beyond the last */
int ir_adapter_publish(struct ir_adapter *a, const char *published, struct ib_err *err) IB_MUST_CHECK;
/* The TLS context of an adapter: one of its own, or shared with the runtime's, or with first's adapter of that name. */
int ir_adapter_tls(struct ir_adapter *a, struct ib_err *err) IB_MUST_CHECK;
int ir_adapter_mirror(struct ir_adapter *a, const struct ir_adapter *of, struct ib_err *err) IB_MUST_CHECK;
void ir_adapter_register(struct ir_adapter *a); /* ends with ir_adapter_registered */
void ir_adapter_unregister(struct ir_adapter *a);
void ir_adapter_registered(struct ir_adapter *a, int code, const char *text);

/* --- outgoing calls ------------------------------------------------------------------------------------------- */

enum ir_call_kind { IR_CALL_TYPED, IR_CALL_RAW, IR_CALL_CONNECT };
enum ir_call_state {
    IR_CALL_RESOLVING, /* locator or router */
    IR_CALL_CONNECTING, /* waits for a pool entry */
    IR_CALL_SENT, /* waits for the reply; a oneway: for room in the connection's queue */
    IR_CALL_WAITING, /* for the delay before a retry */
    IR_CALL_DONE, /* its callback is queued */
    IR_CALL_STATES
};

struct ir_call {
    struct ib_list node; /* in rt->calls */
    struct ib_list conn_node; /* in conn->calls */
    struct ib_list wait_node; /* of a pool entry, a lookup or the router */
    UT_hash_handle hh; /* in conn->outstanding */
    struct ir_runtime *rt;
    uint8_t state; /* enum ir_call_state */
    uint8_t kind, mode, endpoint_selection;
    bool oneway, datagram, fixed, no_locator, no_router;
    bool unhurried; /* nobody waits for its reply */
    uint8_t batch; /* enum ir_batch_mode */
    uint8_t guard;
    int8_t compress;
    int32_t timeout, connect_timeout;
    struct iw_proxy *proxy; /* in the arena */
    const struct iw_op *op;
    struct ib_span body;
    struct ib_block *block;
    ir_reply_fn on_reply;
    void *arg;

    struct iw_endpoint *candidates; /* in order of preference */
    bool *tried; /* by candidate */
    size_t n_candidates;
    size_t chosen; /* candidate last connected to or found connected */
    bool from_cache; /* the candidates came from the locator's cache */
    bool second_lookup; /* the cache failed once: it is not believed again */
    unsigned retries;

    struct ir_metrics_link *observed, *observed_sent;
    struct ir_conn *conn;
    int32_t request_id;
    uint64_t seq;
    struct ic_deferred deferred;
    struct ic_timer deadline, delay;
    /* Last: their memory serves one call after another (spare.c). */
    struct ib_arena arena;
    struct ib_buf head; /* request id and header; typed calls: parameters too */
    struct ib_err failure; /* DONE: how; code 0 = success */
};

void ir_call_begin(struct ir_call *c); /* (re)starts endpoint selection */
void ir_call_resolved(struct ir_call *c, const struct iw_proxy *where, bool from_cache); /* copies its endpoints */
void ir_call_connect(struct ir_call *c); /* next candidate */
void ir_call_connected(struct ir_call *c, struct ir_conn *conn); /* from the pool */
void ir_call_drained(struct ir_call *c); /* from the connection: its queue is short again */
/* Before the request was sent: connect or lookup failed. */
void ir_call_unsent(struct ir_call *c, const struct ib_err *why);
void ir_call_lost(struct ir_call *c, const struct ib_err *why, bool written); /* from the connection */
void ir_call_reply(struct ir_call *c, const struct ic_frame *f, struct ib_span reply); /* status byte and the rest */
/* Ends the call with a local failure; the callback comes later. */
void ir_call_fail(struct ir_call *c, int code, const char *text);
void ir_call_fail_all(struct ir_runtime *rt, int code); /* callbacks come now: the runtime goes away */
void ir_call_unlink(struct ir_call *c); /* leaves connection and queues */
void ir_call_finish(struct ir_call *c, const struct ir_result *r); /* callback and free */

/* Those endpoints of where that a call may use, in the order it should. 0, IB_ENOENDPOINT or IB_ENOMEM. */
int ir_endpoint_select(struct ir_call *c, const struct iw_proxy *where) IB_MUST_CHECK;

/* Delay in ms before the call is tried again, or -1: give up. Counts the attempt. */
int32_t ir_retry_local(struct ir_call *c, const struct ib_err *why, bool sent);
int32_t ir_retry_status(struct ir_call *c, const struct ir_result *r);

/* Decodes a reply into *r; decoded values live in the call's arena. */
void ir_result_init(struct ir_result *r, struct ir_call *c); /* zero but for what the call says */
void ir_reply_decode(struct ir_call *c, const struct ic_frame *f, struct ib_span reply, struct ir_result *r);

/* datagram.c: one message, or one more request of the open batch, to the first candidate. */
int ir_datagram_send(struct ir_call *c) IB_MUST_CHECK;
void ir_datagrams_free(struct ir_datagrams *d);

/* --- outgoing connections ------------------------------------------------------------------------------------- */

struct ir_pool *ir_pool_new(struct ir_runtime *rt);
void ir_pool_free(struct ir_pool *p);
/* An active connection to one of the call's candidates, or NULL. */
struct ir_conn *ir_pool_find(struct ir_pool *p, struct ir_call *c);
/* Starts or joins an attempt at a candidate not tried yet. IB_ENOENDPOINT: none left. */
int ir_pool_join(struct ir_pool *p, struct ir_call *c) IB_MUST_CHECK;
void ir_pool_active(struct ir_pool_entry *e);
void ir_pool_gone(struct ir_pool_entry *e, const struct ib_err *why); /* failed, or not to be shared any more */

/* --- locator and router --------------------------------------------------------------------------------------- */

struct ir_locator *ir_locator_new(struct ir_runtime *rt, const struct iw_proxy *prx);
void ir_locator_free(struct ir_locator *l);
const struct iw_proxy *ir_locator_proxy(const struct ir_locator *l);
/* Ends with ir_call_resolved or ir_call_unsent, at once or later. */
void ir_locator_resolve(struct ir_locator *l, struct ir_call *c);
void ir_locator_forget(struct ir_locator *l, const struct iw_proxy *prx); /* drops what is cached for it */

struct ir_router *ir_router_new(struct ir_runtime *rt, const struct iw_proxy *prx);
void ir_router_free(struct ir_router *r);
bool ir_router_applies(const struct ir_router *r, const struct ir_call *c);
void ir_router_resolve(struct ir_router *r, struct ir_call *c);
void ir_router_forget(struct ir_router *r, const struct iw_identity *id); /* the router evicted it */

/* --- metrics: only what a view wants to know is worth the call ------------------------------------------------------
 */

void ir_observe_attempt(struct ir_conn *c, const struct iw_endpoint *ep); /* if establishment or lookup is on */
void ir_observe_resolved(struct ir_conn *c, const struct ib_err *err);
void ir_observe_active(struct ir_conn *c);
void ir_observe_closed(struct ir_conn *c, const struct ib_err *why);
void ir_observe_request(struct ir_request *rq, size_t size); /* if dispatch is on */
void ir_observe_status(struct ir_request *rq, uint8_t status, int code); /* if observed; code: of a local failure */
void ir_observe_call(struct ir_call *c, struct ib_str operation, const struct ir_call_options *opt);
void ir_observe_sent(struct ir_call *c, size_t size); /* if observed, as all below */
void ir_observe_reply(struct ir_call *c, size_t size);
void ir_observe_lost(struct ir_call *c, int code);
void ir_observe_retry(struct ir_call *c);
void ir_observe_result(struct ir_call *c, const struct ir_result *r);

/* --- traces and texts ----------------------------------------------------------------------------------------- */

void ir_trace_listen(struct ir_runtime *rt, const struct iw_endpoint *ep);
/* what: it begins or stops. */
void ir_trace_accepting(struct ir_runtime *rt, const char *what, const struct iw_endpoint *ep);
void ir_trace_published(struct ir_adapter *a);
void ir_trace_conn(struct ir_conn *c, const char *what);
void ir_trace_closed(struct ir_conn *c, const struct ib_err *why);
void ir_trace_connect(struct ir_runtime *rt, const struct iw_endpoint *ep);
/* A whole message: head holds the header of a request, or everything. */
void ir_trace_message(struct ir_runtime *rt, bool sending, uint8_t type, uint8_t compression, struct ib_span head,
                      struct ib_span body); /* if cfg.trace_protocol */
void ir_trace_out(struct ir_runtime *rt, const struct ic_out *m); /* likewise */
void ir_trace_retry(const struct ir_call *c, const struct ib_err *why, int32_t delay);
void ir_warn_dispatch(struct ir_request *rq, enum ir_status status, struct ib_str text, bool relayed);
void ir_warn_not_exist(struct ir_request *rq, enum ir_status status, const struct iw_identity *id, struct ib_str facet,
                       struct ib_str operation);
const char *ir_transport_name(int16_t type);
/* Request header as in ice-protocol 8.1 without the id. */
void ir_header_encode(struct ib_buf *out, const struct iw_identity *id, bool has_facet, struct ib_str facet,
                      struct ib_str operation, uint8_t mode);

#endif
