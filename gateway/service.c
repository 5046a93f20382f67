/* SPDX-License-Identifier: Apache-2.0 */
/* The role "gateway": makes the router from its properties, stops it gracefully within a bound. */
#include <moulin/gateway/gateway.h>

#include <stdlib.h>
#include <string.h>

#include <slice/registry.h>

#include "router.h"

#define STOP_CALLS_MS 2000 /* for session managers to hear of the end */
#define STOP_TOTAL_MS 5000 /* then clients that will not close are left behind (2.3) */

static void gateway_free(void *state);

/* --- start -------------------------------------------------------------------------------------------------------- */

static int parse_options(int argc, char **argv, bool *nowarn, struct ib_err *err)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--nowarn") == 0) {
            *nowarn = true;
        } else if (argv[i][0] == '-') {
            return ib_err_set(err, IB_EINVAL, "invalid option: `%.100s'", argv[i]);
        } else {
            return ib_err_set(err, IB_EINVAL, "too many arguments: `%.100s'", argv[i]);
        }
    }
    return 0;
}

static int open_runtime(struct gw_router *r, const struct ir_properties *props, struct ib_err *err)
{
    struct ir_properties *copy = ir_properties_copy(props);
    int rc = copy ? gw_config_prepare(copy, err) : ib_err_set(err, IB_ENOMEM, "out of memory");
    if (rc == 0) {
        r->rt = ir_runtime_new(r->loop, copy, &slice_registry, err);
        rc = r->rt ? 0 : err->code ? err->code : IB_EINIT;
    }
    if (rc != 0) {
        ir_properties_free(copy);
    }
    return rc;
}

static int open_verifiers(struct gw_router *r, struct ib_err *err)
{
    const struct auth_setting password = {.proxy_property = "Glacier2.PermissionsVerifier",
                                          .file_property = "Glacier2.CryptPasswords",
                                          .instance = r->config.instance};
    const struct auth_setting ssl = {
        .proxy_property = "Glacier2.SSLPermissionsVerifier", .instance = r->config.instance, .ssl = true};
    int rc = auth_verifier_configure(r->rt, r->helper, &password, &r->verifier, err);
    rc = rc ? rc : auth_verifier_configure(r->rt, r->helper, &ssl, &r->ssl_verifier, err);
    if (rc == 0 && !r->verifier && !r->ssl_verifier) {
        rc = ib_err_set(err, IB_ECONFIG,
                        "Glacier2 requires a permissions verifier or password file: set "
                        "Glacier2.CryptPasswords, Glacier2.PermissionsVerifier or Glacier2.SSLPermissionsVerifier");
    }
    return rc;
}

static int open_adapters(struct gw_router *r, struct ib_err *err)
{
    r->client = ir_adapter_new(r->rt, "Glacier2.Client", err);
    if (r->client && r->config.has_server) {
        r->server = ir_adapter_new(r->rt, "Glacier2.Server", err);
    }
    if (!r->client || (r->config.has_server && !r->server)) {
        return err->code ? err->code : IB_EINIT;
    }
    return gw_servants_add(r) == 0 ? 0 : ib_err_set(err, IB_ENOMEM, "out of memory");
}

/* Process::shutdown of the admin object. */
static void on_admin_shutdown(void *arg)
{
    ir_service_quit(((struct gw_router *)arg)->loop);
}

static int open_all(struct gw_router *r, const struct ir_properties *props, struct ib_err *err)
{
    int rc = open_runtime(r, props, err);
    rc = rc ? rc : gw_config_read(&r->config, r->rt, err);
    rc = rc ? rc : open_adapters(r, err);
    rc = rc ? rc : open_verifiers(r, err);
    rc = rc ? rc : ir_runtime_property_proxy(r->rt, "Glacier2.SessionManager", &r->arena, &r->manager, err);
    rc = rc ? rc : ir_runtime_property_proxy(r->rt, "Glacier2.SSLSessionManager", &r->arena, &r->ssl_manager, err);
    return rc ? rc : ir_admin_create(r->rt, on_admin_shutdown, r, &r->admin, err);
}

static void on_stop_timer(void *arg);

