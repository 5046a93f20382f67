/* SPDX-License-Identifier: Apache-2.0 */
/* Objects as the catalog hands them out encoded: the engine's bytes, each of a type once by number, all of them in
   order, and by the places they run in, whatever came and went. */
#include <test.h>

#include <stdio.h>
#include <stdlib.h>

#include "catalog.h"
#include "slices.h"

#include <moulin/wire/codec.h>

enum { NAMES = 400, TYPES = 3, ADAPTERS = 5 };

struct known {
    bool there;
    int type, adapter; /* adapter 0: a direct proxy */
};

struct fx {
    struct reg_catalog *c;
    struct ib_arena arena;
    struct known known[NAMES];
    uint64_t seed;
};

static unsigned roll(struct fx *f, unsigned n)
{
    f->seed = f->seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(f->seed >> 33) % n;
}

static int setup(void **state)
{
    struct fx *f = calloc(1, sizeof *f);
    f->c = reg_catalog_new();
    f->seed = 7;
    ib_arena_init(&f->arena, 0);
    *state = f;
    return f->c ? 0 : -1;
}

static int teardown(void **state)
{
    struct fx *f = *state;
    reg_catalog_free(f->c);
    ib_arena_fini(&f->arena);
    free(f);
    return 0;
}

static struct ib_span encoded(struct fx *f, const struct iw_type *t, const void *v)
{
    struct ib_buf b;
    ib_buf_init(&b);
    assert_int_equal(iw_encode_value(t, v, IW_ENCODING_1_1, &b), 0);
    uint8_t *p = ib_arena_alloc(&f->arena, b.n);
    memcpy(p, b.p, b.n);
    struct ib_span s = {p, b.n};
    ib_buf_fini(&b);
    return s;
}

