/*
 * heads - which file of a volume (or a server's disk) is written to.
 *
 * It is <place>/<id>.qcow2 until a snapshot is taken while a guest has the
 * file open.  QEMU knows files by their names and may open them again: so
 * what it has open keeps its name and content, and the volume goes on in an
 * overlay under a name that was never used, <id>~<snapshot id>.qcow2.  The
 * symbolic link heads/<place>~<id> then says which file is the head; its
 * replacement by rename is the moment from which on the old file only is
 * what stands below: whoever starts a guest starts it on the new head, and
 * one that still runs on the old file must be moved to the new one.  Until
 * that is done the two are consistent, because nobody writes to the new one.
 *
 * A head is settled when no guest writes to the file below any more: then
 * that is frozen and loses its old name (base/<generation> remains).
 *
 * Threads: one at a time for one id; the caller sees to it, and has entered
 * the layers.
 */
#ifndef CAIRN_STORAGE_HEADS_H
#define CAIRN_STORAGE_HEADS_H

#include "storage/layers.h"

/* The head's path; the caller frees.  It need not be there. */
char *heads_path(const struct layers *l, enum place place, const char *id);

/* When a guest writes to the head: makes an overlay the head, and the content
 * up to here the immutable content of snapshots/<snapshot_id>.qcow2 as soon
 * as the guest has been moved.  Nothing when no guest writes to it (it may
 * not have been moved there yet).  CONFLICT: it stands on too many layers. */
bool heads_move(struct layers *l, enum place place, const char *id,
                const char *snapshot_id, struct error *err);
/* Settles the head; CONFLICT while a guest writes to the file below. */
bool heads_settle(struct layers *l, enum place place, const char *id,
                  struct error *err);
bool heads_settled(struct layers *l, enum place place, const char *id);
/* Removes all files of the volume or disk. */
bool heads_drop(struct layers *l, enum place place, const char *id,
                struct error *err);
/* The id in a file's name: up to "~" or ".qcow2"; cuts `name`. */
void heads_id(char *name);

#endif
