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

#define UMLAUTS "p\303\244ssw\303\266rd"

/* Made by others: openssl passwd (1, 5, 6), hashlib (PBKDF2), published vectors (bcrypt, scrypt, passlib), or by
   libxcrypt where only it knows the scheme. */
static void hashes_of_others(void **state)
{
    (void)state;
    const struct {
        const char *password, *hash;
        enum auth_hash_grade grade;
    } cases[] = {
        {"pw", "abzlUXK5ed5rs", AUTH_HASH_WEAK},
        {"pw", "_J9..rasm6f5ycSbUcd6", AUTH_HASH_WEAK},
        {"pw", "$3$$8cc19b6a8cfeac299c2871c86b38de28", AUTH_HASH_WEAK},
        {"pw", "$1$saltsalt$6SNdNaZLKst2LlSm7oPPL1", AUTH_HASH_GOOD},
        {"pw", "$5$saltsalt$0rl.MZtoLLPP3X0Rdl8riRnphIcAXJY27/aOAyK2hB5", AUTH_HASH_GOOD},
        {UMLAUTS, "$5$rounds=1000$saltsalt$YRVhx9PBSueDWHkEqtuHEqx1Nq8ox8e8Dq1KpMd3bdC", AUTH_HASH_GOOD},
        {"pw", "$6$saltsalt$pauPrmdmG4BTE9h2HPmywiw152IFch6BJCEsaY6D.PLTfpV8sqvXwWdyfsgVgozkYH9B80bAip/08R2BPH2xk/",
         AUTH_HASH_GOOD},
        {UMLAUTS, "$6$saltsalt$TQjRhpJdqmLx0U8it3EsUajwkmOMMvw5vhUFc7mohzFFoj/QHrfYUHU1oSkwyCEoTUCDOiAOW135nel3bqtKe.",
         AUTH_HASH_GOOD},
        {"pw",
         "$6$rounds=1000$k2XAnEHBqQ1Ct2aM$Huy.Q4gpscj70skMMpP6en2E66FvqNaa8v.kzRPypOo8iAYR8FG8LLmewRlZkdb3VMFDEWLmyGm"
         "Cy0j5E0/eC0",
         AUTH_HASH_GOOD},
        {"U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", AUTH_HASH_GOOD},
        {"pw", "$2b$04$KBCwKxOzLha2MUDgW0PjXeHeA6RFjwuQook1qJZxSCCFGf7mJ9Nk.", AUTH_HASH_GOOD},
        {"pw", "$2y$04$KBCwKxOzLha2MUDgW0PjXeHeA6RFjwuQook1qJZxSCCFGf7mJ9Nk.", AUTH_HASH_GOOD},
        {"pleaseletmein", "$7$C6..../....SodiumChloride$kBGj9fHznVYFQMEn/qDCfrDevf9YDtcDdKvEqHJLV8D", AUTH_HASH_GOOD},
        {"pw", "$y$j75$k2XAnEHBqQ1Ct2aMXFKNa/HAmA1BpMnBsYHMWB4NZN4$d1IFTYgYINgTve4cSeKy8D9FYw/bKL/gzaawC.8qnJ7",
         AUTH_HASH_GOOD},
        {"pw", "$gy$j75$k2XAnEHBqQ1Ct2aMXFKNa/HAmA1BpMnBsYHMWB4NZN4$oCgrAauiJB4TkuJ4tO1ipJcYhuB86UfFKiXTuEle515",
         AUTH_HASH_GOOD},
        {"password", "$pbkdf2-sha256$6400$0ZrzXitFSGltTQnBWOsdAw$Y11AchqV4b0sUisdZd0Xr97KWoymNE0LNNrnEgY4H9M",
         AUTH_HASH_GOOD},
        {"pw",
         "$pbkdf2-sha512$1000$c2FsdHNhbHQ$G.1BfL9NZ."
         "7pX1Kqu3bOIPPyYjBGnfYPyogikEjYNxEYrLr5zUVkLffEx9C9CpjE7G33i1YnJ0NvhrzX9"
         ".d8nA",
         AUTH_HASH_GOOD},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char wrong[64];
        size_t n = strlen(cases[i].password);
        memcpy(wrong, cases[i].password, n + 1);
        wrong[n - 1] ^= 1;
        if (auth_hash_grade(cases[i].hash) != cases[i].grade) {
            fail_msg("grade of %s", cases[i].hash);
        }
        if (!auth_hash_check(ib_str(cases[i].password), cases[i].hash)) {
            fail_msg("refused: %s", cases[i].hash);
        }
        if (auth_hash_check(ib_str(wrong), cases[i].hash) || auth_hash_check(IB_STR(""), cases[i].hash) ||
            auth_hash_check((struct ib_str){cases[i].password, n + 1}, cases[i].hash)) { /* with its NUL */
            fail_msg("accepted a wrong password: %s", cases[i].hash);
        }
    }
}

/* As long as a password may be, in UTF-8; one byte more is none. */
static void long_passwords(void **state)
{
    (void)state;
    static const char hash[] = "$pbkdf2-sha256$1$c2FsdHNhbHQ$eZuZz3TFisls2YOeafgWiqAwKcN6LhNd7Az7zUFpayQ";
    char text[AUTH_PASSWORD_MAX + 2], made[AUTH_HASH_MAX + 1];
    struct ib_err err = {0};
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = "\303\244"[i % 2];
    }
    assert_true(auth_hash_check((struct ib_str){text, 510}, hash));
    assert_false(auth_hash_check((struct ib_str){text, 509}, hash));
    assert_false(auth_hash_check((struct ib_str){text, 511}, hash));
    struct ib_str longest = {text, AUTH_PASSWORD_MAX};
    text[AUTH_PASSWORD_MAX] = '\0';
    assert_int_equal(auth_passwd_hash(longest, "sha512", 1000, made, sizeof(made), &err), 0);
    assert_true(auth_hash_check(longest, made));
    assert_false(auth_hash_check((struct ib_str){text, AUTH_PASSWORD_MAX + 1}, made));
    text[AUTH_PASSWORD_MAX - 1] = '\0';
    assert_false(auth_hash_check((struct ib_str){text, AUTH_PASSWORD_MAX - 1}, made));
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
                         "_J9..rasm6f5ycSbUcd",
                         "_J9..rasm6f5ycSbUc!6",
                         "$2b$04$KBCwKxOzLha2MUDgW0PjX!HeA6RFjwuQook1qJZxSCCFGf7mJ9Nk.",
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
        cmocka_unit_test(hashes_of_others),
        cmocka_unit_test(long_passwords),
        cmocka_unit_test(what_is_no_hash),
        cmocka_unit_test(a_good_file),
        cmocka_unit_test(the_dummy_hash_is_one),
        cmocka_unit_test(complaints),
        cmocka_unit_test(mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
