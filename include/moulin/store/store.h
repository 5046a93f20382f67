/* SPDX-License-Identifier: Apache-2.0 */
/* A database on disk: LMDB, usually behind one thread of its own. Batches of writes are committed in the order given, one
   transaction (and one sync) each; completion comes back to the loop. Whoever batches decides what shares a sync.
   Records are for reading at the start only: those who use them keep them in memory. */
#ifndef MOULIN_STORE_STORE_H
#define MOULIN_STORE_STORE_H

#include <moulin/base/arena.h>
#include <moulin/base/buf.h>
#include <moulin/base/err.h>
#include <moulin/base/span.h>

struct ic_loop;
struct store;

#define STORE_KEY_MAX 511 /* bytes of a key, as in the originals */
#define STORE_TABLES_MAX 8

/* What a database is made of, and the words its errors need. Tables are numbered by their place. */
struct store_schema {
    const char *name; /* noted in it: another layout is refused */
    const char *const *tables; /* the last one holds "schema", the name, among the owner's notes */
    size_t n_tables; /* STORE_TABLES_MAX at most */
    const char *foreign; /* a table that only another program's database has */
    const char *foreign_text; /* what to do then */
    const char *user; /* "registry" */
    const char *path_property, *size_property;
    const char *damage_text; /* what to do about a damaged one, after "move the directory away and" */
};

/* Opens or creates. IB_ECONFIG: another process has it, or it has another layout; IB_EDAMAGED; IB_EIO. */
struct store *store_open(struct ic_loop *loop, const struct store_schema *schema, const char *dir, size_t map_size,
                         struct ib_err *err);
void store_close(struct store *s); /* finishes what was submitted; completions are dropped; NULL is fine */

/* Calls fn for every record of the table in key order; stops when fn returns non-zero and returns that. Only before the
   first commit. The spans are valid during the call. */
typedef int (*store_record_fn)(void *arg, struct ib_span key, struct ib_span value, struct ib_err *err);
int store_each(struct store *s, int table, store_record_fn fn, void *arg, struct ib_err *err) IB_MUST_CHECK;

/* --- of a database that another process may have open (copy.c) --- */

/* Every record of every table, table by table, as of one moment. IB_ENOTFOUND: there is no database;
   IB_EDAMAGED; what fn returns. */
int store_snapshot(const struct store_schema *schema, const char *dir,
                   int (*fn)(void *arg, int table, struct ib_span key, struct ib_span value, struct ib_err *err),
                   void *arg, struct ib_err *err) IB_MUST_CHECK;
/* A consistent copy of dir's database in the directory to, which is made, or empty; on disk when it returns. */
int store_backup(const struct store_schema *schema, const char *dir, const char *to, struct ib_err *err) IB_MUST_CHECK;
/* The reverse: the copy becomes dir's database, which nobody may have open. One that is there already is refused, or
   with replace kept as data.mdb.before. */
int store_restore(const struct store_schema *schema, const char *copy, const char *dir, bool replace,
                  struct ib_err *err) IB_MUST_CHECK;

/* --- files that carry a database elsewhere (file.c) --- */

/* The file appears as a whole, and on disk, or not at all. IB_EFILE. */
int store_file_write(const char *file, struct ib_span bytes, struct ib_err *err) IB_MUST_CHECK;
/* All n bytes of a file that is not empty, in the arena, after as many as `before` says for the caller to fill in, where
   the result points. NULL with IB_EFILE; IB_EINVAL: empty, or larger than a gigabyte. */
uint8_t *store_file_read(const char *file, size_t before, struct ib_arena *arena, size_t *n, struct ib_err *err);

/* --- writing --- */

/* One transaction under construction. Errors stick; commit reports them. */
struct store_batch;
struct store_batch *store_batch_new(void);
void store_batch_free(struct store_batch *b); /* only before commit; NULL is fine */
void store_batch_put(struct store_batch *b, int table, struct ib_span key, struct ib_span value);
void store_batch_del(struct store_batch *b, int table, struct ib_span key); /* absent: fine */
void store_batch_clear(struct store_batch *b, int table);

/* Takes b. done is called on the loop once all of it is on disk, or none of it is (code < 0, err says why). It is never
   called from inside. */
void store_commit(struct store *s, struct store_batch *b, void (*done)(void *arg, int code, const struct ib_err *err),
                  void *arg);
/* The same for who has little else to do until it is done: a small batch of a database in memory (tmpfs), where a commit
   waits for nothing, is committed by the loop itself, which takes less than to hand it to the thread. */
void store_commit_in_place(struct store *s, struct store_batch *b,
                           void (*done)(void *arg, int code, const struct ib_err *err), void *arg);
/* Makes a database of one batch, which it takes, in a directory without one; waits. IB_EEXISTS: there is one. */
int store_create(const struct store_schema *schema, const char *dir, struct store_batch *b,
                 struct ib_err *err) IB_MUST_CHECK;

#endif
