#include "daemon/command.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/env.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define OUTPUT_MAX (1024 * 1024)
#define TIMEOUT_MS 10000

/* ---- words ------------------------------------------------------------- */

void words_add(struct words *w, const char *fmt, ...)
{
    va_list args;
    if (w->n == WORDS_MAX)
        abort(); /* the tables of this program are at fault */
    va_start(args, fmt);
    if (vasprintf(&w->v[w->n], fmt, args) < 0)
        abort();
    va_end(args);
    w->v[++w->n] = NULL;
}

void words_list(struct words *w, const char *const *list)
{
    for (; *list; list++)
        words_add(w, "%s", *list);
}

void words_free(struct words *w)
{
    for (size_t i = 0; i < w->n; i++)
        free(w->v[i]);
    *w = WORDS_INIT;
}

/* FNV-1a. */
uint64_t words_hash(const struct words *w)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < w->n; i++)
        for (const char *c = w->v[i];; c++) {
            h = (h ^ (unsigned char)*c) * 1099511628211u;
            if (!*c)
                break;
        }
    return h;
}

/* ---- one run ----------------------------------------------------------- */

/* In the new process: system calls only. */
static void become(const struct words *w, int in, int out)
{
    sigset_t none;
    sigemptyset(&none);
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 ||
        close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) != 0)
        _exit(126);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    if (w->v[0])
        execvp(w->v[0], w->v);
    _exit(127);
}

static int ms_left(int64_t until)
{
    int64_t left = (until - env_mono(&env_system)) / 1000;
    return left > 0 ? (int)left : 0;
}

/* Until it closes its output; false when the time is over. */
static bool collect(int fd, struct buf *out, int64_t until)
{
    char bytes[4096];
    for (;;) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int rc = poll(&p, 1, ms_left(until));
        if (rc == 0)
            return false;
        ssize_t n = rc < 0 ? -1 : read(fd, bytes, sizeof(bytes));
        if (n == 0)
            return true;
        if (n > 0)
            buf_add(out, bytes, (size_t)n);
        else if (errno != EINTR)
            return true;
    }
}

/* And what follows it: newlines. */
static const char *last_line(const struct buf *b)
{
    const char *text = buf_str(b);
    size_t len = b->len;
    while (len && text[len - 1] == '\n')
        len--;
    size_t at = len;
    while (at && text[at - 1] != '\n')
        at--;
    return text + at;
}

static bool verdict(const struct words *w, pid_t pid, bool in_time,
                    struct buf *out, struct error *err)
{
    int status = 0;
    if (!in_time)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!in_time)
        return error_set(err, ERR_TIMEOUT, "%s did not end", w->v[0]);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    const char *why = out->len ? last_line(out) : "failed";
    return error_set(err, ERR_INTERNAL, "%s: %.*s", w->v[0],
                     (int)strcspn(why, "\n"), why);
}

bool command_run(const struct words *w, int timeout_ms, struct buf *out,
                 struct error *err)
{
    int pipe_fds[2];
    _autoclose_ int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct buf own = BUF_INIT(OUTPUT_MAX);
    struct buf *to = out ? out : &own;
    int64_t until = env_mono(&env_system) + timeout_ms * INT64_C(1000);
    if (!w->n)
        return error_set(err, ERR_INVALID, "no command");
    if (in < 0 || pipe2(pipe_fds, O_CLOEXEC) != 0)
        return error_errno(err, ERR_INTERNAL, errno, "%s", w->v[0]);
    pid_t pid = fork();
    if (pid == 0)
        become(w, in, pipe_fds[1]);
    close(pipe_fds[1]);
    bool ok = pid > 0
                  ? verdict(w, pid, collect(pipe_fds[0], to, until), to, err)
                  : error_errno(err, ERR_INTERNAL, errno, "%s", w->v[0]);
    close(pipe_fds[0]);
    buf_free(&own);
    return ok;
}

bool command_do(struct error *err, const char *word, ...)
{
    _autowords_ struct words w = WORDS_INIT;
    va_list args;
    va_start(args, word);
    for (; word; word = va_arg(args, const char *))
        words_add(&w, "%s", word);
    va_end(args);
    return command_run(&w, TIMEOUT_MS, NULL, err);
}
