/* SPDX-License-Identifier: Apache-2.0 */
/* One replica's life: configuration, database, adapters, parts, activation in the order of icegrid-registry 1.2, stop.
   Owns everything in struct reg. */
#include "registry.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>

#include <moulin/base/clock.h>
#include <moulin/net/loop.h>
#include <moulin/registry/registry.h>
#include <slice/registry.h>

#include "activation.h"
#include "site_filter.h"
#include "rival.h"
#include "sessions.h"
#include "slices.h"
#include "well_known.h"

/* In order of start. What needs nobody else comes first. */
static const struct reg_part *const parts[] = {
    &reg_channel_part,       &reg_traces_part,      &reg_nodes_part,   &reg_deployment_part,
    &reg_activation_part,    &reg_site_filter_part, &reg_locator_part, &reg_locator_registry_part,
    &reg_query_part,         &reg_internal_part,    &reg_replica_part, &reg_sessions_part,
    &reg_user_accounts_part, &reg_discovery_part,   &reg_rival_part,
};
#define PARTS (sizeof parts / sizeof *parts)

/* --- options -------------------------------------------------------------------------------------------------------
 */

static int parse_options(struct reg_options *opt, int argc, char **argv, struct ib_err *err)
{
    static const char init[] = "--initdb-from-replica";
    *opt = (struct reg_options){.init_from = ""};
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        if (strcmp(a, "--nowarn") == 0)
            opt->no_warn = true;
        else if (strcmp(a, "--readonly") == 0)
            opt->read_only = true;
        else if (strcmp(a, init) == 0 && i + 1 < argc)
            opt->init_from = argv[++i];
        else if (strncmp(a, init, sizeof init - 1) == 0 && a[sizeof init - 1] == '=')
            opt->init_from = a + sizeof init;
        else if (*a == '-')
            return ib_err_set(err, IB_EINVAL, "invalid option: `%s'", a);
        else
            return ib_err_set(err, IB_EINVAL, "too many arguments");
    }
    return 0;
}

/* --- start ---------------------------------------------------------------------------------------------------------
 */

static int out_of_memory(struct ib_err *err)
{
    return ib_err_set(err, IB_ENOMEM, "out of memory");
}

static void warn_session_managers(const struct reg *reg)
{
    if (reg->cfg.no_warn)
        return;
    if (reg->cfg.has_session_manager)
        ib_log_warning(reg->log, "session manager endpoints `IceGrid.Registry.SessionManager.Endpoints' enabled%s",
                       reg->cfg.session_filters > 0 ? "" : " (with Glacier2 filters disabled)");
    if (reg->cfg.has_admin_session_manager)
        ib_log_warning(reg->log,
                       "administrative session manager endpoints `IceGrid.Registry.AdminSessionManager.Endpoints' "
                       "enabled%s",
                       reg->cfg.admin_session_filters > 0 ? "" : " (with Glacier2 filters disabled)");
}

static int make_adapter(struct reg *reg, const char *name, struct ir_adapter **out, struct ib_err *err)
{
    const struct ir_adapter_options options = {.adapter_id = ""};
    *out = ir_adapter_new_with(reg->rt, name, &options, err);
    return *out ? 0 : err->code;
}

static int make_adapters(struct reg *reg, struct ib_err *err)
{
    int rc = make_adapter(reg, "IceGrid.Registry.Internal", &reg->internal, err);
    if (!rc)
        rc = make_adapter(reg, "IceGrid.Registry.Server", &reg->server, err);
    if (!rc)
        rc = make_adapter(reg, "IceGrid.Registry.Client", &reg->client, err);
    if (!rc && reg->cfg.has_session_manager)
        rc = make_adapter(reg, "IceGrid.Registry.SessionManager", &reg->session_manager, err);
    if (!rc && reg->cfg.has_admin_session_manager)
        rc = make_adapter(reg, "IceGrid.Registry.AdminSessionManager", &reg->admin_session_manager, err);
    return rc;
}

static int open_database(struct reg *reg, struct ib_err *err)
{
    reg->catalog = reg_catalog_new();
    reg->changes = reg_changes_new(reg);
    if (!reg->catalog || !reg->changes)
        return out_of_memory(err);
    reg->store = reg_store_open(reg->loop, reg->cfg.path.p, reg->cfg.map_size, err);
    return reg->store ? reg_changes_load(reg, err) : err->code;
}

