/* SPDX-License-Identifier: Apache-2.0 */
/* The answer of a request, exactly one, in the request's encoding (ice-protocol 8.3), and what a handler may ask about
   it. A second answer is a bug of the handler and aborts. */
#include "rpc_priv.h"

#include <stdio.h>
#include <stdlib.h>

/* --- asking --------------------------------------------------------------------------------------------------- */

const struct ir_request_info *ir_request_info(const struct ir_request *rq)
{
    return &rq->info;
}

struct ir_conn *ir_request_conn(const struct ir_request *rq)
{
    return rq->conn;
}

struct ir_adapter *ir_request_adapter(const struct ir_request *rq)
{
    return rq->adapter;
}

struct ir_runtime *ir_request_runtime(const struct ir_request *rq)
{
    return rq->rt;
}

struct ib_arena *ir_request_arena(struct ir_request *rq)
{
    return &rq->arena;
}

struct ib_str ir_request_context(const struct ir_request *rq, const char *key)
{
    for (size_t i = 0; i < rq->info.n_context; i++) {
        if (ib_str_is(rq->info.context[i].key, key))
            return rq->info.context[i].value;
    }
    return IB_STR("");
}

void ir_request_on_cancel(struct ir_request *rq, void (*fn)(void *arg, struct ir_request *rq), void *arg)
{
    rq->on_cancel = fn;
    rq->cancel_arg = arg;
}

/* --- answering ------------------------------------------------------------------------------------------------ */

enum { STATUS_AT = 4 }; /* behind the request's id */

static void send_reply(struct ir_request *rq, struct ib_span head, struct ib_span body, struct ib_block *block)
{
    struct ir_conn *c = rq->conn;
    if ((!c && !rq->answer) || rq->info.request_id == 0 || rq->info.type != IC_REQUEST)
        return;
    if (rq->answer) {
        const struct ib_span rest = {head.p + STATUS_AT + 1, head.n - STATUS_AT - 1};
        rq->answer->reply(rq->answer->arg, head.p[STATUS_AT], rest, body);
        return;
    }
    struct ic_out m = {
        .type = IC_REPLY, .compress = rq->info.compression > 0, .head = head, .body = body, .block = block};
    if (rq->rt->cfg.trace_protocol)
        ir_trace_out(rq->rt, &m);
    if (rq->observed)
        ir_metrics_count(rq->observed, IR_MX_DISPATCH_REPLY, (int64_t)(head.n + body.n) - 4);
    int r = ic_conn_send(c->net, &m, NULL);
    if (r && r != IB_ECLOSED) /* its caller must not wait for ever */
        ic_conn_abort(c->net, r, "a reply cannot be sent");
}

/* After the answer: the books, then the request itself (unless its handler is still on the stack). */
static void request_end(struct ir_request *rq)
{
    struct ir_conn *c = rq->conn;
    rq->answered = true;
    ir_metrics_stop(&rq->observed);
    rq->on_cancel = NULL;
    ib_list_remove(&rq->node);
    ib_list_remove(&rq->conn_node);
    rq->conn = NULL;
    if (c)
        ir_conn_request_done(c, rq);
    else if (rq->datagram && rq->adapter)
        rq->adapter->n_datagrams--;
    if (rq->answer)
        rq->answer->end(rq->answer->arg);
    rq->answer = NULL;
    if (rq->in_dispatch)
        return;
    ir_request_give(rq->rt, rq);
}

static void must_be_open(const struct ir_request *rq)
{
    if (!rq->answered)
        return;
    fprintf(stderr, "a request was answered twice: operation %.*s\n", (int)rq->info.operation.n,
            ib_cstr(rq->info.operation));
    abort();
}

static void start_reply(const struct ir_request *rq, struct ib_buf *b, uint8_t status)
{
    ib_buf_init(b);
    ib_buf_put_i32(b, rq->info.request_id);
    ib_buf_put_u8(b, status);
}

static bool wants_reply(const struct ir_request *rq)
{
    return (rq->conn || rq->answer) && rq->info.request_id != 0 && rq->info.type == IC_REQUEST;
}

/* The caller must not wait for ever; one on another loop hears of the end. */
static void give_up(const struct ir_request *rq)
{
    if (rq->conn)
        ic_conn_abort(rq->conn->net, IB_ENOMEM, "no memory for a reply");
}

