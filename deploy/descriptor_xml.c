/* SPDX-License-Identifier: Apache-2.0 */
/* From <icegrid> down to nodes: applications, replica groups, templates, variables. */
#include "xml_reader.h"

#include <slice/IceGrid/Admin.h>

/* d starts with the registry's templates when the file imports them; they cannot be defined again. */
struct application {
    struct IceGrid_ApplicationDescriptor *d;
    bool found;
};

/* One given on the command line stands in the application, wherever the file defines it. */
static void set_variable(struct xml_reader *r, struct xml_element *e, struct IceGrid_StringStringDict *variables)
{
    struct ib_str name = xml_required(r, e, "name"), value = xml_optional(r, e, "value", "");
    bool overridden = false;
    for (size_t i = 0; r->overrides && i < r->overrides->n; i++)
        overridden = overridden || ib_str_eq(r->overrides->v[i].key, name);
    if (!overridden)
        xml_set_string(r, variables, name, value);
    (void)xml_text(r, e);
}

/* --- nodes -------------------------------------------------------------------------------------------------------- */

static void read_node_variable(struct xml_reader *r, struct xml_element *e, void *parent)
{
    set_variable(r, e, &((struct IceGrid_NodeDescriptor *)parent)->variables);
}

static void read_node_properties(struct xml_reader *r, struct xml_element *e, void *parent)
{
    xml_read_named_properties(r, e, &((struct IceGrid_NodeDescriptor *)parent)->propertySets);
}

static void read_node_description(struct xml_reader *r, struct xml_element *e, void *parent)
{
    xml_read_description(r, e, &((struct IceGrid_NodeDescriptor *)parent)->description);
}

static const struct xml_handler node_handlers[] = {{"server", xml_read_server},
                                                   {"icebox", xml_read_icebox},
                                                   {"server-instance", xml_read_server_instance},
                                                   {"variable", read_node_variable},
                                                   {"properties", read_node_properties},
                                                   {"description", read_node_description},
                                                   {NULL, NULL}};

static void read_node(struct xml_reader *r, struct xml_element *e, void *parent)
{
    struct IceGrid_NodeDescriptorDict *nodes = &((struct application *)parent)->d->nodes;
    struct IceGrid_NodeDescriptorDict_entry *to = NULL;
    struct ib_str name = xml_required(r, e, "name");
    for (size_t i = 0; i < nodes->n; i++)
        if (ib_str_eq(nodes->v[i].key, name))
            to = &nodes->v[i];
    if (!to && !(to = XML_APPEND(r, nodes)))
        return;
    to->key = name;
    /* A node opened again takes the load factor of this opening, even none: as icegridadmin does. */
    to->value.loadFactor = xml_optional(r, e, "load-factor", "");
    size_t depth = r->n_path;
    r->path[r->n_path++] = ib_cstr(name);
    xml_children(r, e, node_handlers, &to->value);
    r->n_path = depth;
}

/* --- replica groups ------------------------------------------------------------------------------------------------
 */

static void read_load_balancing(struct xml_reader *r, struct xml_element *e, void *parent)
{
    struct IceGrid_ReplicaGroupDescriptor *g = parent;
    struct ib_str type = xml_required(r, e, "type");
    struct IceGrid_LoadBalancingPolicy *policy = NULL;
    if (ib_str_is(type, "random")) {
        struct IceGrid_RandomLoadBalancingPolicy *p = IceGrid_RandomLoadBalancingPolicy_new(r->arena);
        policy = p ? &p->base : NULL;
    } else if (ib_str_is(type, "ordered")) {
        struct IceGrid_OrderedLoadBalancingPolicy *p = IceGrid_OrderedLoadBalancingPolicy_new(r->arena);
        policy = p ? &p->base : NULL;
    } else if (ib_str_is(type, "round-robin")) {
        struct IceGrid_RoundRobinLoadBalancingPolicy *p = IceGrid_RoundRobinLoadBalancingPolicy_new(r->arena);
        policy = p ? &p->base : NULL;
    } else if (ib_str_is(type, "adaptive")) {
        struct IceGrid_AdaptiveLoadBalancingPolicy *p = IceGrid_AdaptiveLoadBalancingPolicy_new(r->arena);
        if (p)
            p->loadSample = xml_optional(r, e, "load-sample", "1");
        policy = p ? &p->base : NULL;
    } else {
        xml_fault(r, e, "invalid load balancing type `%s': use random, ordered, round-robin or adaptive", type.p);
        return;
    }
    if (!policy) {
        xml_fault(r, e, "out of memory");
        return;
    }
    policy->nReplicas = xml_optional(r, e, "n-replicas", "1");
    g->loadBalancing = policy;
    (void)xml_text(r, e);
}

static void read_group_object(struct xml_reader *r, struct xml_element *e, void *parent)
{
    xml_read_object(r, e, &((struct IceGrid_ReplicaGroupDescriptor *)parent)->objects, NULL);
}

