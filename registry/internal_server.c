/* SPDX-License-Identifier: Apache-2.0 */
/* A server as its node gets it: an InternalServerDescriptor with the lines of its configuration files
   (icegrid-internal 10.1). */
#include "descriptor.h"
#include "catalog.h"
#include "instantiate.h"

#include <stdio.h>
#include <stdlib.h>

#include <moulin/base/buf.h>
#include <moulin/wire/codec.h>
#include <slice/IceGrid/Admin.h>
#include <slice/IceGrid/Internal.h>

struct writer {
    struct ib_arena *arena;
    const struct IceGrid_ServerDescriptor *desc; /* resolved */
    struct ib_str data; /* the node's directory */
    bool escape; /* servers since 3.3 read escapes in their files */
    bool failed; /* memory */
};

/* The lines of one file in the making; a name that starts with '#' is a comment. */
struct lines {
    struct IceGrid_PropertyDescriptorSeq seq;
    size_t cap;
};

static struct ib_str text(struct writer *w, const char *fmt, ...) IB_PRINTF(2, 3);

static struct ib_str text(struct writer *w, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *s = n < 0 ? NULL : ib_arena_alloc(w->arena, (size_t)n + 1);
    if (!s) {
        w->failed = true;
        return ib_str("");
    }
    va_start(args, fmt);
    vsnprintf(s, (size_t)n + 1, fmt, args);
    va_end(args);
    return (struct ib_str){s, (size_t)n};
}

static bool needs_escape(struct ib_str s, size_t i, bool name)
{
    size_t first = 0, last = s.n;
    while (first < s.n && s.p[first] == ' ')
        first++;
    while (last > first && s.p[last - 1] == ' ')
        last--;
    return s.p[i] == '#' || (name && s.p[i] == '=') || (s.p[i] == ' ' && (i < first || i >= last));
}

/* A backslash is doubled only where it would otherwise escape what follows. */
static struct ib_str escape(struct writer *w, struct ib_str s, bool name)
{
    struct ib_buf b;
    if (!w->escape || !s.n)
        return s;
    ib_buf_init(&b);
    for (size_t i = 0; i < s.n; i++) {
        bool doubled = s.p[i] == '\\' && i + 1 < s.n && (s.p[i + 1] == '\\' || needs_escape(s, i + 1, name));
        if (doubled || needs_escape(s, i, name))
            ib_buf_put_u8(&b, '\\');
        ib_buf_put_u8(&b, (uint8_t)s.p[i]);
    }
    struct ib_str out = {NULL, 0};
    if (ib_buf_ok(&b))
        out = ib_arena_str(w->arena, (struct ib_str){(const char *)b.p, b.n});
    ib_buf_fini(&b);
    w->failed = w->failed || !out.p;
    return out.p ? out : ib_str("");
}

static void put_raw(struct writer *w, struct lines *l, struct ib_str name, struct ib_str value)
{
    if (l->seq.n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 16;
        struct IceGrid_PropertyDescriptor *v = IB_ARENA_ARRAY(w->arena, cap, struct IceGrid_PropertyDescriptor);
        if (!v) {
            w->failed = true;
            return;
        }
        if (l->seq.n)
            memcpy(v, l->seq.v, l->seq.n * sizeof(*v));
        l->seq.v = v;
        l->cap = cap;
    }
    l->seq.v[l->seq.n++] = (struct IceGrid_PropertyDescriptor){name, value};
}

static void put(struct writer *w, struct lines *l, struct ib_str name, struct ib_str value)
{
    put_raw(w, l, escape(w, name, true), escape(w, value, false));
}

static void comment(struct writer *w, struct lines *l, struct ib_str line)
{
    put_raw(w, l, line, ib_str(""));
}

static bool has_property(const struct IceGrid_PropertyDescriptorSeq *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++)
        if (ib_str_is(p->v[i].name, name))
            return true;
    return false;
}

