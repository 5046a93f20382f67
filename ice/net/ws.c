/* SPDX-License-Identifier: Apache-2.0 */
/* The WebSocket transport over tcp or tls: the upgrade, then frames taken apart in place as they are read
   (ice-protocol 14.4). Frames to be sent are built by conn_out.c; here they are only bytes. Owns the transport below.
 */
#include "transport.h"
#include "ws_http.h"

#include <stdlib.h>
#include <string.h>

enum phase { PHASE_LOWER, PHASE_SEND, PHASE_RECEIVE, PHASE_ANSWER, PHASE_OPEN };

#define HEAD_STEP 2048

struct ws {
    struct ic_tp tp;
    uint8_t phase;
    bool fin; /* of the last data frame */
    bool started; /* a data frame was seen: continuation is possible unless fin */
    bool closed; /* a close frame came */
    bool pinged;
    uint8_t head_have, head[IC_WS_PREFIX_MAX]; /* of the frame that comes */
    uint8_t opcode, mask[4];
    uint8_t control_n, control[IC_WS_CONTROL_MAX]; /* payload of the last ping, as far as it came */
    uint64_t left, at; /* payload of the current frame: to come, already there */
    size_t head_max;
    char *host, *resource; /* own; NULL once open */
    int port;
    char key[IC_WS_KEY_LEN + 1];
    struct ib_buf buf; /* the peer's head, then what was read beyond it; released when empty */
    size_t buf_at; /* scanned or consumed up to here */
    struct ib_buf out; /* our head */
    size_t out_at;
};

static struct ws *of(struct ic_tp *tp)
{
    return (struct ws *)(void *)tp;
}

static void release_buf(struct ws *w)
{
    ib_buf_fini(&w->buf);
    ib_buf_init(&w->buf);
    w->buf_at = 0;
}

/* --- handshake --- */

static int send_head(struct ws *w, struct ib_err *err)
{
    while (w->out_at < w->out.n) {
        struct iovec v = {w->out.p + w->out_at, w->out.n - w->out_at};
        ssize_t n = w->tp.lower->ops->write(w->tp.lower, &v, 1, err);
        if (n < 0) {
            return (int)n;
        }
        w->out_at += (size_t)n;
    }
    ib_buf_fini(&w->out);
    ib_buf_init(&w->out);
    w->phase = w->phase == PHASE_SEND ? PHASE_RECEIVE : PHASE_OPEN;
    return 0;
}

/* Reads until the head is complete; *n is its length. Bytes beyond it stay in buf. */
static int receive_head(struct ws *w, size_t *n, struct ib_err *err)
{
    for (;;) {
        *n = ic_ws_head_length(ib_buf_span(&w->buf), w->buf_at);
        if (*n) {
            return 0;
        }
        w->buf_at = w->buf.n;
        if (w->buf.n >= w->head_max) {
            return ib_err_set(err, IB_EMEMLIMIT, "WebSocket handshake: head of more than %zu bytes", w->head_max);
        }
        size_t before = w->buf.n;
        uint8_t *p = ib_buf_grow(&w->buf, HEAD_STEP);
        if (!p) {
            return ib_err_set(err, IB_ENOMEM, "out of memory");
        }
        ssize_t got = w->tp.lower->ops->read(w->tp.lower, p, HEAD_STEP, err);
        w->buf.n = before + (got > 0 ? (size_t)got : 0);
        if (got <= 0) {
            return got ? (int)got : ib_err_set(err, IB_ELOST, "connection closed during the WebSocket handshake");
        }
    }
}

static int step_receive(struct ws *w, struct ib_err *err)
{
    size_t n;
    int rc = receive_head(w, &n, err);
    if (rc < 0) {
        return rc;
    }
    struct ib_span head = {w->buf.p, n};
    rc = w->tp.outgoing ? ic_ws_check_response(head, w->key, err) : ic_ws_check_request(head, &w->out, err);
    if (rc < 0) {
        return rc;
    }
    w->buf_at = n; /* what follows are frames */
    if (w->buf_at == w->buf.n) {
        release_buf(w);
    }
    w->phase = w->tp.outgoing ? PHASE_OPEN : PHASE_ANSWER;
    return 0;
}

