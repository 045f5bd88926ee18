#include "storage/inspect.h"

#include "common/alloc.h"
#include "common/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- reading ----------------------------------------------------------- */

static bool get(const struct image_source *s, void *to, size_t len,
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

static uint64_t le(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    while (n-- > 0)
        v = v << 8 | p[n];
    return v;
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)be(p, 4);
}

static uint64_t be64(const uint8_t *p)
{
    return be(p, 8);
}

static uint32_t le32(const uint8_t *p)
{
    return (uint32_t)le(p, 4);
}

static uint64_t le64(const uint8_t *p)
{
    return le(p, 8);
}

static bool all_zero(const uint8_t *p, size_t n)
{
    while (n > 0 && *p == 0)
        p++, n--;
    return n == 0;
}

/* len bytes at offset, all inside `limit`? */
static bool inside(uint64_t offset, uint64_t len, uint64_t limit)
{
    return len <= limit && offset <= limit - len;
}

static bool set_virtual(struct inspection *out, uint64_t bytes,
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

/* ---- qcow2 ------------------------------------------------------------- */

#define QCOW2_L1_MAX       (32u << 20) /* bytes; qemu's own limits */
#define QCOW2_REFTABLE_MAX (8u << 20)
#define QCOW2_HEAD_MAX     112
#define L1_OFFSET_MASK     UINT64_C(0x00fffffffffffe00)
#define L1_RESERVED_MASK   UINT64_C(0x7f000000000001ff)

struct qcow2 {
    uint32_t version;
    uint64_t backing_offset;
    uint32_t backing_size;
    uint32_t cluster_bits;
    uint64_t cluster;
    uint64_t size;
    uint32_t crypt;
    uint32_t l1_size;
    uint64_t l1_offset;
    uint64_t reftable_offset;
    uint32_t reftable_clusters;
    uint32_t n_snapshots;
    uint64_t incompatible, autoclear;
    uint32_t refcount_order;
    uint32_t header_length;
    uint64_t end; /* file size, rounded up to a cluster */
};

enum {
    QCOW2_DIRTY = 1,
    QCOW2_CORRUPT = 2,
    QCOW2_DATA_FILE = 4,
    QCOW2_COMPRESSION = 8,
    QCOW2_EXTENDED_L2 = 16,
};

/* The fields, and that they are sane enough to be calculated with. */
static bool qcow2_read(const struct image_source *s, struct qcow2 *q,
                       struct error *err)
{
    uint8_t h[QCOW2_HEAD_MAX] = { 0 };
    if (!get(s, h, 72, 0, "qcow2 header", err))
        return false;
    *q = (struct qcow2){ .version = be32(h + 4),
                         .backing_offset = be64(h + 8),
                         .backing_size = be32(h + 16),
                         .cluster_bits = be32(h + 20),
                         .size = be64(h + 24),
                         .crypt = be32(h + 32),
                         .l1_size = be32(h + 36),
                         .l1_offset = be64(h + 40),
                         .reftable_offset = be64(h + 48),
                         .reftable_clusters = be32(h + 56),
                         .n_snapshots = be32(h + 60),
                         .refcount_order = 4,
                         .header_length = 72 };
    if (q->version != 2 && q->version != 3)
        return error_set(err, ERR_MEDIA_TYPE,
                         "qcow version %u is not taken, only 2 and 3",
                         q->version);
    if (q->cluster_bits < 9 || q->cluster_bits > 21)
        return error_set(err, ERR_INVALID,
                         "the qcow2 header is corrupt: clusters of 2^%u bytes",
                         q->cluster_bits);
    q->cluster = UINT64_C(1) << q->cluster_bits;
    q->end = ((uint64_t)s->size + q->cluster - 1) & ~(q->cluster - 1);
    if (q->version == 2)
        return true;
    if (!get(s, h, 104, 0, "qcow2 header", err))
        return false;
    q->incompatible = be64(h + 72);
    q->autoclear = be64(h + 88);
    q->refcount_order = be32(h + 96);
    q->header_length = be32(h + 100);
    if (q->header_length < 104 || q->header_length % 8 != 0 ||
        q->header_length > q->cluster)
        return error_set(err, ERR_INVALID,
                         "the qcow2 header is corrupt: it is %u bytes long",
                         q->header_length);
    return true;
}

/* What would reach outside the file, or we do not want. */
static bool qcow2_features(const struct qcow2 *q, struct error *err)
{
    if (q->backing_offset != 0 || q->backing_size != 0)
        return error_set(err, ERR_INVALID,
                         "the qcow2 image has a backing file; flatten it "
                         "(qemu-img convert) and upload the result");
    if ((q->incompatible & QCOW2_DATA_FILE) != 0 || (q->autoclear & 2) != 0)
        return error_set(err, ERR_INVALID,
                         "the qcow2 image keeps its data in an external data "
                         "file");
    if (q->crypt != 0)
        return error_set(err, ERR_INVALID, "the qcow2 image is encrypted");
    if ((q->incompatible & (QCOW2_DIRTY | QCOW2_CORRUPT)) != 0)
        return error_set(err, ERR_INVALID,
                         "the qcow2 image is marked dirty or corrupt; repair "
                         "it (qemu-img check -r all) first");
    uint64_t known = QCOW2_COMPRESSION | QCOW2_EXTENDED_L2;
    if ((q->incompatible & ~known) != 0)
        return error_set(err, ERR_INVALID,
                         "the qcow2 image has unknown incompatible features "
                         "(%#llx)",
                         (unsigned long long)(q->incompatible & ~known));
    if ((q->autoclear & 1) != 0)
        return error_set(err, ERR_INVALID,
                         "the qcow2 image has persistent bitmaps");
    if (q->n_snapshots != 0)
        return error_set(err, ERR_INVALID,
                         "the qcow2 image has internal snapshots; flatten it "
                         "(qemu-img convert) and upload the result");
    return true;
}

static const struct {
    uint32_t type;
    const char *what;
} qcow2_refused[] = {
    { 0x23852875, "persistent bitmaps" },
    { 0x0537be77, "encryption" },
    { 0x44415441, "an external data file" },
};

/* Extensions stand between the header and the end of the first cluster. */
static bool qcow2_extensions(const struct image_source *s,
                             const struct qcow2 *q, struct error *err)
{
    uint64_t at = q->header_length;
    while (at + 8 <= q->cluster && at + 8 <= (uint64_t)s->size) {
        uint8_t h[8] = { 0 };
        if (!get(s, h, sizeof(h), at, "qcow2 header extension", err))
            return false;
        uint32_t type = be32(h), len = be32(h + 4);
        if (type == 0)
            return true;
        if (!inside(at + 8, len, q->cluster))
            return error_set(err, ERR_INVALID,
                             "the qcow2 header is corrupt: an extension is "
                             "%u bytes long",
                             len);
        for (size_t i = 0; i < ARRAY_SIZE(qcow2_refused); i++)
            if (type == qcow2_refused[i].type)
                return error_set(err, ERR_INVALID,
                                 "the qcow2 image has %s (header extension)",
                                 qcow2_refused[i].what);
        at += 8 + ((uint64_t)len + 7) / 8 * 8;
    }
    return true;
}

/* A table must begin inside the file, on a cluster, and end in it. */
static bool qcow2_table(const struct image_source *s, const struct qcow2 *q,
                        uint64_t offset, uint64_t len, uint64_t most,
                        const char *what, struct error *err)
{
    if (len == 0 || len > most)
        return error_set(err, ERR_INVALID,
                         "the qcow2 image is corrupt: its %s has %llu bytes",
                         what, (unsigned long long)len);
    if (offset < q->cluster || offset % q->cluster != 0)
        return error_set(err, ERR_INVALID,
                         "the qcow2 image is corrupt: its %s is at %llu", what,
                         (unsigned long long)offset);
    if (offset >= (uint64_t)s->size || !inside(offset, len, q->end))
        return error_set(err, ERR_INVALID,
                         "the image is truncated: its %s lies behind the end "
                         "of the file",
                         what);
    return true;
}

/* `n` entries of the L1 table, from the i-th on: each names an L2 table. */
static bool qcow2_l1_entries(const struct image_source *s,
                             const struct qcow2 *q, const uint8_t *entries,
                             size_t n, struct error *err)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t e = be64(entries + 8 * i), at = e & L1_OFFSET_MASK;
        if (at == 0 && (e & L1_RESERVED_MASK) == 0)
            continue;
        if ((e & L1_RESERVED_MASK) != 0)
            return error_set(err, ERR_INVALID,
                             "the qcow2 image is corrupt: an L1 entry has "
                             "reserved bits set");
        if (!qcow2_table(s, q, at, q->cluster, q->cluster, "L2 table", err))
            return false;
    }
    return true;
}

