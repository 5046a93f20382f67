/* SPDX-License-Identifier: Apache-2.0 */
/* Servers and services of a definition made concrete. The texts of faults and the order in which values are looked at
   are those of icegrid-registry 10.5. */
#include "instantiate.h"
#include "names.h"

#include <stdio.h>

#include <moulin/wire/codec.h>

const struct IceGrid_TemplateDescriptor *reg_template(const struct IceGrid_TemplateDescriptorDict *d, struct ib_str id)
{
    size_t i = reg_sorted_find(&IceGrid_TemplateDescriptorDict_type, d, id);
    return i == SIZE_MAX ? NULL : &d->v[i].value;
}

const struct IceGrid_IceBoxDescriptor *reg_icebox(const struct IceGrid_ServerDescriptor *s)
{
    const struct iw_class *cls = s->base.object.cls;
    return iw_class_is_a(cls, &IceGrid_IceBoxDescriptor_class)
               ? (const struct IceGrid_IceBoxDescriptor *)(const void *)s
               : NULL;
}

/* --- template parameters ------------------------------------------------------------------------------------------ */

/* "a b ": names, each with a blank after it, cut when there are too many to show. */
static void list_name(char *list, size_t cap, struct ib_str name)
{
    size_t n = strlen(list);
    snprintf(list + n, cap - n, "%s ", ib_cstr(name));
}

static void add_parameter(struct reg_resolver *r, struct IceGrid_StringStringDict *out, const char *what,
                          struct ib_str key, struct ib_str text)
{
    char attribute[200];
    snprintf(attribute, sizeof(attribute), "%s `%s'", what, ib_cstr(key));
    out->v[out->n++] = (struct IceGrid_StringStringDict_entry){key, reg_text(r, attribute, text)};
}

/* Values and defaults are resolved where the instance stands; neither sees the parameters of the template. */
static struct IceGrid_StringStringDict parameters(struct reg_resolver *r, struct ib_str name,
                                                  const struct IceGrid_TemplateDescriptor *t,
                                                  const struct IceGrid_StringStringDict *values)
{
    struct IceGrid_StringStringDict out = {
        0, IB_ARENA_ARRAY(r->arena, values->n + t->parameters.n, struct IceGrid_StringStringDict_entry)};
    struct reg_names known = {0};
    char unknown[200] = "", undefined[200] = "";
    if (values->n)
        known = reg_names_of(r->scratch, &t->parameters);
    if (!out.v || (values->n && !known.v)) {
        reg_fault_nomem(r->fault);
        return out;
    }
    for (size_t i = 0; i < values->n && reg_fault_work(r->fault); i++) {
        add_parameter(r, &out, "parameter", values->v[i].key, values->v[i].value);
        if (reg_names_find(&known, values->v[i].key) == SIZE_MAX)
            list_name(unknown, sizeof(unknown), values->v[i].key);
    }
    if (unknown[0])
        reg_resolver_fail(r, "unknown parameters when instantiating `%s' template: %s", ib_cstr(name), unknown);
    for (size_t i = 0; i < t->parameters.n && reg_fault_work(r->fault); i++) {
        struct ib_str key = t->parameters.v[i];
        if (reg_dict_find(values, key))
            continue;
        const struct ib_str *text = reg_dict_find(&t->parameterDefaults, key);
        if (text)
            add_parameter(r, &out, "default parameter", key, *text);
        else
            list_name(undefined, sizeof(undefined), key);
    }
    if (undefined[0])
        reg_resolver_fail(r, "undefined parameters when instantiating `%s' template: %s", ib_cstr(name), undefined);
    iw_dict_sort(&IceGrid_StringStringDict_type, &out);
    return out;
}

/* --- parts of servers and services -------------------------------------------------------------------------------- */

