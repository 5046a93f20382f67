/* SPDX-License-Identifier: Apache-2.0 */
/* The metrics maps Topic and Subscriber (icestorm 13), and Queue, which is ours. */
#ifndef STORM_METRICS_H
#define STORM_METRICS_H

#include <moulin/rpc/metrics.h>

struct storm_metrics {
    struct ir_metrics_source *topics, *subscribers, *queues; /* the runtime's */
};

/* Before the runtime's admin object is made. IB_ENOMEM. */
int storm_metrics_open(struct storm_metrics *m, struct ir_runtime *rt) IB_MUST_CHECK;

#endif
