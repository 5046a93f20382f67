/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of names that are asked many questions: a message may hold a hundred thousand of them. */
#ifndef REG_NAMES_H
#define REG_NAMES_H

#include <moulin/base/arena.h>

struct Ice_StringSeq;

struct reg_name {
    struct ib_str name;
    size_t at; /* in the list it comes from */
};

struct reg_names {
    size_t n;
    struct reg_name *v; /* sorted */
};

/* Room for n names; add them, then sort once. v is NULL when memory is short. */
struct reg_names reg_names_new(struct ib_arena *arena, size_t n);
void reg_names_add(struct reg_names *x, struct ib_str name); /* at: how many were added before */
void reg_names_sort(struct reg_names *x);
struct reg_names reg_names_of(struct ib_arena *arena, const struct Ice_StringSeq *seq); /* sorted */
/* The first place of the name in its list, or SIZE_MAX. */
size_t reg_names_find(const struct reg_names *x, struct ib_str name);

#endif
