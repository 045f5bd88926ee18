#include "storage/qcow2.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "storage/inspect.h"

#include <errno.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define CLUSTER_BITS   16
#define CLUSTER        (UINT32_C(1) << CLUSTER_BITS)
#define L1_COVERS      ((int64_t)CLUSTER * (CLUSTER / 8)) /* 512 MiB */
#define HEADER_LENGTH  104
#define EXT_FORMAT     UINT32_C(0xe2792aca)
#define REFCOUNT_ORDER 4   /* 1 << 4 bits */
#define NAMES_OFFSET   512 /* of the backing file's name, past extensions */

/* The clusters of a new file, in order; the L1 table is the last. */
enum { AT_HEADER, AT_REFTABLE, AT_REFBLOCK, AT_L1 };

static void put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
    put16(p, v >> 16);
    put16(p + 2, v);
}

static void put64(uint8_t *p, uint64_t v)
{
    put32(p, (uint32_t)(v >> 32));
    put32(p + 4, (uint32_t)v);
}

static void put_backing(uint8_t *h, const char *backing, const char *driver)
{
    uint8_t *ext = h + HEADER_LENGTH; /* an empty one ends the list */
    size_t name = strlen(backing), n = strlen(driver);
    put64(h + 8, NAMES_OFFSET);
    put32(h + 16, (uint32_t)name);
    memcpy(h + NAMES_OFFSET, backing, name);
    put32(ext, EXT_FORMAT);
    put32(ext + 4, (uint32_t)n);
    memcpy(ext + 8, driver, n);
}

static void put_header(uint8_t *h, int64_t size, uint32_t l1_entries)
{
    memcpy(h, "QFI\xfb", 4);
    put32(h + 4, 3); /* version */
    put32(h + 20, CLUSTER_BITS);
    put64(h + 24, (uint64_t)size);
    put32(h + 36, l1_entries);
    put64(h + 40, (uint64_t)AT_L1 * CLUSTER);
    put64(h + 48, (uint64_t)AT_REFTABLE * CLUSTER);
    put32(h + 56, 1); /* clusters of the reference count table */
    put32(h + 96, REFCOUNT_ORDER);
    put32(h + 100, HEADER_LENGTH);
}

static bool write_at(int fd, const uint8_t *p, size_t n, off_t at)
{
    while (n > 0) {
        ssize_t done = pwrite(fd, p, n, at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        p += done;
        n -= (size_t)done;
        at += done;
    }
    return true;
}

/* What is not written is zeros: no cluster of the disk is there yet. */
static bool write_clusters(int fd, const uint8_t *head, uint32_t l1_clusters)
{
    uint32_t n = AT_L1 + l1_clusters;
    uint8_t entry[8];
    _autofree_ uint8_t *counts = xcalloc(n, 2);
    for (uint32_t i = 0; i < n; i++)
        put16(counts + 2 * (size_t)i, 1);
    put64(entry, (uint64_t)AT_REFBLOCK * CLUSTER);
    return ftruncate(fd, (off_t)n * CLUSTER) == 0 &&
           write_at(fd, head, NAMES_OFFSET + QCOW2_BACKING_MAX, 0) &&
           write_at(fd, entry, sizeof(entry), (off_t)AT_REFTABLE * CLUSTER) &&
           write_at(fd, counts, 2 * (size_t)n, (off_t)AT_REFBLOCK * CLUSTER);
}

bool qcow2_write(int fd, int64_t size, const char *backing, const char *driver,
                 struct error *err)
{
    uint8_t head[NAMES_OFFSET + QCOW2_BACKING_MAX] = { 0 };
    if (size <= 0 || size > INSPECT_VIRTUAL_MAX || size % 512 != 0 ||
        (backing && (strlen(backing) > QCOW2_BACKING_MAX ||
                     strlen(driver) > NAMES_OFFSET - HEADER_LENGTH - 16)))
        return error_set(err, ERR_INVALID, "no such qcow2 can be made");
    /* 64 TiB take 16 clusters of L1: one block of reference counts does. */
    uint32_t l1 = (uint32_t)((size + L1_COVERS - 1) / L1_COVERS);
    put_header(head, size, l1);
    if (backing)
        put_backing(head, backing, driver);
    if (!write_clusters(fd, head, (l1 * 8 + CLUSTER - 1) / CLUSTER))
        return error_errno(err,
                           errno == ENOSPC || errno == EDQUOT ? ERR_NO_SPACE
                                                              : ERR_INTERNAL,
                           errno, "cannot write a new qcow2");
    return true;
}
