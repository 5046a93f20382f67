/* SPDX-License-Identifier: Apache-2.0 */
/* The catalog's applications: what each defines, found by id, type and replica group; the checks that span
   applications. Owns the applications; their parts belong to their arenas. */
#include "catalog_priv.h"
#include "slices.h"

#include <stdlib.h>

#include <moulin/rpc/proxy.h>
#include <moulin/wire/codec.h>

#define FIND(c, head, id, out) HASH_FIND_BYHASHVALUE(hh, head, ib_cstr(id), (id).n, reg_hash(c, (id).p, (id).n), out)
#define ADD(c, head, id, item)                                                                                         \
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, head, ib_cstr(id), (id).n, reg_hash(c, (id).p, (id).n), item)

/* --- finding ------------------------------------------------------------------------------------------------------ */

struct reg_app *reg_catalog_app(struct reg_catalog *c, struct ib_str name)
{
    struct reg_app *app;
    FIND(c, c->apps, name, app);
    return app;
}

struct reg_server *reg_catalog_server(struct reg_catalog *c, struct ib_str id)
{
    struct reg_server *s;
    FIND(c, c->servers, id, s);
    return s;
}

struct reg_adapter *reg_catalog_adapter(struct reg_catalog *c, struct ib_str id)
{
    struct reg_adapter *a;
    FIND(c, c->adapters, id, a);
    return a;
}

struct reg_group *reg_catalog_group(struct reg_catalog *c, struct ib_str id)
{
    struct reg_group *g;
    FIND(c, c->groups, id, g);
    return g;
}

static struct reg_app_object *find_object(struct reg_catalog *c, struct reg_app_object *head,
                                          const struct iw_identity *id)
{
    if (!head)
        return NULL;
    struct ib_arena arena;
    struct reg_app_object *o = NULL;
    ib_arena_init(&arena, 0);
    struct ib_span key = reg_key_identity(id, &arena);
    if (key.n)
        HASH_FIND_BYHASHVALUE(hh, head, key.p, key.n, reg_hash(c, key.p, key.n), o);
    ib_arena_fini(&arena);
    return o;
}

struct reg_app_object *reg_catalog_app_object(struct reg_catalog *c, const struct iw_identity *id)
{
    return find_object(c, c->app_objects, id);
}

struct reg_app_object *reg_catalog_allocatable(struct reg_catalog *c, const struct iw_identity *id)
{
    return find_object(c, c->allocatables, id);
}

bool reg_catalog_has_allocatable_type(struct reg_catalog *c, struct ib_str type)
{
    return reg_bucket_find(c, c->allocatable_types, type) != NULL;
}

/* --- lists -------------------------------------------------------------------------------------------------------- */

/* One sorted list of pointers to everything in a hash; compare gets pointers to pointers. */
#define LIST_ALL(type, head, compare)                                                                                  \
    size_t n = HASH_COUNT(head), i = 0;                                                                                \
    struct type **list = IB_ARENA_ARRAY(arena, n, struct type *);                                                      \
    if (!list)                                                                                                         \
        return SIZE_MAX;                                                                                               \
    for (struct type *x = head; x; x = x->hh.next)                                                                     \
        list[i++] = x;                                                                                                 \
    if (n)                                                                                                             \
        qsort(list, n, sizeof *list, compare);                                                                         \
    *out = list;                                                                                                       \
    return n

#define COMPARE(name, type, member)                                                                                    \
    static int name(const void *a, const void *b)                                                                      \
    {                                                                                                                  \
        return ib_str_cmp((*(struct type *const *)a)->member, (*(struct type *const *)b)->member);                     \
    }
COMPARE(compare_apps, reg_app, name)
COMPARE(compare_servers, reg_server, id)
COMPARE(compare_adapters, reg_adapter, id)
COMPARE(compare_groups, reg_group, id)

static int compare_objects(const void *a, const void *b)
{
    return iw_identity_cmp(&(*(struct reg_app_object *const *)a)->id, &(*(struct reg_app_object *const *)b)->id);
}

size_t reg_catalog_apps(struct reg_catalog *c, struct ib_arena *arena, struct reg_app ***out)
{
    LIST_ALL(reg_app, c->apps, compare_apps);
}

