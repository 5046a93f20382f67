/* SPDX-License-Identifier: Apache-2.0 */
/* Object adapters: made from their properties, activated once, deactivated once (ice-protocol 16). An adapter owns its
   listeners and its servant map; connections belong to themselves and are only listed here. */
#include "rpc_priv.h"

#include <stdio.h>
#include <stdlib.h>

static const struct ib_sm_state adapter_states[IR_AD_STATES] = {
    [IR_AD_CREATED] = {"created", IB_SM_BIT(IR_AD_ACTIVATING) | IB_SM_BIT(IR_AD_DEACTIVATED)},
    [IR_AD_ACTIVATING] = {"activating",
                          IB_SM_BIT(IR_AD_ACTIVE) | IB_SM_BIT(IR_AD_CREATED) | IB_SM_BIT(IR_AD_DEACTIVATED)},
    [IR_AD_ACTIVE] = {"active", IB_SM_BIT(IR_AD_DEACTIVATED)},
    [IR_AD_DEACTIVATED] = {"deactivated", 0},
};

static void adapter_move(struct ir_adapter *a, enum ir_adapter_state next)
{
    ib_sm_move(adapter_states, IR_AD_STATES, &a->state, next);
}

/* --- making --------------------------------------------------------------------------------------------------- */

static const char *property(const struct ir_adapter *a, const char *name)
{
    char key[300];
    snprintf(key, sizeof(key), "%s.%s", a->name, name);
    return a->name[0] ? ir_properties_get(a->rt->props, key) : "";
}

static void count_one(void *arg, const char *key, const char *value)
{
    (void)key;
    (void)value;
    ++*(size_t *)arg;
}

/* 16.1: a named adapter has at least one property. */
static int check_configured(const struct ir_adapter *a, const struct ir_adapter_options *o, struct ib_err *err)
{
    if (!a->name[0] || o->endpoints)
        return 0;
    char prefix[300];
    size_t n = 0;
    snprintf(prefix, sizeof(prefix), "%s.", a->name);
    ir_properties_each(a->rt->props, prefix, count_one, &n);
    return n ? 0 : ib_err_set(err, IB_EINIT, "object adapter `%s' requires configuration", a->name);
}

/* Mode, security and encoding of its proxies; default "-t". */
static int read_proxy_options(struct ir_adapter *a, struct ib_err *err)
{
    const char *o = property(a, "ProxyOptions");
    struct ib_str text = ib_arena_printf(&a->arena, "dummy %s", *o ? o : "-t");
    if (!text.p)
        return ib_err_set(err, IB_ENOMEM, "%s", ib_err_text(IB_ENOMEM));
    int r = ir_proxy_parse(text, &a->rt->defaults, &a->arena, &a->model, NULL, err);
    if (r)
        return ib_err_wrap(err, "property %s.ProxyOptions", a->name);
    a->model->has_facet = false; /* 16.2: a facet in it is ignored */
    a->model->facet = IB_STR("");
    return 0;
}

static int read_settings(struct ir_adapter *a, const struct ir_adapter_options *o, struct ib_err *err)
{
    const struct ir_config *cfg = &a->rt->cfg;
    char key[300];
    int kb = 0;
    snprintf(key, sizeof(key), "%s.MessageSizeMax", a->name);
    int r = ir_properties_int(a->rt->props, key, 0, &kb, err);
    if (r)
        return r;
    if (o->message_size_max_kb)
        a->conn_config.message_size_max = ir_config_message_size(o->message_size_max_kb);
    else if (ir_properties_has(a->rt->props, key))
        a->conn_config.message_size_max = ir_config_message_size(kb);
    else
        a->conn_config.message_size_max = cfg->message_size_max;
    a->conn_config.compression_level = cfg->compression_level;
    a->conn_config.pulse_s = cfg->pulse_s;
    snprintf(key, sizeof(key), "%s.ACM", a->name);
    a->conn_config.acm = o->acm ? *o->acm : ir_config_acm(a->rt, key, &cfg->acm_server);
    a->adapter_id = ib_arena_strz(&a->arena, o->adapter_id ? o->adapter_id : property(a, "AdapterId"));
    a->replica_group_id = ib_arena_strz(&a->arena, property(a, "ReplicaGroupId"));
    if (!a->adapter_id.p || !a->replica_group_id.p)
        return ib_err_set(err, IB_ENOMEM, "%s", ib_err_text(IB_ENOMEM));
    return read_proxy_options(a, err);
}

