/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the gateway's properties. A malformed one stops the start with its name, value, place and remedy: a door that
   misunderstood its configuration must stay shut. */
#include "config.h"

#include <limits.h>
#include <stdio.h>

#include <moulin/base/log.h>
#include <moulin/rpc/properties.h>
#include <moulin/rpc/runtime.h>

#define ROUTING_TABLE_DEFAULT 1000
#define ROUTING_TABLE_MAX 1000000
#define TIMEOUT_MAX_S 31536000
#define ACM_DEFAULT_S 60

static int read_int(const struct ir_properties *p, const char *key, int otherwise, int lowest, int highest, int *out,
                    struct ib_err *err)
{
    int v = otherwise;
    int rc = ir_properties_int(p, key, otherwise, &v, err);
    if (rc != 0) {
        return rc;
    }
    if (v < lowest || v > highest) {
        return ib_err_set(err, IB_ECONFIG, "property %s=%d (%s) is out of range: give a number from %d to %d", key, v,
                          ir_properties_origin(p, key), lowest, highest);
    }
    *out = v;
    return 0;
}

/* Numbers <= 0 mean "off" for switches and timeouts, as they do in Glacier2. */
static int read_switch(const struct ir_properties *p, const char *key, bool otherwise, bool *out, struct ib_err *err)
{
    int v = 0;
    int rc = read_int(p, key, otherwise, INT_MIN, INT_MAX, &v, err);
    *out = v > 0;
    return rc;
}

/* What this version does not do yet must not be taken for done. */
static int refuse_unsupported(const struct ir_properties *p, struct ib_err *err)
{
    static const char *const keys[] = {"Glacier2.Filter.Address.Accept", "Glacier2.Filter.Address.Reject",
                                       "Glacier2.Filter.ProxySizeMax"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (ir_properties_get(p, keys[i])[0]) {
            return ib_err_set(err, IB_ECONFIG,
                              "property %s (%s) is not supported by this version: remove it and filter by identity, "
                              "category or adapter id",
                              keys[i], ir_properties_origin(p, keys[i]));
        }
    }
    return 0;
}

/* What has no effect here is harmless without it, but said. */
static void warn_without_effect(const struct ir_properties *p, struct ib_log *log)
{
    static const char *const keys[] = {"Glacier2.Client.AlwaysBatch", "Glacier2.Server.AlwaysBatch",
                                       "Glacier2.Client.SleepTime", "Glacier2.Server.SleepTime"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (ir_properties_int_or(p, NULL, keys[i], 0) > 0) {
            ib_log_warning(log, "property %s (%s) has no effect: requests are forwarded as they arrive", keys[i],
                           ir_properties_origin(p, keys[i]));
        }
    }
}

int gw_config_prepare(struct ir_properties *p, struct ib_err *err)
{
    int timeout = 0;
    int rc = refuse_unsupported(p, err);
    rc = rc ? rc : ir_properties_set(p, "Ice.Default.Router", ""); /* a router never uses a router */
    if (rc == 0 && !ir_properties_get(p, "Glacier2.Client.Endpoints")[0]) {
        return ib_err_set(err, IB_ECONFIG, "property `Glacier2.Client.Endpoints' is not set");
    }
    rc = rc ? rc : read_int(p, "Glacier2.SessionTimeout", 0, INT_MIN, TIMEOUT_MAX_S, &timeout, err);
    if (rc == 0 && timeout > 0 && !ir_properties_get(p, "Glacier2.Client.ACM.Timeout")[0]) {
        char text[16];
        (void)snprintf(text, sizeof(text), "%d", timeout);
        rc = ir_properties_set(p, "Glacier2.Client.ACM.Timeout", text);
    }
    if (rc == 0 && !ir_properties_get(p, "Glacier2.Client.ACM.Close")[0]) {
        rc = ir_properties_set(p, "Glacier2.Client.ACM.Close", "4");
    }
    return rc;
}

static int read_direction(const struct ir_properties *p, const char *prefix, struct gw_direction *d, struct ib_err *err)
{
    const struct {
        const char *name;
        bool otherwise, *to;
    } switches[] = {{"Buffered", true, &d->buffered}, {"ForwardContext", false, &d->forward_context}};
    const struct {
        const char *name;
        int *to;
    } levels[] = {{"Trace.Request", &d->trace_request}, {"Trace.Reject", &d->trace_reject}};
    char key[64];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof(switches) / sizeof(switches[0]); i++) {
        (void)snprintf(key, sizeof(key), "%s.%s", prefix, switches[i].name);
        rc = read_switch(p, key, switches[i].otherwise, switches[i].to, err);
    }
    for (size_t i = 0; rc == 0 && i < sizeof(levels) / sizeof(levels[0]); i++) {
        (void)snprintf(key, sizeof(key), "%s.%s", prefix, levels[i].name);
        rc = read_int(p, key, 0, INT_MIN, INT_MAX, levels[i].to, err);
    }
    return rc;
}

/* Blank-separated items with quotes (10.4); out receives each item's text. */
static int next_item(const char **pp, bool identity, struct ib_arena *arena, struct ib_str *out)
{
    const char *p = *pp + strspn(*pp, " \t\r\n");
    char *text = ib_arena_alloc(arena, strlen(p) + 1);
    size_t n = 0;
    char quote = '\0';
    if (!text) {
        return IB_ENOMEM;
    }
    for (; *p && (quote || !strchr(" \t\r\n", *p)); p++) {
        if (*p == '\\' && (p[1] == '"' || p[1] == '\'') && (!quote || p[1] == quote)) {
            text[n++] = *++p;
        } else if (identity && *p == '\\' && p[1]) {
            text[n++] = *p++; /* the identity parser's own escapes */
            text[n++] = *p;
        } else if (quote ? *p == quote : *p == '"' || *p == '\'') {
            quote = quote ? '\0' : *p;
        } else {
            text[n++] = *p;
        }
    }
    *pp = p;
    *out = (struct ib_str){text, n};
    return quote ? IB_ECONFIG : 0;
}

