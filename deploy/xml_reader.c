/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the descriptor reader that know nothing of descriptors: includes, targets, attributes, sequences. */
#include "xml_reader.h"

#include <stdarg.h>
#include <stdio.h>

#define INCLUDE_DEPTH_MAX 16

void xml_fault(struct xml_reader *r, const struct xml_element *e, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    if (r->code != 0)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    r->code = ib_err_set(r->err, IB_EMARSHAL, "error in <%s> descriptor, line %d, column %d:\n%s", e->file, e->line,
                         e->column, text);
}

static void no_memory(struct xml_reader *r)
{
    if (r->code == 0)
        r->code = ib_err_set(r->err, IB_ENOMEM, "out of memory");
}

static struct xml_attribute *find(const struct xml_element *e, const char *name)
{
    for (size_t i = 0; i < e->n_attributes; i++)
        if (strcmp(e->attributes[i].name, name) == 0)
            return &e->attributes[i];
    return NULL;
}

bool xml_has(const struct xml_element *e, const char *name)
{
    return find(e, name) != NULL;
}

struct ib_str xml_optional(struct xml_reader *r, struct xml_element *e, const char *name, const char *otherwise)
{
    struct xml_attribute *a = find(e, name);
    (void)r;
    if (!a)
        return ib_str(otherwise);
    a->used = true;
    return ib_str(a->value);
}

struct ib_str xml_required(struct xml_reader *r, struct xml_element *e, const char *name)
{
    struct ib_str value = xml_optional(r, e, name, "");
    if (!find(e, name))
        xml_fault(r, e, "missing attribute '%s'", name);
    else if (value.n == 0)
        xml_fault(r, e, "attribute '%s' is empty", name);
    return value;
}

bool xml_bool(struct xml_reader *r, struct xml_element *e, const char *name, bool otherwise)
{
    struct ib_str value = xml_optional(r, e, name, otherwise ? "true" : "false");
    if (!ib_str_is(value, "true") && !ib_str_is(value, "false"))
        xml_fault(r, e, "invalid attribute `%s': value is not 'false' or 'true'", name);
    return ib_str_is(value, "true");
}

struct ib_str xml_text(struct xml_reader *r, struct xml_element *e)
{
    static const struct xml_handler none[] = {{NULL, NULL}};
    for (struct xml_element *c = e->first; c; c = c->next)
        xml_fault(r, c, "unknown element `%s'", c->name);
    struct xml_element bare = *e;
    bare.text = (struct ib_str){0};
    xml_children(r, &bare, none, NULL);
    return e->text.p ? e->text : IB_STR("");
}

void xml_rest(struct xml_reader *r, struct xml_element *e, struct IceGrid_StringStringDict *out)
{
    for (size_t i = 0; i < e->n_attributes; i++) {
        if (e->attributes[i].used)
            continue;
        e->attributes[i].used = true;
        xml_set_string(r, out, ib_str(e->attributes[i].name), ib_str(e->attributes[i].value));
    }
}

/* Sequences have no capacity of their own: they are moved to twice the room whenever their count is a power of two. */
void *xml_append(struct xml_reader *r, size_t *n, void *v, size_t size)
{
    void *old;
    if (r->code != 0)
        return NULL;
    memcpy(&old, v, sizeof old);
    if ((*n & (*n - 1)) == 0) {
        void *more = ib_arena_array(r->arena, *n ? *n * 2 : 1, size);
        if (!more) {
            no_memory(r);
            return NULL;
        }
        if (*n)
            memcpy(more, old, *n * size);
        memcpy(v, &more, sizeof more);
        old = more;
    }
    return memset((char *)old + (*n)++ * size, 0, size);
}

void xml_add_string(struct xml_reader *r, struct Ice_StringSeq *seq, struct ib_str s)
{
    struct ib_str *to = XML_APPEND(r, seq);
    if (to)
        *to = s;
}

void xml_add_property(struct xml_reader *r, struct IceGrid_PropertyDescriptorSeq *seq, struct ib_str name,
                      struct ib_str value)
{
    struct IceGrid_PropertyDescriptor *to = XML_APPEND(r, seq);
    if (to)
        *to = (struct IceGrid_PropertyDescriptor){name, value};
}

void xml_set_string(struct xml_reader *r, struct IceGrid_StringStringDict *dict, struct ib_str key, struct ib_str value)
{
    for (size_t i = 0; i < dict->n; i++) {
        if (ib_str_eq(dict->v[i].key, key)) {
            dict->v[i].value = value;
            return;
        }
    }
    struct IceGrid_StringStringDict_entry *to = XML_APPEND(r, dict);
    if (to)
        *to = (struct IceGrid_StringStringDict_entry){key, value};
}

