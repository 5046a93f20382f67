/* SPDX-License-Identifier: Apache-2.0 */
/* A coordinator makes a group of those who have accepted: the newest database becomes everybody's, with a stamp above
   all; then it begins (icestorm 8.4, MERGE-CONTINUE). The database at hand is the newest acknowledged one when all
   nodes are here, or when a majority is that has been in a group before: what was acknowledged is on a majority, and
   any two majorities have a node in common. A node without a stamp may have lost its database. */
#include "election_priv.h"

#define SPARED_MAX 10 /* checks */

#define CONTENT_MS 5000 /* at the least: a whole database may be on its way */

static int64_t step_ms(const struct election *e)
{
    return e->cfg.response_ms > CONTENT_MS ? e->cfg.response_ms : CONTENT_MS;
}

/* Answers of steps carry the epoch: once the state, the coordinator or the group has changed they mean nothing. */
static bool current(const struct election *e, uint64_t serial)
{
    return e->state == ELECTION_REORGANIZATION && e->coord == e->cfg.self && !election_draining(e) &&
           serial == e->epoch;
}

static void fail(struct election *e, const char *why)
{
    election_trace(e, "node %d: %s", e->cfg.ids[e->cfg.self], why);
    election_recover(e, ELECTION_ANY);
}

/* Whoever cannot write does not stand again for a while: it would only break up the group that the others make. */
void election_break(struct election *e)
{
    e->broken = BROKEN_CHECKS;
    fail(e, "the database cannot be written");
}

static bool may_commence(struct election *e)
{
    int n = e->cfg.n, in = election_count(e->up), proven = e->stamp.generation > 0;
    for (int i = 0; i < n; i++)
        proven += (e->up & BIT(i)) && e->up_stamp[i].generation > 0;
    bool newest = in == n - 1 || proven >= n / 2 + 1 || e->cfg.force;
    if (in >= n / 2 && newest)
        return true;
    election_trace(e, "node %d: not enough nodes %d/%d for replication to commence%s", e->cfg.ids[e->cfg.self], in + 1,
                   n, in >= n / 2 ? " (require full participation for startup)" : "");
    return false;
}

static void to_all(struct election *e, enum election_do what)
{
    e->waiting = e->up;
    for (int i = 0; i < e->cfg.n; i++)
        if (e->up & BIT(i))
            election_act(e, (struct election_action){.what = what, .to = i, .serial = e->epoch, .ms = step_ms(e)});
}

static void store(struct election *e)
{
    e->next = (struct election_stamp){election_ballot(e->group), 0};
    e->max = e->max > election_count(e->up) + 1 ? e->max : election_count(e->up) + 1;
    election_act(
        e, (struct election_action){.what = ELECTION_STORE, .to = e->cfg.self, .serial = e->epoch, .ms = step_ms(e)});
}

void election_make_group(struct election *e)
{
    int owner = -1;
    if (!may_commence(e)) {
        election_recover(e, ELECTION_ANY);
        return;
    }
    struct election_stamp newest = e->stamp;
    for (int i = 0; i < e->cfg.n; i++) {
        if ((e->up & BIT(i)) && election_compare(e->up_stamp[i], newest) > 0) {
            owner = i;
            newest = e->up_stamp[i];
        }
    }
    if (owner < 0) {
        election_trace(e, "node %d: I have the latest database state", e->cfg.ids[e->cfg.self]);
        store(e);
        return;
    }
    election_trace(e, "node %d: node %d has the latest database state", e->cfg.ids[e->cfg.self], e->cfg.ids[owner]);
    election_act(e,
                 (struct election_action){.what = ELECTION_FETCH, .to = owner, .serial = e->epoch, .ms = step_ms(e)});
}

/* The database may have changed although the state has moved on meanwhile. */
void election_fetched(struct election *e, uint64_t serial, bool ok, struct election_stamp stamp)
{
    if (ok)
        e->stamp = stamp;
    if (!current(e, serial))
        return;
    if (ok)
        store(e);
    else
        fail(e, "the latest database state could not be had");
}

void election_stored(struct election *e, uint64_t serial, bool ok)
{
    if (ok)
        e->stamp = e->next;
    if (!current(e, serial))
        return;
    if (ok)
        to_all(e, ELECTION_INIT);
    else
        election_break(e);
}

/* One that fails is left out; the group is made without it if it is still a majority. */
static bool step_ended(struct election *e, int from, uint64_t serial, bool ok)
{
    if (from < 0 || !current(e, serial) || !(e->waiting & BIT(from)))
        return false;
    e->waiting &= ~BIT(from);
    if (!ok) {
        e->up &= ~BIT(from);
        if (e->vain[from] < VAIN_MAX)
            e->vain[from]++;
        election_trace(e, "node %d: node %d is left out of the group", e->cfg.ids[e->cfg.self], e->cfg.ids[from]);
    }
    if (e->waiting)
        return false;
    if (election_enough(e, e->up))
        return true;
    fail(e, "too few nodes could be initialized");
    return false;
}

void election_inited(struct election *e, int from, uint64_t serial, bool ok)
{
    if (step_ended(e, from, serial, ok)) {
        e->generation = e->next.generation;
        to_all(e, ELECTION_READY);
    }
}

/* Whoever was invited in vain is left alone for some checks: looking for it again would only disturb the group. */
static void spare(struct election *e)
{
    for (int i = 0; i < e->cfg.n; i++) {
        int checks = (1 << e->vain[i]) - 2;
        e->spared[i] = (uint8_t)(checks < 0 ? 0 : checks < SPARED_MAX ? checks : SPARED_MAX);
    }
}

void election_readied(struct election *e, int from, uint64_t serial, bool ok)
{
    if (!step_ended(e, from, serial, ok))
        return;
    spare(e);
    e->again = false;
    e->haste = 0;
    election_set_state(e, ELECTION_NORMAL);
    election_set_timer(e, ELECTION_PINGS, e->cfg.master_ms);
    election_ensure_check(e, e->cfg.election_ms);
}
