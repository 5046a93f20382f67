/* SPDX-License-Identifier: Apache-2.0 */
/* The one door of the topics: whatever is created, subscribed, linked or removed goes through it as a value with the
   database's stamp (generation, iteration): validate, commit, apply, answer. The four kinds are those that
   replicas tell each other (icestorm 8.5), links being records like subscribers.

   Changes that do not touch each other share a commit. What one needs in memory is made before its commit, so that
   nothing can fail after it. */
#ifndef STORM_CHANGE_H
#define STORM_CHANGE_H

#include <moulin/base/buf.h>
#include <moulin/base/list.h>
#include <slice/IceStorm/Election_rpc.h>
#include <slice/IceStorm/Internal_rpc.h>

struct store_batch;
struct storm_changes;
struct storm;
struct storm_topic;
struct storm_subscriber;

enum storm_change_op {
    STORM_CREATE_TOPIC,
    STORM_DESTROY_TOPIC,
    STORM_ADD_SUBSCRIBER,
    STORM_REMOVE_SUBSCRIBERS,
    STORM_REPLACE, /* everything, by content */
    STORM_STAMP, /* nothing but the stamp */
    STORM_PROMISE /* nothing but the promise, which is stamp.generation; the stamp stays */
};

enum storm_outcome {
    STORM_DONE,
    STORM_PRESENT, /* the topic or subscriber is there already */
    STORM_ABSENT, /* nothing to remove */
    STORM_GONE, /* the topic is not there (any more) */
    STORM_REFUSED, /* text is the reason of a BadQoS */
    STORM_FAILED, /* text says why; nothing has changed */
    STORM_DOUBT, /* a majority of the replicas may not have it: it may or may not stay */
    STORM_ELSEWHERE /* this replica does not lead the group: not even looked at */
};

struct storm_change {
    struct ib_list node;
    struct storm *storm; /* borrows */
    struct ib_arena arena; /* of what follows */
    enum storm_change_op op;
    struct ib_str topic; /* its name */
    struct IceStorm_SubscriberRecord record; /* STORM_ADD_SUBSCRIBER */
    struct Ice_IdentitySeq ids; /* STORM_REMOVE_SUBSCRIBERS; those that are not there are left out */
    bool failed_only; /* … and only those whose delivery has failed */
    struct IceStormElection_TopicContentSeq content; /* STORM_REPLACE */
    bool told; /* the replica itself, or its coordinator, says so: with the stamp that it comes with */
    struct IceStormElection_LogUpdate stamp; /* of the database with it */
    struct storm_topic *new_topic; /* owns until applied */
    struct storm_subscriber *new_subscriber;
    enum storm_outcome outcome;
    char text[512];
    void (*done)(void *arg, const struct storm_change *c); /* once; c is freed afterwards. NULL: nobody waits */
    void *arg;
};

/* For the topic of that name, which is copied. NULL: memory. Whoever fills in the rest uses its arena. */
struct storm_change *storm_change_new(struct storm *s, enum storm_change_op op, struct ib_str topic,
                                      void (*done)(void *arg, const struct storm_change *c), void *arg);
void storm_change_free(struct storm_change *c); /* only before it is submitted */
void storm_change_submit(struct storm_change *c); /* takes c; done is called later */
void storm_change_end(struct storm_change *c, enum storm_outcome outcome); /* one that is not submitted; takes c */
/* Submits the removal of one that has failed, unless that is on its way. */
void storm_reap(struct storm_subscriber *sub);

/* --- of a group of replicas: changes that are not told wait until the election lets this replica commit (replica.h) --- */

void storm_changes_lead(struct storm_changes *x, uint64_t serial); /* commits what waits, then storm_replica_committed() */
/* What was committed so, in its order; until it is settled. */
struct ib_list *storm_changes_held(struct storm_changes *x);
void storm_changes_settle(struct storm_changes *x, bool good); /* answers it */
void storm_changes_leave(struct storm_changes *x); /* what waits ends with STORM_ELSEWHERE */
bool storm_changes_wait(const struct storm_changes *x);
struct IceStormElection_LogUpdate storm_changes_stamp(const struct storm_changes *x);

/* content.c: everything there is, but subscribers that have failed. IB_ENOMEM. */
int storm_content_of(const struct storm *s, struct ib_arena *arena, struct IceStormElection_TopicContentSeq *out);
bool storm_prepare_replace(struct storm_change *c, struct store_batch *b);
void storm_apply_replace(struct storm_change *c);

/* Life; load builds the topics that are on disk. */
struct storm_changes *storm_changes_new(struct storm *s);
int storm_changes_load(struct storm_changes *x, struct ib_err *err) IB_MUST_CHECK;
int64_t storm_changes_promise(const struct storm_changes *x); /* as it was loaded */
void storm_changes_stop(struct storm_changes *x); /* what waits is answered */
void storm_changes_free(struct storm_changes *x);

/* The records on disk (records.c): the keys and values of the original (icestorm 12). */
extern const struct store_schema storm_schema;
enum { STORM_TABLE_STAMP, STORM_TABLE_RECORDS, STORM_TABLE_META };
/* Key of the record of a topic (id empty) or subscriber. IB_ELIMIT: too long, err says so. */
int storm_key(const struct iw_identity *topic, const struct iw_identity *id, struct ib_buf *out, struct ib_err *err);
int storm_batch_record(struct store_batch *b, const struct iw_identity *topic,
                       const struct IceStorm_SubscriberRecord *record, struct ib_err *err);
int storm_batch_remove(struct store_batch *b, const struct iw_identity *topic, const struct iw_identity *id,
                       struct ib_err *err);
bool storm_key_is_stamp(struct ib_span key); /* in STORM_TABLE_STAMP */
int storm_batch_stamp(struct store_batch *b, const struct IceStormElection_LogUpdate *stamp);
int storm_batch_promise(struct store_batch *b, int64_t promise); /* of the election (election.h) */
int storm_records_load(struct storm *s, struct IceStormElection_LogUpdate *stamp, int64_t *promise,
                       struct ib_err *err) IB_MUST_CHECK;

#endif