static int adapter_open(struct ir_adapter *a, const struct ir_adapter_options *o, struct ib_err *err)
{
    int r = check_configured(a, o, err);
    if (!r)
        r = read_settings(a, o, err);
    if (!r)
        r = ir_adapter_tls(a, err);
    if (r || o->mirrors)
        return r ? r : ir_adapter_mirror(a, o->mirrors, err);
    if (!r)
        r = ir_adapter_listen(a, o->endpoints ? o->endpoints : property(a, "Endpoints"), err);
    if (!r)
        r = ir_adapter_publish(a, o->published_endpoints ? o->published_endpoints : property(a, "PublishedEndpoints"),
                               err);
    return r;
}

struct ir_adapter *ir_adapter_new_with(struct ir_runtime *rt, const char *name, const struct ir_adapter_options *o,
                                       struct ib_err *err)
{
    struct ir_adapter *a = calloc(1, sizeof(*a));
    char *copy = strdup(name);
    if (!a || !copy) {
        free(a);
        free(copy);
        ib_err_set(err, IB_ENOMEM, "%s", ib_err_text(IB_ENOMEM));
        return NULL;
    }
    a->name = copy;
    a->rt = rt;
    a->state = IR_AD_CREATED;
    ib_arena_init(&a->arena, 0);
    ib_list_init(&a->conns);
    ib_list_append(&rt->adapters, &a->node);
    int r = adapter_open(a, o, err);
    if (r) {
        ir_adapter_free(a);
        return NULL;
    }
    ir_trace_published(a);
    return a;
}

struct ir_adapter *ir_adapter_new(struct ir_runtime *rt, const char *name, struct ib_err *err)
{
    return ir_adapter_new_with(rt, name, &(struct ir_adapter_options){0}, err);
}

/* --- activation ----------------------------------------------------------------------------------------------- */

static void start_accepting(struct ir_adapter *a)
{
    adapter_move(a, IR_AD_ACTIVE);
    if (a->rt->cfg.print_adapter_ready && a->name[0]) {
        printf("%s ready\n", a->name);
        fflush(stdout);
    }
    for (size_t i = 0; i < a->n_listeners; i++) {
        if (!a->mirrors)
            ir_trace_accepting(a->rt, "accepting", ic_listener_endpoint(a->listeners[i].listener));
        ic_listener_start(a->listeners[i].listener);
    }
    ir_datagram_start(a);
}

static void tell_activated(void *arg)
{
    struct ir_adapter *a = arg;
    void (*done)(void *, int, const char *) = a->on_activated;
    a->on_activated = NULL;
    if (done)
        done(a->on_activated_arg, a->activation_code, a->activation_text);
}

void ir_adapter_registered(struct ir_adapter *a, int code, const char *text)
{
    if (a->state != IR_AD_ACTIVATING)
        return;
    a->activation_code = code;
    snprintf(a->activation_text, sizeof(a->activation_text), "%s", text ? text : "");
    if (code)
        adapter_move(a, IR_AD_CREATED);
    else
        start_accepting(a);
    ic_loop_defer(a->rt->loop, &a->activated, tell_activated, a);
}

void ir_adapter_activate(struct ir_adapter *a, void (*done)(void *arg, int code, const char *text), void *arg)
{
    a->on_activated = done;
    a->on_activated_arg = arg;
    if (a->state == IR_AD_CREATED && a->rt->state == IR_RT_ACTIVE) {
        adapter_move(a, IR_AD_ACTIVATING);
        if (a->adapter_id.n && a->rt->locator)
            ir_adapter_register(a);
        else
            ir_adapter_registered(a, 0, NULL);
        return;
    }
    bool active = a->state == IR_AD_ACTIVE;
    a->activation_code = active ? 0 : IB_EDEACTIVATED;
    snprintf(a->activation_text, sizeof(a->activation_text), "%s", active ? "" : ib_err_text(IB_EDEACTIVATED));
    ic_loop_defer(a->rt->loop, &a->activated, tell_activated, a);
}

