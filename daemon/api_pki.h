/*
 * api_pki - the certificate that clients of the API see.
 *
 * Its key is in the face, the process that strangers talk to, and who makes
 * the face his has it.  So it is not the node's (rest-api/pki.h), which makes
 * a member of the pool: it is signed by an authority that no node trusts.
 * That one's key (ECDSA P-256: browsers know no other small one) follows from
 * the pool CA's, so that every member has the same and a client that knows
 * one node's ca.crt knows all nodes.
 *
 * Files in <pki_dir>/api: ca.crt, which clients are given, server.crt and
 * server.key; renewed like those of <pki_dir>.  No threads.
 */
#ifndef CAIRN_DAEMON_API_PKI_H
#define CAIRN_DAEMON_API_PKI_H

#include "rest-api/pki.h"

#define API_PKI_DIR "api" /* below pki_dir */

/* `pki_dir` has the pool's ca.key already; the rest as for pki_open. */
bool api_pki_open(const char *pki_dir, const char *const *names, int64_t now,
                  struct pki *out, struct error *err);

#endif
