/* SPDX-License-Identifier: Apache-2.0 */
/* Records of a database to values and back; ZeroC's export file around them (slice/Moulin/StormExport.ice). */
#include "export.h"

#include <stdlib.h>

#include <moulin/store/store.h>
#include <moulin/wire/codec.h>
#include <slice/Moulin/StormExport.h>

#include "change.h"
#include "storm.h"

#define TYPE "IceStorm"
#define VERSION 30708 /* what we write; 3.7's are read */
#define VERSION_MIN 30700
#define VERSION_MAX 30799

static const char stamp_name[] = "_manager";

static bool is_topic(const struct IceStorm_SubscriberRecordKey *key)
{
    return !key->id.name.n && !key->id.category.n;
}

static void count(struct storm_content *c, const struct IceStorm_SubscriberRecordDict_entry *e)
{
    if (is_topic(&e->key))
        c->n_topics++;
    else if (e->value.link)
        c->n_links++;
    else
        c->n_subscribers++;
}

/* --- reading a database ----------------------------------------------------------------------------------------- */

struct reading {
    struct ib_arena arena;
    struct storm_content *content;
    struct IceStorm_SubscriberRecordDict records;
    size_t cap;
};

static struct IceStorm_SubscriberRecordDict_entry *room(struct reading *r)
{
    if (r->records.n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 64;
        struct IceStorm_SubscriberRecordDict_entry *v =
            IB_ARENA_ARRAY(&r->arena, cap, struct IceStorm_SubscriberRecordDict_entry);
        if (!v)
            return NULL;
        if (r->records.n)
            memcpy(v, r->records.v, r->records.n * sizeof *v);
        r->records.v = v;
        r->cap = cap;
    }
    return &r->records.v[r->records.n];
}

static int on_record(void *arg, int table, struct ib_span key, struct ib_span value, struct ib_err *err)
{
    struct reading *r = arg;
    int rc = 0;
    if (table == STORM_TABLE_STAMP && storm_key_is_stamp(key)) { /* the other is this replica's own */
        rc = iw_decode_value(&IceStormElection_LogUpdate_type, &value, IW_ENCODING_1_1, &r->arena, &r->content->stamp);
    } else if (table == STORM_TABLE_RECORDS) {
        struct IceStorm_SubscriberRecordDict_entry *e = room(r);
        rc = e ? iw_decode_value(&IceStorm_SubscriberRecordKey_type, &key, IW_ENCODING_1_1, &r->arena, &e->key)
               : IB_ENOMEM;
        if (!rc)
            rc = iw_decode_value(&IceStorm_SubscriberRecord_type, &value, IW_ENCODING_1_1, &r->arena, &e->value);
        if (!rc) {
            r->records.n++;
            count(r->content, e);
        }
    }
    return rc ? ib_err_set(err, rc == IB_ENOMEM ? rc : IB_EDAMAGED, "a record of the database cannot be read: %s",
                           ib_err_text(rc))
              : 0;
}

static int read_database(struct reading *r, const char *dir, struct storm_content *content, struct ib_err *err)
{
    *content = (struct storm_content){0};
    *r = (struct reading){.content = content};
    ib_arena_init(&r->arena, 0);
    return store_snapshot(&storm_schema, dir, on_record, r, err);
}

int storm_content_verify(const char *dir, struct storm_content *out, struct ib_err *err)
{
    struct reading r;
    int rc = read_database(&r, dir, out, err);
    ib_arena_fini(&r.arena);
    return rc;
}

/* --- export ----------------------------------------------------------------------------------------------------- */

/* As the original's dictionary is: names first, topics before what belongs to them. */
static int compare(const void *a, const void *b)
{
    const struct IceStorm_SubscriberRecordDict_entry *x = a, *y = b;
    int topic = iw_identity_cmp(&x->key.topic, &y->key.topic);
    return topic ? topic : iw_identity_cmp(&x->key.id, &y->key.id);
}

