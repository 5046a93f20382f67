/* SPDX-License-Identifier: Apache-2.0 */
/* A whole application expanded: checked scope by scope, then laid out in the flat arrays the catalog links
   (icegrid-registry 10.5, steps 1 to 6). */
#include "descriptor.h"
#include "catalog.h"
#include "instantiate.h"
#include "names.h"
#include "walk.h"

#include <stdio.h>
#include <stdlib.h>

#include <moulin/wire/codec.h>
#include <slice/IceGrid/Admin.h>

/* All that one application may take: a message cannot make more of itself than this. */
#define APP_MEMORY_MAX ((size_t)256 << 20)

struct expander {
    struct reg_app *app;
    struct reg_fault *fault;
    struct reg_resolver scope; /* the application's */
    struct reg_instance *instances;
    struct ib_str *nodes; /* of each instance */
    float *load_factors; /* likewise */
    float load_factor; /* of the node that is being expanded */
    size_t n_instances, cap_instances;
};

/* --- the application's own scope ---------------------------------------------------------------------------------- */

static int compare_strings(const void *a, const void *b)
{
    return ib_str_cmp(*(const struct ib_str *)a, *(const struct ib_str *)b);
}

/* " a b": what is listed more than once, each once. */
static void find_twice(struct reg_resolver *r, const struct Ice_StringSeq *seq, char *list, size_t cap)
{
    struct ib_str *v = IB_ARENA_ARRAY(r->scratch, seq->n, struct ib_str);
    if (!v) {
        reg_fault_nomem(r->fault);
        return;
    }
    if (seq->n) {
        memcpy(v, seq->v, seq->n * sizeof(*v));
        qsort(v, seq->n, sizeof(*v), compare_strings);
    }
    for (size_t i = 1; i < seq->n; i++) {
        size_t n = strlen(list);
        if (ib_str_eq(v[i - 1], v[i]) && (i < 2 || !ib_str_eq(v[i - 2], v[i])))
            snprintf(list + n, cap - n, " %s", ib_cstr(v[i]));
    }
}

static void check_templates(struct reg_resolver *r, const struct IceGrid_TemplateDescriptorDict *d, const char *kind)
{
    for (size_t i = 0; i < d->n && !r->fault->code; i++) {
        char twice[200] = "";
        if (!d->v[i].key.n)
            reg_resolver_fail(r, "empty %s template id", kind);
        if (!d->v[i].value.descriptor)
            reg_resolver_fail(r, "invalid %s template `%s': %s definition is empty", kind, ib_cstr(d->v[i].key), kind);
        find_twice(r, &d->v[i].value.parameters, twice, sizeof(twice));
        if (twice[0])
            reg_resolver_fail(r, "invalid server template `%s': duplicate parameters%s", ib_cstr(d->v[i].key), twice);
    }
}

static enum reg_policy group_policy(struct reg_resolver *r, const struct iw_class *cls)
{
    if (iw_class_is_a(cls, &IceGrid_AdaptiveLoadBalancingPolicy_class))
        return REG_ADAPTIVE;
    if (iw_class_is_a(cls, &IceGrid_OrderedLoadBalancingPolicy_class))
        return REG_ORDERED;
    if (iw_class_is_a(cls, &IceGrid_RoundRobinLoadBalancingPolicy_class))
        return REG_ROUND_ROBIN;
    /* ZeroC's registry takes the plain base class, and then never resolves the group: better to say so now. */
    if (!iw_class_is_a(cls, &IceGrid_RandomLoadBalancingPolicy_class))
        reg_resolver_fail(r, "unknown replica group load balancing policy `%s'", cls->id);
    return REG_RANDOM;
}

static void expand_policy(struct reg_resolver *r, const struct IceGrid_LoadBalancingPolicy *p, struct reg_group *g)
{
    if (!p) {
        reg_resolver_fail(r, "replica group load balancing is not set");
        return;
    }
    g->policy = group_policy(r, p->object.cls);
    struct ib_str n = reg_int_text(r, "replica group number of replicas", p->nReplicas, &g->n_replicas);
    if (!n.n)
        reg_resolver_fail(r, "invalid replica group load balancing number of replicas value: empty value");
    if (g->n_replicas < 0)
        reg_resolver_fail(r, "invalid replica group load balancing number of replicas value: inferior to 0");
    g->load_sample = 1;
    if (g->policy != REG_ADAPTIVE)
        return;
    const struct IceGrid_AdaptiveLoadBalancingPolicy *a = (const void *)p;
    struct ib_str sample = reg_text(r, "replica group load sample", a->loadSample);
    if (ib_str_is(sample, "5") || ib_str_is(sample, "15"))
        g->load_sample = sample.n == 2 ? 15 : 5;
    else if (sample.n && !ib_str_is(sample, "1"))
        reg_resolver_fail(r, "invalid load sample value (allowed values are 1, 5 or 15)");
}

