/* SPDX-License-Identifier: Apache-2.0 */
/* Property sets: named ones belong to the application or the node and may refer to one another (icegrid-registry
   10.2). */
#include "instantiate.h"

#include <moulin/base/arena.h>

#define PROPERTIES_MAX 100000
#define REFERENCE_DEPTH 64

/* The sets with references of their own that one list of references has led to. None may come twice, even where it
   makes no circle: ZeroC's registries refuse it, and they may be this one's slaves. */
struct seen {
    struct ib_str name;
    struct seen *next;
};

struct expansion {
    struct reg_properties *out;
    struct reg_resolver *place; /* where the list of references stands */
    struct seen *seen;
};

struct ib_str reg_property(const struct IceGrid_PropertyDescriptorSeq *p, const char *name)
{
    for (size_t i = p->n; i-- > 0;)
        if (ib_str_is(p->v[i].name, name))
            return p->v[i].value;
    return ib_str("");
}

static void add(struct reg_properties *p, struct reg_resolver *r, struct ib_str name, struct ib_str value)
{
    if (p->seq.n == PROPERTIES_MAX) {
        reg_resolver_fail(r, "more than %d properties", PROPERTIES_MAX);
        return;
    }
    if (p->seq.n == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 16;
        struct IceGrid_PropertyDescriptor *v = IB_ARENA_ARRAY(r->arena, cap, struct IceGrid_PropertyDescriptor);
        if (!v) {
            reg_fault_nomem(r->fault);
            return;
        }
        if (p->seq.n)
            memcpy(v, p->seq.v, p->seq.n * sizeof(*v));
        p->seq.v = v;
        p->cap = cap;
    }
    p->seq.v[p->seq.n++] = (struct IceGrid_PropertyDescriptor){name, value};
}

/* Looked up from the place of use; its texts were substituted in the scope of its own home. */
static const struct IceGrid_PropertySetDescriptor *find(const struct reg_resolver *place, struct ib_str name)
{
    const struct IceGrid_PropertySetDescriptorDict *scopes[] = {place->node_sets, place->app_sets};
    for (size_t i = 0; i < 2; i++) {
        size_t at = scopes[i] ? reg_sorted_find(&IceGrid_PropertySetDescriptorDict_type, scopes[i], name) : SIZE_MAX;
        if (at != SIZE_MAX)
            return &scopes[i]->v[at].value;
    }
    return NULL;
}

static bool see(struct expansion *x, struct ib_str name)
{
    for (const struct seen *s = x->seen; s; s = s->next) {
        if (!reg_fault_work(x->place->fault))
            return false;
        if (ib_str_eq(s->name, name)) {
            reg_resolver_fail(x->place, "detected circular dependency with property reference `%s'", ib_cstr(name));
            return false;
        }
    }
    struct seen *s = IB_ARENA_NEW(x->place->arena, struct seen);
    if (!s) {
        reg_fault_nomem(x->place->fault);
        return false;
    }
    *s = (struct seen){name, x->seen};
    x->seen = s;
    return true;
}

static void append_references(struct expansion *x, const struct Ice_StringSeq *references, int depth)
{
    struct reg_fault *fault = x->place->fault;
    if (depth > REFERENCE_DEPTH)
        reg_resolver_fail(x->place, "property references are nested more than %d deep", REFERENCE_DEPTH);
    for (size_t i = 0; i < references->n && !fault->code && reg_fault_work(fault); i++) {
        const struct IceGrid_PropertySetDescriptor *set = find(x->place, references->v[i]);
        if (!set) {
            reg_resolver_fail(x->place, "invalid reference to property set, property set `%s' doesn't exist",
                              ib_cstr(references->v[i]));
            return;
        }
        if (set->references.n && see(x, references->v[i]))
            append_references(x, &set->references, depth + 1);
        for (size_t j = 0; j < set->properties.n && !fault->code; j++)
            add(x->out, x->place, set->properties.v[j].name, set->properties.v[j].value);
    }
}

void reg_properties_append(struct reg_properties *p, struct reg_resolver *r,
                           const struct IceGrid_PropertySetDescriptor *set)
{
    struct expansion x = {p, r, NULL};
    append_references(&x, &set->references, 1);
    for (size_t i = 0; i < set->properties.n && !r->fault->code; i++) {
        struct ib_str name = reg_text(r, "property name", set->properties.v[i].name);
        add(p, r, name, reg_text(r, "property value", set->properties.v[i].value));
    }
}

/* --- named sets ----------------------------------------------------------------------------------------------------
 */

static void substitute_set(struct reg_resolver *r, struct ib_str id, const struct IceGrid_PropertySetDescriptor *in,
                           struct IceGrid_PropertySetDescriptor *out)
{
    struct ib_str reference = ib_arena_printf(r->arena, "property set `%s' reference", ib_cstr(id));
    struct ib_str name = ib_arena_printf(r->arena, "property set `%s' property name", ib_cstr(id));
    struct ib_str value = ib_arena_printf(r->arena, "property set `%s' property value", ib_cstr(id));
    out->properties.v = IB_ARENA_ARRAY(r->arena, in->properties.n, struct IceGrid_PropertyDescriptor);
    if (!reference.p || !name.p || !value.p || !out->properties.v) {
        reg_fault_nomem(r->fault);
        return;
    }
    out->references = reg_texts(r, reference.p, &in->references, false);
    for (size_t i = 0; i < in->properties.n && !r->fault->code; i++) {
        struct IceGrid_PropertyDescriptor *p = &out->properties.v[out->properties.n++];
        p->name = reg_text(r, name.p, in->properties.v[i].name);
        p->value = reg_text(r, value.p, in->properties.v[i].value);
    }
}

const struct IceGrid_PropertySetDescriptorDict *
reg_substitute_property_sets(struct reg_resolver *r, const struct IceGrid_PropertySetDescriptorDict *sets)
{
    struct IceGrid_PropertySetDescriptorDict *out = IB_ARENA_NEW(r->arena, struct IceGrid_PropertySetDescriptorDict);
    if (out)
        out->v = IB_ARENA_ARRAY(r->arena, sets->n, struct IceGrid_PropertySetDescriptorDict_entry);
    if (!out || !out->v) {
        reg_fault_nomem(r->fault);
        return NULL;
    }
    for (size_t i = 0; i < sets->n && !r->fault->code; i++) {
        struct IceGrid_PropertySetDescriptorDict_entry *e = &out->v[out->n++];
        e->key = sets->v[i].key;
        substitute_set(r, e->key, &sets->v[i].value, &e->value);
    }
    return out;
}

void reg_check_references(struct reg_resolver *r, const struct IceGrid_PropertySetDescriptorDict *sets)
{
    for (size_t i = 0; sets && i < sets->n && !r->fault->code; i++) {
        struct reg_properties unused = {0};
        struct expansion x = {&unused, r, NULL};
        append_references(&x, &sets->v[i].value.references, 1);
    }
}
