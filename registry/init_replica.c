/* SPDX-License-Identifier: Apache-2.0 */
/* --initdb-from-replica: before this registry serves anybody its three tables are replaced by another replica's,
   serials included (icegrid-internal 8.5). The one place that runs the loop while starting, with a deadline. */
#include "finder.h"
#include "slices.h"

#include <moulin/base/clock.h>
#include <moulin/net/loop.h>

#define FIND_MS 5000
#define CALL_MS 60000
#define ALL_MS 120000

struct init {
    struct reg *reg;
    struct ib_arena arena; /* of the candidate in use */
    struct reg_finder *finder;
    struct iw_proxy *const *candidates;
    size_t n_candidates, candidate;
    struct iw_proxy *from;
    struct ir_call *call;
    struct reg_change *changes[3];
    unsigned open; /* changes not yet on disk */
    bool done;
    struct ib_err err;
};

static void fail(struct init *x, const char *what, const char *detail)
{
    ib_err_set(&x->err, IB_EINIT, "cannot initialize the database from replica `%s': %s%s",
               ib_cstr(x->reg->cfg.init_from), what, detail);
    x->done = true;
}

static void try_next(struct init *x);

static void on_stored(void *arg, struct reg_change *c)
{
    struct init *x = arg;
    if (c->code && !x->err.code)
        fail(x, "", c->err.text);
    if (--x->open == 0)
        x->done = true;
}

static void store(struct init *x)
{
    x->open = 3;
    for (int i = 0; i < 3; i++) {
        struct reg_change *c = x->changes[i];
        x->changes[i] = NULL;
        reg_change_submit(x->reg, c);
    }
}

/* The answer of one table becomes a change; false: the candidate is given up. */
static bool keep(struct init *x, int i, enum reg_change_op op, const struct ir_result *r, const struct iw_type *type,
                 const void *seq, int64_t serial)
{
    char text[256];
    struct iw_seq copy;
    x->call = NULL;
    if (r->outcome != IR_SUCCESS) {
        fail(x, "", ir_result_text(r, text, sizeof text));
        x->done = false;
        try_next(x);
        return false;
    }
    struct reg_change *c = x->changes[i] = reg_change_new(op, on_stored, x);
    if (!c || iw_copy(type, seq, &c->arena, &copy)) {
        fail(x, "", "out of memory");
        return false;
    }
    c->serial = serial > 0 ? serial : 1;
    c->n_many = copy.n;
    c->infos = op == REG_APPS_INIT ? copy.v : NULL;
    c->adapters = op == REG_ADAPTERS_INIT ? copy.v : NULL;
    c->objects = op == REG_OBJECTS_INIT ? copy.v : NULL;
    return true;
}

static void check_call(struct init *x)
{
    if (!x->call)
        fail(x, "", "out of memory");
}

static void on_objects(void *arg, const struct ir_result *r)
{
    struct init *x = arg;
    const struct IceGrid_InternalRegistry_getObjects_out *out = r->out;
    if (keep(x, 2, REG_OBJECTS_INIT, r, &IceGrid_ObjectInfoSeq_type, out ? &out->ret : NULL, out ? out->serial : 0))
        store(x);
}

static const struct ir_call_options options = {.timeout_ms = CALL_MS, .connect_timeout_ms = FIND_MS};

static void on_adapters(void *arg, const struct ir_result *r)
{
    struct init *x = arg;
    const struct IceGrid_InternalRegistry_getAdapters_out *out = r->out;
    if (!keep(x, 1, REG_ADAPTERS_INIT, r, &IceGrid_AdapterInfoSeq_type, out ? &out->ret : NULL, out ? out->serial : 0))
        return;
    x->call = IceGrid_InternalRegistry_getObjects_call(x->reg->rt, x->from, &options, NULL, on_objects, x);
    check_call(x);
}

static void on_applications(void *arg, const struct ir_result *r)
{
    struct init *x = arg;
    const struct IceGrid_InternalRegistry_getApplications_out *out = r->out;
    if (!keep(x, 0, REG_APPS_INIT, r, &IceGrid_ApplicationInfoSeq_type, out ? &out->ret : NULL, out ? out->serial : 0))
        return;
    x->call = IceGrid_InternalRegistry_getAdapters_call(x->reg->rt, x->from, &options, NULL, on_adapters, x);
    check_call(x);
}

static void drop_changes(struct init *x)
{
    for (int i = 0; i < 3; i++) {
        reg_change_unref(x->changes[i]);
        x->changes[i] = NULL;
    }
}

static void try_next(struct init *x)
{
    drop_changes(x);
    if (x->candidate == x->n_candidates) {
        if (!x->err.code)
            fail(x, "no registry knows it: ", "set Ice.Default.Locator to the endpoints of one that does");
        x->done = true;
        return;
    }
    x->err = (struct ib_err){0};
    ib_arena_reset(&x->arena);
    x->from = iw_proxy_copy(x->candidates[x->candidate++], &x->arena);
    if (x->from)
        x->call =
            IceGrid_InternalRegistry_getApplications_call(x->reg->rt, x->from, &options, NULL, on_applications, x);
    check_call(x);
}

static void on_found(void *arg, struct iw_proxy *const *candidates, size_t n)
{
    struct init *x = arg;
    x->candidates = candidates;
    x->n_candidates = n;
    try_next(x);
}

static int run(struct init *x)
{
    int64_t deadline = ib_clock_ms() + ALL_MS;
    while (!x->done && ib_clock_ms() < deadline)
        ic_loop_run_once(x->reg->loop, 100);
    if (!x->done)
        fail(x, "it takes too long", "");
    return x->err.code;
}

int reg_init_from_replica(struct reg *reg, struct ib_err *err)
{
    struct init x = {.reg = reg};
    struct iw_proxy *locator = NULL;
    ib_arena_init(&x.arena, 0);
    struct iw_identity id = {ib_arena_printf(&reg->arena, "InternalRegistry-%s", reg->cfg.init_from.p),
                             reg->cfg.instance};
    int rc = id.name.p ? 0 : IB_ENOMEM;
    if (!rc && reg->cfg.locator.n)
        rc = ir_runtime_parse_proxy(reg->rt, reg->cfg.locator.p, &reg->arena, &locator, err);
    if (!rc) {
        x.finder = reg_finder_start(reg, locator, &id, FIND_MS, on_found, &x);
        rc = x.finder ? run(&x) : IB_ENOMEM;
        if (rc && x.err.code)
            *err = x.err;
    }
    if (x.call)
        ir_call_cancel(x.call);
    drop_changes(&x);
    reg_finder_free(x.finder);
    ib_arena_fini(&x.arena);
    return rc;
}
