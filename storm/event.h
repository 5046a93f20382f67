/* SPDX-License-Identifier: Apache-2.0 */
/* One request that was published: shared by all subscribers, its bytes those of the message it came in. */
#ifndef STORM_EVENT_H
#define STORM_EVENT_H

#include <moulin/rpc/call.h>
#include <moulin/rpc/request.h>
#include <slice/IceStorm/Internal_rpc.h>

struct storm_event {
    unsigned refs;
    bool forwarded; /* came over a link: goes over none */
    uint8_t mode;
    struct ib_block *block; /* shares; holds what follows */
    struct ib_str op;
    struct ib_span context, params; /* an encoded dictionary; an encapsulation */
};

/* With one reference; NULL: memory. The parameters of the request must be good (params_err). */
struct storm_event *storm_event_of(const struct ir_request_info *info);
/* The same of what came over a link. NULL too when its data is no encapsulation. */
struct storm_event *storm_event_from(const struct IceStorm_EventData *data);
struct storm_event *storm_event_ref(struct storm_event *e);
void storm_event_unref(struct storm_event *e);

size_t storm_event_bytes(const struct storm_event *e); /* what it counts for in a queue */
int storm_event_cost(const struct storm_event *e); /* as the publisher's context says; 0 when it does not */
struct ir_raw_request storm_event_request(const struct storm_event *e, const struct iw_proxy *to);
/* For a link; strings borrow from e, the context's entries are in the arena. False: memory. */
bool storm_event_data(const struct storm_event *e, struct ib_arena *arena, struct IceStorm_EventData *out);

#endif
