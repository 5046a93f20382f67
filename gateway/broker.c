/* SPDX-License-Identifier: Apache-2.0 */
/* Session managers: having a Session object made and, once per session, destroyed (glacier2-router 12.1). */
#include "router.h"

#include <slice/Glacier2/Session.h>
#include <slice/Glacier2/Session_rpc.h>
#include <slice/Glacier2/SSLInfo.h>

int gw_broker_create(struct gw_session *s, const struct iw_proxy *manager, const struct ir_context_entry *context,
                     size_t n_context, ir_reply_fn on_reply)
{
    const struct ir_call_options opt = {.context = context, .n_context = n_context};
    struct iw_proxy *control = s->router->server ? gw_control_proxy(s, &s->arena) : NULL;
    struct ir_call *call;
    if (s->router->server && !control) {
        return IB_ENOMEM;
    }
    if (s->ssl) {
        const struct Glacier2_SSLSessionManager_create_in in = {.info = *s->info, .control = control};
        call = Glacier2_SSLSessionManager_create_call(s->router->rt, manager, &opt, &in, on_reply, s);
    } else {
        const struct Glacier2_SessionManager_create_in in = {.userId = s->user, .control = control};
        call = Glacier2_SessionManager_create_call(s->router->rt, manager, &opt, &in, on_reply, s);
    }
    return call ? 0 : IB_ENOMEM;
}

static void on_destroyed(void *arg, const struct ir_result *r)
{
    struct gw_router *router = arg;
    char text[512];
    if (r->outcome != IR_SUCCESS && router->config.trace_session >= 1) {
        ib_log_trace(ir_runtime_log(router->rt), "Glacier2", "exception while destroying session\n%s",
                     ir_result_text(r, text, sizeof(text)));
    }
    gw_router_call_done(router);
}

/* Outlives the session: only the router waits for the answer. */
void gw_broker_destroy(struct gw_session *s)
{
    struct gw_router *r = s->router;
    struct ir_call_options opt = {0};
    if (!s->proxy) {
        return;
    }
    if (r->config.add_connection_context == 1) {
        opt.context = s->con_context;
        opt.n_context = s->n_con_context;
    }
    if (Glacier2_Session_destroy_call(r->rt, s->proxy, &opt, NULL, on_destroyed, r)) {
        r->pending++;
    }
    s->proxy = NULL;
}
