/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens to definitions: files, modules and everything a module may hold. Types, values and operations are read by
   parser_types.c. A type is known once its definition has been read, so nothing can contain or extend itself. */
#include "slice2c.h"

#include <stdlib.h>
#include <string.h>

#define SOURCE_MAX (4u << 20)

_Noreturn void parser_unexpected(const struct parser *ps, const char *expected)
{
    fail(ps->tok.pos, "expected %s, found %s", expected, token_describe(&ps->m->pool, &ps->tok));
}

void parser_advance(struct parser *ps)
{
    ps->tok = lexer_next(&ps->lx);
}

bool parser_is(const struct parser *ps, const char *text)
{
    return (ps->tok.kind == T_KEYWORD || ps->tok.kind == T_PUNCT) && strcmp(ps->tok.text, text) == 0;
}

bool parser_accept(struct parser *ps, const char *text)
{
    if (!parser_is(ps, text))
        return false;
    parser_advance(ps);
    return true;
}

void parser_expect(struct parser *ps, const char *text)
{
    if (!parser_accept(ps, text))
        parser_unexpected(ps, pool_printf(&ps->m->pool, "'%s'", text));
}

const char *parser_ident(struct parser *ps, const char *what)
{
    if (ps->tok.kind != T_IDENT)
        parser_unexpected(ps, what);
    const char *name = ps->tok.text;
    parser_advance(ps);
    return name;
}

/* A list after '{' up to '}': each item ends with ';'. */
static void parse_data_members(struct parser *ps, struct def *d, bool optionals)
{
    struct model *m = ps->m;
    parser_expect(ps, "{");
    while (!parser_accept(ps, "}")) {
        (void)parser_metadata(ps);
        struct member mb = {.pos = ps->tok.pos, .tag = parser_optional(ps)};
        if (mb.tag >= 0 && !optionals)
            fail(mb.pos, "a struct has no optional members");
        mb.type = parser_type(ps);
        mb.pos = ps->tok.pos;
        mb.name = parser_ident(ps, "a member's name");
        mb.cname = model_cname(m, mb.name);
        /* The embedded base and the class instance's head have these names in C. */
        if (d->kind != D_STRUCT && (strcmp(mb.name, "base") == 0 || strcmp(mb.name, "object") == 0))
            mb.cname = pool_printf(&m->pool, "%s_", mb.name);
        if (parser_accept(ps, "="))
            mb.init = parser_value(ps, mb.type);
        parser_expect(ps, ";");
        model_add_member(m, &d->members, &mb);
    }
}

static void parse_const(struct parser *ps)
{
    struct pos pos = ps->tok.pos;
    struct type t = parser_type(ps);
    const char *name = parser_ident(ps, "a constant's name");
    parser_expect(ps, "=");
    const char *value = parser_value(ps, t);
    struct def *d = model_define(ps->m, ps->unit, D_CONST, ps->scope, name, pos, false);
    d->elem = t;
    d->value = value;
    model_complete(d);
}

static void parse_enum(struct parser *ps)
{
    struct pos pos = ps->tok.pos;
    const char *name = parser_ident(ps, "an enumeration's name");
    struct def *d = model_define(ps->m, ps->unit, D_ENUM, ps->scope, name, pos, false);
    parser_expect(ps, "{");
    int64_t next = 0;
    while (!parser_is(ps, "}")) {
        struct enumerator e = {.value = next};
        pos = ps->tok.pos;
        e.name = parser_ident(ps, "an enumerator");
        if (parser_accept(ps, "="))
            e.value = parser_int(ps, "an enumerator's value", 0, INT32_MAX);
        if (e.value > INT32_MAX)
            fail(pos, "the value of enumerator '%s' is greater than %d", e.name, INT32_MAX);
        for (size_t i = 0; i < d->n_enumerators; i++)
            if (strcmp(d->enumerators[i].name, e.name) == 0 || d->enumerators[i].value == e.value)
                fail(pos, "enumerator '%s' has the name or value of '%s'", e.name, d->enumerators[i].name);
        POOL_PUSH(&ps->m->pool, d->enumerators, d->n_enumerators, e);
        next = e.value + 1;
        if (!parser_accept(ps, ","))
            break;
    }
    parser_expect(ps, "}");
    if (!d->n_enumerators)
        fail(d->pos, "enumeration '%s' is empty", name);
    model_complete(d);
}

static void parse_struct(struct parser *ps)
{
    struct pos pos = ps->tok.pos;
    const char *name = parser_ident(ps, "a struct's name");
    struct def *d = model_define(ps->m, ps->unit, D_STRUCT, ps->scope, name, pos, false);
    parse_data_members(ps, d, false);
    if (!d->members.n)
        fail(pos, "struct '%s' is empty", name);
    model_complete(d);
}

