/* SPDX-License-Identifier: Apache-2.0 */
/* Topics on disk: records with the keys and values of the original (icestorm 12), in tables of our own make. A topic is
   a record with an empty id. */
#include <stdlib.h>

#include <moulin/base/log.h>
#include <moulin/store/store.h>

#include "change.h"
#include "storm.h"

static const char *const tables[] = {[STORM_TABLE_STAMP] = "moulin-llu",
                                     [STORM_TABLE_RECORDS] = "moulin-subscribers",
                                     [STORM_TABLE_META] = "moulin-meta"};

const struct store_schema storm_schema = {
    .name = "moulin storm 1",
    .tables = tables,
    .n_tables = sizeof tables / sizeof *tables,
    .foreign = "subscribers",
    .foreign_text =
        "choose an empty directory, and import what icestormdb --export writes of this one (moulin storm import)",
    .user = "service",
    .path_property = "the service's LMDB.Path",
    .size_property = "the service's LMDB.MapSize",
    .damage_text = "restore a copy, or start with an empty one",
};

static const uint8_t stamp_key[] = "_manager"; /* as in the original */
static const uint8_t promise_key[] = "promise";

static struct ib_span key_span(const uint8_t *key)
{
    return (struct ib_span){key, strlen((const char *)key)};
}

int storm_key(const struct iw_identity *topic, const struct iw_identity *id, struct ib_buf *out, struct ib_err *err)
{
    const struct IceStorm_SubscriberRecordKey key = {.topic = *topic, .id = *id};
    int rc = iw_encode_value(&IceStorm_SubscriberRecordKey_type, &key, IW_ENCODING_1_1, out);
    if (rc)
        return ib_err_set(err, rc, "cannot write the record: %s", ib_err_text(rc));
    if (out->n <= STORE_KEY_MAX)
        return 0;
    return ib_err_set(err, IB_ELIMIT, "the names of topic and subscriber are too long: Key size = %zu, Max size = %d",
                      out->n, STORE_KEY_MAX);
}

int storm_batch_record(struct store_batch *b, const struct iw_identity *topic,
                       const struct IceStorm_SubscriberRecord *record, struct ib_err *err)
{
    struct ib_buf key, value;
    ib_buf_init(&key);
    ib_buf_init(&value);
    int rc = storm_key(topic, &record->id, &key, err);
    if (!rc && (rc = iw_encode_value(&IceStorm_SubscriberRecord_type, record, IW_ENCODING_1_1, &value)))
        ib_err_set(err, rc, "cannot write the record: %s", ib_err_text(rc));
    if (!rc)
        store_batch_put(b, STORM_TABLE_RECORDS, ib_buf_span(&key), ib_buf_span(&value));
    ib_buf_fini(&key);
    ib_buf_fini(&value);
    return rc;
}

int storm_batch_remove(struct store_batch *b, const struct iw_identity *topic, const struct iw_identity *id,
                       struct ib_err *err)
{
    struct ib_buf key;
    ib_buf_init(&key);
    int rc = storm_key(topic, id, &key, err);
    if (!rc)
        store_batch_del(b, STORM_TABLE_RECORDS, ib_buf_span(&key));
    ib_buf_fini(&key);
    return rc;
}

bool storm_key_is_stamp(struct ib_span key)
{
    return key.n == sizeof stamp_key - 1 && !memcmp(key.p, stamp_key, key.n);
}

static int put_stamp(struct store_batch *b, const uint8_t *key, const struct IceStormElection_LogUpdate *stamp)
{
    struct ib_buf value;
    ib_buf_init(&value);
    int rc = iw_encode_value(&IceStormElection_LogUpdate_type, stamp, IW_ENCODING_1_1, &value);
    if (!rc)
        store_batch_put(b, STORM_TABLE_STAMP, key_span(key), ib_buf_span(&value));
    ib_buf_fini(&value);
    return rc;
}

int storm_batch_stamp(struct store_batch *b, const struct IceStormElection_LogUpdate *stamp)
{
    return put_stamp(b, stamp_key, stamp);
}

int storm_batch_promise(struct store_batch *b, int64_t promise)
{
    return put_stamp(b, promise_key, &(struct IceStormElection_LogUpdate){.generation = promise});
}

