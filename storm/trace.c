/* SPDX-License-Identifier: Apache-2.0 */
#include "trace.h"

#include <stdarg.h>
#include <stdio.h>

#include <moulin/base/log.h>
#include <moulin/rpc/proxy.h>

static bool wants(const struct storm *s, enum storm_trace category, int level)
{
    return s->cfg.trace[category] >= level;
}

/* Frees line. */
static void say(const struct storm *s, enum storm_trace category, struct ib_buf *line)
{
    static const char *const names[] = {[STORM_TRACE_MANAGER] = "TopicManager",
                                        [STORM_TRACE_TOPIC] = "Topic",
                                        [STORM_TRACE_SUBSCRIBER] = "Subscriber",
                                        [STORM_TRACE_ELECTION] = "Election"};
    ib_log_trace(s->log, names[category], "%s", ib_buf_cstr(line));
    ib_buf_fini(line);
}

/* --- pieces: peers chose these names ------------------------------------------------------------------------------ */

static void put_name(struct ib_buf *out, struct ib_str name)
{
    char text[300];
    ib_buf_puts(out, ib_log_escape(name, text, sizeof text));
}

/* Begins a line about a topic. */
static struct ib_buf about(const struct storm_topic *t)
{
    struct ib_buf line;
    ib_buf_init(&line);
    put_name(&line, t->name);
    return line;
}

static void put_identity(struct ib_buf *out, const struct iw_identity *id)
{
    struct ib_arena arena;
    ib_arena_init(&arena, 0);
    put_name(out, ir_identity_format(id, IR_UNICODE, &arena));
    ib_arena_fini(&arena);
}

static void put_endpoints(struct ib_buf *out, const struct iw_proxy *prx)
{
    ib_buf_puts(out, " endpoints: ");
    for (size_t i = 0; i < prx->n_endpoints; i++) {
        ib_buf_puts(out, i ? ", \"" : "\"");
        ir_endpoint_format(&prx->endpoints[i], out);
        ib_buf_puts(out, "\"");
    }
}

static void put_subscribers(struct ib_buf *out, const struct storm_topic *t, bool endpoints)
{
    const char *separator = "";
    IB_LIST_FOREACH(node, &t->subscribers)
    {
        const struct storm_subscriber *sub = IB_CONTAINER(node, struct storm_subscriber, node);
        ib_buf_puts(out, separator);
        put_identity(out, &sub->record.id);
        if (endpoints)
            put_endpoints(out, sub->record.obj);
        separator = ",";
    }
}

static void put_qos(struct ib_buf *out, const struct IceStorm_QoS *qos)
{
    ib_buf_puts(out, " QoS: ");
    for (size_t i = 0; i < qos->n; i++) {
        ib_buf_puts(out, i ? ", " : "");
        put_name(out, qos->v[i].key);
        ib_buf_puts(out, "=");
        put_name(out, qos->v[i].value);
    }
}

/* --- topics ------------------------------------------------------------------------------------------------------- */

static void topic_line(const struct storm_topic *t, const char *before, const char *after)
{
    struct ib_buf line;
    ib_buf_init(&line);
    ib_buf_printf(&line, "%s topic \"", before);
    put_name(&line, t->name);
    ib_buf_printf(&line, "\"%s. id: ", after);
    put_identity(&line, &t->id);
    ib_buf_puts(&line, " subscribers: ");
    put_subscribers(&line, t, wants(t->storm, STORM_TRACE_MANAGER, 2));
    say(t->storm, STORM_TRACE_MANAGER, &line);
}

void storm_trace_created(const struct storm_topic *t)
{
    if (wants(t->storm, STORM_TRACE_MANAGER, 1))
        topic_line(t, "creating new", "");
}

static void trace_recreated(const struct storm_subscriber *sub)
{
    struct ib_buf line = about(sub->topic);
    ib_buf_puts(&line, " recreate ");
    put_identity(&line, &sub->record.obj->id);
    if (wants(sub->topic->storm, STORM_TRACE_TOPIC, 2))
        put_endpoints(&line, sub->record.obj);
    say(sub->topic->storm, STORM_TRACE_TOPIC, &line);
}

void storm_trace_loaded(const struct storm_topic *t)
{
    if (wants(t->storm, STORM_TRACE_MANAGER, 1))
        topic_line(t, "loading", " from database");
    if (wants(t->storm, STORM_TRACE_TOPIC, 1))
        IB_LIST_FOREACH(node, &t->subscribers)
        {
            trace_recreated(IB_CONTAINER(node, struct storm_subscriber, node));
        }
}

