/* POST /volumes/{id}/action */
#include "openstack-compat/volume/cinder.h"

#include "model/compute.h"
#include "model/image.h"

#include <string.h>

/* An action changes the draft of the volume, or not; false: r->err.  The
 * answer has a body only if it wrote one. */
typedef bool action_fn(struct req *r, const struct volume *was,
                       struct volume *v, const json_t *args);

static bool bad_state(struct req *r, const struct volume *v, const char *wanted)
{
    return error_set(&r->err, ERR_INVALID,
                     "Invalid volume: Volume %s status must be %s, but current "
                     "status is: %s.",
                     v->rec.id, wanted, volume_status_names[v->status]);
}

/* ---- reserve and detach, as nova's clients do -------------------------- */

static bool reserve(struct req *r, const struct volume *was, struct volume *v,
                    const json_t *args)
{
    v->status = VOLUME_RESERVED;
    return was->status == VOLUME_AVAILABLE || bad_state(r, was, "available");
}

/* Not one that a server of ours has asked for. */
static bool unreserve(struct req *r, const struct volume *was, struct volume *v,
                      const json_t *args)
{
    v->status = VOLUME_AVAILABLE;
    return (was->status == VOLUME_RESERVED && !was->attachments.n) ||
           bad_state(r, was, "reserved");
}

/* ---- size -------------------------------------------------------------- */

static bool extend(struct req *r, const struct volume *was, struct volume *v,
                   const json_t *args)
{
    static const struct attr size = { .name = "new_size",
                                      .check = CHECK_INT,
                                      .min = 1 };
    bool attached = was->status == VOLUME_IN_USE && r->mv >= MV(3, 42);
    const json_t *given = json_object_get(args, "new_size");
    _autojson_ json_t *converted = NULL;
    if (!given)
        return error_set(&r->err, ERR_INVALID,
                         "'new_size' is a required property");
    if (!check_value(&size, STYLE_CINDER, given, &converted, &r->err))
        return false;
    int64_t n = json_integer_value(converted ? converted : given);
    if (was->status != VOLUME_AVAILABLE && !attached)
        return bad_state(r, was, "available");
    if (was->attachments.n > 1)
        return error_set(&r->err, ERR_INVALID,
                         "Invalid volume: Volume %s is attached to several "
                         "servers, which would not all see its new size.",
                         was->rec.id);
    if (volume_is_copied(r->snap, was))
        return error_set(&r->err, ERR_INVALID,
                         "Invalid volume: Volume %s is being copied.",
                         was->rec.id);
    if (n <= was->size_gb)
        return error_set(&r->err, ERR_INVALID,
                         "Invalid input received: New size for extend must be "
                         "greater than current size. (current: %lld, "
                         "extended: %lld).",
                         (long long)was->size_gb, (long long)n);
    v->status = VOLUME_EXTENDING;
    v->size_gb = n;
    return volume_charge(&r->txn, r->snap, v->project_id, 0, 0,
                         n - was->size_gb, &r->err);
}

/* ---- flags ------------------------------------------------------------- */

static bool read_flag(struct req *r, const json_t *args, const char *name,
                      bool *value)
{
    struct attr a = { .name = name, .check = CHECK_BOOL };
    const json_t *given = json_object_get(args, name);
    _autojson_ json_t *converted = NULL;
    if (!given)
        return error_set(&r->err, ERR_INVALID, "'%s' is a required property",
                         name);
    if (!check_value(&a, STYLE_CINDER, given, &converted, &r->err))
        return false;
    *value = json_is_true(converted ? converted : given);
    return true;
}

static bool set_bootable(struct req *r, const struct volume *was,
                         struct volume *v, const json_t *args)
{
    return read_flag(r, args, "bootable", &v->bootable);
}

static bool set_readonly(struct req *r, const struct volume *was,
                         struct volume *v, const json_t *args)
{
    if (was->status != VOLUME_AVAILABLE)
        return bad_state(r, was, "available");
    return read_flag(r, args, "readonly", &v->readonly);
}

/* ---- image metadata ---------------------------------------------------- */

static bool set_image_metadata(struct req *r, const struct volume *was,
                               struct volume *v, const json_t *args)
{
    static const struct attr rows[] = {
        { "metadata", "image_metadata", 0, CHECK_MAP }, ATTR_END
    };
    struct map before = was->image_metadata;
    if (!json_object_get(args, "metadata"))
        return error_set(&r->err, ERR_INVALID,
                         "'metadata' is a required property");
    if (!cinder_fill(r, v, rows, args, true))
        return false;
    for (size_t i = 0; i < before.n; i++)
        if (!map_get(&v->image_metadata, before.v[i].key))
            map_put(v, &v->image_metadata, before.v[i].key, before.v[i].value);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    cinder_write_map(&w, "metadata", &v->image_metadata);
    jw_obj_end(&w);
    return true;
}

