/* SPDX-License-Identifier: Apache-2.0 */
#include "print.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <moulin/base/log.h>

#define DEPTH_MAX 60 /* of a class that holds itself */

struct scalar {
    char text[64];
    bool quoted; /* JSON wants quotes */
};

/* Numbers, truth values and names of enumerators. False: of another kind. */
static bool scalar(const struct iw_type *t, const void *v, struct scalar *out)
{
    char *to = out->text;
    size_t cap = sizeof out->text;
    out->quoted = false;
    switch (t->kind) {
    case IW_BOOL:
        snprintf(to, cap, "%s", *(const bool *)v ? "true" : "false");
        return true;
    case IW_BYTE:
        snprintf(to, cap, "%u", *(const uint8_t *)v);
        return true;
    case IW_SHORT:
        snprintf(to, cap, "%d", *(const int16_t *)v);
        return true;
    case IW_INT:
        snprintf(to, cap, "%" PRId32, *(const int32_t *)v);
        return true;
    case IW_LONG:
        snprintf(to, cap, "%" PRId64, *(const int64_t *)v);
        return true;
    case IW_FLOAT:
        snprintf(to, cap, "%.9g", (double)*(const float *)v);
        return true;
    case IW_DOUBLE:
        snprintf(to, cap, "%.17g", *(const double *)v);
        return true;
    case IW_ENUM:
        out->quoted = t->enum_names != NULL;
        if (out->quoted)
            snprintf(to, cap, "%s", t->enum_names[*(const int32_t *)v]);
        else
            snprintf(to, cap, "%" PRId32, *(const int32_t *)v);
        return true;
    default:
        return false;
    }
}

/* --- for people --------------------------------------------------------------------------------------------------- */

static void print_named(const char *name, const struct iw_type *t, const void *v, int indent, int depth);

static void print_fields(const struct iw_field *f, uint32_t n, const char *v, int indent, int depth)
{
    for (uint32_t i = 0; i < n; i++)
        if (f[i].tag < 0 || *(const bool *)(v + f[i].has_offset))
            print_named(f[i].name, f[i].type, v + f[i].offset, indent, depth);
}

static void print_class(const struct iw_class *c, const char *v, int indent, int depth)
{
    if (!c)
        return;
    print_class(c->base, v, indent, depth);
    print_fields(c->fields, c->n_fields, v, indent, depth);
}

static void print_text(const char *name, struct ib_str s, int indent)
{
    char shown[4096];
    printf("%*s%s = `%s'\n", indent, "", name, ib_log_escape(s, shown, sizeof shown));
}

static void print_items(const char *name, const struct iw_type *t, const struct iw_seq *s, int indent, int depth)
{
    bool dict = t->kind == IW_DICT;
    size_t step = dict ? t->entry_size : t->elem->size;
    if (!s->n)
        return;
    printf("%*s%s\n%*s{\n", indent, "", name, indent, "");
    for (size_t i = 0; i < s->n; i++) {
        const char *item = (const char *)s->v + i * step;
        char key[256] = "item";
        if (dict && t->key->kind == IW_STRING)
            ib_log_escape(*(const struct ib_str *)(const void *)item, key, sizeof key);
        print_named(key, t->elem, item + (dict ? t->value_offset : 0), indent + 4, depth);
    }
    printf("%*s}\n", indent, "");
}

/* What is empty says nothing. */
static void print_named(const char *name, const struct iw_type *t, const void *v, int indent, int depth)
{
    const struct iw_object *const *o = v;
    struct scalar s;
    if (++depth > DEPTH_MAX)
        return;
    if (scalar(t, v, &s)) {
        printf("%*s%s = `%s'\n", indent, "", name, s.text);
        return;
    }
    switch (t->kind) {
    case IW_STRING:
        if (((const struct ib_str *)v)->n)
            print_text(name, *(const struct ib_str *)v, indent);
        break;
    case IW_STRUCT:
        printf("%*s%s\n%*s{\n", indent, "", name, indent, "");
        print_fields(t->fields, t->n_fields, v, indent + 4, depth);
        printf("%*s}\n", indent, "");
        break;
    case IW_SEQ:
    case IW_DICT:
        print_items(name, t, v, indent, depth);
        break;
    case IW_CLASS:
        if (!*o)
            break;
        printf("%*s%s (%s)\n%*s{\n", indent, "", name, (*o)->cls->id, indent, "");
        print_class((*o)->cls, (const char *)*o, indent + 4, depth);
        printf("%*s}\n", indent, "");
        break;
    default:
        break;
    }
}

void adm_print_members(const struct iw_type *t, const void *v, int indent)
{
    print_fields(t->fields, t->n_fields, v, indent, 0);
}

/* --- for scripts -------------------------------------------------------------------------------------------------- */

static void json_value(const struct iw_type *t, const void *v, int depth);

void adm_print_json_string(struct ib_str s)
{
    putchar('"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static void json_fields(const struct iw_field *f, uint32_t n, const char *v, bool *first, int depth)
{
    for (uint32_t i = 0; i < n; i++) {
        if (f[i].tag >= 0 && !*(const bool *)(v + f[i].has_offset))
            continue;
        printf("%s\"%s\":", *first ? "" : ",", f[i].name);
        *first = false;
        json_value(f[i].type, v + f[i].offset, depth);
    }
}

static void json_class(const struct iw_class *c, const char *v, bool *first, int depth)
{
    if (!c)
        return;
    json_class(c->base, v, first, depth);
    json_fields(c->fields, c->n_fields, v, first, depth);
}

static void json_items(const struct iw_type *t, const struct iw_seq *s, int depth)
{
    bool dict = t->kind == IW_DICT && t->key->kind == IW_STRING;
    size_t step = t->kind == IW_DICT ? t->entry_size : t->elem->size;
    putchar(dict ? '{' : '[');
    for (size_t i = 0; i < s->n; i++) {
        const char *item = (const char *)s->v + i * step;
        if (i)
            putchar(',');
        if (dict) {
            adm_print_json_string(*(const struct ib_str *)(const void *)item);
            putchar(':');
        }
        json_value(t->elem, item + (t->kind == IW_DICT ? t->value_offset : 0), depth);
    }
    putchar(dict ? '}' : ']');
}

static void json_value(const struct iw_type *t, const void *v, int depth)
{
    const struct iw_object *const *o = v;
    struct scalar s;
    bool first = true;
    if (scalar(t, v, &s)) {
        printf(s.quoted ? "\"%s\"" : "%s", s.text);
    } else if (t->kind == IW_STRING) {
        adm_print_json_string(*(const struct ib_str *)v);
    } else if (t->kind == IW_STRUCT) {
        putchar('{');
        json_fields(t->fields, t->n_fields, v, &first, depth + 1);
        putchar('}');
    } else if (t->kind == IW_SEQ || t->kind == IW_DICT) {
        json_items(t, v, depth + 1);
    } else if (t->kind == IW_CLASS && *o && depth < DEPTH_MAX) {
        printf("{\"class\":\"%s\"", (*o)->cls->id);
        first = false;
        json_class((*o)->cls, (const char *)*o, &first, depth + 1);
        putchar('}');
    } else {
        printf("null");
    }
}

void adm_print_json(const struct iw_type *t, const void *v)
{
    json_value(t, v, 0);
    putchar('\n');
}
