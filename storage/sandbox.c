#include "storage/sandbox.h"

#include "common/alloc.h"
#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* ---- the system call filter -------------------------------------------- */

/* A program that reads disk images needs none of these.  What is not named
 * is allowed: the list must not break with the next qemu-img. */
static const int denied[] = {
    SCMP_SYS(socket),
    SCMP_SYS(socketpair),
    SCMP_SYS(connect),
    SCMP_SYS(bind),
    SCMP_SYS(listen),
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(process_madvise),
    SCMP_SYS(kcmp),
    SCMP_SYS(pidfd_open),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(pidfd_send_signal),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(open_tree),
    SCMP_SYS(move_mount),
    SCMP_SYS(fsopen),
    SCMP_SYS(fsconfig),
    SCMP_SYS(fsmount),
    SCMP_SYS(fspick),
    SCMP_SYS(mount_setattr),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(mknod),
    SCMP_SYS(mknodat),
    SCMP_SYS(name_to_handle_at),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(quotactl),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(reboot),
    SCMP_SYS(acct),
    SCMP_SYS(syslog),
    SCMP_SYS(personality),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(adjtimex),
    SCMP_SYS(clock_adjtime),
    SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname),
    SCMP_SYS(setuid),
    SCMP_SYS(setgid),
    SCMP_SYS(setresuid),
    SCMP_SYS(setresgid),
    SCMP_SYS(setgroups),
    SCMP_SYS(capset),
    SCMP_SYS(vmsplice),
    SCMP_SYS(inotify_init1),
    SCMP_SYS(fanotify_init),
    SCMP_SYS(shmget),
    SCMP_SYS(msgget),
    SCMP_SYS(semget),
    SCMP_SYS(mq_open),
};

static pthread_once_t filter_once = PTHREAD_ONCE_INIT;
static struct sock_fprog filter_program; /* len 0: could not be made */

static bool filter_rules(scmp_filter_ctx ctx)
{
    for (size_t i = 0; i < ARRAY_SIZE(denied); i++)
        if (seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), denied[i], 0) < 0)
            return false;
    /* New user namespaces would give rights back; threads are fine.  clone3
     * hides its flags from a filter: glibc takes clone when it is missing. */
    return seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                            SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWUSER,
                                    CLONE_NEWUSER)) == 0 &&
           seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) ==
               0;
}

/* Made once and kept as plain BPF: the child may not allocate memory. */
static void filter_make(void)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    if (!ctx)
        return;
    _autoclose_ int fd = memfd_create("filter", MFD_CLOEXEC);
    struct stat st;
    if (fd >= 0 && filter_rules(ctx) && seccomp_export_bpf(ctx, fd) == 0 &&
        fstat(fd, &st) == 0 && st.st_size > 0) {
        struct sock_filter *code = xmalloc((size_t)st.st_size);
        if (pread(fd, code, (size_t)st.st_size, 0) == st.st_size)
            filter_program = (struct sock_fprog){
                (unsigned short)((size_t)st.st_size / sizeof(*code)), code
            };
        else
            free(code);
    }
    seccomp_release(ctx);
}

/* ---- the child --------------------------------------------------------- */

/* Everything the child needs, made ready before the fork: between fork and
 * exec it may only make system calls (other threads may hold any lock). */
struct plan {
    const struct sandbox_job *job;
    int out, errors; /* ends of the pipes */
    int report;      /* pipe: struct failure, closed by a successful exec */
    char *usr, *targets[SANDBOX_BINDS_MAX];
    char *links[3];
};

struct failure {
    int errnum;
    char step[28];
};

static const char *const link_names[] = { "lib", "lib64", "bin" };
static const char *const link_targets[] = { "usr/lib", "usr/lib64", "usr/bin" };

static void __attribute__((noreturn))
child_fail(const struct plan *p, const char *step)
{
    struct failure f = { .errnum = errno };
    for (size_t i = 0; step[i] && i + 1 < sizeof(f.step); i++)
        f.step[i] = step[i];
    ssize_t ignored = write(p->report, &f, sizeof(f));
    (void)ignored;
    _exit(126);
}

static void child_need(const struct plan *p, bool ok, const char *step)
{
    if (!ok)
        child_fail(p, step);
}

static bool bind_mount(const char *from, const char *to, unsigned long flags)
{
    return mount(from, to, NULL, MS_BIND, NULL) == 0 &&
           mount(NULL, to, NULL,
                 MS_BIND | MS_REMOUNT | MS_NOSUID | MS_NODEV | flags,
                 NULL) == 0;
}

