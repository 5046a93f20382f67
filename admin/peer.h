/* SPDX-License-Identifier: Apache-2.0 */
/* A command-line tool's way to the grid: a runtime of its own and blocking calls on top of it, direct to the registry
   or through a gateway (then every target is announced with addProxies first, glacier2-router 21). */
#ifndef MOULIN_ADMIN_PEER_H
#define MOULIN_ADMIN_PEER_H

#include <moulin/rpc/call.h>
#include <moulin/rpc/runtime.h>
#include <moulin/base/secret.h>

/* How the person proves who he is. */
struct adm_login {
    const char *user; /* NULL: asked for, or "" with a certificate */
    const char *password_file; /* first line is the password; "-" = stdin; NULL: asked for */
    bool certificate; /* log in with the TLS certificate instead */
};

struct adm_peer {
    struct ic_loop *loop; /* owns */
    struct ir_runtime *rt; /* owns */
    struct ib_arena arena; /* results live here until adm_peer_close */
    struct iw_proxy *router; /* gateway, or NULL: direct */
    struct ir_conn *conn; /* to the gateway, or the registry's connection that owns the session; NULL: lost */
    struct ir_conn_hook on_close;
    struct iw_proxy *session; /* what the login gave; NULL: a gateway without a session manager */
    struct iw_identity *routed; /* identities the gateway knows already */
    size_t n_routed, cap_routed;
};

/* Takes the Ice options out of argv and starts the runtime; nothing is contacted yet. */
int adm_peer_open(struct adm_peer *p, int *argc, char **argv, struct ib_err *err) IB_MUST_CHECK;
void adm_peer_close(struct adm_peer *p); /* ends the session politely, frees everything */

/* Connects to the gateway of Ice.Default.Router and creates a session there. Called again after a loss it tries the
   router's endpoints anew. */
int adm_peer_login(struct adm_peer *p, struct ib_str user, const struct ib_secret *password, bool certificate,
                   struct ib_err *err) IB_MUST_CHECK;

/* Without a gateway: an admin session of the registry replica ("" or "Master", or a slave's name) that
   Ice.Default.Locator leads to. */
int adm_peer_login_registry(struct adm_peer *p, const char *replica, struct ib_str user,
                            const struct ib_secret *password, bool certificate, struct ib_err *err) IB_MUST_CHECK;

/* One call, waiting for its end. *out (may be NULL) is the generated …_op_out in the peer's arena. A failure of any
   kind gives a code, and a text that says which exception it was and its reason. */
int adm_invoke(struct adm_peer *p, const struct iw_proxy *prx, const struct iw_op *op, const void *in, const void **out,
               struct ib_err *err) IB_MUST_CHECK;

/* Runs the loop so that heartbeats flow: until ms have passed (-1: no limit), stop says true, or the connection is
 * lost. */
void adm_peer_wait(struct adm_peer *p, int64_t ms, bool (*stop)(void *arg), void *arg);

/* Name and password, from the login options, the file or the terminal (without echo). */
int adm_credentials(const struct adm_login *login, struct ib_arena *arena, struct ib_str *user,
                    struct ib_secret **password, struct ib_err *err) IB_MUST_CHECK;

#endif