/* Sends b (freed) and ends the request; when it could not be built, a short failure goes instead. */
static void finish_reply(struct ir_request *rq, struct ib_buf *b, int r)
{
    if (!r && !ib_buf_ok(b))
        r = IB_ENOMEM;
    if (!r) {
        send_reply(rq, ib_buf_span(b), (struct ib_span){NULL, 0}, NULL);
        request_end(rq);
    } else {
        ir_request_fail_local(rq, r, "the answer cannot be encoded");
    }
    ib_buf_fini(b);
}

/* Parameters of an encoding we do not speak were never decoded; what answers them is written in 1.1. */
static struct iw_encoding reply_encoding(const struct ir_request *rq)
{
    struct iw_encoding e = rq->info.encoding;
    return e.major == 1 && e.minor <= 1 ? e : IW_ENCODING_1_1;
}

void ir_request_reply(struct ir_request *rq, const struct iw_op *op, const void *out)
{
    must_be_open(rq);
    if (!wants_reply(rq)) {
        request_end(rq);
        return;
    }
    struct ib_buf b;
    start_reply(rq, &b, IR_OK);
    finish_reply(rq, &b, iw_encode_params(op->out, out, reply_encoding(rq), op->sliced || rq->rt->cfg.sliced, &b));
}

static void reply_recoded(struct ir_request *rq, const struct iw_op *op, struct ib_span results)
{
    void *out = ib_arena_alloc(&rq->arena, op->out->size);
    int r = out ? iw_decode_value(op->out, &results, IW_ENCODING_1_1, &rq->arena, out) : IB_ENOMEM;
    if (r)
        ir_request_fail_local(rq, r, "the answer cannot be encoded");
    else
        ir_request_reply(rq, op, out);
}

void ir_request_reply_encoded(struct ir_request *rq, const struct iw_op *op, struct ib_span results,
                              struct ib_block *block)
{
    const struct iw_encoding enc = reply_encoding(rq);
    must_be_open(rq);
    if (wants_reply(rq) && enc.minor != IW_ENCODING_1_1.minor) {
        reply_recoded(rq, op, results);
        return;
    }
    /* request id, status, and the encapsulation's head */
    uint8_t room[11];
    struct ib_buf head = {.p = room, .cap = sizeof(room), .limit = sizeof(room)};
    ib_buf_put_i32(&head, rq->info.request_id);
    ib_buf_put_u8(&head, IR_OK);
    ib_buf_put_i32(&head, (int32_t)(results.n + 6));
    ib_buf_put_u8(&head, enc.major);
    ib_buf_put_u8(&head, enc.minor);
    send_reply(rq, ib_buf_span(&head), results, block);
    request_end(rq);
}

void ir_request_throw(struct ir_request *rq, const struct iw_class *exception, const void *value)
{
    must_be_open(rq);
    if (rq->observed)
        ir_observe_status(rq, IR_USER_EXCEPTION, 0);
    if (!wants_reply(rq)) {
        request_end(rq);
        return;
    }
    bool sliced = (rq->op && rq->op->sliced) || rq->rt->cfg.sliced;
    struct ib_buf b;
    start_reply(rq, &b, IR_USER_EXCEPTION);
    finish_reply(rq, &b, iw_encode_exception(exception, value, reply_encoding(rq), sliced, &b));
}

static void reply_not_exist(struct ir_request *rq, enum ir_status status, const struct iw_identity *id,
                            struct ib_str facet, struct ib_str operation)
{
    struct ib_buf b;
    start_reply(rq, &b, (uint8_t)status);
    iw_out_str(&b, id->name);
    iw_out_str(&b, id->category);
    iw_out_size(&b, facet.n ? 1 : 0);
    if (facet.n)
        iw_out_str(&b, facet);
    iw_out_str(&b, operation);
    if (ib_buf_ok(&b))
        send_reply(rq, ib_buf_span(&b), (struct ib_span){NULL, 0}, NULL);
    else
        give_up(rq);
    ib_buf_fini(&b);
    request_end(rq);
}

struct ir_raw_request ir_raw_from(const struct ir_request_info *info)
{
    return (struct ir_raw_request){.id = info->id,
                                   .has_facet = info->has_facet,
                                   .facet = info->facet,
                                   .operation = info->operation,
                                   .mode = info->mode,
                                   .context_raw = info->context_raw,
                                   .params = info->params,
                                   .block = info->block};
}

