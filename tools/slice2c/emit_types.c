/* SPDX-License-Identifier: Apache-2.0 */
/* <File>.h: C types and the declarations of their descriptors. */
#include "slice2c.h"

#include <ctype.h>
#include <string.h>

static void emit_guard_name(FILE *out, const struct unit *u)
{
    fputs("SLICE2C_", out);
    for (const char *p = u->include; *p; p++)
        fputc(isalnum((unsigned char)*p) ? toupper((unsigned char)*p) : '_', out);
    fputs("_H", out);
}

static void emit_members(FILE *out, const struct members *m)
{
    for (size_t i = 0; i < m->n; i++) {
        if (m->v[i].tag >= 0)
            fprintf(out, "    bool has_%s;\n", m->v[i].name);
        fputs("    ", out);
        emit_decl(out, m->v[i].type, m->v[i].cname);
        fputs(";\n", out);
    }
}

static void emit_enum(FILE *out, const struct def *d)
{
    fprintf(out, "enum %s {\n", d->cname);
    for (size_t i = 0; i < d->n_enumerators; i++)
        fprintf(out, "    %s_%s = %lld,\n", d->cname, d->enumerators[i].name, (long long)d->enumerators[i].value);
    fprintf(out, "};\nextern const struct iw_type %s_type;\n\n", d->cname);
}

static void emit_struct(FILE *out, const struct def *d)
{
    if (def_is_identity(d)) {
        fprintf(out,
                "#define %s iw_identity\n#define %s_type iw_identity_type\n"
                "extern const struct iw_type iw_identity_type;\n\n",
                d->cname, d->cname);
        return;
    }
    fprintf(out, "struct %s {\n", d->cname);
    emit_members(out, &d->members);
    fprintf(out, "};\nextern const struct iw_type %s_type;\n\n", d->cname);
}

static void emit_container(FILE *out, const struct def *d)
{
    if (d->kind == D_DICT) {
        fprintf(out, "struct %s_entry {\n    ", d->cname);
        emit_decl(out, d->key, "key");
        fputs(";\n    ", out);
        emit_decl(out, d->elem, "value");
        fprintf(out, ";\n};\nstruct %s {\n    size_t n;\n    struct %s_entry *v;\n};\n", d->cname, d->cname);
    } else {
        fprintf(out, "struct %s {\n    size_t n;\n    ", d->cname);
        emit_decl(out, d->elem, "*v");
        fputs(";\n};\n", out);
    }
    fprintf(out, "extern const struct iw_type %s_type;\n\n", d->cname);
}

static void emit_class(FILE *out, const struct def *d)
{
    fprintf(out, "struct %s {\n", d->cname);
    if (d->n_bases)
        fprintf(out, "    struct %s base;\n", d->bases[0]->cname);
    else if (d->kind == D_CLASS)
        fputs("    struct iw_object object;\n", out);
    else if (!d->members.n)
        fputs("    char unused_;\n", out);
    emit_members(out, &d->members);
    fprintf(out, "};\nextern const struct iw_class %s_class;\n", d->cname);
    if (d->kind == D_CLASS)
        fprintf(out,
                "extern const struct iw_type %s_type;\n"
                "struct %s *%s_new(struct ib_arena *arena); /* NULL when memory is short */\n",
                d->cname, d->cname, d->cname);
    fputc('\n', out);
}

static void emit_parameters(FILE *out, const struct op *op, const struct members *m, const char *suffix)
{
    fprintf(out, "struct %s_%s_%s {\n", op->owner->cname, op->name, suffix);
    if (m->n)
        emit_members(out, m);
    else
        fputs("    char unused_;\n", out);
    fputs("};\n", out);
}

/* The parameter types and the exceptions are shown because derived interfaces in other files point to them. */
static void emit_op_tables(FILE *out, const struct op *op)
{
    const char *owner = op->owner->cname;
    if (op->in.n)
        fprintf(out, "extern const struct iw_type %s_%s_in_type;\n", owner, op->name);
    if (op->out.n)
        fprintf(out, "extern const struct iw_type %s_%s_out_type;\n", owner, op->name);
    fprintf(out, "extern const struct iw_class *const %s_%s_throws[];\nextern const struct iw_op %s_%s_op;\n", owner,
            op->name, owner, op->name);
}

static void emit_interface(FILE *out, const struct def *d)
{
    fprintf(out, "extern const struct iw_iface %s_iface;\nextern const struct iw_type %s_prx_type;\n", d->cname,
            d->cname);
    for (size_t i = 0; i < d->n_ops; i++) {
        emit_parameters(out, d->ops[i], &d->ops[i]->in, "in");
        emit_parameters(out, d->ops[i], &d->ops[i]->out, "out");
        emit_op_tables(out, d->ops[i]);
    }
    fputc('\n', out);
}

static void emit_definition(FILE *out, const struct def *d)
{
    switch (d->kind) {
    case D_CONST:
        fprintf(out, "#define %s (%s)\n\n", d->cname, d->value);
        break;
    case D_ENUM:
        emit_enum(out, d);
        break;
    case D_STRUCT:
        emit_struct(out, d);
        break;
    case D_SEQ:
    case D_DICT:
        emit_container(out, d);
        break;
    case D_CLASS:
    case D_EXCEPTION:
        emit_class(out, d);
        break;
    case D_INTERFACE:
        emit_interface(out, d);
        break;
    }
}

void emit_types(FILE *out, const struct unit *u)
{
    emit_head(out, u, "types");
    fputs("#ifndef ", out);
    emit_guard_name(out, u);
    fputs("\n#define ", out);
    emit_guard_name(out, u);
    fputs("\n\n#include <moulin/wire/types.h>\n", out);
    for (size_t i = 0; i < u->n_includes; i++)
        fprintf(out, "#include <%s.h>\n", u->includes[i]->include);
    fputs("\nstruct ib_arena;\n", out);
    for (size_t i = 0; i < u->n_forwards; i++) {
        const struct def *d = u->forwards[i];
        if (d->kind == D_CLASS)
            fprintf(out, "struct %s;\nextern const struct iw_type %s_type;\n", d->cname, d->cname);
        else
            fprintf(out, "extern const struct iw_type %s_prx_type;\n", d->cname);
    }
    fputc('\n', out);
    for (size_t i = 0; i < u->n_defs; i++)
        emit_definition(out, u->defs[i]);
    fputs("#endif\n", out);
}
