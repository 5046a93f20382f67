/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics: rules of a map, the elements it makes and drops, views that come and go, and what a runtime counts of its
   own calls. What the rules must do was seen on glacier2router (tests/interop/cases/metrics.py). */
#include "fixture.h"
#include "metrics.h"
#include "rpc_priv.h"

#include <slice/Ice/Metrics.h>

/* What is measured here: something with two attributes, a count and a level. */
struct thing {
    const char *id, *colour; /* colour NULL: it has none */
    int64_t count, level;
    struct ir_observed observed;
};

static bool resolve_thing(const void *object, const char *attribute, struct ib_buf *out)
{
    const struct thing *t = object;
    const char *v = strcmp(attribute, "id") == 0 ? t->id : strcmp(attribute, "the.colour") == 0 ? t->colour : NULL;
    if (v)
        ib_buf_puts(out, v);
    return v != NULL;
}

static void read_thing(const void *object, int64_t *values)
{
    const struct thing *t = object;
    values[0] = t->count;
    values[1] = t->level;
}

static const struct ir_metrics_kind kind = {.map = "Thing",
                                            .cls = &IceMX_ConnectionMetrics_class,
                                            .levels = 1u << 1,
                                            .resolve = resolve_thing,
                                            .read = read_thing};

static struct ir_properties *properties(const char *const *lines)
{
    struct ir_properties *p = ir_properties_new();
    assert_non_null(p);
    for (; *lines; lines++)
        assert_int_equal(ir_properties_parse_line(p, *lines, "test"), 0);
    return p;
}

/* The id of a thing under the rules in these lines, or NULL; free it. */
static char *id_of(const struct thing *t, const char *const *lines)
{
    struct ib_err err = {0};
    struct ib_buf id;
    struct ir_properties *p = properties(lines);
    struct ir_metrics_rules *r = ir_metrics_rules_new(p, NULL, "M.", NULL, &err);
    ib_buf_init(&id);
    if (!r)
        fail_msg("%s", err.text);
    char *text = ir_metrics_rules_apply(r, &kind, t, &id) ? strdup(ib_buf_cstr(&id)) : NULL;
    ib_buf_fini(&id);
    ir_metrics_rules_free(r);
    ir_properties_free(p);
    return text;
}

static void expect_id(const struct thing *t, const char *want, const char *const *lines)
{
    char *got = id_of(t, lines);
    if (!want != !got || (want && strcmp(want, got) != 0))
        fail_msg("%s: `%s' instead of `%s'", lines[0], got ? got : "(none)", want ? want : "(none)");
    free(got);
}

static void test_group_by(void **state)
{
    const struct thing t = {.id = "one", .colour = "red"};
    static const char *const rows[][2] = {
        {"id", "one"},
        {"the.colour", "red"},
        {"none", ""},
        {"id-the.colour", "one-red"},
        {"id [the.colour]", "one [red]"},
        {"id]", "one"}, /* nothing to separate */
        {"id/, none+the.colour", "one/, +red"},
        {"nothing", NULL},
        {"id-nothing", NULL},
        {"-id", NULL}, /* begins with an attribute that has no name */
        {"(id)", NULL},
        {"id..the", NULL},
    };
    (void)state;
    expect_id(&t, "one", LINES("Other=1"));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char line[80];
        snprintf(line, sizeof(line), "M.GroupBy=%s", rows[i][0]);
        expect_id(&t, rows[i][1], LINES(line));
    }
}

static void test_long_ids_are_cut(void **state)
{
    char id[2 * IR_METRICS_ID_MAX + 1];
    struct thing t = {.id = id};
    (void)state;
    for (size_t i = 0; i < 2 * IR_METRICS_ID_MAX; i += 2)
        memcpy(id + i, "\xc3\xa9", 2);
    id[2 * IR_METRICS_ID_MAX] = 0;
    char *even = id_of(&t, LINES("M.GroupBy=id"));
    assert_int_equal(strlen(even), IR_METRICS_ID_MAX);
    free(even);
    id[1] = 'x'; /* now the limit is within a character: never half of it */
    id[0] = 'x';
    t.id = id + 1;
    char *odd = id_of(&t, LINES("M.GroupBy=id"));
    assert_int_equal(strlen(odd), IR_METRICS_ID_MAX - 1);
    free(odd);
}