static void put_object(struct ib_buf *line, const struct iw_proxy *obj)
{
    if (obj)
        put_identity(line, &obj->id);
    else
        ib_buf_puts(line, "null proxy");
}

void storm_trace_destroy(const struct storm_topic *t)
{
    if (!wants(t->storm, STORM_TRACE_TOPIC, 1))
        return;
    struct ib_buf line = about(t);
    ib_buf_puts(&line, ": destroy");
    say(t->storm, STORM_TRACE_TOPIC, &line);
}

void storm_trace_subscribe(const struct storm_topic *t, const struct iw_proxy *obj, const struct IceStorm_QoS *qos)
{
    if (!wants(t->storm, STORM_TRACE_TOPIC, 1))
        return;
    struct ib_buf line = about(t);
    ib_buf_puts(&line, ": subscribeAndGetPublisher: ");
    put_object(&line, obj);
    if (obj && wants(t->storm, STORM_TRACE_TOPIC, 2)) {
        put_endpoints(&line, obj);
        put_qos(&line, qos);
        ib_buf_puts(&line, " subscriptions: [");
        put_subscribers(&line, t, false);
        ib_buf_puts(&line, "]");
    }
    say(t->storm, STORM_TRACE_TOPIC, &line);
}

void storm_trace_unsubscribe(const struct storm_topic *t, const struct iw_proxy *obj)
{
    if (!wants(t->storm, STORM_TRACE_TOPIC, 1))
        return;
    struct ib_buf line = about(t);
    ib_buf_puts(&line, ": unsubscribe: ");
    put_object(&line, obj);
    if (obj && wants(t->storm, STORM_TRACE_TOPIC, 2)) {
        put_endpoints(&line, obj);
        ib_buf_puts(&line, "[");
        put_subscribers(&line, t, false);
        ib_buf_puts(&line, "]");
    }
    say(t->storm, STORM_TRACE_TOPIC, &line);
}

void storm_trace_link(const struct storm_topic *t, const struct iw_identity *to, int cost)
{
    if (!wants(t->storm, STORM_TRACE_TOPIC, 1))
        return;
    struct ib_buf line = about(t);
    ib_buf_puts(&line, ": link ");
    put_identity(&line, to);
    ib_buf_printf(&line, " cost %d", cost);
    say(t->storm, STORM_TRACE_TOPIC, &line);
}

void storm_trace_unlink(const struct storm_topic *t, const struct iw_identity *to)
{
    if (!wants(t->storm, STORM_TRACE_TOPIC, 1))
        return;
    struct ib_buf line = about(t);
    if (storm_topic_subscriber(t, to)) {
        ib_buf_puts(&line, " unlink ");
        put_identity(&line, to);
    } else {
        ib_buf_puts(&line, ": unlink ");
        put_name(&line, storm_topic_name(to));
        ib_buf_puts(&line, " failed - not linked");
    }
    say(t->storm, STORM_TRACE_TOPIC, &line);
}

/* --- subscribers -------------------------------------------------------------------------------------------------- */

static struct ib_buf about_subscriber(const struct storm_subscriber *sub)
{
    struct ib_buf line;
    ib_buf_init(&line);
    put_identity(&line, &sub->record.id);
    if (wants(sub->topic->storm, STORM_TRACE_SUBSCRIBER, 2))
        put_endpoints(&line, sub->proxy);
    return line;
}

void storm_trace_state(const struct storm_subscriber *sub, const char *from, const char *to)
{
    if (!wants(sub->topic->storm, STORM_TRACE_SUBSCRIBER, 2))
        return;
    struct ib_buf line = about_subscriber(sub);
    ib_buf_printf(&line, " transition from: %s to: %s", from, to);
    say(sub->topic->storm, STORM_TRACE_SUBSCRIBER, &line);
}

void storm_trace_gone(const struct storm_subscriber *sub, const char *why)
{
    if (!wants(sub->topic->storm, STORM_TRACE_SUBSCRIBER, 1))
        return;
    struct ib_buf line = about_subscriber(sub);
    ib_buf_printf(&line, " subscriber errored out: %s", why);
    say(sub->topic->storm, STORM_TRACE_SUBSCRIBER, &line);
}

void storm_trace_election(const struct storm *s, int level, const char *fmt, ...)
{
    char text[400];
    va_list args;
    if (!wants(s, STORM_TRACE_ELECTION, level))
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    ib_log_trace(s->log, "Election", "%s", text);
}
