/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of a database: one of LMDB's for each of the schema's; every value is a checksum and a record. Also batches,
 * and the check of a whole database in a process of its own. */
#include "store_priv.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- records: 4 bytes CRC-32 (reflected 0xEDB88320) of key and record, then the record -------------------------------
 */

/* Eight bytes at a time: the n-th table says what a byte does that is followed by n others. Made before the first use.
 */
static uint32_t crc_tables[8][256];

static void make_crc_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1;
        crc_tables[0][i] = c;
    }
    for (int t = 1; t < 8; t++)
        for (int i = 0; i < 256; i++)
            crc_tables[t][i] = crc_tables[t - 1][i] >> 8 ^ crc_tables[0][crc_tables[t - 1][i] & 255];
}

static uint32_t little(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t crc(uint32_t c, const uint8_t *p, size_t n)
{
    for (; n >= 8; n -= 8, p += 8) {
        uint32_t a = little(p) ^ c, b = little(p + 4);
        c = crc_tables[7][a & 255] ^ crc_tables[6][a >> 8 & 255] ^ crc_tables[5][a >> 16 & 255] ^
            crc_tables[4][a >> 24] ^ crc_tables[3][b & 255] ^ crc_tables[2][b >> 8 & 255] ^
            crc_tables[1][b >> 16 & 255] ^ crc_tables[0][b >> 24];
    }
    for (; n; n--, p++)
        c = c >> 8 ^ crc_tables[0][(c ^ *p) & 255];
    return c;
}

static uint32_t checksum(struct ib_span key, struct ib_span record)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_crc_tables);
    return ~crc(crc(~0u, key.p, key.n), record.p, record.n);
}

static int put(MDB_txn *txn, MDB_dbi dbi, struct ib_span key, struct ib_span record)
{
    union {
        const uint8_t *c;
        void *v;
    } k = {.c = key.p}; /* LMDB only reads the key */
    MDB_val mk = {key.n, k.v}, mv = {record.n + 4, NULL};
    int rc = mdb_put(txn, dbi, &mk, &mv, MDB_RESERVE);
    if (rc)
        return rc;
    uint32_t sum = checksum(key, record);
    uint8_t *p = mv.mv_data;
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(sum >> (8 * i));
    if (record.n)
        memcpy(p + 4, record.p, record.n);
    return 0;
}

static int unpack(const MDB_val *k, const MDB_val *v, struct ib_span *key, struct ib_span *record)
{
    const uint8_t *p = v->mv_data;
    if (v->mv_size < 4)
        return IB_EDAMAGED;
    *key = (struct ib_span){k->mv_data, k->mv_size};
    *record = (struct ib_span){p + 4, v->mv_size - 4};
    return little(p) == checksum(*key, *record) ? 0 : IB_EDAMAGED;
}

/* --- errors ----------------------------------------------------------------------------------------------------- */

static int damaged(const struct store_schema *schema, struct ib_err *err, const char *dir, const char *detail)
{
    return ib_err_set(err, IB_EDAMAGED, "the database in `%s' is damaged (%s): move the directory away and %s", dir,
                      detail, schema->damage_text);
}

/* LMDB reports a write cut short by a full file system as an input/output error. */
static bool is_full(const char *dir)
{
    struct statvfs v;
    return statvfs(dir, &v) == 0 && (uint64_t)v.f_bavail * v.f_frsize < 65536;
}

int store_fail(const struct store_schema *schema, struct ib_err *err, int rc, const char *dir, const char *what)
{
    switch (rc == EIO && is_full(dir) ? ENOSPC : rc) {
    case MDB_CORRUPTED:
    case MDB_INVALID:
    case MDB_PAGE_NOTFOUND:
    case MDB_VERSION_MISMATCH:
        return damaged(schema, err, dir, mdb_strerror(rc));
    case ENOSPC:
    case EDQUOT:
        return ib_err_set(err, IB_EIO, "%s in `%s': no space left: free some on that file system", what, dir);
    case MDB_MAP_FULL:
        return ib_err_set(err, IB_ELIMIT, "%s in `%s': it is full: raise %s", what, dir, schema->size_property);
    case MDB_PANIC:
        return ib_err_set(err, IB_EIO, "%s in `%s': an earlier write failed: restart the %s", what, dir, schema->user);
    case ENOMEM:
        return ib_err_set(err, IB_ENOMEM, "%s in `%s': out of memory", what, dir);
    default:
        return ib_err_set(err, IB_EIO, "%s in `%s': %s", what, dir, mdb_strerror(rc));
    }
}

/* --- tables ----------------------------------------------------------------------------------------------------- */

