#include "openstack-compat/volume/volumes.h"

#include "model/image.h"
#include "model/pool.h"
#include "openstack-compat/volume/cinder.h"

#include <string.h>

#define GIB          (INT64_C(1) << 30)
#define DEFAULT_ZONE "nova"

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

/* ---- type and zone ----------------------------------------------------- */

static bool type_usable(const struct volume_type *t, const char *project_id)
{
    return !t->is_private || (project_id && strs_has(&t->projects, project_id));
}

const struct volume_type *volume_type_find(const struct snapshot *s,
                                           const char *name_or_id,
                                           const char *project_id)
{
    const struct volume_type *t = snap_get(s, &kind_volume_type, name_or_id);
    if (!t)
        t = snap_find(s, &kind_volume_type, "name", name_or_id);
    return t && type_usable(t, project_id) ? t : NULL;
}

static const char *default_type(const struct snapshot *s)
{
    struct snap_iter it = snap_all(s, &kind_volume_type);
    for (const struct volume_type *t; (t = snap_next(&it));)
        if (t->is_default)
            return t->rec.id;
    return NULL;
}

static bool settle_type(const struct snapshot *s, struct volume *v,
                        struct error *err)
{
    const char *asked = v->volume_type_id;
    if (!asked) {
        v->volume_type_id = rec_str(v, default_type(s));
        return true;
    }
    const struct volume_type *t = volume_type_find(s, asked, v->project_id);
    if (!t)
        return error_set(err, ERR_INVALID,
                         "Volume type with name %.80s could not be found.",
                         asked);
    v->volume_type_id = rec_str(v, t->rec.id);
    return true;
}

bool volume_traits(const struct snapshot *s, const struct volume_type *t,
                   struct volume *v, struct error *err)
{
    bool shared = pool_is_replicated(s);
    if (t && volume_type_is_replicated(t) && !shared)
        return error_set(err, ERR_INVALID,
                         "Volume type %.80s needs a replicated storage, "
                         "which this pool does not have.",
                         t->name);
    v->local = !shared || (t && volume_type_is_local(t));
    v->multiattach = t && volume_type_multiattach(t);
    v->key_id = t && t->encryption.id ? rec_str(v, v->rec.id) : NULL;
    if (v->local && (v->multiattach || v->key_id))
        return error_set(err, ERR_INVALID,
                         "Volume type %.80s needs a replicated storage: a "
                         "volume on a node's own disk is not %s.",
                         t->name,
                         v->key_id ? "encrypted" : "attached to several");
    return true;
}

/* A copy lies where its source does, and has its key or none. */
static bool check_copy(const struct volume *v, const struct volume *traits,
                       struct error *err)
{
    if (v->local == traits->local && !v->key_id == !traits->key_id)
        return true;
    return error_set(err, ERR_INVALID,
                     "Invalid input received: the volume type must be %s, as "
                     "that of the source.",
                     v->local != traits->local
                         ? v->local ? "local" : "replicated"
                     : v->key_id ? "encrypted"
                                 : "one without encryption");
}

static bool settle_traits(const struct snapshot *s, struct volume *v,
                          struct error *err)
{
    bool copy = v->snapshot_id || v->source_id;
    v->local |= copy && !pool_is_replicated(s); /* one made before there was
                                                   the word */
    _autorecord_ struct volume *traits = record_copy(v);
    if (!volume_traits(s, snap_get(s, &kind_volume_type, v->volume_type_id),
                       traits, err) ||
        (copy && !check_copy(v, traits, err)))
        return false;
    v->multiattach = traits->multiattach;
    v->local = traits->local;
    if (!copy)
        v->key_id = rec_str(v, traits->key_id);
    return true;
}

static const char *zone_of(const struct node *n)
{
    return n->availability_zone ? n->availability_zone : DEFAULT_ZONE;
}

static bool settle_zone(const struct snapshot *s, struct volume *v,
                        struct error *err)
{
    const char *first = NULL;
    struct snap_iter it = snap_all(s, &kind_node);
    for (const struct node *n; (n = snap_next(&it));) {
        if (same(v->availability_zone, zone_of(n)))
            return true;
        first = first ? first : zone_of(n);
    }
    first = first ? first : DEFAULT_ZONE;
    if (v->availability_zone && strcmp(v->availability_zone, first) != 0)
        return error_set(err, ERR_INVALID,
                         "Availability zone '%.64s' is invalid.",
                         v->availability_zone);
    v->availability_zone = rec_str(v, first);
    return true;
}

/* ---- sources ----------------------------------------------------------- */

static bool image_usable(const struct image *im, const char *project_id)
{
    return im && im->status == IMAGE_ACTIVE &&
           (same(im->owner, project_id) || same(im->visibility, "public") ||
            same(im->visibility, "community"));
}

static void put_image_metadata(struct volume *v, const struct image *im)
{
    struct map *m = &v->image_metadata;
    for (size_t i = 0; i < im->properties.n; i++)
        map_put(v, m, im->properties.v[i].key, im->properties.v[i].value);
    map_put(v, m, "image_id", im->rec.id);
    map_put(v, m, "image_name", im->name ? im->name : "");
    map_put(v, m, "checksum", im->checksum ? im->checksum : "");
    map_put(v, m, "container_format",
            im->container_format ? im->container_format : "bare");
    map_put(v, m, "disk_format", im->disk_format ? im->disk_format : "raw");
    map_put(v, m, "min_disk", rec_strf(v, "%lld", (long long)im->min_disk_gb));
    map_put(v, m, "min_ram", rec_strf(v, "%lld", (long long)im->min_ram_mb));
    map_put(v, m, "size", rec_strf(v, "%lld", (long long)im->size));
}

