/* SPDX-License-Identifier: Apache-2.0 */
/* What store.c (thread, files), tables.c (schema, records, batches) and copy.c tell each other. */
#ifndef STORE_PRIV_H
#define STORE_PRIV_H

#include <lmdb.h>

#include <moulin/store/store.h>

/* Creates what is missing and checks what is there: schema and maker. */
int store_open_tables(MDB_txn *txn, const struct store_schema *schema, const char *dir, MDB_dbi dbi[STORE_TABLES_MAX],
                      struct ib_err *err);
int store_walk(MDB_txn *txn, MDB_dbi dbi, const struct store_schema *schema, const char *dir, store_record_fn fn,
               void *arg, struct ib_err *err);
/* Reads the whole database in a child process, which may die of what it finds in our stead. */
int store_check(const struct store_schema *schema, const char *dir, struct ib_err *err);
/* LMDB's or the system's code as ours, with a text that says what to do. */
int store_fail(const struct store_schema *schema, struct ib_err *err, int rc, const char *dir, const char *what);

int store_batch_write(const struct store_batch *b, MDB_txn *txn, const MDB_dbi dbi[STORE_TABLES_MAX]); /* LMDB code */
bool store_batch_failed(const struct store_batch *b);
bool store_batch_is_small(const struct store_batch *b); /* takes about as long as a message does */

struct store_batch_op;
struct store_batch {
    struct store_batch_op *ops; /* owns */
    size_t n, cap;
    struct ib_buf bytes; /* keys and values */
    bool failed;
    /* store.c's: on its way to the disk and back */
    struct store_batch *next;
    bool away; /* with the thread */
    void (*done)(void *arg, int code, const struct ib_err *err);
    void *arg;
    int code;
    struct ib_err err;
};

#endif
