/* SPDX-License-Identifier: Apache-2.0 */
/* Admin facet "Properties": reads and changes the runtime's properties (ice-protocol 19.2). */
#include "admin_priv.h"
#include "rpc_priv.h"

#include <moulin/base/log.h>
#include <slice/Ice/PropertiesAdmin_rpc.h>

#include <stdlib.h>

static void get_one(void *self, struct ir_request *rq, const struct Ice_PropertiesAdmin_getProperty_in *in)
{
    const struct ir_admin *admin = self;
    struct Ice_PropertiesAdmin_getProperty_out out = {
        .ret = ib_str(ir_properties_get(ir_runtime_properties(admin->rt), ib_cstr(in->key)))};

    Ice_PropertiesAdmin_getProperty_reply(rq, &out);
}

static void count_one(void *arg, const char *key, const char *value)
{
    (void)key;
    (void)value;
    (*(size_t *)arg)++;
}

static void collect_one(void *arg, const char *key, const char *value)
{
    struct Ice_PropertyDict *d = arg;

    d->v[d->n++] = (struct Ice_PropertyDict_entry){ib_str(key), ib_str(value)};
}

static void get_prefix(void *self, struct ir_request *rq,
                       const struct Ice_PropertiesAdmin_getPropertiesForPrefix_in *in)
{
    const struct ir_admin *admin = self;
    const struct ir_properties *props = ir_runtime_properties(admin->rt);
    struct Ice_PropertiesAdmin_getPropertiesForPrefix_out out = {.ret = {0, NULL}};
    size_t n = 0;

    ir_properties_each(props, ib_cstr(in->prefix), count_one, &n);
    out.ret.v = IB_ARENA_ARRAY(ir_request_arena(rq), n, struct Ice_PropertyDict_entry);
    if (out.ret.v == NULL) {
        ir_request_fail_local(rq, IB_ENOMEM, "out of memory");
        return;
    }
    ir_properties_each(props, ib_cstr(in->prefix), collect_one, &out.ret);
    Ice_PropertiesAdmin_getPropertiesForPrefix_reply(rq, &out);
}

static void trace_change(const struct ir_admin *admin, const struct Ice_PropertyDict_entry *e, bool had)
{
    int level = ir_runtime_trace(admin->rt, "Admin.Properties");
    char key[200], value[400];

    if (level < 1)
        return;
    ib_log_escape(e->key, key, sizeof(key));
    ib_log_escape(e->value, value, sizeof(value));
    /* Values may be secrets (IceSSL.Password): they are shown only when asked for, as level 2. */
    ib_log_trace(ir_runtime_log(admin->rt), "Admin.Properties", "%s %s%s%s",
                 e->value.n == 0 ? "removed"
                 : had           ? "changed"
                                 : "added",
                 key, level > 1 && e->value.n != 0 ? " = " : "", level > 1 ? value : "");
}

/* --- what runtimes on other loops have to know: which metrics are wanted ------------------------------------------ */

struct telling {
    struct ir_runtime *own;
    struct ir_request *rq;
    struct ib_arena arena; /* of the copies */
    struct Ice_PropertyDict changes;
};

static void each(void *arg, unsigned i, struct ir_runtime *rt)
{
    static const char prefix[] = "IceMX.";
    const size_t n = sizeof(prefix) - 1;
    const struct telling *t = arg;
    (void)i;
    for (size_t k = 0; k < t->changes.n && rt != t->own; k++) {
        const struct Ice_PropertyDict_entry *e = &t->changes.v[k];
        if (e->key.n <= n || memcmp(e->key.p, prefix, n) != 0)
            continue;
        if (ir_properties_set(rt->props, ib_cstr(e->key), ib_cstr(e->value)) == IB_ENOMEM)
            ib_log_error(rt->log, "a change of properties did not reach every loop: %s", ib_err_text(IB_ENOMEM));
    }
    ir_metrics_configure(rt->metrics);
}

static void done(void *arg, bool complete)
{
    const struct telling *t = arg;
    if (complete)
        Ice_PropertiesAdmin_setProperties_reply(t->rq, NULL);
    else
        ir_request_fail_local(t->rq, IB_ETIMEOUT, ib_err_text(IB_ETIMEOUT));
}

static void forget(void *arg)
{
    struct telling *t = arg;
    ib_arena_fini(&t->arena);
    free(t);
}

static void tell_others(struct ir_admin *admin, struct ir_request *rq, const struct Ice_PropertyDict *changes)
{
    static const struct ir_admin_round round = {.each = each, .done = done, .forget = forget};
    struct telling *t = calloc(1, sizeof(*t));
    if (t) {
        t->own = admin->rt;
        t->rq = rq;
        ib_arena_init(&t->arena, 0);
        if (iw_copy(&Ice_PropertyDict_type, changes, &t->arena, &t->changes) == 0 &&
            ir_admin_ask(admin, &round, t) == 0)
            return;
        forget(t);
    }
    ir_request_fail_local(rq, IB_ENOMEM, "out of memory");
}

static void set_many(void *self, struct ir_request *rq, const struct Ice_PropertiesAdmin_setProperties_in *in)
{
    struct ir_admin *admin = self;
    struct ir_properties *props = ir_runtime_properties(admin->rt);

    for (size_t i = 0; i < in->newProperties.n; i++) {
        const struct Ice_PropertyDict_entry *e = &in->newProperties.v[i];
        bool had = ir_properties_has(props, ib_cstr(e->key));
        int rc = ir_properties_set(props, ib_cstr(e->key), ib_cstr(e->value));

        if (rc != 0 && rc != IB_EINVAL) {
            ir_request_fail_local(rq, rc, ib_err_text(rc));
            return;
        }
        if (rc == 0 && (had || e->value.n != 0))
            trace_change(admin, e, had);
    }
    tell_others(admin, rq, &in->newProperties);
}

const struct Ice_PropertiesAdmin_servant ir_facet_properties = {
    .getProperty = get_one,
    .getPropertiesForPrefix = get_prefix,
    .setProperties = set_many,
};
