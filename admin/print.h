/* SPDX-License-Identifier: Apache-2.0 */
/* Values of described types for people, as nested blocks without what is empty, and for scripts, as JSON. */
#ifndef MOULIN_ADMIN_PRINT_H
#define MOULIN_ADMIN_PRINT_H

#include <moulin/wire/types.h>

/* Lines of the members of a struct, each behind so many blanks. */
void adm_print_members(const struct iw_type *t, const void *v, int indent);
/* One line. Classes have a member "class" with their type; proxies are not shown. */
void adm_print_json(const struct iw_type *t, const void *v);
void adm_print_json_string(struct ib_str s); /* in quotes, escaped */

#endif
