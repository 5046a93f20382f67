/* SPDX-License-Identifier: Apache-2.0 */
/* A session's routing table: the proxies its client announced, by identity, least recently used first to go
   (glacier2-router 6.2). Bounded by count and by bytes. */
#ifndef GATEWAY_ROUTING_TABLE_H
#define GATEWAY_ROUTING_TABLE_H

#include <moulin/base/err.h>
#include <moulin/base/list.h>
#include <moulin/wire/types.h>

struct gw_route;

struct gw_routes {
    struct gw_route *by_identity; /* owns */
    struct ib_list lru; /* oldest first */
    size_t bytes, max;
};

void gw_routes_init(struct gw_routes *t, size_t max);
void gw_routes_fini(struct gw_routes *t);
size_t gw_routes_count(const struct gw_routes *t);

/* The normalised proxy, now the most recently used; NULL: none. Borrows until the next add. */
const struct iw_proxy *gw_routes_find(struct gw_routes *t, const struct iw_identity *id);
/* Adds a copy in normal form; a known identity keeps its old proxy and becomes the most recently used: *known.
   IB_ENOMEM: nothing was added. */
int gw_routes_add(struct gw_routes *t, const struct iw_proxy *prx, bool *known) IB_MUST_CHECK;
/* Takes the least recently used one out while the table is over its limits: its proxy lives until gw_route_free. */
struct gw_route *gw_routes_evict(struct gw_routes *t);
const struct iw_proxy *gw_route_proxy(const struct gw_route *r);
void gw_route_free(struct gw_route *r);

#endif
