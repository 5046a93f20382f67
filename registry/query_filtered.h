/* SPDX-License-Identifier: Apache-2.0 */
/* Queries by a type that has a filter of the site's own: every object of the type is told to it, and the answer is of
   those that are left. */
#ifndef REG_QUERY_FILTERED_H
#define REG_QUERY_FILTERED_H

#include "site_filter.h"

struct reg_object;

enum reg_by_type {
    REG_ALL_OF_TYPE, /* findAllObjectsByType: in the filter's order */
    REG_ANY_OF_TYPE, /* findObjectByType */
    REG_LEAST_LOADED_OF_TYPE,
};

/* Answers the request, now or later. list: the objects of the type, borrowed for the call. minutes: of the load sample. */
void reg_query_filtered(struct reg *reg, struct ir_request *rq, struct reg_filter *filter, enum reg_by_type what,
                        struct ib_str type, int minutes, const struct reg_object *list, size_t n);

#endif
