/* SPDX-License-Identifier: Apache-2.0 */
/* Reads and checks the configuration of one replica. Owns nothing; strings live in the caller's arena. */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <moulin/rpc/proxy.h>

static const char *const adapters[] = {"Client", "Server", "Internal", "SessionManager", "AdminSessionManager"};

static int out_of_memory(struct ib_err *err)
{
    return ib_err_set(err, IB_ENOMEM, "out of memory");
}

static int require(const struct ir_properties *props, const char *key, struct ib_err *err)
{
    if (*ir_properties_get(props, key))
        return 0;
    return ib_err_set(err, IB_ECONFIG, "property `%s' is not set", key);
}

static int check_required(const struct ir_properties *props, bool master, struct ib_err *err)
{
    int rc = require(props, "IceGrid.Registry.Client.Endpoints", err);
    if (!rc)
        rc = require(props, "IceGrid.Registry.Server.Endpoints", err);
    if (!rc)
        rc = require(props, "IceGrid.Registry.Internal.Endpoints", err);
    if (!rc && !master)
        rc = require(props, "Ice.Default.Locator", err);
    return rc;
}

/* The category of the locator's identity, when the locator is set (icegrid-registry 2). */
static int locator_category(const struct ir_properties *props, struct ib_arena *arena, struct ib_str *out,
                            struct ib_err *err)
{
    const char *text = ir_properties_get(props, "Ice.Default.Locator");
    *out = ib_str("");
    if (!*text)
        return 0;
    struct ir_proxy_defaults defaults;
    struct iw_proxy *prx;
    int rc = ir_proxy_defaults(props, arena, &defaults, err);
    if (rc)
        return rc;
    rc = ir_proxy_parse(ib_str(text), &defaults, arena, &prx, NULL, err);
    if (rc) {
        ib_err_wrap(err, "invalid value for property `Ice.Default.Locator' (`%s')", text);
        return rc;
    }
    if (prx)
        *out = prx->id.category;
    return 0;
}

static int read_names(struct reg_config *cfg, const struct ir_properties *props, struct ib_arena *arena,
                      struct ib_err *err)
{
    cfg->replica = ib_arena_strz(arena, ir_properties_get_or(props, "IceGrid.Registry.ReplicaName", REG_MASTER));
    const char *instance = ir_properties_get(props, "IceGrid.InstanceName");
    if (!*instance)
        instance = ir_properties_get(props, "IceLocatorDiscovery.InstanceName");
    cfg->instance = ib_arena_strz(arena, instance);
    cfg->locator = ib_arena_strz(arena, ir_properties_get(props, "Ice.Default.Locator"));
    if (!cfg->replica.p || !cfg->instance.p || !cfg->locator.p)
        return out_of_memory(err);
    cfg->master = ib_str_is(cfg->replica, REG_MASTER);
    if (cfg->instance.n == 0 && !cfg->master) { /* a master has no locator but its own */
        int rc = locator_category(props, arena, &cfg->instance, err);
        if (rc)
            return rc;
    }
    if (cfg->instance.n == 0)
        cfg->instance = IB_STR("IceGrid");
    return 0;
}

static int make_directories(char *path, struct ib_err *err)
{
    for (char *p = path + 1;; p++) {
        if (*p && *p != '/')
            continue;
        char end = *p;
        *p = '\0';
        int failed = mkdir(path, 0750) != 0 && errno != EEXIST;
        int why = errno;
        if (failed)
            return ib_err_set(err, IB_EFILE, "cannot make the database directory `%s': %s", path, strerror(why));
        *p = end;
        if (!end)
            return 0;
    }
}

static int read_database(struct reg_config *cfg, struct ir_properties *props, struct ib_arena *arena,
                         struct ib_err *err)
{
    const char *key = "IceGrid.Registry.LMDB.Path";
    if (!*ir_properties_get(props, key) && *ir_properties_get(props, "IceGrid.Registry.Data"))
        key = "IceGrid.Registry.Data"; /* its name before 3.7 */
    int rc = require(props, key, err);
    if (rc)
        return rc;
    const char *value = ir_properties_get(props, key);
    if (strlen(value) > PATH_MAX - 32)
        return ib_err_set(err, IB_ECONFIG, "property `%s': the path is too long", key);
    struct ib_str path = ib_arena_strz(arena, value);
    char *copy = ib_arena_alloc(arena, path.n + 1);
    if (!path.p || !copy)
        return out_of_memory(err);
    memcpy(copy, path.p, path.n);
    rc = make_directories(copy, err);
    struct stat st;
    if (!rc && (stat(path.p, &st) != 0 || !S_ISDIR(st.st_mode) || access(path.p, R_OK | W_OK | X_OK) != 0))
        rc = ib_err_set(err, IB_EFILE, "`%s' is not a directory this process may write to", path.p);
    if (rc) {
        ib_err_wrap(err, "property `%s'", key);
        return rc;
    }
    int megabytes;
    rc = ir_properties_int(props, "IceGrid.Registry.LMDB.MapSize", 100, &megabytes, err);
    if (rc)
        return rc;
    cfg->path = path;
    cfg->map_size = (size_t)(megabytes > 0 ? megabytes : 100) << 20;
    return 0;
}

