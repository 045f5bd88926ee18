#include "test.h"

#include "common/cleanup.h"
#include "shell.h"
#include "storage/inspect.h"
#include "storage/qcow2.h"
#include "tempdir.h"

#include <fcntl.h>
#include <sys/stat.h>

#define MIB (INT64_C(1) << 20)
#define GIB (INT64_C(1) << 30)
#define TIB (INT64_C(1) << 40)

static char dir[TEMPDIR_MAX];

static int setup(void **state)
{
    tempdir_make(dir);
    return 0;
}

static int teardown(void **state)
{
    tempdir_remove(dir);
    return 0;
}

static void make(const char *name, int64_t size, const char *backing,
                 const char *driver)
{
    char path[TEMPDIR_MAX + 32];
    struct error err = { 0 };
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    _autoclose_ int fd = open(path, O_CREAT | O_EXCL | O_RDWR, 0600);
    assert_true(fd >= 0);
    if (!qcow2_write(fd, size, backing, driver, &err))
        fail_msg("%s", err.text);
}

/* What qemu-img says of ours and of its own differs in names and times. */
static void same_as_qemu(const char *ours, const char *theirs)
{
    assert_int_equal(shell_in(dir, "qemu-img check -q %s", ours), 0);
    assert_int_equal(
        shell_in(dir,
                 "for f in %s %s; do qemu-img info --output=json $f |"
                 " grep -v -e '\"filename\"' -e actual-size >$f.info; done;"
                 " cmp %s.info %s.info",
                 ours, theirs, ours, theirs),
        0);
}

static void empty_disks_of_all_sizes(void **state)
{
    const int64_t sizes[] = { 512, 100 * MIB, 512 * MIB, 512 * MIB + 512,
                              GIB, 3 * TIB,   64 * TIB };
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        shell_in(dir, "rm -f *");
        make("ours", sizes[i], NULL, NULL);
        assert_int_equal(shell_in(dir,
                                  "qemu-img create -q -f qcow2 theirs %lld",
                                  (long long)sizes[i]),
                         0);
        same_as_qemu("ours", "theirs");
    }
    shell_in(dir, "rm -f *");
}

static void overlay_shows_what_is_below(void **state)
{
    struct qcow2_head head = { 0 };
    struct error err = { 0 };
    assert_int_equal(
        shell_in(dir, "qemu-img create -q -f qcow2 low 8M && qemu-io -c "
                      "'write -q -P 65 1M 1M' low >/dev/null"),
        0);
    make("ours", 700 * MIB, "low", "qcow2");
    assert_int_equal(shell_in(dir,
                              "qemu-img create -q -f qcow2 -b low -F qcow2 "
                              "theirs 700M"),
                     0);
    same_as_qemu("ours", "theirs");
    assert_int_equal(shell_in(dir,
                              "qemu-img convert -O raw ours a && "
                              "qemu-img convert -O raw theirs b && cmp a b"),
                     0);
    char path[TEMPDIR_MAX + 32];
    snprintf(path, sizeof(path), "%s/ours", dir);
    _autoclose_ int fd = open(path, O_RDONLY);
    assert_true(inspect_own_qcow2(fd, &head, &err));
    assert_string_equal(head.backing, "low");
    assert_int_equal(head.virtual_size, 700 * MIB);
}

/* Written to at its ends, extended and written to again. */
static void overlay_can_be_used(void **state)
{
    assert_int_equal(shell_in(dir, "truncate -s 4M raw"), 0);
    make("used", 2 * GIB, "raw", "raw");
    assert_int_equal(
        shell_in(dir,
                 "qemu-io -c 'write -q -P 7 0 64k' -c 'write -q -P 8 2047M 1M' "
                 "-c 'read -q -P 8 2047M 1M' used && "
                 "qemu-img resize -q used 40G && "
                 "qemu-io -c 'write -q -P 9 39G 1M' -c 'read -q -P 7 0 64k' "
                 "-c 'read -q -P 0 64k 1M' used && qemu-img check -q used"),
        0);
}

static void wrong_ones_are_refused(void **state)
{
    char path[TEMPDIR_MAX + 32], name[QCOW2_BACKING_MAX + 2] = "";
    struct error err = { 0 };
    memset(name, 'x', sizeof(name) - 1);
    snprintf(path, sizeof(path), "%s/none", dir);
    _autoclose_ int fd = open(path, O_CREAT | O_EXCL | O_RDWR, 0600);
    assert_false(qcow2_write(fd, 0, NULL, NULL, &err));
    assert_false(qcow2_write(fd, 513, NULL, NULL, &err));
    assert_false(qcow2_write(fd, 64 * TIB + 512, NULL, NULL, &err));
    assert_false(qcow2_write(fd, MIB, name, "qcow2", &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_int_equal(lseek(fd, 0, SEEK_END), 0);
    name[QCOW2_BACKING_MAX] = '\0';
    assert_true(qcow2_write(fd, MIB, name, "qcow2", &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_disks_of_all_sizes),
        cmocka_unit_test(overlay_shows_what_is_below),
        cmocka_unit_test(overlay_can_be_used),
        cmocka_unit_test(wrong_ones_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
