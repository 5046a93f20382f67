/* SPDX-License-Identifier: Apache-2.0 */
/* The replicas' life and what happens to them: they start, crash, are frozen, cut off, promoted by an operator who
   keeps to docs/replication.md. */
#include "cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <moulin/net/loop.h>
#include <moulin/rpc/properties.h>

#include "loop_priv.h"
#include "replication_priv.h"

#define WRITE_MAX_US 100000
#define BEHIND_PERMILLE 3
#define BURST_MAX 12
#define READ_MAX_US 100000
#define FAULT_MAX_US (8 * SIM_S)
#define CALM_EVERY (45 * SIM_S)
#define CALM_LIMIT (180 * SIM_S)
#define LOOK_US 50000

struct sim_replica sim_replicas[SIM_REPLICAS_MAX];
int sim_n_replicas;
bool sim_calm;
struct sim_counts sim_counts;

static bool proving; /* all are equal: the reader looks at everything once */
static int64_t write_at, read_at, fault_at, calm_at, calm_limit, look_at, mend_at[SIM_PROCS_MAX][SIM_PROCS_MAX];
static const char *base_dir;

struct sim_replica *sim_master(void)
{
    for (int i = 0; i < sim_n_replicas; i++)
        if (sim_replicas[i].master)
            return &sim_replicas[i];
    sim_fail("there is no master");
}

bool sim_running(const struct sim_replica *r)
{
    return r->reg && !r->proc->dead;
}

bool sim_follows(const struct sim_replica *master, const struct sim_replica *slave)
{
    const struct reg_replication *x = master->reg->replication;
    if (!x)
        return false;
    IB_LIST_FOREACH(node, &x->slaves)
    {
        const struct reg_slave *s = IB_CONTAINER(node, struct reg_slave, node);
        if (ib_str_is(s->name, slave->name))
            return s->stream.state == REG_STREAM_FOLLOWING && !s->stream.ledger.released && !s->ended;
    }
    return false;
}

/* --- start and end ---------------------------------------------------------------------------------------------- */

static void set(struct ir_properties *p, const char *key, const char *value)
{
    if (ir_properties_set(p, key, value))
        sim_fail("cannot set %s", key);
}

static void set_endpoint(struct ir_properties *p, const char *name, const struct sim_proc *proc, int port)
{
    char key[64], value[64];
    snprintf(key, sizeof key, "IceGrid.Registry.%s.Endpoints", name);
    snprintf(value, sizeof value, "tcp -h 10.0.0.%d -p %d", proc->id + 1, port);
    set(p, key, value);
}

struct ir_properties *sim_properties(void)
{
    struct ir_properties *p = ir_properties_new();
    set(p, "Moulin.OnewayPause", "0"); /* pauses are real time */
    set(p, "Moulin.BusyPause", "0");
    set(p, "Moulin.IoUring", "0"); /* the system's sockets are not the simulated ones */
    return p;
}

static struct ir_properties *properties(const struct sim_replica *r)
{
    struct ir_properties *p = sim_properties();
    char locator[512] = "Test/Locator";
    for (int i = 0; i < sim_n_replicas; i++)
        snprintf(locator + strlen(locator), sizeof locator - strlen(locator), ":tcp -h 10.0.0.%d -p %d",
                 sim_replicas[i].proc->id + 1, SIM_CLIENT_PORT);
    set_endpoint(p, "Client", r->proc, SIM_CLIENT_PORT);
    set_endpoint(p, "Server", r->proc, SIM_CLIENT_PORT + 1);
    set_endpoint(p, "Internal", r->proc, SIM_CLIENT_PORT + 2);
    set(p, "IceGrid.InstanceName", "Test");
    set(p, "IceGrid.Registry.LMDB.Path", r->disk->dir);
    set(p, "Moulin.Registry.AckPoll", "0"); /* the clock stands while a loop looks */
    set(p, "IceGrid.Registry.ReplicaName", r->master || r->mistaken ? REG_MASTER : r->name);
    set(p, "IceGrid.Registry.ReplicaSessionTimeout", "5");
    set(p, "IceGrid.Registry.NodeSessionTimeout", "5");
    set(p, "IceGrid.Registry.DynamicRegistration", "1");
    set(p, "IceGrid.Registry.Discovery.Enabled", "0");
    set(p, "Ice.Default.Locator", locator);
    if (sim_verbose)
        set(p, "IceGrid.Registry.Trace.Replica", "2");
    return p;
}

