/* SPDX-License-Identifier: Apache-2.0 */
/* What one service was told: its properties, checked once at start (icestorm 10). */
#ifndef STORM_CONFIG_H
#define STORM_CONFIG_H

#include <moulin/base/arena.h>
#include <moulin/rpc/properties.h>

struct ib_log;

/* Categories of <service>.Trace.*. */
enum storm_trace { STORM_TRACE_MANAGER, STORM_TRACE_TOPIC, STORM_TRACE_SUBSCRIBER, STORM_TRACE_ELECTION, STORM_TRACE_MAX };

#define STORM_NODES_MAX 16

struct storm_node {
    int id;
    struct ib_str proxy; /* as configured, or found */
};

struct storm_config {
    struct ib_str service; /* prefix of the properties */
    struct ib_str instance; /* category of the identities */
    struct ib_str manager_id, publish_id; /* ids of this very service's adapters; empty without */
    bool transient; /* nothing is kept */
    struct ib_str path; /* of the database; exists */
    size_t map_size; /* bytes */
    int flush_ms; /* of batches */
    int discard_s; /* how long a subscriber that fails is left alone */
    int send_timeout_ms; /* of the endpoints of subscribers; -1 = none */
    int reply_timeout_ms; /* how long a twoway event may take; -1 = any time */
    int queue_max; /* events that wait for one subscriber; 0 = any number */
    size_t queue_bytes_max; /* the same in bytes */
    bool drop_oldest; /* when a queue is full, else the subscriber goes */
    int trace[STORM_TRACE_MAX];
    int node_id; /* -1: there are no replicas */
    struct storm_node *nodes; /* ascending */
    size_t n_nodes; /* 0 of a replica: the locator knows them (discovery.c) */
    int master_s, election_s, response_s; /* timeouts of the election */
    bool force; /* the operator vouches for the databases of a majority */
    int wait_s; /* how long a request waits for the group to be active; 0: as long as its client does */
    struct ib_str manager_endpoints, publish_endpoints; /* of all replicas; empty: only this one's are told */
};

/* service is copied; strings in the arena. Unknown properties of the service are warned of. */
int storm_config_read(struct storm_config *cfg, const char *service, struct ir_properties *props, struct ib_log *log,
                      struct ib_arena *arena, struct ib_err *err) IB_MUST_CHECK;

#endif
