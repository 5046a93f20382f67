/* SPDX-License-Identifier: Apache-2.0 */
/* The logger, in Ice's line format (ice-protocol 21.1). A logger belongs to one runtime. Peers' text must be passed
   through ib_log_escape first. Library code logs nothing above trace: whoever decides logs once. */
#ifndef MOULIN_BASE_LOG_H
#define MOULIN_BASE_LOG_H

#include <moulin/base/err.h>
#include <moulin/base/span.h>

struct ib_log;

enum ib_log_kind { IB_LOG_PRINT, IB_LOG_TRACE, IB_LOG_WARNING, IB_LOG_ERROR };

struct ib_log *ib_log_new(const char *prefix); /* writes to stderr; prefix (program name) may be "" */
void ib_log_free(struct ib_log *log);
/* Append to a file instead (Ice.LogFile). Before it has size_max bytes it is moved away; 0: never. */
int ib_log_open(struct ib_log *log, const char *path, int64_t size_max, struct ib_err *err) IB_MUST_CHECK;
/* Send to the system's log instead (Ice.UseSyslog); to stderr while that does not listen. facility: as in syslog.h. */
int ib_log_open_syslog(struct ib_log *log, const char *facility, struct ib_err *err) IB_MUST_CHECK;
/* Sees every message after it was written; used by the Logger admin facet. One tap at a time; NULL removes it. */
typedef void (*ib_log_tap_fn)(void *arg, enum ib_log_kind kind, const char *category, const char *text);
void ib_log_set_tap(struct ib_log *log, ib_log_tap_fn tap, void *arg);
/* Shows the tap a message that another logger has written. */
void ib_log_tell(struct ib_log *log, enum ib_log_kind kind, const char *category, const char *text);
/* While on nothing is written: for a logger beside one that has said the same. Returns what it was before. */
bool ib_log_hush(struct ib_log *log, bool on);
const char *ib_log_prefix(const struct ib_log *log);

void ib_log_trace(struct ib_log *log, const char *category, const char *fmt, ...) IB_PRINTF(3, 4);
void ib_log_warning(struct ib_log *log, const char *fmt, ...) IB_PRINTF(2, 3);
void ib_log_error(struct ib_log *log, const char *fmt, ...) IB_PRINTF(2, 3);
void ib_log_print(struct ib_log *log, const char *fmt, ...) IB_PRINTF(2, 3);

/* Control characters, quotes and what is not UTF-8 made visible; result is NUL-terminated, cut with "..." when out is
 * short. */
const char *ib_log_escape(struct ib_str s, char *out, size_t cap);

#endif