static bool unset_image_metadata(struct req *r, const struct volume *was,
                                 struct volume *v, const json_t *args)
{
    const char *key = json_string_value(json_object_get(args, "key"));
    if (!key)
        return error_set(&r->err, ERR_INVALID, "'key' is a required property");
    return map_remove(&v->image_metadata, key) ||
           error_set(&r->err, ERR_NOT_FOUND, "Metadata has no key %.80s.", key);
}

static bool show_image_metadata(struct req *r, const struct volume *was,
                                struct volume *v, const json_t *args)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    cinder_write_map(&w, "metadata", &was->image_metadata);
    jw_obj_end(&w);
    return true;
}

/* ---- administration ---------------------------------------------------- */

static bool reset_attachments(struct req *r, const struct volume *was,
                              struct volume *v, const char *asked)
{
    if (!asked)
        return true;
    if (strcmp(asked, "detached") != 0)
        return error_set(&r->err, ERR_INVALID,
                         "attach_status can be reset to 'detached' only");
    for (size_t i = 0; i < was->attachments.n; i++) {
        const struct volume_attachment *a =
            LIST_AT(was->attachments, struct volume_attachment, i);
        if (snap_get(r->snap, &kind_server, a->server_id))
            return error_set(&r->err, ERR_INVALID,
                             "Volume %s is attached to server %s: detach it",
                             was->rec.id, a->server_id);
    }
    v->attachments.n = 0;
    return true;
}

/* Only to states in which storage and compute rest: the others would make
 * them act. */
static bool reset_status(struct req *r, const struct volume *was,
                         struct volume *v, const json_t *args)
{
    static const int resting[] = { VOLUME_AVAILABLE, VOLUME_IN_USE,
                                   VOLUME_ERROR, VOLUME_ERROR_DELETING,
                                   VOLUME_ERROR_EXTENDING };
    const json_t *attach = json_object_get(args, "attach_status");
    const char *asked = json_string_value(json_object_get(args, "status"));
    if (!asked)
        return attach ? reset_attachments(r, was, v, json_string_value(attach))
                      : error_set(&r->err, ERR_INVALID,
                                  "Must specify 'status' or 'attach_status'");
    for (size_t i = 0; i < ARRAY_SIZE(resting); i++)
        if (strcmp(asked, volume_status_names[resting[i]]) == 0) {
            v->status = resting[i];
            return reset_attachments(r, was, v, json_string_value(attach));
        }
    return error_set(&r->err, ERR_INVALID,
                     "Must specify a valid status: available, in-use, error, "
                     "error_deleting or error_extending");
}

static bool force_delete(struct req *r, const struct volume *was,
                         struct volume *v, const json_t *args)
{
    return volume_mark_deleting(r, was, true, false);
}

/* ---- a volume's content as an image ------------------------------------ */

static bool set_upload_format(struct req *r, void *record, const struct attr *a,
                              const json_t *value)
{
    struct image *im = record;
    im->disk_format = rec_str(im, json_string_value(value));
    return true;
}

static bool set_upload_visibility(struct req *r, void *record,
                                  const struct attr *a, const json_t *value)
{
    struct image *im = record;
    im->visibility = rec_str(im, json_string_value(value));
    return strcmp(im->visibility, "public") != 0 || r->auth.is_admin ||
           error_set(&r->err, ERR_FORBIDDEN,
                     "Policy doesn't allow volume_extension:volume_actions:"
                     "upload_public to be performed.");
}

static bool set_nothing(struct req *r, void *record, const struct attr *a,
                        const json_t *value)
{
    return true;
}

static const char *const disk_formats[] = { "raw", "qcow2", NULL };
static const char *const container_formats[] = { "bare", NULL };
static const char *const visibilities[] = { "public", "private", "shared",
                                            "community", NULL };

static const struct attr upload_attrs[] = {
    { "image_name", "name", 0, CHECK_NAME, 1 },
    { "force", NULL, A_NULL, CHECK_BOOL, .set = set_nothing },
    { "disk_format", NULL, 0, CHECK_ENUM, .choices = disk_formats,
      .set = set_upload_format },
    { "container_format", NULL, 0, CHECK_ENUM, .choices = container_formats },
    { "visibility", NULL, 0, CHECK_ENUM, .choices = visibilities,
      .set = set_upload_visibility },
    { "protected", "is_protected", 0, CHECK_BOOL },
    ATTR_END,
};

