/* SPDX-License-Identifier: Apache-2.0 */
/* The trace lines (but Protocol) and warnings of this floor, in the forms of ice-protocol 21.2. Everything a peer chose
 * is escaped. */
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

void ir_trace_connect(struct ir_runtime *rt, const struct iw_endpoint *ep)
{
    char host[200];
    if (rt->cfg.trace_network >= 2)
        ib_log_trace(rt->log, "Network", "trying to establish %s connection to %s:%d", ir_transport_name(ep->type),
                     ib_log_escape(ep->host, host, sizeof(host)), ep->port);
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
    ib_log_trace(c->rt->log, "Network", "%s %s connection\n%s", what, transport, text);
}

void ir_trace_closed(struct ir_conn *c, const struct ib_err *why)
{
    struct ir_runtime *rt = c->rt;
    bool peaceful = !c->active || why->code == IB_OK || why->code == IB_ECLOSED || why->code == IB_ECLOSEDLOCAL ||
                    why->code == IB_EDESTROYED || (why->code == IB_ELOST && !c->received); /* a port probe (21.2) */
    if (rt->cfg.trace_network < 1 && (peaceful || !rt->cfg.warn_connections))
        return;
    char text[200], reason[400];
    const char *transport;
    addresses(c, text, sizeof(text), &transport);
    ib_log_escape(ib_str(peaceful ? "" : why->text), reason, sizeof(reason));
    if (rt->cfg.trace_network >= 1)
        ib_log_trace(rt->log, "Network", "closed %s connection\n%s%s%s", transport, text, reason[0] ? "\n" : "",
                     reason);
    if (!peaceful && rt->cfg.warn_connections)
        ib_log_warning(rt->log, "connection exception:\n::Ice::%s:\n%s\n%s", ib_err_ice_name(why->code), reason, text);
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
