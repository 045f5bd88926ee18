/* createImage: what a server is now, as an image.  Of a local root disk its
 * content, which the node's storage copies while the guest runs; of a server
 * that boots from a volume an image without bytes, which names snapshots of
 * its volumes. */
#include "openstack-compat/compute/create_plan.h"
#include "openstack-compat/compute/server_actions.h"

#include <string.h>

/* ---- the image's record -------------------------------------------------- */

static void put_kept(struct image *im, const struct server *s)
{
    for (size_t i = 0; i < s->image_properties.n; i++)
        map_put(im, &im->properties, s->image_properties.v[i].key,
                s->image_properties.v[i].value);
}

/* As nova describes a snapshot. */
static void put_origin(struct req *r, struct image *im, const struct server *s)
{
    map_put(im, &im->properties, "image_type", "snapshot");
    map_put(im, &im->properties, "image_location", "snapshot");
    map_put(im, &im->properties, "image_state", "available");
    map_put(im, &im->properties, "instance_uuid", s->rec.id);
    map_put(im, &im->properties, "user_id", r->auth.user_id);
    map_put(im, &im->properties, "owner_id", r->auth.project_id);
    if (s->image_id)
        map_put(im, &im->properties, "base_image_ref", s->image_id);
}

struct image *server_image_new(struct req *r, const struct server *s,
                               const char *name)
{
    struct image *im = record_new(&kind_image, req_uuid(r));
    const struct image *base = snap_get(r->snap, &kind_image, s->image_id);
    im->name = rec_str(im, name);
    im->owner = rec_str(im, r->auth.project_id);
    im->visibility = "private";
    im->container_format = "bare";
    im->disk_format = "qcow2";
    im->min_disk_gb = s->disk_gb;
    im->min_ram_mb = base ? base->min_ram_mb : 0;
    im->created = im->updated = r->now;
    put_kept(im, s);
    put_origin(r, im, s);
    return im;
}

static bool server_image_take(struct req *r, struct image *im,
                              const struct server *s)
{
    char id[DISK_ID_SIZE];
    const struct disk *disk =
        snap_get(r->snap, &kind_disk, server_disk_id(s, id));
    if (!disk || disk->state != DISK_READY || disk->upload_image_id)
        return error_set(&r->err, ERR_CONFLICT,
                         "The disk of instance %s is not ready", s->rec.id);
    im->status = IMAGE_SAVING;
    im->upload_id = rec_str(im, req_uuid(r));
    _autorecord_ struct disk *draft = record_copy(disk);
    draft->upload_image_id = rec_str(draft, im->rec.id);
    txn_change_record(&r->txn, draft);
    txn_change_record(&r->txn, im);
    return true;
}

/* ---- of volumes ---------------------------------------------------------- */

/* The volume is written again, see cinder's own snapshots. */
static struct volume_snapshot *
take_volume(struct req *r, const struct volume *v, const char *image_name)
{
    if (v->status != VOLUME_IN_USE) {
        error_set(&r->err, ERR_CONFLICT,
                  "Volume %s is %s: it cannot be copied now", v->rec.id,
                  volume_status_names[v->status]);
        return NULL;
    }
    if (!volume_charge(&r->txn, r->snap, v->project_id, 0, 1, v->size_gb,
                       &r->err))
        return NULL;
    _autorecord_ struct volume *again = record_copy(v);
    txn_change_record(&r->txn, again);
    struct volume_snapshot *sn = record_new(&kind_snapshot, req_uuid(r));
    volume_snapshot_of(sn, v);
    sn->user_id = rec_str(sn, r->auth.user_id);
    sn->name = rec_strf(sn, "snapshot for %s", image_name);
    sn->created = sn->updated = r->now;
    txn_change_record(&r->txn, sn);
    return sn;
}

static void write_device(struct jw *w, const struct server_volume *sv,
                         const struct volume_snapshot *sn)
{
    jw_obj(w, NULL);
    jw_str(w, "source_type", "snapshot");
    jw_str(w, "destination_type", "volume");
    jw_str(w, "snapshot_id", sn->rec.id);
    jw_int(w, "volume_size", sn->size_gb);
    if (sv->boot)
        jw_int(w, "boot_index", 0);
    else
        jw_null(w, "boot_index");
    jw_str(w, "device_name", sv->device);
    jw_str(w, "device_type", "disk");
    jw_bool(w, "delete_on_termination", sv->delete_on_termination);
    jw_str(w, "tag", sv->tag);
    jw_obj_end(w);
}

static bool take_volumes(struct req *r, struct image *im,
                         const struct server *s)
{
    struct buf text = BUF_INIT(65536);
    struct jw w = JW_INIT(&text);
    bool ok = true;
    jw_arr(&w, NULL);
    for (size_t i = 0; ok && i < s->volumes.n; i++) {
        const struct server_volume *sv =
            LIST_AT(s->volumes, struct server_volume, i);
        const struct volume *v = snap_get(r->snap, &kind_volume, sv->volume_id);
        if (!v || sv->state != ATTACH_DONE)
            continue;
        _autorecord_ struct volume_snapshot *sn = take_volume(r, v, im->name);
        ok = sn != NULL;
        if (ok)
            write_device(&w, sv, sn);
    }
    jw_arr_end(&w);
    map_put(im, &im->properties, "block_device_mapping", buf_str(&text));
    map_put(im, &im->properties, "bdm_v2", "True");
    map_put(im, &im->properties, "root_device_name",
            s->root_device ? s->root_device : "/dev/vda");
    im->status = IMAGE_ACTIVE;
    txn_change_record(&r->txn, im);
    buf_free(&text);
    return ok;
}

/* ---- the action ---------------------------------------------------------- */

static enum outcome reply(struct req *r, const struct image *im)
{
    if (r->mv < MV(2, 45)) {
        http_header(&r->resp, "Location",
                    req_strf(r, "%s/images/%s", req_base_url(r), im->rec.id));
        return req_reply(r, 202);
    }
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_str(&w, "image_id", im->rec.id);
    jw_obj_end(&w);
    return req_reply(r, 202);
}

static bool fill(struct req *r, struct image *im, const json_t *arg)
{
    const json_t *metadata = json_object_get(arg, "metadata");
    return !metadata ||
           nova_read_metadata(r, im, &im->properties, metadata, "metadata");
}

enum outcome action_create_image(struct req *r, const struct server *was,
                                 const json_t *arg)
{
    static const char *const known[] = { "name", "metadata", NULL };
    const char *name;
    if (!json_is_object(arg) || !nova_only(r, arg, known) ||
        !nova_string(r, arg, "name", 1, 255, &name))
        return r->err.code ? req_failed(r)
                           : req_fail(r, ERR_INVALID,
                                      "createImage: an object is expected");
    if (!name)
        return req_fail(r, ERR_INVALID, "'name' is a required property");
    if (!action_may_start(r, was,
                          IN(VM_ACTIVE) | IN(VM_STOPPED) | IN(VM_PAUSED) |
                              IN(VM_SUSPENDED),
                          "createImage"))
        return req_failed(r);
    _autorecord_ struct server *s = record_copy(was);
    _autorecord_ struct image *im = server_image_new(r, s, name);
    if (!fill(r, im, arg) ||
        !(s->image_id ? server_image_take(r, im, s) : take_volumes(r, im, s)))
        return req_failed(r);
    if (s->image_id)
        s->task_state = TASK_IMAGE_SNAPSHOT;
    server_note(r, s, "createImage");
    txn_change_record(&r->txn, s);
    return reply(r, im);
}
