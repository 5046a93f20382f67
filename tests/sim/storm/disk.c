/* SPDX-License-Identifier: Apache-2.0 */
/* Databases: what is on a disk, when, and whether it may be so. */
#include "disk.h"

static void check_stamp(struct world *w, int i)
{
    struct node *n = &w->nodes[i];
    if (election_compare(n->disk.stamp, n->highest) < 0)
        world_break(w, "node %d's stamp fell from %lld/%lld to %lld/%lld", i + 1, (long long)n->highest.generation,
                    (long long)n->highest.iteration, (long long)n->disk.stamp.generation,
                    (long long)n->disk.stamp.iteration);
    n->highest = n->disk.stamp;
}

/* A commit takes its time; a crash before its end leaves all of it or nothing. */
struct event *disk_write(struct world *w, int i, enum work work)
{
    struct event *ev = queue_push(w, EV_DISK, i, 1 + world_random(w, world_random(w, 50) ? 5 : 400));
    ev->work = work;
    return ev;
}

bool disk_commit(struct world *w, int i)
{
    struct node *n = &w->nodes[i];
    if (n->disk_full)
        return false;
    n->disk = n->memory;
    check_stamp(w, i);
    return true;
}

void disk_add_ops(struct db *db, const uint16_t *ops, int n)
{
    for (int i = 0; i < n && db->n < OPS_MAX; i++)
        db->ops[db->n++] = ops[i];
}

void disk_take_content(struct db *to, const struct db *from)
{
    int64_t promised = to->promised;
    *to = *from;
    to->promised = promised;
}

bool disk_contains(const struct db *db, const uint16_t *ops, int n_ops)
{
    int at = 0;
    for (int i = 0; i < db->n && at < n_ops; i++)
        at += db->ops[i] == ops[at];
    return at == n_ops;
}

bool world_is_kept(const struct world *w, int without)
{
    for (int i = 0; i < w->n; i++)
        if (i != without && disk_contains(&w->nodes[i].disk, w->acked, w->n_acked))
            return true;
    return false;
}
