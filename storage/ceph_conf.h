/*
 * ceph_conf - the files that Ceph's daemons and clients read, as text.
 *
 * Pure.  The settings and why they are as they are: docs/dev/ceph.md.
 */
#ifndef CAIRN_STORAGE_CEPH_CONF_H
#define CAIRN_STORAGE_CEPH_CONF_H

#include "common/buf.h"
#include "common/env.h"
#include "storage/ceph_plan.h"

#define CEPH_SECRET_MAX 64 /* base64, with its end */
#define CEPH_CONF_MARK  "# Written by cairnd."

#define CEPH_PLACES_MAX 16

/* A monitor and where it is. */
struct ceph_place {
    char name[CEPH_NAME_MAX], address[CEPH_NAME_MAX];
};

struct ceph_conf {
    const char *fsid;
    const struct ceph_place *mons;
    size_t n_mons;
    const char *node, *rack; /* this one's; rack may be "" */
    const char *address;     /* its, where its daemons listen */
    const char *dir;         /* its files: keyrings, the daemons' data */
    const char *log_dir;
};

/* ceph.conf; begins with CEPH_CONF_MARK. */
void ceph_conf_text(const struct ceph_conf *c, struct buf *out);

/* A new key; the caller wipes it. */
void ceph_conf_secret(const struct env *env, char key[CEPH_SECRET_MAX]);

/* Adds an entity and what it may do to a keyring; `caps`: pairs of a kind of
 * daemon and its capability, up to NULL; NULL: none are written. */
void ceph_conf_key(struct buf *out, const char *entity, const char *key,
                   const char *const *caps);

#endif
