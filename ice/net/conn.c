/* SPDX-License-Identifier: Apache-2.0 */
/* A connection's life: made, driven by its socket and by deferred calls, freed after on_close. */
#include "conn_priv.h"
#include "sweep.h"

#include <arpa/inet.h>
#include <moulin/base/clock.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#define ACCEPT_DEADLINE_MS                                                                                             \
    60000 /* even when the configuration sets none: a stranger does not keep a socket for ever                         \
           */

static void on_io(evutil_socket_t fd, short what, void *arg);
static void on_run(void *arg);

struct ic_conn *ic_conn_new(struct ic_loop *loop, const struct ic_conn_config *cfg, int16_t ep_type, bool incoming)
{
    struct ic_conn *c = calloc(1, sizeof *c);
    if (!c) {
        return NULL;
    }
    c->loop = loop;
    ic_loop_conn_made(loop);
    c->cfg = *cfg;
    c->ep_type = ep_type;
    c->incoming = incoming;
    c->ws = ep_type == IW_EP_WS || ep_type == IW_EP_WSS;
    c->out_tail = &c->out;
    c->active_at = ib_clock_ms();
    ib_list_init(&c->pending);
    ib_list_init(&c->to_read);
    ib_list_init(&c->to_write);
    ic_timer_init(&c->timer, loop, ic_conn_on_timer, c);
    int32_t limit = cfg->connect_timeout_ms > 0 ? cfg->connect_timeout_ms : incoming ? ACCEPT_DEADLINE_MS : 0;
    if (limit > 0) {
        c->connect_by = c->active_at + limit;
        ic_conn_timer(c);
    }
    return c;
}

void ic_conn_free(struct ic_conn *c)
{
    ic_loop_undefer(c->loop, &c->run);
    ic_sweep_forget(c);
    ic_exchange_forget(c);
    ic_timer_fini(&c->timer);
    ic_loop_conn_left(c->loop);
    free(c->why_text);
    free(c->proxy);
    free(c);
}

void ic_conn_do(struct ic_conn *c, unsigned what)
{
    c->todo = (uint8_t)(c->todo | what);
    ic_loop_defer(c->loop, &c->run, on_run, c);
}

static void end(struct ic_conn *c)
{
    if (c->ev && c->ev->on_close) {
        struct ib_err why;
        ib_err_set(&why, c->why, "%s", c->why_text ? c->why_text : ib_err_text(c->why));
        c->ev->on_close(c->arg, c, &why);
    }
    ic_conn_free(c);
}

static void note_closing(struct ic_conn *c)
{
    if (!c->closing_noted && c->ev && c->ev->on_closing) {
        c->closing_noted = true;
        c->ev->on_closing(c->arg, c);
    }
}

/* Every step may close the connection; then the others do nothing and the end comes in the next round. */
static void on_run(void *arg)
{
    struct ic_conn *c = arg;
    unsigned todo = c->todo;
    c->todo = 0;
    if (todo & IC_DO_END) {
        end(c);
        return;
    }
    if (todo & IC_DO_RETRY) {
        ic_connecting_retry(c);
    }
    if ((todo & IC_DO_START) && c->state == IC_ST_CONNECTING) {
        if (c->pipe) {
            ic_conn_validating(c);
        } else {
            ic_conn_handshake(c);
        }
    }
    if (todo & IC_DO_NOTE_CLOSING && c->state != IC_ST_CLOSED) {
        note_closing(c);
    }
    if (todo & IC_DO_READ && c->state != IC_ST_CLOSED) {
        if (c->peer) {
            ic_pipe_flush(c->peer);
        } else if (!ic_exchange_feed(c)) {
            ic_conn_read(c);
        }
    }
    if (todo & IC_DO_FLUSH && c->state != IC_ST_CLOSED) {
        if (c->pipe) {
            ic_conn_flush(c);
        } else {
            ic_sweep_write_later(c);
        }
    }
    if (todo & IC_DO_PIPE_EOF && c->state != IC_ST_CLOSED) {
        ic_conn_eof(c);
    }
}

