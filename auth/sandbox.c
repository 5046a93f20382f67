/* SPDX-License-Identifier: Apache-2.0 */
/* The sandbox of the auth helpers: limits, another user, landlock, a filter of system calls. One kind hashes and needs
   a socket and memory; the other hosts PAM modules, which may need anything a login may need. */
#include "sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAM_FILES 256

/* --- limits ------------------------------------------------------------------------------------------------------- */

static void limit(int what, rlim_t n)
{
    struct rlimit now;
    if (getrlimit((__rlimit_resource_t)what, &now) == 0 && now.rlim_max > n) {
        now.rlim_max = n;
    }
    now.rlim_cur = now.rlim_max < n ? now.rlim_max : n;
    (void)setrlimit((__rlimit_resource_t)what, &now);
}

/* No core dumps with passwords in them; and for hashing no files beyond those open, none written, no children. */
static void set_limits(const struct auth_sandbox *s)
{
    limit(RLIMIT_CORE, 0);
    if (s->kind == AUTH_HELPER_PAM) {
        limit(RLIMIT_NOFILE, PAM_FILES);
        return;
    }
    limit(RLIMIT_NOFILE, (rlim_t)s->fd + 1);
    limit(RLIMIT_FSIZE, 0);
    limit(RLIMIT_NPROC, 0);
    limit(RLIMIT_MEMLOCK, 0);
    limit(RLIMIT_MSGQUEUE, 0);
}

static int become(const struct auth_sandbox *s, struct ib_err *err)
{
    errno = 0;
    bool ok = setgroups(0, NULL) == 0 && setresgid(s->gid, s->gid, s->gid) == 0 &&
              setresuid(s->uid, s->uid, s->uid) == 0 && getegid() == s->gid && geteuid() == s->uid;
    return ok ? 0
              : ib_err_set(err, IB_EINIT,
                           "it cannot become the user %u and group %u: %s; AuthUser names another (root: none)",
                           (unsigned)s->uid, (unsigned)s->gid, strerror(errno ? errno : EINVAL));
}

/* --- landlock ----------------------------------------------------------------------------------------------------- */

/* The kernel's struct as of ABI 6; older headers know less of it. */
struct ruleset {
    uint64_t fs, net, scoped;
};

#define FS_RIGHTS_V1 ((UINT64_C(1) << 13) - 1)
#define FS_REFER (UINT64_C(1) << 13)
#define FS_TRUNCATE (UINT64_C(1) << 14)
#define FS_IOCTL_DEV (UINT64_C(1) << 15)
#define NET_TCP UINT64_C(3) /* bind, connect */
#define SCOPED_ALL UINT64_C(3) /* abstract sockets, signals */

/* Every right this kernel knows is handled and none is granted. */
bool auth_sandbox_landlock(void)
{
    struct ruleset r = {.fs = FS_RIGHTS_V1};
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1) {
        return false;
    }
    r.fs |= (abi >= 2 ? FS_REFER : 0) | (abi >= 3 ? FS_TRUNCATE : 0) | (abi >= 5 ? FS_IOCTL_DEV : 0);
    r.net = abi >= 4 ? NET_TCP : 0;
    r.scoped = abi >= 6 ? SCOPED_ALL : 0;
    int fd = (int)syscall(SYS_landlock_create_ruleset, &r, sizeof(r), 0);
    if (fd < 0) {
        return false;
    }
    bool ok = syscall(SYS_landlock_restrict_self, fd, 0) == 0;
    (void)close(fd);
    return ok;
}

/* --- system calls ------------------------------------------------------------------------------------------------- */

/* Memory, time, locks, the way out. Whatever else is asked for fails with EPERM. */
static const int hash_calls[] = {
    SCMP_SYS(brk),         SCMP_SYS(munmap),        SCMP_SYS(mremap),          SCMP_SYS(madvise),
    SCMP_SYS(futex),       SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday),    SCMP_SYS(getrandom),
    SCMP_SYS(getpid),      SCMP_SYS(gettid),        SCMP_SYS(rt_sigreturn),    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(exit),        SCMP_SYS(exit_group),    SCMP_SYS(restart_syscall),
#ifdef MOULIN_SANITIZED /* what their runtimes need besides */
    SCMP_SYS(sched_yield), SCMP_SYS(sigaltstack),   SCMP_SYS(nanosleep),       SCMP_SYS(clock_nanosleep),
