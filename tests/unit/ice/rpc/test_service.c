/* SPDX-License-Identifier: Apache-2.0 */
/* The frame of a daemon, run in child processes: options, exit statuses, signals, the pid file. */
#include "test.h"

#include <moulin/rpc/service.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* A role whose behaviour its first property says. */
struct role {
    struct ic_loop *loop;
    const char *mode;
    struct ic_timer timer;
    void (*done)(void *arg);
    void *arg;
};

static void tick(void *arg)
{
    struct role *r = arg;

    if (r->done != NULL)
        r->done(r->arg);
    else
        ir_service_quit(r->loop);
}

static void *role_start(struct ic_loop *loop, struct ir_properties *props, int argc, char **argv, struct ib_err *err)
{
    struct role *r = calloc(1, sizeof(*r));

    r->loop = loop;
    r->mode = ir_properties_get(props, "Moulin.Mode");
    if (strcmp(r->mode, "fail") == 0 || argc > 1) {
        ib_err_set(err, argc > 1 ? IB_EINVAL : IB_ECONFIG, argc > 1 ? "invalid option: `%s'" : "no luck%s",
                   argc > 1 ? argv[1] : "");
        free(r);
        return NULL;
    }
    ic_timer_init(&r->timer, loop, tick, r);
    if (strcmp(r->mode, "quit") == 0)
        ic_timer_start(&r->timer, 1);
    printf("running\n");
    fflush(stdout);
    return r;
}

static void role_stop(void *state, void (*done)(void *arg), void *arg)
{
    struct role *r = state;

    r->done = done;
    r->arg = arg;
    printf("stopping\n");
    fflush(stdout);
    if (strcmp(r->mode, "stuck") != 0)
        ic_timer_start(&r->timer, 1);
}

static void role_free(void *state)
{
    struct role *r = state;

    ic_timer_fini(&r->timer);
    free(r);
}

static void role_reload(void *state)
{
    (void)state;
    printf("reloaded\n");
    fflush(stdout);
}

static const struct ir_service service = {"test",     "--role  of the role\n", role_start, role_stop, role_free,
                                          role_reload};

/* --- children ---------------------------------------------------------------------------------------------------- */

struct child {
    pid_t pid;
    FILE *out; /* stdout */
    char err_path[64];
    char err[8000];
};

static void child_start(struct child *c, char *a1, char *a2, char *a3)
{
    int fds[2], err_fd;

    snprintf(c->err_path, sizeof(c->err_path), "/tmp/moulin-service-XXXXXX");
    err_fd = mkstemp(c->err_path);
    assert_true(err_fd >= 0 && pipe(fds) == 0);
    fflush(NULL);
    c->pid = fork();
    assert_true(c->pid >= 0);
    if (c->pid == 0) {
        char name[] = "prog";
        char *argv[] = {name, a1, a2, a3, NULL};
        int argc = 1;

        while (argv[argc] != NULL)
            argc++;
        dup2(fds[1], 1);
        dup2(err_fd, 2);
        close(fds[0]);
        close(fds[1]);
        close(err_fd);
        _exit(ir_service_main(&service, argc, argv));
    }
    close(fds[1]);
    close(err_fd);
    c->out = fdopen(fds[0], "r");
}

static void child_expect(struct child *c, const char *line)
{
    char got[200] = "";

    assert_non_null(fgets(got, sizeof(got), c->out));
    got[strcspn(got, "\n")] = 0;
    assert_string_equal(got, line);
}

