#include "tempdir.h"
#include "test.h"

#include "common/cleanup.h"
#include "storage/sandbox.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

static char root[TEMPDIR_MAX];
static struct sandbox_limits limits;

static int setup(void **state)
{
    tempdir_make(root);
    limits = (struct sandbox_limits){ .root = root,
                                      .uid = 65534,
                                      .gid = 65534,
                                      .cpu_s = 10,
                                      .memory = 256 << 20,
                                      .file_size = 1 << 20 };
    return 0;
}

static int teardown(void **state)
{
    rmdir(root);
    return 0;
}

/* Runs a shell script, confined or not; its exit code. */
static int run(const char *script, bool confined, struct sandbox_result *r)
{
    const char *argv[] = { "/usr/bin/sh", "-c", script, NULL };
    struct sandbox_job job = { .argv = argv,
                               .timeout_us = 10 * SECOND_US,
                               .confine = confined ? &limits : NULL };
    struct error err = { 0 };
    if (!sandbox_run(&job, &env_system, r, &err))
        fail_msg("%s", err.text);
    return r->code;
}

static void plain(void **state)
{
    _autoresult_ struct sandbox_result r;
    assert_int_equal(run("echo out; echo err >&2; exit 7", false, &r), 7);
    assert_string_equal(buf_str(&r.out), "out\n");
    assert_string_equal(buf_str(&r.errors), "err\n");
}

static void inherits_nothing(void **state)
{
    _autoresult_ struct sandbox_result r;
    int fd = dup(2); /* without close-on-exec */
    assert_int_equal(
        run("cat; ls /proc/self/fd | wc -l; env | wc -l", false, &r), 0);
    close(fd);
    /* 0, 1, 2 and ls's own; PATH, LC_ALL, PWD (and sh's _) */
    assert_memory_equal(buf_str(&r.out), "4\n", 2);
    assert_true(atoi(buf_str(&r.out) + 2) <= 4);
}

#define PYTHON "python3 -ISc 'import ctypes,socket\nc=ctypes.CDLL(None)\n"

static void confined(void **state)
{
    static const struct {
        const char *script, *says;
    } cases[] = {
        { "echo $$", "1\n" }, /* no other processes */
        { "echo /*", "/bin /lib /lib64 /usr\n" },
        { "test -e /etc/passwd || echo none", "none\n" },
        { "test -e /proc/self || echo none", "none\n" },
        { "id -u", "65534\n" },
        { "id -G", "65534\n" },
        { "touch /usr/x || touch /x || echo ro", "ro\n" },
        { PYTHON "try:\n socket.socket()\nexcept OSError as e: print(e.errno)'",
          "1\n" },
        { PYTHON "print(c.syscall(272,0x10000000))'", "-1\n" }, /* unshare */
        { PYTHON "print(c.syscall(161,b\"/usr\"))'", "-1\n" },  /* chroot */
        { PYTHON "print(c.syscall(101,0,1,0,0))'", "-1\n" },    /* ptrace */
        { PYTHON "import threading\nt=threading.Thread(target=print)\n"
                 "t.start()\nt.join()'",
          "\n" },
        { "mount -t tmpfs x /usr || echo no", "no\n" },
        { "ulimit -v", "262144\n" },
        { "ulimit -c", "0\n" },
    };
    if (geteuid() != 0)
        skip();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _autoresult_ struct sandbox_result r;
        run(cases[i].script, true, &r);
        if (strcmp(buf_str(&r.out), cases[i].says) != 0)
            fail_msg("%s: %s%s", cases[i].script, buf_str(&r.out),
                     buf_str(&r.errors));
    }
}

