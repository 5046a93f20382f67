/* SPDX-License-Identifier: Apache-2.0 */
/* SIGHUP: the configuration files and what they name are read again. Everything new is made first; only when all of it
   is good does it take the old one's place, and sessions go on. */
#include "router.h"
#include "settings.h"

#include <stdlib.h>

#include <moulin/auth/password_file.h>

/* What may change while the gateway runs. */
static const char *const reloadable[] = {"IceSSL.*",
                                         "Glacier2.Filter.*",
                                         "Moulin.Gateway.CertificateUsers",
                                         "Moulin.Gateway.Filter.*",
                                         "Moulin.Gateway.HideErrors",
                                         "Moulin.Gateway.LoginTimeout",
                                         "Moulin.Gateway.MaxConnections",
                                         "Moulin.Gateway.MaxSessions",
                                         "Moulin.Gateway.MaxSessionsPerUser",
                                         "Moulin.Gateway.MaxUnauthenticated",
                                         "Moulin.Gateway.ProxyProtocol",
                                         "Moulin.Gateway.SessionLifetime",
                                         NULL};

/* What is made of them, for one worker. */
struct news {
    struct gw_edge edge;
    struct gw_filters filters;
    struct gw_limits limits;
    struct ir_tls_set tls; /* worker 0 has used it already */
};

struct reload {
    gw_reload_fn done;
    void *arg;
    struct ib_err err;
    bool configuration; /* there is news for everybody */
    struct auth_password_file *passwords; /* shares; NULL: no file */
    unsigned n;
    struct news news[];
};

static void news_fini(struct news *n)
{
    gw_edge_fini(&n->edge);
    gw_filters_fini(&n->filters);
    ir_tls_set_fini(&n->tls);
}

static void forget(void *job)
{
    struct reload *l = job;
    for (unsigned i = 0; i < l->n; i++) {
        news_fini(&l->news[i]);
    }
    auth_password_file_free(l->passwords);
    free(l);
}

/* Everything that can fail for a reason, and of TLS what is made once for all. */
static int read_news(struct reload *l, const struct gw_router *r, const struct ir_properties *fresh, struct ib_err *err)
{
    int rc = gw_settings_check_names(fresh, err);
    for (unsigned i = 0; rc == 0 && i < l->n; i++) {
        struct news *n = &l->news[i];
        rc = gw_limits_read(&n->limits, fresh, r->config.acm_timeout_s, err);
        rc = rc ? rc : gw_filters_read(&n->filters, fresh, err);
        rc = rc ? rc : gw_edge_read(fresh, &n->edge, err);
    }
    rc = rc ? rc : ir_runtime_reload_tls(r->rt, fresh, err); /* the last that can fail */
    for (unsigned i = 1; rc == 0 && i < l->n; i++) {
        ir_tls_set_of(r->rt, &l->news[i].tls);
    }
    return rc;
}

static void use_news(struct gw_router *r, struct news *n)
{
    const struct gw_filters old = r->config.filters;
    gw_edge_use(r, &n->edge);
    r->config.filters = n->filters;
    n->filters = old;
    gw_limits_use(r, &n->limits);
    if (r->worker > 0) {
        ir_tls_set_use(r->rt, &n->tls);
    }
}

static int reload_passwords(struct gw_router *r, struct ib_err *err)
{
    struct ib_log *log = ir_runtime_log(r->rt);
    int rc = r->verifier ? auth_verifier_reload(r->verifier, log, err) : 0;
    if (rc != 0) {
        ib_log_error(log, "the passwords were not reloaded, the old ones stay in force: %s", err->text);
    }
    return rc;
}

static void log_warning(void *arg, const char *text)
{
    ib_log_warning(arg, "%s", text);
}

static int reload_configuration(struct reload *l, struct gw_router *r, struct ib_err *err)
{
    struct ib_log *log = ir_runtime_log(r->rt);
    struct ir_properties *props = ir_runtime_properties(r->rt), *fresh = ir_properties_reread(props, reloadable, err);
    int rc = fresh ? read_news(l, r, fresh, err) : err->code;
    l->configuration = rc == 0;
    if (rc == 0 && (rc = ir_properties_adopt(props, fresh, reloadable)) != 0) {
        (void)ib_err_set(err, rc, "the properties shown are those of before: %s", ib_err_text(rc));
    }
    if (fresh) {
        ir_properties_take_warnings(fresh, log_warning, log);
    }
    ir_properties_free(fresh);
    if (!l->configuration) {
        ib_log_error(log, "the configuration was not reloaded, the old one stays in force: %s", err->text);
    } else {
        ib_log_print(log, "the configuration was reloaded");
    }
    return rc;
}

/* --- on every worker ---------------------------------------------------------------------------------------------- */

static void each(void *job, struct gw_router *r)
{
    struct reload *l = job;
    if (l->configuration) {
        use_news(r, &l->news[r->worker]);
    }
    if (r->worker > 0 && r->verifier) {
        auth_verifier_renew(r->verifier, l->passwords ? auth_password_file_ref(l->passwords) : NULL);
    }
}

static void done(void *job, bool complete)
{
    struct reload *l = job;
    if (!complete && l->err.code == 0) {
        (void)ib_err_set(&l->err, IB_ETIMEOUT, "it is not in force on every worker yet");
    }
    if (l->done) {
        l->done(l->arg, &l->err);
    }
}

void gw_reload(struct gw_router *r, gw_reload_fn fn, void *arg)
{
    static const struct gw_round round = {.each = each, .done = done, .forget = forget};
    struct ib_err second = {0}, none = {.code = IB_ENOMEM, .text = "out of memory"};
    struct reload *l = calloc(1, sizeof(*l) + r->crew->n * sizeof(l->news[0]));
    if (!l) {
        ib_log_error(ir_runtime_log(r->rt), "nothing was reloaded: %s", none.text);
        if (fn) {
            fn(arg, &none);
        }
        return;
    }
    l->n = r->crew->n;
    l->done = fn;
    l->arg = arg;
    gw_audit_reopen(r);
    int rc = reload_passwords(r, &l->err);
    (void)reload_configuration(l, r, rc ? &second : &l->err);
    l->passwords = r->verifier ? auth_verifier_passwords(r->verifier) : NULL;
    if (gw_round_start(r->crew, &round, l) != 0) {
        each(l, r);
        (void)ib_err_set(&l->err, IB_ENOMEM, "out of memory: it is in force on one worker only");
        ib_log_error(ir_runtime_log(r->rt), "%s", l->err.text);
        done(l, true);
        forget(l);
    }
}
