#include "daemon/supervisor.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/launch.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#define POLL_MOST_MS 60000

struct supervisor {
    struct supervisor_config c;
    char *dir, *log_dir;
    const struct launch_ops *ops;
    struct launch procs[SERVICES_MAX]; /* of the thread */
    int wake;
    pthread_t thread;
    pthread_mutex_t lock; /* all below */
    pthread_cond_t changed;
    struct services services;
    pid_t pids[SERVICES_MAX]; /* for describe */
    bool stop, stop_all;
};

static int64_t now_of(const struct supervisor *s)
{
    return env_mono(s->c.env);
}

static void *arg_of(const struct supervisor *s, const struct service_spec *spec)
{
    return spec->arg ? spec->arg : s->c.arg;
}

/* ---- acts: the lock is not held, they may take their time -------------- */

static bool begin(struct supervisor *s, size_t i)
{
    const struct service_spec *spec = &s->c.table[i];
    _autowords_ struct words w = WORDS_INIT;
    struct error err = { 0 };
    bool ok = !spec->prepare || spec->prepare(arg_of(s, spec), &err);
    if (ok && spec->command) {
        spec->command(arg_of(s, spec), &w);
        ok = s->ops->begin(&s->procs[i], &w, &err);
    }
    if (!ok)
        log_limited(LOG_WARN, "services", "%s: %s", spec->name, err.text);
    return ok;
}

static bool probe(struct supervisor *s, size_t i)
{
    const struct service_spec *spec = &s->c.table[i];
    return !spec->probe || spec->probe(arg_of(s, spec));
}

static void act(struct supervisor *s, enum service_act what, size_t i)
{
    bool ok = true;
    pthread_mutex_unlock(&s->lock);
    if (what == SERVICE_START)
        ok = begin(s, i);
    else if (what == SERVICE_PROBE)
        ok = probe(s, i);
    else
        s->ops->end(&s->procs[i], what == SERVICE_KILL ? SIGKILL : SIGTERM);
    pthread_mutex_lock(&s->lock);
    s->pids[i] = s->procs[i].pid;
    if (what == SERVICE_START)
        services_started(&s->services, i, ok, now_of(s));
    else if (what == SERVICE_PROBE)
        services_probed(&s->services, i, ok, now_of(s));
    pthread_cond_broadcast(&s->changed);
}

/* ---- what happens ------------------------------------------------------ */

static void say_end(const struct supervisor *s, size_t i, int status)
{
    const char *name = s->c.table[i].name;
    if (s->services.all[i].state == SERVICE_STOPPING)
        log_info("services", "%s was stopped", name);
    else if (status == -1)
        log_warn("services", "%s ended", name);
    else if (WIFSIGNALED(status))
        log_warn("services", "%s was killed by signal %d", name,
                 WTERMSIG(status));
    else
        log_warn("services", "%s ended with %d", name, WEXITSTATUS(status));
}

static void reap(struct supervisor *s, size_t i)
{
    say_end(s, i, launch_gone(&s->procs[i]));
    s->pids[i] = 0;
    services_ended(&s->services, i, now_of(s));
    pthread_cond_broadcast(&s->changed);
}

static int wait_ms(struct supervisor *s)
{
    int64_t due = services_due(&s->services), now = now_of(s);
    if (due <= now)
        return 0;
    if (due - now > POLL_MOST_MS * INT64_C(1000))
        return POLL_MOST_MS;
    return (int)((due - now + 999) / 1000);
}

/* Until something ends, somebody calls or something is due. */
static void wait_for_events(struct supervisor *s)
{
    struct pollfd p[SERVICES_MAX + 1];
    size_t n = s->c.n;
    uint64_t count;
    for (size_t i = 0; i < n; i++)
        p[i] = (struct pollfd){ s->procs[i].pidfd, POLLIN, 0 };
    p[n] = (struct pollfd){ s->wake, POLLIN, 0 };
    int ms = wait_ms(s);
    pthread_mutex_unlock(&s->lock);
    int rc = poll(p, n + 1, ms);
    if (rc > 0 && p[n].revents && read(s->wake, &count, sizeof(count)) < 0)
        log_warn("services", "eventfd: %s", strerror(errno));
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < n && rc > 0; i++)
        if (p[i].revents)
            reap(s, i);
}

static bool goes_on(struct supervisor *s)
{
    if (!s->stop)
        return true;
    if (!s->stop_all)
        return false;
    for (size_t i = 0; i < s->c.n; i++)
        services_want(&s->services, i, false);
    return !services_off(&s->services);
}

