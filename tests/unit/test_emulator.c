/* emulator: the process with that id ends, no other. */
#include "test.h"

#include "compute/emulator.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ID    "10000000-0000-4000-8000-0000000000a1"
#define OTHER "10000000-0000-4000-8000-0000000000a2"

/* A process that looks like QEMU: it says when it is there. */
static pid_t start_with(const char *id, const char *disk)
{
    int said[2];
    char c;
    assert_int_equal(pipe(said), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(said[1], 1);
        execl("/bin/sh", "sh", "-c", "echo; kill -STOP $$", "-uuid", id,
              "-blockdev", disk, NULL);
        _exit(1);
    }
    close(said[1]);
    assert_int_equal(read(said[0], &c, 1), 1);
    close(said[0]);
    return pid;
}

static pid_t start(const char *id)
{
    return start_with(id, "{\"driver\":\"file\",\"filename\":\"/x\"}");
}

static bool was_killed(pid_t pid)
{
    int status;
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static void test_kills_its_own(void **state)
{
    int status;
    pid_t own = start(ID), other = start(OTHER);
    assert_true(emulator_kill("/proc", ID));
    assert_true(was_killed(own));
    assert_false(emulator_kill("/proc", ID));
    assert_int_equal(waitpid(other, &status, WNOHANG), 0);
    kill(other, SIGKILL);
    assert_true(was_killed(other));
}

/* Of these two, those with a disk in Ceph. */
static bool is_stale(void *arg, const char *id, bool shared)
{
    return shared && (strcmp(id, ID) == 0 || strcmp(id, OTHER) == 0);
}

static void test_kills_what_is_stale(void **state)
{
    int status;
    pid_t local = start(ID);
    pid_t shared = start_with(OTHER, "{\"driver\":\"rbd\",\"pool\":\"p\"}");
    emulator_kill_stale("/proc", is_stale, NULL);
    assert_true(was_killed(shared));
    assert_int_equal(waitpid(local, &status, WNOHANG), 0);
    kill(local, SIGKILL);
    assert_true(was_killed(local));
}

static void test_nothing_there(void **state)
{
    assert_false(emulator_kill("/nowhere", ID));
    assert_false(emulator_kill("/proc", ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kills_its_own),
        cmocka_unit_test(test_kills_what_is_stale),
        cmocka_unit_test(test_nothing_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
