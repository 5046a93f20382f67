/* SPDX-License-Identifier: Apache-2.0 */
/* A TLS context as its connections see it. */
#ifndef ICE_NET_TLS_PRIV_H
#define ICE_NET_TLS_PRIV_H

#include "transport.h"

#include <moulin/base/block.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <stdatomic.h>

struct ic_tls {
    atomic_uint refs;
    SSL_CTX *ctx; /* owns; serves both roles */
    int verify_peer, verify_depth_max, check_cert_name;
    bool has_cert;
    char *trust_out, *trust_in; /* own; TrustOnly values for outgoing and incoming connections */
};

/* A connection as OpenSSL's BIO sees it. */
struct ic_tls_wire {
    struct ic_tp *tp;
    const SSL *ssl;
    struct ib_block *unsent; /* owns; encrypted, but the socket took only the first unsent_at of it; NULL: nothing */
    size_t unsent_at;
    size_t unsent_plain; /* the user's bytes it was about; told to him when it is sent */
};
/* Sends what is unsent. False: the socket takes no more (errno is EAGAIN), or failed. */
bool ic_tls_settle(struct ic_tls_wire *w);

/* tls_bio.c: the BIO of a loop. Serve names the connection that is called next. */
struct ic_tls_bio;
bool ic_tls_bio_lend(struct ic_loop *loop, SSL *ssl); /* false: memory is short */
void ic_tls_bio_serve(struct ic_loop *loop, struct ic_tls_wire *w);
/* Until capture ends, what OpenSSL writes goes to p instead of the socket, up to n bytes. Returns how many went there. */
void ic_tls_bio_capture(struct ic_loop *loop, uint8_t *p, size_t n);
size_t ic_tls_bio_captured(struct ic_loop *loop);
void ic_tls_memory(void); /* tls_mem.c; before OpenSSL is used */
/* The newest error of OpenSSL's queue, which is emptied; never NULL. */
const char *ic_tls_reason(void);

#endif