/* The objects of a group are kept aside until those of the adapters are known. */
static void expand_group(struct expander *x, const struct IceGrid_ReplicaGroupDescriptor *in, struct reg_group *g,
                         struct IceGrid_ObjectDescriptorSeq *objects)
{
    struct reg_resolver *r = &x->scope;
    g->app = x->app;
    g->id = reg_id(r, "replica group id", in->id);
    (void)reg_text(r, "replica group description", in->description);
    g->filter = reg_text(r, "replica group filter", in->filter);
    g->proxy_options = reg_text(r, "replica group proxy options", in->proxyOptions);
    reg_check_proxy_options(r, g->proxy_options);
    *objects = reg_instantiate_objects(r, &in->objects, REG_OBJECTS_OF_GROUP, g->proxy_options);
    expand_policy(r, in->loadBalancing, g);
}

/* --- nodes -------------------------------------------------------------------------------------------------------- */

static void add_instance(struct expander *x, struct reg_resolver *node, struct reg_instance inst)
{
    if (x->fault->code)
        return;
    x->nodes[x->n_instances] = node->node;
    x->load_factors[x->n_instances] = x->load_factor;
    x->instances[x->n_instances++] = inst;
}

/* One list of a node names a server once. That is found before what is wrong with a later server. */
static void check_list(struct expander *x, struct reg_resolver *node, size_t first)
{
    struct reg_names ids = reg_names_new(x->scope.scratch, x->n_instances - first);
    if (!ids.v) {
        reg_fault_nomem(x->fault);
        return;
    }
    for (size_t i = first; i < x->n_instances; i++)
        reg_names_add(&ids, x->instances[i].id);
    reg_names_sort(&ids);
    for (size_t i = 1; i < ids.n; i++) {
        if (!ib_str_eq(ids.v[i - 1].name, ids.v[i].name))
            continue;
        if (x->fault->code == IB_EINVAL)
            x->fault->code = 0;
        reg_resolver_fail(node, "duplicate server `%s' in node `%s'", ib_cstr(ids.v[i].name), ib_cstr(node->node));
        return;
    }
}

static void expand_node(struct expander *x, struct ib_str name, const struct IceGrid_NodeDescriptor *node)
{
    struct reg_resolver *app = &x->scope, r = *app;
    if (!name.n)
        reg_resolver_fail(app, "invalid node: empty name");
    reg_check_variables(app, &node->variables);
    r.node = name;
    r.node_desc = node;
    struct ib_str factor = reg_float_text(&r, "load factor", node->loadFactor);
    x->load_factor = factor.n ? strtof(factor.p, NULL) : -1.0F;
    (void)reg_text(&r, "description", node->description);
    r.node_sets = reg_substitute_property_sets(&r, &node->propertySets);
    reg_check_references(&r, r.node_sets);
    size_t first = x->n_instances;
    for (size_t i = 0; i < node->serverInstances.n && !x->fault->code; i++)
        add_instance(x, &r, reg_instantiate_template(&r, &node->serverInstances.v[i]));
    check_list(x, &r, first);
    first = x->n_instances;
    for (size_t i = 0; i < node->servers.n && !x->fault->code; i++)
        add_instance(x, &r, reg_instantiate_server(&r, node->servers.v[i]));
    check_list(x, &r, first);
}

/* In the order of their names: the dictionary is sorted. */
static void expand_nodes(struct expander *x, const struct IceGrid_NodeDescriptorDict *nodes)
{
    for (size_t i = 0; i < nodes->n; i++)
        x->cap_instances += nodes->v[i].value.serverInstances.n + nodes->v[i].value.servers.n;
    x->instances = IB_ARENA_ARRAY(x->scope.scratch, x->cap_instances, struct reg_instance);
    x->nodes = IB_ARENA_ARRAY(x->scope.scratch, x->cap_instances, struct ib_str);
    x->load_factors = IB_ARENA_ARRAY(x->scope.scratch, x->cap_instances, float);
    if (!x->instances || !x->nodes || !x->load_factors)
        reg_fault_nomem(x->fault);
    for (size_t i = 0; i < nodes->n && !x->fault->code; i++)
        expand_node(x, nodes->v[i].key, &nodes->v[i].value);
}

