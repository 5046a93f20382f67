/* SPDX-License-Identifier: Apache-2.0 */
/* ::Vec::I as the server of the captured calls had it: every kind of answer, one of each. */
#include "echo_servant.h"

#include <vec/Vec.h>
#include <vec/Vec_rpc.h>

#include <moulin/rpc/call.h>

#include <stdlib.h>

static void noargs(void *self, struct ir_request *rq, const struct Vec_I_noargs_in *in)
{
    (void)in;
    ((struct echo *)self)->pings++;
    Vec_I_noargs_reply(rq, NULL);
}

static void add(void *self, struct ir_request *rq, const struct Vec_I_add_in *in)
{
    (void)self;
    Vec_I_add_reply(rq, &(struct Vec_I_add_out){.ret = (int32_t)((uint32_t)in->a + (uint32_t)in->b)});
}

static void getName(void *self, struct ir_request *rq, const struct Vec_I_getName_in *in)
{
    (void)self;
    (void)in;
    Vec_I_getName_reply(rq, &(struct Vec_I_getName_out){.ret = IB_STR("server")});
}

/* --- echo, which can take its time ---------------------------------------------------------------------------- */

struct sleeper {
    struct ib_list node;
    struct ir_request *rq;
    struct ib_str text; /* in the request's arena */
    struct ic_timer timer;
};

static void wake(void *arg)
{
    struct sleeper *s = arg;
    ib_list_remove(&s->node);
    ic_timer_fini(&s->timer);
    Vec_I_echo_reply(s->rq, &(struct Vec_I_echo_out){.ret = s->text});
    free(s);
}

static void echo(void *self, struct ir_request *rq, const struct Vec_I_echo_in *in)
{
    struct echo *e = self;
    bool sleeps = in->s.n > 5 && memcmp(in->s.p, "sleep", 5) == 0;
    struct sleeper *s = sleeps ? calloc(1, sizeof(*s)) : NULL;
    if (!s) {
        Vec_I_echo_reply(rq, &(struct Vec_I_echo_out){.ret = in->s});
        return;
    }
    s->rq = rq;
    s->text = in->s;
    ib_list_append(&e->sleepers, &s->node);
    ic_timer_init(&s->timer, ir_runtime_loop(e->rt), wake, s);
    ic_timer_start(&s->timer, (int64_t)(strtod(in->s.p + 5, NULL) * 1000));
}

/* --- values --------------------------------------------------------------------------------------------------- */

static void opOpt(void *self, struct ir_request *rq, const struct Vec_I_opOpt_in *in)
{
    (void)self;
    struct Vec_I_opOpt_out out = {.has_ret = in->has_s, .ret = 5, .has_o = in->has_s, .o = IB_STR("out")};
    Vec_I_opOpt_reply(rq, &out);
}

static void opBase(void *self, struct ir_request *rq, const struct Vec_I_opBase_in *in)
{
    (void)self;
    Vec_I_opBase_reply(rq, &(struct Vec_I_opBase_out){.ret = in->b});
}

static void opBases(void *self, struct ir_request *rq, const struct Vec_I_opBases_in *in)
{
    (void)self;
    Vec_I_opBases_reply(rq, &(struct Vec_I_opBases_out){.ret = in->b});
}

static void opNode(void *self, struct ir_request *rq, const struct Vec_I_opNode_in *in)
{
    (void)self;
    (void)in;
    Vec_I_opNode_reply(rq, NULL);
}

static void opNodes(void *self, struct ir_request *rq, const struct Vec_I_opNodes_in *in)
{
    (void)self;
    (void)in;
    Vec_I_opNodes_reply(rq, NULL);
}

static void opProxy(void *self, struct ir_request *rq, const struct Vec_I_opProxy_in *in)
{
    (void)self;
    (void)in;
    Vec_I_opProxy_reply(rq, NULL);
}

/* --- calling back --------------------------------------------------------------------------------------------- */

static void on_hello(void *arg, const struct ir_result *r)
{
    struct ir_request *rq = arg;
    char text[200];
    if (r->outcome == IR_SUCCESS)
        Vec_I_addCb_reply(rq, &(struct Vec_I_addCb_out){.ret = 1});
    else
        ir_request_fail(rq, IR_UNKNOWN, ir_result_text(r, text, sizeof(text)));
}

static void addCb(void *self, struct ir_request *rq, const struct Vec_I_addCb_in *in)
{
    struct echo *e = self;
    struct Vec_CB_hello_in hello = {.text = IB_STR("callback")};
    struct ir_call_options fixed = {.conn = ir_request_conn(rq)};
    if (!in->cb || !Vec_CB_hello_call(e->rt, in->cb, &fixed, &hello, on_hello, rq))
        ir_request_fail(rq, IR_UNKNOWN, "no callback");
}

