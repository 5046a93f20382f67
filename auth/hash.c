/* SPDX-License-Identifier: Apache-2.0 */
/* Checking one password against one stored hash. Owns nothing beyond a call. */
#include "hash.h"

#include <crypt.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include <moulin/base/secret.h>

#define PBKDF2_ROUNDS_MAX 10000000
#define PBKDF2_SALT_MAX 256
#define DES_LENGTH 13
#define BSDI_LENGTH 20

struct pbkdf2 {
    const EVP_MD *md;
    int rounds;
    uint8_t salt[PBKDF2_SALT_MAX], key[EVP_MAX_MD_SIZE];
    size_t salt_n, key_n;
};

struct pbkdf2_scheme {
    const char *prefix;
    const EVP_MD *(*md)(void);
    size_t key_n;
};

static const struct pbkdf2_scheme schemes[] = {
    {"$pbkdf2$", EVP_sha1, 20},
    {"$pbkdf2-sha256$", EVP_sha256, 32},
    {"$pbkdf2-sha512$", EVP_sha512, 64},
};

static const struct pbkdf2_scheme *pbkdf2_scheme(const char *stored)
{
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (strncmp(stored, schemes[i].prefix, strlen(schemes[i].prefix)) == 0) {
            return &schemes[i];
        }
    }
    return NULL;
}

static int base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789./";
    const char *p = c ? strchr(digits, c) : NULL;
    return p ? (int)(p - digits) : -1;
}

/* Passlib's base64: '.' for '+', no padding. False when it is none or longer than cap bytes. */
static bool base64_decode(const char *p, size_t n, uint8_t *out, size_t cap, size_t *out_n)
{
    uint32_t bits = 0;
    unsigned have = 0;
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        int d = base64_digit(p[i]);
        if (d < 0) {
            return false;
        }
        bits = (bits << 6 | (uint32_t)d) & 0xffffff;
        have += 6;
        if (have >= 8) {
            if (k == cap) {
                return false;
            }
            have -= 8;
            out[k++] = (uint8_t)(bits >> have);
        }
    }
    *out_n = k;
    return n % 4 != 1;
}

static bool pbkdf2_parse(const struct pbkdf2_scheme *s, const char *stored, struct pbkdf2 *out)
{
    const char *rounds = stored + strlen(s->prefix);
    const char *salt = strchr(rounds, '$');
    const char *key = salt ? strchr(salt + 1, '$') : NULL;
    if (!key || rounds[0] < '1' || rounds[0] > '9') {
        return false;
    }
    char *end;
    unsigned long r = strtoul(rounds, &end, 10);
    if (end != salt || r > PBKDF2_ROUNDS_MAX) {
        return false;
    }
    out->md = s->md();
    out->rounds = (int)r;
    salt++;
    key++;
    return base64_decode(salt, (size_t)(key - 1 - salt), out->salt, sizeof(out->salt), &out->salt_n) &&
           base64_decode(key, strlen(key), out->key, sizeof(out->key), &out->key_n) && out->key_n == s->key_n;
}

static bool pbkdf2_check(struct ib_str password, const struct pbkdf2 *p)
{
    uint8_t key[EVP_MAX_MD_SIZE];
    bool ok = PKCS5_PBKDF2_HMAC(ib_cstr(password), (int)password.n, p->salt, (int)p->salt_n, p->rounds, p->md,
                                (int)p->key_n, key) == 1 &&
              ib_equal_ct(key, p->key, p->key_n);
    ib_wipe(key, sizeof(key));
    return ok;
}

/* Without '$' only traditional DES and BSDi's variant with '_' are hashes; any other text would be taken for one by its
   first two characters. */
static bool is_des(const char *stored)
{
    size_t bsdi = stored[0] == '_', n = strlen(stored);
    return n == (bsdi ? BSDI_LENGTH : DES_LENGTH) &&
           strspn(stored + bsdi, "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == n - bsdi;
}

/* MD4 without salt or rounds, as NT has it. */
static bool is_nt(const char *stored)
{
    return strncmp(stored, "$3$", 3) == 0;
}

enum auth_hash_grade auth_hash_grade(const char *stored)
{
    const struct pbkdf2_scheme *s = pbkdf2_scheme(stored);
    if (s) {
        struct pbkdf2 p;
        return pbkdf2_parse(s, stored, &p) ? AUTH_HASH_GOOD : AUTH_HASH_UNKNOWN;
    }
    if (strlen(stored) > AUTH_HASH_MAX) {
        return AUTH_HASH_UNKNOWN;
    }
    if (stored[0] != '$') {
        return is_des(stored) ? AUTH_HASH_WEAK : AUTH_HASH_UNKNOWN;
    }
    const char *last = strrchr(stored, '$');
    int salt = crypt_checksalt(stored);
    return last == stored || last[1] == '\0' || salt == CRYPT_SALT_INVALID || salt == CRYPT_SALT_METHOD_DISABLED
               ? AUTH_HASH_UNKNOWN
           : is_nt(stored) ? AUTH_HASH_WEAK
                           : AUTH_HASH_GOOD;
}

static bool crypt_check(struct ib_str password, const char *stored)
{
    struct crypt_data *data = calloc(1, sizeof(*data));
    if (!data) {
        return false;
    }
    const char *got = crypt_rn(ib_cstr(password), stored, data, (int)sizeof(*data));
    size_t n = strlen(stored);
    bool ok = got && got[0] != '*' && strlen(got) == n && ib_equal_ct(got, stored, n);
    ib_wipe(data, sizeof(*data));
    free(data);
    return ok;
}

bool auth_hash_check(struct ib_str password, const char *stored)
{
    if (password.n > AUTH_PASSWORD_MAX || (password.n && memchr(password.p, 0, password.n))) {
        return false;
    }
    const struct pbkdf2_scheme *s = pbkdf2_scheme(stored);
    if (s) {
        struct pbkdf2 p;
        return pbkdf2_parse(s, stored, &p) && pbkdf2_check(password, &p);
    }
    return auth_hash_grade(stored) != AUTH_HASH_UNKNOWN && crypt_check(password, stored);
}
