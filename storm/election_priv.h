/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the election share. */
#ifndef STORM_ELECTION_PRIV_H
#define STORM_ELECTION_PRIV_H

#include "election.h"

#define BIT(i) (1u << (i))
#define VAIN_MAX 4
#define BROKEN_CHECKS 10

/* The state has changed, and waits for what is under way before that has effect. */
static inline bool election_draining(const struct election *e)
{
    return e->after_drain != 0;
}

void election_act(struct election *e, struct election_action a);
void election_set_timer(struct election *e, enum election_timer timer, int64_t ms); /* -1 stops it */
void election_ensure_check(struct election *e, int64_t ms); /* unless one is scheduled */
void election_set_state(struct election *e, enum election_state state);
void election_trace(struct election *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool election_is_coordinator(const struct election *e); /* of itself at least */
int election_count(uint32_t set);
bool election_enough(const struct election *e, uint32_t members); /* with this node they are a majority */
int64_t election_ask_ms(const struct election *e); /* how long a question may take */
#define ELECTION_ANY (-2)
void election_recover(struct election *e, int64_t generation); /* ELECTION_ANY: whatever it is */
void election_pin(struct election *e);
void election_unpin(struct election *e);
void election_break(struct election *e); /* election_group.c: this node cannot write */
void election_make_group(struct election *e); /* election_group.c: the invitations have been answered, or time is over */
void election_ask_master(struct election *e); /* election_member.c: the timer */
void election_updates_reset(struct election *e); /* election_update.c */
void election_ping(struct election *e);

#endif
