/* SPDX-License-Identifier: Apache-2.0 */
/* Settings that nobody reads, or that another part reads less strictly, checked before the router opens: a misspelt
   filter is an open door. */
#ifndef GATEWAY_SETTINGS_H
#define GATEWAY_SETTINGS_H

#include <moulin/base/err.h>

struct ir_properties;
struct ir_runtime;

/* Every Glacier2.* and Moulin.Gateway.* property is known. IB_ECONFIG with name, place and what is perhaps meant. */
int gw_settings_check_names(const struct ir_properties *p, struct ib_err *err) IB_MUST_CHECK;
/* Numbers and proxies below Glacier2.Client, Glacier2.Server and the properties that hold proxies. IB_ECONFIG. */
int gw_settings_check_values(struct ir_runtime *rt, struct ib_err *err) IB_MUST_CHECK;

#endif
