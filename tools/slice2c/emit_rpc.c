/* SPDX-License-Identifier: Apache-2.0 */
/* <File>_rpc.h and <File>_rpc.c: servants, replies, throws, calls, and the tables of operations. */
#include "slice2c.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static void emit_servant(FILE *out, const struct def *d)
{
    fprintf(out, "struct %s_servant {\n", d->cname);
    if (!d->n_all_ops)
        fputs("    char unused_;\n", out);
    for (size_t i = 0; i < d->n_all_ops; i++) {
        const struct op *op = d->all_ops[i];
        fprintf(out, "    void (*%s)(void *self, struct ir_request *rq, const struct %s_%s_in *in);\n", op->cname,
                op->owner->cname, op->name);
    }
    fputs("};\n\n", out);
}

static void emit_reply(FILE *out, const char *name, const struct op *op)
{
    fprintf(out, "static inline void %s_reply(struct ir_request *rq, const struct %s_out *out)\n{\n", name, name);
    if (!op->out.n)
        fprintf(out,
                "    static const struct %s_out none;\n    ir_request_reply(rq, &%s_op, out ? out : &none);\n}\n\n",
                name, name);
    else
        fprintf(out, "    ir_request_reply(rq, &%s_op, out);\n}\n\n", name);
}

static void emit_call(FILE *out, const char *name, const struct op *op)
{
    fprintf(out,
            "static inline struct ir_call *%s_call(struct ir_runtime *rt, const struct iw_proxy *prx,\n"
            "    const struct ir_call_options *opt, const struct %s_in *in, ir_reply_fn on_reply, void *arg)\n{\n",
            name, name);
    if (!op->in.n)
        fprintf(out,
                "    static const struct %s_in none;\n"
                "    return ir_call(rt, prx, &%s_op, opt, in ? in : &none, on_reply, arg);\n}\n\n",
                name, name);
    else
        fprintf(out, "    return ir_call(rt, prx, &%s_op, opt, in, on_reply, arg);\n}\n\n", name);
    fprintf(out,
            "static inline const struct %s_out *%s_result(const struct ir_result *r)\n{\n"
            "    return r->outcome == IR_SUCCESS && r->op == &%s_op ? r->out : NULL;\n}\n\n",
            name, name, name);
}

static void emit_exception(FILE *out, const struct def *d)
{
    fprintf(out, "static inline void %s_throw(struct ir_request *rq, const struct %s *ex)\n{\n", d->cname, d->cname);
    if (!d->has_members)
        fprintf(out, "    static const struct %s none;\n    ir_request_throw(rq, &%s_class, ex ? ex : &none);\n}\n\n",
                d->cname, d->cname);
    else
        fprintf(out, "    ir_request_throw(rq, &%s_class, ex);\n}\n\n", d->cname);
    fprintf(out,
            "static inline const struct %s *%s_caught(const struct ir_result *r)\n{\n"
            "    return r->outcome == IR_THROWN && r->exception && iw_class_is_a(r->exception, &%s_class) ? r->value : "
            "NULL;\n"
            "}\n\n",
            d->cname, d->cname, d->cname);
}

void emit_rpc_header(FILE *out, const struct unit *u)
{
    struct pool pool = {0};
    char *guard = pool_printf(&pool, "SLICE2C_%s_RPC_H", u->include);
    for (char *p = guard; *p; p++)
        *p = isalnum((unsigned char)*p) ? (char)toupper((unsigned char)*p) : '_';
    emit_head(out, u, "typed requests and calls");
    fprintf(out, "#ifndef %s\n#define %s\n\n", guard, guard);
    fprintf(out, "#include <moulin/rpc/call.h>\n#include <moulin/rpc/request.h>\n#include <%s.h>\n", u->include);
    for (size_t i = 0; i < u->n_includes; i++)
        fprintf(out, "#include <%s_rpc.h>\n", u->includes[i]->include);
    fputc('\n', out);
    for (size_t i = 0; i < u->n_defs; i++) {
        const struct def *d = u->defs[i];
        if (d->kind == D_EXCEPTION)
            emit_exception(out, d);
        if (d->kind != D_INTERFACE)
            continue;
        emit_servant(out, d);
        for (size_t j = 0; j < d->n_ops; j++) {
            const char *name = pool_printf(&pool, "%s_%s", d->cname, d->ops[j]->name);
            emit_reply(out, name, d->ops[j]);
            emit_call(out, name, d->ops[j]);
        }
    }
    fputs("#endif\n", out);
    pool_free(&pool);
}

/* --- tables --------------------------------------------------------------------------------------------------------
 */

static void emit_parameters(FILE *out, struct model *m, const struct op *op, const struct members *mb,
                            const char *suffix)
{
    if (!mb->n)
        return;
    const char *cstruct = pool_printf(&m->pool, "%s_%s_%s", op->owner->cname, op->name, suffix);
    const char *table = pool_printf(&m->pool, "%s_fields", cstruct);
    emit_fields(out, mb, table, cstruct);
    fprintf(out,
            "const struct iw_type %s_type = {\n    .id = \"%s::%s/%s\",\n    .kind = IW_STRUCT,\n"
            "    .size = sizeof(struct %s),\n    .min_wire = %u,\n    .fixed = %s,\n    .has_class = %s,\n    .fields "
            "= %s,\n"
            "    .n_fields = %zu,\n};\n",
            cstruct, op->owner->id, op->name, suffix, cstruct, (unsigned)members_min_wire(mb),
            members_fixed(mb) ? "true" : "false", members_have_class(mb) ? "true" : "false", table, mb->n);
}

