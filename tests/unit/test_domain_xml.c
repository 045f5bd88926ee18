#include "test.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "compute/domain_xml.h"

#include <libxml/parser.h>
#include <libxml/xpath.h>
#include <libxml/xpathInternals.h>
#include <stdlib.h>
#include <string.h>

#define ID   "5f6d7a52-0000-4000-8000-000000000001"
#define PORT "b0b0b0b0-0000-4000-8000-000000000001"

static struct disk_spec disks[] = {
    { "/d/root.qcow2", "qcow2", "virtio", "vda", NULL, false, false },
    { "/d/v.qcow2", "qcow2", "virtio", "vdb", "vol1", true, false },
};
static struct nic_spec nics[] = { { PORT, "fa:16:3e:00:00:01", NULL, 1442 } };

static const struct domain_host host = {
    .bridge = "br-int",
    .userspace_switch = true,
    .vnc_listen = "127.0.0.1",
};
static const struct domain_files files = { "/d/config.iso", "/d/console.log" };

static struct domain_spec spec(void)
{
    return (struct domain_spec){
        .id = ID,
        .name = "instance-1",
        .vcpus = 2,
        .ram_mb = 512,
        .reboot = 3,
        .disks = disks,
        .n_disks = 2,
        .nics = nics,
        .n_nics = 1,
        .vnc = true,
        .title = "web",
        .flavor_name = "m1",
        .project_id = "p1",
        .user_id = "u1",
        .image_id = "i1",
    };
}

/* ---- reading it with another reader ------------------------------------ */

static xmlDocPtr doc;
static xmlXPathContextPtr xpath;

static void look_at(const char *xml)
{
    doc = xmlReadMemory(xml, (int)strlen(xml), NULL, NULL, 0);
    assert_non_null(doc);
    xpath = xmlXPathNewContext(doc);
    xmlXPathRegisterNs(xpath, (const xmlChar *)"cairn",
                       (const xmlChar *)DOMAIN_XMLNS);
    xmlXPathRegisterNs(
        xpath, (const xmlChar *)"nova",
        (const xmlChar *)"http://openstack.org/xmlns/libvirt/nova/1.1");
}

static void look_away(void)
{
    xmlXPathFreeContext(xpath);
    xmlFreeDoc(doc);
}

static void expect(const char *path, const char *want)
{
    _autofree_ char *expr = xasprintf("string(%s)", path);
    xmlXPathObjectPtr o = xmlXPathEvalExpression((const xmlChar *)expr, xpath);
    assert_non_null(o);
    if (strcmp((const char *)o->stringval, want) != 0)
        fail_msg("%s is '%s', not '%s'", path, o->stringval, want);
    xmlXPathFreeObject(o);
}

static void expect_n(const char *path, int want)
{
    _autofree_ char *expr = xasprintf("count(%s)", path);
    _autofree_ char *n = xasprintf("%d", want);
    expect(expr, n);
}

static void look_at_spec(const struct domain_spec *s,
                         const struct domain_host *h,
                         const struct domain_files *f)
{
    struct error err;
    struct buf out = BUF_INIT(DOMAIN_XML_MAX);
    assert_true(domain_xml_write(&out, s, h, f, &err));
    look_at(buf_str(&out));
    buf_free(&out);
}

/* ---- tests ------------------------------------------------------------- */