static void see_serials(struct sim_replica *r)
{
    for (int t = 0; t < REG_SERIALS; t++) {
        r->serial[t] = r->settled[t] = INT64_MIN;
        r->disk_settled[t] = r->disk->settled[t];
    }
}

static void bury(struct sim_replica *r)
{
    struct sim_proc *before = sim_current;
    sim_current = r->proc;
    reg_free(r->reg);
    r->reg = NULL;
    ic_loop_free(r->loop);
    r->loop = NULL;
    sim_current = before;
}

static void crash(struct sim_replica *r, bool dark);

static bool has_rival(const struct sim_replica *m)
{
    for (int i = 0; i < sim_n_replicas; i++)
        if (&sim_replicas[i] != m && (sim_replicas[i].deposed || sim_replicas[i].mistaken))
            return true;
    return false;
}

/* A new master finds the old one alive, which is to be dead: the operator sees to that. */
static void refused(const struct sim_replica *m, bool rival_before, const char *why)
{
    bool rival = false;
    for (int i = 0; i < sim_n_replicas; i++) {
        struct sim_replica *z = &sim_replicas[i];
        if (z == m || !(z->deposed || z->mistaken))
            continue;
        rival = true;
        if (z->deposed) {
            crash(z, false);
            z->restart_at = sim_now;
        }
    }
    if (!rival && !rival_before)
        sim_fail("the master %s does not start: %s", m->name, why);
}

static void start(struct sim_replica *r)
{
    char *argv[] = {(char[]){"registry"}, (char[]){"--nowarn"}, (char[]){"--initdb-from-replica=Master"}, NULL};
    struct ib_err err = {0};
    struct sim_proc *before = sim_current;
    struct ir_properties *p = properties(r);
    bool rival_before = has_rival(r);
    unsigned before_it = sim_counts.faults;
    sim_note("%s starts%s", r->name, r->master ? " as master" : r->mistaken ? " as master by mistake" : "");
    sim_counts.starts++;
    if (!sim_calm && sim_chance(300))
        r->disk->slow_until = sim_now + 10 * SIM_S; /* it will be long in reading the master's tables */
    r->starting = true;
    r->restart_at = INT64_MAX;
    r->proc->dead = false;
    if (r->proc->dark) {
        r->proc->dark = false;
        sim_sockets_lit(r->proc);
    }
    sim_current = r->proc;
    r->loop = ic_loop_new(&err);
    struct reg *reg = reg_start(r->loop, p, r->init ? 3 : 2, argv, &err);
    sim_current = before;
    ir_properties_free(p);
    r->starting = false;
    r->reg = reg;
    if (r->mistaken) {
        r->mistaken = false;
        sim_counts.mistakes++;
        if (reg && !r->proc->dead && sim_counts.faults == before_it)
            sim_fail("%s has started as a second master", r->name);
        if (reg && !r->proc->dead) /* could not know: corrected at once */
            sim_disk_crash(r->disk);
        r->jumped = true;
        r->proc->dead = true;
    }
    if (!reg && !r->proc->dead && r->master && r->disk->full_until <= sim_now)
        refused(r, rival_before, err.text);
    r->init = r->init && !reg;
    if (!reg || r->proc->dead) {
        sim_note("%s has not started: %s", r->name, reg ? "crashed" : err.text);
        bury(r);
        r->proc->frozen_until = 0;
        if (r->restart_at == INT64_MAX)
            r->restart_at = sim_now + sim_between(0, 5 * SIM_S);
        return;
    }
    see_serials(r);
    sim_model_look(r);
    if (r->master)
        sim_model_master_started(r);
}

