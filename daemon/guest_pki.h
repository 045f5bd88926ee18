/*
 * guest_pki - the keys by which QEMU sends a guest to another node.
 *
 * QEMU opens its TLS files itself, as the user that guests run as, and a
 * guest that broke out of it would have them.  So they are not the node's,
 * which make it a member of the pool: they are signed by an authority that
 * is good for nothing but these streams.  Its key (Ed25519) follows from the
 * pool CA's by HMAC, so that every member has the same one and none has to
 * be sent.
 *
 * Files in <state_dir>/guest-pki, by the names that QEMU looks for; renewed
 * like the node's own.  No threads.
 */
#ifndef CAIRN_DAEMON_GUEST_PKI_H
#define CAIRN_DAEMON_GUEST_PKI_H

#include "common/error.h"

#include <stdint.h>
#include <sys/types.h>

/* A secret of the pool for one purpose, the same on all its nodes: 32 bytes
 * from the CA's key; `ca_key` is its PEM file. */
bool guest_pki_secret(const char *ca_key, const char *purpose,
                      unsigned char secret[32], struct error *err);

/* `dir` is made when missing and given to the user.  `address`: this node's,
 * as others connect to it.  `now` in us. */
bool guest_pki_make(const char *dir, const char *ca_key, const char *address,
                    uid_t user, gid_t group, int64_t now, struct error *err);

#endif
