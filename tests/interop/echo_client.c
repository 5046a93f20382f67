/* SPDX-License-Identifier: Apache-2.0 */
/* A client for real Ice servers of ::Vec::I: makes every kind of call on the proxy of property Echo.Proxy, one after
   the other, and prints one line for each: what came back. Exit status 1 when a call never ended. */
#include <moulin/rpc/call.h>
#include <moulin/rpc/request.h>
#include <vec/Vec.h>
#include <vec/Vec_rpc.h>
#include <vec/registry.h>

#include <stdio.h>
#include <string.h>

struct client {
    struct ic_loop *loop;
    struct ir_runtime *rt;
    const struct iw_proxy *prx;
    struct ib_arena arena;
    unsigned step;
    bool done;
};

static void next(struct client *c);

static void print_result(const struct ir_result *r)
{
    char text[512];
    if (Vec_I_add_result(r))
        printf("%d", Vec_I_add_result(r)->ret);
    else if (Vec_I_getName_result(r))
        printf("%s", Vec_I_getName_result(r)->ret.p);
    else if (Vec_I_echo_result(r))
        printf("%zu characters", Vec_I_echo_result(r)->ret.n);
    else if (Vec_I_opBase_result(r))
        printf("%s",
               Vec_I_opBase_result(r)->ret ? ((const struct iw_object *)Vec_I_opBase_result(r)->ret)->cls->id : "null");
    else if (Vec_I_opOpt_result(r))
        printf("ret %d out %d", Vec_I_opOpt_result(r)->has_ret, Vec_I_opOpt_result(r)->has_o);
    else if (r->op == &ir_op_ice_isA && r->out)
        printf("%d", ((const struct ir_isA_out *)r->out)->ret);
    else
        printf("%s", ir_result_text(r, text, sizeof(text)));
    printf("\n");
}

static void on_reply(void *arg, const struct ir_result *r)
{
    print_result(r);
    fflush(stdout);
    next(arg);
}

/* --- the calls ------------------------------------------------------------------------------------------------ */

static const struct ir_call_options plain;

static void do_ping(struct client *c)
{
    ir_call(c->rt, c->prx, &ir_op_ice_ping, NULL, NULL, on_reply, c);
}

static void do_isA(struct client *c)
{
    ir_call(c->rt, c->prx, &ir_op_ice_isA, NULL, &(struct ir_isA_in){IB_STR("::Vec::I")}, on_reply, c);
}

static void do_add(struct client *c)
{
    Vec_I_add_call(c->rt, c->prx, NULL, &(struct Vec_I_add_in){.a = 1, .b = 2}, on_reply, c);
}

static void do_add_1_0(struct client *c)
{
    struct iw_proxy p = *c->prx;
    p.encoding = IW_ENCODING_1_0;
    Vec_I_add_call(c->rt, &p, NULL, &(struct Vec_I_add_in){.a = 3, .b = 4}, on_reply, c);
}

static void do_name(struct client *c)
{
    Vec_I_getName_call(c->rt, c->prx, NULL, NULL, on_reply, c);
}

static void echo_of(struct client *c, size_t n, const struct ir_call_options *o)
{
    static char text[100000];
    memset(text, 'A', n);
    text[n] = '\0';
    Vec_I_echo_call(c->rt, c->prx, o, &(struct Vec_I_echo_in){.s = {text, n}}, on_reply, c);
}

static void do_echo_context(struct client *c)
{
    static const struct ir_context_entry context[] = {{{"a", 1}, {"1", 1}}, {{"b", 1}, {"2", 1}}};
    echo_of(c, 2, &(struct ir_call_options){.context = context, .n_context = 2});
}

static void do_echo_big(struct client *c)
{
    echo_of(c, 90000, &plain);
}

static void do_echo_compressed(struct client *c)
{
    echo_of(c, 90000, &(struct ir_call_options){.compress = 1});
}

static void do_oneway(struct client *c)
{
    Vec_I_noargs_call(c->rt, c->prx, &(struct ir_call_options){.oneway = true}, NULL, on_reply, c);
}

static void do_facet(struct client *c)
{
    ir_call(c->rt, ir_proxy_with_facet(c->prx, "nofacet", &c->arena), &ir_op_ice_ping, NULL, NULL, on_reply, c);
}

