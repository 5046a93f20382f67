/* SPDX-License-Identifier: Apache-2.0 */
/* The decisions of replication as functions of what is known: no clock, no socket, no memory of their own, so that
   tests and simulators can ask them anything. Times are milliseconds. */
#ifndef REG_REPLICA_POLICY_H
#define REG_REPLICA_POLICY_H

#include <moulin/base/span.h>
#include <moulin/wire/types.h>

/* --- the master about a slave --- */

struct reg_slave_facts {
    bool syncing; /* a table is not acknowledged yet */
    int64_t silent; /* since its last sign of life */
    int64_t change; /* age of the oldest change whose answer waits for this slave; -1: none */
    int64_t table; /* age of the oldest table it has not acknowledged; -1: none */
};

struct reg_slave_limits {
    int64_t silent; /* the session timeout; 0: never */
    int64_t change; /* how long an answer may wait for a slave */
    int64_t table; /* how long a synchronization may take */
};

/* How long a session of that timeout in seconds may be silent (icegrid-internal 5.6); 0: for ever. */
int64_t reg_session_ms(int timeout);

enum reg_slave_verdict {
    REG_SLAVE_KEEP,
    REG_SLAVE_RELEASE, /* it synchronizes still: answers go on without it */
    REG_SLAVE_SILENT, /* its session ends */
    REG_SLAVE_LAGGING, /* likewise */
};

enum reg_slave_verdict reg_judge_slave(const struct reg_slave_facts *f, const struct reg_slave_limits *l);
/* Milliseconds until this slave's verdict may change, whatever happens meanwhile: at least 1. */
int64_t reg_slave_next_look(const struct reg_slave_facts *f, const struct reg_slave_limits *l);

/* --- names --- */

#define REG_REPLICA_NAME_MAX 128
/* Not empty, not too long, no control characters. */
bool reg_replica_name_ok(struct ib_str name);
/* May this slave register that object? Its own registry, session managers and mapper only (icegrid-internal 7.1). */
bool reg_replica_owns(struct ib_str instance, struct ib_str replica, const struct iw_identity *id);

/* --- serials --- */

enum { REG_POLICY_TABLES = 3 }; /* applications, adapters, objects: as in enum reg_table */

/* What a slave says its tables are at. 0: not said. */
struct reg_serials {
    int64_t v[REG_POLICY_TABLES];
};
/* Writes a line for each table of which theirs is ahead of ours; false: none is. */
bool reg_serials_ahead(const struct reg_serials *ours, const struct reg_serials *theirs, char *out, size_t cap);
/* Does the master's stream run backwards? have: the table's serial here; given: the message's, 0 when it has none. */
bool reg_serial_backwards(int64_t have, int64_t given);

/* --- a master about another master --- */

/* A search for others, when it is over. */
struct reg_search {
    bool found; /* another master lives */
    int64_t took; /* ms, */
    int64_t limit; /* after which this process must have been frozen: what it learnt may be from before */
    bool followed; /* a slave had all this master has when the search began */
    bool lost; /* none has now, and one had once. Sessions do not count: requests that a cut held up make some that nobody
                  knows of any more */
};

enum reg_rival_verdict {
    REG_RIVAL_NONE,
    REG_RIVAL_REPORT, /* both live, and this one is not to blame */
    REG_RIVAL_STEP_DOWN, /* this one was away, and another has its place */
    REG_RIVAL_AGAIN, /* nobody knows: search again, and take no changes until then */
};
/* away, in: this master was frozen, or has lost all its slaves, since it last knew itself alone. Out: it may be still. */
enum reg_rival_verdict reg_judge_rival(const struct reg_search *s, bool *away);

/* What a slave's serials become when it is promoted: so far ahead that what the old master may have written without any
   slave knowing cannot be mistaken for newer (icegrid-internal 21.5). */
int64_t reg_promoted_serial(int64_t serial);

#endif
