#include "daemon/jail.h"

#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool failed(struct error *err, const char *what)
{
    return error_errno(err, ERR_INTERNAL, errno, "jail: %s", what);
}

/* ---- an empty world ---------------------------------------------------- */

/* A mount namespace whose root is an empty, read-only file system. */
static bool empty_root(const char *root, struct error *err)
{
    unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0)
        return failed(err, "own namespaces");
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", root, "tmpfs", flags, "size=4k,nr_inodes=2,mode=555") !=
            0 ||
        mount(NULL, root, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags,
              NULL) != 0)
        return failed(err, "an empty root");
    if (chdir(root) != 0 || syscall(SYS_pivot_root, ".", ".") != 0 ||
        umount2(".", MNT_DETACH) != 0 || chdir("/") != 0)
        return failed(err, "changing the root");
    return true;
}

static bool limit(int what, rlim_t most, struct error *err)
{
    struct rlimit l = { most, most };
    return setrlimit((__rlimit_resource_t)what, &l) == 0 ||
           failed(err, "resource limits");
}

static bool limits(const struct jail *j, struct error *err)
{
    return limit(RLIMIT_NOFILE, j->files, err) && limit(RLIMIT_CORE, 0, err) &&
           limit(RLIMIT_MEMLOCK, 0, err) && limit(RLIMIT_MSGQUEUE, 0, err) &&
           limit(RLIMIT_NPROC, 256, err);
}

static bool drop_capabilities(struct error *err)
{
    struct __user_cap_header_struct head = {
        .version = _LINUX_CAPABILITY_VERSION_3,
    };
    struct __user_cap_data_struct none[2] = { 0 };
    if (syscall(SYS_capset, &head, none) != 0)
        return failed(err, "dropping capabilities");
    return true;
}

/* No program could ever get them back by its file's attributes either. */
static bool drop_bounding_set(struct error *err)
{
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
        if (prctl(PR_CAPBSET_DROP, cap) != 0)
            return failed(err, "the capabilities' bounding set");
    return true;
}

static bool drop_user(const struct jail *j, struct error *err)
{
    if (setgroups(0, NULL) != 0 || setresgid(j->gid, j->gid, j->gid) != 0 ||
        setresuid(j->uid, j->uid, j->uid) != 0)
        return failed(err, "changing the user");
    if (setuid(0) == 0)
        return error_set(err, ERR_INTERNAL, "jail: root can be had again");
    return true;
}

/* ---- system calls ------------------------------------------------------ */

/* What serving needs.  Everything else fails with EPERM. */
static const int allowed[] = {
    /* bytes */
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(pread64),
    SCMP_SYS(pwrite64),
    SCMP_SYS(lseek),
    SCMP_SYS(sendfile),
    SCMP_SYS(close),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(fsync),
    SCMP_SYS(fdatasync),
    SCMP_SYS(dup),
    SCMP_SYS(fcntl),
    SCMP_SYS(pipe2),
    SCMP_SYS(eventfd2),
    /* sockets that are there */
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(sendmsg),
    SCMP_SYS(shutdown),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(select),
    SCMP_SYS(pselect6),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    /* memory */
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    /* threads; clone only for them, see below */
    SCMP_SYS(futex),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(membarrier),
    /* signals to itself */
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigtimedwait),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(tgkill),
    /* time, chance, who am I */
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(getrandom),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(sysinfo),
    SCMP_SYS(uname),
};

/* What nobody but an intruder tries. */
static const int deadly[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(socket),
    SCMP_SYS(socketpair),
    SCMP_SYS(connect),
    SCMP_SYS(bind),
    SCMP_SYS(listen),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(setuid),
    SCMP_SYS(setgid),
    SCMP_SYS(setresuid),
    SCMP_SYS(setresgid),
    SCMP_SYS(capset),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(symlinkat),
    SCMP_SYS(mknodat),
};

static bool add_rules(scmp_filter_ctx ctx)
{
    int rc = 0;
    for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
        rc |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
    for (size_t i = 0; i < ARRAY_SIZE(deadly); i++)
        rc |= seccomp_rule_add(ctx, SCMP_ACT_KILL_PROCESS, deadly[i], 0);
    /* Memory is never made executable. */
    rc |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                           SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    rc |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                           SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    /* Threads, no processes.  clone3's flags cannot be seen from here: libc
     * falls back to clone. */
    rc |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                           SCMP_A0(SCMP_CMP_MASKED_EQ,
                                   CLONE_THREAD | CLONE_NEWUSER, CLONE_THREAD));
    rc |= seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    /* Reading one's own limits only. */
    rc |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1,
                           SCMP_A2(SCMP_CMP_EQ, 0));
    /* Thread names. */
    rc |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
                           SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
    return rc == 0;
}

static bool filter_calls(struct error *err)
{
    if (!JAIL_FILTERS)
        return true;
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    bool ok = ctx && add_rules(ctx) && seccomp_load(ctx) == 0;
    seccomp_release(ctx);
    return ok || error_set(err, ERR_INTERNAL,
                           "jail: the system call filter is not accepted");
}

bool jail_enter(const struct jail *jail, struct error *err)
{
    if (jail->uid == 0)
        return true;
    if (!empty_root(jail->root, err) || !limits(jail, err) ||
        !drop_bounding_set(err) || !drop_user(jail, err) ||
        !drop_capabilities(err))
        return false;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return failed(err, "no new privileges");
    return filter_calls(err);
}
