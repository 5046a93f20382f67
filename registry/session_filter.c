/* SPDX-License-Identifier: Apache-2.0 */
/* What the user of a router's session may reach, told to the router through its session control
   (icegrid-registry 7.4). One telling is two calls: ask for the set of identities, then change it. */
#include "sessions.h"

#include <stdlib.h>

#define CONTROL_MS 30000

struct telling {
    struct reg_session *session; /* ref */
    struct ib_arena arena;
    bool add;
    struct Ice_IdentitySeq ids;
    void (*then)(void *arg, bool ok);
    void *arg;
};

static const struct ir_call_options options = {.timeout_ms = CONTROL_MS};

static void told(struct telling *t, bool ok)
{
    if (t->then != NULL)
        t->then(t->arg, ok);
    reg_session_unref(t->session);
    ib_arena_fini(&t->arena);
    free(t);
}

static void changed(void *arg, const struct ir_result *r)
{
    told(arg, r->outcome == IR_SUCCESS);
}

static void got_set(void *arg, const struct ir_result *r)
{
    struct telling *t = arg;
    const struct Glacier2_SessionControl_identities_out *out = Glacier2_SessionControl_identities_result(r);
    struct ir_runtime *rt = t->session->sessions->reg->rt;
    struct ir_call *call = NULL;

    if (out != NULL && out->ret != NULL && t->add)
        call = Glacier2_IdentitySet_add_call(rt, out->ret, &options,
                                             &(struct Glacier2_IdentitySet_add_in){.additions = t->ids}, changed, t);
    else if (out != NULL && out->ret != NULL)
        call = Glacier2_IdentitySet_remove_call(
            rt, out->ret, &options, &(struct Glacier2_IdentitySet_remove_in){.deletions = t->ids}, changed, t);
    if (call == NULL)
        told(t, false);
}

static int copy_ids(struct telling *t, const struct iw_identity *ids, size_t n)
{
    t->ids.v = IB_ARENA_ARRAY(&t->arena, n, struct iw_identity);
    t->ids.n = n;
    for (size_t i = 0; t->ids.v != NULL && i < n; i++) {
        t->ids.v[i].name = ib_arena_str(&t->arena, ids[i].name);
        t->ids.v[i].category = ib_arena_str(&t->arena, ids[i].category);
        if (t->ids.v[i].name.p == NULL || t->ids.v[i].category.p == NULL)
            return IB_ENOMEM;
    }
    return t->ids.v != NULL ? 0 : IB_ENOMEM;
}

void reg_filter_identities(struct reg_session *s, bool add, const struct iw_identity *ids, size_t n,
                           void (*then)(void *arg, bool ok), void *arg)
{
    struct telling *t;

    if (!s->filters || s->control == NULL) {
        if (then != NULL)
            then(arg, true);
        return;
    }
    t = calloc(1, sizeof(*t));
    if (t == NULL) {
        if (then != NULL)
            then(arg, false);
        return;
    }
    t->session = reg_session_ref(s);
    t->add = add;
    t->then = then;
    t->arg = arg;
    ib_arena_init(&t->arena, 0);
    if (copy_ids(t, ids, n) != 0 ||
        Glacier2_SessionControl_identities_call(s->sessions->reg->rt, s->control, &options, NULL, got_set, t) == NULL)
        told(t, false);
}
