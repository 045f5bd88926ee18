/* Volumes as clients see, make and change them. */
#include "openstack-compat/volume/cinder.h"

#include <string.h>

/* ---- showing ----------------------------------------------------------- */

static void write_attachments(struct jw *w, const struct volume *v, bool admin)
{
    jw_arr(w, "attachments");
    for (size_t i = 0; i < v->attachments.n; i++) {
        const struct volume_attachment *a =
            LIST_AT(v->attachments, struct volume_attachment, i);
        if (!a->attached)
            continue;
        jw_obj(w, NULL);
        jw_str(w, "id", v->rec.id);
        jw_str(w, "volume_id", v->rec.id);
        jw_str(w, "attachment_id", a->attachment_id);
        jw_str(w, "server_id", a->server_id);
        jw_str(w, "host_name", admin ? a->node : NULL);
        jw_str(w, "device", a->device);
        cinder_write_time(w, "attached_at", a->attached);
        jw_obj_end(w);
    }
    jw_arr_end(w);
}

static const char *type_name(struct req *r, const struct volume *v)
{
    const struct volume_type *t =
        snap_get(r->snap, &kind_volume_type, v->volume_type_id);
    return t ? t->name : v->volume_type_id;
}

/* What belongs to features that this build does not have. */
static void write_absent(struct req *r, struct jw *w)
{
    jw_null(w, "consistencygroup_id");
    jw_null(w, "replication_status");
    jw_null(w, "migration_status");
    if (r->mv >= MV(3, 13))
        jw_null(w, "group_id");
    if (r->mv >= MV(3, 48)) {
        jw_bool(w, "shared_targets", false);
        jw_null(w, "service_uuid");
    }
}

static void write_admin(struct req *r, struct jw *w, const struct volume *v)
{
    if (v->node)
        jw_strf(w, "os-vol-host-attr:host", "%s@local#local", v->node);
    else
        jw_null(w, "os-vol-host-attr:host");
    jw_null(w, "os-vol-mig-status-attr:migstat");
    jw_null(w, "os-vol-mig-status-attr:name_id");
    if (r->mv >= MV(3, 21))
        jw_null(w, "provider_id");
}

/* The readonly flag is shown as cinder shows it: among the metadata. */
static void write_metadata(struct jw *w, const struct volume *v)
{
    jw_obj(w, "metadata");
    for (size_t i = 0; i < v->metadata.n; i++)
        jw_str(w, v->metadata.v[i].key, v->metadata.v[i].value);
    if (v->readonly && !map_get(&v->metadata, "readonly"))
        jw_str(w, "readonly", "True");
    jw_obj_end(w);
}

void volume_write(struct req *r, struct jw *w, const char *key,
                  const struct volume *v)
{
    jw_obj(w, key);
    jw_str(w, "id", v->rec.id);
    jw_str(w, "name", v->name);
    jw_str(w, "description", v->description);
    jw_str(w, "status", volume_status_names[v->status]);
    jw_int(w, "size", v->size_gb);
    jw_str(w, "availability_zone", v->availability_zone);
    jw_str(w, "volume_type", type_name(r, v));
    jw_str(w, "bootable", v->bootable ? "true" : "false");
    jw_str(w, "snapshot_id", v->snapshot_id);
    jw_str(w, "source_volid", v->source_id);
    jw_str(w, "user_id", v->user_id);
    jw_str(w, "os-vol-tenant-attr:tenant_id", v->project_id);
    cinder_write_time(w, "created_at", v->created);
    cinder_write_time(w, "updated_at", v->updated);
    write_metadata(w, v);
    if (v->image_metadata.n)
        cinder_write_map(w, "volume_image_metadata", &v->image_metadata);
    write_attachments(w, v, r->auth.is_admin);
    jw_bool(w, "encrypted", v->key_id != NULL);
    jw_bool(w, "multiattach", v->multiattach);
    write_absent(r, w);
    if (r->auth.is_admin)
        write_admin(r, w, v);
    cinder_write_links(r, w, "volumes", v->rec.id);
    jw_obj_end(w);
}

