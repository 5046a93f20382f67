/* SPDX-License-Identifier: Apache-2.0 */
/* The parser's other half: metadata, types, constants and operations. */
#include "slice2c.h"

#include <string.h>

static const char *const builtin_names[B_MAX] = {"bool", "byte", "short", "int", "long", "float", "double", "string"};

/* ["nonmutating", "format:sliced"]: what the wire does not show is accepted and forgotten. */
struct metadata parser_metadata(struct parser *ps)
{
    static const char *const ignored[] = {"amd", "protected", "preserve-slice", "deprecate", "delegate"};
    struct metadata md = {0};
    int close = 0;
    while (parser_accept(ps, "[")) {
        close = parser_accept(ps, "[") ? 2 : 1;
        do {
            if (ps->tok.kind != T_STRING)
                parser_unexpected(ps, "a metadata string");
            const char *s = ps->tok.text;
            bool known = strchr(s, ':') != NULL;
            for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
                known = known || strcmp(s, ignored[i]) == 0;
            if (strcmp(s, "format:sliced") == 0)
                md.sliced = true;
            else if (strcmp(s, "nonmutating") == 0)
                md.nonmutating = true;
            else if (!known)
                fail(ps->tok.pos, "unknown metadata \"%s\"", s);
            parser_advance(ps);
        } while (parser_accept(ps, ","));
        while (close--)
            parser_expect(ps, "]");
    }
    return md;
}

const char *parser_scoped_name(struct parser *ps, const char *what)
{
    const char *name = parser_accept(ps, "::") ? "::" : "";
    name = pool_printf(&ps->m->pool, "%s%s", name, parser_ident(ps, what));
    for (int n = 0; parser_accept(ps, "::"); n++) {
        if (n == PARSER_MODULE_DEPTH)
            fail(ps->tok.pos, "a name has more than %d parts", PARSER_MODULE_DEPTH);
        name = pool_printf(&ps->m->pool, "%s::%s", name, parser_ident(ps, what));
    }
    return name;
}

struct def *parser_resolve(struct parser *ps, const char *name, struct pos pos)
{
    struct def *d = model_lookup(ps->m, ps->scope, name);
    if (!d)
        fail(pos, "'%s' is not defined", name);
    return d;
}

struct type parser_type(struct parser *ps)
{
    struct type t = {.kind = TYPE_BUILTIN};
    for (int b = 0; b < B_MAX; b++) {
        if (parser_accept(ps, builtin_names[b])) {
            t.builtin = (enum builtin)b;
            return t;
        }
    }
    if (parser_accept(ps, "Object")) {
        t.kind = parser_accept(ps, "*") ? TYPE_PROXY : TYPE_OBJECT;
        return t;
    }
    if (parser_accept(ps, "Value")) {
        t.kind = TYPE_OBJECT;
        return t;
    }
    struct pos pos = ps->tok.pos;
    const char *name = parser_scoped_name(ps, "a type");
    t.def = parser_resolve(ps, name, pos);
    t.kind = parser_accept(ps, "*") ? TYPE_PROXY : TYPE_DEF;
    if (t.kind == TYPE_PROXY && t.def->kind != D_INTERFACE)
        fail(pos, "expected an interface before '*', found %s '%s'", def_kind_name(t.def->kind), name);
    if (t.kind == TYPE_DEF && (t.def->kind == D_INTERFACE || t.def->kind == D_EXCEPTION || t.def->kind == D_CONST))
        fail(pos, "expected a type, found %s '%s'", def_kind_name(t.def->kind), name);
    if (t.kind == TYPE_DEF && t.def->kind != D_CLASS && !t.def->defined)
        fail(pos, "%s '%s' cannot contain itself", def_kind_name(t.def->kind), name);
    return t;
}

int64_t parser_int(struct parser *ps, const char *what, int64_t min, int64_t max)
{
    if (ps->tok.kind != T_INT)
        parser_unexpected(ps, what);
    int64_t v = ps->tok.number;
    if (v < min || v > max)
        fail(ps->tok.pos, "%s is %lld, not between %lld and %lld", what, (long long)v, (long long)min, (long long)max);
    parser_advance(ps);
    return v;
}

int32_t parser_optional(struct parser *ps)
{
    if (!parser_accept(ps, "optional"))
        return -1;
    parser_expect(ps, "(");
    int64_t tag = parser_int(ps, "a tag", 0, INT32_MAX);
    parser_expect(ps, ")");
    return (int32_t)tag;
}

static const char *int_value(struct parser *ps, enum builtin b)
{
    static const int64_t min[] = {0, 0, INT16_MIN, INT32_MIN, INT64_MIN};
    static const int64_t max[] = {0, UINT8_MAX, INT16_MAX, INT32_MAX, INT64_MAX};
    int64_t v = parser_int(ps, "the value", min[b], max[b]);
    if (v == INT64_MIN)
        return "INT64_MIN";
    if (v == INT32_MIN)
        return "INT32_MIN";
    return pool_printf(&ps->m->pool, b == B_LONG ? "INT64_C(%lld)" : "%lld", (long long)v);
}

static const char *string_value(struct parser *ps)
{
    if (ps->tok.kind != T_STRING)
        parser_unexpected(ps, "a string");
    char *text = pool_alloc(&ps->m->pool, 4 * strlen(ps->tok.text) + 3), *to = text;
    *to++ = '"';
    for (const char *p = ps->tok.text; *p; p++) {
        if (*p == '"' || *p == '\\' || (unsigned char)*p < ' ' || *p == '?')
            to += sprintf(to, "\\%03o", (unsigned)(unsigned char)*p);
        else
            *to++ = *p;
    }
    *to = '"';
    parser_advance(ps);
    return text;
}

