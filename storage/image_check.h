/*
 * image_check - qemu's own word on an image from outside, in a sandbox.
 *
 * inspect.h reads the headers; whether all the tables behind them are sound
 * only qemu-img can tell, and only it can convert what is not qcow2 or raw.
 * It is given the one file, read-only, and its explicit format, never a
 * guess, in a confined job (sandbox.h).
 *
 * Threads: any.  Calls take as long as qemu-img does: up to minutes for a
 * large image.
 */
#ifndef CAIRN_STORAGE_IMAGE_CHECK_H
#define CAIRN_STORAGE_IMAGE_CHECK_H

#include "common/env.h"
#include "common/error.h"
#include "storage/inspect.h"

#include <sys/types.h>

struct image_checker {
    const struct env *env;
    const char *qemu_img;
    const char *root; /* an empty directory, see sandbox.h */
    uid_t uid;        /* nobody else's */
    gid_t gid;
};

/* Does qemu-img agree with `found` on the qcow2 file at `path` (mode 0444),
 * and finds no corruption in it?  INVALID if not. */
bool image_check(const struct image_checker *c, const char *path,
                 const struct inspection *found, struct error *err);
/* Converts the file at `path` (mode 0444) to `format`, "qcow2" or "raw", at
 * `to`, an empty file that c->uid may write.  INVALID when it cannot be
 * read. */
bool image_convert(const struct image_checker *c, const char *path,
                   const struct inspection *found, const char *format,
                   const char *to, struct error *err);

#endif