static void *run(void *arg)
{
    struct supervisor *s = arg;
    size_t i;
    pthread_mutex_lock(&s->lock);
    while (goes_on(s)) {
        enum service_act what = services_next(&s->services, now_of(s), &i);
        if (what != SERVICE_NOTHING)
            act(s, what, i);
        else
            wait_for_events(s);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- life -------------------------------------------------------------- */

static void adopt(struct supervisor *s, size_t i)
{
    const struct service_spec *spec = &s->c.table[i];
    _autowords_ struct words w = WORDS_INIT;
    if (!spec->command || !launch_find(&s->procs[i]))
        return;
    s->pids[i] = s->procs[i].pid;
    services_adopted(&s->services, i, now_of(s));
    spec->command(arg_of(s, spec), &w);
    bool same = words_hash(&w) == s->procs[i].hash;
    if (!same)
        services_restart(&s->services, i);
    log_info("services", "%s runs since earlier%s", spec->name,
             same ? "" : ", otherwise than it should now: it is restarted");
}

static bool fill(struct supervisor *s, struct error *err)
{
    for (size_t i = 0; i < s->c.n; i++) {
        const struct service_spec *spec = &s->c.table[i];
        if (!services_add(&s->services, spec->name, spec->after,
                          !spec->command))
            return error_set(err, ERR_INTERNAL, "service %s", spec->name);
        services_want(&s->services, i,
                      !spec->wanted || spec->wanted(arg_of(s, spec)));
        s->procs[i] = (struct launch){ .name = spec->name,
                                       .dir = s->dir,
                                       .log_dir = s->log_dir,
                                       .pidfd = -1 };
        adopt(s, i);
    }
    return true;
}

static bool make_dir(const char *path, struct error *err)
{
    return mkdir(path, 0755) == 0 || errno == EEXIST ||
           error_errno(err, ERR_INTERNAL, errno, "%s", path);
}

static void release(struct supervisor *s)
{
    for (size_t i = 0; i < s->c.n; i++)
        if (s->procs[i].pidfd > 0)
            close(s->procs[i].pidfd);
    if (s->wake >= 0)
        close(s->wake);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->changed);
    free(s->dir);
    free(s->log_dir);
    free(s);
}

static void init_locks(struct supervisor *s)
{
    pthread_condattr_t attr;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->changed, &attr);
    pthread_condattr_destroy(&attr);
}

struct supervisor *supervisor_start(const struct supervisor_config *config,
                                    struct error *err)
{
    struct supervisor *s = xcalloc(1, sizeof(*s));
    s->c = *config;
    s->dir = xstrdup(config->dir);
    s->log_dir = xstrdup(config->log_dir);
    s->ops = launch_here();
    s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    init_locks(s);
    if (make_dir(s->dir, err) && make_dir(s->log_dir, err) && fill(s, err)) {
        if (s->wake >= 0 && pthread_create(&s->thread, NULL, run, s) == 0)
            return s;
        error_set(err, ERR_INTERNAL, "no thread for the services");
    }
    release(s);
    return NULL;
}

static void poke(struct supervisor *s)
{
    static const uint64_t one = 1;
    if (write(s->wake, &one, sizeof(one)) < 0)
        log_warn("services", "eventfd: %s", strerror(errno));
}

void supervisor_free(struct supervisor *s, bool stop_all)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    s->stop_all = stop_all;
    pthread_mutex_unlock(&s->lock);
    poke(s);
    pthread_join(s->thread, NULL);
    release(s);
}

/* ---- calls ------------------------------------------------------------- */

static bool missing(const struct supervisor *s, struct error *err)
{
    struct buf names = BUF_INIT(400);
    for (size_t i = 0; i < s->services.n; i++) {
        const struct service *v = &s->services.all[i];
        if (v->wanted && (v->state != SERVICE_UP || !v->healthy))
            buf_addf(&names, "%s%s is %s", names.len ? ", " : "", v->name,
                     service_state_name(v->state));
    }
    error_set(err, ERR_TIMEOUT, "%s", buf_str(&names));
    buf_free(&names);
    return false;
}

static bool is_up(const struct supervisor *s, const char *name)
{
    size_t i = name ? services_find(&s->services, name) : SERVICES_MAX;
    return i == SERVICES_MAX ? services_ready(&s->services)
                             : s->services.all[i].state == SERVICE_UP;
}

bool supervisor_await(struct supervisor *s, const char *name,
                      int64_t timeout_us, struct error *err)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_us / SECOND_US;
    until.tv_nsec += timeout_us % SECOND_US * 1000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    int rc = 0;
    pthread_mutex_lock(&s->lock);
    while (!is_up(s, name) && rc == 0)
        rc = pthread_cond_timedwait(&s->changed, &s->lock, &until);
    bool ok = is_up(s, name) || missing(s, err);
    pthread_mutex_unlock(&s->lock);
    return ok;
}

void supervisor_restart(struct supervisor *s, const char *name)
{
    size_t i = services_find(&s->services, name);
    if (i == SERVICES_MAX)
        return;
    pthread_mutex_lock(&s->lock);
    services_restart(&s->services, i);
    pthread_mutex_unlock(&s->lock);
    poke(s);
}

void supervisor_hurry(struct supervisor *s)
{
    pthread_mutex_lock(&s->lock);
    services_hurry(&s->services, now_of(s));
    pthread_mutex_unlock(&s->lock);
    poke(s);
}

void supervisor_want(struct supervisor *s, const char *name, bool wanted)
{
    size_t i = services_find(&s->services, name);
    if (i == SERVICES_MAX)
        return;
    pthread_mutex_lock(&s->lock);
    services_want(&s->services, i, wanted);
    pthread_mutex_unlock(&s->lock);
    poke(s);
}

bool service_listens(const char *path)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    _autoclose_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || strlen(path) >= sizeof(sa.sun_path))
        return false;
    snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
    return connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0;
}