/* A root of /usr, the files, and nothing else. */
static void child_root(const struct plan *p)
{
    const struct sandbox_job *j = p->job;
    const char *root = j->confine->root;
    child_need(p, mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0,
               "private mounts");
    child_need(p,
               mount("cairn", root, "tmpfs", MS_NOSUID | MS_NODEV,
                     "mode=0755,size=64k") == 0,
               "a root");
    child_need(p, mkdir(p->usr, 0755) == 0, "usr");
    child_need(p, bind_mount("/usr", p->usr, MS_RDONLY), "usr");
    for (size_t i = 0; i < ARRAY_SIZE(link_names); i++)
        child_need(p, symlink(link_targets[i], p->links[i]) == 0, "links");
    for (size_t i = 0; i < j->n_binds; i++) {
        int fd = open(p->targets[i], O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
        child_need(p, fd >= 0, "a file's place");
        close(fd);
        child_need(
            p,
            bind_mount(j->binds[i].from, p->targets[i],
                       MS_NOEXEC | (j->binds[i].writable ? 0 : MS_RDONLY)),
            "a file");
    }
    child_need(p,
               chdir(root) == 0 && syscall(SYS_pivot_root, ".", ".") == 0 &&
                   umount2(".", MNT_DETACH) == 0 && chdir("/") == 0,
               "the root");
    child_need(p,
               mount(NULL, "/", NULL,
                     MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV,
                     NULL) == 0,
               "the root");
}

static void child_limit(const struct plan *p, __rlimit_resource_t what,
                        int64_t n)
{
    struct rlimit l = { (rlim_t)n, (rlim_t)n };
    child_need(p, setrlimit(what, &l) == 0, "limits");
}

static void child_confine(const struct plan *p)
{
    const struct sandbox_limits *c = p->job->confine;
    child_root(p);
    child_limit(p, RLIMIT_CPU, c->cpu_s);
    child_limit(p, RLIMIT_AS, c->memory);
    child_limit(p, RLIMIT_FSIZE, c->file_size);
    child_limit(p, RLIMIT_NOFILE, 64);
    child_limit(p, RLIMIT_CORE, 0);
    /* glibc's own calls would tell threads that do not exist here. */
    child_need(p,
               syscall(SYS_setgroups, 0, NULL) == 0 &&
                   syscall(SYS_setresgid, c->gid, c->gid, c->gid) == 0 &&
                   syscall(SYS_setresuid, c->uid, c->uid, c->uid) == 0,
               "another user");
    child_need(p,
               prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter_program) == 0,
               "the system call filter");
}

