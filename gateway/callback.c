/* SPDX-License-Identifier: Apache-2.0 */
/* Server to client: requests on the server adapter whose category is a session's token go out on that session's
   connection, identity and body untouched (glacier2-router 7). */
#include "router.h"

void gw_callback_route(struct gw_router *r, struct ir_request *rq, const struct gw_direction *d)
{
    const struct ir_request_info *info = ir_request_info(rq);
    struct gw_session *s = gw_index_find(r->index, info->id.category);
    unsigned owner = info->id.category.n == GW_TOKEN_LEN ? gw_crew_owner(r->crew, info->id.category) : r->worker;
    struct ib_span context;
    if (!s && owner == r->worker) {
        r->stats.callbacks_dropped++;
        ir_request_fail(rq, IR_OBJECT_NOT_EXIST, NULL);
        return;
    }
    if (info->params_err != 0) {
        ir_request_fail_local(rq, info->params_err, NULL);
        return;
    }
    if (!s) {
        gw_crossing_start(r, rq, owner, !d->forward_context);
        return;
    }
    if (gw_context_forward(d, NULL, 0, rq, &context) != 0) {
        ir_request_fail_local(rq, IB_ENOMEM, NULL);
        return;
    }
    if (r->config.server.trace_request >= 1) {
        gw_trace_reverse(r, rq, false);
    }
    s->traffic.callbacks++;
    gw_forward_send(s, rq, NULL, GW_TO_CLIENT, context);
}

/* Without a category it may be for the control of another worker's session. */
void gw_callback_request(void *router, struct ir_request *rq)
{
    struct gw_router *r = router;
    const struct ir_request_info *info = ir_request_info(rq);
    bool control = info->id.category.n == 0 && info->id.name.n == IB_UUID_LEN && info->params_err == 0;
    unsigned owner = control ? gw_crew_owner(r->crew, info->id.name) : r->worker;
    if (owner != r->worker) {
        gw_crossing_start(r, rq, owner, false);
    } else if (r->arrives_bare) {
        struct gw_direction d = r->config.server;
        d.forward_context = false;
        gw_callback_route(r, rq, &d);
    } else {
        gw_callback_route(r, rq, &r->config.server);
    }
}
