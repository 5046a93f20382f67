/* SPDX-License-Identifier: Apache-2.0 */
/* Time, chance, and what runs next. Replaces ice/base/clock.c. */
#include "sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <moulin/base/clock.h>

#define EPOCH_MS 1700000000000LL
#define COST_MAX 30 /* us that a callback takes, at most */

int64_t sim_now;
bool sim_verbose;
struct sim_proc sim_procs[SIM_PROCS_MAX];
int sim_n_procs;
struct sim_proc *sim_current;
uint64_t sim_steps, sim_step_limit = UINT64_MAX;
void (*sim_world_after)(void);
void (*sim_world_due)(void);
int64_t sim_world_at = INT64_MAX;
bool sim_over;
enum sim_plant sim_plant;

static uint64_t state, first_seed;

/* --- chance: splitmix64 ----------------------------------------------------------------------------------------- */

void sim_seed(uint64_t seed)
{
    state = first_seed = seed;
}

uint64_t sim_random(void)
{
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

int64_t sim_between(int64_t low, int64_t high)
{
    return low + (int64_t)(sim_random() % (uint64_t)(high - low + 1));
}

bool sim_chance(unsigned permille)
{
    return sim_random() % 1000 < permille;
}

/* --- reports ---------------------------------------------------------------------------------------------------- */

void sim_note(const char *fmt, ...)
{
    va_list args;
    if (!sim_verbose)
        return;
    printf("%10.6f #%-8llu ", (double)sim_now / 1e6, (unsigned long long)sim_steps);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
}

void sim_fail(const char *fmt, ...)
{
    va_list args;
    printf("broken at seed %llu, step %llu, %.6f s: ", (unsigned long long)first_seed, (unsigned long long)sim_steps,
           (double)sim_now / 1e6);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
    _Exit(1);
}

/* --- what the code under test asks ------------------------------------------------------------------------------ */

int64_t ib_clock_ms(void)
{
    return 1000 + sim_now / 1000; /* never 0, which means "no time" to some */
}

int64_t ib_clock_coarse_ms(void)
{
    return ib_clock_ms();
}

int64_t ib_clock_us(void)
{
    return 1000000 + sim_now;
}

int64_t ib_clock_wall_ms(void)
{
    return EPOCH_MS + sim_now / 1000;
}

void ib_random(void *p, size_t n)
{
    uint8_t *to = p;
    for (size_t i = 0; i < n; i++)
        to[i] = (uint8_t)sim_random();
}

void ib_uuid(char out[IB_UUID_LEN + 1])
{
    uint64_t a = sim_random(), b = sim_random();
    snprintf(out, IB_UUID_LEN + 1, "%08X-%04X-4%03X-8%03X-%012llX", (unsigned)(a >> 32), (unsigned)(a >> 16) & 0xffff,
             (unsigned)a & 0xfff, (unsigned)(b >> 48) & 0xfff, (unsigned long long)b & 0xffffffffffff);
}

/* --- what runs next --------------------------------------------------------------------------------------------- */

static bool can_run(const struct sim_proc *p)
{
    return p->base && p->frozen_until <= sim_now && sim_base_ready(p->base);
}

static bool run_one(void)
{
    struct sim_proc *ready[SIM_PROCS_MAX];
    int n = 0;
    for (int i = 0; i < sim_n_procs; i++)
        if (can_run(&sim_procs[i]))
            ready[n++] = &sim_procs[i];
    if (n == 0)
        return false;
    struct sim_proc *before = sim_current;
    sim_current = ready[n == 1 ? 0 : sim_between(0, n - 1)];
    sim_base_run(sim_current->base);
    sim_current = before;
    sim_now += sim_between(1, COST_MAX);
    return true;
}

static int64_t earliest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void wait(void)
{
    int64_t next = earliest(earliest(sim_sockets_next(), sim_disks_next()), sim_over ? INT64_MAX : sim_world_at);
    for (int i = 0; i < sim_n_procs; i++) {
        const struct sim_proc *p = &sim_procs[i];
        if (!p->base)
            continue;
        int64_t at = sim_base_next(p->base);
        next = earliest(next, at < p->frozen_until ? p->frozen_until : at);
        if (p->frozen_until > sim_now)
            next = earliest(next, p->frozen_until);
    }
    if (next == INT64_MAX)
        sim_fail("nothing will ever happen again");
    if (next > sim_now)
        sim_now = next;
}

static bool step(void)
{
    if (sim_disks_run())
        return true;
    if (sim_world_at > sim_now || sim_over)
        return run_one();
    sim_world_due();
    return true;
}

void sim_step(void)
{
    while (!step())
        wait();
    if (++sim_steps >= sim_step_limit)
        sim_over = true;
    if (sim_world_after && !sim_over)
        sim_world_after();
}
