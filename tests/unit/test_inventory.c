/* What libvirt says of a machine, as a node's record. */
#include "test.h"

#include "common/cleanup.h"
#include "compute/inventory.h"

#include "model/cpu_type.h"

#include <stdlib.h>
#include <string.h>

static const char capabilities[] =
    "<capabilities><host><uuid>x</uuid><topology><cells num='2'>"
    "<cell id='0'><memory unit='KiB'>8388608</memory>"
    "<pages unit='KiB' size='4'>1048576</pages>"
    "<pages unit='KiB' size='2048'>512</pages>"
    "<pages unit='KiB' size='1048576'>2</pages>"
    "<distances><sibling id='0' value='10'/><sibling id='2' value='21'/>"
    "</distances><cpus num='3'><cpu id='0' socket_id='0'/><cpu id='1'/>"
    "<cpu id='8'/></cpus></cell>"
    "<cell id='2'><memory unit='KiB'>4194304</memory>"
    "<pages unit='KiB' size='2048'>0</pages>"
    "<cpus num='1'><cpu id='4'/></cpus></cell>"
    "</cells></topology></host><guest/></capabilities>";

static void test_cells(void **state)
{
    struct error err;
    _autorecord_ struct node *n = record_new(&kind_node, "n");
    for (int again = 0; again < 2; again++) /* nothing is kept from before */
        assert_true(inventory_cells(capabilities, n, &err));
    assert_int_equal(n->cells.n, 2);
    const struct node_cell *a = LIST_AT(n->cells, struct node_cell, 0);
    const struct node_cell *b = LIST_AT(n->cells, struct node_cell, 1);
    assert_int_equal(a->ram_mb, 8192);
    assert_string_equal(a->cpus, "0-1,8");
    assert_string_equal(a->distances, "10,21");
    assert_int_equal(a->pages.n, 2);
    assert_int_equal(LIST_AT(a->pages, struct node_pages, 0)->kib, 2048);
    assert_int_equal(LIST_AT(a->pages, struct node_pages, 0)->count, 512);
    assert_int_equal(LIST_AT(a->pages, struct node_pages, 1)->kib, 1048576);
    assert_int_equal(b->id, 2);
    assert_string_equal(b->cpus, "4");
    assert_null(b->distances);
    assert_int_equal(b->pages.n, 0);
    assert_false(inventory_cells("<capabilities>", n, &err));
    assert_false(inventory_cells("<domain/>", n, &err));
    assert_int_equal(n->cells.n, 2);
}

/* libvirt's <cpu> there and back, as nova's object. */
static void test_cpu(void **state)
{
    static const char caps[] =
        "<capabilities><host><cpu><arch>x86_64</arch><model>Haswell</model>"
        "<feature name='vmx'/></cpu></host></capabilities>";
    static const char expanded[] =
        "<cpu mode='custom' match='exact'><model>Haswell</model>"
        "<vendor>Intel</vendor><feature policy='require' name='avx2'/>"
        "<feature policy='disable' name='hle'/>"
        "<feature policy='require' name='sse4.1'/></cpu>";
    struct error err;
    _autorecord_ struct node *n = record_new(&kind_node, "n");
    char *host = inventory_host_cpu(caps);
    assert_non_null(host);
    assert_memory_equal(host, "<cpu>", 5);
    assert_non_null(strstr(host, "<feature name=\"vmx\"/>"));
    free(host);
    assert_null(inventory_host_cpu(capabilities));
    n->machine = "x86_64";
    assert_true(inventory_cpu(expanded, n, &err));
    assert_non_null(strstr(n->cpu_info, "\"features\":[\"avx2\",\"sse4.1\"]"));
    assert_true(cpu_type_has(n->cpu_info, "HW_CPU_X86_AVX2"));
    assert_true(cpu_type_has(n->cpu_info, "HW_CPU_X86_SSE41"));
    assert_false(cpu_type_has(n->cpu_info, "HW_CPU_X86_HLE"));
    assert_false(inventory_cpu("<cpu", n, &err));
}

#define PCI(bus_, class_, driver_, vendor_, product_, more_)                   \
    "<device><name>pci</name><driver><name>" driver_ "</name></driver>"        \
    "<capability type='pci'><class>" class_ "</class><domain>0</domain>"       \
    "<bus>" bus_ "</bus><slot>0</slot><function>1</function>"                  \
    "<product id='0x" product_ "'>Thing</product>"                             \
    "<vendor id='0x" vendor_ "'>Maker &amp; Co</vendor>" more_                 \
    "</capability></device>"

static void test_devices(void **state)
{
    static const char *const xml[] = {
        PCI("59", "0x030200", "nvidia", "10de", "20b0", "<numa node='2'/>"),
        PCI("4", "0x010802", "vfio-pci", "8086", "0a54", ""),
        PCI("5", "0x020000", "ixgbe", "8086", "10fb", ""),
        PCI("6", "0x060400", "vfio-pci", "8086", "0001", ""), /* a bridge */
        PCI("7", "0x120000", "x", "1234", "0001", ""),
        "<device><capability type='mdev'><type id='nvidia-11'/>"
        "<uuid>4b20d080-1b54-4048-85b3-a6a62d165c01</uuid></capability>"
        "</device>",
        "<device><capability type='net'/></device>",
    };
    static const char offered[] = "10de:20b0=a100, 0000:07:00.1,ffff:0001=no";
    struct error err;
    _autorecord_ struct node *n = record_new(&kind_node, "n");
    for (size_t i = 0; i < ARRAY_SIZE(xml); i++)
        assert_true(inventory_device(xml[i], offered, n, &err));
    assert_int_equal(n->devices.n, 4);
    const struct node_device *d = LIST_AT(n->devices, struct node_device, 0);
    assert_string_equal(d[0].address, "0000:04:00.1");
    assert_string_equal(d[0].class_, "NVME");
    assert_null(d[0].name);
    assert_int_equal(d[0].cell, -1);
    assert_string_equal(d[1].address, "0000:07:00.1");
    assert_string_equal(d[1].class_, "ACCELERATOR");
    assert_string_equal(d[2].address, "0000:3b:00.1");
    assert_string_equal(d[2].class_, "GPU");
    assert_string_equal(d[2].model, "10de:20b0");
    assert_string_equal(d[2].name, "a100");
    assert_string_equal(d[2].text, "Maker & Co Thing");
    assert_int_equal(d[2].cell, 2);
    assert_string_equal(d[3].class_, "VGPU");
    assert_string_equal(d[3].model, "nvidia-11");
    assert_false(inventory_device("no xml", "", n, &err));
    for (int i = 0; i < 40; i++) /* never more than the engine counts */
        assert_true(inventory_device(xml[1], "", n, &err));
    assert_int_equal(n->devices.n, INVENTORY_DEVICES);
}

static void test_lists(void **state)
{
    static const char *const good[] = { "", "10de:20b0", "10DE:20b0=a-1_x.y,",
                                        "0000:3b:00.0=gpu, 8086:0a54" };
    static const char *const bad[] = { "gpu",          "10de:20b",
                                       "10de:20b0=",   "10de:20b0=a/b",
                                       "0000:3b:00:0", "10de:20bg" };
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        assert_true(inventory_is_list(good[i]));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (inventory_is_list(bad[i]))
            fail_msg("'%s' is no list of devices", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cells),
        cmocka_unit_test(test_cpu),
        cmocka_unit_test(test_devices),
        cmocka_unit_test(test_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
