/* SPDX-License-Identifier: Apache-2.0 */
/* Passwords and keys: wiped when freed, compared in constant time, never printed. */
#ifndef MOULIN_BASE_SECRET_H
#define MOULIN_BASE_SECRET_H

#include <moulin/base/span.h>

struct ib_secret; /* opaque: no formatter may reach the bytes by accident */

struct ib_secret *ib_secret_new(struct ib_str s); /* copies; NULL on failure */
void ib_secret_free(struct ib_secret *s); /* wipes; NULL is fine */
struct ib_str ib_secret_str(const struct ib_secret *s); /* borrows until freed */
void ib_wipe(void *p, size_t n); /* not optimised away */
bool ib_equal_ct(const void *a, const void *b, size_t n); /* time depends on n only */

#endif
