/*
 * ceph_files - what a node keeps for its Ceph daemons.
 *
 *   STATE/ceph/fsid                   the cluster's id
 *   STATE/ceph/address                where this node's daemons are
 *   STATE/ceph/mons                   "name address" of the monitors
 *   STATE/ceph/rack                   this node's, where it has one
 *   STATE/ceph/client.NAME.keyring    admin, for us; cairn, for volumes
 *   STATE/ceph/mon-NODE, mgr-NODE     a daemon's data and its key
 *   STATE/ceph/disk-N/                an OSD's data:
 *       cairn   "uuid path", written first of all
 *       secret  its key, until it is made
 *       osd     its number, written last of all
 *
 * A founding, a new monitor or a new OSD that was interrupted begins anew or
 * goes on: the former are made beside their place and moved there, the latter
 * has its uuid and key before the cluster hears of it.
 *
 * The address is that of the storage network, where there is one, and stays
 * what it was at first: monitors are known by theirs.
 *
 * Threads: one at a time, but for reading a slot that is ready.
 */
#ifndef CAIRN_DAEMON_CEPH_FILES_H
#define CAIRN_DAEMON_CEPH_FILES_H

#include "common/env.h"
#include "daemon/ceph_share.h"
#include "daemon/config.h"
#include "storage/ceph_conf.h"
#include "storage/disks.h"

#include <sys/types.h>

#define CEPH_SLOTS 16 /* OSDs of a node */

struct ceph_files {
    const struct config *config;
    const struct env *env;
    char node[CEPH_NAME_MAX], address[CEPH_NAME_MAX], fsid[UUID_SIZE];
    struct ceph_place mons[CEPH_PLACES_MAX];
    size_t n_mons;
    char rack[CEPH_NAME_MAX]; /* of this node; "": none */
    char *dir, *log_dir;
};

/* A place for an OSD. */
struct ceph_slot {
    int n; /* from 1 */
    char uuid[UUID_SIZE], path[DISK_PATH_MAX];
    bool used, ready; /* ready: it can be started */
    int osd;          /* its number, when ready */
};

/* The places, and what is there; false: this node's address is missing. */
bool ceph_files_open(struct ceph_files *f, const struct config *config,
                     const struct env *env, const char *node,
                     struct error *err);
void ceph_files_close(struct ceph_files *f);

/* ceph.conf was written by others: the cluster is not ours to run. */
bool ceph_files_foreign(const struct config *config);

bool ceph_files_founded(const struct ceph_files *f);
/* A new cluster with this node as its only monitor. */
bool ceph_files_found(struct ceph_files *f, struct error *err);
/* Writes ceph.conf. */
bool ceph_files_conf(const struct ceph_files *f, struct error *err);
/* The same for those monitors, if that is news. */
bool ceph_files_mons(struct ceph_files *f, const struct ceph_place *mons,
                     size_t n, struct error *err);

/* The same for a rack. */
bool ceph_files_rack(struct ceph_files *f, const char *rack, struct error *err);

/* What another member needs; the caller wipes it. */
bool ceph_files_share(const struct ceph_files *f, struct ceph_share *s,
                      struct error *err);
/* The cluster that another member told of. */
bool ceph_files_accept(struct ceph_files *f, const struct ceph_share *s,
                       struct error *err);

/* Does this node have that daemon's key ("mon", "mgr")? */
bool ceph_files_has(const struct ceph_files *f, const char *kind);
/* Keeps one: its directory is made. */
bool ceph_files_keep(const struct ceph_files *f, const char *kind,
                     const char *key, struct error *err);
/* A monitor beside those that are there; `key`: the monitors' own. */
bool ceph_files_add_mon(const struct ceph_files *f, const char *key,
                        struct error *err);
/* Its daemon has ended: what a daemon kept goes. */
bool ceph_files_drop(const struct ceph_files *f, const char *kind,
                     struct error *err);

/* STATE/ceph/disk-N */
char *ceph_slot_dir(const struct ceph_files *f, int n);
void ceph_slot_load(const struct ceph_files *f, struct ceph_slot *slot, int n);
/* For a disk that is free: uuid and key, kept. */
bool ceph_slot_take(const struct ceph_files *f, struct ceph_slot *slot,
                    const char *path, struct error *err);
/* Its key; the caller wipes it. */
bool ceph_slot_secret(const struct ceph_files *f, const struct ceph_slot *slot,
                      char key[CEPH_SECRET_MAX], struct error *err);
/* Makes the OSD's store: all data of the disk is lost. */
bool ceph_slot_make(const struct ceph_files *f, struct ceph_slot *slot, int osd,
                    struct error *err);
/* Its OSD is no more: the place is free.  The disk keeps what it has. */
bool ceph_slot_drop(const struct ceph_files *f, struct ceph_slot *slot,
                    struct error *err);
/* Before each start: its disk, wherever it is by now, is Ceph's user's. */
bool ceph_slot_attach(const struct ceph_files *f, const struct ceph_slot *slot,
                      const char *path, struct error *err);

#endif