void ir_request_fail_as(struct ir_request *rq, enum ir_status status, const struct iw_identity *id, struct ib_str facet,
                        struct ib_str operation)
{
    must_be_open(rq);
    if (rq->observed)
        ir_observe_status(rq, (uint8_t)status, 0);
    ir_warn_not_exist(rq, status, id, facet, operation);
    if (wants_reply(rq))
        reply_not_exist(rq, status, id, facet, operation);
    else
        request_end(rq);
}

/* Status 5 to 7; code: of a local failure, or 0. */
static void fail_unknown(struct ir_request *rq, enum ir_status status, int code, const char *text)
{
    if (rq->observed)
        ir_observe_status(rq, (uint8_t)status, code);
    if (!wants_reply(rq)) {
        request_end(rq);
        return;
    }
    struct ib_buf b;
    start_reply(rq, &b, (uint8_t)status);
    iw_out_str(&b, ib_str(text));
    if (ib_buf_ok(&b))
        send_reply(rq, ib_buf_span(&b), (struct ib_span){NULL, 0}, NULL);
    else
        give_up(rq);
    ib_buf_fini(&b);
    request_end(rq);
}

void ir_request_fail(struct ir_request *rq, enum ir_status status, const char *text)
{
    if (status >= IR_OBJECT_NOT_EXIST && status <= IR_OPERATION_NOT_EXIST) {
        ir_request_fail_as(rq, status, &rq->info.id, rq->info.facet, rq->info.operation);
        return;
    }
    must_be_open(rq);
    ir_warn_dispatch(rq, status, ib_str(text), false);
    fail_unknown(rq, status, 0, text);
}

void ir_request_fail_quietly(struct ir_request *rq, enum ir_status status, struct ib_str logged, bool relayed,
                             const char *told)
{
    must_be_open(rq);
    if (logged.p)
        ir_warn_dispatch(rq, status, logged, relayed);
    fail_unknown(rq, status, 0, told);
}

void ir_request_fail_local(struct ir_request *rq, int code, const char *text)
{
    char full[640];
    snprintf(full, sizeof(full), "::Ice::%s:\n%s", ib_err_ice_name(code), text ? text : ib_err_text(code));
    must_be_open(rq);
    ir_warn_dispatch(rq, IR_UNKNOWN_LOCAL, ib_str(full), false);
    fail_unknown(rq, IR_UNKNOWN_LOCAL, code, full);
}

/* Malformed: the one it is meant for will say so. */
static void warn_raw(struct ir_request *rq, enum ir_status status, struct ib_span body)
{
    struct iw_in in = iw_in(body);
    struct iw_identity id = {0};
    struct ib_str facet = IB_STR("");
    if (status >= IR_UNKNOWN_LOCAL) {
        struct ib_str text = iw_in_str(&in);
        if (!in.err)
            ir_warn_dispatch(rq, status, text, true);
        return;
    }
    id.name = iw_in_str(&in);
    id.category = iw_in_str(&in);
    if (iw_in_size(&in) > 0)
        facet = iw_in_str(&in);
    struct ib_str operation = iw_in_str(&in);
    if (!in.err)
        ir_warn_not_exist(rq, status, &id, facet, operation);
}

void ir_request_acknowledge(struct ir_request *rq)
{
    must_be_open(rq);
    if (!wants_reply(rq))
        return;
    struct iw_encoding e = rq->info.encoding;
    struct ib_buf b;
    start_reply(rq, &b, IR_OK);
    ib_buf_put_i32(&b, 6);
    ib_buf_put_u8(&b, e.major);
    ib_buf_put_u8(&b, e.minor);
    if (ib_buf_ok(&b))
        send_reply(rq, ib_buf_span(&b), (struct ib_span){NULL, 0}, NULL);
    else
        give_up(rq);
    ib_buf_fini(&b);
    rq->info.request_id = 0;
    if (rq->conn)
        rq->conn->n_oneways++;
}

void ir_request_reply_raw(struct ir_request *rq, uint8_t status, struct ib_span body, struct ib_block *block)
{
    must_be_open(rq);
    if (rq->observed)
        ir_observe_status(rq, status, 0);
    if (status >= IR_OBJECT_NOT_EXIST && status <= IR_UNKNOWN)
        warn_raw(rq, (enum ir_status)status, body);
    uint8_t head[5];
    uint32_t id = (uint32_t)rq->info.request_id;
    for (int i = 0; i < 4; i++)
        head[i] = (uint8_t)(id >> (8 * i));
    head[4] = status;
    send_reply(rq, (struct ib_span){head, sizeof(head)}, body, block);
    request_end(rq);
}
