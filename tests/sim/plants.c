/* SPDX-License-Identifier: Apache-2.0 */
/* Bugs planted between parts of the registry: now and then a slave is not told of a change, or the nodes of a slave. */
#include "sim.h"

#include "nodes.h"
#include "registry.h"

#define DEAF_PERMILLE 20
#define EARS 64
#define UNTOLD_PERMILLE 300

struct ear {
    struct reg_observer *o;
    void (*event)(struct reg_observer *o, const struct reg_event *ev);
};

void __real_reg_observe(struct reg *reg, struct reg_observer *o);
void __wrap_reg_observe(struct reg *reg, struct reg_observer *o);

static struct ear ears[EARS];
static int n_ears;

static void hear(struct reg_observer *o, const struct reg_event *ev)
{
    int i = n_ears - 1;
    while (ears[i].o != o)
        i--;
    if (!ev->db_serial || !sim_chance(DEAF_PERMILLE))
        ears[i].event(o, ev);
}

void __wrap_reg_observe(struct reg *reg, struct reg_observer *o)
{
    if (sim_plant == SIM_PLANT_DEAF && n_ears < EARS) {
        ears[n_ears++] = (struct ear){o, o->event};
        o->event = hear;
    }
    __real_reg_observe(reg, o);
}

void __real_reg_nodes_replica(struct reg *reg, bool up, const struct iw_proxy *replica);
void __wrap_reg_nodes_replica(struct reg *reg, bool up, const struct iw_proxy *replica);

void __wrap_reg_nodes_replica(struct reg *reg, bool up, const struct iw_proxy *replica)
{
    if (sim_plant != SIM_PLANT_UNTOLD || !up || !sim_chance(UNTOLD_PERMILLE))
        __real_reg_nodes_replica(reg, up, replica);
}
