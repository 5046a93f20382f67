/* SPDX-License-Identifier: Apache-2.0 */
/* What the catalog gets from an expanded definition, and definitions made to never end: circles of variables and sets,
   strings that double with every step. */
#include "test.h"

#include <stdio.h>

#include "catalog.h"
#include "descriptor.h"
#include "resolver.h"

#include <moulin/base/clock.h>
#include <moulin/wire/codec.h>
#include <slice/IceGrid/Admin.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define S IB_STR

struct fx {
    struct ib_arena arena;
    struct ir_properties *props;
    struct ir_proxy_defaults defaults;
    struct ib_err err;
    struct IceGrid_ApplicationInfo info;
    struct IceGrid_NodeDescriptorDict_entry node;
    struct IceGrid_ServerDescriptor *server, *servers[1];
};

/* An application with one node and one server, to be filled further. */
static void start(struct fx *fx)
{
    *fx = (struct fx){0};
    ib_arena_init(&fx->arena, 0);
    fx->props = ir_properties_new();
    assert_non_null(fx->props);
    assert_int_equal(ir_proxy_defaults(fx->props, &fx->arena, &fx->defaults, &fx->err), 0);
    fx->server = IceGrid_ServerDescriptor_new(&fx->arena);
    assert_non_null(fx->server);
    fx->server->id = S("s");
    fx->server->exe = S("x");
    fx->servers[0] = fx->server;
    fx->node.key = S("n");
    fx->node.value.servers = (struct IceGrid_ServerDescriptorSeq){1, fx->servers};
    fx->info.descriptor.name = S("App");
    fx->info.descriptor.nodes = (struct IceGrid_NodeDescriptorDict){1, &fx->node};
}

static void end(struct fx *fx)
{
    ir_properties_free(fx->props);
    ib_arena_fini(&fx->arena);
}

static struct reg_app *expand(struct fx *fx)
{
    struct reg_app *app = NULL;
    if (reg_app_expand(&fx->info, &fx->defaults, &app, &fx->err) != 0)
        fail_msg("%s", fx->err.text);
    return app;
}

static void refuse(struct fx *fx, const char *part)
{
    struct reg_app *app = NULL;
    int64_t started = ib_clock_ms();
    assert_int_equal(reg_app_expand(&fx->info, &fx->defaults, &app, &fx->err), IB_EINVAL);
    assert_null(app);
    if (!strstr(fx->err.text, part))
        fail_msg("%s", fx->err.text);
    assert_true(ib_clock_ms() - started < 20000);
}