static void shutdown_op(void *self, struct ir_request *rq, const struct Vec_I_shutdown_in *in)
{
    struct echo *e = self;
    (void)in;
    Vec_I_shutdown_reply(rq, NULL);
    if (e->on_shutdown)
        e->on_shutdown(e->arg);
}

/* --- exceptions ----------------------------------------------------------------------------------------------- */

static void throw_class(struct ir_request *rq)
{
    struct Vec_Derived *d = Vec_Derived_new(ir_request_arena(rq));
    if (!d) {
        ir_request_fail_local(rq, IB_ENOMEM, NULL);
        return;
    }
    d->base.i = 6;
    d->s = IB_STR("d");
    Vec_EClass_throw(rq, &(struct Vec_EClass){.b = &d->base});
}

#define THROWS(op, statement)                                                                                          \
    static void op(void *self, struct ir_request *rq, const struct Vec_I_##op##_in *in)                                \
    {                                                                                                                  \
        (void)self;                                                                                                    \
        (void)in;                                                                                                      \
        statement;                                                                                                     \
    }

#define E1                                                                                                             \
    &(struct Vec_E1)                                                                                                   \
    {                                                                                                                  \
        .reason = IB_STR("why")                                                                                        \
    }
#define E2                                                                                                             \
    &(struct Vec_E2)                                                                                                   \
    {                                                                                                                  \
        .base = {.reason = IB_STR("why")}, .code = 3                                                                   \
    }
#define EOPT                                                                                                           \
    &(struct Vec_EOpt)                                                                                                 \
    {                                                                                                                  \
        .a = 1, .has_o = true, .o = 2, .has_s = true, .s = IB_STR("s")                                                 \
    }

THROWS(ex0, Vec_E0_throw(rq, NULL))
THROWS(ex0s, Vec_E0_throw(rq, NULL))
THROWS(ex1, Vec_E1_throw(rq, E1))
THROWS(ex1s, Vec_E1_throw(rq, E1))
THROWS(ex2, Vec_E2_throw(rq, E2))
THROWS(ex2s, Vec_E2_throw(rq, E2))
THROWS(exOpt, Vec_EOpt_throw(rq, EOPT))
THROWS(exOpts, Vec_EOpt_throw(rq, EOPT))
THROWS(exClass, throw_class(rq))
THROWS(exClasss, throw_class(rq))
THROWS(exUndeclared, Vec_E2_throw(rq, E2))
THROWS(exLocal, ir_request_fail(rq, IR_UNKNOWN_LOCAL, "::Ice::TimeoutException"))

static void exUnknown(void *self, struct ir_request *rq, const struct Vec_I_exUnknown_in *in)
{
    (void)self;
    (void)in;
    if (ir_request_info(rq)->id.category.n)
        ir_request_fail(rq, IR_UNKNOWN, "boom");
    else
        ir_request_fail(rq, IR_UNKNOWN_USER, "::Foo::Bar");
}

static const struct Vec_I_servant servant = {
    .noargs = noargs,
    .add = add,
    .getName = getName,
    .echo = echo,
    .opOpt = opOpt,
    .opBase = opBase,
    .opBases = opBases,
    .opNode = opNode,
    .opNodes = opNodes,
    .opProxy = opProxy,
    .addCb = addCb,
    .shutdown = shutdown_op,
    .ex0 = ex0,
    .ex0s = ex0s,
    .ex1 = ex1,
    .ex1s = ex1s,
    .ex2 = ex2,
    .ex2s = ex2s,
    .exOpt = exOpt,
    .exOpts = exOpts,
    .exClass = exClass,
    .exClasss = exClasss,
    .exUndeclared = exUndeclared,
    .exUnknown = exUnknown,
    .exLocal = exLocal,
};

int echo_init(struct echo *e, struct ir_runtime *rt, struct ir_adapter *a)
{
    *e = (struct echo){.rt = rt, .servant = {.iface = &Vec_I_iface, .vtable = &servant, .self = e}};
    e->plain = e->servant;
    ib_list_init(&e->sleepers);
    struct iw_identity obj = {IB_STR("obj"), IB_STR("cat")}, o = {IB_STR("o"), IB_STR("")};
    int r = ir_adapter_add(a, &obj, "", &e->servant);
    if (!r)
        r = ir_adapter_add(a, &obj, "face", &e->servant);
    return r ? r : ir_adapter_add(a, &o, "", &e->plain);
}

void echo_fini(struct echo *e)
{
    while (!ib_list_empty(&e->sleepers))
        wake(IB_CONTAINER(e->sleepers.next, struct sleeper, node));
}
