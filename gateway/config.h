/* SPDX-License-Identifier: Apache-2.0 */
/* The Glacier2.* properties, read once and checked (glacier2-router 15). */
#ifndef GATEWAY_CONFIG_H
#define GATEWAY_CONFIG_H

#include <moulin/base/arena.h>
#include <moulin/wire/types.h>

#include "proxy_filter.h"

struct ir_runtime;
struct ir_properties;

/* What happens to requests and answers a client does not take fast enough. */
enum gw_overflow {
    GW_OVERFLOW_FAIL, /* oneways are dropped, twoways fail */
    GW_OVERFLOW_DROP, /* the oldest oneways that wait are dropped first */
    GW_OVERFLOW_DISCONNECT, /* the client is */
    GW_OVERFLOW_HOLD /* the connection they come from is not read */
};

/* One direction of forwarding: Glacier2.Client.* or Glacier2.Server.*, Moulin.Gateway.Client.* or .Server.*. */
struct gw_direction {
    bool buffered, forward_context, always_batch;
    int trace_request, trace_reject, trace_override;
    int sleep_ms;
    size_t max_bytes; /* of one session, on their way */
    unsigned max_messages;
    enum gw_overflow overflow; /* to clients */
};

struct gw_strings {
    size_t n;
    struct ib_str *v;
};

struct gw_identities {
    size_t n;
    struct iw_identity *v;
};

/* Read again while the gateway runs: what new sessions begin with, and what proxies may be announced. */
struct gw_filters {
    struct ib_arena arena; /* holds the rest */
    int accept_user; /* 0, 1, 2 */
    bool hide_errors;
    struct gw_proxy_filter proxies;
    struct gw_strings categories, adapter_ids; /* initial filters of a session */
    struct gw_identities identities;
};

struct gw_config {
    struct ib_arena arena; /* holds the strings */
    const char *instance;
    int session_timeout_s, acm_timeout_s;
    int add_connection_context; /* 0, 1, 2 */
    int routing_table_max;
    int trace_session, trace_routing_table;
    bool return_client_proxy, has_server;
    struct gw_filters filters;
    struct gw_direction client, server;
};

/* Before the runtime is made: what must be there, and the values that other properties imply (2.2 steps 1 and 4). */
int gw_config_prepare(struct ir_properties *p, struct ib_err *err) IB_MUST_CHECK;
int gw_config_read(struct gw_config *c, struct ir_runtime *rt, struct ib_err *err) IB_MUST_CHECK;
/* On failure *f is empty. */
int gw_filters_read(struct gw_filters *f, const struct ir_properties *p, struct ib_err *err) IB_MUST_CHECK;
void gw_filters_fini(struct gw_filters *f);
/* One number, for whoever reads properties of his own. */
int gw_config_int(const struct ir_properties *p, const char *key, int otherwise, int lowest, int highest, int *out,
                  struct ib_err *err) IB_MUST_CHECK;
void gw_config_fini(struct gw_config *c);

#endif
