/* SPDX-License-Identifier: Apache-2.0 */
/* A master and a node made by the test, on one loop: what is deployed is loaded before the change is answered, refusals
   are undone, updates stand in line, an activation is shared, and the end of the node's session releases everybody. */
#include <test.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include <moulin/base/clock.h>
#include <moulin/net/loop.h>
#include <moulin/registry/registry.h>
#include <slice/registry.h>

#include "activation.h"
#include "registry.h"
#include "slices.h"

#define OPEN_MAX 8

struct fx {
    struct ic_loop *loop;
    struct reg *reg;
    char dir[64];
    struct ib_arena arena;
    /* the node */
    struct ir_runtime *rt;
    struct ir_adapter *adapter;
    struct ir_servant node, adapter_servant;
    struct iw_proxy *node_prx, *internal, *session;
    bool hold_loads; /* leave them unanswered */
    bool refuse_loads, hold_activation;
    struct ir_request *loads[OPEN_MAX], *activation;
    int n_loads, n_held, n_destroyed, n_asked, n_activated;
    bool registered;
    /* what was answered */
    int answered, codes[OPEN_MAX];
    char reason[600];
    int n_words;
    enum reg_direct_outcome words[OPEN_MAX];
    int n_placed;
    enum reg_placement_outcome placed[OPEN_MAX];
};

static bool wait_for(struct fx *f, bool (*what)(struct fx *f))
{
    int64_t end = ib_clock_ms() + 20000;
    while (!what(f) && ib_clock_ms() < end)
        ic_loop_run_once(f->loop, 50);
    return what(f);
}

static void give_up(struct ir_request **rq)
{
    if (*rq)
        ir_request_fail_local(*rq, IB_EUNKNOWN, "too late");
    *rq = NULL;
}

/* --- the node ------------------------------------------------------------------------------------------------------
 */

static void answer_load(struct fx *f, struct ir_request *rq)
{
    for (int i = 0; i < OPEN_MAX; i++)
        f->loads[i] = f->loads[i] == rq ? NULL : f->loads[i];
    const struct iw_identity server = {IB_STR("S"), IB_STR("server")}, adapter = {IB_STR("S.A"), IB_STR("adapter")};
    struct IceGrid_AdapterPrxDict_entry entry = {IB_STR("S.A"),
                                                 ir_adapter_direct_proxy(f->adapter, &adapter, ir_request_arena(rq))};
    const struct IceGrid_Node_loadServer_out out = {
        .adapters = {1, &entry},
        .actTimeout = 5,
        .deactTimeout = 6,
        .ret = ir_adapter_direct_proxy(f->adapter, &server, ir_request_arena(rq)),
    };
    IceGrid_Node_loadServer_reply(rq, &out);
}

static void load_server(void *self, struct ir_request *rq, const struct IceGrid_Node_loadServer_in *in)
{
    struct fx *f = self;
    assert_true(ib_str_is(in->svr->id, "S"));
    assert_true(ib_str_is(in->replicaName, "Master"));
    f->n_loads++;
    if (f->refuse_loads)
        IceGrid_DeploymentException_throw(rq, &(struct IceGrid_DeploymentException){.reason = IB_STR("no room")});
    else if (f->hold_loads)
        f->loads[f->n_held++] = rq;
    else
        answer_load(f, rq);
}

static void destroy_server(void *self, struct ir_request *rq, const struct IceGrid_Node_destroyServer_in *in)
{
    struct fx *f = self;
    assert_true(ib_str_is(in->name, "S"));
    f->n_destroyed++;
    IceGrid_Node_destroyServer_reply(rq, NULL);
}

static void get_direct_proxy(void *self, struct ir_request *rq, const struct IceGrid_Adapter_getDirectProxy_in *in)
{
    struct fx *f = self;
    (void)in;
    f->n_asked++;
    IceGrid_AdapterNotActiveException_throw(rq, &(struct IceGrid_AdapterNotActiveException){.activatable = true});
}

static void answer_activation(struct fx *f, struct ir_request *rq)
{
    const struct iw_identity dummy = {IB_STR("dummy"), IB_STR("")};
    const struct IceGrid_Adapter_activate_out out = {
        .ret = ir_adapter_direct_proxy(f->adapter, &dummy, ir_request_arena(rq))};
    f->activation = NULL;
    IceGrid_Adapter_activate_reply(rq, &out);
}

static void activate(void *self, struct ir_request *rq, const struct IceGrid_Adapter_activate_in *in)
{
    struct fx *f = self;
    (void)in;
    f->n_activated++;
    if (f->hold_activation)
        f->activation = rq;
    else
        answer_activation(f, rq);
}

