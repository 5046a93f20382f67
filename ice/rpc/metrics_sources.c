/* SPDX-License-Identifier: Apache-2.0 */
/* What every runtime measures, and by which names its objects can be grouped: connections, their establishment, name
   lookups, dispatches, invocations with their attempts, and the loop. */
#include "metrics.h"
#include "rpc_priv.h"

#include <slice/Ice/Metrics.h>

#include <arpa/inet.h>
#include <stdio.h>

static bool put(struct ib_buf *out, const char *text)
{
    ib_buf_puts(out, text);
    return true;
}

static bool put_str(struct ib_buf *out, struct ib_str s)
{
    ib_buf_put(out, ib_cstr(s), s.n);
    return true;
}

static bool put_bool(struct ib_buf *out, bool v)
{
    return put(out, v ? "true" : "false");
}

static bool put_int(struct ib_buf *out, int64_t v)
{
    ib_buf_printf(out, "%lld", (long long)v);
    return true;
}

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static bool put_identity(struct ib_buf *out, const struct iw_identity *id)
{
    struct ib_arena a;
    ib_arena_init(&a, 0);
    put_str(out, ir_identity_format(id, IR_UNICODE, &a));
    ib_arena_fini(&a);
    return true;
}

static bool put_context(struct ib_buf *out, const char *attribute, const struct ir_context_entry *v, size_t n)
{
    static const char prefix[] = "context.";
    if (strncmp(attribute, prefix, sizeof(prefix) - 1) != 0)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (ib_str_is(v[i].key, attribute + sizeof(prefix) - 1))
            return put_str(out, v[i].value);
    }
    return false;
}

/* --- endpoints and connections ------------------------------------------------------------------------------------ */

static bool endpoint_attribute(const struct iw_endpoint *ep, const char *attribute, struct ib_buf *out)
{
    if (is(attribute, "endpoint"))
        ir_endpoint_format(ep, out);
    else if (is(attribute, "endpointType"))
        put_int(out, ep->type);
    else if (is(attribute, "endpointIsDatagram"))
        put_bool(out, ep->type == IW_EP_UDP);
    else if (is(attribute, "endpointIsSecure"))
        put_bool(out, ep->type == IW_EP_SSL || ep->type == IW_EP_WSS);
    else if (is(attribute, "endpointTimeout"))
        put_int(out, ep->timeout);
    else if (is(attribute, "endpointCompress"))
        put_bool(out, ep->compress);
    else if (is(attribute, "endpointHost"))
        put_str(out, ep->host);
    else if (is(attribute, "endpointPort"))
        put_int(out, ep->port);
    else
        return false;
    return true;
}

/* The endpoint a connection was made through: the server's end of it. */
static struct iw_endpoint conn_endpoint(const struct ir_conn *c, const struct ic_conn_info *info)
{
    static const struct {
        const char *transport;
        int16_t type;
    } types[] = {{"ssl", IW_EP_SSL}, {"ws", IW_EP_WS}, {"wss", IW_EP_WSS}};
    struct iw_endpoint ep = {.type = IW_EP_TCP, .timeout = c->timeout};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (is(info->transport, types[i].transport))
            ep.type = types[i].type;
    }
    ep.host = ib_str(info->incoming ? info->local_host : info->remote_host);
    ep.port = info->incoming ? info->local_port : info->remote_port;
    return ep;
}

bool ir_metrics_conn_attribute(const struct ir_conn *c, const char *attribute, struct ib_buf *out)
{
    struct ic_conn_info info;
    ic_conn_get_info(c->net, &info);
    if (is(attribute, "incoming"))
        return put_bool(out, info.incoming);
    if (is(attribute, "adapterName"))
        return put(out, c->incoming && c->adapter ? c->adapter->name : "");
    if (is(attribute, "connectionId"))
        return true;
    if (is(attribute, "localHost"))
        return put(out, info.local_host);
    if (is(attribute, "localPort"))
        return put_int(out, info.local_port);
    if (is(attribute, "remoteHost"))
        return put(out, info.remote_host);
    if (is(attribute, "remotePort"))
        return put_int(out, info.remote_port);
    if (is(attribute, "connection")) {
        ib_buf_printf(out, "local address = %s:%d\nremote address = %s:%d", info.local_host, info.local_port,
                      info.remote_host, info.remote_port);
        return true;
    }
    const struct iw_endpoint ep = conn_endpoint(c, &info);
    return endpoint_attribute(&ep, attribute, out);
}

