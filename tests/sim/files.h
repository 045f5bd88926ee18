/*
 * files - storage made of a table: what survives the core.
 *
 * A file has a kind, a name, sizes, and what it is: good, or one of the bad
 * uploads.  The disk has an end (NO_SPACE).
 */
#ifndef CAIRN_SIM_FILES_H
#define CAIRN_SIM_FILES_H

#include "sim_node.h"
#include "storage/volumes.h"

enum upload_kind { UPLOAD_GOOD, UPLOAD_CORRUPT, UPLOAD_BACKED, UPLOAD_N };

struct file {
    struct file *next;
    enum stored_kind kind;
    char name[STORAGE_NAME_MAX];
    char path[160];      /* "/sim/<kind>/<name>", or what it went on in; in a
                          * pool "rbd:sim/<kind>.<name>" */
    char below[160];     /* that a guest may not have been moved from; or "" */
    int64_t bytes, size; /* of the file, of the disk in it */
    int upload;          /* enum upload_kind */
    const struct sim_node *node; /* that has the upload; NULL: shared */
    int64_t changed;
};

struct files *files_new(struct world *w);
void files_free(struct files *f);
/* The core's handle; it ends with close. */
struct volumes *files_open(struct files *f, struct sim_node *n);
struct file *files_first(struct files *f);
struct file *files_find(struct files *f, enum stored_kind kind,
                        const char *name);
struct file *files_at(struct files *f, const char *path);
void files_resize(struct files *f, const char *path, int64_t size);
/* Bytes of an upload arrive at a node. */
void files_upload(struct files *f, const struct sim_node *n,
                  const char *upload_id, int64_t bytes, int upload);
/* What only this node has is gone. */
void files_lose(struct files *f, const struct sim_node *n);
const char *stored_kind_name(enum stored_kind kind);

#endif