static const struct IceGrid_Node_servant node_vtable = {.loadServer = load_server, .destroyServer = destroy_server};
static const struct IceGrid_Adapter_servant adapter_vtable = {.getDirectProxy = get_direct_proxy, .activate = activate};

static void on_registered(void *arg, const struct ir_result *r)
{
    struct fx *f = arg;
    const struct IceGrid_InternalRegistry_registerNode_out *out = IceGrid_InternalRegistry_registerNode_result(r);
    assert_non_null(out);
    f->session = iw_proxy_copy(out->ret, &f->arena);
    f->registered = true;
}

static bool is_registered(struct fx *f)
{
    return f->registered;
}

static void register_node(struct fx *f)
{
    struct IceGrid_InternalNodeInfo *info = IceGrid_InternalNodeInfo_new(&f->arena);
    info->name = IB_STR("node");
    info->dataDir = IB_STR("/data");
    const struct IceGrid_InternalRegistry_registerNode_in in = {.info = info, .prx = f->node_prx};
    f->registered = false;
    assert_non_null(IceGrid_InternalRegistry_registerNode_call(f->rt, f->internal, NULL, &in, on_registered, f));
    assert_true(wait_for(f, is_registered));
}

static void end_session(struct fx *f)
{
    assert_non_null(IceGrid_NodeSession_destroy_call(f->rt, f->session, NULL, NULL, NULL, NULL));
}

/* --- life ----------------------------------------------------------------------------------------------------------
 */

static void set(struct ir_properties *p, const char *key, const char *value)
{
    assert_int_equal(ir_properties_set(p, key, value), 0);
}

static bool is_ready(struct fx *f)
{
    return reg_is_ready(f->reg);
}

static void start_registry(struct fx *f)
{
    struct ir_properties *p = ir_properties_new();
    char *argv[] = {(char[]){"registry"}, (char[]){"--nowarn"}, NULL};
    struct ib_err err = {0};
    set(p, "IceGrid.InstanceName", "Test");
    set(p, "IceGrid.Registry.Client.Endpoints", "tcp -h 127.0.0.1");
    set(p, "IceGrid.Registry.Server.Endpoints", "tcp -h 127.0.0.1");
    set(p, "IceGrid.Registry.Internal.Endpoints", "tcp -h 127.0.0.1");
    set(p, "IceGrid.Registry.LMDB.Path", f->dir);
    f->reg = reg_start(f->loop, p, 2, argv, &err);
    ir_properties_free(p);
    if (!f->reg)
        fail_msg("%s", err.text);
    assert_true(wait_for(f, is_ready));
    const struct iw_identity id = {IB_STR("InternalRegistry-Master"), IB_STR("Test")};
    f->internal = ir_adapter_direct_proxy(f->reg->internal, &id, &f->arena);
}

static void start_node(struct fx *f)
{
    struct ir_properties *p = ir_properties_new();
    struct ib_err err = {0};
    const struct iw_identity node = {IB_STR("Node-node"), IB_STR("Test")}, adapter = {IB_STR("S.A"), IB_STR("adapter")};
    set(p, "Node.Endpoints", "tcp -h 127.0.0.1");
    f->rt = ir_runtime_new(f->loop, p, &slice_registry, &err);
    f->adapter = ir_adapter_new(f->rt, "Node", &err);
    assert_non_null(f->adapter);
    f->node = (struct ir_servant){.iface = &IceGrid_Node_iface, .vtable = &node_vtable, .self = f};
    f->adapter_servant = (struct ir_servant){.iface = &IceGrid_Adapter_iface, .vtable = &adapter_vtable, .self = f};
    assert_int_equal(ir_adapter_add(f->adapter, &node, "", &f->node), 0);
    assert_int_equal(ir_adapter_add(f->adapter, &adapter, "", &f->adapter_servant), 0);
    ir_adapter_activate(f->adapter, NULL, NULL);
    f->node_prx = ir_adapter_direct_proxy(f->adapter, &node, &f->arena);
}

