/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include "nodes.h"

#define UNREACHABLE 999.9
#define UNKNOWN 1.0 /* what nobody can tell the load of: a direct proxy, a node that does not know its own */

/* The application's word for the node, else one part in as many as the node has processors. */
static double factor(const struct reg_server *server, const struct reg_node *node)
{
    if (server->load_factor >= 0)
        return server->load_factor;
    bool windows = node->info.os.n >= 7 && memcmp(node->info.os.p, "Windows", 7) == 0;
    return windows || node->info.nProcessors < 1 ? 1.0 : 1.0 / node->info.nProcessors;
}

double reg_server_load(struct reg *reg, const struct reg_server *server, int minutes)
{
    const struct reg_node *node = reg_node_find(reg, server->node);
    if (!node)
        return UNREACHABLE;
    double sample = minutes == 1 ? node->load.avg1 : minutes == 5 ? node->load.avg5 : node->load.avg15;
    /* negative, or not a number */
    return (sample >= 0 ? sample : UNKNOWN) * factor(server, node);
}

static double group_load(struct reg *reg, struct ib_str id, int minutes)
{
    struct ib_arena arena;
    struct reg_adapter **members;
    double least = UNREACHABLE;
    ib_arena_init(&arena, 0);
    size_t n = reg_catalog_members(reg->catalog, id, &arena, &members);
    for (size_t i = 0; n != SIZE_MAX && i < n; i++) {
        double load = reg_server_load(reg, members[i]->server, minutes);
        if (load < least)
            least = load;
    }
    ib_arena_fini(&arena);
    return least;
}

double reg_adapter_load(struct reg *reg, struct ib_str id, int minutes)
{
    const struct reg_adapter *adapter = reg_catalog_adapter(reg->catalog, id);
    if (adapter)
        return reg_server_load(reg, adapter->server, minutes);
    return reg_catalog_group(reg->catalog, id) ? group_load(reg, id, minutes) : UNKNOWN;
}