#endif
};

/* What no PAM module needs, and what would help most to get out or in. */
static const int pam_denied[] = {
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(kcmp),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(move_mount),
    SCMP_SYS(open_tree),
    SCMP_SYS(fsopen),
    SCMP_SYS(fsmount),
    SCMP_SYS(chroot),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(reboot),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(clock_adjtime),
    SCMP_SYS(adjtimex),
    SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname),
    SCMP_SYS(iopl),
    SCMP_SYS(ioperm),
    SCMP_SYS(quotactl),
    SCMP_SYS(acct),
    SCMP_SYS(mknod),
    SCMP_SYS(mknodat),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(syslog),
    SCMP_SYS(open_by_handle_at),
};

static struct scmp_arg_cmp is(unsigned arg, unsigned value)
{
    return (struct scmp_arg_cmp){.arg = arg, .op = SCMP_CMP_EQ, .datum_a = value};
}

static struct scmp_arg_cmp has_bits(unsigned arg, unsigned mask, unsigned value)
{
    return (struct scmp_arg_cmp){.arg = arg, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};
}

static int allow_hash(scmp_filter_ctx ctx, int fd)
{
    const uint32_t allow = SCMP_ACT_ALLOW;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof(hash_calls) / sizeof(hash_calls[0]); i++) {
        rc = seccomp_rule_add(ctx, allow, hash_calls[i], 0);
    }
    /* memory that is no file and cannot be run */
    rc = rc ? rc
            : seccomp_rule_add(ctx, allow, SCMP_SYS(mmap), 2, has_bits(2, PROT_EXEC, 0),
                               has_bits(3, MAP_ANONYMOUS, MAP_ANONYMOUS));
    rc = rc ? rc : seccomp_rule_add(ctx, allow, SCMP_SYS(mprotect), 1, has_bits(2, PROT_EXEC, 0));
    /* the one socket, and stderr for what an abort says */
    rc = rc ? rc : seccomp_rule_add(ctx, allow, SCMP_SYS(recvfrom), 1, is(0, (unsigned)fd));
    rc = rc ? rc : seccomp_rule_add(ctx, allow, SCMP_SYS(sendto), 2, is(0, (unsigned)fd), is(4, 0));
    return rc ? rc : seccomp_rule_add(ctx, allow, SCMP_SYS(write), 1, is(0, STDERR_FILENO));
}

/* Without no_new_privs, so that setuid programs which modules start still work: only root may. */
static int deny_pam(scmp_filter_ctx ctx)
{
    int rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 0);
    for (size_t i = 0; rc == 0 && i < sizeof(pam_denied) / sizeof(pam_denied[0]); i++) {
        rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), pam_denied[i], 0);
    }
    return rc;
}

static bool filter_calls(const struct auth_sandbox *s)
{
    bool hash = s->kind == AUTH_HELPER_HASH;
    scmp_filter_ctx ctx = seccomp_init(hash ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_ALLOW);
    if (!ctx) {
        return false;
    }
    bool ok = (hash ? allow_hash(ctx, s->fd) : deny_pam(ctx)) == 0 && seccomp_load(ctx) == 0;
    seccomp_release(ctx);
    return ok;
}

/* --- all of it ---------------------------------------------------------------------------------------------------- */

int auth_sandbox_enter(const struct auth_sandbox *s, char *missing, size_t cap, struct ib_err *err)
{
    missing[0] = '\0';
    (void)umask(077);
    (void)prctl(PR_SET_NAME, s->kind == AUTH_HELPER_PAM ? "moulin-pam" : "moulin-auth");
    if (s->drop) {
        int rc = become(s, err);
        if (rc != 0) {
            return rc;
        }
    }
    (void)prctl(PR_SET_DUMPABLE, 0); /* after the change of users, which sets it anew */
    if (s->kind == AUTH_HELPER_PAM) {
        set_limits(s);
        (void)filter_calls(s);
        return 0;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return ib_err_set(err, IB_EINIT, "no_new_privs: %s", strerror(errno));
    }
    bool landlock = auth_sandbox_landlock(); /* needs a descriptor: before the limits */
    set_limits(s);
    bool seccomp = filter_calls(s);
    (void)snprintf(missing, cap, "%s%s%s", landlock ? "" : "landlock", landlock || seccomp ? "" : " and ",
                   seccomp ? "" : "seccomp");
    return 0;
}
