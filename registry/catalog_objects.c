/* SPDX-License-Identifier: Apache-2.0 */
/* Objects as they are encoded, deployed ones and those of the table together: one, those of a type, those of a type
   that run in the same place. The places of a type are made out when somebody asks for them first, and kept from then
   on. */
#include "catalog_priv.h"

#include <stdlib.h>

#include <moulin/wire/codec.h>

static struct reg_object of_entry(const struct reg_entry *e)
{
    return (struct reg_object){NULL, reg_entry_value(e), reg_entry_proxy(e)};
}

static struct reg_object of_deployed(const struct reg_app_object *o)
{
    return (struct reg_object){o, o->info, {o->info.p, o->proxy_end}};
}

static struct reg_entry *entry_at(const struct reg_bucket *b, size_t i)
{
    return IB_CONTAINER(b->items[i], struct reg_entry, in_bucket);
}

static struct reg_app_object *deployed_at(const struct reg_bucket *b, size_t i)
{
    return IB_CONTAINER(b->items[i], struct reg_app_object, in_type);
}

/* --- one, and those of a type ------------------------------------------------------------------------------------ */

bool reg_catalog_find(struct reg_catalog *c, const struct iw_identity *id, struct reg_object *out)
{
    struct reg_key k;
    const struct ib_span key = reg_key_begin(&k, &iw_identity_type, id);
    const struct reg_app_object *deployed = reg_app_object_find(c, c->app_objects, key);
    const struct reg_entry *e = deployed || !key.n ? NULL : reg_rows_find(c, &c->objects, key);
    reg_key_end(&k);
    if (deployed)
        *out = of_deployed(deployed);
    else if (e)
        *out = of_entry(e);
    return deployed || e;
}

size_t reg_catalog_count(struct reg_catalog *c, struct ib_str type)
{
    const struct reg_bucket *deployed = reg_bucket_find(c, c->object_types, type);
    const struct reg_bucket *table = reg_bucket_find(c, c->objects.buckets, type);
    return (deployed ? deployed->n : 0) + (size_t)(table ? table->n : 0);
}

void reg_catalog_nth(struct reg_catalog *c, struct ib_str type, size_t i, struct reg_object *out)
{
    const struct reg_bucket *deployed = reg_bucket_find(c, c->object_types, type);
    size_t n = deployed ? deployed->n : 0;
    if (i < n)
        *out = of_deployed(deployed_at(deployed, i));
    else
        *out = of_entry(entry_at(reg_bucket_find(c, c->objects.buckets, type), i - n));
}

static size_t list_all(struct reg_catalog *c, struct ib_arena *arena, struct reg_object **out)
{
    struct reg_app_object **deployed;
    size_t n = reg_catalog_app_objects(c, arena, &deployed), i = 0;
    struct reg_object *list = n == SIZE_MAX ? NULL : IB_ARENA_ARRAY(arena, n + c->objects.n, struct reg_object);
    if (!list)
        return SIZE_MAX;
    for (; i < n; i++)
        list[i] = of_deployed(deployed[i]);
    struct reg_entry **table = reg_rows_sorted(&c->objects);
    for (size_t k = 0; k < c->objects.n; k++)
        list[i++] = of_entry(table[k]);
    *out = list;
    return i;
}

size_t reg_catalog_list(struct reg_catalog *c, const struct ib_str *type, struct ib_arena *arena,
                        struct reg_object **out)
{
    if (!type)
        return list_all(c, arena, out);
    struct reg_bucket *deployed = reg_bucket_find(c, c->object_types, *type);
    struct reg_bucket *table = reg_bucket_find(c, c->objects.buckets, *type);
    size_t n = deployed ? deployed->n : 0, m = table ? table->n : 0;
    struct reg_object *list = IB_ARENA_ARRAY(arena, n + m, struct reg_object);
    if (!list)
        return SIZE_MAX;
    if (deployed)
        reg_bucket_sorted(deployed, reg_app_object_compare);
    if (table)
        reg_bucket_sorted(table, reg_entry_compare);
    for (size_t i = 0; i < n; i++)
        list[i] = of_deployed(deployed_at(deployed, i));
    for (size_t i = 0; i < m; i++)
        list[n + i] = of_entry(entry_at(table, i));
    *out = list;
    return n + m;
}

/* --- places ------------------------------------------------------------------------------------------------------- */

