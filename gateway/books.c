/* SPDX-License-Identifier: Apache-2.0 */
/* The books: plain counts are atomic, everything else is behind one lock that is held for a table look-up. */
#include "books.h"

#include <stdlib.h>
#include <string.h>

#include <moulin/base/clock.h>

#include "limit.h"

#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(e) ((e)->linked = false)
#include <uthash.h>

#define SEATS_FIRST 16

struct gw_user {
    UT_hash_handle hh;
    bool linked; /* uthash took it */
    unsigned sessions;
    size_t n;
    char key[]; /* kind and name */
};

int gw_books_open(struct gw_books *b, const struct gw_limits *l, struct ib_err *err)
{
    const struct auth_throttle_config cfg = {.failures = (unsigned)l->throttle_failures,
                                             .penalty_max_s = (unsigned)l->throttle_penalty_max_s,
                                             .forget_s = (unsigned)l->throttle_forget_s,
                                             .entries = (unsigned)l->throttle_entries};
    ib_random(&b->run, sizeof(b->run));
    if (l->throttle_failures == 0) {
        return 0;
    }
    b->throttle = auth_throttle_new(&cfg);
    return b->throttle ? 0 : ib_err_set(err, IB_ENOMEM, "out of memory");
}

void gw_books_close(struct gw_books *b)
{
    auth_throttle_free(b->throttle);
    b->throttle = NULL;
    free(b->seats);
    b->seats = NULL;
    (void)pthread_mutex_destroy(&b->lock);
}

bool gw_books_take(atomic_uint *count, int limit)
{
    unsigned before = atomic_fetch_add(count, 1);
    if (limit == 0 || before < (unsigned)limit) {
        return true;
    }
    atomic_fetch_sub(count, 1);
    return false;
}

/* --- the throttle ------------------------------------------------------------------------------------------------- */

struct auth_admission gw_books_ask(struct gw_books *b, const struct auth_attempt *a, bool take)
{
    (void)pthread_mutex_lock(&b->lock);
    const struct auth_admission in = auth_throttle_ask(b->throttle, a, take, ib_clock_ms());
    (void)pthread_mutex_unlock(&b->lock);
    return in;
}

void gw_books_report(struct gw_books *b, const struct auth_attempt *a, bool accepted)
{
    (void)pthread_mutex_lock(&b->lock);
    if (accepted) {
        auth_throttle_succeeded(b->throttle, a, ib_clock_ms());
    } else {
        auth_throttle_failed(b->throttle, a, ib_clock_ms());
    }
    (void)pthread_mutex_unlock(&b->lock);
}

unsigned gw_books_refused(struct gw_books *b, struct auth_source from, int64_t interval_ms)
{
    (void)pthread_mutex_lock(&b->lock);
    unsigned n = auth_throttle_refused(b->throttle, from, interval_ms, ib_clock_ms());
    (void)pthread_mutex_unlock(&b->lock);
    return n;
}

/* --- seats -------------------------------------------------------------------------------------------------------- */

static bool same(const struct auth_source *a, const struct auth_source *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

static bool has_seat(const struct gw_books *b, const struct auth_source *from, unsigned each)
{
    unsigned n = 0;
    for (size_t i = 0; i < b->n_seats; i++) {
        n += same(&b->seats[i], from);
    }
    return b->n_seats < 2 * (size_t)each && n < each;
}

bool gw_books_has_seat(struct gw_books *b, const struct auth_source *from, unsigned each)
{
    (void)pthread_mutex_lock(&b->lock);
    bool yes = has_seat(b, from, each);
    (void)pthread_mutex_unlock(&b->lock);
    return yes;
}

static bool add_seat(struct gw_books *b, const struct auth_source *from)
{
    if (b->n_seats == b->cap_seats) {
        size_t cap = b->cap_seats ? 2 * b->cap_seats : SEATS_FIRST;
        struct auth_source *more = realloc(b->seats, cap * sizeof(*more));
        if (!more) {
            return false;
        }
        b->seats = more;
        b->cap_seats = cap;
    }
    b->seats[b->n_seats++] = *from;
    return true;
}

bool gw_books_sit(struct gw_books *b, const struct auth_source *from, unsigned each, bool known)
{
    (void)pthread_mutex_lock(&b->lock);
    bool yes = (known || has_seat(b, from, each)) && add_seat(b, from);
    (void)pthread_mutex_unlock(&b->lock);
    return yes;
}

void gw_books_rise(struct gw_books *b, const struct auth_source *from)
{
    (void)pthread_mutex_lock(&b->lock);
    for (size_t i = 0; i < b->n_seats; i++) {
        if (same(&b->seats[i], from)) {
            b->seats[i] = b->seats[--b->n_seats];
            break;
        }
    }
    (void)pthread_mutex_unlock(&b->lock);
}

/* --- users -------------------------------------------------------------------------------------------------------- */

static struct gw_user *find(const struct gw_books *b, const struct gw_user *like)
{
    struct gw_user *u = NULL;
    HASH_FIND(hh, b->users, like->key, like->n, u);
    return u;
}

static struct gw_user *user_new(char kind, struct ib_str name)
{
    struct gw_user *u = calloc(1, sizeof(*u) + 1 + name.n);
    if (u) {
        u->linked = true;
        u->n = 1 + name.n;
        u->key[0] = kind;
        memcpy(u->key + 1, ib_cstr(name), name.n);
    }
    return u;
}

/* fresh: taken, or freed. */
static bool join(struct gw_books *b, struct gw_user *fresh, int limit)
{
    struct gw_user *u = find(b, fresh);
    bool in = !u || limit == 0 || u->sessions < (unsigned)limit;
    if (!u) {
        HASH_ADD_KEYPTR(hh, b->users, fresh->key, fresh->n, fresh);
        u = fresh->linked ? fresh : NULL;
        in = u != NULL;
    }
    if (u != fresh) {
        free(fresh);
    }
    if (in) {
        u->sessions++;
    }
    return in;
}

bool gw_books_join(struct gw_books *b, char kind, struct ib_str user, int limit)
{
    struct gw_user *fresh = user_new(kind, user);
    if (!fresh) {
        return false;
    }
    (void)pthread_mutex_lock(&b->lock);
    bool in = join(b, fresh, limit);
    (void)pthread_mutex_unlock(&b->lock);
    return in;
}

void gw_books_part(struct gw_books *b, char kind, struct ib_str user)
{
    struct gw_user *u = NULL, *like = user_new(kind, user);
    (void)pthread_mutex_lock(&b->lock);
    u = like ? find(b, like) : NULL;
    if (u && --u->sessions == 0) {
        HASH_DEL(b->users, u);
    } else {
        u = NULL;
    }
    (void)pthread_mutex_unlock(&b->lock);
    free(u);
    free(like);
}
