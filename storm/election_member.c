/* SPDX-License-Identifier: Apache-2.0 */
/* A member of somebody else's group: it is told when to begin and what to store, and asks whether its coordinator is
   still there (icestorm 8.4, 8.6). */
#include "election_priv.h"

#include <string.h>

bool election_ready(struct election *e, int from, const char *group, int max, int64_t generation)
{
    bool member = from == e->coord && from != e->cfg.self && !strcmp(e->group, group) && !election_draining(e);
    if (member && e->state == ELECTION_NORMAL)
        return e->generation == generation; /* again */
    if (!member || e->state != ELECTION_REORGANIZATION || e->stamp.generation != generation)
        return false; /* the latter: our observer is told first */
    e->max = max > e->max && max <= e->cfg.n ? max : e->max;
    e->generation = generation;
    e->haste = 0;
    election_set_state(e, ELECTION_NORMAL);
    election_ensure_check(e, e->cfg.election_ms);
    return true;
}

void election_ask_master(struct election *e)
{
    election_set_timer(e, ELECTION_MASTER, e->cfg.master_ms);
    if (e->coord != e->cfg.self)
        election_act(
            e, (struct election_action){
                   .what = ELECTION_ASK_THERE, .to = e->coord, .serial = e->membership, .ms = election_ask_ms(e)});
}

void election_there(struct election *e, int from, uint64_t serial, bool ok, bool yes)
{
    if (serial != e->membership || from != e->coord || (ok && yes) || election_draining(e))
        return;
    election_trace(e, "node %d: the coordinator is gone", e->cfg.ids[e->cfg.self]);
    if (!ok)
        e->spared[from] = 1; /* the others shall not wait for its silence */
    election_recover(e, ELECTION_ANY);
}

void election_suspect(struct election *e)
{
    if (e->state == ELECTION_NORMAL && e->coord != e->cfg.self && !election_draining(e))
        election_ask_master(e);
}

const char *election_observe_init(struct election *e, int64_t generation)
{
    if (e->state != ELECTION_REORGANIZATION || election_draining(e))
        return "init cannot block when state != NodeStateReorganization";
    if (e->coord == e->cfg.self)
        return "init called on coordinator";
    if (election_ballot(e->group) > 0 && generation < e->promised)
        return "invalid generation";
    election_pin(e);
    return NULL;
}

const char *election_observe_update(struct election *e, int64_t generation)
{
    const char *why = e->state != ELECTION_NORMAL   ? "update called on inactive node"
                      : e->coord == e->cfg.self     ? "update called on the master"
                      : e->generation != generation ? "invalid generation"
                                                    : NULL;
    if (why)
        election_recover(e, generation);
    else
        election_pin(e);
    return why;
}

void election_disagrees(struct election *e, int64_t generation)
{
    election_recover(e, generation);
}

void election_applied(struct election *e, struct election_stamp stamp, bool ok)
{
    e->stamp = stamp;
    e->broken = ok ? 0 : BROKEN_CHECKS;
    election_unpin(e);
}
