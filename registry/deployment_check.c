/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the nodes about an update that is not committed yet: each changed server that stays where it is, and for
   updates without restart those that leave, too (icegrid-registry 9.1, icegrid-internal 11.8). All at once, each with a
   deadline. */
#include "deployment_check.h"
#include "deployment_priv.h"

#include <stdlib.h>

#include <moulin/base/buf.h>

#include "descriptor.h"

#define NEED_MS 5000
#define CALL_MS 30000

struct check {
    struct ib_list node; /* in reg_deployments.checks */
    struct reg *reg;
    struct reg_change *change; /* shares */
    struct ib_buf running, reasons; /* names of servers that would have to stop; lines */
    size_t n_items, n_open, n_running;
    struct item {
        struct check *check;
        const struct reg_server *is; /* of the change's new definition; NULL: it leaves */
        struct ib_str id; /* owned by the check's arena */
        struct reg_placement_wait *wait;
        struct reg_node_call *call;
    } * items;
    struct ib_arena arena;
    struct ic_deferred done;
};

static void free_check(struct check *c)
{
    ib_list_remove(&c->node);
    ic_loop_undefer(c->reg->loop, &c->done);
    for (size_t i = 0; i < c->n_items; i++) {
        reg_placement_cancel(c->items[i].wait);
        reg_node_call_cancel(c->items[i].call);
    }
    ib_buf_fini(&c->running);
    ib_buf_fini(&c->reasons);
    ib_arena_fini(&c->arena);
    reg_change_unref(c->change);
    free(c);
}

/* As the rules that need no node say it (reg_app_check_without_restart). */
static struct ib_str verdict(struct check *c)
{
    struct ib_str running = ib_str("");
    if (c->n_running)
        running = ib_arena_printf(&c->arena, "\nthe server%s `%s' would need to be stopped",
                                  c->n_running > 1 ? "s" : "", ib_buf_cstr(&c->running));
    return ib_arena_printf(&c->arena, "check for application `%s' update failed:%s%s", ib_cstr(c->change->name),
                           ib_cstr(running), c->reasons.n ? ib_buf_cstr(&c->reasons) : "");
}

static void on_done(void *arg)
{
    struct check *c = arg;
    struct reg_change *change = reg_change_ref(c->change);
    bool refused = c->n_running || c->reasons.n;
    reg_change_checked(change, refused ? ib_cstr(verdict(c)) : NULL);
    free_check(c);
    reg_change_unref(change);
}

static void close_item(struct item *i)
{
    struct check *c = i->check;
    if (--c->n_open == 0)
        ic_loop_defer(c->reg->loop, &c->done, on_done, c);
}

/* A node that went away, or is too old to be asked, has no objection (icegrid-internal 2.1). Its word for a refusal is
   the same for updates and removals. */
static void on_checked(void *arg, const struct ir_result *r)
{
    struct item *i = arg;
    struct check *c = i->check;
    const struct IceGrid_DeploymentException *refused = IceGrid_DeploymentException_caught(r);
    const struct IceGrid_Server_checkUpdate_out *out = IceGrid_Server_checkUpdate_result(r);
    i->call = NULL;
    if (!i->is && (refused || (out && !out->ret)))
        ib_buf_printf(&c->running, "%s%s", c->n_running++ ? ", " : "", ib_cstr(i->id));
    else if (refused)
        ib_buf_printf(&c->reasons, "\ncheck for server `%s' remove failed: %s", ib_cstr(i->id),
                      ib_cstr(refused->reason));
    close_item(i);
}