static bool same(struct ib_span a, struct ib_span b)
{
    return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

/* No key is the beginning of another. */
static bool in_order(struct ib_span a, struct ib_span b)
{
    return memcmp(a.p, b.p, a.n < b.n ? a.n : b.n) < 0;
}

static struct iw_identity identity_of(struct fx *f, unsigned i)
{
    return (struct iw_identity){ib_arena_printf(&f->arena, "o%u", i), i % 7 ? IB_STR("") : IB_STR("c")};
}

static struct ib_str type_of(struct fx *f, int type)
{
    return ib_arena_printf(&f->arena, "::T%d", type);
}

static void put(struct fx *f, unsigned i)
{
    struct iw_endpoint ep = {.type = IW_EP_TCP, .host = IB_STR("h"), .port = 1, .timeout = -1};
    struct iw_endpoint unknown = {
        .type = 77, .opaque = true, .encoding = IW_ENCODING_1_0, .raw = {(const uint8_t *)"xyz", 3}};
    struct iw_endpoint both[] = {ep, unknown};
    struct known *k = &f->known[i];
    *k = (struct known){true, (int)roll(f, TYPES), (int)roll(f, ADAPTERS)};
    struct iw_proxy prx = {.id = identity_of(f, i), .protocol = {1, 0}, .encoding = {1, (uint8_t)(i % 2)}};
    prx.has_facet = i % 3 == 0;
    prx.facet = prx.has_facet ? IB_STR("facet") : IB_STR("");
    if (k->adapter)
        prx.adapter_id = ib_arena_printf(&f->arena, "A%d", k->adapter);
    else {
        prx.endpoints = both;
        prx.n_endpoints = 2;
    }
    const struct IceGrid_ObjectInfo info = {.proxy = &prx, .type = type_of(f, k->type)};
    assert_int_equal(
        reg_catalog_put_object(f->c, reg_key_identity(&prx.id, &f->arena), encoded(f, &IceGrid_ObjectInfo_type, &info)),
        0);
}

static void del(struct fx *f, unsigned i)
{
    const struct iw_identity id = identity_of(f, i);
    f->known[i].there = false;
    reg_catalog_del_object(f->c, reg_key_identity(&id, &f->arena));
}

/* What is handed out is what the engine makes of the decoded record; returns the object's number. */
static unsigned check_object(struct fx *f, const struct reg_object *o)
{
    struct IceGrid_ObjectInfo info;
    struct ib_span in = o->info;
    assert_int_equal(iw_decode_value(&IceGrid_ObjectInfo_type, &in, IW_ENCODING_1_1, &f->arena, &info), 0);
    assert_int_equal(in.n, 0);
    assert_true(same(o->info, encoded(f, &IceGrid_ObjectInfo_type, &info)));
    assert_true(same(o->proxy, encoded(f, &iw_proxy_type, &info.proxy)));
    return (unsigned)atoi(info.proxy->id.name.p + 1);
}

static void check_found(struct fx *f)
{
    for (unsigned i = 0; i < NAMES; i++) {
        const struct iw_identity id = identity_of(f, i);
        struct reg_object o;
        bool found = reg_catalog_find(f->c, &id, &o);
        assert_int_equal(found, f->known[i].there);
        if (found)
            assert_int_equal(check_object(f, &o), i);
    }
}

static void check_numbers(struct fx *f, int type)
{
    bool seen[NAMES] = {false};
    size_t want = 0;
    for (unsigned i = 0; i < NAMES; i++)
        want += f->known[i].there && f->known[i].type == type;
    assert_int_equal(reg_catalog_count(f->c, type_of(f, type)), want);
    for (size_t n = 0; n < want; n++) {
        struct reg_object o;
        reg_catalog_nth(f->c, type_of(f, type), n, &o);
        unsigned i = check_object(f, &o);
        assert_true(f->known[i].there && f->known[i].type == type && !seen[i]);
        seen[i] = true;
    }
}

/* The list has the order of the decoded one. */
static void check_list(struct fx *f, const struct ib_str *type)
{
    struct reg_object *list;
    struct IceGrid_ObjectInfo *decoded;
    size_t n = reg_catalog_list(f->c, type, &f->arena, &list);
    assert_int_equal(reg_catalog_objects(f->c, type, &f->arena, &decoded), n);
    for (size_t i = 0; i < n; i++) {
        assert_true(same(list[i].info, encoded(f, &IceGrid_ObjectInfo_type, &decoded[i])));
        if (i)
            assert_true(in_order(list[i - 1].info, list[i].info));
    }
}

struct sites {
    struct fx *f;
    int type;
    unsigned n[ADAPTERS];
};

static void on_site(void *arg, const struct reg_site *site)
{
    struct sites *s = arg;
    int adapter = site->adapter_id.n ? site->adapter_id.p[1] - '0' : 0;
    assert_null(site->deployed);
    assert_int_equal(s->n[adapter], 0);
    for (size_t i = 0; i < site->n; i++) {
        struct reg_object o;
        reg_site_nth(site, i, &o);
        const struct known *k = &s->f->known[check_object(s->f, &o)];
        assert_true(k->there && k->type == s->type && k->adapter == adapter);
    }
    s->n[adapter] = (unsigned)site->n;
}

static void check_sites(struct fx *f, int type)
{
    struct sites s = {f, type, {0}};
    unsigned want[ADAPTERS] = {0};
    for (unsigned i = 0; i < NAMES; i++)
        want[f->known[i].adapter] += f->known[i].there && f->known[i].type == type;
    assert_int_equal(reg_catalog_each_site(f->c, type_of(f, type), on_site, &s), 0);
    for (int a = 0; a < ADAPTERS; a++)
        assert_int_equal(s.n[a], want[a]);
}

static void check(struct fx *f)
{
    check_found(f);
    check_list(f, NULL);
    for (int type = 0; type < TYPES; type++) {
        const struct ib_str name = type_of(f, type);
        check_numbers(f, type);
        check_list(f, &name);
        check_sites(f, type);
    }
    ib_arena_reset(&f->arena);
}

static void test_table(void **state)
{
    struct fx *f = *state;
    check(f);
    for (int round = 0; round < 40; round++) {
        /* now more comes, now more goes, in the end all */
        for (int i = 0; i < 60; i++) {
            if (roll(f, 10) < (round < 25 ? 6u : 3u))
                put(f, roll(f, NAMES));
            else
                del(f, roll(f, NAMES));
        }
        check(f);
    }
    for (unsigned i = 0; i < NAMES; i++)
        del(f, i);
    check(f);
    put(f, 1);
    put(f, 2);
    reg_catalog_clear_objects(f->c);
    memset(f->known, 0, sizeof f->known);
    check(f);
}

/* --- deployed ------------------------------------------------------------------------------------------------------
 */

static struct reg_app *make_app(struct fx *f, const char *name)
{
    struct reg_app *app = calloc(1, sizeof *app);
    assert_non_null(app);
    ib_arena_init(&app->arena, 0);
    app->name = ib_str(name);
    app->n_servers = app->n_adapters = 2;
    app->n_objects = 12;
    app->servers = IB_ARENA_ARRAY(&app->arena, 2, struct reg_server);
    app->adapters = IB_ARENA_ARRAY(&app->arena, 2, struct reg_adapter);
    app->objects = IB_ARENA_ARRAY(&app->arena, 12, struct reg_app_object);
    for (int i = 0; i < 2; i++) {
        struct ib_str id = ib_arena_printf(&app->arena, "%s-%d", name, i);
        app->servers[i] = (struct reg_server){.id = id, .node = ib_arena_printf(&app->arena, "n%d", i), .app = app};
        app->adapters[i] = (struct reg_adapter){.id = id, .server = &app->servers[i]};
    }
    for (int i = 0; i < 12; i++) { /* five on each node, two of a replica group */
        struct reg_adapter *a = i < 10 ? &app->adapters[i % 2] : NULL;
        struct iw_proxy *prx = IB_ARENA_NEW(&app->arena, struct iw_proxy);
        prx->id.name = ib_arena_printf(&app->arena, "%s%02d", name, 11 - i);
        prx->encoding = IW_ENCODING_1_1;
        prx->protocol = (struct iw_encoding){1, 0};
        prx->has_facet = i == 3;
        prx->facet = i == 3 ? IB_STR("f") : IB_STR("");
        prx->adapter_id = a ? a->id : IB_STR("group");
        app->objects[i] =
            (struct reg_app_object){.id = prx->id, .type = IB_STR("::T0"), .proxy = prx, .adapter = a, .app = app};
    }
    (void)f;
    return app;
}

struct places {
    struct fx *f;
    size_t n, objects, groups, direct;
};

static void on_place(void *arg, const struct reg_site *site)
{
    struct places *p = arg;
    p->n++;
    p->objects += site->n;
    if (!site->deployed)
        p->direct += site->n;
    else if (!site->deployed->adapter)
        p->groups += site->n;
    for (size_t i = 0; i < site->n; i++) {
        struct reg_object o;
        reg_site_nth(site, i, &o);
        check_object(p->f, &o);
        if (site->deployed && site->deployed->adapter) {
            assert_ptr_equal(o.deployed->app, site->deployed->app);
            assert_string_equal(o.deployed->adapter->server->node.p, site->deployed->adapter->server->node.p);
        }
    }
}

static void expect_places(struct fx *f, size_t n, size_t objects, size_t groups, size_t direct)
{
    struct places p = {.f = f};
    assert_int_equal(reg_catalog_each_site(f->c, IB_STR("::T0"), on_place, &p), 0);
    assert_int_equal(p.n, n);
    assert_int_equal(p.objects, objects);
    assert_int_equal(p.groups, groups);
    assert_int_equal(p.direct, direct);
}

/* Deployed ones come first, sorted; places are an application's nodes and the groups. */
static void test_deployed(void **state)
{
    struct fx *f = *state;
    struct reg_app *b = make_app(f, "b"), *a = make_app(f, "a");
    struct reg_object *list, o;
    struct ib_str type = IB_STR("::T0");
    put(f, 1);
    while (f->known[1].type != 0 || f->known[1].adapter != 0)
        put(f, 1);
    expect_places(f, 1, 1, 0, 1);
    assert_int_equal(reg_catalog_link_app(f->c, b), 0);
    expect_places(f, 4, 13, 2, 1);
    assert_int_equal(reg_catalog_link_app(f->c, a), 0); /* into places that are known by now */
    expect_places(f, 6, 25, 4, 1); /* both use the same group */
    assert_int_equal(reg_catalog_list(f->c, &type, &f->arena, &list), 25);
    assert_string_equal(list[0].deployed->id.name.p, "a00");
    assert_string_equal(list[23].deployed->id.name.p, "b11");
    assert_null(list[24].deployed);
    for (size_t i = 0; i < 25; i++)
        check_object(f, &list[i]);
    assert_int_equal(reg_catalog_list(f->c, NULL, &f->arena, &list), 25);
    assert_true(reg_catalog_find(f->c, &b->objects[3].id, &o));
    assert_ptr_equal(o.deployed, &b->objects[3]);
    assert_true(same(o.proxy, encoded(f, &iw_proxy_type, &b->objects[3].proxy)));
    reg_catalog_unlink_app(f->c, b);
    reg_app_free(b);
    expect_places(f, 4, 13, 2, 1);
    assert_int_equal(reg_catalog_count(f->c, type), 13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_table, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deployed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
