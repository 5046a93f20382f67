/* SPDX-License-Identifier: Apache-2.0 */
/* Where a logger's messages go: stderr, a file, the system's log. */
#ifndef MOULIN_BASE_LOG_PRIV_H
#define MOULIN_BASE_LOG_PRIV_H

#include <moulin/base/log.h>

struct ib_syslog;

struct ib_log {
    int fd; /* owns unless stderr */
    char *path; /* owns; NULL: no file, or one that is never moved away */
    int64_t size_max; /* of the file at path */
    struct ib_syslog *syslog; /* owns; NULL: messages go to fd */
    ib_log_tap_fn tap;
    void *tap_arg;
    bool in_tap; /* a tap that logs must not come back to itself */
    bool hushed;
    char prefix[];
};

/* Moves the file away when n more bytes would make it larger than it may be, and begins it anew. */
void ib_log_file_room(struct ib_log *log, size_t n);

/* facility: a name as in syslog.h. NULL: no memory, or (err says) no such facility. */
struct ib_syslog *ib_syslog_new(const char *ident, const char *facility, struct ib_err *err);
void ib_syslog_free(struct ib_syslog *s);
/* False: the system's log does not listen. One that is too busy to listen loses the message: nobody waits for it. */
bool ib_syslog_send(struct ib_syslog *s, enum ib_log_kind kind, const char *category, const char *text);

#endif
