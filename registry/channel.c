/* SPDX-License-Identifier: Apache-2.0 */
#include "channel.h"

#include <stdlib.h>

#include <moulin/rpc/proxy.h>
#include <slice/IceStorm/Metrics.h>

struct channel {
    struct ir_metrics_source *subscribers; /* the runtime's */
};

static const char *const topics[REG_TOPIC_MAX] = {
    [REG_TOPIC_REGISTRY] = "RegistryObserver-1.1",       [REG_TOPIC_NODE] = "NodeObserver-1.1",
    [REG_TOPIC_APPLICATION] = "ApplicationObserver-1.1", [REG_TOPIC_ADAPTER] = "AdapterObserver-1.1",
    [REG_TOPIC_OBJECT] = "ObjectObserver-1.1",
};

/* --- traces ------------------------------------------------------------------------------------------------------- */

static void put_identity(struct ib_buf *out, const struct iw_identity *id)
{
    struct ib_arena arena;
    ib_arena_init(&arena, 0);
    struct ib_str text = ir_identity_format(id, IR_UNICODE, &arena);
    ib_buf_put(out, ib_cstr(text), text.n);
    ib_arena_fini(&arena);
}

/* Who it is; at level 2 of the category with endpoints. */
static struct ib_buf about(const struct reg_subscriber *s, enum reg_trace_category category)
{
    struct ib_buf line;
    ib_buf_init(&line);
    put_identity(&line, &s->proxy->id);
    if (!reg_traces(s->reg, category, 2))
        return line;
    ib_buf_puts(&line, " endpoints: ");
    for (size_t i = 0; i < s->proxy->n_endpoints; i++) {
        ib_buf_puts(&line, i ? ", \"" : "\"");
        ir_endpoint_format(&s->proxy->endpoints[i], &line);
        ib_buf_puts(&line, "\"");
    }
    return line;
}

static void trace_topic(const struct reg_subscriber *s, const char *what, const char *more)
{
    if (!reg_traces(s->reg, REG_TRACE_TOPIC, 1))
        return;
    struct ib_buf line = about(s, REG_TRACE_TOPIC);
    reg_trace(s->reg, REG_TRACE_TOPIC, 1, "%s: %s: %s%s", topics[s->topic], what, ib_buf_cstr(&line),
              reg_traces(s->reg, REG_TRACE_TOPIC, 2) ? more : "");
    ib_buf_fini(&line);
}

static void trace_failure(const struct reg_subscriber *s, const char *why)
{
    if (!reg_traces(s->reg, REG_TRACE_SUBSCRIBER, 1))
        return;
    struct ib_buf line = about(s, REG_TRACE_SUBSCRIBER);
    reg_trace(s->reg, REG_TRACE_SUBSCRIBER, 2, "%s transition from: online to: error", ib_buf_cstr(&line));
    reg_trace(s->reg, REG_TRACE_SUBSCRIBER, 1, "%s subscriber errored out: %s", ib_buf_cstr(&line), why);
    reg_trace(s->reg, REG_TRACE_SUBSCRIBER, 2, "%s transition from: error to: reaped", ib_buf_cstr(&line));
    ib_buf_fini(&line);
}

void reg_subscribed(struct reg_subscriber *s)
{
    const struct channel *c = reg_part_state(s->reg, &reg_channel_part);
    trace_topic(s, "subscribeAndGetPublisher", " QoS: reliability=ordered");
    ir_observe(c->subscribers, &s->observed, s);
}

void reg_unsubscribed(struct reg_subscriber *s, const char *why)
{
    if (why)
        trace_failure(s, why);
    else
        trace_topic(s, "unsubscribe", "");
    ir_observe_end(&s->observed);
}

/* --- metrics ------------------------------------------------------------------------------------------------------ */

static bool put(struct ib_buf *out, const char *text)
{
    ib_buf_puts(out, text);
    return true;
}

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static bool put_proxy(struct ib_buf *out, const struct iw_proxy *prx)
{
    struct ib_arena arena;
    ib_arena_init(&arena, 0);
    struct ib_str text = ir_proxy_format(prx, IR_UNICODE, &arena);
    ib_buf_put(out, ib_cstr(text), text.n);
    ib_arena_fini(&arena);
    return true;
}

static bool resolve_subscriber(const void *object, const char *attribute, struct ib_buf *out)
{
    static const struct {
        const char *attribute, *value;
    } same[] = {
        {"service", "IceGrid.Registry"}, {"encoding", "1.1"}, {"mode", "twoway"}, {"link", ""}, {"state", "online"},
        {"qos.reliability", "ordered"}};
    const struct reg_subscriber *s = object;
    if (is(attribute, "parent") || is(attribute, "topic"))
        return put(out, topics[s->topic]);
    if (is(attribute, "id") || is(attribute, "proxy"))
        return put_proxy(out, s->proxy);
    if (is(attribute, "facet")) {
        ib_buf_put(out, ib_cstr(s->proxy->facet), s->proxy->facet.n);
        return true;
    }
    if (is(attribute, "identity")) {
        put_identity(out, &s->proxy->id);
        return true;
    }
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        if (is(attribute, same[i].attribute))
            return put(out, same[i].value);
    return strncmp(attribute, "qos.", 4) == 0 && put(out, "default");
}

/* In the order of IceMX::SubscriberMetrics. */
static void read_subscriber(const void *object, int64_t *values)
{
    const struct reg_subscriber *s = object;
    values[0] = (int64_t)s->waiting - s->calling;
    values[1] = s->calling;
    values[2] = s->delivered;
}

static const struct ir_metrics_kind subscriber_kind = {
    .map = "Subscriber",
    .cls = &IceMX_SubscriberMetrics_class,
    .levels = 1u << 0 | 1u << 1,
    .resolve = resolve_subscriber,
    .read = read_subscriber,
};

static bool resolve_nothing(const void *object, const char *attribute, struct ib_buf *out)
{
    (void)object, (void)attribute, (void)out;
    return false;
}

static const struct ir_metrics_kind topic_kind = {
    .map = "Topic", .cls = &IceMX_TopicMetrics_class, .resolve = resolve_nothing};

static void *start(struct reg *reg, struct ib_err *err)
{
    struct channel *c = calloc(1, sizeof *c);
    if (c)
        c->subscribers = ir_metrics_add(reg->rt, &subscriber_kind);
    if (c && c->subscribers && ir_metrics_add(reg->rt, &topic_kind))
        return c;
    free(c);
    ib_err_set(err, IB_ENOMEM, "out of memory");
    return NULL;
}

static void stop(void *state)
{
    free(state);
}

const struct reg_part reg_channel_part = {.name = "observers' metrics", .start = start, .stop = stop};
