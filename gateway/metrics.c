/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics of the gateway: the map Session as glacier2router has it (17), and the map Gateway of our own. */
#include <slice/Glacier2/Metrics.h>
#include <slice/Moulin/Metrics.h>

#include "router.h"

static bool put(struct ib_buf *out, struct ib_str s)
{
    ib_buf_put(out, ib_cstr(s), s.n);
    return true;
}

static bool resolve_session(const void *object, const char *attribute, struct ib_buf *out)
{
    const struct gw_session *s = object;
    if (strcmp(attribute, "parent") == 0) {
        return put(out, ib_str(s->router->config.instance));
    }
    if (strcmp(attribute, "id") == 0) {
        return put(out, s->user);
    }
    return ir_metrics_conn_attribute(s->client->conn, attribute, out);
}

/* In the order of IceMX::SessionMetrics. */
static void read_session(const void *object, int64_t *values)
{
    const struct gw_session *s = object;
    const struct gw_counters *c = &s->counters;
    values[0] = c->forwarded[GW_TO_SERVER];
    values[1] = c->forwarded[GW_TO_CLIENT];
    values[2] = (int64_t)gw_routes_count(&s->routes);
    values[3] = c->queued[GW_TO_SERVER];
    values[4] = c->queued[GW_TO_CLIENT];
    values[5] = c->overridden[GW_TO_SERVER];
    values[6] = c->overridden[GW_TO_CLIENT];
}

static const struct ir_metrics_kind session_kind = {
    .map = "Session",
    .cls = &IceMX_SessionMetrics_class,
    .levels = 1u << 2 | 1u << 3 | 1u << 4,
    .resolve = resolve_session,
    .read = read_session,
};

static bool resolve_gateway(const void *object, const char *attribute, struct ib_buf *out)
{
    const struct gw_router *r = object;
    if (strcmp(attribute, "parent") != 0 && strcmp(attribute, "id") != 0) {
        return false;
    }
    return put(out, ib_str(r->config.instance));
}

static int64_t count_active(const struct gw_router *r)
{
    int64_t n = 0;
    IB_LIST_FOREACH(node, &r->sessions)
    {
        n += IB_CONTAINER(node, struct gw_session, node)->state == GW_ACTIVE;
    }
    return n;
}

static int64_t count_clients(const struct gw_router *r)
{
    int64_t n = 0;
    IB_LIST_FOREACH(node, &r->clients)
    {
        n++;
    }
    return n;
}

/* In the order of Moulin::GatewayMetrics. */
static void read_gateway(const void *object, int64_t *values)
{
    const struct gw_router *r = object;
    const struct gw_stats *s = &r->stats;
    const uint64_t counts[] = {s->logins_accepted,           s->logins_refused,           s->logins_throttled,
                               s->proxies_refused,           s->requests_rejected,        s->callbacks_dropped,
                               s->queue_bytes[GW_TO_SERVER], s->queue_bytes[GW_TO_CLIENT]};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        values[i] = (int64_t)counts[i];
    }
    values[8] = count_active(r);
    values[9] = count_clients(r);
}

static const struct ir_metrics_kind gateway_kind = {
    .map = "Gateway",
    .cls = &Moulin_GatewayMetrics_class,
    .one = true,
    .levels = 1u << 6 | 1u << 7 | 1u << 8 | 1u << 9,
    .resolve = resolve_gateway,
    .read = read_gateway,
};

int gw_metrics_open(struct gw_router *r)
{
    struct ir_metrics_source *own = ir_metrics_add(r->rt, &gateway_kind);
    r->session_metrics = ir_metrics_add(r->rt, &session_kind);
    if (!own || !r->session_metrics) {
        return IB_ENOMEM;
    }
    ir_observe(own, &r->observed, r);
    return 0;
}
