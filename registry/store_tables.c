/* SPDX-License-Identifier: Apache-2.0 */
/* The database's schema: one LMDB table per enum reg_table, `serials` and `meta`; every value is a checksum and a
   record. Also batches, and the check of a whole database in a process of its own. */
#include "store_priv.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const table_names[REG_DBI_MAX] = {[REG_APPLICATIONS] = "applications",
                                                     [REG_ADAPTERS] = "adapters",
                                                     [REG_OBJECTS] = "objects",
                                                     [REG_NODES] = "nodes",
                                                     [REG_DBI_SERIALS] = "moulin-serials",
                                                     [REG_DBI_META] = "moulin-meta"};

#define SCHEMA "moulin registry 1"

/* --- records: 4 bytes CRC-32 (reflected 0xEDB88320) of key and record, then the record -------------------------------
 */

static uint32_t crc(uint32_t c, const uint8_t *p, size_t n)
{
    static const uint32_t nibble[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
                                        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    for (size_t i = 0; i < n; i++) {
        c = nibble[(c ^ p[i]) & 15] ^ (c >> 4);
        c = nibble[(c ^ (uint32_t)(p[i] >> 4)) & 15] ^ (c >> 4);
    }
    return c;
}

static uint32_t checksum(struct ib_span key, struct ib_span record)
{
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
    uint32_t sum = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    return sum == checksum(*key, *record) ? 0 : IB_EDAMAGED;
}

/* --- errors ----------------------------------------------------------------------------------------------------- */

static int damaged(struct ib_err *err, const char *dir, const char *detail)
{
    return ib_err_set(
        err, IB_EDAMAGED,
        "the database in `%s' is damaged (%s): move the directory away and restore a copy, or start with an "
        "empty one and --initdb-from-replica",
        dir, detail);
}

/* LMDB reports a write cut short by a full file system as an input/output error. */
static bool is_full(const char *dir)
{
    struct statvfs v;
    return statvfs(dir, &v) == 0 && (uint64_t)v.f_bavail * v.f_frsize < 65536;
}

int reg_store_fail(struct ib_err *err, int rc, const char *dir, const char *what)
{
    switch (rc == EIO && is_full(dir) ? ENOSPC : rc) {
    case MDB_CORRUPTED:
    case MDB_INVALID:
    case MDB_PAGE_NOTFOUND:
    case MDB_VERSION_MISMATCH:
        return damaged(err, dir, mdb_strerror(rc));
    case ENOSPC:
    case EDQUOT:
        return ib_err_set(err, IB_EIO, "%s in `%s': no space left: free some on that file system", what, dir);
    case MDB_MAP_FULL:
        return ib_err_set(err, IB_ELIMIT, "%s in `%s': it is full: raise IceGrid.Registry.LMDB.MapSize", what, dir);
    case MDB_PANIC:
        return ib_err_set(err, IB_EIO, "%s in `%s': an earlier write failed: restart the registry", what, dir);
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

static int64_t get_i64(struct ib_span s)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--)
        v = v << 8 | s.p[i];
    return (int64_t)v;
}

static int put_serial(MDB_txn *txn, MDB_dbi dbi, int table, int64_t serial)
{
    uint8_t v[8];
    for (int i = 0; i < 8; i++)
        v[i] = (uint8_t)((uint64_t)serial >> (8 * i));
    return put(txn, dbi, text_span(table_names[table]), (struct ib_span){v, 8});
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

static int read_serials(MDB_txn *txn, const MDB_dbi *dbi, int64_t serial[REG_SERIALS])
{
    for (int t = 0; t < REG_SERIALS; t++) {
        struct ib_span record;
        int rc = get(txn, dbi[REG_DBI_SERIALS], table_names[t], &record);
        if (rc == 0 && (record.n != 8 || get_i64(record) < 1))
            rc = MDB_CORRUPTED;
        if (rc == 0) {
            serial[t] = get_i64(record);
            continue;
        }
        if (rc != MDB_NOTFOUND)
            return rc;
        serial[t] = 1;
        rc = put_serial(txn, dbi[REG_DBI_SERIALS], t, 1);
        if (rc)
            return rc;
    }
    return 0;
}

int reg_store_open_tables(MDB_txn *txn, const char *dir, MDB_dbi dbi[REG_DBI_MAX], int64_t serial[REG_SERIALS],
                          struct ib_err *err)
{
    int rc = mdb_dbi_open(txn, table_names[REG_DBI_META], 0, &dbi[REG_DBI_META]);
    MDB_dbi theirs;
    if (rc == MDB_NOTFOUND && mdb_dbi_open(txn, "serials", 0, &theirs) == 0)
        return ib_err_set(
            err, IB_ECONFIG,
            "the database in `%s' was made by another program: choose an empty directory; its content can be "
            "taken over with --initdb-from-replica",
            dir);
    for (int i = 0; i < REG_DBI_MAX; i++) {
        rc = mdb_dbi_open(txn, table_names[i], MDB_CREATE, &dbi[i]);
        if (rc)
            return reg_store_fail(err, rc, dir, "cannot open the database");
    }
    struct ib_span schema;
    rc = get(txn, dbi[REG_DBI_META], "schema", &schema);
    if (rc == MDB_NOTFOUND)
        rc = put(txn, dbi[REG_DBI_META], text_span("schema"), text_span(SCHEMA));
    else if (rc == 0 && (schema.n != sizeof SCHEMA - 1 || memcmp(schema.p, SCHEMA, schema.n) != 0))
        return ib_err_set(err, IB_ECONFIG,
                          "the database in `%s' has another layout than this version's (%s): use the "
                          "version that made it, or an empty directory",
                          dir, SCHEMA);
    if (rc == 0)
        rc = read_serials(txn, dbi, serial);
    return rc ? reg_store_fail(err, rc, dir, "cannot open the database") : 0;
}

int reg_store_walk(MDB_txn *txn, MDB_dbi dbi, const char *dir,
                   int (*fn)(void *arg, struct ib_span key, struct ib_span value, struct ib_err *err), void *arg,
                   struct ib_err *err)
{
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn, dbi, &cursor);
    if (rc)
        return reg_store_fail(err, rc, dir, "cannot read the database");
    MDB_val k, v;
    int code = 0;
    while (code == 0 && (rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0) {
        struct ib_span key, record;
        code = unpack(&k, &v, &key, &record) ? damaged(err, dir, "a record's checksum is wrong")
                                             : fn(arg, key, record, err);
    }
    mdb_cursor_close(cursor);
    if (code == 0 && rc != MDB_NOTFOUND)
        return reg_store_fail(err, rc, dir, "cannot read the database");
    return code;
}

/* --- the check in a child ----------------------------------------------------------------------------------------- */

static int ignore_record(void *arg, struct ib_span key, struct ib_span value, struct ib_err *err)
{
    (void)arg, (void)key, (void)value, (void)err;
    return 0;
}

static int read_everything(const char *dir)
{
    MDB_env *env;
    MDB_txn *txn;
    if (mdb_env_create(&env) || mdb_env_set_maxdbs(env, REG_DBI_MAX) ||
        mdb_env_open(env, dir, MDB_RDONLY | MDB_NOLOCK, 0640) || mdb_txn_begin(env, NULL, MDB_RDONLY, &txn))
        return 1;
    for (int i = 0; i < REG_DBI_MAX; i++) {
        MDB_dbi dbi;
        int rc = mdb_dbi_open(txn, table_names[i], 0, &dbi);
        if (rc == MDB_NOTFOUND)
            continue;
        if (rc || reg_store_walk(txn, dbi, dir, ignore_record, NULL, NULL))
            return 1;
    }
    return 0;
}

int reg_store_check(const char *dir, struct ib_err *err)
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
        _exit(read_everything(dir));
    }
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return ib_err_set(err, IB_EINIT, "cannot check the database in `%s': %s", dir, strerror(errno));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return damaged(err, dir, WIFEXITED(status) ? "unreadable pages or records" : "its pages are inconsistent");
}

