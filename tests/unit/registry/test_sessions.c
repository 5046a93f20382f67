/* SPDX-License-Identifier: Apache-2.0 */
/* Client sessions of a running master, over loopback: logins, who may call, allocation in turn, timeouts, whole
   servers, lost connections, an orderly stop, and a long random run in which no object ever has two owners. */
#include <test.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include <moulin/base/clock.h>
#include <moulin/net/loop.h>
#include <moulin/registry/registry.h>
#include <slice/registry.h>

#include "registry.h"
#include "slices.h"

#define CLIENTS 4
#define WAIT_MS 20000

struct client {
    struct ir_runtime *rt;
    struct iw_proxy *session;
};

struct fx {
    struct ic_loop *loop;
    struct reg *reg;
    char dir[64], registry[128];
    struct ib_arena arena;
    struct client clients[CLIENTS];
    bool deployed, stopped;
};

/* One call's end. */
struct reply {
    struct fx *f;
    bool done;
    enum ir_outcome outcome;
    enum ir_status status;
    const char *thrown; /* type id; "" without */
    char reason[200], object[64]; /* object: name of the proxy returned */
    struct iw_proxy *proxy;
};

static void set(struct ir_properties *p, const char *key, const char *value)
{
    assert_int_equal(ir_properties_set(p, key, value), 0);
}

#define RUN_UNTIL(f, condition)                                                                                        \
    do {                                                                                                               \
        int64_t end_ = ib_clock_ms() + WAIT_MS;                                                                        \
        while (!(condition) && ib_clock_ms() < end_)                                                                   \
            ic_loop_run_once((f)->loop, 50);                                                                           \
        assert_true(condition);                                                                                        \
    } while (0)

/* --- a master with something to allocate -------------------------------------------------------------------------- */

static struct IceGrid_ServerDescriptor *server(struct fx *f, const char *id, bool allocatable,
                                               const char *const *objects, size_t n, const char *type)
{
    struct IceGrid_ServerDescriptor *s = IceGrid_ServerDescriptor_new(&f->arena);
    struct IceGrid_AdapterDescriptor *a = IB_ARENA_NEW(&f->arena, struct IceGrid_AdapterDescriptor);
    struct IceGrid_PropertyDescriptor *p = IB_ARENA_NEW(&f->arena, struct IceGrid_PropertyDescriptor);

    s->id = ib_str(id);
    s->exe = ib_str("/bin/true");
    s->activation = ib_str("manual");
    s->allocatable = allocatable;
    a->name = ib_str("A");
    a->id = ib_arena_printf(&f->arena, "%s.A", id);
    a->serverLifetime = true;
    a->allocatables.v = IB_ARENA_ARRAY(&f->arena, n, struct IceGrid_ObjectDescriptor);
    for (size_t i = 0; i < n; i++)
        a->allocatables.v[a->allocatables.n++] = (struct IceGrid_ObjectDescriptor){
            .id = {ib_str(objects[i]), ib_str("")}, .type = ib_str(type), .proxyOptions = ib_str("")};
    s->base.adapters.n = 1;
    s->base.adapters.v = a;
    *p = (struct IceGrid_PropertyDescriptor){ib_str("A.Endpoints"), ib_str("tcp -h 127.0.0.1")};
    s->base.propertySet.properties.n = 1;
    s->base.propertySet.properties.v = p;
    return s;
}

static void on_deployed(void *arg, struct reg_change *c)
{
    struct fx *f = arg;

    if (c->code != 0)
        fail_msg("%s", c->err.text);
    f->deployed = true;
}

