/* SPDX-License-Identifier: Apache-2.0 */
/* One worker's router: made from the properties, stopped gracefully within a bound, freed. */
#include "router.h"

#include <stdlib.h>

#include <moulin/rpc/service.h>
#include <slice/registry.h>

#define STOP_CALLS_MS 2000 /* for session managers to hear of the end */
#define STOP_TOTAL_MS 5000 /* then clients that will not close are left behind (2.3) */
#define TOLD_MAX 1000 /* lines of the log on their way to worker 0 */

static void on_stop_timer(void *arg);

/* --- making ------------------------------------------------------------------------------------------------------- */

static const struct gw_router *first_of(const struct gw_router *r)
{
    return r->worker > 0 ? r->crew->workers[0].router : NULL;
}

/* What worker 0 does for all. */
static int leave_to_first(struct ir_properties *p)
{
    int rc = ir_properties_set(p, "Ice.Admin.Endpoints", "");
    return rc ? rc : ir_properties_set(p, "Ice.PrintAdapterReady", "0");
}

static int open_runtime(struct gw_router *r, const struct ir_properties *props, struct ib_err *err)
{
    const struct gw_router *first = first_of(r);
    struct ir_properties *copy = ir_properties_copy(props);
    int rc = copy ? gw_config_prepare(copy, err) : ib_err_set(err, IB_ENOMEM, "out of memory");
    if (rc == 0 && first && leave_to_first(copy) != 0) {
        rc = ib_err_set(err, IB_ENOMEM, "out of memory");
    }
    if (rc == 0) {
        r->rt = first ? ir_runtime_new_beside(first->rt, r->worker, r->loop, copy, err)
                      : ir_runtime_new(r->loop, copy, &slice_registry, err);
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
                                          .instance = r->config.instance,
                                          .prefix = "Moulin.Gateway."};
    const struct auth_setting ssl = {
        .proxy_property = "Glacier2.SSLPermissionsVerifier", .instance = r->config.instance, .ssl = true};
    int rc = auth_helper_configure(r->rt, password.prefix, &r->helper, err);
    rc = rc ? rc : auth_verifier_configure(r->rt, r->helper, &password, &r->verifier, err);
    rc = rc ? rc : auth_verifier_configure(r->rt, r->helper, &ssl, &r->ssl_verifier, err);
    if (rc == 0 && !(r->map_verifier = auth_verifier_new_null(r->loop))) {
        rc = ib_err_set(err, IB_ENOMEM, "out of memory");
    }
    if (rc == 0 && !r->verifier && !gw_edge_verifier(r)) {
        rc = ib_err_set(err, IB_ECONFIG,
                        "Glacier2 requires a permissions verifier or password file: set "
                        "Glacier2.CryptPasswords, Glacier2.PermissionsVerifier, Moulin.Gateway.PamService, "
                        "Glacier2.SSLPermissionsVerifier or Moulin.Gateway.CertificateUsers");
    }
    const struct gw_router *first = first_of(r);
    if (rc == 0 && first && r->verifier) {
        auth_verifier_renew(r->verifier, auth_verifier_passwords(first->verifier));
    }
    return rc;
}

/* Ports that the server adapter is free to choose each worker chooses for itself, so that callbacks come to the worker
   whose client they are for. One that is known to others stays one, and worker 0 shares out what comes to it. */
static struct ir_adapter *open_adapter(struct gw_router *r, const char *name, bool own_ports, struct ib_err *err)
{
    const struct gw_router *first = first_of(r);
    struct ir_adapter_options o = {0};
    if (first) {
        o.adapter_id = "";
        o.mirrors = own_ports ? NULL : strcmp(name, "Glacier2.Client") == 0 ? first->client : first->server;
    }
    return ir_adapter_new_with(r->rt, name, &o, err);
}

static int open_adapters(struct gw_router *r, struct ib_err *err)
{
    r->own_ports = ir_adapter_has_free_ports(r->rt, "Glacier2.Server");
    r->client = open_adapter(r, "Glacier2.Client", false, err);
    if (r->client && r->config.has_server) {
        r->server = open_adapter(r, "Glacier2.Server", r->own_ports, err);
    }
    if (!r->client || (r->config.has_server && !r->server)) {
        return err->code ? err->code : IB_EINIT;
    }
    return gw_servants_add(r) == 0 ? 0 : ib_err_set(err, IB_ENOMEM, "out of memory");
}

static int open_edge(struct gw_router *r, struct ib_err *err)
{
    struct gw_edge edge;
    int rc = gw_edge_read(ir_runtime_properties(r->rt), &edge, err);
    if (rc == 0) {
        gw_edge_use(r, &edge);
    }
    return rc;
}

/* Process::shutdown of the admin object. */
static void on_admin_shutdown(void *arg)
{
    ir_service_quit(((struct gw_router *)arg)->loop);
}

/* Loggers of other workers: what they write shows in worker 0's facet, too. */
struct told {
    struct ic_post post;
    struct gw_crew *crew;
    enum ib_log_kind kind;
    const char *category, *text; /* behind the struct */
};

