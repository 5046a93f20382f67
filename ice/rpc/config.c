/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime's properties, read once into struct ir_config, and the TLS context they describe (ice-protocol 9, 13,
   14.3, 17, 20.5). A malformed value ends the start with a text that names the property. */
#include "rpc_priv.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define PAUSE_MAX 10000 /* us */
#define UDP_MAX 65535
#define UDP_OVERHEAD 28 /* of IP and UDP */

/* Reads one property after another; the first fault sticks. */
struct reader {
    struct ir_runtime *rt;
    const struct ir_properties *props;
    struct ib_err *err;
    int code;
};

static int get_int(struct reader *r, const char *key, int otherwise)
{
    int v = otherwise;
    if (!r->code)
        r->code = ir_properties_int(r->props, key, otherwise, &v, r->err);
    return r->code ? otherwise : v;
}

static int get_pause(struct reader *r, const char *key, int otherwise)
{
    int us = get_int(r, key, otherwise);
    return us < 0 ? 0 : us < PAUSE_MAX ? us : PAUSE_MAX;
}

/* 0, 1 or 2: what a peer must show, and what is looked up. */
static int get_ssl_level(struct reader *r, const char *key, int otherwise)
{
    int v = get_int(r, key, otherwise);
    if (!r->code && (v < 0 || v > 2))
        r->code = ib_err_set(r->err, IB_ECONFIG, "property %s=%d (%s) is out of range: give a number from 0 to 2", key,
                             v, ir_properties_origin(r->props, key));
    return v;
}

/* Timeouts: positive or -1; anything else is a warning and the default (9.6). */
static int32_t get_timeout(struct reader *r, const char *key, int32_t unset)
{
    if (!ir_properties_has(r->rt->props, key))
        return unset;
    int v = get_int(r, key, -1);
    if (v >= 1 || v == -1)
        return v;
    ib_log_warning(r->rt->log, "invalid value for %s `%s': defaulting to -1", key,
                   ir_properties_get(r->rt->props, key));
    return -1;
}

static uint8_t acm_value(struct ir_runtime *rt, const char *key, int max, uint8_t otherwise)
{
    int v = ir_properties_int_or(rt->props, rt->log, key, otherwise);
    if (v >= 0 && v <= max)
        return (uint8_t)v;
    ib_log_warning(rt->log, "invalid value for property `%s', default value will be used instead", key);
    return otherwise;
}

struct ic_acm ir_config_acm(struct ir_runtime *rt, const char *prefix, const struct ic_acm *base)
{
    struct ic_acm acm = *base;
    char key[300];
    snprintf(key, sizeof(key), "%s.Timeout", prefix);
    if (!ir_properties_has(rt->props, key)) /* the older name */
        snprintf(key, sizeof(key), "%s", prefix);
    int t = ir_properties_int_or(rt->props, rt->log, key, acm.timeout_s);
    if (t >= 0)
        acm.timeout_s = t;
    else
        ib_log_warning(rt->log, "invalid value for property `%s', default value will be used instead", key);
    snprintf(key, sizeof(key), "%s.Close", prefix);
    acm.close = acm_value(rt, key, IC_CLOSE_IDLE_FORCEFUL, acm.close);
    snprintf(key, sizeof(key), "%s.Heartbeat", prefix);
    acm.heartbeat = acm_value(rt, key, IC_HEARTBEAT_ALWAYS, acm.heartbeat);
    return acm;
}

static void read_acm(struct ir_runtime *rt)
{
    struct ic_acm client = {60, IC_CLOSE_INVOCATION_IDLE, IC_HEARTBEAT_DISPATCH};
    struct ic_acm server = {60, IC_CLOSE_INVOCATION, IC_HEARTBEAT_DISPATCH};
    client = ir_config_acm(rt, "Ice.ACM", &client);
    server = ir_config_acm(rt, "Ice.ACM", &server);
    rt->cfg.acm_client = ir_config_acm(rt, "Ice.ACM.Client", &client);
    rt->cfg.acm_server = ir_config_acm(rt, "Ice.ACM.Server", &server);
}

int32_t ir_config_message_size(int kb)
{
    return kb < 1 || kb > INT32_MAX / 1024 ? INT32_MAX : kb * 1024;
}

static int read_retries(struct reader *r)
{
    struct ir_config *cfg = &r->rt->cfg;
    const char *key = "Ice.RetryIntervals";
    struct ib_str *v;
    int n = ir_properties_list(r->rt->props, key, &r->rt->arena, &v);
    if (n < 0)
        return ib_err_set(r->err, n, "property %s: unbalanced quote in `%s'", key,
                          ir_properties_get(r->rt->props, key));
    if (n == 0) {
        cfg->n_retry = 1; /* default "0": once, at once */
        return 0;
    }
    for (int i = 0; i < n && cfg->n_retry < IR_MAX_RETRIES; i++) {
        char *end;
        long ms = strtol(ib_cstr(v[i]), &end, 10);
        if (*end || end == ib_cstr(v[i]) || ms > INT_MAX || ms < -1)
            return ib_err_set(r->err, IB_ECONFIG,
                              "property %s: `%s' is not a list of milliseconds: write e.g. \"0 100 500\"", key,
                              ir_properties_get(r->rt->props, key));
        if (ms == -1 && i == 0) /* no retry at all */
            return 0;
        cfg->retry[cfg->n_retry++] = ms < 0 ? 0 : (int32_t)ms;
    }
    return 0;
}