struct IceGrid_ObjectDescriptorSeq reg_instantiate_objects(struct reg_resolver *r,
                                                           const struct IceGrid_ObjectDescriptorSeq *in,
                                                           enum reg_objects_of what, struct ib_str default_options)
{
    static const struct {
        const char *identity, *type, *options;
    } names[] = {
#define NAMES(kind) {kind " identity", kind " type", kind " proxy options"}
        [REG_OBJECTS_OF_GROUP] = NAMES("replica group well-known object"),
        [REG_OBJECTS_OF_ADAPTER] = NAMES("well-known object"),
        [REG_ALLOCATABLES] = NAMES("allocatable object"),
#undef NAMES
    };
    struct IceGrid_ObjectDescriptorSeq out = {0, IB_ARENA_ARRAY(r->arena, in->n, struct IceGrid_ObjectDescriptor)};
    if (!out.v)
        reg_fault_nomem(r->fault);
    for (size_t i = 0; i < in->n && !r->fault->code; i++) {
        struct IceGrid_ObjectDescriptor *o = &out.v[out.n++];
        o->type = reg_text(r, names[what].type, in->v[i].type);
        o->id = reg_identity_text(r, names[what].identity, &in->v[i].id);
        o->proxyOptions = reg_text(r, names[what].options, in->v[i].proxyOptions);
        if (!o->proxyOptions.n)
            o->proxyOptions = default_options;
        reg_check_proxy_options(r, o->proxyOptions);
    }
    return out;
}

struct IceGrid_DistributionDescriptor reg_instantiate_distrib(struct reg_resolver *r,
                                                              const struct IceGrid_DistributionDescriptor *in)
{
    struct IceGrid_DistributionDescriptor out;
    out.icepatch = reg_text(r, "IcePatch2 server proxy", in->icepatch);
    out.directories = reg_texts(r, "distribution source directory", &in->directories, false);
    return out;
}

/* The properties of a server or service, for the look-ups of its adapters. */
struct settings {
    const struct IceGrid_PropertyDescriptorSeq *properties;
    struct reg_names by_name; /* from the last to the first: of several with one name the last counts */
    bool old_encoding;
};

static struct settings index_properties(struct reg_resolver *r, const struct IceGrid_PropertyDescriptorSeq *properties,
                                        bool old_encoding)
{
    struct settings s = {properties, reg_names_new(r->scratch, properties->n), old_encoding};
    if (!s.by_name.v)
        reg_fault_nomem(r->fault);
    for (size_t i = properties->n; s.by_name.v && i-- > 0;)
        reg_names_add(&s.by_name, properties->v[i].name);
    reg_names_sort(&s.by_name);
    return s;
}

/* "" when it is not set. */
static struct ib_str setting(const struct settings *s, struct ib_str name)
{
    size_t at = s->by_name.v ? reg_names_find(&s->by_name, name) : SIZE_MAX;
    return at == SIZE_MAX ? ib_str("") : s->properties->v[s->properties->n - 1 - at].value;
}

static struct ib_str adapter_setting(struct reg_resolver *r, const struct settings *s, struct ib_str adapter,
                                     struct ib_str name)
{
    char *key = ib_arena_alloc(r->scratch, adapter.n + 1 + name.n);
    if (!key) {
        reg_fault_nomem(r->fault);
        return ib_str("");
    }
    if (adapter.n)
        memcpy(key, adapter.p, adapter.n);
    key[adapter.n] = '.';
    memcpy(key + adapter.n + 1, name.p, name.n);
    return setting(s, (struct ib_str){key, adapter.n + 1 + name.n});
}

/* Options of the objects of an adapter that have none of their own (icegrid-registry 4.2). */
static struct ib_str default_options(struct reg_resolver *r, struct ib_str adapter, const struct settings *s)
{
    struct ib_str options = adapter_setting(r, s, adapter, IB_STR("ProxyOptions"));
    struct ib_str version = setting(s, IB_STR("Ice.Default.EncodingVersion"));
    if (options.n)
        return options;
    if (!version.n)
        return s->old_encoding ? IB_STR("-e 1.0") : IB_STR("-e 1.1");
    options = ib_arena_printf(r->arena, "-e %s", version.p);
    if (!options.p)
        reg_fault_nomem(r->fault);
    return options;
}