/* --- loading ---------------------------------------------------------------------------------------------------------
 */

struct loading {
    struct storm *storm;
    struct ib_arena arena; /* of one record */
    bool topics; /* the first pass: topics; the second: what belongs to them */
    struct IceStormElection_LogUpdate *stamp;
    int64_t *promise;
};

static int unreadable(struct ib_err *err, int rc)
{
    return ib_err_set(err, rc, "cannot read a record of the database: %s", ib_err_text(rc));
}

static int load_topic(struct storm *s, const struct iw_identity *id, struct ib_err *err)
{
    int rc = storm_topics_reserve(s, 1);
    if (rc)
        return ib_err_set(err, rc, "out of memory");
    struct storm_topic *t = storm_topic_new(s, id, err);
    if (!t)
        return err->code;
    storm_topic_link(t);
    return 0;
}

/* In the order of their identities, as after a restart of the original. */
static void put_in_order(struct storm_topic *t, struct storm_subscriber *sub)
{
    struct ib_list *after = &t->subscribers;
    IB_LIST_FOREACH(node, &t->subscribers)
    {
        const struct storm_subscriber *other = IB_CONTAINER(node, struct storm_subscriber, node);
        if (iw_identity_cmp(&other->record.id, &sub->record.id) > 0) {
            after = node;
            break;
        }
    }
    storm_topic_add(t, after, sub);
}

/* One that cannot be made any more is left out; its record stays. */
static void load_subscriber(struct storm *s, const struct iw_identity *topic,
                            const struct IceStorm_SubscriberRecord *record)
{
    struct storm_topic *t = storm_topic_find(s, storm_topic_name(topic));
    struct ib_err err = {0};
    struct storm_subscriber *sub = t ? storm_subscriber_new(t, record, &err) : NULL;
    char name[200];
    if (sub)
        put_in_order(t, sub);
    else
        ib_log_warning(s->log, "subscriber `%s' of the database is left out: %s",
                       ib_log_escape(record->id.name, name, sizeof name), t ? err.text : "its topic is not there");
}

static int load_record(void *arg, struct ib_span key_bytes, struct ib_span value, struct ib_err *err)
{
    struct loading *l = arg;
    struct IceStorm_SubscriberRecordKey key;
    struct IceStorm_SubscriberRecord record;
    ib_arena_reset(&l->arena);
    int rc = iw_decode_value(&IceStorm_SubscriberRecordKey_type, &key_bytes, IW_ENCODING_1_1, &l->arena, &key);
    if (rc)
        return unreadable(err, rc);
    bool is_topic = !key.id.name.n && !key.id.category.n;
    if (is_topic != l->topics)
        return 0;
    if (is_topic)
        return load_topic(l->storm, &key.topic, err);
    rc = iw_decode_value(&IceStorm_SubscriberRecord_type, &value, IW_ENCODING_1_1, &l->arena, &record);
    if (rc)
        return unreadable(err, rc);
    load_subscriber(l->storm, &key.topic, &record);
    return 0;
}

static int load_stamp(void *arg, struct ib_span key, struct ib_span value, struct ib_err *err)
{
    struct loading *l = arg;
    struct IceStormElection_LogUpdate stamp;
    int rc = iw_decode_value(&IceStormElection_LogUpdate_type, &value, IW_ENCODING_1_1, &l->arena, &stamp);
    if (rc)
        return unreadable(err, rc);
    if (storm_key_is_stamp(key))
        *l->stamp = stamp;
    else
        *l->promise = stamp.generation;
    return 0;
}

int storm_records_load(struct storm *s, struct IceStormElection_LogUpdate *stamp, int64_t *promise, struct ib_err *err)
{
    struct loading l = {.storm = s, .topics = true, .stamp = stamp, .promise = promise};
    ib_arena_init(&l.arena, 0);
    int rc = store_each(s->store, STORM_TABLE_STAMP, load_stamp, &l, err);
    if (!rc)
        rc = store_each(s->store, STORM_TABLE_RECORDS, load_record, &l, err);
    l.topics = false;
    if (!rc)
        rc = store_each(s->store, STORM_TABLE_RECORDS, load_record, &l, err);
    ib_arena_fini(&l.arena);
    return rc;
}
