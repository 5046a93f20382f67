/* SPDX-License-Identifier: Apache-2.0 */
/* Allocatable objects: who has which, who waits for which (icegrid-registry 7.3). Owners are kept by identity, beside
   the catalog, so that an update of an application does not take anything from anybody. Waiting requests stand in one
   line, oldest first; whoever is first and wants what became free gets it. A request that stopped waiting leaves
   nothing behind. */
#include "locate.h"
#include "nodes.h"
#include "sessions.h"

#include <moulin/base/clock.h>
#include <moulin/base/log.h>

#include <stdlib.h>

#define MAX_WAITING 100000
#define MAX_WAITING_PER_SESSION 1000

enum { LARGE_POOL = 32, GUESSES = 8 };

struct alloc_server {
    char *key; /* owns; the id */
    struct reg_session *owner;
    size_t n; /* objects of it that the owner has */
    UT_hash_handle hh;
};

/* Exists while somebody has the object. */
struct alloc_object {
    struct iw_identity id; /* these borrow from text */
    struct ib_str type;
    struct reg_session *owner;
    struct alloc_server *server; /* NULL: the server is not allocatable itself */
    unsigned count;
    struct ib_list owned; /* in owner->owned */
    UT_hash_handle hh; /* by encoded identity */
    char text[]; /* name, category and type with a NUL each; the key */
};

struct reg_alloc_request {
    struct ib_list node; /* in reg_alloc.line */
    struct ib_list mine; /* in session->waiting */
    struct reg_alloc *alloc;
    struct reg_session *session; /* borrows: its end cancels us */
    struct ir_request *rq;
    bool by_type;
    struct iw_identity id; /* borrows from rq */
    struct ib_str type; /* borrows from rq */
    struct ic_timer timer;
};

struct reg_alloc {
    struct reg_sessions *sessions;
    struct alloc_object *objects;
    struct alloc_server *servers;
    struct ib_list line; /* reg_alloc_request.node */
    size_t n_waiting;
    struct reg_observer observer;
};

/* --- who has what ------------------------------------------------------------------------------------------------ */

static struct alloc_object *find_object(struct reg_alloc *a, const struct iw_identity *id)
{
    struct alloc_object *o = NULL;
    struct reg_key k;
    struct ib_span key;

    if (a->objects == NULL)
        return NULL;
    key = reg_key_begin(&k, &iw_identity_type, id);
    if (key.n != 0)
        HASH_FIND(hh, a->objects, key.p, key.n, o);
    reg_key_end(&k);
    return o;
}

static struct alloc_server *find_server(struct reg_alloc *a, struct ib_str id)
{
    struct alloc_server *v = NULL;

    HASH_FIND(hh, a->servers, ib_cstr(id), id.n, v);
    return v;
}

/* The object's server when it is allocated as a whole. */
static struct reg_server *whole_server(const struct reg_app_object *object)
{
    struct reg_server *v = object->adapter ? object->adapter->server : NULL;

    return v != NULL && v->allocatable ? v : NULL;
}

static bool is_free(struct reg_alloc *a, const struct reg_app_object *object, const struct reg_session *s)
{
    const struct reg_server *whole = whole_server(object);
    const struct alloc_server *v = whole ? find_server(a, whole->id) : NULL;

    return find_object(a, &object->id) == NULL && (v == NULL || v->owner == s);
}

static struct alloc_server *take_server(struct reg_alloc *a, struct ib_str id, struct reg_session *s)
{
    struct alloc_server *v = find_server(a, id);

    if (v == NULL) {
        v = calloc(1, sizeof(*v));
        if (v == NULL || (v->key = strndup(ib_cstr(id), id.n)) == NULL) {
            free(v);
            return NULL;
        }
        v->owner = s;
        HASH_ADD_KEYPTR(hh, a->servers, v->key, id.n, v);
        if (v->hh.tbl == NULL) {
            free(v->key);
            free(v);
            return NULL;
        }
        reg_trace(a->sessions->reg, REG_TRACE_SERVER, 2, "server `%s' allocated by `%s' (0)", ib_cstr(id),
                  ib_cstr(s->user));
    }
    v->n++;
    return v;
}