static void the_catalog_gets_flat_arrays(void **state)
{
    (void)state;
    struct fx fx;
    struct IceGrid_ObjectDescriptor objects[] = {{{S("o"), S("c")}, S("::T"), S("-t -e 1.0")},
                                                 {{S("p"), S("")}, S(""), S("")}};
    struct IceGrid_ObjectDescriptor of_group[] = {{{S("w"), S("")}, S("::W"), S("")}};
    struct IceGrid_AdapterDescriptor adapter = {
        .name = S("A"), .id = S("${server}.A"), .replicaGroupId = S("g"), .priority = S("4")};
    struct IceGrid_PropertyDescriptor props[] = {{S("A.Endpoints"), S("default")}};
    struct IceGrid_ReplicaGroupDescriptor group = {.id = S("g"), .proxyOptions = S("-o"), .filter = S("f")};
    start(&fx);
    struct IceGrid_AdaptiveLoadBalancingPolicy *policy = IceGrid_AdaptiveLoadBalancingPolicy_new(&fx.arena);
    assert_non_null(policy);
    policy->base.nReplicas = S("2");
    policy->loadSample = S("15");
    group.loadBalancing = &policy->base;
    group.objects = (struct IceGrid_ObjectDescriptorSeq){N(of_group), of_group};
    adapter.objects = (struct IceGrid_ObjectDescriptorSeq){1, objects};
    adapter.allocatables = (struct IceGrid_ObjectDescriptorSeq){1, objects + 1};
    fx.server->base.adapters = (struct IceGrid_AdapterDescriptorSeq){1, &adapter};
    fx.server->base.propertySet.properties = (struct IceGrid_PropertyDescriptorSeq){1, props};
    fx.server->activation = S("session");
    fx.info.descriptor.replicaGroups = (struct IceGrid_ReplicaGroupDescriptorSeq){1, &group};

    struct reg_app *app = expand(&fx);
    assert_int_equal(app->n_servers, 1);
    assert_true(app->servers[0].allocatable && ib_str_is(app->servers[0].node, "n"));
    assert_int_equal(app->n_groups, 1);
    assert_true(app->groups[0].policy == REG_ADAPTIVE && app->groups[0].n_replicas == 2 &&
                app->groups[0].load_sample == 15);
    assert_int_equal(app->n_adapters, 1);
    assert_true(ib_str_is(app->adapters[0].id, "s.A") && app->adapters[0].priority == 4);
    assert_true(app->adapters[0].server == &app->servers[0] && ib_str_is(app->adapters[0].group_id, "g"));
    /* the group's object first, found at the group; the adapter's at the adapter */
    assert_int_equal(app->n_objects, 2);
    assert_true(ib_str_is(app->objects[0].proxy->adapter_id, "g") && app->objects[0].proxy->mode == IW_ONEWAY);
    assert_null(app->objects[0].adapter);
    assert_true(ib_str_is(app->objects[1].proxy->adapter_id, "s.A") && app->objects[1].proxy->encoding.minor == 0);
    assert_true(ib_str_is(app->objects[1].proxy->id.name, "o") && ib_str_is(app->objects[1].proxy->id.category, "c"));
    assert_int_equal(app->n_allocatables, 1);
    assert_true(app->allocatables[0].adapter == &app->adapters[0]);
    assert_true(app->allocatables[0].proxy->encoding.minor == 1);
    reg_app_free(app);
    end(&fx);
}

/* With and without a variable in it, an identity is what it would be as text; a variable may bring escapes and a '/'.
 */
static void identities_are_resolved(void **state)
{
    (void)state;
    const struct {
        struct iw_identity in, out;
    } cases[] = {
        {{S("a/b\\c \"'@:"), S("x/y")}, {S("a/b\\c \"'@:"), S("x/y")}},
        {{S("$x{"), S("$")}, {S("$x{"), S("$")}},
        {{S("\0\x1f\xff"), S("")}, {S("\0\x1f\xff"), S("")}},
        {{S("a b${server}"), S("")}, {S("a bs"), S("")}},
        {{S("n"), S("c\\${server}")}, {S("n"), S("c\\s")}},
        {{S("${v}"), S("")}, {S("two"), S("one")}},
        {{S("$${v}"), S("")}, {S("$${v}"), S("")}},
    };
    for (size_t i = 0; i < N(cases); i++) {
        struct fx fx;
        struct IceGrid_StringStringDict_entry variable = {S("v"), S("one/two")};
        struct IceGrid_ObjectDescriptor object = {.id = cases[i].in};
        struct IceGrid_AdapterDescriptor adapter = {.name = S("A"), .id = S("a"), .objects = {1, &object}};
        struct IceGrid_PropertyDescriptor prop = {S("A.Endpoints"), S("tcp")};
        start(&fx);
        fx.info.descriptor.variables = (struct IceGrid_StringStringDict){1, &variable};
        fx.server->base.adapters = (struct IceGrid_AdapterDescriptorSeq){1, &adapter};
        fx.server->base.propertySet.properties = (struct IceGrid_PropertyDescriptorSeq){1, &prop};
        struct reg_app *app = expand(&fx);
        if (!iw_identity_equal(&app->objects[0].id, &cases[i].out))
            fail_msg("case %zu: %s/%s", i, app->objects[0].id.category.p, app->objects[0].id.name.p);
        assert_ptr_not_equal(app->objects[0].id.name.p, object.id.name.p); /* the application has its own */
        reg_app_free(app);
        object.id = (struct iw_identity){S(""), S("c")};
        refuse(&fx, "name empty");
        object.id = (struct iw_identity){S(""), S("")};
        refuse(&fx, "well-known object identity");
        end(&fx);
    }
}

