/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated machine room: one clock, one source of chance, processes with an event loop each, a network between
   them, a disk per replica. The code under test is the registry as it is, down to ice/net; what is replaced at link
   time is what the system does for it: time and randomness (machine.c), libevent (events.c), sockets (sockets.c), the
   database (disk.c). Nothing here depends on anything but the seed. */
#ifndef TESTS_SIM_H
#define TESTS_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_PROCS_MAX 8
#define SIM_MS 1000LL /* of the clock's microseconds */
#define SIM_S 1000000LL

/* --- time and chance (machine.c) --- */

extern int64_t sim_now; /* us since the start */
void sim_seed(uint64_t seed);
uint64_t sim_random(void);
int64_t sim_between(int64_t low, int64_t high); /* both included */
bool sim_chance(unsigned permille);

/* A broken invariant: says so, with seed and step, and ends the program (status 1). */
void sim_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
/* One line of the run's history; printed with --verbose. */
void sim_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
extern bool sim_verbose;

/* --- processes --- */

struct event_base;

struct sim_proc {
    int id; /* 0 …; its address is 10.0.0.<id + 1> */
    const char *name;
    struct event_base *base; /* its loop's; NULL: not running */
    int64_t frozen_until; /* runs nothing before */
    bool dead; /* crashed: what still runs of it is cut off from network and disk, and about to be freed */
    bool dark; /* the machine is off: nobody is told that connections ended */
    uint16_t port; /* the last ephemeral one */
};

extern struct sim_proc sim_procs[SIM_PROCS_MAX];
extern int sim_n_procs;
extern struct sim_proc *sim_current; /* whose code runs; NULL: the world's */

/* One step: something that is due happens, or the clock goes on to when something is. */
void sim_step(void);
extern uint64_t sim_steps, sim_step_limit; /* done; the run ends after so many */
/* What the world does beside the processes: called after every step, and when its time has come. */
extern void (*sim_world_after)(void);
extern void (*sim_world_due)(void);
extern int64_t sim_world_at;
/* The run is over: no more steps are counted, and those that wait for one go on. */
extern bool sim_over;

/* --- events.c --- */

bool sim_base_ready(struct event_base *b); /* something can run now */
void sim_base_run(struct event_base *b); /* runs one callback */
int64_t sim_base_next(const struct event_base *b); /* when its earliest timeout is due; INT64_MAX */

/* --- sockets.c --- */

bool sim_readable(int fd);
bool sim_writable(int fd);
int64_t sim_sockets_next(void); /* when the earliest byte arrives that has not; INT64_MAX */
void sim_sockets_crash(struct sim_proc *p); /* all of its sockets end; not told to anybody when it is dark */
void sim_sockets_lit(struct sim_proc *p); /* a dark machine is back: peers learn that it knows them no more */
/* The way from one process to another: nothing goes through a cut one before it is mended. */
extern bool sim_cut[SIM_PROCS_MAX][SIM_PROCS_MAX];
extern int64_t sim_delay_max[SIM_PROCS_MAX][SIM_PROCS_MAX]; /* us, above the usual */
extern unsigned sim_loss; /* permille of pieces sent again after the retransmission timeout */

/* --- disk.c --- */

enum { SIM_TABLES = 4 };
struct sim_row {
    uint8_t *key, *value;
    size_t nk, nv;
};
struct sim_disk {
    char dir[256];
    struct sim_row *rows[SIM_TABLES]; /* what a crash leaves, sorted by key */
    size_t n[SIM_TABLES], cap[SIM_TABLES];
    int64_t serial[SIM_TABLES], settled[SIM_TABLES];
    char replica[64];
    int64_t slow_until, full_until;
    struct reg_store *open; /* NULL: nobody has it */
    uint64_t commits;
};
struct sim_disk *sim_disk(const char *dir); /* made when it is not there */
int64_t sim_disks_next(void);
bool sim_disks_run(void); /* what is due first reaches the platter, and whoever waits is told; false: nothing is */
bool sim_disk_busy(const struct sim_disk *d);
void sim_disk_crash(
    struct sim_disk *d); /* of what was on its way all, a part or nothing is there, in order, whole batches */
void sim_disks_free(void);
const struct sim_row *sim_disk_find(const struct sim_disk *d, int table, const void *key, size_t nk);

/* --- planted bugs: the simulator must find them --- */

enum sim_plant {
    SIM_PLANT_NONE,
    SIM_PLANT_EARLY, /* the disk says done before it is */
    SIM_PLANT_TORN, /* a crash leaves half a batch */
    SIM_PLANT_DEAF, /* now and then a slave is not told of a change */
    SIM_PLANT_SERIAL, /* now and then a serial goes back */
    SIM_PLANT_UNTOLD, /* now and then nodes are not told of a slave */
    SIM_PLANT_SETTLED, /* a slave takes everything for settled */
};
extern enum sim_plant sim_plant;

#endif