static void __attribute__((noreturn)) child_run(const struct plan *p)
{
    static const char *const environment[] = { "PATH=/usr/bin", "LC_ALL=C",
                                               NULL };
    sigset_t none;
    sigemptyset(&none);
    int in = open("/dev/null", O_RDONLY);
    child_need(p,
               in >= 0 && dup2(in, 0) == 0 && dup2(p->out, 1) == 1 &&
                   dup2(p->errors, 2) == 2,
               "descriptors");
    child_need(p, syscall(SYS_close_range, 3, ~0U, 1U << 2) == 0,
               "descriptors"); /* 1 << 2: close them at exec */
    for (int sig = 1; sig < 32; sig++)
        signal(sig, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    child_need(p, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0,
               "no new privileges");
    if (p->job->confine)
        child_confine(p);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* changing the user clears it */
    execve(p->job->argv[0], (char *const *)p->job->argv,
           (char *const *)environment);
    child_fail(p, "exec");
}

/* ---- the parent -------------------------------------------------------- */

/* fork, with namespaces; raw, because glibc's has no flags. */
static pid_t fork_with(unsigned long flags)
{
    return (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
}

static void plan_free(struct plan *p)
{
    free(p->usr);
    for (size_t i = 0; i < ARRAY_SIZE(p->targets); i++)
        free(p->targets[i]);
    for (size_t i = 0; i < ARRAY_SIZE(p->links); i++)
        free(p->links[i]);
}

static void plan_paths(struct plan *p)
{
    const struct sandbox_job *j = p->job;
    if (!j->confine)
        return;
    const char *root = j->confine->root;
    p->usr = xasprintf("%s/usr", root);
    for (size_t i = 0; i < ARRAY_SIZE(link_names); i++)
        p->links[i] = xasprintf("%s/%s", root, link_names[i]);
    for (size_t i = 0; i < j->n_binds; i++)
        p->targets[i] = xasprintf("%s/%s", root, j->binds[i].name);
}

struct pipes {
    int out[2], errors[2], report[2];
};

static bool pipes_open(struct pipes *p, struct error *err)
{
    *p = (struct pipes){ { -1, -1 }, { -1, -1 }, { -1, -1 } };
    if (pipe2(p->out, O_CLOEXEC) < 0 || pipe2(p->errors, O_CLOEXEC) < 0 ||
        pipe2(p->report, O_CLOEXEC) < 0)
        return error_errno(err, ERR_INTERNAL, errno, "cannot make a pipe");
    return true;
}

static void close_one(int *fd)
{
    cleanup_close(fd);
    *fd = -1;
}

static void pipes_close(struct pipes *p)
{
    int *all[] = { &p->out[0],    &p->out[1],    &p->errors[0],
                   &p->errors[1], &p->report[0], &p->report[1] };
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        close_one(all[i]);
}

/* Reads what is there; false at the end.  More than fits is thrown away. */
static bool drain(int fd, struct buf *to)
{
    char chunk[4096];
    ssize_t n = read(fd, chunk, sizeof(chunk));
    if (n < 0)
        return errno == EINTR || errno == EAGAIN;
    size_t room = to->max - to->len;
    buf_add(to, chunk, (size_t)n < room ? (size_t)n : room);
    return n > 0;
}

/* Collects output until both streams end or the deadline; false = late. */
static bool collect(struct pipes *p, struct sandbox_result *r,
                    const struct env *env, int64_t deadline)
{
    struct pollfd fds[2] = { { p->out[0], POLLIN, 0 },
                             { p->errors[0], POLLIN, 0 } };
    struct buf *to[2] = { &r->out, &r->errors };
    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        int64_t left = (deadline - env_mono(env)) / 1000;
        if (left <= 0)
            return false;
        if (poll(fds, 2, (int)(left < 1000 ? left : 1000)) <= 0)
            continue;
        for (int i = 0; i < 2; i++)
            if (fds[i].fd >= 0 && fds[i].revents && !drain(fds[i].fd, to[i]))
                fds[i].fd = -1;
    }
    return true;
}

/* Waits for the end of the child, which has closed its output already;
 * false = late. */
static bool reap(pid_t *pid, int *status, const struct env *env,
                 int64_t deadline)
{
    _autoclose_ int fd = (int)syscall(SYS_pidfd_open, *pid, 0);
    for (;;) {
        pid_t got = waitpid(*pid, status, WNOHANG);
        if (got < 0)
            *pid = -1; /* somebody else has: the number may be anyone's */
        if (got != 0)
            return true;
        int64_t left = (deadline - env_mono(env)) / 1000;
        if (left <= 0)
            return false;
        struct pollfd f = { fd, POLLIN, 0 };
        poll(&f, 1, (int)(fd >= 0 && left < 1000 ? left : 10));
    }
}

static bool finish(pid_t pid, struct pipes *p, const struct sandbox_job *job,
                   const struct env *env, struct sandbox_result *r,
                   struct error *err)
{
    int64_t deadline = env_mono(env) + job->timeout_us;
    int status = 0;
    if (!collect(p, r, env, deadline) || !reap(&pid, &status, env, deadline)) {
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        return error_set(err, ERR_TIMEOUT, "%s did not end within %lld s",
                         job->argv[0],
                         (long long)(job->timeout_us / SECOND_US));
    }
    if (pid < 0)
        return error_set(err, ERR_INTERNAL,
                         "the end of %s was taken by somebody else",
                         job->argv[0]);
    struct failure f;
    if (read(p->report[0], &f, sizeof(f)) == (ssize_t)sizeof(f)) {
        f.step[sizeof(f.step) - 1] = '\0';
        return error_errno(err, ERR_UNAVAILABLE, f.errnum,
                           "cannot run %s: no sandbox (%s)", job->argv[0],
                           f.step);
    }
    r->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return true;
}

static bool start(struct plan *plan, struct pipes *pipes, pid_t *pid,
                  struct error *err)
{
    unsigned long flags = 0;
    if (plan->job->confine) {
        flags = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC |
                CLONE_NEWUTS;
        pthread_once(&filter_once, filter_make);
        if (filter_program.len == 0)
            return error_set(err, ERR_UNAVAILABLE,
                             "the system call filter cannot be made");
    }
    plan->out = pipes->out[1];
    plan->errors = pipes->errors[1];
    plan->report = pipes->report[1];
    *pid = fork_with(flags);
    if (*pid == 0)
        child_run(plan);
    int saved = errno;
    close_one(&pipes->out[1]);
    close_one(&pipes->errors[1]);
    close_one(&pipes->report[1]);
    if (*pid < 0)
        return error_errno(err, ERR_UNAVAILABLE, saved,
                           "cannot make a process for %s", plan->job->argv[0]);
    return true;
}

bool sandbox_run(const struct sandbox_job *job, const struct env *env,
                 struct sandbox_result *result, struct error *err)
{
    struct plan plan = { .job = job };
    struct pipes pipes;
    pid_t pid = -1;
    *result = (struct sandbox_result){ .out = BUF_INIT(SANDBOX_OUTPUT_MAX),
                                       .errors = BUF_INIT(SANDBOX_OUTPUT_MAX) };
    plan_paths(&plan);
    bool ok = pipes_open(&pipes, err) && start(&plan, &pipes, &pid, err) &&
              finish(pid, &pipes, job, env, result, err);
    pipes_close(&pipes);
    plan_free(&plan);
    return ok;
}

void sandbox_result_free(struct sandbox_result *result)
{
    buf_free(&result->out);
    buf_free(&result->errors);
}