static int write_content(struct reading *r, const char *file, struct ib_err *err)
{
    struct IceStormElection_StringLogUpdateDict_entry stamp = {ib_str(stamp_name), r->content->stamp};
    const struct Moulin_StormExport value = {
        .type = IB_STR(TYPE), .version = VERSION, .data = {.llus = {1, &stamp}, .subscribers = r->records}};
    struct ib_buf b;
    if (r->records.n)
        qsort(r->records.v, r->records.n, sizeof *r->records.v, compare);
    ib_buf_init(&b);
    int rc = iw_encode_value(&Moulin_StormExport_type, &value, IW_ENCODING_1_1, &b);
    if (!rc && !ib_buf_ok(&b))
        rc = IB_ENOMEM;
    rc = rc ? ib_err_set(err, rc, "cannot encode the database: %s", ib_err_text(rc))
            : store_file_write(file, ib_buf_span(&b), err);
    ib_buf_fini(&b);
    return rc;
}

int storm_content_export(const char *dir, const char *file, struct storm_content *out, struct ib_err *err)
{
    struct reading r;
    int rc = read_database(&r, dir, out, err);
    if (!rc)
        rc = write_content(&r, file, err);
    ib_arena_fini(&r.arena);
    return rc;
}

/* --- import ----------------------------------------------------------------------------------------------------- */

static int decode(const char *file, struct ib_arena *arena, struct Moulin_StormExport *out, struct ib_err *err)
{
    static const uint8_t begin[] = {sizeof TYPE - 1, 'I', 'c', 'e', 'S', 't', 'o', 'r', 'm'};
    size_t n;
    const uint8_t *p = store_file_read(file, 0, arena, &n, err);
    if (!p)
        return err->code;
    if (n < sizeof begin || memcmp(p, begin, sizeof begin) != 0)
        return ib_err_set(err, IB_EINVAL, "`%s' is not an export of an IceStorm database", file);
    struct ib_span in = {p, n};
    int rc = iw_decode_value(&Moulin_StormExport_type, &in, IW_ENCODING_1_1, arena, out);
    if (rc || in.n)
        return ib_err_set(err, IB_EINVAL, "`%s' is damaged, or was not exported by Ice 3.7: %s", file,
                          rc ? ib_err_text(rc) : "there is something behind its end");
    if (out->version < VERSION_MIN || out->version > VERSION_MAX)
        return ib_err_set(err, IB_EINVAL, "`%s' was exported by version %d of Ice: only those of 3.7 are read", file,
                          (int)out->version);
    return 0;
}

static int fill(struct store_batch *b, const struct Moulin_StormExport *in, struct storm_content *out,
                struct ib_err *err)
{
    const struct IceStorm_SubscriberRecordDict *records = &in->data.subscribers;
    for (size_t i = 0; i < records->n; i++) {
        const struct IceStorm_SubscriberRecordDict_entry *e = &records->v[i];
        if (!iw_identity_equal(&e->key.id, &e->value.id))
            return ib_err_set(err, IB_EINVAL, "the file has a record that no service can have written");
        int rc = storm_batch_record(b, &e->key.topic, &e->value, err);
        if (rc)
            return rc;
        count(out, e);
    }
    for (size_t i = 0; i < in->data.llus.n; i++)
        if (ib_str_is(in->data.llus.v[i].key, stamp_name))
            out->stamp = in->data.llus.v[i].value;
    int rc = storm_batch_stamp(b, &out->stamp);
    return rc ? ib_err_set(err, rc, "out of memory") : 0;
}

int storm_content_import(const char *file, const char *dir, struct storm_content *out, struct ib_err *err)
{
    struct ib_arena arena;
    struct Moulin_StormExport in;
    *out = (struct storm_content){0};
    ib_arena_init(&arena, 0);
    int rc = decode(file, &arena, &in, err);
    struct store_batch *b = rc ? NULL : store_batch_new();
    if (!rc)
        rc = b ? fill(b, &in, out, err) : ib_err_set(err, IB_ENOMEM, "out of memory");
    if (rc)
        store_batch_free(b);
    else
        rc = store_create(&storm_schema, dir, b, err);
    ib_arena_fini(&arena);
    return rc;
}
