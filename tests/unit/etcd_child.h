/*
 * etcd_child - real etcd members on loopback, for one test program.
 *
 * Each member is a child process that the kernel kills with this one
 * (PR_SET_PDEATHSIG), so nothing is left behind however a test ends; its
 * files lie in a directory that etcd_child_stop removes.
 */
#ifndef CAIRN_TESTS_ETCD_CHILD_H
#define CAIRN_TESTS_ETCD_CHILD_H

#include "tempdir.h"

#include "common/alloc.h"
#include "common/cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ETCD_MEMBERS 5

struct etcd_child {
    char dir[TEMPDIR_MAX];
    int n;
    const char *tls; /* directory with ca.pem, cert.pem, key.pem, or NULL */
    struct {
        pid_t pid; /* 0: not running */
        int client, peer;
        bool joins; /* a cluster that exists already */
        char endpoint[64], peer_url[64];
    } member[ETCD_MEMBERS];
    char cluster[512]; /* --initial-cluster */
    const char *extra; /* one more flag, or NULL */
};

static inline bool etcd_there(void)
{
    return access("/usr/bin/etcd", X_OK) == 0;
}

static inline unsigned etcd_random(void)
{
    unsigned n;
    if (getrandom(&n, sizeof(n), 0) != sizeof(n))
        abort();
    return n;
}

/* Below the ports that the kernel gives to connections: on a busy machine one
 * of those is somebody's again before etcd has it. */
static inline int etcd_free_port(void)
{
    for (;;) {
        int port = 12000 + (int)(etcd_random() % 18000);
        struct sockaddr_in sa = { .sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        bool free = bind(fd, (void *)&sa, sizeof(sa)) == 0;
        close(fd);
        if (free)
            return port;
    }
}

static inline void etcd_exec(const struct etcd_child *c, int i)
{
    const char *s = c->tls ? "https" : "http";
    char *args[40];
    int n = 0;
    args[n++] = xstrdup("etcd");
    args[n++] = xasprintf("--name=m%d", i);
    args[n++] = xasprintf("--data-dir=%s/m%d", c->dir, i);
    args[n++] =
        xasprintf("--listen-client-urls=%s://%s", s, c->member[i].endpoint);
    args[n++] =
        xasprintf("--advertise-client-urls=%s://%s", s, c->member[i].endpoint);
    args[n++] = xasprintf("--listen-peer-urls=%s", c->member[i].peer_url);
    args[n++] =
        xasprintf("--initial-advertise-peer-urls=%s", c->member[i].peer_url);
    args[n++] = xasprintf("--initial-cluster=%s", c->cluster);
    args[n++] = xasprintf("--initial-cluster-state=%s",
                          c->member[i].joins ? "existing" : "new");
    args[n++] = xstrdup("--max-txn-ops=1024");
    args[n++] = xstrdup("--logger=zap");
    args[n++] = xstrdup("--log-level=error");
    if (c->tls) {
        args[n++] = xstrdup("--client-cert-auth");
        args[n++] = xasprintf("--trusted-ca-file=%s/ca.pem", c->tls);
        args[n++] = xasprintf("--cert-file=%s/cert.pem", c->tls);
        args[n++] = xasprintf("--key-file=%s/key.pem", c->tls);
    }
    if (c->extra)
        args[n++] = xstrdup(c->extra);
    args[n] = NULL;
    execv("/usr/bin/etcd", args);
    _exit(127);
}

static inline void etcd_member_start(struct etcd_child *c, int i)
{
    char log[TEMPDIR_MAX + 32];
    snprintf(log, sizeof(log), "%s/m%d.log", c->dir, i);
    pid_t parent = getpid(), pid = fork();
    if (!pid) {
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        dup2(fd, 1);
        dup2(fd, 2);
        for (int other = 3; other < 256; other++)
            close(other);
        etcd_exec(c, i);
    }
    c->member[i].pid = pid;
}

static inline void etcd_member_name(struct etcd_child *c, int i)
{
    c->member[i].client = etcd_free_port();
    c->member[i].peer = etcd_free_port();
    snprintf(c->member[i].endpoint, sizeof(c->member[i].endpoint),
             "127.0.0.1:%d", c->member[i].client);
    snprintf(c->member[i].peer_url, sizeof(c->member[i].peer_url),
             "http://127.0.0.1:%d", c->member[i].peer);
    size_t used = strlen(c->cluster);
    snprintf(c->cluster + used, sizeof(c->cluster) - used, "%sm%d=%s",
             used ? "," : "", i, c->member[i].peer_url);
}

/* n members that have not answered yet. */
static inline void etcd_child_start(struct etcd_child *c, int n)
{
    tempdir_make(c->dir);
    c->n = n;
    for (int i = 0; i < n; i++)
        etcd_member_name(c, i);
    for (int i = 0; i < n; i++)
        etcd_member_start(c, i);
}

/* Stops a member, and returns when all its threads stand still (on a busy
 * machine those that run when it is told go on for a while) or it is gone. */
static inline void etcd_freeze(pid_t pid)
{
    siginfo_t info;
    kill(pid, SIGSTOP);
    while (waitid(P_PID, (id_t)pid, &info, WSTOPPED) != 0 && errno == EINTR)
        ;
}

static inline void etcd_member_kill(struct etcd_child *c, int i)
{
    if (!c->member[i].pid)
        return;
    kill(c->member[i].pid, SIGKILL);
    waitpid(c->member[i].pid, NULL, 0);
    c->member[i].pid = 0;
}

static inline int etcd_remove_one(const char *path, const struct stat *st,
                                  int type, struct FTW *ftw)
{
    return remove(path);
}

static inline void etcd_child_stop(struct etcd_child *c)
{
    for (int i = 0; i < ETCD_MEMBERS; i++)
        etcd_member_kill(c, i);
    nftw(c->dir, etcd_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The endpoints of the first n members. */
static inline size_t etcd_endpoints(const struct etcd_child *c,
                                    const char *out[ETCD_MEMBERS])
{
    for (int i = 0; i < c->n; i++)
        out[i] = c->member[i].endpoint;
    return (size_t)c->n;
}

#endif