static short wanted(const struct ic_conn *c)
{
    if (!c->tp || c->state == IC_ST_CLOSED) {
        return 0;
    }
    if (c->state == IC_ST_CONNECTING) {
        return c->handshake_writes ? EV_WRITE : EV_READ;
    }
    short want = 0;
    bool reads = ic_conn_reads(c);
    if (((reads && !c->read_writes) || c->write_reads) && !c->exchanges) {
        want |= EV_READ;
    }
    if ((c->blocked && !c->write_reads) || (reads && c->read_writes)) {
        want |= EV_WRITE;
    }
    return want;
}

void ic_conn_set_io(struct ic_conn *c)
{
    short want = wanted(c);
    if (want == c->io_mask) {
        return;
    }
    if (c->io_mask) {
        event_del(&c->io);
    }
    c->io_mask = 0;
    if (!want) {
        return;
    }
    event_assign(&c->io, c->loop->base, c->tp->fd, (short)(want | EV_PERSIST), on_io, c);
    if (event_add(&c->io, NULL) < 0) {
        ic_conn_finish(c, IB_ENOMEM, "cannot wait for the socket");
        return;
    }
    c->io_mask = want;
}

void ic_conn_adopt(struct ic_conn *c, struct ic_tp *tp)
{
    c->tp = tp;
    c->handshake_writes = tp->outgoing;
    ic_conn_set_io(c);
}

int ic_conn_expect_proxy(struct ic_conn *c)
{
    c->proxy = calloc(1, sizeof *c->proxy);
    if (!c->proxy) {
        return IB_ENOMEM;
    }
    c->attempt_by = ib_clock_ms() + IC_PROXY_DEADLINE_MS;
    ic_conn_timer(c);
    return 0;
}

/* The balancer's header, then whatever the transport has to do. */
static int handshake(struct ic_conn *c, struct ib_err *err)
{
    if (c->proxy) {
        int rc = ic_proxy_read(c, err);
        if (rc != 0) {
            return rc;
        }
        free(c->proxy);
        c->proxy = NULL;
        c->attempt_by = 0;
    }
    return c->tp->ops->handshake(c->tp, err);
}

void ic_conn_handshake(struct ic_conn *c)
{
    struct ib_err err;
    int rc = handshake(c, &err);
    if (rc == IC_TP_AGAIN) {
        ic_conn_do(c, IC_DO_START);
    } else if (rc == IC_TP_READABLE || rc == IC_TP_WRITABLE) {
        c->handshake_writes = rc == IC_TP_WRITABLE;
        ic_conn_set_io(c);
    } else if (rc < 0) {
        ic_conn_fail(c, &err);
    } else {
        ic_conn_validating(c);
    }
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    struct ic_conn *c = arg;
    if (c->state == IC_ST_CONNECTING) {
        ic_conn_handshake(c);
        return;
    }
    bool write = what & (c->write_reads ? EV_READ : EV_WRITE);
    bool read = what & (c->read_writes ? EV_WRITE : EV_READ);
    if (read) {
        ic_sweep_read_later(c);
    }
    if (write && c->blocked && c->state != IC_ST_CLOSED && c->tp) {
        ic_conn_flush(c);
    }
}

void ic_conn_set_events(struct ic_conn *c, const struct ic_conn_events *ev, void *arg)
{
    c->ev = ev;
    c->arg = arg;
}

void ic_conn_outstanding(struct ic_conn *c, int delta)
{
    c->outstanding += delta;
}

/* A connection counts once in a window, or for each answer it still owes: any of them may come at any time. */
void ic_conn_heard(struct ic_conn *c, bool awaited)
{
    struct ic_linger *l = &c->loop->linger;
    if (awaited && c->heard_in != l->window) {
        c->heard_in = l->window;
        l->sources += (unsigned)(c->outstanding > 1 ? c->outstanding : 1);
    }
    ic_exchange_heard(c->loop, c, awaited);
    ic_loop_heard(c->loop, awaited);
}

bool ic_conn_is_active(const struct ic_conn *c)
{
    return c->state == IC_ST_ACTIVE;
}

/* --- who is at the ends --- */