static void parse_sequence(struct parser *ps)
{
    parser_expect(ps, "<");
    (void)parser_metadata(ps);
    struct type elem = parser_type(ps);
    parser_expect(ps, ">");
    struct pos pos = ps->tok.pos;
    const char *name = parser_ident(ps, "a sequence's name");
    struct def *d = model_define(ps->m, ps->unit, D_SEQ, ps->scope, name, pos, false);
    d->elem = elem;
    model_complete(d);
}

static void parse_dictionary(struct parser *ps)
{
    parser_expect(ps, "<");
    (void)parser_metadata(ps);
    struct pos key_pos = ps->tok.pos;
    struct type key = parser_type(ps);
    if (!type_is_key(key))
        fail(key_pos, "a dictionary's key is an integer, bool, string, enumeration or a struct of those");
    parser_expect(ps, ",");
    (void)parser_metadata(ps);
    struct type value = parser_type(ps);
    parser_expect(ps, ">");
    struct pos pos = ps->tok.pos;
    const char *name = parser_ident(ps, "a dictionary's name");
    struct def *d = model_define(ps->m, ps->unit, D_DICT, ps->scope, name, pos, false);
    d->key = key;
    d->elem = value;
    model_complete(d);
}

static struct def *parse_base(struct parser *ps, const struct def *d)
{
    struct pos pos = ps->tok.pos;
    const char *name = parser_scoped_name(ps, "a base's name");
    struct def *base = parser_resolve(ps, name, pos);
    if (base->kind != d->kind)
        fail(pos, "expected a%s %s to extend, found %s '%s'", d->kind == D_STRUCT ? "" : "n earlier",
             def_kind_name(d->kind), def_kind_name(base->kind), name);
    if (base == d)
        fail(pos, "'%s' extends itself", d->name);
    if (!base->defined)
        fail(pos, "'%s' extends '%s', which is not defined yet", d->name, name);
    return base;
}

/* Members of a base may not be named again: in C they would hide nothing, but on paper they would confuse. */
static void check_inherited_tags(const struct def *d)
{
    for (const struct def *b = d->n_bases ? d->bases[0] : NULL; b; b = b->n_bases ? b->bases[0] : NULL)
        for (size_t i = 0; i < b->members.n; i++)
            for (size_t j = 0; j < d->members.n; j++)
                if (strcmp(b->members.v[i].name, d->members.v[j].name) == 0)
                    fail(d->members.v[j].pos, "'%s' is already a member of %s", d->members.v[j].name, b->id);
}

static void parse_class(struct parser *ps, enum def_kind kind)
{
    struct pos pos = ps->tok.pos;
    const char *name = parser_ident(ps, kind == D_CLASS ? "a class's name" : "an exception's name");
    if (parser_is(ps, ";")) {
        if (kind != D_CLASS)
            parser_unexpected(ps, "'{' or 'extends'");
        model_define(ps->m, ps->unit, kind, ps->scope, name, pos, true);
        return;
    }
    struct def *d = model_define(ps->m, ps->unit, kind, ps->scope, name, pos, false);
    if (kind == D_CLASS && parser_accept(ps, "(")) {
        d->compact_id = (int32_t)parser_int(ps, "a compact id", 0, INT32_MAX);
        parser_expect(ps, ")");
    }
    if (parser_accept(ps, "extends") || parser_accept(ps, ":")) {
        struct def *base = parse_base(ps, d);
        POOL_PUSH(&ps->m->pool, d->bases, d->n_bases, base);
    }
    parse_data_members(ps, d, true);
    check_inherited_tags(d);
    model_complete(d);
}

static void parse_interface(struct parser *ps, struct metadata md)
{
    struct pos pos = ps->tok.pos;
    const char *name = parser_ident(ps, "an interface's name");
    if (parser_is(ps, ";")) {
        model_define(ps->m, ps->unit, D_INTERFACE, ps->scope, name, pos, true);
        return;
    }
    struct def *d = model_define(ps->m, ps->unit, D_INTERFACE, ps->scope, name, pos, false);
    if (parser_accept(ps, "extends") || parser_accept(ps, ":")) {
        do {
            struct def *base = parse_base(ps, d);
            POOL_PUSH(&ps->m->pool, d->bases, d->n_bases, base);
        } while (parser_accept(ps, ","));
    }
    parser_expect(ps, "{");
    while (!parser_accept(ps, "}"))
        parser_operation(ps, d, md);
    model_collect_ops(ps->m, d);
    model_complete(d);
}

static void parse_definitions(struct parser *ps);