static enum outcome reply_volume(struct req *r, const struct volume *v,
                                 int status)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    volume_write(r, &w, "volume", v);
    jw_obj_end(&w);
    return req_reply(r, status);
}

enum outcome volume_show(struct req *r)
{
    const struct volume *v = req_owned(r, &kind_volume, r->param[0], "Volume");
    return v ? reply_volume(r, v, 200) : req_failed(r);
}

/* ---- create ------------------------------------------------------------ */

/* Features that are not there may be named only to say no. */
static bool set_absent(struct req *r, void *record, const struct attr *a,
                       const json_t *value)
{
    if (json_is_null(value) || json_is_false(value))
        return true;
    return error_set(&r->err, ERR_INVALID,
                     "Invalid input received: %s is not supported", a->name);
}

static const struct attr create_attrs[] = {
    { "name", NULL, A_NULL, CHECK_NAME },
    { "display_name", "name", A_NULL, CHECK_NAME },
    { "description", NULL, A_NULL, CHECK_TEXT },
    { "display_description", "description", A_NULL, CHECK_TEXT },
    { "size", "size_gb", A_NULL, CHECK_INT, 1 },
    { "availability_zone", NULL, A_NULL, CHECK_NAME },
    { "volume_type", "volume_type_id", A_NULL, CHECK_NAME, 1 },
    { "metadata", NULL, A_NULL, CHECK_MAP },
    { "imageRef", "image_id", A_NULL, CHECK_ID },
    { "image_id", NULL, A_NULL, CHECK_ID },
    { "snapshot_id", NULL, A_NULL, CHECK_ID },
    { "source_volid", "source_id", A_NULL, CHECK_ID },
    { "multiattach", NULL, A_NULL, CHECK_BOOL, .set = set_absent },
    { "backup_id", NULL, A_NULL, .set = set_absent },
    { "group_id", NULL, A_NULL, .set = set_absent },
    { "consistencygroup_id", NULL, A_NULL, .set = set_absent },
    { "source_replica", NULL, A_NULL, .set = set_absent },
    ATTR_END,
};

/* Cinder answers 404 where nova, by the same volume_make, says 400. */
static bool sources_are_there(struct req *r, const struct volume *v)
{
    if (v->snapshot_id &&
        !req_owned(r, &kind_snapshot, v->snapshot_id, "Snapshot"))
        return false;
    if (v->source_id && !req_owned(r, &kind_volume, v->source_id, "Volume"))
        return false;
    if (v->volume_type_id &&
        !volume_type_find(r->snap, v->volume_type_id, v->project_id))
        return error_set(&r->err, ERR_NOT_FOUND,
                         "Volume type with name %.80s could not be found.",
                         v->volume_type_id);
    return true;
}

enum outcome volume_create(struct req *r)
{
    const json_t *body = req_envelope(r, "volume");
    if (!body)
        return req_failed(r);
    _autorecord_ struct volume *v = record_new(&kind_volume, req_uuid(r));
    v->project_id = rec_str(v, r->auth.project_id);
    v->user_id = rec_str(v, r->auth.user_id);
    v->created = v->updated = r->now;
    if (!v->project_id)
        return req_fail(r, ERR_FORBIDDEN,
                        "A volume needs a token scoped to a project");
    if (!cinder_fill(r, v, create_attrs, body, false) ||
        !sources_are_there(r, v) || !volume_make(&r->txn, r->snap, v, &r->err))
        return req_failed(r);
    return reply_volume(r, v, 202);
}

/* ---- update ------------------------------------------------------------ */

static const struct attr update_attrs[] = {
    { "name", NULL, A_NULL, CHECK_NAME },
    { "display_name", "name", A_NULL, CHECK_NAME },
    { "description", NULL, A_NULL, CHECK_TEXT },
    { "display_description", "description", A_NULL, CHECK_TEXT },
    { "metadata", NULL, 0, CHECK_MAP },
    ATTR_END,
};

