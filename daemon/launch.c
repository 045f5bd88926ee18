#include "daemon/launch.h"

#include "common/alloc.h"
#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define UNIT_DIR     "/run/systemd/system"
#define SYSTEMCTL_MS 60000

/* ---- which process ----------------------------------------------------- */

/* Its start time in ticks since boot: with the pid it is unique.  0: none. */
static unsigned long long start_time(pid_t pid)
{
    char text[1024];
    unsigned long long start = 0;
    _autofree_ char *path = xasprintf("/proc/%d/stat", (int)pid);
    _autoclose_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    const char *rest = strrchr(text, ')');
    if (!rest || sscanf(rest + 1,
                        " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
                        "%*s %*s %*s %*s %*s %*s %*s %llu",
                        &start) != 1)
        return 0;
    return start;
}

static char *file_of(const struct launch *l, const char *suffix)
{
    return xasprintf("%s/%s.%s", l->dir, l->name, suffix);
}

static void write_line(const struct launch *l, const char *suffix,
                       const char *line)
{
    _autofree_ char *path = file_of(l, suffix);
    _autofree_ char *new = xasprintf("%s.new", path);
    _autofile_ FILE *f = fopen(new, "we");
    if (f && fprintf(f, "%s\n", line) > 0 && fflush(f) == 0)
        (void)rename(new, path);
}

static void note(const struct launch *l)
{
    _autofree_ char *pid = xasprintf("%d", (int)l->pid);
    _autofree_ char *all =
        xasprintf("%d %llu %" PRIu64, (int)l->pid, start_time(l->pid), l->hash);
    write_line(l, "pid", pid);
    write_line(l, "id", all);
}

static bool hold(struct launch *l, pid_t pid)
{
    l->pid = pid;
    l->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (l->pidfd >= 0)
        return true;
    l->pid = 0;
    return false;
}

bool launch_find(struct launch *l)
{
    int pid = 0;
    unsigned long long start = 0;
    _autofree_ char *path = file_of(l, "id");
    _autofile_ FILE *f = fopen(path, "re");
    if (!f || fscanf(f, "%d %llu %" SCNu64, &pid, &start, &l->hash) != 3 ||
        pid <= 1 || !hold(l, pid))
        return false;
    /* Looked at after it was held: a number that was given to someone else
     * has another time. */
    if (start && start_time(pid) == start)
        return true;
    launch_gone(l);
    return false;
}

int launch_gone(struct launch *l)
{
    int status = -1;
    if (l->pid > 0 && waitpid(l->pid, &status, WNOHANG) != l->pid)
        status = -1;
    if (l->pidfd >= 0)
        close(l->pidfd);
    l->pidfd = -1;
    l->pid = 0;
    return status;
}

/* ---- children ---------------------------------------------------------- */

static void become(const struct words *w, int in, int log)
{
    sigset_t none;
    sigemptyset(&none);
    if (dup2(in, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0 ||
        close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) != 0)
        _exit(126);
    setsid();
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    execvp(w->v[0], w->v);
    _exit(127);
}

static bool begin_child(struct launch *l, const struct words *w,
                        struct error *err)
{
    _autofree_ char *path = xasprintf("%s/%s.log", l->log_dir, l->name);
    _autoclose_ int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    _autoclose_ int log =
        open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (log < 0 || in < 0)
        return error_errno(err, ERR_INTERNAL, errno, "%s", path);
    pid_t pid = fork();
    if (pid == 0)
        become(w, in, log);
    if (pid < 0 || !hold(l, pid))
        return error_errno(err, ERR_INTERNAL, errno, "%s", l->name);
    l->hash = words_hash(w);
    note(l);
    return true;
}

static void end_child(struct launch *l, int sig)
{
    if (l->pidfd >= 0)
        syscall(SYS_pidfd_send_signal, l->pidfd, sig, NULL, 0);
}

const struct launch_ops launch_children = { begin_child, end_child };

/* ---- units of systemd -------------------------------------------------- */

static char *unit_name(const struct launch *l)
{
    return xasprintf("cairn-%s.service", l->name);
}

/* A word of ExecStart: quoted, and nothing in it means anything. */
static void add_word(FILE *f, const char *word)
{
    fputs(" \"", f);
    for (; *word; word++) {
        if (*word == '"' || *word == '\\')
            fputc('\\', f);
        if (*word == '%' || *word == '$')
            fputc(*word, f);
        fputc(*word, f);
    }
    fputc('"', f);
}

static bool write_unit(const struct launch *l, const struct words *w,
                       struct error *err)
{
    _autofree_ char *unit = unit_name(l);
    _autofree_ char *path = xasprintf(UNIT_DIR "/%s", unit);
    _autofile_ FILE *f = fopen(path, "we");
    if (!f)
        return error_errno(err, ERR_INTERNAL, errno, "%s", path);
    fprintf(f,
            "# Written by cairnd.\n[Unit]\nDescription=Cairn: %s\n"
            "StartLimitIntervalSec=0\n\n[Service]\nType=exec\n"
            "Restart=always\nRestartSec=1\nKillMode=process\n"
            "LimitNOFILE=65536\nTasksMax=infinity\n"
            "StandardOutput=append:%s/%s.log\nStandardError=inherit\n"
            "ExecStart=",
            l->name, l->log_dir, l->name);
    for (size_t i = 0; i < w->n; i++)
        add_word(f, w->v[i]);
    fputc('\n', f);
    return fflush(f) == 0 || error_errno(err, ERR_INTERNAL, errno, "%s", path);
}

static bool systemctl(struct buf *out, struct error *err, const char *verb,
                      const char *option, const char *unit)
{
    _autowords_ struct words w = WORDS_INIT;
    words_add(&w, "systemctl");
    words_add(&w, "%s", verb);
    if (option)
        words_add(&w, "%s", option);
    if (unit)
        words_add(&w, "%s", unit);
    return command_run(&w, SYSTEMCTL_MS, out, err);
}

static bool begin_unit(struct launch *l, const struct words *w,
                       struct error *err)
{
    struct buf out = BUF_INIT(4096);
    _autofree_ char *unit = unit_name(l);
    bool ok = write_unit(l, w, err) &&
              systemctl(NULL, err, "daemon-reload", NULL, NULL) &&
              systemctl(NULL, err, "start", NULL, unit) &&
              systemctl(&out, err, "show", "--property=MainPID", unit);
    const char *value = strchr(buf_str(&out), '=');
    int pid = ok && value ? atoi(value + 1) : 0;
    buf_free(&out);
    if (ok && (pid <= 1 || !hold(l, pid)))
        return error_set(err, ERR_INTERNAL, "%s did not stay", unit);
    if (!ok)
        return false;
    l->hash = words_hash(w);
    note(l);
    return true;
}

static void end_unit(struct launch *l, int sig)
{
    struct error err;
    _autofree_ char *unit = unit_name(l);
    if (sig == SIGKILL)
        systemctl(NULL, &err, "kill", "--signal=KILL", unit);
    else
        systemctl(NULL, &err, "stop", "--no-block", unit);
}

const struct launch_ops launch_units = { begin_unit, end_unit };

const struct launch_ops *launch_here(void)
{
    struct stat st;
    bool booted = lstat(UNIT_DIR, &st) == 0 && S_ISDIR(st.st_mode);
    return booted ? &launch_units : &launch_children;
}
