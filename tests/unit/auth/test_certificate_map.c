/* SPDX-License-Identifier: Apache-2.0 */
/* Certificate maps: what fits, which line counts, and the parser's complaints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <moulin/auth/certificate_map.h>

#define SUBJECT "CN=alice,O=Test Org,C=US"
#define SANS                                                                                                           \
    "email:alice@example.org,DNS:Alice.Example.org,URI:urn:user:alice,otherName:1.3.6.1.4.1.311.20.2.3;UTF8:alice@AD," \
    "IP:127.0.0.1"

/* A certificate as PEM, in memory. cn2: a second common name. */
struct certificate {
    BIO *bio;
    struct ib_str pem;
};

static void add_name(X509_NAME *name, const char *field, const char *value)
{
    assert_int_equal(X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const unsigned char *)value, -1, -1, 0),
                     1);
}

static struct certificate certificate(const char *cn2, const char *sans)
{
    struct certificate c = {BIO_new(BIO_s_mem()), {0}};
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    X509_set_version(x, 2);
    X509_gmtime_adj(X509_getm_notBefore(x), 0);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_NAME *name = X509_get_subject_name(x);
    add_name(name, "C", "US");
    add_name(name, "O", "Test Org");
    add_name(name, "CN", "alice");
    if (cn2) {
        add_name(name, "CN", cn2);
    }
    X509_EXTENSION *ext = sans ? X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, sans) : NULL;
    assert_true(!sans || ext);
    if (ext) {
        X509_add_ext(x, ext, -1);
    }
    X509_set_pubkey(x, key);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_bio_X509(c.bio, x), 1);
    char *p;
    long n = BIO_get_mem_data(c.bio, &p);
    c.pem = (struct ib_str){p, (size_t)n};
    X509_EXTENSION_free(ext);
    X509_free(x);
    EVP_PKEY_free(key);
    return c;
}

static void expect(const char *lines, const struct certificate *c, const char *user)
{
    struct ib_err err = {0};
    struct auth_certificate_map *m = auth_certificate_map_parse("map", ib_str(lines), &err);
    if (!m) {
        fail_msg("%s", err.text);
    }
    const struct ib_str got = auth_certificate_map_user(m, IB_STR(SUBJECT), c->pem);
    if (!ib_str_is(got, user)) {
        fail_msg("`%s' gives `%.*s'", lines, (int)got.n, got.p);
    }
    auth_certificate_map_free(m);
}

static void every_kind(void **state)
{
    (void)state;
    struct certificate c = certificate(NULL, SANS);
    expect("subject \"" SUBJECT "\" al", &c, "al");
    expect("subject '" SUBJECT "' \"al ice\"", &c, "al ice");
    expect("subject CN=alice al", &c, "");
    expect("subject \"CN=ALICE,O=Test Org,C=US\" al", &c, "");
    expect("cn alice al", &c, "al");
    expect("cn Alice al", &c, "");
    expect("cn alic al", &c, "");
    expect("san email:alice@example.org al", &c, "al");
    expect("san email:Alice@example.org al", &c, "");
    expect("san dns:ALICE.example.org al", &c, "al");
    expect("san dns:example.org al", &c, "");
    expect("san uri:urn:user:alice al", &c, "al");
    expect("san upn:alice@AD al", &c, "al");
    expect("san upn:alice@example.org al", &c, "");
    expect("san dns:127.0.0.1 al", &c, "");
    expect("", &c, "");
    expect("# nobody\n\n  \t\n", &c, "");
    BIO_free(c.bio);
}

static void first_line_wins(void **state)
{
    (void)state;
    struct certificate c = certificate(NULL, SANS);
    expect("cn bob no\r\nsan upn:alice@AD first\ncn alice second\nsubject \"" SUBJECT "\" third\n", &c, "first");
    expect("subject \"" SUBJECT "\" first\ncn alice second\nsan upn:alice@AD third", &c, "first");
    expect("\tcn  alice\tfirst  \nsubject \"" SUBJECT "\" second", &c, "first");
    BIO_free(c.bio);
}

static void ambiguous_or_none(void **state)
{
    (void)state;
    struct certificate two = certificate("root", NULL), plain = certificate(NULL, NULL);
    expect("cn alice al\ncn root r", &two, "");
    expect("san email:alice@example.org al", &plain, "");
    expect("cn alice al", &plain, "al");
    const struct certificate broken = {NULL, IB_STR("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")};
    const struct certificate none = {NULL, {"", 0}};
    expect("subject \"" SUBJECT "\" al", &broken, "");
    expect("subject \"" SUBJECT "\" al", &none, "");
    BIO_free(two.bio);
    BIO_free(plain.bio);
}

static void complaints(void **state)
{
    (void)state;
    static const struct {
        const char *lines, *says;
    } cases[] = {
        {"cn alice al\nuser bob b", "map:2:1: expected `subject'"},
        {"cn", "map:1:3: expected a name"},
        {"  cn alice", "map:1:11: expected the user"},
        {"cn alice al x", "map:1:13: expected the end"},
        {"subject CN=a,O=Test Org al", "map:1:25: expected the end"},
        {"subject \"CN=a al", "map:1:9: this quote is not closed"},
        {"subject \"CN=a\\\" al", "map:1:9: this quote is not closed"},
        {"subject \"CN=a\"al x", "map:1:15: expected a blank"},
        {"cn \"\" x", "map:1:4: this is empty"},
        {"cn x ''", "map:1:6: this is empty"},
        {"san alice al", "map:1:5: expected email:"},
        {"san email: al", "map:1:5: expected email:"},
        {"san ip:127.0.0.1 al", "map:1:5: expected email:"},
        {"cn a b\n\ncn a c", "map:3:4: line 1 has this name"},
        {"san dns:a.b b\nsan dns:A.B c", "map:2:5: line 1 has this name"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ib_err err = {0};
        struct auth_certificate_map *m = auth_certificate_map_parse("map", ib_str(cases[i].lines), &err);
        if (m || strncmp(err.text, cases[i].says, strlen(cases[i].says)) != 0) {
            fail_msg("`%s': %s", cases[i].lines, err.text);
        }
    }
    struct ib_err err = {0};
    assert_null(auth_certificate_map_parse("map", IB_STR("cn a\0b c"), &err));
    assert_null(auth_certificate_map_load("/nowhere/map", &err));
    assert_non_null(strstr(err.text, "/nowhere/map"));
    assert_null(auth_certificate_map_load("/dev/zero", &err));
    char user[300];
    memset(user, 'u', sizeof(user));
    memcpy(user, "cn a ", 5);
    assert_null(auth_certificate_map_parse("map", (struct ib_str){user, sizeof(user)}, &err));
    struct auth_certificate_map *m = auth_certificate_map_parse("map", (struct ib_str){user, 5 + 255}, &err);
    assert_int_equal(auth_certificate_map_count(m), 1);
    auth_certificate_map_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_kind), cmocka_unit_test(first_line_wins),
                                       cmocka_unit_test(ambiguous_or_none), cmocka_unit_test(complaints)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
