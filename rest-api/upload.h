/*
 * upload - a request's body on its way into a file.
 *
 * Bytes are gathered in one block of memory; when it is full the owner has
 * it written (and digested) on a thread that may block, and gives it more
 * only after that.  So an upload of any length holds one block.
 *
 * One thread at a time: the owner's while gathering, a job's while writing.
 */
#ifndef CAIRN_REST_API_UPLOAD_H
#define CAIRN_REST_API_UPLOAD_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UPLOAD_BLOCK (1024 * 1024)

struct upload;

/* `fd` stays the owner's.  More than max bytes fails with ERR_TOO_LARGE. */
struct upload *upload_new(int fd, int64_t max);
void upload_free(struct upload *u); /* NULL is fine */
/* Takes some of the data; returns how many bytes.  Fewer than `len`: the
 * block is full, or the upload has failed. */
size_t upload_take(struct upload *u, const void *data, size_t len);
bool upload_full(const struct upload *u);
/* Writes what is gathered.  Blocks. */
void upload_write(struct upload *u);
const struct error *upload_error(const struct upload *u);
/* After the last write: digests in hex; returns the bytes written. */
int64_t upload_finish(struct upload *u, char md5[33], char sha512[129]);

#endif
