/* SPDX-License-Identifier: Apache-2.0 */
/* The whole database as one value: what a replica gives to others, and what it gets in place of its own (icestorm 8.6).
   Full records are compared: a subscriber that is the same stays as it is, with the events that wait for it. */
#include "change.h"

#include <stdio.h>

#include <moulin/base/log.h>
#include <moulin/store/store.h>

#include "storm.h"
#include "trace.h"

static int content_of_topic(const struct storm_topic *t, struct ib_arena *arena,
                            struct IceStormElection_TopicContent *out)
{
    out->id = t->id;
    out->records.v = IB_ARENA_ARRAY(arena, t->n_subscribers, struct IceStorm_SubscriberRecord);
    if (!out->records.v)
        return IB_ENOMEM;
    IB_LIST_FOREACH(node, &t->subscribers)
    {
        const struct storm_subscriber *sub = IB_CONTAINER(node, struct storm_subscriber, node);
        if (sub->state != STORM_ERROR)
            out->records.v[out->records.n++] = sub->record;
    }
    return 0;
}

int storm_content_of(const struct storm *s, struct ib_arena *arena, struct IceStormElection_TopicContentSeq *out)
{
    *out = (struct IceStormElection_TopicContentSeq){
        .v = IB_ARENA_ARRAY(arena, s->n_topics, struct IceStormElection_TopicContent)};
    int rc = out->v ? 0 : IB_ENOMEM;
    for (size_t i = 0; !rc && i < s->n_topics; i++) {
        out->v[i] = (struct IceStormElection_TopicContent){0};
        rc = content_of_topic(s->topics[i], arena, &out->v[out->n++]);
    }
    return rc;
}

static void refuse(struct storm_change *c, const struct ib_err *err)
{
    c->outcome = STORM_FAILED;
    snprintf(c->text, sizeof c->text, "%s", err->text);
}

bool storm_prepare_replace(struct storm_change *c, struct store_batch *b)
{
    const struct IceStorm_SubscriberRecord nothing = {0};
    struct ib_err err = {0};
    int rc = storm_topics_reserve(c->storm, c->content.n);
    if (rc)
        ib_err_set(&err, rc, "out of memory");
    if (b && !rc)
        store_batch_clear(b, STORM_TABLE_RECORDS);
    for (size_t i = 0; b && !rc && i < c->content.n; i++) {
        const struct IceStormElection_TopicContent *t = &c->content.v[i];
        rc = storm_batch_record(b, &t->id, &nothing, &err);
        for (size_t k = 0; !rc && k < t->records.n; k++)
            rc = storm_batch_record(b, &t->id, &t->records.v[k], &err);
    }
    if (rc)
        refuse(c, &err);
    return rc == 0;
}

/* --- in memory ---------------------------------------------------------------------------------------------------- */

static const struct IceStormElection_TopicContent *find_topic(const struct storm_change *c,
                                                              const struct iw_identity *id)
{
    for (size_t i = 0; i < c->content.n; i++)
        if (iw_identity_equal(&c->content.v[i].id, id))
            return &c->content.v[i];
    return NULL;
}

static bool holds(const struct IceStormElection_TopicContent *t, const struct IceStorm_SubscriberRecord *record)
{
    for (size_t i = 0; i < t->records.n; i++)
        if (iw_equal(&IceStorm_SubscriberRecord_type, &t->records.v[i], record))
            return true;
    return false;
}

static void drop_topics(struct storm_change *c)
{
    struct storm *s = c->storm;
    for (size_t i = s->n_topics; i > 0; i--) {
        struct storm_topic *t = s->topics[i - 1];
        if (find_topic(c, &t->id))
            continue;
        storm_topic_unlink(t);
        storm_topic_free(t);
    }
}

/* What cannot be made for want of memory is on the disk, and there after a restart. */
static void complain(const struct storm *s, const struct iw_identity *id, const struct ib_err *err)
{
    char name[200];
    ib_log_error(s->log, "`%s', which the group has, is left out until this replica is started again: %s",
                 ib_log_escape(id->name, name, sizeof name), err->text);
}

static void take_subscribers(struct storm_topic *t, const struct IceStormElection_TopicContent *in)
{
    IB_LIST_FOREACH_SAFE(node, &t->subscribers)
    {
        struct storm_subscriber *sub = IB_CONTAINER(node, struct storm_subscriber, node);
        if (sub->state != STORM_ERROR && holds(in, &sub->record))
            continue;
        t->n_subscribers--;
        storm_subscriber_free(sub);
    }
    for (size_t i = 0; i < in->records.n; i++) {
        struct ib_err err = {0};
        if (storm_topic_subscriber(t, &in->records.v[i].id))
            continue;
        struct storm_subscriber *sub = storm_subscriber_new(t, &in->records.v[i], &err);
        if (sub)
            storm_topic_add(t, &t->subscribers, sub);
        else
            complain(t->storm, &in->records.v[i].id, &err);
    }
}

void storm_apply_replace(struct storm_change *c)
{
    struct storm *s = c->storm;
    drop_topics(c);
    for (size_t i = 0; i < c->content.n; i++) {
        const struct IceStormElection_TopicContent *in = &c->content.v[i];
        struct storm_topic *t = storm_topic_find(s, storm_topic_name(&in->id));
        struct ib_err err = {0};
        if (!t && (t = storm_topic_new(s, &in->id, &err)))
            storm_topic_link(t);
        if (t)
            take_subscribers(t, in);
        else
            complain(s, &in->id, &err);
    }
}