static void leave_server(struct reg_alloc *a, struct alloc_server *v)
{
    if (--v->n > 0)
        return;
    reg_trace(a->sessions->reg, REG_TRACE_SERVER, 2, "server `%s' released by `%s' (0)", v->key,
              ib_cstr(v->owner->user));
    reg_session_server_release(a->sessions->reg, ib_str(v->key));
    HASH_DEL(a->servers, v);
    free(v->key);
    free(v);
}

/* s and a NUL at *p, which moves behind them. */
static struct ib_str keep(char **p, struct ib_str s)
{
    struct ib_str kept = {*p, s.n};

    if (s.n != 0)
        memcpy(*p, s.p, s.n);
    *p += s.n + 1; /* the memory is zeroed */
    return kept;
}

static int take(struct reg_alloc *a, const struct reg_app_object *object, struct reg_session *s)
{
    const struct reg_server *whole = whole_server(object);
    const struct ib_span key = object->key;
    struct alloc_object *o =
        calloc(1, sizeof(*o) + object->id.name.n + object->id.category.n + object->type.n + 3 + key.n);
    char *p;

    if (o == NULL)
        return IB_ENOMEM;
    p = o->text;
    o->id.name = keep(&p, object->id.name);
    o->id.category = keep(&p, object->id.category);
    o->type = keep(&p, object->type);
    memcpy(p, key.p, key.n);
    if (whole != NULL && (o->server = take_server(a, whole->id, s)) == NULL)
        goto fail;
    HASH_ADD_KEYPTR(hh, a->objects, p, key.n, o);
    if (o->hh.tbl == NULL) {
        if (o->server != NULL)
            leave_server(a, o->server);
        goto fail;
    }
    o->owner = s;
    o->count = 1;
    ib_list_append(&s->owned, &o->owned);
    reg_trace_allocation(s, &o->id, "allocated");
    return 0;
fail:
    free(o);
    return IB_ENOMEM;
}

/* --- answering --------------------------------------------------------------------------------------------------- */

static void refuse(struct ir_request *rq, const char *reason)
{
    IceGrid_AllocationException_throw(rq, &(struct IceGrid_AllocationException){.reason = ib_str(reason)});
}

static void refuse_type(struct ir_request *rq, struct ib_str type, const char *lacking)
{
    struct ib_str reason =
        ib_arena_printf(ir_request_arena(rq), "no allocatable objects with type `%s' %s", ib_cstr(type), lacking);

    refuse(rq, ib_cstr(reason));
}

static void refuse_unknown(struct ir_request *rq, const struct iw_identity *id)
{
    IceGrid_ObjectNotRegisteredException_throw(rq, &(struct IceGrid_ObjectNotRegisteredException){.id = *id});
}

static void refuse_timeout(struct ir_request *rq)
{
    static const struct IceGrid_AllocationTimeoutException late = {.base = {.reason = {"", 0}}};

    IceGrid_AllocationTimeoutException_throw(rq, &late);
}

/* An answer that waits until the object's server is loaded for the session, and the router lets the client reach it. */
struct answer {
    struct reg_session_hold hold;
    struct reg_session *session; /* shares */
    struct ir_request *rq;
    struct iw_proxy *proxy;
    bool by_type;
};

static void send_answer(void *arg, bool ok)
{
    struct answer *a = arg;

    (void)ok; /* the object is the session's either way; the router refuses what it was not told */
    reg_session_unref(a->session);
    if (a->by_type)
        IceGrid_Session_allocateObjectByType_reply(a->rq,
                                                   &(struct IceGrid_Session_allocateObjectByType_out){.ret = a->proxy});
    else
        IceGrid_Session_allocateObjectById_reply(a->rq,
                                                 &(struct IceGrid_Session_allocateObjectById_out){.ret = a->proxy});
}

