/* SPDX-License-Identifier: Apache-2.0 */
/* The strict parser of certificate maps, and the search for a certificate's user: every name the certificate has is
   looked up, and of the lines found the first counts. */
#include <moulin/auth/certificate_map.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "file.h"

#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(e) ((e)->linked = false)
#include <uthash.h>

#define USER_MAX 255
#define NAME_MAX_BYTES 4096 /* of a certificate's name in the file */

/* The first byte of a key. */
enum kind { BY_SUBJECT = 's', BY_CN = 'c', BY_EMAIL = 'e', BY_DNS = 'd', BY_URI = 'u', BY_UPN = 'p' };

struct entry {
    UT_hash_handle hh;
    unsigned line;
    bool linked; /* uthash took it */
    size_t key_n;
    struct ib_str user; /* inside text */
    char text[]; /* kind and name, NUL, user, NUL */
};

struct auth_certificate_map {
    struct entry *by_key; /* owns */
};

/* --- the file ----------------------------------------------------------------------------------------------------- */

struct cursor {
    const char *name;
    unsigned line;
    const char *start, *p, *end; /* of the line */
};

static int fault(const struct cursor *c, const char *at, struct ib_err *err, const char *what)
{
    return ib_err_set(err, IB_ECONFIG, "%s:%u:%zu: %s", c->name, c->line, (size_t)(at - c->start) + 1, what);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static const char *skip_blanks(struct cursor *c)
{
    while (c->p < c->end && is_blank(*c->p)) {
        c->p++;
    }
    return c->p;
}

/* The next word without its quotes; *at is where it begins. An empty one is an error: nothing is called so. */
static int next_word(struct cursor *c, const char *expected, const char **at, struct ib_str *out, struct ib_err *err)
{
    *at = skip_blanks(c);
    if (c->p == c->end) {
        return fault(c, c->end, err, expected);
    }
    char quote = *c->p == '"' || *c->p == '\'' ? *c->p : '\0';
    if (!quote) {
        while (c->p < c->end && !is_blank(*c->p)) {
            c->p++;
        }
        *out = (struct ib_str){*at, (size_t)(c->p - *at)};
        return 0;
    }
    const char *from = ++c->p;
    while (c->p < c->end && *c->p != quote) {
        c->p += *c->p == '\\' && c->p + 1 < c->end ? 2 : 1;
    }
    if (c->p >= c->end) {
        return fault(c, *at, err, "this quote is not closed");
    }
    *out = (struct ib_str){from, (size_t)(c->p - from)};
    c->p++;
    if (c->p < c->end && !is_blank(*c->p)) {
        return fault(c, c->p, err, "expected a blank after the closing quote");
    }
    return out->n ? 0 : fault(c, *at, err, "this is empty");
}

/* Takes "email:" and the like from the front of a subject alternative name. */
static bool san_kind(struct ib_str *name, enum kind *kind)
{
    static const struct {
        const char *word;
        enum kind kind;
    } words[] = {{"email:", BY_EMAIL}, {"dns:", BY_DNS}, {"uri:", BY_URI}, {"upn:", BY_UPN}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t n = strlen(words[i].word);
        if (name->n > n && memcmp(name->p, words[i].word, n) == 0) {
            *name = (struct ib_str){name->p + n, name->n - n};
            *kind = words[i].kind;
            return true;
        }
    }
    return false;
}

static void lower(char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        p[i] = (char)(p[i] >= 'A' && p[i] <= 'Z' ? p[i] - 'A' + 'a' : p[i]);
    }
}

static struct entry *entry_new(unsigned line, enum kind kind, struct ib_str name, struct ib_str user)
{
    struct entry *e = calloc(1, sizeof(*e) + name.n + user.n + 3);
    if (e) {
        e->line = line;
        e->linked = true;
        e->key_n = name.n + 1;
        e->text[0] = (char)kind;
        memcpy(e->text + 1, name.p, name.n);
        if (kind == BY_DNS) {
            lower(e->text + 1, name.n);
        }
        memcpy(e->text + e->key_n + 1, user.p, user.n);
        e->user = (struct ib_str){e->text + e->key_n + 1, user.n};
    }
    return e;
}

static int add(struct auth_certificate_map *m, const struct cursor *c, const char *at, struct entry *e,
               struct ib_err *err)
{
    struct entry *old;
    HASH_FIND(hh, m->by_key, e->text, e->key_n, old);
    if (old) {
        char what[80];
        (void)snprintf(what, sizeof(what), "line %u has this name already; remove one of them", old->line);
        free(e);
        return fault(c, at, err, what);
    }
    HASH_ADD_KEYPTR(hh, m->by_key, e->text, e->key_n, e);
    if (!e->linked) {
        free(e);
        return ib_err_set(err, IB_ENOMEM, "%s: out of memory", c->name);
    }
    return 0;
}

static int read_kind(struct cursor *c, enum kind *kind, const char **at, struct ib_str *name, struct ib_err *err)
{
    struct ib_str word;
    int rc = next_word(c, "", at, &word, err);
    if (rc != 0) {
        return rc;
    }
    bool san = ib_str_is(word, "san");
    *kind = ib_str_is(word, "cn") ? BY_CN : BY_SUBJECT;
    if (!san && *kind == BY_SUBJECT && !ib_str_is(word, "subject")) {
        return fault(c, *at, err, "expected `subject', `cn' or `san'");
    }
    rc = next_word(c, "expected a name of the certificate", at, name, err);
    if (rc == 0 && san && !san_kind(name, kind)) {
        rc = fault(c, *at, err, "expected email:, dns:, uri: or upn: and a name");
    }
    if (rc == 0 && name->n > NAME_MAX_BYTES) {
        rc = fault(c, *at, err, "the name is longer than 4096 bytes");
    }
    return rc;
}

