/* SPDX-License-Identifier: Apache-2.0 */
/* What one replica was told: the IceGrid.Registry.* properties and options, checked once at start (icegrid-registry 1,
 * 13). */
#ifndef REG_CONFIG_H
#define REG_CONFIG_H

#include <moulin/base/arena.h>
#include <moulin/rpc/properties.h>

struct ib_log;

#define REG_MASTER "Master"

/* Categories of IceGrid.Registry.Trace.*; X(symbol, name). */
#define REG_TRACES(X)                                                                                                  \
    X(ADMIN, "Admin")                                                                                                  \
    X(APPLICATION, "Application")                                                                                      \
    X(ADAPTER, "Adapter")                                                                                              \
    X(DISCOVERY, "Discovery")                                                                                          \
    X(LOCATOR, "Locator")                                                                                              \
    X(NODE, "Node")                                                                                                    \
    X(OBJECT, "Object")                                                                                                \
    X(PATCH, "Patch")                                                                                                  \
    X(REPLICA, "Replica")                                                                                              \
    X(SERVER, "Server")                                                                                                \
    X(SESSION, "Session")                                                                                              \
    X(SUBSCRIBER, "Subscriber")                                                                                        \
    X(TOPIC, "Topic")

enum reg_trace_category {
#define X(sym, name) REG_TRACE_##sym,
    REG_TRACES(X)
#undef X
        REG_TRACE_MAX
};

struct reg_config {
    struct ib_str instance; /* category of every identity of ours */
    struct ib_str replica; /* "Master" or the slave's name */
    bool master;
    bool read_only; /* --readonly; a slave is never writable either */
    bool no_warn; /* --nowarn */
    struct ib_str locator; /* Ice.Default.Locator as configured; the runtime's is our own */
    struct ib_str init_from; /* --initdb-from-replica; empty without */
    struct ib_str path; /* directory of the database; exists */
    size_t map_size; /* bytes */
    int session_timeout, node_session_timeout, replica_session_timeout; /* seconds */
    int replica_ack_timeout; /* seconds an answer may wait for a slave */
    int ack_poll_us; /* how long the loop looks for acknowledgements rather than sleep */
    int min_replicas; /* slaves that must have a change before it is answered with success */
    bool second_master; /* start although another master lives */
    bool dynamic_registration;
    int session_filters, admin_session_filters;
    bool discovery; /* answers multicast lookups */
    int discovery_port;
    bool has_session_manager, has_admin_session_manager; /* endpoints are set */
    int trace[REG_TRACE_MAX];
};

/* Options of the command line that are not properties. */
struct reg_options {
    bool no_warn, read_only;
    const char *init_from; /* "" without */
};

/* Reads and checks everything, makes the missing database directory, and sets in props what a registry forces on
   itself (icegrid-registry 1.3). Strings go into the arena. */
int reg_config_read(struct reg_config *cfg, struct ir_properties *props, const struct reg_options *opt,
                    struct ib_arena *arena, struct ib_err *err) IB_MUST_CHECK;

#endif
