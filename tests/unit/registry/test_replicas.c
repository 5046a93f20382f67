/* SPDX-License-Identifier: Apache-2.0 */
/* A master and a slave on one loop, over loopback: changes go through the door in order, reach the disk and the slave
   before they are answered; a slave takes none, serves alone, and comes back. */
#include <test.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include <moulin/base/clock.h>
#include <moulin/net/loop.h>
#include <moulin/registry/registry.h>

#include "registry.h"
#include "slices.h"

struct fx {
    struct ic_loop *loop;
    struct reg *master, *slave;
    char dir[64], locator[128];
    struct ib_arena arena;
    int answered;
    char order[64];
};

static void set(struct ir_properties *p, const char *key, const char *value)
{
    assert_int_equal(ir_properties_set(p, key, value), 0);
}

static bool wait_for(struct fx *f, bool (*what)(struct fx *f))
{
    int64_t end = ib_clock_ms() + 20000;
    while (!what(f) && ib_clock_ms() < end)
        ic_loop_run_once(f->loop, 50);
    return what(f);
}

static struct reg *start(struct fx *f, const char *replica)
{
    struct ir_properties *p = ir_properties_new();
    char path[128];
    char *argv[] = {(char[]){"registry"}, (char[]){"--nowarn"}, NULL};
    struct ib_err err = {0};
    bool master = strcmp(replica, REG_MASTER) == 0;
    snprintf(path, sizeof path, "%s/%s", f->dir, replica);
    set(p, "IceGrid.InstanceName", "Test");
    set(p, "IceGrid.Registry.Client.Endpoints",
        master && *f->locator ? strchr(f->locator, ':') + 1 : "tcp -h 127.0.0.1");
    set(p, "IceGrid.Registry.Server.Endpoints", "tcp -h 127.0.0.1");
    set(p, "IceGrid.Registry.Internal.Endpoints", "tcp -h 127.0.0.1");
    set(p, "IceGrid.Registry.LMDB.Path", path);
    set(p, "IceGrid.Registry.ReplicaName", replica);
    set(p, "IceGrid.Registry.ReplicaSessionTimeout", "2");
    set(p, "IceGrid.Registry.DynamicRegistration", "1");
    if (!master)
        set(p, "Ice.Default.Locator", f->locator);
    struct reg *reg = reg_start(f->loop, p, 2, argv, &err);
    ir_properties_free(p);
    if (!reg)
        fail_msg("%s", err.text);
    return reg;
}

static bool master_ready(struct fx *f)
{
    return reg_is_ready(f->master);
}

static bool slave_ready(struct fx *f)
{
    return reg_is_ready(f->slave);
}

static void start_master(struct fx *f)
{
    size_t n;
    f->master = start(f, REG_MASTER);
    assert_true(wait_for(f, master_ready));
    const struct iw_endpoint *ep = ir_adapter_endpoints(f->master->client, &n);
    assert_int_equal(n, 1);
    snprintf(f->locator, sizeof f->locator, "Test/Locator:tcp -h 127.0.0.1 -p %d", (int)ep->port);
}

static void start_slave(struct fx *f)
{
    f->slave = start(f, "R1");
    assert_true(wait_for(f, slave_ready));
}