/* Each object has the options it names, whatever those before it had. */
static void every_object_has_its_options(void **state)
{
    (void)state;
    struct fx fx;
    const struct {
        struct ib_str options;
        const char *facet;
        uint8_t mode, minor;
    } cases[] = {
        {S(""), "", IW_TWOWAY, 1},
        {S("-o"), "", IW_ONEWAY, 1},
        {S("-o"), "", IW_ONEWAY, 1},
        {S("-f a -e 1.0"), "a", IW_TWOWAY, 0},
        {S("-o"), "", IW_ONEWAY, 1},
        {S("-f ${server}"), "s", IW_TWOWAY, 1},
        {S("-f ${server}"), "s", IW_TWOWAY, 1},
        {S(""), "", IW_TWOWAY, 1},
    };
    struct IceGrid_ObjectDescriptor objects[N(cases)];
    struct IceGrid_AdapterDescriptor adapter = {.name = S("A"), .id = S("a"), .objects = {N(cases), objects}};
    struct IceGrid_PropertyDescriptor prop = {S("A.Endpoints"), S("tcp")};
    start(&fx);
    for (size_t i = 0; i < N(cases); i++)
        objects[i] = (struct IceGrid_ObjectDescriptor){.id = {ib_arena_printf(&fx.arena, "o%zu", i), S("")},
                                                       .proxyOptions = cases[i].options};
    fx.server->base.adapters = (struct IceGrid_AdapterDescriptorSeq){1, &adapter};
    fx.server->base.propertySet.properties = (struct IceGrid_PropertyDescriptorSeq){1, &prop};
    struct reg_app *app = expand(&fx);
    assert_int_equal(app->n_objects, N(cases));
    for (size_t i = 0; i < N(cases); i++) {
        const struct iw_proxy *p = app->objects[i].proxy;
        assert_true(iw_identity_equal(&p->id, &objects[i].id));
        assert_string_equal(ib_cstr(p->facet), cases[i].facet);
        assert_true(p->mode == cases[i].mode && p->encoding.minor == cases[i].minor);
        assert_true(ib_str_is(p->adapter_id, "a") && p->n_endpoints == 0);
    }
    reg_app_free(app);
    objects[4].proxyOptions = S("-x");
    refuse(&fx, "invalid proxy options: unknown option `-x'");
    end(&fx);
}

/* Servers stand in the order of their ids, whatever their nodes: so they join groups. Each knows its node's factor. */
static void servers_come_by_id_with_their_load_factor(void **state)
{
    (void)state;
    struct fx fx;
    struct IceGrid_NodeDescriptorDict_entry nodes[3];
    struct IceGrid_ServerDescriptor *servers[3][1];
    const struct ib_str names[] = {S("m"), S("n"), S("o")}, ids[] = {S("z"), S("a"), S("k")},
                        factors[] = {S("${factor}"), S(""), S(" 0 ")};
    struct IceGrid_StringStringDict_entry variable = {S("factor"), S("2.5")};
    start(&fx);
    for (size_t i = 0; i < N(nodes); i++) {
        servers[i][0] = IceGrid_ServerDescriptor_new(&fx.arena);
        assert_non_null(servers[i][0]);
        servers[i][0]->id = ids[i];
        servers[i][0]->exe = S("x");
        nodes[i] = (struct IceGrid_NodeDescriptorDict_entry){.key = names[i]};
        nodes[i].value.servers = (struct IceGrid_ServerDescriptorSeq){1, servers[i]};
        nodes[i].value.loadFactor = factors[i];
    }
    fx.info.descriptor.nodes = (struct IceGrid_NodeDescriptorDict){N(nodes), nodes};
    fx.info.descriptor.variables = (struct IceGrid_StringStringDict){1, &variable};
    struct reg_app *app = expand(&fx);
    assert_int_equal(app->n_servers, 3);
    assert_true(ib_str_is(app->servers[0].id, "a") && ib_str_is(app->servers[0].node, "n"));
    assert_true(ib_str_is(app->servers[1].id, "k") && ib_str_is(app->servers[1].node, "o"));
    assert_true(ib_str_is(app->servers[2].id, "z") && ib_str_is(app->servers[2].node, "m"));
    assert_true(app->servers[0].load_factor < 0);
    assert_true(app->servers[1].load_factor == 0.0F && app->servers[2].load_factor == 2.5F);
    reg_app_free(app);
    end(&fx);
}

