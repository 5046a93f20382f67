/* SPDX-License-Identifier: Apache-2.0 */
/* Records of a database to values and back; ZeroC's export file around them (slice/Moulin/Export.ice). */
#include "export.h"

#include <stdio.h>
#include <stdlib.h>

#include <moulin/wire/codec.h>
#include <slice/Moulin/Export_rpc.h>
#include <slice/registry.h>

#include "catalog.h"
#include "change_priv.h"

#define TYPE "IceGrid"
#define VERSION 30708 /* what we write; 3.7's are read */
#define VERSION_MIN 30700
#define VERSION_MAX 30799
#define HEADER 6 /* of an encapsulation, which the file lacks */

static const char *const serial_names[REG_SERIALS] = {
    [REG_APPLICATIONS] = "applications", [REG_ADAPTERS] = "adapters", [REG_OBJECTS] = "objects"};

/* --- reading a database ----------------------------------------------------------------------------------------- */

struct reading {
    struct ib_arena arena;
    struct reg_content *content;
    struct Moulin_RegistryExport out;
    size_t cap[REG_TABLE_MAX];
};

static const struct iw_type *const record_types[REG_TABLE_MAX] = {[REG_APPLICATIONS] = &IceGrid_ApplicationInfo_type,
                                                                  [REG_ADAPTERS] = &IceGrid_AdapterInfo_type,
                                                                  [REG_OBJECTS] = &IceGrid_ObjectInfo_type,
                                                                  [REG_NODES] = &IceGrid_ObjectInfo_type};

/* The sequence of out that holds the table's records. */
static struct iw_seq *sequence(struct Moulin_RegistryExport *out, enum reg_table table)
{
    void *const list[REG_TABLE_MAX] = {[REG_APPLICATIONS] = &out->applications,
                                       [REG_ADAPTERS] = &out->adapters,
                                       [REG_OBJECTS] = &out->objects,
                                       [REG_NODES] = &out->nodes};
    return list[table];
}

static void *room(struct reading *r, enum reg_table table)
{
    struct iw_seq *s = sequence(&r->out, table);
    size_t size = record_types[table]->size;
    if (s->n == r->cap[table]) {
        size_t cap = r->cap[table] ? r->cap[table] * 2 : 64;
        char *v = ib_arena_alloc(&r->arena, cap * size);
        if (!v)
            return NULL;
        if (s->n)
            memcpy(v, s->v, s->n * size);
        s->v = v;
        r->cap[table] = cap;
    }
    return (char *)s->v + s->n * size;
}

static int on_record(void *arg, enum reg_table table, struct ib_span key, struct ib_span value, struct ib_err *err)
{
    struct reading *r = arg;
    void *slot = room(r, table), *decoded = NULL;
    (void)key;
    int rc = slot ? 0 : IB_ENOMEM;
    if (!rc && table == REG_APPLICATIONS) {
        rc = iw_decode_params(record_types[table], value, &slice_registry, IW_LIMITS_DEFAULT, &r->arena, &decoded);
        if (!rc)
            memcpy(slot, decoded, record_types[table]->size);
    } else if (!rc) {
        rc = iw_decode_value(record_types[table], &value, IW_ENCODING_1_1, &r->arena, slot);
    }
    if (rc)
        return ib_err_set(err, IB_EDAMAGED, "a record of the table `%s' cannot be read: %s",
                          table == REG_NODES ? "nodes" : serial_names[table], ib_err_text(rc));
    sequence(&r->out, table)->n++;
    r->content->n[table]++;
    return 0;
}

static int read_database(struct reading *r, const char *dir, struct reg_content *content, struct ib_err *err)
{
    *content = (struct reg_content){.n = {0}};
    *r = (struct reading){.content = content};
    ib_arena_init(&r->arena, 0);
    return reg_store_snapshot(dir, on_record, r, &content->facts, err);
}

int reg_content_verify(const char *dir, struct reg_content *out, struct ib_err *err)
{
    struct reading r;
    int rc = read_database(&r, dir, out, err);
    ib_arena_fini(&r.arena);
    return rc;
}

/* --- export ----------------------------------------------------------------------------------------------------- */

static int encode(const struct Moulin_RegistryExport *v, struct ib_buf *b)
{
    int rc = iw_encode_params(&Moulin_RegistryExport_type, v, IW_ENCODING_1_1, false, b);
    return rc ? rc : ib_buf_ok(b) ? 0 : IB_ENOMEM;
}

int reg_content_export(const char *dir, const char *file, struct reg_content *out, struct ib_err *err)
{
    struct reading r;
    struct ib_buf b;
    struct IceGrid_StringLongDict_entry serials[REG_SERIALS];
    ib_buf_init(&b);
    int rc = read_database(&r, dir, out, err);
    if (!rc) {
        const int order[REG_SERIALS] = {REG_ADAPTERS, REG_APPLICATIONS, REG_OBJECTS}; /* as a map is */
        for (int i = 0; i < REG_SERIALS; i++)
            serials[i] =
                (struct IceGrid_StringLongDict_entry){ib_str(serial_names[order[i]]), out->facts.serial[order[i]]};
        r.out.type = IB_STR(TYPE);
        r.out.version = VERSION;
        r.out.serials.n = REG_SERIALS;
        r.out.serials.v = serials;
        rc = encode(&r.out, &b);
        rc = rc ? ib_err_set(err, rc, "cannot encode the database: %s", ib_err_text(rc))
                : store_file_write(file, (struct ib_span){b.p + HEADER, b.n - HEADER}, err);
    }
    ib_buf_fini(&b);
    ib_arena_fini(&r.arena);
    return rc;
}

