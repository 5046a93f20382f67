/* SPDX-License-Identifier: Apache-2.0 */
/* Making certificates: P-256 keys, SHA-256 signatures, the extensions IceSSL peers and browsers ask for. */
#include "certs_priv.h"

#include <arpa/inet.h>
#include <openssl/ec.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define CLOCK_SKEW_S 300 /* valid a little before now: the peers' clocks differ */
#define SAN_MAX 4096

struct authority {
    X509 *cert; /* owns */
    EVP_PKEY *key; /* owns */
};

static int add_extension(X509 *cert, X509 *issuer, int nid, const char *value, struct ib_err *err)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    int rc = ext && X509_add_ext(cert, ext, -1) == 1 ? 0 : certs_openssl_fault(err, value);
    X509_EXTENSION_free(ext);
    return rc;
}

/* Host names here are letters, digits, '-', '.', '_' and '*': nothing that means something to the extension parser. */
static bool is_host_name(const char *host)
{
    return host[0] && strlen(host) <= 253 &&
           strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._*") == strlen(host);
}

static int add_hosts(X509 *cert, const struct certs_request *rq, struct ib_err *err)
{
    char san[SAN_MAX];
    size_t n = 0;
    if (rq->n_hosts == 0) {
        return 0;
    }
    for (size_t i = 0; i < rq->n_hosts; i++) {
        uint8_t address[16];
        const char *host = rq->hosts[i];
        bool ip = inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
        if (!ip && !is_host_name(host)) {
            return ib_err_set(err, IB_EINVAL, "`%s' is neither an address nor a host name", host);
        }
        int k = snprintf(san + n, sizeof(san) - n, "%s%s:%s", i ? "," : "", ip ? "IP" : "DNS", host);
        if (k < 0 || (size_t)k >= sizeof(san) - n) {
            return ib_err_set(err, IB_EINVAL, "too many hosts for one certificate");
        }
        n += (size_t)k;
    }
    return add_extension(cert, cert, NID_subject_alt_name, san, err);
}

static int add_extensions(X509 *cert, X509 *issuer, const struct certs_request *rq, struct ib_err *err)
{
    static const struct {
        int nid;
        const char *value[3]; /* by kind; NULL: not there */
    } table[] = {
        {NID_basic_constraints, {"critical,CA:TRUE,pathlen:0", "critical,CA:FALSE", "critical,CA:FALSE"}},
        {NID_key_usage, {"critical,keyCertSign,cRLSign", "critical,digitalSignature", "critical,digitalSignature"}},
        {NID_ext_key_usage, {NULL, "serverAuth,clientAuth", "clientAuth"}}, /* daemons are clients of one another */
        {NID_subject_key_identifier, {"hash", "hash", "hash"}},
        {NID_authority_key_identifier, {NULL, "keyid:always", "keyid:always"}},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const char *value = table[i].value[rq->kind];
        int rc = value ? add_extension(cert, issuer, table[i].nid, value, err) : 0;
        if (rc != 0) {
            return rc;
        }
    }
    return add_hosts(cert, rq, err);
}

static bool set_serial(X509 *cert)
{
    unsigned char bytes[16];
    if (RAND_bytes(bytes, (int)sizeof(bytes)) != 1) {
        return false;
    }
    bytes[0] &= 0x7f; /* serial numbers are positive */
    BIGNUM *n = BN_bin2bn(bytes, (int)sizeof(bytes), NULL);
    bool ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)) != NULL;
    BN_free(n);
    return ok;
}

static bool set_basics(X509 *cert, EVP_PKEY *key, const struct certs_request *rq, const char *subject)
{
    X509_NAME *name = X509_get_subject_name(cert);
    return X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
           X509_gmtime_adj(X509_getm_notBefore(cert), -CLOCK_SKEW_S) &&
           X509_time_adj_ex(X509_getm_notAfter(cert), rq->days, 0, NULL) && X509_set_pubkey(cert, key) == 1 &&
           X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)"Moulin", -1, -1, 0) == 1 &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)subject, -1, -1, 0) == 1;
}