/* What runs no more: at once, or, while it starts, as a ghost that nobody sees, until that ends. */
static void crash(struct sim_replica *r, bool dark)
{
    sim_note("%s crashes%s", r->name, dark ? " with its machine" : "");
    sim_counts.crashes++;
    r->proc->dead = true;
    r->proc->dark = dark;
    sim_disk_crash(r->disk);
    sim_sockets_crash(r->proc);
    r->proc->frozen_until = 0;
    r->healthy_since = INT64_MAX;
    r->deposed = false;
    sim_counts.faults++;
    if (!r->starting)
        bury(r);
}

/* --- faults ----------------------------------------------------------------------------------------------------- */

/* The master is gone for good: the operator takes a slave that followed it to the end. */
static void promote(struct sim_replica *old, struct sim_replica *slave)
{
    sim_note("%s is promoted", slave->name);
    sim_counts.promotions++;
    crash(slave, false);
    old->master = false;
    slave->master = true;
    slave->restart_at = sim_now;
}

/* A slave that has all that r has acknowledged; NULL: there is none. */
static struct sim_replica *heir_of(const struct sim_replica *r)
{
    struct sim_replica *heir = NULL;
    int first = (int)sim_between(0, sim_n_replicas - 1);
    for (int i = 0; i < sim_n_replicas && r->master && sim_running(r); i++) {
        struct sim_replica *s = &sim_replicas[(first + i) % sim_n_replicas];
        if (s != r && sim_running(s) && sim_follows(r, s))
            heir = s;
    }
    return heir;
}

static void crash_some(bool dark)
{
    if (sim_n_nodes && sim_chance(200)) {
        sim_node_crash((int)sim_between(0, sim_n_nodes - 1), dark, sim_now + sim_between(0, 20 * SIM_S));
        return;
    }
    int first = (int)sim_between(0, sim_n_replicas - 1);
    struct sim_replica *r = &sim_replicas[first];
    for (int i = 0; i < sim_n_replicas && sim_chance(800) && !sim_disk_busy(r->disk); i++)
        r = &sim_replicas[(first + i) % sim_n_replicas]; /* rather one that writes */
    if (!r->loop || r->proc->dead)
        return;
    struct sim_replica *heir = heir_of(r);
    crash(r, dark);
    r->restart_at = sim_now + sim_between(0, 20 * SIM_S);
    if (heir && sim_chance(400))
        promote(r, heir);
}

/* A slave has on its disk what the master has not: now and then the master dies of it. */
static void crash_behind(void)
{
    struct sim_replica *m = sim_master();
    bool behind = false;
    for (int i = 0; i < sim_n_replicas && sim_running(m) && !sim_calm; i++)
        for (int t = 0; t < REG_SERIALS; t++)
            behind = behind || (&sim_replicas[i] != m && sim_follows(m, &sim_replicas[i]) &&
                                sim_replicas[i].disk->serial[t] > m->disk->serial[t]);
    if (!behind || !sim_chance(BEHIND_PERMILLE))
        return;
    struct sim_replica *heir = heir_of(m);
    crash(m, sim_chance(500));
    m->restart_at = sim_now + sim_between(0, 20 * SIM_S);
    if (heir && sim_chance(200))
        promote(m, heir);
}

static void cut_way(int from, int to, int64_t until)
{
    sim_cut[from][to] = true;
    mend_at[from][to] = until;
}

static bool is_deposed(int proc)
{
    return proc < sim_n_replicas && sim_replicas[proc].deposed;
}