size_t reg_catalog_servers(struct reg_catalog *c, struct ib_arena *arena, struct reg_server ***out)
{
    LIST_ALL(reg_server, c->servers, compare_servers);
}

size_t reg_catalog_adapters(struct reg_catalog *c, struct ib_arena *arena, struct reg_adapter ***out)
{
    LIST_ALL(reg_adapter, c->adapters, compare_adapters);
}

size_t reg_catalog_groups(struct reg_catalog *c, struct ib_arena *arena, struct reg_group ***out)
{
    LIST_ALL(reg_group, c->groups, compare_groups);
}

size_t reg_catalog_members(struct reg_catalog *c, struct ib_str group, struct ib_arena *arena,
                           struct reg_adapter ***out)
{
    struct reg_bucket *b = reg_bucket_find(c, c->members, group);
    size_t n = b ? b->count : 0, i = 0;
    struct reg_adapter **list = IB_ARENA_ARRAY(arena, n, struct reg_adapter *);
    if (!list)
        return SIZE_MAX;
    if (b) {
        IB_LIST_FOREACH(node, &b->list)
        list[i++] = IB_CONTAINER(node, struct reg_adapter, member);
    }
    *out = list;
    return n;
}

static size_t list_objects(struct reg_catalog *c, struct reg_app_object *head, struct reg_bucket *types,
                           const struct ib_str *type, struct ib_arena *arena, struct reg_app_object ***out)
{
    if (!type) {
        LIST_ALL(reg_app_object, head, compare_objects);
    }
    struct reg_bucket *b = reg_bucket_find(c, types, *type);
    size_t n = b ? b->count : 0, i = 0;
    struct reg_app_object **list = IB_ARENA_ARRAY(arena, n, struct reg_app_object *);
    if (!list)
        return SIZE_MAX;
    if (b) {
        IB_LIST_FOREACH(node, &b->list)
        list[i++] = IB_CONTAINER(node, struct reg_app_object, by_type);
        qsort(list, n, sizeof *list, compare_objects);
    }
    *out = list;
    return n;
}

size_t reg_catalog_app_objects(struct reg_catalog *c, const struct ib_str *type, struct ib_arena *arena,
                               struct reg_app_object ***out)
{
    return list_objects(c, c->app_objects, c->object_types, type, arena, out);
}

size_t reg_catalog_allocatables(struct reg_catalog *c, const struct ib_str *type, struct ib_arena *arena,
                                struct reg_app_object ***out)
{
    return list_objects(c, c->allocatables, c->allocatable_types, type, arena, out);
}

/* --- linking ------------------------------------------------------------------------------------------------------ */

static bool link_bucket(struct reg_catalog *c, struct reg_bucket **head, struct ib_str name, struct ib_list *node)
{
    struct reg_bucket *b = reg_bucket_get(c, head, name);
    if (!b)
        return false;
    ib_list_append(&b->list, node);
    b->count++;
    return true;
}

static void unlink_bucket(struct reg_catalog *c, struct reg_bucket **head, struct ib_str name, struct ib_list *node)
{
    if (!node->next || ib_list_empty(node))
        return;
    struct reg_bucket *b = reg_bucket_find(c, *head, name);
    ib_list_remove(node);
    b->count--;
    reg_bucket_drop(head, b);
}

static bool link_objects(struct reg_catalog *c, struct reg_app *app, struct reg_app_object **head,
                         struct reg_bucket **types, struct reg_app_object *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct reg_app_object *o = &list[i];
        o->key = reg_key_identity(&o->id, &app->arena);
        if (!o->key.n)
            return false;
        HASH_ADD_KEYPTR_BYHASHVALUE(hh, *head, o->key.p, o->key.n, reg_hash(c, o->key.p, o->key.n), o);
        if (!o->hh.tbl || !link_bucket(c, types, o->type, &o->by_type))
            return false;
    }
    return true;
}

void reg_catalog_keep_places(struct reg_catalog *c, struct reg_app *app)
{
    for (size_t i = 0; i < app->n_adapters; i++) {
        const struct reg_adapter *was = reg_catalog_adapter(c, app->adapters[i].id);
        if (was)
            app->adapters[i].place = was->place;
    }
}

