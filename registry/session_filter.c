/* SPDX-License-Identifier: Apache-2.0 */
/* What the user of a router's session may reach, told to the router through its session control (icegrid-registry 7.4).
   One telling is a walk over up to three sets (identities, adapter ids, categories): ask for the set, change it. */
#include "sessions.h"

#include <stdlib.h>

#define CONTROL_MS 30000

enum step { IDENTITIES, ADAPTERS, CATEGORIES, STEPS };

struct telling {
    struct reg_session *session; /* ref */
    struct ib_arena arena;
    bool add;
    enum step step;
    struct Ice_IdentitySeq ids;
    struct Ice_StringSeq texts[STEPS]; /* of ADAPTERS and CATEGORIES */
    void (*then)(void *arg, bool ok);
    void *arg;
};

static const struct ir_call_options options = {.timeout_ms = CONTROL_MS};

static void next(struct telling *t);

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
    struct telling *t = arg;

    if (r->outcome != IR_SUCCESS) {
        told(t, false);
        return;
    }
    t->step++;
    next(t);
}

static void got_identities(void *arg, const struct ir_result *r)
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

static void change_texts(struct telling *t, const struct iw_proxy *set)
{
    struct ir_runtime *rt = t->session->sessions->reg->rt;
    const struct Ice_StringSeq texts = t->texts[t->step];
    struct ir_call *call = NULL;

    if (set != NULL && t->add)
        call = Glacier2_StringSet_add_call(rt, set, &options, &(struct Glacier2_StringSet_add_in){.additions = texts},
                                           changed, t);
    else if (set != NULL)
        call = Glacier2_StringSet_remove_call(rt, set, &options,
                                              &(struct Glacier2_StringSet_remove_in){.deletions = texts}, changed, t);
    if (call == NULL)
        told(t, false);
}

static void got_adapters(void *arg, const struct ir_result *r)
{
    const struct Glacier2_SessionControl_adapterIds_out *out = Glacier2_SessionControl_adapterIds_result(r);

    change_texts(arg, out != NULL ? out->ret : NULL);
}

static void got_categories(void *arg, const struct ir_result *r)
{
    const struct Glacier2_SessionControl_categories_out *out = Glacier2_SessionControl_categories_result(r);

    change_texts(arg, out != NULL ? out->ret : NULL);
}

/* The next step that has something to tell, or the end. */
static void next(struct telling *t)
{
    struct ir_runtime *rt = t->session->sessions->reg->rt;
    const struct iw_proxy *control = t->session->control;
    struct ir_call *call = NULL;

    while (t->step < STEPS && (t->step == IDENTITIES ? t->ids.n : t->texts[t->step].n) == 0)
        t->step++;
    if (t->step == STEPS) {
        told(t, true);
        return;
    }
    if (t->step == IDENTITIES)
        call = Glacier2_SessionControl_identities_call(rt, control, &options, NULL, got_identities, t);
    else if (t->step == ADAPTERS)
        call = Glacier2_SessionControl_adapterIds_call(rt, control, &options, NULL, got_adapters, t);
    else
        call = Glacier2_SessionControl_categories_call(rt, control, &options, NULL, got_categories, t);
    if (call == NULL)
        told(t, false);
}

static int copy_change(struct telling *t, const struct reg_filter_change *c)
{
    struct Ice_IdentitySeq ids = {.n = c->n_ids};
    struct Ice_StringSeq adapters = {.n = c->n_adapters}, categories = {.n = c->n_categories};
    int rc;

    /* iw_copy only reads */
    memcpy(&ids.v, &c->ids, sizeof(ids.v));
    memcpy(&adapters.v, &c->adapters, sizeof(adapters.v));
    memcpy(&categories.v, &c->categories, sizeof(categories.v));
    rc = iw_copy(&Ice_IdentitySeq_type, &ids, &t->arena, &t->ids);
    if (rc == 0)
        rc = iw_copy(&Ice_StringSeq_type, &adapters, &t->arena, &t->texts[ADAPTERS]);
    if (rc == 0)
        rc = iw_copy(&Ice_StringSeq_type, &categories, &t->arena, &t->texts[CATEGORIES]);
    return rc;
}

void reg_filter_tell(struct reg_session *s, bool add, const struct reg_filter_change *change,
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
    if (copy_change(t, change) != 0)
        told(t, false);
    else
        next(t);
}
