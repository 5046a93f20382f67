/* SPDX-License-Identifier: Apache-2.0 */
/* Topics: their identities and objects, their table, and publishing to all subscribers. */
#include <stdlib.h>

#include "replica.h"
#include "storm.h"

#define PREFIX "topic."
#define TABLE_FIRST 16

/* --- names (icestorm 2) --------------------------------------------------------------------------------------------
 */

struct iw_identity storm_topic_identity(const struct storm *s, struct ib_str name, struct ib_arena *arena)
{
    struct ib_buf text;
    ib_buf_init(&text);
    ib_buf_puts(&text, PREFIX);
    ib_buf_put(&text, ib_cstr(name), name.n);
    struct iw_identity id = {{NULL, 0}, s->cfg.instance};
    if (ib_buf_ok(&text))
        id.name = ib_arena_str(arena, (struct ib_str){ib_buf_cstr(&text), text.n});
    ib_buf_fini(&text);
    return id;
}

/* Databases of old have topics without a category, whose identity is the bare name. */
struct ib_str storm_topic_name(const struct iw_identity *id)
{
    const size_t n = sizeof PREFIX - 1;
    if (!id->category.n || id->name.n < n)
        return id->name;
    return (struct ib_str){id->name.p + n, id->name.n - n};
}

/* The identity of an object of the topic on the publish adapter. */
static struct iw_identity part(struct storm_topic *t, const char *what)
{
    if (!t->id.category.n)
        return (struct iw_identity){ib_arena_strz(&t->arena, what), t->name};
    struct ib_buf text;
    ib_buf_init(&text);
    ib_buf_put(&text, ib_cstr(t->name), t->name.n);
    ib_buf_printf(&text, ".%s", what);
    struct iw_identity id = {{NULL, 0}, t->id.category};
    if (ib_buf_ok(&text))
        id.name = ib_arena_str(&t->arena, (struct ib_str){ib_buf_cstr(&text), text.n});
    ib_buf_fini(&text);
    return id;
}

/* --- life ----------------------------------------------------------------------------------------------------------
 */

static bool is_live(void *self, struct ir_request *rq, const struct iw_op *op)
{
    const struct storm_topic *t = self;
    (void)op;
    if (!t->live)
        ir_request_fail(rq, IR_OBJECT_NOT_EXIST, NULL);
    return t->live;
}

static int add_objects(struct storm_topic *t, struct ib_err *err)
{
    struct storm *s = t->storm;
    const struct {
        struct ir_adapter *adapter;
        const struct iw_identity *id;
        struct ir_servant *servant;
    } objects[] = {
        {s->manager, &t->id, &t->servant},
        {s->publish, &t->publisher_id, &t->publisher},
        {s->publish, &t->link_id, &t->link},
    };
    for (size_t i = 0; i < 3; i++) {
        int rc = ir_adapter_add(objects[i].adapter, objects[i].id, "", objects[i].servant);
        if (rc)
            return ib_err_set(err, rc, "cannot make the object `%s': %s", ib_cstr(objects[i].id->name),
                              ib_err_text(rc));
        t->added[i] = true;
    }
    return 0;
}

static int prepare(struct storm_topic *t, const struct iw_identity *id, struct ib_err *err)
{
    t->id = (struct iw_identity){ib_arena_str(&t->arena, id->name), ib_arena_str(&t->arena, id->category)};
    if (!t->id.name.p || !t->id.category.p)
        return ib_err_set(err, IB_ENOMEM, "out of memory");
    t->name = storm_topic_name(&t->id);
    t->publisher_id = part(t, "publish");
    t->link_id = part(t, "link");
    if (!t->publisher_id.name.p || !t->link_id.name.p)
        return ib_err_set(err, IB_ENOMEM, "out of memory");
    t->servant = (struct ir_servant){
        .iface = &IceStorm_TopicInternal_iface, .vtable = &storm_topic_vtable, .self = t, .before = is_live};
    t->link = (struct ir_servant){
        .iface = &IceStorm_TopicLink_iface, .vtable = &storm_link_vtable, .self = t, .before = is_live};
    storm_publisher_init(t);
    return add_objects(t, err);
}

struct storm_topic *storm_topic_new(struct storm *s, const struct iw_identity *id, struct ib_err *err)
{
    struct storm_topic *t = calloc(1, sizeof *t);
    if (!t) {
        ib_err_set(err, IB_ENOMEM, "out of memory");
        return NULL;
    }
    t->storm = s;
    ib_arena_init(&t->arena, 0);
    ib_list_init(&t->subscribers);
    if (prepare(t, id, err) == 0)
        return t;
    storm_topic_free(t);
    return NULL;
}

