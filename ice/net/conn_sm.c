/* SPDX-License-Identifier: Apache-2.0 */
/* The state machine of a connection and every way it closes (ice-protocol 9.1, 9.2, 14.4). The only file that
   writes a connection's state. */
#include "conn_priv.h"
#include "sweep.h"

#include <moulin/base/clock.h>
#include <string.h>

static const struct ib_sm_state states[IC_ST_MAX] = {
    [IC_ST_CONNECTING] = {"connecting", IB_SM_BIT(IC_ST_NOT_VALIDATED) | IB_SM_BIT(IC_ST_CLOSED)},
    /* back to connecting: the next address */
    [IC_ST_NOT_VALIDATED] = {"not validated",
                             IB_SM_BIT(IC_ST_CONNECTING) | IB_SM_BIT(IC_ST_ACTIVE) | IB_SM_BIT(IC_ST_CLOSED)},
    [IC_ST_ACTIVE] = {"active", IB_SM_BIT(IC_ST_CLOSING) | IB_SM_BIT(IC_ST_CLOSING_PENDING) | IB_SM_BIT(IC_ST_CLOSED)},
    [IC_ST_CLOSING] = {"closing", IB_SM_BIT(IC_ST_CLOSING_PENDING) | IB_SM_BIT(IC_ST_CLOSED)},
    [IC_ST_CLOSING_PENDING] = {"closing pending", IB_SM_BIT(IC_ST_CLOSED)},
    [IC_ST_CLOSED] = {"closed", 0},
};

static const uint8_t ws_normal[2] = {1000 >> 8, 1000 & 255}; /* the code in a close frame */

void ic_conn_move(struct ic_conn *c, enum ic_state next)
{
    ib_sm_move(states, IC_ST_MAX, &c->state, next);
}

void ic_conn_finish(struct ic_conn *c, int code, const char *text)
{
    if (c->state == IC_ST_CLOSED) {
        return;
    }
    ic_conn_move(c, IC_ST_CLOSED);
    c->why = code;
    c->why_text = text ? strdup(text) : NULL;
    ib_list_remove(&c->pending);
    ic_sweep_forget(c);
    ic_exchange_forget(c);
    ic_timer_stop(&c->timer);
    ic_conn_set_io(c);
    if (c->tp) {
        c->tp->ops->free(c->tp);
        c->tp = NULL;
    }
    ic_connecting_free(c->connecting);
    c->connecting = NULL;
    ic_conn_in_fini(c);
    ic_conn_out_fini(c);
    if (c->peer) {
        ic_conn_do(c->peer, IC_DO_PIPE_EOF);
        c->peer->peer = NULL;
        c->peer = NULL;
    }
    c->todo = 0;
    ic_conn_do(c, IC_DO_END);
}

void ic_conn_fail(struct ic_conn *c, const struct ib_err *err)
{
    if (c->state < IC_ST_ACTIVE && c->connecting && ic_connecting_next(c, err)) {
        return;
    }
    ic_conn_finish(c, err->code, err->text);
}

void ic_conn_validating(struct ic_conn *c)
{
    if (!c->incoming) { /* the others know theirs since they were accepted */
        ic_conn_addresses(c);
    }
    ic_conn_move(c, IC_ST_NOT_VALIDATED);
    if (c->incoming) {
        if (ic_conn_queue(c, IC_ITEM_VALIDATE) < 0) {
            ic_conn_finish(c, IB_ENOMEM, NULL);
            return;
        }
        ic_conn_flush(c);
    } else if (c->tp && c->tp->ops->pending(c->tp)) {
        ic_conn_do(c, IC_DO_READ);
    }
    ic_conn_set_io(c);
}

void ic_conn_validated(struct ic_conn *c)
{
    ic_conn_move(c, IC_ST_ACTIVE);
    c->connect_by = c->attempt_by = 0;
    ic_connecting_free(c->connecting);
    c->connecting = NULL;
    c->active_at = ib_clock_ms();
    ic_conn_acm_start(c);
    ic_conn_set_io(c);
    if (c->out) {
        ic_conn_do(c, IC_DO_FLUSH);
    }
    if (c->tp && c->tp->ops->pending(c->tp)) {
        ic_conn_do(c, IC_DO_READ);
    }
    if (c->ev && c->ev->on_active) {
        c->ev->on_active(c->arg, c);
    }
}

/* CloseConnection goes out when nothing is being dispatched any more (9.2, step 2). */
static void try_close(struct ic_conn *c)
{
    if (c->state != IC_ST_CLOSING || c->dispatching > 0) {
        return;
    }
    if (ic_conn_queue(c, IC_ITEM_CLOSE) < 0) {
        ic_conn_finish(c, IB_ENOMEM, NULL);
        return;
    }
    ic_conn_move(c, IC_ST_CLOSING_PENDING);
    c->close_sent = true;
    if (c->cfg.close_timeout_ms > 0) {
        c->close_by = ib_clock_ms() + c->cfg.close_timeout_ms;
    }
    ic_conn_timer(c);
    ic_conn_do(c, IC_DO_READ); /* holds no longer count */
}

