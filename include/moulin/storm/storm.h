/* SPDX-License-Identifier: Apache-2.0 */
/* Topics: publish and subscribe, the role `storm`. Stands in for IceBox with IceStorm services. */
#ifndef MOULIN_STORM_STORM_H
#define MOULIN_STORM_STORM_H

#include <moulin/rpc/service.h>

extern const struct ir_service storm_service;

/* moulin storm WORD …: backup, restore, verify, export, import. argv[0] is the word; the exit status. */
bool storm_is_maintenance(const char *word);
int storm_maintenance_main(int argc, char **argv);

#endif
