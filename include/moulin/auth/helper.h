/* SPDX-License-Identifier: Apache-2.0 */
/* The auth helpers: child processes that do what would stop an event loop (hashing passwords, asking PAM), spoken to
   over socketpairs. They are this same executable started with the hidden role "auth-helper", one kind for hashes and
   one for PAM, each in the sandbox its work allows (docs/security.md). Of each kind a few are started as questions come
   and again whenever one died or hung. The queue before each kind is bounded, every question has a deadline. */
#ifndef MOULIN_AUTH_HELPER_H
#define MOULIN_AUTH_HELPER_H

#include <moulin/base/err.h>
#include <moulin/base/span.h>

struct ic_loop;
struct ib_log;
struct ir_runtime;
struct auth_helper;

#define AUTH_HELPER_ROLE "auth-helper"
#define AUTH_HELPER_WORKERS_MAX 32

enum auth_helper_kind { AUTH_HELPER_HASH, AUTH_HELPER_PAM, AUTH_HELPER_KINDS };

struct auth_helper_config {
    const char *exe; /* NULL: /proc/self/exe; its main must hand the role to auth_helper_main */
    unsigned queue_max; /* questions of one kind that are open; 0 = 256 */
    int deadline_ms; /* for one question, from being asked to its answer; 0 = 15000 */
    unsigned workers; /* children of one kind at most; 0 = 2 */
    bool drop; /* hashing children become uid:gid, which needs root */
    unsigned uid, gid;
    struct ib_log *log; /* borrows; NULL: what a sandbox lacks is not told */
};

struct auth_helper *auth_helper_new(struct ic_loop *loop, const struct auth_helper_config *cfg); /* cfg may be NULL */
/* The same as <prefix>AuthWorkers, AuthTimeout and AuthUser say. */
int auth_helper_configure(struct ir_runtime *rt, const char *prefix, struct auth_helper **out,
                          struct ib_err *err) IB_MUST_CHECK;
void auth_helper_free(struct auth_helper *h); /* kills the children; open questions are forgotten; NULL is fine */

struct auth_helper_answer {
    int code; /* 0, or no answer could be had: IB_ETIMEOUT, IB_EIO, IB_EINIT (the helper or PAM cannot work) */
    bool match; /* with code 0: it is the password */
    const char *text; /* PAM: what was said to the user; with a code: more about it; may be ""; borrows */
};
typedef void (*auth_helper_fn)(void *arg, const struct auth_helper_answer *a);

/* Asks. fn is called once, never before this returns. 0 and *id, or IB_ELIMIT (queue full), IB_EINVAL (something is
   longer than anybody could accept), IB_ENOMEM: then fn is not called. What is given is copied and wiped after use. */
int auth_helper_check(struct auth_helper *h, struct ib_str password, const char *hash, auth_helper_fn fn, void *arg,
                      uint64_t *id) IB_MUST_CHECK;

struct auth_pam_question {
    const char *service;
    const char *directory; /* of the service files; "": the system's */
    const char *host; /* PAM_RHOST; "": none */
    struct ib_str user, password; /* no NUL inside */
};
int auth_helper_check_pam(struct auth_helper *h, const struct auth_pam_question *question, auth_helper_fn fn, void *arg,
                          uint64_t *id) IB_MUST_CHECK;

void auth_helper_cancel(struct auth_helper *h, uint64_t id); /* fn will not be called; unknown ids: nothing */
/* The children of that kind end as soon as they are idle; new ones see new modules and libraries. */
void auth_helper_retire(struct auth_helper *h, enum auth_helper_kind kind);
/* Of the i-th child of that kind, 0 when it does not run: for tests. */
int auth_helper_pid(const struct auth_helper *h, enum auth_helper_kind kind, unsigned i);

/* The child's main: argv[0] is the role. Serves the socket it inherited until its end, then exits. */
_Noreturn void auth_helper_main(int argc, char **argv);

#endif
