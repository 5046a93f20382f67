/* SPDX-License-Identifier: Apache-2.0 */
/* States, checks, invitations: who belongs to whom (icestorm 8.4). What follows once a group has gathered is in
   election_group.c. */
#include "election_priv.h"

#include <moulin/base/sm.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASTE_MS 100 /* then twice as long, and so on up to the election timeout */
#define HASTE_MAX 10
#define JUMP_MAX (1 << 20) /* groups that others may have made without us */

enum after_drain { GO_ON, AFTER_RECOVER, AFTER_MERGE, AFTER_JOIN };

static const struct ib_sm_state states[ELECTION_STATES] = {
    [ELECTION_INACTIVE] = {"inactive", IB_SM_BIT(ELECTION_ELECTION)},
    [ELECTION_ELECTION] = {"election", IB_SM_BIT(ELECTION_REORGANIZATION)},
    [ELECTION_REORGANIZATION] = {"reorganization", IB_SM_BIT(ELECTION_NORMAL) | IB_SM_BIT(ELECTION_INACTIVE)},
    [ELECTION_NORMAL] = {"normal", IB_SM_BIT(ELECTION_ELECTION) | IB_SM_BIT(ELECTION_INACTIVE)},
};

/* --- small things ------------------------------------------------------------------------------------------------- */

int election_count(uint32_t set)
{
    return __builtin_popcount(set);
}

bool election_enough(const struct election *e, uint32_t members)
{
    return election_count(members) >= e->cfg.n / 2;
}

int64_t election_ask_ms(const struct election *e)
{
    return e->cfg.response_ms < e->cfg.master_ms ? e->cfg.response_ms : e->cfg.master_ms;
}

int election_compare(struct election_stamp a, struct election_stamp b)
{
    if (a.generation != b.generation)
        return a.generation < b.generation ? -1 : 1;
    return (a.iteration > b.iteration) - (a.iteration < b.iteration);
}

int election_index(const struct election *e, int id)
{
    for (int i = 0; i < e->cfg.n; i++)
        if (e->cfg.ids[i] == id)
            return i;
    return -1;
}

void election_act(struct election *e, struct election_action a)
{
    if (e->next_action > 0) { /* taken ones make room */
        e->n_actions -= e->next_action;
        memmove(e->actions, e->actions + e->next_action, e->n_actions * sizeof a);
        e->next_action = 0;
    }
    if (e->n_actions == ELECTION_ACTIONS_MAX) { /* one event makes far fewer, and all are taken before the next */
        fprintf(stderr, "election: actions are not taken\n");
        abort();
    }
    e->actions[e->n_actions++] = a;
}

bool election_next(struct election *e, struct election_action *out)
{
    if (e->next_action == e->n_actions) {
        e->next_action = e->n_actions = 0;
        return false;
    }
    *out = e->actions[e->next_action++];
    return true;
}

void election_set_timer(struct election *e, enum election_timer timer, int64_t ms)
{
    if (ms < 0 && !e->scheduled[timer])
        return;
    e->scheduled[timer] = ms >= 0;
    election_act(e, (struct election_action){.what = ELECTION_TIMER, .timer = timer, .ms = ms});
}

void election_ensure_check(struct election *e, int64_t ms)
{
    if (!e->scheduled[ELECTION_CHECK])
        election_set_timer(e, ELECTION_CHECK, ms);
}

void election_trace(struct election *e, const char *fmt, ...)
{
    char text[256];
    va_list args;
    if (!e->cfg.trace)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    e->cfg.trace(e->cfg.arg, text);
}

/* The one writer of the state. */
void election_set_state(struct election *e, enum election_state state)
{
    uint8_t before = e->state;
    if (state == before)
        return;
    ib_sm_move(states, ELECTION_STATES, &e->state, state);
    e->epoch++;
    election_trace(e, "node %d: transition from %s to %s", e->cfg.ids[e->cfg.self], states[before].name,
                   states[state].name);
    if (state == ELECTION_NORMAL)
        election_act(e, (struct election_action){.what = ELECTION_OPENED});
    else if (before == ELECTION_NORMAL)
        election_act(e, (struct election_action){.what = ELECTION_CLOSED});
}

