/* What the kernel tells of the machine and of a guest's control group, and
 * what it does not. */
#include "test.h"

#include "compute/host_counters.h"
#include "tempdir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char root[TEMPDIR_MAX];

/* With the folders above it. */
static void put(const char *name, const char *text)
{
    char path[TEMPDIR_MAX + 128];
    size_t from = (size_t)snprintf(path, sizeof(path), "%s/%s", root, name);
    from -= strlen(name);
    for (char *c = path + from; (c = strchr(c, '/')); c++) {
        *c = '\0';
        mkdir(path, 0700);
        *c = '/';
    }
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int setup(void **state)
{
    tempdir_make(root);
    return 0;
}

static int teardown(void **state)
{
    char command[TEMPDIR_MAX + 16];
    snprintf(command, sizeof(command), "rm -rf %s", root);
    return system(command); /* NOLINT: ours */
}

static void test_nothing_is_not_zero(void **state)
{
    struct host_counters c;
    host_counters_read(root, root, "eth0", &c);
    assert_int_equal(c.memory_mb, -1);
    assert_int_equal(c.swap_kib, -1);
    assert_int_equal(c.disk_kib, -1);
    assert_int_equal(c.sent_kib, -1);
    assert_int_equal(c.link_kib_s, -1);
    for (int i = 0; i < PRESSURE_KINDS; i++)
        assert_int_equal(c.stalled.us[i], PRESSURE_NONE);
}

static void test_the_machine(void **state)
{
    struct host_counters c;
    put("stat", "cpu 10 20 30 40 50 1 2 7 0 0\ncpu0 1 2\n");
    put("meminfo", "MemTotal: 4096000 kB\nMemAvailable: 1024000 kB\n");
    put("vmstat", "pgpgin 1\npswpin 100\npswpout 50\n");
    put("diskstats", "8 0 sda 1 0 2000 5 1 0 48 9 0 0\n"
                     "8 1 sda1 1 0 2000 5 1 0 48 9 0 0\n"
                     "259 0 nvme0n1 1 0 2 5 1 0 2 9 0 0\n"
                     "259 1 nvme0n1p1 1 0 2 5 1 0 2 9 0 0\n"
                     "253 0 dm-0 1 0 2000 5 1 0 48 9 0 0\n");
    put("self/net/dev", "Inter-| Receive | Transmit\n face |bytes\n"
                        "    lo: 9 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0\n"
                        "  eth0: 2048 1 0 0 0 0 0 0 4096 1 0 0 0 0 0 0\n"
                        " eth00: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n");
    put("class/net/eth0/speed", "10000\n");
    put("pressure/io", "some avg10=1.00 avg60=2.00 avg300=3.00 total=77\n"
                       "full avg10=0.00 avg60=0.00 avg300=0.00 total=1\n");
    host_counters_read(root, root, "eth0", &c);
    assert_int_equal(c.busy, 63);
    assert_int_equal(c.steal, 7);
    assert_int_equal(c.all, 160);
    assert_int_equal(c.memory_mb, 3000);
    assert_int_equal(c.swap_kib, 600);
    assert_int_equal(c.disk_kib, 1026);
    assert_int_equal(c.received_kib, 2);
    assert_int_equal(c.sent_kib, 4);
    assert_int_equal(c.link_kib_s, 1220703);
    assert_int_equal(c.stalled.us[PRESSURE_IO], 77);
    assert_int_equal(c.stalled.us[PRESSURE_MEMORY], PRESSURE_NONE);
}

static void test_a_guest(void **state)
{
    struct pressure_counters p;
    char mounts[TEMPDIR_MAX + 64];
    snprintf(mounts, sizeof(mounts),
             "tmpfs /run tmpfs rw 0 0\ncgroup2 %s/cg cgroup2 rw 0 0\n", root);
    put("self/mounts", mounts);
    put("10/cgroup", "1:cpu:/machine/qemu-1-a.libvirt-qemu\n"
                     "0::/machine.slice/machine-qemu\\x2d1.scope/libvirt\n");
    put("11/cgroup", "1:cpu:/machine/qemu-1-a.libvirt-qemu\n"
                     "0::/system.slice/libvirtd.service\n");
    put("cg/machine.slice/machine-qemu\\x2d1.scope/memory.pressure",
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=5\n");
    put("cg/system.slice/libvirtd.service/memory.pressure",
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=6\n");
    pressure_of_guest(root, 10, &p);
    assert_int_equal(p.us[PRESSURE_MEMORY], 5);
    assert_int_equal(p.us[PRESSURE_CPU], PRESSURE_NONE);
    pressure_of_guest(root, 11, &p); /* a group of many */
    assert_int_equal(p.us[PRESSURE_MEMORY], PRESSURE_NONE);
    pressure_of_guest(root, 12, &p); /* no process */
    assert_int_equal(p.us[PRESSURE_MEMORY], PRESSURE_NONE);
}

static void test_the_uplink(void **state)
{
    char name[UPLINK_NAME];
    assert_true(host_uplink(root, "127.0.0.1", name));
    assert_string_equal(name, "lo");
    put("class/net/lo/brif/eth7/x", "");
    put("class/net/eth7/device/x", "");
    assert_true(host_uplink(root, "127.0.0.1", name));
    assert_string_equal(name, "eth7");
    assert_false(host_uplink(root, "192.0.2.99", name));
    assert_false(host_uplink(root, NULL, name));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_nothing_is_not_zero),
        CASE(test_the_machine),
        CASE(test_a_guest),
        CASE(test_the_uplink),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
