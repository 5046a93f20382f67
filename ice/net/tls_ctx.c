/* SPDX-License-Identifier: Apache-2.0 */
/* TLS contexts: IceSSL properties into an SSL_CTX (ice-protocol 14.3), with errors that say which property and file
   is at fault. */
#include "tls_priv.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define PATH_CAP 4096
/* OpenSSL's, but AES-128 first: as safe for all we know, and its SHA-256 makes handshakes cheaper and what a connection
   keeps of them smaller. A security level (Ciphers, IceSSL.SecurityLevel) that asks for more leaves it out. */
#define TLS_1_3_CIPHERS "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

static bool set(const char *s)
{
    return s && *s;
}

const char *ic_tls_reason(void)
{
    unsigned long e = ERR_peek_last_error();
    const char *text = e ? ERR_reason_error_string(e) : NULL;
    if (e && !text && ERR_SYSTEM_ERROR(e)) {
        text = strerror(ERR_GET_REASON(e));
    }
    ERR_clear_error();
    return text ? text : "unknown reason";
}

/* The file as given, or below DefaultDir. */
static int find_file(const struct ic_tls_config *cfg, const char *property, const char *file, char path[PATH_CAP],
                     struct ib_err *err)
{
    struct stat st;
    int n = snprintf(path, PATH_CAP, "%s", file);
    if (n < PATH_CAP && stat(path, &st) == 0) {
        return 0;
    }
    if (set(cfg->default_dir) && *file != '/') {
        n = snprintf(path, PATH_CAP, "%s/%s", cfg->default_dir, file);
        if (n < PATH_CAP && stat(path, &st) == 0) {
            return 0;
        }
        return ib_err_set(err, IB_ECONFIG, "%s: there is no file `%s', nor in IceSSL.DefaultDir `%s'", property, file,
                          cfg->default_dir);
    }
    return ib_err_set(err, IB_ECONFIG, "%s: there is no file `%s'", property, file);
}

/* --- certificates --- */

static int password_cb(char *buf, int size, int rwflag, void *arg)
{
    (void)rwflag;
    const char *password = arg;
    size_t n = password ? strlen(password) : 0;
    if (size < 0 || n > (size_t)size) {
        return 0;
    }
    memcpy(buf, password ? password : "", n);
    return (int)n;
}

static int use_pkcs12(SSL_CTX *ctx, PKCS12 *p12, const char *password, const char *path, struct ib_err *err)
{
    EVP_PKEY *key = NULL;
    X509 *cert = NULL;
    STACK_OF(X509) *chain = NULL;
    if (!PKCS12_parse(p12, password ? password : "", &key, &cert, &chain)) {
        return ib_err_set(err, IB_ECONFIG, "IceSSL.CertFile: cannot open `%s': %s (is IceSSL.Password right?)", path,
                          ic_tls_reason());
    }
    int rc = 0;
    if (!key || !cert || SSL_CTX_use_cert_and_key(ctx, cert, key, chain, 1) != 1) {
        rc = ib_err_set(err, IB_ECONFIG, "IceSSL.CertFile: `%s' holds no usable certificate with its key: %s", path,
                        ic_tls_reason());
    }
    EVP_PKEY_free(key);
    X509_free(cert);
    sk_X509_pop_free(chain, X509_free);
    return rc;
}

/* *was_p12 tells whether the file held its key, too. */
static int use_cert_file(SSL_CTX *ctx, const char *path, const char *password, bool *was_p12, struct ib_err *err)
{
    *was_p12 = false;
    BIO *bio = BIO_new_file(path, "rb");
    if (!bio) {
        return ib_err_set(err, IB_ECONFIG, "IceSSL.CertFile: cannot read `%s': %s", path, ic_tls_reason());
    }
    PKCS12 *p12 = d2i_PKCS12_bio(bio, NULL);
    BIO_free(bio);
    ERR_clear_error();
    if (p12) {
        *was_p12 = true;
        int rc = use_pkcs12(ctx, p12, password, path, err);
        PKCS12_free(p12);
        return rc;
    }
    if (SSL_CTX_use_certificate_chain_file(ctx, path) != 1) {
        return ib_err_set(err, IB_ECONFIG, "IceSSL.CertFile: `%s' is neither PKCS#12 nor a PEM certificate: %s", path,
                          ic_tls_reason());
    }
    return 0;
}