static bool qcow2_l1(const struct image_source *s, const struct qcow2 *q,
                     struct error *err)
{
    uint64_t left = (uint64_t)q->l1_size * 8, at = q->l1_offset;
    size_t most = 64 << 10;
    _autofree_ uint8_t *chunk = xmalloc(most);
    while (left > 0) {
        size_t n = left < most ? (size_t)left : most;
        if (!get(s, chunk, n, at, "L1 table", err) ||
            !qcow2_l1_entries(s, q, chunk, n / 8, err))
            return false;
        at += n;
        left -= n;
    }
    return true;
}

static bool qcow2_tables(const struct image_source *s, const struct qcow2 *q,
                         struct error *err)
{
    bool extended = (q->incompatible & QCOW2_EXTENDED_L2) != 0;
    if (q->refcount_order > 6 || (extended && q->cluster_bits < 14))
        return error_set(err, ERR_INVALID, "the qcow2 header is corrupt");
    uint64_t per_l2 = q->cluster * (q->cluster / (extended ? 16 : 8));
    uint64_t need = (q->size + per_l2 - 1) / per_l2;
    if (need > q->l1_size)
        return error_set(err, ERR_INVALID,
                         "the qcow2 image is corrupt: its L1 table is too "
                         "small for its disk");
    return qcow2_table(s, q, q->l1_offset, (uint64_t)q->l1_size * 8,
                       QCOW2_L1_MAX, "L1 table", err) &&
           qcow2_table(s, q, q->reftable_offset,
                       (uint64_t)q->reftable_clusters << q->cluster_bits,
                       QCOW2_REFTABLE_MAX, "refcount table", err) &&
           qcow2_l1(s, q, err);
}

