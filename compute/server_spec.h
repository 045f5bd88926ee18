/*
 * server_spec - from a server's records to the domain it should be.
 *
 * Pure: reads a snapshot, writes a domain_spec into an arena.  Image
 * properties (hw_*) and the flavor's extra specs (hw:*) choose the hardware
 * as nova lets them; a flavor's word goes before an image's.
 */
#ifndef CAIRN_COMPUTE_SERVER_SPEC_H
#define CAIRN_COMPUTE_SERVER_SPEC_H

#include "compute/hypervisor.h"
#include "model/compute.h"
#include "state/cache.h"

/* Everything but the config drive; borrows from `a` and from the snapshot.
 * Volumes and ports that are leaving are left out, as are those whose
 * records are gone. */
struct domain_spec *server_spec(struct arena *a, const struct snapshot *s,
                                const struct server *server);
/* Of a volume that has been made. */
struct disk_spec server_volume_spec(const struct snapshot *s,
                                    const struct server *server,
                                    const struct server_volume *sv,
                                    const struct volume *volume);
struct nic_spec server_nic_spec(const struct snapshot *s,
                                const struct server *server,
                                const char *port_id);

/* How the server sits, or would sit, on that node with these cells of it
 * (struct server_cell); without devices. */
struct place_spec server_place_spec(const struct snapshot *s,
                                    const struct server *server,
                                    const char *node, const struct list *cells);

/* "/dev/vdb" -> "vdb". */
const char *device_name(const char *device);
/* "/dev/vda", or what the disk bus of the image makes of it. */
const char *server_root_device(const struct server *server);
/* libvirt's name of the domain, in the arena. */
char *server_domain_name(struct arena *a, const struct server *server);
/* The volume it boots from, or NULL. */
const struct server_volume *server_boot_volume(const struct server *server);

#endif