/* The object becomes (or is no more) within the reach of a router's user; of an allocatable server everything does. */
static void tell_router(struct reg_session *s, bool add, const struct iw_identity *id, const struct reg_server *whole,
                        void (*then)(void *arg, bool ok), void *arg)
{
    const struct reg_app *app = whole != NULL ? whole->app : NULL;
    struct iw_identity one = *id, *ids = &one;
    struct reg_filter_change change = {.ids = &one, .n_ids = 1};
    struct ib_str *adapters = NULL;
    struct ib_arena arena;

    ib_arena_init(&arena, 0);
    if (app != NULL && s->filters) {
        ids = IB_ARENA_ARRAY(&arena, app->n_objects + app->n_allocatables + 1, struct iw_identity);
        adapters = IB_ARENA_ARRAY(&arena, app->n_adapters, struct ib_str);
    }
    if (app != NULL && ids != NULL && adapters != NULL) {
        change = (struct reg_filter_change){.ids = ids, .adapters = adapters};
        for (size_t i = 0; i < app->n_adapters; i++)
            if (app->adapters[i].server == whole)
                adapters[change.n_adapters++] = app->adapters[i].id;
        for (size_t i = 0; i < app->n_objects; i++)
            if (app->objects[i].adapter != NULL && app->objects[i].adapter->server == whole)
                ids[change.n_ids++] = app->objects[i].id;
        for (size_t i = 0; i < app->n_allocatables; i++)
            if (whole_server(&app->allocatables[i]) == whole)
                ids[change.n_ids++] = app->allocatables[i].id;
    }
    reg_filter_tell(s, add, &change, then, arg);
    ib_arena_fini(&arena);
}

static void on_server_held(void *arg)
{
    struct answer *a = arg;
    const struct iw_identity *id = &a->proxy->id;
    const struct reg_app_object *object = reg_catalog_allocatable(a->session->sessions->reg->catalog, id);

    tell_router(a->session, true, id, object != NULL ? whole_server(object) : NULL, send_answer, a);
}

static void grant(struct reg_session *s, struct ir_request *rq, const struct reg_app_object *object, bool by_type)
{
    struct answer *a = IB_ARENA_NEW(ir_request_arena(rq), struct answer);

    if (a != NULL)
        a->proxy = iw_proxy_copy(object->proxy, ir_request_arena(rq));
    if (a == NULL || a->proxy == NULL) {
        ir_request_fail_local(rq, IB_ENOMEM, "out of memory");
        return;
    }
    a->hold = (struct reg_session_hold){on_server_held, a};
    a->session = reg_session_ref(s);
    a->rq = rq;
    a->by_type = by_type;
    reg_session_server_hold(s->sessions->reg, whole_server(object), s->user, &a->hold);
}

/* Takes a free object and answers, or says that memory is short. */
static void take_and_grant(struct reg_session *s, struct ir_request *rq, const struct reg_app_object *object,
                           bool by_type)
{
    int rc = take(s->sessions->alloc, object, s);

    if (rc != 0)
        ir_request_fail_local(rq, rc, ib_err_text(rc));
    else
        grant(s, rq, object, by_type);
}

/* --- the line ---------------------------------------------------------------------------------------------------- */

/* Out of the line; the caller answers. */
static struct ir_request *leave(struct reg_alloc_request *r)
{
    struct ir_request *rq = r->rq;

    ir_request_on_cancel(rq, NULL, NULL);
    ib_list_remove(&r->node);
    ib_list_remove(&r->mine);
    r->alloc->n_waiting--;
    r->session->n_waiting--;
    ic_timer_fini(&r->timer);
    free(r);
    return rq;
}

static void on_timeout(void *arg)
{
    refuse_timeout(leave(arg));
}

static void on_cancel(void *arg, struct ir_request *rq)
{
    (void)rq;
    refuse(leave(arg), "connection closed");
}

