/* SPDX-License-Identifier: Apache-2.0 */
/* What a subscriber may ask for (icestorm 4.2). */
#ifndef STORM_QOS_H
#define STORM_QOS_H

#include <slice/IceStorm/IceStorm.h>

struct storm_qos {
    bool ordered;
    int retry_count; /* -1: any number */
};

#define STORM_QOS_REASON 256

/* 0, or IB_EINVAL with the reason in the words of a BadQoS. mode: of the subscriber's proxy (enum iw_proxy_mode). */
int storm_qos_parse(const struct IceStorm_QoS *qos, uint8_t mode, struct storm_qos *out, char reason[STORM_QOS_REASON]);

#endif