static void test_accept_reject(void **state)
{
    const struct thing red = {.id = "one", .colour = "red"}, plain = {.id = "two"};
    (void)state;
    expect_id(&red, "one", LINES("M.Accept.the.colour=e")); /* anywhere in it */
    expect_id(&red, NULL, LINES("M.Accept.the.colour=^e"));
    expect_id(&red, NULL, LINES("M.Reject.the.colour=blue|red"));
    expect_id(&red, "one", LINES("M.Reject.the.colour=blue"));
    expect_id(&red, NULL, LINES("M.Accept.id=one", "M.Accept.the.colour=blue")); /* all must */
    expect_id(&red, NULL, LINES("M.Accept.id=one", "M.Reject.the.colour=red"));
    expect_id(&plain, "two", LINES("M.Accept.the.colour=red")); /* what is not there decides nothing */
    expect_id(&plain, "two", LINES("M.Reject.the.colour=red"));
    expect_id(&red, NULL, LINES("M.Reject.none=^$"));
}

static void test_malformed(void **state)
{
    struct ib_err err = {0};
    char line[3000] = "M.Accept.id=";
    (void)state;
    struct ir_properties *p = properties(LINES("M.Accept.id=["));
    assert_null(ir_metrics_rules_new(p, NULL, "M.", NULL, &err));
    assert_string_equal(err.text, "invalid regular expression `[' for `M.Accept.id'");
    ir_properties_free(p);
    memset(line + strlen(line), 'a', IR_METRICS_PATTERN_MAX + 1);
    p = properties(LINES(line));
    err = (struct ib_err){0};
    assert_null(ir_metrics_rules_new(p, NULL, "M.", NULL, &err));
    assert_non_null(strstr(err.text, "M.Accept.id"));
    ir_properties_free(p);
    strcpy(line, "M.GroupBy=");
    for (size_t i = 0; i < IR_METRICS_PARTS; i++)
        strcat(line, "id-");
    p = properties(LINES(line));
    err = (struct ib_err){0};
    assert_null(ir_metrics_rules_new(p, NULL, "M.", NULL, &err));
    assert_non_null(strstr(err.text, "M.GroupBy"));
    ir_properties_free(p);
}

/* --- views -------------------------------------------------------------------------------------------------------- */

struct world {
    struct fixture f;
    struct ir_metrics *m; /* the server's */
    struct ir_metrics_source *source;
};

static void world_init(struct world *w, const char *const *lines)
{
    static const char *const none[] = {"Ice.Warn.Dispatch=0", NULL};
    fixture_init(&w->f, lines, none);
    w->m = w->f.server->metrics;
    w->source = ir_metrics_add(w->f.server, &kind);
    assert_non_null(w->source);
    w->m->started = true;
    ir_metrics_configure(w->m);
}

static void set(struct world *w, const char *key, const char *value)
{
    assert_int_equal(ir_properties_set(w->f.server->props, key, value), 0);
    ir_metrics_configure(w->m);
}

/* A view's map; NULL: the view does not have it. */
static struct ir_metrics_map *map_of(struct world *w, const char *view, const char *map)
{
    struct ir_metrics_view *v = ir_metrics_find(w->m, ib_str(view));
    assert_non_null(v);
    for (size_t i = 0; i < v->n_slots; i++) {
        if (strcmp(v->slots[i].map->source->kind->map, map) == 0)
            return v->slots[i].map;
    }
    return NULL;
}

/* An element as it goes on the wire; NULL: there is none of that id. */
static const struct IceMX_Metrics *element(struct world *w, const char *view, const char *map, const char *id)
{
    struct IceMX_MetricsMap out;
    struct ir_metrics_map *m = map_of(w, view, map);
    assert_non_null(m);
    assert_int_equal(ir_metrics_map_write(m, &w->f.arena, &out), 0);
    for (size_t i = 0; i < out.n; i++) {
        if (ib_str_is(out.v[i]->id, id))
            return out.v[i];
    }
    return NULL;
}

static const struct IceMX_ConnectionMetrics *thing_element(struct world *w, const char *id)
{
    return (const struct IceMX_ConnectionMetrics *)element(w, "V", "Thing", id);
}

static void expect_thing(struct world *w, const char *id, int64_t total, int32_t current, int64_t count, int64_t level)
{
    const struct IceMX_ConnectionMetrics *e = thing_element(w, id);
    assert_non_null(e);
    assert_ptr_equal(e->base.object.cls, &IceMX_ConnectionMetrics_class);
    assert_int_equal(e->base.total, total);
    assert_int_equal(e->base.current, current);
    assert_int_equal(e->receivedBytes, count);
    assert_int_equal(e->sentBytes, level);
}

