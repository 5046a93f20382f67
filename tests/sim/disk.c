/* SPDX-License-Identifier: Apache-2.0 */
/* The registry's database on simulated disks. Replaces registry/store.c and the store behind registry/store.h.
   Batches are written in order, whole or not at all, as LMDB does; each takes its time, and a crash decides how many
   of those under way are there. */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <moulin/base/list.h>
#include <moulin/net/loop.h>

#include "store.h"

#define DISKS_MAX 8
#define FAST_US 300
#define USUAL_US 3000
#define SLOW_US 4000000

enum op_kind { PUT, DEL, CLEAR, SERIAL, REPLICA };

struct op {
    enum op_kind kind;
    int table;
    int64_t serial, settled;
    uint8_t *key, *value; /* own */
    size_t nk, nv;
};

struct store_batch {
    struct op *ops; /* owns */
    size_t n, cap;
    struct ib_list node;
    void (*done)(void *arg, int code, const struct ib_err *err);
    void *arg;
    int64_t at; /* on the platter */
    bool failed; /* there was no room */
    bool told; /* planted: done was called before */
};

struct reg_store {
    struct ic_loop *loop;
    struct sim_proc *proc;
    struct sim_disk *disk; /* NULL: crashed */
    struct ib_list todo; /* struct store_batch, oldest first */
    int64_t last;
    struct ib_list finished; /* written; their owner is to be told */
    struct ic_post wake;
    bool posted, closed;
    int64_t serial[SIM_TABLES], settled[SIM_TABLES];
    char replica[64];
};

static struct sim_disk *disks[DISKS_MAX];

/* --- rows ------------------------------------------------------------------------------------------------------- */

static int compare(const struct sim_row *r, const void *key, size_t nk)
{
    int c = memcmp(r->key, key, r->nk < nk ? r->nk : nk);
    return c ? c : (r->nk > nk) - (r->nk < nk);
}

static size_t place(const struct sim_disk *d, int table, const void *key, size_t nk, bool *there)
{
    size_t low = 0, high = d->n[table];
    while (low < high) {
        size_t mid = (low + high) / 2;
        int c = compare(&d->rows[table][mid], key, nk);
        if (c == 0) {
            *there = true;
            return mid;
        }
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *there = false;
    return low;
}

const struct sim_row *sim_disk_find(const struct sim_disk *d, int table, const void *key, size_t nk)
{
    bool there;
    size_t i = place(d, table, key, nk, &there);
    return there ? &d->rows[table][i] : NULL;
}

static void *copy(const void *p, size_t n)
{
    void *to = malloc(n + 1);
    if (!to)
        sim_fail("out of memory");
    if (n)
        memcpy(to, p, n);
    return to;
}

static void put_row(struct sim_disk *d, const struct op *o)
{
    bool there;
    size_t i = place(d, o->table, o->key, o->nk, &there);
    struct sim_row *rows = d->rows[o->table];
    if (there) {
        free(rows[i].value);
    } else {
        if (d->n[o->table] == d->cap[o->table]) {
            d->cap[o->table] = d->cap[o->table] * 2 + 16;
            rows = d->rows[o->table] = realloc(rows, d->cap[o->table] * sizeof *rows);
            if (!rows)
                sim_fail("out of memory");
        }
        memmove(&rows[i + 1], &rows[i], (d->n[o->table]++ - i) * sizeof *rows);
        rows[i] = (struct sim_row){.key = copy(o->key, o->nk), .nk = o->nk};
    }
    rows[i].value = copy(o->value, o->nv);
    rows[i].nv = o->nv;
}

static void drop_row(struct sim_disk *d, int table, size_t i)
{
    struct sim_row *rows = d->rows[table];
    free(rows[i].key);
    free(rows[i].value);
    memmove(&rows[i], &rows[i + 1], (--d->n[table] - i) * sizeof *rows);
}

static void clear(struct sim_disk *d, int table)
{
    while (d->n[table])
        drop_row(d, table, d->n[table] - 1);
}

static void run_op(struct sim_disk *d, const struct op *o)
{
    bool there;
    size_t i;
    switch (o->kind) {
    case PUT:
        put_row(d, o);
        break;
    case DEL:
        i = place(d, o->table, o->key, o->nk, &there);
        if (there)
            drop_row(d, o->table, i);
        break;
    case CLEAR:
        clear(d, o->table);
        break;
    case SERIAL:
        d->serial[o->table] = o->serial;
        d->settled[o->table] = o->settled;
        if (sim_plant == SIM_PLANT_SERIAL && d->commits % 50 == 49)
            d->serial[o->table] -= 2;
        break;
    case REPLICA:
        snprintf(d->replica, sizeof d->replica, "%.*s", (int)o->nk, (const char *)o->key);
        break;
    }
}

/* --- batches ---------------------------------------------------------------------------------------------------- */

struct store_batch *store_batch_new(void)
{
    struct store_batch *b = calloc(1, sizeof *b);
    if (b)
        ib_list_init(&b->node);
    return b;
}

void store_batch_free(struct store_batch *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < b->n; i++) {
        free(b->ops[i].key);
        free(b->ops[i].value);
    }
    free(b->ops);
    free(b);
}

