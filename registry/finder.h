/* SPDX-License-Identifier: Apache-2.0 */
/* Finds where the master is: asks every replica that the locator's endpoints, this replica's own table and the answers
   themselves reveal (icegrid-internal 4.2, 4.3). */
#ifndef REG_FINDER_H
#define REG_FINDER_H

#include "registry.h"

struct reg_finder;

/* Candidates in order of their questions, without duplicates; n may be 0. They live until reg_finder_free. */
typedef void (*reg_found_fn)(void *arg, struct iw_proxy *const *candidates, size_t n);

/* Looks for the object id. locator may be NULL. found is called once, later, unless the finder is freed before. */
struct reg_finder *reg_finder_start(struct reg *reg, const struct iw_proxy *locator, const struct iw_identity *id,
                                    int32_t timeout_ms, reg_found_fn found, void *arg);
void reg_finder_free(struct reg_finder *f);

#endif
