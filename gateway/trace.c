/* SPDX-License-Identifier: Apache-2.0 */
/* Glacier2.Client.Trace.Request and Glacier2.Server.Trace.Request. Everything in them is a peer's: it is escaped, and
   cut where it would fill the log. */
#include "router.h"

#include <stdio.h>

#define CONTEXT_MAX 1024

/* "key/value, key/value" */
static const char *format_context(const struct ir_request_info *info, char *out, size_t cap)
{
    char key[128], value[256];
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < info->n_context; i++) {
        int more =
            snprintf(out + n, cap - n, "%s%s/%s", i ? ", " : "", ib_log_escape(info->context[i].key, key, sizeof(key)),
                     ib_log_escape(info->context[i].value, value, sizeof(value)));
        if (more < 0 || (size_t)more >= cap - n) {
            (void)snprintf(out + n, cap - n, "...");
            break;
        }
        n += (size_t)more;
    }
    return out;
}

static void trace(const struct gw_router *r, struct ir_request *rq, const char *what, const char *how,
                  const char *subject)
{
    const struct ir_request_info *info = ir_request_info(rq);
    char operation[128], context[CONTEXT_MAX];
    ib_log_trace(ir_runtime_log(r->rt), "Glacier2", "%s %s\n%s\noperation = %s\ncontext = %s", what, how, subject,
                 ib_log_escape(info->operation, operation, sizeof(operation)),
                 format_context(info, context, sizeof(context)));
}

static const char *how(const struct gw_direction *d, bool overrides)
{
    return overrides ? "override" : d->buffered ? "(buffered)" : "(not buffered)";
}

void gw_trace_routing(struct gw_router *r, struct ir_request *rq, const struct iw_proxy *target, bool overrides)
{
    char subject[600] = "proxy = ";
    const size_t n = strlen(subject);
    const struct ir_request_info *info = ir_request_info(rq);
    struct iw_proxy prx = *target;
    prx.has_facet = info->has_facet;
    prx.facet = info->facet;
    const struct gw_forward_mode m = gw_forward_mode(NULL, &r->config.client, rq);
    prx.mode = m.datagram ? IW_DATAGRAM : m.oneway ? IW_ONEWAY : IW_TWOWAY;
    prx.secure = m.secure;
    ib_log_escape(ir_proxy_format(&prx, IR_UNICODE, ir_request_arena(rq)), subject + n, sizeof(subject) - n);
    trace(r, rq, "routing", how(&r->config.client, overrides), subject);
}

/* The category is a bearer secret: four characters tell sessions apart. */
void gw_trace_reverse(struct gw_router *r, struct ir_request *rq, bool overrides)
{
    const struct ir_request_info *info = ir_request_info(rq);
    const struct ib_str category = {info->id.category.p, info->id.category.n < 4 ? info->id.category.n : 4};
    char subject[400], name[256], start[16];
    (void)snprintf(subject, sizeof(subject), "identity = %s.../%s", ib_log_escape(category, start, sizeof(start)),
                   ib_log_escape(info->id.name, name, sizeof(name)));
    trace(r, rq, "reverse routing", how(&r->config.server, overrides), subject);
}