static const char *conn_state(const struct ir_conn *c)
{
    return c->closing ? "closing" : c->held ? "holding" : "active";
}

static bool resolve_conn(const void *object, const char *attribute, struct ib_buf *out)
{
    const struct ir_conn *c = object;
    struct ic_conn_info info;
    if (is(attribute, "parent"))
        return put(out, c->incoming && c->adapter ? c->adapter->name : "Communicator");
    if (is(attribute, "state"))
        return put(out, conn_state(c));
    if (!is(attribute, "id"))
        return !is(attribute, "connection") && ir_metrics_conn_attribute(c, attribute, out);
    ic_conn_get_info(c->net, &info);
    ib_buf_printf(out, "%s:%d -> %s:%d", info.local_host, info.local_port, info.remote_host, info.remote_port);
    return true;
}

static void read_conn(const void *object, int64_t *values)
{
    const struct ir_conn *c = object;
    struct ic_conn_info info;
    ic_conn_get_info(c->net, &info);
    values[IR_MX_RECEIVED] = (int64_t)info.bytes_in;
    values[IR_MX_SENT] = (int64_t)info.bytes_out;
}

const struct ir_metrics_kind ir_kind_connection = {
    .map = "Connection", .cls = &IceMX_ConnectionMetrics_class, .resolve = resolve_conn, .read = read_conn};

static bool resolve_establishment(const void *object, const char *attribute, struct ib_buf *out)
{
    const struct iw_endpoint *ep = object;
    if (is(attribute, "parent"))
        return put(out, "Communicator");
    if (!is(attribute, "id"))
        return endpoint_attribute(ep, attribute, out);
    put_str(out, ep->host);
    ib_buf_printf(out, ":%d", ep->port);
    return true;
}

const struct ir_metrics_kind ir_kind_establishment = {
    .map = "ConnectionEstablishment", .cls = &IceMX_Metrics_class, .resolve = resolve_establishment};

static bool resolve_lookup(const void *object, const char *attribute, struct ib_buf *out)
{
    if (is(attribute, "parent"))
        return put(out, "Communicator");
    return endpoint_attribute(object, is(attribute, "id") ? "endpoint" : attribute, out);
}

const struct ir_metrics_kind ir_kind_lookup = {
    .map = "EndpointLookup", .cls = &IceMX_Metrics_class, .resolve = resolve_lookup};

bool ir_metrics_is_name(const struct iw_endpoint *ep)
{
    char host[64];
    uint8_t address[16];
    if (ep->host.n == 0)
        return false;
    if (ep->host.n >= sizeof(host))
        return true;
    snprintf(host, sizeof(host), "%.*s", (int)ep->host.n, ib_cstr(ep->host));
    return inet_pton(AF_INET, host, address) != 1 && inet_pton(AF_INET6, host, address) != 1;
}

/* --- dispatches --------------------------------------------------------------------------------------------------- */

static bool resolve_dispatch(const void *object, const char *attribute, struct ib_buf *out)
{
    const struct ir_request *rq = object;
    const struct ir_request_info *info = &rq->info;
    if (is(attribute, "parent"))
        return put(out, rq->adapter ? rq->adapter->name : "");
    if (is(attribute, "id")) {
        put_identity(out, &info->id);
        ib_buf_printf(out, " [%.*s]", (int)info->operation.n, ib_cstr(info->operation));
        return true;
    }
    if (is(attribute, "operation"))
        return put_str(out, info->operation);
    if (is(attribute, "identity"))
        return put_identity(out, &info->id);
    if (is(attribute, "facet"))
        return put_str(out, info->facet);
    if (is(attribute, "requestId"))
        return put_int(out, info->request_id);
    if (is(attribute, "mode"))
        return put(out, info->request_id ? "twoway" : "oneway");
    return put_context(out, attribute, info->context, info->n_context) ||
           (rq->conn && ir_metrics_conn_attribute(rq->conn, attribute, out));
}

