/* SPDX-License-Identifier: Apache-2.0 */
/* `moulin passwd`: asks for a password twice and prints "user hash". */
#include <moulin/auth/passwd.h>

#include <crypt.h>
#include <ctype.h>
#include <getopt.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include <moulin/base/clock.h>
#include <moulin/base/secret.h>

#include "hash.h"

struct scheme {
    const char *name, *prefix;
    unsigned long cost, cost_min, cost_max;
};

static const struct scheme schemes[] = {
    {"yescrypt", "$y$", 5, 1, 11},
    {"sha512", "$6$", 500000, 1000, 10000000},
    {"bcrypt", "$2b$", 12, 4, 20},
    {"pbkdf2-sha256", "$pbkdf2-sha256$", 600000, 1000, 10000000},
};

static const struct scheme *scheme_find(const char *name)
{
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (strcmp(schemes[i].name, name) == 0) {
            return &schemes[i];
        }
    }
    return NULL;
}

/* Passlib's base64: '.' for '+', no padding. */
static void base64(const uint8_t *p, size_t n, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789./";
    for (size_t i = 0; i < n; i += 3) {
        size_t k = n - i < 3 ? n - i : 3;
        uint32_t bits = (uint32_t)p[i] << 16 | (k > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (k > 2 ? p[i + 2] : 0);
        for (size_t j = 0; j <= k; j++) {
            *out++ = digits[bits >> (18 - 6 * j) & 63];
        }
    }
    *out = '\0';
}

static int hash_pbkdf2(struct ib_str password, unsigned long rounds, char *out, size_t cap, struct ib_err *err)
{
    uint8_t salt[16], key[32];
    char salt64[24], key64[48];
    ib_random(salt, sizeof(salt));
    if (PKCS5_PBKDF2_HMAC(ib_cstr(password), (int)password.n, salt, (int)sizeof(salt), (int)rounds, EVP_sha256(),
                          (int)sizeof(key), key) != 1) {
        return ib_err_set(err, IB_ENOMEM, "cannot compute the hash");
    }
    base64(salt, sizeof(salt), salt64);
    base64(key, sizeof(key), key64);
    (void)snprintf(out, cap, "$pbkdf2-sha256$%lu$%s$%s", rounds, salt64, key64);
    return 0;
}

static int hash_crypt(struct ib_str password, const struct scheme *s, unsigned long cost, char *out, size_t cap,
                      struct ib_err *err)
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    struct crypt_data *data = calloc(1, sizeof(*data));
    if (!data) {
        return ib_err_set(err, IB_ENOMEM, "out of memory");
    }
    int rc = 0;
    const char *hash = NULL;
    if (crypt_gensalt_rn(s->prefix, cost, NULL, 0, setting, (int)sizeof(setting))) {
        hash = crypt_rn(ib_cstr(password), setting, data, (int)sizeof(*data));
    }
    if (hash && hash[0] != '*') {
        (void)snprintf(out, cap, "%s", hash);
    } else {
        rc =
            ib_err_set(err, IB_EUNSUPPORTED, "this system's libcrypt cannot make %s hashes of cost %lu", s->name, cost);
    }
    ib_wipe(data, sizeof(*data));
    free(data);
    return rc;
}

int auth_passwd_hash(struct ib_str password, const char *scheme, unsigned long cost, char *out, size_t cap,
                     struct ib_err *err)
{
    const struct scheme *s = scheme_find(scheme);
    if (!s) {
        return ib_err_set(err, IB_EINVAL, "unknown scheme `%s': use yescrypt, sha512, bcrypt or pbkdf2-sha256", scheme);
    }
    if (cost && (cost < s->cost_min || cost > s->cost_max)) {
        return ib_err_set(err, IB_EINVAL, "cost %lu is out of range: %s takes %lu to %lu", cost, s->name, s->cost_min,
                          s->cost_max);
    }
    if (password.n > AUTH_PASSWORD_MAX || memchr(ib_cstr(password), 0, password.n)) {
        return ib_err_set(err, IB_EINVAL, "passwords have at most %d bytes and no NUL", AUTH_PASSWORD_MAX);
    }
    cost = cost ? cost : s->cost;
    return s->prefix[1] == 'p' ? hash_pbkdf2(password, cost, out, cap, err)
                               : hash_crypt(password, s, cost, out, cap, err);
}

