#include "test.h"

#include "common/cleanup.h"
#include "storage/inspect.h"

#include <stdlib.h>
#include <string.h>

#define FILE_MAX (512 << 10)

/* A file in memory, larger in name than in bytes: the rest reads as zeros. */
static uint8_t file[FILE_MAX];
static int64_t file_size;
static int64_t outside; /* reads that were not inside the file */

static bool read_file(void *arg, void *to, size_t len, int64_t offset)
{
    if (offset < 0 || offset + (int64_t)len > file_size)
        outside++;
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)to)[i] =
            offset + (int64_t)i < FILE_MAX ? file[offset + (int64_t)i] : 0;
    return true;
}

static void be(size_t at, uint64_t v, int n)
{
    while (n-- > 0) {
        file[at + (size_t)n] = (uint8_t)v;
        v >>= 8;
    }
}

static void le(size_t at, uint64_t v, int n)
{
    for (int i = 0; i < n; i++, v >>= 8)
        file[at + (size_t)i] = (uint8_t)v;
}

static void text(size_t at, const char *s)
{
    memcpy(file + at, s, strlen(s));
}

static int setup(void **state)
{
    memset(file, 0, sizeof(file));
    file_size = 256 << 10;
    outside = 0;
    return 0;
}

static bool look(const char *disk_format, struct inspection *out,
                 struct error *err)
{
    struct image_source src = { read_file, NULL, file_size };
    bool ok = inspect(&src, disk_format, out, err);
    assert_int_equal(outside, 0);
    return ok;
}

static void taken(const char *disk_format, int64_t virtual_size)
{
    struct inspection found;
    struct error err;
    if (!look(disk_format, &found, &err))
        fail_msg("%s", err.text);
    assert_int_equal(found.virtual_size, virtual_size);
}

static void refused(const char *disk_format, enum error_code code,
                    const char *why)
{
    struct inspection found;
    struct error err;
    if (look(disk_format, &found, &err))
        fail_msg("taken, not: %s", why);
    if (!strstr(err.text, why) || err.code != code)
        fail_msg("%s, not: %s", err.text, why);
}

/* ---- qcow2 -------------------------------------------------------------- */

#define CLUSTER 65536

/* Header, refcount table, its one block, L1 table: 4 clusters. */
static void qcow2(int version)
{
    setup(NULL);
    text(0, "QFI\xfb");
    be(4, (uint64_t)version, 4);
    be(20, 16, 4);
    be(24, 8 << 20, 8);
    be(36, 1, 4);
    be(40, 3 * CLUSTER, 8);
    be(48, CLUSTER, 8);
    be(56, 1, 4);
    be(96, 4, 4);
    be(100, 104, 4);
}

static void qcow2_sound(void **state)
{
    qcow2(3);
    taken("qcow2", 8 << 20);
    file_size = 3 * CLUSTER + 8; /* as qemu-img create leaves it */
    taken("qcow2", 8 << 20);
    qcow2(2);
    memset(file + 72, 0, 32);
    taken("qcow2", 8 << 20);
    qcow2(3);
    be(104, 0x6803f857, 4); /* feature names: fine */
    be(108, 48, 4);
    taken("qcow2", 8 << 20);
    qcow2(3);
    be(24, (8 << 20) + 1, 8);
    taken("qcow2", (8 << 20) + 512);
    be(72, 8, 8); /* zstd */
    taken("qcow2", (8 << 20) + 512);
}

static void qcow2_reaches_out(void **state)
{
    qcow2(3);
    be(8, 512, 8);
    be(16, 11, 4);
    text(512, "/etc/passwd");
    refused("qcow2", ERR_INVALID, "backing file");
    refused("raw", ERR_MEDIA_TYPE, "content is qcow2");
    qcow2(3);
    be(16, 1, 4); /* a length without a place */
    refused("qcow2", ERR_INVALID, "backing file");
    qcow2(2);
    be(8, 512, 8);
    refused("qcow2", ERR_INVALID, "backing file");
    qcow2(3);
    be(72, 4, 8);
    refused("qcow2", ERR_INVALID, "external data file");
    qcow2(3);
    be(88, 2, 8); /* raw external data */
    refused("qcow2", ERR_INVALID, "external data file");
    qcow2(3);
    be(104, 0x6803f857, 4); /* behind a harmless extension */
    be(108, 3, 4);
    be(120, 0x44415441, 4);
    be(124, 11, 4);
    refused("qcow2", ERR_INVALID, "external data file");
    qcow2(3);
    be(100, 112, 4); /* a longer header moves the extensions */
    be(112, 0x44415441, 4);
    refused("qcow2", ERR_INVALID, "external data file");
    qcow2(2); /* version 2 may have them too */
    memset(file + 72, 0, 32);
    be(72, 0x44415441, 4);
    refused("qcow2", ERR_INVALID, "external data file");
}

