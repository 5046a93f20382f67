/* SPDX-License-Identifier: Apache-2.0 */
/* sim_storm [--seed N] [--seeds N] [--steps N] [--nodes N] [--plant BUG] [-v]: groups of 3, 4 and 5 replicas through
   chance: crashes between any two steps, lost and doubled messages, cut directions, pauses, full disks, lost databases,
   cold starts. Exit status 1: an invariant broke (or a planted bug was not found). The printed seed replays. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EPISODE 4000 /* steps between two times of peace */
#define PEACE_MS 120000 /* in which one group of all must come about */
#define LEADER_MS                                                                                                      \
    4500 /* two master timeouts: a leader that is cut off from a majority knows it, though nobody writes */
#define MEMBER_MS 6500 /* three: it asks its leader */
#define SIEGE_MS 60000 /* in which the majority must have a leader */

static const char *const plants[] = {
    [PLANT_NONE] = "",       [PLANT_FORGET] = "forget", [PLANT_PROMISE] = "promise", [PLANT_REFUSAL] = "refusal",
    [PLANT_EARLY] = "early", [PLANT_FORCE] = "force",   [PLANT_TRUST] = "trust",     [PLANT_SILENCE] = "silence"};

static int any(struct world *w)
{
    return (int)world_random(w, (uint32_t)w->n);
}

static void cut(struct world *w)
{
    int a = any(w), b = any(w);
    switch (world_random(w, 4)) {
    case 0: /* one direction */
        w->cut[a][b] = a != b;
        break;
    case 1: /* one node from all */
        for (int i = 0; i < w->n; i++)
            w->cut[a][i] = w->cut[i][a] = i != a;
        break;
    case 2: { /* two sides */
        uint32_t side = world_random(w, 1u << w->n);
        for (int i = 0; i < w->n; i++)
            for (int k = 0; k < w->n; k++)
                w->cut[i][k] = (side >> i & 1) != (side >> k & 1);
        break;
    }
    default:
        memset(w->cut, 0, sizeof w->cut);
    }
}

/* One database is lost, while another has everything. */
static void lose(struct world *w)
{
    int i = any(w);
    if (w->lost || !world_is_kept(w, i))
        return;
    w->lost = true;
    world_crash(w, i);
    memset(&w->nodes[i].disk, 0, sizeof w->nodes[i].disk);
    w->nodes[i].highest = w->nodes[i].disk.stamp;
}

static void trouble(struct world *w)
{
    int i = any(w);
    switch (world_random(w, 17)) {
    case 0:
    case 1:
    case 2:
        world_crash(w, i);
        break;
    case 3:
    case 4:
    case 5:
    case 6:
        world_start(w, i);
        break;
    case 7:
    case 8:
        cut(w);
        break;
    case 9:
        world_pause(w, i, true);
        break;
    case 10:
        world_pause(w, i, false);
        break;
    case 11:
        w->drop_percent = world_random(w, 2) ? 0 : (int)world_random(w, 30);
        break;
    case 12:
        w->slow_ms = world_random(w, 3) ? 20 : 3000;
        break;
    case 13:
        w->nodes[i].disk_full = !world_random(w, 3);
        break;
    case 14:
        lose(w);
        break;
    case 15:
        world_stray(w, i, any(w));
        break;
    default:
        if (!world_random(w, 4))
            for (int k = 0; k < w->n; k++)
                world_crash(w, k);
    }
}

static void peace(struct world *w)
{
    memset(w->cut, 0, sizeof w->cut);
    w->drop_percent = 0;
    w->slow_ms = 20;
    for (int i = 0; i < w->n; i++) {
        w->nodes[i].disk_full = false;
        world_pause(w, i, false);
        world_start(w, i);
    }
    int64_t until = w->now + PEACE_MS;
    while (!w->broken && w->now < until && !world_settled(w))
        if (!world_step(w))
            break;
    if (!world_settled(w))
        world_break(w, "no group of all within %d s of peace", PEACE_MS / 1000);
    w->lost = false;
}

static uint32_t some(struct world *w, int members)
{
    uint32_t set = 0;
    while (__builtin_popcount(set) < members)
        set |= 1u << any(w);
    return set;
}

static void pass(struct world *w, int64_t until, uint32_t leads)
{
    while (!w->broken && w->now < until && !(world_leader(w) >= 0 && (leads >> world_leader(w) & 1)))
        if (!world_step(w))
            break;
}

