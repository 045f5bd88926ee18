/*
 * disk_keys - the hypervisor knows the passphrases of a server's encrypted
 * volumes while the guest runs here, and no longer.
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
/* When the guest is off or gone from `node`, which is here; of one volume, when
 * that is gone. What another guest of the node has stays. */
void disk_keys_take(struct hypervisor *h, const struct snapshot *s,
                    const struct server *server, const char *node);
void disk_keys_take_one(struct hypervisor *h, const struct volume *v,
                        const struct server *server, const char *node);

#endif
