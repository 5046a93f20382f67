/* SPDX-License-Identifier: Apache-2.0 */
/* An incoming request, from arrival to its one answer. Handlers answer at once or later; the request, its parameters and its
   arena live until then, even when the connection is gone (the answer is then dropped). */
#ifndef MOULIN_RPC_REQUEST_H
#define MOULIN_RPC_REQUEST_H

#include <moulin/rpc/conn.h>
#include <moulin/wire/codec.h>

struct ir_request;
struct ir_adapter;

enum ir_status {
    IR_OK = 0,
    IR_USER_EXCEPTION,
    IR_OBJECT_NOT_EXIST,
    IR_FACET_NOT_EXIST,
    IR_OPERATION_NOT_EXIST,
    IR_UNKNOWN_LOCAL,
    IR_UNKNOWN_USER,
    IR_UNKNOWN
};

struct ir_context_entry {
    struct ib_str key, value; /* NOT NUL-terminated: borrowed from the message */
};

/* What the message said. Strings borrow from the message and are NOT NUL-terminated. Valid until answered. */
struct ir_request_info {
    int32_t request_id; /* 0: oneway or batch, the answer goes nowhere */
    uint8_t type; /* IC_REQUEST or IC_BATCH */
    uint8_t compression; /* of the message */
    struct iw_identity id;
    bool has_facet;
    struct ib_str facet, operation;
    uint8_t mode;
    size_t n_context;
    const struct ir_context_entry *context;
    struct ib_span context_raw; /* the encoded dictionary */
    struct ib_span params; /* the whole encapsulation, with its header; may be malformed: see params_err */
    int params_err; /* 0, or IB_EENCAPS / IB_EBOUNDS from its header */
    struct iw_encoding encoding; /* of the encapsulation: the answer's too */
    struct ib_block *block; /* holds all of the above; ref it to keep the bytes */
};

/* A request that comes from another loop of the process. Its answer goes to reply (status and everything after it, as on
   the wire; not called for oneways), then end is called, once. */
struct ir_answer {
    void (*reply)(void *arg, uint8_t status, struct ib_span head, struct ib_span body);
    void (*end)(void *arg);
    void *arg;
};
/* A copy of the request in a block that nobody else has; NULL: memory is short. */
struct ib_block *ir_request_copy(const struct ir_request *rq);
/* Dispatches such a copy; type as in its ir_request_info. answer is borrowed until its end. On failure it is not called. */
int ir_adapter_dispatch(struct ir_adapter *a, struct ib_block *copy, uint8_t type, const struct ir_answer *answer) IB_MUST_CHECK;

const struct ir_request_info *ir_request_info(const struct ir_request *rq);
struct ir_conn *ir_request_conn(const struct ir_request *rq); /* NULL once closed */
struct ir_adapter *ir_request_adapter(const struct ir_request *rq);
struct ir_runtime *ir_request_runtime(const struct ir_request *rq);
struct ib_arena *ir_request_arena(struct ir_request *rq);
struct ib_str ir_request_context(const struct ir_request *rq, const char *key); /* "" when absent */
/* fn is called once if the connection closes before the answer; the handler must still answer (soon). NULL removes. */
void ir_request_on_cancel(struct ir_request *rq, void (*fn)(void *arg, struct ir_request *rq), void *arg);

/* Sends an empty success now; from then on the request is a oneway, which must still be ended. */
void ir_request_acknowledge(struct ir_request *rq);

/* Exactly one of these ends the request. The typed …_reply and …_throw of generated code end here. */
void ir_request_reply(struct ir_request *rq, const struct iw_op *op, const void *out);
void ir_request_throw(struct ir_request *rq, const struct iw_class *exception, const void *value);
/* Status 2..7. For 2..4 text is ignored and the request's own names are echoed; for 5..7 text is the explanation. */
void ir_request_fail(struct ir_request *rq, enum ir_status status, const char *text);
/* Local failure as a peer sees it: status 5 with "::Ice::<Name>" and text in it. */
void ir_request_fail_local(struct ir_request *rq, int code, const char *text);
/* Status 5..7 whose explanation the log gets (as what another server said: relayed; p NULL: nothing is logged), and the peer
   something shorter. */
void ir_request_fail_quietly(struct ir_request *rq, enum ir_status status, struct ib_str logged, bool relayed, const char *told);
/* ObjectNotExist with a chosen operation name (a router's "ice_add_proxy"). */
void ir_request_fail_as(struct ir_request *rq, enum ir_status status, const struct iw_identity *id, struct ib_str facet, struct ib_str operation);
/* A success whose results (no classes among them) are encoded already, in 1.1: they go as they are, and through the
   engine when the request came in another encoding. block may hold them (then they are not copied). */
void ir_request_reply_encoded(struct ir_request *rq, const struct iw_op *op, struct ib_span results, struct ib_block *block);
/* Undecoded: status byte and everything after it, as it goes on the wire. block may hold the body (then it is not copied). */
void ir_request_reply_raw(struct ir_request *rq, uint8_t status, struct ib_span body, struct ib_block *block);

#endif
