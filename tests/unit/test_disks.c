/* Which disks may be taken: each objection alone; then files of every kind. */
#include "test.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "storage/disks.h"
#include "unit/tempdir.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define GIB (INT64_C(1) << 30)

static char dir[TEMPDIR_MAX];

/* ---- the decision ------------------------------------------------------ */

static void refused(struct disk_facts f, const char *why)
{
    char reason[DISK_REASON_MAX];
    if (!f.size)
        f.size = 100 * GIB;
    assert_false(disk_judge(&f, reason));
    assert_string_equal(reason, why);
}

static void each_objection(void **state)
{
    struct disk_facts os = { .osd = "0b5e6a32-0c0a-4ce5-9a8b-2d9f2d9a1f00",
                             .format = "ceph_bluestore",
                             .data = true };
    refused((struct disk_facts){ .special = true }, "not a disk");
    refused((struct disk_facts){ .partition = true },
            "a partition, not a whole disk");
    refused((struct disk_facts){ .optical = true }, "an optical drive");
    refused((struct disk_facts){ .removable = true }, "removable");
    refused((struct disk_facts){ .read_only = true }, "read-only");
    refused((struct disk_facts){ .virtual = true }, "not a disk of its own");
    refused((struct disk_facts){ .held = true },
            "another device is made of it");
    refused((struct disk_facts){ .partitions = 1 }, "has partitions");
    refused((struct disk_facts){ .in_use = true }, "in use");
    refused((struct disk_facts){ .unread = true }, "cannot be read");
    refused((struct disk_facts){ .data = true }, "has data");
    refused((struct disk_facts){ .format = "LVM2_member" },
            "has data: LVM2_member");
    refused((struct disk_facts){ .size = DISK_SIZE_LEAST - 1 }, "too small");
    refused(os, "an OSD's");
}

static void nothing_against_it(void **state)
{
    char reason[DISK_REASON_MAX];
    struct disk_facts f = { .size = DISK_SIZE_LEAST };
    assert_true(disk_judge(&f, reason));
    assert_string_equal(reason, "");
    f = (struct disk_facts){ .size = GIB * 4, .virtual = true, .named = true };
    assert_true(disk_judge(&f, reason));
}

/* ---- files ------------------------------------------------------------- */

/* A sparse file with a few bytes somewhere. */
static void make(const char *name, int64_t size, const void *bytes, size_t n,
                 int64_t at)
{
    _autofree_ char *path = xasprintf("%s/%s", dir, name);
    _autoclose_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, size), 0);
    assert_int_equal(pwrite(fd, bytes, n, at), (ssize_t)n);
}

static const struct disk *named(const struct disk *disks, size_t n,
                                const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(strrchr(disks[i].path, '/') + 1, name) == 0)
            return &disks[i];
    fail_msg("no disk %s", name);
    return NULL;
}

static void files_of_every_kind(void **state)
{
    static const char label[] = "bluestore block device\n"
                                "0b5e6a32-0c0a-4ce5-9a8b-2d9f2d9a1f00\n";
    struct disk disks[DISKS_MAX];
    make("blank", 4 * GIB, "", 0, 0);
    make("small", GIB, "", 0, 0);
    make("mbr", 4 * GIB, "\x55\xaa", 2, 510);
    make("ext4", 4 * GIB, "\x53\xef", 2, 1024 + 56);
    make("tail", 4 * GIB, "x", 1, 4 * GIB - 1);
    make("osd", 4 * GIB, label, strlen(label), 0);
    _autofree_ char *which = xasprintf("/nowhere/*, %s/*", dir);
    size_t n = disks_look(which, disks, DISKS_MAX);
    assert_int_equal(n, 6);
    assert_true(named(disks, n, "blank")->free);
    assert_int_equal(named(disks, n, "blank")->facts.size, 4 * GIB);
    assert_string_equal(named(disks, n, "small")->reason, "too small");
    assert_false(named(disks, n, "mbr")->free);
    assert_false(named(disks, n, "ext4")->free);
    assert_string_equal(named(disks, n, "tail")->reason, "has data");
    assert_string_equal(named(disks, n, "osd")->reason, "an OSD's");
    assert_string_equal(named(disks, n, "osd")->facts.osd,
                        "0b5e6a32-0c0a-4ce5-9a8b-2d9f2d9a1f00");
    assert_string_equal(disks[0].path + strlen(dir), "/blank");
}

/* A directory and a character device are no disks; what is not there is not
 * listed. */
static void no_disks(void **state)
{
    struct disk disks[2];
    assert_int_equal(disks_look("/dev/null", disks, 2), 1);
    assert_string_equal(disks[0].reason, "not a disk");
    assert_int_equal(disks_look(dir, disks, 2), 1);
    assert_false(disks[0].free);
    assert_int_equal(disks_look("/nowhere/at/all", disks, 2), 0);
    assert_int_equal(disks_look("", disks, 2), 0);
}

/* Never more than there is room for. */
static void no_room(void **state)
{
    struct disk disks[3];
    _autofree_ char *which = xasprintf("%s/*", dir);
    assert_int_equal(disks_look(which, disks, 3), 3);
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_objection),
        cmocka_unit_test(nothing_against_it),
        cmocka_unit_test(files_of_every_kind),
        cmocka_unit_test(no_disks),
        cmocka_unit_test(no_room),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