static void deploy(struct fx *f)
{
    static const char *const pool[] = {"a", "b"}, *const whole[] = {"x", "y"};
    struct IceGrid_ServerDescriptor *servers[2] = {server(f, "Pool", false, pool, 2, "::Pool"),
                                                   server(f, "Whole", true, whole, 2, "::Whole")};
    struct IceGrid_NodeDescriptorDict_entry node = {.key = ib_str("n"), .value = {.servers = {.n = 2, .v = servers}}};
    struct IceGrid_ApplicationDescriptor app = {.name = ib_str("App"), .nodes = {.n = 1, .v = &node}};
    struct reg_change *c = reg_change_new(REG_APP_ADD, on_deployed, f);

    assert_int_equal(reg_change_set_descriptor(c, &app), 0);
    assert_int_equal(reg_change_set_user(c, ib_str("test")), 0);
    reg_change_submit(f->reg, c);
    RUN_UNTIL(f, f->deployed);
}

static void start_registry(struct fx *f)
{
    struct ir_properties *p = ir_properties_new();
    char *argv[] = {(char[]){"registry"}, (char[]){"--nowarn"}, NULL};
    struct ib_err err = {0};
    size_t n;

    set(p, "IceGrid.InstanceName", "Test");
    set(p, "IceGrid.Registry.Client.Endpoints", "tcp -h 127.0.0.1");
    set(p, "IceGrid.Registry.Server.Endpoints", "tcp -h 127.0.0.1");
    set(p, "IceGrid.Registry.Internal.Endpoints", "tcp -h 127.0.0.1");
    set(p, "IceGrid.Registry.LMDB.Path", f->dir);
    set(p, "IceGrid.Registry.PermissionsVerifier", "Test/NullPermissionsVerifier");
    f->reg = reg_start(f->loop, p, 2, argv, &err);
    ir_properties_free(p);
    if (!f->reg)
        fail_msg("%s", err.text);
    RUN_UNTIL(f, reg_is_ready(f->reg));
    snprintf(f->registry, sizeof(f->registry), "Test/Registry:tcp -h 127.0.0.1 -p %d",
             (int)ir_adapter_endpoints(f->reg->client, &n)->port);
}

static struct ir_runtime *client_runtime(struct fx *f)
{
    struct ir_properties *p = ir_properties_new();
    struct ib_err err = {0};
    struct ir_runtime *rt = ir_runtime_new(f->loop, p, &slice_registry, &err);

    if (!rt)
        fail_msg("%s", err.text);
    return rt;
}

/* --- calls ---------------------------------------------------------------------------------------------------------
 */

static void read_exception(struct reply *w, const struct ir_result *r)
{
    const struct IceGrid_AllocationException *a = IceGrid_AllocationException_caught(r);
    const struct IceGrid_PermissionDeniedException *d = IceGrid_PermissionDeniedException_caught(r);

    w->thrown = r->exception ? r->exception->id : "";
    snprintf(w->reason, sizeof(w->reason), "%s", a ? ib_cstr(a->reason) : d ? ib_cstr(d->reason) : "");
}

static void on_reply(void *arg, const struct ir_result *r)
{
    struct reply *w = arg;
    const struct IceGrid_Registry_createSession_out *s = IceGrid_Registry_createSession_result(r);
    const struct IceGrid_Session_allocateObjectById_out *i = IceGrid_Session_allocateObjectById_result(r);
    const struct IceGrid_Session_allocateObjectByType_out *t = IceGrid_Session_allocateObjectByType_result(r);
    const struct iw_proxy *prx = s ? s->ret : i ? i->ret : t ? t->ret : NULL;

    w->done = true;
    w->outcome = r->outcome;
    w->status = r->status;
    read_exception(w, r);
    if (prx) {
        w->proxy = iw_proxy_copy(prx, &w->f->arena);
        snprintf(w->object, sizeof(w->object), "%s", ib_cstr(prx->id.name));
    }
}

static void wait_reply(struct reply *w)
{
    RUN_UNTIL(w->f, w->done);
}

static struct iw_identity name_id(const char *name)
{
    return (struct iw_identity){ib_str(name), ib_str("")};
}

