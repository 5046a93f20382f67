/* SPDX-License-Identifier: Apache-2.0 */
/* IceGrid::Admin, patching (icegrid-registry 9.1, icegrid-internal 15.2): nodes fetch their distributions; each is
   asked and reports when it is done. A node's report is waited for as long as its session lasts. */
#include "admin.h"
#include "instantiate.h"
#include "nodes.h"

#include <stdio.h>
#include <stdlib.h>

#define CALL_MS 30000

struct patch;

struct node_patch {
    struct patch *patch;
    struct ib_str node;
    struct iw_identity id; /* of feedback */
    struct ir_servant feedback;
    struct reg_node_call *call; /* a report may overtake its answer */
    bool asked; /* feedback is served */
    bool done;
    struct ib_str failure; /* p NULL: none */
};

/* In the arena of the Admin's request. */
struct patch {
    struct reg_node_observer nodes;
    struct reg *reg;
    struct ir_request *rq;
    const struct iw_op *op; /* patchServer or patchApplication */
    size_t n_parts, n_open;
    struct node_patch *parts; /* by node */
    struct IceGrid_PatchException failures;
};

/* --- the end -------------------------------------------------------------------------------------------------------
 */

static void answer(struct patch *p)
{
    reg_nodes_unobserve(&p->nodes);
    for (size_t i = 0; i < p->n_parts; i++)
        if (p->parts[i].failure.p != NULL)
            p->failures.reasons.v[p->failures.reasons.n++] = p->parts[i].failure;
    if (p->failures.reasons.n > 0)
        IceGrid_PatchException_throw(p->rq, &p->failures);
    else
        ir_request_reply(p->rq, p->op,
                         p->op == &IceGrid_Admin_patchServer_op
                             ? (const void *)&(struct IceGrid_Admin_patchServer_out){0}
                             : (const void *)&(struct IceGrid_Admin_patchApplication_out){0});
}

/* reason NULL: it went well. The last one answers, and then everything here is gone. */
static void end_part(struct node_patch *n, const char *reason)
{
    struct patch *p = n->patch;

    if (n->done)
        return;
    n->done = true;
    reg_node_call_cancel(n->call);
    if (n->asked)
        ir_adapter_remove(p->reg->internal, &n->id, "");
    if (reason != NULL) {
        n->failure =
            ib_arena_printf(ir_request_arena(p->rq), "patch on node `%s' failed:\n%s", ib_cstr(n->node), reason);
        if (n->failure.p == NULL)
            n->failure = IB_STR("out of memory");
        reg_trace(p->reg, REG_TRACE_PATCH, 1, "patch on node `%s' failed:\n%s", ib_cstr(n->node), reason);
    } else {
        reg_trace(p->reg, REG_TRACE_PATCH, 1, "finished patching on node `%s'", ib_cstr(n->node));
    }
    if (--p->n_open == 0)
        answer(p);
}

static void finished(void *self, struct ir_request *rq, const struct IceGrid_PatcherFeedback_finished_in *in)
{
    (void)in;
    IceGrid_PatcherFeedback_finished_reply(rq, NULL);
    end_part(self, NULL);
}

static void failed(void *self, struct ir_request *rq, const struct IceGrid_PatcherFeedback_failed_in *in)
{
    struct node_patch *n = self;
    struct ib_str reason = ib_arena_str(ir_request_arena(n->patch->rq), in->reason);

    IceGrid_PatcherFeedback_failed_reply(rq, NULL);
    end_part(n, reason.p != NULL ? reason.p : "");
}

static const struct IceGrid_PatcherFeedback_servant feedback_vtable = {.finished = finished, .failed = failed};

static void on_asked(void *arg, const struct ir_result *r)
{
    struct node_patch *n = arg;
    char text[256], reason[300];

    n->call = NULL;
    if (r->outcome == IR_SUCCESS)
        return;
    snprintf(reason, sizeof(reason), "node is unreachable: %s", ir_result_text(r, text, sizeof(text)));
    end_part(n, reason);
}

static void on_node(struct reg_node_observer *o, const struct reg_node_event *ev)
{
    struct patch *p = IB_CONTAINER(o, struct patch, nodes);

    for (size_t i = 0; ev->kind == REG_NODE_DOWN && i < p->n_parts; i++) {
        if (!p->parts[i].done && ib_str_eq(p->parts[i].node, ev->name)) {
            end_part(&p->parts[i], "node is down");
            return; /* p may be gone */
        }
    }
}

/* --- asking --------------------------------------------------------------------------------------------------------
 */

static struct ib_str final_text(const struct reg_node *node, struct ib_arena *arena, struct ib_str text)
{
    struct reg_node_vars vars = reg_node_vars(node);
    struct ib_str out = reg_text_final(&vars, arena, text);

    return out.p != NULL ? out : IB_STR("");
}

/* The application's distribution as the node is told; empty members when it has none. */
static struct IceGrid_InternalDistributionDescriptor *distribution(const struct patch *p, const struct reg_app *app,
                                                                   const struct reg_node *node)
{
    struct ib_arena *arena = ir_request_arena(p->rq);
    struct ib_err err = {0};
    struct reg_fault fault = {.err = &err};
    struct reg_resolver r = {.arena = arena,
                             .scratch = arena,
                             .fault = &fault,
                             .defaults = ir_runtime_proxy_defaults(p->reg->rt),
                             .app = &app->info->descriptor,
                             .application = app->name};
    struct IceGrid_DistributionDescriptor d = reg_instantiate_distrib(&r, &app->info->descriptor.distrib);
    struct IceGrid_InternalDistributionDescriptor *out = IceGrid_InternalDistributionDescriptor_new(arena);

    if (out == NULL || fault.code != 0)
        return NULL;
    out->icepatch = final_text(node, arena, d.icepatch);
    out->directories = d.directories;
    for (size_t i = 0; i < d.directories.n; i++)
        out->directories.v[i] = final_text(node, arena, d.directories.v[i]);
    return out;
}

