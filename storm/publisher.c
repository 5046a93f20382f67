/* SPDX-License-Identifier: Apache-2.0 */
/* The objects events are sent to. They take every operation, ice_ping and its like included, undecoded, and answer at
   once with nothing (icestorm 2, 4.1). */
#include "storm.h"

static void answer(struct ir_request *rq)
{
    const struct ir_request_info *info = ir_request_info(rq);
    const uint8_t nothing[] = {6, 0, 0, 0, info->encoding.major, info->encoding.minor};
    ir_request_reply_raw(rq, IR_OK, (struct ib_span){nothing, sizeof nothing}, NULL);
}

/* The request as an event; NULL: it has been answered with the reason. */
static struct storm_event *take(struct ir_request *rq)
{
    const struct ir_request_info *info = ir_request_info(rq);
    if (info->params_err) {
        ir_request_fail_local(rq, info->params_err, ib_err_text(info->params_err));
        return NULL;
    }
    struct storm_event *e = storm_event_of(info);
    if (!e)
        ir_request_fail(rq, IR_UNKNOWN, "out of memory");
    return e;
}

static void publish(void *self, struct ir_request *rq)
{
    struct storm_topic *t = self;
    if (!t->live) {
        ir_request_fail(rq, IR_OBJECT_NOT_EXIST, NULL);
        return;
    }
    struct storm_event *e = take(rq);
    if (!e)
        return;
    t->published++;
    storm_topic_publish(t, e);
    storm_event_unref(e);
    answer(rq);
}

static void publish_to_one(void *self, struct ir_request *rq)
{
    struct storm_subscriber *sub = self;
    if (!sub->live) {
        ir_request_fail(rq, IR_OBJECT_NOT_EXIST, NULL);
        return;
    }
    struct storm_event *e = take(rq);
    if (!e)
        return;
    storm_subscriber_queue(sub, e);
    storm_event_unref(e);
    answer(rq);
}

void storm_publisher_init(struct storm_topic *t)
{
    t->publisher = (struct ir_servant){.self = t, .raw = publish};
}

void storm_subscriber_publisher_init(struct storm_subscriber *sub)
{
    sub->publisher = (struct ir_servant){.self = sub, .raw = publish_to_one};
}
