/* Snapshots of volumes. */
#include "openstack-compat/volume/cinder.h"

#include <string.h>

/* ---- showing ----------------------------------------------------------- */

void snapshot_write(struct req *r, struct jw *w, const char *key,
                    const struct volume_snapshot *sn)
{
    bool done = sn->status == SNAPSHOT_AVAILABLE;
    jw_obj(w, key);
    jw_str(w, "id", sn->rec.id);
    jw_str(w, "name", sn->name);
    jw_str(w, "description", sn->description);
    jw_str(w, "volume_id", sn->volume_id);
    jw_str(w, "status", snapshot_status_names[sn->status]);
    jw_int(w, "size", sn->size_gb);
    cinder_write_time(w, "created_at", sn->created);
    cinder_write_time(w, "updated_at", sn->updated);
    cinder_write_map(w, "metadata", &sn->metadata);
    jw_str(w, "os-extended-snapshot-attributes:progress", done ? "100%" : "0%");
    jw_str(w, "os-extended-snapshot-attributes:project_id", sn->project_id);
    if (r->mv >= MV(3, 14))
        jw_null(w, "group_snapshot_id");
    if (r->mv >= MV(3, 41))
        jw_str(w, "user_id", sn->user_id);
    jw_obj_end(w);
}

static enum outcome reply_snapshot(struct req *r,
                                   const struct volume_snapshot *sn, int status)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    snapshot_write(r, &w, "snapshot", sn);
    jw_obj_end(&w);
    return req_reply(r, status);
}

static const struct volume_snapshot *snapshot_of_path(struct req *r)
{
    return req_owned(r, &kind_snapshot, r->param[0], "Snapshot");
}

enum outcome snapshot_show(struct req *r)
{
    const struct volume_snapshot *sn = snapshot_of_path(r);
    return sn ? reply_snapshot(r, sn, 200) : req_failed(r);
}

/* ---- create ------------------------------------------------------------ */

/* See may_snapshot. */
static bool set_nothing(struct req *r, void *record, const struct attr *a,
                        const json_t *value)
{
    return true;
}

static const struct attr create_attrs[] = {
    { "name", NULL, A_NULL, CHECK_NAME },
    { "display_name", "name", A_NULL, CHECK_NAME },
    { "description", NULL, A_NULL, CHECK_TEXT },
    { "display_description", "description", A_NULL, CHECK_TEXT },
    { "volume_id", NULL, 0, CHECK_ID },
    { "metadata", NULL, A_NULL, CHECK_MAP },
    { "force", NULL, A_NULL, CHECK_BOOL, .set = set_nothing },
    ATTR_END,
};

/* Of one in use only by force, as long as 3.66 is not spoken. */
static bool may_snapshot(struct req *r, const struct volume *v,
                         const json_t *body)
{
    bool forced = cinder_forced(body);
    if (v->status == VOLUME_AVAILABLE || (v->status == VOLUME_IN_USE && forced))
        return true;
    return error_set(&r->err, ERR_INVALID,
                     "Invalid volume: Volume %s status must be available%s, "
                     "but current status is: %s.",
                     v->rec.id, forced ? " or in-use" : "",
                     volume_status_names[v->status]);
}

/* The volume is written again, so that nobody deletes it at the same time
 * without having seen this. */
static bool take(struct req *r, struct volume_snapshot *sn,
                 const struct volume *v)
{
    _autorecord_ struct volume *again = record_copy(v);
    volume_snapshot_of(sn, v);
    txn_change_record(&r->txn, again);
    txn_change_record(&r->txn, sn);
    return volume_charge(&r->txn, r->snap, sn->project_id, 0, 1, sn->size_gb,
                         &r->err);
}

enum outcome snapshot_create(struct req *r)
{
    const json_t *body = req_envelope(r, "snapshot");
    if (!body)
        return req_failed(r);
    _autorecord_ struct volume_snapshot *sn =
        record_new(&kind_snapshot, req_uuid(r));
    sn->user_id = rec_str(sn, r->auth.user_id);
    sn->created = sn->updated = r->now;
    if (!cinder_fill(r, sn, create_attrs, body, true))
        return req_failed(r);
    if (!sn->volume_id)
        return req_fail(r, ERR_INVALID, "'volume_id' is a required property");
    const struct volume *v =
        req_owned(r, &kind_volume, sn->volume_id, "Volume");
    if (!v || !may_snapshot(r, v, body) || !take(r, sn, v))
        return req_failed(r);
    return reply_snapshot(r, sn, 202);
}

