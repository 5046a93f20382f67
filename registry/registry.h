/* SPDX-License-Identifier: Apache-2.0 */
/* One replica from the inside: what hangs together, for the files of this directory. Everything belongs to one loop;
   the store's thread is hidden behind store.h. */
#ifndef REG_REGISTRY_H
#define REG_REGISTRY_H

#include <moulin/rpc/adapter.h>
#include <moulin/rpc/call.h>
#include <moulin/rpc/request.h>
#include "catalog.h"
#include "change.h"
#include "config.h"
#include "store.h"

struct reg_well_known;
struct reg_replication; /* master: sessions of the slaves */
struct reg_replica; /* slave: session with the master */
struct reg_sessions; /* client and admin sessions, allocation */

struct reg {
    struct ic_loop *loop;
    struct ir_runtime *rt; /* owns */
    struct ib_log *log; /* the runtime's */
    struct ib_arena arena; /* of cfg */
    struct reg_config cfg;
    struct reg_store *store; /* owns */
    struct reg_catalog *catalog; /* owns */
    struct reg_changes *changes; /* owns */
    struct ir_adapter *internal, *server, *client; /* own */
    struct ir_adapter *session_manager, *admin_session_manager; /* NULL unless configured */
    struct ir_adapter *discovery; /* discovery.c owns it; NULL without */
    struct ib_list observers; /* struct reg_observer */
    int32_t topic_serial[REG_TOPIC_MAX];
    int64_t db_serial[REG_SERIALS];
    int64_t settled[REG_SERIALS]; /* as in struct reg_store_facts; a master's are its db_serial */
    struct reg_replication *replication; /* slaves' sessions; part of reg_internal_part */
    void *parts[16]; /* state of each entry of the parts table, by index */
    bool stopping, ready;
    void *stop; /* owns: how reg_stop goes on */
};

void reg_ready(struct reg *reg); /* activates what clients talk to; once */
void reg_quit(struct reg *reg); /* Admin.shutdown: the process ends gracefully */

/* already_running.c: fails when a registry answers on our client endpoints; runs the loop until it is known. */
int reg_not_running_yet(struct reg *reg, struct ib_err *err) IB_MUST_CHECK;
/* init_replica.c: --initdb-from-replica; runs the loop until it is done. */
int reg_init_from_replica(struct reg *reg, struct ib_err *err) IB_MUST_CHECK;

/* promotion.c: the database notes under which replica name it is used; a slave's under the name Master goes on with serials
   out of reach of the old master's. Runs the loop until it is on disk. */
int reg_promote(struct reg *reg, struct ib_err *err) IB_MUST_CHECK;

/* replica_session.c: start and orderly end of this replica's place among the others. done may be called from inside. */
void reg_replica_begin(struct reg *reg);
void reg_replica_end(struct reg *reg, void (*done)(void *arg), void *arg);

/* What the registry consists of beyond its core: a table in registry.c, started in order after the adapters exist and
   the catalog is loaded, before they are activated; stopped in reverse. start returns the part's state or NULL with
   err. */
struct reg_part {
    const char *name;
    void *(*start)(struct reg *reg, struct ib_err *err);
    void (*stop)(void *state); /* frees it; open requests are answered by the runtime's end */
};
extern const struct reg_part reg_locator_part, reg_locator_registry_part, reg_query_part, reg_well_known_part,
    reg_internal_part, reg_replica_part, reg_user_accounts_part, reg_discovery_part, reg_traces_part,
    reg_channel_part;
/* state of a part; NULL when it is not running */
void *reg_part_state(const struct reg *reg, const struct reg_part *part);

/* A master, not read-only, and sure to be the only one. */
bool reg_writable(const struct reg *reg);

/* {name, instance name}; strings must outlive the use, literals mostly. */
static inline struct iw_identity reg_identity(const struct reg *reg, const char *name)
{
    return (struct iw_identity){ib_str(name), reg->cfg.instance};
}
/* name on the master, name-<replica> on a slave; in the arena. */
struct iw_identity reg_replica_identity(const struct reg *reg, const char *name, struct ib_arena *arena);
/* A fresh UUID; category as given. */
struct iw_identity reg_uuid_identity(struct ib_str category, struct ib_arena *arena);

bool reg_traces(const struct reg *reg, enum reg_trace_category cat, int level);
void reg_trace(const struct reg *reg, enum reg_trace_category cat, int level, const char *fmt, ...) IB_PRINTF(4, 5);

/* DeploymentException with a reason. */
void reg_throw_deployment(struct ir_request *rq, const char *fmt, ...) IB_PRINTF(2, 3);
#define REG_READ_ONLY_TEXT "this operation is not allowed on a slave or read-only master registry."
/* True when this replica takes no writes; rq has then been answered (icegrid-registry 9.4). */
bool reg_refuse_write(struct reg *reg, struct ir_request *rq);

/* Connected slaves, sorted by name (a slave knows none). Arrays in the arena; SIZE_MAX when memory is short. */
struct reg_slave_info {
    struct ib_str name, hostname;
    const struct iw_proxy *proxy; /* its InternalRegistry */
};
size_t reg_slaves(struct reg *reg, struct ib_arena *arena, struct reg_slave_info **out);
struct ib_str reg_hostname(struct ib_arena *arena); /* uname's nodename */

#endif
