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
    BIO_METHOD *socket; /* owns; sockets without SIGPIPE */
    int verify_peer, verify_depth_max, check_cert_name;
    bool has_cert;
    char *trust_out, *trust_in; /* own; TrustOnly values for outgoing and incoming connections */
};

BIO_METHOD *ic_tls_socket_method(void);
/* The newest error of OpenSSL's queue, which is emptied; never NULL. */
const char *ic_tls_reason(void);

#endif