static void test_counts_and_levels(void **state)
{
    struct world w;
    struct thing a = {.id = "a", .count = 100, .level = 7}, b = {.id = "a", .count = 5, .level = 1};
    (void)state;
    world_init(&w, LINES("IceMX.Metrics.V.Map.Thing.GroupBy=id"));
    assert_true(w.source->on);
    assert_false(w.m->dispatch.on);
    ir_observe(w.source, &a.observed, &a);
    expect_thing(&w, "a", 1, 1, 0, 7); /* counts begin when it is seen, levels are what they are */
    a.count += 3;
    a.level = 9;
    ir_observe(w.source, &b.observed, &b);
    expect_thing(&w, "a", 2, 2, 3, 10);
    b.count += 10;
    ir_observe_end(&a.observed);
    expect_thing(&w, "a", 2, 1, 13, 1);
    ir_observe_end(&b.observed);
    ir_observe_end(&b.observed); /* twice is harmless */
    expect_thing(&w, "a", 2, 0, 13, 0);
    fixture_fini(&w.f);
}

/* Who changes counts elsewhere: in full where levels are meant, from then on where counts are; to where it is not
   accepted, nowhere. */
static void test_observed_again(void **state)
{
    struct world w;
    struct thing a = {.id = "a", .count = 100, .level = 7}, nobody = {.id = "a"};
    (void)state;
    world_init(&w, LINES("IceMX.Metrics.V.Map.Thing.GroupBy=id", "IceMX.Metrics.V.Map.Thing.Reject.id=hidden"));
    ir_observe(w.source, &a.observed, &a);
    a.count += 3;
    ir_observe_again(&a.observed);
    expect_thing(&w, "a", 1, 1, 3, 7); /* nothing has changed */
    a.id = "b";
    ir_observe_again(&a.observed);
    a.count += 5;
    expect_thing(&w, "a", 1, 0, 3, 0);
    expect_thing(&w, "b", 1, 1, 5, 7);
    a.id = "hidden";
    ir_observe_again(&a.observed);
    a.count += 2;
    expect_thing(&w, "b", 1, 0, 5, 0);
    a.id = "b";
    ir_observe_again(&a.observed);
    expect_thing(&w, "b", 2, 1, 5, 7);
    ir_observe_again(&nobody.observed); /* who is not observed stays so */
    assert_null(thing_element(&w, "hidden"));
    ir_observe_end(&a.observed);
    fixture_fini(&w.f);
}

static void come_and_go(struct world *w, const char *id)
{
    struct thing t = {.id = id};
    ir_observe(w->source, &t.observed, &t);
    ir_observe_end(&t.observed);
}

static void test_retain(void **state)
{
    struct world w;
    struct thing live = {.id = "live"};
    (void)state;
    world_init(&w, LINES("IceMX.Metrics.V.Map.Thing.RetainDetached=2"));
    ir_observe(w.source, &live.observed, &live);
    come_and_go(&w, "a");
    come_and_go(&w, "b");
    come_and_go(&w, "a"); /* the same element, now the younger one */
    come_and_go(&w, "c");
    expect_thing(&w, "a", 2, 0, 0, 0);
    expect_thing(&w, "c", 1, 0, 0, 0);
    assert_null(thing_element(&w, "b"));
    expect_thing(&w, "live", 1, 1, 0, 0);
    ir_observe_end(&live.observed);
    assert_null(thing_element(&w, "a"));
    fixture_fini(&w.f);
}

/* 0 keeps all of them at a real peer: here there is an end. */
static void test_retain_is_bounded(void **state)
{
    struct world w;
    (void)state;
    world_init(&w, LINES("IceMX.Metrics.V.Map.Thing.RetainDetached=0"));
    for (int i = 0; i < IR_METRICS_RETAIN_MAX + 5; i++) {
        char id[20];
        snprintf(id, sizeof(id), "%d", i);
        come_and_go(&w, id);
    }
    struct IceMX_MetricsMap out;
    assert_int_equal(ir_metrics_map_write(map_of(&w, "V", "Thing"), &w.f.arena, &out), 0);
    assert_int_equal(out.n, IR_METRICS_RETAIN_MAX);
    assert_null(thing_element(&w, "4"));
    assert_non_null(thing_element(&w, "5"));
    fixture_fini(&w.f);
}

