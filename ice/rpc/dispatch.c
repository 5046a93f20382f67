/* SPDX-License-Identifier: Apache-2.0 */
/* From a parsed request to its handler: servant lookup, the four operations every object has, the mode check and the
   decoding of parameters (ice-protocol 11). */
#include "rpc_priv.h"

#include <stdio.h>
#include <stdlib.h>

static const char *mode_name(uint8_t mode)
{
    static const char *const names[] = {"::Ice::Normal", "::Ice::Nonmutating", "::Ice::Idempotent"};
    return mode < 3 ? names[mode] : "???";
}

/* 11.3: an idempotent operation takes 1 and 2, a normal one only 0. */
static bool mode_matches(uint8_t declared, uint8_t received)
{
    if (declared == IW_NORMAL)
        return received == IW_NORMAL;
    return received == IW_NONMUTATING || received == IW_IDEMPOTENT;
}

/* In the words of real peers: tools print them. */
static void fail_params(struct ir_request *rq, int code)
{
    char text[200];
    struct iw_encoding e = rq->info.encoding;
    if (code == IB_EENCODING)
        snprintf(text, sizeof(text),
                 "encoding error: unsupported encoding version: %d.%d\n(can only support encodings compatible with "
                 "version 1.1)",
                 e.major, e.minor);
    else if (code == IB_EENCAPS)
        snprintf(text, sizeof(text), "protocol error: illegal encapsulation");
    else if (code == IB_EBOUNDS)
        snprintf(text, sizeof(text), "protocol error: out of bounds during unmarshaling");
    else
        snprintf(text, sizeof(text), "protocol error: error during marshaling or unmarshaling:\n%s", ib_err_text(code));
    ir_request_fail_local(rq, code, text);
}

static int decode_params(struct ir_request *rq, const struct iw_op *op, void **in)
{
    int r = rq->info.params_err;
    if (!r)
        r = iw_decode_params(op->in, rq->info.params, rq->rt->types, rq->rt->cfg.limits, &rq->arena, in);
    if (r)
        fail_params(rq, r);
    return r;
}

static void reply_ids(struct ir_request *rq, const struct iw_iface *iface)
{
    struct ib_str *v = IB_ARENA_ARRAY(&rq->arena, iface->n_ids, struct ib_str);
    if (!v) {
        ir_request_fail_local(rq, IB_ENOMEM, ib_err_text(IB_ENOMEM));
        return;
    }
    for (size_t i = 0; i < iface->n_ids; i++)
        v[i] = ib_str(iface->ids[i]);
    ir_request_reply(rq, &ir_op_ice_ids, &(struct iw_seq){iface->n_ids, v});
}

/* The operations of 11.2; false: op is none of them. Their mode is not checked (11.3). */
static bool dispatch_builtin(struct ir_request *rq, struct ir_servant *s)
{
    const struct iw_iface *iface = s->iface;
    static const char prefix[] = "ice_";
    const struct ib_str name = rq->info.operation;
    if (name.n < sizeof(prefix) - 1 || memcmp(name.p, prefix, sizeof(prefix) - 1) != 0)
        return false;
    static const struct iw_op *const ops[] = {&ir_op_ice_ping, &ir_op_ice_isA, &ir_op_ice_id, &ir_op_ice_ids};
    const struct iw_op *op = NULL;
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        if (ib_str_is(name, ops[i]->name))
            op = ops[i];
    }
    if (!op)
        return false;
    if (s->before && !s->before(s->self, rq, op))
        return true;
    void *in = NULL;
    if (decode_params(rq, op, &in))
        return true;
    if (op == &ir_op_ice_ping) {
        ir_request_reply(rq, op, NULL);
    } else if (op == &ir_op_ice_isA) {
        const struct ir_isA_in *isa = in;
        ir_request_reply(rq, op, &(struct ir_isA_out){iw_iface_is_a(iface, isa->id)});
    } else if (op == &ir_op_ice_id) {
        struct ib_str id = ib_str(iface->id);
        ir_request_reply(rq, op, &id);
    } else {
        reply_ids(rq, iface);
    }
    return true;
}

static void dispatch_typed(struct ir_request *rq, struct ir_servant *s)
{
    if (dispatch_builtin(rq, s))
        return;
    const struct iw_op *op = iw_iface_find(s->iface, rq->info.operation);
    if (!op) {
        ir_request_fail(rq, IR_OPERATION_NOT_EXIST, NULL);
        return;
    }
    rq->op = op;
    if (!mode_matches(op->mode, rq->info.mode)) {
        char text[160];
        snprintf(text, sizeof(text),
                 "protocol error: error during marshaling or unmarshaling:\nunexpected operation mode. expected = %s "
                 "received = %s",
                 mode_name(op->mode), mode_name(rq->info.mode));
        ir_request_fail_local(rq, IB_EMARSHAL, text);
        return;
    }
    if (s->before && !s->before(s->self, rq, op))
        return;
    void *in = NULL;
    if (!decode_params(rq, op, &in))
        op->call(s->vtable, s->self, rq, in);
}

static void dispatch_request(struct ir_request *rq)
{
    struct ir_adapter *a = rq->adapter;
    if (!a) {
        ir_request_fail(rq, IR_OBJECT_NOT_EXIST, NULL);
        return;
    }
    if (a->filter && !a->filter(a->filter_arg, rq))
        return;
    bool other = false;
    struct ir_servant *s = ir_servant_map_lookup(&a->servants, &rq->info.id, rq->info.facet, &other);
    if (!s)
        ir_request_fail(rq, other ? IR_FACET_NOT_EXIST : IR_OBJECT_NOT_EXIST, NULL);
    else if (s->raw)
        s->raw(s->self, rq);
    else
        dispatch_typed(rq, s);
}