static void wait_in_line(struct reg_session *s, struct ir_request *rq, const struct iw_identity *id,
                         const struct ib_str *type)
{
    struct reg_alloc *a = s->sessions->alloc;
    struct reg_alloc_request *r;

    if (s->allocation_timeout_ms == 0) {
        refuse_timeout(rq);
        return;
    }
    if (a->n_waiting >= MAX_WAITING || s->n_waiting >= MAX_WAITING_PER_SESSION) {
        refuse(rq, "too many allocation requests are waiting");
        return;
    }
    r = calloc(1, sizeof(*r));
    if (r == NULL) {
        ir_request_fail_local(rq, IB_ENOMEM, "out of memory");
        return;
    }
    r->alloc = a;
    r->session = s;
    r->rq = rq;
    r->by_type = type != NULL;
    if (type != NULL)
        r->type = *type;
    else
        r->id = *id;
    ib_list_append(&a->line, &r->node);
    ib_list_append(&s->waiting, &r->mine);
    a->n_waiting++;
    s->n_waiting++;
    ic_timer_init(&r->timer, s->sessions->reg->loop, on_timeout, r);
    if (s->allocation_timeout_ms > 0)
        ic_timer_start(&r->timer, s->allocation_timeout_ms);
    ir_request_on_cancel(rq, on_cancel, r);
}

/* --- becoming free ------------------------------------------------------------------------------------------------ */

/* What a release gives back. */
struct freed {
    struct iw_identity id;
    struct ib_str type, server; /* server: empty unless it became free as a whole */
};

/* A free object of that type on that server. */
static struct reg_app_object *free_on_server(struct reg_alloc *a, struct ib_str server_id, struct ib_str type,
                                             const struct reg_session *s)
{
    struct reg_server *server = reg_catalog_server(a->sessions->reg->catalog, server_id);

    for (size_t i = 0; server != NULL && i < server->app->n_allocatables; i++) {
        struct reg_app_object *o = &server->app->allocatables[i];

        if (ib_str_eq(o->type, type) && whole_server(o) == server && is_free(a, o, s))
            return o;
    }
    return NULL;
}

/* What of the freed things this request may have; NULL: nothing. */
static struct reg_app_object *wants(struct reg_alloc *a, const struct reg_alloc_request *r, const struct freed *f)
{
    struct reg_catalog *catalog = a->sessions->reg->catalog;
    struct reg_app_object *o = NULL;

    if (!r->by_type) {
        if (f->server.n == 0 && !iw_identity_equal(&r->id, &f->id))
            return NULL;
        o = reg_catalog_allocatable(catalog, &r->id);
        return o != NULL && is_free(a, o, r->session) ? o : NULL;
    }
    if (ib_str_eq(r->type, f->type))
        o = reg_catalog_allocatable(catalog, &f->id);
    if (o != NULL && ib_str_eq(o->type, r->type) && is_free(a, o, r->session))
        return o;
    return f->server.n != 0 ? free_on_server(a, f->server, r->type, r->session) : NULL;
}

/* Two requests of one session for the same object: the second is satisfied with the first. */
static bool has_it_already(struct reg_alloc *a, const struct reg_alloc_request *r)
{
    struct alloc_object *o = r->by_type ? NULL : find_object(a, &r->id);

    if (o == NULL || o->owner != r->session)
        return false;
    o->count++;
    return true;
}

static void serve_line(struct reg_alloc *a, const struct freed *f)
{
    bool taken = false;

    IB_LIST_FOREACH_SAFE(it, &a->line)
    {
        struct reg_alloc_request *r = IB_CONTAINER(it, struct reg_alloc_request, node);
        /* One object became free: once it is taken there is nothing to want. Of a whole server there may be more. */
        struct reg_app_object *o = taken && f->server.n == 0 ? NULL : wants(a, r, f);
        struct reg_session *s = r->session;
        bool by_type = r->by_type;

        if (o != NULL) {
            take_and_grant(s, leave(r), o, by_type);
            taken = true;
        } else if (!by_type && iw_identity_equal(&r->id, &f->id) && has_it_already(a, r)) {
            o = reg_catalog_allocatable(a->sessions->reg->catalog, &r->id);
            if (o != NULL)
                grant(s, leave(r), o, false);
        }
    }
}

