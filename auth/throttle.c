/* SPDX-License-Identifier: Apache-2.0 */
/* The throttle: three counts with penalties that grow and are forgotten, and the pairs of address and user that are
   known to be good. Users are kept as keyed hashes, so an entry has one size whatever the name. */
#include <moulin/auth/throttle.h>

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include <moulin/base/clock.h>

#include "throttle_table.h"

/* Tries that an address, or a pair, is allowed while its penalty runs, on connections where fewer than so many failed
   before. The pair's are for the honest user whose name an attacker behind his own address has found: they are kept for
   connections that the attacker has not spoilt. */
#define ADDRESS_FRESH 3
#define PAIR_FRESH 1
#define ADDRESS_BURST 4
#define ADDRESS_EVERY_MS 250
#define PAIR_BURST 3

enum { ADDRESS, USER, PAIR, KNOWN, KINDS };

struct auth_throttle {
    struct auth_throttle_config cfg;
    uint8_t secret[16];
    struct throttle_table tables[KINDS];
};

struct keys {
    struct throttle_key of[KINDS];
};

struct auth_source auth_source_of(const char *host)
{
    struct auth_source s = {{0}};
    struct in_addr v4;
    char plain[INET6_ADDRSTRLEN];
    size_t n = strcspn(host, "%"); /* a zone says nothing about who it is */
    if (n < sizeof(plain)) {
        memcpy(plain, host, n);
        plain[n] = '\0';
        if (inet_pton(AF_INET, plain, &v4) == 1) {
            s.bytes[10] = s.bytes[11] = 0xff;
            memcpy(s.bytes + 12, &v4, sizeof(v4));
        } else if (inet_pton(AF_INET6, plain, s.bytes) == 1) {
            static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
            if (memcmp(s.bytes, mapped, sizeof(mapped)) != 0) {
                memset(s.bytes + 8, 0, 8);
            }
        }
    }
    return s;
}

/* The first half of a SHA-256 over the secret, the kind and what is named. A failure of it (no memory) makes all keys
   equal: then everybody is throttled as one. */
static struct throttle_key hash(const struct auth_throttle *t, uint8_t kind, const struct auth_source *from,
                                const struct ib_str *user)
{
    struct throttle_key k = {{0}};
    uint8_t digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    if (md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
        EVP_DigestUpdate(md, t->secret, sizeof(t->secret)) == 1 && EVP_DigestUpdate(md, &kind, 1) == 1 &&
        (!from || EVP_DigestUpdate(md, from->bytes, sizeof(from->bytes)) == 1) &&
        (!user || EVP_DigestUpdate(md, ib_cstr(*user), user->n) == 1) && EVP_DigestFinal_ex(md, digest, NULL) == 1) {
        memcpy(k.bytes, digest, sizeof(k.bytes));
    }
    EVP_MD_CTX_free(md);
    return k;
}

static struct keys keys_of(const struct auth_throttle *t, const struct auth_attempt *a)
{
    uint8_t other = a->certificate ? KINDS : 0;
    struct keys k;
    k.of[ADDRESS] = hash(t, ADDRESS, &a->from, NULL);
    k.of[USER] = hash(t, (uint8_t)(USER + other), NULL, &a->user);
    k.of[PAIR] = k.of[KNOWN] = hash(t, (uint8_t)(PAIR + other), &a->from, &a->user);
    return k;
}

struct auth_throttle *auth_throttle_new(const struct auth_throttle_config *cfg)
{
    struct auth_throttle *t = calloc(1, sizeof(*t));
    bool ok = t != NULL;
    for (size_t i = 0; ok && i < KINDS; i++) {
        ok = throttle_table_init(&t->tables[i], cfg->entries);
    }
    if (!ok) {
        auth_throttle_free(t);
        return NULL;
    }
    t->cfg = *cfg;
    ib_random(t->secret, sizeof(t->secret));
    return t;
}

void auth_throttle_free(struct auth_throttle *t)
{
    for (size_t i = 0; t && i < KINDS; i++) {
        throttle_table_fini(&t->tables[i]);
    }
    free(t);
}

/* --- counting ----------------------------------------------------------------------------------------------------- */

static int64_t penalty_ms(const struct auth_throttle *t, uint32_t failures)
{
    uint32_t over = failures > t->cfg.failures ? failures - t->cfg.failures : 0;
    int64_t longest = (int64_t)t->cfg.penalty_max_s * 1000;
    int64_t ms = over == 0 ? 0 : over > 20 ? longest : (int64_t)1000 << (over - 1);
    return ms < longest ? ms : longest;
}

/* Nothing is forgotten while a penalty runs. */
static uint32_t failures_now(const struct auth_throttle *t, struct throttle_entry *e, int64_t now)
{
    int64_t step = (int64_t)t->cfg.forget_s * 1000;
    if (e->counted < e->until) {
        e->counted = e->until;
    }
    if (now > e->counted) {
        int64_t n = (now - e->counted) / step;
        e->failures = n < (int64_t)e->failures ? e->failures - (uint32_t)n : 0;
        e->counted += n * step;
    }
    return e->failures;
}