static void read_group_description(struct xml_reader *r, struct xml_element *e, void *parent)
{
    xml_read_description(r, e, &((struct IceGrid_ReplicaGroupDescriptor *)parent)->description);
}

static const struct xml_handler group_handlers[] = {{"load-balancing", read_load_balancing},
                                                    {"object", read_group_object},
                                                    {"description", read_group_description},
                                                    {NULL, NULL}};

static void read_replica_group(struct xml_reader *r, struct xml_element *e, void *parent)
{
    struct IceGrid_ReplicaGroupDescriptor *g = XML_APPEND(r, &((struct application *)parent)->d->replicaGroups);
    if (!g)
        return;
    g->id = xml_required(r, e, "id");
    g->proxyOptions = xml_optional(r, e, "proxy-options", "");
    g->filter = xml_optional(r, e, "filter", "");
    xml_children(r, e, group_handlers, g);
    if (g->loadBalancing)
        return;
    struct IceGrid_RandomLoadBalancingPolicy *random = IceGrid_RandomLoadBalancingPolicy_new(r->arena);
    if (!random) {
        xml_fault(r, e, "out of memory");
        return;
    }
    random->base.nReplicas = IB_STR("0");
    g->loadBalancing = &random->base;
}

/* --- templates, properties ------------------------------------------------------------------------------------------
 */

static void read_template(struct xml_reader *r, struct xml_element *e, struct IceGrid_TemplateDescriptorDict *dict,
                          const char *kind, const struct xml_handler *handlers)
{
    struct ib_str id = xml_required(r, e, "id");
    struct IceGrid_TemplateDescriptorDict_entry *to;
    for (size_t i = 0; i < dict->n; i++)
        if (ib_str_eq(dict->v[i].key, id))
            xml_fault(r, e, "duplicate %s template `%s'", kind, ib_cstr(id));
    if (!(to = XML_APPEND(r, dict)))
        return;
    to->key = id;
    xml_children(r, e, handlers, &to->value);
    if (!to->value.descriptor)
        xml_fault(r, e, "invalid %s template `%s': %s definition is missing", kind, ib_cstr(id), kind);
}

static void read_server_template(struct xml_reader *r, struct xml_element *e, void *parent)
{
    read_template(r, e, &((struct application *)parent)->d->serverTemplates, "server", xml_server_template_handlers);
}

static void read_service_template(struct xml_reader *r, struct xml_element *e, void *parent)
{
    read_template(r, e, &((struct application *)parent)->d->serviceTemplates, "service", xml_service_template_handlers);
}

static void read_variable(struct xml_reader *r, struct xml_element *e, void *parent)
{
    set_variable(r, e, &((struct application *)parent)->d->variables);
}

static void read_properties(struct xml_reader *r, struct xml_element *e, void *parent)
{
    xml_read_named_properties(r, e, &((struct application *)parent)->d->propertySets);
}

static void read_distrib(struct xml_reader *r, struct xml_element *e, void *parent)
{
    xml_read_distrib(r, e, &((struct application *)parent)->d->distrib);
}

static void read_description(struct xml_reader *r, struct xml_element *e, void *parent)
{
    xml_read_description(r, e, &((struct application *)parent)->d->description);
}

static const struct xml_handler application_handlers[] = {{"node", read_node},
                                                          {"replica-group", read_replica_group},
                                                          {"server-template", read_server_template},
                                                          {"service-template", read_service_template},
                                                          {"variable", read_variable},
                                                          {"properties", read_properties},
                                                          {"distrib", read_distrib},
                                                          {"description", read_description},
                                                          {NULL, NULL}};

static void read_application(struct xml_reader *r, struct xml_element *e, void *parent)
{
    struct application *a = parent;
    if (a->found)
        xml_fault(r, e, "only one application is allowed");
    a->found = true;
    a->d->name = xml_required(r, e, "name");
    (void)xml_bool(r, e, "import-default-templates", false);
    for (size_t i = 0; r->overrides && i < r->overrides->n; i++)
        xml_set_string(r, &a->d->variables, r->overrides->v[i].key, r->overrides->v[i].value);
    r->path[r->n_path++] = ib_cstr(a->d->name);
    xml_children(r, e, application_handlers, a);
    r->n_path = 0;
}

static const struct xml_handler root_handlers[] = {{"application", read_application}, {NULL, NULL}};

/* --- dictionaries in the order of their keys, as real peers send them ----------------------------------------------
 */

static void sort_node(struct IceGrid_NodeDescriptor *n)
{
    iw_dict_sort(&IceGrid_StringStringDict_type, &n->variables);
    iw_dict_sort(&IceGrid_PropertySetDescriptorDict_type, &n->propertySets);
    for (size_t i = 0; i < n->serverInstances.n; i++) {
        iw_dict_sort(&IceGrid_StringStringDict_type, &n->serverInstances.v[i].parameterValues);
        iw_dict_sort(&IceGrid_PropertySetDescriptorDict_type, &n->serverInstances.v[i].servicePropertySets);
    }
}

