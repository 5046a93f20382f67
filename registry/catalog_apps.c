/* SPDX-License-Identifier: Apache-2.0 */
/* The catalog's applications: what each defines, found by id, type and replica group; the checks that span
   applications. Owns the applications; their parts belong to their arenas. */
#include "catalog_priv.h"
#include "slices.h"

#include <stdlib.h>

#include <moulin/rpc/proxy.h>
#include <moulin/wire/codec.h>

/* The hash once: uthash's macros name it more than once. */
#define FIND(c, head, id, out)                                                                                         \
    do {                                                                                                               \
        const unsigned hash_ = (head) ? reg_hash(c, (id).p, (id).n) : 0;                                               \
        HASH_FIND_BYHASHVALUE(hh, head, ib_cstr(id), (id).n, hash_, out);                                              \
    } while (0)
#define ADD(c, head, id, item)                                                                                         \
    do {                                                                                                               \
        const unsigned hash_ = reg_hash(c, (id).p, (id).n);                                                            \
        HASH_ADD_KEYPTR_BYHASHVALUE(hh, head, ib_cstr(id), (id).n, hash_, item);                                       \
    } while (0)

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

struct reg_app_object *reg_app_object_find(const struct reg_catalog *c, struct reg_app_object *head, struct ib_span key)
{
    struct reg_app_object *o = NULL;
    if (head && key.n) {
        const unsigned hash = reg_hash(c, key.p, key.n);
        HASH_FIND_BYHASHVALUE(hh, head, key.p, key.n, hash, o);
    }
    return o;
}

static struct reg_app_object *find_object(struct reg_catalog *c, struct reg_app_object *head,
                                          const struct iw_identity *id)
{
    if (!head)
        return NULL;
    struct reg_key k;
    struct reg_app_object *o = reg_app_object_find(c, head, reg_key_begin(&k, &iw_identity_type, id));
    reg_key_end(&k);
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

static int compare_places(const void *a, const void *b)
{
    const struct reg_adapter *x = IB_CONTAINER(*(struct reg_member *const *)a, struct reg_adapter, in_group);
    const struct reg_adapter *y = IB_CONTAINER(*(struct reg_member *const *)b, struct reg_adapter, in_group);
    return (x->place > y->place) - (x->place < y->place);
}

size_t reg_catalog_members(struct reg_catalog *c, struct ib_str group, struct ib_arena *arena,
                           struct reg_adapter ***out)
{
    struct reg_bucket *b = reg_bucket_find(c, c->members, group);
    size_t n = b ? b->n : 0;
    struct reg_adapter **list = IB_ARENA_ARRAY(arena, n, struct reg_adapter *);
    if (!list)
        return SIZE_MAX;
    struct reg_member **items = b ? reg_bucket_sorted(b, compare_places) : NULL;
    for (size_t i = 0; i < n; i++)
        list[i] = IB_CONTAINER(items[i], struct reg_adapter, in_group);
    *out = list;
    return n;
}

int reg_app_object_compare(const void *a, const void *b)
{
    return iw_identity_cmp(&IB_CONTAINER(*(struct reg_member *const *)a, struct reg_app_object, in_type)->id,
                           &IB_CONTAINER(*(struct reg_member *const *)b, struct reg_app_object, in_type)->id);
}

size_t reg_catalog_app_objects(struct reg_catalog *c, struct ib_arena *arena, struct reg_app_object ***out)
{
    LIST_ALL(reg_app_object, c->app_objects, compare_objects);
}

size_t reg_catalog_allocatable_count(struct reg_catalog *c, struct ib_str type)
{
    const struct reg_bucket *b = reg_bucket_find(c, c->allocatable_types, type);
    return b ? b->n : 0;
}

struct reg_app_object *reg_catalog_allocatable_nth(struct reg_catalog *c, struct ib_str type, size_t i)
{
    return IB_CONTAINER(reg_bucket_find(c, c->allocatable_types, type)->items[i], struct reg_app_object, in_type);
}

/* --- linking ------------------------------------------------------------------------------------------------------ */

/* The object as the table has its own: an encoded ObjectInfo, which begins with the proxy. */
static bool encode_object(struct reg_app *app, struct reg_app_object *o)
{
    const struct IceGrid_ObjectInfo info = {.proxy = o->proxy, .type = o->type};
    struct ib_buf b;
    ib_buf_init(&b);
    int rc = iw_encode_value(&IceGrid_ObjectInfo_type, &info, IW_ENCODING_1_1, &b);
    const size_t n = b.n;
    if (!rc)
        rc = iw_proxy_encode(o->proxy, IW_ENCODING_1_1, &b); /* to know its size */
    uint8_t *p = rc ? NULL : ib_arena_alloc(&app->arena, n);
    if (p) {
        memcpy(p, b.p, n);
        o->info = (struct ib_span){p, n};
        o->proxy_end = b.n - n;
    }
    ib_buf_fini(&b);
    return p != NULL;
}

static bool link_objects(struct reg_catalog *c, struct reg_app *app, struct reg_app_object **head,
                         struct reg_bucket **types, struct reg_app_object *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct reg_app_object *o = &list[i];
        o->key = reg_key_identity(&o->id, &app->arena);
        if (!o->key.n || !encode_object(app, o))
            return false;
        const unsigned hash = reg_hash(c, o->key.p, o->key.n);
        HASH_ADD_KEYPTR_BYHASHVALUE(hh, *head, o->key.p, o->key.n, hash, o);
        if (!o->hh.tbl || !reg_bucket_add(c, types, o->type, &o->in_type))
            return false;
        reg_sites_add_object(c, o);
    }
    return true;
}

void reg_catalog_keep_places(struct reg_catalog *c, struct reg_app *app)
{
    for (size_t i = 0; i < app->n_adapters; i++) {
        struct reg_adapter *is = &app->adapters[i];
        const struct reg_adapter *was = reg_catalog_adapter(c, is->id);
        if (was && ib_str_eq(was->group_id, is->group_id) && ib_str_eq(was->server->node, is->server->node))
            is->place = was->place;
    }
    for (size_t i = 0; i < app->n_groups; i++) {
        const struct reg_group *was = reg_catalog_group(c, app->groups[i].id);
        if (was)
            app->groups[i].turn = was->turn;
    }
}

/* A new adapter comes last. */
static bool link_member(struct reg_catalog *c, struct reg_adapter *a)
{
    if (!reg_bucket_add(c, &c->members, a->group_id, &a->in_group))
        return false;
    if (!a->place)
        a->place = ++c->last_place;
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

static void unlink_objects(struct reg_app_object **head, struct reg_bucket **types, struct reg_app_object *list,
                           size_t n)
{
    for (size_t i = 0; i < n; i++) {
        UNLINK(*head, &list[i]);
        if (list[i].in_type.bucket)
            reg_sites_remove(list[i].in_type.bucket, &list[i].in_site);
        reg_bucket_remove(types, &list[i].in_type);
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
        reg_bucket_remove(&c->members, &app->adapters[i].in_group);
    }
    unlink_objects(&c->app_objects, &c->object_types, app->objects, app->n_objects);
    unlink_objects(&c->allocatables, &c->allocatable_types, app->allocatables, app->n_allocatables);
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
        for (uint32_t k = 0; k < b->n; k++)
            if (IB_CONTAINER(b->items[k], struct reg_adapter, in_group)->server->app != old)
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