static bool fill_image(struct req *r, struct image *im, const struct volume *v,
                       const json_t *args)
{
    static const char *const own[] = { "image_id",    "image_name",
                                       "checksum",    "container_format",
                                       "disk_format", "min_disk",
                                       "min_ram",     "size" };
    im->owner = rec_str(im, r->auth.project_id);
    im->visibility = rec_str(im, "private");
    im->container_format = rec_str(im, "bare");
    im->disk_format = rec_str(im, "raw");
    im->status = IMAGE_SAVING;
    im->upload_id = rec_str(im, req_uuid(r));
    im->created = im->updated = r->now;
    for (size_t i = 0; i < v->image_metadata.n; i++)
        map_put(im, &im->properties, v->image_metadata.v[i].key,
                v->image_metadata.v[i].value);
    for (size_t i = 0; i < ARRAY_SIZE(own); i++)
        map_remove(&im->properties, own[i]);
    if (!cinder_fill(r, im, upload_attrs, args, true))
        return false;
    return im->name || error_set(&r->err, ERR_INVALID,
                                 "'image_name' is a required property");
}

static void write_upload(struct req *r, const struct volume *v,
                         const struct image *im)
{
    const struct volume_type *t =
        snap_get(r->snap, &kind_volume_type, v->volume_type_id);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_obj(&w, "os-volume_upload_image");
    jw_str(&w, "id", v->rec.id);
    cinder_write_time(&w, "updated_at", v->updated);
    jw_str(&w, "status", volume_status_names[v->status]);
    jw_str(&w, "display_description", v->description);
    jw_int(&w, "size", v->size_gb);
    if (t)
        resource_write(r, &cinder_types, &w, "volume_type", t);
    else
        jw_null(&w, "volume_type");
    jw_str(&w, "image_id", im->rec.id);
    jw_str(&w, "image_name", im->name);
    jw_str(&w, "container_format", im->container_format);
    jw_str(&w, "disk_format", im->disk_format);
    jw_str(&w, "visibility", im->visibility);
    jw_bool(&w, "protected", im->is_protected);
    jw_obj_end(&w);
    jw_obj_end(&w);
}

static bool upload_image(struct req *r, const struct volume *was,
                         struct volume *v, const json_t *args)
{
    bool forced = cinder_forced(args);
    if (was->key_id)
        return error_set(&r->err, ERR_INVALID,
                         "Invalid volume: Volume %s is encrypted; an image of "
                         "it would be readable by nobody.",
                         was->rec.id);
    if (was->local && pool_is_replicated(r->snap))
        return error_set(&r->err, ERR_NOT_IMPLEMENTED,
                         "Volume %s is on a node's own disk; to make an image "
                         "of it there is not built.",
                         was->rec.id);
    if (was->status != VOLUME_AVAILABLE &&
        !(was->status == VOLUME_IN_USE && forced))
        return bad_state(r, was, forced ? "available or in-use" : "available");
    _autorecord_ struct image *im = record_new(&kind_image, req_uuid(r));
    if (!fill_image(r, im, was, args))
        return false;
    txn_change_record(&r->txn, im);
    v->status = VOLUME_UPLOADING;
    v->upload_image_id = rec_str(v, im->rec.id);
    write_upload(r, v, im);
    return true;
}

/* ---- the table --------------------------------------------------------- */

static const struct action {
    const char *name;
    action_fn *act;
    int status;
    bool admin;
    bool writes; /* itself, not the draft */
} actions[] = {
    { "os-extend", extend, 202 },
    { "os-set_bootable", set_bootable, 200 },
    { "os-update_readonly_flag", set_readonly, 202 },
    { "os-set_image_metadata", set_image_metadata, 200 },
    { "os-unset_image_metadata", unset_image_metadata, 200 },
    { "os-show_image_metadata", show_image_metadata, 200, false, true },
    { "os-volume_upload_image", upload_image, 202 },
    { "os-retype", volume_retype, 202 },
    { "os-reserve", reserve, 202 },
    { "os-unreserve", unreserve, 202 },
    { "os-reset_status", reset_status, 202, true },
    { "os-force_delete", force_delete, 202, true, true },
};

static enum outcome act(struct req *r, const struct action *a,
                        const struct volume *was, const json_t *args)
{
    if (a->admin && !r->auth.is_admin)
        return req_fail(r, ERR_FORBIDDEN,
                        "Policy doesn't allow %s to be performed.", a->name);
    _autorecord_ struct volume *v = record_copy(was);
    v->updated = r->now;
    if (!a->act(r, was, v, args))
        return req_failed(r);
    if (!a->writes)
        txn_change_record(&r->txn, v);
    return req_reply(r, a->status);
}

enum outcome volume_action(struct req *r)
{
    json_t *args;
    const struct volume *v = req_owned(r, &kind_volume, r->param[0], "Volume");
    const char *name = v ? cinder_action(r, &args) : NULL;
    if (!name)
        return req_failed(r);
    for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
        if (strcmp(actions[i].name, name) == 0)
            return act(r, &actions[i], v, args);
    return cinder_no_action(r, name);
}
