/* SPDX-License-Identifier: Apache-2.0 */
/* The database on disk: LMDB behind one thread of its own. Batches of writes are committed in the order given, one
   transaction (and one sync) each; completion comes back to the loop. Whoever batches decides what shares a sync.
   Nothing is read after the start: the catalog is the memory of it all. */
#ifndef REG_STORE_H
#define REG_STORE_H

#include <moulin/base/buf.h>
#include <moulin/base/err.h>
#include <moulin/base/span.h>

struct ic_loop;
struct reg_store;

enum reg_table {
    REG_APPLICATIONS, /* name -> ApplicationInfo */
    REG_ADAPTERS, /* id -> AdapterInfo: dynamic adapters */
    REG_OBJECTS, /* identity -> ObjectInfo: added by administrators, and the registries' own */
    REG_NODES, /* identity -> ObjectInfo: nodes of the last run; has no serial and is not replicated */
    REG_TABLE_MAX
};
#define REG_SERIALS 3 /* the first three tables have one */
#define REG_KEY_MAX 511 /* bytes of an encoded key, as in the original */

/* Opens or creates. IB_ECONFIG: another process has it, or it belongs to another instance; IB_EDAMAGED; IB_EIO. */
struct reg_store *reg_store_open(struct ic_loop *loop, const char *dir, size_t map_size, struct ib_err *err);
void reg_store_close(struct reg_store *s); /* finishes what was submitted; completions are dropped */

/* Calls fn for every record of the table in key order; stops when fn returns non-zero and returns that. Only before the
   first commit. The spans are valid during the call. */
int reg_store_each(struct reg_store *s, enum reg_table table,
                   int (*fn)(void *arg, struct ib_span key, struct ib_span value, struct ib_err *err), void *arg,
                   struct ib_err *err) IB_MUST_CHECK;
int64_t reg_store_serial(const struct reg_store *s, enum reg_table table); /* as found at start; 1 in a new database */

/* One transaction under construction. Errors stick; commit reports them. */
struct reg_batch;
struct reg_batch *reg_batch_new(void);
void reg_batch_free(struct reg_batch *b); /* only before commit */
void reg_batch_put(struct reg_batch *b, enum reg_table table, struct ib_span key, struct ib_span value);
void reg_batch_del(struct reg_batch *b, enum reg_table table, struct ib_span key); /* absent: fine */
void reg_batch_clear(struct reg_batch *b, enum reg_table table);
void reg_batch_serial(struct reg_batch *b, enum reg_table table, int64_t serial);

/* Takes b. done is called on the loop once all of it is on disk, or none of it is (code < 0, err says why). It is never
   called from inside. */
void reg_store_commit(struct reg_store *s, struct reg_batch *b,
                      void (*done)(void *arg, int code, const struct ib_err *err), void *arg);

#endif
