/* SPDX-License-Identifier: Apache-2.0 */
/* The admin object: one identity, one facet each for what can be administered, on an adapter of its own or on a role's
   (ice-protocol 19.1). */
#include "admin_priv.h"
#include "rpc_priv.h"

#include <moulin/base/clock.h>
#include <moulin/base/log.h>
#include <moulin/rpc/call.h>
#include <slice/Ice/Locator_rpc.h>
#include <slice/Ice/Process_rpc.h>
#include <slice/Ice/Metrics_rpc.h>
#include <slice/Ice/PropertiesAdmin_rpc.h>
#include <slice/Ice/RemoteLogger_rpc.h>

#include <stdlib.h>

static const struct facet {
    const char *name;
    const struct iw_iface *iface;
    const void *vtable;
} facets[IR_FACET_MAX] = {
    [IR_FACET_PROCESS] = {"Process", &Ice_Process_iface, &ir_facet_process},
    [IR_FACET_PROPERTIES] = {"Properties", &Ice_PropertiesAdmin_iface, &ir_facet_properties},
    [IR_FACET_LOGGER] = {"Logger", &Ice_LoggerAdmin_iface, &ir_facet_logger},
    [IR_FACET_METRICS] = {"Metrics", &IceMX_MetricsAdmin_iface, &ir_facet_metrics},
};

/* Ice.Admin.Facets of whom the object belongs to: empty means all. */
static int wanted(struct ir_admin *admin, const char *name, bool *yes, struct ib_err *err)
{
    struct ib_str *list;
    int n = ir_properties_list(ir_runtime_properties(ir_adapter_runtime(admin->adapter)), "Ice.Admin.Facets",
                               &admin->arena, &list);

    if (n < 0)
        return ib_err_set(err, n, "property Ice.Admin.Facets: unbalanced quote or out of memory");
    *yes = n == 0;
    for (int i = 0; i < n; i++)
        *yes = *yes || ib_str_is(list[i], name);
    return 0;
}

static int add_facet(struct ir_admin *admin, const char *name, struct ir_servant *s, bool *added, struct ib_err *err)
{
    int rc = wanted(admin, name, added, err);

    if (rc != 0 || !*added)
        return rc;
    rc = ir_adapter_add(admin->adapter, &admin->id, name, s);
    *added = rc == 0;
    return rc == 0 ? 0 : ib_err_set(err, rc, "cannot add the admin facet %s: %s", name, ib_err_text(rc));
}

int ir_admin_add_facet(struct ir_admin *admin, const char *name, struct ir_servant *s, struct ib_err *err)
{
    bool added;

    return add_facet(admin, name, s, &added, err);
}

int ir_admin_add_alias(struct ir_admin *admin, const char *name, const char *facet, struct ib_err *err)
{
    size_t i = 0, n = strlen(name) + 1;
    while (i < IR_FACET_MAX && strcmp(facets[i].name, facet) != 0)
        i++;
    struct ir_admin_alias *alias = i < IR_FACET_MAX ? malloc(sizeof(*alias) + n) : NULL;
    bool added = false;

    if (alias == NULL)
        return ib_err_set(err, i < IR_FACET_MAX ? IB_ENOMEM : IB_ENOTFOUND, "cannot add the admin facet %s", name);
    memcpy(alias->name, name, n);
    int rc = add_facet(admin, alias->name, &admin->servants[i], &added, err);
    if (!added) {
        free(alias);
        return rc;
    }
    alias->next = admin->aliases;
    admin->aliases = alias;
    if (i == IR_FACET_METRICS)
        ir_admin_join(admin->rt);
    return 0;
}

void ir_admin_remove_facet(struct ir_admin *admin, const char *name)
{
    ir_adapter_remove(admin->adapter, &admin->id, name);
}

static int add_facets(struct ir_admin *admin, struct ib_err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < IR_FACET_MAX; i++) {
        struct ib_str name = ib_arena_printf(&admin->arena, "%s%s", ib_cstr(admin->prefix), facets[i].name);
        bool added = false;

        admin->servants[i] = (struct ir_servant){.iface = facets[i].iface, .vtable = facets[i].vtable, .self = admin};
        if (name.p == NULL)
            return ib_err_set(err, IB_ENOMEM, "out of memory");
        if (i != IR_FACET_PROCESS || admin->prefix.n == 0)
            rc = add_facet(admin, name.p, &admin->servants[i], &added, err);
        admin->added[i] = added ? name.p : NULL;
    }
    if (rc == 0 && admin->added[IR_FACET_METRICS] != NULL) {
        ir_admin_join(admin->rt);
    }
    return rc;
}

