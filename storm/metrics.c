/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics.h"

#include <slice/IceStorm/Metrics.h>
#include <slice/Moulin/Metrics.h>

#include <moulin/rpc/proxy.h>

#include "storm.h"

static bool put(struct ib_buf *out, struct ib_str s)
{
    ib_buf_put(out, ib_cstr(s), s.n);
    return true;
}

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* --- topics ------------------------------------------------------------------------------------------------------- */

static bool resolve_topic(const void *object, const char *attribute, struct ib_buf *out)
{
    const struct storm_topic *t = object;
    if (is(attribute, "parent") || is(attribute, "service"))
        return put(out, t->storm->cfg.service);
    return (is(attribute, "id") || is(attribute, "topic")) && put(out, t->name);
}

/* In the order of IceMX::TopicMetrics. */
static void read_topic(const void *object, int64_t *values)
{
    const struct storm_topic *t = object;
    values[0] = t->published;
    values[1] = t->forwarded;
}

static const struct ir_metrics_kind topic_kind = {
    .map = "Topic", .cls = &IceMX_TopicMetrics_class, .resolve = resolve_topic, .read = read_topic};

/* --- subscribers -------------------------------------------------------------------------------------------------- */

static bool put_proxy(struct ib_buf *out, const struct iw_proxy *prx)
{
    struct ib_arena arena;
    if (!prx)
        return true;
    ib_arena_init(&arena, 0);
    put(out, ir_proxy_format(prx, IR_UNICODE, &arena));
    ib_arena_fini(&arena);
    return true;
}

static bool put_identity(struct ib_buf *out, const struct iw_identity *id)
{
    struct ib_arena arena;
    ib_arena_init(&arena, 0);
    put(out, ir_identity_format(id, IR_UNICODE, &arena));
    ib_arena_fini(&arena);
    return true;
}

static bool put_mode(struct ib_buf *out, uint8_t mode)
{
    static const char *const names[] = {[IW_TWOWAY] = "twoway",
                                        [IW_ONEWAY] = "oneway",
                                        [IW_BATCH_ONEWAY] = "batch-oneway",
                                        [IW_DATAGRAM] = "datagram",
                                        [IW_BATCH_DATAGRAM] = "batch-datagram"};
    return put(out, ib_str(mode < sizeof names / sizeof *names ? names[mode] : "unknown"));
}

/* As the original has it: with the mode that was subscribed, and the timeout of deliveries. */
static bool put_delivery_proxy(struct ib_buf *out, const struct storm_subscriber *sub)
{
    struct iw_proxy prx = *sub->proxy;
    prx.mode = sub->record.obj->mode;
    return put_proxy(out, &prx);
}

static bool put_qos(struct ib_buf *out, const struct IceStorm_QoS *qos, const char *key)
{
    for (size_t i = 0; i < qos->n; i++)
        if (ib_str_is(qos->v[i].key, key))
            return put(out, qos->v[i].value);
    return put(out, IB_STR("default"));
}

static bool resolve_subscriber(const void *object, const char *attribute, struct ib_buf *out)
{
    const struct storm_subscriber *sub = object;
    static const char qos[] = "qos.";
    if (is(attribute, "parent") || is(attribute, "topic"))
        return put(out, sub->topic->name);
    if (is(attribute, "service"))
        return put(out, sub->topic->storm->cfg.service);
    if (is(attribute, "id") || is(attribute, "proxy"))
        return put_delivery_proxy(out, sub);
    if (is(attribute, "identity"))
        return put_identity(out, &sub->proxy->id);
    if (is(attribute, "facet"))
        return put(out, sub->proxy->facet);
    if (is(attribute, "mode"))
        return put_mode(out, sub->record.obj->mode);
    if (is(attribute, "link"))
        return put_proxy(out, sub->record.theTopic);
    if (is(attribute, "state"))
        return put(out, ib_str(storm_subscriber_state_name(sub->state)));
    if (is(attribute, "encoding")) {
        ib_buf_printf(out, "%d.%d", sub->proxy->encoding.major, sub->proxy->encoding.minor);
        return true;
    }
    return strncmp(attribute, qos, sizeof qos - 1) == 0 &&
           put_qos(out, &sub->record.theQoS, attribute + sizeof qos - 1);
}

/* In the order of IceMX::SubscriberMetrics. */
static void read_subscriber(const void *object, int64_t *values)
{
    const struct storm_subscriber *sub = object;
    values[0] = (int64_t)sub->queue.n;
    values[1] = (int64_t)sub->on_their_way;
    values[2] = sub->delivered;
}

static const struct ir_metrics_kind subscriber_kind = {
    .map = "Subscriber",
    .cls = &IceMX_SubscriberMetrics_class,
    .levels = 1u << 0 | 1u << 1,
    .resolve = resolve_subscriber,
    .read = read_subscriber,
};

/* In the order of Moulin::QueueMetrics. */
static void read_queue(const void *object, int64_t *values)
{
    const struct storm_subscriber *sub = object;
    values[0] = (int64_t)sub->queue.bytes;
    values[1] = sub->lost;
    values[2] = sub->failed;
}

static const struct ir_metrics_kind queue_kind = {
    .map = "Queue",
    .cls = &Moulin_QueueMetrics_class,
    .levels = 1u << 0,
    .resolve = resolve_subscriber,
    .read = read_queue,
};

int storm_metrics_open(struct storm_metrics *m, struct ir_runtime *rt)
{
    m->topics = ir_metrics_add(rt, &topic_kind);
    m->subscribers = ir_metrics_add(rt, &subscriber_kind);
    m->queues = ir_metrics_add(rt, &queue_kind);
    return m->topics && m->subscribers && m->queues ? 0 : IB_ENOMEM;
}