/* --- the flat arrays ---------------------------------------------------------------------------------------------- */

/* Proxy to hand out: its options, which have been checked, then the place. */
static struct iw_proxy *object_proxy(struct expander *x, const struct IceGrid_ObjectDescriptor *o, struct ib_str place)
{
    const struct reg_parsed_options *options = reg_proxy_options(&x->scope, o->proxyOptions);
    struct iw_proxy *p = options->code ? NULL : IB_ARENA_NEW(x->scope.arena, struct iw_proxy);
    if (!p) {
        reg_fault_nomem(x->fault);
        return NULL;
    }
    *p = *options->proxy;
    p->id = o->id;
    p->n_endpoints = 0;
    p->endpoints = NULL;
    p->adapter_id = place;
    return p;
}

static void add_objects(struct expander *x, const struct IceGrid_ObjectDescriptorSeq *in, struct reg_adapter *adapter,
                        struct ib_str place, struct reg_app_object *out, size_t *n)
{
    for (size_t i = 0; i < in->n && !x->fault->code; i++) {
        out[*n] = (struct reg_app_object){.id = in->v[i].id, .type = in->v[i].type, .adapter = adapter, .app = x->app};
        out[*n].proxy = object_proxy(x, &in->v[i], place);
        ++*n;
    }
}

static void add_adapters(struct expander *x, struct reg_server *s, const struct IceGrid_AdapterDescriptorSeq *in)
{
    struct reg_app *app = x->app;
    for (size_t i = 0; i < in->n && !x->fault->code; i++) {
        struct reg_adapter *a = &app->adapters[app->n_adapters++];
        *a = (struct reg_adapter){.id = in->v[i].id,
                                  .name = in->v[i].name,
                                  .group_id = in->v[i].replicaGroupId,
                                  .priority = (int)strtol(ib_cstr(in->v[i].priority), NULL, 10),
                                  .server = s,
                                  .desc = &in->v[i]};
        add_objects(x, &in->v[i].objects, a, a->id, app->objects, &app->n_objects);
        add_objects(x, &in->v[i].allocatables, a, a->id, app->allocatables, &app->n_allocatables);
    }
}

static void count_adapters(const struct IceGrid_AdapterDescriptorSeq *in, size_t count[3])
{
    count[0] += in->n;
    for (size_t i = 0; i < in->n; i++) {
        count[1] += in->v[i].objects.n;
        count[2] += in->v[i].allocatables.n;
    }
}

static int by_id(const void *a, const void *b)
{
    return ib_str_cmp((*(const struct reg_instance *const *)a)->id, (*(const struct reg_instance *const *)b)->id);
}

/* Servers come in the order of their ids, whatever nodes they are on: so their adapters join replica groups. */
static const struct reg_instance **instances_by_id(struct expander *x)
{
    const struct reg_instance **order = IB_ARENA_ARRAY(x->scope.scratch, x->n_instances, const struct reg_instance *);
    for (size_t i = 0; order && i < x->n_instances; i++)
        order[i] = &x->instances[i];
    if (order && x->n_instances > 1)
        qsort(order, x->n_instances, sizeof *order, by_id);
    return order;
}