static int step_lower(struct ws *w, struct ib_err *err)
{
    int rc = w->tp.lower->ops->handshake(w->tp.lower, err);
    if (rc != 0) {
        return rc;
    }
    w->phase = PHASE_RECEIVE;
    if (w->tp.outgoing) {
        w->phase = PHASE_SEND;
        ic_ws_new_key(w->key);
        ic_ws_request(&w->out, w->host, w->port, w->resource, w->key);
        if (!ib_buf_ok(&w->out)) {
            return ib_err_set(err, IB_ENOMEM, "out of memory");
        }
    }
    return 0;
}

static int ws_handshake(struct ic_tp *tp, struct ib_err *err)
{
    struct ws *w = of(tp);
    int rc = 0;
    while (rc == 0 && w->phase != PHASE_OPEN) {
        if (w->phase == PHASE_LOWER) {
            rc = step_lower(w, err);
        } else if (w->phase == PHASE_RECEIVE) {
            rc = step_receive(w, err);
        } else {
            rc = send_head(w, err);
        }
    }
    if (rc == 0) {
        free(w->host);
        free(w->resource);
        w->host = w->resource = NULL;
    }
    return rc;
}

/* --- frames --- */

static int violated(struct ib_err *err, const char *what)
{
    return ib_err_set(err, IB_EWEBSOCKET, "WebSocket: %s", what);
}

static size_t head_size(const struct ws *w)
{
    if (w->head_have < 2) {
        return 2;
    }
    size_t n = w->head[1] & 0x7F;
    return 2 + (n == 126 ? 2u : n == 127 ? 8u : 0u) + (w->head[1] & 0x80 ? 4u : 0u);
}

static int check_frame(struct ws *w, bool fin, struct ib_err *err)
{
    switch (w->opcode) {
    case IC_WS_BINARY:
        if (w->started && !w->fin) {
            return violated(err, "a new data frame before the last one is finished");
        }
        break;
    case IC_WS_CONT:
        if (!w->started || w->fin) {
            return violated(err, "a continuation of nothing");
        }
        break;
    case IC_WS_CLOSE:
    case IC_WS_PING:
    case IC_WS_PONG:
        return fin && w->left <= IC_WS_CONTROL_MAX ? 0 : violated(err, "a control frame too long or in pieces");
    default:
        return violated(err, w->opcode == IC_WS_TEXT ? "a text frame" : "a frame of an unknown kind");
    }
    if (w->left == 0) {
        return violated(err, "an empty data frame");
    }
    w->started = true;
    w->fin = fin;
    return 0;
}

/* The header of a frame is complete. */
static int begin_frame(struct ws *w, struct ib_err *err)
{
    const uint8_t *h = w->head;
    bool masked = h[1] & 0x80;
    if (masked == w->tp.outgoing) {
        return violated(err, masked ? "a masked frame from the server" : "an unmasked frame from the client");
    }
    uint64_t n = h[1] & 0x7F;
    size_t at = 2;
    if (n >= 126) {
        size_t bytes = n == 126 ? 2 : 8;
        n = 0;
        while (bytes--) {
            n = n << 8 | h[at++];
        }
    }
    if (n > INT32_MAX) {
        return violated(err, "a frame of more than 2 GB");
    }
    memset(w->mask, 0, sizeof w->mask);
    if (masked) {
        memcpy(w->mask, h + at, sizeof w->mask);
    }
    w->opcode = h[0] & 0x0F;
    w->left = n;
    w->at = 0;
    if (w->opcode == IC_WS_PING) {
        w->control_n = 0;
        w->pinged = false;
    }
    return check_frame(w, h[0] & 0x80, err);
}

static void end_frame(struct ws *w)
{
    w->head_have = 0;
    w->pinged = w->pinged || w->opcode == IC_WS_PING;
    w->closed = w->closed || w->opcode == IC_WS_CLOSE;
}

