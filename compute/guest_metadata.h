/*
 * guest_metadata - what a guest may know of itself.
 *
 * The documents and directories that a guest reads from 169.254.169.254, in
 * OpenStack's form (/openstack/latest/meta_data.json ...) and in EC2's
 * (/latest/meta-data/...), and that the config drive holds as files.  Pure:
 * records in, bytes out.
 *
 * Who asks is known by where the question came from: the network whose
 * metadata port took it and the source address, which port security vouches
 * for.  Nothing a guest writes into its request is believed.
 *
 * `out` should be able to hold GUEST_METADATA_MAX bytes.
 */
#ifndef CAIRN_COMPUTE_GUEST_METADATA_H
#define CAIRN_COMPUTE_GUEST_METADATA_H

#include "common/buf.h"
#include "common/error.h"
#include "model/compute.h"
#include "state/cache.h"

#define GUEST_METADATA_MAX (512 * 1024)

/* The server that owns the address on the network, borrowed, or NULL. */
const struct server *guest_find(const struct snapshot *s,
                                const char *network_id, const char *source_ip);

/* Answers one GET.  `path` is the request's, decoded, with or without a
 * slash at its end.  NOT_FOUND: no such guest, or no such path.
 * *content_type is static. */
bool guest_metadata_get(const struct snapshot *s, const char *network_id,
                        const char *source_ip, const char *path,
                        struct buf *out, const char **content_type,
                        struct error *err);
/* The same for a known server. */
bool guest_metadata_path(const struct snapshot *s, const struct server *server,
                         const char *path, struct buf *out,
                         const char **content_type, struct error *err);

/* The documents by themselves; false: the server has none. */
bool guest_meta_data_json(const struct snapshot *s, const struct server *server,
                          struct buf *out);
bool guest_network_data_json(const struct snapshot *s,
                             const struct server *server, struct buf *out);
bool guest_vendor_data_json(const struct snapshot *s,
                            const struct server *server, struct buf *out);
bool guest_user_data(const struct snapshot *s, const struct server *server,
                     struct buf *out);
/* The whole EC2 tree as one object, as the config drive has it. */
bool guest_ec2_json(const struct snapshot *s, const struct server *server,
                    struct buf *out);

#endif
