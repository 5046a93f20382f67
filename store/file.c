/* SPDX-License-Identifier: Apache-2.0 */
/* Databases made of, and written to, files of other programs. */
#include <moulin/store/store.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <moulin/net/loop.h>

#define PATH_CAP 4200
#define FILE_MAX (1u << 30)
#define MAP_SIZE ((size_t)100 << 20)

int store_file_write(const char *file, struct ib_span bytes, struct ib_err *err)
{
    char path[PATH_CAP];
    snprintf(path, sizeof path, "%s.new", file);
    FILE *f = fopen(path, "wbe");
    bool ok = f && fwrite(bytes.p, 1, bytes.n, f) == bytes.n && fflush(f) == 0 && fsync(fileno(f)) == 0;
    int why = errno;
    if (f && fclose(f) != 0)
        ok = false;
    if (ok && rename(path, file) == 0)
        return 0;
    why = ok ? errno : why;
    unlink(path);
    return ib_err_set(err, IB_EFILE, "cannot write `%s': %s", file, strerror(why));
}

uint8_t *store_file_read(const char *file, size_t before, struct ib_arena *arena, size_t *n, struct ib_err *err)
{
    FILE *f = fopen(file, "rbe");
    struct stat st;
    if (!f || fstat(fileno(f), &st) != 0) {
        int why = errno;
        if (f)
            fclose(f);
        ib_err_set(err, IB_EFILE, "cannot open `%s': %s", file, strerror(why));
        return NULL;
    }
    *n = st.st_size >= 0 && (uint64_t)st.st_size <= FILE_MAX ? (size_t)st.st_size : 0;
    uint8_t *p = *n ? ib_arena_alloc(arena, before + *n) : NULL;
    bool ok = p && fread(p + before, 1, *n, f) == *n;
    fclose(f);
    if (ok)
        return p;
    ib_err_set(err, IB_EINVAL, "`%s' is empty, too large, or cannot be read", file);
    return NULL;
}

/* --- a new database ----------------------------------------------------------------------------------------------- */

struct commit {
    bool done;
    struct ib_err err;
};

static void committed(void *arg, int code, const struct ib_err *err)
{
    struct commit *c = arg;
    c->done = true;
    if (code)
        c->err = *err;
}

static int refuse_existing(const char *dir, struct ib_err *err)
{
    char path[PATH_CAP];
    struct stat st;
    if (mkdir(dir, 0750) != 0 && errno != EEXIST)
        return ib_err_set(err, IB_EFILE, "cannot make the directory `%s': %s", dir, strerror(errno));
    snprintf(path, sizeof path, "%s/data.mdb", dir);
    return stat(path, &st) != 0
               ? 0
               : ib_err_set(err, IB_EEXISTS, "there is a database in `%s' already: choose another directory", dir);
}

int store_create(const struct store_schema *schema, const char *dir, struct store_batch *b, struct ib_err *err)
{
    struct ic_loop *loop = refuse_existing(dir, err) == 0 ? ic_loop_new(err) : NULL;
    struct store *s = loop ? store_open(loop, schema, dir, MAP_SIZE, err) : NULL;
    struct commit c = {.done = false};
    if (s) {
        store_commit(s, b, committed, &c);
        while (!c.done)
            ic_loop_run_once(loop, 100);
        *err = c.err;
    } else {
        store_batch_free(b);
    }
    store_close(s);
    if (loop)
        ic_loop_free(loop);
    return s ? err->code : err->code ? err->code : IB_EINIT;
}