static bool check_qcow2(const struct image_source *s, struct inspection *out,
                        struct error *err)
{
    struct qcow2 q;
    return qcow2_read(s, &q, err) && qcow2_features(&q, err) &&
           qcow2_extensions(s, &q, err) && set_virtual(out, q.size, err) &&
           qcow2_tables(s, &q, err);
}

/* ---- raw, iso ---------------------------------------------------------- */

static bool check_raw(const struct image_source *s, struct inspection *out,
                      struct error *err)
{
    return set_virtual(out, (uint64_t)s->size, err);
}

#define ISO_AT    32768
#define ISO_SLACK (150 * 2048) /* padding that mastering tools may cut */

static bool check_iso(const struct image_source *s, struct inspection *out,
                      struct error *err)
{
    uint8_t d[132] = { 0 };
    if (!get(s, d, sizeof(d), ISO_AT, "ISO 9660 volume descriptor", err))
        return false;
    uint64_t bytes = (uint64_t)le32(d + 80) * le(d + 128, 2);
    if (d[0] == 1 && bytes > (uint64_t)s->size + ISO_SLACK)
        return error_set(err, ERR_INVALID,
                         "the image is truncated: the ISO 9660 volume has "
                         "%llu bytes, the file %lld",
                         (unsigned long long)bytes, (long long)s->size);
    return set_virtual(out, (uint64_t)s->size, err);
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
    if (!get(s, text, len, VMDK_DESC_AT, "vmdk descriptor", err))
        return NULL;
    text[len] = '\0';
    return steal(&text);
}

