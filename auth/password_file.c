/* SPDX-License-Identifier: Apache-2.0 */
/* The strict parser of password files and the table it fills (glacier2-router 11.2). Owns its entries. */
#include <moulin/auth/password_file.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <moulin/base/log.h>
#include <moulin/base/secret.h>

#include "file.h"
#include "hash.h"

#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(e) ((e)->linked = false)
#include <uthash.h>

#define USER_MAX 255

/* What unknown users are checked against when the file names nobody: yescrypt at its default cost. */
static const char nobody[] = "$y$j9T$mjw1WXHTsUIk7yEMQZ7ot0$iZBzVC0EXQmNSZ1mS2JHVa/nT6yCoXk7kxTqKgL5Fq3";

struct entry {
    UT_hash_handle hh;
    unsigned line;
    bool linked; /* uthash took it */
    size_t user_n;
    char *hash; /* inside text */
    char text[]; /* user, NUL, hash, NUL */
};

struct auth_password_file {
    atomic_uint refs;
    struct entry *by_user; /* owns */
    struct entry *first; /* stands in for unknown users */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

struct cursor {
    const char *name;
    unsigned line;
    const char *start, *p, *end; /* of the line */
};

static int fault(const struct cursor *c, const char *at, struct ib_err *err, const char *what)
{
    return ib_err_set(err, IB_ECONFIG, "%s:%u:%zu: %s", c->name, c->line, (size_t)(at - c->start) + 1, what);
}

static struct ib_str next_token(struct cursor *c)
{
    while (c->p < c->end && is_blank(*c->p)) {
        c->p++;
    }
    const char *start = c->p;
    while (c->p < c->end && !is_blank(*c->p)) {
        c->p++;
    }
    return (struct ib_str){start, (size_t)(c->p - start)};
}

static int check_duplicate(const struct auth_password_file *f, const struct cursor *c, struct ib_str user,
                           struct ib_err *err)
{
    struct entry *old;
    HASH_FIND(hh, f->by_user, user.p, user.n, old);
    if (!old) {
        return 0;
    }
    char what[80];
    (void)snprintf(what, sizeof(what), "this user has an entry in line %u already; remove one of them", old->line);
    return fault(c, user.p, err, what);
}

static int add_entry(struct auth_password_file *f, const struct cursor *c, struct ib_str user, struct ib_str hash,
                     struct ib_err *err)
{
    struct entry *e = calloc(1, sizeof(*e) + user.n + hash.n + 2);
    if (!e) {
        return ib_err_set(err, IB_ENOMEM, "%s: out of memory", c->name);
    }
    memcpy(e->text, user.p, user.n);
    e->user_n = user.n;
    e->line = c->line;
    e->linked = true;
    e->hash = e->text + user.n + 1;
    memcpy(e->hash, hash.p, hash.n);
    HASH_ADD_KEYPTR(hh, f->by_user, e->text, e->user_n, e);
    if (!e->linked) {
        free(e);
        return ib_err_set(err, IB_ENOMEM, "%s: out of memory", c->name);
    }
    if (!f->first) {
        f->first = e;
    }
    return 0;
}

static int parse_line(struct auth_password_file *f, struct cursor *c, struct ib_log *log, struct ib_err *err)
{
    struct ib_str user = next_token(c);
    if (user.n == 0 || user.p[0] == '#') {
        return 0;
    }
    struct ib_str hash = next_token(c);
    if (hash.n == 0) {
        return fault(c, c->end, err, "expected a password hash after the user; `moulin passwd' makes such lines");
    }
    struct ib_str more = next_token(c);
    if (more.n) {
        return fault(c, more.p, err, "expected the end of the line after the password hash");
    }
    if (user.n > USER_MAX || memchr(c->start, 0, (size_t)(c->end - c->start))) {
        return fault(c, user.p, err, "user names have at most 255 characters and no NUL");
    }
    char text[AUTH_HASH_MAX + 1];
    enum auth_hash_grade grade = AUTH_HASH_UNKNOWN;
    if (hash.n <= AUTH_HASH_MAX) {
        memcpy(text, hash.p, hash.n);
        text[hash.n] = '\0';
        grade = auth_hash_grade(text);
    }
    if (grade == AUTH_HASH_UNKNOWN) {
        return fault(c, hash.p, err, "this is no password hash known here; `moulin passwd' makes one");
    }
    int rc = check_duplicate(f, c, user, err);
    if (rc == 0) {
        rc = add_entry(f, c, user, hash, err);
    }
    if (rc == 0 && grade == AUTH_HASH_WEAK && log) {
        ib_log_warning(log, "%s:%u: hashes of this kind (DES, NT) are broken within hours; replace it (moulin passwd)",
                       c->name, c->line);
    }
    return rc;
}

struct auth_password_file *auth_password_file_parse(const char *name, struct ib_str text, struct ib_log *log,
                                                    struct ib_err *err)
{
    struct auth_password_file *f = calloc(1, sizeof(*f));
    if (!f) {
        (void)ib_err_set(err, IB_ENOMEM, "%s: out of memory", name);
        return NULL;
    }
    atomic_init(&f->refs, 1);
    const char *p = ib_cstr(text), *end = p + text.n;
    for (unsigned line = 1; p < end; line++) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        struct cursor c = {name, line, p, p, eol ? eol : end};
        if (parse_line(f, &c, log, err) != 0) {
            auth_password_file_free(f);
            return NULL;
        }
        p = eol ? eol + 1 : end;
    }
    return f;
}

struct auth_password_file *auth_password_file_load(const char *path, struct ib_log *log, struct ib_err *err)
{
    size_t n = 0;
    char *text = auth_file_read(path, "password file", &n, err);
    if (!text) {
        return NULL;
    }
    struct auth_password_file *f = auth_password_file_parse(path, (struct ib_str){text, n}, log, err);
    ib_wipe(text, n);
    free(text);
    return f;
}

struct auth_password_file *auth_password_file_ref(struct auth_password_file *f)
{
    atomic_fetch_add(&f->refs, 1);
    return f;
}

void auth_password_file_free(struct auth_password_file *f)
{
    if (!f || atomic_fetch_sub(&f->refs, 1) != 1) {
        return;
    }
    struct entry *e, *next;
    HASH_ITER(hh, f->by_user, e, next)
    {
        HASH_DEL(f->by_user, e);
        ib_wipe(e->text, e->user_n);
        free(e);
    }
    free(f);
}

size_t auth_password_file_count(const struct auth_password_file *f)
{
    return HASH_COUNT(f->by_user);
}

const char *auth_password_file_hash(const struct auth_password_file *f, struct ib_str user, bool *known)
{
    struct entry *e;
    HASH_FIND(hh, f->by_user, ib_cstr(user), user.n, e);
    *known = e != NULL;
    if (e) {
        return e->hash;
    }
    return f->first ? f->first->hash : nobody;
}
