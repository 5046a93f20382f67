/* SPDX-License-Identifier: Apache-2.0 */
/* A transport: bytes in, bytes out, over one nonblocking socket. tcp is the ground; tls stands on its socket; ws wraps
   either. A transport never calls its user; it says what it waits for. */
#ifndef ICE_NET_TRANSPORT_H
#define ICE_NET_TRANSPORT_H

#include <moulin/base/err.h>
#include <moulin/base/span.h>
#include <moulin/net/tls.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

struct ic_fed;
struct ic_loop;
struct ic_stage;
struct ic_tp;

enum {
    IC_TP_READABLE = -1, /* nothing now: come back when the socket is readable */
    IC_TP_WRITABLE = -2, /* the same for writable */
    IC_TP_AGAIN = -3, /* progress, but no data for the user yet: call again */
};

struct ic_tp_ops {
    int (*handshake)(struct ic_tp *tp, struct ib_err *err); /* 0 = done, IC_TP_…, IB_E… */
    ssize_t (*read)(struct ic_tp *tp, uint8_t *p, size_t n, struct ib_err *err); /* 0 = end, IC_TP_…, IB_E… */
    ssize_t (*write)(struct ic_tp *tp, const struct iovec *v, int n, struct ib_err *err); /* > 0, IC_TP_…, IB_E… */
    bool (*pending)(const struct ic_tp *tp); /* bytes wait inside that no poll will report */
    void (*free)(struct ic_tp *tp); /* closes the socket too */
    /* A write in two steps (sweep.h), of the ground only: what goes to the socket; then what became of it, as write says. */
    bool (*stage)(struct ic_tp *tp, struct ic_stage *s); /* false: write instead */
    ssize_t (*sent)(struct ic_tp *tp, const struct ic_stage *s, ssize_t res, struct ib_err *err); /* res: bytes or -errno */
};

struct ic_tp {
    const struct ic_tp_ops *ops;
    struct ic_tp *lower; /* owns; what ws wraps; NULL: this is the ground */
    struct ic_fed *fed; /* received for it already; NULL: nothing */
    int fd;
    bool outgoing;
};

/* Bytes that were received before the transport asks for them. */
struct ic_fed {
    const uint8_t *p;
    size_t n;
    int error; /* what follows them: an errno; 0: the end */
    bool more; /* or ask the socket */
    bool kept; /* a copy, behind this: freed when it is used up */
};

/* What is about to be sent. */
#define IC_STAGE_IOV 64
struct ic_stage {
    struct iovec *v; /* of IC_STAGE_IOV; first the user's bytes, then those for the socket */
    int n;
    size_t plain; /* the user's bytes it is about */
    uint8_t *room; /* to encrypt into */
    size_t space, used;
};

static inline struct ic_tp *ic_tp_base(struct ic_tp *tp)
{
    return tp->lower ? tp->lower : tp;
}

/* recv(2), of what was fed first. */
ssize_t ic_tp_recv(struct ic_tp *tp, void *p, size_t n);
static inline bool ic_tp_fed(const struct ic_tp *tp)
{
    return tp->fed && tp->fed->n > 0;
}
/* What was fed is about to go: keeps a copy of what is left of it. */
int ic_tp_fed_keep(struct ic_tp *tp) IB_MUST_CHECK;
void ic_tp_fed_drop(struct ic_tp *tp);

/* --- tcp --- */
struct ic_tp *ic_tcp_new(int fd, bool outgoing); /* takes fd on success; NULL without memory */
void ic_tcp_options(int fd);
/* Starts to connect; the handshake of the transport ends when it is connected. */
int ic_tcp_connect(const struct sockaddr *to, socklen_t n, const char *source, int *fd, struct ib_err *err);
int ic_tcp_connected(int fd, struct ib_err *err); /* 0, IC_TP_WRITABLE: not yet, IB_E… */
int ic_tcp_error(int errnum, bool connecting); /* errno as IB_E… */

/* --- tls (takes fd on success, refs ctx) --- */
struct ic_tp *ic_tls_tp_new(int fd, bool outgoing, struct ic_tls *ctx, const char *host, struct ic_loop *loop,
                            struct ib_err *err);
const char *ic_tls_cipher(const struct ic_tp *tp);
bool ic_tls_has_cert(const struct ic_tls *ctx);
struct x509_st; /* the peer's chain, leaf first; borrowed from the transport; NULL past the end */
const struct x509_st *ic_tls_peer_cert(const struct ic_tp *tp, size_t i);

/* --- ws --- */
/* Takes lower on success. host and port are those of the endpoint, resource its -r (both copied; outgoing only). */
struct ic_tp *ic_ws_new(struct ic_tp *lower, const char *host, int port, const char *resource, size_t head_max);
struct ic_tp *ic_ws_lower(struct ic_tp *ws);

#define IC_WS_PREFIX_MAX 14
#define IC_WS_CONTROL_MAX 125
enum { IC_WS_CONT = 0, IC_WS_TEXT = 1, IC_WS_BINARY = 2, IC_WS_CLOSE = 8, IC_WS_PING = 9, IC_WS_PONG = 10 };
/* After a read: the control frame it met, IC_WS_PING (with its plain payload), IC_WS_CLOSE (nothing is read after it)
   or 0. Of several pings the last counts. */
int ic_ws_control(struct ic_tp *ws, uint8_t payload[IC_WS_CONTROL_MAX], size_t *n);

/* The header of a frame of n bytes. With mask (a client sends) it includes those four bytes. Returns its length. */
size_t ic_ws_prefix(uint8_t p[IC_WS_PREFIX_MAX], int opcode, uint64_t n, const uint8_t *mask);
/* XORs n bytes; offset counts from the start of the payload. */
void ic_ws_mask(uint8_t *p, size_t n, const uint8_t mask[4], uint64_t offset);

#endif
