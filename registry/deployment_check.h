/* SPDX-License-Identifier: Apache-2.0 */
/* Before an update is committed, the nodes are asked whether the servers it changes can be updated (icegrid-internal
   10.3). */
#ifndef REG_DEPLOYMENT_CHECK_H
#define REG_DEPLOYMENT_CHECK_H

#include <stdbool.h>

struct reg;
struct reg_change;

/* c has been prepared: its new_app against the one in the catalog. False: there is nobody to ask. True: the answer goes
   to reg_change_checked, later. */
bool reg_deployment_check(struct reg *reg, struct reg_change *c);

#endif