static void parse_module(struct parser *ps)
{
    if (ps->module_depth == PARSER_MODULE_DEPTH)
        fail(ps->tok.pos, "modules are nested more than %d deep", PARSER_MODULE_DEPTH);
    const char *outer = ps->scope;
    const char *name = parser_ident(ps, "a module's name");
    ps->scope = pool_printf(&ps->m->pool, "%s::%s", outer, name);
    ps->module_depth++;
    parser_expect(ps, "{");
    parse_definitions(ps);
    parser_expect(ps, "}");
    ps->module_depth--;
    ps->scope = outer;
}

/* Up to the '}' of a module or the end of the file. The ';' after a body may be left out, as in Slice. */
static void parse_definitions(struct parser *ps)
{
    while (ps->tok.kind != T_EOF && !parser_is(ps, "}")) {
        struct metadata md = parser_metadata(ps);
        bool body = true;
        if (parser_accept(ps, "module")) {
            parse_module(ps);
        } else if (parser_accept(ps, "const")) {
            parse_const(ps);
            body = false;
        } else if (parser_accept(ps, "enum")) {
            parse_enum(ps);
        } else if (parser_accept(ps, "struct")) {
            parse_struct(ps);
        } else if (parser_accept(ps, "sequence")) {
            parse_sequence(ps);
            body = false;
        } else if (parser_accept(ps, "dictionary")) {
            parse_dictionary(ps);
            body = false;
        } else if (parser_accept(ps, "class")) {
            parse_class(ps, D_CLASS);
        } else if (parser_accept(ps, "exception")) {
            parse_class(ps, D_EXCEPTION);
        } else if (parser_accept(ps, "interface")) {
            parse_interface(ps, md);
        } else {
            parser_unexpected(ps, "a definition");
        }
        if (!parser_accept(ps, ";") && !body)
            parser_unexpected(ps, "';'");
    }
}

/* --- files ------------------------------------------------------------------------------------------------------- */

static char *read_file(struct pool *pool, const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    char *text = pool_alloc(pool, SOURCE_MAX + 1);
    *n = fread(text, 1, SOURCE_MAX + 1, f);
    bool bad = ferror(f) != 0;
    fclose(f);
    if (bad)
        fail((struct pos){path, 0}, "cannot be read");
    if (*n > SOURCE_MAX)
        fail((struct pos){path, 0}, "is larger than %u bytes", SOURCE_MAX);
    return text;
}

static const char *without_suffix(struct model *m, const char *path)
{
    size_t n = strlen(path);
    return pool_copy(&m->pool, path, n > 4 && strcmp(path + n - 4, ".ice") == 0 ? n - 4 : n);
}

static void parse_includes(struct parser *ps)
{
    while (ps->tok.kind == T_INCLUDE) {
        struct unit *u = parser_file(ps->m, ps->tok.text, ps->tok.pos, ps->include_depth + 1);
        POOL_PUSH(&ps->m->pool, ps->unit->includes, ps->unit->n_includes, u);
        parser_advance(ps);
    }
}

/* path is relative to one of the include directories. A file is read once; one that includes itself through others
   finds itself already there. */
struct unit *parser_file(struct model *m, const char *path, struct pos from, int depth)
{
    struct parser ps = {.m = m, .scope = "", .include_depth = depth};
    size_t n = 0;
    char *text = NULL;
    if (depth > PARSER_INCLUDE_DEPTH)
        fail(from, "files include one another more than %d deep", PARSER_INCLUDE_DEPTH);
    for (size_t i = 0; i < m->n_dirs && !text; i++) {
        const char *file = pool_printf(&m->pool, "%s/%s", m->dirs[i].dir, path);
        const char *include = pool_printf(&m->pool, "%s/%s", m->dirs[i].prefix, without_suffix(m, path));
        for (size_t j = 0; j < m->n_units; j++)
            if (strcmp(m->units[j]->file, file) == 0)
                return m->units[j];
        text = read_file(&m->pool, file, &n);
        if (text) {
            ps.unit = pool_alloc(&m->pool, sizeof(*ps.unit));
            ps.unit->file = file;
            ps.unit->include = include;
        }
    }
    if (!text)
        fail(from, "cannot find '%s' in any -I directory", path);
    POOL_PUSH(&m->pool, m->units, m->n_units, ps.unit);
    ps.lx = (struct lexer){.pool = &m->pool, .p = text, .end = text + n, .pos = {ps.unit->file, 1}, .line_start = true};
    parser_advance(&ps);
    parse_includes(&ps);
    parse_definitions(&ps);
    if (ps.tok.kind != T_EOF)
        parser_unexpected(&ps, "a definition or end of file");
    return ps.unit;
}