static void by_id(struct fx *f, int c, const char *name, struct reply *w)
{
    *w = (struct reply){.f = f, .thrown = ""};
    assert_non_null(IceGrid_Session_allocateObjectById_call(
        f->clients[c].rt, f->clients[c].session, NULL,
        &(struct IceGrid_Session_allocateObjectById_in){.id = name_id(name)}, on_reply, w));
}

static void by_type(struct fx *f, int c, const char *type, struct reply *w)
{
    *w = (struct reply){.f = f, .thrown = ""};
    assert_non_null(IceGrid_Session_allocateObjectByType_call(
        f->clients[c].rt, f->clients[c].session, NULL,
        &(struct IceGrid_Session_allocateObjectByType_in){.type = ib_str(type)}, on_reply, w));
}

static void release(struct fx *f, int c, const char *name, struct reply *w)
{
    *w = (struct reply){.f = f, .thrown = ""};
    assert_non_null(IceGrid_Session_releaseObject_call(f->clients[c].rt, f->clients[c].session, NULL,
                                                       &(struct IceGrid_Session_releaseObject_in){.id = name_id(name)},
                                                       on_reply, w));
}

static void set_timeout(struct fx *f, int c, int ms)
{
    struct reply w = {.f = f};

    IceGrid_Session_setAllocationTimeout_call(f->clients[c].rt, f->clients[c].session, NULL,
                                              &(struct IceGrid_Session_setAllocationTimeout_in){.timeout = ms},
                                              on_reply, &w);
    wait_reply(&w);
    assert_int_equal(w.outcome, IR_SUCCESS);
}

static void destroy(struct fx *f, int c)
{
    struct reply w = {.f = f};

    Glacier2_Session_destroy_call(f->clients[c].rt, f->clients[c].session, NULL, NULL, on_reply, &w);
    wait_reply(&w);
    assert_int_equal(w.outcome, IR_SUCCESS);
}

static void log_in(struct fx *f, int c, const char *user, struct reply *w)
{
    struct iw_proxy *registry;
    struct ib_err err;

    *w = (struct reply){.f = f, .thrown = ""};
    if (!f->clients[c].rt)
        f->clients[c].rt = client_runtime(f);
    assert_int_equal(ir_runtime_parse_proxy(f->clients[c].rt, f->registry, &f->arena, &registry, &err), 0);
    IceGrid_Registry_createSession_call(
        f->clients[c].rt, registry, NULL,
        &(struct IceGrid_Registry_createSession_in){.userId = ib_str(user), .password = ib_str("x")}, on_reply, w);
    wait_reply(w);
    f->clients[c].session = w->proxy;
}

/* A call that must wait is answered after one that was sent behind it on the same connection, or not at all. */
static void expect_waiting(struct fx *f, int c, const struct reply *w)
{
    set_timeout(f, c, -1);
    assert_false(w->done);
}

static void expect_object(struct reply *w, const char *name)
{
    wait_reply(w);
    assert_string_equal(w->thrown, "");
    assert_string_equal(w->object, name);
}

static void expect_thrown(struct reply *w, const char *id, const char *reason)
{
    wait_reply(w);
    assert_string_equal(w->thrown, id);
    assert_string_equal(w->reason, reason);
}

/* --- frame ---------------------------------------------------------------------------------------------------------
 */

