/* SPDX-License-Identifier: Apache-2.0 */
/* Which of a proxy's endpoints a call may use, and in which order (ice-protocol 17.1). */
#include "rpc_priv.h"

#include <moulin/base/clock.h>

static bool is_secure(const struct iw_endpoint *e)
{
    return e->type == IW_EP_SSL || e->type == IW_EP_WSS;
}

static bool usable(const struct ir_call *c, const struct iw_endpoint *e)
{
    if (e->opaque || c->datagram)
        return !e->opaque && e->type == IW_EP_UDP && !c->proxy->secure && !c->rt->cfg.override_secure;
    if (e->type != IW_EP_TCP && e->type != IW_EP_WS && !is_secure(e))
        return false;
    if (is_secure(e))
        return c->rt->tls != NULL;
    return !c->proxy->secure && !c->rt->cfg.override_secure;
}

static void shuffle(struct iw_endpoint *v, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        uint64_t r;
        ib_random(&r, sizeof(r));
        size_t j = (size_t)(r % i);
        struct iw_endpoint t = v[i - 1];
        v[i - 1] = v[j];
        v[j] = t;
    }
}

/* Stable: those whose security equals first come first. */
static void partition(struct iw_endpoint *v, size_t n, bool first, struct iw_endpoint *scratch)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (is_secure(&v[i]) == first)
            scratch[k++] = v[i];
    }
    for (size_t i = 0; i < n; i++) {
        if (is_secure(&v[i]) != first)
            scratch[k++] = v[i];
    }
    for (size_t i = 0; i < n; i++)
        v[i] = scratch[i];
}

int ir_endpoint_select(struct ir_call *c, const struct iw_proxy *where)
{
    const struct ir_config *cfg = &c->rt->cfg;
    if (where != c->proxy && !(where = iw_proxy_copy(where, &c->arena)))
        return IB_ENOMEM;
    struct iw_endpoint *eps = where->endpoints; /* of a copy, or of the call's own proxy */
    size_t n = where->n_endpoints;
    if (n == 1 && c->rt->defaults.override_timeout == INT32_MIN) { /* nothing to choose or to change */
        if (!usable(c, eps))
            return IB_ENOENDPOINT;
        c->candidates = eps;
        c->tried = IB_ARENA_NEW(&c->arena, bool);
        c->n_candidates = c->tried ? 1 : 0;
        return c->tried ? 0 : IB_ENOMEM;
    }
    struct iw_endpoint *v = IB_ARENA_ARRAY(&c->arena, n ? n : 1, struct iw_endpoint);
    struct iw_endpoint *scratch = IB_ARENA_ARRAY(&c->arena, n ? n : 1, struct iw_endpoint);
    bool *tried = IB_ARENA_ARRAY(&c->arena, n ? n : 1, bool);
    if (!v || !scratch || !tried)
        return IB_ENOMEM;
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (!usable(c, &eps[i]))
            continue;
        v[k] = eps[i];
        if (c->rt->defaults.override_timeout != INT32_MIN)
            v[k].timeout = c->rt->defaults.override_timeout;
        k++;
    }
    if (!k)
        return IB_ENOENDPOINT;
    bool ordered = c->endpoint_selection ? c->endpoint_selection == 2 : cfg->ordered;
    if (!ordered)
        shuffle(v, k);
    partition(v, k, cfg->prefer_secure, scratch);
    c->candidates = v;
    c->tried = tried;
    c->n_candidates = k;
    return 0;
}
