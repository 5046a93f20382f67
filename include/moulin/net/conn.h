/* SPDX-License-Identifier: Apache-2.0 */
/* One Ice connection over any transport (tcp, ssl, ws, wss, in-process): framing, validation, compression, heartbeats
   and ACM, graceful close, timeouts and flow control (ice-protocol 7, 9, 10, 13, 14). It knows messages, not requests.

       CONNECTING -> NOT_VALIDATED -> ACTIVE -> CLOSING -> CLOSING_PENDING -> CLOSED
            |              |            |           |             |             ^
            +--------------+------------+-----------+-------------+-------------+

   Ownership: the connection frees itself after on_close, which comes exactly once and last, never from inside a call
   made by its user (it is deferred). A user that is going away calls ic_conn_detach instead of waiting. */
#ifndef MOULIN_NET_CONN_H
#define MOULIN_NET_CONN_H

#include <moulin/base/arena.h>
#include <moulin/base/block.h>
#include <moulin/net/loop.h>
#include <moulin/net/networks.h>
#include <moulin/net/tls.h>
#include <moulin/wire/types.h>

enum ic_msg_type { IC_REQUEST = 0, IC_BATCH = 1, IC_REPLY = 2, IC_VALIDATE = 3, IC_CLOSE = 4 };
#define IC_HEADER_SIZE 14

enum ic_acm_close { IC_CLOSE_OFF, IC_CLOSE_IDLE, IC_CLOSE_INVOCATION, IC_CLOSE_INVOCATION_IDLE, IC_CLOSE_IDLE_FORCEFUL };
enum ic_acm_heartbeat { IC_HEARTBEAT_OFF, IC_HEARTBEAT_DISPATCH, IC_HEARTBEAT_IDLE, IC_HEARTBEAT_ALWAYS };

struct sockaddr;

struct ic_acm {
    int timeout_s; /* 0 = off */
    uint8_t close; /* enum ic_acm_close */
    uint8_t heartbeat; /* enum ic_acm_heartbeat */
};

struct ic_conn_config {
    int32_t message_size_max; /* bytes */
    int32_t connect_timeout_ms, timeout_ms, close_timeout_ms; /* -1 = none */
    struct ic_acm acm;
    int pulse_s; /* heartbeats at least so often, and twice per acm.timeout_s, which are no activity; 0 = none */
    int compression_level; /* 1..9 */
    /* NULL, or asked before each address of an outgoing connection is tried; false: it is left out. sa NULL: the endpoint
       is served by a listener of this process itself. arg outlives the connecting. */
    bool (*may_connect)(void *arg, const struct iw_endpoint *ep, const struct sockaddr *sa);
    void *may_connect_arg;
    size_t out_high_water; /* bytes queued for sending above which ic_conn_congested() says so; 0 = default 1 MiB */
};

/* A received Request, BatchRequest or Reply, already decompressed. body is what follows the 14-byte header; it borrows
   from block, which may be ref'd to keep it. */
struct ic_frame {
    uint8_t type; /* enum ic_msg_type */
    uint8_t compression; /* the header's byte: > 0 asks for a compressed reply */
    struct ib_span body;
    struct ib_block *block;
};

struct ic_conn;

struct ic_conn_events {
    void (*on_active)(void *arg, struct ic_conn *c); /* validated: sending is possible */
    void (*on_frame)(void *arg, struct ic_conn *c, const struct ic_frame *f); /* never CLOSE or VALIDATE */
    void (*on_close)(void *arg, struct ic_conn *c, const struct ib_err *why); /* IB_ECLOSED: the peer said CloseConnection */
    void (*on_drained)(void *arg, struct ic_conn *c); /* may be NULL: no longer congested */
    void (*on_closing)(void *arg, struct ic_conn *c); /* may be NULL: peer's CloseConnection or own graceful close began */
    void (*on_heartbeat)(void *arg, struct ic_conn *c); /* may be NULL: a ValidateConnection arrived */
    void (*on_resolved)(void *arg, struct ic_conn *c, const struct ib_err *err); /* may be NULL: its host's addresses are known, or err */
};

/* --- making them --- */

/* Tries the addresses of one tcp/ssl/ws/wss endpoint in turn until one is connected and validated, all within
   cfg->connect_timeout_ms. tls may be NULL for tcp and ws. If an in-process listener of this loop is bound to exactly
   that host and port, the connection is an in-process pipe. Always returns a connection; failures arrive by on_close. NULL
   only when memory is short. */
struct ic_conn *ic_connect(struct ic_loop *loop, const struct iw_endpoint *ep, struct ic_tls *tls,
                           const struct ic_conn_config *cfg, const struct ic_conn_events *ev, void *arg);

struct ic_listener;
/* Accepted connections validate themselves; the callback sets the events and the argument before anything arrives. */
typedef void (*ic_accept_fn)(void *arg, struct ic_conn *c);
/* Binds and listens at once, accepts only after ic_listener_start. Port 0: ic_listener_endpoint has the real one. adapter is
   the name for TrustOnly.Server.<adapter> and logs. */
