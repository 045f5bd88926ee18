#include "storage/storage_impl.h"

#include "common/cleanup.h"
#include "storage/luks.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define PIECE 65536

/* ---- keys ---------------------------------------------------------------- */

static const struct volume_key *key_of(struct run *r, const char *key_id)
{
    const struct volume_key *k = snap_get(r->snap, &kind_volume_key, key_id);
    if (!k)
        error_set(r->err, ERR_NOT_FOUND, "key %s is gone", key_id);
    return k;
}

/* Written before anything is encrypted with it: so it is never lost. */
static enum taken make_key(struct run *r, const struct volume *v,
                           enum reconcile_verdict *verdict)
{
    const struct volume_type *t =
        snap_get(r->snap, &kind_volume_type, v->volume_type_id);
    struct buf wrapped = BUF_INIT(WRAPPED_MAX);
    bool size = t && t->encryption.key_size;
    if (!keyring_make(r->s->c.keyring, v->key_id, &wrapped, r->err))
        return FAILED;
    _autorecord_ struct volume_key *k = record_new(&kind_volume_key, v->key_id);
    k->wrapped = rec_str(k, buf_str(&wrapped));
    k->cipher = rec_str(k, size ? t->encryption.cipher : "aes-xts-plain64");
    k->key_size = size ? t->encryption.key_size : 256;
    k->created = storage_now(r);
    buf_free(&wrapped);
    *verdict = storage_change(r, k);
    if (*verdict == RECONCILE_DONE) {
        *r->delay_us = 0;
        *verdict = RECONCILE_AGAIN;
    }
    return NOT_YET;
}

enum taken storage_key(struct run *r, const struct volume *v, struct luks *out,
                       char passphrase[PASSPHRASE_SIZE],
                       enum reconcile_verdict *verdict)
{
    if (!snap_get(r->snap, &kind_volume_key, v->key_id) &&
        strcmp(v->key_id, v->rec.id) == 0)
        return make_key(r, v, verdict);
    const struct volume_key *k = key_of(r, v->key_id);
    if (!k || !keyring_unwrap(r->s->c.keyring, k->rec.id, k->wrapped,
                              passphrase, r->err))
        return FAILED;
    *out = (struct luks){ passphrase, k->key_size };
    return TAKEN;
}

bool storage_overhead(struct run *r, const char *key_id, int64_t *bytes)
{
    const struct volume_key *k = key_id ? key_of(r, key_id) : NULL;
    *bytes = k ? luks_overhead(k->key_size) : 0;
    return k || !key_id;
}

/* Of two that go at the same time one writes the key's record again, which
 * the other has seen otherwise: the last takes the key along. */
void storage_key_release(struct run *r, struct txn *t, const char *key_id,
                         const char *whose)
{
    const struct volume_key *k =
        key_id ? snap_get(r->snap, &kind_volume_key, key_id) : NULL;
    if (!k)
        return;
    if (volume_key_used(r->snap, key_id, whose))
        txn_touch_record(t, k);
    else
        txn_delete_record(t, k);
}

/* ---- images of the pool's storage, for a node's own -------------------------
 */

static bool copy_bytes(int from, int to, struct error *err)
{
    char piece[PIECE];
    ssize_t n;
    while ((n = read(from, piece, sizeof(piece))) > 0)
        if (write(to, piece, (size_t)n) != n)
            return error_errno(err,
                               errno == ENOSPC ? ERR_NO_SPACE : ERR_INTERNAL,
                               errno, "cannot copy an image");
    return n == 0 ||
           error_errno(err, ERR_INTERNAL, errno, "cannot read an image");
}

static bool copy_image(struct run *r, const char *blob, const char *id)
{
    struct volumes *all = r->s->c.volumes, *own = all->own;
    _autoclose_ int from = all->ops->image_open_read(all, blob, r->err);
    _autoclose_ int to =
        from < 0 ? -1 : own->ops->image_open_write(own, id, r->err);
    return to >= 0 && copy_bytes(from, to, r->err);
}

bool storage_fetch(struct run *r, const char *image_id, const char *volume_id,
                   char blob[STORAGE_NAME_MAX])
{
    struct image_info info;
    struct volumes *own = r->s->c.volumes->own;
    const struct image *im = snap_get(r->snap, &kind_image, image_id);
    const char *from = storage_image_blob(r, image_id);
    if (!from || !copy_image(r, from, volume_id) ||
        !own->ops->image_commit(own, volume_id, im->disk_format, &info, r->err))
        return false;
    memcpy(blob, info.blob, sizeof(info.blob));
    return true;
}

void storage_unfetch(struct run *r, const char *volume_id)
{
    struct error ignored;
    struct volumes *own = r->s->c.volumes->own;
    if (own)
        own->ops->image_discard(own, volume_id, &ignored);
}