static const struct {
    size_t at;
    int bytes;
    uint64_t value;
    const char *why;
} qcow2_cases[] = {
    { 4, 4, 1, "version 1" },
    { 4, 4, 4, "version 4" },
    { 20, 4, 8, "clusters of 2^8" },
    { 20, 4, 22, "clusters of 2^22" },
    { 20, 4, 0xffffffff, "corrupt" },
    { 24, 8, 0, "empty disk" },
    { 24, 8, UINT64_C(1) << 62, "more than 64 TiB" },
    { 24, 8, UINT64_MAX, "more than 64 TiB" },
    { 24, 8, UINT64_C(1) << 40, "L1 table is too small" },
    { 32, 4, 1, "encrypted" },
    { 32, 4, 2, "encrypted" },
    { 36, 4, 0, "L1 table is too small" },
    { 36, 4, 0xffffffff, "L1 table has" },
    { 36, 4, 65536, "truncated: its L1 table" },
    { 40, 8, 0, "L1 table is at 0" },
    { 40, 8, 3 * CLUSTER + 512, "L1 table is at" },
    { 40, 8, 64 * CLUSTER, "truncated: its L1 table" },
    { 40, 8, UINT64_MAX & ~UINT64_C(65535), "truncated: its L1 table" },
    { 48, 8, 0, "refcount table is at 0" },
    { 48, 8, 64 * CLUSTER, "truncated: its refcount table" },
    { 56, 4, 0, "refcount table has 0" },
    { 56, 4, 0xffffffff, "refcount table has" },
    { 60, 4, 1, "internal snapshots" },
    { 72, 8, 1, "dirty or corrupt" },
    { 72, 8, 2, "dirty or corrupt" },
    { 72, 8, 32, "unknown incompatible features" },
    { 72, 8, UINT64_C(1) << 63, "unknown incompatible features" },
    { 88, 8, 1, "bitmaps" },
    { 96, 4, 7, "corrupt" },
    { 100, 4, 72, "corrupt" },
    { 100, 4, 108, "corrupt: it is 108" },
    { 100, 4, 0xfffffff8, "corrupt" },
    { 104, 8, UINT64_C(0x2385287500000000), "bitmaps" },
    { 104, 8, UINT64_C(0x0537be7700000000), "encryption" },
    { 104, 8, UINT64_C(0x12345678ffffffff), "extension is" },
    { 3 * CLUSTER, 8, UINT64_C(1) << 40, "truncated: its L2 table" },
    { 3 * CLUSTER, 8, 0x10200, "L2 table is at" },
    { 3 * CLUSTER, 8, 0x10001, "reserved bits" },
};

static void qcow2_unsound(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(qcow2_cases); i++) {
        qcow2(3);
        be(qcow2_cases[i].at, qcow2_cases[i].value, qcow2_cases[i].bytes);
        refused("qcow2",
                strncmp(qcow2_cases[i].why, "version", 7) == 0 ? ERR_MEDIA_TYPE
                                                               : ERR_INVALID,
                qcow2_cases[i].why);
    }
}

static void qcow2_truncated(void **state)
{
    static const int64_t sizes[] = { 4,   71,   72,      103,
                                     104, 4096, CLUSTER, 3 * CLUSTER };
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        qcow2(3);
        file_size = sizes[i];
        refused("qcow2", ERR_INVALID, "truncated");
    }
}

/* ---- raw, iso, and lies ------------------------------------------------- */

static void raw(void **state)
{
    file_size = 1000;
    taken("raw", 1024);
    taken("ari", 1024);
    file_size = INT64_C(1) << 40;
    file[510] = 0x55;
    file[511] = 0xaa;
    taken("raw", INT64_C(1) << 40);
    file_size = 0;
    refused("raw", ERR_INVALID, "empty");
    file_size = 1;
    refused("qcow2", ERR_MEDIA_TYPE, "no such header");
    refused("ploop", ERR_MEDIA_TYPE, "\"ploop\" is not taken");
    refused(NULL, ERR_MEDIA_TYPE, "is not taken");
}

static const struct {
    size_t at;
    const char *magic, *name;
} lies[] = {
    { 0, "QFI\xfb", "qcow2" },
    { 0, "QED", "qed" },
    { 0, "KDMV", "vmdk" },
    { 0, "COWD", "vmdk (ESX" },
    { 0, "# Disk DescriptorFile\nRW 1 FLAT \"/etc/passwd\" 0\n", "vmdk desc" },
    { 0, "conectix", "vhd" },
    { 0, "vhdxfile", "vhdx" },
    { 0, "LUKS\xba\xbe", "luks" },
    { 0, "WithoutFreeSpace", "parallels" },
    { 0, "Bochs Virtual HD Image", "bochs" },
    { 64, "\x7f\x10\xda\xbe", "vdi" },
};

