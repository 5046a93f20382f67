/* SPDX-License-Identifier: Apache-2.0 */
/* Servers, IceBoxes, services, their adapters, property sets and instances, as icegrid-registry 10.7 maps them. */
#include "xml_reader.h"

/* A server or service under construction. Properties the reader adds by itself come before all that are written. */
struct communicator {
    struct IceGrid_CommunicatorDescriptor *d;
    struct IceGrid_ServerDescriptor *server; /* NULL for a service */
    struct IceGrid_PropertyDescriptorSeq added, written;
};

static void read_property(struct xml_reader *r, struct xml_element *e, void *parent)
{
    struct IceGrid_PropertyDescriptorSeq *seq = parent;
    struct ib_str name = xml_required(r, e, "name");
    xml_add_property(r, seq, name, xml_optional(r, e, "value", ""));
    (void)xml_text(r, e);
}

static void read_set_property(struct xml_reader *r, struct xml_element *e, void *parent)
{
    read_property(r, e, &((struct IceGrid_PropertySetDescriptor *)parent)->properties);
}

static void read_reference(struct xml_reader *r, struct xml_element *e, void *parent)
{
    struct IceGrid_PropertySetDescriptor *set = parent;
    if (set->properties.n)
        xml_fault(r, e, "a reference to a property set must come before the properties");
    xml_add_string(r, &set->references, xml_required(r, e, "refid"));
    (void)xml_text(r, e);
}

static const struct xml_handler set_handlers[] = {
    {"property", read_set_property}, {"properties", read_reference}, {NULL, NULL}};

void xml_read_named_properties(struct xml_reader *r, struct xml_element *e,
                               struct IceGrid_PropertySetDescriptorDict *sets)
{
    struct ib_str id = xml_required(r, e, "id");
    struct IceGrid_PropertySetDescriptorDict_entry *to;
    for (size_t i = 0; i < sets->n; i++)
        if (ib_str_eq(sets->v[i].key, id))
            xml_fault(r, e, "duplicate property set `%s'", ib_cstr(id));
    if (!(to = XML_APPEND(r, sets)))
        return;
    to->key = id;
    xml_children(r, e, set_handlers, &to->value);
}

void xml_read_description(struct xml_reader *r, struct xml_element *e, void *str)
{
    struct ib_str text = xml_text(r, e);
    memcpy(str, &text, sizeof text);
}

static void read_string_into(struct xml_reader *r, struct xml_element *e, struct Ice_StringSeq *seq)
{
    xml_add_string(r, seq, xml_text(r, e));
}

/* --- adapters ---------------------------------------------------------------------------------------------------- */

void xml_read_object(struct xml_reader *r, struct xml_element *e, struct IceGrid_ObjectDescriptorSeq *objects,
                     struct IceGrid_PropertyDescriptorSeq *properties)
{
    struct IceGrid_ObjectDescriptor *o = XML_APPEND(r, objects);
    if (!o)
        return;
    struct ib_str identity = xml_required(r, e, "identity");
    struct ib_err why = {0};
    if (r->code == 0 && ir_identity_parse(identity, r->arena, &o->id, &why) != 0)
        xml_fault(r, e, "invalid identity `%s': %s", identity.p, why.text);
    o->type = xml_optional(r, e, "type", "");
    o->proxyOptions = xml_optional(r, e, "proxy-options", "");
    struct ib_str property = properties ? xml_optional(r, e, "property", "") : IB_STR("");
    if (property.n)
        xml_add_property(r, properties, property, identity);
    (void)xml_text(r, e);
}

struct adapter {
    struct IceGrid_AdapterDescriptor *d;
    struct communicator *in;
};

static void read_adapter_object(struct xml_reader *r, struct xml_element *e, void *parent)
{
    struct adapter *a = parent;
    xml_read_object(r, e, &a->d->objects, &a->in->added);
}

static void read_allocatable(struct xml_reader *r, struct xml_element *e, void *parent)
{
    struct adapter *a = parent;
    xml_read_object(r, e, &a->d->allocatables, &a->in->added);
}

static void read_adapter_description(struct xml_reader *r, struct xml_element *e, void *parent)
{
    xml_read_description(r, e, &((struct adapter *)parent)->d->description);
}

static const struct xml_handler adapter_handlers[] = {{"object", read_adapter_object},
                                                      {"allocatable", read_allocatable},
                                                      {"description", read_adapter_description},
                                                      {NULL, NULL}};

static void add_suffixed(struct xml_reader *r, struct communicator *c, struct ib_str name, const char *suffix,
                         struct ib_str value)
{
    struct ib_str key = ib_arena_printf(r->arena, "%s.%s", ib_cstr(name), suffix);
    xml_add_property(r, &c->added, key, value);
}