static int use_key_file(SSL_CTX *ctx, const char *path, struct ib_err *err)
{
    if (SSL_CTX_use_PrivateKey_file(ctx, path, SSL_FILETYPE_PEM) != 1) {
        return ib_err_set(err, IB_ECONFIG,
                          "IceSSL.KeyFile: cannot use the private key in `%s': %s (an encrypted key needs "
                          "IceSSL.Password; a key must belong to its certificate)",
                          path, ic_tls_reason());
    }
    return 0;
}

/* The i-th part of a list separated by ':'; false when there are fewer. */
static bool part(const char *list, int i, char out[PATH_CAP])
{
    const char *p = list;
    while (i-- > 0) {
        p = strchr(p, ':');
        if (!p) {
            return false;
        }
        p++;
    }
    snprintf(out, PATH_CAP, "%.*s", (int)strcspn(p, ":"), p);
    return *out != '\0';
}

static int load_certs(struct ic_tls *t, const struct ic_tls_config *cfg, struct ib_err *err)
{
    char file[PATH_CAP], path[PATH_CAP];
    if (!set(cfg->cert_file)) {
        return 0;
    }
    for (int i = 0; part(cfg->cert_file, i, file); i++) {
        bool was_p12;
        int rc = find_file(cfg, "IceSSL.CertFile", file, path, err);
        if (rc == 0) {
            rc = use_cert_file(t->ctx, path, cfg->password, &was_p12, err);
        }
        if (rc == 0 && !was_p12) {
            if (set(cfg->key_file) && part(cfg->key_file, i, file)) {
                rc = find_file(cfg, "IceSSL.KeyFile", file, path, err);
            }
            rc = rc == 0 ? use_key_file(t->ctx, path, err) : rc;
        }
        if (rc < 0) {
            return rc;
        }
        t->has_cert = true;
    }
    return 0;
}

/* --- whom to trust --- */

static int load_cas(struct ic_tls *t, const struct ic_tls_config *cfg, struct ib_err *err)
{
    if (!set(cfg->cas)) {
        if (cfg->use_platform_cas && SSL_CTX_set_default_verify_paths(t->ctx) != 1) {
            return ib_err_set(err, IB_ECONFIG, "IceSSL.UsePlatformCAs: %s", ic_tls_reason());
        }
        return 0;
    }
    char path[PATH_CAP];
    struct stat st;
    int rc = find_file(cfg, "IceSSL.CAs", cfg->cas, path, err);
    if (rc < 0) {
        return rc;
    }
    bool dir = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    if (SSL_CTX_load_verify_locations(t->ctx, dir ? NULL : path, dir ? path : NULL) != 1) {
        return ib_err_set(err, IB_ECONFIG, "IceSSL.CAs: no certificates can be read from `%s': %s", path,
                          ic_tls_reason());
    }
    if (!dir) { /* tells clients which of their certificates we may like */
        STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(path);
        if (names) {
            SSL_CTX_set_client_CA_list(t->ctx, names); /* takes */
        }
        ERR_clear_error();
    }
    return 0;
}

/* A certificate without a chain of its own goes out with what IceSSL.CAs can complete it by. OpenSSL would find that
   again in each handshake, verifying every signature; so it is done once. What cannot be found is not sent. */
static void complete_chains(struct ic_tls *t)
{
    for (long at = SSL_CERT_SET_FIRST; SSL_CTX_set_current_cert(t->ctx, at) == 1; at = SSL_CERT_SET_NEXT) {
        STACK_OF(X509) *chain = NULL;
        if (SSL_CTX_get0_chain_certs(t->ctx, &chain) == 1 && !chain) {
            SSL_CTX_build_cert_chain(t->ctx, SSL_BUILD_CHAIN_FLAG_IGNORE_ERROR | SSL_BUILD_CHAIN_FLAG_CLEAR_ERROR);
        }
    }
    ERR_clear_error();
}

