/* SPDX-License-Identifier: Apache-2.0 */
/* The Ice.Admin object and its facets: Process, Properties, Logger, Metrics (ice-protocol 19). */
#ifndef MOULIN_RPC_ADMIN_H
#define MOULIN_RPC_ADMIN_H

#include <moulin/rpc/adapter.h>

struct ir_admin;

/* Creates the admin object if Ice.Admin.Enabled says so (default: when Ice.Admin.Endpoints is set); *out NULL when disabled.
   on_shutdown is what Process::shutdown does. Registers with the locator when Ice.Admin.ServerId is set. */
int ir_admin_create(struct ir_runtime *rt, void (*on_shutdown)(void *arg), void *arg, struct ir_admin **out, struct ib_err *err) IB_MUST_CHECK;
/* The same, but nobody reaches it before ir_admin_open: for roles that want to be complete first. Their log is kept from
   now on. */
int ir_admin_prepare(struct ir_runtime *rt, void (*on_shutdown)(void *arg), void *arg, struct ir_admin **out, struct ib_err *err) IB_MUST_CHECK;
void ir_admin_open(struct ir_admin *admin);
/* The same facets on an adapter and identity of the role's own (IceGrid's RegistryAdmin-<name>). */
int ir_admin_create_on(struct ir_runtime *rt, struct ir_adapter *a, const struct iw_identity *id, void (*on_shutdown)(void *arg), void *arg,
                       struct ir_admin **out, struct ib_err *err) IB_MUST_CHECK;
/* The facets Properties, Logger and Metrics of another runtime on the same loop, as further ones of the host's object below
   a prefix ("IceBox.Service.X."), unless the host's Ice.Admin.Facets leaves them out. To be freed before the host. */
int ir_admin_create_below(struct ir_admin *host, struct ir_runtime *rt, const char *prefix, struct ir_admin **out, struct ib_err *err) IB_MUST_CHECK;
void ir_admin_free(struct ir_admin *admin);
/* A facet of the role's own, unless Ice.Admin.Facets leaves it out. The servant is borrowed until it is removed or the admin
   object freed. */
int ir_admin_add_facet(struct ir_admin *admin, const char *name, struct ir_servant *s, struct ib_err *err) IB_MUST_CHECK;
/* One of the four above under one more name, which is copied, unless Ice.Admin.Facets leaves that out. */
int ir_admin_add_alias(struct ir_admin *admin, const char *name, const char *facet, struct ib_err *err) IB_MUST_CHECK;
void ir_admin_remove_facet(struct ir_admin *admin, const char *name); /* unknown: nothing happens */
struct ir_adapter *ir_admin_adapter(const struct ir_admin *admin);
/* When several runtimes, each on a loop of its own, are one to the outside, the admin object of one speaks for all.
   ask has each called once for every runtime, on its thread, then done on the asking one's (complete false: some did not
   answer in time), and at last, when nobody uses the job any more, forget; the last two there. Without memory (then none
   of them is called) it returns IB_ENOMEM. */
struct ir_admin_round {
    void (*each)(void *job, unsigned i, struct ir_runtime *rt);
    void (*done)(void *job, bool complete);
    void (*forget)(void *job);
};
struct ir_admin_peers {
    unsigned n; /* of runtimes, its own is one of them */
    int (*ask)(void *arg, const struct ir_admin_round *round, void *job);
    void *arg;
};
void ir_admin_set_peers(struct ir_admin *admin, const struct ir_admin_peers *peers); /* copied */
/* A runtime without an admin object counts what the views of its properties ask for, as the others do. */
void ir_admin_join(struct ir_runtime *rt);
/* The proxy (facet unset); borrowed. */
const struct iw_proxy *ir_admin_proxy(const struct ir_admin *admin);

#endif
