/* SPDX-License-Identifier: Apache-2.0 */
/* Which session a callback's category belongs to. The token is all a server needs to call a client, so it comes from
   the kernel's random source (glacier2-router 7.1) and is never logged in full. */
#include "router.h"

#include <stdlib.h>

#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(e) ((e)->linked = false)
#include <uthash.h>

struct slot {
    UT_hash_handle hh;
    struct gw_session *session; /* borrows */
    bool linked; /* uthash took it */
};

struct gw_index {
    struct slot *by_token; /* owns */
};

struct gw_index *gw_index_new(void)
{
    return calloc(1, sizeof(struct gw_index));
}

void gw_index_free(struct gw_index *x)
{
    free(x); /* empty by now: every session took itself out */
}

/* 62 letters and digits: 119 bits, and no character that identities escape. */
static void draw_token(char out[GW_TOKEN_LEN + 1])
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    for (size_t i = 0; i < GW_TOKEN_LEN;) {
        uint8_t byte;
        ib_random(&byte, 1);
        if (byte < 62 * 4) { /* the rest would make some letters likelier */
            out[i++] = letters[byte % 62];
        }
    }
    out[GW_TOKEN_LEN] = '\0';
}

int gw_index_add(struct gw_index *x, struct gw_session *s)
{
    struct slot *e = calloc(1, sizeof(*e));
    if (!e) {
        return IB_ENOMEM;
    }
    draw_token(s->token);
    e->session = s;
    e->linked = true;
    HASH_ADD_KEYPTR(hh, x->by_token, s->token, GW_TOKEN_LEN, e);
    if (!e->linked) {
        free(e);
        s->token[0] = '\0';
        return IB_ENOMEM;
    }
    return 0;
}

static struct slot *find(const struct gw_index *x, struct ib_str token)
{
    struct slot *e = NULL;
    if (token.n == GW_TOKEN_LEN) {
        HASH_FIND(hh, x->by_token, token.p, token.n, e);
    }
    return e;
}

void gw_index_remove(struct gw_index *x, struct gw_session *s)
{
    struct slot *e = find(x, ib_str(s->token));
    if (e) {
        HASH_DEL(x->by_token, e);
        free(e);
    }
    s->token[0] = '\0';
}

struct gw_session *gw_index_find(const struct gw_index *x, struct ib_str token)
{
    struct slot *e = find(x, token);
    return e ? e->session : NULL;
}
