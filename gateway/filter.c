/* SPDX-License-Identifier: Apache-2.0 */
/* The sets behind SessionControl and the decision they make. */
#include "filter.h"

#include <stdlib.h>

#include <moulin/wire/codec.h>

#define SET_MAX 100000

static void identity_free(struct iw_identity *id)
{
    free((void *)(uintptr_t)id->name.p); /* name and category share one allocation */
}

static bool identity_copy(const struct iw_identity *from, struct iw_identity *to)
{
    size_t n = from->name.n, c = from->category.n;
    char *p = malloc(n + c + 2);
    if (!p) {
        return false;
    }
    memcpy(p, ib_cstr(from->name), n);
    p[n] = '\0';
    memcpy(p + n + 1, ib_cstr(from->category), c);
    p[n + 1 + c] = '\0';
    *to = (struct iw_identity){{p, n}, {p + n + 1, c}};
    return true;
}

/* Where it is, or where it belongs. */
static size_t position(const struct gw_set *s, const struct iw_identity *id, bool *found)
{
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = iw_identity_cmp(&s->v[mid], id);
        if (c == 0) {
            *found = true;
            return mid;
        }
        if (c < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    *found = false;
    return low;
}

void gw_set_fini(struct gw_set *s)
{
    for (size_t i = 0; i < s->n; i++) {
        identity_free(&s->v[i]);
    }
    free(s->v);
    *s = (struct gw_set){0};
}

int gw_set_add(struct gw_set *s, const struct iw_identity *id)
{
    bool found;
    size_t at = position(s, id, &found);
    if (found) {
        return 0;
    }
    if (s->n == SET_MAX) {
        return IB_ELIMIT;
    }
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 8;
        struct iw_identity *v = realloc(s->v, cap * sizeof(*v));
        if (!v) {
            return IB_ENOMEM;
        }
        s->v = v;
        s->cap = cap;
    }
    struct iw_identity copy;
    if (!identity_copy(id, &copy)) {
        return IB_ENOMEM;
    }
    memmove(&s->v[at + 1], &s->v[at], (s->n - at) * sizeof(*s->v));
    s->v[at] = copy;
    s->n++;
    return 0;
}

void gw_set_remove(struct gw_set *s, const struct iw_identity *id)
{
    bool found;
    size_t at = position(s, id, &found);
    if (!found) {
        return;
    }
    identity_free(&s->v[at]);
    s->n--;
    memmove(&s->v[at], &s->v[at + 1], (s->n - at) * sizeof(*s->v));
}

bool gw_set_has(const struct gw_set *s, const struct iw_identity *id)
{
    bool found;
    (void)position(s, id, &found);
    return found;
}

void gw_filter_fini(struct gw_filter *f)
{
    gw_set_fini(&f->categories);
    gw_set_fini(&f->identities);
    gw_set_fini(&f->adapter_ids);
}

unsigned gw_filter_check(const struct gw_filter *f, const struct iw_identity *id, struct ib_str adapter_id)
{
    const struct iw_identity category = gw_set_string(id->category), adapter = gw_set_string(adapter_id);
    const struct {
        const struct gw_set *set;
        const struct iw_identity *member;
        bool takes_part;
        unsigned bit;
    } parts[] = {
        {&f->categories, &category, f->categories.n > 0, GW_REJECT_CATEGORY},
        {&f->identities, id, f->identities.n > 0, GW_REJECT_IDENTITY},
        {&f->adapter_ids, &adapter, f->adapter_ids.n > 0 && adapter_id.n > 0, GW_REJECT_ADAPTER_ID},
    };
    unsigned failed = 0;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (parts[i].takes_part && gw_set_has(parts[i].set, parts[i].member)) {
            return 0;
        }
        failed |= parts[i].takes_part ? parts[i].bit : 0;
    }
    return failed;
}