static int setup(void **state)
{
    struct fx *f = calloc(1, sizeof(*f));
    struct reply w;

    strcpy(f->dir, "/tmp/moulin-sessions-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->loop = ic_loop_new(NULL);
    ib_arena_init(&f->arena, 0);
    start_registry(f);
    deploy(f);
    for (int i = 0; i < CLIENTS; i++) {
        log_in(f, i, "user", &w);
        assert_non_null(f->clients[i].session);
    }
    *state = f;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static int teardown(void **state)
{
    struct fx *f = *state;

    for (int i = 0; i < CLIENTS; i++)
        ir_runtime_free(f->clients[i].rt);
    reg_free(f->reg);
    for (int i = 0; i < 5; i++)
        ic_loop_run_once(f->loop, 0); /* completions the store had posted */
    ic_loop_free(f->loop);
    ib_arena_fini(&f->arena);
    nftw(f->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

/* --- cases ---------------------------------------------------------------------------------------------------------
 */

static void logins(void **state)
{
    struct fx *f = *state;
    struct iw_proxy *of_other = f->clients[0].session, *own = f->clients[1].session;
    struct reply w;

    log_in(f, 2, "", &w);
    expect_thrown(&w, "::IceGrid::PermissionDeniedException", "empty user id");
    f->clients[1].session = of_other; /* from another connection it does not exist */
    release(f, 1, "a", &w);
    wait_reply(&w);
    assert_int_equal(w.outcome, IR_FAILED_STATUS);
    assert_int_equal(w.status, IR_OBJECT_NOT_EXIST);
    f->clients[1].session = own;
    destroy(f, 1);
    release(f, 1, "a", &w);
    wait_reply(&w);
    assert_int_equal(w.status, IR_OBJECT_NOT_EXIST);
}

static void refusals(void **state)
{
    struct fx *f = *state;
    struct reply w;

    by_id(f, 0, "nobody", &w);
    expect_thrown(&w, "::IceGrid::ObjectNotRegisteredException", "");
    by_type(f, 0, "::None", &w);
    expect_thrown(&w, "::IceGrid::AllocationException", "no allocatable objects with type `::None' registered");
    by_id(f, 0, "a", &w);
    expect_object(&w, "a");
    by_id(f, 0, "a", &w);
    expect_thrown(&w, "::IceGrid::AllocationException", "already allocated by the session");
    release(f, 1, "a", &w);
    expect_thrown(&w, "::IceGrid::AllocationException", "can't release object which is not allocated");
    set_timeout(f, 1, 0);
    by_id(f, 1, "a", &w);
    expect_thrown(&w, "::IceGrid::AllocationTimeoutException", "");
    set_timeout(f, 1, 20);
    by_id(f, 1, "a", &w);
    expect_thrown(&w, "::IceGrid::AllocationTimeoutException", "");
    release(f, 0, "a", &w); /* nobody waits any more */
    wait_reply(&w);
    by_id(f, 2, "a", &w);
    expect_object(&w, "a");
}

static void in_turn(void **state)
{
    struct fx *f = *state;
    struct reply a, b, w[3];

    by_id(f, 0, "a", &a);
    expect_object(&a, "a");
    by_id(f, 0, "b", &b);
    expect_object(&b, "b");
    by_id(f, 1, "a", &w[0]);
    expect_waiting(f, 1, &w[0]);
    by_type(f, 2, "::Pool", &w[1]);
    expect_waiting(f, 2, &w[1]);
    by_id(f, 3, "a", &w[2]);
    expect_waiting(f, 3, &w[2]);
    release(f, 0, "a", &a);
    expect_object(&w[0], "a");
    expect_waiting(f, 2, &w[1]);
    release(f, 0, "b", &b);
    expect_object(&w[1], "b");
    expect_waiting(f, 3, &w[2]);
    destroy(f, 1);
    expect_object(&w[2], "a");
}

static void whole_server(void **state)
{
    struct fx *f = *state;
    struct reply x, y, w;

    by_id(f, 0, "x", &x);
    expect_object(&x, "x");
    by_id(f, 1, "y", &w);
    expect_waiting(f, 1, &w);
    by_type(f, 0, "::Whole", &y);
    expect_object(&y, "y");
    release(f, 0, "y", &y);
    wait_reply(&y);
    expect_waiting(f, 1, &w);
    release(f, 0, "x", &x);
    expect_object(&w, "y");
}

static void lost_connection(void **state)
{
    struct fx *f = *state;
    struct reply a, w, lost;

    by_id(f, 0, "a", &a);
    expect_object(&a, "a");
    by_id(f, 1, "a", &lost); /* waits, and goes */
    expect_waiting(f, 1, &lost);
    by_id(f, 2, "a", &w);
    expect_waiting(f, 2, &w);
    ir_runtime_free(f->clients[1].rt);
    f->clients[1].rt = NULL;
    assert_true(lost.done);
    expect_waiting(f, 2, &w);
    ir_runtime_free(f->clients[0].rt);
    f->clients[0].rt = NULL;
    expect_object(&w, "a");
}

static void on_stopped(void *arg)
{
    ((struct fx *)arg)->stopped = true;
}

static void orderly_stop(void **state)
{
    struct fx *f = *state;
    struct reply a, w;

    by_id(f, 0, "a", &a);
    expect_object(&a, "a");
    by_id(f, 0, "b", &a);
    expect_object(&a, "b");
    set_timeout(f, 1, -1);
    by_type(f, 1, "::Pool", &w);
    expect_waiting(f, 1, &w);
    destroy(f, 2);
    reg_stop(f->reg, on_stopped, f);
    RUN_UNTIL(f, f->stopped);
    wait_reply(&w);
}

/* --- the random run ------------------------------------------------------------------------------------------------
 */

static const char *const all_objects[] = {"a", "b", "x", "y"};

struct model {
    int owner[4]; /* client; -1: nobody */
    int grants;
};

static int index_of(const char *object)
{
    for (int i = 0; i < 4; i++) {
        if (strcmp(all_objects[i], object) == 0)
            return i;
    }
    return -1;
}

/* Takes a finished allocation into the model: nobody else may have it, nor the rest of its server. */
static void account(struct model *m, int c, const struct reply *w)
{
    int i = index_of(w->object);

    if (*w->object == 0)
        return;
    assert_int_equal(m->owner[i], -1);
    if (i >= 2)
        assert_true(m->owner[5 - i] == -1 || m->owner[5 - i] == c);
    m->owner[i] = c;
    m->grants++;
}

static void random_step(struct fx *f, struct model *m, unsigned r)
{
    int c = (int)(r % CLIENTS), i = (int)(r / 16 % 4);
    struct reply w;

    switch (r / 64 % 4) {
    case 0:
        by_id(f, c, all_objects[i], &w);
        wait_reply(&w);
        account(m, c, &w);
        break;
    case 1:
        by_type(f, c, i < 2 ? "::Pool" : "::Whole", &w);
        wait_reply(&w);
        account(m, c, &w);
        break;
    case 2:
        release(f, c, all_objects[i], &w);
        wait_reply(&w);
        assert_int_equal(*w.thrown == 0, m->owner[i] == c);
        if (m->owner[i] == c)
            m->owner[i] = -1;
        break;
    default:
        if (r / 256 % 8 != 0)
            break;
        destroy(f, c);
        log_in(f, c, "again", &w);
        set_timeout(f, c, 0);
        for (int k = 0; k < 4; k++)
            m->owner[k] = m->owner[k] == c ? -1 : m->owner[k];
    }
}

static void random_run(void **state)
{
    struct fx *f = *state;
    struct model m = {{-1, -1, -1, -1}, 0};
    unsigned seed = 12345;
    struct reply w;

    for (int i = 0; i < CLIENTS; i++)
        set_timeout(f, i, 0);
    for (int step = 0; step < 6000; step++) {
        seed = seed * 1103515245u + 12345u;
        random_step(f, &m, seed >> 8);
    }
    print_message("random run: %d allocations\n", m.grants);
    assert_true(m.grants > 300);
    for (int i = 0; i < CLIENTS; i++)
        destroy(f, i);
    log_in(f, 0, "last", &w);
    for (int i = 0; i < 4; i++) { /* everything came back */
        by_id(f, 0, all_objects[i], &w);
        expect_object(&w, all_objects[i]);
    }
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(logins), T(refusals), T(in_turn), T(whole_server), T(lost_connection), T(orderly_stop), T(random_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
