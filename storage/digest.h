/*
 * digest - the checksums glance shows of an image: MD5 and SHA-512.
 *
 * The face computes them while an upload flows through it; here is the same
 * for files that Cairn has made itself.  A digest belongs to one thread.
 */
#ifndef CAIRN_STORAGE_DIGEST_H
#define CAIRN_STORAGE_DIGEST_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

#define DIGEST_MD5_SIZE    33 /* hex and NUL */
#define DIGEST_SHA512_SIZE 129

struct digest;
struct digest *digest_new(void);
void digest_free(struct digest *d); /* NULL is fine */
void digest_add(struct digest *d, const void *data, size_t len);
/* Once, at the end. */
void digest_end(struct digest *d, char md5[DIGEST_MD5_SIZE],
                char sha512[DIGEST_SHA512_SIZE]);

/* Of a whole file, from its start; its offset is not used. */
bool digest_fd(int fd, char md5[DIGEST_MD5_SIZE],
               char sha512[DIGEST_SHA512_SIZE], struct error *err);

#endif
