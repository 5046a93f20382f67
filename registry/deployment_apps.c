/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of applications, as they concern nodes: what is new or changed is loaded, what is gone or moved is destroyed
   (icegrid-internal 6.4, 10.3). Told first of all observers, so that nodes hear of a revision from their master before
   any slave brings it. */
#include "deployment_priv.h"

#include <stdlib.h>

/* Only where the change began does its answer wait for nodes. */
static void start(struct reg_deployment *d, struct reg_change *c)
{
    if (reg_writable(d->all->reg))
        reg_deployment_hold(d, c);
    if (c->without_restart)
        d->no_restart = true;
    reg_deployment_advance(d);
}

/* Is there a node to tell, or something to forget? */
static struct reg_deployment *concerned(struct reg_deployments *x, const struct reg_server *server)
{
    return reg_node_find(x->reg, server->node) ? reg_deployment_get(x, server->id) : reg_deployment_find(x, server->id);
}

static void unload(struct reg_deployments *x, const struct reg_app *old, struct reg_change *c)
{
    for (size_t i = 0; i < old->n_servers; i++) {
        const struct reg_server *was = &old->servers[i];
        const struct reg_server *is = reg_catalog_server(x->reg->catalog, was->id);
        struct reg_deployment *d = is && ib_str_eq(is->node, was->node) ? NULL : concerned(x, was);
        if (!d)
            continue;
        reg_deployment_destroy(d, was->node, old->info->uuid, old->info->revision);
        if (!is)
            start(d, c);
    }
}

static void load(struct reg_deployments *x, const struct reg_app *app, struct reg_change *c)
{
    for (size_t i = 0; i < app->n_servers; i++) {
        struct reg_deployment *d = concerned(x, &app->servers[i]);
        if (d)
            start(d, c);
    }
}

/* A slave got the whole table: what it knows of nodes is compared with it. */
static void compare_all(struct reg_deployments *x)
{
    struct reg_deployment *d, *next;
    struct reg_app **apps;
    struct ib_arena arena;
    HASH_ITER(hh, x->servers, d, next)
    {
        const struct reg_server *is = reg_catalog_server(x->reg->catalog, ib_str(d->id));
        if (d->place.server && (!is || !ib_str_eq(is->node, d->place.node)))
            reg_deployment_destroy(d, d->place.node, d->place.uuid, d->place.revision);
        if (!is)
            reg_deployment_advance(d);
    }
    ib_arena_init(&arena, 0);
    size_t n = reg_catalog_apps(x->reg->catalog, &arena, &apps);
    for (size_t i = 0; n != SIZE_MAX && i < n; i++) {
        for (size_t k = 0; k < apps[i]->n_servers; k++) {
            d = concerned(x, &apps[i]->servers[k]);
            if (d)
                reg_deployment_advance(d);
        }
    }
    ib_arena_fini(&arena);
}

void reg_deployment_on_change(struct reg_observer *o, const struct reg_event *ev)
{
    struct reg_deployments *x = IB_CONTAINER(o, struct reg_deployments, changes);
    const struct reg_app *now;
    switch (ev->kind) {
    case REG_EV_APP_ADDED:
    case REG_EV_APP_UPDATED:
    case REG_EV_APP_REMOVED:
        now = reg_catalog_app(x->reg->catalog, ev->name);
        if (ev->change->old_app)
            unload(x, ev->change->old_app, ev->change);
        if (now)
            load(x, now, ev->change);
        break;
    case REG_EV_APPS_INIT:
        compare_all(x);
        break;
    default:
        break;
    }
}
