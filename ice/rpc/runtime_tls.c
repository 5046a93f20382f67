/* SPDX-License-Identifier: Apache-2.0 */
/* The TLS contexts of a runtime and its adapters: made, made anew, and shared between runtimes on several loops. */
#include "rpc_priv.h"

#include <stdio.h>
#include <stdlib.h>

int ir_adapter_tls(struct ir_adapter *a, struct ib_err *err)
{
    const struct ir_runtime *first = a->rt->first;
    for (struct ib_list *n = first ? first->adapters.next : NULL; n && n != &first->adapters; n = n->next) {
        const struct ir_adapter *theirs = IB_CONTAINER(n, struct ir_adapter, node);
        if (strcmp(theirs->name, a->name) == 0) {
            a->tls = theirs->tls ? ic_tls_ref(theirs->tls) : NULL;
            return 0;
        }
    }
    return ir_config_tls(a->rt, a->rt->props, a->name, a->rt->tls, &a->tls, err);
}

static void listeners_use(struct ir_adapter *a)
{
    for (size_t k = 0; k < a->n_listeners; k++)
        ic_listener_set_tls(a->listeners[k].listener, a->tls);
}

/* --- made anew ------------------------------------------------------------------------------------------------ */

/* The contexts of the runtime (first) and of its adapters in order. */
static int make_tls(struct ir_runtime *rt, const struct ir_properties *p, struct ic_tls **fresh, struct ib_err *err)
{
    int r = ir_config_tls(rt, p, NULL, NULL, &fresh[0], err);
    size_t i = 1;
    for (struct ib_list *n = rt->adapters.next; n != &rt->adapters && !r; n = n->next, i++)
        r = ir_config_tls(rt, p, IB_CONTAINER(n, struct ir_adapter, node)->name, fresh[0], &fresh[i], err);
    return r;
}

static void use_tls(struct ic_tls **place, struct ic_tls **fresh)
{
    struct ic_tls *old = *place;
    *place = *fresh;
    *fresh = old;
}

int ir_runtime_reload_tls(struct ir_runtime *rt, const struct ir_properties *p, struct ib_err *err)
{
    size_t count = 1, i = 1;
    IB_LIST_FOREACH(n, &rt->adapters)
    {
        count++;
    }
    struct ic_tls **fresh = calloc(count, sizeof(struct ic_tls *));
    if (!fresh)
        return ib_err_set(err, IB_ENOMEM, "%s", ib_err_text(IB_ENOMEM));
    int r = make_tls(rt, p ? p : rt->props, fresh, err);
    if (!r) {
        use_tls(&rt->tls, &fresh[0]);
        IB_LIST_FOREACH(n, &rt->adapters)
        {
            struct ir_adapter *a = IB_CONTAINER(n, struct ir_adapter, node);
            use_tls(&a->tls, &fresh[i++]);
            listeners_use(a);
        }
    }
    for (i = 0; i < count; i++)
        ic_tls_unref(fresh[i]);
    free(fresh);
    return r;
}

/* --- shared --------------------------------------------------------------------------------------------------- */

void ir_tls_set_of(const struct ir_runtime *rt, struct ir_tls_set *out)
{
    size_t i = 0;
    *out = (struct ir_tls_set){.own = rt->tls ? ic_tls_ref(rt->tls) : NULL};
    for (struct ib_list *n = rt->adapters.next; n != &rt->adapters && i < IR_TLS_ADAPTERS; n = n->next, i++) {
        const struct ir_adapter *a = IB_CONTAINER(n, struct ir_adapter, node);
        snprintf(out->adapters[i].name, sizeof(out->adapters[i].name), "%s", a->name);
        out->adapters[i].tls = a->tls ? ic_tls_ref(a->tls) : NULL;
    }
}

void ir_tls_set_use(struct ir_runtime *rt, struct ir_tls_set *set)
{
    use_tls(&rt->tls, &set->own);
    IB_LIST_FOREACH(n, &rt->adapters)
    {
        struct ir_adapter *a = IB_CONTAINER(n, struct ir_adapter, node);
        for (size_t i = 0; i < IR_TLS_ADAPTERS; i++) {
            if (strcmp(set->adapters[i].name, a->name) == 0) {
                use_tls(&a->tls, &set->adapters[i].tls);
                listeners_use(a);
                break;
            }
        }
    }
    ir_tls_set_fini(set);
}

void ir_tls_set_fini(struct ir_tls_set *set)
{
    ic_tls_unref(set->own);
    for (size_t i = 0; i < IR_TLS_ADAPTERS; i++)
        ic_tls_unref(set->adapters[i].tls);
    *set = (struct ir_tls_set){0};
}
