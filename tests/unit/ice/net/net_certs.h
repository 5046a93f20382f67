/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates made while the tests run: a CA and what it signs, in a directory of their own. */
#ifndef MOULIN_TESTS_NET_CERTS_H
#define MOULIN_TESTS_NET_CERTS_H

#include "test.h"

#include <moulin/net/tls.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct certs {
    char dir[64];
    EVP_PKEY *ca_key;
    X509 *ca;
    long serial;
};

static inline void certs_path(const struct certs *cs, const char *name, char *out, size_t n)
{
    snprintf(out, n, "%s/%s", cs->dir, name);
}

static inline void certs_write(const struct certs *cs, const char *name, X509 *cert, EVP_PKEY *key,
                               const char *password)
{
    char path[128];
    certs_path(cs, name, path, sizeof path);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    if (cert) {
        assert_true(PEM_write_X509(f, cert));
    }
    if (key) {
        assert_true(PEM_write_PrivateKey(f, key, password ? EVP_aes_128_cbc() : NULL, NULL, 0, NULL,
                                         (void *)(uintptr_t)password));
    }
    fclose(f);
}

static inline void certs_ext(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(e);
    X509_add_ext(cert, e, -1);
    X509_EXTENSION_free(e);
}

static inline X509 *certs_sign(struct certs *cs, const char *cn, EVP_PKEY *key, bool ca, const char *san)
{
    X509 *x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), ++cs->serial);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    X509_set_pubkey(x, key);
    X509_NAME *name = X509_get_subject_name(x);
    X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)"Moulin, Tests", -1, -1, 0);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
    X509_set_issuer_name(x, cs->ca ? X509_get_subject_name(cs->ca) : name);
    if (ca) {
        certs_ext(x, x, NID_basic_constraints, "critical,CA:TRUE");
        certs_ext(x, x, NID_key_usage, "critical,keyCertSign,cRLSign");
    }
    if (san) {
        certs_ext(x, cs->ca, NID_subject_alt_name, san);
    }
    assert_true(X509_sign(x, cs->ca_key, EVP_sha256()) > 0);
    return x;
}

/* ca.pem, server.pem (with key; for 127.0.0.1 and localhost), client.pem (with key), secret.pem (key encrypted with
   "pass"), client.p12 (password "pass"), other-ca.pem. */
static inline void certs_make(struct certs *cs)
{
    memset(cs, 0, sizeof *cs);
    strcpy(cs->dir, "/tmp/moulin-net-XXXXXX");
    assert_non_null(mkdtemp(cs->dir));
    cs->ca_key = EVP_EC_gen("P-256");
    cs->ca = certs_sign(cs, "Test CA", cs->ca_key, true, NULL);
    certs_write(cs, "ca.pem", cs->ca, NULL, NULL);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = certs_sign(cs, "server", key, false, "IP:127.0.0.1,DNS:localhost");
    certs_write(cs, "server.pem", x, key, NULL);
    X509_free(x);
    x = certs_sign(cs, "client", key, false, NULL);
    certs_write(cs, "client.pem", x, key, NULL);
    certs_write(cs, "secret.pem", x, key, "pass");
    PKCS12 *p12 = PKCS12_create("pass", "client", key, x, NULL, 0, 0, 0, 0, 0);
    char path[128];
    certs_path(cs, "client.p12", path, sizeof path);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(i2d_PKCS12_fp(f, p12));
    fclose(f);
    PKCS12_free(p12);
    X509_free(x);
    struct certs other = {.serial = 100, .ca_key = key};
    x = certs_sign(&other, "Other CA", key, true, NULL);
    certs_write(cs, "other-ca.pem", x, NULL, NULL);
    X509_free(x);
    EVP_PKEY_free(key);
}

static inline void certs_remove(struct certs *cs)
{
    static const char *const names[] = {"ca.pem",     "server.pem",   "client.pem", "secret.pem",
                                        "client.p12", "other-ca.pem", "crl.pem"};
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        certs_path(cs, names[i], path, sizeof path);
        unlink(path);
    }
    rmdir(cs->dir);
    X509_free(cs->ca);
    EVP_PKEY_free(cs->ca_key);
}

/* One of the certificates, and the CA to check others by. */
static inline struct ic_tls *certs_tls(const struct certs *cs, const char *cert)
{
    struct ib_err err = {0};
    struct ic_tls_config cfg = {
        .default_dir = cs->dir, .cert_file = cert, .cas = "ca.pem", .verify_depth_max = 3, .security_level = -1};
    struct ic_tls *t = ic_tls_new(&cfg, &err);
    if (!t)
        fail_msg("%s", err.text);
    return t;
}

#endif
