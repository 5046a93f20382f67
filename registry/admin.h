/* SPDX-License-Identifier: Apache-2.0 */
/* The operations of IceGrid::Admin, by the file that has them; self is the struct reg_session. admin.c makes the table.
 */
#ifndef REG_ADMIN_H
#define REG_ADMIN_H

#include "sessions.h"

#define REG_ADMIN_OP(op)                                                                                               \
    void reg_admin_##op(void *self, struct ir_request *rq, const struct IceGrid_Admin_##op##_in *in)

/* admin_apps.c */
REG_ADMIN_OP(addApplication);
REG_ADMIN_OP(syncApplication);
REG_ADMIN_OP(updateApplication);
REG_ADMIN_OP(syncApplicationWithoutRestart);
REG_ADMIN_OP(updateApplicationWithoutRestart);
REG_ADMIN_OP(removeApplication);
REG_ADMIN_OP(instantiateServer);
REG_ADMIN_OP(getApplicationInfo);
REG_ADMIN_OP(getDefaultApplicationDescriptor);
REG_ADMIN_OP(getAllApplicationNames);

/* admin_patch.c */
REG_ADMIN_OP(patchServer);
REG_ADMIN_OP(patchApplication);

/* admin_adapters.c */
REG_ADMIN_OP(getAdapterInfo);

/* admin_objects.c */
REG_ADMIN_OP(removeAdapter);
REG_ADMIN_OP(getAllAdapterIds);
REG_ADMIN_OP(addObject);
REG_ADMIN_OP(updateObject);
REG_ADMIN_OP(addObjectWithType);
REG_ADMIN_OP(removeObject);
REG_ADMIN_OP(getObjectInfo);
REG_ADMIN_OP(getObjectInfosByType);
REG_ADMIN_OP(getAllObjectInfos);

/* admin_servers.c */
REG_ADMIN_OP(getServerInfo);
REG_ADMIN_OP(getServerState);
REG_ADMIN_OP(getServerPid);
REG_ADMIN_OP(getServerAdminCategory);
REG_ADMIN_OP(getServerAdmin);
REG_ADMIN_OP(enableServer);
REG_ADMIN_OP(isServerEnabled);
REG_ADMIN_OP(startServer);
REG_ADMIN_OP(stopServer);
REG_ADMIN_OP(sendSignal);
REG_ADMIN_OP(getAllServerIds);

/* admin_nodes.c */
REG_ADMIN_OP(pingNode);
REG_ADMIN_OP(getNodeLoad);
REG_ADMIN_OP(getNodeInfo);
REG_ADMIN_OP(getNodeAdmin);
REG_ADMIN_OP(getNodeProcessorSocketCount);
REG_ADMIN_OP(shutdownNode);
REG_ADMIN_OP(getNodeHostname);
REG_ADMIN_OP(getAllNodeNames);

/* admin_registries.c */
REG_ADMIN_OP(pingRegistry);
REG_ADMIN_OP(getRegistryInfo);
REG_ADMIN_OP(getRegistryAdmin);
REG_ADMIN_OP(shutdownRegistry);
REG_ADMIN_OP(getAllRegistryNames);
REG_ADMIN_OP(shutdown);
REG_ADMIN_OP(getSliceChecksums);

/* admin.c */

static inline struct reg *reg_admin_reg(const void *self)
{
    const struct reg_session *s = self;
    return s->sessions->reg;
}
void reg_admin_no_memory(struct ir_request *rq);
/* True when somebody else holds the lock; rq has then been answered. After the read-only check (8.1). */
bool reg_admin_refuse_locked(const struct reg_session *s, struct ir_request *rq);
/* Submits the change on behalf of the session (its user, unless the change names one already); op's empty result is the
   answer when it is done. set is the outcome of filling it in. */
void reg_admin_submit(const struct reg_session *s, struct ir_request *rq, const struct iw_op *op, struct reg_change *c,
                      int set);
/* The change to fill, for reg_admin_submit; NULL: memory is short. */
struct reg_change *reg_admin_change(enum reg_change_op what);

#endif
