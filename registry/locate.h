/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of locate requests that Locator and Query share (icegrid-registry 4, 6). */
#ifndef REG_LOCATE_H
#define REG_LOCATE_H

#include "registry.h"

/* A deployed well-known object's proxy, else a table object's; *out NULL: unknown. In the arena, or borrowed from the
   catalog (encode before the next change). IB_ENOMEM. */
int reg_find_object(struct reg *reg, const struct iw_identity *id, struct ib_arena *arena,
                    const struct iw_proxy **out) IB_MUST_CHECK;

/* Does the proxy's encoding carry requests of enc? */
bool reg_supports(const struct iw_proxy *prx, struct iw_encoding enc);

/* Shuffles n pointers. */
void reg_shuffle(void *pointers, size_t n);

#endif