static void all_of_it(void **state)
{
    static const char *const rows[][2] = {
        { "/domain/@type", "qemu" },
        { "/domain/name", "instance-1" },
        { "/domain/uuid", ID },
        { "/domain/metadata/cairn:server/@reboot", "3" },
        { "//nova:instance/nova:name", "web" },
        { "//nova:instance/nova:flavor/@name", "m1" },
        { "//nova:flavor/nova:memory", "512" },
        { "//nova:owner/nova:project/@uuid", "p1" },
        { "//nova:owner/nova:user/@uuid", "u1" },
        { "//nova:root[@type='image']/@uuid", "i1" },
        { "/domain/memory[@unit='MiB']", "512" },
        { "/domain/vcpu", "2" },
        { "/domain/os/type", "hvm" },
        { "/domain/os/type/@machine", "pc" },
        { "/domain/os/smbios/@mode", "sysinfo" },
        { "//sysinfo/system/entry[@name='product']", "OpenStack Nova" },
        { "//sysinfo/system/entry[@name='uuid']", ID },
        { "/domain/cpu/@mode", "maximum" },
        { "/domain/cpu/topology/@sockets", "2" },
        { "//disk[target/@dev='vda']/source/@file", "/d/root.qcow2" },
        { "//disk[target/@dev='vda']/source/seclabel/@relabel", "no" },
        { "//disk[target/@dev='vda']/boot/@order", "1" },
        { "//disk[target/@dev='vdb']/serial", "vol1" },
        { "//disk[target/@dev='vdb']/driver/@type", "qcow2" },
        { "//disk[@device='cdrom']/source/@file", "/d/config.iso" },
        { "//disk[@device='cdrom']/target/@bus", "ide" },
        { "//interface/source/@bridge", "br-int" },
        { "//interface/virtualport[@type='openvswitch']"
          "/parameters/@interfaceid",
          PORT },
        { "//interface/mac/@address", "fa:16:3e:00:00:01" },
        { "//interface/model/@type", "virtio" },
        { "//interface/target/@dev", "tapb0b0b0b0-00" },
        { "//interface/mtu/@size", "1442" },
        { "//interface/driver[@name='qemu']/host/@csum", "off" },
        { "//serial[@type='pty']/log/@file", "/d/console.log" },
        { "//serial/log/@append", "on" },
        { "//graphics[@type='vnc'][@autoport='yes']/listen/@address",
          "127.0.0.1" },
        { "//rng/backend", "/dev/urandom" },
        { "//memballoon/@model", "virtio" },
    };
    struct domain_spec s = spec();
    look_at_spec(&s, &host, &files);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        expect(rows[i][0], rows[i][1]);
    expect_n("//boot", 1);
    expect_n("//disk/readonly", 2); /* vdb is, and the cdrom */
    expect_n("//channel", 0);
    look_away();
}

static void choices(void **state)
{
    struct domain_host kvm = { .kvm = true, .bridge = "br-int" };
    struct domain_files none = { 0 };
    struct domain_spec s = spec();
    s.hw = (struct hardware_spec){
        .machine = "q35",
        .cores = 2,
        .threads = 1,
        .sockets = 1,
        .uefi = true,
        .guest_agent = true,
        .no_rng = true,
        .windows = true,
    };
    s.vnc = false;
    look_at_spec(&s, &kvm, &none);
    expect("/domain/@type", "kvm");
    expect("/domain/cpu/@mode", "host-passthrough");
    expect("/domain/cpu/topology/@cores", "2");
    expect("/domain/os/@firmware", "efi");
    expect("/domain/clock/@offset", "localtime");
    expect("//channel/target/@name", "org.qemu.guest_agent.0");
    expect_n("//controller[@model='pcie-root-port']", 16);
    expect_n("//interface/driver/host", 0);
    expect_n("//rng", 0);
    expect_n("//graphics", 0);
    expect_n("//video", 0);
    expect_n("//serial/log", 0);
    expect_n("//disk[@device='cdrom']", 0);
    look_away();
}

/* A config drive where there is no IDE. */
static void config_drive_on_q35(void **state)
{
    struct domain_spec s = spec();
    s.hw.machine = "pc-q35-7.2";
    look_at_spec(&s, &host, &files);
    expect("//disk[@device='cdrom']/target/@bus", "scsi");
    expect("//controller[@type='scsi']/@model", "virtio-scsi");
    look_away();
}

