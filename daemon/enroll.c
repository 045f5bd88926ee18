#include "daemon/enroll.h"

#include "common/log.h"
#include "engine/leases.h"
#include "model/compute.h"
#include "model/node_disks.h"
#include "model/pool.h"
#include "model/use.h"

#include <openssl/crypto.h>
#include <stdio.h>

static bool commit(struct store *store, struct txn *txn, struct error *err)
{
    struct txn_result result;
    if (store_commit(store, txn, &result))
        return true;
    error_copy(err, &result.err);
    return false;
}

bool enroll_secret(struct store *store, const struct env *env, bool once,
                   int64_t seconds, char text[JOIN_SECRET_SIZE],
                   struct error *err)
{
    struct join_secret secret;
    char hex[2 * JOIN_KEY_SIZE + 1];
    _autotxn_ struct txn txn = TXN_INIT;
    if (seconds < 0 || seconds > ENROLL_SECONDS_MAX)
        return error_set(err, ERR_INVALID,
                         "a join secret lives up to %d seconds, or until it "
                         "is revoked (0)",
                         ENROLL_SECONDS_MAX);
    join_secret_make(env, text, &secret);
    for (size_t i = 0; i < JOIN_KEY_SIZE; i++)
        snprintf(hex + 2 * i, 3, "%02x", secret.key[i]);
    _autorecord_ struct join_secret_record *r =
        record_new(&kind_join_secret, secret.name);
    r->key = rec_str(r, hex);
    r->once = once;
    r->created = env_now(env);
    r->expires = seconds ? r->created + seconds * SECOND_US : 0;
    txn_change_record(&txn, r);
    OPENSSL_cleanse(&secret, sizeof(secret));
    OPENSSL_cleanse(hex, sizeof(hex));
    bool ok = commit(store, &txn, err);
    if (ok)
        log_warn("enroll", "join secret made: %s, %s", r->rec.id,
                 once ? "for one node" : "for any number of nodes");
    return ok;
}

bool enroll_revoke(struct store *store, struct cache *cache, const char *name,
                   struct error *err)
{
    _autosnap_ struct snapshot *snap = cache_snapshot(cache);
    const struct join_secret_record *r =
        snap_get(snap, &kind_join_secret, name);
    _autotxn_ struct txn txn = TXN_INIT;
    if (!r)
        return error_set(err, ERR_NOT_FOUND, "There is no join secret '%.40s'.",
                         name);
    txn_delete_record(&txn, r);
    return commit(store, &txn, err);
}

/* The record with that OSD asked to leave or stay, not yet written; NULL: there
 * is none. */
static struct node_disks *ask_disk(const struct snapshot *snap, const char *osd,
                                   bool leave)
{
    struct snap_iter it = snap_all(snap, &kind_node_disks);
    for (const struct node_disks *d; (d = snap_next(&it));) {
        if (!node_disk_named(d, osd))
            continue;
        struct node_disks *draft = record_copy(d);
        node_disk_named(draft, osd)->leave = leave;
        return draft;
    }
    return NULL;
}

bool enroll_disk(struct store *store, struct cache *cache, const char *osd,
                 bool leave, struct error *err)
{
    _autosnap_ struct snapshot *snap = cache_snapshot(cache);
    _autorecord_ struct node_disks *draft = ask_disk(snap, osd, leave);
    _autotxn_ struct txn txn = TXN_INIT;
    if (!draft)
        return error_set(err, ERR_NOT_FOUND, "There is no disk '%.40s'.", osd);
    txn_change_record(&txn, draft);
    return commit(store, &txn, err);
}

/* True: its disks hold nothing of the pool.  Else they are asked to leave. */
static bool has_no_data(struct store *store, const struct node_disks *disks,
                        struct error *err)
{
    size_t left = 0;
    _autotxn_ struct txn txn = TXN_INIT;
    if (!disks)
        return true;
    _autorecord_ struct node_disks *draft = record_copy(disks);
    for (size_t i = 0; i < draft->disks.n; i++) {
        struct node_disk *d = LIST_AT(draft->disks, struct node_disk, i);
        d->leave |= d->osd != NULL;
        left += d->osd != NULL;
    }
    if (!left)
        return true;
    if (!record_equal(draft, disks)) {
        txn_change_record(&txn, draft);
        if (!commit(store, &txn, err))
            return false;
    }
    return error_set(err, ERR_CONFLICT,
                     "%zu disks of node %s belong to the pool's storage "
                     "still; they leave it now (see: cairn disk list), try "
                     "again when they have.",
                     left, disks->rec.id);
}

bool enroll_remove(struct store *store, struct cache *cache,
                   const struct env *env, const char *node, struct error *err)
{
    _autosnap_ struct snapshot *snap = cache_snapshot(cache);
    const struct member *m = snap_get(snap, &kind_member, node);
    const struct node *n = snap_get(snap, &kind_node, node);
    const struct node_disks *disks = snap_get(snap, &kind_node_disks, node);
    const struct node_use *use = snap_get(snap, &kind_node_use, node);
    struct snap_iter servers = snap_by(snap, &kind_server, "node", node);
    char key[STORE_KEY_MAX];
    _autotxn_ struct txn txn = TXN_INIT;
    if (!m && !n)
        return error_set(err, ERR_NOT_FOUND, "There is no node '%.60s'.", node);
    if (snap_next(&servers))
        return error_set(err, ERR_CONFLICT, "Node %s still has servers.", node);
    if (n && env_now(env) - n->seen < ENROLL_SILENT_US)
        return error_set(err, ERR_CONFLICT,
                         "Node %s is alive; switch it off and try again in a "
                         "minute.",
                         node);
    if (!has_no_data(store, disks, err))
        return false;
    if (m) /* nobody has beaten while the whole pool stood still */
        txn_absent(&txn, lease_key(key, m->node_id));
    if (disks)
        txn_delete_record(&txn, disks);
    if (m)
        txn_delete_record(&txn, m);
    if (n)
        txn_delete_record(&txn, n);
    if (use)
        txn_delete_record(&txn, use);
    return commit(store, &txn, err);
}
