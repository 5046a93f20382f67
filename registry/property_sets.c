/* SPDX-License-Identifier: Apache-2.0 */
/* Property sets: named ones belong to the application or the node and may refer to one another (icegrid-registry
   10.2). */
#include "instantiate.h"

#include <moulin/base/arena.h>

#define PROPERTIES_MAX 100000
#define REFERENCE_DEPTH 64

/* The named sets being expanded, innermost first. */
struct path {
    struct ib_str name;
    const struct path *outer;
    int depth;
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

static const struct IceGrid_PropertySetDescriptor *find(const struct IceGrid_PropertySetDescriptorDict *d,
                                                        struct ib_str name)
{
    for (size_t i = 0; i < d->n; i++)
        if (ib_str_eq(d->v[i].key, name))
            return &d->v[i].value;
    return NULL;
}

static void append(struct reg_properties *p, struct reg_resolver *place, struct reg_resolver *scope,
                   const struct IceGrid_PropertySetDescriptor *set, const struct path *outer);

/* Looked up from the place of use, substituted in the scope of the set's own home. */
static void append_reference(struct reg_properties *p, struct reg_resolver *place, struct ib_str name,
                             const struct path *outer)
{
    struct path here = {name, outer, outer ? outer->depth + 1 : 1};
    struct reg_resolver home = *place;
    if (!reg_fault_work(place->fault))
        return;
    for (const struct path *up = outer; up; up = up->outer) {
        if (up->depth && ib_str_eq(up->name, name)) {
            reg_resolver_fail(place, "detected circular dependency with property reference `%s'", ib_cstr(name));
            return;
        }
    }
    if (here.depth > REFERENCE_DEPTH) {
        reg_resolver_fail(place, "property references are nested more than %d deep", REFERENCE_DEPTH);
        return;
    }
    home.server = home.service = (struct ib_str){NULL, 0};
    home.parameters = NULL;
    home.session = false;
    const struct IceGrid_PropertySetDescriptor *set = NULL;
    if (place->node_desc)
        set = find(&place->node_desc->propertySets, name);
    if (!set) {
        set = find(&place->app->propertySets, name);
        home.node_desc = NULL;
        home.node = (struct ib_str){NULL, 0};
    }
    if (set)
        append(p, place, &home, set, &here);
    else
        reg_resolver_fail(place, "invalid reference to property set, property set `%s' doesn't exist", ib_cstr(name));
}

static void append(struct reg_properties *p, struct reg_resolver *place, struct reg_resolver *scope,
                   const struct IceGrid_PropertySetDescriptor *set, const struct path *outer)
{
    struct ib_str name_of = IB_STR("property name"), value_of = IB_STR("property value");
    for (size_t i = 0; i < set->references.n && !place->fault->code; i++)
        append_reference(p, place, set->references.v[i], outer);
    if (outer) {
        name_of = ib_arena_printf(place->arena, "property set `%s' property name", ib_cstr(outer->name));
        value_of = ib_arena_printf(place->arena, "property set `%s' property value", ib_cstr(outer->name));
        if (!name_of.p || !value_of.p) {
            reg_fault_nomem(place->fault);
            return;
        }
    }
    for (size_t i = 0; i < set->properties.n && !place->fault->code; i++) {
        struct ib_str name = reg_text(scope, name_of.p, set->properties.v[i].name);
        add(p, place, name, reg_text(scope, value_of.p, set->properties.v[i].value));
    }
}

void reg_properties_append(struct reg_properties *p, struct reg_resolver *r,
                           const struct IceGrid_PropertySetDescriptor *set)
{
    append(p, r, r, set, NULL);
}

void reg_check_property_sets(struct reg_resolver *r, const struct IceGrid_PropertySetDescriptorDict *sets)
{
    for (size_t i = 0; i < sets->n && !r->fault->code; i++) {
        struct reg_properties unused = {0};
        struct path here = {sets->v[i].key, NULL, 0}; /* only named for faults: not yet referred to */
        append(&unused, r, r, &sets->v[i].value, &here);
    }
}
