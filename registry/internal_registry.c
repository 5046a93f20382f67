/* SPDX-License-Identifier: Apache-2.0 */
/* IN/InternalRegistry-<replica>: what replicas and nodes ask of one another (icegrid-internal 3.1). Owns the sessions
   of slaves through replication.c. */
#include "file_reader.h"
#include "nodes.h"
#include "replication.h"
#include "slices.h"

#include <stdlib.h>

struct internal {
    struct reg *reg;
    struct ir_servant servant;
};

static void fail_nomem(struct ir_request *rq)
{
    ir_request_fail(rq, IR_UNKNOWN, "out of memory");
}

/* --- registration ----------------------------------------------------------------------------------------------------
 */

static void register_replica(void *self, struct ir_request *rq,
                             const struct IceGrid_InternalRegistry_registerReplica_in *in)
{
    struct internal *x = self;
    reg_replication_register(x->reg->replication, rq, in);
}

static void register_node(void *self, struct ir_request *rq, const struct IceGrid_InternalRegistry_registerNode_in *in)
{
    struct internal *x = self;
    reg_node_register(x->reg, rq, in);
}

static void contacted(void *arg)
{
    IceGrid_InternalRegistry_registerWithReplica_reply(arg, NULL);
}

static void register_with_replica(void *self, struct ir_request *rq,
                                  const struct IceGrid_InternalRegistry_registerWithReplica_in *in)
{
    struct internal *x = self;
    if (x->reg->cfg.master || !in->prx)
        contacted(rq);
    else
        reg_replica_contact(x->reg, in->prx, contacted, rq);
}

/* --- content
 * ----------------------------------------------------------------------------------------------------------- */

static void get_nodes(void *self, struct ir_request *rq, const struct IceGrid_InternalRegistry_getNodes_in *in)
{
    struct internal *x = self;
    struct IceGrid_ObjectInfo *nodes;
    (void)in;
    size_t n = reg_catalog_nodes(x->reg->catalog, ir_request_arena(rq), &nodes);
    struct iw_proxy **list = n == SIZE_MAX ? NULL : IB_ARENA_ARRAY(ir_request_arena(rq), n, struct iw_proxy *);
    if (!list) {
        fail_nomem(rq);
        return;
    }
    for (size_t i = 0; i < n; i++)
        list[i] = nodes[i].proxy;
    const struct IceGrid_InternalRegistry_getNodes_out out = {.ret = {n, list}};
    IceGrid_InternalRegistry_getNodes_reply(rq, &out);
}

static void get_replicas(void *self, struct ir_request *rq, const struct IceGrid_InternalRegistry_getReplicas_in *in)
{
    struct internal *x = self;
    const struct ib_str type = IB_STR("::IceGrid::InternalRegistry");
    struct IceGrid_ObjectInfo *found;
    (void)in;
    size_t n = reg_catalog_objects(x->reg->catalog, &type, ir_request_arena(rq), &found);
    struct iw_proxy **list = n == SIZE_MAX ? NULL : IB_ARENA_ARRAY(ir_request_arena(rq), n, struct iw_proxy *);
    if (!list) {
        fail_nomem(rq);
        return;
    }
    for (size_t i = 0; i < n; i++)
        list[i] = found[i].proxy;
    const struct IceGrid_InternalRegistry_getReplicas_out out = {.ret = {n, list}};
    IceGrid_InternalRegistry_getReplicas_reply(rq, &out);
}

static void get_applications(void *self, struct ir_request *rq,
                             const struct IceGrid_InternalRegistry_getApplications_in *in)
{
    struct internal *x = self;
    struct reg_app **apps;
    (void)in;
    size_t n = reg_catalog_apps(x->reg->catalog, ir_request_arena(rq), &apps);
    struct IceGrid_ApplicationInfo *list =
        n == SIZE_MAX ? NULL : IB_ARENA_ARRAY(ir_request_arena(rq), n, struct IceGrid_ApplicationInfo);
    if (!list) {
        fail_nomem(rq);
        return;
    }
    for (size_t i = 0; i < n; i++)
        list[i] = *apps[i]->info;
    const struct IceGrid_InternalRegistry_getApplications_out out = {.serial = reg_db_serial(x->reg, REG_APPLICATIONS),
                                                                     .ret = {n, list}};
    IceGrid_InternalRegistry_getApplications_reply(rq, &out);
}