static int read_numbers(struct reg_config *cfg, const struct ir_properties *props, struct ib_err *err)
{
    int dynamic = 0, discovery = 1, second = 0;
    const struct {
        const char *key;
        int otherwise;
        int *out;
    } list[] = {
        {"IceGrid.Registry.SessionTimeout", 30, &cfg->session_timeout},
        {"IceGrid.Registry.NodeSessionTimeout", 30, &cfg->node_session_timeout},
        {"IceGrid.Registry.ReplicaSessionTimeout", 30, &cfg->replica_session_timeout},
        {"Moulin.Registry.ReplicaAckTimeout", 4, &cfg->replica_ack_timeout},
        {"Moulin.Registry.AckPoll", 200, &cfg->ack_poll_us},
        {"Moulin.Registry.MinReplicas", 0, &cfg->min_replicas},
        {"Moulin.Registry.SecondMaster", 0, &second},
        {"IceGrid.Registry.DynamicRegistration", 0, &dynamic},
        {"IceGrid.Registry.SessionFilters", 0, &cfg->session_filters},
        {"IceGrid.Registry.AdminSessionFilters", 0, &cfg->admin_session_filters},
        {"IceGrid.Registry.Discovery.Enabled", 1, &discovery},
        {"IceGrid.Registry.Discovery.Port", 4061, &cfg->discovery_port},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        int rc = ir_properties_int(props, list[i].key, list[i].otherwise, list[i].out, err);
        if (rc)
            return rc;
    }
    cfg->dynamic_registration = dynamic > 0;
    cfg->discovery = discovery > 0;
    cfg->second_master = second > 0;
    if (cfg->replica_ack_timeout < 1 || cfg->replica_ack_timeout > 3600)
        return ib_err_set(err, IB_ECONFIG, "property `Moulin.Registry.ReplicaAckTimeout': %d is not within 1 and 3600",
                          cfg->replica_ack_timeout);
    if (cfg->ack_poll_us < 0 || cfg->ack_poll_us > 10000)
        return ib_err_set(err, IB_ECONFIG, "property `Moulin.Registry.AckPoll': %d is not within 0 and 10000",
                          cfg->ack_poll_us);
    if (cfg->min_replicas < 0 || cfg->min_replicas > 128)
        return ib_err_set(err, IB_ECONFIG, "property `Moulin.Registry.MinReplicas': %d is not within 0 and 128",
                          cfg->min_replicas);
    static const char *const names[REG_TRACE_MAX] = {
#define X(sym, name) "IceGrid.Registry.Trace." name,
        REG_TRACES(X)
#undef X
    };
    for (int i = 0; i < REG_TRACE_MAX; i++) {
        int rc = ir_properties_int(props, names[i], 0, &cfg->trace[i], err);
        if (rc)
            return rc;
    }
    return 0;
}

static int set_default(struct ir_properties *props, const char *key, int value)
{
    char text[16];
    if (ir_properties_has(props, key))
        return 0;
    snprintf(text, sizeof text, "%d", value);
    return ir_properties_set(props, key, text);
}

/* What a registry forces on itself, whatever the configuration says (icegrid-registry 1.3). */
static int force_properties(const struct reg_config *cfg, struct ir_properties *props)
{
    int rc = 0;
    for (size_t i = 0; i < sizeof adapters / sizeof *adapters && !rc; i++) {
        char key[64];
        snprintf(key, sizeof key, "IceGrid.Registry.%s.AdapterId", adapters[i]);
        rc = ir_properties_set(props, key, "");
    }
    if (!rc && cfg->master)
        rc = ir_properties_set(props, "Ice.Default.Locator", "");
    int internal_acm = cfg->node_session_timeout > cfg->replica_session_timeout ? cfg->node_session_timeout
                                                                                : cfg->replica_session_timeout;
    static const struct {
        const char *key, *value;
    } forced[] = {{"Ice.PrintProcessId", "0"},
                  {"Ice.ServerIdleTime", "0"},
                  {"Ice.Admin.Endpoints", ""},
                  {"Ice.ACM.Close", "3"},
                  {"Ice.ACM.Server.Close", "3"}};
    for (size_t i = 0; i < sizeof forced / sizeof *forced && !rc; i++)
        rc = ir_properties_set(props, forced[i].key, forced[i].value);
    if (!rc)
        rc = set_default(props, "Ice.Admin.Enabled", 1);
    if (!rc)
        rc = set_default(props, "IceGrid.Registry.Internal.MessageSizeMax", 0);
    if (!rc)
        rc = set_default(props, "IceGrid.Registry.Client.ACM.Timeout", cfg->session_timeout);
    if (!rc)
        rc = set_default(props, "IceGrid.Registry.Server.ACM.Timeout", 30);
    if (!rc)
        rc = set_default(props, "IceGrid.Registry.Internal.ACM.Timeout", internal_acm);
    return rc;
}

int reg_config_read(struct reg_config *cfg, struct ir_properties *props, const struct reg_options *opt,
                    struct ib_arena *arena, struct ib_err *err)
{
    *cfg = (struct reg_config){.no_warn = opt->no_warn};
    int rc = read_names(cfg, props, arena, err);
    if (!rc)
        rc = check_required(props, cfg->master, err);
    if (!rc)
        rc = read_database(cfg, props, arena, err);
    if (!rc)
        rc = read_numbers(cfg, props, err);
    if (rc)
        return rc;
    cfg->read_only = opt->read_only && cfg->master;
    cfg->init_from = ib_arena_strz(arena, opt->init_from);
    if (!cfg->init_from.p)
        return out_of_memory(err);
    if (cfg->init_from.n && ib_str_eq(cfg->init_from, cfg->replica))
        return ib_err_set(err, IB_ECONFIG, "invalid --initdb-from-replica option: identical replica");
    cfg->has_session_manager = *ir_properties_get(props, "IceGrid.Registry.SessionManager.Endpoints");
    cfg->has_admin_session_manager = *ir_properties_get(props, "IceGrid.Registry.AdminSessionManager.Endpoints");
    return force_properties(cfg, props) ? out_of_memory(err) : 0;
}
