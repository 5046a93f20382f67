/* SPDX-License-Identifier: Apache-2.0 */
/* Databases as files: a snapshot of one that is in use, copies of it, and the way back. LMDB lets readers of other
   processes see one consistent state while the owner writes. */
#include "store_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_CAP 4200

/* --- reading ---------------------------------------------------------------------------------------------------- */

static int no_database(const struct store_schema *schema, const char *dir, struct ib_err *err)
{
    return ib_err_set(err, IB_ENOTFOUND, "there is no database of a %s in `%s'", schema->user, dir);
}

static int open_reader(const struct store_schema *schema, const char *dir, MDB_env **env, MDB_txn **txn,
                       struct ib_err *err)
{
    char path[PATH_CAP];
    struct stat st;
    snprintf(path, sizeof path, "%s/data.mdb", dir);
    *env = NULL;
    *txn = NULL;
    if (stat(path, &st) != 0 || st.st_size == 0)
        return no_database(schema, dir, err);
    int rc = store_check(schema, dir, err);
    if (rc)
        return rc;
    rc = mdb_env_create(env);
    if (!rc)
        rc = mdb_env_set_maxdbs(*env, (MDB_dbi)schema->n_tables);
    if (!rc)
        rc = mdb_env_open(*env, dir, MDB_RDONLY, 0640);
    if (!rc)
        rc = mdb_txn_begin(*env, NULL, MDB_RDONLY, txn);
    return rc ? store_fail(schema, err, rc, dir, "cannot read the database") : 0;
}

static void close_reader(MDB_env *env, MDB_txn *txn)
{
    if (txn)
        mdb_txn_abort(txn);
    if (env)
        mdb_env_close(env);
}

struct walk {
    int table;
    int (*fn)(void *arg, int table, struct ib_span key, struct ib_span value, struct ib_err *err);
    void *arg;
};

static int on_record(void *arg, struct ib_span key, struct ib_span value, struct ib_err *err)
{
    const struct walk *w = arg;
    return w->fn(w->arg, w->table, key, value, err);
}

static int read_tables(MDB_txn *txn, const struct store_schema *schema, const char *dir, struct walk *w,
                       struct ib_err *err)
{
    MDB_dbi dbi[STORE_TABLES_MAX];
    for (size_t i = 0; i < schema->n_tables; i++) {
        int rc = mdb_dbi_open(txn, schema->tables[i], 0, &dbi[i]);
        if (rc)
            return rc == MDB_NOTFOUND ? no_database(schema, dir, err)
                                      : store_fail(schema, err, rc, dir, "cannot read the database");
    }
    int rc = 0;
    for (size_t t = 0; t < schema->n_tables && !rc; t++) {
        w->table = (int)t;
        rc = store_walk(txn, dbi[t], schema, dir, on_record, w, err);
    }
    return rc;
}

int store_snapshot(const struct store_schema *schema, const char *dir,
                   int (*fn)(void *arg, int table, struct ib_span key, struct ib_span value, struct ib_err *err),
                   void *arg, struct ib_err *err)
{
    MDB_env *env;
    MDB_txn *txn;
    struct walk w = {.fn = fn, .arg = arg};
    int rc = open_reader(schema, dir, &env, &txn, err);
    if (!rc)
        rc = read_tables(txn, schema, dir, &w, err);
    close_reader(env, txn);
    return rc;
}

/* --- copying ---------------------------------------------------------------------------------------------------- */

static int sync_path(const char *path, struct ib_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc = fd < 0 ? -1 : fsync(fd);
    int why = errno;
    if (fd >= 0)
        close(fd);
    return rc ? ib_err_set(err, IB_EIO, "cannot write `%s' to the disk: %s", path, strerror(why)) : 0;
}