const struct ir_metrics_kind ir_kind_dispatch = {
    .map = "Dispatch", .cls = &IceMX_DispatchMetrics_class, .resolve = resolve_dispatch};

/* --- invocations -------------------------------------------------------------------------------------------------- */

static bool put_proxy(struct ib_buf *out, const struct ir_metrics_invocation *i, bool endpoints)
{
    struct ib_arena a;
    struct iw_proxy prx = *i->proxy;
    ib_arena_init(&a, 0);
    prx.mode = i->oneway ? IW_ONEWAY : IW_TWOWAY;
    if (!endpoints)
        prx.n_endpoints = 0;
    put_str(out, ir_proxy_format(&prx, IR_UNICODE, &a));
    ib_arena_fini(&a);
    return true;
}

static bool resolve_invocation(const void *object, const char *attribute, struct ib_buf *out)
{
    const struct ir_metrics_invocation *i = object;
    if (is(attribute, "parent"))
        return put(out, "Communicator");
    if (is(attribute, "id")) {
        put_proxy(out, i, false);
        ib_buf_printf(out, " [%.*s]", (int)i->operation.n, ib_cstr(i->operation));
        return true;
    }
    if (is(attribute, "operation"))
        return put_str(out, i->operation);
    if (is(attribute, "identity"))
        return put_identity(out, &i->proxy->id);
    if (is(attribute, "facet"))
        return put_str(out, i->proxy->facet);
    if (is(attribute, "mode"))
        return put(out, i->oneway ? "oneway" : "twoway");
    if (is(attribute, "proxy"))
        return put_proxy(out, i, true);
    if (is(attribute, "encoding")) {
        ib_buf_printf(out, "%d.%d", i->proxy->encoding.major, i->proxy->encoding.minor);
        return true;
    }
    return put_context(out, attribute, i->context, i->n_context);
}

const struct ir_metrics_kind ir_kind_invocation = {
    .map = "Invocation", .cls = &IceMX_InvocationMetrics_class, .resolve = resolve_invocation};

static bool resolve_remote(const void *object, const char *attribute, struct ib_buf *out)
{
    const struct ir_metrics_remote *r = object;
    if (is(attribute, "parent"))
        return put(out, "Communicator");
    if (is(attribute, "requestId"))
        return put_int(out, r->request_id);
    if (is(attribute, "connection"))
        return false;
    return ir_metrics_conn_attribute(r->conn, is(attribute, "id") ? "endpoint" : attribute, out);
}

const struct ir_metrics_kind ir_kind_remote = {
    .map = "Remote", .cls = &IceMX_RemoteMetrics_class, .resolve = resolve_remote};
/* Nothing is called without a connection here: the map within is there, and empty. */
const struct ir_metrics_kind ir_kind_collocated = {
    .map = "Collocated", .cls = &IceMX_CollocatedMetrics_class, .resolve = resolve_remote};

/* --- the loop ----------------------------------------------------------------------------------------------------- */

/* One thread per runtime does what a server's pool does. */
static bool resolve_thread(const void *object, const char *attribute, struct ib_buf *out)
{
    const struct ir_runtime *rt = object;
    if (is(attribute, "parent"))
        return put(out, "Ice.ThreadPool.Server");
    return is(attribute, "id") && put(out, "Ice.ThreadPool.Server-") && put_int(out, rt->number);
}

/* Whoever looks is a dispatch. */
static void read_thread(const void *object, int64_t *values)
{
    values[1] = ((const struct ir_runtime *)object)->number == 0; /* inUseForUser */
}

const struct ir_metrics_kind ir_kind_thread = {
    .map = "Thread", .cls = &IceMX_ThreadMetrics_class, .levels = 7, .resolve = resolve_thread, .read = read_thread};
