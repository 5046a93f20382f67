/* SPDX-License-Identifier: Apache-2.0 */
/* The TLS transport: OpenSSL straight on a nonblocking socket, no buffers while idle. Checks the peer when the
   handshake is done: chain length, name, TrustOnly (ice-protocol 14.3). */
#include "tls_priv.h"
#include "loop_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tls {
    struct ic_tp tp;
    SSL *ssl; /* owns */
    struct ic_tls_wire wire;
    struct ic_tls *ctx; /* shares */
    struct ic_loop *loop;
    char *host; /* owns; what the certificate is checked against; NULL: nothing */
    bool connected; /* TCP is */
    bool lost; /* memory was short for a record that is encrypted: nothing that follows it makes sense */
    bool open; /* handshake done, no fatal error since: close_notify may be sent */
};

static struct tls *of(struct ic_tp *tp)
{
    return (struct tls *)(void *)tp;
}

static const struct tls *of_const(const struct ic_tp *tp)
{
    return (const struct tls *)(const void *)tp;
}

/* --- after the handshake --- */

static const X509 *leaf_of(const struct tls *t)
{
    return SSL_get0_peer_certificate(t->ssl);
}

static int check_depth(const struct tls *t, struct ib_err *err)
{
    const STACK_OF(X509) *chain = SSL_get0_verified_chain(t->ssl);
    int max = t->ctx->verify_depth_max;
    if (!chain) {
        chain = SSL_get_peer_cert_chain(t->ssl);
    }
    if (max > 0 && chain && sk_X509_num(chain) > max) {
        return ib_err_set(err, IB_ESECURITY, "the peer's certificate chain has %d links: IceSSL.VerifyDepthMax is %d",
                          sk_X509_num(chain), max);
    }
    return 0;
}

static bool is_address(const char *host)
{
    struct in6_addr a;
    return inet_pton(AF_INET, host, &a) == 1 || inet_pton(AF_INET6, host, &a) == 1;
}

static int check_name(const struct tls *t, X509 *leaf, struct ib_err *err)
{
    if (!t->tp.outgoing || !t->host || t->ctx->check_cert_name < 1) {
        return 0;
    }
    int ok = is_address(t->host) ? X509_check_ip_asc(leaf, t->host, 0) : X509_check_host(leaf, t->host, 0, 0, NULL);
    return ok == 1 ? 0
                   : ib_err_set(err, IB_ESECURITY, "the server's certificate is not for `%s' (IceSSL.CheckCertName)",
                                t->host);
}

static int check_trust(const struct tls *t, const X509 *leaf, struct ib_err *err)
{
    const char *filter = t->tp.outgoing ? t->ctx->trust_out : t->ctx->trust_in;
    if (!*filter) {
        return 0;
    }
    if (!leaf) {
        return ib_err_set(err, IB_ESECURITY, "the peer has no certificate, IceSSL.TrustOnly demands one");
    }
    BIO *bio = BIO_new(BIO_s_mem());
    char *subject = NULL;
    bool accept = false, reject = true;
    if (bio &&
        X509_NAME_print_ex(bio, X509_get_subject_name(leaf), 0,
                           XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB) >= 0 &&
        BIO_write(bio, "", 1) == 1) {
        BIO_get_mem_data(bio, &subject);
        if (ic_tls_trust_match(filter, subject, &accept, &reject) < 0) {
            accept = false;
        }
    }
    BIO_free(bio);
    return accept && !reject ? 0
                             : ib_err_set(err, IB_ESECURITY, "the peer's certificate is refused by IceSSL.TrustOnly");
}

static int check_peer(struct tls *t, struct ib_err *err)
{
    X509 *leaf = SSL_get1_peer_certificate(t->ssl);
    int rc = check_trust(t, leaf, err);
    if (rc == 0 && leaf) {
        rc = check_depth(t, err);
        rc = rc == 0 ? check_name(t, leaf, err) : rc;
    } else if (rc == 0 && t->tp.outgoing && t->ctx->check_cert_name > 0 && t->host) {
        rc = ib_err_set(err, IB_ESECURITY, "the server has no certificate to check (IceSSL.CheckCertName)");
    }
    X509_free(leaf);
    free(t->host);
    t->host = NULL;
    return rc;
}

