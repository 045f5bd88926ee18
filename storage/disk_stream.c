#include "storage/disk_stream.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "storage/inspect.h"

#include <endian.h>
#include <errno.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC   "CAIRNDSK"
#define VERSION 1
#define SHA256  32

struct wire_head {
    char magic[8];
    uint32_t version, layers;
    uint64_t total;
};

struct wire_extent {
    uint64_t offset;
    uint32_t len, zero;
};

/* ---- the digest of a layer ----------------------------------------------- */

static void drop_digest(EVP_MD_CTX **d)
{
    EVP_MD_CTX_free(*d);
}
#define _autodigest_ _cleanup_(drop_digest)

static EVP_MD_CTX *digest(void)
{
    EVP_MD_CTX *d = EVP_MD_CTX_new();
    if (!d || EVP_DigestInit_ex(d, EVP_sha256(), NULL) != 1)
        abort(); /* as when there is no memory */
    return d;
}

static bool put(const struct byte_sink *to, EVP_MD_CTX *d, const void *data,
                size_t len, struct error *err)
{
    EVP_DigestUpdate(d, data, len);
    return to->put(to->arg, data, len, err);
}

static bool get(const struct byte_source *from, EVP_MD_CTX *d, void *data,
                size_t len, struct error *err)
{
    if (!from->get(from->arg, data, len, err))
        return false;
    EVP_DigestUpdate(d, data, len);
    return true;
}

/* ---- the head ------------------------------------------------------------ */

bool disk_stream_write_head(const struct byte_sink *to,
                            const struct disk_stream_head *head,
                            struct error *err)
{
    struct wire_head w = { .version = htobe32(VERSION),
                           .layers = htobe32(head->layers),
                           .total = htobe64((uint64_t)head->total) };
    memcpy(w.magic, MAGIC, sizeof(w.magic));
    return to->put(to->arg, &w, sizeof(w), err);
}

bool disk_stream_read_head(const struct byte_source *from,
                           struct disk_stream_head *head, struct error *err)
{
    struct wire_head w;
    if (!from->get(from->arg, &w, sizeof(w), err))
        return false;
    head->layers = be32toh(w.layers);
    head->total = (int64_t)be64toh(w.total);
    return (memcmp(w.magic, MAGIC, sizeof(w.magic)) == 0 &&
            be32toh(w.version) == VERSION && head->layers > 0 &&
            head->layers <= DISK_STREAM_LAYERS && head->total >= 0) ||
           error_set(err, ERR_INVALID,
                     "the other node does not send a disk as this one knows");
}

/* ---- layers -------------------------------------------------------------- */

static bool read_chunk(int fd, char *chunk, size_t len, off_t at,
                       struct error *err)
{
    while (len) {
        ssize_t n = pread(fd, chunk, len, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return error_errno(err, ERR_INTERNAL, n < 0 ? errno : EIO,
                               "cannot read a disk");
        chunk += n;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

static bool write_extent(const struct byte_sink *to, EVP_MD_CTX *d, int fd,
                         char *chunk, off_t at, size_t len, struct error *err)
{
    const struct wire_extent w = { htobe64((uint64_t)at),
                                   htobe32((uint32_t)len), 0 };
    return read_chunk(fd, chunk, len, at, err) &&
           put(to, d, &w, sizeof(w), err) && put(to, d, chunk, len, err);
}

/* From one hole to the next. */
static bool write_data(const struct byte_sink *to, EVP_MD_CTX *d, int fd,
                       off_t from, off_t end, struct error *err)
{
    _autofree_ char *chunk = xmalloc(DISK_STREAM_CHUNK);
    for (off_t at = from; at < end;) {
        off_t len = end - at < DISK_STREAM_CHUNK ? end - at : DISK_STREAM_CHUNK;
        if (!write_extent(to, d, fd, chunk, at, (size_t)len, err))
            return false;
        at += len;
    }
    return true;
}

bool disk_stream_write_layer(const struct byte_sink *to, int fd,
                             struct error *err)
{
    static const struct wire_extent last;
    unsigned char sum[SHA256];
    struct stat st;
    if (fstat(fd, &st) < 0)
        return error_errno(err, ERR_INTERNAL, errno, "cannot read a disk");
    _autodigest_ EVP_MD_CTX *d = digest();
    const uint64_t size = htobe64((uint64_t)st.st_size);
    bool ok = put(to, d, &size, sizeof(size), err);
    for (off_t at = 0; ok && (at = lseek(fd, at, SEEK_DATA)) >= 0;) {
        off_t end = lseek(fd, at, SEEK_HOLE);
        end = end < 0 ? st.st_size : end;
        ok = write_data(to, d, fd, at, end, err);
        at = end;
    }
    if (!ok || !put(to, d, &last, sizeof(last), err))
        return false;
    EVP_DigestFinal_ex(d, sum, NULL);
    return to->put(to->arg, sum, sizeof(sum), err);
}

static bool write_chunk(int fd, const char *chunk, size_t len, off_t at,
                        struct error *err)
{
    while (len) {
        ssize_t n = pwrite(fd, chunk, len, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return error_errno(err,
                               errno == ENOSPC ? ERR_NO_SPACE : ERR_INTERNAL,
                               errno, "cannot write a disk");
        chunk += n;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

/* What was said is what was sent. */
static bool check_sum(const struct byte_source *from, EVP_MD_CTX *d,
                      struct error *err)
{
    unsigned char said[SHA256], sum[SHA256];
    EVP_DigestFinal_ex(d, sum, NULL);
    return from->get(from->arg, said, sizeof(said), err) &&
           (memcmp(said, sum, sizeof(sum)) == 0 ||
            error_set(err, ERR_INTERNAL,
                      "the disk did not arrive as it was sent"));
}

static bool read_size(const struct byte_source *from, EVP_MD_CTX *d, int fd,
                      int64_t *size, struct error *err)
{
    uint64_t wire;
    if (!get(from, d, &wire, sizeof(wire), err))
        return false;
    *size = (int64_t)be64toh(wire);
    if (*size < 0 || *size > INSPECT_VIRTUAL_MAX)
        return error_set(err, ERR_INVALID, "%lld bytes is no size of a disk",
                         (long long)*size);
    return ftruncate(fd, *size) == 0 ||
           error_errno(err, ERR_INTERNAL, errno, "cannot make a disk");
}

bool disk_stream_read_layer(const struct byte_source *from, int fd,
                            int64_t *done, int64_t total, struct error *err)
{
    int64_t size;
    struct wire_extent w;
    _autodigest_ EVP_MD_CTX *d = digest();
    _autofree_ char *chunk = xmalloc(DISK_STREAM_CHUNK);
    if (!read_size(from, d, fd, &size, err))
        return false;
    while (get(from, d, &w, sizeof(w), err)) {
        int64_t at = (int64_t)be64toh(w.offset);
        size_t len = be32toh(w.len);
        if (len == 0)
            return check_sum(from, d, err);
        if (len > DISK_STREAM_CHUNK || at < 0 || at > size - (int64_t)len)
            return error_set(err, ERR_INVALID, "an extent beyond its disk");
        if (!get(from, d, chunk, len, err) ||
            !write_chunk(fd, chunk, len, at, err))
            return false;
        *done += (int64_t)len;
        if (from->progress && !from->progress(from->arg, *done, total, err))
            return false;
    }
    return false;
}
