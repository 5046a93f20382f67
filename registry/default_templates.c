/* SPDX-License-Identifier: Apache-2.0 */
/* The templates that come with the registry: an XML file named by IceGrid.Registry.DefaultTemplates, read each time it
   is asked for, so that a change needs no restart (icegrid-registry 9.1, 10.8). */
#include "admin.h"

#include <moulin/deploy/descriptor_xml.h>

#define DEFAULTS_MEMORY_MAX ((size_t)64 << 20)

static void warn(struct reg *reg, bool given, const char *what)
{
    if (given)
        ib_log_warning(reg->log, "default application descriptor:\n%s not allowed.", what);
}

/* Only templates and property sets are for everybody. */
static void keep_shared(struct reg *reg, struct IceGrid_ApplicationDescriptor *d)
{
    struct IceGrid_ApplicationDescriptor shared = {.serverTemplates = d->serverTemplates,
                                                   .serviceTemplates = d->serviceTemplates,
                                                   .propertySets = d->propertySets};
    warn(reg, d->nodes.n != 0, "node definitions are");
    warn(reg, d->distrib.icepatch.n != 0 || d->distrib.directories.n != 0, "distribution is");
    warn(reg, d->replicaGroups.n != 0, "replica group definitions are");
    warn(reg, d->description.n != 0, "description is");
    warn(reg, d->variables.n != 0, "variable definitions are");
    *d = shared;
}

REG_ADMIN_OP(getDefaultApplicationDescriptor)
{
    struct reg *reg = reg_admin_reg(self);
    const char *path = ir_properties_get(ir_runtime_properties(reg->rt), "IceGrid.Registry.DefaultTemplates");
    const struct dep_xml_options options = {0};
    struct IceGrid_Admin_getDefaultApplicationDescriptor_out out;
    struct ib_arena arena;
    struct ib_err err = {0};

    (void)in;
    if (*path == 0) {
        reg_throw_deployment(rq, "no default templates configured, you need to set IceGrid.Registry.DefaultTemplates "
                                 "in the IceGrid registry configuration.");
        return;
    }
    ib_arena_init(&arena, DEFAULTS_MEMORY_MAX);
    if (dep_xml_read(path, &options, NULL, &arena, &out.ret, &err) != 0) {
        reg_throw_deployment(rq, "can't parse default templates:\n%s", err.text);
    } else {
        keep_shared(reg, &out.ret);
        IceGrid_Admin_getDefaultApplicationDescriptor_reply(rq, &out);
    }
    ib_arena_fini(&arena);
}
