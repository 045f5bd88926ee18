/*
 * membership - the native API's part on who belongs to the pool.
 *
 *   GET    /v1/join-secrets        without the secrets themselves
 *   POST   /v1/join-secrets        {"once": bool, "seconds": int}, both
 *                                  optional; the answer alone has the secret
 *   DELETE /v1/join-secrets/{id}   revoked
 *   GET    /v1/nodes/{name}
 *   DELETE /v1/nodes/{name}        409 while it lives or has servers
 *
 * What changes records here is done by the privileged side (WAIT_CALL).
 */
#ifndef CAIRN_REST_API_MEMBERSHIP_H
#define CAIRN_REST_API_MEMBERSHIP_H

#include "rest-api/request.h"

handler_fn membership_list_secrets, membership_create_secret,
    membership_revoke_secret, membership_show_node, membership_remove_node;

#endif
