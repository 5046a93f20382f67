/* SPDX-License-Identifier: Apache-2.0 */
/* The audit log's queue and its thread. The loop's side only ever takes the mutex; the thread holds it to swap the
   filled buffer for the empty one, and writes without it. */
#include "audit_line.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <moulin/base/clock.h>

#define QUEUE_MAX ((size_t)1 << 20)
#define JOURNAL "/run/systemd/journal/socket"
#define LAST_WORDS_MS 1000

enum kind { TO_FILE, TO_STDERR, TO_JOURNAL };

struct auth_audit {
    enum kind kind;
    char *path; /* owns: of the file */
    char *program; /* owns */
    size_t queue_max;
    pthread_t thread;
    int fd; /* the thread's, as is torn */
    bool torn; /* the last line went out in part */
    pthread_mutex_t mutex; /* protects what follows */
    pthread_cond_t wake, done;
    struct ib_buf queue; /* whole lines */
    uint64_t lost, told; /* events; told: those the log has a line about */
    int why; /* errno of the last failure */
    int next_fd; /* -1, or what the thread shall write to from now on */
    bool ending, ended;
};

/* --- the thread --------------------------------------------------------------------------------------------------- */

static int write_all(struct auth_audit *a, const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(a->fd, p, n);
        if (done < 0 && errno != EINTR) {
            return errno;
        }
        if (done > 0) {
            p += done;
            n -= (size_t)done;
            a->torn = n > 0;
        }
    }
    return 0;
}

/* A line of which only a part went out must not spoil the next one. */
static int write_stream(struct auth_audit *a, const uint8_t *p, size_t n)
{
    int rc = a->torn ? write_all(a, (const uint8_t *)"\n", 1) : 0;
    return rc ? rc : write_all(a, p, n);
}

/* The journal's own protocol: a datagram of FIELD=value lines. The line holds no newline but its last byte. */
static int write_datagram(const struct auth_audit *a, const uint8_t *p, size_t n)
{
    struct ib_buf b;
    ib_buf_init(&b);
    ib_buf_printf(&b, "PRIORITY=5\nSYSLOG_FACILITY=10\nSYSLOG_IDENTIFIER=%s\nMESSAGE=", a->program);
    ib_buf_put(&b, p, n);
    int rc = ENOMEM;
    if (ib_buf_ok(&b)) {
        rc = send(a->fd, b.p, b.n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? errno : 0;
    }
    ib_buf_fini(&b);
    return rc;
}

static int write_line(struct auth_audit *a, const uint8_t *p, size_t n)
{
    return a->kind == TO_JOURNAL ? write_datagram(a, p, n) : write_stream(a, p, n);
}

/* Line by line, so that one failure loses one event. Returns how many were lost, *why the last reason. */
static uint64_t write_lines(struct auth_audit *a, const struct ib_buf *lines, int *why)
{
    uint64_t lost = 0;
    for (size_t at = 0, n; at < lines->n; at += n) {
        const uint8_t *p = lines->p + at;
        const uint8_t *end = memchr(p, '\n', lines->n - at);
        n = end ? (size_t)(end - p) + 1 : lines->n - at;
        int rc = write_line(a, p, n);
        if (rc != 0) {
            lost++;
            *why = rc;
        }
    }
    return lost;
}

/* Returns the descriptor to be closed, or -1. */
static int take_next_fd(struct auth_audit *a)
{
    int old = -1;
    if (a->next_fd >= 0) {
        old = a->fd;
        a->fd = a->next_fd;
        a->next_fd = -1;
        a->torn = false;
    }
    return old;
}

/* The log says itself what it lacks. Returns how many events it has now told about. */
static uint64_t tell_lost(struct auth_audit *a, uint64_t missing)
{
    const struct auth_audit_field f = AUTH_AUDIT_NUMBER("count", missing);
    struct ib_buf line;
    if (missing == 0) {
        return 0;
    }
    ib_buf_init(&line);
    audit_line(&line, ib_clock_wall_ms(), "events lost", &f, 1);
    bool told = ib_buf_ok(&line) && write_line(a, line.p, line.n) == 0;
    ib_buf_fini(&line);
    return told ? missing : 0;
}

static void *work(void *arg)
{
    struct auth_audit *a = arg;
    struct ib_buf mine;
    ib_buf_init(&mine);
    pthread_mutex_lock(&a->mutex);
    for (;;) {
        while (a->queue.n == 0 && a->next_fd < 0 && !a->ending) {
            pthread_cond_wait(&a->wake, &a->mutex);
        }
        int old = take_next_fd(a);
        bool over = a->queue.n == 0 && a->ending;
        struct ib_buf filled = a->queue;
        ib_buf_clear(&mine);
        a->queue = mine;
        mine = filled;
        uint64_t missing = a->lost - a->told;
        pthread_mutex_unlock(&a->mutex);
        if (old >= 0) {
            (void)close(old); /* may take as long as a write */
        }
        int why = 0;
        uint64_t told = tell_lost(a, missing);
        uint64_t lost = write_lines(a, &mine, &why);
        pthread_mutex_lock(&a->mutex);
        a->told += told;
        a->lost += lost;
        a->why = lost ? why : a->why;
        if (over) {
            break;
        }
    }
    a->ended = true;
    pthread_cond_signal(&a->done);
    pthread_mutex_unlock(&a->mutex);
    ib_buf_fini(&mine);
    return NULL;
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

/* Not blocking: a FIFO nobody reads must not stop the start. */
static int open_file(const char *path, struct ib_err *err)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
    if (fd < 0) {
        (void)ib_err_set(err, IB_ECONFIG, "cannot open the audit log `%s': %s", path, strerror(errno));
    }
    return fd;
}

static int open_journal(const char *path, struct ib_err *err)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = -1;
    if (strlen(path) < sizeof(to.sun_path)) {
        memcpy(to.sun_path, path, strlen(path) + 1);
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    }
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0) {
        int why = errno;
        (void)close(fd);
        errno = why;
        fd = -1;
    }
    if (fd < 0) {
        (void)ib_err_set(err, IB_ECONFIG, "cannot reach the journal at `%s': %s; name a file instead", path,
                         strerror(errno));
    }
    return fd;
}