static void send_released(void *arg, bool ok)
{
    (void)ok;
    IceGrid_Session_releaseObject_reply(arg, NULL);
}

/* Closes the router's filters behind what a living session gave back, a server's when all of it is back; then answers
   rq (NULL: nobody asked). */
static void withdraw(struct reg_alloc *a, const struct alloc_object *o, const struct freed *f, struct ir_request *rq)
{
    if (!o->owner->gone && (o->server == NULL || f->server.n != 0))
        tell_router(o->owner, false, &o->id,
                    f->server.n != 0 ? reg_catalog_server(a->sessions->reg->catalog, f->server) : NULL,
                    rq != NULL ? send_released : NULL, rq);
    else if (rq != NULL)
        send_released(rq, true);
}

/* Ends the ownership and gives the object to the next in line; answers rq (may be NULL). */
static void give_back(struct reg_alloc *a, struct alloc_object *o, struct ir_request *rq)
{
    struct freed f = {.id = o->id, .type = o->type, .server = IB_STR("")};
    char *server = NULL;

    reg_trace_allocation(o->owner, &o->id, "released");
    HASH_DEL(a->objects, o);
    ib_list_remove(&o->owned);
    if (o->server != NULL) {
        if (o->server->n == 1 && (server = strdup(o->server->key)) != NULL)
            f.server = ib_str(server);
        leave_server(a, o->server);
    }
    withdraw(a, o, &f, rq);
    serve_line(a, &f);
    free(server);
    free(o);
}

/* --- operations -------------------------------------------------------------------------------------------------- */

void reg_allocate_by_id(struct reg_session *s, struct ir_request *rq, const struct iw_identity *id)
{
    struct reg_alloc *a = s->sessions->alloc;
    struct reg_app_object *object = reg_catalog_allocatable(s->sessions->reg->catalog, id);
    const struct alloc_object *o = find_object(a, id);

    if (object == NULL)
        refuse_unknown(rq, id);
    else if (o != NULL && o->owner == s)
        refuse(rq, "already allocated by the session");
    else if (is_free(a, object, s))
        take_and_grant(s, rq, object, false);
    else
        wait_in_line(s, rq, id, NULL);
}

static bool is_enabled(struct reg *reg, const struct reg_app_object *object)
{
    const struct reg_server *server = object->adapter != NULL ? object->adapter->server : NULL;

    return server == NULL || reg_node_server_enabled(reg, server->node, server->id);
}

/* In a large pool the first look at random mostly finds a free one; NULL: not this time. */
static struct reg_app_object *guess(struct reg_alloc *a, const struct reg_session *s, struct ib_str type, size_t n)
{
    struct reg_catalog *catalog = a->sessions->reg->catalog;

    for (int i = 0; i < GUESSES && n > LARGE_POOL; i++) {
        struct reg_app_object *o = reg_catalog_allocatable_nth(catalog, type, reg_random_below(n));

        if (is_free(a, o, s) && is_enabled(a->sessions->reg, o))
            return o;
    }
    return NULL;
}

/* One of the free objects of the type, each as likely; *n is how many objects the type has, *enabled whether one of
   them has a server that may run. */
static struct reg_app_object *choose(struct reg_alloc *a, const struct reg_session *s, struct ib_str type, size_t *n,
                                     bool *enabled)
{
    struct reg_catalog *catalog = a->sessions->reg->catalog;
    struct reg_app_object *chosen, *o;
    size_t seen = 0;

    *n = reg_catalog_allocatable_count(catalog, type);
    chosen = guess(a, s, type, *n);
    *enabled = chosen != NULL;
    for (size_t i = 0, left = chosen == NULL ? *n : 0; i < left; i++) {
        o = reg_catalog_allocatable_nth(catalog, type, i);
        if (!is_enabled(a->sessions->reg, o))
            continue;
        *enabled = true;
        if (is_free(a, o, s) && (++seen == 1 || reg_random_below(seen) == 0))
            chosen = o;
    }
    return chosen;
}

