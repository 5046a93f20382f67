/* SPDX-License-Identifier: Apache-2.0 */
/* The system's log (Ice.UseSyslog): datagrams to the local socket. Not the C library's syslog(), which waits for a
   daemon that is busy. */
#include "log_priv.h"

#include <moulin/base/buf.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <syslog.h>

#define MESSAGE_MAX 8192 /* what the daemons of today take */

struct ib_syslog {
    int fd; /* owns; -1: not connected */
    int facility;
    char ident[];
};

static const struct {
    const char *name;
    int value;
} facilities[] = {
    {"LOG_KERN", LOG_KERN},     {"LOG_USER", LOG_USER},     {"LOG_MAIL", LOG_MAIL},     {"LOG_DAEMON", LOG_DAEMON},
    {"LOG_AUTH", LOG_AUTH},     {"LOG_SYSLOG", LOG_SYSLOG}, {"LOG_LPR", LOG_LPR},       {"LOG_NEWS", LOG_NEWS},
    {"LOG_UUCP", LOG_UUCP},     {"LOG_CRON", LOG_CRON},     {"LOG_FTP", LOG_FTP},       {"LOG_AUTHPRIV", LOG_AUTHPRIV},
    {"LOG_LOCAL0", LOG_LOCAL0}, {"LOG_LOCAL1", LOG_LOCAL1}, {"LOG_LOCAL2", LOG_LOCAL2}, {"LOG_LOCAL3", LOG_LOCAL3},
    {"LOG_LOCAL4", LOG_LOCAL4}, {"LOG_LOCAL5", LOG_LOCAL5}, {"LOG_LOCAL6", LOG_LOCAL6}, {"LOG_LOCAL7", LOG_LOCAL7},
};

struct ib_syslog *ib_syslog_new(const char *ident, const char *facility, struct ib_err *err)
{
    int value = -1;
    for (size_t i = 0; i < sizeof facilities / sizeof *facilities; i++) {
        if (!strcmp(facilities[i].name, facility))
            value = facilities[i].value;
    }
    if (value < 0) {
        ib_err_set(err, IB_ECONFIG,
                   "Invalid value for Ice.SyslogFacility: %s; it is one of LOG_USER, LOG_DAEMON, "
                   "LOG_LOCAL0 to LOG_LOCAL7 and the others of syslog.h",
                   facility);
        return NULL;
    }
    size_t n = strlen(ident);
    struct ib_syslog *s = malloc(sizeof *s + n + 1);
    if (!s) {
        ib_err_set(err, IB_ENOMEM, "%s", ib_err_text(IB_ENOMEM));
        return NULL;
    }
    *s = (struct ib_syslog){.fd = -1, .facility = value};
    memcpy(s->ident, ident, n + 1);
    for (char *p = s->ident; *p; p++) {
        if (*p == ' ') /* "moulin registry": a tag is one word */
            *p = '-';
    }
    return s;
}

static void disconnect(struct ib_syslog *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

void ib_syslog_free(struct ib_syslog *s)
{
    if (!s)
        return;
    disconnect(s);
    free(s);
}

static bool connected(struct ib_syslog *s)
{
    static const struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    if (s->fd >= 0)
        return true;
    s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd >= 0 && connect(s->fd, (const struct sockaddr *)&at, sizeof at) < 0)
        disconnect(s);
    return s->fd >= 0;
}

static void compose(const struct ib_syslog *s, struct ib_buf *b, enum ib_log_kind kind, const char *category,
                    const char *text)
{
    static const int level[] = {LOG_INFO, LOG_INFO, LOG_WARNING, LOG_ERR};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", /* whatever the locale */
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t now = time(NULL);
    struct tm tm;
    if (!localtime_r(&now, &tm))
        memset(&tm, 0, sizeof tm);
    ib_buf_printf(b, "<%d>%s %2d %02d:%02d:%02d %s[%ld]: ", s->facility | level[kind], months[tm.tm_mon], tm.tm_mday,
                  tm.tm_hour, tm.tm_min, tm.tm_sec, s->ident, (long)getpid());
    if (category[0])
        ib_buf_printf(b, "%s: ", category);
    ib_buf_puts(b, text);
}

bool ib_syslog_send(struct ib_syslog *s, enum ib_log_kind kind, const char *category, const char *text)
{
    struct ib_buf b;
    ib_buf_init(&b);
    compose(s, &b, kind, category, text);
    bool done = false;
    for (int i = 0; i < 2 && !done && ib_buf_ok(&b) && connected(s);
         i++) { /* twice: the daemon may have been replaced */
        done = send(s->fd, b.p, b.n < MESSAGE_MAX ? b.n : MESSAGE_MAX, MSG_NOSIGNAL) >= 0 || errno == EAGAIN;
        if (!done)
            disconnect(s);
    }
    ib_buf_fini(&b);
    return done;
}
