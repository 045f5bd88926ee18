/* kvm_probe: the test kernel itself under TCG, what this machine's KVM does
 * with it, and, with stand-ins for QEMU, each way in which a run can end. */
#include "test.h"

#include "tempdir.h"

#include "compute/kvm_probe.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A name that a shell would take apart. */
static char base[TEMPDIR_MAX], directory[TEMPDIR_MAX + 16];
static char stand_in[sizeof(directory) + 8];

static int make_directory(void **state)
{
    (void)state;
    snprintf(directory, sizeof(directory), "%s/kvm probe;", tempdir_make(base));
    if (mkdir(directory, 0700) != 0)
        return -1;
    snprintf(stand_in, sizeof(stand_in), "%s/qemu", directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    unlink(stand_in);
    return rmdir(directory) || rmdir(base);
}

/* Probes with a shell script in the place of QEMU. */
static struct kvm_probe_result probe(const char *script, int deadline_ms)
{
    struct kvm_probe_opts opts = { stand_in, "tcg", deadline_ms };
    struct kvm_probe_result result;
    struct error err = { 0 };
    FILE *f = fopen(stand_in, "w");
    assert_non_null(f);
    fprintf(f, "#!/bin/sh\n%s\n", script);
    fclose(f);
    assert_int_equal(chmod(stand_in, 0700), 0);
    assert_true(kvm_probe(&opts, &result, &err));
    /* No child is left, neither running nor unreaped. */
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    return result;
}

static int open_files(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void test_kernel_runs_under_tcg(void **state)
{
    (void)state;
    struct kvm_probe_opts opts = { .accel = "tcg", .deadline_ms = 60000 };
    struct kvm_probe_result result;
    struct error err = { 0 };
    int files = open_files();
    if (!kvm_probe(&opts, &result, &err))
        fail_msg("%s", err.text);
    print_message("tcg: %s\n", result.reason);
    assert_true(result.usable);
    assert_non_null(strstr(result.reason, "ran under tcg"));
    assert_int_equal(open_files(), files);
}

/* What the answer is depends on the machine; that it comes in time does not. */
static void test_answer_in_time(void **state)
{
    (void)state;
    /* tests/guest/check-kvm runs this where all is emulated. */
    const char *text = getenv("CAIRN_TEST_KVM_DEADLINE_MS");
    int deadline_ms = text ? atoi(text) : KVM_PROBE_DEADLINE_MS;
    struct kvm_probe_opts opts = { .deadline_ms = deadline_ms };
    struct kvm_probe_result result;
    struct error err = { 0 };
    if (!kvm_probe(&opts, &result, &err))
        fail_msg("%s", err.text);
    print_message("kvm: %s, %d ms: %s\n", result.usable ? "yes" : "no",
                  result.ms, result.reason);
    assert_in_range(result.ms, 0, deadline_ms + 1000);
    assert_true(strlen(result.reason) > 0);
    if (access("/dev/kvm", F_OK) < 0)
        assert_string_equal(result.reason,
                            "/dev/kvm: No such file or directory");
}

static void test_deadline(void **state)
{
    (void)state;
    struct kvm_probe_result r = probe("printf RPL; exec sleep 60", 300);
    assert_false(r.usable);
    assert_in_range(r.ms, 300, 3000);
    assert_string_equal(r.reason, "a test guest under tcg failed at CPUID: "
                                  "no end within 300 ms");
}

/* What is left of QEMU may hold the pipes: that must not hold us. */
static void test_closed_output(void **state)
{
    (void)state;
    struct kvm_probe_result r = probe("exec >&- 2>&-; exec sleep 60", 300);
    assert_false(r.usable);
    assert_in_range(r.ms, 300, 3000);
}

static void test_kvm_error_ends_early(void **state)
{
    (void)state;
    struct kvm_probe_result r =
        probe("printf RPLCET; echo 'q: warning: no pni' >&2;"
              "echo 'KVM internal error. Suberror: 1' >&2;"
              "exec sleep 60",
              20000);
    assert_false(r.usable);
    assert_in_range(r.ms, 0, 10000);
    assert_string_equal(r.reason, "a test guest under tcg failed at floating "
                                  "point: KVM internal error. Suberror: 1");
}

/* A reset guest ends QEMU, too: letters and status must both be right. */
static void test_ends(void **state)
{
    (void)state;
    static const struct {
        const char *script, *reason;
        bool usable;
    } ends[] = {
        { "printf RPLCETFAW; exit 85", "a test guest ran under tcg in ", true },
        { "printf RPLCETFAW; exit 0",
          "failed at its end: QEMU ended with "
          "status 0",
          false },
        { "printf RPLCETF; exit 85",
          "failed at a 16-byte atomic exchange: ", false },
        { "exit 85", "failed at real mode: QEMU ended with status 85", false },
        { "printf RPLCETFAW; kill -6 $$", "QEMU ended by signal 6", false },
        { "printf RPLCETFWA; exit 85", "failed at a 16-byte ", false },
        { "echo 'Could not access KVM: Permission denied' >&2; exit 1",
          "failed at real mode: Could not access KVM: Permission denied",
          false },
        { "yes | head -c 1000000; yes | head -c 1000000 >&2; exit 85",
          "failed at real mode: y", false },
    };
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        struct kvm_probe_result r = probe(ends[i].script, 20000);
        if (r.usable != ends[i].usable || !strstr(r.reason, ends[i].reason))
            fail_msg("%s: %s", ends[i].script, r.reason);
    }
}

/* The child has its three files and the ROM, whatever else is open here. */
static void test_inherits_nothing(void **state)
{
    (void)state;
    int leak = dup2(2, 20); /* without close-on-exec */
    struct kvm_probe_result r = probe(
        "[ -s /proc/self/fd/3 ] || exit 1; [ -e /proc/self/fd/20 ] && exit 2;"
        "printf RPLCETFAW; exit 85",
        20000);
    assert_int_equal(leak, 20);
    close(leak);
    if (!r.usable)
        fail_msg("%s", r.reason);
}

static void test_cannot_ask(void **state)
{
    (void)state;
    struct kvm_probe_opts none = { "/nonexistent/qemu", "tcg", 0 };
    struct kvm_probe_opts negative = { NULL, "tcg", -1 };
    struct kvm_probe_result result;
    struct error err = { 0 };
    int files = open_files();
    assert_false(kvm_probe(&none, &result, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "/nonexistent/qemu"));
    assert_false(kvm_probe(&negative, &result, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_int_equal(open_files(), files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kernel_runs_under_tcg),
        cmocka_unit_test(test_answer_in_time),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_closed_output),
        cmocka_unit_test(test_kvm_error_ends_early),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_inherits_nothing),
        cmocka_unit_test(test_cannot_ask),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