void reg_allocate_by_type(struct reg_session *s, struct ir_request *rq, struct ib_str type)
{
    size_t n;
    bool enabled;
    struct reg_app_object *object = choose(s->sessions->alloc, s, type, &n, &enabled);

    if (n == 0)
        refuse_type(rq, type, "registered");
    else if (!enabled)
        refuse_type(rq, type, "enabled");
    else if (object != NULL)
        take_and_grant(s, rq, object, true);
    else
        wait_in_line(s, rq, NULL, &type);
}

void reg_release(struct reg_session *s, struct ir_request *rq, const struct iw_identity *id)
{
    struct reg_alloc *a = s->sessions->alloc;
    struct alloc_object *o = find_object(a, id);

    if (reg_catalog_allocatable(s->sessions->reg->catalog, id) == NULL) {
        refuse_unknown(rq, id);
        return;
    }
    if (o == NULL || o->owner != s) {
        refuse(rq, "can't release object which is not allocated");
        return;
    }
    if (--o->count == 0)
        give_back(a, o, rq);
    else
        IceGrid_Session_releaseObject_reply(rq, NULL);
}

void reg_alloc_session_gone(struct reg_session *s)
{
    while (!ib_list_empty(&s->waiting))
        refuse(leave(IB_CONTAINER(s->waiting.next, struct reg_alloc_request, mine)), "session destroyed");
    while (!ib_list_empty(&s->owned))
        give_back(s->sessions->alloc, IB_CONTAINER(s->owned.next, struct alloc_object, owned), NULL);
}

/* --- changes of what is deployed ---------------------------------------------------------------------------------- */

static void refuse_gone(struct reg_alloc_request *r)
{
    struct iw_identity id = r->id; /* these live with the request */
    struct ib_str type = r->type;
    bool by_type = r->by_type;
    struct ir_request *rq = leave(r);

    if (by_type)
        refuse_type(rq, type, "registered");
    else
        refuse_unknown(rq, &id);
}

/* After an application came, changed or went: requests for what is no more are refused, new objects are handed out. */
static void on_event(struct reg_observer *observer, const struct reg_event *ev)
{
    struct reg_alloc *a = IB_CONTAINER(observer, struct reg_alloc, observer);
    struct reg_catalog *catalog = a->sessions->reg->catalog;

    if (ev->topic != REG_TOPIC_APPLICATION)
        return;
    IB_LIST_FOREACH_SAFE(it, &a->line)
    {
        struct reg_alloc_request *r = IB_CONTAINER(it, struct reg_alloc_request, node);
        struct reg_session *s = r->session;
        struct reg_app_object *o;
        bool by_type = r->by_type;
        size_t n = 1;
        bool enabled;

        if (by_type) {
            o = choose(a, s, r->type, &n, &enabled);
        } else {
            o = reg_catalog_allocatable(catalog, &r->id);
            n = o != NULL;
            o = o != NULL && is_free(a, o, s) ? o : NULL;
        }
        if (o != NULL)
            take_and_grant(s, leave(r), o, by_type);
        else if (n == 0)
            refuse_gone(r);
    }
}

struct reg_alloc *reg_alloc_new(struct reg_sessions *ss)
{
    struct reg_alloc *a = calloc(1, sizeof(*a));

    if (a == NULL)
        return NULL;
    a->sessions = ss;
    ib_list_init(&a->line);
    a->observer.event = on_event;
    reg_observe(ss->reg, &a->observer);
    return a;
}

void reg_alloc_free(struct reg_alloc *a)
{
    if (a == NULL)
        return;
    reg_unobserve(&a->observer);
    free(a);
}