static int setup(void **state)
{
    struct fx *f = calloc(1, sizeof *f);
    strcpy(f->dir, "/tmp/moulin-nodes-XXXXXX");
    f->loop = ic_loop_new(NULL);
    ib_arena_init(&f->arena, 0);
    *state = f;
    if (!f->loop || !mkdtemp(f->dir))
        return -1;
    start_registry(f);
    start_node(f);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

/* Whatever is open: nothing may be left of it. */
static int teardown(void **state)
{
    struct fx *f = *state;
    reg_free(f->reg);
    for (int i = 0; i < OPEN_MAX; i++)
        give_up(&f->loads[i]);
    give_up(&f->activation);
    ir_adapter_free(f->adapter);
    ir_runtime_free(f->rt);
    for (int i = 0; i < 5; i++)
        ic_loop_run_once(f->loop, 0);
    ic_loop_free(f->loop);
    ib_arena_fini(&f->arena);
    nftw(f->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

/* --- changes -------------------------------------------------------------------------------------------------------
 */

static void on_answer(void *arg, struct reg_change *c)
{
    struct fx *f = arg;
    f->codes[f->answered++] = c->code;
    if (c->code)
        snprintf(f->reason, sizeof f->reason, "%s", c->err.text);
}

static void submit(struct fx *f, enum reg_change_op op)
{
    struct IceGrid_PropertyDescriptor endpoints = {IB_STR("A.Endpoints"), IB_STR("tcp")};
    struct IceGrid_AdapterDescriptor adapter = {.name = IB_STR("A"), .id = IB_STR("S.A")};
    struct IceGrid_ServerDescriptor *server = IceGrid_ServerDescriptor_new(&f->arena);
    struct IceGrid_NodeDescriptorDict_entry node = {IB_STR("node"), {.servers = {1, &server}}};
    const struct IceGrid_ApplicationDescriptor app = {.name = IB_STR("App"), .nodes = {1, &node}};
    struct reg_change *c = reg_change_new(op, on_answer, f);
    server->id = IB_STR("S");
    server->exe = IB_STR("/bin/true");
    server->activation = IB_STR("on-demand");
    server->base.adapters = (struct IceGrid_AdapterDescriptorSeq){1, &adapter};
    server->base.propertySet.properties = (struct IceGrid_PropertyDescriptorSeq){1, &endpoints};
    assert_non_null(c);
    assert_int_equal(op == REG_APP_REMOVE ? reg_change_set_name(c, app.name) : reg_change_set_descriptor(c, &app), 0);
    reg_change_submit(f->reg, c);
}

static bool one_answer(struct fx *f)
{
    return f->answered >= 1;
}

static bool two_answers(struct fx *f)
{
    return f->answered >= 2;
}

static bool one_load(struct fx *f)
{
    return f->n_held >= 1;
}

static bool two_loads(struct fx *f)
{
    return f->n_held >= 2;
}

static void test_answer_waits_for_the_node(void **state)
{
    struct fx *f = *state;
    struct reg_placement p;
    register_node(f);
    f->hold_loads = true;
    submit(f, REG_APP_ADD);
    submit(f, REG_APP_SYNC); /* stands in line */
    assert_true(wait_for(f, one_load));
    assert_non_null(reg_catalog_app(f->reg->catalog, IB_STR("App")));
    assert_false(reg_server_placed(f->reg, IB_STR("S"), &p));
    assert_int_equal(f->answered, 0);
    answer_load(f, f->loads[0]);
    assert_true(wait_for(f, two_loads));
    assert_int_equal(f->answered, 1);
    answer_load(f, f->loads[1]);
    assert_true(wait_for(f, two_answers));
    assert_int_equal(f->codes[0], 0);
    assert_int_equal(f->codes[1], 0);
    assert_true(reg_server_placed(f->reg, IB_STR("S"), &p));
    assert_int_equal(p.activation_s, 35); /* and the session's timeout */
    assert_int_equal(p.deactivation_s, 36);
    assert_int_equal(p.adapters->n, 1);
    f->hold_loads = false;
    submit(f, REG_APP_REMOVE);
    f->answered = 0;
    assert_true(wait_for(f, one_answer));
    assert_int_equal(f->n_destroyed, 1);
}

static void test_refusal_is_undone(void **state)
{
    struct fx *f = *state;
    int64_t serial = reg_db_serial(f->reg, REG_APPLICATIONS);
    register_node(f);
    f->refuse_loads = true;
    submit(f, REG_APP_ADD);
    assert_true(wait_for(f, one_answer));
    assert_int_not_equal(f->codes[0], 0);
    assert_string_equal(f->reason, "couldn't load `S' on node `node':\nno room");
    assert_null(reg_catalog_app(f->reg->catalog, IB_STR("App")));
    assert_int_equal(reg_db_serial(f->reg, REG_APPLICATIONS), serial + 2);
    f->refuse_loads = false;
    f->answered = 0;
    submit(f, REG_APP_ADD);
    assert_true(wait_for(f, one_answer));
    assert_int_equal(f->codes[0], 0);
}

/* --- activation ----------------------------------------------------------------------------------------------------
 */

static void on_direct(void *arg, const struct reg_direct *d)
{
    struct fx *f = arg;
    assert_true((d->outcome == REG_DIRECT_ACTIVE) == (d->proxy != NULL));
    f->words[f->n_words++] = d->outcome;
}

static void deploy(struct fx *f)
{
    register_node(f);
    submit(f, REG_APP_ADD);
    assert_true(wait_for(f, one_answer));
}

static void ask(struct fx *f, enum reg_direct_mode mode)
{
    assert_non_null(reg_adapter_direct_proxy(f->reg, IB_STR("S.A"), mode, on_direct, f));
}

static bool is_activating(struct fx *f)
{
    return f->activation;
}

static bool two_words(struct fx *f)
{
    return f->n_words >= 2;
}

static bool four_words(struct fx *f)
{
    return f->n_words >= 4;
}

static void test_activation_is_shared(void **state)
{
    struct fx *f = *state;
    deploy(f);
    f->hold_activation = true;
    ask(f, REG_DIRECT_ACTIVATE);
    ask(f, REG_DIRECT_ASK);
    ask(f, REG_DIRECT_ACTIVATE_TELL);
    assert_int_equal(f->n_words, 0); /* never from inside */
    assert_true(wait_for(f, two_words));
    assert_int_equal(f->words[0], REG_DIRECT_INACTIVE);
    assert_int_equal(f->words[1], REG_DIRECT_ACTIVATING);
    assert_true(wait_for(f, is_activating));
    reg_direct_cancel(reg_adapter_direct_proxy(f->reg, IB_STR("S.A"), REG_DIRECT_ACTIVATE, on_direct, f));
    answer_activation(f, f->activation);
    assert_true(wait_for(f, four_words));
    assert_int_equal(f->words[2], REG_DIRECT_ACTIVE);
    assert_int_equal(f->words[3], REG_DIRECT_ACTIVE);
    assert_int_equal(f->n_asked, 1);
    assert_int_equal(f->n_activated, 1);
    assert_null(reg_adapter_direct_proxy(f->reg, IB_STR("nowhere"), REG_DIRECT_ASK, on_direct, f));
}

static bool one_word(struct fx *f)
{
    return f->n_words >= 1;
}

static void on_placed(void *arg, const struct reg_placement *p)
{
    struct fx *f = arg;
    f->placed[f->n_placed++] = p->outcome;
}

static bool three_placed(struct fx *f)
{
    return f->n_placed >= 3;
}

static void test_session_end_releases(void **state)
{
    struct fx *f = *state;
    struct reg_placement p;
    deploy(f);
    f->hold_activation = true;
    ask(f, REG_DIRECT_ACTIVATE);
    assert_true(wait_for(f, is_activating));
    end_session(f);
    assert_true(wait_for(f, one_word));
    assert_int_equal(f->words[0], REG_DIRECT_FAILED);
    assert_false(reg_server_placed(f->reg, IB_STR("S"), &p));
    assert_null(reg_node_find(f->reg, IB_STR("node")));
    register_node(f);
    f->hold_loads = true;
    assert_non_null(reg_server_need(f->reg, IB_STR("S"), 0, on_placed, f));
    assert_non_null(reg_server_need(f->reg, IB_STR("nobody"), 0, on_placed, f));
    assert_non_null(reg_server_need(f->reg, IB_STR("S"), 20, on_placed, f));
    assert_true(wait_for(f, one_load));
    give_up(&f->activation);
    end_session(f);
    assert_true(wait_for(f, three_placed));
    int seen[REG_PLACE_LATE + 1] = {0};
    for (int i = 0; i < 3; i++)
        seen[f->placed[i]]++;
    assert_int_equal(seen[REG_PLACE_UNKNOWN], 1);
    assert_int_equal(seen[REG_PLACED], 0);
    assert_true(seen[REG_PLACE_UNREACHABLE] >= 1);
}

/* The registry goes while everything waits: the sanitizers see that nothing is left. */
static void test_end_with_open_requests(void **state)
{
    struct fx *f = *state;
    deploy(f);
    f->hold_activation = f->hold_loads = true;
    ask(f, REG_DIRECT_ACTIVATE);
    assert_true(wait_for(f, is_activating));
    submit(f, REG_APP_SYNC);
    assert_true(wait_for(f, one_load));
    submit(f, REG_APP_SYNC);
    assert_non_null(reg_server_need(f->reg, IB_STR("S"), 5000, on_placed, f));
    ic_loop_run_once(f->loop, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answer_waits_for_the_node, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusal_is_undone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_activation_is_shared, setup, teardown),
        cmocka_unit_test_setup_teardown(test_session_end_releases, setup, teardown),
        cmocka_unit_test_setup_teardown(test_end_with_open_requests, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
