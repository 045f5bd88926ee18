/*
 * volumes - volumes made for others: nova's boot from volume.
 *
 * Pure: a snapshot in, writes out.
 */
#ifndef CAIRN_OPENSTACK_COMPAT_VOLUME_VOLUMES_H
#define CAIRN_OPENSTACK_COMPAT_VOLUME_VOLUMES_H

#include "model/volume.h"

/* Completes a draft that has project, name, size and at most one source
 * (image_id, snapshot_id, source_id): checks the source and the size, sets
 * the default type and zone, charges the quota and puts it as CREATING. */
bool volume_make(struct txn *t, const struct snapshot *s, struct volume *draft,
                 struct error *err);

#endif
