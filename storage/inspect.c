#include "storage/inspect_impl.h"

#include "common/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- reading ----------------------------------------------------------- */

bool inspect_get(const struct image_source *s, void *to, size_t len,
                 uint64_t offset, const char *what, struct error *err)
{
    if (len > (uint64_t)s->size || offset > (uint64_t)s->size - len)
        return error_set(err, ERR_INVALID,
                         "the image is truncated: its %s lies behind the end "
                         "of the file",
                         what);
    if (!s->read_at(s->arg, to, len, (int64_t)offset))
        return error_set(err, ERR_INTERNAL, "cannot read the image's %s", what);
    return true;
}

static uint64_t be(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

uint64_t inspect_le(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    while (n-- > 0)
        v = v << 8 | p[n];
    return v;
}

uint32_t inspect_be32(const uint8_t *p)
{
    return (uint32_t)be(p, 4);
}

uint64_t inspect_be64(const uint8_t *p)
{
    return be(p, 8);
}

uint32_t inspect_le32(const uint8_t *p)
{
    return (uint32_t)inspect_le(p, 4);
}

uint64_t inspect_le64(const uint8_t *p)
{
    return inspect_le(p, 8);
}

/* len bytes at offset, all inside `limit`? */
bool inspect_inside(uint64_t offset, uint64_t len, uint64_t limit)
{
    return len <= limit && offset <= limit - len;
}

bool inspect_set_virtual(struct inspection *out, uint64_t bytes,
                         struct error *err)
{
    if (bytes == 0)
        return error_set(err, ERR_INVALID, "the image holds an empty disk");
    if (bytes > (uint64_t)INSPECT_VIRTUAL_MAX)
        return error_set(err, ERR_INVALID,
                         "the image claims a disk of %llu bytes; more than "
                         "64 TiB is not taken",
                         (unsigned long long)bytes);
    out->virtual_size = (int64_t)((bytes + 511) & ~UINT64_C(511));
    return true;
}

/* ---- which it is ------------------------------------------------------- */

static const struct {
    const char *name;
    const char *driver;
    inspect_fn *check; /* NULL: refused */
} formats[N_FORMATS] = {
    [FORMAT_RAW] = { "raw", "raw", inspect_raw },
    [FORMAT_ISO] = { "iso", "raw", inspect_iso },
    [FORMAT_QCOW2] = { "qcow2", "qcow2", inspect_qcow2 },
    [FORMAT_VMDK] = { "vmdk", "vmdk", inspect_vmdk },
    [FORMAT_VHD] = { "vhd", "vpc", inspect_vhd },
    [FORMAT_VHDX] = { "vhdx", "vhdx", inspect_vhdx },
    [FORMAT_VDI] = { "vdi", "vdi", inspect_vdi },
    [FORMAT_QCOW1] = { "qcow (version 1)" },
    [FORMAT_QED] = { "qed" },
    [FORMAT_LUKS] = { "luks" },
    [FORMAT_PARALLELS] = { "parallels" },
    [FORMAT_BOCHS] = { "bochs" },
    [FORMAT_VMDK_TEXT] = { "vmdk descriptor" },
    [FORMAT_VMDK_ESX] = { "vmdk (ESX sparse)" },
};

static const struct {
    const char *disk_format;
    enum image_format format;
} disk_formats[] = {
    { "qcow2", FORMAT_QCOW2 }, { "raw", FORMAT_RAW }, { "iso", FORMAT_ISO },
    { "vmdk", FORMAT_VMDK },   { "vhd", FORMAT_VHD }, { "vhdx", FORMAT_VHDX },
    { "vdi", FORMAT_VDI },     { "aki", FORMAT_RAW }, { "ari", FORMAT_RAW },
    { "ami", FORMAT_RAW },
};

bool format_from_disk_format(const char *disk_format, enum image_format *out)
{
    for (size_t i = 0; disk_format && i < ARRAY_SIZE(disk_formats); i++)
        if (strcmp(disk_format, disk_formats[i].disk_format) == 0) {
            *out = disk_formats[i].format;
            return true;
        }
    return false;
}

const char *format_name(enum image_format format)
{
    return formats[format].name;
}

const char *format_driver(enum image_format format)
{
    return formats[format].driver;
}

#define MAGIC(format_, at_, text_)                                             \
    {                                                                          \
        FORMAT_##format_, at_, sizeof(text_) - 1, text_                        \
    }
static const struct {
    enum image_format format;
    uint16_t at;
    uint8_t len;
    const char *bytes;
} magics[] = {
    MAGIC(QCOW1, 0, "QFI\xfb\0\0\0\1"),
    MAGIC(QCOW2, 0, "QFI\xfb"),
    MAGIC(QED, 0, "QED\0"),
    MAGIC(VMDK, 0, "KDMV"),
    MAGIC(VMDK_ESX, 0, "COWD"),
    MAGIC(VMDK_TEXT, 0, "# Disk DescriptorFile"),
    MAGIC(VHD, 0, "conectix"),
    MAGIC(VHDX, 0, "vhdxfile"),
    MAGIC(LUKS, 0, "LUKS\xba\xbe"),
    MAGIC(PARALLELS, 0, "WithoutFreeSpace"),
    MAGIC(PARALLELS, 0, "WithouFreSpacExt"),
    MAGIC(BOCHS, 0, "Bochs Virtual HD Image"),
    MAGIC(VDI, 64, "\x7f\x10\xda\xbe"),
};

static bool is_iso(const struct image_source *s)
{
    uint8_t m[5] = { 0 };
    struct error ignored;
    return inspect_get(s, m, sizeof(m), INSPECT_ISO_AT + 1, "", &ignored) &&
           memcmp(m, "CD001", 5) == 0;
}

/* A fixed vhd is a raw disk with a footer: only its end tells. */
static bool is_fixed_vhd(const struct image_source *s)
{
    uint8_t m[8] = { 0 };
    struct error ignored;
    return s->size >= 512 &&
           inspect_get(s, m, sizeof(m), (uint64_t)s->size - 512, "",
                       &ignored) &&
           memcmp(m, "conectix", 8) == 0;
}

/* What the file's first bytes say it is; INVALID when they say two things. */
static bool inspect_detect(const struct image_source *src,
                           enum image_format *out, struct error *err)
{
    uint8_t h[128] = { 0 };
    size_t n = src->size < (int64_t)sizeof(h) ? (size_t)src->size : sizeof(h);
    if (n > 0 && !inspect_get(src, h, n, 0, "first bytes", err))
        return false;
    *out = FORMAT_RAW;
    bool found = false;
    for (size_t i = 0; i < ARRAY_SIZE(magics); i++) {
        if (memcmp(h + magics[i].at, magics[i].bytes, magics[i].len) != 0)
            continue;
        if (found && !(*out == FORMAT_QCOW1))
            return error_set(err, ERR_INVALID,
                             "the image pretends to be %s and %s at once",
                             format_name(*out), format_name(magics[i].format));
        if (!found)
            *out = magics[i].format;
        found = true;
    }
    bool iso = is_iso(src);
    if (found && iso)
        return error_set(err, ERR_INVALID,
                         "the image pretends to be %s and iso at once",
                         format_name(*out));
    if (iso)
        *out = FORMAT_ISO;
    return true;
}

/* ISO images and fixed vhds are raw disks too: declared raw, they are. */
static bool agrees(const struct image_source *src, enum image_format declared,
                   enum image_format found)
{
    return declared == found ||
           (declared == FORMAT_RAW && found == FORMAT_ISO) ||
           (declared == FORMAT_VHD && found == FORMAT_RAW && is_fixed_vhd(src));
}

bool inspect(const struct image_source *src, const char *disk_format,
             struct inspection *out, struct error *err)
{
    enum image_format declared, found;
    if (!format_from_disk_format(disk_format, &declared))
        return error_set(err, ERR_MEDIA_TYPE,
                         "disk format \"%.32s\" is not taken; qcow2, raw, "
                         "iso, vmdk, vhd, vhdx and vdi are",
                         disk_format ? disk_format : "");
    if (src->size <= 0)
        return error_set(err, ERR_INVALID, "the image is empty");
    if (!inspect_detect(src, &found, err))
        return false;
    if (found != FORMAT_RAW && !formats[found].check)
        return error_set(err, ERR_MEDIA_TYPE,
                         "the image is declared %s, but its content is %s, "
                         "which is not taken",
                         disk_format, format_name(found));
    if (!agrees(src, declared, found))
        return error_set(err, ERR_MEDIA_TYPE,
                         "the image is declared %s, but its content is %s%s",
                         disk_format, found == FORMAT_RAW ? "not: " : "",
                         found == FORMAT_RAW ? "it has no such header"
                                             : format_name(found));
    out->format = declared;
    return formats[declared].check(src, out, err);
}

static bool read_fd(void *arg, void *to, size_t len, int64_t offset)
{
    int fd = *(int *)arg;
    char *p = to;
    while (len > 0) {
        ssize_t n = pread(fd, p, len, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        offset += n;
        len -= (size_t)n;
    }
    return true;
}

bool inspect_open(int *fd, struct image_source *src, struct error *err)
{
    struct stat st;
    if (fstat(*fd, &st) < 0)
        return error_errno(err, ERR_INTERNAL, errno, "cannot stat the image");
    *src = (struct image_source){ read_fd, fd, st.st_size };
    return true;
}

bool inspect_fd(int fd, const char *disk_format, struct inspection *out,
                struct error *err)
{
    struct image_source src = { 0 };
    return inspect_open(&fd, &src, err) && inspect(&src, disk_format, out, err);
}
