/* rebuild: the same server from another image.  It gets local disks of the
 * next generation and a reboot onto them; ports and volumes stay. */
#include "openstack-compat/compute/create_plan.h"
#include "openstack-compat/compute/server_actions.h"

#include <string.h>

/* ---- what may be asked --------------------------------------------------- */

static bool known_only(struct req *r, const json_t *arg)
{
    static const struct {
        const char *name;
        microversion since;
        microversion before; /* 0: still there */
    } members[] = {
        { "imageRef", MV(2, 1), 0 },
        { "name", MV(2, 1), 0 },
        { "adminPass", MV(2, 1), 0 },
        { "metadata", MV(2, 1), 0 },
        { "preserve_ephemeral", MV(2, 1), 0 },
        { "OS-DCF:diskConfig", MV(2, 1), 0 },
        { "accessIPv4", MV(2, 1), 0 },
        { "accessIPv6", MV(2, 1), 0 },
        { "personality", MV(2, 1), MV(2, 57) },
        { "description", MV(2, 19), 0 },
        { "key_name", MV(2, 54), 0 },
        { "user_data", MV(2, 57), 0 },
        { "trusted_image_certificates", MV(2, 63), 0 },
        { "hostname", MV(2, 90), 0 },
    };
    const char *known[ARRAY_SIZE(members) + 1] = { NULL };
    for (size_t i = 0, n = 0; i < ARRAY_SIZE(members); i++)
        if (r->mv >= members[i].since &&
            (!members[i].before || r->mv < members[i].before))
            known[n++] = members[i].name;
    return json_is_object(arg) ? nova_only(r, arg, known)
                               : create_invalid(r, "rebuild: an object is "
                                                   "expected");
}

/* The image its root volume was made from. */
static const char *image_of_volume(struct req *r, const struct server *s)
{
    for (size_t i = 0; i < s->volumes.n; i++) {
        const struct server_volume *sv =
            LIST_AT(s->volumes, struct server_volume, i);
        const struct volume *v =
            sv->boot ? snap_get(r->snap, &kind_volume, sv->volume_id) : NULL;
        if (v)
            return v->image_id;
    }
    return NULL;
}

static const struct image *wanted_image(struct req *r, const struct server *s,
                                        const json_t *arg)
{
    const char *id = json_string_value(json_object_get(arg, "imageRef"));
    const char *slash = id ? strrchr(id, '/') : NULL;
    const struct flavor own = { .ram_mb = s->ram_mb, .disk_gb = s->disk_gb };
    if (!id) {
        create_invalid(r, "'imageRef' is a required property");
        return NULL;
    }
    const struct image *image = create_find_image(r, slash ? slash + 1 : id);
    if (!image || !create_image_fits(r, image, &own, s->image_id != NULL))
        return NULL;
    const char *of_volume = s->image_id ? image->rec.id : image_of_volume(r, s);
    if (of_volume && strcmp(of_volume, image->rec.id) == 0)
        return image;
    error_set(&r->err, ERR_INVALID,
              "Image %s is unacceptable: Unable to rebuild with a different "
              "image for a volume-backed server.",
              image->rec.id);
    return NULL;
}

/* ---- what changes -------------------------------------------------------- */

static bool set_key(struct req *r, struct server *s, const json_t *arg)
{
    const char *name;
    if (!nova_string(r, arg, "key_name", 1, 255, &name))
        return false;
    if (!json_object_get(arg, "key_name"))
        return true;
    const struct keypair *k =
        name ? snap_get(r->snap, &kind_keypair,
                        req_strf(r, "%s/%s", s->user_id, name))
             : NULL;
    if (name && !k)
        return create_invalid(r, "Invalid key_name provided.");
    s->key_name = k ? rec_str(s, k->name) : NULL;
    s->key_public = k ? rec_str(s, k->public_key) : NULL;
    return true;
}

static bool set_texts(struct req *r, struct server *s, const json_t *arg)
{
    const char *name, *description, *hostname;
    if (!nova_string(r, arg, "name", 1, 255, &name) ||
        !nova_string(r, arg, "description", 0, 255, &description) ||
        !nova_string(r, arg, "hostname", 1, 63, &hostname))
        return false;
    if (name)
        s->name = rec_str(s, name);
    if (json_object_get(arg, "description"))
        s->description = rec_str(s, description);
    if (hostname)
        s->hostname = rec_str(s, hostname);
    return true;
}

static bool set_options(struct req *r, struct server *s, const json_t *arg)
{
    const json_t *metadata = json_object_get(arg, "metadata");
    if (json_array_size(json_object_get(arg, "personality")))
        return error_set(&r->err, ERR_QUOTA, "Personality file limit exceeded");
    if (json_is_true(json_object_get(arg, "preserve_ephemeral")))
        return create_invalid(r, "The current driver does not support "
                                 "preserving ephemeral partitions.");
    if (!set_texts(r, s, arg) || !server_read_access(r, s, arg) ||
        !set_key(r, s, arg))
        return false;
    if (json_object_get(arg, "user_data") && !server_read_user_data(r, s, arg))
        return false;
    if (!metadata)
        return true;
    s->metadata = (struct map){ 0 };
    return nova_read_metadata(r, s, &s->metadata, metadata, "metadata");
}

static void set_image(struct req *r, struct server *s,
                      const struct image *image)
{
    s->image_properties = (struct map){ 0 };
    server_take_image(s, image);
    s->root_device = NULL; /* as the image has it */
    s->disks = server_next_disks(r->snap, s);
    server_make_disks(&r->txn, s);
    txn_expect_record(&r->txn, image); /* not deleted meanwhile */
}

/* ---- the action ---------------------------------------------------------- */

static enum outcome reply(struct req *r, const struct server *s)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    server_write(r, &w, "server", s, true);
    jw_obj_end(&w);
    http_header(&r->resp, "Location",
                req_strf(r, "%s/v2.1/servers/%s", req_base_url(r), s->rec.id));
    return req_reply(r, 202);
}

enum outcome action_rebuild(struct req *r, const struct server *was,
                            const json_t *arg)
{
    if (!known_only(r, arg) ||
        !action_may_start(r, was, IN(VM_ACTIVE) | IN(VM_STOPPED) | IN(VM_ERROR),
                          "rebuild"))
        return req_failed(r);
    const struct image *image = wanted_image(r, was, arg);
    _autorecord_ struct server *s = image ? record_copy(was) : NULL;
    if (!s || !set_options(r, s, arg))
        return req_failed(r);
    if (s->image_id)
        set_image(r, s, image);
    if (s->vm_state != VM_STOPPED) {
        s->goal = GOAL_RUNNING;
        s->reboot++;
        s->reboot_type = REBOOT_SOFT;
    }
    s->task_state = TASK_REBUILDING;
    s->updated = r->now;
    server_note(r, s, "rebuild");
    txn_change_record(&r->txn, s);
    return reply(r, s);
}
