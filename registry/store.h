/* SPDX-License-Identifier: Apache-2.0 */
/* The registry's database: its tables, and what a database says about itself: the tables' serials and whose it is. The
   rest is the store's (moulin/store/store.h). */
#ifndef REG_STORE_H
#define REG_STORE_H

#include <moulin/store/store.h>

struct reg_store;

enum reg_table {
    REG_APPLICATIONS, /* name -> ApplicationInfo */
    REG_ADAPTERS, /* id -> AdapterInfo: dynamic adapters */
    REG_OBJECTS, /* identity -> ObjectInfo: added by administrators, and the registries' own */
    REG_NODES, /* identity -> ObjectInfo: nodes of the last run; has no serial and is not replicated */
    REG_TABLE_MAX
};
#define REG_SERIALS 3 /* the first three tables have one */
#define REG_KEY_MAX STORE_KEY_MAX

extern const struct store_schema reg_schema;

/* What a database says about itself. */
struct reg_store_facts {
    int64_t serial[REG_SERIALS]; /* 1 in a new one */
    int64_t settled[REG_SERIALS]; /* of a slave: the last serial that the master is known to have on its own disk, too */
    char replica[256]; /* whose it was; "" when nobody said */
};

/* As their namesakes of the store. */
struct reg_store *reg_store_open(struct ic_loop *loop, const char *dir, size_t map_size, struct ib_err *err);
void reg_store_close(struct reg_store *s);
int reg_store_each(struct reg_store *s, enum reg_table table, store_record_fn fn, void *arg,
                   struct ib_err *err) IB_MUST_CHECK;
void reg_store_commit(struct reg_store *s, struct store_batch *b,
                      void (*done)(void *arg, int code, const struct ib_err *err), void *arg);
void reg_store_commit_in_place(struct reg_store *s, struct store_batch *b,
                               void (*done)(void *arg, int code, const struct ib_err *err), void *arg);

int64_t reg_store_serial(const struct reg_store *s, enum reg_table table); /* as found at start */
int64_t reg_store_settled(const struct reg_store *s, enum reg_table table); /* likewise */
const char *reg_store_replica(const struct reg_store *s); /* likewise */

/* store_snapshot of the tables, with the facts. */
int reg_store_snapshot(const char *dir,
                       int (*fn)(void *arg, enum reg_table table, struct ib_span key, struct ib_span value,
                                 struct ib_err *err),
                       void *arg, struct reg_store_facts *facts, struct ib_err *err) IB_MUST_CHECK;

void reg_batch_serial(struct store_batch *b, enum reg_table table, int64_t serial, int64_t settled);
void reg_batch_replica(struct store_batch *b, struct ib_str name); /* whose the database is from now on */

#endif