/* Failures of revocation lists have a code of their own: an expired one shuts everybody out, and somebody must hear. */
static int not_trusted(long verdict, struct ib_err *err)
{
    switch (verdict) {
    case X509_V_ERR_CERT_REVOKED:
        return ib_err_set(err, IB_EREVOCATION, "TLS: the peer's certificate is revoked");
    case X509_V_ERR_CRL_HAS_EXPIRED:
        return ib_err_set(err, IB_EREVOCATION,
                          "TLS: the revocation list of the peer's issuer has expired: put a fresh one into "
                          "IceSSL.CertificateRevocationListFiles");
    case X509_V_ERR_UNABLE_TO_GET_CRL:
        return ib_err_set(err, IB_EREVOCATION,
                          "TLS: there is no revocation list of the peer's issuer in "
                          "IceSSL.CertificateRevocationListFiles");
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
    case X509_V_ERR_CRL_PATH_VALIDATION_ERROR:
    case X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD:
    case X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD:
        return ib_err_set(err, IB_EREVOCATION, "TLS: the revocation list of the peer's issuer is of no use: %s",
                          X509_verify_cert_error_string(verdict));
    default:
        return ib_err_set(err, IB_ESECURITY, "TLS: the peer's certificate is not trusted: %s",
                          X509_verify_cert_error_string(verdict));
    }
}

/* Before a call whose outcome will be asked. Looking for old errors is cheaper than clearing them. */
static void ready(struct tls *t)
{
    if (ERR_peek_error()) {
        ERR_clear_error();
    }
    ic_tls_bio_serve(t->loop, &t->wire);
    errno = 0;
}

/* What OpenSSL said about a call that gave n <= 0, as a transport says it. Needs the errno of that call. */
static int outcome(struct tls *t, int n, bool handshake, struct ib_err *err)
{
    int failed = errno;
    switch (SSL_get_error(t->ssl, n)) {
    case SSL_ERROR_WANT_READ:
        return IC_TP_READABLE;
    case SSL_ERROR_WANT_WRITE:
        return IC_TP_WRITABLE;
    case SSL_ERROR_ZERO_RETURN:
        return handshake ? ib_err_set(err, IB_ELOST, "connection closed during the TLS handshake") : 0;
    case SSL_ERROR_SYSCALL:
        t->open = false;
        ERR_clear_error();
        if (n == 0 || failed == 0) {
            return handshake ? ib_err_set(err, IB_ELOST, "connection closed during the TLS handshake") : 0;
        }
        return ib_err_set(err, ic_tcp_error(failed, false), "%s", strerror(failed));
    default:
        t->open = false;
        break;
    }
    long verdict = SSL_get_verify_result(t->ssl);
    if (handshake && verdict != X509_V_OK && ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        ERR_clear_error();
        return not_trusted(verdict, err);
    }
    return ib_err_set(err, IB_ESECURITY, "TLS: %s", ic_tls_reason());
}

static void forget(EVP_PKEY *key)
{
    (void)EVP_PKEY_set_type(key, EVP_PKEY_get_base_id(key));
    EVP_PKEY_free(key);
}

/* OpenSSL keeps the keys of the key exchange, about half a KiB, as long as the connection: what is in them is wiped and
   freed, nobody needs them after the handshake. */
static void forget_keys(SSL *ssl)
{
    EVP_PKEY *key = NULL;
    if (SSL_get_tmp_key(ssl, &key)) {
        forget(key);
    }
    if (SSL_get_peer_tmp_key(ssl, &key)) {
        forget(key);
    }
    ERR_clear_error();
}

static int tls_handshake(struct ic_tp *tp, struct ib_err *err)
{
    struct tls *t = of(tp);
    if (!t->connected) {
        int rc = tp->outgoing ? ic_tcp_connected(tp->fd, err) : 0;
        if (rc != 0) {
            return rc;
        }
        t->connected = true;
    }
    ready(t);
    int rc = SSL_do_handshake(t->ssl);
    if (rc != 1) {
        return outcome(t, rc, true, err);
    }
    t->open = true;
    forget_keys(t->ssl);
    return check_peer(t, err);
}