static void variables_in_a_circle_are_refused(void **state)
{
    (void)state;
    struct fx fx;
    struct IceGrid_StringStringDict_entry circle[] = {{S("a"), S("${b}")}, {S("b"), S("x${a}")}};
    start(&fx);
    fx.info.descriptor.variables = (struct IceGrid_StringStringDict){N(circle), circle};
    fx.server->pwd = S("${a}");
    refuse(&fx, "in a circle");
    end(&fx);
}

/* v0 = text, v1 = ${v0}${v0}, …: 2^n copies. */
static void doubling_variables(struct fx *fx, struct ib_str text, size_t n)
{
    struct IceGrid_StringStringDict_entry *v = IB_ARENA_ARRAY(&fx->arena, n, struct IceGrid_StringStringDict_entry);
    assert_non_null(v);
    for (size_t i = 0; i < n; i++) {
        v[i].key = ib_arena_printf(&fx->arena, "v%zu", i);
        v[i].value = i ? ib_arena_printf(&fx->arena, "${v%zu}${v%zu}", i - 1, i - 1) : text;
    }
    fx->info.descriptor.variables = (struct IceGrid_StringStringDict){n, v};
    fx->server->pwd = ib_arena_printf(&fx->arena, "${v%zu}", n - 1);
}

static void doubling_variables_are_refused(void **state)
{
    (void)state;
    struct fx fx;
    start(&fx);
    doubling_variables(&fx, S("text"), 40);
    refuse(&fx, "longer than");
    doubling_variables(&fx, S(""), 40);
    refuse(&fx, "steps are needed to resolve");
    doubling_variables(&fx, S("x"), 8);
    struct reg_app *app = expand(&fx);
    assert_int_equal(app->servers[0].desc->pwd.n, 128);
    reg_app_free(app);
    end(&fx);
}

static void doubling_property_sets(struct fx *fx, size_t n, struct IceGrid_PropertyDescriptorSeq own)
{
    struct IceGrid_PropertySetDescriptorDict_entry *v =
        IB_ARENA_ARRAY(&fx->arena, n, struct IceGrid_PropertySetDescriptorDict_entry);
    struct ib_str *refs = IB_ARENA_ARRAY(&fx->arena, 2 * n, struct ib_str);
    assert_true(v && refs);
    for (size_t i = 0; i < n; i++) {
        v[i].key = ib_arena_printf(&fx->arena, "p%zu", i);
        v[i].value.properties = own;
        if (i) {
            refs[2 * i] = refs[2 * i + 1] = v[i - 1].key;
            v[i].value.references = (struct Ice_StringSeq){2, refs + 2 * i};
        }
    }
    fx->info.descriptor.propertySets = (struct IceGrid_PropertySetDescriptorDict){n, v};
}

