/* SPDX-License-Identifier: Apache-2.0 */
/* The grid in the simulated room: real registries, what happens to them (cluster.c), those who write to them and what
   must be true (model.c), those who read (reader.c), and nodes (node.c). */
#ifndef TESTS_SIM_CLUSTER_H
#define TESTS_SIM_CLUSTER_H

#include "sim.h"

#include <moulin/registry/registry.h>

#include "registry.h"

#define SIM_REPLICAS_MAX 5
#define SIM_CLIENT_PORT 4061

struct sim_replica {
    struct sim_proc *proc;
    struct sim_disk *disk;
    struct ic_loop *loop; /* NULL: not running */
    struct reg *reg; /* NULL while it starts */
    bool master; /* what it is started as */
    bool starting;
    bool mistaken; /* started as a master although one lives */
    bool deposed; /* a master in whose place another was put while it was frozen or cut off; runs still */
    bool was_frozen; /* deposed so; until then, and since then, it may take no change */
    int64_t back_at; /* deposed: when it runs, or is reachable again */
    unsigned back_faults; /* how many faults there had been then; 0: not yet */
    bool in_place; /* and the new master could be seen then: it must end itself, without the operator */
    bool jumped; /* a mistaken start may have made its database newer than the master's */
    bool init; /* started with --initdb-from-replica=Master */
    int64_t restart_at; /* INT64_MAX: not planned */
    int64_t serial[REG_SERIALS], settled[REG_SERIALS], disk_settled[REG_SERIALS]; /* as last seen */
    int64_t healthy_since; /* runs, is ready, was never frozen or cut off from the reader since; INT64_MAX: it is not */
    char name[16];
};

struct ir_properties *sim_properties(void); /* what a process here must have set */

extern struct sim_replica sim_replicas[SIM_REPLICAS_MAX];
extern int sim_n_replicas;
extern bool sim_calm; /* no faults and no writes until everything is equal */

void sim_cluster_start(int replicas, const char *dir);
void sim_cluster_end(void);
struct sim_replica *sim_master(void); /* the one that is to be it */
bool sim_running(const struct sim_replica *r); /* has started, and has not crashed */
/* Does the master count on this slave? Its sessions as the master sees them. */
bool sim_follows(const struct sim_replica *master, const struct sim_replica *slave);

struct sim_counts {
    unsigned starts, node_starts, crashes, freezes, cuts, promotions, deposed, calms, stepped_down, mistakes, inits;
    unsigned faults;
    unsigned undone; /* tables of which a slave had what its master never got */
    unsigned writes, acknowledged, reads, answered, found; /* found: adapters of what is deployed on nodes */
};
extern struct sim_counts sim_counts;

/* --- model.c --- */

#define SIM_ITEMS_MAX 24

void sim_model_write(void); /* somebody begins a change */
void sim_model_write_deposed(struct sim_replica *z); /* somebody asks a master that is none any more */
void sim_model_give_up(const struct sim_replica *m); /* whoever waits for its answers */
bool sim_model_busy(void); /* a change is not answered */
void sim_model_master_started(struct sim_replica *m); /* all that was acknowledged must be there */
void sim_model_check(void); /* after every step */
bool sim_model_equal(char *why, size_t cap); /* all replicas have the same, which is what was acknowledged */
void sim_model_free(void);
void sim_model_look(struct sim_replica *r); /* what it has must be something that was written lately */
/* For the reader: the name of something to ask for, and what was answered (0: it is not there). */
const char *sim_model_pick(bool *adapter, int *index);
int sim_model_patience(int index); /* ms until it must be answered, by a replica that is healthy */
/* The index-th item's name if it is an application; there: is it deployed? Nothing is being written. */
const char *sim_model_deployed(int index, bool *there);
int sim_model_node(int index); /* on which node */
void sim_model_read(int index, int64_t asked, uint16_t port, const char *from);

/* --- node.c --- */

#define SIM_NODES_MAX 2
#define SIM_NODE_PORT 4090 /* of the first; the next one's is the next */

extern int sim_n_nodes;
void sim_nodes_start(int first, int count); /* their processes' numbers begin with first */
void sim_nodes_end(void);
void sim_node_crash(int i, bool dark, int64_t back_at);
int64_t sim_nodes_next(void); /* when one of them starts again; INT64_MAX */
void sim_nodes_due(void); /* those whose time has come start */
void sim_nodes_calm(void); /* all of them run from now on */
bool sim_nodes_everywhere(char *why, size_t cap); /* every replica has every node */

/* --- reader.c --- */

void sim_reader_start(struct sim_proc *p);
void sim_reader_end(void);
void sim_reader_read(void); /* asks one replica for something */
/* For everything that is deployed, at every replica, which must find it. */
void sim_reader_prove(void);
unsigned sim_reader_unproved(void); /* answers to that which have not come */

#endif
