#include "compute/kvm_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/env.h"

/* The ROM: the kernel at its start, the reset vector 16 bytes before its end.
 */
#define ROM_SIZE     65536
#define RESET_VECTOR 0xfff0
/* QEMU's exit status for the 0x2a that the kernel writes to isa-debug-exit. */
#define DONE_STATUS (0x2a << 1 | 1)
/* The file descriptors of the child: /dev/null, letters, messages, the ROM. */
#define CHILD_ROM 3

extern const unsigned char kvm_probe_kernel[], kvm_probe_kernel_end[];

/* What the kernel does, in its order, and the letter it writes after each. */
static const struct stage {
    char letter;
    const char *name;
} stages[] = {
    { 'R', "real mode" },
    { 'P', "protected mode" },
    { 'L', "long mode with paging" },
    { 'C', "CPUID" },
    { 'E', "an exception" },
    { 'T', "timer interrupts" },
    { 'F', "floating point" },
    { 'A', "a 16-byte atomic exchange" },
    { 'W', "plain computing at the processor's speed" },
};

/* One run of QEMU. */
struct run {
    const char *accel;
    int deadline_ms;
    pid_t pid; /* 0: none, or reaped */
    int pidfd;
    int out;             /* read end of its standard output: the letters */
    int err;             /* and of its standard error */
    struct buf letters;  /* the first of what it wrote there */
    struct buf messages; /* and there */
    bool gave_up;        /* the deadline passed, or KVM reported an error */
    int status;          /* exit status, or minus a signal */
};

/* Kills by pidfd: that cannot hit another process. */
static void run_reap(struct run *run, bool kill_first)
{
    siginfo_t info = { 0 };
    if (!run->pid)
        return;
    if (kill_first)
        pidfd_send_signal(run->pidfd, SIGKILL, NULL, 0);
    while (waitid(P_PIDFD, run->pidfd, &info, WEXITED) < 0 && errno == EINTR)
        ;
    run->status = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
    run->pid = 0;
}

static void run_end(struct run *run)
{
    run_reap(run, true);
    cleanup_close(&run->pidfd);
    cleanup_close(&run->out);
    cleanup_close(&run->err);
    buf_free(&run->letters);
    buf_free(&run->messages);
}

/* Moves a file out of the range that child_files() overwrites (a daemon may
 * have closed its standard files); -1 with errno set. */
static int move_up(int fd)
{
    int up = fcntl(fd, F_DUPFD_CLOEXEC, CHILD_ROM + 1);
    int saved = errno;
    close(fd);
    errno = saved;
    return up;
}

/* The ROM as a file without a name; -1 with errno set. */
static int make_rom(void)
{
    static const unsigned char far_jump[] = { 0xea, 0, 0, 0, 0xf0 };
    size_t size = kvm_probe_kernel_end - kvm_probe_kernel;
    _autoclose_ int fd = memfd_create("kvm-probe", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, ROM_SIZE) < 0 ||
        pwrite(fd, kvm_probe_kernel, size, 0) != (ssize_t)size ||
        pwrite(fd, far_jump, sizeof(far_jump), RESET_VECTOR) !=
            sizeof(far_jump))
        return -1;
    return move_up(steal_fd(&fd));
}

/* The child's files: exactly those of CHILD_ROM's comment. */
static int child_files(posix_spawn_file_actions_t *files, int out, int err,
                       int rom)
{
    int rc =
        posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDONLY, 0);
    if (!rc)
        rc = posix_spawn_file_actions_adddup2(files, out, 1);
    if (!rc)
        rc = posix_spawn_file_actions_adddup2(files, err, 2);
    if (!rc)
        rc = posix_spawn_file_actions_adddup2(files, rom, CHILD_ROM);
    if (!rc)
        rc = posix_spawn_file_actions_addclosefrom_np(files, CHILD_ROM + 1);
    return rc;
}

