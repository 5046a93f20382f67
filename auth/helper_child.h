/* SPDX-License-Identifier: Apache-2.0 */
/* One auth helper process as its parent sees it: a socket, an event, a pid. */
#ifndef AUTH_HELPER_CHILD_H
#define AUTH_HELPER_CHILD_H

#include <event2/event.h>
#include <stdbool.h>
#include <sys/types.h>

#include <moulin/auth/helper.h>
#include <moulin/net/loop.h>

/* Killed children until they are dead: one in an uninterruptible wait must not stop the loop. */
#define REAPER_MAX (2 * AUTH_HELPER_WORKERS_MAX * AUTH_HELPER_KINDS)
struct helper_reaper {
    struct ic_timer timer;
    pid_t pids[REAPER_MAX];
    unsigned n;
};

struct helper_child {
    pid_t pid; /* 0 = none runs */
    int fd;
    struct event *readable; /* owns */
};

struct helper_launch {
    struct ic_loop *loop;
    struct helper_reaper *reaper;
    const char *exe;
    enum auth_helper_kind kind;
    bool drop;
    unsigned uid, gid;
};

void helper_reaper_init(struct helper_reaper *r, struct ic_loop *loop);
void helper_reaper_fini(struct helper_reaper *r);

/* on_readable is called with arg for datagrams and for the child's end. */
int helper_child_start(struct helper_child *c, const struct helper_launch *l, event_callback_fn on_readable,
                       void *arg) IB_MUST_CHECK;
void helper_child_stop(struct helper_child *c, struct helper_reaper *r); /* kills it; none runs: nothing */

/* The word for the kind in the child's argv. */
const char *helper_kind_name(enum auth_helper_kind kind);

#endif
