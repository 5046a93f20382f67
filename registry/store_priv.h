/* SPDX-License-Identifier: Apache-2.0 */
/* What store.c (thread, files) and store_tables.c (schema, records, batches) tell each other. */
#ifndef REG_STORE_PRIV_H
#define REG_STORE_PRIV_H

#include <lmdb.h>

#include "store.h"

enum { REG_DBI_SERIALS = REG_TABLE_MAX, REG_DBI_META, REG_DBI_MAX };

/* Creates what is missing and checks what is there: schema and maker. */
int reg_store_open_tables(MDB_txn *txn, const char *dir, MDB_dbi dbi[REG_DBI_MAX], int64_t serial[REG_SERIALS],
                          struct ib_err *err);
int reg_store_walk(MDB_txn *txn, MDB_dbi dbi, const char *dir,
                   int (*fn)(void *arg, struct ib_span key, struct ib_span value, struct ib_err *err), void *arg,
                   struct ib_err *err);
/* Reads the whole database in a child process, which may die of what it finds in our stead. */
int reg_store_check(const char *dir, struct ib_err *err);
/* LMDB's or the system's code as ours, with a text that says what to do. */
int reg_store_fail(struct ib_err *err, int rc, const char *dir, const char *what);

int reg_batch_write(const struct reg_batch *b, MDB_txn *txn, const MDB_dbi dbi[REG_DBI_MAX]); /* LMDB code */
bool reg_batch_failed(const struct reg_batch *b);

struct reg_batch_op;
struct reg_batch {
    struct reg_batch_op *ops; /* owns */
    size_t n, cap;
    struct ib_buf bytes; /* keys and values */
    bool failed;
    /* store.c's: on its way to the disk and back */
    struct reg_batch *next;
    void (*done)(void *arg, int code, const struct ib_err *err);
    void *arg;
    int code;
    struct ib_err err;
};

#endif
