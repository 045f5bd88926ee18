/*
 * membership - the native API's part on who belongs to the pool.
 *
 *   GET    /v1/join-secrets        without the secrets themselves
 *   POST   /v1/join-secrets        {"once": bool, "seconds": int}, both
 *                                  optional; the answer alone has the secret
 *   DELETE /v1/join-secrets/{id}   revoked
 *   GET    /v1/nodes/{name}
 *   DELETE /v1/nodes/{name}        409 while it lives, has servers or data
 *   GET    /v1/disks               of all nodes
 *   DELETE /v1/disks/{osd}         it gives its data away, and leaves
 *   POST   /v1/disks/{osd}/keep    it stays after all
 *
 * What changes records here is done by the privileged side (WAIT_CALL).
 */
#ifndef CAIRN_REST_API_MEMBERSHIP_H
#define CAIRN_REST_API_MEMBERSHIP_H

#include "rest-api/request.h"

handler_fn membership_list_secrets, membership_create_secret,
    membership_revoke_secret, membership_show_node, membership_remove_node,
    membership_list_disks, membership_remove_disk, membership_keep_disk;

#endif