static void read_adapter(struct xml_reader *r, struct xml_element *e, void *parent)
{
    struct communicator *c = parent;
    struct IceGrid_AdapterDescriptor *d = XML_APPEND(r, &c->d->adapters);
    if (!d)
        return;
    d->name = xml_required(r, e, "name");
    d->id = xml_has(e, "id")
                ? xml_required(r, e, "id")
                : ib_arena_printf(r->arena, c->server ? "${server}.%s" : "${server}.${service}.%s", d->name.p);
    d->replicaGroupId = xml_optional(r, e, "replica-group", "");
    d->priority = xml_optional(r, e, "priority", "");
    d->registerProcess = xml_bool(r, e, "register-process", false);
    d->serverLifetime = xml_bool(r, e, "server-lifetime", true);
    add_suffixed(r, c, d->name, "Endpoints", xml_optional(r, e, "endpoints", "default"));
    if (xml_has(e, "proxy-options"))
        add_suffixed(r, c, d->name, "ProxyOptions", xml_optional(r, e, "proxy-options", ""));
    struct adapter a = {d, c};
    xml_children(r, e, adapter_handlers, &a);
}

/* --- what servers and services share ----------------------------------------------------------------------------- */

static void read_comm_property(struct xml_reader *r, struct xml_element *e, void *parent)
{
    read_property(r, e, &((struct communicator *)parent)->written);
}

static void read_comm_properties(struct xml_reader *r, struct xml_element *e, void *parent)
{
    struct communicator *c = parent;
    struct IceGrid_PropertySetDescriptor set = {0};
    xml_children(r, e, set_handlers, &set);
    for (size_t i = 0; i < set.references.n; i++)
        xml_add_string(r, &c->d->propertySet.references, set.references.v[i]);
    for (size_t i = 0; i < set.properties.n; i++)
        xml_add_property(r, &c->written, set.properties.v[i].name, set.properties.v[i].value);
}

static void read_log(struct xml_reader *r, struct xml_element *e, void *parent)
{
    struct communicator *c = parent;
    struct ib_str path = xml_required(r, e, "path"), property = xml_optional(r, e, "property", "");
    xml_add_string(r, &c->d->logs, path);
    if (property.n)
        xml_add_property(r, &c->added, property, path);
    (void)xml_text(r, e);
}

static void read_dbproperty(struct xml_reader *r, struct xml_element *e, void *parent)
{
    read_property(r, e, &((struct IceGrid_DbEnvDescriptor *)parent)->properties);
}

static void read_dbenv_description(struct xml_reader *r, struct xml_element *e, void *parent)
{
    xml_read_description(r, e, &((struct IceGrid_DbEnvDescriptor *)parent)->description);
}

static const struct xml_handler dbenv_handlers[] = {
    {"dbproperty", read_dbproperty}, {"description", read_dbenv_description}, {NULL, NULL}};

static void read_dbenv(struct xml_reader *r, struct xml_element *e, void *parent)
{
    struct IceGrid_DbEnvDescriptor *d = XML_APPEND(r, &((struct communicator *)parent)->d->dbEnvs);
    if (!d)
        return;
    d->name = xml_required(r, e, "name");
    d->dbHome = xml_optional(r, e, "home", "");
    xml_children(r, e, dbenv_handlers, d);
    if (d->dbHome.n && d->properties.n)
        xml_fault(r, e, "a database environment with a home of its own cannot have properties");
}

static void read_comm_description(struct xml_reader *r, struct xml_element *e, void *parent)
{
    xml_read_description(r, e, &((struct communicator *)parent)->d->description);
}

static void finish(struct xml_reader *r, struct communicator *c)
{
    struct IceGrid_PropertyDescriptorSeq *all = &c->added;
    for (size_t i = 0; i < c->written.n; i++)
        xml_add_property(r, all, c->written.v[i].name, c->written.v[i].value);
    c->d->propertySet.properties = *all;
}

/* --- servers ------------------------------------------------------------------------------------------------------ */

static void read_option(struct xml_reader *r, struct xml_element *e, void *parent)
{
    read_string_into(r, e, &((struct communicator *)parent)->server->options);
}

static void read_env(struct xml_reader *r, struct xml_element *e, void *parent)
{
    read_string_into(r, e, &((struct communicator *)parent)->server->envs);
}

static void read_directory(struct xml_reader *r, struct xml_element *e, void *parent)
{
    read_string_into(r, e, &((struct IceGrid_DistributionDescriptor *)parent)->directories);
}

static const struct xml_handler distrib_handlers[] = {{"directory", read_directory}, {NULL, NULL}};

void xml_read_distrib(struct xml_reader *r, struct xml_element *e, struct IceGrid_DistributionDescriptor *distrib)
{
    distrib->icepatch = xml_optional(r, e, "icepatch", "${application}.IcePatch2/server");
    xml_children(r, e, distrib_handlers, distrib);
}