/* Before major.minor; without a version a server is as new as we are. */
static bool older_than(struct ib_str version, long major, long minor)
{
    char *end;
    if (!version.n)
        return false;
    long m = strtol(version.p, &end, 10), n = *end == '.' ? strtol(end + 1, NULL, 10) : 0;
    return m < major || (m == major && n < minor);
}

/* --- the files ------------------------------------------------------------------------------------------------------
 */

static bool is_endpoints_of(struct ib_str property, const struct IceGrid_AdapterDescriptorSeq *adapters)
{
    static const char suffix[] = ".Endpoints";
    size_t n = sizeof(suffix) - 1;
    for (size_t i = 0; i < adapters->n; i++) {
        struct ib_str a = adapters->v[i].name;
        if (property.n == a.n + n && memcmp(property.p, a.p, a.n) == 0 && memcmp(property.p + a.n, suffix, n) == 0)
            return true;
    }
    return false;
}

static void put_adapter(struct writer *w, struct lines *l, const struct IceGrid_AdapterDescriptor *a,
                        const struct IceGrid_PropertyDescriptorSeq *props)
{
    const char *name = ib_cstr(a->name);
    struct ib_str endpoints = text(w, "%s.Endpoints", name);
    comment(w, l, text(w, "# Object adapter %s", name));
    put(w, l, endpoints, reg_property(props, endpoints.p));
    put(w, l, text(w, "%s.AdapterId", name), a->id);
    if (a->replicaGroupId.n)
        put(w, l, text(w, "%s.ReplicaGroupId", name), a->replicaGroupId);
}

/* Adapters, databases and what remains of the properties: the same for servers and services. */
static void put_communicator(struct writer *w, struct lines *l, const struct IceGrid_CommunicatorDescriptor *c,
                             const char *kind)
{
    const struct IceGrid_PropertyDescriptorSeq *props = &c->propertySet.properties;
    bool headed = false;
    for (size_t i = 0; i < c->adapters.n; i++)
        put_adapter(w, l, &c->adapters.v[i], props);
    for (size_t i = 0; i < c->dbEnvs.n; i++) {
        const struct IceGrid_DbEnvDescriptor *e = &c->dbEnvs.v[i];
        comment(w, l, text(w, "# Database environment %s", ib_cstr(e->name)));
        put(w, l, text(w, "Freeze.DbEnv.%s.DbHome", ib_cstr(e->name)),
            e->dbHome.n ? e->dbHome
                        : text(w, "%s/servers/%s/dbs/%s", ib_cstr(w->data), ib_cstr(w->desc->id), ib_cstr(e->name)));
    }
    for (size_t i = 0; i < props->n; i++) {
        if (is_endpoints_of(props->v[i].name, &c->adapters))
            continue;
        if (!headed)
            comment(w, l, text(w, "# %s descriptor properties", kind));
        headed = true;
        put(w, l, props->v[i].name, props->v[i].value);
    }
}

static void put_icebox(struct writer *w, struct lines *l, const struct IceGrid_IceBoxDescriptor *box)
{
    const struct IceGrid_PropertyDescriptorSeq *props = &box->base.base.propertySet.properties;
    const char *id = ib_cstr(box->base.id);
    struct ib_str order = ib_str("");
    for (size_t i = 0; i < box->services.n; i++) {
        const struct IceGrid_ServiceDescriptor *s = box->services.v[i].descriptor;
        put(w, l, text(w, "IceBox.Service.%s", ib_cstr(s->name)),
            text(w, "%s --Ice.Config='%s/servers/%s/config/config_%s'", ib_cstr(s->entry), ib_cstr(w->data), id,
                 ib_cstr(s->name)));
        order = text(w, "%s%s%s", ib_cstr(order), i ? " " : "", ib_cstr(s->name));
    }
    put(w, l, ib_str("IceBox.LoadOrder"), order);
    if (!has_property(props, "IceBox.InstanceName") && reg_property(props, "IceBox.ServiceManager.Endpoints").n)
        put(w, l, ib_str("IceBox.InstanceName"), box->base.id);
}