static ssize_t tls_read(struct ic_tp *tp, uint8_t *p, size_t n, struct ib_err *err)
{
    struct tls *t = of(tp);
    ready(t);
    int got = SSL_read(t->ssl, p, n > INT32_MAX ? INT32_MAX : (int)n);
    return got > 0 ? got : outcome(t, got, false, err);
}

/* A write that could not be finished is tried again with the same bytes in front, at least as many: the queue only
   grows at its end, so gathering again gives just that (SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER). */
static struct ib_span record_of(struct tls *t, const struct iovec *v, int n)
{
    struct ib_span one = {v[0].iov_base, v[0].iov_len};
    uint8_t *staging = n > 1 && one.n < IC_STAGING_SIZE / 2 ? ic_staging(t->loop) : NULL;
    if (!staging) {
        return one;
    }
    size_t size = 0;
    for (int i = 0; i < n && size < IC_STAGING_SIZE; i++) { /* small pieces leave in one record */
        size_t k = IC_STAGING_SIZE - size < v[i].iov_len ? IC_STAGING_SIZE - size : v[i].iov_len;
        memcpy(staging + size, v[i].iov_base, k);
        size += k;
    }
    return (struct ib_span){staging, size};
}

/* Encrypts and sends, or for a stage only encrypts. */
static int seal(struct tls *t, struct ib_span record)
{
    ready(t);
    return SSL_write(t->ssl, record.p, record.n > INT32_MAX ? INT32_MAX : (int)record.n);
}

/* 0: all is sent; else as a transport says it. */
static int settle(struct tls *t, struct ib_err *err)
{
    if (ic_tls_settle(&t->wire)) {
        return 0;
    }
    return errno == EAGAIN || errno == EINTR ? IC_TP_WRITABLE
                                             : ib_err_set(err, ic_tcp_error(errno, false), "%s", strerror(errno));
}

static ssize_t tls_write(struct ic_tp *tp, const struct iovec *v, int n, struct ib_err *err)
{
    struct tls *t = of(tp);
    int settled = t->lost ? ib_err_set(err, IB_ENOMEM, "out of memory") : settle(t, err);
    if (settled != 0) {
        return settled;
    }
    if (t->wire.unsent_plain) {
        size_t plain = t->wire.unsent_plain;
        t->wire.unsent_plain = 0;
        return (ssize_t)plain;
    }
    int put = seal(t, record_of(t, v, n));
    if (put > 0) {
        return put;
    }
    int rc = outcome(t, put, false, err);
    return rc ? rc : ib_err_set(err, IB_ELOST, "connection closed by the peer");
}

#define RECORD_EXTRA 512 /* a record is longer than what is in it, and one about keys may come before */

/* Keeps n bytes for the next write. */
static int keep(struct tls *t, const uint8_t *p, size_t n, size_t plain)
{
    t->wire.unsent = ib_block_new(n);
    if (!t->wire.unsent) {
        return IB_ENOMEM;
    }
    memcpy(t->wire.unsent->p, p, n);
    t->wire.unsent_at = 0;
    t->wire.unsent_plain = plain;
    return 0;
}

static bool tls_stage(struct ic_tp *tp, struct ic_stage *s)
{
    struct tls *t = of(tp);
    struct ib_span record = record_of(t, s->v, s->n);
    size_t most = record.n < SSL3_RT_MAX_PLAIN_LENGTH ? record.n : SSL3_RT_MAX_PLAIN_LENGTH;
    if (t->wire.unsent || t->wire.unsent_plain || s->space < most + RECORD_EXTRA) {
        return false;
    }
    ic_tls_bio_capture(t->loop, s->room, s->space);
    int put = seal(t, record);
    s->used = ic_tls_bio_captured(t->loop);
    if (put > 0) {
        s->plain = (size_t)put;
        s->v[0] = (struct iovec){s->room, s->used};
        s->n = 1;
        return true;
    }
    t->lost = s->used && keep(t, s->room, s->used, 0) < 0;
    return false; /* a write meets the same, and says what it is */
}

