/* SPDX-License-Identifier: Apache-2.0 */
/* The model: definitions by name, and what follows from them (sizes on the wire, which types hold classes, the full
   list of an interface's operations). */
#include "slice2c.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const reserved[] = {
    "auto",     "break",    "case",     "char",     "const",     "continue", "default",   "do",      "double",
    "else",     "enum",     "extern",   "float",    "for",       "goto",     "if",        "inline",  "int",
    "long",     "register", "restrict", "return",   "short",     "signed",   "sizeof",    "static",  "struct",
    "switch",   "typedef",  "union",    "unsigned", "void",      "volatile", "while",     "bool",    "true",
    "false",    "and",      "or",       "not",      "xor",       "asm",      "catch",     "class",   "delete",
    "explicit", "export",   "friend",   "mutable",  "namespace", "new",      "operator",  "private", "protected",
    "public",   "template", "this",     "throw",    "try",       "typeid",   "typename",  "using",   "virtual",
    "errno",    "stdin",    "stdout",   "stderr",   "alignas",   "alignof",  "constexpr", "nullptr", "thread",
};

const char *model_cname(struct model *m, const char *name)
{
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
        if (strcmp(name, reserved[i]) == 0)
            return pool_printf(&m->pool, "%s_", name);
    return name;
}

const char *def_kind_name(enum def_kind kind)
{
    static const char *const names[] = {"constant",   "enumeration", "struct",    "sequence",
                                        "dictionary", "class",       "exception", "interface"};
    return names[kind];
}

struct def *model_find(const struct model *m, const char *id)
{
    for (size_t i = 0; i < m->n_defs; i++)
        if (strcmp(m->defs[i]->id, id) == 0)
            return m->defs[i];
    return NULL;
}

struct def *model_lookup(struct model *m, const char *scope, const char *name)
{
    if (strncmp(name, "::", 2) == 0)
        return model_find(m, name);
    char *s = pool_copy(&m->pool, scope, strlen(scope));
    for (;;) {
        struct def *d = model_find(m, pool_printf(&m->pool, "%s::%s", s, name));
        if (d || !*s)
            return d;
        char *last = s;
        for (char *p = s; (p = strstr(p, "::")); p += 2)
            last = p;
        *last = '\0';
    }
}

static struct def *find_in_any_case(const struct model *m, const char *id)
{
    for (size_t i = 0; i < m->n_defs; i++)
        if (strcasecmp(m->defs[i]->id, id) == 0)
            return m->defs[i];
    return NULL;
}

static const char *flat_name(struct model *m, const char *id)
{
    char *s = pool_copy(&m->pool, id, strlen(id)), *to = s;
    for (const char *p = id + 2; *p; p++) {
        if (p[0] == ':' && p[1] == ':') {
            *to++ = '_';
            p++;
        } else {
            *to++ = *p;
        }
    }
    *to = '\0';
    return s;
}

struct def *model_define(struct model *m, struct unit *u, enum def_kind kind, const char *scope, const char *name,
                         struct pos pos, bool declare_only)
{
    if (!*scope)
        fail(pos, "%s '%s' stands outside any module", def_kind_name(kind), name);
    const char *id = pool_printf(&m->pool, "%s::%s", scope, name);
    struct def *d = find_in_any_case(m, id);
    if (d && strcmp(d->id, id) != 0)
        fail(pos, "'%s' differs only in case from '%s' (%s:%d)", name, d->name, d->pos.file, d->pos.line);
    if (d && (d->kind != kind || (d->defined && !declare_only)))
        fail(pos, "'%s' is already defined as %s (%s:%d)", name, def_kind_name(d->kind), d->pos.file, d->pos.line);
    if (!d) {
        d = pool_alloc(&m->pool, sizeof(*d));
        *d = (struct def){
            .kind = kind, .name = name, .id = id, .cname = flat_name(m, id), .pos = pos, .unit = u, .compact_id = -1};
        POOL_PUSH(&m->pool, m->defs, m->n_defs, d);
    }
    if (declare_only) {
        POOL_PUSH(&m->pool, u->forwards, u->n_forwards, d);
    } else {
        d->unit = u;
        d->pos = pos;
        POOL_PUSH(&m->pool, u->defs, u->n_defs, d);
    }
    return d;
}

void model_add_member(struct model *m, struct members *list, const struct member *mb)
{
    for (size_t i = 0; i < list->n; i++) {
        if (strcasecmp(list->v[i].name, mb->name) == 0)
            fail(mb->pos, "'%s' is named twice", mb->name);
        if (mb->tag >= 0 && list->v[i].tag == mb->tag)
            fail(mb->pos, "tag %d of '%s' is already that of '%s'", mb->tag, mb->name, list->v[i].name);
    }
    POOL_PUSH(&m->pool, list->v, list->n, *mb);
}