/* Takes the n raw bytes at p apart; what is payload of data frames is moved to the front. Returns how much that is. */
static ssize_t unframe(struct ws *w, uint8_t *p, size_t n, struct ib_err *err)
{
    size_t in = 0, out = 0;
    while (in < n && !w->closed) {
        if (w->head_have < 2 || w->head_have < head_size(w)) {
            w->head[w->head_have++] = p[in++];
            if (w->head_have < 2 || w->head_have < head_size(w)) {
                continue;
            }
            int rc = begin_frame(w, err);
            if (rc < 0) {
                return rc;
            }
        }
        size_t k = n - in < w->left ? n - in : (size_t)w->left;
        ic_ws_mask(p + in, k, w->mask, w->at);
        if (w->opcode == IC_WS_BINARY || w->opcode == IC_WS_CONT) {
            memmove(p + out, p + in, k);
            out += k;
        } else if (w->opcode == IC_WS_PING) {
            memcpy(w->control + w->control_n, p + in, k);
            w->control_n = (uint8_t)(w->control_n + k);
        }
        in += k;
        w->left -= k;
        w->at += k;
        if (w->left == 0) {
            end_frame(w);
        }
    }
    return (ssize_t)out;
}

static ssize_t ws_read(struct ic_tp *tp, uint8_t *p, size_t n, struct ib_err *err)
{
    struct ws *w = of(tp);
    if (w->closed) {
        return IC_TP_READABLE; /* nothing counts after a close frame; our deadline ends it */
    }
    ssize_t got;
    if (w->buf.n) {
        size_t k = w->buf.n - w->buf_at;
        got = (ssize_t)(k < n ? k : n);
        memcpy(p, w->buf.p + w->buf_at, (size_t)got);
        w->buf_at += (size_t)got;
        if (w->buf_at == w->buf.n) {
            release_buf(w);
        }
    } else {
        got = w->tp.lower->ops->read(w->tp.lower, p, n, err);
    }
    if (got <= 0) {
        return got;
    }
    ssize_t out = unframe(w, p, (size_t)got, err);
    return out ? out : IC_TP_AGAIN;
}

int ic_ws_control(struct ic_tp *tp, uint8_t payload[IC_WS_CONTROL_MAX], size_t *n)
{
    struct ws *w = of(tp);
    if (w->closed) {
        return IC_WS_CLOSE;
    }
    if (!w->pinged) {
        return 0;
    }
    w->pinged = false;
    *n = w->control_n;
    memcpy(payload, w->control, w->control_n);
    return IC_WS_PING;
}

static ssize_t ws_write(struct ic_tp *tp, const struct iovec *v, int n, struct ib_err *err)
{
    struct ws *w = of(tp);
    return w->tp.lower->ops->write(w->tp.lower, v, n, err);
}

static bool ws_pending(const struct ic_tp *tp)
{
    const struct ws *w = (const struct ws *)(const void *)tp;
    return !w->closed && (w->buf.n > w->buf_at || w->tp.lower->ops->pending(w->tp.lower));
}

static void ws_free(struct ic_tp *tp)
{
    struct ws *w = of(tp);
    if (w->tp.lower) {
        w->tp.lower->ops->free(w->tp.lower);
    }
    ib_buf_fini(&w->buf);
    ib_buf_fini(&w->out);
    free(w->host);
    free(w->resource);
    free(w);
}

static const struct ic_tp_ops ws_ops = {ws_handshake, ws_read, ws_write, ws_pending, ws_free, NULL, NULL};

struct ic_tp *ic_ws_new(struct ic_tp *lower, const char *host, int port, const char *resource, size_t head_max)
{
    struct ws *w = calloc(1, sizeof *w);
    if (!w) {
        return NULL;
    }
    w->tp = (struct ic_tp){.ops = &ws_ops, .fd = lower->fd, .outgoing = lower->outgoing};
    w->port = port;
    w->head_max = head_max;
    ib_buf_init(&w->buf);
    ib_buf_init(&w->out);
    w->host = strdup(*host ? host : "127.0.0.1");
    w->resource = strdup(resource);
    if (!w->host || !w->resource) {
        ws_free(&w->tp); /* lower is not ours yet */
        return NULL;
    }
    w->tp.lower = lower;
    return &w->tp;
}

struct ic_tp *ic_ws_lower(struct ic_tp *ws)
{
    return ws->lower;
}