void ir_adapter_deactivate(struct ir_adapter *a)
{
    if (a->state == IR_AD_DEACTIVATED)
        return;
    adapter_move(a, IR_AD_DEACTIVATED);
    for (size_t i = 0; i < a->n_listeners; i++)
        ic_listener_stop(a->listeners[i].listener);
    ir_datagram_stop(a);
    if (a->registration) {
        ir_call_cancel(a->registration);
        a->registration = NULL;
    }
    if (a->registered)
        ir_adapter_unregister(a);
    if (a->on_activated && !a->activated.queued) {
        a->activation_code = IB_EDEACTIVATED;
        snprintf(a->activation_text, sizeof(a->activation_text), "%s", ib_err_text(IB_EDEACTIVATED));
        ic_loop_defer(a->rt->loop, &a->activated, tell_activated, a);
    }
    IB_LIST_FOREACH_SAFE(n, &a->conns)
    {
        struct ir_conn *c = IB_CONTAINER(n, struct ir_conn, adapter_node);
        if (c->incoming)
            ir_conn_shut(c);
    }
}

bool ir_adapter_busy(const struct ir_adapter *a)
{
    if (a->registration)
        return true;
    IB_LIST_FOREACH(n, &a->conns)
    {
        if (IB_CONTAINER(n, struct ir_conn, adapter_node)->incoming)
            return true;
    }
    return false;
}

/* --- ending --------------------------------------------------------------------------------------------------- */

static void leave_runtime(struct ir_adapter *a)
{
    ib_list_remove(&a->node);
    ic_loop_undefer(a->rt->loop, &a->activated);
    if (a->registration)
        ir_call_cancel(a->registration);
    a->registration = NULL;
    for (size_t i = 0; i < a->n_listeners; i++) {
        if (!a->mirrors)
            ir_trace_accepting(a->rt, "stopping to accept", ic_listener_endpoint(a->listeners[i].listener));
        ic_listener_free(a->listeners[i].listener);
    }
    a->n_listeners = 0;
    ir_datagram_stop(a);
    while (!ib_list_empty(&a->conns)) {
        struct ir_conn *c = IB_CONTAINER(a->conns.next, struct ir_conn, adapter_node);
        ir_conn_set_adapter(c, NULL);
        if (c->incoming)
            ic_conn_abort(c->net, IB_EDEACTIVATED, ib_err_text(IB_EDEACTIVATED));
    }
    IB_LIST_FOREACH(n, &a->rt->requests)
    {
        struct ir_request *rq = IB_CONTAINER(n, struct ir_request, node);
        if (rq->adapter == a)
            rq->adapter = NULL;
    }
    ic_tls_unref(a->tls);
    a->tls = NULL;
    ir_runtime_check_shutdown(a->rt);
    a->rt = NULL;
}

void ir_adapter_orphan(struct ir_adapter *a)
{
    leave_runtime(a);
}

void ir_adapter_pause(struct ir_adapter *a)
{
    for (size_t i = 0; i < a->n_listeners; i++)
        ic_listener_stop(a->listeners[i].listener);
}

int ir_adapter_resume(struct ir_adapter *a, struct ib_err *err)
{
    int r = 0;
    for (size_t i = 0; i < a->n_listeners && !r; i++)
        r = ic_listener_resume(a->listeners[i].listener, err);
    if (r)
        ir_adapter_pause(a);
    return r;
}

void ir_adapter_free(struct ir_adapter *a)
{
    if (!a)
        return;
    if (a->rt)
        leave_runtime(a);
    ir_servant_map_fini(&a->servants);
    ib_arena_fini(&a->arena);
    free(a->name);
    free(a);
}

/* --- asking and setting --------------------------------------------------------------------------------------- */

