/* SPDX-License-Identifier: Apache-2.0 */
/* What one slave has been told, and what of that it has acknowledged: which answers wait for it, and whether it has
   everything. No clock and no socket of its own. */
#ifndef REG_REPLICA_LEDGER_H
#define REG_REPLICA_LEDGER_H

#include "change.h"
#include "replica_policy.h"

struct reg_ledger {
    struct ib_list waits; /* struct wait: not acknowledged yet, oldest first */
    bool released; /* it synchronizes too slowly: no answer waits for it until it has the tables */
    int32_t owed[REG_TOPIC_MAX]; /* the last change that was answered without waiting for it; 0: it has that, too */
};

void reg_ledger_init(struct reg_ledger *l);
void reg_ledger_fini(struct reg_ledger *l); /* releases whoever waits */
/* It is told of a change, whose answer waits, or of a whole table (c NULL). now: ms. False: memory. */
bool reg_ledger_wait(struct reg_ledger *l, int topic, int32_t serial, int64_t now, struct reg_change *c) IB_MUST_CHECK;
/* It is told of a change that is answered without it; that it has the last of them is waited for before it counts. */
void reg_ledger_owe(struct reg_ledger *l, int topic, int32_t serial);
void reg_ledger_acknowledge(struct reg_ledger *l, int topic, int32_t serial);
/* The answers that wait go on without it, and so do later ones until it has the tables. */
void reg_ledger_release(struct reg_ledger *l);
bool reg_ledger_tables_open(const struct reg_ledger *l);
bool reg_ledger_complete(const struct reg_ledger *l); /* it has the tables, and nothing is owed */
void reg_ledger_ages(const struct reg_ledger *l, int64_t now, struct reg_slave_facts *out); /* change and table */

#endif
