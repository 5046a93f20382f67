/* SPDX-License-Identifier: Apache-2.0 */
/* What bounds clients: connections, time without a session, sessions, and failed logins (Moulin.Gateway.*). */
#ifndef GATEWAY_LIMITS_H
#define GATEWAY_LIMITS_H

#include <moulin/base/err.h>

struct ir_conn;
struct ir_properties;
struct gw_router;
struct gw_client;
struct gw_session;

/* 0 = no limit, or off. */
struct gw_limits {
    int connections, unauthenticated, sessions, sessions_per_user;
    int login_timeout_s, session_lifetime_s;
    int throttle_failures, throttle_penalty_max_s, throttle_forget_s, throttle_entries, throttle_concurrent;
};

/* acm_timeout_s: of the client adapter, which the login timeout does not fall below unless it is set. */
int gw_limits_read(struct gw_limits *l, const struct ir_properties *p, int acm_timeout_s,
                   struct ib_err *err) IB_MUST_CHECK;

/* From now on these count: guests and sessions get their time anew. The throttle's own do not change while it runs. */
void gw_limits_use(struct gw_router *r, const struct gw_limits *fresh);

/* A guest is a client without a session. */
bool gw_limits_let_in(struct gw_router *r, struct ir_conn *conn); /* one more; false: it must go */
void gw_limits_let_out(struct gw_router *r); /* one that was let in is gone */
void gw_guest_add(struct gw_client *c);
void gw_guest_remove(struct gw_client *c); /* harmless when it is none */
void gw_guest_on_timer(void *router);

/* NULL: the session counts from now on; or why the user that was verified may not have it. */
const char *gw_limits_refuse_session(struct gw_session *s);
void gw_limits_forget_session(struct gw_session *s); /* harmless when it does not count */

#endif
