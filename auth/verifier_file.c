/* SPDX-License-Identifier: Apache-2.0 */
/* The password-file verifier: looks the hash up here, has it checked in the helper. */
#include "verifier_priv.h"

#include <stdlib.h>
#include <string.h>

#include <moulin/auth/password_file.h>

struct file_verifier {
    struct auth_verifier base;
    struct auth_helper *helper; /* borrows */
    struct auth_password_file *file; /* owns */
    char path[];
};

static void on_hashed(void *arg, const struct auth_helper_answer *h)
{
    struct auth_check *c = arg;
    struct auth_answer a = {.verdict = AUTH_DENIED};
    if (h->code != 0) {
        a.verdict = AUTH_FAILED;
        (void)ib_err_set(&a.err, h->code, "the auth helper gave no answer: %s%s%s", ib_err_text(h->code),
                         h->text[0] ? ": " : "", h->text);
    } else if (h->match && c->known) {
        a.verdict = AUTH_ACCEPTED;
    }
    auth_check_finish(c, &a);
}

static int file_start(struct auth_verifier *v, struct auth_check *c, const struct auth_request *rq)
{
    struct file_verifier *f = (struct file_verifier *)(void *)v;
    const char *hash = auth_password_file_hash(f->file, rq->user, &c->known);
    int rc = auth_helper_check(f->helper, rq->password, hash, on_hashed, c, &c->question);
    if (rc == IB_EINVAL) { /* no scheme takes passwords of that length */
        auth_check_finish_later(c, AUTH_DENIED, "");
        return 0;
    }
    if (rc == IB_ELIMIT) {
        auth_check_finish_later(c, AUTH_FAILED, "too many logins are waiting for the auth helper");
        return 0;
    }
    return rc;
}

static void file_cancel(struct auth_verifier *v, struct auth_check *c)
{
    auth_helper_cancel(((struct file_verifier *)(void *)v)->helper, c->question);
}

static int file_reload(struct auth_verifier *v, struct ib_log *log, struct ib_err *err)
{
    struct file_verifier *f = (struct file_verifier *)(void *)v;
    struct auth_password_file *fresh = auth_password_file_load(f->path, log, err);
    if (!fresh) {
        return IB_ECONFIG;
    }
    auth_password_file_free(f->file);
    f->file = fresh;
    return 0;
}

static struct auth_password_file *file_passwords(const struct auth_verifier *v)
{
    return auth_password_file_ref(((const struct file_verifier *)(const void *)v)->file);
}

static void file_renew(struct auth_verifier *v, struct auth_password_file *passwords)
{
    struct file_verifier *f = (struct file_verifier *)(void *)v;
    if (passwords) {
        auth_password_file_free(f->file);
        f->file = auth_password_file_ref(passwords);
    }
}

static void file_free(struct auth_verifier *v)
{
    struct file_verifier *f = (struct file_verifier *)(void *)v;
    auth_password_file_free(f->file);
    free(f);
}

static const struct auth_verifier_ops file_ops = {
    .start = file_start,
    .cancel = file_cancel,
    .reload = file_reload,
    .passwords = file_passwords,
    .renew = file_renew,
    .free = file_free,
};

struct auth_verifier *auth_verifier_new_file(struct ic_loop *loop, struct auth_helper *helper, const char *path,
                                             struct ib_log *log, struct ib_err *err)
{
    struct file_verifier *f = calloc(1, sizeof(*f) + strlen(path) + 1);
    if (!f) {
        (void)ib_err_set(err, IB_ENOMEM, "out of memory");
        return NULL;
    }
    auth_verifier_init(&f->base, &file_ops, loop);
    f->helper = helper;
    memcpy(f->path, path, strlen(path) + 1);
    f->file = auth_password_file_load(path, log, err);
    if (!f->file) {
        free(f);
        return NULL;
    }
    return &f->base;
}
