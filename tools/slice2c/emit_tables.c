/* SPDX-License-Identifier: Apache-2.0 */
/* <File>.c: the descriptor tables of types, classes and exceptions, and the constructors of classes. */
#include "slice2c.h"

static const char *flag(bool b)
{
    return b ? "true" : "false";
}

static void emit_enum(FILE *out, const struct def *d)
{
    int64_t max = 0;
    for (size_t i = 0; i < d->n_enumerators; i++)
        if (d->enumerators[i].value > max)
            max = d->enumerators[i].value;
    bool dense = (uint64_t)max + 1 == d->n_enumerators; /* values are distinct */
    if (dense) {
        fprintf(out, "static const char *const %s_names[] = {\n", d->cname);
        for (size_t i = 0; i < d->n_enumerators; i++)
            fprintf(out, "    [%lld] = \"%s\",\n", (long long)d->enumerators[i].value, d->enumerators[i].name);
        fputs("};\n", out);
    }
    fprintf(out,
            "static_assert(sizeof(enum %s) == sizeof(int32_t), \"the engine reads enumerations as int32_t\");\n"
            "const struct iw_type %s_type = {\n    .id = \"%s\",\n    .kind = IW_ENUM,\n    .size = sizeof(enum %s),\n"
            "    .min_wire = 1,\n    .enum_max = %lld,\n",
            d->cname, d->cname, d->id, d->cname, (long long)max);
    if (dense)
        fprintf(out, "    .enum_names = %s_names,\n", d->cname);
    fputs("};\n\n", out);
}

/* ::Ice::Identity is the engine's own: what it lays out must be what the Slice file says. */
static void emit_identity_check(FILE *out, const struct def *d)
{
    for (size_t i = 0; i < d->members.n; i++)
        fprintf(out,
                "static_assert(offsetof(struct iw_identity, %s) == %zu * sizeof(struct ib_str), "
                "\"::Ice::Identity is not struct iw_identity\");\n",
                d->members.v[i].name, i);
    fprintf(out,
            "static_assert(sizeof(struct iw_identity) == %zu * sizeof(struct ib_str), "
            "\"::Ice::Identity is not struct iw_identity\");\n\n",
            d->members.n);
}

static void emit_struct(FILE *out, struct model *m, const struct def *d)
{
    if (def_is_identity(d)) {
        emit_identity_check(out, d);
        return;
    }
    const char *table = pool_printf(&m->pool, "%s_fields", d->cname);
    emit_fields(out, &d->members, table, d->cname);
    fprintf(
        out,
        "const struct iw_type %s_type = {\n    .id = \"%s\",\n    .kind = IW_STRUCT,\n    .size = sizeof(struct %s),\n"
        "    .min_wire = %u,\n    .fixed = %s,\n    .has_class = %s,\n    .fields = %s,\n    .n_fields = %zu,\n};\n\n",
        d->cname, d->id, d->cname, (unsigned)d->min_wire, flag(d->fixed), flag(d->has_class), table, d->members.n);
}

static void emit_container(FILE *out, const struct def *d)
{
    fprintf(
        out,
        "static_assert(sizeof(struct %s) == sizeof(struct iw_seq) && offsetof(struct %s, v) == offsetof(struct iw_seq, "
        "v),\n              \"the engine reads it as struct iw_seq\");\n",
        d->cname, d->cname);
    if (d->kind == D_DICT)
        fprintf(out, "static_assert(offsetof(struct %s_entry, key) == 0, \"the key stands first\");\n", d->cname);
    fprintf(out,
            "const struct iw_type %s_type = {\n    .id = \"%s\",\n    .kind = %s,\n    .size = sizeof(struct %s),\n"
            "    .min_wire = 1,\n    .has_class = %s,\n    .elem = ",
            d->cname, d->id, d->kind == D_DICT ? "IW_DICT" : "IW_SEQ", d->cname, flag(d->has_class));
    emit_desc(out, d->elem);
    if (d->kind == D_DICT) {
        fputs(",\n    .key = ", out);
        emit_desc(out, d->key);
        fprintf(out,
                ",\n    .entry_size = sizeof(struct %s_entry),\n    .value_offset = offsetof(struct %s_entry, value)",
                d->cname, d->cname);
    }
    fputs(",\n};\n\n", out);
}