/* ---- update, delete, actions ------------------------------------------- */

static const struct attr update_attrs[] = {
    { "name", NULL, A_NULL, CHECK_NAME },
    { "display_name", "name", A_NULL, CHECK_NAME },
    { "description", NULL, A_NULL, CHECK_TEXT },
    { "display_description", "description", A_NULL, CHECK_TEXT },
    ATTR_END,
};

enum outcome snapshot_update(struct req *r)
{
    const struct volume_snapshot *was = snapshot_of_path(r);
    const json_t *body = was ? req_envelope(r, "snapshot") : NULL;
    if (!body)
        return req_failed(r);
    _autorecord_ struct volume_snapshot *sn = record_copy(was);
    sn->updated = r->now;
    if (!cinder_fill(r, sn, update_attrs, body, true))
        return req_failed(r);
    txn_change_record(&r->txn, sn);
    return reply_snapshot(r, sn, 200);
}

static bool being_used(struct req *r, const struct volume_snapshot *sn)
{
    struct snap_iter it =
        snap_by(r->snap, &kind_volume, "snapshot_id", sn->rec.id);
    for (const struct volume *v; (v = snap_next(&it));)
        if (v->status == VOLUME_CREATING)
            return true;
    return false;
}

bool snapshot_mark_deleting(struct req *r, const struct volume_snapshot *sn,
                            bool force)
{
    bool quiet = sn->status == SNAPSHOT_AVAILABLE ||
                 sn->status == SNAPSHOT_ERROR ||
                 sn->status == SNAPSHOT_ERROR_DELETING;
    if (!quiet && !force)
        return error_set(&r->err, ERR_INVALID,
                         "Invalid snapshot: Snapshot status must be available "
                         "or error or error_deleting, but it is %s.",
                         snapshot_status_names[sn->status]);
    if (being_used(r, sn))
        return error_set(&r->err, ERR_INVALID,
                         "Invalid snapshot: a volume is being made from "
                         "snapshot %s.",
                         sn->rec.id);
    _autorecord_ struct volume_snapshot *next = record_copy(sn);
    next->status = SNAPSHOT_DELETING;
    next->updated = r->now;
    txn_change_record(&r->txn, next);
    return true;
}

enum outcome snapshot_delete(struct req *r)
{
    const struct volume_snapshot *sn = snapshot_of_path(r);
    if (!sn || !snapshot_mark_deleting(r, sn, false))
        return req_failed(r);
    return req_reply(r, 202);
}

/* To states only in which storage rests: the others would make it act. */
static bool reset_status(struct req *r, const struct volume_snapshot *sn,
                         const json_t *args)
{
    const char *asked = json_string_value(json_object_get(args, "status"));
    int status = asked ? enum_from_name(snapshot_status_names, asked) : -1;
    if (status != SNAPSHOT_AVAILABLE && status != SNAPSHOT_ERROR &&
        status != SNAPSHOT_ERROR_DELETING)
        return error_set(&r->err, ERR_INVALID,
                         "Must specify a valid status: available, error or "
                         "error_deleting");
    _autorecord_ struct volume_snapshot *next = record_copy(sn);
    next->status = status;
    next->updated = r->now;
    txn_change_record(&r->txn, next);
    return true;
}

enum outcome snapshot_action(struct req *r)
{
    json_t *args;
    const struct volume_snapshot *sn = snapshot_of_path(r);
    const char *name = sn ? cinder_action(r, &args) : NULL;
    bool ok;
    if (!name)
        return req_failed(r);
    if (strcmp(name, "os-reset_status") == 0)
        ok = reset_status(r, sn, args);
    else if (strcmp(name, "os-force_delete") == 0)
        ok = snapshot_mark_deleting(r, sn, true);
    else
        return cinder_no_action(r, name);
    return ok ? req_reply(r, 202) : req_failed(r);
}

/* Only what metadata.c needs. */
const struct resource cinder_snapshots = {
    .kind = &kind_snapshot,
    .singular = "snapshot",
    .plural = "snapshots",
    .noun = "Snapshot",
};
