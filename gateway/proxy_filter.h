/* SPDX-License-Identifier: Apache-2.0 */
/* Which proxies a client may announce: Glacier2.Filter.Address.Accept and .Reject, Glacier2.Filter.ProxySizeMax,
   loopback (glacier2-router 10.6, 10.7, 20). */
#ifndef GATEWAY_PROXY_FILTER_H
#define GATEWAY_PROXY_FILTER_H

#include <moulin/base/log.h>
#include <moulin/rpc/properties.h>
#include <moulin/wire/types.h>

#include "address_rule.h"

struct gw_rules {
    size_t n;
    struct gw_address_rule *v;
};

struct gw_proxy_filter {
    struct gw_rules accept, reject;
    int size_max; /* characters of the stringified proxy; 0: unlimited */
    bool no_loopback; /* Moulin.Gateway.Filter.Loopback=reject */
};

/* IB_ECONFIG: err names property, place and what is wrong. Everything lives in the arena. */
int gw_proxy_filter_read(struct gw_proxy_filter *f, const struct ir_properties *p, struct ib_arena *arena,
                         struct ib_err *err) IB_MUST_CHECK;
static inline bool gw_proxy_filter_is_on(const struct gw_proxy_filter *f)
{
    return f->accept.n || f->reject.n || f->size_max || f->no_loopback;
}
/* A direct proxy's connections have to be judged too, since a name says nothing about the address behind it. */
static inline bool gw_proxy_filter_judges_addresses(const struct gw_proxy_filter *f)
{
    return f->reject.n || f->no_loopback;
}
/* NULL: it may be used; otherwise why not. text is prx stringified. Logs its steps when log is not NULL. */
const char *gw_proxy_filter_check(const struct gw_proxy_filter *f, const struct iw_proxy *prx, struct ib_str text,
                                  struct ib_log *log);
/* What a host's name turned out to mean. false: no connection there. */
bool gw_proxy_filter_allows_address(const struct gw_proxy_filter *f, const struct gw_host *address, int port);

#endif