static int start_parts(struct reg *reg, struct ib_err *err)
{
    for (size_t i = 0; i < PARTS; i++) {
        reg->parts[i] = parts[i]->start(reg, err);
        if (!reg->parts[i])
            return ib_err_wrap(err, "cannot start the registry's %s", parts[i]->name);
    }
    return 0;
}

static void stop_parts(struct reg *reg)
{
    for (size_t i = PARTS; i-- > 0;) {
        if (reg->parts[i])
            parts[i]->stop(reg->parts[i]);
        reg->parts[i] = NULL;
    }
}

int32_t reg_topic_serial(const struct reg *reg, enum reg_topic topic)
{
    return reg->topic_serial[topic];
}

int64_t reg_db_serial(const struct reg *reg, int table)
{
    return reg->db_serial[table];
}

int64_t reg_settled(const struct reg *reg, int table)
{
    return reg->settled[table];
}

void *reg_part_state(const struct reg *reg, const struct reg_part *part)
{
    for (size_t i = 0; i < PARTS; i++)
        if (parts[i] == part)
            return reg->parts[i];
    return NULL;
}

/* The last step, once this replica's own objects are in the database: clients may come. */
void reg_ready(struct reg *reg)
{
    if (reg->ready || reg->stopping)
        return;
    reg->ready = true;
    ir_adapter_activate(reg->server, NULL, NULL);
    ir_adapter_activate(reg->client, NULL, NULL);
    if (reg->discovery)
        ir_adapter_activate(reg->discovery, NULL, NULL);
    if (reg->session_manager)
        ir_adapter_activate(reg->session_manager, NULL, NULL);
    if (reg->admin_session_manager)
        ir_adapter_activate(reg->admin_session_manager, NULL, NULL);
    reg_nodes_recall(reg);
}

static int start(struct reg *reg, struct ir_properties *props, const struct reg_options *opt, struct ib_err *err)
{
    int rc = reg_config_read(&reg->cfg, props, opt, &reg->arena, err);
    if (!rc)
        reg->rt = ir_runtime_new(reg->loop, props, &slice_registry, err);
    if (!reg->rt) {
        ir_properties_free(props);
        return err->code;
    }
    reg->log = ir_runtime_log(reg->rt);
    warn_session_managers(reg);
    rc = reg_not_running_yet(reg, err);
    if (!rc)
        rc = make_adapters(reg, err);
    if (!rc)
        rc = open_database(reg, err);
    if (!rc)
        rc = start_parts(reg, err);
    if (!rc)
        rc = reg_rival_check(reg, err);
    if (!rc && reg->cfg.init_from.n)
        rc = reg_init_from_replica(reg, err);
    if (!rc)
        rc = reg_promote(reg, err);
    if (rc)
        return rc;
    ir_adapter_activate(reg->internal, NULL, NULL);
    reg_replica_begin(reg); /* registers the well-known objects, alone or through the master; then reg_ready */
    return 0;
}

struct reg *reg_start(struct ic_loop *loop, const struct ir_properties *props, int argc, char **argv,
                      struct ib_err *err)
{
    struct ib_err local = {0};
    struct reg_options opt;
    err = err ? err : &local;
    if (parse_options(&opt, argc, argv, err))
        return NULL;
    struct reg *reg = calloc(1, sizeof *reg);
    struct ir_properties *copy = ir_properties_copy(props);
    if (!reg || !copy) {
        free(reg);
        ir_properties_free(copy);
        out_of_memory(err);
        return NULL;
    }
    reg->loop = loop;
    ib_arena_init(&reg->arena, 0);
    ib_list_init(&reg->observers);
    reg->topic_serial[REG_TOPIC_REGISTRY] = 1; /* it has told itself of its own coming, as the original does */
    if (start(reg, copy, &opt, err) == 0)
        return reg;
    reg_free(reg);
    return NULL;
}

bool reg_is_ready(const struct reg *reg)
{
    return reg->ready;
}

struct ir_runtime *reg_runtime(struct reg *reg)
{
    return reg->rt;
}

/* --- stop ----------------------------------------------------------------------------------------------------------
 */

struct stop {
    struct reg *reg;
    void (*done)(void *arg);
    void *arg;
};

static void runtime_stopped(void *arg)
{
    const struct stop *s = arg;
    s->done(s->arg);
}

/* Whoever waits for a node is told, while answers are still possible: an unanswered request would never end. */
static void end_waits(struct reg *reg)
{
    reg_site_filters_end(reg);
    reg_activations_end(reg);
    reg_deployments_end(reg);
    reg_nodes_end(reg);
}

