/* SPDX-License-Identifier: Apache-2.0 */
/* One replica of a group: the election (election.h) over real clocks, calls and disks, the objects that other replicas
   call, and the gate that holds the clients' requests until the group is active (icestorm 8). */
#ifndef STORM_REPLICA_H
#define STORM_REPLICA_H

#include <moulin/net/loop.h>
#include <moulin/rpc/adapter.h>
#include <moulin/rpc/call.h>

#include <slice/IceStorm/Election_rpc.h>

#include "election.h"
#include "storm.h"

struct storm_change;

struct storm_replica {
    struct storm *storm; /* borrows */
    struct election e;
    struct ib_arena arena; /* of what lasts */
    struct ir_adapter *node; /* owns */
    struct ir_servant node_servant, observer_servant, sync_servant;
    struct iw_identity node_id, observer_id, sync_id;
    char observer_name[40], sync_name[40]; /* UUIDs */
    bool observer_added;
    struct ic_timer timers[ELECTION_TIMERS];
    struct storm_replica_timer {
        struct storm_replica *r;
        enum election_timer timer;
    } timer_args[ELECTION_TIMERS];
    struct storm_member {
        int id;
        struct iw_proxy *node; /* as configured */
        struct ib_arena arena; /* of the observer */
        struct iw_proxy *observer; /* as it was accepted last; NULL: never */
        struct ib_list *next; /* of the held changes: the one it is told now */
    } members[ELECTION_NODES_MAX];
    struct ir_conn_hook coordinator_hook; /* of the connection that ready() came over */
    struct ib_arena coordinator_arena;
    struct iw_proxy *coordinator; /* its topic manager; NULL: this is it, or there is none */
    struct iw_proxy *manager, *publish; /* all replicas' endpoints, some object; NULL: this one's only */
    struct ib_list questions; /* struct question, replica_ask.c: without an answer */
    struct ib_list parked, forwards; /* gate.c */
    size_t n_parked;
    bool performing, stopped;
};

static inline struct election_stamp storm_stamp_of(struct IceStormElection_LogUpdate llu)
{
    return (struct election_stamp){llu.generation, llu.iteration};
}

static inline struct IceStormElection_LogUpdate storm_llu_of(struct election_stamp stamp)
{
    return (struct IceStormElection_LogUpdate){stamp.generation, stamp.iteration};
}

static inline struct ir_call_options storm_in_time(int64_t ms)
{
    int32_t limit = ms > 0 && ms < INT32_MAX ? (int32_t)ms : 1;
    return (struct ir_call_options){.timeout_ms = limit, .connect_timeout_ms = limit};
}

/* Makes the adapter and its objects. */
struct storm_replica *storm_replica_new(struct storm *s, struct ib_err *err);
void storm_replica_start(struct storm_replica *r); /* the election begins */
void storm_replica_stop(struct storm_replica *r); /* what waits is answered */
void storm_replica_free(struct storm_replica *r); /* NULL is fine */

/* After every call into the election: does what it asks for. */
void storm_replica_perform(struct storm_replica *r);

bool storm_replica_leads(const struct storm_replica *r);
void storm_replica_want(struct storm_replica *r); /* changes wait */
void storm_replica_committed(struct storm_replica *r, uint64_t serial, size_t n);
/* A slave's: the coordinator is asked to remove a subscriber that has failed here. Takes c, and ends it. */
void storm_replica_reap(struct storm_replica *r, struct storm_change *c);
struct iw_proxy *storm_replica_node_proxy(const struct storm_replica *r); /* as configured; borrowed */

void storm_replica_watch(struct storm_replica *r, struct ir_conn *coordinator);

/* replica_ask.c: the actions that have an answer. */
void storm_replica_ask(struct storm_replica *r, const struct election_action *a);
void storm_replica_write_down(struct storm_replica *r, const struct election_action *a);
void storm_replica_cancel(struct storm_replica *r); /* calls under way; what is being written ends by itself */

/* replica_servant.c */
int storm_replica_add_objects(struct storm_replica *r, struct ib_err *err);
int storm_replica_new_observer(struct storm_replica *r); /* in place of the one before */

/* gate.c: requests wait, are passed on to the coordinator, or go to their objects. */
void storm_gate_open(struct storm *s); /* the group is active: what waited goes on */
void storm_gate_close(struct storm_replica *r); /* it is not any more: what the coordinator has not answered waits again */
void storm_gate_watch(struct storm *s); /* sees the requests of both adapters from now on */
void storm_gate_stop(struct storm_replica *r);
/* rq's change ended with STORM_ELSEWHERE: it is passed on, or waits. */
void storm_gate_take(struct storm *s, struct ir_request *rq);

#endif