/* A daemon's threads block signals and ignore some: the child gets them all. */
static int child_signals(posix_spawnattr_t *attr)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(attr, &none);
    posix_spawnattr_setsigdefault(attr, &all);
    return posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF);
}

/* 0, or an errno. */
static int spawn(struct run *run, char *const argv[], int out, int err, int rom)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attr);
    int rc = child_files(&files, out, err, rom);
    if (!rc)
        rc = child_signals(&attr);
    if (!rc)
        rc = posix_spawnp(&run->pid, argv[0], &files, &attr, argv, environ);
    if (rc)
        run->pid = 0;
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    return rc;
}

/* The ROM by way of /proc: a private /dev may have no fd in it. */
static int spawn_qemu(struct run *run, const char *qemu, int out, int err,
                      int rom)
{
    bool kvm = strcmp(run->accel, "kvm") == 0;
    const char *argv[] = {
        qemu,          "-no-user-config",
        "-nodefaults", "-no-reboot",
        "-display",    "none",
        "-M",          "pc",
        "-m",          "16",
        "-accel",      run->accel,
        "-cpu",        kvm ? "host" : "max",
        "-bios",       "/proc/self/fd/3",
        "-debugcon",   "stdio",
        "-device",     "isa-debug-exit,iobase=0xf4,iosize=1",
        NULL,
    };
    return spawn(run, (char *const *)argv, out, err, rom);
}

/* If we are killed meanwhile, a guest that spins ends by its processor time. */
static void limit_processor_time(const struct run *run)
{
    rlim_t seconds = run->deadline_ms / 1000 + 2;
    struct rlimit limit = { seconds, seconds };
    prlimit(run->pid, RLIMIT_CPU, &limit, NULL);
}

static bool make_pipe(int *in, int *out)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return false;
    *in = move_up(ends[0]);
    *out = move_up(ends[1]);
    return *in >= 0 && *out >= 0;
}

static bool run_start(struct run *run, const char *qemu, struct error *e)
{
    _autoclose_ int rom = make_rom(), out = -1, err = -1;
    if (rom < 0 || !make_pipe(&run->out, &out) || !make_pipe(&run->err, &err))
        return error_errno(e, ERR_INTERNAL, errno, "KVM probe");
    int rc = spawn_qemu(run, qemu, out, err, rom);
    if (rc)
        return error_errno(e, ERR_UNAVAILABLE, rc, "cannot start %s", qemu);
    run->pidfd = pidfd_open(run->pid, 0);
    if (run->pidfd < 0) {
        rc = errno;
        kill(run->pid, SIGKILL);
        waitpid(run->pid, NULL, 0);
        run->pid = 0;
        return error_errno(e, ERR_INTERNAL, rc, "KVM probe");
    }
    limit_processor_time(run);
    return true;
}

/* Takes what is there; at the end of the stream closes it, so that poll()
 * does not report it again. */
static void take(int *fd, struct buf *into)
{
    char chunk[512];
    ssize_t n = read(*fd, chunk, sizeof(chunk));
    if (n > 0) {
        size_t room = into->max - into->len;
        buf_add(into, chunk, (size_t)n < room ? (size_t)n : room);
    } else if (n == 0 || errno != EINTR) {
        close(*fd);
        *fd = -1;
    }
}

/* After this message QEMU keeps the dead guest for whoever wants to look. */
static bool kvm_failed(const struct run *run)
{
    return strstr(buf_str(&run->messages), "KVM internal error") != NULL;
}

/* Waits for one event at most `ms`; false when QEMU has ended and all it wrote
 * has been read, or when there is no more to wait for. */
static bool wait_event(struct run *run, int ms)
{
    struct pollfd fds[] = {
        { .fd = run->out, .events = POLLIN },
        { .fd = run->err, .events = POLLIN },
        { .fd = run->pidfd, .events = POLLIN },
    };
    if (poll(fds, ARRAY_SIZE(fds), ms) < 0)
        return errno == EINTR;
    if (fds[0].revents)
        take(&run->out, &run->letters);
    if (fds[1].revents)
        take(&run->err, &run->messages);
    if (kvm_failed(run))
        return false;
    return fds[0].revents || fds[1].revents || !fds[2].revents;
}