static void cut_some(void)
{
    int a = (int)sim_between(0, sim_n_procs - 1), how = (int)sim_between(0, 3);
    int64_t until = sim_now + sim_between(0, 25 * SIM_S);
    sim_note("%s is cut off (%d) for %.3f s", sim_procs[a].name, how, (double)(until - sim_now) / 1e6);
    sim_counts.cuts++;
    for (int b = 0; b < sim_n_procs; b++) {
        if (b == a || is_deposed(a) || is_deposed(b) || (how == 3 && sim_chance(500)))
            continue;
        if (how != 1)
            cut_way(a, b, until);
        if (how != 2)
            cut_way(b, a, until);
    }
}

/* The operator takes a master for dead that is only frozen, or cut off from everybody: long enough for every session to
   end. It finds another in its place when it is back. */
static void depose(void)
{
    struct sim_replica *m = sim_master(), *heir = heir_of(m);
    if (!heir)
        return;
    sim_model_give_up(m);
    m->deposed = true;
    m->was_frozen = sim_chance(500);
    m->back_faults = 0;
    m->back_at = sim_now + sim_between(20 * SIM_S, 60 * SIM_S);
    sim_note("%s is %s for %.3f s", m->name, m->was_frozen ? "frozen" : "cut off",
             (double)(m->back_at - sim_now) / 1e6);
    sim_counts.deposed++;
    sim_counts.faults++;
    if (m->was_frozen)
        m->proc->frozen_until = m->back_at;
    for (int i = 0; i < sim_n_procs && !m->was_frozen; i++) {
        if (i == m->proc->id)
            continue;
        cut_way(i, m->proc->id, m->back_at);
        cut_way(m->proc->id, i, m->back_at);
    }
    promote(m, heir);
}

static void freeze_some(void)
{
    int i = (int)sim_between(0, sim_n_procs - 1);
    struct sim_proc *p = &sim_procs[i];
    if (i == sim_n_replicas || p->dead || (i < sim_n_replicas && (!sim_replicas[i].loop || sim_replicas[i].deposed)))
        return; /* not the reader */
    p->frozen_until = sim_now + sim_between(0, sim_chance(500) ? 2 * SIM_S : 20 * SIM_S);
    sim_note("%s is frozen for %.3f s", p->name, (double)(p->frozen_until - sim_now) / 1e6);
    sim_counts.freezes++;
}

static void spoil_some(void)
{
    struct sim_replica *r = &sim_replicas[sim_between(0, sim_n_replicas - 1)];
    bool full = sim_chance(300);
    *(full ? &r->disk->full_until : &r->disk->slow_until) = sim_now + sim_between(0, 10 * SIM_S);
    sim_note("%s has a %s disk", r->name, full ? "full" : "slow");
}

static void vary_network(void)
{
    sim_loss = (unsigned)(sim_chance(500) ? 0 : sim_between(0, 200));
    for (int i = 0; i < sim_n_procs; i++)
        for (int k = 0; k < sim_n_procs; k++)
            sim_delay_max[i][k] = sim_chance(700) ? 0 : sim_between(0, sim_chance(800) ? 20000 : 800000);
    sim_note("the network changes: %u permille lost", sim_loss);
}

static void fault(void)
{
    sim_counts.faults++;
    switch (sim_between(0, 7)) {
    case 0:
    case 1:
        crash_some(sim_chance(500));
        break;
    case 2:
    case 3:
        cut_some();
        break;
    case 4:
        freeze_some();
        break;
    case 5:
        spoil_some();
        break;
    case 6:
        depose();
        break;
    default:
        vary_network();
        break;
    }
}

/* --- calm ------------------------------------------------------------------------------------------------------- */

