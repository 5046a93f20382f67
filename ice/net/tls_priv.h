/* SPDX-License-Identifier: Apache-2.0 */
/* A TLS context as its connections see it. */
#ifndef ICE_NET_TLS_PRIV_H
#define ICE_NET_TLS_PRIV_H

#include "transport.h"

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

/* tls_bio.c: the BIO of a loop. Serve names the connection that is called next. */
struct ic_tls_bio;
bool ic_tls_bio_lend(struct ic_loop *loop, SSL *ssl); /* false: memory is short */
void ic_tls_bio_serve(struct ic_loop *loop, int fd, const SSL *ssl);
void ic_tls_memory(void); /* tls_mem.c; before OpenSSL is used */
/* The newest error of OpenSSL's queue, which is emptied; never NULL. */
const char *ic_tls_reason(void);

#endif
