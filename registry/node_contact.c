/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes of the last run: each is told once where this registry is, so that it registers at once instead of at its next
   attempt (icegrid-internal 8.3, 9.6). Never in anybody's way. */
#include "nodes_priv.h"

#include <stdlib.h>

#include "sessions.h"

#define CALL_MS 10000

struct reg_node_contact {
    struct reg_nodes *all;
    struct ib_arena arena; /* of name */
    struct ib_str name;
    struct ir_call *call; /* NULL: it was asked, in vain */
    UT_hash_handle hh;
};

struct iw_identity reg_node_identity(struct reg *reg, struct ib_str name, struct ib_arena *arena)
{
    return (struct iw_identity){ib_arena_printf(arena, "Node-%s", ib_cstr(name)), reg->cfg.instance};
}

static struct reg_node_contact *find_contact(struct reg_nodes *x, struct ib_str name)
{
    struct reg_node_contact *c = NULL;
    HASH_FIND(hh, x->contacts, ib_cstr(name), name.n, c);
    return c;
}

static void free_contact(struct reg_node_contact *c)
{
    HASH_DEL(c->all->contacts, c);
    if (c->call)
        ir_call_cancel(c->call);
    ib_arena_fini(&c->arena);
    free(c);
}

static void give_up(struct reg_node_contact *c)
{
    reg_node_tell(c->all, &(struct reg_node_event){.kind = REG_NODE_ABSENT, .name = c->name});
}

/* The node answers after its attempt: had it succeeded, this contact would be over. */
static void on_asked(void *arg, const struct ir_result *r)
{
    struct reg_node_contact *c = arg;
    char text[256];
    c->call = NULL;
    reg_trace(c->all->reg, REG_TRACE_NODE, 1, "node `%s' of the last run does not come back: %s", ib_cstr(c->name),
              ir_result_text(r, text, sizeof text));
    give_up(c);
}

static struct ir_call *ask(struct reg_node_contact *c, const struct iw_proxy *node)
{
    struct reg *reg = c->all->reg;
    const struct ir_call_options opt = {.timeout_ms = CALL_MS, .connect_timeout_ms = CALL_MS};
    struct ib_arena arena;
    struct ir_call *call = NULL;
    ib_arena_init(&arena, 0);
    const struct iw_identity id = {ib_arena_printf(&arena, "InternalRegistry-%s", ib_cstr(reg->cfg.replica)),
                                   reg->cfg.instance};
    const struct IceGrid_Node_registerWithReplica_in in = {
        .replica = id.name.p ? ir_adapter_direct_proxy(reg->internal, &id, &arena) : NULL};
    if (in.replica)
        call = IceGrid_Node_registerWithReplica_call(reg->rt, node, &opt, &in, on_asked, c);
    ib_arena_fini(&arena);
    return call;
}

/* NULL: nobody of that name is remembered, or memory is short. */
static struct reg_node_contact *start(struct reg_nodes *x, struct ib_str name, const struct iw_proxy *node)
{
    struct reg_node_contact *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->all = x;
    ib_arena_init(&c->arena, 0);
    c->name = ib_arena_str(&c->arena, name);
    if (c->name.p)
        HASH_ADD_KEYPTR(hh, x->contacts, c->name.p, c->name.n, c);
    if (!c->hh.tbl) {
        ib_arena_fini(&c->arena);
        free(c);
        return NULL;
    }
    c->call = ask(c, node);
    return c;
}

bool reg_node_expected(struct reg *reg, struct ib_str name)
{
    struct reg_nodes *x = reg_nodes_of(reg);
    struct reg_node_contact *c = find_contact(x, name);
    struct ib_arena arena;
    struct IceGrid_ObjectInfo *known;
    if (c)
        return c->call;
    ib_arena_init(&arena, 0);
    struct iw_identity id = reg_node_identity(reg, name, &arena);
    size_t n = id.name.p && !reg->stopping ? reg_catalog_nodes(reg->catalog, &arena, &known) : 0;
    for (size_t i = 0; n != SIZE_MAX && i < n && !c; i++)
        if (known[i].proxy && iw_identity_equal(&known[i].proxy->id, &id))
            c = start(x, name, known[i].proxy);
    ib_arena_fini(&arena);
    return c && c->call;
}

void reg_node_contact_over(struct reg_nodes *x, struct ib_str name)
{
    struct reg_node_contact *c = find_contact(x, name);
    if (c)
        free_contact(c);
}

static void forget(struct reg *reg, const struct iw_identity *id)
{
    struct reg_change *c = reg_change_new(REG_NODE_DROP, NULL, NULL);
    if (!c || reg_change_set_id(c, id))
        reg_change_unref(c);
    else
        reg_change_submit(reg, c);
}

void reg_nodes_recall(struct reg *reg)
{
    static const char prefix[] = "Node-";
    struct ib_arena arena;
    struct IceGrid_ObjectInfo *known;
    ib_arena_init(&arena, 0);
    size_t n = reg_catalog_nodes(reg->catalog, &arena, &known);
    for (size_t i = 0; n != SIZE_MAX && i < n; i++) {
        struct ib_str name = known[i].proxy ? known[i].proxy->id.name : ib_str("");
        if (name.n <= sizeof prefix - 1 || memcmp(name.p, prefix, sizeof prefix - 1) != 0)
            continue;
        name.p += sizeof prefix - 1;
        name.n -= sizeof prefix - 1;
        if (reg_node_find(reg, name))
            continue;
        if (reg_node_is_known(reg, name))
            (void)reg_node_expected(reg, name);
        else
            forget(reg, &known[i].proxy->id);
    }
    ib_arena_fini(&arena);
}

void reg_node_contacts_stop(struct reg_nodes *x)
{
    while (x->contacts)
        free_contact(x->contacts);
}