static void test_failures(void **state)
{
    struct world w;
    struct thing t = {.id = "t"};
    struct IceMX_MetricsFailures *v;
    size_t n;
    (void)state;
    world_init(&w, LINES("IceMX.Metrics.V.Map.Thing.GroupBy=id"));
    ir_observe(w.source, &t.observed, &t);
    come_and_go(&w, "healthy");
    ir_observe_failure(&t.observed, "::Ice::A");
    ir_observe_failure(&t.observed, "::Ice::B");
    ir_observe_failure(&t.observed, "::Ice::A");
    assert_int_equal(thing_element(&w, "t")->base.failures, 3);
    assert_int_equal(ir_metrics_map_failures(map_of(&w, "V", "Thing"), NULL, &w.f.arena, &v, &n), 0);
    assert_int_equal(n, 1);
    assert_true(ib_str_is(v[0].id, "t"));
    assert_int_equal(v[0].failures.n, 2);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(v[0].failures.v[i].value, ib_str_is(v[0].failures.v[i].key, "::Ice::A") ? 2 : 1);
    assert_int_equal(ir_metrics_map_failures(map_of(&w, "V", "Thing"), &IB_STR("healthy"), &w.f.arena, &v, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(v[0].failures.n, 0);
    assert_int_equal(ir_metrics_map_failures(map_of(&w, "V", "Thing"), &IB_STR("nobody"), &w.f.arena, &v, &n), 0);
    assert_int_equal(n, 0);
    ir_observe_end(&t.observed);
    fixture_fini(&w.f);
}

static void test_views(void **state)
{
    struct world w;
    struct thing t = {.id = "t", .level = 4};
    (void)state;
    world_init(&w, LINES("IceMX.Metrics.V.Map.Thing.GroupBy=id", "IceMX.Metrics.Off.Disabled=1",
                         "IceMX.Metrics.All.GroupBy=none", "IceMX.Metrics.Other.Map.Nope.GroupBy=id",
                         "IceMX.Metrics.Not.Map.Thing.Disabled=1", "IceMX.Metrics.Bad.Map.Thing.Accept.id=["));
    assert_true(ir_metrics_find(w.m, IB_STR("Off"))->disabled);
    assert_null(map_of(&w, "Off", "Thing"));
    assert_null(map_of(&w, "Other", "Thing"));
    assert_null(map_of(&w, "Not", "Thing"));
    assert_null(map_of(&w, "Bad", "Thing"));
    assert_non_null(map_of(&w, "All", "Dispatch"));
    assert_null(map_of(&w, "V", "Dispatch"));
    assert_null(ir_metrics_find(w.m, IB_STR("nobody")));
    assert_int_equal(ir_metrics_enable(w.m, IB_STR("nobody"), true), IB_ENOTFOUND);
    ir_observe(w.source, &t.observed, &t);
    t.count = 50;

    assert_int_equal(ir_metrics_enable(w.m, IB_STR("Off"), true), 0); /* what lives is counted from now on */
    assert_string_equal(ir_properties_get(w.f.server->props, "IceMX.Metrics.Off.Disabled"), "0");
    const struct IceMX_ConnectionMetrics *e = (const struct IceMX_ConnectionMetrics *)element(&w, "Off", "Thing", "t");
    assert_int_equal(e->receivedBytes, 0);
    assert_int_equal(e->sentBytes, 4);

    assert_int_equal(ir_metrics_enable(w.m, IB_STR("V"), true), 0); /* it was: nothing is lost */
    expect_thing(&w, "t", 1, 1, 50, 4);
    assert_int_equal(ir_metrics_enable(w.m, IB_STR("V"), false), 0);
    assert_null(map_of(&w, "V", "Thing"));
    assert_int_equal(ir_metrics_enable(w.m, IB_STR("V"), true), 0);
    expect_thing(&w, "t", 1, 1, 0, 4);

    t.count = 60;
    set(&w, "IceMX.Metrics.All.GroupBy", "id"); /* another view's change */
    expect_thing(&w, "t", 1, 1, 10, 4);
    set(&w, "IceMX.Metrics.V.Map.Thing.GroupBy", "none");
    expect_thing(&w, "", 1, 1, 0, 4);
    set(&w, "IceMX.Metrics.V.Map.Thing.GroupBy", "");
    assert_non_null(map_of(&w, "V", "Dispatch")); /* V.Disabled=0 is still there: a view of everything */
    set(&w, "IceMX.Metrics.V.Disabled", "");
    assert_null(ir_metrics_find(w.m, IB_STR("V")));
    ir_observe_end(&t.observed);
    fixture_fini(&w.f);
}

/* --- what a runtime counts of itself ------------------------------------------------------------------------------ */

static void test_calls(void **state)
{
    struct world w;
    struct outcome o = {0};
    (void)state;
    world_init(&w, LINES("Ice.Warn.Dispatch=0"));
    struct ir_metrics *client = w.f.client->metrics;
    struct iw_proxy *p = echo_proxy(&w.f);
    struct iw_proxy *missing = iw_proxy_copy(p, &w.f.arena);
    missing->id.name = IB_STR("missing");
    Vec_I_echo_call(w.f.client, p, NULL, &(struct Vec_I_echo_in){.s = IB_STR("xyz")}, on_outcome, &o);
    wait_for(w.f.loop, &o.done);
    assert_false(w.m->dispatch.on || client->invocation.on); /* nobody looks */

    set(&w, "IceMX.Metrics.V.GroupBy", "id");
    assert_int_equal(ir_properties_set(w.f.client->props, "IceMX.Metrics.V.GroupBy", "id"), 0);
    client->started = true;
    ir_metrics_configure(client);
    for (int i = 0; i < 3; i++) {
        o = (struct outcome){0};
        Vec_I_echo_call(w.f.client, i == 2 ? missing : p, NULL, &(struct Vec_I_echo_in){.s = IB_STR("xyz")}, on_outcome,
                        &o);
        wait_for(w.f.loop, &o.done);
    }
    /* cat/obj, no facet, echo, mode, no context, 6 + 4 bytes: without the request id */
    const int64_t size = 4 + 4 + 1 + 5 + 1 + 1 + 10, reply = 1 + 10;
    const struct IceMX_DispatchMetrics *d =
        (const struct IceMX_DispatchMetrics *)element(&w, "V", "Dispatch", "cat/obj [echo]");
    assert_int_equal(d->base.total, 2);
    assert_int_equal(d->base.current, 0);
    assert_int_equal(d->size, 2 * size);
    assert_int_equal(d->replySize, 2 * reply);
    assert_int_equal(element(&w, "V", "Dispatch", "cat/missing [echo]")->failures, 1);
    const struct IceMX_ConnectionMetrics *c =
        (const struct IceMX_ConnectionMetrics *)element(&w, "V", "Thread", "Ice.ThreadPool.Server-0");
    assert_int_equal(c->base.current, 1);

    w.m = client;
    const struct IceMX_InvocationMetrics *i =
        (const struct IceMX_InvocationMetrics *)element(&w, "V", "Invocation", "cat/obj -t -e 1.1 [echo]");
    assert_int_equal(i->base.total, 2);
    assert_int_equal(i->remotes.n, 1);
    const struct IceMX_ChildInvocationMetrics *remote = (const struct IceMX_ChildInvocationMetrics *)i->remotes.v[0];
    assert_ptr_equal(remote->base.object.cls, &IceMX_RemoteMetrics_class);
    assert_int_equal(remote->size, 2 * size);
    assert_int_equal(remote->replySize, 2 * reply);
    assert_int_equal(i->collocated.n, 0);
    assert_int_equal(element(&w, "V", "Invocation", "cat/missing -t -e 1.1 [echo]")->failures, 1);
    fixture_fini(&w.f);
}

/* The views go while a call and its dispatch are under way: both end without them. */
static void test_view_goes_under_way(void **state)
{
    struct world w;
    struct outcome o = {0};
    (void)state;
    world_init(&w, LINES("IceMX.Metrics.V.GroupBy=id"));
    Vec_I_echo_call(w.f.client, echo_proxy(&w.f), NULL, &(struct Vec_I_echo_in){.s = IB_STR("sleep0.05")}, on_outcome,
                    &o);
    while (!element(&w, "V", "Dispatch", "cat/obj [echo]"))
        ic_loop_run_once(w.f.loop, 20);
    assert_int_equal(element(&w, "V", "Dispatch", "cat/obj [echo]")->current, 1);
    set(&w, "IceMX.Metrics.V.GroupBy", "");
    assert_null(ir_metrics_find(w.m, IB_STR("V")));
    assert_false(w.m->dispatch.on);
    wait_for(w.f.loop, &o.done);
    assert_int_equal(o.outcome, IR_SUCCESS);
    fixture_fini(&w.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_group_by),
        cmocka_unit_test(test_long_ids_are_cut),
        cmocka_unit_test(test_accept_reject),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_counts_and_levels),
        cmocka_unit_test(test_observed_again),
        cmocka_unit_test(test_retain),
        cmocka_unit_test(test_retain_is_bounded),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_views),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_view_goes_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