static void keep_address(struct ic_addr *a, const struct sockaddr_storage *s)
{
    if (s->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)s;
        a->family = AF_INET;
        a->port = ntohs(in->sin_port);
        memcpy(a->ip, &in->sin_addr, sizeof in->sin_addr);
    } else if (s->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const void *)s;
        bool mapped = IN6_IS_ADDR_V4MAPPED(&in->sin6_addr); /* shown as what it is: IPv4 */
        a->family = mapped ? AF_INET : AF_INET6;
        a->port = ntohs(in->sin6_port);
        memcpy(a->ip, in->sin6_addr.s6_addr + (mapped ? 12 : 0), mapped ? 4 : 16);
    }
}

void ic_conn_addresses(struct ic_conn *c)
{
    if (!c->tp || c->proxied) {
        return;
    }
    struct sockaddr_storage s;
    socklen_t n = sizeof s;
    if (getsockname(c->tp->fd, (struct sockaddr *)&s, &n) == 0) {
        keep_address(&c->local, &s);
    }
    n = sizeof s;
    if (getpeername(c->tp->fd, (struct sockaddr *)&s, &n) == 0) {
        keep_address(&c->remote, &s);
    }
}

static int show_address(const struct ic_addr *a, char *host, size_t n)
{
    if (!a->family || !inet_ntop(a->family, a->ip, host, (socklen_t)n)) {
        *host = '\0';
        return 0;
    }
    return a->port;
}

static struct ic_tp *tls_of(const struct ic_conn *c)
{
    if (!c->tp || (c->ep_type != IW_EP_SSL && c->ep_type != IW_EP_WSS)) {
        return NULL;
    }
    return c->ws ? ic_ws_lower(c->tp) : c->tp;
}

void ic_conn_get_info(const struct ic_conn *c, struct ic_conn_info *info)
{
    static const char *const names[] = {
        [IW_EP_TCP] = "tcp", [IW_EP_SSL] = "ssl", [IW_EP_WS] = "ws", [IW_EP_WSS] = "wss"};
    *info = (struct ic_conn_info){.incoming = c->incoming, .bytes_in = c->bytes_in, .bytes_out = c->bytes_out};
    info->transport = c->pipe ? "inproc" : names[c->ep_type];
    info->secure = c->ep_type == IW_EP_SSL || c->ep_type == IW_EP_WSS;
    info->local_port = show_address(&c->local, info->local_host, sizeof info->local_host);
    info->remote_port = show_address(&c->remote, info->remote_host, sizeof info->remote_host);
    struct ic_tp *tls = tls_of(c);
    info->cipher = tls ? ic_tls_cipher(tls) : "";
    info->has_peer_cert = tls && ic_tls_peer_cert(tls, 0);
}

static struct ib_str from_bio(BIO *bio, struct ib_arena *arena)
{
    char *p;
    long n = bio ? BIO_get_mem_data(bio, &p) : 0;
    struct ib_str s = n > 0 ? ib_arena_str(arena, (struct ib_str){p, (size_t)n}) : (struct ib_str){"", 0};
    BIO_free(bio);
    return s.p ? s : (struct ib_str){"", 0};
}

size_t ic_conn_peer_certs(const struct ic_conn *c, struct ib_arena *arena, struct ib_str **pem)
{
    struct ic_tp *tls = tls_of(c);
    size_t n = 0;
    while (tls && ic_tls_peer_cert(tls, n)) {
        n++;
    }
    *pem = n ? IB_ARENA_ARRAY(arena, n, struct ib_str) : NULL;
    if (!*pem) {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        BIO *bio = BIO_new(BIO_s_mem());
        if (bio) {
            PEM_write_bio_X509(bio, ic_tls_peer_cert(tls, i));
        }
        (*pem)[i] = from_bio(bio, arena);
    }
    return n;
}

struct ib_str ic_conn_peer_subject(const struct ic_conn *c, struct ib_arena *arena)
{
    struct ic_tp *tls = tls_of(c);
    const X509 *leaf = tls ? ic_tls_peer_cert(tls, 0) : NULL;
    BIO *bio = leaf ? BIO_new(BIO_s_mem()) : NULL;
    if (!bio) {
        return (struct ib_str){"", 0};
    }
    X509_NAME_print_ex(bio, X509_get_subject_name(leaf), 0, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB);
    return from_bio(bio, arena);
}
