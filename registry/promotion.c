/* SPDX-License-Identifier: Apache-2.0 */
/* A database that was a slave's and is now used under the name Master is promoted (icegrid-internal 8.4): its serials
   jump, so that what the old master may have written without telling anybody never counts as newer (21.5). */
#include "registry.h"

#include <moulin/base/clock.h>
#include <moulin/net/loop.h>

#include "replica_policy.h"

#define DISK_MS 60000

struct promotion {
    bool done;
    struct ib_err err;
};

static void written(void *arg, int code, const struct ib_err *err)
{
    struct promotion *p = arg;
    p->done = true;
    if (code)
        p->err = *err;
}

int reg_promote(struct reg *reg, struct ib_err *err)
{
    const char *before = reg_store_replica(reg->store);
    if (ib_str_is(reg->cfg.replica, before) || reg->cfg.read_only)
        return 0;
    struct store_batch *b = store_batch_new();
    if (!b)
        return ib_err_set(err, IB_ENOMEM, "out of memory");
    if (reg->cfg.master && *before) {
        for (int t = 0; t < REG_SERIALS; t++) {
            reg->settled[t] = reg->db_serial[t] = reg_promoted_serial(reg->db_serial[t]);
            reg_batch_serial(b, (enum reg_table)t, reg->db_serial[t], reg->settled[t]);
        }
        reg_trace(reg, REG_TRACE_REPLICA, 1, "the database of replica `%s' is promoted to the master's", before);
    }
    reg_batch_replica(b, reg->cfg.replica);
    struct promotion p = {.done = false};
    reg_store_commit(reg->store, b, written, &p);
    int64_t deadline = ib_clock_ms() + DISK_MS;
    while (!p.done && ib_clock_ms() < deadline)
        ic_loop_run_once(reg->loop, 100);
    if (p.done && !p.err.code)
        return 0;
    *err = p.err;
    return p.done ? err->code : ib_err_set(err, IB_EIO, "the disk does not answer");
}
