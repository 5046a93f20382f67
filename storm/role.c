/* SPDX-License-Identifier: Apache-2.0 */
/* The role: the services that the configuration names (box.h), one after another, each with its own prefix of
   properties. They share the runtime of the process, or have one each when they are IceBox's. */
#include <stdio.h>
#include <stdlib.h>

#include <moulin/base/clock.h>
#include <moulin/base/log.h>
#include <moulin/rpc/admin.h>
#include <moulin/storm/storm.h>
#include <slice/registry.h>

#include "box.h"
#include "storm.h"

/* The end waits this long for what leaves at the end. */
#define LINGER_MS 2000
#define LOOK_MS 10

#define FACET_MAX 300

/* What a service of IceBox's has for itself. */
struct own {
    struct ib_list node;
    struct ir_runtime *rt; /* owns */
    struct ir_admin *facets; /* owns; NULL: the process has no admin object */
};

struct role {
    struct ic_loop *loop; /* borrows */
    struct ir_runtime *rt; /* owns */
    struct ir_admin *admin; /* owns; NULL: there is none */
    struct storm_metrics metrics;
    struct storm_box box;
    struct storm_box_manager manager;
    struct ib_list owns; /* struct own; owns */
    struct ib_list services; /* struct storm; owns */
    struct ic_timer look; /* at the end: has everything left? */
    int64_t give_up; /* ib_clock_ms */
    size_t running; /* at the end: runtimes that are not shut down yet */
    void (*stopped)(void *arg);
    void *arg;
};

static void own_free(struct own *own)
{
    ib_list_remove(&own->node);
    ir_admin_free(own->facets);
    ir_runtime_free(own->rt);
    free(own);
}

static void role_free(void *state)
{
    struct role *role = state;
    if (role->rt)
        ic_timer_fini(&role->look);
    while (!ib_list_empty(&role->services))
        storm_free(IB_CONTAINER(role->services.next, struct storm, node));
    while (!ib_list_empty(&role->owns))
        own_free(IB_CONTAINER(role->owns.next, struct own, node));
    ir_admin_free(role->admin);
    ir_runtime_free(role->rt);
    storm_box_fini(&role->box);
    free(role);
}

static void on_admin_shutdown(void *arg)
{
    ir_service_quit(((struct role *)arg)->loop);
}

static int prepare_admin(struct role *role, struct ib_err *err)
{
    if (storm_metrics_open(&role->metrics, role->rt))
        return ib_err_set(err, IB_ENOMEM, "out of memory");
    return ir_admin_prepare(role->rt, on_admin_shutdown, role, &role->admin, err);
}

/* When all services run, as IceBox does: whoever sees the admin object sees them as started. */
static int open_admin(struct role *role, struct ib_err *err)
{
    if (!role->admin)
        return 0;
    storm_box_manager_init(&role->manager, &role->box, role->rt);
    int rc = ir_admin_add_facet(role->admin, "IceBox.ServiceManager", &role->manager.servant, err);
    if (!rc)
        ir_admin_open(role->admin);
    return rc;
}

/* The names by which IceBox has the facets of a service that has a communicator of its own. */
static int add_facets(struct role *role, const char *service, struct ib_err *err)
{
    static const char *const facets[] = {"Logger", "Metrics", "Properties"};
    char name[FACET_MAX];
    int rc = 0;
    for (size_t i = 0; role->admin && !rc && i < sizeof facets / sizeof *facets; i++) {
        snprintf(name, sizeof name, "IceBox.Service.%s.%s", service, facets[i]);
        rc = ir_admin_add_alias(role->admin, name, facets[i], err);
    }
    return rc;
}

/* A runtime for this service; NULL with err. */
static struct own *own_new(struct role *role, struct storm_box_service *service, struct storm_metrics *metrics,
                           struct ib_err *err)
{
    struct own *own = calloc(1, sizeof *own);
    char prefix[FACET_MAX];
    if (!own) {
        ib_err_set(err, IB_ENOMEM, "out of memory");
        return NULL;
    }
    ib_list_init(&own->node);
    ib_list_append(&role->owns, &own->node);
    own->rt = ir_runtime_new(role->loop, service->props, &slice_registry, err);
    if (!own->rt)
        return NULL;
    service->props = NULL; /* the runtime's */
    if (storm_metrics_open(metrics, own->rt)) {
        ib_err_set(err, IB_ENOMEM, "out of memory");
        return NULL;
    }
    snprintf(prefix, sizeof prefix, "IceBox.Service.%s.", service->name.p);
    bool good = !role->admin || ir_admin_create_below(role->admin, own->rt, prefix, &own->facets, err) == 0;
    return good ? own : NULL;
}

