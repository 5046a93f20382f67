/* SPDX-License-Identifier: Apache-2.0 */
/* Admin facet "Properties": reads and changes the runtime's properties (ice-protocol 19.2). */
#include "admin_priv.h"

#include <moulin/base/log.h>
#include <slice/Ice/PropertiesAdmin_rpc.h>

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
    Ice_PropertiesAdmin_setProperties_reply(rq, NULL);
}

const struct Ice_PropertiesAdmin_servant ir_facet_properties = {
    .getProperty = get_one,
    .getPropertiesForPrefix = get_prefix,
    .setProperties = set_many,
};
