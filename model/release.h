/*
 * release - what things hold, given back in the transaction that ends them.
 *
 * A port holds the claims on its addresses and its MAC and a place in its
 * project's quota; a server holds ports, volumes, a disk and quota.  These
 * functions add to a transaction all that must happen together, with the
 * compares that make it exact, so that neutron's handlers, nova's and the
 * node's reconciler cannot do it differently.  Pure: a snapshot in, writes
 * out.  `now` is wall clock in microseconds.
 */
#ifndef CAIRN_MODEL_RELEASE_H
#define CAIRN_MODEL_RELEASE_H

#include "model/compute.h"
#include "model/network.h"
#include "model/volume.h"
#include "state/cache.h"

/* Takes the claims of a port that is being made: MAC and fixed addresses. */
void port_take_claims(struct txn *t, const struct port *p);

/* Deletes the ports: records, claims, quota use; floating IPs that pointed
 * at one no longer point anywhere.  Charges service "network", so once a
 * transaction: hand in all its ports.  False: see quota_charge. */
bool ports_release(struct txn *t, const struct snapshot *s,
                   const struct port *const *ports, size_t n, int64_t now,
                   struct error *err);
static inline bool port_release(struct txn *t, const struct snapshot *s,
                                const struct port *p, int64_t now,
                                struct error *err)
{
    return ports_release(t, s, &p, 1, now, err);
}
/* Takes the port from its device and node; it stays. */
void port_unbind(struct txn *t, const struct port *p, int64_t now);

/* Ends the volume's attachments to the server.  It becomes AVAILABLE when
 * none is left, or DELETING if `also_delete`. */
void volume_release(struct txn *t, const struct volume *v,
                    const char *server_id, bool also_delete, int64_t now);

/* A local disk that nobody has open any more goes: LEAVING, or at once when
 * it was never placed. */
void disk_release(struct txn *t, const struct disk *disk);

/* Everything a deleted server leaves: its record, why it was placed where
 * it was, the ports nova made for it (others are unbound), its volumes, its
 * disk (LEAVING; the record goes at once when it was never placed) and the
 * compute quota.  Called when no domain of it is left, or none ever was. */
bool server_release(struct txn *t, const struct snapshot *s,
                    const struct server *server, int64_t now,
                    struct error *err);

#endif
