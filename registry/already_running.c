/* SPDX-License-Identifier: Apache-2.0 */
/* Two registries with the same client endpoints would share the clients between them where sockets can be shared, and
   the second one's error would be about a socket elsewhere: so the endpoints are asked first (icegrid-registry 1.2, 4).
 */
#include "registry.h"

#include <moulin/net/loop.h>
#include <moulin/rpc/properties.h>
#include <moulin/rpc/proxy.h>

#define PING_MS 5000

struct ping {
    struct ir_call *call; /* NULL: over */
    bool answered;
};

static void on_answer(void *arg, const struct ir_result *r)
{
    struct ping *p = arg;
    p->call = NULL;
    p->answered = r->outcome == IR_SUCCESS;
}

int reg_not_running_yet(struct reg *reg, struct ib_err *err)
{
    static const struct ir_call_options options = {
        .timeout_ms = PING_MS, .connect_timeout_ms = PING_MS, .no_locator = true};
    const struct ir_properties *props = ir_runtime_properties(reg->rt);
    const char *endpoints = ir_properties_get(props, "IceGrid.Registry.Client.Endpoints");
    struct ir_proxy_defaults defaults;
    struct ib_err unread; /* endpoints that only a server understands, or none: listening tells what is wrong */
    struct iw_proxy *prx = NULL;
    struct ping p = {0};
    struct ib_str text = ib_arena_printf(&reg->arena, "Locator:%s", endpoints);
    if (!text.p)
        return ib_err_set(err, IB_ENOMEM, "out of memory");
    if (ir_proxy_defaults(props, &reg->arena, &defaults, &unread) ||
        ir_proxy_parse(text, &defaults, &reg->arena, &prx, NULL, &unread) || !prx || prx->n_endpoints == 0)
        return 0;
    prx->id = reg_identity(reg, "Locator");
    p.call = ir_call(reg->rt, prx, &ir_op_ice_ping, &options, NULL, on_answer, &p);
    while (p.call)
        (void)ic_loop_run_once(reg->loop, PING_MS);
    return p.answered ? ib_err_set(err, IB_EIDINUSE,
                                   "an IceGrid registry is already running and listening on the client endpoints `%s'",
                                   endpoints)
                      : 0;
}