static void on_told(void *arg)
{
    struct told *t = arg;
    struct gw_router *first = t->crew->workers[0].router;
    atomic_fetch_sub(&t->crew->told, 1);
    if (first) {
        ib_log_tell(ir_runtime_log(first->rt), t->kind, t->category, t->text);
    }
    free(t);
}

/* The facet keeps the last of them only: beyond a thousand on their way they are let go. */
static void on_logged(void *arg, enum ib_log_kind kind, const char *category, const char *text)
{
    struct gw_crew *crew = ((struct gw_router *)arg)->crew;
    size_t n = strlen(category) + 1, m = strlen(text) + 1;
    struct told *t = atomic_load(&crew->told) < TOLD_MAX ? calloc(1, sizeof(*t) + n + m) : NULL;
    if (!t) {
        return;
    }
    char *to = (char *)(t + 1);
    memcpy(to, category, n);
    memcpy(to + n, text, m);
    t->crew = crew;
    t->kind = kind;
    t->category = to;
    t->text = to + n;
    atomic_fetch_add(&crew->told, 1);
    gw_crew_post(crew, 0, &t->post, on_told, t);
}

static int open_admin(struct gw_router *r, struct ib_err *err)
{
    const struct gw_router *first = first_of(r);
    if (first && first->admin) {
        ir_admin_join(r->rt);
        ib_log_set_tap(ir_runtime_log(r->rt), on_logged, r);
    }
    if (first) {
        return 0;
    }
    int rc = ir_admin_create(r->rt, on_admin_shutdown, r, &r->admin, err);
    if (rc == 0 && r->admin) {
        const struct ir_admin_peers peers = gw_round_peers(r->crew);
        ir_admin_set_peers(r->admin, &peers);
    }
    return rc ? rc : gw_operator_open(r, err);
}

int gw_router_open(struct gw_router *r, const struct ir_properties *props, struct ib_err *err)
{
    int rc = open_runtime(r, props, err);
    rc = rc ? rc : gw_config_read(&r->config, r->rt, err);
    rc = rc ? rc : gw_limits_read(&r->limits, ir_runtime_properties(r->rt), r->config.acm_timeout_s, err);
    rc = rc ? rc : gw_audit_open(r, err);
    rc = rc || r->worker ? rc : gw_books_open(&r->crew->books, &r->limits, err);
    rc = rc ? rc : open_adapters(r, err);
    rc = rc ? rc : open_edge(r, err);
    rc = rc ? rc : open_verifiers(r, err);
    rc = rc ? rc : ir_runtime_property_proxy(r->rt, "Glacier2.SessionManager", &r->arena, &r->manager, err);
    rc = rc ? rc : ir_runtime_property_proxy(r->rt, "Glacier2.SSLSessionManager", &r->arena, &r->ssl_manager, err);
    rc = rc ? rc : gw_metrics_open(r) == 0 ? 0 : ib_err_set(err, IB_ENOMEM, "out of memory");
    rc = rc ? rc : open_admin(r, err);
    return rc || gw_target_init(r) == 0 ? rc : ib_err_set(err, IB_ENOMEM, "out of memory");
}

struct gw_router *gw_router_new(struct gw_crew *crew, unsigned worker)
{
    struct gw_router *r = calloc(1, sizeof(*r));
    if (!r) {
        return NULL;
    }
    r->crew = crew;
    r->worker = worker;
    r->loop = crew->workers[worker].loop;
    ib_arena_init(&r->arena, 0);
    ib_list_init(&r->clients);
    ib_list_init(&r->sessions);
    ib_list_init(&r->guests);
    ib_list_init(&r->crossings);
    gw_flushers_init(r);
    gw_door_init(r);
    ic_timer_init(&r->stop_timer, r->loop, on_stop_timer, r);
    gw_operator_init(r);
    ic_timer_init(&r->guest_timer, r->loop, gw_guest_on_timer, r);
    r->index = gw_index_new();
    if (!r->index) {
        gw_router_free(r);
        return NULL;
    }
    crew->workers[worker].router = r;
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
void gw_router_stop(struct gw_router *r, void (*done)(void *arg), void *arg)
{
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

void gw_router_free(struct gw_router *r)
{
    r->stopping = true;
    r->on_stopped = NULL;
    gw_login_stop(r);
    gw_crossings_orphan(r);
    gw_operator_fini(r);
    ir_admin_free(r->admin);
    ir_observe_end(&r->observed);
    ir_runtime_free(r->rt); /* ends every call and connection, and with them every session */
    auth_verifier_free(r->verifier);
    auth_verifier_free(r->ssl_verifier);
    auth_verifier_free(r->map_verifier);
    auth_helper_free(r->helper);
    if (r->client) {
        ir_adapter_free(r->client);
    }
    if (r->server) {
        ir_adapter_free(r->server);
    }
    gw_index_free(r->index);
    gw_flushers_fini(r);
    gw_edge_fini(&r->edge);
    gw_config_fini(&r->config);
    ic_timer_fini(&r->stop_timer);
    ic_timer_fini(&r->guest_timer);
    gw_door_fini(r);
    gw_audit_close(r);
    ib_arena_fini(&r->arena);
    if (r->crew->workers[r->worker].router == r) {
        r->crew->workers[r->worker].router = NULL;
    }
    free(r);
}
