/* SPDX-License-Identifier: Apache-2.0 */
/* Proxies, requests and connections judged by where they lead. */
#include "router.h"

/* Endpoints that a locator gave are the operator's word, so that rules about addresses do not apply to them. */
enum { GUARD_OWN = 1, GUARD_ADDRESSES };

static void trace(const struct gw_router *r, const char *what, struct ib_str proxy, const char *why)
{
    char text[512];
    ib_log_trace(ir_runtime_log(r->rt), "Glacier2", "%s proxy %s%s%s", what, ib_log_escape(proxy, text, sizeof(text)),
                 why ? "\n" : "", why ? why : "");
}

static bool may_add(struct gw_session *s, const struct iw_proxy *prx, struct ib_arena *arena)
{
    struct gw_router *r = s->router;
    const struct gw_proxy_filter *f = &r->config.filters.proxies;
    int level = r->config.client.trace_reject;
    bool on = gw_proxy_filter_is_on(f), admin = gw_own_place_of(&r->own, prx) == GW_OWN_ADMIN;
    if (!on && !admin) {
        return true;
    }
    const struct ib_str text = ir_proxy_format(prx, IR_UNICODE, arena);
    const char *why = admin    ? "it names the router's admin endpoints"
                      : text.p ? gw_proxy_filter_check(f, prx, text, level >= 3 ? ir_runtime_log(r->rt) : NULL)
                               : "out of memory";
    if (level >= 1) {
        trace(r, why ? "rejected" : "accepted", text, why);
    }
    if (why) {
        r->stats.proxies_refused++;
        gw_audit_proxy_refused(s, why, text);
    }
    return !why;
}

bool gw_target_may_add(struct gw_session *s, struct ir_request *rq, size_t n, struct iw_proxy *const *proxies)
{
    for (size_t i = 0; i < n; i++) {
        if (proxies[i] && !may_add(s, proxies[i], ir_request_arena(rq))) {
            return false;
        }
    }
    return true;
}

/* Servers' endpoints are where clients' callback objects are found: one client may call another's through the router.
   The objects by which session managers control sessions have no category, and so are not found. */
bool gw_target_is_own(struct gw_router *r, struct ir_request *rq, const struct iw_proxy *target)
{
    switch (gw_own_place_of(&r->own, target)) {
    case GW_ELSEWHERE:
        return false;
    case GW_OWN_SERVER: {
        struct gw_direction d = r->config.server;
        d.forward_context = d.forward_context && r->config.client.forward_context; /* it passes by both doors */
        gw_callback_route(r, rq, &d);
        return true;
    }
    case GW_OWN_CLIENT:
    case GW_OWN_ADMIN:
        ir_request_fail(rq, IR_OBJECT_NOT_EXIST, NULL);
        return true;
    }
    return false;
}

uint8_t gw_target_guard(const struct gw_router *r, const struct iw_proxy *target)
{
    return target->n_endpoints && gw_proxy_filter_judges_addresses(&r->config.filters.proxies) ? GUARD_ADDRESSES
                                                                                               : GUARD_OWN;
}

/* Names are resolved when connections are made, and may then lead where no proxy was allowed to point. */
static bool may_connect(void *arg, unsigned guard, const struct iw_endpoint *ep, const struct sockaddr *sa)
{
    struct gw_router *r = arg;
    struct gw_host h;
    bool known = sa ? gw_host_from_sockaddr(sa, &h) : gw_host_read(ep->host, &h);
    bool own = known && ep->type != IW_EP_UDP && gw_own_place(&r->own, &h, ep->port) != GW_ELSEWHERE;
    bool allowed =
        known && !own &&
        (guard != GUARD_ADDRESSES || gw_proxy_filter_allows_address(&r->config.filters.proxies, &h, ep->port));
    if (!allowed && r->config.client.trace_reject >= 1) {
        char name[300];
        ib_log_trace(ir_runtime_log(r->rt), "Glacier2", "refusing to connect to %s port %d for a client: host = %s",
                     known ? h.canonical : "an unknown address", (int)ep->port,
                     ib_log_escape(ep->host, name, sizeof(name)));
    }
    return allowed;
}

int gw_target_init(struct gw_router *r)
{
    const struct ir_adapter *admin = r->admin ? ir_admin_adapter(r->admin) : NULL;
    int rc = gw_own_add(&r->own, r->client, GW_OWN_CLIENT, &r->arena);
    rc = rc ? rc : gw_own_add(&r->own, r->server, GW_OWN_SERVER, &r->arena);
    rc = rc ? rc : gw_own_add(&r->own, admin, GW_OWN_ADMIN, &r->arena);
    ir_runtime_set_guard(r->rt, may_connect, r);
    return rc;
}

int gw_router_know_others(struct gw_router *r)
{
    const struct gw_crew *crew = r->crew;
    const struct ir_admin *admin = crew->workers[0].router->admin;
    int rc = r->worker && admin ? gw_own_add(&r->own, ir_admin_adapter(admin), GW_OWN_ADMIN, &r->arena) : 0;
    for (unsigned i = 0; rc == 0 && r->own_ports && i < crew->n; i++) {
        if (i != r->worker) {
            rc = gw_own_add(&r->own, crew->workers[i].router->server, GW_OWN_SERVER, &r->arena);
        }
    }
    return rc;
}
