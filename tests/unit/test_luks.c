/* Encrypted disks, made by the real qemu-img and read back by it. */
#include "test.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "storage/luks.h"
#include "tempdir.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB  (INT64_C(1) << 20)
#define MARK "the guest wrote this and nobody else may read it"
#define SECRET                                                                 \
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

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

static char *in_dir(const char *name)
{
    return xasprintf("%s/%s", dir, name);
}

static void put_file(const char *path, const char *text, off_t size)
{
    _autoclose_ int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    if (size)
        assert_int_equal(ftruncate(fd, size), 0);
}

static bool holds(const char *path, const char *mark)
{
    struct stat st;
    _autoclose_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(fstat(fd, &st), 0);
    _autofree_ char *all = xmalloc((size_t)st.st_size);
    assert_int_equal(read(fd, all, (size_t)st.st_size), st.st_size);
    return memmem(all, (size_t)st.st_size, mark, strlen(mark)) != NULL;
}

static int open_with(const char *secret, const char *from, const char *to)
{
    _autofree_ char *key = in_dir("key");
    put_file(key, secret, 0);
    _autofree_ char *line = xasprintf(
        "qemu-img convert -q --object secret,id=k,file=%s --image-opts "
        "driver=luks,key-secret=k,file.filename=%s -O raw %s 2>/dev/null",
        key, from, to);
    return system(line);
}

static void only_who_has_the_secret_reads_it(void **state)
{
    struct error err;
    const struct luks luks = { SECRET, 256 };
    _autofree_ char *raw = in_dir("raw"), *box = in_dir("box");
    _autofree_ char *out = in_dir("out");
    put_file(raw, MARK, 2 * MIB);
    if (!luks_make(&luks, raw, 0, box, &env_system, &err))
        fail_msg("%s", err.text);
    assert_true(holds(raw, MARK));
    assert_false(holds(box, MARK));
    assert_false(holds(box, SECRET));
    assert_int_not_equal(open_with("wrong", box, out), 0);
    unlink(out);
    assert_int_equal(open_with(SECRET, box, out), 0);
    assert_true(holds(out, MARK));
}

static void the_header_is_as_large_as_said(void **state)
{
    static const int64_t sizes[] = { 128, 256 };
    struct error err;
    struct stat st;
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        const struct luks luks = { SECRET, sizes[i] };
        _autofree_ char *box = in_dir("empty");
        unlink(box);
        assert_true(luks_make(&luks, NULL, 64 * MIB, box, &env_system, &err));
        assert_int_equal(stat(box, &st), 0);
        assert_int_equal(st.st_size, 64 * MIB + luks_overhead(sizes[i]));
        assert_true(st.st_blocks * 512 < 8 * MIB); /* it is sparse */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_who_has_the_secret_reads_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_header_is_as_large_as_said, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
