/*
 * keyring - keys of others, wrapped by one of the pool's.
 *
 * What is encrypted at rest has a passphrase of 256 random bits, made here by
 * OpenSSL.  It is kept only wrapped (AES-256-GCM, RFC 5116, the thing's id as
 * associated data), so that whoever reads the state without the pool's key
 * has nothing, and so that one cannot be put in the place of another.
 *
 * Immutable after keyring_init; any thread.
 */
#ifndef CAIRN_COMMON_KEYRING_H
#define CAIRN_COMMON_KEYRING_H

#include "common/buf.h"
#include "common/error.h"

#include <stdbool.h>

#define KEYRING_KEY_SIZE 32
#define PASSPHRASE_SIZE  65  /* 64 hex digits */
#define WRAPPED_MAX      256 /* base64 */

struct keyring {
    unsigned char key[KEYRING_KEY_SIZE];
    bool there; /* false: the pool has no key, all calls are UNAVAILABLE */
};

/* A new passphrase for `id`, wrapped: appended to `wrapped`. */
bool keyring_make(const struct keyring *k, const char *id, struct buf *wrapped,
                  struct error *err);
/* INTERNAL: it was wrapped for another id, by another pool, or is broken.
 * Wipe `passphrase` after use. */
bool keyring_unwrap(const struct keyring *k, const char *id,
                    const char *wrapped, char passphrase[PASSPHRASE_SIZE],
                    struct error *err);

#endif
