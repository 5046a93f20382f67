/* SPDX-License-Identifier: Apache-2.0 */
/* Every string and every dictionary inside a value of a described type, whatever the type. */
#ifndef REG_WALK_H
#define REG_WALK_H

#include <moulin/base/err.h>
#include <moulin/wire/types.h>

struct reg_walk {
    void *arg;
    /* Either may be NULL. False ends the walk. Both may change what they are given. */
    bool (*on_string)(void *arg, struct ib_str *s);
    bool (*on_dict)(void *arg, const struct iw_type *t, void *dict); /* after its contents */
    uint32_t work; /* 0 at the start */
};

/* 0, or IB_ELIMIT when the value is nested too deep or shares too much, or IB_ENOMEM when a callback ended it. */
int reg_walk(struct reg_walk *w, const struct iw_type *t, void *v) IB_MUST_CHECK;
/* Dictionaries in the order of their keys, as real peers send and store them. */
int reg_sort_dicts(const struct iw_type *t, void *v) IB_MUST_CHECK;

#endif
