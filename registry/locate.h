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

/* Any number below n (not 0), each as likely. */
size_t reg_random_below(size_t n);

/* What several members answer together: the endpoints of all that carry enc, in their order, behind one proxy; NULL:
   none does. In the arena. IB_ENOMEM. */
int reg_join_proxies(struct iw_proxy *const *members, size_t n, struct iw_encoding enc, struct ib_arena *arena,
                     struct iw_proxy **out) IB_MUST_CHECK;

/* locate_group.c: answers findAdapterById for a deployed replica group. */
void reg_locate_group(struct reg *reg, struct ir_request *rq, struct ib_str id);

#endif
