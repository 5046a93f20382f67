/* SPDX-License-Identifier: Apache-2.0 */
/* Which settings a gateway refuses to start with. */
#include "settings.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <moulin/rpc/properties.h>
#include <moulin/rpc/runtime.h>

#define TIMEOUT_MAX_S 31536000
#define THREADS_MAX 65536

/* --- names -------------------------------------------------------------------------------------------------------- */

struct names {
    const struct ir_properties *p;
    struct ib_err *err;
    int rc;
};

/* What older manuals tell, and what has to be written today. */
static const char *const obsolete[][2] = {
    {"Glacier2.AddSSLContext", "Glacier2.AddConnectionContext"},
    {"Glacier2.AddUserToAllowCategories", "Glacier2.Filter.Category.AcceptUser"},
    {"Glacier2.AllowCategories", "Glacier2.Filter.Category.Accept"},
    {"Glacier2.Admin.Endpoints", "Ice.Admin.Endpoints"},
};

static void check_name(void *arg, const char *key, const char *value)
{
    struct names *n = arg;
    char meant[128];
    (void)value;
    if (n->rc != 0) {
        return;
    }
    for (size_t i = 0; i < sizeof(obsolete) / sizeof(obsolete[0]); i++) {
        if (strcmp(key, obsolete[i][0]) == 0) {
            n->rc = ib_err_set(n->err, IB_ECONFIG, "property %s (%s) is obsolete: use %s instead", key,
                               ir_properties_origin(n->p, key), obsolete[i][1]);
            return;
        }
    }
    if (ir_property_is_known(key, meant, sizeof(meant))) {
        return;
    }
    n->rc = meant[0] ? ib_err_set(n->err, IB_ECONFIG, "unknown property %.150s (%s): did you mean `%s'?", key,
                                  ir_properties_origin(n->p, key), meant)
                     : ib_err_set(n->err, IB_ECONFIG, "unknown property %.150s (%s): remove it, or correct its name",
                                  key, ir_properties_origin(n->p, key));
}

int gw_settings_check_names(const struct ir_properties *p, struct ib_err *err)
{
    struct names n = {.p = p, .err = err};
    ir_properties_each(p, "Glacier2.", check_name, &n);
    ir_properties_each(p, "Moulin.", check_name, &n);
    return n.rc;
}

/* --- values ------------------------------------------------------------------------------------------------------- */

struct number {
    const char *name;
    int lowest, highest;
};

static const struct number adapter_numbers[] = {
    {"ACM", 0, TIMEOUT_MAX_S},
    {"ACM.Timeout", 0, TIMEOUT_MAX_S},
    {"ACM.Close", 0, 4},
    {"ACM.Heartbeat", 0, 3},
    {"MessageSizeMax", -1, INT_MAX / 1024},
    {"ThreadPool.Size", 1, THREADS_MAX},
    {"ThreadPool.SizeMax", 1, THREADS_MAX},
    {"ThreadPool.SizeWarn", 0, THREADS_MAX},
    {"ThreadPool.StackSize", 0, INT_MAX},
    {"ThreadPool.Serialize", 0, 1},
    {"ThreadPool.ThreadPriority", INT_MIN, INT_MAX},
    {"ThreadPool.ThreadIdleTime", 0, TIMEOUT_MAX_S},
    {"AlwaysBatch", 0, 1},
    {"SleepTime", 0, INT_MAX},
    {"Trace.Override", 0, 99},
};

static const struct number proxy_numbers[] = {
    {"ConnectionCached", 0, 1},         {"PreferSecure", 0, 1},
    {"CollocationOptimized", 0, 1},     {"LocatorCacheTimeout", -1, TIMEOUT_MAX_S},
    {"InvocationTimeout", -2, INT_MAX},
};

static int check_numbers(const struct ir_properties *p, const char *prefix, const struct number *v, size_t n,
                         struct ib_err *err)
{
    char key[96];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        int value = 0;
        (void)snprintf(key, sizeof(key), "%s.%s", prefix, v[i].name);
        if (!ir_properties_get(p, key)[0]) {
            continue;
        }
        rc = ir_properties_int(p, key, 0, &value, err);
        if (rc == 0 && (value < v[i].lowest || value > v[i].highest)) {
            rc = ib_err_set(err, IB_ECONFIG, "property %s=%d (%s) is out of range: give a number from %d to %d", key,
                            value, ir_properties_origin(p, key), v[i].lowest, v[i].highest);
        }
    }
    return rc;
}

static int check_proxy(struct ir_runtime *rt, const char *prefix, const char *name, struct ib_err *err)
{
    char key[96];
    struct iw_proxy *prx = NULL;
    struct ib_arena arena;
    (void)snprintf(key, sizeof(key), "%s.%s", prefix, name);
    ib_arena_init(&arena, 0);
    int rc = ir_runtime_property_proxy(rt, key, &arena, &prx, err);
    ib_arena_fini(&arena);
    return rc;
}

static int check_selection(const struct ir_properties *p, const char *prefix, struct ib_err *err)
{
    char key[96];
    (void)snprintf(key, sizeof(key), "%s.EndpointSelection", prefix);
    const char *value = ir_properties_get(p, key);
    if (!value[0] || strcmp(value, "Random") == 0 || strcmp(value, "Ordered") == 0) {
        return 0;
    }
    return ib_err_set(err, IB_ECONFIG, "property %s=%.100s (%s) must be `Random' or `Ordered'", key, value,
                      ir_properties_origin(p, key));
}

static int check_proxy_options(struct ir_runtime *rt, const char *prefix, struct ib_err *err)
{
    const struct ir_properties *p = ir_runtime_properties(rt);
    int rc = check_numbers(p, prefix, proxy_numbers, sizeof(proxy_numbers) / sizeof(proxy_numbers[0]), err);
    rc = rc ? rc : check_selection(p, prefix, err);
    rc = rc ? rc : check_proxy(rt, prefix, "Locator", err);
    return rc ? rc : check_proxy(rt, prefix, "Router", err);
}

int gw_settings_check_values(struct ir_runtime *rt, struct ib_err *err)
{
    static const char *const adapters[] = {"Glacier2.Client", "Glacier2.Server"};
    static const char *const proxies[] = {"Glacier2.PermissionsVerifier", "Glacier2.SSLPermissionsVerifier",
                                          "Glacier2.SessionManager",      "Glacier2.SSLSessionManager",
                                          "Glacier2.Client.Locator",      "Glacier2.Client.Router",
                                          "Glacier2.Server.Locator",      "Glacier2.Server.Router"};
    const struct ir_properties *p = ir_runtime_properties(rt);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof(adapters) / sizeof(adapters[0]); i++) {
        rc = check_numbers(p, adapters[i], adapter_numbers, sizeof(adapter_numbers) / sizeof(adapter_numbers[0]), err);
        rc = rc ? rc : check_proxy(rt, adapters[i], "Locator", err);
        rc = rc ? rc : check_proxy(rt, adapters[i], "Router", err);
    }
    for (size_t i = 0; rc == 0 && i < sizeof(proxies) / sizeof(proxies[0]); i++) {
        rc = check_proxy_options(rt, proxies[i], err);
    }
    return rc;
}