/* --- batches ---------------------------------------------------------------------------------------------------- */

enum { PUT, DEL, CLEAR, SERIAL };

struct reg_batch_op {
    uint8_t kind, table;
    int64_t serial;
    size_t key, key_n, value, value_n; /* in bytes */
};

struct reg_batch *reg_batch_new(void)
{
    struct reg_batch *b = calloc(1, sizeof *b);
    if (b)
        ib_buf_init(&b->bytes);
    return b;
}

void reg_batch_free(struct reg_batch *b)
{
    if (!b)
        return;
    ib_buf_fini(&b->bytes);
    free(b->ops);
    free(b);
}

bool reg_batch_failed(const struct reg_batch *b)
{
    return b->failed || !ib_buf_ok(&b->bytes);
}

static struct reg_batch_op *append(struct reg_batch *b, int kind, int table)
{
    if (b->n == b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 8;
        struct reg_batch_op *ops = realloc(b->ops, cap * sizeof *ops);
        if (!ops) {
            b->failed = true;
            return NULL;
        }
        b->ops = ops;
        b->cap = cap;
    }
    struct reg_batch_op *op = &b->ops[b->n++];
    *op = (struct reg_batch_op){.kind = (uint8_t)kind, .table = (uint8_t)table};
    return op;
}

static void append_bytes(struct reg_batch *b, int kind, int table, struct ib_span key, struct ib_span value)
{
    struct reg_batch_op *op = append(b, kind, table);
    if (!op)
        return;
    op->key = b->bytes.n;
    op->key_n = key.n;
    ib_buf_put(&b->bytes, key.p, key.n);
    op->value = b->bytes.n;
    op->value_n = value.n;
    ib_buf_put(&b->bytes, value.p, value.n);
}

void reg_batch_put(struct reg_batch *b, enum reg_table table, struct ib_span key, struct ib_span value)
{
    append_bytes(b, PUT, table, key, value);
}

void reg_batch_del(struct reg_batch *b, enum reg_table table, struct ib_span key)
{
    append_bytes(b, DEL, table, key, (struct ib_span){NULL, 0});
}

void reg_batch_clear(struct reg_batch *b, enum reg_table table)
{
    append(b, CLEAR, table);
}

void reg_batch_serial(struct reg_batch *b, enum reg_table table, int64_t serial)
{
    struct reg_batch_op *op = append(b, SERIAL, table);
    if (op)
        op->serial = serial;
}

int reg_batch_write(const struct reg_batch *b, MDB_txn *txn, const MDB_dbi dbi[REG_DBI_MAX])
{
    for (size_t i = 0; i < b->n; i++) {
        const struct reg_batch_op *op = &b->ops[i];
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
        case CLEAR:
            rc = mdb_drop(txn, dbi[op->table], 0);
            break;
        default:
            rc = put_serial(txn, dbi[REG_DBI_SERIALS], op->table, op->serial);
            break;
        }
        if (rc)
            return rc;
    }
    return 0;
}