static void instantiate_adapter(struct reg_resolver *r, const struct IceGrid_AdapterDescriptor *in,
                                const struct settings *s, struct IceGrid_AdapterDescriptor *out)
{
    out->name = reg_text_required(r, "object adapter name", in->name);
    out->description = reg_text(r, "object adapter description", in->description);
    out->id = reg_id(r, "object adapter id", in->id);
    out->replicaGroupId = reg_id_optional(r, "object adapter replica group id", in->replicaGroupId);
    out->priority = reg_int_text(r, "object adapter priority", in->priority, NULL);
    out->registerProcess = in->registerProcess;
    out->serverLifetime = in->serverLifetime;
    struct ib_str options = default_options(r, out->name, s);
    out->objects = reg_instantiate_objects(r, &in->objects, REG_OBJECTS_OF_ADAPTER, options);
    out->allocatables = reg_instantiate_objects(r, &in->allocatables, REG_ALLOCATABLES, options);
    if (!adapter_setting(r, s, out->name, IB_STR("Endpoints")).n)
        reg_resolver_fail(r, "invalid endpoints for adapter `%s': empty string", ib_cstr(out->name));
}

static void instantiate_dbenv(struct reg_resolver *r, const struct IceGrid_DbEnvDescriptor *in,
                              struct IceGrid_DbEnvDescriptor *out)
{
    out->name = reg_text_required(r, "database environment name", in->name);
    out->description = reg_text(r, "database environment description", in->description);
    out->dbHome = reg_text(r, "database environment home directory", in->dbHome);
    out->properties.v = IB_ARENA_ARRAY(r->arena, in->properties.n, struct IceGrid_PropertyDescriptor);
    if (!out->properties.v)
        reg_fault_nomem(r->fault);
    for (size_t i = 0; i < in->properties.n && !r->fault->code; i++) {
        struct IceGrid_PropertyDescriptor *p = &out->properties.v[out->properties.n++];
        p->name = reg_text(r, "database environment property name", in->properties.v[i].name);
        p->value = reg_text(r, "database environment property value", in->properties.v[i].value);
    }
}

/* What servers and services have in common. Description and properties are there already. */
static void instantiate_communicator(struct reg_resolver *r, const struct IceGrid_CommunicatorDescriptor *in,
                                     bool old_encoding, struct IceGrid_CommunicatorDescriptor *out)
{
    out->adapters.v = IB_ARENA_ARRAY(r->arena, in->adapters.n, struct IceGrid_AdapterDescriptor);
    out->dbEnvs.v = IB_ARENA_ARRAY(r->arena, in->dbEnvs.n, struct IceGrid_DbEnvDescriptor);
    if (!out->adapters.v || !out->dbEnvs.v)
        reg_fault_nomem(r->fault);
    struct settings s = {0};
    if (in->adapters.n)
        s = index_properties(r, &out->propertySet.properties, old_encoding);
    for (size_t i = 0; i < in->adapters.n && !r->fault->code; i++)
        instantiate_adapter(r, &in->adapters.v[i], &s, &out->adapters.v[out->adapters.n++]);
    for (size_t i = 0; i < in->dbEnvs.n && !r->fault->code; i++)
        instantiate_dbenv(r, &in->dbEnvs.v[i], &out->dbEnvs.v[out->dbEnvs.n++]);
    out->logs = reg_texts(r, "log path", &in->logs, true);
}

/* --- services ------------------------------------------------------------------------------------------------------
 */

/* Properties that a server instance gives to one of its services. */
static const struct IceGrid_PropertySetDescriptor *service_set(const struct IceGrid_PropertySetDescriptorDict *sets,
                                                               struct ib_str service)
{
    size_t i = sets ? reg_sorted_find(&IceGrid_PropertySetDescriptorDict_type, sets, service) : SIZE_MAX;
    return i == SIZE_MAX ? NULL : &sets->v[i].value;
}