static void doubling_property_sets_are_refused(void **state)
{
    (void)state;
    struct fx fx;
    struct IceGrid_PropertyDescriptor one[] = {{S("x"), S("y")}};
    start(&fx);
    doubling_property_sets(&fx, 40, (struct IceGrid_PropertyDescriptorSeq){0, NULL});
    refuse(&fx, "circular dependency"); /* so ZeroC's registry calls it */
    doubling_property_sets(&fx, 40, (struct IceGrid_PropertyDescriptorSeq){1, one});
    refuse(&fx, "circular dependency");
    doubling_property_sets(&fx, 90, (struct IceGrid_PropertyDescriptorSeq){0, NULL});
    refuse(&fx, "");
    end(&fx);
}

static void memory_is_bounded(void **state)
{
    (void)state;
    struct fx fx;
    char big[60000];
    struct ib_str v[6000];
    struct reg_app *app = NULL;
    start(&fx);
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    struct IceGrid_StringStringDict_entry var = {S("v"), {big, sizeof(big) - 1}};
    for (size_t i = 0; i < N(v); i++)
        v[i] = S("a${v}");
    fx.info.descriptor.variables = (struct IceGrid_StringStringDict){1, &var};
    fx.server->options = (struct Ice_StringSeq){N(v), v};
    assert_int_equal(reg_app_expand(&fx.info, &fx.defaults, &app, &fx.err), IB_EINVAL);
    assert_non_null(strstr(fx.err.text, "larger than"));
    end(&fx);
}

static void texts_are_resolved_at_last(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", ""},
        {"${node.os}", "OS"},
        {"$${node.os}", "${node.os}"},
        {"$$${node.os}", "$OS"},
        {"$$$${x}", "$${x}"},
        {"${x}${node.os}", "${x}OS"},
        {"${session.id}", "${session.id}"},
        {"${node.os", "${node.os"},
        {"$", "$"},
        {"${", "${"},
        {"a$$b${node.datadir}$", "a$$b/data$"},
    };
    struct reg_node_vars vars = {.os = S("OS"), .data = S("/data")};
    struct ib_arena arena;
    ib_arena_init(&arena, 0);
    for (size_t i = 0; i < N(cases); i++)
        assert_string_equal(reg_text_final(&vars, &arena, ib_str(cases[i].in)).p, cases[i].out);
    assert_true(reg_text_mentions_session(S("a${session.id}")));
    assert_true(reg_text_mentions_session(S("$$${session.id}")));
    assert_false(reg_text_mentions_session(S("$${session.id}")));
    assert_false(reg_text_mentions_session(S("${session.i")));
    ib_arena_fini(&arena);
}

static void a_session_completes_its_server(void **state)
{
    (void)state;
    struct fx fx;
    struct IceGrid_ServerDescriptor *got;
    struct reg_node_vars vars = {.os = S("OS"), .data = S("/data")};
    start(&fx);
    fx.server->activation = S("session");
    fx.server->pwd = S("${node.os}/${session.id}");
    struct reg_app *app = expand(&fx);
    assert_int_equal(reg_server_resolve(app->servers[0].desc, &vars, &fx.arena, &got), 0);
    assert_string_equal(got->pwd.p, "${node.os}/${session.id}");
    vars.session_id = S("me");
    assert_int_equal(reg_server_resolve(app->servers[0].desc, &vars, &fx.arena, &got), 0);
    assert_string_equal(got->pwd.p, "OS/me");
    reg_app_free(app);
    end(&fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_catalog_gets_flat_arrays),
        cmocka_unit_test(identities_are_resolved),
        cmocka_unit_test(every_object_has_its_options),
        cmocka_unit_test(servers_come_by_id_with_their_load_factor),
        cmocka_unit_test(variables_in_a_circle_are_refused),
        cmocka_unit_test(doubling_variables_are_refused),
        cmocka_unit_test(doubling_property_sets_are_refused),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(texts_are_resolved_at_last),
        cmocka_unit_test(a_session_completes_its_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