static void declared_raw_but_is_not(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
        setup(NULL);
        text(lies[i].at, lies[i].magic);
        refused("raw", ERR_MEDIA_TYPE, lies[i].name);
        refused("iso", ERR_MEDIA_TYPE, lies[i].name);
    }
}

static void iso(void **state)
{
    refused("iso", ERR_MEDIA_TYPE, "no such header");
    file[32768] = 1;
    text(32769, "CD001");
    le(32768 + 80, 100, 4);
    le(32768 + 128, 2048, 2);
    taken("iso", 256 << 10);
    taken("raw", 256 << 10);
    refused("qcow2", ERR_MEDIA_TYPE, "content is iso");
    le(32768 + 80, 10000, 4);
    refused("iso", ERR_INVALID, "truncated");
}

static void two_things_at_once(void **state)
{
    qcow2(3);
    text(32769, "CD001");
    refused("iso", ERR_INVALID, "qcow2 and iso at once");
    refused("qcow2", ERR_INVALID, "at once");
    qcow2(3);
    text(64, "\x7f\x10\xda\xbe");
    refused("qcow2", ERR_INVALID, "qcow2 and vdi at once");
}

/* ---- vmdk --------------------------------------------------------------- */

#define DESCRIPTOR(cid, type, extent)                                          \
    "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=" cid           \
    "\ncreateType=\"" type "\"\n\n" extent "\nddb.adapterType = \"ide\"\n"
#define GOOD DESCRIPTOR("ffffffff", "monolithicSparse", "RW 16 SPARSE \"a\"")

static void vmdk(const char *descriptor)
{
    setup(NULL);
    text(0, "KDMV");
    le(4, 1, 4);
    le(12, 16384, 8);
    le(28, 1, 8);
    le(36, 20, 8);
    le(56, 26, 8);
    text(512, descriptor);
}

static void vmdk_files(void **state)
{
    vmdk(GOOD);
    taken("vmdk", 8 << 20);
    vmdk(DESCRIPTOR("ffffffff", "streamOptimized", "RW 16 SPARSE \"a\""));
    le(56, UINT64_MAX, 8);
    taken("vmdk", 8 << 20);
    vmdk(GOOD);
    le(12, 0, 8); /* qemu would read the descriptor's extents */
    refused("vmdk", ERR_INVALID, "header is corrupt");
    vmdk(GOOD);
    le(12, UINT64_MAX / 256, 8);
    refused("vmdk", ERR_INVALID, "more than 64 TiB");
    vmdk(GOOD);
    le(28, 2, 8);
    refused("vmdk", ERR_INVALID, "no descriptor");
    vmdk(GOOD);
    le(36, UINT64_MAX, 8);
    refused("vmdk", ERR_INVALID, "no descriptor");
    vmdk(GOOD);
    le(36, 2000, 8);
    refused("vmdk", ERR_INVALID, "truncated");
    vmdk(GOOD);
    le(56, 4096, 8);
    refused("vmdk", ERR_INVALID, "truncated: its grain directory");
}

static void vmdk_reaches_out(void **state)
{
    vmdk(DESCRIPTOR("ffffffff", "monolithicFlat", "RW 16 FLAT \"/etc/x\" 0"));
    refused("vmdk", ERR_INVALID, "type \"monolithicFlat\"");
    vmdk(DESCRIPTOR("ffffffff", "monolithicSparse", "RW 16 FLAT \"x\" 0"));
    refused("vmdk", ERR_INVALID, "names other files");
    vmdk(DESCRIPTOR("ffffffff", "monolithicSparse", "RW 16 SPARSE \"/a\""));
    refused("vmdk", ERR_INVALID, "names other files");
    vmdk(DESCRIPTOR("ffffffff", "monolithicSparse",
                    "RW 16 SPARSE \"a\"\nrdonly 16 SPARSE \"b\""));
    refused("vmdk", ERR_INVALID, "names other files");
    vmdk(DESCRIPTOR("ffffffff", "monolithicSparse", ""));
    refused("vmdk", ERR_INVALID, "names other files");
    vmdk(DESCRIPTOR("00000001", "monolithicSparse", "RW 16 SPARSE \"a\""));
    refused("vmdk", ERR_INVALID, "parent");
    vmdk(DESCRIPTOR("ffffffff", "monolithicSparse",
                    "RW 16 SPARSE \"a\"\nparentFileNameHint=\"/etc/x\""));
    refused("vmdk", ERR_INVALID, "parent");
    vmdk("nothing");
    refused("vmdk", ERR_INVALID, "type \"\"");
}

/* ---- vhd, vhdx, vdi ----------------------------------------------------- */