static void read_server_distrib(struct xml_reader *r, struct xml_element *e, void *parent)
{
    xml_read_distrib(r, e, &((struct communicator *)parent)->server->distrib);
}

static const struct xml_handler server_handlers[] = {{"adapter", read_adapter},
                                                     {"property", read_comm_property},
                                                     {"properties", read_comm_properties},
                                                     {"log", read_log},
                                                     {"dbenv", read_dbenv},
                                                     {"description", read_comm_description},
                                                     {"option", read_option},
                                                     {"env", read_env},
                                                     {"distrib", read_server_distrib},
                                                     {NULL, NULL}};

static void read_server_attributes(struct xml_reader *r, struct xml_element *e, struct IceGrid_ServerDescriptor *d)
{
    d->id = xml_required(r, e, "id");
    d->exe = xml_required(r, e, "exe");
    d->activation = xml_optional(r, e, "activation", "manual");
    d->activationTimeout = xml_optional(r, e, "activation-timeout", "");
    d->deactivationTimeout = xml_optional(r, e, "deactivation-timeout", "");
    d->pwd = xml_optional(r, e, "pwd", "");
    d->applicationDistrib = xml_bool(r, e, "application-distrib", true);
    d->allocatable = xml_bool(r, e, "allocatable", false);
    d->user = xml_optional(r, e, "user", "");
    d->iceVersion = xml_optional(r, e, "ice-version", "");
}

/* Reads the children with the name of the server in the target's path. */
static void read_named(struct xml_reader *r, struct xml_element *e, struct ib_str name,
                       const struct xml_handler *handlers, struct communicator *c)
{
    size_t depth = r->n_path;
    if (depth < XML_PATH_MAX)
        r->path[r->n_path++] = ib_cstr(name);
    xml_children(r, e, handlers, c);
    r->n_path = depth;
    finish(r, c);
}

static struct IceGrid_ServerDescriptor *new_server(struct xml_reader *r, struct xml_element *e)
{
    struct IceGrid_ServerDescriptor *d = IceGrid_ServerDescriptor_new(r->arena);
    if (!d) {
        xml_fault(r, e, "out of memory");
        return NULL;
    }
    read_server_attributes(r, e, d);
    struct communicator c = {.d = &d->base, .server = d};
    read_named(r, e, d->id, server_handlers, &c);
    return d;
}

static void add_server(struct xml_reader *r, struct IceGrid_NodeDescriptor *node, struct IceGrid_ServerDescriptor *d)
{
    struct IceGrid_ServerDescriptor **to = d ? XML_APPEND(r, &node->servers) : NULL;
    if (to)
        *to = d;
}

void xml_read_server(struct xml_reader *r, struct xml_element *e, void *node)
{
    add_server(r, node, new_server(r, e));
}

/* --- services ----------------------------------------------------------------------------------------------------- */

static const struct xml_handler service_handlers[] = {{"adapter", read_adapter},
                                                      {"property", read_comm_property},
                                                      {"properties", read_comm_properties},
                                                      {"log", read_log},
                                                      {"dbenv", read_dbenv},
                                                      {"description", read_comm_description},
                                                      {NULL, NULL}};

static struct IceGrid_ServiceDescriptor *new_service(struct xml_reader *r, struct xml_element *e)
{
    struct IceGrid_ServiceDescriptor *d = IceGrid_ServiceDescriptor_new(r->arena);
    if (!d) {
        xml_fault(r, e, "out of memory");
        return NULL;
    }
    d->name = xml_required(r, e, "name");
    d->entry = xml_required(r, e, "entry");
    struct communicator c = {.d = &d->base};
    read_named(r, e, d->name, service_handlers, &c);
    return d;
}

struct icebox {
    struct communicator c; /* first: shared handlers take it */
    struct IceGrid_IceBoxDescriptor *d;
};

static void read_service(struct xml_reader *r, struct xml_element *e, void *parent)
{
    struct icebox *b = parent;
    struct IceGrid_ServiceInstanceDescriptor *to = XML_APPEND(r, &b->d->services);
    struct IceGrid_ServiceDescriptor *service = to ? new_service(r, e) : NULL;
    if (to)
        to->descriptor = service;
}

static void read_instance_properties(struct xml_reader *r, struct xml_element *e, void *parent)
{
    struct IceGrid_PropertySetDescriptor set = {0},
                                         *to = &((struct IceGrid_ServiceInstanceDescriptor *)parent)->propertySet;
    xml_children(r, e, set_handlers, &set);
    for (size_t i = 0; i < set.references.n; i++)
        xml_add_string(r, &to->references, set.references.v[i]);
    for (size_t i = 0; i < set.properties.n; i++)
        xml_add_property(r, &to->properties, set.properties.v[i].name, set.properties.v[i].value);
}