static ssize_t tls_sent(struct ic_tp *tp, const struct ic_stage *s, ssize_t res, struct ib_err *err)
{
    struct tls *t = of(tp);
    if (res == (ssize_t)s->used) {
        return (ssize_t)s->plain;
    }
    if (res < 0 && res != -EAGAIN) {
        t->open = false;
        return ib_err_set(err, ic_tcp_error((int)-res, false), "%s", strerror((int)-res));
    }
    size_t at = res > 0 ? (size_t)res : 0;
    if (keep(t, s->room + at, s->used - at, s->plain) < 0) {
        t->open = false;
        return ib_err_set(err, IB_ENOMEM, "out of memory");
    }
    return IC_TP_WRITABLE;
}

static bool tls_pending(const struct ic_tp *tp)
{
    return ic_tp_fed(tp) || SSL_has_pending(of_const(tp)->ssl);
}

static void tls_free(struct ic_tp *tp)
{
    struct tls *t = of(tp);
    if (t->ssl && t->open) {
        ready(t);
        SSL_shutdown(t->ssl); /* a courtesy: close_notify if the socket takes it now */
        ERR_clear_error();
    }
    SSL_free(t->ssl);
    ib_block_unref(t->wire.unsent);
    ic_tp_fed_drop(tp);
    if (tp->fd >= 0) {
        close(tp->fd);
    }
    ic_tls_unref(t->ctx);
    free(t->host);
    free(t);
}

static const struct ic_tp_ops tls_ops = {tls_handshake, tls_read,  tls_write, tls_pending,
                                         tls_free,      tls_stage, tls_sent};

static int set_up(struct tls *t, const char *host)
{
    t->ssl = SSL_new(t->ctx->ctx);
    t->wire.ssl = t->ssl;
    if (!t->ssl || !ic_tls_bio_lend(t->loop, t->ssl)) {
        return IB_ENOMEM;
    }
    int verify = t->ctx->verify_peer < 1 ? SSL_VERIFY_NONE : SSL_VERIFY_PEER;
    if (!t->tp.outgoing) {
        verify |= t->ctx->verify_peer >= 2 ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
        SSL_set_verify(t->ssl, verify, NULL);
        SSL_set_accept_state(t->ssl);
        return 0;
    }
    SSL_set_verify(t->ssl, verify, NULL);
    SSL_set_connect_state(t->ssl);
    t->host = strdup(host);
    if (!t->host) {
        return IB_ENOMEM;
    }
    if (t->ctx->check_cert_name >= 2 && *host && !is_address(host) && SSL_set_tlsext_host_name(t->ssl, t->host) != 1) {
        return IB_EINVAL;
    }
    return 0;
}

struct ic_tp *ic_tls_tp_new(int fd, bool outgoing, struct ic_tls *ctx, const char *host, struct ic_loop *loop,
                            struct ib_err *err)
{
    struct tls *t = calloc(1, sizeof *t);
    if (!t) {
        ib_err_set(err, IB_ENOMEM, "out of memory");
        return NULL;
    }
    t->tp = (struct ic_tp){.ops = &tls_ops, .fd = -1, .outgoing = outgoing};
    t->ctx = ic_tls_ref(ctx);
    t->loop = loop;
    t->wire.tp = &t->tp;
    int rc = set_up(t, host);
    if (rc < 0) {
        ib_err_set(err, rc, "cannot start TLS: %s", ic_tls_reason());
        tls_free(&t->tp);
        return NULL;
    }
    t->tp.fd = fd;
    return &t->tp;
}

const char *ic_tls_cipher(const struct ic_tp *tp)
{
    const struct tls *t = of_const(tp);
    return t->open ? SSL_get_cipher_name(t->ssl) : "";
}

const struct x509_st *ic_tls_peer_cert(const struct ic_tp *tp, size_t i)
{
    const struct tls *t = of_const(tp);
    const STACK_OF(X509) *chain = SSL_get0_verified_chain(t->ssl);
    if (i == 0) {
        return leaf_of(t);
    }
    if (chain) {
        return i < (size_t)sk_X509_num(chain) ? sk_X509_value(chain, (int)i) : NULL;
    }
    chain = SSL_get_peer_cert_chain(t->ssl);
    size_t at = t->tp.outgoing ? i : i - 1; /* on a server OpenSSL's chain begins after the leaf */
    return chain && at < (size_t)sk_X509_num(chain) ? sk_X509_value(chain, (int)at) : NULL;
}