/* Nobody needs to know any more, or memory is short: they are made out again when somebody asks. */
static void forget(struct reg_bucket *type)
{
    struct reg_bucket *site, *next;
    HASH_ITER(hh, type->sites, site, next)
    {
        for (uint32_t i = 0; i < site->n; i++)
            site->items[i]->bucket = NULL;
        HASH_DELETE(hh, type->sites, site);
        free(site->items);
        free(site);
    }
}

static bool add_entry(const struct reg_catalog *c, struct reg_bucket *type, struct reg_entry *e)
{
    struct ib_arena arena;
    struct iw_proxy *prx = NULL;
    struct ib_span in = reg_entry_proxy(e);
    ib_arena_init(&arena, 0);
    bool ok = iw_proxy_decode(&in, IW_ENCODING_1_1, &arena, &prx) == 0 &&
              reg_bucket_add(c, &type->sites, prx ? prx->adapter_id : IB_STR(""), &e->in_site);
    ib_arena_fini(&arena);
    return ok;
}

/* Application and node, or a replica group: NUL tells one from the other, for no name holds it. */
static bool add_object(const struct reg_catalog *c, struct reg_bucket *type, struct reg_app_object *o)
{
    const struct ib_str app = o->adapter ? o->app->name : IB_STR("");
    const struct ib_str place = o->adapter ? o->adapter->server->node : o->proxy->adapter_id;
    struct ib_buf name;
    ib_buf_init(&name);
    ib_buf_put(&name, app.p, app.n);
    ib_buf_put_u8(&name, 0);
    ib_buf_put(&name, place.p, place.n);
    bool ok =
        ib_buf_ok(&name) && reg_bucket_add(c, &type->sites, (struct ib_str){(const char *)name.p, name.n}, &o->in_site);
    ib_buf_fini(&name);
    return ok;
}

void reg_sites_add_entry(const struct reg_catalog *c, struct reg_entry *e)
{
    struct reg_bucket *type = e->in_bucket.bucket;
    if (type && type->sites && !add_entry(c, type, e))
        forget(type);
}

void reg_sites_add_object(const struct reg_catalog *c, struct reg_app_object *o)
{
    struct reg_bucket *type = o->in_type.bucket;
    if (type->sites && !add_object(c, type, o))
        forget(type);
}

void reg_sites_remove(struct reg_bucket *type, struct reg_member *in_site)
{
    reg_bucket_remove(&type->sites, in_site);
}

static int make_out(const struct reg_catalog *c, struct reg_bucket *type, bool deployed)
{
    bool ok = true;
    for (size_t i = 0; i < type->n && ok; i++)
        ok = deployed ? add_object(c, type, deployed_at(type, i)) : add_entry(c, type, entry_at(type, i));
    if (!ok)
        forget(type);
    return ok ? 0 : IB_ENOMEM;
}

static const struct reg_app_object *deployed_in(const struct reg_bucket *site, size_t i)
{
    return IB_CONTAINER(site->items[i], struct reg_app_object, in_site);
}

static int each(struct reg_catalog *c, struct reg_bucket *type, bool deployed,
                void (*fn)(void *arg, const struct reg_site *site), void *arg)
{
    int rc = type && !type->sites ? make_out(c, type, deployed) : 0;
    if (!type || rc)
        return rc;
    for (const struct reg_bucket *b = type->sites; b; b = b->hh.next) {
        struct reg_site site = {.n = b->n, .objects = b};
        if (deployed)
            site.deployed = deployed_in(b, 0);
        else
            site.adapter_id = (struct ib_str){b->name, b->name_n};
        fn(arg, &site);
    }
    return 0;
}

int reg_catalog_each_site(struct reg_catalog *c, struct ib_str type, void (*fn)(void *arg, const struct reg_site *site),
                          void *arg)
{
    int rc = each(c, reg_bucket_find(c, c->object_types, type), true, fn, arg);
    return rc ? rc : each(c, reg_bucket_find(c, c->objects.buckets, type), false, fn, arg);
}

void reg_site_nth(const struct reg_site *site, size_t i, struct reg_object *out)
{
    if (site->deployed)
        *out = of_deployed(deployed_in(site->objects, i));
    else
        *out = of_entry(IB_CONTAINER(site->objects->items[i], struct reg_entry, in_site));
}