static void do_nobody(struct client *c)
{
    struct iw_identity id = {IB_STR("nobody"), IB_STR("")};
    ir_call(c->rt, ir_proxy_with_identity(c->prx, &id, &c->arena), &ir_op_ice_ping, NULL, NULL, on_reply, c);
}

static void do_class(struct client *c)
{
    struct Vec_Derived *d = Vec_Derived_new(&c->arena);
    d->s = IB_STR("x");
    Vec_I_opBase_call(c->rt, c->prx, NULL, &(struct Vec_I_opBase_in){.b = &d->base}, on_reply, c);
}

static void do_optional(struct client *c)
{
    struct Vec_I_opOpt_in in = {.a = 1, .has_s = true, .s = IB_STR("x")};
    Vec_I_opOpt_call(c->rt, c->prx, NULL, &in, on_reply, c);
}

#define EXCEPTION(op)                                                                                                  \
    static void do_##op(struct client *c)                                                                              \
    {                                                                                                                  \
        Vec_I_##op##_call(c->rt, c->prx, NULL, NULL, on_reply, c);                                                     \
    }
EXCEPTION(ex0)
EXCEPTION(ex2)
EXCEPTION(ex2s)
EXCEPTION(exClass)
EXCEPTION(exUndeclared)
EXCEPTION(exUnknown)

static void do_timeout(struct client *c)
{
    Vec_I_echo_call(c->rt, c->prx, &(struct ir_call_options){.timeout_ms = 100},
                    &(struct Vec_I_echo_in){.s = IB_STR("sleep0.5")}, on_reply, c);
}

static const struct {
    const char *name;
    void (*fn)(struct client *c);
} steps[] = {
    {"ping", do_ping},
    {"isA", do_isA},
    {"add", do_add},
    {"add 1.0", do_add_1_0},
    {"name", do_name},
    {"context", do_echo_context},
    {"big", do_echo_big},
    {"compressed", do_echo_compressed},
    {"oneway", do_oneway},
    {"facet", do_facet},
    {"nobody", do_nobody},
    {"class", do_class},
    {"optional", do_optional},
    {"ex0", do_ex0},
    {"ex2", do_ex2},
    {"ex2s", do_ex2s},
    {"exClass", do_exClass},
    {"exUndeclared", do_exUndeclared},
    {"exUnknown", do_exUnknown},
    {"timeout", do_timeout},
};

static void next(struct client *c)
{
    if (c->step == sizeof(steps) / sizeof(steps[0])) {
        c->done = true;
        return;
    }
    printf("%s: ", steps[c->step].name);
    steps[c->step++].fn(c);
}

static void stopped(void *arg)
{
    *(bool *)arg = true;
}

static int client_run(struct client *c, struct ir_properties *props, struct ib_err *err)
{
    struct iw_proxy *p = NULL;
    c->rt = ir_runtime_new(c->loop, props, &vec_registry, err);
    if (!c->rt) {
        ir_properties_free(props);
        return 1;
    }
    if (ir_runtime_property_proxy(c->rt, "Echo.Proxy", &c->arena, &p, err) || !p)
        return 1;
    c->prx = p;
    next(c);
    for (int i = 0; i < 2000 && !c->done; i++)
        ic_loop_run_once(c->loop, 20);
    bool end = false;
    ir_runtime_shutdown(c->rt, stopped, &end);
    for (int i = 0; i < 2000 && !end; i++)
        ic_loop_run_once(c->loop, 20);
    return !c->done || !end;
}

int main(int argc, char **argv)
{
    struct ib_err err = {0};
    struct client c = {.loop = ic_loop_new(&err)};
    struct ir_properties *props = ir_properties_new();
    ib_arena_init(&c.arena, 0);
    int r = !c.loop || !props || ir_properties_from_args(props, &argc, argv, &err);
    for (int i = 1; i < argc && !r; i++)
        r = ir_properties_parse_line(props, argv[i] + (strncmp(argv[i], "--", 2) == 0 ? 2 : 0), "command line");
    if (!r)
        r = client_run(&c, props, &err);
    if (err.code)
        fprintf(stderr, "echo_client: %s\n", err.text);
    ir_runtime_free(c.rt);
    ic_loop_free(c.loop);
    ib_arena_fini(&c.arena);
    return r ? 1 : 0;
}