static int read_list(const struct ir_properties *p, const char *key, bool identity, struct ib_arena *arena,
                     struct gw_strings *out, struct ib_err *err)
{
    const char *s = ir_properties_get(p, key);
    size_t most = strlen(s) / 2 + 1;
    out->n = 0;
    out->v = IB_ARENA_ARRAY(arena, most, struct ib_str);
    int rc = out->v ? 0 : IB_ENOMEM;
    while (rc == 0 && s[strspn(s, " \t\r\n")]) {
        rc = next_item(&s, identity, arena, &out->v[out->n]);
        out->n += rc == 0 && out->v[out->n].n > 0; /* empty items vanish */
    }
    if (rc == IB_ENOMEM) {
        return ib_err_set(err, rc, "%s: out of memory", key);
    }
    return rc == 0 ? 0
                   : ib_err_set(err, rc, "property %s (%s) has a quote that is not closed: `%s'", key,
                                ir_properties_origin(p, key), ir_properties_get(p, key));
}

static int read_identities(const struct ir_properties *p, const char *key, struct ib_arena *arena,
                           struct gw_identities *out, struct ib_err *err)
{
    struct gw_strings items;
    int rc = read_list(p, key, true, arena, &items, err);
    if (rc != 0) {
        return rc;
    }
    out->v = IB_ARENA_ARRAY(arena, items.n, struct iw_identity);
    for (out->n = 0; out->v && out->n < items.n; out->n++) {
        rc = ir_identity_parse(items.v[out->n], arena, &out->v[out->n], err);
        if (rc != 0) {
            return ib_err_wrap(err, "property %s (%s): `%s' is no identity", key, ir_properties_origin(p, key),
                               ib_cstr(items.v[out->n]));
        }
    }
    return out->v ? 0 : ib_err_set(err, IB_ENOMEM, "%s: out of memory", key);
}

/* The same value the adapter takes for its connections. */
static int read_acm_timeout(const struct ir_properties *p, int *out, struct ib_err *err)
{
    static const char *const keys[] = {"Glacier2.Client.ACM.Timeout", "Glacier2.Client.ACM", "Ice.ACM.Server.Timeout",
                                       "Ice.ACM.Server", "Ice.ACM.Timeout"};
    *out = ACM_DEFAULT_S;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (ir_properties_get(p, keys[i])[0]) {
            return read_int(p, keys[i], ACM_DEFAULT_S, 0, TIMEOUT_MAX_S, out, err);
        }
    }
    return 0;
}

static int read_numbers(struct gw_config *c, const struct ir_properties *p, struct ib_err *err)
{
    const struct {
        const char *key;
        int otherwise, lowest, highest, *to;
    } numbers[] = {
        {"Glacier2.SessionTimeout", 0, INT_MIN, TIMEOUT_MAX_S, &c->session_timeout_s},
        {"Glacier2.AddConnectionContext", 0, 0, 2, &c->add_connection_context},
        {"Glacier2.Filter.Category.AcceptUser", 0, 0, 2, &c->accept_user},
        {"Glacier2.RoutingTable.MaxSize", ROUTING_TABLE_DEFAULT, 1, ROUTING_TABLE_MAX, &c->routing_table_max},
        {"Glacier2.Trace.Session", 0, INT_MIN, INT_MAX, &c->trace_session},
        {"Glacier2.Trace.RoutingTable", 0, INT_MIN, INT_MAX, &c->trace_routing_table},
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        rc = read_int(p, numbers[i].key, numbers[i].otherwise, numbers[i].lowest, numbers[i].highest, numbers[i].to,
                      err);
    }
    if (c->session_timeout_s < 0) {
        c->session_timeout_s = 0;
    }
    rc = rc ? rc : read_acm_timeout(p, &c->acm_timeout_s, err);
    return rc ? rc : read_switch(p, "Glacier2.ReturnClientProxy", false, &c->return_client_proxy, err);
}

int gw_config_read(struct gw_config *c, struct ir_runtime *rt, struct ib_err *err)
{
    const struct ir_properties *p = ir_runtime_properties(rt);
    memset(c, 0, sizeof(*c));
    ib_arena_init(&c->arena, 0);
    c->instance = ib_cstr(ib_arena_strz(&c->arena, ir_properties_get_or(p, "Glacier2.InstanceName", "Glacier2")));
    c->has_server = ir_properties_get(p, "Glacier2.Server.Endpoints")[0] != '\0';
    warn_without_effect(p, ir_runtime_log(rt));
    int rc = c->instance[0] ? 0 : ib_err_set(err, IB_ECONFIG, "property Glacier2.InstanceName is empty");
    rc = rc ? rc : read_numbers(c, p, err);
    rc = rc ? rc : read_direction(p, "Glacier2.Client", &c->client, err);
    rc = rc ? rc : read_direction(p, "Glacier2.Server", &c->server, err);
    rc = rc ? rc : read_list(p, "Glacier2.Filter.Category.Accept", false, &c->arena, &c->categories, err);
    rc = rc ? rc : read_list(p, "Glacier2.Filter.AdapterId.Accept", false, &c->arena, &c->adapter_ids, err);
    return rc ? rc : read_identities(p, "Glacier2.Filter.Identity.Accept", &c->arena, &c->identities, err);
}

void gw_config_fini(struct gw_config *c)
{
    ib_arena_fini(&c->arena);
}
