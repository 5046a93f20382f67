/* SPDX-License-Identifier: Apache-2.0 */
/* The election of a group's coordinator and what it means for updates, without a clock, a socket, a file or memory of
   its own: things that happen go in as function calls, what is to be done comes out as actions (icestorm 8, 14). The
   service runs it over real things (replica.h), the simulator over simulated ones.

   It is Garcia-Molina's invitation election: a coordinator invites others, who pass the invitation on to their members;
   who has a majority then makes the newest database everybody's and tells them to begin.

   Generations are ballots. The number that a new group will have is hidden in its name, which the invitation carries, and
   whoever accepts has promised, on its disk, to take part in no group with this number or a lower one any more. So at
   most one group of a number can gather a majority, and whatever is acknowledged later is in the database of every
   group with a higher one. (The original numbers a group after it has gathered, which loses acknowledged updates: a
   coordinator that fails to begin twice in a row is the newest afterwards. Its groups have no number in their names;
   ours take part in them without a promise.)

   Nodes are indices into the configured ids, which ascend. The caller takes all actions after every call, and does them
   in their order. It answers each question exactly once, with the serial that came with it, within the action's time:
   no answer in time is a failure. Messages whose loss costs only time are sent and forgotten. */
#ifndef STORM_ELECTION_H
#define STORM_ELECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ELECTION_NODES_MAX 16
#define ELECTION_NAME_MAX 64
#define ELECTION_ACTIONS_MAX (8 * ELECTION_NODES_MAX)

enum election_state { ELECTION_INACTIVE, ELECTION_ELECTION, ELECTION_REORGANIZATION, ELECTION_NORMAL, ELECTION_STATES };

enum election_timer { ELECTION_CHECK, ELECTION_MERGE, ELECTION_CONTINUE, ELECTION_MASTER, ELECTION_PINGS, ELECTION_TIMERS };

/* Which state of the database: compared member by member. */
struct election_stamp {
    int64_t generation, iteration;
};

enum election_do {
    ELECTION_TIMER, /* start the timer anew, or stop it when ms < 0; then election_timer() */
    ELECTION_ASK_COORDINATOR, /* areYouCoordinator(); then election_coordinator() */
    ELECTION_ASK_INVITED, /* the inviter whether it gathers the group invite_group, with query(); then election_invited() */
    ELECTION_ASK_THERE, /* areYouThere(group, self); then election_there() */
    ELECTION_ASK_PING, /* the member's observer whether it is there; then election_pinged() */
    ELECTION_INVITE, /* invitation(coord, group), and forget: from this node, or passed on */
    ELECTION_PROMISE, /* the database keeps the number; then election_promised() */
    ELECTION_ACCEPT, /* accept(self, group, set, a fresh observer, stamp, max), and forget; observers of before are gone */
    ELECTION_DECLINE, /* accept(self, group of the inviter, …, stamp {promised, -1}, max): a higher number is needed */
    ELECTION_FETCH, /* get the member's content and make it ours, on disk first; then election_fetched() */
    ELECTION_STORE, /* the database gets the stamp next; then election_stored() */
    ELECTION_INIT, /* the member's observer gets content and stamp; then election_inited() */
    ELECTION_READY, /* ready(self, group, max, generation); then election_readied() */
    ELECTION_COMMIT, /* commit what waits, with one iteration each; then election_committed() */
    ELECTION_REPLICATE, /* tell the member's observer of it, one after another; then election_replicated() */
    ELECTION_SETTLED, /* good: a majority has what was committed. Otherwise it may or may not stay */
    ELECTION_OPENED, /* reads, events and updates may go on */
    ELECTION_CLOSED /* they have to wait */
};

struct election_action {
    enum election_do what;
    enum election_timer timer;
    int to; /* index */
    uint64_t serial; /* comes back with the answer */
    int64_t ms; /* of a timer; how long an answer may take */
    uint32_t set; /* ELECTION_ACCEPT: whom the invitation was passed on to */
    int64_t number; /* ELECTION_PROMISE */
    bool good;
};

struct election_config {
    int n, self; /* nodes; index of this one */
    int ids[ELECTION_NODES_MAX];
    int64_t master_ms, election_ms, response_ms;
    bool force; /* the operator vouches for the members' databases */
    void (*uuid)(void *arg, char out[37]); /* never the same twice */
    void (*trace)(void *arg, const char *text); /* may be NULL */
    void *arg;
};

