/* SPDX-License-Identifier: Apache-2.0 */
/* sim_replication [--seed N] [--seeds COUNT] [--steps M] [--replicas R] [--plant BUG] [--shrink] [--verbose]

   Runs COUNT seeds from N on, M steps each. The same numbers give the same run. --shrink looks, by bisection, for the
   smallest number of replicas and of steps with which the seed still fails. With --plant a run must fail, and is the
   last. */
#include "cluster.h"

#include <ftw.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINES 25

struct run {
    uint64_t seed, steps;
    int replicas; /* 0: the seed says */
};

static bool quiet; /* shrinking */

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

/* In a process of its own, so that every run begins with the same memory. */
static int run_here(const struct run *r, const char *dir)
{
    sim_seed(r->seed);
    sim_step_limit = r->steps;
    int replicas = (int)sim_between(2, SIM_REPLICAS_MAX);
    sim_cluster_start(r->replicas ? r->replicas : replicas, dir);
    while (!sim_over)
        sim_step();
    const struct sim_counts *c = &sim_counts;
    printf("seed %llu: %d replicas, %llu steps, %.0f s; %u starts, %u crashes, %u freezes, %u cuts, %u promotions, %u "
           "deposed, %u stepped down, %u mistakes, %u initialized, %u times equal; %u writes, %u acknowledged, %u "
           "undone, %u reads, %u answered; %d nodes, %u found; state %016llx\n",
           (unsigned long long)r->seed, sim_n_replicas, (unsigned long long)sim_steps, (double)sim_now / 1e6, c->starts,
           c->crashes, c->freezes, c->cuts, c->promotions, c->deposed, c->stepped_down, c->mistakes, c->inits, c->calms,
           c->writes, c->acknowledged, c->undone, c->reads, c->answered, sim_n_nodes, c->found,
           (unsigned long long)sim_random());
    fflush(stdout);
    sim_cluster_end();
    return 0;
}

/* What the registries and the sanitizers wrote last. */
static void show_log(const char *path)
{
    char line[1024], tail[LOG_LINES][1024];
    size_t n = 0;
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        memcpy(tail[n++ % LOG_LINES], line, sizeof line);
    for (size_t i = n > LOG_LINES ? n - LOG_LINES : 0; i < n; i++)
        printf("    %s", tail[i % LOG_LINES]);
    if (f)
        fclose(f);
}

static bool run(const struct run *r, const char *dir)
{
    char log[64];
    int status;
    snprintf(log, sizeof log, "%s/log", dir);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        if ((!sim_verbose && !freopen(log, "w", stderr)) || (quiet && !freopen("/dev/null", "w", stdout)))
            _exit(3);
        exit(run_here(r, dir));
    }
    if (child < 0 || waitpid(child, &status, 0) < 0) {
        perror("cannot run");
        exit(3);
    }
    if (WIFSIGNALED(status))
        printf("seed %llu ended by signal %d\n", (unsigned long long)r->seed, WTERMSIG(status));
    bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!good && !sim_verbose && !quiet)
        show_log(log);
    return good;
}

static void shrink(struct run r, const char *dir)
{
    quiet = true;
    for (int n = 2; n <= SIM_REPLICAS_MAX && !r.replicas; n++) {
        struct run fewer = {r.seed, r.steps, n};
        if (!run(&fewer, dir))
            r = fewer;
    }
    uint64_t good = 0, bad = r.steps;
    while (bad - good > 1) {
        struct run half = {r.seed, good + (bad - good) / 2, r.replicas};
        if (run(&half, dir))
            good = half.steps;
        else
            bad = half.steps;
    }
    quiet = false;
    printf("shortest: --seed %llu --steps %llu --replicas %d\n", (unsigned long long)r.seed, (unsigned long long)bad,
           r.replicas);
}

static enum sim_plant plant_of(const char *name)
{
    static const char *const names[] = {"none", "early", "torn", "deaf", "serial", "untold", "settled"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return (enum sim_plant)i;
    fprintf(stderr, "unknown bug `%s'\n", name);
    exit(2);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", 1, NULL, 's'},  {"seeds", 1, NULL, 'n'},  {"steps", 1, NULL, 'm'},   {"replicas", 1, NULL, 'r'},
        {"plant", 1, NULL, 'p'}, {"shrink", 0, NULL, 'k'}, {"verbose", 0, NULL, 'v'}, {0}};
    struct run r = {.seed = 1, .steps = 100000};
    unsigned long long seeds = 1, failed = 0;
    bool shrinks = false;
    int c;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 's':
            r.seed = strtoull(optarg, NULL, 0);
            break;
        case 'n':
            seeds = strtoull(optarg, NULL, 0);
            break;
        case 'm':
            r.steps = strtoull(optarg, NULL, 0);
            break;
        case 'r':
            r.replicas = atoi(optarg);
            break;
        case 'p':
            sim_plant = plant_of(optarg);
            break;
        case 'k':
            shrinks = true;
            break;
        case 'v':
            sim_verbose = true;
            break;
        default:
            return 2;
        }
    }
    if (r.replicas && (r.replicas < 2 || r.replicas > SIM_REPLICAS_MAX)) {
        fprintf(stderr, "2 to %d replicas\n", SIM_REPLICAS_MAX);
        return 2;
    }
    char dir[] = "/tmp/moulin-sim-XXXXXX";
    if (!mkdtemp(dir)) {
        perror("cannot make a directory");
        return 3;
    }
    double begun = seconds();
    for (unsigned long long i = 0; i < seeds; i++, r.seed++) {
        if (run(&r, dir))
            continue;
        failed++;
        if (shrinks)
            shrink(r, dir);
        if (sim_plant != SIM_PLANT_NONE)
            break; /* found */
    }
    nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    double took = seconds() - begun;
    printf("%llu of %llu seeds failed; %.1f s, %.0f steps/s\n", failed, seeds, took,
           (double)seeds * (double)r.steps / took);
    if (sim_plant != SIM_PLANT_NONE)
        return failed ? 0 : 1;
    return failed ? 1 : 0;
}
