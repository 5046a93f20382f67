/* SPDX-License-Identifier: Apache-2.0 */
/* The audit log: one JSON object a line, to a file, the journal or stderr. Events are queued (bounded) and written by a
   thread of its own, so that a slow disk delays no event loop; what finds the queue full, or cannot be written, is
   counted, and the log itself says how many are missing. */
#ifndef MOULIN_AUTH_AUDIT_H
#define MOULIN_AUTH_AUDIT_H

#include <moulin/base/err.h>
#include <moulin/base/span.h>

struct auth_audit;

#define AUTH_AUDIT_TEXT_MAX 1024 /* bytes of one text; the rest is cut and shown as "..." */

struct auth_audit_config {
    const char *target; /* "journal", "stderr" or the path of a file, which is made with mode 0600 */
    const char *program; /* SYSLOG_IDENTIFIER for the journal */
    const char *journal; /* its socket; NULL: the system's */
    size_t queue_max; /* bytes waiting to be written; 0 = 1 MiB */
};

/* One member of an event's object. Names are literals that need no escaping; a field without one is left out. */
struct auth_audit_field {
    const char *name;
    struct ib_str text; /* any bytes: what is no UTF-8 becomes U+FFFD */
    bool is_number;
    int64_t number;
};
#define AUTH_AUDIT_TEXT(field, value) ((struct auth_audit_field){.name = (field), .text = (value)})
#define AUTH_AUDIT_NUMBER(field, value)                                                                                \
    ((struct auth_audit_field){.name = (field), .is_number = true, .number = (int64_t)(value)})

struct auth_audit *auth_audit_new(const struct auth_audit_config *cfg, struct ib_err *err);
void auth_audit_free(struct auth_audit *a); /* writes what waits, for a second at most; NULL is fine */

/* Adds time and event before the fields. a may be NULL: nothing happens. */
void auth_audit_event(struct auth_audit *a, const char *event, const struct auth_audit_field *fields, size_t n);
/* Opens the file anew, for log rotation; on failure the old one stays. Others: nothing happens. */
int auth_audit_reopen(struct auth_audit *a, struct ib_err *err) IB_MUST_CHECK;
/* Events lost so far; *why (may be NULL) is the system's last error number, 0 when the queue was full. */
uint64_t auth_audit_lost(struct auth_audit *a, int *why);

#endif