static void append(struct store_batch *b, struct op o, struct ib_span key, struct ib_span value)
{
    if (b->n == b->cap) {
        b->cap = b->cap * 2 + 8;
        b->ops = realloc(b->ops, b->cap * sizeof *b->ops);
        if (!b->ops)
            sim_fail("out of memory");
    }
    o.key = copy(key.p, key.n);
    o.nk = key.n;
    o.value = copy(value.p, value.n);
    o.nv = value.n;
    b->ops[b->n++] = o;
}

void store_batch_put(struct store_batch *b, int table, struct ib_span key, struct ib_span value)
{
    append(b, (struct op){.kind = PUT, .table = table}, key, value);
}

void store_batch_del(struct store_batch *b, int table, struct ib_span key)
{
    append(b, (struct op){.kind = DEL, .table = table}, key, (struct ib_span){0});
}

void store_batch_clear(struct store_batch *b, int table)
{
    append(b, (struct op){.kind = CLEAR, .table = table}, (struct ib_span){0}, (struct ib_span){0});
}

void reg_batch_serial(struct store_batch *b, enum reg_table table, int64_t serial, int64_t settled)
{
    if (sim_plant == SIM_PLANT_SETTLED)
        settled = serial;
    append(b, (struct op){.kind = SERIAL, .table = (int)table, .serial = serial, .settled = settled},
           (struct ib_span){0}, (struct ib_span){0});
}

void reg_batch_replica(struct store_batch *b, struct ib_str name)
{
    append(b, (struct op){.kind = REPLICA}, (struct ib_span){(const uint8_t *)name.p, name.n}, (struct ib_span){0});
}

/* --- writing ---------------------------------------------------------------------------------------------------- */

static void tell(void *arg)
{
    struct reg_store *s = arg;
    s->posted = false;
    while (!ib_list_empty(&s->finished)) {
        struct store_batch *b = IB_CONTAINER(s->finished.next, struct store_batch, node);
        ib_list_remove(&b->node);
        struct ib_err err = {0};
        int code = b->failed ? ib_err_set(&err, IB_EIO, "no space left") : 0;
        if (!s->closed && b->done)
            b->done(b->arg, code, &err);
        store_batch_free(b);
    }
    if (s->closed)
        free(s);
}

static void post(struct reg_store *s)
{
    if (s->posted)
        return;
    s->posted = true;
    ic_loop_post_embedded(s->loop, &s->wake, tell, s);
}

static void write_batch(struct sim_disk *d, const struct store_batch *b, size_t n_ops)
{
    for (size_t i = 0; i < n_ops; i++)
        run_op(d, &b->ops[i]);
    d->commits++;
}

static struct store_batch *first(const struct reg_store *s)
{
    return ib_list_empty(&s->todo) ? NULL : IB_CONTAINER(s->todo.next, struct store_batch, node);
}

static void finish_first(struct reg_store *s)
{
    struct store_batch *b = first(s);
    b->failed = s->disk->full_until > sim_now && !b->told;
    if (!b->failed)
        write_batch(s->disk, b, b->n);
    ib_list_remove(&b->node);
    if (b->told) {
        store_batch_free(b);
        return;
    }
    ib_list_append(&s->finished, &b->node);
    post(s);
}

void reg_store_commit(struct reg_store *s, struct store_batch *b,
                      void (*done)(void *arg, int code, const struct ib_err *err), void *arg)
{
    b->done = done;
    b->arg = arg;
    if (!s->disk) { /* crashed: nobody will ever hear of it */
        store_batch_free(b);
        return;
    }
    b->at = sim_now + (s->disk->slow_until > sim_now ? sim_between(USUAL_US, SLOW_US) : sim_between(FAST_US, USUAL_US));
    if (b->at < s->last)
        b->at = s->last;
    s->last = b->at;
    ib_list_append(&s->todo, &b->node);
    if (sim_plant != SIM_PLANT_EARLY)
        return;
    b->told = true;
    struct store_batch *early = store_batch_new();
    early->done = done;
    early->arg = arg;
    ib_list_append(&s->finished, &early->node);
    post(s);
}

