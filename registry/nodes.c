/* SPDX-License-Identifier: Apache-2.0 */
/* The directory of connected nodes and of what they report about their servers and adapters. Written by node_session.c;
   all others read it, or listen. */
#include "nodes_priv.h"

#include <stdlib.h>

struct reg_node_server {
    struct IceGrid_ServerDynamicInfo info;
    UT_hash_handle hh;
    char id[];
};

struct reg_node_adapter {
    struct ib_arena arena; /* of info's */
    struct IceGrid_AdapterDynamicInfo info;
    UT_hash_handle hh;
};

/* --- finding -------------------------------------------------------------------------------------------------------
 */

bool reg_nodes_any(struct reg *reg)
{
    const struct reg_nodes *x = reg_nodes_of(reg);
    return x && x->connected;
}

struct reg_node *reg_node_find(struct reg *reg, struct ib_str name)
{
    struct reg_nodes *x = reg_nodes_of(reg);
    struct reg_node *node = NULL;
    if (x)
        HASH_FIND(hh, x->connected, ib_cstr(name), name.n, node);
    return node;
}

static int by_name(const void *a, const void *b)
{
    return ib_str_cmp((*(struct reg_node *const *)a)->name, (*(struct reg_node *const *)b)->name);
}

size_t reg_nodes_list(struct reg *reg, struct ib_arena *arena, struct reg_node ***out)
{
    struct reg_nodes *x = reg_nodes_of(reg);
    size_t n = 0;
    *out = IB_ARENA_ARRAY(arena, x ? HASH_COUNT(x->connected) : 0, struct reg_node *);
    if (!*out)
        return SIZE_MAX;
    for (struct reg_node *node = x ? x->connected : NULL; node; node = node->hh.next)
        (*out)[n++] = node;
    if (n > 1)
        qsort(*out, n, sizeof **out, by_name);
    return n;
}

struct reg_node_vars reg_node_vars(const struct reg_node *node)
{
    return (struct reg_node_vars){
        .os = node->info.os,
        .hostname = node->info.hostname,
        .release = node->info.release,
        .version = node->info.version,
        .machine = node->info.machine,
        .data = node->info.dataDir,
    };
}

/* --- what nodes report ---------------------------------------------------------------------------------------------
 */

static struct reg_node_server *find_server(const struct reg_node *node, struct ib_str id)
{
    struct reg_node_server *s = NULL;
    HASH_FIND(hh, node->servers, ib_cstr(id), id.n, s);
    return s;
}

static struct reg_node_adapter *find_adapter(const struct reg_node *node, struct ib_str id)
{
    struct reg_node_adapter *a = NULL;
    HASH_FIND(hh, node->adapters, ib_cstr(id), id.n, a);
    return a;
}

static void drop_server(struct reg_node *node, struct reg_node_server *s)
{
    HASH_DEL(node->servers, s);
    free(s);
}

static void drop_adapter(struct reg_node *node, struct reg_node_adapter *a)
{
    HASH_DEL(node->adapters, a);
    ib_arena_fini(&a->arena);
    free(a);
}

bool reg_node_server_enabled(struct reg *reg, struct ib_str node, struct ib_str server)
{
    const struct reg_node *n = reg_node_find(reg, node);
    const struct reg_node_server *s = n ? find_server(n, server) : NULL;
    return !s || s->info.enabled;
}

void reg_node_set_server(struct reg_node *node, const struct IceGrid_ServerDynamicInfo *info)
{
    struct reg_node_server *s = find_server(node, info->id);
    bool plain =
        (info->state == IceGrid_ServerState_Inactive && info->enabled) || info->state == IceGrid_ServerState_Destroyed;
    if (s)
        drop_server(node, s);
    if (plain || HASH_COUNT(node->servers) >= REG_NODE_ENTRIES_MAX)
        return;
    s = calloc(1, sizeof *s + info->id.n + 1);
    if (!s)
        return;
    memcpy(s->id, ib_cstr(info->id), info->id.n);
    s->info = *info;
    s->info.id = (struct ib_str){s->id, info->id.n};
    HASH_ADD_KEYPTR(hh, node->servers, s->id, info->id.n, s);
    if (!s->hh.tbl)
        free(s);
}

void reg_node_set_adapter(struct reg_node *node, const struct IceGrid_AdapterDynamicInfo *info)
{
    struct reg_node_adapter *a = find_adapter(node, info->id);
    if (a)
        drop_adapter(node, a);
    if (!info->proxy || HASH_COUNT(node->adapters) >= REG_NODE_ENTRIES_MAX)
        return;
    a = calloc(1, sizeof *a);
    if (!a)
        return;
    ib_arena_init(&a->arena, 0);
    a->arena.first = 256;
    a->info =
        (struct IceGrid_AdapterDynamicInfo){ib_arena_str(&a->arena, info->id), iw_proxy_copy(info->proxy, &a->arena)};
    if (a->info.id.p && a->info.proxy)
        HASH_ADD_KEYPTR(hh, node->adapters, a->info.id.p, a->info.id.n, a);
    if (!a->hh.tbl) {
        ib_arena_fini(&a->arena);
        free(a);
    }
}

