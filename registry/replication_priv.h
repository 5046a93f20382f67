/* SPDX-License-Identifier: Apache-2.0 */
/* The slaves' sessions on the master, shared by replication.c (their life), replica_admission.c (who gets one),
   replica_servant.c (its operations) and replica_stream.c (what is sent to it and acknowledged).

       ACTIVE -> ENDED          what is sent:  SILENT -> SYNCING -> FOLLOWING
*/
#ifndef REG_REPLICATION_PRIV_H
#define REG_REPLICATION_PRIV_H

#include "replica_ledger.h"
#include "replica_policy.h"
#include "replication.h"
#include "slices.h"

#include <moulin/net/loop.h>

/* --- the stream --- */

enum reg_stream_state { REG_STREAM_SILENT, REG_STREAM_SYNCING, REG_STREAM_FOLLOWING, REG_STREAM_STATE_MAX };

/* Between two of ours an update's reply is its acknowledgement: the slave says so in the context of
   setDatabaseObserver, and the master in that of every message. Half of the messages are saved; ZeroC's ignore the
   entry. */
#define REG_ACK_KEY "moulin.ack"
#define REG_ACK_REPLY "reply"

/* Also between two of ours: a slave that says so in the context of setDatabaseObserver is sent changes of adapters and
   objects while the master's own disk works on them, and so the disks work at the same time. Such a message says how far
   that disk is ("moulin.early", a serial); what lies beyond is not settled. Later messages settle it, or
   Moulin::SettledObserver, a facet of the observer, when none follow. To a master that never had what is not settled,
   the slave is not ahead. */
#define REG_EARLY_KEY "moulin.early"
#define REG_EARLY_WANTED "1"
#define REG_SETTLED_FACET "settled"
#define REG_SETTLE_MS 200 /* without a message that would tell */

#define REG_STREAM_WINDOW 64 /* messages on their way to one slave */
#define REG_STREAM_QUEUE 8192 /* and waiting behind them: beyond, the slave is too slow and starts again */

struct reg_stream {
    struct reg *reg;
    struct iw_proxy *observer; /* owned by the session's arena */
    uint8_t state; /* enum reg_stream_state */
    struct reg_observer tap; /* on the registry's events */
    struct ib_list queue; /* struct message: not sent yet */
    struct ib_list sent; /* struct message: unanswered */
    struct reg_ledger ledger; /* what it has to acknowledge */
    size_t n_queue, n_sent;
    unsigned registering; /* registerWellKnownObjects under way: unversioned events are waited for, too */
    bool by_reply; /* REG_ACK_KEY */
    bool wants_early; /* REG_EARLY_KEY */
    int32_t early[REG_TOPIC_MAX]; /* the last event it was told of before the disk had it */
    struct ic_timer settle;
    struct ir_request *subscribe; /* setDatabaseObserver, until the three tables are acknowledged */
    void (*broken)(struct reg_stream *s, const char *why); /* the session must end */
    const char *name; /* the slave's, for logs; borrowed */
};

void reg_stream_init(struct reg_stream *s, struct reg *reg, const char *name,
                     void (*broken)(struct reg_stream *s, const char *why));
/* Sends the three tables; rq is answered once they are acknowledged. */
void reg_stream_start(struct reg_stream *s, struct ir_request *rq, struct iw_proxy *observer);
/* failure: what the slave could not do, which ends its session. */
void reg_stream_received(struct reg_stream *s, int topic, int32_t serial, struct ib_str failure);
void reg_stream_facts(const struct reg_stream *s, int64_t now, struct reg_slave_facts *out); /* all but silent */
void reg_stream_fini(struct reg_stream *s); /* releases whoever waits for this slave */

/* --- sessions --- */

struct reg_slave {
    struct ib_list node; /* in order of name */
    struct reg_replication *x;
    struct ib_arena arena; /* name … observer */
    struct ib_str name, hostname;
    uint64_t number; /* tells it from those before it of the same name */
    struct iw_identity id;
    struct iw_proxy *proxy; /* its InternalRegistry */
    struct ir_servant servant;
    struct ib_arena endpoints_arena; /* replaced as a whole */
    struct IceGrid_StringObjectProxyDict endpoints;
    struct reg_stream stream;
    int64_t alive; /* last sign of life */
    struct ib_arena objects_arena; /* likewise */
    struct iw_identity *objects; /* the well-known objects it registered */
    size_t n_objects;
    bool ended;
    struct ic_deferred bury;
};

struct reg_replication {
    struct reg *reg;
    struct ib_list slaves, registrations; /* registrations: replica_servant.c's */
    size_t count;
    uint64_t numbers; /* given to slaves so far */
    bool followed; /* a slave has had everything, once */
    unsigned checks; /* names in use being checked */
    struct ic_timer reaper;
    bool sharing, share_again; /* the shared objects are being written; must be once more */
    bool stopping;
};

struct reg_slave *reg_slave_find(struct reg_replication *x, struct ib_str name);
/* A session for the slave: its proxy, in the arena; NULL: no room. */
struct iw_proxy *reg_slave_accept(struct reg_replication *x, const struct IceGrid_InternalReplicaInfo *info,
                                  const struct iw_proxy *prx, struct ib_arena *arena);
void reg_slave_end(struct reg_slave *s, const char *why); /* why may be NULL: its own wish */
/* Query, Locator and LocatorRegistry are written again; what comes meanwhile is put together. */
void reg_slaves_share(struct reg_replication *x);

/* replica_servant.c */
extern const struct IceGrid_ReplicaSession_servant reg_slave_vtable;
void reg_slave_forget_registrations(struct reg_replication *x, const struct reg_slave *s); /* s NULL: everybody's */

#endif
