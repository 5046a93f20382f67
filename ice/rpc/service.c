/* SPDX-License-Identifier: Apache-2.0 */
/* The frame around every daemon: options, start, signals, graceful stop with a bound (ice-protocol 21.4).
   ir_service_quit only stops the loop: the frame below then begins the graceful stop and runs the loop again, so a loop
   needs no way back to its service. */
#include "daemon_priv.h"

#include <moulin/base/log.h>
#include <moulin/base/sm.h>
#include <moulin/rpc/service.h>

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define STOP_MS 10000

enum state { RUNNING, STOPPING, STOPPED, FORCED, STATE_MAX };

static const struct ib_sm_state states[STATE_MAX] = {
    [RUNNING] = {"running", IB_SM_BIT(STOPPING)},
    [STOPPING] = {"stopping", IB_SM_BIT(STOPPED) | IB_SM_BIT(FORCED)},
    [STOPPED] = {"stopped", 0},
    [FORCED] = {"forced", 0},
};

struct options {
    struct ir_daemon daemon;
    bool help, version;
};

struct frame {
    const struct ir_service *s;
    const char *argv0;
    struct ir_properties *props; /* owns */
    struct ib_log *log; /* owns */
    struct ic_loop *loop; /* owns */
    void *role;
    struct event *signals[3];
    struct ic_timer timer;
    uint8_t state;
};

static void move(struct frame *f, enum state next)
{
    ib_sm_move(states, STATE_MAX, &f->state, next);
}

static void print_usage(const struct frame *f)
{
    fprintf(stderr,
            "Usage: %s [options]\n"
            "Options:\n"
            "-h, --help           Show this message.\n"
            "-v, --version        Display the version.\n"
            "--daemon             Run as a daemon.\n"
            "--pidfile FILE       Write the process id to FILE (with --daemon).\n"
            "--noclose            Keep the standard streams open (with --daemon).\n"
            "--nochdir            Do not change the working directory (with --daemon).\n"
            "--NAME=VALUE         Set a property; --Ice.Config=FILE reads them from a file.\n"
            "%s",
            f->argv0, f->s->usage ? f->s->usage : "");
}

/* --- options --------------------------------------------------------------------------------------------------- */

/* Takes this frame's own options out of argv. false: a value is missing. */
static bool take_options(struct options *o, int *argc, char **argv)
{
    int kept = *argc > 0 ? 1 : 0;

    for (int i = 1; i < *argc; i++) {
        const char *a = argv[i];

        if (strcmp(a, "-h") == 0 || strcmp(a, "--help") == 0) {
            o->help = true;
        } else if (strcmp(a, "-v") == 0 || strcmp(a, "--version") == 0) {
            o->version = true;
        } else if (strcmp(a, "--daemon") == 0) {
            o->daemon.wanted = true;
        } else if (strcmp(a, "--noclose") == 0) {
            o->daemon.noclose = true;
        } else if (strcmp(a, "--nochdir") == 0) {
            o->daemon.nochdir = true;
        } else if (strcmp(a, "--pidfile") == 0) {
            if (i + 1 == *argc)
                return false;
            o->daemon.pidfile = argv[++i];
        } else if (strncmp(a, "--pidfile=", 10) == 0) {
            o->daemon.pidfile = a + 10;
        } else {
            argv[kept++] = argv[i];
        }
    }
    *argc = kept;
    argv[kept] = NULL;
    return true;
}

/* 0 go on, 1 done with status 0, negative: refused, said on stderr. */
static int check_options(const struct frame *f, const struct options *o)
{
    if (o->help) {
        print_usage(f);
        return 1;
    }
    if (o->version) {
        fprintf(stderr, "%s\n", MOULIN_VERSION);
        return 1;
    }
    if (o->daemon.wanted)
        return 0;
    if (o->daemon.noclose || o->daemon.pidfile != NULL) {
        fprintf(stderr, "%s: %s must be used with --daemon\n", f->argv0,
                o->daemon.noclose ? "--noclose" : "--pidfile <file>");
        return IB_EINVAL;
    }
    return 0;
}

/* --- running --------------------------------------------------------------------------------------------------- */

static void stopped(void *arg)
{
    struct frame *f = arg;

    if (f->state != STOPPING)
        return;
    move(f, STOPPED);
    ic_loop_stop(f->loop);
}

static void force(struct frame *f, const char *why)
{
    ib_log_warning(f->log, "%s: not everything could be closed gracefully (%s)", f->s->name, why);
    move(f, FORCED);
    ic_loop_stop(f->loop);
}

static void too_long(void *arg)
{
    struct frame *f = arg;

    if (f->state == STOPPING)
        force(f, "it took longer than 10 s");
}

static void begin_stop(struct frame *f)
{
    if (f->state != RUNNING)
        return;
    move(f, STOPPING);
    ic_timer_start(&f->timer, STOP_MS);
    f->s->stop(f->role, stopped, f);
}

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
    struct frame *f = arg;

    (void)what;
    if (f->role == NULL && sig != SIGHUP) { /* it waits for something while it starts: there is nothing to stop yet */
        signal(sig, SIG_DFL);
        raise(sig);
    } else if (f->role == NULL) {
        return;
    } else if (sig == SIGHUP) {
        if (f->state == RUNNING && ir_properties_int_or(f->props, f->log, "Ice.Nohup", 1) < 1)
            begin_stop(f);
        else if (f->state == RUNNING && f->s->reload != NULL)
            f->s->reload(f->role);
    } else if (f->state == RUNNING) {
        begin_stop(f);
    } else if (f->state == STOPPING) {
        force(f, "second signal");
    }
}

