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

const struct ir_request_info *ir_request_info(const struct ir_request *rq);
struct ir_conn *ir_request_conn(const struct ir_request *rq); /* NULL once closed */
struct ir_adapter *ir_request_adapter(const struct ir_request *rq);
struct ir_runtime *ir_request_runtime(const struct ir_request *rq);
struct ib_arena *ir_request_arena(struct ir_request *rq);
struct ib_str ir_request_context(const struct ir_request *rq, const char *key); /* "" when absent */
/* fn is called once if the connection closes before the answer; the handler must still answer (soon). NULL removes. */
void ir_request_on_cancel(struct ir_request *rq, void (*fn)(void *arg, struct ir_request *rq), void *arg);

/* Exactly one of these ends the request. The typed …_reply and …_throw of generated code end here. */
void ir_request_reply(struct ir_request *rq, const struct iw_op *op, const void *out);
void ir_request_throw(struct ir_request *rq, const struct iw_class *exception, const void *value);
/* Status 2..7. For 2..4 text is ignored and the request's own names are echoed; for 5..7 text is the explanation. */
void ir_request_fail(struct ir_request *rq, enum ir_status status, const char *text);
/* Local failure as a peer sees it: status 5 with "::Ice::<Name>" and text in it. */
void ir_request_fail_local(struct ir_request *rq, int code, const char *text);
/* ObjectNotExist with a chosen operation name (a router's "ice_add_proxy"). */
void ir_request_fail_as(struct ir_request *rq, enum ir_status status, const struct iw_identity *id, struct ib_str facet, struct ib_str operation);
/* Undecoded: status byte and everything after it, as it goes on the wire. block may hold the body (then it is not copied). */
void ir_request_reply_raw(struct ir_request *rq, uint8_t status, struct ib_span body, struct ib_block *block);

#endif
