/* SPDX-License-Identifier: Apache-2.0 */
/* The Glacier2.* properties, read once and checked (glacier2-router 15). */
#ifndef GATEWAY_CONFIG_H
#define GATEWAY_CONFIG_H

#include <moulin/base/arena.h>
#include <moulin/wire/types.h>

struct ir_runtime;
struct ir_properties;

/* One direction of forwarding: Glacier2.Client.* or Glacier2.Server.*. */
struct gw_direction {
    bool buffered, forward_context;
    int trace_request, trace_reject;
};

struct gw_strings {
    size_t n;
    struct ib_str *v;
};

struct gw_identities {
    size_t n;
    struct iw_identity *v;
};

struct gw_config {
    struct ib_arena arena; /* holds the strings */
    const char *instance;
    int session_timeout_s, acm_timeout_s;
    int add_connection_context; /* 0, 1, 2 */
    int accept_user; /* 0, 1, 2 */
    int routing_table_max;
    int trace_session, trace_routing_table;
    bool return_client_proxy, has_server;
    struct gw_direction client, server;
    struct gw_strings categories, adapter_ids; /* initial filters of a session */
    struct gw_identities identities;
};

/* Before the runtime is made: what must be there, and the values that other properties imply (2.2 steps 1 and 4). */
int gw_config_prepare(struct ir_properties *p, struct ib_err *err) IB_MUST_CHECK;
int gw_config_read(struct gw_config *c, struct ir_runtime *rt, struct ib_err *err) IB_MUST_CHECK;
void gw_config_fini(struct gw_config *c);

#endif
