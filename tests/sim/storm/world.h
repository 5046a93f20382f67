/* SPDX-License-Identifier: Apache-2.0 */
/* A group of replicas in a simulated world: the election as it is, over a network, disks and clocks made of one queue of
   events and one random number generator. See README.md. */
#ifndef SIM_STORM_WORLD_H
#define SIM_STORM_WORLD_H

#include "election.h"

#define NODES_MAX 5
#define OPS_MAX 4096 /* updates of one run */

/* Bugs that the checks must find. */
enum plant {
    PLANT_NONE,
    PLANT_FORGET, /* stamps do not survive a restart */
    PLANT_PROMISE, /* promises are forgotten */
    PLANT_REFUSAL, /* a refused update counts as a stored one */
    PLANT_EARLY, /* a member confirms before its disk has it */
    PLANT_FORCE, /* groups begin without proof, although databases are lost */
    PLANT_TRUST, /* whoever can be reached has sent what came in its name */
    PLANT_SILENCE /* a coordinator never hears that its pings were not answered */
};

/* A database: a log of updates. Whatever was acknowledged must stay in it, in its order. */
struct db {
    struct election_stamp stamp;
    int64_t promised;
    int n;
    uint16_t ops[OPS_MAX];
};

struct node {
    struct election e;
    struct db disk, memory; /* memory: as after the last commit that has ended */
    bool up, paused, disk_full;
    uint32_t life; /* counts starts: events of an earlier life are void */
    uint32_t observer; /* number of the present observer */
    uint32_t index, names; /* for UUIDs */
    uint64_t timer_serial[ELECTION_TIMERS];
    int queued; /* updates that wait */
    uint16_t queue[64];
    int n_flight; /* of the update under way */
    uint16_t flight[64];
    bool committing;
    struct election_stamp highest; /* its stamps may not fall below */
    int64_t lonely_since; /* leads, and cannot reach a majority; 0: not so */
    uint32_t member_observer[NODES_MAX]; /* a coordinator's members' */
};

struct world {
    int n;
    enum plant plant;
    uint64_t random, seed, steps;
    int64_t now; /* ms */
    struct node nodes[NODES_MAX];
    bool cut[NODES_MAX][NODES_MAX]; /* from, to */
    int drop_percent, slow_ms; /* of messages; their longest delay */
    uint16_t next_op;
    uint16_t acked[OPS_MAX]; /* in the order of their acknowledgement */
    int n_acked, n_doubt;
    bool lost; /* a database is */
    bool broken;
};

extern bool world_verbose; /* traces of the elections */

void world_new(struct world *w, int n, uint64_t seed, enum plant plant);
void world_free(struct world *w);
bool world_step(struct world *w); /* the next event; false: there is none */
uint32_t world_random(struct world *w, uint32_t below);
void world_start(struct world *w, int i);
void world_crash(struct world *w, int i);
void world_pause(struct world *w, int i, bool on);
void world_stray(struct world *w, int i, int inviter); /* an invitation that nobody sent reaches node i */
void world_submit(struct world *w, int i); /* an update of a client's, if the node leads */
void world_break(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int world_leader(const struct world *w); /* -1: none, or several */
bool world_is_kept(const struct world *w, int without); /* all that was acknowledged, by another */
bool world_settled(const struct world *w); /* one group of all, the same database everywhere */

#endif
