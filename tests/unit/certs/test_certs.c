/* SPDX-License-Identifier: Apache-2.0 */
/* The certificate maker: chains verify, names match, keys are private, nothing is overwritten unasked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include <openssl/pkcs12.h>
#include <openssl/x509v3.h>

#include <moulin/certs/certs.h>

#include "certs_priv.h"

struct fx {
    char dir[64];
};

static int setup(void **state)
{
    struct fx *fx = calloc(1, sizeof(*fx));
    (void)snprintf(fx->dir, sizeof(fx->dir), "/tmp/moulin-certs-XXXXXX");
    *state = fx;
    return mkdtemp(fx->dir) ? 0 : -1;
}

static int teardown(void **state)
{
    struct fx *fx = *state;
    static const char *const names[] = {"ca.pem", "ca.key", "gw.pem", "gw.key", "al.pem", "al.key", "al.p12"};
    char path[128];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", fx->dir, names[i]);
        (void)unlink(path);
    }
    int rc = rmdir(fx->dir); /* fails when something else was left behind */
    free(fx);
    return rc;
}

static int make(const struct fx *fx, enum certs_kind kind, const char *name, bool force, struct ib_err *err)
{
    static const char *const hosts[] = {"localhost", "127.0.0.1", "::1"};
    return certs_make(&(struct certs_request){.kind = kind,
                                              .dir = fx->dir,
                                              .name = name,
                                              .days = 10,
                                              .force = force,
                                              .hosts = hosts,
                                              .n_hosts = kind == CERTS_SERVER ? 3 : 0,
                                              .p12_password = kind == CERTS_CLIENT ? "sesame" : NULL},
                      err);
}

static X509 *load(const struct fx *fx, const char *name)
{
    char path[128];
    X509 *cert = NULL;
    (void)snprintf(path, sizeof(path), "%s/%s", fx->dir, name);
    assert_int_equal(certs_read_cert(path, &cert, NULL), 0);
    return cert;
}

static bool verifies(X509 *ca, X509 *cert, int purpose)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    assert_true(X509_STORE_add_cert(store, ca) == 1 && X509_STORE_CTX_init(ctx, store, cert, NULL) == 1);
    (void)X509_STORE_CTX_set_purpose(ctx, purpose);
    bool ok = X509_verify_cert(ctx) == 1;
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    return ok;
}

static void chains_and_names(void **state)
{
    struct fx *fx = *state;
    struct ib_err err = {0};
    assert_int_equal(make(fx, CERTS_CA, NULL, false, &err), 0);
    assert_int_equal(make(fx, CERTS_SERVER, "gw", false, &err), 0);
    assert_int_equal(make(fx, CERTS_CLIENT, "al", false, &err), 0);
    X509 *ca = load(fx, "ca.pem"), *gw = load(fx, "gw.pem"), *al = load(fx, "al.pem");
    assert_true(verifies(ca, gw, X509_PURPOSE_SSL_SERVER));
    assert_true(verifies(ca, gw, X509_PURPOSE_SSL_CLIENT));
    assert_true(verifies(ca, al, X509_PURPOSE_SSL_CLIENT));
    assert_false(verifies(ca, al, X509_PURPOSE_SSL_SERVER));
    assert_int_equal(X509_check_ip_asc(gw, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(gw, "::1", 0), 1);
    assert_int_equal(X509_check_host(gw, "localhost", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(gw, "example.com", 0, 0, NULL), 0);
    X509_free(ca);
    X509_free(gw);
    X509_free(al);
}

static void files_are_private(void **state)
{
    struct fx *fx = *state;
    assert_int_equal(make(fx, CERTS_CA, NULL, false, NULL), 0);
    assert_int_equal(make(fx, CERTS_CLIENT, "al", false, NULL), 0);
    static const char *const names[] = {"ca.key", "al.key", "al.p12"};
    for (size_t i = 0; i < 3; i++) {
        char path[128];
        struct stat st;
        (void)snprintf(path, sizeof(path), "%s/%s", fx->dir, names[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
}

static void nothing_is_overwritten(void **state)
{
    struct fx *fx = *state;
    struct ib_err err = {0};
    assert_int_equal(make(fx, CERTS_SERVER, "gw", false, &err), IB_EFILE); /* no authority yet */
    assert_int_equal(make(fx, CERTS_CA, NULL, false, &err), 0);
    X509 *first = load(fx, "ca.pem");
    assert_int_equal(make(fx, CERTS_CA, NULL, false, &err), IB_EEXISTS);
    X509 *same = load(fx, "ca.pem");
    assert_int_equal(X509_cmp(first, same), 0);
    assert_int_equal(make(fx, CERTS_CA, NULL, true, &err), 0);
    X509 *other = load(fx, "ca.pem");
    assert_int_not_equal(X509_cmp(first, other), 0);
    X509_free(first);
    X509_free(same);
    X509_free(other);
}

static void bad_requests(void **state)
{
    struct fx *fx = *state;
    static const char *const bad_host[] = {"a b,DNS:evil"};
    assert_int_equal(make(fx, CERTS_CA, NULL, false, NULL), 0);
    assert_int_equal(make(fx, CERTS_SERVER, "../gw", false, NULL), IB_EINVAL);
    assert_int_equal(make(fx, CERTS_SERVER, "", false, NULL), IB_EINVAL);
    assert_int_equal(make(fx, CERTS_SERVER, "ca", true, NULL), IB_EINVAL);
    struct certs_request rq = {
        .kind = CERTS_SERVER, .dir = fx->dir, .name = "gw", .days = 1, .hosts = bad_host, .n_hosts = 1};
    assert_int_equal(certs_make(&rq, NULL), IB_EINVAL);
    rq.dir = "/proc/nowhere";
    assert_int_equal(certs_make(&rq, NULL), IB_EFILE);
}

static void pkcs12_opens_with_its_password(void **state)
{
    struct fx *fx = *state;
    assert_int_equal(make(fx, CERTS_CA, NULL, false, NULL), 0);
    assert_int_equal(make(fx, CERTS_CLIENT, "al", false, NULL), 0);
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/al.p12", fx->dir);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    PKCS12 *p12 = d2i_PKCS12_fp(f, NULL);
    (void)fclose(f);
    assert_non_null(p12);
    EVP_PKEY *key = NULL;
    X509 *cert = NULL;
    assert_int_equal(PKCS12_parse(p12, "wrong", &key, &cert, NULL), 0);
    assert_int_equal(PKCS12_parse(p12, "sesame", &key, &cert, NULL), 1);
    assert_int_equal(X509_check_private_key(cert, key), 1);
    EVP_PKEY_free(key);
    X509_free(cert);
    PKCS12_free(p12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(chains_and_names, setup, teardown),
        cmocka_unit_test_setup_teardown(files_are_private, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_overwritten, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(pkcs12_opens_with_its_password, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
