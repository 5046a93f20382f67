/* SPDX-License-Identifier: Apache-2.0 */
/* Pointers seen while a class graph is walked. The keys are our own addresses, so the hash needs no secret. */
#include "wire_priv.h"

#include <stdlib.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct iw_ptr {
    const void *key;
    void *value;
    UT_hash_handle hh;
};

bool iw_ptrs_add(struct iw_ptrs *m, const void *key, void *value)
{
    struct iw_ptr *e = calloc(1, sizeof(*e));
    if (!e)
        return false;
    e->key = key;
    e->value = value;
    HASH_ADD_PTR(m->head, key, e);
    if (!e->hh.tbl) { /* uthash had no memory */
        free(e);
        return false;
    }
    m->n++;
    return true;
}

bool iw_ptrs_add_number(struct iw_ptrs *m, const void *key, uint32_t number)
{
    return iw_ptrs_add(m, key, (void *)(uintptr_t)number);
}

void *iw_ptrs_find(const struct iw_ptrs *m, const void *key)
{
    struct iw_ptr *e;
    HASH_FIND_PTR(m->head, &key, e);
    return e ? e->value : NULL;
}

uint32_t iw_ptrs_number(const struct iw_ptrs *m, const void *key)
{
    return (uint32_t)(uintptr_t)iw_ptrs_find(m, key);
}

void iw_ptrs_fini(struct iw_ptrs *m)
{
    struct iw_ptr *e, *next;
    HASH_ITER(hh, m->head, e, next)
    {
        HASH_DEL(m->head, e);
        free(e);
    }
    m->n = 0;
}
