/* SPDX-License-Identifier: Apache-2.0 */
/* Outgoing calls: endpoint selection, connection reuse, locator, retry, deadlines (ice-protocol 17, 18). */
#ifndef MOULIN_RPC_CALL_H
#define MOULIN_RPC_CALL_H

#include <moulin/rpc/conn.h>
#include <moulin/rpc/request.h>
#include <moulin/rpc/runtime.h>

struct ir_call;

/* How a oneway travels: alone, or put together with others to the same connection until the end of the loop's round.
   Order among everything sent to one connection is kept. */
enum ir_batch_mode {
    IR_BATCH_NO,
    IR_BATCH_IF_MANY, /* small ones that leave together share a message; a single one is a plain request */
    IR_BATCH_YES /* a BatchRequest message, up to Ice.BatchAutoFlushSize */
};

struct ir_call_options {
    int32_t timeout_ms; /* 0: Ice.Default.InvocationTimeout; -1 none */
    const struct ir_context_entry *context;
    size_t n_context;
    struct ir_conn *conn; /* fixed proxy: send on this connection, no endpoints, no retry */
    bool oneway; /* in spite of the proxy's mode */
    bool no_locator; /* do not resolve */
    int32_t connect_timeout_ms; /* 0: as configured; overrides the endpoints' timeouts on new connections */
    uint8_t endpoint_selection; /* 0 as configured, 1 random, 2 ordered */
    uint8_t guard; /* 0, or the class under which the runtime's guard judges new connections; classes share none */
    int compress; /* 0 as the endpoint says, 1 yes, -1 no */
    uint8_t batch; /* enum ir_batch_mode; oneways only */
    bool unhurried; /* nobody waits for the reply: more like it are under way (Moulin.OnewayPause) */
    bool datagram; /* oneway by udp endpoints only; batch then means datagrams with several requests */
};

enum ir_outcome { IR_SUCCESS, IR_THROWN, IR_FAILED_STATUS, IR_FAILED_LOCAL };

/* How a call ended. Everything borrows until the callback returns. */
struct ir_result {
    enum ir_outcome outcome;
    const struct iw_op *op; /* NULL for raw calls */
    const void *out; /* IR_SUCCESS: the …_op_out */
    const struct iw_class *exception; /* IR_THROWN; NULL when the type is unknown, see text */
    const void *value; /* IR_THROWN: the exception's struct */
    enum ir_status status; /* IR_FAILED_STATUS: 2..7 */
    struct iw_identity id; /* status 2..4 */
    struct ib_str facet, operation;
    struct ir_conn *conn; /* that answered, or NULL */
    /* raw calls: */
    uint8_t raw_status;
    uint8_t compression;
    struct ib_span raw; /* after the status byte */
    struct ib_block *block; /* holds raw */
    struct ib_arena *arena; /* holds out and value */
    struct ib_err err; /* IR_FAILED_LOCAL: code and text; otherwise a printable account of the failure */
};

typedef void (*ir_reply_fn)(void *arg, const struct ir_result *r);

/* Sends op with in (the generated struct). on_reply is called exactly once, never before this returns; for oneway calls when
   the message is queued, or, while the connection is congested, when its queue has drained. on_reply NULL: the outcome does not matter. The proxy and in are encoded or copied at once.
   The returned call may be cancelled until on_reply; NULL only when memory is short (then on_reply is not called). */
struct ir_call *ir_call(struct ir_runtime *rt, const struct iw_proxy *prx, const struct iw_op *op, const struct ir_call_options *opt,
                        const void *in, ir_reply_fn on_reply, void *arg);
/* For callers who have to wait for a call only when it cannot end at once: true when it has ended (a oneway that is queued)
   and only on_reply was due, which will then not be called any more. */
bool ir_call_is_over(struct ir_call *c);
/* The connection it was sent on, borrowed; NULL when it is not sent (yet). Not after on_reply. */
struct ir_conn *ir_call_conn(const struct ir_call *c);
void ir_call_cancel(struct ir_call *c); /* on_reply is not called any more; a late reply is ignored */

/* The same undecoded, for routers: params is a whole encapsulation held by block (or copied when block is NULL). */
struct ir_raw_request {
    struct iw_identity id;
    bool has_facet;
    struct ib_str facet, operation;
    uint8_t mode;
    struct ib_span context_raw; /* an encoded dictionary; n 0: empty */
    struct ib_span params;
    struct ib_block *block;
    bool oneway;
};
/* A request to be passed on as it came; borrows from it. Its parameters must be good (info->params_err). */
struct ir_raw_request ir_raw_from(const struct ir_request_info *info);
struct ir_call *ir_call_raw(struct ir_runtime *rt, const struct iw_proxy *prx, const struct ir_raw_request *rq,
                            const struct ir_call_options *opt, ir_reply_fn on_reply, void *arg);

/* A oneway over a connection at hand, without a call of its own: put together with others, never IR_BATCH_NO. An error:
   nothing was done, make a call (closed, congested, compression or metrics are wanted). */
int ir_send_oneway(struct ir_conn *c, const struct ir_raw_request *rq, enum ir_batch_mode batch) IB_MUST_CHECK;

/* Only connects: for those who need the connection itself (routers, bidirectional clients). on_reply gets IR_SUCCESS and conn. */
struct ir_call *ir_connect(struct ir_runtime *rt, const struct iw_proxy *prx, const struct ir_call_options *opt, ir_reply_fn on_reply, void *arg);

/* ice_ping, ice_isA, ice_id, ice_ids of any proxy. */
extern const struct iw_op ir_op_ice_ping, ir_op_ice_isA, ir_op_ice_id, ir_op_ice_ids;
struct ir_isA_in {
    struct ib_str id;
};
struct ir_isA_out {
    bool ret;
};

/* One line for logs: outcome, exception name and its reason member if it has one. */
const char *ir_result_text(const struct ir_result *r, char *out, size_t cap);

#endif