/* "t", or "t" after any dotted prefix of where we are (icegrid-registry 10.7). */
static bool is_selected(const struct xml_reader *r, struct ib_str target)
{
    for (size_t i = 0; i < r->n_targets; i++) {
        char name[512] = "";
        size_t at = 0;
        if (ib_str_eq(r->targets[i], target))
            return true;
        for (size_t k = 0; k < r->n_path && at < sizeof name; k++) {
            at += (size_t)snprintf(name + at, sizeof name - at, "%s.", r->path[k]);
            if (at < sizeof name && r->targets[i].n == at + target.n && memcmp(r->targets[i].p, name, at) == 0 &&
                memcmp(r->targets[i].p + at, target.p, target.n) == 0)
                return true;
        }
    }
    return false;
}

/* Adds the words of s to the selected targets. */
static void add_targets(struct xml_reader *r, struct ib_str s)
{
    struct Ice_StringSeq all = {0};
    for (size_t i = 0; i < r->n_targets; i++)
        xml_add_string(r, &all, r->targets[i]);
    for (size_t i = 0; i < s.n;) {
        size_t end = i;
        while (end < s.n && s.p[end] != ' ')
            end++;
        if (end > i)
            xml_add_string(r, &all, ib_arena_str(r->arena, (struct ib_str){s.p + i, end - i}));
        i = end + 1;
    }
    r->targets = all.v;
    r->n_targets = all.n;
}

static void walk(struct xml_reader *r, struct xml_element *e, const struct xml_handler *handlers, void *parent);

static void include(struct xml_reader *r, struct xml_element *e, const struct xml_handler *handlers, void *parent)
{
    struct ib_str file = xml_required(r, e, "file"), targets = xml_optional(r, e, "targets", "");
    const struct ib_str *outer = r->targets;
    size_t n_outer = r->n_targets;
    struct xml_element *root = NULL;
    if (r->code != 0)
        return;
    if (r->includes == INCLUDE_DEPTH_MAX) {
        xml_fault(r, e, "files include one another more than %d deep", INCLUDE_DEPTH_MAX);
        return;
    }
    const char *slash = strrchr(e->file, '/');
    struct ib_str path = slash && file.p[0] != '/'
                             ? ib_arena_printf(r->arena, "%.*s/%s", (int)(slash - e->file), e->file, file.p)
                             : file;
    if (!path.p) {
        no_memory(r);
        return;
    }
    r->code = xml_load(path.p, r->arena, &root, r->err);
    if (r->code != 0)
        return;
    if (strcmp(root->name, "icegrid") != 0) {
        xml_fault(r, root, "unknown element `%s'", root->name);
        return;
    }
    add_targets(r, targets);
    r->includes++;
    walk(r, root, handlers, parent);
    r->includes--;
    r->targets = outer;
    r->n_targets = n_outer;
}

static void check_attributes(struct xml_reader *r, const struct xml_element *e)
{
    char names[200] = "";
    size_t at = 0;
    for (size_t i = 0; i < e->n_attributes; i++)
        if (!e->attributes[i].used && at < sizeof names)
            at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", at ? " " : "", e->attributes[i].name);
    if (at && r->code == 0)
        r->code = ib_err_set(r->err, IB_EMARSHAL, "unknown attributes in <%s> descriptor, line %d:\n%s", e->file,
                             e->line, names);
}

static void read_element(struct xml_reader *r, struct xml_element *e, const struct xml_handler *h, void *parent)
{
    struct xml_element **to = r->places ? XML_APPEND(r, r->places) : NULL;
    if (to)
        *to = e;
    h->read(r, e, parent);
}

static void dispatch(struct xml_reader *r, struct xml_element *c, const struct xml_handler *handlers, void *parent)
{
    if (strcmp(c->name, "include") == 0) {
        include(r, c, handlers, parent);
    } else if (strcmp(c->name, "target") == 0) {
        if (is_selected(r, xml_required(r, c, "name")))
            walk(r, c, handlers, parent);
    } else {
        while (handlers->name && strcmp(handlers->name, c->name) != 0)
            handlers++;
        if (!handlers->name)
            xml_fault(r, c, "unknown element `%s'", c->name);
        else
            read_element(r, c, handlers, parent);
    }
    check_attributes(r, c);
}

static void walk(struct xml_reader *r, struct xml_element *e, const struct xml_handler *handlers, void *parent)
{
    for (struct xml_element *c = e->first; c && r->code == 0; c = c->next)
        dispatch(r, c, handlers, parent);
}

void xml_children(struct xml_reader *r, struct xml_element *e, const struct xml_handler *handlers, void *parent)
{
    if (e->text.n && strspn(e->text.p, " \t\r\n") != e->text.n)
        xml_fault(r, e, "text is not allowed in element `%s'", e->name);
    walk(r, e, handlers, parent);
    check_attributes(r, e);
}
