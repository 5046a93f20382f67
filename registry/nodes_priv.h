/* SPDX-License-Identifier: Apache-2.0 */
/* What nodes.c (the directory), node_session.c (sessions) and node_contact.c (nodes of the last run) share. */
#ifndef REG_NODES_PRIV_H
#define REG_NODES_PRIV_H

#include "nodes.h"

#include <moulin/net/loop.h>

#define REG_NODES_MAX 4096
#define REG_NODE_ENTRIES_MAX 100000 /* servers, and adapters, that one node may report */

struct reg_node_contact;

struct reg_nodes {
    struct reg *reg;
    struct reg_node *connected; /* hash by name */
    struct reg_node_contact *contacts; /* hash by name: nodes of the last run that were asked to come */
    struct ib_list checks; /* registrations that wait for a ping of the node's older self */
    struct ib_list observers;
    struct ib_list calls; /* struct reg_node_call */
    struct ic_timer reaper;
    uint64_t last_serial;
    bool stopping;
};

static inline struct reg_nodes *reg_nodes_of(struct reg *reg)
{
    return reg_part_state(reg, &reg_nodes_part);
}

void reg_node_tell(struct reg_nodes *x, const struct reg_node_event *ev);

/* What a node reported, replaced as a whole or one by one. What does not fit is left out. */
void reg_node_set_dynamic(struct reg_node *node, const struct IceGrid_NodeDynamicInfo *info);
void reg_node_set_server(struct reg_node *node, const struct IceGrid_ServerDynamicInfo *info);
void reg_node_set_adapter(struct reg_node *node, const struct IceGrid_AdapterDynamicInfo *info);
void reg_node_clear_dynamic(struct reg_node *node);

/* node_call.c */
void reg_node_fail_calls(struct reg_nodes *x, uint64_t serial); /* the session is over */
void reg_node_calls_stop(struct reg_nodes *x);

/* node_session.c */
void reg_node_sessions_start(struct reg_nodes *x);
void reg_node_sessions_stop(struct reg_nodes *x);

/* node_contact.c */
struct iw_identity reg_node_identity(struct reg *reg, struct ib_str name,
                                     struct ib_arena *arena); /* name.p NULL: memory */
void reg_node_contact_over(struct reg_nodes *x, struct ib_str name); /* it has registered */
void reg_node_contacts_stop(struct reg_nodes *x);

#endif
