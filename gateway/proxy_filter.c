/* SPDX-License-Identifier: Apache-2.0 */
/* Judging a proxy by its decoded endpoints. One endpoint that a reject rule matches is enough to refuse it; an accept
   rule has to match every one. What the rules cannot judge they do not let pass. */
#include "proxy_filter.h"

#include <stdio.h>

#define BLANKS " \t\r\n"

/* --- configuration ------------------------------------------------------------------------------------------------ */

static int read_rules(const struct ir_properties *p, const char *key, struct ib_arena *arena, struct gw_rules *out,
                      struct ib_err *err)
{
    const struct ib_str text = ib_arena_strz(arena, ir_properties_get(p, key));
    out->v = text.p ? IB_ARENA_ARRAY(arena, text.n / 2 + 1, struct gw_address_rule) : NULL;
    if (!out->v) {
        return ib_err_set(err, IB_ENOMEM, "%s: out of memory", key);
    }
    for (const char *s = text.p + strspn(text.p, BLANKS); *s; s += strspn(s, BLANKS)) {
        const struct ib_str rule = {s, strcspn(s, BLANKS)};
        struct ib_err why = {0};
        int rc = gw_address_rule_parse(rule, arena, &out->v[out->n], &why);
        if (rc != 0) {
            return ib_err_set(err, rc, "invalid `%s' property: %.300s (%s)", key, why.text,
                              ir_properties_origin(p, key));
        }
        out->n++;
        s += rule.n;
    }
    return 0;
}

static int read_size(const struct ir_properties *p, int *out, struct ib_err *err)
{
    static const char key[] = "Glacier2.Filter.ProxySizeMax";
    struct ib_err why;
    if (!ir_properties_get(p, key)[0]) {
        *out = 0;
        return 0;
    }
    if (ir_properties_int(p, key, 0, out, &why) != 0) {
        return ib_err_set(err, IB_ECONFIG, "Error parsing ProxySizeMax property: %s=%.100s (%s) is not a number", key,
                          ir_properties_get(p, key), ir_properties_origin(p, key));
    }
    if (*out < 1) {
        return ib_err_set(err, IB_ECONFIG,
                          "ProxySizeMax must be greater than 1: %s=%d (%s); remove it for proxies of any size", key,
                          *out, ir_properties_origin(p, key));
    }
    return 0;
}

static int read_loopback(const struct ir_properties *p, bool *reject, struct ib_err *err)
{
    static const char key[] = "Moulin.Gateway.Filter.Loopback";
    const char *value = ir_properties_get_or(p, key, "accept");
    *reject = strcmp(value, "reject") == 0;
    if (*reject || strcmp(value, "accept") == 0) {
        return 0;
    }
    return ib_err_set(err, IB_ECONFIG, "property %s=%.100s (%s) must be `accept' or `reject'", key, value,
                      ir_properties_origin(p, key));
}

int gw_proxy_filter_read(struct gw_proxy_filter *f, const struct ir_properties *p, struct ib_arena *arena,
                         struct ib_err *err)
{
    memset(f, 0, sizeof(*f));
    int rc = read_rules(p, "Glacier2.Filter.Address.Accept", arena, &f->accept, err);
    rc = rc ? rc : read_rules(p, "Glacier2.Filter.Address.Reject", arena, &f->reject, err);
    rc = rc ? rc : read_size(p, &f->size_max, err);
    return rc ? rc : read_loopback(p, &f->no_loopback, err);
}

/* --- decision ----------------------------------------------------------------------------------------------------- */

static bool is_judgeable(const struct iw_endpoint *ep, struct gw_host *host)
{
    return !ep->opaque && gw_host_read(ep->host, host);
}

static void tell(struct ib_log *log, const struct gw_address_rule *r, const struct iw_endpoint *ep, bool matched)
{
    char host[300];
    if (log) {
        ib_log_trace(log, "Glacier2", "rule `%.*s' %s %s port %d", (int)r->source.n, r->source.p,
                     matched ? "matched" : "failed to match", ib_log_escape(ep->host, host, sizeof(host)),
                     (int)ep->port);
    }
}

static bool rule_matches(const struct gw_address_rule *r, const struct iw_endpoint *ep, enum gw_match how,
                         struct ib_log *log)
{
    struct gw_host host;
    bool matched = is_judgeable(ep, &host) && gw_address_rule_matches(r, &host, ep->port, how);
    tell(log, r, ep, matched);
    return matched;
}

static bool is_accepted(const struct gw_rules *rules, const struct iw_proxy *prx, struct ib_log *log)
{
    for (size_t i = 0; i < rules->n; i++) {
        size_t k = 0;
        while (k < prx->n_endpoints && rule_matches(&rules->v[i], &prx->endpoints[k], GW_MATCH_ALL_SPELLINGS, log)) {
            k++;
        }
        if (k > 0 && k == prx->n_endpoints) {
            return true;
        }
    }
    return false;
}

static bool is_rejected(const struct gw_rules *rules, const struct iw_proxy *prx, struct ib_log *log)
{
    for (size_t i = 0; i < rules->n; i++) {
        for (size_t k = 0; k < prx->n_endpoints; k++) {
            if (rule_matches(&rules->v[i], &prx->endpoints[k], GW_MATCH_ANY_SPELLING, log)) {
                return true;
            }
        }
    }
    return false;
}

/* Hosts and endpoints nobody can judge, and loopback. */
static const char *check_endpoints(const struct gw_proxy_filter *f, const struct iw_proxy *prx)
{
    for (size_t i = 0; i < prx->n_endpoints; i++) {
        struct gw_host host;
        bool judged = is_judgeable(&prx->endpoints[i], &host);
        if (!judged && (f->accept.n || f->reject.n || f->no_loopback)) {
            return "an endpoint cannot be judged";
        }
        if (judged && f->no_loopback && gw_host_is_loopback(&host)) {
            return "loopback";
        }
    }
    return NULL;
}

const char *gw_proxy_filter_check(const struct gw_proxy_filter *f, const struct iw_proxy *prx, struct ib_str text,
                                  struct ib_log *log)
{
    if (f->size_max && text.n > (size_t)f->size_max) {
        return "too long";
    }
    const char *why = check_endpoints(f, prx);
    if (why) {
        return why;
    }
    if (f->accept.n && !is_accepted(&f->accept, prx, log)) {
        return "no accept rule matches";
    }
    return is_rejected(&f->reject, prx, log) ? "a reject rule matches" : NULL;
}

/* A rule about names has been asked before; here only what is known of addresses counts. */
bool gw_proxy_filter_allows_address(const struct gw_proxy_filter *f, const struct gw_host *address, int port)
{
    if (f->no_loopback && gw_host_is_loopback(address)) {
        return false;
    }
    for (size_t i = 0; i < f->reject.n; i++) {
        if (gw_address_rule_matches(&f->reject.v[i], address, port, GW_MATCH_ANY_SPELLING)) {
            return false;
        }
    }
    return true;
}
