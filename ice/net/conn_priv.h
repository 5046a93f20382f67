/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of a connection, shared by the files that make it up:
   conn.c (life), conn_sm.c (states, closing), connect.c (addresses), conn_in.c (reading), conn_out.c (writing),
   acm.c (deadlines, heartbeats), pipe.c (in-process), listener.c (accepting). */
#ifndef ICE_NET_CONN_PRIV_H
#define ICE_NET_CONN_PRIV_H

#include "address.h"
#include "frame.h"
#include "loop_priv.h"
#include "proxy_protocol.h"
#include "transport.h"

#include <event2/event_struct.h>
#include <moulin/base/sm.h>
#include <moulin/net/conn.h>
#include <netinet/in.h>

enum ic_state {
    IC_ST_CONNECTING, /* transport: TCP, TLS, WebSocket handshakes */
    IC_ST_NOT_VALIDATED,
    IC_ST_ACTIVE,
    IC_ST_CLOSING, /* waits for dispatches before CloseConnection */
    IC_ST_CLOSING_PENDING, /* CloseConnection queued or received */
    IC_ST_CLOSED,
    IC_ST_MAX
};

/* What the next deferred run has to do. */
enum {
    IC_DO_START = 1, /* begin the handshakes */
    IC_DO_NOTE_CLOSING = 2,
    IC_DO_READ = 4, /* what was stashed, or what waits inside the transport */
    IC_DO_FLUSH = 8,
    IC_DO_PIPE_EOF = 16,
    IC_DO_END = 32, /* on_close, then free */
    IC_DO_RETRY = 64, /* next address */
};

enum ic_item_kind {
    IC_ITEM_MESSAGE,
    IC_ITEM_VALIDATE,
    IC_ITEM_HEARTBEAT,
    IC_ITEM_PULSE, /* a heartbeat that is no activity */
    IC_ITEM_CLOSE,
    IC_ITEM_WS_CLOSE,
    IC_ITEM_PONG
};

/* One message (or WebSocket control frame) waiting to be sent: inline bytes, then those borrowed from block. */
struct ic_item {
    struct ic_item *next;
    struct ib_block *block; /* shares; NULL: everything is inline */
    struct ib_span tail;
    size_t total;
    uint64_t seq; /* 0: not one of the user's messages */
    uint32_t n; /* bytes of data */
    uint8_t kind;
    uint8_t data[];
};

struct ic_connecting; /* addresses still to be tried (connect.c) */

struct ic_conn {
    struct ic_loop *loop;
    const struct ic_conn_events *ev; /* NULL: detached */
    void *arg;
    struct ic_tp *tp; /* owns; NULL: not connected, in-process or closed */
    struct ic_conn *peer; /* in-process: the other end; NULL when that is gone */
    struct ic_connecting *connecting; /* owns; NULL once active */
    struct ic_proxy_header *proxy; /* owns; while a balancer's header is awaited */
    struct event io;
    struct ic_timer timer; /* the earliest of all deadlines (acm.c) */
    struct ic_deferred run;
    struct ib_list to_read, to_write; /* in the loop's: readable; something was queued */
    struct ib_list pending; /* in-process: in its listener until that is started */
    struct ic_conn_config cfg;

    int16_t ep_type;
    uint8_t state;
    uint8_t todo; /* IC_DO_… */
    short io_mask; /* what io waits for; 0 = not added */
    bool incoming, pipe, ws;
    bool proxied; /* a balancer has told the addresses: those of the socket do not count */
    bool blocked; /* the transport takes no more: wait for writable */
    bool write_reads, read_writes, handshake_writes; /* TLS waits for the other direction */
    bool congested; /* on_drained is owed */
    bool pong_queued;
    bool close_sent; /* our CloseConnection is queued or written */
    bool peer_close; /* theirs has come */
    bool ws_close_sent, ws_close_came;
    bool closing_noted;
    bool exchanges; /* it is received from in the loop's exchange, not by libevent */
    uint8_t place; /* in the loop's briskness, counted from 1; 0: none */
    uint8_t heard_in; /* the window of the loop's linger in which it was counted */

    uint8_t hdr_have;
    uint8_t hdr[IC_HEADER_SIZE];
    struct ic_header in; /* valid while rx is there */
    struct ib_block *rx; /* owns; a body that came in part */
    size_t rx_have, rx_total;
    struct ib_block *stash; /* owns; read but not delivered because of a hold */
    size_t stash_at;

    struct ic_item *out, **out_tail; /* owns */
    size_t out_at; /* bytes of the first item already written */
    size_t queued;
    uint64_t seq, seq_written;

