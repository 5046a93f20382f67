/* SPDX-License-Identifier: Apache-2.0 */
/* The auth helper: a child process that does what would stop an event loop (hashing passwords), spoken to over a
   socketpair. It is this same executable started with the hidden role "auth-helper"; it opens no files, is started at
   the first question and again whenever it died or hung. The queue before it is bounded, every question has a deadline.
 */
#ifndef MOULIN_AUTH_HELPER_H
#define MOULIN_AUTH_HELPER_H

#include <moulin/base/err.h>
#include <moulin/base/span.h>

struct ic_loop;
struct auth_helper;

#define AUTH_HELPER_ROLE "auth-helper"

struct auth_helper_config {
    const char *exe; /* NULL: /proc/self/exe; its main must hand the role to auth_helper_main */
    unsigned queue_max; /* questions waiting; 0 = 256 */
    int deadline_ms; /* for one question, from being asked to its answer; 0 = 15000 */
};

struct auth_helper *auth_helper_new(struct ic_loop *loop, const struct auth_helper_config *cfg); /* cfg may be NULL */
void auth_helper_free(struct auth_helper *h); /* kills the child; open questions are forgotten; NULL is fine */

/* code 0: match says whether the password is the hash's. IB_ETIMEOUT, IB_EIO: no answer could be had. */
typedef void (*auth_helper_fn)(void *arg, int code, bool match);
/* Asks. fn is called once, never before this returns. 0 and *id, or IB_ELIMIT (queue full), IB_EINVAL (password longer
   than any scheme takes, hash too long), IB_ENOMEM: then fn is not called. The password is copied and wiped after use.
 */
int auth_helper_check(struct auth_helper *h, struct ib_str password, const char *hash, auth_helper_fn fn, void *arg,
                      uint64_t *id) IB_MUST_CHECK;
void auth_helper_cancel(struct auth_helper *h, uint64_t id); /* fn will not be called; unknown ids: nothing */
int auth_helper_pid(const struct auth_helper *h); /* of the child, 0 when none runs: for tests and status */

/* The child's main: serves the socket it inherited until its end, then exits. */
_Noreturn void auth_helper_main(void);

#endif