/* After peace: a few are cut off from the rest, and nothing else happens. The few stop; the rest goes on. */
static void siege(struct world *w)
{
    int needed = w->n / 2 + 1;
    uint32_t few = some(w, 1 + (int)world_random(w, (uint32_t)(w->n - needed)));
    for (int i = 0; i < w->n; i++)
        for (int k = 0; k < w->n; k++)
            w->cut[i][k] = (few >> i & 1) != (few >> k & 1);
    int64_t began = w->now;
    pass(w, began + LEADER_MS, 0);
    for (int i = 0; i < w->n; i++)
        if (!w->broken && (few >> i & 1) && election_leads(&w->nodes[i].e))
            world_break(w, "node %d leads %d ms after it was cut off", i + 1, LEADER_MS);
    pass(w, began + MEMBER_MS, 0);
    for (int i = 0; i < w->n; i++)
        if (!w->broken && (few >> i & 1) && w->nodes[i].e.state == ELECTION_NORMAL)
            world_break(w, "node %d is active %d ms after it was cut off", i + 1, MEMBER_MS);
    pass(w, began + SIEGE_MS, ~few);
    int leader = world_leader(w);
    if (leader < 0 || (few >> leader & 1))
        world_break(w, "a majority is not led %d s after the others were cut off", SIEGE_MS / 1000);
}

static bool run(struct world *w, int nodes, uint64_t seed, uint64_t steps, enum plant plant)
{
    world_new(w, nodes ? nodes : 3 + (int)(seed % 3), seed, plant);
    for (int i = 0; i < w->n; i++)
        world_start(w, i);
    uint64_t episode = 0;
    while (!w->broken && w->steps < steps) {
        if (!world_step(w))
            world_start(w, any(w)); /* all are down */
        if (!world_random(w, 25))
            world_submit(w, world_leader(w) >= 0 ? world_leader(w) : any(w));
        if (!world_random(w, 60))
            trouble(w);
        if (w->steps / EPISODE > episode) {
            episode = w->steps / EPISODE;
            peace(w);
            if (!w->broken && world_random(w, 2))
                siege(w);
        }
    }
    if (!w->broken)
        peace(w);
    world_free(w);
    return !w->broken;
}

static uint64_t number(const char *text)
{
    return strtoull(text, NULL, 10);
}

int main(int argc, char **argv)
{
    static struct world w;
    uint64_t seed = 1, seeds = 1, steps = 25000, total = 0, acked = 0, doubt = 0;
    enum plant plant = PLANT_NONE;
    int nodes = 0;
    bool verbose = false;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(argv[i], "-v")) {
            verbose = true;
            continue;
        }
        if (!strcmp(argv[i], "--seed"))
            seed = number(value);
        else if (!strcmp(argv[i], "--seeds"))
            seeds = number(value);
        else if (!strcmp(argv[i], "--steps"))
            steps = number(value);
        else if (!strcmp(argv[i], "--nodes"))
            nodes = (int)number(value);
        else if (!strcmp(argv[i], "--plant"))
            for (int p = PLANT_FORGET; p <= PLANT_SILENCE; p++)
                plant = !strcmp(plants[p], value) ? (enum plant)p : plant;
        i++;
    }
    for (uint64_t s = seed; s < seed + seeds; s++) {
        world_verbose = verbose;
        bool good = run(&w, nodes, s, steps, plant);
        total += w.steps;
        acked += (uint64_t)w.n_acked;
        doubt += (uint64_t)w.n_doubt;
        if (!good && plant == PLANT_NONE) {
            printf("seed %llu: an invariant broke; --seed %llu --steps %llu replays it\n", (unsigned long long)s,
                   (unsigned long long)s, (unsigned long long)steps);
            return 1;
        }
        if (!good) {
            printf("the planted bug `%s' was found with seed %llu after %llu steps\n", plants[plant],
                   (unsigned long long)s, (unsigned long long)w.steps);
            return 0;
        }
    }
    printf("%llu steps, %llu updates acknowledged, %llu in doubt: nothing broke\n", (unsigned long long)total,
           (unsigned long long)acked, (unsigned long long)doubt);
    return plant == PLANT_NONE ? 0 : 1;
}
