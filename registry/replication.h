/* SPDX-License-Identifier: Apache-2.0 */
/* The replicas among themselves: sessions of slaves on the master (replication.c), the slave's own session
   (replica_session.c), what the master sends it (replica_observer.c), and other masters (rival.c). icegrid-internal
   3.2, 4, 5, 6, 8.6. */
#ifndef REG_REPLICATION_H
#define REG_REPLICATION_H

#include "registry.h"

/* --- master --- */

/* The endpoints called name ("Client", "Server", …) of the i-th connected slave that has told them, ascending by name;
   NULL when there is no such slave. */
const struct iw_proxy *reg_slave_endpoints(struct reg *reg, size_t i, const char *name);
size_t reg_slave_count(const struct reg *reg); /* connected */
size_t reg_slaves_following(const struct reg *reg); /* those of them that have everything */

struct IceGrid_InternalRegistry_registerReplica_in;
struct reg_replication *reg_replication_new(struct reg *reg);
void reg_replication_free(struct reg_replication *x); /* ends every session without telling the others */
void reg_replication_register(struct reg_replication *x, struct ir_request *rq,
                              const struct IceGrid_InternalRegistry_registerReplica_in *in);
/* At the master's start: slaves of the last run are asked to come back (icegrid-internal 8.3). */
void reg_replication_call_back(struct reg *reg);

/* --- slave --- */

/* A dynamic adapter to be stored by the master; rq is Ice::LocatorRegistry's and is answered. False: there is no
 * session. */
bool reg_replica_forward_adapter(struct reg *reg, struct ir_request *rq, struct ib_str id, struct ib_str group,
                                 const struct iw_proxy *prx);
/* "The master is there, try now": done is called after the attempt. */
void reg_replica_contact(struct reg *reg, const struct iw_proxy *master, void (*done)(void *arg), void *arg);

/* Drops the session, why says the log, and opens another, which synchronizes everything. */
void reg_replica_reconnect(struct reg *reg, const char *why);
/* The session with the master and how long a call may take; NULL: none. */
const struct iw_proxy *reg_replica_session(struct reg *reg, int32_t *timeout_ms);

#endif