static int init(struct ir_admin *admin, const struct iw_identity *id, struct ib_err *err)
{
    admin->id.name = ib_arena_str(&admin->arena, id->name);
    admin->id.category = ib_arena_str(&admin->arena, id->category);
    if (admin->id.name.p == NULL || admin->id.category.p == NULL)
        return ib_err_set(err, IB_ENOMEM, "out of memory");
    admin->proxy = ir_adapter_proxy(admin->adapter, &admin->id, &admin->arena);
    if (admin->proxy == NULL)
        return ib_err_set(err, IB_ENOMEM, "out of memory");
    return add_facets(admin, err);
}

static int create(const struct ir_admin *model, const struct iw_identity *id, const char *prefix, struct ir_admin **out,
                  struct ib_err *err)
{
    struct ir_admin *admin = calloc(1, sizeof(*admin));
    int rc;

    if (admin == NULL)
        return ib_err_set(err, IB_ENOMEM, "out of memory");
    *admin = *model;
    ib_arena_init(&admin->arena, 0);
    admin->prefix = ib_arena_strz(&admin->arena, prefix);
    admin->logger = ir_facet_logger_new(admin);
    rc = admin->logger != NULL && admin->prefix.p != NULL ? init(admin, id, err)
                                                          : ib_err_set(err, IB_ENOMEM, "out of memory");
    if (rc != 0) {
        ir_admin_free(admin);
        return rc;
    }
    *out = admin;
    return 0;
}

int ir_admin_create_on(struct ir_runtime *rt, struct ir_adapter *a, const struct iw_identity *id,
                       void (*on_shutdown)(void *arg), void *arg, struct ir_admin **out, struct ib_err *err)
{
    const struct ir_admin model = {.rt = rt, .adapter = a, .on_shutdown = on_shutdown, .arg = arg};

    return create(&model, id, "", out, err);
}

int ir_admin_create_below(struct ir_admin *host, struct ir_runtime *rt, const char *prefix, struct ir_admin **out,
                          struct ib_err *err)
{
    const struct ir_admin model = {.rt = rt, .adapter = host->adapter};

    return create(&model, &host->id, prefix, out, err);
}

/* The locator registry answered, or did not: either way the process goes on. */
static void process_registered(void *arg, const struct ir_result *r)
{
    struct ir_runtime *rt = arg;
    char text[300];

    if (r->outcome != IR_SUCCESS)
        ib_log_warning(ir_runtime_log(rt), "cannot register the process of server `%s' with the locator registry: %s",
                       ir_properties_get(ir_runtime_properties(rt), "Ice.Admin.ServerId"),
                       ir_result_text(r, text, sizeof(text)));
}

struct registration {
    struct ir_runtime *rt;
    struct ib_arena arena;
    struct iw_proxy *process;
};

static void got_registry(void *arg, const struct ir_result *r)
{
    struct registration *reg = arg;
    const struct Ice_Locator_getRegistry_out *out = Ice_Locator_getRegistry_result(r);

    if (out != NULL && out->ret != NULL) {
        struct Ice_LocatorRegistry_setServerProcessProxy_in in = {
            .id = ib_str(ir_properties_get(ir_runtime_properties(reg->rt), "Ice.Admin.ServerId")),
            .proxy = reg->process,
        };

        Ice_LocatorRegistry_setServerProcessProxy_call(reg->rt, out->ret, NULL, &in, process_registered, reg->rt);
    } else if (out == NULL) {
        process_registered(reg->rt, r);
    }
    ib_arena_fini(&reg->arena);
    free(reg);
}

