/* SPDX-License-Identifier: Apache-2.0 */
/* What all verifiers share: the life of a check; and the Null verifier. */
#include "verifier_priv.h"

#include <stdlib.h>

#include <moulin/auth/password_file.h>

void auth_verifier_init(struct auth_verifier *v, const struct auth_verifier_ops *ops, struct ic_loop *loop)
{
    v->ops = ops;
    v->loop = loop;
    ib_list_init(&v->checks);
}

static void check_free(struct auth_check *c)
{
    ib_list_remove(&c->node);
    ic_loop_undefer(c->v->loop, &c->later);
    free(c);
}

void auth_check_finish(struct auth_check *c, const struct auth_answer *a)
{
    auth_verify_fn fn = c->fn;
    void *arg = c->arg;
    check_free(c);
    fn(arg, a);
}

static void finish_now(void *arg)
{
    struct auth_check *c = arg;
    const struct auth_answer a = c->answer;
    auth_check_finish(c, &a);
}

void auth_check_finish_later(struct auth_check *c, enum auth_verdict verdict, const char *reason)
{
    c->answer = (struct auth_answer){.verdict = verdict};
    if (verdict == AUTH_FAILED) {
        (void)ib_err_set(&c->answer.err, IB_ELIMIT, "%s", reason);
    } else {
        c->answer.reason = ib_str(reason);
    }
    ic_loop_defer(c->v->loop, &c->later, finish_now, c);
}

struct auth_check *auth_verify(struct auth_verifier *v, const struct auth_request *rq, auth_verify_fn fn, void *arg)
{
    struct auth_check *c = calloc(1, sizeof(*c));
    if (!c) {
        return NULL;
    }
    c->v = v;
    c->fn = fn;
    c->arg = arg;
    ib_list_append(&v->checks, &c->node);
    if (v->ops->start(v, c, rq) != 0) {
        check_free(c);
        return NULL;
    }
    return c;
}

void auth_check_cancel(struct auth_check *c)
{
    if (!c->later.queued && c->v->ops->cancel) {
        c->v->ops->cancel(c->v, c);
    }
    check_free(c);
}

void auth_verifier_free(struct auth_verifier *v)
{
    if (!v) {
        return;
    }
    while (!ib_list_empty(&v->checks)) {
        auth_check_cancel(IB_CONTAINER(v->checks.next, struct auth_check, node));
    }
    v->ops->free(v);
}

int auth_verifier_reload(struct auth_verifier *v, struct ib_log *log, struct ib_err *err)
{
    return v->ops->reload ? v->ops->reload(v, log, err) : 0;
}

struct auth_password_file *auth_verifier_passwords(const struct auth_verifier *v)
{
    return v->ops->passwords ? v->ops->passwords(v) : NULL;
}

void auth_verifier_renew(struct auth_verifier *v, struct auth_password_file *passwords)
{
    if (v->ops->renew) {
        v->ops->renew(v, passwords);
    }
    auth_password_file_free(passwords);
}

const struct iw_proxy *auth_verifier_proxy(const struct auth_verifier *v)
{
    return v->proxy;
}

/* --- the Null verifier ------------------------------------------------------------------------------------------- */

static int null_start(struct auth_verifier *v, struct auth_check *c, const struct auth_request *rq)
{
    (void)v;
    (void)rq;
    auth_check_finish_later(c, AUTH_ACCEPTED, "");
    return 0;
}

static void null_free(struct auth_verifier *v)
{
    free(v);
}

static const struct auth_verifier_ops null_ops = {.start = null_start, .free = null_free};

bool auth_verifier_accepts_all(const struct auth_verifier *v)
{
    return v->ops == &null_ops;
}

struct auth_verifier *auth_verifier_new_null(struct ic_loop *loop)
{
    struct auth_verifier *v = calloc(1, sizeof(*v));
    if (v) {
        auth_verifier_init(v, &null_ops, loop);
    }
    return v;
}
