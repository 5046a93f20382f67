/* SPDX-License-Identifier: Apache-2.0 */
/* What change.c (order, commit, publication, answers) and change_ops.c (what each change means) tell each other. */
#ifndef REG_CHANGE_PRIV_H
#define REG_CHANGE_PRIV_H

#include "registry.h"
#include "slices.h"

/* One row per enum reg_change_op. */
struct reg_change_kind {
    const char *name;
    int table; /* enum reg_table; -1: none */
    bool counts; /* takes the next serial when none is given */
    bool alone; /* shares a commit with nothing: it touches more than its key */
    /* Sets c->key before anything else. */
    int (*aim)(struct reg_change *c);
    /* Validates against the catalog as it is, writes into the batch, makes the events. Non-zero: refused, c->code and
       exception are set. */
    int (*prepare)(struct reg *reg, struct reg_change *c, struct store_batch *b);
    void (*apply)(struct reg *reg, struct reg_change *c); /* after the commit; cannot fail */
};
extern const struct reg_change_kind reg_change_kinds[REG_CHANGE_OP_MAX];

struct reg_event *reg_event_add(struct reg_change *c, enum reg_event_kind kind); /* NULL: memory */

/* Ways to refuse; they set code, err and exception and return the code. */
int reg_change_fail(struct reg_change *c, int code, const char *fmt, ...) IB_PRINTF(3, 4);
int reg_change_fail_nomem(struct reg_change *c);
int reg_change_fail_with(struct reg_change *c, const struct iw_class *exception, const void *value, size_t size);
int reg_change_fail_deployment(struct reg_change *c, const char *fmt, ...) IB_PRINTF(2, 3);

/* An application as stored, expanded; one that no longer validates becomes an empty shell, with a line in the log. */
struct reg_app *reg_app_load(struct reg *reg, const struct IceGrid_ApplicationInfo *info);
int reg_record(const struct iw_type *type, const void *value, bool encaps, struct ib_arena *arena, struct ib_span *out);

#endif
