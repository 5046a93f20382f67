/* SPDX-License-Identifier: Apache-2.0 */
/* What a file would change in an application: definitions are compared as they are written, before their variables and
   templates are resolved. A server is known by its id as written, an instance by its template and parameters. */
#include "commands.h"

#include <moulin/wire/codec.h>
#include <slice/IceGrid/Descriptor.h>

#include <stdio.h>
#include <stdlib.h>

/* One thing of a list with its name; the lists are sorted and walked together. */
struct thing {
    struct ib_str name;
    const struct iw_type *type;
    const void *value;
};

struct things {
    size_t n;
    struct thing *v;
};

struct printer {
    struct ib_arena *arena;
    bool failed; /* memory */
    int indent;
};

static struct things things_new(struct printer *p, size_t n)
{
    struct things t = {0, IB_ARENA_ARRAY(p->arena, n, struct thing)};
    p->failed = p->failed || !t.v;
    return t;
}

static void add(struct things *t, struct ib_str name, const struct iw_type *type, const void *value)
{
    t->v[t->n++] = (struct thing){name, type, value};
}

static int compare(const void *a, const void *b)
{
    const struct thing *x = a, *y = b;
    return ib_str_cmp(x->name, y->name);
}

static void say(const struct printer *p, const char *kind, struct ib_str name, const char *what)
{
    printf("%*s%s `%s' %s\n", p->indent, "", kind, ib_cstr(name), what);
}

static void compare_things(struct printer *p, const char *kind, struct things old, struct things now)
{
    size_t i = 0, j = 0;
    if (p->failed)
        return;
    qsort(old.v, old.n, sizeof *old.v, compare);
    qsort(now.v, now.n, sizeof *now.v, compare);
    while (i < old.n || j < now.n) {
        int c = i == old.n ? 1 : j == now.n ? -1 : ib_str_cmp(old.v[i].name, now.v[j].name);
        if (c < 0)
            say(p, kind, old.v[i].name, "removed");
        else if (c > 0)
            say(p, kind, now.v[j].name, "added");
        else if (old.v[i].type != now.v[j].type || !iw_equal(old.v[i].type, old.v[i].value, now.v[j].value))
            say(p, kind, now.v[j].name, "updated");
        i += c <= 0;
        j += c >= 0;
    }
}

/* Any dictionary with string keys. */
static struct things of_dict(struct printer *p, const struct iw_type *t, const void *dict)
{
    const struct iw_seq *d = dict;
    struct things out = things_new(p, d->n);
    for (size_t i = 0; !p->failed && i < d->n; i++) {
        const char *entry = (const char *)d->v + i * t->entry_size;
        add(&out, *(const struct ib_str *)(const void *)entry, t->elem, entry + t->value_offset);
    }
    return out;
}

static void compare_dicts(struct printer *p, const char *kind, const struct iw_type *t, const void *old,
                          const void *now)
{
    struct things a = of_dict(p, t, old), b = of_dict(p, t, now);
    compare_things(p, kind, a, b);
}

static struct things of_groups(struct printer *p, const struct IceGrid_ReplicaGroupDescriptorSeq *groups)
{
    struct things out = things_new(p, groups->n);
    for (size_t i = 0; !p->failed && i < groups->n; i++)
        add(&out, groups->v[i].id, &IceGrid_ReplicaGroupDescriptor_type, &groups->v[i]);
    return out;
}

/* "T (a=1, b=2)" */
static struct ib_str instance_name(struct printer *p, const struct IceGrid_ServerInstanceDescriptor *d)
{
    struct ib_str name = d->template_;
    for (size_t i = 0; name.p && i < d->parameterValues.n; i++)
        name = ib_arena_printf(p->arena, "%s%s%s=%s", name.p, i ? ", " : " (", ib_cstr(d->parameterValues.v[i].key),
                               ib_cstr(d->parameterValues.v[i].value));
    if (name.p && d->parameterValues.n)
        name = ib_arena_printf(p->arena, "%s)", name.p);
    p->failed = p->failed || !name.p;
    return name;
}

static struct things of_instances(struct printer *p, const struct IceGrid_NodeDescriptor *node)
{
    struct things out = things_new(p, node->serverInstances.n);
    for (size_t i = 0; !p->failed && i < node->serverInstances.n; i++) {
        const struct IceGrid_ServerInstanceDescriptor *d = &node->serverInstances.v[i];
        add(&out, instance_name(p, d), &IceGrid_ServerInstanceDescriptor_type, d);
    }
    return out;
}