static int open_target(struct auth_audit *a, const struct auth_audit_config *cfg, struct ib_err *err)
{
    a->kind = strcmp(cfg->target, "journal") == 0  ? TO_JOURNAL
              : strcmp(cfg->target, "stderr") == 0 ? TO_STDERR
                                                   : TO_FILE;
    if (a->kind == TO_JOURNAL) {
        a->fd = open_journal(cfg->journal ? cfg->journal : JOURNAL, err);
    } else if (a->kind == TO_STDERR) {
        a->fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        if (a->fd < 0) {
            (void)ib_err_set(err, IB_ECONFIG, "the audit log cannot go to stderr: %s", strerror(errno));
        }
    } else {
        a->fd = open_file(cfg->target, err);
    }
    return a->fd >= 0 ? 0 : IB_ECONFIG;
}

/* Signals are the loop's: the thread blocks them all. */
static int start_thread(struct auth_audit *a)
{
    sigset_t all, old;
    pthread_condattr_t clock;
    (void)pthread_mutex_init(&a->mutex, NULL);
    (void)pthread_cond_init(&a->wake, NULL);
    (void)pthread_condattr_init(&clock);
    (void)pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&a->done, &clock);
    (void)pthread_condattr_destroy(&clock);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&a->thread, NULL, work, a);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0) {
        (void)pthread_mutex_destroy(&a->mutex);
        (void)pthread_cond_destroy(&a->wake);
        (void)pthread_cond_destroy(&a->done);
    }
    return rc;
}

static void audit_free(struct auth_audit *a)
{
    if (a->fd >= 0) {
        (void)close(a->fd);
    }
    ib_buf_fini(&a->queue);
    free(a->path);
    free(a->program);
    free(a);
}

struct auth_audit *auth_audit_new(const struct auth_audit_config *cfg, struct ib_err *err)
{
    struct auth_audit *a = calloc(1, sizeof(*a));
    if (!a) {
        (void)ib_err_set(err, IB_ENOMEM, "out of memory");
        return NULL;
    }
    a->fd = a->next_fd = -1;
    a->queue_max = cfg->queue_max ? cfg->queue_max : QUEUE_MAX;
    ib_buf_init(&a->queue);
    a->path = strdup(cfg->target);
    a->program = strdup(cfg->program);
    int rc = a->path && a->program ? 0 : ib_err_set(err, IB_ENOMEM, "out of memory");
    rc = rc ? rc : open_target(a, cfg, err);
    if (rc == 0 && start_thread(a) != 0) {
        rc = ib_err_set(err, IB_EINIT, "the audit log's thread cannot be started");
    }
    if (rc != 0) {
        audit_free(a);
        return NULL;
    }
    return a;
}

/* --- the loop's side ---------------------------------------------------------------------------------------------- */

/* A thread that hangs in a write (a dead network disk) must not hold up the end: then it and its memory are left. */
void auth_audit_free(struct auth_audit *a)
{
    struct timespec end;
    int rc = 0;
    if (!a) {
        return;
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += LAST_WORDS_MS / 1000;
    pthread_mutex_lock(&a->mutex);
    a->ending = true;
    pthread_cond_signal(&a->wake);
    while (!a->ended && rc == 0) {
        rc = pthread_cond_timedwait(&a->done, &a->mutex, &end);
    }
    bool ended = a->ended;
    pthread_mutex_unlock(&a->mutex);
    if (!ended) {
        (void)pthread_detach(a->thread);
        return;
    }
    (void)pthread_join(a->thread, NULL);
    (void)pthread_mutex_destroy(&a->mutex);
    (void)pthread_cond_destroy(&a->wake);
    (void)pthread_cond_destroy(&a->done);
    audit_free(a);
}

void auth_audit_event(struct auth_audit *a, const char *event, const struct auth_audit_field *fields, size_t n)
{
    if (!a) {
        return;
    }
    int64_t now = ib_clock_wall_ms();
    pthread_mutex_lock(&a->mutex);
    size_t before = a->queue.n;
    audit_line(&a->queue, now, event, fields, n);
    if (!ib_buf_ok(&a->queue) || a->queue.n > a->queue_max) {
        a->queue.n = before;
        a->queue.failed = false;
        a->lost++;
        a->why = 0;
    }
    pthread_cond_signal(&a->wake);
    pthread_mutex_unlock(&a->mutex);
}

int auth_audit_reopen(struct auth_audit *a, struct ib_err *err)
{
    if (!a || a->kind != TO_FILE) {
        return 0;
    }
    int fd = open_file(a->path, err);
    if (fd < 0) {
        return IB_ECONFIG;
    }
    pthread_mutex_lock(&a->mutex);
    if (a->next_fd >= 0) {
        (void)close(a->next_fd);
    }
    a->next_fd = fd;
    pthread_cond_signal(&a->wake);
    pthread_mutex_unlock(&a->mutex);
    return 0;
}

uint64_t auth_audit_lost(struct auth_audit *a, int *why)
{
    pthread_mutex_lock(&a->mutex);
    uint64_t lost = a->lost;
    if (why) {
        *why = a->why;
    }
    pthread_mutex_unlock(&a->mutex);
    return lost;
}