static bool check_vmdk(const struct image_source *s, struct inspection *out,
                       struct error *err)
{
    uint8_t h[80] = { 0 };
    if (!get(s, h, sizeof(h), 0, "vmdk header", err))
        return false;
    uint64_t capacity = le64(h + 12), desc_at = le64(h + 28);
    uint64_t desc_len = le64(h + 36), grains = le64(h + 56);
    /* qemu takes a header without capacity for a list of other files. */
    if (le32(h + 4) < 1 || le32(h + 4) > 3 || capacity == 0)
        return error_set(err, ERR_INVALID, "the vmdk header is corrupt");
    if (capacity > (uint64_t)INSPECT_VIRTUAL_MAX / 512)
        return set_virtual(out, UINT64_MAX, err);
    if (desc_at != 1 || desc_len == 0 || desc_len > VMDK_DESC_MAX / 512)
        return error_set(err, ERR_INVALID,
                         "the vmdk image has no descriptor of its own");
    if (grains != VMDK_AT_END && grains >= (uint64_t)s->size / 512)
        return error_set(err, ERR_INVALID,
                         "the image is truncated: its grain directory lies "
                         "behind the end of the file");
    _autofree_ char *text = vmdk_text(s, desc_len * 512, err);
    return text && vmdk_descriptor(text, err) &&
           set_virtual(out, capacity * 512, err);
}

/* ---- vhd, vhdx, vdi ---------------------------------------------------- */

static bool check_vhd(const struct image_source *s, struct inspection *out,
                      struct error *err)
{
    uint8_t f[512] = { 0 };
    uint64_t at = s->size >= 512 ? (uint64_t)s->size - 512 : 0;
    if (!get(s, f, sizeof(f), at, "vhd footer", err))
        return false;
    if (memcmp(f, "conectix", 8) != 0)
        return error_set(err, ERR_INVALID,
                         "the image is truncated: it does not end with a vhd "
                         "footer");
    uint32_t type = be32(f + 60);
    if (type != 2 && type != 3)
        return error_set(err, ERR_INVALID,
                         type == 4 ? "the vhd image has a parent file"
                                   : "the vhd image is of an unknown type");
    uint64_t bytes = be64(f + 48);
    if (type == 2 && bytes > (uint64_t)s->size)
        return error_set(err, ERR_INVALID,
                         "the image is truncated: it holds less than its vhd "
                         "footer says");
    return set_virtual(out, bytes, err);
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
    const uint8_t *e = vhdx_find(table, 32, (size_t)le(table + 10, 2), guid);
    if (!e)
        return error_set(err, ERR_INVALID,
                         "the vhdx image is corrupt: metadata is missing");
    return get(s, out, 8, at + le32(e + 16), "vhdx metadata", err);
}

static bool check_vhdx(const struct image_source *s, struct inspection *out,
                       struct error *err)
{
    _autofree_ uint8_t *t = xmalloc(VHDX_TABLE);
    if (!get(s, t, VHDX_TABLE, VHDX_REGIONS_AT, "vhdx region table", err))
        return false;
    const uint8_t *e = NULL;
    if (memcmp(t, "regi", 4) == 0 && le32(t + 8) <= VHDX_ENTRIES_MAX)
        e = vhdx_find(t, 16, le32(t + 8), vhdx_metadata_region);
    uint64_t at = e ? le64(e + 16) : 0;
    if (!e || at > (uint64_t)s->size)
        return error_set(err, ERR_INVALID,
                         "the vhdx image is corrupt: no metadata region");
    if (!get(s, t, VHDX_TABLE, at, "vhdx metadata table", err))
        return false;
    if (memcmp(t, "metadata", 8) != 0 || le(t + 10, 2) > VHDX_ENTRIES_MAX)
        return error_set(err, ERR_INVALID,
                         "the vhdx image is corrupt: no metadata table");
    uint8_t parameters[8] = { 0 }, size[8] = { 0 };
    if (!vhdx_item(s, t, at, vhdx_parameters, parameters, err) ||
        !vhdx_item(s, t, at, vhdx_disk_size, size, err))
        return false;
    if ((le32(parameters + 4) & 2) != 0)
        return error_set(err, ERR_INVALID, "the vhdx image has a parent file");
    return set_virtual(out, le64(size), err);
}

