/* daemon: cairnd as a whole on loopback, without libvirt or OVN: it starts,
 * answers, loses its face, is killed, comes back, and stops in order. */
#include "tempdir.h"
#include "test.h"

#include "common/alloc.h"
#include "common/buf.h"
#include "common/env.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct cairnd {
    char dir[TEMPDIR_MAX], program[600], config[TEMPDIR_MAX + 16];
    char tsan[TEMPDIR_MAX + 32];
    int port;
    pid_t pid;
};

static int free_port(void)
{
    struct sockaddr_in sa = { .sin_family = AF_INET };
    socklen_t len = sizeof(sa);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (void *)&sa, sizeof(sa)), 0);
    assert_int_equal(getsockname(fd, (void *)&sa, &len), 0);
    close(fd);
    return ntohs(sa.sin_port);
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void spawn(struct cairnd *d)
{
    d->pid = fork();
    if (d->pid == 0) {
        char log[TEMPDIR_MAX + 16];
        snprintf(log, sizeof(log), "%s/log", d->dir);
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
        dup2(fd, 2);
        /* libvirt's event loop is glib's, which a thread sanitizer cannot
         * look into: what it says of those two is noise. */
        setenv("TSAN_OPTIONS", d->tsan, 1);
        execl(d->program, "cairnd", "--config", d->config, (char *)NULL);
        _exit(127);
    }
    assert_true(d->pid > 0);
}

static void dump_log(struct cairnd *d)
{
    char line[1000], log[TEMPDIR_MAX + 16];
    snprintf(log, sizeof(log), "%s/log", d->dir);
    FILE *f = fopen(log, "r");
    while (f && fgets(line, sizeof(line), f))
        fprintf(stderr, "  | %s", line);
    if (f)
        fclose(f);
}

/* One request; the status, 0 when there was no answer. */
static int ask(struct cairnd *d, const char *method, const char *path,
               const char *token, const char *body, struct buf *answer)
{
    struct sockaddr_in sa = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)d->port) };
    struct timeval tv = { .tv_sec = 10 };
    struct buf text = BUF_INIT(64 * 1024);
    int status = 0, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char c[4096];
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    buf_addf(&text,
             "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n"
             "Content-Type: application/json\r\nContent-Length: %zu\r\n",
             method, path, d->port, strlen(body));
    if (token)
        buf_addf(&text, "X-Auth-Token: %s\r\n", token);
    buf_addf(&text, "\r\n%s", body);
    buf_reset(answer);
    if (connect(fd, (void *)&sa, sizeof(sa)) == 0 &&
        send(fd, text.data, text.len, MSG_NOSIGNAL) == (ssize_t)text.len)
        for (ssize_t n; (n = read(fd, c, sizeof(c))) > 0;)
            buf_add(answer, c, (size_t)n);
    sscanf(buf_str(answer), "HTTP/1.1 %d", &status);
    buf_free(&text);
    close(fd);
    return status;
}

/* Milliseconds until it answers, -1: not within `seconds`. */
static int64_t answers(struct cairnd *d, int seconds)
{
    struct buf a = BUF_INIT(1024 * 1024);
    int64_t begun = env_mono(&env_system), ms = -1;
    while (ms < 0 && env_mono(&env_system) - begun < seconds * SECOND_US) {
        if (ask(d, "GET", "/identity/v3", NULL, "", &a) == 200)
            ms = (env_mono(&env_system) - begun) / 1000;
        else
            usleep(5000);
    }
    buf_free(&a);
    return ms;
}

static int64_t must_answer(struct cairnd *d, int seconds)
{
    int64_t ms = answers(d, seconds);
    if (ms < 0) {
        dump_log(d);
        fail_msg("no answer within %d s", seconds);
    }
    return ms;
}

static int setup(void **state)
{
    struct cairnd *d = xcalloc(1, sizeof(*d));
    char path[TEMPDIR_MAX + 16], text[4000];
    ssize_t n = readlink("/proc/self/exe", d->program, 500);
    assert_true(n > 0);
    d->program[n] = '\0';
    char *name = strrchr(d->program, '/'); /* of build/tests */
    snprintf(name, sizeof(d->program) - (size_t)(name - d->program),
             "/../cairnd");
    tempdir_make(d->dir);
    d->port = free_port();
    snprintf(path, sizeof(path), "%s/tsan", d->dir);
    write_text(path, "race:libglib\nrace:libvirt\n");
    snprintf(d->tsan, sizeof(d->tsan), "suppressions=%s", path);
    snprintf(path, sizeof(path), "%s/password", d->dir);
    write_text(path, "open sesame\n");
    snprintf(d->config, sizeof(d->config), "%s/conf", d->dir);
    snprintf(text, sizeof(text),
             "state_dir = %s/state\nrun_dir = %s/run\n"
             "listen = 127.0.0.1:%d\nnode_name = n1\ntls = off\n"
             "libvirt_uri = test:///default\n"
             "ovn_nb = unix:%s/none\novs_db = unix:%s/none\n"
             "admin_password_file = %s/password\n",
             d->dir, d->dir, d->port, d->dir, d->dir, d->dir);
    write_text(d->config, text);
    *state = d;
    return 0;
}

static int teardown(void **state)
{
    struct cairnd *d = *state;
    if (d->pid > 0) {
        kill(d->pid, SIGKILL);
        waitpid(d->pid, NULL, 0);
    }
    char *rm = xasprintf("rm -rf %s", d->dir);
    assert_int_equal(system(rm), 0);
    free(rm);
    free(d);
    return 0;
}

