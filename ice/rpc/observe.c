/* SPDX-License-Identifier: Apache-2.0 */
/* Where connections, requests and calls tell the metrics what happens to them. Callers on hot paths have tested before
   that somebody wants to know. */
#include "metrics.h"
#include "rpc_priv.h"

#include <stdio.h>
#include <stdlib.h>

/* The type id of a local failure. */
static void fail_local(struct ir_metrics_link *links, int code)
{
    char what[80];
    if (!links)
        return;
    snprintf(what, sizeof(what), "::Ice::%s", ib_err_ice_name(code));
    ir_metrics_fail(links, what);
}

static const char *status_name(uint8_t status)
{
    static const char *const names[] = {"::Ice::ObjectNotExistException",    "::Ice::FacetNotExistException",
                                        "::Ice::OperationNotExistException", "::Ice::UnknownLocalException",
                                        "::Ice::UnknownUserException",       "::Ice::UnknownException"};
    return status >= IR_OBJECT_NOT_EXIST && status <= IR_UNKNOWN ? names[status - IR_OBJECT_NOT_EXIST]
                                                                 : "::Ice::UnknownReplyStatusException";
}

/* --- connections -------------------------------------------------------------------------------------------------- */

/* An outgoing connection being made. */
struct ir_attempt {
    struct ir_metrics_link *establishment, *lookup;
};

static void attempt_end(struct ir_conn *c)
{
    if (!c->attempt)
        return;
    ir_metrics_stop(&c->attempt->establishment);
    ir_metrics_stop(&c->attempt->lookup);
    free(c->attempt);
    c->attempt = NULL;
}

void ir_observe_attempt(struct ir_conn *c, const struct iw_endpoint *ep)
{
    struct ir_metrics *m = c->rt->metrics;
    c->attempt = calloc(1, sizeof(*c->attempt)); /* without memory it is not counted */
    if (!c->attempt)
        return;
    ir_metrics_start(&m->establishment, &c->attempt->establishment, ep);
    if (ir_metrics_is_name(ep))
        ir_metrics_start(&m->lookup, &c->attempt->lookup, ep);
}

void ir_observe_resolved(struct ir_conn *c, const struct ib_err *err)
{
    if (!c->attempt)
        return;
    if (err)
        fail_local(c->attempt->lookup, err->code);
    ir_metrics_stop(&c->attempt->lookup);
}

void ir_observe_active(struct ir_conn *c)
{
    attempt_end(c);
    ir_observe(&c->rt->metrics->connection, &c->observed, c);
}

/* The ends a connection is meant to have are no failures. */
static bool is_failure(int code)
{
    return code != IB_ECLOSED && code != IB_ECLOSEDLOCAL && code != IB_EACMTIMEOUT && code != IB_EDESTROYED &&
           code != IB_EDEACTIVATED;
}

void ir_observe_closed(struct ir_conn *c, const struct ib_err *why)
{
    if (c->attempt)
        fail_local(c->attempt->establishment, why->code);
    attempt_end(c);
    if (is_failure(why->code))
        fail_local(c->observed.links, why->code);
    ir_observe_end(&c->observed);
}

/* --- requests ----------------------------------------------------------------------------------------------------- */

void ir_observe_request(struct ir_request *rq, size_t size)
{
    ir_metrics_start(&rq->rt->metrics->dispatch, &rq->observed, rq);
    ir_metrics_count(rq->observed, IR_MX_DISPATCH_SIZE, (int64_t)size);
}

void ir_observe_status(struct ir_request *rq, uint8_t status, int code)
{
    if (status == IR_USER_EXCEPTION)
        ir_metrics_count(rq->observed, IR_MX_DISPATCH_USER_EXCEPTION, 1);
    else if (status != IR_OK && code)
        fail_local(rq->observed, code);
    else if (status != IR_OK)
        ir_metrics_fail(rq->observed, status_name(status));
}

/* --- calls -------------------------------------------------------------------------------------------------------- */

void ir_observe_call(struct ir_call *c, struct ib_str operation, const struct ir_call_options *opt)
{
    const struct ir_metrics_invocation i = {.proxy = c->proxy,
                                            .operation = operation,
                                            .oneway = c->oneway,
                                            .n_context = opt ? opt->n_context : 0,
                                            .context = opt ? opt->context : NULL};
    ir_metrics_start(&c->rt->metrics->invocation, &c->observed, &i);
}

void ir_observe_sent(struct ir_call *c, size_t size)
{
    const struct ir_metrics_remote r = {.conn = c->conn, .request_id = c->request_id};
    ir_metrics_start_sub(c->observed, IR_MX_REMOTE, &c->observed_sent, &r);
    ir_metrics_count(c->observed_sent, IR_MX_CHILD_SIZE, (int64_t)size);
}

void ir_observe_reply(struct ir_call *c, size_t size)
{
    ir_metrics_count(c->observed_sent, IR_MX_CHILD_REPLY, (int64_t)size);
}

void ir_observe_lost(struct ir_call *c, int code)
{
    fail_local(c->observed_sent, code);
}

void ir_observe_retry(struct ir_call *c)
{
    ir_metrics_count(c->observed, IR_MX_INVOCATION_RETRY, 1);
}

void ir_observe_result(struct ir_call *c, const struct ir_result *r)
{
    if (r->outcome == IR_THROWN)
        ir_metrics_count(c->observed, IR_MX_INVOCATION_USER_EXCEPTION, 1);
    else if (r->outcome == IR_FAILED_STATUS)
        ir_metrics_fail(c->observed, status_name(r->raw_status));
    else if (r->outcome == IR_FAILED_LOCAL)
        fail_local(c->observed, r->err.code);
}
