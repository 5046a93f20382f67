/* SPDX-License-Identifier: Apache-2.0 */
/* The udp endpoints of an adapter (ice-protocol 14.2): each datagram is a oneway request, or several, with no
   connection behind it. One that is malformed is lost; so is what comes while too many are in dispatch. */
#include "rpc_priv.h"

#include <moulin/net/udp.h>
#include <stdlib.h>

#define MAX_DISPATCHES 1000

struct ir_datagram_server {
    struct ir_datagram_server *next; /* of the same adapter */
    struct ir_adapter *adapter;
    struct ic_udp_server *udp; /* owns */
};

static void trace(const struct ir_datagram_server *s, const char *what)
{
    const struct iw_endpoint *ep = ic_udp_server_endpoint(s->udp);
    const struct ir_runtime *rt = s->adapter->rt;
    if (rt->cfg.trace_network >= 2)
        ib_log_trace(rt->log, "Network", "%s\nlocal address = %s:%d", what, ib_cstr(ep->host), ep->port);
}

static void on_datagram(void *arg, const struct ic_frame *f)
{
    const struct ir_datagram_server *s = arg;
    struct iw_in in = iw_in(f->body);
    int32_t count = f->type == IC_BATCH ? iw_in_i32(&in) : 1;
    struct ir_adapter *a = s->adapter;
    if (in.err || a->state != IR_AD_ACTIVE)
        return;
    if (a->rt->cfg.trace_protocol)
        ir_trace_message(a->rt, false, f->type, f->compression, f->body, (struct ib_span){NULL, 0});
    for (; count > 0 && a->n_datagrams < MAX_DISPATCHES; count--) {
        if (ir_dispatch_datagram(a, &in, f->type, f->compression, f->block))
            return;
    }
}

int ir_datagram_listen(struct ir_adapter *a, const struct iw_endpoint *ep, struct ib_err *err)
{
    struct ir_datagram_server *s = calloc(1, sizeof(*s));
    if (!s)
        return ib_err_set(err, IB_ENOMEM, "%s", ib_err_text(IB_ENOMEM));
    s->adapter = a;
    s->udp = ic_udp_listen(a->rt->loop, ep, on_datagram, s, err);
    if (!s->udp) {
        free(s);
        return err && err->code ? ib_err_wrap(err, "object adapter `%s'", a->name) : IB_ESOCKET;
    }
    struct ir_datagram_server **last = &a->datagram_servers;
    while (*last)
        last = &(*last)->next;
    *last = s;
    trace(s, "attempting to bind to udp socket");
    return 0;
}

void ir_datagram_start(struct ir_adapter *a)
{
    for (struct ir_datagram_server *s = a->datagram_servers; s; s = s->next) {
        trace(s, "starting to receive udp messages");
        ic_udp_server_start(s->udp);
    }
}

void ir_datagram_stop(struct ir_adapter *a)
{
    while (a->datagram_servers) {
        struct ir_datagram_server *s = a->datagram_servers;
        a->datagram_servers = s->next;
        ic_udp_server_free(s->udp);
        free(s);
    }
}

const struct iw_endpoint *ir_datagram_endpoint(const struct ir_adapter *a, size_t i)
{
    const struct ir_datagram_server *s = a->datagram_servers;
    for (; s && i > 0; i--)
        s = s->next;
    return s ? ic_udp_server_endpoint(s->udp) : NULL;
}
