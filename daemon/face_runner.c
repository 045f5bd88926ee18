#include "daemon/face_runner.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define SETTLED_US     (2 * SECOND_US)
#define PAUSE_FIRST_US (SECOND_US / 20)
#define PAUSE_MOST_US  (5 * SECOND_US)
#define STOP_US        (FACE_GRACE_US + 4 * SECOND_US)

struct face_runner {
    struct face_runner_config c;
    int exe; /* this program, even if its file is replaced meanwhile */
    pthread_t thread;
    pthread_mutex_t lock; /* all below */
    pthread_cond_t changed;
    struct store_server *server; /* of the face that runs */
    pid_t pid;
    bool stop;
    char *cert, *key;          /* what `settings` has, once they were renewed */
    unsigned renewed, started; /* how often; as the running face was told */
};

/* ---- one face ---------------------------------------------------------- */

/* What the new process is given, all above FACE_SETTINGS_FD. */
struct gifts {
    int store, settings;
};

/* The text, a secret, as a file to be read from its beginning; wipes it. */
static int secret_fd(struct buf *text, struct error *err)
{
    _autoclose_ int fd = memfd_create("settings", MFD_CLOEXEC);
    bool ok = fd >= 0 && !text->overflow &&
              write(fd, text->data, text->len) == (ssize_t)text->len &&
              lseek(fd, 0, SEEK_SET) == 0;
    OPENSSL_cleanse(text->data, text->len);
    buf_free(text);
    if (!ok) {
        error_errno(err, ERR_INTERNAL, errno, "settings for the face");
        return -1;
    }
    return fcntl(fd, F_DUPFD_CLOEXEC, 10);
}

static int settings_fd(const struct face_settings *s, struct error *err)
{
    struct buf text = BUF_INIT(FACE_SETTINGS_MAX);
    face_settings_write(s, &text);
    return secret_fd(&text, err);
}

/* Under the lock. */
static void push_certificate(struct face_runner *r)
{
    struct error err = { 0 };
    struct buf text = BUF_INIT(FACE_SETTINGS_MAX);
    face_certificate_write(r->cert, r->key, &text);
    _autoclose_ int fd = secret_fd(&text, &err);
    if (fd < 0 ||
        !store_server_send_fd(r->server, FACE_PUSH_CERTIFICATE, "{}", fd, &err))
        log_err("face", "its certificate: %s", err.text);
    r->started = r->renewed;
}

/* In the new process, between fork and exec: system calls only. */
static void become_face(const struct face_runner *r, const struct gifts *g,
                        int listen_fd, int exe)
{
    static char name[] = "cairnd", option[] = "--face";
    char *argv[] = { name, option, NULL }, *environment[] = { NULL };
    sigset_t none;
    sigemptyset(&none);
    if (dup2(g->store, FACE_STORE_FD) < 0 ||
        dup2(listen_fd, FACE_LISTEN_FD) < 0 ||
        dup2(g->settings, FACE_SETTINGS_FD) < 0 ||
        close_range(FACE_SETTINGS_FD + 1, ~0u, CLOSE_RANGE_CLOEXEC) != 0)
        _exit(126);
    sigprocmask(SIG_SETMASK, &none, NULL);
    syscall(SYS_execveat, exe, "", argv, environment, AT_EMPTY_PATH);
    _exit(127);
}

static pid_t spawn(struct face_runner *r, int store, struct error *err)
{
    _autoclose_ int settings = settings_fd(&r->c.settings, err);
    _autoclose_ int high_store = fcntl(store, F_DUPFD_CLOEXEC, 10);
    _autoclose_ int high_listen = fcntl(r->c.listen_fd, F_DUPFD_CLOEXEC, 10);
    if (settings < 0 || high_store < 0 || high_listen < 0) {
        error_errno(err, ERR_INTERNAL, errno, "descriptors for the face");
        return -1;
    }
    struct gifts gifts = { high_store, settings };
    pid_t pid = fork();
    if (pid == 0)
        become_face(r, &gifts, high_listen, r->exe);
    if (pid < 0)
        error_errno(err, ERR_INTERNAL, errno, "a process for the face");
    return pid;
}

/* It may have closed its connection without ending: then it is of no use,
 * whatever it does. */
static void on_closed(void *arg)
{
    struct face_runner *r = arg;
    pthread_mutex_lock(&r->lock);
    if (r->pid > 0 && !r->stop)
        kill(r->pid, SIGKILL);
    pthread_mutex_unlock(&r->lock);
}

static bool on_call(void *arg, const char *op, const char *json,
                    struct buf *out, int *fd, struct error *err)
{
    struct face_runner *r = arg;
    return r->c.call(r->c.arg, op, json, out, fd, err);
}

