/* SPDX-License-Identifier: Apache-2.0 */
/* One replica of the registry, master or slave, on a loop: the role `registry`, also embedded by `serve` and by tests.
 */
#ifndef MOULIN_REGISTRY_REGISTRY_H
#define MOULIN_REGISTRY_REGISTRY_H

#include <moulin/rpc/service.h>

struct reg;

/* Opens the database, binds the endpoints, starts. props are copied. Options left in argv (--nowarn, --readonly,
   --initdb-from-replica R) are read; anything else is an error. Activation goes on after the return (a slave first tries its
   master); the "ready" lines tell when it is done. */
struct reg *reg_start(struct ic_loop *loop, const struct ir_properties *props, int argc, char **argv,
                      struct ib_err *err);
/* Is everything activated? */
bool reg_is_ready(const struct reg *reg);
void reg_stop(struct reg *reg, void (*done)(void *arg), void *arg); /* gracefully */
void reg_free(struct reg *reg); /* after done, or at once and forcibly */
struct ir_runtime *reg_runtime(struct reg *reg);

extern const struct ir_service reg_service;

/* moulin registry WORD …: backup, restore, verify, export, import. argv[0] is the word; the exit status. */
bool reg_is_maintenance(const char *word);
int reg_maintenance_main(int argc, char **argv);

#endif
