/* SPDX-License-Identifier: Apache-2.0 */
/* When a failed call is tried again, and after which delay (ice-protocol 17.3: at most once unless it is safe). */
#include "rpc_priv.h"

static bool never_again(int code)
{
    switch (code) {
    case IB_EMARSHAL:
    case IB_EBOUNDS:
    case IB_EENCAPS:
    case IB_EPROXY:
    case IB_ENOFACTORY:
    case IB_EMEMLIMIT:
    case IB_EENCODING:
    case IB_ENOMEM:
    case IB_EINVAL:
    case IB_ECLOSEDLOCAL:
    case IB_EDEACTIVATED:
    case IB_EDESTROYED:
    case IB_EINVTIMEOUT:
    case IB_ECANCELED:
    case IB_EFIXEDPROXY:
        return true;
    default:
        return false;
    }
}

static bool idempotent(const struct ir_call *c)
{
    return c->mode != IW_NORMAL;
}

/* One more attempt: its delay, or -1 when Ice.RetryIntervals is used up. A graceful close gives one attempt more. */
static int32_t next_delay(struct ir_call *c, int code)
{
    const struct ir_config *cfg = &c->rt->cfg;
    unsigned n = c->retries++;
    if (n < cfg->n_retry)
        return cfg->retry[n];
    return n == cfg->n_retry && code == IB_ECLOSED ? 0 : -1;
}

int32_t ir_retry_local(struct ir_call *c, const struct ib_err *why, bool sent)
{
    if (c->fixed || never_again(why->code) || c->rt->state != IR_RT_ACTIVE)
        return -1;
    if (sent && !idempotent(c) && why->code != IB_ECLOSED)
        return -1;
    int32_t delay = next_delay(c, why->code);
    ir_trace_retry(c, why, delay);
    return delay;
}

int32_t ir_retry_status(struct ir_call *c, const struct ir_result *r)
{
    if (c->fixed || c->rt->state != IR_RT_ACTIVE)
        return -1;
    uint8_t status = r->raw_status;
    if (status == IR_OK || status == IR_USER_EXCEPTION || status == IR_FACET_NOT_EXIST ||
        status == IR_OPERATION_NOT_EXIST)
        return -1;
    if (status == IR_OBJECT_NOT_EXIST) {
        if (c->rt->router && ir_router_applies(c->rt->router, c)) {
            if (!ib_str_is(r->operation, "ice_add_proxy"))
                return -1;
            ir_router_forget(c->rt->router, &c->proxy->id);
            return 0; /* unlimited (18.4) */
        }
        if (c->proxy->n_endpoints)
            return -1;
        if (!c->proxy->adapter_id.n && c->rt->locator)
            ir_locator_forget(c->rt->locator, c->proxy);
    } else if (!idempotent(c)) {
        return -1;
    }
    int32_t delay = next_delay(c, r->err.code);
    ir_trace_retry(c, &r->err, delay);
    return delay;
}
