/* What qemu-img is given is all it can reach, even if the inspector had let
 * a hostile image pass. */
#include "tempdir.h"
#include "test.h"

#include "common/cleanup.h"
#include "storage/image_check.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MIB (1 << 20)

#define PATH_SIZE (TEMPDIR_MAX + 16)
static char dir[TEMPDIR_MAX];
static char root[PATH_SIZE], image[PATH_SIZE], out[PATH_SIZE],
    secret[PATH_SIZE];
static struct image_checker checker;

static void __attribute__((format(printf, 1, 2))) shell(const char *fmt, ...)
{
    char command[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(command, sizeof(command), fmt, ap);
    va_end(ap);
    assert_int_equal(system(command), 0); /* NOLINT: a test's own command */
}

static int setup(void **state)
{
    if (geteuid() != 0)
        skip();
    tempdir_make(dir);
    snprintf(root, sizeof(root), "%s/root", dir);
    snprintf(image, sizeof(image), "%s/image", dir);
    snprintf(out, sizeof(out), "%s/out", dir);
    snprintf(secret, sizeof(secret), "%s/secret", dir);
    shell("mkdir %s; chmod 755 %s; printf 'hush %%0512d' 1 > %s", root, dir,
          secret);
    int fd = open(out, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(fchown(fd, 65534, 65534), 0);
    close(fd);
    checker = (struct image_checker){ &env_system, "/usr/bin/qemu-img", root,
                                      65534, 65534 };
    return 0;
}

static int teardown(void **state)
{
    shell("rm -rf %s", dir);
    return 0;
}

static bool out_is_empty(void)
{
    char text[4096];
    _autoclose_ int fd = open(out, O_RDONLY);
    ssize_t n = read(fd, text, sizeof(text));
    return n >= 0 && !memmem(text, (size_t)n, "hush", 4);
}

static void sound_image(void **state)
{
    struct inspection found = { FORMAT_QCOW2, 8 * MIB };
    struct error err = { 0 };
    shell("qemu-img create -q -f qcow2 %s 8M", image);
    if (!image_check(&checker, image, &found, &err))
        fail_msg("%s", err.text);
    found.virtual_size = 9 * MIB;
    assert_false(image_check(&checker, image, &found, &err));
    assert_non_null(strstr(err.text, "read different things"));
    found.virtual_size = 8 * MIB;
    found.format = FORMAT_VMDK;
    assert_false(image_check(&checker, image, &found, &err));
    assert_int_equal(err.code, ERR_INVALID);
}

static void backing_file(void **state)
{
    struct inspection found = { FORMAT_QCOW2, 8 * MIB };
    struct error err = { 0 };
    shell("qemu-img create -q -f qcow2 -u -b %s -F raw %s 8M", secret, image);
    assert_false(image_check(&checker, image, &found, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_false(image_convert(&checker, image, &found, "qcow2", out, &err));
    assert_true(out_is_empty());
}

static void foreign_extent(void **state)
{
    struct inspection found = { FORMAT_VMDK, 512 };
    struct error err = { 0 };
    shell("printf '# Disk DescriptorFile\\nversion=1\\nCID=fffffffe\\n"
          "parentCID=ffffffff\\ncreateType=\"monolithicFlat\"\\n"
          "RW 1 FLAT \"%s\" 0\\n' > %s",
          secret, image);
    /* outside of the sandbox this does give the file away */
    shell("qemu-img convert -f vmdk -O raw %s %s.raw && grep -q hush %s.raw",
          image, image, image);
    assert_false(image_convert(&checker, image, &found, "qcow2", out, &err));
    assert_true(out_is_empty());
}

static void corrupt_tables(void **state)
{
    struct inspection found = { FORMAT_QCOW2, 8 * MIB };
    struct error err = { 0 };
    shell("qemu-img create -q -f qcow2 %s 8M && "
          "qemu-io -c 'write -q 0 1M' %s && truncate -s 400k %s",
          image, image, image);
    assert_false(image_check(&checker, image, &found, &err));
    assert_non_null(strstr(err.text, "corrupt"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sound_image, setup, teardown),
        cmocka_unit_test_setup_teardown(backing_file, setup, teardown),
        cmocka_unit_test_setup_teardown(foreign_extent, setup, teardown),
        cmocka_unit_test_setup_teardown(corrupt_tables, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