/* The service's definition and, for a template, its parameters in *params; NULL after a fault. */
static const struct IceGrid_ServiceDescriptor *service_def(struct reg_resolver *server,
                                                           const struct IceGrid_ServiceInstanceDescriptor *in,
                                                           struct IceGrid_StringStringDict *params)
{
    if (in->descriptor)
        return in->descriptor; /* whatever it says about a template */
    if (!in->template_.n) {
        reg_fault_set(server->fault, "invalid service instance: no template defined");
        return NULL;
    }
    const struct IceGrid_TemplateDescriptor *t = reg_template(&server->app->serviceTemplates, in->template_);
    if (!t) {
        reg_fault_set(server->fault, "unknown service template `%s'", ib_cstr(in->template_));
        return NULL;
    }
    if (!t->descriptor || !iw_class_is_a(t->descriptor->object.cls, &IceGrid_ServiceDescriptor_class)) {
        reg_resolver_fail(server, "invalid service template `%s': not a service", ib_cstr(in->template_));
        return NULL;
    }
    *params = parameters(server, in->template_, t, &in->parameterValues);
    return (const struct IceGrid_ServiceDescriptor *)(const void *)t->descriptor;
}

static void instantiate_service(struct reg_resolver *server, const struct IceGrid_ServiceInstanceDescriptor *in,
                                const struct IceGrid_PropertySetDescriptorDict *sets, bool old_encoding,
                                struct IceGrid_ServiceInstanceDescriptor *out)
{
    struct IceGrid_StringStringDict params = {0};
    struct reg_resolver r = *server;
    const struct IceGrid_ServiceDescriptor *def = service_def(server, in, &params);
    if (!def || server->fault->code)
        return;
    if (!in->descriptor)
        r.parameters = &params;
    struct IceGrid_ServiceDescriptor *s = IceGrid_ServiceDescriptor_new(r.arena);
    if (!s) {
        reg_fault_nomem(r.fault);
        return;
    }
    s->name = reg_text_required(&r, "service name", def->name);
    r.service = s->name;
    struct reg_properties props = {0};
    const struct IceGrid_PropertySetDescriptor *more = service_set(sets, s->name);
    s->base.description = reg_text(&r, "description", def->base.description);
    reg_properties_append(&props, &r, &def->base.propertySet);
    reg_properties_append(&props, &r, &in->propertySet);
    if (more)
        reg_properties_append(&props, server, more);
    s->base.propertySet.properties = props.seq;
    instantiate_communicator(&r, &def->base, old_encoding, &s->base);
    s->entry = reg_text_required(&r, "entry", def->entry);
    out->descriptor = s;
}

static void check_service_sets(struct reg_resolver *r, const struct IceGrid_PropertySetDescriptorDict *sets,
                               const struct IceGrid_ServerDescriptor *s)
{
    const struct IceGrid_IceBoxDescriptor *box = reg_icebox(s);
    if (sets->n && !box)
        reg_resolver_fail(r, "service property sets are only allowed in IceBox server instances");
    if (!sets->n || r->fault->code)
        return;
    struct reg_names services = reg_names_new(r->scratch, box->services.n);
    if (!services.v) {
        reg_fault_nomem(r->fault);
        return;
    }
    for (size_t i = 0; i < box->services.n; i++)
        reg_names_add(&services, box->services.v[i].descriptor->name);
    reg_names_sort(&services);
    for (size_t i = 0; i < sets->n && !r->fault->code; i++) {
        if (reg_names_find(&services, sets->v[i].key) == SIZE_MAX)
            reg_resolver_fail(r, "invalid service property set: service `%s' doesn't exist", ib_cstr(sets->v[i].key));
    }
}

/* --- servers -------------------------------------------------------------------------------------------------------
 */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "M.m" or "M.m.p", each part of one or two digits; a last dot is let pass, as ZeroC does. *old: before 3.5, whose
 * encoding was 1.0. */