static bool check_vdi(const struct image_source *s, struct inspection *out,
                      struct error *err)
{
    uint8_t h[512] = { 0 };
    if (!get(s, h, sizeof(h), 0, "vdi header", err))
        return false;
    uint32_t type = le32(h + 76);
    if (le32(h + 68) != 0x00010001 || (type != 1 && type != 2) ||
        !all_zero(h + 0x1a8, 32))
        return error_set(err, ERR_INVALID,
                         "the vdi image has a parent file or is of an unknown "
                         "version");
    uint64_t map = le32(h + 0x154), data = le32(h + 0x158);
    uint64_t blocks = le32(h + 0x180), used = le32(h + 0x184);
    if (!inside(map, blocks * 4, (uint64_t)s->size) ||
        !inside(data, used * le32(h + 0x178), (uint64_t)s->size))
        return error_set(err, ERR_INVALID,
                         "the image is truncated: its blocks lie behind the "
                         "end of the file");
    return set_virtual(out, le64(h + 0x170), err);
}

/* ---- which it is ------------------------------------------------------- */

typedef bool check_fn(const struct image_source *, struct inspection *,
                      struct error *);

static const struct {
    const char *name;
    const char *driver;
    check_fn *check; /* NULL: refused */
} formats[N_FORMATS] = {
    [FORMAT_RAW] = { "raw", "raw", check_raw },
    [FORMAT_ISO] = { "iso", "raw", check_iso },
    [FORMAT_QCOW2] = { "qcow2", "qcow2", check_qcow2 },
    [FORMAT_VMDK] = { "vmdk", "vmdk", check_vmdk },
    [FORMAT_VHD] = { "vhd", "vpc", check_vhd },
    [FORMAT_VHDX] = { "vhdx", "vhdx", check_vhdx },
    [FORMAT_VDI] = { "vdi", "vdi", check_vdi },
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
    return get(s, m, sizeof(m), ISO_AT + 1, "", &ignored) &&
           memcmp(m, "CD001", 5) == 0;
}

/* A fixed vhd is a raw disk with a footer: only its end tells. */
static bool is_fixed_vhd(const struct image_source *s)
{
    uint8_t m[8] = { 0 };
    struct error ignored;
    return s->size >= 512 &&
           get(s, m, sizeof(m), (uint64_t)s->size - 512, "", &ignored) &&
           memcmp(m, "conectix", 8) == 0;
}

bool inspect_detect(const struct image_source *src, enum image_format *out,
                    struct error *err)
{
    uint8_t h[128] = { 0 };
    size_t n = src->size < (int64_t)sizeof(h) ? (size_t)src->size : sizeof(h);
    if (n > 0 && !get(src, h, n, 0, "first bytes", err))
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

static bool open_source(int *fd, struct image_source *src, struct error *err)
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
    return open_source(&fd, &src, err) && inspect(&src, disk_format, out, err);
}

bool inspect_own_qcow2(int fd, struct qcow2_head *out, struct error *err)
{
    struct image_source src = { 0 };
    struct qcow2 q;
    uint8_t magic[4] = { 0 };
    if (!open_source(&fd, &src, err))
        return false;
    if (src.size < 4)
        return error_set(err, ERR_MEDIA_TYPE, "not a qcow2 file");
    if (!get(&src, magic, sizeof(magic), 0, "qcow2 header", err))
        return false;
    if (memcmp(magic, "QFI\xfb", 4) != 0)
        return error_set(err, ERR_MEDIA_TYPE, "not a qcow2 file");
    if (!qcow2_read(&src, &q, err))
        return false;
    if (q.size > (uint64_t)INSPECT_VIRTUAL_MAX ||
        q.backing_size >= sizeof(out->backing))
        return error_set(err, ERR_INTERNAL, "the qcow2 header is corrupt");
    out->virtual_size = (int64_t)q.size;
    memset(out->backing, 0, sizeof(out->backing));
    return q.backing_offset == 0 ||
           get(&src, out->backing, q.backing_size, q.backing_offset,
               "backing file name", err);
}
