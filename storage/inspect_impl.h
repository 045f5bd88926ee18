/*
 * inspect_impl - what the files of inspect.h share.
 *
 *   inspect.c         which format it is; reading with every bound checked
 *   inspect_qcow2.c   qcow2, from outside and of our own making
 *   inspect_others.c  raw, iso, vmdk, vhd, vhdx, vdi
 */
#ifndef CAIRN_STORAGE_INSPECT_IMPL_H
#define CAIRN_STORAGE_INSPECT_IMPL_H

#include "storage/inspect.h"

#define INSPECT_ISO_AT 32768 /* bytes: the first descriptor */

/* len bytes at offset; INVALID, naming `what`, when they are not all there. */
bool inspect_get(const struct image_source *s, void *to, size_t len,
                 uint64_t offset, const char *what, struct error *err);
/* Numbers as they stand in a file. */
uint32_t inspect_be32(const uint8_t *p);
uint64_t inspect_be64(const uint8_t *p);
uint64_t inspect_le(const uint8_t *p, size_t n);
uint32_t inspect_le32(const uint8_t *p);
uint64_t inspect_le64(const uint8_t *p);
/* len bytes at offset, all inside `limit`? */
bool inspect_inside(uint64_t offset, uint64_t len, uint64_t limit);
/* The disk's size, unless it is none that anybody has. */
bool inspect_set_virtual(struct inspection *out, uint64_t bytes,
                         struct error *err);
/* The file behind the descriptor, which `src` borrows. */
bool inspect_open(int *fd, struct image_source *src, struct error *err);

/* Is it sound?  Fills out->virtual_size. */
typedef bool inspect_fn(const struct image_source *s, struct inspection *out,
                        struct error *err);
inspect_fn inspect_raw, inspect_iso, inspect_qcow2, inspect_vmdk, inspect_vhd,
    inspect_vhdx, inspect_vdi;

#endif