struct election {
    struct election_config cfg;
    uint8_t state; /* enum election_state; written by set_state() only */
    int coord; /* index */
    char group[ELECTION_NAME_MAX];
    int64_t generation; /* of the active group, -1 without */
    int max; /* largest group this process has seen */
    struct election_stamp stamp, next; /* of the database; of the group that is being made */
    int64_t promised; /* on disk */
    int64_t floor; /* numbers that others have promised */
    uint32_t up; /* set: a coordinator's accepted members */
    struct election_stamp up_stamp[ELECTION_NODES_MAX];
    uint64_t epoch; /* counts changes of state, coordinator and group */
    uint64_t membership; /* … of coordinator and group */
    int pins; /* what is under way and must end before the state's change has effect */
    uint8_t after_drain; /* enum, in election.c */
    bool again; /* a merge with a higher number follows one that failed for its number */
    bool scheduled[ELECTION_TIMERS];
    /* the check under way, the merge that it led to */
    uint64_t check_serial;
    uint32_t asked, coordinators, merge_set;
    bool waits, waited; /* the merge is to come later than others'; that time is over, and they are asked again */
    uint32_t issued, accepted, forwarded;
    /* an invitation whose sender is asked whether it has sent it; all who are being asked, each once */
    int inviter; /* index; -1 */
    uint32_t inviters;
    uint64_t invite_serial;
    char invite_group[ELECTION_NAME_MAX];
    /* the group being made: whose answers are awaited */
    uint32_t waiting;
    /* who was invited in vain: how often, for how many checks it is left alone */
    uint8_t vain[ELECTION_NODES_MAX], spared[ELECTION_NODES_MAX];
    int broken; /* the database cannot be written: for as many checks this node neither invites nor is invited */
    int haste; /* checks of an inactive node come sooner at first: how many have been */
    uint8_t hint; /* somebody on its own has asked: 1: the next check comes at once; 2: it has been, one is due first */
    /* pings and updates */
    uint32_t ping_waiting, ping_failed, missed;
    uint64_t ping_serial, update_serial;
    uint8_t update; /* enum, in election_update.c */
    uint32_t update_waiting;
    struct election_action actions[ELECTION_ACTIONS_MAX];
    size_t n_actions, next_action;
};

/* stamp, promised: of the database. */
void election_init(struct election *e, const struct election_config *cfg, struct election_stamp stamp,
                   int64_t promised);
void election_start(struct election *e);
/* The next action; false: there is none. */
bool election_next(struct election *e, struct election_action *out);

/* --- what happens --- */

void election_timer(struct election *e, enum election_timer timer);
/* A member's: the connection from its coordinator is gone, so it is asked at once. */
void election_suspect(struct election *e);
/* Messages of other nodes, from whom they name; -1 for an id that is not configured. */
void election_invitation(struct election *e, int from, const char *group);
void election_accept(struct election *e, int from, const char *group, uint32_t forwarded, struct election_stamp stamp,
                     int max);
/* False: this node does not take part; its caller must know, or it would lead a group of which nobody is a member. (The
   original's nodes keep that to themselves.) */
bool election_ready(struct election *e, int from, const char *group, int max, int64_t generation);
/* Answers; ok: one came in time. */
void election_coordinator(struct election *e, int from, uint64_t serial, bool ok, bool yes);
void election_invited(struct election *e, int from, uint64_t serial, bool ok, bool yes);
void election_there(struct election *e, int from, uint64_t serial, bool ok, bool yes);
void election_pinged(struct election *e, int from, uint64_t serial, bool ok);
void election_promised(struct election *e, uint64_t serial, int64_t number, bool ok);
void election_fetched(struct election *e, uint64_t serial, bool ok, struct election_stamp stamp);
void election_stored(struct election *e, uint64_t serial, bool ok);
void election_inited(struct election *e, int from, uint64_t serial, bool ok);
void election_readied(struct election *e, int from, uint64_t serial, bool ok);
/* n: how many iterations were added; 0: nothing was committed. */
void election_committed(struct election *e, uint64_t serial, int64_t n);
void election_replicated(struct election *e, int from, uint64_t serial, bool ok);
/* Somebody asks areYouCoordinator(). */
bool election_asked(struct election *e);

/* --- updates --- */

/* There is something to commit. Has no effect unless this is an active coordinator without an update under way:
   ELECTION_OPENED and the end of an update are the times to say it again. */
void election_want(struct election *e);
bool election_leads(const struct election *e); /* active coordinator */
/* Of a coordinator's observer calls: NULL, and the call is pinned until election_applied; or why it is refused. */
const char *election_observe_init(struct election *e, int64_t generation);
const char *election_observe_update(struct election *e, int64_t generation);
/* This node is not as its coordinator thinks, or the coordinator cannot be reached: the group of that generation is
   left. */
void election_disagrees(struct election *e, int64_t generation);
/* The observer call has ended; stamp: of the database now. ok: it could be written. */
void election_applied(struct election *e, struct election_stamp stamp, bool ok);

/* --- answers to others --- */

/* Whether this node invites others into the group: what query() tells ELECTION_ASK_INVITED. */
bool election_gathers(const struct election *e, const char *group);
bool election_has_member(const struct election *e, const char *group, int index);
/* The number in a group's name, 0 without. */
int64_t election_ballot(const char *group);
int election_index(const struct election *e, int id); /* -1: not configured */
/* <0, 0, >0 as a is older, the same, newer. */
int election_compare(struct election_stamp a, struct election_stamp b);

#endif