enum outcome volume_update(struct req *r)
{
    const struct volume *was =
        req_owned(r, &kind_volume, r->param[0], "Volume");
    const json_t *body = was ? req_envelope(r, "volume") : NULL;
    if (!body)
        return req_failed(r);
    if (!json_object_size(body))
        return req_fail(r, ERR_INVALID,
                        "At least one of name, description or metadata must "
                        "be given");
    _autorecord_ struct volume *v = record_copy(was);
    v->updated = r->now;
    if (!cinder_fill(r, v, update_attrs, body, true))
        return req_failed(r);
    txn_change_record(&r->txn, v);
    return reply_volume(r, v, 200);
}

/* ---- delete ------------------------------------------------------------ */

static size_t count_snapshots(struct req *r, const struct volume *v)
{
    size_t n = 0;
    struct snap_iter it =
        snap_by(r->snap, &kind_snapshot, "volume_id", v->rec.id);
    while (snap_next(&it))
        n++;
    return n;
}

static bool being_copied(struct req *r, const struct volume *v)
{
    struct snap_iter it =
        snap_by(r->snap, &kind_volume, "source_id", v->rec.id);
    for (const struct volume *copy; (copy = snap_next(&it));)
        if (copy->status == VOLUME_CREATING)
            return true;
    return false;
}

static bool deletable(int status)
{
    return status == VOLUME_AVAILABLE || status == VOLUME_ERROR ||
           status == VOLUME_ERROR_DELETING || status == VOLUME_ERROR_EXTENDING;
}

static bool check_delete(struct req *r, const struct volume *v, bool force,
                         bool cascade)
{
    if (v->attachments.n)
        return error_set(&r->err, ERR_INVALID,
                         "Invalid volume: Volume %s is still attached, detach "
                         "volume first.",
                         v->rec.id);
    if (!deletable(v->status) && !force)
        return error_set(&r->err, ERR_INVALID,
                         "Invalid volume: Volume status must be available or "
                         "error or error_deleting or error_extending, but it "
                         "is %s.",
                         volume_status_names[v->status]);
    size_t snapshots = cascade ? 0 : count_snapshots(r, v);
    if (snapshots)
        return error_set(&r->err, ERR_INVALID,
                         "Invalid volume: Volume still has %zu dependent "
                         "snapshots.",
                         snapshots);
    if (being_copied(r, v))
        return error_set(&r->err, ERR_INVALID,
                         "Invalid volume: Volume %s is being copied.",
                         v->rec.id);
    return true;
}

static bool delete_snapshots(struct req *r, const struct volume *v)
{
    struct snap_iter it =
        snap_by(r->snap, &kind_snapshot, "volume_id", v->rec.id);
    for (const struct volume_snapshot *sn; (sn = snap_next(&it));)
        if (sn->status != SNAPSHOT_DELETING &&
            !snapshot_mark_deleting(r, sn, false))
            return false;
    return true;
}

bool volume_mark_deleting(struct req *r, const struct volume *v, bool force,
                          bool cascade)
{
    if (!check_delete(r, v, force, cascade) ||
        (cascade && !delete_snapshots(r, v)))
        return false;
    _autorecord_ struct volume *next = record_copy(v);
    next->status = VOLUME_DELETING;
    next->updated = r->now;
    txn_change_record(&r->txn, next);
    return true;
}

static bool flag(struct req *r, const char *name)
{
    const char *text = req_query(r, name);
    bool yes = false;
    return text && parse_bool(text, &yes) && yes;
}

enum outcome volume_delete(struct req *r)
{
    const struct volume *v = req_owned(r, &kind_volume, r->param[0], "Volume");
    bool force = r->mv >= MV(3, 23) && flag(r, "force");
    if (!v)
        return req_failed(r);
    if (force && !r->auth.is_admin)
        return req_fail(r, ERR_FORBIDDEN,
                        "Policy doesn't allow volume:force_delete to be "
                        "performed.");
    if (!volume_mark_deleting(r, v, force, flag(r, "cascade")))
        return req_failed(r);
    return req_reply(r, 202);
}

/* Only what metadata.c needs; the rest is written by hand here. */
const struct resource cinder_volumes = {
    .kind = &kind_volume,
    .singular = "volume",
    .plural = "volumes",
    .noun = "Volume",
};
