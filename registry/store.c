/* SPDX-License-Identifier: Apache-2.0 */
/* The registry's part of its database: tables, serials, and whose it is. Owns the store beneath. */
#include "store.h"

#include <stdlib.h>

enum { SERIALS = REG_TABLE_MAX, NOTES };

static const char *const tables[] = {
    [REG_APPLICATIONS] = "applications", [REG_ADAPTERS] = "adapters", [REG_OBJECTS] = "objects", [REG_NODES] = "nodes",
    [SERIALS] = "moulin-serials",        [NOTES] = "moulin-meta"};

const struct store_schema reg_schema = {
    .name = "moulin registry 1",
    .tables = tables,
    .n_tables = sizeof tables / sizeof *tables,
    .foreign = "serials",
    .foreign_text = "choose an empty directory; its content can be taken over with --initdb-from-replica, or with "
                    "icegriddb --export and moulin registry import",
    .user = "registry",
    .path_property = "IceGrid.Registry.LMDB.Path",
    .size_property = "IceGrid.Registry.LMDB.MapSize",
    .damage_text = "restore a copy, or start with an empty one and --initdb-from-replica",
};

struct reg_store {
    struct store *store; /* owns */
    struct reg_store_facts facts; /* as found at start */
};

/* --- facts ------------------------------------------------------------------------------------------------------- */

static struct ib_span text_span(const char *s, size_t n)
{
    union {
        const char *c;
        const uint8_t *u;
    } x = {.c = s};
    return (struct ib_span){x.u, n};
}

static bool key_is(struct ib_span key, const char *name)
{
    return key.n == strlen(name) && memcmp(key.p, name, key.n) == 0;
}

static void facts_init(struct reg_store_facts *facts)
{
    *facts = (struct reg_store_facts){0};
    for (int t = 0; t < REG_SERIALS; t++)
        facts->serial[t] = facts->settled[t] = 1;
}

static int64_t little(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 8; i-- > 0;)
        v = v << 8 | p[i];
    return (int64_t)v;
}

static void put_little(uint8_t *p, int64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)((uint64_t)v >> (8 * i));
}

/* The serial, and the settled one behind it when that is another. */
static int on_serial(void *arg, struct ib_span key, struct ib_span value, struct ib_err *err)
{
    struct reg_store_facts *facts = arg;
    for (int t = 0; t < REG_SERIALS; t++) {
        if (!key_is(key, tables[t]))
            continue;
        int64_t serial = value.n == 8 || value.n == 16 ? little(value.p) : 0;
        int64_t settled = value.n == 16 ? little(value.p + 8) : serial;
        if (serial < 1 || settled < 1 || settled > serial)
            return ib_err_set(err, IB_EDAMAGED, "the serial of `%s' in the database is damaged: restore a copy",
                              tables[t]);
        facts->serial[t] = serial;
        facts->settled[t] = settled;
    }
    return 0;
}

static int on_note(void *arg, struct ib_span key, struct ib_span value, struct ib_err *err)
{
    struct reg_store_facts *facts = arg;
    (void)err;
    if (!key_is(key, "replica") || value.n >= sizeof facts->replica)
        return 0;
    memcpy(facts->replica, value.p, value.n);
    facts->replica[value.n] = '\0';
    return 0;
}

void reg_batch_serial(struct store_batch *b, enum reg_table table, int64_t serial, int64_t settled)
{
    uint8_t v[16];
    put_little(v, serial);
    put_little(v + 8, settled);
    store_batch_put(b, SERIALS, text_span(tables[table], strlen(tables[table])),
                    (struct ib_span){v, settled == serial ? 8 : 16});
}

void reg_batch_replica(struct store_batch *b, struct ib_str name)
{
    store_batch_put(b, NOTES, text_span("replica", 7), text_span(ib_cstr(name), name.n));
}

int64_t reg_store_serial(const struct reg_store *s, enum reg_table table)
{
    return (unsigned)table < REG_SERIALS ? s->facts.serial[table] : 0;
}

int64_t reg_store_settled(const struct reg_store *s, enum reg_table table)
{
    return (unsigned)table < REG_SERIALS ? s->facts.settled[table] : 0;
}

const char *reg_store_replica(const struct reg_store *s)
{
    return s->facts.replica;
}

/* --- the store beneath -----------------------------------------------------------------------------------------------
 */

struct reg_store *reg_store_open(struct ic_loop *loop, const char *dir, size_t map_size, struct ib_err *err)
{
    struct reg_store *s = calloc(1, sizeof *s);
    if (!s) {
        ib_err_set(err, IB_ENOMEM, "out of memory");
        return NULL;
    }
    facts_init(&s->facts);
    s->store = store_open(loop, &reg_schema, dir, map_size, err);
    if (s->store && store_each(s->store, SERIALS, on_serial, &s->facts, err) == 0 &&
        store_each(s->store, NOTES, on_note, &s->facts, err) == 0)
        return s;
    reg_store_close(s);
    return NULL;
}

void reg_store_close(struct reg_store *s)
{
    if (!s)
        return;
    store_close(s->store);
    free(s);
}

int reg_store_each(struct reg_store *s, enum reg_table table, store_record_fn fn, void *arg, struct ib_err *err)
{
    return store_each(s->store, (int)table, fn, arg, err);
}

void reg_store_commit(struct reg_store *s, struct store_batch *b,
                      void (*done)(void *arg, int code, const struct ib_err *err), void *arg)
{
    store_commit(s->store, b, done, arg);
}

void reg_store_commit_in_place(struct reg_store *s, struct store_batch *b,
                               void (*done)(void *arg, int code, const struct ib_err *err), void *arg)
{
    store_commit_in_place(s->store, b, done, arg);
}

struct snapshot {
    int (*fn)(void *arg, enum reg_table table, struct ib_span key, struct ib_span value, struct ib_err *err);
    void *arg;
    struct reg_store_facts *facts;
};

static int on_record(void *arg, int table, struct ib_span key, struct ib_span value, struct ib_err *err)
{
    const struct snapshot *s = arg;
    if (table == SERIALS)
        return on_serial(s->facts, key, value, err);
    if (table == NOTES)
        return on_note(s->facts, key, value, err);
    return s->fn(s->arg, (enum reg_table)table, key, value, err);
}

int reg_store_snapshot(const char *dir,
                       int (*fn)(void *arg, enum reg_table table, struct ib_span key, struct ib_span value,
                                 struct ib_err *err),
                       void *arg, struct reg_store_facts *facts, struct ib_err *err)
{
    struct snapshot s = {fn, arg, facts};
    facts_init(facts);
    return store_snapshot(&reg_schema, dir, on_record, &s, err);
}
