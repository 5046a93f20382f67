/* SPDX-License-Identifier: Apache-2.0 */
/* What a gateway counts for its metrics: plain fields, so that counting costs an addition. metrics.c shows them. */
#ifndef GATEWAY_STATS_H
#define GATEWAY_STATS_H

#include <stdint.h>

enum gw_way { GW_TO_SERVER, GW_TO_CLIENT, GW_WAYS }; /* where a request goes */

/* Of one session. */
struct gw_counters {
    uint32_t forwarded[GW_WAYS], overridden[GW_WAYS];
    uint32_t queued[GW_WAYS]; /* now */
    uint32_t dropped[GW_WAYS]; /* for want of room */
};

/* Of the gateway as a whole, since its start. */
struct gw_stats {
    uint64_t logins_accepted, logins_refused, logins_throttled;
    uint64_t proxies_refused; /* by address filters or ProxySizeMax */
    uint64_t requests_rejected; /* by a session's filters, or without a route */
    uint64_t callbacks_dropped; /* for a session that is not there, or by a full queue */
    uint64_t queue_bytes[GW_WAYS]; /* waiting now */
};

#endif
