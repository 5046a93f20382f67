/* SPDX-License-Identifier: Apache-2.0 */
/* Oneways that came together and go together. A batch is taken apart as Glacier2 does it, but those to one object that
   follow each other need the way to it only once: the first goes the usual way and leaves a note of where it went, the
   others are copied from message to message. Whatever has a context of its own goes the usual way. */
#include "router.h"

void gw_run_start(struct gw_session *s, const struct gw_sending *w, struct ir_conn *to)
{
    struct gw_router *r = s->router;
    bool plain = w->raw.context_raw.n == 0 && !w->mode.secure && !w->mode.compress && w->d->trace_request < 1;
    r->run = (struct gw_run){.session = plain && w->rq ? s : NULL, .way = w->way, .id = w->raw.id, .to = to};
}

void gw_run_end(struct gw_session *s)
{
    if (s->router->run.session == s) {
        s->router->run.session = NULL;
    }
}

bool gw_forward_batched(void *router, struct ir_conn *from, const struct ir_request_info *info, struct ib_span header,
                        bool first)
{
    struct gw_router *r = router;
    struct gw_run *run = &r->run;
    if (first) {
        run->session = NULL;
    }
    struct gw_session *s = run->session;
    if (!s || info->n_context || info->params_err || !iw_identity_equal(&info->id, &run->id)) {
        return false;
    }
    if (!gw_queue_empty(s->queues[run->way]) ||
        ir_conn_send_batched(run->to, header, (struct ib_span){0}, info->params) != 0) {
        return false;
    }
    (void)from;
    s->counters.forwarded[run->way]++;
    *(run->way == GW_TO_SERVER ? &s->traffic.requests : &s->traffic.callbacks) += 1;
    return true;
}