static int read_selection(struct reader *r)
{
    const char *v = ir_properties_get_or(r->rt->props, "Ice.Default.EndpointSelection", "Random");
    r->rt->cfg.ordered = strcmp(v, "Ordered") == 0;
    if (r->rt->cfg.ordered || strcmp(v, "Random") == 0)
        return 0;
    return ib_err_set(r->err, IB_ECONFIG,
                      "property Ice.Default.EndpointSelection: illegal value `%s'; expected `Random' or `Ordered'", v);
}

static int read_string_mode(struct reader *r)
{
    const char *v = ir_properties_get_or(r->rt->props, "Ice.ToStringMode", "Unicode");
    static const char *const names[] = {"Unicode", "ASCII", "Compat"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(v, names[i]) == 0) {
            r->rt->cfg.string_mode = (enum ir_string_mode)i;
            return 0;
        }
    }
    return ib_err_set(r->err, IB_ECONFIG,
                      "property Ice.ToStringMode: illegal value `%s'; expected `Unicode', `ASCII' or `Compat'", v);
}

static void read_numbers(struct reader *r)
{
    struct ir_config *cfg = &r->rt->cfg;
    cfg->message_size_max = ir_config_message_size(get_int(r, "Ice.MessageSizeMax", 1024));
    /* A decoded value is larger than its bytes: an empty string of one byte takes 16, the smallest proxy 15 times its
       bytes. 64 KiB for the rest. */
    cfg->arena_limit = 65536 + 24 * (size_t)cfg->message_size_max;
    cfg->connect_timeout = get_timeout(r, "Ice.Override.ConnectTimeout", INT32_MIN);
    cfg->close_timeout = get_timeout(r, "Ice.Override.CloseTimeout", INT32_MIN);
    cfg->compression_level = get_int(r, "Ice.Compression.Level", 1);
    if (cfg->compression_level < 1 || cfg->compression_level > 9)
        cfg->compression_level = cfg->compression_level < 1 ? 1 : 9;
    int t = get_int(r, "Ice.Default.InvocationTimeout", -1);
    cfg->invocation_timeout = t >= 1 || t == -2 ? t : -1;
    cfg->locator_cache_timeout = get_int(r, "Ice.Default.LocatorCacheTimeout", -1);
    cfg->locator_background = get_int(r, "Ice.BackgroundLocatorCacheUpdates", 0) > 0;
    cfg->prefer_secure = get_int(r, "Ice.Default.PreferSecure", 0) > 0;
    cfg->override_secure = get_int(r, "Ice.Override.Secure", 0) > 0;
    cfg->sliced = get_int(r, "Ice.Default.SlicedFormat", 0) > 0;
    cfg->print_adapter_ready = get_int(r, "Ice.PrintAdapterReady", 0) > 0;
    int dispatches = get_int(r, "Moulin.MaxDispatches", IR_MAX_DISPATCHES);
    cfg->max_dispatches = dispatches < 1 ? UINT_MAX : (unsigned)dispatches;
    int batch = get_int(r, "Ice.BatchAutoFlushSize", 1024);
    cfg->batch_max = batch < 1 || (size_t)batch > (size_t)cfg->message_size_max / 1024
                         ? (size_t)cfg->message_size_max - IC_HEADER_SIZE
                         : (size_t)batch * 1024 - IC_HEADER_SIZE;
    int datagram = get_int(r, "Ice.UDP.SndSize", UDP_MAX);
    cfg->datagram_max = (size_t)(datagram < IC_HEADER_SIZE || datagram > UDP_MAX ? UDP_MAX : datagram) - UDP_OVERHEAD;
    cfg->pulse_s = get_int(r, "Moulin.Heartbeat", 0);
    ic_loop_set_uring(r->rt->loop, get_int(r, "Moulin.IoUring", 1) > 0);
    ic_loop_set_linger(r->rt->loop, get_pause(r, "Moulin.OnewayPause", 120), get_pause(r, "Moulin.BusyPause", 100));
    cfg->warn_connections = get_int(r, "Ice.Warn.Connections", 0);
    cfg->warn_dispatch = get_int(r, "Ice.Warn.Dispatch", 1);
    cfg->trace_network = get_int(r, "Ice.Trace.Network", 0);
    cfg->trace_protocol = get_int(r, "Ice.Trace.Protocol", 0);
    cfg->trace_retry = get_int(r, "Ice.Trace.Retry", 0);
    cfg->trace_locator = get_int(r, "Ice.Trace.Locator", 0);
    cfg->limits = IW_LIMITS_DEFAULT;
    int depth = get_int(r, "Ice.ClassGraphDepthMax", 100);
    cfg->limits.class_depth = depth < 1 ? 100 : (uint32_t)depth;
    cfg->limits.accept_cycles = get_int(r, "Ice.AcceptClassCycles", 0) > 0;
}

