/* SPDX-License-Identifier: Apache-2.0 */
/* What metrics and traces tell of observers, in the words of the original, whose observers subscribe to an internal
   IceStorm: the map Subscriber, IceGrid.Registry.Trace.{Topic, Subscriber} (icegrid-registry 14). Its map Topic is
   there, too, and empty as the original's. */
#ifndef REG_CHANNEL_H
#define REG_CHANNEL_H

#include <moulin/rpc/metrics.h>

#include "change.h"
#include "registry.h"

/* An observer of one topic; embedded. */
struct reg_subscriber {
    struct reg *reg;
    enum reg_topic topic;
    const struct iw_proxy *proxy; /* NULL: nobody observes */
    size_t waiting; /* calls, the one under way included */
    bool calling;
    int64_t delivered;
    struct ir_observed observed;
};

void reg_subscribed(struct reg_subscriber *s); /* it has its proxy */
void reg_unsubscribed(struct reg_subscriber *s, const char *why); /* it still has it. why: it failed; NULL: it is no longer wanted */

#endif