static char *log_in(struct cairnd *d)
{
    struct buf a = BUF_INIT(1024 * 1024);
    int status =
        ask(d, "POST", "/identity/v3/auth/tokens", NULL,
            "{\"auth\":{\"identity\":{\"methods\":[\"password\"],\"password\":"
            "{\"user\":{\"name\":\"admin\",\"domain\":{\"name\":\"Default\"},"
            "\"password\":\"open sesame\"}}},\"scope\":{\"project\":{\"name\":"
            "\"admin\",\"domain\":{\"name\":\"Default\"}}}}}",
            &a);
    if (status != 201) {
        dump_log(d);
        fail_msg("%s", buf_str(&a));
    }
    const char *head = "X-Subject-Token: ";
    const char *token = strcasestr(buf_str(&a), head);
    assert_non_null(token);
    token += strlen(head);
    char *copy = xstrndup(token, strcspn(token, "\r"));
    buf_free(&a);
    return copy;
}

static int make_project(struct cairnd *d, const char *token, const char *name)
{
    struct buf a = BUF_INIT(1024 * 1024);
    char *body = xasprintf("{\"project\":{\"name\":\"%s\"}}", name);
    int status = ask(d, "POST", "/identity/v3/projects", token, body, &a);
    free(body);
    buf_free(&a);
    return status;
}

static bool has_project(struct cairnd *d, const char *token, const char *name)
{
    struct buf a = BUF_INIT(4 * 1024 * 1024);
    assert_int_equal(ask(d, "GET", "/identity/v3/projects", token, "", &a),
                     200);
    bool has = strstr(buf_str(&a), name) != NULL;
    buf_free(&a);
    return has;
}

/* The process whose parent is `parent`: the face. */
static pid_t child_of(pid_t parent)
{
    DIR *dir = opendir("/proc");
    pid_t found = 0;
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        char path[300], stat[512] = "";
        int ppid = 0;
        snprintf(path, sizeof(path), "/proc/%s/stat", e->d_name);
        int fd = open(path, O_RDONLY);
        ssize_t n = fd < 0 ? 0 : read(fd, stat, sizeof(stat) - 1);
        if (fd >= 0)
            close(fd);
        const char *end = n > 0 ? strrchr(stat, ')') : NULL;
        if (end && sscanf(end, ") %*c %d", &ppid) == 1 && ppid == parent)
            found = atoi(e->d_name);
    }
    closedir(dir);
    return found;
}

/* Gone, or dead and only not yet buried by whoever inherited it. */
static bool is_dead(pid_t pid)
{
    char path[64], stat[512] = "";
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, stat, sizeof(stat) - 1);
    if (fd >= 0)
        close(fd);
    const char *end = n > 0 ? strrchr(stat, ')') : NULL;
    return !end || end[2] == 'Z' || end[2] == 'X';
}

static bool vanishes(pid_t pid, int ms)
{
    for (int i = 0; i < ms / 10 && !is_dead(pid); i++)
        usleep(10000);
    return is_dead(pid);
}

static void privilege(pid_t face)
{
    char path[64], text[4096];
    snprintf(path, sizeof(path), "/proc/%d/status", face);
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    assert_non_null(strstr(text, "CapEff:\t0000000000000000"));
    assert_non_null(strstr(text, "CapBnd:\t0000000000000000"));
    assert_non_null(strstr(text, "NoNewPrivs:\t1"));
    assert_null(strstr(text, "Uid:\t0"));
}

static void its_life(void **state)
{
    struct cairnd *d = *state;
    spawn(d);
    must_answer(d, 60);
    char *token = log_in(d);
    assert_int_equal(make_project(d, token, "first"), 201);

    /* The face dies: another one within a second, nothing is lost. */
    pid_t face = child_of(d->pid);
    assert_true(face > 0);
    if (geteuid() == 0)
        privilege(face);
    kill(face, SIGKILL);
    int64_t ms = must_answer(d, 10);
    if (ms > 1000)
        fail_msg("a killed face was back after %lld ms", (long long)ms);
    assert_int_not_equal(child_of(d->pid), face);
    assert_true(has_project(d, token, "first"));

    /* A second one on the same state is refused. */
    struct cairnd other = *d;
    int status;
    spawn(&other);
    waitpid(other.pid, &status, 0);
    assert_int_equal(status, 1 << 8);

    /* Killed right behind an answer: what was answered is there. */
    assert_int_equal(make_project(d, token, "second"), 201);
    face = child_of(d->pid);
    kill(d->pid, SIGKILL);
    waitpid(d->pid, NULL, 0);
    assert_true(vanishes(face, 5000));
    spawn(d);
    must_answer(d, 60);
    assert_true(has_project(d, token, "second"));

    kill(d->pid, SIGTERM);
    assert_int_equal(waitpid(d->pid, &status, 0), d->pid);
    d->pid = 0;
    if (status != 0)
        dump_log(d);
    assert_int_equal(status, 0);
    free(token);
}

static int run(struct cairnd *d, const char *option)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, 1);
        dup2(null, 2);
        execl(d->program, "cairnd", option, "--config", d->config,
              (char *)NULL);
        _exit(127);
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void options(void **state)
{
    struct cairnd *d = *state;
    assert_int_equal(run(d, "--version"), 0);
    assert_int_equal(run(d, "--help"), 0);
    assert_int_equal(run(d, "--check-config"), 0);
    assert_int_equal(run(d, "--nonsense"), 2);
    write_text(d->config, "nonsense\n");
    assert_int_equal(run(d, "--check-config"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(its_life, setup, teardown),
        cmocka_unit_test_setup_teardown(options, setup, teardown),
    };
    return cmocka_run_group_tests_name("daemon", tests, NULL, NULL);
}
