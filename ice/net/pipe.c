/* SPDX-License-Identifier: Apache-2.0 */
/* In-process connections: two ends on one loop that hand messages over by reference. Same states, validation and
   close as over a socket, no descriptor, no TLS. */
#include "conn_priv.h"

#define MESSAGES_PER_ROUND 64

/* May the other end take a message now? */
static bool takes(const struct ic_conn *to)
{
    return to->state >= IC_ST_NOT_VALIDATED && to->state != IC_ST_CLOSED &&
           (to->state == IC_ST_CLOSING_PENDING || to->holds == 0);
}

static void hand_over(struct ic_conn *c)
{
    struct ic_conn *to = c->peer;
    struct ic_item *it = c->out;
    struct ic_header h;
    struct ib_err err;
    int rc = ic_header_parse(it->data, to->cfg.message_size_max, &h, &err);
    struct ib_block *b = it->block ? ib_block_ref(it->block) : NULL;
    struct ib_span body = it->tail;
    c->queued -= it->total;
    c->bytes_out += it->total;
    to->bytes_in += it->total;
    ic_conn_pop(c);
    if (rc < 0) {
        ic_conn_fail(to, &err);
    } else if (to->state != IC_ST_CLOSED) {
        to->active_at = c->active_at;
        ic_conn_message(to, &h, body, b);
    }
    ib_block_unref(b);
}

void ic_pipe_flush(struct ic_conn *c)
{
    unsigned first = c->incoming ? IC_ST_NOT_VALIDATED : IC_ST_ACTIVE;
    int n = 0;
    while (c->out && c->peer && c->state >= first && c->state != IC_ST_CLOSED && takes(c->peer) &&
           n++ < MESSAGES_PER_ROUND) {
        hand_over(c);
    }
    if (c->state == IC_ST_CLOSED) {
        return;
    }
    ic_conn_written(c);
    if (c->out && c->peer && c->state >= first && c->state != IC_ST_CLOSED && takes(c->peer)) {
        ic_conn_do(c, IC_DO_FLUSH);
    }
}

void ic_pipe_start(struct ic_conn *c, struct ic_conn *accepted)
{
    accepted->pipe = true;
    accepted->ws = false;
    accepted->peer = c;
    c->peer = accepted;
    /* The connecting end must wait for validation before the other sends it. */
    ic_conn_do(c, IC_DO_START);
    ic_conn_do(accepted, IC_DO_START);
}