static void sees_its_files_only(void **state)
{
    if (geteuid() != 0)
        skip();
    char in[TEMPDIR_MAX + 8], out[TEMPDIR_MAX + 8];
    snprintf(in, sizeof(in), "%s.in", root);
    snprintf(out, sizeof(out), "%s.out", root);
    int fd = open(in, O_CREAT | O_WRONLY, 0444);
    assert_int_equal(write(fd, "hello", 5), 5);
    close(fd);
    fd = open(out, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(fchown(fd, limits.uid, limits.gid), 0);
    const char *argv[] = { "/usr/bin/sh", "-c",
                           "cat /in > /out && ! (echo x > /in) 2>&1", NULL };
    struct sandbox_job job = { .argv = argv,
                               .timeout_us = 10 * SECOND_US,
                               .confine = &limits,
                               .binds = { { in, "in", false },
                                          { out, "out", true } },
                               .n_binds = 2 };
    struct error err;
    _autoresult_ struct sandbox_result r;
    assert_true(sandbox_run(&job, &env_system, &r, &err));
    assert_int_equal(r.code, 0);
    struct stat st;
    assert_int_equal(stat(out, &st), 0);
    assert_int_equal(st.st_size, 5);
    close(fd);
    unlink(in);
    unlink(out);
}

static void file_size_is_limited(void **state)
{
    if (geteuid() != 0)
        skip();
    char out[TEMPDIR_MAX + 8];
    snprintf(out, sizeof(out), "%s.out", root);
    int fd = open(out, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(fchown(fd, limits.uid, limits.gid), 0);
    close(fd);
    const char *argv[] = { "/usr/bin/dd", "if=/usr/bin/bash", "of=/out",
                           "bs=1M",       "count=3",          NULL };
    limits.file_size = 4096;
    struct sandbox_job job = { .argv = argv,
                               .timeout_us = 10 * SECOND_US,
                               .confine = &limits,
                               .binds = { { out, "out", true } },
                               .n_binds = 1 };
    struct error err;
    struct stat st;
    _autoresult_ struct sandbox_result r;
    assert_true(sandbox_run(&job, &env_system, &r, &err));
    assert_true(r.code != 0);
    assert_int_equal(stat(out, &st), 0);
    assert_true(st.st_size <= 4096);
    unlink(out);
}

static void deadline(void **state)
{
    const char *sleeps[] = { "/usr/bin/sleep", "30", NULL };
    /* Closing one's output is no way to stay. */
    const char *hides[] = { "/usr/bin/sh", "-c", "exec >&- 2>&-; sleep 30",
                            NULL };
    for (int i = 0; i < 4; i++) {
        struct sandbox_job job = { .argv = i % 2 ? sleeps : hides,
                                   .timeout_us = SECOND_US / 5,
                                   .confine = i < 2 ? NULL : &limits };
        struct error err;
        _autoresult_ struct sandbox_result r;
        int64_t start = env_mono(&env_system);
        if (job.confine && geteuid() != 0)
            skip();
        assert_false(sandbox_run(&job, &env_system, &r, &err));
        assert_int_equal(err.code, ERR_TIMEOUT);
        assert_true(env_mono(&env_system) - start < 5 * SECOND_US);
    }
}

static void cpu_time_is_limited(void **state)
{
    if (geteuid() != 0)
        skip();
    limits.cpu_s = 1;
    _autoresult_ struct sandbox_result r;
    assert_int_equal(run("while :; do :; done", true, &r), 128 + SIGKILL);
}

static void output_is_bounded(void **state)
{
    _autoresult_ struct sandbox_result r;
    assert_int_equal(run("head -c 3000000 /dev/zero", false, &r), 0);
    assert_int_equal(r.out.len, SANDBOX_OUTPUT_MAX);
}

static void no_program(void **state)
{
    const char *argv[] = { "/nonexistent/program", NULL };
    struct sandbox_job job = { .argv = argv, .timeout_us = SECOND_US };
    struct error err;
    _autoresult_ struct sandbox_result r;
    assert_false(sandbox_run(&job, &env_system, &r, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "/nonexistent/program"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(plain, setup, teardown),
        cmocka_unit_test_setup_teardown(inherits_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(confined, setup, teardown),
        cmocka_unit_test_setup_teardown(sees_its_files_only, setup, teardown),
        cmocka_unit_test_setup_teardown(file_size_is_limited, setup, teardown),
        cmocka_unit_test_setup_teardown(deadline, setup, teardown),
        cmocka_unit_test_setup_teardown(cpu_time_is_limited, setup, teardown),
        cmocka_unit_test_setup_teardown(output_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(no_program, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
