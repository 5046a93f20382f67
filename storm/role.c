/* SPDX-License-Identifier: Apache-2.0 */
/* The role: one runtime, and the services that Moulin.Storm.Services names, each with its own prefix of properties. */
#include <stdio.h>
#include <stdlib.h>

#include <moulin/base/clock.h>
#include <moulin/base/log.h>
#include <moulin/rpc/admin.h>
#include <moulin/storm/storm.h>
#include <slice/registry.h>

#include "storm.h"

/* The end waits this long for what leaves at the end. */
#define LINGER_MS 2000
#define LOOK_MS 10

struct role {
    struct ic_loop *loop; /* borrows */
    struct ir_runtime *rt; /* owns */
    struct ir_admin *admin; /* owns; NULL: there is none */
    struct storm_metrics metrics;
    struct ib_list services; /* struct storm; owns */
    struct ic_timer look; /* at the end: has everything left? */
    int64_t give_up; /* ib_clock_ms */
    void (*stopped)(void *arg);
    void *arg;
};

static void role_free(void *state)
{
    struct role *role = state;
    if (role->rt)
        ic_timer_fini(&role->look);
    while (!ib_list_empty(&role->services))
        storm_free(IB_CONTAINER(role->services.next, struct storm, node));
    ir_admin_free(role->admin);
    ir_runtime_free(role->rt);
    free(role);
}

static void on_admin_shutdown(void *arg)
{
    ir_service_quit(((struct role *)arg)->loop);
}

static int open_admin(struct role *role, struct ib_err *err)
{
    if (storm_metrics_open(&role->metrics, role->rt))
        return ib_err_set(err, IB_ENOMEM, "out of memory");
    return ir_admin_create(role->rt, on_admin_shutdown, role, &role->admin, err);
}

/* The names by which IceBox has the facets of a service that has a communicator of its own. */
static int add_facets(struct role *role, const char *service, struct ib_err *err)
{
    static const char *const facets[] = {"Logger", "Metrics", "Properties"};
    char name[300];
    int rc = 0;
    for (size_t i = 0; role->admin && !rc && i < sizeof facets / sizeof *facets; i++) {
        snprintf(name, sizeof name, "IceBox.Service.%s.%s", service, facets[i]);
        rc = ir_admin_add_alias(role->admin, name, facets[i], err);
    }
    return rc;
}

static int start_services(struct role *role, struct ib_err *err)
{
    struct ib_str plain = IB_STR("IceStorm");
    struct ib_arena arena;
    struct ib_str *names;
    ib_arena_init(&arena, 0);
    int n = ir_properties_list(ir_runtime_properties(role->rt), "Moulin.Storm.Services", &arena, &names);
    if (n == 0) {
        names = &plain;
        n = 1;
    }
    if (n < 0)
        ib_err_set(err, n, "property `Moulin.Storm.Services' has an unbalanced quote");
    for (int i = 0; i < n; i++) {
        struct storm *s = storm_new(role->loop, role->rt, &role->metrics, ib_cstr(names[i]), err);
        if (s)
            ib_list_append(&role->services, &s->node);
        if (!s || add_facets(role, ib_cstr(names[i]), err)) {
            n = err->code;
            break;
        }
    }
    ib_arena_fini(&arena);
    return n < 0 ? n : 0;
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
        ir_runtime_shutdown(role->rt, role->stopped, role->arg);
    else
        ic_timer_start(&role->look, LOOK_MS);
}

static void *role_start(struct ic_loop *loop, struct ir_properties *props, int argc, char **argv, struct ib_err *err)
{
    if (argc > 1) {
        ib_err_set(err, IB_EINVAL, *argv[1] == '-' ? "invalid option: `%s'" : "too many arguments", argv[1]);
        return NULL;
    }
    struct role *role = calloc(1, sizeof *role);
    struct ir_properties *copy = ir_properties_copy(props);
    if (!role || !copy) {
        free(role);
        ir_properties_free(copy);
        ib_err_set(err, IB_ENOMEM, "out of memory");
        return NULL;
    }
    role->loop = loop;
    ib_list_init(&role->services);
    role->rt = ir_runtime_new(loop, copy, &slice_registry, err);
    if (role->rt)
        ic_timer_init(&role->look, loop, on_look, role);
    else
        ir_properties_free(copy);
    if (role->rt && open_admin(role, err) == 0 && start_services(role, err) == 0)
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

static void role_reload(void *state)
{
    const struct role *role = state;
    struct ib_err err = {0};
    if (ir_runtime_reload_tls(role->rt, NULL, &err))
        ib_log_error(ir_runtime_log(role->rt), "cannot reload the certificates: %s", err.text);
}

const struct ir_service storm_service = {
    .name = "moulin storm",
    .usage =
        "Moulin.Storm.Services names the services (default: IceStorm); each reads the properties below its name.\n",
    .start = role_start,
    .stop = role_stop,
    .free = role_free,
    .reload = role_reload,
};