/* ca NULL: signs itself. */
static int make_cert(const struct certs_request *rq, const char *subject, const struct authority *ca, EVP_PKEY *key,
                     X509 **out, struct ib_err *err)
{
    X509 *cert = X509_new();
    int rc = 0;
    if (!cert || !set_basics(cert, key, rq, subject) ||
        X509_set_issuer_name(cert, X509_get_subject_name(ca ? ca->cert : cert)) != 1) {
        rc = certs_openssl_fault(err, subject);
    }
    if (rc == 0) {
        rc = add_extensions(cert, ca ? ca->cert : cert, rq, err);
    }
    if (rc == 0 && X509_sign(cert, ca ? ca->key : key, EVP_sha256()) == 0) {
        rc = certs_openssl_fault(err, subject);
    }
    if (rc != 0) {
        X509_free(cert);
        return rc;
    }
    *out = cert;
    return 0;
}

static int write_p12(const struct certs_request *rq, const char *path, X509 *cert, EVP_PKEY *key, X509 *issuer,
                     struct ib_err *err)
{
    STACK_OF(X509) *chain = sk_X509_new_null();
    PKCS12 *p12 = NULL;
    if (chain && (!issuer || sk_X509_push(chain, issuer) > 0)) {
        p12 = PKCS12_create(rq->p12_password, rq->name, key, cert, chain, 0, 0, 0, 0, 0);
    }
    int rc = p12 ? certs_write_p12(path, p12, err) : certs_openssl_fault(err, path);
    PKCS12_free(p12);
    sk_X509_free(chain);
    return rc;
}

static int load_authority(const struct certs_request *rq, struct authority *ca, struct ib_err *err)
{
    char path[CERTS_PATH_MAX];
    int rc = certs_path(rq, "ca", "pem", path, err);
    rc = rc ? rc : certs_read_cert(path, &ca->cert, err);
    rc = rc ? rc : certs_path(rq, "ca", "key", path, err);
    rc = rc ? rc : certs_read_key(path, &ca->key, err);
    if (rc == 0 && X509_check_private_key(ca->cert, ca->key) != 1) {
        rc = ib_err_set(err, IB_ESECURITY, "%s/ca.key is not the key of %s/ca.pem", rq->dir, rq->dir);
    }
    return rc;
}

struct paths {
    char cert[CERTS_PATH_MAX], key[CERTS_PATH_MAX], p12[CERTS_PATH_MAX];
};

static int prepare_paths(const struct certs_request *rq, const char *name, struct paths *p, struct ib_err *err)
{
    int rc = certs_path(rq, name, "pem", p->cert, err);
    rc = rc ? rc : certs_path(rq, name, "key", p->key, err);
    rc = rc ? rc : certs_path(rq, name, "p12", p->p12, err);
    rc = rc ? rc : certs_make_dir(rq->dir, err);
    rc = rc ? rc : certs_check_free(p->cert, rq->force, err);
    rc = rc ? rc : certs_check_free(p->key, rq->force, err);
    return rc || !rq->p12_password ? rc : certs_check_free(p->p12, rq->force, err);
}

int certs_make(const struct certs_request *rq, struct ib_err *err)
{
    bool is_ca = rq->kind == CERTS_CA;
    const char *name = is_ca ? "ca" : rq->name;
    if (!is_ca && name && strcmp(name, "ca") == 0) {
        return ib_err_set(err, IB_EINVAL, "the name `ca' is the authority's own; choose another");
    }
    struct paths p;
    struct authority ca = {0};
    X509 *cert = NULL;
    EVP_PKEY *key = NULL;
    int rc = prepare_paths(rq, name, &p, err);
    if (rc == 0 && !is_ca) {
        rc = load_authority(rq, &ca, err);
    }
    if (rc == 0 && !(key = EVP_EC_gen("P-256"))) {
        rc = certs_openssl_fault(err, "cannot make a key");
    }
    if (rc == 0) {
        rc = make_cert(rq, rq->subject ? rq->subject : is_ca ? "Moulin CA" : name, is_ca ? NULL : &ca, key, &cert, err);
    }
    rc = rc ? rc : certs_write_key(p.key, key, err);
    rc = rc ? rc : certs_write_cert(p.cert, cert, NULL, err);
    if (rc == 0 && rq->p12_password) {
        rc = write_p12(rq, p.p12, cert, key, ca.cert, err);
    }
    X509_free(cert);
    EVP_PKEY_free(key);
    X509_free(ca.cert);
    EVP_PKEY_free(ca.key);
    return rc;
}