static const struct xml_handler service_instance_handlers[] = {{"properties", read_instance_properties}, {NULL, NULL}};

static void read_service_instance(struct xml_reader *r, struct xml_element *e, void *parent)
{
    struct icebox *b = parent;
    struct IceGrid_ServiceInstanceDescriptor *to = XML_APPEND(r, &b->d->services);
    if (!to)
        return;
    to->template_ = xml_required(r, e, "template");
    xml_rest(r, e, &to->parameterValues);
    xml_children(r, e, service_instance_handlers, to);
}

static const struct xml_handler icebox_handlers[] = {{"service", read_service},
                                                     {"service-instance", read_service_instance},
                                                     {"property", read_comm_property},
                                                     {"log", read_log},
                                                     {"properties", read_comm_properties},
                                                     {"description", read_comm_description},
                                                     {"option", read_option},
                                                     {"env", read_env},
                                                     {"distrib", read_server_distrib},
                                                     {NULL, NULL}};

static struct IceGrid_ServerDescriptor *new_icebox(struct xml_reader *r, struct xml_element *e)
{
    struct icebox b = {.d = IceGrid_IceBoxDescriptor_new(r->arena)};
    if (!b.d) {
        xml_fault(r, e, "out of memory");
        return NULL;
    }
    read_server_attributes(r, e, &b.d->base);
    b.c = (struct communicator){.d = &b.d->base.base, .server = &b.d->base};
    read_named(r, e, b.d->base.id, icebox_handlers, &b.c);
    return &b.d->base;
}

void xml_read_icebox(struct xml_reader *r, struct xml_element *e, void *node)
{
    add_server(r, node, new_icebox(r, e));
}

/* --- instances and templates -------------------------------------------------------------------------------------- */

static void read_server_instance_properties(struct xml_reader *r, struct xml_element *e, void *parent)
{
    struct IceGrid_ServerInstanceDescriptor *i = parent;
    struct IceGrid_PropertySetDescriptor *set = &i->propertySet;
    if (xml_has(e, "service")) {
        struct IceGrid_PropertySetDescriptorDict_entry *to = XML_APPEND(r, &i->servicePropertySets);
        if (!to)
            return;
        to->key = xml_required(r, e, "service");
        set = &to->value;
    }
    xml_children(r, e, set_handlers, set);
}

static const struct xml_handler server_instance_handlers[] = {{"properties", read_server_instance_properties},
                                                              {NULL, NULL}};

void xml_read_server_instance(struct xml_reader *r, struct xml_element *e, void *node)
{
    struct IceGrid_ServerInstanceDescriptor *to =
        XML_APPEND(r, &((struct IceGrid_NodeDescriptor *)node)->serverInstances);
    if (!to)
        return;
    to->template_ = xml_required(r, e, "template");
    xml_rest(r, e, &to->parameterValues);
    xml_children(r, e, server_instance_handlers, to);
}

static void read_parameter(struct xml_reader *r, struct xml_element *e, void *parent)
{
    struct IceGrid_TemplateDescriptor *t = parent;
    struct ib_str name = xml_required(r, e, "name");
    xml_add_string(r, &t->parameters, name);
    if (xml_has(e, "default"))
        xml_set_string(r, &t->parameterDefaults, name, xml_optional(r, e, "default", ""));
    (void)xml_text(r, e);
}

static void set_template(struct xml_reader *r, struct xml_element *e, struct IceGrid_TemplateDescriptor *t,
                         struct IceGrid_CommunicatorDescriptor *d)
{
    if (t->descriptor)
        xml_fault(r, e, "a template holds one definition only");
    t->descriptor = d;
}

static void read_template_server(struct xml_reader *r, struct xml_element *e, void *parent)
{
    struct IceGrid_ServerDescriptor *d = new_server(r, e);
    set_template(r, e, parent, d ? &d->base : NULL);
}

static void read_template_icebox(struct xml_reader *r, struct xml_element *e, void *parent)
{
    struct IceGrid_ServerDescriptor *d = new_icebox(r, e);
    set_template(r, e, parent, d ? &d->base : NULL);
}

static void read_template_service(struct xml_reader *r, struct xml_element *e, void *parent)
{
    struct IceGrid_ServiceDescriptor *d = new_service(r, e);
    set_template(r, e, parent, d ? &d->base : NULL);
}

const struct xml_handler xml_server_template_handlers[] = {
    {"parameter", read_parameter}, {"server", read_template_server}, {"icebox", read_template_icebox}, {NULL, NULL}};
const struct xml_handler xml_service_template_handlers[] = {
    {"parameter", read_parameter}, {"service", read_template_service}, {NULL, NULL}};
