/* SPDX-License-Identifier: Apache-2.0 */
/* What all verifiers share: the life of a check, the Null verifier, and the choice the properties make. */
#include "verifier_priv.h"

#include <stdlib.h>

#include <moulin/rpc/runtime.h>

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

struct auth_verifier *auth_verifier_new_null(struct ic_loop *loop)
{
    struct auth_verifier *v = calloc(1, sizeof(*v));
    if (v) {
        auth_verifier_init(v, &null_ops, loop);
    }
    return v;
}

/* --- configuration ----------------------------------------------------------------------------------------------- */

/* "<instance>/Null…Verifier", also unquoted when the instance name has blanks (glacier2-router 11.1). */
static bool is_null_verifier(const struct auth_setting *s, const char *value)
{
    const char *name = s->ssl ? "/NullSSLPermissionsVerifier" : "/NullPermissionsVerifier";
    size_t n = strlen(s->instance), quoted = value[0] == '"' || value[0] == '\'';
    if (quoted && value[strlen(value) - 1] != value[0]) {
        return false;
    }
    return strncmp(value + quoted, s->instance, n) == 0 && strncmp(value + quoted + n, name, strlen(name)) == 0 &&
           strlen(value) == n + strlen(name) + 2 * quoted;
}

static int configure_remote(struct ir_runtime *rt, const struct auth_setting *s, struct auth_verifier **out,
                            struct ib_err *err)
{
    struct ib_arena arena;
    struct iw_proxy *prx = NULL;
    ib_arena_init(&arena, 0);
    int rc = ir_runtime_property_proxy(rt, s->proxy_property, &arena, &prx, err);
    if (rc != 0) {
        rc = ib_err_wrap(err, "%s verifier `%s' is invalid; correct %s", s->ssl ? "ssl permissions" : "permissions",
                         ir_properties_get(ir_runtime_properties(rt), s->proxy_property), s->proxy_property);
    } else if (prx && !(*out = auth_verifier_new_remote(rt, prx, s->ssl))) {
        rc = ib_err_set(err, IB_ENOMEM, "%s: out of memory", s->proxy_property);
    }
    ib_arena_fini(&arena);
    return rc;
}

int auth_verifier_configure(struct ir_runtime *rt, struct auth_helper *helper, const struct auth_setting *s,
                            struct auth_verifier **out, struct ib_err *err)
{
    const struct ir_properties *p = ir_runtime_properties(rt);
    struct ic_loop *loop = ir_runtime_loop(rt);
    *out = NULL;
    const char *proxy = ir_properties_get(p, s->proxy_property);
    if (proxy[0] && is_null_verifier(s, proxy)) {
        *out = auth_verifier_new_null(loop);
        return *out ? 0 : ib_err_set(err, IB_ENOMEM, "%s: out of memory", s->proxy_property);
    }
    if (proxy[0]) {
        return configure_remote(rt, s, out, err);
    }
    const char *file = s->file_property ? ir_properties_get(p, s->file_property) : "";
    if (!file[0]) {
        return 0;
    }
    *out = auth_verifier_new_file(loop, helper, file, ir_runtime_log(rt), err);
    return *out ? 0 : ib_err_wrap(err, "%s", s->file_property);
}