static bool electing(const struct election *e)
{
    return e->state == ELECTION_ELECTION || e->state == ELECTION_REORGANIZATION;
}

bool election_is_coordinator(const struct election *e)
{
    return !electing(e) && e->coord == e->cfg.self && !e->broken;
}

bool election_leads(const struct election *e)
{
    return e->state == ELECTION_NORMAL && e->coord == e->cfg.self;
}

bool election_gathers(const struct election *e, const char *group)
{
    return e->state == ELECTION_ELECTION && e->coord == e->cfg.self && !strcmp(e->group, group);
}

bool election_has_member(const struct election *e, const char *group, int index)
{
    return index >= 0 && e->coord == e->cfg.self && (e->up & BIT(index)) && !strcmp(e->group, group);
}

/* --- groups come and go ------------------------------------------------------------------------------------------- */

static void enter(struct election *e, int coord, const char *group)
{
    e->coord = coord;
    snprintf(e->group, sizeof e->group, "%s", group);
    e->generation = -1;
    e->up = 0;
    e->missed = 0;
    e->inviter = -1;
    e->epoch++;
    e->membership++;
    election_updates_reset(e);
}

/* "<id>:<UUID>". A number makes it a UUID of version 8, which begins with the 48 bits of it. */
static void name_group(struct election *e, int64_t ballot, char out[ELECTION_NAME_MAX])
{
    char uuid[37], digits[13];
    e->cfg.uuid(e->cfg.arg, uuid);
    if (ballot > 0) {
        snprintf(digits, sizeof digits, "%012llX", (unsigned long long)ballot & 0xffffffffffff);
        memcpy(uuid, digits, 8);
        memcpy(uuid + 9, digits + 8, 4);
        uuid[14] = '8';
    }
    snprintf(out, ELECTION_NAME_MAX, "%d:%s", e->cfg.ids[e->cfg.self], uuid);
}

int64_t election_ballot(const char *group)
{
    const char *uuid = strchr(group, ':');
    unsigned high, low;
    int end = 0;
    if (!uuid || strlen(++uuid) != 36 || uuid[14] != '8' || sscanf(uuid, "%8x-%4x-%n", &high, &low, &end) != 2 ||
        end != 14)
        return 0;
    return (int64_t)((uint64_t)high << 16 | low);
}

static void alone(struct election *e, int64_t ballot)
{
    char name[ELECTION_NAME_MAX];
    name_group(e, ballot, name);
    enter(e, e->cfg.self, name);
}

static void promise(struct election *e, int64_t ballot)
{
    election_act(e, (struct election_action){
                        .what = ELECTION_PROMISE, .to = e->cfg.self, .serial = e->epoch, .ms = -1, .number = ballot});
}

/* Whoever has just lost its group looks for the others at once: they have, too, or will have in a moment. */
static int64_t next_check_ms(struct election *e)
{
    if (e->state != ELECTION_INACTIVE || e->haste >= HASTE_MAX)
        return e->cfg.election_ms;
    int64_t ms = (int64_t)HASTE_MS << e->haste++;
    return ms < e->cfg.election_ms ? ms : e->cfg.election_ms;
}

