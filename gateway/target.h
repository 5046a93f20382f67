/* SPDX-License-Identifier: Apache-2.0 */
/* Where clients may go through the router: which proxies they may announce, what becomes of requests to the router's
   own endpoints, and which addresses are connected to for them. */
#ifndef GATEWAY_TARGET_H
#define GATEWAY_TARGET_H

#include <moulin/base/err.h>
#include <moulin/wire/types.h>

#include "own_endpoints.h"

struct gw_router;
struct gw_session;
struct ir_request;

/* After the adapters are bound: learns the router's own endpoints and watches outgoing connections. IB_ENOMEM. */
int gw_target_init(struct gw_router *r) IB_MUST_CHECK;
/* Everything the session gives addProxies, before anything of it is added; tells what is accepted and rejected. */
bool gw_target_may_add(struct gw_session *s, struct ir_request *rq, size_t n, struct iw_proxy *const *proxies);
/* false: the request goes elsewhere. true: the target is the router itself, and the request has its answer. */
bool gw_target_is_own(struct gw_router *r, struct ir_request *rq, const struct iw_proxy *target);
/* The class of ir_call_options.guard for requests to this proxy. */
uint8_t gw_target_guard(const struct gw_router *r, const struct iw_proxy *target);

#endif