/* In the order of their places; a new adapter comes last. */
static bool link_member(struct reg_catalog *c, struct reg_adapter *a)
{
    struct reg_bucket *b = reg_bucket_get(c, &c->members, a->group_id);
    if (!b)
        return false;
    if (!a->place)
        a->place = ++c->last_place;
    struct ib_list *next = &b->list;
    while (next->prev != &b->list && IB_CONTAINER(next->prev, struct reg_adapter, member)->place > a->place)
        next = next->prev;
    ib_list_append(next, &a->member);
    b->count++;
    return true;
}

static bool link_all(struct reg_catalog *c, struct reg_app *app)
{
    ADD(c, c->apps, app->name, app);
    if (!app->hh.tbl)
        return false;
    for (size_t i = 0; i < app->n_servers; i++) {
        struct reg_server *s = &app->servers[i];
        ADD(c, c->servers, s->id, s);
        if (!s->hh.tbl)
            return false;
    }
    for (size_t i = 0; i < app->n_groups; i++) {
        struct reg_group *g = &app->groups[i];
        ADD(c, c->groups, g->id, g);
        if (!g->hh.tbl)
            return false;
    }
    for (size_t i = 0; i < app->n_adapters; i++) {
        struct reg_adapter *a = &app->adapters[i];
        ADD(c, c->adapters, a->id, a);
        if (!a->hh.tbl || (a->group_id.n && !link_member(c, a)))
            return false;
    }
    return link_objects(c, app, &c->app_objects, &c->object_types, app->objects, app->n_objects) &&
           link_objects(c, app, &c->allocatables, &c->allocatable_types, app->allocatables, app->n_allocatables);
}

#define UNLINK(head, item)                                                                                             \
    do {                                                                                                               \
        if ((item)->hh.tbl) {                                                                                          \
            HASH_DELETE(hh, head, item);                                                                               \
            (item)->hh.tbl = NULL;                                                                                     \
        }                                                                                                              \
    } while (0)

static void unlink_objects(struct reg_catalog *c, struct reg_app_object **head, struct reg_bucket **types,
                           struct reg_app_object *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        UNLINK(*head, &list[i]);
        unlink_bucket(c, types, list[i].type, &list[i].by_type);
    }
}

void reg_catalog_unlink_app(struct reg_catalog *c, struct reg_app *app)
{
    UNLINK(c->apps, app);
    for (size_t i = 0; i < app->n_servers; i++)
        UNLINK(c->servers, &app->servers[i]);
    for (size_t i = 0; i < app->n_groups; i++)
        UNLINK(c->groups, &app->groups[i]);
    for (size_t i = 0; i < app->n_adapters; i++) {
        UNLINK(c->adapters, &app->adapters[i]);
        unlink_bucket(c, &c->members, app->adapters[i].group_id, &app->adapters[i].member);
    }
    unlink_objects(c, &c->app_objects, &c->object_types, app->objects, app->n_objects);
    unlink_objects(c, &c->allocatables, &c->allocatable_types, app->allocatables, app->n_allocatables);
}

int reg_catalog_link_app(struct reg_catalog *c, struct reg_app *app)
{
    if (link_all(c, app))
        return 0;
    reg_catalog_unlink_app(c, app);
    return IB_ENOMEM;
}

void reg_app_free(struct reg_app *app)
{
    if (!app)
        return;
    ib_arena_fini(&app->arena);
    free(app);
}

void reg_catalog_free_apps(struct reg_catalog *c)
{
    struct reg_app *app, *next;
    HASH_ITER(hh, c->apps, app, next)
    {
        reg_catalog_unlink_app(c, app);
        reg_app_free(app);
    }
}

/* --- checks across applications (icegrid-registry 9.1, 10.5.7) ------------------------------------------------------
 */

static int registered(struct ib_err *err, const char *what, const char *name)
{
    return ib_err_set(err, IB_EEXISTS, "%s `%s' is already registered", what, name);
}

