/* SPDX-License-Identifier: Apache-2.0 */
/* Whole connections. Input: one byte that chooses the transport, side and size of the pieces, then what the peer
   sends. Frames are read, kept and answered as a user would. */
#include "fuzz.h"

#include "conn_priv.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char upgrade[] =
    "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

struct peer {
    bool closed;
    struct ib_block *kept;
    unsigned frames;
};

static void on_frame(void *arg, struct ic_conn *c, const struct ic_frame *f)
{
    struct peer *p = arg;
    unsigned sum = 0;
    for (size_t i = 0; i < f->body.n; i++) {
        sum += f->body.p[i];
    }
    FUZZ_CHECK(f->type <= IC_REPLY && f->body.n < (1 << 18) && !p->closed);
    if (sum % 3 == 0) {
        ib_block_unref(p->kept);
        p->kept = ib_block_ref(f->block);
    }
    if (sum % 5 == 0) {
        ic_conn_hold(c, true);
        ic_conn_hold(c, false);
    }
    if (p->frames++ % 2 == 0) {
        struct ic_out m = {.type = IC_REPLY, .compress = f->compression > 0, .body = f->body, .block = f->block};
        int rc = ic_conn_send(c, &m, NULL);
        FUZZ_CHECK(rc == IB_OK || rc == IB_ECLOSED);
    }
}

static void on_close(void *arg, struct ic_conn *c, const struct ib_err *why)
{
    (void)c;
    struct peer *p = arg;
    FUZZ_CHECK(!p->closed && why->code < 0 && *why->text);
    p->closed = true;
}

static const struct ic_conn_events events = {.on_frame = on_frame, .on_close = on_close};

/* What on_accept of a listener does, over one end of a pair. */
static struct ic_conn *connection(struct ic_loop *loop, int fd, bool incoming, bool ws)
{
    struct ic_conn_config cfg = {.message_size_max = 1 << 18, .timeout_ms = 1000, .compression_level = 1};
    cfg.out_high_water = 5000;
    struct ic_tp *tp = ic_tcp_new(fd, !incoming);
    FUZZ_CHECK(tp);
    if (ws) {
        tp = ic_ws_new(tp, "h", 1, "/", 2000);
        FUZZ_CHECK(tp);
    }
    struct ic_conn *c = ic_conn_new(loop, &cfg, ws ? IW_EP_WS : IW_EP_TCP, incoming);
    FUZZ_CHECK(c);
    ic_conn_adopt(c, tp);
    ic_conn_do(c, IC_DO_START);
    return c;
}

static void drain(int fd)
{
    char sink[4096];
    while (recv(fd, sink, sizeof sink, MSG_DONTWAIT) > 0) {
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    bool ws = data[0] & 1, raw_head = data[0] & 2, incoming = ws || data[0] & 2;
    size_t piece = (size_t)1 << (data[0] >> 4);
    struct ib_err err;
    struct ic_loop *loop = ic_loop_new(&err);
    int fds[2];
    FUZZ_CHECK(loop && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    struct peer p = {0};
    struct ic_conn *c = connection(loop, fds[0], incoming, ws);
    ic_conn_set_events(c, &events, &p);
    ssize_t n = 0;
    if (ws && !raw_head) {
        n = send(fds[1], upgrade, sizeof upgrade - 1, MSG_NOSIGNAL);
    } else if (!incoming) {
        n = send(fds[1], "IceP\1\0\1\0\3\0\x0e\0\0\0", IC_HEADER_SIZE, MSG_NOSIGNAL);
    }
    for (size_t at = 1; at < size && n >= 0 && !p.closed;) {
        size_t k = size - at < piece ? size - at : piece;
        n = send(fds[1], data + at, k, MSG_NOSIGNAL);
        at += n > 0 ? (size_t)n : 0;
        ic_loop_run_once(loop, 0);
        drain(fds[1]);
    }
    shutdown(fds[1], SHUT_WR);
    for (int i = 0; i < 1000 && !p.closed; i++) {
        ic_loop_run_once(loop, 0);
        drain(fds[1]);
    }
    FUZZ_CHECK(p.closed);
    close(fds[1]);
    ib_block_unref(p.kept);
    ic_loop_free(loop);
    return 0;
}
