/* SPDX-License-Identifier: Apache-2.0 */
/* Password files: every hash form, the parser's complaints, unknown users. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include <moulin/auth/passwd.h>
#include <moulin/auth/password_file.h>
#include <moulin/base/span.h>

#include "hash.h"

#define PBKDF2_SHA256 "$pbkdf2-sha256$1000$c2FsdHNhbHQ$A.Pkljr7A4W/zbzUWSStAfjTCX2GWVTHwva2WigH9ow"
#define PBKDF2_SHA1 "$pbkdf2$1000$c2FsdHNhbHQ$Vl.gS4wwEJ9RAyHsOgr4PehaAtc"

static void hashes_of_the_specification(void **state)
{
    (void)state;
    assert_true(auth_hash_check(IB_STR("pw"), PBKDF2_SHA256));
    assert_true(auth_hash_check(IB_STR("pw"), PBKDF2_SHA1));
    assert_false(auth_hash_check(IB_STR("px"), PBKDF2_SHA256));
    assert_false(auth_hash_check(IB_STR(""), PBKDF2_SHA1));
    assert_false(auth_hash_check(IB_STR("pw\0x"), PBKDF2_SHA1));
}

static void every_scheme_we_make(void **state)
{
    (void)state;
    const struct {
        const char *scheme;
        unsigned long cost;
    } cases[] = {{"yescrypt", 1}, {"sha512", 1000}, {"bcrypt", 4}, {"pbkdf2-sha256", 1000}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char hash[AUTH_HASH_MAX + 1];
        struct ib_err err = {0};
        assert_int_equal(auth_passwd_hash(IB_STR("s3cret"), cases[i].scheme, cases[i].cost, hash, sizeof(hash), &err),
                         0);
        assert_int_equal(auth_hash_grade(hash), AUTH_HASH_GOOD);
        assert_true(auth_hash_check(IB_STR("s3cret"), hash));
        assert_false(auth_hash_check(IB_STR("s3creT"), hash));
        hash[strlen(hash) - 2] ^= 1;
        assert_false(auth_hash_check(IB_STR("s3cret"), hash));
    }
    char hash[AUTH_HASH_MAX + 1];
    struct ib_err err = {0};
    assert_int_not_equal(auth_passwd_hash(IB_STR("x"), "rot13", 0, hash, sizeof(hash), &err), 0);
    assert_int_not_equal(auth_passwd_hash(IB_STR("x"), "bcrypt", 99, hash, sizeof(hash), &err), 0);
}

static void what_is_no_hash(void **state)
{
    (void)state;
    const char *bad[] = {"plain",
                         "",
                         "$",
                         "$$",
                         "$6$",
                         "$6$salt$",
                         "$zz$salt$hash",
                         "0123456789abc!",
                         "$pbkdf2-sha256$0$c2FsdA$AAAA",
                         "$pbkdf2-sha256$99999999999999999999$c2FsdA$AAAA",
                         "$pbkdf2$10$c2FsdA$AAAA",
                         "$pbkdf2$10$c2FsdA",
                         "$pbkdf2$10x$c2FsdHNhbHQ$Vl.gS4wwEJ9RAyHsOgr4PehaAtc"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(auth_hash_grade(bad[i]), AUTH_HASH_UNKNOWN);
        assert_false(auth_hash_check(IB_STR("plain"), bad[i]));
    }
    assert_int_equal(auth_hash_grade("abzlUXK5ed5rs"), AUTH_HASH_WEAK);
    char huge[2000];
    memset(huge, 'A', sizeof(huge) - 1);
    huge[sizeof(huge) - 1] = '\0';
    memcpy(huge, "$6$", 3);
    assert_int_equal(auth_hash_grade(huge), AUTH_HASH_UNKNOWN);
    memcpy(huge, "$pbkdf2$9$", 10);
    assert_int_equal(auth_hash_grade(huge), AUTH_HASH_UNKNOWN);
    assert_false(auth_hash_check((struct ib_str){huge, AUTH_PASSWORD_MAX + 1}, PBKDF2_SHA1));
}

static void a_good_file(void **state)
{
    (void)state;
    struct ib_err err = {0};
    struct auth_password_file *f = auth_password_file_parse(
        "p", IB_STR("# users\n\n  alice\t" PBKDF2_SHA256 "  \r\nbob " PBKDF2_SHA1 "\n   \nold abzlUXK5ed5rs"), NULL,
        &err);
    assert_non_null(f);
    assert_int_equal(auth_password_file_count(f), 3);
    bool known = false;
    assert_string_equal(auth_password_file_hash(f, IB_STR("bob"), &known), PBKDF2_SHA1);
    assert_true(known);
    assert_string_equal(auth_password_file_hash(f, IB_STR("bo"), &known), PBKDF2_SHA256);
    assert_false(known);
    auth_password_file_free(f);
}

static void the_dummy_hash_is_one(void **state)
{
    (void)state;
    struct auth_password_file *f = auth_password_file_parse("p", IB_STR(""), NULL, NULL);
    assert_non_null(f);
    bool known = true;
    assert_int_equal(auth_hash_grade(auth_password_file_hash(f, IB_STR("x"), &known)), AUTH_HASH_GOOD);
    assert_false(known);
    auth_password_file_free(f);
}

static void complaints(void **state)
{
    (void)state;
    const struct {
        const char *text, *where;
    } cases[] = {
        {"alice\n", "p:1:6: expected a password hash"},
        {"\n a " PBKDF2_SHA1 " b\n", "p:2:57: expected the end of the line"},
        {"a " PBKDF2_SHA1 "\na " PBKDF2_SHA1, "p:2:1: this user has an entry in line 1"},
        {"a plain\n", "p:1:3: this is no password hash"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ib_err err = {0};
        assert_null(auth_password_file_parse("p", ib_str(cases[i].text), NULL, &err));
        assert_int_equal(err.code, IB_ECONFIG);
        if (strncmp(err.text, cases[i].where, strlen(cases[i].where)) != 0) {
            fail_msg("expected `%s', got `%s'", cases[i].where, err.text);
        }
    }
    struct ib_err err = {0};
    assert_null(auth_password_file_load("/nonexistent/passwords", NULL, &err));
    assert_int_equal(err.code, IB_EFILE);
    assert_null(auth_password_file_load("/dev/zero", NULL, &err));
}

/* Every prefix of a good file and every byte of it changed: an error or a table, nothing else. */
static void mutations(void **state)
{
    (void)state;
    static const char good[] = "alice " PBKDF2_SHA1 "\nbob abzlUXK5ed5rs\n";
    char text[sizeof(good)];
    for (size_t n = 0; n < sizeof(good); n++) {
        auth_password_file_free(auth_password_file_parse("p", (struct ib_str){good, n}, NULL, NULL));
        for (int c = 0; c < 256; c += 7) {
            memcpy(text, good, sizeof(good));
            text[n] = (char)c;
            auth_password_file_free(auth_password_file_parse("p", (struct ib_str){text, sizeof(text)}, NULL, NULL));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_of_the_specification),
        cmocka_unit_test(every_scheme_we_make),
        cmocka_unit_test(what_is_no_hash),
        cmocka_unit_test(a_good_file),
        cmocka_unit_test(the_dummy_hash_is_one),
        cmocka_unit_test(complaints),
        cmocka_unit_test(mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
