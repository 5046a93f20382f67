/* SPDX-License-Identifier: Apache-2.0 */
/* Which session a callback's category belongs to. The token is all a server needs to call a client, so it comes from
   the kernel's random source (glacier2-router 7.1) and is never logged in full. */
#include "router.h"

#include <stdlib.h>
#include <string.h>

#include <moulin/base/secret.h>

enum { CHAINS_FIRST = 64 }; /* a power of two, as all sizes are */

struct gw_index {
    struct gw_session **chains; /* owns; by their index_next */
    size_t n_chains, n;
};

struct gw_index *gw_index_new(void)
{
    struct gw_index *x = calloc(1, sizeof(*x));
    if (!x) {
        return NULL;
    }
    x->chains = calloc(CHAINS_FIRST, sizeof(struct gw_session *));
    x->n_chains = CHAINS_FIRST;
    if (!x->chains) {
        free(x);
        return NULL;
    }
    return x;
}

void gw_index_free(struct gw_index *x)
{
    if (x) {
        free(x->chains); /* empty by now: every session took itself out */
    }
    free(x);
}

/* 62 letters and digits: 119 bits, and no character that identities escape. */
static void draw_token(char out[GW_TOKEN_LEN + 1])
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    uint8_t bytes[GW_TOKEN_LEN + 12];
    for (size_t i = 0; i < GW_TOKEN_LEN;) {
        ib_random(bytes, sizeof(bytes));
        for (size_t k = 0; k < sizeof(bytes) && i < GW_TOKEN_LEN; k++) {
            if (bytes[k] < 62 * 4) { /* the rest would make some letters likelier */
                out[i++] = letters[bytes[k] % 62];
            }
        }
    }
    out[GW_TOKEN_LEN] = '\0';
    ib_wipe(bytes, sizeof(bytes));
}

/* Tokens are random: nobody can choose some that share a chain. */
static struct gw_session **chain_of(const struct gw_index *x, const char *token)
{
    uint64_t letters;
    memcpy(&letters, token, sizeof(letters));
    return &x->chains[(letters * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (x->n_chains - 1)];
}

/* Without memory chains only get longer. */
static void grow(struct gw_index *x)
{
    struct gw_index larger = {.n_chains = x->n_chains * 2, .n = x->n};
    larger.chains = calloc(larger.n_chains, sizeof(struct gw_session *));
    if (!larger.chains) {
        return;
    }
    for (size_t i = 0; i < x->n_chains; i++) {
        while (x->chains[i]) {
            struct gw_session *s = x->chains[i], **to = chain_of(&larger, s->token);
            x->chains[i] = s->index_next;
            s->index_next = *to;
            *to = s;
        }
    }
    free(x->chains);
    *x = larger;
}

void gw_index_add(struct gw_index *x, struct gw_session *s)
{
    if (x->n >= x->n_chains) {
        grow(x);
    }
    do {
        draw_token(s->token);
    } while (gw_crew_owner(s->router->crew, ib_str(s->token)) != s->router->worker);
    struct gw_session **chain = chain_of(x, s->token);
    s->index_next = *chain;
    *chain = s;
    x->n++;
}

void gw_index_remove(struct gw_index *x, struct gw_session *s)
{
    if (!s->token[0]) {
        return;
    }
    struct gw_session **at = chain_of(x, s->token);
    while (*at != s) {
        at = &(*at)->index_next;
    }
    *at = s->index_next;
    s->token[0] = '\0';
    x->n--;
}

struct gw_session *gw_index_find(const struct gw_index *x, struct ib_str token)
{
    struct gw_session *s = token.n == GW_TOKEN_LEN ? *chain_of(x, token.p) : NULL;
    while (s && memcmp(s->token, token.p, GW_TOKEN_LEN) != 0) {
        s = s->index_next;
    }
    return s;
}
