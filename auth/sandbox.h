/* SPDX-License-Identifier: Apache-2.0 */
/* What an auth helper process may still do once it serves: docs/security.md lists it. */
#ifndef AUTH_SANDBOX_H
#define AUTH_SANDBOX_H

#include <stddef.h>
#include <sys/types.h>

#include <moulin/auth/helper.h>

struct auth_sandbox {
    enum auth_helper_kind kind;
    int fd; /* the one socket it serves */
    bool drop; /* become uid:gid, without other groups */
    uid_t uid;
    gid_t gid;
};

/* Gives up, for this process and for good, what its kind does not need. missing names what this kernel cannot do (""
   when it can all): the rest is in force. An error: the process must not serve. */
int auth_sandbox_enter(const struct auth_sandbox *s, char *missing, size_t cap, struct ib_err *err) IB_MUST_CHECK;

/* The part of it that takes every file away, by itself: false where the kernel cannot. Needs no_new_privs. */
bool auth_sandbox_landlock(void);

#endif
