/* SPDX-License-Identifier: Apache-2.0 */
/* What a reply says (ice-protocol 8.3), decoded for typed calls and left alone for raw ones. */
#include "rpc_priv.h"

#include <stddef.h>
#include <stdio.h>

static void local_failure(struct ir_result *r, int code, const char *text)
{
    r->outcome = IR_FAILED_LOCAL;
    r->out = NULL;
    ib_err_set(&r->err, code, "%s", text ? text : ib_err_text(code));
}

/* A user exception the operation does not declare is UnknownUserException at the client (8.3). */
static bool declared(const struct iw_op *op, const struct iw_class *cls)
{
    for (const struct iw_class *const *t = op->throws; t && *t; t++) {
        if (iw_class_is_a(cls, *t))
            return true;
    }
    return false;
}

static void decode_exception(struct ir_call *c, struct ib_span body, struct ir_result *r)
{
    const struct iw_class *cls = NULL;
    void *value = NULL;
    struct ib_str unknown = IB_STR("");
    int e = iw_decode_exception(body, c->rt->types, c->rt->cfg.limits, &c->arena, &cls, &value, &unknown);
    if (e && e != IB_ENOFACTORY) {
        local_failure(r, e, NULL);
        return;
    }
    r->outcome = IR_THROWN;
    if (!e && declared(c->op, cls)) {
        r->exception = cls;
        r->value = value;
        ib_err_set(&r->err, IB_EUNKNOWN, "%s", cls->id);
    } else {
        ib_err_set(&r->err, IB_EUNKNOWN, "unknown user exception %s", e ? ib_cstr(unknown) : cls->id);
    }
}

static void decode_not_exist(struct ib_span body, struct ir_result *r)
{
    struct iw_in in = iw_in(body);
    r->id.name = iw_in_str(&in);
    r->id.category = iw_in_str(&in);
    size_t n = iw_in_size(&in);
    if (n > 1)
        in.err = IB_EMARSHAL;
    r->facet = n == 1 ? iw_in_str(&in) : IB_STR("");
    r->operation = iw_in_str(&in);
    if (in.err) {
        local_failure(r, in.err, NULL);
        return;
    }
    static const char *const names[] = {"ObjectNotExist", "FacetNotExist", "OperationNotExist"};
    char id[160], facet[80], op[80];
    ib_err_set(&r->err, IB_ENOTFOUND, "%sException: identity `%s' facet `%s' operation `%s'",
               names[r->raw_status - IR_OBJECT_NOT_EXIST], ib_log_escape(r->id.name, id, sizeof(id)),
               ib_log_escape(r->facet, facet, sizeof(facet)), ib_log_escape(r->operation, op, sizeof(op)));
}

static void decode_unknown(struct ib_span body, struct ir_result *r)
{
    struct iw_in in = iw_in(body);
    struct ib_str text = iw_in_str(&in);
    if (in.err) {
        local_failure(r, in.err, NULL);
        return;
    }
    static const char *const names[] = {"UnknownLocalException", "UnknownUserException", "UnknownException"};
    char safe[400];
    ib_err_set(&r->err, IB_EUNKNOWN, "%s: %s", names[r->raw_status - IR_UNKNOWN_LOCAL],
               ib_log_escape(text, safe, sizeof(safe)));
}

/* The body is left alone, but it is one encapsulation: whoever gets it reads that much of it. */
static void raw_outcome(struct ir_result *r)
{
    struct iw_encoding encoding;
    size_t size = 0;
    int e = iw_encaps_peek(r->raw, &size, &encoding);
    if (e) {
        local_failure(r, e, NULL);
        return;
    }
    r->raw.n = size;
    r->outcome = r->raw_status == IR_OK ? IR_SUCCESS : IR_THROWN;
}

void ir_result_init(struct ir_result *r, struct ir_call *c)
{
    memset(r, 0, offsetof(struct ir_result, err)); /* not the text, which is long */
    r->err.code = 0;
    r->err.text[0] = '\0';
    r->op = c->op;
    r->conn = c->conn;
    r->arena = &c->arena;
}

void ir_reply_decode(struct ir_call *c, const struct ic_frame *f, struct ib_span reply, struct ir_result *r)
{
    ir_result_init(r, c);
    r->status = IR_OK;
    r->compression = f->compression;
    r->raw_status = reply.p[0];
    r->raw = (struct ib_span){reply.p + 1, reply.n - 1};
    r->block = f->block;
    if (r->raw_status > IR_UNKNOWN) {
        char text[40];
        snprintf(text, sizeof(text), "unknown reply status %u", r->raw_status);
        local_failure(r, IB_EREPLYSTATUS, text);
        return;
    }
    r->status = (enum ir_status)r->raw_status;
    if (r->raw_status >= IR_OBJECT_NOT_EXIST) {
        r->outcome = IR_FAILED_STATUS;
        if (r->raw_status <= IR_OPERATION_NOT_EXIST)
            decode_not_exist(r->raw, r);
        else
            decode_unknown(r->raw, r);
        return;
    }
    if (c->kind == IR_CALL_RAW) {
        raw_outcome(r);
        return;
    }
    if (r->raw_status == IR_USER_EXCEPTION) {
        decode_exception(c, r->raw, r);
        return;
    }
    void *out = NULL;
    int e = iw_decode_params(c->op->out, r->raw, c->rt->types, c->rt->cfg.limits, &c->arena, &out);
    r->outcome = IR_SUCCESS;
    r->out = out;
    if (e)
        local_failure(r, e, NULL);
}

/* The member "reason" of an exception, wherever in its chain it is declared. */
static struct ib_str reason_of(const struct iw_class *cls, const void *value)
{
    for (; cls && value; cls = cls->base) {
        for (uint32_t i = 0; i < cls->n_fields; i++) {
            const struct iw_field *f = &cls->fields[i];
            if (f->type->kind == IW_STRING && strcmp(f->name, "reason") == 0)
                return *(const struct ib_str *)(const void *)((const char *)value + f->offset);
        }
    }
    return IB_STR("");
}

const char *ir_result_text(const struct ir_result *r, char *out, size_t cap)
{
    char safe[400];
    if (r->outcome == IR_SUCCESS) {
        snprintf(out, cap, "success");
    } else if (r->outcome == IR_THROWN && r->exception) {
        struct ib_str reason = reason_of(r->exception, r->value);
        snprintf(out, cap, "%s%s%s", r->exception->id, reason.n ? ": " : "", ib_log_escape(reason, safe, sizeof(safe)));
    } else if (r->outcome == IR_FAILED_LOCAL) {
        snprintf(out, cap, "::Ice::%s: %s", ib_err_ice_name(r->err.code), r->err.text);
    } else {
        snprintf(out, cap, "%s", r->err.text[0] ? r->err.text : "user exception");
    }
    return out;
}