static int load_crls(struct ic_tls *t, const struct ic_tls_config *cfg, struct ib_err *err)
{
    if (cfg->revocation_check <= 0) {
        return 0;
    }
    if (!set(cfg->crl_files)) {
        return ib_err_set(err, IB_ECONFIG,
                          "IceSSL.RevocationCheck needs IceSSL.CertificateRevocationListFiles (online checks are not "
                          "supported)");
    }
    X509_STORE *store = SSL_CTX_get_cert_store(t->ctx);
    X509_LOOKUP *lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
    char file[PATH_CAP], path[PATH_CAP];
    for (int i = 0; part(cfg->crl_files, i, file); i++) {
        int rc = find_file(cfg, "IceSSL.CertificateRevocationListFiles", file, path, err);
        if (rc < 0) {
            return rc;
        }
        if (!lookup || X509_load_crl_file(lookup, path, X509_FILETYPE_PEM) <= 0) {
            return ib_err_set(err, IB_ECONFIG,
                              "IceSSL.CertificateRevocationListFiles: `%s' holds no revocation list: %s", path,
                              ic_tls_reason());
        }
    }
    X509_STORE_set_flags(store, cfg->revocation_check >= 2 ? X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL
                                                           : X509_V_FLAG_CRL_CHECK);
    return 0;
}

/* Two TrustOnly values as one. */
static char *join(const char *a, const char *b)
{
    size_t n = (a ? strlen(a) : 0) + (b ? strlen(b) : 0) + 2;
    char *s = malloc(n);
    if (s) {
        snprintf(s, n, "%s%s%s", a ? a : "", set(a) && set(b) ? ";" : "", b ? b : "");
    }
    return s;
}

static int set_trust(struct ic_tls *t, const struct ic_tls_config *cfg, struct ib_err *err)
{
    t->trust_out = join(cfg->trust_only, cfg->trust_only_client);
    t->trust_in = join(cfg->trust_only, cfg->trust_only_server);
    if (!t->trust_out || !t->trust_in) {
        return ib_err_set(err, IB_ENOMEM, "out of memory");
    }
    const char *values[] = {t->trust_out, t->trust_in};
    for (int i = 0; i < 2; i++) {
        bool accept, reject;
        if (set(values[i]) && ic_tls_trust_match(values[i], "CN=x", &accept, &reject) < 0) {
            return ib_err_set(err, IB_ECONFIG, "IceSSL.TrustOnly: malformed distinguished name in `%s'", values[i]);
        }
    }
    return 0;
}

/* --- protocols and ciphers --- */

static const struct {
    const char *name;
    int version;
    uint64_t off;
} versions[] = {
    {"SSL3", SSL3_VERSION, SSL_OP_NO_SSLv3},        {"SSLV3", SSL3_VERSION, SSL_OP_NO_SSLv3},
    {"TLS", TLS1_VERSION, SSL_OP_NO_TLSv1},         {"TLS1", TLS1_VERSION, SSL_OP_NO_TLSv1},
    {"TLSV1", TLS1_VERSION, SSL_OP_NO_TLSv1},       {"TLS1_0", TLS1_VERSION, SSL_OP_NO_TLSv1},
    {"TLSV1_0", TLS1_VERSION, SSL_OP_NO_TLSv1},     {"TLS1_1", TLS1_1_VERSION, SSL_OP_NO_TLSv1_1},
    {"TLSV1_1", TLS1_1_VERSION, SSL_OP_NO_TLSv1_1}, {"TLS1_2", TLS1_2_VERSION, SSL_OP_NO_TLSv1_2},
    {"TLSV1_2", TLS1_2_VERSION, SSL_OP_NO_TLSv1_2}, {"TLS1_3", TLS1_3_VERSION, SSL_OP_NO_TLSv1_3},
    {"TLSV1_3", TLS1_3_VERSION, SSL_OP_NO_TLSv1_3},
};
#define N_VERSIONS (sizeof versions / sizeof *versions)

