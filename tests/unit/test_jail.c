/* jail: what a process can still do in it.  Needs root; without it, skipped. */
#include "tempdir.h"
#include "test.h"

#include "common/alloc.h"
#include "daemon/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define UID 54321

/* Runs fn in a jail of its own; the wait status of that process. */
static int jailed(int (*fn)(void))
{
    char root[TEMPDIR_MAX];
    tempdir_make(root);
    pid_t pid = fork();
    if (pid == 0) {
        struct error err = { 0 };
        struct jail jail = { root, UID, UID, 64 };
        if (!jail_enter(&jail, &err)) {
            fprintf(stderr, "%s\n", err.text);
            _exit(99);
        }
        _exit(fn());
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    rmdir(root);
    return status;
}

static void *thread(void *arg)
{
    return arg;
}

static int works(void)
{
    pthread_t t;
    int fd[2];
    char c;
    void *mem = malloc(10 * 1024 * 1024);
    bool ok = mem && pthread_create(&t, NULL, thread, mem) == 0 &&
              pthread_join(t, NULL) == 0 && pipe2(fd, O_CLOEXEC) == 0 &&
              write(fd[1], "x", 1) == 1 && read(fd[0], &c, 1) == 1 &&
              geteuid() == UID && getegid() == UID;
    free(mem);
    return ok ? 0 : 1;
}

static int files(void)
{
    if (open("/etc/passwd", O_RDONLY) >= 0 || open("/", O_RDONLY) >= 0)
        return 1;
    if (open("/x", O_CREAT | O_WRONLY, 0600) >= 0 || mkdir("/x", 0700) == 0)
        return 2;
    if (kill(1, 0) == 0 || kill(getppid(), 0) == 0)
        return 3;
    void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? 0 : 4;
}

static int tries_exec(void)
{
    char *argv[] = { (char *)(uintptr_t) "/bin/true", NULL };
    execve(argv[0], argv, NULL);
    return 0;
}

static int tries_fork(void)
{
    return fork() < 0 ? 0 : 1;
}

static int tries_socket(void)
{
    socket(AF_INET, SOCK_STREAM, 0);
    return 0;
}

static int tries_root(void)
{
    return setuid(0) == 0;
}

static bool killed(int status)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}

static void inside(void **state)
{
    if (geteuid() != 0)
        skip();
    assert_int_equal(jailed(works), 0);
    if (!JAIL_FILTERS)
        return;
    assert_int_equal(jailed(files), 0);
    assert_true(killed(jailed(tries_exec)));
    assert_true(killed(jailed(tries_socket)));
    assert_true(killed(jailed(tries_root)));
    assert_int_equal(jailed(tries_fork), 0); /* clone is refused */
}

static void none_for_tests(void **state)
{
    struct error err;
    assert_true(jail_enter(&(struct jail){ .uid = 0 }, &err));
    assert_int_equal(access("/", R_OK), 0);
}

static void must_have_a_root(void **state)
{
    if (geteuid() != 0)
        skip();
    pid_t pid = fork();
    if (pid == 0) {
        struct error err = { 0 };
        struct jail jail = { "/nonexistent", UID, UID, 64 };
        _exit(jail_enter(&jail, &err) ? 1 : 0);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inside),
        cmocka_unit_test(none_for_tests),
        cmocka_unit_test(must_have_a_root),
    };
    return cmocka_run_group_tests_name("jail", tests, NULL, NULL);
}