static struct ib_span text_span(const char *s)
{
    union {
        const char *c;
        const uint8_t *u;
    } x = {.c = s};
    return (struct ib_span){x.u, strlen(s)};
}

static int get(MDB_txn *txn, MDB_dbi dbi, const char *name, struct ib_span *record)
{
    union {
        const char *c;
        void *v;
    } k = {.c = name};
    MDB_val mk = {strlen(name), k.v}, mv;
    int rc = mdb_get(txn, dbi, &mk, &mv);
    if (rc)
        return rc;
    struct ib_span key;
    return unpack(&mk, &mv, &key, record) ? MDB_CORRUPTED : 0;
}

static size_t notes_of(const struct store_schema *schema)
{
    return schema->n_tables - 1;
}

static int check_schema(MDB_txn *txn, const struct store_schema *schema, const char *dir, MDB_dbi notes,
                        struct ib_err *err)
{
    struct ib_span found, own = text_span(schema->name);
    int rc = get(txn, notes, "schema", &found);
    if (rc == MDB_NOTFOUND)
        rc = put(txn, notes, text_span("schema"), own);
    else if (rc == 0 && (found.n != own.n || memcmp(found.p, own.p, own.n) != 0))
        return ib_err_set(err, IB_ECONFIG,
                          "the database in `%s' has another layout than this version's (%s): use the "
                          "version that made it, or an empty directory",
                          dir, schema->name);
    return rc ? store_fail(schema, err, rc, dir, "cannot open the database") : 0;
}

int store_open_tables(MDB_txn *txn, const struct store_schema *schema, const char *dir, MDB_dbi dbi[STORE_TABLES_MAX],
                      struct ib_err *err)
{
    size_t notes = notes_of(schema);
    int rc = mdb_dbi_open(txn, schema->tables[notes], 0, &dbi[notes]);
    MDB_dbi theirs;
    if (rc == MDB_NOTFOUND && mdb_dbi_open(txn, schema->foreign, 0, &theirs) == 0)
        return ib_err_set(err, IB_ECONFIG, "the database in `%s' was made by another program: %s", dir,
                          schema->foreign_text);
    for (size_t i = 0; i < schema->n_tables; i++) {
        rc = mdb_dbi_open(txn, schema->tables[i], MDB_CREATE, &dbi[i]);
        if (rc)
            return store_fail(schema, err, rc, dir, "cannot open the database");
    }
    return check_schema(txn, schema, dir, dbi[notes], err);
}

int store_walk(MDB_txn *txn, MDB_dbi dbi, const struct store_schema *schema, const char *dir, store_record_fn fn,
               void *arg, struct ib_err *err)
{
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn, dbi, &cursor);
    if (rc)
        return store_fail(schema, err, rc, dir, "cannot read the database");
    MDB_val k, v;
    int code = 0;
    while (code == 0 && (rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0) {
        struct ib_span key, record;
        code = unpack(&k, &v, &key, &record) ? damaged(schema, err, dir, "a record's checksum is wrong")
                                             : fn(arg, key, record, err);
    }
    mdb_cursor_close(cursor);
    if (code == 0 && rc != MDB_NOTFOUND)
        return store_fail(schema, err, rc, dir, "cannot read the database");
    return code;
}

/* --- the check in a child ----------------------------------------------------------------------------------------- */

static int ignore_record(void *arg, struct ib_span key, struct ib_span value, struct ib_err *err)
{
    (void)arg, (void)key, (void)value, (void)err;
    return 0;
}

static int read_tables(const struct store_schema *schema, const char *dir, MDB_txn *txn)
{
    MDB_dbi meta;
    if (mdb_dbi_open(txn, schema->tables[notes_of(schema)], 0, &meta) == MDB_NOTFOUND)
        return 0; /* new, or another program's */
    for (size_t i = 0; i < schema->n_tables; i++) {
        MDB_dbi dbi;
        int rc = mdb_dbi_open(txn, schema->tables[i], 0, &dbi);
        if (rc == MDB_NOTFOUND)
            continue;
        if (rc || store_walk(txn, dbi, schema, dir, ignore_record, NULL, NULL))
            return 1;
    }
    return 0;
}

/* A database that is written meanwhile keeps its pages only for readers it knows: those in its lock file. A copy has
   none, and gets none from us. */
static unsigned reader_flags(const char *dir)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/lock.mdb", dir);
    return MDB_RDONLY | (access(path, R_OK | W_OK) == 0 ? 0U : (unsigned)MDB_NOLOCK);
}