static bool parse_version(struct ib_str s, bool *old)
{
    int part[3] = {0}, n = 0;
    size_t i = 0;
    while (n < 3 && i < s.n && is_digit(s.p[i])) {
        part[n] = s.p[i++] - '0';
        if (i < s.n && is_digit(s.p[i]))
            part[n] = 10 * part[n] + s.p[i++] - '0';
        n++;
        if (n == 3 || i == s.n || s.p[i] != '.')
            break;
        i++;
    }
    *old = part[0] < 3 || (part[0] == 3 && part[1] < 5);
    return i == s.n && n >= 2;
}

static void instantiate_command(struct reg_resolver *r, const struct IceGrid_ServerDescriptor *in,
                                struct IceGrid_ServerDescriptor *out)
{
    static const char *const activations[] = {"", "manual", "on-demand", "always", "session"};
    out->exe = reg_text_required(r, "executable", in->exe);
    out->pwd = reg_text(r, "working directory path", in->pwd);
    out->user = reg_text(r, "user", in->user);
    size_t i = 0;
    while (i < sizeof(activations) / sizeof(activations[0]) && !ib_str_is(out->activation, activations[i]))
        i++;
    if (i == sizeof(activations) / sizeof(activations[0]))
        reg_resolver_fail(r, "unknown activation `%s'", ib_cstr(out->activation));
    out->activationTimeout = reg_int_text(r, "activation timeout", in->activationTimeout, NULL);
    out->deactivationTimeout = reg_int_text(r, "deactivation timeout", in->deactivationTimeout, NULL);
    out->options = reg_texts(r, "option", &in->options, false);
    out->envs = reg_texts(r, "environment variable", &in->envs, false);
    out->distrib = reg_instantiate_distrib(r, &in->distrib);
    out->applicationDistrib = in->applicationDistrib;
    out->allocatable = in->allocatable;
}

/* Before everything else, and before ${session.id} means anything: the version decides how proxies are made, the
   activation whether ${session.id} is for later. */
static bool begin(struct reg_resolver *r, const struct IceGrid_ServerDescriptor *def,
                  struct IceGrid_ServerDescriptor *out)
{
    bool old_encoding = false;
    out->id = r->server;
    out->iceVersion = reg_text(r, "ice version", def->iceVersion);
    if (out->iceVersion.n && !parse_version(out->iceVersion, &old_encoding))
        reg_resolver_fail(r, "invalid ice version: %s", ib_cstr(out->iceVersion));
    out->activation = reg_text(r, "server activation", def->activation);
    r->session = ib_str_is(out->activation, "session");
    return old_encoding;
}

static void instantiate_services(struct reg_resolver *r, const struct IceGrid_IceBoxDescriptor *in,
                                 const struct IceGrid_PropertySetDescriptorDict *sets, bool old_encoding,
                                 struct IceGrid_IceBoxDescriptor *out)
{
    out->services.v = IB_ARENA_ARRAY(r->arena, in->services.n, struct IceGrid_ServiceInstanceDescriptor);
    if (!out->services.v)
        reg_fault_nomem(r->fault);
    for (size_t i = 0; i < in->services.n && !r->fault->code; i++)
        instantiate_service(r, &in->services.v[i], sets, old_encoding, &out->services.v[out->services.n++]);
}

