/* SPDX-License-Identifier: Apache-2.0 */
/* The Ice.Admin object and its facets: Process, Properties, Logger, Metrics (ice-protocol 19). */
#ifndef MOULIN_RPC_ADMIN_H
#define MOULIN_RPC_ADMIN_H

#include <moulin/rpc/adapter.h>

struct ir_admin;

/* Creates the admin object if Ice.Admin.Enabled says so (default: when Ice.Admin.Endpoints is set); *out NULL when disabled.
   on_shutdown is what Process::shutdown does. Registers with the locator when Ice.Admin.ServerId is set. */
int ir_admin_create(struct ir_runtime *rt, void (*on_shutdown)(void *arg), void *arg, struct ir_admin **out, struct ib_err *err) IB_MUST_CHECK;
/* The same facets on an adapter and identity of the role's own (IceGrid's RegistryAdmin-<name>). */
int ir_admin_create_on(struct ir_runtime *rt, struct ir_adapter *a, const struct iw_identity *id, void (*on_shutdown)(void *arg), void *arg,
                       struct ir_admin **out, struct ib_err *err) IB_MUST_CHECK;
void ir_admin_free(struct ir_admin *admin);
/* The proxy (facet unset); borrowed. */
const struct iw_proxy *ir_admin_proxy(const struct ir_admin *admin);

#endif
