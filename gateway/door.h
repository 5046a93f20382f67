/* SPDX-License-Identifier: Apache-2.0 */
/* The door before the verifiers: who is throttled is told so at once, and of the others only so many are verified at
   the same time (docs/security.md). With the throttle switched off everybody passes, as in Glacier2. */
#ifndef GATEWAY_DOOR_H
#define GATEWAY_DOOR_H

#include <moulin/auth/throttle.h>
#include <moulin/base/list.h>
#include <moulin/net/loop.h>

struct gw_router;
struct gw_client;
struct gw_session;

enum gw_at_door { GW_DOOR_AWAY, GW_DOOR_LINE, GW_DOOR_CHECKING };

struct gw_door {
    struct ib_list checking, line; /* of sessions' door_node: being verified, and waiting for it in order of arrival */
    unsigned n_line;
    struct ic_deferred kick;
};

void gw_door_init(struct gw_router *r);
void gw_door_fini(struct gw_router *r);

/* Before anything is done for the attempt. NULL, or what to tell the client (in buf). */
const char *gw_door_turn_away(struct gw_client *c, struct ib_str user, bool ssl, char *buf, size_t cap);
/* The session's login: verified now, later, or refused; may free the session. */
void gw_door_enter(struct gw_session *s);
/* Its verifier has said yes or no: AUTH_FAILED is neither, and not reported. */
void gw_door_report(struct gw_session *s, bool accepted);
/* It is verified, or gone: the next may come. Harmless when it never entered. */
void gw_door_leave(struct gw_session *s);

#endif
