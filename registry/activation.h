/* SPDX-License-Identifier: Apache-2.0 */
/* The direct proxy of one deployed adapter: its node is asked, and starts the server when it may (icegrid-registry 4.4,
   icegrid-internal 13.1). All who want the same adapter share one question. */
#ifndef REG_ACTIVATION_H
#define REG_ACTIVATION_H

#include "deployment.h"

struct reg_activations;
extern const struct reg_part reg_activation_part;

enum reg_direct_outcome {
    REG_DIRECT_ACTIVE, /* proxy: never NULL */
    REG_DIRECT_ACTIVATING, /* its server is being started: only to those who asked to be told; not the last word */
    REG_DIRECT_SILENT, /* no word from its node so far, which is odd: likewise */
    REG_DIRECT_INACTIVE, /* and it may not be started, or did not register; with REG_DIRECT_ASK also: it might be */
    REG_DIRECT_FAILED, /* node away, server refused, call failed */
};

struct reg_direct {
    enum reg_direct_outcome outcome;
    struct iw_proxy *proxy; /* borrowed until fn returns */
    bool activatable; /* REG_DIRECT_INACTIVE: REG_DIRECT_ACTIVATE would start it */
    struct ib_str reason; /* for traces */
};

enum reg_direct_mode {
    REG_DIRECT_ASK, /* never starts anything */
    REG_DIRECT_ACTIVATE,
    REG_DIRECT_ACTIVATE_TELL, /* fn also gets REG_DIRECT_SILENT and REG_DIRECT_ACTIVATING, each at most once, before the
                                 last word */
};

typedef void (*reg_direct_fn)(void *arg, const struct reg_direct *d);
struct reg_direct_request;

/* fn is called with the last word once, never before this returns. The time it may take is bounded by the activation
   and deactivation timeouts its node reported. NULL when there is no such adapter, memory is short, or too many wait
   for this adapter or for all of them. */
struct reg_direct_request *reg_adapter_direct_proxy(struct reg *reg, struct ib_str adapter, enum reg_direct_mode mode,
                                                    reg_direct_fn fn, void *arg) IB_MUST_CHECK;
/* fn is not called any more; an activation that has begun goes on. */
void reg_direct_cancel(struct reg_direct_request *r);
void reg_activations_end(struct reg *reg); /* the registry stops: everybody is told, nothing is started any more */

#endif