/* --- import ----------------------------------------------------------------------------------------------------- */

/* As an encapsulation. */
static int read_file(const char *file, struct ib_arena *arena, struct ib_span *out, struct ib_err *err)
{
    size_t n;
    uint8_t *p = store_file_read(file, HEADER, arena, &n, err);
    if (!p)
        return err->code;
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)((HEADER + n) >> (8 * i));
    p[4] = p[5] = 1; /* encoding 1.1 */
    *out = (struct ib_span){p, HEADER + n};
    return 0;
}

static int decode(const char *file, struct ib_span bytes, struct ib_arena *arena, struct Moulin_RegistryExport **out,
                  struct ib_err *err)
{
    void *value;
    static const uint8_t begin[] = {sizeof TYPE - 1, 'I', 'c', 'e', 'G', 'r', 'i', 'd'};
    if (bytes.n < HEADER + sizeof begin || memcmp(bytes.p + HEADER, begin, sizeof begin) != 0)
        return ib_err_set(err, IB_EINVAL, "`%s' is not an export of an IceGrid database", file);
    int rc = iw_decode_params(&Moulin_RegistryExport_type, bytes, &slice_registry, IW_LIMITS_DEFAULT, arena, &value);
    if (rc)
        return ib_err_set(err, IB_EINVAL, "`%s' is damaged, or was not exported by Ice 3.7: %s", file, ib_err_text(rc));
    *out = value;
    if ((*out)->version < VERSION_MIN || (*out)->version > VERSION_MAX)
        return ib_err_set(err, IB_EINVAL, "`%s' was exported by version %d of Ice: only those of 3.7 are read", file,
                          (int)(*out)->version);
    return 0;
}

static int put_record(struct store_batch *b, enum reg_table table, void *value, struct ib_arena *arena)
{
    struct ib_span key = {NULL, 0}, record;
    const struct iw_proxy *prx = NULL;
    if (table == REG_APPLICATIONS)
        key = reg_key_string(((const struct IceGrid_ApplicationInfo *)value)->descriptor.name, arena);
    else if (table == REG_ADAPTERS)
        key = reg_key_string(((const struct IceGrid_AdapterInfo *)value)->id, arena);
    else if ((prx = ((const struct IceGrid_ObjectInfo *)value)->proxy) != NULL)
        key = reg_key_identity(&prx->id, arena);
    if (!key.n || key.n > REG_KEY_MAX)
        return IB_EINVAL;
    int rc = reg_record(record_types[table], value, table == REG_APPLICATIONS, arena, &record);
    if (!rc)
        store_batch_put(b, table, key, record);
    return rc;
}

static int fill(struct store_batch *b, struct Moulin_RegistryExport *in, struct ib_arena *arena,
                struct reg_content *out)
{
    for (int t = 0; t < REG_TABLE_MAX; t++) {
        const struct iw_seq *s = sequence(in, (enum reg_table)t);
        for (size_t i = 0; i < s->n; i++) {
            int rc = put_record(b, (enum reg_table)t, (char *)s->v + i * record_types[t]->size, arena);
            if (rc)
                return rc;
        }
        out->n[t] = s->n;
    }
    for (int t = 0; t < REG_SERIALS; t++) {
        out->facts.serial[t] = 1;
        for (size_t i = 0; i < in->serials.n; i++)
            if (ib_str_is(in->serials.v[i].key, serial_names[t]) && in->serials.v[i].value > 0)
                out->facts.serial[t] = in->serials.v[i].value;
        reg_batch_serial(b, (enum reg_table)t, out->facts.serial[t], out->facts.serial[t]);
    }
    return 0;
}

int reg_content_import(const char *file, const char *dir, struct reg_content *out, struct ib_err *err)
{
    struct ib_arena arena;
    struct ib_span bytes;
    struct Moulin_RegistryExport *in;
    *out = (struct reg_content){.n = {0}};
    ib_arena_init(&arena, 0);
    int rc = read_file(file, &arena, &bytes, err);
    if (!rc)
        rc = decode(file, bytes, &arena, &in, err);
    struct store_batch *b = rc ? NULL : store_batch_new();
    if (!rc)
        rc = b ? fill(b, in, &arena, out) : IB_ENOMEM;
    if (rc && !err->code)
        ib_err_set(err, rc, "`%s' has a record that no registry can have written", file);
    if (rc)
        store_batch_free(b);
    else
        rc = store_create(&reg_schema, dir, b, err);
    ib_arena_fini(&arena);
    return rc;
}