static void sort_icebox(struct IceGrid_CommunicatorDescriptor *d)
{
    if (!d || !iw_class_is_a(d->object.cls, &IceGrid_IceBoxDescriptor_class))
        return;
    struct IceGrid_IceBoxDescriptor *box = (struct IceGrid_IceBoxDescriptor *)(void *)d;
    for (size_t i = 0; i < box->services.n; i++)
        iw_dict_sort(&IceGrid_StringStringDict_type, &box->services.v[i].parameterValues);
}

static void sort_templates(struct IceGrid_TemplateDescriptorDict *templates)
{
    iw_dict_sort(&IceGrid_TemplateDescriptorDict_type, templates);
    for (size_t i = 0; i < templates->n; i++) {
        iw_dict_sort(&IceGrid_StringStringDict_type, &templates->v[i].value.parameterDefaults);
        sort_icebox(templates->v[i].value.descriptor);
    }
}

static void sort(struct IceGrid_ApplicationDescriptor *d)
{
    iw_dict_sort(&IceGrid_StringStringDict_type, &d->variables);
    iw_dict_sort(&IceGrid_NodeDescriptorDict_type, &d->nodes);
    iw_dict_sort(&IceGrid_PropertySetDescriptorDict_type, &d->propertySets);
    sort_templates(&d->serverTemplates);
    sort_templates(&d->serviceTemplates);
    for (size_t i = 0; i < d->nodes.n; i++) {
        sort_node(&d->nodes.v[i].value);
        for (size_t j = 0; j < d->nodes.v[i].value.servers.n; j++)
            sort_icebox(&d->nodes.v[i].value.servers.v[j]->base);
    }
}

/* --- reading --------------------------------------------------------------------------------------------------------
 */

/* Entry by entry, because our sequences grow only through XML_APPEND. */
static void import_base(struct xml_reader *r, const struct IceGrid_ApplicationDescriptor *base,
                        struct IceGrid_ApplicationDescriptor *d)
{
    struct IceGrid_ApplicationDescriptor copy;
    r->code = iw_copy(&IceGrid_ApplicationDescriptor_type, base, r->arena, &copy);
    for (size_t i = 0; r->code == 0 && i < copy.serverTemplates.n; i++) {
        struct IceGrid_TemplateDescriptorDict_entry *to = XML_APPEND(r, &d->serverTemplates);
        if (to)
            *to = copy.serverTemplates.v[i];
    }
    for (size_t i = 0; r->code == 0 && i < copy.serviceTemplates.n; i++) {
        struct IceGrid_TemplateDescriptorDict_entry *to = XML_APPEND(r, &d->serviceTemplates);
        if (to)
            *to = copy.serviceTemplates.v[i];
    }
    for (size_t i = 0; r->code == 0 && i < copy.propertySets.n; i++) {
        struct IceGrid_PropertySetDescriptorDict_entry *to = XML_APPEND(r, &d->propertySets);
        if (to)
            *to = copy.propertySets.v[i];
    }
    for (size_t i = 0; r->code == 0 && i < copy.variables.n; i++)
        xml_set_string(r, &d->variables, copy.variables.v[i].key, copy.variables.v[i].value);
}

int dep_xml_read(const char *path, const struct dep_xml_options *o, const struct IceGrid_ApplicationDescriptor *base,
                 struct ib_arena *arena, struct IceGrid_ApplicationDescriptor *out, struct ib_err *err)
{
    struct xml_reader r = {.arena = arena,
                           .err = err,
                           .overrides = o->overrides,
                           .targets = o->targets,
                           .n_targets = o->n_targets,
                           .places = o->places};
    struct IceGrid_ApplicationDescriptor d = {0};
    struct application a = {.d = &d};
    struct xml_element *root = NULL;
    r.code = xml_load(path, arena, &root, err);
    if (r.code == 0 && base)
        import_base(&r, base, &d);
    if (r.code == 0 && strcmp(root->name, "icegrid") != 0)
        xml_fault(&r, root, "unknown element `%s'", root->name);
    if (r.code == 0)
        xml_children(&r, root, root_handlers, &a);
    if (r.code == 0 && !a.found)
        r.code = ib_err_set(err, IB_EMARSHAL, "no application descriptor defined in this file: `%s'", path);
    if (r.code != 0)
        return r.code;
    sort(&d);
    *out = d;
    return 0;
}

int dep_xml_wants_defaults(const char *path, bool *wants, struct ib_err *err)
{
    struct ib_arena arena;
    struct xml_element *root = NULL;
    ib_arena_init(&arena, 0);
    int code = xml_load(path, &arena, &root, err);
    *wants = false;
    for (struct xml_element *e = code == 0 ? root->first : NULL; e; e = e->next)
        for (size_t i = 0; strcmp(e->name, "application") == 0 && i < e->n_attributes; i++)
            if (strcmp(e->attributes[i].name, "import-default-templates") == 0)
                *wants = strcmp(e->attributes[i].value, "true") == 0;
    ib_arena_fini(&arena);
    return code;
}