static int parse_line(struct auth_certificate_map *m, struct cursor *c, struct ib_err *err)
{
    enum kind kind;
    const char *at, *user_at;
    struct ib_str name, user;
    if (skip_blanks(c) == c->end || *c->p == '#') {
        return 0;
    }
    if (memchr(c->start, 0, (size_t)(c->end - c->start))) {
        return fault(c, c->start, err, "the line holds a NUL: is this a text file?");
    }
    int rc = read_kind(c, &kind, &at, &name, err);
    rc = rc ? rc : next_word(c, "expected the user after the certificate's name", &user_at, &user, err);
    if (rc != 0) {
        return rc;
    }
    if (user.n > USER_MAX) {
        return fault(c, user_at, err, "user names have at most 255 characters");
    }
    if (skip_blanks(c) != c->end) {
        return fault(c, c->p, err, "expected the end of the line after the user (names with blanks need quotes)");
    }
    struct entry *e = entry_new(c->line, kind, name, user);
    return e ? add(m, c, at, e, err) : ib_err_set(err, IB_ENOMEM, "%s: out of memory", c->name);
}

struct auth_certificate_map *auth_certificate_map_parse(const char *name, struct ib_str text, struct ib_err *err)
{
    struct auth_certificate_map *m = calloc(1, sizeof(*m));
    if (!m) {
        (void)ib_err_set(err, IB_ENOMEM, "%s: out of memory", name);
        return NULL;
    }
    const char *p = ib_cstr(text), *end = p + text.n;
    for (unsigned line = 1; p < end; line++) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        struct cursor c = {name, line, p, p, eol ? eol : end};
        if (parse_line(m, &c, err) != 0) {
            auth_certificate_map_free(m);
            return NULL;
        }
        p = eol ? eol + 1 : end;
    }
    return m;
}

struct auth_certificate_map *auth_certificate_map_load(const char *path, struct ib_err *err)
{
    size_t n = 0;
    char *text = auth_file_read(path, "certificate map", &n, err);
    struct auth_certificate_map *m = text ? auth_certificate_map_parse(path, (struct ib_str){text, n}, err) : NULL;
    free(text);
    return m;
}

void auth_certificate_map_free(struct auth_certificate_map *m)
{
    if (!m) {
        return;
    }
    struct entry *e, *next;
    HASH_ITER(hh, m->by_key, e, next)
    {
        HASH_DEL(m->by_key, e);
        free(e);
    }
    free(m);
}

size_t auth_certificate_map_count(const struct auth_certificate_map *m)
{
    return HASH_COUNT(m->by_key);
}

/* --- the certificate ---------------------------------------------------------------------------------------------- */

struct search {
    const struct auth_certificate_map *map;
    const struct entry *best; /* the first line so far */
};

static void look_up(struct search *s, enum kind kind, const void *name, size_t n)
{
    char key[NAME_MAX_BYTES + 1];
    struct entry *e;
    if (n == 0 || n > NAME_MAX_BYTES) {
        return;
    }
    key[0] = (char)kind;
    memcpy(key + 1, name, n);
    if (kind == BY_DNS) {
        lower(key + 1, n);
    }
    HASH_FIND(hh, s->map->by_key, key, n + 1, e);
    if (e && (!s->best || e->line < s->best->line)) {
        s->best = e;
    }
}

static void look_up_string(struct search *s, enum kind kind, const ASN1_STRING *string)
{
    unsigned char *utf8 = NULL;
    int n = ASN1_STRING_to_UTF8(&utf8, string);
    if (n > 0) {
        look_up(s, kind, utf8, (size_t)n);
    }
    OPENSSL_free(utf8);
}

/* Of several common names none is the certificate's name. */
static void look_up_cn(struct search *s, const X509 *cert)
{
    X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at >= 0 && X509_NAME_get_index_by_NID(subject, NID_commonName, at) < 0) {
        look_up_string(s, BY_CN, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    }
}

static void look_up_san(struct search *s, const GENERAL_NAME *name)
{
    switch (name->type) {
    case GEN_EMAIL:
        look_up_string(s, BY_EMAIL, name->d.rfc822Name);
        break;
    case GEN_DNS:
        look_up_string(s, BY_DNS, name->d.dNSName);
        break;
    case GEN_URI:
        look_up_string(s, BY_URI, name->d.uniformResourceIdentifier);
        break;
    case GEN_OTHERNAME:
        if (OBJ_obj2nid(name->d.otherName->type_id) == NID_ms_upn &&
            name->d.otherName->value->type == V_ASN1_UTF8STRING) {
            look_up_string(s, BY_UPN, name->d.otherName->value->value.utf8string);
        }
        break;
    default:
        break;
    }
}

static void look_up_sans(struct search *s, const X509 *cert)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        look_up_san(s, sk_GENERAL_NAME_value(names, i));
    }
    GENERAL_NAMES_free(names);
}

struct ib_str auth_certificate_map_user(const struct auth_certificate_map *m, struct ib_str subject, struct ib_str pem)
{
    struct search s = {.map = m};
    BIO *bio = pem.n && pem.n <= INT32_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
    X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    if (cert) {
        look_up(&s, BY_SUBJECT, subject.p, subject.n);
        look_up_cn(&s, cert);
        look_up_sans(&s, cert);
    }
    X509_free(cert);
    BIO_free(bio);
    ERR_clear_error();
    return s.best ? s.best->user : (struct ib_str){"", 0};
}