static bool from_image(struct txn *t, const struct snapshot *s,
                       struct volume *v, struct error *err)
{
    const struct image *im = snap_get(s, &kind_image, v->image_id);
    if (!image_usable(im, v->project_id))
        return error_set(err, ERR_INVALID,
                         "Invalid image identifier or unable to access "
                         "requested image.");
    int64_t bytes = im->virtual_size ? im->virtual_size : im->size;
    int64_t least = (bytes + GIB - 1) / GIB;
    if (v->size_gb && v->size_gb < least)
        return error_set(err, ERR_INVALID,
                         "Invalid input received: Size of specified image "
                         "%lldGB is larger than volume size %lldGB.",
                         (long long)least, (long long)v->size_gb);
    if (v->size_gb && v->size_gb < im->min_disk_gb)
        return error_set(err, ERR_INVALID,
                         "Invalid input received: Volume size %lldGB cannot "
                         "be smaller than the image minDisk size %lldGB.",
                         (long long)v->size_gb, (long long)im->min_disk_gb);
    put_image_metadata(v, im);
    v->bootable = true;
    txn_expect_record(t, im);
    return true;
}

/* What a copy has from the volume it is made of, at once or by a snapshot. */
static bool inherit(struct volume *v, const struct volume *from,
                    int64_t from_size, const char *what, struct error *err)
{
    if (!v->size_gb)
        v->size_gb = from_size;
    if (v->size_gb < from_size)
        return error_set(err, ERR_INVALID,
                         "Invalid input received: Volume size '%lld'GB cannot "
                         "be smaller than the %s size %lldGB.",
                         (long long)v->size_gb, what, (long long)from_size);
    if (v->availability_zone && from->availability_zone &&
        !same(v->availability_zone, from->availability_zone))
        return error_set(err, ERR_INVALID,
                         "Invalid input received: the volume must be in the "
                         "availability zone of its source: '%.64s'",
                         from->availability_zone);
    v->availability_zone = rec_str(v, from->availability_zone);
    v->node = rec_str(v, from->node);
    v->key_id = rec_str(v, from->key_id);
    v->local = from->local;
    v->bootable = from->bootable;
    for (size_t i = 0; i < from->image_metadata.n; i++)
        map_put(v, &v->image_metadata, from->image_metadata.v[i].key,
                from->image_metadata.v[i].value);
    if (!v->volume_type_id)
        v->volume_type_id = rec_str(v, from->volume_type_id);
    return true;
}

static bool from_snapshot(struct txn *t, const struct snapshot *s,
                          struct volume *v, struct error *err)
{
    const struct volume_snapshot *sn =
        snap_get(s, &kind_snapshot, v->snapshot_id);
    const struct volume *of =
        sn ? snap_get(s, &kind_volume, sn->volume_id) : NULL;
    if (!of || !same(sn->project_id, v->project_id))
        return error_set(err, ERR_INVALID, "Snapshot %.80s could not be found.",
                         v->snapshot_id);
    if (sn->status != SNAPSHOT_AVAILABLE)
        return error_set(err, ERR_INVALID,
                         "Invalid snapshot: Originating snapshot status must "
                         "be one of 'available' values");
    txn_touch_record(t, sn);
    return inherit(v, of, sn->size_gb, "snapshot", err);
}

static bool from_volume(struct txn *t, const struct snapshot *s,
                        struct volume *v, struct error *err)
{
    const struct volume *of = snap_get(s, &kind_volume, v->source_id);
    if (!of || !same(of->project_id, v->project_id))
        return error_set(err, ERR_INVALID, "Volume %.80s could not be found.",
                         v->source_id);
    if (of->status != VOLUME_AVAILABLE && of->status != VOLUME_IN_USE)
        return error_set(err, ERR_INVALID,
                         "Invalid volume: the source volume's status must be "
                         "available or in-use, not %s",
                         volume_status_names[of->status]);
    txn_touch_record(t, of);
    return inherit(v, of, of->size_gb, "source volume", err);
}

/* ---- the whole --------------------------------------------------------- */

static bool settle_source(struct txn *t, const struct snapshot *s,
                          struct volume *v, struct error *err)
{
    if (!!v->image_id + !!v->snapshot_id + !!v->source_id > 1)
        return error_set(err, ERR_INVALID,
                         "May specify only one of snapshot, imageRef or "
                         "source volume.");
    if (v->image_id)
        return from_image(t, s, v, err);
    if (v->snapshot_id)
        return from_snapshot(t, s, v, err);
    return !v->source_id || from_volume(t, s, v, err);
}

bool volume_make(struct txn *t, const struct snapshot *s, struct volume *draft,
                 struct error *err)
{
    if (!settle_source(t, s, draft, err))
        return false;
    if (draft->size_gb < 1)
        return error_set(err, ERR_INVALID,
                         "Invalid input received: Volume size must be "
                         "specified as an integer greater than zero.");
    if (!settle_type(s, draft, err) || !settle_traits(s, draft, err) ||
        !settle_zone(s, draft, err) ||
        !volume_charge(t, s, draft->project_id, 1, 0, draft->size_gb, err))
        return false;
    draft->status = VOLUME_CREATING;
    txn_change_record(t, draft);
    return true;
}