static void get_adapters(void *self, struct ir_request *rq, const struct IceGrid_InternalRegistry_getAdapters_in *in)
{
    struct internal *x = self;
    (void)in;
    struct IceGrid_InternalRegistry_getAdapters_out out = {.serial = reg_db_serial(x->reg, REG_ADAPTERS)};
    out.ret.n = reg_catalog_dynamics(x->reg->catalog, NULL, ir_request_arena(rq), &out.ret.v);
    if (out.ret.n == SIZE_MAX)
        fail_nomem(rq);
    else
        IceGrid_InternalRegistry_getAdapters_reply(rq, &out);
}

static void get_objects(void *self, struct ir_request *rq, const struct IceGrid_InternalRegistry_getObjects_in *in)
{
    struct internal *x = self;
    (void)in;
    struct IceGrid_InternalRegistry_getObjects_out out = {.serial = reg_db_serial(x->reg, REG_OBJECTS)};
    out.ret.n = reg_catalog_objects(x->reg->catalog, NULL, ir_request_arena(rq), &out.ret.v);
    if (out.ret.n == SIZE_MAX)
        fail_nomem(rq);
    else
        IceGrid_InternalRegistry_getObjects_reply(rq, &out);
}

/* --- files ----------------------------------------------------------------------------------------------------------
 */

static void get_offset(void *self, struct ir_request *rq, const struct IceGrid_FileReader_getOffsetFromEnd_in *in)
{
    const struct internal *x = self;
    reg_file_reader_offset(x->reg, rq, in);
}

static void read_file(void *self, struct ir_request *rq, const struct IceGrid_FileReader_read_in *in)
{
    const struct internal *x = self;
    reg_file_reader_read(x->reg, rq, in);
}

static void shut_down(void *self, struct ir_request *rq, const struct IceGrid_InternalRegistry_shutdown_in *in)
{
    struct internal *x = self;
    (void)in;
    IceGrid_InternalRegistry_shutdown_reply(rq, NULL);
    reg_quit(x->reg);
}

/* --- life
 * --------------------------------------------------------------------------------------------------------------- */

static const struct IceGrid_InternalRegistry_servant vtable = {
    .registerNode = register_node,
    .registerReplica = register_replica,
    .registerWithReplica = register_with_replica,
    .getNodes = get_nodes,
    .getReplicas = get_replicas,
    .getApplications = get_applications,
    .getAdapters = get_adapters,
    .getObjects = get_objects,
    .getOffsetFromEnd = get_offset,
    .read = read_file,
    .shutdown = shut_down,
};

static void *internal_start(struct reg *reg, struct ib_err *err)
{
    struct internal *x = calloc(1, sizeof *x);
    struct iw_identity id = {ib_arena_printf(&reg->arena, "InternalRegistry-%s", reg->cfg.replica.p),
                             reg->cfg.instance};
    reg->replication = reg_replication_new(reg);
    int rc = IB_ENOMEM;
    if (x && id.name.p && reg->replication) {
        x->reg = reg;
        x->servant = (struct ir_servant){.iface = &IceGrid_InternalRegistry_iface, .vtable = &vtable, .self = x};
        rc = ir_adapter_add(reg->internal, &id, "", &x->servant);
    }
    if (!rc)
        return x;
    ib_err_set(err, rc, "%s", ib_err_text(rc));
    reg_replication_free(reg->replication);
    reg->replication = NULL;
    free(x);
    return NULL;
}

static void internal_stop(void *state)
{
    struct internal *x = state;
    reg_replication_free(x->reg->replication);
    x->reg->replication = NULL;
    free(x);
}

const struct reg_part reg_internal_part = {"internal registry", internal_start, internal_stop};
