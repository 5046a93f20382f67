/* SPDX-License-Identifier: Apache-2.0 */
/* Verifiers that live elsewhere: Glacier2::PermissionsVerifier and SSLPermissionsVerifier objects. */
#include "verifier_priv.h"

#include <stdlib.h>

#include <moulin/rpc/call.h>
#include <slice/Glacier2/PermissionsVerifier.h>
#include <slice/Glacier2/PermissionsVerifier_rpc.h>

struct remote_verifier {
    struct auth_verifier base;
    struct ir_runtime *rt; /* borrows */
    struct ib_arena arena; /* holds the proxy */
    bool ssl;
};

static struct remote_verifier *remote(struct auth_verifier *v)
{
    return (struct remote_verifier *)(void *)v;
}

static void answer_result(struct auth_answer *a, bool ok, struct ib_str reason)
{
    a->verdict = ok ? AUTH_ACCEPTED : AUTH_DENIED;
    a->reason = reason;
}

static void on_reply(void *arg, const struct ir_result *r)
{
    struct auth_check *c = arg;
    struct auth_answer a = {.verdict = AUTH_FAILED};
    const struct Glacier2_PermissionsVerifier_checkPermissions_out *password =
        Glacier2_PermissionsVerifier_checkPermissions_result(r);
    const struct Glacier2_SSLPermissionsVerifier_authorize_out *ssl =
        Glacier2_SSLPermissionsVerifier_authorize_result(r);
    const struct Glacier2_PermissionDeniedException *denied = Glacier2_PermissionDeniedException_caught(r);
    size_t size;
    if (!remote(c->v)->ssl && password) {
        answer_result(&a, password->ret, password->reason);
    } else if (remote(c->v)->ssl && ssl) {
        answer_result(&a, ssl->ret, ssl->reason);
    } else if (denied && iw_encaps_peek(r->raw, &size, &a.exception_encoding) == 0) {
        a.verdict = AUTH_THROWN;
        a.reason = denied->reason;
        a.exception = (struct ib_span){r->raw.p, size};
    } else if (denied) {
        answer_result(&a, false, denied->reason);
    } else {
        char text[512];
        (void)ib_err_set(&a.err, r->err.code ? r->err.code : IB_EUNKNOWN, "%s", ir_result_text(r, text, sizeof(text)));
    }
    c->call = NULL;
    auth_check_finish(c, &a);
}

static int remote_start(struct auth_verifier *v, struct auth_check *c, const struct auth_request *rq)
{
    struct remote_verifier *m = remote(v);
    const struct ir_call_options opt = {.context = rq->context, .n_context = rq->n_context};
    if (m->ssl) {
        const struct Glacier2_SSLPermissionsVerifier_authorize_in in = {.info = *rq->ssl};
        c->call = Glacier2_SSLPermissionsVerifier_authorize_call(m->rt, v->proxy, &opt, &in, on_reply, c);
    } else {
        const struct Glacier2_PermissionsVerifier_checkPermissions_in in = {.userId = rq->user,
                                                                            .password = rq->password};
        c->call = Glacier2_PermissionsVerifier_checkPermissions_call(m->rt, v->proxy, &opt, &in, on_reply, c);
    }
    return c->call ? 0 : IB_ENOMEM;
}

static void remote_cancel(struct auth_verifier *v, struct auth_check *c)
{
    (void)v;
    ir_call_cancel(c->call);
}

static void remote_free(struct auth_verifier *v)
{
    ib_arena_fini(&remote(v)->arena);
    free(v);
}

static const struct auth_verifier_ops remote_ops = {
    .start = remote_start, .cancel = remote_cancel, .free = remote_free};

struct auth_verifier *auth_verifier_new_remote(struct ir_runtime *rt, const struct iw_proxy *prx, bool ssl)
{
    struct remote_verifier *m = calloc(1, sizeof(*m));
    if (!m) {
        return NULL;
    }
    auth_verifier_init(&m->base, &remote_ops, ir_runtime_loop(rt));
    m->rt = rt;
    m->ssl = ssl;
    ib_arena_init(&m->arena, 0);
    m->base.proxy = iw_proxy_copy(prx, &m->arena);
    if (!m->base.proxy) {
        remote_free(&m->base);
        return NULL;
    }
    return &m->base;
}
