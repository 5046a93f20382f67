/* SPDX-License-Identifier: Apache-2.0 */
/* What several loops have counted, as one: elements of one id are added up, maps within them too. Maps come sorted by
   id (ir_metrics_map_write) and stay so. */
#include "metrics.h"

#include <slice/Ice/Metrics.h>

static int compare(const struct ib_str *a, const struct ib_str *b)
{
    size_t n = a->n < b->n ? a->n : b->n;
    int c = n ? memcmp(a->p, b->p, n) : 0;
    return c ? c : (a->n > b->n) - (a->n < b->n);
}

static int32_t sum(int32_t a, int32_t b)
{
    int64_t v = (int64_t)a + b;
    return v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : (int32_t)v;
}

/* The members below IceMX::Metrics: numbers, and maps. */
static int add_members(char *a, const char *b, const struct iw_class *cls, struct ib_arena *arena)
{
    int rc = 0;
    for (; cls && cls != &IceMX_Metrics_class && rc == 0; cls = cls->base) {
        for (uint32_t i = 0; rc == 0 && i < cls->n_fields; i++) {
            void *to = a + cls->fields[i].offset;
            const void *from = b + cls->fields[i].offset;
            switch (cls->fields[i].type->kind) {
            case IW_INT:
                *(int32_t *)to = sum(*(int32_t *)to, *(const int32_t *)from);
                break;
            case IW_LONG:
                *(int64_t *)to += *(const int64_t *)from;
                break;
            default:
                rc = ir_metrics_merge(to, from, arena);
            }
        }
    }
    return rc;
}

static int add_element(struct IceMX_Metrics *a, const struct IceMX_Metrics *b, struct ib_arena *arena)
{
    a->total += b->total;
    a->current = sum(a->current, b->current);
    a->totalLifetime += b->totalLifetime;
    a->failures = sum(a->failures, b->failures);
    return a->object.cls == b->object.cls ? add_members((char *)a, (const char *)b, a->object.cls, arena) : 0;
}

int ir_metrics_merge(struct IceMX_MetricsMap *a, const struct IceMX_MetricsMap *b, struct ib_arena *arena)
{
    size_t i = 0, k = 0, n = 0;
    int rc = 0;
    if (b->n == 0)
        return 0;
    struct IceMX_Metrics **all = IB_ARENA_ARRAY(arena, a->n + b->n, struct IceMX_Metrics *);
    if (!all)
        return IB_ENOMEM;
    while (rc == 0 && (i < a->n || k < b->n)) {
        int c = i == a->n ? 1 : k == b->n ? -1 : compare(&a->v[i]->id, &b->v[k]->id);
        if (c == 0)
            rc = add_element(a->v[i], b->v[k++], arena);
        all[n++] = c <= 0 ? a->v[i++] : b->v[k++];
    }
    a->v = all;
    a->n = n;
    return rc;
}

int ir_metrics_merge_failures(struct IceMX_MetricsFailures *a, const struct IceMX_MetricsFailures *b,
                              struct ib_arena *arena)
{
    struct IceMX_StringIntDict_entry *v =
        IB_ARENA_ARRAY(arena, a->failures.n + b->failures.n, struct IceMX_StringIntDict_entry);
    size_t n = a->failures.n;
    if (!v)
        return IB_ENOMEM;
    for (size_t i = 0; i < n; i++)
        v[i] = a->failures.v[i];
    for (size_t k = 0; k < b->failures.n; k++) {
        size_t i = 0;
        while (i < n && !ib_str_eq(v[i].key, b->failures.v[k].key))
            i++;
        if (i == n)
            v[n++] = b->failures.v[k];
        else
            v[i].value = sum(v[i].value, b->failures.v[k].value);
    }
    a->id = a->id.n ? a->id : b->id;
    a->failures.v = v;
    a->failures.n = n;
    return 0;
}