bool ir_dispatch_batched(struct ir_conn *c, struct iw_in *in, bool first)
{
    const struct iw_in start = *in;
    struct ir_request_info info;
    struct ib_arena arena;
    bool taken = false;
    if (c->rt->metrics->dispatch.on || c->rt->metrics->invocation.on)
        return false; /* they look at each request */
    ib_arena_init(&arena, c->rt->cfg.arena_limit);
    if (ir_request_parse(in, IC_BATCH, &arena, &info) == 0) {
        const struct ib_span header = {start.p, (size_t)(info.context_raw.p - start.p)};
        taken = c->adapter->batched(c->adapter->batched_arg, c, &info, header, first);
    }
    ib_arena_fini(&arena);
    if (!taken)
        *in = start;
    return taken;
}

static int take_request(struct ir_runtime *rt, struct iw_in *in, uint8_t type, uint8_t compression,
                        struct ib_block *block, struct ir_request **out)
{
    struct ir_request *rq = ir_request_take(rt);
    if (!rq)
        return IB_ENOMEM;
    int r = ir_request_parse(in, type, &rq->arena, &rq->info);
    if (r) {
        ir_request_give(rt, rq);
        return r;
    }
    rq->info.compression = compression;
    rq->info.block = ib_block_ref(block);
    rq->rt = rt;
    ib_list_append(&rt->requests, &rq->node);
    *out = rq;
    return 0;
}

static void run_request(struct ir_request *rq)
{
    rq->in_dispatch = true;
    dispatch_request(rq);
    rq->in_dispatch = false;
    if (rq->answered)
        ir_request_give(rq->rt, rq);
}

int ir_dispatch_datagram(struct ir_adapter *a, struct iw_in *in, uint8_t type, uint8_t compression,
                         struct ib_block *block)
{
    const uint8_t *start = in->p;
    struct ir_request *rq;
    int r = take_request(a->rt, in, type, compression, block, &rq);
    if (r)
        return r;
    rq->adapter = a;
    ib_list_init(&rq->conn_node);
    rq->datagram = true;
    a->n_datagrams++;
    if (a->rt->metrics->dispatch.on)
        ir_observe_request(rq, (size_t)(in->p - start) - (type == IC_REQUEST ? 4 : 0));
    run_request(rq);
    return 0;
}

int ir_dispatch(struct ir_conn *c, struct iw_in *in, uint8_t type, uint8_t compression, struct ib_block *block)
{
    const uint8_t *start = in->p;
    struct ir_request *rq;
    int r = take_request(c->rt, in, type, compression, block, &rq);
    if (r)
        return r;
    rq->adapter = c->adapter;
    rq->conn = c;
    ib_list_append(&c->requests, &rq->conn_node);
    rq->bytes = IR_REQUEST_BYTES + (size_t)(in->p - start);
    c->n_requests++;
    if (rq->info.request_id == 0)
        c->n_oneways++;
    c->request_bytes += rq->bytes;
    ic_conn_dispatching(c->net, +1);
    if (c->rt->metrics->dispatch.on) /* without the request id, as real peers count */
        ir_observe_request(rq, (size_t)(in->p - start) - (type == IC_REQUEST ? 4 : 0));

    run_request(rq);
    return 0;
}

/* --- from another loop -------------------------------------------------------------------------------------------- */

struct ib_block *ir_request_copy(const struct ir_request *rq)
{
    const struct ir_request_info *info = &rq->info;
    struct ib_block *copy = NULL;
    struct ib_buf b;
    ib_buf_init(&b);
    if (info->type == IC_REQUEST)
        ib_buf_put_i32(&b, info->request_id);
    ir_header_encode(&b, &info->id, info->has_facet, info->facet, info->operation, info->mode);
    ib_buf_put(&b, info->context_raw.p, info->context_raw.n);
    ib_buf_put(&b, info->params.p, info->params.n);
    if (ib_buf_ok(&b) && (copy = ib_block_new(b.n)))
        memcpy(copy->p, b.p, b.n);
    ib_buf_fini(&b);
    return copy;
}

int ir_adapter_dispatch(struct ir_adapter *a, struct ib_block *copy, uint8_t type, const struct ir_answer *answer)
{
    struct iw_in in = iw_in((struct ib_span){copy->p, copy->n});
    struct ir_runtime *rt = a->rt;
    struct ir_request *rq = rt ? ir_request_take(rt) : NULL;
    if (!rq)
        return rt ? IB_ENOMEM : IB_EDESTROYED;
    int r = ir_request_parse(&in, type, &rq->arena, &rq->info);
    if (r) {
        ir_request_give(rt, rq);
        return r;
    }
    rq->info.block = ib_block_ref(copy);
    rq->rt = rt;
    rq->adapter = a;
    rq->answer = answer;
    ib_list_init(&rq->conn_node);
    ib_list_append(&rt->requests, &rq->node);
    rq->in_dispatch = true;
    dispatch_request(rq);
    rq->in_dispatch = false;
    if (rq->answered)
        ir_request_give(rt, rq);
    return 0;
}

void ir_request_orphan(struct ir_request *rq)
{
    ib_list_remove(&rq->conn_node);
    rq->conn = NULL;
    void (*fn)(void *, struct ir_request *) = rq->on_cancel;
    rq->on_cancel = NULL;
    if (fn)
        fn(rq->cancel_arg, rq);
}
