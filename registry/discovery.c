/* SPDX-License-Identifier: Apache-2.0 */
/* IceLocatorDiscovery/Lookup: who asks a multicast group for a locator is told this replica's (icegrid-registry 11.4).
   Anybody on the network can ask, and name whoever shall be told: the answer goes as a datagram only, at most one a
   question. */
#include "slices.h"
#include "well_known.h"

#include <moulin/base/log.h>
#include <moulin/rpc/properties.h>
#include <moulin/rpc/proxy.h>
#include <slice/IceLocatorDiscovery/IceLocatorDiscovery_rpc.h>

#include <stdio.h>
#include <stdlib.h>

#define ADAPTER "IceGrid.Registry.Discovery"

struct discovery {
    struct reg *reg;
    struct ir_servant servant;
};

static const char *describe(const struct iw_proxy *prx, struct ib_arena *arena)
{
    struct ib_str text = prx ? ir_proxy_format(prx, IR_UNICODE, arena) : IB_STR("");
    return text.p ? text.p : "";
}

static void replied(void *arg, const struct ir_result *r)
{
    char text[300];
    if (r->outcome != IR_SUCCESS)
        reg_trace(arg, REG_TRACE_DISCOVERY, 1, "discovery lookup reply failed:\n%s",
                  ir_result_text(r, text, sizeof text));
}

static void reply(struct reg *reg, const struct iw_proxy *to, struct ib_arena *arena)
{
    static const struct ir_call_options options = {.datagram = true, .no_locator = true};
    const struct IceLocatorDiscovery_LookupReply_foundLocator_in in = {
        .prx = reg_shared_proxy(reg, "Locator", reg->client, arena)};
    struct iw_proxy *prx = iw_proxy_copy(to, arena);
    if (!prx || !in.prx)
        return;
    reg_trace(reg, REG_TRACE_DISCOVERY, 1, "replying to discovery lookup:\nreply = %s", describe(prx, arena));
    prx->mode = IW_DATAGRAM;
    if (!IceLocatorDiscovery_LookupReply_foundLocator_call(reg->rt, prx, &options, &in, replied, reg))
        reg_trace(reg, REG_TRACE_DISCOVERY, 1, "discovery lookup reply failed:\nout of memory");
}

static void find_locator(void *self, struct ir_request *rq, const struct IceLocatorDiscovery_Lookup_findLocator_in *in)
{
    const struct discovery *x = self;
    struct reg *reg = x->reg;
    char name[200];
    if (in->instanceName.n && !ib_str_eq(in->instanceName, reg->cfg.instance))
        reg_trace(reg, REG_TRACE_DISCOVERY, 2, "ignored discovery lookup for instance name `%s':\nreply = %s",
                  ib_log_escape(in->instanceName, name, sizeof name), describe(in->reply, ir_request_arena(rq)));
    else if (in->reply)
        reply(reg, in->reply, ir_request_arena(rq));
    IceLocatorDiscovery_Lookup_findLocator_reply(rq, NULL);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static const struct IceLocatorDiscovery_Lookup_servant vtable = {.findLocator = find_locator};

/* Endpoints of its own win over address, port and interface. */
static int make_adapter(struct reg *reg, struct ib_err *err)
{
    const struct ir_properties *props = ir_runtime_properties(reg->rt);
    struct ir_adapter_options options = {.adapter_id = ""};
    struct ib_str text;
    if (!*ir_properties_get(props, ADAPTER ".Endpoints")) {
        const char *address = ir_properties_get(props, ADAPTER ".Address");
        const char *interface = ir_properties_get(props, ADAPTER ".Interface");
        bool v4 = ir_properties_int_or(props, NULL, "Ice.IPv4", 1) > 0;
        bool v6 = !v4 || ir_properties_int_or(props, NULL, "Ice.PreferIPv6Address", 0) > 0;
        text = ib_arena_printf(&reg->arena, "udp -h \"%s\" -p %d%s%s%s",
                               *address ? address
                               : v6     ? "ff15::1"
                                        : "239.255.0.1",
                               reg->cfg.discovery_port, *interface ? " --interface \"" : "", interface,
                               *interface ? "\"" : "");
        if (!text.p)
            return ib_err_set(err, IB_ENOMEM, "out of memory");
        options.endpoints = text.p;
    }
    reg->discovery = ir_adapter_new_with(reg->rt, ADAPTER, &options, err);
    return reg->discovery ? 0 : err->code;
}

static void *discovery_start(struct reg *reg, struct ib_err *err)
{
    struct discovery *x = calloc(1, sizeof *x);
    struct iw_identity id = {IB_STR("Lookup"), IB_STR("IceLocatorDiscovery")};
    struct ib_err why = {0};
    if (!x) {
        ib_err_set(err, IB_ENOMEM, "out of memory");
        return NULL;
    }
    x->reg = reg;
    x->servant = (struct ir_servant){.iface = &IceLocatorDiscovery_Lookup_iface, .vtable = &vtable, .self = x};
    if (!reg->cfg.discovery)
        return x;
    int rc = make_adapter(reg, &why);
    if (!rc)
        rc = ir_adapter_add(reg->discovery, &id, "", &x->servant);
    /* The registry is whole without it (icegrid-registry 1.2, 7). */
    if (rc && !reg->cfg.no_warn)
        ib_log_warning(reg->log, "failed to register with the multicast group: this registry cannot be discovered\n%s",
                       why.text);
    return x;
}

static void discovery_stop(void *state)
{
    struct discovery *x = state;
    ir_adapter_free(x->reg->discovery);
    x->reg->discovery = NULL;
    free(x);
}

const struct reg_part reg_discovery_part = {"discovery", discovery_start, discovery_stop};
