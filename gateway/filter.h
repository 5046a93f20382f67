/* SPDX-License-Identifier: Apache-2.0 */
/* Which requests a session may make: three sets of accepted categories, identities and adapter ids. A set without
   members does not take part; a request passes when none takes part or one matches (glacier2-router 10.2). */
#ifndef GATEWAY_FILTER_H
#define GATEWAY_FILTER_H

#include <moulin/base/err.h>
#include <moulin/wire/types.h>

/* Sorted, without duplicates. Strings are kept as identities without category. */
struct gw_set {
    size_t n, cap;
    struct iw_identity *v; /* owns, strings too */
};

void gw_set_fini(struct gw_set *s);
int gw_set_add(struct gw_set *s, const struct iw_identity *id) IB_MUST_CHECK; /* IB_ENOMEM, IB_ELIMIT */
void gw_set_remove(struct gw_set *s, const struct iw_identity *id); /* unknown: nothing happens */
bool gw_set_has(const struct gw_set *s, const struct iw_identity *id);

static inline struct iw_identity gw_set_string(struct ib_str s)
{
    return (struct iw_identity){.name = s};
}

struct gw_filter {
    struct gw_set categories, identities, adapter_ids;
};

enum { GW_REJECT_CATEGORY = 1, GW_REJECT_IDENTITY = 2, GW_REJECT_ADAPTER_ID = 4 };

void gw_filter_fini(struct gw_filter *f);
/* 0 = it may pass; otherwise which filters took part and did not match. adapter_id "" = a direct proxy. */
unsigned gw_filter_check(const struct gw_filter *f, const struct iw_identity *id, struct ib_str adapter_id);

#endif
