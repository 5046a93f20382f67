/* SPDX-License-Identifier: Apache-2.0 */
/* The database on disk: one LMDB environment, written by one thread; or one in memory, where the loop may write. Owns
   the directory's lock, the environment and the thread. Every record carries a checksum; a damaged file is found by a
   child process before this one maps it. */
#include "store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <moulin/net/loop.h>

struct store {
    struct ic_loop *loop;
    const struct store_schema *schema; /* borrows */
    int lock_fd;
    MDB_env *env;
    MDB_dbi dbi[STORE_TABLES_MAX];
    size_t map_size;
    char dir[4096];
    bool in_memory; /* no commit waits for a disk */
    struct ic_deferred commit;
    struct store_batch *here, **here_tail; /* for it */
    size_t n_away; /* batches that the thread has, as the loop knows */
    pthread_t thread;
    bool running;
    pthread_mutex_t mutex; /* protects what follows */
    pthread_cond_t wake;
    struct store_batch *todo, **todo_tail, *finished, **finished_tail;
    bool quit, closed;
    unsigned refs; /* the owner, and each delivery under way */
};

static void unref(struct store *s)
{
    pthread_mutex_lock(&s->mutex);
    bool last = --s->refs == 0;
    pthread_mutex_unlock(&s->mutex);
    if (!last)
        return;
    for (struct store_batch *b = s->finished, *next; b; b = next) {
        next = b->next;
        store_batch_free(b);
    }
    pthread_mutex_destroy(&s->mutex);
    pthread_cond_destroy(&s->wake);
    free(s);
}

/* --- the thread ------------------------------------------------------------------------------------------------- */

/* Doubles the map: nobody else in this process has a transaction, so it may move. What a backup that was killed held on
   to is free again. */
static int grow(struct store *s)
{
    int dead;
    mdb_reader_check(s->env, &dead);
    if (s->map_size > SIZE_MAX / 4)
        return MDB_MAP_FULL;
    int rc = mdb_env_set_mapsize(s->env, s->map_size * 2);
    if (rc == 0)
        s->map_size *= 2;
    return rc;
}

static int commit_once(struct store *s, const struct store_batch *b)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(s->env, NULL, 0, &txn);
    if (rc)
        return rc;
    rc = store_batch_write(b, txn, s->dbi);
    if (rc) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

static void run_job(struct store *s, struct store_batch *b)
{
    if (store_batch_failed(b)) {
        b->code = ib_err_set(&b->err, IB_ENOMEM, "out of memory");
        return;
    }
    int rc = commit_once(s, b);
    while (rc == MDB_MAP_FULL && (rc = grow(s)) == 0)
        rc = commit_once(s, b);
    if (rc)
        b->code = store_fail(s->schema, &b->err, rc, s->dir, "cannot write the database");
}

static void deliver(void *arg)
{
    struct store *s = arg;
    pthread_mutex_lock(&s->mutex);
    struct store_batch *list = s->finished;
    s->finished = NULL;
    s->finished_tail = &s->finished;
    pthread_mutex_unlock(&s->mutex);
    while (list) {
        struct store_batch *b = list;
        list = b->next;
        s->n_away -= b->away;
        if (!s->closed && b->done) /* closed is written by this thread only */
            b->done(b->arg, b->code, &b->err);
        store_batch_free(b);
    }
    unref(s);
}

static void append_finished(struct store *s, struct store_batch *b)
{
    b->next = NULL;
    *s->finished_tail = b;
    s->finished_tail = &b->next;
}

static void finish(struct store *s, struct store_batch *b)
{
    pthread_mutex_lock(&s->mutex);
    append_finished(s, b);
    bool closed = s->closed;
    if (!closed)
        s->refs++;
    pthread_mutex_unlock(&s->mutex);
    if (closed)
        return;
    /* A completion must not be lost: short of memory, this thread may wait. */
    while (ic_loop_post(s->loop, deliver, s) != 0)
        nanosleep(&(struct timespec){0, 10000000}, NULL);
}

static void *work(void *arg)
{
    struct store *s = arg;
    pthread_mutex_lock(&s->mutex);
    for (;;) {
        while (!s->todo && !s->quit)
            pthread_cond_wait(&s->wake, &s->mutex);
        struct store_batch *b = s->todo;
        if (!b)
            break;
        s->todo = b->next;
        if (!s->todo)
            s->todo_tail = &s->todo;
        pthread_mutex_unlock(&s->mutex);
        run_job(s, b);
        finish(s, b);
        pthread_mutex_lock(&s->mutex);
    }
    pthread_mutex_unlock(&s->mutex);
    return NULL;
}

/* --- the loop --------------------------------------------------------------------------------------------------- */

static void run_here(struct store *s)
{
    while (s->here) {
        struct store_batch *b = s->here;
        s->here = b->next;
        run_job(s, b);
        pthread_mutex_lock(&s->mutex);
        append_finished(s, b);
        pthread_mutex_unlock(&s->mutex);
    }
    s->here_tail = &s->here;
}