static void emit_throws(FILE *out, const struct op *op)
{
    fprintf(out, "const struct iw_class *const %s_%s_throws[] = {", op->owner->cname, op->name);
    for (size_t i = 0; i < op->n_throws; i++)
        fprintf(out, "&%s_class, ", op->throws[i]->cname);
    fputs("NULL};\n", out);
}

/* The thunk knows where the handler stands in this interface's servant struct. That is why an inherited operation has
   an entry of its own in each derived interface, with the declaring interface's types. */
static void emit_op(FILE *out, const struct def *d, const struct op *op)
{
    static const char *const modes[] = {"IW_NORMAL", "IW_NONMUTATING", "IW_IDEMPOTENT"};
    const char *owner = op->owner->cname;
    fprintf(out,
            "static void %s_%s_thunk(const void *vtable, void *self, struct ir_request *rq, const void *in)\n{\n"
            "    const struct %s_servant *servant = vtable;\n    if (servant->%s)\n        servant->%s(self, rq, in);\n"
            "    else\n        ir_request_fail(rq, IR_OPERATION_NOT_EXIST, NULL);\n}\n",
            d->cname, op->name, d->cname, op->cname, op->cname);
    fprintf(out, "%sconst struct iw_op %s_%s_op = {\n    .name = \"%s\",\n    .mode = %s,\n    .sliced = %s,\n",
            op->owner == d ? "" : "static ", d->cname, op->name, op->name, modes[op->mode],
            op->sliced ? "true" : "false");
    if (op->in.n)
        fprintf(out, "    .in = &%s_%s_in_type,\n", owner, op->name);
    else
        fputs("    .in = &iw_empty,\n", out);
    if (op->out.n)
        fprintf(out, "    .out = &%s_%s_out_type,\n", owner, op->name);
    else
        fputs("    .out = &iw_empty,\n", out);
    fprintf(out, "    .throws = %s_%s_throws,\n    .call = %s_%s_thunk,\n};\n\n", owner, op->name, d->cname, op->name);
}

static int compare_ids(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

static void add_ids(struct model *m, const struct def *d, const char ***ids, size_t *n)
{
    for (size_t i = 0; i < *n; i++)
        if (strcmp((*ids)[i], d->id) == 0)
            return;
    POOL_PUSH(&m->pool, *ids, *n, d->id);
    for (size_t i = 0; i < d->n_bases; i++)
        add_ids(m, d->bases[i], ids, n);
}

static void emit_iface(FILE *out, struct model *m, const struct def *d)
{
    const char **ids = NULL;
    size_t n = 0;
    POOL_PUSH(&m->pool, ids, n, "::Ice::Object");
    add_ids(m, d, &ids, &n);
    qsort(ids, n, sizeof(*ids), compare_ids);
    fprintf(out, "static const char *const %s_ids[] = {\n", d->cname);
    for (size_t i = 0; i < n; i++)
        fprintf(out, "    \"%s\",\n", ids[i]);
    fputs("};\n", out);
    if (d->n_all_ops) {
        fprintf(out, "static const struct iw_op *const %s_ops[] = {\n", d->cname);
        for (size_t i = 0; i < d->n_all_ops; i++)
            fprintf(out, "    &%s_%s_op,\n", d->cname, d->all_ops[i]->name);
        fputs("};\n", out);
    }
    fprintf(out,
            "const struct iw_iface %s_iface = {\n    .id = \"%s\",\n    .ids = %s_ids,\n    .n_ids = %zu,\n"
            "    .ops = %s%s,\n    .n_ops = %zu,\n};\n\n",
            d->cname, d->id, d->cname, n, d->n_all_ops ? d->cname : "NULL", d->n_all_ops ? "_ops" : "", d->n_all_ops);
}

void emit_rpc_tables(FILE *out, struct model *m, const struct unit *u)
{
    emit_head(out, u, "operation tables");
    fprintf(out, "#include <%s_rpc.h>\n\n#include <moulin/wire/codec.h>\n\n", u->include);
    for (size_t i = 0; i < u->n_defs; i++) {
        const struct def *d = u->defs[i];
        if (d->kind != D_INTERFACE)
            continue;
        for (size_t j = 0; j < d->n_ops; j++) {
            emit_parameters(out, m, d->ops[j], &d->ops[j]->in, "in");
            emit_parameters(out, m, d->ops[j], &d->ops[j]->out, "out");
            emit_throws(out, d->ops[j]);
        }
        for (size_t j = 0; j < d->n_all_ops; j++)
            emit_op(out, d, d->all_ops[j]);
        emit_iface(out, m, d);
    }
}
