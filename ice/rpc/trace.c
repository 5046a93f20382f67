/* SPDX-License-Identifier: Apache-2.0 */
/* The trace lines (but Protocol) and warnings of this floor, in the forms of ice-protocol 21.2. Everything a peer chose
 * is escaped. */
#include "rpc_priv.h"

#include <moulin/base/clock.h>

#include <stdio.h>

#define REFUSED_MS 1000

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

void ir_trace_listen(struct ir_runtime *rt, const struct iw_endpoint *ep)
{
    if (rt->cfg.trace_network >= 1)
        ib_log_trace(rt->log, "Network", "listening for %s connections\nlocal address = %s:%d",
                     ir_transport_name(ep->type), ib_cstr(ep->host), ep->port);
}

void ir_trace_accepting(struct ir_runtime *rt, const char *what, const struct iw_endpoint *ep)
{
    if (rt->cfg.trace_network >= 1)
        ib_log_trace(rt->log, "Network", "%s %s connections at %s:%d", what, ir_transport_name(ep->type),
                     ib_cstr(ep->host), ep->port);
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

/* Lines behind a first one; none for a connection that never was one. */
static void addresses(struct ir_conn *c, char *out, size_t cap, const char **transport)
{
    struct ic_conn_info i;
    ic_conn_get_info(c->net, &i);
    *transport = i.transport;
    *out = '\0';
    if (*i.local_host)
        snprintf(out, cap, "\nlocal address = %s:%d\nremote address = %s:%d", i.local_host, i.local_port, i.remote_host,
                 i.remote_port);
}

void ir_trace_conn(struct ir_conn *c, const char *what)
{
    if (c->rt->cfg.trace_network < 1)
        return;
    char text[200];
    const char *transport;
    addresses(c, text, sizeof(text), &transport);
    ib_log_trace(c->rt->log, "Network", "%s %s connection%s", what, transport, text);
}

/* What an operator must hear of without asking: a wrong or missing PROXY header, a revocation list of no use. A peer
   decides how often it happens, so there is at most one line a second. */
static void say_refused(struct ir_conn *c, const struct ib_err *why)
{
    struct ir_runtime *rt = c->rt;
    if (!c->incoming || (why->code != IB_EBALANCER && why->code != IB_EREVOCATION))
        return;
    int64_t now = ib_clock_ms();
    if (rt->refused_at && now - rt->refused_at < REFUSED_MS) {
        rt->refused_unsaid++;
        return;
    }
    char text[200], more[60] = "";
    const char *transport;
    addresses(c, text, sizeof(text), &transport);
    if (rt->refused_unsaid)
        snprintf(more, sizeof(more), "\n(and %u more since the last such line)", rt->refused_unsaid);
    ib_log_warning(rt->log, "%s connection refused: %s%s%s", transport, why->text, text, more);
    rt->refused_at = now;
    rt->refused_unsaid = 0;
}

void ir_trace_closed(struct ir_conn *c, const struct ib_err *why)
{
    struct ir_runtime *rt = c->rt;
    say_refused(c, why);
    bool peaceful = !c->active || why->code == IB_OK || why->code == IB_ECLOSED || why->code == IB_ECLOSEDLOCAL ||
                    why->code == IB_EDESTROYED || (why->code == IB_ELOST && !c->received); /* a port probe (21.2) */
    int level = c->active ? 1 : 2; /* one that never was open is of less interest */
    if (rt->cfg.trace_network < level && (peaceful || !rt->cfg.warn_connections))
        return;
    char text[200], reason[400];
    const char *transport;
    addresses(c, text, sizeof(text), &transport);
    ib_log_escape(ib_str(peaceful && c->active ? "" : why->text), reason, sizeof(reason));
    if (rt->cfg.trace_network >= level)
        ib_log_trace(rt->log, "Network", "%s %s connection%s%s%s",
                     c->active     ? "closed"
                     : c->incoming ? "failed to accept"
                                   : "failed to establish",
                     transport, text, reason[0] ? "\n" : "", reason);
    if (!peaceful && rt->cfg.warn_connections)
        ib_log_warning(rt->log, "connection exception:\n::Ice::%s:\n%s%s", ib_err_ice_name(why->code), reason, text);
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

static const char *const status_names[] = {"",
                                           "",
                                           "ObjectNotExistException",
                                           "FacetNotExistException",
                                           "OperationNotExistException",
                                           "UnknownLocalException",
                                           "UnknownUserException",
                                           "UnknownException"};
static const char *const status_texts[] = {"",
                                           "",
                                           "object does not exist:",
                                           "facet does not exist:",
                                           "operation does not exist:",
                                           "unknown local exception:",
                                           "unknown user exception:",
                                           "unknown exception:"};

/* Line by line, since the logger keeps lines that follow apart from entries. */
static void escape_lines(struct ib_str text, char *out, size_t cap)
{
    size_t n = 0;
    out[0] = 0;
    for (size_t at = 0; at <= text.n && n + 8 < cap;) {
        const char *end = text.n > at ? memchr(text.p + at, '\n', text.n - at) : NULL;
        size_t len = end ? (size_t)(end - text.p) - at : text.n - at;
        ib_log_escape((struct ib_str){text.n ? text.p + at : "", len}, out + n, cap - n - 1);
        n += strlen(out + n);
        at += len + 1;
        if (at <= text.n)
            out[n++] = '\n';
        out[n] = 0;
    }
}

static void warn(struct ir_request *rq, const char *exception)
{
    const struct ir_request_info *i = &rq->info;
    char name[160], category[160], facet[80], op[80], remote[120] = "";
    ib_log_escape(i->id.name, name, sizeof(name));
    ib_log_escape(i->id.category, category, sizeof(category));
    if (rq->conn) {
        struct ic_conn_info ci;
        ic_conn_get_info(rq->conn->net, &ci);
        snprintf(remote, sizeof(remote), "\nremote host: %s remote port: %d", ci.remote_host, ci.remote_port);
    }
    ib_log_warning(rq->rt->log, "dispatch exception: %s\nidentity: %s%s%s\nfacet: %s\noperation: %s%s", exception,
                   category, category[0] ? "/" : "", name, ib_log_escape(i->facet, facet, sizeof(facet)),
                   ib_log_escape(i->operation, op, sizeof(op)), remote);
}

void ir_warn_dispatch(struct ir_request *rq, enum ir_status status, struct ib_str text, bool relayed)
{
    const struct ib_str type = IB_STR("::Ice::");
    char exception[800];
    bool typed = status == IR_UNKNOWN_LOCAL && !relayed && text.n > type.n && memcmp(text.p, type.p, type.n) == 0;
    size_t n = 0;
    if (!rq->rt || rq->rt->cfg.warn_dispatch < 1)
        return;
    if (!typed)
        n = (size_t)snprintf(exception, sizeof(exception), "::Ice::%s:\n%s%s", status_names[status & 7],
                             relayed ? status_texts[status & 7] : "", relayed ? "\n" : "");
    escape_lines(text, exception + n, sizeof(exception) - n);
    warn(rq, exception);
}

void ir_warn_not_exist(struct ir_request *rq, enum ir_status status, const struct iw_identity *id, struct ib_str facet,
                       struct ib_str operation)
{
    char exception[640], name[160], category[160], f[80], op[80];
    if (!rq->rt || rq->rt->cfg.warn_dispatch < 2)
        return;
    ib_log_escape(id->category, category, sizeof(category));
    snprintf(exception, sizeof(exception), "::Ice::%s:\n%s\nidentity: `%s%s%s'\nfacet: %s\noperation: %s",
             status_names[status & 7], status_texts[status & 7], category, category[0] ? "/" : "",
             ib_log_escape(id->name, name, sizeof(name)), ib_log_escape(facet, f, sizeof(f)),
             ib_log_escape(operation, op, sizeof(op)));
    warn(rq, exception);
}