/* The count stops where the penalty is longest, so that forgetting does not take for ever. */
static uint32_t count(struct auth_throttle *t, int kind, const struct throttle_key *k, int64_t now)
{
    struct throttle_entry *e = throttle_table_get(&t->tables[kind], k);
    uint32_t n = failures_now(t, e, now);
    if (n == 0) {
        e->counted = now;
    }
    if (n == 0 || penalty_ms(t, n) < (int64_t)t->cfg.penalty_max_s * 1000) {
        e->failures = ++n;
    }
    int64_t ms = penalty_ms(t, n);
    if (ms > 0) {
        e->until = now + ms;
    }
    throttle_table_weigh(&t->tables[kind], e, ms > 0);
    return n;
}

/* One address alone cannot lock a user out: of its failures only those before its own penalties count against him. */
void auth_throttle_failed(struct auth_throttle *t, const struct auth_attempt *a, int64_t now)
{
    const struct keys k = keys_of(t, a);
    uint32_t n = count(t, ADDRESS, &k.of[ADDRESS], now);
    (void)count(t, PAIR, &k.of[PAIR], now);
    if (n <= t->cfg.failures) {
        (void)count(t, USER, &k.of[USER], now);
    }
}

/* Clears the pair only: who owns one account must not be able to clear his address by logging in to it. */
void auth_throttle_succeeded(struct auth_throttle *t, const struct auth_attempt *a, int64_t now)
{
    const struct keys k = keys_of(t, a);
    struct throttle_entry *pair = throttle_table_find(&t->tables[PAIR], &k.of[PAIR]);
    struct throttle_entry *known = throttle_table_get(&t->tables[KNOWN], &k.of[KNOWN]);
    throttle_table_weigh(&t->tables[KNOWN], known, false);
    if (pair) {
        pair->failures = 0;
        pair->until = now;
        throttle_table_weigh(&t->tables[PAIR], pair, false);
    }
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

static int64_t left(const struct throttle_entry *e, int64_t now)
{
    return e && e->until > now ? e->until - now : 0;
}

/* May one more pass in spite of the penalty? */
static bool trickles(const struct throttle_entry *e, unsigned burst, int64_t every, int64_t now)
{
    return e->trickle - now <= (int64_t)(burst - 1) * every;
}

static void use_trickle(struct throttle_entry *e, int64_t every, int64_t now)
{
    e->trickle = (e->trickle > now ? e->trickle : now) + every;
}

struct auth_admission auth_throttle_ask(struct auth_throttle *t, const struct auth_attempt *a, bool take, int64_t now)
{
    const struct keys k = keys_of(t, a);
    struct throttle_entry *address = throttle_table_find(&t->tables[ADDRESS], &k.of[ADDRESS]);
    struct throttle_entry *pair = throttle_table_find(&t->tables[PAIR], &k.of[PAIR]);
    struct throttle_entry *user = throttle_table_find(&t->tables[USER], &k.of[USER]);
    struct auth_admission out = {.known = throttle_table_find(&t->tables[KNOWN], &k.of[KNOWN]) != NULL};
    int64_t on_pair = left(pair, now), every = pair ? penalty_ms(t, pair->failures) : 0;
    int64_t on_address = out.known ? 0 : left(address, now), on_user = out.known ? 0 : left(user, now);
    bool pair_ok = on_pair == 0 || (a->failed < PAIR_FRESH && trickles(pair, PAIR_BURST, every, now));
    bool address_ok =
        on_address == 0 || (a->failed < ADDRESS_FRESH && trickles(address, ADDRESS_BURST, ADDRESS_EVERY_MS, now));
    out.admitted = pair_ok && address_ok && on_user == 0;
    if (!out.admitted) {
        int64_t wait = on_pair > on_address ? on_pair : on_address;
        wait = on_user > wait ? on_user : wait;
        out.wait_s = (int)((wait + 999) / 1000);
    } else if (take && on_pair > 0) {
        use_trickle(pair, every, now);
    }
    if (out.admitted && take && on_address > 0) {
        use_trickle(address, ADDRESS_EVERY_MS, now);
    }
    return out;
}

unsigned auth_throttle_refused(struct auth_throttle *t, struct auth_source from, int64_t interval_ms, int64_t now)
{
    const struct throttle_key k = hash(t, ADDRESS, &from, NULL);
    struct throttle_entry *e = throttle_table_get(&t->tables[ADDRESS], &k);
    e->refused++;
    if (e->said != 0 && now - e->said < interval_ms) {
        return 0;
    }
    unsigned n = e->refused;
    e->refused = 0;
    e->said = now;
    return n;
}