int64_t sim_disks_next(void)
{
    int64_t next = INT64_MAX;
    for (int i = 0; i < DISKS_MAX; i++) {
        const struct store_batch *b = disks[i] && disks[i]->open ? first(disks[i]->open) : NULL;
        if (b && disks[i]->open->proc->frozen_until <= sim_now && b->at < next)
            next = b->at;
    }
    return next;
}

bool sim_disks_run(void)
{
    for (int i = 0; i < DISKS_MAX; i++) {
        struct reg_store *s = disks[i] ? disks[i]->open : NULL;
        const struct store_batch *b = s && s->proc->frozen_until <= sim_now ? first(s) : NULL;
        if (!b || b->at > sim_now)
            continue;
        finish_first(s);
        return true;
    }
    return false;
}

bool sim_disk_busy(const struct sim_disk *d)
{
    return d->open && first(d->open);
}

void sim_disk_crash(struct sim_disk *d)
{
    struct reg_store *s = d->open;
    if (!s)
        return;
    while (first(s) && sim_chance(500))
        finish_first(s);
    if (first(s) && sim_plant == SIM_PLANT_TORN)
        write_batch(d, first(s), first(s)->n / 2);
    while (first(s)) {
        struct store_batch *b = first(s);
        ib_list_remove(&b->node);
        store_batch_free(b);
    }
    s->disk = NULL;
    d->open = NULL;
}

/* --- opening ---------------------------------------------------------------------------------------------------- */

struct sim_disk *sim_disk(const char *dir)
{
    int i = 0;
    for (; i < DISKS_MAX && disks[i]; i++)
        if (strcmp(disks[i]->dir, dir) == 0)
            return disks[i];
    if (i == DISKS_MAX || !(disks[i] = calloc(1, sizeof *disks[i])))
        sim_fail("no room for another disk");
    snprintf(disks[i]->dir, sizeof disks[i]->dir, "%s", dir);
    for (int t = 0; t < REG_SERIALS; t++)
        disks[i]->serial[t] = disks[i]->settled[t] = 1;
    return disks[i];
}

void sim_disks_free(void)
{
    for (int i = 0; i < DISKS_MAX && disks[i]; i++) {
        for (int t = 0; t < SIM_TABLES; t++) {
            clear(disks[i], t);
            free(disks[i]->rows[t]);
        }
        free(disks[i]);
        disks[i] = NULL;
    }
}

/* No disk of the simulator is in memory. */
void reg_store_commit_in_place(struct reg_store *s, struct store_batch *b,
                               void (*done)(void *arg, int code, const struct ib_err *err), void *arg)
{
    reg_store_commit(s, b, done, arg);
}

struct reg_store *reg_store_open(struct ic_loop *loop, const char *dir, size_t map_size, struct ib_err *err)
{
    struct sim_disk *d = sim_disk(dir);
    (void)map_size;
    if (d->open || sim_current->dead) {
        ib_err_set(err, IB_ECONFIG, "the database in `%s' is in use", dir);
        return NULL;
    }
    struct reg_store *s = calloc(1, sizeof *s);
    if (!s)
        sim_fail("out of memory");
    s->loop = loop;
    s->proc = sim_current;
    s->disk = d;
    ib_list_init(&s->todo);
    ib_list_init(&s->finished);
    memcpy(s->serial, d->serial, sizeof s->serial);
    memcpy(s->settled, d->settled, sizeof s->settled);
    memcpy(s->replica, d->replica, sizeof s->replica);
    d->open = s;
    return s;
}

void reg_store_close(struct reg_store *s)
{
    if (!s)
        return;
    s->closed = true;
    while (s->disk && first(s))
        finish_first(s);
    if (s->disk)
        s->disk->open = NULL;
    if (!s->posted)
        tell(s);
}

int64_t reg_store_serial(const struct reg_store *s, enum reg_table table)
{
    return s->serial[table];
}

int64_t reg_store_settled(const struct reg_store *s, enum reg_table table)
{
    return s->settled[table];
}

const char *reg_store_replica(const struct reg_store *s)
{
    return s->replica;
}

int reg_store_each(struct reg_store *s, enum reg_table table,
                   int (*fn)(void *arg, struct ib_span key, struct ib_span value, struct ib_err *err), void *arg,
                   struct ib_err *err)
{
    const struct sim_disk *d = s->disk;
    int rc = 0;
    for (size_t i = 0; d && i < d->n[table] && !rc; i++) {
        const struct sim_row *r = &d->rows[table][i];
        rc = fn(arg, (struct ib_span){r->key, r->nk}, (struct ib_span){r->value, r->nv}, err);
    }
    return rc;
}