static void on_placed(void *arg, const struct reg_placement *p)
{
    struct item *i = arg;
    struct check *c = i->check;
    const struct reg_node *node = reg_node_find(c->reg, p->node);
    struct IceGrid_Server_checkUpdate_in in = {.noRestart = c->change->without_restart};
    struct ib_arena arena;
    i->wait = NULL;
    if (p->outcome == REG_PLACE_LATE) {
        ib_buf_printf(&c->reasons,
                      "\ncheck for server `%s' remove failed: timeout while waiting for the server to be "
                      "loaded on the node",
                      ib_cstr(i->id));
        close_item(i);
        return;
    }
    ib_arena_init(&arena, 0);
    if (p->outcome == REG_PLACED && node) {
        const struct reg_node_vars vars = reg_node_vars(node);
        int rc = i->is ? reg_internal_server(i->is, &vars, &arena, &in.svr) : 0;
        i->call =
            rc ? NULL
               : reg_node_call(c->reg, p->node, p->server, &IceGrid_Server_checkUpdate_op, CALL_MS, &in, on_checked, i);
    }
    ib_arena_fini(&arena);
    if (!i->call)
        close_item(i);
}

static int by_id(const void *a, const void *b)
{
    return ib_str_cmp((*(const struct reg_server *const *)a)->id, (*(const struct reg_server *const *)b)->id);
}

/* Sorted, for bsearch; NULL when memory is short. */
static const struct reg_server **sorted_servers(const struct reg_app *app, struct ib_arena *arena)
{
    const struct reg_server **v = IB_ARENA_ARRAY(arena, app->n_servers, const struct reg_server *);
    for (size_t i = 0; v && i < app->n_servers; i++)
        v[i] = &app->servers[i];
    if (v && app->n_servers > 1)
        qsort(v, app->n_servers, sizeof(const struct reg_server *), by_id);
    return v;
}

/* Is the node to be asked about it? */
static bool matters(struct reg *reg, const struct reg_change *c, const struct reg_server *was,
                    const struct reg_server *is)
{
    if (!reg_node_find(reg, was->node))
        return false;
    if (!is || !ib_str_eq(is->node, was->node))
        return c->without_restart;
    return !iw_equal(&IceGrid_ServerDescriptor_type, &was->desc, &is->desc);
}

static int collect(struct check *c, const struct reg_app *old, const struct reg_app *now)
{
    const struct reg_server **sorted = sorted_servers(now, &c->arena);
    c->items = IB_ARENA_ARRAY(&c->arena, old->n_servers, struct item);
    if (!c->items || !sorted)
        return IB_ENOMEM;
    for (size_t i = 0; i < old->n_servers; i++) {
        const struct reg_server *was = &old->servers[i];
        const struct reg_server **found =
            bsearch(&was, sorted, now->n_servers, sizeof(const struct reg_server *), by_id);
        const struct reg_server *is = found ? *found : NULL;
        if (!matters(c->reg, c->change, was, is))
            continue;
        bool stays = is && ib_str_eq(is->node, was->node);
        struct item *it = &c->items[c->n_items++];
        *it = (struct item){.check = c, .is = stays ? is : NULL, .id = ib_arena_str(&c->arena, was->id)};
        if (!it->id.p)
            return IB_ENOMEM;
    }
    return 0;
}

bool reg_deployment_check(struct reg *reg, struct reg_change *change)
{
    const struct reg_app *old = reg_catalog_app(reg->catalog, change->name);
    struct check *c = reg_writable(reg) && old && change->new_app ? calloc(1, sizeof *c) : NULL;
    if (!c)
        return false;
    c->reg = reg;
    c->change = reg_change_ref(change);
    ib_arena_init(&c->arena, 0);
    ib_buf_init(&c->running);
    ib_buf_init(&c->reasons);
    ib_list_init(&c->node);
    ib_list_append(&reg_deployments_of(reg)->checks, &c->node);
    if (collect(c, old, change->new_app) || c->n_items == 0) {
        free_check(c);
        return false;
    }
    c->n_open = c->n_items;
    for (size_t i = 0; i < c->n_items; i++) {
        struct item *it = &c->items[i];
        it->wait = reg_server_need(reg, it->id, NEED_MS, on_placed, it);
        if (!it->wait)
            close_item(it);
    }
    return true;
}

void reg_deployment_checks_stop(struct reg_deployments *x)
{
    while (!ib_list_empty(&x->checks))
        free_check(IB_CONTAINER(x->checks.next, struct check, node));
}
