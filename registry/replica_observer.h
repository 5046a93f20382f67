/* SPDX-License-Identifier: Apache-2.0 */
/* A slave's DatabaseObserver: turns what the master sends into changes, and acknowledges them (icegrid-internal 6). One
   per session. */
#ifndef REG_REPLICA_OBSERVER_H
#define REG_REPLICA_OBSERVER_H

#include "registry.h"

struct reg_replica_observer;

/* session: where acknowledgements go, copied. failed is called, once, when the session is of no more use: an update
   could not be applied, or not be acknowledged. It must not free the observer. */
struct reg_replica_observer *reg_replica_observer_new(struct reg *reg, const struct iw_proxy *session,
                                                      void (*failed)(void *arg, const char *why), void *arg);
struct iw_proxy *reg_replica_observer_proxy(struct reg_replica_observer *o); /* borrowed */
void reg_replica_observer_free(
    struct reg_replica_observer *o); /* NULL is fine; updates under way are applied, not acknowledged */

#endif
