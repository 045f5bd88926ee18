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
                    const struct server *server, const char *node)
{
    for (size_t i = 0; i < server->volumes.n; i++)
        disk_keys_take_one(h, volume_at(s, server, i), server, node);
}

/* Has another server of that node the volume, too? */
static bool is_shared(const struct volume *v, const struct server *server,
                      const char *node)
{
    for (size_t i = 0; i < v->attachments.n; i++) {
        const struct volume_attachment *a =
            LIST_AT(v->attachments, struct volume_attachment, i);
        if (a->server_id && strcmp(a->server_id, server->rec.id) != 0 &&
            a->node && strcmp(a->node, node) == 0)
            return true;
    }
    return false;
}

void disk_keys_take_one(struct hypervisor *h, const struct volume *v,
                        const struct server *server, const char *node)
{
    if (v && v->key_id && h->ops->drop_secret && !is_shared(v, server, node))
        h->ops->drop_secret(h, v->rec.id);
}