static int check_adapter_id(struct reg_catalog *c, struct ib_str id, const struct reg_app *replaces, struct ib_err *err)
{
    struct reg_adapter *a = reg_catalog_adapter(c, id);
    struct reg_group *g = reg_catalog_group(c, id);
    if (replaces && ((a && a->server->app == replaces) || (g && g->app == replaces)))
        return 0;
    if (a || g || reg_catalog_has_dynamic(c, id) || reg_catalog_has_dynamic_group(c, id))
        return registered(err, "adapter", ib_cstr(id));
    return 0;
}

static int check_object(struct reg_catalog *c, const struct iw_identity *id, const struct reg_app *replaces,
                        struct ib_err *err)
{
    struct reg_app_object *known = reg_catalog_app_object(c, id), *allocatable = reg_catalog_allocatable(c, id);
    if (replaces && ((known && known->app == replaces) || (allocatable && allocatable->app == replaces)))
        return 0;
    if (!known && !allocatable && !reg_catalog_has_object(c, id))
        return 0;
    struct ib_arena arena;
    ib_arena_init(&arena, 0);
    int rc = registered(err, "object", ib_cstr(ir_identity_format(id, IR_UNICODE, &arena)));
    ib_arena_fini(&arena);
    return rc;
}

static int check_group(struct reg_catalog *c, struct ib_str id, const struct reg_app *app,
                       const struct reg_app *replaces, struct ib_err *err)
{
    for (size_t i = 0; i < app->n_groups; i++)
        if (ib_str_eq(app->groups[i].id, id))
            return 0;
    struct reg_group *g = reg_catalog_group(c, id);
    if (g && g->app != replaces)
        return 0;
    return ib_err_set(err, IB_EINVAL, "couldn't find replica group `%s'", ib_cstr(id));
}

/* Is a group of old used by adapters of other applications, and no longer defined by now? */
static int check_groups_kept(struct reg_catalog *c, const struct reg_app *old, const struct reg_app *now,
                             struct ib_err *err)
{
    for (size_t i = 0; i < old->n_groups; i++) {
        struct ib_str id = old->groups[i].id;
        bool kept = false;
        for (size_t k = 0; now && k < now->n_groups && !kept; k++)
            kept = ib_str_eq(now->groups[k].id, id);
        struct reg_bucket *b = kept ? NULL : reg_bucket_find(c, c->members, id);
        if (!b)
            continue;
        IB_LIST_FOREACH(node, &b->list)
        if (IB_CONTAINER(node, struct reg_adapter, member)->server->app != old)
            return ib_err_set(err, IB_EINVAL,
                              "couldn't remove application because the replica group `%s' is used by object "
                              "adapters from other applications.",
                              ib_cstr(id));
    }
    return 0;
}

int reg_catalog_check_remove(struct reg_catalog *c, const struct reg_app *app, struct ib_err *err)
{
    return check_groups_kept(c, app, NULL, err);
}

int reg_catalog_check_app(struct reg_catalog *c, const struct reg_app *app, const struct reg_app *replaces,
                          struct ib_err *err)
{
    int rc = 0;
    for (size_t i = 0; i < app->n_servers && !rc; i++) {
        struct reg_server *s = reg_catalog_server(c, app->servers[i].id);
        if (s && s->app != replaces)
            rc = registered(err, "server", ib_cstr(s->id));
    }
    for (size_t i = 0; i < app->n_adapters && !rc; i++)
        rc = check_adapter_id(c, app->adapters[i].id, replaces, err);
    for (size_t i = 0; i < app->n_groups && !rc; i++)
        rc = check_adapter_id(c, app->groups[i].id, replaces, err);
    for (size_t i = 0; i < app->n_objects && !rc; i++)
        rc = check_object(c, &app->objects[i].id, replaces, err);
    for (size_t i = 0; i < app->n_allocatables && !rc; i++)
        rc = check_object(c, &app->allocatables[i].id, replaces, err);
    for (size_t i = 0; i < app->n_adapters && !rc; i++)
        if (app->adapters[i].group_id.n)
            rc = check_group(c, app->adapters[i].group_id, app, replaces, err);
    return rc || !replaces ? rc : check_groups_kept(c, replaces, app, err);
}
