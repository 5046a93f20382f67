/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes' databases. */
#ifndef SIM_STORM_DISK_H
#define SIM_STORM_DISK_H

#include "queue.h"

struct event *disk_write(struct world *w, int i, enum work work); /* ends later */
bool disk_commit(struct world *w, int i); /* what the node has in memory; false: its disk is full */
void disk_add_ops(struct db *db, const uint16_t *ops, int n);
void disk_take_content(struct db *to, const struct db *from); /* all but the promise */
bool disk_contains(const struct db *db, const uint16_t *ops, int n_ops); /* in this order */

#endif