static int read_everything(const struct store_schema *schema, const char *dir)
{
    MDB_env *env;
    MDB_txn *txn = NULL;
    int rc = 1;
    if (mdb_env_create(&env))
        return rc;
    if (mdb_env_set_maxdbs(env, (MDB_dbi)schema->n_tables) == 0 &&
        mdb_env_open(env, dir, reader_flags(dir), 0640) == 0 && mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) == 0) {
        rc = read_tables(schema, dir, txn);
        mdb_txn_abort(txn);
    }
    mdb_env_close(env);
    return rc;
}

int store_check(const struct store_schema *schema, const char *dir, struct ib_err *err)
{
    char path[4200];
    struct stat st;
    snprintf(path, sizeof path, "%s/data.mdb", dir);
    if (stat(path, &st) != 0 || st.st_size == 0)
        return 0;
    pid_t pid = fork();
    if (pid < 0)
        return ib_err_set(err, IB_EINIT, "cannot check the database in `%s': %s", dir, strerror(errno));
    if (pid == 0) {
        signal(SIGBUS, SIG_DFL);
        signal(SIGSEGV, SIG_DFL);
        signal(SIGABRT, SIG_DFL);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        if (!freopen("/dev/null", "w", stderr))
            _exit(1);
        _exit(read_everything(schema, dir));
    }
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return ib_err_set(err, IB_EINIT, "cannot check the database in `%s': %s", dir, strerror(errno));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return damaged(schema, err, dir, WIFEXITED(status) ? "unreadable pages or records" : "its pages are inconsistent");
}

/* --- batches ---------------------------------------------------------------------------------------------------- */

enum { PUT, DEL, CLEAR };

#define SMALL_OPS 64
#define SMALL_BYTES 65536

struct store_batch_op {
    uint8_t kind, table;
    size_t key, key_n, value, value_n; /* in bytes */
};

struct store_batch *store_batch_new(void)
{
    struct store_batch *b = calloc(1, sizeof *b);
    if (b)
        ib_buf_init(&b->bytes);
    return b;
}

void store_batch_free(struct store_batch *b)
{
    if (!b)
        return;
    ib_buf_fini(&b->bytes);
    free(b->ops);
    free(b);
}

bool store_batch_failed(const struct store_batch *b)
{
    return b->failed || !ib_buf_ok(&b->bytes);
}

bool store_batch_is_small(const struct store_batch *b)
{
    bool small = b->n <= SMALL_OPS && b->bytes.n <= SMALL_BYTES;
    for (size_t i = 0; small && i < b->n; i++)
        small = b->ops[i].kind != CLEAR;
    return small;
}

static struct store_batch_op *append(struct store_batch *b, int kind, int table)
{
    if (b->n == b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 8;
        struct store_batch_op *ops = realloc(b->ops, cap * sizeof *ops);
        if (!ops) {
            b->failed = true;
            return NULL;
        }
        b->ops = ops;
        b->cap = cap;
    }
    struct store_batch_op *op = &b->ops[b->n++];
    *op = (struct store_batch_op){.kind = (uint8_t)kind, .table = (uint8_t)table};
    return op;
}

static void append_bytes(struct store_batch *b, int kind, int table, struct ib_span key, struct ib_span value)
{
    struct store_batch_op *op = append(b, kind, table);
    if (!op)
        return;
    op->key = b->bytes.n;
    op->key_n = key.n;
    ib_buf_put(&b->bytes, key.p, key.n);
    op->value = b->bytes.n;
    op->value_n = value.n;
    ib_buf_put(&b->bytes, value.p, value.n);
}

void store_batch_put(struct store_batch *b, int table, struct ib_span key, struct ib_span value)
{
    append_bytes(b, PUT, table, key, value);
}

void store_batch_del(struct store_batch *b, int table, struct ib_span key)
{
    append_bytes(b, DEL, table, key, (struct ib_span){NULL, 0});
}

void store_batch_clear(struct store_batch *b, int table)
{
    append(b, CLEAR, table);
}

int store_batch_write(const struct store_batch *b, MDB_txn *txn, const MDB_dbi dbi[STORE_TABLES_MAX])
{
    for (size_t i = 0; i < b->n; i++) {
        const struct store_batch_op *op = &b->ops[i];
        struct ib_span key = {b->bytes.p + op->key, op->key_n}, value = {b->bytes.p + op->value, op->value_n};
        int rc = 0;
        switch (op->kind) {
        case PUT:
            rc = put(txn, dbi[op->table], key, value);
            break;
        case DEL: {
            MDB_val mk = {key.n, b->bytes.p + op->key};
            rc = mdb_del(txn, dbi[op->table], &mk, NULL);
            if (rc == MDB_NOTFOUND)
                rc = 0;
            break;
        }
        default:
            rc = mdb_drop(txn, dbi[op->table], 0);
            break;
        }
        if (rc)
            return rc;
    }
    return 0;
}
