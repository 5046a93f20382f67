/* SPDX-License-Identifier: Apache-2.0 */
/* Where the router itself can be reached: what its adapters are bound to and published as. A client must not get to the
   admin object through the router, nor back into the router from behind (glacier2-router 6.5). */
#ifndef GATEWAY_OWN_ENDPOINTS_H
#define GATEWAY_OWN_ENDPOINTS_H

#include <moulin/base/arena.h>
#include <moulin/wire/types.h>

#include "host.h"

struct ir_adapter;

/* In order of precedence, when the endpoints of one proxy say different things. */
enum gw_place { GW_ELSEWHERE, GW_OWN_SERVER, GW_OWN_CLIENT, GW_OWN_ADMIN };

struct gw_own_endpoint {
    enum gw_place place;
    bool wildcard; /* every address of this machine */
    int port;
    struct gw_host host;
};

#define GW_MACHINE_MAX 128

struct gw_own {
    uint64_t ports; /* bit (port modulo 64) for each of them: rules most others out at once */
    size_t n;
    struct gw_own_endpoint *v; /* in the arena given */
    int64_t machine_until; /* ms: how long the addresses of this machine are believed */
    size_t n_machine;
    struct gw_address machine[GW_MACHINE_MAX];
};

/* Adds the adapter's endpoints (NULL: nothing). Names it is bound to are resolved, which may block: before the loop
   runs. IB_ENOMEM. */
int gw_own_add(struct gw_own *own, const struct ir_adapter *a, enum gw_place place,
               struct ib_arena *arena) IB_MUST_CHECK;
enum gw_place gw_own_place(struct gw_own *own, const struct gw_host *host, int port);
enum gw_place gw_own_place_of(struct gw_own *own, const struct iw_proxy *prx);

#endif