struct ic_listener *ic_listen(struct ic_loop *loop, const struct iw_endpoint *ep, struct ic_tls *tls,
                              const struct ic_conn_config *cfg, ic_accept_fn on_accept, void *arg, struct ib_err *err);
void ic_listener_start(struct ic_listener *l);
void ic_listener_stop(struct ic_listener *l); /* closes the socket; existing connections stay */
/* Binds and listens again where it did before it was stopped. On failure it stays stopped. */
int ic_listener_resume(struct ic_listener *l, struct ib_err *err) IB_MUST_CHECK;
void ic_listener_free(struct ic_listener *l);
const struct iw_endpoint *ic_listener_endpoint(const struct ic_listener *l); /* with the real port */
/* One socket for several loops: fn sees each one accepted before anything is made of it; true: it belongs to fn now, who
   gives it to a listener of another loop. */
void ic_listener_on_socket(struct ic_listener *l, bool (*fn)(void *arg, int fd), void *arg);
/* A listener that has no socket and accepts what it is given: its endpoint is that of "of", copied. */
struct ic_listener *ic_listener_mirror(struct ic_loop *loop, const struct ic_listener *of, struct ic_tls *tls,
                                       const struct ic_conn_config *cfg, ic_accept_fn on_accept, void *arg);
void ic_listener_take(struct ic_listener *l, int fd); /* takes the socket */
void ic_listener_set_tls(struct ic_listener *l, struct ic_tls *tls); /* for connections accepted from now on */
/* Connections from these addresses must begin with a PROXY header (version 1 or 2), which says whose they are; a wrong or
   late one ends them with IB_EBALANCER. Shares; NULL: none. */
void ic_listener_set_balancers(struct ic_listener *l, struct ic_networks *balancers);

void ic_conn_set_events(struct ic_conn *c, const struct ic_conn_events *ev, void *arg);
void ic_conn_detach(struct ic_conn *c); /* no more callbacks, ever; the connection is closed forcibly and freed */

/* --- using them --- */

struct ic_out {
    uint8_t type; /* IC_REQUEST, IC_BATCH, IC_REPLY */
    bool compress; /* ask for / do compression as ice-protocol 13 */
    struct ib_span head; /* copied: what follows the 14-byte header */
    struct ib_span body; /* rest of the message */
    struct ib_block *block; /* holds body, is ref'd until it is written; NULL: body is copied too */
};

/* Queues a message. Returns IB_ECLOSED when the connection no longer sends, IB_ENOMEM. *seq (may be NULL) grows by message. */
int ic_conn_send(struct ic_conn *c, const struct ic_out *m, uint64_t *seq) IB_MUST_CHECK;
/* Has the message of that number left us completely? Retry rules depend on it. */
bool ic_conn_was_written(const struct ic_conn *c, uint64_t seq);

/* Graceful: waits for dispatches (see ic_conn_dispatching), sends CloseConnection, waits for the peer. */
void ic_conn_close(struct ic_conn *c);
void ic_conn_abort(struct ic_conn *c, int code, const char *text); /* at once, on_close follows with this reason */

/* The users' books, which ACM, heartbeats and graceful close need. delta is +1 or -1. */
void ic_conn_dispatching(struct ic_conn *c, int delta);
void ic_conn_outstanding(struct ic_conn *c, int delta);
/* A message has come; awaited: somebody waits for what follows from it, as nobody does for a oneway. */
void ic_conn_heard(struct ic_conn *c, bool awaited);

void ic_conn_push(struct ic_conn *c); /* what is queued is written now, not at the end of the round; on_drained may come from here */
void ic_conn_hold(struct ic_conn *c, bool hold); /* stop or resume reading its socket (flow control); nests by count */
bool ic_conn_congested(const struct ic_conn *c); /* more than out_high_water bytes wait to be sent */
size_t ic_conn_queued(const struct ic_conn *c);

void ic_conn_set_acm(struct ic_conn *c, const struct ic_acm *acm);
void ic_conn_send_heartbeat(struct ic_conn *c);
bool ic_conn_is_active(const struct ic_conn *c);

struct ic_conn_info {
    const char *transport; /* "tcp", "ssl", "ws", "wss", "inproc" */
    bool incoming, secure;
    char local_host[64], remote_host[64]; /* numeric */
    int local_port, remote_port;
    const char *cipher; /* "" without TLS */
    bool has_peer_cert;
    uint64_t bytes_in, bytes_out;
};
void ic_conn_get_info(const struct ic_conn *c, struct ic_conn_info *info);
/* Peer's certificate chain, leaf first, PEM; returns the count (0 without). */
size_t ic_conn_peer_certs(const struct ic_conn *c, struct ib_arena *arena, struct ib_str **pem);
/* RFC 2253 subject of the peer's leaf certificate; "" without. */
struct ib_str ic_conn_peer_subject(const struct ic_conn *c, struct ib_arena *arena);

#endif