void reg_node_clear_dynamic(struct reg_node *node)
{
    while (node->servers)
        drop_server(node, node->servers);
    while (node->adapters)
        drop_adapter(node, node->adapters);
}

void reg_node_set_dynamic(struct reg_node *node, const struct IceGrid_NodeDynamicInfo *info)
{
    reg_node_clear_dynamic(node);
    for (size_t i = 0; i < info->servers.n; i++)
        reg_node_set_server(node, &info->servers.v[i]);
    for (size_t i = 0; i < info->adapters.n; i++)
        reg_node_set_adapter(node, &info->adapters.v[i]);
}

static int by_server(const void *a, const void *b)
{
    const struct IceGrid_ServerDynamicInfo *s = a, *t = b;
    return ib_str_cmp(s->id, t->id);
}

static int by_adapter(const void *a, const void *b)
{
    const struct IceGrid_AdapterDynamicInfo *s = a, *t = b;
    return ib_str_cmp(s->id, t->id);
}

int reg_node_dynamic(const struct reg_node *node, struct ib_arena *arena, struct IceGrid_NodeDynamicInfo *out)
{
    *out = (struct IceGrid_NodeDynamicInfo){.info = node->info};
    out->servers.v = IB_ARENA_ARRAY(arena, HASH_COUNT(node->servers), struct IceGrid_ServerDynamicInfo);
    out->adapters.v = IB_ARENA_ARRAY(arena, HASH_COUNT(node->adapters), struct IceGrid_AdapterDynamicInfo);
    if (!out->servers.v || !out->adapters.v)
        return IB_ENOMEM;
    for (const struct reg_node_server *s = node->servers; s; s = s->hh.next)
        out->servers.v[out->servers.n++] = s->info;
    for (const struct reg_node_adapter *a = node->adapters; a; a = a->hh.next)
        out->adapters.v[out->adapters.n++] = a->info;
    if (out->servers.n > 1)
        qsort(out->servers.v, out->servers.n, sizeof *out->servers.v, by_server);
    if (out->adapters.n > 1)
        qsort(out->adapters.v, out->adapters.n, sizeof *out->adapters.v, by_adapter);
    return 0;
}

/* --- events --------------------------------------------------------------------------------------------------------
 */

void reg_nodes_observe(struct reg *reg, struct reg_node_observer *o)
{
    ib_list_append(&reg_nodes_of(reg)->observers, &o->node);
}

void reg_nodes_unobserve(struct reg_node_observer *o)
{
    ib_list_remove(&o->node);
}

/* A mark walks along the list, so that whoever is told may leave it. */
void reg_node_tell(struct reg_nodes *x, const struct reg_node_event *ev)
{
    struct reg_node_observer mark = {.event = NULL};
    if (ev->node && ev->node->up) /* what administrators hear of */
        x->reg->topic_serial[REG_TOPIC_NODE]++;
    ib_list_init(&mark.node);
    ib_list_append(x->observers.next, &mark.node);
    while (mark.node.next != &x->observers) {
        struct ib_list *node = mark.node.next;
        ib_list_remove(&mark.node);
        ib_list_append(node->next, &mark.node);
        struct reg_node_observer *o = IB_CONTAINER(node, struct reg_node_observer, node);
        if (o->event) /* else another mark: telling nests */
            o->event(o, ev);
    }
    ib_list_remove(&mark.node);
}

static void on_coming(struct reg_node_observer *o, const struct reg_node_event *ev)
{
    struct reg_node_want *w = IB_CONTAINER(o, struct reg_node_want, coming);
    if ((ev->kind != REG_NODE_CONNECTED && ev->kind != REG_NODE_ABSENT) || !ib_str_eq(ev->name, w->name))
        return;
    reg_nodes_unobserve(o);
    w->fn(w->arg, reg_node_find(w->reg, w->name));
}

void reg_node_want(struct reg_node_want *w)
{
    const struct reg_node *node = reg_node_find(w->reg, w->name);
    w->coming = (struct reg_node_observer){.event = on_coming};
    if (node || !reg_node_expected(w->reg, w->name))
        w->fn(w->arg, node);
    else
        reg_nodes_observe(w->reg, &w->coming);
}

/* --- life ----------------------------------------------------------------------------------------------------------
 */

static void *nodes_start(struct reg *reg, struct ib_err *err)
{
    struct reg_nodes *x = calloc(1, sizeof *x);
    if (!x) {
        ib_err_set(err, IB_ENOMEM, "out of memory");
        return NULL;
    }
    x->reg = reg;
    ib_list_init(&x->observers);
    ib_list_init(&x->calls);
    reg_node_sessions_start(x);
    return x;
}

static void nodes_stop(void *state)
{
    struct reg_nodes *x = state;
    x->stopping = true;
    reg_node_contacts_stop(x);
    reg_node_calls_stop(x);
    reg_node_sessions_stop(x);
    free(x);
}

const struct reg_part reg_nodes_part = {"nodes", nodes_start, nodes_stop};
