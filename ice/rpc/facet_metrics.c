/* SPDX-License-Identifier: Apache-2.0 */
/* Admin facet "Metrics" of a process without metrics views: there are none, and asking for one says so
 * (ice-protocol 19.2). */
#include "admin_priv.h"

#include <slice/Ice/Metrics_rpc.h>

static void view_names(void *self, struct ir_request *rq, const struct IceMX_MetricsAdmin_getMetricsViewNames_in *in)
{
    static const struct IceMX_MetricsAdmin_getMetricsViewNames_out none;

    (void)self;
    (void)in;
    IceMX_MetricsAdmin_getMetricsViewNames_reply(rq, &none);
}

#define UNKNOWN_VIEW(op)                                                                                               \
    static void op(void *self, struct ir_request *rq, const struct IceMX_MetricsAdmin_##op##_in *in)                   \
    {                                                                                                                  \
        (void)self;                                                                                                    \
        (void)in;                                                                                                      \
        IceMX_UnknownMetricsView_throw(rq, NULL);                                                                      \
    }

UNKNOWN_VIEW(enableMetricsView)
UNKNOWN_VIEW(disableMetricsView)
UNKNOWN_VIEW(getMetricsView)
UNKNOWN_VIEW(getMapMetricsFailures)
UNKNOWN_VIEW(getMetricsFailures)

const struct IceMX_MetricsAdmin_servant ir_facet_metrics = {
    .getMetricsViewNames = view_names,
    .enableMetricsView = enableMetricsView,
    .disableMetricsView = disableMetricsView,
    .getMetricsView = getMetricsView,
    .getMapMetricsFailures = getMapMetricsFailures,
    .getMetricsFailures = getMetricsFailures,
};