/* Ice.Admin.ServerId: whoever started this server wants to be able to end it. */
static void register_process(struct ir_admin *admin)
{
    const struct iw_proxy *locator = ir_runtime_locator(admin->rt);
    struct registration *reg;

    if (locator == NULL || !ir_properties_has(ir_runtime_properties(admin->rt), "Ice.Admin.ServerId"))
        return;
    reg = calloc(1, sizeof(*reg));
    if (reg == NULL)
        return;
    reg->rt = admin->rt;
    ib_arena_init(&reg->arena, 0);
    reg->process = ir_proxy_with_facet(admin->proxy, "Process", &reg->arena);
    if (reg->process == NULL ||
        Ice_Locator_getRegistry_call(admin->rt, locator, NULL, &(struct Ice_Locator_getRegistry_in){0}, got_registry,
                                     reg) == NULL) {
        ib_arena_fini(&reg->arena);
        free(reg);
    }
}

int ir_admin_prepare(struct ir_runtime *rt, void (*on_shutdown)(void *arg), void *arg, struct ir_admin **out,
                     struct ib_err *err)
{
    const struct ir_properties *p = ir_runtime_properties(rt);
    bool endpoints = *ir_properties_get(p, "Ice.Admin.Endpoints") != 0;
    char uuid[IB_UUID_LEN + 1];
    struct iw_identity id = {IB_STR("admin"), ib_str(ir_properties_get(p, "Ice.Admin.InstanceName"))};
    struct ib_err own = {0, ""};
    struct ir_adapter *a;
    int enabled, delay, rc;

    err = err != NULL ? err : &own;
    *out = NULL;
    rc = ir_properties_int(p, "Ice.Admin.Enabled", endpoints, &enabled, err);
    if (rc == 0)
        rc = ir_properties_int(p, "Ice.Admin.DelayCreation", 0, &delay, err);
    if (rc != 0 || enabled < 1 || delay > 0 || !endpoints)
        return rc;
    a = ir_adapter_new(rt, "Ice.Admin", err);
    if (a == NULL)
        return err->code;
    if (id.category.n == 0) {
        ib_uuid(uuid);
        id.category = ib_str(uuid);
    }
    rc = ir_admin_create_on(rt, a, &id, on_shutdown, arg, out, err);
    if (rc != 0) {
        ir_adapter_free(a);
        return rc;
    }
    (*out)->owns_adapter = true;
    return 0;
}

void ir_admin_open(struct ir_admin *admin)
{
    ir_adapter_activate(admin->adapter, NULL, NULL);
    register_process(admin);
}

int ir_admin_create(struct ir_runtime *rt, void (*on_shutdown)(void *arg), void *arg, struct ir_admin **out,
                    struct ib_err *err)
{
    int rc = ir_admin_prepare(rt, on_shutdown, arg, out, err);

    if (rc == 0 && *out != NULL)
        ir_admin_open(*out);
    return rc;
}

void ir_admin_free(struct ir_admin *admin)
{
    if (admin == NULL)
        return;
    for (size_t i = 0; i < IR_FACET_MAX; i++) {
        if (admin->added[i] != NULL)
            ir_adapter_remove(admin->adapter, &admin->id, admin->added[i]);
    }
    while (admin->aliases != NULL) {
        struct ir_admin_alias *alias = admin->aliases;
        admin->aliases = alias->next;
        ir_adapter_remove(admin->adapter, &admin->id, alias->name);
        free(alias);
    }
    if (admin->owns_adapter)
        ir_adapter_free(admin->adapter);
    ir_facet_logger_free(admin->logger);
    ib_arena_fini(&admin->arena);
    free(admin);
}

void ir_admin_set_peers(struct ir_admin *admin, const struct ir_admin_peers *peers)
{
    admin->peers = *peers;
}

void ir_admin_join(struct ir_runtime *rt)
{
    rt->metrics->started = true;
    ir_metrics_configure(rt->metrics);
}

unsigned ir_admin_runtimes(const struct ir_admin *admin)
{
    return admin->peers.n ? admin->peers.n : 1;
}

int ir_admin_ask(struct ir_admin *admin, const struct ir_admin_round *round, void *job)
{
    if (ir_admin_runtimes(admin) > 1)
        return admin->peers.ask(admin->peers.arg, round, job);
    round->each(job, 0, admin->rt);
    round->done(job, true);
    round->forget(job);
    return 0;
}

struct ir_adapter *ir_admin_adapter(const struct ir_admin *admin)
{
    return admin->adapter;
}

const struct iw_proxy *ir_admin_proxy(const struct ir_admin *admin)
{
    return admin->proxy;
}