static struct IceGrid_PropertyDescriptorSeq server_file(struct writer *w, bool before_admin)
{
    const struct IceGrid_PropertyDescriptorSeq *props = &w->desc->base.propertySet.properties;
    const struct IceGrid_IceBoxDescriptor *box = reg_icebox(w->desc);
    struct lines l = {0};
    comment(w, &l, ib_str("# Server configuration"));
    put(w, &l, ib_str(before_admin ? "Ice.ServerId" : "Ice.Admin.ServerId"), w->desc->id);
    if (!before_admin && !has_property(props, "Ice.Admin.Enabled") && !has_property(props, "Ice.Admin.Endpoints"))
        put(w, &l, ib_str("Ice.Admin.Endpoints"), ib_str("tcp -h localhost"));
    put(w, &l, ib_str("Ice.ProgramName"), w->desc->id);
    if (box)
        put_icebox(w, &l, box);
    put_communicator(w, &l, &w->desc->base, "Server");
    return l.seq;
}

/* --- the descriptor -------------------------------------------------------------------------------------------------
 */

/* Will it register an Ice::Process by its admin object? */
static bool has_admin(const struct IceGrid_PropertyDescriptorSeq *props, bool otherwise)
{
    if (has_property(props, "Ice.Admin.Enabled"))
        return strtol(ib_cstr(reg_property(props, "Ice.Admin.Enabled")), NULL, 10) > 0;
    if (has_property(props, "Ice.Admin.Endpoints"))
        return reg_property(props, "Ice.Admin.Endpoints").n > 0;
    return otherwise;
}

static bool any_registers_process(const struct IceGrid_AdapterDescriptorSeq *adapters)
{
    for (size_t i = 0; i < adapters->n; i++)
        if (adapters->v[i].registerProcess)
            return true;
    return false;
}

static void add_communicator(struct writer *w, const struct IceGrid_CommunicatorDescriptor *c, bool lifetime,
                             struct IceGrid_InternalServerDescriptor *out)
{
    for (size_t i = 0; i < c->adapters.n && !w->failed; i++) {
        struct IceGrid_InternalAdapterDescriptor *a = IceGrid_InternalAdapterDescriptor_new(w->arena);
        if (!a) {
            w->failed = true;
            return;
        }
        a->id = c->adapters.v[i].id;
        a->serverLifetime = lifetime && c->adapters.v[i].serverLifetime;
        out->adapters.v[out->adapters.n++] = a;
    }
    for (size_t i = 0; i < c->dbEnvs.n && !w->failed; i++) {
        if (c->dbEnvs.v[i].dbHome.n)
            continue;
        struct IceGrid_InternalDbEnvDescriptor *e = IceGrid_InternalDbEnvDescriptor_new(w->arena);
        if (!e) {
            w->failed = true;
            return;
        }
        e->name = c->dbEnvs.v[i].name;
        e->properties = c->dbEnvs.v[i].properties;
        out->dbEnvs.v[out->dbEnvs.n++] = e;
    }
    for (size_t i = 0; i < c->logs.n; i++)
        out->logs.v[out->logs.n++] = c->logs.v[i];
}

/* Room for everything that server and services list. */
static void reserve(struct writer *w, const struct IceGrid_IceBoxDescriptor *box,
                    struct IceGrid_InternalServerDescriptor *out)
{
    size_t adapters = w->desc->base.adapters.n, envs = w->desc->base.dbEnvs.n, logs = w->desc->base.logs.n;
    size_t services = box ? box->services.n : 0;
    for (size_t i = 0; i < services; i++) {
        const struct IceGrid_CommunicatorDescriptor *c = &box->services.v[i].descriptor->base;
        adapters += c->adapters.n;
        envs += c->dbEnvs.n;
        logs += c->logs.n;
    }
    out->adapters.v = IB_ARENA_ARRAY(w->arena, adapters, struct IceGrid_InternalAdapterDescriptor *);
    out->dbEnvs.v = IB_ARENA_ARRAY(w->arena, envs, struct IceGrid_InternalDbEnvDescriptor *);
    out->logs.v = IB_ARENA_ARRAY(w->arena, logs, struct ib_str);
    out->services.v = IB_ARENA_ARRAY(w->arena, services, struct ib_str);
    out->properties.v = IB_ARENA_ARRAY(w->arena, services + 1, struct IceGrid_PropertyDescriptorSeqDict_entry);
    w->failed =
        w->failed || !out->adapters.v || !out->dbEnvs.v || !out->logs.v || !out->services.v || !out->properties.v;
}

