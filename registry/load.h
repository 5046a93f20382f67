/* SPDX-License-Identifier: Apache-2.0 */
/* How loaded the node is that something runs on (icegrid-registry 4.8): what nodes report, times a factor. */
#ifndef REG_LOAD_H
#define REG_LOAD_H

#include "registry.h"

/* minutes: 1, 5 or 15. */
double reg_server_load(struct reg *reg, const struct reg_server *server, int minutes);
/* Of a deployed adapter, or the least of a deployed replica group's members. */
double reg_adapter_load(struct reg *reg, struct ib_str id, int minutes);

#endif
