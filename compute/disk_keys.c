#include "compute/disk_keys.h"

#include <string.h>

static const struct volume *volume_at(const struct snapshot *s,
                                      const struct server *server, size_t i)
{
    const struct server_volume *sv =
        LIST_AT(server->volumes, struct server_volume, i);
    const struct volume *v = snap_get(s, &kind_volume, sv->volume_id);
    return v && v->key_id ? v : NULL;
}

static bool give(struct hypervisor *h, const struct keyring *keyring,
                 const struct snapshot *s, const struct volume *v,
                 struct error *err)
{
    char passphrase[PASSPHRASE_SIZE];
    const struct volume_key *key = snap_get(s, &kind_volume_key, v->key_id);
    if (!h->ops->keep_secret)
        return error_set(err, ERR_NOT_IMPLEMENTED,
                         "this hypervisor has no encrypted disks");
    if (!key)
        return error_set(err, ERR_NOT_FOUND, "the key of volume %s is gone",
                         v->rec.id);
    bool ok =
        keyring_unwrap(keyring, key->rec.id, key->wrapped, passphrase, err) &&
        h->ops->keep_secret(h, v->rec.id, passphrase, err);
    explicit_bzero(passphrase, sizeof(passphrase));
    return ok;
}

bool disk_keys_give(struct hypervisor *h, const struct keyring *keyring,
                    const struct snapshot *s, const struct server *server,
                    struct error *err)
{
    for (size_t i = 0; i < server->volumes.n; i++) {
        const struct volume *v = volume_at(s, server, i);
        if (v && !give(h, keyring, s, v, err))
            return false;
    }
    return true;
}

void disk_keys_take(struct hypervisor *h, const struct snapshot *s,
                    const struct server *server)
{
    for (size_t i = 0; i < server->volumes.n; i++)
        disk_keys_take_one(h, volume_at(s, server, i));
}

void disk_keys_take_one(struct hypervisor *h, const struct volume *v)
{
    if (v && v->key_id && h->ops->drop_secret)
        h->ops->drop_secret(h, v->rec.id);
}
