/*
 * disk_stream - files that stand on each other, as bytes for another node.
 *
 *   head    "CAIRNDSK", version, number of layers, bytes of data in all
 *   layer   its size; extents, from what is below to what is above
 *   extent  offset, length, bytes; what no extent names is zero
 *   end     of a layer: an extent of length 0 and the SHA-256 of all that
 *           was said of the layer
 *
 * Numbers are big endian.  Only data is sent, not holes.  Whoever reads
 * trusts the writer as one of the pool, and its cables not at all: every
 * number is checked, and a layer whose digest is another is refused.
 *
 * Threads: any; a struct belongs to one.
 */
#ifndef CAIRN_STORAGE_DISK_STREAM_H
#define CAIRN_STORAGE_DISK_STREAM_H

#include "storage/volumes.h"

#define DISK_STREAM_LAYERS 64
#define DISK_STREAM_CHUNK  (1 << 20)

struct disk_stream_head {
    uint32_t layers;
    int64_t total; /* bytes of data, about */
};

bool disk_stream_write_head(const struct byte_sink *to,
                            const struct disk_stream_head *head,
                            struct error *err);
bool disk_stream_read_head(const struct byte_source *from,
                           struct disk_stream_head *head, struct error *err);
/* One file, open for reading; nobody may write to it. */
bool disk_stream_write_layer(const struct byte_sink *to, int fd,
                             struct error *err);
/* Into an empty file.  `done`: bytes of data so far, of `total`; it is what
 * from->progress is told. */
bool disk_stream_read_layer(const struct byte_source *from, int fd,
                            int64_t *done, int64_t total, struct error *err);

#endif
