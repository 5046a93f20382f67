/* SPDX-License-Identifier: Apache-2.0 */
/* The logger: composes a whole message in memory and hands it to the kernel in one write, so that lines of several
   processes sharing a file do not mix. Layout: ice-protocol 21.1. */
#include "log_priv.h"

#include <moulin/base/buf.h>
#include <moulin/base/clock.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct ib_log *ib_log_new(const char *prefix)
{
    size_t n = strlen(prefix);
    struct ib_log *log = malloc(sizeof(*log) + n + 1);
    if (!log)
        return NULL;
    *log = (struct ib_log){.fd = STDERR_FILENO};
    memcpy(log->prefix, prefix, n + 1);
    return log;
}

void ib_log_free(struct ib_log *log)
{
    if (!log)
        return;
    if (log->fd != STDERR_FILENO)
        close(log->fd);
    ib_syslog_free(log->syslog);
    free(log->path);
    free(log);
}

int ib_log_open_syslog(struct ib_log *log, const char *facility, struct ib_err *err)
{
    struct ib_syslog *to = ib_syslog_new(log->prefix, facility, err);
    if (!to)
        return err->code;
    ib_syslog_free(log->syslog);
    log->syslog = to;
    return IB_OK;
}

void ib_log_set_tap(struct ib_log *log, ib_log_tap_fn tap, void *arg)
{
    log->tap = tap;
    log->tap_arg = arg;
}

const char *ib_log_prefix(const struct ib_log *log)
{
    return log->prefix;
}

static void put_head(struct ib_log *log, struct ib_buf *b, enum ib_log_kind kind, const char *category)
{
    static const char *const mark[] = {"", "--", "-!", "!!"};
    if (kind == IB_LOG_PRINT)
        return;
    int64_t ms = ib_clock_wall_ms();
    time_t sec = (time_t)(ms / 1000);
    struct tm tm;
    if (!localtime_r(&sec, &tm))
        memset(&tm, 0, sizeof(tm));
    ib_buf_printf(b, "%s %02d/%02d/%02d %02d:%02d:%02d.%03d ", mark[kind], tm.tm_mon + 1, tm.tm_mday, tm.tm_year % 100,
                  tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(ms % 1000));
    if (log->prefix[0])
        ib_buf_printf(b, "%s: ", log->prefix);
    if (kind == IB_LOG_WARNING)
        ib_buf_puts(b, "warning: ");
    else if (kind == IB_LOG_ERROR)
        ib_buf_puts(b, "error: ");
    else if (category[0])
        ib_buf_printf(b, "%s: ", category);
}

static void put_text(struct ib_buf *b, enum ib_log_kind kind, const char *text)
{
    for (const char *s = text; *s; s++) {
        ib_buf_put_u8(b, (uint8_t)*s);
        if (*s == '\n' && kind != IB_LOG_PRINT)
            ib_buf_puts(b, "   ");
    }
    ib_buf_put_u8(b, '\n');
}

static void write_all(int fd, const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t w = write(fd, p, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return; /* nowhere left to complain */
        p += w;
        n -= (size_t)w;
    }
}

void ib_log_tell(struct ib_log *log, enum ib_log_kind kind, const char *category, const char *text)
{
    if (!log->tap || log->in_tap)
        return;
    log->in_tap = true;
    log->tap(log->tap_arg, kind, category, text);
    log->in_tap = false;
}

bool ib_log_hush(struct ib_log *log, bool on)
{
    bool before = log->hushed;
    log->hushed = on;
    return before;
}

static void write_line(struct ib_log *log, enum ib_log_kind kind, const char *category, const char *text)
{
    struct ib_buf b;
    ib_buf_init(&b);
    put_head(log, &b, kind, category);
    put_text(&b, kind, text);
    if (ib_buf_ok(&b)) {
        if (log->path)
            ib_log_file_room(log, b.n);
        write_all(log->fd, b.p, b.n);
    }
    ib_buf_fini(&b);
}

static void emit(struct ib_log *log, enum ib_log_kind kind, const char *category, const char *text)
{
    if (log->hushed)
        return;
    if (!log->syslog || !ib_syslog_send(log->syslog, kind, category, text))
        write_line(log, kind, category, text);
    ib_log_tell(log, kind, category, text);
}

static void vemit(struct ib_log *log, enum ib_log_kind kind, const char *category, const char *fmt, va_list ap)
    __attribute__((format(printf, 4, 0)));

static void vemit(struct ib_log *log, enum ib_log_kind kind, const char *category, const char *fmt, va_list ap)
{
    char *text = NULL;
    if (vasprintf(&text, fmt, ap) < 0)
        text = NULL;
    emit(log, kind, category, text ? text : "(out of memory while formatting a log message)");
    free(text);
}

void ib_log_trace(struct ib_log *log, const char *category, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vemit(log, IB_LOG_TRACE, category, fmt, ap);
    va_end(ap);
}

void ib_log_warning(struct ib_log *log, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vemit(log, IB_LOG_WARNING, "", fmt, ap);
    va_end(ap);
}

void ib_log_error(struct ib_log *log, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vemit(log, IB_LOG_ERROR, "", fmt, ap);
    va_end(ap);
}

void ib_log_print(struct ib_log *log, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vemit(log, IB_LOG_PRINT, "", fmt, ap);
    va_end(ap);
}

/* Bytes of the UTF-8 character at p, 0 when it is none: a stray byte, one cut off, a surrogate, an overlong form. */
static size_t utf8_length(const unsigned char *p, size_t n)
{
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    if (len > n)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    if (len == 3 && ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f)))
        return 0;
    if (len == 4 && ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f)))
        return 0;
    return len;
}

/* One character made visible in up to 4 bytes; *used is how many it took from p. */
static size_t escape_char(const unsigned char *p, size_t n, char to[4], size_t *used)
{
    static const char hex[] = "0123456789abcdef";
    static const char names[] = "\aa\bb\ff\nn\rr\tt\vv\"\"''\\\\"; /* pairs: the character, its letter */
    size_t len = utf8_length(p, n);
    bool control =
        *p < 32 || *p == 127 || (len == 2 && p[0] == 0xc2 && p[1] < 0xa0); /* terminals obey the latter, too */
    *used = 1;
    for (size_t i = 0; i + 1 < sizeof(names); i += 2) {
        if ((unsigned char)names[i] == *p) {
            to[0] = '\\';
            to[1] = names[i + 1];
            return 2;
        }
    }
    if (len == 0 || control) {
        to[0] = '\\';
        to[1] = 'x';
        to[2] = hex[*p >> 4];
        to[3] = hex[*p & 15];
        return 4;
    }
    memcpy(to, p, len);
    *used = len;
    return len;
}

const char *ib_log_escape(struct ib_str s, char *out, size_t cap)
{
    static const char dots[] = "...";
    if (cap == 0)
        return "";
    size_t n = 0, safe = 0; /* safe: how much may stay when the dots must follow */
    for (size_t i = 0, used; i < s.n; i += used) {
        char e[4];
        size_t len = escape_char((const unsigned char *)s.p + i, s.n - i, e, &used);
        if (n + len >= cap) {
            if (cap >= sizeof(dots)) {
                memcpy(out + safe, dots, sizeof(dots));
                return out;
            }
            break;
        }
        memcpy(out + n, e, len);
        n += len;
        if (n + sizeof(dots) <= cap)
            safe = n;
    }
    out[n] = '\0';
    return out;
}