static int compare_ops(const void *a, const void *b)
{
    const struct op *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* An operation reached through two bases counts once; two different ones of the same name are an error. */
static void add_op(struct model *m, struct def *iface, struct op *op)
{
    for (size_t i = 0; i < iface->n_all_ops; i++) {
        struct op *other = iface->all_ops[i];
        if (other == op)
            return;
        if (strcasecmp(other->name, op->name) == 0)
            fail(op->owner == iface ? op->pos : iface->pos, "operation '%s' is declared by %s and by %s", op->name,
                 other->owner->id, op->owner->id);
    }
    POOL_PUSH(&m->pool, iface->all_ops, iface->n_all_ops, op);
}

void model_collect_ops(struct model *m, struct def *iface)
{
    for (size_t i = 0; i < iface->n_bases; i++)
        for (size_t j = 0; j < iface->bases[i]->n_all_ops; j++)
            add_op(m, iface, iface->bases[i]->all_ops[j]);
    for (size_t i = 0; i < iface->n_ops; i++)
        add_op(m, iface, iface->ops[i]);
    if (iface->n_all_ops)
        qsort(iface->all_ops, iface->n_all_ops, sizeof(*iface->all_ops), compare_ops);
}

void model_check(const struct model *m)
{
    for (size_t i = 0; i < m->n_defs; i++) {
        const struct def *d = m->defs[i];
        if (!d->defined)
            fail(d->pos, "%s '%s' is declared but nowhere defined", def_kind_name(d->kind), d->name);
        if (d->kind != D_CLASS || d->compact_id < 0)
            continue;
        for (size_t j = 0; j < i; j++)
            if (m->defs[j]->kind == D_CLASS && m->defs[j]->compact_id == d->compact_id)
                fail(d->pos, "compact id %d of '%s' is already that of %s", d->compact_id, d->name, m->defs[j]->id);
    }
}

/* --- what follows from a type ---------------------------------------------------------------------------------- */

/* Sums of members stay far from overflow only for sane input, so they stick at the top. */
static uint32_t add_sizes(uint32_t a, uint32_t b)
{
    return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

uint32_t type_min_wire(struct type t)
{
    static const uint32_t builtin[B_MAX] = {1, 1, 2, 4, 8, 4, 8, 1};
    if (t.kind == TYPE_BUILTIN)
        return builtin[t.builtin];
    if (t.kind == TYPE_PROXY)
        return 2;
    return t.kind == TYPE_DEF ? t.def->min_wire : 1;
}

bool type_fixed(struct type t)
{
    if (t.kind == TYPE_BUILTIN)
        return t.builtin != B_STRING;
    return t.kind == TYPE_DEF && t.def->fixed;
}

bool type_has_class(struct type t)
{
    return t.kind == TYPE_OBJECT || (t.kind == TYPE_DEF && (t.def->kind == D_CLASS || t.def->has_class));
}

bool type_is_key(struct type t)
{
    if (t.kind == TYPE_BUILTIN)
        return t.builtin != B_FLOAT && t.builtin != B_DOUBLE;
    return t.kind == TYPE_DEF && t.def->is_key;
}

bool members_have_class(const struct members *m)
{
    for (size_t i = 0; i < m->n; i++)
        if (type_has_class(m->v[i].type))
            return true;
    return false;
}

uint32_t members_min_wire(const struct members *m)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < m->n; i++)
        if (m->v[i].tag < 0)
            sum = add_sizes(sum, type_min_wire(m->v[i].type));
    return sum;
}

bool members_fixed(const struct members *m)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->v[i].tag >= 0 || !type_fixed(m->v[i].type))
            return false;
    return true;
}

static bool members_are_keys(const struct members *m)
{
    for (size_t i = 0; i < m->n; i++)
        if (!type_is_key(m->v[i].type))
            return false;
    return true;
}

/* The results are kept with the definition: nested structs would otherwise be walked again and again. */
void model_complete(struct def *d)
{
    const struct def *base = d->n_bases && d->kind != D_INTERFACE ? d->bases[0] : NULL;
    d->min_wire = 1;
    switch (d->kind) {
    case D_STRUCT:
        d->min_wire = members_min_wire(&d->members);
        d->fixed = members_fixed(&d->members);
        d->is_key = members_are_keys(&d->members);
        d->has_class = members_have_class(&d->members);
        break;
    case D_CLASS:
    case D_EXCEPTION:
        d->has_class = members_have_class(&d->members) || (base && base->has_class);
        break;
    case D_SEQ:
    case D_DICT:
        d->has_class = type_has_class(d->elem);
        break;
    case D_ENUM:
        d->is_key = true;
        break;
    case D_CONST:
    case D_INTERFACE:
        break;
    }
    d->has_members = d->members.n || (base && base->has_members);
    d->defined = true;
}

bool def_is_identity(const struct def *d)
{
    return strcmp(d->id, "::Ice::Identity") == 0;
}

void members_wire_order(const struct members *m, const struct member **out)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++)
        if (m->v[i].tag < 0)
            out[n++] = &m->v[i];
    size_t required = n;
    for (size_t i = 0; i < m->n; i++) {
        if (m->v[i].tag < 0)
            continue;
        size_t at = n++;
        for (; at > required && out[at - 1]->tag > m->v[i].tag; at--)
            out[at] = out[at - 1];
        out[at] = &m->v[i];
    }
}
