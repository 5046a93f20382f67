/* SPDX-License-Identifier: Apache-2.0 */
/* Which services the process runs: those that Moulin.Storm.Services names, which share its properties, or those of an
   IceBox configuration, each with a property set of its own (icestorm 9.1). */
#ifndef STORM_BOX_H
#define STORM_BOX_H

#include <moulin/rpc/adapter.h>
#include <moulin/rpc/properties.h>
#include <moulin/rpc/runtime.h>

struct storm_box_service {
    struct ib_str name;
    struct ir_properties *props; /* owns; NULL: those of the process */
};

struct storm_box {
    struct ib_arena arena;
    struct storm_box_service *v; /* in the order of their start */
    size_t n;
    bool boxed; /* they are IceBox's */
    struct ib_str bundle; /* of IceBox: printed when all of them run; empty: nothing is */
};

/* Options of argv that belong to one of IceBox's services (--<service>.X=Y) are taken out of it. To be ended in any
 * case. */
int storm_box_read(struct storm_box *b, const struct ir_properties *props, int *argc, char **argv,
                   struct ib_err *err) IB_MUST_CHECK;
void storm_box_fini(struct storm_box *b);

/* The facet IceBox.ServiceManager of the process's admin object (box_servant.c): which services run. They run as long
   as the process does. box is borrowed. */
struct storm_box_manager {
    struct ir_servant servant;
    const struct storm_box *box;
    struct ir_runtime *rt; /* borrows */
};
void storm_box_manager_init(struct storm_box_manager *m, const struct storm_box *box, struct ir_runtime *rt);

#endif