static void commit_here(void *arg)
{
    struct store *s = arg;
    run_here(s);
    pthread_mutex_lock(&s->mutex);
    s->refs++;
    pthread_mutex_unlock(&s->mutex);
    deliver(s);
}

void store_commit_in_place(struct store *s, struct store_batch *b,
                           void (*done)(void *arg, int code, const struct ib_err *err), void *arg)
{
    if (s->n_away || !s->in_memory || !store_batch_is_small(b)) {
        store_commit(s, b, done, arg);
        return;
    }
    b->next = NULL;
    b->done = done;
    b->arg = arg;
    *s->here_tail = b;
    s->here_tail = &b->next;
    ic_loop_defer(s->loop, &s->commit, commit_here, s);
}

void store_commit(struct store *s, struct store_batch *b, void (*done)(void *arg, int code, const struct ib_err *err),
                  void *arg)
{
    run_here(s); /* in the order given */
    b->next = NULL;
    b->done = done;
    b->arg = arg;
    b->away = true;
    s->n_away++;
    pthread_mutex_lock(&s->mutex);
    *s->todo_tail = b;
    s->todo_tail = &b->next;
    pthread_mutex_unlock(&s->mutex);
    pthread_cond_signal(&s->wake); /* unlocked: the thread would wake only to wait for the mutex */
}

/* --- opening ---------------------------------------------------------------------------------------------------- */

static int take_lock(struct store *s, struct ib_err *err)
{
    char path[sizeof s->dir + 16];
    snprintf(path, sizeof path, "%s/moulin.lock", s->dir);
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (s->lock_fd < 0)
        return ib_err_set(err, IB_EFILE, "cannot open `%s': %s: check the directory's owner and permissions", path,
                          strerror(errno));
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    return ib_err_set(
        err, IB_ECONFIG,
        "the database in `%s' is in use by another process: stop it, or give this %s a directory of its own (%s)",
        s->dir, s->schema->user, s->schema->path_property);
}

static bool is_in_memory(const char *dir)
{
    struct statfs fs;
    return statfs(dir, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

static int open_env(struct store *s, struct ib_err *err)
{
    s->in_memory = is_in_memory(s->dir);
    int rc = mdb_env_create(&s->env);
    if (rc == 0)
        rc = mdb_env_set_maxdbs(s->env, (MDB_dbi)s->schema->n_tables);
    if (rc == 0)
        rc = mdb_env_set_mapsize(s->env, s->map_size);
    if (rc == 0)
        rc = mdb_env_open(s->env, s->dir, MDB_NOTLS, 0640);
    MDB_envinfo info;
    if (rc == 0)
        rc = mdb_env_info(s->env, &info);
    if (rc)
        return store_fail(s->schema, err, rc, s->dir, "cannot open the database");
    s->map_size = info.me_mapsize;
    MDB_txn *txn;
    rc = mdb_txn_begin(s->env, NULL, 0, &txn);
    if (rc)
        return store_fail(s->schema, err, rc, s->dir, "cannot open the database");
    int code = store_open_tables(txn, s->schema, s->dir, s->dbi, err);
    if (code) {
        mdb_txn_abort(txn);
        return code;
    }
    rc = mdb_txn_commit(txn);
    return rc ? store_fail(s->schema, err, rc, s->dir, "cannot create the database") : 0;
}

struct store *store_open(struct ic_loop *loop, const struct store_schema *schema, const char *dir, size_t map_size,
                         struct ib_err *err)
{
    struct store *s = calloc(1, sizeof *s);
    if (!s) {
        ib_err_set(err, IB_ENOMEM, "out of memory");
        return NULL;
    }
    s->loop = loop;
    s->schema = schema;
    s->map_size = map_size;
    s->refs = 1;
    s->here_tail = &s->here;
    s->todo_tail = &s->todo;
    s->finished_tail = &s->finished;
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->wake, NULL);
    snprintf(s->dir, sizeof s->dir, "%s", dir);
    s->lock_fd = -1;
    if (take_lock(s, err) || store_check(schema, s->dir, err) || open_env(s, err))
        goto fail;
    if (pthread_create(&s->thread, NULL, work, s) != 0) {
        ib_err_set(err, IB_EINIT, "cannot start the database thread: %s", strerror(errno));
        goto fail;
    }
    s->running = true;
    return s;
fail:
    store_close(s);
    return NULL;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    ic_loop_undefer(s->loop, &s->commit);
    run_here(s);
    pthread_mutex_lock(&s->mutex);
    s->quit = s->closed = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->mutex);
    if (s->running)
        pthread_join(s->thread, NULL);
    if (s->env)
        mdb_env_close(s->env);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    unref(s);
}

int store_each(struct store *s, int table, store_record_fn fn, void *arg, struct ib_err *err)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
    if (rc)
        return store_fail(s->schema, err, rc, s->dir, "cannot read the database");
    int code = store_walk(txn, s->dbi[table], s->schema, s->dir, fn, arg, err);
    mdb_txn_abort(txn);
    return code;
}
