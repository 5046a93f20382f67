/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the gateway's properties. A malformed one stops the start with its name, value, place and remedy: a door that
   misunderstood its configuration must stay shut. */
#include "config.h"
#include "settings.h"

#include <limits.h>
#include <stdio.h>

#include <moulin/base/log.h>
#include <moulin/rpc/properties.h>
#include <moulin/rpc/runtime.h>

#define ROUTING_TABLE_DEFAULT 1000
#define ROUTING_TABLE_MAX 1000000
#define TIMEOUT_MAX_S 31536000
#define ACM_DEFAULT_S 60
#define SLEEP_MAX_MS 3600000
#define CLIENT_BYTES_DEFAULT (8 << 20)
#define SERVER_BYTES_DEFAULT (6 << 20) /* besides these, the requests behind the answers take their room */
#define QUEUE_BYTES_MIN 65536
#define QUEUE_MESSAGES_DEFAULT 10000
#define TRACE_MAX 99 /* levels */

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

int gw_config_int(const struct ir_properties *p, const char *key, int otherwise, int lowest, int highest, int *out,
                  struct ib_err *err)
{
    return read_int(p, key, otherwise, lowest, highest, out, err);
}

static int read_switch(const struct ir_properties *p, const char *key, bool otherwise, bool *out, struct ib_err *err)
{
    int v = 0;
    int rc = read_int(p, key, otherwise, 0, 1, &v, err);
    *out = v > 0;
    return rc;
}

int gw_config_prepare(struct ir_properties *p, struct ib_err *err)
{
    int timeout = 0;
    int rc = gw_settings_check_names(p, err);
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
    if (rc == 0 && !ir_properties_has(p, "Moulin.Heartbeat")) {
        rc = ir_properties_set(p, "Moulin.Heartbeat", "30"); /* peers of Ice 3.8 give up after 60 s of silence (23.1) */
    }
    return rc;
}

static int read_direction(const struct ir_properties *p, const char *prefix, struct gw_direction *d, struct ib_err *err)
{
    const struct {
        const char *name;
        bool otherwise, *to;
    } switches[] = {{"Buffered", true, &d->buffered},
                    {"ForwardContext", false, &d->forward_context},
                    {"AlwaysBatch", false, &d->always_batch}};
    const struct {
        const char *name;
        int *to;
    } levels[] = {{"Trace.Request", &d->trace_request},
                  {"Trace.Reject", &d->trace_reject},
                  {"Trace.Override", &d->trace_override}};
    char key[64];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof(switches) / sizeof(switches[0]); i++) {
        (void)snprintf(key, sizeof(key), "%s.%s", prefix, switches[i].name);
        rc = read_switch(p, key, switches[i].otherwise, switches[i].to, err);
    }
    for (size_t i = 0; rc == 0 && i < sizeof(levels) / sizeof(levels[0]); i++) {
        (void)snprintf(key, sizeof(key), "%s.%s", prefix, levels[i].name);
        rc = read_int(p, key, 0, 0, TRACE_MAX, levels[i].to, err);
    }
    (void)snprintf(key, sizeof(key), "%s.SleepTime", prefix);
    return rc ? rc : read_int(p, key, 0, INT_MIN, SLEEP_MAX_MS, &d->sleep_ms, err);
}

/* How much may wait (19). */
static int read_queue(const struct ir_properties *p, const char *prefix, int otherwise, struct gw_direction *d,
                      struct ib_err *err)
{
    char key[64];
    int bytes = 0, messages = 0;
    (void)snprintf(key, sizeof(key), "%s.Queue.MaxBytes", prefix);
    int rc = read_int(p, key, otherwise, QUEUE_BYTES_MIN, INT_MAX, &bytes, err);
    (void)snprintf(key, sizeof(key), "%s.Queue.MaxMessages", prefix);
    rc = rc ? rc : read_int(p, key, QUEUE_MESSAGES_DEFAULT, 1, INT_MAX, &messages, err);
    d->max_bytes = (size_t)bytes;
    d->max_messages = (unsigned)messages;
    return rc;
}