static struct things of_servers(struct printer *p, const struct IceGrid_NodeDescriptor *node)
{
    struct things out = things_new(p, node->servers.n);
    for (size_t i = 0; !p->failed && i < node->servers.n; i++)
        if (node->servers.v[i])
            add(&out, node->servers.v[i]->id, &IceGrid_ServerDescriptor_type, &node->servers.v[i]);
    return out;
}

static void compare_text(const struct printer *p, const char *what, struct ib_str old, struct ib_str now)
{
    if (!ib_str_eq(old, now))
        printf("%*s%s updated\n", p->indent, "", what);
}

static void compare_node(struct printer *p, struct ib_str name, const struct IceGrid_NodeDescriptor *old,
                         const struct IceGrid_NodeDescriptor *now)
{
    printf("%*snode `%s' updated\n%*s{\n", p->indent, "", ib_cstr(name), p->indent, "");
    p->indent += 4;
    compare_text(p, "description", old->description, now->description);
    compare_text(p, "load factor", old->loadFactor, now->loadFactor);
    compare_dicts(p, "variable", &IceGrid_StringStringDict_type, &old->variables, &now->variables);
    compare_dicts(p, "properties", &IceGrid_PropertySetDescriptorDict_type, &old->propertySets, &now->propertySets);
    struct things a = of_instances(p, old), b = of_instances(p, now);
    compare_things(p, "server instance", a, b);
    a = of_servers(p, old);
    b = of_servers(p, now);
    compare_things(p, "server", a, b);
    p->indent -= 4;
    printf("%*s}\n", p->indent, "");
}

static void compare_nodes(struct printer *p, const struct IceGrid_NodeDescriptorDict *old,
                          const struct IceGrid_NodeDescriptorDict *now)
{
    struct things a = of_dict(p, &IceGrid_NodeDescriptorDict_type, old);
    for (size_t j = 0; !p->failed && j < now->n; j++) {
        const struct IceGrid_NodeDescriptor *was = NULL;
        for (size_t i = 0; i < a.n && !was; i++)
            if (ib_str_eq(a.v[i].name, now->v[j].key))
                was = a.v[i].value;
        if (!was)
            say(p, "node", now->v[j].key, "added");
        else if (!iw_equal(&IceGrid_NodeDescriptor_type, was, &now->v[j].value))
            compare_node(p, now->v[j].key, was, &now->v[j].value);
    }
    for (size_t i = 0; !p->failed && i < a.n; i++) {
        bool kept = false;
        for (size_t j = 0; j < now->n && !kept; j++)
            kept = ib_str_eq(a.v[i].name, now->v[j].key);
        if (!kept)
            say(p, "node", a.v[i].name, "removed");
    }
}

int adm_print_difference(const struct IceGrid_ApplicationDescriptor *old,
                         const struct IceGrid_ApplicationDescriptor *now, struct ib_arena *arena, struct ib_err *err)
{
    struct printer p = {.arena = arena, .indent = 4};
    printf("application `%s'\n{\n", ib_cstr(now->name));
    compare_text(&p, "description", old->description, now->description);
    if (!iw_equal(&IceGrid_DistributionDescriptor_type, &old->distrib, &now->distrib))
        printf("    distribution updated\n");
    compare_dicts(&p, "variable", &IceGrid_StringStringDict_type, &old->variables, &now->variables);
    compare_dicts(&p, "properties", &IceGrid_PropertySetDescriptorDict_type, &old->propertySets, &now->propertySets);
    struct things a = of_groups(&p, &old->replicaGroups), b = of_groups(&p, &now->replicaGroups);
    compare_things(&p, "replica group", a, b);
    compare_dicts(&p, "server template", &IceGrid_TemplateDescriptorDict_type, &old->serverTemplates,
                  &now->serverTemplates);
    compare_dicts(&p, "service template", &IceGrid_TemplateDescriptorDict_type, &old->serviceTemplates,
                  &now->serviceTemplates);
    compare_nodes(&p, &old->nodes, &now->nodes);
    printf("}\n");
    return p.failed ? ib_err_set(err, IB_ENOMEM, "out of memory") : 0;
}