static int watch_signals(struct frame *f, struct ib_err *err)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};

    for (size_t i = 0; i < 3; i++) {
        f->signals[i] = evsignal_new(ic_loop_base(f->loop), numbers[i], on_signal, f);
        if (f->signals[i] == NULL || event_add(f->signals[i], NULL) != 0)
            return ib_err_set(err, IB_ENOMEM, "cannot watch signals: out of memory");
    }
    return 0;
}

static void forget_signals(struct frame *f)
{
    for (size_t i = 0; i < 3; i++) {
        if (f->signals[i] != NULL)
            event_free(f->signals[i]);
        f->signals[i] = NULL;
    }
}

static void run(struct frame *f)
{
    while (f->state != STOPPED && f->state != FORCED) {
        ic_loop_run(f->loop);
        begin_stop(f); /* the loop was stopped while running: ir_service_quit */
    }
}

void ir_service_quit(struct ic_loop *loop)
{
    ic_loop_stop(loop);
}

/* --- starting -------------------------------------------------------------------------------------------------- */

static void log_warning(void *arg, const char *text)
{
    struct frame *f = arg;

    if (ir_properties_int_or(f->props, NULL, "Ice.Warn.UnknownProperties", 1) > 0)
        ib_log_warning(f->log, "%s", text);
}

/* Everything up to the running role. */
static int start(struct frame *f, struct options *o, int argc, char **argv, struct ib_err *err)
{
    int rc = ir_process_setup(f->props, err);

    if (rc == 0)
        rc = ir_log_open(f->props, ir_properties_get_or(f->props, "Ice.ProgramName", f->argv0), &f->log, err);
    if (rc != 0)
        return rc;
    ir_properties_take_warnings(f->props, log_warning, f);
    if (ir_properties_int_or(f->props, f->log, "Ice.PrintProcessId", 0) > 0) {
        printf("%ld\n", (long)getpid());
        fflush(stdout);
    }
    signal(SIGPIPE, SIG_IGN);
    f->loop = ic_loop_new(err);
    if (f->loop == NULL)
        return err->code != 0 ? err->code : IB_EINIT;
    ic_timer_init(&f->timer, f->loop, too_long, f);
    rc = watch_signals(f, err);
    if (rc != 0)
        return rc;
    f->role = f->s->start(f->loop, f->props, argc, argv, err);
    if (f->role == NULL)
        return err->code != 0 ? err->code : ib_err_set(err, IB_EINIT, "%s did not start", f->s->name);
    return ir_daemon_ready(&o->daemon, f->props, err);
}

static void report(const struct frame *f, const struct ib_err *err)
{
    struct ib_log *log = f->log ? f->log : ib_log_new(f->argv0);

    if (log == NULL) {
        fprintf(stderr, "%s: error: %s\n", f->argv0, err->text);
        return;
    }
    ib_log_error(log, "%s", err->text);
    if (log != f->log)
        ib_log_free(log);
    if (err->code == IB_EINVAL)
        print_usage(f);
}

static void frame_fini(struct frame *f)
{
    if (f->role != NULL && f->s->free != NULL)
        f->s->free(f->role);
    if (f->loop != NULL) {
        forget_signals(f);
        ic_timer_fini(&f->timer);
        ic_loop_free(f->loop);
    }
    ib_log_free(f->log);
    ir_properties_free(f->props);
}

static int serve(struct frame *f, struct options *o, int argc, char **argv)
{
    struct ib_err err = {0, ""};
    int status = 0, rc = ir_daemon_fork(&o->daemon, &status, &err);

    if (rc > 0)
        return status;
    if (rc == 0)
        rc = start(f, o, argc, argv, &err);
    if (rc != 0) {
        report(f, &err);
        return 1;
    }
    run(f);
    return f->state == STOPPED ? 0 : 1;
}

int ir_service_main(const struct ir_service *s, int argc, char **argv)
{
    struct frame f = {.s = s, .argv0 = argc > 0 ? argv[0] : s->name, .state = RUNNING};
    struct options o = {.daemon = {.ready_fd = -1}};
    struct ib_err err = {0, ""};
    int rc, status = 1;

    f.props = ir_properties_new();
    rc = f.props != NULL ? ir_properties_from_args(f.props, &argc, argv, &err)
                         : ib_err_set(&err, IB_ENOMEM, "out of memory");
    if (rc == 0 && !take_options(&o, &argc, argv))
        rc = ib_err_set(&err, IB_EINVAL, "--pidfile needs the name of a file");
    if (rc != 0) {
        report(&f, &err);
    } else {
        rc = check_options(&f, &o);
        status = rc == 0 ? serve(&f, &o, argc, argv) : rc < 0;
    }
    frame_fini(&f);
    return status;
}