static void add_services(struct writer *w, const struct IceGrid_IceBoxDescriptor *box,
                         struct IceGrid_InternalServerDescriptor *out)
{
    for (size_t i = 0; box && i < box->services.n && !w->failed; i++) {
        const struct IceGrid_ServiceDescriptor *s = box->services.v[i].descriptor;
        struct lines l = {0};
        put_communicator(w, &l, &s->base, "Service");
        add_communicator(w, &s->base, !has_admin(&s->base.propertySet.properties, false), out);
        out->services.v[out->services.n++] = s->name;
        out->properties.v[out->properties.n++] =
            (struct IceGrid_PropertyDescriptorSeqDict_entry){text(w, "config_%s", ib_cstr(s->name)), l.seq};
    }
}

static void copy_command(const struct IceGrid_ServerDescriptor *d, struct IceGrid_InternalServerDescriptor *out)
{
    out->id = d->id;
    out->exe = d->exe;
    out->pwd = d->pwd;
    out->user = d->user;
    out->activation = d->activation;
    out->activationTimeout = d->activationTimeout;
    out->deactivationTimeout = d->deactivationTimeout;
    out->applicationDistrib = d->applicationDistrib;
    out->options = d->options;
    out->envs = d->envs;
}

static void write_server(struct writer *w, struct IceGrid_InternalServerDescriptor *out)
{
    const struct IceGrid_ServerDescriptor *d = w->desc;
    const struct IceGrid_IceBoxDescriptor *box = reg_icebox(d);
    bool before_admin = older_than(d->iceVersion, 3, 3);
    copy_command(d, out);
    if (d->distrib.icepatch.n) {
        out->distrib = IceGrid_InternalDistributionDescriptor_new(w->arena);
        if (out->distrib) {
            out->distrib->icepatch = d->distrib.icepatch;
            out->distrib->directories = d->distrib.directories;
        }
        w->failed = w->failed || !out->distrib;
    }
    out->processRegistered =
        before_admin ? any_registers_process(&d->base.adapters) : has_admin(&d->base.propertySet.properties, true);
    reserve(w, box, out);
    if (w->failed)
        return;
    out->properties.v[out->properties.n++] =
        (struct IceGrid_PropertyDescriptorSeqDict_entry){ib_str("config"), server_file(w, before_admin)};
    add_communicator(w, &d->base, true, out);
    out->has_services = true;
    add_services(w, box, out);
    if (!w->failed)
        iw_dict_sort(&IceGrid_PropertyDescriptorSeqDict_type, &out->properties);
}

int reg_internal_server(const struct reg_server *s, const struct reg_node_vars *vars, struct ib_arena *arena,
                        struct IceGrid_InternalServerDescriptor **out)
{
    struct IceGrid_ServerDescriptor *desc = NULL;
    int rc = reg_server_resolve(s->desc, vars, arena, &desc);
    if (rc)
        return rc;
    struct IceGrid_InternalServerDescriptor *d = IceGrid_InternalServerDescriptor_new(arena);
    if (!d)
        return IB_ENOMEM;
    struct writer w = {.arena = arena, .desc = desc, .data = vars->data, .escape = !older_than(desc->iceVersion, 3, 3)};
    d->application = s->app->name;
    d->uuid = s->app->info->uuid;
    d->revision = s->app->info->revision;
    d->sessionId = ib_str_is(desc->activation, "session") && vars->session_id.p ? vars->session_id : ib_str("");
    write_server(&w, d);
    if (w.failed)
        return IB_ENOMEM;
    *out = d;
    return 0;
}
