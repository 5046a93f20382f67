/* SPDX-License-Identifier: Apache-2.0 */
/* Other masters of the same instance (icegrid-internal 8.6): looked for when a master starts, and while it runs, since
   one that was frozen or cut off may have been replaced meanwhile. Moulin.Registry.SecondMaster=1 switches it off. */
#ifndef REG_RIVAL_H
#define REG_RIVAL_H

#include "registry.h"

extern const struct reg_part reg_rival_part;

/* Before this master serves anybody; runs the loop until the answer is there, 5 s at most. IB_ECONFIG: another one
   lives (a read-only master may start nevertheless: a warning, and it leaves the slaves alone). */
int reg_rival_check(struct reg *reg, struct ib_err *err) IB_MUST_CHECK;
bool reg_rival_found(const struct reg *reg); /* by reg_rival_check */
/* From now on: whoever finds that another has taken its place ends itself. */
void reg_rival_watch(struct reg *reg);
/* This master was away so long that another may be in its place, and does not know yet: it takes no writes. */
bool reg_rival_doubt(const struct reg *reg);

#endif