static void continue_recover(struct election *e)
{
    alone(e, 0);
    election_set_timer(e, ELECTION_MERGE, -1);
    election_set_timer(e, ELECTION_CONTINUE, -1);
    election_set_timer(e, ELECTION_MASTER, -1);
    election_set_timer(e, ELECTION_PINGS, -1);
    election_set_timer(e, ELECTION_CHECK, next_check_ms(e));
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void continue_merge(struct election *e)
{
    uint32_t invited = (e->merge_set | e->up) & ~BIT(e->cfg.self);
    alone(e, 1 + larger(e->stamp.generation, larger(e->promised, e->floor)));
    e->issued = invited;
    e->accepted = 0;
    election_set_timer(e, ELECTION_PINGS, -1);
    promise(e, election_ballot(e->group));
}

static void invite(struct election *e, uint32_t set)
{
    for (int i = 0; i < e->cfg.n; i++)
        if (set & BIT(i))
            election_act(e, (struct election_action){.what = ELECTION_INVITE, .to = i});
}

static void continue_join(struct election *e)
{
    bool led = e->coord == e->cfg.self;
    char group[ELECTION_NAME_MAX];
    snprintf(group, sizeof group, "%s", e->invite_group);
    e->forwarded = led ? e->up & ~BIT(e->inviter) : 0;
    enter(e, e->inviter, group);
    election_set_timer(e, ELECTION_PINGS, -1);
    invite(e, e->forwarded);
    election_set_state(e, ELECTION_REORGANIZATION);
    election_set_timer(e, ELECTION_MASTER, e->cfg.master_ms); /* anew: not within the handshake */
    int64_t ballot = election_ballot(e->group);
    if (ballot > 0)
        promise(e, ballot);
    else
        election_act(e, (struct election_action){.what = ELECTION_ACCEPT, .to = e->coord, .set = e->forwarded});
}

void election_promised(struct election *e, uint64_t serial, int64_t number, bool ok)
{
    if (ok && number > e->promised)
        e->promised = number;
    if (serial != e->epoch || !electing(e) || election_draining(e))
        return;
    bool mine = e->coord == e->cfg.self;
    if (!ok) {
        election_set_state(e, ELECTION_REORGANIZATION);
        election_break(e);
    } else if (mine) {
        invite(e, e->issued);
        election_set_timer(e, ELECTION_CONTINUE, e->issued ? e->cfg.response_ms : 0);
    } else {
        election_act(e, (struct election_action){.what = ELECTION_ACCEPT, .to = e->coord, .set = e->forwarded});
    }
}

static void drained(struct election *e)
{
    enum after_drain next = e->after_drain;
    e->after_drain = GO_ON;
    if (next == AFTER_RECOVER)
        continue_recover(e);
    else if (next == AFTER_MERGE)
        continue_merge(e);
    else if (next == AFTER_JOIN)
        continue_join(e);
}

/* What is under way ends first: it belongs to the group as it was. */
static void drain(struct election *e, enum after_drain next)
{
    e->after_drain = (uint8_t)next;
    if (!e->pins)
        drained(e);
}

void election_pin(struct election *e)
{
    e->pins++;
}

void election_unpin(struct election *e)
{
    if (--e->pins == 0 && election_draining(e))
        drained(e);
}

void election_recover(struct election *e, int64_t generation)
{
    bool specific = generation != ELECTION_ANY;
    if ((specific && generation != e->generation) || e->state == ELECTION_ELECTION || election_draining(e) ||
        (specific && e->state == ELECTION_REORGANIZATION))
        return;
    election_set_state(e, ELECTION_INACTIVE);
    drain(e, AFTER_RECOVER);
}

/* --- looking for others ------------------------------------------------------------------------------------------- */

/* Only who is on its own asks: it has come back, and need not wait for the next check to be found. One check is brought
   forward, then one comes when it is due: whoever asks all the time changes little. */
bool election_asked(struct election *e)
{
    if (election_leads(e) && e->scheduled[ELECTION_CHECK] && !e->hint) {
        e->hint = 1;
        election_set_timer(e, ELECTION_CHECK, 0);
    }
    return election_is_coordinator(e);
}

static void ask(struct election *e, uint32_t set)
{
    e->check_serial = e->epoch;
    e->coordinators = 0;
    e->asked = set;
    for (int i = 0; i < e->cfg.n; i++)
        if (set & BIT(i))
            election_act(
                e, (struct election_action){
                       .what = ELECTION_ASK_COORDINATOR, .to = i, .serial = e->check_serial, .ms = election_ask_ms(e)});
}

static void check(struct election *e)
{
    e->hint = e->hint == 1 ? 2 : 0;
    if (electing(e) || e->coord != e->cfg.self || election_draining(e)) {
        election_set_timer(e, ELECTION_CHECK, e->cfg.election_ms);
        return;
    }
    if (e->broken && !election_leads(e)) {
        e->broken--;
        election_set_timer(e, ELECTION_CHECK, e->cfg.election_ms);
        return;
    }
    uint32_t set = 0;
    for (int i = 0; i < e->cfg.n; i++) {
        if (i != e->cfg.self && e->spared[i] == 0)
            set |= BIT(i);
        else if (i != e->cfg.self)
            e->spared[i]--;
    }
    e->waited = false;
    ask(e, set);
    if (!set)
        election_set_timer(e, ELECTION_CHECK, next_check_ms(e));
}

static void checked(struct election *e)
{
    if (!e->coordinators) {
        election_set_timer(e, ELECTION_CHECK, next_check_ms(e));
        return;
    }
    int highest = e->cfg.n - 1;
    while (!(e->coordinators & BIT(highest)))
        highest--;
    int64_t later = e->cfg.ids[highest] - e->cfg.ids[e->cfg.self];
    e->merge_set = e->coordinators;
    e->waits = later >= 0 && !e->waited;
    election_set_timer(e, ELECTION_MERGE, e->waits ? e->cfg.response_ms * (1 + later) : 0);
}

static void join(struct election *e);

void election_invited(struct election *e, int from, uint64_t serial, bool ok, bool yes)
{
    if (from < 0)
        return;
    e->inviters &= ~BIT(from);
    if (serial != e->invite_serial || from != e->inviter)
        return;
    if (!ok || !yes || e->epoch != serial) {
        election_trace(e, "node %d: invitation dropped, %s", e->cfg.ids[e->cfg.self],
                       ok ? "its sender does not know it" : "its sender cannot be reached");
        e->inviter = -1;
        return;
    }
    join(e);
}

void election_coordinator(struct election *e, int from, uint64_t serial, bool ok, bool yes)
{
    if (from < 0 || serial != e->check_serial || !(e->asked & BIT(from)))
        return;
    e->asked &= ~BIT(from);
    if (ok && yes)
        e->coordinators |= BIT(from);
    if (e->asked)
        return;
    bool moved = electing(e) || e->coord != e->cfg.self || election_draining(e) || serial != e->epoch;
    e->check_serial = 0;
    if (moved)
        election_ensure_check(e, e->cfg.election_ms);
    else
        checked(e);
}

static void merge(struct election *e)
{
    if (electing(e) || e->coord != e->cfg.self || election_draining(e)) {
        election_ensure_check(e, e->cfg.election_ms);
        return;
    }
    if (e->waits) { /* others went first: who belongs to them by now is not called away */
        e->waits = false;
        e->waited = true;
        ask(e, e->merge_set);
        return;
    }
    election_set_state(e, ELECTION_ELECTION);
    drain(e, AFTER_MERGE);
}

/* --- invitations -------------------------------------------------------------------------------------------------- */

static void join(struct election *e)
{
    election_set_timer(e, ELECTION_MERGE, -1);
    election_set_state(e, ELECTION_ELECTION);
    drain(e, AFTER_JOIN);
}

/* An invitation is followed when its sender can be reached: else a node that can be heard, but not told, would break up
   a healthy group again and again. And when its sender says that it is its own: anybody can send one, and the number in
   it is promised for ever. The latest counts: one who cannot be reached, and takes its time to show it, keeps nobody
   else from inviting. */
void election_invitation(struct election *e, int from, const char *group)
{
    if (from < 0 || from == e->cfg.self || electing(e) || election_draining(e) || (e->inviters & BIT(from)) ||
        e->broken) {
        election_trace(e, "node %d: invitation ignored", e->cfg.ids[e->cfg.self]);
        return;
    }
    snprintf(e->invite_group, sizeof e->invite_group, "%s", group);
    int64_t ballot = election_ballot(group);
    if (ballot > 0 && ballot <= e->promised) {
        election_act(e, (struct election_action){.what = ELECTION_DECLINE, .to = from});
        return;
    }
    e->inviter = from;
    e->inviters |= BIT(from);
    e->invite_serial = e->epoch;
    election_act(e,
                 (struct election_action){
                     .what = ELECTION_ASK_INVITED, .to = from, .serial = e->invite_serial, .ms = election_ask_ms(e)});
}

void election_accept(struct election *e, int from, const char *group, uint32_t forwarded, struct election_stamp stamp,
                     int max)
{
    if (from < 0 || from == e->cfg.self || e->state != ELECTION_ELECTION || election_draining(e) ||
        e->coord != e->cfg.self || strcmp(e->group, group) != 0)
        return;
    if (stamp.generation > election_ballot(e->group) + JUMP_MAX)
        return; /* made up: numbers are finite, and one that is promised is used up */
    if (stamp.iteration >= 0) { /* else it has declined */
        e->up |= BIT(from);
        e->up_stamp[from] = stamp;
    }
    e->floor = larger(e->floor, stamp.generation);
    e->max = max > e->max && max <= e->cfg.n ? max : e->max;
    e->issued |= forwarded & ~BIT(e->cfg.self);
    e->accepted |= BIT(from);
    bool all = election_count(e->up) == e->cfg.n - 1 || e->issued == e->accepted;
    if (all && e->scheduled[ELECTION_CONTINUE])
        election_set_timer(e, ELECTION_CONTINUE, 0);
}

/* Somebody knows a number that is not lower than ours: once more at once, then at leisure. */
static bool outnumbered(struct election *e)
{
    int64_t ballot = election_ballot(e->group);
    bool joined = false;
    for (int i = 0; i < e->cfg.n; i++)
        joined = joined || ((e->up & BIT(i)) && e->up_stamp[i].generation >= ballot);
    if (!joined && (election_enough(e, e->up) || e->floor < ballot))
        return false;
    uint32_t set = e->issued;
    bool again = e->again;
    election_recover(e, ELECTION_ANY);
    e->again = !again;
    e->merge_set = set;
    if (!again)
        election_set_timer(e, ELECTION_MERGE, 0);
    return true;
}

static void gathered(struct election *e)
{
    if (e->state != ELECTION_ELECTION || election_draining(e) || e->coord != e->cfg.self)
        return;
    for (int i = 0; i < e->cfg.n; i++) {
        if (e->up & BIT(i))
            e->vain[i] = 0;
        else if ((e->issued & BIT(i)) && e->vain[i] < VAIN_MAX)
            e->vain[i]++;
    }
    election_set_state(e, ELECTION_REORGANIZATION);
    if (!outnumbered(e))
        election_make_group(e);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

void election_timer(struct election *e, enum election_timer timer)
{
    if (!e->scheduled[timer])
        return;
    e->scheduled[timer] = false;
    switch (timer) {
    case ELECTION_CHECK:
        check(e);
        break;
    case ELECTION_MERGE:
        merge(e);
        break;
    case ELECTION_CONTINUE:
        gathered(e);
        break;
    case ELECTION_MASTER:
        election_ask_master(e);
        break;
    case ELECTION_PINGS:
        election_ping(e);
        break;
    case ELECTION_TIMERS:
        break;
    }
}

void election_init(struct election *e, const struct election_config *cfg, struct election_stamp stamp, int64_t promised)
{
    memset(e, 0, sizeof *e);
    e->cfg = *cfg;
    e->stamp = stamp;
    e->promised = promised;
    e->inviter = -1;
    e->epoch = 1;
    alone(e, 0);
}

void election_start(struct election *e)
{
    e->haste = HASTE_MAX; /* nothing was lost */
    int64_t ms = 2000 * ((int64_t)e->cfg.n - e->cfg.ids[e->cfg.self]);
    election_set_timer(e, ELECTION_CHECK, ms > 0 ? ms : 0);
    if (ms > 0) /* who leads a group hears that we are there; the answers are for the check */
        for (int i = 0; i < e->cfg.n; i++)
            if (i != e->cfg.self)
                election_act(
                    e, (struct election_action){.what = ELECTION_ASK_COORDINATOR, .to = i, .ms = election_ask_ms(e)});
}
