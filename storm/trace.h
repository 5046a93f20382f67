/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of <service>.Trace.*: at level 1 what is done to topics and subscribers, in the words of the original; at
   level 2 with endpoints, settings, and the states of subscribers (icestorm 13). */
#ifndef STORM_TRACE_H
#define STORM_TRACE_H

#include "storm.h"

void storm_trace_created(const struct storm_topic *t);
void storm_trace_loaded(const struct storm_topic *t); /* with its subscribers */
void storm_trace_destroy(const struct storm_topic *t);
/* Asked for, whatever comes of it; obj may be NULL. */
void storm_trace_subscribe(const struct storm_topic *t, const struct iw_proxy *obj, const struct IceStorm_QoS *qos);
void storm_trace_unsubscribe(const struct storm_topic *t, const struct iw_proxy *obj);
void storm_trace_link(const struct storm_topic *t, const struct iw_identity *to, int cost);
void storm_trace_unlink(const struct storm_topic *t, const struct iw_identity *to);

void storm_trace_election(const struct storm *s, int level, const char *fmt, ...) IB_PRINTF(3, 4);

void storm_trace_state(const struct storm_subscriber *sub, const char *from, const char *to);
void storm_trace_gone(const struct storm_subscriber *sub, const char *why);

#endif
