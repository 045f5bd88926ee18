/*
 * content - what guests have written, and that it is never lost.
 *
 * A guest that starts with a disk, or gets a volume, changes what is in the
 * file: to a number that was not there before.  Whoever starts from it next
 * must find that number, in whatever file the record names by then: one that
 * was copied to another node, or went along with a guest that moved.  A file
 * that a server still needs (or a resize, to be taken back) is not removed.
 * What breaks is told to world_broken.  The list is the world's.
 */
#ifndef CAIRN_SIM_CONTENT_H
#define CAIRN_SIM_CONTENT_H

#include "files.h"

#define CONTENT_TORN INT64_C(-1) /* partly from before a write, partly not */

/* A guest opens the file at `path` for writing. */
void content_opens(struct world *w, const char *server, const char *path);
/* It goes on in another file, on another node. */
void content_goes_on(struct world *w, const char *from, const char *to);
/* The file is about to be removed. */
void content_goes(struct world *w, const struct file *x);
/* At the world's end. */
void content_forget(struct world *w);

#endif