static int make_empty(const char *dir, struct ib_err *err)
{
    if (mkdir(dir, 0750) == 0)
        return 0;
    if (errno != EEXIST)
        return ib_err_set(err, IB_EFILE, "cannot make the directory `%s': %s", dir, strerror(errno));
    DIR *d = opendir(dir);
    if (!d)
        return ib_err_set(err, IB_EFILE, "cannot open the directory `%s': %s", dir, strerror(errno));
    bool empty = true;
    for (const struct dirent *e; empty && (e = readdir(d));)
        empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
    closedir(d);
    return empty ? 0 : ib_err_set(err, IB_EEXISTS, "the directory `%s' is not empty: choose another", dir);
}

/* The copy's data.mdb and its directory are on disk afterwards. */
static int copy_to(const struct store_schema *schema, const char *dir, const char *to, struct ib_err *err)
{
    MDB_env *env;
    MDB_txn *txn;
    char path[PATH_CAP];
    int rc = open_reader(schema, dir, &env, &txn, err);
    if (txn)
        mdb_txn_abort(txn);
    if (!rc) {
        rc = mdb_env_copy2(env, to, MDB_CP_COMPACT);
        rc = rc ? store_fail(schema, err, rc, to, "cannot write the copy") : 0;
    }
    close_reader(env, NULL);
    snprintf(path, sizeof path, "%s/data.mdb", to);
    if (!rc)
        rc = sync_path(path, err);
    if (!rc)
        rc = sync_path(to, err);
    return rc ? rc : store_check(schema, to, err);
}

int store_backup(const struct store_schema *schema, const char *dir, const char *to, struct ib_err *err)
{
    int rc = make_empty(to, err);
    return rc ? rc : copy_to(schema, dir, to, err);
}

/* --- putting back ----------------------------------------------------------------------------------------------- */

/* The owner's lock: a descriptor, or an error. */
static int lock(const struct store_schema *schema, const char *dir, struct ib_err *err)
{
    char path[PATH_CAP];
    snprintf(path, sizeof path, "%s/moulin.lock", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0)
        return ib_err_set(err, IB_EFILE, "cannot open `%s': %s", path, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    close(fd);
    return ib_err_set(err, IB_ECONFIG, "the database in `%s' is in use: stop the %s first", dir, schema->user);
}

static int put_in_place(const char *from, const char *dir, bool replace, struct ib_err *err)
{
    char source[PATH_CAP], target[PATH_CAP], before[PATH_CAP + 8];
    struct stat st;
    snprintf(source, sizeof source, "%s/data.mdb", from);
    snprintf(target, sizeof target, "%s/data.mdb", dir);
    snprintf(before, sizeof before, "%s.before", target);
    if (stat(target, &st) == 0 && !replace)
        return ib_err_set(
            err, IB_EEXISTS,
            "there is a database in `%s' already: choose another directory, or --replace it (it is kept as "
            "data.mdb.before)",
            dir);
    if ((stat(target, &st) == 0 && rename(target, before) != 0) || rename(source, target) != 0)
        return ib_err_set(err, IB_EIO, "cannot put the copy in place of `%s': %s", target, strerror(errno));
    return sync_path(dir, err);
}

int store_restore(const struct store_schema *schema, const char *copy, const char *dir, bool replace,
                  struct ib_err *err)
{
    char scratch[PATH_CAP];
    snprintf(scratch, sizeof scratch, "%s/restore.%ld", dir, (long)getpid());
    if (mkdir(dir, 0750) != 0 && errno != EEXIST)
        return ib_err_set(err, IB_EFILE, "cannot make the directory `%s': %s", dir, strerror(errno));
    int fd = lock(schema, dir, err);
    if (fd < 0)
        return fd;
    int rc = make_empty(scratch, err);
    if (!rc)
        rc = copy_to(schema, copy, scratch, err);
    if (!rc)
        rc = put_in_place(scratch, dir, replace, err);
    char path[PATH_CAP + 16];
    snprintf(path, sizeof path, "%s/data.mdb", scratch);
    unlink(path);
    snprintf(path, sizeof path, "%s/lock.mdb", scratch);
    unlink(path);
    rmdir(scratch);
    close(fd);
    return rc;
}
