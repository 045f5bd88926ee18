#include "tempdir.h"
#include "test.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "storage/sparse.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MIB (1 << 20)

/* A file without a name. */
static int tempfile(void)
{
    char dir[TEMPDIR_MAX], path[TEMPDIR_MAX + 8];
    snprintf(path, sizeof(path), "%s/file", tempdir_make(dir));
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    tempdir_remove(dir);
    return fd;
}

static void bytes_stay_and_zeros_go(void **state)
{
    _autoclose_ int fd = tempfile();
    size_t size = (size_t)5 * MIB + 777; /* not a multiple of anything */
    _autofree_ char *before = xcalloc(1, size), *after = xmalloc(size);
    memset(before, 'a', 100);
    memset(before + 3 * MIB - 1, 'b', 2); /* on both sides of a border */
    before[size - 1] = 'c';
    assert_int_equal(write(fd, before, size), size);
    struct error err;
    struct stat st;
    assert_true(sparse_dig(fd, &err));
    assert_int_equal(pread(fd, after, size, 0), size);
    assert_memory_equal(before, after, size);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, size);
    assert_true(st.st_blocks * 512 <= 512 << 10);
    assert_true(sparse_dig(fd, &err)); /* again, over the holes */
    assert_int_equal(pread(fd, after, size, 0), size);
    assert_memory_equal(before, after, size);
}

static void empty_file(void **state)
{
    _autoclose_ int fd = tempfile();
    struct error err;
    assert_true(sparse_dig(fd, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_stay_and_zeros_go),
        cmocka_unit_test(empty_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