static void vhd(void **state)
{
    size_t foot = (256 << 10) - 512;
    text(0, "conectix");
    text(foot, "conectix");
    be(foot + 48, 8 << 20, 8);
    be(foot + 60, 3, 4);
    taken("vhd", 8 << 20);
    be(foot + 60, 4, 4);
    refused("vhd", ERR_INVALID, "parent");
    be(foot + 60, 2, 4);
    refused("vhd", ERR_INVALID, "truncated");
    memset(file, 0, 512); /* fixed: only the footer */
    be(foot + 48, 1 << 17, 8);
    taken("vhd", 1 << 17);
    be(foot + 60, 3, 4);
    be(foot + 48, UINT64_MAX, 8);
    refused("vhd", ERR_INVALID, "more than 64 TiB");
    text(0, "conectix");
    file_size -= 512;
    refused("vhd", ERR_INVALID, "truncated");
}

static const uint8_t region[16] = { 0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47,
                                    0x9a, 0x4b, 0xb8, 0xfe, 0x57, 0x5f,
                                    0x05, 0x0f, 0x88, 0x6e };
static const uint8_t parameters[16] = { 0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa,
                                        0x43, 0x4d, 0xb3, 0xb6, 0x33, 0xf0,
                                        0xaa, 0x44, 0xe7, 0x6b };
static const uint8_t disk_size[16] = { 0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd,
                                       0x76, 0x48, 0xb2, 0x11, 0x5d, 0xbe,
                                       0xd8, 0x3b, 0xf4, 0xb8 };

static void vhdx_file(void)
{
    size_t r = 192 << 10, m = 256 << 10;
    setup(NULL);
    file_size = FILE_MAX;
    text(0, "vhdxfile");
    text(r, "regi");
    le(r + 8, 1, 4);
    memcpy(file + r + 16, region, 16);
    le(r + 32, m, 8);
    text(m, "metadata");
    le(m + 10, 2, 2);
    memcpy(file + m + 32, parameters, 16);
    le(m + 48, 65536, 4);
    memcpy(file + m + 64, disk_size, 16);
    le(m + 80, 65544, 4);
    le(m + 65536, 1 << 20, 4);
    le(m + 65544, 8 << 20, 8);
}

static void vhdx(void **state)
{
    size_t r = 192 << 10, m = 256 << 10;
    vhdx_file();
    taken("vhdx", 8 << 20);
    le(m + 65540, 2, 4);
    refused("vhdx", ERR_INVALID, "parent");
    vhdx_file();
    le(r + 8, 0xffffffff, 4);
    refused("vhdx", ERR_INVALID, "no metadata region");
    vhdx_file();
    le(r + 32, UINT64_MAX - 10, 8);
    refused("vhdx", ERR_INVALID, "no metadata region");
    vhdx_file();
    le(m + 10, 0xffff, 2);
    refused("vhdx", ERR_INVALID, "no metadata table");
    vhdx_file();
    le(m + 10, 1, 2);
    refused("vhdx", ERR_INVALID, "metadata is missing");
    vhdx_file();
    le(m + 80, 0xffffffff, 4);
    refused("vhdx", ERR_INVALID, "truncated");
    vhdx_file();
    file_size = 1 << 17;
    refused("vhdx", ERR_INVALID, "truncated");
}

static void vdi_file(void)
{
    setup(NULL);
    text(64, "\x7f\x10\xda\xbe");
    le(68, 0x00010001, 4);
    le(76, 1, 4);
    le(0x154, 512, 4);
    le(0x158, 1024, 4);
    le(0x170, 8 << 20, 8);
    le(0x178, 1 << 16, 4);
    le(0x180, 8, 4);
    le(0x184, 2, 4);
}

static void vdi(void **state)
{
    vdi_file();
    taken("vdi", 8 << 20);
    le(76, 4, 4);
    refused("vdi", ERR_INVALID, "parent");
    vdi_file();
    file[0x1b8] = 1;
    refused("vdi", ERR_INVALID, "parent");
    vdi_file();
    le(0x184, 0xffffffff, 4);
    refused("vdi", ERR_INVALID, "truncated");
    vdi_file();
    le(0x154, 0xffffffff, 4);
    refused("vdi", ERR_INVALID, "truncated");
}

int main(void)
{
#define T(name_) cmocka_unit_test_setup(name_, setup)
    const struct CMUnitTest tests[] = {
        T(qcow2_sound),   T(qcow2_reaches_out),
        T(qcow2_unsound), T(qcow2_truncated),
        T(raw),           T(declared_raw_but_is_not),
        T(iso),           T(two_things_at_once),
        T(vmdk_files),    T(vmdk_reaches_out),
        T(vhd),           T(vhdx),
        T(vdi),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
