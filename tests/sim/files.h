/*
 * files - storage made of a table: what survives the core.
 *
 * A file has a kind, a name, sizes, and what it is: good, or one of the bad
 * uploads.  It is where all nodes reach it, or one node's own, who may each
 * have one of that name.  The disk has an end (NO_SPACE).  The product sees
 * them through sim_volumes.c.
 *
 * What a guest writes changes the content, a number; content is where the
 * newest of each disk and volume is known.
 */
#ifndef CAIRN_SIM_FILES_H
#define CAIRN_SIM_FILES_H

#include "sim_node.h"
#include "storage/storage_reconcile.h"
#include "storage/volumes.h"

#define FILES_CAPACITY (400 * GIB)

enum upload_kind { UPLOAD_GOOD, UPLOAD_CORRUPT, UPLOAD_BACKED, UPLOAD_N };

struct file {
    struct file *next;
    enum stored_kind kind;
    char name[STORAGE_NAME_MAX];
    char path[160];      /* "/sim/<kind>/<name>", or what it went on in; a
                          * node's own "/sim/<node>/<kind>/<name>"; shared in
                          * a pool "rbd:sim/<kind>.<name>" */
    char below[160];     /* that a guest may not have been moved from; or "" */
    int64_t bytes, size; /* of the file, of the disk in it */
    int upload;          /* enum upload_kind */
    const struct sim_node *node; /* whose own it is; NULL: shared */
    int64_t changed;
    int64_t content; /* 0: nobody has written to it */
    int readers;     /* on its way to another node: no guest may write */
};

struct files *files_new(struct world *w);
void files_free(struct files *f);
/* The core's handle; it ends with close. */
struct volumes *files_open(struct files *f, struct sim_node *n);
struct file *files_first(struct files *f);
struct file *files_find(struct files *f, const struct sim_node *at,
                        enum stored_kind kind, const char *name);
struct file *files_at(struct files *f, const char *path);
/* What is there is filled anew. */
struct file *files_add(struct files *f, const struct sim_node *at,
                       enum stored_kind kind, const char *name, int64_t size);
void files_drop(struct files *f, struct file *x); /* NULL: nothing */
void files_resize(struct files *f, const char *path, int64_t size);
bool files_room(struct files *f, const struct sim_node *at, int64_t size,
                struct error *err);
/* Does a guest write to it? */
bool files_used(struct files *f, const struct file *x);
/* Who has the uploads that come by way of this node. */
const struct sim_node *files_upload_home(const struct sim_node *n);
/* Bytes of an upload arrive at a node. */
void files_upload(struct files *f, const struct sim_node *n,
                  const char *upload_id, int64_t bytes, int upload);
/* What only this node has is gone. */
void files_lose(struct files *f, const struct sim_node *n);
const char *stored_kind_name(enum stored_kind kind);

/* What one piece of a disk says on its way to another node. */
struct carried {
    int64_t content, size, pieces;
};
/* The files of that node are held no more: whoever sent them is dead. */
void files_let_go(struct files *f, const struct sim_node *n);
/* A storage_fetch_fn; `self` is the struct sim_node that asks. */
bool files_fetch(void *self, const char *node, const char *disk_id,
                 storage_take_fn *take, void *arg, struct error *err);

#endif
