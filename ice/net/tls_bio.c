/* SPDX-License-Identifier: Apache-2.0 */
/* The socket under TLS: raises no SIGPIPE. OpenSSL wants a BIO for each connection, with a lock and a reference count,
   which is more than a descriptor is worth; all those of a loop share one, for only one of them is served at a time.
   What a BIO remembers of its last call (shall it be tried again?) is asked before the next connection has its turn. */
#include "loop_priv.h"
#include "tls_priv.h"

#include <errno.h>
#include <stdlib.h>

struct ic_tls_bio {
    BIO_METHOD *method; /* owns, as bio */
    BIO *bio;
    int fd; /* of the connection that is served */
    const SSL *ssl; /* its; borrows */
};

static const struct ic_tls_bio *of(BIO *bio)
{
    return BIO_get_data(bio);
}

/* A ticket is no reason to wake the client: it leaves with the message that follows the handshake. */
static int sock_write(BIO *bio, const char *p, int n)
{
    int more = SSL_get_state(of(bio)->ssl) == TLS_ST_SW_SESSION_TICKET ? MSG_MORE : 0;
    ssize_t put = send(of(bio)->fd, p, (size_t)n, MSG_NOSIGNAL | more);
    BIO_clear_retry_flags(bio);
    if (put < 0 && (errno == EAGAIN || errno == EINTR)) {
        BIO_set_retry_write(bio);
    }
    return (int)put;
}

static int sock_read(BIO *bio, char *p, int n)
{
    ssize_t got = recv(of(bio)->fd, p, (size_t)n, 0);
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

void ic_tls_bio_serve(struct ic_loop *loop, int fd, const SSL *ssl)
{
    loop->tls_bio->fd = fd;
    loop->tls_bio->ssl = ssl;
}
