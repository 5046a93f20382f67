/* SPDX-License-Identifier: Apache-2.0 */
/* One event as a line of JSON. */
#ifndef AUTH_AUDIT_LINE_H
#define AUTH_AUDIT_LINE_H

#include <moulin/auth/audit.h>
#include <moulin/base/buf.h>

/* Appends the object and a newline; wall_ms is since the epoch. */
void audit_line(struct ib_buf *out, int64_t wall_ms, const char *event, const struct auth_audit_field *fields,
                size_t n);

#endif