/* Defaults of the whole chain; path leads from the new object to the level's struct. */
static void emit_defaults(FILE *out, struct model *m, const struct def *d)
{
    const char *path = "";
    for (; d; d = d->n_bases ? d->bases[0] : NULL) {
        for (size_t i = 0; i < d->members.n; i++) {
            const struct member *mb = &d->members.v[i];
            if (!mb->init)
                continue;
            if (mb->type.kind == TYPE_BUILTIN && mb->type.builtin == B_STRING)
                fprintf(out, "    c->%s%s = IB_STR(%s);\n", path, mb->cname, mb->init);
            else
                fprintf(out, "    c->%s%s = %s;\n", path, mb->cname, mb->init);
            if (mb->tag >= 0)
                fprintf(out, "    c->%shas_%s = true;\n", path, mb->name);
        }
        path = pool_printf(&m->pool, "%sbase.", path);
    }
}

static void emit_constructor(FILE *out, struct model *m, const struct def *d)
{
    fprintf(out,
            "struct %s *%s_new(struct ib_arena *arena)\n{\n    struct %s *c = ib_arena_alloc(arena, sizeof(*c));\n"
            "    if (!c)\n        return NULL;\n    c->",
            d->cname, d->cname, d->cname);
    for (const struct def *b = d; b->n_bases; b = b->bases[0])
        fputs("base.", out);
    fprintf(out, "object.cls = &%s_class;\n", d->cname);
    emit_defaults(out, m, d);
    fputs("    return c;\n}\n\n", out);
}

static void emit_class(FILE *out, struct model *m, const struct def *d)
{
    const char *table = d->members.n ? pool_printf(&m->pool, "%s_fields", d->cname) : "NULL";
    emit_fields(out, &d->members, table, d->cname);
    if (d->n_bases)
        fprintf(out, "static_assert(offsetof(struct %s, base) == 0, \"the base stands first\");\n", d->cname);
    fprintf(out, "const struct iw_class %s_class = {\n    .id = \"%s\",\n", d->cname, d->id);
    if (d->n_bases)
        fprintf(out, "    .base = &%s_class,\n", d->bases[0]->cname);
    fprintf(out,
            "    .compact_id = %d,\n    .is_exception = %s,\n    .has_class = %s,\n    .size = sizeof(struct %s),\n"
            "    .fields = %s,\n    .n_fields = %zu,\n};\n",
            (int)d->compact_id, flag(d->kind == D_EXCEPTION), flag(d->has_class), d->cname, table, d->members.n);
    if (d->kind == D_CLASS) {
        fprintf(
            out,
            "const struct iw_type %s_type = {\n    .id = \"%s\",\n    .kind = IW_CLASS,\n"
            "    .size = sizeof(struct %s *),\n    .min_wire = 1,\n    .has_class = true,\n    .cls = &%s_class,\n};\n",
            d->cname, d->id, d->cname, d->cname);
        emit_constructor(out, m, d);
    } else {
        fputc('\n', out);
    }
}

static void emit_proxy(FILE *out, const struct def *d)
{
    fprintf(out,
            "const struct iw_type %s_prx_type = {\n    .id = \"%s*\",\n    .kind = IW_PROXY,\n"
            "    .size = sizeof(struct iw_proxy *),\n    .min_wire = 2,\n    .proxy_id = \"%s\",\n};\n\n",
            d->cname, d->id, d->id);
}

void emit_tables(FILE *out, struct model *m, const struct unit *u)
{
    emit_head(out, u, "type tables");
    fprintf(
        out,
        "#include <%s.h>\n\n#include <assert.h>\n#include <moulin/base/arena.h>\n#include <moulin/wire/codec.h>\n\n",
        u->include);
    for (size_t i = 0; i < u->n_defs; i++) {
        const struct def *d = u->defs[i];
        switch (d->kind) {
        case D_CONST:
            break;
        case D_ENUM:
            emit_enum(out, d);
            break;
        case D_STRUCT:
            emit_struct(out, m, d);
            break;
        case D_SEQ:
        case D_DICT:
            emit_container(out, d);
            break;
        case D_CLASS:
        case D_EXCEPTION:
            emit_class(out, m, d);
            break;
        case D_INTERFACE:
            emit_proxy(out, d);
            break;
        }
    }
}
