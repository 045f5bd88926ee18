/* compute/guest_files in a directory of its own. */
#include "shell.h"
#include "tempdir.h"
#include "test.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "compute/guest_files.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GUEST "11111111-2222-4333-8444-555555555555"
#define OTHER "66666666-7777-4888-8999-000000000000"

static char dir[TEMPDIR_MAX];
static struct error err;

static int setup(void **state)
{
    tempdir_make(dir);
    return 0;
}

static int teardown(void **state)
{
    shell_in(dir, "rm -rf %s", dir);
    return 0;
}

static bool is_there(const char *id, const char *name)
{
    struct stat st;
    _autofree_ char *path = xasprintf("%s/%s/%s", dir, id, name);
    return lstat(path, &st) == 0;
}

static void put(const char *id, const char *name)
{
    _autofree_ char *path = xasprintf("%s/%s/%s", dir, id, name);
    _autofile_ FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs("x", f);
}

static void test_made_and_removed(void **state)
{
    _autofree_ char *log = guest_files_log(dir, GUEST);
    _autofree_ char *drive = guest_files_drive(dir, GUEST);
    assert_true(guest_files_make(dir, GUEST, NULL, 0, &err));
    assert_true(is_there(GUEST, "") && !is_there(GUEST, "config.iso"));
    /* Again, as at the next start, with another drive each time. */
    assert_true(guest_files_make(dir, GUEST, "long one", 8, &err));
    assert_true(guest_files_make(dir, GUEST, "new", 3, &err));
    struct stat st;
    assert_int_equal(stat(drive, &st), 0);
    assert_int_equal(st.st_size, 3);
    assert_int_equal(st.st_mode & 0777, 0600);
    put(GUEST, "console.log");
    assert_int_equal(access(log, F_OK), 0);
    guest_files_remove(dir, GUEST);
    assert_false(is_there(GUEST, ""));
    guest_files_remove(dir, GUEST); /* and again */
}

static void test_no_room_for_it(void **state)
{
    assert_false(guest_files_make("/nowhere", GUEST, NULL, 0, &err));
    assert_int_equal(err.code, ERR_INTERNAL);
}

static bool is_guest(void *arg, const char *id)
{
    ++*(int *)arg;
    return strcmp(id, GUEST) == 0;
}

/* Only what is a guest's, and no file that somebody else has put there. */
static void test_sweep(void **state)
{
    int asked = 0;
    _autofree_ char *mine = xasprintf("%s/keep", dir);
    assert_int_equal(mkdir(mine, 0700), 0);
    put("keep", "console.log");
    assert_true(guest_files_make(dir, GUEST, "iso", 3, &err));
    assert_true(guest_files_make(dir, OTHER, "iso", 3, &err));
    put(OTHER, "console.log");
    guest_files_sweep(dir, is_guest, &asked);
    assert_int_equal(asked, 2);
    assert_true(is_there(GUEST, "config.iso"));
    assert_false(is_there(OTHER, ""));
    assert_true(is_there("keep", "console.log"));
    assert_true(guest_files_make(dir, OTHER, NULL, 0, &err));
    put(OTHER, "notes");
    guest_files_sweep(dir, is_guest, &asked);
    assert_true(is_there(OTHER, "notes"));
    guest_files_sweep("/nowhere", is_guest, &asked);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_made_and_removed),
        T(test_no_room_for_it),
        T(test_sweep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