void ic_conn_close_with(struct ic_conn *c, int code)
{
    if (c->state < IC_ST_ACTIVE) {
        ic_conn_finish(c, code, NULL);
    } else if (c->state == IC_ST_ACTIVE) {
        ic_conn_move(c, IC_ST_CLOSING);
        c->close_code = code;
        ic_conn_do(c, IC_DO_NOTE_CLOSING);
        try_close(c);
    }
}

void ic_conn_close(struct ic_conn *c)
{
    ic_conn_close_with(c, IB_ECLOSEDLOCAL);
}

void ic_conn_abort(struct ic_conn *c, int code, const char *text)
{
    ic_conn_finish(c, code, text);
}

void ic_conn_detach(struct ic_conn *c)
{
    c->ev = NULL;
    ic_conn_finish(c, IB_ECLOSEDLOCAL, NULL);
}

void ic_conn_dispatching(struct ic_conn *c, int delta)
{
    c->dispatching += delta;
    try_close(c);
}

void ic_conn_peer_close(struct ic_conn *c)
{
    if (c->peer_close) {
        return;
    }
    c->peer_close = true;
    if (!c->ws || c->blocked) { /* blocked: TLS may hold half a record of what would have to be dropped */
        if (c->ev && c->ev->on_closing && !c->closing_noted) {
            c->closing_noted = true;
            c->ev->on_closing(c->arg, c);
        }
        ic_conn_flush(c); /* replies of dispatches that ended before the close was read (10, "request then close") */
        ic_conn_finish(c, IB_ECLOSED, NULL);
        return;
    }
    /* WebSocket: answer with a close frame and wait for theirs (14.4), unless one of ours is cut in two by the end. */
    if (c->state != IC_ST_CLOSING_PENDING) {
        ic_conn_move(c, IC_ST_CLOSING_PENDING);
    }
    ic_conn_flush(c); /* as above */
    if (c->state == IC_ST_CLOSED) {
        return;
    }
    if (!c->blocked) {
        ic_conn_drop_unsent(c);
    }
    if (c->out || c->blocked ||
        ic_conn_queue_ws(c, IC_ITEM_WS_CLOSE, IC_WS_CLOSE, (struct ib_span){ws_normal, sizeof ws_normal}) < 0) {
        ic_conn_finish(c, IB_ECLOSED, NULL);
        return;
    }
    c->ws_close_sent = true;
    if (c->cfg.close_timeout_ms > 0) {
        c->close_by = ib_clock_ms() + c->cfg.close_timeout_ms;
    }
    ic_conn_timer(c);
    ic_conn_do(c, IC_DO_NOTE_CLOSING);
}

void ic_conn_eof(struct ic_conn *c)
{
    if (c->peer_close) {
        ic_conn_finish(c, IB_ECLOSED, NULL);
    } else if (c->close_sent) {
        ic_conn_finish(c, c->close_code, NULL); /* what we waited for */
    } else {
        struct ib_err err;
        ib_err_set(&err, IB_ELOST, "connection closed by the peer without notice");
        ic_conn_fail(c, &err);
    }
}

static void ws_ping(struct ic_conn *c, struct ib_span payload)
{
    /* One pong at a time: whoever pings without reading our answers gets no more of them. */
    if (!c->pong_queued && !c->ws_close_sent && !c->close_sent) {
        c->pong_queued = ic_conn_queue_ws(c, IC_ITEM_PONG, IC_WS_PONG, payload) == 0;
    }
}

static void ws_close(struct ic_conn *c)
{
    if (c->ws_close_came) {
        return;
    }
    c->ws_close_came = true;
    if (!c->ws_close_sent && c->close_sent && !c->peer_close) {
        if (ic_conn_queue_ws(c, IC_ITEM_WS_CLOSE, IC_WS_CLOSE, (struct ib_span){ws_normal, sizeof ws_normal}) == 0) {
            c->ws_close_sent = true;
            return; /* the end comes when it is written */
        }
    }
    ic_conn_eof(c);
}

void ic_conn_ws_control(struct ic_conn *c)
{
    uint8_t payload[IC_WS_CONTROL_MAX];
    size_t n = 0;
    int opcode = ic_ws_control(c->tp, payload, &n);
    if (opcode == IC_WS_PING) {
        ws_ping(c, (struct ib_span){payload, n});
    } else if (opcode == IC_WS_CLOSE) {
        ws_close(c);
    }
}

void ic_conn_ws_close_written(struct ic_conn *c)
{
    if (c->ws_close_came) {
        ic_conn_eof(c);
    }
}
