/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes this replica has sessions with: who they are, what they told about their servers and adapters, and who
   wants to hear of it (icegrid-internal 3.3, 9, 14). nodes.c is the directory, node_session.c the sessions,
   node_contact.c the calls that bring back nodes of the last run. Everything of a node that peers can make grow is
   bounded. */
#ifndef REG_NODES_H
#define REG_NODES_H

#include "registry.h"
#include "resolver.h"
#include "slices.h"

struct reg_nodes;
struct reg_node_server;
struct reg_node_adapter;
extern const struct reg_part reg_nodes_part;

/* A node with a session. Borrowed: until the next return to the loop. */
struct reg_node {
    struct ib_str name;
    struct IceGrid_NodeInfo info;
    struct IceGrid_LoadInfo load; /* of the last keepAlive; negative: unknown */
    const struct iw_proxy *proxy; /* its Node */
    uint64_t serial; /* of the session: another one is another session, perhaps another process */
    unsigned silent; /* so many questions about adapters it should have answered by now; activation.c's */
    bool up; /* it has said nodeUp: what follows is filled */
    struct reg_node_server *servers; /* hash: all but those that are inactive and enabled */
    struct reg_node_adapter *adapters; /* hash: those with endpoints */
    UT_hash_handle hh;
};

bool reg_nodes_any(struct reg *reg); /* is one connected? */
struct reg_node *reg_node_find(struct reg *reg, struct ib_str name); /* NULL: not connected */
/* All connected nodes, by name. SIZE_MAX when memory is short. */
size_t reg_nodes_list(struct reg *reg, struct ib_arena *arena, struct reg_node ***out);
/* For reg_internal_server and reg_server_resolve; borrows. */
struct reg_node_vars reg_node_vars(const struct reg_node *node);
/* What admin observers are told in nodeUp and nodeInit; in the arena, sorted by id. IB_ENOMEM. */
int reg_node_dynamic(const struct reg_node *node, struct ib_arena *arena,
                     struct IceGrid_NodeDynamicInfo *out) IB_MUST_CHECK;
/* False only for a server known to be disabled (internal 14). */
bool reg_node_server_enabled(struct reg *reg, struct ib_str node, struct ib_str server);

/* --- events --------------------------------------------------------------------------------------------------------
 */

enum reg_node_event_kind {
    REG_NODE_CONNECTED, /* has a session: calls may go */
    REG_NODE_UP, /* after nodeUp; reg_node_dynamic tells everything */
    REG_NODE_SERVER, /* server */
    REG_NODE_ADAPTER, /* adapter; its proxy NULL: inactive */
    REG_NODE_DOWN, /* the session is over; the node is not found any more. For admin observers only if node->up */
    REG_NODE_ABSENT, /* was expected and does not come; node is NULL */
};

struct reg_node_event {
    enum reg_node_event_kind kind;
    struct ib_str name;
    const struct reg_node *node;
    const struct IceGrid_ServerDynamicInfo *server;
    const struct IceGrid_AdapterDynamicInfo *adapter;
};

/* Embedded in whoever listens; told in order, after the directory has it. May be removed from inside event, which must
   not end sessions itself. */
struct reg_node_observer {
    struct ib_list node;
    void (*event)(struct reg_node_observer *o, const struct reg_node_event *ev);
};
void reg_nodes_observe(struct reg *reg, struct reg_node_observer *o);
void reg_nodes_unobserve(struct reg_node_observer *o); /* harmless when not linked (after ib_list_init(&o->node)) */

/* --- calling nodes -------------------------------------------------------------------------------------------------
 */

#define REG_NODE_CONNECT_MS 10000

struct reg_node_call;
/* As ir_call, to an object of that node; it also ends when the node's session does. */
struct reg_node_call *reg_node_call(struct reg *reg, struct ib_str node, const struct iw_proxy *prx,
                                    const struct iw_op *op, int32_t timeout_ms, const void *in, ir_reply_fn fn,
                                    void *arg) IB_MUST_CHECK;
void reg_node_call_cancel(struct reg_node_call *c); /* NULL is fine */
void reg_nodes_end(struct reg *reg); /* the registry stops: all calls fail */

/* --- bringing nodes here -------------------------------------------------------------------------------------------
 */

/* Is there hope that the node registers soon: it is remembered from the last run and has not been asked yet, or is
   being asked? Asks it. REG_NODE_CONNECTED or REG_NODE_ABSENT follows. */
bool reg_node_expected(struct reg *reg, struct ib_str name);
/* Somebody who wants a node, and waits while there is that hope. fn is called once, with NULL when the node is away;
   perhaps at once. The caller's memory until then. */
struct reg_node_want {
    struct reg_node_observer coming;
    struct reg *reg;
    struct ib_str name;
    void (*fn)(void *arg, const struct reg_node *node);
    void *arg;
};
void reg_node_want(struct reg_node_want *w);
/* At the end of the start: nodes of the last run are asked to register, those that nobody deploys to are forgotten. */
void reg_nodes_recall(struct reg *reg);

/* --- sessions ------------------------------------------------------------------------------------------------------
 */

struct IceGrid_InternalRegistry_registerNode_in;
void reg_node_register(struct reg *reg, struct ir_request *rq,
                       const struct IceGrid_InternalRegistry_registerNode_in *in);
/* A slave came or went: nodes whose master this is are told. */
void reg_nodes_replica(struct reg *reg, bool added, const struct iw_proxy *replica);

/* IceGrid.Registry.Require{Node,Replica}CertCN: does the certificate of rq's connection name name? The text is the
   PermissionDeniedException's when not. */
bool reg_certificate_names(struct reg *reg, struct ir_request *rq, const char *property, struct ib_str name,
                           struct ib_str *why);

#endif
