/* SPDX-License-Identifier: Apache-2.0 */
/* The socket under TLS: raises no SIGPIPE. OpenSSL wants a BIO for each connection, with a lock and a reference count,
   which is more than a descriptor is worth; all those of a loop share one, for only one of them is served at a time.
   What a BIO remembers of its last call (shall it be tried again?) is asked before the next connection has its turn. */
#include "loop_priv.h"
#include "tls_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct ic_tls_bio {
    BIO_METHOD *method; /* owns, as bio */
    BIO *bio;
    struct ic_tls_wire *wire; /* of the connection that is served; borrows */
    uint8_t *capture; /* NULL: writes go to the socket */
    size_t captured, room;
};

static struct ic_tls_bio *of(BIO *bio)
{
    return BIO_get_data(bio);
}

bool ic_tls_settle(struct ic_tls_wire *w)
{
    while (w->unsent) {
        ssize_t put = send(w->tp->fd, w->unsent->p + w->unsent_at, w->unsent->n - w->unsent_at, MSG_NOSIGNAL);
        if (put < 0) {
            return false;
        }
        w->unsent_at += (size_t)put;
        if (w->unsent_at == w->unsent->n) {
            ib_block_unref(w->unsent);
            w->unsent = NULL;
        }
    }
    return true;
}

static int captures(struct ic_tls_bio *b, const char *p, size_t n)
{
    size_t k = b->room - b->captured < n ? b->room - b->captured : n;
    if (k == 0) {
        errno = EAGAIN;
        return -1;
    }
    memcpy(b->capture + b->captured, p, k);
    b->captured += k;
    return (int)k;
}

/* A ticket is no reason to wake the client: it leaves with the message that follows the handshake. */
static int sock_write(BIO *bio, const char *p, int n)
{
    struct ic_tls_bio *b = of(bio);
    int more = SSL_get_state(b->wire->ssl) == TLS_ST_SW_SESSION_TICKET ? MSG_MORE : 0;
    ssize_t put = b->capture               ? captures(b, p, (size_t)n)
                  : ic_tls_settle(b->wire) ? send(b->wire->tp->fd, p, (size_t)n, MSG_NOSIGNAL | more)
                                           : -1;
    BIO_clear_retry_flags(bio);
    if (put < 0 && (errno == EAGAIN || errno == EINTR)) {
        BIO_set_retry_write(bio);
    }
    return (int)put;
}

static int sock_read(BIO *bio, char *p, int n)
{
    ssize_t got = ic_tp_recv(of(bio)->wire->tp, p, (size_t)n);
    BIO_clear_retry_flags(bio);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        BIO_set_retry_read(bio);
    }
    return (int)got;
}

static long sock_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
    (void)bio;
    (void)num;
    (void)ptr;
    return cmd == BIO_CTRL_FLUSH || cmd == BIO_CTRL_DUP ? 1 : 0;
}

static int sock_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

static struct ic_tls_bio *bio_new(void)
{
    struct ic_tls_bio *b = calloc(1, sizeof *b);
    if (!b) {
        return NULL;
    }
    b->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "moulin socket");
    if (b->method) {
        BIO_meth_set_write(b->method, sock_write);
        BIO_meth_set_read(b->method, sock_read);
        BIO_meth_set_ctrl(b->method, sock_ctrl);
        BIO_meth_set_create(b->method, sock_create);
        b->bio = BIO_new(b->method);
    }
    if (!b->bio) {
        ic_tls_bio_free(b);
        return NULL;
    }
    BIO_set_data(b->bio, b);
    return b;
}

void ic_tls_bio_free(struct ic_tls_bio *b)
{
    if (b) {
        BIO_free(b->bio);
        BIO_meth_free(b->method);
    }
    free(b);
}

bool ic_tls_bio_lend(struct ic_loop *loop, SSL *ssl)
{
    if (!loop->tls_bio) {
        loop->tls_bio = bio_new();
    }
    if (!loop->tls_bio || !BIO_up_ref(loop->tls_bio->bio)) {
        return false;
    }
    SSL_set_bio(ssl, loop->tls_bio->bio, loop->tls_bio->bio); /* takes the reference */
    return true;
}

void ic_tls_bio_serve(struct ic_loop *loop, struct ic_tls_wire *w)
{
    loop->tls_bio->wire = w;
}

void ic_tls_bio_capture(struct ic_loop *loop, uint8_t *p, size_t n)
{
    loop->tls_bio->capture = p;
    loop->tls_bio->captured = 0;
    loop->tls_bio->room = n;
}

size_t ic_tls_bio_captured(struct ic_loop *loop)
{
    loop->tls_bio->capture = NULL;
    return loop->tls_bio->captured;
}
