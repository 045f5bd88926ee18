/*
 * sparse - gives back the blocks of a file that hold only zeros.
 *
 * A raw image of a nearly empty disk is mostly zeros; after this its bytes
 * are the same and its holes take no space.  Threads: any; nobody may write
 * to the file meanwhile.
 */
#ifndef CAIRN_STORAGE_SPARSE_H
#define CAIRN_STORAGE_SPARSE_H

#include "common/error.h"

#include <stdbool.h>

/* `fd` is open for reading and writing.  On a file system without holes it
 * does nothing and succeeds. */
bool sparse_dig(int fd, struct error *err);

#endif