static void begin_calm(void)
{
    for (int i = 0; i < sim_n_replicas; i++) {
        if (sim_replicas[i].deposed && sim_replicas[i].back_at > sim_now) {
            calm_at = sim_replicas[i].back_at + sim_between(0, 20 * SIM_S);
            return;
        }
    }
    sim_note("calm");
    sim_calm = true;
    calm_limit = sim_now + CALM_LIMIT;
    look_at = sim_now;
    sim_loss = 0;
    memset(sim_cut, 0, sizeof sim_cut);
    memset(sim_delay_max, 0, sizeof sim_delay_max);
    for (int i = 0; i < sim_n_replicas; i++) {
        struct sim_replica *r = &sim_replicas[i];
        r->proc->frozen_until = 0;
        r->disk->slow_until = r->disk->full_until = 0;
        if (r->restart_at != INT64_MAX)
            r->restart_at = sim_now;
    }
    sim_nodes_calm();
}

/* The operator does as the log says. */
static void initialize_what_is_ahead(void)
{
    const struct sim_replica *m = sim_master();
    for (int i = 0; i < sim_n_replicas; i++) {
        struct sim_replica *s = &sim_replicas[i];
        bool ahead = false;
        for (int t = 0; t < REG_SERIALS; t++)
            ahead = ahead || s->disk->settled[t] > m->disk->serial[t];
        if (s == m || !s->jumped || !ahead || !sim_running(s) || !sim_running(m) || !reg_is_ready(m->reg))
            continue;
        crash(s, false);
        s->init = true;
        s->restart_at = sim_now;
        sim_counts.inits++;
    }
}

static void look(void)
{
    char why[256];
    look_at = sim_now + LOOK_US;
    initialize_what_is_ahead();
    for (int i = 0; i < sim_n_replicas; i++) {
        struct sim_replica *z = &sim_replicas[i];
        if (z->deposed && !z->in_place && sim_now > calm_limit - CALM_LIMIT / 2) {
            crash(z, false); /* two masters live, say both logs: stop one of them */
            z->restart_at = sim_now;
        }
    }
    bool settled = sim_model_equal(why, sizeof why) && sim_nodes_everywhere(why, sizeof why);
    if (settled && !proving) {
        proving = true;
        sim_reader_prove();
    } else if (settled && sim_reader_unproved() == 0) {
        sim_note("calm ends: all are equal");
        proving = false;
        sim_counts.calms++;
        sim_calm = false;
        calm_at = sim_now + CALM_EVERY;
        fault_at = sim_now + sim_between(0, FAULT_MAX_US);
        struct sim_replica *r = &sim_replicas[sim_between(0, sim_n_replicas - 1)];
        if (!r->master && sim_chance(200)) {
            crash(r, false);
            r->mistaken = true;
            r->restart_at = sim_now;
        }
    } else if (sim_now > calm_limit) {
        sim_fail("the replicas do not converge: %s", why);
    }
}

/* --- the world -------------------------------------------------------------------------------------------------- */

static void set_world_at(void)
{
    int64_t at = sim_calm ? look_at : write_at < calm_at ? write_at : calm_at;
    if (!sim_calm && fault_at < at)
        at = fault_at;
    at = read_at < at ? read_at : at;
    at = sim_nodes_next() < at ? sim_nodes_next() : at;
    for (int i = 0; i < sim_n_replicas; i++)
        at = !sim_replicas[i].loop && sim_replicas[i].restart_at < at ? sim_replicas[i].restart_at : at;
    for (int i = 0; i < sim_n_procs; i++)
        for (int k = 0; k < sim_n_procs; k++)
            at = sim_cut[i][k] && mend_at[i][k] < at ? mend_at[i][k] : at;
    sim_world_at = at;
}

static void mend(void)
{
    for (int i = 0; i < sim_n_procs; i++)
        for (int k = 0; k < sim_n_procs; k++)
            sim_cut[i][k] = sim_cut[i][k] && mend_at[i][k] > sim_now;
}

