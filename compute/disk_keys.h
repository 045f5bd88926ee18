/*
 * disk_keys - the hypervisor knows the passphrases of a server's encrypted
 * volumes while the guest is here, and no longer.
 *
 * In its memory only, under the volume's id; unwrapped here and wiped at
 * once.  Threads: any.
 */
#ifndef CAIRN_COMPUTE_DISK_KEYS_H
#define CAIRN_COMPUTE_DISK_KEYS_H

#include "common/keyring.h"
#include "compute/hypervisor.h"
#include "model/compute.h"
#include "model/volume.h"

/* Of all its encrypted volumes, before anything opens them. */
bool disk_keys_give(struct hypervisor *h, const struct keyring *keyring,
                    const struct snapshot *s, const struct server *server,
                    struct error *err);
/* When the guest is gone from here; of one volume, when that is. */
void disk_keys_take(struct hypervisor *h, const struct snapshot *s,
                    const struct server *server);
void disk_keys_take_one(struct hypervisor *h, const struct volume *v);

#endif