static void *gateway_start(struct ic_loop *loop, struct ir_properties *props, int argc, char **argv, struct ib_err *err)
{
    bool nowarn = false;
    if (parse_options(argc, argv, &nowarn, err) != 0) {
        return NULL;
    }
    struct gw_router *r = calloc(1, sizeof(*r));
    if (!r) {
        (void)ib_err_set(err, IB_ENOMEM, "out of memory");
        return NULL;
    }
    r->loop = loop;
    ib_arena_init(&r->arena, 0);
    ib_list_init(&r->clients);
    ib_list_init(&r->sessions);
    ic_timer_init(&r->stop_timer, loop, on_stop_timer, r);
    r->index = gw_index_new();
    r->helper = auth_helper_new(loop, NULL);
    int rc = r->index && r->helper ? 0 : ib_err_set(err, IB_ENOMEM, "out of memory");
    rc = rc ? rc : open_all(r, props, err);
    rc = rc ? rc : gw_startup_run(r, nowarn, err);
    if (rc != 0) {
        gateway_free(r);
        return NULL;
    }
    return r;
}

/* --- stop --------------------------------------------------------------------------------------------------------- */

static void stopped(void *arg)
{
    struct gw_router *r = arg;
    void (*done)(void *) = r->on_stopped;
    r->on_stopped = NULL;
    ic_timer_stop(&r->stop_timer);
    if (done) {
        done(r->stopped_arg);
    }
}

static void shut_down(struct gw_router *r)
{
    if (!r->shutting_down) {
        r->shutting_down = true;
        ic_timer_start(&r->stop_timer, STOP_TOTAL_MS - STOP_CALLS_MS);
        ir_runtime_shutdown(r->rt, stopped, r);
    }
}

static void on_stop_timer(void *arg)
{
    struct gw_router *r = arg;
    if (r->shutting_down) {
        stopped(r);
    } else {
        shut_down(r);
    }
}

void gw_router_call_done(struct gw_router *r)
{
    r->pending--;
    if (r->pending == 0 && r->stopping && r->on_stopped) {
        shut_down(r);
    }
}

/* Clients first, so that nothing new begins; then the managers hear of every session's end; then the connections. */
static void gateway_stop(void *state, void (*done)(void *arg), void *arg)
{
    struct gw_router *r = state;
    if (!r) { /* told to stop before the start was over */
        done(arg);
        return;
    }
    r->stopping = true;
    gw_login_stop(r);
    while (!ib_list_empty(&r->clients)) {
        struct gw_client *c = IB_CONTAINER(r->clients.next, struct gw_client, node);
        ir_conn_set_data(c->conn, NULL);
        ir_conn_on_heartbeat(c->conn, NULL, NULL);
        gw_client_free(c);
    }
    ir_adapter_deactivate(r->client);
    r->on_stopped = done;
    r->stopped_arg = arg;
    if (r->pending == 0) {
        shut_down(r);
    } else {
        ic_timer_start(&r->stop_timer, STOP_CALLS_MS);
    }
}

static void gateway_free(void *state)
{
    struct gw_router *r = state;
    r->stopping = true;
    r->on_stopped = NULL;
    gw_login_stop(r);
    ir_admin_free(r->admin);
    ir_runtime_free(r->rt); /* ends every call and connection, and with them every session */
    auth_verifier_free(r->verifier);
    auth_verifier_free(r->ssl_verifier);
    auth_helper_free(r->helper);
    if (r->client) {
        ir_adapter_free(r->client);
    }
    if (r->server) {
        ir_adapter_free(r->server);
    }
    gw_index_free(r->index);
    gw_config_fini(&r->config);
    ic_timer_fini(&r->stop_timer);
    ib_arena_fini(&r->arena);
    free(r);
}

/* --- SIGHUP ------------------------------------------------------------------------------------------------------- */

static void gateway_reload(void *state)
{
    struct gw_router *r = state;
    struct ib_log *log = ir_runtime_log(r->rt);
    struct ib_err err = {0};
    if (r->verifier && auth_verifier_reload(r->verifier, log, &err) != 0) {
        ib_log_error(log, "the password file was not reloaded, the old one stays in force: %s", err.text);
    }
    if (ir_runtime_reload_tls(r->rt, &err) != 0) {
        ib_log_error(log, "the certificates were not reloaded, the old ones stay in force: %s", err.text);
    }
}

const struct ir_service gw_service = {
    .name = "moulin gateway",
    .usage = "--nowarn             Do not warn about services that cannot be contacted at the start.\n",
    .start = gateway_start,
    .stop = gateway_stop,
    .free = gateway_free,
    .reload = gateway_reload,
};
