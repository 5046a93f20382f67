/* SPDX-License-Identifier: Apache-2.0 */
/* What the auth helpers cannot do any more: children of this test enter the same sandbox and try. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox.h"

/* --- attempts: 0 when it worked, else errno ----------------------------------------------------------------------- */

static int outcome(long rc)
{
    return rc < 0 ? errno : 0;
}

static int read_a_file(void)
{
    return outcome(syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY));
}

static int write_a_file(void)
{
    return outcome(syscall(SYS_openat, AT_FDCWD, "/tmp/moulin-sandbox", O_WRONLY | O_CREAT, 0600));
}

static int make_a_directory(void)
{
    return outcome(syscall(SYS_mkdirat, AT_FDCWD, "/tmp/moulin-sandbox", 0700));
}

static int inet_socket(void)
{
    return outcome(syscall(SYS_socket, AF_INET, SOCK_STREAM, 0));
}

static int unix_socket(void)
{
    return outcome(syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0));
}

static int execute(void)
{
    char name[] = "/bin/true", *argv[] = {name, NULL}, *envp[] = {NULL};
    return outcome(syscall(SYS_execve, name, argv, envp));
}

static int spawn(void)
{
    long pid = syscall(SYS_clone, (long)SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) {
        _exit(0);
    }
    return outcome(pid);
}

static int signal_the_parent(void)
{
    return outcome(syscall(SYS_kill, 1, 0));
}

static int trace(void)
{
    return outcome(syscall(SYS_ptrace, (long)PTRACE_TRACEME, 0, 0, 0));
}

static int run_memory(void)
{
    return outcome(
        syscall(SYS_mmap, NULL, 4096UL, (long)(PROT_READ | PROT_EXEC), (long)(MAP_PRIVATE | MAP_ANONYMOUS), -1L, 0L));
}

static int make_memory_run(void)
{
    static char page[8192];
    uintptr_t at = ((uintptr_t)page + 4095) & ~(uintptr_t)4095;
    return outcome(syscall(SYS_mprotect, at, 4096UL, (long)(PROT_READ | PROT_EXEC)));
}

static int say_elsewhere(void)
{
    struct sockaddr to = {.sa_family = AF_UNIX};
    return outcome(syscall(SYS_sendto, 0L, "x", 1UL, 0L, &to, sizeof(to)));
}

static int dump_again(void)
{
    return outcome(syscall(SYS_prctl, (long)PR_SET_DUMPABLE, 1L, 0L, 0L, 0L));
}

static int mount_something(void)
{
    return outcome(syscall(SYS_mount, "none", "/nonexistent", "tmpfs", 0L, NULL));
}

static int new_namespace(void)
{
    return outcome(syscall(SYS_unshare, (long)CLONE_FS));
}

typedef int (*attempt_fn)(void);

/* --- children ----------------------------------------------------------------------------------------------------- */

struct report {
    int code; /* of auth_sandbox_enter */
    char missing[100];
    int outcomes[24];
};

struct prisoner {
    pid_t pid;
    int fd;
    struct report report;
};

_Noreturn static void serve(int fd, struct auth_sandbox s, const attempt_fn *attempts, size_t n)
{
    struct report r = {0};
    char c;
    s.fd = fd;
    r.code = auth_sandbox_enter(&s, r.missing, sizeof(r.missing), NULL);
    for (size_t i = 0; i < n; i++) {
        r.outcomes[i] = attempts[i]();
    }
    (void)send(fd, &r, sizeof(r), 0);
    (void)recv(fd, &c, 1, 0); /* until it was looked at */
    _exit(0);
}

