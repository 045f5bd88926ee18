/*
 * ovsdb_server - a real ovsdb-server in a temporary directory, for tests.
 *
 * One database made from a schema file, on a unix socket.  The process is a
 * child of the test and is stopped by its pid; it dies with the test too.
 */
#ifndef CAIRN_TESTS_OVSDB_SERVER_H
#define CAIRN_TESTS_OVSDB_SERVER_H

#include "eventually.h"
#include "tempdir.h"

#include "common/alloc.h"
#include "common/cleanup.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define NB_SCHEMA "/usr/share/ovn/ovn-nb.ovsschema"

struct ovsdb_server {
    char dir[TEMPDIR_MAX];
    char *socket;
    char *database;
    pid_t pid;
};

static inline pid_t server_spawn(char *const argv[])
{
    pid_t pid = fork();
    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(null, 1);
    dup2(null, 2);
    setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
    execvp(argv[0], argv);
    _exit(127);
}

static inline void server_run(char *const argv[])
{
    int status;
    pid_t pid = server_spawn(argv);
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static inline void ovsdb_server_start(struct ovsdb_server *s)
{
    _autofree_ char *remote = xasprintf("--remote=punix:%s", s->socket);
    _autofree_ char *ctl = xasprintf("--unixctl=%s/ctl", s->dir);
    char server[] = "ovsdb-server", quiet[] = "-vconsole:off";
    char nopid[] = "--no-chdir";
    char *argv[] = { server, s->database, remote, ctl, quiet, nopid, NULL };
    s->pid = server_spawn(argv);
    assert_true(s->pid > 0);
    struct stat st;
    eventually(!stat(s->socket, &st));
}

/* As pulling the plug. */
static inline void ovsdb_server_kill(struct ovsdb_server *s)
{
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
    unlink(s->socket);
}

static inline struct ovsdb_server *ovsdb_server_new(const char *schema)
{
    struct ovsdb_server *s = xcalloc(1, sizeof(*s));
    tempdir_make(s->dir);
    s->socket = xasprintf("%s/sock", s->dir);
    s->database = xasprintf("%s/db", s->dir);
    char tool[] = "ovsdb-tool", create[] = "create";
    _autofree_ char *from = xstrdup(schema);
    char *argv[] = { tool, create, s->database, from, NULL };
    server_run(argv);
    ovsdb_server_start(s);
    return s;
}

static inline void ovsdb_server_free(struct ovsdb_server *s)
{
    struct dirent *e;
    ovsdb_server_kill(s);
    DIR *d = opendir(s->dir);
    while (d && (e = readdir(d)))
        if (e->d_name[0] != '.' || e->d_name[1] == 'd')
            unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
    rmdir(s->dir);
    free(s->socket);
    free(s->database);
    free(s);
}

#endif
