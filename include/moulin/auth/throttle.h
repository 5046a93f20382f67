/* SPDX-License-Identifier: Apache-2.0 */
/* Who may try to log in now? Counts failed logins per source address, per user and per pair of both, and answers each
   new attempt: pass, or come back in so many seconds. Knows no clock and no loop: the time is an argument, milliseconds
   that never go back. Its memory is fixed when it is made. The reasoning is in docs/security.md. */
#ifndef MOULIN_AUTH_THROTTLE_H
#define MOULIN_AUTH_THROTTLE_H

#include <moulin/base/span.h>

struct auth_throttle;

struct auth_throttle_config {
    unsigned failures; /* free for each address, user and pair; > 0 */
    unsigned penalty_max_s; /* penalties double from 1 s up to this; > 0 */
    unsigned forget_s; /* one failure is forgotten each so many seconds; > 0 */
    unsigned entries; /* addresses, users, pairs and known pairs remembered, each; > 0 */
};

/* An IPv6 address (v4: mapped), cut to what one host can choose from: all of a v4 address, the first 64 bits of a v6.
 */
struct auth_source {
    uint8_t bytes[16];
};
/* Of a numeric host, as connections show it. Anything else (in-process) is one source of its own. */
struct auth_source auth_source_of(const char *host);

struct auth_attempt {
    struct auth_source from;
    struct ib_str user; /* borrowed during the call */
    bool certificate; /* its users are other users */
    unsigned failed; /* logins that failed on its connection before */
};

struct auth_admission {
    bool admitted;
    bool known; /* this user has logged in from this address before */
    int wait_s; /* refused: for so long */
};

struct auth_throttle *auth_throttle_new(const struct auth_throttle_config *cfg); /* NULL: out of memory */
void auth_throttle_free(struct auth_throttle *t); /* NULL is fine */

/* Without take it only looks; with it an attempt that passes in spite of a running penalty uses up what allows that. */
struct auth_admission auth_throttle_ask(struct auth_throttle *t, const struct auth_attempt *a, bool take, int64_t now);
/* A verifier has said no, or yes. */
void auth_throttle_failed(struct auth_throttle *t, const struct auth_attempt *a, int64_t now);
void auth_throttle_succeeded(struct auth_throttle *t, const struct auth_attempt *a, int64_t now);
/* Counts a refused attempt of the source. 0: say nothing; otherwise so many were refused since the last answer that
   was not 0, at the earliest interval_ms ago. */
unsigned auth_throttle_refused(struct auth_throttle *t, struct auth_source from, int64_t interval_ms, int64_t now);

#endif
