/* SPDX-License-Identifier: Apache-2.0 */
/* A log file of bounded size (Ice.LogFile.SizeMax): full, it is renamed with the time in its name. Several loggers, of
   this process and of others, may append to one file; whoever finds it full moves it, and the others follow. */
#include "log_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NAMES_PER_SECOND 1000

static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
}

static void use(struct ib_log *log, int fd)
{
    if (log->fd != STDERR_FILENO)
        close(log->fd);
    log->fd = fd;
}

int ib_log_open(struct ib_log *log, const char *path, int64_t size_max, struct ib_err *err)
{
    char *copy = size_max > 0 ? strdup(path) : NULL;
    if (size_max > 0 && !copy)
        return ib_err_set(err, IB_ENOMEM, "%s", ib_err_text(IB_ENOMEM));
    int fd = open_file(path);
    if (fd < 0) {
        free(copy);
        return ib_err_set(err, IB_EFILE, "cannot open log file '%s': %s", path, strerror(errno));
    }
    use(log, fd);
    free(log->path);
    log->path = copy;
    log->size_max = size_max;
    return IB_OK;
}

/* name.ext becomes name-20260131-235959.ext, and with -1, -2... when there was one in that second. */
static bool move_away(const char *path)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
    int stem = (int)(dot ? dot - path : (ptrdiff_t)strlen(path));
    time_t now = time(NULL);
    struct tm tm;
    char when[32];
    if (!localtime_r(&now, &tm) || !strftime(when, sizeof when, "%Y%m%d-%H%M%S", &tm))
        return false;
    for (int i = 0; i < NAMES_PER_SECOND; i++) {
        char number[16] = "", *to;
        if (i > 0)
            snprintf(number, sizeof number, "-%d", i);
        if (asprintf(&to, "%.*s-%s%s%s", stem, path, when, number, dot ? dot : "") < 0)
            return false;
        int rc = renameat2(AT_FDCWD, path, AT_FDCWD, to, RENAME_NOREPLACE);
        int why = errno;
        free(to);
        if (rc == 0 || why != EEXIST)
            return rc == 0;
    }
    return false;
}

static bool is_at(int fd, const char *path)
{
    struct stat mine, there;
    return fstat(fd, &mine) == 0 && stat(path, &there) == 0 && mine.st_ino == there.st_ino &&
           mine.st_dev == there.st_dev;
}

static bool full(int fd, int64_t size_max, size_t n)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && st.st_size + (int64_t)n >= size_max;
}

void ib_log_file_room(struct ib_log *log, size_t n)
{
    for (int i = 0; i < 2 && full(log->fd, log->size_max, n); i++) { /* twice: another may have begun and filled one */
        if (flock(log->fd, LOCK_EX) < 0)
            return;
        bool moved = !is_at(log->fd, log->path) || move_away(log->path);
        flock(log->fd, LOCK_UN);
        int fd = moved ? open_file(log->path) : -1;
        if (fd < 0)
            return; /* it grows on */
        use(log, fd);
    }
}