static int start_service(struct role *role, struct storm_box_service *service, struct ib_err *err)
{
    struct storm_metrics metrics = role->metrics;
    struct ir_runtime *rt = role->rt;
    if (service->props) {
        struct own *own = own_new(role, service, &metrics, err);
        if (!own)
            return err->code;
        rt = own->rt;
    } else if (add_facets(role, service->name.p, err)) {
        return err->code;
    }
    struct storm *s = storm_new(role->loop, rt, &metrics, service->name.p, err);
    if (!s)
        return err->code;
    ib_list_append(&role->services, &s->node);
    int rc = storm_await(s, err);
    if (!rc && !role->box.boxed) {
        printf("%s ready\n", service->name.p);
        fflush(stdout);
    }
    return rc;
}

static int start_services(struct role *role, struct ib_err *err)
{
    int rc = 0;
    for (size_t i = 0; i < role->box.n && !rc; i++)
        rc = start_service(role, &role->box.v[i], err);
    if (!rc)
        rc = open_admin(role, err);
    if (!rc && role->box.bundle.n) {
        printf("%s ready\n", role->box.bundle.p);
        fflush(stdout);
    }
    return rc;
}

static void on_down(void *arg)
{
    struct role *role = arg;
    if (--role->running == 0)
        role->stopped(role->arg);
}

static void shut_down(struct role *role)
{
    role->running = 1;
    IB_LIST_FOREACH(node, &role->owns)
    {
        role->running++;
    }
    IB_LIST_FOREACH(node, &role->owns)
    {
        ir_runtime_shutdown(IB_CONTAINER(node, struct own, node)->rt, on_down, role);
    }
    ir_runtime_shutdown(role->rt, on_down, role);
}

static void on_look(void *arg)
{
    struct role *role = arg;
    bool idle = true;
    IB_LIST_FOREACH(node, &role->services)
    {
        idle = idle && storm_is_idle(IB_CONTAINER(node, struct storm, node));
    }
    if (idle || ib_clock_ms() >= role->give_up)
        shut_down(role);
    else
        ic_timer_start(&role->look, LOOK_MS);
}

static int read_box(struct role *role, int argc, char **argv, struct ib_err *err)
{
    int rc = storm_box_read(&role->box, ir_runtime_properties(role->rt), &argc, argv, err);
    if (!rc && argc > 1)
        rc = ib_err_set(err, IB_EINVAL, *argv[1] == '-' ? "invalid option: `%s'" : "too many arguments", argv[1]);
    return rc;
}

static void *role_start(struct ic_loop *loop, struct ir_properties *props, int argc, char **argv, struct ib_err *err)
{
    struct role *role = calloc(1, sizeof *role);
    struct ir_properties *copy = ir_properties_copy(props);
    if (!role || !copy) {
        free(role);
        ir_properties_free(copy);
        ib_err_set(err, IB_ENOMEM, "out of memory");
        return NULL;
    }
    role->loop = loop;
    ib_list_init(&role->owns);
    ib_list_init(&role->services);
    role->rt = ir_runtime_new(loop, copy, &slice_registry, err);
    if (role->rt)
        ic_timer_init(&role->look, loop, on_look, role);
    else
        ir_properties_free(copy);
    if (role->rt && read_box(role, argc, argv, err) == 0 && prepare_admin(role, err) == 0 &&
        start_services(role, err) == 0)
        return role;
    role_free(role);
    return NULL;
}

static void role_stop(void *state, void (*done)(void *arg), void *arg)
{
    struct role *role = state;
    role->stopped = done;
    role->arg = arg;
    role->give_up = ib_clock_ms() + LINGER_MS;
    IB_LIST_FOREACH(node, &role->services)
    {
        storm_stop(IB_CONTAINER(node, struct storm, node));
    }
    on_look(role);
}

static void reload(struct ir_runtime *rt)
{
    struct ib_err err = {0};
    if (ir_runtime_reload_tls(rt, NULL, &err))
        ib_log_error(ir_runtime_log(rt), "cannot reload the certificates: %s", err.text);
}

static void role_reload(void *state)
{
    const struct role *role = state;
    reload(role->rt);
    IB_LIST_FOREACH(node, &role->owns)
    {
        reload(IB_CONTAINER(node, struct own, node)->rt);
    }
}

const struct ir_service storm_service = {
    .name = "moulin storm",
    .usage =
        "Moulin.Storm.Services names the services (default: IceStorm); each reads the properties below its name.\n"
        "Without it the services are those of IceBox: IceBox.Service.NAME=IceStormService:createIceStorm [OPTIONS]\n",
    .start = role_start,
    .stop = role_stop,
    .free = role_free,
    .reload = role_reload,
};