/* r is the server's scope; own and sets come from a server instance and may be NULL. */
static struct IceGrid_ServerDescriptor *instantiate(struct reg_resolver *r, const struct IceGrid_ServerDescriptor *def,
                                                    const struct IceGrid_PropertySetDescriptor *own,
                                                    const struct IceGrid_PropertySetDescriptorDict *sets)
{
    const struct IceGrid_IceBoxDescriptor *box = reg_icebox(def);
    struct IceGrid_IceBoxDescriptor *out_box = NULL;
    struct IceGrid_ServerDescriptor *out;
    if (box) {
        out_box = IceGrid_IceBoxDescriptor_new(r->arena);
        out = out_box ? &out_box->base : NULL;
    } else {
        out = IceGrid_ServerDescriptor_new(r->arena);
    }
    if (!out) {
        reg_fault_nomem(r->fault);
        return NULL;
    }
    bool old_encoding = begin(r, def, out);
    struct reg_properties props = {0};
    out->base.description = reg_text(r, "description", def->base.description);
    reg_properties_append(&props, r, &def->base.propertySet);
    if (own)
        reg_properties_append(&props, r, own);
    out->base.propertySet.properties = props.seq;
    instantiate_communicator(r, &def->base, old_encoding, &out->base);
    instantiate_command(r, def, out);
    if (box)
        instantiate_services(r, box, sets, old_encoding, out_box);
    if (sets)
        check_service_sets(r, sets, out);
    return r->fault->code ? NULL : out;
}

static bool is_server(const struct IceGrid_CommunicatorDescriptor *d)
{
    return d && iw_class_is_a(d->object.cls, &IceGrid_ServerDescriptor_class);
}

struct ib_str reg_server_def_id(struct reg_resolver *node, const struct IceGrid_ServerDescriptor *def)
{
    if (!def || !is_server(&def->base)) {
        reg_resolver_fail(node, "invalid server instance: template is not defined");
        return ib_str("");
    }
    return reg_id(node, "server id", def->id);
}

struct reg_instance reg_instantiate_server(struct reg_resolver *node, const struct IceGrid_ServerDescriptor *def)
{
    struct reg_instance out = {.id = reg_server_def_id(node, def)};
    struct reg_resolver r = *node;
    if (node->fault->code)
        return out;
    r.server = out.id;
    out.desc = instantiate(&r, def, NULL, NULL);
    return out;
}

/* The template's server and the resolved parameters; NULL after a fault. */
static const struct IceGrid_ServerDescriptor *server_template(struct reg_resolver *node,
                                                              const struct IceGrid_ServerInstanceDescriptor *inst,
                                                              struct IceGrid_StringStringDict *params)
{
    if (!inst->template_.n) {
        reg_resolver_fail(node, "invalid server instance: template is not defined");
        return NULL;
    }
    const struct IceGrid_TemplateDescriptor *t = reg_template(&node->app->serverTemplates, inst->template_);
    if (!t) {
        reg_fault_set(node->fault, "unknown server template `%s'", ib_cstr(inst->template_));
        return NULL;
    }
    if (!is_server(t->descriptor)) {
        reg_resolver_fail(node, "invalid server template `%s': not a server", ib_cstr(inst->template_));
        return NULL;
    }
    *params = parameters(node, inst->template_, t, &inst->parameterValues);
    return (const struct IceGrid_ServerDescriptor *)(const void *)t->descriptor;
}

struct ib_str reg_server_instance_id(struct reg_resolver *node, const struct IceGrid_ServerInstanceDescriptor *inst)
{
    struct IceGrid_StringStringDict params = {0};
    struct reg_resolver r = *node;
    const struct IceGrid_ServerDescriptor *def = server_template(node, inst, &params);
    r.parameters = &params;
    return def ? reg_id(&r, "server id", def->id) : ib_str("");
}

struct reg_instance reg_instantiate_template(struct reg_resolver *node,
                                             const struct IceGrid_ServerInstanceDescriptor *inst)
{
    struct reg_instance out = {{"", 0}, NULL};
    struct IceGrid_StringStringDict params = {0};
    struct reg_resolver r = *node;
    const struct IceGrid_ServerDescriptor *def = server_template(node, inst, &params);
    r.parameters = &params;
    if (def)
        out.id = reg_id(&r, "server id", def->id);
    if (node->fault->code)
        return out;
    r.server = out.id;
    out.desc = instantiate(&r, def, &inst->propertySet, &inst->servicePropertySets);
    return out;
}