/* The first thing that is due. A start runs the world meanwhile: it comes last. */
static void due(void)
{
    mend();
    sim_nodes_due();
    if (read_at <= sim_now) {
        read_at = sim_now + sim_between(0, READ_MAX_US);
        struct sim_replica *r = &sim_replicas[sim_between(0, sim_n_replicas - 1)];
        if (sim_running(r))
            sim_model_look(r);
        sim_reader_read();
    } else if (sim_calm && look_at <= sim_now) {
        look();
    } else if (!sim_calm && write_at <= sim_now) {
        write_at = sim_now + sim_between(0, WRITE_MAX_US);
        for (int64_t n = sim_chance(800) ? 1 : sim_between(1, BURST_MAX); n > 0; n--)
            sim_model_write();
        for (int i = 0; i < sim_n_replicas; i++)
            if (sim_replicas[i].deposed && sim_replicas[i].back_at < sim_now)
                sim_model_write_deposed(&sim_replicas[i]);
    } else if (!sim_calm && calm_at <= sim_now) {
        begin_calm();
    } else if (!sim_calm && fault_at <= sim_now) {
        fault_at = sim_now + sim_between(0, FAULT_MAX_US);
        fault();
    }
    for (int i = 0; i < sim_n_replicas; i++) {
        struct sim_replica *r = &sim_replicas[i];
        if (!r->loop && r->restart_at <= sim_now) {
            r->restart_at = INT64_MAX;
            set_world_at();
            start(r);
            break;
        }
    }
    set_world_at();
}

static bool reachable(const struct sim_replica *r)
{
    int reader = sim_n_replicas;
    return sim_running(r) && reg_is_ready(r->reg) && r->proc->frozen_until <= sim_now &&
           !sim_cut[r->proc->id][reader] && !sim_cut[reader][r->proc->id];
}

static void after(void)
{
    for (int i = 0; i < sim_n_replicas; i++) {
        struct sim_replica *r = &sim_replicas[i];
        if (!reachable(r))
            r->healthy_since = INT64_MAX;
        else if (r->healthy_since == INT64_MAX)
            r->healthy_since = sim_now;
        if (r->deposed && !r->back_faults && r->back_at <= sim_now) {
            r->back_faults = sim_counts.faults;
            r->in_place = sim_master()->healthy_since <= sim_now;
        }
        if (sim_running(r) && r->loop->stopped) {
            sim_note("%s ends itself", r->name);
            sim_counts.stepped_down++;
            crash(r, false);
            r->restart_at = sim_now + SIM_S;
        }
    }
    sim_model_check();
    crash_behind();
    set_world_at();
}

void sim_cluster_start(int replicas, const char *dir)
{
    base_dir = dir;
    sim_n_replicas = replicas;
    for (int i = 0; i < replicas; i++) {
        struct sim_replica *r = &sim_replicas[i];
        char path[256];
        snprintf(r->name, sizeof r->name, "R%d", i);
        snprintf(path, sizeof path, "%s/%s", base_dir, r->name);
        sim_procs[i] = (struct sim_proc){.id = i, .name = r->name};
        r->proc = &sim_procs[i];
        r->disk = sim_disk(path);
        r->master = i == 0;
        r->restart_at = i;
        r->healthy_since = INT64_MAX;
    }
    sim_procs[replicas] = (struct sim_proc){.id = replicas, .name = "reader"};
    int count = (int)sim_between(0, SIM_NODES_MAX);
    sim_n_procs = replicas + 1 + count;
    calm_at = 2 * SIM_S; /* first of all everybody finds each other */
    write_at = read_at = 0;
    fault_at = INT64_MAX;
    sim_world_at = 0;
    sim_world_due = due;
    sim_world_after = after;
    sim_reader_start(&sim_procs[replicas]);
    sim_nodes_start(replicas + 1, count);
}

void sim_cluster_end(void)
{
    sim_reader_end();
    sim_nodes_end();
    for (int i = 0; i < sim_n_replicas; i++)
        if (sim_replicas[i].loop)
            crash(&sim_replicas[i], false);
    sim_model_free();
    sim_disks_free();
}
