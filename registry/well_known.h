/* SPDX-License-Identifier: Apache-2.0 */
/* The registries' own entries of the object table (icegrid-registry 2.1, icegrid-internal 7). */
#ifndef REG_WELL_KNOWN_H
#define REG_WELL_KNOWN_H

#include "registry.h"

struct IceGrid_ObjectInfoSeq;

/* What this replica registers for itself, in the order of icegrid-internal 7.1. IB_ENOMEM. */
int reg_own_objects(struct reg *reg, struct ib_arena *arena, struct IceGrid_ObjectInfoSeq *out) IB_MUST_CHECK;
/* Query, Locator, LocatorRegistry with this replica's endpoints and, on a master, those of its slaves. */
int reg_shared_objects(struct reg *reg, struct ib_arena *arena, struct IceGrid_ObjectInfoSeq *out) IB_MUST_CHECK;

/* Submits one REG_OBJECT_PUT for each; done (may be NULL) is called when the last is answered, also when there is none.
 */
void reg_put_objects(struct reg *reg, const struct IceGrid_ObjectInfoSeq *objects, void (*done)(void *arg), void *arg);
/* Both sets: at start, and on a slave after each failed attempt to reach the master. */
void reg_register_objects(struct reg *reg, void (*done)(void *arg), void *arg);
/* The shared three again: a slave came or went. */
void reg_update_shared_objects(struct reg *reg, void (*done)(void *arg), void *arg);

/* id's endpoints of the object table, this replica's own (of adapter) first (icegrid-internal 7.4); in the arena. */
struct iw_proxy *reg_shared_proxy(struct reg *reg, const char *name, struct ir_adapter *adapter,
                                  struct ib_arena *arena);

#endif