static void session_ended(void *arg)
{
    struct stop *s = arg;
    reg_sessions_end(s->reg);
    end_waits(s->reg);
    reg_changes_stop(s->reg->changes);
    ir_runtime_shutdown(s->reg->rt, runtime_stopped, s);
}

void reg_stop(struct reg *reg, void (*done)(void *arg), void *arg)
{
    struct stop *s = malloc(sizeof *s);
    if (!s || reg->stopping) {
        free(s);
        done(arg);
        return;
    }
    *s = (struct stop){reg, done, arg};
    reg->stop = s;
    reg->stopping = true;
    reg_replica_end(reg, session_ended, s);
}

void reg_free(struct reg *reg)
{
    if (!reg)
        return;
    reg->stopping = true;
    end_waits(reg);
    if (reg->changes)
        reg_changes_stop(reg->changes); /* answers are still possible: the parts and the runtime live */
    stop_parts(reg);
    ir_adapter_free(reg->admin_session_manager);
    ir_adapter_free(reg->session_manager);
    ir_adapter_free(reg->client);
    ir_adapter_free(reg->server);
    ir_adapter_free(reg->internal);
    ir_runtime_free(reg->rt);
    reg_store_close(reg->store);
    reg_changes_free(reg->changes);
    reg_catalog_free(reg->catalog);
    ib_arena_fini(&reg->arena);
    free(reg->stop);
    free(reg);
}

void reg_quit(struct reg *reg)
{
    ir_service_quit(reg->loop);
}

/* --- small things everybody uses
 * -------------------------------------------------------------------------------------- */

struct iw_identity reg_replica_identity(const struct reg *reg, const char *name, struct ib_arena *arena)
{
    if (reg->cfg.master)
        return reg_identity(reg, name);
    return (struct iw_identity){ib_arena_printf(arena, "%s-%s", name, reg->cfg.replica.p), reg->cfg.instance};
}

struct iw_identity reg_uuid_identity(struct ib_str category, struct ib_arena *arena)
{
    char uuid[IB_UUID_LEN + 1];
    ib_uuid(uuid);
    return (struct iw_identity){ib_arena_strz(arena, uuid), category};
}

bool reg_traces(const struct reg *reg, enum reg_trace_category cat, int level)
{
    return reg->cfg.trace[cat] >= level;
}

void reg_trace(const struct reg *reg, enum reg_trace_category cat, int level, const char *fmt, ...)
{
    static const char *const names[REG_TRACE_MAX] = {
#define X(sym, name) name,
        REG_TRACES(X)
#undef X
    };
    if (!reg_traces(reg, cat, level))
        return;
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    ib_log_trace(reg->log, names[cat], "%s", text);
}

void reg_throw_deployment(struct ir_request *rq, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    const struct IceGrid_DeploymentException ex = {.reason = ib_str(text)};
    IceGrid_DeploymentException_throw(rq, &ex);
}

bool reg_writable(const struct reg *reg)
{
    return reg->cfg.master && !reg->cfg.read_only && !reg_rival_doubt(reg);
}

bool reg_refuse_write(struct reg *reg, struct ir_request *rq)
{
    if (reg_writable(reg))
        return false;
    reg_throw_deployment(rq, "%s", REG_READ_ONLY_TEXT);
    return true;
}

struct ib_str reg_hostname(struct ib_arena *arena)
{
    struct utsname u;
    return uname(&u) == 0 ? ib_arena_strz(arena, u.nodename) : ib_str("");
}

/* --- the role ------------------------------------------------------------------------------------------------------
 */

static void *service_start(struct ic_loop *loop, struct ir_properties *props, int argc, char **argv, struct ib_err *err)
{
    return reg_start(loop, props, argc, argv, err);
}

static void service_stop(void *state, void (*done)(void *arg), void *arg)
{
    reg_stop(state, done, arg);
}

static void service_free(void *state)
{
    reg_free(state);
}

static void service_reload(void *state)
{
    struct reg *reg = state;
    struct ib_err err = {0};
    if (ir_runtime_reload_tls(reg->rt, NULL, &err))
        ib_log_error(reg->log, "cannot reload the certificates: %s", err.text);
}

const struct ir_service reg_service = {
    .name = "moulin registry",
    .usage = "--nowarn             Don't print any security warnings.\n"
             "--readonly           Start the master registry in read-only mode.\n"
             "--initdb-from-replica REPLICA\n"
             "                     Initialize the database from the given replica.\n"
             "moulin registry backup|restore|verify|export|import: see moulin registry backup --help.\n",
    .start = service_start,
    .stop = service_stop,
    .free = service_free,
    .reload = service_reload,
};
