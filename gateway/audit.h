/* SPDX-License-Identifier: Apache-2.0 */
/* What the gateway writes to the audit log (Moulin.Gateway.AuditLog), and the lines about refusals in the ordinary one.
   Whatever a peer can provoke at will is told a bounded number of times. */
#ifndef GATEWAY_AUDIT_H
#define GATEWAY_AUDIT_H

#include <moulin/auth/audit.h>
#include <moulin/auth/throttle.h>

struct ir_conn;
struct gw_router;
struct gw_client;
struct gw_session;

enum gw_limit {
    GW_LIMIT_CONNECTIONS,
    GW_LIMIT_UNAUTHENTICATED,
    GW_LIMIT_LOGIN_TIMEOUT,
    GW_LIMIT_LINE,
    GW_LIMIT_SESSIONS,
    GW_LIMIT_SESSIONS_PER_USER,
    GW_LIMIT_MAX
};

/* At most so many are told in each interval; of the others the number. */
struct gw_tally {
    int64_t since;
    unsigned told, hidden;
};

/* What a session did, for the line about its end. */
struct gw_traffic {
    uint64_t bytes_in, bytes_out; /* of its connection when it began */
    uint64_t requests, callbacks; /* forwarded */
    uint64_t refused; /* proxies and requests, by filters */
    struct gw_tally tally;
};

struct gw_audit {
    struct auth_audit *log; /* worker 0 owns it, the others borrow; NULL: none */
    struct gw_tally limits[GW_LIMIT_MAX], throttled, refusals, losses;
};

/* Why a session ends: gw_end_words has the words for it. */
enum gw_end {
    GW_END_CLIENT,
    GW_END_CONTROL,
    GW_END_EXPIRED,
    GW_END_LOST,
    GW_END_PING,
    GW_END_LIFETIME,
    GW_END_SHUTDOWN,
    GW_END_OPERATOR,
    GW_END_MAX
};
struct gw_end_words {
    const char *trace, *audit;
};
extern const struct gw_end_words gw_end_words[GW_END_MAX];

int gw_audit_open(struct gw_router *r, struct ib_err *err) IB_MUST_CHECK;
void gw_audit_close(struct gw_router *r);
void gw_audit_reopen(struct gw_router *r); /* SIGHUP */

/* What operators call the session by: no secret, it opens nothing. buf of GW_SESSION_ID_MAX. */
#define GW_SESSION_ID_MAX 32
const char *gw_session_id(const struct gw_session *s, char *buf);

void gw_audit_login(struct gw_session *s, bool accepted, struct ib_str reason);
/* Refused without being asked who it is. */
void gw_audit_turned_away(struct gw_client *c, struct ib_str user, bool ssl, const char *reason);
void gw_audit_throttled(struct gw_router *r, struct auth_source from, const char *host, struct ib_str user, int wait_s);
void gw_audit_session_refused(struct gw_session *s, const char *reason);
void gw_audit_session_created(struct gw_session *s);
void gw_audit_session_ended(struct gw_session *s, enum gw_end why);
/* A request or a proxy offered that the named filter rejected. */
void gw_audit_proxy_refused(struct gw_session *s, const char *filter, struct ib_str what);
void gw_audit_limit(struct gw_router *r, enum gw_limit limit, struct ir_conn *conn); /* conn may be NULL */

#endif