static struct prisoner imprison(struct auth_sandbox s, const attempt_fn *attempts, size_t n)
{
    struct prisoner p;
    int sv[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
    p.pid = fork();
    assert_true(p.pid >= 0);
    if (p.pid == 0) {
        (void)close(sv[0]);
        serve(sv[1], s, attempts, n);
    }
    (void)close(sv[1]);
    p.fd = sv[0];
    assert_int_equal(recv(p.fd, &p.report, sizeof(p.report), 0), sizeof(p.report));
    return p;
}

static void release(struct prisoner *p)
{
    int status = -1;
    (void)close(p->fd);
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* The number after `name:' in the process's status file. */
static long status_of(const struct prisoner *p, const char *name)
{
    char path[64], line[256];
    long n = -1;
    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)p->pid);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f)) {
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':') {
            n = strtol(line + strlen(name) + 1, NULL, 10);
        }
    }
    (void)fclose(f);
    return n;
}

/* CAP_SYS_ADMIN: a filter without no_new_privs needs it. */
static bool may_filter(void)
{
    unsigned long long effective = 0;
    char line[256];
    FILE *f = fopen("/proc/self/status", "r");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f)) {
        (void)sscanf(line, "CapEff: %llx", &effective);
    }
    (void)fclose(f);
    return effective >> 21 & 1;
}

/* --- tests -------------------------------------------------------------------------------------------------------- */

static void a_hashing_helper_can_only_hash(void **state)
{
    (void)state;
    const attempt_fn attempts[] = {read_a_file,   write_a_file, make_a_directory,  inet_socket,     unix_socket,
                                   execute,       spawn,        signal_the_parent, trace,           run_memory,
                                   say_elsewhere, dump_again,   mount_something,   make_memory_run, new_namespace};
    const size_t n = sizeof(attempts) / sizeof(attempts[0]);
    struct prisoner p = imprison((struct auth_sandbox){.kind = AUTH_HELPER_HASH}, attempts, n);
    assert_int_equal(p.report.code, 0);
    for (size_t i = 0; i < n; i++) {
        if (p.report.outcomes[i] != EPERM) {
            fail_msg("attempt %zu: %s", i, p.report.outcomes[i] ? strerror(p.report.outcomes[i]) : "it worked");
        }
    }
    assert_int_equal(status_of(&p, "NoNewPrivs"), 1);
    assert_int_equal(status_of(&p, "Seccomp"), 2);
    assert_null(strstr(p.report.missing, "seccomp"));
    bool has_landlock = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
    assert_string_equal(p.report.missing, has_landlock ? "" : "landlock");
    struct rlimit core;
    assert_int_equal(prlimit(p.pid, RLIMIT_CORE, NULL, &core), 0);
    assert_true(core.rlim_cur == 0 && core.rlim_max == 0);
    release(&p);
}

static void a_pam_helper_has_a_looser_one(void **state)
{
    (void)state;
    const attempt_fn attempts[] = {read_a_file, inet_socket, unix_socket, spawn, mount_something, trace, new_namespace};
    struct prisoner p = imprison((struct auth_sandbox){.kind = AUTH_HELPER_PAM}, attempts, may_filter() ? 7 : 4);
    assert_int_equal(p.report.code, 0);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(p.report.outcomes[i], 0);
    }
    /* as it was: setuid helpers of modules work */
    assert_int_equal(status_of(&p, "NoNewPrivs"), prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    if (may_filter()) {
        for (size_t i = 4; i < 7; i++) {
            assert_int_equal(p.report.outcomes[i], EPERM);
        }
        assert_int_equal(status_of(&p, "Seccomp"), 2);
    }
    struct rlimit core;
    assert_int_equal(prlimit(p.pid, RLIMIT_CORE, NULL, &core), 0);
    assert_int_equal(core.rlim_cur, 0);
    release(&p);
}

static void root_becomes_somebody_else(void **state)
{
    (void)state;
    const struct auth_sandbox s = {.kind = AUTH_HELPER_HASH, .drop = true, .uid = 65533, .gid = 65532};
    struct prisoner p = imprison(s, NULL, 0);
    if (geteuid() == 0) {
        assert_int_equal(p.report.code, 0);
        assert_int_equal(status_of(&p, "Uid"), 65533);
        assert_int_equal(status_of(&p, "Gid"), 65532);
        assert_int_equal(status_of(&p, "Groups"), 0); /* none: nothing but blanks */
    } else {
        assert_int_equal(p.report.code, IB_EINIT);
    }
    release(&p);
}

static int landlock_and_read(void)
{
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return auth_sandbox_landlock() ? read_a_file() : ENOSYS;
}

/* The second wall stands without the first. */
static void landlock_takes_the_files_away(void **state)
{
    (void)state;
    const attempt_fn attempts[] = {read_a_file, landlock_and_read, write_a_file};
    struct prisoner p = imprison((struct auth_sandbox){.kind = AUTH_HELPER_PAM}, attempts, 3);
    bool has_landlock = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
    assert_int_equal(p.report.outcomes[0], 0);
    assert_int_equal(p.report.outcomes[1], has_landlock ? EACCES : ENOSYS);
    if (has_landlock) {
        assert_int_equal(p.report.outcomes[2], EACCES);
    }
    release(&p);
    (void)unlink("/tmp/moulin-sandbox");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hashing_helper_can_only_hash),
        cmocka_unit_test(a_pam_helper_has_a_looser_one),
        cmocka_unit_test(root_becomes_somebody_else),
        cmocka_unit_test(landlock_takes_the_files_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
