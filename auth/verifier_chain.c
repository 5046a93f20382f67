/* SPDX-License-Identifier: Apache-2.0 */
/* Several password verifiers in order, as one. Each open check is a run along the list; it owns copies of what the
   later ones are asked and of the last denial. */
#include "verifier_priv.h"

#include <stdlib.h>

#include <moulin/auth/password_file.h>
#include <moulin/base/secret.h>

struct chain {
    struct auth_verifier base;
    struct auth_verifier *list[AUTH_CHAIN_MAX]; /* owns */
    size_t n;
};

struct auth_run {
    size_t at; /* the verifier that is asked */
    struct auth_check *sub; /* its check */
    struct ib_arena arena; /* the request's strings */
    struct auth_request rq;
    struct ib_secret *password; /* owns */
    char *host; /* owns */
    struct ib_arena denied_arena; /* what denied borrows */
    struct auth_answer denied; /* the last denial; AUTH_FAILED while there is none */
    struct ib_err err; /* of the first that could not tell */
};

static struct chain *chain(struct auth_verifier *v)
{
    return (struct chain *)(void *)v;
}

static void run_free(struct auth_run *r)
{
    ib_secret_free(r->password);
    free(r->host);
    ib_arena_fini(&r->denied_arena);
    ib_arena_fini(&r->arena);
    free(r);
}

static bool copy_request(struct auth_run *r, const struct auth_request *rq)
{
    struct ir_context_entry *context = IB_ARENA_ARRAY(&r->arena, rq->n_context + 1, struct ir_context_entry);
    r->password = ib_secret_new(rq->password);
    r->host = strdup(rq->remote_host ? rq->remote_host : "");
    r->rq.user = ib_arena_str(&r->arena, rq->user);
    if (!context || !r->password || !r->host || !r->rq.user.p) {
        return false;
    }
    for (size_t i = 0; i < rq->n_context; i++) {
        context[i].key = ib_arena_str(&r->arena, rq->context[i].key);
        context[i].value = ib_arena_str(&r->arena, rq->context[i].value);
        if (!context[i].key.p || !context[i].value.p) {
            return false;
        }
    }
    r->rq.password = ib_secret_str(r->password);
    r->rq.context = context;
    r->rq.n_context = rq->n_context;
    r->rq.remote_host = r->host;
    return true;
}

/* Short of memory the denial stays one, without its words. */
static void keep_denial(struct auth_run *r, const struct auth_answer *a)
{
    ib_arena_reset(&r->denied_arena);
    r->denied = (struct auth_answer){.verdict = AUTH_DENIED};
    struct ib_str reason = ib_arena_str(&r->denied_arena, a->reason);
    r->denied.reason = reason.p ? reason : IB_STR("");
    uint8_t *exception =
        a->verdict == AUTH_THROWN && a->exception.n ? ib_arena_alloc(&r->denied_arena, a->exception.n) : NULL;
    if (exception) {
        memcpy(exception, a->exception.p, a->exception.n);
        r->denied.verdict = AUTH_THROWN;
        r->denied.exception = (struct ib_span){exception, a->exception.n};
        r->denied.exception_encoding = a->exception_encoding;
    }
}

static void on_verdict(void *arg, const struct auth_answer *a);

/* Asks the verifiers from r->at on until one takes the question. False: the list is at its end. */
static bool ask(struct auth_check *c)
{
    struct auth_run *r = c->run;
    struct chain *ch = chain(c->v);
    for (; r->at < ch->n; r->at++) {
        r->sub = auth_verify(ch->list[r->at], &r->rq, on_verdict, c);
        if (r->sub) {
            return true;
        }
        if (!r->err.code) {
            (void)ib_err_set(&r->err, IB_ENOMEM, "out of memory");
        }
    }
    return false;
}

static void finish(struct auth_check *c, const struct auth_answer *a)
{
    struct auth_run *r = c->run;
    struct auth_answer out = *a;
    out.err = r->err;
    c->run = NULL;
    auth_check_finish(c, &out);
    run_free(r);
}

static void on_verdict(void *arg, const struct auth_answer *a)
{
    struct auth_check *c = arg;
    struct auth_run *r = c->run;
    r->sub = NULL;
    switch (a->verdict) {
    case AUTH_ACCEPTED:
        finish(c, a);
        return;
    case AUTH_DENIED:
    case AUTH_THROWN:
        keep_denial(r, a);
        break;
    case AUTH_FAILED:
        if (!r->err.code) {
            r->err = a->err;
        }
        break;
    }
    r->at++;
    if (!ask(c)) {
        finish(c, &r->denied);
    }
}

static int chain_start(struct auth_verifier *v, struct auth_check *c, const struct auth_request *rq)
{
    (void)v;
    struct auth_run *r = calloc(1, sizeof(*r));
    if (!r) {
        return IB_ENOMEM;
    }
    ib_arena_init(&r->arena, 0);
    ib_arena_init(&r->denied_arena, 0);
    r->denied.verdict = AUTH_FAILED;
    c->run = r;
    if (!copy_request(r, rq) || !ask(c)) {
        c->run = NULL;
        run_free(r);
        return IB_ENOMEM;
    }
    return 0;
}

static void chain_cancel(struct auth_verifier *v, struct auth_check *c)
{
    (void)v;
    auth_check_cancel(c->run->sub);
    run_free(c->run);
}

/* Every one of them, whatever becomes of the others; err tells of the first that failed. */
static int chain_reload(struct auth_verifier *v, struct ib_log *log, struct ib_err *err)
{
    const struct chain *ch = chain(v);
    int first = 0;
    for (size_t i = 0; i < ch->n; i++) {
        struct ib_err e = {0};
        int rc = auth_verifier_reload(ch->list[i], log, &e);
        if (rc != 0 && first == 0) {
            first = rc;
            *err = e;
        }
    }
    return first;
}

static struct auth_password_file *chain_passwords(const struct auth_verifier *v)
{
    const struct chain *ch = (const struct chain *)(const void *)v;
    struct auth_password_file *f = NULL;
    for (size_t i = 0; i < ch->n && !f; i++) {
        f = auth_verifier_passwords(ch->list[i]);
    }
    return f;
}

static void chain_renew(struct auth_verifier *v, struct auth_password_file *passwords)
{
    const struct chain *ch = chain(v);
    for (size_t i = 0; i < ch->n; i++) {
        auth_verifier_renew(ch->list[i], passwords ? auth_password_file_ref(passwords) : NULL);
    }
}

static void chain_free(struct auth_verifier *v)
{
    struct chain *ch = chain(v);
    for (size_t i = 0; i < ch->n; i++) {
        auth_verifier_free(ch->list[i]);
    }
    free(ch);
}

static const struct auth_verifier_ops chain_ops = {
    .start = chain_start,
    .cancel = chain_cancel,
    .reload = chain_reload,
    .passwords = chain_passwords,
    .renew = chain_renew,
    .free = chain_free,
};

struct auth_verifier *auth_verifier_new_chain(struct ic_loop *loop, struct auth_verifier *const *list, size_t n)
{
    struct chain *ch = n && n <= AUTH_CHAIN_MAX ? calloc(1, sizeof(*ch)) : NULL;
    if (!ch) {
        for (size_t i = 0; i < n; i++) {
            auth_verifier_free(list[i]);
        }
        return NULL;
    }
    auth_verifier_init(&ch->base, &chain_ops, loop);
    for (; ch->n < n; ch->n++) {
        ch->list[ch->n] = list[ch->n];
        if (list[ch->n]->proxy) {
            ch->base.proxy = list[ch->n]->proxy;
        }
    }
    return &ch->base;
}
