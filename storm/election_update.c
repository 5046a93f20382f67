/* SPDX-License-Identifier: Apache-2.0 */
/* An active coordinator's members: whether they are there, and what a majority of them has stored (icestorm 8.6). One
   update (of any number of iterations) is under way at a time. */
#include "election_priv.h"

enum update_state { IDLE, PROBING, COMMITTING, REPLICATING };

void election_updates_reset(struct election *e)
{
    e->ping_waiting = e->ping_failed = 0;
}

static void leave_out(struct election *e, uint32_t set)
{
    for (int i = 0; i < e->cfg.n; i++)
        if (e->up & set & BIT(i))
            election_trace(e, "node %d: node %d is gone", e->cfg.ids[e->cfg.self], e->cfg.ids[i]);
    e->up &= ~set;
}

static void ping_all(struct election *e, int64_t ms)
{
    e->ping_serial++;
    e->ping_waiting = e->up;
    e->ping_failed = 0;
    for (int i = 0; i < e->cfg.n; i++)
        if (e->up & BIT(i))
            election_act(
                e, (struct election_action){.what = ELECTION_ASK_PING, .to = i, .serial = e->ping_serial, .ms = ms});
}

/* --- updates ------------------------------------------------------------------------------------------------------ */

static void end_update(struct election *e)
{
    e->update = IDLE;
    election_unpin(e);
}

static void probed(struct election *e)
{
    leave_out(e, e->ping_failed);
    bool leads = election_leads(e);
    if (leads && election_enough(e, e->up)) {
        e->update = COMMITTING;
        e->update_serial++;
        election_act(e, (struct election_action){.what = ELECTION_COMMIT, .serial = e->update_serial, .ms = -1});
        return;
    }
    end_update(e);
    if (leads)
        election_recover(e, ELECTION_ANY);
}

void election_want(struct election *e)
{
    if (e->update != IDLE || !election_leads(e))
        return;
    e->update = PROBING;
    election_pin(e);
    ping_all(e, election_ask_ms(e));
    if (!e->ping_waiting)
        probed(e);
}

static void replicated(struct election *e)
{
    bool good = election_enough(e, e->up), leads = election_leads(e);
    election_act(e, (struct election_action){.what = ELECTION_SETTLED, .serial = e->update_serial, .good = good});
    end_update(e);
    if (!good && leads)
        election_recover(e, ELECTION_ANY);
}

/* The state may be about to change: it waits for us, and whoever confirms is still in our group. */
void election_committed(struct election *e, uint64_t serial, int64_t n)
{
    if (e->update != COMMITTING || serial != e->update_serial)
        return;
    if (n == 0) {
        end_update(e);
        return;
    }
    e->stamp.iteration += n;
    e->update = REPLICATING;
    e->update_waiting = e->up;
    for (int i = 0; i < e->cfg.n; i++)
        if (e->up & BIT(i))
            election_act(e, (struct election_action){
                                .what = ELECTION_REPLICATE, .to = i, .serial = serial, .ms = e->cfg.response_ms});
    if (!e->update_waiting)
        replicated(e);
}

void election_replicated(struct election *e, int from, uint64_t serial, bool ok)
{
    if (from < 0 || e->update != REPLICATING || serial != e->update_serial || !(e->update_waiting & BIT(from)))
        return;
    e->update_waiting &= ~BIT(from);
    if (!ok)
        leave_out(e, BIT(from));
    if (!e->update_waiting)
        replicated(e);
}

/* --- pings -------------------------------------------------------------------------------------------------------- */

/* Two rounds follow each other at once when one misses somebody: all within two master timeouts. */
static void ping_idle(struct election *e)
{
    int64_t half = e->cfg.master_ms / 2;
    ping_all(e, half < election_ask_ms(e) ? half : election_ask_ms(e));
}

/* The timer: an idle coordinator, too, notices that it is alone. Before an update there are pings of its own. A round
   that is not answered yet is not begun again: its failures would never be counted. */
void election_ping(struct election *e)
{
    if (!election_leads(e))
        return;
    election_set_timer(e, ELECTION_PINGS, e->cfg.master_ms);
    if (e->update == IDLE && !e->ping_waiting)
        ping_idle(e);
}

static void pinged_all(struct election *e)
{
    uint32_t twice = e->missed & e->ping_failed;
    e->missed = e->ping_failed;
    leave_out(e, twice);
    if (election_leads(e) && !election_enough(e, e->up)) {
        election_trace(e, "node %d: not a majority any more", e->cfg.ids[e->cfg.self]);
        election_recover(e, ELECTION_ANY);
    } else if (election_leads(e) && (e->missed & e->up)) {
        ping_idle(e);
    }
}

void election_pinged(struct election *e, int from, uint64_t serial, bool ok)
{
    if (from < 0 || serial != e->ping_serial || !(e->ping_waiting & BIT(from)))
        return;
    e->ping_waiting &= ~BIT(from);
    if (!ok)
        e->ping_failed |= BIT(from);
    if (e->ping_waiting)
        return;
    if (e->update == PROBING)
        probed(e);
    else
        pinged_all(e);
}