static void lay_out(struct expander *x, const struct IceGrid_ObjectDescriptorSeq *group_objects)
{
    struct reg_app *app = x->app;
    struct ib_arena *arena = &app->arena;
    size_t count[3] = {0};
    for (size_t i = 0; i < app->n_groups; i++)
        count[1] += group_objects[i].n;
    for (size_t i = 0; i < x->n_instances; i++) {
        const struct IceGrid_IceBoxDescriptor *box = reg_icebox(x->instances[i].desc);
        count_adapters(&x->instances[i].desc->base.adapters, count);
        for (size_t j = 0; box && j < box->services.n; j++)
            count_adapters(&box->services.v[j].descriptor->base.adapters, count);
    }
    app->servers = IB_ARENA_ARRAY(arena, x->n_instances, struct reg_server);
    app->adapters = IB_ARENA_ARRAY(arena, count[0], struct reg_adapter);
    app->objects = IB_ARENA_ARRAY(arena, count[1], struct reg_app_object);
    app->allocatables = IB_ARENA_ARRAY(arena, count[2], struct reg_app_object);
    const struct reg_instance **order = instances_by_id(x);
    if (!app->servers || !app->adapters || !app->objects || !app->allocatables || !order) {
        reg_fault_nomem(x->fault);
        return;
    }
    for (size_t i = 0; i < app->n_groups; i++)
        add_objects(x, &group_objects[i], NULL, app->groups[i].id, app->objects, &app->n_objects);
    for (size_t i = 0; i < x->n_instances && !x->fault->code; i++) {
        const struct IceGrid_ServerDescriptor *d = order[i]->desc;
        const struct IceGrid_IceBoxDescriptor *box = reg_icebox(d);
        const size_t k = (size_t)(order[i] - x->instances);
        struct reg_server *s = &app->servers[app->n_servers++];
        *s = (struct reg_server){.id = d->id, .node = x->nodes[k], .app = app, .desc = d};
        s->load_factor = x->load_factors[k];
        s->allocatable = d->allocatable || ib_str_is(d->activation, "session");
        add_adapters(x, s, &d->base.adapters);
        for (size_t j = 0; box && j < box->services.n; j++)
            add_adapters(x, s, &box->services.v[j].descriptor->base.adapters);
    }
}

/* --- nothing twice (10.5, step 6) --------------------------------------------------------------------------------- */

struct named {
    struct ib_str id;
    bool group;
};

static int compare_named(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    int c = ib_str_cmp(x->id, y->id);
    return c ? c : x->group - y->group;
}

/* Replica groups and adapters share one space of ids. */
static void check_ids(struct expander *x)
{
    struct reg_app *app = x->app;
    size_t n = 0, most = app->n_adapters + app->n_groups;
    if (most < app->n_servers)
        most = app->n_servers;
    struct named *v = IB_ARENA_ARRAY(x->scope.scratch, most, struct named);
    if (!v) {
        reg_fault_nomem(x->fault);
        return;
    }
    for (; n < app->n_groups; n++)
        v[n] = (struct named){.id = app->groups[n].id, .group = true};
    qsort(v, n, sizeof(*v), compare_named);
    for (size_t i = 1; i < n; i++)
        if (ib_str_eq(v[i - 1].id, v[i].id))
            reg_fault_set(x->fault, "duplicate replica group `%s'", ib_cstr(v[i].id));
    for (n = 0; n < app->n_servers; n++)
        v[n] = (struct named){.id = app->servers[n].id};
    qsort(v, n, sizeof(*v), compare_named);
    for (size_t i = 1; i < n; i++)
        if (ib_str_eq(v[i - 1].id, v[i].id))
            reg_resolver_fail(&x->scope, "duplicate server `%s'", ib_cstr(v[i].id));
    n = 0;
    for (size_t i = 0; i < app->n_adapters; i++)
        v[n++] = (struct named){.id = app->adapters[i].id};
    for (size_t i = 0; i < app->n_groups; i++)
        v[n++] = (struct named){.id = app->groups[i].id, .group = true};
    qsort(v, n, sizeof(*v), compare_named);
    for (size_t i = 1; i < n; i++) {
        if (!ib_str_eq(v[i - 1].id, v[i].id))
            continue;
        if (v[i].group)
            reg_fault_set(x->fault, "duplicate replica group `%s'", ib_cstr(v[i].id));
        else
            reg_resolver_fail(&x->scope, "duplicate adapter `%s'", ib_cstr(v[i].id));
    }
}

static int compare_objects(const void *a, const void *b)
{
    const struct reg_app_object *const *x = a, *const *y = b;
    return iw_identity_cmp(&(*x)->id, &(*y)->id);
}

