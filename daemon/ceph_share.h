/*
 * ceph_share - what one member tells another of the pool's Ceph cluster.
 *
 * A member that has just joined has neither the cluster's address nor a key.
 * It asks a member that has (peers.h, PEER_CEPH: TLS with certificates on
 * both sides) and gets this, one JSON object: the cluster's id, where its
 * monitors are, the administrator's key and that of the volumes.  Every
 * member has them, as it has the key of the pool's CA (join.h): each must be
 * able to go on when all others are gone.
 *
 * Pure.  Whoever has one wipes it (ceph_share_wipe).
 */
#ifndef CAIRN_DAEMON_CEPH_SHARE_H
#define CAIRN_DAEMON_CEPH_SHARE_H

#include "common/error.h"
#include "storage/ceph_conf.h"

struct ceph_share {
    char fsid[UUID_SIZE];
    struct ceph_place mons[CEPH_PLACES_MAX];
    size_t n_mons;
    char client[CEPH_NAME_MAX]; /* client.<this> is for volumes */
    char admin_key[CEPH_SECRET_MAX], client_key[CEPH_SECRET_MAX];
};

void ceph_share_write(const struct ceph_share *s, struct buf *out);
/* INVALID: that is none. */
bool ceph_share_read(struct ceph_share *s, const char *text, size_t len,
                     struct error *err);
void ceph_share_wipe(struct ceph_share *s);

#endif