static void cpu_modes(void **state)
{
    static const struct {
        bool kvm;
        const char *mode, *model, *got_mode, *got_model;
    } rows[] = {
        { false, NULL, NULL, "maximum", "" },
        { false, "host-model", NULL, "maximum", "" },
        { true, NULL, NULL, "host-passthrough", "" },
        { true, "host-model", NULL, "host-model", "" },
        { true, "custom", "Nehalem", "custom", "Nehalem" },
        { true, "custom", NULL, "host-model", "" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct domain_host h = host;
        struct domain_spec s = spec();
        h.kvm = rows[i].kvm;
        s.hw.cpu_mode = rows[i].mode;
        s.hw.cpu_model = rows[i].model;
        look_at_spec(&s, &h, &files);
        expect("/domain/cpu/@mode", rows[i].got_mode);
        expect("/domain/cpu/model", rows[i].got_model);
        look_away();
    }
}

/* A topology that does not come out at the number of CPUs is not taken. */
static void bad_topology(void **state)
{
    struct domain_spec s = spec();
    s.hw.sockets = 3;
    s.hw.cores = s.hw.threads = 1;
    look_at_spec(&s, &host, &files);
    expect("/domain/cpu/topology/@sockets", "2");
    look_away();
}

/* What stands in a name stays in the name. */
/* Two cells on the node's 0 and 2, CPUs of its own, huge pages, two devices;
 * and a guest that only keeps off others' CPUs. */
static void its_place(void **state)
{
    static const char *const rows[][2] = {
        { "/domain/vcpu", "4" },
        { "/domain/vcpu/@cpuset", "" },
        { "//hugepages/page[1]/@size", "2048" },
        { "//hugepages/page[2]/@nodeset", "1" },
        { "//cputune/vcpupin[@vcpu='0']/@cpuset", "4" },
        { "//cputune/vcpupin[@vcpu='1']/@cpuset", "6" },
        { "//cputune/vcpupin[@vcpu='3']/@cpuset", "13" },
        { "//cputune/emulatorpin/@cpuset", "4,6,12-13" },
        { "//numatune/memory/@nodeset", "0,2" },
        { "//numatune/memory/@mode", "strict" },
        { "//numatune/memnode[@cellid='1']/@nodeset", "2" },
        { "//cpu/numa/cell[@id='1']/@cpus", "2-3" },
        { "//cpu/numa/cell[@id='1']/@memory", "256" },
        { "//hostdev[1]/@managed", "yes" },
        { "//hostdev[1]/source/address/@domain", "0x0000" },
        { "//hostdev[1]/source/address/@bus", "0x3b" },
        { "//hostdev[1]/source/address/@function", "0x1" },
        { "//hostdev[2]/@type", "mdev" },
        { "//hostdev[2]/source/address/@uuid", ID },
    };
    static const struct hostdev_spec devices[] = { { "0000:3b:00.1" }, { ID } };
    struct domain_spec s = spec();
    s.vcpus = 4;
    s.place = (struct place_spec){ .n_cells = 2,
                                   .page_kib = 2048,
                                   .pinned = true,
                                   .devices = devices,
                                   .n_devices = 2 };
    s.place.cells[1].host = 2;
    cpus_parse("4,6", &s.place.cells[0].cpus);
    cpus_parse("12-13", &s.place.cells[1].cpus);
    look_at_spec(&s, &host, &files);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        expect(rows[i][0], rows[i][1]);
    look_away();
    s.place.pinned = false; /* each vCPU on any of its cell's */
    look_at_spec(&s, &host, &files);
    expect("//cputune/vcpupin[@vcpu='1']/@cpuset", "4,6");
    look_away();
    s.place = (struct place_spec){ 0 };
    cpus_parse("0-3", &s.place.shared);
    look_at_spec(&s, &host, &files);
    expect("/domain/vcpu/@cpuset", "0-3");
    expect_n("//cputune | //numatune | //memoryBacking | //cpu/numa", 0);
    expect_n("//hostdev", 0);
    look_away();
}

/* The guest of `from` as the node that gives it `to` is told of it. */
static bool look_at_moved(const struct domain_spec *from,
                          const struct place_spec *to, struct error *err)
{
    struct buf out = BUF_INIT(DOMAIN_XML_MAX), there = BUF_INIT(DOMAIN_XML_MAX);
    const struct migrate_spec spec = {
        .vnc_listen = "127.0.0.2",
        .config_drive = "/e/config.iso",
        .serial_log = "/e/console.log",
        .disks = { { "vda", "/e/root.qcow2", true },
                   { "vdb", "/e/v.qcow2", false } },
        .n_disks = 2,
        .place = *to,
    };
    assert_true(domain_xml_write(&out, from, &host, &files, err));
    bool ok = domain_xml_moved(&there, buf_str(&out), &spec, err);
    if (ok)
        look_at(buf_str(&there));
    buf_free(&out);
    buf_free(&there);
    return ok;
}

/* One that floats keeps off the CPUs that its new node keeps for others, and
 * off none that only its old node kept. */
static void moved_among_shared_cpus(void **state)
{
    struct error err;
    struct domain_spec s = spec();
    struct place_spec to = { 0 };
    cpus_parse("0-3", &s.place.shared);
    cpus_parse("2-7", &to.shared);
    assert_true(look_at_moved(&s, &to, &err));
    expect("/domain/vcpu/@cpuset", "2-7");
    expect("/domain/vcpu", "2");
    look_away();
    to = (struct place_spec){ 0 };
    assert_true(look_at_moved(&s, &to, &err));
    expect_n("/domain/vcpu/@cpuset", 0);
    expect_n("//cputune | //numatune", 0);
    look_away();
    s.place = to;
    cpus_parse("1", &to.shared);
    assert_true(look_at_moved(&s, &to, &err));
    expect("/domain/vcpu/@placement", "static");
    expect("/domain/vcpu/@cpuset", "1");
    look_away();
}

/* Cells of the guest stay what they are; where they are is the new node's. */
static void moved_to_other_cells(void **state)
{
    static const char *const rows[][2] = {
        { "/domain/vcpu", "4" },
        { "//cputune/vcpupin[@vcpu='0']/@cpuset", "8" },
        { "//cputune/vcpupin[@vcpu='1']/@cpuset", "10" },
        { "//cputune/vcpupin[@vcpu='3']/@cpuset", "21" },
        { "//cputune/emulatorpin/@cpuset", "8,10,20-21" },
        { "//numatune/memory/@nodeset", "1,3" },
        { "//numatune/memory/@mode", "strict" },
        { "//numatune/memnode[@cellid='0']/@nodeset", "1" },
        { "//numatune/memnode[@cellid='1']/@nodeset", "3" },
        { "//cpu/numa/cell[@id='1']/@cpus", "2-3" },
        { "//memoryBacking/hugepages/page[1]/@size", "2048" },
        { "//memoryBacking/hugepages/page[2]/@nodeset", "1" },
    };
    struct error err;
    struct domain_spec s = spec();
    s.vcpus = 4;
    s.place =
        (struct place_spec){ .n_cells = 2, .page_kib = 2048, .pinned = true };
    s.place.cells[1].host = 1;
    cpus_parse("4,6", &s.place.cells[0].cpus);
    cpus_parse("12-13", &s.place.cells[1].cpus);
    struct place_spec to = s.place;
    to.cells[0].host = 1;
    to.cells[1].host = 3;
    cpus_parse("8,10", &to.cells[0].cpus);
    cpus_parse("20-21", &to.cells[1].cpus);
    assert_true(look_at_moved(&s, &to, &err));
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        expect(rows[i][0], rows[i][1]);
    expect_n("//cputune", 1);
    expect_n("//numatune", 1);
    expect_n("//vcpupin", 4);
    expect_n("//emulatorpin", 1);
    expect_n("//memnode", 2);
    look_away();
    to.pinned = s.place.pinned = false; /* each vCPU on any of its cell's */
    assert_true(look_at_moved(&s, &to, &err));
    expect("//cputune/vcpupin[@vcpu='1']/@cpuset", "8,10");
    look_away();
    to.n_cells = 1; /* it is not what its record says */
    assert_false(look_at_moved(&s, &to, &err));
    assert_int_equal(err.code, ERR_INVALID);
    s.place = (struct place_spec){ 0 };
    assert_false(look_at_moved(&s, &to, &err));
}

static void hostile_text(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        { "</nova:name><disk type='file'/>",
          "</nova:name><disk type='file'/>" },
        { "a&amp;\"'<![CDATA[x]]>", "a&amp;\"'<![CDATA[x]]>" },
        { "\x01\x08z", "\xef\xbf\xbd\xef\xbf\xbdz" },
        { "a\xff\xfe", "a\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
        { "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80", "gr\xc3\xbc\xc3\x9f "
                                                 "\xf0\x9f\x98\x80" },
        { "\xc3", "\xef\xbf\xbd" },
        { "\x94\x9a", "\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd" },
        { "", "" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct domain_spec s = spec();
        s.title = s.flavor_name = s.hw.machine = rows[i].in;
        look_at_spec(&s, &host, &files);
        expect("//nova:instance/nova:name", rows[i].out);
        expect("//nova:flavor/@name", rows[i].out);
        expect("/domain/os/type/@machine", rows[i].out);
        expect_n("//disk", 3);
        look_away();
    }
}

static void equal_input_equal_output(void **state)
{
    struct error err;
    struct domain_spec s = spec();
    struct buf a = BUF_INIT(DOMAIN_XML_MAX), b = BUF_INIT(DOMAIN_XML_MAX);
    assert_true(domain_xml_write(&a, &s, &host, &files, &err));
    assert_true(domain_xml_write(&b, &s, &host, &files, &err));
    assert_string_equal(buf_str(&a), buf_str(&b));
    buf_free(&a);
    buf_free(&b);
}

static void too_large(void **state)
{
    struct error err;
    struct domain_spec s = spec();
    struct buf out = BUF_INIT(100);
    assert_false(domain_xml_write(&out, &s, &host, &files, &err));
    assert_int_equal(err.code, ERR_TOO_LARGE);
    buf_free(&out);
}

static void read_back(void **state)
{
    struct error err;
    struct domain_spec s = spec();
    struct domain_info info = { 0 };
    struct buf out = BUF_INIT(DOMAIN_XML_MAX);
    assert_true(domain_xml_write(&out, &s, &host, &files, &err));
    assert_true(domain_xml_read(buf_str(&out), &info));
    assert_int_equal(info.reboot, 3);
    assert_int_equal(info.n_disks, 3);
    assert_true(domain_has_disk(&info, "vda"));
    assert_true(domain_has_disk(&info, "vdb"));
    assert_false(domain_has_disk(&info, "vdc"));
    assert_int_equal(info.n_nics, 1);
    assert_true(domain_has_nic(&info, PORT));
    assert_string_equal(info.serial_log, "/d/console.log");
    assert_int_equal(info.vnc_port, 0); /* not known before it runs */
    assert_string_equal(domain_disk_path(&info, "vdb"), s.disks[1].path);
    assert_null(domain_disk_path(&info, "vdc"));
    assert_false(info.agent);
    buf_free(&out);
}

/* What recovery goes by: a guest with such a disk is stopped. */
static void rbd_is_read_back(void **state)
{
    struct error err;
    static struct disk_spec disk;
    disk = disks[1];
    disk.path = "rbd:rbd/volume.1";
    struct domain_spec s = spec();
    s.disks = &disk;
    s.n_disks = 1;
    struct domain_info info = { 0 };
    struct buf out = BUF_INIT(DOMAIN_XML_MAX);
    assert_true(domain_xml_write(&out, &s, &host, &files, &err));
    assert_true(domain_xml_read(buf_str(&out), &info));
    assert_string_equal(info.paths[0], "rbd:rbd/volume.1");
    assert_string_equal(domain_rbd_image(info.paths[0]), "rbd/volume.1");
    buf_free(&out);
}

static void agent_is_seen(void **state)
{
    static const char xml[] =
        "<domain><metadata><c:server xmlns:c='" DOMAIN_XMLNS "' reboot='1'/>"
        "</metadata><devices><channel type='unix'><target type='virtio' "
        "name='org.qemu.guest_agent.0' state='connected'/></channel></devices>"
        "</domain>";
    struct domain_info info = { 0 };
    assert_true(domain_xml_read(xml, &info));
    assert_true(info.agent);
}

static void move_of_one_disk(void **state)
{
    struct error err;
    struct domain_info info = { .n_disks = 2, .disks = { "vda", "vdb" } };
    struct buf out = BUF_INIT(DOMAIN_XML_MAX);
    assert_true(domain_xml_move(&out, &info, "vdb", "/v/a&b", &err));
    assert_string_equal(
        buf_str(&out),
        "<domainsnapshot><disks><disk name=\"vda\" snapshot=\"no\"/>"
        "<disk name=\"vdb\" snapshot=\"external\"><driver type=\"qcow2\"/>"
        "<source file=\"/v/a&amp;b\"><seclabel model=\"dac\" relabel=\"no\"/>"
        "</source></disk></disks></domainsnapshot>");
    buf_free(&out);
}

static void running_vnc(void **state)
{
    struct domain_info info = { 0 };
    assert_true(domain_xml_read(
        "<domain><metadata><cairn:server xmlns:cairn='" DOMAIN_XMLNS
        "' reboot='0'/></metadata><devices><graphics type='vnc' port='5901' "
        "listen='10.0.0.1'><listen type='address' address='10.0.0.1'/>"
        "</graphics></devices></domain>",
        &info));
    assert_int_equal(info.vnc_port, 5901);
    assert_string_equal(info.vnc_host, "10.0.0.1");
}

static void not_ours(void **state)
{
    static const char *const bad[] = {
        "",
        "<",
        "<domain/>",
        "<domain><metadata/></domain>",
        "<domain><metadata><server reboot='1'/></metadata></domain>",
        "<domain><metadata><n:server xmlns:n='urn:x'/></metadata></domain>",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct domain_info info = { 0 };
        assert_false(domain_xml_read(bad[i], &info));
    }
}

/* A disk in Ceph is a network disk, raw whatever was said, with libvirt's
 * secret. */
static void disk_in_ceph(void **state)
{
    struct error err;
    struct domain_host with = host;
    struct disk_spec disk = disks[1];
    struct buf out = BUF_INIT(DOMAIN_XML_MAX);
    with.ceph = (struct domain_ceph){ "/c/ceph.conf", "cairn", ID };
    disk.path = "rbd:rbd/volume.1";
    assert_true(domain_xml_disk(&out, &disk, &with, &err));
    look_at(buf_str(&out));
    expect("/disk/@type", "network");
    expect("/disk/driver/@type", "raw");
    expect("/disk/source/@protocol", "rbd");
    expect("/disk/source/@name", "rbd/volume.1");
    expect("/disk/source/config/@file", "/c/ceph.conf");
    expect("/disk/source/auth/@username", "cairn");
    expect("/disk/source/auth/secret/@uuid", ID);
    expect_n("/disk/source/@file", 0);
    look_away();
    buf_free(&out);
}

static void what_a_type_promises(void **state)
{
    struct error err;
    struct domain_host with = host;
    struct disk_spec disk = disks[1];
    struct buf out = BUF_INIT(DOMAIN_XML_MAX);
    with.ceph = (struct domain_ceph){ "/c/ceph.conf", "cairn", ID };
    disk.path = "rbd:rbd/volume.1";
    disk.secret = PORT;
    disk.shareable = disk.limited = true;
    disk.tune.v[QOS_read_iops_sec] = 20;
    disk.tune.v[QOS_total_bytes_sec] = 1 << 20;
    assert_true(domain_xml_disk(&out, &disk, &with, &err));
    look_at(buf_str(&out));
    expect("/disk/driver/@cache", "none");
    expect_n("/disk/shareable", 1);
    expect("/disk/source/encryption/@format", "luks");
    expect("/disk/source/encryption/secret/@uuid", PORT);
    expect("/disk/source/encryption/secret/@type", "passphrase");
    expect("/disk/source/auth/secret/@uuid", ID);
    expect("/disk/iotune/read_iops_sec", "20");
    expect("/disk/iotune/total_bytes_sec", "1048576");
    expect_n("/disk/iotune/*", 2);
    look_away();
    buf_free(&out);
}

static void devices_alone(void **state)
{
    struct error err;
    struct domain_spec s = spec();
    struct buf xml = BUF_INIT(DOMAIN_XML_MAX), out = BUF_INIT(DOMAIN_XML_MAX);
    assert_true(domain_xml_disk(&out, &disks[1], &host, &err));
    look_at(buf_str(&out));
    expect("/disk/target/@dev", "vdb");
    expect_n("/disk/boot", 0);
    look_away();
    buf_reset(&out);
    assert_true(domain_xml_nic(&out, &nics[0], &host, &err));
    look_at(buf_str(&out));
    expect("/interface/virtualport/parameters/@interfaceid", PORT);
    look_away();

    assert_true(domain_xml_write(&xml, &s, &host, &files, &err));
    buf_reset(&out);
    assert_true(domain_xml_find_disk(buf_str(&xml), "vdb", &out));
    look_at(buf_str(&out));
    expect("/disk/serial", "vol1");
    look_away();
    buf_reset(&out);
    assert_true(domain_xml_find_nic(buf_str(&xml), PORT, &out));
    look_at(buf_str(&out));
    expect("/interface/mac/@address", "fa:16:3e:00:00:01");
    look_away();
    assert_false(domain_xml_find_disk(buf_str(&xml), "vdz", &out));
    assert_false(domain_xml_find_nic(buf_str(&xml), ID, &out));
    buf_free(&xml);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_it),
        cmocka_unit_test(choices),
        cmocka_unit_test(config_drive_on_q35),
        cmocka_unit_test(cpu_modes),
        cmocka_unit_test(bad_topology),
        cmocka_unit_test(its_place),
        cmocka_unit_test(moved_among_shared_cpus),
        cmocka_unit_test(moved_to_other_cells),
        cmocka_unit_test(hostile_text),
        cmocka_unit_test(equal_input_equal_output),
        cmocka_unit_test(too_large),
        cmocka_unit_test(read_back),
        cmocka_unit_test(rbd_is_read_back),
        cmocka_unit_test(agent_is_seen),
        cmocka_unit_test(move_of_one_disk),
        cmocka_unit_test(running_vnc),
        cmocka_unit_test(not_ours),
        cmocka_unit_test(devices_alone),
        cmocka_unit_test(what_a_type_promises),
        cmocka_unit_test(disk_in_ceph),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
