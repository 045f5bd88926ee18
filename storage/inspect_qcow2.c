#include "storage/inspect_impl.h"

#include "common/alloc.h"
#include "common/cleanup.h"

#include <string.h>

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
    if (!inspect_get(s, h, 72, 0, "qcow2 header", err))
        return false;
    *q = (struct qcow2){ .version = inspect_be32(h + 4),
                         .backing_offset = inspect_be64(h + 8),
                         .backing_size = inspect_be32(h + 16),
                         .cluster_bits = inspect_be32(h + 20),
                         .size = inspect_be64(h + 24),
                         .crypt = inspect_be32(h + 32),
                         .l1_size = inspect_be32(h + 36),
                         .l1_offset = inspect_be64(h + 40),
                         .reftable_offset = inspect_be64(h + 48),
                         .reftable_clusters = inspect_be32(h + 56),
                         .n_snapshots = inspect_be32(h + 60),
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
    if (!inspect_get(s, h, 104, 0, "qcow2 header", err))
        return false;
    q->incompatible = inspect_be64(h + 72);
    q->autoclear = inspect_be64(h + 88);
    q->refcount_order = inspect_be32(h + 96);
    q->header_length = inspect_be32(h + 100);
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
        if (!inspect_get(s, h, sizeof(h), at, "qcow2 header extension", err))
            return false;
        uint32_t type = inspect_be32(h), len = inspect_be32(h + 4);
        if (type == 0)
            return true;
        if (!inspect_inside(at + 8, len, q->cluster))
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
    if (offset >= (uint64_t)s->size || !inspect_inside(offset, len, q->end))
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
        uint64_t e = inspect_be64(entries + 8 * i), at = e & L1_OFFSET_MASK;
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
        if (!inspect_get(s, chunk, n, at, "L1 table", err) ||
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

bool inspect_qcow2(const struct image_source *s, struct inspection *out,
                   struct error *err)
{
    struct qcow2 q;
    return qcow2_read(s, &q, err) && qcow2_features(&q, err) &&
           qcow2_extensions(s, &q, err) &&
           inspect_set_virtual(out, q.size, err) && qcow2_tables(s, &q, err);
}

bool inspect_own_qcow2(int fd, struct qcow2_head *out, struct error *err)
{
    struct image_source src = { 0 };
    struct qcow2 q;
    uint8_t magic[4] = { 0 };
    if (!inspect_open(&fd, &src, err))
        return false;
    if (src.size < 4)
        return error_set(err, ERR_MEDIA_TYPE, "not a qcow2 file");
    if (!inspect_get(&src, magic, sizeof(magic), 0, "qcow2 header", err))
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
           inspect_get(&src, out->backing, q.backing_size, q.backing_offset,
                       "backing file name", err);
}