static const char usage[] =
    "Usage: moulin passwd [options] USER\n"
    "Prints a line for a password file (Glacier2.CryptPasswords), to be appended to it:\n"
    "    moulin passwd alice >> passwords\n"
    "Asks for the password on the terminal; reads one line from standard input when that is no terminal.\n"
    "Options:\n"
    "  -s, --scheme NAME  yescrypt (default), sha512, bcrypt or pbkdf2-sha256\n"
    "  -c, --cost N       work factor of the scheme (rounds for sha512 and pbkdf2)\n"
    "  -h, --help         this text\n";

static int complain(const char *name, const char *text)
{
    (void)fprintf(stderr, "%s: %s\n", name, text);
    return 1;
}

static bool user_is_valid(const char *user)
{
    for (const char *p = user; *p; p++) {
        if (isspace((unsigned char)*p) || iscntrl((unsigned char)*p)) {
            return false;
        }
    }
    return user[0] && user[0] != '#' && strlen(user) <= 255;
}

/* Into out[AUTH_PASSWORD_MAX + 1]; asked twice on a terminal. */
static int ask_password(const char *user, char *out, struct ib_err *err)
{
    char prompt[300], again[AUTH_PASSWORD_MAX + 1];
    bool tty;
    (void)snprintf(prompt, sizeof(prompt), "Password for %s: ", user);
    int rc = auth_prompt(prompt, &tty, out, AUTH_PASSWORD_MAX + 1, err);
    if (rc != 0 || !tty) {
        return rc;
    }
    rc = auth_prompt("Again: ", &tty, again, sizeof(again), err);
    if (rc == 0 && strcmp(out, again) != 0) {
        rc = ib_err_set(err, IB_EINVAL, "the two passwords differ; nothing was printed");
    }
    ib_wipe(again, sizeof(again));
    return rc;
}

static int print_line(const char *name, const char *user, const char *scheme, unsigned long cost)
{
    char password[AUTH_PASSWORD_MAX + 1], hash[AUTH_HASH_MAX + 1];
    struct ib_err err = {0};
    int rc = ask_password(user, password, &err);
    if (rc == 0 && password[0] == '\0') {
        rc = ib_err_set(&err, IB_EINVAL, "the password is empty");
    }
    if (rc == 0) {
        rc = auth_passwd_hash(ib_str(password), scheme, cost, hash, sizeof(hash), &err);
    }
    ib_wipe(password, sizeof(password));
    if (rc != 0) {
        return complain(name, err.text);
    }
    if (printf("%s %s\n", user, hash) < 0 || fflush(stdout) != 0) {
        return complain(name, "cannot write to standard output");
    }
    return 0;
}

int auth_passwd_main(int argc, char **argv)
{
    static const struct option options[] = {{"scheme", required_argument, NULL, 's'},
                                            {"cost", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const char *scheme = "yescrypt";
    unsigned long cost = 0;
    char *end;
    int opt;
    optind = 1;
    while ((opt = getopt_long(argc, argv, "s:c:h", options, NULL)) != -1) {
        switch (opt) {
        case 's':
            scheme = optarg;
            break;
        case 'c':
            cost = strtoul(optarg, &end, 10);
            if (!isdigit((unsigned char)optarg[0]) || *end || cost == 0) {
                return complain(argv[0], "--cost takes a positive number");
            }
            break;
        case 'h':
            (void)fputs(usage, stdout);
            return 0;
        default:
            (void)fputs(usage, stderr);
            return 1;
        }
    }
    if (optind != argc - 1) {
        (void)fputs(usage, stderr);
        return 1;
    }
    if (!user_is_valid(argv[optind])) {
        return complain(argv[0], "a user name is 1 to 255 characters without blanks and does not begin with '#'");
    }
    return print_line(argv[0], argv[optind], scheme, cost);
}
