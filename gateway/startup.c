/* SPDX-License-Identifier: Apache-2.0 */
/* The end of the start (glacier2-router 2.2): the services the configuration names are asked for their type, an absent
   verifier and a wrong one stop the start, an absent session manager is warned about; then the adapters are activated.
 */
#include "router.h"

#include <moulin/rpc/properties.h>

#define ROUND_MS 1000 /* how long the loop sleeps at most before it looks again */

struct check {
    struct gw_router *router;
    const char *what, *property, *type;
    const struct iw_proxy *proxy; /* NULL: not configured, or not a remote one */
    struct ir_call *call;
    bool wrong, nowarn, required;
    char failure[300]; /* of a required one: why it could not be asked */
    unsigned *open;
};

static void on_checked(void *arg, const struct ir_result *r)
{
    struct check *c = arg;
    const struct gw_router *router = c->router;
    const struct ir_isA_out *out = r->outcome == IR_SUCCESS ? r->out : NULL;
    char text[512];
    c->call = NULL;
    --*c->open;
    c->wrong = out && !out->ret;
    if (!out && c->required) {
        (void)ir_result_text(r, c->failure, sizeof(c->failure));
    } else if (!out && !c->nowarn) {
        ib_log_warning(ir_runtime_log(router->rt), "unable to contact %s `%s'\n%s", c->what,
                       ir_properties_get(ir_runtime_properties(router->rt), c->property),
                       ir_result_text(r, text, sizeof(text)));
    }
}

static int check_start(struct check *c, struct ib_err *err)
{
    const struct ir_isA_in in = {.id = ib_str(c->type)};
    if (!c->proxy) {
        return 0;
    }
    c->call = ir_call(c->router->rt, c->proxy, &ir_op_ice_isA, NULL, &in, on_checked, c);
    if (!c->call) {
        return ib_err_set(err, IB_ENOMEM, "%s: out of memory", c->property);
    }
    ++*c->open;
    return 0;
}

static int check_result(const struct check *c, struct ib_err *err)
{
    const struct ir_properties *p = ir_runtime_properties(c->router->rt);
    if (c->failure[0]) {
        return ib_err_set(err, IB_ECONFIG, AUTH_VERIFIER_ABSENT, ir_properties_get(p, c->property), c->property,
                          ir_properties_origin(p, c->property), c->failure);
    }
    if (!c->wrong) {
        return 0;
    }
    return ib_err_set(err, IB_ECONFIG, "%s `%s' is invalid: it is no %s; correct %s (%s)", c->what,
                      ir_properties_get(p, c->property), c->type, c->property, ir_properties_origin(p, c->property));
}

static const struct iw_proxy *proxy_of(const struct auth_verifier *v)
{
    return v ? auth_verifier_proxy(v) : NULL;
}

static int check_services(struct gw_router *r, bool nowarn, struct ib_err *err)
{
    unsigned open = 0;
    bool required = ir_properties_int_or(ir_runtime_properties(r->rt), NULL, AUTH_VERIFIER_OPTIONAL, 0) <= 0;
    struct check checks[] = {
        {.what = "permissions verifier",
         .property = "Glacier2.PermissionsVerifier",
         .type = "::Glacier2::PermissionsVerifier",
         .required = required,
         .proxy = proxy_of(r->verifier)},
        {.what = "session manager",
         .property = "Glacier2.SessionManager",
         .type = "::Glacier2::SessionManager",
         .proxy = r->manager},
        {.what = "ssl permissions verifier",
         .property = "Glacier2.SSLPermissionsVerifier",
         .type = "::Glacier2::SSLPermissionsVerifier",
         .required = required,
         .proxy = proxy_of(r->ssl_verifier)},
        {.what = "ssl session manager",
         .property = "Glacier2.SSLSessionManager",
         .type = "::Glacier2::SSLSessionManager",
         .proxy = r->ssl_manager},
    };
    size_t n = sizeof(checks) / sizeof(checks[0]);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        checks[i].router = r;
        checks[i].nowarn = nowarn;
        checks[i].open = &open;
        rc = check_start(&checks[i], err);
    }
    while (rc == 0 && open > 0) {
        (void)ic_loop_run_once(r->loop, ROUND_MS);
    }
    for (size_t i = 0; i < n; i++) {
        if (checks[i].call) {
            ir_call_cancel(checks[i].call);
        }
        rc = rc ? rc : check_result(&checks[i], err);
    }
    return rc;
}

struct activation {
    bool done;
    int code;
    char text[256];
};

static void on_activated(void *arg, int code, const char *text)
{
    struct activation *a = arg;
    a->done = true;
    a->code = code;
    size_t n = text ? strnlen(text, sizeof(a->text) - 1) : 0;
    memcpy(a->text, text ? text : "", n);
    a->text[n] = '\0';
}

static int activate(struct gw_router *r, struct ir_adapter *adapter, struct ib_err *err)
{
    struct activation a = {0};
    ir_adapter_activate(adapter, on_activated, &a);
    while (!a.done) {
        (void)ic_loop_run_once(r->loop, ROUND_MS);
    }
    return a.code ? ib_err_set(err, a.code, "cannot activate the object adapter `%s': %s", ir_adapter_name(adapter),
                               a.text)
                  : 0;
}

int gw_startup_run(struct gw_router *r, bool nowarn, struct ib_err *err)
{
    int rc = check_services(r, nowarn, err);
    rc = rc ? rc : activate(r, r->client, err);
    return rc || !r->server ? rc : activate(r, r->server, err);
}
