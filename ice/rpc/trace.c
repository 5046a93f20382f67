/* SPDX-License-Identifier: Apache-2.0 */
/* The trace lines and warnings of this floor, in the forms of ice-protocol 21.2. Everything a peer chose is escaped. */
#include "rpc_priv.h"

#include <stdio.h>

const char *ir_transport_name(int16_t type)
{
    switch (type) {
    case IW_EP_TCP:
        return "tcp";
    case IW_EP_SSL:
        return "ssl";
    case IW_EP_UDP:
        return "udp";
    case IW_EP_WS:
        return "ws";
    case IW_EP_WSS:
        return "wss";
    default:
        return "unknown";
    }
}

void ir_trace_listen(struct ir_runtime *rt, const struct iw_endpoint *ep, bool accepting)
{
    if (rt->cfg.trace_network < 2)
        return;
    const char *name = ir_transport_name(ep->type);
    if (accepting)
        ib_log_trace(rt->log, "Network", "accepting %s connections at %s:%d", name, ib_cstr(ep->host), ep->port);
    else
        ib_log_trace(rt->log, "Network", "listening for %s connections\nlocal address = %s:%d", name, ib_cstr(ep->host),
                     ep->port);
}

void ir_trace_published(struct ir_adapter *a)
{
    if (a->rt->cfg.trace_network < 1 || !a->n_published)
        return;
    struct ib_buf b;
    ib_buf_init(&b);
    for (size_t i = 0; i < a->n_published; i++) {
        if (i)
            ib_buf_puts(&b, ":");
        ir_endpoint_format(&a->published[i], &b);
    }
    ib_log_trace(a->rt->log, "Network", "published endpoints for object adapter `%s':\n%s", a->name, ib_buf_cstr(&b));
    ib_buf_fini(&b);
}

static void addresses(struct ir_conn *c, char *out, size_t cap, const char **transport)
{
    struct ic_conn_info i;
    ic_conn_get_info(c->net, &i);
    *transport = i.transport;
    snprintf(out, cap, "local address = %s:%d\nremote address = %s:%d", i.local_host, i.local_port, i.remote_host,
             i.remote_port);
}

void ir_trace_conn(struct ir_conn *c, const char *what)
{
    if (c->rt->cfg.trace_network < 1)
        return;
    char text[200];
    const char *transport;
    addresses(c, text, sizeof(text), &transport);
    if (c->incoming)
        ib_log_trace(c->rt->log, "Network", "%s %s connection\n%s", what, transport, text);
    else
        ib_log_trace(c->rt->log, "Network", "%s connection %s\n%s", transport, what, text);
}

void ir_trace_closed(struct ir_conn *c, const struct ib_err *why)
{
    struct ir_runtime *rt = c->rt;
    bool peaceful = !c->active || why->code == IB_OK || why->code == IB_ECLOSED || why->code == IB_ECLOSEDLOCAL ||
                    why->code == IB_EDESTROYED;
    if (rt->cfg.trace_network < 1 && (peaceful || !rt->cfg.warn_connections))
        return;
    char text[200], reason[400];
    const char *transport;
    addresses(c, text, sizeof(text), &transport);
    ib_log_escape(ib_str(why->text), reason, sizeof(reason));
    if (rt->cfg.trace_network >= 1)
        ib_log_trace(rt->log, "Network", "closed %s connection\n%s%s%s", transport, text, reason[0] ? "\n" : "",
                     reason);
    if (!peaceful && rt->cfg.warn_connections)
        ib_log_warning(rt->log, "connection exception: ::Ice::%s:\n%s\n%s", ib_err_ice_name(why->code), reason, text);
}

static const char *mode_name(uint8_t mode)
{
    static const char *const names[] = {"normal", "nonmutating", "idempotent"};
    return mode < 3 ? names[mode] : "unknown";
}