static void run_watch(struct run *run, int64_t started)
{
    int64_t end = started + run->deadline_ms * INT64_C(1000);
    int64_t left;
    while ((left = end - env_mono(&env_system)) > 0)
        if (!wait_event(run, (int)(left / 1000) + 1))
            break;
    run->gave_up = left <= 0 || kvm_failed(run);
    run_reap(run, run->gave_up);
}

/* How many stages it went through. */
static size_t progress(const struct run *run)
{
    size_t n = 0;
    while (n < ARRAY_SIZE(stages) && n < run->letters.len &&
           run->letters.data[n] == stages[n].letter)
        n++;
    return n;
}

/* The first line that QEMU wrote and that is not a mere warning; its length,
 * 0 if there is none. */
static int complaint(const struct run *run, const char **line)
{
    const char *s = buf_str(&run->messages);
    while (*s) {
        int len = (int)strcspn(s, "\n");
        const char *warning = strstr(s, "warning:");
        *line = s;
        if (len && (!warning || warning >= s + len))
            return len;
        s += len + (s[len] == '\n');
    }
    return 0;
}

/* How a run that did not succeed ended. */
static void describe_end(const struct run *run, char *text, size_t size)
{
    const char *line = NULL;
    int len = complaint(run, &line);
    if (len)
        snprintf(text, size, "%.*s", len, line);
    else if (run->gave_up)
        snprintf(text, size, "no end within %d ms", run->deadline_ms);
    else if (run->status < 0)
        snprintf(text, size, "QEMU ended by signal %d", -run->status);
    else
        snprintf(text, size, "QEMU ended with status %d", run->status);
}

static void judge(const struct run *run, struct kvm_probe_result *result)
{
    size_t done = progress(run);
    char end[160];
    result->usable = done == ARRAY_SIZE(stages) && !run->gave_up &&
                     run->status == DONE_STATUS;
    if (result->usable) {
        snprintf(result->reason, sizeof(result->reason),
                 "a test guest ran under %s in %d ms", run->accel, result->ms);
        return;
    }
    describe_end(run, end, sizeof(end));
    snprintf(result->reason, sizeof(result->reason),
             "a test guest under %s failed at %s: %s", run->accel,
             done < ARRAY_SIZE(stages) ? stages[done].name : "its end", end);
}

/* Whether QEMU need not be asked. */
static bool no_device(const char *accel, struct kvm_probe_result *result)
{
    if (strcmp(accel, "kvm") != 0 || access("/dev/kvm", R_OK | W_OK) == 0)
        return false;
    snprintf(result->reason, sizeof(result->reason), "/dev/kvm: %s",
             strerrordesc_np(errno));
    return true;
}

bool kvm_probe(const struct kvm_probe_opts *opts,
               struct kvm_probe_result *result, struct error *err)
{
    const char *qemu = opts->qemu ? opts->qemu : "qemu-system-x86_64";
    int64_t started = env_mono(&env_system);
    _cleanup_(run_end) struct run run = {
        .accel = opts->accel ? opts->accel : "kvm",
        .deadline_ms =
            opts->deadline_ms ? opts->deadline_ms : KVM_PROBE_DEADLINE_MS,
        .pidfd = -1,
        .out = -1,
        .err = -1,
        .letters = BUF_INIT(64),
        .messages = BUF_INIT(2048),
    };
    *result = (struct kvm_probe_result){ 0 };
    if (run.deadline_ms < 0)
        return error_set(err, ERR_INVALID, "KVM probe: negative deadline");
    if (no_device(run.accel, result))
        return true;
    if (!run_start(&run, qemu, err))
        return false;
    run_watch(&run, started);
    result->ms = (int)((env_mono(&env_system) - started) / 1000);
    judge(&run, result);
    return true;
}