static bool face_begin(struct face_runner *r, struct error *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return error_errno(err, ERR_INTERNAL, errno, "a socket for the face");
    pthread_mutex_lock(&r->lock);
    r->started = r->renewed;
    r->pid = spawn(r, pair[1], err);
    bool ok = r->pid > 0;
    if (!ok)
        r->pid = 0;
    close(pair[1]);
    pthread_mutex_unlock(&r->lock);
    if (!ok) {
        close(pair[0]);
        return false;
    }
    const struct store_server_hooks hooks = {
        .call = on_call, .rights = r->c.rights, .closed = on_closed, .arg = r
    };
    struct store_server *server = store_server_new(r->c.store, pair[0], &hooks);
    pthread_mutex_lock(&r->lock);
    r->server = server;
    if (r->started != r->renewed) /* while it was being started */
        push_certificate(r);
    pthread_mutex_unlock(&r->lock);
    if (r->c.started)
        r->c.started(r->c.arg);
    return true;
}

static void say_end(int status)
{
    if (WIFSIGNALED(status))
        log_warn("face", "was killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        log_info("face", "ended with %d", WEXITSTATUS(status));
}

/* Waits without reaping, so that its number stays its own while others may
 * still signal it. */
static void face_await(struct face_runner *r)
{
    siginfo_t info;
    int status = 0;
    while (waitid(P_PID, (id_t)r->pid, &info, WEXITED | WNOWAIT) != 0 &&
           errno == EINTR)
        ;
    pthread_mutex_lock(&r->lock);
    waitpid(r->pid, &status, 0);
    r->pid = 0;
    struct store_server *server = r->server;
    r->server = NULL;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    say_end(status);
    store_server_free(server);
    if (r->c.ended)
        r->c.ended(r->c.arg);
}

/* ---- one after the other ----------------------------------------------- */

static void timed_wait(struct face_runner *r, int64_t us)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + us * 1000;
    until.tv_sec += ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    pthread_cond_timedwait(&r->changed, &r->lock, &until);
}

static bool pause_for(struct face_runner *r, int64_t us)
{
    pthread_mutex_lock(&r->lock);
    if (!r->stop && us)
        timed_wait(r, us);
    bool go_on = !r->stop;
    pthread_mutex_unlock(&r->lock);
    return go_on;
}

static void *run(void *arg)
{
    struct face_runner *r = arg;
    struct error err = { 0 };
    int64_t pause = 0;
    while (pause_for(r, pause)) {
        int64_t began = env_mono(r->c.env);
        if (face_begin(r, &err))
            face_await(r);
        else
            log_err("face", "%s", err.text);
        bool settled = env_mono(r->c.env) - began > SETTLED_US;
        pause = settled ? 0 : pause ? pause * 2 : PAUSE_FIRST_US;
        pause = pause > PAUSE_MOST_US ? PAUSE_MOST_US : pause;
    }
    return NULL;
}

struct face_runner *face_runner_start(const struct face_runner_config *config,
                                      struct error *err)
{
    struct face_runner *r = xcalloc(1, sizeof(*r));
    pthread_condattr_t attr;
    r->c = *config;
    r->exe = open("/proc/self/exe", O_PATH | O_CLOEXEC);
    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&r->changed, &attr);
    pthread_condattr_destroy(&attr);
    int high = fcntl(r->exe, F_DUPFD_CLOEXEC, 10);
    close(r->exe);
    r->exe = high;
    if (r->exe >= 0 && pthread_create(&r->thread, NULL, run, r) == 0)
        return r;
    error_errno(err, ERR_INTERNAL, errno, "cannot start a face");
    free(r);
    return NULL;
}

bool face_runner_push(struct face_runner *r, const char *name, const char *json,
                      int fd)
{
    struct error err = { 0 };
    pthread_mutex_lock(&r->lock);
    bool ok =
        r->server && store_server_send_fd(r->server, name, json, fd, &err);
    pthread_mutex_unlock(&r->lock);
    if (err.code != ERR_NONE)
        log_warn("face", "%s: %s", name, err.text);
    return ok;
}

static void wipe(char *secret)
{
    if (secret)
        OPENSSL_cleanse(secret, strlen(secret));
    free(secret);
}

void face_runner_certificate(struct face_runner *r, const char *cert,
                             const char *key)
{
    pthread_mutex_lock(&r->lock);
    free(r->cert);
    wipe(r->key);
    r->c.settings.cert = r->cert = xstrdup(cert);
    r->c.settings.key = r->key = xstrdup(key);
    r->renewed++;
    if (r->server)
        push_certificate(r);
    pthread_mutex_unlock(&r->lock);
}

void face_runner_stop(struct face_runner *r)
{
    if (!r)
        return;
    int64_t until = env_mono(r->c.env) + STOP_US;
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    pthread_cond_broadcast(&r->changed);
    if (r->pid > 0)
        kill(r->pid, SIGTERM);
    while (r->pid > 0 && env_mono(r->c.env) < until)
        timed_wait(r, SECOND_US / 4);
    if (r->pid > 0)
        kill(r->pid, SIGKILL);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    close(r->exe);
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->changed);
    free(r->cert);
    wipe(r->key);
    free(r);
}