static void trace_header(struct ir_runtime *rt, const struct ir_request_info *i, const char *what)
{
    char name[160], category[160], facet[80], op[80], id[40];
    if (i->type == IC_BATCH)
        snprintf(id, sizeof(id), "batch");
    else
        snprintf(id, sizeof(id), "%d%s", i->request_id, i->request_id ? "" : " (oneway)");
    ib_log_escape(i->id.name, name, sizeof(name));
    ib_log_escape(i->id.category, category, sizeof(category));
    ib_log_trace(rt->log, "Protocol",
                 "%s request\nmessage type = %d (%s)\ncompression status = %d\nrequest id = %s\nidentity = %s%s%s\n"
                 "facet = %s\noperation = %s\nmode = %d (%s)\nencoding = %d.%d",
                 what, i->type, i->type == IC_BATCH ? "batch request" : "request", i->compression, id, category,
                 category[0] ? "/" : "", name, ib_log_escape(i->facet, facet, sizeof(facet)),
                 ib_log_escape(i->operation, op, sizeof(op)), i->mode, mode_name(i->mode), i->encoding.major,
                 i->encoding.minor);
}

void ir_trace_request(struct ir_runtime *rt, const struct ir_request_info *info)
{
    if (rt->cfg.trace_protocol)
        trace_header(rt, info, "received");
}

void ir_trace_call(struct ir_call *c)
{
    if (!c->rt->cfg.trace_protocol)
        return;
    struct ib_arena arena;
    ib_arena_init(&arena, c->rt->cfg.arena_limit);
    struct ir_request_info info;
    struct iw_in in = iw_in(ib_buf_span(&c->head));
    if (!ir_request_parse(&in, IC_REQUEST, &arena, &info)) {
        info.encoding = c->proxy->encoding;
        trace_header(c->rt, &info, "sending");
    }
    ib_arena_fini(&arena);
}

void ir_trace_reply(struct ir_runtime *rt, int32_t id, uint8_t status, uint8_t compression, size_t size, bool sending)
{
    static const char *const names[] = {"success",
                                        "user exception",
                                        "object not exist",
                                        "facet not exist",
                                        "operation not exist",
                                        "unknown local exception",
                                        "unknown user exception",
                                        "unknown exception"};
    if (!rt->cfg.trace_protocol)
        return;
    ib_log_trace(rt->log, "Protocol",
                 "%s reply\nmessage type = 2 (reply)\ncompression status = %d\nmessage size = %zu\nrequest id = %d\n"
                 "reply status = %d (%s)",
                 sending ? "sending" : "received", compression, size + IC_HEADER_SIZE, id, status,
                 status < 8 ? names[status] : "unknown");
}

void ir_trace_retry(const struct ir_call *c, const struct ib_err *why, int32_t delay)
{
    struct ir_runtime *rt = c->rt;
    if (rt->cfg.trace_retry < 1)
        return;
    char text[400], in[40] = "";
    ib_log_escape(ib_str(why->text), text, sizeof(text));
    if (delay < 0) {
        ib_log_trace(rt->log, "Retry",
                     "cannot retry operation call because retry limit has been exceeded\n::Ice::%s:\n%s",
                     ib_err_ice_name(why->code), text);
        return;
    }
    if (delay > 0)
        snprintf(in, sizeof(in), " in %dms", delay);
    ib_log_trace(rt->log, "Retry", "retrying operation call%s because of exception\n::Ice::%s:\n%s", in,
                 ib_err_ice_name(why->code), text);
}

void ir_warn_dispatch(struct ir_request *rq, enum ir_status status, const char *text)
{
    static const char *const names[] = {"",
                                        "",
                                        "ObjectNotExistException",
                                        "FacetNotExistException",
                                        "OperationNotExistException",
                                        "UnknownLocalException",
                                        "UnknownUserException",
                                        "UnknownException"};
    const struct ir_request_info *i = &rq->info;
    char name[160], category[160], facet[80], op[80], safe[400], remote[120] = "";
    ib_log_escape(i->id.name, name, sizeof(name));
    ib_log_escape(i->id.category, category, sizeof(category));
    if (rq->conn) {
        struct ic_conn_info ci;
        ic_conn_get_info(rq->conn->net, &ci);
        snprintf(remote, sizeof(remote), "\nremote host: %s remote port: %d", ci.remote_host, ci.remote_port);
    }
    ib_log_warning(rq->rt->log, "dispatch exception: ::Ice::%s:\n%s\nidentity: %s%s%s\nfacet: %s\noperation: %s%s",
                   names[status & 7], ib_log_escape(ib_str(text), safe, sizeof(safe)), category, category[0] ? "/" : "",
                   name, ib_log_escape(i->facet, facet, sizeof(facet)), ib_log_escape(i->operation, op, sizeof(op)),
                   remote);
}