/* One adapter may have the same identity once as well-known and once as allocatable; otherwise each is unique. */
static void check_objects(struct expander *x)
{
    struct reg_app *app = x->app;
    size_t n = app->n_objects + app->n_allocatables;
    struct reg_app_object **v = IB_ARENA_ARRAY(x->scope.scratch, n, struct reg_app_object *);
    if (!v) {
        reg_fault_nomem(x->fault);
        return;
    }
    for (size_t i = 0; i < n; i++)
        v[i] = i < app->n_objects ? &app->objects[i] : &app->allocatables[i - app->n_objects];
    if (n)
        qsort(v, n, sizeof(struct reg_app_object *), compare_objects);
    for (size_t i = 1; i < n && !x->fault->code; i++) {
        const struct reg_app_object *a = v[i - 1], *b = v[i];
        if (!iw_identity_equal(&a->id, &b->id))
            continue;
        bool third = i >= 2 && iw_identity_equal(&v[i - 2]->id, &b->id);
        bool a_well_known = a >= app->objects && a < app->objects + app->n_objects;
        bool b_well_known = b >= app->objects && b < app->objects + app->n_objects;
        if (!third && a->adapter && a->adapter == b->adapter && a_well_known != b_well_known)
            continue;
        struct ib_str text = ir_identity_format(&b->id, IR_UNICODE, x->scope.scratch);
        reg_resolver_fail(&x->scope, "duplicate object `%s'", ib_cstr(text));
    }
}

/* --- together ----------------------------------------------------------------------------------------------------- */

static void expand(struct expander *x)
{
    const struct IceGrid_ApplicationDescriptor *d = x->scope.app;
    struct reg_app *app = x->app;
    struct reg_resolver *r = &x->scope;
    if (!d->name.n)
        reg_fault_set(x->fault, "invalid application: empty name");
    reg_check_variables(r, &d->variables);
    check_templates(r, &d->serverTemplates, "server");
    check_templates(r, &d->serviceTemplates, "service");
    (void)reg_text(r, "description", d->description);
    (void)reg_instantiate_distrib(r, &d->distrib);
    r->app_sets = reg_substitute_property_sets(r, &d->propertySets);
    struct IceGrid_ObjectDescriptorSeq *objects =
        IB_ARENA_ARRAY(r->scratch, d->replicaGroups.n, struct IceGrid_ObjectDescriptorSeq);
    app->groups = IB_ARENA_ARRAY(&app->arena, d->replicaGroups.n, struct reg_group);
    if (!objects || !app->groups)
        reg_fault_nomem(x->fault);
    for (; app->n_groups < d->replicaGroups.n && !x->fault->code; app->n_groups++)
        expand_group(x, &d->replicaGroups.v[app->n_groups], &app->groups[app->n_groups], &objects[app->n_groups]);
    reg_check_references(r, r->app_sets);
    if (!x->fault->code)
        expand_nodes(x, &d->nodes);
    if (!x->fault->code)
        lay_out(x, objects);
    if (!x->fault->code)
        check_ids(x);
    if (!x->fault->code)
        check_objects(x);
}

int reg_app_expand(const struct IceGrid_ApplicationInfo *info, const struct ir_proxy_defaults *defaults,
                   struct reg_app **out, struct ib_err *err)
{
    struct reg_fault fault = {.err = err};
    struct reg_parsed_options options = {0};
    struct ib_arena scratch;
    struct reg_app *app = calloc(1, sizeof(*app));
    if (!app)
        return ib_err_set(err, IB_ENOMEM, "%s", ib_err_text(IB_ENOMEM));
    ib_arena_init(&app->arena, APP_MEMORY_MAX);
    ib_arena_init(&scratch, APP_MEMORY_MAX);
    struct IceGrid_ApplicationInfo *copy = IB_ARENA_NEW(&app->arena, struct IceGrid_ApplicationInfo);
    if (!copy || iw_copy(&IceGrid_ApplicationInfo_type, info, &app->arena, copy) != 0 ||
        reg_sort_dicts(&IceGrid_ApplicationInfo_type, copy) != 0) {
        reg_fault_nomem(&fault);
    } else {
        app->info = copy;
        app->name = copy->descriptor.name;
        struct expander x = {.app = app, .fault = &fault};
        x.scope = (struct reg_resolver){.arena = &app->arena,
                                        .scratch = &scratch,
                                        .fault = &fault,
                                        .options = &options,
                                        .defaults = defaults,
                                        .app = &copy->descriptor,
                                        .application = app->name};
        expand(&x);
    }
    const size_t used = app->arena.used + scratch.used;
    ib_arena_fini(&scratch);
    if (fault.code) {
        /* doubling a large list may fail long before the limit: memory is not short then either */
        if (fault.code == IB_ENOMEM && used > APP_MEMORY_MAX / 8)
            fault.code = ib_err_set(err, IB_EINVAL, "invalid application: what it describes is larger than %zu MB",
                                    APP_MEMORY_MAX >> 20);
        reg_app_free(app);
        return fault.code;
    }
    *out = app;
    return 0;
}