static void ask(struct node_patch *n, const struct reg_app *app, struct ib_str server, bool shutdown)
{
    struct patch *p = n->patch;
    struct ib_arena *arena = ir_request_arena(p->rq);
    const struct reg_node *node = reg_node_find(p->reg, n->node);
    struct IceGrid_Node_patch_in in = {.application = app->name, .server = server, .shutdown = shutdown};

    if (node == NULL) {
        end_part(n, "node is unreachable: the node is not active");
        return;
    }
    n->id = reg_uuid_identity(p->reg->cfg.instance, arena);
    n->feedback = (struct ir_servant){.iface = &IceGrid_PatcherFeedback_iface, .vtable = &feedback_vtable, .self = n};
    n->asked = n->id.name.p != NULL && ir_adapter_add(p->reg->internal, &n->id, "", &n->feedback) == 0;
    in.appDistrib = distribution(p, app, node);
    in.feedback = n->asked ? ir_adapter_direct_proxy(p->reg->internal, &n->id, arena) : NULL;
    reg_trace(p->reg, REG_TRACE_PATCH, 1, "started patching on node `%s'", ib_cstr(n->node));
    if (in.appDistrib != NULL && in.feedback != NULL)
        n->call = reg_node_call(p->reg, n->node, node->proxy, &IceGrid_Node_patch_op, CALL_MS, &in, on_asked, n);
    if (n->call == NULL)
        end_part(n, "out of memory");
}

/* The node knows which of its servers depend on the application's: it is asked even when none does, as by the
   original. */
static bool has_distribution(const struct reg_server *s)
{
    return s->desc->distrib.icepatch.n != 0 || s->app->info->descriptor.distrib.icepatch.n != 0;
}

static void add_node(struct patch *p, struct ib_str node)
{
    for (size_t i = 0; i < p->n_parts; i++)
        if (ib_str_eq(p->parts[i].node, node))
            return;
    p->parts[p->n_parts++] = (struct node_patch){.patch = p, .node = node};
}

static struct patch *new_patch(struct reg *reg, struct ir_request *rq, const struct iw_op *op, size_t max)
{
    struct ib_arena *arena = ir_request_arena(rq);
    struct patch *p = IB_ARENA_NEW(arena, struct patch);

    if (p == NULL)
        return NULL;
    *p = (struct patch){.nodes = {.event = on_node}, .reg = reg, .rq = rq, .op = op};
    ib_list_init(&p->nodes.node);
    p->parts = IB_ARENA_ARRAY(arena, max, struct node_patch);
    p->failures.reasons.v = IB_ARENA_ARRAY(arena, max, struct ib_str);
    return p->parts != NULL && p->failures.reasons.v != NULL ? p : NULL;
}

static int by_node(const void *a, const void *b)
{
    return ib_str_cmp(((const struct node_patch *)a)->node, ((const struct node_patch *)b)->node);
}

/* Names are copied: the application may be updated before the nodes are done. */
static void start(struct patch *p, const struct reg_app *app, struct ib_str server, bool shutdown)
{
    struct ib_arena *arena = ir_request_arena(p->rq);
    size_t n = p->n_parts;

    if (n > 1)
        qsort(p->parts, n, sizeof(*p->parts), by_node);
    p->n_open = n + 1;
    reg_nodes_observe(p->reg, &p->nodes);
    for (size_t i = 0; i < n; i++) {
        p->parts[i].node = ib_arena_str(arena, p->parts[i].node);
        ask(&p->parts[i], app, server, shutdown);
    }
    if (--p->n_open == 0)
        answer(p);
}

REG_ADMIN_OP(patchApplication)
{
    struct reg *reg = reg_admin_reg(self);
    const struct reg_app *app = reg_catalog_app(reg->catalog, in->name);
    struct patch *p;

    if (app == NULL) {
        IceGrid_ApplicationNotExistException_throw(rq,
                                                   &(struct IceGrid_ApplicationNotExistException){.name = in->name});
        return;
    }
    p = new_patch(reg, rq, &IceGrid_Admin_patchApplication_op, app->info->descriptor.nodes.n);
    if (p == NULL) {
        reg_admin_no_memory(rq);
        return;
    }
    for (size_t i = 0; i < app->n_servers; i++)
        if (has_distribution(&app->servers[i]))
            add_node(p, app->servers[i].node);
    start(p, app, IB_STR(""), in->shutdown);
}

REG_ADMIN_OP(patchServer)
{
    struct reg *reg = reg_admin_reg(self);
    const struct reg_server *server = reg_catalog_server(reg->catalog, in->id);
    struct patch *p;

    if (server == NULL) {
        IceGrid_ServerNotExistException_throw(rq, &(struct IceGrid_ServerNotExistException){.id = in->id});
        return;
    }
    p = new_patch(reg, rq, &IceGrid_Admin_patchServer_op, 1);
    if (p == NULL) {
        reg_admin_no_memory(rq);
        return;
    }
    if (has_distribution(server))
        add_node(p, server->node);
    start(p, server->app, in->id, in->shutdown);
}