void storm_topic_free(struct storm_topic *t)
{
    if (!t)
        return;
    ir_observe_end(&t->observed);
    while (!ib_list_empty(&t->subscribers))
        storm_subscriber_free(IB_CONTAINER(t->subscribers.next, struct storm_subscriber, node));
    if (t->added[0])
        ir_adapter_remove(t->storm->manager, &t->id, "");
    if (t->added[1])
        ir_adapter_remove(t->storm->publish, &t->publisher_id, "");
    if (t->added[2])
        ir_adapter_remove(t->storm->publish, &t->link_id, "");
    ib_arena_fini(&t->arena);
    free(t);
}

/* --- the table
 * -------------------------------------------------------------------------------------------------------- */

/* Where the topic is, or would be. */
static size_t place(const struct storm *s, struct ib_str name)
{
    size_t low = 0, high = s->n_topics;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ib_str_cmp(s->topics[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct storm_topic *storm_topic_find(const struct storm *s, struct ib_str name)
{
    size_t i = place(s, name);
    return i < s->n_topics && ib_str_eq(s->topics[i]->name, name) ? s->topics[i] : NULL;
}

int storm_topics_reserve(struct storm *s, size_t more)
{
    size_t cap = s->topics_cap ? s->topics_cap : TABLE_FIRST;
    while (cap < s->n_topics + more)
        cap *= 2;
    if (cap == s->topics_cap)
        return 0;
    struct storm_topic **topics = realloc(s->topics, cap * sizeof(struct storm_topic *));
    if (!topics)
        return IB_ENOMEM;
    s->topics = topics;
    s->topics_cap = cap;
    return 0;
}

void storm_topic_link(struct storm_topic *t)
{
    struct storm *s = t->storm;
    size_t i = place(s, t->name);
    memmove(s->topics + i + 1, s->topics + i, (s->n_topics - i) * sizeof(struct storm_topic *));
    s->topics[i] = t;
    s->n_topics++;
    t->live = true;
    ir_observe(s->metrics.topics, &t->observed, t);
}

void storm_topic_unlink(struct storm_topic *t)
{
    struct storm *s = t->storm;
    size_t i = place(s, t->name);
    s->n_topics--;
    memmove(s->topics + i, s->topics + i + 1, (s->n_topics - i) * sizeof(struct storm_topic *));
    t->live = false;
}

void storm_topic_add(struct storm_topic *t, struct ib_list *before, struct storm_subscriber *sub)
{
    ib_list_append(before, &sub->node);
    t->n_subscribers++;
    sub->live = true;
    ir_observe(t->storm->metrics.subscribers, &sub->observed, sub);
    ir_observe(t->storm->metrics.queues, &sub->queue_observed, sub);
}

struct storm_subscriber *storm_topic_subscriber(const struct storm_topic *t, const struct iw_identity *id)
{
    IB_LIST_FOREACH(node, &t->subscribers)
    {
        struct storm_subscriber *sub = IB_CONTAINER(node, struct storm_subscriber, node);
        if (iw_identity_equal(&sub->record.id, id))
            return sub;
    }
    return NULL;
}

struct iw_proxy *storm_topic_proxy(const struct storm_topic *t, struct ib_arena *arena)
{
    const struct storm *s = t->storm;
    if (s->replica && s->replica->manager)
        return ir_proxy_with_identity(s->replica->manager, &t->id, arena);
    return ir_adapter_proxy(s->manager, &t->id, arena);
}

struct iw_proxy *storm_publish_proxy(const struct storm *s, const struct iw_identity *id, struct ib_arena *arena)
{
    if (s->replica && s->replica->publish)
        return ir_proxy_with_identity(s->replica->publish, id, arena);
    return ir_adapter_proxy(s->publish, id, arena);
}

/* --- publishing
 * --------------------------------------------------------------------------------------------------------- */

static bool takes(const struct storm_subscriber *sub, const struct storm_event *e, int cost)
{
    if (!sub->record.link)
        return true;
    return !e->forwarded && (sub->record.cost == 0 || cost <= sub->record.cost);
}

void storm_topic_publish(struct storm_topic *t, struct storm_event *e)
{
    int cost = e->forwarded ? 0 : storm_event_cost(e);
    IB_LIST_FOREACH(node, &t->subscribers)
    {
        struct storm_subscriber *sub = IB_CONTAINER(node, struct storm_subscriber, node);
        if (takes(sub, e, cost))
            storm_subscriber_queue(sub, e);
    }
}