    int dispatching, outstanding, holds;
    int close_code; /* what on_close reports after a close of ours */
    int64_t active_at; /* last activity, for ACM */
    int64_t read_at, write_at; /* last progress of reading, of writing */
    int64_t connect_by, attempt_by, close_by, acm_tick, pulse_at; /* deadlines; 0 = none */
    uint64_t bytes_in, bytes_out;
    struct ic_addr local, remote;

    int why; /* reason of the close */
    char *why_text; /* owns; NULL: no more than the code says */
};

/* conn.c */
struct ic_conn *ic_conn_new(struct ic_loop *loop, const struct ic_conn_config *cfg, int16_t ep_type, bool incoming);
void ic_conn_free(struct ic_conn *c);
void ic_conn_do(struct ic_conn *c, unsigned what); /* in the next round */
void ic_conn_set_io(struct ic_conn *c); /* makes libevent wait for what the state wants */
void ic_conn_adopt(struct ic_conn *c, struct ic_tp *tp); /* takes */
void ic_conn_handshake(struct ic_conn *c);
void ic_conn_addresses(struct ic_conn *c);
int ic_conn_expect_proxy(struct ic_conn *c) IB_MUST_CHECK; /* a PROXY header comes first */

/* conn_sm.c */
void ic_conn_move(struct ic_conn *c, enum ic_state next);
void ic_conn_finish(struct ic_conn *c, int code, const char *text); /* text may be NULL */
/* A failure of the transport or the peer: the next address while connecting, the end otherwise. */
void ic_conn_fail(struct ic_conn *c, const struct ib_err *err);
void ic_conn_validating(struct ic_conn *c); /* all handshakes are done */
void ic_conn_validated(struct ic_conn *c);
void ic_conn_close_with(struct ic_conn *c, int code);
void ic_conn_peer_close(struct ic_conn *c); /* their CloseConnection */
void ic_conn_eof(struct ic_conn *c);
void ic_conn_ws_control(struct ic_conn *c); /* after each read */
void ic_conn_ws_close_written(struct ic_conn *c);

/* connect.c */
void ic_connecting_free(struct ic_connecting *k);
bool ic_connecting_next(struct ic_conn *c, const struct ib_err *why); /* false: nothing left to try */
void ic_connecting_retry(struct ic_conn *c);

/* conn_in.c */
bool ic_conn_reads(const struct ic_conn *c);
void ic_conn_read(struct ic_conn *c);
bool ic_conn_may_feed(const struct ic_conn *c); /* something may be received for it now */
/* Reads what was received for it already, of most bytes there was room for (res: bytes or -errno), and from its socket
   only if that may hold more. */
void ic_conn_feed(struct ic_conn *c, struct ic_fed *fed, const uint8_t *p, ssize_t res, size_t most);
void ic_conn_message(struct ic_conn *c, const struct ic_header *h, struct ib_span body, struct ib_block *block);
void ic_conn_reading_again(struct ic_conn *c); /* after a hold */
void ic_conn_in_fini(struct ic_conn *c);

/* conn_out.c */
int ic_conn_queue(struct ic_conn *c, enum ic_item_kind kind); /* VALIDATE goes to the front */
int ic_conn_queue_ws(struct ic_conn *c, enum ic_item_kind kind, int opcode, struct ib_span payload);
void ic_conn_flush(struct ic_conn *c);
/* The same in two steps: what is to be sent (false: nothing that can be sent so), then what became of it. */
bool ic_conn_stage(struct ic_conn *c, struct ic_stage *s);
void ic_conn_staged(struct ic_conn *c, const struct ic_stage *s, ssize_t res);
void ic_conn_pop(struct ic_conn *c); /* the first item is completely written */
void ic_conn_written(struct ic_conn *c); /* after pops: tells who waits for room */
void ic_conn_out_fini(struct ic_conn *c);
void ic_conn_drop_unsent(struct ic_conn *c); /* all but an item partly written */

/* acm.c */
void ic_conn_timer(struct ic_conn *c); /* a deadline may have changed */
void ic_conn_on_timer(void *c);
void ic_conn_acm_start(struct ic_conn *c);

/* pipe.c */
void ic_pipe_flush(struct ic_conn *c);
void ic_pipe_start(struct ic_conn *c, struct ic_conn *accepted);

/* listener.c */
struct ic_listener *ic_listener_local(struct ic_loop *loop, const struct iw_endpoint *ep);
void ic_listener_join(struct ic_listener *l, struct ic_conn *c); /* an in-process connection */

#endif