int ir_config_read(struct ir_runtime *rt, struct ib_err *err)
{
    struct reader r = {.rt = rt, .props = rt->props, .err = err};
    rt->cfg.ssl = ir_properties_get(rt->props, "Ice.Plugin.IceSSL")[0] != '\0';
    read_numbers(&r);
    if (!r.code)
        r.code = read_retries(&r);
    if (!r.code)
        r.code = read_selection(&r);
    if (!r.code)
        r.code = read_string_mode(&r);
    if (!r.code)
        read_acm(rt);
    return r.code;
}

static const char *ssl_get(const struct ir_properties *p, const char *name)
{
    char key[80];
    snprintf(key, sizeof(key), "IceSSL.%s", name);
    return ir_properties_get(p, key);
}

static const char *own_rules(const struct ir_properties *p, const char *adapter)
{
    char key[300];
    snprintf(key, sizeof(key), "IceSSL.TrustOnly.Server.%s", adapter ? adapter : "");
    return adapter && *adapter ? ir_properties_get(p, key) : "";
}

/* TrustOnly.Server with that of one adapter behind it; the caller frees it. */
static char *trust_server(const struct ir_properties *p, const char *adapter)
{
    const char *all = ssl_get(p, "TrustOnly.Server"), *own = own_rules(p, adapter);
    size_t n = strlen(all) + strlen(own) + 2;
    char *out = malloc(n);
    if (out)
        snprintf(out, n, "%s%s%s", all, *all && *own ? ";" : "", own);
    return out;
}

/* The error begins with the property; where that stands is known here. */
static void blame_property(const struct reader *r)
{
    char key[64];
    size_t n = r->err ? strcspn(r->err->text, ":") : sizeof(key);
    if (n >= sizeof(key))
        return;
    memcpy(key, r->err->text, n);
    key[n] = '\0';
    const char *origin = ir_properties_origin(r->props, key);
    if (*origin)
        (void)ib_err_wrap(r->err, "%s", origin);
}

static int tls_new(struct reader *r, const char *adapter, const char *trust, struct ic_tls **out)
{
    const struct ir_properties *p = r->props;
    struct ic_tls_config c = {
        .default_dir = ssl_get(p, "DefaultDir"),
        .cert_file = ssl_get(p, "CertFile"),
        .key_file = ssl_get(p, "KeyFile"),
        .password = ssl_get(p, "Password"),
        .cas = ssl_get(p, "CAs"),
        .protocols = ssl_get(p, "Protocols"),
        .ciphers = ssl_get(p, "Ciphers"),
        .crl_files = ssl_get(p, "CertificateRevocationListFiles"),
        .trust_only = ssl_get(p, "TrustOnly"),
        .trust_only_client = ssl_get(p, "TrustOnly.Client"),
        .trust_only_server = trust,
        .verify_peer = get_ssl_level(r, "IceSSL.VerifyPeer", 2),
        .verify_depth_max = get_int(r, "IceSSL.VerifyDepthMax", 3),
        .check_cert_name = get_int(r, "IceSSL.CheckCertName", 0),
        .revocation_check = get_ssl_level(r, "IceSSL.RevocationCheck", 0),
        .security_level = get_int(r, "IceSSL.SecurityLevel", -1),
        .use_platform_cas = get_int(r, "IceSSL.UsePlatformCAs", 0) > 0,
    };
    if (r->code)
        return r->code;
    if (!adapter && c.revocation_check <= 0 && *c.crl_files)
        ib_log_warning(r->rt->log,
                       "property IceSSL.CertificateRevocationListFiles (%s) has no effect without "
                       "IceSSL.RevocationCheck=1 (the peer's certificate) or 2 (its issuers, too)",
                       ir_properties_origin(p, "IceSSL.CertificateRevocationListFiles"));
    *out = ic_tls_new(&c, r->err);
    if (*out)
        return 0;
    blame_property(r);
    return r->err && r->err->code ? r->err->code : IB_ECONFIG;
}

int ir_config_tls(struct ir_runtime *rt, const struct ir_properties *p, const char *adapter, struct ic_tls *shared,
                  struct ic_tls **out, struct ib_err *err)
{
    *out = NULL;
    if (!rt->cfg.ssl)
        return 0;
    if (shared && !*own_rules(p, adapter)) {
        *out = ic_tls_ref(shared);
        return 0;
    }
    struct reader r = {.rt = rt, .props = p, .err = err};
    char *trust = trust_server(p, adapter);
    int rc = trust ? tls_new(&r, adapter, trust, out) : ib_err_set(err, IB_ENOMEM, "%s", ib_err_text(IB_ENOMEM));
    free(trust);
    return rc;
}
