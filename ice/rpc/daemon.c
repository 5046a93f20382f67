/* SPDX-License-Identifier: Apache-2.0 */
/* Detaching from the terminal, the pid file, redirected streams and the change of user (ice-protocol 21.1, 21.4). */
#include "daemon_priv.h"

#include <moulin/base/span.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Waits for the child's one byte; without it the child has failed and said why. */
static int parent_wait(pid_t child, int fd)
{
    char byte;
    ssize_t n;
    int status;

    do {
        n = read(fd, &byte, 1);
    } while (n < 0 && errno == EINTR);
    close(fd);
    if (n == 1)
        return 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return 1;
}

int ir_daemon_fork(struct ir_daemon *d, int *parent_status, struct ib_err *err)
{
    int fds[2];
    pid_t child;

    d->ready_fd = -1;
    if (!d->wanted)
        return 0;
    if (pipe2(fds, O_CLOEXEC) != 0)
        return ib_err_set(err, IB_EIO, "--daemon: cannot make a pipe: %s", strerror(errno));
    fflush(NULL);
    child = fork();
    if (child < 0) {
        close(fds[0]);
        close(fds[1]);
        return ib_err_set(err, IB_EIO, "--daemon: cannot fork: %s", strerror(errno));
    }
    if (child > 0) {
        close(fds[1]);
        *parent_status = parent_wait(child, fds[0]);
        return 1;
    }
    close(fds[0]);
    d->ready_fd = fds[1];
    if (setsid() < 0)
        return ib_err_set(err, IB_EIO, "--daemon: cannot start a session: %s", strerror(errno));
    if (!d->nochdir && chdir("/") != 0)
        return ib_err_set(err, IB_EIO, "--daemon: cannot change to /: %s", strerror(errno));
    return 0;
}

static int write_pidfile(const char *path, struct ib_err *err)
{
    FILE *f = fopen(path, "we");
    int rc;

    if (f == NULL)
        return ib_err_set(err, IB_EFILE, "--pidfile %s: %s", path, strerror(errno));
    rc = fprintf(f, "%ld\n", (long)getpid()) < 0;
    if (fclose(f) != 0 || rc != 0)
        return ib_err_set(err, IB_EIO, "--pidfile %s: %s", path, strerror(errno));
    return 0;
}

static int release_streams(const struct ir_properties *props, struct ib_err *err)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0)
        return ib_err_set(err, IB_EIO, "cannot open /dev/null: %s", strerror(errno));
    dup2(null, STDIN_FILENO);
    if (!ir_properties_has(props, "Ice.StdOut"))
        dup2(null, STDOUT_FILENO);
    if (!ir_properties_has(props, "Ice.StdErr"))
        dup2(null, STDERR_FILENO);
    close(null);
    return 0;
}

int ir_daemon_ready(struct ir_daemon *d, const struct ir_properties *props, struct ib_err *err)
{
    int rc = 0;

    if (!d->wanted)
        return 0;
    if (d->pidfile != NULL)
        rc = write_pidfile(d->pidfile, err);
    if (rc == 0 && !d->noclose)
        rc = release_streams(props, err);
    if (rc == 0 && write(d->ready_fd, "", 1) != 1)
        rc = ib_err_set(err, IB_EIO, "--daemon: the process that started this one is gone");
    close(d->ready_fd);
    d->ready_fd = -1;
    return rc;
}

static int redirect(const struct ir_properties *props, const char *property, FILE *stream, struct ib_err *err)
{
    const char *path = ir_properties_get(props, property);

    if (*path != 0 && freopen(path, "ae", stream) == NULL)
        return ib_err_set(err, IB_EFILE, "property %s: cannot append to %s: %s", property, path, strerror(errno));
    return 0;
}

static int change_user(const char *name, struct ib_err *err)
{
    struct passwd *pw;

    errno = 0;
    pw = getpwnam(name);
    if (pw == NULL)
        return ib_err_set(err, IB_ECONFIG, "property Ice.ChangeUser: there is no user `%s'", name);
    if (initgroups(pw->pw_name, pw->pw_gid) != 0 || setgid(pw->pw_gid) != 0 || setuid(pw->pw_uid) != 0)
        return ib_err_set(err, IB_ECONFIG, "property Ice.ChangeUser: cannot become `%s': %s; start as root", name,
                          strerror(errno));
    return 0;
}

int ir_process_setup(const struct ir_properties *props, struct ib_err *err)
{
    const char *user = ir_properties_get(props, "Ice.ChangeUser");
    int rc = redirect(props, "Ice.StdOut", stdout, err);

    if (rc == 0)
        rc = redirect(props, "Ice.StdErr", stderr, err);
    if (rc == 0 && *user != 0)
        rc = change_user(user, err);
    return rc;
}

static int open_file(const struct ir_properties *props, const char *path, struct ib_log *log, struct ib_err *err)
{
    int size_max = 0;
    int rc = ir_properties_int(props, "Ice.LogFile.SizeMax", 0, &size_max, err);

    if (rc != 0)
        return rc;
    rc = ib_log_open(log, path, size_max, err);
    return rc != 0 ? ib_err_wrap(err, "property Ice.LogFile") : 0;
}

int ir_log_open(const struct ir_properties *props, const char *program, struct ib_log **log, struct ib_err *err)
{
    const char *path = ir_properties_get(props, "Ice.LogFile");
    int use_syslog = 0;
    int rc = ir_properties_int(props, "Ice.UseSyslog", 0, &use_syslog, err);

    *log = ib_log_new(program);
    if (*log == NULL)
        return ib_err_set(err, IB_ENOMEM, "%s", ib_err_text(IB_ENOMEM));
    if (rc != 0)
        return rc;
    if (use_syslog > 0 && *path != 0)
        return ib_err_set(err, IB_ECONFIG,
                          "Both syslog and file logger cannot be enabled: remove Ice.UseSyslog or Ice.LogFile");
    if (use_syslog > 0)
        return ib_log_open_syslog(*log, ir_properties_get_or(props, "Ice.SyslogFacility", "LOG_USER"), err);
    return *path != 0 ? open_file(props, path, *log, err) : 0;
}