static int child_end(struct child *c)
{
    int status;
    FILE *f;

    while (waitpid(c->pid, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    f = fopen(c->err_path, "r");
    c->err[fread(c->err, 1, sizeof(c->err) - 1, f)] = 0;
    fclose(f);
    unlink(c->err_path);
    fclose(c->out);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* --- cases ------------------------------------------------------------------------------------------------------- */

static char opt_help[] = "--help", opt_version[] = "-v", opt_noclose[] = "--noclose", opt_bogus[] = "--bogus",
            opt_fail[] = "--Moulin.Mode=fail", opt_quit[] = "--Moulin.Mode=quit", opt_stuck[] = "--Moulin.Mode=stuck",
            opt_nohup[] = "--Ice.Nohup=0", opt_pid[] = "--Ice.PrintProcessId", opt_daemon[] = "--daemon",
            opt_typo[] = "--Ice.Trace.Netwrk=1", opt_pidfile[] = "--pidfile", opt_nochdir[] = "--nochdir";

static void help_and_version(void **state)
{
    (void)state;
    struct child c;

    child_start(&c, opt_help, NULL, NULL);
    assert_int_equal(child_end(&c), 0);
    assert_non_null(strstr(c.err, "Usage: prog"));
    assert_non_null(strstr(c.err, "--role  of the role"));
    child_start(&c, opt_version, NULL, NULL);
    assert_int_equal(child_end(&c), 0);
    assert_int_equal(strspn(c.err, "0123456789.\n"), strlen(c.err));
}

static void refusals(void **state)
{
    (void)state;
    struct child c;

    child_start(&c, opt_noclose, NULL, NULL);
    assert_int_equal(child_end(&c), 1);
    assert_string_equal(c.err, "prog: --noclose must be used with --daemon\n");
    child_start(&c, opt_bogus, NULL, NULL);
    assert_int_equal(child_end(&c), 1);
    assert_int_equal(strncmp(c.err, "!! ", 3), 0);
    assert_non_null(strstr(c.err, "prog: error: invalid option: `--bogus'"));
    assert_non_null(strstr(c.err, "Usage: prog"));
    child_start(&c, opt_fail, NULL, NULL);
    assert_int_equal(child_end(&c), 1);
    assert_non_null(strstr(c.err, "prog: error: no luck"));
    assert_null(strstr(c.err, "Usage"));
    child_start(&c, opt_pidfile, NULL, NULL);
    assert_int_equal(child_end(&c), 1);
    assert_non_null(strstr(c.err, "--pidfile"));
}

static void term_and_quit(void **state)
{
    (void)state;
    static const int signals[] = {SIGTERM, SIGINT};
    struct child c;

    for (size_t i = 0; i < 2; i++) {
        child_start(&c, opt_typo, NULL, NULL);
        child_expect(&c, "running");
        kill(c.pid, SIGPIPE);
        kill(c.pid, signals[i]);
        child_expect(&c, "stopping");
        assert_int_equal(child_end(&c), 0);
        assert_non_null(strstr(c.err, "warning: unknown property: `Ice.Trace.Netwrk'"));
    }
    child_start(&c, opt_quit, NULL, NULL);
    child_expect(&c, "running");
    child_expect(&c, "stopping");
    assert_int_equal(child_end(&c), 0);
}

static void hangup(void **state)
{
    (void)state;
    struct child c;

    child_start(&c, NULL, NULL, NULL);
    child_expect(&c, "running");
    kill(c.pid, SIGHUP);
    child_expect(&c, "reloaded");
    kill(c.pid, SIGTERM);
    child_expect(&c, "stopping");
    assert_int_equal(child_end(&c), 0);
    child_start(&c, opt_nohup, NULL, NULL);
    child_expect(&c, "running");
    kill(c.pid, SIGHUP);
    child_expect(&c, "stopping");
    assert_int_equal(child_end(&c), 0);
}

static void second_signal(void **state)
{
    (void)state;
    struct child c;

    child_start(&c, opt_stuck, NULL, NULL);
    child_expect(&c, "running");
    kill(c.pid, SIGTERM);
    child_expect(&c, "stopping");
    kill(c.pid, SIGTERM);
    assert_int_equal(child_end(&c), 1);
    assert_non_null(strstr(c.err, "second signal"));
}

static void process_id(void **state)
{
    (void)state;
    struct child c;
    char want[32];

    child_start(&c, opt_pid, opt_quit, NULL);
    snprintf(want, sizeof(want), "%ld", (long)c.pid);
    child_expect(&c, want);
    child_expect(&c, "running");
    child_expect(&c, "stopping");
    assert_int_equal(child_end(&c), 0);
}

static void daemonised(void **state)
{
    (void)state;
    char path[] = "/tmp/moulin-pid-XXXXXX", option[100];
    struct child c;
    long pid = 0;
    FILE *f;

    close(mkstemp(path));
    snprintf(option, sizeof(option), "--pidfile=%s", path);
    child_start(&c, opt_daemon, opt_nochdir, option);
    assert_int_equal(child_end(&c), 0); /* the parent, once the daemon runs */
    f = fopen(path, "r");
    assert_int_equal(fscanf(f, "%ld", &pid), 1);
    fclose(f);
    assert_true(pid > 1 && pid != c.pid);
    assert_int_equal(kill((pid_t)pid, SIGTERM), 0);
    unlink(path);
    child_start(&c, opt_daemon, opt_nochdir, opt_fail);
    assert_int_equal(child_end(&c), 1);
    assert_non_null(strstr(c.err, "error: no luck"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_and_version), cmocka_unit_test(refusals),      cmocka_unit_test(term_and_quit),
        cmocka_unit_test(hangup),           cmocka_unit_test(second_signal), cmocka_unit_test(process_id),
        cmocka_unit_test(daemonised),
    };

    unsetenv("ICE_CONFIG");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
