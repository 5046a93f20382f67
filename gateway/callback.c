/* SPDX-License-Identifier: Apache-2.0 */
/* Server to client: requests on the server adapter whose category is a session's token go out on that session's
   connection, identity and body untouched (glacier2-router 7). */
#include "router.h"

static void trace_routing(const struct gw_router *r, struct ir_request *rq)
{
    char name[256], operation[128];
    if (r->config.server.trace_request < 1) {
        return;
    }
    const struct ir_request_info *info = ir_request_info(rq);
    ib_log_trace(ir_runtime_log(r->rt), "Glacier2", "reverse routing (%s)\nidentity = %s\noperation = %s",
                 r->config.server.buffered ? "buffered" : "not buffered",
                 ib_log_escape(info->id.name, name, sizeof(name)),
                 ib_log_escape(info->operation, operation, sizeof(operation)));
}

void gw_callback_request(void *router, struct ir_request *rq)
{
    struct gw_router *r = router;
    const struct ir_request_info *info = ir_request_info(rq);
    struct gw_session *s = gw_index_find(r->index, info->id.category);
    struct ib_span context;
    if (!s || !s->client) {
        ir_request_fail(rq, IR_OBJECT_NOT_EXIST, NULL);
        return;
    }
    if (info->params_err != 0) {
        ir_request_fail_local(rq, info->params_err, NULL);
        return;
    }
    if (gw_context_forward(&r->config.server, NULL, 0, rq, &context) != 0) {
        ir_request_fail_local(rq, IB_ENOMEM, NULL);
        return;
    }
    trace_routing(r, rq);
    const struct iw_proxy target = {.id = info->id, .protocol = {1, 0}, .encoding = IW_ENCODING_1_1};
    gw_forward_send(r, rq, &target, s->client->conn, &r->config.server, context);
}
