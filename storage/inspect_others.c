#include "storage/inspect_impl.h"

#include "common/alloc.h"
#include "common/cleanup.h"

#include <stdlib.h>
#include <string.h>

static bool all_zero(const uint8_t *p, size_t n)
{
    while (n > 0 && *p == 0)
        p++, n--;
    return n == 0;
}

/* ---- raw, iso ---------------------------------------------------------- */

bool inspect_raw(const struct image_source *s, struct inspection *out,
                 struct error *err)
{
    return inspect_set_virtual(out, (uint64_t)s->size, err);
}

#define ISO_SLACK (150 * 2048) /* padding that mastering tools may cut */

bool inspect_iso(const struct image_source *s, struct inspection *out,
                 struct error *err)
{
    uint8_t d[132] = { 0 };
    if (!inspect_get(s, d, sizeof(d), INSPECT_ISO_AT,
                     "ISO 9660 volume descriptor", err))
        return false;
    uint64_t bytes = (uint64_t)inspect_le32(d + 80) * inspect_le(d + 128, 2);
    if (d[0] == 1 && bytes > (uint64_t)s->size + ISO_SLACK)
        return error_set(err, ERR_INVALID,
                         "the image is truncated: the ISO 9660 volume has "
                         "%llu bytes, the file %lld",
                         (unsigned long long)bytes, (long long)s->size);
    return inspect_set_virtual(out, (uint64_t)s->size, err);
}

/* ---- vmdk -------------------------------------------------------------- */

#define VMDK_DESC_AT  512
#define VMDK_DESC_MAX (1 << 20)
#define VMDK_AT_END   UINT64_MAX

/* Value of `key=` at the start of a line of the text, unquoted. */
static bool vmdk_value(const char *text, const char *key, char *out, size_t max)
{
    size_t n = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += strspn(line, "\n\r\t ");
        if (strncasecmp(line, key, n) != 0)
            continue;
        const char *v = line + n + strspn(line + n, " \t");
        if (*v++ != '=')
            continue;
        v += strspn(v, " \t\"");
        size_t len = strcspn(v, "\"\r\n");
        if (len >= max)
            len = max - 1;
        memcpy(out, v, len);
        out[len] = '\0';
        return true;
    }
    return false;
}

static unsigned vmdk_extents(const char *text, unsigned *sparse)
{
    static const char *const access[] = { "RW ", "RDONLY ", "NOACCESS " };
    unsigned n = 0;
    *sparse = 0;
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += strspn(line, "\n\r\t ");
        for (size_t i = 0; i < ARRAY_SIZE(access); i++) {
            size_t skip = strlen(access[i]);
            if (strncasecmp(line, access[i], skip) != 0)
                continue;
            n++;
            const char *p = line + skip;
            p += strspn(p, " 0123456789");
            if (strncasecmp(p, "SPARSE \"", 8) == 0 &&
                p[8 + strcspn(p + 8, "\"/\r\n")] == '"')
                (*sparse)++;
        }
    }
    return n;
}

static bool vmdk_descriptor(const char *text, struct error *err)
{
    char type[64] = "", cid[64] = "ffffffff";
    vmdk_value(text, "createType", type, sizeof(type));
    if (strcasecmp(type, "monolithicSparse") != 0 &&
        strcasecmp(type, "streamOptimized") != 0)
        return error_set(err, ERR_INVALID,
                         "vmdk images of type \"%.40s\" are not taken, only "
                         "monolithicSparse and streamOptimized",
                         type);
    vmdk_value(text, "parentCID", cid, sizeof(cid));
    if (strcasecmp(cid, "ffffffff") != 0 ||
        strcasestr(text, "parentFileNameHint"))
        return error_set(err, ERR_INVALID, "the vmdk image has a parent file");
    unsigned sparse, n = vmdk_extents(text, &sparse);
    if (n != 1 || sparse != 1)
        return error_set(err, ERR_INVALID,
                         "the vmdk image names other files: it must have "
                         "itself as its one extent");
    return true;
}

