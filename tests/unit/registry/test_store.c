/* SPDX-License-Identifier: Apache-2.0 */
/* The database: what was committed is there after a reopen, what is damaged or foreign or taken is refused in words. */
#include <test.h>

#include <fcntl.h>
#include <ftw.h>
#include <lmdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <moulin/net/loop.h>

#include "store.h"

struct fx {
    struct ic_loop *loop;
    struct reg_store *store;
    char dir[64];
    int done, code;
};

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static int setup_in(void **state, const char *dir)
{
    struct fx *f = calloc(1, sizeof *f);
    strcpy(f->dir, dir);
    f->loop = ic_loop_new(NULL);
    *state = f;
    return f->loop && mkdtemp(f->dir) ? 0 : -1;
}

static int setup(void **state)
{
    return setup_in(state, "/tmp/moulin-store-XXXXXX");
}

static int setup_in_memory(void **state)
{
    return setup_in(state, "/dev/shm/moulin-store-XXXXXX");
}

static void close_store(struct fx *f)
{
    reg_store_close(f->store);
    f->store = NULL;
}

static int teardown(void **state)
{
    struct fx *f = *state;
    close_store(f);
    ic_loop_free(f->loop);
    nftw(f->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

static void open_sized(struct fx *f, size_t size)
{
    struct ib_err err = {0};
    f->store = reg_store_open(f->loop, f->dir, size, &err);
    if (!f->store)
        fail_msg("%s", err.text);
}

static void open_store(struct fx *f)
{
    open_sized(f, 1 << 20);
}

static void on_done(void *arg, int code, const struct ib_err *err)
{
    struct fx *f = arg;
    (void)err;
    f->done++;
    f->code = code;
}

static void run(struct fx *f, struct store_batch *b)
{
    f->done = 0;
    reg_store_commit(f->store, b, on_done, f);
    while (!f->done)
        ic_loop_run_once(f->loop, 1000);
}

static void commit(struct fx *f, struct store_batch *b)
{
    run(f, b);
    assert_int_equal(f->code, 0);
}

static struct ib_span text(const char *s)
{
    return (struct ib_span){(const uint8_t *)s, strlen(s)};
}

static int gather(void *arg, struct ib_span key, struct ib_span value, struct ib_err *err)
{
    char *out = arg;
    (void)err;
    sprintf(out + strlen(out), "%.*s=%.*s;", (int)key.n, (const char *)key.p, (int)value.n, (const char *)value.p);
    return 0;
}

static void expect(struct fx *f, enum reg_table table, const char *content)
{
    char out[256] = "";
    assert_int_equal(reg_store_each(f->store, table, gather, out, NULL), 0);
    assert_string_equal(out, content);
}

static void test_content_survives(void **state)
{
    struct fx *f = *state;
    open_store(f);
    assert_int_equal(reg_store_serial(f->store, REG_ADAPTERS), 1);
    struct store_batch *b = store_batch_new();
    store_batch_put(b, REG_OBJECTS, text("b"), text("2"));
    store_batch_put(b, REG_OBJECTS, text("a"), text("1"));
    store_batch_put(b, REG_ADAPTERS, text("x"), text(""));
    store_batch_del(b, REG_ADAPTERS, text("absent"));
    reg_batch_serial(b, REG_OBJECTS, 77, 77);
    reg_batch_serial(b, REG_APPLICATIONS, 9, 7);
    commit(f, b);
    close_store(f);
    open_store(f);
    expect(f, REG_OBJECTS, "a=1;b=2;");
    expect(f, REG_ADAPTERS, "x=;");
    assert_int_equal(reg_store_serial(f->store, REG_OBJECTS), 77);
    assert_int_equal(reg_store_settled(f->store, REG_OBJECTS), 77);
    assert_int_equal(reg_store_serial(f->store, REG_APPLICATIONS), 9);
    assert_int_equal(reg_store_settled(f->store, REG_APPLICATIONS), 7);
    assert_int_equal(reg_store_serial(f->store, REG_ADAPTERS), 1);
    assert_int_equal(reg_store_settled(f->store, REG_ADAPTERS), 1);
    b = store_batch_new();
    store_batch_clear(b, REG_OBJECTS);
    store_batch_put(b, REG_OBJECTS, text("c"), text("3"));
    store_batch_del(b, REG_ADAPTERS, text("x"));
    commit(f, b);
    close_store(f);
    open_store(f);
    expect(f, REG_OBJECTS, "c=3;");
    expect(f, REG_ADAPTERS, "");
}

static void test_map_grows(void **state)
{
    struct fx *f = *state;
    open_sized(f, 1 << 18);
    char *big = malloc(1 << 20);
    memset(big, 'z', 1 << 20);
    struct store_batch *b = store_batch_new();
    store_batch_put(b, REG_OBJECTS, text("big"), (struct ib_span){(uint8_t *)big, 1 << 20});
    store_batch_put(b, REG_ADAPTERS, text("k"), text("v"));
    commit(f, b);
    free(big);
    close_store(f);
    open_sized(f, 1 << 18);
    expect(f, REG_ADAPTERS, "k=v;");
}

static char *data_path(struct fx *f)
{
    static char path[96];
    snprintf(path, sizeof path, "%s/data.mdb", f->dir);
    return path;
}

static void fill(struct fx *f)
{
    open_store(f);
    struct store_batch *b = store_batch_new();
    for (int i = 0; i < 400; i++) {
        char key[16];
        snprintf(key, sizeof key, "key-%03d", i);
        store_batch_put(b, REG_OBJECTS, text(key), text("NEEDLE-in-a-record"));
    }
    commit(f, b);
    close_store(f);
}

/* A write that fails leaves everything as it was, and the next one may succeed. */
static void test_failed_write(void **state)
{
    struct fx *f = *state;
    fill(f);
    open_sized(f, 8 << 20);
    struct stat st;
    struct rlimit old, tight;
    assert_int_equal(stat(data_path(f), &st), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    tight = (struct rlimit){(rlim_t)st.st_size, old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    char *big = calloc(1, 1 << 20);
    struct store_batch *b = store_batch_new();
    store_batch_put(b, REG_ADAPTERS, text("big"), (struct ib_span){(uint8_t *)big, 1 << 20});
    reg_batch_serial(b, REG_ADAPTERS, 9, 9);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    run(f, b);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_true(f->code < 0);
    b = store_batch_new();
    store_batch_put(b, REG_ADAPTERS, text("small"), text("1"));
    commit(f, b);
    free(big);
    close_store(f);
    open_store(f);
    expect(f, REG_ADAPTERS, "small=1;");
    assert_int_equal(reg_store_serial(f->store, REG_ADAPTERS), 1);
}

static void refused(struct fx *f, int code, const char *what)
{
    struct ib_err err = {0};
    struct reg_store *s = reg_store_open(f->loop, f->dir, 1 << 20, &err);
    assert_null(s);
    assert_int_equal(err.code, code);
    assert_non_null(strstr(err.text, what));
    assert_non_null(strstr(err.text, f->dir));
    assert_null(strchr(err.text, '\n'));
}

static void test_taken(void **state)
{
    struct fx *f = *state;
    open_store(f);
    refused(f, IB_ECONFIG, "in use by another process");
    expect(f, REG_OBJECTS, "");
}

static void test_flipped_bit(void **state)
{
    struct fx *f = *state;
    fill(f);
    int fd = open(data_path(f), O_RDWR);
    char *all = malloc(1 << 20);
    ssize_t n = pread(fd, all, 1 << 20, 0);
    assert_true(n > 0);
    /* Pages that split leave copies behind: all of them. */
    int found = 0;
    for (char *at = all; (at = memmem(at, (size_t)(all + n - at), "NEEDLE", 6)) != NULL; at++, found++)
        assert_int_equal(pwrite(fd, "n", 1, at - all), 1);
    assert_true(found >= 400);
    close(fd);
    free(all);
    refused(f, IB_EDAMAGED, "is damaged");
}

static void test_truncated(void **state)
{
    struct fx *f = *state;
    fill(f);
    struct stat st;
    assert_int_equal(stat(data_path(f), &st), 0);
    assert_int_equal(truncate(data_path(f), st.st_size / 2), 0);
    refused(f, IB_EDAMAGED, "is damaged");
}

static void test_garbage(void **state)
{
    struct fx *f = *state;
    int fd = open(data_path(f), O_RDWR | O_CREAT, 0600);
    char junk[16384];
    memset(junk, 0x5a, sizeof junk);
    assert_int_equal(write(fd, junk, sizeof junk), sizeof junk);
    close(fd);
    refused(f, IB_EDAMAGED, "is damaged");
}

/* Every page in turn is overwritten: the file is refused or read, and this process lives. */
static void test_each_page(void **state)
{
    struct fx *f = *state;
    fill(f);
    struct stat st;
    assert_int_equal(stat(data_path(f), &st), 0);
    int seen = 0;
    for (off_t at = 0; at + 4096 <= st.st_size; at += 4096) {
        char saved[4096], junk[4096];
        memset(junk, 0xff, sizeof junk);
        int fd = open(data_path(f), O_RDWR);
        assert_int_equal(pread(fd, saved, sizeof saved, at), sizeof saved);
        assert_int_equal(pwrite(fd, junk, sizeof junk, at), sizeof junk);
        struct ib_err err = {0};
        f->store = reg_store_open(f->loop, f->dir, 1 << 20, &err);
        seen += f->store == NULL;
        assert_true(f->store || err.code == IB_EDAMAGED);
        close_store(f);
        assert_int_equal(pwrite(fd, saved, sizeof saved, at), sizeof saved);
        close(fd);
    }
    assert_true(seen > 2);
}

/* --- in memory --- */

static struct store_batch *one(const char *key, size_t value_n)
{
    static uint8_t value[200000];
    struct store_batch *b = store_batch_new();
    store_batch_put(b, REG_OBJECTS, text(key), (struct ib_span){value, value_n});
    return b;
}

/* By the loop itself, in its next round, without the thread; but never from inside. */
static void test_in_place(void **state)
{
    struct fx *f = *state;
    open_sized(f, 1 << 24);
    for (int i = 0; i < 50; i++) {
        char key[8];
        snprintf(key, sizeof key, "%d", i);
        f->done = 0;
        reg_store_commit_in_place(f->store, one(key, 3), on_done, f);
        assert_int_equal(f->done, 0);
        ic_loop_run_once(f->loop, 0);
        assert_int_equal(f->done, 1);
        assert_int_equal(f->code, 0);
    }
}

static int count(void *arg, struct ib_span key, struct ib_span value, struct ib_err *err)
{
    (void)key, (void)value, (void)err;
    ++*(int *)arg;
    return 0;
}

static int n_objects(struct fx *f)
{
    int n = 0;
    assert_int_equal(reg_store_each(f->store, REG_OBJECTS, count, &n, NULL), 0);
    return n;
}

struct told {
    struct fx *f;
    int place;
};

static void in_its_place(void *arg, int code, const struct ib_err *err)
{
    struct told *t = arg;
    (void)err;
    assert_int_equal(code, 0);
    assert_int_equal(t->f->done++, t->place);
}

/* What is large, or clears a table, is the thread's: the loop does not stand still for it. Order holds. */
static void test_in_place_or_not(void **state)
{
    struct fx *f = *state;
    open_sized(f, 1 << 24);
    for (int i = 0; i < 20; i++) {
        struct told told[] = {{f, 0}, {f, 1}, {f, 2}};
        f->done = 0;
        reg_store_commit_in_place(f->store, one("a", 3), in_its_place, &told[0]);
        reg_store_commit_in_place(f->store, one("b", 200000), in_its_place, &told[1]);
        reg_store_commit_in_place(f->store, one("c", 3), in_its_place, &told[2]);
        while (f->done < 3)
            ic_loop_run_once(f->loop, 1000);
    }
    struct store_batch *clear = store_batch_new();
    store_batch_clear(clear, REG_OBJECTS);
    f->done = 0;
    reg_store_commit_in_place(f->store, clear, on_done, f);
    while (!f->done)
        ic_loop_run_once(f->loop, 1000);
    close_store(f);
    open_sized(f, 1 << 24);
    assert_int_equal(n_objects(f), 0);
}

/* Closing finishes what was submitted, and tells nobody. */
static void test_in_place_closed(void **state)
{
    struct fx *f = *state;
    open_store(f);
    reg_store_commit_in_place(f->store, one("a", 3), on_done, f);
    reg_store_commit_in_place(f->store, one("b", 3), on_done, f);
    close_store(f);
    ic_loop_run_once(f->loop, 0);
    assert_int_equal(f->done, 0);
    open_store(f);
    assert_int_equal(n_objects(f), 2);
}

static void test_foreign(void **state)
{
    struct fx *f = *state;
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    assert_int_equal(mdb_env_create(&env), 0);
    mdb_env_set_maxdbs(env, 8);
    assert_int_equal(mdb_env_open(env, f->dir, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "serials", MDB_CREATE, &dbi), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    refused(f, IB_ECONFIG, "made by another program");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_content_survives, setup, teardown),
        cmocka_unit_test_setup_teardown(test_map_grows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failed_write, setup, teardown),
        cmocka_unit_test_setup_teardown(test_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flipped_bit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_truncated, setup, teardown),
        cmocka_unit_test_setup_teardown(test_garbage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_each_page, setup, teardown),
        cmocka_unit_test_setup_teardown(test_foreign, setup, teardown),
        cmocka_unit_test_setup_teardown(test_in_place, setup_in_memory, teardown),
        cmocka_unit_test_setup_teardown(test_in_place_or_not, setup_in_memory, teardown),
        cmocka_unit_test_setup_teardown(test_in_place_or_not, setup, teardown),
        cmocka_unit_test_setup_teardown(test_in_place_closed, setup_in_memory, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