static int set_protocols(SSL_CTX *ctx, const char *list, struct ib_err *err)
{
    uint64_t wanted = 0, all = 0;
    int lowest = TLS1_3_VERSION;
    const char *p = set(list) ? list : "TLS1_2,TLS1_3";
    for (p += strspn(p, ", \t"); *p; p += strspn(p, ", \t")) {
        size_t n = strcspn(p, ", \t"), i = 0;
        while (i < N_VERSIONS && (strlen(versions[i].name) != n || strncasecmp(p, versions[i].name, n) != 0)) {
            i++;
        }
        if (i == N_VERSIONS) {
            return ib_err_set(err, IB_ECONFIG,
                              "IceSSL.Protocols: unknown protocol `%.*s' (known: TLS1_0, TLS1_1, TLS1_2, TLS1_3)",
                              (int)n, p);
        }
        wanted |= versions[i].off;
        lowest = versions[i].version < lowest ? versions[i].version : lowest;
        p += n;
    }
    for (size_t i = 0; i < N_VERSIONS; i++) {
        all |= versions[i].off;
    }
    SSL_CTX_set_options(ctx, all & ~wanted);
    if (!wanted || SSL_CTX_set_min_proto_version(ctx, lowest) != 1) {
        return ib_err_set(err, IB_ECONFIG, "IceSSL.Protocols: nothing usable in `%s'", list ? list : "");
    }
    return 0;
}

static int set_up(struct ic_tls *t, const struct ic_tls_config *cfg, struct ib_err *err)
{
    SSL_CTX *ctx = t->ctx;
    SSL_CTX_set_mode(ctx,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_dh_auto(ctx, 1);
    /* Sessions resume by tickets: nothing is kept on our side. */
    static const unsigned char id[] = "moulin";
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_id_context(ctx, id, sizeof id - 1);
    SSL_CTX_set_num_tickets(ctx, 1);
    SSL_CTX_set_default_passwd_cb(ctx, password_cb);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, (void *)(uintptr_t)cfg->password);
    if (cfg->security_level >= 0) {
        SSL_CTX_set_security_level(ctx, cfg->security_level);
    }
    int rc =
        SSL_CTX_set_ciphersuites(ctx, TLS_1_3_CIPHERS) == 1 ? 0 : ib_err_set(err, IB_EINIT, "TLS: %s", ic_tls_reason());
    rc = rc == 0 ? set_protocols(ctx, cfg->protocols, err) : rc;
    if (rc == 0 && set(cfg->ciphers) && SSL_CTX_set_cipher_list(ctx, cfg->ciphers) != 1) {
        rc = ib_err_set(err, IB_ECONFIG, "IceSSL.Ciphers: no usable cipher in `%s'", cfg->ciphers);
    }
    rc = rc == 0 ? load_certs(t, cfg, err) : rc;
    rc = rc == 0 ? load_cas(t, cfg, err) : rc;
    if (rc == 0) {
        complete_chains(t);
    }
    rc = rc == 0 ? load_crls(t, cfg, err) : rc;
    rc = rc == 0 ? set_trust(t, cfg, err) : rc;
    SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL); /* borrowed during this call only */
    ERR_clear_error();
    return rc;
}

struct ic_tls *ic_tls_new(const struct ic_tls_config *cfg, struct ib_err *err)
{
    struct ic_tls *t = calloc(1, sizeof *t);
    if (!t) {
        ib_err_set(err, IB_ENOMEM, "out of memory");
        return NULL;
    }
    atomic_init(&t->refs, 1);
    t->verify_peer = cfg->verify_peer;
    t->verify_depth_max = cfg->verify_depth_max;
    t->check_cert_name = cfg->check_cert_name;
    ic_tls_memory();
    t->ctx = SSL_CTX_new(TLS_method());
    int rc = t->ctx ? set_up(t, cfg, err) : ib_err_set(err, IB_ENOMEM, "cannot make a TLS context");
    if (rc < 0) {
        ic_tls_unref(t);
        return NULL;
    }
    return t;
}

struct ic_tls *ic_tls_ref(struct ic_tls *tls)
{
    atomic_fetch_add(&tls->refs, 1);
    return tls;
}

void ic_tls_unref(struct ic_tls *tls)
{
    if (!tls || atomic_fetch_sub(&tls->refs, 1) != 1) {
        return;
    }
    SSL_CTX_free(tls->ctx);
    free(tls->trust_out);
    free(tls->trust_in);
    free(tls);
}

bool ic_tls_has_cert(const struct ic_tls *tls)
{
    return tls && tls->has_cert;
}