/* The descriptor's text; what stands behind a NUL in it is hidden from us
 * and from qemu alike. */
static char *vmdk_text(const struct image_source *s, uint64_t len,
                       struct error *err)
{
    _autofree_ char *text = xmalloc(len + 1);
    if (!inspect_get(s, text, len, VMDK_DESC_AT, "vmdk descriptor", err))
        return NULL;
    text[len] = '\0';
    return steal(&text);
}

bool inspect_vmdk(const struct image_source *s, struct inspection *out,
                  struct error *err)
{
    uint8_t h[80] = { 0 };
    if (!inspect_get(s, h, sizeof(h), 0, "vmdk header", err))
        return false;
    uint64_t capacity = inspect_le64(h + 12), desc_at = inspect_le64(h + 28);
    uint64_t desc_len = inspect_le64(h + 36), grains = inspect_le64(h + 56);
    /* qemu takes a header without capacity for a list of other files. */
    if (inspect_le32(h + 4) < 1 || inspect_le32(h + 4) > 3 || capacity == 0)
        return error_set(err, ERR_INVALID, "the vmdk header is corrupt");
    if (capacity > (uint64_t)INSPECT_VIRTUAL_MAX / 512)
        return inspect_set_virtual(out, UINT64_MAX, err);
    if (desc_at != 1 || desc_len == 0 || desc_len > VMDK_DESC_MAX / 512)
        return error_set(err, ERR_INVALID,
                         "the vmdk image has no descriptor of its own");
    if (grains != VMDK_AT_END && grains >= (uint64_t)s->size / 512)
        return error_set(err, ERR_INVALID,
                         "the image is truncated: its grain directory lies "
                         "behind the end of the file");
    _autofree_ char *text = vmdk_text(s, desc_len * 512, err);
    return text && vmdk_descriptor(text, err) &&
           inspect_set_virtual(out, capacity * 512, err);
}

/* ---- vhd, vhdx, vdi ---------------------------------------------------- */

bool inspect_vhd(const struct image_source *s, struct inspection *out,
                 struct error *err)
{
    uint8_t f[512] = { 0 };
    uint64_t at = s->size >= 512 ? (uint64_t)s->size - 512 : 0;
    if (!inspect_get(s, f, sizeof(f), at, "vhd footer", err))
        return false;
    if (memcmp(f, "conectix", 8) != 0)
        return error_set(err, ERR_INVALID,
                         "the image is truncated: it does not end with a vhd "
                         "footer");
    uint32_t type = inspect_be32(f + 60);
    if (type != 2 && type != 3)
        return error_set(err, ERR_INVALID,
                         type == 4 ? "the vhd image has a parent file"
                                   : "the vhd image is of an unknown type");
    uint64_t bytes = inspect_be64(f + 48);
    if (type == 2 && bytes > (uint64_t)s->size)
        return error_set(err, ERR_INVALID,
                         "the image is truncated: it holds less than its vhd "
                         "footer says");
    return inspect_set_virtual(out, bytes, err);
}

#define VHDX_REGIONS_AT  (192 << 10)
#define VHDX_ENTRIES_MAX 2047
#define VHDX_TABLE       (64u << 10)

static const uint8_t vhdx_metadata_region[16] = { 0x06, 0xa2, 0x7c, 0x8b,
                                                  0x90, 0x47, 0x9a, 0x4b,
                                                  0xb8, 0xfe, 0x57, 0x5f,
                                                  0x05, 0x0f, 0x88, 0x6e };
static const uint8_t vhdx_parameters[16] = { 0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa,
                                             0x43, 0x4d, 0xb3, 0xb6, 0x33, 0xf0,
                                             0xaa, 0x44, 0xe7, 0x6b };
static const uint8_t vhdx_disk_size[16] = { 0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd,
                                            0x76, 0x48, 0xb2, 0x11, 0x5d, 0xbe,
                                            0xd8, 0x3b, 0xf4, 0xb8 };