const char *ir_adapter_name(const struct ir_adapter *a)
{
    return a->name;
}

struct ir_runtime *ir_adapter_runtime(struct ir_adapter *a)
{
    return a->rt;
}

int ir_adapter_add(struct ir_adapter *a, const struct iw_identity *id, const char *facet, struct ir_servant *s)
{
    return ir_servant_map_add(&a->servants, id, facet, s);
}

void ir_adapter_remove(struct ir_adapter *a, const struct iw_identity *id, const char *facet)
{
    ir_servant_map_remove(&a->servants, id, facet);
}

struct ir_servant *ir_adapter_find(struct ir_adapter *a, const struct iw_identity *id, const char *facet)
{
    return ir_servant_map_find(&a->servants, id, ib_str(facet), NULL);
}

int ir_adapter_set_default(struct ir_adapter *a, struct ib_str category, struct ir_servant *s)
{
    return ir_servant_map_set_default(&a->servants, category, s);
}

void ir_adapter_set_filter(struct ir_adapter *a, bool (*fn)(void *arg, struct ir_request *rq), void *arg)
{
    a->filter = fn;
    a->filter_arg = arg;
}

void ir_adapter_set_balancers(struct ir_adapter *a, struct ic_networks *balancers)
{
    for (size_t i = 0; i < a->n_listeners; i++)
        ic_listener_set_balancers(a->listeners[i].listener, balancers);
}

void ir_adapter_on_connection(struct ir_adapter *a, void (*fn)(void *arg, struct ir_conn *c), void *arg)
{
    a->on_conn = fn;
    a->on_conn_arg = arg;
}

void ir_adapter_set_batched(struct ir_adapter *a, ir_batched_fn fn, void *arg)
{
    a->batched = fn;
    a->batched_arg = arg;
}

static struct iw_proxy *new_proxy(struct ir_adapter *a, const struct iw_identity *id, struct ib_arena *arena)
{
    struct iw_proxy *p = IB_ARENA_NEW(arena, struct iw_proxy);
    if (!p)
        return NULL;
    *p = *a->model;
    p->id.name = ib_arena_str(arena, id->name);
    p->id.category = ib_arena_str(arena, id->category);
    p->adapter_id = IB_STR("");
    p->endpoints = NULL;
    p->n_endpoints = 0;
    return p->id.name.p && p->id.category.p ? p : NULL;
}

struct iw_proxy *ir_adapter_direct_proxy(struct ir_adapter *a, const struct iw_identity *id, struct ib_arena *arena)
{
    struct iw_proxy *p = new_proxy(a, id, arena);
    if (!p)
        return NULL;
    p->n_endpoints = a->n_published;
    p->endpoints = a->published; /* borrowed just for the copy */
    return iw_proxy_copy(p, arena);
}

struct iw_proxy *ir_adapter_proxy(struct ir_adapter *a, const struct iw_identity *id, struct ib_arena *arena)
{
    if (!a->adapter_id.n)
        return ir_adapter_direct_proxy(a, id, arena);
    struct iw_proxy *p = new_proxy(a, id, arena);
    if (!p)
        return NULL;
    p->adapter_id = ib_arena_str(arena, a->replica_group_id.n ? a->replica_group_id : a->adapter_id);
    return p->adapter_id.p ? p : NULL;
}

const struct iw_endpoint *ir_adapter_endpoints(const struct ir_adapter *a, size_t *n)
{
    *n = a->n_published;
    return a->published;
}

const struct iw_endpoint *ir_adapter_bound(const struct ir_adapter *a, size_t i)
{
    return i < a->n_listeners ? ic_listener_endpoint(a->listeners[i].listener) : NULL;
}

size_t ir_adapter_each_conn(struct ir_adapter *a, void (*fn)(void *arg, struct ir_conn *c), void *arg)
{
    size_t count = 0;
    IB_LIST_FOREACH_SAFE(n, &a->conns)
    {
        fn(arg, IB_CONTAINER(n, struct ir_conn, adapter_node));
        count++;
    }
    return count;
}