static const char *enum_value(struct parser *ps, const struct def *d)
{
    struct pos pos = ps->tok.pos;
    const char *name = parser_scoped_name(ps, "an enumerator");
    const char *last = strrchr(name, ':') ? strrchr(name, ':') + 1 : name;
    for (size_t i = 0; i < d->n_enumerators; i++)
        if (strcmp(d->enumerators[i].name, last) == 0)
            return pool_printf(&ps->m->pool, "%s_%s", d->cname, last);
    fail(pos, "'%s' is not an enumerator of %s", name, d->id);
}

const char *parser_value(struct parser *ps, struct type t)
{
    if (t.kind == TYPE_DEF && t.def->kind == D_ENUM)
        return enum_value(ps, t.def);
    if (t.kind != TYPE_BUILTIN)
        fail(ps->tok.pos, "only numbers, strings, bools and enumerations have constants");
    switch (t.builtin) {
    case B_BOOL:
        if (!parser_is(ps, "true") && !parser_is(ps, "false"))
            parser_unexpected(ps, "true or false");
        const char *text = ps->tok.text;
        parser_advance(ps);
        return text;
    case B_STRING:
        return string_value(ps);
    case B_FLOAT:
    case B_DOUBLE:
        if (ps->tok.kind != T_FLOAT && ps->tok.kind != T_INT)
            parser_unexpected(ps, "a number");
        const char *digits = ps->tok.text;
        bool whole = ps->tok.kind == T_INT;
        parser_advance(ps);
        return pool_printf(&ps->m->pool, "%s%s%s", digits, whole ? ".0" : "", t.builtin == B_FLOAT ? "f" : "");
    default:
        return int_value(ps, t.builtin);
    }
}

/* --- operations -------------------------------------------------------------------------------------------------- */

static struct member parse_parameter(struct parser *ps, bool *out)
{
    (void)parser_metadata(ps);
    *out = parser_accept(ps, "out");
    struct member mb = {.tag = parser_optional(ps)};
    mb.type = parser_type(ps);
    mb.pos = ps->tok.pos;
    mb.name = parser_ident(ps, "a parameter's name");
    mb.cname = model_cname(ps->m, mb.name);
    if (*out && strcmp(mb.name, "ret") == 0)
        mb.cname = "ret_";
    return mb;
}

static void parse_parameters(struct parser *ps, struct op *op)
{
    bool seen_out = false;
    parser_expect(ps, "(");
    while (!parser_is(ps, ")")) {
        bool out;
        struct member mb = parse_parameter(ps, &out);
        if (!out && seen_out)
            fail(mb.pos, "in-parameter '%s' follows an out-parameter", mb.name);
        for (size_t i = 0; out && i < op->in.n; i++)
            if (strcmp(op->in.v[i].name, mb.name) == 0)
                fail(mb.pos, "'%s' is named twice", mb.name);
        seen_out = out;
        model_add_member(ps->m, out ? &op->out : &op->in, &mb);
        if (!parser_accept(ps, ","))
            break;
    }
    parser_expect(ps, ")");
}

static void parse_throws(struct parser *ps, struct op *op)
{
    do {
        struct pos pos = ps->tok.pos;
        const char *name = parser_scoped_name(ps, "an exception");
        struct def *d = parser_resolve(ps, name, pos);
        if (d->kind != D_EXCEPTION)
            fail(pos, "expected an exception, found %s '%s'", def_kind_name(d->kind), name);
        POOL_PUSH(&ps->m->pool, op->throws, op->n_throws, d);
    } while (parser_accept(ps, ","));
}

void parser_operation(struct parser *ps, struct def *iface, struct metadata inherited)
{
    struct metadata md = parser_metadata(ps);
    struct op *op = pool_alloc(&ps->m->pool, sizeof(*op));
    op->owner = iface;
    op->sliced = md.sliced || inherited.sliced;
    if (parser_accept(ps, "idempotent"))
        op->mode = md.nonmutating ? MODE_NONMUTATING : MODE_IDEMPOTENT;
    else if (md.nonmutating)
        fail(ps->tok.pos, "only an idempotent operation is nonmutating");
    struct member ret = {.name = "ret", .cname = "ret", .tag = -1};
    if (!parser_accept(ps, "void")) {
        ret.tag = parser_optional(ps);
        ret.type = parser_type(ps);
    }
    op->pos = ret.pos = ps->tok.pos;
    op->name = parser_ident(ps, "an operation's name");
    op->cname = model_cname(ps->m, op->name);
    parse_parameters(ps, op);
    for (size_t i = 0; ret.tag >= 0 && i < op->out.n; i++)
        if (op->out.v[i].tag == ret.tag)
            fail(ret.pos, "tag %d of the result is already that of '%s'", ret.tag, op->out.v[i].name);
    if (ret.type.kind != TYPE_VOID)
        POOL_PUSH(&ps->m->pool, op->out.v, op->out.n, ret);
    if (parser_accept(ps, "throws"))
        parse_throws(ps, op);
    parser_expect(ps, ";");
    for (size_t i = 0; i < iface->n_ops; i++)
        if (strcmp(iface->ops[i]->name, op->name) == 0)
            fail(op->pos, "operation '%s' is declared twice", op->name);
    POOL_PUSH(&ps->m->pool, iface->ops, iface->n_ops, op);
}