/* The entry of `table` (n of 32 bytes, from `first` on) with the GUID. */
static const uint8_t *vhdx_find(const uint8_t *table, size_t first, size_t n,
                                const uint8_t guid[16])
{
    for (size_t i = 0; i < n && first + 32 * (i + 1) <= VHDX_TABLE; i++)
        if (memcmp(table + first + 32 * i, guid, 16) == 0)
            return table + first + 32 * i;
    return NULL;
}

/* Value of a metadata item; `at` = where the metadata region begins. */
static bool vhdx_item(const struct image_source *s, const uint8_t *table,
                      uint64_t at, const uint8_t guid[16], uint8_t out[8],
                      struct error *err)
{
    const uint8_t *e =
        vhdx_find(table, 32, (size_t)inspect_le(table + 10, 2), guid);
    if (!e)
        return error_set(err, ERR_INVALID,
                         "the vhdx image is corrupt: metadata is missing");
    return inspect_get(s, out, 8, at + inspect_le32(e + 16), "vhdx metadata",
                       err);
}

bool inspect_vhdx(const struct image_source *s, struct inspection *out,
                  struct error *err)
{
    _autofree_ uint8_t *t = xmalloc(VHDX_TABLE);
    if (!inspect_get(s, t, VHDX_TABLE, VHDX_REGIONS_AT, "vhdx region table",
                     err))
        return false;
    const uint8_t *e = NULL;
    if (memcmp(t, "regi", 4) == 0 && inspect_le32(t + 8) <= VHDX_ENTRIES_MAX)
        e = vhdx_find(t, 16, inspect_le32(t + 8), vhdx_metadata_region);
    uint64_t at = e ? inspect_le64(e + 16) : 0;
    if (!e || at > (uint64_t)s->size)
        return error_set(err, ERR_INVALID,
                         "the vhdx image is corrupt: no metadata region");
    if (!inspect_get(s, t, VHDX_TABLE, at, "vhdx metadata table", err))
        return false;
    if (memcmp(t, "metadata", 8) != 0 ||
        inspect_le(t + 10, 2) > VHDX_ENTRIES_MAX)
        return error_set(err, ERR_INVALID,
                         "the vhdx image is corrupt: no metadata table");
    uint8_t parameters[8] = { 0 }, size[8] = { 0 };
    if (!vhdx_item(s, t, at, vhdx_parameters, parameters, err) ||
        !vhdx_item(s, t, at, vhdx_disk_size, size, err))
        return false;
    if ((inspect_le32(parameters + 4) & 2) != 0)
        return error_set(err, ERR_INVALID, "the vhdx image has a parent file");
    return inspect_set_virtual(out, inspect_le64(size), err);
}

bool inspect_vdi(const struct image_source *s, struct inspection *out,
                 struct error *err)
{
    uint8_t h[512] = { 0 };
    if (!inspect_get(s, h, sizeof(h), 0, "vdi header", err))
        return false;
    uint32_t type = inspect_le32(h + 76);
    if (inspect_le32(h + 68) != 0x00010001 || (type != 1 && type != 2) ||
        !all_zero(h + 0x1a8, 32))
        return error_set(err, ERR_INVALID,
                         "the vdi image has a parent file or is of an unknown "
                         "version");
    uint64_t map = inspect_le32(h + 0x154), data = inspect_le32(h + 0x158);
    uint64_t blocks = inspect_le32(h + 0x180), used = inspect_le32(h + 0x184);
    if (!inspect_inside(map, blocks * 4, (uint64_t)s->size) ||
        !inspect_inside(data, used * inspect_le32(h + 0x178),
                        (uint64_t)s->size))
        return error_set(err, ERR_INVALID,
                         "the image is truncated: its blocks lie behind the "
                         "end of the file");
    return inspect_set_virtual(out, inspect_le64(h + 0x170), err);
}
