/* SPDX-License-Identifier: Apache-2.0 */
/* What a definition means: variables, templates and property sets resolved, checked, merged and compared
   (icegrid-registry 10). Pure functions; the texts in err are those of DeploymentException's reason. */
#ifndef REG_DESCRIPTOR_H
#define REG_DESCRIPTOR_H

#include <moulin/base/arena.h>
#include <moulin/rpc/proxy.h>

struct reg_app;
struct reg_server;
struct reg_node_vars; /* resolver.h */
struct IceGrid_ServerDescriptor;
struct IceGrid_ServerInstanceDescriptor;
struct IceGrid_InternalServerDescriptor;
struct IceGrid_ApplicationInfo;
struct IceGrid_ApplicationDescriptor;
struct IceGrid_ApplicationUpdateDescriptor;

/* The definition expanded and validated by itself (10.1-10.5, steps 1 to 6). info is copied into the result. defaults:
   for proxy options. *out is for reg_catalog_link_app, or reg_app_free. IB_EINVAL with the reason, or IB_ENOMEM. */
int reg_app_expand(const struct IceGrid_ApplicationInfo *info, const struct ir_proxy_defaults *defaults,
                   struct reg_app **out, struct ib_err *err) IB_MUST_CHECK;

/* The definition after an update (10.6); the result lives in the arena and borrows nothing. The dictionaries of old are
   sorted by their keys, as those of an expanded definition. */
int reg_descriptor_merge(const struct IceGrid_ApplicationDescriptor *old,
                         const struct IceGrid_ApplicationUpdateDescriptor *update, struct ib_arena *arena,
                         struct IceGrid_ApplicationDescriptor *out, struct ib_err *err) IB_MUST_CHECK;

/* The definition with one instance more on the node, which may be new (9.1, instantiateServer): it never takes the place
   of a server that is there. */
int reg_descriptor_instantiate(const struct IceGrid_ApplicationDescriptor *old, struct ib_str node,
                               const struct IceGrid_ServerInstanceDescriptor *instance, struct ib_arena *arena,
                               struct IceGrid_ApplicationDescriptor *out, struct ib_err *err) IB_MUST_CHECK;

/* What changes old into new: the update that is published after a sync (10.6). */
int reg_descriptor_diff(const struct IceGrid_ApplicationDescriptor *old,
                        const struct IceGrid_ApplicationDescriptor *now, struct ib_arena *arena,
                        struct IceGrid_ApplicationUpdateDescriptor *out, struct ib_err *err) IB_MUST_CHECK;

/* The rules of the …WithoutRestart operations that two expanded definitions decide alone (9.1). */
int reg_app_check_without_restart(const struct reg_app *old, const struct reg_app *now,
                                  bool (*up)(void *arg, struct ib_str node), void *arg,
                                  struct ib_err *err) IB_MUST_CHECK;

/* --- a server for its node (internal 10.1) and for getServerInfo (9.2) ---------------------------------------------
 */

/* desc with the variables of a connected node and of the session that holds the server; vars NULL: the node is not
   connected, everything stays. A server that mentions ${session.id} stays as it is until a session holds it. */
int reg_server_resolve(const struct IceGrid_ServerDescriptor *desc, const struct reg_node_vars *vars,
                       struct ib_arena *arena, struct IceGrid_ServerDescriptor **out) IB_MUST_CHECK;

/* What the node is sent; vars of a connected node. The result also borrows from s. */
int reg_internal_server(const struct reg_server *s, const struct reg_node_vars *vars, struct ib_arena *arena,
                        struct IceGrid_InternalServerDescriptor **out) IB_MUST_CHECK;

#endif
