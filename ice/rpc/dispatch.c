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
    static const struct iw_op *const ops[] = {&ir_op_ice_ping, &ir_op_ice_isA, &ir_op_ice_id, &ir_op_ice_ids};
    const struct iw_op *op = NULL;
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        if (ib_str_is(rq->info.operation, ops[i]->name))
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

static void request_free(struct ir_request *rq)
{
    ib_arena_fini(&rq->arena);
    ib_block_unref(rq->info.block);
    free(rq);
}

int ir_dispatch(struct ir_conn *c, struct iw_in *in, uint8_t type, uint8_t compression, struct ib_block *block)
{
    struct ir_request *rq = calloc(1, sizeof(*rq));
    if (!rq)
        return IB_ENOMEM;
    ib_arena_init(&rq->arena, c->rt->cfg.arena_limit);
    const uint8_t *start = in->p;
    int r = ir_request_parse(in, type, &rq->arena, &rq->info);
    if (r) {
        request_free(rq);
        return r;
    }
    rq->info.compression = compression;
    rq->info.block = ib_block_ref(block);
    rq->rt = c->rt;
    rq->adapter = c->adapter;
    rq->conn = c;
    ib_list_append(&c->rt->requests, &rq->node);
    ib_list_append(&c->requests, &rq->conn_node);
    rq->bytes = IR_REQUEST_BYTES + (size_t)(in->p - start);
    c->n_requests++;
    if (rq->info.request_id == 0)
        c->n_oneways++;
    c->request_bytes += rq->bytes;
    ic_conn_dispatching(c->net, +1);

    rq->in_dispatch = true;
    dispatch_request(rq);
    rq->in_dispatch = false;
    if (rq->answered)
        request_free(rq);
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