static int setup(void **state)
{
    struct fx *f = calloc(1, sizeof *f);
    strcpy(f->dir, "/tmp/moulin-replicas-XXXXXX");
    f->loop = ic_loop_new(NULL);
    ib_arena_init(&f->arena, 0);
    *state = f;
    return f->loop && mkdtemp(f->dir) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static int teardown(void **state)
{
    struct fx *f = *state;
    reg_free(f->slave);
    reg_free(f->master);
    for (int i = 0; i < 5; i++)
        ic_loop_run_once(f->loop, 0); /* completions the stores had posted */
    ic_loop_free(f->loop);
    ib_arena_fini(&f->arena);
    nftw(f->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

/* --- changes
 * ----------------------------------------------------------------------------------------------------------- */

static struct IceGrid_ObjectInfo object(struct fx *f, const char *text, const char *type)
{
    struct IceGrid_ObjectInfo info = {.type = ib_str(type)};
    struct ib_err err = {0};
    assert_int_equal(ir_runtime_parse_proxy(f->master->rt, text, &f->arena, &info.proxy, &err), 0);
    return info;
}

struct answer {
    struct fx *f;
    char mark;
    int code;
    const struct iw_class *exception;
};

static void on_answer(void *arg, struct reg_change *c)
{
    struct answer *a = arg;
    a->f->order[a->f->answered++] = a->mark;
    a->code = c->code;
    a->exception = c->exception;
}

static void submit_object(struct fx *f, struct reg *reg, enum reg_change_op op, const char *proxy, struct answer *a,
                          char mark)
{
    struct IceGrid_ObjectInfo info = object(f, proxy, "::T");
    *a = (struct answer){.f = f, .mark = mark};
    struct reg_change *c = reg_change_new(op, on_answer, a);
    assert_int_equal(reg_change_set_object(c, &info), 0);
    assert_int_equal(reg_change_set_id(c, &info.proxy->id), 0);
    reg_change_submit(reg, c);
}

static void answers(struct fx *f, int n)
{
    int64_t end = ib_clock_ms() + 20000;
    while (f->answered < n && ib_clock_ms() < end)
        ic_loop_run_once(f->loop, 50);
    assert_int_equal(f->answered, n);
}

static bool has(struct reg *reg, const char *name)
{
    const struct iw_identity id = {ib_str(name), IB_STR("")};
    return reg_catalog_has_object(reg->catalog, &id);
}

/* Each is judged by what the ones before it did, whether or not they share a sync. */
static void test_order(void **state)
{
    struct fx *f = *state;
    struct answer a[6];
    start_master(f);
    int64_t serial = reg_db_serial(f->master, REG_OBJECTS);
    submit_object(f, f->master, REG_OBJECT_ADD, "one:tcp -h 127.0.0.1 -p 1", &a[0], 'a');
    submit_object(f, f->master, REG_OBJECT_ADD, "one:tcp -h 127.0.0.1 -p 2", &a[1], 'b');
    submit_object(f, f->master, REG_OBJECT_ADD, "two:tcp -h 127.0.0.1 -p 1", &a[2], 'c');
    submit_object(f, f->master, REG_OBJECT_REMOVE, "one", &a[3], 'd');
    submit_object(f, f->master, REG_OBJECT_ADD, "one:tcp -h 127.0.0.1 -p 3", &a[4], 'e');
    submit_object(f, f->master, REG_OBJECT_REMOVE, "three", &a[5], 'f');
    assert_int_equal(f->answered, 0); /* never from inside */
    answers(f, 6);
    assert_int_equal(a[0].code, 0);
    assert_ptr_equal(a[1].exception, &IceGrid_ObjectExistsException_class);
    assert_int_equal(a[2].code, 0);
    assert_int_equal(a[3].code, 0);
    assert_int_equal(a[4].code, 0);
    assert_ptr_equal(a[5].exception, &IceGrid_ObjectNotRegisteredException_class);
    assert_int_equal(reg_db_serial(f->master, REG_OBJECTS), serial + 4);
    reg_free(f->master);
    f->master = NULL;
    ic_loop_run_once(f->loop, 0);
    start_master(f);
    assert_true(has(f->master, "one") && has(f->master, "two"));
    assert_int_equal(reg_db_serial(f->master, REG_OBJECTS), serial + 4);
}

static void test_own_objects_are_protected(void **state)
{
    struct fx *f = *state;
    struct answer a[3];
    start_master(f);
    submit_object(f, f->master, REG_OBJECT_REMOVE, "Test/Query", &a[0], 'a');
    submit_object(f, f->master, REG_OBJECT_ADD, "Test/Mine:tcp -h 127.0.0.1 -p 1", &a[1], 'b');
    answers(f, 2);
    assert_ptr_equal(a[0].exception, &IceGrid_DeploymentException_class);
    assert_ptr_equal(a[1].exception, &IceGrid_DeploymentException_class);
}

static void test_slave_has_it_first(void **state)
{
    struct fx *f = *state;
    struct answer a[2];
    start_master(f);
    submit_object(f, f->master, REG_OBJECT_ADD, "before:tcp -h 127.0.0.1 -p 1", &a[0], 'a');
    answers(f, 1);
    start_slave(f);
    assert_true(has(f->slave, "before"));
    submit_object(f, f->master, REG_OBJECT_ADD, "after:tcp -h 127.0.0.1 -p 1", &a[1], 'b');
    answers(f, 2);
    assert_true(has(f->slave, "after")); /* the answer waited for it */
    assert_int_equal(reg_db_serial(f->slave, REG_OBJECTS), reg_db_serial(f->master, REG_OBJECTS));
    struct reg_slave_info *slaves;
    assert_int_equal(reg_slaves(f->master, &f->arena, &slaves), 1);
    assert_string_equal(slaves[0].name.p, "R1");
}

static void test_slave_takes_no_writes(void **state)
{
    struct fx *f = *state;
    struct answer a[2];
    start_master(f);
    start_slave(f);
    submit_object(f, f->slave, REG_OBJECT_ADD, "here:tcp -h 127.0.0.1 -p 1", &a[0], 'a');
    answers(f, 1);
    assert_ptr_equal(a[0].exception, &IceGrid_DeploymentException_class);
    assert_false(has(f->slave, "here") || has(f->master, "here"));
}

static bool slave_has_news(struct fx *f)
{
    return has(f->slave, "news");
}

static void test_master_dies_and_returns(void **state)
{
    struct fx *f = *state;
    struct answer a[2];
    start_master(f);
    submit_object(f, f->master, REG_OBJECT_ADD, "old:tcp -h 127.0.0.1 -p 1", &a[0], 'a');
    answers(f, 1);
    start_slave(f);
    reg_free(f->master);
    f->master = NULL;
    ic_loop_run_once(f->loop, 0);
    assert_true(has(f->slave, "old"));
    start_master(f);
    submit_object(f, f->master, REG_OBJECT_ADD, "news:tcp -h 127.0.0.1 -p 1", &a[1], 'b');
    answers(f, 2);
    assert_true(wait_for(f, slave_has_news));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_own_objects_are_protected, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slave_has_it_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slave_takes_no_writes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_master_dies_and_returns, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