static int read_overflow(const struct ir_properties *p, enum gw_overflow *out, struct ib_err *err)
{
    static const char *const names[] = {[GW_OVERFLOW_FAIL] = "fail",
                                        [GW_OVERFLOW_DROP] = "drop",
                                        [GW_OVERFLOW_DISCONNECT] = "disconnect",
                                        [GW_OVERFLOW_HOLD] = "hold"};
    const char *const key = "Moulin.Gateway.Server.Queue.Overflow";
    const char *value = ir_properties_get_or(p, key, names[GW_OVERFLOW_FAIL]);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(value, names[i]) == 0) {
            *out = (enum gw_overflow)i;
            return 0;
        }
    }
    return ib_err_set(err, IB_ECONFIG, "property %s=%s (%s) is unknown: give fail, drop, disconnect or hold", key,
                      value, ir_properties_origin(p, key));
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
        {"Glacier2.RoutingTable.MaxSize", ROUTING_TABLE_DEFAULT, 1, ROUTING_TABLE_MAX, &c->routing_table_max},
        {"Glacier2.Trace.Session", 0, 0, TRACE_MAX, &c->trace_session},
        {"Glacier2.Trace.RoutingTable", 0, 0, TRACE_MAX, &c->trace_routing_table},
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

void gw_filters_fini(struct gw_filters *f)
{
    ib_arena_fini(&f->arena);
    *f = (struct gw_filters){0};
}

int gw_filters_read(struct gw_filters *f, const struct ir_properties *p, struct ib_err *err)
{
    *f = (struct gw_filters){0};
    ib_arena_init(&f->arena, 0);
    int rc = read_int(p, "Glacier2.Filter.Category.AcceptUser", 0, 0, 2, &f->accept_user, err);
    rc = rc ? rc : read_list(p, "Glacier2.Filter.Category.Accept", false, &f->arena, &f->categories, err);
    rc = rc ? rc : read_list(p, "Glacier2.Filter.AdapterId.Accept", false, &f->arena, &f->adapter_ids, err);
    rc = rc ? rc : read_identities(p, "Glacier2.Filter.Identity.Accept", &f->arena, &f->identities, err);
    rc = rc ? rc : gw_proxy_filter_read(&f->proxies, p, &f->arena, err);
    rc = rc ? rc : read_switch(p, "Moulin.Gateway.HideErrors", false, &f->hide_errors, err);
    if (rc != 0) {
        gw_filters_fini(f);
    }
    return rc;
}

int gw_config_read(struct gw_config *c, struct ir_runtime *rt, struct ib_err *err)
{
    const struct ir_properties *p = ir_runtime_properties(rt);
    memset(c, 0, sizeof(*c));
    ib_arena_init(&c->arena, 0);
    c->instance = ib_cstr(ib_arena_strz(&c->arena, ir_properties_get_or(p, "Glacier2.InstanceName", "Glacier2")));
    c->has_server = ir_properties_get(p, "Glacier2.Server.Endpoints")[0] != '\0';
    int rc = gw_settings_check_values(rt, err);
    rc = rc || c->instance[0] ? rc : ib_err_set(err, IB_ECONFIG, "property Glacier2.InstanceName is empty");
    rc = rc ? rc : read_numbers(c, p, err);
    rc = rc ? rc : read_direction(p, "Glacier2.Client", &c->client, err);
    rc = rc ? rc : read_direction(p, "Glacier2.Server", &c->server, err);
    rc = rc ? rc : read_queue(p, "Moulin.Gateway.Client", CLIENT_BYTES_DEFAULT, &c->client, err);
    rc = rc ? rc : read_queue(p, "Moulin.Gateway.Server", SERVER_BYTES_DEFAULT, &c->server, err);
    rc = rc ? rc : read_overflow(p, &c->server.overflow, err);
    return rc ? rc : gw_filters_read(&c->filters, p, err);
}

void gw_config_fini(struct gw_config *c)
{
    gw_filters_fini(&c->filters);
    ib_arena_fini(&c->arena);
}
