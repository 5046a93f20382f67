/* SPDX-License-Identifier: Apache-2.0 */
/* Deadlines of a connection (ice-protocol 9.6), heartbeats and active connection management (9.3, 9.4), all behind one
   timer, which is armed for the earliest of them and looks again when it fires. */
#include "conn_priv.h"

#include <moulin/base/clock.h>

static int64_t earlier(int64_t a, int64_t b)
{
    return !a || (b && b < a) ? b : a;
}

static int64_t progress_deadline(const struct ic_conn *c)
{
    int64_t at = 0;
    if (c->cfg.timeout_ms > 0 && c->blocked && c->out) {
        at = c->write_at + c->cfg.timeout_ms;
    }
    if (c->cfg.timeout_ms > 0 && c->rx && ic_conn_reads(c)) {
        at = earlier(at, c->read_at + c->cfg.timeout_ms);
    }
    return at;
}

void ic_conn_timer(struct ic_conn *c)
{
    int64_t at = earlier(earlier(c->connect_by, c->attempt_by), earlier(c->close_by, c->acm_tick));
    at = earlier(earlier(at, c->pulse_at), progress_deadline(c));
    if (at && c->state != IC_ST_CLOSED && (!c->timer.armed || at < c->timer.at)) {
        ic_timer_start(&c->timer, at - ib_clock_ms());
    }
}

static int64_t tick_ms(const struct ic_conn *c)
{
    return (int64_t)c->cfg.acm.timeout_s * 1000 / 2;
}

static int64_t pulse_ms(const struct ic_conn *c)
{
    return (int64_t)c->cfg.pulse_s * 1000;
}

void ic_conn_acm_start(struct ic_conn *c)
{
    c->pulse_at = c->cfg.pulse_s > 0 ? ic_timer_align(ib_clock_ms() + pulse_ms(c), pulse_ms(c)) : 0;
    c->acm_tick = c->cfg.acm.timeout_s > 0 ? ic_timer_align(ib_clock_ms() + tick_ms(c), tick_ms(c)) : 0;
    ic_conn_timer(c);
}

void ic_conn_set_acm(struct ic_conn *c, const struct ic_acm *acm)
{
    c->cfg.acm = *acm;
    if (c->state == IC_ST_ACTIVE) {
        c->active_at = ib_clock_ms();
        ic_conn_acm_start(c);
    }
}

void ic_conn_send_heartbeat(struct ic_conn *c)
{
    if (c->state == IC_ST_ACTIVE && ic_conn_queue(c, IC_ITEM_HEARTBEAT) < 0) {
        ic_conn_finish(c, IB_ENOMEM, NULL);
    }
}

static bool heartbeat_due(const struct ic_conn *c, int64_t idle_ms)
{
    const struct ic_acm *acm = &c->cfg.acm;
    if (acm->heartbeat == IC_HEARTBEAT_ALWAYS) {
        return !c->blocked; /* a peer that does not read gets no pile of heartbeats */
    }
    bool quiet = !c->out && idle_ms >= (int64_t)acm->timeout_s * 1000 / 4;
    return quiet &&
           (acm->heartbeat == IC_HEARTBEAT_IDLE || (acm->heartbeat == IC_HEARTBEAT_DISPATCH && c->dispatching > 0));
}

/* The algorithm of 9.4, once every half of the timeout. */
static void acm_tick(struct ic_conn *c, int64_t now)
{
    const struct ic_acm *acm = &c->cfg.acm;
    int64_t idle_ms = now - c->active_at;
    c->acm_tick = ic_timer_align(now + tick_ms(c), tick_ms(c));
    bool busy = c->rx || c->out || c->holds > 0; /* held: the peer's signs of life are not read */
    if (heartbeat_due(c, idle_ms)) {
        ic_conn_send_heartbeat(c);
    }
    if (busy || c->state != IC_ST_ACTIVE || acm->close == IC_CLOSE_OFF || idle_ms < (int64_t)acm->timeout_s * 1000) {
        return;
    }
    if (acm->close == IC_CLOSE_IDLE_FORCEFUL || (acm->close != IC_CLOSE_IDLE && c->outstanding > 0)) {
        ic_conn_finish(c, IB_EACMTIMEOUT, NULL);
    } else if (acm->close != IC_CLOSE_INVOCATION && c->dispatching == 0 && c->outstanding == 0) {
        ic_conn_close_with(c, IB_EACMTIMEOUT);
    }
}

/* A peer that measures how long it has read nothing hears from us in time. What was written since, or waits to be,
   does as well. */
static void pulse(struct ic_conn *c, int64_t now)
{
    int64_t ms = pulse_ms(c);
    bool silent = !c->out && now - c->write_at >= ms - ms / 8; /* rather a little early than to wake again soon */
    c->pulse_at = ic_timer_align((silent ? now : c->write_at) + ms, ms);
    if (silent && ic_conn_queue(c, IC_ITEM_PULSE) < 0) {
        ic_conn_finish(c, IB_ENOMEM, NULL);
    }
}

static void connect_expired(struct ic_conn *c, int64_t now)
{
    struct ib_err err;
    if (c->proxy) {
        ib_err_set(&err, IB_EBALANCER, "the PROXY header did not come in time");
    } else {
        ib_err_set(&err, IB_ECONNECTTIMEOUT, "no validated connection in time");
    }
    if (c->connect_by && now >= c->connect_by) {
        ic_conn_finish(c, err.code, err.text);
    } else if (c->attempt_by && now >= c->attempt_by) {
        c->attempt_by = 0;
        ic_conn_fail(c, &err);
    }
}

void ic_conn_on_timer(void *arg)
{
    struct ic_conn *c = arg;
    int64_t now = ib_clock_ms();
    int64_t progress = progress_deadline(c);
    if (c->state < IC_ST_ACTIVE) {
        connect_expired(c, now);
    } else if (c->close_by && now >= c->close_by) {
        ic_conn_finish(c, c->peer_close ? IB_ECLOSED : IB_ECLOSETIMEOUT, NULL);
    } else if (progress && now >= progress) {
        ic_conn_finish(c, IB_ETIMEOUT, c->blocked ? "the peer does not read" : "the rest of a message does not come");
    } else if (c->acm_tick && now >= c->acm_tick && c->state == IC_ST_ACTIVE) {
        acm_tick(c, now);
    }
    if (c->pulse_at && now >= c->pulse_at && c->state == IC_ST_ACTIVE) {
        pulse(c, now);
    }
    if (c->state > IC_ST_ACTIVE) {
        c->acm_tick = c->pulse_at = 0;
    }
    if (c->state != IC_ST_CLOSED) {
        ic_conn_timer(c);
    }
}
